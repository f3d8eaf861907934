#ifndef SANDBOX_INPUT_H
#define SANDBOX_INPUT_H

#include "base/buf.h"
#include "base/err.h"

/* The sandbox's answers to OpenAI's calls that only read: pure, bytes in, bytes out. */

/* Append a vector of two numbers for each text: its words and its bytes. A word is a token, and so
 * is each number of an input given as tokens.
 *
 * Errors  TG_INVALID, TG_MODEL_NOT_FOUND, with a sentence in `err`; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status input_write_embeddings(struct span body, struct buf *out,
                                                    struct err *err);

/* Append a verdict: nothing is flagged. Free.
 *
 * Errors  as above */
TG_MUST_CHECK enum tg_status input_write_moderation(struct span body, struct buf *out,
                                                    struct err *err);

#endif
