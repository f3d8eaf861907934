/* Goal: counts and amounts are read to the last digit, and whatever a provider sends becomes
 * classes that are disjoint, not negative and bounded. Method: tables with the rules' own cases;
 * then all combinations of a few odd counts against the invariants. */
#include "providers/usage.h"

#include "support/suites.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define NONE         USAGE_UNKNOWN

/* --- classes ------------------------------------------------------------------------------------
 */

START_TEST(names_every_class_and_finds_it_again)
{
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        enum tg_class found = TG_CLASS_COUNT;

        ck_assert(tg_class_from_name(tg_class_name((enum tg_class) class), &found));
        ck_assert_int_eq(found, class);
    }
    ck_assert_str_eq(tg_class_name(TG_INPUT), "input");
    ck_assert_str_eq(tg_class_name(TG_CITATION), "citation");
}
END_TEST

START_TEST(knows_no_other_class)
{
    static const char *const names[] = { "", "inpu", "inputs", "INPUT", "cache", "output " };
    enum tg_class found = TG_REQUEST;

    for (int i = 0; i < COUNT(names); i++)
        ck_assert(!tg_class_from_name(names[i], &found));
    ck_assert_int_eq(found, TG_REQUEST);
}
END_TEST

START_TEST(sums_what_goes_in_and_what_comes_out)
{
    static const enum tg_class in[] = {
        TG_INPUT,           TG_CACHE_READ,       TG_CACHE_WRITE,      TG_CACHE_WRITE_1H,
        TG_CACHE_WRITE_12H, TG_INPUT_AUDIO,      TG_CACHE_READ_AUDIO, TG_CACHE_WRITE_AUDIO,
        TG_INPUT_IMAGE,     TG_CACHE_READ_IMAGE, TG_INPUT_VIDEO
    };
    static const enum tg_class out[] = { TG_OUTPUT, TG_REASONING, TG_OUTPUT_AUDIO, TG_OUTPUT_IMAGE,
                                         TG_OUTPUT_VIDEO };
    struct tg_usage usage = { .reasoning_tokens = 1 << 30, .prompt_tokens = 1 << 30 };
    int64_t sum = 0;

    for (int i = 0; i < COUNT(in); i++)
        sum += usage.count[in[i]] = INT64_C(1) << i;
    ck_assert_int_eq(tg_usage_input_tokens(&usage), sum);
    ck_assert_int_eq(tg_usage_output_tokens(&usage), 0);
    sum = 0;
    for (int i = 0; i < COUNT(out); i++)
        sum += usage.count[out[i]] = INT64_C(1) << i;
    usage.count[TG_REQUEST] = usage.count[TG_IMAGE_OUT] = usage.count[TG_CHAR_IN] = 1 << 20;
    ck_assert_int_eq(tg_usage_output_tokens(&usage), sum);
}
END_TEST

/* --- amounts ------------------------------------------------------------------------------------
 */

