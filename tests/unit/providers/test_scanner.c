/* Goal: the scanner takes JSON and nothing else, and says what it says. Method: tables of valid and
 * invalid texts; every text cut at every byte; strings of all lengths around the width of a vector,
 * in memory that ends where they do; generated documents, whole and damaged, against cJSON. */
#include "providers/scanner.h"

#include "support/suites.h"
#include "support/support_json_oracle.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* A copy of its own, so that a sanitizer sees a byte read too far. */
static char *exact_copy(struct span text)
{
    char *const copy = malloc(text.len + 1);

    ck_assert_ptr_nonnull(copy);
    memcpy(copy + 1, text.ptr, text.len);
    return copy;
}

static enum tg_status scan(struct span text)
{
    char *const copy = exact_copy(text);
    struct scanner s;
    enum tg_status status;

    scanner_init(&s, span_of(copy + 1, text.len));
    (void)scanner_skip(&s);
    status = scanner_finish(&s);
    free(copy);
    return status;
}

static const char *const valid[] = {
    "{}",
    "[]",
    "0",
    "-0",
    "12.5e-3",
    "1E+9",
    "\"\"",
    "null",
    " \t\r\n{ \"a\" : [ 1 , true , false , null ] , \"b\" : { } }",
    "{\"a\":{\"b\":{\"c\":[[[]]]}}}",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"]",
    "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"a \\\"usage\\\":{\"}]}",
    "\"K\xC3\xB6ln \xE6\xBC\xA2\xE5\xAD\x97 \xF0\x9F\x98\x80 \xED\x9F\xBF \xEE\x80\x80\"",
    "\"\\ud800 half a pair is still JSON\"",
    "\"\x7F\"",
};

START_TEST(accepts_json)
{
    ck_assert_int_eq(scan(span_from(valid[_i])), TG_OK);
    ck_assert(oracle_agrees(span_from(valid[_i])));
}
END_TEST

START_TEST(refuses_json_cut_short)
{
    const struct span text = span_trim(span_from(valid[_i]));
    const bool is_number = strchr("-0123456789", text.ptr[0]) != NULL;

    for (size_t len = 0; len < text.len - 1 && !is_number; len++)
        ck_assert_int_eq(scan(span_of(text.ptr, len)), TG_INVALID);
}
END_TEST

static const struct {
    const char *text;
    size_t len; /* 0: strlen */
} invalid[] = {
    { "", 0 },
    { " ", 0 },
    { "{", 0 },
    { "}", 0 },
    { "[", 0 },
    { "]", 0 },
    { "{]", 0 },
    { "[}", 0 },
    { "[[}]", 0 },
    { "{\"a\"}", 0 },
    { "{\"a\":}", 0 },
    { "{\"a\":1,}", 0 },
    { "{,\"a\":1}", 0 },
    { "{\"a\":1,,\"b\":2}", 0 },
    { "{\"a\":1 \"b\":2}", 0 },
    { "{\"a\" 1}", 0 },
    { "{a:1}", 0 },
    { "{1:1}", 0 },
    { "{'a':1}", 0 },
    { "[1,]", 0 },
    { "[,1]", 0 },
    { "[1 2]", 0 },
    { "[1:2]", 0 },
    { "01", 0 },
    { "-", 0 },
    { "+1", 0 },
    { ".5", 0 },
    { "1.", 0 },
    { "1e", 0 },
    { "1e+", 0 },
    { "-01", 0 },
    { "0x10", 0 },
    { "NaN", 0 },
    { "Infinity", 0 },
    { "tru", 0 },
    { "nul", 0 },
    { "nulll", 0 },
    { "True", 0 },
    { "1 2", 0 },
    { "{} {}", 0 },
    { "{}x", 0 },
    { "{}\0", 3 },
    { "// c\n1", 0 },
    { "\"a", 0 },
    { "\"\\\"", 0 },
    { "\"\\x\"", 0 },
    { "\"\\u12\"", 0 },
    { "\"\\u12g4\"", 0 },
    { "\"\\U0001\"", 0 },
    { "\"\n\"", 0 },
    { "\"\t\"", 0 },
    { "\"\x1F\"", 0 },
    { "\"a\0b\"", 5 },
    { "\v1", 0 },
    { "\f1", 0 },
    { "\xC2\xA0"
      "1",
      0 },
    /* marks and encodings that are no UTF-8 JSON */
    { "\xEF\xBB\xBF{}", 0 },
    { "{\0}\0", 4 },
    { "\0{\0}", 4 },
    { "\xFF\xFE{\0}\0", 6 },
    /* malformed UTF-8 */
    { "\"\x80\"", 0 },
    { "\"\xC3\"", 0 },
    { "\"\xC0\xAF\"", 0 },
    { "\"\xC1\xBF\"", 0 },
    { "\"\xE0\x9F\xBF\"", 0 },
    { "\"\xED\xA0\x80\"", 0 },
    { "\"\xE6\xBC\"", 0 },
    { "\"\xF0\x8F\xBF\xBF\"", 0 },
    { "\"\xF4\x90\x80\x80\"", 0 },
    { "\"\xF5\x80\x80\x80\"", 0 },
    { "\"\xF0\x9F\x98\"", 0 },
    { "\"\xFF\"", 0 },
    { "{\"\xC3(\":1}", 0 },
};

