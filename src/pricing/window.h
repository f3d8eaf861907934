#ifndef PRICING_WINDOW_H
#define PRICING_WINDOW_H

#include "base/span.h"

/* The hours of the week in which a price holds, in UTC: `HH:MM-HH:MM`, several joined by `+`, all
 * of them narrowed to days by `/Mon-Fri`; `else` for the time that no other row of the price names;
 * empty for always. The start belongs to it, the end does not. A part whose end is before its start
 * runs over midnight; the days are then those of the instant asked about, not of the part's
 * beginning. */

#define WINDOW_PARTS_MAX 4
#define WINDOW_TEXT_MAX  64

/* In the order of precedence: where several hold, the last one prices. */
enum window_kind { WINDOW_ALWAYS, WINDOW_ELSE, WINDOW_NAMED };

struct window {
    uint8_t kind;                         /* enum window_kind */
    uint8_t part_count;                   /* 1..WINDOW_PARTS_MAX where WINDOW_NAMED */
    uint8_t days;                         /* bit 0 is Monday */
    uint16_t start_min[WINDOW_PARTS_MAX]; /* minutes since midnight, 0..1439 */
    uint16_t end_min[WINDOW_PARTS_MAX];   /* 1..1440 or, over midnight, 0..1439 */
};

/* Read one.
 *
 * return  whether it is valid; *ret_window is written only then */
bool window_parse(struct span text, struct window *ret_window);

/* Whether the instant lies in it. WINDOW_ALWAYS and WINDOW_ELSE hold at all times: that `else`
 * gives way to a named window is the business of the one who picks.
 *
 * at_ms   ms since 1970 */
bool window_holds(const struct window *window, int64_t at_ms);

#endif
