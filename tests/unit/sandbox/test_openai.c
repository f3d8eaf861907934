/* Goal: in the rest of OpenAI's dialects too the sandbox's usage is what was sent and answered, to
 * the word, and its streams end as the real ones. Method: requests as text; the answers are read by
 * the dialects themselves, as an answer of any provider is. */
#include "providers/openai_completions.h"
#include "providers/openai_input.h"
#include "providers/openai_responses.h"
#include "sandbox/completions.h"
#include "sandbox/input.h"
#include "sandbox/responses.h"
#include "support/suites.h"
#include "support/support_stream.h"

#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define OUT_MAX      65536

static const struct tg_kind kind = { .name = "sandbox", .flags = TG_KIND_ASKS_USAGE };
static const struct tg_request request = { .choices = 1,
                                           .flags = TG_REQUEST_STREAM | TG_REQUEST_WANTS_USAGE };

enum { RESPONSES, COMPLETIONS };

static const struct {
    enum tg_status (*read)(struct span body, struct chat *ret_chat, struct err *err);
    void (*write)(const struct chat *chat, struct buf *out);
    bool (*next_event)(struct chat *chat, struct buf *out);
    const struct tg_dialect *dialect;
} tongues[] = {
    { responses_read, responses_write, responses_next_event, &openai_responses_dialect },
    { completions_read, completions_write, completions_next_event, &openai_completions_dialect },
};

static const struct {
    int tongue;
    const char *body;
    const char *text;
    int64_t input, output;
    const char *actions; /* of the stream */
} answers[] = {
    { RESPONSES, "{\"model\":\"echo\",\"input\":\"one two  three\"}", "one two  three", 3, 3,
      "PPPPPPT" },
    { RESPONSES,
      "{\"model\":\"echo\",\"instructions\":\"be "
      "brief\",\"input\":[{\"role\":\"user\",\"content\":\"first\"},"
      "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
      "\"text\":\"yes\"}]},"
      "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"two words\"},"
      "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"the last\"}]}]}",
      "the last", 8, 2, "PPPPPT" },
    { RESPONSES, "{\"model\":\"echo\",\"input\":\"a b c d\",\"max_output_tokens\":2}", "a b", 4, 2,
      "PPPPPT" },
    { RESPONSES, "{\"model\":\"echo\",\"input\":[]}", "", 0, 0, "PPPT" },
    { COMPLETIONS,
      "{\"model\":\"echo\",\"prompt\":\"one "
      "two\",\"n\":1,\"stream_options\":{\"include_usage\":true}}",
      "one two", 2, 2, "PPTTT" },
    { COMPLETIONS,
      "{\"model\":\"echo\",\"prompt\":\"a b "
      "c\",\"max_tokens\":1,\"stream_options\":{\"include_usage\":true}}",
      "a", 3, 1, "PTTT" },
    { COMPLETIONS,
      "{\"model\":\"echo\",\"prompt\":\"\",\"stream_options\":{\"include_usage\":true}}", "", 0, 0,
      "TTT" },
};

static void check_answer(int row, const struct tg_answer *answer)
{
    const uint32_t whole = TG_ANSWER_HAS_USAGE | TG_ANSWER_IS_COMPLETE;

    ck_assert_uint_eq(answer->flags, whole);
    ck_assert_int_eq(answer->usage.count[TG_INPUT], answers[row].input);
    ck_assert_int_eq(answer->usage.count[TG_OUTPUT], answers[row].output);
    ck_assert_int_eq(answer->output_bytes, (int64_t)strlen(answers[row].text));
}

START_TEST(a_plain_answer_echoes_and_counts)
{
    const int tongue = answers[_i].tongue;
    struct tg_answer answer = { 0 };
    AUTO(buf) out = { 0 };
    struct err err = { 0 };
    struct chat chat;
    size_t at;

    ck_assert_int_eq(tongues[tongue].read(span_from(answers[_i].body), &chat, &err), TG_OK);
    buf_init(&out, OUT_MAX);
    tongues[tongue].write(&chat, &out);
    tongues[tongue].dialect->read_answer((struct tg_span){ buf_span(&out).ptr, buf_span(&out).len },
                                         &kind, &answer);
    check_answer(_i, &answer);
    ck_assert(answers[_i].text[0] == '\0' ||
              span_find(buf_span(&out), span_from(answers[_i].text), &at));
    chat_fini(&chat);
}
END_TEST

