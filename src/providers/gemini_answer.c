#include "providers/gemini_answer.h"

#include "providers/answer_reader.h"
#include "providers/usage.h"

#include <assert.h>

/* Counts as they stand on the wire. */
enum gemini_count {
    COUNT_PROMPT,
    COUNT_CACHED,
    COUNT_CANDIDATES,
    COUNT_THOUGHTS,
    COUNT_TOOL_USE,
    COUNT_TOTAL,
    COUNT_PROMPT_AUDIO,
    COUNT_PROMPT_IMAGE,
    COUNT_PROMPT_VIDEO,
    COUNT_TOOL_AUDIO,
    COUNT_CACHED_AUDIO,
    COUNT_OUTPUT_AUDIO,
    COUNT_OUTPUT_IMAGE,
    COUNT_OUTPUT_VIDEO,
    COUNT_SEARCHES,
    COUNTS,
    COUNT_NONE = COUNTS
};
_Static_assert(COUNTS <= TG_WIRE_COUNTS_MAX, "a dialect's counts fit into an answer");

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const struct answer_count usage_names[] = {
    { SPAN("promptTokenCount"), COUNT_PROMPT },
    { SPAN("candidatesTokenCount"), COUNT_CANDIDATES },
    { SPAN("totalTokenCount"), COUNT_TOTAL },
    { SPAN("thoughtsTokenCount"), COUNT_THOUGHTS },
    { SPAN("cachedContentTokenCount"), COUNT_CACHED },
    { SPAN("toolUsePromptTokenCount"), COUNT_TOOL_USE },
};

/* A list of counts by modality, and where those are kept that may have a price of their own. */
struct details {
    struct span name;
    enum gemini_count audio, image, video;
};

static const struct details usage_details[] = {
    { SPAN("promptTokensDetails"), COUNT_PROMPT_AUDIO, COUNT_PROMPT_IMAGE, COUNT_PROMPT_VIDEO },
    { SPAN("promptTokenDetails"), COUNT_PROMPT_AUDIO, COUNT_PROMPT_IMAGE,
      COUNT_PROMPT_VIDEO }, /* of embeddings */
    { SPAN("candidatesTokensDetails"), COUNT_OUTPUT_AUDIO, COUNT_OUTPUT_IMAGE, COUNT_OUTPUT_VIDEO },
    { SPAN("cacheTokensDetails"), COUNT_CACHED_AUDIO, COUNT_NONE, COUNT_NONE },
    { SPAN("toolUsePromptTokensDetails"), COUNT_TOOL_AUDIO, COUNT_NONE, COUNT_NONE },
};

/* What one event or body says; goes into the answer when all of it has proved to be JSON. */
struct facts {
    struct scanner s;
    struct scanner_value id, model, tier; /* strings, where there */
    struct scanner_value error_code;      /* string or number */
    bool is_error;
    bool is_blocked;
    bool has_counts;
    bool is_doubtful;
    int64_t counts[COUNTS];
    size_t usage_start, usage_end;
    int64_t output_bytes;
    int64_t choices_seen;
    uint64_t finished[TG_CHOICES_MAX / 64];
};

static void read_ignored(struct facts *f)
{
    (void)scanner_skip(&f->s); /* a fault sticks */
}

/* --- usage --------------------------------------------------------------------------------------
 */

static void read_count(struct facts *f, int64_t *count)
{
    struct scanner_value value;

    (void)answer_read_value(&f->s, &value); /* one that says nothing is judged below */
    if (value.type != SCANNER_NONE)
        usage_read_count(&value, count, &f->is_doubtful);
}

static enum gemini_count place_of(const struct details *details,
                                  const struct scanner_value *modality)
{
    if (modality->type != SCANNER_STRING)
        return COUNT_NONE;
    if (scanner_is(modality, SPAN("AUDIO")))
        return details->audio;
    if (scanner_is(modality, SPAN("IMAGE")))
        return details->image;
    if (scanner_is(modality, SPAN("VIDEO")))
        return details->video;
    return COUNT_NONE;
}

