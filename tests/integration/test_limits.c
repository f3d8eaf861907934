/* Goal: limits are stored as they were given, say no as the API must, are shown to those who may
 * see them with what the book says of them, and are counted from the moment that a change is
 * answered; what was turned down, told or never ended can be listed, explained and released.
 * Method: the real admin listener over a real database and a started writer; the test owns the
 * clock. Instants and sums are literals, worked out by hand. */

#include "base/clock.h"
#include "base/money.h"
#include "policy/key.h"
#include "policy/key_admin.h"
#include "policy/team.h"
#include "quota/limit.h"
#include "quota/own.h"
#include "store/stmt.h"
#include "support/suites.h"
#include "support/support_admin.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define START_MS INT64_C(1795478400000) /* 2026-11-24T00:00:00Z, a Tuesday */
#define HOUR_MS  INT64_C(3600000)
#define DAY_MS   (24 * HOUR_MS)

static struct support_admin admin;
static const char *wrong_row = ""; /* of a table, that is being asked about */
static _Atomic(int64_t) now_ms;
static struct err err;
static char alpha[ID_TEXT_SIZE]; /* a team, in Berlin, */
static char beta[ID_TEXT_SIZE];  /* and another, in no zone of its own */
static char key_a[ID_TEXT_SIZE]; /* of alpha */
static char key_a2[ID_TEXT_SIZE];
static char key_b[ID_TEXT_SIZE]; /* of beta */

static int64_t test_wall_ms(void)
{
    return atomic_load(&now_ms);
}

static int64_t real_monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Ask as the owner, by the socket; the reply lives until the next. */
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

static struct support_reply *ask(const char *method, const char *path, const char *body)
{
    return ask_as(NULL, method, path, body);
}

static void start(void)
{
    static const struct clock_source source = { test_wall_ms, real_monotonic_us };
    const struct support_reply *reply;

    atomic_store(&now_ms, START_MS);
    clock_use(&source);
    support_admin_start(&admin);
    reply = ask("POST", "/api/v1/teams", "{\"name\":\"alpha\",\"timezone\":\"Europe/Berlin\"}");
    (void)snprintf(alpha, sizeof(alpha), "%s", support_text(reply->json, "id"));
    support_team(&admin, "beta", beta);
    support_key(&admin, alpha, "a", key_a);
    support_key(&admin, alpha, "a2", key_a2);
    support_key(&admin, beta, "b", key_b);
}

static void stop(void)
{
    support_admin_stop(&admin);
    clock_use(NULL);
}

static void must(enum tg_status status)
{
    ck_assert_msg(status == TG_OK, "%s: %s", tg_status_info(status)->name, err.text);
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static int number(const cJSON *object, const char *name)
{
    ck_assert_msg(cJSON_IsNumber(member(object, name)), "%s is no number", name);
    return (int)cJSON_GetNumberValue(member(object, name));
}

static int count_of(const struct support_reply *reply)
{
    return cJSON_GetArraySize(member(reply->json, "data"));
}

static void is_problem(const struct support_reply *reply, int http, const char *code,
                       const char *pointer)
{
    const cJSON *errors = member(reply->json, "errors");

    ck_assert_msg(reply->http == http, "%s: %d for %d: %s", wrong_row, reply->http, http,
                  reply->text);
    ck_assert_str_eq(support_text(reply->json, "code"), code);
    if (pointer[0] == '\0')
        ck_assert_int_eq(cJSON_GetArraySize(errors), 0);
    else
        ck_assert_msg(strcmp(support_text(cJSON_GetArrayItem(errors, 0), "pointer"), pointer) == 0,
                      "%s: not at %s: %s", wrong_row, pointer, reply->text);
}

/* "%T" stands for the id of alpha, "%K" for that of its first key. */
static const char *fill_in(const char *text)
{
    static char out[2048];
    char *at = out;

    for (; *text != '\0'; text++) {
        if (text[0] == '%' && text[1] == 'T')
            at = stpcpy(at, alpha);
        else if (text[0] == '%' && text[1] == 'K')
            at = stpcpy(at, key_a);
        else
            *at++ = *text;
        if (text[0] == '%')
            text++;
    }
    *at = '\0';
    return out;
}

/* Make one by the API; its id. */
static void make(const char *body, char id[ID_TEXT_SIZE])
{
    const struct support_reply *reply = ask("POST", "/api/v1/limits", fill_in(body));

    ck_assert_msg(reply->http == 201, "%s: %s", body, reply->text);
    (void)snprintf(id, ID_TEXT_SIZE, "%s", support_text(reply->json, "id"));
}

static const char *path_of(const char *id, const char *verb)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "/api/v1/limits/%s%s", id, verb);
    return path;
}

/* --- what is stored --------------------------------------------------------------------------- */

START_TEST(a_limit_is_stored_as_it_was_given)
{
    AUTO(limit_job) job;
    AUTO(limit) limit = { 0 };
    struct db *db = NULL;

    limit_job_init(&job, LIMIT_CREATE, admin.book.admit);
    job.input = (struct limit_input){ .scope = LIMIT_TEAM,
                                      .scope_id = span_from(alpha),
                                      .is_each_key = true,
                                      .models = SPAN("[\"gpt-*\",\"claude-x\",\"gpt-*\"]"),
                                      .metric = LIMIT_OUTPUT_TOKENS,
                                      .has_window = true,
                                      .rule = { PERIOD_MONTH, 0, 15 },
                                      .timezone = SPAN("Asia/Tokyo"),
                                      .has_amount = true,
                                      .has_is_hard = true,
                                      .has_may_clamp = true,
                                      .has_is_strict = true,
                                      .has_thresholds = true,
                                      .amount = 123456,
                                      .may_clamp = true,
                                      .is_strict = true,
                                      .thresholds = SPAN("[90,10,90,100]") };
    must(account_call(admin.book.writer, &job.account, &err));
    must(db_open(admin.book.path, DB_READ, &db, &err));
    must(limit_get(db, ACCOUNT_ALL, span_from(job.after.public_id), &limit, &err));
    ck_assert_int_eq(limit.scope, LIMIT_TEAM);
    ck_assert_str_eq(limit.scope_id, alpha);
    ck_assert(limit.is_each_key);
    ck_assert_int_eq(limit.key_id, 0);
    ck_assert_int_gt(limit.team_id, 0);
    ck_assert_int_eq(limit.model_count, 2); /* each once */
    ck_assert_str_eq(limit.models[0], "claude-x");
    ck_assert_str_eq(limit.models[1], "gpt-*");
    ck_assert_ptr_null(limit.models[2]);
    ck_assert_int_eq(limit.metric, LIMIT_OUTPUT_TOKENS);
    ck_assert_int_eq(limit.rule.window, PERIOD_MONTH);
    ck_assert_int_eq(limit.rule.week_start, PERIOD_MONDAY);
    ck_assert_int_eq(limit.rule.anchor_day, 15);
    ck_assert_str_eq(limit.timezone, "Asia/Tokyo");
    ck_assert_int_eq(limit.amount, 123456);
    ck_assert(!limit.is_hard);
    ck_assert(limit.may_clamp);
    ck_assert(limit.is_strict);
    ck_assert_int_eq(limit.threshold_count, 3);
    ck_assert_int_eq(limit.thresholds[0], 10);
    ck_assert_int_eq(limit.thresholds[2], 100);
    ck_assert_int_eq(limit.revision, 1);
    ck_assert_int_eq(limit.created_at_ms, START_MS);
    db_close(db);
}
END_TEST

