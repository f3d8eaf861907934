#ifndef QUOTA_DECIDE_H
#define QUOTA_DECIDE_H

#include "quota/admit.h"
#include "quota/balance.h"
#include "quota/learned.h"
#include "quota/refusal.h"

/* One decision: with which bounds a call fits into the limits that apply to it, and what its caller
 * is told. Changes no count.
 *
 * Thread: the ledger writer's. */

struct deciding {
    struct balance *balance;
    const struct learned *learned;
    struct admit_job *job;
    struct balance_call call;
    struct balance_need need;       /* of the proven bounds; after decide those that fit */
    struct balance_refusal refusal; /* only where decide says TG_LIMIT_REACHED */
    int64_t output_per_choice;      /* lowered to; 0: not */
    bool is_learned;
};

/* All borrowed. */
struct deciding decide_begin(struct admit_job *job, struct balance *balance,
                             const struct learned *learned);

/* By the proven bounds, else by the learned one, else with a lower maximum of the output.
 *
 * Errors  TG_LIMIT_REACHED; TG_UNPRICED; TG_OVERLOADED: no memory, or the attempt is of a period
 * that is over and let go of */
TG_MUST_CHECK enum tg_status decide(struct deciding *deciding);

/* Of one that fits: what is held is what is told, the bounds that the call is admitted with. */
void decide_keep(const struct deciding *deciding);
/* And what is left of the minute, once it is held. Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status decide_tell_rates(const struct deciding *deciding);

/* Of one that does not fit.
 *
 * status  of decide
 * return  what the caller is told: TG_RATE_LIMITED where it may come again; else `status` */
enum tg_status decide_explain(const struct deciding *deciding, enum tg_status status);
/* The same to be kept: of TG_LIMIT_REACHED and TG_UNPRICED. Spans are the job's. */
struct refusal decide_refusal(const struct deciding *deciding, enum tg_status status);

#endif