START_TEST(refuses_what_is_no_json)
{
    const struct span text = span_of(
        invalid[_i].text, invalid[_i].len != 0 ? invalid[_i].len : strlen(invalid[_i].text));

    ck_assert_int_eq(scan(text), TG_INVALID);
}
END_TEST

START_TEST(nests_to_its_limit_and_no_deeper)
{
    char text[2 * (SCANNER_DEPTH_MAX + 1) + 1];

    for (int depth = 1; depth <= SCANNER_DEPTH_MAX + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        ck_assert_int_eq(scan(span_of(text, 2 * (size_t)depth)),
                         depth <= SCANNER_DEPTH_MAX ? TG_OK : TG_OUT_OF_RANGE);
    }
}
END_TEST

START_TEST(keeps_objects_and_arrays_apart_at_every_depth)
{
    char text[8 * SCANNER_DEPTH_MAX];

    for (int wrong = -1; wrong < SCANNER_DEPTH_MAX; wrong++) {
        size_t len = 0;

        for (int d = 0; d < SCANNER_DEPTH_MAX; d++)
            len += (size_t)sprintf(text + len, "%s", d % 3 == 0 ? "[" : "{\"a\":");
        text[len++] = '1';
        for (int d = SCANNER_DEPTH_MAX - 1; d >= 0; d--)
            text[len++] = (d % 3 == 0) != (d == wrong) ? ']' : '}';
        ck_assert_int_eq(scan(span_of(text, len)), wrong < 0 ? TG_OK : TG_INVALID);
    }
}
END_TEST

