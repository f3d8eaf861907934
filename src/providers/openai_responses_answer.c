#include "providers/openai_responses_answer.h"

#include "providers/openai_facts.h"
#include "providers/usage.h"

/* Beyond it each run of code counts as a container of its own. */
#define CONTAINERS_MAX 16
#define TYPE_MAX       64

enum fee { FEE_WEB_SEARCH, FEE_FILE_SEARCH, FEE_CODE_SESSION, FEES };

/* In wire_counts they stand behind the counts of openai_facts, as they are, without the 1. */
#define FEE_PLACE OPENAI_COUNTS
_Static_assert(FEE_PLACE + FEES <= TG_WIRE_COUNTS_MAX, "a dialect's counts fit into an answer");

static const enum tg_class fee_classes[FEES] = {
    [FEE_WEB_SEARCH] = TG_WEB_SEARCH,
    [FEE_FILE_SEARCH] = TG_FILE_SEARCH,
    [FEE_CODE_SESSION] = TG_CODE_SESSION,
};

struct facts {
    struct openai_facts base;
    struct scanner_value type;   /* of the event */
    struct scanner_value status; /* of the response */
    int64_t text_bytes;          /* in items of the output */
    int64_t delta_bytes;         /* that the event adds */
    int64_t searches;            /* as tool_usage says; USAGE_UNKNOWN: it does not */
    int64_t items;               /* of the output */
    int64_t fees[FEES];          /* by these */
    struct span containers[CONTAINERS_MAX];
    int container_count;
};

/* --- items of the output ------------------------------------------------------------------------
 */

struct item {
    struct scanner_value type, status, container, action;
};

static bool is_text_key(const struct scanner_value *key)
{
    return scanner_is(key, SPAN("text")) || scanner_is(key, SPAN("arguments")) ||
           scanner_is(key, SPAN("refusal")) || scanner_is(key, SPAN("input")) ||
           scanner_is(key, SPAN("code")) || scanner_is(key, SPAN("name"));
}

static void count_text(struct facts *f, const struct scanner_value *value)
{
    if (value->type == SCANNER_STRING)
        f->text_bytes += (int64_t)scanner_text_bytes(value);
}

/* The value of a member: its text, and all text in the lists and objects in it. */
static void walk_texts(struct facts *f, const struct scanner_value *key)
{
    struct scanner *const s = &f->base.s;
    const int floor = s->depth;
    bool is_text = is_text_key(key);
    struct scanner_value value;

    do {
        if (s->depth > floor && scanner_is_in_object(s)) {
            if (!scanner_member(s, &value))
                continue;
            is_text = is_text_key(&value);
        } else if (s->depth > floor && !scanner_element(s)) {
            continue;
        }
        if (scanner_value(s, &value) && is_text)
            count_text(f, &value);
    } while (s->depth > floor && s->fault == SCANNER_FINE);
}

static void read_action(struct facts *f, struct item *item)
{
    struct scanner_value key;

    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->base.s, &key)) {
        if (scanner_is(&key, SPAN("type")))
            answer_read_string(&f->base.s, &item->action);
        else
            openai_read_ignored(&f->base);
    }
}

static void add_container(struct facts *f, const struct scanner_value *container)
{
    for (int i = 0; i < f->container_count; i++)
        if (span_equal(f->containers[i], container->text))
            return;
    if (f->container_count < CONTAINERS_MAX && container->type == SCANNER_STRING)
        f->containers[f->container_count++] = container->text;
    f->fees[FEE_CODE_SESSION]++;
}

/* What the provider charges for an item by itself. Opening or reading through a page that a search
 * has found is no search. */
static void judge_item(struct facts *f, const struct item *item)
{
    if (scanner_is(&item->status, SPAN("failed")))
        return;
    if (scanner_is(&item->type, SPAN("web_search_call"))) {
        if (item->action.type == SCANNER_NONE || scanner_is(&item->action, SPAN("search")))
            f->fees[FEE_WEB_SEARCH]++;
    } else if (scanner_is(&item->type, SPAN("file_search_call"))) {
        f->fees[FEE_FILE_SEARCH]++;
    } else if (scanner_is(&item->type, SPAN("code_interpreter_call"))) {
        add_container(f, &item->container);
    }
}

