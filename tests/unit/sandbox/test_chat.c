/* Goal: the sandbox answers as OpenAI's chat does, plain and streamed, and its usage is what was
 * sent and answered, to the word. Method: requests as text; the answers are read back as JSON. */
#include "sandbox/chat.h"

#include "base/json.h"
#include "support/suites.h"

#include <string.h>

static int64_t number(const cJSON *object, const char *name)
{
    return (int64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static const struct {
    const char *body;
    const char *text;
    int64_t prompt;
    int64_t completion;
    const char *reason;
} answers[] = {
    { "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"one two  three\"}]}",
      "one two  three", 3, 3, "stop" },
    { "{\"model\":\"echo\",\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
      "{\"role\":\"user\",\"content\":\"first\"},{\"role\":\"assistant\",\"content\":\"yes\"},"
      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"the last\"}]}]}",
      "the last", 6, 2, "stop" },
    { "{\"model\":\"echo-slow\",\"max_tokens\":2,\"messages\":[{\"role\":\"user\","
      "\"content\":\"a b c d\"}]}",
      "a b", 4, 2, "length" },
    { "{\"model\":\"echo\",\"max_completion_tokens\":4,\"messages\":[{\"role\":\"user\","
      "\"content\":\"a b c d\"}]}",
      "a b c d", 4, 4, "stop" },
    { "{\"model\":\"echo\",\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}", "", 1, 0,
      "stop" },
};

START_TEST(a_plain_answer_echoes_and_counts)
{
    AUTO(buf) out = { 0 };
    AUTO_JSON tree = NULL;
    const cJSON *choice;
    const cJSON *usage;
    struct chat chat;
    struct err err = { 0 };

    ck_assert_int_eq(chat_read(span_from(answers[_i].body), &chat, &err), TG_OK);
    buf_init(&out, 65536);
    chat_write(&chat, &out);
    ck_assert_int_eq(json_parse(buf_span(&out), &tree, &err), TG_OK);
    choice = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(tree, "choices"), 0);
    usage = cJSON_GetObjectItemCaseSensitive(tree, "usage");
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
                         cJSON_GetObjectItemCaseSensitive(choice, "message"), "content")),
                     answers[_i].text);
    ck_assert_str_eq(
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(choice, "finish_reason")),
        answers[_i].reason);
    ck_assert_int_eq(number(usage, "prompt_tokens"), answers[_i].prompt);
    ck_assert_int_eq(number(usage, "completion_tokens"), answers[_i].completion);
    ck_assert_int_eq(number(usage, "total_tokens"), answers[_i].prompt + answers[_i].completion);
    chat_fini(&chat);
}
END_TEST

/* Read all events of a stream: the text of their deltas, how many end it, how many carry usage. */
struct streamed {
    char text[256];
    int events;
    int finishes;
    int usages;
    bool is_done;
};

static void take_event(struct streamed *streamed, struct span event)
{
    AUTO_JSON tree = NULL;
    const cJSON *choice;
    const cJSON *content;

    ck_assert(span_starts_with(event, SPAN("data: ")));
    ck_assert(span_ends_with(event, SPAN("\n\n")));
    event = span_of(event.ptr + 6, event.len - 8);
    streamed->events++;
    if (span_equal(event, SPAN("[DONE]"))) {
        streamed->is_done = true;
        return;
    }
    ck_assert_int_eq(json_parse(event, &tree, NULL), TG_OK);
    choice = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(tree, "choices"), 0);
    content = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(choice, "delta"),
                                               "content");
    if (cJSON_IsString(content))
        strcat(streamed->text, content->valuestring);
    streamed->finishes += cJSON_IsString(cJSON_GetObjectItemCaseSensitive(choice, "finish_reason"));
    streamed->usages += cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(tree, "usage"));
}

static void stream(const char *body, struct streamed *streamed)
{
    AUTO(buf) out = { 0 };
    struct chat chat;
    struct err err = { 0 };

    *streamed = (struct streamed){ 0 };
    ck_assert_int_eq(chat_read(span_from(body), &chat, &err), TG_OK);
    ck_assert(chat.is_stream);
    buf_init(&out, 65536);
    while (chat_next_event(&chat, &out)) {
        take_event(streamed, buf_span(&out));
        buf_clear(&out);
    }
    chat_fini(&chat);
}

START_TEST(a_stream_comes_word_by_word)
{
    struct streamed streamed;

    stream("{\"model\":\"echo\",\"stream\":true,\"messages\":[{\"role\":\"user\","
           "\"content\":\"one two  three \"}]}",
           &streamed);
    ck_assert_str_eq(streamed.text, "one two  three ");
    ck_assert_int_eq(streamed.finishes, 1);
    ck_assert_int_eq(streamed.usages, 0);
    ck_assert(streamed.is_done);
    ck_assert_int_eq(streamed.events, 7); /* role, three words, blank, finish, [DONE] */
}
END_TEST

START_TEST(usage_is_streamed_where_it_was_asked_for)
{
    struct streamed streamed;

    stream("{\"model\":\"echo\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
           "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
           &streamed);
    ck_assert_int_eq(streamed.usages, 1);
    ck_assert(streamed.is_done);
}
END_TEST

static const struct {
    const char *body;
    enum tg_status status;
} wrong[] = {
    { "{", TG_INVALID },
    { "[]", TG_INVALID },
    { "{\"messages\":[]}", TG_INVALID },
    { "{\"model\":\"echo\",\"messages\":[]}", TG_INVALID },
    { "{\"model\":\"echo\",\"messages\":[{\"content\":\"x\"}]}", TG_INVALID },
    { "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
      TG_MODEL_NOT_FOUND },
    { "{\"model\":\"echo\",\"n\":2,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
      TG_INVALID },
    { "{\"model\":\"echo\",\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
      TG_INVALID },
};

START_TEST(a_wrong_request_is_refused)
{
    struct chat chat;
    struct err err = { 0 };

    ck_assert_int_eq(chat_read(span_from(wrong[_i].body), &chat, &err), wrong[_i].status);
    ck_assert(err.text[0] != '\0');
}
END_TEST

#define ROWS(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *suite(void)
{
    Suite *made = suite_create("sandbox/chat");
    TCase *tests = tcase_create("chat");

    tcase_add_loop_test(tests, a_plain_answer_echoes_and_counts, 0, ROWS(answers));
    tcase_add_test(tests, a_stream_comes_word_by_word);
    tcase_add_test(tests, usage_is_streamed_where_it_was_asked_for);
    tcase_add_loop_test(tests, a_wrong_request_is_refused, 0, ROWS(wrong));
    suite_add_tcase(made, tests);
    return made;
}
