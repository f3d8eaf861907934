#ifndef PROXY_MODELS_H
#define PROXY_MODELS_H

#include "base/buf.h"
#include "policy/key.h"
#include "pricing/book.h"
#include "quota/own.h"
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

/* What a key is told of itself. All borrowed. */
struct models_key {
    const char *public_id;
    int64_t expires_at_ms; /* 0: never */
    const struct own_limit *limits;
    int limit_count;
    bool has_more_limits;
};

/* Append what the key is, under `data` as OpenRouter shows it, with all limits that apply to it.
 *
 * OpenRouter's `limit` is here the limit in money, on all models and by the day, the week, the
 * month or in all, that has the least left; amounts are numbers of USD, as there. What was used is
 * known where a limit counts this key's money alone, over that window in the limit's zone; else it
 * is null.
 */
void models_put_key(const struct models_key *key, struct buf *out);

#endif
