#include "providers/openai_chat_answer.h"

#include "providers/answer_reader.h"
#include "providers/usage.h"

#include <assert.h>

/* 1 USD is 10^9 nusd and, for xAI, 10^10 ticks. */
#define NUSD_SCALE  9
#define TICKS_SCALE (-1)
#define COST_MAX    (INT64_MAX / 4)

/* Counts as they stand on the wire. Several names of one thing have a place each, because they may
 * differ in which of them a provider fills. */
enum chat_count {
    COUNT_PROMPT,
    COUNT_COMPLETION,
    COUNT_TOTAL,
    COUNT_CACHED,
    COUNT_CACHED_BESIDE, /* usage.cached_tokens: Together, Moonshot */
    COUNT_CACHED_NUM,    /* usage.num_cached_tokens: Mistral */
    COUNT_CACHE_HIT,     /* usage.prompt_cache_hit_tokens: DeepSeek */
    COUNT_CACHE_MISS,
    COUNT_CACHE_WRITE,
    COUNT_AUDIO_IN,
    COUNT_AUDIO_OUT,
    COUNT_REASONING,
    COUNTS
};
_Static_assert(COUNTS <= TG_WIRE_COUNTS_MAX, "a dialect's counts fit into an answer");

static const struct answer_count usage_names[] = {
    { SPAN("prompt_tokens"), COUNT_PROMPT },
    { SPAN("completion_tokens"), COUNT_COMPLETION },
    { SPAN("total_tokens"), COUNT_TOTAL },
    { SPAN("cached_tokens"), COUNT_CACHED_BESIDE },
    { SPAN("num_cached_tokens"), COUNT_CACHED_NUM },
    { SPAN("prompt_cache_hit_tokens"), COUNT_CACHE_HIT },
    { SPAN("prompt_cache_miss_tokens"), COUNT_CACHE_MISS },
    { SPAN("reasoning_tokens"), COUNT_REASONING }, /* Perplexity */
};

static const struct answer_count prompt_names[] = {
    { SPAN("cached_tokens"), COUNT_CACHED },
    { SPAN("cache_write_tokens"), COUNT_CACHE_WRITE },
    { SPAN("audio_tokens"), COUNT_AUDIO_IN },
};

static const struct answer_count completion_names[] = {
    { SPAN("reasoning_tokens"), COUNT_REASONING },
    { SPAN("audio_tokens"), COUNT_AUDIO_OUT },
};
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What one event or body says; goes into the answer when all of it has proved to be JSON. */
struct facts {
    struct scanner s;
    struct scanner_value id, model, tier; /* strings, where there */
    struct scanner_value error_code;      /* string or number */
    bool is_error;
    bool has_counts;
    bool is_doubtful;
    bool is_usage_here; /* a usage object at the top level */
    bool has_substance; /* anything that a client would miss */
    bool is_byok;
    int64_t counts[COUNTS];
    int64_t cost_nusd, upstream_nusd; /* USAGE_UNKNOWN where not there */
    size_t usage_start, usage_end;
    int64_t output_bytes;
    int64_t choices_seen;
    uint64_t finished[TG_CHOICES_MAX / 64];
    struct answer_holes holes;
};

/* --- values -------------------------------------------------------------------------------------
 */

/* Pass over a member that a client would miss, if it says anything. */
static void read_substance(struct facts *f)
{
    struct scanner_value ignored;

    if (answer_read_value(&f->s, &ignored))
        f->has_substance = true;
}

static void read_ignored(struct facts *f)
{
    struct scanner_value ignored;

    (void)answer_read_value(&f->s, &ignored); /* a fault sticks */
}

/* Visible text; in a plain chunk the one string that matters. */
static void count_text(struct facts *f, const struct scanner_value *string)
{
    if (string->type != SCANNER_STRING)
        return;
    answer_note_text(&f->holes, string);
    f->output_bytes += (int64_t)scanner_text_bytes(string);
}

static void read_text(struct facts *f)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value))
        f->has_substance = true;
    count_text(f, &value);
}