static void read_item(struct facts *f)
{
    struct item item = { 0 };
    struct scanner_value key;

    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->base.s, &key)) {
        if (scanner_is(&key, SPAN("type")))
            answer_read_string(&f->base.s, &item.type);
        else if (scanner_is(&key, SPAN("status")))
            answer_read_string(&f->base.s, &item.status);
        else if (scanner_is(&key, SPAN("container_id")))
            answer_read_string(&f->base.s, &item.container);
        else if (scanner_is(&key, SPAN("action")))
            read_action(f, &item);
        else
            walk_texts(f, &key);
    }
    f->items++;
    judge_item(f, &item);
}

static void read_output(struct facts *f)
{
    if (!scanner_enter(&f->base.s, SCANNER_ARRAY))
        return;
    while (scanner_element(&f->base.s))
        read_item(f);
}

/* --- the response -------------------------------------------------------------------------------
 */

static void read_searches(struct facts *f)
{
    struct scanner_value key;
    struct scanner_value value;

    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->base.s, &key)) {
        if (!scanner_is(&key, SPAN("num_requests")))
            openai_read_ignored(&f->base);
        else if (answer_read_value(&f->base.s, &value))
            usage_read_count(&value, &f->searches, &f->base.is_doubtful);
    }
}

static void read_tool_usage(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->base.s, &key)) {
        if (scanner_is(&key, SPAN("web_search")))
            read_searches(f);
        else
            openai_read_ignored(&f->base);
    }
}

static void read_response_member(struct facts *f, const struct scanner_value *key)
{
    struct openai_facts *const base = &f->base;

    if (scanner_is(key, SPAN("id")))
        answer_read_string(&base->s, &base->id);
    else if (scanner_is(key, SPAN("model")))
        answer_read_string(&base->s, &base->model);
    else if (scanner_is(key, SPAN("status")))
        answer_read_string(&base->s, &f->status);
    else if (scanner_is(key, SPAN("service_tier")))
        answer_read_string(&base->s, &base->tier);
    else if (scanner_is(key, SPAN("usage")))
        (void)openai_read_usage(base, OPENAI_NAMES_INPUT);
    else if (scanner_is(key, SPAN("tool_usage")))
        read_tool_usage(f);
    else if (scanner_is(key, SPAN("output")))
        read_output(f);
    else if (scanner_is(key, SPAN("error")))
        openai_read_error(base);
    else
        openai_read_ignored(base);
}

static void read_response(struct facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return;
    while (scanner_member(&f->base.s, &key))
        read_response_member(f, &key);
}

static void read_delta(struct facts *f)
{
    struct scanner_value value;

    if (answer_read_value(&f->base.s, &value) && value.type == SCANNER_STRING)
        f->delta_bytes = (int64_t)scanner_text_bytes(&value);
}

static void read_event_member(struct facts *f, const struct scanner_value *key)
{
    if (scanner_is(key, SPAN("type")))
        answer_read_string(&f->base.s, &f->type);
    else if (scanner_is(key, SPAN("delta")))
        read_delta(f);
    else if (scanner_is(key, SPAN("item")))
        read_item(f);
    else if (scanner_is(key, SPAN("response")))
        read_response(f);
    else if (scanner_is(key, SPAN("error")))
        openai_read_error(&f->base);
    else if (scanner_is(key, SPAN("code")))
        openai_read_code(&f->base, /* is_type= */ false);
    else
        openai_read_ignored(&f->base);
}

/* return  whether all of `text` is one JSON object; only then the facts hold */
static bool read_facts(struct tg_span text, struct facts *f,
                       void (*read_member)(struct facts *, const struct scanner_value *))
{
    struct scanner_value key;

    *f = (struct facts){ .searches = USAGE_UNKNOWN };
    openai_facts_init(&f->base, text);
    if (!scanner_enter(&f->base.s, SCANNER_OBJECT))
        return false;
    while (scanner_member(&f->base.s, &key))
        read_member(f, &key);
    return scanner_finish(&f->base.s) == TG_OK;
}

/* --- into the answer ----------------------------------------------------------------------------
 */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The fees so far, into the usage that will be charged. */
static void apply_fees(struct tg_answer *answer)
{
    for (int i = 0; i < FEES; i++)
        answer->usage.count[fee_classes[i]] = answer->wire_counts[FEE_PLACE + i];
}

static int64_t bounded(int64_t count)
{
    return count < TG_COUNT_MAX ? count : TG_COUNT_MAX;
}

/* Of an item that has come in a stream. Whether its code ran in a container of its own is not known
 * before the end. */
