/* Goal: a charge is exact, is rounded once and half to even, and nothing outside the bounds is
 * priced. Method: tables around each tie and bound; sums against hand-made ones; the flags class by
 * class. */
#include "pricing/cost.h"

#include "support/suites.h"

/* A rate in every class, each of its own size. */
static struct cost_rates rates_everywhere(void)
{
    struct cost_rates rates = { 0 };

    for (int i = 0; i < TG_CLASS_COUNT; i++)
        rates.rate[i] = (struct cost_rate){ .price_id = i + 1, .unit_price_pusd = 1000 + i };
    return rates;
}

static const struct {
    int64_t count;
    int64_t pusd;
    int64_t nusd;
} ties[] = {
    { 0, 500, 0 },
    { 1, 0, 0 },
    { 1, 499, 0 },
    { 1, 500, 0 },
    { 1, 501, 1 },
    { 1, 999, 1 },
    { 1, 1000, 1 },
    { 1, 1499, 1 },
    { 1, 1500, 2 },
    { 1, 1501, 2 },
    { 1, 2500, 2 },
    { 1, 2501, 3 },
    { 3, 500, 2 },
    { 5, 500, 2 },
    { 7, 500, 4 },
    { 1000000, 3000000, 3000000000 },
    { 1000000, 3625, 3625000 },
    { 1, 3625, 4 },
    { 3, 3625, 11 },
    { 4, 3625, 14 },
};

START_TEST(rounds_half_to_even)
{
    struct tg_usage usage = { 0 };
    struct cost_rates rates = { 0 };
    struct cost cost;

    usage.count[TG_OUTPUT] = ties[_i].count;
    rates.rate[TG_OUTPUT] = (struct cost_rate){ .price_id = 1, .unit_price_pusd = ties[_i].pusd };
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert_int_eq(cost.nusd, ties[_i].nusd);
    ck_assert(!cost.is_unpriced);
    ck_assert(!cost.has_fallback);
}
END_TEST

START_TEST(rounds_the_total_and_not_its_parts)
{
    struct tg_usage usage = { 0 };
    struct cost_rates rates = { 0 };
    struct cost cost;

    for (int i = 0; i < 4; i++) {
        usage.count[i] = 1;
        rates.rate[i] = (struct cost_rate){ .price_id = 1, .unit_price_pusd = 400 };
    }
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert_int_eq(cost.nusd, 2); /* 1,600 pusd; part by part it were 0 */
}
END_TEST

static const struct {
    enum cost_per per;
    int64_t ms;
    int64_t pusd;
    int64_t nusd;
} times[] = {
    { COST_PER_SECOND, 1000, 100000000, 100000 },
    { COST_PER_SECOND, 1, 1000000, 1 },
    { COST_PER_SECOND, 1, 500000, 0 }, /* half a nusd, to even */
    { COST_PER_SECOND, 3, 500000, 2 }, /* 1.5 */
    { COST_PER_HOUR, 3600000, INT64_C(3000000000000), INT64_C(3000000000) },
    { COST_PER_HOUR, 1, INT64_C(3000000000000), 833 }, /* 833.33 */
    { COST_PER_HOUR, 1000, INT64_C(3000000000000), 833333 },
    { COST_PER_HOUR, 1, INT64_C(1800000000), 0 }, /* half a nusd */
    { COST_PER_HOUR, 1, INT64_C(1800000001), 1 },
    { COST_PER_HOUR, 3, INT64_C(1800000000), 2 }, /* 1.5 */
};

START_TEST(prices_time_by_the_millisecond)
{
    struct tg_usage usage = { 0 };
    struct cost_rates rates = { 0 };
    struct cost cost;

    usage.count[TG_AUDIO_IN] = times[_i].ms;
    rates.rate[TG_AUDIO_IN] = (struct cost_rate){ .price_id = 1,
                                                  .unit_price_pusd = times[_i].pusd,
                                                  .per = times[_i].per };
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert_int_eq(cost.nusd, times[_i].nusd);
}
END_TEST

START_TEST(adds_time_and_tokens_before_it_rounds)
{
    struct tg_usage usage = { 0 };
    struct cost_rates rates = rates_everywhere();
    struct cost cost;

    usage.count[TG_AUDIO_IN] = 1;
    rates.rate[TG_AUDIO_IN].unit_price_pusd = INT64_C(1440000000); /* 400 pusd a ms */
    rates.rate[TG_AUDIO_IN].per = COST_PER_HOUR;
    usage.count[TG_INPUT] = 1;
    rates.rate[TG_INPUT].unit_price_pusd = 200;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert_int_eq(cost.nusd, 1);
}
END_TEST

