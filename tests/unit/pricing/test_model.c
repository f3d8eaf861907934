/* Goal: what is known of a model is found under every name that it goes by and under no other, and
 * an owner's word stands before the file's. Method: a small table of rows, and names each with the
 * row that it must lead to. */
#include "pricing/model.h"

#include "support/suites.h"
#include "tollgate/usage.h"

#include <stdio.h>
#include <string.h>

static struct model seed_of(int64_t context_tokens, int64_t max_output_tokens)
{
    return (struct model){ .context_tokens = context_tokens,
                           .max_output_tokens = max_output_tokens,
                           .output_field = "max_tokens" };
}

static struct model_facts *build(const struct model_row *rows, size_t count)
{
    struct model_facts *facts = NULL;
    struct err err = { "" };

    ck_assert_msg(model_facts_build(rows, count, &facts, &err) == TG_OK, "%s", err.text);
    ck_assert_int_eq(model_facts_count(facts), (int64_t)count);
    return facts;
}

#define BUILD(rows) build(rows, sizeof(rows) / sizeof((rows)[0]))

static const struct {
    const char *provider;
    const char *name;
    int64_t context_tokens; /* of the row; 0: none */
} names[] = {
    { "openai", "gpt-9", 1 },
    { "openai", "GPT-9", 1 },
    { "openai", "models/gpt-9", 1 },
    { "openai", "gpt-9-2026-11-24", 1 },
    { "openai", "gpt-9-20261124", 1 },
    { "openai", "gpt-9@20261124", 1 },
    { "openai", "gpt-9-261124", 1 },
    { "openai", "gpt-9-2025-01-01", 2 },          /* has a row of its own */
    { "openai", "gpt-9-2026-11-24-20261124", 0 }, /* one date, not two */
    { "openai", "gpt-9-2026-11-2x", 0 },
    { "openai", "gpt-9-26112", 0 },
    { "openai", "gpt-9-mini", 0 },
    { "openai", "gpt", 0 },
    { "openai", "", 0 },
    { "openai", "-2026-11-24", 0 },
    { "anthropic", "gpt-9", 0 },
    { "", "gpt-9", 0 },
    { "openai", "openai", 0 },
    { "azure", "gpt-9", 3 },
};

START_TEST(a_name_leads_to_its_row)
{
    const struct model_row rows[] = {
        { SPAN("openai"), SPAN("GPT-9"), seed_of(1, 10), { 0 } },
        { SPAN("openai"), SPAN("gpt-9-2025-01-01"), seed_of(2, 20), { 0 } },
        { SPAN("azure"), SPAN("gpt-9"), seed_of(3, 30), { 0 } },
    };
    AUTO_PTR(model_facts) facts = BUILD(rows);

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct model *model =
            model_facts_find(facts, span_from(names[i].provider), span_from(names[i].name));

        ck_assert_msg((model == NULL ? 0 : model->context_tokens) == names[i].context_tokens,
                      "%s %s", names[i].provider, names[i].name);
        ck_assert_ptr_null(
            model_facts_find(NULL, span_from(names[i].provider), span_from(names[i].name)));
    }
}
END_TEST

START_TEST(a_name_that_is_too_long_leads_nowhere)
{
    const struct model_row row = { SPAN("openai"), SPAN("a"), seed_of(1, 1), { 0 } };
    AUTO_PTR(model_facts) facts = build(&row, 1);
    char name[4096];

    memset(name, 'a', sizeof(name));
    for (size_t len = 0; len <= sizeof(name); len++)
        ck_assert((model_facts_find(facts, SPAN("openai"), span_of(name, len)) != NULL) ==
                  (len == 1));
    ck_assert_ptr_null(model_facts_find(facts, span_of(name, sizeof(name)), SPAN("a")));
}
END_TEST

START_TEST(an_owners_word_stands_before_the_files)
{
    const struct model_row rows[] = {
        { SPAN("p"),
          SPAN("both"),
          seed_of(100, 10),
          { .context_tokens = 200, .output_field = "max_completion_tokens" } },
        { SPAN("p"), SPAN("seed"), seed_of(100, 10), { 0 } },
        { SPAN("p"),
          SPAN("own"),
          { 0 },
          { .max_output_tokens = 7, .is_free = true, .ceiling_price_pusd = 5 } },
    };
    AUTO_PTR(model_facts) facts = BUILD(rows);
    const struct model *model = model_facts_find(facts, SPAN("p"), SPAN("both"));

    ck_assert_int_eq(model->context_tokens, 200);
    ck_assert_int_eq(model->max_output_tokens, 10);
    ck_assert_str_eq(model->output_field, "max_completion_tokens");
    model = model_facts_find_own(facts, SPAN("p"), SPAN("both"));
    ck_assert_int_eq(model->context_tokens, 200);
    ck_assert_int_eq(model->max_output_tokens, 0);
    ck_assert_ptr_null(model_facts_find_own(facts, SPAN("p"), SPAN("seed")));
    model = model_facts_find(facts, SPAN("p"), SPAN("own"));
    ck_assert_int_eq(model->context_tokens, 0);
    ck_assert_int_eq(model->max_output_tokens, 7);
    ck_assert(model->is_free);
    ck_assert_int_eq(model->ceiling_price_pusd, 5);
}
END_TEST

