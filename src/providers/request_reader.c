#include "providers/request_reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So much of a string tells a reference from inline data. */
#define HEAD_MAX 64

/* Members of a content part that carry media, besides every "..._url". */
static const struct span media_keys[] = {
    SPAN("input_audio"), SPAN("input_image"), SPAN("input_video"), SPAN("input_file"),
    SPAN("image"),       SPAN("audio"),       SPAN("video"),       SPAN("document"),
    SPAN("file"),        SPAN("file_id"),     SPAN("image_file"),  SPAN("source"),
    SPAN("file_data"),
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

static bool is_one_of(struct span text, const struct span *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(text, names[i]))
            return true;
    return false;
}
#define IS_ONE_OF(text, names) is_one_of(text, names, sizeof(names) / sizeof((names)[0]))

void request_refuse(struct request_reader *r, struct span field, const char *problem)
{
    if (r->is_refused)
        return;
    r->is_refused = true;
    r->request->problem = problem;
    r->request->problem_field = (struct tg_span){ field.ptr, field.len };
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

struct span request_key(const struct scanner_value *key, char out[REQUEST_KEY_MAX], bool *is_exact)
{
    size_t len;
    size_t folded;

    *is_exact = true;
    if (!key->has_escape && is_lower_key(key->text))
        return key->text;
    if (!scanner_unescape(key, out, REQUEST_KEY_MAX, &len))
        return SPAN_EMPTY;
    if (is_lower_key(span_of(out, len)))
        return span_of(out, len);
    folded = fold(out, len);
    *is_exact = false;
    return span_of(out, folded);
}

/* --- enforced fields ----------------------------------------------------------------------------
 */

bool request_has_control(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7F)
            return true;
    return false;
}

void request_read_model(struct request_reader *r, struct span field)
{
    struct tg_request *const request = r->request;
    struct scanner_value value;
    struct span model;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type != SCANNER_STRING) {
        request_refuse(r, field, "'model' must be a string that names a model.");
        return;
    }
    if (!scanner_unescape(&value, request->model, TG_MODEL_MAX, &request->model_len)) {
        request_refuse(r, field, "'model' must be valid Unicode of at most 256 bytes.");
        return;
    }
    model = span_of(request->model, request->model_len);
    if (model.len == 0 || request_has_control(model)) {
        request_refuse(r, field,
                       "'model' must name a model: 1 to 256 bytes, no control characters.");
        return;
    }
    request->model[model.len] = '\0';
    request->places.model_end = scanner_offset(&r->s);
    request->places.model_start = request->places.model_end - value.text.len - 2;
    if (span_ends_with(model, SPAN(":online"))) /* OpenRouter: the same with a web search */
        request->flags |= TG_REQUEST_FETCHES;
}

bool request_read_flag(struct request_reader *r, struct span field, const char *problem,
                       struct scanner_value *ret_value)
{
    if (!scanner_value(&r->s, ret_value))
        return false;
    if (ret_value->type != SCANNER_TRUE && ret_value->type != SCANNER_FALSE &&
        ret_value->type != SCANNER_NULL)
        request_refuse(r, field, problem);
    return ret_value->type == SCANNER_TRUE;
}

void request_read_stream(struct request_reader *r, struct span field)
{
    struct scanner_value value;

    if (request_read_flag(r, field, "'stream' must be true or false.", &value))
        r->request->flags |= TG_REQUEST_STREAM;
}

bool request_read_positive(struct request_reader *r, struct span field, int64_t max,
                           const char *problem, struct scanner_value *ret_value)
{
    int64_t number;

    if (!scanner_value(&r->s, ret_value) || ret_value->type == SCANNER_NULL)
        return false;
    if (!scanner_int64(ret_value, &number) || number < 1 || number > max) {
        request_refuse(r, field, problem);
        return false;
    }
    return true;
}

void request_read_choices(struct request_reader *r, struct span field)
{
    struct scanner_value value;

    if (request_read_positive(r, field, TG_CHOICES_MAX, "'n' must be an integer from 1 to 128.",
                              &value))
        (void)scanner_int64(&value, &r->request->choices); /* is one: just read */
}

/* A null stays where another field is put in, and gives way where it is its own. */
static void note_null_maximum(struct request_reader *r, struct span field)
{
    struct tg_null_place *const nulls = r->request->places.null_maxima;
    const struct scanner_value name = { SCANNER_STRING, true, field };
    const size_t end = scanner_offset(&r->s);

    for (int i = 0; i < TG_NULL_MAXIMA_MAX; i++) {
        if (nulls[i].end != 0)
            continue;
        nulls[i] = (struct tg_null_place){ end - strlen("null"), end, scanner_text_bytes(&name) };
        return;
    }
}