START_TEST(what_is_not_said_is_as_the_contract_says)
{
    char id[ID_TEXT_SIZE];
    const cJSON *limit;

    make("{\"scope\":{\"type\":\"team\",\"id\":\"%T\"},\"metric\":\"cost\",\"window\":\"week\","
         "\"amount\":\"12.5\"}",
         id);
    limit = ask("GET", path_of(id, ""), NULL)->json;
    ck_assert_str_eq(support_text(limit, "timezone"), "Europe/Berlin"); /* the team's */
    ck_assert_str_eq(support_text(limit, "week_start"), "monday");
    ck_assert(cJSON_IsNull(member(limit, "anchor_day")));
    ck_assert_str_eq(support_text(limit, "enforcement"), "hard");
    ck_assert_str_eq(support_text(limit, "when_short"), "clamp"); /* for cost */
    ck_assert(cJSON_IsFalse(member(limit, "strict")));
    ck_assert_str_eq(support_text(limit, "amount"), "12.5");
    ck_assert_str_eq(support_text(limit, "spent"), "0");
    ck_assert_str_eq(support_text(limit, "remaining"), "12.5");
    /* Monday, 23 November, in Berlin. */
    ck_assert_str_eq(support_text(limit, "period_start"), "2026-11-22T23:00:00.000Z");
    ck_assert_str_eq(support_text(limit, "resets_at"), "2026-11-29T23:00:00.000Z");
    ck_assert(cJSON_IsNull(member(limit, "override")));
    make("{\"scope\":{\"type\":\"organization\"},\"metric\":\"parallel\",\"amount\":7}", id);
    limit = ask("GET", path_of(id, ""), NULL)->json;
    ck_assert_str_eq(support_text(limit, "timezone"), "UTC");
    ck_assert_str_eq(support_text(limit, "when_short"), "refuse");
    ck_assert(cJSON_IsNull(member(limit, "window")));
    ck_assert(cJSON_IsNull(member(limit, "period_start")));
    ck_assert(cJSON_IsNull(member(limit, "resets_at")));
    ck_assert_int_eq(number(limit, "amount"), 7);
}
END_TEST

START_TEST(what_is_shown_can_be_sent_again)
{
    static const char *const made[] = { "id",        "spent",        "held",      "unreconciled",
                                        "remaining", "period_start", "resets_at", "override",
                                        "warnings",  "created_at" };
    char id[ID_TEXT_SIZE];
    AUTO_JSON copy = NULL;
    char *text;

    make("{\"scope\":{\"type\":\"key\",\"id\":\"%K\"},\"metric\":\"requests\",\"window\":\"day\","
         "\"amount\":5,\"models\":[\"m\"]}",
         id);
    copy = cJSON_Duplicate(ask("GET", path_of(id, ""), NULL)->json, /* recurse= */ true);
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(copy, made[i]);
    text = cJSON_PrintUnformatted(copy);
    ck_assert_msg(ask("POST", "/api/v1/limits", text)->http == 201, "%s", text);
    cJSON_free(text);
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

#define ORG  "\"scope\":{\"type\":\"organization\"}"
#define TEAM "\"scope\":{\"type\":\"team\",\"id\":\"%T\"}"
#define DAY  "\"window\":\"day\""
#define REQ  "\"metric\":\"requests\""
#define COST "\"metric\":\"cost\""

static const struct {
    const char *body;
    const char *pointer;
} wrong[] = {
    { "{" ORG "," REQ "," DAY ",\"amount\":0}", "/amount" },
    { "{" ORG "," REQ "," DAY ",\"amount\":-1}", "/amount" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1.5}", "/amount" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1e300}", "/amount" },
    { "{" ORG "," REQ "," DAY ",\"amount\":9007199254740992}", "/amount" },
    { "{" ORG "," REQ "," DAY ",\"amount\":\"5\"}", "/amount" },
    { "{" ORG "," REQ "," DAY ",\"amount\":true}", "/amount" },
    { "{" ORG "," REQ "," DAY ",\"amount\":null}", "/amount" },
    { "{" ORG "," REQ "," DAY "}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":5}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":\"0\"}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":\"0.000000000\"}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":\"-1\"}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":\"0.0000000001\"}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":\"1e3\"}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":\"1,5\"}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":\"1000000000.000000001\"}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":\"99999999999999999999\"}", "/amount" },
    { "{" ORG "," COST "," DAY ",\"amount\":\"much\"}", "/amount" },
    { "{" ORG ",\"metric\":\"love\"," DAY ",\"amount\":1}", "/metric" },
    { "{" ORG ",\"metric\":1," DAY ",\"amount\":1}", "/metric" },
    { "{" ORG "," DAY ",\"amount\":1}", "/metric" },
    { "{" ORG "," REQ ",\"window\":\"year\",\"amount\":1}", "/window" },
    { "{" ORG "," REQ ",\"window\":7,\"amount\":1}", "/window" },
    { "{" ORG "," REQ ",\"amount\":1}", "/window" },
    { "{" ORG "," REQ ",\"window\":null,\"amount\":1}", "/window" },
    { "{" ORG ",\"metric\":\"parallel\"," DAY ",\"amount\":1}", "/window" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"timezone\":\"Mars/Base\"}", "/timezone" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"timezone\":\"../../etc/passwd\"}", "/timezone" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"timezone\":7}", "/timezone" },
    { "{" ORG "," REQ ",\"window\":\"week\",\"amount\":1,\"week_start\":\"Monday\"}",
      "/week_start" },
    { "{" ORG "," REQ ",\"window\":\"week\",\"amount\":1,\"week_start\":1}", "/week_start" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"week_start\":\"monday\"}", "/week_start" },
    { "{" ORG "," REQ ",\"window\":\"month\",\"amount\":1,\"anchor_day\":0}", "/anchor_day" },
    { "{" ORG "," REQ ",\"window\":\"month\",\"amount\":1,\"anchor_day\":29}", "/anchor_day" },
    { "{" ORG "," REQ ",\"window\":\"month\",\"amount\":1,\"anchor_day\":\"1\"}", "/anchor_day" },
    { "{" ORG "," REQ ",\"window\":\"week\",\"amount\":1,\"anchor_day\":1}", "/anchor_day" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"models\":\"gpt\"}", "/models" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"models\":{\"a\":1}}", "/models" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"models\":[\"a\",\"\"]}", "/models/1" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"models\":[\"a*b\"]}", "/models/0" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"models\":[7]}", "/models/0" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"thresholds\":[50,0]}", "/thresholds/1" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"thresholds\":[1001]}", "/thresholds/0" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"thresholds\":[99.5]}", "/thresholds/0" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"thresholds\":[\"80\"]}", "/thresholds/0" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"thresholds\":{}}", "/thresholds" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"thresholds\":[1,2,3,4,5,6,7,8,9]}", "/thresholds" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"enforcement\":\"firm\"}", "/enforcement" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"when_short\":\"wait\"}", "/when_short" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"when_short\":\"clamp\"}", "/when_short" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"strict\":\"yes\"}", "/strict" },
    { "{" ORG "," REQ "," DAY ",\"amount\":1,\"nonsense\":1}", "/nonsense" },
    { "{" REQ "," DAY ",\"amount\":1}", "/scope" },
    { "{\"scope\":\"team\"," REQ "," DAY ",\"amount\":1}", "/scope" },
    { "{\"scope\":[]," REQ "," DAY ",\"amount\":1}", "/scope" },
    { "{\"scope\":{}," REQ "," DAY ",\"amount\":1}", "/scope/type" },
    { "{\"scope\":{\"type\":\"user\"}," REQ "," DAY ",\"amount\":1}", "/scope/type" },
    { "{\"scope\":{\"type\":\"team\"}," REQ "," DAY ",\"amount\":1}", "/scope/id" },
    { "{\"scope\":{\"type\":\"key\"}," REQ "," DAY ",\"amount\":1}", "/scope/id" },
    { "{\"scope\":{\"type\":\"organization\",\"id\":\"%T\"}," REQ "," DAY ",\"amount\":1}",
      "/scope/id" },
    { "{\"scope\":{\"type\":\"team\",\"id\":7}," REQ "," DAY ",\"amount\":1}", "/scope/id" },
    { "{\"scope\":{\"type\":\"team\",\"id\":\"%T\",\"each\":\"user\"}," REQ "," DAY
      ",\"amount\":1}",
      "/scope/each" },
    { "{\"scope\":{\"type\":\"key\",\"id\":\"%K\",\"each\":\"key\"}," REQ "," DAY ",\"amount\":1}",
      "/scope/each" },
    { "{\"scope\":{\"type\":\"team\",\"id\":\"%T\",\"name\":\"x\"}," REQ "," DAY ",\"amount\":1}",
      "/scope/name" },
};

/* In one run, for the sake of time; the row is named where it fails. */
START_TEST(what_is_wrong_is_refused_at_its_field)
{
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        wrong_row = wrong[i].body;
        is_problem(ask("POST", "/api/v1/limits", fill_in(wrong[i].body)), 400, "invalid_request",
                   wrong[i].pointer);
        is_problem(ask("PUT", "/api/v1/limits", fill_in(wrong[i].body)), 400, "invalid_request",
                   wrong[i].pointer);
    }
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/limits", NULL)), 0); /* and nothing is made */
}
END_TEST

