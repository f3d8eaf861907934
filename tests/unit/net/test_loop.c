/* Goal: the order inside a turn, and what is removed staying silent. Method: a loop over pipes and
 * a clock of the test's own, turned by deferred tasks; the mailbox is hammered by real threads. */
#include "net/loop.h"

#include "base/clock.h"
#include "support/suites.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LOG_MAX 64

static struct loop *loop;
static atomic_llong clock_us;
static char record[LOG_MAX]; /* one letter an event */
static int recorded;

static int64_t test_wall_ms(void)
{
    return 0;
}

static int64_t test_monotonic_us(void)
{
    return clock_us;
}

static void note(char letter)
{
    ck_assert_int_lt(recorded, LOG_MAX - 1);
    record[recorded++] = letter;
    record[recorded] = '\0';
}

static void setup(void)
{
    static const struct clock_source source = { test_wall_ms, test_monotonic_us };

    clock_us = 1000000;
    recorded = 0;
    record[0] = '\0';
    clock_use(&source);
    ck_assert_int_eq(loop_new(NULL, &loop), TG_OK);
}

static void teardown(void)
{
    loop_free(loop);
    clock_use(NULL);
}

/* Runs one more turn after each task, so that a loop whose clock stands still never sleeps. */
struct turner {
    struct loop_task task;
    int turns_left;
    int64_t step_us;
};

static void on_turn(struct loop_task *task)
{
    struct turner *turner = LIST_ENTRY(task, struct turner, task);

    clock_us += turner->step_us;
    if (--turner->turns_left == 1)
        loop_stop(loop); /* is seen in the next turn, the last */
    loop_defer(loop, task);
}

static void run_turns(int turns, int64_t step_us)
{
    struct turner turner = { .turns_left = turns, .step_us = step_us };

    loop_task_init(&turner.task, on_turn);
    loop_defer(loop, &turner.task);
    if (turns == 1)
        loop_stop(loop);
    loop_run(loop);
    loop_defer_cancel(&turner.task);
}

/* --- timers --- */

struct letter_timer {
    struct loop_timer timer;
    char letter;
    int64_t again_us; /* sets itself again, that far from now, once */
};

static void on_letter_due(struct loop_timer *timer)
{
    struct letter_timer *letter = LIST_ENTRY(timer, struct letter_timer, timer);

    note(letter->letter);
    if (letter->again_us > 0) {
        loop_timer_set(loop, timer, loop_now_us(loop) + letter->again_us);
        letter->again_us = 0;
    }
}

static void letter_init(struct letter_timer *letter, char name)
{
    *letter = (struct letter_timer){ .letter = name };
    loop_timer_init(&letter->timer, on_letter_due);
}

static int64_t in_ms(int64_t ms)
{
    return loop_now_us(loop) + ms * 1000;
}

START_TEST(timers_fire_in_the_order_of_their_times)
{
    static const int64_t due_ms[] = { 5, 1, 4, 2, 8, 3, 7, 6 };
    struct letter_timer letters[8];

    for (int i = 0; i < 8; i++) {
        letter_init(&letters[i], (char)('0' + due_ms[i]));
        loop_timer_set(loop, &letters[i].timer, in_ms(due_ms[i]));
    }
    run_turns(10, 1000);
    ck_assert_str_eq(record, "12345678");
}
END_TEST

START_TEST(a_timer_fires_once_and_not_before_its_time)
{
    struct letter_timer a;

    letter_init(&a, 'a');
    loop_timer_set(loop, &a.timer, in_ms(3));
    run_turns(3, 1000);
    ck_assert_str_eq(record, "");
    run_turns(10, 1000);
    ck_assert_str_eq(record, "a");
}
END_TEST

START_TEST(a_timer_moved_later_fires_at_the_later_time_only)
{
    struct letter_timer a;
    struct letter_timer b;

    letter_init(&a, 'a');
    letter_init(&b, 'b');
    loop_timer_set(loop, &a.timer, in_ms(2));
    loop_timer_set(loop, &b.timer, in_ms(4));
    loop_timer_set(loop, &a.timer, in_ms(6));
    ck_assert_int_lt(a.timer.heap_us, a.timer.due_us); /* moving was free */
    run_turns(5, 1000);
    ck_assert_str_eq(record, "b");
    run_turns(5, 1000);
    ck_assert_str_eq(record, "ba");
}
END_TEST

