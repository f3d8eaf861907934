#include "quota/limit.h"

#include "base/clock.h"
#include "base/try.h"
#include "policy/calendar.h"
#include "policy/key.h"
#include "policy/key_admin.h"
#include "policy/team.h"
#include "quota/admit.h"
#include "store/stmt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MODELS_JSON_MAX      ((size_t)ACCOUNT_MODELS_MAX * (6 * ACCOUNT_MODEL_MAX + 3) + 3)
#define THRESHOLDS_JSON_SIZE 64
#define THRESHOLD_MAX        1000

#define LIMIT_COLUMNS                                                                              \
    "SELECT l.id, l.public_id, l.scope, l.team_id, l.key_id, CASE l.scope "                        \
    "WHEN 'team' THEN (SELECT public_id FROM team WHERE id = l.team_id) "                          \
    "WHEN 'key' THEN (SELECT public_id FROM \"key\" WHERE id = l.key_id) END, "                    \
    "l.each_key, l.models, l.metric, l.window, l.timezone, l.week_start, l.anchor_day, "           \
    "l.amount, l.is_hard, l.may_clamp, l.is_strict, l.thresholds, l.override_amount, "             \
    "l.override_start_ms, l.revision, l.created_ms FROM \"limit\" AS l WHERE "

static const char sql_get[] =
    LIMIT_COLUMNS "l.public_id = ?1 AND l.deleted_ms IS NULL "
                  "AND (?2 = 0 OR l.team_id = ?2 OR l.scope = 'organization')";
static const char sql_list[] =
    LIMIT_COLUMNS "l.id > ?1 AND l.deleted_ms IS NULL "
                  "AND (?2 = 0 OR l.team_id = ?2 OR l.scope = 'organization') "
                  "AND (?3 = 0 OR l.team_id = ?3) "
                  "AND (?4 = 0 OR l.scope = 'organization' OR l.key_id = ?4 "
                  "OR (l.scope = 'team' AND l.team_id = ?5)) ORDER BY l.id LIMIT ?6";
static const char sql_each[] = LIMIT_COLUMNS "l.deleted_ms IS NULL ORDER BY l.id /* scan */";
/* `each` of a team stands above its keys' own. */
static const char sql_beside[] =
    LIMIT_COLUMNS "l.deleted_ms IS NULL AND l.metric = ?1 AND l.is_hard = 1 "
                  "AND (l.team_id IS NULL OR l.team_id = ?2) "
                  "AND (l.key_id IS NULL OR l.key_id = ?3) ORDER BY l.id /* scan */";
static const char sql_cursor[] = "SELECT id FROM \"limit\" WHERE public_id = ?1";
static const char sql_same[] =
    "SELECT public_id FROM \"limit\" WHERE deleted_ms IS NULL AND team_id IS ?1 AND key_id IS ?2 "
    "AND each_key = ?3 AND metric = ?4 AND window IS ?5 AND models IS ?6 ORDER BY id LIMIT 2";
static const char sql_count[] =
    "SELECT count(*) FROM \"limit\" WHERE deleted_ms IS NULL /* scan */";
static const char sql_organization_zone[] = "SELECT reporting_zone FROM installation WHERE id = 1";
static const char sql_insert[] =
    "INSERT INTO \"limit\" (public_id, scope, team_id, key_id, each_key, models, metric, window, "
    "timezone, week_start, anchor_day, created_ms, amount, is_hard, may_clamp, is_strict, "
    "thresholds) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, "
    "?17)";
static const char sql_update[] =
    "UPDATE \"limit\" SET amount = ?2, is_hard = ?3, may_clamp = ?4, is_strict = ?5, "
    "thresholds = ?6, override_amount = ?7, override_start_ms = ?8, revision = revision + 1 "
    "WHERE id = ?1";
static const char sql_delete[] =
    "UPDATE \"limit\" SET deleted_ms = ?2, revision = revision + 1 WHERE id = ?1";

/* --- names ------------------------------------------------------------------------------------ */

static const char *const scope_names[] = {
    [LIMIT_ORGANIZATION] = "organization",
    [LIMIT_TEAM] = "team",
    [LIMIT_KEY] = "key",
};

static const char *const metric_names[LIMIT_METRIC_COUNT] = {
    [LIMIT_COST] = "cost",
    [LIMIT_INPUT_TOKENS] = "input_tokens",
    [LIMIT_OUTPUT_TOKENS] = "output_tokens",
    [LIMIT_TOTAL_TOKENS] = "total_tokens",
    [LIMIT_REQUESTS] = "requests",
    [LIMIT_PARALLEL] = "parallel",
};

