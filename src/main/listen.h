#ifndef MAIN_LISTEN_H
#define MAIN_LISTEN_H

#include "base/err.h"
#include "base/span.h"

/* Listening sockets of the worker loops. */

#define LISTEN_MAX 64

/* Bind `count` sockets to "ADDR:PORT" with SO_REUSEPORT, one a worker, so that the kernel spreads
 * connections. Before, one is bound without it and closed: another server on the port makes that
 * fail, connections left over from a killed one do not. Port 0 picks a free one.
 *
 * ret_port  the port bound
 * Errors    TG_INVALID: not an address; TG_CONFLICT: in use; TG_IO; with the remedy in `err` */
TG_MUST_CHECK enum tg_status listen_open(struct span address, int count, int fds[LISTEN_MAX],
                                         int *ret_port, struct err *err);

#endif
