#ifndef NET_FETCH_H
#define NET_FETCH_H

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"

/* One request and its whole answer, for threads that may wait: the command line, the model lists of
 * providers. By libcurl. Redirects are not followed; certificates are checked; addresses that
 * address_is_refused names are not dialled. HTTPS_PROXY and NO_PROXY hold for https but for
 * loopback; plain http is never proxied. */

#define FETCH_HEADERS_MAX 8

/* Ends a fetch from outside: whoever waits in one that was given it comes back at once, and so does
 * whoever begins one later. */
struct fetch_stop {
    int fd; /* readable once it is told; -1: not open */
};

/* Errors  TG_NO_MEMORY: no descriptor */
TG_MUST_CHECK enum tg_status fetch_stop_init(struct fetch_stop *stop);
/* No fetch may use it any more. */
void fetch_stop_fini(struct fetch_stop *stop);
/* Any thread. */
void fetch_stop_now(struct fetch_stop *stop);

struct fetch_request {
    const char *method;      /* "GET" */
    const char *url;         /* http or https */
    const char *unix_socket; /* path to connect to in place of the URL's host; NULL: none */
    const char *headers[FETCH_HEADERS_MAX + 1]; /* "Name: value", NULL-ended; may hold a secret */
    struct span body;                           /* sent where its ptr is not NULL */
    int64_t deadline_ms;                        /* for all of it; 0: none */
    size_t answer_max_bytes;
    bool is_loopback;              /* never by a proxy */
    const char *ca_file;           /* PEM of the authorities to trust; NULL: the system's */
    const struct fetch_stop *stop; /* NULL: none */
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
 *         TG_DRAINING: told to stop; TG_NO_MEMORY. `err` says what happened, never a header */
TG_MUST_CHECK enum tg_status fetch(const struct fetch_request *request,
                                   struct fetch_answer *ret_answer, struct err *err);

#endif
