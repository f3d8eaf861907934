/* Goal: what is enforced is read as Google's parser will read it, or refused; the edit changes the
 * output maximum and nothing else. Method: tables of bodies with the facts, or the field at fault,
 * that they must give; edited bodies are judged by cJSON, as Google would read them. */
#include "providers/gemini_request.h"

#include "base/json.h"
#include "base/span.h"
#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define BODY_MAX     2048

static struct tg_span public_span(struct span s)
{
    return (struct tg_span){ s.ptr, s.len };
}

static struct tg_path path_of(const char *model)
{
    return (struct tg_path){ .model = public_span(span_from(model)) };
}

static enum tg_status read_generate(const char *body, struct tg_request *ret_request)
{
    const struct tg_path path = path_of("gemini-2.5-flash");

    return gemini_read_generate(public_span(span_from(body)), &path, ret_request);
}

/* --- facts --------------------------------------------------------------------------------------
 */

#define F             TG_REQUEST_FETCHES
#define M             TG_REQUEST_MAX_GIVEN
#define CONTENTS      "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]"
#define PART(part)    "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}," part "]}]}"
#define CONFIG(inner) "{" CONTENTS ",\"generationConfig\":{" inner "}}"
#define SNAKE(inner)  "{" CONTENTS ",\"generation_config\":{" inner "}}"
#define TOOLS(tools)  "{" CONTENTS ",\"tools\":" tools "}"

