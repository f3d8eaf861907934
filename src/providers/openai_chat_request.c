#include "providers/openai_chat_request.h"

#include "base/span.h"
#include "providers/scanner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_MAX INT32_MAX

/* Long enough for every known key with each of its letters in its longest form. */
#define KEY_MAX 64

/* So much of a string tells a reference from inline data. */
#define HEAD_MAX 64

enum field {
    FIELD_MODEL,
    FIELD_STREAM,
    FIELD_N,
    FIELD_BEST_OF,
    FIELD_MAX_TOKENS,
    FIELD_MAX_COMPLETION_TOKENS,
    FIELD_STREAM_OPTIONS,
    FIELD_ENFORCED_COUNT,
    FIELD_MESSAGES = FIELD_ENFORCED_COUNT,
    FIELD_TOOLS,
    FIELD_FETCHES /* any option by which the provider finds input itself */
};

static const struct {
    struct span name;
    enum field field;
} fields[] = {
    { SPAN("model"), FIELD_MODEL },
    { SPAN("messages"), FIELD_MESSAGES },
    { SPAN("stream"), FIELD_STREAM },
    { SPAN("stream_options"), FIELD_STREAM_OPTIONS },
    { SPAN("max_tokens"), FIELD_MAX_TOKENS },
    { SPAN("max_completion_tokens"), FIELD_MAX_COMPLETION_TOKENS },
    { SPAN("n"), FIELD_N },
    { SPAN("best_of"), FIELD_BEST_OF },
    { SPAN("tools"), FIELD_TOOLS },
    { SPAN("web_search_options"), FIELD_FETCHES }, /* OpenAI, Perplexity */
    { SPAN("search_parameters"), FIELD_FETCHES },  /* xAI */
    { SPAN("search_settings"), FIELD_FETCHES },    /* Groq */
    { SPAN("enable_search"), FIELD_FETCHES },      /* Alibaba */
    { SPAN("plugins"), FIELD_FETCHES },            /* OpenRouter */
    { SPAN("data_sources"), FIELD_FETCHES },       /* Azure */
    { SPAN("extra_body"), FIELD_FETCHES },         /* Gemini: cached content */
};

/* Members of a content part that carry media, besides every "..._url". */
static const struct span media_keys[] = {
    SPAN("input_audio"), SPAN("input_image"), SPAN("input_video"), SPAN("input_file"),
    SPAN("image"),       SPAN("audio"),       SPAN("video"),       SPAN("document"),
    SPAN("file"),        SPAN("file_id"),     SPAN("image_file"),  SPAN("source"),
};

/* Members, inside media, whose text is the data itself. */
static const struct span data_keys[] = {
    SPAN("data"),     SPAN("file_data"), SPAN("input_audio"), SPAN("bytes"),
    SPAN("b64_json"), SPAN("image"),     SPAN("audio"),       SPAN("video"),
};

/* Members, inside media, that name something the provider has or finds. */
static const struct span reference_keys[] = {
    SPAN("url"), SPAN("id"), SPAN("file_id"), SPAN("file"), SPAN("file_url"), SPAN("document"),
};

struct reader {
    struct scanner s;
    struct tg_request *request;
    uint32_t seen; /* enforced fields, 1u << enum field */
    bool is_refused;
    int64_t media_found; /* strings of the current media member that are media */
    bool is_image;       /* the current media member takes still images alone */
};

static bool is_one_of(struct span text, const struct span *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(text, names[i]))
            return true;
    return false;
}
#define IS_ONE_OF(text, names) is_one_of(text, names, sizeof(names) / sizeof((names)[0]))

static struct tg_span public_span(struct span s)
{
    return (struct tg_span){ s.ptr, s.len };
}

static void refuse(struct reader *r, struct span field, const char *problem)
{
    if (r->is_refused)
        return;
    r->is_refused = true;
    r->request->problem = problem;
    r->request->problem_field = public_span(field);
}

/* --- keys ---------------------------------------------------------------------------------------
 */

