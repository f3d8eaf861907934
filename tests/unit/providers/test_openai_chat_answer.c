/* Goal: of every answer in this dialect, whole or streamed, the counts are the provider's to the
 * token, the end is seen where it is, and only the chunk that was asked for here is dropped.
 * Method: samples in the shape of each provider, run through the event splitter cut at every byte;
 * the reference vectors; a second reader that never compares events must come to the same. */
#include "providers/openai_chat_answer.h"

#include "providers/sse.h"
#include "support/suites.h"
#include "support/support_vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define ACTIONS_MAX  64

static const struct tg_kind asking = { .name = "asking", .flags = TG_KIND_ASKS_USAGE };
static const struct tg_kind giving = { .name = "giving" };
static const struct tg_kind telling = { .name = "telling", .flags = TG_KIND_TELLS_COST };
static const struct tg_kind xai = { .name = "xai",
                                    .flags = TG_KIND_REASONING_OUTSIDE | TG_KIND_TELLS_COST };
static const struct tg_kind residual = { .name = "residual", .flags = TG_KIND_OUTPUT_IS_RESIDUAL };

static const struct tg_request unasked = { .flags = TG_REQUEST_STREAM, .choices = 1 };
static const struct tg_request asked = { .flags = TG_REQUEST_STREAM | TG_REQUEST_WANTS_USAGE,
                                         .choices = 1 };
static const struct tg_request three = { .flags = TG_REQUEST_STREAM, .choices = 3 };

/* --- pieces of streams --------------------------------------------------------------------------
 */

#define DATA(json)     "data: " json "\n\n"
#define HEAD           "\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\","
#define CHUNK(choices) DATA("{" HEAD "\"choices\":[" choices "],\"usage\":null}")
#define DELTA(i, text)                                                                             \
    "{\"index\":" #i ",\"delta\":{\"content\":\"" text "\"},\"finish_reason\":null}"
#define FINISH(i)   "{\"index\":" #i ",\"delta\":{},\"finish_reason\":\"stop\"}"
#define COUNTS      "{\"prompt_tokens\":20,\"completion_tokens\":5,\"total_tokens\":25}"
#define USAGE_CHUNK DATA("{" HEAD "\"choices\":[],\"usage\":" COUNTS "}")
#define DONE        DATA("[DONE]")

#define E TG_ANSWER_IS_ERROR
#define C TG_ANSWER_IS_COMPLETE
#define D TG_ANSWER_DOUBTFUL
#define U TG_ANSWER_HAS_USAGE
#define X TG_ANSWER_HAS_COST
#define R TG_ANSWER_UNREADABLE

