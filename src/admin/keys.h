#ifndef ADMIN_KEYS_H
#define ADMIN_KEYS_H

#include "admin/api.h"

/* /api/v1/keys. A secret is shown by the answer that made it, and never again. */

api_handler keys_list;
api_handler keys_create;
api_handler keys_get;
api_handler keys_update;
api_handler keys_rotate;
api_handler keys_revoke;

#endif
