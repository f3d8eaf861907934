#ifndef QUOTA_REFUSAL_LOG_H
#define QUOTA_REFUSAL_LOG_H

#include "quota/limit.h"

/* Calls that were turned down, as they are read: rows of `refusal`. They are written by the
 * decision itself. */

/* Spans are valid during the call; empty: there is none. */
struct refusal_entry {
    int64_t id; /* the call's time id */
    struct span team_public_id;
    struct span key_public_id;
    struct span provider;
    struct span dialect;
    struct span model; /* as asked for */
    struct span reason;
    bool has_limit; /* false: a model without a price, under a limit in money; no numbers then */
    struct span limit_public_id;
    enum limit_scope limit_scope;
    enum limit_metric metric;
    struct span window;
    int64_t amount; /* each in the limit's metric, at that instant */
    int64_t spent;
    int64_t held;
    int64_t estimate;
    uint32_t flags; /* enum ledger_flags */
};

/* Newest first. */
struct refusal_query {
    account_scope scope;
    int64_t from_ms;
    int64_t to_ms;       /* first moment left out; INT64_MAX: none */
    int64_t after_id;    /* 0: from the newest on */
    int limit;           /* 1..ACCOUNT_PAGE_MAX */
    struct span team_id; /* public ids and names; empty: any */
    struct span key_id;
    struct span limit_id;
    struct span model;
    struct span reason;
    enum tg_status (*on_entry)(void *context, const struct refusal_entry *entry);
    void *context;
};

/* Errors  those of on_entry; TG_CORRUPT, TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status refusal_list(struct db *db, const struct refusal_query *query,
                                          bool *ret_has_more, struct err *err);

/* "too_large", "rate", "spent", "held", "unpriced" */
bool refusal_reason_is_known(struct span name);

#endif
