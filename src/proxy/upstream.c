#include "proxy/upstream.h"

#include "base/money.h"
#include "base/try.h"
#include "providers/catalogue.h"
#include "proxy/guard.h"
#include "proxy/rates.h"

#include <assert.h>

/* The client's fields, and our address, secret and hops. */
#define HEAD_BYTES_MAX ((size_t)2 * HTTP_HEAD_MAX)
/* What most heads fit into, so that they need not grow by doubling. */
#define HEAD_BYTES_USUAL ((size_t)1024)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What never passes, by the length of its name: names of one length in a line, in small
 * letters. Hop-by-hop fields (RFC 9110 7.6.1), credentials, and the list of design 3.7. */
static const char *const request_denied[] = {
    [2] = "te",
    [3] = "via",
    [4] = "host",
    [6] = "expect cookie",
    [7] = "trailer upgrade api-key",
    [9] = "forwarded x-real-ip x-api-key",
    [10] = "connection keep-alive",
    [12] = "x-request-id",
    [13] = "authorization",
    [14] = "content-length true-client-ip openai-project x-goog-api-key",
    [15] = "accept-encoding",
    [16] = "x-goog-fieldmask", /* would leave the usage out of the answer */
    [17] = "transfer-encoding",
    [19] = "openai-organization x-goog-user-project",
};
static const struct span request_denied_prefixes[] = {
    { "x-forwarded-", 12 },
    { "cf-", 3 },
    { "x-tollgate-", 11 },
    { "proxy-", 6 },
};
static const char *const answer_denied[] = {
    [2] = "te",
    [3] = "nel via",
    [6] = "server",
    [7] = "alt-svc trailer upgrade",
    [8] = "location",
    [9] = "report-to",
    [10] = "connection keep-alive set-cookie",
    [11] = "set-cookie2",
    [12] = "x-request-id",
    [14] = "content-length openai-project",
    [15] = "clear-site-data",
    [17] = "transfer-encoding",
    [19] = "openai-organization x-goog-user-project",
    [23] = "content-security-policy",
    [25] = "strict-transport-security",
    [35] = "content-security-policy-report-only",
};
static const struct span answer_denied_prefixes[] = {
    { "access-control-", 15 }, { "x-tollgate-", 11 }, { "cf-", 3 },
    { "proxy-", 6 },           { "x-accel-", 8 },
};

/* Where ours stand. */
static const struct span answer_denied_prefixes_with_rates[] = {
    { "access-control-", 15 },
    { "x-tollgate-", 11 },
    { "cf-", 3 },
    { "proxy-", 6 },
    { "x-accel-", 8 },
    { "x-ratelimit-", 12 },
    { "anthropic-ratelimit-", 20 },
    { "ratelimit", 9 },
};

struct deny_list {
    const char *const *names; /* by length */
    size_t length_count;
    const struct span *prefixes;
    size_t prefix_count;
};

static const struct deny_list request_deny = {
    .names = request_denied,
    .length_count = COUNT(request_denied),
    .prefixes = request_denied_prefixes,
    .prefix_count = COUNT(request_denied_prefixes),
};
static const struct deny_list answer_deny = {
    .names = answer_denied,
    .length_count = COUNT(answer_denied),
    .prefixes = answer_denied_prefixes,
    .prefix_count = COUNT(answer_denied_prefixes),
};

static const struct deny_list answer_deny_with_rates = {
    .names = answer_denied,
    .length_count = COUNT(answer_denied),
    .prefixes = answer_denied_prefixes_with_rates,
    .prefix_count = COUNT(answer_denied_prefixes_with_rates),
};

static bool is_denied(const struct deny_list *list, struct span name)
{
    const char *other = name.len < list->length_count ? list->names[name.len] : NULL;

    while (other != NULL && *other != '\0') {
        if (span_equal_nocase(name, span_of(other, name.len)))
            return true;
        other += name.len;
        other += *other == ' ' ? 1 : 0;
    }
    for (size_t i = 0; i < list->prefix_count; i++) {
        const struct span prefix = list->prefixes[i];

        if (name.len >= prefix.len && (name.ptr[0] | ' ') == prefix.ptr[0] &&
            span_starts_with_nocase(name, prefix))
            return true;
    }
    return false;
}

