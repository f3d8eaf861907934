#include "pricing/cost.h"

#include "base/money.h"
#include "base/try.h"

/* Sums are kept in the finest part that a price is cut into, a millisecond's share of an hour, so
 * that one division rounds the whole. TG_COUNT_MAX * COST_PRICE_MAX * PARTS_PER_UNIT *
 * TG_CLASS_COUNT is 6e29: 2^127 is 1.7e38. What factors add to that is checked. */
#define PARTS_PER_UNIT INT64_C(3600000)
#define PARTS_PER_NUSD (PARTS_PER_UNIT * MONEY_PUSD_PER_NUSD)

#define INT128_LARGEST ((__int128)(~(unsigned __int128)0 >> 1))

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

static int64_t gcd(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static struct cost_factor plain(struct cost_factor factor)
{
    return factor.den == 0 ? (struct cost_factor){ 1, 1 } : factor;
}

static bool is_factor(struct cost_factor factor)
{
    return within(factor.num, COST_FACTOR_MAX) && within(factor.den, COST_FACTOR_MAX);
}

static struct cost_factor reduce(struct cost_factor factor)
{
    const int64_t divisor = gcd(factor.num, factor.den);

    return (struct cost_factor){ factor.num / divisor, factor.den / divisor };
}

enum tg_status cost_factor_multiply(struct cost_factor a, struct cost_factor b,
                                    struct cost_factor *ret_product)
{
    const struct cost_factor x = reduce(plain(a));
    const struct cost_factor y = reduce(plain(b));
    int64_t across;
    int64_t down;

    if (!is_factor(a) || !is_factor(b))
        return TG_OUT_OF_RANGE;
    /* In lowest terms once each numerator shares nothing with either denominator. */
    across = gcd(x.num, y.den);
    down = gcd(y.num, x.den);

    const __int128 num = (__int128)(x.num / across) * (y.num / down);
    const __int128 den = (__int128)(x.den / down) * (y.den / across);

    if (num > COST_FACTOR_MAX || den > COST_FACTOR_MAX)
        return TG_OUT_OF_RANGE;
    *ret_product = (struct cost_factor){ (int64_t)num, (int64_t)den };
    return TG_OK;
}

/* A sum of parts over one denominator, 0 or more. */
struct sum {
    __int128 parts;
    int64_t den;
};

static bool multiply(__int128 *value, int64_t by)
{
    if (by != 0 && *value > INT128_LARGEST / by)
        return false;
    *value *= by;
    return true;
}

/* Bring both to one denominator: the parts of the summand are multiplied by its factor. */
static enum tg_status scale(struct sum *sum, __int128 *parts, struct cost_factor factor)
{
    int64_t widen;

    if (!is_factor(factor))
        return TG_OUT_OF_RANGE;
    factor = plain(factor);
    widen = factor.den / gcd(sum->den, factor.den);
    if (sum->den > COST_FACTOR_MAX / widen || !multiply(&sum->parts, widen))
        return TG_OUT_OF_RANGE;
    sum->den *= widen;
    if (!multiply(parts, factor.num) || !multiply(parts, sum->den / factor.den))
        return TG_OUT_OF_RANGE;
    return TG_OK;
}

static enum tg_status add(struct sum *sum, __int128 parts, struct cost_factor factor)
{
    if (factor.den != 0 || sum->den != 1)
        TRY(scale(sum, &parts, factor));
    if (parts > INT128_LARGEST - sum->parts)
        return TG_OUT_OF_RANGE;
    sum->parts += parts;
    return TG_OK;
}

/* Rounding up every call would bill a busy team for tokens it never used; half to even is neutral.
 */
static enum tg_status round_half_even(const struct sum *sum, int64_t *ret_nusd)
{
    const __int128 parts_per_nusd = (__int128)PARTS_PER_NUSD * sum->den;
    const __int128 whole = sum->parts / parts_per_nusd;
    const __int128 rest = sum->parts % parts_per_nusd;
    const __int128 half = parts_per_nusd / 2; /* exact, as PARTS_PER_NUSD is even */
    const bool is_up = rest > half || (rest == half && whole % 2 != 0);
    const __int128 nusd = whole + (is_up ? 1 : 0);

    if (nusd > INT64_MAX)
        return TG_OUT_OF_RANGE;
    *ret_nusd = (int64_t)nusd;
    return TG_OK;
}

static enum tg_status add_part(const struct cost_part *part, struct sum *sum, struct cost *cost)
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
        TRY(add(sum, (__int128)count * rate->unit_price_pusd * parts_per_count[rate->per],
                rate->factor));
    }
    return TG_OK;
}

enum tg_status cost_of_parts(const struct cost_part *parts, int count, struct cost *ret_cost)
{
    struct cost cost = { 0 };
    struct sum sum = { .den = 1 };

    for (int i = 0; i < count; i++)
        TRY(add_part(&parts[i], &sum, &cost));
    TRY(round_half_even(&sum, &cost.nusd));
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
