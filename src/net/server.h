#ifndef NET_SERVER_H
#define NET_SERVER_H

#include "base/buf.h"
#include "net/http.h"
#include "net/loop.h"

#include <stdatomic.h>

/* The client side of one worker: a listener and its connections, HTTP/1.0 and 1.1, one request at a
 * time on each. All of it belongs to the loop's thread.
 *
 * Life of a connection
 *
 *   IDLE -> HEAD -> BODY -> BUSY -> IDLE ...      LINGER: said goodbye, reads until the client
 * closes
 *             \______\________\______> LINGER -> closed
 *
 * Invariants
 *   on_request is called with a complete request; the next one on the connection is not looked at
 *   before the answer to this one is out.
 *   While a request is BUSY its user gets on_gone at most once, when the client has left (a
 * half-closed one counts as gone); after it, after server_finish and after server_abort the
 * connection is no longer the user's. No connection is freed inside a callback of its own.
 *   Deadlines are absolute, not inactivity timers, but for the one on a reader that takes no bytes.
 */

#define SERVER_CONNECTIONS_MAX 16384
#define SERVER_OUT_MAX         ((size_t)8 * 1024 * 1024)

struct server;
struct server_conn;

/* Bytes of bodies and held answers in the whole process. Shared by all workers. */
struct server_budget {
    _Atomic int64_t used_bytes;
    int64_t max_bytes;
};

/* Take or give back. return  whether it fitted; a negative amount always does */
bool server_budget_take(struct server_budget *budget, int64_t bytes);
/* Take although it may not fit: for what is small and bounded otherwise. */
void server_budget_force(struct server_budget *budget, int64_t bytes);

struct server_limits {
    int64_t head_ms;       /* from the first byte to the blank line */
    int64_t body_ms;       /* from the head to the last byte of the body */
    int64_t idle_ms;       /* between requests */
    int64_t write_idle_ms; /* a client that takes no byte */
    int64_t body_max_bytes;
    struct server_budget *budget; /* of the whole process; borrowed */
};

struct server_user {
    void (*on_gone)(void *user);
    /* What was queued has gone out; asked for by server_want_drained. */
    void (*on_drained)(void *user);
};

struct server_handler {
    void *context;
    /* A body is announced and has not all come: may it be sent? Asked before any memory is taken
     * for it. Anything but TG_OK is answered through on_refuse. */
    enum tg_status (*check)(void *context, const struct http_head *head, const char **ret_why);
    /* `head` is valid in the callback. The body stays with the connection, or is taken by
     * server_take_body. */
    void (*on_request)(void *context, struct server_conn *conn, const struct http_head *head);
    /* A request that cannot be served; `head` is NULL where it could not be read. The callee writes
     * an answer and calls server_finish. */
    void (*on_refuse)(void *context, struct server_conn *conn, const struct http_head *head,
                      enum tg_status status, const char *why);
};

/* fd: a listening, non-blocking socket; owned from here. handler is borrowed.
 * Errors  TG_NO_MEMORY, TG_IO */
TG_MUST_CHECK enum tg_status server_new(struct loop *loop, int fd,
                                        const struct server_limits *limits,
                                        const struct server_handler *handler,
                                        struct server **ret_server);
/* Closes all connections. Accepts NULL. */
void server_free(struct server *server);

/* Stop listening, close idle connections; answers from now on end their connection. */
void server_drain(struct server *server);
/* Open ones. Any thread, a moment's number. */
int server_connection_count(const struct server *server);
/* Answers that are complete and still on their way to slow clients. Any thread, a moment's number.
 */
int server_leaving_count(const struct server *server);

/* Who uses the request in hand. */
void server_set_user(struct server_conn *conn, const struct server_user *ops, void *user);
/* Whether the answer may end without closing (it is then chunked where its length is unknown). */
bool server_keeps_alive(const struct server_conn *conn);
bool server_is_http10(const struct server_conn *conn);
/* Whatever the client asked for, the connection ends with this answer: what could be misread in the
 * request in hand could be misread in the next. */
void server_close_after(struct server_conn *conn);
/* Whether the request in hand is a HEAD: its answer ends with the blank line. */
bool server_wants_head_only(const struct server_conn *conn);
/* Take the body of the request in hand, once, in on_request or later; it often has head room in
 * front for the head that goes to a provider (but not where it came in chunks).
 *
 * ret_body  the caller's to finish
 * return    bytes of the budget that go with it, to be given back by server_budget_take */
int64_t server_take_body(struct server_conn *conn, struct buf *ret_body);
/* The client's address, for the log. */
void server_peer(const struct server_conn *conn, char *text, size_t size);

/* Queue bytes as they are; they leave at the end of the turn. */
void server_write(struct server_conn *conn, struct span bytes);
/* Queue a piece of a chunked body; what is written in one turn becomes one chunk. */
void server_write_chunk(struct server_conn *conn, struct span bytes);
/* The end of a chunked body. */
void server_end_chunks(struct server_conn *conn);
/* Bytes queued and not yet taken by the kernel. */
size_t server_queued(const struct server_conn *conn);
void server_want_drained(struct server_conn *conn);

/* The answer is complete. keep: the connection may serve another request. */
void server_finish(struct server_conn *conn, bool keep);
/* Close now, whatever is queued: an answer that must not look complete. */
void server_abort(struct server_conn *conn);

#endif
