#ifndef SANDBOX_CHAT_H
#define SANDBOX_CHAT_H

#include "base/buf.h"
#include "base/err.h"

/* What the sandbox answers to one chat request: pure, bytes in, bytes out. */

struct chat {
    bool is_slow;
    bool is_stream;
    bool has_usage; /* a streamed answer ends with the usage chunk */
    char model[16];
    char id[40];
    int64_t created_s;
    int64_t prompt_tokens;
    int64_t completion_tokens; /* words of `text` */
    bool is_cut;               /* by the maximum asked for */
    struct buf text;           /* the answer */
    size_t at;                 /* of a stream: bytes of text sent */
    int step; /* of a stream: 0 role, 1 words, 2 finish, 3 usage, 4 [DONE], 5 end */
};

void chat_fini(struct chat *chat);

/* Read a request's body.
 *
 * Errors  TG_INVALID, TG_MODEL_NOT_FOUND, with a sentence in `err`; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status chat_read(struct span body, struct chat *ret_chat, struct err *err);

/* Append the plain answer. */
void chat_write(const struct chat *chat, struct buf *out);
/* Append the next event of a stream.
 *
 * return  false: it has ended */
bool chat_next_event(struct chat *chat, struct buf *out);
/* Append the list of models. */
void chat_write_models(struct buf *out);
/* Append an error in OpenAI's envelope. */
void chat_write_error(enum tg_status status, const char *message, struct buf *out);

#endif
