/* Goal: the book loses no charge, takes none twice, and its sums are those of its rows.
 * Method: a real database below build/, through the writer, as the program does it. */
#include "base/buf.h"
#include "base/id.h"
#include "ledger/charge.h"
#include "support/suites.h"
#include "support/support_book.h"

#include <stdlib.h>

static struct support_book book;

static void setup(void)
{
    support_book_setup(&book);
}

static void teardown(void)
{
    support_book_teardown(&book);
}

START_TEST(a_hold_gives_way_to_its_charge)
{
    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    ck_assert_int_eq(support_book_number(&book, "SELECT sum(amount_nusd) FROM hold"), 1000000);
    ck_assert_int_eq(support_settle_now(&book, 1), TG_OK);
    ck_assert_int_eq(support_book_number(&book, "SELECT count(*) FROM hold"), 0);
    ck_assert_int_eq(support_book_number(&book, "SELECT sum(cost_nusd) FROM charge"), 1001);
    ck_assert_int_eq(support_book_number(&book, "SELECT sum(cost_nusd) FROM rollup_day"), 1001);
    ck_assert_int_eq(support_book_number(&book, "SELECT sum(input) FROM rollup_quarter_hour"), 101);
    support_book_is_sound(&book);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("ledger");
    TCase *one = tcase_create("book");

    tcase_add_checked_fixture(one, setup, teardown);
    tcase_set_timeout(one, 60);
    tcase_add_test(one, a_hold_gives_way_to_its_charge);
    suite_add_tcase(all, one);
    return all;
}
