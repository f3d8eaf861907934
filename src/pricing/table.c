#include "pricing/table.h"

#include "base/try.h"
#include "store/stmt.h"

#define PRICE_COLUMNS                                                                              \
    "provider, model, component, unit, unit_price_pusd, tier, ctx_min, variant, utc_window, "      \
    "valid_from_ms, valid_until_ms, as_of, sources, status, dissent, origin, team_id"

#define TEAM_COLUMN 18 /* of sql_list, behind PRICE_COLUMNS */

static const char sql_read[] = "SELECT id, " PRICE_COLUMNS " FROM price"
                               " WHERE origin = 'seed' OR ?1 /* scan */";
static const char sql_list[] =
    "SELECT id, " PRICE_COLUMNS ", (SELECT public_id FROM team WHERE team.id = price.team_id)"
    " FROM price WHERE id > ?1 AND (?2 = 0 OR id = ?2)"
    " AND (?3 < 0 OR (valid_from_ms <= ?3 AND valid_until_ms > ?3))"
    " AND (?4 = '' OR team_id = (SELECT t.id FROM team AS t WHERE t.public_id = ?4))"
    " AND (?5 = 0 OR origin = CASE ?5 WHEN 1 THEN 'seed' ELSE 'override' END)"
    " AND (?6 = '' OR provider = ?6) AND (?7 = '' OR model = ?7 COLLATE NOCASE)"
    " AND (?8 = '' OR component = ?8) AND (?9 = '' OR tier = ?9)"
    " ORDER BY id LIMIT ?10 /* scan */";
static const char sql_insert[] =
    "INSERT INTO price (" PRICE_COLUMNS ")"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
static const char sql_read_markups[] =
    "SELECT id, side, provider, model, team_id, num, den, valid_from_ms, valid_until_ms, note,"
    " (SELECT public_id FROM team WHERE team.id = price_markup.team_id)"
    " FROM price_markup ORDER BY id /* scan */";
static const char sql_close[] = "UPDATE price SET valid_until_ms = ?2 WHERE id = ?1";
/* A program that was put back to an older version brings its older file: the latest one counts. */
static const char sql_is_latest_seed[] =
    "SELECT sha256 = ?1 FROM price_seed ORDER BY loaded_ms DESC LIMIT 1 /* scan */";
static const char sql_note_seed[] =
    "INSERT INTO price_seed (sha256, loaded_ms, row_count)"
    " VALUES (?1, max(?3, (SELECT coalesce(max(loaded_ms) + 1, 0) FROM price_seed)), ?2)"
    " ON CONFLICT (sha256) DO UPDATE SET loaded_ms = excluded.loaded_ms,"
    " row_count = excluded.row_count /* scan */";

static enum tg_status copy_texts(struct price_list *list, const struct stmt *stmt,
                                 struct price *price)
{
    const struct {
        int column;
        struct span *text;
    } texts[] = {
        { 1, &price->provider },   { 2, &price->model },    { 8, &price->variant },
        { 9, &price->utc_window }, { 12, &price->as_of },   { 13, &price->sources },
        { 14, &price->status },    { 15, &price->dissent },
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        TRY(price_list_copy(list, stmt_text(stmt, texts[i].column), texts[i].text));
    return TG_OK;
}

static enum tg_status read_row(struct price_list *list, const struct stmt *stmt, struct err *err)
{
    struct price price = {
        .id = stmt_int(stmt, 0),
        .unit_price_pusd = stmt_int(stmt, 5),
        .ctx_min = stmt_int(stmt, 7),
        .valid_from_ms = stmt_int(stmt, 10),
        .valid_until_ms = stmt_int(stmt, 11),
        .is_override = span_equal(stmt_text(stmt, 16), SPAN("override")),
        .team_id = (int32_t)stmt_int(stmt, 17),
    };

    if (!price_class_from_name(stmt_text(stmt, 3), &price.class))
        return err_set(err, TG_CORRUPT, "price %lld: component is not a known one",
                       (long long)price.id);
    if (!price_unit_from_name(stmt_text(stmt, 4), &price.unit))
        return err_set(err, TG_CORRUPT, "price %lld: unit is not a known one", (long long)price.id);
    if (!price_tier_from_name(stmt_text(stmt, 6), &price.tier))
        return err_set(err, TG_CORRUPT, "price %lld: tier is not a known one", (long long)price.id);
    TRY(copy_texts(list, stmt, &price));

    const enum tg_status status = price_list_add(list, &price);

    if (status == TG_TOO_LARGE)
        return err_set(err, status, "price: more than %d rows", PRICE_ROWS_MAX);
    return status;
}

enum tg_status table_read(struct db *db, enum table_origin origin, struct price_list *list,
                          struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = true;

    TRY(stmt_prepare(&stmt, db, sql_read, err));
    stmt_bind_int(&stmt, 1, origin == TABLE_ALL ? 1 : 0);
    TRY(stmt_step(&stmt, &has_row, err));
    while (has_row) {
        TRY(read_row(list, &stmt, err));
        TRY(stmt_step(&stmt, &has_row, err));
    }
    return TG_OK;
}

static enum tg_status read_markup(struct markup_list *list, const struct stmt *stmt,
                                  struct err *err)
{
    struct markup markup = {
        .id = stmt_int(stmt, 0),
        .provider = stmt_text(stmt, 2),
        .model = stmt_text(stmt, 3),
        .team_id = (int32_t)stmt_int(stmt, 4),
        .factor = { stmt_int(stmt, 5), stmt_int(stmt, 6) },
        .valid_from_ms = stmt_int(stmt, 7),
        .valid_until_ms = stmt_int(stmt, 8),
        .note = stmt_text(stmt, 9),
        .team_public_id = stmt_text(stmt, 10),
    };

