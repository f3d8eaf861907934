#ifndef POLICY_ZONE_H
#define POLICY_ZONE_H

#include "base/auto.h"
#include "base/err.h"
#include "base/span.h"

/* A time zone, read from the system's zone files: what a wall clock there shows at any instant, and
 * when each of its days begins.
 *
 * A zone is read once and does not change after; who wants a newer file loads it again. It knows
 * 1970 to ZONE_YEAR_MAX; after that it keeps its last offset. Instants are ms since 1970, of which
 * a day has 86,400,000: there are no leap seconds.
 *
 * Immutable once made, so that any thread may read it. */

#define ZONE_YEAR_MAX       2200
#define ZONE_FILE_BYTES_MAX 65536

/* What RFC 8536 lets a zone be away from UTC. */
#define ZONE_OFFSET_MIN_S (-89999)
#define ZONE_OFFSET_MAX_S 93599

struct zone;

/* Load a zone by its IANA name. `UTC` needs no file.
 *
 * ret_zone  owned by the caller
 * Errors    TG_NOT_FOUND: the system has no such zone; TG_CORRUPT: its file is damaged, or counts
 *           leap seconds; TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status zone_load(struct span name, struct zone **ret_zone, struct err *err);
/* Read the bytes of a zone file: TZif of version 2 or later (RFC 8536), with the rule at its end.
 *
 * ret_zone  owned by the caller
 * Errors    TG_CORRUPT, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status zone_parse(struct span file, struct zone **ret_zone);
/* Accepts NULL. */
void zone_free(struct zone *zone);
AUTO_PTR_DEFINE(zone, zone_free)

/* Seconds east of UTC at an instant: ZONE_OFFSET_MIN_S..ZONE_OFFSET_MAX_S. */
int zone_offset_s(const struct zone *zone, int64_t wall_ms);

/* The date that a calendar there shows at an instant. Where clocks go back over midnight, a date
 * comes back for a while. */
void zone_local_date(const struct zone *zone, int64_t wall_ms, int *ret_year, int *ret_month,
                     int *ret_day);

/* The first instant at which a calendar there shows this date or a later one. Where midnight comes
 * twice that is the first one; where there is none, the first instant of the day; where the whole
 * day is left out, the first of the next. So it never falls as the date rises, and equals that of
 * the next day only for a day that is left out.
 *
 * year, month, day  a valid date, 1969..ZONE_YEAR_MAX */
int64_t zone_day_start_ms(const struct zone *zone, int year, int month, int day);

#endif
