#ifndef ROUTING_INSTALLATION_H
#define ROUTING_INSTALLATION_H

#include "base/err.h"
#include "base/id.h"

/* The installation itself: the one row of the table of that name, made with the first start.
 * Requests to providers carry its id in x-tollgate-hop, so that one that comes back is known. */

struct db;

/* Find the installation's id; make the row where there is none. In a transaction of the caller.
 *
 * now_ms  wall time, for a new row
 * Errors  TG_IO, TG_CORRUPT */
TG_MUST_CHECK enum tg_status installation_open(struct db *db, int64_t now_ms,
                                               char ret_id[ID_TEXT_SIZE], struct err *err);

#endif