    if (!markup_side_from_name(stmt_text(stmt, 1), &markup.side))
        return err_set(err, TG_CORRUPT, "price_markup %lld: side is not a known one",
                       (long long)markup.id);
    const enum tg_status status = markup_list_add(list, &markup);

    if (status == TG_TOO_LARGE)
        return err_set(err, status, "price_markup: more than %d rows", MARKUP_ROWS_MAX);
    return status;
}

enum tg_status table_read_markups(struct db *db, struct markup_list *list, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = true;

    TRY(stmt_prepare(&stmt, db, sql_read_markups, err));
    TRY(stmt_step(&stmt, &has_row, err));
    while (has_row) {
        TRY(read_markup(list, &stmt, err));
        TRY(stmt_step(&stmt, &has_row, err));
    }
    return TG_OK;
}

static enum tg_status insert_row(struct stmt *stmt, const struct price *price, struct err *err)
{
    stmt_bind_text(stmt, 1, price->provider);
    stmt_bind_text(stmt, 2, price->model);
    stmt_bind_text(stmt, 3, span_from(tg_class_name(price->class)));
    stmt_bind_text(stmt, 4, span_from(price_unit_name(price->unit)));
    stmt_bind_int(stmt, 5, price->unit_price_pusd);
    stmt_bind_text(stmt, 6, span_from(price_tier_name(price->tier)));
    stmt_bind_int(stmt, 7, price->ctx_min);
    stmt_bind_text(stmt, 8, price->variant);
    stmt_bind_text(stmt, 9, price->utc_window);
    stmt_bind_int(stmt, 10, price->valid_from_ms);
    stmt_bind_int(stmt, 11, price->valid_until_ms);
    stmt_bind_text(stmt, 12, price->as_of);
    stmt_bind_text(stmt, 13, price->sources);
    stmt_bind_text(stmt, 14, price->status);
    stmt_bind_text(stmt, 15, price->dissent);
    stmt_bind_text(stmt, 16, price->is_override ? SPAN("override") : SPAN("seed"));
    stmt_bind_optional_int(stmt, 17, price->team_id, 0);
    return stmt_run(stmt, err);
}

enum tg_status table_insert(struct db *db, const struct price *price, struct err *err)
{
    struct stmt *stmt;

    TRY(stmt_use(db, sql_insert, &stmt, err));
    return insert_row(stmt, price, err);
}

static void bind_query(struct stmt *stmt, const struct table_query *query)
{
    /* So that one row is found by its key. */
    stmt_bind_int(stmt, 1, query->id > 0 ? query->id - 1 : query->after_id);
    stmt_bind_int(stmt, 2, query->id);
    stmt_bind_int(stmt, 3, query->as_of_ms);
    stmt_bind_text(stmt, 4, query->team_public_id);
    stmt_bind_int(stmt, 5, query->origin);
    stmt_bind_text(stmt, 6, query->provider);
    stmt_bind_text(stmt, 7, query->model);
    stmt_bind_text(stmt, 8, query->component);
    stmt_bind_text(stmt, 9, query->tier);
    stmt_bind_int(stmt, 10, query->limit);
}

static enum tg_status read_listed(struct price_list *list, const struct stmt *stmt, struct err *err)
{
    TRY(read_row(list, stmt, err));
    return price_list_copy(list, stmt_text(stmt, TEAM_COLUMN),
                           &list->rows[list->count - 1].team_public_id);
}

enum tg_status table_list(struct db *db, const struct table_query *query, struct price_list *list,
                          struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = true;

    TRY(stmt_prepare(&stmt, db, sql_list, err));
    bind_query(&stmt, query);
    TRY(stmt_step(&stmt, &has_row, err));
    while (has_row) {
        TRY(read_listed(list, &stmt, err));
        TRY(stmt_step(&stmt, &has_row, err));
    }
    return TG_OK;
}

enum tg_status table_apply(struct db *db, const struct seed_plan *plan, struct err *err)
{
    AUTO(stmt) close_stmt = { 0 };
    AUTO(stmt) insert_stmt = { 0 };

    TRY(stmt_prepare(&close_stmt, db, sql_close, err));
    TRY(stmt_prepare(&insert_stmt, db, sql_insert, err));
    for (size_t i = 0; i < plan->close_count; i++) {
        stmt_bind_int(&close_stmt, 1, plan->closes[i].id);
        stmt_bind_int(&close_stmt, 2, plan->closes[i].until_ms);
        TRY(stmt_run(&close_stmt, err));
    }
    for (size_t i = 0; i < plan->insert_count; i++)
        TRY(insert_row(&insert_stmt, &plan->inserts[i], err));
    return TG_OK;
}

enum tg_status table_is_latest_seed(struct db *db, const char *sha256_hex, bool *ret_is_latest,
                                    struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    int64_t is_latest = 0;

    TRY(stmt_prepare(&stmt, db, sql_is_latest_seed, err));
    stmt_bind_text(&stmt, 1, span_from(sha256_hex));
    TRY(stmt_run_int(&stmt, &is_latest, err));
    *ret_is_latest = is_latest != 0;
    return TG_OK;
}

enum tg_status table_note_seed(struct db *db, const char *sha256_hex, int64_t row_count,
                               int64_t now_ms, struct err *err)
{
    AUTO(stmt) stmt = { 0 };

    TRY(stmt_prepare(&stmt, db, sql_note_seed, err));
    stmt_bind_text(&stmt, 1, span_from(sha256_hex));
    stmt_bind_int(&stmt, 2, row_count);
    stmt_bind_int(&stmt, 3, now_ms);
    return stmt_run(&stmt, err);
}
