#ifndef METERING_PRICE_JOB_H
#define METERING_PRICE_JOB_H

#include "ledger/account.h"
#include "pricing/markup.h"
#include "pricing/price.h"

/* What an owner changes in the prices: rows of his own, markups, their ends. Nothing is changed or
 * deleted; the publishing is the caller's (price_store_refresh). */

enum price_action {
    PRICE_SET,         /* put in rows of one's own, all or none */
    PRICE_CLOSE,       /* end one of them now */
    PRICE_MARKUP_SET,  /* put in one */
    PRICE_MARKUP_CLOSE /* end it now */
};

struct price_job {
    struct account_job account; /* first */
    enum price_action action;

    /* PRICE_SET: an override each; ids are lines of a file, or any number above 0. A row that has
     * no end takes the place of the open one of the same subject: that ends where it begins. */
    struct price *prices; /* borrowed; `id` becomes the row's */
    size_t price_count;
    struct span team_public_id; /* PRICE_SET, PRICE_MARKUP_SET; empty: all */
    struct markup markup;       /* PRICE_MARKUP_SET; texts borrowed; `id` becomes the row's */
    int64_t id;                 /* PRICE_CLOSE, PRICE_MARKUP_CLOSE */
};

/* account_call's errors beside its own: TG_INVALID: a field breaks its rule; TG_NOT_FOUND: no such
 * row, or no such team; TG_CONFLICT: a row of the seed file, which an owner cannot end;
 * TG_TOO_LARGE: MARKUP_ROWS_MAX markups, or PRICE_ROWS_MAX prices */
void price_job_init(struct price_job *job, enum price_action action);

#endif
