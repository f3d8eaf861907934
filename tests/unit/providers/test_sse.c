/* Goal: the same events come out however the stream is cut, and their bytes are the stream's.
 * Method: a table of streams with the events in them; each stream whole, cut in two at every byte,
 * and byte by byte. */
#include "providers/sse.h"

#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define TEXT_MAX     1024

/* Events are written "type|data;", with '-' for no data. */
static const struct {
    const char *stream;
    const char *events;
    const char *last; /* by sse_last, "" for none */
} streams[] = {
    { "", "", "" },
    { "\n\r\n\r", "", "" },
    { "data: a\n\n", "|a;", "" },
    { "data: a\r\n\r\n", "|a;", "" },
    { "data: a\r\r", "|a;", "" },
    { "data: a\r\n\rdata: b\n\r\n", "|a;|b;", "" },
    { "data:a\n\n", "|a;", "" },
    { "data:  a\n\n", "| a;", "" },
    { "data:\n\n", "|;", "" },
    { "data: \n\n", "|;", "" },
    { "data\n\n", "|;", "" },
    { "dat: a\n\n", "|-;", "" },
    { "database: a\n\n", "|-;", "" },
    { " data: a\n\n", "|-;", "" },
    { "event: error\ndata: a\n\n", "error|a;", "" },
    { "data: a\nevent:error\n\n", "error|a;", "" },
    { "event: a\nevent: b\ndata: c\n\n", "b|c;", "" },
    { "event: ping\n\n", "ping|-;", "" },
    { "id: 1\nretry: 5\ndata: a\n\n", "|a;", "" },
    { "data: a\n\ndata: b\n\n", "|a;|b;", "" },
    { "data: a\n\n\n\n\ndata: b\n\n\n", "|a;|b;", "" },
    { ": keep-alive\n\n", "|-;", "" },
    { ": OPENROUTER PROCESSING\n\n: again\n\ndata: a\n\n", "|-;|-;|a;", "" },
    { ": c\ndata: a\n: d\n\n", "|a;", "" },
    { "data: a\ndata: b\n\n", "|a\nb;", "" },
    { "data: a\r\ndata\r\ndata: b\r\n\r\n", "|a\n\nb;", "" },
    { "data\ndata\n\n", "|\n;", "" },
    { "data: a\nx: y\ndata: b\nevent: z\n\n", "z|a\nb;", "" },
    { "data: {\"a\":\"data: b\"}\n\n", "|{\"a\":\"data: b\"};", "" },
    { "\xEF\xBB\xBF"
      "data: a\n\n",
      "|a;", "" },
    { "\xEF\xBB\xBF\n\ndata: a\n\n", "|a;", "" },
    { "\xEF\xBB\xBF\r\n\r\ndata: a\r\n\r\n", "|a;", "" },
    { "\xEF\xBB\xBF"
      "data: a\r\r\xEF\xBB\xBF"
      "data: b\n\n",
      "|a;|-;", "" },
    { "\n\xEF\xBB\xBF\n\ndata: a\n\n", "|-;|a;", "" },
    { "data: a\n\n\xEF\xBB\xBF\n\n", "|a;|-;", "" },
    { "data: K\xC3\xB6ln\n\ndata: \xF0\x9F\x98\x80\n\n", "|K\xC3\xB6ln;|\xF0\x9F\x98\x80;", "" },
    { "data: [DONE]", "", "|[DONE];" },
    { "data: [DONE]\n", "", "|[DONE];" },
    { "data: a\n\ndata: b\r", "|a;", "|b;" },
    { "data: a\n\n: c", "|a;", "|-;" },
    { "data: a\n\n\n", "|a;", "" },
    { "data: 0123456789abcdef0123456789abcdef\r\n\r\nevent: x\r\ndata: 0123456789abcde\r\n\r\n",
      "|0123456789abcdef0123456789abcdef;x|0123456789abcde;", "" },
};

struct log {
    char events[TEXT_MAX];
    char last[TEXT_MAX];
    char bytes[TEXT_MAX]; /* what was handed out */
    size_t len;
};

static void describe(const struct sse_event *event, char *text)
{
    char data[TEXT_MAX];
    const size_t len = sse_join_data(event, data, sizeof(data));

    if (event->data_lines == 1)
        ck_assert(span_equal(event->data, span_of(data, len)));
    ck_assert(event->has_data == (event->data_lines > 0));
    sprintf(text + strlen(text), "%.*s|%.*s;", SPAN_ARG(event->type),
            event->has_data ? (int)len : 1, event->has_data ? data : "-");
}

