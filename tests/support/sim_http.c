#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif

#include "sim_http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEEP_BODY_BYTES ((size_t)256 * 1024)

static bool same_word(struct sim_span span, const char *word)
{
    return span.len == strlen(word) && strncasecmp(span.ptr, word, span.len) == 0;
}

static void go_bad(struct sim_http *http, int status)
{
    http->state = SIM_HTTP_BAD;
    http->bad_status = status;
}

static struct sim_span trim(const char *start, const char *end)
{
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    return (struct sim_span){ start, (size_t)(end - start) };
}

static bool read_length(struct sim_span value, uint64_t *ret_length)
{
    uint64_t length = 0;

    if (value.len == 0 || value.len > 18)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return false;
        length = length * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    *ret_length = length;
    return true;
}

/* Look at the four headers that framing needs; the length comes first because it rules out nearly
 * all others without a comparison. */
static bool note_header(struct sim_request *request, const struct sim_header *header)
{
    switch (header->name.len) {
    case 14:
        if (same_word(header->name, "content-length"))
            return read_length(header->value, &request->content_length);
        break;
    case 17:
        if (same_word(header->name, "transfer-encoding"))
            request->is_chunked = same_word(header->value, "chunked");
        break;
    case 10:
        if (same_word(header->name, "connection") && same_word(header->value, "close"))
            request->wants_close = true;
        break;
    case 6:
        if (same_word(header->name, "expect"))
            request->expects_continue = same_word(header->value, "100-continue");
        break;
    default:
        break;
    }
    return true;
}

static bool read_request_line(struct sim_request *request, const char *line, const char *end)
{
    const char *space = memchr(line, ' ', (size_t)(end - line));

    if (space == NULL)
        return false;
    const char *second = memchr(space + 1, ' ', (size_t)(end - space - 1));

    if (second == NULL || end - second < 9 || memcmp(second + 1, "HTTP/1.", 7) != 0)
        return false;
    request->method = (struct sim_span){ line, (size_t)(space - line) };
    request->path = (struct sim_span){ space + 1, (size_t)(second - space - 1) };
    request->wants_close = second[8] == '0';
    return true;
}

static bool read_head(struct sim_http *http)
{
    struct sim_request *request = &http->request;
    const char *at = http->head.ptr;
    const char *end = at + http->head.len - 2; /* the blank line stays out */
    const char *line_end = memchr(at, '\n', (size_t)(end - at));

    if (line_end == NULL || !read_request_line(request, at, line_end))
        return false;
    for (at = line_end + 1; at < end; at = line_end + 1) {
        line_end = memchr(at, '\n', (size_t)(end - at));
        const char *colon = line_end == NULL ? NULL : memchr(at, ':', (size_t)(line_end - at));

        if (colon == NULL || request->header_count == SIM_HEADERS_MAX)
            return false;
        struct sim_header *header = &request->headers[request->header_count++];

        header->name = (struct sim_span){ at, (size_t)(colon - at) };
        header->value = trim(colon + 1, line_end);
        if (!note_header(request, header))
            return false;
    }
    return true;
}

static void start_body(struct sim_http *http)
{
    const struct sim_request *request = &http->request;

    if (!read_head(http)) {
        go_bad(http, 400);
    } else if (request->is_chunked) {
        http->state = SIM_HTTP_CHUNK_SIZE;
    } else if (request->content_length > SIM_BODY_BYTES_MAX) {
        go_bad(http, 413);
    } else {
        http->left = request->content_length;
        http->state = http->left == 0 ? SIM_HTTP_DONE : SIM_HTTP_LENGTH;
    }
}

static size_t feed_head(struct sim_http *http, struct sim_span bytes)
{
    const size_t before = http->head.len;
    const size_t from = before < 3 ? 0 : before - 3;

    sim_buf_add(&http->head, bytes.ptr, bytes.len);
    const char *blank = memmem(http->head.ptr + from, http->head.len - from, "\r\n\r\n", 4);

    if (blank == NULL) {
        if (http->head.len > SIM_HEAD_BYTES_MAX)
            go_bad(http, 431);
        return bytes.len;
    }
    http->head.len = (size_t)(blank - http->head.ptr) + 4;
    start_body(http);
    return http->head.len < before ? 0 : http->head.len - before;
}

