/* Goal: what bounds a message is read as the provider will read it, or refused with the field
 * named; what the provider finds or reads again by itself is seen wherever it stands; the maximum
 * is lowered and nothing else changes. Method: tables of bodies with the facts they must give;
 * edited bodies are compared byte by byte and read again. */
#include "providers/anthropic_request.h"

#include "base/span.h"
#include "providers/anthropic.h"
#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define BODY_MAX     4096

static const struct tg_path no_path;
static const struct tg_kind kind = { .name = "anthropic" };

static enum tg_status read_body(const char *body, struct tg_request *ret_request)
{
    return anthropic_read_request((struct tg_span){ body, strlen(body) }, &no_path, ret_request);
}

/* --- facts --------------------------------------------------------------------------------------
 */

#define S TG_REQUEST_STREAM
#define F TG_REQUEST_FETCHES
#define M TG_REQUEST_MAX_GIVEN
#define X TG_REQUEST_MAX_FIXED

#define WITH(members) "{\"model\":\"m\",\"max_tokens\":10," members "}"

static const struct {
    const char *body;
    uint32_t flags;
    int64_t max;
    int64_t budget;
} facts[] = {
    { "{\"model\":\"m\"}", 0, 0, 0 },
    { "{\"model\":\"m\",\"max_tokens\":1}", M, 1, 0 },
    { "{\"model\":\"m\",\"max_tokens\":2147483647}", M, INT32_MAX, 0 },
    { "{\"model\":\"m\",\"max_tokens\":null}", 0, 0, 0 },
    { "{\"max\\u005ftokens\":7,\"m\\u006fdel\":\"m\"}", M, 7, 0 },
    { WITH("\"stream\":true"), M | S, 10, 0 },
    { WITH("\"stream\":false"), M, 10, 0 },
    { WITH("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"), M, 10, 1024 },
    { WITH("\"thinking\":{\"type\":\"adaptive\"}"), M, 10, 0 },
    { WITH("\"thinking\":null"), M, 10, 0 },
    /* what stands deeper, or in a text, is no field */
    { WITH("\"metadata\":{\"max_tokens\":-1,\"stream\":true,\"model\":3}"), M, 10, 0 },
    { WITH("\"messages\":[{\"role\":\"user\",\"content\":\"\\\"max_tokens\\\":99,\\\"stream\\\":"
           "true\"}]"),
      M, 10, 0 },
    { WITH("\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"max_"
           "tokens\":{\"type\":\"web_search_20250305\"}}}}]"),
      M, 10, 0 },
    /* tools of the client, and of the provider */
    { WITH("\"tools\":[{\"name\":\"f\",\"input_schema\":{}},{\"type\":\"custom\",\"name\":\"g\"}]"),
      M, 10, 0 },
    { WITH("\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"},{\"type\":\"text_editor_"
           "20250728\"},"
           "{\"type\":\"computer_20251124\"},{\"type\":\"memory_20250818\"},{\"type\":\"browser_"
           "toolset_"
           "20260801\"}]"),
      M, 10, 0 },
    { WITH("\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]"), M | F, 10,
      0 },
    { WITH("\"tools\":[{\"name\":\"f\"},{\"name\":\"w\",\"type\":\"web_fetch_20250910\"}]"), M | F,
      10, 0 },
    { WITH("\"tools\":[{\"type\":\"code_execution_20250825\"}]"), M | F, 10, 0 },
    { WITH("\"tools\":[{\"type\":\"mcp_toolset\"}]"), M | F, 10, 0 },
    { WITH("\"tools\":[{\"type\":\"advisor_20260301\"}]"), M | F, 10, 0 },
    { WITH("\"tools\":[{\"type\":\"something_new\"}]"), M | F, 10, 0 },
    { WITH("\"tools\":[{\"TYPE\":\"web_search_20250305\"}]"), M | F, 10, 0 },
    { WITH("\"tools\":[{\"type\":\"custom\",\"type\":\"web_search_20250305\"}]"), M | F, 10, 0 },
    { WITH("\"tools\":[{\"type\":\"b\\u0061sh_20250124\"}]"), M | F, 10, 0 },
    { WITH("\"tools\":[7,null,{\"type\":[\"x\"]}]"), M, 10, 0 },
    /* options */
    { WITH("\"mcp_servers\":[{\"type\":\"url\",\"url\":\"https://m\"}]"), M | F, 10, 0 },
    { WITH("\"mcp_servers\":null"), M, 10, 0 },
    { WITH("\"container\":\"container_1\""), M | F, 10, 0 },
    { WITH("\"thread\":{\"type\":\"continue\",\"previous_message_id\":\"msg_1\"}"), M | F, 10, 0 },
    { WITH("\"compaction\":{\"type\":\"summarize\"}"), M | F, 10, 0 },
    { WITH("\"context_management\":{\"edits\":[{\"type\":\"clear_thinking_20251015\",\"keep\":"
           "\"all\"}]}"),
      M, 10, 0 },
    { WITH("\"context_management\":{\"edits\":[{\"type\":\"clear_tool_uses_20250919\"},{"
           "\"trigger\":{\"type\":"
           "\"input_tokens\",\"value\":5},\"type\":\"compact_20260112\"}]}"),
      M | F, 10, 0 },
    { WITH("\"context_management\":null"), M, 10, 0 },
    /* fallbacks: another model, perhaps with more room */
    { WITH("\"fallbacks\":\"default\""), M | F, 10, 0 },
    { WITH("\"fallbacks\":[{\"model\":\"n\"}]"), M | F, 10, 0 },
    { WITH("\"fallbacks\":[{\"model\":\"n\",\"max_tokens\":null}]"), M | F, 10, 0 },
    { WITH("\"fallbacks\":[{\"model\":\"n\",\"max_tokens\":5},{\"max_tokens\":70},{\"max_tokens\":"
           "9}]"),
      M | F | X, 70, 0 },
    { "{\"model\":\"m\",\"fallbacks\":[{\"max_tokens\":70}],\"max_tokens\":10}", M | F | X, 70, 0 },
    { "{\"model\":\"m\",\"fallbacks\":[{\"max_tokens\":70}]}", F | X, 0, 0 },
    { WITH("\"fallbacks\":[{\"max_tokens\":5}]"), M | F | X, 10, 0 },
    { WITH("\"fallbacks\":null"), M, 10, 0 },
};

