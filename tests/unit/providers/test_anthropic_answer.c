/* Goal: of every message, whole or streamed, the counts are the provider's to the token, each part
 * at the model that made it, and the end is seen where it is. Method: streams in the shape of the
 * provider's own, written with LF, CRLF and comments, through the event splitter cut at every byte;
 * the reference vectors; a second reader that never compares events must come to the same. */
#include "providers/anthropic_answer.h"

#include "base/json.h"
#include "providers/sse.h"
#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define ACTIONS_MAX  64
#define STREAM_MAX   16384

static const struct tg_kind kind = { .name = "anthropic" };
static const struct tg_request streaming = { .flags = TG_REQUEST_STREAM, .choices = 1 };

/* --- pieces of streams --------------------------------------------------------------------------
 */

#define EVENT(type, json) "event: " type "\ndata: " json "\n\n"
#define START_WITH(usage)                                                                          \
    EVENT(                                                                                         \
        "message_start",                                                                           \
        "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":" \
        "\"assistant\",\"model\":\"claude-1\",\"content\":[],\"stop_reason\":null,"                \
        "\"stop_sequence\":null,\"usage\":" usage "}}")
#define START                                                                                      \
    START_WITH(                                                                                    \
        "{\"input_tokens\":5,\"cache_creation_input_tokens\":450,"                                 \
        "\"cache_read_input_tokens\":1200,\"cache_creation\":{\"ephemeral_5m_input_tokens\":"      \
        "150,\"ephemeral_1h_input_tokens\":300},\"output_tokens\":2,\"service_tier\":"             \
        "\"standard\",\"inference_geo\":\"global\"}")
