/* Goal: one event is one line that no value can break, and a reader that stalls costs lines, which
 * are counted, never a caller's time. Method: the log writes into a pipe, under a clock that
 * stands; a pipe that nobody reads stands for a terminal that stalls. */
#include "base/log.h"

#include "base/clock.h"
#include "base/json.h"
#include "support/suites.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TS "2026-11-24T17:30:00.123Z"

static int64_t wall_fixed(void)
{
    return INT64_C(1795541400123);
}

static int64_t monotonic_fixed(void)
{
    return 0;
}

static int ends[2]; /* of the pipe */

static void start(enum log_format format, enum log_level least)
{
    const struct clock_source source = { wall_fixed, monotonic_fixed };

    clock_use(&source);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
    ck_assert_int_eq(log_start(format, least, ends[1]), TG_OK);
}

/* All bytes until the write end is closed; the caller frees them. */
static char *read_all(void)
{
    struct buf all;
    ssize_t got;
    char *text;

    buf_init(&all, 16 << 20);
    do {
        char *to = buf_reserve(&all, 65536);

        ck_assert_ptr_nonnull(to);
        got = read(ends[0], to, 65536);
        ck_assert_int_ge(got, 0);
        buf_commit(&all, (size_t)got);
    } while (got > 0);
    text = buf_take_string(&all);
    buf_fini(&all);
    return text;
}

/* Stop the log and return what it wrote, which fits into the pipe; the caller frees it. */
static char *stop(void)
{
    log_stop();
    close(ends[1]);
    clock_use(NULL);
    return read_all();
}

static const struct {
    struct span value;
    const char *logfmt;
    const char *json;
} values[] = {
    { SPAN("127.0.0.1:4000"), "127.0.0.1:4000", "\"127.0.0.1:4000\"" },
    { SPAN(""), "\"\"", "\"\"" },
    { SPAN("a b"), "\"a b\"", "\"a b\"" },
    { SPAN("a=b"), "\"a=b\"", "\"a=b\"" },
    { SPAN("a\"b\\"), "\"a\\\"b\\\\\"", "\"a\\\"b\\\\\"" },
    { SPAN("a\nlevel=error"), "\"a\\nlevel=error\"", "\"a\\nlevel=error\"" },
    { SPAN("\r\t\0"), "\"\\u000d\\u0009\\u0000\"", "\"\\u000d\\u0009\\u0000\"" },
    { SPAN("\x1B[31m"), "\"\\u001b[31m\"", "\"\\u001b[31m\"" },
    { SPAN("\x7F"), "\"\\u007f\"", "\"\\u007f\"" },
    { SPAN("\xC2\x9B"), "\"\\u009b\"", "\"\\u009b\"" },     /* C1 CSI */
    { SPAN("\xE2\x80\xA8"), "\"\\u2028\"", "\"\\u2028\"" }, /* line separator */
    { SPAN("\xE2\x80\xA9"), "\"\\u2029\"", "\"\\u2029\"" }, /* paragraph separator */
    { SPAN("\xE2\x80\xAE"), "\"\\u202e\"", "\"\\u202e\"" }, /* right to left */
    { SPAN("\xC3\xA4\xE2\x82\xAC"), "\"\xC3\xA4\xE2\x82\xAC\"", "\"\xC3\xA4\xE2\x82\xAC\"" },
    { SPAN("a\xFF"), "\"a\\xff\"", "\"a\\ufffd\"" },
    { SPAN("\xE2\x82"), "\"\\xe2\\x82\"", "\"\\ufffd\\ufffd\"" },
};

START_TEST(logfmt_values_cannot_break_a_line)
{
    char expected[256];
    char *text;

    start(LOG_LOGFMT, LOG_INFO);
    log_event(LOG_INFO, "listening", LOG_F("value", values[_i].value), LOG_FI("n", -7));
    text = stop();
    snprintf(expected, sizeof(expected), "ts=" TS " level=info event=\"listening\" value=%s n=-7\n",
             values[_i].logfmt);
    ck_assert_str_eq(text, expected);
    free(text);
}
END_TEST

START_TEST(json_lines_are_json)
{
    AUTO_JSON tree = NULL;
    char expected[256];
    char *text;

    start(LOG_JSON, LOG_INFO);
    log_event(LOG_ERROR, "a \"b\"", LOG_F("value", values[_i].value), LOG_FI("n", INT64_MIN));
    text = stop();
    snprintf(expected, sizeof(expected),
             "{\"ts\":\"" TS "\",\"level\":\"error\",\"event\":\"a \\\"b\\\"\",\"value\":%s,"
             "\"n\":-9223372036854775808}\n",
             values[_i].json);
    ck_assert_str_eq(text, expected);
    if (memchr(values[_i].value.ptr, '\0', values[_i].value.len) ==
        NULL) /* which json_parse bars */
        ck_assert_int_eq(json_parse(span_from(text), &tree, NULL), TG_OK);
    free(text);
}
END_TEST

