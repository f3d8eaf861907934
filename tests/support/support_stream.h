#ifndef SUPPORT_STREAM_H
#define SUPPORT_STREAM_H

#include "base/span.h"
#include "tollgate/provider.h"

/* A recorded stream read by a dialect, in two pieces cut anywhere, and written in other ways that
 * mean the same. */

#define SUPPORT_ACTIONS_MAX 64

struct support_stream {
    const struct tg_dialect *dialect;
    const struct tg_kind *kind;
    const struct tg_request *request;
};

/* Read `text`, its first `cut` bytes alone first.
 *
 * actions  a letter an event: P pass, D drop, T terminal; events without data have none */
void support_read_stream(const struct support_stream *stream, struct span text, size_t cut,
                         struct tg_answer *ret_answer, char actions[SUPPORT_ACTIONS_MAX]);

enum support_writing { SUPPORT_LF, SUPPORT_CRLF, SUPPORT_COMMENTS, SUPPORT_WRITINGS };

/* The same stream, which is written with LF: with CRLF, or with a comment before each event. The
 * caller frees it. */
char *support_write_stream(const char *text, enum support_writing writing);

/* Read a stream cut at each byte, in each writing: always the same facts and actions.
 *
 * ret_answer  of the stream as it is */
void support_check_stream(const struct support_stream *stream, const char *text,
                          const char *actions, struct tg_answer *ret_answer);

#endif
