#ifndef NET_CONNECTOR_H
#define NET_CONNECTOR_H

#include "net/client.h"

/* Opens connections to providers in threads of its own, by libcurl with CURLOPT_CONNECT_ONLY:
 * names, TCP, TLS, certificates and proxies are its affair; the worker then speaks over what it
 * gets.
 *
 * HTTPS_PROXY (https_proxy) and NO_PROXY (no_proxy) are honoured for tls, loopback is never
 * proxied, plain http never. Link-local, multicast and reserved addresses are refused as resolved,
 * so that no name can lead to a cloud's metadata service; loopback and private ranges may be
 * dialled, for models that are hosted at home.
 *
 * Up to CONNECTOR_THREADS_MAX threads, made on demand, at most half of them for one endpoint
 * identity; one without work for CONNECTOR_THREAD_IDLE_S ends. CONNECTOR_FAILURES_MAX failures in a
 * row open a circuit: connects to that identity, the queued ones too, fail at once for
 * CONNECTOR_CIRCUIT_MIN_MS; then one is tried, and a failure doubles the time, up to
 * CONNECTOR_CIRCUIT_MAX_MS. Any thread may ask; answers are posted to the asking loop.
 *
 * Waiting in the queue counts into a request's time-out. */

#define CONNECTOR_THREADS_MAX    128
#define CONNECTOR_THREAD_IDLE_S  30
#define CONNECTOR_QUEUE_MAX      4096
#define CONNECTOR_SITES_MAX      1024 /* identities that are being connected to or have failed */
#define CONNECTOR_HOST_MAX       255
#define CONNECTOR_FAILURES_MAX   3
#define CONNECTOR_CIRCUIT_MIN_MS 1000
#define CONNECTOR_CIRCUIT_MAX_MS 30000

struct connector;

/* An open connection. For plain http only the socket is used; for TLS bytes go through libcurl. */
struct connector_link {
    void *handle; /* CURL *; owned: connector_link_close */
    void *tls;    /* SSL *; the handle's, known once bytes have moved */
    int fd;
    bool is_tls;
};

struct connector_request {
    struct loop *loop;     /* where `done` runs */
    struct loop_task done; /* `run` set by the asker; the request is then its own again */
    const struct client_endpoint *endpoint; /* borrowed until done */
    int64_t timeout_ms;                     /* 1 or more */
    /* answer */
    enum tg_status status; /* TG_OK, TG_UPSTREAM_UNREACHABLE, TG_OVERLOADED */
    char why[160];         /* for people; "" when TG_OK */
    struct connector_link link;
    /* the connector's */
    struct list node;
    struct connector_site *site;
    struct connector_job *job; /* the thread that works on it */
    int64_t deadline_us;
    bool is_probe;
};

/* ca_file: PEM of the authorities to trust, NULL for the system's; read once. The environment's
 * proxies are read here too.
 * Errors  TG_NO_MEMORY; TG_IO: the authorities cannot be read; TG_INTERNAL: libcurl is not what it
 * should be */
TG_MUST_CHECK enum tg_status connector_new(const char *ca_file, struct connector **ret_connector);
/* Ends connects in hand, which takes about a second at most. All links must be closed and all
 * requests done or withdrawn: free the pools first. Accepts NULL. */
void connector_free(struct connector *connector);

/* Ask for a connection; `request->done` is posted to `request->loop` in every case. */
void connector_submit(struct connector *connector, struct connector_request *request);

/* Take a request back whose `done` has not run: it will not, and a connection made for it is
 * closed. Thread: the one of request->loop, which runs no turn meanwhile. */
void connector_withdraw(struct connector *connector, struct connector_request *request);

struct connector_stats {
    int threads;
    int busy;
    int queued;
    int circuits_open;
};
void connector_stats(struct connector *connector, struct connector_stats *ret_stats);

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
