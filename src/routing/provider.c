#include "routing/provider.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/try.h"
#include "providers/catalogue.h"
#include "routing/target.h"
#include "store/stmt.h"

#include <assert.h>
#include <stdio.h>

#define LAST4_LEN        4
#define LAST4_SECRET_MIN 16 /* of a shorter one, four characters would be too much to show */

#define PROVIDER_COLUMNS                                                                           \
    "SELECT id, public_id, name, kind, base_url, source, secret IS NOT NULL, last4, is_default, "  \
    "disabled_ms IS NULL, revision, created_ms, models_ms, "                                       \
    "coalesce(json_array_length(models), 0) FROM provider "

static const char sql_by_public_id[] =
    PROVIDER_COLUMNS "WHERE public_id = ?1 AND deleted_ms IS NULL";
static const char sql_by_name[] = PROVIDER_COLUMNS "WHERE name = ?1 AND deleted_ms IS NULL";
static const char sql_list[] =
    PROVIDER_COLUMNS "WHERE id > ?1 AND deleted_ms IS NULL ORDER BY id LIMIT ?2";
static const char sql_cursor[] = "SELECT id FROM provider WHERE public_id = ?1";
static const char sql_count[] = "SELECT count(*) FROM provider WHERE deleted_ms IS NULL /* scan */";
static const char sql_insert[] =
    "INSERT INTO provider (public_id, name, kind, base_url, source, created_ms) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
static const char sql_update[] =
    "UPDATE provider SET name = ?2, base_url = ?3, disabled_ms = ?4, kind = ?5, models_ms = ?6, "
    "revision = revision + 1 WHERE id = ?1";
static const char sql_secret[] = "SELECT secret FROM provider WHERE id = ?1";
static const char sql_set_secret[] = "UPDATE provider SET secret = ?2, last4 = ?3 WHERE id = ?1";
static const char sql_clear_default[] = "UPDATE provider SET is_default = 0, "
                                        "revision = revision + 1 "
                                        "WHERE is_default = 1 AND deleted_ms IS NULL";
static const char sql_set_default[] = "UPDATE provider SET is_default = ?2 WHERE id = ?1";
static const char sql_delete[] =
    "UPDATE provider SET deleted_ms = ?2, secret = NULL, last4 = '', is_default = 0, "
    "revision = revision + 1 WHERE id = ?1";
static const char sql_disable[] =
    "UPDATE provider SET disabled_ms = ?2, revision = revision + 1 WHERE id = ?1";
static const char sql_of_environment[] =
    "SELECT id, name FROM provider WHERE source = 'environment' AND disabled_ms IS NULL AND "
    "deleted_ms IS NULL /* scan */";
static const char sql_set_models[] =
    "UPDATE provider SET models = ?2, models_ms = ?3 WHERE id = ?1";

static const char *const source_names[] = {
    [PROVIDER_FROM_API] = "api",
    [PROVIDER_FROM_ENVIRONMENT] = "environment",
};

/* --- reading --- */

const char *provider_source_name(enum provider_source source)
{
    return source_names[source];
}

void provider_secret_context(const char *public_id, char context[PROVIDER_CONTEXT_SIZE])
{
    (void)snprintf(context, PROVIDER_CONTEXT_SIZE, "provider:%s:secret", public_id);
}

static void read_row(const struct stmt *stmt, struct provider *ret_provider)
{
    struct provider provider = { 0 };

    provider.id = (int32_t)stmt_int(stmt, 0);
    account_copy_text(stmt_text(stmt, 1), provider.public_id, sizeof(provider.public_id));
    account_copy_text(stmt_text(stmt, 2), provider.name, sizeof(provider.name));
    account_copy_text(stmt_text(stmt, 3), provider.kind, sizeof(provider.kind));
    account_copy_text(stmt_text(stmt, 4), provider.base_url, sizeof(provider.base_url));
    provider.source = span_equal(stmt_text(stmt, 5), SPAN("environment"))
                          ? PROVIDER_FROM_ENVIRONMENT
                          : PROVIDER_FROM_API;
    provider.has_secret = stmt_int(stmt, 6) != 0;
    account_copy_text(stmt_text(stmt, 7), provider.secret_last4, sizeof(provider.secret_last4));
    provider.is_default = stmt_int(stmt, 8) != 0;
    provider.is_enabled = stmt_int(stmt, 9) != 0;
    provider.revision = stmt_int(stmt, 10);
    provider.created_at_ms = stmt_int(stmt, 11);
    provider.models_at_ms = stmt_int(stmt, 12);
    provider.model_count = (int)stmt_int(stmt, 13);
    *ret_provider = provider;
}

