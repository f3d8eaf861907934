/* Goal: a counter is in the period that a moment falls into, what a batch changes can be undone,
 * and what is still of use is kept. Method: minutes of UTC, counted by hand. */
#include "quota/counter.h"

#include "policy/calendar.h"
#include "support/suites.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define MINUTE_MS    INT64_C(60000)
#define T0           (INT64_C(29924640) * MINUTE_MS) /* where a minute begins */

static struct calendar *minutes;
static struct counter_log log_of_batch;
static struct counter_set set;
static struct limit limit;

static void setup(void)
{
    const struct period_rule rule = { .window = PERIOD_MINUTE, .week_start = 1, .anchor_day = 1 };
    struct err err = { "" };

    ck_assert_int_eq(
        calendar_open(NULL, &(struct calendar_choice){ "UTC", &rule }, T0, &minutes, &err), TG_OK);
    limit = (struct limit){ .amount = 100, .has_window = true, .rule = rule };
    counter_log_init(&log_of_batch);
    counter_set_init(&set, &limit, minutes, &log_of_batch);
}

static void teardown(void)
{
    counter_set_fini(&set);
    calendar_free(minutes);
}

static struct counter *at(int64_t wall_ms)
{
    struct counter *counter = NULL;

    ck_assert_int_eq(counter_at(&set, wall_ms, &counter), TG_OK);
    return counter;
}

static bool is_kept(int64_t wall_ms)
{
    struct counter *counter;

    return counter_at(&set, wall_ms, &counter) == TG_OK;
}

START_TEST(a_moment_is_in_the_period_around_it)
{
    static const struct {
        int64_t wall_ms;
        int64_t start_ms;
    } moments[] = { { T0, T0 },
                    { T0 + 1, T0 },
                    { T0 + MINUTE_MS - 1, T0 },
                    { T0 + MINUTE_MS, T0 + MINUTE_MS },
                    { T0 + 2 * MINUTE_MS - 1, T0 + MINUTE_MS } };

    for (int i = 0; i < COUNT(moments); i++) {
        const struct counter *counter = at(moments[i].wall_ms);

        ck_assert_int_eq(counter->period.start_ms, moments[i].start_ms);
        ck_assert_int_eq(counter->period.end_ms, moments[i].start_ms + MINUTE_MS);
        ck_assert_ptr_eq(at(moments[i].wall_ms), counter);
    }
}
END_TEST

START_TEST(the_newest_two_are_kept_and_those_with_open_holds)
{
    struct counter *first = at(T0);

    first->open_holds = 1;
    for (int minute = 1; minute <= 4; minute++)
        (void)at(T0 + minute * MINUTE_MS);
    ck_assert(is_kept(T0));
    ck_assert(!is_kept(T0 + MINUTE_MS));
    ck_assert(!is_kept(T0 + 2 * MINUTE_MS));
    ck_assert(is_kept(T0 + 3 * MINUTE_MS));
    ck_assert(is_kept(T0 + 4 * MINUTE_MS));
    ck_assert_int_eq(counter_newest(&set)->period.start_ms, T0 + 4 * MINUTE_MS);
    first->open_holds = 0;
    (void)at(T0 + 5 * MINUTE_MS);
    ck_assert(!is_kept(T0));
}
END_TEST

START_TEST(an_old_one_that_the_batch_has_changed_is_kept_until_it_ends)
{
    struct counter *first = at(T0);

    counter_touch(first);
    for (int minute = 1; minute <= 3; minute++)
        (void)at(T0 + minute * MINUTE_MS);
    ck_assert(is_kept(T0));
    counter_log_keep(&log_of_batch);
    (void)at(T0 + 4 * MINUTE_MS);
    ck_assert(!is_kept(T0));
}
END_TEST

START_TEST(what_a_batch_has_changed_is_undone_or_kept_once)
{
    struct counter *counter = at(T0);

    counter_touch(counter);
    counter->now.spent = 10;
    counter_touch(counter); /* of the same batch: what was before stays */
    counter->now.spent = 20;
    counter_log_undo(&log_of_batch);
    ck_assert_int_eq(counter->now.spent, 0);
    counter_touch(counter);
    counter->now.spent = 30;
    counter_log_keep(&log_of_batch);
    counter_touch(counter);
    counter->now.spent = 40;
    counter_log_undo(&log_of_batch);
    ck_assert_int_eq(counter->now.spent, 30);
}
END_TEST

START_TEST(an_override_holds_for_its_period_alone)
{
    limit.override_amount = 500;
    limit.override_start_ms = T0 + MINUTE_MS;
    ck_assert_int_eq(counter_amount(at(T0)), 100);
    ck_assert_int_eq(counter_amount(at(T0 + MINUTE_MS)), 500);
    ck_assert_int_eq(counter_amount(at(T0 + 2 * MINUTE_MS)), 100);
}
END_TEST

/* Thresholds of 50 and 100 percent. */
static const struct {
    int64_t amount;
    int64_t spent;
    int told;
    int next;
} thresholds[] = {
    { 100, 0, 0, 0 },
    { 100, 49, 0, 0 },
    { 100, 50, 0, 50 },
    { 100, 50, 1, 0 },
    { 100, 99, 1, 0 },
    { 100, 100, 1, 100 },
    { 100, 100, 2, 0 },
    { 100, 1000, 0, 50 },
    { 1, 0, 0, 0 },
    { 3, 1, 0, 0 },
    { 3, 2, 0, 50 },
    { LIMIT_AMOUNT_MAX, LIMIT_AMOUNT_MAX / 2 - 1, 0, 0 },
    { LIMIT_AMOUNT_MAX, LIMIT_AMOUNT_MAX / 2, 0, 50 },
    { LIMIT_AMOUNT_MAX, INT64_MAX, 1, 100 },
    { 100, -10, 0, 0 },
};

START_TEST(a_threshold_is_next_when_it_is_reached_and_not_told)
{
    struct counter *counter = at(T0);

    limit.amount = thresholds[_i].amount;
    limit.thresholds[0] = 50;
    limit.thresholds[1] = 100;
    limit.threshold_count = 2;
    counter->now.spent = thresholds[_i].spent;
    counter->now.told = thresholds[_i].told;
    ck_assert_int_eq(counter_next_threshold(counter), thresholds[_i].next);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("quota/counter");
    TCase *tcase = tcase_create("counter");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_moment_is_in_the_period_around_it);
    tcase_add_test(tcase, the_newest_two_are_kept_and_those_with_open_holds);
    tcase_add_test(tcase, an_old_one_that_the_batch_has_changed_is_kept_until_it_ends);
    tcase_add_test(tcase, what_a_batch_has_changed_is_undone_or_kept_once);
    tcase_add_test(tcase, an_override_holds_for_its_period_alone);
    tcase_add_loop_test(tcase, a_threshold_is_next_when_it_is_reached_and_not_told, 0,
                        COUNT(thresholds));
    suite_add_tcase(all, tcase);
    return all;
}
