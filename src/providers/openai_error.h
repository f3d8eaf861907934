#ifndef PROVIDERS_OPENAI_ERROR_H
#define PROVIDERS_OPENAI_ERROR_H

#include "tollgate/provider.h"

/* Write OpenAI's error envelope for the dialects that share it:
 *
 *     {"error":{"message":"..","type":"..","param":null,"code":".."}}
 *
 * For the contract, see write_error in struct tg_dialect. The request's id travels in a header
 * here. A refusal's type and code are those that OpenAI's clients tell from one another
 * (ecosystem.md A.6): which of the two spending limits, or which of the two rates. */
size_t openai_error_write(const struct tg_error *error, char *out, size_t cap);

#endif