static void add_fees(const struct facts *f, struct tg_answer *answer)
{
    int64_t *const count = answer->wire_counts + FEE_PLACE;

    count[FEE_WEB_SEARCH] = bounded(count[FEE_WEB_SEARCH] + f->fees[FEE_WEB_SEARCH]);
    count[FEE_FILE_SEARCH] = bounded(count[FEE_FILE_SEARCH] + f->fees[FEE_FILE_SEARCH]);
    if (f->fees[FEE_CODE_SESSION] > 0)
        count[FEE_CODE_SESSION] = 1;
}

/* Of a whole response. Some servers leave the output out of a stream's last event. */
static void set_fees(const struct facts *f, struct tg_answer *answer)
{
    for (int i = 0; i < FEES && f->items > 0; i++)
        answer->wire_counts[FEE_PLACE + i] = f->fees[i];
    if (f->searches != USAGE_UNKNOWN)
        answer->wire_counts[FEE_PLACE + FEE_WEB_SEARCH] = f->searches;
}

/* What the end of a stream says replaces what its begin said. */
static void forget(struct tg_short_text *text, const struct scanner_value *newer)
{
    if (newer->type != SCANNER_NONE)
        text->len = 0;
}

static void keep_facts(const struct facts *f, const struct tg_kind *kind, struct tg_answer *answer)
{
    forget(&answer->tier, &f->base.tier);
    forget(&answer->model, &f->base.model);
    openai_keep_facts(&f->base, kind->flags & ~(uint32_t)TG_KIND_REASONING_OUTSIDE, answer);
}

static void judge_status(const struct facts *f, struct tg_answer *answer)
{
    if (scanner_is(&f->status, SPAN("queued")) || scanner_is(&f->status, SPAN("in_progress")))
        answer->flags |= TG_ANSWER_PENDING;
    else if ((answer->flags & TG_ANSWER_IS_ERROR) == 0 || f->status.type != SCANNER_NONE)
        answer->flags |= TG_ANSWER_IS_COMPLETE;
}

void openai_responses_read_answer(struct tg_span body, const struct tg_kind *kind,
                                  struct tg_answer *answer)
{
    struct facts f;

    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (!read_facts(body, &f, read_response_member)) {
        answer->flags |= TG_ANSWER_UNREADABLE;
        return;
    }
    keep_facts(&f, kind, answer);
    set_fees(&f, answer);
    apply_fees(answer);
    answer->output_bytes = f.text_bytes;
    judge_status(&f, answer);
}

static bool is_end(struct span type)
{
    return span_equal(type, SPAN("response.completed")) ||
           span_equal(type, SPAN("response.incomplete")) ||
           span_equal(type, SPAN("response.failed")) ||
           span_equal(type, SPAN("response.cancelled"));
}

/* Text that is visible or was generated; not sound, which is another matter than its bytes. */
static bool is_text(struct span type)
{
    return span_ends_with(type, SPAN(".delta")) && !span_ends_with(type, SPAN("audio.delta"));
}

/* What the data says it is, else what the event is called. One too long to be known is neither. */
static struct span own_name(const struct facts *f, struct span name, char room[TYPE_MAX])
{
    size_t len;

    if (f->type.type == SCANNER_NONE)
        return name;
    return scanner_unescape(&f->type, room, TYPE_MAX, &len) ? span_of(room, len) : SPAN_EMPTY;
}

enum tg_event_action openai_responses_read_event(struct tg_span type, struct tg_span data,
                                                 const struct tg_request *request,
                                                 const struct tg_kind *kind,
                                                 struct tg_answer *answer)
{
    struct span name = span_of(type.ptr, type.len);
    char room[TYPE_MAX];
    struct facts f;

    (void)request; /* no end but one, nothing that was not asked for */
    answer->events++;
    answer->raw_usage_start = answer->raw_usage_end = 0;
    if (!read_facts(data, &f, read_event_member))
        return openai_read_other_data(name, span_of(data.ptr, data.len), answer);
    name = own_name(&f, name, room);
    f.base.is_error = f.base.is_error || span_equal(name, SPAN("error"));
    keep_facts(&f, kind, answer);
    if (is_text(name))
        answer->output_bytes += f.delta_bytes;
    if (span_equal(name, SPAN("response.output_item.done")))
        add_fees(&f, answer);
    if (is_end(name)) {
        answer->flags |= TG_ANSWER_IS_COMPLETE;
        answer->output_bytes = larger(answer->output_bytes, f.text_bytes);
        set_fees(&f, answer);
    }
    apply_fees(answer);
    return openai_action_of(answer);
}
