#ifndef QUOTA_ADMIT_H
#define QUOTA_ADMIT_H

#include "ledger/ledger.h"
#include "quota/limit.h"
#include "tollgate/provider.h"

/* Whether a call may run, decided by the ledger writer: one check over every limit that applies,
 * and the hold in the same step. Counts live in the writer's memory; they are what the charges and
 * the open holds add up to, and follow the fate of each batch.
 *
 * Invariants
 *   Of a hard limit, spent + held never exceeds the amount by an admission.
 *   An attempt's hold is counted in every limit that applies to it, or in none, and taken off in
 *   the step that posts its charge.
 *   A charge belongs to the period of its attempt's id, whenever it comes. */

struct admit;

/* Load every limit in force and sum up what each has spent in its current period. After
 * ledger_open, before the writer starts; joined to it by admit_attach.
 *
 * Errors  TG_CORRUPT, TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status admit_open(struct db *db, struct ledger *ledger,
                                        struct admit **ret_admit, struct err *err);
/* Before the first job. */
void admit_attach(struct admit *admit, struct writer *writer);
/* After writer_stop. Accepts NULL. */
void admit_close(struct admit *admit);

/* How many minute's counters a success tells its caller about. */
enum admit_rate_metric { ADMIT_RATE_REQUESTS, ADMIT_RATE_TOKENS, ADMIT_RATE_COUNT };

/* The tightest minute's limit of a kind, after this hold. */
struct admit_rate {
    bool is_there;
    int64_t amount;
    int64_t remaining;
    int64_t resets_at_ms;
};

#define ADMIT_MESSAGE_MAX 512

/* What else the decision takes, beside the hold. */
struct admit_ask {
    int64_t body_bytes;              /* for the learned bound */
    int64_t added_tokens;            /* of the kind */
    int64_t input_pusd, output_pusd; /* dearest a token, which the hold's amount was made with */
    int64_t fixed_nusd;              /* of the amount: fees that no token bears */
    int64_t choices;                 /* that the output bound was multiplied with */
    int64_t least_output_tokens;     /* per choice: a maximum is never lowered below it */
    bool may_clamp;                  /* the body has, or can be given, a field for it */
    bool is_unpriced;                /* has no price, and is not declared free */
};

struct admit_job {
    struct writer_job job; /* first; `done` is the caller's to set */
    struct admit *admit;
    struct ledger_hold hold; /* bounds and amount: the proven ones; on TG_OK those that are held */
    struct admit_ask ask;

    /* out, on TG_OK */
    int64_t max_output_tokens; /* per choice, lowered to this; 0: left as it was */
    struct admit_rate rates[ADMIT_RATE_COUNT];
    /* out, on TG_LIMIT_REACHED and TG_RATE_LIMITED */
    struct tg_refusal refusal;
    char message[ADMIT_MESSAGE_MAX]; /* also on TG_UNPRICED; for people, of the refusal */
};

/* Fill in class and run. `done` gets TG_OK when the hold is durable; at once TG_LIMIT_REACHED,
 * TG_RATE_LIMITED, TG_UNPRICED: turned down, recorded without a charge. */
void admit_job_init(struct admit_job *job, struct admit *admit);

/* --- limits come and go. Thread: writer, after a commit. --- */

/* Count a limit from now on, past charges and open holds of its current period included; or take
 * over a change of it. On a failure nothing is admitted until all limits could be loaded anew. */
TG_MUST_CHECK enum tg_status admit_put_limit(struct admit *admit, struct db *db,
                                             const struct limit *limit, struct err *err);
void admit_remove_limit(struct admit *admit, int32_t limit_id);

/* --- looking at it. Any thread that may wait: each is a job of the writer. --- */

struct admit_count {
    int32_t limit_id;
    int32_t key_id; /* of a limit for each key; else 0 */
    int64_t period_start_ms;
    int64_t resets_at_ms; /* 0: never */
    int64_t amount;       /* with an override */
    int64_t spent;        /* unreconciled included */
    int64_t held;
    int64_t unreconciled;
};

struct admit_look_query {
    int32_t limit_id;
    int32_t key_id; /* of a limit for each key: only that one's; 0: all */
    struct admit_count *counts;
    int cap; /* how many there is room for */
};

/* The counts of one limit: the one it has, or those of the keys that have been seen.
 *
 * ret_count  how many were written
 * Errors     TG_NOT_FOUND: no such limit; TG_LEDGER_UNAVAILABLE; those of writer_call */
TG_MUST_CHECK enum tg_status admit_look(struct admit *admit, struct writer *writer,
                                        const struct admit_look_query *query, int *ret_count,
                                        struct err *err);

/* What would become of a call, without a hold and without a trace. The job is filled in as for an
 * admission; its status is handed back. */
TG_MUST_CHECK enum tg_status admit_try(struct admit_job *job, struct writer *writer,
                                       struct err *err);

/* --- looking at it without waiting: quota/own --- */

/* limit  valid during the call */
typedef void admit_on_count(void *context, const struct limit *limit,
                            const struct admit_count *count);
/* Each count that applies to a key, whatever the model: the organization's, its team's, of limits
 * for each key its own, and its own. In order of the limits' ids; a key not seen yet has counts of
 * 0. Thread: writer, inside a job. */
void admit_each_count(struct admit *admit, int32_t team_id, int32_t key_id,
                      admit_on_count *on_count, void *context);

/* Once a day at least: periods are fixed ahead, and what is remembered is written. */
struct admit_upkeep_job {
    struct writer_job job; /* first */
    struct admit *admit;
};
void admit_upkeep_job_init(struct admit_upkeep_job *job, struct admit *admit);

#endif
