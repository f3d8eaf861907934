#include "providers/openai_completions.h"

#include "providers/openai_chat_answer.h"
#include "providers/openai_error.h"
#include "providers/request_reader.h"

enum field {
    FIELD_MODEL = REQUEST_FIELD_MODEL,
    FIELD_PROMPT,
    FIELD_STREAM,
    FIELD_N,
    FIELD_BEST_OF,
    FIELD_MAX_TOKENS,
    FIELD_STREAM_OPTIONS,
    FIELD_ONCE_COUNT,
    FIELD_USER = FIELD_ONCE_COUNT,
    FIELD_METADATA
};

static const struct request_field fields[] = {
    { SPAN("model"), FIELD_MODEL },
    { SPAN("prompt"), FIELD_PROMPT },
    { SPAN("stream"), FIELD_STREAM },
    { SPAN("stream_options"), FIELD_STREAM_OPTIONS },
    { SPAN("max_tokens"), FIELD_MAX_TOKENS },
    { SPAN("max_completion_tokens"), FIELD_MAX_TOKENS }, /* either, not both */
    { SPAN("n"), FIELD_N },
    { SPAN("best_of"), FIELD_BEST_OF },
    { SPAN("user"), FIELD_USER },
    { SPAN("metadata"), FIELD_METADATA },
};

struct reader {
    struct request_reader base; /* first: read_field is handed it */
    int64_t prompts;
    int64_t best_of;
};

/* One prompt: a string or a list of tokens. Several: a list of such. Each token is a number of one
 * digit or more, so that the body's bytes bound the tokens. */
static void read_prompt(struct reader *r)
{
    struct scanner *const s = &r->base.s;
    struct scanner_value value;
    int64_t count = 0;

    if (!scanner_value(s, &value))
        return;
    if (value.type == SCANNER_OBJECT)
        (void)scanner_leave(s); /* a fault sticks */
    if (value.type != SCANNER_ARRAY)
        return;
    while (scanner_element(s)) {
        if (!scanner_value(s, &value))
            return;
        if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY)
            (void)scanner_leave(s); /* a fault sticks */
        count += value.type != SCANNER_NUMBER ? 1 : 0;
    }
    r->prompts = count > 1 ? count : 1;
}

static void read_best_of(struct reader *r, struct span field)
{
    struct scanner_value value;

    if (request_read_positive(&r->base, field, TG_CHOICES_MAX,
                              "'best_of' must be an integer from 1 to 128.", &value))
        (void)scanner_int64(&value, &r->best_of); /* is one: just read */
}

static void read_field(struct request_reader *base, int number, struct span name)
{
    struct reader *const r = (struct reader *)base;

    switch ((enum field)number) {
    case FIELD_MODEL:
        request_read_model(base, name);
        break;
    case FIELD_PROMPT:
        read_prompt(r);
        break;
    case FIELD_STREAM:
        request_read_stream(base, name);
        break;
    case FIELD_N:
        request_read_choices(base, name);
        break;
    case FIELD_BEST_OF:
        read_best_of(r, name);
        break;
    case FIELD_MAX_TOKENS:
        request_read_maximum(base, name);
        break;
    case FIELD_STREAM_OPTIONS:
        request_read_stream_options(base, name);
        break;
    case FIELD_USER:
        request_read_user(base, /* rank= */ 3);
        break;
    case FIELD_METADATA:
        request_read_metadata(base);
        break;
    }
}

/* How many choices are generated. A stream must end with the last that it shows, so it may neither
 * hide one nor have more than can be told apart. */
static void count_choices(struct reader *r)
{
    struct tg_request *const request = r->base.request;
    const bool is_stream = (request->flags & TG_REQUEST_STREAM) != 0;

    if (is_stream && r->best_of > request->choices)
        request_refuse(&r->base, SPAN("best_of"),
                       "'best_of' above 'n' cannot be streamed; leave one of them out.");
    if (r->best_of > request->choices)
        request->choices = r->best_of;
    request->choices *= r->prompts;
    if (is_stream && request->choices > TG_CHOICES_MAX)
        request_refuse(&r->base, SPAN("prompt"),
                       "A stream has at most 128 choices: prompts times 'n'; send fewer prompts.");
}

static enum tg_status read_request(struct tg_span body, const struct tg_path *path,
                                   struct tg_request *ret_request)
{
    static const struct request_shape shape = {
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .once_count = FIELD_ONCE_COUNT,
        .strict_count = FIELD_ONCE_COUNT,
        .read = read_field,
    };
    struct reader r = { .prompts = 1 };
    const enum tg_status status = request_read_body(&r.base, body, &shape, ret_request);

    (void)path; /* says nothing that the body does not */
    if (status != TG_OK)
        return status;
    count_choices(&r);
    return r.base.is_refused ? TG_INVALID : TG_OK;
}

static int plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                      const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX])
{
    int count = request_ask_usage(request, kind, edits);

    if (wish->max_output_tokens > 0)
        count +=
            request_bound_output(request, "max_tokens", wish->max_output_tokens, &edits[count]);
    request_sort_edits(edits, count);
    return count;
}

const struct tg_dialect openai_completions_dialect = {
    .name = "openai-completions",
    .upstream_path = "/completions",
    .framings = TG_FRAMING_SSE,
    .read_request = read_request,
    .plan_edits = plan_edits,
    .read_answer = openai_completions_read_answer,
    .read_event = openai_completions_read_event,
    .write_error = openai_error_write,
};
