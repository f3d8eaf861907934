#ifndef SANDBOX_COMPLETIONS_H
#define SANDBOX_COMPLETIONS_H

#include "sandbox/chat.h"

/* The sandbox in OpenAI's legacy completions: the answer is the prompt. */

/* Read a request's body: `prompt` is one text.
 *
 * Errors  TG_INVALID, TG_MODEL_NOT_FOUND, with a sentence in `err`; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status completions_read(struct span body, struct chat *ret_chat,
                                              struct err *err);
/* Append the plain answer. */
void completions_write(const struct chat *chat, struct buf *out);
/* Append the next event of a stream.
 *
 * return  false: it has ended */
bool completions_next_event(struct chat *chat, struct buf *out);

#endif