static const struct {
    const char *name;
    const struct tg_kind *kind;
    const struct tg_request *request;
    const char *stream;
    const char *actions; /* P pass, D drop, T terminal; one an event */
    uint32_t flags;
    int64_t input, cache_read, output;
    int64_t output_bytes;
} streams[] = {
    { "asked here: the chunk is dropped, also behind the end", &asking, &unasked,
      CHUNK(DELTA(0, "")) CHUNK(DELTA(0, "Hi")) CHUNK(FINISH(0)) USAGE_CHUNK DONE, "PPTDT", C | U,
      20, 0, 5, 2 },
    { "asked by the client: it passes", &asking, &asked,
      CHUNK(DELTA(0, "Hi")) CHUNK(FINISH(0)) USAGE_CHUNK DONE, "PTTT", C | U, 20, 0, 5, 2 },
    { "not asked for by anyone: it passes", &giving, &unasked,
      CHUNK(DELTA(0, "Hi")) CHUNK(FINISH(0)) USAGE_CHUNK DONE, "PTTT", C | U, 20, 0, 5, 2 },
    { "without the end mark", &asking, &unasked, CHUNK(DELTA(0, "Hi")) CHUNK(FINISH(0)) USAGE_CHUNK,
      "PTD", C | U, 20, 0, 5, 2 },
    { "without usage", &asking, &unasked, CHUNK(DELTA(0, "Hi")) CHUNK(FINISH(0)) DONE, "PTT", C, 0,
      0, 0, 2 },
    { "cut before its end", &asking, &unasked, CHUNK(DELTA(0, "Hi")) CHUNK(DELTA(0, "!")), "PP", 0,
      0, 0, 0, 3 },
    { "the end mark alone", &asking, &unasked, DONE, "T", C, 0, 0, 0, 0 },
    { "the usage chunk before the finish", &asking, &unasked,
      CHUNK(DELTA(0, "Hi")) USAGE_CHUNK CHUNK(FINISH(0)) DONE, "PDTT", C | U, 20, 0, 5, 2 },
    { "with a repeated empty choice", &asking, &unasked,
      CHUNK(FINISH(0)) DATA("{\"choices\":[{\"index\":0,\"delta\":{}}],\"usage\":" COUNTS "}"),
      "TD", C | U, 20, 0, 5, 0 },
    { "with a repeated choice of empty text", &asking, &unasked,
      CHUNK(FINISH(0))
          DATA("{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
               "\"finish_reason\":null,\"logprobs\":null}],\"usage\":" COUNTS "}"),
      "TD", C | U, 20, 0, 5, 0 },
    { "an empty first choice with usage opens the answer", &asking, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],"
           "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":0}}") CHUNK(FINISH(0))
          USAGE_CHUNK,
      "PTD", C | U, 20, 0, 5, 0 },
    { "usage beside text is text", &asking, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}],\"usage\":" COUNTS "}"),
      "P", U, 20, 0, 5, 2 },
    { "usage with something else of meaning passes", &asking, &unasked,
      CHUNK(FINISH(0)) DATA("{\"choices\":[],\"citations\":[\"a\"],\"usage\":" COUNTS "}"), "TT",
      C | U, 20, 0, 5, 0 },
    { "usage with what only describes the server is dropped", &asking, &unasked,
      CHUNK(FINISH(0)) DATA(
          "{\"choices\":[],\"timings\":{\"prompt_n\":1},\"x\":null,\"y\":[],\"usage\":" COUNTS "}"),
      "TD", C | U, 20, 0, 5, 0 },
    { "Azure's first chunk has no choices and is no usage chunk", &asking, &unasked,
      DATA("{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\","
           "\"prompt_filter_results\":[{\"prompt_index\":0}],\"usage\":null}") CHUNK(DELTA(0, "Hi"))
          CHUNK(FINISH(0)) USAGE_CHUNK,
      "PPTD", C | U, 20, 0, 5, 2 },
    { "null behind usage takes nothing back", &asking, &unasked,
      CHUNK(FINISH(0)) USAGE_CHUNK DATA("{\"choices\":[],\"usage\":null}")
          DATA("{\"choices\":[],\"usage\":{\"prompt_tokens\":null,\"completion_tokens\":null}}"),
      "TDTD", C | U, 20, 0, 5, 0 },
    { "zeros behind usage take nothing back", &giving, &unasked,
      USAGE_CHUNK DATA("{\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,"
                       "\"total_tokens\":0}}"),
      "PP", U | D, 20, 0, 5, 0 },
    { "cumulative usage: the last wins", &giving, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_"
           "tokens\":20,"
           "\"completion_tokens\":1,\"total_tokens\":21}}")
          DATA("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}],\"usage\":{\"prompt_"
               "tokens\":20,"
               "\"completion_tokens\":2,\"total_tokens\":99}}")
              DATA("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
                   "\"usage\":" COUNTS "}"),
      "PPT", C | U, 20, 0, 5, 2 },
    { "a count that is not repeated stands", &giving, &unasked,
      DATA("{\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":1,"
           "\"prompt_tokens_details\":{\"cached_tokens\":8}}}")
          DATA("{\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":5}}"),
      "PP", U, 12, 8, 5, 0 },
    { "three choices end with the last of them", &asking, &three,
      CHUNK(DELTA(0, "a") "," DELTA(2, "c")) CHUNK(FINISH(2)) CHUNK(FINISH(2)) CHUNK(DELTA(1, "b"))
          CHUNK(FINISH(0)) CHUNK(DELTA(1, "d")) CHUNK(FINISH(1)) USAGE_CHUNK DONE,
      "PPPPPPTDT", C | U, 20, 0, 5, 4 },
    { "three choices that end at once", &asking, &three,
      CHUNK(FINISH(0) "," FINISH(1) "," FINISH(2)), "T", C, 0, 0, 0, 0 },
    { "an empty finish_reason finishes nothing", &giving, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"\"}]}")
          CHUNK(FINISH(0)),
      "PT", C, 0, 0, 0, 1 },
    { "a choice without an index is the one at its place", &giving, &unasked,
      DATA("{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}")
          DATA("{\"choices\":[{\"finish_reason\":\"length\",\"delta\":{}}]}"),
      "PT", C, 0, 0, 0, 1 },
    { "an index out of range is none", &giving, &unasked,
      DATA("{\"choices\":[{\"index\":128,\"finish_reason\":\"stop\"},{\"index\":-1,\"finish_"
           "reason\":"
           "\"stop\"}]}"),
      "P", 0, 0, 0, 0, 0 },
    { "Mistral: usage with the finish", &giving, &unasked,
      DATA(
          "{\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},"
          "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1040,\"total_tokens\":1200,"
          "\"completion_tokens\":160,\"num_cached_tokens\":1024}}") DONE,
      "TT", C | U, 16, 1024, 160, 0 },
    { "Mistral: text in parts", &giving, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":"
           "[{"
           "\"type\":\"text\",\"text\":\"abc\"}]},{\"type\":\"text\",\"text\":\"de\"}]}}]}"),
      "P", 0, 0, 0, 0, 5 },
    { "Groq: usage in x_groq", &giving, &unasked,
      DATA("{\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_"
           "reason\":"
           "\"stop\"}],\"x_groq\":{\"id\":\"req_1\",\"usage\":{\"queue_time\":0.05,\"prompt_"
           "tokens\":60,"
           "\"prompt_time\":0.003,\"completion_tokens\":12,\"total_tokens\":72,\"total_time\":0."
           "018}}}"),
      "T", C | U, 60, 0, 12, 0 },
    { "Groq: an error in x_groq", &giving, &unasked,
      CHUNK(DELTA(0, "a"))
          DATA("{\"choices\":[],\"x_groq\":{\"id\":\"r\",\"error\":\"over capacity\"}}"),
      "PT", E, 0, 0, 0, 1 },
    { "Moonshot: usage in the last choice", &giving, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"usage\":{\"prompt_"
           "tokens\":"
           "30,\"completion_tokens\":4,\"total_tokens\":34,\"cached_tokens\":10}}]}") DONE,
      "TT", C | U, 20, 10, 4, 0 },
    { "DeepSeek: hits and misses", &giving, &unasked,
      ": keep-alive\n\n" DATA("{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}"
                              "]}")
          DATA("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}"
               "],"
               "\"usage\":{\"prompt_tokens\":700,\"completion_tokens\":120,\"total_tokens\":820,"
               "\"completion_tokens_details\":{\"reasoning_tokens\":50},\"prompt_cache_hit_"
               "tokens\":640,"
               "\"prompt_cache_miss_tokens\":60}}") DONE,
      "-PTT", C | U, 60, 640, 120, 2 },
    { "hits and misses make the prompt", &giving, &unasked,
      DATA("{\"usage\":{\"completion_tokens\":120,\"prompt_cache_hit_tokens\":640,"
           "\"prompt_cache_miss_tokens\":60}}"),
      "P", U, 60, 640, 120, 0 },
    { "xAI: reasoning outside, the charge in ticks", &xai, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{"
           "\"prompt_tokens\":700,\"completion_tokens\":80,\"total_tokens\":930,\"prompt_tokens_"
           "details\":{"
           "\"text_tokens\":700,\"audio_tokens\":0,\"image_tokens\":0,\"cached_tokens\":640},"
           "\"completion_tokens_details\":{\"reasoning_tokens\":150},\"num_sources_used\":0,"
           "\"cost_in_usd_ticks\":18200000}}"),
      "T", C | U | X, 60, 640, 230, 0 },
    { "Gemini's OpenAI endpoint: thoughts are what the total leaves", &residual, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],"
           "\"usage\":{\"prompt_tokens\":300,\"completion_tokens\":30,\"total_tokens\":490}}"),
      "T", C | U, 300, 0, 190, 1 },
    { "OpenRouter: comments, then an error after the 200", &giving, &unasked,
      ": OPENROUTER PROCESSING\n\n" CHUNK(DELTA(0, "a"))
          DATA("{\"id\":\"g\",\"error\":{\"code\":502,\"message\":\"Provider "
               "disconnected\"},\"choices\":[{"
               "\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}") DONE,
      "-PTT", E | C, 0, 0, 0, 1 },
    { "an error after the 200", &asking, &unasked,
      CHUNK(DELTA(0, "a"))
          DATA("{\"error\":{\"message\":\"no\",\"type\":\"server_error\",\"param\":null,"
               "\"code\":null}}") CHUNK(DELTA(0, "b")),
      "PTT", E, 0, 0, 0, 2 },
    { "an error event", &asking, &unasked, "event: error\n" DATA("{\"message\":\"no\"}"), "T", E, 0,
      0, 0, 0 },
    { "an error event in plain words", &asking, &unasked, "event: error\n" DATA("no"), "T", E, 0, 0,
      0, 0 },
    { "error:null is no error", &giving, &unasked, DATA("{\"error\":null,\"choices\":[]}"), "P", 0,
      0, 0, 0, 0 },
    { "text that looks like usage, an end, an error", &asking, &unasked,
      CHUNK(DELTA(0, "\\\"usage\\\":{\\\"prompt_tokens\\\":9},\\\"finish_reason\\\":\\\"stop\\\""))
          CHUNK(DELTA(0, "data: [DONE]")) CHUNK(DELTA(0, "\\\"choices\\\":[],\\\"error\\\":{}"))
              DATA("{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
                   "\"function\":{"
                   "\"arguments\":\"{\\\"usage\\\":{\\\"prompt_tokens\\\":1}}\"}}]}}]}"),
      "PPPP", 0, 0, 0, 0, 50 + 12 + 23 + 29 },
    { "keys with escapes are keys", &giving, &unasked,
      DATA("{\"ch\\u006fices\":[{\"index\":0,\"finish\\u005freason\":\"stop\",\"delta\":{}}],"
           "\"us\\u0061ge\":{\"prompt\\u005ftokens\":20,\"completion_tokens\":5}}"),
      "T", C | U, 20, 0, 5, 0 },
    { "tool calls, refusals and old function calls are output", &giving, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"tool_calls\":[{"
           "\"index\":0,\"id\":"
           "\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"get\",\"arguments\":\"{}\"}}]"
           "}}]}") DATA("{\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"no!\"}}]}")
          DATA("{\"choices\":[{\"index\":0,\"delta\":{\"function_call\":{\"name\":\"f\","
               "\"arguments\":"
               "\"[1]\"}}}]}")
              DATA("{\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"hm\"}}]}"),
      "PPPP", 0, 0, 0, 0, 5 + 3 + 4 + 2 },
    { "output is measured unescaped", &giving, &unasked,
      CHUNK(DELTA(0, "a\\n\\\"\\u00fc\\ud83d\\ude00")) CHUNK(DELTA(0, "\xE6\xBC\xA2")), "PP", 0, 0,
      0, 0, 9 + 3 },
    { "padding is no output", &asking, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}],"
           "\"usage\":null,\"obfuscation\":\"0123456789\"}")
          DATA("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":null}],"
               "\"usage\":null,\"obfuscation\":\"01\"}")
              DATA("{\"choices\":[],\"usage\":" COUNTS ",\"obfuscation\":\"01234\"}"),
      "PPD", U, 20, 0, 5, 2 },
    { "padding may come first", &asking, &unasked,
      DATA("{\"obfuscation\":\"012345\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}")
          DATA("{\"obfuscation\":\"01\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"bcd\"}}]"
               "}"),
      "PP", 0, 0, 0, 0, 4 },
    { "an empty error is none", &giving, &unasked, DATA("{\"error\":\"\",\"choices\":[]}"), "P", 0,
      0, 0, 0, 0 },
    { "what is no JSON passes and is noted", &giving, &unasked,
      DATA("{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}") CHUNK(DELTA(0, "a")), "PP", R,
      0, 0, 0, 1 },
    { "another kind of event may hold anything", &giving, &unasked, "event: ping\n" DATA("pong"),
      "P", 0, 0, 0, 0, 0 },
    { "counts as floats, strings and beyond bounds", &giving, &unasked,
      DATA("{\"usage\":{\"prompt_tokens\":2e1,\"completion_tokens\":5.0}}")
          DATA("{\"usage\":{\"prompt_tokens\":\"20\",\"completion_tokens\":5}}"),
      "PP", U | D, 20, 0, 5, 0 },
    { "no usage object", &giving, &unasked,
      DATA("{\"usage\":[1]}") DATA("{\"usage\":\"x\"}") DATA("{\"usage\":{}}")
          DATA("{\"usage\":{\"a\":1}}"),
      "PPPP", 0, 0, 0, 0, 0 },
};

