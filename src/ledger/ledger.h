#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "base/err.h"
#include "base/span.h"
#include "store/writer.h"
#include "tollgate/usage.h"

/* The book of every call: a hold before dispatch, one charge after, never a change. All of it runs
 * as jobs of the ledger writer, so no two of these decisions ever race.
 *
 * Invariants
 *   Each hold ends exactly once, in the transaction that inserts its charge.
 *   Settling an attempt twice changes nothing after the first.
 *   In one read snapshot, the sum of charges equals the sum of each rollup.
 */

struct ledger;

enum ledger_flags {
    LEDGER_STREAM = 1u << 0,         /* a streamed answer */
    LEDGER_ESTIMATED = 1u << 1,      /* no usage record came: counted from what was seen */
    LEDGER_UNPRICED = 1u << 2,       /* a class with tokens has no price */
    LEDGER_CLIENT_GONE = 1u << 3,    /* the client left before the end */
    LEDGER_UPSTREAM_ERROR = 1u << 4, /* the provider answered with an error, or broke off */
    LEDGER_OVERRUN = 1u << 5,        /* cost or tokens above the hold */
    LEDGER_UNBOUNDED = 1u << 6, /* the provider fetches input itself: held the context window */
    LEDGER_CEILING_UNKNOWN = 1u << 7, /* no output ceiling known: held the default */
    LEDGER_ENCODED = 1u << 8,         /* the answer was compressed: charged from its bound */
    LEDGER_PRICE_FALLBACK = 1u << 9,  /* a class was priced at another class's price */
    LEDGER_USAGE_DOUBTFUL = 1u << 10, /* the usage record contradicted itself and was bounded */
    LEDGER_RETRIED = 1u << 11,        /* sent again on a fresh connection */
    LEDGER_DRAINED = 1u << 12,        /* read to the end after the client had left */
    LEDGER_NOT_SENT = 1u << 13,       /* nothing reached the provider: a release */
    LEDGER_LEARNED = 1u << 14,        /* the input's bound was learned, not proven */
    LEDGER_CLAMPED = 1u << 15,        /* the output's maximum was lowered to fit a limit */
    LEDGER_CEILING_PRICE = 1u << 16, /* a class without a price was charged at an owner's ceiling */
};

enum ledger_outcome {
    LEDGER_OUTCOME_OK = 0,
    LEDGER_OUTCOME_UPSTREAM_ERROR = 1,
    LEDGER_OUTCOME_CLIENT_GONE = 2,
    LEDGER_OUTCOME_UNRECONCILED = 3,
    LEDGER_OUTCOME_REFUSED = 4
};

enum ledger_source {
    LEDGER_SOURCE_PROVIDER = 0, /* the provider's usage record */
    LEDGER_SOURCE_ESTIMATED = 1,
    LEDGER_SOURCE_CEILING = 2, /* charged from the bound */
    LEDGER_SOURCE_UNRECONCILED = 3,
    LEDGER_SOURCE_MANUAL = 4 /* a reconciliation or adjustment */
};

const char *ledger_outcome_name(enum ledger_outcome outcome);
const char *ledger_source_name(enum ledger_source source);

/* What is set aside for one attempt. Spans are borrowed until the job is done. */
struct ledger_hold {
    int64_t attempt_id; /* a time id; of the admission */
    int64_t call_id;    /* the id of the call's first attempt */
    int32_t team_id;
    int32_t key_id;
    int32_t provider_id;
    struct span dialect;
    struct span model;           /* as asked, 1..256 bytes */
    int64_t input_bound_tokens;  /* 0 or more; above TG_COUNT_MAX it is cut */
    int64_t output_bound_tokens; /* 0 or more; above TG_COUNT_MAX it is cut */
    int64_t amount_nusd;         /* 0 or more */
    uint32_t flags;              /* enum ledger_flags */
};

