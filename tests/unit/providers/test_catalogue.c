/* Goal: the table of kinds is sound, and look-ups find what is there and nothing else. Method:
 * rules over all rows; a table of models with the kinds that own them. */
#include "providers/catalogue.h"

#include "support/suites.h"

#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static int kind_count(void)
{
    int count = 0;

    while (catalogue_kind_at(count) != NULL)
        count++;
    return count;
}

static const char *const names[] = { "openai",   "anthropic",         "google", "mistral", "groq",
                                     "together", "openai-compatible", "sandbox" };

START_TEST(lists_each_kind_once)
{
    ck_assert_int_eq(kind_count(), COUNT(names));
    for (int i = 0; i < COUNT(names); i++)
        ck_assert_str_eq(catalogue_kind_at(i)->name, names[i]);
    ck_assert_ptr_null(catalogue_kind_at(-1));
    ck_assert_ptr_null(catalogue_kind_at(COUNT(names) + 1));
}
END_TEST

START_TEST(finds_a_kind_by_its_whole_name)
{
    for (int i = 0; i < COUNT(names); i++)
        ck_assert_ptr_eq(catalogue_kind(span_from(names[i])), catalogue_kind_at(i));
    ck_assert_ptr_null(catalogue_kind(SPAN("open")));
    ck_assert_ptr_null(catalogue_kind(SPAN("OpenAI")));
    ck_assert_ptr_null(catalogue_kind(SPAN("openai-")));
    ck_assert_ptr_null(catalogue_kind(SPAN_EMPTY));
}
END_TEST

START_TEST(has_sound_rows)
{
    for (const struct tg_kind *kind = catalogue_kind_at(_i); kind != NULL; kind = NULL) {
        if (kind->base_url != NULL) {
            ck_assert(span_starts_with(span_from(kind->base_url), SPAN("https://")));
            ck_assert(!span_ends_with(span_from(kind->base_url), SPAN("/")));
        }
        /* The environment makes a provider of a known address whose prices are known. */
        ck_assert((kind->env_key == NULL) == (kind->base_url == NULL));
        ck_assert(kind->base_url == NULL || kind->book != NULL);
        ck_assert_ptr_null(kind->prefixes[TG_KIND_PREFIXES_MAX - 1]);
        for (int i = 0; i < TG_KIND_DIALECTS_MAX && kind->speaks[i].dialect != NULL; i++)
            ck_assert_ptr_nonnull(catalogue_dialect(span_from(kind->speaks[i].dialect)));
        ck_assert_int_ge(kind->added_tokens, 0);
    }
}
END_TEST

START_TEST(has_dialects_that_are_whole)
{
    const struct tg_dialect *const chat = catalogue_dialect(SPAN("openai-chat"));

    ck_assert_ptr_nonnull(chat);
    ck_assert_str_eq(chat->upstream_path, "/chat/completions");
    ck_assert_int_eq(chat->framings, TG_FRAMING_SSE);
    ck_assert(chat->read_request != NULL && chat->plan_edits != NULL && chat->read_answer != NULL &&
              chat->read_event != NULL && chat->write_error != NULL);
    ck_assert_ptr_null(catalogue_dialect(SPAN("openai")));
    ck_assert(catalogue_speech(catalogue_kind(SPAN("openai")), chat) != NULL);
    ck_assert(catalogue_speech(catalogue_kind(SPAN("sandbox")), chat) != NULL);
    ck_assert(catalogue_speech(catalogue_kind(SPAN("anthropic")), chat) == NULL);
    ck_assert(catalogue_speech(catalogue_kind(SPAN("google")), chat) == NULL);
}
END_TEST

static const struct {
    const char *model;
    const char *kind; /* NULL: none */
} models[] = {
    { "gpt-9-turbo", "openai" },
    { "o1", "openai" },
    { "o3-mini", "openai" },
    { "o4-mini", "openai" },
    { "chatgpt-4o-latest", "openai" },
    { "ft:gpt-4o:acme::1", "openai" },
    { "claude-opus-9", "anthropic" },
    { "gemini-9-flash", "google" },
    { "mistral-large-latest", "mistral" },
    { "codestral-latest", "mistral" },
    { "groq/compound", "groq" },
    { "echo", "sandbox" },
    { "echo-slow", "sandbox" },
    { "llama-3.3-70b-versatile", NULL },
    { "meta-llama/Llama-3.3-70B", NULL },
    { "gpt", NULL },
    { "GPT-4o", NULL },
    { "openai/gpt-4o", NULL },
    { "", NULL },
};

START_TEST(owns_a_model_by_its_prefix)
{
    for (int i = 0; i < COUNT(names); i++) {
        const bool is_owner = models[_i].kind != NULL && strcmp(models[_i].kind, names[i]) == 0;

        ck_assert(catalogue_owns_model(catalogue_kind_at(i), span_from(models[_i].model)) ==
                  is_owner);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/catalogue");
    TCase *tc = tcase_create("catalogue");

    tcase_add_test(tc, lists_each_kind_once);
    tcase_add_test(tc, finds_a_kind_by_its_whole_name);
    tcase_add_loop_test(tc, has_sound_rows, 0, COUNT(names));
    tcase_add_test(tc, has_dialects_that_are_whole);
    tcase_add_loop_test(tc, owns_a_model_by_its_prefix, 0, COUNT(models));
    suite_add_tcase(s, tc);
    return s;
}
