/* Goal: spans compare, search, cut and decode to the byte. Method: tables of cases; the search
 * against a search byte by byte over all small texts, in memory that ends where the span does. */
#include "base/span.h"

#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>

START_TEST(compares_letters_without_case_and_nothing_else)
{
    ck_assert(span_equal_nocase(SPAN("Content-Type"), SPAN("cONTENT-tYPE")));
    ck_assert(span_equal_nocase(SPAN_EMPTY, (struct span){ NULL, 0 }));
    ck_assert(!span_equal_nocase(SPAN("a"), SPAN("ab")));
    /* Bytes that differ by 0x20 as letters do, beside the letters. */
    ck_assert(!span_equal_nocase(SPAN("@"), SPAN("`")));
    ck_assert(!span_equal_nocase(SPAN("["), SPAN("{")));
    ck_assert(!span_equal_nocase(SPAN("\xC4"), SPAN("\xE4")));
    ck_assert(!span_equal(SPAN("a"), SPAN("A")));
    ck_assert(span_equal((struct span){ NULL, 0 }, SPAN_EMPTY));
}
END_TEST

START_TEST(knows_what_it_starts_and_ends_with)
{
    ck_assert(span_starts_with(SPAN("Bearer x"), SPAN("Bearer ")));
    ck_assert(!span_starts_with(SPAN("Bearer"), SPAN("Bearer ")));
    ck_assert(!span_starts_with(SPAN("bearer x"), SPAN("Bearer ")));
    ck_assert(span_starts_with_nocase(SPAN("bEARER x"), SPAN("Bearer ")));
    ck_assert(!span_starts_with_nocase(SPAN("bear"), SPAN("Bearer ")));
    ck_assert(span_ends_with(SPAN("data.csv"), SPAN(".csv")));
    ck_assert(!span_ends_with(SPAN("csv"), SPAN(".csv")));
    ck_assert(span_ends_with(SPAN("x"), SPAN("")));
}
END_TEST

static const struct {
    const char *text;
    const char *trimmed;
} trims[] = {
    { "", "" }, { " ", "" }, { " \t \t", "" }, { "a", "a" }, { "\ta b ", "a b" }, { "\na ", "\na" },
};

START_TEST(trims_spaces_and_tabs)
{
    ck_assert(span_equal(span_trim(span_from(trims[_i].text)), span_from(trims[_i].trimmed)));
}
END_TEST

START_TEST(finds_a_byte_or_leaves_the_place_alone)
{
    size_t at = 42;

    ck_assert(!span_find_byte(SPAN_EMPTY, 'a', &at));
    ck_assert(!span_find_byte((struct span){ NULL, 0 }, 'a', &at));
    ck_assert(!span_find_byte(SPAN("xyz"), 'a', &at));
    ck_assert_uint_eq(at, 42);
    ck_assert(span_find_byte(SPAN("x\0a\0a"), 'a', &at));
    ck_assert_uint_eq(at, 2);
    ck_assert(span_find_byte(SPAN("\xFF"), '\xFF', &at));
    ck_assert_uint_eq(at, 0);
}
END_TEST