static const struct {
    const char *body;
    uint32_t flags;
    int64_t choices;
    int64_t max;
    int64_t thinking;
    int64_t media_parts, media_bytes;
} facts[] = {
    { "{" CONTENTS "}", 0, 1, 0, 0, 0, 0 },
    { "{}", 0, 1, 0, 0, 0, 0 },
    { CONFIG("\"maxOutputTokens\":100"), M, 1, 100, 0, 0, 0 },
    { SNAKE("\"max_output_tokens\":100"), M, 1, 100, 0, 0, 0 },
    { SNAKE("\"maxOutputTokens\":100"), M, 1, 100, 0, 0, 0 },
    { CONFIG("\"max_output_tokens\":2147483647"), M, 1, 2147483647, 0, 0, 0 },
    { CONFIG("\"m\\u0061xOutputTokens\":7"), M, 1, 7, 0, 0, 0 },
    { "{\"generation\\u0043onfig\":{\"maxOutputTokens\":7}}", M, 1, 7, 0, 0, 0 },
    { CONFIG("\"maxOutputTokens\":null"), 0, 1, 0, 0, 0, 0 },
    { "{\"generationConfig\":null}", 0, 1, 0, 0, 0, 0 },
    { CONFIG("\"candidateCount\":4,\"maxOutputTokens\":9"), M, 4, 9, 0, 0, 0 },
    { CONFIG("\"candidate_count\":128"), 0, 128, 0, 0, 0, 0 },
    { CONFIG("\"thinkingConfig\":{\"thinkingBudget\":512,\"includeThoughts\":true}"), 0, 1, 0, 512,
      0, 0 },
    { SNAKE("\"thinking_config\":{\"thinking_budget\":512}"), 0, 1, 0, 512, 0, 0 },
    { CONFIG("\"thinkingConfig\":{\"thinkingBudget\":-1}"), 0, 1, 0, 0, 0, 0 },
    { CONFIG("\"thinkingConfig\":{\"thinkingBudget\":0}"), 0, 1, 0, 0, 0, 0 },
    { CONFIG("\"thinkingConfig\":null,\"temperature\":0.5,\"stopSequences\":[\"x\"]"), 0, 1, 0, 0,
      0, 0 },
    /* what stands elsewhere is no field: in text, in a schema, in a function's arguments */
    { "{\"contents\":[{\"parts\":[{\"text\":\"\\\"maxOutputTokens\\\":5\"},{\"functionCall\":{"
      "\"name\":\"f\",\"args\":{\"maxOutputTokens\":-5,\"fileData\":{},\"inlineData\":{}}}}]}]}",
      0, 1, 0, 0, 0, 0 },
    { CONFIG("\"responseSchema\":{\"properties\":{\"candidateCount\":{\"type\":\"STRING\"},"
             "\"candidateCounts\":1}}"),
      0, 1, 0, 0, 0, 0 },
    { "{\"maxOutputTokens\":\"x\",\"thinkingBudget\":[]}", 0, 1, 0, 0, 0, 0 },
    /* the model, named again */
    { "{\"model\":\"gemini-2.5-flash\"}", 0, 1, 0, 0, 0, 0 },
    { "{\"model\":\"models/gemini-2.5-flash\"}", 0, 1, 0, 0, 0, 0 },
    { "{\"model\":\"models\\/gemini-2.5-fl\\u0061sh\"}", 0, 1, 0, 0, 0, 0 },
    { "{\"model\":null}", 0, 1, 0, 0, 0, 0 },
    /* media */
    { PART("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AAAA\"}}"), 0, 1, 0, 0, 1, 4 },
    { PART("{\"inline_data\":{\"data\":\"AAAAAAAA\",\"mime_type\":\"image/png\"}},"
           "{\"inlineData\":{\"data\":\"BB==\"}}"),
      0, 1, 0, 0, 2, 12 },
    { PART("{\"inlineData\":null},{\"inlineData\":{\"data\":null}}"), 0, 1, 0, 0, 1, 0 },
    { PART("{\"fileData\":{\"mimeType\":\"video/mp4\",\"fileUri\":\"https://youtu.be/x\"}}"), F, 1,
      0, 0, 1, 0 },
    { PART("{\"file_data\":{\"file_uri\":\"files/abc\"}}"), F, 1, 0, 0, 1, 0 },
    { PART("{\"fileData\":null}"), 0, 1, 0, 0, 0, 0 },
    { PART("{\"functionResponse\":{\"name\":\"f\",\"response\":{\"fileData\":{}},\"parts\":["
           "{\"inlineData\":{\"data\":\"AAAA\"}},{\"functionResponse\":{\"parts\":[]}}]}}"),
      0, 1, 0, 0, 1, 4 },
    { PART("{\"function_response\":{\"parts\":{\"fileData\":{\"fileUri\":\"x\"}}}}"), F, 1, 0, 0, 1,
      0 },
    { "{\"systemInstruction\":{\"parts\":{\"inlineData\":{\"data\":\"AAAA\"}}}}", 0, 1, 0, 0, 1,
      4 },
    { "{\"system_instruction\":{\"parts\":[{\"fileData\":{\"fileUri\":\"x\"}}]}}", F, 1, 0, 0, 1,
      0 },
    { "{\"contents\":{\"parts\":{\"fileData\":{\"fileUri\":\"x\"}}}}", F, 1, 0, 0, 1, 0 },
    { "{\"contents\":[7,null,\"x\",[{\"parts\":[]}],{\"parts\":[7,null,[{}]]},{\"parts\":null}]}",
      0, 1, 0, 0, 0, 0 },
    /* input that the provider finds */
    { "{" CONTENTS ",\"cachedContent\":\"cachedContents/abc\"}", F, 1, 0, 0, 0, 0 },
    { "{" CONTENTS ",\"cached_content\":\"cachedContents/abc\"}", F, 1, 0, 0, 0, 0 },
    { "{" CONTENTS ",\"cachedContent\":null}", 0, 1, 0, 0, 0, 0 },
    { TOOLS("[{\"functionDeclarations\":[{\"name\":\"f\",\"parameters\":{\"googleSearch\":{}}}]}]"),
      0, 1, 0, 0, 0, 0 },
    { TOOLS("[{\"function_declarations\":[]}]"), 0, 1, 0, 0, 0, 0 },
    { TOOLS("[{\"googleSearch\":{}}]"), F, 1, 0, 0, 0, 0 },
    { TOOLS("[{\"google_search\":{}}]"), F, 1, 0, 0, 0, 0 },
    { TOOLS("[{\"functionDeclarations\":[]},{\"urlContext\":{}}]"), F, 1, 0, 0, 0, 0 },
    { TOOLS("[{\"functionDeclarations\":[],\"codeExecution\":{}}]"), F, 1, 0, 0, 0, 0 },
    { TOOLS("{\"codeExecution\":{}}"), F, 1, 0, 0, 0, 0 },
    { TOOLS("[{\"someToolOfTomorrow\":{}}]"), F, 1, 0, 0, 0, 0 },
    { TOOLS("[{\"googleSearch\":null}]"), 0, 1, 0, 0, 0, 0 },
    { TOOLS("[]"), 0, 1, 0, 0, 0, 0 },
};

