#include "metering/price_litellm.h"

#include "base/clock.h"
#include "base/try.h"
#include "providers/scanner.h"

#include <stdio.h>

#define PUSD_PLACES  12
#define EXPONENT_MAX 400
#define DIGITS_MAX   400

static const struct {
    const char *theirs;
    const char *ours;
} providers[] = {
    { "openai", "openai" },
    { "text-completion-openai", "openai" },
    { "anthropic", "anthropic" },
    { "gemini", "google" },
    { "vertex_ai-language-models", "google-vertex" },
    { "vertex_ai-anthropic_models", "google-vertex" },
    { "bedrock", "aws-bedrock" },
    { "bedrock_converse", "aws-bedrock" },
    { "azure", "azure" },
    { "azure_ai", "azure-ai" },
    { "mistral", "mistral" },
    { "groq", "groq" },
    { "together_ai", "together" },
    { "fireworks_ai", "fireworks" },
    { "xai", "xai" },
    { "deepseek", "deepseek" },
    { "cohere", "cohere" },
    { "cohere_chat", "cohere" },
    { "perplexity", "perplexity" },
    { "cerebras", "cerebras" },
    { "moonshot", "moonshot" },
    { "openrouter", "openrouter" },
    { "deepinfra", "deepinfra" },
    { "sambanova", "sambanova" },
    { "voyage", "voyage" },
    { "minimax", "minimax" },
};

