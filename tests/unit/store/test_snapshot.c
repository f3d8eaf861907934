/* Goal: an object is freed when no reader can hold it, and not before.
 * Method: readers by hand for the order of events; threads for the races (worth most under tsan).
 */
#include "store/snapshot.h"
#include "support/suites.h"

#include <pthread.h>
#include <stdlib.h>

static struct snapshot_domain *domain;
static struct snapshot place;
static int freed[64];
static int freed_count;

static int *make(int number)
{
    int *object = malloc(sizeof(*object));

    ck_assert_ptr_nonnull(object);
    *object = number;
    return object;
}

static void destroy(void *object)
{
    if (freed_count < 64)
        freed[freed_count] = *(int *)object;
    freed_count++;
    *(int *)object = -1; /* a reader that still looked would see it */
    free(object);
}

static void setup(void)
{
    ck_assert_int_eq(snapshot_domain_new(&domain), TG_OK);
    atomic_init(&place.current, NULL);
    freed_count = 0;
}

static void teardown(void)
{
    snapshot_swap(domain, &place, NULL, destroy);
    snapshot_domain_free(domain);
}

static int add_reader(void)
{
    int reader = -1;

    ck_assert_int_eq(snapshot_reader_add(domain, &reader), TG_OK);
    return reader;
}

START_TEST(with_nobody_inside_the_old_one_goes_at_once)
{
    (void)add_reader();
    snapshot_swap(domain, &place, make(1), destroy);
    ck_assert_int_eq(freed_count, 0);
    snapshot_swap(domain, &place, make(2), destroy);
    ck_assert_int_eq(freed_count, 1);
    ck_assert_int_eq(freed[0], 1);
    ck_assert_int_eq(*(const int *)snapshot_get(&place), 2);
}
END_TEST

START_TEST(a_reader_keeps_what_it_may_have_seen)
{
    const int reader = add_reader();
    const int *seen;

    snapshot_swap(domain, &place, make(1), destroy);
    snapshot_enter(domain, reader);
    seen = snapshot_get(&place);
    snapshot_swap(domain, &place, make(2), destroy);
    snapshot_swap(domain, &place, make(3), destroy);
    ck_assert_int_eq(freed_count, 0);
    ck_assert_int_eq(*seen, 1);
    snapshot_leave(domain, reader);
    snapshot_reclaim(domain);
    ck_assert_int_eq(freed_count, 2);
}
END_TEST

START_TEST(a_reader_that_came_later_keeps_nothing_older)
{
    const int early = add_reader();
    const int late = add_reader();

    snapshot_swap(domain, &place, make(1), destroy);
    snapshot_enter(domain, early);
    snapshot_swap(domain, &place, make(2), destroy);
    snapshot_enter(domain, late);
    snapshot_swap(domain, &place, make(3), destroy);
    snapshot_leave(domain, early);
    snapshot_reclaim(domain);
    ck_assert_int_eq(freed_count, 1);
    ck_assert_int_eq(freed[0], 1);
    snapshot_leave(domain, late);
}
END_TEST

START_TEST(there_are_as_many_readers_as_places)
{
    int reader = -1;

    for (int i = 0; i < SNAPSHOT_READERS_MAX; i++)
        ck_assert_int_eq(add_reader(), i);
    ck_assert_int_eq(snapshot_reader_add(domain, &reader), TG_OVERLOADED);
    ck_assert_int_eq(reader, -1);
}
END_TEST

enum { TURNS = 20000, THREADS = 3 };
static atomic_int wrong;
static atomic_int running;

static void *read_on(void *context)
{
    const int reader = *(const int *)context;

    for (int i = 0; i < TURNS; i++) {
        const int *seen;

        snapshot_enter(domain, reader);
        seen = snapshot_get(&place);
        if (*seen <= 0 || *(const int *)snapshot_get(&place) < *seen)
            atomic_fetch_add(&wrong, 1);
        snapshot_leave(domain, reader);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

START_TEST(readers_never_meet_a_freed_object)
{
    pthread_t threads[THREADS];
    int readers[THREADS];
    int number = 1;

    atomic_store(&running, THREADS);
    snapshot_swap(domain, &place, make(number), destroy);
    for (int i = 0; i < THREADS; i++) {
        readers[i] = add_reader();
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    while (atomic_load(&running) > 0)
        snapshot_swap(domain, &place, make(++number), destroy);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(wrong, 0);
    snapshot_reclaim(domain);
    ck_assert_int_eq(freed_count, number - 1);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("snapshot");
    TCase *one = tcase_create("epochs");

    tcase_add_checked_fixture(one, setup, teardown);
    tcase_set_timeout(one, 60);
    tcase_add_test(one, with_nobody_inside_the_old_one_goes_at_once);
    tcase_add_test(one, a_reader_keeps_what_it_may_have_seen);
    tcase_add_test(one, a_reader_that_came_later_keeps_nothing_older);
    tcase_add_test(one, there_are_as_many_readers_as_places);
    tcase_add_test(one, readers_never_meet_a_freed_object);
    suite_add_tcase(all, one);
    return all;
}
