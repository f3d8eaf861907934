#include "providers/openai_responses_request.h"

#include "providers/request_reader.h"

enum field {
    FIELD_MODEL = REQUEST_FIELD_MODEL,
    FIELD_STREAM,
    FIELD_MAX_OUTPUT_TOKENS,
    FIELD_MAX_TOOL_CALLS,
    FIELD_BACKGROUND,
    FIELD_REASONING,
    FIELD_ONCE_COUNT,
    FIELD_INPUT = FIELD_ONCE_COUNT,
    FIELD_TOOLS,
    FIELD_FETCHES, /* any option by which the provider finds input itself */
    FIELD_STRICT_COUNT,
    FIELD_USER = FIELD_STRICT_COUNT,
    FIELD_SAFETY_IDENTIFIER,
    FIELD_METADATA
};

static const struct request_field fields[] = {
    { SPAN("model"), FIELD_MODEL },
    { SPAN("input"), FIELD_INPUT },
    { SPAN("instructions"), FIELD_INPUT }, /* a stored prompt's may be items */
    { SPAN("stream"), FIELD_STREAM },
    { SPAN("tools"), FIELD_TOOLS },
    { SPAN("reasoning"), FIELD_REASONING },
    { SPAN("max_output_tokens"), FIELD_MAX_OUTPUT_TOKENS },
    { SPAN("max_tool_calls"), FIELD_MAX_TOOL_CALLS },
    { SPAN("background"), FIELD_BACKGROUND },
    { SPAN("previous_response_id"), FIELD_FETCHES },
    { SPAN("conversation"), FIELD_FETCHES },
    { SPAN("prompt"), FIELD_FETCHES },
    { SPAN("plugins"), FIELD_FETCHES },           /* OpenRouter */
    { SPAN("search_parameters"), FIELD_FETCHES }, /* xAI */
    { SPAN("user"), FIELD_USER },
    { SPAN("safety_identifier"), FIELD_SAFETY_IDENTIFIER },
    { SPAN("metadata"), FIELD_METADATA },
};

static const struct span client_tools[] = {
    SPAN("function"),
    SPAN("custom"),
    SPAN("namespace"),
    SPAN("local_shell"),
    SPAN("apply_patch"),
    SPAN("computer"),
    SPAN("computer_use_preview"),
    SPAN_EMPTY,
};

/* --- input --------------------------------------------------------------------------------------
 */

/* What an item of the input is; only what it holds itself is bounded by its bytes. */
struct item {
    struct scanner_value type;
    bool has_id;
    bool has_own; /* a role, or reasoning with its text: it stands for itself */
};

static bool says_something(struct request_reader *r, struct scanner_value *ret_value)
{
    if (!scanner_value(&r->s, ret_value))
        return false;
    if (ret_value->type == SCANNER_OBJECT || ret_value->type == SCANNER_ARRAY)
        (void)scanner_leave(&r->s); /* a fault sticks */
    return ret_value->type != SCANNER_NULL;
}

/* return  whether it is a list or object with something in it */
static bool walk_value(struct request_reader *r)
{
    struct scanner_value value;

    if (!scanner_value(&r->s, &value) ||
        (value.type != SCANNER_OBJECT && value.type != SCANNER_ARRAY))
        return false;
    request_walk_media(r);
    return r->s.at - value.text.ptr > 2;
}

static void read_item_member(struct request_reader *r, struct span name, struct item *item)
{
    struct scanner_value value;

    if (span_equal(name, SPAN("type"))) {
        if (says_something(r, &value) && value.type == SCANNER_STRING)
            item->type = value;
    } else if (span_equal(name, SPAN("id"))) {
        item->has_id = says_something(r, &value) || item->has_id;
    } else if (span_equal(name, SPAN("role")) || span_equal(name, SPAN("encrypted_content"))) {
        item->has_own = says_something(r, &value) || item->has_own;
    } else if (request_is_media_key(name)) {
        request_read_media(r, name);
    } else if (walk_value(r) && span_equal(name, SPAN("content"))) {
        item->has_own = true;
    }
}