START_TEST(a_timer_moved_earlier_fires_earlier)
{
    struct letter_timer a;
    struct letter_timer b;

    letter_init(&a, 'a');
    letter_init(&b, 'b');
    loop_timer_set(loop, &b.timer, in_ms(4));
    loop_timer_set(loop, &a.timer, in_ms(9));
    loop_timer_set(loop, &a.timer, in_ms(2));
    run_turns(6, 1000);
    ck_assert_str_eq(record, "ab");
}
END_TEST

START_TEST(a_cleared_timer_is_silent_and_can_be_set_again)
{
    struct letter_timer a;

    letter_init(&a, 'a');
    loop_timer_clear(loop, &a.timer); /* harmless */
    loop_timer_set(loop, &a.timer, in_ms(1));
    loop_timer_clear(loop, &a.timer);
    run_turns(3, 1000);
    ck_assert_str_eq(record, "");
    loop_timer_set(loop, &a.timer, in_ms(1));
    run_turns(3, 1000);
    ck_assert_str_eq(record, "a");
}
END_TEST

START_TEST(a_timer_may_set_itself_again)
{
    struct letter_timer a;

    letter_init(&a, 'a');
    a.again_us = 2000;
    loop_timer_set(loop, &a.timer, in_ms(1));
    run_turns(5, 1000);
    ck_assert_str_eq(record, "aa");
}
END_TEST

/* Against a model: an array searched for the least due time. */
START_TEST(the_heap_agrees_with_a_plain_search)
{
    enum { TIMERS = 200, STEPS = 20000 };
    static struct letter_timer letters[TIMERS];
    static int64_t due_us[TIMERS]; /* -1: not set */
    unsigned seed = 7;

    for (int i = 0; i < TIMERS; i++) {
        letter_init(&letters[i], 'x');
        due_us[i] = -1;
    }
    for (int step = 0; step < STEPS; step++) {
        const int i = rand_r(&seed) % TIMERS;

        if (rand_r(&seed) % 4 == 0) {
            loop_timer_clear(loop, &letters[i].timer);
            due_us[i] = -1;
        } else {
            due_us[i] = 2000000 + rand_r(&seed) % 1000;
            loop_timer_set(loop, &letters[i].timer, due_us[i]);
        }
    }
    for (int64_t now_us = 2000000; now_us < 2001000; now_us += 10) {
        for (int i = 0; i < TIMERS; i++) {
            if (due_us[i] >= 0 && due_us[i] <= now_us)
                due_us[i] = -1;
        }
        clock_us = now_us;
        recorded = 0;
        run_turns(1, 0);
        for (int i = 0; i < TIMERS; i++)
            ck_assert_int_eq(letters[i].timer.heap_index >= 0, due_us[i] >= 0);
    }
}
END_TEST

/* --- watches --- */

struct letter_watch {
    struct loop_watch watch;
    int far_end;
    char letter;
    struct letter_watch *removes;
};

static void on_letter_event(struct loop_watch *watch, uint32_t events)
{
    struct letter_watch *letter = LIST_ENTRY(watch, struct letter_watch, watch);
    char byte;

    ck_assert((events & EPOLLIN) != 0);
    ck_assert_int_eq(read(watch->fd, &byte, 1), 1);
    note(letter->letter);
    if (letter->removes != NULL)
        loop_watch_remove(loop, &letter->removes->watch);
}

static void letter_watch_init(struct letter_watch *letter, char name)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    *letter = (struct letter_watch){ .letter = name, .far_end = ends[1] };
    letter->watch = (struct loop_watch){ .fd = ends[0], .on_event = on_letter_event };
    ck_assert_int_eq(loop_watch_add(loop, &letter->watch, EPOLLIN), TG_OK);
}

static void letter_watch_poke(struct letter_watch *letter)
{
    ck_assert_int_eq(write(letter->far_end, "x", 1), 1);
}

static void letter_watch_fini(struct letter_watch *letter)
{
    loop_watch_remove(loop, &letter->watch);
    close(letter->watch.fd);
    close(letter->far_end);
}

