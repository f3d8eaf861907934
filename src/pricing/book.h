#ifndef PRICING_BOOK_H
#define PRICING_BOOK_H

#include "base/err.h"
#include "base/span.h"
#include "pricing/cost.h"

/* The price book in memory: immutable once built, shared with the worker loops as a snapshot. Rows
 * are append-only in the database; a change closes one (`valid_until`) and opens another. */

struct book;
struct db;

/* Read every row of the `price` table.
 *
 * db      any connection
 * Errors  TG_CORRUPT: a row that breaks a rule, named in `err`; TG_IO; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status book_load(struct db *db, struct book **ret_book, struct err *err);
/* Accepts NULL. void * so that a snapshot can call it. */
void book_free(void *book);

/* Bring the table up to the rows of a seed file (CSV of migrations/prices.csv, embedded): new rows
 * are inserted, rows that the file no longer has or has with another value are closed at `now_ms`;
 * overrides are left alone. A file whose hash was loaded before costs nothing. Runs in the caller's
 * transaction.
 *
 * Errors  TG_INVALID: "prices.csv line 35: ..."; TG_IO */
TG_MUST_CHECK enum tg_status book_seed(struct db *db, struct span csv, const char *sha256_hex,
                                       int64_t now_ms, struct err *err);

/* What picks a row. */
struct book_query {
    struct span provider; /* name in the book: "openai" */
    struct span model;
    struct span tier;      /* "standard" where empty */
    int64_t prompt_tokens; /* picks the context tier */
    int64_t at_ms;         /* ms since 1970, of the admission */
};

struct book_model;

/* Find a model by its exact name. NULL: not in the book. */
const struct book_model *book_find(const struct book *book, struct span provider,
                                   struct span model);

/* The price of every class, fallbacks filled in (cache_read -> input, ...; the component table of
 * the reference data). A class without any price has price_id 0. */
void book_rates(const struct book_model *model, const struct book_query *query,
                struct cost_rates *ret_rates);

/* The dearest price that any input class, and any output class, of this model may take at that time
 * in any tier up to the asked one and any context. For holds. 0 where there is none. */
void book_dearest(const struct book_model *model, const struct book_query *query,
                  int64_t *ret_input_pusd, int64_t *ret_output_pusd);

/* Number of rows, for the log. */
int64_t book_row_count(const struct book *book);

#endif
