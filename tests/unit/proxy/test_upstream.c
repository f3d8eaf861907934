/* Goal: no field crosses the proxy that names this hop, who asks, who is billed or what a cache may
 * do, every other one does, and the body arrives as it was but for its edits. Method: every name of
 * the design's list, in odd letters; bodies with and without room in front, edits at both ends. */
#include "proxy/upstream.h"

#include "support/suites.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const request_stops[] = {
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Host",
    "Content-Length",
    "Expect",
    "Cookie",
    "Authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "Via",
    "X-Real-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "CF-Ray",
    "Accept-Encoding",
    "OpenAI-Organization",
    "OpenAI-Project",
    "x-goog-user-project",
    "X-Goog-FieldMask",
    "x-tollgate-anything",
    "x-request-id",
};
static const char *const request_passes[] = {
    "Accept",
    "Content-Type",
    "User-Agent",
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
    "x-stainless-lang",
    "x-claude-code-session",
    "HTTP-Referer",
    "X-Title",
    "Origin",
    "t",
    "hosts",
    "x-forwarded",
    "c",
    "idempotency-key",
    "x-api-keys",
    "via-x",
    "Accept-Language",
};
static const char *const answer_stops[] = {
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Content-Length",
    "Set-Cookie",
    "Set-Cookie2",
    "Alt-Svc",
    "OpenAI-Organization",
    "OpenAI-Project",
    "x-goog-user-project",
    "Server",
    "Location",
    "Strict-Transport-Security",
    "Clear-Site-Data",
    "NEL",
    "Report-To",
    "Content-Security-Policy",
    "Content-Security-Policy-Report-Only",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Via",
    "CF-Ray",
    "x-tollgate-cost-usd",
    "X-Accel-Redirect",
    "X-Accel-Buffering",
};
static const char *const answer_passes[] = {
    "Content-Type",
    "Date",
    "request-id",
    "Retry-After",
    "x-ratelimit-limit-requests",
    "openai-processing-ms",

    "anthropic-ratelimit-tokens-limit",
    "x-should-retry",
    "Content-Encoding",
    "Cache-Control",
    "ne",
    "X-Content-Type-Options",
};
#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

static struct http_head head;
static char base_path[] = "/v1";
static struct target target;
static struct tg_kind kind;
static struct tg_dialect dialect;
static struct upstream_edits changes;

static void setup(void)
{
    ck_assert_int_eq(secret_start(), TG_OK);
    head = (struct http_head){ .method = METHOD_POST };
    changes = (struct upstream_edits){ 0 };
    kind = (struct tg_kind){ .auth = TG_AUTH_BEARER, .speaks = { { .dialect = "openai-chat" } } };
    dialect = (struct tg_dialect){ .name = "openai-chat", .upstream_path = "/chat/completions" };
    target = (struct target){ .kind = &kind, .base_path = base_path };
    target.endpoint.authority = "api.example.com";
    ck_assert_int_eq(secret_init(&target.secret, SPAN("sk-theirs")), TG_OK);
}

static void teardown(void)
{
    secret_fini(&target.secret);
}

static void put(const char *name, const char *value)
{
    head.fields[head.field_count++] =
        (struct http_field){ .name = span_from(name), .value = span_from(value) };
}

/* The name with its letters in turn large and small. */
static const char *odd(const char *name)
{
    static char out[64];
    size_t i;

    for (i = 0; name[i] != '\0'; i++)
        out[i] =
            (char)(i % 2 == 0 ? toupper((unsigned char)name[i]) : tolower((unsigned char)name[i]));
    out[i] = '\0';
    return out;
}

