/* Goal: the route table is sound (nothing served twice, nothing open by oversight), paths and
 * methods are matched exactly, and what a request brings is read by rule or refused by name.
 * Method: walks over the table itself; requests made by hand, without a listener. */
#include "admin/api.h"
#include "admin/input.h"
#include "admin/problem.h"
#include "support/suites.h"

#include <stdio.h>

/* --- routes ----------------------------------------------------------------------------------- */

START_TEST(each_route_is_found_by_its_own_path)
{
    for (int i = 0; i < api_route_count; i++) {
        const struct api_route *route = &api_routes[i];
        const char *brace = strchr(route->pattern, '{');
        char path[128];
        struct span id;
        bool knows_path;

        if (brace == NULL)
            (void)snprintf(path, sizeof(path), "%s", route->pattern);
        else
            (void)snprintf(path, sizeof(path), "%.*sid_42%s", (int)(brace - route->pattern),
                           route->pattern, strchr(brace, '}') + 1);
        ck_assert_ptr_eq(api_find(route->method, span_from(path), &id, &knows_path), route);
        ck_assert(span_equal(id, brace == NULL ? SPAN_EMPTY : SPAN("id_42")));
    }
}
END_TEST

START_TEST(a_route_without_a_token_is_one_of_few)
{
    int open_count = 0;

    for (int i = 0; i < api_route_count; i++) {
        const struct api_route *route = &api_routes[i];

        ck_assert_uint_ne(route->access, 0);
        open_count += (route->access & API_FOR_ANYONE) != 0;
        if (strcmp(route->method, "GET") == 0 || strcmp(route->method, "DELETE") == 0)
            ck_assert_int_eq(route->body, API_NO_BODY);
        else if ((route->access & API_FOR_ANYONE) == 0)
            ck_assert_uint_eq(route->access & API_FOR_VIEWER, 0); /* a viewer changes nothing */
    }
    ck_assert_int_eq(open_count, 4); /* health, readiness, words of problems, set-up */
}
END_TEST

static const struct {
    const char *method;
    const char *path;
    bool knows_path;
} strangers[] = {
    { "GET", "/", false },
    { "GET", "", false },
    { "GET", "/api/v1", false },
    { "GET", "/api/v1/teams/", false },
    { "GET", "/api/v1/teamsx", false },
    { "GET", "/api/v1/teams/a/", false },
    { "GET", "/api/v1/teams/a/b", false },
    { "GET", "//api/v1/teams", false },
    { "POST", "/api/v1/teams/a/archive/", false },
    { "POST", "/api/v1/teams//archive", false },
    { "get", "/api/v1/teams", true },
    { "PUT", "/api/v1/teams", true },
    { "GET", "/api/v1/setup", true },
    { "OPTIONS", "/api/v1/teams", true },
};

START_TEST(what_is_not_in_the_table_is_not_found)
{
    struct span id;
    bool knows_path;

    ck_assert_ptr_null(
        api_find(strangers[_i].method, span_from(strangers[_i].path), &id, &knows_path));
    ck_assert_int_eq(knows_path, strangers[_i].knows_path);
}
END_TEST

START_TEST(head_is_served_as_get)
{
    struct span id;
    bool knows_path;

    ck_assert_ptr_eq(api_find("HEAD", SPAN("/healthz"), &id, &knows_path),
                     api_find("GET", SPAN("/healthz"), &id, &knows_path));
}
END_TEST

/* --- problems --------------------------------------------------------------------------------- */

START_TEST(a_problem_says_all_it_must)
{
    const struct problem problem = { .status = TG_CONFLICT,
                                     .detail = "a team of that \"name\" exists",
                                     .instance = SPAN("/api/v1/teams"),
                                     .request_id = "req_1",
                                     .pointer = "/name" };
    AUTO(buf) out = { 0 };

    buf_init(&out, 4096);
    problem_write(&problem, &out);
    buf_put_byte(&out, '\0');
    ck_assert_str_eq(
        buf_span(&out).ptr,
        "{\"type\":\"/problems/conflict\",\"title\":\"It exists already.\","
        "\"status\":409,\"detail\":\"a team of that \\\"name\\\" exists\","
        "\"instance\":\"/api/v1/teams\",\"code\":\"conflict\",\"request_id\":\"req_1\","
        "\"errors\":[{\"pointer\":\"/name\","
        "\"detail\":\"a team of that \\\"name\\\" exists\"}]}");
}
END_TEST

