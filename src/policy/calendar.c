#include "policy/calendar.h"

#include "base/buf.h"
#include "base/try.h"
#include "ledger/account.h"
#include "policy/zone.h"
#include "store/stmt.h"

#include <assert.h>
#include <stdlib.h>

#define DAY_MS INT64_C(86400000)
/* A month and a half; longer ones are none of ours. */
#define PERIOD_MS_MAX (62 * DAY_MS)

#define OF_RULE "WHERE zone = ?1 AND window = ?2 AND week_start = ?3 AND anchor_day = ?4 "

static const char list_rows[] = "SELECT start_ms, end_ms FROM period " OF_RULE "ORDER BY start_ms";
static const char remove_rows[] = "DELETE FROM period " OF_RULE "AND start_ms >= ?5";
static const char add_row[] =
    "INSERT INTO period (zone, window, week_start, anchor_day, start_ms, end_ms) VALUES (?1, ?2, "
    "?3, ?4, ?5, ?6)";

struct calendar {
    struct zone *zone; /* NULL where the window is no calendar one, and so is the rest */
    char zone_name[ACCOUNT_TIMEZONE_SIZE];
    struct period_rule rule; /* what its window does not need is 1 */
    struct buf bounds;       /* of int64_t: where each row begins, and where the last one ends */
};

/* --- bounds: rows are one fewer --- */

static void bounds_init(struct buf *bounds)
{
    buf_init(bounds, (CALENDAR_ROWS_MAX + 1) * sizeof(int64_t));
}

static size_t count_of(const struct buf *bounds)
{
    return buf_len(bounds) / sizeof(int64_t);
}

static int64_t bound_at(const struct buf *bounds, size_t index)
{
    int64_t bound_ms;

    assert(index < count_of(bounds));
    memcpy(&bound_ms, buf_span(bounds).ptr + index * sizeof(bound_ms), sizeof(bound_ms));
    return bound_ms;
}

static int64_t last_bound(const struct buf *bounds)
{
    return bound_at(bounds, count_of(bounds) - 1);
}

static enum tg_status add_bound(struct buf *bounds, int64_t bound_ms, struct err *err)
{
    if (count_of(bounds) > CALENDAR_ROWS_MAX)
        return err_set(err, TG_OUT_OF_RANGE,
                       "more than %d periods would be needed: is the clock right?",
                       CALENDAR_ROWS_MAX);
    assert(count_of(bounds) == 0 || last_bound(bounds) < bound_ms);
    buf_put(bounds, &bound_ms, sizeof(bound_ms));
    return bounds->failed ? err_set(err, TG_NO_MEMORY, "out of memory") : TG_OK;
}