/* Build a request with `room` bytes in front of the body. ret: terminated, the caller's */
static char *built(const struct upstream_request *request, const char *content, size_t room)
{
    struct buf front;
    struct buf body;
    char *text;

    buf_init(&body, 1 << 20);
    ck_assert_ptr_nonnull(buf_reserve(&body, room + strlen(content) + 1));
    body.head = body.tail = room;
    buf_put_text(&body, content);
    ck_assert_int_eq(upstream_begin(request, &front), TG_OK);
    ck_assert_int_eq(upstream_finish(&front, &changes, &body), TG_OK);
    ck_assert_ptr_null(front.data); /* the secret is gone with it */
    text = buf_take_string(&body);
    buf_fini(&body);
    ck_assert_ptr_nonnull(text);
    return text;
}

static struct upstream_request plain_request(void)
{
    return (struct upstream_request){ .head = &head,
                                      .target = &target,
                                      .dialect = &dialect,
                                      .query = SPAN_EMPTY,
                                      .installation_id = SPAN("inst_1") };
}

static char *built_head(void)
{
    const struct upstream_request request = plain_request();

    return built(&request, "{}", 4096);
}

START_TEST(a_request_field_of_this_hop_stays_here)
{
    char *text;

    put(odd(request_stops[_i]), "canary");
    text = built_head();
    ck_assert_msg(strstr(text, "canary") == NULL, "%s passed", request_stops[_i]);
    free(text);
}
END_TEST

START_TEST(any_other_request_field_passes)
{
    char expected[128];
    char *text;

    put(request_passes[_i], "canary");
    text = built_head();
    (void)snprintf(expected, sizeof(expected), "\r\n%s: canary\r\n", request_passes[_i]);
    ck_assert_msg(strstr(text, expected) != NULL, "%s did not pass", request_passes[_i]);
    free(text);
}
END_TEST

START_TEST(what_connection_names_stays_here)
{
    char *text;

    put("Connection", "keep-alive, X-Hop-One");
    put("X-Hop-One", "canary");
    put("connection", "x-hop-two");
    put("x-hop-two", "canary");
    put("x-other", "passes");
    text = built_head();
    ck_assert_ptr_null(strstr(text, "canary"));
    ck_assert_ptr_nonnull(strstr(text, "x-other: passes\r\n"));
    free(text);
}
END_TEST

START_TEST(a_request_is_whole)
{
    struct upstream_request request = plain_request();
    char *text;

    put("Content-Type", "application/json");
    put("x-tollgate-hop", "inst_a");
    put("x-tollgate-hop", "inst_b");
    request.query = SPAN("key=tgk_secret&api-version=2024&x=1&beta=true&alt=");
    text = built(&request, "{\"a\":1}", 4096);
    ck_assert_str_eq(text, "POST /v1/chat/completions?api-version=2024&beta=true HTTP/1.1\r\n"
                           "Host: api.example.com\r\n"
                           "Content-Type: application/json\r\n"
                           "Authorization: Bearer sk-theirs\r\n"
                           "x-tollgate-hop: inst_a, inst_b, inst_1\r\n"
                           "Accept-Encoding: identity\r\nContent-Length: 7\r\n\r\n"
                           "{\"a\":1}");
    free(text);
}
END_TEST

static const struct {
    const char *base_path;
    const char *path;
    const char *line;
} lines[] = {
    { "", "/v1/messages", "POST /v1/messages HTTP/1.1" },
    { "/v1", "/v1/messages", "POST /v1/messages HTTP/1.1" },
    { "/anthropic", "/v1/messages", "POST /anthropic/v1/messages HTTP/1.1" },
    { "/anthropic/v1", "/v1/messages", "POST /anthropic/v1/messages HTTP/1.1" },
    { "/v1", "/v1beta/x", "POST /v1/v1beta/x HTTP/1.1" },
    { "/nav1", "/v1/messages", "POST /nav1/v1/messages HTTP/1.1" },
    { "/chat", "/chat/completions", "POST /chat/chat/completions HTTP/1.1" },
    { "/v1", "/v1", "POST /v1/v1 HTTP/1.1" },
};

