/* Goal: ids never repeat and sort by time, texts read back exactly, and a token's check digits tell
 * it from noise. Method: clocks that stand still and step back, chosen randomness, each byte
 * altered. */
#include "base/id.h"

#include "base/rand.h"
#include "support/suites.h"

#include <inttypes.h>
#include <signal.h>

#define NOON INT64_C(1795521600000)

START_TEST(an_id_keeps_its_time_and_its_source)
{
    struct id_source source;
    int64_t id;

    id_source_init(&source, ID_SOURCE_MAX, 0);
    id = id_next(&source, NOON);
    ck_assert_int_eq(id_wall_ms(id), NOON);
    ck_assert_int_eq(id >> 14 & 63, ID_SOURCE_MAX);
    ck_assert_int_ge(id, id_floor_of(NOON));
    ck_assert_int_lt(id, id_floor_of(NOON + 1));
    ck_assert_int_eq(id_floor_of(INT64_MAX), INT64_MAX); /* a range without an end */
}
END_TEST

START_TEST(ids_grow_whatever_the_clock_does)
{
    static const int64_t clocks[] = { NOON, NOON, NOON - 5000, NOON + 1, NOON, 0, NOON + 2 };
    struct id_source source;
    int64_t last = 0;

    id_source_init(&source, 3, 0);
    for (int i = 0; i < 100000; i++) { /* more than a millisecond's sequence holds */
        const int64_t id = id_next(&source, clocks[i % 7]);

        if (id <= last || (id >> 14 & 63) != 3)
            ck_abort_msg("%d: %" PRId64 " after %" PRId64, i, id, last);
        last = id;
    }
}
END_TEST

START_TEST(a_full_sequence_moves_into_the_next_millisecond)
{
    struct id_source source;
    int64_t id = 0;

    id_source_init(&source, 5, 0);
    for (int i = 0; i < 1 << 14; i++)
        id = id_next(&source, NOON);
    ck_assert_int_eq(id_wall_ms(id), NOON);
    ck_assert_int_eq(id & ((1 << 14) - 1), (1 << 14) - 1);
    id = id_next(&source, NOON);
    ck_assert_int_eq(id_wall_ms(id), NOON + 1);
    ck_assert_int_eq(id >> 14 & 63, 5);
    ck_assert_int_eq(id & ((1 << 14) - 1), 0);
}
END_TEST

/* The floor may be another source's id, below or above this one's in the same millisecond. */
START_TEST(no_id_is_given_at_or_below_the_floor)
{
    for (int other = 0; other <= ID_SOURCE_MAX; other++) {
        for (int sequence = 0; sequence < 1 << 14; sequence += (1 << 14) - 1) {
            const int64_t floor = id_floor_of(NOON) | (int64_t)other << 14 | sequence;
            struct id_source source;
            int64_t id;

            id_source_init(&source, 30, floor);
            id = id_next(&source, NOON - 1000);
            ck_assert_int_gt(id, floor);
            ck_assert_int_eq(id >> 14 & 63, 30);
            ck_assert_int_le(id_wall_ms(id), NOON + 1);
        }
    }
}
END_TEST

START_TEST(no_id_is_zero)
{
    struct id_source source;

    id_source_init(&source, 0, 0);
    ck_assert_int_eq(id_next(&source, 0), 1);
}
END_TEST

START_TEST(a_clock_past_its_bits_is_a_bug)
{
    struct id_source source;

    id_source_init(&source, 0, 0);
    (void)id_next(&source, INT64_C(1) << 43);
}
END_TEST

START_TEST(call_ids_read_back_and_sort_as_numbers_do)
{
    static const int64_t ids[] = { 1, 61, 62, 1000000, NOON << 20, INT64_MAX - 1, INT64_MAX };
    char last[ID_TEXT_SIZE] = "";

    for (int i = 0; i < 7; i++) {
        char text[ID_TEXT_SIZE];
        int64_t id = 0;

        id_format_call(ids[i], text);
        ck_assert_uint_eq(strlen(text), 16);
        ck_assert(id_parse_call(span_from(text), &id));
        ck_assert_int_eq(id, ids[i]);
        ck_assert_int_lt(strcmp(last, text), 0);
        strcpy(last, text);
    }
    ck_assert_str_eq(last, "call_AzL8n0Y58m7"); /* 2^63 - 1 */
}
END_TEST

static const char *const no_calls[] = {
    "",
    "call_",
    "call_0000000000",
    "call_000000000001",
    "call_00000000000", /* 0 */
    "CALL_00000000001",
    "tall_00000000001",
    "call_0000000000-",
    "call_0000000000 ",
    "call_AzL8n0Y58m8", /* 2^63 */
    "call_LygHa16AHYG", /* 2^64 */
    "call_zzzzzzzzzzz",
};

START_TEST(refuses_what_is_no_call_id)
{
    int64_t id = 42;

    ck_assert(!id_parse_call(span_from(no_calls[_i]), &id));
    ck_assert_int_eq(id, 42);
}
END_TEST