static const struct field {
    const char *name;
    enum tg_class class;
    enum price_unit unit;
    enum price_tier tier;
    int64_t ctx_min;
} fields[] = {
    { "input_cost_per_token", TG_INPUT, PRICE_TOKEN, PRICE_STANDARD, 0 },
    { "output_cost_per_token", TG_OUTPUT, PRICE_TOKEN, PRICE_STANDARD, 0 },
    { "cache_read_input_token_cost", TG_CACHE_READ, PRICE_TOKEN, PRICE_STANDARD, 0 },
    { "cache_creation_input_token_cost", TG_CACHE_WRITE, PRICE_TOKEN, PRICE_STANDARD, 0 },
    { "cache_creation_input_token_cost_above_1hr", TG_CACHE_WRITE_1H, PRICE_TOKEN, PRICE_STANDARD,
      0 },
    { "output_cost_per_reasoning_token", TG_REASONING, PRICE_TOKEN, PRICE_STANDARD, 0 },
    { "input_cost_per_audio_token", TG_INPUT_AUDIO, PRICE_TOKEN, PRICE_STANDARD, 0 },
    { "output_cost_per_audio_token", TG_OUTPUT_AUDIO, PRICE_TOKEN, PRICE_STANDARD, 0 },
    { "input_cost_per_image_token", TG_INPUT_IMAGE, PRICE_TOKEN, PRICE_STANDARD, 0 },
    { "output_cost_per_image_token", TG_OUTPUT_IMAGE, PRICE_TOKEN, PRICE_STANDARD, 0 },
    { "input_cost_per_token_above_128k_tokens", TG_INPUT, PRICE_TOKEN, PRICE_STANDARD, 128001 },
    { "output_cost_per_token_above_128k_tokens", TG_OUTPUT, PRICE_TOKEN, PRICE_STANDARD, 128001 },
    { "input_cost_per_token_above_200k_tokens", TG_INPUT, PRICE_TOKEN, PRICE_STANDARD, 200001 },
    { "output_cost_per_token_above_200k_tokens", TG_OUTPUT, PRICE_TOKEN, PRICE_STANDARD, 200001 },
    { "cache_read_input_token_cost_above_200k_tokens", TG_CACHE_READ, PRICE_TOKEN, PRICE_STANDARD,
      200001 },
    { "cache_creation_input_token_cost_above_200k_tokens", TG_CACHE_WRITE, PRICE_TOKEN,
      PRICE_STANDARD, 200001 },
    { "input_cost_per_token_above_272k_tokens", TG_INPUT, PRICE_TOKEN, PRICE_STANDARD, 272001 },
    { "output_cost_per_token_above_272k_tokens", TG_OUTPUT, PRICE_TOKEN, PRICE_STANDARD, 272001 },
    { "cache_read_input_token_cost_above_272k_tokens", TG_CACHE_READ, PRICE_TOKEN, PRICE_STANDARD,
      272001 },
    { "input_cost_per_token_batches", TG_INPUT, PRICE_TOKEN, PRICE_BATCH, 0 },
    { "output_cost_per_token_batches", TG_OUTPUT, PRICE_TOKEN, PRICE_BATCH, 0 },
    { "input_cost_per_token_flex", TG_INPUT, PRICE_TOKEN, PRICE_FLEX, 0 },
    { "output_cost_per_token_flex", TG_OUTPUT, PRICE_TOKEN, PRICE_FLEX, 0 },
    { "cache_read_input_token_cost_flex", TG_CACHE_READ, PRICE_TOKEN, PRICE_FLEX, 0 },
    { "input_cost_per_token_priority", TG_INPUT, PRICE_TOKEN, PRICE_PRIORITY, 0 },
    { "output_cost_per_token_priority", TG_OUTPUT, PRICE_TOKEN, PRICE_PRIORITY, 0 },
    { "cache_read_input_token_cost_priority", TG_CACHE_READ, PRICE_TOKEN, PRICE_PRIORITY, 0 },
    { "output_cost_per_image", TG_IMAGE_OUT, PRICE_IMAGE, PRICE_STANDARD, 0 },
    { "input_cost_per_image", TG_IMAGE_IN, PRICE_IMAGE, PRICE_STANDARD, 0 },
    { "input_cost_per_second", TG_AUDIO_IN, PRICE_SECOND, PRICE_STANDARD, 0 },
    { "output_cost_per_second", TG_AUDIO_OUT, PRICE_SECOND, PRICE_STANDARD, 0 },
    { "input_cost_per_character", TG_CHAR_IN, PRICE_CHAR, PRICE_STANDARD, 0 },
    { "output_cost_per_character", TG_CHAR_OUT, PRICE_CHAR, PRICE_STANDARD, 0 },
    { "ocr_cost_per_page", TG_PAGE, PRICE_PAGE, PRICE_STANDARD, 0 },
    { "input_cost_per_query", TG_SEARCH_UNIT, PRICE_CALL, PRICE_STANDARD, 0 },
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

/* --- numbers -----------------------------------------------------------------------------------
 */

/* The digits of a number without point, sign and exponent, and the power of ten they are times. */
struct decimal {
    char digits[DIGITS_MAX];
    int count;
    int exponent;
};

static bool take_digits(struct span *rest, struct decimal *decimal, bool is_behind_point)
{
    const size_t before = rest->len;

    while (rest->len > 0 && rest->ptr[0] >= '0' && rest->ptr[0] <= '9') {
        if (decimal->count == DIGITS_MAX)
            return false;
        decimal->digits[decimal->count++] = rest->ptr[0];
        decimal->exponent -= is_behind_point ? 1 : 0;
        *rest = span_from_offset(*rest, 1);
    }
    return rest->len < before;
}

static bool take_exponent(struct span rest, struct decimal *decimal)
{
    bool is_negative = false;
    int exponent = 0;

    if (rest.len > 0 && (rest.ptr[0] == '-' || rest.ptr[0] == '+')) {
        is_negative = rest.ptr[0] == '-';
        rest = span_from_offset(rest, 1);
    }
    if (rest.len == 0)
        return false;
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] < '0' || rest.ptr[i] > '9' || exponent > EXPONENT_MAX)
            return false;
        exponent = exponent * 10 + (rest.ptr[i] - '0');
    }
    decimal->exponent += is_negative ? -exponent : exponent;
    return true;
}

static bool read_decimal(struct span text, struct decimal *decimal)
{
    *decimal = (struct decimal){ 0 };
    if (!take_digits(&text, decimal, /* is_behind_point= */ false))
        return false;
    if (text.len > 0 && text.ptr[0] == '.') {
        text = span_from_offset(text, 1);
        if (!take_digits(&text, decimal, /* is_behind_point= */ true))
            return false;
    }
    if (text.len == 0)
        return true;
    return (text.ptr[0] == 'e' || text.ptr[0] == 'E') &&
           take_exponent(span_from_offset(text, 1), decimal);
}

