#ifndef SIM_BUF_H
#define SIM_BUF_H

#include <stddef.h>

/* Growable bytes and the little text the simulator writes. Running out of memory ends the process:
 * a test tool that limps on would only move the failure somewhere harder to read. Thread: the only
 * one. */

struct sim_span {
    const char *ptr;
    size_t len;
};

struct sim_buf {
    char *ptr;
    size_t len;
    size_t cap;
};

#define SIM_SPAN(literal) ((struct sim_span){ (literal), sizeof(literal) - 1 })

/* Make room for `more_bytes` beyond the length; the bytes are not counted as used. */
void sim_buf_need(struct sim_buf *buf, size_t more_bytes);

/* Append bytes, a C string, formatted text. */
void sim_buf_add(struct sim_buf *buf, const void *ptr, size_t len);
void sim_buf_text(struct sim_buf *buf, const char *text);
void sim_buf_print(struct sim_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Append `text` as a JSON string with its quotes; bytes above 0x7f pass as they are. */
void sim_buf_quote(struct sim_buf *buf, struct sim_span text);

/* Append `text` as a JSON string, or null when its pointer is NULL. */
void sim_buf_quote_or_null(struct sim_buf *buf, struct sim_span text);

/* Release the bytes and leave an empty buffer. */
void sim_buf_fini(struct sim_buf *buf);

/* A zeroed block, or the end of the process. ret: owned by the caller, for free(). */
void *sim_alloc(size_t bytes);

/* A copy of `text` that ends in a zero byte; NULL for a NULL span. ret: for free(). */
char *sim_copy(struct sim_span text);

/* The span over a C string; NULL gives the NULL span. */
struct sim_span sim_span_of(const char *text);

#endif
