#include "policy/key_admin.h"

#include "base/clock.h"
#include "base/try.h"
#include "policy/key.h"
#include "policy/team.h"
#include "store/stmt.h"

#include <assert.h>
#include <stdlib.h>

#define MS_PER_SECOND 1000

#define KEY_COLUMNS                                                                                \
    "SELECT k.id, k.public_id, k.team_id, (SELECT public_id FROM team WHERE id = k.team_id), "     \
    "k.name, k.prefix, "                                                                           \
    "(SELECT last4 FROM key_secret WHERE key_id = k.id ORDER BY id DESC LIMIT 1), "                \
    "k.models, k.metadata, k.revision, k.created_ms, k.expires_ms, k.revoked_ms, k.last_used_ms "  \
    "FROM \"key\" AS k "

static const char sql_by_public_id[] =
    KEY_COLUMNS "WHERE k.public_id = ?1 AND (?2 = 0 OR k.team_id = ?2)";
static const char sql_list[] =
    KEY_COLUMNS "WHERE k.id > ?1 AND (?2 = 1 OR k.revoked_ms IS NULL) ORDER BY k.id LIMIT ?3";
static const char sql_list_of_team[] =
    KEY_COLUMNS "WHERE k.team_id = ?4 AND k.id > ?1 AND (?2 = 1 OR k.revoked_ms IS NULL) "
                "ORDER BY k.id LIMIT ?3";
static const char sql_cursor[] = "SELECT id FROM \"key\" WHERE public_id = ?1";
static const char sql_name[] = "SELECT public_id FROM \"key\" WHERE id = ?1";
static const char sql_insert[] = "INSERT INTO \"key\" (public_id, team_id, name, prefix, models, "
                                 "metadata, created_ms, expires_ms) "
                                 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
static const char sql_insert_secret[] =
    "INSERT INTO key_secret (key_id, hash, last4, created_ms) VALUES (?1, ?2, ?3, ?4)";
static const char sql_update[] = "UPDATE \"key\" SET name = ?2, models = ?3, metadata = ?4, "
                                 "expires_ms = ?5, revision = revision + 1 WHERE id = ?1";
static const char sql_revoke[] =
    "UPDATE \"key\" SET revoked_ms = ?2, revision = revision + 1 WHERE id = ?1";
static const char sql_touch[] = "UPDATE \"key\" SET revision = revision + 1 WHERE id = ?1";
static const char sql_drop_expired[] =
    "DELETE FROM key_secret WHERE key_id = ?1 AND expires_ms <= ?2";
static const char sql_count_secrets[] = "SELECT count(*) FROM key_secret WHERE key_id = ?1";
static const char sql_expire_secrets[] =
    "UPDATE key_secret SET expires_ms = ?2 "
    "WHERE key_id = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)";

/* --- reading --- */

void key_fini(struct key *key)
{
    if (key == NULL)
        return;
    free(key->models);
    free(key->metadata);
    key->models = NULL;
    key->metadata = NULL;
}

static enum tg_status read_row(const struct stmt *stmt, struct key *ret_key, struct err *err)
{
    struct key key = { 0 };

    key.id = (int32_t)stmt_int(stmt, 0);
    account_copy_text(stmt_text(stmt, 1), key.public_id, sizeof(key.public_id));
    key.team_id = (int32_t)stmt_int(stmt, 2);
    account_copy_text(stmt_text(stmt, 3), key.team_public_id, sizeof(key.team_public_id));
    account_copy_text(stmt_text(stmt, 4), key.name, sizeof(key.name));
    account_copy_text(stmt_text(stmt, 5), key.prefix, sizeof(key.prefix));
    account_copy_text(stmt_text(stmt, 6), key.last4, sizeof(key.last4));
    key.revision = stmt_int(stmt, 9);
    key.created_at_ms = stmt_int(stmt, 10);
    key.expires_at_ms = stmt_int(stmt, 11);
    key.revoked_at_ms = stmt_int(stmt, 12);
    key.last_used_at_ms = stmt_int(stmt, 13);
    key.models = span_to_string(stmt_is_null(stmt, 7) ? SPAN("[]") : stmt_text(stmt, 7));
    key.metadata = span_to_string(stmt_text(stmt, 8));
    if (key.models == NULL || key.metadata == NULL) {
        key_fini(&key);
        return err_set(err, TG_NO_MEMORY, "out of memory for a key");
    }
    *ret_key = key;
    return TG_OK;
}

