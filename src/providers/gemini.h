#ifndef PROVIDERS_GEMINI_H
#define PROVIDERS_GEMINI_H

#include "tollgate/provider.h"

/* Google's Gemini API. The model stands in the path, as does what is asked of it and whether as a
 * stream. A batch of embeddings has an address of its own, so it is a dialect of its own. */
extern const struct tg_dialect gemini_generate_dialect;
extern const struct tg_dialect gemini_count_dialect;
extern const struct tg_dialect gemini_embed_dialect;
extern const struct tg_dialect gemini_embed_batch_dialect;

#endif