START_TEST(a_version_that_stands_on_both_sides_is_one)
{
    char base[32];
    char *text;

    strcpy(base, lines[_i].base_path);
    target.base_path = base;
    dialect.upstream_path = lines[_i].path;
    text = built_head();
    ck_assert_msg(strncmp(text, lines[_i].line, strlen(lines[_i].line)) == 0, "%s", text);
    free(text);
}
END_TEST

/* --- paths that name the model --- */

#define GENERATE "/v1beta/{resource}:generateContent"

static const struct {
    const char *base;
    const char *speech; /* NULL: none */
    const char *path, *stream_path;
    bool is_stream;
    const char *model;
    const char *expected;
} paths[] = {
    { "", NULL, GENERATE, NULL, false, "gemini-2.5-flash",
      "/v1beta/models/gemini-2.5-flash:generateContent" },
    { "", NULL, GENERATE, "/v1beta/{resource}:streamGenerateContent", true, "m~1._-",
      "/v1beta/models/m~1._-:streamGenerateContent" },
    { "", NULL, GENERATE, "/v1beta/{resource}:streamGenerateContent", false, "m",
      "/v1beta/models/m:generateContent" },
    { "", NULL, GENERATE, NULL, false, "tunedModels/mine",
      "/v1beta/tunedModels/mine:generateContent" },
    { "", NULL, GENERATE, NULL, false, "tunedModels/a/b",
      "/v1beta/tunedModels/a%2Fb:generateContent" },
    { "", NULL, GENERATE, NULL, false, "a/b:c?d#e%f @\xC3\xA9",
      "/v1beta/models/a%2Fb%3Ac%3Fd%23e%25f%20%40%C3%A9:generateContent" },
    { "", NULL, "/model/{model}/converse", NULL, false, "a/b:0", "/model/a%2Fb%3A0/converse" },
    { "/gate", NULL, GENERATE, NULL, false, "m", "/gate/v1beta/models/m:generateContent" },
    /* the version that the path begins with may stand in the address as well */
    { "/v1beta", NULL, GENERATE, NULL, false, "m", "/v1beta/models/m:generateContent" },
    { "/v1bet", NULL, GENERATE, NULL, false, "m", "/v1bet/v1beta/models/m:generateContent" },
    { "/v1beta/models", NULL, GENERATE, NULL, false, "m",
      "/v1beta/models/v1beta/models/m:generateContent" },
    { "", "/v1beta/openai", "/chat/completions", NULL, false, "m",
      "/v1beta/openai/chat/completions" },
    { "/v1beta", "/v1beta/openai", "/chat/completions", NULL, false, "m",
      "/v1beta/openai/chat/completions" },
    { "/v1", NULL, "/chat/completions", NULL, false, "m", "/v1/chat/completions" },
};

START_TEST(a_path_names_the_model_escaped)
{
    struct upstream_request request = plain_request();
    char base[32];
    char expected[256];
    char *text;

    strcpy(base, paths[_i].base);
    target.base_path = base;
    dialect.upstream_path = paths[_i].path;
    dialect.upstream_stream_path = paths[_i].stream_path;
    kind.speaks[0].path = paths[_i].speech;
    request.is_stream = paths[_i].is_stream;
    request.routed_model = span_from(paths[_i].model);
    request.query = SPAN("key=tgk_secret&alt=sse&fields=candidates");
    text = built(&request, "{}", 4096);
    (void)snprintf(expected, sizeof(expected), "POST %s?alt=sse HTTP/1.1\r\n", paths[_i].expected);
    text[strlen(expected)] = '\0';
    ck_assert_str_eq(text, expected);
    free(text);
}
END_TEST