static bool may_stand_in_a_string(int byte)
{
    return byte >= ' ' && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Each byte at each place of strings longer than two vectors. */
START_TEST(sees_each_byte_of_a_string)
{
    static const size_t lengths[] = { 1, 15, 16, 17, 32, 33, 50 };
    char text[64];

    for (int byte = 0; byte < 256; byte++) {
        const size_t len = lengths[_i];

        for (size_t at = 0; at < len; at++) {
            memset(text, 'x', sizeof(text));
            text[0] = text[len + 1] = '"';
            text[at + 1] = (char)byte;
            ck_assert_int_eq(scan(span_of(text, len + 2)),
                             may_stand_in_a_string(byte) ? TG_OK : TG_INVALID);
        }
    }
}
END_TEST

/* --- the walk -----------------------------------------------------------------------------------
 */

START_TEST(walks_members_and_elements)
{
    const struct span text =
        SPAN(" {\"a\": [1, \"x\"], \"b\\u0063\" :null,\"d\":{\"e\":{}},\"f\":-2}");
    struct scanner s;
    struct scanner_value value;
    int64_t number;

    scanner_init(&s, text);
    ck_assert(scanner_value(&s, &value) && value.type == SCANNER_OBJECT);
    ck_assert_uint_eq(scanner_offset(&s), 2);
    ck_assert(scanner_member(&s, &value) && scanner_is(&value, SPAN("a")));
    ck_assert(scanner_enter(&s, SCANNER_ARRAY));
    ck_assert(scanner_element(&s) && scanner_value(&s, &value) && scanner_int64(&value, &number));
    ck_assert_int_eq(number, 1);
    ck_assert(scanner_element(&s) && scanner_value(&s, &value) && scanner_is(&value, SPAN("x")));
    ck_assert(!scanner_element(&s));
    ck_assert(scanner_member(&s, &value) && scanner_is(&value, SPAN("bc")));
    ck_assert(!scanner_is(&value, SPAN("b")) && !scanner_is(&value, SPAN("bcd")));
    ck_assert(!scanner_enter(&s, SCANNER_OBJECT)); /* null is read over */
    ck_assert(scanner_member(&s, &value) && scanner_is(&value, SPAN("d")));
    ck_assert(!scanner_enter(&s, SCANNER_ARRAY)); /* so is an object */
    ck_assert(scanner_member(&s, &value) && scanner_is(&value, SPAN("f")));
    ck_assert(scanner_skip(&s));
    ck_assert(!scanner_member(&s, &value));
    ck_assert_int_eq(scanner_finish(&s), TG_OK);
}
END_TEST

START_TEST(leaves_a_container_from_its_midst)
{
    struct scanner s;
    struct scanner_value value;

    scanner_init(&s, SPAN("[{\"a\":1,\"b\":[2,{}]},3]"));
    ck_assert(scanner_enter(&s, SCANNER_ARRAY) && scanner_element(&s));
    ck_assert(scanner_enter(&s, SCANNER_OBJECT) && scanner_member(&s, &value) && scanner_skip(&s));
    ck_assert(scanner_leave(&s));
    ck_assert(scanner_element(&s) && scanner_value(&s, &value));
    ck_assert(span_equal(value.text, SPAN("3")));
    ck_assert(scanner_leave(&s));
    ck_assert_int_eq(scanner_finish(&s), TG_OK);
}
END_TEST

START_TEST(stays_at_its_first_fault)
{
    struct scanner s;
    struct scanner_value value = { 0 };

    scanner_init(&s, SPAN("{\"a\":x,\"b\":1}"));
    ck_assert(scanner_enter(&s, SCANNER_OBJECT) && scanner_member(&s, &value));
    ck_assert(!scanner_value(&s, &value));
    ck_assert(!scanner_member(&s, &value) && !scanner_skip(&s) && !scanner_leave(&s));
    ck_assert_int_eq(scanner_finish(&s), TG_INVALID);
}
END_TEST

START_TEST(is_not_finished_while_something_is_open)
{
    struct scanner s;

    scanner_init(&s, SPAN("{}"));
    ck_assert(scanner_enter(&s, SCANNER_OBJECT));
    ck_assert_int_eq(scanner_finish(&s), TG_INVALID);
}
END_TEST

/* --- strings and numbers ------------------------------------------------------------------------
 */

static struct scanner_value value_of(struct span text)
{
    struct scanner s;
    struct scanner_value value = { 0 };

    scanner_init(&s, text);
    ck_assert(scanner_value(&s, &value));
    return value;
}

static const struct {
    const char *json;
    size_t cap;
    const char *text;
    bool is_whole;
} strings[] = {
    { "\"\"", 0, "", true },
    { "\"abc\"", 3, "abc", true },
    { "\"abc\"", 2, "ab", false },
    { "\"m\\u0061x\\u005Ftokens\"", 16, "max_tokens", true },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 16, "\"\\/\b\f\n\r\t", true },
    { "\"\\u00e9\\u20AC\"", 8, "\xC3\xA9\xE2\x82\xAC", true },
    { "\"\\u00e9\\u20AC\"", 4, "\xC3\xA9", false },
    { "\"\\ud83d\\ude00!\"", 8, "\xF0\x9F\x98\x80!", true },
    { "\"\\ud83d\\ude00\"", 3, "", false },
    { "\"a\\ud83d\"", 8, "a", false },
    { "\"a\\ud83dx\"", 8, "a", false },
    { "\"a\\ude00\"", 8, "a", false },
    { "\"a\\ud83d\\ud83d\\ude00\"", 8, "a", false },
    { "\"a\\ud83d\\u0041\"", 8, "a", false },
    { "\"a\\ud83d\\n00000\"", 8, "a", false },
    { "\"\xE6\xBC\xA2\xE5\xAD\x97\"", 5, "\xE6\xBC\xA2", false },
    { "\"\xE6\xBC\xA2\xE5\xAD\x97\"", 6, "\xE6\xBC\xA2\xE5\xAD\x97", true },
};

