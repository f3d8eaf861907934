#ifndef SIM_HTTP_H
#define SIM_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "sim_buf.h"

/* Cuts a byte stream into HTTP/1.1 requests: Content-Length and chunked bodies, one at a time, so
 * that pipelined requests wait their turn in the caller's buffer. */

#define SIM_HEADERS_MAX    128
#define SIM_HEAD_BYTES_MAX ((size_t)64 * 1024)
#define SIM_BODY_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define SIM_LINE_BYTES_MAX 1024 /* a chunk's size line or a trailer line */

struct sim_header {
    struct sim_span name;
    struct sim_span value;
};

/* One parsed head; its spans point into sim_http.head and hold until the reset. */
struct sim_request {
    struct sim_span method;
    struct sim_span path; /* as sent, query included */
    struct sim_header headers[SIM_HEADERS_MAX];
    size_t header_count;
    bool is_chunked;
    bool wants_close;
    bool expects_continue;
    uint64_t content_length; /* 0 if absent */
};

enum sim_http_state {
    SIM_HTTP_HEAD,
    SIM_HTTP_LENGTH, /* a body of known length */
    SIM_HTTP_CHUNK_SIZE,
    SIM_HTTP_CHUNK_DATA,
    SIM_HTTP_CHUNK_END,
    SIM_HTTP_TRAILER,
    SIM_HTTP_DONE,
    SIM_HTTP_BAD,
};

struct sim_http {
    enum sim_http_state state;
    struct sim_buf head;
    struct sim_buf body;
    struct sim_request request;
    uint64_t left; /* of the body or of the chunk at hand, bytes */
    char line[SIM_LINE_BYTES_MAX];
    size_t line_len;
    int bad_status; /* in SIM_HTTP_BAD: what to answer */
};

/* Take in bytes. Stops right after a head and right after a request, so that the caller can act on
 * either before the rest. ret: bytes consumed. */
size_t sim_http_feed(struct sim_http *http, struct sim_span bytes);

/* Forget the request that is done and expect another. Keeps small buffers for it. */
void sim_http_reset(struct sim_http *http);

void sim_http_fini(struct sim_http *http);

/* The value of the first header of this name, in any case. ret: a NULL span if there is none. */
struct sim_span sim_request_header(const struct sim_request *request, const char *name);

/* Whether two headers have one name, in any case. */
bool sim_header_same_name(const struct sim_header *one, const struct sim_header *other);

#endif
