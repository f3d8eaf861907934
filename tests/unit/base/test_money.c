/* Goal: money is read, written, added and rounded exactly up to the edges of its type. Method:
 * tables around each edge; rounding against its definition for all remainders. */
#include "base/money.h"

#include "support/suites.h"

static const struct {
    int64_t nusd;
    const char *text;
} amounts[] = {
    { 0, "0" },
    { 1, "0.000000001" },
    { -1, "-0.000000001" },
    { 10, "0.00000001" },
    { 3252500, "0.0032525" },
    { 999999999, "0.999999999" },
    { 1000000000, "1" },
    { 1000000001, "1.000000001" },
    { -1500000000, "-1.5" },
    { 10000000000, "10" },
    { 100100000000, "100.1" },
    { INT64_MAX, "9223372036.854775807" },
    { INT64_MIN, "-9223372036.854775808" },
    { INT64_MIN + 1, "-9223372036.854775807" },
};

START_TEST(writes_shortest_and_reads_back)
{
    char text[MONEY_TEXT_SIZE];
    int64_t nusd = 42;

    money_format(amounts[_i].nusd, text);
    ck_assert_str_eq(text, amounts[_i].text);
    ck_assert_int_eq(money_parse(span_from(text), &nusd), TG_OK);
    ck_assert_int_eq(nusd, amounts[_i].nusd);
}
END_TEST

static const struct {
    const char *text;
    enum tg_status status;
    int64_t nusd;
} readings[] = {
    { "0.0", TG_OK, 0 },
    { "-0", TG_OK, 0 },
    { "-0.000000000", TG_OK, 0 },
    { "1.500", TG_OK, 1500000000 },
    { "5", TG_OK, 5000000000 },
    { "9223372036.854775808", TG_OUT_OF_RANGE, 0 },
    { "-9223372036.854775809", TG_OUT_OF_RANGE, 0 },
    { "9223372037", TG_OUT_OF_RANGE, 0 },
    { "-9223372037", TG_OUT_OF_RANGE, 0 },
    { "18446744073.709551616", TG_OUT_OF_RANGE, 0 }, /* 2^64 nusd */
    { "99999999999999999999999999999999999999999999", TG_OUT_OF_RANGE, 0 },
    { "99999999999999999999999999999999999999999999x", TG_INVALID, 0 },
    { "", TG_INVALID, 0 },
    { "-", TG_INVALID, 0 },
    { ".", TG_INVALID, 0 },
    { ".5", TG_INVALID, 0 },
    { "1.", TG_INVALID, 0 },
    { "-.5", TG_INVALID, 0 },
    { "--1", TG_INVALID, 0 },
    { "+1", TG_INVALID, 0 },
    { "01", TG_INVALID, 0 },
    { "00.1", TG_INVALID, 0 },
    { " 1", TG_INVALID, 0 },
    { "1 ", TG_INVALID, 0 },
    { "1,5", TG_INVALID, 0 },
    { "1.5.5", TG_INVALID, 0 },
    { "1.-5", TG_INVALID, 0 },
    { "1e3", TG_INVALID, 0 },
    { "1.0000000000", TG_INVALID, 0 }, /* ten decimals */
    { "0.0000000001", TG_INVALID, 0 },
    { "nan", TG_INVALID, 0 },
    { "0x1", TG_INVALID, 0 },
    { "$1", TG_INVALID, 0 },
};

START_TEST(reads_only_amounts_in_range)
{
    int64_t nusd = 42;

    ck_assert_int_eq(money_parse(span_from(readings[_i].text), &nusd), readings[_i].status);
    ck_assert_int_eq(nusd, readings[_i].status == TG_OK ? readings[_i].nusd : 42);
}
END_TEST

static const struct {
    int64_t a;
    int64_t b;
    enum tg_status status;
    int64_t sum;
} sums[] = {
    { 1, 2, TG_OK, 3 },
    { INT64_MAX, 0, TG_OK, INT64_MAX },
    { INT64_MAX, 1, TG_OUT_OF_RANGE, 0 },
    { INT64_MAX, INT64_MAX, TG_OUT_OF_RANGE, 0 },
    { INT64_MAX, INT64_MIN, TG_OK, -1 },
    { INT64_MIN, 0, TG_OK, INT64_MIN },
    { INT64_MIN, -1, TG_OUT_OF_RANGE, 0 },
    { INT64_MIN, INT64_MIN, TG_OUT_OF_RANGE, 0 },
};

START_TEST(adds_within_range)
{
    int64_t sum = 42;

    ck_assert_int_eq(money_add(sums[_i].a, sums[_i].b, &sum), sums[_i].status);
    ck_assert_int_eq(sum, sums[_i].status == TG_OK ? sums[_i].sum : 42);
}
END_TEST

/* All remainders, above an even and an odd number of nusd. */
START_TEST(rounds_each_remainder)
{
    for (int64_t pusd = 0; pusd < 4000; pusd++) {
        const int64_t down = pusd / 1000;
        const int64_t rest = pusd % 1000;
        int64_t even = -1;
        int64_t up = -1;
        int64_t expected = down;

        if (rest > 500 || (rest == 500 && down % 2 == 1))
            expected = down + 1;
        ck_assert_int_eq(money_round_half_even(pusd, &even), TG_OK);
        ck_assert_int_eq(even, expected);
        ck_assert_int_eq(money_round_up(pusd, &up), TG_OK);
        ck_assert_int_eq(up, down + (rest > 0));
    }
}
END_TEST

