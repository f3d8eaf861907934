/* Goal: what is enforced is read as the provider will read it, or refused; whatever the provider
 * finds by itself is known to be so. Method: tables of bodies with the facts, or the field at
 * fault, that they must give. */
#include "providers/openai_responses.h"

#include "base/span.h"
#include "support/suites.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define BODY_MAX     1024

static enum tg_status read_body(const char *body, struct tg_request *ret_request)
{
    return openai_responses_dialect.read_request((struct tg_span){ body, strlen(body) },
                                                 &(struct tg_path){ 0 }, ret_request);
}

#define S TG_REQUEST_STREAM
#define F TG_REQUEST_FETCHES
#define M TG_REQUEST_MAX_GIVEN

static const struct {
    const char *members; /* behind the model */
    uint32_t flags;
    int64_t max;
    int64_t thinking;
} facts[] = {
    { "\"input\":\"hi\"", 0, 0, 0 },
    { "\"input\":\"hi\",\"stream\":true", S, 0, 0 },
    { "\"stream\":null,\"max_output_tokens\":null,\"background\":null,\"max_tool_calls\":null", 0,
      0, 0 },
    { "\"background\":false", 0, 0, 0 },
    { "\"max_output_tokens\":16", M, 16, 0 },
    { "\"max_output_t\\u006fkens\":2147483647", M, 2147483647, 0 },
    { "\"max_tool_calls\":3", 0, 0, 0 },
    { "\"reasoning\":{\"effort\":\"high\",\"summary\":\"auto\"}", 0, 0, 0 },
    { "\"reasoning\":{\"max_tokens\":2000}", 0, 0, 2000 },
    { "\"reasoning\":null", 0, 0, 0 },
    { "\"stream_options\":{\"include_obfuscation\":false}", 0, 0, 0 },
    { "\"text\":{\"format\":{\"type\":\"json_schema\"}},\"max_tokens\":-1", 0, 0, 0 },
    /* what the provider has kept */
    { "\"previous_response_id\":\"resp_1\"", F, 0, 0 },
    { "\"previous_response_id\":null", 0, 0, 0 },
    { "\"conversation\":\"conv_1\"", F, 0, 0 },
    { "\"conversation\":{\"id\":\"conv_1\"}", F, 0, 0 },
    { "\"prompt\":{\"id\":\"pmpt_1\",\"variables\":{}}", F, 0, 0 },
    { "\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]", F, 0, 0 },
    { "\"input\":[{\"id\":\"msg_1\"}]", F, 0, 0 },
    { "\"input\":[{\"id\":\"msg_1\",\"type\":null}]", F, 0, 0 },
    { "\"input\":[{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[]}]",
      0, 0, 0 },
    { "\"input\":[{\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":\"a\"}]", 0, 0, 0 },
    { "\"input\":[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[]}]", F, 0, 0 },
    { "\"input\":[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"encrypted_content\":null,\"content\":[]"
      "}]",
      F, 0, 0 },
    { "\"input\":[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"encrypted_content\":\"AAAA\"}]", 0, 0,
      0 },
    { "\"input\":[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"content\":[{\"type\":\"reasoning_"
      "text\","
      "\"text\":\"hm\"}]}]",
      0, 0, 0 },
    { "\"input\":[{\"type\":\"image_generation_call\",\"id\":\"ig_1\"}]", F, 0, 0 },
    { "\"input\":[7,null,\"x\",[]]", 0, 0, 0 },
    /* tools */
    { "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}]", 0,
      0, 0 },
    { "\"tools\":[{\"type\":\"custom\"},{\"type\":\"local_shell\"},{\"type\":\"apply_patch\"},"
      "{\"type\":\"computer_use_preview\"}]",
      0, 0, 0 },
    { "\"tools\":[{\"type\":\"namespace\",\"tools\":[{\"type\":\"function\"}]}]", 0, 0, 0 },
    { "\"tools\":[{\"type\":\"namespace\",\"tools\":[{\"type\":\"mcp\"}]}]", F, 0, 0 },
    { "\"tools\":[{\"type\":\"web_search\"}]", F, 0, 0 },
    { "\"tools\":[{\"type\":\"web_search_preview_2025_03_11\"}]", F, 0, 0 },
    { "\"tools\":[{\"type\":\"file_search\",\"vector_store_ids\":[\"vs_1\"]}]", F, 0, 0 },
    { "\"tools\":[{\"type\":\"function\"},{\"type\":\"code_interpreter\",\"container\":{\"type\":"
      "\"auto\"}}]",
      F, 0, 0 },
    { "\"tools\":[{\"type\":\"mcp\",\"server_url\":\"https://a\"}]", F, 0, 0 },
    { "\"tools\":[{\"type\":\"image_generation\"}]", F, 0, 0 },
    { "\"tools\":[{\"type\":\"shell\"}]", F, 0, 0 },
    { "\"tools\":[{\"type\":\"a tool of tomorrow\"}]", F, 0, 0 },
};

