#include "store/db.h"

#include "base/clock.h"
#include "base/try.h"
#include "store/stmt.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

/* Steps of SQLite's machine between two looks at the deadline: about 0.1 ms. */
#define PROGRESS_STEPS 4000

/* A reader may meet the writer while the log is being recovered; short, so waited for. */
#define READER_BUSY_MS 2000

#define FIRST_GOOD_CHECKPOINT 3051003

/* What is set once a connection is open, and what reading it back must give. */
struct setting {
    const char *sql;
    const char *want; /* NULL: gives nothing back */
};

static const struct setting write_settings[] = {
    { "PRAGMA journal_mode=WAL", "wal" }, { "PRAGMA synchronous=FULL", NULL },
    { "PRAGMA synchronous", "2" },        { "PRAGMA wal_autocheckpoint=0", "0" },
    { "PRAGMA cache_size=-32768", NULL },
};

static const struct setting read_settings[] = {
    { "PRAGMA query_only=ON", NULL },
    { "PRAGMA query_only", "1" },
    { "PRAGMA cache_size=-8192", NULL },
};

static const struct setting common_settings[] = {
    { "PRAGMA foreign_keys=ON", NULL },       { "PRAGMA foreign_keys", "1" },
    { "PRAGMA temp_store=MEMORY", NULL },     { "PRAGMA temp_store", "2" },
    { "PRAGMA recursive_triggers=ON", NULL }, { "PRAGMA trusted_schema=OFF", NULL },
    { "PRAGMA cell_size_check=ON", NULL },
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const txn_sql[] = {
    "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s",
};
static_assert(COUNT_OF(txn_sql) == COUNT_OF(((struct db *)0)->txn_steps), "one each");

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

/* Memory statistics cost a global lock at each allocation. Refused, harmlessly, where SQLite runs
 * already. */
static void prepare_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum tg_status status_of_constraint(int code)
{
    switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return TG_CONFLICT;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return TG_NOT_FOUND;
    case SQLITE_CONSTRAINT_CHECK:
    case SQLITE_CONSTRAINT_NOTNULL:
    case SQLITE_CONSTRAINT_DATATYPE:
        return TG_OUT_OF_RANGE;
    default:
        return TG_INTERNAL;
    }
}

static enum tg_status status_of_code(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return TG_NO_MEMORY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return TG_CORRUPT;
    case SQLITE_INTERRUPT:
        return TG_OVERLOADED;
    case SQLITE_TOOBIG:
        return TG_TOO_LARGE;
    case SQLITE_CONSTRAINT:
        return status_of_constraint(code);
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_AUTH:
        return TG_IO;
    default:
        return TG_INTERNAL;
    }
}

enum tg_status db_fail(struct db *db, int code, const char *doing, struct err *err)
{
    const enum tg_status status = status_of_code(code);
    const char *said = db->raw != NULL ? sqlite3_errmsg(db->raw) : sqlite3_errstr(code);

    db->last_code = code;
    if (status == TG_OVERLOADED)
        return err_set(err, status, "the query took too long: ask for less at once");
    return err_set(err, status, "database: %s (SQLite code %d) at: %.120s", said, code, doing);
}

static enum tg_status apply(struct db *db, const struct setting *settings, size_t count,
                            struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        AUTO(stmt) stmt = { 0 };
        bool has_row = false;

        TRY(stmt_prepare(&stmt, db, settings[i].sql, err));
        TRY(stmt_step(&stmt, &has_row, err));
        if (settings[i].want == NULL)
            continue;
        if (!has_row || !span_equal(stmt_text(&stmt, 0), span_from(settings[i].want)))
            return err_set(err, TG_IO, "database: %s is not %s; is the file on a local disk?",
                           settings[i].sql, settings[i].want);
    }
    return TG_OK;
}

/* Returning 1 would turn the commit into a rollback; a commit that nobody answers for is a bug. */
static int on_commit(void *context)
{
    const struct db *db = context;

    assert(db->is_committing);
    return 0;
}