enum tg_status key_get(struct db *db, account_scope scope, struct span public_id,
                       struct key *ret_key, struct err *err)
{
    struct stmt *stmt;
    bool has_row;
    enum tg_status status;

    TRY(stmt_use(db, sql_by_public_id, &stmt, err));
    stmt_bind_text(stmt, 1, public_id);
    stmt_bind_int(stmt, 2, scope);
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_NOT_FOUND, "there is no such key");
    status = read_row(stmt, ret_key, err);
    stmt_reset(stmt);
    return status;
}

enum tg_status key_name(struct db *db, int32_t id, char public_id[ID_TEXT_SIZE], struct err *err)
{
    struct stmt *stmt;
    bool has_row;

    TRY(stmt_use(db, sql_name, &stmt, err));
    stmt_bind_int(stmt, 1, id);
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_NOT_FOUND, "there is no such key");
    account_copy_text(stmt_text(stmt, 0), public_id, ID_TEXT_SIZE);
    stmt_reset(stmt);
    return TG_OK;
}

static enum tg_status read_page(struct stmt *stmt, const struct key_query *query,
                                bool *ret_has_more, struct err *err)
{
    for (int count = 0;; count++) {
        AUTO(key) key = { 0 };
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row || count == query->page.limit) {
            *ret_has_more = has_row;
            return TG_OK;
        }
        TRY(read_row(stmt, &key, err));
        TRY(query->on_row(query->context, &key));
    }
}

enum tg_status key_list(struct db *db, const struct key_query *query, bool *ret_has_more,
                        struct err *err)
{
    AUTO(team) team = { .id = query->scope };
    struct stmt *stmt;
    int64_t after = 0;
    enum tg_status status;

    if (query->team_public_id.len > 0)
        TRY(team_get(db, query->scope, query->team_public_id, &team, err));
    TRY(account_find_cursor(db, sql_cursor, &query->page, &after, err));
    TRY(stmt_use(db, team.id != ACCOUNT_ALL ? sql_list_of_team : sql_list, &stmt, err));
    stmt_bind_int(stmt, 1, after);
    stmt_bind_int(stmt, 2, query->with_revoked ? 1 : 0);
    stmt_bind_int(stmt, 3, query->page.limit + 1);
    if (team.id != ACCOUNT_ALL)
        stmt_bind_int(stmt, 4, team.id);
    status = read_page(stmt, query, ret_has_more, err);
    stmt_reset(stmt);
    return status;
}

/* --- changing --- */

static struct key_job *job_of(struct account_job *account)
{
    return (struct key_job *)account; /* its first member */
}

static enum tg_status check_overlap(struct account_job *account, struct err *err)
{
    const int64_t seconds = job_of(account)->input.overlap_seconds;

    if (seconds < 0 || seconds > KEY_OVERLAP_SECONDS_MAX)
        return account_fail(account, err, "/overlap_seconds",
                            "overlap_seconds must be 0 to 604800 (7 days)");
    return TG_OK;
}

static enum tg_status check(struct account_job *account, struct err *err)
{
    static const struct account_models_rule rule = { .max = ACCOUNT_MODELS_MAX, .may_star = true };
    const struct key_job *job = job_of(account);
    const struct key_input *input = &job->input;

    if (job->action == KEY_REVOKE)
        return TG_OK;
    if (job->action == KEY_ROTATE)
        return check_overlap(account, err);
    if (input->has_name || job->action == KEY_CREATE)
        TRY(account_check_name(account, input->name, err));
    if (input->has_models && input->models.len > 0)
        TRY(account_check_models(account, input->models, &rule, err));
    if (input->has_expires_at)
        TRY(account_check_expiry(account, input->expires_at_ms, err));
    if (input->has_metadata && input->metadata.len > 0)
        TRY(account_check_metadata(account, input->metadata, err));
    return TG_OK;
}

/* A name that is taken is the caller's to change; all else is told as it is. */
static enum tg_status run_named(struct key_job *job, struct stmt *stmt, struct err *err)
{
    const enum tg_status status = stmt_run(stmt, err);