START_TEST(a_secret_goes_in_the_field_of_its_kind)
{
    static const struct {
        enum tg_auth auth;
        const char *line;
    } forms[] = {
        { TG_AUTH_BEARER, "\r\nAuthorization: Bearer sk-theirs\r\n" },
        { TG_AUTH_X_API_KEY, "\r\nx-api-key: sk-theirs\r\n" },
        { TG_AUTH_X_GOOG_API_KEY, "\r\nx-goog-api-key: sk-theirs\r\n" },
        { TG_AUTH_API_KEY, "\r\napi-key: sk-theirs\r\n" },
    };
    char *text;

    for (int i = 0; i < COUNT(forms); i++) {
        kind.auth = forms[i].auth;
        text = built_head();
        ck_assert_ptr_nonnull(strstr(text, forms[i].line));
        free(text);
    }
    kind.auth = TG_AUTH_NONE;
    text = built_head();
    ck_assert_ptr_null(strstr(text, "sk-theirs"));
    free(text);
}
END_TEST

/* --- edits --- */

struct edit_case {
    const char *body;
    const char *expected;
    size_t start, end;
    const char *text;
    size_t model_start, model_end; /* 0, 0: stays */
    const char *model;
};

static const struct edit_case edits[] = {
    { "{\"a\":1}", "{\"x\":2,\"a\":1}", 1, 1, "\"x\":2,", 0, 0, "" },
    { "{\"a\":false}", "{\"a\":true}", 5, 10, "true", 0, 0, "" },
    { "{\"m\":\"p/q\"}", "{\"z\":0,\"m\":\"q\"}", 1, 1, "\"z\":0,", 5, 10, "\"q\"" },
    { "{\"m\":\"p/q\",\"a\":0}", "{\"m\":\"q\",\"a\":true}", 15, 16, "true", 5, 10, "\"q\"" },
    { "{\"m\":\"p\"}", "{\"m\":\"a longer name\"}", 0, 0, "", 5, 8, "\"a longer name\"" },
};

START_TEST(edits_change_what_they_name_with_and_without_room)
{
    static const size_t rooms[] = { 0, 1, 6, 100, 150, 180, 190, 200, 4096 };
    const struct edit_case *c = &edits[_i];
    struct tg_edit edit = { .start = c->start, .end = c->end, .text_len = strlen(c->text) };
    const struct upstream_request request = plain_request();
    char length[64];

    memcpy(edit.text, c->text, edit.text_len);
    changes.edits = &edit;
    changes.count = c->text[0] != '\0' ? 1 : 0;
    changes.model.start = c->model_start;
    changes.model.end = c->model_end;
    changes.model.text = span_from(c->model);
    (void)snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(c->expected));
    for (int i = 0; i < COUNT(rooms); i++) {
        char *text = built(&request, c->body, rooms[i]);
        const char *content = strstr(text, "\r\n\r\n");

        ck_assert_ptr_nonnull(content);
        ck_assert_str_eq(content + 4, c->expected);
        ck_assert_ptr_nonnull(strstr(text, length));
        ck_assert_int_eq(strncmp(text, "POST /v1", 8), 0);
        free(text);
    }
}
END_TEST

/* --- answers --- */

static char *answer_head(void)
{
    struct buf out;
    char *text;

    buf_init(&out, 1 << 16);
    upstream_put_answer_fields(
        &head,
        &(struct upstream_answer_extras){ .request_id = SPAN("call_1"), .dialect = &dialect },
        &out);
    text = buf_take_string(&out);
    buf_fini(&out);
    ck_assert_ptr_nonnull(text);
    return text;
}

START_TEST(an_answer_field_of_this_hop_stays_here)
{
    char *text;

    head.status = 200;
    put(odd(answer_stops[_i]), "canary");
    text = answer_head();
    ck_assert_msg(strstr(text, "canary") == NULL, "%s passed", answer_stops[_i]);
    free(text);
}
END_TEST

