#ifndef QUOTA_COUNTER_H
#define QUOTA_COUNTER_H

#include "base/list.h"
#include "quota/limit.h"

/* What one limit has spent and holds in one period, and the periods of one limit, or of one limit
 * for one key. What a batch changes is kept twice until its fate is known.
 *
 * Thread: one; the ledger writer's. */

struct calendar;

/* The counters that the open batch has changed. */
struct counter_log {
    struct list touched;
};

void counter_log_init(struct counter_log *log);
/* Keep what the batch has changed, or undo it. */
void counter_log_keep(struct counter_log *log);
void counter_log_undo(struct counter_log *log);

struct counter_state {
    int64_t spent; /* unreconciled included */
    int64_t held;
    int64_t unreconciled;
    int told; /* thresholds, from the lowest on, that have been told */
};

struct counter {
    struct list node; /* in its set, newest first */
    struct counter_set *set;
    struct period period;
    struct counter_state now;
    struct counter_state before; /* the batch */
    struct list touched_node;    /* in the log, where the batch has changed it */
    int open_holds;              /* that count in here */
};

struct counter_set {
    struct list node; /* in its limit's sets */
    struct list counters;
    const struct limit *limit;
    const struct calendar *calendar;
    struct counter_log *log;
    int32_t key_id; /* of a limit for each key; else 0 */
    int open_holds; /* of all its counters */
};

/* limit, calendar, log: borrowed while the set lives */
void counter_set_init(struct counter_set *set, const struct limit *limit,
                      const struct calendar *calendar, struct counter_log *log);
/* No counter may have open holds. */
void counter_set_fini(struct counter_set *set);

/* The counter of the period that a moment falls into. A later period than any is opened with
 * nothing spent; periods that are over and hold nothing are let go, but the last.
 *
 * Errors  TG_NOT_FOUND: an earlier period than those kept; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status counter_at(struct counter_set *set, int64_t wall_ms,
                                        struct counter **ret_counter);
/* The latest one. NULL: none was opened yet. */
struct counter *counter_newest(const struct counter_set *set);

/* Before a change: the batch may be undone. */
void counter_touch(struct counter *counter);

/* What the limit admits in the counter's period. */
int64_t counter_amount(const struct counter *counter);

/* The next threshold that is reached and not told. return  percent; 0: none */
int counter_next_threshold(const struct counter *counter);

#endif