/* Whether the provider has more of an item than the body shows: one that is named alone, reasoning
 * whose text it keeps, an image it has made. */
static bool is_kept(const struct item *item)
{
    if (item->type.type == SCANNER_NONE)
        return item->has_id && !item->has_own;
    return scanner_is(&item->type, SPAN("item_reference")) ||
           scanner_is(&item->type, SPAN("image_generation_call")) ||
           (scanner_is(&item->type, SPAN("reasoning")) && item->has_id && !item->has_own);
}

static void read_item(struct request_reader *r)
{
    struct item item = { 0 };
    struct scanner_value key;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;

    while (scanner_member(&r->s, &key))
        read_item_member(r, request_key(&key, folded, &is_exact), &item);
    if (is_kept(&item))
        r->request->flags |= TG_REQUEST_FETCHES;
}

static void read_input(struct request_reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read_item(r);
}

/* --- options ------------------------------------------------------------------------------------
 */

static void read_background(struct request_reader *r, struct span field)
{
    struct scanner_value value;

    if (request_read_flag(r, field, "'background' must be true or false.", &value))
        request_refuse(
            r, field,
            "'background' is not served here: its usage could not be metered. Send false, "
            "and 'stream' for a long answer.");
}

/* OpenRouter's `max_tokens` in it is a budget of the output. */
static void read_reasoning(struct request_reader *r)
{
    struct scanner_value key;
    struct scanner_value value;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;

    if (!scanner_enter(&r->s, SCANNER_OBJECT))
        return;
    while (!r->is_refused && scanner_member(&r->s, &key)) {
        if (!span_equal(request_key(&key, folded, &is_exact), SPAN("max_tokens")))
            (void)scanner_skip(&r->s); /* a fault sticks */
        else if (request_read_positive(r, key.text, REQUEST_OUTPUT_MAX,
                                       "'reasoning.max_tokens' must be an integer of 1 or more.",
                                       &value))
            (void)scanner_int64(&value, &r->request->thinking_budget_tokens); /* is one */
    }
}

static void read_max_tool_calls(struct request_reader *r, struct span field)
{
    struct scanner_value value;

    (void)request_read_positive(r, field, REQUEST_OUTPUT_MAX, /* nothing is kept of it */
                                "'max_tool_calls' must be an integer of 1 or more.", &value);
}

/* --- the body -----------------------------------------------------------------------------------
 */

static void read_field(struct request_reader *r, int number, struct span name)
{
    switch ((enum field)number) {
    case FIELD_MODEL:
        request_read_model(r, name);
        break;
    case FIELD_STREAM:
        request_read_stream(r, name);
        break;
    case FIELD_MAX_OUTPUT_TOKENS:
        request_read_maximum(r, name);
        break;
    case FIELD_MAX_TOOL_CALLS:
        read_max_tool_calls(r, name);
        break;
    case FIELD_BACKGROUND:
        read_background(r, name);
        break;
    case FIELD_REASONING:
        read_reasoning(r);
        break;
    case FIELD_INPUT:
        read_input(r);
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

enum tg_status openai_responses_read_request(struct tg_span body, const struct tg_path *path,
                                             struct tg_request *ret_request)
{
    static const struct request_shape shape = {
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .once_count = FIELD_ONCE_COUNT,
        .strict_count = FIELD_STRICT_COUNT,
        .read = read_field,
    };
    struct request_reader r = { 0 };

    (void)path; /* says nothing that the body does not */
    return request_read_body(&r, body, &shape, ret_request);
}

int openai_responses_plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                                const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX])
{
    (void)kind; /* a stream's end always has the usage */
    if (wish->max_output_tokens == 0)
        return 0;
    return request_bound_output(request, "max_output_tokens", wish->max_output_tokens, edits);
}
