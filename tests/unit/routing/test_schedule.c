/* Goal: a provider is asked for its models when it is new or changed, then each hour; one that
 * fails is asked again after growing waits and holds up nobody. Method: times written down by hand,
 * in seconds from the test's beginning. */

#include "routing/schedule.h"

#include "support/suites.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array)  ((int)(sizeof(array) / sizeof((array)[0])))
#define START_WALL_MS INT64_C(1795000000000)
#define START_US      INT64_C(5000000000)
#define S_US(seconds) (START_US + (seconds)*INT64_C(1000000))
#define HOUR          3600
#define NEVER_ASKED   INT64_MIN

static struct schedule schedule;

static void start(void)
{
    memset(&schedule, 0, sizeof schedule);
}

static struct provider provider_of(int32_t id, int64_t revision)
{
    struct provider provider = { .id = id, .revision = revision };

    (void)snprintf(provider.public_id, sizeof provider.public_id, "prov_%d", (int)id);
    (void)snprintf(provider.name, sizeof provider.name, "p%d", (int)id);
    return provider;
}

static void see(const struct provider *providers, int count, int64_t seconds)
{
    const struct schedule_time now = { START_WALL_MS + seconds * 1000, S_US(seconds) };

    schedule_begin(&schedule);
    for (int i = 0; i < count; i++)
        schedule_see(&schedule, &providers[i], &now);
    schedule_end(&schedule);
}

/* return  the row of the one that is picked; 0: none */
static int32_t picked(int64_t seconds)
{
    const struct schedule_entry *entry = schedule_pick(&schedule, S_US(seconds));

    return entry != NULL ? entry->id : 0;
}

static bool note(enum tg_status status, int http, int64_t seconds)
{
    return schedule_note(schedule_pick(&schedule, S_US(seconds)),
                         &(struct schedule_outcome){ status, http }, S_US(seconds));
}

/* When a list was stored, in seconds before the first look, and when it is due after it. */
struct first_case {
    int64_t age_s;
    int64_t due_s;
};

static const struct first_case firsts[] = {
    { NEVER_ASKED, 0 }, { 0, HOUR },       { 1, HOUR - 1 }, { HOUR - 1, 1 }, { HOUR, 0 },
    { HOUR + 1, 0 },    { 100 * HOUR, 0 }, { -1, 0 }, /* the wall clock was set back */
};

START_TEST(a_start_asks_those_whose_list_is_missing_or_an_hour_old)
{
    const struct first_case *one = &firsts[_i];
    struct provider provider = provider_of(1, 1);

    if (one->age_s != NEVER_ASKED)
        provider.models_at_ms = START_WALL_MS - one->age_s * 1000;
    see(&provider, 1, 0);
    ck_assert_int_eq(schedule_next_us(&schedule), S_US(one->due_s));
    if (one->due_s > 0)
        ck_assert_int_eq(picked(one->due_s - 1), 0);
    ck_assert_int_eq(picked(one->due_s), 1);
}
END_TEST

/* Seconds between one attempt and the next while all fail. */
static const int64_t waits[] = { 60, 120, 240, 480, 960, 1920, HOUR, HOUR, HOUR };

START_TEST(failures_are_tried_again_after_growing_waits_and_a_success_ends_that)
{
    const struct provider provider = provider_of(1, 1);
    int64_t at = 0;

    see(&provider, 1, 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT(waits); i++) {
            (void)note(TG_UPSTREAM_TIMEOUT, 0, at);
            ck_assert_int_eq(picked(at + waits[i] - 1), 0);
            see(&provider, 1, at + waits[i] - 1); /* a look in between changes nothing */
            ck_assert_int_eq(schedule_next_us(&schedule), S_US(at + waits[i]));
            at += waits[i];
            ck_assert_int_eq(picked(at), 1);
        }
        (void)note(TG_OK, 200, at);
        ck_assert_int_eq(schedule_next_us(&schedule), S_US(at + HOUR));
        ck_assert_int_eq(picked(at + HOUR - 1), 0);
        at += HOUR;
        ck_assert_int_eq(picked(at), 1);
    }
}
END_TEST

