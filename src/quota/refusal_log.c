#include "quota/refusal_log.h"

#include "base/try.h"
#include "store/stmt.h"
#include "tollgate/provider.h"

#include <assert.h>

static const char sql_list[] =
    "SELECT r.id, (SELECT public_id FROM team WHERE id = r.team_id), "
    "(SELECT public_id FROM \"key\" WHERE id = r.key_id), "
    "(SELECT name FROM provider WHERE id = r.provider_id), "
    "(SELECT name FROM dimension WHERE id = r.dialect_id), "
    "(SELECT name FROM dimension WHERE id = r.model_id), r.reason, l.public_id, l.scope, l.metric, "
    "l.window, r.amount, r.spent, r.held, r.estimate, r.flags "
    "FROM refusal AS r LEFT JOIN \"limit\" AS l ON l.id = r.limit_id "
    "WHERE r.id >= ?1 AND r.id < ?2 AND (?3 = 0 OR r.team_id = ?3) "
    "AND (?4 IS NULL OR r.team_id = (SELECT id FROM team WHERE public_id = ?4)) "
    "AND (?5 IS NULL OR r.key_id = (SELECT id FROM \"key\" WHERE public_id = ?5)) "
    "AND (?6 IS NULL OR r.limit_id = (SELECT id FROM \"limit\" WHERE public_id = ?6)) "
    "AND (?7 IS NULL OR r.model_id = (SELECT id FROM dimension WHERE name = ?7)) "
    "AND (?8 IS NULL OR r.reason = ?8) ORDER BY r.id DESC LIMIT ?9";

bool refusal_reason_is_known(struct span name)
{
    for (int reason = TG_REFUSAL_TOO_LARGE; reason <= TG_REFUSAL_UNPRICED; reason++)
        if (span_equal(name, span_from(tg_refusal_reason_name((enum tg_refusal_reason)reason))))
            return true;
    return false;
}

static enum tg_status read_row(const struct stmt *stmt, struct refusal_entry *entry,
                               struct err *err)
{
    *entry = (struct refusal_entry){
        .id = stmt_int(stmt, 0),
        .team_public_id = stmt_text(stmt, 1),
        .key_public_id = stmt_text(stmt, 2),
        .provider = stmt_text(stmt, 3),
        .dialect = stmt_text(stmt, 4),
        .model = stmt_text(stmt, 5),
        .reason = stmt_text(stmt, 6),
        .has_limit = !stmt_is_null(stmt, 7),
        .limit_public_id = stmt_text(stmt, 7),
        .window = stmt_text(stmt, 10),
        .amount = stmt_int(stmt, 11),
        .spent = stmt_int(stmt, 12),
        .held = stmt_int(stmt, 13),
        .estimate = stmt_int(stmt, 14),
        .flags = (uint32_t)stmt_int(stmt, 15),
    };
    if (entry->has_limit && (!limit_scope_from_name(stmt_text(stmt, 8), &entry->limit_scope) ||
                             !limit_metric_from_name(stmt_text(stmt, 9), &entry->metric)))
        return err_set(err, TG_CORRUPT, "limit %.*s: its row is damaged",
                       SPAN_ARG(entry->limit_public_id));
    return TG_OK;
}

static enum tg_status read_page(struct stmt *stmt, const struct refusal_query *query,
                                bool *ret_has_more, struct err *err)
{
    for (int count = 0;; count++) {
        struct refusal_entry entry;
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row || count == query->limit) {
            *ret_has_more = has_row;
            return TG_OK;
        }
        TRY(read_row(stmt, &entry, err));
        TRY(query->on_entry(query->context, &entry));
    }
}

enum tg_status refusal_list(struct db *db, const struct refusal_query *query, bool *ret_has_more,
                            struct err *err)
{
    const int64_t until = id_floor_of(query->to_ms);
    struct stmt *stmt;
    enum tg_status status;

    assert(query->limit >= 1);
    assert(query->limit <= ACCOUNT_PAGE_MAX);
    TRY(stmt_use(db, sql_list, &stmt, err));
    stmt_bind_int(stmt, 1, id_floor_of(query->from_ms));
    stmt_bind_int(stmt, 2,
                  query->after_id > 0 && query->after_id < until ? query->after_id : until);
    stmt_bind_int(stmt, 3, query->scope);
    stmt_bind_optional_text(stmt, 4, query->team_id);
    stmt_bind_optional_text(stmt, 5, query->key_id);
    stmt_bind_optional_text(stmt, 6, query->limit_id);
    stmt_bind_optional_text(stmt, 7, query->model);
    stmt_bind_optional_text(stmt, 8, query->reason);
    stmt_bind_int(stmt, 9, query->limit + 1);
    status = read_page(stmt, query, ret_has_more, err);
    stmt_reset(stmt);
    return status;
}