#define BLOCK                                                                                      \
    EVENT("content_block_start",                                                                   \
          "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":"                       \
          "{\"type\":\"text\",\"text\":\"\"}}")
#define TEXT(text)                                                                                 \
    EVENT("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"       \
                                 "\"type\":\"text_delta\",\"text\":\"" text "\"}}")
#define BLOCK_STOP EVENT("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}")
#define PING       EVENT("ping", "{\"type\":\"ping\"}")
#define DELTA_WITH(reason, usage)                                                                  \
    EVENT("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":" reason        \
                           ",\"stop_sequence\":null},\"usage\":" usage "}")
#define COUNTS                                                                                     \
    "\"input_tokens\":5,\"cache_creation_input_tokens\":450,\"cache_read_input_tokens\":1200,"     \
    "\"output_tokens\":40"
#define DELTA DELTA_WITH("\"end_turn\"", "{" COUNTS "}")
#define STOP  EVENT("message_stop", "{\"type\":\"message_stop\"}")
#define FAIL                                                                                       \
    EVENT("error", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"     \
                   "\"Overloaded\"},\"request_id\":\"req_1\"}")

#define E TG_ANSWER_IS_ERROR
#define C TG_ANSWER_IS_COMPLETE
#define D TG_ANSWER_DOUBTFUL
#define U TG_ANSWER_HAS_USAGE
#define R TG_ANSWER_UNREADABLE
#define P TG_ANSWER_SO_FAR

struct expected {
    uint32_t flags;
    int64_t input, cache_read, cache_write, cache_write_1h, output, web_search;
    int64_t output_bytes;
};

static const struct {
    const char *name;
    const char *stream;
    const char *actions; /* P pass, T terminal; one an event */
    struct expected expected;
} streams[] = {
    { "a message",
      START BLOCK PING TEXT("Hi") TEXT(" there") BLOCK_STOP DELTA STOP,
      "PPPPPPTT",
      { C | U, 5, 1200, 150, 300, 40, 0, 8 } },
    { "cut before its end", START BLOCK TEXT("Hi"), "PPP", { U | P, 5, 1200, 150, 300, 2, 0, 2 } },
    { "only begun", START, "P", { U | P, 5, 1200, 150, 300, 2, 0, 0 } },
    { "nothing", PING, "P", { 0, 0, 0, 0, 0, 0, 0, 0 } },
    { "without the last event",
      START TEXT("Hi") DELTA,
      "PPT",
      { C | U, 5, 1200, 150, 300, 40, 0, 2 } },
    { "without a closing record",
      START TEXT("Hi") STOP,
      "PPT",
      { C | U | P, 5, 1200, 150, 300, 2, 0, 2 } },
    { "an error in the middle",
      START BLOCK TEXT("Hi") FAIL,
      "PPPT",
      { E | U | P, 5, 1200, 150, 300, 2, 0, 2 } },
    { "an error at once", FAIL, "T", { E, 0, 0, 0, 0, 0, 0, 0 } },
    { "an error behind the end",
      START TEXT("Hi") DELTA FAIL,
      "PPTT",
      { E | C | U, 5, 1200, 150, 300, 40, 0, 2 } },
    { "behind an error nothing passes",
      START FAIL TEXT("Hi"),
      "PTT",
      { E | U | P, 5, 1200, 150, 300, 2, 0, 2 } },
    { "an error that is no JSON",
      START EVENT("error", "overloaded"),
      "PT",
      { E | U | P, 5, 1200, 150, 300, 2, 0, 0 } },
    { "old servers tell the output alone",
      START DELTA_WITH("\"end_turn\"", "{\"output_tokens\":40}") STOP,
      "PTT",
      { C | U, 5, 1200, 150, 300, 40, 0, 0 } },
    { "null says nothing",
      START DELTA_WITH("\"end_turn\"",
                       "{\"input_tokens\":null,\"cache_creation_input_tokens\":null,"
                       "\"cache_read_input_tokens\":null,\"output_tokens\":40,"
                       "\"server_tool_use\":null}"),
      "PT",
      { C | U, 5, 1200, 150, 300, 40, 0, 0 } },
    { "several records, each the sum so far",
      START TEXT("Hi")
          DELTA_WITH("null", "{\"input_tokens\":700,\"output_tokens\":20,\"server_tool_use\":"
                             "{\"web_search_requests\":1}}") TEXT("!")
              DELTA_WITH("\"end_turn\"",
                         "{\"input_tokens\":9000,\"output_tokens\":60,\"server_tool_use\":"
                         "{\"web_search_requests\":2,\"web_fetch_requests\":5}}") STOP,
      "PPPPTT",
      { C | U, 9000, 1200, 150, 300, 60, 2, 3 } },
    { "text behind a record makes it one so far",
      START TEXT("Hi") DELTA_WITH("null", "{\"output_tokens\":20}") TEXT("!") FAIL,
      "PPPPT",
      { E | U | P, 5, 1200, 150, 300, 20, 0, 3 } },
    { "a record before the reason to stop",
      START TEXT("Hi") DELTA_WITH("null", "{\"output_tokens\":20}") EVENT(
          "message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}"),
      "PPPT",
      { C | U, 5, 1200, 150, 300, 20, 0, 2 } },
    { "a record behind the reason to stop",
      START TEXT("Hi") EVENT(
          "message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}")
          DELTA_WITH("null", "{\"output_tokens\":20}"),
      "PPTT",
      { C | U, 5, 1200, 150, 300, 20, 0, 2 } },
    { "an empty reason to stop is none",
      START DELTA_WITH("\"\"", "{\"output_tokens\":20}") STOP,
      "PPT",
      { C | U, 5, 1200, 150, 300, 20, 0, 0 } },
    { "zeros take nothing back",
      START TEXT("Hi")
          DELTA DELTA_WITH("null", "{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"
                                   "\"cache_read_input_tokens\":0,\"cache_creation\":{"
                                   "\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_"
                                   "tokens\":0},\"output_tokens\":0}"),
      "PPTT",
      { C | U | D, 5, 1200, 150, 300, 40, 0, 2 } },
    { "one zero among real counts is a count",
      START DELTA_WITH("\"end_turn\"", "{\"input_tokens\":0,\"output_tokens\":40}"),
      "PT",
      { C | U, 0, 1200, 150, 300, 40, 0, 0 } },
    { "zeros first, all counts at the end",
      START_WITH("{\"input_tokens\":0,\"output_tokens\":0}") TEXT("Hi") DELTA,
      "PPT",
      { C | U, 5, 1200, 450, 0, 40, 0, 2 } },
    { "more is written to the cache later",
      START DELTA_WITH("\"end_turn\"",
                       "{\"cache_creation_input_tokens\":1000,\"output_tokens\":40}"),
      "PT",
      { C | U, 5, 1200, 700, 300, 40, 0, 0 } },
    { "parts above the whole",
      START DELTA_WITH("\"end_turn\"",
                       "{\"cache_creation_input_tokens\":100,\"output_tokens\":40}"),
      "PT",
      { C | U | D, 5, 1200, 150, 300, 40, 0, 0 } },
    { "parts without the whole",
      START_WITH("{\"input_tokens\":5,\"output_tokens\":1,\"cache_creation\":{\"ephemeral_5m_input_"
                 "tokens\":"
                 "7,\"ephemeral_1h_input_tokens\":8}}")
          DELTA_WITH("\"end_turn\"", "{\"output_tokens\":40}"),
      "PT",
      { C | U, 5, 0, 7, 8, 40, 0, 0 } },
    { "thinking, tools and their arguments are output",
      START EVENT("content_block_delta",
                  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                  "\"thinking_delta\",\"thinking\":\"hm\"}}")
          EVENT("content_block_delta",
                "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                "\"signature_delta\",\"signature\":\"AAAAAAAAAAAA\"}}")
              EVENT("content_block_start",
                    "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":"
                    "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"get\","
                    "\"input\":{}}}")
                  EVENT("content_block_delta",
                        "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{"
                        "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}}"),
      "PPPPP",
      { U | P, 5, 1200, 150, 300, 2, 0, 2 + 3 + 4 } },
    { "what a server's tool has found is none",
      START EVENT("content_block_start",
                  "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":"
                  "\"web_search_tool_result\",\"content\":[{\"type\":\"web_search_result\","
                  "\"text\":\"aaaa\"}]}}"),
      "PP",
      { U | P, 5, 1200, 150, 300, 2, 0, 0 } },
    { "output is measured unescaped",
      START TEXT("a\\n\\\"\\u00fc\\ud83d\\ude00") TEXT("\xE6\xBC\xA2"),
      "PPP",
      { U | P, 5, 1200, 150, 300, 2, 0, 9 + 3 } },
    { "padding behind an event",
      START EVENT("content_block_delta",
                  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                  "\"text_delta\",\"text\":\"Hi\"}      }") TEXT("!"),
      "PPP",
      { U | P, 5, 1200, 150, 300, 2, 0, 3 } },
    { "text that looks like usage, an end, an error",
      START TEXT("\\\"usage\\\":{\\\"output_tokens\\\":9},\\\"stop_reason\\\":\\\"x\\\"")
          TEXT("event: error") TEXT("{\\\"type\\\":\\\"message_stop\\\"}"),
      "PPPP",
      { U | P, 5, 1200, 150, 300, 2, 0, 45 + 12 + 23 } },
    { "a tool's arguments that look like usage",
      START EVENT(
          "content_block_start",
          "{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\",\"name\":"
          "\"f\","
          "\"input\":{\"usage\":{\"output_tokens\":9},\"stop_reason\":\"x\",\"error\":{}}}}"),
      "PP",
      { U | P, 5, 1200, 150, 300, 2, 0, 1 + 58 } },
    { "keys with escapes are keys",
      START EVENT("message_delta",
                  "{\"typ\\u0065\":\"message_delta\",\"del\\u0074a\":{\"stop\\u005freason\":"
                  "\"end_turn\"},\"us\\u0061ge\":{\"output\\u005ftokens\":40}}"),
      "PT",
      { C | U, 5, 1200, 150, 300, 40, 0, 0 } },
    { "events without names",
      "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{"
      "\"input_tokens\":5,\"output_tokens\":1}}}\n\n"
      "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\","
      "\"text\":\"Hi\"}}\n\n"
      "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
      "\"usage\":{\"output_tokens\":40}}\n\ndata: [DONE]\n\n",
      "PPTT",
      { C | U, 5, 0, 0, 0, 40, 0, 2 } },
    { "an unknown event passes",
      START EVENT("message_hint", "{\"type\":\"message_hint\",\"x\":[1]}"),
      "PP",
      { U | P, 5, 1200, 150, 300, 2, 0, 0 } },
    { "another kind of event may hold anything",
      EVENT("pong", "pong"),
      "P",
      { 0, 0, 0, 0, 0, 0, 0, 0 } },
    { "what is no JSON passes and is noted",
      EVENT("content_block_delta", "{\"type\":"),
      "P",
      { R, 0, 0, 0, 0, 0, 0, 0 } },
    { "an error under an innocent name",
      START EVENT("content_block_delta", "{\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}"),
      "PT",
      { E | U | P, 5, 1200, 150, 300, 2, 0, 0 } },
    { "error:null is no error",
      START EVENT("ping", "{\"type\":\"ping\",\"error\":null}"),
      "PP",
      { U | P, 5, 1200, 150, 300, 2, 0, 0 } },
    { "counts as floats and strings",
      START DELTA_WITH("\"end_turn\"", "{\"input_tokens\":7e0,\"output_tokens\":\"40\"}"),
      "PT",
      { C | U | D, 7, 1200, 150, 300, 40, 0, 0 } },
    { "negative and huge counts",
      START DELTA_WITH("\"end_turn\"", "{\"input_tokens\":-7,\"output_tokens\":9007199254740993}"),
      "PT",
      { C | U | D, 5, 1200, 150, 300, TG_COUNT_MAX, 0, 0 } },
    { "no counts at all",
      START_WITH("{}") DELTA_WITH("\"end_turn\"", "null") STOP,
      "PTT",
      { C, 0, 0, 0, 0, 0, 0, 0 } },
    { "iterations leave nothing out",
      START DELTA_WITH(
          "\"end_turn\"",
          "{\"input_tokens\":5,\"output_tokens\":40,\"iterations\":[{\"type\":\"compaction\","
          "\"input_tokens\":100,\"output_tokens\":82,\"cache_creation_input_tokens\":55000,"
          "\"cache_creation\":{\"ephemeral_1h_input_tokens\":55000}},{\"type\":\"message\","
          "\"input_tokens\":5,\"output_tokens\":40,\"cache_read_input_tokens\":1200,"
          "\"cache_creation_input_tokens\":450}]}"),
      "PT",
      { C | U, 105, 1200, 450, 55000, 122, 0, 0 } },
};

/* --- running them -------------------------------------------------------------------------------
 */

enum writing { LF, CRLF, COMMENTS, WRITINGS };

/* The stream as it may be written. */
static size_t write_stream(const char *stream, enum writing writing, char out[STREAM_MAX])
{
    size_t len = 0;

    for (const char *at = stream; *at != '\0'; at++) {
        ck_assert_uint_lt(len + 16, STREAM_MAX);
        if (writing == COMMENTS && (at == stream || at[-1] == '\n') && *at != '\n')
            len += (size_t)sprintf(out + len, ": x\n");
        if (writing == CRLF && *at == '\n')
            out[len++] = '\r';
        out[len++] = *at;
    }
    return len;
}

static char action_letter(enum tg_event_action action)
{
    return action == TG_EVENT_PASS ? 'P' : action == TG_EVENT_TERMINAL ? 'T' : 'D';
}

static struct tg_span public_span(struct span s)
{
    return (struct tg_span){ s.ptr, s.len };
}

/* Read a stream that comes in two pieces. With `forgets` no event is compared with an earlier one.
 */
static void run_stream(int stream, struct span all, size_t cut, bool forgets,
                       struct tg_answer *answer)
{
    char actions[ACTIONS_MAX] = "";
    size_t count = 0;
    size_t taken = 0;
    struct sse sse;
    struct sse_event event;

    *answer = (struct tg_answer){ 0 };
    sse_init(&sse);
    for (int piece = 0; piece < 2; piece++) {
        const size_t end = piece == 0 ? cut : all.len;

        while (sse_next(&sse, span_of(all.ptr + taken, end - taken), &event)) {
            taken += event.bytes.len;
            if (forgets)
                answer->shape.holes = 0;
            if (event.has_data)
                actions[count++] = action_letter(anthropic_read_event(
                    public_span(event.type), public_span(event.data), &streaming, &kind, answer));
        }
    }
    ck_assert_msg(strcmp(actions, streams[stream].actions) == 0, "%s: %s instead of %s",
                  streams[stream].name, actions, streams[stream].actions);
}

static void check_answer(const char *name, const struct expected *expected,
                         const struct tg_answer *answer)
{
    static const enum tg_class classes[] = { TG_INPUT,          TG_CACHE_READ, TG_CACHE_WRITE,
                                             TG_CACHE_WRITE_1H, TG_OUTPUT,     TG_WEB_SEARCH };
    const int64_t counts[] = { expected->input,       expected->cache_read,
                               expected->cache_write, expected->cache_write_1h,
                               expected->output,      expected->web_search };

    ck_assert_msg(answer->flags == expected->flags, "%s: flags %x, not %x", name, answer->flags,
                  expected->flags);
    for (int i = 0; i < COUNT(classes); i++)
        ck_assert_msg(answer->usage.count[classes[i]] == counts[i], "%s: %s is %lld", name,
                      tg_class_name(classes[i]), (long long)answer->usage.count[classes[i]]);
    ck_assert_msg(answer->output_bytes == expected->output_bytes, "%s: %lld bytes", name,
                  (long long)answer->output_bytes);
}

START_TEST(reads_a_stream_cut_at_every_byte_however_it_is_written)
{
    char text[STREAM_MAX];
    struct tg_answer answer;

    for (int writing = LF; writing < WRITINGS; writing++) {
        const size_t len = write_stream(streams[_i].stream, (enum writing)writing, text);

        for (size_t cut = 0; cut <= len; cut++) {
            run_stream(_i, span_of(text, len), cut, /* forgets= */ false, &answer);
            check_answer(streams[_i].name, &streams[_i].expected, &answer);
        }
    }
}
END_TEST

START_TEST(reads_the_same_without_comparing_events)
{
    const struct span all = span_from(streams[_i].stream);
    struct tg_answer compared;
    struct tg_answer read;

    run_stream(_i, all, 0, /* forgets= */ false, &compared);
    run_stream(_i, all, 0, /* forgets= */ true, &read);
    memset(&compared.shape, 0, sizeof(compared.shape));
    memset(&read.shape, 0, sizeof(read.shape));
    ck_assert_mem_eq(&compared, &read, sizeof(read));
}
END_TEST

/* Whatever is cut off an event, nothing of it is believed. */
START_TEST(believes_nothing_of_half_an_event)
{
    const struct span all = span_from(streams[_i].stream);
    struct sse sse;
    struct sse_event event;

    sse_init(&sse);
    ck_assert(sse_next(&sse, all, &event));
    for (size_t len = 1; len < event.data.len; len++) {
        char *const copy = malloc(len + 1);
        struct tg_answer answer = { 0 };

        ck_assert_ptr_nonnull(copy);
        memcpy(copy + 1, event.data.ptr, len);
        ck_assert_int_eq(anthropic_read_event(public_span(SPAN_EMPTY),
                                              (struct tg_span){ copy + 1, len }, &streaming, &kind,
                                              &answer),
                         TG_EVENT_PASS);
        ck_assert_uint_eq(answer.flags, R);
        ck_assert_int_eq(answer.usage.count[TG_INPUT], 0);
        free(copy);
    }
}
END_TEST

START_TEST(compares_events_that_bring_text)
{
    static const char one[] = "{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}";
    const struct tg_span type = { "content_block_delta", 19 };
    struct tg_answer answer = { 0 };

    (void)anthropic_read_event(type, public_span(span_from(one)), &streaming, &kind, &answer);
    ck_assert_int_eq(answer.shape.holes, 1);
    /* The name of the event outweighs its shape. */
    ck_assert_int_eq(anthropic_read_event(public_span(SPAN("error")), public_span(span_from(one)),
                                          &streaming, &kind, &answer),
                     TG_EVENT_TERMINAL);
}
END_TEST

/* --- what is kept -------------------------------------------------------------------------------
 */

static void read_plain(const char *json, struct tg_answer *answer)
{
    *answer = (struct tg_answer){ 0 };
    anthropic_read_answer(public_span(span_from(json)), &kind, answer);
}

static bool is_text(const struct tg_short_text *text, const char *expected)
{
    return span_equal(span_of(text->text, text->len), span_from(expected));
}

static const struct {
    const char *usage;
    const char *tier, *region, *speed;
} places[] = {
    { "{\"input_tokens\":1,\"output_tokens\":1}", "", "", "" },
    { "{\"input_tokens\":1,\"output_tokens\":1,\"service_tier\":\"priority\",\"inference_geo\":"
      "\"us\","
      "\"speed\":\"fast\"}",
      "priority", "us", "fast" },
    { "{\"input_tokens\":1,\"output_tokens\":1,\"service_tier\":\"batch\",\"inference_geo\":"
      "\"global\","
      "\"speed\":\"standard\"}",
      "batch", "", "" },
    { "{\"input_tokens\":1,\"output_tokens\":1,\"service_tier\":null,\"inference_geo\":\"not_"
      "available\","
      "\"speed\":null}",
      "", "", "" },
    { "{\"input_tokens\":1,\"output_tokens\":1,\"service_tier\":7,\"inference_geo\":[\"us\"],"
      "\"speed\":{}}",
      "", "", "" },
};

START_TEST(says_where_and_how_it_was_served)
{
    char body[1024];
    struct tg_answer answer;

    snprintf(body, sizeof(body),
             "{\"id\":\"msg_1\",\"model\":\"c\",\"type\":\"message\",\"usage\":%s}",
             places[_i].usage);
    read_plain(body, &answer);
    ck_assert(is_text(&answer.tier, places[_i].tier));
    ck_assert(is_text(&answer.region, places[_i].region));
    ck_assert(is_text(&answer.speed, places[_i].speed));
    ck_assert(is_text(&answer.model, "c"));
    ck_assert(is_text(&answer.response_id, "msg_1"));
}
END_TEST

START_TEST(counts_thinking_inside_the_output)
{
    struct tg_answer answer;

    read_plain("{\"usage\":{\"input_tokens\":1,\"output_tokens\":50,\"output_tokens_details\":{"
               "\"thinking_tokens\":30}}}",
               &answer);
    ck_assert_int_eq(answer.usage.reasoning_tokens, 30);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], 50);
    ck_assert_uint_eq(answer.flags, C | U);
    read_plain("{\"usage\":{\"input_tokens\":1,\"output_tokens\":50,\"output_tokens_details\":{"
               "\"thinking_tokens\":51}}}",
               &answer);
    ck_assert_int_eq(answer.usage.reasoning_tokens, 50);
    ck_assert_uint_eq(answer.flags, C | U | D);
}
END_TEST

