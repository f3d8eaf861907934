#include "admin/api.h"

#include "admin/calls.h"
#include "admin/explain.h"
#include "admin/holds.h"
#include "admin/keys.h"
#include "admin/limits.h"
#include "admin/models.h"
#include "admin/prices.h"
#include "admin/problem.h"
#include "admin/providers.h"
#include "admin/refusals.h"
#include "admin/session.h"
#include "admin/system.h"
#include "admin/teams.h"
#include "admin/tokens.h"
#include "admin/usage.h"
#include "base/log.h"
#include "base/try.h"
#include "ledger/account.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_FIRST_BYTES 8192

/* --- the table -------------------------------------------------------------------------------- */

#define OWNERS   API_FOR_OWNER
#define ADMINS   (OWNERS | API_FOR_ADMIN)
#define TEAMS    (ADMINS | API_FOR_TEAM)
#define MONEY    (ADMINS | API_FOR_FINANCE)
#define AUDITORS (MONEY | API_FOR_VIEWER)
#define ALL      (AUDITORS | API_FOR_TEAM)

const struct api_route api_routes[] = {
    { "GET", "/healthz", API_FOR_ANYONE, API_NO_BODY, system_health },
    { "GET", "/readyz", API_FOR_ANYONE, API_NO_BODY, system_ready },
    { "GET", "/problems/{code}", API_FOR_ANYONE, API_NO_BODY, system_problem },
    { "POST", "/api/v1/setup", API_FOR_ANYONE, API_NEEDS_BODY, tokens_setup },
    { "GET", "/api/v1/me", ALL, API_NO_BODY, system_me },

    { "GET", "/api/v1/teams", ALL, API_NO_BODY, teams_list },
    { "POST", "/api/v1/teams", ADMINS, API_NEEDS_BODY, teams_create },
    { "GET", "/api/v1/teams/{id}", ALL, API_NO_BODY, teams_get },
    { "PATCH", "/api/v1/teams/{id}", ADMINS, API_NEEDS_BODY, teams_update },
    { "POST", "/api/v1/teams/{id}/archive", ADMINS, API_MAY_HAVE_BODY, teams_archive },

    { "GET", "/api/v1/keys", ALL, API_NO_BODY, keys_list },
    { "POST", "/api/v1/keys", TEAMS, API_NEEDS_BODY, keys_create },
    { "GET", "/api/v1/keys/{id}", ALL, API_NO_BODY, keys_get },
    { "PATCH", "/api/v1/keys/{id}", TEAMS, API_NEEDS_BODY, keys_update },
    { "POST", "/api/v1/keys/{id}/rotate", TEAMS, API_MAY_HAVE_BODY, keys_rotate },
    { "POST", "/api/v1/keys/{id}/revoke", TEAMS, API_MAY_HAVE_BODY, keys_revoke },

    { "GET", "/api/v1/limits", ALL, API_NO_BODY, limits_list },
    { "POST", "/api/v1/limits", MONEY, API_NEEDS_BODY, limits_create },
    { "PUT", "/api/v1/limits", MONEY, API_NEEDS_BODY, limits_set },
    { "GET", "/api/v1/limits/{id}", ALL, API_NO_BODY, limits_get },
    { "PATCH", "/api/v1/limits/{id}", MONEY, API_NEEDS_BODY, limits_update },
    { "DELETE", "/api/v1/limits/{id}", MONEY, API_NO_BODY, limits_delete },
    { "PUT", "/api/v1/limits/{id}/override", MONEY, API_NEEDS_BODY, limits_override },
    { "GET", "/api/v1/limits/{id}/events", ALL, API_NO_BODY, limits_events },
    { "GET", "/api/v1/refusals", ALL, API_NO_BODY, refusals_list },
    { "GET", "/api/v1/explain", ALL, API_NO_BODY, explain_get },

    { "GET", "/api/v1/providers", AUDITORS, API_NO_BODY, providers_list },
    { "POST", "/api/v1/providers", ADMINS, API_NEEDS_BODY, providers_create },
    { "GET", "/api/v1/provider-kinds", AUDITORS, API_NO_BODY, providers_kinds },
    { "GET", "/api/v1/providers/{id}", AUDITORS, API_NO_BODY, providers_get },
    { "PATCH", "/api/v1/providers/{id}", ADMINS, API_NEEDS_BODY, providers_update },
    { "DELETE", "/api/v1/providers/{id}", ADMINS, API_NO_BODY, providers_delete },
    { "POST", "/api/v1/providers/{id}/test", ADMINS, API_MAY_HAVE_BODY, providers_test },

    { "GET", "/api/v1/prices", AUDITORS, API_NO_BODY, prices_list },
    { "POST", "/api/v1/prices", MONEY, API_NEEDS_BODY, prices_create },
    { "GET", "/api/v1/prices/match", AUDITORS, API_NO_BODY, prices_match },
    { "POST", API_IMPORT_PATH, MONEY, API_NEEDS_BODY, prices_import },
    { "GET", "/api/v1/prices/markups", AUDITORS, API_NO_BODY, prices_list_markups },
    { "POST", "/api/v1/prices/markups", MONEY, API_NEEDS_BODY, prices_create_markup },
    { "DELETE", "/api/v1/prices/markups/{id}", MONEY, API_NO_BODY, prices_close_markup },
    { "GET", "/api/v1/prices/{id}", AUDITORS, API_NO_BODY, prices_get },
    { "DELETE", "/api/v1/prices/{id}", MONEY, API_NO_BODY, prices_close },
    { "GET", "/api/v1/models", AUDITORS, API_NO_BODY, models_list },
    { "GET", "/api/v1/models/{id}", AUDITORS, API_NO_BODY, models_get },
    { "PATCH", "/api/v1/models/{id}", OWNERS, API_NEEDS_BODY, models_update },

    { "GET", "/api/v1/calls", ALL, API_NO_BODY, calls_list },
    { "GET", "/api/v1/calls/{id}", ALL, API_NO_BODY, calls_get },
    { "POST", "/api/v1/calls/{id}/reconcile", MONEY, API_NEEDS_BODY, calls_reconcile },
    { "GET", "/api/v1/holds", ALL, API_NO_BODY, holds_list },
    { "POST", "/api/v1/unreconciled/release", MONEY, API_NEEDS_BODY, holds_release },
    { "GET", "/api/v1/usage", ALL, API_NO_BODY, usage_get },

    { "GET", "/api/v1/tokens", ADMINS, API_NO_BODY, tokens_list },
    { "POST", "/api/v1/tokens", ADMINS, API_NEEDS_BODY, tokens_create },
    { "GET", "/api/v1/tokens/{id}", ADMINS, API_NO_BODY, tokens_get },
    { "POST", "/api/v1/tokens/{id}/revoke", ADMINS, API_MAY_HAVE_BODY, tokens_revoke },

    { "GET", "/api/v1/verify", MONEY, API_NO_BODY, system_verify },
    { "POST", "/api/v1/backup", OWNERS | API_BY_SOCKET, API_NEEDS_BODY, system_backup },
};
const int api_route_count = (int)(sizeof(api_routes) / sizeof(api_routes[0]));