START_TEST(any_other_answer_field_passes)
{
    char expected[128];
    char *text;

    head.status = 429;
    put(answer_passes[_i], "canary");
    text = answer_head();
    (void)snprintf(expected, sizeof(expected), "\r\n%s: canary\r\n", answer_passes[_i]);
    ck_assert_msg(strstr(text, expected) != NULL, "%s did not pass", answer_passes[_i]);
    ck_assert_int_eq(strncmp(text, "HTTP/1.1 429 \r\n", 15), 0);
    free(text);
}
END_TEST

START_TEST(the_providers_request_id_goes_on_beside_ours)
{
    char *text;

    head.status = 200;
    put("X-Request-ID", "theirs");
    text = answer_head();
    ck_assert_str_eq(text, "HTTP/1.1 200 \r\nx-upstream-request-id: theirs\r\n"
                           "x-request-id: call_1\r\n");
    free(text);
}
END_TEST

START_TEST(our_id_stands_in_where_clients_look_for_the_providers)
{
    char *text;

    head.status = 200;
    dialect.flags = TG_DIALECT_REQUEST_ID;
    text = answer_head();
    ck_assert_str_eq(text, "HTTP/1.1 200 \r\nx-request-id: call_1\r\nrequest-id: call_1\r\n");
    free(text);
    put("Request-Id", "req_theirs");
    text = answer_head();
    ck_assert_str_eq(text, "HTTP/1.1 200 \r\nRequest-Id: req_theirs\r\nx-request-id: call_1\r\n");
    free(text);
}
END_TEST

static const struct {
    struct upstream_answer_end end;
    const char *expected;
} ends[] = {
    { { .content_length = 5, .keeps_alive = true }, "Content-Length: 5\r\n\r\n" },
    { { .content_length = 0 }, "Content-Length: 0\r\nConnection: close\r\n\r\n" },
    { { .content_length = -1, .keeps_alive = true, .is_stream = true },
      "X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n" },
    { { .content_length = -1, .is_http10 = true }, "Connection: close\r\n\r\n" },
    { { .content_length = 3, .is_http10 = true, .keeps_alive = true },
      "Content-Length: 3\r\nConnection: keep-alive\r\n\r\n" },
    { { .content_length = 1, .keeps_alive = true, .has_cost = true, .cost_nusd = 1500 },
      "x-tollgate-cost-usd: 0.0000015\r\nContent-Length: 1\r\n\r\n" },
};

START_TEST(a_head_ends_as_the_body_is_framed)
{
    struct buf out;
    char *text;

    buf_init(&out, 1024);
    upstream_put_answer_end(&ends[_i].end, &out);
    text = buf_take_string(&out);
    buf_fini(&out);
    ck_assert_str_eq(text, ends[_i].expected);
    free(text);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("upstream");
    TCase *tcase = tcase_create("upstream");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_request_field_of_this_hop_stays_here, 0, COUNT(request_stops));
    tcase_add_loop_test(tcase, any_other_request_field_passes, 0, COUNT(request_passes));
    tcase_add_test(tcase, what_connection_names_stays_here);
    tcase_add_test(tcase, a_request_is_whole);
    tcase_add_loop_test(tcase, a_version_that_stands_on_both_sides_is_one, 0, COUNT(lines));
    tcase_add_loop_test(tcase, a_path_names_the_model_escaped, 0, COUNT(paths));
    tcase_add_test(tcase, a_secret_goes_in_the_field_of_its_kind);
    tcase_add_loop_test(tcase, edits_change_what_they_name_with_and_without_room, 0, COUNT(edits));
    tcase_add_loop_test(tcase, an_answer_field_of_this_hop_stays_here, 0, COUNT(answer_stops));
    tcase_add_loop_test(tcase, any_other_answer_field_passes, 0, COUNT(answer_passes));
    tcase_add_test(tcase, the_providers_request_id_goes_on_beside_ours);
    tcase_add_test(tcase, our_id_stands_in_where_clients_look_for_the_providers);
    tcase_add_loop_test(tcase, a_head_ends_as_the_body_is_framed, 0, COUNT(ends));
    suite_add_tcase(all, tcase);
    return all;
}
