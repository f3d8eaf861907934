#ifndef LEDGER_CALL_H
#define LEDGER_CALL_H

#include "ledger/account.h"
#include "ledger/charge.h"

/* The book as people read it: charges and open holds with names in place of row numbers. Reading
 * only; any connection. */

struct call_entry {
    struct charge_row row;
    /* Borrowed until the callback returns; empty where the row is not there. */
    struct span team_public_id;
    struct span key_public_id;
    struct span provider; /* its name */
    struct span dialect;
    struct span model;
    struct span served_model; /* empty: not named */
    struct span tier;         /* empty: standard */
};

/* Which charges, newest first. */
struct call_query {
    account_scope scope;
    int64_t from_ms;  /* of the admission, from this on */
    int64_t to_ms;    /* before this; INT64_MAX: open */
    int64_t after_id; /* older than this one; 0: from the newest */
    int limit;        /* 1..ACCOUNT_PAGE_MAX */
    /* Empty, or -1: any. */
    struct span team_public_id;
    struct span key_public_id;
    struct span model;    /* as asked for */
    struct span provider; /* its name */
    int outcome;          /* enum ledger_outcome */
    int http_status;      /* 0: none came */
    enum tg_status (*on_entry)(void *context, const struct call_entry *entry);
    void *context;
};

/* Errors  TG_IO, TG_CORRUPT, TG_NO_MEMORY; TG_OVERLOADED: the filters leave too little in too long
 * a time */
TG_MUST_CHECK enum tg_status call_list(struct db *db, const struct call_query *query,
                                       bool *ret_has_more, struct err *err);

/* Unreconciled charges that nobody has ended, oldest first. */
struct call_unreconciled_query {
    account_scope scope;
    int64_t before_ms; /* admitted before this */
    int64_t after_id;  /* younger than this one; 0: from the oldest */
    int limit;
};
/* ret_ids  room for query->limit */
TG_MUST_CHECK enum tg_status call_unreconciled(struct db *db,
                                               const struct call_unreconciled_query *query,
                                               int64_t *ret_ids, int *ret_count, struct err *err);

/* The charge of that id; TG_NOT_FOUND also outside the scope. */
struct call_lookup {
    account_scope scope;
    int64_t id;
    enum tg_status (*on_entry)(void *context, const struct call_entry *entry);
    void *context;
};
TG_MUST_CHECK enum tg_status call_get(struct db *db, const struct call_lookup *lookup,
                                      struct err *err);
/* All attempts of a call, or all adjustments of a charge, oldest first; `id` is the call's or the
 * charge's. */
TG_MUST_CHECK enum tg_status call_attempts(struct db *db, const struct call_lookup *lookup,
                                           struct err *err);
TG_MUST_CHECK enum tg_status call_adjustments(struct db *db, const struct call_lookup *lookup,
                                              struct err *err);

/* A price as it was charged. */
struct call_rate {
    struct span class;
    int64_t price_id;
    int64_t unit_price_pusd;
    /* The row of the book; empty where it is not there. */
    struct span provider;
    struct span model;
    struct span unit;
    struct span tier;
    int64_t ctx_min;
    struct span variant;
    struct span utc_window;
    struct span origin;     /* "seed", "override" */
    int64_t valid_from_ms;  /* 0: always */
    int64_t valid_until_ms; /* INT64_MAX: open */
    int64_t factor_num;     /* what the price was multiplied by */
    int64_t factor_den;     /* 0: by 1 */
};
TG_MUST_CHECK enum tg_status call_rates(struct db *db, int64_t rate_set_id,
                                        enum tg_status (*on_rate)(void *context,
                                                                  const struct call_rate *rate),
                                        void *context, struct err *err);

/* The receipt's extras; spans are borrowed from *stmt, which the caller ends. All empty where they
 * have expired. */
struct call_detail {
    struct stmt stmt;
    struct span raw_usage;
    struct span response_id;
    struct span upstream_request_id;
    struct span client;
    struct span error;
};
void call_detail_fini(struct call_detail *detail);
AUTO_DEFINE(call_detail, call_detail_fini)
TG_MUST_CHECK enum tg_status call_detail_read(struct db *db, int64_t charge_id,
                                              struct call_detail *ret_detail, struct err *err);

struct call_hold {
    int64_t id;
    int64_t call_id; /* 0: the attempt is the call's first */
    int64_t input_bound_tokens;
    int64_t output_bound_tokens;
    int64_t amount_nusd;
    uint32_t flags;
    struct span team_public_id;
    struct span key_public_id;
    struct span provider;
    struct span dialect;
    struct span model;
};

/* Open holds, oldest first. */
struct call_hold_query {
    account_scope scope;
    int64_t after_id;
    int limit;
    struct span team_public_id; /* empty: any */
    enum tg_status (*on_hold)(void *context, const struct call_hold *hold);
    void *context;
};
TG_MUST_CHECK enum tg_status call_holds(struct db *db, const struct call_hold_query *query,
                                        bool *ret_has_more, struct err *err);

/* "stream", "estimated", ...; NULL: no such flag. bit: 0..31 */
const char *call_flag_name(int bit);
/* return  whether it is an outcome's name */
bool call_outcome_parse(struct span name, enum ledger_outcome *ret_outcome);

#endif
