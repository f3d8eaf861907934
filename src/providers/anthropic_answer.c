#include "providers/anthropic_answer.h"

#include "providers/answer_reader.h"
#include "providers/usage.h"

#include <assert.h>

/* Counts as they stand on the wire. */
enum count {
    COUNT_INPUT,
    COUNT_OUTPUT,
    COUNT_CACHE_READ,
    COUNT_CACHE_WRITE, /* all of it */
    COUNT_WRITE_5M,
    COUNT_WRITE_1H,
    COUNT_THINKING,
    COUNT_WEB_SEARCH,
    COUNT_CODE_SESSION,
    COUNTS,
    /* Not a count: output_bytes when the output was told last, by other than message_start. */
    BYTES_WHEN_TOLD = COUNTS
};
_Static_assert(BYTES_WHEN_TOLD < TG_WIRE_COUNTS_MAX, "a dialect's counts fit into an answer");

static const struct answer_count usage_names[] = {
    { SPAN("input_tokens"), COUNT_INPUT },
    { SPAN("output_tokens"), COUNT_OUTPUT },
    { SPAN("cache_read_input_tokens"), COUNT_CACHE_READ },
    { SPAN("cache_creation_input_tokens"), COUNT_CACHE_WRITE },
};

static const struct answer_count creation_names[] = {
    { SPAN("ephemeral_5m_input_tokens"), COUNT_WRITE_5M },
    { SPAN("ephemeral_1h_input_tokens"), COUNT_WRITE_1H },
};

static const struct answer_count detail_names[] = {
    { SPAN("thinking_tokens"), COUNT_THINKING },
};

/* Fetches are free. */
static const struct answer_count server_tool_names[] = {
    { SPAN("web_search_requests"), COUNT_WEB_SEARCH },
    { SPAN("code_execution_requests"), COUNT_CODE_SESSION },
};
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Iterations of one usage record, as far as they are told apart. */
struct iterations {
    struct tg_iteration part[TG_ITERATIONS_MAX];
    int count;
};

/* What one event or body says; goes into the answer when all of it has proved to be JSON. */
struct facts {
    struct scanner s;
    struct scanner_value type, id, model, tier, region, speed; /* strings, where there */
    struct scanner_value error_type, error_code;
    struct scanner_value fallback_model;
    struct iterations *iterations;
    bool is_error;
    bool has_stopped;
    bool is_start; /* the usage record is of a message that has just begun */
    bool is_doubtful;
    bool has_fallback;
    int64_t counts[COUNTS];
    size_t usage_start, usage_end;
    int64_t output_bytes;
    struct answer_holes holes;
};

static void read_ignored(struct facts *f)
{
    struct scanner_value ignored;

    (void)answer_read_value(&f->s, &ignored); /* a fault sticks */
}

/* --- text ---------------------------------------------------------------------------------------
 */

static void read_text(struct facts *f)
{
    struct scanner_value value;

    (void)answer_read_value(&f->s, &value); /* a fault sticks */
    if (value.type != SCANNER_STRING)
        return;
    answer_note_text(&f->holes, &value);
    f->output_bytes += (int64_t)scanner_text_bytes(&value);
}

/* What a tool is called with: an object that the model has written. */
static void read_input(struct facts *f)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value))
        f->output_bytes += f->s.at - value.text.ptr;
}

static void read_stop_reason(struct facts *f)
{
    struct scanner_value value;

    if (answer_read_value(&f->s, &value) && value.type == SCANNER_STRING)
        f->has_stopped = true;
}

static bool is_text(const struct scanner_value *key)
{
    return scanner_is(key, SPAN("text")) || scanner_is(key, SPAN("thinking")) ||
           scanner_is(key, SPAN("partial_json")) || scanner_is(key, SPAN("name")) ||
           scanner_is(key, SPAN("data"));
}

/* A content block, or what is added to one. The content of a server's tool is no output. */
static void read_block(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (is_text(&key) || scanner_is(&key, SPAN("content")))
            read_text(f);
        else if (scanner_is(&key, SPAN("input")))
            read_input(f);
        else if (scanner_is(&key, SPAN("stop_reason")))
            read_stop_reason(f);
        else
            read_ignored(f);
    }
}

