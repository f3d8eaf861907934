/* Goal: only JSON is read, within its limits and with the place of a mistake; only JSON is written.
 * Method: tables of valid and invalid texts, each limit from both sides, written text read back. */
#include "base/json.h"

#include "support/suites.h"

#include <signal.h>
#include <stdlib.h>

static const char *const valid[] = {
    "null",
    " true\r\n\t",
    "false",
    "0",
    "-0",
    "-1.5e+10",
    "1E5",
    "0.0001",
    "\"\"",
    "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\xF0\x9F\x98\x80 \x7F\"",
    "[]",
    "{}",
    "[ ]",
    "{ }",
    "[1,2 , 3]",
    "{\"a\":1,\"b\":[{}],\"\":{}}",
    "[{\"a\":1},{\"a\":2}]",
    "{\"a\":{\"a\":{\"a\":1}}}",
    "{\"a\":1,\"A\":2}",
    "123456789012345678901234567890123456789012345678901234567890123",
};

START_TEST(reads_json)
{
    AUTO_JSON tree = NULL;
    struct err err = { "" };

    ck_assert_msg(json_parse(span_from(valid[_i]), &tree, &err) == TG_OK, "%s: %s", valid[_i],
                  err.text);
    ck_assert_ptr_nonnull(tree);
    ck_assert_str_eq(err.text, "");
}
END_TEST

static const struct {
    struct span text;
    const char *says;
} invalid[] = {
    { SPAN(""), "line 1, byte 0: a value was expected" },
    { SPAN("  "), "byte 2: a value was expected" },
    { SPAN("nul"), "byte 0: a value was expected" },
    { SPAN("True"), "byte 0" },
    { SPAN("NaN"), "byte 0" },
    { SPAN("null x"), "byte 5: something follows" },
    { SPAN("null\0"), "byte 4: something follows" },
    { SPAN("\0null"), "byte 0" },
    { SPAN("{}{}"), "byte 2: something follows" },
    { SPAN("\xEF\xBB\xBF{}"), "byte 0" }, /* byte order mark */
    { SPAN("\x01{}"), "byte 0" },
    { SPAN("[1,\x0B"
           "2]"),
      "byte 3" },
    { SPAN("01"), "byte 1: something follows" },
    { SPAN("1."), "byte 2: a digit" },
    { SPAN(".5"), "byte 0" },
    { SPAN("-"), "byte 1: a digit" },
    { SPAN("-.5"), "byte 1: a digit" },
    { SPAN("+1"), "byte 0" },
    { SPAN("1e"), "byte 2: a digit" },
    { SPAN("1e+"), "byte 3: a digit" },
    { SPAN("0x10"), "byte 1" },
    { SPAN("1e999"), "too large" },
    { SPAN("[-1e999]"), "too large" },
    { SPAN("1234567890123456789012345678901234567890123456789012345678901234"), "too long" },
    { SPAN("\"abc"), "byte 4: the string does not end" },
    { SPAN("\"abc\\"), "no such escape" },
    { SPAN("\"\\x\""), "byte 2: there is no such escape" },
    { SPAN("\"\\u12g4\""), "byte 5: four hexadecimal" },
    { SPAN("\"\\u12\""), "four hexadecimal" },
    { SPAN("\"a\nb\""), "byte 2: a control character" },
    { SPAN("\"a\0b\""), "byte 2: a control character" },
    { SPAN("\"a\x1F\""), "byte 2: a control character" },
    { SPAN("\"\\u0000\""), "NUL" },
    { SPAN("{\"a\\u0000b\":1}"), "NUL" },
    { SPAN("\"\\ud83d\""), "surrogate" },
    { SPAN("\"\\ud83dx\""), "surrogate" },
    { SPAN("\"\\ude00\""), "surrogate" },
    { SPAN("\"\\ud83d\\ud83d\""), "surrogate" },
    { SPAN("\"\xFF\""), "byte 1: this is not UTF-8" },
    { SPAN("\"\xC0\x80\""), "not UTF-8" },
    { SPAN("\"\xED\xA0\x80\""), "not UTF-8" },
    { SPAN("\"\xE2\x82\""), "not UTF-8" },
    { SPAN("\"\xE2\x82"), "not UTF-8" },
    { SPAN("[1 2]"), "byte 3: a comma or ']'" },
    { SPAN("[1,]"), "byte 3: a value" },
    { SPAN("[,1]"), "byte 1: a value" },
    { SPAN("[1"), "byte 2: a comma or ']'" },
    { SPAN("[1}"), "byte 2: a comma or ']'" },
    { SPAN("["), "byte 1: a value" },
    { SPAN("]"), "byte 0: a value" },
    { SPAN("{"), "byte 1: a string" },
    { SPAN("{\"a\"}"), "byte 4: a colon" },
    { SPAN("{\"a\":}"), "byte 5: a value" },
    { SPAN("{\"a\":1,}"), "byte 7: a string" },
    { SPAN("{\"a\":1"), "byte 6: a comma or '}'" },
    { SPAN("{\"a\":1]"), "byte 6: a comma or '}'" },
    { SPAN("{a:1}"), "byte 1: a string" },
    { SPAN("{'a':1}"), "byte 1: a string" },
    { SPAN("{1:1}"), "byte 1: a string" },
    { SPAN("[1] // why"), "byte 4: something follows" },
    { SPAN("{\n  \"a\": 1,\n  \"b\" 2\n}"), "line 3, byte 18: a colon" },
    { SPAN("{\"a\":1,\"b\":2,\"a\":3}"), "\"a\" stands twice" },
    { SPAN("{\"a\":1,\"\\u0061\":2}"), "\"a\" stands twice" },
    { SPAN("[0,{\"x\":[{\"k\":1,\"k\":1}]},2]"), "\"k\" stands twice" },
    { SPAN("{\"\":1,\"\":2}"), "\"\" stands twice" },
};