static const struct {
    const char *metric; /* with its window and amount */
    const char *method;
    const char *verb;
    const char *body;
    const char *pointer;
} wrong_changes[] = {
    { REQ "," DAY ",\"amount\":5", "PATCH", "", "{\"amount\":0}", "/amount" },
    { REQ "," DAY ",\"amount\":5", "PATCH", "", "{\"amount\":null}", "/amount" },
    { REQ "," DAY ",\"amount\":5", "PATCH", "", "{\"amount\":\"5\"}", "/amount" },
    { COST "," DAY ",\"amount\":\"5\"", "PATCH", "", "{\"amount\":5}", "/amount" },
    { COST "," DAY ",\"amount\":\"5\"", "PATCH", "", "{\"amount\":\"0\"}", "/amount" },
    { REQ "," DAY ",\"amount\":5", "PATCH", "", "{\"when_short\":\"clamp\"}", "/when_short" },
    { REQ "," DAY ",\"amount\":5", "PATCH", "", "{\"thresholds\":[0]}", "/thresholds/0" },
    { REQ "," DAY ",\"amount\":5", "PATCH", "", "{\"metric\":\"cost\"}", "/metric" },
    { REQ "," DAY ",\"amount\":5", "PATCH", "", "{\"window\":\"week\"}", "/window" },
    { REQ "," DAY ",\"amount\":5", "PATCH", "", "{\"models\":[]}", "/models" },
    { REQ "," DAY ",\"amount\":5", "PATCH", "", "{\"timezone\":\"UTC\"}", "/timezone" },
    { REQ "," DAY ",\"amount\":5", "PUT", "/override", "{}", "/amount" },
    { REQ "," DAY ",\"amount\":5", "PUT", "/override", "{\"amount\":0}", "/amount" },
    { REQ "," DAY ",\"amount\":5", "PUT", "/override", "{\"amount\":5,\"strict\":true}",
      "/strict" },
    { COST "," DAY ",\"amount\":\"5\"", "PUT", "/override", "{\"amount\":\"0\"}", "/amount" },
    { COST "," DAY ",\"amount\":\"5\"", "PUT", "/override", "{\"amount\":\"-5\"}", "/amount" },
};

START_TEST(a_change_that_is_wrong_is_refused_at_its_field)
{
    for (size_t i = 0; i < sizeof(wrong_changes) / sizeof(wrong_changes[0]); i++) {
        char body[256];
        char id[ID_TEXT_SIZE];
        AUTO_JSON before = NULL;

        wrong_row = wrong_changes[i].body;
        (void)snprintf(body, sizeof(body), "{" ORG ",%s}", wrong_changes[i].metric);
        make(body, id);
        before = cJSON_Duplicate(ask("GET", path_of(id, ""), NULL)->json, /* recurse= */ true);
        is_problem(
            ask(wrong_changes[i].method, path_of(id, wrong_changes[i].verb), wrong_changes[i].body),
            400, "invalid_request", wrong_changes[i].pointer);
        ck_assert(cJSON_Compare(before, ask("GET", path_of(id, ""), NULL)->json,
                                /* case_sensitive= */ true));
    }
}
END_TEST

static void archive_and_revoke(void)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "/api/v1/keys/%s/revoke", key_a2);
    ck_assert_int_eq(ask("POST", path, NULL)->http, 200);
    (void)snprintf(path, sizeof(path), "/api/v1/teams/%s/archive", beta);
    ck_assert_int_eq(ask("POST", path, NULL)->http, 200);
}

START_TEST(who_has_ended_or_never_was_gets_no_limit)
{
    static const char form[] =
        "{\"scope\":{\"type\":\"%s\",\"id\":\"%s\"}," REQ "," DAY ",\"amount\":1}";
    const struct {
        const char *type;
        const char *id;
        int http;
        const char *code;
    } rows[] = {
        { "team", beta, 409, "conflict" },
        { "key", key_a2, 409, "conflict" }, /* revoked */
        { "key", key_b, 409, "conflict" },  /* its team is archived */
        { "team", "team_000000000000", 404, "not_found" },
        { "key", "key_000000000000", 404, "not_found" },
        { "team", key_a, 404, "not_found" },
    };

    archive_and_revoke();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[256];

        (void)snprintf(body, sizeof(body), form, rows[i].type, rows[i].id);
        is_problem(ask("POST", "/api/v1/limits", body), rows[i].http, rows[i].code, "/scope/id");
    }
}
END_TEST

static enum tg_status fill_up(struct db *db, void *context, struct err *failure)
{
    (void)context;
    return stmt_run_script(
        db,
        "INSERT INTO \"limit\" (public_id, scope, metric, window, amount, timezone, may_clamp, "
        "created_ms) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
        "9999) "
        "SELECT 'lim_' || i, 'organization', 'requests', 'day', 1000000, 'UTC', 0, 1 FROM n",
        failure);
}

START_TEST(there_is_an_end_to_limits)
{
    char id[ID_TEXT_SIZE];

    ck_assert_int_eq(support_run(&admin.book, fill_up, NULL), TG_OK);
    make("{" ORG "," REQ "," DAY ",\"amount\":1}", id); /* the 10,000th */
    is_problem(ask("POST", "/api/v1/limits", "{" ORG "," REQ "," DAY ",\"amount\":1}"), 409,
               "conflict", "");
    ck_assert_int_eq(ask("DELETE", path_of(id, ""), NULL)->http, 204);
    make("{" ORG "," REQ "," DAY ",\"amount\":1}", id);
}
END_TEST

/* --- changes ---------------------------------------------------------------------------------- */

/* By hand, for the sake of the headers. return  the status; *tag is the answer's ETag, "" for none
 */
static int patch_if(const char *token, const char *id, const char *if_match, char tag[32])
{
    static const char body[] = "{\"amount\":6}";
    char text[1024];
    char *answer;
    const char *found;
    int http;

    (void)snprintf(text, sizeof(text),
                   "PATCH /api/v1/limits/%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                   "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                   "If-Match: %s\r\nContent-Length: %zu\r\n\r\n%s",
                   id, token, if_match, sizeof(body) - 1, body);
    answer = support_talk(&admin, text, strlen(text));
    http = atoi(answer + sizeof("HTTP/1.1"));
    found = strcasestr(answer, "\r\netag: ");
    tag[0] = '\0';
    if (found != NULL)
        (void)sscanf(found + sizeof("\r\netag:"), "%31s", tag);
    free(answer);
    return http;
}

START_TEST(a_change_needs_the_tag_that_was_read)
{
    char id[ID_TEXT_SIZE];
    char token[ID_TOKEN_SIZE];
    char tag[32];

    make("{" ORG "," REQ "," DAY ",\"amount\":5}", id);
    support_token(&admin, "finance", NULL, token);
    ck_assert_int_eq(patch_if(token, id, "\"1\"", tag), 200);
    ck_assert_str_eq(tag, "\"2\"");
    ck_assert_int_eq(patch_if(token, id, "\"1\"", tag), 412);
    ck_assert_int_eq(patch_if(token, id, "1", tag), 400); /* no tag */
    ck_assert_int_eq(patch_if(token, id, "*", tag), 200);
    ck_assert_str_eq(tag, "\"3\"");
}
END_TEST

/* As the jobs are used, with the revision that If-Match brings. */
static enum tg_status change(enum limit_action action, const char *id, int64_t revision,
                             int64_t amount)
{
    AUTO(limit_job) job;

    limit_job_init(&job, action, admin.book.admit);
    job.public_id = span_from(id);
    job.if_revision = revision;
    job.input.has_amount = true;
    job.input.amount = amount;
    return account_call(admin.book.writer, &job.account, &err);
}

START_TEST(a_stale_revision_changes_nothing)
{
    char id[ID_TEXT_SIZE];

    make("{" ORG "," REQ "," DAY ",\"amount\":5}", id);
    ck_assert_int_eq(change(LIMIT_UPDATE, id, 2, 9), TG_STALE);
    must(change(LIMIT_UPDATE, id, 1, 9));
    ck_assert_int_eq(change(LIMIT_OVERRIDE, id, 1, 10), TG_STALE);
    ck_assert_int_eq(change(LIMIT_DELETE, id, 1, 0), TG_STALE);
    ck_assert_int_eq(number(ask("GET", path_of(id, ""), NULL)->json, "amount"), 9);
    must(change(LIMIT_DELETE, id, 2, 0));
    ck_assert_int_eq(change(LIMIT_DELETE, id, 0, 0), TG_NOT_FOUND);
    is_problem(ask("GET", path_of(id, ""), NULL), 404, "not_found", "");
    is_problem(ask("PATCH", path_of(id, ""), "{\"amount\":1}"), 404, "not_found", "");
    is_problem(ask("PUT", path_of(id, "/override"), "{\"amount\":1}"), 404, "not_found", "");
    is_problem(ask("GET", path_of(id, "/events"), NULL), 404, "not_found", "");
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/limits", NULL)), 0);
}
END_TEST

