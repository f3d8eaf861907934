#ifndef SANDBOX_GEMINI_H
#define SANDBOX_GEMINI_H

#include "sandbox/chat.h"

/* What the sandbox answers in the dialect of Google's Gemini API: pure, bytes in, bytes out. Usage
 * is as honest as in chat.h, and stands in every event of a stream, as Google's does. */

enum gemini_verb { GEMINI_GENERATE, GEMINI_STREAM, GEMINI_COUNT, GEMINI_EMBED, GEMINI_EMBED_BATCH };

/* What a path asks for. */
struct gemini_path {
    enum gemini_verb verb;
    struct span model; /* part of the path */
};

/* Take "/v1beta/models/echo:generateContent" apart.
 *
 * return  whether it is such a path; *ret_path is written only then */
bool gemini_match(struct span path, struct gemini_path *ret_path);

/* Read a request's body.
 *
 * is_array  a stream is to be written as an array, not as events
 * Errors    TG_INVALID, TG_MODEL_NOT_FOUND, with a sentence in `err`; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status gemini_read(const struct gemini_path *path, struct span body,
                                         bool is_array, struct chat *ret_chat, struct err *err);

/* Append the plain answer to any verb but GEMINI_STREAM. */
void gemini_write(enum gemini_verb verb, const struct chat *chat, struct buf *out);
/* Append the next event, or element, of a stream.
 *
 * return  false: it has ended */
bool gemini_next_event(struct chat *chat, struct buf *out);
/* Append an error in Google's envelope. */
void gemini_write_error(enum tg_status status, const char *message, struct buf *out);

#endif
