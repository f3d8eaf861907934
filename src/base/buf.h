#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/auto.h"
#include "base/span.h"
#include "tollgate/status.h"

/* Bytes that grow, up to a cap named at the start. Reaching the cap or running out of memory sets
 * `failed`, after which every put does nothing: a builder tests it once at the end. Grows by
 * doubling. The first bytes can be taken off the front without moving the rest. */

struct buf {
    char *data;  /* malloc'ed; bytes [head, tail) are the content */
    size_t head; /* offset of the first byte */
    size_t tail; /* offset behind the last byte */
    size_t size; /* bytes allocated */
    size_t cap;  /* most bytes the content may have */
    bool failed; /* a put did not fit, or memory ran out; sticky until buf_clear */
};

void buf_init(struct buf *b, size_t cap_bytes);
/* Frees; a zeroed or finished buf is fine. */
void buf_fini(struct buf *b);
AUTO_DEFINE(buf, buf_fini)

/* Empty it and forget a failure; memory is kept. */
void buf_clear(struct buf *b);
/* Empty it and give the memory back. */
void buf_release(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
    return b->tail - b->head;
}

/* The content, borrowed until the next change. */
static inline struct span buf_span(const struct buf *b)
{
    if (b->data == NULL)
        return SPAN_EMPTY;
    return (struct span){ b->data + b->head, b->tail - b->head };
}

void buf_put(struct buf *b, const void *bytes, size_t len);
void buf_put_span(struct buf *b, struct span s);
void buf_put_text(struct buf *b, const char *text);
void buf_put_byte(struct buf *b, char byte);
void buf_put_int(struct buf *b, int64_t value);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Make room for `len` (1 or more) bytes at the end, to be filled by the caller and then declared by
 * buf_commit.
 *
 * return  where to write, or NULL when it does not fit (then `failed` is set) */
char *buf_reserve(struct buf *b, size_t len);
/* Declare that `len` of the reserved bytes are written. */
void buf_commit(struct buf *b, size_t len);
/* Bytes that can be written behind the content without growing. */
static inline size_t buf_room(const struct buf *b)
{
    return b->size - b->tail;
}

/* Take `len` bytes, at most all, off the front. */
void buf_consume(struct buf *b, size_t len);

/* TG_OK, or TG_NO_MEMORY when a put failed. */
TG_MUST_CHECK enum tg_status buf_status(const struct buf *b);

/* A terminated copy of the content that leaves the buf empty; the caller frees it. NULL on failure.
 */
char *buf_take_string(struct buf *b);

#endif