START_TEST(every_code_is_explained)
{
    for (int status = TG_OK + 1; status < TG_STATUS_COUNT; status++) {
        AUTO(buf) out = { 0 };

        buf_init(&out, 4096);
        ck_assert(problem_explain(span_from(tg_status_info((enum tg_status)status)->code), &out));
        ck_assert(buf_len(&out) > 0);
    }
    ck_assert(!problem_explain(SPAN("ok"), &(struct buf){ 0 }));
}
END_TEST

/* --- what a request brings -------------------------------------------------------------------- */

struct brought {
    struct span text;
    struct span json;
    int64_t number;
    int64_t time_ms;
    int64_t money;
    bool flag;
    bool has_text;
};

static struct brought brought;

static const struct input_field fields[] = {
    { .name = "text",
      .kind = INPUT_TEXT,
      .may_be_null = true,
      .ret_has = &brought.has_text,
      .ret = &brought.text },
    { .name = "json", .kind = INPUT_JSON, .ret = &brought.json },
    { .name = "number", .kind = INPUT_INT, .ret = &brought.number, .min = -5, .max = 100 },
    { .name = "time", .kind = INPUT_TIME, .may_be_null = true, .ret = &brought.time_ms },
    { .name = "money", .kind = INPUT_MONEY, .ret = &brought.money },
    { .name = "flag", .kind = INPUT_BOOL, .ret = &brought.flag },
};

static enum tg_status read_body(struct api_call *call, const char *body)
{
    brought = (struct brought){ .number = 7 };
    *call = (struct api_call){ 0 };
    arena_init(&call->arena, 1024, 65536);
    ck_assert_int_eq(json_parse(span_from(body), &call->body, &call->err), TG_OK);
    return input_body(call, fields, INPUT_COUNT(fields));
}

static void end(struct api_call *call)
{
    cJSON_Delete(call->body);
    arena_fini(&call->arena);
}

START_TEST(a_body_is_read_by_its_table)
{
    struct api_call call;

    ck_assert_int_eq(read_body(&call, "{\"text\":\"a\",\"json\":{\"b\":[1]},\"number\":-5,"
                                      "\"time\":\"2026-11-24\",\"money\":\"1.5\",\"flag\":true}"),
                     TG_OK);
    ck_assert(span_equal(brought.text, SPAN("a")));
    ck_assert(span_equal(brought.json, SPAN("{\"b\":[1]}")));
    ck_assert_int_eq(brought.number, -5);
    ck_assert_int_eq(brought.time_ms, INT64_C(1795478400000));
    ck_assert_int_eq(brought.money, 1500000000);
    ck_assert(brought.flag);
    end(&call);
}
END_TEST

START_TEST(what_is_absent_stays_and_null_is_empty)
{
    struct api_call call;

    ck_assert_int_eq(read_body(&call, "{}"), TG_OK);
    ck_assert(!brought.has_text);
    ck_assert_int_eq(brought.number, 7);
    end(&call);
    ck_assert_int_eq(read_body(&call, "{\"text\":null,\"time\":null}"), TG_OK);
    ck_assert(brought.has_text);
    ck_assert_uint_eq(brought.text.len, 0);
    end(&call);
}
END_TEST

static const struct {
    const char *body;
    const char *pointer;
} wrong_bodies[] = {
    { "{\"txet\":\"a\"}", "/txet" },        { "{\"text\":1}", "/text" },
    { "{\"json\":\"{}\"}", "/json" },       { "{\"json\":null}", "/json" },
    { "{\"number\":101}", "/number" },      { "{\"number\":-6}", "/number" },
    { "{\"number\":1.5}", "/number" },      { "{\"number\":1e300}", "/number" },
    { "{\"number\":\"1\"}", "/number" },    { "{\"number\":null}", "/number" },
    { "{\"time\":\"tomorrow\"}", "/time" }, { "{\"time\":1}", "/time" },
    { "{\"money\":1.5}", "/money" },        { "{\"money\":\"1.0000000001\"}", "/money" },
    { "{\"money\":\"1e3\"}", "/money" },    { "{\"flag\":1}", "/flag" },
    { "{\"flag\":\"true\"}", "/flag" },
};

