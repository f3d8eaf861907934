/* Goal: the REST API does what it says to each who may ask, says no in the same form to all others,
 * and shows no secret twice and no team another's rows. Method: the real listener over a real
 * database, by TCP with tokens of each role and by the Unix socket as its owner; the matrix of
 * roles is walked over the route table itself. */

#include "base/clock.h"
#include "base/money.h"
#include "providers/catalogue.h"
#include "sandbox/sandbox.h"
#include "store/stmt.h"
#include "support/suites.h"
#include "support/support_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct support_admin admin;

static void start(void)
{
    support_admin_start(&admin);
}

static void stop(void)
{
    support_admin_stop(&admin);
}

/* Ask as the owner, by the socket; the reply lives until the next. */
static struct support_reply *ask(const char *method, const char *path, const char *body)
{
    static struct support_reply reply;

    support_reply_fini(&reply);
    support_ask(&admin, &(struct support_ask){ .method = method, .path = path, .body = body },
                &reply);
    return &reply;
}

static struct support_reply *ask_as(const char *token, const char *method, const char *path,
                                    const char *body)
{
    static struct support_reply reply;

    support_reply_fini(&reply);
    support_ask(
        &admin,
        &(struct support_ask){ .method = method, .path = path, .token = token, .body = body },
        &reply);
    return &reply;
}

static const cJSON *data_of(const struct support_reply *reply)
{
    return cJSON_GetObjectItemCaseSensitive(reply->json, "data");
}

static int count_of(const struct support_reply *reply)
{
    return cJSON_GetArraySize(data_of(reply));
}

static void is_problem(const struct support_reply *reply, int http, const char *code,
                       const char *pointer)
{
    const cJSON *errors = cJSON_GetObjectItemCaseSensitive(reply->json, "errors");

    ck_assert_msg(reply->http == http, "%d for %d: %s", reply->http, http, reply->text);
    ck_assert_str_eq(reply->type, "application/problem+json");
    ck_assert_str_eq(support_text(reply->json, "code"), code);
    ck_assert_int_eq(
        (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(reply->json, "status")), http);
    ck_assert(strncmp(support_text(reply->json, "request_id"), "req_", 4) == 0);
    ck_assert(support_text(reply->json, "detail")[0] != '\0');
    if (pointer[0] == '\0')
        ck_assert_int_eq(cJSON_GetArraySize(errors), 0);
    else
        ck_assert_str_eq(support_text(cJSON_GetArrayItem(errors, 0), "pointer"), pointer);
}

/* --- teams ------------------------------------------------------------------------------------ */

START_TEST(a_team_is_made_read_changed_and_archived)
{
    char path[128];
    char archive[160];
    const struct support_reply *reply =
        ask("POST", "/api/v1/teams",
            "{\"name\":\"research\",\"timezone\":\"Europe/Berlin\",\"metadata\":{\"cc\":\"42\"}}");

    ck_assert_int_eq(reply->http, 201);
    ck_assert_str_eq(reply->type, "application/json");
    ck_assert_str_eq(support_text(reply->json, "timezone"), "Europe/Berlin");
    (void)snprintf(path, sizeof(path), "/api/v1/teams/%s", support_text(reply->json, "id"));
    (void)snprintf(archive, sizeof(archive), "%s/archive", path);
    reply = ask("PATCH", path, "{\"timezone\":null,\"name\":\"lab\"}");
    ck_assert_int_eq(reply->http, 200);
    ck_assert(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(reply->json, "timezone")));
    ck_assert_str_eq(support_text(cJSON_GetObjectItemCaseSensitive(reply->json, "metadata"), "cc"),
                     "42");
    ck_assert_str_eq(support_text(ask("GET", path, NULL)->json, "name"), "lab");
    ck_assert_int_eq(ask("POST", archive, NULL)->http, 200);
    is_problem(ask("PATCH", path, "{\"name\":\"again\"}"), 409, "conflict", "");
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/teams", NULL)), 0);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/teams?archived=true", NULL)), 1);
}
END_TEST

START_TEST(lists_are_paged_by_cursor)
{
    const struct support_reply *reply;
    char path[128];
    char id[ID_TEXT_SIZE];

    support_team(&admin, "a", id);
    support_team(&admin, "b", id);
    support_team(&admin, "c", id);
    reply = ask("GET", "/api/v1/teams?limit=2", NULL);
    ck_assert_int_eq(count_of(reply), 2);
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply->json, "has_more")));
    (void)snprintf(path, sizeof(path), "/api/v1/teams?limit=2&after=%s",
                   support_text(reply->json, "next_cursor"));
    reply = ask("GET", path, NULL);
    ck_assert_int_eq(count_of(reply), 1);
    ck_assert_str_eq(support_text(cJSON_GetArrayItem(data_of(reply), 0), "name"), "c");
    ck_assert(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reply->json, "has_more")));
    ck_assert(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(reply->json, "next_cursor")));
    is_problem(ask("GET", "/api/v1/teams?limit=0", NULL), 400, "invalid_request", "?limit");
    is_problem(ask("GET", "/api/v1/teams?limit=201", NULL), 400, "invalid_request", "?limit");
    ck_assert_int_eq(ask("GET", "/api/v1/teams?after=team_unknown", NULL)->http, 400);
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

struct refusal {
    const char *method;
    const char *path;
    const char *body;
    int http;
    const char *code;
    const char *pointer;
};

