#include "providers/gemini_request.h"

#include "providers/request_reader.h"

#include <stdio.h>

#define MODELS SPAN("models/")

enum field {
    FIELD_MODEL = REQUEST_FIELD_MODEL,
    FIELD_CONFIG,
    FIELD_MAX_OUTPUT,
    FIELD_CANDIDATES,
    FIELD_THINKING,
    FIELD_THINKING_BUDGET,
    FIELD_ONCE_COUNT,
    FIELD_CONTENTS = FIELD_ONCE_COUNT,
    FIELD_TOOLS,
    FIELD_FUNCTIONS,
    FIELD_CACHED,
    FIELD_PARTS,
    FIELD_INLINE,
    FIELD_DATA,
    FIELD_MIME_TYPE,
    FIELD_FILE,
    FIELD_FUNCTION_RESPONSE,
    FIELD_REQUESTS
};

/* A known member, in both of its spellings. */
struct name {
    struct span text;
    struct span snake;
    enum field field;
};

struct names {
    const struct name *names;
    size_t count;
};
#define NAMES(array) ((struct names){ (array), sizeof(array) / sizeof((array)[0]) })

static const struct name generate_names[] = {
    { SPAN("contents"), SPAN("contents"), FIELD_CONTENTS },
    { SPAN("systemInstruction"), SPAN("system_instruction"), FIELD_CONTENTS },
    { SPAN("generationConfig"), SPAN("generation_config"), FIELD_CONFIG },
    { SPAN("tools"), SPAN("tools"), FIELD_TOOLS },
    { SPAN("cachedContent"), SPAN("cached_content"), FIELD_CACHED },
    { SPAN("model"), SPAN("model"), FIELD_MODEL },
};

static const struct name config_names[] = {
    { SPAN("maxOutputTokens"), SPAN("max_output_tokens"), FIELD_MAX_OUTPUT },
    { SPAN("candidateCount"), SPAN("candidate_count"), FIELD_CANDIDATES },
    { SPAN("thinkingConfig"), SPAN("thinking_config"), FIELD_THINKING },
};

static const struct name thinking_names[] = {
    { SPAN("thinkingBudget"), SPAN("thinking_budget"), FIELD_THINKING_BUDGET },
};

static const struct name tool_names[] = {
    { SPAN("functionDeclarations"), SPAN("function_declarations"), FIELD_FUNCTIONS },
};

static const struct name content_names[] = {
    { SPAN("parts"), SPAN("parts"), FIELD_PARTS },
};

static const struct name part_names[] = {
    { SPAN("inlineData"), SPAN("inline_data"), FIELD_INLINE },
    { SPAN("fileData"), SPAN("file_data"), FIELD_FILE },
    { SPAN("functionResponse"), SPAN("function_response"), FIELD_FUNCTION_RESPONSE },
};

static const struct name blob_names[] = {
    { SPAN("data"), SPAN("data"), FIELD_DATA },
    { SPAN("mimeType"), SPAN("mime_type"), FIELD_MIME_TYPE },
};

static const struct name count_names[] = {
    { SPAN("model"), SPAN("model"), FIELD_MODEL },
    { SPAN("generateContentRequest"), SPAN("generate_content_request"), FIELD_REQUESTS },
};

static const struct name inner_names[] = {
    { SPAN("model"), SPAN("model"), FIELD_MODEL },
    { SPAN("content"), SPAN("content"), FIELD_CONTENTS },
};

static const struct name embed_names[] = {
    { SPAN("model"), SPAN("model"), FIELD_MODEL },
    { SPAN("content"), SPAN("content"), FIELD_CONTENTS },
    { SPAN("requests"), SPAN("requests"), FIELD_REQUESTS },
};

/* --- members ------------------------------------------------------------------------------------
 */

/* Whether a key in small letters is the name but for capitals and underscores. */
static bool is_alike(struct span folded, struct span name)
{
    size_t matched = 0;

    for (size_t i = 0; i < folded.len; i++) {
        if (folded.ptr[i] == '_')
            continue;
        if (matched == name.len || (name.ptr[matched] | ' ') != folded.ptr[i])
            return false;
        matched++;
    }
    return matched == name.len;
}

/* return  NULL: not known, or refused */
static const struct name *find_name(struct request_reader *r, const struct scanner_value *key,
                                    struct names names)
{
    char text[REQUEST_KEY_MAX];
    bool is_lower;
    const struct span folded = request_key(key, text, &is_lower);

    for (size_t i = 0; i < names.count; i++) {
        const struct name *const name = &names.names[i];

        if (!is_alike(folded, name->text))
            continue;
        if (scanner_is(key, name->text) || scanner_is(key, name->snake))
            return name;
        request_refuse(r, key->text, "Write this field's name as Google's reference does.");
        return NULL;
    }
    return NULL;
}