/* In memory that ends where the text does, so that ASan sees a read past it. */
START_TEST(refuses_what_is_not_json_and_says_where)
{
    const struct span text = invalid[_i].text;
    char *exact = malloc(text.len > 0 ? text.len : 1);
    cJSON *tree = NULL;
    struct err err = { "" };

    memcpy(exact, text.ptr, text.len);
    ck_assert_int_eq(json_parse(span_of(exact, text.len), &tree, &err), TG_INVALID);
    ck_assert_msg(strstr(err.text, invalid[_i].says) != NULL, "case %d says: %s", _i, err.text);
    ck_assert_ptr_null(tree);
    ck_assert_int_eq(json_parse(span_of(exact, text.len), &tree, NULL), TG_INVALID);
    free(exact);
}
END_TEST

/* Every prefix of a document is refused, none is read past. */
START_TEST(refuses_a_document_cut_anywhere)
{
    const struct span text = SPAN("{\"a\":[1,-2.5e3,true,\"x\\u00e9\\n\xE2\x82\xAC\"],\"b\":{}}");

    for (size_t len = 0; len < text.len; len++) {
        char *exact = malloc(len > 0 ? len : 1);
        cJSON *tree = NULL;

        memcpy(exact, text.ptr, len);
        ck_assert_int_eq(json_parse(span_of(exact, len), &tree, NULL), TG_INVALID);
        free(exact);
    }
}
END_TEST

START_TEST(reads_nesting_up_to_the_limit)
{
    for (int depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        AUTO(buf) text = { 0 };
        AUTO_JSON tree = NULL;
        struct err err = { "" };

        buf_init(&text, 10000);
        for (int i = 0; i < depth; i++)
            buf_put_text(&text, i % 2 == 0 ? "[" : "{\"a\":");
        buf_put_text(&text, "1");
        for (int i = depth - 1; i >= 0; i--)
            buf_put_byte(&text, i % 2 == 0 ? ']' : '}');
        ck_assert_int_eq(json_parse(buf_span(&text), &tree, &err),
                         depth <= JSON_DEPTH_MAX ? TG_OK : TG_INVALID);
        if (depth > JSON_DEPTH_MAX)
            ck_assert_ptr_nonnull(strstr(err.text, "nested too deeply"));
    }
}
END_TEST