/* One modality: the element that is open. */
static void read_detail(struct facts *f, const struct details *details)
{
    struct scanner_value modality = { .type = SCANNER_NONE };
    struct scanner_value key;
    enum gemini_count place;
    int64_t tokens = 0; /* where none are said */

    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("modality")))
            answer_read_string(&f->s, &modality);
        else if (scanner_is(&key, SPAN("tokenCount")))
            read_count(f, &tokens);
        else
            read_ignored(f);
    }
    place = place_of(details, &modality);
    if (place == COUNT_NONE)
        return;
    f->counts[place] += tokens;
    if (f->counts[place] > TG_COUNT_MAX) {
        f->counts[place] = TG_COUNT_MAX;
        f->is_doubtful = true;
    }
}

static void read_details(struct facts *f, const struct details *details)
{
    const enum gemini_count kept[] = { details->audio, details->image, details->video };

    if (!scanner_enter(&f->s, SCANNER_ARRAY))
        return;
    for (size_t i = 0; i < LENGTH(kept); i++)
        if (kept[i] != COUNT_NONE)
            f->counts[kept[i]] = 0;
    while (scanner_element(&f->s))
        if (scanner_enter(&f->s, SCANNER_OBJECT))
            read_detail(f, details);
}

/* Vertex says what traffic a call was, of which two kinds are tiers with prices of their own. */
static void read_traffic(struct facts *f)
{
    static const struct scanner_value priority = { .type = SCANNER_STRING,
                                                   .text = SPAN("priority") };
    static const struct scanner_value flex = { .type = SCANNER_STRING, .text = SPAN("flex") };
    struct scanner_value traffic = { .type = SCANNER_NONE };

    answer_read_string(&f->s, &traffic);
    if (traffic.type == SCANNER_NONE)
        return;
    if (scanner_is(&traffic, SPAN("ON_DEMAND_PRIORITY")))
        f->tier = priority;
    else if (scanner_is(&traffic, SPAN("ON_DEMAND_FLEX")))
        f->tier = flex;
}

/* A member of usageMetadata that is no plain count. */
static void read_usage_extra(struct facts *f, const struct scanner_value *key)
{
    for (size_t i = 0; i < LENGTH(usage_details); i++) {
        if (scanner_is(key, usage_details[i].name)) {
            read_details(f, &usage_details[i]);
            return;
        }
    }
    if (scanner_is(key, SPAN("serviceTier")))
        answer_read_string(&f->s, &f->tier);
    else if (scanner_is(key, SPAN("trafficType")))
        read_traffic(f);
    else
        read_ignored(f);
}

static void read_usage(struct facts *f)
{
    struct scanner_value key;
    size_t start;
    int number;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    start = scanner_offset(&f->s) - 1;
    while (scanner_member(&f->s, &key)) {
        if (answer_find_count(&key, usage_names, LENGTH(usage_names), &number))
            read_count(f, &f->counts[number]);
        else
            read_usage_extra(f, &key);
    }
    f->has_counts =
        f->counts[COUNT_PROMPT] != USAGE_UNKNOWN || f->counts[COUNT_CANDIDATES] != USAGE_UNKNOWN ||
        f->counts[COUNT_THOUGHTS] != USAGE_UNKNOWN || f->counts[COUNT_TOTAL] != USAGE_UNKNOWN;
    if (f->has_counts) {
        f->usage_start = start;
        f->usage_end = scanner_offset(&f->s);
    }
}

/* --- candidates ---------------------------------------------------------------------------------
 */

static void read_text(struct facts *f)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value) && value.type == SCANNER_STRING)
        f->output_bytes += (int64_t)scanner_text_bytes(&value);
}

/* A function's arguments: an object, all of which the model wrote. */
static void read_arguments(struct facts *f)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value))
        f->output_bytes += f->s.at - value.text.ptr;
}

/* A function call, or code with what came of it. */
static void read_named_texts(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("args")))
            read_arguments(f);
        else if (scanner_is(&key, SPAN("name")) || scanner_is(&key, SPAN("code")) ||
                 scanner_is(&key, SPAN("output")))
            read_text(f);
        else
            read_ignored(f);
    }
}