START_TEST(a_change_ends_the_wait)
{
    struct provider provider = provider_of(1, 1);

    see(&provider, 1, 0);
    (void)note(TG_UPSTREAM_INVALID, 401, 0);
    ck_assert_int_eq(picked(1), 0);
    provider.revision++;
    see(&provider, 1, 1);
    ck_assert_int_eq(picked(1), 1);
    ck_assert(note(TG_UPSTREAM_INVALID, 401, 1)); /* of the new secret */
    ck_assert_int_eq(schedule_next_us(&schedule), S_US(61));
    /* A new name alone: the list is its own still. */
    provider.revision++;
    provider.models_at_ms = START_WALL_MS;
    see(&provider, 1, 2);
    ck_assert_int_eq(schedule_next_us(&schedule), S_US(HOUR));
}
END_TEST

struct news_case {
    enum tg_status status;
    int http;
    bool is_news;
};

static const struct news_case news[] = {
    { TG_OK, 200, true },
    { TG_OK, 200, false },
    { TG_UPSTREAM_INVALID, 500, true },
    { TG_UPSTREAM_INVALID, 500, false },
    { TG_UPSTREAM_INVALID, 401, true },
    { TG_UPSTREAM_UNREACHABLE, 0, true },
    { TG_UPSTREAM_UNREACHABLE, 0, false },
    { TG_OK, 200, true },
    { TG_OK, 200, false },
};

START_TEST(an_outcome_is_news_once)
{
    const struct provider provider = provider_of(1, 1);

    see(&provider, 1, 0);
    for (int i = 0; i < COUNT(news); i++)
        ck_assert_msg(note(news[i].status, news[i].http, i * HOUR) == news[i].is_news, "row %d", i);
}
END_TEST

START_TEST(one_that_has_not_failed_comes_before_all_that_have)
{
    struct provider providers[] = { provider_of(1, 1), provider_of(2, 1), provider_of(3, 1) };

    see(providers, 2, 0);
    (void)note(TG_UPSTREAM_TIMEOUT, 0, 0);
    (void)note(TG_UPSTREAM_TIMEOUT, 0, 1);
    see(providers, 3, 100); /* both are due again, and there is a new one */
    ck_assert_int_eq(picked(100), 3);
    (void)note(TG_OK, 200, 100);
    ck_assert_int_eq(picked(100), 1); /* it waits longest */
    (void)note(TG_UPSTREAM_TIMEOUT, 0, 100);
    ck_assert_int_eq(picked(100), 2);
    (void)note(TG_OK, 200, 100);
    ck_assert_int_eq(picked(100), 0);
    ck_assert_int_eq(schedule_next_us(&schedule), S_US(100 + 120));
}
END_TEST

START_TEST(those_that_are_gone_are_forgotten)
{
    const struct provider providers[] = { provider_of(1, 1), provider_of(2, 1) };

    see(providers, 2, 0);
    (void)note(TG_UPSTREAM_TIMEOUT, 0, 0);
    see(&providers[1], 1, 1);
    ck_assert_int_eq(schedule.count, 1);
    ck_assert_int_eq(picked(1), 2);
    ck_assert_str_eq(schedule_pick(&schedule, S_US(1))->name, "p2");
    see(NULL, 0, 2);
    ck_assert_int_eq(picked(10 * HOUR), 0);
    ck_assert(schedule_next_us(&schedule) == INT64_MAX);
    see(providers, 1, 3); /* enabled again: as new */
    ck_assert_int_eq(picked(3), 1);
}
END_TEST

START_TEST(more_than_there_is_room_for_are_left_out)
{
    static struct provider many[TARGETS_MAX + 1];

    for (int i = 0; i < COUNT(many); i++)
        many[i] = provider_of(i + 1, 1);
    see(many, COUNT(many), 0);
    ck_assert_int_eq(schedule.count, TARGETS_MAX);
    see(many, COUNT(many), 1);
    ck_assert_int_eq(schedule.count, TARGETS_MAX);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("routing/schedule");
    TCase *tests = tcase_create("schedule");

    tcase_add_checked_fixture(tests, start, NULL);
    tcase_add_loop_test(tests, a_start_asks_those_whose_list_is_missing_or_an_hour_old, 0,
                        COUNT(firsts));
    tcase_add_test(tests, failures_are_tried_again_after_growing_waits_and_a_success_ends_that);
    tcase_add_test(tests, a_change_ends_the_wait);
    tcase_add_test(tests, an_outcome_is_news_once);
    tcase_add_test(tests, one_that_has_not_failed_comes_before_all_that_have);
    tcase_add_test(tests, those_that_are_gone_are_forgotten);
    tcase_add_test(tests, more_than_there_is_room_for_are_left_out);
    suite_add_tcase(all, tests);
    return all;
}