START_TEST(finds_a_duplicate_among_many)
{
    for (int last = 4999; last <= 5000; last++) { /* the last member: there already, or new */
        AUTO(buf) text = { 0 };
        AUTO_JSON tree = NULL;

        buf_init(&text, 1 << 20);
        buf_put_byte(&text, '{');
        for (int i = 0; i < 5000; i++)
            buf_printf(&text, "\"m%d\":%d,", i, i);
        buf_printf(&text, "\"m%d\":0}", last);
        ck_assert_int_eq(json_parse(buf_span(&text), &tree, NULL),
                         last == 5000 ? TG_OK : TG_INVALID);
    }
}
END_TEST

START_TEST(an_error_quotes_a_long_name_in_part)
{
    AUTO(buf) text = { 0 };
    cJSON *tree = NULL;
    struct err err = { "" };

    buf_init(&text, 10000);
    buf_put_byte(&text, '{');
    for (int twice = 0; twice < 2; twice++) {
        buf_put_text(&text, twice ? ",\"x" : "\"x");
        for (int i = 0; i < 100; i++)
            buf_put_text(&text, "\xC3\xA4");
        buf_put_text(&text, "\":1");
    }
    buf_put_byte(&text, '}');
    ck_assert_int_eq(json_parse(buf_span(&text), &tree, &err), TG_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "\xC3\xA4\" stands twice")); /* a whole character */
    ck_assert_uint_lt(strlen(err.text), 128);
}
END_TEST

static void *no_memory(size_t size)
{
    (void)size;
    return NULL;
}

START_TEST(valid_text_without_memory_is_not_called_invalid)
{
    cJSON_Hooks hooks = { .malloc_fn = no_memory, .free_fn = free };
    cJSON *tree = NULL;

    cJSON_InitHooks(&hooks);
    ck_assert_int_eq(json_parse(SPAN("[1]"), &tree, NULL), TG_NO_MEMORY);
    cJSON_InitHooks(NULL);
    ck_assert_ptr_null(tree);
}
END_TEST

/* --- writing --- */

START_TEST(writes_commas_names_and_values)
{
    AUTO(buf) out = { 0 };
    struct json_writer w;

    buf_init(&out, 1000);
    json_begin(&w, &out);
    json_open_object(&w, NULL);
    json_text(&w, "text", SPAN("a\"b"));
    json_string(&w, "none", NULL);
    json_int(&w, "int", INT64_MIN);
    json_bool(&w, "yes", true);
    json_open_array(&w, "list");
    json_bool(&w, NULL, false);
    json_null(&w, NULL);
    json_open_object(&w, NULL);
    json_close_object(&w);
    json_open_array(&w, NULL);
    json_close_array(&w);
    json_close_array(&w);
    json_money(&w, "cost", -1500000000);
    json_time(&w, "at", 1);
    json_time(&w, "never", 0);
    json_raw(&w, "raw\n", SPAN("{\"x\":1}"));
    json_close_object(&w);
    ck_assert_int_eq(w.depth, 0);
    ck_assert(span_equal(
        buf_span(&out),
        SPAN("{\"text\":\"a\\\"b\",\"none\":null,\"int\":-9223372036854775808,\"yes\":true,"
             "\"list\":[false,null,{},[]],\"cost\":\"-1.5\",\"at\":\"1970-01-01T00:00:00.001Z\","
             "\"never\":null,\"raw\\n\":{\"x\":1}}")));
}
END_TEST

