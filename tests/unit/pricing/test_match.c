/* Goal: a name finds the model it stands for and never a neighbour's price. Method: every model of
 * the whole book under its own name and its dated forms; each rule's own pattern; a table of names
 * as providers write them, right and wrong, each with the rule that must fire. */
#include "pricing/book.h"
#include "pricing/price.h"
#include "pricing/seed.h"

#include "support/suites.h"
#include "tollgate/embedded.h"

#include <stdio.h>

static struct book *book;
static struct price_list rows;

static struct span embedded(const char *name)
{
    const struct tg_embedded_file *file = tg_embedded_find(tg_migrations, tg_migration_count, name);

    ck_assert_ptr_nonnull(file);
    return span_of((const char *)file->bytes, file->len);
}

static void setup(void)
{
    const struct book_rules rules = { .match_csv = embedded("model_match.csv") };
    struct err err = { 0 };

    price_list_init(&rows);
    ck_assert_msg(seed_parse("prices.csv", embedded("prices.csv"), &rows, &err) == TG_OK, "%s",
                  err.text);
    ck_assert_int_eq(book_build(&rows, &book, &err), TG_OK);
    ck_assert_msg(book_add_rules(book, &rules, &err) == TG_OK, "%s", err.text);
}

static void teardown(void)
{
    book_free(book);
    price_list_fini(&rows);
}

static const struct book_model *match(struct span provider, const char *name,
                                      struct match_found *ret_found)
{
    const struct book_model *model = book_match(book, provider, span_from(name), ret_found);

    ck_assert_ptr_eq(model, ret_found->model);
    ck_assert((model == NULL) == (ret_found->rule == MATCH_NONE));
    return model;
}

START_TEST(every_model_is_found_by_its_name_and_its_dated_forms_and_is_itself)
{
    static const char *const dates[] = { "-2031-12-30", "-20311230", "@20311230", "-311230" };
    int dated = 0;

    for (size_t i = 0; i < rows.count; i++) {
        const struct price *row = &rows.rows[i];
        const struct book_model *model = book_find(book, row->provider, row->model);
        struct match_found found;
        char name[PRICE_MODEL_MAX + 16];

        (void)snprintf(name, sizeof(name), "%.*s", SPAN_ARG(row->model));
        ck_assert_ptr_nonnull(model);
        ck_assert_ptr_eq(match(row->provider, name, &found), model);
        ck_assert_int_eq(found.rule, MATCH_EXACT);
        for (int form = 0; form < 4; form++) {
            (void)snprintf(name, sizeof(name), "%.*s%s", SPAN_ARG(row->model), dates[form]);
            ck_assert_msg(match(row->provider, name, &found) == model, "%s", name);
            ck_assert_msg(found.rule == MATCH_DATED, "%s by %s", name, match_rule_name(found.rule));
            dated++;
        }
    }
    ck_assert_int_gt(dated, 60000);
}
END_TEST

/* Whether a model is in the book is asked of the file itself. */
static bool has_row(struct span provider, struct span model)
{
    for (size_t i = 0; i < rows.count; i++)
        if (span_equal(rows.rows[i].provider, provider) &&
            span_equal_nocase(rows.rows[i].model, model))
            return true;
    return false;
}

START_TEST(every_rule_finds_its_model_by_its_own_pattern)
{
    struct span text = embedded("model_match.csv");
    struct span line;
    int checked = 0;

    (void)span_cut(&text, '\n', &line);
    while (span_cut(&text, '\n', &line)) {
        struct span fields[5];
        struct match_found found;
        char name[256];

        for (int i = 0; i < 5; i++)
            (void)span_cut(&line, ',', &fields[i]);
        (void)snprintf(name, sizeof(name), "%.*s%s", SPAN_ARG(fields[2]),
                       span_starts_with(fields[1], SPAN("dated")) ? "-20311230" : "");
        if (span_equal(fields[1], SPAN("regex")) || !has_row(fields[0], fields[4]) ||
            has_row(fields[0], fields[2]))
            continue;
        ck_assert_msg(match(fields[0], name, &found) != NULL, "%s of %.*s", name,
                      SPAN_ARG(fields[0]));
        checked++;
    }
    ck_assert_int_gt(checked, 300);
}
END_TEST