START_TEST(base62_is_in_byte_order_and_bounded)
{
    char text[12] = "";
    uint64_t value = 42;

    id_put_base62(61, 1, text);
    ck_assert_str_eq(text, "z");
    id_put_base62(UINT64_MAX, 11, text);
    ck_assert_str_eq(text, "LygHa16AHYF");
    ck_assert(id_get_base62(span_from(text), &value));
    ck_assert(value == UINT64_MAX);
    value = 42;
    ck_assert(!id_get_base62(SPAN("LygHa16AHYG"), &value));
    ck_assert(!id_get_base62(SPAN("100000000000"), &value));
    ck_assert(!id_get_base62(SPAN(""), &value));
    ck_assert(!id_get_base62(SPAN("a/b"), &value));
    ck_assert(!id_get_base62(SPAN("\xC3\xA4"), &value));
    ck_assert_uint_eq(value, 42);
    ck_assert(id_get_base62(SPAN("0000000000000010"), &value)); /* zeros in front are no overflow */
    ck_assert_uint_eq(value, 62);
}
END_TEST

/* Words 100, 101, ...; rand_below(62) of them is their remainder. */
static uint32_t next_word;

static void fill_counting(void *bytes, size_t len)
{
    ck_assert_uint_eq(len, sizeof(next_word));
    memcpy(bytes, &next_word, len);
    next_word++;
}

START_TEST(name_ids_are_their_prefix_and_random_digits)
{
    char text[ID_TEXT_SIZE];

    next_word = 62 * 2;
    rand_use(fill_counting);
    id_make_name("team_", text);
    ck_assert_str_eq(text, "team_0123456789AB");
    id_make_name("12345678", text);
    ck_assert_str_eq(text, "12345678CDEFGHIJKLMN");
    rand_use(NULL);
}
END_TEST

/* The check digits are what zlib's crc32 gives for the 46 bytes before. */
START_TEST(a_token_has_the_documented_form)
{
    char text[ID_TOKEN_SIZE];
    uint64_t check = 0;

    next_word = 62 * 2;
    rand_use(fill_counting);
    id_make_token("tgk_", NULL, text);
    rand_use(NULL);
    ck_assert_uint_eq(strlen(text), ID_TOKEN_LEN);
    ck_assert_int_eq(strncmp(text, "tgk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", 46), 0);
    ck_assert(id_get_base62(span_of(text + 46, 6), &check));
    ck_assert_uint_eq(check, 0x47860716);
    ck_assert(id_token_is_well_formed(span_from(text)));
}
END_TEST

START_TEST(rotation_keeps_the_id_and_changes_the_secret)
{
    char first[ID_TOKEN_SIZE];
    char second[ID_TOKEN_SIZE];
    char id10[ID_TOKEN_ID + 1] = "";

    id_make_token("tga_", NULL, first);
    memcpy(id10, first + 4, ID_TOKEN_ID);
    id_make_token("tga_", id10, second);
    ck_assert_int_eq(memcmp(first, second, 14), 0);
    ck_assert_int_ne(memcmp(first + 14, second + 14, 32), 0);
    ck_assert(id_token_is_well_formed(span_from(first)));
    ck_assert(id_token_is_well_formed(span_from(second)));
}
END_TEST

/* CRC-32 sees each change of a single byte, so every one must be refused. */
START_TEST(any_altered_byte_shows)
{
    char text[ID_TOKEN_SIZE];

    id_make_token("tgk_", NULL, text);
    for (int i = 0; i < ID_TOKEN_LEN; i++) {
        const char right = text[i];

        for (int c = 0; c < 256; c++) {
            text[i] = (char)c;
            if (text[i] != right && id_token_is_well_formed(span_of(text, ID_TOKEN_LEN)))
                ck_abort_msg("byte %d as %d", i, c);
        }
        text[i] = right;
    }
    ck_assert(id_token_is_well_formed(span_of(text, ID_TOKEN_LEN)));
    ck_assert(!id_token_is_well_formed(span_of(text, ID_TOKEN_LEN - 1)));
    ck_assert(!id_token_is_well_formed(span_of(text, ID_TOKEN_SIZE)));
    ck_assert(!id_token_is_well_formed(SPAN_EMPTY));
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("base/id");
    TCase *tc = tcase_create("id");

    tcase_add_test(tc, an_id_keeps_its_time_and_its_source);
    tcase_add_test(tc, ids_grow_whatever_the_clock_does);
    tcase_add_test(tc, a_full_sequence_moves_into_the_next_millisecond);
    tcase_add_test(tc, no_id_is_given_at_or_below_the_floor);
    tcase_add_test(tc, no_id_is_zero);
    tcase_add_test_raise_signal(tc, a_clock_past_its_bits_is_a_bug, SIGABRT);
    tcase_add_test(tc, call_ids_read_back_and_sort_as_numbers_do);
    tcase_add_loop_test(tc, refuses_what_is_no_call_id, 0,
                        (int)(sizeof(no_calls) / sizeof(no_calls[0])));
    tcase_add_test(tc, base62_is_in_byte_order_and_bounded);
    tcase_add_test(tc, name_ids_are_their_prefix_and_random_digits);
    tcase_add_test(tc, a_token_has_the_documented_form);
    tcase_add_test(tc, rotation_keeps_the_id_and_changes_the_secret);
    tcase_add_test(tc, any_altered_byte_shows);
    suite_add_tcase(s, tc);
    return s;
}
