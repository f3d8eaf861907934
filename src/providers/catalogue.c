#include "providers/catalogue.h"

#include "providers/openai_chat.h"

#include <stddef.h>

static const struct tg_dialect *const dialects[] = {
    &openai_chat_dialect,
};

/* Sources of STOPS_ON_LEAVE: OpenRouter's list of providers whose billing ends with the connection.
 * A server that is not known is drained: that is exact wherever it was not needed.
 *
 * image_tokens_max is of the published rules the one that counts most. OpenAI: 30,000 patches of
 * 32 x 32 pixels times 2.46; tiles come to 48,169 at most (2,833 + 8 x 5,667). Anthropic: a long
 * edge of 2,576 pixels in patches of 28 x 28 is 92 x 92 at most. Gemini's tiles of large images
 * have no stated end. */
static const struct tg_kind kinds[] = {
    {
        .name = "openai",
        .base_url = "https://api.openai.com/v1",
        .auth = TG_AUTH_BEARER,
        .flags = TG_KIND_ASKS_USAGE | TG_KIND_STOPS_ON_LEAVE,
        .speaks = { { .dialect = "openai-chat" } },
        .prefixes = { "gpt-", "chatgpt-", "o1", "o3", "o4", "ft:gpt-", "text-embedding-",
                      "davinci-", "babbage-", "codex-", "computer-use-" },
        .env_key = "OPENAI_API_KEY",
        .book = "openai",
        .image_tokens_max = 73800,
    },
    {
        .name = "anthropic",
        .base_url = "https://api.anthropic.com",
        .auth = TG_AUTH_X_API_KEY,
        .flags = TG_KIND_STOPS_ON_LEAVE,
        .prefixes = { "claude-" },
        .env_key = "ANTHROPIC_API_KEY",
        .book = "anthropic",
        .models_path = "/v1/models?limit=1000", /* 20 where not asked for more */
        .image_tokens_max = 8464,
    },
    {
        .name = "google",
        .base_url = "https://generativelanguage.googleapis.com",
        .auth = TG_AUTH_X_GOOG_API_KEY,
        .flags = TG_KIND_OUTPUT_IS_RESIDUAL,
        .prefixes = { "gemini-", "gemma-", "models/gemini-", "learnlm-", "imagen-", "veo-" },
        .env_key = "GEMINI_API_KEY",
        .book = "google",
        .models_path = "/v1beta/models?pageSize=1000", /* 50 where not asked for more */
    },
    {
        .name = "mistral",
        .base_url = "https://api.mistral.ai/v1",
        .auth = TG_AUTH_BEARER,
        .speaks = { { .dialect = "openai-chat" } },
        .prefixes = { "mistral-", "ministral-", "magistral-", "codestral-", "devstral-", "pixtral-",
                      "voxtral-", "open-mistral-", "open-mixtral-", "open-codestral-" },
        .env_key = "MISTRAL_API_KEY",
        .book = "mistral",
    },
    {
        .name = "groq",
        .base_url = "https://api.groq.com/openai/v1",
        .auth = TG_AUTH_BEARER,
        .speaks = { { .dialect = "openai-chat" } },
        .prefixes = { "groq/" },
        .env_key = "GROQ_API_KEY",
        .book = "groq",
    },
    {
        .name = "together",
        .base_url = "https://api.together.xyz/v1",
        .auth = TG_AUTH_BEARER,
        .flags = TG_KIND_STOPS_ON_LEAVE,
        .speaks = { { .dialect = "openai-chat" } },
        .prefixes = { "togethercomputer/" },
        .env_key = "TOGETHER_API_KEY",
        .book = "together",
    },
    {
        .name = "openai-compatible",
        .auth = TG_AUTH_BEARER,
        .flags = TG_KIND_ASKS_USAGE,
        .speaks = { { .dialect = "openai-chat" } },
    },
    {
        .name = "sandbox", /* served by the process itself; its address is known at run time */
        .auth = TG_AUTH_BEARER,
        .flags = TG_KIND_ASKS_USAGE | TG_KIND_STOPS_ON_LEAVE,
        .speaks = { { .dialect = "openai-chat" } },
        .prefixes = { "echo" },
        .book = "sandbox",
    },
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

const struct tg_kind *catalogue_kind(struct span name)
{
    for (size_t i = 0; i < LENGTH(kinds); i++)
        if (span_equal(name, span_from(kinds[i].name)))
            return &kinds[i];
    return NULL;
}

const struct tg_dialect *catalogue_dialect(struct span name)
{
    for (size_t i = 0; i < LENGTH(dialects); i++)
        if (span_equal(name, span_from(dialects[i]->name)))
            return dialects[i];
    return NULL;
}

const struct tg_kind *catalogue_kind_at(int index)
{
    return index >= 0 && (size_t)index < LENGTH(kinds) ? &kinds[index] : NULL;
}

const struct tg_speech *catalogue_speech(const struct tg_kind *kind,
                                         const struct tg_dialect *dialect)
{
    const struct span name = span_from(dialect->name);

    for (int i = 0; i < TG_KIND_DIALECTS_MAX && kind->speaks[i].dialect != NULL; i++)
        if (span_equal(name, span_from(kind->speaks[i].dialect)))
            return &kind->speaks[i];
    return NULL;
}

bool catalogue_owns_model(const struct tg_kind *kind, struct span model)
{
    for (int i = 0; i < TG_KIND_PREFIXES_MAX && kind->prefixes[i] != NULL; i++)
        if (span_starts_with(model, span_from(kind->prefixes[i])))
            return true;
    return false;
}
