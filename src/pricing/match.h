#ifndef PRICING_MATCH_H
#define PRICING_MATCH_H

#include "base/span.h"

/* From the model name of a request or an answer to the one that the book is keyed by. */

#define MATCH_NAME_MAX 200

/* Write the form of `model` under which names are compared: without a leading `models/` (Gemini
 * writes it, its callers often do not), ASCII letters in lower case.
 *
 * name    MATCH_NAME_MAX bytes; not terminated
 * return  its length; 0 where `model` has no such form: empty or longer than MATCH_NAME_MAX */
size_t match_normalise(struct span model, char *name);

#endif
