#ifndef POLICY_CALENDAR_H
#define POLICY_CALENDAR_H

#include "base/auto.h"
#include "base/err.h"
#include "policy/period.h"

/* The periods of one zone and rule, fixed ahead in the table `period`, so that a later change of
 * the zone files alters none that has begun.
 *
 * Invariants
 *   The rows of a rule tile time from the first to the last; so does what calendar_at says of all
 *   time.
 *   A row that has begun stays as it is, its end too. Those still to come are replaced where the
 *   zone says something else by now: the first begins where the last that has begun ends, and is as
 *   long as a period of the zone, give or take a half, so that a change of a zone hands out no
 *   budget for an hour.
 *
 * Periods that do not depend on a zone have no rows; all of this is then arithmetic.
 *
 * Thread: writer. */

#define CALENDAR_AHEAD_DAYS 400
/* Rows of one rule: the days of 1970 to 2100. */
#define CALENDAR_ROWS_MAX 50000

struct db;
struct calendar;

/* Which calendar. */
struct calendar_choice {
    const char *zone_name; /* IANA name; of no account where the window is no calendar one */
    const struct period_rule *rule;
};

/* Load the rows of a rule, and see to it that they reach CALENDAR_AHEAD_DAYS ahead. Inside the
 * caller's transaction; when that is rolled back the calendar is good all the same, and the next
 * calendar_extend writes what is missing.
 *
 * choice        copied
 * now_ms        ms since 1970
 * ret_calendar  owned by the caller
 * Errors        TG_NOT_FOUND, TG_CORRUPT: the zone; TG_CORRUPT: rows with a gap between them;
 *               TG_OUT_OF_RANGE: more than CALENDAR_ROWS_MAX would be needed; TG_IO, TG_NO_MEMORY
 */
TG_MUST_CHECK enum tg_status calendar_open(struct db *db, const struct calendar_choice *choice,
                                           int64_t now_ms, struct calendar **ret_calendar,
                                           struct err *err);
/* Accepts NULL. */
void calendar_free(struct calendar *calendar);
AUTO_PTR_DEFINE(calendar, calendar_free)

/* The same as at calendar_open, once a day, with the zone's file as it is by now; one that cannot
 * be read at the moment leaves the zone as it was. Inside the caller's transaction.
 *
 * Errors  as calendar_open; then the calendar is as before */
TG_MUST_CHECK enum tg_status calendar_extend(struct db *db, struct calendar *calendar,
                                             int64_t now_ms, struct err *err);

/* The period that an instant is in; before the first row and past the last one as the zone has it
 * now. No I/O.
 *
 * wall_ms  0 to the year 9999 */
void calendar_at(const struct calendar *calendar, int64_t wall_ms, struct period *ret_period);

#endif