struct ledger_hold_job {
    struct writer_job job; /* first; `done` is the caller's to set */
    struct ledger *ledger;
    struct ledger_hold hold;
};

/* Fill in class and run. `done` gets TG_OK when the hold is durable. */
void ledger_hold_job_init(struct ledger_hold_job *job, struct ledger *ledger);

/* What that job does, for a job that decides more in the same step.
 *
 * Errors  TG_CONFLICT: the attempt has a hold already (a bug); TG_IO, TG_NO_MEMORY, TG_CORRUPT
 * Thread  writer, inside a job */
TG_MUST_CHECK enum tg_status ledger_post_hold(struct ledger *ledger, const struct ledger_hold *hold,
                                              struct err *err);

/* The price of one class as it was charged. */
struct ledger_rate {
    enum tg_class class;
    int64_t price_id; /* row of the price book; 0: an owner's ceiling price */
    int64_t unit_price_pusd;
    int64_t factor_num; /* what it was multiplied by */
    int64_t factor_den; /* 0: by 1 */
};

/* What one attempt did cost. Spans are borrowed until the job is done. */
struct ledger_charge {
    int64_t attempt_id;
    int64_t call_id;
    int32_t team_id;
    int32_t key_id;
    int32_t provider_id;
    struct span dialect;
    struct span model;
    struct span served_model; /* as the answer named it; empty: not named */
    struct span tier;         /* "standard", "flex", ... */
    struct tg_usage usage;
    int64_t cost_nusd;          /* what the team is charged; 0 when unpriced */
    int64_t provider_cost_nusd; /* what the provider takes */
    int64_t hold_nusd;
    struct ledger_rate rates[TG_CLASS_COUNT];
    int rate_count;
    enum ledger_outcome outcome;
    enum ledger_source source;
    uint32_t flags;
    int32_t http_status; /* of the provider's answer; 0: none came */
    int32_t ttft_ms;     /* to the first byte of the answer; -1: none came */
    int32_t total_ms;
    int64_t request_bytes;
    int64_t answer_bytes;
    /* the receipt's extras, kept for LEDGER_DETAIL_DAYS; all may be empty */
    struct span raw_usage; /* JSON as the provider sent it, at most LEDGER_RAW_USAGE_MAX bytes */
    struct span response_id;
    struct span upstream_request_id;
    struct span client; /* user agent, at most 256 bytes */
    struct span error;  /* what went wrong, for people */
};

#define LEDGER_DETAIL_DAYS   30
#define LEDGER_RAW_USAGE_MAX 8192

struct ledger_settle_job {
    struct writer_job job; /* first; `done` and `deferred` are the caller's to set */
    struct ledger *ledger;
    struct ledger_charge charge;
    bool was_settled_before; /* out: the charge stood already, nothing was changed */
};

/* Fill in class and run. `done` gets TG_OK when the charge is durable, also when it was before. A
 * bill is never turned down: a count outside 0..TG_COUNT_MAX is cut and flagged
 * LEDGER_USAGE_DOUBTFUL, an attempt without a hold is charged all the same and counted as lost; a
 * cost above the hold is flagged LEDGER_OVERRUN. */
void ledger_settle_job_init(struct ledger_settle_job *job, struct ledger *ledger);

/* What that job does, for a job that does more in the same step.
 *
 * ret_was_settled  the charge stood already and nothing was changed
 * Errors           TG_IO, TG_NO_MEMORY, TG_CORRUPT
 * Thread           writer, inside a job */
TG_MUST_CHECK enum tg_status ledger_post_charge(struct ledger *ledger,
                                                const struct ledger_charge *charge,
                                                bool *ret_was_settled, struct err *err);

/* What a row adds to what limits count. Of an adjustment each may be negative. */
struct ledger_amounts {
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t requests; /* calls with a dispatch */
    int64_t cost_nusd;
};