/* Padding of random length that OpenAI adds: no text. */
static void read_obfuscation(struct facts *f)
{
    struct scanner_value value;

    (void)answer_read_value(&f->s, &value); /* a fault sticks */
    if (value.type == SCANNER_STRING)
        answer_note_hole(&f->holes, &value);
}

/* --- usage --------------------------------------------------------------------------------------
 */

static void read_count(struct facts *f, int count)
{
    struct scanner_value value;

    (void)answer_read_value(&f->s, &value); /* one that says nothing is judged below */
    if (value.type == SCANNER_NONE)
        return;
    usage_read_count(&value, &f->counts[count], &f->is_doubtful);
}

static void read_details(struct facts *f, const struct answer_count *names, size_t length)
{
    struct scanner_value key;
    int count;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (answer_find_count(&key, names, length, &count))
            read_count(f, count);
        else
            read_ignored(f);
    }
}

static void take_amount(struct facts *f, const struct scanner_value *number, int scale,
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

static void read_amount(struct facts *f, int scale, int64_t *amount_nusd)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value) && value.type == SCANNER_NUMBER)
        take_amount(f, &value, scale, amount_nusd);
}

/* An object, one member of which is an amount in USD. */
static void read_amounts(struct facts *f, struct span name, int64_t *amount_nusd)
{
    struct scanner_value key;

    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, name))
            read_amount(f, NUSD_SCALE, amount_nusd);
        else
            read_ignored(f);
    }
}

/* A number for OpenRouter, an object for Perplexity. */
static void read_cost(struct facts *f)
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

/* A member of usage that is no plain count. */
static void read_usage_extra(struct facts *f, const struct scanner_value *key)
{
    struct scanner_value value;

    if (scanner_is(key, SPAN("prompt_tokens_details")) ||
        scanner_is(key, SPAN("prompt_token_details"))) {
        read_details(f, prompt_names, LENGTH(prompt_names));
    } else if (scanner_is(key, SPAN("completion_tokens_details"))) {
        read_details(f, completion_names, LENGTH(completion_names));
    } else if (scanner_is(key, SPAN("cost"))) {
        read_cost(f);
    } else if (scanner_is(key, SPAN("cost_in_usd_ticks"))) {
        read_amount(f, TICKS_SCALE, &f->cost_nusd);
    } else if (scanner_is(key, SPAN("cost_details"))) {
        if (scanner_enter(&f->s, SCANNER_OBJECT))
            read_amounts(f, SPAN("upstream_inference_cost"), &f->upstream_nusd);
    } else if (scanner_is(key, SPAN("is_byok"))) {
        f->is_byok = answer_read_value(&f->s, &value) && value.type == SCANNER_TRUE;
    } else if (scanner_is(key, SPAN("service_tier"))) {
        answer_read_string(&f->s, &f->tier); /* Mistral */
    } else {
        read_ignored(f);
    }
}

static bool has_counts(const struct facts *f)
{
    return f->counts[COUNT_PROMPT] != USAGE_UNKNOWN || f->counts[COUNT_COMPLETION] != USAGE_UNKNOWN;
}

/* return  whether it is an object */
static bool read_usage(struct facts *f)
{
    struct scanner_value key;
    int count;
    size_t start;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return false;
    start = scanner_offset(&f->s) - 1;
    while (scanner_member(&f->s, &key)) {
        if (answer_find_count(&key, usage_names, LENGTH(usage_names), &count))
            read_count(f, count);
        else
            read_usage_extra(f, &key);
    }
    f->has_counts = has_counts(f);
    if (f->has_counts || f->cost_nusd != USAGE_UNKNOWN) {
        f->usage_start = start;
        f->usage_end = scanner_offset(&f->s);
    }
    return true;
}

/* --- choices ------------------------------------------------------------------------------------
 */

/* Mistral's content may be a list of parts: all that stands under "text" in it is visible. The
 * container has just been entered. */
