#include "metering/price_job.h"

#include "base/clock.h"
#include "base/try.h"
#include "pricing/table.h"
#include "store/stmt.h"

#include <assert.h>
#include <stdio.h>

static const char sql_team[] = "SELECT id FROM team WHERE public_id = ?1";
/* The open rows of the same subject that began before. */
static const char sql_end_before[] =
    "UPDATE price SET valid_until_ms = ?12 WHERE provider = ?1 AND model = ?2 AND component = ?3"
    " AND unit = ?4 AND tier = ?5 AND ctx_min = ?6 AND variant = ?7 AND utc_window = ?8"
    " AND team_id IS ?9 AND origin = 'override' AND valid_until_ms = ?10 AND valid_from_ms <= ?11";
static const char sql_find_price[] = "SELECT origin = 'override' FROM price WHERE id = ?1";
static const char sql_close_price[] =
    "UPDATE price SET valid_until_ms = max(valid_from_ms, ?2) WHERE id = ?1"
    " AND valid_until_ms > max(valid_from_ms, ?2)";
static const char sql_count_prices[] = "SELECT count(*) FROM price /* scan */";
static const char sql_count_markups[] = "SELECT count(*) FROM price_markup /* scan */";
static const char sql_insert_markup[] =
    "INSERT INTO price_markup (side, provider, model, team_id, num, den, valid_from_ms,"
    " valid_until_ms, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
static const char sql_last_id[] = "SELECT last_insert_rowid() /* scan */";
static const char sql_close_markup[] =
    "UPDATE price_markup SET valid_until_ms = max(valid_from_ms, ?2) WHERE id = ?1"
    " AND valid_until_ms > max(valid_from_ms, ?2)";
static const char sql_find_markup[] = "SELECT 1 FROM price_markup WHERE id = ?1";

static struct price_job *job_of(struct account_job *account)
{
    return (struct price_job *)account; /* its first member */
}

/* --- checking ----------------------------------------------------------------------------------
 */

static enum tg_status check_markup(struct price_job *job, struct err *err)
{
    const struct markup *markup = &job->markup;
    size_t star;

    if (markup->side == MARKUP_COST && job->team_public_id.len > 0)
        return account_fail(&job->account, err, "/team_id",
                            "team_id may be given for the side charge only");
    if (markup->factor.den < 1 || markup->factor.den > MARKUP_DEN_MAX || markup->factor.num < 0 ||
        markup->factor.num > MARKUP_NUM_MAX)
        return account_fail(&job->account, err, "/factor",
                            "factor must be 0 to 100, with up to 4 decimals");
    if (markup->provider.len > PRICE_PROVIDER_MAX)
        return account_fail(&job->account, err, "/provider", "provider must be a name of the book");
    if (markup->model.len > MARKUP_MODEL_MAX ||
        (span_find_byte(markup->model, '*', &star) && star + 1 != markup->model.len))
        return account_fail(&job->account, err, "/model",
                            "model must be a name, or the beginning of one and a '*'");
    if (markup->note.len > MARKUP_NOTE_MAX)
        return account_fail(&job->account, err, "/note", "note must have at most 200 bytes");
    if (markup->valid_until_ms <= markup->valid_from_ms)
        return account_fail(&job->account, err, "/valid_until",
                            "valid_until must be after valid_from");
    return TG_OK;
}

static enum tg_status check_price(struct price_job *job, const struct price *price, struct err *err)
{
    struct account_job *account = &job->account;
    enum cost_per per;
    const char *complaint;

    assert(price->is_override);
    if (!price_fits(price->class, price->unit, &per))
        return account_fail(account, err, "/unit",
                            "unit must be the one that the class is counted in");
    if (price->valid_until_ms <= price->valid_from_ms)
        return account_fail(account, err, "/valid_until", "valid_until must be after valid_from");
    complaint = price_complaint(price);
    if (complaint == NULL)
        return TG_OK;
    /* It begins with the field's name. */
    (void)snprintf(account->pointer, sizeof(account->pointer), "/%.*s",
                   (int)strcspn(complaint, " ,"), complaint);
    return account_fail(account, err, account->pointer, complaint);
}

static enum tg_status check(struct account_job *account, struct err *err)
{
    struct price_job *job = job_of(account);

    if (job->action == PRICE_MARKUP_SET)
        return check_markup(job, err);
    for (size_t i = 0; job->action == PRICE_SET && i < job->price_count; i++)
        TRY(check_price(job, &job->prices[i], err));
    return TG_OK;
}

/* --- applying ----------------------------------------------------------------------------------
 */

static enum tg_status find_team(struct price_job *job, struct db *db, int32_t *ret_team_id,
                                struct err *err)
{
    struct stmt *stmt;
    int64_t id = 0;

    *ret_team_id = 0;
    if (job->team_public_id.len == 0)
        return TG_OK;
    TRY(stmt_use(db, sql_team, &stmt, err));
    stmt_bind_text(stmt, 1, job->team_public_id);
    TRY(stmt_run_int(stmt, &id, err));
    if (id == 0) {
        job->account.problem_pointer = "/team_id";
        return err_set(err, TG_NOT_FOUND, "there is no such team");
    }
    *ret_team_id = (int32_t)id;
    return TG_OK;
}