START_TEST(lines_below_the_least_level_are_left_out)
{
    char *text;

    start(LOG_LOGFMT, LOG_WARN);
    log_event(LOG_DEBUG, "one");
    log_event(LOG_INFO, "two");
    log_event(LOG_WARN, "three");
    log_event(LOG_ERROR, "four");
    text = stop();
    ck_assert_str_eq(text, "ts=" TS " level=warn event=\"three\"\n"
                           "ts=" TS " level=error event=\"four\"\n");
    free(text);
}
END_TEST

/* The value is x's and then two-byte characters, so that the limit falls into one. */
START_TEST(a_long_field_is_cut_between_characters)
{
    char value[LOG_FIELD_MAX + 100];
    const char *from;
    char *text;

    value[0] = 'x';
    for (size_t i = 1; i + 1 < sizeof(value); i += 2)
        memcpy(value + i, "\xC3\xA4", 2);
    start(LOG_LOGFMT, LOG_INFO);
    log_event(LOG_INFO, "long", LOG_F("value", span_of(value, sizeof(value) - 1)),
              LOG_FI("after", 1));
    text = stop();
    from = strstr(text, "value=\"");
    ck_assert_ptr_nonnull(from);
    ck_assert_uint_eq(strcspn(from + 7, "\""), LOG_FIELD_MAX - 1);
    ck_assert_ptr_null(strstr(text, "\\x"));
    ck_assert_ptr_nonnull(strstr(text, "\" after=1\n"));
    free(text);
}
END_TEST

/* 24 fields of 2 KiB of bytes that each become six. */
START_TEST(a_long_line_loses_whole_fields_and_says_so)
{
    char value[LOG_FIELD_MAX];
    struct log_field fields[LOG_FIELDS_MAX + 1];
    AUTO_JSON tree = NULL;
    char *text;

    memset(value, '\x01', sizeof(value));
    for (int i = 0; i < LOG_FIELDS_MAX; i++)
        fields[i] = LOG_F("value", span_of(value, i == 0 ? sizeof(value) : 600));
    fields[0].name = "first";
    fields[LOG_FIELDS_MAX] = (struct log_field){ 0 };
    start(LOG_JSON, LOG_INFO);
    log_write(LOG_INFO, "long", fields);
    text = stop();
    ck_assert_uint_le(strlen(text), LOG_LINE_MAX);
    ck_assert_int_eq(json_parse(span_from(text), &tree, NULL), TG_OK);
    ck_assert_uint_eq(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(tree, "first"))),
                      LOG_FIELD_MAX);
    ck_assert_ptr_nonnull(strstr(text, ",\"cut\":1}\n"));
    free(text);
}
END_TEST

static void *write_many(void *name)
{
    for (int i = 0; i < 200; i++)
        log_event(LOG_INFO, "many", LOG_FS("thread", name), LOG_FI("i", i));
    return NULL;
}

