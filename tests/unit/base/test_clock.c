/* Goal: wall time is written and read exactly, and only valid times are read. Method: known
 * instants, a walk over all days against a calendar kept by counting, tables of what is and is not
 * RFC 3339. */
#include "base/clock.h"

#include "support/suites.h"

#define WALL_MS_MAX INT64_C(253402300799999)

static const struct {
    const char *text;
    int64_t wall_ms;
} instants[] = {
    { "1970-01-01T00:00:00.000Z", 0 },
    { "1970-01-01T00:00:00.001Z", 1 },
    { "1970-01-02T00:00:00.000Z", 86400000 },
    { "2000-02-29T23:59:59.999Z", INT64_C(951868799999) },
    { "2001-09-09T01:46:40.000Z", INT64_C(1000000000000) },
    { "2038-01-19T03:14:08.000Z", INT64_C(2147483648000) },
    { "2026-11-24T17:30:00.123Z", INT64_C(1795541400123) },
    { "2100-03-01T00:00:00.000Z", INT64_C(4107542400000) },
    { "9999-12-31T23:59:59.999Z", WALL_MS_MAX },
};

START_TEST(writes_and_reads_known_instants)
{
    char text[CLOCK_RFC3339_SIZE];
    int64_t wall_ms = -1;

    clock_format_rfc3339(instants[_i].wall_ms, text);
    ck_assert_str_eq(text, instants[_i].text);
    ck_assert(clock_parse_rfc3339(span_from(text), &wall_ms));
    ck_assert_int_eq(wall_ms, instants[_i].wall_ms);
}
END_TEST

static const struct {
    const char *text;
    const char *utc;
} readable[] = {
    { "2026-02-28", "2026-02-28T00:00:00.000Z" },
    { "2024-02-29", "2024-02-29T00:00:00.000Z" },
    { "2000-02-29", "2000-02-29T00:00:00.000Z" },
    { "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z" },
    { "2026-01-01t00:00:00z", "2026-01-01T00:00:00.000Z" },
    { "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500Z" },
    { "2026-01-01T00:00:00.05Z", "2026-01-01T00:00:00.050Z" },
    { "2026-01-01T00:00:00.0019Z", "2026-01-01T00:00:00.001Z" },
    { "2026-01-01T00:00:00.999999999Z", "2026-01-01T00:00:00.999Z" },
    { "2026-01-01T01:30:00+01:30", "2026-01-01T00:00:00.000Z" },
    { "2026-01-01T00:00:00+00:01", "2025-12-31T23:59:00.000Z" },
    { "2025-12-31T23:59:59-00:01", "2026-01-01T00:00:59.000Z" },
    { "2024-02-29T23:00:00-23:59", "2024-03-01T22:59:00.000Z" },
    { "2026-01-01T00:00:00-00:00", "2026-01-01T00:00:00.000Z" },
    { "1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00.000Z" },
    { "1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000Z" },
};

START_TEST(reads_offsets_decimals_and_plain_dates)
{
    char text[CLOCK_RFC3339_SIZE];
    int64_t wall_ms;

    ck_assert(clock_parse_rfc3339(span_from(readable[_i].text), &wall_ms));
    clock_format_rfc3339(wall_ms, text);
    ck_assert_str_eq(text, readable[_i].utc);
}
END_TEST

static const char *const unreadable[] = {
    "",
    "2026",
    "2026-01",
    "2026-1-01",
    "2026-01-1",
    "2026-00-01",
    "2026-13-01",
    "2026-01-00",
    "2026-01-32",
    "2026-04-31",
    "2026-02-29",
    "2100-02-29",
    "2024-02-30",
    "26-01-01",
    "+2026-01-01",
    " 2026-01-01",
    "2026-01-01 ",
    "2026-01-01T",
    "2026-01-01Z",
    "2026-01-01 00:00:00Z",
    "2026-01-01T00:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:60Z",
    "2016-12-31T23:59:60Z",
    "2026-01-01T0:00:00Z",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00,5Z",
    "2026-01-01T00:00:00.1234567890Z",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+00:60",
    "2026-01-01T00:00:00+0000",
    "2026-01-01T00:00:00+00",
    "2026-01-01T00:00:00ZZ",
    "2026-01-01T00:00:00Z ",
    "2026/01/01",
    "20260101",
    "2026-01-0a",
    "1969-12-31",
    "1970-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "0000-01-01",
};

START_TEST(refuses_what_is_not_rfc_3339)
{
    int64_t wall_ms = 42;

    ck_assert(!clock_parse_rfc3339(span_from(unreadable[_i]), &wall_ms));
    ck_assert_int_eq(wall_ms, 42);
}
END_TEST

/* Each day of 800 years, two full cycles, counted on by the rules of the calendar. */
START_TEST(days_follow_the_calendar)
{
    static const int month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t days = clock_days_from_civil(1600, 1, 1);

    ck_assert_int_eq(clock_days_from_civil(1970, 1, 1), 0);
    for (int year = 1600; year < 2400; year++) {
        const int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        for (int month = 1; month <= 12; month++) {
            const int last = month_days[month - 1] + (month == 2 ? leap : 0);

            for (int day = 1; day <= last; day++, days++) {
                int y;
                int m;
                int d;

                clock_civil_from_days(days, &y, &m, &d);
                if (clock_days_from_civil(year, month, day) != days || y != year || m != month ||
                    d != day)
                    ck_abort_msg("%d-%d-%d", year, month, day);
            }
        }
    }
    ck_assert_int_eq(clock_days_from_civil(-1, 12, 31) + 1, clock_days_from_civil(0, 1, 1));
}
END_TEST

static int64_t wall_7(void)
{
    return 7;
}

static int64_t monotonic_8000(void)
{
    return 8000;
}

static int64_t boot_9(void)
{
    return 9;
}

START_TEST(a_test_owns_the_clock)
{
    const struct clock_source source = { wall_7, monotonic_8000, boot_9 };
    const struct clock_source without_boot = { wall_7, monotonic_8000 };
    int64_t before;

    clock_use(&source);
    ck_assert_int_eq(clock_wall_ms(), 7);
    ck_assert_int_eq(clock_monotonic_us(), 8000);
    ck_assert_int_eq(clock_boot_ms(), 9);
    clock_use(&without_boot);
    ck_assert_int_eq(clock_boot_ms(), 8);
    clock_use(NULL);
    ck_assert_int_gt(clock_wall_ms(), INT64_C(1700000000000)); /* 2023 */
    before = clock_monotonic_us();
    ck_assert_int_ge(clock_monotonic_us(), before);
    ck_assert_int_ge(clock_boot_ms(), before / 1000); /* suspension counts too */
    before = clock_boot_ms();
    ck_assert_int_ge(clock_boot_ms(), before);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite(void)
{
    Suite *s = suite_create("base/clock");
    TCase *tc = tcase_create("clock");

    tcase_add_loop_test(tc, writes_and_reads_known_instants, 0, COUNT(instants));
    tcase_add_loop_test(tc, reads_offsets_decimals_and_plain_dates, 0, COUNT(readable));
    tcase_add_loop_test(tc, refuses_what_is_not_rfc_3339, 0, COUNT(unreadable));
    tcase_add_test(tc, days_follow_the_calendar);
    tcase_add_test(tc, a_test_owns_the_clock);
    suite_add_tcase(s, tc);
    return s;
}
