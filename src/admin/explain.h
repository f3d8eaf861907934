#ifndef ADMIN_EXPLAIN_H
#define ADMIN_EXPLAIN_H

#include "admin/api.h"

/* Handler of /api/v1/explain: what would become of a call, and why: its key, its provider, its
 * price, what would be set aside for it, and what each limit would say. Nothing is held. */

api_handler explain_get;

#endif