static const struct refusal refusals[] = {
    { "POST", "/api/v1/teams", "{\"name\":\"x\",\"nmae\":1}", 400, "invalid_request", "/nmae" },
    { "POST", "/api/v1/teams", "{}", 400, "invalid_request", "/name" },
    { "POST", "/api/v1/teams", "{\"name\":7}", 400, "invalid_request", "/name" },
    { "POST", "/api/v1/teams", "{\"name\":null}", 400, "invalid_request", "/name" },
    { "POST", "/api/v1/teams", "{\"name\":\"\"}", 400, "invalid_request", "/name" },
    { "POST", "/api/v1/teams", "{\"name\":\"x\",\"timezone\":\"Mars/Base\"}", 400,
      "invalid_request", "/timezone" },
    { "POST", "/api/v1/teams", "{\"name\":\"x\",\"metadata\":\"y\"}", 400, "invalid_request",
      "/metadata" },
    { "POST", "/api/v1/teams", "{\"name\":\"x\",\"name\":\"y\"}", 400, "invalid_request", "" },
    { "POST", "/api/v1/teams", "[]", 400, "invalid_request", "" },
    { "POST", "/api/v1/teams", "{\"name\":", 400, "invalid_request", "" },
    { "POST", "/api/v1/teams", NULL, 400, "invalid_request", "" },
    { "POST", "/api/v1/teams?x=1", "{\"name\":\"x\"}", 400, "invalid_request", "" },
    { "GET", "/api/v1/teams?sort=name", NULL, 400, "invalid_request", "?sort" },
    { "GET", "/api/v1/teams?limit=1&limit=2", NULL, 400, "invalid_request", "?limit" },
    { "GET", "/api/v1/teams?archived=yes", NULL, 400, "invalid_request", "?archived" },
    { "GET", "/api/v1/teams?limit=%zz", NULL, 400, "invalid_request", "" },
    { "GET", "/api/v1/teams", "{}", 400, "invalid_request", "" },
    { "GET", "/api/v1/teams/team_000000000000", NULL, 404, "not_found", "" },
    { "GET", "/api/v1/keys/key_000000000000", NULL, 404, "not_found", "" },
    { "GET", "/api/v1/calls/call_nonsense", NULL, 404, "not_found", "" },
    { "GET", "/api/v1/calls/call_00000000001", NULL, 404, "not_found", "" },
    { "GET", "/api/v1/nothing", NULL, 404, "unknown_url", "" },
    { "GET", "/api/v1/teams/", NULL, 404, "unknown_url", "" },
    { "GET", "/api/v1/teams/a/b", NULL, 404, "unknown_url", "" },
    { "GET", "/api/v1/%74eams", NULL, 404, "unknown_url", "" },
    { "GET", "/problems/nonsense", NULL, 404, "not_found", "" },
    { "DELETE", "/api/v1/teams", NULL, 405, "method_not_allowed", "" },
    { "PUT", "/healthz", NULL, 405, "method_not_allowed", "" },
    { "POST", "/api/v1/keys", "{\"team_id\":\"team_000000000000\",\"name\":\"k\"}", 404,
      "not_found", "/team_id" },
    { "POST", "/api/v1/keys", "{\"name\":\"k\"}", 400, "invalid_request", "/team_id" },
    { "POST", "/api/v1/providers", "{\"name\":\"x\",\"kind\":\"nonsense\"}", 400, "invalid_request",
      "/kind" },
    { "POST", "/api/v1/providers", "{\"name\":\"V1\",\"kind\":\"openai\"}", 400, "invalid_request",
      "/name" },
    { "POST", "/api/v1/providers", "{\"name\":\"x\",\"kind\":\"openai\",\"base_url\":\"ftp://x\"}",
      400, "invalid_request", "/base_url" },
    { "POST", "/api/v1/tokens", "{\"name\":\"x\",\"role\":\"king\"}", 400, "invalid_request",
      "/role" },
    { "POST", "/api/v1/tokens", "{\"name\":\"x\",\"role\":\"team\"}", 400, "invalid_request",
      "/team_id" },
    { "GET", "/api/v1/usage?tz=Europe/Berlin", NULL, 400, "invalid_request", "?tz" },
    { "GET", "/api/v1/usage?bucket=2d", NULL, 400, "invalid_request", "?bucket" },
    { "GET", "/api/v1/usage?group_by=user", NULL, 400, "invalid_request", "?group_by" },
    { "GET", "/api/v1/usage?metric=love", NULL, 400, "invalid_request", "?metric" },
    { "GET", "/api/v1/usage?from=yesterday", NULL, 400, "invalid_request", "?from" },
    { "GET", "/api/v1/usage?from=2026-11-02&to=2026-11-01", NULL, 400, "invalid_request", "?to" },
    { "GET", "/api/v1/usage?bucket=1h&group_by=key&from=2026-11-01&to=2026-11-02", NULL, 400,
      "invalid_request", "" },
    { "GET", "/api/v1/usage?bucket=15m&from=2020-01-01&to=2026-01-01", NULL, 400, "invalid_request",
      "" },
    { "GET", "/api/v1/calls?outcome=fine", NULL, 400, "invalid_request", "?outcome" },
    { "GET", "/api/v1/calls?status=1000", NULL, 400, "invalid_request", "?status" },
    { "GET", "/api/v1/calls?after=x", NULL, 400, "invalid_request", "?after" },
    { "POST", "/api/v1/setup", "{\"token\":\"tga_wrong\"}", 401, "invalid_api_key", "" },
    { "POST", "/api/v1/backup", "{\"path\":\"relative\"}", 400, "invalid_request", "/path" },
};

START_TEST(what_is_wrong_is_refused_by_name)
{
    const struct refusal *row = &refusals[_i];

    is_problem(ask(row->method, row->path, row->body), row->http, row->code, row->pointer);
}
END_TEST