START_TEST(a_stream_brings_the_same)
{
    const int tongue = answers[_i].tongue;
    const struct support_stream stream = { .dialect = tongues[tongue].dialect,
                                           .kind = &kind,
                                           .request = &request };
    struct tg_answer answer;
    AUTO(buf) out = { 0 };
    struct err err = { 0 };
    struct chat chat;

    ck_assert_int_eq(tongues[tongue].read(span_from(answers[_i].body), &chat, &err), TG_OK);
    buf_init(&out, OUT_MAX);
    while (tongues[tongue].next_event(&chat, &out))
        continue;
    buf_put_byte(&out, '\0');
    support_check_stream(&stream, buf_span(&out).ptr, answers[_i].actions, &answer);
    check_answer(_i, &answer);
    chat_fini(&chat);
}
END_TEST

static const struct {
    int tongue;
    const char *body;
    enum tg_status status;
} refusals[] = {
    { RESPONSES, "[]", TG_INVALID },
    { RESPONSES, "{\"model\":\"echo\"}", TG_INVALID },
    { RESPONSES, "{\"model\":\"gpt-4o\",\"input\":\"a\"}", TG_MODEL_NOT_FOUND },
    { RESPONSES, "{\"model\":\"echo\",\"input\":[1]}", TG_INVALID },
    { RESPONSES, "{\"model\":\"echo\",\"input\":\"a\",\"max_output_tokens\":0}", TG_INVALID },
    { COMPLETIONS, "{\"model\":\"echo\",\"prompt\":[\"a\"]}", TG_INVALID },
    { COMPLETIONS, "{\"model\":\"echo\",\"prompt\":\"a\",\"n\":2}", TG_INVALID },
    { COMPLETIONS, "{\"model\":\"echo\",\"prompt\":\"a\",\"best_of\":2}", TG_INVALID },
};

START_TEST(what_it_cannot_do_is_refused_with_a_sentence)
{
    struct err err = { 0 };
    struct chat chat;

    ck_assert_int_eq(tongues[refusals[_i].tongue].read(span_from(refusals[_i].body), &chat, &err),
                     refusals[_i].status);
    ck_assert(err.text[0] != '\0');
}
END_TEST

static const struct {
    const char *input;
    int64_t tokens; /* -1: refused */
} inputs[] = {
    { "\"one two\"", 2 }, { "[\"one\",\"two three\"]", 3 },
    { "[5,6,7]", 3 },     { "[[5,6],[7]]", 3 },
    { "[]", 0 },          { "7", -1 },
    { "null", -1 },       { "[\"a\",{}]", -1 },
};

START_TEST(embeddings_count_what_is_read)
{
    struct tg_answer answer = { 0 };
    AUTO(buf) body = { 0 };
    AUTO(buf) out = { 0 };
    struct err err = { 0 };
    enum tg_status status;

    buf_init(&body, OUT_MAX);
    buf_init(&out, OUT_MAX);
    buf_put_text(&body, "{\"model\":\"echo\",\"input\":");
    buf_put_text(&body, inputs[_i].input);
    buf_put_text(&body, "}");
    status = input_write_embeddings(buf_span(&body), &out, &err);
    ck_assert_int_eq(status, inputs[_i].tokens < 0 ? TG_INVALID : TG_OK);
    if (status != TG_OK)
        return;
    openai_embeddings_dialect.read_answer(
        (struct tg_span){ buf_span(&out).ptr, buf_span(&out).len }, &kind, &answer);
    ck_assert_uint_eq(answer.flags, TG_ANSWER_HAS_USAGE | TG_ANSWER_IS_COMPLETE);
    ck_assert_int_eq(answer.usage.count[TG_INPUT], inputs[_i].tokens);
}
END_TEST

START_TEST(a_moderation_has_no_usage)
{
    struct tg_answer answer = { 0 };
    AUTO(buf) out = { 0 };
    struct err err = { 0 };

    buf_init(&out, OUT_MAX);
    ck_assert_int_eq(input_write_moderation(SPAN("{\"input\":\"a\"}"), &out, &err), TG_OK);
    openai_moderations_dialect.read_answer(
        (struct tg_span){ buf_span(&out).ptr, buf_span(&out).len }, &kind, &answer);
    ck_assert_uint_eq(answer.flags, TG_ANSWER_IS_COMPLETE);
    ck_assert_int_eq(input_write_moderation(SPAN("{}"), &out, &err), TG_INVALID);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("sandbox/openai");
    TCase *tc = tcase_create("openai");

    tcase_add_loop_test(tc, a_plain_answer_echoes_and_counts, 0, COUNT(answers));
    tcase_add_loop_test(tc, a_stream_brings_the_same, 0, COUNT(answers));
    tcase_add_loop_test(tc, what_it_cannot_do_is_refused_with_a_sentence, 0, COUNT(refusals));
    tcase_add_loop_test(tc, embeddings_count_what_is_read, 0, COUNT(inputs));
    tcase_add_test(tc, a_moderation_has_no_usage);
    suite_add_tcase(s, tc);
    return s;
}