static const struct {
    const char *text;
    int scale;
    int64_t max;
    enum usage_decimal outcome;
    int64_t value;
} decimals[] = {
    { "0", 0, 10, USAGE_DECIMAL_EXACT, 0 },
    { "10", 0, 10, USAGE_DECIMAL_EXACT, 10 },
    { "11", 0, 10, USAGE_DECIMAL_TOO_LARGE, 0 },
    { "10.0", 0, 10, USAGE_DECIMAL_EXACT, 10 },
    { "1e1", 0, 10, USAGE_DECIMAL_EXACT, 10 },
    { "1E+3", 0, 1000, USAGE_DECIMAL_EXACT, 1000 },
    { "100e-1", 0, 10, USAGE_DECIMAL_EXACT, 10 },
    { "0.0027525", 9, INT64_MAX, USAGE_DECIMAL_EXACT, 2752500 },
    { "2.7525e-3", 9, INT64_MAX, USAGE_DECIMAL_EXACT, 2752500 },
    { "0.008487", 9, INT64_MAX, USAGE_DECIMAL_EXACT, 8487000 },
    { "18200000", -1, INT64_MAX, USAGE_DECIMAL_EXACT, 1820000 },
    { "0.1", 9, INT64_MAX, USAGE_DECIMAL_EXACT, 100000000 },
    /* half to even */
    { "0.0000000005", 9, INT64_MAX, USAGE_DECIMAL_ROUNDED, 0 },
    { "0.0000000015", 9, INT64_MAX, USAGE_DECIMAL_ROUNDED, 2 },
    { "0.0000000025", 9, INT64_MAX, USAGE_DECIMAL_ROUNDED, 2 },
    { "0.00000000250000000000000000000000000000000000000000000001", 9, INT64_MAX,
      USAGE_DECIMAL_ROUNDED, 3 },
    { "2.50000000000000000000000000000000000000000000000000000001", 0, INT64_MAX,
      USAGE_DECIMAL_ROUNDED, 3 },
    { "0.00000000049999999999999999999999999999999999999999999999", 9, INT64_MAX,
      USAGE_DECIMAL_ROUNDED, 0 },
    { "15", -1, INT64_MAX, USAGE_DECIMAL_ROUNDED, 2 },
    { "25", -1, INT64_MAX, USAGE_DECIMAL_ROUNDED, 2 },
    { "26", -1, INT64_MAX, USAGE_DECIMAL_ROUNDED, 3 },
    { "9.99", 0, 10, USAGE_DECIMAL_ROUNDED, 10 },
    { "1e-400", 9, INT64_MAX, USAGE_DECIMAL_ROUNDED, 0 },
    { "0e999999999999", 9, INT64_MAX, USAGE_DECIMAL_EXACT, 0 },
    { "0.000e-99999", 9, INT64_MAX, USAGE_DECIMAL_EXACT, 0 },
    /* the edges of 64 bits */
    { "9223372036854775807", 0, INT64_MAX, USAGE_DECIMAL_EXACT, INT64_MAX },
    { "9223372036854775808", 0, INT64_MAX, USAGE_DECIMAL_TOO_LARGE, 0 },
    { "9223372036.854775807", 9, INT64_MAX, USAGE_DECIMAL_EXACT, INT64_MAX },
    { "18446744073709551617", 0, INT64_MAX, USAGE_DECIMAL_TOO_LARGE, 0 },
    { "340282366920938463463374607431768211457", 0, INT64_MAX, USAGE_DECIMAL_TOO_LARGE, 0 },
    { "1e400", 0, INT64_MAX, USAGE_DECIMAL_TOO_LARGE, 0 },
    { "1e99999999999999999999", 0, INT64_MAX, USAGE_DECIMAL_TOO_LARGE, 0 },
    { "1000000000000000000000000000000000000000000000000000000e-50", 0, INT64_MAX,
      USAGE_DECIMAL_EXACT, 10000 },
    { "9007199254740993", 0, INT64_MAX, USAGE_DECIMAL_EXACT, INT64_C(9007199254740993) },
    /* signs */
    { "-0", 0, 10, USAGE_DECIMAL_EXACT, 0 },
    { "-0.0e5", 0, 10, USAGE_DECIMAL_EXACT, 0 },
    { "-1", 0, 10, USAGE_DECIMAL_NEGATIVE, 0 },
    { "-0.1", 0, 10, USAGE_DECIMAL_NEGATIVE, 0 },
};

START_TEST(reads_decimal_text_exactly)
{
    int64_t value = -7;

    ck_assert_int_eq(
        usage_decimal(span_from(decimals[_i].text), decimals[_i].scale, decimals[_i].max, &value),
        decimals[_i].outcome);
    if (decimals[_i].outcome == USAGE_DECIMAL_EXACT ||
        decimals[_i].outcome == USAGE_DECIMAL_ROUNDED)
        ck_assert_int_eq(value, decimals[_i].value);
    else
        ck_assert_int_eq(value, -7);
}
END_TEST

