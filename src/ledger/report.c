#include "ledger/report.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/try.h"
#include "ledger/rollup.h"
#include "store/stmt.h"

#include <assert.h>
#include <stdlib.h>

#define SQL_MAX     4096
#define MS_PER_HOUR INT64_C(3600000)

static const struct {
    const char *name;
    int64_t step_ms; /* 0: by the calendar */
} buckets[REPORT_BUCKET_COUNT] = {
    [REPORT_AUTO] = { "auto", 0 },
    [REPORT_15_MINUTES] = { "15m", ROLLUP_MS_PER_QUARTER_HOUR },
    [REPORT_HOUR] = { "1h", MS_PER_HOUR },
    [REPORT_DAY] = { "1d", ROLLUP_MS_PER_DAY },
    [REPORT_MONTH] = { "1mo", 0 },
};

static const struct {
    const char *name;
    const char *by_day; /* column or expression; NULL: not to be had */
    const char *by_quarter;
    const char *of_row; /* gives the row number of a filter's text, or several */
    const char *name_sql;
} groups[REPORT_GROUP_COUNT] = {
    [REPORT_BY_TEAM] = { "team", "(SELECT team_id FROM \"key\" AS k WHERE k.id = key_id)",
                         "team_id", "SELECT id FROM team WHERE public_id = ",
                         "SELECT public_id FROM team WHERE id = ?1" },
    [REPORT_BY_KEY] = { "key", "key_id", NULL, "SELECT id FROM \"key\" WHERE public_id = ",
                        "SELECT public_id FROM \"key\" WHERE id = ?1" },
    [REPORT_BY_MODEL] = { "model", "model_id", "model_id", "SELECT id FROM dimension WHERE name = ",
                          "SELECT name FROM dimension WHERE id = ?1" },
    [REPORT_BY_PROVIDER] = { "provider", "provider_id", NULL,
                             "SELECT id FROM provider /* scan */ WHERE name = ",
                             "SELECT name FROM provider WHERE id = ?1" },
};

static const struct {
    const char *name;
    const char *sum;
} metrics[REPORT_METRIC_COUNT] = {
    [REPORT_COST] = { "cost", "sum(cost_nusd)" },
    [REPORT_PROVIDER_COST] = { "provider_cost", "sum(provider_cost_nusd)" },
    [REPORT_TOTAL_TOKENS] = { "total_tokens", "sum(input + cache_read + cache_write + media_in + "
                                              "output + media_out)" },
    [REPORT_INPUT_TOKENS] = { "input_tokens", "sum(input + cache_read + cache_write + media_in)" },
    [REPORT_OUTPUT_TOKENS] = { "output_tokens", "sum(output + media_out)" },
    [REPORT_REQUESTS] = { "requests", "sum(requests)" },
    [REPORT_ERRORS] = { "errors", "sum(errors)" },
    [REPORT_ESTIMATED] = { "estimated", "sum(estimated)" },
    [REPORT_UNRECONCILED] = { "unreconciled", "sum(unreconciled)" },
    [REPORT_UNPRICED] = { "unpriced", "sum(unpriced)" },
};

const char *report_bucket_name(enum report_bucket bucket)
{
    return buckets[bucket].name;
}

const char *report_group_name(enum report_group group)
{
    return groups[group].name;
}

const char *report_metric_name(enum report_metric metric)
{
    return metrics[metric].name;
}

bool report_metric_is_money(enum report_metric metric)
{
    return metric == REPORT_COST || metric == REPORT_PROVIDER_COST;
}

void report_fini(struct report *report)
{
    for (int i = 0; i < report->series_count; i++)
        free(report->series[i].bucket);
    free(report->other.bucket);
    free(report->series);
    free(report->start_ms);
    *report = (struct report){ 0 };
}

/* --- buckets ---------------------------------------------------------------------------------- */

/* By month of the calendar; months are counted since year 0. */
static int64_t month_of(int64_t wall_ms)
{
    int year;
    int month;
    int day;

    clock_civil_from_days(wall_ms / ROLLUP_MS_PER_DAY, &year, &month, &day);
    return (int64_t)year * 12 + month - 1;
}

static int64_t month_start_ms(int64_t month)
{
    return clock_days_from_civil((int)(month / 12), (int)(month % 12) + 1, 1) * ROLLUP_MS_PER_DAY;
}

static int64_t number_of(enum report_bucket bucket, int64_t wall_ms)
{
    return bucket == REPORT_MONTH ? month_of(wall_ms) : wall_ms / buckets[bucket].step_ms;
}

static int64_t start_of(enum report_bucket bucket, int64_t number)
{
    return bucket == REPORT_MONTH ? month_start_ms(number) : number * buckets[bucket].step_ms;
}

static bool needs_days(const struct report_query *query)
{
    for (int i = 0; i < REPORT_GROUP_COUNT; i++) {
        if (groups[i].by_quarter == NULL &&
            ((query->groups & (1u << i)) != 0 || query->filter[i].len > 0))
            return true;
    }
    return false;
}

