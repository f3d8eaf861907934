#ifndef PROXY_RATES_H
#define PROXY_RATES_H

#include "base/buf.h"
#include "quota/admit.h"

/* The minute's limits of a caller, told in the head of an answer in the form that the clients of
 * its dialect read (ecosystem.md A.7): x-ratelimit-* with a duration, or anthropic-ratelimit-* with
 * a time. */

/* Whether there is any. rates: of ADMIT_RATE_COUNT; may be NULL */
bool rates_are_there(const struct admit_rate *rates);

/* Append the fields. rates: of ADMIT_RATE_COUNT */
void rates_put(const struct admit_rate *rates, const struct tg_dialect *dialect, struct buf *out);

#endif