static char action_letter(enum tg_event_action action)
{
    switch (action) {
    case TG_EVENT_PASS:
        return 'P';
    case TG_EVENT_DROP:
        return 'D';
    case TG_EVENT_TERMINAL:
        return 'T';
    }
    return '?';
}

static struct tg_span public_span(struct span s)
{
    return (struct tg_span){ s.ptr, s.len };
}

/* Read a stream that comes in two pieces. With `forgets` no event is compared with an earlier one.
 */
static void run_stream(int stream, size_t cut, bool forgets, struct tg_answer *answer)
{
    const struct span all = span_from(streams[stream].stream);
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
            actions[count++] = !event.has_data
                                   ? '-'
                                   : action_letter(openai_chat_read_event(
                                         public_span(event.type), public_span(event.data),
                                         streams[stream].request, streams[stream].kind, answer));
        }
    }
    ck_assert_msg(strcmp(actions, streams[stream].actions) == 0, "%s: %s instead of %s",
                  streams[stream].name, actions, streams[stream].actions);
}

static void check_stream(int stream, const struct tg_answer *answer)
{
    const char *const name = streams[stream].name;

    ck_assert_msg(answer->flags == streams[stream].flags, "%s: flags %x", name, answer->flags);
    ck_assert_msg(answer->usage.count[TG_INPUT] == streams[stream].input, "%s: input", name);
    ck_assert_msg(answer->usage.count[TG_CACHE_READ] == streams[stream].cache_read, "%s: cache",
                  name);
    ck_assert_msg(answer->usage.count[TG_OUTPUT] == streams[stream].output, "%s: output", name);
    ck_assert_msg(answer->output_bytes == streams[stream].output_bytes, "%s: %lld bytes", name,
                  (long long)answer->output_bytes);
}