START_TEST(the_prompt_is_what_was_read_written_and_new)
{
    struct tg_answer answer;

    read_plain("{\"usage\":{" COUNTS "}}", &answer);
    ck_assert_int_eq(answer.usage.prompt_tokens, 5 + 450 + 1200);
}
END_TEST

START_TEST(says_where_the_usage_stands)
{
    const char *const json = "{\"type\":\"message_delta\",\"usage\": {" COUNTS "} }";
    struct tg_answer answer = { 0 };

    (void)anthropic_read_event(public_span(SPAN_EMPTY), public_span(span_from(json)), &streaming,
                               &kind, &answer);
    ck_assert(span_equal(
        span_of(json + answer.raw_usage_start, answer.raw_usage_end - answer.raw_usage_start),
        SPAN("{" COUNTS "}")));
    (void)anthropic_read_event(public_span(SPAN_EMPTY), public_span(SPAN("{\"usage\":null}")),
                               &streaming, &kind, &answer);
    ck_assert_uint_eq(answer.raw_usage_end, answer.raw_usage_start);
}
END_TEST

/* --- iterations ---------------------------------------------------------------------------------
 */

#define PART(type, more, in, out)                                                                  \
    "{\"type\":\"" type "\"," more "\"input_tokens\":" #in ",\"output_tokens\":" #out "}"
