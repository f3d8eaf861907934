#ifndef ADMIN_LIMITS_H
#define ADMIN_LIMITS_H

#include "admin/api.h"

/* Handlers of /api/v1/limits: what may be used, by whom, in which time, and how much of it is left.
 */

api_handler limits_list;
api_handler limits_create;
api_handler limits_set;
api_handler limits_get;
api_handler limits_update;
api_handler limits_delete;
api_handler limits_override;
api_handler limits_events;

#endif
