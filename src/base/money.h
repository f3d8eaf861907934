#ifndef BASE_MONEY_H
#define BASE_MONEY_H

#include "base/span.h"
#include "tollgate/status.h"

/* Money is a whole number: charges in nano-USD (nusd, 1e-9), prices in pico-USD (pusd, 1e-12) a
 * unit. No floating point; the build compiles this file without floating-point registers. */

#define MONEY_NUSD_PER_USD  INT64_C(1000000000)
#define MONEY_PUSD_PER_NUSD INT64_C(1000)

/* "-9223372036.854775807" and its terminator. */
#define MONEY_TEXT_SIZE 24

/* Write nusd as USD with up to 9 decimals, no exponent, no trailing zero: "0", "0.0032525", "-1.5".
 */
void money_format(int64_t nusd, char text[MONEY_TEXT_SIZE]);

/* Read USD with up to 9 decimals, optional leading '-', no exponent, no blank, a digit on
 * both sides of the point and no leading zero before another digit.
 *
 * Errors  TG_INVALID: not such a number; TG_OUT_OF_RANGE: beyond int64 nusd */
TG_MUST_CHECK enum tg_status money_parse(struct span text, int64_t *ret_nusd);

/* Write pusd as USD with up to 12 decimals, as money_format does: what a price or a product is,
 * before it is rounded. */
#define MONEY_PUSD_TEXT_SIZE 56
void money_format_pusd(__int128 pusd, char text[MONEY_PUSD_TEXT_SIZE]);

/* Read USD with up to 12 decimals, as money_parse does; 0 or more.
 *
 * Errors  as money_parse */
TG_MUST_CHECK enum tg_status money_parse_pusd(struct span text, int64_t *ret_pusd);

/* a + b.
 *
 * Errors  TG_OUT_OF_RANGE: the sum is beyond int64 */
TG_MUST_CHECK enum tg_status money_add(int64_t a_nusd, int64_t b_nusd, int64_t *ret_nusd);

/* Round pusd to nusd. Half to even is neutral over many calls; up is for holds, which must cover.
 *
 * pusd    0 or more, at most INT64_MAX * 1000
 * Errors  TG_OUT_OF_RANGE */
TG_MUST_CHECK enum tg_status money_round_half_even(__int128 pusd, int64_t *ret_nusd);
TG_MUST_CHECK enum tg_status money_round_up(__int128 pusd, int64_t *ret_nusd);

#endif
