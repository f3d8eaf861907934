/* Goal: of every answer in this dialect, whole or streamed, as events or as an array, the counts
 * are Google's to the token, and the end is seen where it is. Method: samples in Google's shape,
 * written in each framing and cut at every byte: the facts are the same each time; the reference
 * vectors. */
#include "providers/gemini_answer.h"

#include "base/json.h"
#include "providers/json_array.h"
#include "providers/sse.h"
#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define STREAM_MAX   8192
#define EVENTS_MAX   8
#define ACTIONS_MAX  32

static const struct tg_kind google = { .name = "google", .flags = TG_KIND_OUTPUT_IS_RESIDUAL };

#define E TG_ANSWER_IS_ERROR
#define C TG_ANSWER_IS_COMPLETE
#define D TG_ANSWER_DOUBTFUL
#define U TG_ANSWER_HAS_USAGE
#define R TG_ANSWER_UNREADABLE

static struct tg_span public_span(struct span s)
{
    return (struct tg_span){ s.ptr, s.len };
}

/* --- streams ------------------------------------------------------------------------------------
 */

#define TEXT(text)                                                                                 \
    "{\"content\":{\"parts\":[{\"text\":\"" text "\"}],\"role\":\"model\"},\"index\":0}"
#define STOP(text)                                                                                 \
    "{\"content\":{\"parts\":[{\"text\":\"" text                                                   \
    "\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}"
#define CHUNK(c, usage)                                                                            \
    "{\"candidates\":[" c "],\"usageMetadata\":{" usage                                            \
    "},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"r1\"}"
#define PROMPT   "\"promptTokenCount\":300,\"totalTokenCount\":300"
#define THINKING "\"promptTokenCount\":300,\"totalTokenCount\":460,\"thoughtsTokenCount\":160"
#define ALL                                                                                        \
    "\"promptTokenCount\":300,\"candidatesTokenCount\":30,\"totalTokenCount\":490,"                \
    "\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":300}],"                        \
    "\"thoughtsTokenCount\":160,\"serviceTier\":\"standard\""