/* A row that was posted, as those see it who count along. Spans are valid during the call. */
struct ledger_posting {
    int64_t
        attempt_id;  /* whose time it belongs to: of an adjustment, that of the row it corrects */
    bool is_attempt; /* false: an adjustment */
    int32_t team_id;
    int32_t key_id;
    int32_t provider_id;
    struct span model; /* as asked for */
    struct ledger_amounts amounts;
    struct ledger_amounts unreconciled; /* that it adds to, or takes from, what is not known */
    int64_t prompt_tokens;
    int64_t request_bytes;
    enum ledger_source source;
};

/* Told of every row in the step that posts it; the hold of its attempt is gone. It follows the fate
 * of the batch by a hook of its own. Thread: writer. */
struct ledger_watcher {
    void (*on_posting)(struct ledger_watcher *watcher, const struct ledger_posting *posting);
};

/* Before the first job. There is one watcher at most. */
void ledger_watch(struct ledger *ledger, struct ledger_watcher *watcher);

/* The number that a name has in the table `dimension`, given now where it has none.
 *
 * Errors  TG_IO, TG_NO_MEMORY, TG_CORRUPT
 * Thread  writer, inside a batch */
TG_MUST_CHECK enum tg_status ledger_name_id(struct ledger *ledger, struct span name,
                                            int64_t *ret_id, struct err *err);

/* Open the book on the writer's connection before the writer starts: prepare statements and turn
 * every open hold into an unreconciled charge of its whole amount, its bounds as usage.
 *
 * ret_recovered  holds that were open
 * ret_last_id    the largest id stored, the floor for new ones
 * Errors         TG_CORRUPT, TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status ledger_open(struct db *db, struct ledger **ret_ledger,
                                         int64_t *ret_recovered, int64_t *ret_last_id,
                                         struct err *err);

/* Join the book to its writer; before the first job. */
void ledger_attach(struct ledger *ledger, struct writer *writer);

/* After writer_stop, or where no writer was attached before db_close. Accepts NULL. */
void ledger_close(struct ledger *ledger);

/* Since the start; each but the first stays 0 unless something is wrong. Any thread. */
struct ledger_stats {
    int64_t charges;      /* attempts settled */
    int64_t repeats;      /* settled again with the same cost */
    int64_t contradicted; /* settled again with another cost, which was not taken */
    int64_t lost;         /* settled without a hold */
};
void ledger_stats(const struct ledger *ledger, struct ledger_stats *ret_stats);

/* Hand an unreconciled charge its final amount, as an adjustment row that names it and belongs to
 * its time: in reports and limits the two add up to what was decided. */
enum ledger_reconcile_action {
    LEDGER_RECONCILE_CHARGE,  /* it stands as it is */
    LEDGER_RECONCILE_RELEASE, /* nothing was used: tokens and money are taken back */
    LEDGER_RECONCILE_AMOUNT   /* this much money; what it took in tokens stays at the bound */
};

struct ledger_reconcile_job {
    struct writer_job job;
    struct ledger *ledger;
    int64_t charge_id;
    int64_t adjustment_id; /* a fresh time id */
    enum ledger_reconcile_action action;
    int64_t amount_nusd; /* for LEDGER_RECONCILE_AMOUNT, 0 or more */
};

/* `done` gets TG_NOT_FOUND: no such charge; TG_CONFLICT: not unreconciled, or reconciled before. */
void ledger_reconcile_job_init(struct ledger_reconcile_job *job, struct ledger *ledger);

/* Delete details of charges before a time, oldest first, LEDGER_EXPIRE_MAX at most. */
struct ledger_expire_job {
    struct writer_job job;
    struct ledger *ledger;
    int64_t before_ms; /* wall time; usually LEDGER_DETAIL_DAYS ago */
    int64_t deleted;   /* out: LEDGER_EXPIRE_MAX means that there may be more */
};

#define LEDGER_EXPIRE_MAX 500

void ledger_expire_job_init(struct ledger_expire_job *job, struct ledger *ledger);

#endif