START_TEST(unescapes_what_fits)
{
    const struct scanner_value value = value_of(span_from(strings[_i].json));
    char out[17];
    size_t len = 99;

    memset(out, '~', sizeof(out));
    ck_assert(scanner_unescape(&value, out, strings[_i].cap, &len) == strings[_i].is_whole);
    ck_assert(span_equal(span_of(out, len), span_from(strings[_i].text)));
    ck_assert_int_eq(out[strings[_i].cap], '~');
    if (strings[_i].is_whole)
        ck_assert_uint_eq(scanner_text_bytes(&value), len);
}
END_TEST

START_TEST(measures_half_a_pair_as_the_character_put_for_it)
{
    const struct scanner_value value = value_of(SPAN("\"a\\ud800b\\udc00\""));

    ck_assert_uint_eq(scanner_text_bytes(&value), 1 + 3 + 1 + 3);
}
END_TEST

static const struct {
    const char *json;
    bool is_integer;
    int64_t value;
} integers[] = {
    { "0", true, 0 },
    { "-0", true, 0 },
    { "42", true, 42 },
    { "9223372036854775807", true, INT64_MAX },
    { "-9223372036854775808", true, INT64_MIN },
    { "9223372036854775808", false, 0 },
    { "-9223372036854775809", false, 0 },
    { "99999999999999999999", false, 0 },
    { "1.0", false, 0 },
    { "1e3", false, 0 },
    { "\"1\"", false, 0 },
    { "true", false, 0 },
};

START_TEST(reads_integers_that_are_written_as_such)
{
    const struct scanner_value value = value_of(span_from(integers[_i].json));
    int64_t number = 7;

    ck_assert(scanner_int64(&value, &number) == integers[_i].is_integer);
    ck_assert_int_eq(number, integers[_i].is_integer ? integers[_i].value : 7);
}
END_TEST

/* --- against cJSON ------------------------------------------------------------------------------
 */

#define DOCUMENT_MAX 4096

struct generator {
    uint64_t state;
    char text[DOCUMENT_MAX];
    size_t len;
};

static unsigned draw(struct generator *g, unsigned below)
{
    g->state ^= g->state << 13;
    g->state ^= g->state >> 7;
    g->state ^= g->state << 17;
    return (unsigned)(g->state >> 33) % below;
}

static void put(struct generator *g, const char *text)
{
    const size_t len = strlen(text);

    if (len <= sizeof(g->text) - g->len)
        memcpy(g->text + g->len, text, len);
    g->len += len <= sizeof(g->text) - g->len ? len : 0;
}

static void put_string(struct generator *g)
{
    static const char *const bits[] = {
        "a",        "usage", "\\n",     "\\\"",           "\\\\", "\\u0041",
        "\\u00fc",  " ",     "\\u0000", "\\ud83d\\ude00", "{",    "}",
        "\xC3\xBC", ",",     ":",       "\xE6\xBC\xA2",   "[",    "0123456789abcdef"
    };

    put(g, "\"");
    for (unsigned n = draw(g, 6); n > 0; n--)
        put(g, bits[draw(g, COUNT(bits))]);
    put(g, "\"");
}

static void put_scalar(struct generator *g)
{
    static const char *const scalars[] = { "0",       "-1",
                                           "3.25",    "1e3",
                                           "-2.5E-7", "9007199254740993",
                                           "true",    "false",
                                           "null",    "12345678901234567890" };

    if (draw(g, 2) == 0)
        put_string(g);
    else
        put(g, scalars[draw(g, COUNT(scalars))]);
}