const char *limit_scope_name(enum limit_scope scope)
{
    return scope_names[scope];
}

const char *limit_metric_name(enum limit_metric metric)
{
    return metric_names[metric];
}

/* return  -1: none of them */
static int find_name(struct span name, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (span_equal(name, span_from(names[i])))
            return i;
    return -1;
}

bool limit_scope_from_name(struct span name, enum limit_scope *ret_scope)
{
    const int found = find_name(name, scope_names, LIMIT_KEY + 1);

    if (found >= 0)
        *ret_scope = (enum limit_scope)found;
    return found >= 0;
}

bool limit_metric_from_name(struct span name, enum limit_metric *ret_metric)
{
    const int found = find_name(name, metric_names, LIMIT_METRIC_COUNT);

    if (found >= 0)
        *ret_metric = (enum limit_metric)found;
    return found >= 0;
}

bool limit_metric_may_clamp(enum limit_metric metric)
{
    return metric == LIMIT_COST || metric == LIMIT_OUTPUT_TOKENS || metric == LIMIT_TOTAL_TOKENS;
}

void limit_put_amount(struct json_writer *w, const char *name, enum limit_metric metric,
                      int64_t amount)
{
    if (metric == LIMIT_COST)
        json_money(w, name, amount);
    else
        json_int(w, name, amount);
}

/* --- what a limit is -------------------------------------------------------------------------- */

void limit_fini(struct limit *limit)
{
    if (limit == NULL)
        return;
    free(limit->models);
    limit->models = NULL;
    limit->model_count = 0;
}

static enum tg_status copy_models(char *const *models, int count, char ***ret_models)
{
    size_t bytes = ((size_t)count + 1) * sizeof(char *);
    char **copy;
    char *at;

    for (int i = 0; i < count; i++)
        bytes += strlen(models[i]) + 1;
    copy = malloc(bytes);
    if (copy == NULL)
        return TG_NO_MEMORY;
    at = (char *)(copy + count + 1);
    for (int i = 0; i < count; i++) {
        copy[i] = at;
        at = stpcpy(at, models[i]) + 1;
    }
    copy[count] = NULL;
    *ret_models = copy;
    return TG_OK;
}

enum tg_status limit_copy(const struct limit *limit, struct limit *ret_limit)
{
    char **models = NULL;

    *ret_limit = (struct limit){ 0 };
    if (limit->models != NULL)
        TRY(copy_models(limit->models, limit->model_count, &models));
    *ret_limit = *limit;
    ret_limit->models = models;
    return TG_OK;
}

bool limit_applies(const struct limit *limit, int32_t team_id, int32_t key_id, struct span model)
{
    if (limit->scope == LIMIT_TEAM && limit->team_id != team_id)
        return false;
    if (limit->scope == LIMIT_KEY && limit->key_id != key_id)
        return false;
    return key_models_allow(limit->models, limit->model_count, model);
}

int64_t limit_amount_in(const struct limit *limit, int64_t period_start_ms)
{
    return limit->override_amount != 0 && limit->override_start_ms == period_start_ms
               ? limit->override_amount
               : limit->amount;
}

/* --- thresholds and models as JSON ------------------------------------------------------------ */