    if (status != TG_CONFLICT)
        return status;
    job->account.problem_pointer = "/name";
    return err_set(err, status, "the team has a key of that name already");
}

/* Store the hash of the secret in the caller's buffer. */
static enum tg_status store_secret(struct key_job *job, struct db *db, int32_t key_id,
                                   struct err *err)
{
    const struct span secret = span_of(job->secret, ID_TOKEN_LEN);
    unsigned char hash[SECRET_HASH_SIZE];
    struct stmt *stmt;

    secret_hash(job->ring, secret, hash);
    TRY(stmt_use(db, sql_insert_secret, &stmt, err));
    stmt_bind_int(stmt, 1, key_id);
    stmt_bind_blob(stmt, 2, span_of((const char *)hash, sizeof(hash)));
    stmt_bind_text(stmt, 3, span_from_offset(secret, secret.len - 4));
    stmt_bind_int(stmt, 4, clock_wall_ms());
    return stmt_run(stmt, err);
}

static enum tg_status find_team(struct key_job *job, struct db *db, struct team *ret_team,
                                struct err *err)
{
    const enum tg_status status =
        team_get(db, job->scope, job->input.team_public_id, ret_team, err);

    if (status == TG_NOT_FOUND)
        job->account.problem_pointer = "/team_id";
    if (status != TG_OK)
        return status;
    if (ret_team->archived_at_ms == 0)
        return TG_OK;
    job->account.problem_pointer = "/team_id";
    return err_set(err, TG_CONFLICT, "the team is archived");
}

/* NULL stands for any model. */
static struct span models_or_any(struct span models)
{
    return span_equal(models, SPAN("[]")) ? SPAN_EMPTY : models;
}

static struct span metadata_or_none(struct span metadata)
{
    return metadata.len > 0 ? metadata : SPAN("{}");
}

static enum tg_status insert(struct key_job *job, struct db *db, int32_t team_id,
                             const char *public_id, struct err *err)
{
    const struct key_input *input = &job->input;
    struct stmt *stmt;

    TRY(stmt_use(db, sql_insert, &stmt, err));
    stmt_bind_text(stmt, 1, span_from(public_id));
    stmt_bind_int(stmt, 2, team_id);
    stmt_bind_text(stmt, 3, input->name);
    stmt_bind_text(stmt, 4, span_of(job->secret, sizeof(KEY_PREFIX) - 1 + ID_TOKEN_ID));
    stmt_bind_optional_text(stmt, 5, input->has_models ? models_or_any(input->models) : SPAN_EMPTY);
    stmt_bind_text(stmt, 6, metadata_or_none(input->has_metadata ? input->metadata : SPAN_EMPTY));
    stmt_bind_int(stmt, 7, clock_wall_ms());
    stmt_bind_optional_int(stmt, 8, input->has_expires_at ? input->expires_at_ms : 0, 0);
    return run_named(job, stmt, err);
}

static enum tg_status create(struct key_job *job, struct db *db, struct err *err)
{
    AUTO(team) team = { 0 };
    char public_id[ID_TEXT_SIZE];

    TRY(find_team(job, db, &team, err));
    id_make_name("key_", public_id);
    id_make_token(KEY_PREFIX, NULL, job->secret);
    TRY(insert(job, db, team.id, public_id, err));
    TRY(key_get(db, ACCOUNT_ALL, span_from(public_id), &job->after, err));
    TRY(store_secret(job, db, job->after.id, err));
    account_copy_text(span_of(job->secret + ID_TOKEN_LEN - 4, 4), job->after.last4,
                      sizeof(job->after.last4));
    return TG_OK;
}

static enum tg_status update(struct key_job *job, struct db *db, struct err *err)
{
    const struct key *before = &job->before;
    const struct key_input *input = &job->input;
    struct stmt *stmt;

    assert(before->models != NULL);
    assert(before->metadata != NULL);
    TRY(stmt_use(db, sql_update, &stmt, err));
    stmt_bind_int(stmt, 1, before->id);
    stmt_bind_text(stmt, 2, input->has_name ? input->name : span_from(before->name));
    stmt_bind_optional_text(
        stmt, 3, models_or_any(input->has_models ? input->models : span_from(before->models)));
    stmt_bind_text(stmt, 4,
                   input->has_metadata ? metadata_or_none(input->metadata)
                                       : span_from(before->metadata));
    stmt_bind_optional_int(stmt, 5,
                           input->has_expires_at ? input->expires_at_ms : before->expires_at_ms, 0);
    return run_named(job, stmt, err);
}

