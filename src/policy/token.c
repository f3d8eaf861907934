#include "policy/token.h"

#include "base/clock.h"
#include "base/try.h"
#include "policy/team.h"
#include "store/stmt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define TOKEN_COLUMNS                                                                              \
    "SELECT id, public_id, name, role, team_id, (SELECT public_id FROM team WHERE id = team_id), " \
    "prefix, last4, revision, created_ms, expires_ms, revoked_ms, last_used_ms FROM admin_token "

static const char sql_by_public_id[] = TOKEN_COLUMNS "WHERE public_id = ?1";
static const char sql_list[] =
    TOKEN_COLUMNS "WHERE id > ?1 AND (?2 = 1 OR revoked_ms IS NULL) ORDER BY id LIMIT ?3";
static const char sql_cursor[] = "SELECT id FROM admin_token WHERE public_id = ?1";
static const char sql_by_hash[] =
    "SELECT a.hash, a.id, a.public_id, a.role, a.team_id, a.expires_ms, a.revoked_ms, "
    "(SELECT archived_ms FROM team WHERE id = a.team_id) FROM admin_token AS a WHERE a.hash = ?1";
static const char sql_has_owner[] =
    "SELECT 1 FROM admin_token WHERE role = 'owner' AND revoked_ms IS NULL AND "
    "(expires_ms IS NULL OR expires_ms > ?1) LIMIT 1 /* scan */";
static const char sql_insert[] =
    "INSERT INTO admin_token (public_id, name, role, team_id, hash, prefix, last4, created_ms, "
    "expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
static const char sql_update[] = "UPDATE admin_token SET name = ?2, expires_ms = ?3, "
                                 "revision = revision + 1 WHERE id = ?1";
static const char sql_revoke[] =
    "UPDATE admin_token SET revoked_ms = ?2, revision = revision + 1 WHERE id = ?1";

static const char *const role_names[TOKEN_ROLE_COUNT] = {
    [TOKEN_OWNER] = "owner", [TOKEN_ADMIN] = "admin",   [TOKEN_FINANCE] = "finance",
    [TOKEN_TEAM] = "team",   [TOKEN_VIEWER] = "viewer",
};

enum setup_state { SETUP_CLOSED, SETUP_OPEN, SETUP_CLAIMED };

struct token_gate {
    const struct secret_ring *ring;
    bool has_file; /* constant once threads run */
    unsigned char file_hash[SECRET_HASH_SIZE];
    pthread_mutex_t lock; /* of all below */
    enum setup_state setup;
    unsigned char setup_hash[SECRET_HASH_SIZE];
    int64_t setup_until_ms;
};

/* --- roles --- */

const char *token_role_name(enum token_role role)
{
    return role_names[role];
}

bool token_role_parse(struct span name, enum token_role *ret_role)
{
    for (int i = 0; i < TOKEN_ROLE_COUNT; i++)
        if (span_equal(name, span_from(role_names[i]))) {
            *ret_role = (enum token_role)i;
            return true;
        }
    return false;
}

bool token_may_grant(enum token_role maker, enum token_role role)
{
    return maker == TOKEN_OWNER || (maker == TOKEN_ADMIN && role != TOKEN_OWNER);
}

/* --- reading --- */

static enum tg_status read_role(const struct stmt *stmt, int column, enum token_role *ret_role,
                                struct err *err)
{
    if (!token_role_parse(stmt_text(stmt, column), ret_role))
        return err_set(err, TG_CORRUPT, "admin_token: a role is damaged; revoke that token");
    return TG_OK;
}

static enum tg_status read_row(const struct stmt *stmt, struct token *ret_token, struct err *err)
{
    struct token token = { 0 };

