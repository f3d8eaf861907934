/* Oracle: whatever a zone file holds, its offsets are in range, a day starts at the first instant
 * at which its date or a later one is shown, and periods of all windows tile. The first four bytes
 * pick the date asked about; the rest is the file. */
#include "base/clock.h"
#include "policy/period.h"
#include "policy/zone.h"

#include <assert.h>

#define DAY_MS   INT64_C(86400000)
#define DAYS_MAX (230 * 365)
#define DAYS     5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t date_at(const struct zone *zone, int64_t wall_ms)
{
    int year;
    int month;
    int day;

    assert(zone_offset_s(zone, wall_ms) >= ZONE_OFFSET_MIN_S);
    assert(zone_offset_s(zone, wall_ms) <= ZONE_OFFSET_MAX_S);
    zone_local_date(zone, wall_ms, &year, &month, &day);
    return clock_days_from_civil(year, month, day);
}

static int64_t check_day(const struct zone *zone, int64_t date)
{
    int year;
    int month;
    int day;
    int64_t start_ms;

    clock_civil_from_days(date, &year, &month, &day);
    start_ms = zone_day_start_ms(zone, year, month, day);
    assert(date_at(zone, start_ms) >= date);
    /* A step back of days may show the date for hours before; each of them was later than it began.
     */
    for (int64_t before_ms = 1; before_ms < 3 * DAY_MS; before_ms = before_ms * 2 + 1000)
        assert(date_at(zone, start_ms - before_ms) < date);
    return start_ms;
}

static void check_periods(const struct zone *zone, const struct period_rule *rule, int64_t from_ms)
{
    struct period period;
    struct period next;

    period_at(zone, rule, from_ms, &period);
    for (int i = 0; i < DAYS; i++) {
        period_next(zone, rule, &period, &next);
        assert(next.start_ms == period.end_ms);
        assert(next.end_ms > next.start_ms);
        period_at(zone, rule, next.end_ms - 1, &period);
        assert(period.start_ms == next.start_ms && period.end_ms == next.end_ms);
    }
}

static void check_zone(const struct zone *zone, const uint8_t pick[4])
{
    const int64_t date = (pick[0] | pick[1] << 8 | (pick[2] & 1) << 16) % DAYS_MAX;
    const struct period_rule rules[] = {
        { .window = PERIOD_DAY },
        { .window = PERIOD_WEEK, .week_start = 1 + pick[3] % 7 },
        { .window = PERIOD_MONTH, .anchor_day = 1 + pick[3] % PERIOD_ANCHOR_DAY_MAX },
    };
    int64_t start_ms = check_day(zone, date);

    for (int64_t day = date + 1; day < date + DAYS; day++) {
        const int64_t next_ms = check_day(zone, day);

        assert(next_ms >= start_ms);
        start_ms = next_ms;
    }
    for (int i = 0; i < 3; i++)
        check_periods(zone, &rules[i], date * DAY_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zone *zone = NULL;

    if (size < 4)
        return 0;
    if (zone_parse(span_of((const char *)data + 4, size - 4), &zone) == TG_OK)
        check_zone(zone, data);
    zone_free(zone);
    return 0;
}
