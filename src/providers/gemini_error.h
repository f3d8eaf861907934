#ifndef PROVIDERS_GEMINI_ERROR_H
#define PROVIDERS_GEMINI_ERROR_H

#include "tollgate/provider.h"

/* Write Google's error envelope:
 *
 *     {"error":{"code":429,"message":"..","status":"RESOURCE_EXHAUSTED","details":[..]}}
 *
 * For the contract, see write_error in struct tg_dialect. What tells a client whether to try again
 * stands in `details` (ecosystem.md A.6): for a limit that is used up a QuotaFailure, whose quotaId
 * has "PerDay" in it because only that stops Gemini's command line after one try; for a rate a
 * RetryInfo. Other errors have no `details`. */
size_t gemini_error_write(const struct tg_error *error, char *out, size_t cap);

#endif
