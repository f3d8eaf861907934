#ifndef PROVIDERS_OPENAI_ERROR_H
#define PROVIDERS_OPENAI_ERROR_H

#include "tollgate/provider.h"

/* Write OpenAI's error envelope for the dialects that share it:
 *
 *     {"error":{"message":"..","type":"..","param":null,"code":".."}}
 *
 * message     for people; the status's own sentence where empty. Cut where it does not fit; bytes
 * that are no UTF-8 become '?' request_id  travels in a header here, not in the body return bytes
 * written; 0 where not even an empty message fits */
size_t openai_error_write(enum tg_status status, struct tg_span message, struct tg_span request_id,
                          char *out, size_t cap);

#endif
