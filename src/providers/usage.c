#include "providers/usage.h"

#include <assert.h>
#include <string.h>

/* --- classes ------------------------------------------------------------------------------------
 */

static const char *const class_names[TG_CLASS_COUNT] = {
#define CLASS_TEXT(name, text) [TG_##name] = (text),
    TG_CLASSES(CLASS_TEXT)
#undef CLASS_TEXT
};

const char *tg_class_name(enum tg_class class)
{
    assert((unsigned)class < TG_CLASS_COUNT);
    return class_names[class];
}

bool tg_class_from_name(const char *name, enum tg_class *ret_class)
{
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        if (strcmp(class_names[class], name) == 0) {
            *ret_class = (enum tg_class) class;
            return true;
        }
    }
    return false;
}

static int64_t sum(const struct tg_usage *usage, enum tg_class first, enum tg_class last)
{
    int64_t tokens = 0;

    for (int class = (int)first; class <= (int)last; class ++)
        tokens += usage->count[class];
    return tokens;
}

int64_t tg_usage_input_tokens(const struct tg_usage *usage)
{
    return sum(usage, TG_INPUT, TG_INPUT_VIDEO);
}

int64_t tg_usage_output_tokens(const struct tg_usage *usage)
{
    return sum(usage, TG_OUTPUT, TG_OUTPUT_VIDEO);
}

/* --- numbers ------------------------------------------------------------------------------------
 */

/* More digits than any amount needs, few enough for 128 bits; those behind only break ties. */
#define DIGITS_MAX   36
#define EXPONENT_MAX 1000

struct decimal {
    unsigned __int128 digits;
    int exponent;  /* of ten */
    bool has_more; /* digits that were cut off were not all 0 */
};

/* Read the digits from `*at` on; behind the point each takes the exponent down by one. */
static void read_digits(struct decimal *d, struct span *rest, bool is_fraction, int *count)
{
    while (rest->len > 0 && rest->ptr[0] >= '0' && rest->ptr[0] <= '9') {
        const int digit = rest->ptr[0] - '0';

        if (*count < DIGITS_MAX) {
            d->digits = d->digits * 10 + (unsigned)digit;
            *count += d->digits > 0 ? 1 : 0;
            d->exponent -= is_fraction ? 1 : 0;
        } else {
            d->has_more = d->has_more || digit > 0;
            d->exponent += is_fraction ? 0 : 1;
        }
        *rest = span_from_offset(*rest, 1);
    }
}

static int read_exponent(struct span text)
{
    const bool is_negative = text.len > 0 && text.ptr[0] == '-';
    int exponent = 0;

    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+'))
        text = span_from_offset(text, 1);
    for (size_t i = 0; i < text.len && exponent < EXPONENT_MAX; i++)
        exponent = exponent * 10 + (text.ptr[i] - '0');
    return is_negative ? -exponent : exponent;
}

static struct decimal read_decimal(struct span text)
{
    struct decimal d = { 0 };
    int count = 0;

    read_digits(&d, &text, /* is_fraction= */ false, &count);
    if (text.len > 0 && text.ptr[0] == '.') {
        text = span_from_offset(text, 1);
        read_digits(&d, &text, /* is_fraction= */ true, &count);
    }
    if (text.len > 0)
        d.exponent += read_exponent(span_from_offset(text, 1));
    return d;
}

/* Down to a whole number, half to even. */
static enum usage_decimal round_decimal(struct decimal d, unsigned __int128 *ret_value)
{
    unsigned last = 0;
    bool has_rest = d.has_more;

    for (; d.exponent < 0 && (d.digits > 0 || last > 0); d.exponent++) {
        has_rest = has_rest || last > 0;
        last = (unsigned)(d.digits % 10);
        d.digits /= 10;
    }
    if (last > 5 || (last == 5 && (has_rest || d.digits % 2 == 1)))
        d.digits++;
    *ret_value = d.digits;
    return last > 0 || has_rest ? USAGE_DECIMAL_ROUNDED : USAGE_DECIMAL_EXACT;
}

enum usage_decimal usage_decimal(struct span number, int scale, int64_t max, int64_t *ret_value)
{
    const bool is_negative = number.len > 0 && number.ptr[0] == '-';
    struct decimal d = read_decimal(is_negative ? span_from_offset(number, 1) : number);
    unsigned __int128 value;
    enum usage_decimal ret;

    assert(max >= 0);
    d.exponent += scale;
    for (; d.exponent > 0 && d.digits > 0 && d.digits <= (unsigned __int128)max; d.exponent--)
        d.digits *= 10;
    ret = round_decimal(d, &value);
    if (is_negative && (value > 0 || ret == USAGE_DECIMAL_ROUNDED))
        return USAGE_DECIMAL_NEGATIVE;
    if (value > (unsigned __int128)max)
        return USAGE_DECIMAL_TOO_LARGE;
    *ret_value = (int64_t)value;
    return ret;
}

