#ifndef ADMIN_HOLDS_H
#define ADMIN_HOLDS_H

#include "admin/api.h"

/* /api/v1/holds: what is set aside for open calls. */

api_handler holds_list;

#endif