static const struct {
    struct span text;
    struct span quoted;
} quotings[] = {
    { SPAN(""), SPAN("\"\"") },
    { SPAN("plain"), SPAN("\"plain\"") },
    { SPAN("a\"b\\c/d"), SPAN("\"a\\\"b\\\\c/d\"") },
    { SPAN("\b\t\n\f\r"), SPAN("\"\\b\\t\\n\\f\\r\"") },
    { SPAN("\0\x01\x1F\x7F"), SPAN("\"\\u0000\\u0001\\u001f\x7F\"") },
    { SPAN("\xE2\x82\xAC\xF0\x9F\x98\x80"), SPAN("\"\xE2\x82\xAC\xF0\x9F\x98\x80\"") },
    { SPAN("a\xFF"), SPAN("\"a\xEF\xBF\xBD\"") },
    { SPAN("\xE2\x82"), SPAN("\"\xEF\xBF\xBD\xEF\xBF\xBD\"") },
    { SPAN("\xE2\x82\"x"), SPAN("\"\xEF\xBF\xBD\xEF\xBF\xBD\\\"x\"") },
};

START_TEST(quotes_any_bytes)
{
    AUTO(buf) out = { 0 };

    buf_init(&out, 100);
    json_put_quoted(&out, quotings[_i].text);
    ck_assert(span_equal(buf_span(&out), quotings[_i].quoted));
}
END_TEST

START_TEST(what_is_quoted_reads_back)
{
    for (int c = 1; c < 0x80; c++) {
        const char text[] = { 'a', (char)c, (char)c, 'b', '\0' };
        AUTO(buf) out = { 0 };
        AUTO_JSON tree = NULL;

        buf_init(&out, 100);
        json_put_quoted(&out, span_from(text));
        ck_assert_int_eq(json_parse(buf_span(&out), &tree, NULL), TG_OK);
        ck_assert_str_eq(cJSON_GetStringValue(tree), text);
    }
}
END_TEST

START_TEST(a_full_buf_is_the_writers_failure)
{
    AUTO(buf) out = { 0 };
    struct json_writer w;

    buf_init(&out, 10);
    json_begin(&w, &out);
    json_open_array(&w, NULL);
    json_text(&w, NULL, SPAN("far too long"));
    json_int(&w, NULL, 1);
    json_close_array(&w);
    ck_assert_int_eq(buf_status(&out), TG_NO_MEMORY);
}
END_TEST

START_TEST(writes_nesting_up_to_the_limit)
{
    AUTO(buf) out = { 0 };
    AUTO_JSON tree = NULL;
    struct json_writer w;

    buf_init(&out, 1000);
    json_begin(&w, &out);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_open_array(&w, NULL);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_close_array(&w);
    ck_assert_int_eq(json_parse(buf_span(&out), &tree, NULL), TG_OK);
}
END_TEST

START_TEST(a_second_outermost_value_is_a_bug)
{
    struct buf out;
    struct json_writer w;

    buf_init(&out, 1000);
    json_begin(&w, &out);
    json_null(&w, NULL);
    json_null(&w, NULL);
}
END_TEST

START_TEST(closing_what_is_not_open_is_a_bug)
{
    struct buf out;
    struct json_writer w;

    buf_init(&out, 1000);
    json_begin(&w, &out);
    json_close_array(&w);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite(void)
{
    Suite *s = suite_create("base/json");
    TCase *tc = tcase_create("json");

    tcase_add_loop_test(tc, reads_json, 0, COUNT(valid));
    tcase_add_loop_test(tc, refuses_what_is_not_json_and_says_where, 0, COUNT(invalid));
    tcase_add_test(tc, refuses_a_document_cut_anywhere);
    tcase_add_test(tc, reads_nesting_up_to_the_limit);
    tcase_add_test(tc, finds_a_duplicate_among_many);
    tcase_add_test(tc, an_error_quotes_a_long_name_in_part);
    tcase_add_test(tc, valid_text_without_memory_is_not_called_invalid);
    tcase_add_test(tc, writes_commas_names_and_values);
    tcase_add_loop_test(tc, quotes_any_bytes, 0, COUNT(quotings));
    tcase_add_test(tc, what_is_quoted_reads_back);
    tcase_add_test(tc, a_full_buf_is_the_writers_failure);
    tcase_add_test(tc, writes_nesting_up_to_the_limit);
    tcase_add_test_raise_signal(tc, a_second_outermost_value_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, closing_what_is_not_open_is_a_bug, SIGABRT);
    suite_add_tcase(s, tc);
    return s;
}
