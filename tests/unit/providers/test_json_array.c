/* Goal: the same elements come out however the array is cut, and their bytes are the body's.
 * Method: a table of bodies with the elements in them; each body whole, cut in two at every byte,
 * and byte by byte. */
#include "providers/json_array.h"

#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define TEXT_MAX     1024

/* Elements are written "data;". */
static const struct {
    const char *body;
    const char *elements;
    const char *last; /* by json_array_last, "" for none */
} bodies[] = {
    { "", "", "" },
    { " \r\n", "", "" },
    { "[]", "", "" },
    { "[\r\n]\r\n", "", "" },
    { "[{}]", "{};", "" },
    { "[{\"a\":1},\r\n{\"b\":2}]\n", "{\"a\":1};{\"b\":2};", "" },
    { " [ {\"a\":1} , {\"b\":2} ] ", "{\"a\":1};{\"b\":2};", "" },
    { "[{\n  \"a\": [1, {\"b\": []}]\n}\n,\n{}]", "{\n  \"a\": [1, {\"b\": []}]\n};{};", "" },
    { "[[1,[2]],[]]", "[1,[2]];[];", "" },
    { "[{\"a\":\"}],[{\"}]", "{\"a\":\"}],[{\"};", "" },
    { "[{\"a\\\"}\":\"\\\\\"},{\"b\":\"\\\\\\\"]\"}]",
      "{\"a\\\"}\":\"\\\\\"};{\"b\":\"\\\\\\\"]\"};", "" },
    { "[{\"a\":\"0123456789abcdef0123456789abcdef\\\"}0123456789abcdef\"}]",
      "{\"a\":\"0123456789abcdef0123456789abcdef\\\"}0123456789abcdef\"};", "" },
    { "[{\"a\":\"K\xC3\xB6ln \xF0\x9F\x98\x80\"}]", "{\"a\":\"K\xC3\xB6ln \xF0\x9F\x98\x80\"};",
      "" },
    { "[\"a,]\",\"\\\"\"]", "\"a,]\";\"\\\"\";", "" },
    { "[1,true, null ,-2.5e3]", "1;true;null;-2.5e3;", "" },
    { "[,,{},]", "{};", "" },
    /* half an element */
    { "[{\"a\":1},{\"b\":", "{\"a\":1};", "{\"b\":" },
    { "[{\"a\":1},{\"b\":\"x", "{\"a\":1};", "{\"b\":\"x" },
    { "[{\"a\":1},{\"b\":\"x\\", "{\"a\":1};", "{\"b\":\"x\\" },
    { "[{\"a\":1},12", "{\"a\":1};", "12" },
    { "[{\"a\":1},", "{\"a\":1};", "" },
    { "[{\"a\":1}", "{\"a\":1};", "" },
    { "[", "", "" },
    /* no array */
    { "{\"error\":{}}", "{\"error\":{}};", "" },
    { "{\"error\":{}}\n{\"b\":1}]", "{\"error\":{}};", "" },
    { "{\"error\":", "", "{\"error\":" },
    { "oops, no", "oops;", "" },
    { "\"text\"", "\"text\";", "" },
    { "],{}", "];", "" },
    { ",{}", "", ",{}" },
    /* behind the end, and brackets that do not match */
    { "[{}]{\"a\":1},[{}]", "{};", "" },
    { "[{]},{}]", "{];};{};", "" },
    { "[{}}]", "{};};", "" },
};

struct log {
    char elements[TEXT_MAX];
    char last[TEXT_MAX];
    char bytes[TEXT_MAX]; /* what was handed out */
    size_t len;
};

static void take(struct log *log, const struct sse_event *event, char *text, const char *end)
{
    ck_assert(event->has_data && event->data_lines == 1 && event->type.len == 0);
    sprintf(text + strlen(text), "%.*s%s", SPAN_ARG(event->data), end);
    memcpy(log->bytes + log->len, event->bytes.ptr, event->bytes.len);
    log->len += event->bytes.len;
}

/* Feed the body in pieces: up to `cut`, then the rest in steps. Each piece lies in memory that ends
 * where it does. */
static void run(struct span body, size_t cut, size_t step, struct log *log)
{
    struct json_array array;
    struct sse_event event;
    size_t taken = 0;
    size_t arrived = 0;

    *log = (struct log){ 0 };
    json_array_init(&array);
    do {
        char *pending;
        struct span rest;

        arrived = arrived < cut ? cut : arrived + step;
        if (arrived > body.len)
            arrived = body.len;
        pending = malloc(arrived - taken + 1);
        ck_assert_ptr_nonnull(pending);
        memcpy(pending + 1, body.ptr + taken, arrived - taken);
        rest = span_of(pending + 1, arrived - taken);
        while (json_array_next(&array, rest, &event)) {
            ck_assert_ptr_eq(event.bytes.ptr, rest.ptr);
            take(log, &event, log->elements, ";");
            taken += event.bytes.len;
            rest = span_from_offset(rest, event.bytes.len);
        }
        ck_assert_uint_eq(array.scanned, rest.len); /* nothing is looked at twice */
        free(pending);
    } while (arrived < body.len);
    if (json_array_last(&array, span_from_offset(body, taken), &event)) {
        take(log, &event, log->last, "");
        ck_assert_uint_eq(log->len, body.len);
    }
}

static void check(int i, size_t cut, size_t step)
{
    const struct span body = span_from(bodies[i].body);
    struct log log;

    run(body, cut, step, &log);
    ck_assert_msg(strcmp(log.elements, bodies[i].elements) == 0, "%s cut at %zu by %zu: %s",
                  bodies[i].body, cut, step, log.elements);
    ck_assert_str_eq(log.last, bodies[i].last);
    ck_assert(span_starts_with(body, span_of(log.bytes, log.len)));
}

START_TEST(finds_the_same_elements_however_they_come)
{
    const size_t len = strlen(bodies[_i].body);

    for (size_t cut = 0; cut <= len; cut++)
        check(_i, cut, len + 1);
    check(_i, 0, 1);
    check(_i, 0, 3);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/json_array");
    TCase *tc = tcase_create("json_array");

    tcase_add_loop_test(tc, finds_the_same_elements_however_they_come, 0, COUNT(bodies));
    suite_add_tcase(s, tc);
    return s;
}
