#include "providers/openai_facts.h"

#include "providers/usage.h"

/* 1 USD is 10^9 nusd and, for xAI, 10^10 ticks. */
#define NUSD_SCALE  9
#define TICKS_SCALE (-1)
#define COST_MAX    (INT64_MAX / 4)

_Static_assert(OPENAI_COUNTS <= TG_WIRE_COUNTS_MAX, "a dialect's counts fit into an answer");

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct names {
    const struct answer_count *name;
    size_t count;
};

/* How the members of usage are called. */
struct naming {
    struct names counts;
    struct span details_in, details_in_too, details_out;
};

static const struct answer_count chat_names[] = {
    { SPAN("prompt_tokens"), OPENAI_PROMPT },
    { SPAN("completion_tokens"), OPENAI_COMPLETION },
    { SPAN("total_tokens"), OPENAI_TOTAL },
    { SPAN("cached_tokens"), OPENAI_CACHED_BESIDE },
    { SPAN("num_cached_tokens"), OPENAI_CACHED_NUM },
    { SPAN("prompt_cache_hit_tokens"), OPENAI_CACHE_HIT },
    { SPAN("prompt_cache_miss_tokens"), OPENAI_CACHE_MISS },
    { SPAN("reasoning_tokens"), OPENAI_REASONING }, /* Perplexity */
};

static const struct answer_count input_names[] = {
    { SPAN("input_tokens"), OPENAI_PROMPT },
    { SPAN("output_tokens"), OPENAI_COMPLETION },
    { SPAN("total_tokens"), OPENAI_TOTAL },
};

static const struct naming namings[] = {
    [OPENAI_NAMES_PROMPT] = { .counts = { chat_names, LENGTH(chat_names) },
                              .details_in = SPAN("prompt_tokens_details"),
                              .details_in_too = SPAN("prompt_token_details"), /* Mistral */
                              .details_out = SPAN("completion_tokens_details") },
    [OPENAI_NAMES_INPUT] = { .counts = { input_names, LENGTH(input_names) },
                             .details_in = SPAN("input_tokens_details"),
                             .details_in_too = SPAN("input_token_details"), /* of sound */
                             .details_out = SPAN("output_tokens_details") },
};

static const struct answer_count details_in[] = {
    { SPAN("cached_tokens"), OPENAI_CACHED },
    { SPAN("cache_write_tokens"), OPENAI_CACHE_WRITE },
    { SPAN("audio_tokens"), OPENAI_AUDIO_IN },
    { SPAN("ttl_12h_tokens"), OPENAI_CACHE_WRITE_12H }, /* in cache_write_tokens_details */
};

static const struct answer_count details_out[] = {
    { SPAN("reasoning_tokens"), OPENAI_REASONING },
    { SPAN("audio_tokens"), OPENAI_AUDIO_OUT },
};
static const struct names names_in = { details_in, LENGTH(details_in) };
static const struct names names_out = { details_out, LENGTH(details_out) };

void openai_facts_init(struct openai_facts *f, struct tg_span text)
{
    *f = (struct openai_facts){ .cost_nusd = USAGE_UNKNOWN, .upstream_nusd = USAGE_UNKNOWN };
    for (int i = 0; i < OPENAI_COUNTS; i++)
        f->counts[i] = USAGE_UNKNOWN;
    scanner_init(&f->s, span_of(text.ptr, text.len));
}

/* --- usage --------------------------------------------------------------------------------------
 */

static void read_count(struct openai_facts *f, int count)
{
    struct scanner_value value;

    (void)answer_read_value(&f->s, &value); /* one that says nothing is judged below */
    if (value.type == SCANNER_NONE)
        return;
    usage_read_count(&value, &f->counts[count], &f->is_doubtful);
}