START_TEST(ties_cancel_out)
{
    int64_t total = 0;
    int64_t nusd;

    for (int64_t i = 0; i < 1000; i++) {
        ck_assert_int_eq(money_round_half_even(i * 1000 + 500, &nusd), TG_OK);
        total += nusd;
    }
    ck_assert_int_eq(total, 500 * 1000); /* the exact sum */
}
END_TEST

START_TEST(rounds_up_to_the_edge_and_not_past_it)
{
    const __int128 most = (__int128)INT64_MAX * 1000;
    int64_t nusd = 42;

    ck_assert_int_eq(money_round_half_even(most + 1, &nusd), TG_OUT_OF_RANGE);
    ck_assert_int_eq(money_round_up(most + 1, &nusd), TG_OUT_OF_RANGE);
    ck_assert_int_eq(money_round_half_even(-1, &nusd), TG_OUT_OF_RANGE);
    ck_assert_int_eq(money_round_up(-1, &nusd), TG_OUT_OF_RANGE);
    ck_assert_int_eq(money_round_up((__int128)1 << 126, &nusd), TG_OUT_OF_RANGE);
    ck_assert_int_eq(nusd, 42);
    ck_assert_int_eq(money_round_half_even(most, &nusd), TG_OK);
    ck_assert_int_eq(nusd, INT64_MAX);
    ck_assert_int_eq(money_round_up(most, &nusd), TG_OK);
    ck_assert_int_eq(nusd, INT64_MAX);
    ck_assert_int_eq(money_round_half_even(most - 500, &nusd), TG_OK); /* between even and odd */
    ck_assert_int_eq(nusd, INT64_MAX - 1);
    ck_assert_int_eq(money_round_up(most - 999, &nusd), TG_OK);
    ck_assert_int_eq(nusd, INT64_MAX);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

/* --- pico-USD --- */

static const struct {
    const char *text;
    enum tg_status status;
    int64_t pusd;
} pusd_readings[] = {
    { "0", TG_OK, 0 },
    { "0.000003", TG_OK, 3000000 },
    { "0.000000000001", TG_OK, 1 },
    { "1", TG_OK, INT64_C(1000000000000) },
    { "9223372.036854775807", TG_OK, INT64_MAX },
    { "9223372.036854775808", TG_OUT_OF_RANGE, 0 },
    { "9223373", TG_OUT_OF_RANGE, 0 },
    { "0.0000000000001", TG_INVALID, 0 },
    { "-1", TG_INVALID, 0 },
    { "1e-6", TG_INVALID, 0 },
    { ".5", TG_INVALID, 0 },
    { "5.", TG_INVALID, 0 },
    { "01", TG_INVALID, 0 },
    { "", TG_INVALID, 0 },
};

START_TEST(reads_and_writes_prices_to_the_pico_dollar)
{
    char text[MONEY_PUSD_TEXT_SIZE];
    int64_t pusd = 42;

    ck_assert_int_eq(money_parse_pusd(span_from(pusd_readings[_i].text), &pusd),
                     pusd_readings[_i].status);
    ck_assert_int_eq(pusd, pusd_readings[_i].status == TG_OK ? pusd_readings[_i].pusd : 42);
    if (pusd_readings[_i].status != TG_OK)
        return;
    money_format_pusd(pusd, text);
    ck_assert_str_eq(text, pusd_readings[_i].text);
}
END_TEST

START_TEST(writes_products_up_to_the_edges_of_128_bits)
{
    const __int128 largest = (__int128)(~(unsigned __int128)0 >> 1);
    char text[MONEY_PUSD_TEXT_SIZE];

    money_format_pusd(largest, text);
    ck_assert_str_eq(text, "170141183460469231731687303.715884105727");
    money_format_pusd(-largest - 1, text);
    ck_assert_str_eq(text, "-170141183460469231731687303.715884105728");
    money_format_pusd(-1500000000000, text);
    ck_assert_str_eq(text, "-1.5");
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("base/money");
    TCase *tc = tcase_create("money");

    tcase_add_loop_test(tc, writes_shortest_and_reads_back, 0, COUNT(amounts));
    tcase_add_loop_test(tc, reads_only_amounts_in_range, 0, COUNT(readings));
    tcase_add_loop_test(tc, adds_within_range, 0, COUNT(sums));
    tcase_add_test(tc, rounds_each_remainder);
    tcase_add_test(tc, ties_cancel_out);
    tcase_add_test(tc, rounds_up_to_the_edge_and_not_past_it);
    tcase_add_loop_test(tc, reads_and_writes_prices_to_the_pico_dollar, 0, COUNT(pusd_readings));
    tcase_add_test(tc, writes_products_up_to_the_edges_of_128_bits);
    suite_add_tcase(s, tc);
    return s;
}