static enum tg_status get_by(struct db *db, const char *sql, struct span text,
                             struct provider *ret_provider, struct err *err)
{
    struct stmt *stmt;
    bool has_row;

    TRY(stmt_use(db, sql, &stmt, err));
    stmt_bind_text(stmt, 1, text);
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_NOT_FOUND, "there is no such provider");
    read_row(stmt, ret_provider);
    stmt_reset(stmt);
    return TG_OK;
}

enum tg_status provider_get(struct db *db, struct span public_id, struct provider *ret_provider,
                            struct err *err)
{
    return get_by(db, sql_by_public_id, public_id, ret_provider, err);
}

enum tg_status provider_get_by_name(struct db *db, struct span name, struct provider *ret_provider,
                                    struct err *err)
{
    return get_by(db, sql_by_name, name, ret_provider, err);
}

static enum tg_status read_page(struct stmt *stmt, const struct provider_query *query,
                                bool *ret_has_more, struct err *err)
{
    for (int count = 0;; count++) {
        struct provider provider;
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row || count == query->page.limit) {
            *ret_has_more = has_row;
            return TG_OK;
        }
        read_row(stmt, &provider);
        TRY(query->on_row(query->context, &provider));
    }
}

enum tg_status provider_list(struct db *db, const struct provider_query *query, bool *ret_has_more,
                             struct err *err)
{
    struct stmt *stmt;
    int64_t after = 0;
    enum tg_status status;

    TRY(account_find_cursor(db, sql_cursor, &query->page, &after, err));
    TRY(stmt_use(db, sql_list, &stmt, err));
    stmt_bind_int(stmt, 1, after);
    stmt_bind_int(stmt, 2, query->page.limit + 1);
    status = read_page(stmt, query, ret_has_more, err);
    stmt_reset(stmt);
    return status;
}

/* --- what fields may hold --- */

