/* Goal: names read back, a limit applies to the calls it was made for and to no others, its amount
 * is an override's in that period alone, amounts are written in their metric's form, and a copy
 * stands on its own. Method: tables. */

#include "quota/limit.h"

#include "support/suites.h"

#include <string.h>

static char gpt[] = "gpt-*";
static char exact[] = "claude-x";
static char *models[] = { exact, gpt, NULL };

static const struct {
    struct limit limit;
    int team;
    int key;
    const char *model;
    bool applies;
} calls[] = {
    { { .scope = LIMIT_ORGANIZATION }, 1, 10, "m", true },
    { { .scope = LIMIT_TEAM, .team_id = 1 }, 1, 10, "m", true },
    { { .scope = LIMIT_TEAM, .team_id = 1 }, 2, 10, "m", false },
    { { .scope = LIMIT_TEAM, .team_id = 1, .is_each_key = true }, 1, 11, "m", true },
    { { .scope = LIMIT_KEY, .team_id = 1, .key_id = 10 }, 1, 10, "m", true },
    { { .scope = LIMIT_KEY, .team_id = 1, .key_id = 10 }, 1, 11, "m", false },
    { { .scope = LIMIT_ORGANIZATION, .models = models, .model_count = 2 }, 1, 10, "m", false },
    { { .scope = LIMIT_ORGANIZATION, .models = models, .model_count = 2 },
      1,
      10,
      "claude-x",
      true },
    { { .scope = LIMIT_ORGANIZATION, .models = models, .model_count = 2 },
      1,
      10,
      "claude-x2",
      false },
    { { .scope = LIMIT_ORGANIZATION, .models = models, .model_count = 2 }, 1, 10, "gpt-", true },
    { { .scope = LIMIT_ORGANIZATION, .models = models, .model_count = 2 }, 1, 10, "gpt", false },
    { { .scope = LIMIT_TEAM, .team_id = 1, .models = models, .model_count = 2 },
      2,
      10,
      "gpt-4",
      false },
};

START_TEST(a_limit_applies_to_its_own_calls)
{
    ck_assert(limit_applies(&calls[_i].limit, calls[_i].team, calls[_i].key,
                            span_from(calls[_i].model)) == calls[_i].applies);
}
END_TEST

START_TEST(names_read_back)
{
    for (int i = LIMIT_ORGANIZATION; i <= LIMIT_KEY; i++) {
        enum limit_scope scope = LIMIT_KEY;

        ck_assert(limit_scope_from_name(span_from(limit_scope_name((enum limit_scope)i)), &scope));
        ck_assert_int_eq(scope, i);
    }
    for (int i = 0; i < LIMIT_METRIC_COUNT; i++) {
        enum limit_metric metric = LIMIT_COST;

        ck_assert(
            limit_metric_from_name(span_from(limit_metric_name((enum limit_metric)i)), &metric));
        ck_assert_int_eq(metric, i);
    }
    ck_assert(!limit_scope_from_name(SPAN("Team"), &(enum limit_scope){ 0 }));
    ck_assert(!limit_metric_from_name(SPAN(""), &(enum limit_metric){ 0 }));
}
END_TEST

START_TEST(an_override_is_for_its_period)
{
    const struct limit limit = { .amount = 5, .override_amount = 50, .override_start_ms = 1000 };
    const struct limit none = { .amount = 5 };

    ck_assert_int_eq(limit_amount_in(&limit, 1000), 50);
    ck_assert_int_eq(limit_amount_in(&limit, 2000), 5);
    ck_assert_int_eq(limit_amount_in(&limit, 0), 5);
    ck_assert_int_eq(limit_amount_in(&none, 0), 5);
}
END_TEST

START_TEST(an_amount_has_the_form_of_its_metric)
{
    AUTO(buf) out = { 0 };
    struct json_writer w;

    buf_init(&out, 256);
    json_begin(&w, &out);
    json_open_array(&w, NULL);
    limit_put_amount(&w, NULL, LIMIT_COST, 1500000001);
    limit_put_amount(&w, NULL, LIMIT_TOTAL_TOKENS, 1500000001);
    limit_put_amount(&w, NULL, LIMIT_PARALLEL, 0);
    json_close_array(&w);
    ck_assert(span_equal(buf_span(&out), SPAN("[\"1.500000001\",1500000001,0]")));
}
END_TEST

START_TEST(a_copy_stands_on_its_own)
{
    char name[] = "gpt-4o";
    char *list[] = { name, NULL };
    struct limit limit = { .id = 7, .amount = 5, .models = list, .model_count = 1 };
    AUTO(limit) copy = { 0 };
    AUTO(limit) plain = { 0 };

    ck_assert_int_eq(limit_copy(&limit, &copy), TG_OK);
    name[0] = 'x';
    limit.amount = 6;
    ck_assert_int_eq(copy.id, 7);
    ck_assert_int_eq(copy.amount, 5);
    ck_assert_int_eq(copy.model_count, 1);
    ck_assert_str_eq(copy.models[0], "gpt-4o");
    ck_assert_ptr_null(copy.models[1]);
    limit.models = NULL;
    limit.model_count = 0;
    ck_assert_int_eq(limit_copy(&limit, &plain), TG_OK);
    ck_assert_ptr_null(plain.models);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("quota/limit");
    TCase *cases = tcase_create("cases");

    tcase_add_loop_test(cases, a_limit_applies_to_its_own_calls, 0,
                        (int)(sizeof(calls) / sizeof(calls[0])));
    tcase_add_test(cases, names_read_back);
    tcase_add_test(cases, an_override_is_for_its_period);
    tcase_add_test(cases, an_amount_has_the_form_of_its_metric);
    tcase_add_test(cases, a_copy_stands_on_its_own);
    suite_add_tcase(all, cases);
    return all;
}
