#include "ledger/hold.h"

#include "base/try.h"

#define COLUMNS                                                                                    \
    "id, call_id, team_id, key_id, provider_id, dialect_id, model_id, input_bound, output_bound, " \
    "amount_nusd, flags"

static const char insert_sql[] = "INSERT INTO hold (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
                                 "?7, ?8, ?9, ?10, ?11)";
static const char remove_sql[] = "DELETE FROM hold WHERE id = ?1";
static const char list_sql[] = "SELECT " COLUMNS " FROM hold ORDER BY id /* scan */";

enum tg_status hold_store_prepare(struct hold_store *store, struct db *db, struct err *err)
{
    TRY(stmt_prepare(&store->insert, db, insert_sql, err));
    return stmt_prepare(&store->remove, db, remove_sql, err);
}

void hold_store_close(struct hold_store *store)
{
    stmt_fini(&store->insert);
    stmt_fini(&store->remove);
}

enum tg_status hold_insert(struct hold_store *store, const struct hold_row *row, struct err *err)
{
    struct stmt *stmt = &store->insert;

    stmt_bind_int(stmt, 1, row->id);
    stmt_bind_optional_int(stmt, 2, row->call_id, 0);
    stmt_bind_int(stmt, 3, row->team_id);
    stmt_bind_int(stmt, 4, row->key_id);
    stmt_bind_int(stmt, 5, row->provider_id);
    stmt_bind_int(stmt, 6, row->dialect_id);
    stmt_bind_int(stmt, 7, row->model_id);
    stmt_bind_int(stmt, 8, row->input_bound);
    stmt_bind_int(stmt, 9, row->output_bound);
    stmt_bind_int(stmt, 10, row->amount_nusd);
    stmt_bind_int(stmt, 11, row->flags);
    return stmt_run(stmt, err);
}

enum tg_status hold_remove(struct hold_store *store, int64_t id, bool *ret_was_open,
                           struct err *err)
{
    stmt_bind_int(&store->remove, 1, id);
    TRY(stmt_run(&store->remove, err));
    *ret_was_open = stmt_changes(&store->remove) == 1;
    return TG_OK;
}

enum tg_status hold_list(struct stmt *stmt, struct db *db, struct err *err)
{
    return stmt_prepare(stmt, db, list_sql, err);
}

void hold_read(const struct stmt *stmt, struct hold_row *ret_row)
{
    *ret_row = (struct hold_row){
        .id = stmt_int(stmt, 0),
        .call_id = stmt_int(stmt, 1),
        .team_id = stmt_int(stmt, 2),
        .key_id = stmt_int(stmt, 3),
        .provider_id = stmt_int(stmt, 4),
        .dialect_id = stmt_int(stmt, 5),
        .model_id = stmt_int(stmt, 6),
        .input_bound = stmt_int(stmt, 7),
        .output_bound = stmt_int(stmt, 8),
        .amount_nusd = stmt_int(stmt, 9),
        .flags = stmt_int(stmt, 10),
    };
}
