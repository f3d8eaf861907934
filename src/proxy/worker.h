#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include "base/id.h"
#include "net/client.h"
#include "proxy/services.h"

/* One event loop in one thread: a listener, its clients, its provider connections and each exchange
 * between them. Workers share nothing that is written on the way of a call. */

struct worker {
    const struct proxy_services *services;
    struct loop *loop;
    struct server *server;
    struct client_pool *pool;
    struct id_source ids;
    int reader; /* in the snapshot domain */
    struct server_handler handler;
    struct list exchanges; /* open ones */
    struct list own_keys;  /* callers that wait for what their key is */
    int own_key_count;
    struct list free_exchanges; /* kept for reuse */
    int free_count;
    _Atomic int open_count;
    int drain_count; /* whose client has left and that are read on */
    bool is_draining;
    bool is_cut;              /* nothing is sent to a provider any more */
    struct loop_task control; /* drain, cut, stop: asked from other threads */
    _Atomic unsigned asked;   /* enum worker_ask */
};

/* number: 0..ID_SOURCE_MAX - 1. fd: a listening socket of its own; owned from here.
 * Errors  TG_NO_MEMORY, TG_IO */
TG_MUST_CHECK enum tg_status worker_new(const struct proxy_services *services, int number, int fd,
                                        struct worker **ret_worker);
/* Serve until worker_stop. Runs on the worker's own thread. */
void worker_run(struct worker *worker);
/* After worker_run has returned: close its clients and provider connections. Accepts NULL. */
void worker_close(struct worker *worker);
/* After worker_close and after the connector has ended, which may still post to the loop. Accepts
 * NULL. */
void worker_free(struct worker *worker);

/* From any thread. Drain: take no new connection, end those that are idle. Cut: stop what is open
 * and settle it. Stop: leave the loop. */
void worker_drain(struct worker *worker);
void worker_cut(struct worker *worker);
void worker_stop(struct worker *worker);

/* Exchanges that are open, and answers that are on their way to slow clients; from any thread, a
 * moment's number. */
int worker_open_count(const struct worker *worker);

#endif
