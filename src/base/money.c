#include "base/money.h"

#define DECIMALS      9
#define PUSD_DECIMALS 12

void money_format(int64_t nusd, char text[MONEY_TEXT_SIZE])
{
    uint64_t rest = nusd < 0 ? -(uint64_t)nusd : (uint64_t)nusd;
    char digits[MONEY_TEXT_SIZE];
    size_t at = sizeof(digits);
    bool is_decimal_seen = false;

    for (int i = 0; i < DECIMALS; i++) {
        const char digit = (char)('0' + rest % 10);

        rest /= 10;
        is_decimal_seen = is_decimal_seen || digit != '0';
        if (is_decimal_seen)
            digits[--at] = digit;
    }
    if (is_decimal_seen)
        digits[--at] = '.';
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (nusd < 0)
        digits[--at] = '-';
    memcpy(text, digits + at, sizeof(digits) - at);
    text[sizeof(digits) - at] = '\0';
}

static size_t count_digits(struct span s)
{
    size_t count = 0;

    while (count < s.len && s.ptr[count] >= '0' && s.ptr[count] <= '9')
        count++;
    return count;
}

/* Split an unsigned amount into its whole part and its decimals. */
static bool split(struct span text, size_t most, struct span *ret_whole, struct span *ret_decimals)
{
    const size_t whole = count_digits(text);

    if (whole == 0 || (whole > 1 && text.ptr[0] == '0'))
        return false;
    *ret_whole = span_of(text.ptr, whole);
    *ret_decimals = SPAN_EMPTY;
    if (whole == text.len)
        return true;
    *ret_decimals = span_from_offset(text, whole + 1);
    return text.ptr[whole] == '.' && ret_decimals->len >= 1 && ret_decimals->len <= most &&
           count_digits(*ret_decimals) == ret_decimals->len;
}

/* Append the digit to the amount, downwards: only so has the smallest int64 a way to be read. */
static bool append(int64_t *amount, int digit)
{
    return !__builtin_mul_overflow(*amount, 10, amount) &&
           !__builtin_sub_overflow(*amount, digit, amount);
}

enum tg_status money_parse(struct span text, int64_t *ret_nusd)
{
    const bool is_negative = span_starts_with(text, SPAN("-"));
    struct span whole;
    struct span decimals;
    int64_t negated = 0;

    if (!split(is_negative ? span_from_offset(text, 1) : text, DECIMALS, &whole, &decimals))
        return TG_INVALID;
    for (size_t i = 0; i < whole.len; i++)
        if (!append(&negated, whole.ptr[i] - '0'))
            return TG_OUT_OF_RANGE;
    for (size_t i = 0; i < DECIMALS; i++)
        if (!append(&negated, i < decimals.len ? decimals.ptr[i] - '0' : 0))
            return TG_OUT_OF_RANGE;
    if (!is_negative && __builtin_sub_overflow(0, negated, &negated))
        return TG_OUT_OF_RANGE;
    *ret_nusd = negated;
    return TG_OK;
}

enum tg_status money_parse_pusd(struct span text, int64_t *ret_pusd)
{
    struct span whole;
    struct span decimals;
    int64_t negated = 0;

    if (!split(text, PUSD_DECIMALS, &whole, &decimals))
        return TG_INVALID;
    for (size_t i = 0; i < whole.len; i++)
        if (!append(&negated, whole.ptr[i] - '0'))
            return TG_OUT_OF_RANGE;
    for (size_t i = 0; i < PUSD_DECIMALS; i++)
        if (!append(&negated, i < decimals.len ? decimals.ptr[i] - '0' : 0))
            return TG_OUT_OF_RANGE;
    if (__builtin_sub_overflow(0, negated, &negated))
        return TG_OUT_OF_RANGE;
    *ret_pusd = negated;
    return TG_OK;
}

void money_format_pusd(__int128 pusd, char text[MONEY_PUSD_TEXT_SIZE])
{
    const bool is_negative = pusd < 0;
    unsigned __int128 rest = is_negative ? -(unsigned __int128)pusd : (unsigned __int128)pusd;
    char digits[MONEY_PUSD_TEXT_SIZE];
    size_t at = sizeof(digits);
    bool has_digit = false;

    for (int digit = 0; digit <= PUSD_DECIMALS || rest > 0; digit++) {
        const int value = (int)(rest % 10);

        rest /= 10;
        if (digit == PUSD_DECIMALS && has_digit)
            digits[--at] = '.';
        has_digit = has_digit || value != 0 || digit >= PUSD_DECIMALS;
        if (has_digit)
            digits[--at] = (char)('0' + value);
    }
    if (is_negative)
        digits[--at] = '-';
    memcpy(text, digits + at, sizeof(digits) - at);
    text[sizeof(digits) - at] = '\0';
}

enum tg_status money_add(int64_t a_nusd, int64_t b_nusd, int64_t *ret_nusd)
{
    int64_t sum;

    if (__builtin_add_overflow(a_nusd, b_nusd, &sum))
        return TG_OUT_OF_RANGE;
    *ret_nusd = sum;
    return TG_OK;
}

static bool may_round(__int128 pusd)
{
    return pusd >= 0 && pusd <= (__int128)INT64_MAX * MONEY_PUSD_PER_NUSD;
}

/* Within may_round neither can pass INT64_MAX: the largest amount is a whole number of nusd. */
enum tg_status money_round_half_even(__int128 pusd, int64_t *ret_nusd)
{
    if (!may_round(pusd))
        return TG_OUT_OF_RANGE;

    const int64_t down = (int64_t)(pusd / MONEY_PUSD_PER_NUSD);
    const int64_t rest = (int64_t)(pusd % MONEY_PUSD_PER_NUSD);
    const int64_t half = MONEY_PUSD_PER_NUSD / 2;
    const bool is_up = rest > half || (rest == half && down % 2 != 0);

    *ret_nusd = down + (is_up ? 1 : 0);
    return TG_OK;
}

enum tg_status money_round_up(__int128 pusd, int64_t *ret_nusd)
{
    if (!may_round(pusd))
        return TG_OUT_OF_RANGE;
    *ret_nusd = (int64_t)((pusd + MONEY_PUSD_PER_NUSD - 1) / MONEY_PUSD_PER_NUSD);
    return TG_OK;
}