#define MODEL(name) "\"model\":\"" name "\","

static const struct {
    const char *usage;
    int count;
    uint32_t flags;
    int64_t input, output;
    const char *last_model;
    const char *served;
} parts[] = {
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":null", 0, C | U, 5, 7, "", "c" },
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":[]", 0, C | U, 5, 7, "", "c" },
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":[" PART("message", "", 5, 7) "]", 1,
      C | U, 5, 7, "", "c" },
    { "\"iterations\":[" PART("message", "", 5, 7) "],\"input_tokens\":5,\"output_tokens\":7", 1,
      C | U, 5, 7, "", "c" },
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":[" PART("message", "", 5, 7) "," PART(
          "advisor_message", MODEL("big"), 100, 20) "]",
      2, C | U, 105, 27, "big", "c" },
    { "\"iterations\":[" PART("message", "", 5, 7) "]", 1, C | U | D, 5, 7, "", "c" },
    /* the outer counts are what has answered where a fallback has */
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":[" PART(
          "message", "", 300, 0) "," PART("fallback_message", MODEL("other"), 5, 7) "]",
      0, C | U, 5, 7, "", "other" },
    /* less than the outer counts is not believed */
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":[" PART("message", "", 5, 6) "]", 0,
      C | U | D, 5, 7, "", "c" },
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":[" PART("message", "", 4, 7) "]", 0,
      C | U | D, 5, 7, "", "c" },
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":[{\"type\":\"message\"}," PART(
          "message", "", 5, 7) "]",
      2, C | U | D, 5, 7, "", "c" },
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":[7,\"x\",null," PART("message", "", 5,
                                                                                  7) "]",
      1, C | U, 5, 7, "", "c" },
    { "\"input_tokens\":5,\"output_tokens\":7,\"iterations\":{\"a\":1}", 0, C | U, 5, 7, "", "c" },
    /* a credit has changed the price in a way that no count tells */
    { "\"input_tokens\":5,\"output_tokens\":7,\"fallback_credit\":{\"status\":{\"type\":"
      "\"redeemed\"}}",
      0, C | U | D, 5, 7, "", "c" },
    { "\"input_tokens\":5,\"output_tokens\":7,\"fallback_credit\":{\"status\":{\"type\":\"not_"
      "applied\","
      "\"reason\":\"redeemed\"}}",
      0, C | U, 5, 7, "", "c" },
};

