#ifndef ADMIN_REFUSALS_H
#define ADMIN_REFUSALS_H

#include "admin/api.h"

/* Handlers of /api/v1/refusals: calls that a limit turned down, and why. */

api_handler refusals_list;

#endif
