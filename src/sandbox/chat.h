#ifndef SANDBOX_CHAT_H
#define SANDBOX_CHAT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

/* What the sandbox answers to one chat request: pure, bytes in, bytes out. */

#define CHAT_TEXT_MAX ((size_t)32 << 20)

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

/* --- what the sandbox's dialects share -------------------------------------------------------- */

/* Words of a text: what it counts as tokens. */
int64_t chat_count_words(struct span s);
/* Where the word that begins at or behind `at` ends; s.len where there is none. */
size_t chat_word_end(struct span s, size_t at);
/* Errors  TG_MODEL_NOT_FOUND, with a sentence in `err` */
TG_MUST_CHECK enum tg_status chat_set_model(struct chat *chat, struct span model, struct err *err);
/* The member `model`.
 *
 * Errors  TG_INVALID, TG_MODEL_NOT_FOUND, with a sentence in `err` */
TG_MUST_CHECK enum tg_status chat_read_model(const cJSON *tree, struct chat *chat, struct err *err);
/* Append what a message says: a string, or an array of parts with text. */
void chat_put_content(const cJSON *content, struct buf *out);
/* Read a member that bounds the output, where it is given.
 *
 * most    overwritten with it
 * Errors  TG_INVALID, with a sentence in `err` */
TG_MUST_CHECK enum tg_status chat_read_maximum(const cJSON *tree, const char *name, int64_t *most,
                                               struct err *err);
/* Count the answer, cut to `most` words. */
void chat_cut_text(struct chat *chat, int64_t most);

/* --- OpenAI's --------------------------------------------------------------------------------- */

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