/* Whether a Connection field says more than what becomes of the connection: then it names fields
 * that end here. */
static bool names_fields(const struct http_head *head)
{
    for (int i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];

        if (span_equal_nocase(field->name, SPAN("connection")) &&
            !span_equal_nocase(field->value, SPAN("keep-alive")) &&
            !span_equal_nocase(field->value, SPAN("close")))
            return true;
    }
    return false;
}

static void put_field(struct buf *out, struct span name, struct span value)
{
    buf_put_span(out, name);
    buf_put(out, ": ", 2);
    buf_put_span(out, value);
    buf_put(out, "\r\n", 2);
}

/* Append the fields that pass. */
static void put_fields(const struct http_head *head, const struct deny_list *deny, struct buf *out)
{
    const bool has_named = names_fields(head);

    for (int i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];

        if (is_denied(deny, field->name) ||
            (has_named && http_lists_token(head, SPAN("connection"), field->name)))
            continue;
        put_field(out, field->name, field->value);
    }
}

static void put_query(struct buf *out, struct span query)
{
    static const struct span known[] = { { "api-version", 11 }, { "alt", 3 }, { "beta", 4 } };
    char separator = '?';

    for (size_t i = 0; i < COUNT(known); i++) {
        const struct span value = guard_query_value(query, known[i]);

        if (value.len == 0)
            continue;
        buf_put_byte(out, separator);
        buf_put_span(out, known[i]);
        buf_put_byte(out, '=');
        buf_put_span(out, value);
        separator = '&';
    }
}

static void put_credential(struct buf *out, const struct target *target, enum tg_auth auth)
{
    const struct span secret = secret_span(&target->secret);

    if (secret.len == 0)
        return;
    switch (auth) {
    case TG_AUTH_BEARER:
        buf_put_text(out, "Authorization: Bearer ");
        break;
    case TG_AUTH_X_API_KEY:
        buf_put_text(out, "x-api-key: ");
        break;
    case TG_AUTH_X_GOOG_API_KEY:
        buf_put_text(out, "x-goog-api-key: ");
        break;
    case TG_AUTH_API_KEY:
        buf_put_text(out, "api-key: ");
        break;
    case TG_AUTH_OF_KIND:
    case TG_AUTH_NONE:
        return;
    }
    buf_put_span(out, secret);
    buf_put(out, "\r\n", 2);
}

static void put_hops(struct buf *out, const struct upstream_request *request)
{
    const struct http_head *head = request->head;

    buf_put_text(out, "x-tollgate-hop: ");
    for (int i = 0; i < head->field_count; i++) {
        if (!span_equal_nocase(head->fields[i].name, SPAN("x-tollgate-hop")))
            continue;
        buf_put_span(out, head->fields[i].value);
        buf_put(out, ", ", 2);
    }
    buf_put_span(out, request->installation_id);
    buf_put(out, "\r\n", 2);
}

/* Escape all that has a meaning in a path. */
static void put_escaped(struct buf *out, struct span text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            (c != '\0' && strchr("-._~", c) != NULL)) {
            buf_put_byte(out, (char)c);
            continue;
        }
        buf_put_byte(out, '%');
        buf_put_byte(out, digits[c >> 4]);
        buf_put_byte(out, digits[c & 15]);
    }
}

/* A model as Google names it: a tuned one in a collection of its own. */
static void put_resource(struct buf *out, struct span model)
{
    const struct span tuned = SPAN("tunedModels/");
    const bool is_tuned = span_starts_with(model, tuned);

    buf_put_span(out, is_tuned ? tuned : SPAN("models/"));
    put_escaped(out, is_tuned ? span_from_offset(model, tuned.len) : model);
}

static void put_dialect_path(struct buf *out, const struct upstream_request *request,
                             const char *path)
{
    const char *const open = strchr(path, '{');
    const char *const close = open != NULL ? strchr(open, '}') : NULL;

    if (close == NULL) {
        buf_put_text(out, path);
        return;
    }
    buf_put(out, path, (size_t)(open - path));
    if (strncmp(open, "{resource}", strlen("{resource}")) == 0)
        put_resource(out, request->routed_model);
    else
        put_escaped(out, request->routed_model);
    buf_put_text(out, close + 1);
}

