/* Goal: of every response, whole or streamed, the counts are the provider's to the token, fees are
 * counted once, and the end is seen where it is. Method: samples in the shape of each provider, cut
 * at every byte in each way a stream may be written; the reference vectors; broken counts. */
#include "providers/openai_responses.h"

#include "base/span.h"
#include "support/suites.h"
#include "support/support_stream.h"
#include "support/support_vectors.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct tg_kind openai = { .name = "openai", .flags = TG_KIND_ASKS_USAGE };
static const struct tg_kind xai = { .name = "xai",
                                    .flags = TG_KIND_REASONING_OUTSIDE | TG_KIND_TELLS_COST };
static const struct tg_request request = { .flags = TG_REQUEST_STREAM, .choices = 1 };

#define E TG_ANSWER_IS_ERROR
#define C TG_ANSWER_IS_COMPLETE
#define D TG_ANSWER_DOUBTFUL
#define U TG_ANSWER_HAS_USAGE
#define X TG_ANSWER_HAS_COST
#define R TG_ANSWER_UNREADABLE
#define P TG_ANSWER_PENDING

#define EVENT(type, more) "event: " type "\ndata: {\"type\":\"" type "\"" more "}\n\n"
#define CREATED                                                                                    \
    EVENT("response.created", ",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":" \
                              "\"response\",\"status\":\"in_progress\",\"model\":\"m-1\","         \
                              "\"service_tier\":\"auto\",\"output\":[],\"usage\":null}")
#define DELTA(text)                                                                                \
    EVENT("response.output_text.delta",                                                            \
          ",\"sequence_number\":4,\"item_id\":\"msg_1\","                                          \
          "\"output_index\":0,\"content_index\":0,\"delta\":\"" text "\",\"obfuscation\":\"xyz\"")
#define DONE(item)                                                                                 \
    EVENT("response.output_item.done", ",\"sequence_number\":8,\"output_index\":0,\"item\":" item)
#define COUNTS                                                                                     \
    "{\"input_tokens\":5210,\"input_tokens_details\":{\"cached_tokens\":10,"                       \
    "\"cache_write_tokens\":5000},\"output_tokens\":70,\"output_tokens_details\":{"                \
    "\"reasoning_tokens\":40},\"total_tokens\":5280}"
#define END(type, more)                                                                            \
    EVENT("response." type,                                                                        \
          ",\"sequence_number\":9,\"response\":{\"id\":\"resp_1\",\"status\":\"" type              \
          "\",\"model\":\"m-1\",\"service_tier\":\"priority\"" more "}")
#define SEARCHED                                                                                   \
    "{\"type\":\"web_search_call\",\"status\":\"completed\",\"action\":{\"type\":\"search\"}}"
#define OPENED                                                                                     \
    "{\"type\":\"web_search_call\",\"status\":\"completed\",\"action\":{\"type\":\"open_page\"}}"
#define FAILED "{\"type\":\"web_search_call\",\"status\":\"failed\"}"
#define FILES  "{\"type\":\"file_search_call\",\"status\":\"completed\",\"queries\":[\"text\"]}"
#define CODE(name)                                                                                 \
    "{\"type\":\"code_interpreter_call\",\"container_id\":\"" name "\",\"code\":\"1\"}"

