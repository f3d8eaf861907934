/* Goal: sums land in the right day and quarter hour, and coalesce.
 * Method: the rollup in memory alone; no database. */
#include "ledger/rollup.h"
#include "support/suites.h"

static struct rollup rollup;

static void setup(void)
{
    rollup_init(&rollup);
}

static void teardown(void)
{
    rollup_fini(&rollup);
}

static void add(int64_t wall_ms, int64_t cost_nusd)
{
    const struct rollup_place place = {
        .wall_ms = wall_ms, .team_id = 1, .key_id = 2, .model_id = 3, .provider_id = 4
    };
    const struct rollup_metrics metrics = { .value = { [ROLLUP_COST_NUSD] = cost_nusd } };

    ck_assert_int_eq(rollup_add(&rollup, &place, &metrics), TG_OK);
}

static int count_rows(int64_t table)
{
    int count = 0;

    for (const struct rollup_row *row = rollup.used; row != NULL; row = row->next)
        count += row->key.table == table ? 1 : 0;
    return count;
}

static const struct {
    int64_t wall_ms;
    int64_t day;
    int64_t quarter_hour;
} times[] = {
    { 0, 0, 0 },
    { 899999, 0, 0 },
    { 900000, 0, 1 },
    { 86399999, 0, 95 },
    { 86400000, 1, 96 },
    { -1, -1, -1 },
    { 1795478400000, 20781, 1994976 }, /* 2026-11-24T00:00:00Z */
};

START_TEST(a_time_belongs_to_one_day_and_one_quarter_hour)
{
    add(times[_i].wall_ms, 5);
    for (const struct rollup_row *row = rollup.used; row != NULL; row = row->next) {
        ck_assert_int_eq(row->key.at,
                         row->key.table == ROLLUP_DAY ? times[_i].day : times[_i].quarter_hour);
        ck_assert_int_eq(row->sum.value[ROLLUP_COST_NUSD], 5);
    }
    ck_assert_int_eq(count_rows(ROLLUP_DAY), 1);
    ck_assert_int_eq(count_rows(ROLLUP_QUARTER_HOUR), 1);
}
END_TEST

START_TEST(what_falls_together_is_one_row)
{
    add(1000, 5);
    add(899999, 7);
    add(900000, 1);
    ck_assert_int_eq(count_rows(ROLLUP_DAY), 1);
    ck_assert_int_eq(count_rows(ROLLUP_QUARTER_HOUR), 2);
    for (const struct rollup_row *row = rollup.used; row != NULL; row = row->next) {
        if (row->key.table == ROLLUP_DAY)
            ck_assert_int_eq(row->sum.value[ROLLUP_COST_NUSD], 13);
    }
}
END_TEST

START_TEST(clearing_forgets_the_sums)
{
    add(1000, 5);
    rollup_clear(&rollup);
    ck_assert_int_eq(rollup_count_nonzero(&rollup), 0);
    add(1000, 7);
    ck_assert_int_eq(count_rows(ROLLUP_DAY), 1);
    ck_assert_int_eq(rollup.used->sum.value[ROLLUP_COST_NUSD], 7);
}
END_TEST

START_TEST(subtracting_the_same_leaves_nothing)
{
    struct rollup_key keys[2];
    const struct rollup_metrics same = { .value = { [ROLLUP_COST_NUSD] = 5 } };

    add(1000, 5);
    ck_assert_int_eq(rollup_count_nonzero(&rollup), 2);
    keys[0] = rollup.used->key;
    keys[1] = rollup.used->next->key;
    ck_assert_int_eq(rollup_subtract(&rollup, &keys[0], &same), TG_OK);
    ck_assert_int_eq(rollup_count_nonzero(&rollup), 1);
    ck_assert_int_eq(rollup_subtract(&rollup, &keys[1], &same), TG_OK);
    ck_assert_int_eq(rollup_count_nonzero(&rollup), 0);
}
END_TEST

START_TEST(many_rows_are_kept_apart_and_given_back)
{
    for (int i = 0; i < 10000; i++)
        add(i * ROLLUP_MS_PER_DAY, 1);
    ck_assert_int_eq(rollup_count_nonzero(&rollup), 20000);
    rollup_clear(&rollup);
    ck_assert_uint_eq(rollup.rows.slot_count, 0);
    add(1, 1);
    ck_assert_int_eq(rollup_count_nonzero(&rollup), 2);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("rollup");
    TCase *one = tcase_create("sums");

    tcase_add_checked_fixture(one, setup, teardown);
    tcase_add_loop_test(one, a_time_belongs_to_one_day_and_one_quarter_hour, 0,
                        (int)(sizeof(times) / sizeof(times[0])));
    tcase_add_test(one, what_falls_together_is_one_row);
    tcase_add_test(one, clearing_forgets_the_sums);
    tcase_add_test(one, subtracting_the_same_leaves_nothing);
    tcase_add_test(one, many_rows_are_kept_apart_and_given_back);
    suite_add_tcase(all, one);
    return all;
}
