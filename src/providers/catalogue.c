#include "providers/catalogue.h"

#include "providers/gemini.h"
#include "providers/openai_chat.h"
#include "providers/openai_completions.h"
#include "providers/openai_input.h"
#include "providers/openai_responses.h"

#include <stddef.h>

static const struct tg_dialect *const dialects[] = {
    &openai_chat_dialect,       &openai_responses_dialect,   &openai_completions_dialect,
    &openai_embeddings_dialect, &openai_moderations_dialect, &gemini_generate_dialect,
    &gemini_count_dialect,      &gemini_embed_dialect,       &gemini_embed_batch_dialect,
};

/* clang-format off */
#define CHAT        { .dialect = "openai-chat" }
#define RESPONSES   { .dialect = "openai-responses" }
#define COMPLETIONS { .dialect = "openai-completions" }
#define EMBEDDINGS  { .dialect = "openai-embeddings" }
#define MODERATIONS { .dialect = "openai-moderations" }
/* clang-format on */

#define ASKS    TG_KIND_ASKS_USAGE
#define STOPS   TG_KIND_STOPS_ON_LEAVE
#define OUTSIDE TG_KIND_REASONING_OUTSIDE
#define TELLS   TG_KIND_TELLS_COST
#define OWN     (TG_KIND_ASKS_USAGE | TG_KIND_STOPS_ON_LEAVE | TG_KIND_MAY_LACK_SECRET)