static const struct name_case {
    const char *provider;
    const char *name;
    enum match_rule rule;
    const char *model; /* NULL: none */
    const char *region;
} names[] = {
    { "openai", "gpt-4o", MATCH_EXACT, "gpt-4o", "" },
    { "openai", "GPT-4o", MATCH_EXACT, "gpt-4o", "" },
    { "openai", "gpt-4o-2031-01-31", MATCH_DATED, "gpt-4o", "" },
    { "openai", "gpt-4o-2031-13-01", MATCH_NONE, NULL, "" },
    { "openai", "gpt-4o-2031-12-32", MATCH_NONE, NULL, "" },
    { "openai", "gpt-4of", MATCH_NONE, NULL, "" },
    { "openai", "gpt-4o-20311", MATCH_NONE, NULL, "" },
    { "openai", "gpt-5-nano-2031", MATCH_PREFIX, "gpt-5-nano", "" },
    { "openai", "ft:gpt-4o-2024-08-06:acme::abc123", MATCH_FINE_TUNE, "ft:gpt-4o-2024-08-06", "" },
    { "openai", "ft:gpt-4o-2031-01-01:acme::abc123", MATCH_FINE_TUNE, "ft:gpt-4o", "" },
    { "openai", "claude-opus-5", MATCH_NONE, NULL, "" },
    { "openai", "", MATCH_NONE, NULL, "" },
    { "nobody", "gpt-4o", MATCH_NONE, NULL, "" },
    { "anthropic", "claude-opus-5", MATCH_EXACT, "claude-opus-5", "" },
    { "anthropic", "claude-opus-5-20310101", MATCH_DATED, "claude-opus-5", "" },
    { "anthropic", "claude-opus-5-5", MATCH_EXACT, "claude-opus-5-5", "" },
    { "anthropic", "claude-opus-5-6", MATCH_NONE, NULL, "" },
    { "anthropic", "claude-opus-5-5-mini", MATCH_NONE, NULL, "" },
    { "anthropic", "claude-opus-4-8-9", MATCH_NONE, NULL, "" },
    { "anthropic", "claude-opus-4-8-latest", MATCH_PREFIX, "claude-opus-4-8", "" },
    { "anthropic", "claude-opus-4-80", MATCH_NONE, NULL, "" },
    { "anthropic", "claude-3-haiku-mini", MATCH_NONE, NULL, "" },
    { "google", "models/gemini-2.5-pro", MATCH_EXACT, "gemini-2.5-pro", "" },
    { "google", "publishers/google/models/gemini-2.5-pro", MATCH_EXACT, "gemini-2.5-pro", "" },
    { "google", "gemini-2.5-pro-preview-99", MATCH_PREFIX, "gemini-2.5-pro", "" },
    { "google", "gemini-3.5-flash-001", MATCH_PREFIX, "gemini-3.5-flash", "" },
    { "google", "gemini-3.5-flash-05-20", MATCH_PREFIX, "gemini-3.5-flash", "" },
    { "google", "gemini-3.5-flash-9", MATCH_NONE, NULL, "" },
    { "google", "gemini-3.7-flash-mini", MATCH_NONE, NULL, "" },
    { "aws-bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", MATCH_EXACT,
      "us.anthropic.claude-sonnet-4-20250514-v1:0", "" },
    { "aws-bedrock", "eu.meta.llama3-1-70b-instruct-v1:0", MATCH_REGION,
      "meta.llama3-1-70b-instruct-v1:0", "eu" },
    { "aws-bedrock",
      "arn:aws:bedrock:us-east-1:123456789012:foundation-model/"
      "meta.llama3-1-70b-instruct-v1:0",
      MATCH_REGION, "meta.llama3-1-70b-instruct-v1:0", "" },
    { "openrouter", "openai/gpt-4o:nitro", MATCH_VARIANT, "openai/gpt-4o", "" },
    { "openrouter", "openai/gpt-4o:nothing:free", MATCH_NONE, NULL, "" },
};