START_TEST(reads_the_facts)
{
    char body[BODY_MAX];
    struct tg_request request;

    snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", facts[_i].members);
    ck_assert_msg(read_body(body, &request) == TG_OK, "%s: %s", body, request.problem);
    ck_assert_msg(request.flags == facts[_i].flags, "%s: %x", body, request.flags);
    ck_assert_int_eq(request.choices, 1);
    ck_assert_int_eq(request.max_output_tokens, facts[_i].max);
    ck_assert_int_eq(request.thinking_budget_tokens, facts[_i].thinking);
}
END_TEST

static const struct {
    const char *item;
    int64_t parts, bytes;
    bool fetches;
} media[] = {
    { "{\"role\":\"user\",\"content\":\"https://x data:,A\"}", 0, 0, false },
    { "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"https://x\"}]}", 0, 0,
      false },
    { "{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"data:image/"
      "png;base64,AA\"}]}",
      1, 24, false },
    { "{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"https://a/"
      "b.png\"}]}",
      1, 0, true },
    { "{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"file_id\":\"file-1\"}]}", 1, 0,
      true },
    { "{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"filename\":\"a.pdf\",\"file_"
      "data\":\"AA\"}]}",
      1, 2, false },
    { "{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"file_url\":\"https://a/"
      "b.pdf\"}]}",
      1, 0, true },
    { "{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{\"data\":"
      "\"AAAA\","
      "\"format\":\"wav\"}}]}",
      1, 4, false },
    { "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"{\\\"image_url\\\":"
      "\\\"https://x\\\"}\"}",
      0, 0, false },
    { "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":[{\"type\":\"input_image\","
      "\"image_url\":\"https://a\"}]}",
      1, 0, true },
    { "{\"type\":\"computer_call_output\",\"output\":{\"type\":\"computer_screenshot\",\"image_"
      "url\":"
      "\"data:,AB\"}}",
      1, 8, false },
    { "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
      "\"text\":\"a\","
      "\"annotations\":[{\"type\":\"file_citation\",\"file_id\":\"file-1\"}]}]}",
      0, 0, false },
    { "{\"type\":\"web_search_call\",\"id\":\"ws_1\",\"action\":{\"type\":\"search\",\"sources\":[{"
      "\"type\":"
      "\"url\",\"url\":\"https://a\"}]}}",
      0, 0, false },
};

START_TEST(finds_media_wherever_it_stands_in_the_input)
{
    char body[BODY_MAX];
    struct tg_request request;

    snprintf(body, sizeof(body),
             "{\"input\":[{\"role\":\"user\",\"content\":\"a\"},%s],\"model\":\"m\"}",
             media[_i].item);
    ck_assert_msg(read_body(body, &request) == TG_OK, "%s", body);
    ck_assert_msg(request.media_parts == media[_i].parts, "%s: %lld parts", body,
                  (long long)request.media_parts);
    ck_assert_msg(request.media_bytes == media[_i].bytes, "%s: %lld bytes", body,
                  (long long)request.media_bytes);
    ck_assert(((request.flags & F) != 0) == media[_i].fetches);
}
END_TEST

static const struct {
    const char *body;
    const char *field; /* as it stands in the body */
} refusals[] = {
    { "", "" },
    { "[]", "" },
    { "{\"model\":\"m\"", "" },
    { "{\"input\":\"a\"}", "model" },
    { "{\"model\":7}", "model" },
    { "{\"model\":\"m\",\"model\":\"m\"}", "model" },
    { "{\"model\":\"m\",\"mod\\u0065l\":\"x\"}", "mod\\u0065l" },
    { "{\"model\":\"m\",\"stream\":true,\"stream\":false}", "stream" },
    { "{\"model\":\"m\",\"stream\":\"true\"}", "stream" },
    { "{\"model\":\"m\",\"Stream\":true}", "Stream" },
    { "{\"model\":\"m\",\"max_output_tokens\":1,\"max_output_tokens\":9}", "max_output_tokens" },
    { "{\"model\":\"m\",\"Max_output_tokens\":9}", "Max_output_tokens" },
    { "{\"model\":\"m\",\"max_output_tokens\":0}", "max_output_tokens" },
    { "{\"model\":\"m\",\"max_output_tokens\":-1}", "max_output_tokens" },
    { "{\"model\":\"m\",\"max_output_tokens\":1.5}", "max_output_tokens" },
    { "{\"model\":\"m\",\"max_output_tokens\":\"100\"}", "max_output_tokens" },
    { "{\"model\":\"m\",\"max_output_tokens\":1e18}", "max_output_tokens" },
    { "{\"model\":\"m\",\"max_output_tokens\":1000000000000000000}", "max_output_tokens" },
    { "{\"model\":\"m\",\"max_tool_calls\":0}", "max_tool_calls" },
    { "{\"model\":\"m\",\"max_tool_calls\":1,\"max_tool_calls\":2}", "max_tool_calls" },
    { "{\"model\":\"m\",\"background\":1}", "background" },
    { "{\"model\":\"m\",\"background\":false,\"background\":true}", "background" },
    { "{\"model\":\"m\",\"reasoning\":{\"max_tokens\":-5}}", "max_tokens" },
    { "{\"model\":\"m\",\"reasoning\":{},\"reasoning\":{}}", "reasoning" },
    { "{\"model\":\"m\",\"Tools\":[]}", "Tools" },
    { "{\"model\":\"m\",\"Previous_Response_Id\":\"resp_1\"}", "Previous_Response_Id" },
};

START_TEST(refuses_and_names_the_field)
{
    struct tg_request request;

    ck_assert_int_eq(read_body(refusals[_i].body, &request), TG_INVALID);
    ck_assert_ptr_nonnull(request.problem);
    ck_assert(span_equal(span_of(request.problem_field.ptr, request.problem_field.len),
                         span_from(refusals[_i].field)));
}
END_TEST

START_TEST(lowers_the_maximum_or_puts_it_in)
{
    static const struct {
        const char *body;
        const char *edited;
    } cases[] = {
        { "{\"model\":\"m\"}", "{\"max_output_tokens\":300,\"model\":\"m\"}" },
        { "{\"model\":\"m\",\"max_output_tokens\": 9000 ,\"stream\":true}",
          "{\"model\":\"m\",\"max_output_tokens\": 300 ,\"stream\":true}" },
        { "{\"max_output_tokens\":null,\"model\":\"m\"}",
          "{\"max_output_tokens\":300,\"model\":\"m\"}" },
        { "{\"max_output\\u005ftokens\": null ,\"model\":\"m\"}",
          "{\"max_output\\u005ftokens\": 300 ,\"model\":\"m\"}" },
    };
    const struct tg_kind kind = { .name = "k", .flags = TG_KIND_ASKS_USAGE };
    const struct tg_wish wish = { .max_output_tokens = 300, .output_field = "max_tokens" };

    for (int i = 0; i < COUNT(cases); i++) {
        const char *const body = cases[i].body;
        struct tg_edit edits[TG_EDITS_MAX];
        struct tg_request request;
        char edited[BODY_MAX];

        ck_assert_int_eq(read_body(body, &request), TG_OK);
        ck_assert_int_eq(
            openai_responses_dialect.plan_edits(&request, &kind, &(struct tg_wish){ 0 }, edits), 0);
        ck_assert_int_eq(openai_responses_dialect.plan_edits(&request, &kind, &wish, edits), 1);
        snprintf(edited, sizeof(edited), "%.*s%s%s", (int)edits[0].start, body, edits[0].text,
                 body + edits[0].end);
        ck_assert_str_eq(edited, cases[i].edited);
    }
}
END_TEST

START_TEST(tells_whom_the_call_is_for)
{
    struct tg_request request;

    ck_assert_int_eq(read_body("{\"model\":\"m\",\"metadata\":{\"user_id\":\"a\"},"
                               "\"safety_identifier\":\"b\"}",
                               &request),
                     TG_OK);
    ck_assert_str_eq(request.user, "b");
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/openai_responses_request");
    TCase *tc = tcase_create("openai_responses_request");

    tcase_add_loop_test(tc, reads_the_facts, 0, COUNT(facts));
    tcase_add_loop_test(tc, finds_media_wherever_it_stands_in_the_input, 0, COUNT(media));
    tcase_add_loop_test(tc, refuses_and_names_the_field, 0, COUNT(refusals));
    tcase_add_test(tc, lowers_the_maximum_or_puts_it_in);
    tcase_add_test(tc, tells_whom_the_call_is_for);
    suite_add_tcase(s, tc);
    return s;
}
