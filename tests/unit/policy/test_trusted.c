/* Goal: steps of the wall clock mint no budget, re-open no period and stop nothing; suspension and
 * drift are followed. Method: both clocks are the test's, which walks them through steps by the
 * second and looks when each day and month of the trusted time begins. */

#include "policy/trusted.h"

#include "support/suites.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define SECOND_MS    INT64_C(1000)
#define MINUTE_MS    INT64_C(60000)
#define HOUR_MS      INT64_C(3600000)
#define DAY_MS       INT64_C(86400000)
#define START_MS     INT64_C(1795521600000) /* 2026-11-24T12:00:00Z, so that midnight is far */

/* The world: what both clocks show, and the trusted clock that looks at them. */
static struct trusted_clock clock;
static struct trusted_reading at;
static int64_t last_ms;

static void start(int64_t floor_ms)
{
    at = (struct trusted_reading){ .wall_ms = START_MS, .boot_ms = 77777 };
    trusted_init(&clock, at, floor_ms);
    last_ms = floor_ms;
}

static int64_t look(void)
{
    const int64_t now_ms = trusted_now(&clock, at);

    if (now_ms < last_ms)
        ck_abort_msg("time went back by %ld ms", (long)(last_ms - now_ms));
    last_ms = now_ms;
    return now_ms;
}

static void step(int64_t wall_ms)
{
    at.wall_ms += wall_ms;
}

/* Let both clocks run, looking each second. */
static int64_t pass(int64_t ms)
{
    for (int64_t passed_ms = 0; passed_ms < ms; passed_ms += SECOND_MS) {
        at.wall_ms += SECOND_MS;
        at.boot_ms += SECOND_MS;
        (void)look();
    }
    return last_ms;
}

START_TEST(the_wall_clock_is_followed)
{
    start(START_MS - 1);
    for (int i = 0; i < 7200; i++) {
        ck_assert_int_eq(pass(SECOND_MS), at.wall_ms);
        ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
    }
}
END_TEST

START_TEST(an_empty_ledger_has_no_floor)
{
    start(0);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
    ck_assert_int_eq(look(), START_MS);
}
END_TEST

START_TEST(suspension_is_followed)
{
    start(START_MS);
    (void)pass(MINUTE_MS);
    at.wall_ms += 40 * DAY_MS;
    at.boot_ms += 40 * DAY_MS;
    ck_assert_int_eq(look(), at.wall_ms);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
}
END_TEST

/* A clock that gains 500 ppm, the most that it may be slewed by, for a year. */
START_TEST(drift_is_followed)
{
    start(START_MS);
    for (int64_t hour = 0; hour < INT64_C(365) * 24; hour++) {
        at.boot_ms += HOUR_MS;
        at.wall_ms += HOUR_MS + HOUR_MS / 2000;
        if (look() != at.wall_ms || clock.state != TRUSTED_FOLLOWS)
            ck_abort_msg("hour %ld", (long)hour);
    }
}
END_TEST

static const int64_t small_steps[] = { 1, SECOND_MS, TRUSTED_STEP_MS };

START_TEST(a_small_step_ahead_is_followed)
{
    start(START_MS);
    (void)pass(MINUTE_MS);
    step(small_steps[_i]);
    ck_assert_int_eq(look(), at.wall_ms);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
}
END_TEST

START_TEST(after_a_small_step_back_time_goes_at_half_speed)
{
    const int64_t back_ms = small_steps[_i];
    int64_t before_ms;

    start(START_MS);
    before_ms = pass(MINUTE_MS);
    step(-back_ms);
    ck_assert_int_eq(look(), before_ms);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
    ck_assert_int_eq(pass(back_ms / SECOND_MS * SECOND_MS), before_ms + back_ms / SECOND_MS * 500);
    (void)pass(back_ms + SECOND_MS);
    ck_assert_int_eq(look(), at.wall_ms);
}
END_TEST

/* However often it is asked: a ms is not lost to rounding. */
START_TEST(half_speed_is_kept_in_single_milliseconds)
{
    start(START_MS);
    step(-4 * MINUTE_MS);
    for (int i = 0; i < 1001; i++) {
        at.wall_ms++;
        at.boot_ms++;
        (void)look();
    }
    ck_assert_int_eq(last_ms, START_MS + 500);
}
END_TEST

/* Small steps that add up: five minutes are gained once in ten, however many there are. */
START_TEST(small_steps_lead_not_far)
{
    start(START_MS);
    for (int i = 0; i < 3600; i++) {
        step(4 * MINUTE_MS);
        (void)pass(SECOND_MS);
    }
    ck_assert_int_le(last_ms - START_MS, HOUR_MS + 7 * TRUSTED_STEP_MS);
}
END_TEST