/* Without the version at its front that the base URL ends with: who wrote it there has meant one.
 */
static const char *without_version(const char *path, const char *base_path)
{
    const char *const end = path[0] == '/' ? strchr(path + 1, '/') : NULL;

    if (end == NULL || path[1] != 'v' || path[2] < '0' || path[2] > '9' ||
        !span_ends_with(span_from(base_path), span_of(path, (size_t)(end - path))))
        return path;
    return end;
}

static void put_path(struct buf *out, const struct upstream_request *request,
                     const struct tg_speech *speech)
{
    const struct tg_dialect *dialect = request->dialect;
    const char *path = dialect->upstream_path;

    if (request->is_stream && dialect->upstream_stream_path != NULL)
        path = dialect->upstream_stream_path;
    buf_put_text(out, request->target->base_path);
    if (speech->path != NULL)
        buf_put_text(out, without_version(speech->path, request->target->base_path));
    else
        path = without_version(path, request->target->base_path);
    put_dialect_path(out, request, path);
}

static void put_request_head(const struct upstream_request *request, struct buf *out)
{
    const struct http_head *head = request->head;
    const struct tg_kind *kind = request->target->kind;
    const struct tg_speech *speech = catalogue_speech(kind, request->dialect);

    assert(speech != NULL); /* the route was found among those that speak it */
    buf_put_text(out, "POST ");
    put_path(out, request, speech);
    put_query(out, request->query);
    buf_put_text(out, " HTTP/1.1\r\nHost: ");
    buf_put_text(out, request->target->endpoint.authority);
    buf_put(out, "\r\n", 2);
    put_fields(head, &request_deny, out);
    put_credential(out, request->target,
                   speech->auth != TG_AUTH_OF_KIND ? speech->auth : kind->auth);
    put_hops(out, request);
    buf_put_text(out, "Accept-Encoding: identity\r\nContent-Length: ");
}

enum tg_status upstream_begin(const struct upstream_request *request, struct buf *ret_head)
{
    enum tg_status status;

    buf_init(ret_head, HEAD_BYTES_MAX);
    (void)buf_reserve(ret_head, HEAD_BYTES_USUAL); /* a failure sticks */
    put_request_head(request, ret_head);
    status = buf_status(ret_head);
    if (status != TG_OK)
        upstream_end_head(ret_head);
    return status;
}

void upstream_end_head(struct buf *head)
{
    if (head->data != NULL)
        explicit_bzero(head->data, head->size); /* the secret was in there */
    buf_fini(head);
    *head = (struct buf){ 0 };
}

/* --- the body -----------------------------------------------------------------------------------
 */

/* Bytes [start, end) of the body give way to `text`. */
struct patch {
    size_t start;
    size_t end;
    struct span text;
};

/* All that changes in a body, sorted by start. */
struct patches {
    struct patch patch[TG_EDITS_MAX + 1];
    int count;
    size_t added;
    size_t removed;
};

static void add_patch(struct patches *patches, const struct patch *patch)
{
    int at = patches->count++;

    for (; at > 0 && patches->patch[at - 1].start > patch->start; at--)
        patches->patch[at] = patches->patch[at - 1];
    patches->patch[at] = *patch;
    patches->added += patch->text.len;
    patches->removed += patch->end - patch->start;
}

static void gather(const struct upstream_edits *edits, struct patches *patches)
{
    patches->count = 0;
    patches->added = 0;
    patches->removed = 0;
    assert(edits->count >= 0);
    assert(edits->count <= TG_EDITS_MAX);
    for (int i = 0; i < edits->count; i++) {
        const struct tg_edit *edit = &edits->edits[i];

        add_patch(patches,
                  &(struct patch){ edit->start, edit->end, span_of(edit->text, edit->text_len) });
    }
    if (edits->model.text.len > 0)
        add_patch(patches,
                  &(struct patch){ edits->model.start, edits->model.end, edits->model.text });
}

/* Make the changes by moving what stands before each: most are near the front. From the back, so
 * that the offsets of those in front stay true. */
static void patch_in_place(const struct patches *patches, struct buf *body)
{
    for (int i = patches->count - 1; i >= 0; i--) {
        const struct patch *patch = &patches->patch[i];
        char *const front = body->data + body->head;
        char *const to = front + (patch->end - patch->start) - patch->text.len;

        memmove(to, front, patch->start);
        memcpy(to + patch->start, patch->text.ptr, patch->text.len);
        body->head = (size_t)(to - body->data);
    }
}

