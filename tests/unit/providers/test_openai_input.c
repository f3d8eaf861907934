/* Goal: embeddings are billed by what was read and nothing else; moderations need no model and cost
 * nothing. Method: tables of bodies and answers; the reference vectors. */
#include "providers/openai_input.h"

#include "base/span.h"
#include "support/suites.h"
#include "support/support_vectors.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct tg_kind kind = { .name = "k" };

#define F TG_REQUEST_FETCHES

static const struct {
    const char *members;
    uint32_t flags;
    int64_t parts;
} inputs[] = {
    { "\"input\":\"a\"", 0, 0 },
    { "\"input\":[\"a\",\"b\"]", 0, 0 },
    { "\"input\":[1,2,3]", 0, 0 },
    { "\"input\":[[1,2],[3]]", 0, 0 },
    { "\"input\":null,\"dimensions\":8,\"encoding_format\":\"base64\"", 0, 0 },
    { "\"stream\":true,\"n\":-1,\"max_tokens\":\"x\"", 0, 0 }, /* nothing of this dialect */
    { "\"input\":[{\"image_url\":\"https://a\"}]", F, 1 },
    { "\"input\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:,A\"}}]", 0, 1 },
    { "\"messages\":[{\"content\":[]}]", F, 0 },
};

START_TEST(reads_any_input)
{
    char body[256];
    struct tg_request request;

    snprintf(body, sizeof(body), "{%s,\"model\":\"m\"}", inputs[_i].members);
    ck_assert_int_eq(openai_embeddings_dialect.read_request((struct tg_span){ body, strlen(body) },
                                                            &(struct tg_path){ 0 }, &request),
                     TG_OK);
    ck_assert_uint_eq(request.flags, inputs[_i].flags);
    ck_assert_int_eq(request.media_parts, inputs[_i].parts);
    ck_assert_int_eq(request.choices, 1);
}
END_TEST

static const struct {
    const char *body;
    const char *embeddings; /* field at fault; NULL: fine */
    const char *moderations;
} models[] = {
    { "{\"model\":\"m\",\"input\":\"a\"}", NULL, NULL },
    { "{\"input\":\"a\"}", "model", NULL },
    { "{\"model\":null}", "model", "model" },
    { "{\"model\":\"\"}", "model", "model" },
    { "{\"model\":\"m\",\"model\":\"n\"}", "model", "model" },
    { "{\"Model\":\"m\",\"model\":\"n\"}", "Model", "Model" },
    { "{\"Input\":\"m\",\"model\":\"n\"}", "Input", "Input" },
    { "[]", "", "" },
    { "{\"input\":", "", "" },
};

static void check_model(const struct tg_dialect *dialect, const char *body, const char *field)
{
    struct tg_request request;
    const enum tg_status status = dialect->read_request((struct tg_span){ body, strlen(body) },
                                                        &(struct tg_path){ 0 }, &request);

    ck_assert_msg(status == (field == NULL ? TG_OK : TG_INVALID), "%s: %s", dialect->name, body);
    if (field != NULL)
        ck_assert(span_equal(span_of(request.problem_field.ptr, request.problem_field.len),
                             span_from(field)));
}

START_TEST(needs_a_model_where_the_provider_does)
{
    check_model(&openai_embeddings_dialect, models[_i].body, models[_i].embeddings);
    check_model(&openai_moderations_dialect, models[_i].body, models[_i].moderations);
}
END_TEST

START_TEST(moderates_by_the_providers_own_model_where_none_is_named)
{
    struct tg_request request;

    ck_assert_int_eq(openai_moderations_dialect.read_request((struct tg_span){ "{}", 2 },
                                                             &(struct tg_path){ 0 }, &request),
                     TG_OK);
    ck_assert_str_eq(request.model, "omni-moderation-latest");
    ck_assert_uint_eq(request.model_len, strlen(request.model));
    ck_assert_uint_eq(request.places.model_end, 0); /* there is nothing to change */
}
END_TEST