static void read_blocks(struct facts *f)
{
    if (!scanner_enter(&f->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&f->s))
        read_block(f);
}

/* --- usage --------------------------------------------------------------------------------------
 */

static int64_t known(int64_t count)
{
    return count == USAGE_UNKNOWN ? 0 : count;
}

static int64_t at_most(int64_t count, int64_t max, bool *agrees)
{
    if (count <= max)
        return count;
    *agrees = false;
    return max;
}

/* Disjoint classes, none negative or above TG_COUNT_MAX. The cache writes of an hour are part of
 * all of them; where the parts exceed the whole they are taken for it.
 *
 * return  whether the counts agree with each other */
static bool take_apart(const int64_t counts[COUNTS], struct tg_usage *ret_usage)
{
    const int64_t split = known(counts[COUNT_WRITE_5M]) + known(counts[COUNT_WRITE_1H]);
    struct tg_usage usage = { 0 };
    int64_t written = known(counts[COUNT_CACHE_WRITE]);
    bool agrees = counts[COUNT_INPUT] != USAGE_UNKNOWN && counts[COUNT_OUTPUT] != USAGE_UNKNOWN;

    if (split > written) {
        agrees = agrees && counts[COUNT_CACHE_WRITE] == USAGE_UNKNOWN;
        written = split;
    }
    usage.count[TG_INPUT] = known(counts[COUNT_INPUT]);
    usage.count[TG_CACHE_READ] = known(counts[COUNT_CACHE_READ]);
    usage.count[TG_CACHE_WRITE_1H] = known(counts[COUNT_WRITE_1H]);
    usage.count[TG_CACHE_WRITE] = written - usage.count[TG_CACHE_WRITE_1H];
    usage.count[TG_OUTPUT] = known(counts[COUNT_OUTPUT]);
    usage.count[TG_WEB_SEARCH] = known(counts[COUNT_WEB_SEARCH]);
    usage.count[TG_CODE_SESSION] = known(counts[COUNT_CODE_SESSION]);
    usage.reasoning_tokens =
        at_most(known(counts[COUNT_THINKING]), usage.count[TG_OUTPUT], &agrees);
    usage.prompt_tokens = at_most(usage.count[TG_INPUT] + usage.count[TG_CACHE_READ] + written,
                                  TG_COUNT_MAX, &agrees);
    *ret_usage = usage;
    return agrees;
}

static void read_count(struct facts *f, int64_t *count)
{
    struct scanner_value value;

    (void)answer_read_value(&f->s, &value); /* one that says nothing is judged below */
    if (value.type != SCANNER_NONE)
        usage_read_count(&value, count, &f->is_doubtful);
}

static void read_counts(struct facts *f, const struct answer_count *names, size_t length,
                        int64_t counts[COUNTS])
{
    struct scanner_value key;
    int number;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (answer_find_count(&key, names, length, &number))
            read_count(f, &counts[number]);
        else
            read_ignored(f);
    }
}

/* A member that counts, of a usage record or of an iteration.
 *
 * return  false: it is no such member, and was not read */
static bool read_counting_member(struct facts *f, const struct scanner_value *key,
                                 int64_t counts[COUNTS])
{
    int number;

    if (answer_find_count(key, usage_names, LENGTH(usage_names), &number))
        read_count(f, &counts[number]);
    else if (scanner_is(key, SPAN("cache_creation")))
        read_counts(f, creation_names, LENGTH(creation_names), counts);
    else if (scanner_is(key, SPAN("output_tokens_details")))
        read_counts(f, detail_names, LENGTH(detail_names), counts);
    else
        return false;
    return true;
}

static void forget_counts(int64_t counts[COUNTS])
{
    for (int i = 0; i < COUNTS; i++)
        counts[i] = USAGE_UNKNOWN;
}

/* --- iterations ---------------------------------------------------------------------------------
 */

/* return  whether all fit */
static bool add_usage(struct tg_usage *sum, const struct tg_usage *usage)
{
    bool fits = true;

    for (int class = 0; class < TG_CLASS_COUNT; class ++)
        sum->count[class] = at_most(sum->count[class] + usage->count[class], TG_COUNT_MAX, &fits);
    sum->reasoning_tokens =
        at_most(sum->reasoning_tokens + usage->reasoning_tokens, TG_COUNT_MAX, &fits);
    if (usage->prompt_tokens > sum->prompt_tokens)
        sum->prompt_tokens = usage->prompt_tokens;
    return fits;
}

