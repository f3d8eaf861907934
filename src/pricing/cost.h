#ifndef PRICING_COST_H
#define PRICING_COST_H

#include "tollgate/status.h"
#include "tollgate/usage.h"

/* What one attempt costs. A price is a whole number of pico-dollars (pusd) a unit, a charge a whole
 * number of nano-dollars (nusd): integers throughout, so a total never depends on the order of its
 * parts. Pure: no I/O, no allocation. Compiled without floating-point registers. */

/* The dearest unit found is an hour at 4.8e12 pusd. Together with TG_COUNT_MAX it keeps every
 * product and sum inside 128 bits. */
#define COST_PRICE_MAX INT64_C(5000000000000)

/* What a price is for: one of what the class counts, or, where it counts milliseconds, a second or
 * an hour of them. A price by the hour does not divide by 3,600, so it is divided with the total.
 */
enum cost_per { COST_PER_COUNT, COST_PER_SECOND, COST_PER_HOUR };

/* What a price is multiplied by, exactly: num / den. Zeroed: 1. */
struct cost_factor {
    int64_t num; /* 0..COST_FACTOR_MAX */
    int64_t den; /* 1..COST_FACTOR_MAX; 0: the factor is 1 */
};
#define COST_FACTOR_MAX INT64_C(1000000000000)

/* One class priced: which row, and whether another class's or tier's price stood in for a missing
 * one. */
struct cost_rate {
    int64_t price_id; /* row of the book; 0: no price */
    int64_t unit_price_pusd;
    struct cost_factor factor; /* of the tier, the region, a discount, a markup */
    enum cost_per per;
    bool is_fallback;
};

/* The prices that hold for one attempt, by class. */
struct cost_rates {
    struct cost_rate rate[TG_CLASS_COUNT];
};

struct cost {
    int64_t nusd;      /* of all classes that have a price, rounded once, half to even */
    bool is_unpriced;  /* a class with a count above 0 has no price */
    bool has_fallback; /* a class with a count above 0 was priced by fallback */
};

/* Price `usage` at `rates`.
 *
 * Errors  TG_OUT_OF_RANGE: a count outside 0..TG_COUNT_MAX, a price outside 0..COST_PRICE_MAX, a
 * factor outside its bounds, or a sum beyond int64 nusd or 128 bits */
TG_MUST_CHECK enum tg_status cost_of(const struct tg_usage *usage, const struct cost_rates *rates,
                                     struct cost *ret_cost);

/* A part of an attempt that has prices of its own: another model made it. */
struct cost_part {
    const struct tg_usage *usage;
    const struct cost_rates *rates;
};

/* Price all parts of one attempt together: rounded once, as one sum.
 *
 * count   0 or more
 * Errors  as cost_of */
TG_MUST_CHECK enum tg_status cost_of_parts(const struct cost_part *parts, int count,
                                           struct cost *ret_cost);

/* The product of two factors, in lowest terms.
 *
 * Errors  TG_OUT_OF_RANGE: one is outside its bounds, or the product */
TG_MUST_CHECK enum tg_status cost_factor_multiply(struct cost_factor a, struct cost_factor b,
                                                  struct cost_factor *ret_product);

/* The most that so many input and output tokens can cost at the dearest of the prices that may
 * apply, rounded up.
 *
 * tokens  0..TG_COUNT_MAX
 * pusd    0..COST_PRICE_MAX a token
 * Errors  TG_OUT_OF_RANGE: an input outside its bounds, or a result beyond int64 nusd */
TG_MUST_CHECK enum tg_status cost_bound(int64_t input_tokens, int64_t output_tokens,
                                        int64_t dearest_input_pusd, int64_t dearest_output_pusd,
                                        int64_t *ret_nusd);

#endif