START_TEST(reads_a_stream_cut_at_every_byte)
{
    const size_t len = strlen(streams[_i].stream);
    struct tg_answer answer;

    for (size_t cut = 0; cut <= len; cut++) {
        run_stream(_i, cut, /* forgets= */ false, &answer);
        check_stream(_i, &answer);
    }
}
END_TEST

START_TEST(reads_the_same_without_comparing_events)
{
    struct tg_answer compared;
    struct tg_answer read;

    run_stream(_i, 0, /* forgets= */ false, &compared);
    run_stream(_i, 0, /* forgets= */ true, &read);
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
    for (size_t len = 0; len < event.data.len; len++) {
        char *const copy = malloc(len + 1);
        struct tg_answer answer = { 0 };

        ck_assert_ptr_nonnull(copy);
        memcpy(copy + 1, event.data.ptr, len);
        ck_assert_int_eq(openai_chat_read_event(public_span(SPAN_EMPTY),
                                                (struct tg_span){ copy + 1, len }, &unasked,
                                                &asking, &answer),
                         TG_EVENT_PASS);
        ck_assert_uint_eq(answer.flags, len == 0 ? 0 : TG_ANSWER_UNREADABLE);
        ck_assert_int_eq(answer.output_bytes, 0);
        free(copy);
    }
}
END_TEST

