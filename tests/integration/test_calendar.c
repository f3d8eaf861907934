/* Goal: periods tile time in every zone that the system has (P10), and those that have begun stay
 * as they are, whatever becomes of the zone files. Method: all zones, every month of 1990 to 2040
 * and every day of 2020 to 2030, with the C library to say what date each boundary has; calendars
 * on a real database, for which a changed zone file is made by rows that another zone's calendar
 * wrote. */

#include "policy/calendar.h"

#include "base/buf.h"
#include "base/clock.h"
#include "policy/zone.h"
#include "store/migrate.h"
#include "store/stmt.h"
#include "store/txn.h"
#include "support/suites.h"
#include "support/support_book.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define HOUR_MS      INT64_C(3600000)
#define DAY_MS       INT64_C(86400000)
#define NOW_MS       INT64_C(1795521600000) /* 2026-11-24T12:00:00Z */

static struct err err;

static void must(enum tg_status status)
{
    if (status != TG_OK)
        ck_abort_msg("%s: %s", tg_status_info(status)->name, err.text);
}

static int64_t ms_of(const char *text)
{
    int64_t wall_ms = -1;

    ck_assert_msg(clock_parse_rfc3339(span_from(text), &wall_ms), "%s", text);
    return wall_ms;
}

/* --- all zones ----------------------------------------------------------------------------------
 */

#define ZONES_FILE       "/usr/share/zoneinfo/tzdata.zi"
#define ZONES_FILE_BYTES (1 << 20)
#define ZONES_MIN        400 /* without the links, which a package of its own may have */