static void read_part(struct facts *f)
{
    struct scanner_value key;

    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("text")))
            read_text(f);
        else if (scanner_is(&key, SPAN("functionCall")) ||
                 scanner_is(&key, SPAN("executableCode")) ||
                 scanner_is(&key, SPAN("codeExecutionResult")))
            read_named_texts(f);
        else
            read_ignored(f);
    }
}

static void read_content(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (!scanner_is(&key, SPAN("parts"))) {
            read_ignored(f);
            continue;
        }
        if (!scanner_enter(&f->s, SCANNER_ARRAY))
            continue;
        while (scanner_element(&f->s))
            if (scanner_enter(&f->s, SCANNER_OBJECT))
                read_part(f);
    }
}

static void count_searches(struct facts *f)
{
    struct scanner_value ignored;
    int64_t *const searches = &f->counts[COUNT_SEARCHES];

    if (!scanner_enter(&f->s, SCANNER_ARRAY))
        return;
    if (*searches == USAGE_UNKNOWN)
        *searches = 0;
    while (scanner_element(&f->s))
        if (answer_read_value(&f->s, &ignored) && *searches < TG_COUNT_MAX)
            (*searches)++;
}

static void read_grounding(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("webSearchQueries")))
            count_searches(f);
        else
            read_ignored(f);
    }
}

/* return  whether the candidate ends here */
static bool read_finish_reason(struct facts *f)
{
    struct scanner_value value;

    return answer_read_value(&f->s, &value) && value.type == SCANNER_STRING &&
           !scanner_is(&value, SPAN("FINISH_REASON_UNSPECIFIED"));
}

static void read_index(struct facts *f, int64_t *index)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value))
        (void)scanner_int64(&value, index); /* the place in the list stands where it is none */
}

static void note_candidate(struct facts *f, int64_t index, bool is_finished)
{
    if (index < 0 || index >= TG_CHOICES_MAX)
        return;
    if (f->choices_seen <= index)
        f->choices_seen = index + 1;
    if (is_finished)
        f->finished[index / 64] |= UINT64_C(1) << (index % 64);
}

static void read_candidate(struct facts *f, int64_t place)
{
    struct scanner_value key;
    int64_t index = place;
    bool is_finished = false;

    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("content")))
            read_content(f);
        else if (scanner_is(&key, SPAN("finishReason")))
            is_finished = read_finish_reason(f);
        else if (scanner_is(&key, SPAN("index")))
            read_index(f, &index);
        else if (scanner_is(&key, SPAN("groundingMetadata")))
            read_grounding(f);
        else
            read_ignored(f);
    }
    note_candidate(f, index, is_finished);
}

static void read_candidates(struct facts *f)
{
    if (!scanner_enter(&f->s, SCANNER_ARRAY))
        return;
    for (int64_t place = 0; scanner_element(&f->s); place++)
        if (scanner_enter(&f->s, SCANNER_OBJECT))
            read_candidate(f, place);
}

static void read_feedback(struct facts *f)
{
    struct scanner_value key;
    struct scanner_value value;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (!scanner_is(&key, SPAN("blockReason")))
            read_ignored(f);
        else if (answer_read_value(&f->s, &value) && value.type == SCANNER_STRING)
            f->is_blocked = true;
    }
}

/* --- errors -------------------------------------------------------------------------------------
 */

/* `status` where there is one, else `code`. */
static void read_code(struct facts *f, bool is_number)
{
    struct scanner_value value;

    if (!answer_read_value(&f->s, &value) ||
        (value.type != SCANNER_STRING && value.type != SCANNER_NUMBER))
        return;
    if (!is_number || f->error_code.type == SCANNER_NONE)
        f->error_code = value;
}

static void read_error(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    f->is_error = true;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("status")))
            read_code(f, /* is_number= */ false);
        else if (scanner_is(&key, SPAN("code")))
            read_code(f, /* is_number= */ true);
        else
            read_ignored(f);
    }
}

/* --- the outermost object -----------------------------------------------------------------------
 */

static void read_member(struct facts *f, const struct scanner_value *key)
{
    if (scanner_is(key, SPAN("candidates")))
        read_candidates(f);
    else if (scanner_is(key, SPAN("usageMetadata")))
        read_usage(f);
    else if (scanner_is(key, SPAN("modelVersion")))
        answer_read_string(&f->s, &f->model);
    else if (scanner_is(key, SPAN("responseId")))
        answer_read_string(&f->s, &f->id);
    else if (scanner_is(key, SPAN("promptFeedback")))
        read_feedback(f);
    else if (scanner_is(key, SPAN("error")))
        read_error(f);
    else
        read_ignored(f);
}

