#ifndef PROVIDERS_USAGE_H
#define PROVIDERS_USAGE_H

#include "providers/scanner.h"
#include "tollgate/provider.h"

/* What the dialects share in reading counts and amounts: numbers from the wire are read exactly,
 * with integers alone, and kept within bounds whatever a provider sends. */

#define USAGE_UNKNOWN INT64_C(-1)

/* Overlapping counts as a provider sends them, each 0..TG_COUNT_MAX or USAGE_UNKNOWN. */
struct usage_parts {
    int64_t prompt;     /* with what was read from and written to a cache */
    int64_t completion; /* with reasoning, but for kinds that say otherwise */
    int64_t total;
    int64_t cached;
    int64_t written;
    int64_t reasoning;
    int64_t audio_in;
    int64_t audio_out;
};

enum usage_decimal {
    USAGE_DECIMAL_EXACT,
    USAGE_DECIMAL_ROUNDED,
    USAGE_DECIMAL_TOO_LARGE,
    USAGE_DECIMAL_NEGATIVE
};

/* Read number x 10^scale from JSON's decimal text, half to even.
 *
 * number  as the grammar of JSON has it
 * scale   -100..100
 * max     0..INT64_MAX
 * ret     0..max; written on EXACT and ROUNDED only */
enum usage_decimal usage_decimal(struct span number, int scale, int64_t max, int64_t *ret_value);

/* Read a count. null and what is no number leave it as it was, since they say nothing. A number in
 * quotes, with a fraction, or out of 0..TG_COUNT_MAX is bounded, and doubted.
 *
 * count     overwritten where the value says one
 * doubtful  set, never cleared */
void usage_read_count(const struct scanner_value *value, int64_t *count, bool *doubtful);

/* Take overlapping counts apart into disjoint classes, none negative or above TG_COUNT_MAX. Where
 * cache counts cannot be part of the prompt they are taken to stand beside it; where the total
 * contradicts the parts, the output is what the total leaves, but never less than the completion.
 *
 * kind_flags  enum tg_kind_flags: TG_KIND_REASONING_OUTSIDE and TG_KIND_OUTPUT_IS_RESIDUAL matter
 * return      whether the counts agree with each other */
bool usage_take_apart(const struct usage_parts *parts, uint32_t kind_flags,
                      struct tg_usage *ret_usage);

#endif