static bool has_model_of(const struct tg_iteration *a, const struct tg_iteration *b)
{
    return span_equal(span_of(a->model.text, a->model.len), span_of(b->model.text, b->model.len));
}

/* How far apart the prices of two iterations may be: the prompts' difference, where one model made
 * both. */
static int64_t distance(const struct tg_iteration *a, const struct tg_iteration *b)
{
    const int64_t apart = a->usage.prompt_tokens - b->usage.prompt_tokens;

    if (!has_model_of(a, b))
        return INT64_MAX;
    return apart < 0 ? -apart : apart;
}

/* Make room for one more: join the two that are nearest to each other. */
static void join_nearest(struct iterations *list, bool *doubtful)
{
    int first = 0;
    int second = 1;

    for (int i = 0; i < list->count; i++) {
        for (int j = i + 1; j < list->count; j++) {
            if (distance(&list->part[i], &list->part[j]) <
                distance(&list->part[first], &list->part[second])) {
                first = i;
                second = j;
            }
        }
    }
    if (distance(&list->part[first], &list->part[second]) != 0)
        *doubtful = true;
    if (!add_usage(&list->part[first].usage, &list->part[second].usage))
        *doubtful = true;
    list->part[second] = list->part[--list->count];
}

static void add_iteration(struct facts *f, const int64_t counts[COUNTS],
                          const struct scanner_value *model)
{
    struct iterations *const list = f->iterations;
    struct tg_iteration *part;

    if (list->count == TG_ITERATIONS_MAX)
        join_nearest(list, &f->is_doubtful);
    part = &list->part[list->count++];
    *part = (struct tg_iteration){ 0 };
    if (!take_apart(counts, &part->usage))
        f->is_doubtful = true;
    answer_keep_text(&part->model, model);
}

static void read_iteration(struct facts *f)
{
    struct scanner_value key;
    struct scanner_value type = { 0 };
    struct scanner_value model = { 0 };
    int64_t counts[COUNTS];

    forget_counts(counts);
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("type")))
            answer_read_string(&f->s, &type);
        else if (scanner_is(&key, SPAN("model")))
            answer_read_string(&f->s, &model);
        else if (!read_counting_member(f, &key, counts))
            read_ignored(f);
    }
    if (type.type != SCANNER_NONE && scanner_is(&type, SPAN("fallback_message"))) {
        f->has_fallback = true;
        f->fallback_model = model;
    }
    add_iteration(f, counts, &model);
}

static void read_iterations(struct facts *f)
{
    if (!scanner_enter(&f->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&f->s))
        if (scanner_enter(&f->s, SCANNER_OBJECT))
            read_iteration(f);
}

static void read_credit_status(struct facts *f)
{
    struct scanner_value key;
    struct scanner_value type = { 0 };

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("type")))
            answer_read_string(&f->s, &type);
        else
            read_ignored(f);
    }
    if (type.type != SCANNER_NONE && scanner_is(&type, SPAN("redeemed")))
        f->is_doubtful = true;
}

/* A credit that is redeemed: the provider has priced this call in a way that no count tells. */
static void read_credit(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("status")))
            read_credit_status(f);
        else
            read_ignored(f);
    }
}

static void read_usage(struct facts *f)
{
    struct scanner_value key;
    size_t start;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    start = scanner_offset(&f->s) - 1;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("service_tier")))
            answer_read_string(&f->s, &f->tier);
        else if (scanner_is(&key, SPAN("inference_geo")))
            answer_read_string(&f->s, &f->region);
        else if (scanner_is(&key, SPAN("speed")))
            answer_read_string(&f->s, &f->speed);
        else if (scanner_is(&key, SPAN("server_tool_use")))
            read_counts(f, server_tool_names, LENGTH(server_tool_names), f->counts);
        else if (scanner_is(&key, SPAN("iterations")))
            read_iterations(f);
        else if (scanner_is(&key, SPAN("fallback_credit")))
            read_credit(f);
        else if (!read_counting_member(f, &key, f->counts))
            read_ignored(f);
    }
    f->usage_start = start;
    f->usage_end = scanner_offset(&f->s);
}

