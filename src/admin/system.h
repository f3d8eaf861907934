#ifndef ADMIN_SYSTEM_H
#define ADMIN_SYSTEM_H

#include "admin/api.h"

/* Health, readiness, the words of problems, who is asking, verification and backup. */

api_handler system_health;
api_handler system_ready;
api_handler system_problem;
api_handler system_me;
api_handler system_verify;
api_handler system_backup;

#endif