static void read_zones_file(struct buf *text)
{
    const int fd = open(ZONES_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    ck_assert_msg(fd >= 0, "%s is missing: install tzdata", ZONES_FILE);
    do {
        char *room = buf_reserve(text, 65536);

        ck_assert_ptr_nonnull(room);
        got = read(fd, room, 65536);
        ck_assert_int_ge(got, 0);
        buf_commit(text, (size_t)got);
    } while (got > 0);
    ck_assert_int_eq(close(fd), 0);
}

/* "Z Europe/Berlin 0:53:28 - LMT ...", "L Europe/Berlin Arctic/Longyearbyen" */
static bool name_of_line(struct span line, struct span *ret_name)
{
    struct span word;

    if (!span_cut(&line, ' ', &word) || word.len != 1 || (*word.ptr != 'Z' && *word.ptr != 'L'))
        return false;
    if (*word.ptr == 'L' && !span_cut(&line, ' ', ret_name))
        return false;
    return span_cut(&line, ' ', ret_name);
}

/* Call for each zone that has a file; returns how many. */
static int each_zone(void (*look)(const char *name, const struct zone *zone))
{
    AUTO(buf) text;
    struct span rest;
    struct span line;
    struct span name;
    int count = 0;

    buf_init(&text, ZONES_FILE_BYTES);
    read_zones_file(&text);
    rest = buf_span(&text);
    while (span_cut(&rest, '\n', &line)) {
        AUTO_PTR(zone) zone = NULL;
        enum tg_status status;

        if (!name_of_line(line, &name))
            continue;
        status = zone_load(name, &zone, &err);
        if (status == TG_NOT_FOUND)
            continue;
        must(status);
        char *copy = span_to_string(name);

        ck_assert_ptr_nonnull(copy);
        look(copy, zone);
        free(copy);
        count++;
    }
    return count;
}

static int64_t library_date(int64_t wall_ms)
{
    const time_t at = (time_t)(wall_ms / 1000);
    struct tm local;

    if (localtime_r(&at, &local) == NULL)
        ck_abort_msg("%ld", (long)wall_ms);
    return clock_days_from_civil(local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
}

/* Walk along the periods of a rule; each begins where the last ended, has its instants and no
 * other, and is there where the library first shows the date of its beginning. An assertion that
 * holds would cost a system call each. */
static void walk(const char *name, const struct zone *zone, const struct period_rule *rule,
                 struct period range)
{
    struct period period;

    period_at(zone, rule, range.start_ms, &period);
    while (period.end_ms < range.end_ms) {
        const int64_t instants[] = { period.start_ms, (period.start_ms + period.end_ms) / 2,
                                     period.end_ms - 1 };
        const int64_t start_ms = period.start_ms;
        const int64_t end_ms = period.end_ms;

        if (library_date(start_ms - 1) >= library_date(start_ms))
            ck_abort_msg("%s: no date begins at %ld", name, (long)start_ms);
        for (int i = 0; i < COUNT(instants); i++) {
            period_at(zone, rule, instants[i], &period);
            if (period.start_ms != start_ms || period.end_ms != end_ms)
                ck_abort_msg("%s: %ld is in two periods", name, (long)instants[i]);
        }
        period_next(zone, rule, &period, &period);
        if (period.start_ms != end_ms || period.end_ms <= end_ms)
            ck_abort_msg("%s: a gap at %ld", name, (long)end_ms);
    }
}

static void use_library(const char *name)
{
    if (setenv("TZ", name, 1) != 0)
        ck_abort();
    tzset();
}

static void walk_months(const char *name, const struct zone *zone)
{
    static const struct period_rule rule = { .window = PERIOD_MONTH, .anchor_day = 1 };
    const struct period range = { ms_of("1990-01-01"), ms_of("2041-01-02") };

    use_library(name);
    walk(name, zone, &rule, range);
}

START_TEST(months_of_1990_to_2040_tile_in_every_zone)
{
    ck_assert_int_ge(each_zone(walk_months), ZONES_MIN);
}
END_TEST

static void walk_days(const char *name, const struct zone *zone)
{
    static const struct period_rule rule = { .window = PERIOD_DAY };
    const struct period range = { ms_of("2020-01-01"), ms_of("2031-01-02") };

    use_library(name);
    walk(name, zone, &rule, range);
}

START_TEST(days_of_2020_to_2030_tile_in_every_zone)
{
    ck_assert_int_ge(each_zone(walk_days), ZONES_MIN);
}
END_TEST

/* --- calendars ----------------------------------------------------------------------------------
 */

static struct support_book place;
static struct db *db;

static void setup(void)
{
    int applied;

    err.text[0] = '\0';
    support_book_place(&place);
    must(db_open(place.path, DB_WRITE, &db, &err));
    must(migrate_run(db, tg_migrations, tg_migration_count, &applied, &err));
}

static void teardown(void)
{
    db_close(db);
    support_book_remove(&place);
}

static const struct period_rule day = { .window = PERIOD_DAY };
static const struct period_rule week = { .window = PERIOD_WEEK, .week_start = 3 };
static const struct period_rule month = { .window = PERIOD_MONTH, .anchor_day = 28 };
static const struct period_rule *const calendar_rules[] = { &day, &week, &month };

static enum tg_status try_open(const char *zone, const struct period_rule *rule, int64_t now_ms,
                               struct calendar **ret_calendar)
{
    const struct calendar_choice choice = { zone, rule };
    AUTO(txn) txn = { 0 };
    enum tg_status status;

    must(txn_begin(&txn, db, &err));
    status = calendar_open(db, &choice, now_ms, ret_calendar, &err);
    must(txn_commit(&txn, &err));
    return status;
}

static struct calendar *open_calendar(const char *zone, const struct period_rule *rule,
                                      int64_t now_ms)
{
    struct calendar *calendar = NULL;

    must(try_open(zone, rule, now_ms, &calendar));
    return calendar;
}

static void extend(struct calendar *calendar, int64_t now_ms)
{
    AUTO(txn) txn = { 0 };

    must(txn_begin(&txn, db, &err));
    must(calendar_extend(db, calendar, now_ms, &err));
    must(txn_commit(&txn, &err));
}

static void run_sql(const char *sql)
{
    AUTO(txn) txn = { 0 };

    must(txn_begin(&txn, db, &err));
    must(stmt_run_script(db, sql, &err));
    must(txn_commit(&txn, &err));
}

static int64_t number(const char *sql)
{
    return support_book_number(&place, sql);
}

#define GAPS                                                                                       \
    "SELECT count(*) FROM period AS p WHERE start_ms <> (SELECT min(start_ms) FROM period AS q "   \
    "WHERE q.zone = p.zone AND q.window = p.window AND q.week_start = p.week_start AND "           \
    "q.anchor_day = p.anchor_day) AND NOT EXISTS (SELECT 1 FROM period AS q WHERE q.zone = "       \
    "p.zone AND q.window = p.window AND q.week_start = p.week_start AND q.anchor_day = "           \
    "p.anchor_day AND q.end_ms = p.start_ms) /* scan */"
#define LAST_MS "SELECT max(end_ms) FROM period /* scan */"

/* What a calendar says tiles a stretch of time. */
static void says_tiles(const struct calendar *calendar, int64_t from_ms, int64_t to_ms)
{
    struct period period;
    struct period last;

    calendar_at(calendar, from_ms, &period);
    while (period.end_ms < to_ms) {
        calendar_at(calendar, period.end_ms - 1, &last);
        if (last.start_ms != period.start_ms || last.end_ms != period.end_ms)
            ck_abort_msg("two periods have %ld", (long)period.end_ms - 1);
        calendar_at(calendar, last.end_ms, &period);
        if (period.start_ms != last.end_ms || period.end_ms <= period.start_ms)
            ck_abort_msg("a gap at %ld", (long)last.end_ms);
    }
}

START_TEST(a_new_calendar_has_rows_400_days_ahead)
{
    AUTO_PTR(zone) zone = NULL;
    AUTO_PTR(calendar) calendar = open_calendar("America/Havana", calendar_rules[_i], NOW_MS);
    struct period first;
    struct period last;

    must(zone_load(SPAN("America/Havana"), &zone, &err));
    period_at(zone, calendar_rules[_i], NOW_MS, &first);
    period_at(zone, calendar_rules[_i], NOW_MS + CALENDAR_AHEAD_DAYS * DAY_MS - 1, &last);
    ck_assert_int_eq(number("SELECT min(start_ms) FROM period /* scan */"), first.start_ms);
    ck_assert_int_eq(number(LAST_MS), last.end_ms);
    ck_assert_int_eq(number(GAPS), 0);
}
END_TEST

/* The table, and what lies before and behind it. */
START_TEST(a_calendar_says_what_the_zone_does)
{
    AUTO_PTR(zone) zone = NULL;
    AUTO_PTR(calendar) calendar = open_calendar("America/Havana", calendar_rules[_i], NOW_MS);

    must(zone_load(SPAN("America/Havana"), &zone, &err));
    for (int64_t at_ms = NOW_MS - 800 * DAY_MS; at_ms < NOW_MS + 1200 * DAY_MS; at_ms += HOUR_MS) {
        struct period wanted;
        struct period period;

        period_at(zone, calendar_rules[_i], at_ms, &wanted);
        calendar_at(calendar, at_ms, &period);
        if (period.start_ms != wanted.start_ms || period.end_ms != wanted.end_ms)
            ck_abort_msg("at %ld", (long)at_ms);
    }
    says_tiles(calendar, 0, NOW_MS + 1200 * DAY_MS);
}
END_TEST

/* Windows without a zone need no row and no zone. */
START_TEST(minutes_hours_and_the_total_have_no_rows)
{
    static const enum period_window windows[] = { PERIOD_MINUTE, PERIOD_HOUR, PERIOD_TOTAL };
    const struct period_rule rule = { .window = windows[_i] };
    AUTO_PTR(calendar) calendar = open_calendar("No/Where", &rule, NOW_MS);
    struct period wanted;
    struct period period;

    extend(calendar, NOW_MS + DAY_MS);
    period_at(NULL, &rule, NOW_MS, &wanted);
    calendar_at(calendar, NOW_MS, &period);
    ck_assert_int_eq(period.start_ms, wanted.start_ms);
    ck_assert_int_eq(period.end_ms, wanted.end_ms);
    ck_assert_int_eq(number("SELECT count(*) FROM period /* scan */"), 0);
}
END_TEST

/* A row written again would have to go first. */
#define FORBID_DELETE                                                                              \
    "CREATE TRIGGER no_delete BEFORE DELETE ON period BEGIN SELECT RAISE(ABORT, 'gone'); END"

START_TEST(an_opened_again_calendar_writes_nothing)
{
    AUTO_PTR(calendar) first = open_calendar("Europe/Berlin", calendar_rules[_i], NOW_MS);
    AUTO_PTR(calendar) again = NULL;
    const int64_t rows = number("SELECT count(*) FROM period /* scan */");

    run_sql(FORBID_DELETE);
    run_sql(
        "CREATE TRIGGER no_insert BEFORE INSERT ON period BEGIN SELECT RAISE(ABORT, 'new'); END");
    again = open_calendar("Europe/Berlin", calendar_rules[_i], NOW_MS);
    ck_assert_int_eq(number("SELECT count(*) FROM period /* scan */"), rows);
}
END_TEST

/* What its window does not need does not tell one calendar from another. */
START_TEST(equal_rules_share_their_rows)
{
    const struct period_rule other = { .window = PERIOD_DAY, .week_start = 5, .anchor_day = 9 };
    AUTO_PTR(calendar) a = open_calendar("Europe/Berlin", &day, NOW_MS);
    const int64_t rows = number("SELECT count(*) FROM period /* scan */");
    AUTO_PTR(calendar) b = open_calendar("Europe/Berlin", &other, NOW_MS);
    AUTO_PTR(calendar) c = NULL;

    ck_assert_int_eq(number("SELECT count(*) FROM period /* scan */"), rows);
    c = open_calendar("Europe/Paris", &day, NOW_MS);
    ck_assert_int_eq(number("SELECT count(*) FROM period /* scan */"), 2 * rows);
}
END_TEST

START_TEST(each_day_adds_a_row)
{
    AUTO_PTR(calendar) calendar = open_calendar("Pacific/Auckland", &day, NOW_MS);
    const int64_t rows = number("SELECT count(*) FROM period /* scan */");

    run_sql(FORBID_DELETE);
    for (int i = 1; i <= 30; i++) {
        extend(calendar, NOW_MS + i * DAY_MS);
        ck_assert_int_eq(number("SELECT count(*) FROM period /* scan */"), rows + i);
    }
    ck_assert_int_eq(number(GAPS), 0);
    says_tiles(calendar, NOW_MS - 10 * DAY_MS, NOW_MS + 500 * DAY_MS);
}
END_TEST

/* A machine that was off: by an extension, and by a new start. */
START_TEST(years_later_the_rows_go_on_where_they_ended)
{
    const int64_t later_ms = NOW_MS + 1000 * DAY_MS;
    AUTO_PTR(calendar) calendar = open_calendar("Europe/Berlin", calendar_rules[_i / 2], NOW_MS);

    run_sql(FORBID_DELETE);
    if (_i % 2 == 0) {
        extend(calendar, later_ms);
    } else {
        calendar_free(calendar);
        calendar = open_calendar("Europe/Berlin", calendar_rules[_i / 2], later_ms);
    }
    ck_assert_int_eq(number(GAPS), 0);
    ck_assert_int_ge(number(LAST_MS), later_ms + CALENDAR_AHEAD_DAYS * DAY_MS);
    ck_assert_int_le(number("SELECT min(start_ms) FROM period /* scan */"), NOW_MS);
    says_tiles(calendar, NOW_MS - 100 * DAY_MS, later_ms + 600 * DAY_MS);
}
END_TEST

/* The transaction is undone: what calendar_at says is as good as before, and the next extension
 * writes it. */
START_TEST(what_is_rolled_back_is_written_next_time)
{
    const struct calendar_choice choice = { "Europe/Berlin", &day };
    AUTO_PTR(calendar) calendar = NULL;

    {
        AUTO(txn) txn = { 0 };

        must(txn_begin(&txn, db, &err));
        must(calendar_open(db, &choice, NOW_MS, &calendar, &err));
        txn_rollback(&txn);
    }
    ck_assert_int_eq(number("SELECT count(*) FROM period /* scan */"), 0);
    says_tiles(calendar, NOW_MS - DAY_MS, NOW_MS + 500 * DAY_MS);
    extend(calendar, NOW_MS + DAY_MS);
    ck_assert_int_ge(number("SELECT count(*) FROM period /* scan */"), CALENDAR_AHEAD_DAYS);
}
END_TEST

/* --- when zone files change ---------------------------------------------------------------------
 */

/* As if the file of `zone` had been that of `was` until now. */
static void pretend(const char *zone, const char *was, const struct period_rule *rule)
{
    AUTO_PTR(calendar) calendar = open_calendar(was, rule, NOW_MS);
    char sql[400];

    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO period SELECT '%s', window, week_start, anchor_day, start_ms, "
                   "end_ms FROM period WHERE zone = '%s'",
                   zone, was);
    run_sql(sql);
}

/* An hour earlier, an hour later, the other side of the world, no change at all; now is on the 24th
 * at noon UTC. */
static const struct {
    const char *zone;
    const char *was;
    const char *now;    /* of the second look */
    const char *starts; /* the day that is on then, as it was stored */
    const char *ends;
    const char *next_ends; /* and the next, as the zone has it */
} changed[] = {
    { "Europe/Kyiv", "Europe/Berlin", "2026-11-24T12:00:00Z", "2026-11-23T23:00:00Z",
      "2026-11-24T23:00:00Z", "2026-11-25T22:00:00Z" },
    { "Europe/London", "Europe/Berlin", "2026-11-24T12:00:00Z", "2026-11-23T23:00:00Z",
      "2026-11-24T23:00:00Z", "2026-11-26T00:00:00Z" },
    { "Asia/Tokyo", "America/New_York", "2026-11-24T12:00:00Z", "2026-11-24T05:00:00Z",
      "2026-11-25T05:00:00Z", "2026-11-26T15:00:00Z" },
    { "America/New_York", "Asia/Tokyo", "2026-11-24T12:00:00Z", "2026-11-23T15:00:00Z",
      "2026-11-24T15:00:00Z", "2026-11-25T05:00:00Z" },
    { "Europe/Vienna", "Europe/Berlin", "2026-11-24T12:00:00Z", "2026-11-23T23:00:00Z",
      "2026-11-24T23:00:00Z", "2026-11-25T23:00:00Z" },
    /* its first and its last instant */
    { "Europe/Kyiv", "Europe/Berlin", "2026-12-24T23:00:00Z", "2026-12-24T23:00:00Z",
      "2026-12-25T23:00:00Z", "2026-12-26T22:00:00Z" },
    { "Europe/Kyiv", "Europe/Berlin", "2026-12-24T22:59:59.999Z", "2026-12-23T23:00:00Z",
      "2026-12-24T23:00:00Z", "2026-12-25T22:00:00Z" },
};

START_TEST(a_changed_zone_moves_only_what_is_still_to_come)
{
    const int64_t now_ms = ms_of(changed[_i].now);
    AUTO_PTR(zone) zone = NULL;
    AUTO_PTR(calendar) calendar = NULL;
    struct period period;
    struct period wanted;

    pretend(changed[_i].zone, changed[_i].was, &day);
    calendar = open_calendar(changed[_i].zone, &day, now_ms);
    calendar_at(calendar, now_ms, &period);
    ck_assert_int_eq(period.start_ms, ms_of(changed[_i].starts));
    ck_assert_int_eq(period.end_ms, ms_of(changed[_i].ends));
    calendar_at(calendar, period.end_ms, &period);
    ck_assert_int_eq(period.start_ms, ms_of(changed[_i].ends));
    ck_assert_int_eq(period.end_ms, ms_of(changed[_i].next_ends));

    /* From there on it is the zone's, and before it was the old one's. */
    must(zone_load(span_from(changed[_i].zone), &zone, &err));
    for (int i = 0; i < 500; i++) {
        calendar_at(calendar, period.end_ms, &period);
        period_at(zone, &day, period.start_ms, &wanted);
        ck_assert_int_eq(period.start_ms, wanted.start_ms);
        ck_assert_int_eq(period.end_ms, wanted.end_ms);
    }
    ck_assert_int_eq(number(GAPS), 0);
    says_tiles(calendar, NOW_MS - 20 * DAY_MS, NOW_MS + 500 * DAY_MS);
}
END_TEST

START_TEST(a_changed_zone_leaves_every_row_that_has_begun)
{
    const int64_t now_ms = NOW_MS + 100 * DAY_MS;
    char same[600];

    pretend("Asia/Tokyo", "Europe/Berlin", calendar_rules[_i]);
    calendar_free(open_calendar("Asia/Tokyo", calendar_rules[_i], now_ms));
    (void)snprintf(same, sizeof(same),
                   "SELECT (SELECT count(*) FROM period WHERE zone = 'Europe/Berlin' AND start_ms "
                   "<= %lld) - (SELECT count(*) FROM period AS a JOIN period AS b USING (window, "
                   "week_start, anchor_day, start_ms, end_ms) WHERE a.zone = 'Europe/Berlin' AND "
                   "b.zone = 'Asia/Tokyo' AND start_ms <= %lld) /* scan */",
                   (long long)now_ms, (long long)now_ms);
    ck_assert_int_eq(number(same), 0);
    ck_assert_int_eq(number(GAPS), 0);
    /* Whatever the change, no period is shorter than half of one. */
    ck_assert_int_eq(number("SELECT count(*) FROM period WHERE window = 'day' AND end_ms - "
                            "start_ms < 12 * 3600000 /* scan */"),
                     0);
}
END_TEST

/* Once replaced, it is as if it had always been so. */
START_TEST(a_changed_zone_is_written_once)
{
    AUTO_PTR(calendar) calendar = NULL;
    AUTO_PTR(calendar) again = NULL;

    pretend("Europe/Kyiv", "Europe/Berlin", &day);
    calendar = open_calendar("Europe/Kyiv", &day, NOW_MS);
    run_sql(FORBID_DELETE);
    again = open_calendar("Europe/Kyiv", &day, NOW_MS);
    for (int i = 1; i < 5; i++)
        extend(calendar, NOW_MS + i * DAY_MS);
    ck_assert_int_eq(number(GAPS), 0);
}
END_TEST

/* The same through the extension of a calendar that has the rows of before in memory. */
START_TEST(a_zone_that_changes_meanwhile_is_taken_up)
{
    AUTO_PTR(calendar) calendar = open_calendar("Europe/Kyiv", &day, NOW_MS);
    struct period period;

    run_sql("DELETE FROM period");
    pretend("Europe/Kyiv", "Europe/London", &day);
    extend(calendar, NOW_MS);
    calendar_at(calendar, NOW_MS, &period);
    ck_assert_int_eq(period.end_ms, ms_of("2026-11-25T00:00:00Z"));
    calendar_at(calendar, period.end_ms, &period);
    ck_assert_int_eq(period.end_ms, ms_of("2026-11-25T22:00:00Z"));
    ck_assert_int_eq(number(GAPS), 0);
}
END_TEST

/* A clock that was far ahead once: what it left is all still to come, and makes way. */
START_TEST(rows_that_are_all_still_to_come_make_way)
{
    AUTO_PTR(calendar) ahead = open_calendar("Europe/Berlin", &day, NOW_MS + 3000 * DAY_MS);
    AUTO_PTR(calendar) calendar = open_calendar("Europe/Berlin", &day, NOW_MS);

    ck_assert_int_eq(number("SELECT min(start_ms) FROM period /* scan */"),
                     ms_of("2026-11-23T23:00:00Z"));
    ck_assert_int_eq(number(GAPS), 0);
    says_tiles(calendar, NOW_MS - 20 * DAY_MS, NOW_MS + 3500 * DAY_MS);
}
END_TEST

/* --- failures -----------------------------------------------------------------------------------
 */

static const char *const damages[] = {
    "DELETE FROM period WHERE start_ms = (SELECT start_ms FROM period ORDER BY start_ms LIMIT 1 "
    "OFFSET 7 /* scan */)",
    "INSERT INTO period SELECT zone, window, week_start, anchor_day, start_ms + 1, end_ms FROM "
    "period LIMIT 1 /* scan */",
    "INSERT INTO period SELECT zone, window, week_start, anchor_day, max(end_ms), "
    "9000000000000000000 FROM period /* scan */",
};

START_TEST(rows_that_do_not_follow_each_other_are_corrupt)
{
    AUTO_PTR(calendar) calendar = open_calendar("Europe/Berlin", &day, NOW_MS);
    AUTO_PTR(calendar) again = NULL;

    run_sql(damages[_i]);
    ck_assert_int_eq(try_open("Europe/Berlin", &day, NOW_MS, &again), TG_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.text, "restore a backup"));
    ck_assert_ptr_null(again);
}
END_TEST

