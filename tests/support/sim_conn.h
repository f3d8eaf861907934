#ifndef SIM_CONN_H
#define SIM_CONN_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "sim_answer.h"
#include "sim_http.h"

/* One client connection: reads requests, carries out the steps of their answers, notices when the
 * peer leaves. It frees itself; after sim_conn_event or sim_conn_timeout the pointer may be gone.
 */

#define SIM_CONNS_MAX 4096

/* No wait outlives this, whatever a script says; each request starts it anew. */
#define SIM_CONN_LIMIT_US (INT64_C(15) * 60 * 1000000)

struct sim_conn_config {
    int epoll_fd;
    bool finishes_alone; /* go on generating, and billing, when the peer has left */
    struct sim_answer *(*answer)(const struct sim_request *request, struct sim_span body);
    struct sim_urgent (*urgent)(const struct sim_request *request); /* NULL: nothing is */
};

/* Set once, before the first connection; the config is copied. */
void sim_conn_setup(const struct sim_conn_config *config);

/* Own `fd`, a connected non-blocking socket, and serve it; `tls` is NULL for plain TCP. Past
 * SIM_CONNS_MAX the socket is closed at once. */
void sim_conn_open(int fd, SSL_CTX *tls);

/* Handle what epoll reported for the connection that its data pointer names. */
void sim_conn_event(void *conn, uint32_t events);

/* Handle the deadline of the connection that owns `timer`. */
struct sim_timer;
void sim_conn_timeout(struct sim_timer *timer);

#endif
