#ifndef ADMIN_USAGE_H
#define ADMIN_USAGE_H

#include "admin/api.h"

/* /api/v1/usage: sums over time, from the rollups. */

api_handler usage_get;

#endif
