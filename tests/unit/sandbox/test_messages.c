/* Goal: the sandbox answers as Anthropic's Messages does, plain and streamed, and its usage is what
 * was sent and answered, to the word. Method: requests as text; answers and events are read back as
 * JSON, the counts worked out by hand. */
#include "sandbox/messages.h"

#include "base/json.h"
#include "providers/sse.h"
#include "support/suites.h"

#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static int64_t number(const cJSON *object, const char *name)
{
    return (int64_t)cJSON_GetNumberValue(member(object, name));
}

static const char *text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(member(object, name));
}

static const struct {
    const char *body;
    const char *text;
    int64_t input;
    int64_t output;
    const char *reason;
} answers[] = {
    { "{\"model\":\"echo\",\"max_tokens\":99,\"messages\":[{\"role\":\"user\",\"content\":\"one "
      "two  three\"}]}",
      "one two  three", 3, 3, "end_turn" },
    { "{\"model\":\"echo\",\"max_tokens\":99,\"system\":\"be "
      "brief\",\"messages\":[{\"role\":\"user\","
      "\"content\":\"first\"},{\"role\":\"assistant\",\"content\":\"yes\"},{\"role\":\"user\","
      "\"content\":["
      "{\"type\":\"text\",\"text\":\"the last\"}]}]}",
      "the last", 6, 2, "end_turn" },
    { "{\"model\":\"echo-slow\",\"max_tokens\":2,\"system\":[{\"type\":\"text\",\"text\":\"x\"}],"
      "\"messages\":[{\"role\":\"user\",\"content\":\"a b c d\"}]}",
      "a b", 5, 2, "max_tokens" },
};

static void check_usage(const cJSON *usage, int i, int64_t output)
{
    ck_assert_int_eq(number(usage, "input_tokens"), answers[i].input);
    ck_assert_int_eq(number(usage, "output_tokens"), output);
    ck_assert_int_eq(number(usage, "cache_read_input_tokens"), 0);
}

START_TEST(a_plain_answer_echoes_and_counts)
{
    AUTO(buf) out = { 0 };
    AUTO_JSON tree = NULL;
    struct chat chat;
    struct err err = { 0 };

    ck_assert_int_eq(messages_read(span_from(answers[_i].body), false, &chat, &err), TG_OK);
    ck_assert(!chat.is_stream);
    buf_init(&out, 65536);
    messages_write(&chat, &out);
    ck_assert_int_eq(json_parse(buf_span(&out), &tree, &err), TG_OK);
    ck_assert_str_eq(text(tree, "type"), "message");
    ck_assert_str_eq(text(cJSON_GetArrayItem(member(tree, "content"), 0), "text"),
                     answers[_i].text);
    ck_assert_str_eq(text(tree, "stop_reason"), answers[_i].reason);
    check_usage(member(tree, "usage"), _i, answers[_i].output);
    chat_fini(&chat);
}
END_TEST

START_TEST(a_stream_has_the_providers_events_in_their_order)
{
    static const char *const order[] = { "message_start",       "content_block_start",
                                         "content_block_delta", "content_block_stop",
                                         "message_delta",       "message_stop" };
    char got[256] = "";
    AUTO(buf) out = { 0 };
    struct span rest;
    struct sse sse;
    struct sse_event event;
    struct chat chat;
    struct err err = { 0 };
    int step = 0;

    ck_assert_int_eq(messages_read(span_from(answers[_i].body), false, &chat, &err), TG_OK);
    buf_init(&out, 65536);
    while (messages_next_event(&chat, &out))
        ck_assert(!out.failed);
    rest = buf_span(&out);
    sse_init(&sse);
    while (sse_next(&sse, rest, &event)) {
        AUTO_JSON tree = NULL;

        rest = span_from_offset(rest, event.bytes.len);
        ck_assert_int_eq(json_parse(event.data, &tree, NULL), TG_OK);
        ck_assert(span_equal(event.type, span_from(text(tree, "type"))));
        if (!span_equal(event.type, span_from(order[step])))
            step++;
        ck_assert(span_equal(event.type, span_from(order[step])));
        if (step == 0)
            check_usage(member(member(tree, "message"), "usage"), _i, 0);
        if (step == 2)
            strcat(got, text(member(tree, "delta"), "text"));
        if (step == 4) {
            check_usage(member(tree, "usage"), _i, answers[_i].output);
            ck_assert_str_eq(text(member(tree, "delta"), "stop_reason"), answers[_i].reason);
        }
    }
    ck_assert_int_eq(step, COUNT(order) - 1);
    ck_assert_str_eq(got, answers[_i].text);
    chat_fini(&chat);
}
END_TEST

START_TEST(tokens_are_counted_without_a_maximum)
{
    AUTO(buf) out = { 0 };
    struct chat chat;
    struct err err = { 0 };

    ck_assert_int_eq(
        messages_read(SPAN("{\"model\":\"echo\",\"system\":\"a\",\"messages\":[{\"role\":"
                           "\"user\",\"content\":\"b c\"}]}"),
                      true, &chat, &err),
        TG_OK);
    buf_init(&out, 1024);
    messages_write_count(&chat, &out);
    ck_assert(span_equal(buf_span(&out), SPAN("{\"input_tokens\":3}")));
    chat_fini(&chat);
}
END_TEST

static const struct {
    const char *body;
    enum tg_status status;
} refusals[] = {
    { "[]", TG_INVALID },
    { "{", TG_INVALID },
    { "{\"model\":\"claude\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"
      "}",
      TG_MODEL_NOT_FOUND },
    { "{\"model\":\"echo\",\"max_tokens\":1,\"messages\":[]}", TG_INVALID },
    { "{\"model\":\"echo\",\"max_tokens\":1}", TG_INVALID },
    { "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", TG_INVALID },
    { "{\"model\":\"echo\",\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
      TG_INVALID },
};

START_TEST(a_bad_request_is_refused_in_the_providers_envelope)
{
    AUTO(buf) out = { 0 };
    AUTO_JSON tree = NULL;
    struct chat chat;
    struct err err = { 0 };

    ck_assert_int_eq(messages_read(span_from(refusals[_i].body), false, &chat, &err),
                     refusals[_i].status);
    buf_init(&out, 8192);
    messages_write_error(refusals[_i].status, err.text, &out);
    ck_assert_int_eq(json_parse(buf_span(&out), &tree, NULL), TG_OK);
    ck_assert_str_eq(text(member(tree, "error"), "type"), refusals[_i].status == TG_INVALID
                                                              ? "invalid_request_error"
                                                              : "not_found_error");
    ck_assert(strlen(text(member(tree, "error"), "message")) > 0);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("sandbox/messages");
    TCase *tc = tcase_create("messages");

    tcase_add_loop_test(tc, a_plain_answer_echoes_and_counts, 0, COUNT(answers));
    tcase_add_loop_test(tc, a_stream_has_the_providers_events_in_their_order, 0, COUNT(answers));
    tcase_add_test(tc, tokens_are_counted_without_a_maximum);
    tcase_add_loop_test(tc, a_bad_request_is_refused_in_the_providers_envelope, 0, COUNT(refusals));
    suite_add_tcase(s, tc);
    return s;
}