static enum tg_status count_of(struct db *db, const char *sql, int64_t *ret_count, struct err *err)
{
    struct stmt *stmt;

    TRY(stmt_use(db, sql, &stmt, err));
    return stmt_run_int(stmt, ret_count, err);
}

static enum tg_status end_before(struct db *db, const struct price *price, struct err *err)
{
    struct stmt *stmt;

    if (price->valid_until_ms != PRICE_FOREVER)
        return TG_OK;
    TRY(stmt_use(db, sql_end_before, &stmt, err));
    stmt_bind_text(stmt, 1, price->provider);
    stmt_bind_text(stmt, 2, price->model);
    stmt_bind_text(stmt, 3, span_from(tg_class_name(price->class)));
    stmt_bind_text(stmt, 4, span_from(price_unit_name(price->unit)));
    stmt_bind_text(stmt, 5, span_from(price_tier_name(price->tier)));
    stmt_bind_int(stmt, 6, price->ctx_min);
    stmt_bind_text(stmt, 7, price->variant);
    stmt_bind_text(stmt, 8, price->utc_window);
    stmt_bind_optional_int(stmt, 9, price->team_id, 0);
    stmt_bind_int(stmt, 10, PRICE_FOREVER);
    stmt_bind_int(stmt, 11, price->valid_from_ms);
    stmt_bind_int(stmt, 12, price->valid_from_ms);
    return stmt_run(stmt, err);
}

static enum tg_status set_price(struct db *db, struct price *price, int32_t team_id,
                                struct err *err)
{
    price->team_id = team_id;
    TRY(end_before(db, price, err));
    TRY(table_insert(db, price, err));
    return count_of(db, sql_last_id, &price->id, err);
}

static enum tg_status set_prices(struct price_job *job, struct db *db, struct err *err)
{
    int64_t count = 0;
    int32_t team_id;

    TRY(find_team(job, db, &team_id, err));
    TRY(count_of(db, sql_count_prices, &count, err));
    if (count + (int64_t)job->price_count > PRICE_ROWS_MAX)
        return err_set(err, TG_TOO_LARGE, "there would be more than %d prices", PRICE_ROWS_MAX);
    for (size_t i = 0; i < job->price_count; i++)
        TRY(set_price(db, &job->prices[i], team_id, err));
    return TG_OK;
}

static enum tg_status set_markup(struct price_job *job, struct db *db, struct err *err)
{
    struct markup *markup = &job->markup;
    struct stmt *stmt;
    int64_t count = 0;

    TRY(find_team(job, db, &markup->team_id, err));
    TRY(count_of(db, sql_count_markups, &count, err));
    if (count >= MARKUP_ROWS_MAX)
        return err_set(err, TG_TOO_LARGE, "there are %d markups", MARKUP_ROWS_MAX);
    TRY(stmt_use(db, sql_insert_markup, &stmt, err));
    stmt_bind_text(stmt, 1, span_from(markup_side_name(markup->side)));
    stmt_bind_text(stmt, 2, markup->provider);
    stmt_bind_text(stmt, 3, markup->model);
    stmt_bind_optional_int(stmt, 4, markup->team_id, 0);
    stmt_bind_int(stmt, 5, markup->factor.num);
    stmt_bind_int(stmt, 6, markup->factor.den);
    stmt_bind_int(stmt, 7, markup->valid_from_ms);
    stmt_bind_int(stmt, 8, markup->valid_until_ms);
    stmt_bind_text(stmt, 9, markup->note);
    TRY(stmt_run(stmt, err));
    return count_of(db, sql_last_id, &markup->id, err);
}

static enum tg_status close_row(struct price_job *job, struct db *db, const char *sql_find,
                                const char *sql_close, struct err *err)
{
    struct stmt *stmt;
    int64_t may_end = -1;

    TRY(stmt_use(db, sql_find, &stmt, err));
    stmt_bind_int(stmt, 1, job->id);
    TRY(stmt_run_int(stmt, &may_end, err));
    if (may_end < 0)
        return err_set(err, TG_NOT_FOUND, "there is no such price");
    if (may_end == 0)
        return err_set(err, TG_CONFLICT,
                       "a price of the book cannot be ended; set one of your own instead");
    TRY(stmt_use(db, sql_close, &stmt, err));
    stmt_bind_int(stmt, 1, job->id);
    stmt_bind_int(stmt, 2, clock_wall_ms());
    return stmt_run(stmt, err);
}

static enum tg_status apply(struct account_job *account, struct db *db, struct err *err)
{
    struct price_job *job = job_of(account);

    switch (job->action) {
    case PRICE_SET:
        return set_prices(job, db, err);
    case PRICE_CLOSE:
        return close_row(job, db, sql_find_price, sql_close_price, err);
    case PRICE_MARKUP_SET:
        return set_markup(job, db, err);
    case PRICE_MARKUP_CLOSE:
        return close_row(job, db, sql_find_markup, sql_close_markup, err);
    }
    return TG_INTERNAL;
}

void price_job_init(struct price_job *job, enum price_action action)
{
    *job = (struct price_job){ .action = action };
    account_job_init(&job->account);
    job->account.check = check;
    job->account.apply = apply;
}