START_TEST(lines_of_many_threads_stay_whole_and_in_order)
{
    pthread_t threads[4];
    char names[4][2] = { "a", "b", "c", "d" };
    int next[4] = { 0 };
    struct span rest;
    struct span line;
    char *text;

    start(LOG_LOGFMT, LOG_INFO);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    text = stop();
    rest = span_from(text);
    while (span_cut(&rest, '\n', &line)) {
        char expected[128];
        size_t at;

        ck_assert(span_find(line, SPAN("thread="), &at));

        const int thread = line.ptr[at + 7] - 'a';

        ck_assert(thread >= 0 && thread < 4);
        snprintf(expected, sizeof(expected), "ts=" TS " level=info event=\"many\" thread=%s i=%d",
                 names[thread], next[thread]++);
        ck_assert(span_equal(line, span_from(expected)));
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(next[i], 200); /* 800 lines fit the ring, whatever the thread did */
    free(text);
}
END_TEST

static void *read_in_thread(void *unused)
{
    (void)unused;
    return read_all();
}

/* Nobody reads while all lines are written, so that this ends at all shows that no caller waits.
 * Each line is then either written or counted as dropped. */
START_TEST(a_stalled_reader_costs_lines_that_are_counted)
{
    enum { LINES = 5 * LOG_RING_LINES };
    pthread_t reader;
    void *text;
    struct span rest;
    struct span line;
    int64_t written = 0;
    int64_t dropped = 0;
    int64_t last = -1;

    start(LOG_LOGFMT, LOG_INFO);
    ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    for (int i = 0; i < LINES; i++)
        log_event(LOG_INFO, "many", LOG_FI("i", i));
    ck_assert_int_eq(pthread_create(&reader, NULL, read_in_thread, NULL), 0);
    log_stop();
    close(ends[1]);
    pthread_join(reader, &text);
    clock_use(NULL);
    rest = span_from(text);
    while (span_cut(&rest, '\n', &line)) {
        const struct span lost = SPAN("ts=" TS " level=warn event=\"log lines dropped\" lines=");
        const struct span kept = SPAN("ts=" TS " level=info event=\"many\" i=");
        int64_t number;

        if (span_starts_with(line, lost)) {
            ck_assert(span_to_int64(span_from_offset(line, lost.len), LINES, &number));
            dropped += number;
            last += number; /* those that follow the last one written */
            continue;
        }
        ck_assert(span_starts_with(line, kept));
        ck_assert(span_to_int64(span_from_offset(line, kept.len), LINES, &number));
        ck_assert_int_gt(number, last);
        last = number;
        written++;
    }
    ck_assert_int_eq(written + dropped, LINES);
    ck_assert_int_gt(dropped, 0);
    ck_assert_int_ge(written, LOG_RING_LINES);
    free(text);
    /* Reported once: the next log begins with none. */
    start(LOG_LOGFMT, LOG_INFO);
    log_event(LOG_INFO, "one");
    text = stop();
    ck_assert_str_eq(text, "ts=" TS " level=info event=\"one\"\n");
    free(text);
}
END_TEST

START_TEST(without_a_thread_lines_go_to_stderr_at_once)
{
    const struct clock_source source = { wall_fixed, monotonic_fixed };
    char text[256];
    ssize_t len;

    clock_use(&source);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    log_stop(); /* nothing runs; harmless */
    log_event(LOG_DEBUG, "too early to be asked for");
    log_event(LOG_INFO, "before");
    len = read(ends[0], text, sizeof(text));
    ck_assert(
        span_equal(span_of(text, (size_t)len), SPAN("ts=" TS " level=info event=\"before\"\n")));
    ck_assert_int_eq(log_start(LOG_JSON, LOG_DEBUG, STDERR_FILENO), TG_OK);
    log_stop();
    log_event(LOG_DEBUG, "after");
    len = read(ends[0], text, sizeof(text));
    ck_assert(span_equal(span_of(text, (size_t)len),
                         SPAN("{\"ts\":\"" TS "\",\"level\":\"debug\",\"event\":\"after\"}\n")));
}
END_TEST

START_TEST(starts_again_after_a_stop)
{
    for (int i = 0; i < 3; i++) {
        char *text;

        start(LOG_LOGFMT, LOG_INFO);
        log_event(LOG_INFO, "again");
        text = stop();
        ck_assert_str_eq(text, "ts=" TS " level=info event=\"again\"\n");
        free(text);
        close(ends[0]);
    }
}
END_TEST

START_TEST(a_reader_that_is_gone_does_not_kill_the_process)
{
    start(LOG_LOGFMT, LOG_INFO);
    close(ends[0]);
    for (int i = 0; i < 10; i++)
        log_event(LOG_INFO, "unread");
    log_stop();
    clock_use(NULL);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite(void)
{
    Suite *s = suite_create("base/log");
    TCase *tc = tcase_create("log");

    tcase_add_loop_test(tc, logfmt_values_cannot_break_a_line, 0, COUNT(values));
    tcase_add_loop_test(tc, json_lines_are_json, 0, COUNT(values));
    tcase_add_test(tc, lines_below_the_least_level_are_left_out);
    tcase_add_test(tc, a_long_field_is_cut_between_characters);
    tcase_add_test(tc, a_long_line_loses_whole_fields_and_says_so);
    tcase_add_test(tc, lines_of_many_threads_stay_whole_and_in_order);
    tcase_add_test(tc, a_stalled_reader_costs_lines_that_are_counted);
    tcase_add_test(tc, without_a_thread_lines_go_to_stderr_at_once);
    tcase_add_test(tc, starts_again_after_a_stop);
    tcase_add_test(tc, a_reader_that_is_gone_does_not_kill_the_process);
    suite_add_tcase(s, tc);
    return s;
}