/* The counts of an object and of the one in it that says how long a cache is kept. */
static void read_details(struct openai_facts *f, const struct names *names)
{
    struct scanner *const s = &f->s;
    const int floor = s->depth;
    struct scanner_value key;
    int count;

    if (!scanner_enter(s, SCANNER_OBJECT))
        return;
    while (s->depth > floor && s->fault == SCANNER_FINE) {
        if (!scanner_member(s, &key))
            continue;
        if (answer_find_count(&key, names->name, names->count, &count))
            read_count(f, count);
        else if (scanner_is(&key, SPAN("cache_write_tokens_details")))
            (void)scanner_enter(s, SCANNER_OBJECT); /* a fault sticks */
        else
            openai_read_ignored(f);
    }
}

static void take_amount(struct openai_facts *f, const struct scanner_value *number, int scale,
                        int64_t *amount_nusd)
{
    switch (usage_decimal(number->text, scale, COST_MAX, amount_nusd)) {
    case USAGE_DECIMAL_EXACT:
    case USAGE_DECIMAL_ROUNDED:
        return;
    case USAGE_DECIMAL_TOO_LARGE:
    case USAGE_DECIMAL_NEGATIVE:
        break;
    }
    f->is_doubtful = true;
}

static void read_amount(struct openai_facts *f, int scale, int64_t *amount_nusd)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value) && value.type == SCANNER_NUMBER)
        take_amount(f, &value, scale, amount_nusd);
}

/* An object, one member of which is an amount in USD. */
static void read_amounts(struct openai_facts *f, struct span name, int64_t *amount_nusd)
{
    struct scanner_value key;

    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, name))
            read_amount(f, NUSD_SCALE, amount_nusd);
        else
            openai_read_ignored(f);
    }
}

/* A number for OpenRouter, an object for Perplexity. */
static void read_cost(struct openai_facts *f)
{
    struct scanner_value value;

    if (!scanner_value(&f->s, &value))
        return;
    if (value.type == SCANNER_NUMBER)
        take_amount(f, &value, NUSD_SCALE, &f->cost_nusd);
    else if (value.type == SCANNER_OBJECT)
        read_amounts(f, SPAN("total_cost"), &f->cost_nusd);
    else if (value.type == SCANNER_ARRAY)
        (void)scanner_leave(&f->s); /* a fault sticks */
}

/* The charge in other units, at other places, and what stands beside it. */
static void read_charge(struct openai_facts *f, const struct scanner_value *key)
{
    struct scanner_value value;

    if (scanner_is(key, SPAN("cost"))) {
        read_cost(f);
    } else if (scanner_is(key, SPAN("cost_in_usd_ticks"))) {
        read_amount(f, TICKS_SCALE, &f->cost_nusd);
    } else if (scanner_is(key, SPAN("cost_details"))) {
        if (scanner_enter(&f->s, SCANNER_OBJECT))
            read_amounts(f, SPAN("upstream_inference_cost"), &f->upstream_nusd);
    } else if (scanner_is(key, SPAN("is_byok"))) {
        f->is_byok = answer_read_value(&f->s, &value) && value.type == SCANNER_TRUE;
    } else {
        openai_read_ignored(f);
    }
}

/* A member of usage that is no plain count. */
static void read_usage_extra(struct openai_facts *f, const struct naming *naming,
                             const struct scanner_value *key)
{
    if (scanner_is(key, naming->details_in) || scanner_is(key, naming->details_in_too))
        read_details(f, &names_in);
    else if (scanner_is(key, naming->details_out))
        read_details(f, &names_out);
    else if (scanner_is(key, SPAN("service_tier")))
        answer_read_string(&f->s, &f->tier); /* Mistral */
    else
        read_charge(f, key);
}