static bool find_slowly(struct span s, struct span needle, size_t *ret_at)
{
    for (size_t i = 0; i + needle.len <= s.len; i++) {
        if (memcmp(s.ptr + i, needle.ptr, needle.len) == 0) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

/* Texts of two letters, so that first bytes match often; allocated to the byte, so that ASan sees a
 * read past the end. */
START_TEST(finds_what_a_search_byte_by_byte_finds)
{
    unsigned seed = 1;

    for (int round = 0; round < 10000; round++) {
        const size_t len = (size_t)round % 70;
        const size_t needle_len = 1 + (size_t)rand_r(&seed) % 6;
        char *text = malloc(len + 1);
        char *exact = malloc(len > 0 ? len : 1);
        char needle[8];
        size_t at = 999;
        size_t expected = 999;

        for (size_t i = 0; i < len; i++)
            text[i] = "ab"[rand_r(&seed) >> 3 & 1];
        for (size_t i = 0; i < needle_len; i++)
            needle[i] = "ab"[rand_r(&seed) >> 3 & 1];
        memcpy(exact, text, len);

        const struct span s = span_of(exact, len);
        const struct span n = span_of(needle, needle_len);

        ck_assert_int_eq(span_find(s, n, &at), find_slowly(s, n, &expected));
        ck_assert_uint_eq(at, expected);
        free(text);
        free(exact);
    }
}
END_TEST

START_TEST(finds_a_needle_at_each_place)
{
    const struct span needle = SPAN("\"usage\"");
    char text[100];

    for (size_t len = needle.len; len <= sizeof(text); len++) {
        for (size_t place = 0; place + needle.len <= len; place++) {
            size_t at = 0;

            memset(text, '"', sizeof(text)); /* each byte begins the needle */
            memcpy(text + place, needle.ptr, needle.len);
            ck_assert(span_find(span_of(text, len), needle, &at));
            ck_assert_uint_eq(at, place);
            /* One byte short, at the end: what lies behind the span must not count. */
            if (place + needle.len == len)
                ck_assert(!span_find(span_of(text, len - 1), needle, &at));
        }
    }
}
END_TEST

START_TEST(cuts_into_what_stands_between_separators)
{
    struct span rest = SPAN("a,,bc,");
    struct span head;

    ck_assert(span_cut(&rest, ',', &head));
    ck_assert(span_equal(head, SPAN("a")));
    ck_assert(span_cut(&rest, ',', &head));
    ck_assert(span_equal(head, SPAN_EMPTY));
    ck_assert(span_cut(&rest, ',', &head));
    ck_assert(span_equal(head, SPAN("bc")));
    ck_assert(!span_cut(&rest, ',', &head));
    ck_assert(span_equal(head, SPAN("bc"))); /* left alone */
    rest = SPAN("no separator");
    ck_assert(span_cut(&rest, ',', &head));
    ck_assert(span_equal(head, SPAN("no separator")));
    ck_assert_uint_eq(rest.len, 0);
}
END_TEST

static const struct {
    const char *text;
    int64_t max;
    bool is_valid;
    int64_t value;
} integers[] = {
    { "0", 0, true, 0 },
    { "1", 0, false, 0 },
    { "7", 9, true, 7 },
    { "10", 10, true, 10 },
    { "11", 10, false, 0 },
    { "9223372036854775807", INT64_MAX, true, INT64_MAX },
    { "9223372036854775808", INT64_MAX, false, 0 },
    { "9223372036854775806", INT64_MAX - 1, true, INT64_MAX - 1 },
    { "18446744073709551616", INT64_MAX, false, 0 }, /* 2^64, 0 where it wraps */
    { "99999999999999999999999", INT64_MAX, false, 0 },
    { "", 9, false, 0 },
    { "00", 9, false, 0 },
    { "01", 9, false, 0 },
    { "-1", 9, false, 0 },
    { "+1", 9, false, 0 },
    { " 1", 9, false, 0 },
    { "1 ", 9, false, 0 },
    { "1a", 99, false, 0 },
    { "0x1", 99, false, 0 },
    { "1.0", 99, false, 0 },
    { "/", 99, false, 0 }, /* beside '0' and '9' */
    { ":", 99, false, 0 },
};

START_TEST(reads_decimal_integers_up_to_the_maximum)
{
    int64_t value = -5;

    ck_assert_int_eq(span_to_int64(span_from(integers[_i].text), integers[_i].max, &value),
                     integers[_i].is_valid);
    ck_assert_int_eq(value, integers[_i].is_valid ? integers[_i].value : -5);
}
END_TEST

START_TEST(copies_with_a_terminator)
{
    char *text = span_to_string(span_of("abcdef", 3));

    ck_assert_str_eq(text, "abc");
    free(text);
    text = span_to_string((struct span){ NULL, 0 });
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

START_TEST(hashes_spread_over_the_low_bits)
{
    int slots[64] = { 0 };
    char name[32];

    for (int i = 0; i < 6400; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        slots[span_hash(span_from(name)) & 63]++;
    }
    for (int i = 0; i < 64; i++) { /* 100 expected, 10 the deviation */
        ck_assert_int_ge(slots[i], 50);
        ck_assert_int_le(slots[i], 150);
    }
    ck_assert(span_hash(SPAN("a")) == span_hash(SPAN("a")));
    ck_assert(span_hash(SPAN("a")) != span_hash(SPAN("b")));
}
END_TEST

static const struct {
    const char *text;
    size_t len; /* of the sequence; 0: not valid */
    uint32_t code_point;
} sequences[] = {
    { "", 0, 0 },
    { "a", 1, 'a' },
    { "\x7F", 1, 0x7F },
    { "\x80", 0, 0 },
    { "\xBF", 0, 0 },
    { "\xC0\x80", 0, 0 }, /* overlong NUL */
    { "\xC1\xBF", 0, 0 },
    { "\xC2\x80", 2, 0x80 },
    { "\xC2", 0, 0 },
    { "\xC2\x7F", 0, 0 },
    { "\xC2\xC0", 0, 0 },
    { "\xDF\xBF", 2, 0x7FF },
    { "\xE0\x9F\xBF", 0, 0 }, /* overlong */
    { "\xE0\xA0\x80", 3, 0x800 },
    { "\xE2\x82", 0, 0 },
    { "\xE2\x82\xAC!", 3, 0x20AC },
    { "\xED\x9F\xBF", 3, 0xD7FF },
    { "\xED\xA0\x80", 0, 0 }, /* surrogates */
    { "\xED\xBF\xBF", 0, 0 },
    { "\xEE\x80\x80", 3, 0xE000 },
    { "\xEF\xBF\xBF", 3, 0xFFFF },
    { "\xF0\x8F\xBF\xBF", 0, 0 }, /* overlong */
    { "\xF0\x90\x80\x80", 4, 0x10000 },
    { "\xF0\x9F\x98\x80", 4, 0x1F600 },
    { "\xF0\x9F\x98", 0, 0 },
    { "\xF4\x8F\xBF\xBF", 4, 0x10FFFF },
    { "\xF4\x90\x80\x80", 0, 0 }, /* above Unicode */
    { "\xF5\x80\x80\x80", 0, 0 },
    { "\xFF", 0, 0 },
};

START_TEST(decodes_utf8_strictly)
{
    uint32_t code_point = 12345;

    ck_assert_uint_eq(span_utf8_at(span_from(sequences[_i].text), &code_point), sequences[_i].len);
    ck_assert_uint_eq(code_point, sequences[_i].len > 0 ? sequences[_i].code_point : 12345);
}
END_TEST

START_TEST(cuts_between_characters)
{
    const struct span s = SPAN("a\xE2\x82\xAC\xF0\x9F\x98\x80"); /* ends at 1, 4 and 8 */
    static const size_t cut[] = { 0, 1, 1, 1, 4, 4, 4, 4, 8, 8 };

    for (size_t max = 0; max < sizeof(cut) / sizeof(cut[0]); max++)
        ck_assert_uint_eq(span_utf8_cut(s, max), cut[max]);
    ck_assert_uint_eq(span_utf8_cut(SPAN("ab\xE2\x82"), 99), 2); /* the text itself is split */
    ck_assert_uint_eq(span_utf8_cut(SPAN("\x80\x80\x80\x80\x80"), 5), 5); /* not UTF-8 */
    ck_assert_uint_eq(span_utf8_cut(SPAN_EMPTY, 5), 0);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite(void)
{
    Suite *s = suite_create("base/span");
    TCase *tc = tcase_create("span");

    tcase_add_test(tc, compares_letters_without_case_and_nothing_else);
    tcase_add_test(tc, knows_what_it_starts_and_ends_with);
    tcase_add_loop_test(tc, trims_spaces_and_tabs, 0, COUNT(trims));
    tcase_add_test(tc, finds_a_byte_or_leaves_the_place_alone);
    tcase_add_test(tc, finds_what_a_search_byte_by_byte_finds);
    tcase_add_test(tc, finds_a_needle_at_each_place);
    tcase_add_test(tc, cuts_into_what_stands_between_separators);
    tcase_add_loop_test(tc, reads_decimal_integers_up_to_the_maximum, 0, COUNT(integers));
    tcase_add_test(tc, copies_with_a_terminator);
    tcase_add_test(tc, hashes_spread_over_the_low_bits);
    tcase_add_loop_test(tc, decodes_utf8_strictly, 0, COUNT(sequences));
    tcase_add_test(tc, cuts_between_characters);
    suite_add_tcase(s, tc);
    return s;
}