static int compare_ints(const void *a, const void *b)
{
    const int left = *(const int *)a;
    const int right = *(const int *)b;

    return (left > right) - (left < right);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct thresholds {
    int percent[LIMIT_THRESHOLDS_MAX];
    int count;
    int wrong; /* index of the element at fault; -1: the array itself */
};

/* Read, sort, and take each once. Errors  TG_INVALID with `wrong`, TG_NO_MEMORY */
static enum tg_status read_thresholds(struct span json, struct thresholds *thresholds)
{
    AUTO_JSON tree = NULL;
    const cJSON *element;
    const enum tg_status status = json_parse(json, &tree, NULL);
    int kept = 0;

    *thresholds = (struct thresholds){ .wrong = -1 };
    if (status == TG_NO_MEMORY)
        return status;
    if (status != TG_OK || !cJSON_IsArray(tree) || cJSON_GetArraySize(tree) > LIMIT_THRESHOLDS_MAX)
        return TG_INVALID;
    cJSON_ArrayForEach(element, tree)
    {
        thresholds->wrong = thresholds->count;
        if (!cJSON_IsNumber(element) || !(element->valuedouble >= 1) ||
            !(element->valuedouble <= THRESHOLD_MAX) ||
            (double)(int)element->valuedouble != element->valuedouble)
            return TG_INVALID;
        thresholds->percent[thresholds->count++] = (int)element->valuedouble;
    }
    qsort(thresholds->percent, (size_t)thresholds->count, sizeof(int), compare_ints);
    for (int i = 0; i < thresholds->count; i++) {
        if (i == 0 || thresholds->percent[i] != thresholds->percent[kept - 1])
            thresholds->percent[kept++] = thresholds->percent[i];
    }
    thresholds->count = kept;
    return TG_OK;
}

static void write_thresholds(const int *percent, int count, char text[THRESHOLDS_JSON_SIZE])
{
    size_t len = (size_t)snprintf(text, THRESHOLDS_JSON_SIZE, "[");

    for (int i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, THRESHOLDS_JSON_SIZE - len, "%s%d", i > 0 ? "," : "",
                                percent[i]);
    (void)snprintf(text + len, THRESHOLDS_JSON_SIZE - len, "]");
}

/* Sorted and each once, so that lists that mean the same are the same text. NULL: all. */
static enum tg_status normalise_models(struct span json, char **ret_text)
{
    char **models = NULL;
    AUTO(buf) text = { 0 };
    struct json_writer w;
    int count = 0;
    enum tg_status status;

    TRY(account_read_models(json, &models, &count));
    *ret_text = NULL;
    if (count == 0) {
        free(models);
        return TG_OK;
    }
    qsort(models, (size_t)count, sizeof(*models), compare_texts);
    buf_init(&text, MODELS_JSON_MAX);
    json_begin(&w, &text);
    json_open_array(&w, NULL);
    for (int i = 0; i < count; i++) {
        if (i == 0 || strcmp(models[i], models[i - 1]) != 0)
            json_string(&w, NULL, models[i]);
    }
    json_close_array(&w);
    free(models);
    status = buf_status(&text);
    if (status == TG_OK)
        *ret_text = buf_take_string(&text);
    return status == TG_OK && *ret_text == NULL ? TG_NO_MEMORY : status;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool read_rule(const struct stmt *stmt, struct limit *limit)
{
    limit->has_window = !stmt_is_null(stmt, 9);
    limit->rule = (struct period_rule){ .window = PERIOD_TOTAL,
                                        .week_start = (int)stmt_int(stmt, 11),
                                        .anchor_day = (int)stmt_int(stmt, 12) };
    return !limit->has_window || period_window_parse(stmt_text(stmt, 9), &limit->rule.window);
}

/* return  false: damaged */
static bool read_plain(const struct stmt *stmt, struct limit *limit)
{
    struct thresholds thresholds;

    limit->id = (int32_t)stmt_int(stmt, 0);
    account_copy_text(stmt_text(stmt, 1), limit->public_id, sizeof(limit->public_id));
    limit->team_id = (int32_t)stmt_int(stmt, 3);
    limit->key_id = (int32_t)stmt_int(stmt, 4);
    account_copy_text(stmt_text(stmt, 5), limit->scope_id, sizeof(limit->scope_id));
    limit->is_each_key = stmt_int(stmt, 6) != 0;
    account_copy_text(stmt_text(stmt, 10), limit->timezone, sizeof(limit->timezone));
    limit->amount = stmt_int(stmt, 13);
    limit->is_hard = stmt_int(stmt, 14) != 0;
    limit->may_clamp = stmt_int(stmt, 15) != 0;
    limit->is_strict = stmt_int(stmt, 16) != 0;
    limit->override_amount = stmt_int(stmt, 18);
    limit->override_start_ms = stmt_int(stmt, 19);
    limit->revision = stmt_int(stmt, 20);
    limit->created_at_ms = stmt_int(stmt, 21);
    if (!limit_scope_from_name(stmt_text(stmt, 2), &limit->scope) ||
        !limit_metric_from_name(stmt_text(stmt, 8), &limit->metric) || !read_rule(stmt, limit) ||
        read_thresholds(stmt_text(stmt, 17), &thresholds) != TG_OK)
        return false;
    memcpy(limit->thresholds, thresholds.percent, sizeof(limit->thresholds));
    limit->threshold_count = thresholds.count;
    return true;
}

static enum tg_status read_row(const struct stmt *stmt, struct limit *ret_limit, struct err *err)
{
    struct limit limit = { 0 };
    enum tg_status status = TG_OK;

    if (!read_plain(stmt, &limit))
        status = TG_CORRUPT;
    else if (!stmt_is_null(stmt, 7))
        status = account_read_models(stmt_text(stmt, 7), &limit.models, &limit.model_count);
    if (status == TG_CORRUPT)
        return err_set(err, status, "limit %s: its row is damaged; delete it and make another",
                       limit.public_id);
    if (status != TG_OK)
        return err_set(err, status, "out of memory for a limit");
    *ret_limit = limit;
    return TG_OK;
}

enum tg_status limit_get(struct db *db, account_scope scope, struct span public_id,
                         struct limit *ret_limit, struct err *err)
{
    struct stmt *stmt;
    bool has_row;
    enum tg_status status;

    TRY(stmt_use(db, sql_get, &stmt, err));
    stmt_bind_text(stmt, 1, public_id);
    stmt_bind_int(stmt, 2, scope);
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_NOT_FOUND, "there is no such limit");
    status = read_row(stmt, ret_limit, err);
    stmt_reset(stmt);
    return status;
}

static enum tg_status read_page(struct stmt *stmt, const struct limit_query *query,
                                bool *ret_has_more, struct err *err)
{
    for (int count = 0;; count++) {
        AUTO(limit) limit = { 0 };
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row || count == query->page.limit) {
            *ret_has_more = has_row;
            return TG_OK;
        }
        TRY(read_row(stmt, &limit, err));
        TRY(query->on_row(query->context, &limit));
    }
}