START_TEST(a_body_over_its_limit_is_refused_with_413)
{
    char *body = malloc(API_BODY_MAX + 64);
    char head[256];
    char *answer;

    memset(body, ' ', API_BODY_MAX + 1);
    body[API_BODY_MAX + 1] = '\0';
    is_problem(ask("POST", "/api/v1/teams", body), 413, "request_too_large", "");
    body[API_BODY_MAX] = '\0';
    is_problem(ask("POST", "/api/v1/teams", body), 400, "invalid_request", "");
    free(body);
    /* Said in the head alone: answered before the body is sent. */
    (void)snprintf(head, sizeof(head),
                   "POST /api/v1/teams HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                   API_BODY_MAX + 1);
    answer = support_talk(&admin, head, strlen(head));
    ck_assert(strncmp(answer, "HTTP/1.1 413", 12) == 0);
    free(answer);
}
END_TEST

START_TEST(a_chunked_body_over_its_limit_is_refused_too)
{
    static const char head[] =
        "POST /api/v1/teams HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct buf request = { 0 };
    char *answer;

    buf_init(&request, (size_t)4 << 20);
    buf_put_text(&request, head);
    for (int i = 0; i < 20; i++) {
        buf_put_text(&request, "10000\r\n");
        memset(buf_reserve(&request, 65536), ' ', 65536);
        buf_commit(&request, 65536);
        buf_put_text(&request, "\r\n");
    }
    buf_put_text(&request, "0\r\n\r\n");
    answer = support_talk(&admin, buf_span(&request).ptr, buf_len(&request));
    ck_assert_msg(strncmp(answer, "HTTP/1.1 413", 12) == 0, "%.40s", answer);
    free(answer);
    buf_fini(&request);
}
END_TEST

START_TEST(every_answer_has_an_id_and_is_not_stored)
{
    static const char *const requests[] = {
        "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /api/v1/teams HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /api/v1/none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        char *answer = support_talk(&admin, requests[i], strlen(requests[i]));

        ck_assert_ptr_nonnull(strcasestr(answer, "x-request-id: req_"));
        ck_assert_ptr_nonnull(strcasestr(answer, "cache-control: no-store"));
        free(answer);
    }
}
END_TEST

START_TEST(a_form_of_a_browser_is_no_request)
{
    static const char request[] = "POST /api/v1/setup HTTP/1.1\r\nHost: a\r\nConnection: "
                                  "close\r\nContent-Type: text/plain\r\n"
                                  "Content-Length: 13\r\n\r\n{\"token\":\"x\"}";
    char *answer = support_talk(&admin, request, strlen(request));

    ck_assert(strncmp(answer, "HTTP/1.1 400", 12) == 0);
    ck_assert_ptr_nonnull(strstr(answer, "Content-Type must be application/json"));
    free(answer);
}
END_TEST

/* --- keys and secrets ------------------------------------------------------------------------- */

START_TEST(a_keys_secret_is_shown_once)
{
    char team[ID_TEXT_SIZE];
    char body[256];
    char path[128];
    char verb[160];
    char secret[ID_TOKEN_SIZE];
    const struct support_reply *reply;

    support_team(&admin, "t", team);
    (void)snprintf(body, sizeof(body),
                   "{\"team_id\":\"%s\",\"name\":\"k\",\"models\":[\"gpt-*\"],"
                   "\"expires_at\":\"2099-01-01T00:00:00Z\"}",
                   team);
    reply = ask("POST", "/api/v1/keys", body);
    ck_assert_int_eq(reply->http, 201);
    (void)snprintf(secret, sizeof(secret), "%s", support_text(reply->json, "secret"));
    (void)snprintf(path, sizeof(path), "/api/v1/keys/%s", support_text(reply->json, "id"));
    ck_assert(strncmp(secret, "tgk_", 4) == 0);
    ck_assert_str_eq(support_text(reply->json, "expires_at"), "2099-01-01T00:00:00.000Z");
    ck_assert_ptr_null(strstr(ask("GET", path, NULL)->text, secret));
    ck_assert_ptr_null(strstr(ask("GET", "/api/v1/keys", NULL)->text, secret));
    ck_assert_ptr_null(strstr(ask("PATCH", path, "{\"name\":\"n\"}")->text, "secret"));
    (void)snprintf(verb, sizeof(verb), "%s/rotate", path);
    reply = ask("POST", verb, "{\"overlap_seconds\":60}");
    ck_assert_int_eq(reply->http, 200);
    ck_assert_str_ne(support_text(reply->json, "secret"), secret);
    (void)snprintf(verb, sizeof(verb), "%s/revoke", path);
    ck_assert_int_eq(ask("POST", verb, NULL)->http, 200);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/keys", NULL)), 0);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/keys?revoked=true", NULL)), 1);
    is_problem(ask("PATCH", path, "{\"team_id\":\"x\"}"), 400, "invalid_request", "/team_id");
}
END_TEST

START_TEST(the_setup_link_is_traded_once)
{
    char body[256];
    char token[ID_TOKEN_SIZE];
    const struct support_reply *reply;

    (void)snprintf(body, sizeof(body), "{\"token\":\"%s\"}", admin.setup);
    reply = ask_as("", "POST", "/api/v1/setup", body);
    ck_assert_int_eq(reply->http, 201);
    ck_assert_str_eq(support_text(reply->json, "role"), "owner");
    (void)snprintf(token, sizeof(token), "%s", support_text(reply->json, "secret"));
    is_problem(ask_as("", "POST", "/api/v1/setup", body), 401, "invalid_api_key", "");
    reply = ask_as(token, "GET", "/api/v1/me", NULL);
    ck_assert_str_eq(support_text(reply->json, "role"), "owner");
    ck_assert_ptr_null(strstr(ask("GET", "/api/v1/tokens", NULL)->text, token));
}
END_TEST

