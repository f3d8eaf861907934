#ifndef ROUTING_REFRESH_H
#define ROUTING_REFRESH_H

#include "base/err.h"

/* Keeps the providers' own lists of models fresh: one thread that asks each enabled provider whose
 * kind has such a list, when routing/schedule says so, one after the other. A list that came is
 * stored and in force (PROVIDER_SET_MODELS); after a failure the one before stays. How it went is
 * logged where it is news.
 *
 * It reads through the pool and gives the connection back before it waits for a provider; nobody
 * waits for it. A list that comes from an address or by a secret that has changed meanwhile is
 * dropped. */

#define REFRESH_DEADLINE_MS 10000 /* of one fetch */

struct reader_pool;
struct refresh;
struct secret_ring;
struct target_store;
struct writer;

/* All of it outlives the thread. */
struct refresh_options {
    struct reader_pool *readers;
    struct writer *writer;
    struct target_store *targets; /* where lists are published */
    const struct secret_ring *ring;
    const char *ca_file; /* PEM of the authorities to trust; NULL: the system's */
};

/* Start the thread; its first turn looks at all providers.
 *
 * Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status refresh_start(const struct refresh_options *options,
                                           struct refresh **ret_refresh, struct err *err);

/* A provider was added, changed or deleted: look at once. Any thread. */
void refresh_tell(struct refresh *refresh);

/* End what is under way, without waiting for a provider, and the thread. Accepts NULL. */
void refresh_stop(struct refresh *refresh);

#endif
