/* Goal: the period of an instant is the one that a calendar of the zone would name, at the edges
 * too, and the next begins where it ends. Method: known periods of zones with a peculiarity, each
 * asked for at its first and its last instant and just outside; a walk along the windows. */

#include "policy/period.h"

#include "base/clock.h"
#include "policy/zone.h"
#include "support/suites.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define DAY_MS       INT64_C(86400000)

static int64_t ms_of(const char *text)
{
    int64_t wall_ms = -1;

    ck_assert_msg(clock_parse_rfc3339(span_from(text), &wall_ms), "%s", text);
    return wall_ms;
}

static struct zone *load(const char *name)
{
    struct zone *zone = NULL;
    struct err err = { 0 };

    ck_assert_msg(zone_load(span_from(name), &zone, &err) == TG_OK, "%s", err.text);
    return zone;
}

static const char *const window_names[] = { "minute", "hour", "day", "week", "month", "total" };

START_TEST(a_window_is_read_back_from_its_name)
{
    enum period_window window;

    ck_assert_int_eq(COUNT(window_names), PERIOD_WINDOW_COUNT);
    ck_assert(period_window_parse(span_from(window_names[_i]), &window));
    ck_assert_int_eq(window, _i);
    ck_assert_str_eq(period_window_name(window), window_names[_i]);
    ck_assert_int_eq(period_is_calendar(window), _i >= 2 && _i <= 4);
}
END_TEST

static const char *const no_windows[] = { "", "Day", "days", "year", "dayx", "da" };

START_TEST(other_names_are_none)
{
    enum period_window window = PERIOD_TOTAL;

    ck_assert(!period_window_parse(span_from(no_windows[_i]), &window));
    ck_assert_int_eq(window, PERIOD_TOTAL);
}
END_TEST

#define DAY      PERIOD_DAY, 0, 0
#define WEEK(n)  PERIOD_WEEK, n, 0
#define MONTH(n) PERIOD_MONTH, 0, n

static const struct {
    const char *zone;
    struct period_rule rule;
    const char *start;
    const char *end;
} known[] = {
    /* of UTC, in all zones */
    { "Asia/Kathmandu", { PERIOD_MINUTE, 0, 0 }, "2026-11-24T17:30:00Z", "2026-11-24T17:31:00Z" },
    { "Asia/Kathmandu", { PERIOD_HOUR, 0, 0 }, "2026-11-24T17:00:00Z", "2026-11-24T18:00:00Z" },
    /* February */
    { "UTC", { MONTH(1) }, "2000-02-01", "2000-03-01" },
    { "UTC", { DAY }, "2000-02-29", "2000-03-01" },
    { "UTC", { MONTH(1) }, "2024-02-01", "2024-03-01" },
    { "UTC", { DAY }, "2024-02-29", "2024-03-01" },
    { "UTC", { MONTH(1) }, "2100-02-01", "2100-03-01" },
    { "UTC", { DAY }, "2100-02-28", "2100-03-01" },
    /* anchors: one month has the day of the other's end, or has not */
    { "UTC", { MONTH(28) }, "2100-02-28", "2100-03-28" },
    { "UTC", { MONTH(28) }, "2024-01-28", "2024-02-28" },
    { "UTC", { MONTH(15) }, "2025-12-15", "2026-01-15" },
    { "America/New_York", { MONTH(28) }, "2026-02-28T05:00:00Z", "2026-03-28T04:00:00Z" },
    /* weeks around Tuesday, 2026-11-24 */
    { "UTC", { WEEK(1) }, "2026-11-23", "2026-11-30" },
    { "UTC", { WEEK(2) }, "2026-11-24", "2026-12-01" },
    { "UTC", { WEEK(3) }, "2026-11-18", "2026-11-25" },
    { "UTC", { WEEK(4) }, "2026-11-19", "2026-11-26" },
    { "UTC", { WEEK(5) }, "2026-11-20", "2026-11-27" },
    { "UTC", { WEEK(6) }, "2026-11-21", "2026-11-28" },
    { "UTC", { WEEK(7) }, "2026-11-22", "2026-11-29" },
    /* midnight twice */
    { "America/Havana", { MONTH(1) }, "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z" },
    { "America/Havana", { DAY }, "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z" },
    { "America/Havana", { WEEK(7) }, "2026-11-01T04:00:00Z", "2026-11-08T05:00:00Z" },
    /* 23:01 of the day before comes back after midnight; the new day goes on */
    { "America/St_Johns", { DAY }, "2006-10-29T02:30:00Z", "2006-10-30T03:30:00Z" },
    { "America/St_Johns", { DAY }, "2006-10-28T02:30:00Z", "2006-10-29T02:30:00Z" },
    /* no midnight */
    { "America/Asuncion", { MONTH(1) }, "2017-10-01T04:00:00Z", "2017-11-01T03:00:00Z" },
    { "America/Asuncion", { DAY }, "2017-10-01T04:00:00Z", "2017-10-02T03:00:00Z" },
    /* no December 30th */
    { "Pacific/Apia", { DAY }, "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z" },
    { "Pacific/Apia", { DAY }, "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z" },
    { "Pacific/Apia", { MONTH(1) }, "2011-12-01T10:00:00Z", "2011-12-31T10:00:00Z" },
    { "Pacific/Apia",
      { WEEK(5) },
      "2011-12-23T10:00:00Z",
      "2011-12-30T10:00:00Z" }, /* it is a Friday */
    { "Pacific/Apia", { WEEK(5) }, "2011-12-30T10:00:00Z", "2012-01-05T10:00:00Z" },
    /* quarter hours, half hours, two hours, a whole month of other time */
    { "Asia/Kathmandu", { MONTH(1) }, "2026-10-31T18:15:00Z", "2026-11-30T18:15:00Z" },
    { "Australia/Lord_Howe", { DAY }, "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z" },
    { "Australia/Lord_Howe", { DAY }, "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z" },
    { "Antarctica/Troll", { DAY }, "2026-03-29T00:00:00Z", "2026-03-29T22:00:00Z" },
    { "Antarctica/Troll", { DAY }, "2026-10-24T22:00:00Z", "2026-10-26T00:00:00Z" },
    { "Africa/Casablanca", { DAY }, "2026-02-14T23:00:00Z", "2026-02-16T00:00:00Z" },
    { "Africa/Casablanca", { MONTH(1) }, "2026-03-01T00:00:00Z", "2026-03-31T23:00:00Z" },
};