static const struct {
    const char *name;
    const struct tg_kind *kind;
    const char *stream;
    const char *actions;
    uint32_t flags;
    int64_t input, cache_read, cache_write, output;
    int64_t web, files, code;
    int64_t output_bytes;
} streams[] = {
    { "as OpenAI writes it", &openai,
      CREATED EVENT("response.in_progress", ",\"response\":{\"status\":\"in_progress\"}")
          DELTA("Hi") DELTA(" \\u00e9") END("completed", ",\"output\":[],\"usage\":" COUNTS),
      "PPPPT", C | U, 200, 10, 5000, 70, 0, 0, 0, 5 },
    { "the text of its end is not counted twice", &openai,
      DELTA("Hi") EVENT("response.output_text.done", ",\"text\":\"Hi\"") DONE(
          "{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi\"}]}")
          END("completed", ",\"output\":[{\"type\":\"message\",\"content\":[{\"text\":\"Hi\"}]}],"
                           "\"usage\":" COUNTS),
      "PPPT", C | U, 200, 10, 5000, 70, 0, 0, 0, 2 },
    { "cut short by the maximum", &openai,
      CREATED DELTA("Hi") END("incomplete", ",\"incomplete_details\":{\"reason\":"
                                            "\"max_output_tokens\"},\"usage\":" COUNTS),
      "PPT", C | U, 200, 10, 5000, 70, 0, 0, 0, 2 },
    { "failed", &openai,
      CREATED DELTA("Hi") END("failed", ",\"error\":{\"code\":\"server_error\",\"message\":\"no\"},"
                                        "\"usage\":null"),
      "PPT", C | E, 0, 0, 0, 0, 0, 0, 0, 2 },
    { "cancelled", &openai, CREATED END("cancelled", ",\"usage\":" COUNTS), "PT", C | U, 200, 10,
      5000, 70, 0, 0, 0, 0 },
    { "an error event", &openai,
      CREATED "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\","
              "\"message\":\"no\",\"param\":null}\n\n",
      "PT", E, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "an error in the chat's words", &openai,
      "data: {\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}\n\n" DELTA("Hi"), "TT", E,
      0, 0, 0, 0, 0, 0, 0, 2 },
    { "cut before its end", &openai, CREATED DELTA("Hi"), "PP", 0, 0, 0, 0, 0, 0, 0, 0, 2 },
    { "behind the end nothing passes", &openai,
      END("completed", ",\"usage\":" COUNTS) DELTA("Hi") "data: [DONE]\n\n", "TTT", C | U, 200, 10,
      5000, 70, 0, 0, 0, 2 },
    { "the end mark alone", &openai, "data: [DONE]\n\n", "T", C, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "the name of the event alone says what it is", &openai,
      "event: response.completed\ndata: {\"response\":{\"usage\":" COUNTS "}}\n\n", "T", C | U, 200,
      10, 5000, 70, 0, 0, 0, 0 },
    { "the data's type holds, escaped as it may be", &openai,
      "event: message\ndata: {\"response\":{\"usage\":" COUNTS
      "},\"type\":\"response\\u002ecompleted\"}\n\n",
      "T", C | U, 200, 10, 5000, 70, 0, 0, 0, 0 },
    { "arguments, refusals, reasoning and code are output, sound is not", &openai,
      EVENT("response.function_call_arguments.delta", ",\"delta\":\"{}\"")
          EVENT("response.refusal.delta", ",\"delta\":\"no!\"")
              EVENT("response.reasoning_summary_text.delta", ",\"delta\":\"hm\"")
                  EVENT("response.custom_tool_call_input.delta", ",\"delta\":\"abcd\"")
                      EVENT("response.audio.delta", ",\"delta\":\"AAAAAAAA\""),
      "PPPPP", 0, 0, 0, 0, 0, 0, 0, 0, 11 },
    { "text that looks like an end", &openai,
      DELTA("\\\"type\\\":\\\"response.completed\\\",\\\"usage\\\":{\\\"input_tokens\\\":9}"), "P",
      0, 0, 0, 0, 0, 0, 0, 0, 54 },
    { "searches are counted as they are made, and opening a page is none", &openai,
      EVENT("response.output_item.added", ",\"item\":" SEARCHED) DONE(SEARCHED) DONE(OPENED)
          DONE(FAILED) DONE(SEARCHED) DONE(FILES),
      "PPPPPP", 0, 0, 0, 0, 0, 2, 1, 0, 0 },
    { "the whole output replaces what was counted", &openai,
      DONE(SEARCHED) DONE(CODE("a")) DONE(CODE("a"))
          END("completed", ",\"output\":[" SEARCHED "," CODE("a") "," CODE("a") "," CODE(
                               "b") "," FILES "],\"usage\":" COUNTS),
      "PPPT", C | U, 200, 10, 5000, 70, 1, 1, 2, 3 },
    { "an end without output takes nothing back", &openai,
      DONE(SEARCHED) DONE(CODE("a")) DONE(CODE("b"))
          END("completed", ",\"output\":[],\"usage\":" COUNTS),
      "PPPT", C | U, 200, 10, 5000, 70, 1, 0, 1, 0 },
    { "what tool_usage says of searches holds", &openai,
      DONE(SEARCHED) DONE(SEARCHED)
          END("completed", ",\"output\":[" SEARCHED "," SEARCHED "],\"usage\":" COUNTS
                           ",\"tool_usage\":{\"web_search\":{\"num_requests\":1},\"image_gen\":{"
                           "\"input_tokens\":0}}"),
      "PPT", C | U, 200, 10, 5000, 70, 1, 0, 0, 0 },
    { "xAI: reasoning is inside here, the charge in ticks", &xai,
      END("completed",
          ",\"usage\":{\"input_tokens\":700,\"input_tokens_details\":{\"cached_tokens\":"
          "640},\"output_tokens\":230,\"output_tokens_details\":{\"reasoning_tokens\":150"
          "},\"total_tokens\":930,\"cost_in_usd_ticks\":18200000}"),
      "T", C | U | X, 60, 640, 0, 230, 0, 0, 0, 0 },
    { "xAI: the cache stands outside", &xai,
      END("completed",
          ",\"usage\":{\"input_tokens\":60,\"input_tokens_details\":{\"cached_tokens\":"
          "640},\"output_tokens\":230}"),
      "T", C | U | D, 60, 640, 0, 230, 0, 0, 0, 0 },
    { "broken data", &openai, "event: response.completed\ndata: {\"response\":{\n\n" DELTA("Hi"),
      "PP", R, 0, 0, 0, 0, 0, 0, 0, 2 },
    { "a type longer than any that is known", &openai,
      "event: response.completed\ndata: {\"type\":\"response."
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.delta\","
      "\"delta\":\"Hi\"}"
      "\n\n",
      "P", 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "another's event", &openai, "event: keepalive\ndata: x\n\n", "P", 0, 0, 0, 0, 0, 0, 0, 0, 0 },
};

