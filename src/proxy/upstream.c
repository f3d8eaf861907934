#include "proxy/upstream.h"

#include "base/money.h"
#include "base/try.h"
#include "proxy/guard.h"

/* Beside hop-by-hop fields, credentials and what Connection names. */
static const struct span request_denied[] = {
    { "host", 4 },
    { "content-length", 14 },
    { "expect", 6 },
    { "cookie", 6 },
    { "forwarded", 9 },
    { "via", 3 },
    { "x-real-ip", 9 },
    { "true-client-ip", 14 },
    { "accept-encoding", 15 },
    { "openai-organization", 19 },
    { "openai-project", 14 },
    { "x-goog-user-project", 19 },
    { "x-request-id", 12 },
};
static const struct span request_denied_prefixes[] = {
    { "x-forwarded-", 12 },
    { "cf-", 3 },
    { "x-tollgate-", 11 },
    { "proxy-", 6 },
};
static const struct span answer_denied[] = {
    { "content-length", 14 },
    { "openai-organization", 19 },
    { "openai-project", 14 },
    { "x-goog-user-project", 19 },
    { "set-cookie", 10 },
    { "set-cookie2", 11 },
    { "alt-svc", 7 },
    { "server", 6 },
    { "location", 8 },
    { "strict-transport-security", 25 },
    { "clear-site-data", 15 },
    { "nel", 3 },
    { "report-to", 9 },
    { "content-security-policy", 23 },
    { "content-security-policy-report-only", 35 },
    { "via", 3 },
    { "x-request-id", 12 },
    { "x-accel-buffering", 17 },
};
static const struct span answer_denied_prefixes[] = {
    { "access-control-", 15 }, { "x-tollgate-", 11 }, { "cf-", 3 },
    { "proxy-", 6 },           { "x-accel-", 8 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_one_of(struct span name, const struct span *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal_nocase(name, names[i]))
            return true;
    }
    return false;
}

static bool begins_with_one_of(struct span name, const struct span *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_starts_with_nocase(name, prefixes[i]))
            return true;
    }
    return false;
}

static bool request_field_passes(const struct http_head *head, struct span name)
{
    return !http_is_hop_by_hop(name) && !guard_is_credential(name) &&
           !is_one_of(name, request_denied, COUNT(request_denied)) &&
           !begins_with_one_of(name, request_denied_prefixes, COUNT(request_denied_prefixes)) &&
           !http_lists_token(head, SPAN("connection"), name);
}

static bool answer_field_passes(const struct http_head *head, struct span name)
{
    return !http_is_hop_by_hop(name) && !is_one_of(name, answer_denied, COUNT(answer_denied)) &&
           !begins_with_one_of(name, answer_denied_prefixes, COUNT(answer_denied_prefixes)) &&
           !http_lists_token(head, SPAN("connection"), name);
}

static void put_field(struct buf *out, struct span name, struct span value)
{
    buf_put_span(out, name);
    buf_put(out, ": ", 2);
    buf_put_span(out, value);
    buf_put(out, "\r\n", 2);
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

static void put_credential(struct buf *out, const struct target *target)
{
    const struct span secret = secret_span(&target->secret);

    if (secret.len == 0)
        return;
    switch (target->kind->auth) {
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
    case TG_AUTH_NONE:
        return;
    }
    buf_put_span(out, secret);
    buf_put(out, "\r\n", 2);
}

static void put_hops(struct buf *out, const struct upstream_request *request)
{
    const struct span hops = http_value(request->head, SPAN("x-tollgate-hop"));

    buf_put_text(out, "x-tollgate-hop: ");
    if (hops.len > 0) {
        buf_put_span(out, hops);
        buf_put(out, ", ", 2);
    }
    buf_put_span(out, request->installation_id);
    buf_put(out, "\r\n", 2);
}

static void put_request_head(const struct upstream_request *request, size_t body_len,
                             struct buf *out)
{
    const struct http_head *head = request->head;

    buf_put_text(out, "POST ");
    buf_put_text(out, request->target->base_path);
    buf_put_text(out, request->dialect->upstream_path);
    put_query(out, request->query);
    buf_put_text(out, " HTTP/1.1\r\nHost: ");
    buf_put_text(out, request->target->endpoint.authority);
    buf_put(out, "\r\n", 2);
    for (int i = 0; i < head->field_count; i++) {
        if (request_field_passes(head, head->fields[i].name))
            put_field(out, head->fields[i].name, head->fields[i].value);
    }
    put_credential(out, request->target);
    put_hops(out, request);
    buf_put_text(out, "Accept-Encoding: identity\r\nContent-Length: ");
    buf_put_int(out, (int64_t)body_len);
    buf_put(out, "\r\n\r\n", 4);
}

/* Make one edit by moving what stands before it: edits are near the front and the head room is
 * there. */
static enum tg_status apply_edit(struct buf *body, const struct tg_edit *edit)
{
    const size_t removed = edit->end - edit->start;
    const size_t grows = edit->text_len > removed ? edit->text_len - removed : 0;
    char *old_start = body->data + body->head;
    char *new_start;

    if (grows > body->head)
        return TG_NO_MEMORY;
    new_start = old_start - ((ptrdiff_t)edit->text_len - (ptrdiff_t)removed);
    memmove(new_start, old_start, edit->start);
    memcpy(new_start + edit->start, edit->text, edit->text_len);
    body->head = (size_t)(new_start - body->data);
    return TG_OK;
}

static enum tg_status put_in_front(struct buf *body, struct span head)
{
    AUTO(buf) whole = { 0 };

    if (head.len <= body->head) {
        body->head -= head.len;
        memcpy(body->data + body->head, head.ptr, head.len);
        return TG_OK;
    }
    buf_init(&whole, head.len + buf_len(body));
    buf_put_span(&whole, head);
    buf_put_span(&whole, buf_span(body));
    TRY(buf_status(&whole));
    buf_fini(body);
    *body = whole;
    whole = (struct buf){ 0 };
    return TG_OK;
}

enum tg_status upstream_build(const struct upstream_request *request, struct buf *body)
{
    AUTO(buf) head = { 0 };

    /* From the back, so that the offsets of those in front stay true. */
    for (int i = request->edit_count - 1; i >= 0; i--)
        TRY(apply_edit(body, &request->edits[i]));
    buf_init(&head, (size_t)4 * HTTP_HEAD_MAX);
    put_request_head(request, buf_len(body), &head);
    TRY(buf_status(&head));
    TRY(put_in_front(body, buf_span(&head)));
    /* The secret was in there. */
    explicit_bzero(head.data, head.size);
    return TG_OK;
}

static void put_status_line(int status, struct buf *out)
{
    buf_put_text(out, "HTTP/1.1 ");
    buf_put_int(out, status);
    /* The reason phrase says nothing that the number does not (RFC 9112 4). */
    buf_put(out, " \r\n", 3);
}

void upstream_put_answer_fields(const struct http_head *head, struct span request_id,
                                struct buf *out)
{
    put_status_line(head->status, out);
    for (int i = 0; i < head->field_count; i++) {
        if (answer_field_passes(head, head->fields[i].name))
            put_field(out, head->fields[i].name, head->fields[i].value);
        else if (span_equal_nocase(head->fields[i].name, SPAN("x-request-id")))
            put_field(out, SPAN("x-upstream-request-id"), head->fields[i].value);
    }
    put_field(out, SPAN("x-request-id"), request_id);
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