    token.id = (int32_t)stmt_int(stmt, 0);
    account_copy_text(stmt_text(stmt, 1), token.public_id, sizeof(token.public_id));
    account_copy_text(stmt_text(stmt, 2), token.name, sizeof(token.name));
    TRY(read_role(stmt, 3, &token.role, err));
    token.team_id = (int32_t)stmt_int(stmt, 4);
    account_copy_text(stmt_text(stmt, 5), token.team_public_id, sizeof(token.team_public_id));
    account_copy_text(stmt_text(stmt, 6), token.prefix, sizeof(token.prefix));
    account_copy_text(stmt_text(stmt, 7), token.last4, sizeof(token.last4));
    token.revision = stmt_int(stmt, 8);
    token.created_at_ms = stmt_int(stmt, 9);
    token.expires_at_ms = stmt_int(stmt, 10);
    token.revoked_at_ms = stmt_int(stmt, 11);
    token.last_used_at_ms = stmt_int(stmt, 12);
    *ret_token = token;
    return TG_OK;
}

enum tg_status token_get(struct db *db, struct span public_id, struct token *ret_token,
                         struct err *err)
{
    struct stmt *stmt;
    bool has_row;
    enum tg_status status;

    TRY(stmt_use(db, sql_by_public_id, &stmt, err));
    stmt_bind_text(stmt, 1, public_id);
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_NOT_FOUND, "there is no such token");
    status = read_row(stmt, ret_token, err);
    stmt_reset(stmt);
    return status;
}

static enum tg_status read_page(struct stmt *stmt, const struct token_query *query,
                                bool *ret_has_more, struct err *err)
{
    for (int count = 0;; count++) {
        struct token token;
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row || count == query->page.limit) {
            *ret_has_more = has_row;
            return TG_OK;
        }
        TRY(read_row(stmt, &token, err));
        TRY(query->on_row(query->context, &token));
    }
}

enum tg_status token_list(struct db *db, const struct token_query *query, bool *ret_has_more,
                          struct err *err)
{
    struct stmt *stmt;
    int64_t after = 0;
    enum tg_status status;

    TRY(account_find_cursor(db, sql_cursor, &query->page, &after, err));
    TRY(stmt_use(db, sql_list, &stmt, err));
    stmt_bind_int(stmt, 1, after);
    stmt_bind_int(stmt, 2, query->with_revoked ? 1 : 0);
    stmt_bind_int(stmt, 3, query->page.limit + 1);
    status = read_page(stmt, query, ret_has_more, err);
    stmt_reset(stmt);
    return status;
}

/* --- who presents one --- */

enum tg_status token_gate_new(const struct secret_ring *ring, struct token_gate **ret_gate)
{
    struct token_gate *gate = calloc(1, sizeof(*gate));

    if (gate == NULL)
        return TG_NO_MEMORY;
    gate->ring = ring;
    pthread_mutex_init(&gate->lock, NULL);
    *ret_gate = gate;
    return TG_OK;
}

void token_gate_free(struct token_gate *gate)
{
    if (gate == NULL)
        return;
    pthread_mutex_destroy(&gate->lock);
    free(gate);
}

/* Whether the text of a token file is usable; cuts the white space at its end. */
static bool is_file_token(struct span *text)
{
    while (text->len > 0 && isspace((unsigned char)text->ptr[text->len - 1]))
        text->len--;
    for (size_t i = 0; i < text->len; i++)
        if (text->ptr[i] < 0x21 || text->ptr[i] > 0x7e)
            return false;
    return text->len >= TOKEN_FILE_LEN_MIN && text->len <= TOKEN_FILE_LEN_MAX;
}

enum tg_status token_gate_read_file(struct token_gate *gate, const char *path, struct err *err)
{
    char bytes[TOKEN_FILE_LEN_MAX + 64];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct span text;
    ssize_t len;
    bool is_usable;

    if (fd < 0)
        return err_set(err, TG_IO, "admin token file %s cannot be opened: %s", path,
                       strerror(errno));
    len = read(fd, bytes, sizeof(bytes));
    (void)close(fd); /* only read from */
    if (len < 0)
        return err_set(err, TG_IO, "admin token file %s cannot be read: %s", path, strerror(errno));
    text = span_of(bytes, (size_t)len);
    is_usable = len < (ssize_t)sizeof(bytes) && is_file_token(&text);
    if (is_usable) {
        secret_hash(gate->ring, text, gate->file_hash);
        gate->has_file = true;
    }
    explicit_bzero(bytes, sizeof(bytes));
    if (!is_usable)
        return err_set(err, TG_INVALID,
                       "admin token file %s must hold one token of %d to %d printable characters, "
                       "as of: openssl rand -hex 32",
                       path, TOKEN_FILE_LEN_MIN, TOKEN_FILE_LEN_MAX);
    return TG_OK;
}