static const struct {
    const char *name;
    int64_t choices;
    const char *events[EVENTS_MAX];
    const char *actions; /* P pass, T terminal; one an event */
    uint32_t flags;
    int64_t input, cache_read, output, reasoning;
    int64_t output_bytes;
} streams[] = {
    { "usage in every chunk: the last holds",
      1,
      { CHUNK(TEXT("Hi"), THINKING), CHUNK(STOP("."), ALL) },
      "PT",
      C | U,
      300,
      0,
      190,
      160,
      3 },
    { "early chunks lack the candidates",
      1,
      { CHUNK(TEXT("a"), PROMPT), CHUNK(TEXT("b"), THINKING), CHUNK(STOP(""), ALL) },
      "PPT",
      C | U,
      300,
      0,
      190,
      160,
      2 },
    { "what comes behind the end counts, and is withheld",
      1,
      { CHUNK(STOP("."), THINKING), CHUNK("", ALL) },
      "TT",
      C | U,
      300,
      0,
      190,
      160,
      1 },
    { "a finish in every chunk: nothing passes behind the first",
      1,
      { CHUNK(STOP("a"), PROMPT), CHUNK(STOP("b"), ALL) },
      "TT",
      C | U,
      300,
      0,
      190,
      160,
      2 },
    { "no usage at all",
      1,
      { "{\"candidates\":[" TEXT("Hi") "]}", "{\"candidates\":[" STOP("") "]}" },
      "PT",
      C,
      0,
      0,
      0,
      0,
      2 },
    { "cut before its end", 1, { CHUNK(TEXT("Hi"), THINKING) }, "P", U, 300, 0, 160, 160, 2 },
    { "thoughts and no candidates",
      1,
      { CHUNK("{\"finishReason\":\"MAX_TOKENS\",\"index\":0}", THINKING) },
      "T",
      C | U,
      300,
      0,
      160,
      160,
      0 },
    { "null takes nothing back",
      1,
      { CHUNK(TEXT("a"), ALL),
        CHUNK(STOP("b"), "\"promptTokenCount\":null,\"candidatesTokenCount\":null,"
                         "\"thoughtsTokenCount\":null,\"totalTokenCount\":null,"
                         "\"promptTokensDetails\":null") },
      "PT",
      C | U,
      300,
      0,
      190,
      160,
      2 },
    { "zeros behind counts take nothing back",
      1,
      { CHUNK(STOP("a"), ALL), CHUNK("", "\"promptTokenCount\":0,\"totalTokenCount\":0") },
      "TT",
      C | U | D,
      300,
      0,
      190,
      160,
      1 },
    { "a count that is not repeated stands",
      1,
      { CHUNK(TEXT("a"), "\"promptTokenCount\":300,\"cachedContentTokenCount\":100"),
        CHUNK(STOP("b"), "\"promptTokenCount\":300,\"candidatesTokenCount\":5") },
      "PT",
      C | U,
      200,
      100,
      5,
      0,
      2 },
    { "two candidates end with the last of them",
      2,
      { CHUNK(TEXT("a") ",{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"index\":1}", PROMPT),
        CHUNK("{\"finishReason\":\"STOP\",\"index\":1}", THINKING),
        CHUNK("{\"finishReason\":\"STOP\",\"index\":1}", THINKING), CHUNK(STOP("c"), ALL) },
      "PPPT",
      C | U,
      300,
      0,
      190,
      160,
      3 },
    { "two candidates that end at once",
      2,
      { CHUNK(STOP("a") ",{\"finishReason\":\"SAFETY\",\"index\":1}", ALL) },
      "T",
      C | U,
      300,
      0,
      190,
      160,
      1 },
    { "candidates without an index stand at their place",
      2,
      { CHUNK("{\"finishReason\":\"STOP\"},{\"content\":{}}", ALL),
        CHUNK("{},{\"finishReason\":\"STOP\"}", ALL) },
      "PT",
      C | U,
      300,
      0,
      190,
      160,
      0 },
    { "an index out of range is none",
      1,
      { CHUNK("{\"finishReason\":\"STOP\",\"index\":128},{\"finishReason\":\"STOP\",\"index\":-1}",
              PROMPT) },
      "P",
      U,
      300,
      0,
      0,
      0,
      0 },
    { "no reason to finish",
      1,
      { CHUNK("{\"finishReason\":\"\"}", PROMPT), CHUNK("{\"finishReason\":null}", PROMPT),
        CHUNK("{\"finishReason\":\"FINISH_REASON_UNSPECIFIED\"}", PROMPT) },
      "PPP",
      U,
      300,
      0,
      0,
      0,
      0 },
    { "a prompt that was blocked",
      1,
      { "{\"promptFeedback\":{\"blockReason\":\"SAFETY\",\"safetyRatings\":[]},"
        "\"usageMetadata\":{\"promptTokenCount\":12,\"totalTokenCount\":12}}" },
      "T",
      C | U,
      12,
      0,
      0,
      0,
      0 },
    { "feedback that blocks nothing",
      1,
      { "{\"promptFeedback\":{\"safetyRatings\":[]}}" },
      "P",
      0,
      0,
      0,
      0,
      0,
      0 },
    { "an error after the 200",
      1,
      { CHUNK(TEXT("a"), PROMPT),
        "{\"error\":{\"code\":503,\"message\":\"overloaded\",\"status\":\"UNAVAILABLE\"}}",
        CHUNK(TEXT("b"), PROMPT) },
      "PTT",
      E | U,
      300,
      0,
      0,
      0,
      2 },
    { "error:null is none", 1, { "{\"error\":null,\"candidates\":[]}" }, "P", 0, 0, 0, 0, 0, 0 },
    { "function calls, code and what it printed are output",
      1,
      { CHUNK(
          "{\"content\":{\"parts\":[{\"functionCall\":{\"id\":\"1\",\"name\":\"get\","
          "\"args\":{\"a\":[1]}}},{\"executableCode\":{\"language\":\"PYTHON\",\"code\":"
          "\"x=1\"}},{\"codeExecutionResult\":{\"outcome\":\"OUTCOME_OK\",\"output\":\"12\"}}]}}",
          PROMPT) },
      "P",
      U,
      300,
      0,
      0,
      0,
      3 + 9 + 3 + 2 },
    { "thoughts are seen, signatures and pictures are not text",
      1,
      { CHUNK("{\"content\":{\"parts\":[{\"text\":\"hmm\",\"thought\":true,"
              "\"thoughtSignature\":\"AAAA\"},{\"inlineData\":{\"mimeType\":\"image/png\","
              "\"data\":\"AAAA\"}},7,null]}}",
              PROMPT) },
      "P",
      U,
      300,
      0,
      0,
      0,
      3 },
    { "output is measured unescaped",
      1,
      { CHUNK(TEXT("a\\n\\\"\\u00fc\\ud83d\\ude00"), PROMPT) },
      "P",
      U,
      300,
      0,
      0,
      0,
      9 },
    { "text that looks like an end, usage, an error, a bracket",
      1,
      { CHUNK(TEXT("\\\"finishReason\\\":\\\"STOP\\\"}],"), PROMPT),
        CHUNK(TEXT("{\\\"error\\\":{}}]"), PROMPT) },
      "PP",
      U,
      300,
      0,
      0,
      0,
      24 + 13 },
    { "keys with escapes are keys",
      1,
      { "{\"c\\u0061ndidates\":[{\"finish\\u0052eason\":\"STOP\"}],\"usage\\u004detadata\":{"
        "\"prompt\\u0054okenCount\":20,\"candidatesTokenCount\":5}}" },
      "T",
      C | U,
      20,
      0,
      5,
      0,
      0 },
    { "what is no JSON passes and is noted",
      1,
      { "{\"candidates\":[{\"finishReason\":\"STOP\"}", CHUNK(TEXT("a"), PROMPT) },
      NULL,
      R,
      0,
      0,
      0,
      0,
      0 },
    { "no usage object",
      1,
      { "{\"usageMetadata\":[1]}", "{\"usageMetadata\":\"x\"}", "{\"usageMetadata\":{}}",
        "{\"usageMetadata\":{\"a\":1}}", "{\"usageMetadata\":null}" },
      "PPPPP",
      0,
      0,
      0,
      0,
      0,
      0 },
    { "no candidates where they are due",
      1,
      { "{\"candidates\":7}", "{\"candidates\":[7,null]}",
        "{\"candidates\":{\"finishReason\":\"STOP\"}}",
        "{\"candidates\":[{\"content\":7,\"finishReason\":7,\"index\":\"0\"}]}" },
      "PPPP",
      0,
      0,
      0,
      0,
      0,
      0 },
    { "counts as floats, strings and beyond bounds",
      1,
      { CHUNK("", "\"promptTokenCount\":2e1,\"candidatesTokenCount\":5.0"),
        CHUNK("", "\"promptTokenCount\":\"20\",\"candidatesTokenCount\":5") },
      "PP",
      U | D,
      20,
      0,
      5,
      0,
      0 },
};