/* Go to the next member of the object that is open which has one of the names.
 *
 * ret     its key and which it is
 * return  false at the end of the object, on a fault, and when refused */
static bool next_member(struct request_reader *r, struct names names, struct scanner_value *ret_key,
                        enum field *ret_field)
{
    while (!r->is_refused && scanner_member(&r->s, ret_key)) {
        const struct name *const name = find_name(r, ret_key, names);

        if (name == NULL) {
            if (!r->is_refused)
                (void)scanner_skip(&r->s); /* a fault sticks */
            continue;
        }
        if (name->field < FIELD_ONCE_COUNT && (r->seen & 1u << name->field) != 0) {
            request_refuse(r, ret_key->text, "This field appears twice; send it once.");
            return false;
        }
        r->seen |= 1u << name->field;
        *ret_field = name->field;
        return true;
    }
    return false;
}

/* Read each object of a list, or an object alone. */
static void each_object(struct request_reader *r, void (*read)(struct request_reader *r))
{
    struct scanner_value value;

    if (!scanner_value(&r->s, &value))
        return;
    if (value.type == SCANNER_OBJECT)
        read(r);
    if (value.type != SCANNER_ARRAY)
        return;
    while (!r->is_refused && scanner_element(&r->s))
        if (scanner_enter(&r->s, SCANNER_OBJECT))
            read(r);
}

/* Open an object that a field must hold, unless it is null.
 *
 * return  whether it is open */
static bool open_object(struct request_reader *r, struct span field, const char *problem,
                        struct scanner_value *ret_value)
{
    if (!scanner_value(&r->s, ret_value))
        return false;
    if (ret_value->type != SCANNER_OBJECT && ret_value->type != SCANNER_NULL)
        request_refuse(r, field, problem);
    return ret_value->type == SCANNER_OBJECT;
}

/* --- the model ----------------------------------------------------------------------------------
 */

static struct span without_models(struct span model)
{
    return span_starts_with(model, MODELS) ? span_from_offset(model, MODELS.len) : model;
}

static void take_path(struct request_reader *r, const struct tg_path *path)
{
    struct tg_request *const request = r->request;
    const struct span model = without_models(span_of(path->model.ptr, path->model.len));

    if (path->asks_stream)
        request->flags |= TG_REQUEST_STREAM;
    if (model.len == 0 || model.len > TG_MODEL_MAX || request_has_control(model)) {
        request_refuse(r, SPAN("model"),
                       "The path must name a model: 1 to 256 bytes, no control characters.");
        return;
    }
    memcpy(request->model, model.ptr, model.len);
    request->model[model.len] = '\0';
    request->model_len = model.len;
}

/* Whether a model named in the body is the path's, as it is or as the provider knows it. */
static bool is_path_model(const struct request_reader *r, struct span model)
{
    struct span named = span_of(r->request->model, r->request->model_len);
    struct span provider;

    if (span_equal(model, named))
        return true;
    return span_cut(&named, '/', &provider) && named.len > 0 && span_equal(model, named);
}

static void read_model(struct request_reader *r, struct span field)
{
    char text[TG_MODEL_MAX + 16];
    struct scanner_value value;
    size_t len;

    if (!scanner_value(&r->s, &value) || value.type == SCANNER_NULL)
        return;
    if (value.type != SCANNER_STRING || !scanner_unescape(&value, text, sizeof(text), &len) ||
        !is_path_model(r, without_models(span_of(text, len))))
        request_refuse(r, field,
                       "'model' must be the model that the path names, as the provider calls it.");
}

/* --- contents -----------------------------------------------------------------------------------
 */

/* Whether a type is that of a picture which stands still. */
static bool is_still(const struct scanner_value *type)
{
    static const struct span stills[] = {
        SPAN("image/png"),  SPAN("image/jpeg"), SPAN("image/webp"),
        SPAN("image/heic"), SPAN("image/heif"),
    };

    for (size_t i = 0; i < sizeof(stills) / sizeof(stills[0]); i++)
        if (scanner_is(type, stills[i]))
            return true;
    return false;
}

static void read_blob(struct request_reader *r)
{
    struct scanner_value key;
    struct scanner_value value;
    enum field field;
    int types = 0;
    int still_types = 0;

    if (!scanner_enter(&r->s, SCANNER_OBJECT))
        return;
    r->request->media_parts++;
    while (next_member(r, NAMES(blob_names), &key, &field)) {
        if (!scanner_value(&r->s, &value))
            return;
        if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY)
            (void)scanner_leave(&r->s); /* a fault sticks */
        if (field == FIELD_DATA && value.type == SCANNER_STRING)
            r->request->media_bytes += (int64_t)value.text.len;
        if (field != FIELD_MIME_TYPE)
            continue;
        types++;
        still_types += value.type == SCANNER_STRING && is_still(&value) ? 1 : 0;
    }
    if (types > 0 && still_types == types)
        r->request->image_parts++;
}