START_TEST(takes_iterations_apart)
{
    char body[1024];
    struct tg_answer answer;
    int64_t input = 0;
    int64_t output = 0;

    snprintf(body, sizeof(body), "{\"model\":\"c\",\"usage\":{%s}}", parts[_i].usage);
    read_plain(body, &answer);
    ck_assert_msg(answer.iteration_count == parts[_i].count, "%s: %d", body,
                  answer.iteration_count);
    ck_assert_msg(answer.flags == parts[_i].flags, "%s: %x", body, answer.flags);
    ck_assert_int_eq(answer.usage.count[TG_INPUT], parts[_i].input);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], parts[_i].output);
    ck_assert(is_text(&answer.model, parts[_i].served));
    for (int i = 0; i < answer.iteration_count; i++) {
        input += answer.iterations[i].usage.count[TG_INPUT];
        output += answer.iterations[i].usage.count[TG_OUTPUT];
    }
    if (answer.iteration_count == 0)
        return;
    ck_assert(is_text(&answer.iterations[answer.iteration_count - 1].model, parts[_i].last_model));
    ck_assert_int_eq(input, parts[_i].input);
    ck_assert_int_eq(output, parts[_i].output);
}
END_TEST

START_TEST(what_server_tools_did_belongs_to_the_answers_own_model)
{
    struct tg_answer answer;

    read_plain(
        "{\"model\":\"c\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"server_tool_use\":{"
        "\"web_search_requests\":3},\"iterations\":[" PART("message", "", 5, 7) "," PART(
            "advisor_message", MODEL("big"), 1, 1) "]}}",
        &answer);
    ck_assert_int_eq(answer.usage.count[TG_WEB_SEARCH], 3);
    ck_assert_int_eq(answer.iterations[0].usage.count[TG_WEB_SEARCH], 3);
    ck_assert_int_eq(answer.iterations[1].usage.count[TG_WEB_SEARCH], 0);
    /* told inside, it would be told twice */
    read_plain(
        "{\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"iterations\":[{\"type\":\"message\","
        "\"input_tokens\":5,\"output_tokens\":7,\"server_tool_use\":{\"web_search_requests\":9}}]}"
        "}",
        &answer);
    ck_assert_int_eq(answer.usage.count[TG_WEB_SEARCH], 0);
    ck_assert_int_eq(answer.iterations[0].usage.count[TG_WEB_SEARCH], 0);
}
END_TEST

