#include "providers/openai_chat_answer.h"

#include "base/span.h"
#include "providers/answer_reader.h"
#include "providers/openai_facts.h"

#include <assert.h>

/* What one event or body says; goes into the answer when all of it has proved to be JSON. */
struct facts {
    struct openai_facts base;
    bool is_usage_here; /* a usage object at the top level */
    bool has_substance; /* anything that a client would miss */
    bool has_text;      /* a choice holds its text itself */
    int64_t choices_seen;
    uint64_t finished[TG_CHOICES_MAX / 64];
    struct answer_holes holes;
};

/* --- values -------------------------------------------------------------------------------------
 */

static bool read_value(struct facts *f, struct scanner_value *ret_value)
{
    return answer_read_value(&f->base.s, ret_value);
}

/* Pass over a member that a client would miss, if it says anything. */
static void read_substance(struct facts *f)
{
    struct scanner_value ignored;

    if (read_value(f, &ignored))
        f->has_substance = true;
}

static void read_ignored(struct facts *f)
{
    openai_read_ignored(&f->base);
}

/* Visible text; in a plain chunk the one string that matters. */
static void count_text(struct facts *f, const struct scanner_value *string)
{
    if (string->type != SCANNER_STRING)
        return;
    answer_note_text(&f->holes, string);
    f->base.output_bytes += (int64_t)scanner_text_bytes(string);
}

static void read_text(struct facts *f)
{
    struct scanner_value value;

    if (read_value(f, &value))
        f->has_substance = true;
    count_text(f, &value);
}

/* Padding of random length that OpenAI adds: no text. */
static void read_obfuscation(struct facts *f)
{
    struct scanner_value value;

    (void)read_value(f, &value); /* a fault sticks */
    if (value.type == SCANNER_STRING)
        answer_note_hole(&f->holes, &value);
}

/* --- choices ------------------------------------------------------------------------------------
 */

/* Mistral's content may be a list of parts: all that stands under "text" in it is visible. The
 * container has just been entered. */
static void walk_parts(struct facts *f)
{
    struct scanner *const s = &f->base.s;
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
            f->base.output_bytes += (int64_t)scanner_text_bytes(&value);
    }
    f->has_substance = true;
}

static void read_content(struct facts *f)
{
    struct scanner_value value;

    if (!scanner_value(&f->base.s, &value) || value.type == SCANNER_NULL)
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

    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return;
    f->has_substance = true;
    while (scanner_member(&f->base.s, &key)) {
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

    while (scanner_member(&f->base.s, &key)) {
        if (scanner_is(&key, SPAN("function")) || scanner_is(&key, SPAN("custom")))
            read_named_texts(f);
        else
            read_ignored(f);
    }
}

static void read_tool_calls(struct facts *f)
{
    if (!scanner_enter(&f->base.s, SCANNER_ARRAY))
        return;
    while (scanner_element(&f->base.s)) {
        f->has_substance = true;
        if (scanner_enter(&f->base.s, SCANNER_OBJECT))
            read_tool_call(f);
    }
}

/* The `delta` of a stream or the `message` of a plain answer. */
static void read_message(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->base.s, &key)) {
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

    if (read_value(f, &value))
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

    if (!read_value(f, &value) || value.type != SCANNER_STRING)
        return false;
    f->has_substance = true;
    if (scanner_is(&value, SPAN("error"))) {
        f->base.is_error = true;
        if (f->base.error_code.type == SCANNER_NONE)
            f->base.error_code = value;
    }
    return true;
}

static void read_choice(struct facts *f, int64_t place)
{
    struct scanner_value key;
    int64_t index = place;
    bool is_finished = false;

    while (scanner_member(&f->base.s, &key)) {
        if (scanner_is(&key, SPAN("index")))
            read_index(f, &index);
        else if (scanner_is(&key, SPAN("delta")) || scanner_is(&key, SPAN("message")))
            read_message(f);
        else if (scanner_is(&key, SPAN("finish_reason")))
            is_finished = read_finish_reason(f);
        else if (f->has_text && scanner_is(&key, SPAN("text")))
            read_text(f);
        else if (scanner_is(&key, SPAN("usage")))
            (void)openai_read_usage(&f->base, OPENAI_NAMES_PROMPT); /* Moonshot */
        else
            read_substance(f);
    }
    note_choice(f, index, is_finished);
}