/* One row a kind: a provider that speaks as others do needs no more. No row is VERIFIED: none was
 * checked against the provider itself.
 *
 * Sources of STOPS_ON_LEAVE: OpenRouter's list of providers whose billing ends with the connection.
 * A server that is not known is drained: that is exact wherever it was not needed. A server of
 * one's own bills nothing, and going on for nobody would be waste.
 *
 * ASKS_USAGE is left out where usage is known to come unasked, because strict servers turn down
 * what they do not know; OpenAI's way, to be asked, is taken for all others.
 *
 * A variable is left out where its name is that of a general token, set for other ends
 * (GITHUB_TOKEN, HF_TOKEN).
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
        .flags = ASKS | STOPS,
        .speaks = { CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, MODERATIONS },
        .prefixes = { "gpt-", "chatgpt-", "o1", "o3", "o4", "ft:gpt-", "text-embedding-",
                      "davinci-", "babbage-", "codex-", "computer-use-", "omni-moderation-",
                      "text-moderation-" },
        .env_key = "OPENAI_API_KEY",
        .book = "openai",
        .output_field = "max_completion_tokens",
        .image_tokens_max = 73800,
    },
    {
        .name = "azure-openai", /* https://{resource}.openai.azure.com/openai/v1 */
        .auth = TG_AUTH_API_KEY,
        .flags = ASKS | STOPS,
        .speaks = { CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS },
        .env_key = "AZURE_OPENAI_API_KEY",
        .book = "azure",
        .output_field = "max_completion_tokens",
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
        .flags = TG_KIND_ASKS_USAGE | TG_KIND_OUTPUT_IS_RESIDUAL, /* both of its openai-chat */
        .speaks = { { .dialect = "gemini-generate" },
                    { .dialect = "gemini-count" },
                    { .dialect = "gemini-embed" },
                    { .dialect = "gemini-embed-batch" },
                    { .dialect = "openai-chat",
                      .path = "/v1beta/openai",
                      .auth = TG_AUTH_BEARER } },
        .prefixes = { "gemini-", "gemma-", "models/gemini-", "learnlm-", "imagen-", "veo-",
                      "tunedModels/" },
        .env_key = "GEMINI_API_KEY",
        .book = "google",
        .models_path = "/v1beta/models?pageSize=1000", /* 50 where not asked for more */
    },
    {
        .name = "mistral",
        .base_url = "https://api.mistral.ai/v1",
        .auth = TG_AUTH_BEARER,
        .speaks = { CHAT, EMBEDDINGS },
        .prefixes = { "mistral-", "ministral-", "magistral-", "codestral-", "devstral-", "pixtral-",
                      "voxtral-", "open-mistral-", "open-mixtral-", "open-codestral-" },
        .env_key = "MISTRAL_API_KEY",
        .book = "mistral",
    },
    {
        .name = "groq",
        .base_url = "https://api.groq.com/openai/v1",
        .auth = TG_AUTH_BEARER,
        .speaks = { CHAT, RESPONSES, EMBEDDINGS },
        .prefixes = { "groq/" },
        .env_key = "GROQ_API_KEY",
        .book = "groq",
    },
    {
        .name = "together",
        .base_url = "https://api.together.xyz/v1",
        .auth = TG_AUTH_BEARER,
        .flags = STOPS,
        .speaks = { CHAT, COMPLETIONS, EMBEDDINGS },
        .prefixes = { "togethercomputer/" },
        .env_key = "TOGETHER_API_KEY",
        .book = "together",
    },
    {
        .name = "fireworks",
        .base_url = "https://api.fireworks.ai/inference/v1",
        .auth = TG_AUTH_BEARER,
        .flags = STOPS,
        .speaks = { CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS },
        .prefixes = { "accounts/fireworks/" },
        .env_key = "FIREWORKS_API_KEY",
        .book = "fireworks",
    },
    {
        .name = "deepseek",
        .base_url = "https://api.deepseek.com",
        .auth = TG_AUTH_BEARER,
        .flags = STOPS,
        .speaks = { CHAT, RESPONSES, { .dialect = "openai-completions", .path = "/beta" } },
        .prefixes = { "deepseek-" },
        .env_key = "DEEPSEEK_API_KEY",
        .book = "deepseek",
    },
    {
        .name = "xai",
        .base_url = "https://api.x.ai/v1",
        .auth = TG_AUTH_BEARER,
        .flags = STOPS | OUTSIDE | TELLS,
        .speaks = { CHAT, RESPONSES, EMBEDDINGS },
        .prefixes = { "grok-" },
        .env_key = "XAI_API_KEY",
        .book = "xai",
    },
    {
        .name = "perplexity",
        .base_url = "https://api.perplexity.ai",
        .auth = TG_AUTH_BEARER,
        .flags = OUTSIDE | TELLS,
        .speaks = { CHAT },
        .prefixes = { "sonar", "r1-1776" },
        .env_key = "PERPLEXITY_API_KEY",
        .book = "perplexity",
    },
    {
        .name = "openrouter",
        .base_url = "https://openrouter.ai/api/v1",
        .auth = TG_AUTH_BEARER,
        .flags = TELLS,
        .speaks = { CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS },
        .prefixes = { "openrouter/" },
        .env_key = "OPENROUTER_API_KEY",
        .book = "openrouter",
    },
    {
        .name = "cerebras",
        .base_url = "https://api.cerebras.ai/v1",
        .auth = TG_AUTH_BEARER,
        .speaks = { CHAT, COMPLETIONS },
        .env_key = "CEREBRAS_API_KEY",
        .book = "cerebras",
    },
    {
        .name = "sambanova",
        .base_url = "https://api.sambanova.ai/v1",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS,
        .speaks = { CHAT, EMBEDDINGS },
        .env_key = "SAMBANOVA_API_KEY",
        .book = "sambanova",
    },
    {
        .name = "nebius",
        .base_url = "https://api.studio.nebius.com/v1",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS,
        .speaks = { CHAT, COMPLETIONS, EMBEDDINGS },
        .env_key = "NEBIUS_API_KEY",
        .book = "nebius",
    },
    {
        .name = "deepinfra",
        .base_url = "https://api.deepinfra.com/v1/openai",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS | STOPS,
        .speaks = { CHAT, COMPLETIONS, EMBEDDINGS },
        .env_key = "DEEPINFRA_API_KEY",
        .book = "deepinfra",
    },
    {
        .name = "novita",
        .base_url = "https://api.novita.ai/openai/v1",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS | STOPS,
        .speaks = { CHAT, COMPLETIONS, EMBEDDINGS },
        .env_key = "NOVITA_API_KEY",
        .book = "novita",
    },
    {
        .name = "moonshot",
        .base_url = "https://api.moonshot.ai/v1",
        .auth = TG_AUTH_BEARER,
        .speaks = { CHAT },
        .prefixes = { "moonshot-", "kimi-" },
        .env_key = "MOONSHOT_API_KEY",
        .book = "moonshot",
    },
    {
        .name = "zai",
        .base_url = "https://api.z.ai/api/paas/v4",
        .auth = TG_AUTH_BEARER,
        .speaks = { CHAT, EMBEDDINGS },
        .prefixes = { "glm-" },
        .env_key = "ZAI_API_KEY",
        .book = "zai",
    },
    {
        .name = "minimax",
        .base_url = "https://api.minimax.io/v1",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS,
        .speaks = { CHAT },
        .prefixes = { "MiniMax-" },
        .env_key = "MINIMAX_API_KEY",
        .book = "minimax",
    },
    {
        .name = "alibaba",
        .base_url = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS,
        .speaks = { CHAT, COMPLETIONS, EMBEDDINGS },
        .prefixes = { "qwen", "qwq-", "qvq-" },
        .env_key = "DASHSCOPE_API_KEY",
        .book = "alibaba",
    },
    {
        .name = "huggingface",
        .base_url = "https://router.huggingface.co/v1",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS,
        .speaks = { CHAT, RESPONSES },
    },
    {
        .name = "xroute",
        .base_url = "https://api.xroute.ai/v1",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS,
        .speaks = { CHAT },
        .env_key = "XROUTE_API_KEY",
    },
    {
        .name = "github-models",
        .base_url = "https://models.github.ai/inference",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS,
        .speaks = { CHAT, EMBEDDINGS },
    },
    {
        .name = "cloudflare", /* https://api.cloudflare.com/client/v4/accounts/{id}/ai/v1 */
        .auth = TG_AUTH_BEARER,
        .flags = ASKS | STOPS,
        .speaks = { CHAT, RESPONSES, EMBEDDINGS },
        .prefixes = { "@cf/", "@hf/" },
        .env_key = "CLOUDFLARE_API_KEY",
        .book = "cloudflare",
    },
    {
        .name = "nvidia",
        .base_url = "https://integrate.api.nvidia.com/v1",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS,
        .speaks = { CHAT, COMPLETIONS, EMBEDDINGS },
        .prefixes = { "nvidia/" },
        .env_key = "NVIDIA_API_KEY",
        .book = "nvidia",
    },
    {
        .name = "ollama",
        .base_url = "http://127.0.0.1:11434/v1",
        .auth = TG_AUTH_BEARER,
        .flags = OWN,
        .speaks = { CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS },
    },
    {
        .name = "vllm",
        .base_url = "http://127.0.0.1:8000/v1",
        .auth = TG_AUTH_BEARER,
        .flags = OWN,
        .speaks = { CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS },
    },
    {
        .name = "llama.cpp",
        .base_url = "http://127.0.0.1:8080/v1",
        .auth = TG_AUTH_BEARER,
        .flags = OWN,
        .speaks = { CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS },
    },
    {
        .name = "lm-studio",
        .base_url = "http://127.0.0.1:1234/v1",
        .auth = TG_AUTH_BEARER,
        .flags = OWN,
        .speaks = { CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS },
    },
    {
        .name = "openai-compatible",
        .auth = TG_AUTH_BEARER,
        .flags = ASKS,
        .speaks = { CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS },
    },
    {
        .name = "sandbox", /* served by the process itself; its address is known at run time */
        .auth = TG_AUTH_BEARER,
        .flags = TG_KIND_ASKS_USAGE | TG_KIND_STOPS_ON_LEAVE,
        .speaks = { { .dialect = "openai-chat" },
                    RESPONSES,
                    COMPLETIONS,
                    EMBEDDINGS,
                    MODERATIONS,
                    { .dialect = "gemini-generate" },
                    { .dialect = "gemini-count" },
                    { .dialect = "gemini-embed" },
                    { .dialect = "gemini-embed-batch" } },
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