START_TEST(reads_the_facts)
{
    struct tg_request request;

    ck_assert_msg(read_generate(facts[_i].body, &request) == TG_OK, "%s: %s", facts[_i].body,
                  request.problem);
    ck_assert_msg(request.flags == facts[_i].flags, "%s: %x", facts[_i].body, request.flags);
    ck_assert_int_eq(request.choices, facts[_i].choices);
    ck_assert_int_eq(request.max_output_tokens, facts[_i].max);
    ck_assert_int_eq(request.thinking_budget_tokens, facts[_i].thinking);
    ck_assert_int_eq(request.media_parts, facts[_i].media_parts);
    ck_assert_int_eq(request.media_bytes, facts[_i].media_bytes);
    ck_assert_str_eq(request.model, "gemini-2.5-flash");
    ck_assert_uint_eq(request.model_len, strlen("gemini-2.5-flash"));
    ck_assert_ptr_null(request.problem);
    ck_assert_uint_eq(request.places.model_end, 0);
}
END_TEST

/* --- the path -----------------------------------------------------------------------------------
 */

static const struct {
    const char *path;
    const char *body_model; /* NULL: none */
    const char *model;      /* NULL: refused */
} paths[] = {
    { "gemini-2.5-flash", NULL, "gemini-2.5-flash" },
    { "models/gemini-2.5-flash", NULL, "gemini-2.5-flash" },
    { "models/gemini-2.5-flash", "gemini-2.5-flash", "gemini-2.5-flash" },
    { "google/gemini-2.5-flash", NULL, "google/gemini-2.5-flash" },
    { "google/gemini-2.5-flash", "models/gemini-2.5-flash", "google/gemini-2.5-flash" },
    { "google/gemini-2.5-flash", "models/google/gemini-2.5-flash", "google/gemini-2.5-flash" },
    { "tunedModels/mine", NULL, "tunedModels/mine" },
    { "tunedModels/mine", "tunedModels/mine", "tunedModels/mine" },
    { "a", "b", NULL },
    { "a", "models/b", NULL },
    { "a/b", "c/b", NULL },
    { "a/b", "a", NULL },
    { "a/", "", NULL },
    { "", NULL, NULL },
    { "models/", NULL, NULL },
    { "a\n", NULL, NULL },
};

START_TEST(takes_the_model_from_the_path)
{
    const struct tg_path path = path_of(paths[_i].path);
    char body[256] = "{}";
    struct tg_request request;

    if (paths[_i].body_model != NULL)
        sprintf(body, "{\"model\":\"%s\"}", paths[_i].body_model);
    if (paths[_i].model == NULL) {
        ck_assert_int_eq(gemini_read_generate(public_span(span_from(body)), &path, &request),
                         TG_INVALID);
        ck_assert_ptr_nonnull(request.problem);
        ck_assert(span_equal(span_of(request.problem_field.ptr, request.problem_field.len),
                             SPAN("model")));
        return;
    }
    ck_assert_int_eq(gemini_read_generate(public_span(span_from(body)), &path, &request), TG_OK);
    ck_assert_str_eq(request.model, paths[_i].model);
    ck_assert_uint_eq(request.model_len, strlen(paths[_i].model));
}
END_TEST

static const struct {
    const char *part;
    int64_t images;
} pictures[] = {
    { "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"A\"}}", 1 },
    { "{\"inline_data\":{\"data\":\"A\",\"mime_type\":\"image\\/jpeg\"}}", 1 },
    { "{\"inlineData\":{\"mimeType\":\"image/webp\"}},{\"inlineData\":{\"mimeType\":\"image/"
      "heic\"}}",
      2 },
    { "{\"inlineData\":{\"mimeType\":\"image/gif\",\"data\":\"A\"}}", 0 },
    { "{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":\"A\"}}", 0 },
    { "{\"inlineData\":{\"mimeType\":\"video/mp4\",\"data\":\"A\"}}", 0 },
    { "{\"inlineData\":{\"data\":\"A\"}}", 0 },
    { "{\"inlineData\":{\"mimeType\":[\"image/png\"],\"data\":\"A\"}}", 0 },
    { "{\"inlineData\":{\"mimeType\":\"image/png\",\"mime_type\":\"video/mp4\"}}", 0 },
    { "{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"x\"}}", 0 },
};