bool openai_read_usage(struct openai_facts *f, enum openai_naming named)
{
    const struct naming *const naming = &namings[named];
    struct scanner_value key;
    size_t start;
    int count;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return false;
    start = scanner_offset(&f->s) - 1;
    while (scanner_member(&f->s, &key)) {
        if (answer_find_count(&key, naming->counts.name, naming->counts.count, &count))
            read_count(f, count);
        else
            read_usage_extra(f, naming, &key);
    }
    f->has_counts =
        f->counts[OPENAI_PROMPT] != USAGE_UNKNOWN || f->counts[OPENAI_COMPLETION] != USAGE_UNKNOWN;
    if (f->has_counts || f->cost_nusd != USAGE_UNKNOWN) {
        f->usage_start = start;
        f->usage_end = scanner_offset(&f->s);
    }
    return true;
}

/* --- errors -------------------------------------------------------------------------------------
 */

void openai_read_code(struct openai_facts *f, bool is_type)
{
    struct scanner_value value;

    if (!answer_read_value(&f->s, &value) ||
        (value.type != SCANNER_STRING && value.type != SCANNER_NUMBER))
        return;
    if (!is_type || f->error_code.type == SCANNER_NONE)
        f->error_code = value;
}

void openai_read_error(struct openai_facts *f)
{
    struct scanner_value value;

    if (!scanner_value(&f->s, &value))
        return;
    if (value.type == SCANNER_ARRAY)
        (void)scanner_leave(&f->s); /* a fault sticks */
    if (value.type == SCANNER_STRING && value.text.len > 0)
        f->is_error = true;
    if (value.type != SCANNER_OBJECT)
        return;
    f->is_error = true;
    f->error_code = (struct scanner_value){ 0 };
    while (scanner_member(&f->s, &value)) {
        if (scanner_is(&value, SPAN("code")))
            openai_read_code(f, /* is_type= */ false);
        else if (scanner_is(&value, SPAN("type")))
            openai_read_code(f, /* is_type= */ true);
        else
            openai_read_ignored(f);
    }
}

/* --- into the answer ----------------------------------------------------------------------------
 */

