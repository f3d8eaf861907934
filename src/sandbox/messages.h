#ifndef SANDBOX_MESSAGES_H
#define SANDBOX_MESSAGES_H

#include "sandbox/chat.h"

/* What the sandbox answers in the dialect of Anthropic's Messages: pure, bytes in, bytes out. Usage
 * is as honest as in chat.h; a stream tells the input when it begins and the output when it ends.
 */

/* Read a request's body.
 *
 * counts_only  its tokens are to be counted: nothing has to bound the output
 * Errors       TG_INVALID, TG_MODEL_NOT_FOUND, with a sentence in `err`; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status messages_read(struct span body, bool counts_only,
                                           struct chat *ret_chat, struct err *err);

/* Append the plain answer, or the count. */
void messages_write(const struct chat *chat, struct buf *out);
void messages_write_count(const struct chat *chat, struct buf *out);
/* Append what comes next of a stream: one event or more.
 *
 * return  false: it has ended */
bool messages_next_event(struct chat *chat, struct buf *out);
/* Append an error in Anthropic's envelope. */
void messages_write_error(enum tg_status status, const char *message, struct buf *out);

#endif
