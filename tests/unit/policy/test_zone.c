/* Goal: a zone says what clocks there show, days begin when they do, and a damaged file is said to
 * be one. Method: known instants of zones with a peculiarity; rules and zones walked through
 * against the C library, which reads both by itself; files made here with each part damaged in
 * turn. */

#include "policy/zone.h"

#include "base/buf.h"
#include "base/clock.h"
#include "support/suites.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define HOUR_MS      INT64_C(3600000)
#define YEAR_2101_MS INT64_C(4133980800000)

static struct err err;

static int64_t ms_of(const char *text)
{
    int64_t wall_ms = -1;

    ck_assert_msg(clock_parse_rfc3339(span_from(text), &wall_ms), "%s", text);
    return wall_ms;
}

static struct zone *load(const char *name)
{
    struct zone *zone = NULL;

    err.text[0] = '\0';
    ck_assert_msg(zone_load(span_from(name), &zone, &err) == TG_OK, "%s", err.text);
    return zone;
}

/* --- what clocks show --- */

static const struct {
    const char *zone;
    const char *at;
    const char *shows; /* date */
    int offset_s;
} shown[] = {
    { "UTC", "1970-01-01T00:00:00Z", "1970-01-01", 0 },
    { "UTC", "2100-02-28T23:59:59.999Z", "2100-02-28", 0 },
    { "Asia/Kathmandu", "1985-12-31T18:29:59.999Z", "1985-12-31", 19800 },
    { "Asia/Kathmandu", "1985-12-31T18:30:00Z", "1986-01-01", 20700 },
    { "Africa/Monrovia", "1972-01-07T00:44:29Z", "1972-01-06", -2670 },
    { "Africa/Monrovia", "1972-01-07T00:44:30Z", "1972-01-07", 0 },
    { "America/Havana", "2026-11-01T04:59:59.999Z", "2026-11-01", -14400 },
    { "America/Havana", "2026-11-01T05:00:00Z", "2026-11-01", -18000 },
    { "Australia/Lord_Howe", "2026-04-04T14:59:59Z", "2026-04-05", 39600 },
    { "Australia/Lord_Howe", "2026-04-04T15:00:00Z", "2026-04-05", 37800 },
    { "Antarctica/Troll", "2026-03-29T00:59:59Z", "2026-03-29", 0 },
    { "Antarctica/Troll", "2026-03-29T01:00:00Z", "2026-03-29", 7200 },
    { "Europe/Dublin", "2026-01-01T00:00:00Z", "2026-01-01", 0 },
    { "Europe/Dublin", "2090-07-01T00:00:00Z", "2090-07-01", 3600 },
    { "America/New_York", "2090-07-01T00:00:00Z", "2090-06-30", -14400 },
    { "Pacific/Auckland", "2090-01-01T00:00:00Z", "2090-01-01", 46800 },
    { "Etc/GMT+12", "2026-01-01T11:59:59Z", "2025-12-31", -43200 },
    { "Pacific/Kiritimati", "2026-01-01T10:00:00Z", "2026-01-02", 50400 },
};

START_TEST(an_offset_and_a_date_are_those_of_the_zone)
{
    AUTO_PTR(zone) zone = load(shown[_i].zone);
    const int64_t at_ms = ms_of(shown[_i].at);
    int year;
    int month;
    int day;

    ck_assert_int_eq(zone_offset_s(zone, at_ms), shown[_i].offset_s);
    zone_local_date(zone, at_ms, &year, &month, &day);
    ck_assert_int_eq(clock_days_from_civil(year, month, day) * 24 * HOUR_MS,
                     ms_of(shown[_i].shows));
}
END_TEST

