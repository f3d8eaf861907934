/* Prints when months begin, for a test that has a calendar of its own.
 *
 *   period_dump FIRST_YEAR LAST_YEAR < names of zones, one a line
 *
 * A line a zone: its name, then the first instant of each month in ms since 1970; the name alone
 * where the system has no such zone. */
#include "base/clock.h"
#include "policy/period.h"
#include "policy/zone.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_BYTES 256

/* The middle of a month is in it wherever one is. */
static void print_months(const struct zone *zone, int first_year, int last_year)
{
    static const struct period_rule rule = { .window = PERIOD_MONTH, .anchor_day = 1 };
    const int64_t middle = clock_days_from_civil(first_year, 1, 15);
    const int months = (last_year - first_year + 1) * 12;
    struct period period;

    period_at(zone, &rule, middle * INT64_C(86400000), &period);
    for (int month = 0; month < months; month++) {
        printf(" %" PRId64, period.start_ms);
        period_next(zone, &rule, &period, &period);
    }
}

int main(int argc, char **argv)
{
    char line[LINE_MAX_BYTES];

    if (argc != 3) {
        fprintf(stderr, "usage: period_dump FIRST_YEAR LAST_YEAR\n");
        return 2;
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        AUTO_PTR(zone) zone = NULL;
        struct err err = { "" };
        enum tg_status status;

        line[strcspn(line, "\n")] = '\0';
        status = zone_load(span_from(line), &zone, &err);
        if (status != TG_OK && status != TG_NOT_FOUND) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        printf("%s", line);
        if (status == TG_OK)
            print_months(zone, (int)strtol(argv[1], NULL, 10), (int)strtol(argv[2], NULL, 10));
        printf("\n");
    }
    return 0;
}
