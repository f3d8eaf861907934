#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include "base/span.h"
#include "net/http.h"
#include "net/loop.h"

/* The provider side of one worker: HTTP/1.1 over connections that libcurl has opened
 * (net/connector) and that this pool keeps alive, one request at a time on each. All of it belongs
 * to the loop's thread.
 *
 * Invariants
 *   A call gets on_head at most once, then on_body any number of times, then exactly one of on_end
 * and on_fail; after that, or after client_call_cancel, nothing. None is called inside
 *   client_call_start or client_call_cancel.
 *   An idle connection on which anything happens is closed. One idle for CLIENT_IDLE_MS is closed.
 *   If a reused connection ends before any byte of the answer, the request is sent once more on a
 * fresh one (`was_resent`); never after a byte, never from a fresh one.
 */

#define CLIENT_IDLE_MS    20000
#define CLIENT_IDLE_MAX   512 /* idle connections a pool keeps */
#define CLIENT_CONNECT_MS 10000

struct client_pool;
struct connector;

/* Where to. Immutable while any call uses it: the pool copies what it keeps. */
struct client_endpoint {
    const char *host; /* name or address, no brackets */
    int port;
    bool is_tls;
    const char *authority; /* for the Host field: "api.openai.com", "[::1]:8080" */
    uint64_t
        identity; /* same number, same connections: a hash of all above and the provider's id */
};

struct client_call {
    /* set by the caller */
    void (*on_head)(struct client_call *call, const struct http_head *head);
    void (*on_body)(struct client_call *call,
                    struct span content); /* in place, valid in the callback */
    void (*on_end)(struct client_call *call);
    /* TG_UPSTREAM_UNREACHABLE (nothing was sent), TG_UPSTREAM_INVALID, TG_UPSTREAM_TIMEOUT,
     * TG_CLOSED (it ended too early) */
    void (*on_fail)(struct client_call *call, enum tg_status status, const char *why);
    struct span request; /* head and body, contiguous; borrowed until the call has ended */
    bool is_head_request;
    int64_t first_byte_ms; /* allowed from sent to the first byte */
    int64_t idle_ms;       /* allowed between bytes, while not paused */
    /* told by the pool */
    bool was_sent; /* a byte of the request may have reached the provider */
    bool was_resent;
    bool was_reused; /* on a connection that had served before */
    int64_t sent_us; /* monotonic: all of the request was handed to the kernel */
    int64_t first_byte_us;
    /* the pool's */
    struct client_conn *conn;
    struct list node;
    struct loop_task failure;
    enum tg_status failure_status;
    const char *failure_why;
    bool is_paused;
    bool is_active;
};

TG_MUST_CHECK enum tg_status client_pool_new(struct loop *loop, struct connector *connector,
                                             struct client_pool **ret_pool);
/* Closes all connections; no call may be active. Accepts NULL. */
void client_pool_free(struct client_pool *pool);

/* Send call->request to the endpoint and deliver the answer to the callbacks. A failure comes by
 * on_fail, in a later step of this turn or of a later one. */
void client_call_start(struct client_pool *pool, struct client_call *call,
                       const struct client_endpoint *endpoint);

/* Stop reading the answer (back-pressure), and go on. */
void client_call_pause(struct client_call *call);
void client_call_resume(struct client_call *call);

/* Forget the call and close its connection. Harmless when it is not active. */
void client_call_cancel(struct client_call *call);

struct client_pool_stats {
    int idle;
    int busy;
    int waiting; /* for a connection */
};
void client_pool_stats(const struct client_pool *pool, struct client_pool_stats *ret_stats);

#endif
