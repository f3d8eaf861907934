/* Goal: the sandbox answers as Google's API does, plain and streamed in both framings, and its
 * usage is what was sent and answered, to the word. Method: requests as text; the answers are read
 * back as JSON, streams cut by the splitters that the proxy uses. */
#include "sandbox/gemini.h"

#include "base/json.h"
#include "providers/json_array.h"
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

static struct gemini_path path_of(const char *verb)
{
    char text[64] = "/v1beta/models/echo:";
    struct gemini_path path;

    ck_assert(gemini_match(span_from(strcat(text, verb)), &path));
    path.model = SPAN("echo"); /* `text` ends here */
    return path;
}

static const struct {
    const char *path;
    bool is_match;
    enum gemini_verb verb;
    const char *model;
} paths[] = {
    { "/v1beta/models/echo:generateContent", true, GEMINI_GENERATE, "echo" },
    { "/v1beta/models/echo-slow:streamGenerateContent", true, GEMINI_STREAM, "echo-slow" },
    { "/v1beta/models/x:countTokens", true, GEMINI_COUNT, "x" },
    { "/v1beta/models/x:embedContent", true, GEMINI_EMBED, "x" },
    { "/v1beta/models/x:batchEmbedContents", true, GEMINI_EMBED_BATCH, "x" },
    { "/v1beta/models/x:predict", false, GEMINI_GENERATE, "" },
    { "/v1beta/models/x", false, GEMINI_GENERATE, "" },
    { "/v1/models/x:generateContent", false, GEMINI_GENERATE, "" },
};

START_TEST(knows_its_paths)
{
    struct gemini_path path;

    ck_assert_int_eq(gemini_match(span_from(paths[_i].path), &path), paths[_i].is_match);
    if (!paths[_i].is_match)
        return;
    ck_assert_int_eq(path.verb, paths[_i].verb);
    ck_assert(span_equal(path.model, span_from(paths[_i].model)));
}
END_TEST

static const struct {
    const char *body;
    const char *text;
    int64_t prompt;
    int64_t candidates;
    const char *reason;
} answers[] = {
    { "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"one two  three\"}]}]}",
      "one two  three", 3, 3, "STOP" },
    { "{\"contents\":{\"parts\":{\"text\":\"one two\"}}}", "one two", 2, 2, "STOP" },
    { "{\"systemInstruction\":{\"parts\":[{\"text\":\"be "
      "brief\"}]},\"contents\":[{\"role\":\"user\","
      "\"parts\":[{\"text\":\"first\"}]},{\"role\":\"model\",\"parts\":[{\"text\":\"yes\"}]},"
      "{\"role\":\"user\",\"parts\":[{\"text\":\"the "
      "\"},{\"inlineData\":{}},{\"text\":\"last\"}]}]}",
      "the last", 6, 2, "STOP" },
    { "{\"contents\":[{\"parts\":[{\"text\":\"a b c d\"}]}],\"generationConfig\":{"
      "\"maxOutputTokens\":2}}",
      "a b", 4, 2, "MAX_TOKENS" },
    { "{\"contents\":[{\"parts\":[{\"text\":\"a b c d\"}]}],\"generation_config\":{"
      "\"max_output_tokens\":4}}",
      "a b c d", 4, 4, "STOP" },
    { "{\"contents\":[]}", "", 0, 0, "STOP" },
};

static void check_usage(const cJSON *tree, int i)
{
    const cJSON *usage = member(tree, "usageMetadata");

    ck_assert_int_eq(number(usage, "promptTokenCount"), answers[i].prompt);
    ck_assert_int_eq(number(usage, "candidatesTokenCount"), answers[i].candidates);
    ck_assert_int_eq(number(usage, "totalTokenCount"), answers[i].prompt + answers[i].candidates);
}

static const cJSON *candidate_of(const cJSON *tree)
{
    return cJSON_GetArrayItem(member(tree, "candidates"), 0);
}

static const char *text_of(const cJSON *candidate)
{
    const cJSON *parts = member(member(candidate, "content"), "parts");

    return cJSON_GetStringValue(member(cJSON_GetArrayItem(parts, 0), "text"));
}

START_TEST(a_plain_answer_echoes_and_counts)
{
    const struct gemini_path path = path_of("generateContent");
    AUTO(buf) out = { 0 };
    AUTO_JSON tree = NULL;
    struct chat chat;
    struct err err = { 0 };

    ck_assert_int_eq(gemini_read(&path, span_from(answers[_i].body), false, &chat, &err), TG_OK);
    buf_init(&out, 65536);
    gemini_write(path.verb, &chat, &out);
    ck_assert_int_eq(json_parse(buf_span(&out), &tree, &err), TG_OK);
    ck_assert_str_eq(text_of(candidate_of(tree)), answers[_i].text);
    ck_assert_str_eq(cJSON_GetStringValue(member(candidate_of(tree), "finishReason")),
                     answers[_i].reason);
    check_usage(tree, _i);
    chat_fini(&chat);
}
END_TEST