/* --- the outermost object -----------------------------------------------------------------------
 */

/* The message that a stream begins with. */
static void read_message(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    f->is_start = true;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("id")))
            answer_read_string(&f->s, &f->id);
        else if (scanner_is(&key, SPAN("model")))
            answer_read_string(&f->s, &f->model);
        else if (scanner_is(&key, SPAN("usage")))
            read_usage(f);
        else if (scanner_is(&key, SPAN("content")))
            read_blocks(f);
        else
            read_ignored(f);
    }
}

static void read_error_details(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("error_code")))
            answer_read_string(&f->s, &f->error_code);
        else
            read_ignored(f);
    }
}

static void read_error(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return;
    f->is_error = true;
    while (scanner_member(&f->s, &key)) {
        if (scanner_is(&key, SPAN("type")))
            answer_read_string(&f->s, &f->error_type);
        else if (scanner_is(&key, SPAN("details")))
            read_error_details(f);
        else
            read_ignored(f);
    }
}

/* A member of a whole message, which few events have. */
static void read_rare_member(struct facts *f, const struct scanner_value *key)
{
    if (scanner_is(key, SPAN("id")))
        answer_read_string(&f->s, &f->id);
    else if (scanner_is(key, SPAN("model")))
        answer_read_string(&f->s, &f->model);
    else if (scanner_is(key, SPAN("content")))
        read_blocks(f);
    else if (scanner_is(key, SPAN("error")))
        read_error(f);
    else
        read_ignored(f);
}

static void read_member(struct facts *f, const struct scanner_value *key)
{
    if (scanner_is(key, SPAN("type")))
        answer_read_string(&f->s, &f->type);
    else if (scanner_is(key, SPAN("delta")) || scanner_is(key, SPAN("content_block")))
        read_block(f);
    else if (scanner_is(key, SPAN("usage")))
        read_usage(f);
    else if (scanner_is(key, SPAN("message")))
        read_message(f);
    else
        read_rare_member(f, key);
}

static bool is_of_type(const struct facts *f, struct span type)
{
    return f->type.type != SCANNER_NONE && scanner_is(&f->type, type);
}

/* return  whether all of `text` is one JSON object; only then the facts hold */
static bool read_facts(struct tg_span text, struct iterations *iterations, struct facts *f)
{
    struct scanner_value value;

    iterations->count = 0;
    *f = (struct facts){ .iterations = iterations };
    forget_counts(f->counts);
    scanner_init(&f->s, span_of(text.ptr, text.len));
    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return false;
    while (scanner_member(&f->s, &value))
        read_member(f, &value);
    f->is_error = f->is_error || is_of_type(f, SPAN("error"));
    f->has_stopped = f->has_stopped || is_of_type(f, SPAN("message_stop"));
    return scanner_finish(&f->s) == TG_OK;
}

/* --- into the answer ----------------------------------------------------------------------------
 */

static void replace_text(struct tg_short_text *text, const struct scanner_value *value)
{
    if (value->type == SCANNER_NONE)
        return;
    text->len = 0;
    answer_keep_text(text, value);
}

/* A name that makes no difference to the price is left out. */
static void leave_out(struct tg_short_text *text, struct span plain)
{
    if (span_equal(span_of(text->text, text->len), plain))
        text->len = 0;
}

static int64_t last_count(const struct tg_answer *answer, enum count count)
{
    return answer->wire_counts[count] - 1; /* USAGE_UNKNOWN where there was none */
}

/* What is known of a side, before or with a new record. */
static int64_t input_side(const struct facts *f, const struct tg_answer *answer)
{
    static const enum count sides[] = { COUNT_INPUT, COUNT_CACHE_READ, COUNT_CACHE_WRITE,
                                        COUNT_WRITE_5M, COUNT_WRITE_1H };
    int64_t sum = 0;

    for (size_t i = 0; i < LENGTH(sides); i++) {
        const bool is_told = f != NULL && f->counts[sides[i]] != USAGE_UNKNOWN;

        sum += known(is_told ? f->counts[sides[i]] : last_count(answer, sides[i]));
    }
    return sum;
}