START_TEST(a_revoked_token_is_nobodys)
{
    char token[ID_TOKEN_SIZE];
    char path[128];

    support_token(&admin, "viewer", NULL, token);
    ck_assert_int_eq(ask_as(token, "GET", "/api/v1/teams", NULL)->http, 200);
    (void)snprintf(path, sizeof(path), "/api/v1/tokens/%s/revoke",
                   support_text(ask_as(token, "GET", "/api/v1/me", NULL)->json, "id"));
    ck_assert_int_eq(ask("POST", path, NULL)->http, 200);
    is_problem(ask_as(token, "GET", "/api/v1/teams", NULL), 401, "invalid_api_key", "");
}
END_TEST

START_TEST(nobody_gives_more_than_he_has)
{
    char token[ID_TOKEN_SIZE];
    char owner[ID_TOKEN_SIZE];
    char path[128];

    support_token(&admin, "admin", NULL, token);
    support_token(&admin, "owner", NULL, owner);
    is_problem(ask_as(token, "POST", "/api/v1/tokens", "{\"name\":\"x\",\"role\":\"owner\"}"), 403,
               "forbidden", "/role");
    (void)snprintf(path, sizeof(path), "/api/v1/tokens/%s/revoke",
                   support_text(ask_as(owner, "GET", "/api/v1/me", NULL)->json, "id"));
    is_problem(ask_as(token, "POST", path, NULL), 403, "forbidden", "");
    ck_assert_int_eq(
        ask_as(token, "POST", "/api/v1/tokens", "{\"name\":\"x\",\"role\":\"viewer\"}")->http, 201);
}
END_TEST

/* --- roles ------------------------------------------------------------------------------------ */

static void path_of(const struct api_route *route, char path[128])
{
    const char *brace = strchr(route->pattern, '{');

    if (brace == NULL)
        (void)snprintf(path, 128, "%s", route->pattern);
    else
        (void)snprintf(path, 128, "%.*sx_none%s", (int)(brace - route->pattern), route->pattern,
                       strchr(brace, '}') + 1);
}

/* Whoever may, is told what is wrong with the request or given an answer; all others 401 or 403. */
static void check_access(const struct api_route *route, int role, const char *token)
{
    const char *body = route->body == API_NEEDS_BODY ? "{\"nonsense\":1}" : NULL;
    char path[128];
    int http;
    bool may;

    path_of(route, path);
    http = ask_as(token, route->method, path, body)->http;
    if ((route->access & API_FOR_ANYONE) != 0) {
        ck_assert_int_ne(http, 403);
        return;
    }
    may = role < TOKEN_ROLE_COUNT && (route->access & (1u << role)) != 0 &&
          (route->access & API_BY_SOCKET) == 0;
    if (role == TOKEN_ROLE_COUNT)
        ck_assert_msg(http == 401, "%s %s without a token: %d", route->method, path, http);
    else if (may)
        ck_assert_msg(http != 401 && http != 403, "%s %s as %d: %d", route->method, path, role,
                      http);
    else
        ck_assert_msg(http == 403, "%s %s as %d: %d", route->method, path, role, http);
}

START_TEST(each_route_serves_its_roles_and_no_other)
{
    char tokens[TOKEN_ROLE_COUNT + 1][ID_TOKEN_SIZE] = { "" };
    char team[ID_TEXT_SIZE];

    support_team(&admin, "t", team);
    for (int role = 0; role < TOKEN_ROLE_COUNT; role++)
        support_token(&admin, token_role_name((enum token_role)role),
                      role == TOKEN_TEAM ? team : NULL, tokens[role]);
    for (int i = 0; i < api_route_count; i++) {
        for (int role = 0; role <= TOKEN_ROLE_COUNT; role++)
            check_access(&api_routes[i], role, tokens[role]);
    }
}
END_TEST

START_TEST(a_client_key_is_no_admin_token)
{
    char team[ID_TEXT_SIZE];
    char body[128];
    char secret[ID_TOKEN_SIZE];

    support_team(&admin, "t", team);
    (void)snprintf(body, sizeof(body), "{\"team_id\":\"%s\",\"name\":\"k\"}", team);
    (void)snprintf(secret, sizeof(secret), "%s",
                   support_text(ask("POST", "/api/v1/keys", body)->json, "secret"));
    is_problem(ask_as(secret, "GET", "/api/v1/teams", NULL), 401, "invalid_api_key", "");
}
END_TEST

/* --- calls ------------------------------------------------------------------------------------ */

static int64_t row_id(const char *sql)
{
    return support_book_number(&admin.book, sql);
}

struct bill {
    int64_t attempt;
    int32_t team;
    int32_t key;
    int32_t provider;
    const char *model;
};

static void post(const struct bill *bill)
{
    struct support_settle settle;
    struct ledger_charge *charge;

    support_settle_init(&admin.book, &settle, bill->attempt);
    charge = &settle.job.charge;
    charge->team_id = bill->team;
    charge->key_id = bill->key;
    charge->provider_id = bill->provider;
    charge->model = span_from(bill->model);
    charge->usage = (struct tg_usage){ .count = { [TG_INPUT] = 10, [TG_OUTPUT] = 5 } };
    charge->cost_nusd = 21500;
    charge->provider_cost_nusd = 21500;
    charge->rates[0] = (struct ledger_rate){ TG_INPUT, 1, 150000 };
    charge->rates[1] = (struct ledger_rate){ TG_OUTPUT, 2, 4000000 };
    charge->rate_count = 2;
    charge->raw_usage = SPAN("{\"prompt_tokens\":10,\"completion_tokens\":5}");
    ck_assert_int_eq(support_settle_submit(&admin.book, &settle), TG_OK);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
}