/* --- counts -------------------------------------------------------------------------------------
 */

static const struct {
    const char *json;
    int64_t count; /* NONE: the earlier one stands */
    bool is_doubtful;
} counts[] = {
    { "0", 0, false },
    { "17", 17, false },
    { "1e3", 1000, false },
    { "12.0", 12, false },
    { "1000000000", TG_COUNT_MAX, false },
    { "1000000001", TG_COUNT_MAX, true },
    { "9007199254740993", TG_COUNT_MAX, true },
    { "1e300", TG_COUNT_MAX, true },
    { "12.5", 12, true },
    { "-1", NONE, true },
    { "null", NONE, false },
    { "true", NONE, true },
    { "\"17\"", 17, true },
    { "\"-3\"", NONE, true },
    { "\"many\"", NONE, true },
    { "\"\"", NONE, true },
    { "\"1 2\"", NONE, true },
    { "[", NONE, true },
};

START_TEST(reads_a_count_or_leaves_the_earlier_one)
{
    struct scanner s;
    struct scanner_value value;
    int64_t count = 5;
    bool is_doubtful = false;

    scanner_init(&s, span_from(counts[_i].json));
    ck_assert(scanner_value(&s, &value));
    usage_read_count(&value, &count, &is_doubtful);
    ck_assert_int_eq(count, counts[_i].count == NONE ? 5 : counts[_i].count);
    ck_assert(is_doubtful == counts[_i].is_doubtful);
    is_doubtful = true;
    usage_read_count(&value, &count, &is_doubtful);
    ck_assert(is_doubtful);
}
END_TEST

/* --- disjoint classes ---------------------------------------------------------------------------
 */

#define OUTSIDE  TG_KIND_REASONING_OUTSIDE
#define RESIDUAL TG_KIND_OUTPUT_IS_RESIDUAL

