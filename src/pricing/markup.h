#ifndef PRICING_MARKUP_H
#define PRICING_MARKUP_H

#include "base/arena.h"
#include "base/auto.h"
#include "pricing/cost.h"

/* What an owner multiplies the book's prices by. On the side of the cost: what a provider takes is
 * less than its list says (a discount); a price that the owner has set himself is what it is. On
 * the side of the charge: teams are charged more, or less, than the provider takes; a price set for
 * a team is what that team is charged.
 *
 * Of each side one holds for an attempt, the first in this order: one for the team before one for
 * all; for the exact model, for the longest prefix, for any; for the provider, for any; the latest
 * first day; the newest. They do not multiply each other. */

#define MARKUP_DEN_MAX   INT64_C(10000)   /* four decimals */
#define MARKUP_NUM_MAX   INT64_C(1000000) /* a factor of 100 */
#define MARKUP_ROWS_MAX  1000
#define MARKUP_NOTE_MAX  200
#define MARKUP_MODEL_MAX 200

enum markup_side { MARKUP_COST, MARKUP_CHARGE };

struct markup {
    int64_t id; /* row of the table */
    enum markup_side side;
    struct span provider; /* of the book; empty: any */
    struct span model;    /* a name, or a prefix*, in lower case; empty: any */
    int32_t team_id;      /* 0: all */
    struct span team_public_id;
    struct cost_factor factor;
    int64_t valid_from_ms;
    int64_t valid_until_ms;
    struct span note;
};

/* Rows and the text that they point into. */
struct markup_list {
    struct markup *rows;
    size_t count;
    size_t room;
    struct arena text;
};

void markup_list_init(struct markup_list *list);
void markup_list_fini(struct markup_list *list);
AUTO_DEFINE(markup_list, markup_list_fini)

/* Append a copy, its texts too; the model in lower case.
 *
 * Errors  TG_NO_MEMORY; TG_TOO_LARGE: MARKUP_ROWS_MAX rows are in it */
TG_MUST_CHECK enum tg_status markup_list_add(struct markup_list *list, const struct markup *markup);

struct markup_query {
    enum markup_side side;
    struct span provider;
    struct span model; /* the book's name, in lower case */
    int32_t team_id;   /* 0: none */
    int64_t at_ms;
};

/* The one that holds, borrowed from the list; NULL: none, the factor is 1. */
const struct markup *markup_find(const struct markup_list *list, const struct markup_query *query);

/* "cost", "charge". Static storage. */
const char *markup_side_name(enum markup_side side);
bool markup_side_from_name(struct span name, enum markup_side *ret_side);

#endif