bool provider_name_is_valid(struct span name)
{
    if (name.len == 0 || name.len > PROVIDER_NAME_MAX || span_equal(name, SPAN("v1")) ||
        span_equal(name, SPAN("v1beta")) || span_equal(name, SPAN("api")))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

/* The kind's path for an address: what an owner means who gives a host alone, or a version too
 * much. */
static void mend_for_kind(const struct tg_kind *kind, struct target_url *url)
{
    struct target_url own;
    const char *last = strrchr(url->path, '/');

    if (kind->base_url == NULL || target_parse_url(span_from(kind->base_url), &own, NULL) != TG_OK)
        return;
    if (url->path[0] == '\0')
        memcpy(url->path, own.path, sizeof(url->path));
    else if (own.path[0] == '\0' && last != NULL &&
             (strcmp(last, "/v1") == 0 || strcmp(last, "/v1beta") == 0))
        url->path[last - url->path] = '\0';
}

enum tg_status provider_mend_url(const struct tg_kind *kind, struct span url,
                                 char base_url[PROVIDER_URL_SIZE], struct err *err)
{
    struct target_url parsed;

    if (url.len == 0 && kind->base_url == NULL)
        return err_set(err, TG_INVALID, "base_url must be given for the kind %s", kind->name);
    if (url.len == 0)
        url = span_from(kind->base_url);
    if (url.len >= PROVIDER_URL_SIZE)
        return err_set(err, TG_INVALID, "base_url must have at most %d bytes",
                       PROVIDER_URL_SIZE - 1);
    TRY(target_parse_url(url, &parsed, err));
    mend_for_kind(kind, &parsed);
    if (snprintf(base_url, PROVIDER_URL_SIZE, "%s://%s%s", parsed.is_tls ? "https" : "http",
                 parsed.authority, parsed.path) >= PROVIDER_URL_SIZE)
        return err_set(err, TG_INVALID, "base_url is too long");
    return TG_OK;
}

static struct provider_job *job_of(struct account_job *account)
{
    return (struct provider_job *)account; /* its first member */
}

static bool is_creation(const struct provider_job *job)
{
    return job->action == PROVIDER_CREATE || job->action == PROVIDER_UPSERT;
}

/* A secret becomes the value of a header field, so it must not be able to end one. */
static bool is_secret_text(struct span secret)
{
    for (size_t i = 0; i < secret.len; i++)
        if (secret.ptr[i] < 0x21 || secret.ptr[i] > 0x7e)
            return false;
    return secret.len <= PROVIDER_SECRET_MAX;
}

static enum tg_status check_kind(struct account_job *account, struct err *err)
{
    const struct provider_input *input = &job_of(account)->input;
    const struct tg_kind *kind = catalogue_kind(input->kind);
    char mended[PROVIDER_URL_SIZE];
    enum tg_status status;

    if (kind == NULL)
        return account_fail(account, err, "/kind",
                            "kind must be one of the provider kinds this program knows");
    status =
        provider_mend_url(kind, input->has_base_url ? input->base_url : SPAN_EMPTY, mended, err);
    if (status != TG_OK)
        account->problem_pointer = "/base_url";
    /* A server of one's own may need none; a provider's own address does. */
    if (status == TG_OK && kind->auth != TG_AUTH_NONE &&
        (kind->flags & TG_KIND_MAY_LACK_SECRET) == 0 &&
        !(input->has_base_url && input->base_url.len > 0) &&
        !(input->has_secret && input->secret.len > 0))
        return account_fail(account, err, "/secret", "secret must be given for this kind");
    return status;
}

static enum tg_status check(struct account_job *account, struct err *err)
{
    static const struct account_models_rule rule = { .max = PROVIDER_MODELS_MAX };
    const struct provider_job *job = job_of(account);
    const struct provider_input *input = &job->input;

    if (job->action == PROVIDER_DELETE || job->action == PROVIDER_DISABLE_ABSENT)
        return TG_OK;
    if (job->action == PROVIDER_SET_MODELS)
        return account_check_models(account, input->models, &rule, err);
    if ((input->has_name || is_creation(job)) && !provider_name_is_valid(input->name))
        return account_fail(account, err, "/name",
                            "name must have 1 to 63 characters a-z, 0-9 and '-', and not be v1, "
                            "v1beta or api");
    if (input->has_secret && !is_secret_text(input->secret))
        return account_fail(account, err, "/secret",
                            "secret must have at most 4096 printable characters without blanks");
    return is_creation(job) ? check_kind(account, err) : TG_OK;
}

/* --- changing --- */

/* A name that is taken is the caller's to change; all else is told as it is. */
static enum tg_status run_named(struct provider_job *job, struct stmt *stmt, struct err *err)
{
    const enum tg_status status = stmt_run(stmt, err);

    if (status != TG_CONFLICT)
        return status;
    job->account.problem_pointer = "/name";
    return err_set(err, status, "a provider of that name exists already");
}

static enum tg_status run_with_int(struct db *db, const char *sql, int32_t id, int64_t value,
                                   struct err *err)
{
    struct stmt *stmt;

    TRY(stmt_use(db, sql, &stmt, err));
    stmt_bind_int(stmt, 1, id);
    stmt_bind_int(stmt, 2, value);
    return stmt_run(stmt, err);
}

/* Seal the secret for this row alone and store it; an empty one takes it away. */
static enum tg_status store_secret(struct provider_job *job, struct db *db,
                                   const struct provider *row, struct err *err)
{
    const struct span secret = job->input.secret;
    const size_t shown = secret.len >= LAST4_SECRET_MIN ? LAST4_LEN : 0;
    char context[PROVIDER_CONTEXT_SIZE];
    AUTO(buf) sealed;
    struct stmt *stmt;

    buf_init(&sealed, PROVIDER_SECRET_MAX + SECRET_SEAL_EXTRA);
    provider_secret_context(row->public_id, context);
    if (secret.len > 0)
        TRY(secret_seal(job->ring, span_from(context), secret, &sealed));
    TRY(stmt_use(db, sql_set_secret, &stmt, err));
    stmt_bind_int(stmt, 1, row->id);
    if (secret.len > 0)
        stmt_bind_blob(stmt, 2, buf_span(&sealed));
    else
        stmt_bind_null(stmt, 2);
    stmt_bind_text(stmt, 3, span_from_offset(secret, secret.len - shown));
    return stmt_run(stmt, err);
}

static enum tg_status set_default(struct provider_job *job, struct db *db, int32_t id,
                                  struct err *err)
{
    struct stmt *stmt;

    if (job->input.is_default) {
        TRY(stmt_use(db, sql_clear_default, &stmt, err));
        TRY(stmt_run(stmt, err));
    }
    return run_with_int(db, sql_set_default, id, job->input.is_default ? 1 : 0, err);
}

static enum tg_status check_count(struct db *db, struct err *err)
{
    struct stmt *stmt;
    int64_t count = 0;

    TRY(stmt_use(db, sql_count, &stmt, err));
    TRY(stmt_run_int(stmt, &count, err));
    if (count >= TARGETS_MAX)
        return err_set(err, TG_CONFLICT, "there are %d providers already; delete one", TARGETS_MAX);
    return TG_OK;
}

/* The row alone; what may be missing follows. */
static enum tg_status insert_row(struct provider_job *job, struct db *db, const char *public_id,
                                 struct err *err)
{
    const struct provider_input *input = &job->input;
    const enum provider_source source =
        job->action == PROVIDER_UPSERT ? PROVIDER_FROM_ENVIRONMENT : PROVIDER_FROM_API;
    char base_url[PROVIDER_URL_SIZE];
    struct stmt *stmt;

    TRY(provider_mend_url(catalogue_kind(input->kind),
                          input->has_base_url ? input->base_url : SPAN_EMPTY, base_url, err));
    TRY(stmt_use(db, sql_insert, &stmt, err));
    stmt_bind_text(stmt, 1, span_from(public_id));
    stmt_bind_text(stmt, 2, input->name);
    stmt_bind_text(stmt, 3, input->kind);
    stmt_bind_text(stmt, 4, span_from(base_url));
    stmt_bind_text(stmt, 5, span_from(source_names[source]));
    stmt_bind_int(stmt, 6, clock_wall_ms());
    return run_named(job, stmt, err);
}

static enum tg_status create(struct provider_job *job, struct db *db, struct err *err)
{
    const struct provider_input *input = &job->input;
    struct provider row = { 0 };
    char public_id[ID_TEXT_SIZE];

    id_make_name("prov_", public_id);
    TRY(check_count(db, err));
    TRY(insert_row(job, db, public_id, err));
    TRY(provider_get(db, span_from(public_id), &row, err));
    if (input->has_secret && input->secret.len > 0)
        TRY(store_secret(job, db, &row, err));
    if (input->has_is_default)
        TRY(set_default(job, db, row.id, err));
    if (input->has_is_enabled && !input->is_enabled)
        TRY(run_with_int(db, sql_disable, row.id, clock_wall_ms(), err));
    return provider_get(db, span_from(public_id), &job->after, err);
}

static bool has_same_origin(const char *a_url, const char *b_url)
{
    struct target_url a;
    struct target_url b;

    return target_parse_url(span_from(a_url), &a, NULL) == TG_OK &&
           target_parse_url(span_from(b_url), &b, NULL) == TG_OK && a.is_tls == b.is_tls &&
           a.port == b.port && strcmp(a.host, b.host) == 0;
}

static struct span next_kind(const struct provider_job *job)
{
    return job->action == PROVIDER_UPSERT ? job->input.kind : span_from(job->before.kind);
}

/* The address after the change. */
static enum tg_status next_url(struct provider_job *job, char base_url[PROVIDER_URL_SIZE],
                               struct err *err)
{
    const struct provider *before = &job->before;
    const struct tg_kind *kind = catalogue_kind(next_kind(job));
    enum tg_status status;

    if (kind == NULL)
        return err_set(err, TG_CONFLICT, "its kind is not known to this program; delete it");
    if (!job->input.has_base_url && job->action == PROVIDER_UPDATE) {
        memcpy(base_url, before->base_url, PROVIDER_URL_SIZE);
        return TG_OK;
    }
    status = provider_mend_url(kind, job->input.has_base_url ? job->input.base_url : SPAN_EMPTY,
                               base_url, err);
    if (status != TG_OK) {
        job->account.problem_pointer = "/base_url";
        return status;
    }
    if (before->has_secret && !job->input.has_secret &&
        !has_same_origin(before->base_url, base_url))
        return account_fail(&job->account, err, "/secret",
                            "secret must be given again when base_url changes to another host");
    return TG_OK;
}

/* When the list was stored that is its own after the change. Where the address or the secret is
 * another, the one before may not be; it stays until there is a new one. */
static int64_t next_models_ms(const struct provider_job *job, const char *base_url)
{
    const struct provider *before = &job->before;
    const bool is_reached_as_before = !job->input.has_secret &&
                                      strcmp(base_url, before->base_url) == 0 &&
                                      span_equal(next_kind(job), span_from(before->kind));

    return is_reached_as_before ? before->models_at_ms : 0;
}

static enum tg_status update(struct provider_job *job, struct db *db, struct err *err)
{
    const struct provider *before = &job->before;
    const struct provider_input *input = &job->input;
    const bool is_enabled = job->action == PROVIDER_UPSERT ||
                            (input->has_is_enabled ? input->is_enabled : before->is_enabled);
    char base_url[PROVIDER_URL_SIZE];
    struct stmt *stmt;

    TRY(next_url(job, base_url, err));
    TRY(stmt_use(db, sql_update, &stmt, err));
    stmt_bind_int(stmt, 1, before->id);
    stmt_bind_text(stmt, 2, input->has_name ? input->name : span_from(before->name));
    stmt_bind_text(stmt, 3, span_from(base_url));
    stmt_bind_optional_int(stmt, 4, is_enabled ? 0 : clock_wall_ms(), 0);
    stmt_bind_text(stmt, 5, next_kind(job));
    stmt_bind_optional_int(stmt, 6, next_models_ms(job, base_url), 0);
    TRY(run_named(job, stmt, err));
    if (input->has_secret)
        TRY(store_secret(job, db, before, err));
    if (input->has_is_default)
        TRY(set_default(job, db, before->id, err));
    return provider_get(db, span_from(before->public_id), &job->after, err);
}

/* Whether the row's secret is the one that is given. One that this master key does not open is
 * not. */
static enum tg_status compare_secret(struct provider_job *job, struct db *db, bool *ret_is_same,
                                     struct err *err)
{
    const struct provider *row = &job->before;
    char context[PROVIDER_CONTEXT_SIZE];
    AUTO(secret) plain = { 0 };
    struct stmt *stmt;
    bool has_row;
    enum tg_status status;

    *ret_is_same = false;
    if (!row->has_secret || job->input.secret.len == 0) {
        *ret_is_same = !row->has_secret && job->input.secret.len == 0;
        return TG_OK;
    }
    provider_secret_context(row->public_id, context);
    TRY(stmt_use(db, sql_secret, &stmt, err));
    stmt_bind_int(stmt, 1, row->id);
    TRY(stmt_step(stmt, &has_row, err));
    assert(has_row);
    status = secret_open(job->ring, span_from(context), stmt_blob(stmt, 0), &plain);
    stmt_reset(stmt);
    if (status == TG_CORRUPT)
        return TG_OK;
    TRY(status);
    *ret_is_same = secret_equal(secret_span(&plain), job->input.secret);
    return TG_OK;
}

/* Whether the row says what is given already: then a start writes nothing and whoever has read it
 * may still change it by If-Match. */
static enum tg_status compare(struct provider_job *job, struct db *db, bool *ret_is_same,
                              struct err *err)
{
    const struct provider *before = &job->before;
    const struct provider_input *input = &job->input;
    char base_url[PROVIDER_URL_SIZE];

    *ret_is_same = false;
    TRY(next_url(job, base_url, err));
    if (!before->is_enabled || strcmp(base_url, before->base_url) != 0 ||
        !span_equal(input->kind, span_from(before->kind)) ||
        (input->has_is_default && input->is_default != before->is_default))
        return TG_OK;
    if (input->has_secret)
        return compare_secret(job, db, ret_is_same, err);
    *ret_is_same = true;
    return TG_OK;
}

/* What the environment gives stands behind what the API made. */
static enum tg_status upsert(struct provider_job *job, struct db *db, struct err *err)
{
    const enum tg_status status = provider_get_by_name(db, job->input.name, &job->before, NULL);
    bool is_same;

    if (status == TG_NOT_FOUND)
        return create(job, db, err);
    if (status != TG_OK)
        return err_set(err, status, "the providers cannot be read");
    if (job->before.source == PROVIDER_FROM_API)
        return err_set(err, TG_CONFLICT,
                       "the provider %s was made by the API, which wins over the environment",
                       job->before.name);
    TRY(compare(job, db, &is_same, err));
    if (!is_same)
        return update(job, db, err);
    job->after = job->before;
    return TG_OK;
}

static bool is_present(const char *const *present, struct span name)
{
    for (; present != NULL && *present != NULL; present++)
        if (span_equal(span_from(*present), name))
            return true;
    return false;
}

static enum tg_status disable_absent(struct provider_job *job, struct db *db, struct err *err)
{
    int32_t absent[TARGETS_MAX];
    int count = 0;
    struct stmt *stmt;
    bool has_row = true;

    TRY(stmt_use(db, sql_of_environment, &stmt, err));
    for (;;) {
        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row || count == TARGETS_MAX)
            break;
        if (!is_present(job->input.present, stmt_text(stmt, 1)))
            absent[count++] = (int32_t)stmt_int(stmt, 0);
    }
    stmt_reset(stmt);
    for (int i = 0; i < count; i++)
        TRY(run_with_int(db, sql_disable, absent[i], clock_wall_ms(), err));
    return TG_OK;
}

