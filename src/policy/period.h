#ifndef POLICY_PERIOD_H
#define POLICY_PERIOD_H

#include "base/span.h"

/* The periods that a limit counts in. Those of one window tile time: each instant is in exactly
 * one, and where one ends the next begins, whatever clocks of the zone do.
 *
 * Minutes and hours are those of UTC. Days, weeks and months are those of the zone's calendar: one
 * begins at the first instant at which a calendar there shows its first day or a later one. A day
 * is thus 23, 24 or 25 hours long, or what else the zone does; one that the zone leaves out is
 * none. `total` is a single period without end.
 *
 * Pure. */

struct zone;

enum period_window {
    PERIOD_MINUTE,
    PERIOD_HOUR,
    PERIOD_DAY,
    PERIOD_WEEK,
    PERIOD_MONTH,
    PERIOD_TOTAL,
    PERIOD_WINDOW_COUNT
};

/* "minute", "hour", "day", "week", "month", "total". */
const char *period_window_name(enum period_window window);
/* return  whether it is one; *ret_window is written only then */
bool period_window_parse(struct span name, enum period_window *ret_window);
/* Whether its periods depend on the zone: day, week, month. */
bool period_is_calendar(enum period_window window);

#define PERIOD_MONDAY         1
#define PERIOD_SUNDAY         7
#define PERIOD_ANCHOR_DAY_MAX 28 /* every month has it */

struct period_rule {
    enum period_window window;
    int week_start; /* for weeks: PERIOD_MONDAY..PERIOD_SUNDAY */
    int anchor_day; /* for months: 1..PERIOD_ANCHOR_DAY_MAX, the day of the month that one begins on
                     */
};

/* Half open. */
struct period {
    int64_t start_ms; /* ms since 1970; below 0 where the first instant of 1970 is inside */
    int64_t end_ms;   /* of total: INT64_MAX */
};

/* The one that an instant is in.
 *
 * zone     may be NULL where the window is no calendar one
 * wall_ms  0 to the year 9999; past ZONE_YEAR_MAX clocks of a zone change no more */
void period_at(const struct zone *zone, const struct period_rule *rule, int64_t wall_ms,
               struct period *ret_period);
/* The one that begins where `period` ends, which is not the total. */
void period_next(const struct zone *zone, const struct period_rule *rule,
                 const struct period *period, struct period *ret_period);

#endif