void token_gate_open_setup(struct token_gate *gate, int64_t now_ms, char text[ID_TOKEN_SIZE])
{
    id_make_token(TOKEN_PREFIX, NULL, text);
    pthread_mutex_lock(&gate->lock);
    secret_hash(gate->ring, span_of(text, ID_TOKEN_LEN), gate->setup_hash);
    gate->setup = SETUP_OPEN;
    gate->setup_until_ms = now_ms + TOKEN_SETUP_MS;
    pthread_mutex_unlock(&gate->lock);
}

enum tg_status token_has_owner(struct db *db, int64_t now_ms, bool *ret_has_owner, struct err *err)
{
    struct stmt *stmt;
    int64_t found = 0;

    TRY(stmt_use(db, sql_has_owner, &stmt, err));
    stmt_bind_int(stmt, 1, now_ms);
    TRY(stmt_run_int(stmt, &found, err));
    *ret_has_owner = found != 0;
    return TG_OK;
}

static bool hashes_equal(struct span a, const unsigned char hash[SECRET_HASH_SIZE])
{
    return secret_equal(a, span_of((const char *)hash, SECRET_HASH_SIZE));
}

static struct span hash_span(const unsigned char hash[SECRET_HASH_SIZE])
{
    return span_of((const char *)hash, SECRET_HASH_SIZE);
}

/* Whether the row that stands for the hash may be used now. */
static enum tg_status read_identity(const struct stmt *stmt,
                                    const unsigned char hash[SECRET_HASH_SIZE],
                                    struct token_identity *identity, struct err *err)
{
    const int64_t expires_ms = stmt_int(stmt, 5);
    const bool is_over = expires_ms != 0 && expires_ms <= clock_wall_ms();
    const bool is_closed = !stmt_is_null(stmt, 6) || !stmt_is_null(stmt, 7);

    TRY(read_role(stmt, 3, &identity->role, err));
    identity->token_id = (int32_t)stmt_int(stmt, 1);
    identity->scope = (account_scope)stmt_int(stmt, 4);
    account_copy_text(stmt_text(stmt, 2), identity->public_id, sizeof(identity->public_id));
    return hashes_equal(stmt_blob(stmt, 0), hash) && !is_over && !is_closed ? TG_OK
                                                                            : TG_UNAUTHENTICATED;
}

enum tg_status token_authenticate(struct token_gate *gate, struct db *db, struct span presented,
                                  struct token_identity *ret_identity, struct err *err)
{
    struct token_identity identity = { .role = TOKEN_OWNER, .public_id = "token-file" };
    unsigned char hash[SECRET_HASH_SIZE];
    enum tg_status status = TG_UNAUTHENTICATED;
    bool is_file;
    struct stmt *stmt;
    bool has_row;

    secret_hash(gate->ring, presented, hash);
    is_file = hashes_equal(hash_span(gate->file_hash), hash) && gate->has_file;
    TRY(stmt_use(db, sql_by_hash, &stmt, err));
    stmt_bind_blob(stmt, 1, hash_span(hash));
    TRY(stmt_step(stmt, &has_row, err));
    if (has_row)
        status = read_identity(stmt, hash, &identity, err);
    else if (is_file)
        status = TG_OK;
    stmt_reset(stmt);
    if (status == TG_UNAUTHENTICATED)
        return err_set(err, status, "the token is not valid");
    TRY(status);
    *ret_identity = identity;
    return TG_OK;
}

/* --- changes --- */

static struct token_job *job_of(struct account_job *account)
{
    return (struct token_job *)account; /* its first member */
}

/* Take the set-up token, so that no second request can use it; `finish` gives it back or ends it.
 */
static enum tg_status claim_setup(struct token_job *job, struct err *err)
{
    struct token_gate *gate = job->gate;
    unsigned char hash[SECRET_HASH_SIZE];