START_TEST(reads_the_facts)
{
    struct tg_request request;

    ck_assert_msg(read_body(facts[_i].body, &request) == TG_OK, "%s: %s", facts[_i].body,
                  request.problem);
    ck_assert_msg(request.flags == facts[_i].flags, "%s: flags %x", facts[_i].body, request.flags);
    ck_assert_int_eq(request.max_output_tokens, facts[_i].max);
    ck_assert_int_eq(request.thinking_budget_tokens, facts[_i].budget);
    ck_assert_int_eq(request.choices, 1);
    ck_assert_str_eq(request.model, "m");
}
END_TEST

/* --- media --------------------------------------------------------------------------------------
 */

#define IMAGE(source) "{\"type\":\"image\",\"source\":{" source "}}"
#define BASE64        "\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"AAAA\""
#define URL           "\"type\":\"url\",\"url\":\"https://a/b.png\""

static const struct {
    const char *block;
    int64_t parts;
    int64_t bytes;
    bool fetches;
} media[] = {
    { "{\"type\":\"text\",\"text\":\"https://x \\\"source\\\":{\"}", 0, 0, false },
    { IMAGE(BASE64), 1, 4, false },
    { IMAGE("\"data\":\"AAAAAA\",\"media_type\":\"image/png\",\"type\":\"base64\""), 1, 6, false },
    { IMAGE("\"typ\\u0065\":\"base64\",\"d\\u0061ta\":\"AA\""), 1, 2, false },
    { IMAGE(URL), 1, 0, true },
    { IMAGE("\"type\":\"file\",\"file_id\":\"file_1\""), 1, 0, true },
    { IMAGE("\"URL\":\"https://a\""), 1, 0, true },
    { "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\","
      "\"data\":\"AAAAAAAA\"},\"title\":\"t\"}",
      1, 8, false },
    { "{\"type\":\"document\",\"source\":{" URL "},\"citations\":{\"enabled\":true}}", 1, 0, true },
    { "{\"type\":\"container_upload\",\"file_id\":\"file_1\"}", 1, 0, true },
    /* text is text, whatever else it says of itself */
    { "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/"
      "plain\",\"data\":\"AAAA\"}}",
      0, 0, false },
    { IMAGE("\"type\":\"base64\",\"data\":\"AAAA\",\"type\":\"text\""), 0, 0, false },
    { IMAGE("\"type\":\"text\",\"data\":\"AAAA\",\"type\":\"base64\""), 0, 0, false },
    { IMAGE("\"data\":\"AAAA\""), 0, 0, false },
    { IMAGE("\"type\":\"base64\",\"data\":\"\""), 0, 0, false },
    /* blocks in blocks */
    { "{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":\"text\","
      "\"text\":\"a\"}," IMAGE(BASE64) "," IMAGE(URL) "]}}",
      2, 4, true },
    { "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":[{\"type\":\"text\",\"text\":"
      "\"a\"}," IMAGE(BASE64) "]}",
      1, 4, false },
    { "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":\"https://a\"}", 0, 0, false },
    /* data of an outer source behind an inner one is text */
    { "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"content\":[" IMAGE(
          BASE64) "],\"data\":\"AAAAAAAA\"}}",
      1, 4, false },
    /* what a tool was called with, where a search has been, who is cited: nothing is fetched */
    { "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"source\":{" URL
      "},\"file_id\":\"f\"}}",
      0, 0, false },
    { "{\"type\":\"search_result\",\"source\":\"https://"
      "a\",\"title\":\"t\",\"content\":[{\"type\":\"text\","
      "\"text\":\"a\"}]}",
      0, 0, false },
    { "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"t\",\"content\":[{\"type\":\"web_"
      "search_result\","
      "\"url\":\"https://a\",\"encrypted_content\":\"AAAA\"}]}",
      0, 0, false },
    { "{\"type\":\"text\",\"text\":\"a\",\"citations\":[{\"type\":\"web_search_result_location\","
      "\"url\":"
      "\"https://a\"}]}",
      0, 0, false },
    /* a tool that comes in the middle */
    { "{\"type\":\"tool_addition\",\"tool\":{\"type\":\"tool_definition\",\"definition\":{\"type\":"
      "\"web_search_20250305\"}}}",
      0, 0, true },
    { "{\"type\":\"tool_addition\",\"tool\":{\"type\":\"tool_definition\",\"definition\":{\"name\":"
      "\"f\"}}}",
      0, 0, false },
    { "[\"x\",{\"source\":7},null]", 0, 0, false },
    { "7", 0, 0, false },
};

START_TEST(finds_media_and_references_by_structure)
{
    char body[BODY_MAX];
    struct tg_request request;

    for (int place = 0; place < 2; place++) {
        snprintf(body, sizeof(body),
                 place == 0 ? "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                              "\"text\":\"a\"},"
                              "%s]},{\"role\":\"user\",\"content\":\"b\"}],\"model\":\"m\"}"
                            : "{\"model\":\"m\",\"system\":[%s]}",
                 media[_i].block);
        ck_assert_msg(read_body(body, &request) == TG_OK, "%s", body);
        ck_assert_msg(request.media_parts == media[_i].parts, "%s: %lld parts", body,
                      (long long)request.media_parts);
        ck_assert_msg(request.media_bytes == media[_i].bytes, "%s: %lld bytes", body,
                      (long long)request.media_bytes);
        ck_assert_msg(((request.flags & TG_REQUEST_FETCHES) != 0) == media[_i].fetches, "%s", body);
    }
    snprintf(body, sizeof(body), "{\"model\":\"m\",\"stop_sequences\":[%s]}", media[_i].block);
    ck_assert_int_eq(read_body(body, &request), TG_OK);
    ck_assert_int_eq(request.media_parts, 0);
}
END_TEST

/* What has a maximum of tokens is told from what has none. */
START_TEST(knows_images_by_the_type_of_their_data)
{
    static const struct {
        const char *blocks;
        int64_t images;
    } parts[] = {
        { IMAGE(BASE64), 1 },
        { IMAGE(BASE64) "," IMAGE(BASE64), 2 },
        { IMAGE("\"data\":\"AA\",\"media_type\":\"image\\/webp\",\"type\":\"base64\""), 1 },
        { IMAGE("\"type\":\"base64\",\"media_type\":\"IMAGE/JPEG\",\"data\":\"AA\""), 1 },
        { IMAGE("\"type\":\"base64\",\"data\":\"AA\""), 0 },
        { IMAGE("\"type\":\"base64\",\"media_type\":7,\"data\":\"AA\""), 0 },
        { IMAGE("\"type\":\"base64\",\"media_type\":\"image\",\"data\":\"AA\""), 0 },
        { IMAGE("\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"AA\""), 0 },
        { IMAGE(BASE64 ",\"media_type\":\"application/pdf\""), 0 },
        { IMAGE("\"media_type\":\"application/pdf\"," BASE64), 0 },
        { IMAGE("\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"\""), 0 },
        { IMAGE("\"type\":\"text\",\"media_type\":\"image/png\",\"data\":\"AA\""), 0 },
        { IMAGE(URL ",\"media_type\":\"image/png\""), 0 },
        { "{\"media_type\":\"image/png\"}," IMAGE("\"type\":\"base64\",\"data\":\"AA\""), 0 },
        /* the type of one image is not that of the next */
        { IMAGE(BASE64) "," IMAGE("\"type\":\"base64\",\"data\":\"AA\""), 1 },
    };

    for (size_t i = 0; i < COUNT(parts); i++) {
        char body[BODY_MAX];
        struct tg_request request;

        snprintf(body, sizeof(body), "{\"model\":\"m\",\"messages\":[{\"content\":[%s]}]}",
                 parts[i].blocks);
        ck_assert_int_eq(read_body(body, &request), TG_OK);
        ck_assert_msg(request.image_parts == parts[i].images, "%s", body);
        ck_assert_int_le(request.image_parts, request.media_parts);
    }
}
END_TEST

/* --- whom the client acts for -------------------------------------------------------------------
 */

START_TEST(reads_the_user_and_cuts_it_at_a_character)
{
    char body[BODY_MAX];
    struct tg_request request;

    ck_assert_int_eq(read_body(WITH("\"metadata\":{\"user_id\":\"u-\\u0031\"}"), &request), TG_OK);
    ck_assert_str_eq(request.user, "u-1");
    ck_assert_int_eq(read_body(WITH("\"metadata\":{\"user_id\":7}"), &request), TG_OK);
    ck_assert_str_eq(request.user, "");
    snprintf(body, sizeof(body), WITH("\"metadata\":{\"user_id\":\"%0*d\xC3\xB6\"}"),
             TG_USER_MAX - 1, 0);
    ck_assert_int_eq(read_body(body, &request), TG_OK);
    ck_assert_uint_eq(strlen(request.user), TG_USER_MAX - 1);
}
END_TEST

/* --- refusals -----------------------------------------------------------------------------------
 */

static const struct {
    const char *body;
    const char *field;
} refusals[] = {
    { "", "" },
    { "[]", "" },
    { "{\"model\":\"m\"", "" },
    { "{\"model\":\"m\"}x", "" },
    { "{}", "model" },
    { "{\"model\":7}", "model" },
    { "{\"model\":\"\"}", "model" },
    { "{\"model\":\"m\",\"model\":\"n\"}", "model" },
    { "{\"model\":\"m\",\"Model\":\"n\"}", "Model" },
    { "{\"model\":\"m\",\"max_tokens\":0}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":-1}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":1.5}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":\"100\"}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":1e18}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":1000000000000000000}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":18446744073709551617}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":[1]}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":1,\"max_tokens\":9999}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":1,\"m\\u0061x_tokens\":9999}", "m\\u0061x_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":1,\"MAX_tokens\":9999}", "MAX_tokens" },
    { "{\"model\":\"m\",\"max_token\xC5\xBF\":9}", "max_token\xC5\xBF" },
    { WITH("\"stream\":1"), "stream" },
    { WITH("\"stream\":\"true\""), "stream" },
    { WITH("\"stream\":false,\"stream\":true"), "stream" },
    { WITH("\"Messages\":[]"), "Messages" },
    { WITH("\"tOols\":[]"), "tOols" },
    { WITH("\"thinking\":true"), "thinking" },
    { WITH("\"thinking\":{},\"thinking\":{}"), "thinking" },
    { WITH("\"thinking\":{\"budget_tokens\":0}"), "budget_tokens" },
    { WITH("\"thinking\":{\"budget_tokens\":\"5\"}"), "budget_tokens" },
    { WITH("\"thinking\":{\"budget_tokens\":5,\"budget_tokens\":6}"), "budget_tokens" },
    { WITH("\"thinking\":{\"Budget_tokens\":5}"), "Budget_tokens" },
    { WITH("\"fallbacks\":[],\"fallbacks\":[]"), "fallbacks" },
    { WITH("\"fallbacks\":[{\"max_tokens\":0}]"), "max_tokens" },
    { WITH("\"fallbacks\":[{\"max_tokens\":1e9}]"), "max_tokens" },
};

