#include "sim_buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *block)
{
    if (block == NULL) {
        fputs("sim: out of memory\n", stderr);
        exit(1);
    }
    return block;
}

void *sim_alloc(size_t bytes)
{
    return checked(calloc(1, bytes));
}

char *sim_copy(struct sim_span text)
{
    if (text.ptr == NULL)
        return NULL;
    char *copy = sim_alloc(text.len + 1);

    memcpy(copy, text.ptr, text.len);
    return copy;
}

struct sim_span sim_span_of(const char *text)
{
    return (struct sim_span){ text, text == NULL ? 0 : strlen(text) };
}

void sim_buf_need(struct sim_buf *buf, size_t more_bytes)
{
    if (buf->cap - buf->len >= more_bytes)
        return;
    size_t cap = buf->cap < 256 ? 256 : buf->cap;

    while (cap - buf->len < more_bytes)
        cap *= 2;
    buf->ptr = checked(realloc(buf->ptr, cap));
    buf->cap = cap;
}

void sim_buf_add(struct sim_buf *buf, const void *ptr, size_t len)
{
    if (len == 0)
        return;
    sim_buf_need(buf, len);
    memcpy(buf->ptr + buf->len, ptr, len);
    buf->len += len;
}

void sim_buf_text(struct sim_buf *buf, const char *text)
{
    sim_buf_add(buf, text, strlen(text));
}

void sim_buf_print(struct sim_buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;

    assert(format != NULL); /* gcc's sanitizer build considers it otherwise */
    va_start(args, format);
    va_copy(again, args);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len > 0) {
        sim_buf_need(buf, (size_t)len + 1);
        (void)vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void sim_buf_quote(struct sim_buf *buf, struct sim_span text)
{
    sim_buf_add(buf, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char byte = (unsigned char)text.ptr[i];

        if (byte < 0x20) {
            sim_buf_print(buf, "\\u%04x", byte);
            continue;
        }
        if (byte == '"' || byte == '\\')
            sim_buf_add(buf, "\\", 1);
        sim_buf_add(buf, &byte, 1);
    }
    sim_buf_add(buf, "\"", 1);
}

void sim_buf_quote_or_null(struct sim_buf *buf, struct sim_span text)
{
    if (text.ptr == NULL)
        sim_buf_text(buf, "null");
    else
        sim_buf_quote(buf, text);
}

void sim_buf_fini(struct sim_buf *buf)
{
    free(buf->ptr);
    *buf = (struct sim_buf){ 0 };
}