START_TEST(a_watch_removed_by_another_gets_no_event_of_the_batch_in_hand)
{
    struct letter_watch a;
    struct letter_watch b;

    letter_watch_init(&a, 'a');
    letter_watch_init(&b, 'b');
    a.removes = &b;
    b.removes = &a;
    letter_watch_poke(&a);
    letter_watch_poke(&b);
    run_turns(3, 0);
    ck_assert_int_eq(recorded, 1); /* whichever came first has silenced the other */
    letter_watch_fini(&a);
    letter_watch_fini(&b);
}
END_TEST

START_TEST(a_watch_may_remove_itself)
{
    struct letter_watch a;

    letter_watch_init(&a, 'a');
    a.removes = &a;
    letter_watch_poke(&a);
    letter_watch_poke(&a);
    run_turns(3, 0);
    ck_assert_str_eq(record, "a");
    ck_assert(!loop_watch_is_set(&a.watch));
    letter_watch_fini(&a);
}
END_TEST

START_TEST(a_watch_without_events_asked_for_is_silent_until_they_are)
{
    struct letter_watch a;

    letter_watch_init(&a, 'a');
    loop_watch_set(loop, &a.watch, 0);
    letter_watch_poke(&a);
    run_turns(3, 0);
    ck_assert_str_eq(record, "");
    loop_watch_set(loop, &a.watch, EPOLLIN);
    run_turns(3, 0);
    ck_assert_str_eq(record, "a");
    letter_watch_fini(&a);
}
END_TEST

START_TEST(a_descriptor_that_epoll_refuses_is_reported)
{
    struct loop_watch watch = { .fd = -1, .on_event = on_letter_event };

    ck_assert_int_eq(loop_watch_add(loop, &watch, EPOLLIN), TG_IO);
    ck_assert(!loop_watch_is_set(&watch));
}
END_TEST

/* --- tasks --- */

struct letter_task {
    struct loop_task task;
    char letter;
    int defers_again;
};

static void on_letter_task(struct loop_task *task)
{
    struct letter_task *letter = LIST_ENTRY(task, struct letter_task, task);

    note(letter->letter);
    if (letter->defers_again-- > 0)
        loop_defer(loop, task);
}

static void letter_task_init(struct letter_task *letter, char name)
{
    *letter = (struct letter_task){ .letter = name };
    loop_task_init(&letter->task, on_letter_task);
}

START_TEST(a_turn_runs_posted_tasks_then_events_then_timers_then_deferred_tasks)
{
    struct letter_task deferred;
    struct letter_task posted;
    struct letter_timer due;
    struct letter_watch watch;

    letter_task_init(&deferred, 'd');
    letter_task_init(&posted, 'p');
    letter_init(&due, 't');
    letter_watch_init(&watch, 'w');
    loop_defer(loop, &deferred.task);
    loop_timer_set(loop, &due.timer, in_ms(0));
    letter_watch_poke(&watch);
    loop_post(loop, &posted.task);
    run_turns(1, 0);
    ck_assert_str_eq(record, "pwtd");
    letter_watch_fini(&watch);
}
END_TEST

START_TEST(a_task_deferred_twice_runs_once_and_one_taken_back_not_at_all)
{
    struct letter_task a;
    struct letter_task b;

    letter_task_init(&a, 'a');
    letter_task_init(&b, 'b');
    loop_defer(loop, &a.task);
    loop_defer(loop, &a.task);
    loop_defer(loop, &b.task);
    loop_defer_cancel(&b.task);
    loop_defer_cancel(&b.task);
    run_turns(3, 0);
    ck_assert_str_eq(record, "a");
}
END_TEST

START_TEST(a_task_that_defers_itself_runs_once_a_turn)
{
    struct letter_task a;

    letter_task_init(&a, 'a');
    a.defers_again = 1000;
    loop_defer(loop, &a.task);
    run_turns(4, 0);
    ck_assert_str_eq(record, "aaaa");
    loop_defer_cancel(&a.task);
}
END_TEST

START_TEST(a_posted_task_can_be_taken_back)
{
    struct letter_task a;

    letter_task_init(&a, 'a');
    loop_post(loop, &a.task);
    loop_post_cancel(loop, &a.task);
    run_turns(2, 0);
    ck_assert_str_eq(record, "");
}
END_TEST

