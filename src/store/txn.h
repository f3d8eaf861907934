#ifndef STORE_TXN_H
#define STORE_TXN_H

#include "store/db.h"

/* A transaction, rolled back unless committed: AUTO(txn) txn = { 0 }; */

struct txn {
    struct db *db; /* NULL: none is open */
};

/* On a DB_WRITE connection takes the write lock at once; on a DB_READ connection opens one
 * snapshot, fixed by the first statement.
 *
 * Errors  TG_IO, TG_NO_MEMORY, TG_CORRUPT, TG_INTERNAL: one is open already */
TG_MUST_CHECK enum tg_status txn_begin(struct txn *txn, struct db *db, struct err *err);

/* On failure it is rolled back. */
TG_MUST_CHECK enum tg_status txn_commit(struct txn *txn, struct err *err);

void txn_rollback(struct txn *txn);

static inline void txn_fini(struct txn *txn)
{
    txn_rollback(txn);
}
AUTO_DEFINE(txn, txn_fini)

/* Whether a transaction is open; SQLite ends one by itself on some errors. */
bool txn_is_open(const struct db *db);

/* A savepoint in the open transaction; one at a time. */
TG_MUST_CHECK enum tg_status txn_save(struct db *db, struct err *err);
TG_MUST_CHECK enum tg_status txn_save_keep(struct db *db, struct err *err);
/* Undo all since txn_save and forget the savepoint. */
TG_MUST_CHECK enum tg_status txn_save_undo(struct db *db, struct err *err);

#endif
