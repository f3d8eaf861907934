#ifndef PROXY_SERVICES_H
#define PROXY_SERVICES_H

#include "base/id.h"
#include "base/secret.h"
#include "ledger/ledger.h"
#include "net/connector.h"
#include "net/server.h"
#include "policy/key.h"
#include "pricing/model.h"
#include "routing/target.h"
#include "store/snapshot.h"
#include "store/writer.h"

/* What every worker shares: made by main before the workers start, ended after they stop. Borrowed.
 */

struct proxy_limits {
    int64_t first_byte_ms; /* a provider may take to its first byte */
    int64_t idle_ms;       /* a provider may be silent in between */
    int64_t drain_ms;      /* an answer is read on after its client has left */
    int64_t drain_bytes;
    int drain_max; /* such answers at once, a worker */
};

struct proxy_services {
    const struct keyring *keyring;
    const struct target_store *targets;
    const struct snapshot *book;      /* of struct book */
    const struct model_store *models; /* NULL: nothing is known of models */
    const struct secret_ring *secrets;
    struct ledger *ledger;
    struct admit *admit;
    struct writer *writer;
    struct connector *connector;
    struct snapshot_domain *domain;
    struct server_budget *budget;
    struct server_limits server_limits;
    struct proxy_limits limits;
    char installation_id[ID_TEXT_SIZE];
    int64_t id_floor; /* no call id at or below it */
};

#endif
