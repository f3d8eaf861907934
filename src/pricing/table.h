#ifndef PRICING_TABLE_H
#define PRICING_TABLE_H

#include "pricing/markup.h"
#include "pricing/price.h"
#include "pricing/seed.h"

/* The tables `price` and `price_markup`, and the list of seed files taken in. All run in the
 * caller's transaction. */

struct db;

enum table_origin { TABLE_SEED, TABLE_ALL };

/* Append the rows to an initialised list, in no order.
 *
 * Errors  TG_CORRUPT: a row with a name that is not known, said in `err`; TG_TOO_LARGE; TG_IO;
 *         TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status table_read(struct db *db, enum table_origin origin,
                                        struct price_list *list, struct err *err);

/* Append the markups, in the order of their ids.
 *
 * Errors  as table_read */
TG_MUST_CHECK enum tg_status table_read_markups(struct db *db, struct markup_list *list,
                                                struct err *err);

/* Close and insert what the plan says. Inserted rows are overrides where they say so, else seed
 * rows.
 *
 * Errors  TG_IO; TG_NO_MEMORY; TG_INTERNAL */
TG_MUST_CHECK enum tg_status table_apply(struct db *db, const struct seed_plan *plan,
                                         struct err *err);

/* Insert one row, as an override or a seed row, whatever its id.
 *
 * Errors  as table_apply */
TG_MUST_CHECK enum tg_status table_insert(struct db *db, const struct price *price,
                                          struct err *err);

/* Which rows, by id. */
struct table_query {
    int64_t id;       /* this one alone; 0: any */
    int64_t after_id; /* behind this one */
    int64_t limit;    /* rows at most */
    int64_t as_of_ms; /* that hold then; -1: ever */
    int origin;       /* 0 any, 1 seed, 2 override */
    /* Empty: any. */
    struct span team_public_id; /* set for that team */
    struct span provider;
    struct span model; /* as it is written, in any case */
    struct span component;
    struct span tier;
};
/* Append the rows to an initialised list.
 *
 * Errors  as table_read */
TG_MUST_CHECK enum tg_status table_list(struct db *db, const struct table_query *query,
                                        struct price_list *list, struct err *err);

/* Whether the file with that SHA-256 (64 hex digits) is the one taken in last. */
TG_MUST_CHECK enum tg_status table_is_latest_seed(struct db *db, const char *sha256_hex,
                                                  bool *ret_is_latest, struct err *err);
/* Note that it is. */
TG_MUST_CHECK enum tg_status table_note_seed(struct db *db, const char *sha256_hex,
                                             int64_t row_count, int64_t now_ms, struct err *err);

#endif