/* How many are at or before an instant. */
static size_t count_until(const struct buf *bounds, int64_t wall_ms)
{
    size_t low = 0;
    size_t high = count_of(bounds);

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (bound_at(bounds, middle) <= wall_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where the period ends that begins at a bound. The zone may have none there by now, but in the
 * middle of a period: what is left of that one is a period if it is half or more, else it is joined
 * to the next. */
static int64_t bound_after(const struct calendar *calendar, int64_t bound_ms)
{
    struct period period;

    period_at(calendar->zone, &calendar->rule, bound_ms, &period);
    if (period.end_ms - bound_ms < (period.end_ms - period.start_ms) / 2)
        period_next(calendar->zone, &calendar->rule, &period, &period);
    return period.end_ms;
}

/* --- rows --- */

static enum tg_status prepare(struct stmt *stmt, struct db *db, const char *sql,
                              const struct calendar *calendar, struct err *err)
{
    TRY(stmt_prepare(stmt, db, sql, err));
    stmt_bind_text(stmt, 1, span_from(calendar->zone_name));
    stmt_bind_text(stmt, 2, span_from(period_window_name(calendar->rule.window)));
    stmt_bind_int(stmt, 3, calendar->rule.week_start);
    stmt_bind_int(stmt, 4, calendar->rule.anchor_day);
    return TG_OK;
}

static enum tg_status take_row(struct buf *bounds, const struct period *row, struct err *err)
{
    const bool is_first = count_of(bounds) == 0;

    if (row->end_ms <= 0 || row->end_ms <= row->start_ms ||
        row->end_ms - row->start_ms > PERIOD_MS_MAX ||
        (!is_first && row->start_ms != last_bound(bounds)))
        return err_set(err, TG_CORRUPT,
                       "table period: the row that starts at %lld does not follow the one before "
                       "it; restore a backup",
                       (long long)row->start_ms);
    if (is_first)
        TRY(add_bound(bounds, row->start_ms, err));
    return add_bound(bounds, row->end_ms, err);
}

static enum tg_status read_rows(struct db *db, const struct calendar *calendar, struct buf *bounds,
                                struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = false;

    TRY(prepare(&stmt, db, list_rows, calendar, err));
    for (;;) {
        struct period row;

        TRY(stmt_step(&stmt, &has_row, err));
        if (!has_row)
            return TG_OK;
        row = (struct period){ .start_ms = stmt_int(&stmt, 0), .end_ms = stmt_int(&stmt, 1) };
        TRY(take_row(bounds, &row, err));
    }
}

static enum tg_status delete_from(struct db *db, const struct calendar *calendar, int64_t start_ms,
                                  struct err *err)
{
    AUTO(stmt) stmt = { 0 };

    TRY(prepare(&stmt, db, remove_rows, calendar, err));
    stmt_bind_int(&stmt, 5, start_ms);
    return stmt_run(&stmt, err);
}

/* Write the rows from one on. */
static enum tg_status insert_from(struct db *db, const struct calendar *calendar,
                                  const struct buf *bounds, size_t row, struct err *err)
{
    AUTO(stmt) stmt = { 0 };

    TRY(prepare(&stmt, db, add_row, calendar, err));
    for (; row + 1 < count_of(bounds); row++) {
        stmt_bind_int(&stmt, 5, bound_at(bounds, row));
        stmt_bind_int(&stmt, 6, bound_at(bounds, row + 1));
        TRY(stmt_run(&stmt, err));
    }
    return TG_OK;
}

/* --- what should be there --- */

/* The bounds up to the end of the last row that has begun; where none has, of one made now. */
static enum tg_status keep_begun(const struct calendar *calendar, const struct buf *stored,
                                 int64_t now_ms, struct buf *bounds, struct err *err)
{
    const size_t begun = count_until(stored, now_ms);
    struct period current;

    if (begun == 0) {
        period_at(calendar->zone, &calendar->rule, now_ms, &current);
        TRY(add_bound(bounds, current.start_ms, err));
        return add_bound(bounds, current.end_ms, err);
    }
    for (size_t i = 0; i <= begun && i < count_of(stored); i++)
        TRY(add_bound(bounds, bound_at(stored, i), err));
    return TG_OK;
}

/* Then as the zone has it, to CALENDAR_AHEAD_DAYS ahead and as far as there were rows. */
static enum tg_status plan(const struct calendar *calendar, const struct buf *stored,
                           int64_t now_ms, struct buf *bounds, struct err *err)
{
    int64_t until_ms = now_ms + CALENDAR_AHEAD_DAYS * DAY_MS;

    TRY(keep_begun(calendar, stored, now_ms, bounds, err));
    if (count_of(stored) > 0 && last_bound(stored) > until_ms)
        until_ms = last_bound(stored);
    while (last_bound(bounds) < until_ms)
        TRY(add_bound(bounds, bound_after(calendar, last_bound(bounds)), err));
    return TG_OK;
}

/* The first row in which two differ; how many both have, where they do not. */
static size_t first_difference(const struct buf *a, const struct buf *b)
{
    size_t row = 0;

    while (row + 1 < count_of(a) && row + 1 < count_of(b) && bound_at(a, row) == bound_at(b, row) &&
           bound_at(a, row + 1) == bound_at(b, row + 1))
        row++;
    return row;
}

/* Write where what should be there differs from what is. */
static enum tg_status write_rows(struct db *db, const struct calendar *calendar,
                                 const struct buf *stored, const struct buf *bounds,
                                 struct err *err)
{
    const size_t row = first_difference(stored, bounds);

    if (row + 1 < count_of(stored))
        TRY(delete_from(db, calendar, bound_at(stored, row), err));
    return insert_from(db, calendar, bounds, row, err);
}

static enum tg_status settle(struct db *db, struct calendar *calendar, int64_t now_ms,
                             struct err *err)
{
    AUTO(buf) stored;
    AUTO(buf) bounds;

    bounds_init(&stored);
    bounds_init(&bounds);
    TRY(read_rows(db, calendar, &stored, err));
    TRY(plan(calendar, &stored, now_ms, &bounds, err));
    TRY(write_rows(db, calendar, &stored, &bounds, err));
    buf_fini(&calendar->bounds);
    calendar->bounds = bounds;
    bounds_init(&bounds); /* it has moved */
    return TG_OK;
}

/* --- life cycle --- */

static enum tg_status open_zone(struct db *db, struct calendar *calendar, const char *zone_name,
                                int64_t now_ms, struct err *err)
{
    TRY(zone_load(span_from(zone_name), &calendar->zone, err));
    account_copy_text(span_from(zone_name), calendar->zone_name, sizeof(calendar->zone_name));
    if (calendar->rule.window != PERIOD_WEEK)
        calendar->rule.week_start = PERIOD_MONDAY;
    if (calendar->rule.window != PERIOD_MONTH)
        calendar->rule.anchor_day = 1;
    return settle(db, calendar, now_ms, err);
}

enum tg_status calendar_open(struct db *db, const struct calendar_choice *choice, int64_t now_ms,
                             struct calendar **ret_calendar, struct err *err)
{
    struct calendar *calendar = calloc(1, sizeof(*calendar));
    enum tg_status status = TG_OK;

    if (calendar == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory");
    calendar->rule = *choice->rule;
    bounds_init(&calendar->bounds);
    if (period_is_calendar(choice->rule->window))
        status = open_zone(db, calendar, choice->zone_name, now_ms, err);
    if (status != TG_OK) {
        calendar_free(calendar);
        return status;
    }
    *ret_calendar = calendar;
    return TG_OK;
}

void calendar_free(struct calendar *calendar)
{
    if (calendar == NULL)
        return;
    zone_free(calendar->zone);
    buf_fini(&calendar->bounds);
    free(calendar);
}

enum tg_status calendar_extend(struct db *db, struct calendar *calendar, int64_t now_ms,
                               struct err *err)
{
    struct zone *zone = NULL;
    struct zone *before = calendar->zone;
    enum tg_status status;

    if (before == NULL)
        return TG_OK;
    /* A file that is being replaced, or was removed: what is known of the zone still holds. */
    if (zone_load(span_from(calendar->zone_name), &zone, NULL) != TG_OK)
        return settle(db, calendar, now_ms, err);
    calendar->zone = zone;
    status = settle(db, calendar, now_ms, err);
    if (status != TG_OK)
        calendar->zone = before;
    zone_free(status == TG_OK ? before : zone);
    return status;
}

void calendar_at(const struct calendar *calendar, int64_t wall_ms, struct period *ret_period)
{
    const struct buf *bounds = &calendar->bounds;
    const size_t begun = count_until(bounds, wall_ms);

    if (begun > 0 && begun < count_of(bounds)) {
        ret_period->start_ms = bound_at(bounds, begun - 1);
        ret_period->end_ms = bound_at(bounds, begun);
        return;
    }
    period_at(calendar->zone, &calendar->rule, wall_ms, ret_period);
    if (calendar->zone == NULL)
        return;
    if (begun == 0) { /* at most up to the first row */
        if (ret_period->end_ms > bound_at(bounds, 0))
            ret_period->end_ms = bound_at(bounds, 0);
    } else { /* as it will be written */
        const int64_t last_ms = last_bound(bounds);
        const int64_t end_ms = bound_after(calendar, last_ms);

        if (wall_ms < end_ms)
            *ret_period = (struct period){ .start_ms = last_ms, .end_ms = end_ms };
    }
}
