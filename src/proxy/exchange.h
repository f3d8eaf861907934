#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "net/client.h"
#include "proxy/guard.h"
#include "proxy/services.h"

/* One call, from its complete request to its settled charge.
 *
 *   READING --> ADMITTING --> CONNECTING --> RELAYING --> SETTLING --> DONE
 *      | refused    | refused      \____________\___________^            ^
 *      \____________\__________________________________________________/
 *
 *   READING     the request is understood, routed and sized; no hold
 *   ADMITTING   the hold is with the ledger writer; nothing was sent
 *   CONNECTING  the hold is durable; the request is on its way to the provider
 *   RELAYING    the provider's answer comes; its end is withheld from the client
 *   SETTLING    the charge is with the ledger writer; the client, if it is still there, waits for
 *               the end
 *   DONE        freed at once
 *
 * Invariants
 *   A hold is open from CONNECTING until SETTLING has charged it, and at no other time.
 *   exchange_move alone assigns the state.
 *   A client may leave in any state: the exchange then goes on without one; while its rows are with
 *   the ledger writer it is detached, never freed.
 *   Callbacks of the connection, the pool and the writer record facts and call the step for them.
 */

struct worker;

/* Begin a call. Takes the body of the request in hand. The answer, also of a refusal, goes to
 * `conn`.
 *
 * call_id  a fresh time id */
void exchange_start(struct worker *worker, struct server_conn *conn, const struct http_head *head,
                    const struct guard_path *path, int64_t call_id);

/* Find the key that a request presents. NULL: none that may be used. Valid in this turn of the
 * loop. Does not note that it is used. */
const struct key_entry *exchange_authenticate(const struct proxy_services *services,
                                              const struct http_head *head, struct span query);

/* The process ends: stop the provider, charge what was seen, close the client. One that waits for
 * its hold is not sent any more once it has it (worker->is_cut). */
void exchange_cut(struct list *node);

/* Free one that the ledger writer has given up, after the loop has ended. Its hold is recovered at
 * the next start. */
void exchange_discard(struct list *node);

#endif