START_TEST(a_patch_changes_what_it_has_and_nothing_else)
{
    char id[ID_TEXT_SIZE];
    const cJSON *limit;

    make("{" TEAM "," COST "," DAY ",\"amount\":\"5\",\"thresholds\":[10],\"strict\":true}", id);
    limit = ask("PATCH", path_of(id, ""), "{\"amount\":\"7.25\",\"enforcement\":\"soft\"}")->json;
    ck_assert_str_eq(support_text(limit, "amount"), "7.25");
    ck_assert_str_eq(support_text(limit, "enforcement"), "soft");
    ck_assert_str_eq(support_text(limit, "when_short"), "clamp");
    ck_assert(cJSON_IsTrue(member(limit, "strict")));
    ck_assert_int_eq(cJSON_GetArraySize(member(limit, "thresholds")), 1);
    limit = ask("PATCH", path_of(id, ""), "{\"thresholds\":null,\"when_short\":\"refuse\"}")->json;
    ck_assert_int_eq(cJSON_GetArraySize(member(limit, "thresholds")), 4); /* the default */
    ck_assert_str_eq(support_text(limit, "when_short"), "refuse");
    limit = ask("PATCH", path_of(id, ""), "{\"thresholds\":[]}")->json;
    ck_assert_int_eq(cJSON_GetArraySize(member(limit, "thresholds")), 0);
    ck_assert_str_eq(support_text(limit, "amount"), "7.25");
}
END_TEST

/* --- set -------------------------------------------------------------------------------------- */

/* What a PUT says: its status, and whether it is the row `id`. */
static void set(const char *body, int http, const char *id, bool is_same)
{
    const struct support_reply *reply = ask("PUT", "/api/v1/limits", fill_in(body));

    ck_assert_msg(reply->http == http, "%s: %d %s", body, reply->http, reply->text);
    ck_assert_msg((strcmp(support_text(reply->json, "id"), id) == 0) == is_same, "%s: %s", body,
                  reply->text);
}

START_TEST(setting_takes_the_place_of_the_one_that_counts_the_same)
{
    char id[ID_TEXT_SIZE];
    const cJSON *limit;

    make("{" TEAM "," COST "," DAY ",\"amount\":\"5\",\"models\":[\"b\",\"a*\"],\"strict\":true}",
         id);
    ck_assert_int_eq(ask("PUT", path_of(id, "/override"), "{\"amount\":\"50\"}")->http, 200);
    /* Models in another order, and again: the same. What is not said is as in a new one. */
    set("{" TEAM "," COST "," DAY ",\"amount\":\"6\",\"models\":[\"a*\",\"b\",\"b\"]}", 200, id,
        true);
    limit = ask("GET", path_of(id, ""), NULL)->json;
    ck_assert_str_eq(support_text(limit, "amount"), "6");
    ck_assert(cJSON_IsFalse(member(limit, "strict")));
    ck_assert(cJSON_IsNull(member(limit, "override")));
    /* Another scope, metric, window or other models: another. */
    set("{" ORG "," COST "," DAY ",\"amount\":\"6\",\"models\":[\"a*\",\"b\"]}", 201, id, false);
    set("{\"scope\":{\"type\":\"team\",\"id\":\"%T\",\"each\":\"key\"}," COST "," DAY
        ",\"amount\":\"6\",\"models\":[\"a*\",\"b\"]}",
        201, id, false);
    set("{" TEAM "," REQ "," DAY ",\"amount\":6,\"models\":[\"a*\",\"b\"]}", 201, id, false);
    set("{" TEAM "," COST ",\"window\":\"week\",\"amount\":\"6\",\"models\":[\"a*\",\"b\"]}", 201,
        id, false);
    set("{" TEAM "," COST "," DAY ",\"amount\":\"6\",\"models\":[\"a*\"]}", 201, id, false);
    set("{" TEAM "," COST "," DAY ",\"amount\":\"6\"}", 201, id, false);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/limits", NULL)), 7);
    /* The same in other periods: a new row, and the old one is gone. */
    set("{" TEAM "," COST "," DAY
        ",\"amount\":\"8\",\"models\":[\"a*\",\"b\"],\"timezone\":\"Asia/Tokyo\"}",
        200, id, false);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/limits", NULL)), 7);
    is_problem(ask("GET", path_of(id, ""), NULL), 404, "not_found", "");
}
END_TEST

START_TEST(setting_what_could_mean_several_is_refused)
{
    char id[ID_TEXT_SIZE];

    make("{" ORG ",\"metric\":\"parallel\",\"amount\":5}", id);
    make("{" ORG ",\"metric\":\"parallel\",\"amount\":7,\"enforcement\":\"soft\"}", id);
    is_problem(ask("PUT", "/api/v1/limits", "{" ORG ",\"metric\":\"parallel\",\"amount\":6}"), 409,
               "conflict", "");
    ck_assert_int_eq(ask("DELETE", path_of(id, ""), NULL)->http, 204);
    ck_assert_int_eq(
        ask("PUT", "/api/v1/limits", "{" ORG ",\"metric\":\"parallel\",\"amount\":6}")->http, 200);
}
END_TEST

/* --- override --------------------------------------------------------------------------------- */

START_TEST(an_override_holds_for_one_period)
{
    char id[ID_TEXT_SIZE];
    const cJSON *limit;
    const cJSON *override;

    make("{" TEAM "," REQ ",\"window\":\"month\",\"amount\":5}", id);
    limit = ask("PUT", path_of(id, "/override"), "{\"amount\":50}")->json;
    override = member(limit, "override");
    ck_assert_int_eq(number(override, "amount"), 50);
    /* November in Berlin. */
    ck_assert_str_eq(support_text(override, "period_start"), "2026-10-31T23:00:00.000Z");
    ck_assert_int_eq(number(limit, "amount"), 5);
    ck_assert_int_eq(number(limit, "remaining"), 50);
    /* It outlives a change of the amount, and ends with its month. */
    limit = ask("PATCH", path_of(id, ""), "{\"amount\":6}")->json;
    ck_assert_int_eq(number(limit, "remaining"), 50);
    atomic_store(&now_ms, START_MS + 6 * DAY_MS + 23 * HOUR_MS - 1); /* the end of 30 November */
    ck_assert_int_eq(number(ask("GET", path_of(id, ""), NULL)->json, "remaining"), 50);
    atomic_store(&now_ms, START_MS + 6 * DAY_MS + 23 * HOUR_MS); /* 1 December */
    limit = ask("GET", path_of(id, ""), NULL)->json;
    ck_assert_int_eq(number(limit, "remaining"), 6);
    ck_assert(cJSON_IsNull(member(limit, "override")));
}
END_TEST

START_TEST(an_override_is_taken_back)
{
    char id[ID_TEXT_SIZE];
    const cJSON *limit;

    make("{" ORG "," COST ",\"window\":\"total\",\"amount\":\"5\"}", id);
    limit = ask("PUT", path_of(id, "/override"), "{\"amount\":\"0.000000001\"}")->json;
    ck_assert_str_eq(support_text(limit, "remaining"), "0.000000001");
    ck_assert_str_eq(support_text(member(limit, "override"), "amount"), "0.000000001");
    limit = ask("PUT", path_of(id, "/override"), "{\"amount\":null}")->json;
    ck_assert_str_eq(support_text(limit, "remaining"), "5");
    ck_assert(cJSON_IsNull(member(limit, "override")));
    make("{" ORG ",\"metric\":\"parallel\",\"amount\":5}", id);
    is_problem(ask("PUT", path_of(id, "/override"), "{\"amount\":50}"), 409, "conflict", "");
}
END_TEST

/* --- who sees what ---------------------------------------------------------------------------- */

