/* Goal: an operator's line is whole or cleanly cut, and the outcome table has a usable row for each
 * status. Method: lines around the size limit, also with a character across it; a walk over the
 * table. */
#include "base/err.h"

#include "base/span.h"
#include "support/suites.h"

START_TEST(hands_the_status_back_and_writes_the_line)
{
    struct err err = { "" };

    ck_assert_int_eq(err_set(&err, TG_IO, "file %s line %d", "a.csv", 7), TG_IO);
    ck_assert_str_eq(err.text, "file a.csv line 7");
    ck_assert_int_eq(err_set(NULL, TG_STALE, "unheard"), TG_STALE);
}
END_TEST

START_TEST(cuts_only_what_is_too_long)
{
    char text[ERR_TEXT_MAX + 8];
    struct err err;

    for (size_t len = ERR_TEXT_MAX - 2; len < ERR_TEXT_MAX + 4; len++) {
        const size_t kept = len < ERR_TEXT_MAX ? len : ERR_TEXT_MAX - 1;

        memset(text, 'x', len);
        text[len] = '\0';
        (void)err_set(&err, TG_IO, "%s", text);
        ck_assert_uint_eq(strlen(err.text), kept);
    }
}
END_TEST

START_TEST(never_cuts_inside_a_character)
{
    char text[ERR_TEXT_MAX + 32];
    struct err err;

    /* The euro sign's three bytes begin 1, 2 and 3 bytes before the limit; the last one fits. */
    for (size_t before = 1; before <= 3; before++) {
        const size_t start = ERR_TEXT_MAX - 1 - before;

        memset(text, 'x', start);
        strcpy(text + start, "\xE2\x82\xAC and more");
        (void)err_set(&err, TG_IO, "%s", text);
        ck_assert_uint_eq(strlen(err.text), before == 3 ? ERR_TEXT_MAX - 1 : start);
    }
    /* One byte too long, which is the character's last. */
    memset(text, 'x', ERR_TEXT_MAX - 3);
    strcpy(text + ERR_TEXT_MAX - 3, "\xE2\x82\xAC");
    (void)err_set(&err, TG_IO, "%s", text);
    ck_assert_uint_eq(strlen(err.text), ERR_TEXT_MAX - 3);
}
END_TEST

START_TEST(each_status_has_a_row)
{
    for (int i = 0; i < TG_STATUS_COUNT; i++) {
        const struct tg_status_info *info = tg_status_info((enum tg_status)i);

        ck_assert_int_eq(strncmp(info->name, "TG_", 3), 0);
        ck_assert_int_ge(info->http, 200);
        ck_assert_int_le(info->http, 599);
        ck_assert_uint_gt(strlen(info->code), 0);
        ck_assert_uint_gt(strlen(info->sentence), 0);
        ck_assert_msg(!info->may_retry || info->http >= 408, "%s", info->name);
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(info->code, tg_status_info((enum tg_status)j)->code);
    }
    ck_assert_str_eq(tg_status_info(TG_RATE_LIMITED)->name, "TG_RATE_LIMITED");
    ck_assert_int_eq(tg_status_info(TG_RATE_LIMITED)->http, 429);
    ck_assert_str_eq(tg_status_info(TG_RATE_LIMITED)->type, "requests");
    ck_assert(tg_status_info(TG_RATE_LIMITED)->may_retry);
    ck_assert(!tg_status_info(TG_INVALID)->may_retry);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("base/err");
    TCase *tc = tcase_create("err");

    tcase_add_test(tc, hands_the_status_back_and_writes_the_line);
    tcase_add_test(tc, cuts_only_what_is_too_long);
    tcase_add_test(tc, never_cuts_inside_a_character);
    tcase_add_test(tc, each_status_has_a_row);
    suite_add_tcase(s, tc);
    return s;
}
