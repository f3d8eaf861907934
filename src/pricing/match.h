#ifndef PRICING_MATCH_H
#define PRICING_MATCH_H

#include "base/auto.h"
#include "base/err.h"
#include "base/span.h"

/* From the model name of a request or an answer to the one that the book is keyed by. All of it
 * stays inside one provider: the same name costs differently elsewhere.
 *
 * The first of these that finds a model of the book ends the search:
 *   exact      the name itself, as match_normalise writes it
 *   alias      a rule that names it whole
 *   dated      without one date at its end (-2026-11-24, -20261124, @20261124, -261124), and then
 *              one of the above
 *   region     aws-bedrock: without a profile's prefix (us., eu., ...) and a version (-v1:0); the
 *              row of regional profiles where there is one, else the plain model and the region
 *   variant    openrouter: without what follows a colon, but for :free and :thinking
 *   fine_tune  ft:BASE:org::id as ft:BASE
 *   prefix     the longest rule that it begins with, where it goes on with no part that makes it
 *              another model: claude-opus-5 is not claude-opus-5-5, nor gpt-4 gpt-4o
 *   suffix, contains   rules of providers that wrap names in names of their own */

#define MATCH_NAME_MAX  200
#define MATCH_RULES_MAX 10000

/* The first line of a file of rules. */
#define MATCH_HEADER "provider,kind,pattern,unless_contains,model"

enum match_rule {
    MATCH_NONE,
    MATCH_EXACT,
    MATCH_ALIAS,
    MATCH_DATED,
    MATCH_REGION,
    MATCH_VARIANT,
    MATCH_FINE_TUNE,
    MATCH_PREFIX,
    MATCH_SUFFIX,
    MATCH_CONTAINS,
    MATCH_RULE_COUNT
};

/* "none", "exact", "alias", ... Static storage. */
const char *match_rule_name(enum match_rule rule);

/* Write the form of `model` under which names are compared: without what only says that it is a
 * model (`models/`, `publishers/NAME/models/`, `deployments/`), ASCII letters in lower case.
 *
 * name    MATCH_NAME_MAX bytes; not terminated
 * return  its length; 0 where `model` has no such form: empty or longer than MATCH_NAME_MAX */
size_t match_normalise(struct span model, char *name);

/* The rules of all providers. Immutable. */
struct match_table;

/* Read a file of rules (migrations/model_match.csv).
 *
 * name    of the file, for messages
 * csv     borrowed for the life of the table
 * Errors  TG_INVALID: "model_match.csv line 3: ..."; TG_TOO_LARGE; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status match_table_parse(const char *name, struct span csv,
                                               struct match_table **ret_table, struct err *err);
/* Accepts NULL. */
void match_table_free(struct match_table *table);
AUTO_PTR_DEFINE(match_table, match_table_free)
/* Memory that it takes, the file aside. */
size_t match_table_bytes(const struct match_table *table);

struct match_search {
    const struct match_table *table; /* NULL: no rules */
    struct span provider;
    /* The model of that provider and exact name; NULL: not in the book. */
    const void *(*lookup)(const void *context, struct span provider, struct span name);
    const void *context;
};

struct match_found {
    const void *model; /* what `lookup` returned; NULL: none */
    enum match_rule rule;
    struct span region; /* of MATCH_REGION, where the model's row is not the region's own: "eu";
                           else empty. Static storage */
};

/* Find the model that a name stands for. */
struct match_found match_find(const struct match_search *search, struct span model);

#endif
