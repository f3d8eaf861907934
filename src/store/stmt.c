#include "store/stmt.h"

#include "base/log.h"
#include "base/try.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>

#ifdef TOLLGATE_CHECK_SCANS
static void check_scan(struct stmt *stmt)
{
    const char *sql = sqlite3_sql(stmt->raw);

    if (sqlite3_stmt_status(stmt->raw, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1) == 0)
        return;
    if (strstr(sql, "/* scan */") != NULL || strncmp(sql, "PRAGMA", strlen("PRAGMA")) == 0)
        return;
    log_event(LOG_ERROR, "statement_scans", LOG_FS("sql", sql));
    log_stop();
    abort();
}
#else
static void check_scan(struct stmt *stmt)
{
    (void)stmt;
}
#endif

static enum tg_status prepare(struct stmt *stmt, struct db *db, const char *sql, unsigned int flags,
                              struct err *err)
{
    const int code = sqlite3_prepare_v3(db->raw, sql, -1, flags, &stmt->raw, NULL);

    stmt->db = db;
    if (code != SQLITE_OK)
        return db_fail(db, code, sql, err);
    return TG_OK;
}

enum tg_status stmt_prepare(struct stmt *stmt, struct db *db, const char *sql, struct err *err)
{
    return prepare(stmt, db, sql, 0, err);
}

void stmt_fini(struct stmt *stmt)
{
    (void)sqlite3_finalize(stmt->raw); /* repeats the latest step's failure, already told */
    stmt->raw = NULL;
}

enum tg_status stmt_prepare_all(struct stmt *stmts, struct db *db, const char *const *sql,
                                int count, struct err *err)
{
    for (int i = 0; i < count; i++) {
        const enum tg_status status =
            prepare(&stmts[i], db, sql[i], SQLITE_PREPARE_PERSISTENT, err);

        if (status != TG_OK) {
            stmt_fini_all(stmts, i);
            return status;
        }
    }
    return TG_OK;
}

void stmt_fini_all(struct stmt *stmts, int count)
{
    for (int i = 0; i < count; i++)
        stmt_fini(&stmts[i]);
}

static bool has_text(const void *value, const void *key)
{
    const struct stmt *stmt = value;

    return strcmp(sqlite3_sql(stmt->raw), key) == 0;
}

enum tg_status stmt_use(struct db *db, const char *sql, struct stmt **ret_stmt, struct err *err)
{
    const uint64_t hash = span_hash(span_from(sql));
    struct stmt *stmt = map_get(&db->statements, hash, has_text, sql);
    enum tg_status status;

    if (stmt == NULL) {
        stmt = calloc(1, sizeof(*stmt));
        if (stmt == NULL)
            return err_set(err, TG_NO_MEMORY, "out of memory for a statement");
        status = prepare(stmt, db, sql, SQLITE_PREPARE_PERSISTENT, err);
        if (status == TG_OK)
            status = map_add(&db->statements, hash, stmt);
        if (status != TG_OK) {
            stmt_fini(stmt);
            free(stmt);
            return status;
        }
    }
    stmt_reset(stmt);
    *ret_stmt = stmt;
    return TG_OK;
}

/* Binding fails only for an index that is not there or a statement that runs: bugs both. Borrowed
 * text needs no memory. */
static void bound(int code)
{
    assert(code == SQLITE_OK);
}

void stmt_bind_int(struct stmt *stmt, int index, int64_t value)
{
    bound(sqlite3_bind_int64(stmt->raw, index, value));
}

void stmt_bind_text(struct stmt *stmt, int index, struct span value)
{
    const char *ptr = value.len > 0 ? value.ptr : "";

    bound(sqlite3_bind_text64(stmt->raw, index, ptr, value.len, SQLITE_STATIC, SQLITE_UTF8));
}

void stmt_bind_blob(struct stmt *stmt, int index, struct span value)
{
    const char *ptr = value.len > 0 ? value.ptr : "";

    bound(sqlite3_bind_blob64(stmt->raw, index, ptr, value.len, SQLITE_STATIC));
}

void stmt_bind_null(struct stmt *stmt, int index)
{
    bound(sqlite3_bind_null(stmt->raw, index));
}

void stmt_bind_optional_text(struct stmt *stmt, int index, struct span value)
{
    if (value.len > 0)
        stmt_bind_text(stmt, index, value);
    else
        stmt_bind_null(stmt, index);
}

void stmt_bind_optional_int(struct stmt *stmt, int index, int64_t value, int64_t none)
{
    if (value != none)
        stmt_bind_int(stmt, index, value);
    else
        stmt_bind_null(stmt, index);
}

enum tg_status stmt_step(struct stmt *stmt, bool *ret_has_row, struct err *err)
{
    const int code = sqlite3_step(stmt->raw);

    if (code == SQLITE_ROW) {
        *ret_has_row = true;
        return TG_OK;
    }
    if (code == SQLITE_DONE) {
        stmt_reset(stmt);
        *ret_has_row = false;
        return TG_OK;
    }
    const enum tg_status status = db_fail(stmt->db, code, sqlite3_sql(stmt->raw), err);
    (void)sqlite3_reset(stmt->raw); /* repeats the failure */
    return status;
}

enum tg_status stmt_run(struct stmt *stmt, struct err *err)
{
    bool has_row = true;

    while (has_row)
        TRY(stmt_step(stmt, &has_row, err));
    return TG_OK;
}

enum tg_status stmt_run_int(struct stmt *stmt, int64_t *ret_value, struct err *err)
{
    bool has_row = false;

    TRY(stmt_step(stmt, &has_row, err));
    if (has_row) {
        *ret_value = stmt_int(stmt, 0);
        stmt_reset(stmt);
    }
    return TG_OK;
}

void stmt_reset(struct stmt *stmt)
{
    check_scan(stmt);
    (void)sqlite3_reset(stmt->raw); /* repeats the latest step's failure, already told */
}

int64_t stmt_changes(const struct stmt *stmt)
{
    return sqlite3_changes64(stmt->db->raw);
}

int64_t stmt_int(const struct stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->raw, column);
}

struct span stmt_text(const struct stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt->raw, column);

    return text == NULL ? SPAN_EMPTY
                        : span_of(text, (size_t)sqlite3_column_bytes(stmt->raw, column));
}

struct span stmt_blob(const struct stmt *stmt, int column)
{
    const char *blob = sqlite3_column_blob(stmt->raw, column);

    return blob == NULL ? SPAN_EMPTY
                        : span_of(blob, (size_t)sqlite3_column_bytes(stmt->raw, column));
}

bool stmt_is_null(const struct stmt *stmt, int column)
{
    return sqlite3_column_type(stmt->raw, column) == SQLITE_NULL;
}

enum tg_status stmt_run_script(struct db *db, const char *sql, struct err *err)
{
    while (*sql != '\0') {
        AUTO(stmt) stmt = { .db = db };
        const char *rest = sql;
        const int code = sqlite3_prepare_v2(db->raw, sql, -1, &stmt.raw, &rest);

        if (code != SQLITE_OK)
            return db_fail(db, code, sql + strspn(sql, " \n"), err);
        sql = rest;
        if (stmt.raw != NULL) /* NULL: a comment or blanks at the end */
            TRY(stmt_run(&stmt, err));
    }
    return TG_OK;
}