static void make_four(char ids[4][ID_TEXT_SIZE])
{
    char body[256];

    make("{" ORG "," REQ "," DAY ",\"amount\":9}", ids[0]);
    make("{" TEAM "," REQ "," DAY ",\"amount\":8}", ids[1]);
    make("{\"scope\":{\"type\":\"key\",\"id\":\"%K\"}," REQ "," DAY ",\"amount\":7}", ids[2]);
    (void)snprintf(body, sizeof(body),
                   "{\"scope\":{\"type\":\"key\",\"id\":\"%s\"}," REQ "," DAY ",\"amount\":6}",
                   key_b);
    make(body, ids[3]);
}

START_TEST(lists_are_filtered_and_paged)
{
    char ids[4][ID_TEXT_SIZE];
    char path[160];
    const struct support_reply *reply;

    make_four(ids);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/limits", NULL)), 4);
    (void)snprintf(path, sizeof(path), "/api/v1/limits?team_id=%s", alpha);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 2);
    (void)snprintf(path, sizeof(path), "/api/v1/limits?key_id=%s", key_a);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 3);
    (void)snprintf(path, sizeof(path), "/api/v1/limits?key_id=%s", key_a2);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 2); /* the organization's, its team's */
    (void)snprintf(path, sizeof(path), "/api/v1/limits?key_id=%s", key_b);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 2);
    is_problem(ask("GET", "/api/v1/limits?team_id=team_none", NULL), 404, "not_found", "");
    is_problem(ask("GET", "/api/v1/limits?key_id=key_none", NULL), 404, "not_found", "");
    is_problem(ask("GET", "/api/v1/limits?window=day", NULL), 400, "invalid_request", "?window");
    reply = ask("GET", "/api/v1/limits?limit=3", NULL);
    ck_assert_int_eq(count_of(reply), 3);
    ck_assert_str_eq(support_text(reply->json, "next_cursor"), ids[2]);
    (void)snprintf(path, sizeof(path), "/api/v1/limits?limit=3&after=%s", ids[2]);
    reply = ask("GET", path, NULL);
    ck_assert_int_eq(count_of(reply), 1);
    ck_assert(cJSON_IsFalse(member(reply->json, "has_more")));
}
END_TEST

START_TEST(a_team_sees_what_binds_it_and_changes_nothing)
{
    char ids[4][ID_TEXT_SIZE];
    char token[ID_TOKEN_SIZE];
    const struct support_reply *reply;

    make_four(ids);
    support_token(&admin, "team", alpha, token);
    reply = ask_as(token, "GET", "/api/v1/limits", NULL);
    ck_assert_int_eq(count_of(reply), 3);
    ck_assert_ptr_null(strstr(reply->text, ids[3]));
    ck_assert_ptr_null(strstr(reply->text, key_b));
    ck_assert_int_eq(ask_as(token, "GET", path_of(ids[0], ""), NULL)->http, 200);
    is_problem(ask_as(token, "GET", path_of(ids[3], ""), NULL), 404, "not_found", "");
    is_problem(ask_as(token, "GET", path_of(ids[3], "/events"), NULL), 404, "not_found", "");
    is_problem(ask_as(token, "PATCH", path_of(ids[1], ""), "{\"amount\":1}"), 403, "forbidden", "");
    is_problem(ask_as(token, "DELETE", path_of(ids[2], ""), NULL), 403, "forbidden", "");
}
END_TEST

/* Whoever comes to change limits with a team for a scope: what is another's is not there. */
START_TEST(a_scope_is_kept_by_the_jobs_too)
{
    AUTO(limit_job) create;
    char ids[4][ID_TEXT_SIZE];
    const int32_t team =
        (int32_t)support_book_number(&admin.book, "SELECT id FROM team WHERE name = 'alpha'");

    make_four(ids);
    for (int i = 0; i < 4; i++) {
        AUTO(limit_job) job;

        limit_job_init(&job, LIMIT_UPDATE, admin.book.admit);
        job.scope = team;
        job.public_id = span_from(ids[i]);
        job.input = (struct limit_input){ .has_amount = true, .amount = 5 };
        ck_assert_int_eq(account_call(admin.book.writer, &job.account, &err),
                         i == 1 || i == 2 ? TG_OK : TG_NOT_FOUND);
    }
    limit_job_init(&create, LIMIT_CREATE, admin.book.admit);
    create.scope = team;
    create.input = (struct limit_input){
        .scope = LIMIT_ORGANIZATION, .metric = LIMIT_PARALLEL, .has_amount = true, .amount = 1
    };
    ck_assert_int_eq(account_call(admin.book.writer, &create.account, &err), TG_NOT_FOUND);
}
END_TEST

START_TEST(finance_edits_and_a_viewer_reads)
{
    char finance[ID_TOKEN_SIZE];
    char viewer[ID_TOKEN_SIZE];
    const struct support_reply *reply;
    char id[ID_TEXT_SIZE];

    support_token(&admin, "finance", NULL, finance);
    support_token(&admin, "viewer", NULL, viewer);
    reply = ask_as(finance, "POST", "/api/v1/limits", "{" ORG "," REQ "," DAY ",\"amount\":1}");
    ck_assert_int_eq(reply->http, 201);
    (void)snprintf(id, sizeof(id), "%s", support_text(reply->json, "id"));
    ck_assert_int_eq(ask_as(viewer, "GET", path_of(id, ""), NULL)->http, 200);
    is_problem(ask_as(viewer, "PATCH", path_of(id, ""), "{\"amount\":2}"), 403, "forbidden", "");
    is_problem(ask_as(viewer, "PUT", path_of(id, "/override"), "{\"amount\":2}"), 403, "forbidden",
               "");
    ck_assert_int_eq(ask_as(finance, "DELETE", path_of(id, ""), NULL)->http, 204);
}
END_TEST

/* --- warnings --------------------------------------------------------------------------------- */

static int warnings_of(const char *id)
{
    return cJSON_GetArraySize(member(ask("GET", path_of(id, ""), NULL)->json, "warnings"));
}