static size_t feed_data(struct sim_http *http, struct sim_span bytes, enum sim_http_state after)
{
    const size_t len = bytes.len < http->left ? bytes.len : (size_t)http->left;

    if (http->body.len + len > SIM_BODY_BYTES_MAX) {
        go_bad(http, 413);
        return bytes.len;
    }
    sim_buf_add(&http->body, bytes.ptr, len);
    http->left -= len;
    if (http->left == 0)
        http->state = after;
    return len;
}

static void end_line(struct sim_http *http)
{
    http->line[http->line_len] = '\0';
    if (http->state == SIM_HTTP_CHUNK_END) {
        http->state = SIM_HTTP_CHUNK_SIZE;
    } else if (http->state == SIM_HTTP_TRAILER) {
        if (http->line_len == 0)
            http->state = SIM_HTTP_DONE;
    } else {
        char *rest = NULL;

        http->left = strtoull(http->line, &rest, 16);
        if (rest == http->line || http->left > SIM_BODY_BYTES_MAX) {
            go_bad(http, rest == http->line ? 400 : 413);
            return;
        }
        http->state = http->left == 0 ? SIM_HTTP_TRAILER : SIM_HTTP_CHUNK_DATA;
    }
    http->line_len = 0;
}

/* Collect a chunk's size line, the line end after its data, or a trailer line. */
static size_t feed_line(struct sim_http *http, struct sim_span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] == '\n') {
            end_line(http);
            return i + 1;
        }
        if (bytes.ptr[i] == '\r')
            continue;
        if (http->line_len + 1 == sizeof(http->line)) {
            go_bad(http, 400);
            return bytes.len;
        }
        http->line[http->line_len++] = bytes.ptr[i];
    }
    return bytes.len;
}

static size_t feed_some(struct sim_http *http, struct sim_span bytes)
{
    switch (http->state) {
    case SIM_HTTP_HEAD:
        return feed_head(http, bytes);
    case SIM_HTTP_LENGTH:
        return feed_data(http, bytes, SIM_HTTP_DONE);
    case SIM_HTTP_CHUNK_DATA:
        return feed_data(http, bytes, SIM_HTTP_CHUNK_END);
    case SIM_HTTP_CHUNK_SIZE:
    case SIM_HTTP_CHUNK_END:
    case SIM_HTTP_TRAILER:
        return feed_line(http, bytes);
    case SIM_HTTP_DONE:
    case SIM_HTTP_BAD:
        break;
    }
    return 0;
}

size_t sim_http_feed(struct sim_http *http, struct sim_span bytes)
{
    const bool was_head = http->state == SIM_HTTP_HEAD;
    size_t used = 0;

    while (used < bytes.len && http->state != SIM_HTTP_DONE && http->state != SIM_HTTP_BAD) {
        used += feed_some(http, (struct sim_span){ bytes.ptr + used, bytes.len - used });
        if (was_head && http->state != SIM_HTTP_HEAD)
            break;
    }
    return used;
}

void sim_http_reset(struct sim_http *http)
{
    http->state = SIM_HTTP_HEAD;
    http->head.len = 0;
    http->body.len = 0;
    if (http->body.cap > KEEP_BODY_BYTES)
        sim_buf_fini(&http->body);
    http->request.header_count = 0;
    http->request.is_chunked = false;
    http->request.wants_close = false;
    http->request.expects_continue = false;
    http->request.content_length = 0;
    http->left = 0;
    http->line_len = 0;
}

void sim_http_fini(struct sim_http *http)
{
    sim_buf_fini(&http->head);
    sim_buf_fini(&http->body);
}

struct sim_span sim_request_header(const struct sim_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (same_word(request->headers[i].name, name))
            return request->headers[i].value;
    }
    return (struct sim_span){ NULL, 0 };
}

bool sim_header_same_name(const struct sim_header *one, const struct sim_header *other)
{
    return one->name.len == other->name.len &&
           strncasecmp(one->name.ptr, other->name.ptr, one->name.len) == 0;
}
