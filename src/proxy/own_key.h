#ifndef PROXY_OWN_KEY_H
#define PROXY_OWN_KEY_H

#include "policy/key.h"
#include "proxy/services.h"

/* A caller who asks what its key is: GET /api/v1/key. What limits have counted is with the ledger
 * writer, so the answer waits for a job of it, as an exchange does for its hold. */

struct worker;

/* Callers of one worker that may wait at once; more are told to come back. */
#define OWN_KEYS_MAX 32

/* Answer when the writer has. key: valid in this turn of the loop */
void own_key_start(struct worker *worker, struct server_conn *conn, const struct key_entry *key,
                   struct span request_id);

/* Free one that the ledger writer has given up, after the loop has ended. */
void own_key_discard(struct list *node);

#endif