static const struct {
    const char *zone;
    int year;
    int month;
    int day;
    const char *starts_at;
} days[] = {
    { "UTC", 2000, 2, 29, "2000-02-29T00:00:00Z" },
    { "UTC", 2100, 3, 1, "2100-03-01T00:00:00Z" },
    /* midnight twice: the first */
    { "America/Havana", 2026, 11, 1, "2026-11-01T04:00:00Z" },
    { "America/St_Johns", 2006, 10, 29, "2006-10-29T02:30:00Z" },
    /* midnight is not shown before clocks go back */
    { "America/Nuuk", 2026, 10, 25, "2026-10-25T02:00:00Z" },
    /* no midnight: the first instant of the day */
    { "America/Asuncion", 2017, 10, 1, "2017-10-01T04:00:00Z" },
    { "America/Sao_Paulo", 2018, 11, 4, "2018-11-04T03:00:00Z" },
    /* no such day: the next one's */
    { "Pacific/Apia", 2011, 12, 29, "2011-12-29T10:00:00Z" },
    { "Pacific/Apia", 2011, 12, 30, "2011-12-30T10:00:00Z" },
    { "Pacific/Apia", 2011, 12, 31, "2011-12-30T10:00:00Z" },
    { "Pacific/Apia", 2012, 1, 1, "2011-12-31T10:00:00Z" },
    { "Pacific/Kwajalein", 1993, 8, 21, "1993-08-21T12:00:00Z" },
    { "Pacific/Kwajalein", 1993, 8, 22, "1993-08-21T12:00:00Z" },
    /* whatever happens later in the day */
    { "Asia/Kathmandu", 2026, 3, 1, "2026-02-28T18:15:00Z" },
    { "Africa/Casablanca", 2026, 2, 15, "2026-02-14T23:00:00Z" },
    { "Africa/Casablanca", 2026, 2, 16, "2026-02-16T00:00:00Z" },
    { "Antarctica/Troll", 2026, 3, 29, "2026-03-29T00:00:00Z" },
    { "Antarctica/Troll", 2026, 3, 30, "2026-03-29T22:00:00Z" },
    { "Australia/Lord_Howe", 2026, 4, 5, "2026-04-04T13:00:00Z" },
    { "Australia/Lord_Howe", 2026, 4, 6, "2026-04-05T13:30:00Z" },
    { "Australia/Lord_Howe", 2026, 10, 5, "2026-10-04T13:00:00Z" },
};

START_TEST(a_day_starts_when_it_is_first_shown)
{
    AUTO_PTR(zone) zone = load(days[_i].zone);

    ck_assert_int_eq(zone_day_start_ms(zone, days[_i].year, days[_i].month, days[_i].day),
                     ms_of(days[_i].starts_at));
}
END_TEST

/* --- the C library as a second reader --- */

static void compare_at(const struct zone *zone, const char *tz, int64_t wall_ms)
{
    const time_t at = (time_t)(wall_ms / 1000);
    const int offset_s = zone_offset_s(zone, wall_ms);
    struct tm local;

    /* An assertion that holds costs a system call each. */
    if (localtime_r(&at, &local) == NULL || local.tm_gmtoff != offset_s)
        ck_abort_msg("%s at %ld: %d, not %ld", tz, (long)wall_ms, offset_s, local.tm_gmtoff);
}

/* A step that is no part of a day, so that all hours, minutes and seconds come up. */
#define STEP_MS (6 * HOUR_MS + 7 * 60000 + 13 * 1000)

/* In steps, and at the second of each change between two. */
static void compare_with_library(const struct zone *zone, const char *tz)
{
    ck_assert_int_eq(setenv("TZ", tz, 1), 0); /* each case is a process of its own */
    tzset();
    for (int64_t at_ms = 0; at_ms < YEAR_2101_MS; at_ms += STEP_MS) {
        const int offset_s = zone_offset_s(zone, at_ms);
        int64_t before_ms = at_ms;
        int64_t after_ms = at_ms + STEP_MS;

        compare_at(zone, tz, at_ms);
        if (zone_offset_s(zone, after_ms) == offset_s)
            continue;
        while (after_ms - before_ms > 1000) {
            const int64_t middle_ms = before_ms + (after_ms - before_ms) / 2000 * 1000;

            if (zone_offset_s(zone, middle_ms) == offset_s)
                before_ms = middle_ms;
            else
                after_ms = middle_ms;
        }
        compare_at(zone, tz, before_ms);
        compare_at(zone, tz, after_ms);
    }
}

static const char *const peculiar[] = {
    "Africa/Casablanca", "Africa/Monrovia",  "America/Havana",
    "America/Nuuk",      "America/St_Johns", "Antarctica/Troll",
    "Asia/Gaza",         "Asia/Kathmandu",   "Australia/Lord_Howe",
    "Europe/Dublin",     "Pacific/Apia",     "Pacific/Chatham",
    "America/Sao_Paulo", "Asia/Tehran",      "America/Scoresbysund",
    "Etc/GMT-14",
};

START_TEST(a_file_is_read_as_the_c_library_reads_it)
{
    AUTO_PTR(zone) zone = load(peculiar[_i]);

    compare_with_library(zone, peculiar[_i]);
}
END_TEST

/* --- files made here --- */

#define FILE_MAX 4096

static void put_be(struct buf *file, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        buf_put_byte(file, (char)(unsigned char)(value >> (8 * i)));
}

enum { IS_UTC, IS_STD, LEAPS, CHANGES, TYPES, TEXT, COUNTS };