static void take(struct log *log, const struct sse_event *event, char *text)
{
    describe(event, text);
    memcpy(log->bytes + log->len, event->bytes.ptr, event->bytes.len);
    log->len += event->bytes.len;
}

/* Feed the stream in pieces: up to `cut`, then the rest in steps. Each piece lies in memory that
 * ends where it does. */
static void run(struct span stream, size_t cut, size_t step, struct log *log)
{
    struct sse sse;
    struct sse_event event;
    size_t taken = 0;
    size_t arrived = 0;

    *log = (struct log){ 0 };
    sse_init(&sse);
    do {
        char *pending;

        arrived = arrived < cut ? cut : arrived + step;
        if (arrived > stream.len)
            arrived = stream.len;
        pending = malloc(arrived - taken + 1);
        ck_assert_ptr_nonnull(pending);
        memcpy(pending + 1, stream.ptr + taken, arrived - taken);
        for (struct span p = { pending + 1, arrived - taken }; sse_next(&sse, p, &event);) {
            ck_assert_ptr_eq(event.bytes.ptr, p.ptr);
            take(log, &event, log->events);
            taken += event.bytes.len;
            p = span_from_offset(p, event.bytes.len);
        }
        /* What was looked at is not looked at again. */
        ck_assert_uint_eq(sse.scanned, arrived - taken);
        free(pending);
    } while (arrived < stream.len);
    if (sse_last(&sse, span_from_offset(stream, taken), &event))
        take(log, &event, log->last);
    else
        ck_assert(strspn(stream.ptr + taken, "\r\n\xEF\xBB\xBF") == stream.len - taken);
}

static void expect(int stream, size_t cut, size_t step)
{
    const struct span text = span_from(streams[stream].stream);
    struct log log;

    run(text, cut, step, &log);
    ck_assert_str_eq(log.events, streams[stream].events);
    ck_assert_str_eq(log.last, streams[stream].last);
    ck_assert(span_starts_with(text, span_of(log.bytes, log.len)));
}

START_TEST(finds_the_events_of_a_whole_stream)
{
    expect(_i, TEXT_MAX, TEXT_MAX);
}
END_TEST

START_TEST(finds_them_however_the_stream_is_cut)
{
    const size_t len = strlen(streams[_i].stream);

    for (size_t cut = 0; cut <= len; cut++) {
        expect(_i, cut, TEXT_MAX);
        expect(_i, cut, 1);
        expect(_i, cut, 3);
    }
}
END_TEST

START_TEST(hands_out_an_event_that_ends_in_cr_at_once)
{
    struct sse sse;
    struct sse_event event;

    sse_init(&sse);
    ck_assert(sse_next(&sse, SPAN("data: a\r\n\r"), &event));
    ck_assert_uint_eq(event.bytes.len, 10);
    /* The other half of the CRLF goes out with the next event and ends nothing. */
    ck_assert(!sse_next(&sse, SPAN("\n"), &event));
    ck_assert(sse_next(&sse, SPAN("\ndata: b\n\n"), &event));
    ck_assert_uint_eq(event.bytes.len, 10);
    ck_assert(span_equal(event.data, SPAN("b")));
}
END_TEST

START_TEST(joins_data_that_fits_and_no_other)
{
    struct sse sse;
    struct sse_event event;
    char out[6] = "~~~~~";

    sse_init(&sse);
    ck_assert(sse_next(&sse, SPAN("data: ab\ndata: cd\n\n"), &event));
    ck_assert_int_eq(event.data_lines, 2);
    ck_assert(span_equal(event.data, SPAN("ab")));
    for (size_t cap = 0; cap < 5; cap++)
        ck_assert_uint_eq(sse_join_data(&event, out, cap), 0);
    ck_assert_uint_eq(sse_join_data(&event, out, 5), 5);
    ck_assert(span_equal(span_of(out, 5), SPAN("ab\ncd")));
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/sse");
    TCase *tc = tcase_create("sse");

    tcase_add_loop_test(tc, finds_the_events_of_a_whole_stream, 0, COUNT(streams));
    tcase_add_loop_test(tc, finds_them_however_the_stream_is_cut, 0, COUNT(streams));
    tcase_add_test(tc, hands_out_an_event_that_ends_in_cr_at_once);
    tcase_add_test(tc, joins_data_that_fits_and_no_other);
    suite_add_tcase(s, tc);
    return s;
}
