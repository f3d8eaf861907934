/* Goal: fields of accounts hold what they may and nothing else, and a refusal points at its field.
 * Method: tables on both sides of each rule. */

#include "base/clock.h"
#include "ledger/account.h"
#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

struct field_case {
    const char *text;
    bool is_valid;
};

static const struct field_case names[] = {
    { "a", true },
    { "Team 7 / Z\xc3\xbcrich", true },
    { "\xf0\x9f\x9a\x80", true },
    { "", false },
    { " a", false },
    { "a ", false },
    { "a\nb", false },
    { "a\x7f", false },
    { "a\xc2\x85", false }, /* C1 */
    { "a\xc3", false },     /* cut UTF-8 */
    { "a\xff", false },
    { "a\xed\xa0\x80", false }, /* a surrogate */
    { "a\xe2\x80\x8b"
      "b",
      false }, /* U+200B zero width space */
    { "a\xe2\x80\xae"
      "b",
      false }, /* U+202E right-to-left override */
    { "a\xe2\x81\xa6"
      "b",
      false }, /* U+2066 isolate */
    { "\xef\xbb\xbf"
      "a",
      false }, /* U+FEFF */
};

START_TEST(a_name_is_readable_text)
{
    struct account_job job;
    struct err err = { 0 };

    account_job_init(&job);
    ck_assert_int_eq(account_check_name(&job, span_from(names[_i].text), &err),
                     names[_i].is_valid ? TG_OK : TG_INVALID);
    if (!names[_i].is_valid)
        ck_assert_str_eq(job.problem_pointer, "/name");
    ck_assert_int_eq(err.text[0] == '\0', names[_i].is_valid);
}
END_TEST

START_TEST(a_name_has_at_most_128_characters)
{
    char text[ACCOUNT_NAME_MAX * 2 + 3] = { 0 };
    struct account_job job;

    account_job_init(&job);
    for (int i = 0; i < ACCOUNT_NAME_MAX; i++)
        memcpy(text + (size_t)i * 2, "\xc3\xa4", 2);
    ck_assert_int_eq(account_check_name(&job, span_from(text), NULL), TG_OK);
    text[ACCOUNT_NAME_MAX * 2] = 'a';
    ck_assert_int_eq(account_check_name(&job, span_from(text), NULL), TG_INVALID);
}
END_TEST

static const struct field_case zones[] = {
    { "UTC", true },
    { "Europe/Berlin", true },
    { "America/Argentina/Buenos_Aires", true },
    { "Etc/GMT+5", true },
    { "", false },
    { "Europe", false }, /* a folder */
    { "Europe/Nowhere", false },
    { "europe/berlin", false },
    { "../../../etc/passwd", false },
    { "Europe/../Europe/Berlin", false },
    { "/usr/share/zoneinfo/UTC", false },
    { "posix/Europe/Berlin", false },
    { "localtime", false },
    { "Factory", false },
    { "GMT\n", false },
};

START_TEST(a_zone_is_one_that_the_system_has)
{
    struct account_job job;

    account_job_init(&job);
    ck_assert_int_eq(account_check_timezone(&job, span_from(zones[_i].text), NULL),
                     zones[_i].is_valid ? TG_OK : TG_INVALID);
}
END_TEST

static const struct field_case metadata[] = {
    { "{}", true },        { "{\"a\":{\"b\":[1,2]}}", true }, { "[]", false }, { "null", false },
    { "{\"a\":1", false }, { "{\"a\":1,\"a\":2}", false },    { "", false },
};

START_TEST(metadata_is_an_object)
{
    struct account_job job;

    account_job_init(&job);
    ck_assert_int_eq(account_check_metadata(&job, span_from(metadata[_i].text), NULL),
                     metadata[_i].is_valid ? TG_OK : TG_INVALID);
}
END_TEST

START_TEST(metadata_has_at_most_4_kib)
{
    char text[ACCOUNT_METADATA_MAX + 2];
    struct account_job job;

    account_job_init(&job);
    memset(text, 'x', sizeof(text));
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + ACCOUNT_METADATA_MAX - 2, "\"}", 2);
    ck_assert_int_eq(account_check_metadata(&job, span_of(text, ACCOUNT_METADATA_MAX), NULL),
                     TG_OK);
    memcpy(text + ACCOUNT_METADATA_MAX - 2, "x\"}", 3);
    ck_assert_int_eq(account_check_metadata(&job, span_of(text, ACCOUNT_METADATA_MAX + 1), NULL),
                     TG_INVALID);
}
END_TEST

