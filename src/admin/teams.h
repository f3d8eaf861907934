#ifndef ADMIN_TEAMS_H
#define ADMIN_TEAMS_H

#include "admin/api.h"

/* /api/v1/teams. With role team only its own is there. */

api_handler teams_list;
api_handler teams_create;
api_handler teams_get;
api_handler teams_update;
api_handler teams_archive;

#endif
