#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "base/span.h"
#include "tollgate/status.h"

#include <stdint.h>

/* HTTP/1.1 messages by llhttp in strict mode, with what it lets pass refused on top (RFC 9112 and
 * the framing table of the tests). A head is parsed in one piece, once its blank line has come, so
 * that all spans point into the caller's bytes; a body is fed as it comes and handed out in place.
 */

#define HTTP_HEAD_MAX   32768 /* bytes of a head */
#define HTTP_FIELDS_MAX 100

enum http_method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_OPTIONS
};

struct http_field {
    struct span name;
    struct span value; /* blanks trimmed */
};

struct http_head {
    enum http_method method; /* requests */
    struct span target;      /* requests: as sent, begins with '/' */
    int status;              /* answers: 100..599 */
    int minor_version;       /* 0 or 1 */
    struct http_field fields[HTTP_FIELDS_MAX];
    int field_count;
    int64_t content_length; /* -1: not given */
    bool is_chunked;
    bool keeps_alive;
    bool expects_continue; /* requests: Expect: 100-continue */
    bool wants_upgrade;    /* requests: an Upgrade field */
};

/* Find the end of a head: the offset behind its blank line.
 *
 * from    bytes that were searched before without success
 * return  whether it is there; *ret_end is written only then */
bool http_find_head_end(struct span bytes, size_t from, size_t *ret_end);

/* First field of that name (any case), or NULL. */
const struct http_field *http_field(const struct http_head *head, struct span name);
/* Value of a field, or empty. */
struct span http_value(const struct http_head *head, struct span name);
/* Whether a comma-separated field of the head lists `token` (any case). */
bool http_lists_token(const struct http_head *head, struct span name, struct span token);

/* Parse a whole request head, blank line included. Refuses: any control byte but CR LF pairs and
 * TAB, bare CR or LF, folded lines, names that are not tokens, blanks before a colon, other methods
 * than those above, versions but 1.0 and 1.1, targets that are not in origin form, not exactly one
 * valid Host, Content-Length twice or with Transfer-Encoding or not plain digits, Transfer-Encoding
 * twice or in 1.0 or other than `chunked`, a body on GET, HEAD, DELETE.
 *
 * Errors  TG_INVALID, TG_HEADERS_TOO_LARGE, TG_UNSUPPORTED_CODING, TG_UNSUPPORTED_VERSION,
 *         TG_METHOD_NOT_ALLOWED, TG_EXPECTATION_FAILED; *ret_why is then a sentence (static) */
TG_MUST_CHECK enum tg_status http_parse_request(struct span bytes, struct http_head *ret_head,
                                                const char **ret_why);

/* Parse a whole head of an answer. Both Content-Length and Transfer-Encoding, or differing lengths,
 * are refused.
 *
 * Errors  TG_UPSTREAM_INVALID */
TG_MUST_CHECK enum tg_status http_parse_answer(struct span bytes, struct http_head *ret_head,
                                               const char **ret_why);

/* How the end of a body is found. */
enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };

/* A body being read. */
struct http_body {
    enum http_framing framing;
    int64_t left;        /* of HTTP_LENGTH */
    uint64_t parser[16]; /* of HTTP_CHUNKED: llhttp, its header kept out of this one */
    int line_bytes;      /* of the chunk line or trailer in hand */
    bool is_done;
};

void http_body_init_request(struct http_body *body, const struct http_head *head);
/* to_head_request: the answer is to a HEAD, so it has no body whatever it says. */
void http_body_init_answer(struct http_body *body, const struct http_head *head,
                           bool to_head_request);

/* Read on. Hands out the next piece of content within `bytes`.
 *
 * ret_used     bytes consumed, also on framing
 * ret_content  content found, in place; may be empty while bytes were used
 * Errors       TG_INVALID: broken chunk framing (bare LF, bad size, size above 2^40, overlong line
 * or trailer) Call again with what is left until *ret_used is all of it or body->is_done. */
TG_MUST_CHECK enum tg_status http_body_read(struct http_body *body, struct span bytes,
                                            size_t *ret_used, struct span *ret_content);

#endif
