#ifndef PRICING_BOOK_H
#define PRICING_BOOK_H

#include "base/auto.h"
#include "base/err.h"
#include "base/span.h"
#include "pricing/cost.h"
#include "pricing/match.h"

/* The price book in memory: immutable once built, shared with the worker loops as a snapshot. Rows
 * are append-only in the database; a change closes one (`valid_until`) and opens another.
 *
 * Of the rows of one class and tier that hold for a query, the first in this order prices it:
 *   1 an override before a seed row: what a person has set holds at every prompt size it names;
 *     one for the team before one for all,
 *   2 a row of a variant that the query names (image quality, region, search context) before a
 *     plain one,
 *   3 the highest context tier (a cliff: it takes the whole request),
 *   4 the latest first day,
 *   5 a window of named hours before `else` before none,
 *   6 the dearer one of seed rows (names that differ in case alone), the newer one of overrides.
 * Rows of other variants and rows in a unit that the class is not counted in price nothing: a class
 * that has no others is unpriced, never free.
 *
 * Prices are then multiplied by what the provider's modifiers (pricing/modifier.h) say for a tier
 * or a region that has no row of its own, and by the owner's markups (pricing/markup.h). */

struct book;
struct db;
struct markup_list;
struct price_list;

/* Different windows, and different variants, in one book. */
#define BOOK_WINDOWS_MAX  255
#define BOOK_VARIANTS_MAX 255

/* Build from rows in any order; nothing of `prices` is kept.
 *
 * Errors  TG_CORRUPT: a row that breaks a rule, named by its id in `err`; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status book_build(const struct price_list *prices, struct book **ret_book,
                                        struct err *err);

/* Give a book what its rows alone do not say; before it is shared.
 *
 * match_csv, modifiers_csv  files of rules, borrowed for the life of the book; empty: none
 * markups                   taken over and left empty; NULL: none
 * Errors                    TG_INVALID: a line that breaks a rule, named in `err`; TG_NO_MEMORY */
struct book_rules {
    struct span match_csv;
    struct span modifiers_csv;
    struct markup_list *markups;
};
TG_MUST_CHECK enum tg_status book_add_rules(struct book *book, const struct book_rules *rules,
                                            struct err *err);

/* Read every row of the tables `price` and `price_markup`, with the rules that are embedded.
 *
 * db      any connection
 * Errors  TG_CORRUPT: a row that breaks a rule, named in `err`; TG_IO; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status book_load(struct db *db, struct book **ret_book, struct err *err);
/* Accepts NULL. void * so that a snapshot can call it. */
void book_free(void *book);
AUTO_PTR_DEFINE(book, book_free)

/* Bring the table up to the rows of a seed file (CSV of migrations/prices.csv, embedded): new rows
 * are inserted, rows that the file no longer has or has with another value are closed at `now_ms`;
 * overrides are left alone. A file whose hash was loaded before costs nothing. Runs in the caller's
 * transaction. What exactly is closed and opened: pricing/seed.h.
 *
 * Errors  TG_INVALID: "prices.csv line 35: ..."; TG_IO; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status book_seed(struct db *db, struct span csv, const char *sha256_hex,
                                       int64_t now_ms, struct err *err);

#define BOOK_QUERY_VARIANTS_MAX 3

/* What is charged to a team, or what the provider takes: without prices set for teams and markups
 * of the charge. */
enum book_side { BOOK_CHARGE, BOOK_COST };

/* What picks a row. */
struct book_query {
    struct span provider; /* name in the book: "openai" */
    struct span model;
    struct span tier;      /* "standard" where empty */
    struct span region;    /* where it was served, where that is told: "us" */
    int64_t prompt_tokens; /* picks the context tier */
    int64_t at_ms;         /* ms since 1970, of the admission */
    int32_t team_id;       /* who is charged; 0: nobody's own prices */
    enum book_side side;
    struct span variants[BOOK_QUERY_VARIANTS_MAX]; /* "high/1024x1024", "context=low",
                                                      "thinking=on"; may be empty */
};

struct book_model;

/* Find a model by its exact name, read as match_normalise does. NULL: not in the book. The result
 * is borrowed from the book. */
const struct book_model *book_find(const struct book *book, struct span provider,
                                   struct span model);

/* Find the model that a name stands for: by its exact name or by the rules of pricing/match.h.
 *
 * ret_found  which rule, and the region that the name told; NULL: not asked; *ret_found.model is
 *            the result */
const struct book_model *book_match(const struct book *book, struct span provider,
                                    struct span model, struct match_found *ret_found);

/* The book's name of a model, in lower case; borrowed. */
struct span book_model_name(const struct book_model *model);

/* Walk over the models of a provider, in the order of their names, as match_normalise writes them.
 *
 * cursor    0 at the start
 * ret_name  borrowed from the book; written only on true
 * return    false at the end */
bool book_next_model(const struct book *book, struct span provider, size_t *cursor,
                     struct span *ret_name);

/* The price of every class. A class without a row in the tier takes its own of the standard tier
 * times the provider's modifier of the tier; else, flagged as a fallback, another's in the same
 * tier: any cache write -> cache_write -> input; cached audio and images -> cache_read -> input;
 * audio, image and video -> input or output; reasoning -> output. Where the tier has none of these,
 * or is unknown, the same is done with the standard tier, flagged unless it is the class's own and
 * the modifier is known. A class without any price has price_id 0. `provider` and `model` of the
 * query are not read. */
void book_rates(const struct book_model *model, const struct book_query *query,
                struct cost_rates *ret_rates);

/* Whether book_rates may answer differently for the two sides. */
bool book_has_two_sides(const struct book_model *model);

/* The dearest price that any token class of the input, and any of the output, of this model may
 * take at that time: at any prompt size, in any window and variant, in any tier up to the one asked
 * for, in standard always, and in all of them where the tier asked for is unknown ("auto"), times
 * modifiers and markups, rounded up. For holds. 0 where there is none. */
void book_dearest(const struct book_model *model, const struct book_query *query,
                  int64_t *ret_input_pusd, int64_t *ret_output_pusd);

/* Number of rows that can price something, for the log. */
int64_t book_row_count(const struct book *book);
/* Memory that it takes. */
size_t book_bytes(const struct book *book);

#endif
