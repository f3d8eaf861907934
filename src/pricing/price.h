#ifndef PRICING_PRICE_H
#define PRICING_PRICE_H

#include "base/arena.h"
#include "base/auto.h"
#include "pricing/cost.h"

/* One row of the price book, as a person reads it, and a list of such rows. The book in memory
 * (`pricing/book.h`) keeps less of it. */

/* Cheapest first: a hold is sized for all tiers up to the one asked for. */
enum price_tier {
    PRICE_BATCH,
    PRICE_FLEX,
    PRICE_STANDARD,
    PRICE_PRIORITY,
    PRICE_FAST,
    PRICE_TIER_COUNT
};

enum price_unit {
    PRICE_TOKEN,
    PRICE_IMAGE,
    PRICE_PIXEL,
    PRICE_CHAR,
    PRICE_CALL,
    PRICE_PAGE,
    PRICE_SECOND,
    PRICE_HOUR,
    PRICE_UNIT_COUNT
};

#define PRICE_PROVIDER_MAX 63
#define PRICE_MODEL_MAX    200
#define PRICE_NOTE_MAX     200 /* variant, sources, status, dissent */
#define PRICE_ROWS_MAX     100000
#define PRICE_ALWAYS       INT64_C(0) /* valid_from_ms of a price without a first day */
#define PRICE_FOREVER      INT64_MAX  /* valid_until_ms of a price without a last day */

struct price {
    int64_t id; /* row of the table, or line of the file; above 0 */
    struct span provider;
    struct span model; /* as the provider writes it */
    enum tg_class class;
    enum price_unit unit;
    enum price_tier tier;
    bool is_override; /* set by a person, not by a seed file */
    int32_t team_id;  /* of an override: what that team is charged; 0: all, and the cost */
    struct span team_public_id; /* where it was read for a person; else empty */
    int64_t unit_price_pusd;    /* of one unit, 0..COST_PRICE_MAX */
    int64_t ctx_min;            /* holds from this many prompt tokens, 0..TG_COUNT_MAX */
    struct span variant;        /* of an image: quality/size; of a search: context=low; ... */
    struct span utc_window;     /* see pricing/window.h */
    int64_t valid_from_ms;      /* first ms */
    int64_t valid_until_ms;     /* first ms after; not below valid_from_ms */
    struct span as_of;          /* date of the newest source */
    struct span sources;        /* a letter each */
    struct span status;         /* page, agreed, ... */
    struct span dissent;        /* what other sources say */
};

/* Rows and the text that they point into. */
struct price_list {
    struct price *rows;
    size_t count;
    size_t room;
    struct arena text;
};

void price_list_init(struct price_list *list);
void price_list_fini(struct price_list *list);
AUTO_DEFINE(price_list, price_list_fini)

/* Append a row; the texts it points to are borrowed for the life of the list unless they come from
 * price_list_copy.
 *
 * Errors  TG_NO_MEMORY; TG_TOO_LARGE: PRICE_ROWS_MAX rows are in it */
TG_MUST_CHECK enum tg_status price_list_add(struct price_list *list, const struct price *price);

/* A copy of `text` that lives as long as the list.
 *
 * Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status price_list_copy(struct price_list *list, struct span text,
                                             struct span *ret_copy);

/* Names as the table and the files write them. Static storage. */
const char *price_tier_name(enum price_tier tier);
const char *price_unit_name(enum price_unit unit);

/* return  whether there is such a one; the result is written only then */
bool price_tier_from_name(struct span name, enum price_tier *ret_tier);
bool price_unit_from_name(struct span name, enum price_unit *ret_unit);
bool price_class_from_name(struct span name, enum tg_class *ret_class);

/* Whether a count of `class` can be priced by a row in `unit`, and how. A price by the pixel
 * cannot: the counts are of images.
 *
 * ret     written only when it can */
bool price_fits(enum tg_class class, enum price_unit unit, enum cost_per *ret_per);

/* Whether a name may be a provider's, [a-z0-9-]{1,63}; a model's, 1..PRICE_MODEL_MAX printable
 * bytes. */
bool price_is_provider_name(struct span name);
bool price_is_model_name(struct span name);

/* What is wrong with a row, as a sentence's rest: "unit_price_pusd must be ...". NULL: nothing. */
const char *price_complaint(const struct price *price);

/* Order rows by all that says what they price (provider, model, class, unit, tier, ctx_min,
 * variant, window, team), dates aside. 0: they price the same thing at different times. */
int price_compare_subject(const struct price *a, const struct price *b);

#endif
