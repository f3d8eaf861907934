#include "ledger/call.h"

#include "base/buf.h"
#include "base/id.h"
#include "base/try.h"

#include <assert.h>

#define SQL_MAX 4096

/* Behind charge_columns. */
#define NAMES                                                                                      \
    ", (SELECT public_id FROM team WHERE team.id = charge.team_id)"                                \
    ", (SELECT public_id FROM \"key\" AS k WHERE k.id = charge.key_id)"                            \
    ", (SELECT name FROM provider WHERE provider.id = charge.provider_id)"                         \
    ", (SELECT name FROM dimension AS d WHERE d.id = charge.dialect_id)"                           \
    ", (SELECT name FROM dimension AS d WHERE d.id = charge.model_id)"                             \
    ", (SELECT name FROM dimension AS d WHERE d.id = charge.served_model_id)"                      \
    ", (SELECT name FROM dimension AS d WHERE d.id = charge.tier_id) FROM charge "
#define NAME_COUNT 7
#define FIRST_NAME 33 /* columns of charge_columns */

static const char list_tail[] =
    NAMES "WHERE id >= ?1 AND id < ?2 AND (?3 = 0 OR team_id = ?3) "
          "AND (?4 IS NULL OR team_id = (SELECT id FROM team WHERE public_id = ?4)) "
          "AND (?5 IS NULL OR key_id = (SELECT id FROM \"key\" WHERE public_id = ?5)) "
          "AND (?6 IS NULL OR model_id = (SELECT id FROM dimension WHERE name = ?6)) "
          "AND (?7 IS NULL OR provider_id IN (SELECT id FROM provider WHERE name = ?7 /* scan */)) "
          "AND (?8 = -1 OR outcome = ?8) AND (?9 = -1 OR coalesce(http_status, 0) = ?9) "
          "ORDER BY id DESC LIMIT ?10";
static const char get_tail[] = NAMES "WHERE id = ?1 AND (?2 = 0 OR team_id = ?2)";
/* Attempts of a call follow each other within an hour; there is no index by call. */
static const char attempts_tail[] =
    NAMES "WHERE id >= ?1 AND id < ?3 AND (id = ?1 OR call_id = ?1) AND (?2 = 0 OR team_id = ?2) "
          "AND kind = 0 ORDER BY id";
static const char adjustments_tail[] =
    NAMES "WHERE adjusts_id = ?1 AND (?2 = 0 OR team_id = ?2) ORDER BY id";
#define ATTEMPTS_WITHIN_MS INT64_C(3600000)

static const char rates_sql[] =
    "SELECT json_extract(each.value, '$[0]'), json_extract(each.value, '$[1]'), "
    "json_extract(each.value, '$[2]'), p.provider, p.model, p.unit, p.tier, p.ctx_min, "
    "p.valid_from_ms, p.valid_until_ms, p.variant, p.utc_window, p.origin, "
    "json_extract(each.value, '$[3]'), json_extract(each.value, '$[4]') FROM rate_set, "
    "json_each(rate_set.rates) AS each LEFT JOIN price AS p "
    "ON p.id = json_extract(each.value, '$[1]') WHERE rate_set.id = ?1 /* scan */";
static const char detail_sql[] =
    "SELECT raw_usage, response_id, upstream_request_id, client, error "
    "FROM charge_detail WHERE charge_id = ?1";
static const char unreconciled_sql[] =
    "SELECT id FROM charge AS c WHERE outcome = 3 AND kind = 0 AND id > ?1 AND id < ?2 "
    "AND (?3 = 0 OR team_id = ?3) AND NOT EXISTS (SELECT 1 FROM charge AS a "
    "WHERE a.adjusts_id = c.id AND a.outcome = 3) ORDER BY id LIMIT ?4";
static const char holds_sql[] =
    "SELECT id, call_id, input_bound, output_bound, amount_nusd, flags, "
    "(SELECT public_id FROM team WHERE team.id = hold.team_id), "
    "(SELECT public_id FROM \"key\" AS k WHERE k.id = hold.key_id), "
    "(SELECT name FROM provider WHERE provider.id = hold.provider_id), "
    "(SELECT name FROM dimension AS d WHERE d.id = hold.dialect_id), "
    "(SELECT name FROM dimension AS d WHERE d.id = hold.model_id) FROM hold "
    "WHERE id > ?1 AND (?2 = 0 OR team_id = ?2) "
    "AND (?3 IS NULL OR team_id = (SELECT id FROM team WHERE public_id = ?3)) "
    "ORDER BY id LIMIT ?4";

static const char *const flag_names[] = {
    "stream",    "estimated",       "unpriced", "client_gone",    "upstream_error", "overrun",
    "unbounded", "ceiling_unknown", "encoded",  "price_fallback", "usage_doubtful", "retried",
    "drained",   "not_sent",        "learned",  "clamped",        "ceiling_price",
};
#define FLAG_COUNT ((int)(sizeof(flag_names) / sizeof(flag_names[0])))
static_assert(LEDGER_CEILING_PRICE == 1u << (FLAG_COUNT - 1), "a name for each flag");

