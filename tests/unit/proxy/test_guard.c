/* Goal: a target opens the door it names and no other, a credential is found wherever a client may
 * put it, and a request that has been here is known. Method: tables of targets and heads. */
#include "proxy/guard.h"

#include "support/suites.h"

#include <string.h>

struct target_case {
    enum http_method method;
    const char *target;
    enum tg_status status;
    enum guard_door door;
    const char *prefix;
    const char *rest;
    const char *query;
};

static const struct target_case targets[] = {
    { METHOD_POST, "/v1/chat/completions", TG_OK, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/chat/completions", TG_OK, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/openai/v1/chat/completions", TG_OK, GUARD_CALL, "openai", "", "" },
    { METHOD_POST, "/openai/chat/completions?api-version=1", TG_OK, GUARD_CALL, "openai", "",
      "api-version=1" },
    { METHOD_POST, "/v1/messages?beta=true", TG_OK, GUARD_CALL, "", "", "beta=true" },
    { METHOD_POST, "/messages", TG_OK, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/anthropic/v1/messages", TG_OK, GUARD_CALL, "anthropic", "", "" },
    { METHOD_POST, "/anthropic/messages", TG_OK, GUARD_CALL, "anthropic", "", "" },
    { METHOD_POST, "/v1/messages/count_tokens", TG_OK, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/messages/count_tokens", TG_OK, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/anthropic/v1/messages/count_tokens", TG_OK, GUARD_CALL, "anthropic", "", "" },
    { METHOD_GET, "/v1/messages", TG_METHOD_NOT_ALLOWED, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/v1/messages/batches", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/v1/messages/", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_GET, "/", TG_OK, GUARD_ROOT, "", "", "" },
    { METHOD_HEAD, "/?a=b", TG_OK, GUARD_ROOT, "", "", "a=b" },
    { METHOD_POST, "/", TG_METHOD_NOT_ALLOWED, GUARD_ROOT, "", "", "" },
    { METHOD_GET, "/v1/models", TG_OK, GUARD_MODELS, "", "", "" },
    { METHOD_GET, "/v1/models/", TG_OK, GUARD_MODELS, "", "", "" },
    { METHOD_GET, "/groq/v1/models", TG_OK, GUARD_MODELS, "groq", "", "" },
    { METHOD_GET, "/v1/models/gpt-4o", TG_OK, GUARD_MODEL, "", "gpt-4o", "" },
    { METHOD_GET, "/v1/models/openai/gpt-4o", TG_OK, GUARD_MODEL, "", "openai/gpt-4o", "" },
    { METHOD_GET, "/v1/models/a%2Fb%3a%40%7E%41", TG_OK, GUARD_MODEL, "", "a/b:@~A", "" },
    { METHOD_POST, "/v1/models", TG_METHOD_NOT_ALLOWED, GUARD_MODELS, "", "", "" },
    { METHOD_GET, "/api/v1/key", TG_OK, GUARD_OWN_KEY, "", "", "" },
    { METHOD_POST, "/api/v1/key", TG_METHOD_NOT_ALLOWED, GUARD_OWN_KEY, "", "", "" },
    { METHOD_GET, "/v1/chat/completions", TG_METHOD_NOT_ALLOWED, GUARD_CALL, "", "", "" },
    /* escapes */
    { METHOD_GET, "/v1/models/a%00", TG_INVALID, GUARD_MODEL, "", "", "" },
    { METHOD_GET, "/v1/models/a%2", TG_INVALID, GUARD_MODEL, "", "", "" },
    { METHOD_GET, "/v1/models/a%", TG_INVALID, GUARD_MODEL, "", "", "" },
    { METHOD_GET, "/v1/models/a%zz", TG_INVALID, GUARD_MODEL, "", "", "" },
    { METHOD_GET, "/v1/models/a%25", TG_INVALID, GUARD_MODEL, "", "", "" },
    { METHOD_GET, "/v1/models/a%ff", TG_INVALID, GUARD_MODEL, "", "", "" },
    { METHOD_POST, "/v1/chat%2fcompletions", TG_INVALID, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/%2e%2e/v1/chat/completions", TG_INVALID, GUARD_CALL, "", "", "" },
    { METHOD_GET, "/a%41/models/b", TG_INVALID, GUARD_CALL, "", "", "" },
    /* unknown */
    { METHOD_GET, "/v1", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_GET, "/v1/modelsx", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_POST, "//v1/chat/completions", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/v1/v1/chat/completions", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/v1x/chat/completions", TG_OK, GUARD_CALL, "v1x", "", "" },
    { METHOD_POST, "/OpenAI/chat/completions", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/a/b/chat/completions", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/../chat/completions", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_POST, "/v1/chat/completions/", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
    { METHOD_GET, "/admin", TG_NO_ROUTE, GUARD_CALL, "", "", "" },
};

START_TEST(a_target_opens_its_door)
{
    const struct target_case *c = &targets[_i];
    struct http_head head = { .method = c->method, .target = span_from(c->target) };
    struct guard_path path;
    struct arena arena;
    enum tg_status status;

    arena_init(&arena, 64, 4096);
    status = guard_match(&head, &arena, &path);
    ck_assert_msg(status == c->status, "%s: %s", c->target, tg_status_info(status)->name);
    if (status == TG_OK) {
        ck_assert_msg(path.door == c->door, "%s: door %d", c->target, (int)path.door);
        ck_assert(span_equal(path.prefix, span_from(c->prefix)));
        ck_assert(span_equal(path.rest, span_from(c->rest)));
        ck_assert(span_equal(path.query, span_from(c->query)));
        ck_assert_int_eq(path.dialect != NULL, c->door == GUARD_CALL);
    }
    arena_fini(&arena);
}
END_TEST

/* --- Google's paths --- */

struct google_case {
    int method;
    const char *target;
    enum tg_status status;
    const char *dialect; /* NULL: none */
    const char *prefix;
    const char *model;
    bool asks_stream;
    const char *voice; /* NULL: OpenAI's */
};

#define GENERATE "gemini-generate"

static const struct google_case googles[] = {
    { METHOD_POST, "/v1beta/models/m:generateContent", TG_OK, GENERATE, "", "m", false, GENERATE },
    { METHOD_POST, "/v1beta/models/m:streamGenerateContent?alt=sse", TG_OK, GENERATE, "", "m", true,
      GENERATE },
    { METHOD_POST, "/v1beta/models/m:countTokens", TG_OK, "gemini-count", "", "m", false,
      "gemini-count" },
    { METHOD_POST, "/v1beta/models/m:embedContent", TG_OK, "gemini-embed", "", "m", false,
      "gemini-embed" },
    { METHOD_POST, "/v1beta/models/m:batchEmbedContents", TG_OK, "gemini-embed-batch", "", "m",
      false, "gemini-embed-batch" },
    { METHOD_POST, "/v1/models/m:generateContent", TG_OK, GENERATE, "", "m", false, GENERATE },
    { METHOD_POST, "/models/m:generateContent", TG_OK, GENERATE, "", "m", false, GENERATE },
    { METHOD_POST, "/google/v1beta/models/m:generateContent", TG_OK, GENERATE, "google", "m", false,
      GENERATE },
    { METHOD_POST, "/google/models/m:countTokens", TG_OK, "gemini-count", "google", "m", false,
      "gemini-count" },
    { METHOD_POST, "/v1beta/tunedModels/mine:generateContent", TG_OK, GENERATE, "",
      "tunedModels/mine", false, GENERATE },
    /* the model: named with its provider, with escapes, with its collection twice */
    { METHOD_POST, "/v1beta/models/google/m:generateContent", TG_OK, GENERATE, "", "google/m",
      false, GENERATE },
    { METHOD_POST, "/v1beta/models/google%2Fm:generateContent", TG_OK, GENERATE, "", "google/m",
      false, GENERATE },
    { METHOD_POST, "/v1beta/models/m%3AgenerateContent", TG_OK, GENERATE, "", "m", false,
      GENERATE },
    { METHOD_POST, "/v1beta/models/%6D%2d1%3acountTokens", TG_OK, "gemini-count", "", "m-1", false,
      "gemini-count" },
    { METHOD_POST, "/v1beta/models/a%3Ab%40c:generateContent", TG_OK, GENERATE, "", "a:b@c", false,
      GENERATE },
    { METHOD_POST, "/v1beta/models/models%2Fm:generateContent", TG_OK, GENERATE, "", "models/m",
      false, GENERATE },
    { METHOD_POST, "/v1beta/tunedModels/a%2Fb:countTokens", TG_OK, "gemini-count", "",
      "tunedModels/a/b", false, "gemini-count" },
    { METHOD_POST, "/v1beta/models/m%00:generateContent", TG_INVALID, NULL, "", "", false,
      GENERATE },
    { METHOD_POST, "/v1beta/models/m%25:generateContent", TG_INVALID, NULL, "", "", false,
      GENERATE },
    { METHOD_POST, "/v1beta/models/m%2:generateContent", TG_INVALID, NULL, "", "", false,
      GENERATE },
    { METHOD_POST, "/v1beta%2Fmodels/m:generateContent", TG_INVALID, NULL, "", "", false, NULL },
    { METHOD_POST, "/v1beta/models%2Fm:generateContent", TG_INVALID, NULL, "", "", false, NULL },
    /* what another server could read as another path or verb */
    { METHOD_POST, "/v1beta/models/../m:generateContent", TG_INVALID, NULL, "", "", false,
      GENERATE },
    { METHOD_POST, "/v1beta/models/%2E%2e%2fm:generateContent", TG_INVALID, NULL, "", "", false,
      GENERATE },
    { METHOD_POST, "/v1beta/models/m:generateContent:countTokens", TG_INVALID, NULL, "", "", false,
      GENERATE },
    { METHOD_POST, "/v1beta/models/m%3AgenerateContent%3Ax:countTokens", TG_INVALID, NULL, "", "",
      false, GENERATE },
    { METHOD_POST, "/v1beta/models/generateContent:x:countTokens", TG_INVALID, NULL, "", "", false,
      GENERATE },
    /* unknown */
    { METHOD_POST, "/v1beta/models/m:predict", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/models/m:", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/models/m", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/models/:generateContent", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/models/generateContent", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/models/m:generatecontent", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/models/m:generateContent/", TG_NO_ROUTE, NULL, "", "", false,
      GENERATE },
    { METHOD_POST, "/v1beta/m:generateContent", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/cachedContents", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/chat/completions", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/v1/models/m:generateContent", TG_NO_ROUTE, NULL, "", "", false,
      GENERATE },
    { METHOD_POST, "/v1alpha/models/m:generateContent", TG_OK, GENERATE, "v1alpha", "m", false,
      GENERATE },
    { METHOD_DELETE, "/v1beta/models/m:generateContent", TG_METHOD_NOT_ALLOWED, NULL, "", "", false,
      GENERATE },
    /* OpenAI's dialect under Google's address */
    { METHOD_POST, "/v1beta/openai/chat/completions", TG_OK, "openai-chat", "", "", false,
      "openai-chat" },
    { METHOD_POST, "/google/v1beta/openai/chat/completions", TG_OK, "openai-chat", "google", "",
      false, "openai-chat" },
    { METHOD_GET, "/v1beta/openai/chat/completions", TG_METHOD_NOT_ALLOWED, "openai-chat", "", "",
      false, "openai-chat" },
    { METHOD_POST, "/v1beta/openaix/chat/completions", TG_NO_ROUTE, NULL, "", "", false, GENERATE },
    { METHOD_POST, "/v1beta/openai/other", TG_NO_ROUTE, NULL, "", "", false, NULL },
};

static const char *name_of(const struct tg_dialect *dialect)
{
    return dialect == NULL ? "none" : dialect->name;
}

START_TEST(a_path_of_googles_says_model_and_verb)
{
    const struct google_case *c = &googles[_i];
    struct http_head head = { .method = c->method, .target = span_from(c->target) };
    struct guard_path path;
    struct arena arena;
    enum tg_status status;

    arena_init(&arena, 64, 4096);
    status = guard_match(&head, &arena, &path);
    ck_assert_msg(status == c->status, "%s: %s", c->target, tg_status_info(status)->name);
    ck_assert_msg(strcmp(name_of(path.voice), c->voice == NULL ? "none" : c->voice) == 0,
                  "%s: voice %s", c->target, name_of(path.voice));
    if (status == TG_OK) {
        ck_assert_int_eq(path.door, GUARD_CALL);
        ck_assert_str_eq(name_of(path.dialect), c->dialect);
        ck_assert(span_equal(path.prefix, span_from(c->prefix)));
        ck_assert_msg(
            span_equal(span_of(path.call.model.ptr, path.call.model.len), span_from(c->model)),
            "%s: %.*s", c->target, (int)path.call.model.len, path.call.model.ptr);
        ck_assert_int_eq(path.call.asks_stream, c->asks_stream);
    }
    arena_fini(&arena);
}
END_TEST

static const struct {
    const char *target;
    enum guard_door door;
    const char *prefix;
    const char *rest;
    bool is_google;
} lists[] = {
    { "/v1beta/models", GUARD_MODELS, "", "", true },
    { "/v1beta/models/", GUARD_MODELS, "", "", true },
    { "/v1beta/models?pageSize=5", GUARD_MODELS, "", "", true },
    { "/google/v1beta/models", GUARD_MODELS, "google", "", true },
    { "/v1beta/models/gemini-2.5-flash", GUARD_MODEL, "", "gemini-2.5-flash", true },
    { "/v1beta/models/m:generateContent", GUARD_MODEL, "", "m:generateContent", true },
    { "/v1beta/openai/models", GUARD_MODELS, "", "", false },
    { "/v1beta/openai/models/gemini-2.5-flash", GUARD_MODEL, "", "gemini-2.5-flash", false },
    { "/v1/models", GUARD_MODELS, "", "", false },
};

START_TEST(a_list_comes_in_the_shape_of_its_path)
{
    struct http_head head = { .method = METHOD_GET, .target = span_from(lists[_i].target) };
    struct guard_path path;
    struct arena arena;

    arena_init(&arena, 64, 4096);
    ck_assert_int_eq(guard_match(&head, &arena, &path), TG_OK);
    ck_assert_int_eq(path.door, lists[_i].door);
    ck_assert(span_equal(path.prefix, span_from(lists[_i].prefix)));
    ck_assert(span_equal(path.rest, span_from(lists[_i].rest)));
    ck_assert_str_eq(name_of(path.voice), lists[_i].is_google ? GENERATE : "none");
    arena_fini(&arena);
}
END_TEST

START_TEST(an_upgrade_is_turned_down)
{
    static const char *const paths[] = { "/v1/chat/completions", "/v1/realtime", "/",
                                         "/v1beta/models/m:generateContent" };
    struct http_head head = { .method = _i == 3 ? METHOD_POST : METHOD_GET, .wants_upgrade = true };
    struct guard_path path;
    struct arena arena;

    arena_init(&arena, 64, 4096);
    head.target = span_from(paths[_i]);
    ck_assert_int_eq(guard_match(&head, &arena, &path), TG_UPGRADE_REQUIRED);
    arena_fini(&arena);
}
END_TEST

/* --- credentials --- */

static void put(struct http_head *head, const char *name, const char *value)
{
    head->fields[head->field_count++] =
        (struct http_field){ .name = span_from(name), .value = span_from(value) };
}

struct credential_case {
    const char *fields[5][2];
    const char *query;
    const char *expected;
};

static const struct credential_case credentials[] = {
    { { { "Authorization", "Bearer tgk_a" } }, "", "tgk_a" },
    { { { "authorization", "bearer  tgk_a" } }, "", "tgk_a" },
    { { { "Authorization", "Basic dXNlcg==" } }, "", "" },
    { { { "x-api-key", "tgk_b" } }, "", "tgk_b" },
    { { { "X-Goog-Api-Key", "tgk_c" } }, "", "tgk_c" },
    { { { "api-key", "tgk_d" } }, "", "tgk_d" },
    { { { NULL, NULL } }, "alt=sse&key=tgk_e&x=1", "tgk_e" },
    { { { NULL, NULL } }, "akey=tgk_e", "" },
    { { { "Authorization", "Bearer sk-1" }, { "x-api-key", "tgk_b" } }, "", "tgk_b" },
    { { { "Authorization", "Bearer sk-1" }, { "x-api-key", "sk-2" } }, "key=sk-3", "sk-1" },
    { { { "x-api-key", "sk-2" }, { "api-key", "sk-4" } }, "key=tgk_e", "tgk_e" },
    { { { "api-key", "tgk_d" }, { "Authorization", "Bearer tgk_a" } }, "key=tgk_e", "tgk_a" },
    { { { NULL, NULL } }, "", "" },
};

START_TEST(a_credential_is_found_in_the_order_of_its_forms)
{
    const struct credential_case *c = &credentials[_i];
    struct http_head head = { .field_count = 0 };

    for (int i = 0; i < 5 && c->fields[i][0] != NULL; i++)
        put(&head, c->fields[i][0], c->fields[i][1]);
    ck_assert(span_equal(guard_credential(&head, span_from(c->query)), span_from(c->expected)));
}
END_TEST

/* --- who reads our answers --- */

struct caller_case {
    enum http_method method;
    const char *target;
    const char *field; /* NULL: none */
    const char *dialect;
};

static const struct caller_case callers[] = {
    { METHOD_POST, "/v1/chat/completions", NULL, "openai-chat" },
    { METHOD_POST, "/v1/messages", NULL, "anthropic-messages" },
    { METHOD_POST, "/x/messages", NULL, "anthropic-messages" },
    { METHOD_GET, "/v1/messages", NULL, "anthropic-messages" },
    { METHOD_POST, "/v1/messages/count_tokens", NULL, "anthropic-count-tokens" },
    { METHOD_POST, "/v1/chat/completions", "anthropic-version", "openai-chat" },
    { METHOD_GET, "/v1/models", "Anthropic-Version", "anthropic-messages" },
    { METHOD_GET, "/v1/nowhere", "anthropic-version", "anthropic-messages" },
    { METHOD_GET, "/v1/models", "x-api-key", NULL },
    { METHOD_GET, "/v1/models", NULL, NULL },
};

START_TEST(a_caller_is_known_by_path_and_version)
{
    const struct caller_case *c = &callers[_i];
    struct http_head head = { .method = c->method, .target = span_from(c->target) };
    const struct tg_dialect *dialect;
    struct guard_path path;
    struct arena arena;

    if (c->field != NULL)
        put(&head, c->field, "2023-06-01");
    arena_init(&arena, 64, 4096);
    if (guard_match(&head, &arena, &path) == TG_OK)
        ck_assert_int_ne(path.door, GUARD_ROOT);
    dialect = guard_caller(&head, &path);
    ck_assert_int_eq(dialect != NULL, c->dialect != NULL);
    if (dialect != NULL)
        ck_assert_str_eq(dialect->name, c->dialect);
    arena_fini(&arena);
}
END_TEST

START_TEST(a_caller_without_a_head_is_not_known)
{
    const struct guard_path path = { .dialect = NULL };

    ck_assert_ptr_null(guard_caller(NULL, &path));
}
END_TEST

/* --- hops --- */

START_TEST(a_request_that_has_been_here_is_known)
{
    struct http_head head = { .field_count = 0 };

    ck_assert_int_eq(guard_check_hops(&head, SPAN("me")), TG_OK);
    put(&head, "X-Tollgate-Hop", "a, b");
    ck_assert_int_eq(guard_check_hops(&head, SPAN("me")), TG_OK);
    ck_assert_int_eq(guard_check_hops(&head, SPAN("b")), TG_LOOP);
    put(&head, "x-tollgate-hop", "c,d");
    ck_assert_int_eq(guard_check_hops(&head, SPAN("me")), TG_OK);
    ck_assert_int_eq(guard_check_hops(&head, SPAN("d")), TG_LOOP);
    put(&head, "x-tollgate-hop", "e");
    ck_assert_int_eq(guard_check_hops(&head, SPAN("me")), TG_LOOP);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("guard");
    TCase *tcase = tcase_create("guard");

    tcase_add_loop_test(tcase, a_target_opens_its_door, 0, sizeof(targets) / sizeof(targets[0]));
    tcase_add_loop_test(tcase, an_upgrade_is_turned_down, 0, 4);
    tcase_add_loop_test(tcase, a_path_of_googles_says_model_and_verb, 0,
                        sizeof(googles) / sizeof(googles[0]));
    tcase_add_loop_test(tcase, a_list_comes_in_the_shape_of_its_path, 0,
                        sizeof(lists) / sizeof(lists[0]));
    tcase_add_loop_test(tcase, a_credential_is_found_in_the_order_of_its_forms, 0,
                        sizeof(credentials) / sizeof(credentials[0]));
    tcase_add_loop_test(tcase, a_caller_is_known_by_path_and_version, 0,
                        sizeof(callers) / sizeof(callers[0]));
    tcase_add_test(tcase, a_caller_without_a_head_is_not_known);
    tcase_add_test(tcase, a_request_that_has_been_here_is_known);
    suite_add_tcase(all, tcase);
    return all;
}
