#include "policy/team.h"

#include "base/clock.h"
#include "base/try.h"
#include "policy/key.h"
#include "store/stmt.h"

#include <assert.h>
#include <stdlib.h>

#define TEAM_COLUMNS                                                                               \
    "SELECT id, public_id, name, timezone, metadata, revision, created_ms, archived_ms FROM team "

static const char sql_by_public_id[] = TEAM_COLUMNS "WHERE public_id = ?1 AND (?2 = 0 OR id = ?2)";
static const char sql_by_name[] = TEAM_COLUMNS "WHERE name = ?1 AND (?2 = 0 OR id = ?2)";
static const char sql_list[] = TEAM_COLUMNS "WHERE id > ?1 AND (?2 = 0 OR id = ?2) AND (?3 = 1 OR "
                                            "archived_ms IS NULL) ORDER BY id LIMIT ?4";
static const char sql_cursor[] = "SELECT id FROM team WHERE public_id = ?1";
static const char sql_insert[] = "INSERT INTO team (public_id, name, timezone, metadata, "
                                 "created_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
static const char sql_update[] = "UPDATE team SET name = ?2, timezone = ?3, metadata = ?4, "
                                 "revision = revision + 1 WHERE id = ?1";
static const char sql_archive[] =
    "UPDATE team SET archived_ms = ?2, revision = revision + 1 WHERE id = ?1";

/* --- reading --- */

void team_fini(struct team *team)
{
    if (team == NULL)
        return;
    free(team->metadata);
    team->metadata = NULL;
}

static enum tg_status read_row(const struct stmt *stmt, struct team *ret_team, struct err *err)
{
    struct team team = { 0 };

    team.id = (int32_t)stmt_int(stmt, 0);
    account_copy_text(stmt_text(stmt, 1), team.public_id, sizeof(team.public_id));
    account_copy_text(stmt_text(stmt, 2), team.name, sizeof(team.name));
    account_copy_text(stmt_text(stmt, 3), team.timezone, sizeof(team.timezone));
    team.revision = stmt_int(stmt, 5);
    team.created_at_ms = stmt_int(stmt, 6);
    team.archived_at_ms = stmt_int(stmt, 7);
    team.metadata = span_to_string(stmt_text(stmt, 4));
    if (team.metadata == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for a team");
    *ret_team = team;
    return TG_OK;
}

/* What a team is found by. */
struct team_key {
    struct span text;
    account_scope scope;
};

static enum tg_status get_by(struct db *db, const char *sql, const struct team_key *key,
                             struct team *ret_team, struct err *err)
{
    struct stmt *stmt;
    bool has_row;
    enum tg_status status;

    TRY(stmt_use(db, sql, &stmt, err));
    stmt_bind_text(stmt, 1, key->text);
    stmt_bind_int(stmt, 2, key->scope);
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_NOT_FOUND, "there is no such team");
    status = read_row(stmt, ret_team, err);
    stmt_reset(stmt);
    return status;
}

enum tg_status team_get(struct db *db, account_scope scope, struct span public_id,
                        struct team *ret_team, struct err *err)
{
    return get_by(db, sql_by_public_id, &(struct team_key){ public_id, scope }, ret_team, err);
}

enum tg_status team_get_by_name(struct db *db, account_scope scope, struct span name,
                                struct team *ret_team, struct err *err)
{
    return get_by(db, sql_by_name, &(struct team_key){ name, scope }, ret_team, err);
}

static enum tg_status read_page(struct stmt *stmt, const struct team_query *query,
                                bool *ret_has_more, struct err *err)
{
    for (int count = 0;; count++) {
        AUTO(team) team = { 0 };
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row || count == query->page.limit) {
            *ret_has_more = has_row;
            return TG_OK;
        }
        TRY(read_row(stmt, &team, err));
        TRY(query->on_row(query->context, &team));
    }
}

enum tg_status team_list(struct db *db, const struct team_query *query, bool *ret_has_more,
                         struct err *err)
{
    struct stmt *stmt;
    int64_t after = 0;
    enum tg_status status;

    TRY(account_find_cursor(db, sql_cursor, &query->page, &after, err));
    TRY(stmt_use(db, sql_list, &stmt, err));
    stmt_bind_int(stmt, 1, after);
    stmt_bind_int(stmt, 2, query->scope);
    stmt_bind_int(stmt, 3, query->with_archived ? 1 : 0);
    stmt_bind_int(stmt, 4, query->page.limit + 1);
    status = read_page(stmt, query, ret_has_more, err);
    stmt_reset(stmt);
    return status;
}

/* --- changing --- */

static struct team_job *job_of(struct account_job *account)
{
    return (struct team_job *)account; /* its first member */
}