START_TEST(a_wrong_member_is_named)
{
    struct api_call call;

    ck_assert_int_eq(read_body(&call, wrong_bodies[_i].body), TG_INVALID);
    ck_assert_str_eq(call.pointer, wrong_bodies[_i].pointer);
    ck_assert(call.err.text[0] != '\0');
    end(&call);
}
END_TEST

START_TEST(a_needed_member_must_be_there)
{
    const struct input_field needed = {
        .name = "text", .kind = INPUT_TEXT, .is_required = true, .ret = &brought.text
    };
    struct api_call call = { 0 };

    ck_assert_int_eq(input_body(&call, &needed, 1), TG_INVALID);
    ck_assert_str_eq(call.pointer, "/text");
}
END_TEST

static enum tg_status read_query(struct api_call *call, const struct daemon_param *params,
                                 int count)
{
    static struct daemon_request request;

    brought = (struct brought){ .number = 7 };
    request = (struct daemon_request){ .params = params, .param_count = count };
    *call = (struct api_call){ .request = &request };
    arena_init(&call->arena, 1024, 65536);
    return input_query(call, fields, INPUT_COUNT(fields));
}

START_TEST(a_query_is_read_by_its_table)
{
    const struct daemon_param params[] = {
        { SPAN("text"), SPAN("a b") },
        { SPAN("number"), SPAN("100") },
        { SPAN("flag"), SPAN("true") },
        { SPAN("time"), SPAN("2026-11-24T00:00:00Z") },
    };
    struct api_call call;

    ck_assert_int_eq(read_query(&call, params, 4), TG_OK);
    ck_assert(span_equal(brought.text, SPAN("a b")));
    ck_assert_int_eq(brought.number, 100);
    ck_assert(brought.flag);
    ck_assert_int_eq(brought.time_ms, INT64_C(1795478400000));
    end(&call);
}
END_TEST

static const struct {
    struct daemon_param params[2];
    int count;
    const char *pointer;
} wrong_queries[] = {
    { { { SPAN("nmuber"), SPAN("1") } }, 1, "?nmuber" },
    { { { SPAN("number"), SPAN("101") } }, 1, "?number" },
    { { { SPAN("number"), SPAN("1x") } }, 1, "?number" },
    { { { SPAN("number"), SPAN("") } }, 1, "?number" },
    { { { SPAN("flag"), SPAN("1") } }, 1, "?flag" },
    { { { SPAN("time"), SPAN("now") } }, 1, "?time" },
    { { { SPAN("number"), SPAN("1") }, { SPAN("number"), SPAN("1") } }, 2, "?number" },
};

START_TEST(a_wrong_parameter_is_named)
{
    struct api_call call;

    ck_assert_int_eq(read_query(&call, wrong_queries[_i].params, wrong_queries[_i].count),
                     TG_INVALID);
    ck_assert_str_eq(call.pointer, wrong_queries[_i].pointer);
    end(&call);
}
END_TEST

#define ROWS(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *suite(void)
{
    Suite *made = suite_create("admin/api");
    TCase *routes = tcase_create("routes");
    TCase *problems = tcase_create("problems");
    TCase *input = tcase_create("input");

    tcase_add_test(routes, each_route_is_found_by_its_own_path);
    tcase_add_test(routes, a_route_without_a_token_is_one_of_few);
    tcase_add_loop_test(routes, what_is_not_in_the_table_is_not_found, 0, ROWS(strangers));
    tcase_add_test(routes, head_is_served_as_get);
    tcase_add_test(problems, a_problem_says_all_it_must);
    tcase_add_test(problems, every_code_is_explained);
    tcase_add_test(input, a_body_is_read_by_its_table);
    tcase_add_test(input, what_is_absent_stays_and_null_is_empty);
    tcase_add_loop_test(input, a_wrong_member_is_named, 0, ROWS(wrong_bodies));
    tcase_add_test(input, a_needed_member_must_be_there);
    tcase_add_test(input, a_query_is_read_by_its_table);
    tcase_add_loop_test(input, a_wrong_parameter_is_named, 0, ROWS(wrong_queries));
    suite_add_tcase(made, routes);
    suite_add_tcase(made, problems);
    suite_add_tcase(made, input);
    return made;
}