/* Twelve turns of one model and two of an advisor, in room for eight. */
START_TEST(more_iterations_than_fit_are_joined_not_lost)
{
    char body[4096] =
        "{\"model\":\"c\",\"usage\":{\"input_tokens\":780,\"output_tokens\":12,\"iterations\":[";
    struct tg_answer answer;
    int64_t input = 0;
    int64_t advisor = 0;
    int64_t largest = 0;

    for (int i = 1; i <= 12; i++)
        sprintf(body + strlen(body), "%s" PART("message", "", % d, 1), i > 1 ? "," : "", i * 10);
    strcat(body, "," PART("advisor_message", MODEL("big"), 1000,
                          5) "," PART("advisor_message", MODEL("big"), 2000, 6) "]}}");
    read_plain(body, &answer);
    ck_assert_int_eq(answer.iteration_count, TG_ITERATIONS_MAX);
    ck_assert_uint_eq(answer.flags, C | U | D);
    for (int i = 0; i < answer.iteration_count; i++) {
        const struct tg_iteration *const part = &answer.iterations[i];

        input += part->usage.count[TG_INPUT];
        if (part->usage.prompt_tokens > largest && part->model.len == 0)
            largest = part->usage.prompt_tokens;
        if (is_text(&part->model, "big"))
            advisor += part->usage.count[TG_INPUT];
    }
    ck_assert_int_eq(input, 780 + 3000);
    ck_assert_int_eq(advisor, 3000);
    ck_assert_int_eq(largest, 120); /* a joined prompt is no longer than its longest */
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], 23);
}
END_TEST

