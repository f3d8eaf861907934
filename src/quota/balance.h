#ifndef QUOTA_BALANCE_H
#define QUOTA_BALANCE_H

#include "ledger/ledger.h"
#include "quota/limit.h"
#include "tollgate/provider.h"

/* What every limit has spent and holds, in memory: the numbers that admissions are decided by.
 * Nothing in here reads or writes the database.
 *
 * A limit has one account, or one for each key; an account has a counter for each period that still
 * matters: the newest two, and any with open holds. What a batch changes can be undone until it is
 * committed. A call's limits are looked up once and remembered until limits change.
 *
 * Invariants
 *   held of a counter = sum of what the open attempts hold in it.
 *   Of a hard limit, balance_hold after a balance_check that passed keeps spent + held <= amount.
 *
 * Thread: one; the ledger writer's. */

struct balance;
struct calendar;

/* Open attempts. */
#define BALANCE_HOLDS_MAX ((size_t)1 << 20)
/* Calls, by key and model, whose limits are remembered. */
#define BALANCE_VECTORS_MAX ((size_t)1 << 15)

enum tg_status balance_new(struct balance **ret_balance);
/* Accepts NULL. */
void balance_free(struct balance *balance);

/* Whose counts: of which attempt. */
struct balance_call {
    int64_t attempt_id; /* its time picks the period */
    int32_t team_id;
    int32_t key_id;
    struct span model; /* as asked for */
};

/* Take in a limit, or a change of one that is there. A new one begins with nothing spent and, where
 * they fall into it, with all open holds.
 *
 * calendar  of its periods; borrowed until the limit is removed
 * now_ms    picks the current period
 * Errors    TG_NO_MEMORY: nothing is changed */
TG_MUST_CHECK enum tg_status balance_put(struct balance *balance, const struct limit *limit,
                                         const struct calendar *calendar, int64_t now_ms);
void balance_remove(struct balance *balance, int32_t limit_id);
bool balance_has(const struct balance *balance, int32_t limit_id);

/* Past charges of the current period of a limit, or of all limits whose current period begins at
 * `start_ms`.
 *
 * Errors  TG_NO_MEMORY */
struct balance_past {
    int32_t limit_id; /* 0: all */
    int64_t start_ms;
    int64_t now_ms; /* picks the current period */
    int32_t team_id;
    int32_t key_id;
    struct span model;
    struct ledger_amounts spent;
    struct ledger_amounts unreconciled; /* part of it */
};
TG_MUST_CHECK enum tg_status balance_seed(struct balance *balance, const struct balance_past *past);

/* What an attempt would hold: at its proven bound, in strict limits, and at the bound used in the
 * others. */
struct balance_need {
    struct ledger_amounts proven;
    struct ledger_amounts used;
};

/* The limit that turns a call down, and its numbers. Pointers live until limits change. */
struct balance_refusal {
    enum tg_refusal_reason reason;
    const struct limit *limit;
    struct period period;
    int64_t amount;
    int64_t spent;
    int64_t held;
    int64_t estimate;
};

/* Whether every hard limit has room. Where several have not, the one is named whose answer outlasts
 * the others', and of these the tightest.
 *
 * ret     written only for TG_LIMIT_REACHED
 * Errors  TG_LIMIT_REACHED; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status balance_check(struct balance *balance, const struct balance_call *call,
                                           const struct balance_need *need,
                                           struct balance_refusal *ret_refusal);

/* Whether any hard limit in money applies. Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status balance_counts_money(struct balance *balance,
                                                  const struct balance_call *call, bool *ret_does);

/* What a token costs at most, as the need's cost was made. */
struct balance_price {
    int64_t input_pusd;
    int64_t output_pusd;
    int64_t fixed_nusd;
};

/* The most output tokens, up to the need's, that fit into every hard limit.
 *
 * return  below 0: none do, or a limit that is short does not allow it */
int64_t balance_fit(struct balance *balance, const struct balance_call *call,
                    const struct balance_need *need, const struct balance_price *price);

/* Set aside, after balance_check has passed.
 *
 * added_tokens  of the provider's kind, for learning
 * Errors        TG_CONFLICT: the attempt has a hold; TG_NO_MEMORY, TG_OVERLOADED: nothing is
 * changed */
TG_MUST_CHECK enum tg_status balance_hold(struct balance *balance, const struct balance_call *call,
                                          const struct balance_need *need, int64_t added_tokens);

/* Take over every open hold of another balance, which stays as it is.
 *
 * Errors  TG_NO_MEMORY, TG_OVERLOADED */
TG_MUST_CHECK enum tg_status balance_take_holds(struct balance *balance,
                                                const struct balance *from);

/* What an attempt had set aside. */
struct balance_held {
    struct balance_need need;
    int64_t added_tokens;
};

/* Count a row that the ledger posted; of an attempt, its hold ends.
 *
 * ret_held  may be NULL
 * return    whether there was a hold
 * Errors are kept: balance_is_broken */
bool balance_post(struct balance *balance, const struct ledger_posting *posting,
                  struct balance_held *ret_held);

/* A count is lost for want of memory: all limits are to be loaded anew. */
bool balance_is_broken(const struct balance *balance);

void balance_committed(struct balance *balance);
void balance_rolled_back(struct balance *balance);

/* A threshold that a counter has reached in this batch, each told once. */
struct balance_event {
    int32_t limit_id;
    int32_t key_id; /* of a limit for each key; else 0 */
    const struct limit *limit;
    int64_t period_start_ms;
    int threshold; /* percent */
    int64_t amount;
    int64_t spent;
};
/* return  false: there is none left */
bool balance_next_event(struct balance *balance, struct balance_event *ret_event);

/* One counter as it is. */
struct balance_count {
    const struct limit *limit;
    int32_t key_id; /* of a limit for each key; else 0 */
    struct period period;
    int64_t amount; /* with an override */
    int64_t spent;
    int64_t held;
    int64_t unreconciled;
};
typedef void balance_on_count(void *context, const struct balance_count *count);

/* The newest counters of a limit, of its keys seen so far. now_ms: a period that has ended is
 * followed by an empty one. return  whether there is such a limit */
bool balance_look(struct balance *balance, int32_t limit_id, int64_t now_ms,
                  balance_on_count *on_count, void *context);
/* Those of every limit that applies to a key, whatever the model. */
void balance_look_key(struct balance *balance, int32_t team_id, int32_t key_id, int64_t now_ms,
                      balance_on_count *on_count, void *context);
/* Those of every limit that applies to a call. Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status balance_look_call(struct balance *balance,
                                               const struct balance_call *call,
                                               balance_on_count *on_count, void *context);

/* How many attempts are open. */
size_t balance_open_count(const struct balance *balance);

#endif
