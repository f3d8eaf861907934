#ifndef NET_DAEMON_H
#define NET_DAEMON_H

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"

#include <sys/types.h>

/* An HTTP server for people, scripts and the sandbox, by libmicrohttpd: each connection has a
 * thread of its own, so that a handler may wait for SQL, the writer or another server without
 * holding up anyone else. Never on the path of a call.
 *
 * The handler is called once a request, when its body is complete, and fills in the answer. Paths
 * are handed over as they stood on the wire; query parameters are decoded.
 *
 * Deadlines are absolute: from the end of the last answer to the end of the next head, over the
 * body, and over the answer. A connection past one is closed. */

#define DAEMON_HEAD_MAX       16384
#define DAEMON_PARAMS_MAX     32
#define DAEMON_TARGET_MAX     8192
#define DAEMON_HEADERS_MAX    16 /* that an answer adds */
#define DAEMON_IDLE_MS        30000
#define DAEMON_BODY_MS        30000
#define DAEMON_SEND_MS        120000
#define DAEMON_CONNECTION_MAX 512
#define DAEMON_STOP_MS        5000
/* What is read and thrown away of a body over its limit before the connection is closed. */
#define DAEMON_SWALLOW_MAX ((size_t)4 << 20)

struct daemon;

struct daemon_param {
    struct span name;
    struct span value;
};

/* All of it is valid until the handler returns. */
struct daemon_request {
    char id[ID_TEXT_SIZE]; /* req_...; answered as x-request-id */
    const char *method;
    struct span path; /* raw, without the query; begins with '/' */
    const struct daemon_param *params;
    int param_count;
    struct span body;
    /* Not TG_OK: the request cannot be served, and the handler only words the refusal:
     * TG_TOO_LARGE, TG_INVALID (a target that cannot be read), TG_NO_MEMORY. */
    enum tg_status fault;
    bool is_local_owner; /* by a Unix socket, from a process of the same user or of root */
    void *connection;    /* the daemon's */
};

/* A header's value; empty where it is not there. name: without case */
struct span daemon_header(const struct daemon_request *request, const char *name);
/* The first parameter of that name.
 *
 * return  whether it is there */
bool daemon_param_get(const struct daemon_request *request, const char *name,
                      struct span *ret_value);

/* Undo a path segment's percent-encoding, in place.
 *
 * return  false: a '%' without two digits, or a NUL; *ret_decoded is written only on true */
bool daemon_decode(char *text, size_t len, struct span *ret_decoded);

/* A body that is made while it is sent. */
struct daemon_stream {
    /* Write 1..max bytes; may block for a while.
     *
     * return  bytes written; 0: the end; below 0: cut the connection */
    ssize_t (*read)(void *context, char *out, size_t max);
    void (*free)(void *context); /* once, also where the client has left */
    void *context;
};

struct daemon_answer {
    int http;                    /* 200 unless set */
    const char *type;            /* static storage; NULL: no Content-Type */
    struct buf body;             /* the daemon's from then on */
    struct span constant;        /* used where not empty: a body in static storage */
    struct daemon_stream stream; /* used where `read` is set */
    int header_count;
    struct {
        const char *name; /* static storage */
        char value[512];
    } header[DAEMON_HEADERS_MAX];
    bool must_close; /* the connection, after it */
};

/* Add a header; a value that is too long is left out. name: static storage */
void daemon_answer_header(struct daemon_answer *answer, const char *name, const char *value);

typedef void daemon_handler(void *context, const struct daemon_request *request,
                            struct daemon_answer *answer);

struct daemon_options {
    const char *name;       /* of its threads, at most 15 bytes; static storage */
    daemon_handler *handle; /* any number of threads at once */
    void *context;
    size_t body_max_bytes;
    const char *long_body_path; /* of the one request that may be longer; NULL: none */
    size_t long_body_max_bytes;
    int connections_max; /* 1..DAEMON_CONNECTION_MAX, each listener; more are closed at once */
};

/* Serve on a bound and listening socket, TCP or Unix; the daemon closes it.
 *
 * Errors  TG_NO_MEMORY, TG_IO: then the socket is the caller's still */
TG_MUST_CHECK enum tg_status daemon_start(int listen_fd, const struct daemon_options *options,
                                          struct daemon **ret_daemon, struct err *err);

/* Take no more connections, let requests that are being answered end for DAEMON_STOP_MS, then cut
 * the rest and wait until no handler runs. Accepts NULL. */
void daemon_stop(struct daemon *daemon);
AUTO_PTR_DEFINE(daemon, daemon_stop)

/* --- sockets to serve on ---------------------------------------------------------------------- */

/* Bind and listen on "ADDR:PORT" ("127.0.0.1:4001", "[::1]:0"; the address a number).
 *
 * ret_port  the port, also where 0 was asked for
 * Errors    TG_INVALID: not such an address; TG_CONFLICT: in use; TG_IO. `err` names the address
 * and the remedy */
TG_MUST_CHECK enum tg_status daemon_listen_tcp(const char *address, int *ret_fd, int *ret_port,
                                               struct err *err);

/* Bind and listen on a Unix socket of mode 0600. One that is left over is removed; so the caller
 * holds the data directory's lock.
 *
 * Errors  TG_INVALID: the path is too long for a socket; TG_IO */
TG_MUST_CHECK enum tg_status daemon_listen_unix(const char *path, int *ret_fd, struct err *err);

#endif
