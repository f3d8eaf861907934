#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/auto.h"
#include "base/err.h"
#include "base/map.h"

#include <stdbool.h>
#include <stdint.h>

/* One connection to the database file. Used by one thread at a time. The process has one connection
 * that writes (the writer thread's) and a pool of those that only read.
 *
 * Invariants
 *   WAL and synchronous=FULL, read back at open; automatic checkpoints are off.
 *   Nothing but store/txn.c commits: a commit from elsewhere aborts.
 *   Another connection that is in the way (SQLITE_BUSY) is a bug for the writer, never waited for.
 */

/* In the file's header: a Tollgate database, and nothing else. */
#define DB_APPLICATION_ID INT64_C(0x54474c31)

/* Frames of one page more than this in the log, and the writer checkpoints. */
#define DB_CHECKPOINT_PAGES 1000

/* Statements that one connection keeps prepared for stmt_use. */
#define DB_STATEMENTS_MAX 512

struct sqlite3;
struct sqlite3_stmt;

enum db_mode { DB_WRITE, DB_READ };

/* All members are the store's. */
struct db {
    struct sqlite3 *raw;
    enum db_mode mode;
    bool is_committing;  /* txn.c is; asserted by the commit hook */
    int last_code;       /* SQLite's extended code of the latest failure */
    int wal_pages;       /* in the log after the latest commit */
    int64_t deadline_us; /* monotonic; statements fail past it; 0: none */
    struct sqlite3_stmt *txn_steps[6];
    struct map statements; /* by text, for stmt_use */
};

/* Open the file at `path`, for DB_WRITE making it where it is missing.
 *
 * ret_db  owned by the caller
 * Errors  TG_IO, TG_NO_MEMORY, TG_CORRUPT: not a database */
TG_MUST_CHECK enum tg_status db_open(const char *path, enum db_mode mode, struct db **ret_db,
                                     struct err *err);

/* Every statement must be closed. Does not checkpoint: an error would be hidden. Accepts NULL. */
void db_close(struct db *db);
AUTO_PTR_DEFINE(db, db_close)

enum db_checkpoint { DB_CHECKPOINT_PASSIVE, DB_CHECKPOINT_TRUNCATE };

/* Copy the log into the database file. Readers limit how far it gets, which is no error.
 *
 * ret_left_pages  frames that could not be copied yet
 * Errors          TG_IO, TG_NO_MEMORY, TG_CORRUPT */
TG_MUST_CHECK enum tg_status db_checkpoint(struct db *db, enum db_checkpoint mode,
                                           int *ret_left_pages, struct err *err);

/* Whether the latest failure was a sync: what had been written may be lost in the page cache, and a
 * second attempt would hide it. */
bool db_sync_failed(const struct db *db);

/* Whether this SQLite can damage a log when two connections commit and checkpoint at once (before
 * 3.51.3). Harmless here, where one connection does both. */
bool db_has_checkpoint_bug(void);

/* Version of the SQLite library in use, "3.40.1". Static storage. */
const char *db_library_version(void);

/* Turn SQLite's code of a failed step into a status, keep it in last_code and fill `err`.
 *
 * doing   the statement's text or what was tried */
enum tg_status db_fail(struct db *db, int code, const char *doing, struct err *err);

#endif