static void walk_parts(struct facts *f)
{
    struct scanner *const s = &f->s;
    const int floor = s->depth - 1;

    while (s->depth > floor && s->fault == SCANNER_FINE) {
        struct scanner_value value;
        bool is_text = false;

        if (scanner_is_in_object(s)) {
            if (!scanner_member(s, &value))
                continue;
            is_text = scanner_is(&value, SPAN("text"));
        } else if (!scanner_element(s)) {
            continue;
        }
        if (scanner_value(s, &value) && is_text && value.type == SCANNER_STRING)
            f->output_bytes += (int64_t)scanner_text_bytes(&value);
    }
    f->has_substance = true;
}

static void read_content(struct facts *f)
{
    struct scanner_value value;

    if (!scanner_value(&f->s, &value) || value.type == SCANNER_NULL)
        return;
    if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY) {
        walk_parts(f);
        return;
    }
    f->has_substance = f->has_substance || value.text.len > 0;
    count_text(f, &value);
}

/* The object of a function or custom tool, or an answer's audio. */
static void read_named_texts(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    f->has_substance = true;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("arguments")) || scanner_is(&key, SPAN("name")) ||
            scanner_is(&key, SPAN("input")) || scanner_is(&key, SPAN("transcript")))
            read_text(f);
        else
            read_ignored(f);
    }
}

static void read_tool_call(struct facts *f)
{
    struct scanner_value key;

    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("function")) || scanner_is(&key, SPAN("custom")))
            read_named_texts(f);
        else
            read_ignored(f);
    }
}

static void read_tool_calls(struct facts *f)
{
    if (!scanner_enter(&f->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&f->s)) {
        f->has_substance = true;
        if (scanner_enter(&f->s, SCANNER_OBJECT))
            read_tool_call(f);
    }
}

/* The `delta` of a stream or the `message` of a plain answer. */
static void read_message(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("content")))
            read_content(f);
        else if (scanner_is(&key, SPAN("role")))
            read_ignored(f);
        else if (scanner_is(&key, SPAN("refusal")) || scanner_is(&key, SPAN("reasoning_content")) ||
                 scanner_is(&key, SPAN("reasoning")))
            read_text(f);
        else if (scanner_is(&key, SPAN("tool_calls")))
            read_tool_calls(f);
        else if (scanner_is(&key, SPAN("function_call")) || scanner_is(&key, SPAN("audio")))
            read_named_texts(f);
        else
            read_substance(f);
    }
}

static void read_index(struct facts *f, int64_t *index)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value))
        (void)scanner_int64(&value, index); /* the place in the list stands where it is none */
}

static void note_choice(struct facts *f, int64_t index, bool is_finished)
{
    if (index < 0 || index >= TG_CHOICES_MAX)
        return;
    if (f->choices_seen <= index)
        f->choices_seen = index + 1;
    if (is_finished)
        f->finished[index / 64] |= UINT64_C(1) << (index % 64);
}

/* return  whether the choice ends here: some servers send "" where others send null */
static bool read_finish_reason(struct facts *f)
{
    struct scanner_value value;

    if (!answer_read_value(&f->s, &value) || value.type != SCANNER_STRING)
        return false;
    f->has_substance = true;
    if (scanner_is(&value, SPAN("error"))) {
        f->is_error = true;
        if (f->error_code.type == SCANNER_NONE)
            f->error_code = value;
    }
    return true;
}

static void read_choice(struct facts *f, int64_t place)
{
    struct scanner_value key;
    int64_t index = place;
    bool is_finished = false;

    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("index")))
            read_index(f, &index);
        else if (scanner_is(&key, SPAN("delta")) || scanner_is(&key, SPAN("message")))
            read_message(f);
        else if (scanner_is(&key, SPAN("finish_reason")))
            is_finished = read_finish_reason(f);
        else if (scanner_is(&key, SPAN("usage")))
            (void)read_usage(f); /* Moonshot */
        else
            read_substance(f);
    }
    note_choice(f, index, is_finished);
}