static void put_blank(struct generator *g)
{
    static const char *const blanks[] = { "", "", "", " ", "\n", "\r\n", "\t " };

    put(g, blanks[draw(g, COUNT(blanks))]);
}

static void generate(struct generator *g)
{
    char close[12];
    int depth = 0;
    int items = 0;

    g->len = 0;
    do {
        const bool is_object = depth > 0 && close[depth - 1] == '}';

        if (depth > 0 && (draw(g, 4) == 0 || g->len > DOCUMENT_MAX / 2)) {
            const char text[2] = { close[--depth], 0 };

            put(g, text);
            items = 1;
            continue;
        }
        put(g, items > 0 && depth > 0 ? "," : "");
        put_blank(g);
        if (is_object) {
            put_string(g);
            put_blank(g);
            put(g, ":");
        }
        put_blank(g);
        items = 1;
        if (depth < COUNT(close) && (depth == 0 || draw(g, 4) == 0)) {
            close[depth] = draw(g, 2) == 0 ? '}' : ']';
            put(g, close[depth++] == '}' ? "{" : "[");
            items = 0;
        } else {
            put_scalar(g);
        }
        put_blank(g);
    } while (depth > 0);
    put_blank(g);
}

START_TEST(says_of_generated_documents_what_cjson_says)
{
    struct generator g = { .state = 0x9E3779B97F4A7C15u + (uint64_t)_i };

    for (int round = 0; round < 2000; round++) {
        const struct span text = { g.text, 0 };

        generate(&g);
        ck_assert_uint_lt(g.len, sizeof(g.text) - 64);
        ck_assert_msg(oracle_scanner_accepts(span_of(text.ptr, g.len)), "%.*s", (int)g.len, g.text);
        ck_assert_msg(oracle_agrees(span_of(text.ptr, g.len)), "%.*s", (int)g.len, g.text);
    }
}
END_TEST

START_TEST(accepts_no_damaged_document_that_cjson_refuses)
{
    struct generator g = { .state = 0xD1B54A32D192ED03u + (uint64_t)_i };
    int accepted = 0;

    for (int round = 0; round < 4000; round++) {
        generate(&g);
        for (unsigned n = draw(&g, 3) + 1; n > 0; n--)
            g.text[draw(&g, (unsigned)g.len)] = "\"\\{}[],: 0e.tn\x80\x01"[draw(&g, 16)];
        if (!oracle_scanner_accepts(span_of(g.text, g.len)))
            continue;
        accepted++;
        ck_assert_msg(oracle_agrees(span_of(g.text, g.len)), "%.*s", (int)g.len, g.text);
    }
    ck_assert_int_gt(accepted, 100); /* the damage is not always mortal */
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/scanner");
    TCase *tc = tcase_create("scanner");

    tcase_add_loop_test(tc, accepts_json, 0, COUNT(valid));
    tcase_add_loop_test(tc, refuses_json_cut_short, 0, COUNT(valid));
    tcase_add_loop_test(tc, refuses_what_is_no_json, 0, COUNT(invalid));
    tcase_add_test(tc, nests_to_its_limit_and_no_deeper);
    tcase_add_test(tc, keeps_objects_and_arrays_apart_at_every_depth);
    tcase_add_loop_test(tc, sees_each_byte_of_a_string, 0, 7);
    tcase_add_test(tc, walks_members_and_elements);
    tcase_add_test(tc, leaves_a_container_from_its_midst);
    tcase_add_test(tc, stays_at_its_first_fault);
    tcase_add_test(tc, is_not_finished_while_something_is_open);
    tcase_add_loop_test(tc, unescapes_what_fits, 0, COUNT(strings));
    tcase_add_test(tc, measures_half_a_pair_as_the_character_put_for_it);
    tcase_add_loop_test(tc, reads_integers_that_are_written_as_such, 0, COUNT(integers));
    tcase_add_loop_test(tc, says_of_generated_documents_what_cjson_says, 0, 4);
    tcase_add_loop_test(tc, accepts_no_damaged_document_that_cjson_refuses, 0, 4);
    suite_add_tcase(s, tc);
    return s;
}