/* Two teams with a key each; the first has two calls, the second one. */
static void make_bills(char teams[2][ID_TEXT_SIZE], char keys[2][ID_TEXT_SIZE])
{
    support_team(&admin, "alpha", teams[0]);
    support_team(&admin, "beta", teams[1]);
    support_key(&admin, teams[0], "ka", keys[0]);
    support_key(&admin, teams[1], "kb", keys[1]);
    ck_assert_int_eq(
        ask("POST", "/api/v1/providers",
            "{\"name\":\"openai\",\"kind\":\"openai\",\"secret\":\"sk-test-secret-0123456789\"}")
            ->http,
        201);
    post(&(struct bill){ 1, (int32_t)row_id("SELECT id FROM team WHERE name = 'alpha'"),
                         (int32_t)row_id("SELECT id FROM \"key\" WHERE name = 'ka'"), 1, "gpt-x" });
    post(&(struct bill){ 2, (int32_t)row_id("SELECT id FROM team WHERE name = 'alpha'"),
                         (int32_t)row_id("SELECT id FROM \"key\" WHERE name = 'ka'"), 1, "gpt-y" });
    post(&(struct bill){ 3, (int32_t)row_id("SELECT id FROM team WHERE name = 'beta'"),
                         (int32_t)row_id("SELECT id FROM \"key\" WHERE name = 'kb'"), 1, "gpt-x" });
}

START_TEST(calls_are_listed_newest_first_and_filtered)
{
    char teams[2][ID_TEXT_SIZE];
    char keys[2][ID_TEXT_SIZE];
    char path[160];
    const struct support_reply *reply;
    const cJSON *first;

    make_bills(teams, keys);
    reply = ask("GET", "/api/v1/calls", NULL);
    ck_assert_int_eq(count_of(reply), 3);
    first = cJSON_GetArrayItem(data_of(reply), 0);
    ck_assert_str_eq(support_text(first, "team_id"), teams[1]);
    ck_assert_str_eq(support_text(first, "key_id"), keys[1]);
    ck_assert_str_eq(support_text(first, "provider"), "openai");
    ck_assert_str_eq(support_text(first, "cost"), "0.0000215");
    ck_assert_str_eq(support_text(first, "outcome"), "ok");
    (void)snprintf(path, sizeof(path), "/api/v1/calls?team=%s", teams[0]);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 2);
    (void)snprintf(path, sizeof(path), "/api/v1/calls?key=%s&model=gpt-y", keys[0]);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 1);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/calls?model=gpt-x", NULL)), 2);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/calls?provider=other", NULL)), 0);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/calls?outcome=client_gone", NULL)), 0);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/calls?from=2026-11-25", NULL)), 0);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/calls?to=2026-11-24T00:00:02Z", NULL)), 1);
    reply = ask("GET", "/api/v1/calls?limit=2", NULL);
    (void)snprintf(path, sizeof(path), "/api/v1/calls?limit=2&after=%s",
                   support_text(reply->json, "next_cursor"));
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 1);
}
END_TEST

START_TEST(a_receipt_shows_how_much_was_charged_at_which_price)
{
    struct support_settle settle;
    struct ledger_charge *charge;
    char id[ID_TEXT_SIZE];
    char path[128];
    const cJSON *products;
    const cJSON *sum;

    for (int attempt = 1; attempt <= 2; attempt++) {
        support_settle_init(&admin.book, &settle, attempt);
        charge = &settle.job.charge;
        charge->usage = (struct tg_usage){ .count = { [TG_INPUT] = 10 } };
        charge->cost_nusd = 7 * 150 + 3 * 4400;
        charge->rates[0] = (struct ledger_rate){
            .class = TG_INPUT, .price_id = 1, .unit_price_pusd = 150000, .count = 7
        };
        charge->rates[1] = (struct ledger_rate){
            .class = TG_INPUT,
            .price_id = 2,
            .unit_price_pusd = 4000000,
            .factor_num = 11,
            .factor_den = 10,
            .count = attempt == 1 ? 3 : 4,
        };
        charge->rate_count = 2;
        ck_assert_int_eq(support_settle_submit(&admin.book, &settle), TG_OK);
        ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    }
    id_format_call(support_attempt(1), id);
    (void)snprintf(path, sizeof(path), "/api/v1/calls/%s", id);
    sum = cJSON_GetObjectItemCaseSensitive(ask("GET", path, NULL)->json, "sum");
    products = cJSON_GetObjectItemCaseSensitive(sum, "products");
    ck_assert_str_eq(support_text(sum, "exact"), "0.00001425");
    ck_assert_str_eq(support_text(sum, "charged"), "0.00001425");
    ck_assert_ptr_null(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(products, 0), "factor"));
    ck_assert_str_eq(support_text(cJSON_GetArrayItem(products, 1), "factor"), "11/10");
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq((int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(
                             cJSON_GetArrayItem(products, i), "count")),
                         i == 0 ? 7 : 3);
    /* Other shares are another set. */
    ck_assert_int_eq(row_id("SELECT count(DISTINCT rate_set_id) FROM charge"), 2);
}
END_TEST

