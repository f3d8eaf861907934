#include "quota/event_log.h"

#include "base/try.h"
#include "store/stmt.h"

#include <assert.h>

static const char sql_list[] =
    "SELECT id, (SELECT public_id FROM \"key\" AS k WHERE k.id = e.key_id), period_start_ms, "
    "threshold, amount, spent, at_ms FROM limit_event AS e "
    "WHERE limit_id = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3";

static enum tg_status read_page(struct stmt *stmt, const struct event_query *query,
                                bool *ret_has_more, struct err *err)
{
    for (int count = 0;; count++) {
        struct event_entry entry = { 0 };
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row || count == query->limit) {
            *ret_has_more = has_row;
            return TG_OK;
        }
        entry.id = stmt_int(stmt, 0);
        account_copy_text(stmt_text(stmt, 1), entry.key_public_id, sizeof(entry.key_public_id));
        entry.period_start_ms = stmt_int(stmt, 2);
        entry.threshold = (int)stmt_int(stmt, 3);
        entry.amount = stmt_int(stmt, 4);
        entry.spent = stmt_int(stmt, 5);
        entry.at_ms = stmt_int(stmt, 6);
        TRY(query->on_entry(query->context, &entry));
    }
}

enum tg_status event_list(struct db *db, const struct event_query *query, bool *ret_has_more,
                          struct err *err)
{
    struct stmt *stmt;
    enum tg_status status;

    assert(query->limit >= 1);
    assert(query->limit <= ACCOUNT_PAGE_MAX);
    TRY(stmt_use(db, sql_list, &stmt, err));
    stmt_bind_int(stmt, 1, query->limit_id);
    stmt_bind_int(stmt, 2, query->after_id);
    stmt_bind_int(stmt, 3, query->limit + 1);
    status = read_page(stmt, query, ret_has_more, err);
    stmt_reset(stmt);
    return status;
}