START_TEST(a_limit_that_never_binds_says_so)
{
    char team[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char month[ID_TEXT_SIZE];
    const struct support_reply *reply;

    make("{" TEAM "," REQ "," DAY ",\"amount\":10}", team);
    make("{\"scope\":{\"type\":\"key\",\"id\":\"%K\"}," REQ "," DAY ",\"amount\":11}", key);
    make("{" TEAM "," REQ ",\"window\":\"month\",\"amount\":310}", month);
    ck_assert_int_eq(warnings_of(team), 0);
    ck_assert_int_eq(warnings_of(key), 1);
    ck_assert_int_eq(warnings_of(month), 0); /* 31 days of 10 may reach it */
    reply = ask("PATCH", path_of(month, ""), "{\"amount\":311}");
    ck_assert_int_eq(cJSON_GetArraySize(member(reply->json, "warnings")), 1);
    ck_assert_ptr_nonnull(
        strstr(cJSON_GetArrayItem(member(reply->json, "warnings"), 0)->valuestring, team));
    /* The one that stood in its way, soft or larger, does so no more. */
    ck_assert_int_eq(ask("PATCH", path_of(team, ""), "{\"enforcement\":\"soft\"}")->http, 200);
    ck_assert_int_eq(warnings_of(key), 0);
    ck_assert_int_eq(warnings_of(month), 0);
}
END_TEST

/* --- counts ----------------------------------------------------------------------------------- */

static int32_t row_of(const char *sql)
{
    return (int32_t)support_book_number(&admin.book, sql);
}

/* A charge at 00:00:`number` of 24 November by alpha's key of that name: 10 tokens in, 5 out, and
 * money. */
static void charge(int64_t number_of, const char *key, int64_t cost_nusd,
                   enum ledger_outcome outcome)
{
    char sql[128];
    struct support_settle settle;
    struct ledger_charge *charge;

    support_settle_init(&admin.book, &settle, number_of);
    charge = &settle.job.charge;
    charge->team_id = row_of("SELECT id FROM team WHERE name = 'alpha'");
    (void)snprintf(sql, sizeof(sql), "SELECT id FROM \"key\" WHERE name = '%s'", key);
    charge->key_id = row_of(sql);
    if (strcmp(key, "b") == 0)
        charge->team_id = row_of("SELECT id FROM team WHERE name = 'beta'");
    charge->model = SPAN("m");
    charge->usage = (struct tg_usage){ .count = { [TG_INPUT] = 10, [TG_OUTPUT] = 5 } };
    charge->cost_nusd = cost_nusd;
    charge->provider_cost_nusd = cost_nusd;
    charge->outcome = outcome;
    charge->source = outcome == LEDGER_OUTCOME_UNRECONCILED ? LEDGER_SOURCE_UNRECONCILED
                                                            : LEDGER_SOURCE_PROVIDER;
    ck_assert_int_eq(support_settle_submit(&admin.book, &settle), TG_OK);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
}

START_TEST(a_new_limit_counts_what_its_period_has_seen)
{
    char id[ID_TEXT_SIZE];
    const cJSON *limit;

    atomic_store(&now_ms, START_MS + HOUR_MS);
    charge(1, "a", 1500000000, LEDGER_OUTCOME_OK);
    charge(2, "a2", 250000000, LEDGER_OUTCOME_UNRECONCILED);
    charge(3, "b", 9000000000, LEDGER_OUTCOME_OK);
    make("{" TEAM "," COST "," DAY ",\"amount\":\"2\"}", id);
    limit = ask("GET", path_of(id, ""), NULL)->json;
    ck_assert_str_eq(support_text(limit, "spent"), "1.75");
    ck_assert_str_eq(support_text(limit, "unreconciled"), "0.25");
    ck_assert_str_eq(support_text(limit, "held"), "0");
    ck_assert_str_eq(support_text(limit, "remaining"), "0.25");
    charge(4, "a", 500000000, LEDGER_OUTCOME_OK);
    limit = ask("GET", path_of(id, ""), NULL)->json;
    ck_assert_str_eq(support_text(limit, "spent"), "2.25");
    ck_assert_str_eq(support_text(limit, "remaining"), "0"); /* never below */
}
END_TEST

START_TEST(each_key_has_a_count_of_its_own)
{
    char id[ID_TEXT_SIZE];
    const struct support_reply *reply;
    const cJSON *keys;

    atomic_store(&now_ms, START_MS + HOUR_MS);
    charge(1, "a", 1, LEDGER_OUTCOME_OK);
    charge(2, "a", 1, LEDGER_OUTCOME_OK);
    charge(3, "a2", 1, LEDGER_OUTCOME_OK);
    charge(4, "b", 1, LEDGER_OUTCOME_OK);
    make("{\"scope\":{\"type\":\"team\",\"id\":\"%T\",\"each\":\"key\"},\"metric\":"
         "\"total_tokens\"," DAY ",\"amount\":100}",
         id);
    reply = ask("GET", path_of(id, ""), NULL);
    keys = member(reply->json, "keys");
    ck_assert(cJSON_IsNull(member(reply->json, "spent"))); /* there is no sum that binds */
    ck_assert_int_eq(cJSON_GetArraySize(keys), 2);
    for (int i = 0; i < 2; i++) {
        const cJSON *key = cJSON_GetArrayItem(keys, i);
        const bool is_first = strcmp(support_text(key, "key_id"), key_a) == 0;

        ck_assert(is_first || strcmp(support_text(key, "key_id"), key_a2) == 0);
        ck_assert_int_eq(number(key, "spent"), is_first ? 30 : 15);
        ck_assert_int_eq(number(key, "remaining"), is_first ? 70 : 85);
    }
    ck_assert(cJSON_IsFalse(member(reply->json, "has_more_keys")));
    ck_assert_ptr_null(member(
        cJSON_GetArrayItem(member(ask("GET", "/api/v1/limits", NULL)->json, "data"), 0), "keys"));
}
END_TEST

/* A job of the writer, waited for here; a worker is called back. */
static struct own_job own;

START_TEST(a_key_learns_which_limits_apply_to_it)
{
    char ids[4][ID_TEXT_SIZE];

    atomic_store(&now_ms, START_MS + HOUR_MS);
    make_four(ids);
    make("{" ORG "," COST "," DAY ",\"amount\":\"2\",\"models\":[\"x*\",\"y\"]}", ids[3]);
    charge(1, "a2", 1, LEDGER_OUTCOME_OK);
    own_job_init(&own, admin.book.admit, row_of("SELECT id FROM team WHERE name = 'alpha'"),
                 row_of("SELECT id FROM \"key\" WHERE name = 'a'"));
    must(writer_call(admin.book.writer, &own.job, &err));
    ck_assert_int_eq(own.count, 4); /* of whatever model */
    ck_assert(!own.has_more);
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(own.own[i].limit.public_id, ids[i]);
        ck_assert_int_eq(own.own[i].count.limit_id, own.own[i].limit.id);
    }
    ck_assert_int_eq(own.own[0].count.spent, 1); /* the other key's call */
    ck_assert_int_eq(own.own[1].count.spent, 1);
    ck_assert_int_eq(own.own[2].count.spent, 0);
    ck_assert_int_eq(own.own[2].count.amount, 7);
    ck_assert_int_eq(own.own[3].limit.model_count, 2);
    ck_assert_str_eq(own.own[3].limit.models[0], "x*");
    ck_assert_int_eq(own.own[3].count.resets_at_ms, START_MS + DAY_MS);
    own_job_fini(&own);
}
END_TEST

START_TEST(a_key_is_told_of_so_many_limits_and_that_there_are_more)
{
    char id[ID_TEXT_SIZE];

    for (int i = 0; i < OWN_LIMITS_MAX + 1; i++)
        make("{" ORG ",\"metric\":\"parallel\",\"amount\":5,\"models\":[\"m\"]}", id);
    own_job_init(&own, admin.book.admit, row_of("SELECT id FROM team WHERE name = 'alpha'"),
                 row_of("SELECT id FROM \"key\" WHERE name = 'a'"));
    must(writer_call(admin.book.writer, &own.job, &err));
    ck_assert_int_eq(own.count, OWN_LIMITS_MAX);
    ck_assert(own.has_more);
    own_job_fini(&own);
}
END_TEST

/* --- what people were told -------------------------------------------------------------------- */

START_TEST(thresholds_that_were_reached_are_listed)
{
    char id[ID_TEXT_SIZE];
    char path[160];
    const struct support_reply *reply;
    const cJSON *event;

    atomic_store(&now_ms, START_MS + HOUR_MS);
    make("{" TEAM "," COST "," DAY ",\"amount\":\"2\",\"thresholds\":[25,50,100]}", id);
    charge(1, "a", 600000000, LEDGER_OUTCOME_OK);  /* 30 % */
    charge(2, "a", 1500000000, LEDGER_OUTCOME_OK); /* 105 % */
    support_barrier(&admin.book);
    reply = ask("GET", path_of(id, "/events"), NULL);
    ck_assert_int_eq(count_of(reply), 3);
    event = cJSON_GetArrayItem(member(reply->json, "data"), 0);
    ck_assert_int_eq(number(event, "threshold"), 100);
    ck_assert_str_eq(support_text(event, "amount"), "2");
    ck_assert_str_eq(support_text(event, "spent"), "2.1");
    ck_assert_str_eq(support_text(event, "period_start"), "2026-11-23T23:00:00.000Z");
    ck_assert(cJSON_IsNull(member(event, "key_id")));
    event = cJSON_GetArrayItem(member(reply->json, "data"), 2);
    ck_assert_int_eq(number(event, "threshold"), 25);
    ck_assert_str_eq(support_text(event, "spent"), "0.6");
    reply = ask("GET", path_of(id, "/events?limit=2"), NULL);
    (void)snprintf(path, sizeof(path), "%s?after=%s", path_of(id, "/events"),
                   support_text(reply->json, "next_cursor"));
    ck_assert_int_eq(count_of(reply), 2);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 1);
    is_problem(ask("GET", path_of(id, "/events?after=x"), NULL), 400, "invalid_request", "?after");
}
END_TEST

static enum tg_status put_refusals(struct db *db, void *context, struct err *failure)
{
    const int64_t first = support_attempt(1);
    char sql[2048];

    (void)context;
    (void)snprintf(
        sql, sizeof(sql),
        "INSERT INTO dimension (id, name) VALUES (901, 'openai-chat'), (902, 'm'), (903, 'n');"
        "INSERT INTO refusal (id, team_id, key_id, provider_id, dialect_id, model_id, limit_id, "
        "reason, amount, spent, held, estimate, flags) "
        "SELECT %lld, t.id, k.id, 1, 901, 902, l.id, 'spent', 2000000000, 1900000000, 1, "
        "150000000, 1 FROM team AS t, \"key\" AS k, \"limit\" AS l "
        "WHERE t.name = 'alpha' AND k.name = 'a' /* scan */;"
        "INSERT INTO refusal (id, team_id, key_id, provider_id, dialect_id, model_id, limit_id, "
        "reason, amount, spent, held, estimate, flags) "
        "SELECT %lld, t.id, k.id, 1, 901, 903, NULL, 'unpriced', 0, 0, 0, 0, 0 "
        "FROM team AS t, \"key\" AS k WHERE t.name = 'beta' AND k.name = 'b' /* scan */;",
        (long long)first, (long long)support_attempt(2));
    return stmt_run_script(db, sql, failure);
}

