/* Goal: what the build puts into the program is whole, sorted and found by name.
 * Method: the embedded migrations themselves. */
#include "support/suites.h"
#include "tollgate/embedded.h"

START_TEST(the_files_are_sorted_and_terminated)
{
    ck_assert_uint_gt(tg_migration_count, 0);
    for (size_t i = 0; i < tg_migration_count; i++) {
        ck_assert_uint_eq(strlen(tg_migrations[i].sha256), 64);
        ck_assert_int_eq(tg_migrations[i].bytes[tg_migrations[i].len], 0);
        if (i > 0)
            ck_assert_int_lt(strcmp(tg_migrations[i - 1].name, tg_migrations[i].name), 0);
    }
    ck_assert_ptr_null(tg_migrations[tg_migration_count].name);
}
END_TEST

START_TEST(each_file_is_found_by_its_name)
{
    for (size_t i = 0; i < tg_migration_count; i++)
        ck_assert_ptr_eq(tg_embedded_find(tg_migrations, tg_migration_count, tg_migrations[i].name),
                         &tg_migrations[i]);
    ck_assert_ptr_null(tg_embedded_find(tg_migrations, tg_migration_count, "0000"));
    ck_assert_ptr_null(tg_embedded_find(tg_migrations, tg_migration_count, "zzzz"));
    ck_assert_ptr_null(tg_embedded_find(tg_migrations, 0, "0001_create_accounts.sql"));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("embedded");
    TCase *one = tcase_create("files");

    tcase_add_test(one, the_files_are_sorted_and_terminated);
    tcase_add_test(one, each_file_is_found_by_its_name);
    suite_add_tcase(all, one);
    return all;
}