/* How a stream is written. */
enum writing { LF, CRLF, COMMENTS, ARRAY, ARRAY_PRETTY, WRITINGS };

static void write_stream(int stream, enum writing writing, char out[STREAM_MAX])
{
    const bool is_array = writing == ARRAY || writing == ARRAY_PRETTY;
    const char *const eol = writing == CRLF ? "\r\n" : "\n";
    char *at = out;

    for (int i = 0; i < EVENTS_MAX && streams[stream].events[i] != NULL; i++) {
        const char *const event = streams[stream].events[i];

        if (is_array)
            at += sprintf(at, "%s%s%s", i == 0 ? "[" : ",", writing == ARRAY_PRETTY ? "\r\n" : "",
                          event);
        else
            at += sprintf(at, "%sdata: %s%s%s", writing == COMMENTS ? ": ping\n" : "", event, eol,
                          eol);
    }
    if (is_array)
        strcpy(at, writing == ARRAY ? "]" : "\r\n]\r\n");
}

struct splitter {
    enum writing writing;
    struct sse sse;
    struct json_array array;
};

static bool next_event(struct splitter *splitter, struct span pending, struct sse_event *ret_event)
{
    if (splitter->writing >= ARRAY)
        return json_array_next(&splitter->array, pending, ret_event);
    return sse_next(&splitter->sse, pending, ret_event);
}

static void run_stream(int stream, enum writing writing, size_t cut, struct tg_answer *answer)
{
    const struct tg_request request = { .flags = TG_REQUEST_STREAM,
                                        .choices = streams[stream].choices };
    struct splitter splitter = { .writing = writing };
    char text[STREAM_MAX] = "";
    char actions[ACTIONS_MAX] = "";
    size_t count = 0;
    size_t taken = 0;
    struct sse_event event;

    *answer = (struct tg_answer){ 0 };
    write_stream(stream, writing, text);
    for (int piece = 0; piece < 2; piece++) {
        const size_t end = piece == 0 && cut < strlen(text) ? cut : strlen(text);

        while (next_event(&splitter, span_of(text + taken, end - taken), &event)) {
            taken += event.bytes.len;
            actions[count++] = gemini_read_event(public_span(event.type), public_span(event.data),
                                                 &request, &google, answer) == TG_EVENT_TERMINAL
                                   ? 'T'
                                   : 'P';
        }
    }
    if (streams[stream].actions != NULL)
        ck_assert_msg(strcmp(actions, streams[stream].actions) == 0,
                      "%s, writing %d: %s instead of %s", streams[stream].name, (int)writing,
                      actions, streams[stream].actions);
}