START_TEST(refuses_and_names_the_field)
{
    struct tg_request request;

    ck_assert_int_eq(read_body(refusals[_i].body, &request), TG_INVALID);
    ck_assert_ptr_nonnull(request.problem);
    ck_assert_msg(span_equal(span_of(request.problem_field.ptr, request.problem_field.len),
                             span_from(refusals[_i].field)),
                  "%s", refusals[_i].body);
}
END_TEST

START_TEST(refuses_a_body_cut_anywhere)
{
    const struct span body =
        SPAN("{\"max_tokens\":12,\"stream\":true,\"system\":[{\"type\":\"text\",\"text\":\"a\"}],"
             "\"messages\":["
             "{\"role\":\"user\",\"content\":[" IMAGE(
                 BASE64) ",{\"type\":\"tool_use\",\"input\":{\"a\":[1]}}]}],"
                         "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},\"fallbacks\":"
                         "[{\"model\":\"n\","
                         "\"max_tokens\":3}],\"context_management\":{\"edits\":[{\"type\":\"x\"}]},"
                         "\"tools\":[{\"type\":"
                         "\"custom\"}],\"metadata\":{\"user_id\":\"u\"},\"model\":\"m\"}");

    for (size_t len = 0; len <= body.len; len++) {
        char *const copy = malloc(len + 1);
        struct tg_request request;

        ck_assert_ptr_nonnull(copy);
        memcpy(copy + 1, body.ptr, len);
        ck_assert_int_eq(
            anthropic_read_request((struct tg_span){ copy + 1, len }, &no_path, &request),
            len == body.len ? TG_OK : TG_INVALID);
        free(copy);
    }
}
END_TEST