static bool is_lower_key(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];

        if (!((c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9')))
            return false;
    }
    return true;
}

/* To small letters, as the most forgiving parser does it: Go's encoding/json also takes the long s
 * (U+017F) for s and the Kelvin sign (U+212A) for k. Shrinks in place. */
static size_t fold(char *text, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        const struct span rest = span_of(text + i, len - i);

        if (span_starts_with(rest, SPAN("\xC5\xBF"))) {
            text[out++] = 's';
            i += 1;
        } else if (span_starts_with(rest, SPAN("\xE2\x84\xAA"))) {
            text[out++] = 'k';
            i += 2;
        } else {
            text[out++] = (char)(*rest.ptr >= 'A' && *rest.ptr <= 'Z' ? *rest.ptr + 32 : *rest.ptr);
        }
    }
    return out;
}

/* The key unescaped and in small letters, in `out` where it is not so already. A key too long to be
 * known comes back empty.
 *
 * is_exact  whether only escapes had to be undone */
static struct span folded_key(const struct scanner_value *key, char out[KEY_MAX], bool *is_exact)
{
    size_t len;
    size_t folded;

    *is_exact = true;
    if (!key->has_escape && is_lower_key(key->text))
        return key->text;
    if (!scanner_unescape(key, out, KEY_MAX, &len))
        return SPAN_EMPTY;
    if (is_lower_key(span_of(out, len)))
        return span_of(out, len);
    folded = fold(out, len);
    *is_exact = false;
    return span_of(out, folded);
}

/* --- media --------------------------------------------------------------------------------------
 */

static bool has_scheme(struct span head)
{
    size_t at;

    return span_find(head, SPAN("://"), &at);
}

/* Judge one string inside media that stands under `key`. */
static void judge_media(struct reader *r, struct span key, const struct scanner_value *string)
{
    char text[HEAD_MAX];
    size_t len;
    struct span head;

    (void)scanner_unescape(string, text, sizeof(text), &len); /* the beginning is enough */
    head = span_of(text, len);
    if (span_starts_with_nocase(head, SPAN("data:")) ||
        (IS_ONE_OF(key, data_keys) && !has_scheme(head))) {
        r->request->media_bytes += (int64_t)string->text.len;
        if (r->is_image && span_starts_with_nocase(head, SPAN("data:image/")))
            r->request->image_parts++;
    } else if (has_scheme(head) || span_ends_with(key, SPAN("_url")) ||
               IS_ONE_OF(key, reference_keys)) {
        r->request->flags |= TG_REQUEST_FETCHES;
    } else {
        return; /* its format, detail, file name */
    }
    r->media_found++;
}

/* The strings of the container just entered, however deep; leaves it. */
static void walk_media(struct reader *r, struct span key)
{
    struct scanner *const s = &r->s;
    const int floor = s->depth - 1;
    char folded[KEY_MAX];
    struct span name = key;
    bool is_exact;

    while (s->depth > floor && s->fault == SCANNER_FINE) {
        struct scanner_value value;

        if (scanner_is_in_object(s)) {
            if (!scanner_member(s, &value))
                continue;
            name = folded_key(&value, folded, &is_exact);
        } else if (!scanner_element(s)) {
            continue;
        }
        if (scanner_value(s, &value) && value.type == SCANNER_STRING)
            judge_media(r, name, &value);
    }
}

/* The value of a media member. */
static void read_media(struct reader *r, struct span key)
{
    struct scanner_value value;

    if (!scanner_value(&r->s, &value) || value.type == SCANNER_NULL)
        return;
    r->media_found = 0;
    r->is_image = span_equal(key, SPAN("image_url"));
    if (value.type == SCANNER_STRING)
        judge_media(r, key, &value);
    else if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY)
        walk_media(r, key);
    r->request->media_parts += r->media_found > 1 ? r->media_found : 1;
}

static void read_part(struct reader *r)
{
    struct scanner_value key;
    char folded[KEY_MAX];
    bool is_exact;

    while (scanner_member(&r->s, &key)) {
        const struct span name = folded_key(&key, folded, &is_exact);

        if (span_ends_with(name, SPAN("_url")) || IS_ONE_OF(name, media_keys))
            read_media(r, name);
        else
            (void)scanner_skip(&r->s); /* a fault sticks */
    }
}

static void read_content(struct reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read_part(r);
}

/* An answer's audio that a later message names is input which the provider has kept. */
static void read_kept_audio(struct reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_OBJECT))
        return;
    r->request->flags |= TG_REQUEST_FETCHES;
    r->request->media_parts++;
    (void)scanner_leave(&r->s); /* a fault sticks */
}

