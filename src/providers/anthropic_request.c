#include "providers/anthropic_request.h"

#include "base/list.h"
#include "base/try.h"
#include "providers/request_reader.h"

enum field {
    FIELD_MODEL = REQUEST_FIELD_MODEL,
    FIELD_STREAM,
    FIELD_MAX_TOKENS,
    FIELD_THINKING,
    FIELD_FALLBACKS,
    FIELD_ONCE_COUNT,
    FIELD_MESSAGES = FIELD_ONCE_COUNT,
    FIELD_TOOLS,
    FIELD_CONTEXT_MANAGEMENT,
    FIELD_FETCHES, /* any option by which the provider finds input itself */
    FIELD_STRICT_COUNT,
    FIELD_METADATA = FIELD_STRICT_COUNT
};

static const struct request_field fields[] = {
    { SPAN("model"), FIELD_MODEL },
    { SPAN("messages"), FIELD_MESSAGES },
    { SPAN("max_tokens"), FIELD_MAX_TOKENS },
    { SPAN("stream"), FIELD_STREAM },
    { SPAN("system"), FIELD_MESSAGES },
    { SPAN("tools"), FIELD_TOOLS },
    { SPAN("metadata"), FIELD_METADATA },
    { SPAN("thinking"), FIELD_THINKING },
    { SPAN("context_management"), FIELD_CONTEXT_MANAGEMENT },
    { SPAN("fallbacks"), FIELD_FALLBACKS },
    { SPAN("mcp_servers"), FIELD_FETCHES },
    { SPAN("container"), FIELD_FETCHES },  /* files and skills in it */
    { SPAN("thread"), FIELD_FETCHES },     /* earlier turns that the provider has kept */
    { SPAN("compaction"), FIELD_FETCHES }, /* a summary, made by another reading */
};

/* Tools that run at the client begin so; each has a date behind it. */
static const struct span client_tools[] = {
    SPAN("bash_"), SPAN("text_editor_"), SPAN("computer_"), SPAN("memory_"), SPAN("browser_"),
};

/* The `source` of a content block that is being read. */
struct source {
    int depth; /* of its members; 0: none */
    int64_t data_bytes;
    bool is_base64;
    bool is_other;     /* of a type that carries no media */
    bool is_image;     /* as its media type says */
    bool is_not_image; /* the same */
};

struct reader {
    struct request_reader r;
    struct source source;
    int64_t fallback_max; /* the largest maximum of a fallback's own; 0: none */
};

/* --- tools --------------------------------------------------------------------------------------
 */

static bool runs_at_client(const struct scanner_value *type)
{
    if (scanner_is(type, SPAN("custom")))
        return true;
    for (size_t i = 0; i < sizeof(client_tools) / sizeof(client_tools[0]); i++)
        if (!type->has_escape && span_starts_with(type->text, client_tools[i]))
            return true;
    return false;
}

/* A tool whose object has just been entered. One without a type is the client's. */
static void read_tool(struct request_reader *r)
{
    struct scanner_value key;
    struct scanner_value type;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;

    while (scanner_member(&r->s, &key)) {
        if (!span_equal(request_key(&key, folded, &is_exact), SPAN("type"))) {
            (void)scanner_skip(&r->s); /* a fault sticks */
            continue;
        }
        if (!scanner_value(&r->s, &type))
            return;
        if (type.type == SCANNER_OBJECT || type.type == SCANNER_ARRAY)
            (void)scanner_leave(&r->s); /* a fault sticks */
        else if (type.type == SCANNER_STRING && !runs_at_client(&type))
            r->request->flags |= TG_REQUEST_FETCHES;
    }
}

static void read_tools(struct request_reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read_tool(r);
}

/* --- content ------------------------------------------------------------------------------------
 */

static void note_reference(struct request_reader *r)
{
    r->request->flags |= TG_REQUEST_FETCHES;
    r->request->media_parts++;
}

/* Data is media only where its type has said so, and nothing has said otherwise. */
static void end_source(struct reader *reader)
{
    const struct source *const source = &reader->source;

    if (source->depth != 0 && source->data_bytes > 0 && source->is_base64 && !source->is_other) {
        reader->r.request->media_parts++;
        reader->r.request->media_bytes += source->data_bytes;
        reader->r.request->image_parts += source->is_image && !source->is_not_image ? 1 : 0;
    }
    reader->source = (struct source){ 0 };
}

