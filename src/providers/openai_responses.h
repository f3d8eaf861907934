#ifndef PROVIDERS_OPENAI_RESPONSES_H
#define PROVIDERS_OPENAI_RESPONSES_H

#include "tollgate/provider.h"

/* OpenAI's responses: POST /responses, plain and streamed. */
extern const struct tg_dialect openai_responses_dialect;

#endif