const char *call_flag_name(int bit)
{
    return bit >= 0 && bit < FLAG_COUNT ? flag_names[bit] : NULL;
}

bool call_outcome_parse(struct span name, enum ledger_outcome *ret_outcome)
{
    for (int outcome = LEDGER_OUTCOME_OK; outcome <= LEDGER_OUTCOME_REFUSED; outcome++) {
        if (!span_equal(name, span_from(ledger_outcome_name((enum ledger_outcome)outcome))))
            continue;
        *ret_outcome = (enum ledger_outcome)outcome;
        return true;
    }
    return false;
}

/* --- charges ---------------------------------------------------------------------------------- */

static enum tg_status prepare(struct stmt *stmt, struct db *db, const char *tail, struct err *err)
{
    AUTO(buf) sql = { 0 };

    buf_init(&sql, SQL_MAX);
    buf_put_text(&sql, "SELECT ");
    buf_put_text(&sql, charge_columns);
    buf_put(&sql, tail, strlen(tail) + 1);
    TRY(buf_status(&sql));
    return stmt_prepare(stmt, db, buf_span(&sql).ptr, err);
}

static enum tg_status read_entry(const struct stmt *stmt, struct call_entry *entry, struct err *err)
{
    struct span *const names[NAME_COUNT] = {
        &entry->team_public_id, &entry->key_public_id, &entry->provider, &entry->dialect,
        &entry->model,          &entry->served_model,  &entry->tier,
    };

    TRY(charge_read(stmt, &entry->row, err));
    for (int i = 0; i < NAME_COUNT; i++)
        *names[i] = stmt_text(stmt, FIRST_NAME + i);
    return TG_OK;
}

typedef enum tg_status entry_fn(void *context, const struct call_entry *entry);

/* limit   rows handed on; one more is looked for */
static enum tg_status walk(struct stmt *stmt, int limit, const struct call_lookup *to,
                           int *ret_count, struct err *err)
{
    bool has_row;

    *ret_count = 0;
    for (;;) {
        struct call_entry entry;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row)
            return TG_OK;
        if (++*ret_count > limit)
            return TG_OK;
        TRY(read_entry(stmt, &entry, err));
        TRY(to->on_entry(to->context, &entry));
    }
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

enum tg_status call_list(struct db *db, const struct call_query *query, bool *ret_has_more,
                         struct err *err)
{
    const struct call_lookup to = { .on_entry = query->on_entry, .context = query->context };
    const int64_t until = id_floor_of(query->to_ms);
    AUTO(stmt) stmt = { 0 };
    int count;

    assert(query->limit >= 1);
    assert(query->limit <= ACCOUNT_PAGE_MAX);
    TRY(prepare(&stmt, db, list_tail, err));
    stmt_bind_int(&stmt, 1, id_floor_of(query->from_ms));
    stmt_bind_int(&stmt, 2, query->after_id > 0 ? smaller(query->after_id, until) : until);
    stmt_bind_int(&stmt, 3, query->scope);
    stmt_bind_optional_text(&stmt, 4, query->team_public_id);
    stmt_bind_optional_text(&stmt, 5, query->key_public_id);
    stmt_bind_optional_text(&stmt, 6, query->model);
    stmt_bind_optional_text(&stmt, 7, query->provider);
    stmt_bind_int(&stmt, 8, query->outcome);
    stmt_bind_int(&stmt, 9, query->http_status);
    stmt_bind_int(&stmt, 10, query->limit + 1);
    TRY(walk(&stmt, query->limit, &to, &count, err));
    *ret_has_more = count > query->limit;
    return TG_OK;
}

enum tg_status call_unreconciled(struct db *db, const struct call_unreconciled_query *query,
                                 int64_t *ret_ids, int *ret_count, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    int count = 0;
    bool has_row;

    TRY(stmt_prepare(&stmt, db, unreconciled_sql, err));
    stmt_bind_int(&stmt, 1, query->after_id);
    stmt_bind_int(&stmt, 2, id_floor_of(query->before_ms));
    stmt_bind_int(&stmt, 3, query->scope);
    stmt_bind_int(&stmt, 4, query->limit);
    for (;;) {
        TRY(stmt_step(&stmt, &has_row, err));
        if (!has_row)
            break;
        ret_ids[count++] = stmt_int(&stmt, 0);
    }
    *ret_count = count;
    return TG_OK;
}

static enum tg_status look_up(struct db *db, const char *tail, const struct call_lookup *lookup,
                              int *ret_count, struct err *err)
{
    AUTO(stmt) stmt = { 0 };

    TRY(prepare(&stmt, db, tail, err));
    stmt_bind_int(&stmt, 1, lookup->id);
    stmt_bind_int(&stmt, 2, lookup->scope);
    if (tail == attempts_tail)
        stmt_bind_int(&stmt, 3, id_floor_of(id_wall_ms(lookup->id) + ATTEMPTS_WITHIN_MS));
    return walk(&stmt, ACCOUNT_PAGE_MAX, lookup, ret_count, err);
}