static void read_message(struct reader *r)
{
    struct scanner_value key;
    char folded[KEY_MAX];
    bool is_exact;

    while (scanner_member(&r->s, &key)) {
        const struct span name = folded_key(&key, folded, &is_exact);

        if (span_equal(name, SPAN("content")))
            read_content(r);
        else if (span_equal(name, SPAN("audio")))
            read_kept_audio(r);
        else
            (void)scanner_skip(&r->s); /* a fault sticks */
    }
}

static void read_messages(struct reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read_message(r);
}

/* --- tools and options --------------------------------------------------------------------------
 */

/* Functions and custom tools run at the client; all others at the provider, which bills what they
 * read as input. */
static void read_tool(struct reader *r)
{
    struct scanner_value key;
    struct scanner_value type;
    char folded[KEY_MAX];
    bool is_exact;

    while (scanner_member(&r->s, &key)) {
        if (!span_equal(folded_key(&key, folded, &is_exact), SPAN("type"))) {
            (void)scanner_skip(&r->s); /* a fault sticks */
            continue;
        }
        if (!scanner_value(&r->s, &type))
            return;
        if (type.type == SCANNER_OBJECT || type.type == SCANNER_ARRAY)
            (void)scanner_leave(&r->s); /* a fault sticks */
        else if (type.type == SCANNER_STRING && !scanner_is(&type, SPAN("function")) &&
                 !scanner_is(&type, SPAN("custom")))
            r->request->flags |= TG_REQUEST_FETCHES;
    }
}

static void read_tools(struct reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read_tool(r);
}

static void read_fetching_option(struct reader *r)
{
    struct scanner_value value;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY)
        (void)scanner_leave(&r->s); /* a fault sticks */
    if (value.type != SCANNER_NULL && value.type != SCANNER_FALSE)
        r->request->flags |= TG_REQUEST_FETCHES;
}

/* --- enforced fields ----------------------------------------------------------------------------
 */

static bool has_control_character(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7F)
            return true;
    return false;
}

static void read_model(struct reader *r, struct span field)
{
    struct tg_request *const request = r->request;
    struct scanner_value value;
    struct span model;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type != SCANNER_STRING) {
        refuse(r, field, "'model' must be a string that names a model.");
        return;
    }
    if (!scanner_unescape(&value, request->model, TG_MODEL_MAX, &request->model_len)) {
        refuse(r, field, "'model' must be valid Unicode of at most 256 bytes.");
        return;
    }
    model = span_of(request->model, request->model_len);
    if (model.len == 0 || has_control_character(model)) {
        refuse(r, field, "'model' must name a model: 1 to 256 bytes, no control characters.");
        return;
    }
    request->model[model.len] = '\0';
    request->places.model_end = scanner_offset(&r->s);
    request->places.model_start = request->places.model_end - value.text.len - 2;
    if (span_ends_with(model, SPAN(":online"))) /* OpenRouter: the same with a web search */
        request->flags |= TG_REQUEST_FETCHES;
}

static void read_stream(struct reader *r, struct span field)
{
    struct scanner_value value;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type == SCANNER_TRUE)
        r->request->flags |= TG_REQUEST_STREAM;
    else if (value.type != SCANNER_FALSE && value.type != SCANNER_NULL)
        refuse(r, field, "'stream' must be true or false.");
}

/* An integer of 1..max.
 *
 * return  false where there is none: null, or refused */
static bool read_positive(struct reader *r, struct span field, int64_t max, const char *problem,
                          struct scanner_value *ret_value)
{
    int64_t number;

    if (!scanner_value(&r->s, ret_value) || ret_value->type == SCANNER_NULL)
        return false;
    if (!scanner_int64(ret_value, &number) || number < 1 || number > max) {
        refuse(r, field, problem);
        return false;
    }
    return true;
}

static void read_choices(struct reader *r, struct span field)
{
    struct scanner_value value;

    if (read_positive(r, field, TG_CHOICES_MAX, "'n' must be an integer from 1 to 128.", &value))
        (void)scanner_int64(&value, &r->request->choices); /* is one: just read */
}

static void read_best_of(struct reader *r, struct span field)
{
    struct scanner_value value;

    (void)read_positive(r, field, 1, /* nothing is kept of it */
                        "'best_of' generates choices that are billed and never shown; leave it out "
                        "and ask for 'n'.",
                        &value);
}