/* --- what is kept -------------------------------------------------------------------------------
 */

static void read_one(const char *json, struct tg_answer *answer)
{
    (void)openai_chat_read_event(public_span(SPAN_EMPTY), public_span(span_from(json)), &unasked,
                                 &giving, answer);
}

static bool is_text(const struct tg_short_text *text, const char *expected)
{
    return span_equal(span_of(text->text, text->len), span_from(expected));
}

START_TEST(keeps_names_as_first_sent)
{
    struct tg_answer answer = { 0 };

    read_one("{\"id\":\"\",\"model\":\"\",\"service_tier\":null,\"choices\":[]}", &answer);
    ck_assert_uint_eq(answer.model.len, 0);
    read_one("{\"id\":\"c\\u002d1\",\"model\":\"m-1\",\"service_tier\":\"flex\",\"choices\":[]}",
             &answer);
    read_one("{\"id\":\"c-2\",\"model\":\"m-2\",\"service_tier\":\"default\",\"choices\":[]}",
             &answer);
    ck_assert(is_text(&answer.response_id, "c-1"));
    ck_assert(is_text(&answer.model, "m-1"));
    ck_assert(is_text(&answer.tier, "flex"));
    ck_assert_int_eq(answer.events, 3);
}
END_TEST

START_TEST(finds_the_tier_inside_usage)
{
    struct tg_answer answer = { 0 };

    read_one(
        "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"service_tier\":\"priority\"}}",
        &answer);
    ck_assert(is_text(&answer.tier, "priority"));
}
END_TEST