static void check_stream(int stream, enum writing writing, const struct tg_answer *answer)
{
    const char *const name = streams[stream].name;
    const struct tg_usage *const usage = &answer->usage;

    /* Half an object swallows what stands behind it in an array, and nothing but itself elsewhere.
     */
    if (streams[stream].actions == NULL) {
        ck_assert(writing >= ARRAY || (answer->flags & R) != 0);
        ck_assert_uint_eq(answer->flags & (C | E), 0);
        return;
    }
    ck_assert_msg(answer->flags == streams[stream].flags, "%s: flags %x", name, answer->flags);
    ck_assert_msg(usage->count[TG_INPUT] == streams[stream].input, "%s: input", name);
    ck_assert_msg(usage->count[TG_CACHE_READ] == streams[stream].cache_read, "%s: cache", name);
    ck_assert_msg(usage->count[TG_OUTPUT] == streams[stream].output, "%s: output %lld", name,
                  (long long)usage->count[TG_OUTPUT]);
    ck_assert_msg(usage->reasoning_tokens == streams[stream].reasoning, "%s: reasoning", name);
    ck_assert_msg(answer->output_bytes == streams[stream].output_bytes, "%s: %lld bytes", name,
                  (long long)answer->output_bytes);
}

START_TEST(reads_a_stream_in_every_framing_cut_at_every_byte)
{
    for (int writing = LF; writing < WRITINGS; writing++) {
        char text[STREAM_MAX] = "";
        struct tg_answer answer;

        write_stream(_i, (enum writing)writing, text);
        for (size_t cut = 0; cut <= strlen(text); cut++) {
            run_stream(_i, (enum writing)writing, cut, &answer);
            check_stream(_i, (enum writing)writing, &answer);
        }
    }
}
END_TEST

/* Whatever is cut off an event, nothing of it is believed. */
START_TEST(believes_nothing_of_half_an_event)
{
    static const char event[] = CHUNK(STOP("Hi"), ALL);
    const struct tg_request request = { .flags = TG_REQUEST_STREAM, .choices = 1 };

    for (size_t len = 0; len < sizeof(event) - 1; len++) {
        char *const copy = malloc(len + 1);
        struct tg_answer answer = { 0 };

        ck_assert_ptr_nonnull(copy);
        memcpy(copy + 1, event, len);
        ck_assert_int_eq(gemini_read_event(public_span(SPAN_EMPTY),
                                           (struct tg_span){ copy + 1, len }, &request, &google,
                                           &answer),
                         TG_EVENT_PASS);
        ck_assert_uint_eq(answer.flags, len == 0 ? 0 : R);
        ck_assert_int_eq(answer.output_bytes, 0);
        free(copy);
    }
}
END_TEST

START_TEST(an_event_that_is_called_an_error_is_one)
{
    static const char *const data[] = { "no", "{\"message\":\"no\"}", "" };
    const struct tg_request request = { .flags = TG_REQUEST_STREAM, .choices = 1 };

    for (int i = 0; i < COUNT(data); i++) {
        struct tg_answer answer = { 0 };

        ck_assert_int_eq(gemini_read_event(public_span(SPAN("error")),
                                           public_span(span_from(data[i])), &request, &google,
                                           &answer),
                         TG_EVENT_TERMINAL);
        ck_assert_uint_eq(answer.flags, E);
    }
}
END_TEST

/* --- classes ------------------------------------------------------------------------------------
 */

#define DETAIL(modality, n) "{\"modality\":\"" modality "\",\"tokenCount\":" #n "}"

