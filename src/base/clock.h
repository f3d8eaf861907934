#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/span.h"

/* Time behind an interface, so that tests own it. Wall time is ms since 1970 UTC, intervals are
 * monotonic us. The process has one clock; `clock_use` swaps it in tests only, before threads
 * start; NULL restores the system's. */

struct clock_source {
    int64_t (*wall_ms)(void);
    int64_t (*monotonic_us)(void);
    int64_t (*boot_ms)(void); /* NULL: the monotonic clock in ms */
};

void clock_use(const struct clock_source *source);

int64_t clock_wall_ms(void);
int64_t clock_monotonic_us(void);
/* Ms since the machine was started, the time that it was suspended included, which the monotonic
 * clock leaves out. Nobody can set it. */
int64_t clock_boot_ms(void);

/* "2026-11-24T17:30:00.123Z" and its terminator. */
#define CLOCK_RFC3339_SIZE 25

/* Write `wall_ms` (1970..9999) as RFC 3339 in UTC with milliseconds. */
void clock_format_rfc3339(int64_t wall_ms, char text[CLOCK_RFC3339_SIZE]);

/* Read RFC 3339 with any offset, and a plain date as its first instant in UTC. No second 60. Up to
 * 9 decimals of a second, cut to ms. What clock_format_rfc3339 could not write, before 1970 or
 * after 9999 in UTC, is not read either.
 *
 * return  whether it is valid; *ret_wall_ms is written only then */
bool clock_parse_rfc3339(struct span text, int64_t *ret_wall_ms);

/* Days since 1970-01-01 of a proleptic Gregorian date, month 1..12, day 1..31, and back. */
int64_t clock_days_from_civil(int year, int month, int day);
void clock_civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day);

#endif
