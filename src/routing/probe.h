#ifndef ROUTING_PROBE_H
#define ROUTING_PROBE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

/* Ask a provider for its own list of models: whether address and secret are right, and what it has.
 */

struct db;
struct fetch_stop;

#define PROBE_ANSWER_MAX ((size_t)4 << 20)

/* What there is to ask; the secret stands in locked memory. */
struct probe {
    char url[640];
    struct secret header; /* "Authorization: Bearer ..." with its terminator; empty: none */
    bool is_loopback;
};

void probe_fini(struct probe *probe);
AUTO_DEFINE(probe, probe_fini)

/* Read a provider's row. db: any connection; it may be given back before probe_run.
 *
 * Errors  TG_NOT_FOUND: there is none, also a deleted one; TG_CORRUPT: the secret cannot be opened;
 *         TG_UPSTREAM_INVALID: its kind has no list; TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status probe_prepare(struct db *db, const struct secret_ring *ring,
                                           struct span provider_public_id, struct probe *ret_probe,
                                           struct err *err);

struct probe_result {
    int http; /* 0: no answer came */
    int64_t took_ms;
    int model_count;
    struct buf models; /* JSON array of names, for PROVIDER_SET_MODELS */
};

struct probe_options {
    int64_t deadline_ms;           /* for all of it */
    const char *ca_file;           /* PEM of the authorities to trust; NULL: the system's */
    const struct fetch_stop *stop; /* ends it early; NULL: none */
};

void probe_result_fini(struct probe_result *result);
AUTO_DEFINE(probe_result, probe_result_fini)

/* Ask and wait. TG_OK: the list came. The result is to be ended after a failure too.
 *
 * Errors  those of fetch; TG_UPSTREAM_INVALID: an answer, but no list of models. `err` says what
 * the owner can do, and holds nothing of the secret */
TG_MUST_CHECK enum tg_status probe_run(const struct probe *probe,
                                       const struct probe_options *options,
                                       struct probe_result *ret_result, struct err *err);

#endif
