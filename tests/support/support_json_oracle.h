#ifndef SUPPORT_JSON_ORACLE_H
#define SUPPORT_JSON_ORACLE_H

#include "base/span.h"

/* A second opinion on JSON: cJSON's. It is laxer than the scanner in grammar, so that what the
 * scanner accepts it must accept as well, with the same values in the same order; but it refuses
 * half a surrogate pair and numbers of more than 63 characters, which are JSON. */

/* Whether the scanner accepts `text`. */
bool oracle_scanner_accepts(struct span text);

/* Walk `text`, which the scanner accepts, beside cJSON's tree of it.
 *
 * return  whether they agree, or cJSON has a reason of its own to refuse */
bool oracle_agrees(struct span text);

#endif