START_TEST(a_receipt_shows_the_whole_sum)
{
    char teams[2][ID_TEXT_SIZE];
    char keys[2][ID_TEXT_SIZE];
    char id[ID_TEXT_SIZE];
    char path[128];
    const cJSON *receipt;
    const cJSON *sum;

    make_bills(teams, keys);
    id_format_call(support_attempt(1), id);
    (void)snprintf(path, sizeof(path), "/api/v1/calls/%s", id);
    receipt = ask("GET", path, NULL)->json;
    sum = cJSON_GetObjectItemCaseSensitive(receipt, "sum");
    ck_assert_str_eq(support_text(sum, "exact"), "0.0000215");
    ck_assert_str_eq(support_text(sum, "charged"), "0.0000215");
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(sum, "products")), 2);
    ck_assert_str_eq(
        support_text(cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(sum, "products"), 0),
                     "unit_price"),
        "0.00000015");
    ck_assert_int_eq((int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(
                         cJSON_GetObjectItemCaseSensitive(receipt, "raw_usage"), "prompt_tokens")),
                     10);
    ck_assert_str_eq(support_text(cJSON_GetObjectItemCaseSensitive(receipt, "hold"), "released"),
                     "0.0009785");
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(receipt, "attempts")), 1);
}
END_TEST

START_TEST(usage_adds_up)
{
    char teams[2][ID_TEXT_SIZE];
    char keys[2][ID_TEXT_SIZE];
    char path[256];
    const cJSON *report;
    const cJSON *series;

    make_bills(teams, keys);
    report = ask("GET", "/api/v1/usage?from=2026-11-20&to=2026-11-27&bucket=1d&group_by=team", NULL)
                 ->json;
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(report, "buckets")), 7);
    series = cJSON_GetObjectItemCaseSensitive(report, "series");
    ck_assert_int_eq(cJSON_GetArraySize(series), 2);
    ck_assert_str_eq(
        support_text(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(series, 0), "key"),
                     "team"),
        teams[0]);
    ck_assert_str_eq(
        support_text(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(series, 0), "totals"),
                     "cost"),
        "0.000043");
    ck_assert_str_eq(support_text(cJSON_GetObjectItemCaseSensitive(report, "totals"), "cost"),
                     "0.0000645");
    (void)snprintf(path, sizeof(path),
                   "/api/v1/usage?from=2026-11-24&to=2026-11-25&bucket=1h&group_by=model&top=1"
                   "&filter[team]=%s",
                   teams[0]);
    report = ask("GET", path, NULL)->json;
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(report, "series")), 1);
    ck_assert_str_eq(support_text(cJSON_GetObjectItemCaseSensitive(
                                      cJSON_GetObjectItemCaseSensitive(report, "other"), "totals"),
                                  "cost"),
                     "0.0000215");
    report =
        ask("GET",
            "/api/v1/usage?from=2026-10-05&to=2026-12-05&bucket=1mo&group_by=key,provider,model",
            NULL)
            ->json;
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(report, "buckets")), 3);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(report, "series")), 3);
    report = ask("GET", "/api/v1/usage?from=2026-11-24&to=2026-11-25", NULL)->json;
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(report, "series")), 1);
}
END_TEST

START_TEST(a_team_sees_its_own_alone)
{
    static const char *const lists[] = { "/api/v1/teams", "/api/v1/keys", "/api/v1/calls",
                                         "/api/v1/holds",
                                         "/api/v1/usage?group_by=key,model&"
                                         "from=2026-11-20&to=2026-11-27" };
    char teams[2][ID_TEXT_SIZE];
    char keys[2][ID_TEXT_SIZE];
    char token[ID_TOKEN_SIZE];
    char call[ID_TEXT_SIZE];
    char path[160];
    char body[160];

    make_bills(teams, keys);
    support_token(&admin, "team", teams[0], token);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const struct support_reply *reply = ask_as(token, "GET", lists[i], NULL);

        ck_assert_int_eq(reply->http, 200);
        ck_assert_ptr_null(strstr(reply->text, teams[1]));
        ck_assert_ptr_null(strstr(reply->text, keys[1]));
        ck_assert_ptr_null(strstr(reply->text, "beta"));
    }
    ck_assert_int_eq(count_of(ask_as(token, "GET", "/api/v1/calls", NULL)), 2);
    (void)snprintf(path, sizeof(path), "/api/v1/teams/%s", teams[1]);
    is_problem(ask_as(token, "GET", path, NULL), 404, "not_found", "");
    (void)snprintf(path, sizeof(path), "/api/v1/keys/%s", keys[1]);
    is_problem(ask_as(token, "GET", path, NULL), 404, "not_found", "");
    is_problem(ask_as(token, "PATCH", path, "{\"name\":\"mine\"}"), 404, "not_found", "");
    (void)snprintf(path, sizeof(path), "/api/v1/keys/%s/revoke", keys[1]);
    is_problem(ask_as(token, "POST", path, NULL), 404, "not_found", "");
    (void)snprintf(body, sizeof(body), "{\"team_id\":\"%s\",\"name\":\"k\"}", teams[1]);
    ck_assert_int_eq(ask_as(token, "POST", "/api/v1/keys", body)->http, 404);
    id_format_call(support_attempt(3), call);
    (void)snprintf(path, sizeof(path), "/api/v1/calls/%s", call);
    is_problem(ask_as(token, "GET", path, NULL), 404, "not_found", "");
    (void)snprintf(path, sizeof(path), "/api/v1/calls?team=%s", teams[1]);
    ck_assert_int_eq(count_of(ask_as(token, "GET", path, NULL)), 0);
    (void)snprintf(path, sizeof(path), "/api/v1/teams?name=beta");
    ck_assert_int_eq(count_of(ask_as(token, "GET", path, NULL)), 0);
}
END_TEST