START_TEST(a_name_finds_its_model_by_the_rule)
{
    const struct name_case *c = &names[_i];
    struct match_found found;
    const struct book_model *model = match(span_from(c->provider), c->name, &found);
    const struct span name = model != NULL ? book_model_name(model) : SPAN("nothing");

    ck_assert_msg(span_equal(name, span_from(c->model != NULL ? c->model : "nothing")),
                  "%s: %.*s by %s", c->name, SPAN_ARG(name), match_rule_name(found.rule));
    ck_assert_str_eq(match_rule_name(found.rule), match_rule_name(c->rule));
    ck_assert_msg(span_equal(found.region, span_from(c->region)), "%.*s", SPAN_ARG(found.region));
}
END_TEST

/* A neighbour that has left the book leaves no name behind: without claude-opus-5-5 its name finds
 * nothing, whatever it begins with. */
static const char *const neighbours[][2] = {
    { "anthropic", "claude-opus-5-5" },
    { "anthropic", "claude-fable-5-2" },
    { "openai", "gpt-4o" },
    { "openai", "gpt-5-mini" },
    { "openai", "o3-mini" },
    { "google", "gemini-3.8-flash-lite" },
};

START_TEST(a_model_that_is_not_in_the_book_takes_no_neighbours_price)
{
    const struct span provider = span_from(neighbours[_i][0]);
    const struct span name = span_from(neighbours[_i][1]);
    const struct book_rules rules = { .match_csv = embedded("model_match.csv") };
    struct price_list kept;
    AUTO_PTR(book) without = NULL;
    struct match_found found;

    price_list_init(&kept);
    for (size_t i = 0; i < rows.count; i++)
        if (!span_equal(rows.rows[i].provider, provider) || !span_equal(rows.rows[i].model, name))
            ck_assert_int_eq(price_list_add(&kept, &rows.rows[i]), TG_OK);
    ck_assert_int_eq(book_build(&kept, &without, NULL), TG_OK);
    ck_assert_int_eq(book_add_rules(without, &rules, NULL), TG_OK);
    ck_assert_msg(book_match(without, provider, name, &found) == NULL, "%.*s took %.*s",
                  SPAN_ARG(name), SPAN_ARG(book_model_name(found.model)));
    price_list_fini(&kept);
}
END_TEST

static const struct {
    const char *lines;
    const char *message;
} wrong[] = {
    { "provider,kind\n", "x.csv line 1: must be " MATCH_HEADER },
    { MATCH_HEADER "\nopenai,like,gpt-4,,gpt-4\n",
      "x.csv line 2: kind must be exact, dated8, dated10, prefix, suffix, contains or regex" },
    { MATCH_HEADER "\nopenai,exact,,,gpt-4\n",
      "x.csv line 2: provider, pattern and model must be names" },
    { MATCH_HEADER "\nopenai,regex,gpt-.*,,gpt-4\n",
      "x.csv line 2: provider, pattern and model must be names" },
    { MATCH_HEADER "\nopenai,exact,gpt-4,,gpt-4\nopenai,exact\n", "x.csv line 3: 2 fields, not 5" },
};

START_TEST(refuses_a_wrong_line_and_says_why)
{
    struct err err = { 0 };
    AUTO_PTR(match_table) table = NULL;

    ck_assert_int_eq(match_table_parse("x.csv", span_from(wrong[_i].lines), &table, &err),
                     TG_INVALID);
    ck_assert_str_eq(err.text, wrong[_i].message);
    ck_assert_ptr_null(table);
}
END_TEST

#define LEN(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *suite(void)
{
    Suite *s = suite_create("pricing/match");
    TCase *c = tcase_create("book");
    TCase *files = tcase_create("files");

    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, every_model_is_found_by_its_name_and_its_dated_forms_and_is_itself);
    tcase_add_test(c, every_rule_finds_its_model_by_its_own_pattern);
    tcase_add_loop_test(c, a_name_finds_its_model_by_the_rule, 0, LEN(names));
    tcase_add_loop_test(c, a_model_that_is_not_in_the_book_takes_no_neighbours_price, 0,
                        LEN(neighbours));
    suite_add_tcase(s, c);
    tcase_add_loop_test(files, refuses_a_wrong_line_and_says_why, 0, LEN(wrong));
    suite_add_tcase(s, files);
    return s;
}
