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

/* Answer that a limit has turned the call down: with the reason, the numbers, and when to come
 * again, if that helps. Logged once.
 *
 * error  of a refusal: TG_LIMIT_REACHED, TG_RATE_LIMITED, TG_UNPRICED */
void reply_refusal(struct server_conn *conn, const struct tg_dialect *dialect,
                   const struct tg_error *error);

/* Answer a JSON document; to a HEAD, its head alone.
 *
 * dialect  of the caller, for what its clients look for in a head; NULL: none */
void reply_json(struct server_conn *conn, const struct tg_dialect *dialect, struct span body,
                struct span request_id);

#endif