static int waits;
static int wakes;

static void count_up(void *context)
{
    (*(int *)context)++;
}

static void count_wait(void *context)
{
    (void)context;
    waits++;
}

START_TEST(the_hooks_enclose_each_wait)
{
    const struct loop_hooks hooks = { .context = &wakes,
                                      .on_wait = count_wait,
                                      .on_wake = count_up };

    loop_free(loop);
    waits = 0;
    wakes = 0;
    ck_assert_int_eq(loop_new(&hooks, &loop), TG_OK);
    run_turns(3, 0);
    ck_assert_int_eq(waits, wakes);
    ck_assert_int_ge(waits, 3);
}
END_TEST

/* --- the mailbox --- */

enum { POSTERS = 8, POSTS = 5000 };

struct parcel {
    struct loop_task task;
    int poster;
    int number;
};

static int next_of[POSTERS];
static int arrived;

static void on_parcel(struct loop_task *task)
{
    struct parcel *parcel = LIST_ENTRY(task, struct parcel, task);

    ck_assert_int_eq(parcel->number, next_of[parcel->poster]);
    next_of[parcel->poster]++;
    free(parcel);
    if (++arrived == POSTERS * POSTS)
        loop_stop(loop);
}

static void *post_many(void *context)
{
    const int poster = *(const int *)context;

    for (int i = 0; i < POSTS; i++) {
        struct parcel *parcel = malloc(sizeof *parcel);

        if (parcel == NULL)
            abort();
        *parcel = (struct parcel){ .poster = poster, .number = i };
        loop_task_init(&parcel->task, on_parcel);
        loop_post(loop, &parcel->task);
    }
    return NULL;
}

START_TEST(posts_of_eight_threads_all_arrive_in_the_order_of_each)
{
    pthread_t threads[POSTERS];
    int numbers[POSTERS];

    arrived = 0;
    for (int i = 0; i < POSTERS; i++) {
        next_of[i] = 0;
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, &numbers[i]), 0);
    }
    loop_run(loop); /* sleeps in between: nothing but the posts wakes it */
    for (int i = 0; i < POSTERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(arrived, POSTERS * POSTS);
}
END_TEST

static void *stop_it(void *context)
{
    (void)context;
    loop_stop(loop);
    return NULL;
}

START_TEST(another_thread_can_stop_a_loop_that_sleeps)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, stop_it, NULL), 0);
    loop_run(loop);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("net/loop");
    TCase *cases = tcase_create("loop");

    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_set_timeout(cases, 30);
    tcase_add_test(cases, timers_fire_in_the_order_of_their_times);
    tcase_add_test(cases, a_timer_fires_once_and_not_before_its_time);
    tcase_add_test(cases, a_timer_moved_later_fires_at_the_later_time_only);
    tcase_add_test(cases, a_timer_moved_earlier_fires_earlier);
    tcase_add_test(cases, a_cleared_timer_is_silent_and_can_be_set_again);
    tcase_add_test(cases, a_timer_may_set_itself_again);
    tcase_add_test(cases, the_heap_agrees_with_a_plain_search);
    tcase_add_test(cases, a_watch_removed_by_another_gets_no_event_of_the_batch_in_hand);
    tcase_add_test(cases, a_watch_may_remove_itself);
    tcase_add_test(cases, a_watch_without_events_asked_for_is_silent_until_they_are);
    tcase_add_test(cases, a_descriptor_that_epoll_refuses_is_reported);
    tcase_add_test(cases, a_turn_runs_posted_tasks_then_events_then_timers_then_deferred_tasks);
    tcase_add_test(cases, a_task_deferred_twice_runs_once_and_one_taken_back_not_at_all);
    tcase_add_test(cases, a_task_that_defers_itself_runs_once_a_turn);
    tcase_add_test(cases, a_posted_task_can_be_taken_back);
    tcase_add_test(cases, the_hooks_enclose_each_wait);
    tcase_add_test(cases, posts_of_eight_threads_all_arrive_in_the_order_of_each);
    tcase_add_test(cases, another_thread_can_stop_a_loop_that_sleeps);
    suite_add_tcase(all, cases);
    return all;
}