/* The same prompt many times needs no doubt. */
START_TEST(alike_iterations_are_joined_without_doubt)
{
    char body[4096] = "{\"usage\":{\"input_tokens\":120,\"output_tokens\":12,\"iterations\":[";
    struct tg_answer answer;

    for (int i = 1; i <= 12; i++)
        sprintf(body + strlen(body), "%s" PART("message", "", 10, 1), i > 1 ? "," : "");
    strcat(body, "]}}");
    read_plain(body, &answer);
    ck_assert_uint_eq(answer.flags, C | U);
    ck_assert_int_eq(answer.usage.count[TG_INPUT], 120);
    ck_assert_int_eq(answer.usage.prompt_tokens, 10);
}
END_TEST

/* --- plain answers ------------------------------------------------------------------------------
 */

static const struct {
    const char *body;
    uint32_t flags;
    int64_t output;
    int64_t output_bytes;
    const char *error_code;
} answers[] = {
    { "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[{"
      "\"type\":"
      "\"text\",\"text\":\"Hello\"}],\"stop_reason\":\"end_turn\",\"usage\":{" COUNTS "}}",
      C | U, 40, 5, "" },
    { "{\"type\":\"message\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":"
      "\"AAAA\"},"
      "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"get\",\"input\":{\"city\":\"Oslo\"}}],"
      "\"usage\":{" COUNTS "}}",
      C | U, 40, 2 + 3 + 15, "" },
    { "{\"type\":\"message\",\"stop_reason\":\"refusal\",\"content\":[],\"usage\":{\"input_"
      "tokens\":9,"
      "\"output_tokens\":0}}",
      C | U, 0, 0, "" },
    { "{\"type\":\"message\",\"content\":[]}", C, 0, 0, "" },
    { "{\"input_tokens\":2095}", C, 0, 0, "" }, /* tokens that were counted, not used */
    { "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"},\"request_"
      "id\":\"req_1\"}",
      E, 0, 0, "rate_limit_error" },
    { "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"details\":{\"error_code\":"
      "\"enforced_spend_limit_reached\"},\"message\":\"m\"}}",
      E, 0, 0, "enforced_spend_limit_reached" },
    { "{\"error\":{\"message\":\"m\"}}", E, 0, 0, "" },
    { "{\"type\":\"error\"}", E, 0, 0, "" },
    { "", R, 0, 0, "" },
    { "<html>", R, 0, 0, "" },
    { "[1]", R, 0, 0, "" },
    { "{\"usage\":{" COUNTS "}", R, 0, 0, "" },
    { "{\"usage\":{" COUNTS "}} x", R, 0, 0, "" },
};

