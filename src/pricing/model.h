#ifndef PRICING_MODEL_H
#define PRICING_MODEL_H

#include "base/auto.h"
#include "base/err.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* What is known of models beside their prices: how much goes in, how much comes out, and which
 * field bounds it. Rows come with the program (pricing/model_seed.h); what an owner has set stands
 * above them. In memory they are immutable once built, and shared with the worker loops as a
 * snapshot.
 *
 * The provider of a row is the price book's name of it. A provider of a kind that is not in the
 * book goes by its own name, and then only what an owner has set is held to be known: a file's row
 * of that name speaks of somebody else. */

struct db;
struct snapshot_domain;

#define MODEL_ROWS_MAX 20000

/* What is known of one model. */
struct model {
    int64_t context_tokens;        /* prompt and answer together, at most; 0: not known */
    int64_t max_output_tokens;     /* of one choice, at most; 0: not known */
    int64_t default_output_tokens; /* of one choice, where a request has no maximum; 0: not known */
    int64_t ceiling_price_pusd;    /* an owner's, of a token that has no price; 0: none */
    const char *output_field;      /* bounds a chat's output; static storage; NULL: not known */
    bool is_reasoning;
    bool is_free; /* an owner says that it costs nothing, whatever the price book has */
};

/* What an owner may set. */
enum model_own {
    MODEL_OWN_CONTEXT = 1u << 0,
    MODEL_OWN_MAX_OUTPUT = 1u << 1,
    MODEL_OWN_OUTPUT_FIELD = 1u << 2,
    MODEL_OWN_FREE = 1u << 3,
    MODEL_OWN_CEILING_PRICE = 1u << 4
};

/* Which of it is set: bits of enum model_own. */
uint32_t model_owned(const struct model *own);

/* The field of that name, as struct model has it; NULL: no provider has such a field. */
const char *model_output_field(struct span name);

/* One row of the table `model`. */
struct model_row {
    struct span provider;
    struct span name;
    struct model seed;
    struct model own; /* what an owner has set; all else zero */
};

/* What is wrong with a row, as a sentence's rest: "model must be ...". NULL: nothing. */
const char *model_row_complaint(const struct model_row *row);

/* What holds: an owner's word before the file's. */
struct model model_merge(const struct model *seed, const struct model *own);

/* --- all that is known ------------------------------------------------------------------------ */

struct model_facts;

/* Build from rows in any order; nothing of them is kept.
 *
 * Errors  TG_CORRUPT: a row that breaks a rule, or names that differ in nothing that counts, said
 * in `err`; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status model_facts_build(const struct model_row *rows, size_t count,
                                               struct model_facts **ret_facts, struct err *err);
/* Read every row of the table.
 *
 * db      any connection
 * Errors  as model_facts_build; TG_IO */
TG_MUST_CHECK enum tg_status model_facts_load(struct db *db, struct model_facts **ret_facts,
                                              struct err *err);
/* Accepts NULL. void * so that a snapshot can call it. */
void model_facts_free(void *facts);
AUTO_PTR_DEFINE(model_facts, model_facts_free)

/* Find a model by its name, read as match_normalise does, or by that name without one date at its
 * end (-2026-11-24, -20261124, @20261124, -261124). NULL: nothing is known. Borrowed.
 *
 * facts  NULL: nothing is known of any */
const struct model *model_facts_find(const struct model_facts *facts, struct span provider,
                                     struct span model);
/* The same, but only what an owner has set. NULL: nothing. */
const struct model *model_facts_find_own(const struct model_facts *facts, struct span provider,
                                         struct span model);

/* The largest of a provider's models. */
struct model_largest {
    int64_t context_tokens;    /* 0: none is known */
    int64_t max_output_tokens; /* likewise */
};
/* return  all 0 where nothing is known of the provider, or `facts` is NULL */
struct model_largest model_facts_largest(const struct model_facts *facts, struct span provider);

/* Number of models, for the log. */
int64_t model_facts_count(const struct model_facts *facts);

/* --- published to the worker loops ------------------------------------------------------------ */

struct model_store;

/* Load and publish. domain: borrowed. Errors  as model_facts_load */
TG_MUST_CHECK enum tg_status model_store_open(struct db *db, struct snapshot_domain *domain,
                                              struct model_store **ret_store, struct err *err);
/* Accepts NULL. */
void model_store_close(struct model_store *store);
/* Read all again and publish. Thread: writer, after its commit. */
TG_MUST_CHECK enum tg_status model_store_refresh(struct model_store *store, struct db *db,
                                                 struct err *err);
/* What holds now; valid until the reader leaves its turn. NULL where `store` is. */
const struct model_facts *model_store_get(const struct model_store *store);

#endif