static void read_max_output(struct reader *r, struct span field)
{
    struct tg_request *const request = r->request;
    struct tg_request_places *const places = &request->places;
    struct scanner_value value;
    size_t end;
    size_t start;
    int64_t max = 0;

    if (!read_positive(
            r, field, OUTPUT_MAX,
            "The output maximum must be an integer from 1 to 2147483647, written without "
            "fraction or exponent; leave it out for no maximum.",
            &value))
        return;
    (void)scanner_int64(&value, &max); /* is one: just read */
    end = scanner_offset(&r->s);
    start = end - value.text.len;
    if ((request->flags & TG_REQUEST_MAX_GIVEN) != 0 && max <= request->max_output_tokens) {
        places->max_output_other_start = start;
        places->max_output_other_end = end;
        return;
    }
    places->max_output_other_start = places->max_output_start;
    places->max_output_other_end = places->max_output_end;
    places->max_output_start = start;
    places->max_output_end = end;
    request->max_output_tokens = max;
    request->flags |= TG_REQUEST_MAX_GIVEN;
}

static void read_include_usage(struct reader *r, struct span field)
{
    struct tg_request_places *const places = &r->request->places;
    struct scanner_value value;

    if (places->include_usage_end != 0) {
        refuse(r, field, "'include_usage' appears twice; send it once.");
        return;
    }
    if (!scanner_value(&r->s, &value))
        return;
    places->include_usage_end = scanner_offset(&r->s);
    places->include_usage_start = places->include_usage_end - value.text.len;
    if (value.type == SCANNER_TRUE)
        r->request->flags |= TG_REQUEST_WANTS_USAGE;
    else if (value.type != SCANNER_FALSE && value.type != SCANNER_NULL)
        refuse(r, field, "'include_usage' must be true or false.");
}

static void read_stream_options(struct reader *r, struct span field)
{
    struct tg_request_places *const places = &r->request->places;
    struct scanner_value value;
    char folded[KEY_MAX];
    bool is_exact;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type == SCANNER_NULL) {
        places->stream_options_end = scanner_offset(&r->s);
        places->stream_options_start = places->stream_options_end - value.text.len;
        return;
    }
    if (value.type != SCANNER_OBJECT) {
        refuse(r, field, "'stream_options' must be an object.");
        return;
    }
    places->stream_options_open = scanner_offset(&r->s);
    places->stream_options_is_empty = true;
    while (!r->is_refused && scanner_member(&r->s, &value)) {
        places->stream_options_is_empty = false;
        if (!span_equal(folded_key(&value, folded, &is_exact), SPAN("include_usage")))
            (void)scanner_skip(&r->s); /* a fault sticks */
        else if (!is_exact)
            refuse(r, value.text, "Write 'include_usage' in small letters.");
        else
            read_include_usage(r, value.text);
    }
}

/* --- the body -----------------------------------------------------------------------------------
 */

static void read_field(struct reader *r, enum field field, struct span name)
{
    switch (field) {
    case FIELD_MODEL:
        read_model(r, name);
        break;
    case FIELD_STREAM:
        read_stream(r, name);
        break;
    case FIELD_N:
        read_choices(r, name);
        break;
    case FIELD_BEST_OF:
        read_best_of(r, name);
        break;
    case FIELD_MAX_TOKENS:
    case FIELD_MAX_COMPLETION_TOKENS:
        read_max_output(r, name);
        break;
    case FIELD_STREAM_OPTIONS:
        read_stream_options(r, name);
        break;
    case FIELD_MESSAGES:
        read_messages(r);
        break;
    case FIELD_TOOLS:
        read_tools(r);
        break;
    case FIELD_FETCHES:
        read_fetching_option(r);
        break;
    }
}

static bool find_field(struct span name, enum field *ret_field)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (span_equal(name, fields[i].name)) {
            *ret_field = fields[i].field;
            return true;
        }
    }
    return false;
}

static void read_member(struct reader *r, const struct scanner_value *key)
{
    char folded[KEY_MAX];
    bool is_exact;
    enum field field;

    if (!find_field(folded_key(key, folded, &is_exact), &field)) {
        (void)scanner_skip(&r->s); /* a fault sticks */
        return;
    }
    if (!is_exact) {
        refuse(r, key->text, "Write this field's name in small letters.");
        return;
    }
    if (field < FIELD_ENFORCED_COUNT && (r->seen & 1u << field) != 0) {
        refuse(r, key->text, "This field appears twice; send it once.");
        return;
    }
    r->seen |= 1u << field;
    read_field(r, field, key->text);
}