static const struct {
    const char *usage;
    bool is_embedding;
    bool is_doubtful;
    int64_t prompt; /* picks the context tier */
    struct {
        enum tg_class class;
        int64_t count;
    } classes[6];
} usages[] = {
    { "\"promptTokenCount\":300,\"candidatesTokenCount\":30,\"totalTokenCount\":330",
      false,
      false,
      300,
      { { TG_INPUT, 300 }, { TG_OUTPUT, 30 } } },
    { "\"promptTokenCount\":250,\"candidatesTokenCount\":180,\"thoughtsTokenCount\":800,"
      "\"toolUsePromptTokenCount\":1700,\"totalTokenCount\":2930",
      false,
      false,
      250,
      { { TG_INPUT, 1950 }, { TG_OUTPUT, 980 } } },
    { "\"promptTokenCount\":1000,\"cachedContentTokenCount\":900,\"candidatesTokenCount\":5,"
      "\"totalTokenCount\":1005",
      false,
      false,
      1000,
      { { TG_INPUT, 100 }, { TG_CACHE_READ, 900 }, { TG_OUTPUT, 5 } } },
    /* audio has classes of its own, cached audio too; images and video of a prompt are text */
    { "\"promptTokenCount\":1000,\"candidatesTokenCount\":5,\"promptTokensDetails\":[" DETAIL(
          "TEXT", 300) "," DETAIL("AUDIO", 400) "," DETAIL("IMAGE", 200) "," DETAIL("VIDEO",
                                                                                    100) "]",
      false,
      false,
      1000,
      { { TG_INPUT, 600 }, { TG_INPUT_AUDIO, 400 }, { TG_OUTPUT, 5 } } },
    { "\"promptTokenCount\":1000,\"cachedContentTokenCount\":500,\"candidatesTokenCount\":5,"
      "\"promptTokensDetails\":[" DETAIL("AUDIO", 400) "],\"cacheTokensDetails\":[" DETAIL(
          "AUDIO", 150) "," DETAIL("TEXT", 350) "]",
      false,
      false,
      1000,
      { { TG_INPUT, 250 },
        { TG_INPUT_AUDIO, 250 },
        { TG_CACHE_READ, 350 },
        { TG_CACHE_READ_AUDIO, 150 },
        { TG_OUTPUT, 5 } } },
    { "\"promptTokenCount\":100,\"toolUsePromptTokenCount\":50,\"candidatesTokenCount\":5,"
      "\"toolUsePromptTokensDetails\":[" DETAIL("AUDIO", 20) "]",
      false,
      false,
      100,
      { { TG_INPUT, 130 }, { TG_INPUT_AUDIO, 20 }, { TG_OUTPUT, 5 } } },
    { "\"promptTokenCount\":10,\"candidatesTokenCount\":1300,\"thoughtsTokenCount\":60,"
      "\"candidatesTokensDetails\":[" DETAIL("IMAGE", 1290) "]",
      false,
      false,
      10,
      { { TG_INPUT, 10 }, { TG_OUTPUT, 70 }, { TG_OUTPUT_IMAGE, 1290 } } },
    { "\"promptTokenCount\":10,\"candidatesTokenCount\":100,\"candidatesTokensDetails\":[" DETAIL(
          "AUDIO", 60) "," DETAIL("VIDEO", 30) "]",
      false,
      false,
      10,
      { { TG_INPUT, 10 }, { TG_OUTPUT, 10 }, { TG_OUTPUT_AUDIO, 60 }, { TG_OUTPUT_VIDEO, 30 } } },
    /* a modality twice, without a count, of another kind */
    { "\"promptTokenCount\":100,\"promptTokensDetails\":[{\"modality\":\"AUDIO\"},"
      "{\"tokenCount\":30,\"modality\":\"AUDIO\"}," DETAIL("AUDIO", 20) "," DETAIL(
          "DOCUMENT", 5) ",{\"tokenCount\":7},7,null]",
      false,
      false,
      100,
      { { TG_INPUT, 50 }, { TG_INPUT_AUDIO, 50 } } },
    /* embeddings have images and video priced by themselves, and no output */
    { "\"promptTokenCount\":100,\"promptTokenDetails\":[" DETAIL("IMAGE", 60) "," DETAIL(
          "VIDEO", 10) "," DETAIL("AUDIO", 20) "," DETAIL("TEXT", 10) "]",
      true,
      false,
      100,
      { { TG_INPUT, 10 },
        { TG_INPUT_IMAGE, 60 },
        { TG_INPUT_VIDEO, 10 },
        { TG_INPUT_AUDIO, 20 } } },
    { "\"promptTokenCount\":100,\"totalTokenCount\":100", true, false, 100, { { TG_INPUT, 100 } } },
    /* what is left out is nothing, or follows from the total */
    { "\"totalTokenCount\":50,\"candidatesTokenCount\":20",
      false,
      false,
      30,
      { { TG_INPUT, 30 }, { TG_OUTPUT, 20 } } },
    { "\"promptTokenCount\":30,\"totalTokenCount\":50",
      false,
      false,
      30,
      { { TG_INPUT, 30 }, { TG_OUTPUT, 20 } } },
    { "\"promptTokenCount\":30", false, false, 30, { { TG_INPUT, 30 } } },
    /* contradictions: the total is believed for the output, but never below the parts */
    { "\"promptTokenCount\":30,\"candidatesTokenCount\":20,\"totalTokenCount\":57",
      false,
      true,
      30,
      { { TG_INPUT, 30 }, { TG_OUTPUT, 27 } } },
    { "\"promptTokenCount\":30,\"candidatesTokenCount\":20,\"totalTokenCount\":40",
      false,
      true,
      30,
      { { TG_INPUT, 30 }, { TG_OUTPUT, 20 } } },
    { "\"candidatesTokenCount\":20,\"totalTokenCount\":5", false, true, 0, { { TG_OUTPUT, 20 } } },
    { "\"candidatesTokenCount\":20", false, true, 0, { { TG_OUTPUT, 20 } } },
    { "\"promptTokenCount\":30,\"cachedContentTokenCount\":50,\"candidatesTokenCount\":1",
      false,
      true,
      80,
      { { TG_INPUT, 30 }, { TG_CACHE_READ, 50 }, { TG_OUTPUT, 1 } } },
    { "\"promptTokenCount\":30,\"promptTokensDetails\":[" DETAIL("AUDIO", 31) "]",
      false,
      true,
      30,
      { { TG_INPUT_AUDIO, 30 } } },
    { "\"promptTokenCount\":30,\"cachedContentTokenCount\":10,\"cacheTokensDetails\":[" DETAIL(
          "AUDIO", 11) "],\"promptTokensDetails\":[" DETAIL("AUDIO", 11) "]",
      false,
      true,
      30,
      { { TG_INPUT, 19 }, { TG_INPUT_AUDIO, 1 }, { TG_CACHE_READ_AUDIO, 10 } } },
    { "\"promptTokenCount\":30,\"cachedContentTokenCount\":10,\"cacheTokensDetails\":[" DETAIL(
          "AUDIO", 5) "]",
      false,
      true,
      30,
      { { TG_INPUT, 20 }, { TG_CACHE_READ, 5 }, { TG_CACHE_READ_AUDIO, 5 } } },
    { "\"promptTokenCount\":1,\"candidatesTokenCount\":5,\"candidatesTokensDetails\":[" DETAIL(
          "IMAGE", 9) "]",
      false,
      true,
      1,
      { { TG_INPUT, 1 }, { TG_OUTPUT_IMAGE, 5 } } },
    /* numbers that are none */
    { "\"promptTokenCount\":-5,\"candidatesTokenCount\":5", false, true, 0, { { TG_OUTPUT, 5 } } },
    { "\"promptTokenCount\":9007199254740993,\"candidatesTokenCount\":5",
      false,
      true,
      TG_COUNT_MAX,
      { { TG_INPUT, TG_COUNT_MAX }, { TG_OUTPUT, 5 } } },
    { "\"promptTokenCount\":\"30\",\"candidatesTokenCount\":1.5",
      false,
      true,
      30,
      { { TG_INPUT, 30 }, { TG_OUTPUT, 2 } } },
    { "\"promptTokenCount\":1e9,\"toolUsePromptTokenCount\":1e9,\"candidatesTokenCount\":1e9,"
      "\"thoughtsTokenCount\":1e9",
      false,
      true,
      TG_COUNT_MAX,
      { { TG_INPUT, TG_COUNT_MAX }, { TG_OUTPUT, TG_COUNT_MAX } } },
    { "\"promptTokenCount\":30,\"candidatesTokenCount\":[],\"thoughtsTokenCount\":{}",
      false,
      true,
      30,
      { { TG_INPUT, 30 } } },
    { "\"promptTokenCount\":30,\"promptTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":-7},"
      "{\"modality\":7,\"tokenCount\":9}]",
      false,
      true,
      30,
      { { TG_INPUT, 30 } } },
    { "\"promptTokenCount\":30,\"promptTokensDetails\":[" DETAIL("AUDIO", 1000000000) "," DETAIL(
          "AUDIO", 1000000000) "]",
      false,
      true,
      30,
      { { TG_INPUT_AUDIO, 30 } } },
};