static void put_header(struct buf *file, char version, const uint32_t counts[COUNTS])
{
    buf_put_text(file, "TZif");
    buf_put_byte(file, version);
    for (int i = 0; i < 15; i++)
        buf_put_byte(file, '\0');
    for (int i = 0; i < COUNTS; i++)
        put_be(file, counts[i], 4);
}

/* An hour east of UTC, and two hours from one million to two million seconds. */
static void put_file(struct buf *file, const char *footer)
{
    static const uint32_t none[COUNTS] = { 0 };
    static const uint32_t counts[COUNTS] = { [CHANGES] = 2, [TYPES] = 2, [TEXT] = 4 };

    put_header(file, '2', none);   /* 0..43 */
    put_header(file, '2', counts); /* 44..87, the counts from 64 on */
    put_be(file, 1000000, 8);      /* 88..95 */
    put_be(file, 2000000, 8);      /* 96..103 */
    put_be(file, 0x0100, 2);       /* 104, 105: their types */
    put_be(file, 3600, 4);         /* 106..109, the first type */
    put_be(file, 0, 2);            /* 110, 111 */
    put_be(file, 7200, 4);         /* 112..115, the second */
    put_be(file, 0x0100, 2);       /* 116, 117 */
    buf_put(file, "XXX", 4);       /* 118..121 */
    buf_put_text(file, footer);
    ck_assert_int_eq(buf_status(file), TG_OK);
}

static enum tg_status parse(const char *footer, struct zone **ret_zone)
{
    AUTO(buf) file;

    buf_init(&file, FILE_MAX);
    put_file(&file, footer);
    return zone_parse(buf_span(&file), ret_zone);
}

START_TEST(changes_hold_from_their_second_on)
{
    AUTO_PTR(zone) zone = NULL;

    ck_assert_int_eq(parse("\nXXX-1\n", &zone), TG_OK);
    ck_assert_int_eq(zone_offset_s(zone, 0), 3600); /* before all: the first type */
    ck_assert_int_eq(zone_offset_s(zone, INT64_C(999999999)), 3600);
    ck_assert_int_eq(zone_offset_s(zone, INT64_C(1000000000)), 7200);
    ck_assert_int_eq(zone_offset_s(zone, INT64_C(1999999999)), 7200);
    ck_assert_int_eq(zone_offset_s(zone, INT64_C(2000000000)), 3600);
    ck_assert_int_eq(zone_offset_s(zone, YEAR_2101_MS), 3600);
}
END_TEST

START_TEST(without_a_rule_the_last_offset_stays)
{
    AUTO_PTR(zone) zone = NULL;

    ck_assert_int_eq(parse("\n\n", &zone), TG_OK);
    ck_assert_int_eq(zone_offset_s(zone, INT64_C(1500000000)), 7200);
    ck_assert_int_eq(zone_offset_s(zone, YEAR_2101_MS), 3600);
}
END_TEST

static const struct {
    const char *what;
    size_t at;
    unsigned char byte;
} damages[] = {
    { "magic", 0, 't' },
    { "second magic", 44, 't' },
    { "version: 32-bit times alone", 4, 0 },
    { "second version", 48, 0 },
    { "first block longer than the file", 20, 1 },
    { "is_utc of one type", 67, 1 },
    { "is_std of one type", 71, 1 },
    { "a leap second", 75, 1 },
    { "four billion leap seconds", 72, 255 },
    { "a change more", 79, 3 },
    { "a change less", 79, 1 },
    { "four billion changes", 76, 255 },
    { "no type", 83, 0 },
    { "257 types", 82, 1 },
    { "no text", 87, 0 },
    { "the first change after the second", 93, 0xff },
    { "the second change before 1970", 96, 0x80 },
    { "a change of no type", 104, 2 },
    { "an offset of a day more", 107, 1 },
    { "an offset of many years less", 106, 0x80 },
    { "daylight saving time is 2", 110, 2 },
    { "text behind the end", 111, 4 },
    { "no line before the rule", 122, 'X' },
    { "no line behind the rule", 128, '1' },
};

START_TEST(a_damaged_file_is_corrupt)
{
    AUTO_PTR(zone) zone = NULL;
    AUTO(buf) file;

    buf_init(&file, FILE_MAX);
    put_file(&file, "\nXXX-1\n");
    ck_assert_int_eq(buf_len(&file), 129);
    file.data[file.head + damages[_i].at] = (char)damages[_i].byte;
    ck_assert_msg(zone_parse(buf_span(&file), &zone) == TG_CORRUPT, "%s", damages[_i].what);
    ck_assert_ptr_null(zone);
}
END_TEST