void request_read_maximum(struct request_reader *r, struct span field)
{
    struct tg_request *const request = r->request;
    struct tg_request_places *const places = &request->places;
    struct scanner_value value = { 0 };
    size_t end;
    size_t start;
    int64_t max = 0;

    if (!request_read_positive(
            r, field, REQUEST_OUTPUT_MAX,
            "The output maximum must be an integer from 1 to 2147483647, written without "
            "fraction or exponent; leave it out for no maximum.",
            &value)) {
        if (value.type == SCANNER_NULL)
            note_null_maximum(r, field);
        return;
    }
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

static void read_include_usage(struct request_reader *r, struct span field)
{
    struct tg_request_places *const places = &r->request->places;
    struct scanner_value value;

    if (places->include_usage_end != 0) {
        request_refuse(r, field, "'include_usage' appears twice; send it once.");
        return;
    }
    if (request_read_flag(r, field, "'include_usage' must be true or false.", &value))
        r->request->flags |= TG_REQUEST_WANTS_USAGE;
    if (r->is_refused || r->s.fault != SCANNER_FINE)
        return;
    places->include_usage_end = scanner_offset(&r->s);
    places->include_usage_start = places->include_usage_end - value.text.len;
}

void request_read_stream_options(struct request_reader *r, struct span field)
{
    struct tg_request_places *const places = &r->request->places;
    struct scanner_value value;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type == SCANNER_NULL) {
        places->stream_options_end = scanner_offset(&r->s);
        places->stream_options_start = places->stream_options_end - value.text.len;
        return;
    }
    if (value.type != SCANNER_OBJECT) {
        request_refuse(r, field, "'stream_options' must be an object.");
        return;
    }
    places->stream_options_open = scanner_offset(&r->s);
    places->stream_options_is_empty = true;
    while (!r->is_refused && scanner_member(&r->s, &value)) {
        places->stream_options_is_empty = false;
        if (!span_equal(request_key(&value, folded, &is_exact), SPAN("include_usage")))
            (void)scanner_skip(&r->s); /* a fault sticks */
        else if (!is_exact)
            request_refuse(r, value.text, "Write 'include_usage' in small letters.");
        else
            read_include_usage(r, value.text);
    }
}

void request_read_fetching_option(struct request_reader *r)
{
    struct scanner_value value;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY)
        (void)scanner_leave(&r->s); /* a fault sticks */
    if (value.type != SCANNER_NULL && value.type != SCANNER_FALSE)
        r->request->flags |= TG_REQUEST_FETCHES;
}

static void judge_tool(struct request_reader *r, const struct span *client_types)
{
    struct scanner_value type;

    if (!scanner_value(&r->s, &type))
        return;
    if (type.type == SCANNER_OBJECT || type.type == SCANNER_ARRAY)
        (void)scanner_leave(&r->s); /* a fault sticks */
    if (type.type != SCANNER_STRING)
        return;
    for (; client_types->len > 0; client_types++)
        if (scanner_is(&type, *client_types))
            return;
    r->request->flags |= TG_REQUEST_FETCHES;
}

/* The members of a tool. Of a group, those of its `tools` are read in the same loop: what has a
 * type stands in a list of tools, however deep. */
static void read_tool(struct request_reader *r, const struct span *client_types)
{
    const int floor = r->s.depth - 1;
    struct scanner_value key;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;

    while (r->s.depth > floor && r->s.fault == SCANNER_FINE) {
        if (!scanner_is_in_object(&r->s)) {
            if (scanner_element(&r->s))
                (void)scanner_enter(&r->s, SCANNER_OBJECT);
            continue;
        }
        if (!scanner_member(&r->s, &key))
            continue;
        const struct span name = request_key(&key, folded, &is_exact);

        if (span_equal(name, SPAN("type")))
            judge_tool(r, client_types);
        else if (span_equal(name, SPAN("tools")))
            (void)scanner_enter(&r->s, SCANNER_ARRAY);
        else
            (void)scanner_skip(&r->s); /* a fault sticks */
    }
}

