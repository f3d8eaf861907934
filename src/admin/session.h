#ifndef ADMIN_SESSION_H
#define ADMIN_SESSION_H

#include "admin/api.h"

/* Who asks: the bearer of a token, or the peer of the Unix socket. A token that is sent counts,
 * also by the socket: so an owner's script can act with less. */

#define SESSION_SOCKET_ID "socket" /* as public_id */

/* Fill in call->who.
 *
 * Errors  TG_UNAUTHENTICATED, in the same words for each reason; TG_IO, TG_OVERLOADED */
TG_MUST_CHECK enum tg_status session_identify(struct api_call *call);

#endif
