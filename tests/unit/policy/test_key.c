/* Goal: a key's list of models says what it may use. Method: a table. */

#include "policy/key.h"
#include "support/suites.h"

struct allow_case {
    const char *models[3]; /* NULL-ended */
    const char *asked;
    bool is_allowed;
};

static const struct allow_case cases[] = {
    { { NULL }, "anything", true },
    { { "gpt-5" }, "gpt-5", true },
    { { "gpt-5" }, "gpt-5-mini", false },
    { { "gpt-5" }, "gpt-", false },
    { { "gpt-5" }, "GPT-5", false },
    { { "gpt-*" }, "gpt-5", true },
    { { "gpt-*" }, "gpt-", true },
    { { "gpt-*" }, "gpt", false },
    { { "claude-*", "gpt-5" }, "gpt-5", true },
    { { "claude-*", "gpt-5" }, "o3", false },
    { { "*" }, "anything", true },
    { { "gpt-5" }, "", false },
};

START_TEST(a_list_allows_its_names_and_prefixes)
{
    const struct allow_case *one = &cases[_i];
    struct key_entry key = { .models = (char **)one->models };

    while (one->models[key.model_count] != NULL)
        key.model_count++;
    ck_assert_int_eq(key_allows_model(&key, span_from(one->asked)), one->is_allowed);
}
END_TEST

Suite *suite(void)
{
    Suite *key = suite_create("policy/key");
    TCase *tcase = tcase_create("models");

    tcase_add_loop_test(tcase, a_list_allows_its_names_and_prefixes, 0,
                        sizeof(cases) / sizeof(cases[0]));
    suite_add_tcase(key, tcase);
    return key;
}