START_TEST(reads_a_stream_cut_at_every_byte)
{
    const struct support_stream stream = { .dialect = &openai_responses_dialect,
                                           .kind = streams[_i].kind,
                                           .request = &request };
    const char *const name = streams[_i].name;
    struct tg_answer answer;
    const int64_t *const count = answer.usage.count;

    support_check_stream(&stream, streams[_i].stream, streams[_i].actions, &answer);
    ck_assert_msg(answer.flags == streams[_i].flags, "%s: flags %x", name, answer.flags);
    ck_assert_msg(count[TG_INPUT] == streams[_i].input, "%s: input", name);
    ck_assert_msg(count[TG_CACHE_READ] == streams[_i].cache_read, "%s: cache", name);
    ck_assert_msg(count[TG_CACHE_WRITE] == streams[_i].cache_write, "%s: writes", name);
    ck_assert_msg(count[TG_OUTPUT] == streams[_i].output, "%s: output", name);
    ck_assert_msg(count[TG_WEB_SEARCH] == streams[_i].web, "%s: searches", name);
    ck_assert_msg(count[TG_FILE_SEARCH] == streams[_i].files, "%s: files", name);
    ck_assert_msg(count[TG_CODE_SESSION] == streams[_i].code, "%s: containers %lld", name,
                  (long long)count[TG_CODE_SESSION]);
    ck_assert_msg(answer.output_bytes == streams[_i].output_bytes, "%s: %lld bytes", name,
                  (long long)answer.output_bytes);
}
END_TEST

static bool is_text(const struct tg_short_text *text, const char *expected)
{
    return span_equal(span_of(text->text, text->len), span_from(expected));
}