static void read_file(struct request_reader *r)
{
    if (!scanner_enter(&r->s, SCANNER_OBJECT))
        return;
    r->request->media_parts++;
    r->request->flags |= TG_REQUEST_FETCHES;
    (void)scanner_leave(&r->s); /* a fault sticks */
}

/* What a function answered may hold media in parts of its own, which hold no further answers. */
static void read_response_part(struct request_reader *r)
{
    struct scanner_value key;
    enum field field;

    while (next_member(r, NAMES(part_names), &key, &field)) {
        if (field == FIELD_INLINE)
            read_blob(r);
        else if (field == FIELD_FILE)
            read_file(r);
        else
            (void)scanner_skip(&r->s); /* a fault sticks */
    }
}

static void read_function_response(struct request_reader *r)
{
    struct scanner_value key;
    enum field field;

    if (!scanner_enter(&r->s, SCANNER_OBJECT))
        return;
    while (next_member(r, NAMES(content_names), &key, &field))
        each_object(r, read_response_part);
}

static void read_part(struct request_reader *r)
{
    struct scanner_value key;
    enum field field;

    while (next_member(r, NAMES(part_names), &key, &field)) {
        if (field == FIELD_INLINE)
            read_blob(r);
        else if (field == FIELD_FILE)
            read_file(r);
        else
            read_function_response(r);
    }
}

static void read_content(struct request_reader *r)
{
    struct scanner_value key;
    enum field field;

    while (next_member(r, NAMES(content_names), &key, &field))
        each_object(r, read_part);
}

/* Functions run at the client; all other tools at the provider, which bills what they find as
 * input. */
static void read_tool(struct request_reader *r)
{
    struct scanner_value key;

    while (!r->is_refused && scanner_member(&r->s, &key)) {
        const struct name *const name = find_name(r, &key, NAMES(tool_names));

        if (r->is_refused)
            return;
        if (name != NULL)
            (void)scanner_skip(&r->s); /* a fault sticks */
        else
            request_read_fetching_option(r);
    }
}

/* --- generationConfig ---------------------------------------------------------------------------
 */

static void read_max_output(struct request_reader *r, struct span field)
{
    struct tg_request_places *const places = &r->request->places;

    request_read_maximum(r, field);
    if (r->is_refused || r->s.fault != SCANNER_FINE || places->max_output_end != 0)
        return;
    /* null: no maximum, but what would be put in beside it would be a second one. */
    places->max_output_end = scanner_offset(&r->s);
    places->max_output_start = places->max_output_end - strlen("null");
}

static void read_candidates(struct request_reader *r, struct span field)
{
    struct scanner_value value;

    if (request_read_positive(r, field, TG_CHOICES_MAX,
                              "'candidateCount' must be an integer from 1 to 128.", &value))
        (void)scanner_int64(&value, &r->request->choices); /* is one: just read */
}

/* -1 lets the model choose, 0 asks for none. */
static void read_thinking_budget(struct request_reader *r, struct span field)
{
    struct scanner_value value;
    int64_t budget = 0;

    if (!scanner_value(&r->s, &value) || value.type == SCANNER_NULL)
        return;
    if (!scanner_int64(&value, &budget) || budget < -1 || budget > REQUEST_OUTPUT_MAX) {
        request_refuse(r, field, "'thinkingBudget' must be an integer from -1 to 2147483647.");
        return;
    }
    r->request->thinking_budget_tokens = budget > 0 ? budget : 0;
}

static void read_thinking(struct request_reader *r, struct span field)
{
    struct scanner_value value;
    enum field found;

    if (!open_object(r, field, "'thinkingConfig' must be an object.", &value))
        return;
    while (next_member(r, NAMES(thinking_names), &value, &found))
        read_thinking_budget(r, value.text);
}

static void read_config_field(struct request_reader *r, enum field field, struct span name)
{
    if (field == FIELD_MAX_OUTPUT)
        read_max_output(r, name);
    else if (field == FIELD_CANDIDATES)
        read_candidates(r, name);
    else
        read_thinking(r, name);
}

/* Whether the object that is open has no member. */
static bool is_empty_object(const struct request_reader *r)
{
    struct scanner ahead = r->s;
    struct scanner_value key;

    return !scanner_member(&ahead, &key);
}