static void read_members(struct facts *f)
{
    struct scanner_value key;

    while (scanner_member(&f->s, &key))
        read_member(f, &key);
}

/* An error that answers a stream stands in a list.
 *
 * return  whether all of `text` is one JSON object, or a list of them; only then the facts hold */
static bool read_facts(struct tg_span text, struct facts *f)
{
    struct scanner_value root;

    *f = (struct facts){ 0 };
    for (int i = 0; i < COUNTS; i++)
        f->counts[i] = USAGE_UNKNOWN;
    scanner_init(&f->s, span_of(text.ptr, text.len));
    if (!scanner_value(&f->s, &root))
        return false;
    if (root.type == SCANNER_OBJECT) {
        read_members(f);
    } else if (root.type == SCANNER_ARRAY) {
        while (scanner_element(&f->s))
            if (scanner_enter(&f->s, SCANNER_OBJECT))
                read_members(f);
    } else {
        return false;
    }
    return scanner_finish(&f->s) == TG_OK;
}

/* --- disjoint classes ---------------------------------------------------------------------------
 */

static int64_t last_count(const struct tg_answer *answer, enum gemini_count count)
{
    return answer->wire_counts[count] - 1; /* USAGE_UNKNOWN where there was none */
}

/* A count that was never sent is 0: Google leaves out what is. */
static int64_t known_count(const struct tg_answer *answer, enum gemini_count count)
{
    const int64_t last = last_count(answer, count);

    return last == USAGE_UNKNOWN ? 0 : last;
}

static int64_t at_most(int64_t count, int64_t max, bool *agrees)
{
    if (count <= max)
        return count;
    *agrees = false;
    return max;
}

/* Take `count` of one class out of what is left for all. */
static void take_class(struct tg_usage *usage, enum tg_class class, int64_t count, int64_t *left,
                       bool *agrees)
{
    usage->count[class] = at_most(count, *left < TG_COUNT_MAX ? *left : TG_COUNT_MAX, agrees);
    *left -= usage->count[class];
}

/* What came out, where all that went in is `input`. Where the total contradicts the parts, it is
 * what the total leaves, but never less than the parts. */
static int64_t output_of(const struct tg_answer *answer, int64_t input, bool *agrees)
{
    const int64_t candidates = last_count(answer, COUNT_CANDIDATES);
    const int64_t total = last_count(answer, COUNT_TOTAL);
    const int64_t parts =
        known_count(answer, COUNT_CANDIDATES) + known_count(answer, COUNT_THOUGHTS);
    const int64_t left = total - input;

    if (total == USAGE_UNKNOWN || left == parts)
        return parts;
    if (candidates != USAGE_UNKNOWN || left < parts)
        *agrees = false;
    return left > parts ? left : parts;
}

static void take_output(const struct tg_answer *answer, int64_t output, struct tg_usage *usage,
                        bool *agrees)
{
    take_class(usage, TG_OUTPUT_IMAGE, known_count(answer, COUNT_OUTPUT_IMAGE), &output, agrees);
    take_class(usage, TG_OUTPUT_AUDIO, known_count(answer, COUNT_OUTPUT_AUDIO), &output, agrees);
    take_class(usage, TG_OUTPUT_VIDEO, known_count(answer, COUNT_OUTPUT_VIDEO), &output, agrees);
    take_class(usage, TG_OUTPUT, output, &output, agrees);
    usage->reasoning_tokens =
        at_most(known_count(answer, COUNT_THOUGHTS), usage->count[TG_OUTPUT], agrees);
}

/* Input that is not cached, what tools found among it. */
static void take_input(const struct tg_answer *answer, int64_t input, bool is_embedding,
                       struct tg_usage *usage, bool *agrees)
{
    int64_t audio = known_count(answer, COUNT_PROMPT_AUDIO) +
                    known_count(answer, COUNT_TOOL_AUDIO) - usage->count[TG_CACHE_READ_AUDIO];