static void read_choices(struct facts *f)
{
    if (!scanner_enter(&f->s, SCANNER_ARRAY))
        return;
    for (int64_t place = 0; scanner_element(&f->s); place++)
        if (scanner_enter(&f->s, SCANNER_OBJECT))
            read_choice(f, place);
}

/* --- errors -------------------------------------------------------------------------------------
 */

/* `code` where there is one, else `type`. */
static void read_code(struct facts *f, bool is_type)
{
    struct scanner_value value;

    if (!answer_read_value(&f->s, &value) ||
        (value.type != SCANNER_STRING && value.type != SCANNER_NUMBER))
        return;
    if (!is_type || f->error_code.type == SCANNER_NONE)
        f->error_code = value;
}

static void read_error(struct facts *f)
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
            read_code(f, /* is_type= */ false);
        else if (scanner_is(&value, SPAN("type")))
            read_code(f, /* is_type= */ true);
        else
            read_ignored(f);
    }
}

/* In a stream it holds usage, or the error that ends it. */
static void read_x_groq(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("usage")))
            (void)read_usage(f); /* in a plain answer it counts memory, none of it a token count */
        else if (scanner_is(&key, SPAN("error")))
            read_error(f);
        else
            read_ignored(f);
    }
}

/* --- the outermost object -----------------------------------------------------------------------
 */

/* Mistral and older vLLM say so in `object` and put code and type beside it. */
static void read_object(struct facts *f)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value) && value.type == SCANNER_STRING &&
        scanner_is(&value, SPAN("error")))
        f->is_error = true;
}

/* A member that comes in few events. */
static void read_rare_member(struct facts *f, const struct scanner_value *key)
{
    if (scanner_is(key, SPAN("error")))
        read_error(f);
    else if (scanner_is(key, SPAN("x_groq")))
        read_x_groq(f);
    else if (scanner_is(key, SPAN("code")))
        read_code(f, /* is_type= */ false);
    else if (scanner_is(key, SPAN("type")))
        read_code(f, /* is_type= */ true);
    else if (scanner_is(key, SPAN("provider")) || scanner_is(key, SPAN("timings")) ||
             scanner_is(key, SPAN("time_info")))
        read_ignored(f); /* OpenRouter, llama.cpp, Cerebras: say nothing of the text */
    else
        read_substance(f);
}

static void read_member(struct facts *f, const struct scanner_value *key)
{
    if (scanner_is(key, SPAN("id")))
        answer_read_string(&f->s, &f->id);
    else if (scanner_is(key, SPAN("object")))
        read_object(f);
    else if (scanner_is(key, SPAN("created")) || scanner_is(key, SPAN("system_fingerprint")))
        read_ignored(f);
    else if (scanner_is(key, SPAN("model")))
        answer_read_string(&f->s, &f->model);
    else if (scanner_is(key, SPAN("service_tier")))
        answer_read_string(&f->s, &f->tier);
    else if (scanner_is(key, SPAN("choices")))
        read_choices(f);
    else if (scanner_is(key, SPAN("usage")))
        f->is_usage_here = read_usage(f);
    else if (scanner_is(key, SPAN("obfuscation")))
        read_obfuscation(f);
    else
        read_rare_member(f, key);
}

/* return  whether all of `text` is one JSON object; only then the facts hold */
static bool read_facts(struct tg_span text, struct facts *f)
{
    struct scanner_value value;

    *f = (struct facts){ .cost_nusd = USAGE_UNKNOWN, .upstream_nusd = USAGE_UNKNOWN };
    for (int i = 0; i < COUNTS; i++)
        f->counts[i] = USAGE_UNKNOWN;
    scanner_init(&f->s, span_of(text.ptr, text.len));
    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return false;
    while (scanner_member(&f->s, &value))
        read_member(f, &value);
    return scanner_finish(&f->s) == TG_OK;
}

/* --- into the answer ----------------------------------------------------------------------------
 */

