#include "proxy/reply.h"

#include "base/log.h"
#include "providers/catalogue.h"

#define ERROR_BODY_MAX 4096
#define HEAD_MAX       1024
#define RETRY_SECONDS  "2"

static void put_head(struct buf *out, const struct tg_dialect *dialect, int http_status,
                     struct span request_id)
{
    buf_put_text(out, "HTTP/1.1 ");
    buf_put_int(out, http_status);
    buf_put_text(out, " \r\nContent-Type: application/json\r\nx-request-id: ");
    buf_put_span(out, request_id);
    if (dialect != NULL && (dialect->flags & TG_DIALECT_REQUEST_ID) != 0) {
        buf_put_text(out, "\r\nrequest-id: ");
        buf_put_span(out, request_id);
    }
    buf_put_text(out, "\r\nCache-Control: no-store\r\n");
}

static void put_body(struct buf *out, struct server_conn *conn, struct span body)
{
    if (!server_keeps_alive(conn))
        buf_put_text(out, "Connection: close\r\n");
    else if (server_is_http10(conn))
        buf_put_text(out, "Connection: keep-alive\r\n");
    buf_put_text(out, "Content-Length: ");
    buf_put_int(out, (int64_t)body.len);
    buf_put(out, "\r\n\r\n", 4);
    if (!server_wants_head_only(conn))
        buf_put_span(out, body);
}

static void send_all(struct server_conn *conn, const struct buf *out)
{
    if (out->failed) {
        server_abort(conn);
        return;
    }
    server_write(conn, buf_span(out));
    server_finish(conn, server_keeps_alive(conn));
}

void reply_json(struct server_conn *conn, const struct tg_dialect *dialect, struct span body,
                struct span request_id)
{
    AUTO(buf) out = { 0 };

    buf_init(&out, HEAD_MAX + body.len);
    put_head(&out, dialect, 200, request_id);
    put_body(&out, conn, body);
    send_all(conn, &out);
}

static void put_refusal(struct buf *out, const struct tg_refusal *refusal)
{
    buf_put_text(out, "x-tollgate-reason: ");
    buf_put_text(out, tg_refusal_reason_name(refusal->reason));
    if (refusal->limit_id[0] != '\0') {
        buf_put_text(out, "\r\nx-tollgate-limit-id: ");
        buf_put_text(out, refusal->limit_id);
        buf_put_text(out, "\r\nx-tollgate-scope: ");
        buf_put_text(out, refusal->scope);
    }
    buf_put(out, "\r\n", 2);
    if (refusal->retry_after_s == 0)
        return;
    buf_put_text(out, "Retry-After: ");
    buf_put_int(out, refusal->retry_after_s);
    buf_put_text(out, "\r\nretry-after-ms: ");
    buf_put_int(out, (int64_t)refusal->retry_after_s * 1000);
    buf_put(out, "\r\n", 2);
}

static void send_error(struct server_conn *conn, const struct tg_dialect *dialect,
                       const struct tg_error *error)
{
    const struct tg_status_info *info = tg_status_info(error->status);
    char body[ERROR_BODY_MAX];
    AUTO(buf) out = { 0 };
    size_t len;

    if (dialect == NULL)
        dialect = catalogue_dialect(SPAN("openai-chat"));
    len = dialect->write_error(error, body, sizeof(body));
    buf_init(&out, HEAD_MAX + len);
    put_head(&out, dialect, info->http, span_of(error->request_id.ptr, error->request_id.len));
    buf_put_text(&out, info->may_retry ? "x-should-retry: true\r\n" : "x-should-retry: false\r\n");
    if (error->refusal != NULL)
        put_refusal(&out, error->refusal);
    if (info->http == 503)
        buf_put_text(&out, "Retry-After: " RETRY_SECONDS "\r\n");
    if (error->status == TG_UPGRADE_REQUIRED)
        buf_put_text(&out, "Upgrade: HTTP/1.1\r\n");
    put_body(&out, conn, span_of(body, len));
    send_all(conn, &out);
}

static void log_error(struct server_conn *conn, const struct tg_error *error)
{
    const struct tg_status_info *info = tg_status_info(error->status);
    const struct span message = span_of(error->message.ptr, error->message.len);
    char peer[64];

    server_peer(conn, peer, sizeof(peer));
    log_event(info->http >= 500 ? LOG_WARN : LOG_INFO, "refused",
              LOG_F("request_id", span_of(error->request_id.ptr, error->request_id.len)),
              LOG_FI("status", info->http), LOG_FS("code", info->code),
              LOG_F("why", message.len > 0 ? message : span_from(info->sentence)),
              LOG_FS("peer", peer));
}

static struct tg_error plain_error(enum tg_status status, struct span message,
                                   struct span request_id)
{
    return (struct tg_error){
        .status = status,
        .message = { message.ptr, message.len },
        .request_id = { request_id.ptr, request_id.len },
    };
}

void reply_error_unlogged(struct server_conn *conn, const struct tg_dialect *dialect,
                          enum tg_status status, struct span message, struct span request_id)
{
    const struct tg_error error = plain_error(status, message, request_id);

    send_error(conn, dialect, &error);
}

void reply_error(struct server_conn *conn, const struct tg_dialect *dialect, enum tg_status status,
                 struct span message, struct span request_id)
{
    const struct tg_error error = plain_error(status, message, request_id);

    log_error(conn, &error);
    send_error(conn, dialect, &error);
}

void reply_refusal(struct server_conn *conn, const struct tg_dialect *dialect,
                   const struct tg_error *error)
{
    log_error(conn, error);
    send_error(conn, dialect, error);
}
