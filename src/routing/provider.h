#ifndef ROUTING_PROVIDER_H
#define ROUTING_PROVIDER_H

#include "base/id.h"
#include "base/secret.h"
#include "ledger/account.h"

/* Providers as the API shows them: rows of `provider` and the changes to them. The secret is sealed
 * (context "provider:<public id>:secret") and never read back but by routing/target. */

struct db;
struct target_store;
struct tg_kind;

#define PROVIDER_NAME_MAX   63
#define PROVIDER_URL_SIZE   512
#define PROVIDER_SECRET_MAX 4096
#define PROVIDER_MODELS_MAX 2000 /* of a fetched list */

enum provider_source { PROVIDER_FROM_API, PROVIDER_FROM_ENVIRONMENT };

struct provider {
    int32_t id; /* row */
    char public_id[ID_TEXT_SIZE];
    char name[PROVIDER_NAME_MAX + 1]; /* unique among those not deleted */
    char kind[64];
    char base_url[PROVIDER_URL_SIZE]; /* as mended */
    enum provider_source source;
    bool has_secret;
    bool is_default;
    bool is_enabled;
    char secret_last4[5]; /* "" where there is none, or it is short */
    int64_t revision;
    int64_t created_at_ms;
    int64_t models_at_ms; /* when its own model list was stored; 0: never, or not since its address
                           * or secret changed, and the list is the one before */
    int model_count;
};

const char *provider_source_name(enum provider_source source);

/* Errors  TG_NOT_FOUND, also for deleted ones; TG_IO */
TG_MUST_CHECK enum tg_status provider_get(struct db *db, struct span public_id,
                                          struct provider *ret_provider, struct err *err);
TG_MUST_CHECK enum tg_status provider_get_by_name(struct db *db, struct span name,
                                                  struct provider *ret_provider, struct err *err);

struct provider_query {
    struct account_page page;
    enum tg_status (*on_row)(void *context, const struct provider *provider);
    void *context;
};
TG_MUST_CHECK enum tg_status provider_list(struct db *db, const struct provider_query *query,
                                           bool *ret_has_more, struct err *err);

enum provider_action {
    PROVIDER_CREATE,
    PROVIDER_UPDATE,
    PROVIDER_DELETE,
    PROVIDER_UPSERT, /* from the environment, by name: made, brought up to date, enabled again, left
                      * as it is where it says the same; TG_CONFLICT where the API made one of that
                      * name */
    PROVIDER_DISABLE_ABSENT, /* those of the environment whose name is not in `present` */
    PROVIDER_SET_MODELS      /* store the list it was asked for: no change of the provider, so its
                              * revision stays */
};

/* As a merge patch. Kind is given at creation and stays. */
struct provider_input {
    bool has_name;
    bool has_base_url;
    bool has_secret;
    bool has_is_default;
    bool has_is_enabled;
    struct span name;
    struct span kind;
    struct span base_url; /* empty: the kind's own */
    struct span secret;   /* empty: none */
    bool is_default;      /* true takes the mark from any other */
    bool is_enabled;
    struct span models;         /* PROVIDER_SET_MODELS: JSON array of names */
    const char *const *present; /* PROVIDER_DISABLE_ABSENT: names, NULL-ended */
};

struct provider_job {
    struct account_job account; /* first */
    enum provider_action action;
    const struct secret_ring *ring;
    struct target_store *targets; /* where it is published; NULL: no worker loops run */
    struct span public_id;        /* update, delete, set models */
    int64_t if_revision;
    struct provider_input input;
    struct provider before;
    struct provider after;
};

/* A secret never goes to a host it was not given for: a change of base_url to another host, port or
 * scheme needs the secret again (TG_INVALID at /secret). */

void provider_job_init(struct provider_job *job, enum provider_action action,
                       const struct secret_ring *ring, struct target_store *targets);

/* What a provider's secret is sealed for: "provider:<public id>:secret". */
#define PROVIDER_CONTEXT_SIZE (ID_TEXT_SIZE + sizeof("provider::secret"))
void provider_secret_context(const char *public_id, char context[PROVIDER_CONTEXT_SIZE]);

/* Bring an address into the form that is stored: as target_parse_url mends it; the kind's own where
 * it is empty; the kind's own path where it has none; without a version where the kind's own is the
 * host's root.
 *
 * Errors  TG_INVALID with the remedy */
TG_MUST_CHECK enum tg_status provider_mend_url(const struct tg_kind *kind, struct span url,
                                               char base_url[PROVIDER_URL_SIZE], struct err *err);

/* Whether a name may be a provider's: [a-z0-9-]{1,63}, not v1, v1beta, api. */
bool provider_name_is_valid(struct span name);

#endif