START_TEST(calls_that_were_turned_down_are_listed)
{
    char limit[ID_TEXT_SIZE];
    char path[160];
    char token[ID_TOKEN_SIZE];
    const struct support_reply *reply;
    const cJSON *row;

    make("{" TEAM "," COST "," DAY ",\"amount\":\"2\"}", limit);
    ck_assert_int_eq(support_run(&admin.book, put_refusals, NULL), TG_OK);
    reply = ask("GET", "/api/v1/refusals", NULL);
    ck_assert_int_eq(count_of(reply), 2);
    row = cJSON_GetArrayItem(member(reply->json, "data"), 0); /* the newest */
    ck_assert_str_eq(support_text(row, "reason"), "unpriced");
    ck_assert_str_eq(support_text(row, "team_id"), beta);
    ck_assert_str_eq(support_text(row, "model"), "n");
    ck_assert(cJSON_IsNull(member(row, "limit_id")));
    ck_assert(cJSON_IsNull(member(row, "amount")));
    row = cJSON_GetArrayItem(member(reply->json, "data"), 1);
    ck_assert_str_eq(support_text(row, "created_at"), "2026-11-24T00:00:01.000Z");
    ck_assert_str_eq(support_text(row, "key_id"), key_a);
    ck_assert_str_eq(support_text(row, "limit_id"), limit);
    ck_assert_str_eq(support_text(row, "scope"), "team");
    ck_assert_str_eq(support_text(row, "metric"), "cost");
    ck_assert_str_eq(support_text(row, "window"), "day");
    ck_assert_str_eq(support_text(row, "amount"), "2");
    ck_assert_str_eq(support_text(row, "spent"), "1.9");
    ck_assert_str_eq(support_text(row, "held"), "0.000000001");
    ck_assert_str_eq(support_text(row, "estimate"), "0.15");
    ck_assert(cJSON_IsTrue(member(row, "stream")));
    reply = ask("GET", "/api/v1/refusals?limit=1", NULL);
    (void)snprintf(path, sizeof(path), "/api/v1/refusals?limit=1&after=%s",
                   support_text(reply->json, "next_cursor"));
    reply = ask("GET", path, NULL);
    ck_assert_int_eq(count_of(reply), 1);
    ck_assert(cJSON_IsFalse(member(reply->json, "has_more")));
    (void)snprintf(path, sizeof(path), "/api/v1/refusals?limit_id=%s", limit);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 1);
    (void)snprintf(path, sizeof(path), "/api/v1/refusals?team=%s&model=n&reason=unpriced", beta);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 1);
    (void)snprintf(path, sizeof(path), "/api/v1/refusals?key=%s&reason=unpriced", key_a);
    ck_assert_int_eq(count_of(ask("GET", path, NULL)), 0);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/refusals?from=2026-11-24T00:00:02Z", NULL)), 1);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/refusals?to=2026-11-24T00:00:01Z", NULL)), 0);
    is_problem(ask("GET", "/api/v1/refusals?reason=mood", NULL), 400, "invalid_request", "?reason");
    is_problem(ask("GET", "/api/v1/refusals?after=x", NULL), 400, "invalid_request", "?after");
    support_token(&admin, "team", alpha, token);
    reply = ask_as(token, "GET", "/api/v1/refusals", NULL);
    ck_assert_int_eq(count_of(reply), 1);
    ck_assert_ptr_null(strstr(reply->text, beta));
}
END_TEST

/* --- releasing -------------------------------------------------------------------------------- */

static int released(const char *body)
{
    const struct support_reply *reply = ask("POST", "/api/v1/unreconciled/release", fill_in(body));

    ck_assert_msg(reply->http == 200, "%d %s", reply->http, reply->text);
    ck_assert(cJSON_IsFalse(member(reply->json, "has_more")));
    return number(reply->json, "released");
}

#define UNKNOWN 150 /* more than two batches */

START_TEST(what_is_not_known_is_released_in_bulk)
{
    char id[ID_TEXT_SIZE];
    const cJSON *limit;

    atomic_store(&now_ms, START_MS + HOUR_MS);
    make("{" TEAM "," COST "," DAY ",\"amount\":\"5\"}", id);
    for (int i = 1; i <= UNKNOWN; i++)
        charge(i, i % 3 == 0 ? "b" : "a", 1000000, LEDGER_OUTCOME_UNRECONCILED);
    charge(UNKNOWN + 1, "a", 7000000, LEDGER_OUTCOME_OK);
    limit = ask("GET", path_of(id, ""), NULL)->json;
    ck_assert_str_eq(support_text(limit, "spent"), "0.107");
    ck_assert_str_eq(support_text(limit, "unreconciled"), "0.1");
    /* Before the first, before the tenth, of one team, all of it, once. */
    ck_assert_int_eq(released("{\"before\":\"2026-11-24T00:00:01Z\"}"), 0);
    ck_assert_int_eq(released("{\"before\":\"2026-11-24T00:00:10Z\"}"), 9);
    ck_assert_int_eq(released("{\"before\":\"2026-11-25T00:00:00Z\",\"team_id\":\"%T\"}"), 94);
    limit = ask("GET", path_of(id, ""), NULL)->json;
    ck_assert_str_eq(support_text(limit, "spent"), "0.007");
    ck_assert_str_eq(support_text(limit, "unreconciled"), "0");
    ck_assert_int_eq(released("{\"before\":\"2026-11-25\",\"team_id\":null}"), 47);
    ck_assert_int_eq(released("{\"before\":\"2026-11-25\"}"), 0);
    ck_assert_int_eq(support_book_number(&admin.book, "SELECT sum(cost_nusd) FROM charge"),
                     7000000);
    ck_assert_int_eq(support_book_number(&admin.book, "SELECT sum(input) FROM charge"), 10);
    support_book_is_sound(&admin.book);
}
END_TEST

START_TEST(a_release_says_what_is_wrong)
{
    static const char path[] = "/api/v1/unreconciled/release";

    is_problem(ask("POST", path, "{}"), 400, "invalid_request", "/before");
    is_problem(ask("POST", path, "{\"before\":null}"), 400, "invalid_request", "/before");
    is_problem(ask("POST", path, "{\"before\":\"soon\"}"), 400, "invalid_request", "/before");
    is_problem(ask("POST", path, "{\"before\":\"2026-11-24\",\"team_id\":\"team_none\"}"), 404,
               "not_found", "/team_id");
    is_problem(ask("POST", path, "{\"before\":\"2026-11-24\",\"key_id\":\"x\"}"), 400,
               "invalid_request", "/key_id");
}
END_TEST

/* --- explaining ------------------------------------------------------------------------------- */

static const struct support_reply *explain(const char *key, const char *rest)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "/api/v1/explain?key_id=%s%s", key, rest);
    return ask("GET", path, NULL);
}

static void make_provider(void)
{
    ck_assert_int_eq(
        ask("POST", "/api/v1/providers",
            "{\"name\":\"openai\",\"kind\":\"openai\",\"secret\":\"sk-test-secret-0123456789\"}")
            ->http,
        201);
}

