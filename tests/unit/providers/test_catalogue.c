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

static const char *const names[] = {
    "openai",
    "azure-openai",
    "anthropic",
    "google",
    "mistral",
    "groq",
    "together",
    "fireworks",
    "deepseek",
    "xai",
    "perplexity",
    "openrouter",
    "cerebras",
    "sambanova",
    "nebius",
    "deepinfra",
    "novita",
    "moonshot",
    "zai",
    "minimax",
    "alibaba",
    "huggingface",
    "xroute",
    "github-models",
    "cloudflare",
    "nvidia",
    "ollama",
    "vllm",
    "llama.cpp",
    "lm-studio",
    "openai-compatible",
    "sandbox",
};

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
        const bool is_own = (kind->flags & TG_KIND_MAY_LACK_SECRET) != 0;

        if (kind->base_url != NULL) {
            ck_assert(span_starts_with(span_from(kind->base_url),
                                       is_own ? SPAN("http://127.0.0.1:") : SPAN("https://")));
            ck_assert(!span_ends_with(span_from(kind->base_url), SPAN("/")));
        }
        /* What is on one's own machine costs nothing and is not in the environment. */
        ck_assert(!is_own ||
                  (kind->base_url != NULL && kind->env_key == NULL && kind->book == NULL));
        /* Whose charge is believed must say it, and nobody is claimed to be verified. */
        ck_assert((kind->flags & TG_KIND_VERIFIED) == 0);
        ck_assert(kind->auth != TG_AUTH_OF_KIND);
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
    ck_assert(catalogue_speech(catalogue_kind(SPAN("openai")),
                               catalogue_dialect(SPAN("gemini-generate"))) == NULL);
}
END_TEST

static const struct {
    const char *name;
    const char *path;
    const char *stream_path; /* NULL: none of its own */
    bool is_free;
    bool has_output;
} google_dialects[] = {
    { "gemini-generate", "/v1beta/{resource}:generateContent",
      "/v1beta/{resource}:streamGenerateContent", false, true },
    { "gemini-count", "/v1beta/{resource}:countTokens", NULL, true, false },
    { "gemini-embed", "/v1beta/{resource}:embedContent", NULL, false, false },
    { "gemini-embed-batch", "/v1beta/{resource}:batchEmbedContents", NULL, false, false },
};

START_TEST(has_googles_dialects)
{
    const struct tg_dialect *const dialect = catalogue_dialect(span_from(google_dialects[_i].name));
    const struct tg_speech *speech;

    ck_assert_ptr_nonnull(dialect);
    ck_assert_str_eq(dialect->upstream_path, google_dialects[_i].path);
    if (google_dialects[_i].stream_path == NULL)
        ck_assert_ptr_null(dialect->upstream_stream_path);
    else
        ck_assert_str_eq(dialect->upstream_stream_path, google_dialects[_i].stream_path);
    ck_assert_int_eq((dialect->flags & TG_DIALECT_IS_FREE) != 0, google_dialects[_i].is_free);
    ck_assert_int_eq((dialect->flags & TG_DIALECT_INPUT_ONLY) == 0, google_dialects[_i].has_output);
    ck_assert_uint_eq(dialect->framings,
                      google_dialects[_i].has_output ? TG_FRAMING_SSE | TG_FRAMING_ARRAY : 0u);
    ck_assert(dialect->read_request != NULL && dialect->plan_edits != NULL &&
              dialect->read_answer != NULL && dialect->read_event != NULL &&
              dialect->write_error != NULL);
    speech = catalogue_speech(catalogue_kind(SPAN("google")), dialect);
    ck_assert_ptr_nonnull(speech);
    ck_assert(speech->path == NULL && speech->auth == TG_AUTH_OF_KIND);
    ck_assert(catalogue_speech(catalogue_kind(SPAN("sandbox")), dialect) != NULL);
}
END_TEST

START_TEST(has_google_speak_openais_dialect_under_a_path_of_its_own)
{
    static const char *const dialects[] = { "openai-chat", "openai-embeddings" };
    const struct tg_speech *const speech = catalogue_speech(
        catalogue_kind(SPAN("google")), catalogue_dialect(span_from(dialects[_i])));

    ck_assert_ptr_nonnull(speech);
    ck_assert_str_eq(speech->path, "/v1beta/openai");
    ck_assert_int_eq(speech->auth, TG_AUTH_BEARER);
}
END_TEST

