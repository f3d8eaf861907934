#ifndef METERING_MODEL_ADMIN_H
#define METERING_MODEL_ADMIN_H

#include "ledger/account.h"
#include "pricing/match.h"
#include "pricing/model.h"
#include "pricing/price.h"

/* What is known of models, as the API shows it: rows of `model`, and what an owner sets of them.
 * The file's values and an owner's stand side by side; taking the owner's away brings the file's
 * back. */

#define MODEL_NOTE_SIZE 65

struct model_entry {
    int64_t id; /* row; 0: there is none yet */
    char provider[PRICE_PROVIDER_MAX + 1];
    char name[PRICE_MODEL_MAX + 1];
    char kind[MODEL_NOTE_SIZE]; /* "chat"; "": not known */
    char context_sources[MODEL_NOTE_SIZE];
    char output_sources[MODEL_NOTE_SIZE];
    struct model model; /* as it holds */
    struct model own;
    uint32_t owned; /* enum model_own */
    bool has_price; /* the book has a row of that very name that holds now */
    int64_t revision;
    int64_t changed_at_ms; /* by an owner; 0: never */
};

/* Find a model by its name, read as match_normalise does, in the table.
 *
 * Errors  TG_NOT_FOUND; TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status model_entry_get(struct db *db, struct span provider, struct span name,
                                             struct model_entry *ret_entry, struct err *err);

struct model_query {
    struct span provider; /* exactly; empty: all */
    struct span text;     /* a part of the name, without case; empty: all */
    int64_t after_id;     /* row of the last one seen; 0: from the start */
    int limit;            /* 1..ACCOUNT_PAGE_MAX */
    enum tg_status (*on_row)(void *context, const struct model_entry *entry);
    void *context;
};
/* Walk over models, by provider and name.
 *
 * Errors  TG_INVALID: there is no row `after_id`; TG_IO, TG_NO_MEMORY; those of `on_row` */
TG_MUST_CHECK enum tg_status model_entry_list(struct db *db, const struct model_query *query,
                                              bool *ret_has_more, struct err *err);

/* As a merge patch: 0, NULL or false takes the owner's value away. */
struct model_input {
    bool has_context;
    bool has_max_output;
    bool has_output_field;
    bool has_free;
    bool has_ceiling_price;
    int64_t context_tokens;    /* 0..TG_COUNT_MAX */
    int64_t max_output_tokens; /* likewise */
    struct span output_field;  /* empty: none */
    bool is_free;
    int64_t ceiling_price_pusd; /* of a token, 0..COST_PRICE_MAX */
};

struct model_job {
    struct account_job account; /* first */
    struct model_store *models; /* where it is published; NULL: no worker loops run */
    struct span provider;
    struct span name;
    int64_t if_revision;
    struct model_input input;
    struct model_entry before; /* id 0: there was none */
    struct model_entry after;
};

/* Change what an owner says of a model; one that the table does not have is added.
 *
 * `account_call` then gives TG_NOT_FOUND: nobody knows the provider; TG_INVALID: a field, which is
 * named; TG_CONFLICT: MODEL_ROWS_MAX models are in the table; TG_STALE */
void model_job_init(struct model_job *job, struct model_store *models);

#endif