START_TEST(the_largest_is_each_providers_own)
{
    const struct model_row rows[] = {
        { SPAN("a"), SPAN("x"), seed_of(100, 90), { 0 } },
        { SPAN("a"), SPAN("y"), seed_of(300, 20), { 0 } },
        { SPAN("b"), SPAN("x"), seed_of(50, 5), { .max_output_tokens = 6 } },
        { SPAN("c"), SPAN("x"), { 0 }, { 0 } },
    };
    AUTO_PTR(model_facts) facts = BUILD(rows);
    static const struct {
        const char *provider;
        int64_t context_tokens, max_output_tokens;
    } largest[] = { { "a", 300, 90 }, { "b", 50, 6 }, { "c", 0, 0 }, { "d", 0, 0 }, { "", 0, 0 } };

    for (size_t i = 0; i < sizeof(largest) / sizeof(largest[0]); i++) {
        const struct model_largest found =
            model_facts_largest(facts, span_from(largest[i].provider));

        ck_assert_int_eq(found.context_tokens, largest[i].context_tokens);
        ck_assert_int_eq(found.max_output_tokens, largest[i].max_output_tokens);
    }
    ck_assert_int_eq(model_facts_largest(NULL, SPAN("a")).context_tokens, 0);
}
END_TEST

START_TEST(rows_that_break_a_rule_are_refused_by_name)
{
    static const struct {
        struct model_row rows[2];
        size_t count;
        const char *why;
    } wrong[] = {
        { { { SPAN("Open AI"), SPAN("x"), { 0 }, { 0 } } }, 1, "provider must" },
        { { { SPAN("a"), SPAN(""), { 0 }, { 0 } } }, 1, "model must" },
        { { { SPAN("a"), SPAN("x\ny"), { 0 }, { 0 } } }, 1, "model must" },
        { { { SPAN("a"), SPAN("x"), { .context_tokens = -1 }, { 0 } } }, 1, "tokens must" },
        { { { SPAN("a"), SPAN("x"), { 0 }, { .max_output_tokens = TG_COUNT_MAX + 1 } } },
          1,
          "tokens must" },
        { { { SPAN("a"), SPAN("x"), { 0 }, { .ceiling_price_pusd = -1 } } }, 1, "ceiling price" },
        { { { SPAN("a"), SPAN("x"), { 0 }, { 0 } }, { SPAN("a"), SPAN("models/X"), { 0 }, { 0 } } },
          2,
          "twice" },
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct model_facts *facts = NULL;
        struct err err = { "" };

        ck_assert_int_eq(model_facts_build(wrong[i].rows, wrong[i].count, &facts, &err),
                         TG_CORRUPT);
        ck_assert_ptr_null(facts);
        ck_assert_msg(strstr(err.text, wrong[i].why) != NULL, "%s", err.text);
    }
}
END_TEST

START_TEST(only_fields_that_providers_have_are_fields)
{
    ck_assert_str_eq(model_output_field(SPAN("max_tokens")), "max_tokens");
    ck_assert_str_eq(model_output_field(SPAN("max_completion_tokens")), "max_completion_tokens");
    ck_assert_ptr_null(model_output_field(SPAN("")));
    ck_assert_ptr_null(model_output_field(SPAN("max_token")));
    ck_assert_ptr_null(model_output_field(SPAN("n")));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("model");
    TCase *tcase = tcase_create("model");

    tcase_add_test(tcase, a_name_leads_to_its_row);
    tcase_add_test(tcase, a_name_that_is_too_long_leads_nowhere);
    tcase_add_test(tcase, an_owners_word_stands_before_the_files);
    tcase_add_test(tcase, the_largest_is_each_providers_own);
    tcase_add_test(tcase, rows_that_break_a_rule_are_refused_by_name);
    tcase_add_test(tcase, only_fields_that_providers_have_are_fields);
    suite_add_tcase(all, tcase);
    return all;
}