static int on_wal(void *context, sqlite3 *raw, const char *name, int pages)
{
    struct db *db = context;

    (void)raw;
    (void)name;
    db->wal_pages = pages;
    return SQLITE_OK;
}

static int on_progress(void *context)
{
    const struct db *db = context;

    return db->deadline_us != 0 && clock_monotonic_us() > db->deadline_us;
}

static enum tg_status configure(struct db *db, struct err *err)
{
    const bool may_write = db->mode == DB_WRITE;
    const struct setting *settings = may_write ? write_settings : read_settings;
    const size_t count = may_write ? COUNT_OF(write_settings) : COUNT_OF(read_settings);

    (void)sqlite3_extended_result_codes(db->raw, 1);
    (void)sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    (void)sqlite3_db_config(db->raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_busy_timeout(db->raw, may_write ? 0 : READER_BUSY_MS);
    TRY(apply(db, settings, count, err));
    TRY(apply(db, common_settings, COUNT_OF(common_settings), err));
    for (size_t i = 0; i < COUNT_OF(txn_sql); i++) {
        const char *sql = i == 0 && !may_write ? "BEGIN" : txn_sql[i];
        const int code = sqlite3_prepare_v3(db->raw, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                            &db->txn_steps[i], NULL);
        if (code != SQLITE_OK)
            return db_fail(db, code, sql, err);
    }
    if (may_write) {
        (void)sqlite3_commit_hook(db->raw, on_commit, db);
        (void)sqlite3_wal_hook(db->raw, on_wal, db);
    } else {
        sqlite3_progress_handler(db->raw, PROGRESS_STEPS, on_progress, db);
    }
    return TG_OK;
}

enum tg_status db_open(const char *path, enum db_mode mode, struct db **ret_db, struct err *err)
{
    const int flags =
        (mode == DB_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) |
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    AUTO_PTR(db) db = NULL;
    int code;

    (void)pthread_once(&library_once, prepare_library);
    db = calloc(1, sizeof(*db));
    if (db == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for a connection to %s", path);
    db->mode = mode;
    map_init(&db->statements, DB_STATEMENTS_MAX);
    code = sqlite3_open_v2(path, &db->raw, flags, NULL);
    if (code != SQLITE_OK)
        return db_fail(db, code, path, err);
    TRY(configure(db, err));
    *ret_db = db;
    db = NULL;
    return TG_OK;
}

static void forget_statements(struct db *db)
{
    size_t cursor = 0;
    struct stmt *stmt;

    while ((stmt = map_next(&db->statements, &cursor)) != NULL) {
        stmt_fini(stmt);
        free(stmt);
    }
    map_fini(&db->statements);
    for (size_t i = 0; i < COUNT_OF(txn_sql); i++)
        (void)sqlite3_finalize(db->txn_steps[i]);
}

void db_close(struct db *db)
{
    int code;

    if (db == NULL)
        return;
    forget_statements(db);
    code = sqlite3_close(db->raw);
    assert(code == SQLITE_OK); /* SQLITE_BUSY: a statement was left open */
    free(db);
}

enum tg_status db_checkpoint(struct db *db, enum db_checkpoint mode, int *ret_left_pages,
                             struct err *err)
{
    const int how =
        mode == DB_CHECKPOINT_PASSIVE ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
    int in_log = 0;
    int copied = 0;
    const int code = sqlite3_wal_checkpoint_v2(db->raw, NULL, how, &in_log, &copied);

    if (code != SQLITE_OK && code != SQLITE_BUSY)
        return db_fail(db, code, "checkpoint", err);
    *ret_left_pages = in_log > copied ? in_log - copied : 0;
    return TG_OK;
}

bool db_sync_failed(const struct db *db)
{
    return db->last_code == SQLITE_IOERR_FSYNC || db->last_code == SQLITE_IOERR_DIR_FSYNC;
}

bool db_has_checkpoint_bug(void)
{
    return sqlite3_libversion_number() < FIRST_GOOD_CHECKPOINT;
}

const char *db_library_version(void)
{
    return sqlite3_libversion();
}