/* A body that came in chunks, or whose head has grown, has too little room in front. */
static enum tg_status build_anew(const struct patches *patches, struct span head, struct buf *body)
{
    const struct span old = buf_span(body);
    AUTO(buf) whole = { 0 };
    size_t at = 0;

    buf_init(&whole, head.len + old.len + patches->added);
    if (buf_reserve(&whole, head.len + old.len + patches->added) == NULL)
        return TG_NO_MEMORY;
    buf_put_span(&whole, head);
    for (int i = 0; i < patches->count; i++) {
        const struct patch *patch = &patches->patch[i];

        buf_put(&whole, old.ptr + at, patch->start - at);
        buf_put_span(&whole, patch->text);
        at = patch->end;
    }
    buf_put(&whole, old.ptr + at, old.len - at);
    TRY(buf_status(&whole));
    buf_fini(body);
    *body = whole;
    whole = (struct buf){ 0 };
    return TG_OK;
}

enum tg_status upstream_finish(struct buf *head, const struct upstream_edits *edits,
                               struct buf *body)
{
    struct patches patches;
    enum tg_status status = TG_OK;

    gather(edits, &patches);
    buf_put_int(head, (int64_t)(buf_len(body) + patches.added - patches.removed));
    buf_put(head, "\r\n\r\n", 4);
    TRY(buf_status(head));
    if (buf_len(head) + patches.added <= body->head) {
        patch_in_place(&patches, body);
        body->head -= buf_len(head);
        memcpy(body->data + body->head, head->data + head->head, buf_len(head));
    } else {
        status = build_anew(&patches, buf_span(head), body);
    }
    upstream_end_head(head);
    return status;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static void put_status_line(int status, struct buf *out)
{
    buf_put_text(out, "HTTP/1.1 ");
    buf_put_int(out, status);
    /* The reason phrase says nothing that the number does not (RFC 9112 4). */
    buf_put(out, " \r\n", 3);
}

void upstream_put_answer_fields(const struct http_head *head,
                                const struct upstream_answer_extras *extras, struct buf *out)
{
    const struct span theirs = http_value(head, SPAN("x-request-id"));
    const bool has_rates = rates_are_there(extras->rates);

    (void)buf_reserve(out, HEAD_BYTES_USUAL); /* a failure sticks */
    put_status_line(head->status, out);
    put_fields(head, has_rates ? &answer_deny_with_rates : &answer_deny, out);
    if (theirs.len > 0)
        put_field(out, SPAN("x-upstream-request-id"), theirs);
    put_field(out, SPAN("x-request-id"), extras->request_id);
    if ((extras->dialect->flags & TG_DIALECT_REQUEST_ID) != 0 &&
        http_field(head, SPAN("request-id")) == NULL)
        put_field(out, SPAN("request-id"), extras->request_id);
    if (has_rates)
        rates_put(extras->rates, extras->dialect, out);
    if (extras->max_output_tokens > 0) {
        buf_put_text(out, "x-tollgate-max-tokens: ");
        buf_put_int(out, extras->max_output_tokens);
        buf_put(out, "\r\n", 2);
    }
}

void upstream_put_answer_end(const struct upstream_answer_end *end, struct buf *out)
{
    if (end->has_cost) {
        char text[MONEY_TEXT_SIZE];

        money_format(end->cost_nusd, text);
        put_field(out, SPAN("x-tollgate-cost-usd"), span_from(text));
    }
    if (end->is_stream)
        buf_put_text(out, "X-Accel-Buffering: no\r\n");
    if (end->content_length >= 0) {
        buf_put_text(out, "Content-Length: ");
        buf_put_int(out, end->content_length);
        buf_put(out, "\r\n", 2);
    } else if (!end->is_http10) {
        buf_put_text(out, "Transfer-Encoding: chunked\r\n");
    }
    if (!end->keeps_alive)
        buf_put_text(out, "Connection: close\r\n");
    else if (end->is_http10)
        buf_put_text(out, "Connection: keep-alive\r\n");
    buf_put(out, "\r\n", 2);
}