static bool matches(const char *pattern, struct span path, struct span *ret_id)
{
    const char *brace = strchr(pattern, '{');
    const char *tail = brace != NULL ? strchr(brace, '}') + 1 : "";
    size_t id_len;

    *ret_id = SPAN_EMPTY;
    if (brace == NULL)
        return span_equal(path, span_from(pattern));
    if (!span_starts_with(path, span_of(pattern, (size_t)(brace - pattern))))
        return false;
    path = span_from_offset(path, (size_t)(brace - pattern));
    if (!span_find_byte(path, '/', &id_len))
        id_len = path.len;
    *ret_id = span_of(path.ptr, id_len);
    return id_len > 0 && span_equal(span_from_offset(path, id_len), span_from(tail));
}

const struct api_route *api_find(const char *method, struct span path, struct span *ret_id,
                                 bool *ret_knows_path)
{
    const char *as = strcmp(method, "HEAD") == 0 ? "GET" : method;

    *ret_knows_path = false;
    for (int i = 0; i < api_route_count; i++) {
        if (!matches(api_routes[i].pattern, path, ret_id))
            continue;
        *ret_knows_path = true;
        if (strcmp(api_routes[i].method, as) == 0)
            return &api_routes[i];
    }
    return NULL;
}

/* --- for handlers ----------------------------------------------------------------------------- */