/* As fine as a chart can show. */
static enum report_bucket pick_bucket(const struct report_query *query)
{
    const int64_t days = (query->to_ms - query->from_ms) / ROLLUP_MS_PER_DAY;

    if (days > 366)
        return REPORT_MONTH;
    if (days > 14 || needs_days(query))
        return REPORT_DAY;
    return days > 1 ? REPORT_HOUR : REPORT_15_MINUTES;
}

static enum tg_status lay_out(const struct report_query *query, struct report *report,
                              struct err *err)
{
    const enum report_bucket bucket =
        query->bucket == REPORT_AUTO ? pick_bucket(query) : query->bucket;
    const int64_t first = number_of(bucket, query->from_ms);
    const int64_t last = number_of(bucket, query->to_ms - 1);

    if (bucket < REPORT_DAY && needs_days(query))
        return err_set(err, TG_INVALID,
                       "keys and providers are summed up by day: ask for bucket=1d or 1mo");
    if (last - first >= REPORT_BUCKETS_MAX)
        return err_set(err, TG_INVALID,
                       "more than %d buckets: ask for a shorter time or longer buckets",
                       REPORT_BUCKETS_MAX);
    report->bucket = bucket;
    report->bucket_count = (int)(last - first + 1);
    report->start_ms = malloc((size_t)report->bucket_count * sizeof(*report->start_ms));
    if (report->start_ms == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for a report");
    for (int i = 0; i < report->bucket_count; i++)
        report->start_ms[i] = start_of(bucket, first + i);
    report->end_ms = start_of(bucket, last + 1);
    return TG_OK;
}

/* --- the query -------------------------------------------------------------------------------- */

static const char *column_of(const struct report *report, int group)
{
    return report->bucket >= REPORT_DAY ? groups[group].by_day : groups[group].by_quarter;
}

/* Parameters: 1 and 2 the range, 3 the scope, from 4 on the filters. */
static enum tg_status write_sql(const struct report_query *query, const struct report *report,
                                struct buf *sql)
{
    const char *at = report->bucket >= REPORT_DAY ? "day" : "bucket";