static enum tg_status set_models(struct provider_job *job, struct db *db, struct err *err)
{
    struct stmt *stmt;

    TRY(stmt_use(db, sql_set_models, &stmt, err));
    stmt_bind_int(stmt, 1, job->before.id);
    stmt_bind_text(stmt, 2, job->input.models);
    stmt_bind_int(stmt, 3, clock_wall_ms());
    TRY(stmt_run(stmt, err));
    return provider_get(db, job->public_id, &job->after, err);
}

static enum tg_status change(struct provider_job *job, struct db *db, struct err *err)
{
    TRY(provider_get(db, job->public_id, &job->before, err));
    TRY(account_check_revision(job->before.revision, job->if_revision, err));
    if (job->action == PROVIDER_UPDATE)
        return update(job, db, err);
    if (job->action == PROVIDER_SET_MODELS)
        return set_models(job, db, err);
    assert(job->action == PROVIDER_DELETE);
    return run_with_int(db, sql_delete, job->before.id, clock_wall_ms(), err);
}

static enum tg_status apply(struct account_job *account, struct db *db, struct err *err)
{
    struct provider_job *job = job_of(account);

    job->before = (struct provider){ 0 }; /* of a run that was rolled back */
    job->after = (struct provider){ 0 };
    switch (job->action) {
    case PROVIDER_CREATE:
        return create(job, db, err);
    case PROVIDER_UPSERT:
        return upsert(job, db, err);
    case PROVIDER_DISABLE_ABSENT:
        return disable_absent(job, db, err);
    case PROVIDER_UPDATE:
    case PROVIDER_DELETE:
    case PROVIDER_SET_MODELS:
        return change(job, db, err);
    }
    return TG_INTERNAL;
}

static enum tg_status publish(struct account_job *account, struct db *db, struct err *err)
{
    struct provider_job *job = job_of(account);

    if (job->targets == NULL)
        return TG_OK;
    return target_store_refresh(job->targets, db, err);
}

void provider_job_init(struct provider_job *job, enum provider_action action,
                       const struct secret_ring *ring, struct target_store *targets)
{
    *job = (struct provider_job){ .action = action, .ring = ring, .targets = targets };
    account_job_init(&job->account);
    job->account.check = check;
    job->account.apply = apply;
    job->account.publish = publish;
}
