#ifndef PROXY_MODELS_H
#define PROXY_MODELS_H

#include "base/buf.h"
#include "policy/key.h"
#include "pricing/book.h"
#include "routing/target.h"

/* What a key may see on the client listener: the models it may use and what it is. In the shape of
 * OpenAI and, for the key, of OpenRouter. Pure. */

#define MODELS_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* Where models come from. All borrowed. */
struct models_query {
    const struct key_entry *key;
    const struct targets *targets;
    const struct book *book; /* may be NULL */
    struct span provider;    /* that one alone; empty: all */
    bool is_google;          /* in Google's shape, of what can be called in its dialect */
};

/* Append {"object":"list","data":[...]}, or Google's {"models":[...]}: what the book has of each
 * provider's kind and what is in the provider's own list, as far as the key allows it; each name
 * once, under the oldest provider.
 *
 * Errors  TG_NO_MEMORY: also where it would be larger than `out` may be */
TG_MUST_CHECK enum tg_status models_put_list(const struct models_query *query, struct buf *out);

/* Append one model of that list. A name that the list does not have but that begins with a
 * provider's name and '/', as a call may write it, is found too.
 *
 * Errors  TG_MODEL_NOT_FOUND, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status models_put_one(const struct models_query *query, struct span id,
                                            struct buf *out);

/* Append what the key is, under `data` as OpenRouter shows it, and its limits. */
void models_put_key(const struct key_entry *key, struct buf *out);

#endif