static bool is_image_type(const struct scanner_value *type)
{
    char text[sizeof("image/")];
    size_t len;

    (void)scanner_unescape(type, text, strlen("image/"), &len); /* the beginning is enough */
    return span_equal_nocase(span_of(text, len), SPAN("image/"));
}

/* A string of a source. */
static void read_source_string(struct reader *reader, struct span name,
                               const struct scanner_value *string)
{
    struct source *const source = &reader->source;

    if (span_equal(name, SPAN("type")) && scanner_is(string, SPAN("base64")))
        source->is_base64 = true;
    else if (span_equal(name, SPAN("type")))
        source->is_other = true;
    else if (span_equal(name, SPAN("media_type")) && is_image_type(string))
        source->is_image = true;
    else if (span_equal(name, SPAN("media_type")))
        source->is_not_image = true;
    else if (span_equal(name, SPAN("data")))
        source->data_bytes += (int64_t)string->text.len;
    else if (span_equal(name, SPAN("url")) && string->text.len > 0)
        note_reference(&reader->r);
}

/* The value of a member, anywhere in a message. Of a container no more is read than its bracket. */
static void read_content_value(struct reader *reader, struct span name)
{
    struct request_reader *const r = &reader->r;
    struct scanner_value value;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type == SCANNER_OBJECT && span_equal(name, SPAN("source"))) {
        end_source(reader); /* one inside another: that one brings no data */
        reader->source.depth = r->s.depth;
    } else if (value.type == SCANNER_OBJECT && span_equal(name, SPAN("definition"))) {
        read_tool(r); /* a tool that is added in the middle of a conversation */
    } else if (value.type == SCANNER_STRING && span_equal(name, SPAN("file_id"))) {
        note_reference(r);
    } else if (value.type == SCANNER_STRING && reader->source.depth == r->s.depth) {
        read_source_string(reader, name, &value);
    }
}

/* Messages or a system prompt: text, or an array that holds blocks, which may hold more of them. */
static void read_content(struct reader *reader)
{
    struct scanner *const s = &reader->r.s;
    const int floor = s->depth;
    char folded[REQUEST_KEY_MAX];
    struct scanner_value value;
    bool is_exact;

    if (!scanner_value(s, &value))
        return;
    while (s->depth > floor && s->fault == SCANNER_FINE) {
        if (reader->source.depth > s->depth)
            end_source(reader);
        if (!scanner_is_in_object(s)) {
            if (scanner_element(s))
                (void)scanner_value(s, &value); /* opens what is a container; a fault sticks */
            continue;
        }
        if (!scanner_member(s, &value))
            continue;
        const struct span name = request_key(&value, folded, &is_exact);

        if (span_equal(name, SPAN("input")))
            (void)scanner_skip(s); /* a fault sticks */
        else
            read_content_value(reader, name);
    }
    end_source(reader);
}

/* --- options ------------------------------------------------------------------------------------
 */

static void read_budget(struct request_reader *r, struct span field)
{
    struct scanner_value value;

    if (r->request->thinking_budget_tokens != 0) {
        request_refuse(r, field, "'budget_tokens' appears twice; send it once.");
        return;
    }
    if (request_read_positive(r, field, REQUEST_OUTPUT_MAX,
                              "'budget_tokens' must be an integer from 1 to 2147483647.", &value))
        (void)scanner_int64(&value, &r->request->thinking_budget_tokens); /* is one: just read */
}

static void read_thinking(struct request_reader *r, struct span field)
{
    struct scanner_value value;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;

    if (!scanner_value(&r->s, &value) || value.type == SCANNER_NULL)
        return;
    if (value.type != SCANNER_OBJECT) {
        request_refuse(r, field, "'thinking' must be an object.");
        return;
    }
    while (!r->is_refused && scanner_member(&r->s, &value)) {
        if (!span_equal(request_key(&value, folded, &is_exact), SPAN("budget_tokens")))
            (void)scanner_skip(&r->s); /* a fault sticks */
        else if (!is_exact)
            request_refuse(r, value.text, "Write 'budget_tokens' in small letters.");
        else
            read_budget(r, value.text);
    }
}

/* A model that takes over where the first one declines, with a maximum of its own or the
 * request's. */