enum tg_status limit_list(struct db *db, const struct limit_query *query, bool *ret_has_more,
                          struct err *err)
{
    AUTO(team) team = { 0 };
    AUTO(key) key = { 0 };
    struct stmt *stmt;
    int64_t after = 0;
    enum tg_status status;

    if (query->team_id.len > 0)
        TRY(team_get(db, query->scope, query->team_id, &team, err));
    if (query->key_id.len > 0)
        TRY(key_get(db, query->scope, query->key_id, &key, err));
    TRY(account_find_cursor(db, sql_cursor, &query->page, &after, err));
    TRY(stmt_use(db, sql_list, &stmt, err));
    stmt_bind_int(stmt, 1, after);
    stmt_bind_int(stmt, 2, query->scope);
    stmt_bind_int(stmt, 3, team.id);
    stmt_bind_int(stmt, 4, key.id);
    stmt_bind_int(stmt, 5, key.team_id);
    stmt_bind_int(stmt, 6, query->page.limit + 1);
    status = read_page(stmt, query, ret_has_more, err);
    stmt_reset(stmt);
    return status;
}

struct walk {
    enum tg_status (*on_limit)(void *context, const struct limit *limit);
    void *context;
};

static enum tg_status walk_rows(struct stmt *stmt, const struct walk *walk, struct err *err)
{
    for (;;) {
        AUTO(limit) limit = { 0 };
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row)
            return TG_OK;
        TRY(read_row(stmt, &limit, err));
        TRY(walk->on_limit(walk->context, &limit));
    }
}

enum tg_status limit_each_beside(struct db *db, const struct limit *limit,
                                 enum tg_status (*on_limit)(void *context,
                                                            const struct limit *other),
                                 void *context, struct err *err)
{
    const struct walk walk = { on_limit, context };
    struct stmt *stmt;
    enum tg_status status;

    TRY(stmt_use(db, sql_beside, &stmt, err));
    stmt_bind_text(stmt, 1, span_from(limit_metric_name(limit->metric)));
    stmt_bind_optional_int(stmt, 2, limit->team_id, 0);
    stmt_bind_optional_int(stmt, 3, limit->key_id, 0);
    status = walk_rows(stmt, &walk, err);
    stmt_reset(stmt);
    return status;
}

enum tg_status limit_each(struct db *db,
                          enum tg_status (*on_limit)(void *context, const struct limit *limit),
                          void *context, struct err *err)
{
    const struct walk walk = { on_limit, context };
    struct stmt *stmt;
    enum tg_status status;

    TRY(stmt_use(db, sql_each, &stmt, err));
    status = walk_rows(stmt, &walk, err);
    stmt_reset(stmt);
    return status;
}

/* --- checking --------------------------------------------------------------------------------- */

static struct limit_job *job_of(struct account_job *account)
{
    return (struct limit_job *)account; /* its first member */
}

static enum tg_status check_amount(struct account_job *account, struct err *err)
{
    const int64_t amount = job_of(account)->input.amount;

    if (amount < 1 || amount > LIMIT_AMOUNT_MAX)
        return account_fail(account, err, "/amount",
                            "amount must be more than 0, and at most 1000000000 USD or "
                            "1000000000000000000 of what else is counted");
    return TG_OK;
}

static enum tg_status check_thresholds(struct account_job *account, struct err *err)
{
    struct limit_job *job = job_of(account);
    struct thresholds thresholds;
    enum tg_status status;

