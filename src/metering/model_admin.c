#include "metering/model_admin.h"

#include "base/clock.h"
#include "base/try.h"
#include "store/stmt.h"

/* ?1 is the time at which a price must hold. */
#define MODEL_COLUMNS                                                                              \
    "SELECT id, provider, name, kind, context_sources, output_sources, context_tokens, "           \
    "max_output_tokens, default_output_tokens, output_field, is_reasoning, own_context_tokens, "   \
    "own_max_output_tokens, own_output_field, own_is_free, own_ceiling_price_pusd, revision, "     \
    "changed_ms, EXISTS (SELECT 1 FROM price AS p WHERE p.provider = model.provider "              \
    "AND p.model = model.name AND p.valid_from_ms <= ?1 AND p.valid_until_ms > ?1) FROM model "

static const char sql_get[] = MODEL_COLUMNS "WHERE provider = ?2 AND match_name = ?3";
static const char sql_list[] =
    MODEL_COLUMNS "WHERE (provider, match_name) > (?2, ?3) AND (?4 IS NULL OR provider = ?4) "
                  "AND (?5 IS NULL OR instr(match_name, ?5) > 0) "
                  "ORDER BY provider, match_name LIMIT ?6";
static const char sql_cursor[] = "SELECT provider, match_name FROM model WHERE id = ?1";
static const char sql_count[] = "SELECT count(*) FROM model /* scan */";
static const char sql_knows_provider[] =
    "SELECT EXISTS (SELECT 1 FROM model WHERE provider = ?1) "
    "OR EXISTS (SELECT 1 FROM price WHERE provider = ?1) "
    "OR EXISTS (SELECT 1 FROM provider WHERE name = ?1 AND deleted_ms IS NULL)";
static const char sql_add[] = "INSERT INTO model (provider, name, match_name, origin, revision) "
                              "VALUES (?1, ?2, ?3, 'owner', 1)";
static const char sql_set[] =
    "UPDATE model SET own_context_tokens = ?3, own_max_output_tokens = ?4, own_output_field = ?5, "
    "own_is_free = ?6, own_ceiling_price_pusd = ?7, changed_ms = ?8, revision = revision + ?9 "
    "WHERE provider = ?1 AND match_name = ?2";

/* --- reading ---------------------------------------------------------------------------------- */

static void read_row(const struct stmt *stmt, struct model_entry *ret_entry)
{
    const struct model seed = {
        .context_tokens = stmt_int(stmt, 6),
        .max_output_tokens = stmt_int(stmt, 7),
        .default_output_tokens = stmt_int(stmt, 8),
        .output_field = model_output_field(stmt_text(stmt, 9)),
        .is_reasoning = stmt_int(stmt, 10) != 0,
    };
    struct model_entry entry = { .id = stmt_int(stmt, 0) };

    account_copy_text(stmt_text(stmt, 1), entry.provider, sizeof(entry.provider));
    account_copy_text(stmt_text(stmt, 2), entry.name, sizeof(entry.name));
    account_copy_text(stmt_text(stmt, 3), entry.kind, sizeof(entry.kind));
    account_copy_text(stmt_text(stmt, 4), entry.context_sources, sizeof(entry.context_sources));
    account_copy_text(stmt_text(stmt, 5), entry.output_sources, sizeof(entry.output_sources));
    entry.own = (struct model){
        .context_tokens = stmt_int(stmt, 11),
        .max_output_tokens = stmt_int(stmt, 12),
        .output_field = model_output_field(stmt_text(stmt, 13)),
        .is_free = stmt_int(stmt, 14) != 0,
        .ceiling_price_pusd = stmt_int(stmt, 15),
    };
    entry.model = model_merge(&seed, &entry.own);
    entry.owned = model_owned(&entry.own);
    entry.revision = stmt_int(stmt, 16);
    entry.changed_at_ms = stmt_int(stmt, 17);
    entry.has_price = stmt_int(stmt, 18) != 0;
    *ret_entry = entry;
}

