#ifndef METERING_METER_H
#define METERING_METER_H

#include "ledger/ledger.h"
#include "pricing/book.h"
#include "tollgate/provider.h"

/* Joins a count, a price and a hold into one record: how much to set aside before an attempt, and
 * what to charge after it, however it ended. Pure. */

/* Where no ceiling of the model is known. */
#define METER_OUTPUT_CEILING INT64_C(131072)
/* Where no context window is known and the provider fetches input itself. */
#define METER_CONTEXT_UNKNOWN INT64_C(2000000)

/* What is known of a call before it is sent. All borrowed. */
struct meter_call {
    const struct tg_dialect *dialect;
    const struct tg_request *request;
    const struct tg_kind *kind;
    const struct book *book;
    struct span model; /* as the provider knows it */
    int64_t body_bytes;
    int64_t at_ms; /* of the admission */
};

struct meter_bound {
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t nusd;
    uint32_t flags; /* LEDGER_UNBOUNDED, LEDGER_CEILING_UNKNOWN, LEDGER_UNPRICED */
};

/* The most an attempt can use and cost: bytes bound text tokens (a byte-level token covers at least
 * one byte), the client's maximum times the choices bounds output. Rounded up. Nothing for what
 * is free.
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
 */
void meter_charge(const struct meter_call *call, const struct meter_attempt *attempt,
                  struct ledger_charge *charge);

#endif
