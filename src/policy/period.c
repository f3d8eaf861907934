#include "policy/period.h"

#include "base/clock.h"
#include "policy/zone.h"

#include <assert.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   INT64_C(3600000)
#define WEEK_DAYS 7
/* 1970-01-01, day 0, was a Thursday; days of the week count from Monday, 1. */
#define THURSDAY 4

static const char *const names[PERIOD_WINDOW_COUNT] = {
    [PERIOD_MINUTE] = "minute", [PERIOD_HOUR] = "hour",   [PERIOD_DAY] = "day",
    [PERIOD_WEEK] = "week",     [PERIOD_MONTH] = "month", [PERIOD_TOTAL] = "total",
};

const char *period_window_name(enum period_window window)
{
    assert((unsigned)window < PERIOD_WINDOW_COUNT);
    return names[window];
}

bool period_window_parse(struct span name, enum period_window *ret_window)
{
    for (int window = 0; window < PERIOD_WINDOW_COUNT; window++) {
        if (span_equal(name, span_from(names[window]))) {
            *ret_window = (enum period_window)window;
            return true;
        }
    }
    return false;
}

bool period_is_calendar(enum period_window window)
{
    return window == PERIOD_DAY || window == PERIOD_WEEK || window == PERIOD_MONTH;
}

static int64_t day_start_ms(const struct zone *zone, int64_t day)
{
    int year;
    int month;
    int day_of_month;

    clock_civil_from_days(day, &year, &month, &day_of_month);
    return zone_day_start_ms(zone, year, month, day_of_month);
}

/* The last day that has begun. It is later than the date shown where clocks have gone back over
 * midnight, and where the next day is left out. */
static int64_t day_at(const struct zone *zone, int64_t wall_ms)
{
    int year;
    int month;
    int day_of_month;
    int64_t day;

    zone_local_date(zone, wall_ms, &year, &month, &day_of_month);
    day = clock_days_from_civil(year, month, day_of_month);
    while (day_start_ms(zone, day + 1) <= wall_ms) /* at most what offsets differ by: three days */
        day++;
    return day;
}

/* The month is counted from year 0, so that its neighbours are one more and one less. */
static int64_t anchor_of(int64_t month, int anchor_day)
{
    return clock_days_from_civil((int)(month / 12), (int)(month % 12) + 1, anchor_day);
}

static void month_around(int64_t day, int anchor_day, int64_t *ret_first, int64_t *ret_next)
{
    int year;
    int month_of_year;
    int day_of_month;
    int64_t month;

    clock_civil_from_days(day, &year, &month_of_year, &day_of_month);
    month = (int64_t)year * 12 + month_of_year - 1;
    if (day_of_month < anchor_day)
        month--;
    *ret_first = anchor_of(month, anchor_day);
    *ret_next = anchor_of(month + 1, anchor_day);
}

static void week_around(int64_t day, int week_start, int64_t *ret_first, int64_t *ret_next)
{
    /* The day before 1970 may be asked about: whole weeks more keep it positive. */
    const int64_t since = (day + THURSDAY - week_start + INT64_C(2) * WEEK_DAYS) % WEEK_DAYS;

    *ret_first = day - since;
    *ret_next = *ret_first + WEEK_DAYS;
}

static void calendar_period_at(const struct zone *zone, const struct period_rule *rule,
                               int64_t wall_ms, struct period *ret_period)
{
    int64_t first = day_at(zone, wall_ms);
    int64_t next = first + 1;

    if (rule->window == PERIOD_WEEK) {
        assert(rule->week_start >= PERIOD_MONDAY && rule->week_start <= PERIOD_SUNDAY);
        week_around(first, rule->week_start, &first, &next);
    } else if (rule->window == PERIOD_MONTH) {
        assert(rule->anchor_day >= 1 && rule->anchor_day <= PERIOD_ANCHOR_DAY_MAX);
        month_around(first, rule->anchor_day, &first, &next);
    }
    ret_period->start_ms = day_start_ms(zone, first);
    ret_period->end_ms = day_start_ms(zone, next);
}

void period_at(const struct zone *zone, const struct period_rule *rule, int64_t wall_ms,
               struct period *ret_period)
{
    assert(wall_ms >= 0);
    switch (rule->window) {
    case PERIOD_MINUTE:
        ret_period->start_ms = wall_ms / MINUTE_MS * MINUTE_MS;
        ret_period->end_ms = ret_period->start_ms + MINUTE_MS;
        break;
    case PERIOD_HOUR:
        ret_period->start_ms = wall_ms / HOUR_MS * HOUR_MS;
        ret_period->end_ms = ret_period->start_ms + HOUR_MS;
        break;
    case PERIOD_DAY:
    case PERIOD_WEEK:
    case PERIOD_MONTH:
        calendar_period_at(zone, rule, wall_ms, ret_period);
        break;
    case PERIOD_TOTAL:
    case PERIOD_WINDOW_COUNT:
        assert(rule->window == PERIOD_TOTAL);
        *ret_period = (struct period){ .start_ms = 0, .end_ms = INT64_MAX };
        break;
    }
    assert(ret_period->start_ms <= wall_ms);
    assert(ret_period->end_ms > wall_ms);
}

void period_next(const struct zone *zone, const struct period_rule *rule,
                 const struct period *period, struct period *ret_period)
{
    assert(period->end_ms != INT64_MAX);
    period_at(zone, rule, period->end_ms, ret_period);
}