    secret_hash(gate->ring, job->input.setup, hash);
    pthread_mutex_lock(&gate->lock);
    job->has_claimed_setup = hashes_equal(hash_span(gate->setup_hash), hash) &&
                             gate->setup == SETUP_OPEN && gate->setup_until_ms > clock_wall_ms();
    if (job->has_claimed_setup)
        gate->setup = SETUP_CLAIMED;
    pthread_mutex_unlock(&gate->lock);
    if (!job->has_claimed_setup)
        return err_set(err, TG_UNAUTHENTICATED,
                       "the set-up link is not valid, was used or is over; a restart prints a new "
                       "one");
    return TG_OK;
}

static enum tg_status check_creation(struct account_job *account, struct err *err)
{
    const struct token_input *input = &job_of(account)->input;
    enum token_role role;

    TRY(account_check_name(account, input->name, err));
    if (!token_role_parse(input->role, &role))
        return account_fail(account, err, "/role",
                            "role must be owner, admin, finance, team or viewer");
    if ((role == TOKEN_TEAM) != (input->team_public_id.len > 0))
        return account_fail(account, err, "/team_id",
                            "team_id must be given for the role team, and for no other");
    return account_check_expiry(account, input->has_expires_at ? input->expires_at_ms : 0, err);
}

static enum tg_status check(struct account_job *account, struct err *err)
{
    struct token_job *job = job_of(account);

    switch (job->action) {
    case TOKEN_CREATE:
        return check_creation(account, err);
    case TOKEN_UPDATE:
        if (job->input.has_name)
            TRY(account_check_name(account, job->input.name, err));
        return account_check_expiry(account,
                                    job->input.has_expires_at ? job->input.expires_at_ms : 0, err);
    case TOKEN_SETUP:
        if (job->input.has_name)
            TRY(account_check_name(account, job->input.name, err));
        return claim_setup(job, err);
    case TOKEN_REVOKE:
        break;
    }
    return TG_OK;
}

/* A name that is taken is the caller's to change; all else is told as it is. */
static enum tg_status run_named(struct token_job *job, struct stmt *stmt, struct err *err)
{
    const enum tg_status status = stmt_run(stmt, err);

    if (status != TG_CONFLICT)
        return status;
    job->account.problem_pointer = "/name";
    return err_set(err, status, "a token of that name exists already");
}

static enum tg_status find_team(struct token_job *job, struct db *db, int32_t *ret_team_id,
                                struct err *err)
{
    AUTO(team) team = { 0 };

    if (job->input.team_public_id.len > 0) {
        job->account.problem_pointer = "/team_id";
        TRY(team_get(db, ACCOUNT_ALL, job->input.team_public_id, &team, err));
        if (team.archived_at_ms != 0)
            return err_set(err, TG_CONFLICT, "the team is archived");
        job->account.problem_pointer = NULL;
    }
    *ret_team_id = team.id;
    return TG_OK;
}

/* What is inserted: from the input, or the set-up's owner. */
struct draft {
    struct span name;
    struct span role;
    int32_t team_id;
    int64_t expires_at_ms;
};

static enum tg_status insert(struct token_job *job, struct db *db, const struct draft *draft,
                             struct err *err)
{
    unsigned char hash[SECRET_HASH_SIZE];
    char public_id[ID_TEXT_SIZE];
    struct span secret;
    struct stmt *stmt;

    id_make_name("tok_", public_id);
    id_make_token(TOKEN_PREFIX, NULL, job->secret);
    secret = span_of(job->secret, ID_TOKEN_LEN);
    secret_hash(job->gate->ring, secret, hash);
    TRY(stmt_use(db, sql_insert, &stmt, err));
    stmt_bind_text(stmt, 1, span_from(public_id));
    stmt_bind_text(stmt, 2, draft->name);
    stmt_bind_text(stmt, 3, draft->role);
    stmt_bind_optional_int(stmt, 4, draft->team_id, 0);
    stmt_bind_blob(stmt, 5, hash_span(hash));
    stmt_bind_text(stmt, 6, span_of(secret.ptr, sizeof(TOKEN_PREFIX) - 1 + ID_TOKEN_ID));
    stmt_bind_text(stmt, 7, span_from_offset(secret, secret.len - 4));
    stmt_bind_int(stmt, 8, clock_wall_ms());
    stmt_bind_optional_int(stmt, 9, draft->expires_at_ms, 0);
    TRY(run_named(job, stmt, err));
    return token_get(db, span_from(public_id), &job->after, err);
}