START_TEST(believes_the_end_about_tier_and_model)
{
    const struct support_stream stream = { .dialect = &openai_responses_dialect,
                                           .kind = &openai,
                                           .request = &request };
    struct tg_answer answer;

    support_check_stream(&stream, CREATED END("completed", ",\"usage\":" COUNTS), "PT", &answer);
    ck_assert(is_text(&answer.tier, "priority"));
    ck_assert(is_text(&answer.model, "m-1"));
    ck_assert(is_text(&answer.response_id, "resp_1"));
    ck_assert_int_eq(answer.usage.reasoning_tokens, 40);
    ck_assert_int_eq(answer.usage.prompt_tokens, 5210);
}
END_TEST

/* --- plain answers ------------------------------------------------------------------------------
 */

static void read_plain(const char *body, struct tg_answer *answer)
{
    *answer = (struct tg_answer){ 0 };
    openai_responses_dialect.read_answer((struct tg_span){ body, strlen(body) }, &openai, answer);
}

static const struct {
    const char *body;
    uint32_t flags;
    int64_t output, web, files, code, output_bytes;
    const char *error_code;
} answers[] = {
    { "{\"id\":\"resp_1\",\"status\":\"completed\",\"model\":\"m\",\"output\":[{\"type\":"
      "\"reasoning\","
      "\"summary\":[{\"text\":\"hm\"}]},{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{"
      "\"type\":\"output_text\",\"annotations\":[{\"title\":\"x\",\"url\":\"y\"}],\"text\":"
      "\"Hello\"}]},"
      "{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{}\"}],\"usage\":" COUNTS "}",
      C | U, 70, 0, 0, 0, 2 + 5 + 3, "" },
    { "{\"status\":\"completed\",\"output\":[" SEARCHED "," OPENED "," FILES "," FILES
      "," CODE("a") "," CODE("b") "," CODE("a") "],\"usage\":" COUNTS "}",
      C | U, 70, 1, 2, 2, 3, "" },
    { "{\"status\":\"incomplete\",\"usage\":" COUNTS "}", C | U, 70, 0, 0, 0, 0, "" },
    { "{\"status\":\"failed\",\"error\":{\"code\":\"server_error\"},\"usage\":null}", C | E, 0, 0,
      0, 0, 0, "server_error" },
    { "{\"id\":\"resp_1\",\"status\":\"queued\",\"error\":null,\"usage\":null}", P, 0, 0, 0, 0, 0,
      "" },
    { "{\"status\":\"in_progress\",\"output\":[]}", P, 0, 0, 0, 0, 0, "" },
    { "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"code\":null}}", E, 0, 0,
      0, 0, 0, "invalid_request_error" },
    { "{\"output\":[7,null,[1],{}],\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}", C | U, 2,
      0, 0, 0, 0, "" },
    { "{}", C, 0, 0, 0, 0, 0, "" },
    { "", R, 0, 0, 0, 0, 0, "" },
    { "[]", R, 0, 0, 0, 0, 0, "" },
    { "{\"usage\":" COUNTS, R, 0, 0, 0, 0, 0, "" },
};

START_TEST(reads_a_plain_answer)
{
    struct tg_answer answer;

    read_plain(answers[_i].body, &answer);
    ck_assert_uint_eq(answer.flags, answers[_i].flags);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], answers[_i].output);
    ck_assert_int_eq(answer.usage.count[TG_WEB_SEARCH], answers[_i].web);
    ck_assert_int_eq(answer.usage.count[TG_FILE_SEARCH], answers[_i].files);
    ck_assert_int_eq(answer.usage.count[TG_CODE_SESSION], answers[_i].code);
    ck_assert_int_eq(answer.output_bytes, answers[_i].output_bytes);
    ck_assert(is_text(&answer.error_code, answers[_i].error_code));
}
END_TEST

START_TEST(says_where_the_usage_stands)
{
    const char *const body = "{\"status\":\"completed\",\"usage\": " COUNTS " }";
    struct tg_answer answer;

    read_plain(body, &answer);
    ck_assert(span_equal(
        span_of(body + answer.raw_usage_start, answer.raw_usage_end - answer.raw_usage_start),
        SPAN(COUNTS)));
}
END_TEST