    if (audio < 0) {
        *agrees = false;
        audio = 0;
    }
    take_class(usage, TG_INPUT_AUDIO, audio, &input, agrees);
    if (is_embedding) {
        take_class(usage, TG_INPUT_IMAGE, known_count(answer, COUNT_PROMPT_IMAGE), &input, agrees);
        take_class(usage, TG_INPUT_VIDEO, known_count(answer, COUNT_PROMPT_VIDEO), &input, agrees);
    }
    take_class(usage, TG_INPUT, input, &input, agrees);
}

static int64_t prompt_of(const struct tg_answer *answer, bool *agrees)
{
    const int64_t prompt = last_count(answer, COUNT_PROMPT);
    const int64_t rest = last_count(answer, COUNT_TOTAL) - known_count(answer, COUNT_CANDIDATES) -
                         known_count(answer, COUNT_THOUGHTS) - known_count(answer, COUNT_TOOL_USE);

    if (prompt != USAGE_UNKNOWN)
        return prompt;
    if (rest >= 0)
        return rest;
    *agrees = false;
    return 0;
}

/* Google bills each query, for the models before Gemini 3 each prompt that made any. */
static int64_t searches_of(const struct tg_answer *answer)
{
    struct span model = span_of(answer->model.text, answer->model.len);
    const int64_t searches = known_count(answer, COUNT_SEARCHES);

    if (span_starts_with(model, SPAN("models/")))
        model = span_from_offset(model, strlen("models/"));
    if (span_starts_with(model, SPAN("gemini-1")) || span_starts_with(model, SPAN("gemini-2")))
        return searches > 0 ? 1 : 0;
    return searches;
}

/* return  whether the counts agree with each other */
static bool take_apart(const struct tg_answer *answer, bool is_embedding,
                       struct tg_usage *ret_usage)
{
    struct tg_usage usage = { 0 };
    bool agrees = true;
    const int64_t tools = known_count(answer, COUNT_TOOL_USE);
    int64_t prompt = prompt_of(answer, &agrees);
    int64_t cached = known_count(answer, COUNT_CACHED);

    if (cached > prompt) { /* cannot be part of it */
        agrees = false;
        prompt += cached;
    }
    usage.prompt_tokens = at_most(prompt, TG_COUNT_MAX, &agrees);
    usage.count[TG_WEB_SEARCH] = searches_of(answer);
    if (!is_embedding)
        take_output(answer, output_of(answer, prompt + tools, &agrees), &usage, &agrees);
    prompt -= cached;
    take_class(&usage, TG_CACHE_READ_AUDIO, known_count(answer, COUNT_CACHED_AUDIO), &cached,
               &agrees);
    take_class(&usage, TG_CACHE_READ, cached, &cached, &agrees);
    take_input(answer, prompt + tools, is_embedding, &usage, &agrees);
    *ret_usage = usage;
    return agrees;
}

/* --- into the answer ----------------------------------------------------------------------------
 */

/* A provider that repeats its usage never takes it back: all zero behind real counts is a blank. */
static bool takes_back(const struct facts *f, const struct tg_answer *answer)
{
    return f->counts[COUNT_PROMPT] <= 0 && f->counts[COUNT_CANDIDATES] <= 0 &&
           f->counts[COUNT_THOUGHTS] <= 0 && f->counts[COUNT_TOTAL] <= 0 &&
           (answer->flags & TG_ANSWER_HAS_USAGE) != 0 &&
           (answer->usage.prompt_tokens > 0 || tg_usage_output_tokens(&answer->usage) > 0);
}

static void keep_counts(const struct facts *f, struct tg_answer *answer)
{
    for (int i = 0; i < COUNT_SEARCHES; i++)
        if (f->counts[i] != USAGE_UNKNOWN)
            answer->wire_counts[i] = f->counts[i] + 1;
}