static void counts_each_class_once_in(int class)
{
    const struct cost_rates rates = rates_everywhere();
    struct tg_usage usage = { .reasoning_tokens = 77, .prompt_tokens = 99 };
    struct cost cost;

    usage.count[class] = 1000;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert_int_eq(cost.nusd, 1000 + class);
}

START_TEST(counts_each_class_once)
{
    for (int i = 0; i < TG_CLASS_COUNT; i++)
        counts_each_class_once_in(i);
}
END_TEST

static void refuses_a_count_past_its_bound_in(int class)
{
    const struct cost_rates rates = rates_everywhere();
    struct tg_usage usage = { 0 };
    struct cost cost = { .nusd = 42 };

    usage.count[class] = TG_COUNT_MAX + 1;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OUT_OF_RANGE);
    usage.count[class] = -1;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OUT_OF_RANGE);
    ck_assert_int_eq(cost.nusd, 42); /* a failure leaves the result alone */
    usage.count[class] = TG_COUNT_MAX;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
}

START_TEST(refuses_a_count_past_its_bound)
{
    for (int i = 0; i < TG_CLASS_COUNT; i++)
        refuses_a_count_past_its_bound_in(i);
}
END_TEST

static void refuses_a_price_past_its_bound_in(int class)
{
    const struct tg_usage usage = { 0 };
    struct cost_rates rates = rates_everywhere();
    struct cost cost = { .nusd = 42 };

    rates.rate[class].unit_price_pusd = COST_PRICE_MAX + 1;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OUT_OF_RANGE);
    rates.rate[class].unit_price_pusd = -1;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OUT_OF_RANGE);
    ck_assert_int_eq(cost.nusd, 42);
    rates.rate[class].unit_price_pusd = COST_PRICE_MAX;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
}

START_TEST(refuses_a_price_past_its_bound)
{
    for (int i = 0; i < TG_CLASS_COUNT; i++)
        refuses_a_price_past_its_bound_in(i);
}
END_TEST

START_TEST(refuses_a_sum_past_int64)
{
    struct tg_usage usage = { 0 };
    struct cost_rates rates = { 0 };
    struct cost cost = { .nusd = 42 };

    /* 9223372036854775807 nusd is 9223372036 * 1e9 + 854775807 */
    usage.count[TG_INPUT] = 1000000000;
    rates.rate[TG_INPUT] = (struct cost_rate){ .price_id = 1, .unit_price_pusd = COST_PRICE_MAX };
    usage.count[TG_OUTPUT] = 1000000000;
    rates.rate[TG_OUTPUT] =
        (struct cost_rate){ .price_id = 2, .unit_price_pusd = INT64_C(4223372036854) };
    usage.count[TG_REASONING] = 775807;
    rates.rate[TG_REASONING] = (struct cost_rate){ .price_id = 3, .unit_price_pusd = 1000 };
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert_int_eq(cost.nusd, INT64_C(9223372036854775807));
    usage.count[TG_REASONING]++;
    cost.nusd = 42;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OUT_OF_RANGE);
    ck_assert_int_eq(cost.nusd, 42);
    for (int i = 0; i < TG_CLASS_COUNT; i++) { /* the largest of everything */
        usage.count[i] = TG_COUNT_MAX;
        rates.rate[i] = (struct cost_rate){ .price_id = 1, .unit_price_pusd = COST_PRICE_MAX };
    }
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OUT_OF_RANGE);
}
END_TEST

static void says_what_has_no_price_in(int class)
{
    struct cost_rates rates = rates_everywhere();
    struct tg_usage usage = { 0 };
    struct cost cost;

    rates.rate[class].price_id = 0;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert(!cost.is_unpriced); /* nothing was used of it */
    usage.count[(class + 1) % TG_CLASS_COUNT] = 1000;
    usage.count[class] = 1;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert(cost.is_unpriced);
    ck_assert_int_eq(cost.nusd, 1000 + (class + 1) % TG_CLASS_COUNT); /* the rest is charged */
}

START_TEST(says_what_has_no_price)
{
    for (int i = 0; i < TG_CLASS_COUNT; i++)
        says_what_has_no_price_in(i);
}
END_TEST

static void says_what_was_priced_by_fallback_in(int class)
{
    struct cost_rates rates = rates_everywhere();
    struct tg_usage usage = { 0 };
    struct cost cost;

    rates.rate[class].is_fallback = true;
    usage.count[(class + 1) % TG_CLASS_COUNT] = 1;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert(!cost.has_fallback);
    usage.count[class] = 1;
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert(cost.has_fallback);
}

START_TEST(says_what_was_priced_by_fallback)
{
    for (int i = 0; i < TG_CLASS_COUNT; i++)
        says_what_was_priced_by_fallback_in(i);
}
END_TEST