START_TEST(cuts_long_names_at_a_character)
{
    char json[512];
    struct tg_answer answer = { 0 };

    sprintf(json, "{\"model\":\"%0*d\xC3\xB6\xC3\xB6\"}", TG_SHORT_TEXT_MAX - 3, 0);
    read_one(json, &answer);
    ck_assert_uint_eq(answer.model.len, TG_SHORT_TEXT_MAX - 1);
}
END_TEST

START_TEST(says_where_the_usage_stands)
{
    const char *const json = "{\"choices\":[],\"usage\": " COUNTS " }";
    struct tg_answer answer = { 0 };

    read_one(json, &answer);
    ck_assert(span_equal(
        span_of(json + answer.raw_usage_start, answer.raw_usage_end - answer.raw_usage_start),
        SPAN(COUNTS)));
    read_one("{\"choices\":[],\"usage\":null}", &answer);
    ck_assert_uint_eq(answer.raw_usage_end, answer.raw_usage_start);
}
END_TEST

static const struct {
    const char *usage; /* members behind the counts */
    bool has_cost;
    int64_t cost_nusd;
} costs[] = {
    { "\"a\":1", false, 0 },
    { "\"cost\":0.0027525,\"is_byok\":false,\"cost_details\":{\"upstream_inference_cost\":0."
      "0027525}",
      true, 2752500 },
    { "\"cost\":0", true, 0 },
    { "\"cost\":1.5e-7", true, 150 },
    { "\"cost\":0.0001,\"is_byok\":true,\"cost_details\":{\"upstream_inference_cost\":0.002}", true,
      2100000 },
    { "\"cost_details\":{\"upstream_inference_cost\":0.002},\"is_byok\":true,\"cost\":0", true,
      2000000 },
    { "\"cost\":0.5,\"is_byok\":true,\"cost_details\":null", true, 500000000 },
    { "\"cost\":{\"input_tokens_cost\":0.000042,\"request_cost\":0.006,\"total_cost\":0.008487}",
      true, 8487000 },
    { "\"cost\":{\"request_cost\":0.006}", false, 0 },
    { "\"cost\":null", false, 0 },
    { "\"cost\":\"0.5\"", false, 0 },
    { "\"cost\":-0.5", false, 0 },
    { "\"cost\":1e30", false, 0 },
    { "\"cost\":[1]", false, 0 },
    { "\"cost_in_usd_ticks\":18200000", true, 1820000 },
    { "\"cost_in_usd_ticks\":15", true, 2 },
};

