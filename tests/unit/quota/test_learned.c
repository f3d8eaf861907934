/* Goal: the learned bound is what design 3.5 says: bytes x the largest ratio of the newest 1,000
 * calls x 1.25, and what the kind adds. Method: calls of round ratios, and bounds worked out by
 * hand. */
#include "quota/learned.h"

#include "support/suites.h"

#include <stdio.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static struct learned learned;

static void setup(void)
{
    learned_init(&learned);
}

static void teardown(void)
{
    learned_fini(&learned);
}

static struct learned_call call_of(int64_t body_bytes, int64_t added_tokens)
{
    return (struct learned_call){
        .provider_id = 1, .model = SPAN("m"), .body_bytes = body_bytes, .added_tokens = added_tokens
    };
}

static void note(int calls, int64_t body_bytes, int64_t added_tokens, int64_t prompt_tokens)
{
    const struct learned_call call = call_of(body_bytes, added_tokens);

    for (int i = 0; i < calls; i++)
        learned_note(&learned, &call, prompt_tokens);
}

static int64_t bound(int64_t body_bytes, int64_t added_tokens)
{
    const struct learned_call call = call_of(body_bytes, added_tokens);

    return learned_bound(&learned, &call);
}

/* Fifty calls of a size, and the bound of another. */
static const struct {
    int64_t body_bytes;
    int64_t added;
    int64_t prompt;
    int64_t of_bytes;
    int64_t of_added;
    int64_t bound;
} rows[] = {
    { 8000, 0, 2000, 8000, 0, 2500 }, /* 1/4 x 1.25 */
    { 8000, 0, 2000, 4096, 0, 1280 },
    { 8000, 0, 2000, 4095, 0, 0 },          /* too short to be bounded */
    { 8000, 100, 2100, 8000, 100, 2600 },   /* 2,000 x 1.25 + 100 */
    { 8000, 3000, 2000, 8000, 3000, 3000 }, /* all of it is what is added */
    { 4096, 0, 4096, 4097, 0, 5122 },       /* 5121.25 up */
    { 6000, 0, 2000, 6000, 0, 2501 },       /* 0.333334 x 6,000 x 1.25 up */
    { 4096, 0, 1000000, 4096, 0, 81920 },   /* cut at 16 a byte */
    { INT64_C(33554432), 0, INT64_C(1000000000), INT64_C(33554432), 0,
      INT64_C(671088640) }, /* 16 x 1.25 x 32 MiB */
};

START_TEST(the_bound_is_the_ratio_and_a_quarter)
{
    note(LEARNED_CALLS_MIN, rows[_i].body_bytes, rows[_i].added, rows[_i].prompt);
    ck_assert_int_eq(bound(rows[_i].of_bytes, rows[_i].of_added), rows[_i].bound);
}
END_TEST

START_TEST(nothing_is_told_before_fifty_calls_that_teach)
{
    note(LEARNED_CALLS_MIN - 1, 8000, 0, 2000);
    note(10, LEARNED_BYTES_MIN - 1, 0, 1000); /* too short */
    note(10, 8000, 0, 0);                     /* no count came */
    ck_assert_int_eq(bound(8000, 0), 0);
    note(1, 8000, 0, 2000);
    ck_assert_int_eq(bound(8000, 0), 2500);
}
END_TEST

START_TEST(the_largest_counts_until_a_thousand_newer_ones_have_come)
{
    note(1, 8000, 0, 8000);
    note(LEARNED_CALLS_MAX - 1, 8000, 0, 2000);
    ck_assert_int_eq(bound(8000, 0), 10000);
    note(1, 8000, 0, 2000); /* takes the place of the first */
    ck_assert_int_eq(bound(8000, 0), 2500);
    note(1, 8000, 0, 4000);
    ck_assert_int_eq(bound(8000, 0), 5000);
}
END_TEST

START_TEST(each_provider_and_model_is_learned_about_alone)
{
    struct learned_call other = call_of(8000, 0);

    note(LEARNED_CALLS_MIN, 8000, 0, 2000);
    other.provider_id = 2;
    ck_assert_int_eq(learned_bound(&learned, &other), 0);
    other.provider_id = 1;
    other.model = SPAN("m2");
    ck_assert_int_eq(learned_bound(&learned, &other), 0);
}
END_TEST

START_TEST(models_beyond_the_most_stay_with_what_is_proven)
{
    char name[16];
    struct learned_call call = call_of(8000, 0);

    for (int model = 0; model < LEARNED_MODELS_MAX; model++) {
        call.model = span_of(name, (size_t)snprintf(name, sizeof(name), "m-%d", model));
        learned_note(&learned, &call, 2000);
    }
    note(LEARNED_CALLS_MIN, 8000, 0, 2000);
    ck_assert_int_eq(bound(8000, 0), 0);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("quota/learned");
    TCase *tcase = tcase_create("learned");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, the_bound_is_the_ratio_and_a_quarter, 0, COUNT(rows));
    tcase_add_test(tcase, nothing_is_told_before_fifty_calls_that_teach);
    tcase_add_test(tcase, the_largest_counts_until_a_thousand_newer_ones_have_come);
    tcase_add_test(tcase, each_provider_and_model_is_learned_about_alone);
    tcase_add_test(tcase, models_beyond_the_most_stay_with_what_is_proven);
    suite_add_tcase(all, tcase);
    return all;
}
