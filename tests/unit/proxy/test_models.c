/* Goal: what a key is told of itself is what OpenRouter's clients read, as far as limits know it,
 * and every limit with its numbers. Method: whole answers, as they must be to the byte. */

#include "proxy/models.h"

#include "support/suites.h"

#include <stdio.h>
#include <string.h>

#define USD INT64_C(1000000000)

static struct own_limit own_of(const char *id, enum limit_scope scope, enum limit_metric metric,
                               enum period_window window)
{
    struct own_limit own = {
        .limit = { .scope = scope,
                   .metric = metric,
                   .has_window = metric != LIMIT_PARALLEL,
                   .rule = { window, 1, 1 },
                   .is_hard = true },
    };

    (void)snprintf(own.limit.public_id, sizeof(own.limit.public_id), "%s", id);
    return own;
}

static void check(const struct models_key *key, const char *expected)
{
    AUTO(buf) out = { 0 };

    buf_init(&out, 65536);
    models_put_key(key, &out);
    buf_put_byte(&out, '\0');
    ck_assert_int_eq(buf_status(&out), TG_OK);
    ck_assert_str_eq(buf_span(&out).ptr, expected);
}

START_TEST(a_key_without_limits_knows_nothing_of_its_use)
{
    check(&(struct models_key){ .public_id = "key_a", .expires_at_ms = INT64_C(1795478400000) },
          "{\"data\":{\"label\":\"key_a\",\"limit\":null,\"limit_remaining\":null,"
          "\"limit_reset\":null,\"usage\":null,\"usage_daily\":null,\"usage_weekly\":null,"
          "\"usage_monthly\":null,\"is_free_tier\":false,\"is_management_key\":false,"
          "\"expires_at\":\"2026-11-24T00:00:00.000Z\",\"limits\":[],\"has_more_limits\":false}}");
}
END_TEST

START_TEST(the_limit_is_the_budget_with_the_least_left)
{
    static char only[] = "gpt-*";
    char *models[] = { only, NULL };
    struct own_limit limits[] = {
        own_of("lim_1", LIMIT_KEY, LIMIT_COST, PERIOD_MONTH),
        own_of("lim_2", LIMIT_TEAM, LIMIT_COST, PERIOD_DAY),
        own_of("lim_3", LIMIT_KEY, LIMIT_COST, PERIOD_DAY),  /* of some models */
        own_of("lim_4", LIMIT_KEY, LIMIT_COST, PERIOD_WEEK), /* soft */
        own_of("lim_5", LIMIT_KEY, LIMIT_COST, PERIOD_HOUR),
        own_of("lim_6", LIMIT_KEY, LIMIT_TOTAL_TOKENS, PERIOD_DAY),
    };
    const struct models_key key = { .public_id = "k", .limits = limits, .limit_count = 6 };
    AUTO(buf) out = { 0 };
    struct span text;
    size_t at;

    limits[0].count = (struct admit_count){ .amount = 100 * USD, .spent = 98 * USD };
    limits[1].count = (struct admit_count){ .amount = 10 * USD, .spent = 8 * USD, .held = USD / 2 };
    for (int i = 2; i < 6; i++) /* all have less left */
        limits[i].count = (struct admit_count){ .amount = 9, .spent = 9 };
    limits[2].limit.models = models;
    limits[2].limit.model_count = 1;
    limits[3].limit.is_hard = false;
    buf_init(&out, 65536);
    models_put_key(&key, &out);
    text = buf_span(&out);
    ck_assert(span_find(text,
                        SPAN("\"limit\":10,\"limit_remaining\":1.5,\"limit_reset\":\"daily\","
                             "\"usage\":null,\"usage_daily\":null,\"usage_weekly\":0.000000009,"
                             "\"usage_monthly\":98,"),
                        &at));
}
END_TEST

START_TEST(what_is_overspent_has_nothing_left)
{
    struct own_limit limit = own_of("lim_1", LIMIT_TEAM, LIMIT_COST, PERIOD_TOTAL);
    static char a[] = "a*";
    static char b[] = "b";
    char *models[] = { a, b, NULL };
    struct own_limit calls = own_of("lim_2", LIMIT_ORGANIZATION, LIMIT_PARALLEL, PERIOD_TOTAL);
    struct own_limit both[2];

    limit.limit.is_each_key = true; /* so it is this key's alone */
    limit.count =
        (struct admit_count){ .amount = 2 * USD, .spent = 3 * USD, .held = 1, .unreconciled = USD };
    calls.limit.models = models;
    calls.limit.model_count = 2;
    calls.limit.is_hard = false;
    calls.count =
        (struct admit_count){ .amount = 5, .held = 2, .resets_at_ms = INT64_C(1795478400000) };
    both[0] = limit;
    both[1] = calls;
    check(
        &(struct models_key){
            .public_id = "k", .limits = both, .limit_count = 2, .has_more_limits = true },
        "{\"data\":{\"label\":\"k\",\"limit\":2,\"limit_remaining\":0,\"limit_reset\":null,"
        "\"usage\":3,\"usage_daily\":null,\"usage_weekly\":null,\"usage_monthly\":null,"
        "\"is_free_tier\":false,\"is_management_key\":false,\"expires_at\":null,\"limits\":["
        "{\"id\":\"lim_1\",\"scope\":\"team\",\"each\":\"key\",\"models\":[],\"metric\":\"cost\","
        "\"window\":\"total\",\"enforcement\":\"hard\",\"amount\":\"2\",\"spent\":\"3\","
        "\"held\":\"0.000000001\",\"unreconciled\":\"1\",\"remaining\":\"0\","
        "\"resets_at\":null},"
        "{\"id\":\"lim_2\",\"scope\":\"organization\",\"each\":null,\"models\":[\"a*\",\"b\"],"
        "\"metric\":\"parallel\",\"window\":null,\"enforcement\":\"soft\",\"amount\":5,"
        "\"spent\":0,\"held\":2,\"unreconciled\":0,\"remaining\":3,"
        "\"resets_at\":\"2026-11-24T00:00:00.000Z\"}],\"has_more_limits\":true}}");
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("proxy/models");
    TCase *cases = tcase_create("key");

    tcase_add_test(cases, a_key_without_limits_knows_nothing_of_its_use);
    tcase_add_test(cases, the_limit_is_the_budget_with_the_least_left);
    tcase_add_test(cases, what_is_overspent_has_nothing_left);
    suite_add_tcase(all, cases);
    return all;
}
