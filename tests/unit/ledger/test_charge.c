/* Goal: each row adds to the rollups what it stands for, once, and every token class goes
 * somewhere. Method: rows by hand; no database. */
#include "base/id.h"
#include "ledger/charge.h"
#include "support/suites.h"

#include <stddef.h>

static const struct {
    struct charge_row row;
    enum rollup_metric metric;
    int64_t value;
} cases[] = {
    { { .id = 9 }, ROLLUP_REQUESTS, 1 },
    { { .id = 9, .call_id = 8 }, ROLLUP_REQUESTS, 0 },
    { { .id = 9, .flags = LEDGER_NOT_SENT }, ROLLUP_REQUESTS, 0 },
    { { .id = 9, .adjusts_id = 8 }, ROLLUP_REQUESTS, 0 },
    { { .id = 9, .outcome = LEDGER_OUTCOME_UPSTREAM_ERROR }, ROLLUP_ERRORS, 1 },
    { { .id = 9, .outcome = LEDGER_OUTCOME_CLIENT_GONE }, ROLLUP_ERRORS, 0 },
    { { .id = 9, .source = LEDGER_SOURCE_ESTIMATED }, ROLLUP_ESTIMATED, 1 },
    { { .id = 9, .source = LEDGER_SOURCE_CEILING }, ROLLUP_ESTIMATED, 1 },
    { { .id = 9, .source = LEDGER_SOURCE_PROVIDER }, ROLLUP_ESTIMATED, 0 },
    { { .id = 9, .outcome = LEDGER_OUTCOME_UNRECONCILED }, ROLLUP_UNRECONCILED, 1 },
    { { .id = 9, .adjusts_id = 8, .outcome = LEDGER_OUTCOME_UNRECONCILED },
      ROLLUP_UNRECONCILED,
      -1 },
    { { .id = 9, .flags = LEDGER_UNPRICED }, ROLLUP_UNPRICED, 1 },
    { { .id = 9, .cost_nusd = 7 }, ROLLUP_COST_NUSD, 7 },
    { { .id = 9, .adjusts_id = 8, .cost_nusd = -7 }, ROLLUP_COST_NUSD, -7 },
    { { .id = 9, .provider_cost_nusd = 7 }, ROLLUP_PROVIDER_COST_NUSD, 7 },
    { { .id = 9, .usage = { .reasoning_tokens = 3 } }, ROLLUP_REASONING, 3 },
};

START_TEST(a_row_adds_what_it_stands_for)
{
    struct rollup_metrics metrics;

    charge_metrics(&cases[_i].row, &metrics);
    ck_assert_int_eq(metrics.value[cases[_i].metric], cases[_i].value);
}
END_TEST

/* So that reports by tokens and limits by tokens agree. */
START_TEST(the_tokens_of_the_rollup_are_those_of_the_usage)
{
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        struct charge_row row = { .id = 9 };
        struct rollup_metrics m;
        int64_t in;
        int64_t out;

        row.usage.count[class] = 5;
        charge_metrics(&row, &m);
        in = m.value[ROLLUP_INPUT] + m.value[ROLLUP_CACHE_READ] + m.value[ROLLUP_CACHE_WRITE] +
             m.value[ROLLUP_MEDIA_IN];
        out = m.value[ROLLUP_OUTPUT] + m.value[ROLLUP_MEDIA_OUT];
        ck_assert_int_eq(in, tg_usage_input_tokens(&row.usage));
        ck_assert_int_eq(out, tg_usage_output_tokens(&row.usage));
    }
}
END_TEST

START_TEST(a_correction_stands_at_the_time_of_what_it_corrects)
{
    const struct charge_row attempt = { .id = id_floor_of(1000) + 1, .team_id = 1 };
    const struct charge_row correction = { .id = id_floor_of(99000), .adjusts_id = attempt.id };
    struct rollup_place place;

    charge_place(&attempt, &place);
    ck_assert_int_eq(place.wall_ms, 1000);
    charge_place(&correction, &place);
    ck_assert_int_eq(place.wall_ms, 1000);
}
END_TEST

START_TEST(every_outcome_and_source_has_a_name)
{
    for (int i = 0; i <= LEDGER_OUTCOME_REFUSED; i++)
        ck_assert_ptr_nonnull(ledger_outcome_name((enum ledger_outcome)i));
    for (int i = 0; i <= LEDGER_SOURCE_MANUAL; i++)
        ck_assert_ptr_nonnull(ledger_source_name((enum ledger_source)i));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("charge");
    TCase *one = tcase_create("metrics");

    tcase_add_loop_test(one, a_row_adds_what_it_stands_for, 0,
                        (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(one, the_tokens_of_the_rollup_are_those_of_the_usage);
    tcase_add_test(one, a_correction_stands_at_the_time_of_what_it_corrects);
    tcase_add_test(one, every_outcome_and_source_has_a_name);
    suite_add_tcase(all, one);
    return all;
}