void request_read_tools(struct request_reader *r, const struct span *client_types)
{
    if (!scanner_enter(&r->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read_tool(r, client_types);
}

void request_read_user(struct request_reader *r, int rank)
{
    struct tg_request *const request = r->request;
    struct scanner_value value;
    size_t len;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY)
        (void)scanner_leave(&r->s); /* a fault sticks */
    if (value.type != SCANNER_STRING || value.text.len == 0 || rank < r->user_rank)
        return;
    r->user_rank = rank;
    (void)scanner_unescape(&value, request->user, TG_USER_MAX, &len); /* cut where longer */
    request->user[len] = '\0';
    if (request_has_control(span_of(request->user, len)))
        request->user[0] = '\0';
}

void request_read_metadata(struct request_reader *r)
{
    struct scanner_value key;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;

    if (!scanner_enter(&r->s, SCANNER_OBJECT))
        return;
    while (scanner_member(&r->s, &key)) {
        if (span_equal(request_key(&key, folded, &is_exact), SPAN("user_id")))
            request_read_user(r, /* rank= */ 1);
        else
            (void)scanner_skip(&r->s); /* a fault sticks */
    }
}

/* --- media --------------------------------------------------------------------------------------
 */

static bool has_scheme(struct span head)
{
    size_t at;

    return span_find(head, SPAN("://"), &at);
}

/* Judge one string inside media that stands under `key`. */
static void judge_media(struct request_reader *r, struct span key,
                        const struct scanner_value *string)
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
static void walk_strings(struct request_reader *r, struct span key)
{
    struct scanner *const s = &r->s;
    const int floor = s->depth - 1;
    char folded[REQUEST_KEY_MAX];
    struct span name = key;
    bool is_exact;

    while (s->depth > floor && s->fault == SCANNER_FINE) {
        struct scanner_value value;

        if (scanner_is_in_object(s)) {
            if (!scanner_member(s, &value))
                continue;
            name = request_key(&value, folded, &is_exact);
        } else if (!scanner_element(s)) {
            continue;
        }
        if (scanner_value(s, &value) && value.type == SCANNER_STRING)
            judge_media(r, name, &value);
    }
}

bool request_is_media_key(struct span key)
{
    return span_ends_with(key, SPAN("_url")) || IS_ONE_OF(key, media_keys);
}

void request_read_media(struct request_reader *r, struct span key)
{
    struct scanner_value value;

    if (!scanner_value(&r->s, &value) || value.type == SCANNER_NULL)
        return;
    r->media_found = 0;
    r->is_image = span_equal(key, SPAN("image_url"));
    if (value.type == SCANNER_STRING)
        judge_media(r, key, &value);
    else if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY)
        walk_strings(r, key);
    r->request->media_parts += r->media_found > 1 ? r->media_found : 1;
}

static void read_part(struct request_reader *r)
{
    struct scanner_value key;
    char folded[REQUEST_KEY_MAX];
    bool is_exact;

    while (scanner_member(&r->s, &key)) {
        const struct span name = request_key(&key, folded, &is_exact);

        if (request_is_media_key(name))
            request_read_media(r, name);
        else
            (void)scanner_skip(&r->s); /* a fault sticks */
    }
}

void request_read_content(struct request_reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_ARRAY))
        return;
    while (scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read_part(r);
}

void request_walk_media(struct request_reader *r)
{
    struct scanner *const s = &r->s;
    const int floor = s->depth - 1;
    char folded[REQUEST_KEY_MAX];
    struct scanner_value value;
    bool is_exact;

    while (s->depth > floor && s->fault == SCANNER_FINE) {
        if (!scanner_is_in_object(s)) {
            if (scanner_element(s))
                (void)scanner_value(s, &value); /* opens what is a container; a fault sticks */
            continue;
        }
        if (!scanner_member(s, &value))
            continue;
        const struct span name = request_key(&value, folded, &is_exact);

        if (request_is_media_key(name))
            request_read_media(r, name);
        else if (span_equal(name, SPAN("annotations")))
            (void)scanner_skip(s); /* what an answer quoted: nothing is read again */
        else
            (void)scanner_value(s, &value); /* as above */
    }
}

/* --- edits --------------------------------------------------------------------------------------
 */

void request_put_edit(struct tg_edit *edit, size_t start, size_t end, const char *text)
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
        request_put_edit(edit, places->include_usage_start, places->include_usage_end, "true");
    else if (places->stream_options_end != 0)
        request_put_edit(edit, places->stream_options_start, places->stream_options_end,
                         "{\"include_usage\":true}");
    else if (open != 0)
        request_put_edit(edit, open, open,
                         places->stream_options_is_empty ? "\"include_usage\":true"
                                                         : "\"include_usage\":true,");
    else
        request_put_edit(edit, places->root_start, places->root_start,
                         "\"stream_options\":{\"include_usage\":true},");
}

int request_ask_usage(const struct tg_request *request, const struct tg_kind *kind,
                      struct tg_edit *edits)
{
    if ((kind->flags & TG_KIND_ASKS_USAGE) == 0 || (request->flags & TG_REQUEST_STREAM) == 0 ||
        (request->flags & TG_REQUEST_WANTS_USAGE) != 0)
        return 0;
    ask_for_usage(&request->places, edits);
    return 1;
}