enum tg_status call_get(struct db *db, const struct call_lookup *lookup, struct err *err)
{
    int count;

    TRY(look_up(db, get_tail, lookup, &count, err));
    if (count == 0)
        return err_set(err, TG_NOT_FOUND, "there is no such call");
    return TG_OK;
}

enum tg_status call_attempts(struct db *db, const struct call_lookup *lookup, struct err *err)
{
    int count;

    return look_up(db, attempts_tail, lookup, &count, err);
}

enum tg_status call_adjustments(struct db *db, const struct call_lookup *lookup, struct err *err)
{
    int count;

    return look_up(db, adjustments_tail, lookup, &count, err);
}

/* --- a receipt's parts ------------------------------------------------------------------------ */

enum tg_status call_rates(struct db *db, int64_t rate_set_id,
                          enum tg_status (*on_rate)(void *context, const struct call_rate *rate),
                          void *context, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row;

    TRY(stmt_prepare(&stmt, db, rates_sql, err));
    stmt_bind_int(&stmt, 1, rate_set_id);
    for (;;) {
        TRY(stmt_step(&stmt, &has_row, err));
        if (!has_row)
            return TG_OK;
        TRY(on_rate(context, &(struct call_rate){
                                 .class = stmt_text(&stmt, 0),
                                 .price_id = stmt_int(&stmt, 1),
                                 .unit_price_pusd = stmt_int(&stmt, 2),
                                 .provider = stmt_text(&stmt, 3),
                                 .model = stmt_text(&stmt, 4),
                                 .unit = stmt_text(&stmt, 5),
                                 .tier = stmt_text(&stmt, 6),
                                 .ctx_min = stmt_int(&stmt, 7),
                                 .valid_from_ms = stmt_int(&stmt, 8),
                                 .valid_until_ms = stmt_int(&stmt, 9),
                                 .variant = stmt_text(&stmt, 10),
                                 .utc_window = stmt_text(&stmt, 11),
                                 .origin = stmt_text(&stmt, 12),
                                 .factor_num = stmt_int(&stmt, 13),
                                 .factor_den = stmt_int(&stmt, 14),
                             }));
    }
}

void call_detail_fini(struct call_detail *detail)
{
    stmt_fini(&detail->stmt);
}

enum tg_status call_detail_read(struct db *db, int64_t charge_id, struct call_detail *ret_detail,
                                struct err *err)
{
    struct call_detail *detail = ret_detail;
    bool has_row;

    *detail = (struct call_detail){ 0 };
    TRY(stmt_prepare(&detail->stmt, db, detail_sql, err));
    stmt_bind_int(&detail->stmt, 1, charge_id);
    TRY(stmt_step(&detail->stmt, &has_row, err));
    if (!has_row)
        return TG_OK;
    detail->raw_usage = stmt_text(&detail->stmt, 0);
    detail->response_id = stmt_text(&detail->stmt, 1);
    detail->upstream_request_id = stmt_text(&detail->stmt, 2);
    detail->client = stmt_text(&detail->stmt, 3);
    detail->error = stmt_text(&detail->stmt, 4);
    return TG_OK;
}

/* --- holds ------------------------------------------------------------------------------------ */

static struct call_hold hold_of(const struct stmt *stmt)
{
    return (struct call_hold){
        .id = stmt_int(stmt, 0),
        .call_id = stmt_int(stmt, 1),
        .input_bound_tokens = stmt_int(stmt, 2),
        .output_bound_tokens = stmt_int(stmt, 3),
        .amount_nusd = stmt_int(stmt, 4),
        .flags = (uint32_t)stmt_int(stmt, 5),
        .team_public_id = stmt_text(stmt, 6),
        .key_public_id = stmt_text(stmt, 7),
        .provider = stmt_text(stmt, 8),
        .dialect = stmt_text(stmt, 9),
        .model = stmt_text(stmt, 10),
    };
}

enum tg_status call_holds(struct db *db, const struct call_hold_query *query, bool *ret_has_more,
                          struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row;

    TRY(stmt_prepare(&stmt, db, holds_sql, err));
    stmt_bind_int(&stmt, 1, query->after_id);
    stmt_bind_int(&stmt, 2, query->scope);
    stmt_bind_optional_text(&stmt, 3, query->team_public_id);
    stmt_bind_int(&stmt, 4, query->limit + 1);
    for (int count = 0;; count++) {
        struct call_hold hold;

        TRY(stmt_step(&stmt, &has_row, err));
        *ret_has_more = has_row && count == query->limit;
        if (!has_row || *ret_has_more)
            return TG_OK;
        hold = hold_of(&stmt);
        TRY(query->on_hold(query->context, &hold));
    }
}