/* --- counts that cannot be right ----------------------------------------------------------------
 */

static const char *const broken[] = {
    "\"input_tokens\":-1,\"output_tokens\":5",
    "\"input_tokens\":9007199254740993,\"output_tokens\":5",
    "\"input_tokens\":\"20\",\"output_tokens\":5",
    "\"input_tokens\":20.5,\"output_tokens\":5",
    "\"input_tokens\":20,\"output_tokens\":1e30",
    "\"input_tokens\":20,\"output_tokens\":5,\"total_tokens\":99",
    "\"input_tokens\":20,\"output_tokens\":5,\"input_tokens_details\":{\"cached_tokens\":21}",
    "\"input_tokens\":20,\"output_tokens\":5,\"input_tokens_details\":{\"cached_tokens\":-9}",
    "\"input_tokens\":20,\"output_tokens\":5,\"input_tokens_details\":{\"cache_write_tokens\":4,"
    "\"cache_write_tokens_details\":{\"ttl_30m_tokens\":0,\"ttl_12h_tokens\":5}}",
    "\"input_tokens\":20,\"output_tokens\":5,\"output_tokens_details\":{\"reasoning_tokens\":6}",
    "\"output_tokens\":5",
    "\"input_tokens\":20",
};

START_TEST(flags_counts_that_cannot_be_right)
{
    char body[512];
    struct tg_answer answer;

    snprintf(body, sizeof(body), "{\"status\":\"completed\",\"usage\":{%s}}", broken[_i]);
    read_plain(body, &answer);
    ck_assert_uint_eq(answer.flags, C | U | D);
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        ck_assert_int_ge(answer.usage.count[class], 0);
        ck_assert_int_le(answer.usage.count[class], TG_COUNT_MAX);
    }
}
END_TEST

START_TEST(sets_writes_that_last_apart)
{
    struct tg_answer answer;

    read_plain("{\"status\":\"completed\",\"usage\":{\"input_tokens\":20,\"output_tokens\":5,"
               "\"input_tokens_details\":{\"cached_tokens\":2,\"cache_write_tokens\":10,"
               "\"cache_write_tokens_details\":{\"ttl_30m_tokens\":4,\"ttl_12h_tokens\":6}}}}",
               &answer);
    ck_assert_uint_eq(answer.flags, C | U);
    ck_assert_int_eq(answer.usage.count[TG_INPUT], 8);
    ck_assert_int_eq(answer.usage.count[TG_CACHE_READ], 2);
    ck_assert_int_eq(answer.usage.count[TG_CACHE_WRITE], 4);
    ck_assert_int_eq(answer.usage.count[TG_CACHE_WRITE_12H], 6);
}
END_TEST

static void read_vector(const char *dialect, const char *usage, struct tg_answer *answer)
{
    char body[4096];

    (void)dialect;
    snprintf(body, sizeof(body), "{\"status\":\"completed\",\"usage\":%s}", usage);
    read_plain(body, answer);
    ck_assert_uint_eq(answer->flags, C | U);
}

START_TEST(agrees_with_the_reference_vectors)
{
    ck_assert_int_ge(support_check_vectors("openai-responses", read_vector), 3);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/openai_responses_answer");
    TCase *tc = tcase_create("openai_responses_answer");

    tcase_add_loop_test(tc, reads_a_stream_cut_at_every_byte, 0, COUNT(streams));
    tcase_add_test(tc, believes_the_end_about_tier_and_model);
    tcase_add_loop_test(tc, reads_a_plain_answer, 0, COUNT(answers));
    tcase_add_test(tc, says_where_the_usage_stands);
    tcase_add_loop_test(tc, flags_counts_that_cannot_be_right, 0, COUNT(broken));
    tcase_add_test(tc, sets_writes_that_last_apart);
    tcase_add_test(tc, agrees_with_the_reference_vectors);
    suite_add_tcase(s, tc);
    return s;
}
