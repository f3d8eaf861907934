#ifndef ADMIN_HOLDS_H
#define ADMIN_HOLDS_H

#include "admin/api.h"

/* /api/v1/holds: what is set aside for open calls. /api/v1/unreconciled: what was, when the process
 * ended before they did. */

api_handler holds_list;
api_handler holds_release;

#endif
