#include "pricing/cost.h"

#include "base/money.h"
#include "base/try.h"

/* Sums are kept in the finest part that a price is cut into, a millisecond's share of an hour, so
 * that one division rounds the whole. TG_COUNT_MAX * COST_PRICE_MAX * PARTS_PER_UNIT *
 * TG_CLASS_COUNT is 6e29: 2^127 is 1.7e38. */
#define PARTS_PER_UNIT INT64_C(3600000)
#define PARTS_PER_NUSD (PARTS_PER_UNIT * MONEY_PUSD_PER_NUSD)

_Static_assert(TG_CLASS_COUNT <= 1000, "1,000 classes keep the sum inside 128 bits");

static bool within(int64_t value, int64_t max)
{
    return 0 <= value && value <= max;
}

static const int64_t parts_per_count[] = {
    [COST_PER_COUNT] = PARTS_PER_UNIT,
    [COST_PER_SECOND] = PARTS_PER_UNIT / 1000,
    [COST_PER_HOUR] = 1,
};

/* Rounding up every call would bill a busy team for tokens it never used; half to even is neutral.
 */
static enum tg_status round_half_even(__int128 parts, int64_t *ret_nusd)
{
    const __int128 whole = parts / PARTS_PER_NUSD;
    const int64_t rest = (int64_t)(parts % PARTS_PER_NUSD);
    const int64_t half = PARTS_PER_NUSD / 2;
    const bool is_up = rest > half || (rest == half && whole % 2 != 0);
    const __int128 nusd = whole + (is_up ? 1 : 0);

    if (nusd > INT64_MAX)
        return TG_OUT_OF_RANGE;
    *ret_nusd = (int64_t)nusd;
    return TG_OK;
}

static enum tg_status add_part(const struct cost_part *part, __int128 *sum, struct cost *cost)
{
    for (int i = 0; i < TG_CLASS_COUNT; i++) {
        const int64_t count = part->usage->count[i];
        const struct cost_rate *rate = &part->rates->rate[i];

        if (!within(count, TG_COUNT_MAX) || !within(rate->unit_price_pusd, COST_PRICE_MAX))
            return TG_OUT_OF_RANGE;
        if (count == 0)
            continue;
        if (rate->price_id == 0) {
            cost->is_unpriced = true;
            continue;
        }
        cost->has_fallback = cost->has_fallback || rate->is_fallback;
        *sum += (__int128)count * rate->unit_price_pusd * parts_per_count[rate->per];
    }
    return TG_OK;
}

enum tg_status cost_of_parts(const struct cost_part *parts, int count, struct cost *ret_cost)
{
    struct cost cost = { 0 };
    __int128 sum = 0;

    for (int i = 0; i < count; i++)
        TRY(add_part(&parts[i], &sum, &cost));
    TRY(round_half_even(sum, &cost.nusd));
    *ret_cost = cost;
    return TG_OK;
}

enum tg_status cost_of(const struct tg_usage *usage, const struct cost_rates *rates,
                       struct cost *ret_cost)
{
    return cost_of_parts(&(const struct cost_part){ usage, rates }, 1, ret_cost);
}

enum tg_status cost_bound(int64_t input_tokens, int64_t output_tokens, int64_t dearest_input_pusd,
                          int64_t dearest_output_pusd, int64_t *ret_nusd)
{
    if (!within(input_tokens, TG_COUNT_MAX) || !within(output_tokens, TG_COUNT_MAX) ||
        !within(dearest_input_pusd, COST_PRICE_MAX) || !within(dearest_output_pusd, COST_PRICE_MAX))
        return TG_OUT_OF_RANGE;
    return money_round_up((__int128)input_tokens * dearest_input_pusd +
                              (__int128)output_tokens * dearest_output_pusd,
                          ret_nusd);
}
