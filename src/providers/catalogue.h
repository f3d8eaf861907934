#ifndef PROVIDERS_CATALOGUE_H
#define PROVIDERS_CATALOGUE_H

#include "base/span.h"
#include "tollgate/provider.h"

/* The provider kinds and dialects that this program knows. Static storage; any thread. */

/* NULL where there is none of that name. */
const struct tg_kind *catalogue_kind(struct span name);
const struct tg_dialect *catalogue_dialect(struct span name);

/* All kinds, for lists: NULL behind the last. */
const struct tg_kind *catalogue_kind_at(int index);

/* How a kind speaks a dialect; NULL: it does not. */
const struct tg_speech *catalogue_speech(const struct tg_kind *kind,
                                         const struct tg_dialect *dialect);

/* Whether a model's name begins with one of the kind's prefixes. */
bool catalogue_owns_model(const struct tg_kind *kind, struct span model);

#endif