START_TEST(tells_pictures_from_other_media)
{
    char body[512];
    struct tg_request request;

    (void)snprintf(body, sizeof(body), "{\"contents\":[{\"parts\":[%s]}]}", pictures[_i].part);
    ck_assert_int_eq(read_generate(body, &request), TG_OK);
    ck_assert_msg(request.image_parts == pictures[_i].images, "%s: %lld", body,
                  (long long)request.image_parts);
    ck_assert_int_ge(request.media_parts, request.image_parts);
}
END_TEST

START_TEST(takes_a_model_of_any_length_up_to_its_bound)
{
    char model[TG_MODEL_MAX + 2];
    struct tg_request request;
    struct tg_path path;

    memset(model, 'm', sizeof(model));
    for (size_t len = TG_MODEL_MAX - 1; len <= TG_MODEL_MAX + 1; len++) {
        path = (struct tg_path){ .model = { model, len } };
        ck_assert_int_eq(gemini_read_generate(public_span(SPAN("{}")), &path, &request),
                         len <= TG_MODEL_MAX ? TG_OK : TG_INVALID);
    }
}
END_TEST

START_TEST(takes_the_stream_from_the_path)
{
    struct tg_path path = path_of("m");
    struct tg_request request;

    path.asks_stream = true;
    ck_assert_int_eq(gemini_read_generate(public_span(SPAN("{}")), &path, &request), TG_OK);
    ck_assert_uint_eq(request.flags, TG_REQUEST_STREAM);
    ck_assert_int_eq(gemini_read_generate(public_span(SPAN("{\"stream\":false}")), &path, &request),
                     TG_OK);
    ck_assert_uint_eq(request.flags, TG_REQUEST_STREAM);
}
END_TEST

/* --- what is refused ----------------------------------------------------------------------------
 */

static const struct {
    const char *body;
    const char *field; /* "" for the body as a whole */
} refused[] = {
    { "", "" },
    { "[]", "" },
    { "7", "" },
    { "{\"a\":1", "" },
    { "{\"a\":1}x", "" },
    { "{\"a\":\"\xFF\"}", "" },
    { "{\"generationConfig\":[]}", "generationConfig" },
    { "{\"generationConfig\":7}", "generationConfig" },
    { "{\"generationConfig\":{},\"generationConfig\":{}}", "generationConfig" },
    { "{\"generationConfig\":{},\"generation_config\":{}}", "generation_config" },
    { "{\"generation_config\":{},\"generation_config\":null}", "generation_config" },
    { "{\"generationConfig\":null,\"generation\\u005fconfig\":{}}", "generation\\u005fconfig" },
    { "{\"GenerationConfig\":{}}", "GenerationConfig" },
    { "{\"generationconfig\":{}}", "generationconfig" },
    { "{\"generation_Config\":{}}", "generation_Config" },
    { "{\"GENERATION_CONFIG\":{}}", "GENERATION_CONFIG" },
    { "{\"_generationConfig\":{}}", "_generationConfig" },
    { "{\"\\u0067enerationconfig\":{}}", "\\u0067enerationconfig" },
    { CONFIG("\"maxOutputTokens\":1,\"maxOutputTokens\":1"), "maxOutputTokens" },
    { CONFIG("\"maxOutputTokens\":1,\"max_output_tokens\":1"), "max_output_tokens" },
    { CONFIG("\"maxOutputTokens\":null,\"max_output_tokens\":1"), "max_output_tokens" },
    { CONFIG("\"MaxOutputTokens\":1"), "MaxOutputTokens" },
    { CONFIG("\"maxoutputtokens\":1"), "maxoutputtokens" },
    { CONFIG("\"maxOutputTo\xE2\x84\xAA"
             "ens\":1"),
      "maxOutputTo\xE2\x84\xAA"
      "ens" },
    { CONFIG("\"maxOutputToken\xC5\xBF\":1"), "maxOutputToken\xC5\xBF" },
    { CONFIG("\"maxOutputTokens\":0"), "maxOutputTokens" },
    { CONFIG("\"maxOutputTokens\":-1"), "maxOutputTokens" },
    { CONFIG("\"maxOutputTokens\":1.5"), "maxOutputTokens" },
    { CONFIG("\"maxOutputTokens\":1e3"), "maxOutputTokens" },
    { CONFIG("\"maxOutputTokens\":1e18"), "maxOutputTokens" },
    { CONFIG("\"maxOutputTokens\":2147483648"), "maxOutputTokens" },
    { CONFIG("\"maxOutputTokens\":\"100\""), "maxOutputTokens" },
    { CONFIG("\"maxOutputTokens\":[100]"), "maxOutputTokens" },
    { CONFIG("\"maxOutputTokens\":true"), "maxOutputTokens" },
    { CONFIG("\"candidateCount\":0"), "candidateCount" },
    { CONFIG("\"candidateCount\":-1"), "candidateCount" },
    { CONFIG("\"candidateCount\":129"), "candidateCount" },
    { CONFIG("\"candidateCount\":\"2\""), "candidateCount" },
    { CONFIG("\"candidateCount\":2,\"candidate_count\":2"), "candidate_count" },
    { CONFIG("\"thinkingConfig\":7"), "thinkingConfig" },
    { CONFIG("\"thinkingConfig\":{},\"thinking_config\":{}"), "thinking_config" },
    { CONFIG("\"thinkingConfig\":{\"thinkingBudget\":-2}"), "thinkingBudget" },
    { CONFIG("\"thinkingConfig\":{\"thinkingBudget\":1.5}"), "thinkingBudget" },
    { CONFIG("\"thinkingConfig\":{\"thinkingBudget\":\"5\"}"), "thinkingBudget" },
    { CONFIG("\"thinkingConfig\":{\"thinkingBudget\":1e18}"), "thinkingBudget" },
    { CONFIG("\"thinkingConfig\":{\"thinkingBudget\":5,\"thinking_budget\":6}"),
      "thinking_budget" },
    { "{\"model\":7}", "model" },
    { "{\"model\":\"gemini-2.5-flash\",\"model\":\"gemini-2.5-flash\"}", "model" },
    { "{\"Model\":\"gemini-2.5-flash\"}", "Model" },
    { "{\"model\":\"gemini-2.5-pro\"}", "model" },
    { "{\"cachedcontent\":\"x\"}", "cachedcontent" },
    { PART("{\"FileData\":{}}"), "FileData" },
    { TOOLS("[{\"FunctionDeclarations\":[]}]"), "FunctionDeclarations" },
};

