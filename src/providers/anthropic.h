#ifndef PROVIDERS_ANTHROPIC_H
#define PROVIDERS_ANTHROPIC_H

#include "tollgate/provider.h"

/* Anthropic's Messages. */
extern const struct tg_dialect anthropic_messages_dialect;

/* How many tokens a message would have; costs nothing. */
extern const struct tg_dialect anthropic_count_tokens_dialect;

#endif