/* Read the elements or events of a stream: the text, and the usage of the last. */
static void read_stream(struct span stream, bool is_array, int i)
{
    char text[256] = "";
    struct json_array array;
    struct sse sse;
    struct sse_event event;
    int64_t last_tokens = 0;
    bool is_finished = false;

    json_array_init(&array);
    sse_init(&sse);
    while (is_array ? json_array_next(&array, stream, &event) : sse_next(&sse, stream, &event)) {
        AUTO_JSON tree = NULL;

        stream = span_from_offset(stream, event.bytes.len);
        ck_assert(!is_finished);
        ck_assert_int_eq(json_parse(event.data, &tree, NULL), TG_OK);
        strcat(text, text_of(candidate_of(tree)));
        ck_assert_int_ge(number(member(tree, "usageMetadata"), "candidatesTokenCount"),
                         last_tokens);
        last_tokens = number(member(tree, "usageMetadata"), "candidatesTokenCount");
        is_finished = member(candidate_of(tree), "finishReason") != NULL;
        if (is_finished)
            check_usage(tree, i);
    }
    ck_assert(is_finished);
    ck_assert_str_eq(text, answers[i].text);
    ck_assert(span_equal(stream, is_array ? SPAN("]") : SPAN_EMPTY));
}

START_TEST(a_stream_echoes_and_counts_in_each_framing)
{
    const struct gemini_path path = path_of("streamGenerateContent");

    for (int is_array = 0; is_array < 2; is_array++) {
        AUTO(buf) out = { 0 };
        struct chat chat;
        struct err err = { 0 };

        ck_assert_int_eq(
            gemini_read(&path, span_from(answers[_i].body), is_array == 1, &chat, &err), TG_OK);
        ck_assert(chat.is_stream);
        buf_init(&out, 65536);
        while (gemini_next_event(&chat, &out))
            ck_assert(!out.failed);
        read_stream(buf_span(&out), is_array == 1, _i);
        chat_fini(&chat);
    }
}
END_TEST

static const struct {
    const char *verb;
    const char *body;
    const char *expected;
} others[] = {
    { "countTokens", "{\"contents\":[{\"parts\":[{\"text\":\"one two three\"}]}]}",
      "{\"totalTokens\":3}" },
    { "countTokens",
      "{\"generateContentRequest\":{\"contents\":[{\"parts\":[{\"text\":\"one two\"}]}]}}",
      "{\"totalTokens\":2}" },
    { "embedContent", "{\"content\":{\"parts\":[{\"text\":\"one two\"}]}}",
      "{\"embedding\":{\"values\":[1,0,0,0]},\"usageMetadata\":{\"promptTokenCount\":2}}" },
    { "batchEmbedContents",
      "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"one two\"}]}},"
      "{\"content\":{\"parts\":[{\"text\":\"three\"}]}}]}",
      "{\"embeddings\":[{\"values\":[1,0,0,0]},{\"values\":[1,0,0,0]}],"
      "\"usageMetadata\":{\"promptTokenCount\":3}}" },
};

START_TEST(counts_and_embeds)
{
    const struct gemini_path path = path_of(others[_i].verb);
    AUTO(buf) out = { 0 };
    struct chat chat;
    struct err err = { 0 };

    ck_assert_int_eq(gemini_read(&path, span_from(others[_i].body), false, &chat, &err), TG_OK);
    buf_init(&out, 65536);
    gemini_write(path.verb, &chat, &out);
    ck_assert_msg(span_equal(buf_span(&out), span_from(others[_i].expected)), "%.*s",
                  SPAN_ARG(buf_span(&out)));
    chat_fini(&chat);
}
END_TEST

START_TEST(says_what_is_wrong)
{
    static const struct {
        const char *model;
        const char *body;
        enum tg_status status;
    } wrong[] = {
        { "gemini-2.5-flash", "{\"contents\":[]}", TG_MODEL_NOT_FOUND },
        { "echo", "{}", TG_INVALID },
        { "echo", "[]", TG_INVALID },
        { "echo", "{\"contents\":[]", TG_INVALID },
        { "echo", "{\"contents\":[],\"generationConfig\":{\"candidateCount\":2}}", TG_INVALID },
        { "echo", "{\"contents\":[],\"generationConfig\":{\"maxOutputTokens\":0}}", TG_INVALID },
    };

    for (int i = 0; i < COUNT(wrong); i++) {
        struct gemini_path path = path_of("generateContent");
        struct chat chat;
        struct err err = { 0 };

        path.model = span_from(wrong[i].model);
        ck_assert_int_eq(gemini_read(&path, span_from(wrong[i].body), false, &chat, &err),
                         wrong[i].status);
    }
}
END_TEST

START_TEST(words_an_error_as_google_does)
{
    AUTO(buf) out = { 0 };

    buf_init(&out, 4096);
    gemini_write_error(TG_MODEL_NOT_FOUND, "none", &out);
    ck_assert(span_equal(
        buf_span(&out),
        SPAN("{\"error\":{\"code\":404,\"message\":\"none\",\"status\":\"NOT_FOUND\"}}")));
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("sandbox/gemini");
    TCase *tc = tcase_create("gemini");

    tcase_add_loop_test(tc, knows_its_paths, 0, COUNT(paths));
    tcase_add_loop_test(tc, a_plain_answer_echoes_and_counts, 0, COUNT(answers));
    tcase_add_loop_test(tc, a_stream_echoes_and_counts_in_each_framing, 0, COUNT(answers));
    tcase_add_loop_test(tc, counts_and_embeds, 0, COUNT(others));
    tcase_add_test(tc, says_what_is_wrong);
    tcase_add_test(tc, words_an_error_as_google_does);
    suite_add_tcase(s, tc);
    return s;
}