START_TEST(a_call_is_explained_without_a_trace)
{
    char tight[ID_TEXT_SIZE];
    char wide[ID_TEXT_SIZE];
    const struct support_reply *reply;
    const cJSON *row;

    make_provider();
    atomic_store(&now_ms, START_MS + HOUR_MS);
    make("{" TEAM ",\"metric\":\"total_tokens\"," DAY ",\"amount\":2000}", wide);
    reply = explain(key_a, "&model=gpt-x&body_bytes=1000&max_tokens=500");
    ck_assert_msg(cJSON_IsTrue(member(reply->json, "admitted")), "%s", reply->text);
    ck_assert(cJSON_IsNull(member(reply->json, "reason")));
    ck_assert_str_eq(support_text(member(reply->json, "provider"), "name"), "openai");
    ck_assert_int_eq(number(member(reply->json, "route"), "rule"), 4); /* its kind's gpt- */
    ck_assert_int_eq(number(member(reply->json, "hold"), "output_bound_tokens"), 500);
    row = cJSON_GetArrayItem(member(reply->json, "limits"), 0);
    ck_assert_str_eq(support_text(row, "limit_id"), wide);
    ck_assert_str_eq(support_text(row, "says"), "admits");
    make("{\"scope\":{\"type\":\"key\",\"id\":\"%K\"},\"metric\":\"output_tokens\"," DAY
         ",\"amount\":499}",
         tight);
    reply = explain(key_a, "&model=gpt-x&input_tokens=1000&max_tokens=500");
    ck_assert(cJSON_IsFalse(member(reply->json, "admitted")));
    ck_assert_str_eq(support_text(reply->json, "reason"), "too_large");
    ck_assert_str_eq(support_text(reply->json, "limit_id"), tight);
    ck_assert_int_eq(cJSON_GetArraySize(member(reply->json, "limits")), 2);
    row = cJSON_GetArrayItem(member(reply->json, "limits"), 1);
    ck_assert_str_eq(support_text(row, "says"), "too_large");
    ck_assert_int_eq(number(row, "estimate"), 500);
    /* The other key of the team is not under it. */
    reply = explain(key_a2, "&model=gpt-x&body_bytes=1000&max_tokens=500");
    ck_assert(cJSON_IsTrue(member(reply->json, "admitted")));
    charge(1, "a2", 1, LEDGER_OUTCOME_OK); /* 15 tokens */
    ck_assert_str_eq(
        support_text(explain(key_a2, "&model=gpt-x&body_bytes=1000&max_tokens=986")->json,
                     "reason"),
        "spent");
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/refusals", NULL)), 0);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/holds", NULL)), 0);
    ck_assert_int_eq(count_of(ask("GET", "/api/v1/calls", NULL)), 1);
}
END_TEST

START_TEST(a_limit_for_other_models_has_no_say)
{
    char id[ID_TEXT_SIZE];
    const struct support_reply *reply;

    make_provider();
    make("{" ORG ",\"metric\":\"total_tokens\"," DAY ",\"amount\":1,\"models\":[\"claude-*\"]}",
         id);
    reply = explain(key_a, "&model=gpt-x");
    ck_assert(cJSON_IsTrue(member(reply->json, "admitted")));
    ck_assert_int_eq(cJSON_GetArraySize(member(reply->json, "limits")), 0);
}
END_TEST

START_TEST(money_without_a_price_is_explained)
{
    char id[ID_TEXT_SIZE];
    const struct support_reply *reply;

    make_provider();
    make("{" ORG "," COST "," DAY ",\"amount\":\"1\"}", id);
    reply = explain(key_a, "&model=gpt-x"); /* this book is empty */
    ck_assert(cJSON_IsFalse(member(reply->json, "admitted")));
    ck_assert_str_eq(support_text(reply->json, "reason"), "unpriced");
    ck_assert_int_eq(cJSON_GetArraySize(member(reply->json, "prices")), 0);
}
END_TEST

START_TEST(what_stands_before_limits_is_explained_first)
{
    char path[128];
    const struct support_reply *reply;

    reply = explain(key_a, "&model=gpt-x"); /* nobody serves it */
    ck_assert_int_eq(reply->http, 200);
    ck_assert(cJSON_IsFalse(member(reply->json, "admitted")));
    ck_assert_str_eq(support_text(reply->json, "reason"), "model_not_found");
    ck_assert(cJSON_IsNull(member(reply->json, "provider")));
    make_provider();
    (void)snprintf(path, sizeof(path), "/api/v1/keys/%s", key_a);
    ck_assert_int_eq(ask("PATCH", path, "{\"models\":[\"gpt-y*\"]}")->http, 200);
    ck_assert_str_eq(support_text(explain(key_a, "&model=gpt-x")->json, "reason"),
                     "model_not_found");
    ck_assert(cJSON_IsTrue(member(explain(key_a, "&model=gpt-y2")->json, "admitted")));
    archive_and_revoke();
    ck_assert_str_eq(support_text(explain(key_a2, "&model=gpt-y")->json, "reason"),
                     "invalid_api_key");
    ck_assert_str_eq(support_text(explain(key_b, "&model=gpt-y")->json, "reason"),
                     "invalid_api_key");
}
END_TEST

START_TEST(a_question_that_is_wrong_is_refused)
{
    char token[ID_TOKEN_SIZE];
    char path[128];

    is_problem(ask("GET", "/api/v1/explain?model=x", NULL), 400, "invalid_request", "?key_id");
    is_problem(explain(key_a, ""), 400, "invalid_request", "?model");
    is_problem(explain(key_a, "&model="), 400, "invalid_request", "?model");
    is_problem(explain("key_none", "&model=x"), 404, "not_found", "?key_id");
    is_problem(explain(key_a, "&model=x&dialect=latin"), 400, "invalid_request", "?dialect");
    is_problem(explain(key_a, "&model=x&max_tokens=0"), 400, "invalid_request", "?max_tokens");
    is_problem(explain(key_a, "&model=x&body_bytes=-1"), 400, "invalid_request", "?body_bytes");
    is_problem(explain(key_a, "&model=x&input_tokens=x"), 400, "invalid_request", "?input_tokens");
    support_token(&admin, "team", beta, token);
    (void)snprintf(path, sizeof(path), "/api/v1/explain?key_id=%s&model=x", key_a);
    is_problem(ask_as(token, "GET", path, NULL), 404, "not_found", "?key_id");
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("integration/limits");
    TCase *rows = tcase_create("rows");
    TCase *refused = tcase_create("refused");
    TCase *changes = tcase_create("changes");
    TCase *seen = tcase_create("seen");
    TCase *counted = tcase_create("counted");
    TCase *explained = tcase_create("explained");
    TCase *const cases[] = { rows, refused, changes, seen, counted, explained };

    tcase_add_test(rows, a_limit_is_stored_as_it_was_given);
    tcase_add_test(rows, what_is_not_said_is_as_the_contract_says);
    tcase_add_test(rows, what_is_shown_can_be_sent_again);
    tcase_add_test(refused, what_is_wrong_is_refused_at_its_field);
    tcase_add_test(refused, a_change_that_is_wrong_is_refused_at_its_field);
    tcase_add_test(refused, who_has_ended_or_never_was_gets_no_limit);
    tcase_add_test(refused, there_is_an_end_to_limits);
    tcase_add_test(changes, a_change_needs_the_tag_that_was_read);
    tcase_add_test(changes, a_stale_revision_changes_nothing);
    tcase_add_test(changes, a_patch_changes_what_it_has_and_nothing_else);
    tcase_add_test(changes, setting_takes_the_place_of_the_one_that_counts_the_same);
    tcase_add_test(changes, setting_what_could_mean_several_is_refused);
    tcase_add_test(changes, an_override_holds_for_one_period);
    tcase_add_test(changes, an_override_is_taken_back);
    tcase_add_test(seen, lists_are_filtered_and_paged);
    tcase_add_test(seen, a_team_sees_what_binds_it_and_changes_nothing);
    tcase_add_test(seen, a_scope_is_kept_by_the_jobs_too);
    tcase_add_test(seen, finance_edits_and_a_viewer_reads);
    tcase_add_test(seen, a_limit_that_never_binds_says_so);
    tcase_add_test(seen, calls_that_were_turned_down_are_listed);
    tcase_add_test(counted, a_new_limit_counts_what_its_period_has_seen);
    tcase_add_test(counted, each_key_has_a_count_of_its_own);
    tcase_add_test(counted, a_key_learns_which_limits_apply_to_it);
    tcase_add_test(counted, a_key_is_told_of_so_many_limits_and_that_there_are_more);
    tcase_add_test(counted, thresholds_that_were_reached_are_listed);
    tcase_add_test(counted, what_is_not_known_is_released_in_bulk);
    tcase_add_test(counted, a_release_says_what_is_wrong);
    tcase_add_test(explained, a_call_is_explained_without_a_trace);
    tcase_add_test(explained, a_limit_for_other_models_has_no_say);
    tcase_add_test(explained, money_without_a_price_is_explained);
    tcase_add_test(explained, what_stands_before_limits_is_explained_first);
    tcase_add_test(explained, a_question_that_is_wrong_is_refused);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tcase_add_checked_fixture(cases[i], start, stop);
        tcase_set_timeout(cases[i], 30);
        suite_add_tcase(all, cases[i]);
    }
    return all;
}