/* Whether the digits from `kept` on round what is before them up: half to even. */
static bool rounds_up(const struct decimal *decimal, int kept, bool is_odd)
{
    bool has_more = false;

    if (kept < 0 || kept >= decimal->count)
        return false;
    for (int i = kept + 1; i < decimal->count; i++)
        has_more = has_more || decimal->digits[i] != '0';
    if (decimal->digits[kept] != '5')
        return decimal->digits[kept] > '5';
    return has_more || is_odd;
}

bool litellm_number(struct span text, int64_t *ret_pusd, bool *ret_is_rounded)
{
    struct decimal decimal;
    int64_t pusd = 0;
    int kept; /* digits that are whole pico-USD */

    if (!read_decimal(text, &decimal))
        return false;
    kept = decimal.count + decimal.exponent + PUSD_PLACES;
    *ret_is_rounded = false;
    for (int i = 0; i < decimal.count; i++)
        if (i >= kept && decimal.digits[i] != '0')
            *ret_is_rounded = true;
    for (int i = 0; i < kept && pusd <= COST_PRICE_MAX; i++)
        pusd = pusd * 10 + (i < decimal.count ? decimal.digits[i] - '0' : 0);
    if (rounds_up(&decimal, kept, pusd % 2 != 0))
        pusd++;
    if (pusd > COST_PRICE_MAX)
        return false;
    *ret_pusd = pusd;
    return true;
}

/* --- the map -----------------------------------------------------------------------------------
 */

struct reading {
    struct scanner scanner;
    struct span json;
    struct price_list *list;
    struct litellm_count count;
    int64_t now_ms;
    struct err *err;
};

static int64_t line_of(const struct reading *reading)
{
    const size_t offset = scanner_offset(&reading->scanner);
    int64_t line = 1;

    for (size_t i = 0; i < offset; i++)
        line += reading->json.ptr[i] == '\n' ? 1 : 0;
    return line;
}

static enum tg_status refuse(const struct reading *reading, struct span model, const char *field,
                             const char *rule)
{
    return err_set(reading->err, TG_INVALID, "model map line %lld: %.*s: %s %s",
                   (long long)line_of(reading), SPAN_ARG(model), field, rule);
}

/* What one model says. */
struct entry {
    struct span model;
    const char *provider; /* NULL: not one of the book's */
    bool has_price[FIELD_COUNT];
    bool is_rounded[FIELD_COUNT];
    int64_t pusd[FIELD_COUNT];
};

static void read_provider(const struct scanner_value *value, struct entry *entry)
{
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++)
        if (value->type == SCANNER_STRING && scanner_is(value, span_from(providers[i].theirs)))
            entry->provider = providers[i].ours;
}

static enum tg_status read_member(struct reading *reading, const struct scanner_value *key,
                                  const struct scanner_value *value, struct entry *entry)
{
    if (scanner_is(key, SPAN("litellm_provider")))
        read_provider(value, entry);
    if (scanner_is(key, SPAN("currency")) && !scanner_is(value, SPAN("USD")))
        return refuse(reading, entry->model, "currency", "must be USD");
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (!scanner_is(key, span_from(fields[i].name)) || value->type == SCANNER_NULL)
            continue;
        if (entry->has_price[i])
            return refuse(reading, entry->model, fields[i].name, "may be given once");
        if (value->type != SCANNER_NUMBER ||
            !litellm_number(value->text, &entry->pusd[i], &entry->is_rounded[i]))
            return refuse(reading, entry->model, fields[i].name, "must be a number from 0 to 5");
        entry->has_price[i] = true;
    }
    return TG_OK;
}

static enum tg_status read_entry(struct reading *reading, struct entry *entry)
{
    struct scanner *s = &reading->scanner;
    struct scanner_value key;
    struct scanner_value value;

    if (!scanner_enter(s, SCANNER_OBJECT))
        return refuse(reading, entry->model, "it", "must be an object");
    while (scanner_member(s, &key)) {
        if (!scanner_value(s, &value))
            break;
        if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY)
            (void)scanner_leave(s); /* a fault is met at the end */
        TRY(read_member(reading, &key, &value, entry));
    }
    return TG_OK;
}

