#ifndef ADMIN_CALLS_H
#define ADMIN_CALLS_H

#include "admin/api.h"

/* /api/v1/calls: the log of charges, the receipt of one, and the end of an unreconciled one. */

api_handler calls_list;
api_handler calls_get;
api_handler calls_reconcile;

/* The member `flags`: names of what enum ledger_flags says, but for the stream. */
void calls_put_flags(struct json_writer *w, uint32_t flags);

#endif
