/* Goal: an error of ours is JSON that OpenAI's clients read, whatever the message holds and however
 * little room there is. Method: exact bodies; then every room size, each body judged by cJSON. */
#include "providers/openai_error.h"

#include "base/json.h"
#include "support/suites.h"

#include <stdlib.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct tg_span no_id = { "call_1", 6 };

static size_t write_error(enum tg_status status, const char *message, char *out, size_t cap)
{
    const struct tg_error error = {
        .status = status,
        .message = { message, strlen(message) },
        .request_id = no_id,
    };

    return openai_error_write(&error, out, cap);
}

static const struct {
    enum tg_status status;
    const char *message;
    const char *body;
} bodies[] = {
    { TG_MODEL_NOT_FOUND, "No provider serves 'x'.",
      "{\"error\":{\"message\":\"No provider serves "
      "'x'.\",\"type\":\"invalid_request_error\",\"param\":null,"
      "\"code\":\"model_not_found\"}}" },
    { TG_UNAUTHENTICATED, "",
      "{\"error\":{\"message\":\"Incorrect API key "
      "provided.\",\"type\":\"invalid_request_error\",\"param\":"
      "null,\"code\":\"invalid_api_key\"}}" },
    { TG_RATE_LIMITED, "a\"b\\c\nd\te\x01/",
      "{\"error\":{\"message\":\"a\\\"b\\\\c\\nd\\u0009e\\u0001/"
      "\",\"type\":\"requests\",\"param\":null,"
      "\"code\":\"rate_limit_exceeded\"}}" },
    { TG_INVALID, "K\xC3\xB6ln \xF0\x9F\x98\x80 \xC3 \xED\xA0\x80",
      "{\"error\":{\"message\":\"K\xC3\xB6ln \xF0\x9F\x98\x80 ? "
      "???\",\"type\":\"invalid_request_error\","
      "\"param\":null,\"code\":\"invalid_request\"}}" },
};

START_TEST(writes_the_envelope)
{
    char out[512];
    const size_t len = write_error(bodies[_i].status, bodies[_i].message, out, sizeof(out));

    ck_assert(span_equal(span_of(out, len), span_from(bodies[_i].body)));
}
END_TEST

START_TEST(stays_json_when_room_is_short)
{
    const char *const message = "a\"\xC3\xB6\x01\n\xF0\x9F\x98\x80z";
    char full[256];
    const size_t full_len = write_error(TG_INVALID, message, full, sizeof(full));

    for (size_t cap = 0; cap <= full_len; cap++) {
        char *const out = malloc(cap + 1);
        size_t len;

        ck_assert_ptr_nonnull(out);
        len = write_error(TG_INVALID, message, out + 1, cap);
        ck_assert_uint_le(len, cap);
        if (len > 0) {
            AUTO_JSON tree = cJSON_ParseWithLength(out + 1, len);

            ck_assert_ptr_nonnull(tree);
        }
        ck_assert((len > 0) == (cap >= full_len - 18)); /* the message may go, the rest not */
        free(out);
    }
}
END_TEST

START_TEST(knows_every_status)
{
    for (int status = 0; status < TG_STATUS_COUNT; status++) {
        char out[1024];
        const size_t len = write_error((enum tg_status)status, "", out, sizeof(out));
        AUTO_JSON tree = cJSON_ParseWithLength(out, len);

        ck_assert_ptr_nonnull(tree);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/openai_error");
    TCase *tc = tcase_create("openai_error");

    tcase_add_loop_test(tc, writes_the_envelope, 0, COUNT(bodies));
    tcase_add_test(tc, stays_json_when_room_is_short);
    tcase_add_test(tc, knows_every_status);
    suite_add_tcase(s, tc);
    return s;
}