static enum tg_status run_with_time(struct db *db, const char *sql, int32_t key_id, int64_t wall_ms,
                                    struct err *err)
{
    struct stmt *stmt;

    TRY(stmt_use(db, sql, &stmt, err));
    stmt_bind_int(stmt, 1, key_id);
    stmt_bind_int(stmt, 2, wall_ms);
    return stmt_run(stmt, err);
}

static enum tg_status run_with_id(struct db *db, const char *sql, int32_t key_id,
                                  int64_t *ret_value, struct err *err)
{
    struct stmt *stmt;

    TRY(stmt_use(db, sql, &stmt, err));
    stmt_bind_int(stmt, 1, key_id);
    return stmt_run_int(stmt, ret_value, err);
}

static enum tg_status rotate(struct key_job *job, struct db *db, struct err *err)
{
    const int32_t id = job->before.id;
    const int64_t now_ms = clock_wall_ms();
    const int64_t until_ms = now_ms + job->input.overlap_seconds * MS_PER_SECOND;
    const char *id10 = job->before.prefix + sizeof(KEY_PREFIX) - 1;
    int64_t secrets = 0;
    int64_t none = 0;

    TRY(run_with_time(db, sql_expire_secrets, id, until_ms, err));
    TRY(run_with_time(db, sql_drop_expired, id, now_ms, err));
    TRY(run_with_id(db, sql_count_secrets, id, &secrets, err));
    if (secrets >= KEY_SECRETS_MAX)
        return err_set(err, TG_CONFLICT,
                       "the key has %d secrets that overlap; "
                       "rotate with overlap_seconds 0",
                       KEY_SECRETS_MAX);
    /* An imported key has no digits of ours: its next secret
     * gets new ones. */
    id_make_token(KEY_PREFIX, strlen(id10) == ID_TOKEN_ID ? id10 : NULL, job->secret);
    TRY(store_secret(job, db, id, err));
    return run_with_id(db, sql_touch, id, &none, err);
}

static enum tg_status change(struct key_job *job, struct db *db, struct err *err)
{
    const bool is_revoked = job->before.revoked_at_ms != 0;

    if (job->action == KEY_REVOKE)
        return is_revoked ? TG_OK
                          : run_with_time(db, sql_revoke, job->before.id, clock_wall_ms(), err);
    if (is_revoked)
        return err_set(err, TG_CONFLICT, "the key is revoked; make another");
    return job->action == KEY_ROTATE ? rotate(job, db, err) : update(job, db, err);
}

static enum tg_status apply(struct account_job *account, struct db *db, struct err *err)
{
    struct key_job *job = job_of(account);

    key_job_fini(job); /* of a run that was rolled back */
    if (job->action == KEY_CREATE)
        return create(job, db, err);
    TRY(key_get(db, job->scope, job->public_id, &job->before, err));
    TRY(account_check_revision(job->before.revision, job->if_revision, err));
    TRY(change(job, db, err));
    return key_get(db, ACCOUNT_ALL, job->public_id, &job->after, err);
}

static enum tg_status publish(struct account_job *account, struct db *db, struct err *err)
{
    struct key_job *job = job_of(account);

    if (job->keyring == NULL)
        return TG_OK;
    return keyring_refresh_key(job->keyring, db, job->after.id, err);
}

/* A secret that is not in force is not handed out. */
static void finish(struct account_job *account, enum tg_status status)
{
    struct key_job *job = job_of(account);

    if (status != TG_OK && job->secret != NULL)
        explicit_bzero(job->secret, ID_TOKEN_SIZE);
}

void key_job_init(struct key_job *job, enum key_action action, const struct secret_ring *ring,
                  struct keyring *keyring)
{
    *job = (struct key_job){ .action = action, .ring = ring, .keyring = keyring };
    account_job_init(&job->account);
    job->account.check = check;
    job->account.apply = apply;
    job->account.publish = publish;
    job->account.finish = finish;
}

void key_job_fini(struct key_job *job)
{
    key_fini(&job->before);
    key_fini(&job->after);
}