/* Parts in the order prompt, completion, total, cached, written, reasoning, audio in, audio out. */
static const struct {
    struct usage_parts parts;
    uint32_t flags;
    int64_t input, cache_read, cache_write, input_audio, output, output_audio;
    int64_t reasoning, prompt;
    bool agrees;
} cases[] = {
    { { 10, 5, 15, 0, 0, 0, 0, 0 }, 0, 10, 0, 0, 0, 5, 0, 0, 10, true },
    { { 10, 5, NONE, NONE, NONE, NONE, NONE, NONE }, 0, 10, 0, 0, 0, 5, 0, 0, 10, true },
    { { 2006, 300, 2306, 1920, NONE, 0, 0, NONE }, 0, 86, 1920, 0, 0, 300, 0, 0, 2006, true },
    { { 4020, 70, 4090, 0, 4012, 40, 0, 0 }, 0, 8, 0, 4012, 0, 70, 0, 40, 4020, true },
    { { 100, 50, 150, 20, 10, 0, 30, 15 }, 0, 40, 20, 10, 30, 35, 15, 0, 100, true },
    /* reasoning inside, the rule */
    { { 1200, 701, 1901, 0, 0, 512, 0, 0 }, 0, 1200, 0, 0, 0, 701, 0, 512, 1200, true },
    /* reasoning outside: xAI, and a proxy that folds it in */
    { { 700, 80, 930, 640, 0, 150, 0, 0 }, OUTSIDE, 60, 640, 0, 0, 230, 0, 150, 700, true },
    { { 700, 230, 930, 640, 0, 150, 0, 0 }, OUTSIDE, 60, 640, 0, 0, 230, 0, 150, 700, true },
    { { 700, 80, NONE, 640, 0, 150, 0, 0 }, OUTSIDE, 60, 640, 0, 0, 230, 0, 150, 700, true },
    { { 700, 80, 999, 640, 0, 150, 0, 0 }, OUTSIDE, 60, 640, 0, 0, 230, 0, 150, 700, false },
    { { 700, 80, 930, 0, 0, 150, 0, 0 }, 0, 700, 0, 0, 0, 230, 0, 150, 700, true },
    { { 700, 80, NONE, 0, 0, 150, 0, 0 }, 0, 700, 0, 0, 0, 230, 0, 150, 700, false },
    /* the output is what the total leaves: Gemini's OpenAI endpoint */
    { { 300, 30, 490, 0, 0, NONE, 0, 0 }, RESIDUAL, 300, 0, 0, 0, 190, 0, 0, 300, true },
    { { 300, 30, 320, 0, 0, NONE, 0, 0 }, RESIDUAL, 300, 0, 0, 0, 30, 0, 0, 300, true },
    { { 300, 30, NONE, 0, 0, NONE, 0, 0 }, RESIDUAL, 300, 0, 0, 0, 30, 0, 0, 300, true },
    /* a total that contradicts: believed where it is more */
    { { 300, 30, 490, 0, 0, 0, 0, 0 }, 0, 300, 0, 0, 0, 190, 0, 0, 300, false },
    { { 300, 30, 310, 0, 0, 0, 0, 0 }, 0, 300, 0, 0, 0, 30, 0, 0, 300, false },
    { { 300, 30, 0, 0, 0, 0, 0, 0 }, 0, 300, 0, 0, 0, 30, 0, 0, 300, false },
    /* caches beside the prompt: they do not fit, or the total says so */
    { { 30, 20, 2550, 2500, 0, 0, 0, 0 }, 0, 30, 2500, 0, 0, 20, 0, 0, 2530, false },
    { { 30, 20, 50, 2500, 7, 0, 0, 0 }, 0, 30, 2500, 7, 0, 20, 0, 0, 2537, false },
    { { 3000, 20, 5520, 2500, 0, 0, 0, 0 }, 0, 3000, 2500, 0, 0, 20, 0, 0, 5500, true },
    /* a total that reasoning explains as well as the cache does */
    { { 100, 20, 170, 50, 0, 50, 0, 0 }, 0, 50, 50, 0, 0, 70, 0, 50, 100, true },
    /* audio that does not fit */
    { { 100, 50, 150, 90, 0, 0, 30, 60 }, 0, 0, 90, 0, 10, 0, 50, 0, 100, false },
    /* one side follows from the total, or is missing */
    { { NONE, 20, 120, 0, 0, 0, 0, 0 }, 0, 100, 0, 0, 0, 20, 0, 0, 100, true },
    { { 100, NONE, 120, 0, 0, 0, 0, 0 }, 0, 100, 0, 0, 0, 20, 0, 0, 100, true },
    { { 100, NONE, NONE, 0, 0, 0, 0, 0 }, 0, 100, 0, 0, 0, 0, 0, 0, 100, false },
    { { 100, NONE, 90, 0, 0, 0, 0, 0 }, 0, 100, 0, 0, 0, 0, 0, 0, 100, false },
    { { NONE, 5, NONE, 0, 0, 0, 0, 0 }, 0, 0, 0, 0, 0, 5, 0, 0, 0, false },
    /* reasoning that cannot be part of the output */
    { { 10, 5, 15, 0, 0, 9, 0, 0 }, 0, 10, 0, 0, 0, 5, 0, 5, 10, false },
    /* bounds */
    { { 0, 0, 0, 0, 0, 0, 0, 0 }, 0, 0, 0, 0, 0, 0, 0, 0, 0, true },
    { { TG_COUNT_MAX, TG_COUNT_MAX, NONE, TG_COUNT_MAX, TG_COUNT_MAX, TG_COUNT_MAX, 0, 0 },
      OUTSIDE,
      TG_COUNT_MAX,
      TG_COUNT_MAX,
      TG_COUNT_MAX,
      0,
      TG_COUNT_MAX,
      0,
      TG_COUNT_MAX,
      TG_COUNT_MAX,
      false },
};

