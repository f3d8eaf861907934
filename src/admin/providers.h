#ifndef ADMIN_PROVIDERS_H
#define ADMIN_PROVIDERS_H

#include "admin/api.h"

/* /api/v1/providers. Secrets go in and never come out. */

api_handler providers_list;
api_handler providers_create;
api_handler providers_get;
api_handler providers_update;
api_handler providers_delete;
api_handler providers_test;

/* /api/v1/provider-kinds: the catalogue. */
api_handler providers_kinds;

#endif
