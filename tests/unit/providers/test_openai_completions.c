/* Goal: of legacy completions, the choices that are generated and billed are known before, and
 * their end is seen where it is. Method: tables of bodies; streams cut at every byte. */
#include "providers/openai_completions.h"

#include "base/span.h"
#include "support/suites.h"
#include "support/support_stream.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define BODY_MAX     8192

static const struct tg_dialect *const dialect = &openai_completions_dialect;
static const struct tg_kind asking = { .name = "asking", .flags = TG_KIND_ASKS_USAGE };

static enum tg_status read_body(const char *body, struct tg_request *ret_request)
{
    return dialect->read_request((struct tg_span){ body, strlen(body) }, &(struct tg_path){ 0 },
                                 ret_request);
}

#define S TG_REQUEST_STREAM
#define U TG_REQUEST_WANTS_USAGE
#define M TG_REQUEST_MAX_GIVEN

static const struct {
    const char *members; /* behind the model */
    uint32_t flags;
    int64_t choices;
    int64_t max;
} facts[] = {
    { "\"prompt\":\"a\"", 0, 1, 0 },
    { "\"prompt\":null", 0, 1, 0 },
    { "\"echo\":true,\"logprobs\":1,\"suffix\":\"b\"", 0, 1, 0 },
    { "\"prompt\":[]", 0, 1, 0 },
    { "\"prompt\":[1,2,3]", 0, 1, 0 },
    { "\"prompt\":[\"a\",\"b\",\"c\"]", 0, 3, 0 },
    { "\"prompt\":[[1,2],[3]]", 0, 2, 0 },
    { "\"prompt\":[\"a\",[1,2]],\"n\":2", 0, 4, 0 },
    { "\"prompt\":{\"a\":[1]}", 0, 1, 0 },
    { "\"n\":3", 0, 3, 0 },
    { "\"n\":3,\"best_of\":3", 0, 3, 0 },
    { "\"best_of\":5", 0, 5, 0 },
    { "\"best_of\":5,\"n\":2,\"prompt\":[\"a\",\"b\"]", 0, 10, 0 },
    { "\"best_of\":null,\"n\":2", 0, 2, 0 },
    { "\"max_tokens\":7,\"stream\":true,\"stream_options\":{\"include_usage\":true}", M | S | U, 1,
      7 },
    { "\"stream\":true,\"n\":2,\"best_of\":2,\"prompt\":[\"a\",\"b\"]", S, 4, 0 },
    { "\"n\":128,\"prompt\":[\"a\",\"b\"]", 0, 256, 0 },
};

START_TEST(counts_what_is_generated)
{
    char body[BODY_MAX];
    struct tg_request request;

    snprintf(body, sizeof(body), "{%s,\"model\":\"m\"}", facts[_i].members);
    ck_assert_msg(read_body(body, &request) == TG_OK, "%s", body);
    ck_assert_uint_eq(request.flags, facts[_i].flags);
    ck_assert_int_eq(request.choices, facts[_i].choices);
    ck_assert_int_eq(request.max_output_tokens, facts[_i].max);
}
END_TEST

static const struct {
    const char *members;
    const char *field; /* as it stands in the body, or by its name */
} refusals[] = {
    { "\"n\":0", "n" },
    { "\"n\":129", "n" },
    { "\"n\":1,\"\\u006e\":9", "\\u006e" },
    { "\"best_of\":0", "best_of" },
    { "\"best_of\":\"2\"", "best_of" },
    { "\"best_of\":2,\"best_of\":1", "best_of" },
    { "\"stream\":true,\"best_of\":2", "best_of" },
    { "\"stream\":true,\"n\":65,\"prompt\":[\"a\",\"b\"]", "prompt" },
    { "\"prompt\":\"a\",\"prompt\":[\"a\",\"b\"]", "prompt" },
    { "\"max_tokens\":0", "max_tokens" },
    { "\"max_tokens\":-1", "max_tokens" },
    { "\"max_tokens\":1.5", "max_tokens" },
    { "\"max_tokens\":1e18", "max_tokens" },
    { "\"max_tokens\":\"100\"", "max_tokens" },
    { "\"max_tokens\":1,\"max_completion_tokens\":9", "max_completion_tokens" },
    { "\"Prompt\":\"a\"", "Prompt" },
    { "\"stream\":7", "stream" },
    { "\"stream_options\":7", "stream_options" },
};

START_TEST(refuses_and_names_the_field)
{
    char body[BODY_MAX];
    struct tg_request request;

    snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", refusals[_i].members);
    ck_assert_int_eq(read_body(body, &request), TG_INVALID);
    ck_assert_ptr_nonnull(request.problem);
    ck_assert(span_equal(span_of(request.problem_field.ptr, request.problem_field.len),
                         span_from(refusals[_i].field)));
}
END_TEST

