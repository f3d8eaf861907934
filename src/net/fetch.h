#ifndef NET_FETCH_H
#define NET_FETCH_H

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"

/* One request and its whole answer, for threads that may wait: the command line, the model lists of
 * providers. By libcurl. Redirects are not followed; certificates are checked; HTTPS_PROXY and
 * NO_PROXY hold but for loopback and Unix sockets. */

#define FETCH_HEADERS_MAX 8

struct fetch_request {
    const char *method;      /* "GET" */
    const char *url;         /* http or https */
    const char *unix_socket; /* path to connect to in place of the URL's host; NULL: none */
    const char *headers[FETCH_HEADERS_MAX + 1]; /* "Name: value", NULL-ended; may hold a secret */
    struct span body;                           /* sent where its ptr is not NULL */
    int64_t deadline_ms;                        /* for all of it; 0: none */
    size_t answer_max_bytes;
    bool is_loopback; /* never by a proxy */
};

struct fetch_answer {
    int http;
    char type[128]; /* media type, without parameters; "" where there is none */
    struct buf body;
};

void fetch_answer_fini(struct fetch_answer *answer);
AUTO_DEFINE(fetch_answer, fetch_answer_fini)

/* Ask. TG_OK: an answer came, whatever its status.
 *
 * ret     to be ended with fetch_answer_fini, also after a failure
 * Errors  TG_UPSTREAM_UNREACHABLE: nobody there, or the certificate is wrong; TG_UPSTREAM_TIMEOUT;
 *         TG_UPSTREAM_INVALID: no HTTP; TG_TOO_LARGE: the answer; TG_INVALID: the URL;
 * TG_NO_MEMORY. `err` says what happened, never a header */
TG_MUST_CHECK enum tg_status fetch(const struct fetch_request *request,
                                   struct fetch_answer *ret_answer, struct err *err);

#endif