static void read_config(struct request_reader *r, struct span field)
{
    struct tg_request_places *const places = &r->request->places;
    struct scanner_value value;
    enum field found;

    if (!open_object(r, field, "'generationConfig' must be an object.", &value)) {
        places->output_object_end = scanner_offset(&r->s);
        places->output_object_start = places->output_object_end - strlen("null");
        return;
    }
    places->output_object_open = scanner_offset(&r->s);
    places->output_object_is_empty = is_empty_object(r);
    while (next_member(r, NAMES(config_names), &value, &found))
        read_config_field(r, found, value.text);
}

/* --- bodies -------------------------------------------------------------------------------------
 */

static void read_generate_field(struct request_reader *r, enum field field, struct span name)
{
    switch ((int)field) {
    case FIELD_MODEL:
        read_model(r, name);
        break;
    case FIELD_CONFIG:
        read_config(r, name);
        break;
    case FIELD_CONTENTS:
        each_object(r, read_content);
        break;
    case FIELD_TOOLS:
        each_object(r, read_tool);
        break;
    case FIELD_CACHED:
        request_read_fetching_option(r);
        break;
    }
}

enum tg_status gemini_read_generate(struct tg_span body, const struct tg_path *path,
                                    struct tg_request *ret_request)
{
    struct request_reader r = { 0 };
    struct scanner_value key;
    enum field field;

    request_begin(&r, body, ret_request);
    take_path(&r, path);
    if (!r.is_refused && r.s.fault == SCANNER_FINE && is_empty_object(&r))
        ret_request->places.root_start = 0; /* what goes in there ends in a comma */
    while (next_member(&r, NAMES(generate_names), &key, &field))
        read_generate_field(&r, field, key.text);
    return request_finish(&r);
}

/* A request inside a body names its model once more. */
static void read_inner(struct request_reader *r)
{
    struct scanner_value key;
    enum field field;

    r->seen &= ~(1u << FIELD_MODEL);
    while (next_member(r, NAMES(inner_names), &key, &field)) {
        if (field == FIELD_MODEL)
            read_model(r, key.text);
        else
            each_object(r, read_content);
    }
}

static enum tg_status read_outer(struct tg_span body, const struct tg_path *path,
                                 struct names names, struct tg_request *ret_request)
{
    struct request_reader r = { 0 };
    struct scanner_value key;
    enum field field;

    request_begin(&r, body, ret_request);
    take_path(&r, path);
    while (next_member(&r, names, &key, &field)) {
        if (field == FIELD_MODEL)
            read_model(&r, key.text);
        else if (field == FIELD_CONTENTS)
            each_object(&r, read_content);
        else
            each_object(&r, read_inner);
    }
    return request_finish(&r);
}

enum tg_status gemini_read_count(struct tg_span body, const struct tg_path *path,
                                 struct tg_request *ret_request)
{
    return read_outer(body, path, NAMES(count_names), ret_request);
}

enum tg_status gemini_read_embed(struct tg_span body, const struct tg_path *path,
                                 struct tg_request *ret_request)
{
    return read_outer(body, path, NAMES(embed_names), ret_request);
}

/* --- edits --------------------------------------------------------------------------------------
 */

int gemini_plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                      const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX])
{
    const struct tg_request_places *const places = &request->places;
    const long long max = (long long)wish->max_output_tokens;
    const size_t open = places->output_object_open;
    char text[sizeof(edits->text)];

    (void)kind; /* a field of the dialect, not of the kind */
    if (max <= 0)
        return 0;
    if (places->max_output_end != 0) {
        (void)snprintf(text, sizeof(text), "%lld", max);
        request_put_edit(edits, places->max_output_start, places->max_output_end, text);
    } else if (open != 0) {
        (void)snprintf(text, sizeof(text), "\"maxOutputTokens\":%lld%s", max,
                       places->output_object_is_empty ? "" : ",");
        request_put_edit(edits, open, open, text);
    } else if (places->output_object_end != 0) {
        (void)snprintf(text, sizeof(text), "{\"maxOutputTokens\":%lld}", max);
        request_put_edit(edits, places->output_object_start, places->output_object_end, text);
    } else if (places->root_start != 0) {
        (void)snprintf(text, sizeof(text), "\"generationConfig\":{\"maxOutputTokens\":%lld},", max);
        request_put_edit(edits, places->root_start, places->root_start, text);
    } else {
        return -1;
    }
    return 1;
}

int gemini_plan_no_edits(const struct tg_request *request, const struct tg_kind *kind,
                         const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX])
{
    (void)request;
    (void)kind;
    (void)edits;
    return wish->max_output_tokens > 0 ? -1 : 0;
}
