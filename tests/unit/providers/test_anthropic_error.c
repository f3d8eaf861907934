/* Goal: an error of ours is JSON that Anthropic's clients read, each status under the type that
 * they act upon, a refusal with its numbers. Method: exact bodies; then every room size and every
 * status, each body judged by cJSON. */
#include "providers/anthropic_error.h"

#include "base/json.h"
#include "support/suites.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static struct tg_error error_of(enum tg_status status, const char *message)
{
    return (struct tg_error){
        .status = status,
        .message = { message, strlen(message) },
        .request_id = { "call_1", 6 },
    };
}

static const struct {
    enum tg_status status;
    const char *message;
    const char *body;
} bodies[] = {
    { TG_MODEL_NOT_FOUND, "No provider serves 'x'.",
      "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"No provider "
      "serves 'x'.\"},"
      "\"request_id\":\"call_1\"}" },
    { TG_UNAUTHENTICATED, "",
      "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"Incorrect "
      "API key "
      "provided.\"},\"request_id\":\"call_1\"}" },
    { TG_INVALID, "a\"b\n\xC3",
      "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"a\\\"b\\n?"
      "\"},"
      "\"request_id\":\"call_1\"}" },
    { TG_LIMIT_REACHED, "Used up.",
      "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Used "
      "up.\",\"details\":{"
      "\"error_code\":\"enforced_spend_limit_reached\"}},\"request_id\":\"call_1\"}" },
};

START_TEST(writes_the_envelope)
{
    const struct tg_error error = error_of(bodies[_i].status, bodies[_i].message);
    char out[512];
    const size_t len = anthropic_error_write(&error, out, sizeof(out));

    ck_assert_msg(len == strlen(bodies[_i].body) && memcmp(out, bodies[_i].body, len) == 0, "%.*s",
                  (int)len, out);
}
END_TEST

/* As the SDK's classes and the reference of refusals have them. */
static const struct {
    enum tg_status status;
    const char *type;
} types[] = {
    { TG_INVALID, "invalid_request_error" },
    { TG_UNAUTHENTICATED, "authentication_error" },
    { TG_FORBIDDEN, "permission_error" },
    { TG_NO_ROUTE, "not_found_error" },
    { TG_MODEL_NOT_FOUND, "not_found_error" },
    { TG_METHOD_NOT_ALLOWED, "invalid_request_error" },
    { TG_TOO_LARGE, "request_too_large" },
    { TG_UNPRICED, "invalid_request_error" },
    { TG_RATE_LIMITED, "rate_limit_error" },
    { TG_LIMIT_REACHED, "rate_limit_error" },
    { TG_INTERNAL, "api_error" },
    { TG_UPSTREAM_UNREACHABLE, "api_error" },
    { TG_UPSTREAM_INVALID, "api_error" },
    { TG_LEDGER_UNAVAILABLE, "api_error" },
    { TG_OVERLOADED, "overloaded_error" },
    { TG_DRAINING, "overloaded_error" },
    { TG_UPSTREAM_TIMEOUT, "timeout_error" },
    { TG_LOOP, "invalid_request_error" },
};

static cJSON *written(const struct tg_error *error)
{
    char out[2048];
    const size_t len = anthropic_error_write(error, out, sizeof(out));

    return cJSON_ParseWithLength(out, len);
}

static const cJSON *at(const cJSON *tree, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(tree, name);
}

START_TEST(each_status_has_its_type)
{
    const struct tg_error error = error_of(types[_i].status, "");
    AUTO_JSON tree = written(&error);

    ck_assert_str_eq(cJSON_GetStringValue(at(at(tree, "error"), "type")), types[_i].type);
}
END_TEST

START_TEST(every_status_gives_json)
{
    for (int status = 1; status < TG_STATUS_COUNT; status++) {
        const struct tg_error error = error_of((enum tg_status)status, "");
        AUTO_JSON tree = written(&error);

        ck_assert_ptr_nonnull(cJSON_GetStringValue(at(at(tree, "error"), "message")));
        ck_assert_str_eq(cJSON_GetStringValue(at(tree, "type")), "error");
    }
}
END_TEST

START_TEST(a_refusal_tells_its_numbers)
{
    const struct tg_refusal refusal = {
        .reason = TG_REFUSAL_SPENT,
        .limit_id = "lim_1",
        .scope = "team",
        .metric = "cost",
        .window = "month",
        .amount = "10",
        .spent = "9.5",
        .held = "0.25",
        .estimate = "1",
        .resets_at = "2026-12-01T00:00:00Z",
    };
    struct tg_error error = error_of(TG_LIMIT_REACHED, "Used up.");
    const cJSON *numbers;

    error.refusal = &refusal;
    {
        AUTO_JSON tree = written(&error);

        numbers = at(at(tree, "error"), "tollgate");
        ck_assert_str_eq(cJSON_GetStringValue(at(numbers, "limit_id")), "lim_1");
        ck_assert_str_eq(cJSON_GetStringValue(at(numbers, "reason")), "spent");
        ck_assert_str_eq(cJSON_GetStringValue(at(numbers, "spent")), "9.5");
        ck_assert_str_eq(cJSON_GetStringValue(at(at(at(tree, "error"), "details"), "error_code")),
                         "enforced_spend_limit_reached");
        ck_assert_str_eq(cJSON_GetStringValue(at(tree, "request_id")), "call_1");
    }
    error.status = TG_RATE_LIMITED;
    {
        AUTO_JSON tree = written(&error);

        ck_assert_ptr_nonnull(at(at(tree, "error"), "tollgate"));
        ck_assert_ptr_null(at(at(tree, "error"), "details"));
    }
}
END_TEST

START_TEST(stays_json_when_room_is_short)
{
    const struct tg_error error = error_of(TG_LIMIT_REACHED, "a\"\xC3\xB6\x01\n\xF0\x9F\x98\x80z");
    char full[512];
    const size_t full_len = anthropic_error_write(&error, full, sizeof(full));
    int written_count = 0;

    for (size_t cap = 0; cap <= full_len; cap++) {
        char *const out = malloc(cap + 1);
        size_t len;

        ck_assert_ptr_nonnull(out);
        len = anthropic_error_write(&error, out + 1, cap);
        ck_assert_uint_le(len, cap);
        if (len > 0) {
            AUTO_JSON tree = cJSON_ParseWithLength(out + 1, len);

            ck_assert_ptr_nonnull(tree);
            written_count++;
        }
        free(out);
    }
    ck_assert_int_gt(written_count, 10);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/anthropic_error");
    TCase *tc = tcase_create("anthropic_error");

    tcase_add_loop_test(tc, writes_the_envelope, 0, COUNT(bodies));
    tcase_add_loop_test(tc, each_status_has_its_type, 0, COUNT(types));
    tcase_add_test(tc, every_status_gives_json);
    tcase_add_test(tc, a_refusal_tells_its_numbers);
    tcase_add_test(tc, stays_json_when_room_is_short);
    suite_add_tcase(s, tc);
    return s;
}