static enum tg_status create(struct token_job *job, struct db *db, struct err *err)
{
    struct draft draft = {
        .name = job->input.name,
        .role = job->input.role,
        .expires_at_ms = job->input.has_expires_at ? job->input.expires_at_ms : 0,
    };

    TRY(find_team(job, db, &draft.team_id, err));
    return insert(job, db, &draft, err);
}

static enum tg_status set_up(struct token_job *job, struct db *db, struct err *err)
{
    char name[sizeof("owner, set up ") + CLOCK_RFC3339_SIZE] = "owner, set up ";
    const struct draft draft = {
        .name = job->input.has_name ? job->input.name : span_of(name, sizeof(name) - 2),
        .role = SPAN("owner"),
    };

    /* A name of its own: an earlier owner's token, even one that is over, keeps its. */
    clock_format_rfc3339(clock_wall_ms(), name + strlen(name));
    return insert(job, db, &draft, err);
}

static enum tg_status update(struct token_job *job, struct db *db, struct err *err)
{
    const struct token *before = &job->before;
    const struct token_input *input = &job->input;
    struct stmt *stmt;

    if (before->revoked_at_ms != 0)
        return err_set(err, TG_CONFLICT, "the token is revoked; make another");
    TRY(stmt_use(db, sql_update, &stmt, err));
    stmt_bind_int(stmt, 1, before->id);
    stmt_bind_text(stmt, 2, input->has_name ? input->name : span_from(before->name));
    stmt_bind_optional_int(stmt, 3,
                           input->has_expires_at ? input->expires_at_ms : before->expires_at_ms, 0);
    return run_named(job, stmt, err);
}

static enum tg_status revoke_row(struct token_job *job, struct db *db, struct err *err)
{
    struct stmt *stmt;

    if (job->before.revoked_at_ms != 0)
        return TG_OK;
    TRY(stmt_use(db, sql_revoke, &stmt, err));
    stmt_bind_int(stmt, 1, job->before.id);
    stmt_bind_int(stmt, 2, clock_wall_ms());
    return stmt_run(stmt, err);
}

static enum tg_status apply(struct account_job *account, struct db *db, struct err *err)
{
    struct token_job *job = job_of(account);

    job->before = (struct token){ 0 }; /* of a run that was rolled back */
    job->after = (struct token){ 0 };
    if (job->action == TOKEN_CREATE)
        return create(job, db, err);
    if (job->action == TOKEN_SETUP)
        return set_up(job, db, err);
    TRY(token_get(db, job->public_id, &job->before, err));
    TRY(account_check_revision(job->before.revision, job->if_revision, err));
    if (job->action == TOKEN_UPDATE)
        TRY(update(job, db, err));
    else
        TRY(revoke_row(job, db, err));
    return token_get(db, job->public_id, &job->after, err);
}

static void finish(struct account_job *account, enum tg_status status)
{
    struct token_job *job = job_of(account);

    if (status != TG_OK && job->secret != NULL)
        explicit_bzero(job->secret, ID_TOKEN_SIZE);
    if (!job->has_claimed_setup)
        return;
    pthread_mutex_lock(&job->gate->lock);
    if (job->gate->setup == SETUP_CLAIMED) /* else another was made meanwhile */
        job->gate->setup = status == TG_OK ? SETUP_CLOSED : SETUP_OPEN;
    pthread_mutex_unlock(&job->gate->lock);
    job->has_claimed_setup = false;
}

void token_job_init(struct token_job *job, enum token_action action, struct token_gate *gate)
{
    *job = (struct token_job){ .action = action, .gate = gate };
    account_job_init(&job->account);
    job->account.check = check;
    job->account.apply = apply;
    job->account.finish = finish;
}