    status = read_thresholds(job->input.thresholds.len > 0 ? job->input.thresholds
                                                           : SPAN("[50,80,90,100]"),
                             &thresholds);
    if (status == TG_NO_MEMORY)
        return err_set(err, status, "out of memory");
    if (status == TG_OK) {
        memcpy(job->thresholds, thresholds.percent, sizeof(job->thresholds));
        job->threshold_count = thresholds.count;
        return TG_OK;
    }
    if (thresholds.wrong < 0)
        return account_fail(account, err, "/thresholds",
                            "thresholds must be an array of at most 8 numbers");
    (void)snprintf(account->pointer, sizeof(account->pointer), "/thresholds/%d", thresholds.wrong);
    return account_fail(account, err, account->pointer,
                        "each of thresholds must be a whole number of percent from 1 to 1000");
}

static enum tg_status check_scope(struct account_job *account, struct err *err)
{
    const struct limit_input *input = &job_of(account)->input;

    if ((input->scope == LIMIT_ORGANIZATION) != (input->scope_id.len == 0))
        return account_fail(account, err, "/scope/id",
                            "the id must be given of a team or a key, and of nothing else");
    if (input->is_each_key && input->scope != LIMIT_TEAM)
        return account_fail(account, err, "/scope/each",
                            "each is for the keys of a team: the type must be team");
    return TG_OK;
}

static enum tg_status check_window(struct account_job *account, struct err *err)
{
    const struct limit_input *input = &job_of(account)->input;

    if (input->metric == LIMIT_PARALLEL && input->has_window)
        return account_fail(account, err, "/window", "a limit of parallel calls has no window");
    if (input->metric != LIMIT_PARALLEL && !input->has_window)
        return account_fail(account, err, "/window",
                            "window must be minute, hour, day, week, month or total");
    if (input->rule.week_start < 0 || input->rule.week_start > PERIOD_SUNDAY)
        return account_fail(account, err, "/week_start", "week_start must be a day of the week");
    if (input->rule.anchor_day < 0 || input->rule.anchor_day > PERIOD_ANCHOR_DAY_MAX)
        return account_fail(account, err, "/anchor_day", "anchor_day must be 1 to 28");
    if (input->timezone.len > 0)
        return account_check_timezone(account, input->timezone, err);
    return TG_OK;
}

static enum tg_status check_clamp(struct account_job *account, enum limit_metric metric,
                                  struct err *err)
{
    const struct limit_input *input = &job_of(account)->input;

    if (input->has_may_clamp && input->may_clamp && !limit_metric_may_clamp(metric))
        return account_fail(account, err, "/when_short",
                            "when_short can be clamp for cost, output_tokens and total_tokens "
                            "alone: nothing else is made less by a lower output maximum");
    return TG_OK;
}

static enum tg_status check_models(struct account_job *account, struct err *err)
{
    static const struct account_models_rule rule = { .max = ACCOUNT_MODELS_MAX, .may_star = true };
    struct limit_job *job = job_of(account);

    free(job->models);
    job->models = NULL;
    if (job->input.models.len == 0)
        return TG_OK;
    TRY(account_check_models(account, job->input.models, &rule, err));
    if (normalise_models(job->input.models, &job->models) != TG_OK)
        return err_set(err, TG_NO_MEMORY, "out of memory");
    return TG_OK;
}

static enum tg_status check_creation(struct account_job *account, struct err *err)
{
    TRY(check_scope(account, err));
    TRY(check_models(account, err));
    TRY(check_window(account, err));
    TRY(check_amount(account, err));
    TRY(check_clamp(account, job_of(account)->input.metric, err));
    return check_thresholds(account, err);
}

static enum tg_status check(struct account_job *account, struct err *err)
{
    const struct limit_input *input = &job_of(account)->input;

    switch (job_of(account)->action) {
    case LIMIT_CREATE:
    case LIMIT_SET:
        return check_creation(account, err);
    case LIMIT_UPDATE:
        if (input->has_amount)
            TRY(check_amount(account, err));
        return check_thresholds(account, err);
    case LIMIT_OVERRIDE:
        return input->amount == 0 ? TG_OK : check_amount(account, err);
    case LIMIT_DELETE:
        break;
    }
    return TG_OK;
}

/* --- making ----------------------------------------------------------------------------------- */

/* A name that nobody knows is the caller's to change. */
static enum tg_status fail_target(struct limit_job *job, enum tg_status status)
{
    if (status == TG_NOT_FOUND)
        job->account.problem_pointer = "/scope/id";
    return status;
}

static enum tg_status refuse_target(struct limit_job *job, const char *why, struct err *err)
{
    job->account.problem_pointer = "/scope/id";
    return err_set(err, TG_CONFLICT, "%s", why);
}

/* Whose the limit is, and the zone it has unless told otherwise. */
static enum tg_status find_team(struct limit_job *job, struct db *db, struct span public_id,
                                struct limit *limit, struct err *err)
{
    AUTO(team) team = { 0 };