START_TEST(reads_a_plain_answer)
{
    struct tg_answer answer;

    read_plain(answers[_i].body, &answer);
    ck_assert_uint_eq(answer.flags, answers[_i].flags);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], answers[_i].output);
    ck_assert_int_eq(answer.output_bytes, answers[_i].output_bytes);
    ck_assert(is_text(&answer.error_code, answers[_i].error_code));
}
END_TEST

/* --- the reference vectors ----------------------------------------------------------------------
 */

static void check_buckets(const char *id, const cJSON *buckets, const struct tg_usage *usage)
{
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        const cJSON *const bucket =
            cJSON_GetObjectItemCaseSensitive(buckets, tg_class_name((enum tg_class) class));
        const int64_t expected = bucket == NULL ? 0 : (int64_t)bucket->valuedouble;

        ck_assert_msg(usage->count[class] == expected, "%s: %s is %lld", id,
                      tg_class_name((enum tg_class) class), (long long)usage->count[class]);
    }
}

static bool check_vector(const char *line)
{
    AUTO_JSON vector = cJSON_Parse(line);
    const cJSON *const buckets = cJSON_GetObjectItemCaseSensitive(vector, "buckets");
    const char *const id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(vector, "id"));
    struct tg_answer answer;
    char body[4096];
    char *usage;

    ck_assert_ptr_nonnull(vector);
    if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(vector, "dialect")),
               "anthropic") != 0)
        return false;
    usage = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(vector, "usage"));
    snprintf(body, sizeof(body), "{\"content\":[],\"usage\":%s}", usage);
    cJSON_free(usage);
    read_plain(body, &answer);
    ck_assert_uint_eq(answer.flags, C | U);
    if (!cJSON_IsArray(buckets)) {
        check_buckets(id, buckets, &answer.usage);
        return true;
    }
    ck_assert_int_eq(answer.iteration_count, cJSON_GetArraySize(buckets));
    for (int i = 0; i < answer.iteration_count; i++)
        check_buckets(id, cJSON_GetArrayItem(buckets, i), &answer.iterations[i].usage);
    return true;
}

START_TEST(agrees_with_the_reference_vectors)
{
    FILE *const file = fopen("tests/support/cost_vectors.jsonl", "re");
    char line[8192];
    int checked = 0;

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL)
        checked += check_vector(line) ? 1 : 0;
    fclose(file);
    ck_assert_int_ge(checked, 5);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/anthropic_answer");
    TCase *tc = tcase_create("anthropic_answer");

    tcase_add_loop_test(tc, reads_a_stream_cut_at_every_byte_however_it_is_written, 0,
                        COUNT(streams));
    tcase_add_loop_test(tc, reads_the_same_without_comparing_events, 0, COUNT(streams));
    tcase_add_loop_test(tc, believes_nothing_of_half_an_event, 0, 3);
    tcase_add_test(tc, compares_events_that_bring_text);
    tcase_add_loop_test(tc, says_where_and_how_it_was_served, 0, COUNT(places));
    tcase_add_test(tc, counts_thinking_inside_the_output);
    tcase_add_test(tc, the_prompt_is_what_was_read_written_and_new);
    tcase_add_test(tc, says_where_the_usage_stands);
    tcase_add_loop_test(tc, takes_iterations_apart, 0, COUNT(parts));
    tcase_add_test(tc, what_server_tools_did_belongs_to_the_answers_own_model);
    tcase_add_test(tc, more_iterations_than_fit_are_joined_not_lost);
    tcase_add_test(tc, alike_iterations_are_joined_without_doubt);
    tcase_add_loop_test(tc, reads_a_plain_answer, 0, COUNT(answers));
    tcase_add_test(tc, agrees_with_the_reference_vectors);
    suite_add_tcase(s, tc);
    return s;
}