static const struct {
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t input_pusd;
    int64_t output_pusd;
    int64_t nusd;
} bounds[] = {
    { 0, 0, 1, 1, 0 },
    { 1, 0, 1, 0, 1 },
    { 1, 0, 1000, 0, 1 },
    { 1, 0, 1001, 0, 2 },
    { 1, 1, 500, 500, 1 },
    { 1000, 128000, 2500000, 15000000, INT64_C(1922500000) },
    { TG_COUNT_MAX, 0, COST_PRICE_MAX, 0, INT64_C(5000000000000000000) },
};

START_TEST(a_bound_is_rounded_up)
{
    int64_t nusd = 42;

    ck_assert_int_eq(cost_bound(bounds[_i].input_tokens, bounds[_i].output_tokens,
                                bounds[_i].input_pusd, bounds[_i].output_pusd, &nusd),
                     TG_OK);
    ck_assert_int_eq(nusd, bounds[_i].nusd);
}
END_TEST

START_TEST(a_bound_has_bounds)
{
    int64_t nusd = 42;

    ck_assert_int_eq(cost_bound(-1, 0, 0, 0, &nusd), TG_OUT_OF_RANGE);
    ck_assert_int_eq(cost_bound(0, TG_COUNT_MAX + 1, 0, 0, &nusd), TG_OUT_OF_RANGE);
    ck_assert_int_eq(cost_bound(0, 0, COST_PRICE_MAX + 1, 0, &nusd), TG_OUT_OF_RANGE);
    ck_assert_int_eq(cost_bound(0, 0, 0, -1, &nusd), TG_OUT_OF_RANGE);
    ck_assert_int_eq(cost_bound(TG_COUNT_MAX, TG_COUNT_MAX, COST_PRICE_MAX, COST_PRICE_MAX, &nusd),
                     TG_OUT_OF_RANGE);
    ck_assert_int_eq(nusd, 42);
}
END_TEST

static const struct {
    int64_t count;
    int64_t pusd;
    struct cost_factor factor;
    int64_t nusd;
} factors[] = {
    { 1, 1000, { 0, 0 }, 1 },
    { 1, 1000, { 1, 1 }, 1 },
    { 1, 1000, { 0, 1 }, 0 },
    { 1, 1000, { 1, 2 }, 0 },          /* 0.5: to even */
    { 3, 1000, { 1, 2 }, 2 },          /* 1.5: to even */
    { 1, 3001, { 1, 2 }, 2 },          /* 1.5005 */
    { 1, 999, { 3, 2 }, 1 },           /* 1.4985 */
    { 1, 3625, { 11, 20 }, 2 },        /* 1.99375 */
    { 1000, 3625, { 11, 10 }, 3988 },  /* 3987.5: to even */
    { 3000, 3625, { 11, 10 }, 11962 }, /* 11962.5: to even */
    { 1, 1000, { 1499999999999, 1000000000000 }, -1 },
    { 1, 1000, { 999999999999, 1000000000000 }, 1 },
    { 1, 500, { 1000000000000, 999999999999 }, 1 },
    { 1, 500, { 999999999999, 1000000000000 }, 0 },
};

START_TEST(multiplies_before_it_rounds)
{
    struct tg_usage usage = { 0 };
    struct cost_rates rates = { 0 };
    struct cost cost = { .nusd = -1 };

    usage.count[TG_OUTPUT] = factors[_i].count;
    rates.rate[TG_OUTPUT] = (struct cost_rate){ .price_id = 1,
                                                .unit_price_pusd = factors[_i].pusd,
                                                .factor = factors[_i].factor };
    ck_assert_int_eq(cost_of(&usage, &rates, &cost),
                     factors[_i].nusd < 0 ? TG_OUT_OF_RANGE : TG_OK);
    ck_assert_int_eq(cost.nusd, factors[_i].nusd);
}
END_TEST

/* A third, a seventh and a thirteenth of 1,000,003 pusd a thousand times over, one way and the
 * other: 1,000,003,000 * (91 + 39 + 21) / 273 pusd is 553,115.21... nusd. */
START_TEST(adds_unlike_fractions_exactly_and_in_any_order)
{
    static const int64_t dens[] = { 3, 7, 13 };

    for (int turn = 0; turn < 3; turn++) {
        struct tg_usage usage = { 0 };
        struct cost_rates rates = { 0 };
        struct cost cost;

        for (int i = 0; i < 3; i++) {
            const int class = (i + turn) % 3;

            usage.count[class] = 1000;
            rates.rate[class] = (struct cost_rate){ .price_id = 1,
                                                    .unit_price_pusd = 1000003,
                                                    .factor = { 1, dens[i] } };
        }
        ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
        ck_assert_int_eq(cost.nusd, 553115);
    }
}
END_TEST