static const int64_t steps[] = {
    TRUSTED_STEP_MS + 1,  HOUR_MS,  DAY_MS,  40 * DAY_MS,
    -TRUSTED_STEP_MS - 1, -HOUR_MS, -DAY_MS, -30 * DAY_MS,
};

START_TEST(a_step_is_not_believed_for_ten_minutes)
{
    int64_t before_ms;

    start(START_MS);
    before_ms = pass(MINUTE_MS);
    step(steps[_i]);
    ck_assert_int_eq(look(), before_ms);
    ck_assert_int_eq(clock.state, TRUSTED_STEPPED);
    ck_assert_int_eq(pass(TRUSTED_AGREE_MS - SECOND_MS), before_ms + TRUSTED_AGREE_MS - SECOND_MS);
    ck_assert_int_eq(clock.state, TRUSTED_STEPPED);
    (void)pass(SECOND_MS);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
    if (steps[_i] > 0)
        ck_assert_int_eq(last_ms, at.wall_ms);
}
END_TEST

START_TEST(a_step_that_is_taken_back_is_as_if_it_had_not_been)
{
    int64_t before_ms;

    start(START_MS);
    before_ms = pass(MINUTE_MS);
    step(steps[_i]);
    (void)pass(MINUTE_MS);
    step(-steps[_i]);
    ck_assert_int_eq(pass(MINUTE_MS), before_ms + 2 * MINUTE_MS);
    ck_assert_int_eq(last_ms, at.wall_ms);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
}
END_TEST

START_TEST(a_step_that_an_operator_confirms_is_believed_at_once)
{
    start(START_MS);
    (void)pass(MINUTE_MS);
    step(steps[_i]);
    (void)pass(SECOND_MS);
    trusted_confirm(&clock);
    (void)pass(SECOND_MS);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
    if (steps[_i] > 0)
        ck_assert_int_eq(last_ms, at.wall_ms);
    step(steps[_i]); /* that was for one step */
    (void)look();
    ck_assert_int_eq(clock.state, TRUSTED_STEPPED);
}
END_TEST

START_TEST(a_clock_that_was_right_is_confirmed_for_no_step_to_come)
{
    start(START_MS);
    trusted_confirm(&clock);
    step(DAY_MS);
    ck_assert_int_eq(look(), START_MS);
    ck_assert_int_eq(clock.state, TRUSTED_STEPPED);
}
END_TEST

/* After the ten minutes a clock that went back is followed, but time never stands still: it goes at
 * half speed for as long again as the step was, and until then each period is longer, none comes
 * twice. */
START_TEST(after_a_step_back_time_goes_on_and_catches_up)
{
    const int64_t back_ms = -steps[_i];
    int64_t ahead_ms;

    start(START_MS);
    (void)pass(MINUTE_MS);
    step(-back_ms);
    (void)look();
    (void)pass(TRUSTED_AGREE_MS);
    ahead_ms = last_ms - at.wall_ms;
    ck_assert_int_le(ahead_ms, back_ms);
    for (int64_t passed_ms = 0; passed_ms < 2 * back_ms; passed_ms += MINUTE_MS) {
        const int64_t before_ms = last_ms;

        (void)pass(MINUTE_MS);
        if (last_ms - before_ms < MINUTE_MS / 2 || last_ms - at.wall_ms > ahead_ms)
            ck_abort_msg("after %ld ms", (long)passed_ms);
        ahead_ms = last_ms - at.wall_ms;
    }
    ck_assert_int_eq(last_ms, at.wall_ms);
}
END_TEST

/* A clock that says something else each minute is never believed, and stops nothing. */
START_TEST(a_clock_that_does_not_agree_with_itself_is_not_believed)
{
    start(START_MS);
    (void)pass(MINUTE_MS);
    for (int i = 0; i < 500; i++) {
        step((i % 2 == 0 ? 3 : 1) * DAY_MS);
        (void)pass(9 * MINUTE_MS);
        ck_assert_int_eq(clock.state, TRUSTED_STEPPED);
    }
    ck_assert_int_eq(last_ms, START_MS + (1 + 500 * 9) * MINUTE_MS);
}
END_TEST

/* --- at the start --- */