START_TEST(refuses_what_could_be_read_in_two_ways)
{
    struct tg_request request;

    ck_assert_msg(read_generate(refused[_i].body, &request) == TG_INVALID, "%s", refused[_i].body);
    ck_assert_ptr_nonnull(request.problem);
    ck_assert_msg(span_equal(span_of(request.problem_field.ptr, request.problem_field.len),
                             span_from(refused[_i].field)),
                  "%s: %.*s", refused[_i].body, (int)request.problem_field.len,
                  request.problem_field.ptr);
}
END_TEST

START_TEST(refuses_what_is_too_deep)
{
    char body[256] = "{\"contents\":[{\"parts\":";
    struct tg_request request;

    memset(body + strlen(body), '[', 100);
    ck_assert_int_eq(read_generate(body, &request), TG_OUT_OF_RANGE);
    ck_assert_ptr_nonnull(request.problem);
}
END_TEST

/* Whatever is cut off a body, it is refused and nothing breaks. */
START_TEST(refuses_half_a_body)
{
    static const char body[] =
        CONFIG("\"maxOutputTokens\":5,\"thinkingConfig\":{\"thinkingBudget\":3}");
    const struct tg_path path = path_of("gemini-2.5-flash");

    for (size_t len = 0; len < sizeof(body) - 1; len++) {
        char *const copy = malloc(len + 1);
        struct tg_request request;

        ck_assert_ptr_nonnull(copy);
        memcpy(copy + 1, body, len);
        ck_assert_int_eq(gemini_read_generate((struct tg_span){ copy + 1, len }, &path, &request),
                         TG_INVALID);
        free(copy);
    }
}
END_TEST

/* --- tokens to be counted, and embeddings -------------------------------------------------------
 */

