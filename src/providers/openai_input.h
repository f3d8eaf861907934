#ifndef PROVIDERS_OPENAI_INPUT_H
#define PROVIDERS_OPENAI_INPUT_H

#include "tollgate/provider.h"

/* OpenAI's dialects that only read: nothing is generated, nothing is streamed. */

/* POST /embeddings: text, tokens, or lists of such. Billed by the tokens read. */
extern const struct tg_dialect openai_embeddings_dialect;

/* POST /moderations: free of charge. A request need not name a model. */
extern const struct tg_dialect openai_moderations_dialect;

#endif
