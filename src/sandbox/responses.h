#ifndef SANDBOX_RESPONSES_H
#define SANDBOX_RESPONSES_H

#include "sandbox/chat.h"

/* The sandbox in OpenAI's responses dialect: the same words, and `usage` in the terminal event. */

/* Read a request's body: `input` is text, or items with a role and content.
 *
 * Errors  TG_INVALID, TG_MODEL_NOT_FOUND, with a sentence in `err`; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status responses_read(struct span body, struct chat *ret_chat,
                                            struct err *err);
/* Append the plain answer. */
void responses_write(const struct chat *chat, struct buf *out);
/* Append the next event of a stream.
 *
 * return  false: it has ended */
bool responses_next_event(struct chat *chat, struct buf *out);

#endif