struct models_case {
    const char *json;
    const char *pointer; /* NULL: valid */
};

static const struct models_case models[] = {
    { "[]", NULL },
    { "[\"gpt-5\",\"claude-*\",\"*\"]", NULL },
    { "{}", "/models" },
    { "\"gpt-5\"", "/models" },
    { "[", "/models" },
    { "[\"a\",7]", "/models/1" },
    { "[\"a\",\"b\",\"\"]", "/models/2" },
    { "[\"g*t\"]", "/models/0" },
    { "[\"a**\"]", "/models/0" },
    { "[\"a\\n\"]", "/models/0" },
    { "[\"a\",\"b\",\"c\",\"d\"]", "/models" }, /* more than the rule's three */
};

START_TEST(models_are_names_and_prefixes)
{
    static const struct account_models_rule rule = { .max = 3, .may_star = true };
    struct account_job job;

    account_job_init(&job);
    ck_assert_int_eq(account_check_models(&job, span_from(models[_i].json), &rule, NULL),
                     models[_i].pointer == NULL ? TG_OK : TG_INVALID);
    if (models[_i].pointer != NULL)
        ck_assert_str_eq(job.problem_pointer, models[_i].pointer);
}
END_TEST

START_TEST(stored_models_are_read_into_one_block)
{
    char **list = NULL;
    int count = -1;

    ck_assert_int_eq(account_read_models(SPAN("[\"a\",\"bc*\"]"), &list, &count), TG_OK);
    ck_assert_int_eq(count, 2);
    ck_assert_str_eq(list[0], "a");
    ck_assert_str_eq(list[1], "bc*");
    ck_assert_ptr_null(list[2]);
    free(list);
    ck_assert_int_eq(account_read_models(SPAN("{}"), &list, &count), TG_CORRUPT);
    ck_assert_int_eq(account_read_models(SPAN("[1]"), &list, &count), TG_CORRUPT);
    ck_assert_int_eq(account_read_models(SPAN("["), &list, &count), TG_CORRUPT);
    ck_assert_int_eq(count, 2);
}
END_TEST

static int64_t test_wall_ms(void)
{
    return 1000;
}

static int64_t test_monotonic_us(void)
{
    return 1;
}

START_TEST(an_expiry_is_later_than_now)
{
    static const struct clock_source source = { test_wall_ms, test_monotonic_us };
    struct account_job job;

    clock_use(&source);
    account_job_init(&job);
    ck_assert_int_eq(account_check_expiry(&job, 0, NULL), TG_OK);
    ck_assert_int_eq(account_check_expiry(&job, 1001, NULL), TG_OK);
    ck_assert_int_eq(account_check_expiry(&job, 1000, NULL), TG_INVALID);
    ck_assert_int_eq(account_check_expiry(&job, -1, NULL), TG_INVALID);
    ck_assert_str_eq(job.problem_pointer, "/expires_at");
    clock_use(NULL);
}
END_TEST

Suite *suite(void)
{
    Suite *account = suite_create("ledger/account");
    TCase *tcase = tcase_create("fields");

    tcase_add_loop_test(tcase, a_name_is_readable_text, 0, COUNT(names));
    tcase_add_test(tcase, a_name_has_at_most_128_characters);
    tcase_add_loop_test(tcase, a_zone_is_one_that_the_system_has, 0, COUNT(zones));
    tcase_add_loop_test(tcase, metadata_is_an_object, 0, COUNT(metadata));
    tcase_add_test(tcase, metadata_has_at_most_4_kib);
    tcase_add_loop_test(tcase, models_are_names_and_prefixes, 0, COUNT(models));
    tcase_add_test(tcase, stored_models_are_read_into_one_block);
    tcase_add_test(tcase, an_expiry_is_later_than_now);
    suite_add_tcase(account, tcase);
    return account;
}