START_TEST(an_unreconciled_charge_is_ended_once)
{
    struct support_settle settle;
    char id[ID_TEXT_SIZE];
    char path[128];
    const cJSON *receipt;

    support_settle_init(&admin.book, &settle, 9);
    settle.job.charge.outcome = LEDGER_OUTCOME_UNRECONCILED;
    settle.job.charge.source = LEDGER_SOURCE_UNRECONCILED;
    settle.job.charge.cost_nusd = 5000;
    ck_assert_int_eq(support_settle_submit(&admin.book, &settle), TG_OK);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    id_format_call(support_attempt(9), id);
    (void)snprintf(path, sizeof(path), "/api/v1/calls/%s/reconcile", id);
    is_problem(ask("POST", path, "{\"action\":\"forget\"}"), 400, "invalid_request", "/action");
    is_problem(ask("POST", path, "{\"action\":\"amount\"}"), 400, "invalid_request", "/amount");
    is_problem(ask("POST", path, "{\"action\":\"amount\",\"amount\":\"-1\"}"), 400,
               "invalid_request", "/amount");
    is_problem(ask("POST", path, "{\"action\":\"amount\",\"amount\":1}"), 400, "invalid_request",
               "/amount");
    receipt = ask("POST", path, "{\"action\":\"amount\",\"amount\":\"0.000002\"}")->json;
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(receipt, "adjustments")),
                     1);
    ck_assert_str_eq(support_text(cJSON_GetArrayItem(
                                      cJSON_GetObjectItemCaseSensitive(receipt, "adjustments"), 0),
                                  "cost"),
                     "-0.000003");
    is_problem(ask("POST", path, "{\"action\":\"release\"}"), 409, "conflict", "");
}
END_TEST

START_TEST(open_holds_are_listed)
{
    struct support_hold hold;
    const struct support_reply *reply;

    support_hold_init(&admin.book, &hold, 1);
    ck_assert_int_eq(support_hold_submit(&admin.book, &hold), TG_OK);
    ck_assert_int_eq(support_hold_wait(&hold), TG_OK);
    reply = ask("GET", "/api/v1/holds", NULL);
    ck_assert_int_eq(count_of(reply), 1);
    ck_assert_str_eq(support_text(cJSON_GetArrayItem(data_of(reply), 0), "amount"), "0.001");
}
END_TEST

/* --- providers -------------------------------------------------------------------------------- */

START_TEST(the_kinds_are_listed_page_by_page)
{
    char path[128] = "/api/v1/provider-kinds?limit=7";
    int count = 0;

    for (;;) {
        const struct support_reply *reply = ask("GET", path, NULL);
        const cJSON *data = cJSON_GetObjectItemCaseSensitive(reply->json, "data");
        const cJSON *row;

        ck_assert_int_eq(reply->http, 200);
        cJSON_ArrayForEach(row, data)
        {
            ck_assert_str_eq(support_text(row, "name"), catalogue_kind_at(count)->name);
            ck_assert(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(row, "is_verified")));
            ck_assert(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(row, "dialects")));
            count++;
        }
        if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply->json, "has_more")))
            break;
        (void)snprintf(path, sizeof(path), "/api/v1/provider-kinds?limit=7&after=%s",
                       support_text(reply->json, "next_cursor"));
    }
    ck_assert_int_gt(count, 30);
    ck_assert_ptr_null(catalogue_kind_at(count));
    is_problem(ask("GET", "/api/v1/provider-kinds?after=nobody", NULL), 400, "invalid_request",
               "/after");
}
END_TEST

START_TEST(a_provider_is_tested_and_its_secret_never_comes_out)
{
    AUTO_PTR(sandbox) sandbox = NULL;
    char url[SANDBOX_URL_SIZE];
    char body[256];
    char path[128];
    char test[160];
    struct err err = { 0 };
    const struct support_reply *reply;

    ck_assert_int_eq(sandbox_start(0, &sandbox, url, &err), TG_OK);
    (void)snprintf(body, sizeof(body),
                   "{\"name\":\"box\",\"kind\":\"openai-compatible\",\"base_url\":\"%s\","
                   "\"secret\":\"sk-very-secret-indeed-1234\"}",
                   url);
    reply = ask("POST", "/api/v1/providers", body);
    ck_assert_int_eq(reply->http, 201);
    ck_assert_ptr_null(strstr(reply->text, "very-secret"));
    (void)snprintf(path, sizeof(path), "/api/v1/providers/%s", support_text(reply->json, "id"));
    (void)snprintf(test, sizeof(test), "%s/test", path);
    reply = ask("POST", test, NULL);
    ck_assert_msg(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply->json, "ok")), "%s",
                  reply->text);
    ck_assert_ptr_nonnull(strstr(reply->text, "echo-slow"));
    ck_assert_int_eq((int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(
                         ask("GET", path, NULL)->json, "model_count")),
                     2);
    ck_assert_ptr_null(strstr(ask("GET", "/api/v1/providers", NULL)->text, "very-secret"));
    sandbox_stop(sandbox);
    sandbox = NULL;
    reply = ask("POST", test, NULL);
    ck_assert(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reply->json, "ok")));
    ck_assert_str_eq(support_text(reply->json, "code"), "provider_unreachable");
    ck_assert_ptr_null(strstr(reply->text, "very-secret"));
    ck_assert_int_eq(ask("DELETE", path, NULL)->http, 204);
    is_problem(ask("GET", path, NULL), 404, "not_found", "");
}
END_TEST

/* --- system ----------------------------------------------------------------------------------- */

START_TEST(readiness_follows_drain_and_ledger)
{
    ck_assert_int_eq(ask_as("", "GET", "/healthz", NULL)->http, 200);
    ck_assert_int_eq(ask_as("", "GET", "/readyz", NULL)->http, 200);
    admin.is_writable = false;
    ck_assert_int_eq(ask_as("", "GET", "/readyz", NULL)->http, 503);
    admin.is_writable = true;
    admin.is_draining = true;
    ck_assert_int_eq(ask_as("", "GET", "/readyz", NULL)->http, 503);
}
END_TEST