/* The book's name: without the provider's before it (`gemini/gemini-2.5-pro`). */
static struct span name_of(struct span model)
{
    static const struct span prefixes[] = {
        { "gemini/", 7 },      { "azure/", 6 },         { "azure_ai/", 9 },
        { "mistral/", 8 },     { "groq/", 5 },          { "together_ai/", 12 },
        { "xai/", 4 },         { "fireworks_ai/", 13 }, { "deepseek/", 9 },
        { "perplexity/", 11 }, { "cerebras/", 9 },      { "moonshot/", 9 },
        { "openrouter/", 11 }, { "deepinfra/", 10 },    { "sambanova/", 10 },
        { "voyage/", 7 },      { "minimax/", 8 },       { "vertex_ai/", 10 },
        { "bedrock/", 8 },     { "cohere/", 7 },
    };

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (span_starts_with(model, prefixes[i]) && model.len > prefixes[i].len)
            return span_from_offset(model, prefixes[i].len);
    return model;
}

static enum tg_status keep_entry(struct reading *reading, const struct entry *entry)
{
    char today[CLOCK_RFC3339_SIZE];
    struct span as_of;

    clock_format_rfc3339(reading->now_ms, today);
    TRY(price_list_copy(reading->list, span_of(today, sizeof("YYYY-MM-DD") - 1), &as_of));
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct price price = {
            .id = reading->count.models,
            .provider = span_from(entry->provider),
            .model = name_of(entry->model),
            .class = fields[i].class,
            .unit = fields[i].unit,
            .tier = fields[i].tier,
            .is_override = true,
            .unit_price_pusd = entry->pusd[i],
            .ctx_min = fields[i].ctx_min,
            .valid_from_ms = reading->now_ms,
            .valid_until_ms = PRICE_FOREVER,
            .as_of = as_of,
            .sources = SPAN("import"),
            .status = entry->is_rounded[i] ? SPAN("single+rounded") : SPAN("single"),
        };
        const char *complaint = price_complaint(&price);

        if (!entry->has_price[i])
            continue;
        if (complaint != NULL)
            return refuse(reading, entry->model, "its", complaint);
        TRY(price_list_add(reading->list, &price));
    }
    return TG_OK;
}

/* The model's name as it is, unescaped where it has to be. */
static enum tg_status read_model(struct reading *reading, const struct scanner_value *key,
                                 struct span *ret_model)
{
    char text[PRICE_MODEL_MAX];
    size_t len;

    if (!scanner_unescape(key, text, sizeof(text), &len))
        return refuse(reading, span_of(text, len), "it", "must be at most 200 bytes long");
    return price_list_copy(reading->list, span_of(text, len), ret_model);
}

static enum tg_status read_models(struct reading *reading)
{
    struct scanner_value key;

    while (scanner_member(&reading->scanner, &key)) {
        struct entry entry = { 0 };

        TRY(read_model(reading, &key, &entry.model));
        TRY(read_entry(reading, &entry));
        /* The map's own description of itself. */
        if (span_equal(entry.model, SPAN("sample_spec")))
            continue;
        reading->count.models++;
        if (entry.provider == NULL) {
            reading->count.skipped++;
            continue;
        }
        TRY(keep_entry(reading, &entry));
    }
    return TG_OK;
}

enum tg_status litellm_parse(struct span json, int64_t now_ms, struct price_list *ret_list,
                             struct litellm_count *ret_count, struct err *err)
{
    struct reading reading = { .json = json, .list = ret_list, .now_ms = now_ms, .err = err };
    struct scanner_value root;

    scanner_init(&reading.scanner, json);
    if (!scanner_value(&reading.scanner, &root) || root.type != SCANNER_OBJECT)
        return err_set(err, TG_INVALID, "model map line 1: must be a JSON object");
    TRY(read_models(&reading));
    if (scanner_finish(&reading.scanner) != TG_OK)
        return err_set(err, TG_INVALID, "model map line %lld: is not valid JSON",
                       (long long)line_of(&reading));
    *ret_count = reading.count;
    return TG_OK;
}