static bool brings_text_alone(const struct facts *f)
{
    bool is_finished = false;

    for (int i = 0; i < TG_CHOICES_MAX / 64; i++)
        is_finished = is_finished || f->finished[i] != 0;
    return !is_finished && !f->is_error && !f->is_usage_here && f->usage_end == 0;
}

static int64_t last_count(const struct tg_answer *answer, enum chat_count count)
{
    return answer->wire_counts[count] - 1; /* USAGE_UNKNOWN where there was none */
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct usage_parts parts_of(const struct tg_answer *answer)
{
    const int64_t hit = last_count(answer, COUNT_CACHE_HIT);
    const int64_t miss = last_count(answer, COUNT_CACHE_MISS);
    const int64_t cached =
        larger(last_count(answer, COUNT_CACHED), last_count(answer, COUNT_CACHED_BESIDE));
    struct usage_parts parts = {
        .prompt = last_count(answer, COUNT_PROMPT),
        .completion = last_count(answer, COUNT_COMPLETION),
        .total = last_count(answer, COUNT_TOTAL),
        .cached = larger(larger(cached, last_count(answer, COUNT_CACHED_NUM)), hit),
        .written = last_count(answer, COUNT_CACHE_WRITE),
        .reasoning = last_count(answer, COUNT_REASONING),
        .audio_in = last_count(answer, COUNT_AUDIO_IN),
        .audio_out = last_count(answer, COUNT_AUDIO_OUT),
    };

    if (parts.prompt == USAGE_UNKNOWN && hit != USAGE_UNKNOWN && miss != USAGE_UNKNOWN)
        parts.prompt = hit + miss > TG_COUNT_MAX ? TG_COUNT_MAX : hit + miss;
    return parts;
}

/* A provider that repeats its usage never takes it back: all zero behind real counts is a blank. */
static bool takes_back(const struct facts *f, const struct tg_answer *answer)
{
    return f->counts[COUNT_PROMPT] <= 0 && f->counts[COUNT_COMPLETION] <= 0 &&
           f->counts[COUNT_TOTAL] <= 0 && (answer->flags & TG_ANSWER_HAS_USAGE) != 0 &&
           (answer->usage.prompt_tokens > 0 || tg_usage_output_tokens(&answer->usage) > 0);
}

static void keep_usage(const struct facts *f, const struct tg_kind *kind, struct tg_answer *answer)
{
    struct usage_parts parts;
    bool agrees;

    if (takes_back(f, answer)) {
        answer->flags |= TG_ANSWER_DOUBTFUL;
        return;
    }
    for (int i = 0; i < COUNTS; i++)
        if (f->counts[i] != USAGE_UNKNOWN)
            answer->wire_counts[i] = f->counts[i] + 1;
    parts = parts_of(answer);
    agrees = usage_take_apart(&parts, kind->flags, &answer->usage) && !f->is_doubtful;
    answer->flags &= ~(uint32_t)TG_ANSWER_DOUBTFUL; /* the last word replaces the earlier ones */
    answer->flags |= TG_ANSWER_HAS_USAGE | (agrees ? 0u : (uint32_t)TG_ANSWER_DOUBTFUL);
}

static void keep_cost(const struct facts *f, struct tg_answer *answer)
{
    if (f->cost_nusd == USAGE_UNKNOWN)
        return;
    answer->flags |= TG_ANSWER_HAS_COST;
    answer->provider_cost_nusd = f->cost_nusd;
    /* With a key of one's own at the upstream, OpenRouter's `cost` is its fee alone. */
    if (f->is_byok && f->upstream_nusd != USAGE_UNKNOWN)
        answer->provider_cost_nusd += f->upstream_nusd;
}

static void keep_facts(const struct facts *f, const struct tg_kind *kind, struct tg_answer *answer)
{
    answer_keep_text(&answer->response_id, &f->id);
    answer_keep_text(&answer->model, &f->model);
    answer_keep_text(&answer->tier, &f->tier);
    answer->output_bytes += f->output_bytes;
    answer->choices_seen = larger(answer->choices_seen, f->choices_seen);
    for (int i = 0; i < TG_CHOICES_MAX / 64; i++) {
        const uint64_t added = f->finished[i] & ~answer->finished_mask[i];

        answer->finished_mask[i] |= added;
        if (added != 0)
            answer->choices_finished += __builtin_popcountll(added);
    }
    if (f->has_counts)
        keep_usage(f, kind, answer);
    keep_cost(f, answer);
    answer->raw_usage_start = f->usage_start;
    answer->raw_usage_end = f->usage_end;
    if (f->is_error) {
        answer->flags |= TG_ANSWER_IS_ERROR;
        answer_keep_text(&answer->error_code, &f->error_code);
    }
}

void openai_chat_read_answer(struct tg_span body, const struct tg_kind *kind,
                             struct tg_answer *answer)
{
    struct facts f;

    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (!read_facts(body, &f)) {
        answer->flags |= TG_ANSWER_UNREADABLE;
        return;
    }
    keep_facts(&f, kind, answer);
    if (!f.is_error)
        answer->flags |= TG_ANSWER_IS_COMPLETE;
}

/* Whether it is the usage chunk and nothing besides. It has no choices, or, where some servers
 * repeat one with an empty delta, comes when all have ended; before that an empty delta opens a
 * choice. */
static bool is_usage_alone(const struct facts *f, const struct tg_answer *answer)
{
    return f->is_usage_here && !f->has_substance && !f->is_error &&
           (f->choices_seen == 0 || (answer->flags & TG_ANSWER_IS_COMPLETE) != 0);
}

/* Behind the end nothing is passed on before the settlement. */
static enum tg_event_action action_of(const struct tg_answer *answer)
{
    const uint32_t ends = TG_ANSWER_IS_COMPLETE | TG_ANSWER_IS_ERROR;

    return (answer->flags & ends) != 0 ? TG_EVENT_TERMINAL : TG_EVENT_PASS;
}

/* Data that is not JSON: the end mark, an error in plain words, or what only the client
 * understands. */
static enum tg_event_action read_other_data(struct span type, struct span data,
                                            struct tg_answer *answer)
{
    if (span_equal(span_trim(data), SPAN("[DONE]")))
        answer->flags |= TG_ANSWER_IS_COMPLETE;
    else if (span_equal(type, SPAN("error")))
        answer->flags |= TG_ANSWER_IS_ERROR;
    else if (data.len > 0 && (type.len == 0 || span_equal(type, SPAN("message"))))
        answer->flags |= TG_ANSWER_UNREADABLE;
    return action_of(answer);
}

enum tg_event_action openai_chat_read_event(struct tg_span type, struct tg_span data,
                                            const struct tg_request *request,
                                            const struct tg_kind *kind, struct tg_answer *answer)
{
    const struct span type_name = span_of(type.ptr, type.len);
    const bool was_asked_here =
        (kind->flags & TG_KIND_ASKS_USAGE) != 0 && (request->flags & TG_REQUEST_WANTS_USAGE) == 0;
    int64_t text_bytes;
    struct facts f;

    assert(request->choices >= 1 && request->choices <= TG_CHOICES_MAX);
    answer->events++;
    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (type.len == 0 &&
        answer_has_shape(&answer->shape, span_of(data.ptr, data.len), &text_bytes)) {
        answer->output_bytes += text_bytes;
        return action_of(answer);
    }
    if (!read_facts(data, &f))
        return read_other_data(type_name, span_of(data.ptr, data.len), answer);
    f.is_error = f.is_error || span_equal(type_name, SPAN("error"));
    keep_facts(&f, kind, answer);
    answer->shape.holes = 0;
    if (brings_text_alone(&f))
        answer_keep_shape(&f.holes, span_of(data.ptr, data.len), &answer->shape);
    if (answer->choices_finished >= request->choices)
        answer->flags |= TG_ANSWER_IS_COMPLETE;
    if (was_asked_here && is_usage_alone(&f, answer))
        return TG_EVENT_DROP;
    return action_of(answer);
}