    TRY(fail_target(job, team_get(db, job->scope, public_id, &team, err)));
    if (team.archived_at_ms != 0)
        return refuse_target(job, "the team is archived", err);
    limit->team_id = team.id;
    memcpy(limit->timezone, team.timezone, sizeof(limit->timezone));
    return TG_OK;
}

static enum tg_status find_key(struct limit_job *job, struct db *db, struct limit *limit,
                               struct err *err)
{
    AUTO(key) key = { 0 };

    TRY(fail_target(job, key_get(db, job->scope, job->input.scope_id, &key, err)));
    if (key.revoked_at_ms != 0)
        return refuse_target(job, "the key is revoked", err);
    limit->key_id = key.id;
    return find_team(job, db, span_from(key.team_public_id), limit, err);
}

static enum tg_status find_organization_zone(struct db *db, struct limit *limit, struct err *err)
{
    struct stmt *stmt;
    bool has_row;

    TRY(stmt_use(db, sql_organization_zone, &stmt, err));
    TRY(stmt_step(stmt, &has_row, err));
    account_copy_text(has_row ? stmt_text(stmt, 0) : SPAN("UTC"), limit->timezone,
                      sizeof(limit->timezone));
    stmt_reset(stmt);
    return TG_OK;
}

static enum tg_status find_target(struct limit_job *job, struct db *db, struct limit *limit,
                                  struct err *err)
{
    const struct limit_input *input = &job->input;

    if (input->scope == LIMIT_TEAM)
        TRY(find_team(job, db, input->scope_id, limit, err));
    else if (input->scope == LIMIT_KEY)
        TRY(find_key(job, db, limit, err));
    else if (job->scope != ACCOUNT_ALL)
        return err_set(err, TG_NOT_FOUND, "the organization is outside of what may be changed");
    if (input->timezone.len > 0)
        account_copy_text(input->timezone, limit->timezone, sizeof(limit->timezone));
    else if (limit->timezone[0] == '\0')
        TRY(find_organization_zone(db, limit, err));
    return TG_OK;
}

/* Put what may be changed over what there is. */
static void overlay(const struct limit_job *job, struct limit *limit)
{
    const struct limit_input *input = &job->input;

    if (input->has_amount)
        limit->amount = input->amount;
    if (input->has_is_hard)
        limit->is_hard = input->is_hard;
    if (input->has_may_clamp)
        limit->may_clamp = input->may_clamp;
    if (input->has_is_strict)
        limit->is_strict = input->is_strict;
    if (input->has_thresholds) {
        memcpy(limit->thresholds, job->thresholds, sizeof(limit->thresholds));
        limit->threshold_count = job->threshold_count;
    }
}

/* The limit as it shall be, but for its ids and its models. */
static enum tg_status plan(struct limit_job *job, struct db *db, struct limit *limit,
                           struct err *err)
{
    const struct limit_input *input = &job->input;

    *limit = (struct limit){
        .scope = input->scope,
        .is_each_key = input->is_each_key,
        .metric = input->metric,
        .has_window = input->has_window,
        .rule = input->rule,
        .amount = input->amount,
        .is_hard = true,
        .may_clamp = input->metric == LIMIT_COST,
        .threshold_count = job->threshold_count,
    };
    memcpy(limit->thresholds, job->thresholds, sizeof(limit->thresholds));
    if (limit->rule.week_start == 0)
        limit->rule.week_start = PERIOD_MONDAY;
    if (limit->rule.anchor_day == 0)
        limit->rule.anchor_day = 1;
    overlay(job, limit);
    return find_target(job, db, limit, err);
}

static struct span window_of(const struct limit *limit)
{
    return limit->has_window ? span_from(period_window_name(limit->rule.window)) : SPAN_EMPTY;
}

static struct span models_of(const struct limit_job *job)
{
    return job->models != NULL ? span_from(job->models) : SPAN_EMPTY;
}

static enum tg_status check_room(struct db *db, struct err *err)
{
    struct stmt *stmt;
    int64_t count = 0;

    TRY(stmt_use(db, sql_count, &stmt, err));
    TRY(stmt_run_int(stmt, &count, err));
    if (count >= LIMIT_COUNT_MAX)
        return err_set(err, TG_CONFLICT, "there are %d limits, and can be no more",
                       LIMIT_COUNT_MAX);
    return TG_OK;
}

static enum tg_status insert(struct limit_job *job, struct db *db, const struct limit *limit,
                             struct err *err)
{
    char thresholds[THRESHOLDS_JSON_SIZE];
    char public_id[ID_TEXT_SIZE];
    struct stmt *stmt;