START_TEST(takes_counts_apart)
{
    struct tg_answer answer = { 0 };
    struct tg_usage expected = { 0 };
    char body[2048];

    snprintf(body, sizeof(body), "{\"candidates\":[],\"usageMetadata\":{%s}}", usages[_i].usage);
    if (usages[_i].is_embedding)
        gemini_read_embedding(public_span(span_from(body)), &google, &answer);
    else
        gemini_read_answer(public_span(span_from(body)), &google, &answer);
    ck_assert_msg(answer.flags == (C | U | (usages[_i].is_doubtful ? (uint32_t)D : 0u)), "%s: %x",
                  usages[_i].usage, answer.flags);
    for (int i = 0; i < COUNT(usages[_i].classes); i++)
        expected.count[usages[_i].classes[i].class] += usages[_i].classes[i].count;
    for (int class = 0; class < TG_CLASS_COUNT; class ++)
        ck_assert_msg(answer.usage.count[class] == expected.count[class], "%s: %s is %lld",
                      usages[_i].usage, tg_class_name((enum tg_class) class),
                      (long long)answer.usage.count[class]);
    ck_assert_int_eq(answer.usage.prompt_tokens, usages[_i].prompt);
    ck_assert_int_le(answer.usage.reasoning_tokens, answer.usage.count[TG_OUTPUT]);
}
END_TEST

