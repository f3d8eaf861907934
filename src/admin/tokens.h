#ifndef ADMIN_TOKENS_H
#define ADMIN_TOKENS_H

#include "admin/api.h"

/* /api/v1/tokens and /api/v1/setup. A secret is shown by the answer that made it, and never
 * again. */

api_handler tokens_list;
api_handler tokens_create;
api_handler tokens_get;
api_handler tokens_revoke;
api_handler tokens_setup;

#endif