enum tg_status api_fail(struct api_call *call, enum tg_status status, const char *pointer,
                        const char *why)
{
    (void)snprintf(call->pointer, sizeof(call->pointer), "%s", pointer);
    return err_set(&call->err, status, "%s", why);
}

void api_begin(struct api_call *call, struct json_writer *w)
{
    call->answer->http = 200;
    call->answer->type = "application/json";
    buf_init(&call->answer->body, API_ANSWER_MAX);
    json_begin(w, &call->answer->body);
}

void api_begin_created(struct api_call *call, struct json_writer *w, const char *location)
{
    api_begin(call, w);
    call->answer->http = 201;
    daemon_answer_header(call->answer, "Location", location);
}

void api_no_content(struct api_call *call)
{
    call->answer->http = 204;
}

void api_etag(struct api_call *call, int64_t revision)
{
    char tag[32];

    (void)snprintf(tag, sizeof(tag), "\"%lld\"", (long long)revision);
    daemon_answer_header(call->answer, "ETag", tag);
}

enum tg_status api_if_match(struct api_call *call, int64_t *ret_revision)
{
    struct span tag = daemon_header(call->request, "If-Match");

    *ret_revision = 0;
    if (tag.len == 0 || span_equal(tag, SPAN("*")))
        return TG_OK;
    if (tag.len > 2 && tag.ptr[0] == '"' && tag.ptr[tag.len - 1] == '"' &&
        span_to_int64(span_of(tag.ptr + 1, tag.len - 2), INT64_MAX, ret_revision) &&
        *ret_revision > 0)
        return TG_OK;
    return api_fail(call, TG_INVALID, "", "If-Match must be the ETag of an earlier answer");
}

void api_list_begin(struct api_list *list, struct api_call *call)
{
    *list = (struct api_list){ .call = call };
    api_begin(call, &list->w);
    json_open_object(&list->w, NULL);
    json_open_array(&list->w, "data");
}

void api_list_end(struct api_list *list, bool has_more)
{
    json_close_array(&list->w);
    json_bool(&list->w, "has_more", has_more);
    json_string(&list->w, "next_cursor", has_more ? list->last : NULL);
    json_close_object(&list->w);
}

enum tg_status api_change(struct api_call *call, struct account_job *job)
{
    const enum tg_status status = account_call(call->parts->writer, job, &call->err);

    if (status != TG_OK && job->problem_pointer != NULL)
        (void)snprintf(call->pointer, sizeof(call->pointer), "%s", job->problem_pointer);
    return status;
}

/* --- one request ------------------------------------------------------------------------------ */

static void write_problem(struct api_call *call, enum tg_status status)
{
    const struct problem problem = {
        .status = status,
        .detail = call->err.text,
        .instance = call->request->path,
        .request_id = call->request->id,
        .pointer = call->pointer,
    };

    buf_fini(&call->answer->body);
    buf_init(&call->answer->body, API_ANSWER_MAX);
    call->answer->http = tg_status_info(status)->http;
    call->answer->type = PROBLEM_TYPE;
    problem_write(&problem, &call->answer->body);
    if (tg_status_info(status)->http >= 500)
        log_event(LOG_ERROR, "admin_request_failed", LOG_FS("request_id", call->request->id),
                  LOG_FS("method", call->request->method), LOG_F("path", call->request->path),
                  LOG_FS("code", tg_status_info(status)->code), LOG_FS("error", call->err.text));
}