    buf_printf(sql, "SELECT %s", at);
    for (int i = 0; i < REPORT_GROUP_COUNT; i++)
        buf_printf(sql, ", %s AS g%d",
                   (query->groups & (1u << i)) != 0 ? column_of(report, i) : "0", i);
    for (int i = 0; i < REPORT_METRIC_COUNT; i++)
        buf_printf(sql, ", %s", metrics[i].sum);
    buf_printf(sql, " FROM %s WHERE %s >= ?1 AND %s < ?2 AND (?3 = 0 OR %s = ?3)",
               report->bucket >= REPORT_DAY ? "rollup_day" : "rollup_quarter_hour", at, at,
               column_of(report, REPORT_BY_TEAM));
    for (int i = 0; i < REPORT_GROUP_COUNT; i++) {
        if (query->filter[i].len > 0)
            buf_printf(sql, " AND %s IN (%s?%d)", column_of(report, i), groups[i].of_row, i + 4);
    }
    buf_put_text(sql, " GROUP BY g0, g1, g2, g3, 1 ORDER BY g0, g1, g2, g3, 1");
    buf_put_byte(sql, '\0');
    return buf_status(sql);
}

static enum tg_status prepare(struct db *db, const struct report_query *query,
                              const struct report *report, struct stmt *stmt, struct err *err)
{
    const int64_t unit_ms =
        report->bucket >= REPORT_DAY ? ROLLUP_MS_PER_DAY : ROLLUP_MS_PER_QUARTER_HOUR;
    AUTO(buf) sql = { 0 };

    assert(report->start_ms != NULL);
    buf_init(&sql, SQL_MAX);
    TRY(write_sql(query, report, &sql));
    TRY(stmt_prepare(stmt, db, buf_span(&sql).ptr, err));
    stmt_bind_int(stmt, 1, report->start_ms[0] / unit_ms);
    stmt_bind_int(stmt, 2, report->end_ms / unit_ms);
    stmt_bind_int(stmt, 3, query->scope);
    for (int i = 0; i < REPORT_GROUP_COUNT; i++) {
        if (query->filter[i].len > 0)
            stmt_bind_text(stmt, i + 4, query->filter[i]);
    }
    return TG_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void add(struct report_sums *to, const struct report_sums *from)
{
    for (int i = 0; i < REPORT_METRIC_COUNT; i++)
        to->value[i] += from->value[i];
}

static enum tg_status add_series(struct report *report, const int64_t ids[REPORT_GROUP_COUNT],
                                 struct err *err)
{
    struct report_series *series;

    if ((int64_t)(report->series_count + 1) * report->bucket_count > REPORT_CELLS_MAX)
        return err_set(err, TG_TOO_LARGE,
                       "more than %d values: group by less, filter, or ask for a shorter time",
                       REPORT_CELLS_MAX);
    if (report->series_count == report->series_room) {
        const int room = report->series_room == 0 ? 16 : report->series_room * 2;
        struct report_series *grown = realloc(report->series, (size_t)room * sizeof(*grown));

        if (grown == NULL)
            return err_set(err, TG_NO_MEMORY, "out of memory for a report");
        report->series = grown;
        report->series_room = room;
    }
    series = &report->series[report->series_count];
    *series = (struct report_series){ 0 };
    memcpy(series->ids, ids, sizeof(series->ids));
    series->bucket = calloc((size_t)report->bucket_count, sizeof(*series->bucket));
    if (series->bucket == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for a report");
    report->series_count++;
    return TG_OK;
}

/* Rows come series by series. */
static enum tg_status take_row(struct report *report, const struct stmt *stmt, struct err *err)
{
    const int64_t unit_ms =
        report->bucket >= REPORT_DAY ? ROLLUP_MS_PER_DAY : ROLLUP_MS_PER_QUARTER_HOUR;
    const int64_t at = number_of(report->bucket, stmt_int(stmt, 0) * unit_ms) -
                       number_of(report->bucket, report->start_ms[0]);
    struct report_series *last =
        report->series_count > 0 ? &report->series[report->series_count - 1] : NULL;
    int64_t ids[REPORT_GROUP_COUNT];
    struct report_sums sums;

    assert(at >= 0);
    assert(at < report->bucket_count);
    for (int i = 0; i < REPORT_GROUP_COUNT; i++)
        ids[i] = stmt_int(stmt, 1 + i);
    for (int i = 0; i < REPORT_METRIC_COUNT; i++)
        sums.value[i] = stmt_int(stmt, 1 + REPORT_GROUP_COUNT + i);
    if (last == NULL || memcmp(last->ids, ids, sizeof(ids)) != 0) {
        TRY(add_series(report, ids, err));
        last = &report->series[report->series_count - 1];
    }
    add(&last->bucket[at], &sums);
    add(&last->total, &sums);
    add(&report->total, &sums);
    return TG_OK;
}

static int by_rank(const void *a, const void *b, void *context)
{
    const enum report_metric rank = *(const enum report_metric *)context;
    const int64_t value_a = ((const struct report_series *)a)->total.value[rank];
    const int64_t value_b = ((const struct report_series *)b)->total.value[rank];

    if (value_a != value_b)
        return value_a < value_b ? 1 : -1;
    return memcmp(((const struct report_series *)a)->ids, ((const struct report_series *)b)->ids,
                  sizeof(((const struct report_series *)a)->ids));
}

/* All but the top ones become one. */
static enum tg_status fold(struct report *report, const struct report_query *query, struct err *err)
{
    enum report_metric rank = query->rank;

    if (report->series_count > 1)
        qsort_r(report->series, (size_t)report->series_count, sizeof(*report->series), by_rank,
                &rank);
    if (report->series_count <= query->top)
        return TG_OK;
    report->has_other = true;
    report->other.bucket = calloc((size_t)report->bucket_count, sizeof(*report->other.bucket));
    if (report->other.bucket == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for a report");
    while (report->series_count > query->top) {
        struct report_series *from = &report->series[--report->series_count];

        add(&report->other.total, &from->total);
        for (int i = 0; i < report->bucket_count; i++)
            add(&report->other.bucket[i], &from->bucket[i]);
        free(from->bucket);
    }
    return TG_OK;
}

static enum tg_status name_one(struct db *db, struct report_series *series, int group,
                               struct err *err)
{
    struct stmt *stmt;
    bool has_row;

    TRY(stmt_use(db, groups[group].name_sql, &stmt, err));
    stmt_bind_int(stmt, 1, series->ids[group]);
    TRY(stmt_step(stmt, &has_row, err));
    if (has_row)
        account_copy_text(stmt_text(stmt, 0), series->key[group], sizeof(series->key[group]));
    stmt_reset(stmt);
    return TG_OK;
}

static enum tg_status name_series(struct db *db, struct report_series *series, uint32_t mask,
                                  struct err *err)
{
    for (int group = 0; group < REPORT_GROUP_COUNT; group++) {
        if ((mask & (1u << group)) != 0)
            TRY(name_one(db, series, group, err));
    }
    return TG_OK;
}

static enum tg_status name_all(struct db *db, struct report *report, uint32_t mask, struct err *err)
{
    for (int i = 0; i < report->series_count; i++)
        TRY(name_series(db, &report->series[i], mask, err));
    return TG_OK;
}

static enum tg_status fill(struct db *db, const struct report_query *query, struct report *report,
                           struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = true;

    TRY(lay_out(query, report, err));
    TRY(prepare(db, query, report, &stmt, err));
    while (has_row) {
        TRY(stmt_step(&stmt, &has_row, err));
        if (has_row)
            TRY(take_row(report, &stmt, err));
    }
    TRY(fold(report, query, err));
    return name_all(db, report, query->groups, err);
}

enum tg_status report_make(struct db *db, const struct report_query *query,
                           struct report *ret_report, struct err *err)
{
    AUTO(report) report = { 0 };

    assert(query->from_ms >= 0);
    assert(query->to_ms > query->from_ms);
    assert(query->top >= 1);
    TRY(fill(db, query, &report, err));
    *ret_report = report;
    report = (struct report){ 0 };
    return TG_OK;
}
