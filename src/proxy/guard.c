#include "proxy/guard.h"

#include "base/try.h"
#include "providers/catalogue.h"

/* The paths of design 5.2, without /v1 and without a provider's prefix. */
static const struct {
    struct span path;
    const char *dialect;
} calls[] = {
    { { "/chat/completions", 17 }, "openai-chat" },
    { { "/responses", 10 }, "openai-responses" },
    { { "/embeddings", 11 }, "openai-embeddings" },
    { { "/completions", 12 }, "openai-completions" },
    { { "/moderations", 12 }, "openai-moderations" },
    { { "/messages", 9 }, "anthropic-messages" },
    { { "/messages/count_tokens", 22 }, "anthropic-count-tokens" },
};

/* What may be asked of a model in Google's paths, behind the last ':'. */
static const struct verb {
    struct span name;
    const char *dialect;
    bool asks_stream;
} verbs[] = {
    { { "generateContent", 15 }, "gemini-generate", false },
    { { "streamGenerateContent", 21 }, "gemini-generate", true },
    { { "countTokens", 11 }, "gemini-count", false },
    { { "embedContent", 12 }, "gemini-embed", false },
    { { "batchEmbedContents", 18 }, "gemini-embed-batch", false },
};

struct span guard_query_value(struct span query, struct span name)
{
    struct span pair;

    while (span_cut(&query, '&', &pair)) {
        struct span key;

        if (span_cut(&pair, '=', &key) && span_equal(key, name))
            return pair;
    }
    return SPAN_EMPTY;
}

static bool decode_escape(struct span path, size_t at, char *ret_byte)
{
    static const char allowed[] = ":/@-._~";
    int value = 0;

    if (at + 2 >= path.len)
        return false;
    for (size_t i = at + 1; i <= at + 2; i++) {
        const char c = path.ptr[i];

        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (c >= 'A' && c <= 'F')
            value = value * 16 + (c - 'A' + 10);
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + (c - 'a' + 10);
        else
            return false;
    }
    *ret_byte = (char)value;
    return (value >= '0' && value <= '9') || (value >= 'A' && value <= 'Z') ||
           (value >= 'a' && value <= 'z') || (value != 0 && strchr(allowed, value) != NULL);
}

static enum tg_status decode_segment(struct span path, struct arena *arena, struct span *ret_text)
{
    char *text = arena_alloc(arena, path.len + 1);
    size_t len = 0;

    if (text == NULL)
        return TG_NO_MEMORY;
    for (size_t i = 0; i < path.len; i++) {
        char byte = path.ptr[i];

        if (byte == '%') {
            if (!decode_escape(path, i, &byte))
                return TG_INVALID;
            i += 2;
        }
        text[len++] = byte;
    }
    *ret_text = span_of(text, len);
    return TG_OK;
}

/* Take `segment` off the front where it stands there whole. */
static bool strip(struct span *path, struct span segment)
{
    if (!span_starts_with(*path, segment))
        return false;
    if (path->len > segment.len && path->ptr[segment.len] != '/')
        return false;
    *path = span_from_offset(*path, segment.len);
    return true;
}

static const struct tg_dialect *find_call(struct span path)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (span_equal(path, calls[i].path))
            return catalogue_dialect(span_from(calls[i].dialect));
    }
    return NULL;
}

static bool is_provider_name(struct span name)
{
    if (name.len == 0 || name.len > 63)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

static const struct verb *find_verb(struct span name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (span_equal(name, verbs[i].name))
            return &verbs[i];
    }
    return NULL;
}

/* Whether a model's name could be read as another path by a server that decodes it first. */
static bool is_misleading(struct span model)
{
    struct span piece;
    size_t at;

    if (span_find(model, SPAN(".."), &at))
        return true;
    while (span_cut(&model, ':', &piece))
        if (find_verb(piece) != NULL)
            return true;
    return false;
}

/* Take "models/x:generateContent" apart; the verb follows the last colon, which may be escaped. */
static enum tg_status match_verb(struct span path, struct arena *arena, struct guard_path *ret_path)
{
    const struct span models = SPAN("models/");
    const struct verb *verb;
    struct span model;
    size_t colon;

    TRY(decode_segment(span_from_offset(path, 1), arena, &model));
    colon = model.len;
    while (colon > 0 && model.ptr[colon - 1] != ':')
        colon--;
    verb = find_verb(span_from_offset(model, colon));
    if (verb == NULL || colon == 0)
        return TG_NO_ROUTE;
    model.len = colon - 1;
    if (span_starts_with(model, models))
        model = span_from_offset(model, models.len);
    if (model.len == 0)
        return TG_NO_ROUTE;
    if (is_misleading(model))
        return TG_INVALID;
    ret_path->dialect = ret_path->voice = catalogue_dialect(span_from(verb->dialect));
    ret_path->call = (struct tg_path){ { model.ptr, model.len }, verb->asks_stream };
    return TG_OK;
}

/* A call by POST, once its dialect is known. */
static enum tg_status enter_call(const struct http_head *head, struct guard_path *ret_path)
{
    ret_path->door = GUARD_CALL;
    if (head->wants_upgrade)
        return TG_UPGRADE_REQUIRED;
    return head->method == METHOD_POST ? TG_OK : TG_METHOD_NOT_ALLOWED;
}

/* Take the version off the front, with which a path comes or without.
 *
 * return  whether what follows is Google's own way */
