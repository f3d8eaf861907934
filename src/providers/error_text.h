#ifndef PROVIDERS_ERROR_TEXT_H
#define PROVIDERS_ERROR_TEXT_H

#include "base/span.h"
#include "tollgate/provider.h"

/* What the dialects' error envelopes have in common: a message for people between JSON that is
 * fixed. Pure. */

/* What stands behind the message in an envelope, at most. */
#define ERROR_TEXT_TAIL_MAX 1024

/* Write `head`, the error's message as it stands inside a JSON string, `tail`. A message that does
 * not fit is cut between characters; bytes that are no UTF-8 become '?'; an empty one is the
 * status's own sentence.
 *
 * return  bytes written; 0: not even an empty message fits */
size_t error_text_join(struct span head, const struct tg_error *error, struct span tail, char *out,
                       size_t cap);

/* Write a refusal's numbers as a member behind others: ,"tollgate":{"limit_id":...}. Nothing where
 * there is no refusal.
 *
 * out     of ERROR_TEXT_TAIL_MAX bytes at least
 * return  bytes written */
size_t error_text_refusal(const struct tg_refusal *refusal, char *out, size_t cap);

#endif