enum tg_status model_entry_get(struct db *db, struct span provider, struct span name,
                               struct model_entry *ret_entry, struct err *err)
{
    char match_name[MATCH_NAME_MAX];
    struct stmt *stmt;
    bool has_row;

    TRY(stmt_use(db, sql_get, &stmt, err));
    stmt_bind_int(stmt, 1, clock_wall_ms());
    stmt_bind_text(stmt, 2, provider);
    stmt_bind_text(stmt, 3, span_of(match_name, match_normalise(name, match_name)));
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_NOT_FOUND, "there is no such model");
    read_row(stmt, ret_entry);
    stmt_reset(stmt);
    return TG_OK;
}

/* Where a list goes on: behind a provider and a name. */
struct cursor {
    char provider[PRICE_PROVIDER_MAX + 1];
    char match_name[MATCH_NAME_MAX + 1];
};

static enum tg_status find_cursor(struct db *db, int64_t after_id, struct cursor *cursor,
                                  struct err *err)
{
    struct stmt *stmt;
    bool has_row;

    *cursor = (struct cursor){ 0 };
    if (after_id == 0)
        return TG_OK;
    TRY(stmt_use(db, sql_cursor, &stmt, err));
    stmt_bind_int(stmt, 1, after_id);
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_INVALID, "after must be the next_cursor of an earlier answer");
    account_copy_text(stmt_text(stmt, 0), cursor->provider, sizeof(cursor->provider));
    account_copy_text(stmt_text(stmt, 1), cursor->match_name, sizeof(cursor->match_name));
    stmt_reset(stmt);
    return TG_OK;
}

static enum tg_status read_page(struct stmt *stmt, const struct model_query *query,
                                bool *ret_has_more, struct err *err)
{
    for (int count = 0;; count++) {
        struct model_entry entry;
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row || count == query->limit) {
            *ret_has_more = has_row;
            return TG_OK;
        }
        read_row(stmt, &entry);
        TRY(query->on_row(query->context, &entry));
    }
}

enum tg_status model_entry_list(struct db *db, const struct model_query *query, bool *ret_has_more,
                                struct err *err)
{
    char text[MATCH_NAME_MAX];
    struct span part = SPAN_EMPTY;
    struct cursor cursor;
    struct stmt *stmt;
    enum tg_status status;

    if (query->text.len > 0) {
        part = span_of(text, match_normalise(query->text, text));
        if (part.len == 0)
            return err_set(err, TG_INVALID, "q must be a part of a name, at most %d bytes",
                           MATCH_NAME_MAX);
    }
    TRY(find_cursor(db, query->after_id, &cursor, err));
    TRY(stmt_use(db, sql_list, &stmt, err));
    stmt_bind_int(stmt, 1, clock_wall_ms());
    stmt_bind_text(stmt, 2, span_from(cursor.provider));
    stmt_bind_text(stmt, 3, span_from(cursor.match_name));
    stmt_bind_optional_text(stmt, 4, query->provider);
    stmt_bind_optional_text(stmt, 5, part);
    stmt_bind_int(stmt, 6, query->limit + 1);
    status = read_page(stmt, query, ret_has_more, err);
    stmt_reset(stmt);
    return status;
}

/* --- changing --------------------------------------------------------------------------------- */

static struct model_job *job_of(struct account_job *account)
{
    return (struct model_job *)account; /* its first member */
}

static enum tg_status check(struct account_job *account, struct err *err)
{
    const struct model_job *job = job_of(account);
    const struct model_input *input = &job->input;
    const struct model_row row = { .provider = job->provider, .name = job->name };
    const char *complaint = model_row_complaint(&row);

    /* What cannot be a name is not there. */
    if (complaint != NULL)
        return err_set(err, TG_NOT_FOUND, "%s", complaint);
    if (input->has_output_field && input->output_field.len > 0 &&
        model_output_field(input->output_field) == NULL)
        return account_fail(account, err, "/output_field",
                            "output_field must be max_tokens, max_completion_tokens or "
                            "generationConfig.maxOutputTokens");
    return TG_OK;
}