static void read_number(struct span number, int64_t *count, bool *doubtful)
{
    switch (usage_decimal(number, 0, TG_COUNT_MAX, count)) {
    case USAGE_DECIMAL_EXACT:
        return;
    case USAGE_DECIMAL_TOO_LARGE:
        *count = TG_COUNT_MAX;
        break;
    case USAGE_DECIMAL_ROUNDED:
    case USAGE_DECIMAL_NEGATIVE:
        break;
    }
    *doubtful = true;
}

/* Whether the text between the quotes is a number by itself. */
static bool is_number(struct span text, struct scanner_value *ret_number)
{
    struct scanner s;

    scanner_init(&s, text);
    return scanner_value(&s, ret_number) && ret_number->type == SCANNER_NUMBER &&
           scanner_finish(&s) == TG_OK;
}

void usage_read_count(const struct scanner_value *value, int64_t *count, bool *doubtful)
{
    struct scanner_value number;

    if (value->type == SCANNER_NULL)
        return;
    if (value->type == SCANNER_NUMBER) {
        read_number(value->text, count, doubtful);
        return;
    }
    *doubtful = true;
    if (value->type == SCANNER_STRING && is_number(value->text, &number))
        read_number(number.text, count, doubtful);
}

/* --- disjoint classes ---------------------------------------------------------------------------
 */

static int64_t known(int64_t count)
{
    return count == USAGE_UNKNOWN ? 0 : count;
}

static int64_t at_most(int64_t count, int64_t max, bool *agrees)
{
    if (count <= max)
        return count;
    *agrees = false;
    return max;
}

/* Prompt and completion, one of which may follow from the total. */
static void complete(struct usage_parts *p, bool *agrees)
{
    if (p->prompt == USAGE_UNKNOWN && p->completion != USAGE_UNKNOWN && p->total >= p->completion)
        p->prompt = p->total - p->completion;
    if (p->completion == USAGE_UNKNOWN && p->prompt != USAGE_UNKNOWN && p->total >= p->prompt)
        p->completion = p->total - p->prompt;
    if (p->prompt == USAGE_UNKNOWN || p->completion == USAGE_UNKNOWN)
        *agrees = false;
    p->prompt = known(p->prompt);
    p->completion = known(p->completion);
    p->cached = known(p->cached);
    p->written = known(p->written);
    p->reasoning = known(p->reasoning);
}

/* Whether cache counts stand beside the prompt: because they do not fit into it, or because only so
 * the total comes out. */
static bool is_cache_outside(const struct usage_parts *p, bool *agrees)
{
    const int64_t cache = p->cached + p->written;
    const int64_t inside = p->prompt + p->completion;

    if (cache > p->prompt) {
        *agrees = false;
        return true;
    }
    return cache > 0 && p->total == inside + cache && p->total != inside + p->reasoning;
}

/* Output tokens, where all of the prompt is `prompt`. */
static int64_t output_of(const struct usage_parts *p, int64_t prompt, uint32_t kind_flags,
                         bool *agrees)
{
    const int64_t inside = p->completion;
    const int64_t outside = p->completion + p->reasoning;
    const int64_t left = p->total - prompt; /* negative where there is no total */

    if (p->total != USAGE_UNKNOWN && (left == inside || left == outside))
        return left;
    if ((kind_flags & TG_KIND_OUTPUT_IS_RESIDUAL) != 0)
        return left > inside ? left : inside;
    if (p->total != USAGE_UNKNOWN)
        *agrees = false;
    if ((kind_flags & TG_KIND_REASONING_OUTSIDE) != 0)
        return outside;
    if (p->reasoning > inside) {
        *agrees = false;
        return outside;
    }
    return left > inside ? left : inside;
}

bool usage_take_apart(const struct usage_parts *parts, uint32_t kind_flags,
                      struct tg_usage *ret_usage)
{
    struct usage_parts p = *parts;
    struct tg_usage usage = { 0 };
    bool agrees = true;
    int64_t prompt;
    int64_t output;
    int64_t input;

    complete(&p, &agrees);
    prompt = p.prompt;
    input = p.prompt - p.cached - p.written;
    if (is_cache_outside(&p, &agrees)) {
        prompt = p.prompt + p.cached + p.written;
        input = p.prompt;
    }
    output = at_most(output_of(&p, prompt, kind_flags, &agrees), TG_COUNT_MAX, &agrees);

    usage.count[TG_INPUT_AUDIO] = at_most(known(p.audio_in), input, &agrees);
    usage.count[TG_INPUT] = input - usage.count[TG_INPUT_AUDIO];
    usage.count[TG_CACHE_READ] = p.cached;
    usage.count[TG_CACHE_WRITE] = p.written;
    usage.count[TG_OUTPUT_AUDIO] = at_most(known(p.audio_out), output, &agrees);
    usage.count[TG_OUTPUT] = output - usage.count[TG_OUTPUT_AUDIO];
    usage.reasoning_tokens = at_most(p.reasoning, output, &agrees);
    usage.prompt_tokens = at_most(prompt, TG_COUNT_MAX, &agrees);
    *ret_usage = usage;
    return agrees;
}