START_TEST(rounds_several_parts_once)
{
    struct tg_usage usage = { 0 };
    struct cost_rates rates = { 0 };
    const struct cost_part parts[] = { { &usage, &rates }, { &usage, &rates }, { &usage, &rates } };
    struct cost cost;

    usage.count[TG_INPUT] = 1;
    rates.rate[TG_INPUT] = (struct cost_rate){ .price_id = 1, .unit_price_pusd = 400 };
    ck_assert_int_eq(cost_of_parts(parts, 3, &cost), TG_OK);
    ck_assert_int_eq(cost.nusd, 1); /* 1,200 pusd; part by part it were 0 */
    ck_assert_int_eq(cost_of_parts(parts, 0, &cost), TG_OK);
    ck_assert_int_eq(cost.nusd, 0);
}
END_TEST

START_TEST(a_product_of_factors_is_in_lowest_terms_and_bounded)
{
    struct cost_factor product = { 7, 7 };

    ck_assert_int_eq(cost_factor_multiply((struct cost_factor){ 11, 10 },
                                          (struct cost_factor){ 5, 22 }, &product),
                     TG_OK);
    ck_assert_int_eq(product.num, 1);
    ck_assert_int_eq(product.den, 4);
    ck_assert_int_eq(cost_factor_multiply((struct cost_factor){ 0 },
                                          (struct cost_factor){ 15000, 10000 }, &product),
                     TG_OK);
    ck_assert_int_eq(product.num, 3);
    ck_assert_int_eq(product.den, 2);
    ck_assert_int_eq(
        cost_factor_multiply((struct cost_factor){ 0, 3 }, (struct cost_factor){ 3, 2 }, &product),
        TG_OK);
    ck_assert_int_eq(product.num, 0);
    ck_assert_int_eq(cost_factor_multiply((struct cost_factor){ COST_FACTOR_MAX, 1 },
                                          (struct cost_factor){ 2, 1 }, &product),
                     TG_OUT_OF_RANGE);
    ck_assert_int_eq(cost_factor_multiply((struct cost_factor){ 1, COST_FACTOR_MAX + 1 },
                                          (struct cost_factor){ 1, 1 }, &product),
                     TG_OUT_OF_RANGE);
    ck_assert_int_eq(
        cost_factor_multiply((struct cost_factor){ -1, 1 }, (struct cost_factor){ 1, 1 }, &product),
        TG_OUT_OF_RANGE);
    ck_assert_int_eq(product.num, 0);
}
END_TEST

START_TEST(refuses_a_product_past_128_bits)
{
    struct tg_usage usage = { 0 };
    struct cost_rates rates = { 0 };
    struct cost cost = { .nusd = 42 };

    usage.count[TG_INPUT] = TG_COUNT_MAX;
    rates.rate[TG_INPUT] = (struct cost_rate){ .price_id = 1,
                                               .unit_price_pusd = COST_PRICE_MAX,
                                               .factor = { COST_FACTOR_MAX, 999999999999 } };
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OUT_OF_RANGE);
    ck_assert_int_eq(cost.nusd, 42);
}
END_TEST

#define COUNT_OF(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite(void)
{
    Suite *s = suite_create("pricing/cost");
    TCase *c = tcase_create("all");

    tcase_add_loop_test(c, rounds_half_to_even, 0, COUNT_OF(ties));
    tcase_add_test(c, rounds_the_total_and_not_its_parts);
    tcase_add_loop_test(c, prices_time_by_the_millisecond, 0, COUNT_OF(times));
    tcase_add_test(c, adds_time_and_tokens_before_it_rounds);
    tcase_add_test(c, counts_each_class_once);
    tcase_add_test(c, refuses_a_count_past_its_bound);
    tcase_add_test(c, refuses_a_price_past_its_bound);
    tcase_add_test(c, refuses_a_sum_past_int64);
    tcase_add_test(c, says_what_has_no_price);
    tcase_add_test(c, says_what_was_priced_by_fallback);
    tcase_add_loop_test(c, a_bound_is_rounded_up, 0, COUNT_OF(bounds));
    tcase_add_test(c, a_bound_has_bounds);
    tcase_add_loop_test(c, multiplies_before_it_rounds, 0, COUNT_OF(factors));
    tcase_add_test(c, adds_unlike_fractions_exactly_and_in_any_order);
    tcase_add_test(c, rounds_several_parts_once);
    tcase_add_test(c, a_product_of_factors_is_in_lowest_terms_and_bounded);
    tcase_add_test(c, refuses_a_product_past_128_bits);
    suite_add_tcase(s, c);
    return s;
}
