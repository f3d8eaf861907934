#ifndef ROUTING_TARGET_H
#define ROUTING_TARGET_H

#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"
#include "net/client.h"
#include "store/snapshot.h"
#include "tollgate/provider.h"

/* Providers as the worker loops see them: one immutable list, oldest first, published anew on each
 * change. Secrets are in locked memory. */

#define TARGETS_MAX 256

struct target {
    int32_t id; /* row of `provider` */
    char public_id[ID_TEXT_SIZE];
    char name[64]; /* [a-z0-9-]{1,63} */
    const struct tg_kind *kind;
    bool is_default;
    struct client_endpoint endpoint; /* its strings are the target's */
    char *base_path;                 /* before the dialect's path: "/v1"; no '/' at the end */
    struct secret secret;            /* empty where the kind takes none */
    char **models;                   /* the provider's own list, fetched; may be empty */
    int model_count;
};

struct targets {
    int count;
    struct target *target[TARGETS_MAX];
};

struct target_store;
struct db;

/* Read all enabled providers, decrypt their secrets. ring and domain are borrowed.
 * Errors  TG_IO, TG_CORRUPT (which provider, which remedy), TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status target_store_open(struct db *db, const struct secret_ring *ring,
                                               struct snapshot_domain *domain,
                                               struct target_store **ret_store, struct err *err);
void target_store_close(struct target_store *store);

/* Read all again and publish. Thread: writer, after its commit. */
TG_MUST_CHECK enum tg_status target_store_refresh(struct target_store *store, struct db *db,
                                                  struct err *err);

/* The current list; valid until the reader leaves its turn. */
const struct targets *target_store_get(const struct target_store *store);

/* Take a base URL apart as an owner may write it: a trailing '/' and a doubled version are mended.
 * http only with a host, no user, no query, no fragment.
 *
 * Errors  TG_INVALID with the remedy in `err` */
struct target_url {
    bool is_tls;
    int port;
    char host[256];
    char authority[272];
    char path[256]; /* "" or "/v1" */
};
TG_MUST_CHECK enum tg_status target_parse_url(struct span url, struct target_url *ret_url,
                                              struct err *err);

#endif
