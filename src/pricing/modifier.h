#ifndef PRICING_MODIFIER_H
#define PRICING_MODIFIER_H

#include "base/auto.h"
#include "base/err.h"
#include "base/span.h"
#include "pricing/cost.h"

/* What a provider multiplies its prices by where the book has no row of its own for the case: the
 * half price of a batch, the tenth more for a region. A row of the book always precedes. */

#define MODIFIERS_MAX 512

/* The first line of a file of modifiers. */
#define MODIFIER_HEADER "provider,models,condition,classes,num,den,from,until,basis"

enum modifier_condition { MODIFIER_TIER, MODIFIER_REGION };

/* Those of all providers. Immutable. */
struct modifier_table;
struct modifier;

/* Read a file of modifiers (migrations/modifiers.csv).
 *
 * models     exact names or prefix*, apart by '|'
 * condition  tier=batch, or region= and names apart by '|', '*' for any
 * classes    tokens: all that are counted in tokens; uncached: those but for cache reads
 * num, den   1 to 1,000
 *
 * name    of the file, for messages
 * csv     borrowed for the life of the table
 * Errors  TG_INVALID: "modifiers.csv line 3: ..."; TG_TOO_LARGE; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status modifier_table_parse(const char *name, struct span csv,
                                                  struct modifier_table **ret_table,
                                                  struct err *err);
/* Accepts NULL. */
void modifier_table_free(struct modifier_table *table);
AUTO_PTR_DEFINE(modifier_table, modifier_table_free)
size_t modifier_table_bytes(const struct modifier_table *table);

struct modifier_query {
    struct span provider;
    struct span model; /* the book's name, in lower case */
    enum modifier_condition condition;
    struct span value; /* "batch"; "us" */
    int64_t at_ms;
};

/* The first that holds, borrowed from the table; NULL: none. */
const struct modifier *modifier_find(const struct modifier_table *table,
                                     const struct modifier_query *query);
bool modifier_covers(const struct modifier *modifier, enum tg_class class);
struct cost_factor modifier_factor(const struct modifier *modifier);

/* Whether a name is one of a list apart by '|': exactly, or by a `prefix*`. */
bool modifier_names(struct span list, struct span name);

#endif