int request_bound_output(const struct tg_request *request, const char *field, int64_t max_tokens,
                         struct tg_edit *edits)
{
    const struct tg_request_places *const places = &request->places;
    char text[sizeof(edits->text)];

    (void)snprintf(text, sizeof(text), "%lld", (long long)max_tokens);
    for (int i = 0; i < TG_NULL_MAXIMA_MAX && places->max_output_end == 0; i++) {
        const struct tg_null_place *const null = &places->null_maxima[i];

        if (null->end == 0 || null->name_len != strlen(field))
            continue;
        request_put_edit(&edits[0], null->start, null->end, text);
        return 1;
    }
    if (places->max_output_end == 0) {
        (void)snprintf(text, sizeof(text), "\"%s\":%lld,", field, (long long)max_tokens);
        request_put_edit(&edits[0], places->root_start, places->root_start, text);
        return 1;
    }
    request_put_edit(&edits[0], places->max_output_start, places->max_output_end, text);
    if (places->max_output_other_end == 0)
        return 1;
    request_put_edit(&edits[1], places->max_output_other_start, places->max_output_other_end, text);
    return 2;
}

static int compare_edits(const void *a, const void *b)
{
    const struct tg_edit *const first = a;
    const struct tg_edit *const second = b;

    return (first->start > second->start) - (first->start < second->start);
}

void request_sort_edits(struct tg_edit *edits, int count)
{
    qsort(edits, (size_t)count, sizeof(edits[0]), compare_edits);
}

/* --- the body -----------------------------------------------------------------------------------
 */

static const struct request_field *find_field(const struct request_shape *shape, struct span name)
{
    for (int i = 0; i < shape->field_count; i++)
        if (span_equal(name, shape->fields[i].name))
            return &shape->fields[i];
    return NULL;
}

static void read_member(struct request_reader *r, const struct request_shape *shape,
                        const struct scanner_value *key)
{
    char folded[REQUEST_KEY_MAX];
    bool is_exact;
    const struct request_field *const field =
        find_field(shape, request_key(key, folded, &is_exact));

    if (field == NULL || (!is_exact && field->number >= shape->strict_count)) {
        (void)scanner_skip(&r->s); /* a fault sticks */
        return;
    }
    if (!is_exact) {
        request_refuse(r, key->text, "Write this field's name in small letters.");
        return;
    }
    if (field->number < shape->once_count && (r->seen & 1u << field->number) != 0) {
        request_refuse(r, key->text, "This field appears twice; send it once.");
        return;
    }
    r->seen |= 1u << field->number;
    shape->read(r, field->number, key->text);
}

static void take_default_model(struct request_reader *r, const char *model)
{
    struct tg_request *const request = r->request;

    if (model == NULL) {
        request_refuse(r, SPAN("model"), "'model' is missing; name the model to use.");
        return;
    }
    request->model_len = strlen(model);
    assert(request->model_len <= TG_MODEL_MAX);
    memcpy(request->model, model, request->model_len + 1);
}

void request_begin(struct request_reader *r, struct tg_span body, struct tg_request *ret_request)
{
    struct scanner_value value;

    r->request = ret_request;
    *ret_request = (struct tg_request){ .choices = 1 };
    scanner_init(&r->s, span_of(body.ptr, body.len));
    if (scanner_value(&r->s, &value) && value.type != SCANNER_OBJECT)
        request_refuse(r, SPAN_EMPTY, "The body must be a JSON object.");
    ret_request->places.root_start = scanner_offset(&r->s);
}

enum tg_status request_finish(struct request_reader *r)
{
    enum tg_status status;

    if (r->is_refused)
        return TG_INVALID;
    status = scanner_finish(&r->s);
    if (status == TG_OUT_OF_RANGE)
        request_refuse(r, SPAN_EMPTY, "The body is nested deeper than 64 levels.");
    else if (status != TG_OK)
        request_refuse(r, SPAN_EMPTY, "The body is not valid JSON in UTF-8.");
    return status;
}

enum tg_status request_read_body(struct request_reader *r, struct tg_span body,
                                 const struct request_shape *shape, struct tg_request *ret_request)
{
    struct scanner_value key;
    enum tg_status status;

    request_begin(r, body, ret_request);
    while (!r->is_refused && scanner_member(&r->s, &key))
        read_member(r, shape, &key);
    status = request_finish(r);
    if (status == TG_OK && (r->seen & 1u << REQUEST_FIELD_MODEL) == 0)
        take_default_model(r, shape->default_model);
    return r->is_refused && status == TG_OK ? TG_INVALID : status;
}