static const struct {
    bool is_embedding;
    const char *body;
    bool is_refused;
    uint32_t flags;
    int64_t media_parts;
} others[] = {
    { false, "{" CONTENTS "}", false, 0, 0 },
    { false, "{\"generateContentRequest\":{\"model\":\"models/m\"," CONTENTS "}}", false, 0, 0 },
    { false, "{\"generate_content_request\":{\"model\":\"models/m\"}}", false, 0, 0 },
    { false, "{\"model\":\"m\",\"generateContentRequest\":{\"model\":\"m\"}}", false, 0, 0 },
    { false, "{\"generateContentRequest\":{\"model\":\"models/other\"}}", true, 0, 0 },
    { false, "{\"model\":\"other\"}", true, 0, 0 },
    { false, "{\"generationConfig\":{\"maxOutputTokens\":\"any\"}}", false, 0, 0 },
    { false, "[]", true, 0, 0 },
    { true, "{\"content\":{\"parts\":[{\"text\":\"hi\"}]}}", false, 0, 0 },
    { true, "{\"model\":\"models/m\",\"content\":{\"parts\":[{\"text\":\"hi\"}]}}", false, 0, 0 },
    { true, "{\"model\":\"models/other\",\"content\":{}}", true, 0, 0 },
    { true, "{\"content\":{\"parts\":[{\"inlineData\":{\"data\":\"AAAA\"}}]}}", false, 0, 1 },
    { true,
      "{\"requests\":[{\"model\":\"models/m\",\"content\":{\"parts\":[{\"text\":\"hi\"}]}},"
      "{\"model\":\"models/m\",\"content\":{\"parts\":{\"fileData\":{\"fileUri\":\"x\"}}}}]}",
      false, F, 1 },
    { true, "{\"requests\":[{\"model\":\"models/m\"},{\"model\":\"models/other\"}]}", true, 0, 0 },
    { true, "{\"requests\":[{\"model\":\"m\",\"model\":\"m\"}]}", true, 0, 0 },
    { true, "{\"requests\":[7,null]}", false, 0, 0 },
};

START_TEST(reads_what_has_no_output)
{
    struct tg_path path = path_of("m");
    struct tg_request request;
    const struct tg_span body = public_span(span_from(others[_i].body));
    const enum tg_status status = others[_i].is_embedding
                                      ? gemini_read_embed(body, &path, &request)
                                      : gemini_read_count(body, &path, &request);

    ck_assert_msg(status == (others[_i].is_refused ? TG_INVALID : TG_OK), "%s", others[_i].body);
    if (others[_i].is_refused)
        return;
    ck_assert_str_eq(request.model, "m");
    ck_assert_uint_eq(request.flags, others[_i].flags);
    ck_assert_int_eq(request.media_parts, others[_i].media_parts);
    ck_assert_int_eq(request.choices, 1);
}
END_TEST

/* --- edits --------------------------------------------------------------------------------------
 */

static const char *const bounded[] = {
    "{" CONTENTS "}",
    " { " CONTENTS " } ",
    CONFIG(""),
    CONFIG(" "),
    CONFIG("\"temperature\":1"),
    CONFIG(" \"maxOutputTokens\" : 5000 , \"topP\":1"),
    CONFIG("\"topK\":3,\"max_output_tokens\":5000"),
    CONFIG("\"maxOutputTokens\":null"),
    SNAKE("\"candidateCount\":1"),
    "{\"generationConfig\":null," CONTENTS "}",
    "{" CONTENTS ",\"generation_config\" : null }",
};

static char *apply(const char *body, const struct tg_edit *edit)
{
    char *const out = malloc(strlen(body) + edit->text_len + 1);

    ck_assert_ptr_nonnull(out);
    memcpy(out, body, edit->start);
    memcpy(out + edit->start, edit->text, edit->text_len);
    strcpy(out + edit->start + edit->text_len, body + edit->end);
    return out;
}

/* Accepts NULL for the member. */
static void drop(cJSON *object, cJSON *member)
{
    cJSON_Delete(cJSON_DetachItemViaPointer(object, member));
}

/* A member by either spelling; asserts that there is one of them. */
static cJSON *only(const cJSON *object, const char *name, const char *snake)
{
    cJSON *found = NULL;
    const cJSON *member;

    cJSON_ArrayForEach(member, object)
    {
        if (strcmp(member->string, name) != 0 && strcmp(member->string, snake) != 0)
            continue;
        ck_assert_ptr_null(found);
        found = (cJSON *)member;
    }
    return found;
}