static int64_t last_count(const struct tg_answer *answer, enum openai_count count)
{
    return answer->wire_counts[count] - 1; /* USAGE_UNKNOWN where there was none */
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct usage_parts parts_of(const struct tg_answer *answer)
{
    const int64_t hit = last_count(answer, OPENAI_CACHE_HIT);
    const int64_t miss = last_count(answer, OPENAI_CACHE_MISS);
    const int64_t cached =
        larger(last_count(answer, OPENAI_CACHED), last_count(answer, OPENAI_CACHED_BESIDE));
    struct usage_parts parts = {
        .prompt = last_count(answer, OPENAI_PROMPT),
        .completion = last_count(answer, OPENAI_COMPLETION),
        .total = last_count(answer, OPENAI_TOTAL),
        .cached = larger(larger(cached, last_count(answer, OPENAI_CACHED_NUM)), hit),
        .written = last_count(answer, OPENAI_CACHE_WRITE),
        .reasoning = last_count(answer, OPENAI_REASONING),
        .audio_in = last_count(answer, OPENAI_AUDIO_IN),
        .audio_out = last_count(answer, OPENAI_AUDIO_OUT),
    };

    if (parts.prompt == USAGE_UNKNOWN && hit != USAGE_UNKNOWN && miss != USAGE_UNKNOWN)
        parts.prompt = hit + miss > TG_COUNT_MAX ? TG_COUNT_MAX : hit + miss;
    return parts;
}

/* A provider that repeats its usage never takes it back: all zero behind real counts is a blank. */
static bool takes_back(const struct openai_facts *f, const struct tg_answer *answer)
{
    return f->counts[OPENAI_PROMPT] <= 0 && f->counts[OPENAI_COMPLETION] <= 0 &&
           f->counts[OPENAI_TOTAL] <= 0 && (answer->flags & TG_ANSWER_HAS_USAGE) != 0 &&
           (answer->usage.prompt_tokens > 0 || tg_usage_output_tokens(&answer->usage) > 0);
}

/* return  whether so many can be among the cache writes */
static bool set_apart_long_writes(struct tg_answer *answer)
{
    const int64_t told = last_count(answer, OPENAI_CACHE_WRITE_12H);
    int64_t *const count = answer->usage.count;
    const int64_t most = count[TG_CACHE_WRITE];

    if (told <= 0)
        return true;
    count[TG_CACHE_WRITE_12H] = told < most ? told : most;
    count[TG_CACHE_WRITE] -= count[TG_CACHE_WRITE_12H];
    return told <= most;
}

static void keep_usage(const struct openai_facts *f, uint32_t kind_flags, struct tg_answer *answer)
{
    struct usage_parts parts;
    bool agrees;

    if (takes_back(f, answer)) {
        answer->flags |= TG_ANSWER_DOUBTFUL;
        return;
    }
    for (int i = 0; i < OPENAI_COUNTS; i++)
        if (f->counts[i] != USAGE_UNKNOWN)
            answer->wire_counts[i] = f->counts[i] + 1;
    parts = parts_of(answer);
    agrees = usage_take_apart(&parts, kind_flags, &answer->usage) && !f->is_doubtful;
    agrees = set_apart_long_writes(answer) && agrees;
    answer->flags &= ~(uint32_t)TG_ANSWER_DOUBTFUL; /* the last word replaces the earlier ones */
    answer->flags |= TG_ANSWER_HAS_USAGE | (agrees ? 0u : (uint32_t)TG_ANSWER_DOUBTFUL);
}

static void keep_cost(const struct openai_facts *f, struct tg_answer *answer)
{
    if (f->cost_nusd == USAGE_UNKNOWN)
        return;
    answer->flags |= TG_ANSWER_HAS_COST;
    answer->provider_cost_nusd = f->cost_nusd;
    /* With a key of one's own at the upstream, OpenRouter's `cost` is its fee alone. */
    if (f->is_byok && f->upstream_nusd != USAGE_UNKNOWN)
        answer->provider_cost_nusd += f->upstream_nusd;
}

void openai_keep_facts(const struct openai_facts *f, uint32_t kind_flags, struct tg_answer *answer)
{
    answer_keep_text(&answer->response_id, &f->id);
    answer_keep_text(&answer->model, &f->model);
    answer_keep_text(&answer->tier, &f->tier);
    answer->output_bytes += f->output_bytes;
    if (f->has_counts)
        keep_usage(f, kind_flags, answer);
    else if (f->is_doubtful)
        answer->flags |= TG_ANSWER_DOUBTFUL; /* a record there was, but nothing in it to believe */
    if ((kind_flags & TG_KIND_TELLS_COST) != 0)
        keep_cost(f, answer);
    answer->raw_usage_start = f->usage_start;
    answer->raw_usage_end = f->usage_end;
    if (f->is_error) {
        answer->flags |= TG_ANSWER_IS_ERROR;
        answer_keep_text(&answer->error_code, &f->error_code);
    }
}

enum tg_event_action openai_action_of(const struct tg_answer *answer)
{
    const uint32_t ends = TG_ANSWER_IS_COMPLETE | TG_ANSWER_IS_ERROR;

    return (answer->flags & ends) != 0 ? TG_EVENT_TERMINAL : TG_EVENT_PASS;
}

enum tg_event_action openai_read_other_data(struct span type, struct span data,
                                            struct tg_answer *answer)
{
    const bool is_ours = type.len == 0 || span_equal(type, SPAN("message")) ||
                         span_starts_with(type, SPAN("response."));

    if (span_equal(span_trim(data), SPAN("[DONE]")))
        answer->flags |= TG_ANSWER_IS_COMPLETE;
    else if (span_equal(type, SPAN("error")))
        answer->flags |= TG_ANSWER_IS_ERROR;
    else if (data.len > 0 && is_ours)
        answer->flags |= TG_ANSWER_UNREADABLE;
    return openai_action_of(answer);
}
