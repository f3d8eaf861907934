#include "store/txn.h"

#include "base/try.h"

#include <assert.h>
#include <sqlite3.h>

/* In the order of txn_sql in db.c. */
enum step { BEGIN, COMMIT, ROLLBACK, SAVE, KEEP, UNDO };

static enum tg_status run(struct db *db, enum step step, struct err *err)
{
    sqlite3_stmt *raw = db->txn_steps[step];
    const int code = sqlite3_step(raw);
    enum tg_status status = TG_OK;

    assert(code != SQLITE_ROW);
    if (code != SQLITE_DONE)
        status = db_fail(db, code, sqlite3_sql(raw), err);
    (void)sqlite3_reset(raw); /* repeats the failure */
    return status;
}

enum tg_status txn_begin(struct txn *txn, struct db *db, struct err *err)
{
    TRY(run(db, BEGIN, err));
    txn->db = db;
    return TG_OK;
}

enum tg_status txn_commit(struct txn *txn, struct err *err)
{
    struct db *db = txn->db;
    enum tg_status status;

    assert(db != NULL);
    db->is_committing = true;
    status = run(db, COMMIT, err);
    db->is_committing = false;
    if (status != TG_OK)
        txn_rollback(txn);
    txn->db = NULL;
    return status;
}

void txn_rollback(struct txn *txn)
{
    struct db *db = txn->db;

    if (db == NULL)
        return;
    txn->db = NULL;
    /* Cannot fail but by an error of reading, which the next statement meets again. */
    if (txn_is_open(db)) {
        const int code = db->last_code;

        (void)run(db, ROLLBACK, NULL);
        db->last_code = code;
    }
}

bool txn_is_open(const struct db *db)
{
    return sqlite3_get_autocommit(db->raw) == 0;
}

enum tg_status txn_save(struct db *db, struct err *err)
{
    assert(txn_is_open(db));
    return run(db, SAVE, err);
}

enum tg_status txn_save_keep(struct db *db, struct err *err)
{
    return run(db, KEEP, err);
}

enum tg_status txn_save_undo(struct db *db, struct err *err)
{
    TRY(run(db, UNDO, err));
    return run(db, KEEP, err);
}