/* What a kind speaks by the reference, and what it does not. */
static const struct {
    const char *kind;
    const char *speaks; /* a letter a dialect: c chat, r responses, o completions, e embeddings, m
                           moderations */
} tongues[] = {
    { "openai", "croem" },    { "azure-openai", "croe" }, { "anthropic", "" },
    { "google", "ce" },       { "mistral", "ce" },        { "groq", "cre" },
    { "deepseek", "cro" },    { "xai", "cre" },           { "perplexity", "c" },
    { "openrouter", "croe" }, { "vllm", "croe" },         { "openai-compatible", "croe" },
    { "sandbox", "croem" },
};

START_TEST(speaks_what_the_reference_says)
{
    static const struct {
        char letter;
        const char *dialect;
    } dialects[] = {
        { 'c', "openai-chat" },       { 'r', "openai-responses" },   { 'o', "openai-completions" },
        { 'e', "openai-embeddings" }, { 'm', "openai-moderations" },
    };
    const struct tg_kind *const kind = catalogue_kind(span_from(tongues[_i].kind));

    ck_assert_ptr_nonnull(kind);
    for (int i = 0; i < COUNT(dialects); i++) {
        const struct tg_dialect *const dialect = catalogue_dialect(span_from(dialects[i].dialect));

        ck_assert_ptr_nonnull(dialect);
        ck_assert((catalogue_speech(kind, dialect) != NULL) ==
                  (strchr(tongues[_i].speaks, dialects[i].letter) != NULL));
    }
}
END_TEST

START_TEST(knows_where_completions_stand)
{
    const struct tg_dialect *const dialect = catalogue_dialect(SPAN("openai-completions"));

    ck_assert_str_eq(catalogue_speech(catalogue_kind(SPAN("deepseek")), dialect)->path, "/beta");
    ck_assert_ptr_null(catalogue_speech(catalogue_kind(SPAN("openai")), dialect)->path);
}
END_TEST

/* The providers of the price data, as they are spelled there. */
static const char *const books[] = {
    "ai21",       "alibaba",    "anthropic",  "aws-bedrock", "azure",         "azure-ai",
    "baseten",    "cerebras",   "cloudflare", "cohere",      "deepgram",      "deepinfra",
    "deepseek",   "elevenlabs", "fireworks",  "google",      "google-vertex", "groq",
    "hyperbolic", "jina",       "lambda",     "meta",        "minimax",       "mistral",
    "moonshot",   "nebius",     "novita",     "nvidia",      "openai",        "openrouter",
    "ovhcloud",   "perplexity", "replicate",  "sambanova",   "scaleway",      "together",
    "voyage",     "xai",        "zai",        "zhipu",       "sandbox",
};

START_TEST(names_books_that_there_are)
{
    const struct tg_kind *const kind = catalogue_kind_at(_i);
    bool is_there = kind->book == NULL;

    for (int i = 0; i < COUNT(books); i++)
        is_there = is_there || strcmp(kind->book, books[i]) == 0;
    ck_assert_msg(is_there, "no prices of %s", kind->book);
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
    { "models/gemini-9-flash", "google" },
    { "tunedModels/mine", "google" },
    { "mistral-large-latest", "mistral" },
    { "codestral-latest", "mistral" },
    { "groq/compound", "groq" },
    { "deepseek-v5", "deepseek" },
    { "grok-5", "xai" },
    { "sonar-pro", "perplexity" },
    { "accounts/fireworks/models/x", "fireworks" },
    { "kimi-k3", "moonshot" },
    { "glm-5", "zai" },
    { "MiniMax-M3", "minimax" },
    { "qwen4-max", "alibaba" },
    { "@cf/meta/llama", "cloudflare" },
    { "nvidia/nemotron", "nvidia" },
    { "openrouter/auto", "openrouter" },
    { "omni-moderation-latest", "openai" },
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
    tcase_add_loop_test(tc, speaks_what_the_reference_says, 0, COUNT(tongues));
    tcase_add_test(tc, knows_where_completions_stand);
    tcase_add_loop_test(tc, names_books_that_there_are, 0, COUNT(names));
    tcase_add_loop_test(tc, has_googles_dialects, 0, COUNT(google_dialects));
    tcase_add_loop_test(tc, has_google_speak_openais_dialect_under_a_path_of_its_own, 0, 2);
    tcase_add_loop_test(tc, owns_a_model_by_its_prefix, 0, COUNT(models));
    suite_add_tcase(s, tc);
    return s;
}