START_TEST(lowers_the_maximum_and_nothing_else)
{
    const struct tg_wish wish = { .max_output_tokens = 256, .output_field = "max_tokens" };
    struct tg_edit edits[TG_EDITS_MAX];
    struct tg_request request;
    struct tg_kind kind = { .name = "google" };
    AUTO_JSON before = cJSON_Parse(bounded[_i]);
    AUTO_JSON after = NULL;
    cJSON *config;
    char *edited;

    ck_assert_int_eq(read_generate(bounded[_i], &request), TG_OK);
    ck_assert_int_eq(gemini_plan_edits(&request, &kind, &wish, edits), 1);
    edited = apply(bounded[_i], edits);
    after = cJSON_Parse(edited);
    ck_assert_msg(after != NULL, "%s", edited);
    config = only(after, "generationConfig", "generation_config");
    ck_assert_msg(config != NULL, "%s", edited);
    ck_assert_int_eq(only(config, "maxOutputTokens", "max_output_tokens")->valueint, 256);
    ck_assert_int_eq(read_generate(edited, &request), TG_OK);
    ck_assert_int_eq(request.max_output_tokens, 256);

    /* Without the maximum, and a config that holds nothing else, it is as it was. */
    drop(config, only(config, "maxOutputTokens", "max_output_tokens"));
    config = only(before, "generationConfig", "generation_config");
    if (cJSON_IsObject(config))
        drop(config, only(config, "maxOutputTokens", "max_output_tokens"));
    for (int i = 0; i < 2; i++) {
        cJSON *const tree = i == 0 ? before : after;
        cJSON *const rest = only(tree, "generationConfig", "generation_config");

        if (rest != NULL && rest->child == NULL)
            drop(tree, rest);
    }
    ck_assert_msg(cJSON_Compare(before, after, true), "%s", edited);
    free(edited);
}
END_TEST

START_TEST(edits_nothing_that_was_not_wished_for)
{
    const struct tg_wish no_wish = { 0 };
    struct tg_edit edits[TG_EDITS_MAX];
    struct tg_request request;
    struct tg_kind kind = { .name = "google", .flags = TG_KIND_ASKS_USAGE };

    ck_assert_int_eq(read_generate(bounded[_i], &request), TG_OK);
    request.flags |= TG_REQUEST_STREAM;
    ck_assert_int_eq(gemini_plan_edits(&request, &kind, &no_wish, edits), 0);
    ck_assert_int_eq(gemini_plan_no_edits(&request, &kind, &no_wish, edits), 0);
}
END_TEST

START_TEST(says_what_cannot_be_lowered)
{
    const struct tg_wish wish = { .max_output_tokens = 256 };
    struct tg_edit edits[TG_EDITS_MAX];
    struct tg_request request;
    struct tg_kind kind = { .name = "google" };

    ck_assert_int_eq(read_generate(" { } ", &request), TG_OK);
    ck_assert_int_eq(gemini_plan_edits(&request, &kind, &wish, edits), -1);
    ck_assert_int_eq(gemini_plan_no_edits(&request, &kind, &wish, edits), -1);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/gemini_request");
    TCase *tc = tcase_create("gemini_request");

    tcase_add_loop_test(tc, reads_the_facts, 0, COUNT(facts));
    tcase_add_loop_test(tc, takes_the_model_from_the_path, 0, COUNT(paths));
    tcase_add_loop_test(tc, tells_pictures_from_other_media, 0, COUNT(pictures));
    tcase_add_test(tc, takes_a_model_of_any_length_up_to_its_bound);
    tcase_add_test(tc, takes_the_stream_from_the_path);
    tcase_add_loop_test(tc, refuses_what_could_be_read_in_two_ways, 0, COUNT(refused));
    tcase_add_test(tc, refuses_what_is_too_deep);
    tcase_add_test(tc, refuses_half_a_body);
    tcase_add_loop_test(tc, reads_what_has_no_output, 0, COUNT(others));
    tcase_add_loop_test(tc, lowers_the_maximum_and_nothing_else, 0, COUNT(bounded));
    tcase_add_loop_test(tc, edits_nothing_that_was_not_wished_for, 0, COUNT(bounded));
    tcase_add_test(tc, says_what_cannot_be_lowered);
    suite_add_tcase(s, tc);
    return s;
}