/* --- searches -----------------------------------------------------------------------------------
 */

#define GROUNDED(version, queries)                                                                 \
    "{\"candidates\":[{\"groundingMetadata\":{\"webSearchQueries\":[" queries                      \
    "],\"groundingChunks\":[{}]}}],\"usageMetadata\":{\"promptTokenCount\":5},\"modelVersion\":"   \
    "\"" version "\"}"

static const struct {
    const char *first, *second; /* second may be NULL */
    int64_t searches;
} searches[] = {
    { GROUNDED("gemini-3-pro-preview", "\"a\",\"b\",\"c\""), NULL, 3 },
    { GROUNDED("gemini-3.6-flash", "\"a\""), NULL, 1 },
    { GROUNDED("gemini-2.5-flash", "\"a\",\"b\",\"c\""), NULL, 1 },
    { GROUNDED("models/gemini-2.5-flash", "\"a\",\"b\""), NULL, 1 },
    { GROUNDED("gemini-1.5-pro", "\"a\",\"b\""), NULL, 1 },
    { GROUNDED("gemini-2.5-flash", ""), NULL, 0 },
    { GROUNDED("gemini-3-pro", "\"\",null"), NULL, 0 },
    { GROUNDED("gemini-3-pro", "\"a\",\"b\""), GROUNDED("gemini-3-pro", "\"a\",\"b\""), 2 },
    { GROUNDED("gemini-3-pro", "\"a\",\"b\""), GROUNDED("gemini-3-pro", "\"c\""), 2 },
    { GROUNDED("gemini-3-pro", "\"a\""), "{\"usageMetadata\":{\"promptTokenCount\":6}}", 1 },
    { "{\"usageMetadata\":{\"promptTokenCount\":6},\"modelVersion\":\"gemini-3\"}",
      "{\"candidates\":[{\"groundingMetadata\":{\"webSearchQueries\":[\"a\",\"b\"]}}]}", 2 },
    { "{\"candidates\":[{\"groundingMetadata\":7}],\"usageMetadata\":{\"promptTokenCount\":6}}",
      "{\"candidates\":[{\"groundingMetadata\":{\"webSearchQueries\":7}}]}", 0 },
};

START_TEST(counts_searches_as_they_are_billed)
{
    const struct tg_request request = { .flags = TG_REQUEST_STREAM, .choices = 1 };
    const char *const events[] = { searches[_i].first, searches[_i].second };
    struct tg_answer answer = { 0 };

    for (int i = 0; i < 2 && events[i] != NULL; i++)
        (void)gemini_read_event(public_span(SPAN_EMPTY), public_span(span_from(events[i])),
                                &request, &google, &answer);
    ck_assert_int_eq(answer.usage.count[TG_WEB_SEARCH], searches[_i].searches);
    ck_assert_uint_eq(answer.flags, U);
}
END_TEST

/* --- what is kept -------------------------------------------------------------------------------
 */

static bool is_text(const struct tg_short_text *text, const char *expected)
{
    return span_equal(span_of(text->text, text->len), span_from(expected));
}