START_TEST(a_period_never_changes)
{
    AUTO_PTR(calendar) calendar = open_calendar("Europe/Berlin", &day, NOW_MS);
    AUTO(txn) txn = { 0 };

    must(txn_begin(&txn, db, &err));
    ck_assert_int_ne(stmt_run_script(db, "UPDATE period SET end_ms = end_ms + 1 /* scan */", &err),
                     TG_OK);
}
END_TEST

/* A clock that was set to nonsense writes no table full of rows. */
START_TEST(a_clock_of_another_age_is_out_of_range)
{
    AUTO_PTR(calendar) calendar = open_calendar("Europe/Berlin", &day, NOW_MS);
    AUTO_PTR(calendar) again = NULL;
    struct period period;

    ck_assert_int_eq(try_open("Europe/Berlin", &day, ms_of("9000-01-01"), &again), TG_OUT_OF_RANGE);
    ck_assert_ptr_nonnull(strstr(err.text, "is the clock right?"));
    calendar_at(calendar, ms_of("9000-01-01T12:00:00Z"), &period); /* which is no reason to fail */
    ck_assert_int_eq(period.end_ms - period.start_ms, DAY_MS);
}
END_TEST

START_TEST(a_calendar_of_no_zone_is_not_opened)
{
    struct calendar *calendar = NULL;

    ck_assert_int_eq(try_open("No/Where", calendar_rules[_i], NOW_MS, &calendar), TG_NOT_FOUND);
    ck_assert_ptr_null(calendar);
    ck_assert_int_eq(number("SELECT count(*) FROM period /* scan */"), 0);
}
END_TEST