static enum tg_status check(struct account_job *account, struct err *err)
{
    const struct team_input *input = &job_of(account)->input;
    const bool is_creation = job_of(account)->action == TEAM_CREATE;

    if (job_of(account)->action == TEAM_ARCHIVE)
        return TG_OK;
    if (input->has_name || is_creation)
        TRY(account_check_name(account, input->name, err));
    if (input->has_timezone && input->timezone.len > 0)
        TRY(account_check_timezone(account, input->timezone, err));
    if (input->has_metadata && input->metadata.len > 0)
        TRY(account_check_metadata(account, input->metadata, err));
    return TG_OK;
}

/* A name that is taken is the caller's to change; all else is told as it is. */
static enum tg_status run_named(struct team_job *job, struct stmt *stmt, struct err *err)
{
    const enum tg_status status = stmt_run(stmt, err);

    if (status != TG_CONFLICT)
        return status;
    job->account.problem_pointer = "/name";
    return err_set(err, status, "a team of that name exists already; archived ones keep theirs");
}

static struct span metadata_or_none(struct span metadata)
{
    return metadata.len > 0 ? metadata : SPAN("{}");
}

static enum tg_status create(struct team_job *job, struct db *db, struct err *err)
{
    const struct team_input *input = &job->input;
    char public_id[ID_TEXT_SIZE];
    struct stmt *stmt;

    id_make_name("team_", public_id);
    TRY(stmt_use(db, sql_insert, &stmt, err));
    stmt_bind_text(stmt, 1, span_from(public_id));
    stmt_bind_text(stmt, 2, input->name);
    stmt_bind_optional_text(stmt, 3, input->has_timezone ? input->timezone : SPAN_EMPTY);
    stmt_bind_text(stmt, 4, metadata_or_none(input->has_metadata ? input->metadata : SPAN_EMPTY));
    stmt_bind_int(stmt, 5, clock_wall_ms());
    TRY(run_named(job, stmt, err));
    return team_get(db, ACCOUNT_ALL, span_from(public_id), &job->after, err);
}

static enum tg_status update(struct team_job *job, struct db *db, struct err *err)
{
    const struct team *before = &job->before;
    const struct team_input *input = &job->input;
    struct stmt *stmt;

    assert(before->metadata != NULL);
    if (before->archived_at_ms != 0)
        return err_set(err, TG_CONFLICT, "the team is archived");
    TRY(stmt_use(db, sql_update, &stmt, err));
    stmt_bind_int(stmt, 1, before->id);
    stmt_bind_text(stmt, 2, input->has_name ? input->name : span_from(before->name));
    stmt_bind_optional_text(stmt, 3,
                            input->has_timezone ? input->timezone : span_from(before->timezone));
    stmt_bind_text(stmt, 4,
                   input->has_metadata ? metadata_or_none(input->metadata)
                                       : span_from(before->metadata));
    return run_named(job, stmt, err);
}

static enum tg_status archive(struct team_job *job, struct db *db, struct err *err)
{
    struct stmt *stmt;

    if (job->before.archived_at_ms != 0)
        return TG_OK;
    TRY(stmt_use(db, sql_archive, &stmt, err));
    stmt_bind_int(stmt, 1, job->before.id);
    stmt_bind_int(stmt, 2, clock_wall_ms());
    return stmt_run(stmt, err);
}

static enum tg_status apply(struct account_job *account, struct db *db, struct err *err)
{
    struct team_job *job = job_of(account);

    team_job_fini(job); /* of a run that was rolled back */
    if (job->action == TEAM_CREATE)
        return create(job, db, err);
    TRY(team_get(db, job->scope, job->public_id, &job->before, err));
    TRY(account_check_revision(job->before.revision, job->if_revision, err));
    if (job->action == TEAM_UPDATE)
        TRY(update(job, db, err));
    else
        TRY(archive(job, db, err));
    return team_get(db, ACCOUNT_ALL, job->public_id, &job->after, err);
}

static enum tg_status publish(struct account_job *account, struct db *db, struct err *err)
{
    struct team_job *job = job_of(account);

    if (job->keyring == NULL || job->action != TEAM_ARCHIVE)
        return TG_OK;
    return keyring_refresh_team(job->keyring, db, job->after.id, err);
}

void team_job_init(struct team_job *job, enum team_action action, struct keyring *keyring)
{
    *job = (struct team_job){ .action = action, .keyring = keyring };
    account_job_init(&job->account);
    job->account.check = check;
    job->account.apply = apply;
    job->account.publish = publish;
}

void team_job_fini(struct team_job *job)
{
    team_fini(&job->before);
    team_fini(&job->after);
}