    TRY(check_room(db, err));
    id_make_name("lim_", public_id);
    write_thresholds(limit->thresholds, limit->threshold_count, thresholds);
    TRY(stmt_use(db, sql_insert, &stmt, err));
    stmt_bind_text(stmt, 1, span_from(public_id));
    stmt_bind_text(stmt, 2, span_from(limit_scope_name(limit->scope)));
    stmt_bind_optional_int(stmt, 3, limit->team_id, 0);
    stmt_bind_optional_int(stmt, 4, limit->key_id, 0);
    stmt_bind_int(stmt, 5, limit->is_each_key ? 1 : 0);
    stmt_bind_optional_text(stmt, 6, models_of(job));
    stmt_bind_text(stmt, 7, span_from(limit_metric_name(limit->metric)));
    stmt_bind_optional_text(stmt, 8, window_of(limit));
    stmt_bind_text(stmt, 9, span_from(limit->timezone));
    stmt_bind_int(stmt, 10, limit->rule.week_start);
    stmt_bind_int(stmt, 11, limit->rule.anchor_day);
    stmt_bind_int(stmt, 12, clock_wall_ms());
    stmt_bind_int(stmt, 13, limit->amount);
    stmt_bind_int(stmt, 14, limit->is_hard ? 1 : 0);
    stmt_bind_int(stmt, 15, limit->may_clamp ? 1 : 0);
    stmt_bind_int(stmt, 16, limit->is_strict ? 1 : 0);
    stmt_bind_text(stmt, 17, span_from(thresholds));
    TRY(stmt_run(stmt, err));
    job->was_created = true;
    return limit_get(db, ACCOUNT_ALL, span_from(public_id), &job->after, err);
}

/* --- changing --------------------------------------------------------------------------------- */

static enum tg_status write(struct db *db, const struct limit *limit, struct err *err)
{
    char thresholds[THRESHOLDS_JSON_SIZE];
    struct stmt *stmt;

    write_thresholds(limit->thresholds, limit->threshold_count, thresholds);
    TRY(stmt_use(db, sql_update, &stmt, err));
    stmt_bind_int(stmt, 1, limit->id);
    stmt_bind_int(stmt, 2, limit->amount);
    stmt_bind_int(stmt, 3, limit->is_hard ? 1 : 0);
    stmt_bind_int(stmt, 4, limit->may_clamp ? 1 : 0);
    stmt_bind_int(stmt, 5, limit->is_strict ? 1 : 0);
    stmt_bind_text(stmt, 6, span_from(thresholds));
    stmt_bind_optional_int(stmt, 7, limit->override_amount, 0);
    if (limit->override_amount != 0)
        stmt_bind_int(stmt, 8, limit->override_start_ms);
    else
        stmt_bind_null(stmt, 8);
    return stmt_run(stmt, err);
}

static enum tg_status mark_deleted(struct db *db, int32_t id, struct err *err)
{
    struct stmt *stmt;

    TRY(stmt_use(db, sql_delete, &stmt, err));
    stmt_bind_int(stmt, 1, id);
    stmt_bind_int(stmt, 2, clock_wall_ms());
    return stmt_run(stmt, err);
}

/* Find the one that a set takes the place of; before.id 0: there is none. */
static enum tg_status find_same(struct limit_job *job, struct db *db, const struct limit *limit,
                                struct err *err)
{
    char public_id[ID_TEXT_SIZE] = "";
    struct stmt *stmt;
    bool has_row;
    bool has_other = false;

    TRY(stmt_use(db, sql_same, &stmt, err));
    stmt_bind_optional_int(stmt, 1, limit->team_id, 0);
    stmt_bind_optional_int(stmt, 2, limit->key_id, 0);
    stmt_bind_int(stmt, 3, limit->is_each_key ? 1 : 0);
    stmt_bind_text(stmt, 4, span_from(limit_metric_name(limit->metric)));
    stmt_bind_optional_text(stmt, 5, window_of(limit));
    stmt_bind_optional_text(stmt, 6, models_of(job));
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return TG_OK;
    account_copy_text(stmt_text(stmt, 0), public_id, sizeof(public_id));
    TRY(stmt_step(stmt, &has_other, err));
    stmt_reset(stmt);
    if (has_other)
        return err_set(err, TG_CONFLICT,
                       "several limits have this scope, metric, window and models; change the one "
                       "that is meant by its id, as %s",
                       public_id);
    return limit_get(db, ACCOUNT_ALL, span_from(public_id), &job->before, err);
}

/* Whether two limits of one window have the same periods. */
static bool has_same_periods(const struct limit *a, const struct limit *b)
{
    return strcmp(a->timezone, b->timezone) == 0 && a->rule.week_start == b->rule.week_start &&
           a->rule.anchor_day == b->rule.anchor_day;
}

