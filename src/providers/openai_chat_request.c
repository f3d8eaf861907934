#include "providers/openai_chat_request.h"

#include "providers/request_reader.h"

enum field {
    FIELD_MODEL = REQUEST_FIELD_MODEL,
    FIELD_STREAM,
    FIELD_N,
    FIELD_BEST_OF,
    FIELD_MAX_TOKENS,
    FIELD_MAX_COMPLETION_TOKENS,
    FIELD_STREAM_OPTIONS,
    FIELD_ONCE_COUNT,
    FIELD_MESSAGES = FIELD_ONCE_COUNT,
    FIELD_TOOLS,
    FIELD_FETCHES, /* any option by which the provider finds input itself */
    FIELD_USER,
    FIELD_SAFETY_IDENTIFIER,
    FIELD_METADATA
};

static const struct request_field fields[] = {
    { SPAN("model"), FIELD_MODEL },
    { SPAN("messages"), FIELD_MESSAGES },
    { SPAN("stream"), FIELD_STREAM },
    { SPAN("stream_options"), FIELD_STREAM_OPTIONS },
    { SPAN("max_tokens"), FIELD_MAX_TOKENS },
    { SPAN("max_completion_tokens"), FIELD_MAX_COMPLETION_TOKENS },
    { SPAN("n"), FIELD_N },
    { SPAN("best_of"), FIELD_BEST_OF },
    { SPAN("tools"), FIELD_TOOLS },
    { SPAN("user"), FIELD_USER },
    { SPAN("safety_identifier"), FIELD_SAFETY_IDENTIFIER },
    { SPAN("metadata"), FIELD_METADATA },
    { SPAN("web_search_options"), FIELD_FETCHES }, /* OpenAI, Perplexity */
    { SPAN("search_parameters"), FIELD_FETCHES },  /* xAI */
    { SPAN("search_settings"), FIELD_FETCHES },    /* Groq */
    { SPAN("enable_search"), FIELD_FETCHES },      /* Alibaba */
    { SPAN("plugins"), FIELD_FETCHES },            /* OpenRouter */
    { SPAN("data_sources"), FIELD_FETCHES },       /* Azure */
    { SPAN("extra_body"), FIELD_FETCHES },         /* Gemini: cached content */
};

/* An answer's audio that a later message names is input which the provider has kept. */
static void read_kept_audio(struct request_reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_OBJECT))
        return;
    r->request->flags |= TG_REQUEST_FETCHES;
    r->request->media_parts++;
    (void)scanner_leave(&r->s); /* a fault sticks */
}

static void read_message(struct request_reader *r)
{
    struct scanner_value key;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;

    while (scanner_member(&r->s, &key)) {
        const struct span name = request_key(&key, folded, &is_exact);

        if (span_equal(name, SPAN("content")))
            request_read_content(r);
        else if (span_equal(name, SPAN("audio")))
            read_kept_audio(r);
        else
            (void)scanner_skip(&r->s); /* a fault sticks */
    }
}

static void read_messages(struct request_reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read_message(r);
}

static void read_best_of(struct request_reader *r, struct span field)
{
    struct scanner_value value;

    (void)request_read_positive(
        r, field, 1, /* nothing is kept of it */
        "'best_of' generates choices that are billed and never shown; leave it out "
        "and ask for 'n'.",
        &value);
}

/* --- the body -----------------------------------------------------------------------------------
 */

static const struct span client_tools[] = { SPAN("function"), SPAN("custom"), SPAN_EMPTY };

static void read_field(struct request_reader *r, int number, struct span name)
{
    switch ((enum field)number) {
    case FIELD_MODEL:
        request_read_model(r, name);
        break;
    case FIELD_STREAM:
        request_read_stream(r, name);
        break;
    case FIELD_N:
        request_read_choices(r, name);
        break;
    case FIELD_BEST_OF:
        read_best_of(r, name);
        break;
    case FIELD_MAX_TOKENS:
    case FIELD_MAX_COMPLETION_TOKENS:
        request_read_maximum(r, name);
        break;
    case FIELD_STREAM_OPTIONS:
        request_read_stream_options(r, name);
        break;
    case FIELD_MESSAGES:
        read_messages(r);
        break;
    case FIELD_TOOLS:
        request_read_tools(r, client_tools);
        break;
    case FIELD_FETCHES:
        request_read_fetching_option(r);
        break;
    case FIELD_USER:
        request_read_user(r, /* rank= */ 3);
        break;
    case FIELD_SAFETY_IDENTIFIER:
        request_read_user(r, /* rank= */ 2);
        break;
    case FIELD_METADATA:
        request_read_metadata(r);
        break;
    }
}

enum tg_status openai_chat_read_request(struct tg_span body, const struct tg_path *path,
                                        struct tg_request *ret_request)
{
    static const struct request_shape shape = {
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .once_count = FIELD_ONCE_COUNT,
        .strict_count = FIELD_USER,
        .read = read_field,
    };
    struct request_reader r = { 0 };

    (void)path; /* says nothing that the body does not */
    return request_read_body(&r, body, &shape, ret_request);
}

static const char *output_field(const struct tg_kind *kind, const struct tg_wish *wish)
{
    if (wish->output_field != NULL)
        return wish->output_field;
    return kind->output_field != NULL ? kind->output_field : "max_tokens";
}

int openai_chat_plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                           const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX])
{
    int count = request_ask_usage(request, kind, edits);

    if (wish->max_output_tokens > 0)
        count += request_bound_output(request, output_field(kind, wish), wish->max_output_tokens,
                                      &edits[count]);
    request_sort_edits(edits, count);
    return count;
}
