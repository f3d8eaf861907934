#ifndef PROVIDERS_OPENAI_COMPLETIONS_H
#define PROVIDERS_OPENAI_COMPLETIONS_H

#include "tollgate/provider.h"

/* OpenAI's first dialect, POST /completions, still spoken by most servers: text or tokens in, text
 * out. Each prompt of a list has `n` choices, or `best_of` where that is more: the rest is
 * generated, billed and not shown. */
extern const struct tg_dialect openai_completions_dialect;

#endif
