#include "ledger/verify.h"

#include "base/id.h"
#include "base/try.h"
#include "ledger/charge.h"
#include "ledger/rollup.h"
#include "store/stmt.h"
#include "store/txn.h"

#include <stdio.h>

#define QUARTER_HOURS_PER_DAY (ROLLUP_MS_PER_DAY / ROLLUP_MS_PER_QUARTER_HOUR)

#define METRICS                                                                                    \
    "requests, errors, estimated, unreconciled, unpriced, input, cache_read, cache_write, "        \
    "media_in, output, media_out, reasoning, cost_nusd, provider_cost_nusd"

/* The ids of a day: ?1 <= id < ?2; its quarter hours the same. */
static const char attempts_from[] = " FROM charge WHERE id >= ?1 AND id < ?2 AND kind = 0";
static const char adjustments_from[] = " FROM charge WHERE adjusts_id >= ?1 AND adjusts_id < ?2";
static const char days_sql[] = "SELECT " METRICS ", day, key_id, model_id, provider_id "
                               "FROM rollup_day WHERE day >= ?1 AND day < ?2";
static const char quarter_hours_sql[] =
    "SELECT " METRICS ", bucket, team_id, model_id "
    "FROM rollup_quarter_hour WHERE bucket >= ?1 AND bucket < ?2";
static const char next_charge_sql[] = "SELECT min(id) FROM charge WHERE id >= ?1";
static const char next_day_sql[] = "SELECT min(day) FROM rollup_day WHERE day >= ?1";
static const char next_quarter_hour_sql[] =
    "SELECT min(bucket) FROM rollup_quarter_hour WHERE bucket >= ?1";
static const char double_ended_sql[] = "SELECT count(*) FROM hold /* scan */ WHERE EXISTS (SELECT "
                                       "1 FROM charge WHERE charge.id = hold.id)";
static const char open_holds_sql[] = "SELECT count(*) FROM hold /* scan */";
static const char orphans_sql[] =
    "SELECT count(*) FROM charge AS a /* scan */ WHERE a.adjusts_id IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM charge AS c WHERE c.id = a.adjusts_id AND c.kind = 0)";
static const char last_dimension_sql[] = "SELECT coalesce(max(id), 0) FROM dimension";
static const char last_rate_set_sql[] = "SELECT coalesce(max(id), 0) FROM rate_set";

struct verification {
    struct db *db;
    struct rollup rollup; /* of the day: charges less rollup rows */
    struct ledger_verdict verdict;
    int64_t last_dimension;
    int64_t last_rate_set;
};

static enum tg_status read_int(struct db *db, const char *sql, int64_t argument, int64_t *ret_value,
                               struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = false;

    TRY(stmt_prepare(&stmt, db, sql, err));
    if (strstr(sql, "?1") != NULL)
        stmt_bind_int(&stmt, 1, argument);
    TRY(stmt_step(&stmt, &has_row, err));
    if (has_row && !stmt_is_null(&stmt, 0))
        *ret_value = stmt_int(&stmt, 0);
    if (has_row)
        stmt_reset(&stmt);
    return TG_OK;
}

static bool points_somewhere(const struct verification *v, const struct charge_row *row)
{
    return row->dialect_id <= v->last_dimension && row->model_id <= v->last_dimension &&
           row->served_model_id <= v->last_dimension && row->tier_id <= v->last_dimension &&
           row->rate_set_id <= v->last_rate_set;
}

static bool keeps_its_rules(const struct charge_row *row)
{
    if (row->call_id > row->id)
        return false;
    if (row->adjusts_id != 0)
        return row->adjusts_id < row->id;
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        if (row->usage.count[class] < 0 || row->usage.count[class] > TG_COUNT_MAX)
            return false;
    }
    return row->cost_nusd >= 0 && row->provider_cost_nusd >= 0 && row->hold_nusd >= 0;
}

static enum tg_status add_charge(struct verification *v, const struct stmt *stmt, struct err *err)
{
    struct charge_row row;
    struct rollup_metrics metrics;
    struct rollup_place place;

    TRY(charge_read(stmt, &row, err));
    v->verdict.charges++;
    if (!keeps_its_rules(&row) || !points_somewhere(v, &row))
        v->verdict.out_of_range++;
    charge_metrics(&row, &metrics);
    charge_place(&row, &place);
    return rollup_add(&v->rollup, &place, &metrics);
}

static enum tg_status add_charges(struct verification *v, const char *from, int64_t first_id,
                                  int64_t end_id, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    char sql[1024];
    bool has_row = false;

    (void)snprintf(sql, sizeof(sql), "SELECT %s%s", charge_columns, from);
    TRY(stmt_prepare(&stmt, v->db, sql, err));
    stmt_bind_int(&stmt, 1, first_id);
    stmt_bind_int(&stmt, 2, end_id);
    for (;;) {
        TRY(stmt_step(&stmt, &has_row, err));
        if (!has_row)
            return TG_OK;
        TRY(add_charge(v, &stmt, err));
    }
}