START_TEST(takes_counts_apart)
{
    struct tg_usage usage;

    ck_assert(usage_take_apart(&cases[_i].parts, cases[_i].flags, &usage) == cases[_i].agrees);
    ck_assert_int_eq(usage.count[TG_INPUT], cases[_i].input);
    ck_assert_int_eq(usage.count[TG_CACHE_READ], cases[_i].cache_read);
    ck_assert_int_eq(usage.count[TG_CACHE_WRITE], cases[_i].cache_write);
    ck_assert_int_eq(usage.count[TG_INPUT_AUDIO], cases[_i].input_audio);
    ck_assert_int_eq(usage.count[TG_OUTPUT], cases[_i].output);
    ck_assert_int_eq(usage.count[TG_OUTPUT_AUDIO], cases[_i].output_audio);
    ck_assert_int_eq(usage.reasoning_tokens, cases[_i].reasoning);
    ck_assert_int_eq(usage.prompt_tokens, cases[_i].prompt);
    ck_assert_int_eq(usage.count[TG_REASONING], 0);
}
END_TEST

static const int64_t odd[] = { NONE, 0, 1, 7, 50, TG_COUNT_MAX - 1, TG_COUNT_MAX };

static bool is_count(int64_t count)
{
    return count >= 0 && count <= TG_COUNT_MAX;
}

/* The first invariant that does not hold, or NULL. */
static const char *broken_invariant(const struct usage_parts *parts, uint32_t flags)
{
    struct tg_usage usage;
    const bool agrees = usage_take_apart(parts, flags, &usage);

    for (int class = 0; class < TG_CLASS_COUNT; class ++)
        if (!is_count(usage.count[class]))
            return tg_class_name((enum tg_class) class);
    if (!is_count(usage.prompt_tokens))
        return "the prompt is bounded";
    if (usage.reasoning_tokens > tg_usage_output_tokens(&usage))
        return "reasoning is part of the output";
    if (tg_usage_input_tokens(&usage) < parts->prompt ||
        tg_usage_output_tokens(&usage) < parts->completion)
        return "nothing that was used is lost";
    if (agrees && tg_usage_input_tokens(&usage) != usage.prompt_tokens)
        return "the input is the prompt";
    return NULL;
}

START_TEST(stays_within_bounds_whatever_comes)
{
    static const uint32_t flags[] = { 0, OUTSIDE, RESIDUAL };
    struct usage_parts parts;
    int64_t sent[8];

    for (int n = _i; n < 7 * 7 * 7 * 7 * 7 * 7 * 7 * 7; n += 53) {
        const char *broken;

        for (int i = 0, rest = n; i < 8; i++, rest /= 7)
            sent[i] = odd[rest % 7];
        parts = (struct usage_parts){ sent[0], sent[1], sent[2], sent[3],
                                      sent[4], sent[5], sent[6], sent[7] };
        broken = broken_invariant(&parts, flags[n % 3]);
        if (broken != NULL)
            ck_abort_msg("case %d: %s", n, broken);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/usage");
    TCase *tc = tcase_create("usage");

    tcase_add_test(tc, names_every_class_and_finds_it_again);
    tcase_add_test(tc, knows_no_other_class);
    tcase_add_test(tc, sums_what_goes_in_and_what_comes_out);
    tcase_add_loop_test(tc, reads_decimal_text_exactly, 0, COUNT(decimals));
    tcase_add_loop_test(tc, reads_a_count_or_leaves_the_earlier_one, 0, COUNT(counts));
    tcase_add_loop_test(tc, takes_counts_apart, 0, COUNT(cases));
    tcase_add_loop_test(tc, stays_within_bounds_whatever_comes, 0, 4);
    suite_add_tcase(s, tc);
    return s;
}
