#ifndef LEDGER_HOLD_H
#define LEDGER_HOLD_H

#include "store/stmt.h"

/* One row of the table `hold`: an attempt that is open. */

struct hold_row {
    int64_t id;
    int64_t call_id; /* 0: the attempt is the call's first */
    int64_t team_id;
    int64_t key_id;
    int64_t provider_id;
    int64_t dialect_id;
    int64_t model_id;
    int64_t input_bound;
    int64_t output_bound;
    int64_t amount_nusd;
    int64_t flags;
};

struct hold_store {
    struct stmt insert;
    struct stmt remove;
};

TG_MUST_CHECK enum tg_status hold_store_prepare(struct hold_store *store, struct db *db,
                                                struct err *err);
void hold_store_close(struct hold_store *store);

/* Errors  TG_CONFLICT: there is one of that id; TG_IO, TG_NO_MEMORY, TG_CORRUPT */
TG_MUST_CHECK enum tg_status hold_insert(struct hold_store *store, const struct hold_row *row,
                                         struct err *err);

/* ret_was_open  whether there was one */
TG_MUST_CHECK enum tg_status hold_remove(struct hold_store *store, int64_t id, bool *ret_was_open,
                                         struct err *err);

/* Prepare a statement that walks over all holds by id; hold_read reads its rows. */
TG_MUST_CHECK enum tg_status hold_list(struct stmt *stmt, struct db *db, struct err *err);
void hold_read(const struct stmt *stmt, struct hold_row *ret_row);

#endif