static void read_choices(struct facts *f)
{
    if (!scanner_enter(&f->base.s, SCANNER_ARRAY))
        return;
    for (int64_t place = 0; scanner_element(&f->base.s); place++)
        if (scanner_enter(&f->base.s, SCANNER_OBJECT))
            read_choice(f, place);
}

/* --- the outermost object -----------------------------------------------------------------------
 */

/* In a stream it holds usage, or the error that ends it. */
static void read_x_groq(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->base.s, &key)) {
        if (scanner_is(&key, SPAN("usage")))
            /* In a plain answer it counts memory, none of it a token count. */
            (void)openai_read_usage(&f->base, OPENAI_NAMES_PROMPT);
        else if (scanner_is(&key, SPAN("error")))
            openai_read_error(&f->base);
        else
            read_ignored(f);
    }
}

/* Mistral and older vLLM say so in `object` and put code and type beside it. */
static void read_object(struct facts *f)
{
    struct scanner_value value;

    if (read_value(f, &value) && value.type == SCANNER_STRING && scanner_is(&value, SPAN("error")))
        f->base.is_error = true;
}

/* A member that comes in few events. */
static void read_rare_member(struct facts *f, const struct scanner_value *key)
{
    if (scanner_is(key, SPAN("error")))
        openai_read_error(&f->base);
    else if (scanner_is(key, SPAN("x_groq")))
        read_x_groq(f);
    else if (scanner_is(key, SPAN("code")))
        openai_read_code(&f->base, /* is_type= */ false);
    else if (scanner_is(key, SPAN("type")))
        openai_read_code(&f->base, /* is_type= */ true);
    else if (scanner_is(key, SPAN("provider")) || scanner_is(key, SPAN("timings")) ||
             scanner_is(key, SPAN("time_info")))
        read_ignored(f); /* OpenRouter, llama.cpp, Cerebras: say nothing of the text */
    else
        read_substance(f);
}

static void read_member(struct facts *f, const struct scanner_value *key)
{
    if (scanner_is(key, SPAN("id")))
        answer_read_string(&f->base.s, &f->base.id);
    else if (scanner_is(key, SPAN("object")))
        read_object(f);
    else if (scanner_is(key, SPAN("created")) || scanner_is(key, SPAN("system_fingerprint")))
        read_ignored(f);
    else if (scanner_is(key, SPAN("model")))
        answer_read_string(&f->base.s, &f->base.model);
    else if (scanner_is(key, SPAN("service_tier")))
        answer_read_string(&f->base.s, &f->base.tier);
    else if (scanner_is(key, SPAN("choices")))
        read_choices(f);
    else if (scanner_is(key, SPAN("usage")))
        f->is_usage_here = openai_read_usage(&f->base, OPENAI_NAMES_PROMPT);
    else if (scanner_is(key, SPAN("obfuscation")))
        read_obfuscation(f);
    else
        read_rare_member(f, key);
}

/* has_text  of legacy completions: a choice holds its text itself
 * return    whether all of `text` is one JSON object; only then the facts hold */
static bool read_facts(struct tg_span text, bool has_text, struct facts *f)
{
    struct scanner_value value;

    *f = (struct facts){ .has_text = has_text };
    openai_facts_init(&f->base, text);
    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return false;
    while (scanner_member(&f->base.s, &value))
        read_member(f, &value);
    return scanner_finish(&f->base.s) == TG_OK;
}

/* Beside that, it must have exactly one piece of text. */
static bool brings_text_alone(const struct facts *f)
{
    bool is_finished = false;

    for (int i = 0; i < TG_CHOICES_MAX / 64; i++)
        is_finished = is_finished || f->finished[i] != 0;
    return !is_finished && !f->base.is_error && !f->is_usage_here && f->base.usage_end == 0;
}

/* --- into the answer ----------------------------------------------------------------------------
 */