START_TEST(has_no_maximum_to_lower)
{
    const struct tg_wish wish = { .max_output_tokens = 300 };
    const struct tg_request request = { .choices = 1 };
    struct tg_edit edits[TG_EDITS_MAX];

    ck_assert_int_eq(openai_embeddings_dialect.plan_edits(&request, &kind, &wish, edits), -1);
    ck_assert_int_eq(
        openai_embeddings_dialect.plan_edits(&request, &kind, &(struct tg_wish){ 0 }, edits), 0);
    ck_assert_uint_eq(openai_embeddings_dialect.flags,
                      TG_DIALECT_INPUT_ONLY | TG_DIALECT_NO_MAXIMUM);
    ck_assert((openai_moderations_dialect.flags & TG_DIALECT_IS_FREE) != 0);
}
END_TEST

#define C TG_ANSWER_IS_COMPLETE
#define E TG_ANSWER_IS_ERROR
#define D TG_ANSWER_DOUBTFUL
#define U TG_ANSWER_HAS_USAGE
#define R TG_ANSWER_UNREADABLE

static const struct {
    const char *body;
    uint32_t flags;
    int64_t input, output;
} answers[] = {
    { "{\"object\":\"list\",\"data\":[{\"embedding\":[0.1,-2e-3]}],\"model\":\"m\",\"usage\":{"
      "\"prompt_tokens\":7,\"total_tokens\":7}}",
      C | U, 7, 0 },
    { "{\"usage\":{\"prompt_tokens\":7}}", C | U, 7, 0 },
    { "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":0,\"total_tokens\":7}}", C | U, 7, 0 },
    { "{\"usage\":{\"prompt_tokens\":-7,\"total_tokens\":7}}", C | D, 0, 0 },
    { "{\"usage\":{\"prompt_tokens\":\"7\"}}", C | U | D, 7, 0 },
    { "{\"data\":[]}", C, 0, 0 },
    { "{\"id\":\"modr-1\",\"model\":\"omni-moderation-latest\",\"results\":[{\"flagged\":false}]}",
      C, 0, 0 },
    { "{\"error\":{\"message\":\"no\",\"code\":\"x\"}}", E, 0, 0 },
    { "[[0.1]]", R, 0, 0 },
    { "", R, 0, 0 },
    { "{\"usage\":{\"prompt_tokens\":7}", R, 0, 0 },
};

START_TEST(reads_an_answer)
{
    struct tg_answer answer = { 0 };

    openai_embeddings_dialect.read_answer(
        (struct tg_span){ answers[_i].body, strlen(answers[_i].body) }, &kind, &answer);
    ck_assert_msg(answer.flags == answers[_i].flags, "%s: %x", answers[_i].body, answer.flags);
    ck_assert_int_eq(answer.usage.count[TG_INPUT], answers[_i].input);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], answers[_i].output);
}
END_TEST

static void read_vector(const char *dialect, const char *usage, struct tg_answer *answer)
{
    char body[1024];

    (void)dialect;
    snprintf(body, sizeof(body), "{\"data\":[],\"usage\":%s}", usage);
    openai_embeddings_dialect.read_answer((struct tg_span){ body, strlen(body) }, &kind, answer);
    ck_assert_uint_eq(answer->flags, C | U);
}

START_TEST(agrees_with_the_reference_vectors)
{
    ck_assert_int_ge(support_check_vectors("embeddings", read_vector), 1);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/openai_input");
    TCase *tc = tcase_create("openai_input");

    tcase_add_loop_test(tc, reads_any_input, 0, COUNT(inputs));
    tcase_add_loop_test(tc, needs_a_model_where_the_provider_does, 0, COUNT(models));
    tcase_add_test(tc, moderates_by_the_providers_own_model_where_none_is_named);
    tcase_add_test(tc, has_no_maximum_to_lower);
    tcase_add_loop_test(tc, reads_an_answer, 0, COUNT(answers));
    tcase_add_test(tc, agrees_with_the_reference_vectors);
    suite_add_tcase(s, tc);
    return s;
}