/* Take over a record's counts, field by field. A provider that repeats its usage never takes it
 * back: zeros behind real counts are blanks. */
static void merge_counts(struct facts *f, struct tg_answer *answer)
{
    const bool takes_input_back = input_side(NULL, answer) > 0 && input_side(f, answer) == 0;
    const bool takes_output_back =
        f->counts[COUNT_OUTPUT] == 0 && last_count(answer, COUNT_OUTPUT) > 0;

    f->is_doubtful = f->is_doubtful || takes_input_back || takes_output_back;
    for (int i = 0; i < COUNTS; i++) {
        const bool is_output = i == COUNT_OUTPUT || i == COUNT_THINKING;
        const bool is_input = !is_output && i != COUNT_WEB_SEARCH && i != COUNT_CODE_SESSION;

        if (f->counts[i] == USAGE_UNKNOWN || (is_input && takes_input_back) ||
            (is_output && takes_output_back))
            continue;
        answer->wire_counts[i] = f->counts[i] + 1;
    }
}

static void take_iterations(const struct facts *f, struct tg_answer *answer)
{
    if (f->iterations->count == 0)
        return;
    answer->iteration_count = 0;
    if (f->has_fallback) {
        /* The outer counts are those of the model that has answered. */
        replace_text(&answer->model, &f->fallback_model);
        return;
    }
    memcpy(answer->iterations, f->iterations->part,
           (size_t)f->iterations->count * sizeof(answer->iterations[0]));
    answer->iteration_count = f->iterations->count;
}

/* Make `usage` the sum of the iterations. What server tools have done is told outside of them, and
 * goes to the last that is the answer's own model's.
 *
 * return  whether they hold at least what is told outside; false: usage and iterations as before */
static bool sum_up(struct tg_answer *answer, struct tg_usage *usage)
{
    struct tg_usage sum = { 0 };
    bool agrees = true;
    int own = answer->iteration_count - 1;

    for (int i = 0; i < answer->iteration_count; i++) {
        if (answer->iterations[i].model.len == 0)
            own = i;
        agrees = add_usage(&sum, &answer->iterations[i].usage) && agrees;
    }
    if (tg_usage_input_tokens(&sum) < tg_usage_input_tokens(usage) ||
        sum.count[TG_OUTPUT] < usage->count[TG_OUTPUT])
        return false;
    answer->iterations[own].usage.count[TG_WEB_SEARCH] = usage->count[TG_WEB_SEARCH];
    answer->iterations[own].usage.count[TG_CODE_SESSION] = usage->count[TG_CODE_SESSION];
    sum.count[TG_WEB_SEARCH] = usage->count[TG_WEB_SEARCH];
    sum.count[TG_CODE_SESSION] = usage->count[TG_CODE_SESSION];
    if (usage->reasoning_tokens > sum.reasoning_tokens)
        sum.reasoning_tokens = usage->reasoning_tokens;
    *usage = sum;
    return agrees;
}

static void keep_usage(struct facts *f, struct tg_answer *answer)
{
    int64_t counts[COUNTS];
    bool agrees;

    if (f->counts[COUNT_INPUT] == USAGE_UNKNOWN && f->counts[COUNT_OUTPUT] == USAGE_UNKNOWN &&
        f->iterations->count == 0)
        return;
    merge_counts(f, answer);
    take_iterations(f, answer);
    for (int i = 0; i < COUNTS; i++)
        counts[i] = last_count(answer, (enum count)i);
    agrees = take_apart(counts, &answer->usage) && !f->is_doubtful;
    if (answer->iteration_count > 0 && !sum_up(answer, &answer->usage)) {
        answer->iteration_count = 0;
        agrees = false;
    }
    if (f->counts[COUNT_OUTPUT] != USAGE_UNKNOWN && !f->is_start)
        answer->wire_counts[BYTES_WHEN_TOLD] = answer->output_bytes + 1;
    answer->flags &= ~(uint32_t)TG_ANSWER_DOUBTFUL; /* the last word replaces the earlier ones */
    answer->flags |= TG_ANSWER_HAS_USAGE | (agrees ? 0u : (uint32_t)TG_ANSWER_DOUBTFUL);
}

