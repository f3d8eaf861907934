#ifndef QUOTA_LIMIT_H
#define QUOTA_LIMIT_H

#include "base/auto.h"
#include "base/id.h"
#include "base/json.h"
#include "ledger/account.h"
#include "policy/period.h"

/* Limits: rows of the table `limit` and the changes to them. A limit is deleted by mark, never from
 * the table: refusals and events name it. What it counts, where and in which periods never changes;
 * who wants that makes another. What it has spent is not here: quota/admit. */

struct db;
struct admit;

enum limit_scope { LIMIT_ORGANIZATION, LIMIT_TEAM, LIMIT_KEY };

enum limit_metric {
    LIMIT_COST, /* what the team is charged, nano-USD */
    LIMIT_INPUT_TOKENS,
    LIMIT_OUTPUT_TOKENS,
    LIMIT_TOTAL_TOKENS,
    LIMIT_REQUESTS, /* calls with a dispatch */
    LIMIT_PARALLEL, /* open calls; has no window */
    LIMIT_METRIC_COUNT
};

const char *limit_scope_name(enum limit_scope scope);
const char *limit_metric_name(enum limit_metric metric);
/* return  whether there is one of that name; *ret only then */
bool limit_scope_from_name(struct span name, enum limit_scope *ret_scope);
bool limit_metric_from_name(struct span name, enum limit_metric *ret_metric);
/* Whether a call that does not fit such a limit can be made to: by a lower output maximum. */
bool limit_metric_may_clamp(enum limit_metric metric);
/* A number of that metric as the API writes it: of cost a decimal string in USD, else an integer.
 */
void limit_put_amount(struct json_writer *w, const char *name, enum limit_metric metric,
                      int64_t amount);

#define LIMIT_THRESHOLDS_MAX 8
#define LIMIT_AMOUNT_MAX     INT64_C(1000000000000000000) /* 1e18 */
#define LIMIT_COUNT_MAX      10000                        /* in force, in all */

struct limit {
    int32_t id; /* row */
    char public_id[ID_TEXT_SIZE];
    enum limit_scope scope;
    int32_t team_id;             /* of a team or a key; else 0 */
    int32_t key_id;              /* of a key; else 0 */
    char scope_id[ID_TEXT_SIZE]; /* public id of the team or the key; "" for the organization */
    bool is_each_key;            /* of a team: counts each of its keys alone */
    char **models;               /* names and prefix*, sorted; one block, NULL-ended; NULL: all */
    int model_count;
    enum limit_metric metric;
    bool has_window;         /* false: LIMIT_PARALLEL */
    struct period_rule rule; /* PERIOD_TOTAL where there is no window */
    char timezone[ACCOUNT_TIMEZONE_SIZE];
    int64_t amount;
    int64_t override_amount;   /* 0: none */
    int64_t override_start_ms; /* of the only period that it holds for */
    bool is_hard;
    bool may_clamp;
    bool is_strict;
    int thresholds[LIMIT_THRESHOLDS_MAX]; /* percent, ascending */
    int threshold_count;
    int64_t revision;
    int64_t created_at_ms;
};

/* Accepts NULL and a zeroed one. */
void limit_fini(struct limit *limit);
AUTO_DEFINE(limit, limit_fini)

/* Errors  TG_NO_MEMORY; then *ret_limit is zeroed */
TG_MUST_CHECK enum tg_status limit_copy(const struct limit *limit, struct limit *ret_limit);

/* Whether it applies to a call of that team and key that asks for that model. */
bool limit_applies(const struct limit *limit, int32_t team_id, int32_t key_id, struct span model);

/* What it admits in the period that begins at `period_start_ms`. */
int64_t limit_amount_in(const struct limit *limit, int64_t period_start_ms);

