#ifndef PROXY_REPLY_H
#define PROXY_REPLY_H

#include "net/server.h"
#include "tollgate/provider.h"

/* Answers of our own on the client listener. */

/* Answer an error in the dialect's envelope (OpenAI's where `dialect` is NULL), end the request and
 * log it once. message: for people; empty: the status's own sentence. */
void reply_error(struct server_conn *conn, const struct tg_dialect *dialect, enum tg_status status,
                 struct span message, struct span request_id);

/* The same, for a call whose outcome is in the log already. */
void reply_error_unlogged(struct server_conn *conn, const struct tg_dialect *dialect,
                          enum tg_status status, struct span message, struct span request_id);

/* Answer a JSON document; to a HEAD, its head alone. */
void reply_json(struct server_conn *conn, const struct tg_dialect *dialect, struct span body,
                struct span request_id);

#endif