enum tg_status openai_chat_read_request(struct tg_span body, const struct tg_path *path,
                                        struct tg_request *ret_request)
{
    struct reader r = { .request = ret_request };
    struct scanner_value value;
    enum tg_status status;

    (void)path; /* says nothing that the body does not */
    *ret_request = (struct tg_request){ .choices = 1 };
    scanner_init(&r.s, span_of(body.ptr, body.len));
    if (scanner_value(&r.s, &value) && value.type != SCANNER_OBJECT)
        refuse(&r, SPAN_EMPTY, "The body must be a JSON object.");
    ret_request->places.root_start = scanner_offset(&r.s);
    while (!r.is_refused && scanner_member(&r.s, &value))
        read_member(&r, &value);
    if (r.is_refused)
        return TG_INVALID;
    status = scanner_finish(&r.s);
    if (status == TG_OUT_OF_RANGE)
        refuse(&r, SPAN_EMPTY, "The body is nested deeper than 64 levels.");
    else if (status != TG_OK)
        refuse(&r, SPAN_EMPTY, "The body is not valid JSON in UTF-8.");
    else if ((r.seen & 1u << FIELD_MODEL) == 0)
        refuse(&r, SPAN("model"), "'model' is missing; name the model to use.");
    return r.is_refused && status == TG_OK ? TG_INVALID : status;
}

/* --- edits --------------------------------------------------------------------------------------
 */

static void put_edit(struct tg_edit *edit, size_t start, size_t end, const char *text)
{
    const size_t len = strlen(text);

    assert(len < sizeof(edit->text));
    *edit = (struct tg_edit){ .start = start, .end = end, .text_len = len };
    memcpy(edit->text, text, len + 1);
}

/* Ask for the usage chunk. */
static void ask_for_usage(const struct tg_request_places *places, struct tg_edit *edit)
{
    const size_t open = places->stream_options_open;

    if (places->include_usage_end != 0)
        put_edit(edit, places->include_usage_start, places->include_usage_end, "true");
    else if (places->stream_options_end != 0)
        put_edit(edit, places->stream_options_start, places->stream_options_end,
                 "{\"include_usage\":true}");
    else if (open != 0)
        put_edit(edit, open, open,
                 places->stream_options_is_empty ? "\"include_usage\":true"
                                                 : "\"include_usage\":true,");
    else
        put_edit(edit, places->root_start, places->root_start,
                 "\"stream_options\":{\"include_usage\":true},");
}

static const char *output_field(const struct tg_kind *kind, const struct tg_wish *wish)
{
    if (wish->output_field != NULL)
        return wish->output_field;
    return kind->output_field != NULL ? kind->output_field : "max_tokens";
}

/* Lower the output's maximum in each field that the client gave, or put one in. */
static int bound_output(const struct tg_request *request, const struct tg_kind *kind,
                        const struct tg_wish *wish, struct tg_edit *edits)
{
    const struct tg_request_places *const places = &request->places;
    char text[sizeof(edits->text)];

    if (places->max_output_end == 0) {
        (void)snprintf(text, sizeof(text), "\"%s\":%lld,", output_field(kind, wish),
                       (long long)wish->max_output_tokens);
        put_edit(&edits[0], places->root_start, places->root_start, text);
        return 1;
    }
    (void)snprintf(text, sizeof(text), "%lld", (long long)wish->max_output_tokens);
    put_edit(&edits[0], places->max_output_start, places->max_output_end, text);
    if (places->max_output_other_end == 0)
        return 1;
    put_edit(&edits[1], places->max_output_other_start, places->max_output_other_end, text);
    return 2;
}

static int compare_edits(const void *a, const void *b)
{
    const struct tg_edit *const first = a;
    const struct tg_edit *const second = b;

    return (first->start > second->start) - (first->start < second->start);
}

int openai_chat_plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                           const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX])
{
    int count = 0;

    if ((kind->flags & TG_KIND_ASKS_USAGE) != 0 && (request->flags & TG_REQUEST_STREAM) != 0 &&
        (request->flags & TG_REQUEST_WANTS_USAGE) == 0)
        ask_for_usage(&request->places, &edits[count++]);
    if (wish->max_output_tokens > 0)
        count += bound_output(request, kind, wish, &edits[count]);
    qsort(edits, (size_t)count, sizeof(edits[0]), compare_edits);
    return count;
}