static TCase *zones_case(void)
{
    TCase *tc = tcase_create("zones");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, months_of_1990_to_2040_tile_in_every_zone);
    tcase_add_test(tc, days_of_2020_to_2030_tile_in_every_zone);
    return tc;
}

Suite *suite(void)
{
    Suite *s = suite_create("calendar");
    TCase *tc = tcase_create("calendar");

    suite_add_tcase(s, zones_case());
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, a_new_calendar_has_rows_400_days_ahead, 0, COUNT(calendar_rules));
    tcase_add_loop_test(tc, a_calendar_says_what_the_zone_does, 0, COUNT(calendar_rules));
    tcase_add_loop_test(tc, minutes_hours_and_the_total_have_no_rows, 0, 3);
    tcase_add_loop_test(tc, an_opened_again_calendar_writes_nothing, 0, COUNT(calendar_rules));
    tcase_add_test(tc, equal_rules_share_their_rows);
    tcase_add_test(tc, each_day_adds_a_row);
    tcase_add_loop_test(tc, years_later_the_rows_go_on_where_they_ended, 0,
                        2 * COUNT(calendar_rules));
    tcase_add_test(tc, what_is_rolled_back_is_written_next_time);
    tcase_add_loop_test(tc, a_changed_zone_moves_only_what_is_still_to_come, 0, COUNT(changed));
    tcase_add_loop_test(tc, a_changed_zone_leaves_every_row_that_has_begun, 0,
                        COUNT(calendar_rules));
    tcase_add_test(tc, a_changed_zone_is_written_once);
    tcase_add_test(tc, a_zone_that_changes_meanwhile_is_taken_up);
    tcase_add_test(tc, rows_that_are_all_still_to_come_make_way);
    tcase_add_loop_test(tc, rows_that_do_not_follow_each_other_are_corrupt, 0, COUNT(damages));
    tcase_add_test(tc, a_period_never_changes);
    tcase_add_test(tc, a_clock_of_another_age_is_out_of_range);
    tcase_add_loop_test(tc, a_calendar_of_no_zone_is_not_opened, 0, COUNT(calendar_rules));
    suite_add_tcase(s, tc);
    return s;
}
