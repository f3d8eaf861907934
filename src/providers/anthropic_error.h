#ifndef PROVIDERS_ANTHROPIC_ERROR_H
#define PROVIDERS_ANTHROPIC_ERROR_H

#include "tollgate/provider.h"

/* Write Anthropic's error envelope:
 *
 *     {"type":"error","error":{"type":"..","message":"..","details":{..}},"request_id":".."}
 *
 * For the contract, see write_error in struct tg_dialect. `details` stands there for a limit that
 * is used up alone: its error_code is what their client takes for a spending limit. */
size_t anthropic_error_write(const struct tg_error *error, char *out, size_t cap);

#endif
