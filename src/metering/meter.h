#ifndef METERING_METER_H
#define METERING_METER_H

#include "ledger/ledger.h"
#include "pricing/book.h"
#include "pricing/model.h"
#include "tollgate/provider.h"

/* Joins a count, a price and a hold into one record: how much to set aside before an attempt, and
 * what to charge after it, however it ended. Pure. */

/* Where a provider has no known ceiling at all. */
#define METER_OUTPUT_CEILING INT64_C(131072)
/* Where a provider has no known context window at all. */
#define METER_CONTEXT_UNKNOWN INT64_C(2000000)
/* A maximum is never lowered below the first, nor, where the client has given a part of the output
 * to thinking, below that part and the second. */
#define METER_LEAST_OUTPUT          INT64_C(256)
#define METER_LEAST_BEHIND_THINKING INT64_C(1025)

/* What is known of a call before it is sent. All borrowed. */
struct meter_call {
    const struct tg_request *request;
    const struct tg_dialect *dialect;
    const struct tg_kind *kind;
    const struct book *book;
    const struct model_facts *facts; /* NULL: nothing is known of models */
    struct span provider;            /* its own name */
    struct span model;               /* as the provider knows it */
    int64_t body_bytes;
    int64_t at_ms;   /* of the admission */
    int32_t team_id; /* who is charged; its own prices hold */
};

struct meter_bound {
    int64_t input_tokens;
    int64_t output_tokens;  /* of all choices */
    int64_t context_tokens; /* the window that bounds the input; 0: not known */
    int64_t input_pusd;     /* the dearest a token may cost */
    int64_t output_pusd;
    int64_t fixed_nusd;          /* of `nusd`: fees that no token bears */
    int64_t nusd;                /* all of it */
    int64_t choices;             /* that the output was multiplied with */
    int64_t least_output_tokens; /* per choice: a maximum is never lowered below it */
    const char *output_field;    /* for tg_wish; static storage; NULL: the kind's own */
    bool may_clamp;              /* the body has, or can be given, a field for a maximum */
    bool is_unpriced;            /* something may come that has no price */
    uint32_t flags;              /* LEDGER_UNBOUNDED, LEDGER_CEILING_UNKNOWN, LEDGER_UNPRICED,
                                    LEDGER_CEILING_PRICE */
};

/* The most an attempt can use and cost, rounded up.
 *
 * Input: the body's bytes (a token of text covers at least one), images in it at the kind's maximum
 * for one, what the provider adds, all of it at most the model's context window. Where media have
 * no known maximum: that window. Where the provider fetches input itself: that window, flagged
 * LEDGER_UNBOUNDED. A window that is not known is taken to be the provider's largest, else
 * METER_CONTEXT_UNKNOWN, or the body's bytes where they are more; that too is flagged.
 *
 * Output: the client's maximum, else what the provider takes for it, else the model's ceiling,
 * else, flagged LEDGER_CEILING_UNKNOWN, the provider's largest ceiling or METER_OUTPUT_CEILING;
 * times the choices. None for a dialect that has none; of one that is free nothing is bound.
 *
 * Prices: the dearest that may apply; none where an owner has declared the model free; where it has
 * none, an owner's ceiling price, flagged LEDGER_CEILING_PRICE.
 *
 * Errors  TG_OUT_OF_RANGE */
TG_MUST_CHECK enum tg_status meter_bound(const struct meter_call *call,
                                         struct meter_bound *ret_bound);

/* How an attempt ended. */
enum meter_end {
    METER_ENDED,   /* the provider's answer came to its end */
    METER_BROKEN,  /* the provider broke off or fell silent after the request was sent */
    METER_LEFT,    /* the client left and generation was stopped */
    METER_NOT_SENT /* nothing reached the provider */
};

struct meter_attempt {
    const struct tg_answer *answer;
    const struct meter_bound *bound;
    enum meter_end end;
    int http_status;   /* of the answer; 0: none came */
    bool is_unmetered; /* the answer was encoded, or too large to be read */
    bool client_left;
};

/* Fill in usage, prices, cost, outcome, source and flags of a charge; the caller has filled in who,
 * what and when. Never fails: a count or a price that cannot be believed is charged from the bound.
 * A model that an owner has declared free costs nothing; tokens without a price cost an owner's
 * ceiling price, flagged LEDGER_CEILING_PRICE, else nothing, flagged LEDGER_UNPRICED. */
void meter_charge(const struct meter_call *call, const struct meter_attempt *attempt,
                  struct ledger_charge *charge);

#endif