START_TEST(a_period_is_known_from_its_first_to_its_last_instant)
{
    AUTO_PTR(zone) zone = load(known[_i].zone);
    const struct period_rule *rule = &known[_i].rule;
    const int64_t start_ms = ms_of(known[_i].start);
    const int64_t end_ms = ms_of(known[_i].end);
    const int64_t inside[] = { start_ms, start_ms + 1, (start_ms + end_ms) / 2, end_ms - 1 };
    struct period period;

    for (int i = 0; i < COUNT(inside); i++) {
        period_at(zone, rule, inside[i], &period);
        ck_assert_int_eq(period.start_ms, start_ms);
        ck_assert_int_eq(period.end_ms, end_ms);
    }
    period_at(zone, rule, start_ms - 1, &period);
    ck_assert_int_eq(period.end_ms, start_ms);
    period_next(zone, rule, &period, &period);
    ck_assert_int_eq(period.start_ms, start_ms);
    ck_assert_int_eq(period.end_ms, end_ms);
    period_next(zone, rule, &period, &period);
    ck_assert_int_eq(period.start_ms, end_ms);
}
END_TEST

START_TEST(the_total_is_all_of_time)
{
    const struct period_rule rule = { .window = PERIOD_TOTAL };
    const int64_t instants[] = { 0, 1, ms_of("2100-12-31"), INT64_MAX - 1 };

    for (int i = 0; i < COUNT(instants); i++) {
        struct period period;

        period_at(NULL, &rule, instants[i], &period);
        ck_assert_int_eq(period.start_ms, 0);
        ck_assert_int_eq(period.end_ms, INT64_MAX);
    }
}
END_TEST

static const struct {
    const char *zone;
    struct period_rule rule;
    int64_t start_ms;
} first[] = {
    { "UTC", { PERIOD_MINUTE, 0, 0 }, 0 },
    { "UTC", { DAY }, 0 },
    { "America/New_York", { DAY }, -19 * DAY_MS / 24 },
    { "Asia/Tokyo", { DAY }, -9 * DAY_MS / 24 },
    { "UTC", { WEEK(1) }, -3 * DAY_MS }, /* 1970-01-01 was a Thursday */
    { "UTC", { WEEK(4) }, 0 },
    { "UTC", { WEEK(5) }, -6 * DAY_MS },
    { "UTC", { WEEK(7) }, -4 * DAY_MS },
    { "UTC", { MONTH(1) }, 0 },
    { "UTC", { MONTH(2) }, -30 * DAY_MS },
    { "America/New_York", { MONTH(1) }, -31 * DAY_MS + 5 * DAY_MS / 24 },
};

START_TEST(the_first_instant_of_1970_is_in_a_period)
{
    AUTO_PTR(zone) zone = load(first[_i].zone);
    struct period period;

    period_at(zone, &first[_i].rule, 0, &period);
    ck_assert_int_eq(period.start_ms, first[_i].start_ms);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("policy/period");
    TCase *tc = tcase_create("period");

    tcase_add_loop_test(tc, a_window_is_read_back_from_its_name, 0, COUNT(window_names));
    tcase_add_loop_test(tc, other_names_are_none, 0, COUNT(no_windows));
    tcase_add_loop_test(tc, a_period_is_known_from_its_first_to_its_last_instant, 0, COUNT(known));
    tcase_add_test(tc, the_total_is_all_of_time);
    tcase_add_loop_test(tc, the_first_instant_of_1970_is_in_a_period, 0, COUNT(first));
    suite_add_tcase(s, tc);
    return s;
}
