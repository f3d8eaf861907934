#ifndef SUPPORT_QUOTA_H
#define SUPPORT_QUOTA_H

#include "quota/admit.h"
#include "support/support_book.h"

/* Limits over a ledger of a test: teams 1..QUOTA_TEAMS with QUOTA_KEYS keys each, calls that are
 * admitted and settled, and what the limits say of it. */

#define QUOTA_TEAMS 2
#define QUOTA_KEYS  4 /* of each team; key k of team t has the row (t - 1) * QUOTA_KEYS + k */

/* Put the teams and keys there, under the public ids "team_t" and "key_k" (k: the row). */
void quota_people(struct support_book *book);

/* What a test says of a limit; the rest is as by default. */
struct quota_limit {
    enum limit_scope scope;
    int id; /* row of the team or the key */
    enum limit_metric metric;
    enum period_window window;
    int64_t amount;
    bool is_each_key;
    bool is_soft;
    bool refuses; /* does not clamp though it is in money */
    bool clamps;  /* though it is not */
    bool is_strict;
    const char *models;   /* JSON array; NULL: all */
    const char *timezone; /* NULL: UTC */
    int anchor_day;       /* 0: the first */
};

/* Make it; ret: its row. */
int32_t quota_limit_make(struct support_book *book, const struct quota_limit *limit);
/* Change, override and delete it. */
void quota_limit_set(struct support_book *book, int32_t limit_id, int64_t amount);
void quota_limit_override(struct support_book *book, int32_t limit_id, int64_t amount);
void quota_limit_delete(struct support_book *book, int32_t limit_id);
/* The only count it has, or that of a key. */
struct admit_count quota_look(struct support_book *book, int32_t limit_id, int32_t key_id);

/* A call on its way through the ledger. */
struct quota_call {
    struct admit_job job; /* first */
    struct ledger_settle_job settle;
    struct support_outcome outcome;
    struct support_outcome settled;
    struct support_book *book;
};

/* A call of a key for the model "m", of so many tokens in and out at most, at one nano-USD a token.
 * Ids are given in order, from now on. */
void quota_call_init(struct support_book *book, struct quota_call *call, int32_t key_id,
                     int64_t input_tokens, int64_t output_tokens);
/* Submit and wait: what becomes of it. */
enum tg_status quota_admit(struct quota_call *call);
/* Settle an admitted one, with what it did use; both 0: nothing was sent. */
void quota_settle(struct quota_call *call, int64_t input_tokens, int64_t output_tokens);

#endif