static const char *const bad_footers[] = {
    "",
    "\n",
    "\nXXX-1",
    "XXX-1\n",
    "\nXXX-1\n\n",
    /* not what the last change says */
    "\nXXX-2\n",
    "\nXXX-2YYY-1,J1/0,J365/25\n",
};

START_TEST(a_bad_footer_is_corrupt)
{
    AUTO_PTR(zone) zone = NULL;

    ck_assert_int_eq(parse(bad_footers[_i], &zone), TG_CORRUPT);
}
END_TEST

static const char *const bad_rules[] = {
    "XX-1",                    /* a name of two letters */
    "-1",                      /* no name */
    "XXX",                     /* no offset */
    "X1X-1",                   /* digits need the brackets */
    "<X>-1",                   /* too short in them too */
    "<XXX-1",                  /* not closed */
    "XXX-25",                  /* more than 24 hours */
    "XXX-1:60",                /* minutes */
    "XXX-1:00:60",             /* seconds */
    "XXX-1YYY",                /* when? */
    "XXX-1YYY,M3.5.0",         /* until when? */
    "XXX-1YYY,M0.5.0,M10.5.0", /* month 1..12 */
    "XXX-1YYY,M13.5.0,M10.5.0",
    "XXX-1YYY,M3.0.0,M10.5.0", /* week 1..5 */
    "XXX-1YYY,M3.6.0,M10.5.0",
    "XXX-1YYY,M3.5.7,M10.5.0", /* day 0..6 */
    "XXX-1YYY,J0,M10.5.0",     /* 1..365 */
    "XXX-1YYY,J366,M10.5.0",
    "XXX-1YYY,366,M10.5.0", /* 0..365 */
    "XXX-1YYY,M3.5.0/168,M10.5.0",
    "XXX-1YYY,M3.5.0,M10.5.0 ",
    "XXX-1YYY-24,J1,J365,J1",
    "XXX-1YYY-30,J1,J365",
};

START_TEST(a_bad_rule_is_corrupt)
{
    AUTO_PTR(zone) zone = NULL;
    char footer[64];

    (void)snprintf(footer, sizeof(footer), "\n%s\n", bad_rules[_i]);
    ck_assert_int_eq(parse(footer, &zone), TG_CORRUPT);
}
END_TEST

/* A file of a rule alone, which is then for all times. */
static struct zone *zone_of_rule(const char *rule)
{
    static const uint32_t counts[COUNTS] = { [TYPES] = 1, [TEXT] = 4 };
    struct zone *zone = NULL;
    AUTO(buf) file;

    buf_init(&file, FILE_MAX);
    put_header(&file, '3', counts);
    put_be(&file, 0, 6);
    buf_put(&file, "XXX", 4);
    put_header(&file, '3', counts);
    put_be(&file, 0, 6);
    buf_put(&file, "XXX", 4);
    buf_put_byte(&file, '\n');
    buf_put_text(&file, rule);
    buf_put_byte(&file, '\n');
    ck_assert_int_eq(buf_status(&file), TG_OK);
    ck_assert_int_eq(zone_parse(buf_span(&file), &zone), TG_OK);
    return zone;
}

static const char *const rules[] = {
    "UTC0",
    "XXX+3:30",
    "<-03>3",
    "<+1245>-12:45:30",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "AEST-10AEDT,M10.1.0,M4.1.0/3",
    "IST-1GMT0,M10.5.0,M3.5.0/1", /* standard time is the summer's */
    "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "EET-2EEST,M3.4.4/50,M10.4.4/50", /* the Saturday after the fourth Thursday */
    "XXX3YYY,J60/0,J300/0",           /* March 1 of every year */
    "XXX3YYY,59/0,299/0",             /* February 29 of a leap year */
    "XXX3YYY,J59,J60",
    "XXX0YYY,M2.5.1,M12.5.6/24",
    "XXX-5YYY-7:30:30,M1.2.1/-24,M6.2.3/100",
};

START_TEST(a_rule_is_read_as_the_c_library_reads_it)
{
    AUTO_PTR(zone) zone = zone_of_rule(rules[_i]);

    compare_with_library(zone, rules[_i]);
}
END_TEST

/* RFC 8536 writes it like this; there is no instant of standard time. */
START_TEST(all_year_daylight_saving_time_has_no_gap)
{
    AUTO_PTR(zone) zone = zone_of_rule("EST5EDT,0/0,J365/25");

    for (int64_t at_ms = 0; at_ms < YEAR_2101_MS; at_ms += HOUR_MS)
        if (zone_offset_s(zone, at_ms) != -14400)
            ck_abort_msg("at %ld", (long)at_ms);
}
END_TEST