/* Errors  TG_NOT_FOUND, also for deleted ones and outside the scope; TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status limit_get(struct db *db, account_scope scope, struct span public_id,
                                       struct limit *ret_limit, struct err *err);

struct limit_query {
    account_scope scope; /* a team sees its own and its keys', and the organization's */
    struct account_page page;
    struct span team_id; /* only of that team and its keys; empty: all */
    struct span key_id;  /* only those that apply to that key; empty: all */
    enum tg_status (*on_row)(void *context, const struct limit *limit);
    void *context;
};
TG_MUST_CHECK enum tg_status limit_list(struct db *db, const struct limit_query *query,
                                        bool *ret_has_more, struct err *err);

/* Hard limits in force that may be reached before another one: those of its metric, of the
 * organization, its team or its key, in order of their ids.
 *
 * Errors  those of on_limit; TG_CORRUPT, TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status
limit_each_beside(struct db *db, const struct limit *limit,
                  enum tg_status (*on_limit)(void *context, const struct limit *other),
                  void *context, struct err *err);

/* Every limit in force, in order of their ids: for quota/admit.
 *
 * Errors  those of on_limit; TG_CORRUPT, TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status
limit_each(struct db *db, enum tg_status (*on_limit)(void *context, const struct limit *limit),
           void *context, struct err *err);

enum limit_action {
    LIMIT_CREATE,
    /* As create, but in place of the one with the same scope, metric, window and models, override
     * and all. Where only the amount or the manner differs it stays the same row. */
    LIMIT_SET,
    LIMIT_UPDATE,
    LIMIT_DELETE,  /* `after` is then zeroed */
    LIMIT_OVERRIDE /* `amount` for the current period alone; 0 takes it back */
};

/* As a merge patch. Bytes are borrowed until the job is answered. */
struct limit_input {
    /* of a creation */
    enum limit_scope scope;
    struct span scope_id; /* public id of the team or the key */
    bool is_each_key;
    struct span models; /* JSON array of names and prefix*; empty: all */
    enum limit_metric metric;
    bool has_window;         /* not of LIMIT_PARALLEL, of all others */
    struct period_rule rule; /* week_start 0: monday, anchor_day 0: the first */
    struct span timezone;    /* empty: the team's, else the organization's */
    /* of a creation and of a change */
    bool has_amount;
    bool has_is_hard;
    bool has_may_clamp; /* else: for cost yes, for the rest no */
    bool has_is_strict;
    bool has_thresholds;
    int64_t amount; /* 1..LIMIT_AMOUNT_MAX */
    bool is_hard;
    bool may_clamp;
    bool is_strict;
    struct span thresholds; /* JSON array of integers 1..1000, at most LIMIT_THRESHOLDS_MAX; empty:
                               the default */
};

struct limit_job {
    struct account_job account; /* first */
    enum limit_action action;
    struct admit *admit; /* where it is counted from then on; NULL: nothing is admitted here */
    account_scope scope;
    struct span public_id; /* of a change */
    int64_t if_revision;
    struct limit_input input;
    struct limit before;
    struct limit after;
    bool was_created; /* of LIMIT_SET: there was none to take the place of */

    /* The job's own. */
    char *models; /* of the input, sorted, each once; NULL: all */
    int thresholds[LIMIT_THRESHOLDS_MAX];
    int threshold_count;
};

/* Published by admit_put_limit and admit_remove_limit, in the writer, after the commit.
 *
 * Pointers of TG_INVALID, TG_NOT_FOUND and TG_CONFLICT: /scope/id, /scope/each, /models/0, /window,
 * /timezone, /week_start, /anchor_day, /amount, /when_short, /thresholds/0. An archived team or a
 * revoked key is TG_CONFLICT, and so are more than LIMIT_COUNT_MAX limits, a set that could mean
 * several, and an override where there is no period. */
void limit_job_init(struct limit_job *job, enum limit_action action, struct admit *admit);
void limit_job_fini(struct limit_job *job);
AUTO_DEFINE(limit_job, limit_job_fini)

#endif