/* Says which methods a path has. */
static enum tg_status refuse_method(struct api_call *call)
{
    char allow[64] = "";
    struct span id;

    for (int i = 0; i < api_route_count; i++) {
        const size_t len = strlen(allow);

        if (!matches(api_routes[i].pattern, call->request->path, &id))
            continue;
        (void)snprintf(allow + len, sizeof(allow) - len, "%s%s", len > 0 ? ", " : "",
                       api_routes[i].method);
    }
    daemon_answer_header(call->answer, "Allow", allow);
    return TG_METHOD_NOT_ALLOWED;
}

static enum tg_status authorize(struct api_call *call, const struct api_route *route)
{
    if ((route->access & API_FOR_ANYONE) != 0)
        return TG_OK;
    TRY(session_identify(call));
    if ((route->access & (1u << call->who.role)) == 0)
        return api_fail(call, TG_FORBIDDEN, "", "the role of this token may not do that");
    if ((route->access & API_BY_SOCKET) != 0 && !call->request->is_local_owner)
        return api_fail(call, TG_FORBIDDEN, "",
                        "this is done by the command line on the server, through its socket");
    return TG_OK;
}

static enum tg_status read_body(struct api_call *call, const struct api_route *route)
{
    const struct span type = daemon_header(call->request, "Content-Type");
    const struct span json = SPAN("application/json");

    if (call->request->body.len == 0) {
        if (route->body == API_NEEDS_BODY)
            return api_fail(call, TG_INVALID, "", "a JSON object must be sent as the body");
        return TG_OK;
    }
    if (route->body == API_NO_BODY)
        return api_fail(call, TG_INVALID, "", "this request takes no body");
    if (!span_starts_with_nocase(type, json) ||
        (type.len > json.len && type.ptr[json.len] != ';' && type.ptr[json.len] != ' '))
        return api_fail(call, TG_INVALID, "", "Content-Type must be application/json");
    TRY(json_parse(call->request->body, &call->body, &call->err));
    if (!cJSON_IsObject(call->body))
        return api_fail(call, TG_INVALID, "", "the body must be a JSON object");
    return TG_OK;
}

static enum tg_status serve(struct api_call *call)
{
    const struct api_route *route;
    bool knows_path;

    if (call->request->fault != TG_OK)
        return call->request->fault;
    route = api_find(call->request->method, call->request->path, &call->id, &knows_path);
    if (route == NULL)
        return knows_path ? refuse_method(call) : TG_NO_ROUTE;
    TRY(authorize(call, route));
    TRY(read_body(call, route));
    if (strcmp(route->method, "GET") != 0 && call->request->param_count > 0)
        return api_fail(call, TG_INVALID, "", "this request takes no query parameters");
    TRY(route->handle(call));
    return buf_status(&call->answer->body);
}

static bool is_ours(struct span path)
{
    struct span id;
    bool knows_path;

    if (span_starts_with(path, SPAN("/api/")))
        return true;
    (void)api_find("GET", path, &id, &knows_path);
    return knows_path;
}

void api_handle(void *context, const struct daemon_request *request, struct daemon_answer *answer)
{
    const struct api_parts *parts = context;
    struct api_call call = { .parts = parts, .request = request, .answer = answer };
    enum tg_status status;

    if (parts->other != NULL && request->fault == TG_OK && !is_ours(request->path)) {
        parts->other(parts->other_context, request, answer);
        return;
    }
    daemon_answer_header(answer, "Cache-Control", "no-store");
    daemon_answer_header(answer, "X-Content-Type-Options", "nosniff");
    arena_init(&call.arena, ARENA_FIRST_BYTES, API_ARENA_MAX);
    status = serve(&call);
    if (status != TG_OK)
        write_problem(&call, status);
    cJSON_Delete(call.body);
    arena_fini(&call.arena);
}