static enum tg_status add(struct model_job *job, struct db *db, struct span match_name,
                          struct err *err)
{
    struct stmt *stmt;
    int64_t count = 0;
    int64_t is_known = 0;

    TRY(stmt_use(db, sql_knows_provider, &stmt, err));
    stmt_bind_text(stmt, 1, job->provider);
    TRY(stmt_run_int(stmt, &is_known, err));
    if (is_known == 0)
        return err_set(err, TG_NOT_FOUND, "there is no provider %.*s", SPAN_ARG(job->provider));
    TRY(stmt_use(db, sql_count, &stmt, err));
    TRY(stmt_run_int(stmt, &count, err));
    if (count >= MODEL_ROWS_MAX)
        return err_set(err, TG_CONFLICT, "there are %d models already", MODEL_ROWS_MAX);
    TRY(stmt_use(db, sql_add, &stmt, err));
    stmt_bind_text(stmt, 1, job->provider);
    stmt_bind_text(stmt, 2, job->name);
    stmt_bind_text(stmt, 3, match_name);
    return stmt_run(stmt, err);
}

/* What an owner says after the change. */
static struct model merge_input(const struct model_job *job)
{
    const struct model_input *input = &job->input;
    struct model own = job->before.own;

    if (input->has_context)
        own.context_tokens = input->context_tokens;
    if (input->has_max_output)
        own.max_output_tokens = input->max_output_tokens;
    if (input->has_output_field)
        own.output_field = model_output_field(input->output_field);
    if (input->has_free)
        own.is_free = input->is_free;
    if (input->has_ceiling_price)
        own.ceiling_price_pusd = input->ceiling_price_pusd;
    return own;
}

static enum tg_status set(struct model_job *job, struct db *db, struct span match_name,
                          struct err *err)
{
    const struct model own = merge_input(job);
    struct stmt *stmt;

    TRY(stmt_use(db, sql_set, &stmt, err));
    stmt_bind_text(stmt, 1, job->provider);
    stmt_bind_text(stmt, 2, match_name);
    stmt_bind_optional_int(stmt, 3, own.context_tokens, 0);
    stmt_bind_optional_int(stmt, 4, own.max_output_tokens, 0);
    stmt_bind_optional_text(stmt, 5,
                            own.output_field != NULL ? span_from(own.output_field) : SPAN_EMPTY);
    stmt_bind_int(stmt, 6, own.is_free ? 1 : 0);
    stmt_bind_optional_int(stmt, 7, own.ceiling_price_pusd, 0);
    stmt_bind_int(stmt, 8, clock_wall_ms());
    stmt_bind_int(stmt, 9, job->before.id != 0 ? 1 : 0);
    return stmt_run(stmt, err);
}

static enum tg_status apply(struct account_job *account, struct db *db, struct err *err)
{
    struct model_job *job = job_of(account);
    char text[MATCH_NAME_MAX];
    const struct span match_name = span_of(text, match_normalise(job->name, text));
    enum tg_status status;

    job->before = (struct model_entry){ 0 }; /* of a run that was rolled back */
    job->after = (struct model_entry){ 0 };
    status = model_entry_get(db, job->provider, job->name, &job->before, NULL);
    if (status != TG_OK && status != TG_NOT_FOUND)
        return err_set(err, status, "the models cannot be read");
    TRY(account_check_revision(job->before.revision, job->if_revision, err));
    if (status == TG_NOT_FOUND)
        TRY(add(job, db, match_name, err));
    TRY(set(job, db, match_name, err));
    return model_entry_get(db, job->provider, job->name, &job->after, err);
}

static enum tg_status publish(struct account_job *account, struct db *db, struct err *err)
{
    struct model_job *job = job_of(account);

    if (job->models == NULL)
        return TG_OK;
    return model_store_refresh(job->models, db, err);
}

void model_job_init(struct model_job *job, struct model_store *models)
{
    *job = (struct model_job){ .models = models };
    account_job_init(&job->account);
    job->account.check = check;
    job->account.apply = apply;
    job->account.publish = publish;
}