static void keep_facts(struct facts *f, struct tg_answer *answer)
{
    answer_keep_text(&answer->response_id, &f->id);
    answer_keep_text(&answer->model, &f->model);
    replace_text(&answer->tier, &f->tier);
    replace_text(&answer->region, &f->region);
    leave_out(&answer->region, SPAN("global"));
    leave_out(&answer->region, SPAN("not_available"));
    replace_text(&answer->speed, &f->speed);
    leave_out(&answer->speed, SPAN("standard"));
    answer->output_bytes += f->output_bytes;
    keep_usage(f, answer);
    answer->raw_usage_start = f->usage_start;
    answer->raw_usage_end = f->usage_end;
    if (f->has_stopped) {
        answer->flags |= TG_ANSWER_IS_COMPLETE;
        answer->choices_seen = answer->choices_finished = 1;
        answer->finished_mask[0] = 1;
    }
    if (f->is_error) {
        answer->flags |= TG_ANSWER_IS_ERROR;
        answer_keep_text(&answer->error_code, &f->error_code);
        answer_keep_text(&answer->error_code, &f->error_type);
    }
}

void anthropic_read_answer(struct tg_span body, const struct tg_kind *kind,
                           struct tg_answer *answer)
{
    struct iterations iterations;
    struct facts f;

    (void)kind;
    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (!read_facts(body, &iterations, &f)) {
        answer->flags |= TG_ANSWER_UNREADABLE;
        return;
    }
    f.has_stopped = !f.is_error;
    keep_facts(&f, answer);
}

/* Behind the end nothing is passed on before the settlement. */
static enum tg_event_action action_of(const struct tg_answer *answer)
{
    const uint32_t ends = TG_ANSWER_IS_COMPLETE | TG_ANSWER_IS_ERROR;

    return (answer->flags & ends) != 0 ? TG_EVENT_TERMINAL : TG_EVENT_PASS;
}

/* Judge after each event whether the usage record is the last word, and what becomes of the event.
 */
static enum tg_event_action judge(struct tg_answer *answer)
{
    const bool is_last = (answer->flags & TG_ANSWER_IS_COMPLETE) != 0 &&
                         answer->wire_counts[BYTES_WHEN_TOLD] == answer->output_bytes + 1;

    answer->flags &= ~(uint32_t)TG_ANSWER_SO_FAR;
    if ((answer->flags & TG_ANSWER_HAS_USAGE) != 0 && !is_last)
        answer->flags |= TG_ANSWER_SO_FAR;
    return action_of(answer);
}

/* Data that is not JSON: an end mark that others add, an error in plain words, or what only the
 * client understands. */
static enum tg_event_action read_other_data(struct span type, struct span data,
                                            struct tg_answer *answer)
{
    const bool is_ours = type.len == 0 || span_starts_with(type, SPAN("message")) ||
                         span_starts_with(type, SPAN("content_block"));

    if (span_equal(span_trim(data), SPAN("[DONE]")))
        answer->flags |= TG_ANSWER_IS_COMPLETE;
    else if (span_equal(type, SPAN("error")))
        answer->flags |= TG_ANSWER_IS_ERROR;
    else if (data.len > 0 && is_ours)
        answer->flags |= TG_ANSWER_UNREADABLE;
    return judge(answer);
}

enum tg_event_action anthropic_read_event(struct tg_span type, struct tg_span data,
                                          const struct tg_request *request,
                                          const struct tg_kind *kind, struct tg_answer *answer)
{
    const struct span type_name = span_of(type.ptr, type.len);
    const struct span text = span_of(data.ptr, data.len);
    struct iterations iterations;
    int64_t text_bytes;
    struct facts f;

    (void)request;
    (void)kind;
    answer->events++;
    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (!span_equal(type_name, SPAN("error")) &&
        answer_has_shape(&answer->shape, text, &text_bytes)) {
        answer->output_bytes += text_bytes;
        return judge(answer);
    }
    if (!read_facts(data, &iterations, &f))
        return read_other_data(type_name, text, answer);
    f.is_error = f.is_error || span_equal(type_name, SPAN("error"));
    keep_facts(&f, answer);
    answer->shape.holes = 0;
    if (!f.has_stopped && !f.is_error && !f.is_start && f.usage_end == 0)
        answer_keep_shape(&f.holes, text, &answer->shape);
    return judge(answer);
}
