#ifndef POLICY_TRUSTED_H
#define POLICY_TRUSTED_H

#include <stdbool.h>
#include <stdint.h>

/* The time that ids and periods go by. It follows the wall clock, but does not believe every step
 * of it: a clock that jumps a month ahead must not hand out next month's budget, and one that jumps
 * back must not open last month again.
 *
 * Told by the boot clock, which counts suspension and which nobody can set, a laptop that has slept
 * and a wall clock that was set look different. Steps of up to TRUSTED_STEP_MS, in which boot time
 * cannot be told from drift, are followed; at most one such step in TRUSTED_AGREE_MS. On a larger
 * one time goes on by the boot clock as if nothing had happened, until
 *   the wall clock is back on the old course, or
 *   it has agreed with itself for TRUSTED_AGREE_MS, or
 *   an operator confirms it,
 * and then follows again: ahead at once; back by going at half speed until the wall clock has
 * caught up. Standing still instead would keep a minute's limit shut for as long as the clock went
 * back.
 *
 * Time never goes back, not below the last one stored in the ledger either. What it reads like:
 *   A server that was off for a day is started: TRUSTED_GAP, for a warning. Nothing else happens.
 *   A server that was off for two months is started: TRUSTED_UNCONFIRMED. It serves, but for ten
 *   minutes still in the month in which it went off: what was used up then is refused, and calls
 * made meanwhile are booked under that month. Then, or as soon as someone confirms the clock, it is
 *   today.
 *   A server whose clock is a day behind the ledger goes on from where the ledger is.
 *
 * Pure; one thread at a time. */

#define TRUSTED_STEP_MS        INT64_C(300000)     /* 5 minutes */
#define TRUSTED_AGREE_MS       INT64_C(600000)     /* 10 minutes of boot time */
#define TRUSTED_GAP_MS         INT64_C(86400000)   /* 24 hours */
#define TRUSTED_UNCONFIRMED_MS INT64_C(3024000000) /* 35 days */

enum trusted_state {
    TRUSTED_FOLLOWS, /* the wall clock */
    TRUSTED_GAP,     /* follows, but nothing was stored for more than TRUSTED_GAP_MS before the
                        start; for the first TRUSTED_AGREE_MS */
    TRUSTED_STEPPED, /* goes by the boot clock: the wall clock was set, or is behind the ledger */
    TRUSTED_UNCONFIRMED /* the same: the wall clock is TRUSTED_UNCONFIRMED_MS ahead of the ledger */
};

/* One reading of both clocks. */
struct trusted_reading {
    int64_t wall_ms; /* since 1970 */
    int64_t boot_ms; /* of clock_boot_ms */
};

struct trusted_clock {
    /* Read by the caller, who logs when it changes. */
    enum trusted_state state;

    /* The clock's own. */
    int64_t now_ms;                /* handed out last */
    int64_t boot_ms;               /* when; less what half speed has not made a ms of yet */
    struct trusted_reading course; /* from which the boot clock tells what time it should be */
    struct trusted_reading seen;   /* while stepped: what the wall clock has agreed with since */
    bool is_confirmed;             /* while stepped: an operator believes the wall clock */
};

/* Start.
 *
 * floor_ms  the last time stored, which is never gone below; 0: nothing is stored */
void trusted_init(struct trusted_clock *clock, struct trusted_reading reading, int64_t floor_ms);

/* The time now, in ms since 1970: floor_ms or later, and never before one handed out. A reading of
 * the boot clock that is behind the last one counts as that one. */
int64_t trusted_now(struct trusted_clock *clock, struct trusted_reading reading);

/* Believe the wall clock, whatever it says at the next trusted_now; for an operator. */
void trusted_confirm(struct trusted_clock *clock);

#endif