START_TEST(asks_for_usage_and_lowers_the_maximum)
{
    const struct tg_wish wish = { .max_output_tokens = 300,
                                  .output_field = "max_completion_tokens" };
    struct tg_edit edits[TG_EDITS_MAX];
    struct tg_request request;

    ck_assert_int_eq(read_body("{\"stream\":true,\"max_tokens\":900,\"model\":\"m\"}", &request),
                     TG_OK);
    ck_assert_int_eq(dialect->plan_edits(&request, &asking, &wish, edits), 2);
    ck_assert_str_eq(edits[0].text, "\"stream_options\":{\"include_usage\":true},");
    ck_assert_str_eq(edits[1].text, "300");
    ck_assert_int_eq(read_body("{\"model\":\"m\"}", &request), TG_OK);
    ck_assert_int_eq(dialect->plan_edits(&request, &asking, &wish, edits), 1);
    ck_assert_str_eq(edits[0].text, "\"max_tokens\":300,");
}
END_TEST

/* --- answers ------------------------------------------------------------------------------------
 */

#define C TG_ANSWER_IS_COMPLETE
#define H TG_ANSWER_HAS_USAGE

#define DATA(json) "data: " json "\n\n"
#define HEAD       "\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\","
#define CHUNK(i, text, finish)                                                                     \
    DATA("{" HEAD "\"choices\":[{\"text\":\"" text "\",\"index\":" #i                              \
         ",\"logprobs\":null,\"finish_reason\":" finish "}],\"usage\":null}")
#define COUNTS "{\"prompt_tokens\":20,\"completion_tokens\":5,\"total_tokens\":25}"
#define USAGE  DATA("{" HEAD "\"choices\":[],\"usage\":" COUNTS "}")
#define DONE   DATA("[DONE]")

static const struct {
    int64_t choices;
    const char *stream;
    const char *actions;
    uint32_t flags;
    int64_t output_bytes;
} streams[] = {
    { 1, CHUNK(0, "Hi", "null") CHUNK(0, "!", "null") CHUNK(0, "", "\"stop\"") USAGE DONE, "PPTDT",
      C | H, 3 },
    { 1, CHUNK(0, "Hi", "\"length\"") USAGE DONE, "TDT", C | H, 2 },
    { 4,
      CHUNK(0, "a", "null") CHUNK(3, "b", "\"stop\"") CHUNK(0, "c", "\"stop\"")
          CHUNK(1, "d", "\"stop\"") CHUNK(2, "e", "\"stop\"") USAGE DONE,
      "PPPPTDT", C | H, 5 },
    { 1, CHUNK(0, "Hi", "null") DATA("{\"error\":{\"message\":\"no\",\"code\":500}}"), "PT",
      TG_ANSWER_IS_ERROR, 2 },
};

START_TEST(reads_a_stream_cut_at_every_byte)
{
    const struct tg_request request = { .flags = S, .choices = streams[_i].choices };
    const struct support_stream stream = { .dialect = dialect,
                                           .kind = &asking,
                                           .request = &request };
    struct tg_answer answer;

    support_check_stream(&stream, streams[_i].stream, streams[_i].actions, &answer);
    ck_assert_uint_eq(answer.flags, streams[_i].flags);
    ck_assert_int_eq(answer.output_bytes, streams[_i].output_bytes);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], (streams[_i].flags & H) != 0 ? 5 : 0);
}
END_TEST

START_TEST(reads_a_plain_answer)
{
    const char *const body =
        "{" HEAD "\"choices\":[{\"text\":\"Hi\",\"index\":0,\"finish_reason\":\"stop\"},"
        "{\"text\":\"You\",\"index\":1}],\"usage\":" COUNTS "}";
    struct tg_answer answer = { 0 };

    dialect->read_answer((struct tg_span){ body, strlen(body) }, &asking, &answer);
    ck_assert_uint_eq(answer.flags, C | H);
    ck_assert_int_eq(answer.output_bytes, 5);
    ck_assert_int_eq(answer.usage.count[TG_INPUT], 20);
}
END_TEST

/* More choices than can be told apart in a stream, from a provider that streams unasked. */
START_TEST(outlives_more_choices_than_a_stream_may_have)
{
    const struct tg_request request = { .choices = 256 };
    const struct support_stream stream = { .dialect = dialect,
                                           .kind = &asking,
                                           .request = &request };
    struct tg_answer answer;

    support_check_stream(&stream, CHUNK(0, "a", "\"stop\"") CHUNK(255, "b", "\"stop\"") DONE, "PPT",
                         &answer);
    ck_assert_uint_eq(answer.flags, C);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/openai_completions");
    TCase *tc = tcase_create("openai_completions");

    tcase_add_loop_test(tc, counts_what_is_generated, 0, COUNT(facts));
    tcase_add_loop_test(tc, refuses_and_names_the_field, 0, COUNT(refusals));
    tcase_add_test(tc, asks_for_usage_and_lowers_the_maximum);
    tcase_add_loop_test(tc, reads_a_stream_cut_at_every_byte, 0, COUNT(streams));
    tcase_add_test(tc, reads_a_plain_answer);
    tcase_add_test(tc, outlives_more_choices_than_a_stream_may_have);
    suite_add_tcase(s, tc);
    return s;
}