static void keep_facts(const struct facts *f, const struct tg_kind *kind, struct tg_answer *answer)
{
    openai_keep_facts(&f->base, kind->flags, answer);
    if (f->choices_seen > answer->choices_seen)
        answer->choices_seen = f->choices_seen;
    for (int i = 0; i < TG_CHOICES_MAX / 64; i++) {
        const uint64_t added = f->finished[i] & ~answer->finished_mask[i];

        answer->finished_mask[i] |= added;
        if (added != 0)
            answer->choices_finished += __builtin_popcountll(added);
    }
}

static void read_answer(struct tg_span body, bool has_text, const struct tg_kind *kind,
                        struct tg_answer *answer)
{
    struct facts f;

    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (!read_facts(body, has_text, &f)) {
        answer->flags |= TG_ANSWER_UNREADABLE;
        return;
    }
    keep_facts(&f, kind, answer);
    if (!f.base.is_error)
        answer->flags |= TG_ANSWER_IS_COMPLETE;
}

void openai_chat_read_answer(struct tg_span body, const struct tg_kind *kind,
                             struct tg_answer *answer)
{
    read_answer(body, /* has_text= */ false, kind, answer);
}

void openai_completions_read_answer(struct tg_span body, const struct tg_kind *kind,
                                    struct tg_answer *answer)
{
    read_answer(body, /* has_text= */ true, kind, answer);
}

/* Whether it is the usage chunk and nothing besides. It has no choices, or, where some servers
 * repeat one with an empty delta, comes when all have ended; before that an empty delta opens a
 * choice. */
static bool is_usage_alone(const struct facts *f, const struct tg_answer *answer)
{
    return f->is_usage_here && !f->has_substance && !f->base.is_error &&
           (f->choices_seen == 0 || (answer->flags & TG_ANSWER_IS_COMPLETE) != 0);
}

/* What an event is read with. */
struct setting {
    const struct tg_request *request;
    const struct tg_kind *kind;
    bool has_text; /* as in read_facts */
};

static enum tg_event_action read_event(struct span type, struct tg_span data,
                                       const struct setting *setting, struct tg_answer *answer)
{
    const struct tg_request *const request = setting->request;
    const bool was_asked_here = (setting->kind->flags & TG_KIND_ASKS_USAGE) != 0 &&
                                (request->flags & TG_REQUEST_WANTS_USAGE) == 0;
    int64_t text_bytes;
    struct facts f;

    assert(request->choices >= 1);
    answer->events++;
    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (type.len == 0 &&
        answer_has_shape(&answer->shape, span_of(data.ptr, data.len), &text_bytes)) {
        answer->output_bytes += text_bytes;
        return openai_action_of(answer);
    }
    if (!read_facts(data, setting->has_text, &f))
        return openai_read_other_data(type, span_of(data.ptr, data.len), answer);
    f.base.is_error = f.base.is_error || span_equal(type, SPAN("error"));
    keep_facts(&f, setting->kind, answer);
    answer->shape.holes = 0;
    if (brings_text_alone(&f))
        answer_keep_shape(&f.holes, span_of(data.ptr, data.len), &answer->shape);
    if (answer->choices_finished >= request->choices)
        answer->flags |= TG_ANSWER_IS_COMPLETE;
    if (was_asked_here && is_usage_alone(&f, answer))
        return TG_EVENT_DROP;
    return openai_action_of(answer);
}

enum tg_event_action openai_chat_read_event(struct tg_span type, struct tg_span data,
                                            const struct tg_request *request,
                                            const struct tg_kind *kind, struct tg_answer *answer)
{
    const struct setting setting = { .request = request, .kind = kind };

    return read_event(span_of(type.ptr, type.len), data, &setting, answer);
}

enum tg_event_action openai_completions_read_event(struct tg_span type, struct tg_span data,
                                                   const struct tg_request *request,
                                                   const struct tg_kind *kind,
                                                   struct tg_answer *answer)
{
    const struct setting setting = { .request = request, .kind = kind, .has_text = true };

    return read_event(span_of(type.ptr, type.len), data, &setting, answer);
}
