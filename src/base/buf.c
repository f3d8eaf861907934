#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE_FIRST 64

void buf_init(struct buf *b, size_t cap_bytes)
{
    *b = (struct buf){ .cap = cap_bytes };
}

void buf_fini(struct buf *b)
{
    if (b == NULL)
        return;
    free(b->data);
    *b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
    b->head = 0;
    b->tail = 0;
    b->failed = false;
}

void buf_release(struct buf *b)
{
    const size_t cap_bytes = b->cap;

    buf_fini(b);
    buf_init(b, cap_bytes);
}

/* Move the content to the front of the memory. */
static void compact(struct buf *b)
{
    const size_t len = buf_len(b);

    if (len > 0)
        memmove(b->data, b->data + b->head, len);
    b->head = 0;
    b->tail = len;
}

/* Replace the memory by one that holds the content and `len` bytes more, which the cap allows. */
static bool grow(struct buf *b, size_t len)
{
    const size_t content = buf_len(b);
    size_t size = b->size < SIZE_FIRST / 2 ? SIZE_FIRST : b->size;
    char *data;

    if (b->size >= SIZE_FIRST / 2)
        size = size > b->cap / 2 ? b->cap : size * 2;
    if (size > b->cap)
        size = b->cap;
    if (size < content + len)
        size = content + len;
    data = malloc(size);
    if (data == NULL)
        return false;
    if (content > 0)
        memcpy(data, b->data + b->head, content);
    free(b->data);
    b->data = data;
    b->head = 0;
    b->tail = content;
    b->size = size;
    return true;
}

char *buf_reserve(struct buf *b, size_t len)
{
    assert(len > 0);
    if (b->failed)
        return NULL;
    if (len > b->cap - buf_len(b)) {
        b->failed = true;
        return NULL;
    }
    if (len <= b->size - b->tail)
        return b->data + b->tail;
    /* Moving is cheaper than growing only when no more is moved than was taken off the front; so
     * each byte is moved about once, however the content is consumed. Memory at its cap has no
     * choice. */
    if (len <= b->size - buf_len(b) && (b->head >= buf_len(b) || b->size >= b->cap)) {
        compact(b);
    } else if (!grow(b, len)) {
        b->failed = true;
        return NULL;
    }
    return b->data + b->tail;
}

void buf_commit(struct buf *b, size_t len)
{
    assert(len <= b->size - b->tail);
    b->tail += len;
}

void buf_put(struct buf *b, const void *bytes, size_t len)
{
    char *to;

    if (len == 0)
        return;
    /* The usual case, looked at here: a head is put together from a hundred pieces. */
    if (!b->failed && len <= b->size - b->tail && len <= b->cap - buf_len(b)) {
        memcpy(b->data + b->tail, bytes, len);
        b->tail += len;
        return;
    }
    to = buf_reserve(b, len);
    if (to == NULL)
        return;
    memcpy(to, bytes, len);
    buf_commit(b, len);
}

void buf_put_span(struct buf *b, struct span s)
{
    buf_put(b, s.ptr, s.len);
}

void buf_put_text(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

void buf_put_byte(struct buf *b, char byte)
{
    buf_put(b, &byte, 1);
}

void buf_put_int(struct buf *b, int64_t value)
{
    char digits[20]; /* "-9223372036854775808" */
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--at] = '-';
    buf_put(b, digits + at, sizeof(digits) - at);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    char small[256];
    char *large = NULL;
    va_list args;
    int len;

    if (b->failed)
        return;
    va_start(args, format);
    len = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (len >= (int)sizeof(small)) {
        va_start(args, format);
        len = vasprintf(&large, format, args);
        va_end(args);
        if (len < 0)
            large = NULL; /* undefined after a failure */
    }
    if (len < 0)
        b->failed = true;
    else
        buf_put(b, large != NULL ? large : small, (size_t)len);
    free(large);
}

void buf_consume(struct buf *b, size_t len)
{
    assert(len <= buf_len(b));
    b->head += len;
    if (b->head == b->tail) {
        b->head = 0;
        b->tail = 0;
    }
}

enum tg_status buf_status(const struct buf *b)
{
    return b->failed ? TG_NO_MEMORY : TG_OK;
}

char *buf_take_string(struct buf *b)
{
    char *text = b->failed ? NULL : span_to_string(buf_span(b));

    if (text != NULL)
        buf_clear(b);
    return text;
}