/* Put it in the place of job->before: the same row where only what may change does. */
static enum tg_status replace(struct limit_job *job, struct db *db, struct limit *limit,
                              struct err *err)
{
    TRY(account_check_revision(job->before.revision, job->if_revision, err));
    if (has_same_periods(&job->before, limit)) {
        limit->id = job->before.id;
        TRY(write(db, limit, err));
        return limit_get(db, ACCOUNT_ALL, span_from(job->before.public_id), &job->after, err);
    }
    TRY(mark_deleted(db, job->before.id, err));
    TRY(insert(job, db, limit, err));
    job->was_created = false;
    return TG_OK;
}

static enum tg_status set(struct limit_job *job, struct db *db, struct err *err)
{
    struct limit limit;

    TRY(plan(job, db, &limit, err));
    TRY(find_same(job, db, &limit, err));
    return job->before.id == 0 ? insert(job, db, &limit, err) : replace(job, db, &limit, err);
}

static enum tg_status create(struct limit_job *job, struct db *db, struct err *err)
{
    struct limit limit;

    TRY(plan(job, db, &limit, err));
    return insert(job, db, &limit, err);
}

static enum tg_status update(struct limit_job *job, struct db *db, struct err *err)
{
    struct limit next = job->before; /* borrows its models */

    TRY(check_clamp(&job->account, next.metric, err));
    overlay(job, &next);
    return write(db, &next, err);
}

/* By the calendar that admissions go by. */
static enum tg_status find_period(struct db *db, const struct limit *limit,
                                  struct period *ret_period, struct err *err)
{
    const int64_t now_ms = clock_wall_ms();
    struct calendar *calendar = NULL;

    TRY(calendar_open(db, limit->timezone, &limit->rule, now_ms, &calendar, err));
    calendar_at(calendar, now_ms, ret_period);
    calendar_free(calendar);
    return TG_OK;
}

static enum tg_status override(struct limit_job *job, struct db *db, struct err *err)
{
    struct limit next = job->before; /* borrows its models */
    struct period period;

    if (!next.has_window)
        return err_set(err, TG_CONFLICT,
                       "a limit of parallel calls has no period to override; change its amount");
    TRY(find_period(db, &next, &period, err));
    next.override_amount = job->input.amount;
    next.override_start_ms = period.start_ms;
    return write(db, &next, err);
}

static enum tg_status change(struct limit_job *job, struct db *db, struct err *err)
{
    if (job->action == LIMIT_DELETE)
        return mark_deleted(db, job->before.id, err);
    if (job->action == LIMIT_OVERRIDE)
        TRY(override(job, db, err));
    else
        TRY(update(job, db, err));
    return limit_get(db, ACCOUNT_ALL, job->public_id, &job->after, err);
}

static void forget_rows(struct limit_job *job)
{
    limit_fini(&job->before);
    limit_fini(&job->after);
    job->before = (struct limit){ 0 };
    job->after = (struct limit){ 0 };
    job->was_created = false;
}

static enum tg_status apply(struct account_job *account, struct db *db, struct err *err)
{
    struct limit_job *job = job_of(account);

    forget_rows(job); /* of a run that was rolled back */
    if (job->action == LIMIT_CREATE)
        return create(job, db, err);
    if (job->action == LIMIT_SET)
        return set(job, db, err);
    TRY(limit_get(db, job->scope, job->public_id, &job->before, err));
    /* A team sees what binds it, and changes only its own. */
    if (job->scope != ACCOUNT_ALL && job->before.team_id != job->scope)
        return err_set(err, TG_NOT_FOUND, "there is no such limit");
    TRY(account_check_revision(job->before.revision, job->if_revision, err));
    return change(job, db, err);
}

static enum tg_status publish(struct account_job *account, struct db *db, struct err *err)
{
    struct limit_job *job = job_of(account);

    if (job->admit == NULL)
        return TG_OK;
    if (job->before.id != 0 && job->before.id != job->after.id)
        admit_remove_limit(job->admit, job->before.id);
    if (job->after.id == 0)
        return TG_OK;
    return admit_put_limit(job->admit, db, &job->after, err);
}

void limit_job_init(struct limit_job *job, enum limit_action action, struct admit *admit)
{
    *job = (struct limit_job){ .action = action, .admit = admit };
    account_job_init(&job->account);
    job->account.check = check;
    job->account.apply = apply;
    job->account.publish = publish;
}

void limit_job_fini(struct limit_job *job)
{
    if (job == NULL)
        return;
    forget_rows(job);
    free(job->models);
    job->models = NULL;
}
