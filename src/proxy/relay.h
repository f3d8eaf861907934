#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include "net/server.h"
#include "providers/json_array.h"
#include "providers/sse.h"
#include "tollgate/provider.h"

/* The way of an answer from the provider to the client. Each piece is scanned first, then passed on
 * as it is; what ends the answer is withheld until the charge is durable.
 *
 *   PLAIN    all of it is withheld up to RELAY_PLAIN_MAX, its head too; beyond that its last
 *            RELAY_TAIL_BYTES
 *   EVENTS   whole events, or elements of an array, pass at once, a partial one waits for its end
 *            (at most RELAY_EVENT_WAIT_MAX, then it flows); the terminal event and all after it are
 *            withheld
 *   OPAQUE   cannot be read: all but the last RELAY_TAIL_BYTES pass
 *
 * Invariants
 *   Nothing that is withheld reaches the client but through relay_release. Behind a terminal event
 *   nothing passes, whatever else goes wrong.
 *   No byte is left out but those of a dropped event: an answer that cannot be kept fails.
 *   With no client (it has left) everything is scanned and nothing kept. */

#define RELAY_PLAIN_MAX      ((size_t)1024 * 1024)
#define RELAY_TAIL_BYTES     ((size_t)16 * 1024)
#define RELAY_EVENT_WAIT_MAX ((size_t)64 * 1024)
/* Kept for the meter, passed on or not. Beyond it the answer is no longer read. */
#define RELAY_METERED_MAX ((size_t)32 * 1024 * 1024)
/* So much every answer may hold when the budget is used up; what holds more is no longer read. */
#define RELAY_SPARE_BYTES (RELAY_EVENT_WAIT_MAX + 2 * RELAY_TAIL_BYTES)
/* Above it the provider is not read; below half of it again. */
#define RELAY_QUEUE_MAX ((size_t)128 * 1024)

enum relay_mode { RELAY_PLAIN, RELAY_EVENTS, RELAY_OPAQUE };

struct relay {
    struct server_conn *conn; /* NULL: the client has left */
    struct server_budget *budget;
    const struct tg_dialect *dialect;
    const struct tg_kind *kind;
    const struct tg_request *request;
    struct tg_answer *answer;
    enum relay_mode mode;
    enum tg_framing framing; /* of EVENTS */
    struct sse sse;
    struct json_array array;
    struct buf head;        /* the answer's head so far */
    struct buf pending;     /* came, not handed on or not read yet */
    size_t flowed;          /* bytes at the front of `pending` that are with the client already */
    struct buf withheld;    /* the terminal event and what came after it */
    struct buf raw_usage;   /* the latest usage record as it came */
    int64_t budget_bytes;   /* taken for `pending` and `withheld` */
    int64_t answer_bytes;   /* of content, from the provider */
    int64_t content_length; /* as the provider told it, or -1 */
    bool is_terminal;
    bool drops_lf; /* the event that was dropped last ended in CR: an LF that follows is its own */
    bool is_head_sent;
    bool has_length; /* the client was told how long the body is */
    bool is_chunked; /* to the client */
    bool is_encoded;
    bool is_unmetered; /* it could not be read in full */
    bool is_broken;    /* bytes of it were lost */
    bool keeps_alive;  /* as the head told the client */
};

void relay_init(struct relay *relay);
void relay_fini(struct relay *relay);

/* The head has come. extras: what we say in it */
struct upstream_answer_extras;
void relay_begin(struct relay *relay, const struct http_head *head,
                 const struct upstream_answer_extras *extras);
/* A piece of content, valid in the call.
 *
 * Errors  TG_NO_MEMORY, TG_TOO_LARGE (behind a terminal event): it cannot be kept; the answer can
 * only be cut */
TG_MUST_CHECK enum tg_status relay_content(struct relay *relay, struct span content);
/* The provider's end: what is left is read. Nothing goes out.
 *
 * is_whole  false: it broke off; then a plain answer is not read */
void relay_end(struct relay *relay, bool is_whole);

/* Whether the client is slower than the provider: stop reading. */
bool relay_is_full(const struct relay *relay);

/* The charge is durable: let the rest go, and finish the answer.
 *
 * cost_nusd  for the head of a plain answer; has_cost false: not priced */
void relay_release(struct relay *relay, bool has_cost, int64_t cost_nusd);

/* The answer will never be complete: what has passed goes out, then the connection ends so that the
 * client can tell. */
void relay_cut(struct relay *relay);

/* Whether part of the answer is with the client already. */
static inline bool relay_has_begun(const struct relay *relay)
{
    return relay->is_head_sent;
}

#endif