static const struct {
    int64_t ahead_ms; /* of the wall clock before the floor */
    enum trusted_state state;
} starts[] = {
    { 0, TRUSTED_FOLLOWS },
    { TRUSTED_GAP_MS, TRUSTED_FOLLOWS },
    { TRUSTED_GAP_MS + 1, TRUSTED_GAP },
    { TRUSTED_UNCONFIRMED_MS, TRUSTED_GAP },
    { TRUSTED_UNCONFIRMED_MS + 1, TRUSTED_UNCONFIRMED },
    { 61 * DAY_MS, TRUSTED_UNCONFIRMED },
    { -1, TRUSTED_FOLLOWS },
    { -TRUSTED_STEP_MS, TRUSTED_FOLLOWS },
    { -TRUSTED_STEP_MS - 1, TRUSTED_STEPPED },
    { -DAY_MS, TRUSTED_STEPPED },
    { -31 * DAY_MS, TRUSTED_STEPPED },
};

START_TEST(a_start_is_judged_by_the_floor)
{
    const int64_t floor_ms = START_MS - starts[_i].ahead_ms;
    const bool is_believed = starts[_i].state != TRUSTED_UNCONFIRMED && starts[_i].ahead_ms >= 0;

    start(floor_ms);
    ck_assert_int_eq(clock.state, starts[_i].state);
    ck_assert_int_eq(look(), is_believed ? START_MS : floor_ms);
    (void)pass(TRUSTED_AGREE_MS - SECOND_MS);
    ck_assert_int_eq(clock.state, starts[_i].state);
    if (starts[_i].state == TRUSTED_UNCONFIRMED)
        ck_assert_int_eq(last_ms, floor_ms + TRUSTED_AGREE_MS - SECOND_MS);
    (void)pass(SECOND_MS);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
    if (starts[_i].ahead_ms >= 0)
        ck_assert_int_eq(last_ms, at.wall_ms);
}
END_TEST

START_TEST(a_start_behind_the_floor_goes_on_when_the_clock_is_set)
{
    start(START_MS + DAY_MS);
    (void)pass(MINUTE_MS);
    step(DAY_MS);
    ck_assert_int_eq(look(), START_MS + DAY_MS + MINUTE_MS);
    ck_assert_int_eq(last_ms, at.wall_ms);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
}
END_TEST

START_TEST(a_start_long_after_is_confirmed_by_an_operator)
{
    start(START_MS - 61 * DAY_MS);
    (void)pass(MINUTE_MS);
    trusted_confirm(&clock);
    ck_assert_int_eq(look(), at.wall_ms);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
}
END_TEST

/* Two threads may have read the clocks in one order and asked in the other. */
START_TEST(an_older_reading_moves_nothing_back)
{
    struct trusted_reading older;

    start(START_MS);
    (void)pass(MINUTE_MS);
    older = at;
    (void)pass(SECOND_MS);
    ck_assert_int_eq(trusted_now(&clock, older), last_ms);
    ck_assert_int_eq(pass(2 * SECOND_MS), at.wall_ms);
    ck_assert_int_eq(clock.state, TRUSTED_FOLLOWS);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("policy/trusted");
    TCase *tc = tcase_create("trusted");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, the_wall_clock_is_followed);
    tcase_add_test(tc, an_empty_ledger_has_no_floor);
    tcase_add_test(tc, suspension_is_followed);
    tcase_add_test(tc, drift_is_followed);
    tcase_add_loop_test(tc, a_small_step_ahead_is_followed, 0, COUNT(small_steps));
    tcase_add_loop_test(tc, after_a_small_step_back_time_goes_at_half_speed, 0, COUNT(small_steps));
    tcase_add_test(tc, half_speed_is_kept_in_single_milliseconds);
    tcase_add_test(tc, small_steps_lead_not_far);
    tcase_add_loop_test(tc, a_step_is_not_believed_for_ten_minutes, 0, COUNT(steps));
    tcase_add_loop_test(tc, a_step_that_is_taken_back_is_as_if_it_had_not_been, 0, COUNT(steps));
    tcase_add_loop_test(tc, a_step_that_an_operator_confirms_is_believed_at_once, 0, COUNT(steps));
    tcase_add_test(tc, a_clock_that_was_right_is_confirmed_for_no_step_to_come);
    tcase_add_loop_test(tc, after_a_step_back_time_goes_on_and_catches_up, 4, COUNT(steps));
    tcase_add_test(tc, a_clock_that_does_not_agree_with_itself_is_not_believed);
    tcase_add_loop_test(tc, a_start_is_judged_by_the_floor, 0, COUNT(starts));
    tcase_add_test(tc, a_start_behind_the_floor_goes_on_when_the_clock_is_set);
    tcase_add_test(tc, a_start_long_after_is_confirmed_by_an_operator);
    tcase_add_test(tc, an_older_reading_moves_nothing_back);
    suite_add_tcase(s, tc);
    return s;
}