static void keep_usage(const struct facts *f, bool is_embedding, struct tg_answer *answer)
{
    bool agrees;

    /* What was searched is told once or again with more, never with less. */
    if (answer->wire_counts[COUNT_SEARCHES] < f->counts[COUNT_SEARCHES] + 1)
        answer->wire_counts[COUNT_SEARCHES] = f->counts[COUNT_SEARCHES] + 1;
    if (!f->has_counts) {
        if ((answer->flags & TG_ANSWER_HAS_USAGE) != 0)
            answer->usage.count[TG_WEB_SEARCH] = searches_of(answer);
        return;
    }
    if (takes_back(f, answer)) {
        answer->flags |= TG_ANSWER_DOUBTFUL;
        return;
    }
    keep_counts(f, answer);
    agrees = take_apart(answer, is_embedding, &answer->usage) && !f->is_doubtful;
    answer->flags &= ~(uint32_t)TG_ANSWER_DOUBTFUL; /* the last word replaces the earlier ones */
    answer->flags |= TG_ANSWER_HAS_USAGE | (agrees ? 0u : (uint32_t)TG_ANSWER_DOUBTFUL);
}

static void keep_facts(const struct facts *f, bool is_embedding, struct tg_answer *answer)
{
    answer_keep_text(&answer->response_id, &f->id);
    answer_keep_text(&answer->model, &f->model);
    answer_keep_text(&answer->tier, &f->tier);
    answer->output_bytes += f->output_bytes;
    if (answer->choices_seen < f->choices_seen)
        answer->choices_seen = f->choices_seen;
    for (int i = 0; i < TG_CHOICES_MAX / 64; i++) {
        const uint64_t added = f->finished[i] & ~answer->finished_mask[i];

        answer->finished_mask[i] |= added;
        answer->choices_finished += __builtin_popcountll(added);
    }
    keep_usage(f, is_embedding, answer);
    answer->raw_usage_start = f->usage_start;
    answer->raw_usage_end = f->usage_end;
    if (f->is_error) {
        answer->flags |= TG_ANSWER_IS_ERROR;
        answer_keep_text(&answer->error_code, &f->error_code);
    }
}

static void read_whole(struct tg_span body, bool is_embedding, struct tg_answer *answer)
{
    struct facts f;

    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (!read_facts(body, &f)) {
        answer->flags |= TG_ANSWER_UNREADABLE;
        return;
    }
    keep_facts(&f, is_embedding, answer);
    if (!f.is_error)
        answer->flags |= TG_ANSWER_IS_COMPLETE;
}

void gemini_read_answer(struct tg_span body, const struct tg_kind *kind, struct tg_answer *answer)
{
    (void)kind; /* says nothing of this dialect */
    read_whole(body, /* is_embedding= */ false, answer);
}

void gemini_read_embedding(struct tg_span body, const struct tg_kind *kind,
                           struct tg_answer *answer)
{
    (void)kind; /* as above */
    read_whole(body, /* is_embedding= */ true, answer);
}

/* Data that is not JSON: an error in plain words, or what only the client understands. */
static void note_other_data(struct span type, struct span data, struct tg_answer *answer)
{
    if (span_equal(type, SPAN("error")))
        answer->flags |= TG_ANSWER_IS_ERROR;
    else if (data.len > 0)
        answer->flags |= TG_ANSWER_UNREADABLE;
}

enum tg_event_action gemini_read_event(struct tg_span type, struct tg_span data,
                                       const struct tg_request *request, const struct tg_kind *kind,
                                       struct tg_answer *answer)
{
    const struct span type_name = span_of(type.ptr, type.len);
    const uint32_t ends = TG_ANSWER_IS_COMPLETE | TG_ANSWER_IS_ERROR;
    struct facts f;

    (void)kind; /* as above */
    assert(request->choices >= 1 && request->choices <= TG_CHOICES_MAX);
    answer->events++;
    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (read_facts(data, &f)) {
        f.is_error = f.is_error || span_equal(type_name, SPAN("error"));
        keep_facts(&f, /* is_embedding= */ false, answer);
        if (answer->choices_finished >= request->choices || f.is_blocked)
            answer->flags |= TG_ANSWER_IS_COMPLETE;
    } else {
        note_other_data(type_name, span_of(data.ptr, data.len), answer);
    }
    /* Behind the end nothing is passed on before the settlement. */
    return (answer->flags & ends) != 0 ? TG_EVENT_TERMINAL : TG_EVENT_PASS;
}