/* --- edits --------------------------------------------------------------------------------------
 */

static const struct {
    const char *body;
    const char *edited; /* NULL: cannot be lowered */
} edits_made[] = {
    { "{\"model\":\"m\",\"max_tokens\": 4096 ,\"stream\":true}",
      "{\"model\":\"m\",\"max_tokens\": 256 ,\"stream\":true}" },
    { "{\"max\\u005ftokens\":4096,\"model\":\"m\"}", "{\"max\\u005ftokens\":256,\"model\":\"m\"}" },
    { " {\"model\":\"m\"}", " {\"max_tokens\":256,\"model\":\"m\"}" },
    { "{\"model\":\"m\",\"max_tokens\":4096,\"fallbacks\":[{\"model\":\"n\"}]}",
      "{\"model\":\"m\",\"max_tokens\":256,\"fallbacks\":[{\"model\":\"n\"}]}" },
    { "{\"model\":\"m\",\"max_tokens\":4096,\"fallbacks\":[{\"max_tokens\":9999}]}", NULL },
};

START_TEST(lowers_the_maximum_and_nothing_else)
{
    const struct tg_wish no_wish = { 0 };
    const struct tg_wish wish = { .max_output_tokens = 256 };
    const char *const body = edits_made[_i].body;
    struct tg_edit edits[TG_EDITS_MAX];
    struct tg_request request;
    char edited[BODY_MAX];

    ck_assert_int_eq(read_body(body, &request), TG_OK);
    ck_assert_int_eq(anthropic_plan_edits(&request, &kind, &no_wish, edits), 0);
    ck_assert_int_eq(anthropic_plan_edits(&request, &kind, &wish, edits),
                     edits_made[_i].edited != NULL ? 1 : -1);
    ck_assert_int_eq(anthropic_count_tokens_dialect.plan_edits(&request, &kind, &no_wish, edits),
                     0);
    if (edits_made[_i].edited == NULL)
        return;
    snprintf(edited, sizeof(edited), "%.*s%s%s", (int)edits[0].start, body, edits[0].text,
             body + edits[0].end);
    ck_assert_str_eq(edited, edits_made[_i].edited);
    ck_assert_int_eq(read_body(edited, &request), TG_OK);
    ck_assert_int_eq(request.max_output_tokens, 256);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/anthropic_request");
    TCase *tc = tcase_create("anthropic_request");

    tcase_add_loop_test(tc, reads_the_facts, 0, COUNT(facts));
    tcase_add_loop_test(tc, finds_media_and_references_by_structure, 0, COUNT(media));
    tcase_add_test(tc, knows_images_by_the_type_of_their_data);
    tcase_add_test(tc, reads_the_user_and_cuts_it_at_a_character);
    tcase_add_loop_test(tc, refuses_and_names_the_field, 0, COUNT(refusals));
    tcase_add_test(tc, refuses_a_body_cut_anywhere);
    tcase_add_loop_test(tc, lowers_the_maximum_and_nothing_else, 0, COUNT(edits_made));
    suite_add_tcase(s, tc);
    return s;
}
