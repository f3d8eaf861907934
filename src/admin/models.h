#ifndef ADMIN_MODELS_H
#define ADMIN_MODELS_H

#include "admin/api.h"

/* /api/v1/models: what is known of models, and what an owner sets of it. The id of a model is
 * `provider:name`, percent-encoded in a path: /api/v1/models/openrouter%3Aopenai%2Fgpt-4o. */

api_handler models_list;
api_handler models_get;
api_handler models_update;

#endif
