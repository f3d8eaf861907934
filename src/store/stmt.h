#ifndef STORE_STMT_H
#define STORE_STMT_H

#include "base/span.h"
#include "store/db.h"

/* Prepared statements. A module keeps its SQL in a table of constants and prepares them once; a
 * module that runs on many connections asks each for its copy by stmt_use.
 *
 * A statement that has ended or failed is reset and keeps no lock; who leaves one earlier calls
 * stmt_reset. Bound text and blobs are borrowed until then. Parameters count from 1, columns from
 * 0.
 *
 * With TOLLGATE_CHECK_SCANS (the asan build) a statement that walks over a whole table aborts,
 * unless its text says so: / * scan * / without the blanks. */

struct stmt {
    struct sqlite3_stmt *raw;
    struct db *db;
};

/* Errors  TG_IO, TG_NO_MEMORY, TG_CORRUPT, TG_INTERNAL: wrong SQL */
TG_MUST_CHECK enum tg_status stmt_prepare(struct stmt *stmt, struct db *db, const char *sql,
                                          struct err *err);
/* A zeroed one is fine. */
void stmt_fini(struct stmt *stmt);
AUTO_DEFINE(stmt, stmt_fini)

/* Prepare `count` statements; on failure none is left. */
TG_MUST_CHECK enum tg_status stmt_prepare_all(struct stmt *stmts, struct db *db,
                                              const char *const *sql, int count, struct err *err);
void stmt_fini_all(struct stmt *stmts, int count);

/* The connection's own copy of a statement, prepared at its first use and kept until it closes.
 *
 * sql       static storage
 * ret_stmt  borrowed, reset
 * Errors    as stmt_prepare; TG_OVERLOADED: DB_STATEMENTS_MAX are kept */
TG_MUST_CHECK enum tg_status stmt_use(struct db *db, const char *sql, struct stmt **ret_stmt,
                                      struct err *err);

void stmt_bind_int(struct stmt *stmt, int index, int64_t value);
void stmt_bind_text(struct stmt *stmt, int index, struct span value);
void stmt_bind_blob(struct stmt *stmt, int index, struct span value);
void stmt_bind_null(struct stmt *stmt, int index);
/* NULL where the span is empty. */
void stmt_bind_optional_text(struct stmt *stmt, int index, struct span value);
/* NULL where the value is `none`. */
void stmt_bind_optional_int(struct stmt *stmt, int index, int64_t value, int64_t none);

/* Go to the next row.
 *
 * ret_has_row  false: it has ended
 * Errors       TG_IO, TG_NO_MEMORY, TG_CORRUPT; TG_CONFLICT: a UNIQUE says no; TG_NOT_FOUND: a
 * foreign key does; TG_OUT_OF_RANGE: a CHECK does; TG_OVERLOADED: past the connection's deadline;
 *              TG_INTERNAL */
TG_MUST_CHECK enum tg_status stmt_step(struct stmt *stmt, bool *ret_has_row, struct err *err);

/* Run to the end, passing over rows. */
TG_MUST_CHECK enum tg_status stmt_run(struct stmt *stmt, struct err *err);

/* Run a statement of at most one row and one integer column.
 *
 * ret_value  the column; left alone where there is no row
 * Errors     as stmt_step */
TG_MUST_CHECK enum tg_status stmt_run_int(struct stmt *stmt, int64_t *ret_value, struct err *err);

void stmt_reset(struct stmt *stmt);

/* Rows that the latest INSERT, UPDATE or DELETE of the connection has changed. */
int64_t stmt_changes(const struct stmt *stmt);

int64_t stmt_int(const struct stmt *stmt, int column); /* 0 for NULL */
/* Borrowed until the next step or reset. Empty for NULL. */
struct span stmt_text(const struct stmt *stmt, int column);
struct span stmt_blob(const struct stmt *stmt, int column);
bool stmt_is_null(const struct stmt *stmt, int column);

/* Run statements without parameters, separated by semicolons. */
TG_MUST_CHECK enum tg_status stmt_run_script(struct db *db, const char *sql, struct err *err);

#endif
