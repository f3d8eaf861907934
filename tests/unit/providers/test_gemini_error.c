/* Goal: an error of ours is JSON that Google's clients read, whatever the message holds and however
 * little room there is, and says whether trying again helps. Method: exact bodies; then every room
 * size, each body judged by cJSON; the rule by which Gemini's command line gives up. */
#include "providers/gemini_error.h"

#include "base/json.h"
#include "support/suites.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define ROOM         4096

static const struct tg_refusal team_month = {
    .reason = TG_REFUSAL_SPENT,
    .limit_id = "lim_1",
    .scope = "team",
    .metric = "cost",
    .window = "month",
    .amount = "10.5",
    .spent = "10.49",
    .held = "0",
    .estimate = "0.02",
    .resets_at = "2026-12-01T00:00:00Z",
};

static const struct tg_refusal key_minute = {
    .reason = TG_REFUSAL_RATE,
    .limit_id = "lim_2",
    .scope = "key",
    .metric = "requests",
    .window = "minute",
    .amount = "5",
    .spent = "5",
    .held = "0",
    .estimate = "1",
    .resets_at = "",
    .retry_after_s = 17,
};

static const struct {
    enum tg_status status;
    const char *message;
    const struct tg_refusal *refusal;
    const char *body;
} bodies[] = {
    { TG_MODEL_NOT_FOUND, "No provider serves 'x'.", NULL,
      "{\"error\":{\"code\":404,\"message\":\"No provider serves "
      "'x'.\",\"status\":\"NOT_FOUND\"}}" },
    { TG_UNAUTHENTICATED, "", NULL,
      "{\"error\":{\"code\":401,\"message\":\"Incorrect API key provided.\",\"status\":"
      "\"UNAUTHENTICATED\"}}" },
    { TG_INVALID, "a\"b\\c\nd\te\x01", NULL,
      "{\"error\":{\"code\":400,\"message\":\"a\\\"b\\\\c\\nd\\u0009e\\u0001\",\"status\":"
      "\"INVALID_ARGUMENT\"}}" },
    { TG_LEDGER_UNAVAILABLE, "x", NULL,
      "{\"error\":{\"code\":503,\"message\":\"x\",\"status\":\"UNAVAILABLE\"}}" },
    { TG_FORBIDDEN, "x", NULL,
      "{\"error\":{\"code\":403,\"message\":\"x\",\"status\":\"PERMISSION_DENIED\"}}" },
    { TG_INTERNAL, "x", NULL,
      "{\"error\":{\"code\":500,\"message\":\"x\",\"status\":\"INTERNAL\"}}" },
    { TG_UPSTREAM_TIMEOUT, "x", NULL,
      "{\"error\":{\"code\":504,\"message\":\"x\",\"status\":\"DEADLINE_EXCEEDED\"}}" },
    { TG_RATE_LIMITED, "x", NULL,
      "{\"error\":{\"code\":429,\"message\":\"x\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":["
      "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"1s\"}]}}" },
    { TG_RATE_LIMITED, "x", &key_minute,
      "{\"error\":{\"code\":429,\"message\":\"x\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":["
      "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"17s\"}],"
      "\"tollgate\":{\"limit_id\":\"lim_2\",\"scope\":\"key\",\"metric\":\"requests\","
      "\"window\":\"minute\",\"reason\":\"rate\",\"amount\":5,\"spent\":5,\"held\":0,"
      "\"estimate\":1,\"resets_at\":null}}}" },
    { TG_LIMIT_REACHED, "x", &team_month,
      "{\"error\":{\"code\":429,\"message\":\"x\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":["
      "{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\",\"violations\":[{"
      "\"subject\":\"lim_1\",\"quotaMetric\":\"cost\",\"quotaId\":\"TeamBudgetPerDay\","
      "\"quotaValue\":\"10.5\"}]}],"
      "\"tollgate\":{\"limit_id\":\"lim_1\",\"scope\":\"team\",\"metric\":\"cost\","
      "\"window\":\"month\",\"reason\":\"spent\",\"amount\":\"10.5\",\"spent\":\"10.49\","
      "\"held\":\"0\",\"estimate\":\"0.02\",\"resets_at\":\"2026-12-01T00:00:00Z\"}}}" },
    { TG_LIMIT_REACHED, "x", NULL,
      "{\"error\":{\"code\":429,\"message\":\"x\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":["
      "{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\",\"violations\":[{"
      "\"quotaId\":\"TeamBudgetPerDay\"}]}]}}" },
};

static size_t write_error(int i, char *out, size_t cap)
{
    const struct tg_error error = {
        .status = bodies[i].status,
        .message = { bodies[i].message, strlen(bodies[i].message) },
        .request_id = { "call_1", 6 },
        .refusal = bodies[i].refusal,
    };

    return gemini_error_write(&error, out, cap);
}

START_TEST(writes_the_envelope)
{
    char out[ROOM];
    const size_t len = write_error(_i, out, sizeof(out));

    ck_assert_msg(span_equal(span_of(out, len), span_from(bodies[_i].body)), "%.*s", (int)len, out);
}
END_TEST

START_TEST(stays_json_when_room_is_short)
{
    char full[ROOM];
    const size_t full_len = write_error(_i, full, sizeof(full));
    size_t least = 0;

    for (size_t cap = 0; cap <= full_len; cap++) {
        char *const out = malloc(cap + 1);
        size_t len;

        ck_assert_ptr_nonnull(out);
        len = write_error(_i, out + 1, cap);
        ck_assert_uint_le(len, cap);
        ck_assert(len > 0 || least == 0);
        if (len > 0) {
            AUTO_JSON tree = cJSON_ParseWithLength(out + 1, len);

            ck_assert_ptr_nonnull(tree);
            least = least > 0 ? least : cap;
        }
        free(out);
    }
    ck_assert_uint_gt(least, 0);
}
END_TEST

/* Gemini's command line, as measured: it stops at a quotaId that has "PerDay" in it, waits as long
 * as a RetryInfo says, and else tries on and on. */
START_TEST(tells_gemini_cli_when_to_give_up)
{
    static const char *const scopes[] = { "organization", "team", "key" };

    for (int i = 0; i < COUNT(scopes); i++) {
        struct tg_refusal refusal = team_month;
        const struct tg_error error = { .status = TG_LIMIT_REACHED, .refusal = &refusal };
        char out[ROOM];
        size_t len;
        const cJSON *failure;
        const cJSON *violation;

        refusal.scope = scopes[i];
        len = gemini_error_write(&error, out, sizeof(out));
        AUTO_JSON tree = cJSON_ParseWithLength(out, len);

        failure = cJSON_GetArrayItem(
            cJSON_GetObjectItem(cJSON_GetObjectItem(tree, "error"), "details"), 0);
        ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(failure, "@type")),
                         "type.googleapis.com/google.rpc.QuotaFailure");
        violation = cJSON_GetArrayItem(cJSON_GetObjectItem(failure, "violations"), 0);
        ck_assert_ptr_nonnull(
            strstr(cJSON_GetStringValue(cJSON_GetObjectItem(violation, "quotaId")), "PerDay"));
    }
}
END_TEST

START_TEST(knows_every_status)
{
    for (int status = 0; status < TG_STATUS_COUNT; status++) {
        const struct tg_error error = { .status = (enum tg_status)status };
        char out[ROOM];
        const size_t len = gemini_error_write(&error, out, sizeof(out));
        AUTO_JSON tree = cJSON_ParseWithLength(out, len);
        const cJSON *const inner = cJSON_GetObjectItem(tree, "error");

        ck_assert_ptr_nonnull(inner);
        ck_assert_int_eq(cJSON_GetObjectItem(inner, "code")->valueint,
                         tg_status_info((enum tg_status)status)->http);
        ck_assert_str_ne(cJSON_GetStringValue(cJSON_GetObjectItem(inner, "status")), "");
    }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/gemini_error");
    TCase *tc = tcase_create("gemini_error");

    tcase_add_loop_test(tc, writes_the_envelope, 0, COUNT(bodies));
    tcase_add_loop_test(tc, stays_json_when_room_is_short, 0, COUNT(bodies));
    tcase_add_test(tc, tells_gemini_cli_when_to_give_up);
    tcase_add_test(tc, knows_every_status);
    suite_add_tcase(s, tc);
    return s;
}