static enum tg_status subtract_row(struct verification *v, enum rollup_table table,
                                   const struct stmt *stmt)
{
    struct rollup_metrics metrics;
    struct rollup_key key = { .table = table };

    for (int i = 0; i < ROLLUP_METRIC_COUNT; i++)
        metrics.value[i] = stmt_int(stmt, i);
    key.at = stmt_int(stmt, ROLLUP_METRIC_COUNT);
    key.account_id = stmt_int(stmt, ROLLUP_METRIC_COUNT + 1);
    key.model_id = stmt_int(stmt, ROLLUP_METRIC_COUNT + 2);
    if (table == ROLLUP_DAY)
        key.provider_id = stmt_int(stmt, ROLLUP_METRIC_COUNT + 3);
    return rollup_subtract(&v->rollup, &key, &metrics);
}

static enum tg_status subtract_rollup(struct verification *v, enum rollup_table table,
                                      int64_t first, int64_t end, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = false;

    TRY(stmt_prepare(&stmt, v->db, table == ROLLUP_DAY ? days_sql : quarter_hours_sql, err));
    stmt_bind_int(&stmt, 1, first);
    stmt_bind_int(&stmt, 2, end);
    for (;;) {
        TRY(stmt_step(&stmt, &has_row, err));
        if (!has_row)
            return TG_OK;
        TRY(subtract_row(v, table, &stmt));
    }
}

static enum tg_status verify_day(struct verification *v, int64_t day, struct err *err)
{
    const int64_t first_id = id_floor_of(day * ROLLUP_MS_PER_DAY);
    const int64_t end_id = id_floor_of((day + 1) * ROLLUP_MS_PER_DAY);

    rollup_clear(&v->rollup);
    TRY(read_int(v->db, last_dimension_sql, 0, &v->last_dimension, err));
    TRY(read_int(v->db, last_rate_set_sql, 0, &v->last_rate_set, err));
    TRY(add_charges(v, attempts_from, first_id, end_id, err));
    TRY(add_charges(v, adjustments_from, first_id, end_id, err));
    TRY(subtract_rollup(v, ROLLUP_DAY, day, day + 1, err));
    TRY(subtract_rollup(v, ROLLUP_QUARTER_HOUR, day * QUARTER_HOURS_PER_DAY,
                        (day + 1) * QUARTER_HOURS_PER_DAY, err));
    v->verdict.differences += rollup_count_nonzero(&v->rollup);
    return TG_OK;
}

/* The first day from `day` on of which anything is stored; INT64_MAX: none. */
static enum tg_status find_day(struct verification *v, int64_t day, int64_t *ret_day,
                               struct err *err)
{
    int64_t id = INT64_MAX;
    int64_t rollup_day = INT64_MAX;
    int64_t bucket = INT64_MAX;
    int64_t next = INT64_MAX;

    TRY(read_int(v->db, next_charge_sql, id_floor_of(day * ROLLUP_MS_PER_DAY), &id, err));
    TRY(read_int(v->db, next_day_sql, day, &rollup_day, err));
    TRY(read_int(v->db, next_quarter_hour_sql, day * QUARTER_HOURS_PER_DAY, &bucket, err));
    if (id != INT64_MAX)
        next = id_wall_ms(id) / ROLLUP_MS_PER_DAY;
    if (rollup_day < next)
        next = rollup_day;
    if (bucket != INT64_MAX && bucket / QUARTER_HOURS_PER_DAY < next)
        next = bucket / QUARTER_HOURS_PER_DAY;
    *ret_day = next;
    return TG_OK;
}

/* Verify the first day from *day on and step behind it. */
static enum tg_status verify_next_day(struct verification *v, int64_t *day, bool *ret_was_last,
                                      struct err *err)
{
    AUTO(txn) txn = { 0 };
    int64_t found = INT64_MAX;

    if (!txn_is_open(v->db))
        TRY(txn_begin(&txn, v->db, err));
    TRY(find_day(v, *day, &found, err));
    *ret_was_last = found == INT64_MAX;
    if (*ret_was_last)
        return TG_OK;
    *day = found + 1;
    return verify_day(v, found, err);
}

static enum tg_status verify_all(struct verification *v, struct err *err)
{
    int64_t day = 0;
    int64_t orphans = 0;
    bool was_last = false;

    while (!was_last)
        TRY(verify_next_day(v, &day, &was_last, err));
    TRY(read_int(v->db, double_ended_sql, 0, &v->verdict.double_ended, err));
    TRY(read_int(v->db, open_holds_sql, 0, &v->verdict.open_holds, err));
    TRY(read_int(v->db, orphans_sql, 0, &orphans, err));
    v->verdict.out_of_range += orphans;
    return TG_OK;
}

enum tg_status ledger_verify(struct db *db, struct ledger_verdict *ret_verdict, struct err *err)
{
    struct verification v = { .db = db };
    enum tg_status status;

    rollup_init(&v.rollup);
    status = verify_all(&v, err);
    rollup_fini(&v.rollup);
    if (status == TG_OK)
        *ret_verdict = v.verdict;
    return status;
}