START_TEST(a_backup_is_whole_private_and_never_overwrites)
{
    char folder[512];
    char body[1024];
    char path[640];
    struct stat info;

    ck_assert_ptr_nonnull(getcwd(folder, sizeof(folder)));
    (void)snprintf(path, sizeof(path), "%.300s/%.200s/copy.db", folder, admin.book.folder);
    (void)snprintf(body, sizeof(body), "{\"path\":\"%s\"}", path);
    ck_assert_int_eq(ask("POST", "/api/v1/backup", body)->http, 201);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
    ck_assert(info.st_size > 0);
    is_problem(ask("POST", "/api/v1/backup", body), 409, "conflict", "/path");
    ck_assert(cJSON_IsTrue(
        cJSON_GetObjectItemCaseSensitive(ask("GET", "/api/v1/verify", NULL)->json, "ok")));
}
END_TEST

START_TEST(if_match_guards_a_change)
{
    static const char format[] =
        "PATCH /api/v1/teams/%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
        "If-Match: %s\r\nContent-Length: 12\r\n\r\n{\"name\":\"z\"}";
    static const struct {
        const char *tag;
        const char *line;
    } rows[] = { { "\"7\"", "HTTP/1.1 412" },
                 { "seven", "HTTP/1.1 400" },
                 { "\"1\"", "HTTP/1.1 200" } };
    char team[ID_TEXT_SIZE];
    char token[ID_TOKEN_SIZE];
    char request[512];

    support_team(&admin, "t", team);
    support_token(&admin, "admin", NULL, token);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *answer;

        (void)snprintf(request, sizeof(request), format, team, token, rows[i].tag);
        answer = support_talk(&admin, request, strlen(request));
        ck_assert_msg(strncmp(answer, rows[i].line, strlen(rows[i].line)) == 0, "%.60s", answer);
        free(answer);
    }
}
END_TEST

START_TEST(the_page_is_served_under_a_strict_policy)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    char again[512];
    char *answer = support_talk(&admin, request, strlen(request));
    const char *tag = strcasestr(answer, "\r\netag: ");

    ck_assert(strncmp(answer, "HTTP/1.1 200", 12) == 0);
    ck_assert_ptr_nonnull(strstr(answer, "default-src 'none'; script-src 'self'"));
    ck_assert_ptr_nonnull(strstr(answer, "require-trusted-types-for 'script'"));
    ck_assert_ptr_nonnull(strstr(answer, "<h1>Tollgate</h1>"));
    ck_assert_ptr_nonnull(tag);
    (void)snprintf(again, sizeof(again),
                   "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nIf-None-Match: %.66s\r\n\r\n",
                   tag + strlen("\r\netag: "));
    free(answer);
    answer = support_talk(&admin, again, strlen(again));
    ck_assert_msg(strncmp(answer, "HTTP/1.1 304", 12) == 0, "%.40s", answer);
    free(answer);
    ck_assert_int_eq(ask_as("", "GET", "/app.js", NULL)->http, 200);
    ck_assert_int_eq(ask_as("", "GET", "/style.css", NULL)->http, 200);
    ck_assert_int_eq(ask_as("", "GET", "/..%2fsecret", NULL)->http, 404);
    ck_assert_int_eq(ask_as("", "GET", "/.env", NULL)->http, 404);
    ck_assert_int_eq(ask_as("", "POST", "/", "{}")->http, 405);
}
END_TEST

Suite *suite(void)
{
    Suite *made = suite_create("admin");
    TCase *tests = tcase_create("api");

    tcase_add_checked_fixture(tests, start, stop);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, a_team_is_made_read_changed_and_archived);
    tcase_add_test(tests, lists_are_paged_by_cursor);
    tcase_add_loop_test(tests, what_is_wrong_is_refused_by_name, 0,
                        (int)(sizeof(refusals) / sizeof(refusals[0])));
    tcase_add_test(tests, a_body_over_its_limit_is_refused_with_413);
    tcase_add_test(tests, a_chunked_body_over_its_limit_is_refused_too);
    tcase_add_test(tests, every_answer_has_an_id_and_is_not_stored);
    tcase_add_test(tests, a_form_of_a_browser_is_no_request);
    tcase_add_test(tests, a_keys_secret_is_shown_once);
    tcase_add_test(tests, the_setup_link_is_traded_once);
    tcase_add_test(tests, a_revoked_token_is_nobodys);
    tcase_add_test(tests, nobody_gives_more_than_he_has);
    tcase_add_test(tests, each_route_serves_its_roles_and_no_other);
    tcase_add_test(tests, a_client_key_is_no_admin_token);
    tcase_add_test(tests, calls_are_listed_newest_first_and_filtered);
    tcase_add_test(tests, a_receipt_shows_the_whole_sum);
    tcase_add_test(tests, a_receipt_shows_how_much_was_charged_at_which_price);
    tcase_add_test(tests, usage_adds_up);
    tcase_add_test(tests, a_team_sees_its_own_alone);
    tcase_add_test(tests, an_unreconciled_charge_is_ended_once);
    tcase_add_test(tests, open_holds_are_listed);
    tcase_add_test(tests, the_kinds_are_listed_page_by_page);
    tcase_add_test(tests, a_provider_is_tested_and_its_secret_never_comes_out);
    tcase_add_test(tests, readiness_follows_drain_and_ledger);
    tcase_add_test(tests, a_backup_is_whole_private_and_never_overwrites);
    tcase_add_test(tests, if_match_guards_a_change);
    tcase_add_test(tests, the_page_is_served_under_a_strict_policy);
    suite_add_tcase(made, tests);
    return made;
}
