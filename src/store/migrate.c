#include "store/migrate.h"

#include "base/clock.h"
#include "base/try.h"
#include "store/stmt.h"
#include "store/txn.h"

#include <stdio.h>

#define NUMBER_DIGITS 4

static const char find_user_version[] = "PRAGMA user_version";
static const char find_application_id[] = "PRAGMA application_id";
static const char count_tables[] = "SELECT count(*) FROM sqlite_schema /* scan */";
static const char find_migration[] = "SELECT sha256, name FROM migration WHERE number = ?1";
static const char add_migration[] =
    "INSERT INTO migration (number, name, sha256, applied_ms) VALUES (?1, ?2, ?3, ?4)";
static const char list_schema[] =
    "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' /* scan */"
    " ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE 4 END, "
    "name";
static const char create_record[] =
    "CREATE TABLE migration (\n"
    "    number INTEGER PRIMARY KEY, -- of the file's name, from 1\n"
    "    name TEXT NOT NULL, -- the file's\n"
    "    sha256 TEXT NOT NULL CHECK (length(sha256) = 64), -- of the file, hex\n"
    "    applied_ms INTEGER NOT NULL CHECK (applied_ms >= 0) -- ms since 1970\n"
    ") STRICT";

static enum tg_status read_int(struct db *db, const char *sql, int64_t *ret_value, struct err *err)
{
    AUTO(stmt) stmt = { 0 };

    TRY(stmt_prepare(&stmt, db, sql, err));
    return stmt_run_int(&stmt, ret_value, err);
}

static bool is_migration(const char *name)
{
    const struct span text = span_from(name);

    return span_ends_with(text, SPAN(".sql")) && text.len > NUMBER_DIGITS &&
           text.ptr[NUMBER_DIGITS] == '_';
}

static int number_of(const char *name)
{
    int number = 0;

    for (int i = 0; i < NUMBER_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return -1;
        number = number * 10 + (name[i] - '0');
    }
    return number;
}

static enum tg_status check_list(const struct tg_embedded_file *files, size_t count,
                                 int64_t *ret_newest, struct err *err)
{
    int64_t newest = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_migration(files[i].name))
            continue;
        if (number_of(files[i].name) != newest + 1)
            return err_set(err, TG_INTERNAL, "migration %s: expected number %04d", files[i].name,
                           (int)newest + 1);
        newest++;
    }
    *ret_newest = newest;
    return TG_OK;
}

/* A file that is not empty and not ours is somebody else's: nothing of it may change. */
static enum tg_status check_owner(struct db *db, int64_t version, struct err *err)
{
    int64_t application_id = 0;
    int64_t tables = 0;

    TRY(read_int(db, find_application_id, &application_id, err));
    TRY(read_int(db, count_tables, &tables, err));
    if (tables == 0 && application_id == 0 && version == 0)
        return TG_OK;
    if (application_id == DB_APPLICATION_ID && version > 0)
        return TG_OK;
    return err_set(err, TG_CORRUPT, "the file holds something else than a Tollgate database");
}

static enum tg_status check_unchanged(struct db *db, const struct tg_embedded_file *file,
                                      struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = false;

    TRY(stmt_prepare(&stmt, db, find_migration, err));
    stmt_bind_int(&stmt, 1, number_of(file->name));
    TRY(stmt_step(&stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_CORRUPT, "migration %s is not recorded; restore a backup",
                       file->name);
    if (!span_equal(stmt_text(&stmt, 0), span_from(file->sha256)))
        return err_set(err, TG_STALE,
                       "migration %s has changed since it ran; run the release that wrote this "
                       "database",
                       file->name);
    return TG_OK;
}

static enum tg_status record(struct db *db, const struct tg_embedded_file *file, int64_t now_ms,
                             struct err *err)
{
    AUTO(stmt) stmt = { 0 };

    TRY(stmt_prepare(&stmt, db, add_migration, err));
    stmt_bind_int(&stmt, 1, number_of(file->name));
    stmt_bind_text(&stmt, 2, span_from(file->name));
    stmt_bind_text(&stmt, 3, span_from(file->sha256));
    stmt_bind_int(&stmt, 4, now_ms);
    return stmt_run(&stmt, err);
}

static enum tg_status apply(struct db *db, const struct tg_embedded_file *file, int64_t now_ms,
                            struct err *err)
{
    const int number = number_of(file->name);
    char sql[128];
    AUTO(txn) txn = { 0 };

    TRY(txn_begin(&txn, db, err));
    if (number == 1)
        TRY(stmt_run_script(db, create_record, err));
    TRY(stmt_run_script(db, (const char *)file->bytes, err));
    TRY(record(db, file, now_ms, err));
    (void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%d; PRAGMA application_id=%d", number,
                   (int)DB_APPLICATION_ID);
    TRY(stmt_run_script(db, sql, err));
    return txn_commit(&txn, err);
}

static enum tg_status run_or_check(struct db *db, const struct tg_embedded_file *file,
                                   int64_t version, int *applied, struct err *err)
{
    struct err cause = { "" };
    enum tg_status status;

    if (!is_migration(file->name))
        return TG_OK;
    if (number_of(file->name) <= version)
        return check_unchanged(db, file, err);
    status = apply(db, file, clock_wall_ms(), &cause);
    if (status != TG_OK)
        return err_set(err, status, "migration %s: %s", file->name, cause.text);
    (*applied)++;
    return TG_OK;
}

enum tg_status migrate_run(struct db *db, const struct tg_embedded_file *files, size_t count,
                           int *ret_applied, struct err *err)
{
    int64_t version = 0;
    int64_t newest = 0;
    int applied = 0;

    TRY(check_list(files, count, &newest, err));
    TRY(read_int(db, find_user_version, &version, err));
    TRY(check_owner(db, version, err));
    if (version > newest)
        return err_set(err, TG_STALE,
                       "the database is at version %d, this program knows %d: run a newer one",
                       (int)version, (int)newest);
    for (size_t i = 0; i < count; i++)
        TRY(run_or_check(db, &files[i], version, &applied, err));
    *ret_applied = applied;
    return TG_OK;
}

enum tg_status migrate_dump(struct db *db, struct buf *out, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = false;

    TRY(stmt_prepare(&stmt, db, list_schema, err));
    for (;;) {
        TRY(stmt_step(&stmt, &has_row, err));
        if (!has_row)
            break;
        buf_put_span(out, stmt_text(&stmt, 0));
        buf_put_text(out, ";\n\n");
    }
    return buf_status(out);
}