static const struct {
    const char *body;
    const char *model, *id, *tier, *error;
    uint32_t flags;
} kept[] = {
    { CHUNK(STOP("x"), ALL), "gemini-2.5-flash", "r1", "standard", "", C | U },
    { "{\"modelVersion\":\"m\",\"usageMetadata\":{\"promptTokenCount\":1,\"serviceTier\":"
      "\"priority\"}}",
      "m", "", "priority", "", C | U },
    { "{\"usageMetadata\":{\"promptTokenCount\":1,\"trafficType\":\"ON_DEMAND_FLEX\"}}", "", "",
      "flex", "", C | U },
    { "{\"usageMetadata\":{\"promptTokenCount\":1,\"trafficType\":\"ON_DEMAND_PRIORITY\"}}", "", "",
      "priority", "", C | U },
    { "{\"usageMetadata\":{\"promptTokenCount\":1,\"trafficType\":\"ON_DEMAND\"}}", "", "", "", "",
      C | U },
    { "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[]}"
      "}",
      "", "", "", "RESOURCE_EXHAUSTED", E },
    { "{\"error\":{\"status\":\"NOT_FOUND\",\"code\":404}}", "", "", "", "NOT_FOUND", E },
    { "{\"error\":{\"code\":500}}", "", "", "", "500", E },
    { "[{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\"}}]", "", "", "",
      "INVALID_ARGUMENT", E },
    { "[" CHUNK(TEXT("a"), THINKING) "," CHUNK(STOP("b"), ALL) "]", "gemini-2.5-flash", "r1",
      "standard", "", C | U },
    { "{\"totalTokens\":31,\"promptTokensDetails\":[" DETAIL("TEXT", 31) "]}", "", "", "", "", C },
    { "{\"embedding\":{\"values\":[0.1,-2e-3]}}", "", "", "", "", C },
    { "", "", "", "", "", R },
    { "<html>", "", "", "", "", R },
    { "7", "", "", "", "", R },
    { "{\"candidates\":[]}{", "", "", "", "", R },
};

START_TEST(keeps_who_and_what)
{
    struct tg_answer answer = { 0 };

    gemini_read_answer(public_span(span_from(kept[_i].body)), &google, &answer);
    ck_assert_msg(answer.flags == kept[_i].flags, "%s: %x", kept[_i].body, answer.flags);
    ck_assert(is_text(&answer.model, kept[_i].model));
    ck_assert(is_text(&answer.response_id, kept[_i].id));
    ck_assert(is_text(&answer.tier, kept[_i].tier));
    ck_assert(is_text(&answer.error_code, kept[_i].error));
}
END_TEST

START_TEST(points_at_the_raw_usage)
{
    static const char body[] = "{\"candidates\":[],\"usageMetadata\":{\"promptTokenCount\":5}}";
    struct tg_answer answer = { 0 };

    gemini_read_answer(public_span(span_from(body)), &google, &answer);
    ck_assert(span_equal(
        span_of(body + answer.raw_usage_start, answer.raw_usage_end - answer.raw_usage_start),
        SPAN("{\"promptTokenCount\":5}")));
    gemini_read_answer(public_span(SPAN("{}")), &google, &answer);
    ck_assert_uint_eq(answer.raw_usage_start, answer.raw_usage_end);
}
END_TEST

/* --- the reference vectors ----------------------------------------------------------------------
 */

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static bool check_vector(const char *line)
{
    AUTO_JSON vector = cJSON_Parse(line);
    struct tg_answer answer = { 0 };
    const cJSON *buckets;
    char body[4096];
    char *usage;

    ck_assert_ptr_nonnull(vector);
    if (strcmp(text_of(vector, "dialect"), "gemini") != 0)
        return false;
    usage = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(vector, "usage"));
    snprintf(body, sizeof(body), "{\"candidates\":[],\"usageMetadata\":%s}", usage);
    cJSON_free(usage);
    gemini_read_answer(public_span(span_from(body)), &google, &answer);
    ck_assert_uint_eq(answer.flags, C | U);
    buckets = cJSON_GetObjectItemCaseSensitive(vector, "buckets");
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        const cJSON *const bucket =
            cJSON_GetObjectItemCaseSensitive(buckets, tg_class_name((enum tg_class) class));
        const int64_t expected = bucket == NULL ? 0 : (int64_t)bucket->valuedouble;

        ck_assert_msg(answer.usage.count[class] == expected, "%s: %s is %lld",
                      text_of(vector, "id"), tg_class_name((enum tg_class) class),
                      (long long)answer.usage.count[class]);
    }
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
    ck_assert_int_ge(checked, 6);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/gemini_answer");
    TCase *tc = tcase_create("gemini_answer");

    tcase_add_loop_test(tc, reads_a_stream_in_every_framing_cut_at_every_byte, 0, COUNT(streams));
    tcase_add_test(tc, believes_nothing_of_half_an_event);
    tcase_add_test(tc, an_event_that_is_called_an_error_is_one);
    tcase_add_loop_test(tc, takes_counts_apart, 0, COUNT(usages));
    tcase_add_loop_test(tc, counts_searches_as_they_are_billed, 0, COUNT(searches));
    tcase_add_loop_test(tc, keeps_who_and_what, 0, COUNT(kept));
    tcase_add_test(tc, points_at_the_raw_usage);
    tcase_add_test(tc, agrees_with_the_reference_vectors);
    suite_add_tcase(s, tc);
    return s;
}