START_TEST(takes_the_providers_own_charge)
{
    char json[512];
    struct tg_answer answer = { 0 };

    snprintf(json, sizeof(json), "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,%s}}",
             costs[_i].usage);
    openai_chat_read_answer(public_span(span_from(json)), &telling, &answer);
    ck_assert(((answer.flags & X) != 0) == costs[_i].has_cost);
    ck_assert_int_eq(answer.provider_cost_nusd, costs[_i].cost_nusd);
    ck_assert((answer.flags & U) != 0);
    /* Of who is not known to tell its charge, such a member is none. */
    answer = (struct tg_answer){ 0 };
    openai_chat_read_answer(public_span(span_from(json)), &giving, &answer);
    ck_assert((answer.flags & X) == 0 && (answer.flags & U) != 0);
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
    { "{\"id\":\"c1\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{\"index\":0,"
      "\"message\":{"
      "\"role\":\"assistant\",\"content\":\"Hello\",\"refusal\":null},\"finish_reason\":\"stop\"}],"
      "\"usage\":" COUNTS "}",
      C | U, 5, 5, "" },
    { "\n\n\n "
      "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\","
      "\"arguments\":\"{}\"}}]}}],\"usage\":" COUNTS "}\n",
      C | U, 5, 3, "" },
    { "{\"choices\":[],\"usage\":" COUNTS
      ",\"x_groq\":{\"id\":\"r\",\"usage\":{\"dram_cached_tokens\":9,"
      "\"sram_cached_tokens\":9}}}",
      C | U, 5, 0, "" },
    { "{\"choices\":[]}", C, 0, 0, "" },
    { "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":"
      "\"bad\"}}",
      E, 0, 0, "bad" },
    { "{\"error\":{\"type\":\"server_error\",\"code\":null}}", E, 0, 0, "server_error" },
    { "{\"error\":{\"code\":429,\"type\":\"x\"}}", E, 0, 0, "429" },
    { "{\"error\":\"model not found\"}", E, 0, 0, "" },
    { "{\"object\":\"error\",\"message\":{\"detail\":[]},\"type\":\"invalid_request_error\","
      "\"code\":3051}",
      E, 0, 0, "3051" },
    { "", R, 0, 0, "" },
    { "not found", R, 0, 0, "" },
    { "<html>", R, 0, 0, "" },
    { "[1]", R, 0, 0, "" },
    { "{\"usage\":" COUNTS, R, 0, 0, "" },
    { "{\"usage\":" COUNTS "} x", R, 0, 0, "" },
};

START_TEST(reads_a_plain_answer)
{
    struct tg_answer answer = { 0 };

    openai_chat_read_answer(public_span(span_from(answers[_i].body)), &giving, &answer);
    ck_assert_uint_eq(answer.flags, answers[_i].flags);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], answers[_i].output);
    ck_assert_int_eq(answer.output_bytes, answers[_i].output_bytes);
    ck_assert(is_text(&answer.error_code, answers[_i].error_code));
}
END_TEST

/* --- the reference vectors ----------------------------------------------------------------------
 */

static const struct {
    const char *dialect; /* as the vectors name it */
    const struct tg_kind *kind;
} vector_kinds[] = {
    { "openai-chat", &giving },
    { "openai-compat-residual", &residual },
    { "xai-chat", &xai },
    { "deepseek", &giving },
};

static void read_vector(const char *dialect, const char *usage, struct tg_answer *answer)
{
    char body[4096];

    snprintf(body, sizeof(body), "{\"choices\":[],\"usage\":%s}", usage);
    for (int i = 0; i < COUNT(vector_kinds); i++)
        if (strcmp(dialect, vector_kinds[i].dialect) == 0)
            openai_chat_read_answer(public_span(span_from(body)), vector_kinds[i].kind, answer);
    ck_assert_uint_eq(answer->flags, C | U);
}

START_TEST(agrees_with_the_reference_vectors)
{
    int checked = 0;

    for (int i = 0; i < COUNT(vector_kinds); i++)
        checked += support_check_vectors(vector_kinds[i].dialect, read_vector);
    ck_assert_int_ge(checked, 14);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/openai_chat_answer");
    TCase *tc = tcase_create("openai_chat_answer");

    tcase_add_loop_test(tc, reads_a_stream_cut_at_every_byte, 0, COUNT(streams));
    tcase_add_loop_test(tc, reads_the_same_without_comparing_events, 0, COUNT(streams));
    tcase_add_loop_test(tc, believes_nothing_of_half_an_event, 0, 6);
    tcase_add_test(tc, keeps_names_as_first_sent);
    tcase_add_test(tc, finds_the_tier_inside_usage);
    tcase_add_test(tc, cuts_long_names_at_a_character);
    tcase_add_test(tc, says_where_the_usage_stands);
    tcase_add_loop_test(tc, takes_the_providers_own_charge, 0, COUNT(costs));
    tcase_add_loop_test(tc, reads_a_plain_answer, 0, COUNT(answers));
    tcase_add_test(tc, agrees_with_the_reference_vectors);
    suite_add_tcase(s, tc);
    return s;
}
