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
 *   A call gets on_head at most once, then on_body any number of times, then exactly one of
 *   on_end and on_fail; after that, or after client_call_cancel, nothing. None is called inside
 *   client_call_start or client_call_cancel. A callback may cancel its call, on_end and on_fail may
 *   start it again or free it.
 *   A connection serves again only if the answer was complete, kept it alive and left no byte over,
 *   and the whole request had been sent.
 *   An idle connection on which anything happens is closed. One idle for CLIENT_IDLE_MS is closed,
 *   and the one idle longest where there would be more than CLIENT_IDLE_MAX.
 *   If a reused connection ends before any byte of the answer, the request is sent once more on a
 *   fresh one (`was_resent`); never after a byte, never from a fresh one.
 *   An answer may come before all of its request is sent. It is delivered, then the connection
 *   is closed.
 *   Each waiting call has a connect under way. A connection that comes free meanwhile serves it
 *   first; the one that was opened for it is then kept.
 */

#define CLIENT_IDLE_MS     20000
#define CLIENT_IDLE_MAX    512 /* idle connections a pool keeps */
#define CLIENT_CONNECT_MS  10000
#define CLIENT_INTERIM_MAX 8    /* answers of 1xx, skipped, before the real one */
#define CLIENT_GROUPS_MAX  4096 /* identities with a connection */

struct client_pool;
struct connector;

/* Where to. Immutable while any call uses it: the pool copies what it keeps. */
struct client_endpoint {
    const char *host; /* name or address, no brackets */
    int port;
    bool is_tls;
    const char *authority; /* for the Host field: "api.openai.com", "[::1]:8080" */
    /* Same number, same connections: a hash of all above and the provider's id. */
    uint64_t identity;
};

struct client_call {
    /* set by the caller */
    void (*on_head)(struct client_call *call, const struct http_head *head);
    /* in place, valid in the callback; not empty */
    void (*on_body)(struct client_call *call, struct span content);
    void (*on_end)(struct client_call *call);
    /* TG_UPSTREAM_UNREACHABLE, TG_OVERLOADED, TG_NO_MEMORY (with !was_sent: nothing was sent),
     * TG_UPSTREAM_INVALID, TG_UPSTREAM_TIMEOUT, TG_CLOSED (it ended too early). `why` is for people
     * and valid in the callback. */
    void (*on_fail)(struct client_call *call, enum tg_status status, const char *why);
    struct span request; /* head and body, contiguous; borrowed until the call has ended */
    bool is_head_request;
    int64_t connect_ms;    /* allowed for getting a connection; 0: CLIENT_CONNECT_MS */
    int64_t first_byte_ms; /* allowed from sent to the first byte */
    int64_t idle_ms;       /* allowed between bytes, either way, while not paused */
    /* told by the pool */
    bool was_sent; /* a byte of the request may have reached the provider */
    bool was_resent;
    bool was_reused; /* on a connection that had served before */
    int64_t sent_us; /* monotonic: all of the request was handed to the kernel */
    int64_t first_byte_us;
    /* the pool's */
    struct client_pool *pool;
    struct client_group *group; /* set while the call waits for a connection */
    struct client_conn *conn;   /* set while one serves it */
    struct list node;
    struct loop_timer patience; /* for a connection */
    struct loop_task failure;
    enum tg_status failure_status;
    const char *failure_why;
    bool is_paused;
    bool is_active;
};

TG_MUST_CHECK enum tg_status client_pool_new(struct loop *loop, struct connector *connector,
                                             struct client_pool **ret_pool);
/* Closes all connections and withdraws connects under way; no call may be active, and the loop runs
 * no turn meanwhile. Before connector_free. Accepts NULL. */
void client_pool_free(struct client_pool *pool);

/* Send call->request to the endpoint and deliver the answer to the callbacks. A failure comes by
 * on_fail, in a later step of this turn or of a later one.
 *
 * call  zeroed before its first use; what the caller sets is left as it is
 * endpoint  copied */
void client_call_start(struct client_pool *pool, struct client_call *call,
                       const struct client_endpoint *endpoint);

/* Stop reading the answer (back-pressure), and go on. What had been read when it was paused, at
 * most LOOP_SCRATCH_BYTES, is still delivered, and the end of the answer with it. */
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