static bool strip_version(struct span *path)
{
    if (strip(path, SPAN("/v1beta")))
        return !strip(path, SPAN("/openai"));
    strip(path, SPAN("/v1"));
    return false;
}

/* Match what follows an optional provider prefix. */
static enum tg_status match_rest(struct span path, const struct http_head *head,
                                 struct arena *arena, struct guard_path *ret_path)
{
    const bool reads = head->method == METHOD_GET || head->method == METHOD_HEAD;
    const bool is_google = strip_version(&path);

    ret_path->dialect = is_google ? NULL : find_call(path);
    ret_path->voice = is_google ? catalogue_dialect(SPAN("gemini-generate")) : ret_path->dialect;
    if (ret_path->dialect != NULL)
        return enter_call(head, ret_path);
    if (head->method == METHOD_POST && (span_starts_with(path, SPAN("/models/")) ||
                                        span_starts_with(path, SPAN("/tunedModels/")))) {
        TRY(match_verb(path, arena, ret_path));
        return enter_call(head, ret_path);
    }
    if (!strip(&path, SPAN("/models")))
        return head->wants_upgrade ? TG_UPGRADE_REQUIRED : TG_NO_ROUTE;
    if (!reads)
        return TG_METHOD_NOT_ALLOWED;
    ret_path->door = path.len <= 1 ? GUARD_MODELS : GUARD_MODEL;
    if (ret_path->door == GUARD_MODELS)
        return TG_OK;
    return decode_segment(span_from_offset(path, 1), arena, &ret_path->rest);
}

static bool escapes_only_in_model(struct span path)
{
    size_t at;
    size_t models;

    if (!span_find_byte(path, '%', &at))
        return true;
    path.len = at;
    return span_find(path, SPAN("/models/"), &models) ||
           span_find(path, SPAN("/tunedModels/"), &models);
}

enum tg_status guard_match(const struct http_head *head, struct arena *arena,
                           struct guard_path *ret_path)
{
    struct span query = head->target;
    struct span path;
    struct span rest;
    enum tg_status status;

    (void)span_cut(&query, '?', &path); /* a target is never empty */
    *ret_path = (struct guard_path){ .query = query, .prefix = SPAN_EMPTY, .rest = SPAN_EMPTY };
    if (span_equal(path, SPAN("/"))) {
        ret_path->door = GUARD_ROOT;
        if (head->wants_upgrade)
            return TG_UPGRADE_REQUIRED;
        return head->method == METHOD_GET || head->method == METHOD_HEAD ? TG_OK
                                                                         : TG_METHOD_NOT_ALLOWED;
    }
    if (!escapes_only_in_model(path))
        return TG_INVALID;
    if (span_equal(path, SPAN("/api/v1/key"))) {
        ret_path->door = GUARD_OWN_KEY;
        return head->method == METHOD_GET ? TG_OK : TG_METHOD_NOT_ALLOWED;
    }
    status = match_rest(path, head, arena, ret_path);
    if (status != TG_NO_ROUTE)
        return status;
    rest = span_from_offset(path, 1);
    (void)span_cut(&rest, '/', &ret_path->prefix);
    if (!is_provider_name(ret_path->prefix) || span_equal(ret_path->prefix, SPAN("v1")) ||
        span_equal(ret_path->prefix, SPAN("v1beta")) || rest.len == 0)
        return TG_NO_ROUTE;
    return match_rest(span_of(rest.ptr - 1, rest.len + 1), head, arena, ret_path);
}

const struct tg_dialect *guard_caller(const struct http_head *head, const struct guard_path *path)
{
    if (path->voice != NULL)
        return path->voice;
    if (head != NULL && http_field(head, SPAN("anthropic-version")) != NULL)
        return catalogue_dialect(SPAN("anthropic-messages"));
    return NULL;
}

static const struct span credential_fields[] = {
    { "authorization", 13 },
    { "x-api-key", 9 },
    { "x-goog-api-key", 14 },
    { "api-key", 7 },
};

#define CREDENTIAL_FIELDS (sizeof(credential_fields) / sizeof(credential_fields[0]))

static struct span presented(const struct http_head *head, size_t form)
{
    struct span value = http_value(head, credential_fields[form]);

    if (form > 0)
        return value;
    if (!span_starts_with_nocase(value, SPAN("bearer ")))
        return SPAN_EMPTY;
    return span_trim(span_from_offset(value, 7));
}

struct span guard_credential(const struct http_head *head, struct span query)
{
    struct span first = SPAN_EMPTY;

    for (size_t form = 0; form <= CREDENTIAL_FIELDS; form++) {
        const struct span value = form < CREDENTIAL_FIELDS ? presented(head, form)
                                                           : guard_query_value(query, SPAN("key"));

        if (span_starts_with(value, SPAN("tgk_")))
            return value;
        if (first.len == 0)
            first = value;
    }
    return first;
}

enum tg_status guard_check_hops(const struct http_head *head, struct span own_id)
{
    int count = 0;

    for (int i = 0; i < head->field_count; i++) {
        struct span hops = head->fields[i].value;
        struct span hop;

        if (!span_equal_nocase(head->fields[i].name, SPAN("x-tollgate-hop")))
            continue;
        while (span_cut(&hops, ',', &hop)) {
            count++;
            if (count > GUARD_HOPS_MAX || span_equal(span_trim(hop), own_id))
                return TG_LOOP;
        }
    }
    return TG_OK;
}
