/* Goal: a provider's name can be a path, and its address is mended as its kind needs. Method:
 * tables. */

#include "providers/catalogue.h"
#include "routing/provider.h"
#include "support/suites.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

struct name_case {
    const char *name;
    bool is_valid;
};

static const struct name_case names[] = {
    { "openai", true },
    { "a", true },
    { "my-vllm-2", true },
    { "v1x", true },
    { "v1", false },
    { "v1beta", false },
    { "api", false },
    { "", false },
    { "OpenAI", false },
    { "a_b", false },
    { "a/b", false },
    { "a.b", false },
    { "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk", true },   /* 63 */
    { "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl", false }, /* 64 */
};

START_TEST(a_name_can_be_the_first_part_of_a_path)
{
    ck_assert_int_eq(provider_name_is_valid(span_from(names[_i].name)), names[_i].is_valid);
}
END_TEST

struct mend_case {
    const char *kind;
    const char *given;
    const char *mended; /* NULL: refused */
};

static const struct mend_case mends[] = {
    { "openai", "", "https://api.openai.com/v1" },
    { "openai", "https://api.openai.com", "https://api.openai.com/v1" },
    { "openai", "https://api.openai.com/v1/v1/", "https://api.openai.com/v1" },
    { "openai", "https://gate.example/openai/v1", "https://gate.example/openai/v1" },
    { "anthropic", "", "https://api.anthropic.com" },
    { "anthropic", "https://api.anthropic.com/v1", "https://api.anthropic.com" },
    { "anthropic", "https://gate.example/anthropic/v1/", "https://gate.example/anthropic" },
    { "google", "https://generativelanguage.googleapis.com/v1beta",
      "https://generativelanguage.googleapis.com" },
    { "groq", "https://api.groq.com", "https://api.groq.com/openai/v1" },
    { "openai-compatible", "http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1" },
    { "openai-compatible", "", NULL },
    { "openai", "api.openai.com", NULL },
};

START_TEST(an_address_is_mended_as_its_kind_needs)
{
    const struct mend_case *one = &mends[_i];
    char base_url[PROVIDER_URL_SIZE] = "";
    struct err err = { 0 };
    const enum tg_status status = provider_mend_url(catalogue_kind(span_from(one->kind)),
                                                    span_from(one->given), base_url, &err);

    ck_assert_int_eq(status, one->mended == NULL ? TG_INVALID : TG_OK);
    if (one->mended != NULL)
        ck_assert_str_eq(base_url, one->mended);
}
END_TEST

Suite *suite(void)
{
    Suite *provider = suite_create("routing/provider");
    TCase *tcase = tcase_create("fields");

    tcase_add_loop_test(tcase, a_name_can_be_the_first_part_of_a_path, 0, COUNT(names));
    tcase_add_loop_test(tcase, an_address_is_mended_as_its_kind_needs, 0, COUNT(mends));
    suite_add_tcase(provider, tcase);
    return provider;
}