static void copy_of_file(const char *path, struct buf *bytes)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *room = buf_reserve(bytes, ZONE_FILE_BYTES_MAX);
    ssize_t got;

    ck_assert_int_ge(fd, 0);
    ck_assert_ptr_nonnull(room);
    got = read(fd, room, ZONE_FILE_BYTES_MAX);
    ck_assert_int_gt(got, 0);
    buf_commit(bytes, (size_t)got);
    ck_assert_int_eq(close(fd), 0);
}

START_TEST(a_real_file_that_is_cut_anywhere_is_corrupt)
{
    AUTO(buf) bytes;

    buf_init(&bytes, ZONE_FILE_BYTES_MAX);
    copy_of_file("/usr/share/zoneinfo/Europe/Berlin", &bytes);
    for (size_t len = 0; len <= buf_len(&bytes); len++) {
        AUTO_PTR(zone) zone = NULL;
        const enum tg_status wanted = len == buf_len(&bytes) ? TG_OK : TG_CORRUPT;
        /* A block of its own, so that the sanitizer sees a read behind its end. */
        char *cut = malloc(len + (len == 0 ? 1 : 0));

        ck_assert_ptr_nonnull(cut);
        memcpy(cut, buf_span(&bytes).ptr, len);
        ck_assert_int_eq(zone_parse(span_of(cut, len), &zone), wanted);
        free(cut);
    }
}
END_TEST

START_TEST(a_file_has_at_most_64_kib)
{
    AUTO_PTR(zone) zone = NULL;
    char *bytes = calloc(1, ZONE_FILE_BYTES_MAX + 1);

    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(zone_parse(span_of(bytes, ZONE_FILE_BYTES_MAX + 1), &zone), TG_CORRUPT);
    free(bytes);
}
END_TEST

/* --- names --- */

static const char *const unknown[] = {
    "",
    "Europe", /* a folder */
    "Europe/Nowhere",
    "europe/berlin",
    "../../../etc/passwd",
    "Europe/../Europe/Berlin",
    "/usr/share/zoneinfo/UTC",
    "posix/Europe/Berlin",
    "localtime",
    "Factory",
    "Europe/Berlin\n",
    "Europe/Berlin/x",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
};

START_TEST(what_is_no_zone_is_not_found)
{
    AUTO_PTR(zone) zone = NULL;

    err.text[0] = '\0';
    ck_assert_int_eq(zone_load(span_from(unknown[_i]), &zone, &err), TG_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "install tzdata"));
    ck_assert_ptr_null(zone);
}
END_TEST

/* No file can be opened: what still works needs none. */
START_TEST(utc_needs_no_file)
{
    AUTO_PTR(zone) zone = NULL;
    AUTO_PTR(zone) other = NULL;
    struct rlimit before;
    struct rlimit none;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(zone_load(SPAN("UTC"), &zone, &err), TG_OK);
    ck_assert_int_eq(zone_offset_s(zone, YEAR_2101_MS), 0);
    ck_assert_int_eq(zone_load(SPAN("Etc/UTC"), &other, &err), TG_IO);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("policy/zone");
    TCase *tc = tcase_create("zone");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, an_offset_and_a_date_are_those_of_the_zone, 0, COUNT(shown));
    tcase_add_loop_test(tc, a_day_starts_when_it_is_first_shown, 0, COUNT(days));
    tcase_add_loop_test(tc, a_file_is_read_as_the_c_library_reads_it, 0, COUNT(peculiar));
    tcase_add_test(tc, changes_hold_from_their_second_on);
    tcase_add_test(tc, without_a_rule_the_last_offset_stays);
    tcase_add_loop_test(tc, a_damaged_file_is_corrupt, 0, COUNT(damages));
    tcase_add_loop_test(tc, a_bad_footer_is_corrupt, 0, COUNT(bad_footers));
    tcase_add_loop_test(tc, a_bad_rule_is_corrupt, 0, COUNT(bad_rules));
    tcase_add_loop_test(tc, a_rule_is_read_as_the_c_library_reads_it, 0, COUNT(rules));
    tcase_add_test(tc, all_year_daylight_saving_time_has_no_gap);
    tcase_add_test(tc, a_real_file_that_is_cut_anywhere_is_corrupt);
    tcase_add_test(tc, a_file_has_at_most_64_kib);
    tcase_add_loop_test(tc, what_is_no_zone_is_not_found, 0, COUNT(unknown));
    tcase_add_test(tc, utc_needs_no_file);
    suite_add_tcase(s, tc);
    return s;
}