static void read_fallback(struct reader *reader)
{
    struct request_reader *const r = &reader->r;
    struct scanner_value key;
    struct scanner_value value;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;
    int64_t max = 0;

    while (!r->is_refused && scanner_member(&r->s, &key)) {
        if (!span_equal(request_key(&key, folded, &is_exact), SPAN("max_tokens"))) {
            (void)scanner_skip(&r->s); /* a fault sticks */
            continue;
        }
        if (request_read_positive(r, key.text, REQUEST_OUTPUT_MAX,
                                  "A fallback's 'max_tokens' must be an integer from 1 to "
                                  "2147483647.",
                                  &value) &&
            scanner_int64(&value, &max) && max > reader->fallback_max)
            reader->fallback_max = max;
    }
}

static void read_fallbacks(struct reader *reader)
{
    struct request_reader *const r = &reader->r;
    struct scanner_value value;

    if (!scanner_value(&r->s, &value) || value.type == SCANNER_NULL)
        return;
    r->request->flags |= TG_REQUEST_FETCHES;
    if (value.type == SCANNER_OBJECT)
        (void)scanner_leave(&r->s); /* a fault sticks */
    if (value.type != SCANNER_ARRAY)
        return;
    while (!r->is_refused && scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read_fallback(reader);
}

/* Edits of the context: of these, a compaction is another reading. */
static void read_context_management(struct request_reader *r)
{
    struct scanner *const s = &r->s;
    const int floor = s->depth;
    char folded[REQUEST_KEY_MAX];
    struct scanner_value value;
    bool is_exact;
    bool is_type = false;

    if (!scanner_value(s, &value))
        return;
    while (s->depth > floor && s->fault == SCANNER_FINE) {
        if (scanner_is_in_object(s)) {
            if (!scanner_member(s, &value))
                continue;
            is_type = span_equal(request_key(&value, folded, &is_exact), SPAN("type"));
        } else if (!scanner_element(s)) {
            continue;
        }
        if (scanner_value(s, &value) && is_type && value.type == SCANNER_STRING &&
            (value.has_escape || span_starts_with(value.text, SPAN("compact"))))
            r->request->flags |= TG_REQUEST_FETCHES;
    }
}

/* --- the body -----------------------------------------------------------------------------------
 */

static void read_field(struct request_reader *r, int number, struct span name)
{
    struct reader *const reader = LIST_ENTRY(r, struct reader, r);

    switch ((enum field)number) {
    case FIELD_MODEL:
        request_read_model(r, name);
        break;
    case FIELD_STREAM:
        request_read_stream(r, name);
        break;
    case FIELD_MAX_TOKENS:
        request_read_maximum(r, name);
        break;
    case FIELD_THINKING:
        read_thinking(r, name);
        break;
    case FIELD_FALLBACKS:
        read_fallbacks(reader);
        break;
    case FIELD_MESSAGES:
        read_content(reader);
        break;
    case FIELD_TOOLS:
        read_tools(r);
        break;
    case FIELD_CONTEXT_MANAGEMENT:
        read_context_management(r);
        break;
    case FIELD_FETCHES:
        request_read_fetching_option(r);
        break;
    case FIELD_METADATA:
        request_read_metadata(r);
        break;
    }
}

/* A fallback may be given more than the request: the larger bounds what can come. */
static void take_fallback_max(int64_t max, struct tg_request *request)
{
    if (max == 0)
        return;
    request->flags |= TG_REQUEST_MAX_FIXED;
    if ((request->flags & TG_REQUEST_MAX_GIVEN) != 0 && max > request->max_output_tokens)
        request->max_output_tokens = max;
}

enum tg_status anthropic_read_request(struct tg_span body, const struct tg_path *path,
                                      struct tg_request *ret_request)
{
    static const struct request_shape shape = {
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .once_count = FIELD_ONCE_COUNT,
        .strict_count = FIELD_STRICT_COUNT,
        .read = read_field,
    };
    struct reader reader = { 0 };

    (void)path; /* says nothing that the body does not */
    TRY(request_read_body(&reader.r, body, &shape, ret_request));
    take_fallback_max(reader.fallback_max, ret_request);
    return TG_OK;
}

int anthropic_plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                         const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX])
{
    (void)kind; /* usage comes unasked */
    if (wish->max_output_tokens == 0)
        return 0;
    if ((request->flags & TG_REQUEST_MAX_FIXED) != 0)
        return -1;
    return request_bound_output(request, "max_tokens", wish->max_output_tokens, edits);
}
