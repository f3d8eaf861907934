#ifndef PROVIDERS_OPENAI_CHAT_H
#define PROVIDERS_OPENAI_CHAT_H

#include "tollgate/provider.h"

/* OpenAI's chat completions, spoken by OpenAI and most others. */
extern const struct tg_dialect openai_chat_dialect;

#endif
