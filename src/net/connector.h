#ifndef NET_CONNECTOR_H
#define NET_CONNECTOR_H

#include "net/client.h"

/* Opens connections to providers in threads of its own, by libcurl with CURLOPT_CONNECT_ONLY:
 * names, TCP, TLS, certificates and proxies are its affair; the worker then speaks over what it
 * gets. HTTPS_PROXY and NO_PROXY are honoured for tls, loopback is never proxied, plain http never.
 * Up to CONNECTOR_THREADS_MAX threads, made on demand, at most half of them for one endpoint
 * identity. CONNECTOR_FAILURES_MAX failures in a row open a circuit: connects to that identity fail
 * at once for 1 s, doubling to 30 s; then one is tried. Any thread may ask; answers are posted to
 * the asking loop. */

#define CONNECTOR_THREADS_MAX    128
#define CONNECTOR_QUEUE_MAX      4096
#define CONNECTOR_FAILURES_MAX   3
#define CONNECTOR_CIRCUIT_MIN_MS 1000
#define CONNECTOR_CIRCUIT_MAX_MS 30000

struct connector;

/* An open connection. For plain http only the socket is used; for TLS bytes go through libcurl. */
struct connector_link {
    void *handle; /* CURL *; owned: connector_link_close */
    int fd;
    bool is_tls;
};

struct connector_request {
    struct loop *loop;     /* where `done` runs */
    struct loop_task done; /* `run` set by the asker; the request is then its own again */
    const struct client_endpoint *endpoint; /* borrowed until done */
    int64_t timeout_ms;
    /* answer */
    enum tg_status status; /* TG_OK, TG_UPSTREAM_UNREACHABLE, TG_OVERLOADED */
    char why[160];         /* for people */
    struct connector_link link;
    /* the connector's */
    struct list node;
};

/* allow_plain_private: reserved ranges may be dialled (loopback always may).
 * ca_file: NULL for the system's. Errors  TG_NO_MEMORY, TG_INTERNAL */
TG_MUST_CHECK enum tg_status connector_new(const char *ca_file, struct connector **ret_connector);
/* Waits for connects in hand (at most their time-out). Accepts NULL. */
void connector_free(struct connector *connector);

/* Ask for a connection; `request->done` is posted to `request->loop` in every case. */
void connector_submit(struct connector *connector, struct connector_request *request);

/* Send and receive on an open link, non-blocking.
 *
 * return  bytes moved; 0 with *ret_status TG_AGAIN, TG_CLOSED (orderly end) or TG_IO */
size_t connector_link_send(struct connector_link *link, struct span bytes,
                           enum tg_status *ret_status);
size_t connector_link_recv(struct connector_link *link, char *out, size_t cap,
                           enum tg_status *ret_status);
/* Whether decrypted bytes wait inside the TLS layer, which epoll cannot see. */
bool connector_link_has_pending(const struct connector_link *link);
void connector_link_close(struct connector_link *link);

#endif
