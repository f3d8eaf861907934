#include "routing/probe.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/try.h"
#include "net/address.h"
#include "net/fetch.h"
#include "providers/catalogue.h"
#include "routing/provider.h"
#include "routing/target.h"
#include "store/stmt.h"

#include <stdio.h>

#define US_PER_MS  1000
#define HEADER_MAX (PROVIDER_SECRET_MAX + 64)
#define NAMES_MAX  ((size_t)1 << 20)

static const char sql_secret[] =
    "SELECT kind, base_url, secret FROM provider WHERE public_id = ?1 AND deleted_ms IS NULL";

void probe_fini(struct probe *probe)
{
    secret_fini(&probe->header);
}

void probe_result_fini(struct probe_result *result)
{
    buf_fini(&result->models);
}

static const char *header_prefix(enum tg_auth auth)
{
    switch (auth) {
    case TG_AUTH_BEARER:
        return "Authorization: Bearer ";
    case TG_AUTH_X_API_KEY:
        return "x-api-key: ";
    case TG_AUTH_X_GOOG_API_KEY:
        return "x-goog-api-key: ";
    case TG_AUTH_API_KEY:
        return "api-key: ";
    case TG_AUTH_OF_KIND:
    case TG_AUTH_NONE:
        break;
    }
    return NULL;
}

static enum tg_status make_header(struct probe *probe, enum tg_auth auth,
                                  const struct secret *plain, struct err *err)
{
    const char *prefix = header_prefix(auth);
    AUTO(buf) line = { 0 };
    enum tg_status status;

    if (prefix == NULL || plain->len == 0)
        return TG_OK;
    buf_init(&line, HEADER_MAX);
    buf_put_text(&line, prefix);
    buf_put_span(&line, secret_span(plain));
    buf_put_byte(&line, '\0');
    status = buf_status(&line);
    if (status == TG_OK)
        status = secret_init(&probe->header, buf_span(&line));
    if (line.data != NULL)
        explicit_bzero(line.data, line.size);
    if (status != TG_OK)
        return err_set(err, status, "out of memory for a secret");
    return TG_OK;
}

static enum tg_status read_row(struct probe *probe, const struct stmt *stmt,
                               const struct secret_ring *ring, struct span public_id,
                               struct err *err)
{
    const struct tg_kind *kind = catalogue_kind(stmt_text(stmt, 0));
    const struct span base_url = stmt_text(stmt, 1);
    const struct span sealed = stmt_blob(stmt, 2);
    char context[PROVIDER_CONTEXT_SIZE];
    char id[ID_TEXT_SIZE];
    AUTO(secret) plain = { 0 };
    struct target_url url;

    if (kind == NULL)
        return err_set(err, TG_CORRUPT,
                       "the provider is of a kind that this program does not know");
    if (kind->models_path != NULL && kind->models_path[0] == '\0')
        return err_set(err, TG_UPSTREAM_INVALID, "a provider of kind %s has no list of models",
                       kind->name);
    TRY(target_parse_url(base_url, &url, err));
    probe->is_loopback = address_is_loopback(url.host);
    (void)snprintf(probe->url, sizeof(probe->url), "%.*s%s", SPAN_ARG(base_url),
                   kind->models_path != NULL ? kind->models_path : "/models");
    if (sealed.len > 0) {
        account_copy_text(public_id, id, sizeof(id));
        provider_secret_context(id, context);
        if (secret_open(ring, span_from(context), sealed, &plain) != TG_OK)
            return err_set(err, TG_CORRUPT,
                           "the secret cannot be opened with this master key; put the master key "
                           "back, or set the secret again");
    }
    return make_header(probe, kind->auth, &plain, err);
}

enum tg_status probe_prepare(struct db *db, const struct secret_ring *ring,
                             struct span provider_public_id, struct probe *ret_probe,
                             struct err *err)
{
    struct stmt *stmt;
    bool has_row;
    enum tg_status status;

    TRY(stmt_use(db, sql_secret, &stmt, err));
    stmt_bind_text(stmt, 1, provider_public_id);
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_NOT_FOUND, "there is no such provider");
    status = read_row(ret_probe, stmt, ring, provider_public_id, err);
    stmt_reset(stmt);
    return status;
}

/* OpenAI and Anthropic: data[].id; Google: models[].name; Together: [].id. */
static const cJSON *list_of(const cJSON *tree)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(tree, "data");

    if (cJSON_IsArray(tree))
        return tree;
    return list != NULL ? list : cJSON_GetObjectItemCaseSensitive(tree, "models");
}

static const char *name_of(const cJSON *model)
{
    static const char folder[] = "models/"; /* Google's; clients leave it out */
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(model, "id");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(model, "name");

    if (cJSON_IsString(id))
        return id->valuestring;
    if (!cJSON_IsString(name))
        return NULL;
    return name->valuestring +
           (strncmp(name->valuestring, folder, strlen(folder)) == 0 ? strlen(folder) : 0);
}

static enum tg_status read_list(struct span body, struct probe_result *result, struct err *err)
{
    AUTO_JSON tree = NULL;
    const cJSON *list;
    const cJSON *model;
    struct json_writer w;

    if (json_parse(body, &tree, NULL) != TG_OK || !cJSON_IsArray(list_of(tree)))
        return err_set(err, TG_UPSTREAM_INVALID,
                       "it answers, but not with a list of models: check base_url");
    list = list_of(tree);
    json_begin(&w, &result->models);
    json_open_array(&w, NULL);
    cJSON_ArrayForEach(model, list)
    {
        const char *name = name_of(model);

        if (name == NULL || strlen(name) > TG_MODEL_MAX || name[0] == '\0' ||
            result->model_count == PROVIDER_MODELS_MAX)
            continue;
        json_string(&w, NULL, name);
        result->model_count++;
    }
    json_close_array(&w);
    return buf_status(&result->models);
}

static enum tg_status judge(int http, struct err *err)
{
    if (http == 401 || http == 403)
        return err_set(err, TG_UPSTREAM_INVALID, "it answers %d: the secret is not accepted", http);
    if (http == 404)
        return err_set(err, TG_UPSTREAM_INVALID, "it answers 404: check base_url");
    if (http != 200)
        return err_set(err, TG_UPSTREAM_INVALID, "it answers %d", http);
    return TG_OK;
}

enum tg_status probe_run(const struct probe *probe, const struct probe_options *options,
                         struct probe_result *ret_result, struct err *err)
{
    const int64_t start_us = clock_monotonic_us();
    const struct fetch_request request = {
        .method = "GET",
        .url = probe->url,
        .headers = { "Accept: application/json", "anthropic-version: 2023-06-01",
                     (const char *)probe->header.bytes },
        .deadline_ms = options->deadline_ms,
        .answer_max_bytes = PROBE_ANSWER_MAX,
        .is_loopback = probe->is_loopback,
        .ca_file = options->ca_file,
        .stop = options->stop,
    };
    AUTO(fetch_answer) answer = { 0 };
    enum tg_status status;

    *ret_result = (struct probe_result){ 0 };
    buf_init(&ret_result->models, NAMES_MAX);
    status = fetch(&request, &answer, err);
    ret_result->took_ms = (clock_monotonic_us() - start_us) / US_PER_MS;
    ret_result->http = answer.http;
    TRY(status);
    TRY(judge(answer.http, err));
    return read_list(buf_span(&answer.body), ret_result, err);
}
