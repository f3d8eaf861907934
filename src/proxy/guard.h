#ifndef PROXY_GUARD_H
#define PROXY_GUARD_H

#include "base/arena.h"
#include "net/http.h"
#include "tollgate/provider.h"

/* What is looked at before anything else: which door a path leads to, who presents what, and
 * whether a request has been here before. Pure. */

enum guard_door {
    GUARD_CALL,   /* a model call in `dialect` */
    GUARD_ROOT,   /* HEAD / and GET / */
    GUARD_MODELS, /* GET /v1/models */
    GUARD_MODEL,  /* GET /v1/models/{id}; `rest` is the id */
    GUARD_OWN_KEY /* GET /api/v1/key */
};

struct guard_path {
    enum guard_door door;
    const struct tg_dialect *dialect; /* of GUARD_CALL */
    struct tg_path call;              /* of GUARD_CALL: what its path says of it */
    const struct tg_dialect *voice;   /* whose clients ask by such a path; NULL: it does not say */
    struct span prefix;               /* first segment that may name a provider; empty: none */
    struct span rest;                 /* decoded; in the arena or in the target */
    struct span query;                /* behind '?', not decoded */
};

/* Match a request's target. Only a model segment may have escapes: %3A %2F %40 and unreserved
 * characters are decoded; any other '%' in a path is refused.
 *
 * ret     written whatever comes of it: `voice` holds for an answer that says what is wrong
 * Errors  TG_NO_ROUTE, TG_METHOD_NOT_ALLOWED, TG_UPGRADE_REQUIRED, TG_INVALID */
TG_MUST_CHECK enum tg_status guard_match(const struct http_head *head, struct arena *arena,
                                         struct guard_path *ret_path);

/* The dialect that a caller reads answers of ours in: that of the path, else the one that its
 * fields speak of. NULL: nothing says so. head may be NULL: it could not be read. */
const struct tg_dialect *guard_caller(const struct http_head *head, const struct guard_path *path);

/* The credential that a request presents: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key`,
 * `api-key`, `?key=`, in that order; the first that begins `tgk_`, else the first present. Empty:
 * none. */
struct span guard_credential(const struct http_head *head, struct span query);

#define GUARD_HOPS_MAX 4

/* Whether the request may go on: not been here before and at most GUARD_HOPS_MAX hops.
 *
 * own_id   of this installation
 * Errors   TG_LOOP */
TG_MUST_CHECK enum tg_status guard_check_hops(const struct http_head *head, struct span own_id);

/* Value of a query parameter, not decoded; empty: not there. */
struct span guard_query_value(struct span query, struct span name);

#endif
