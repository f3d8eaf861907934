/* Goal: a map finds each value that was added and not removed, whatever their hashes. Method: a
 * random walk against a plain array, with hashes that spread, that collide and that wrap around the
 * end. */
#include "base/map.h"

#include "support/suites.h"

#include <signal.h>
#include <stdlib.h>

static bool is_number(const void *value, const void *key)
{
    return *(const int *)value == *(const int *)key;
}

static uint64_t hash_of(int number, int kind)
{
    switch (kind) {
    case 0:
        return map_hash_int((uint64_t)number);
    case 1:
        return 5; /* all collide */
    case 2:
        return UINT64_MAX - (uint64_t)(number % 3); /* runs that wrap */
    default:
        return (uint64_t)(number / 4); /* runs that touch each other */
    }
}

START_TEST(agrees_with_a_plain_array)
{
    enum { NUMBERS = 200 };
    int numbers[NUMBERS];
    bool is_in[NUMBERS] = { false };
    size_t count = 0;
    unsigned seed = 3;
    struct map map;

    map_init(&map, NUMBERS);
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = i;
    for (int round = 0; round < 5000; round++) {
        const int i = (int)((unsigned)rand_r(&seed) / 8 % NUMBERS);
        const uint64_t hash = hash_of(i, _i);

        if (is_in[i]) {
            ck_assert_ptr_eq(map_remove(&map, hash, is_number, &i), &numbers[i]);
            count--;
        } else {
            ck_assert_ptr_null(map_remove(&map, hash, is_number, &i));
            ck_assert_int_eq(map_add(&map, hash, &numbers[i]), TG_OK);
            count++;
        }
        is_in[i] = !is_in[i];
        ck_assert_uint_eq(map.count, count);
        if (round % 50 == 0)
            for (int j = 0; j < NUMBERS; j++)
                if (map_get(&map, hash_of(j, _i), is_number, &j) != (is_in[j] ? &numbers[j] : NULL))
                    ck_abort_msg("round %d, number %d", round, j);
    }
    map_fini(&map);
}
END_TEST

START_TEST(walks_over_each_value_once)
{
    int numbers[100];
    int seen[100] = { 0 };
    size_t cursor = 0;
    const int *value;
    struct map map;

    map_init(&map, 100);
    ck_assert_ptr_null(map_next(&map, &cursor));
    for (int i = 0; i < 100; i++) {
        numbers[i] = i;
        ck_assert_int_eq(map_add(&map, map_hash_int((uint64_t)i), &numbers[i]), TG_OK);
    }
    cursor = 0;
    while ((value = map_next(&map, &cursor)) != NULL)
        seen[*value]++;
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(seen[i], 1);
    ck_assert_ptr_null(map_next(&map, &cursor));
    map_fini(&map);
}
END_TEST

START_TEST(refuses_what_passes_its_cap)
{
    int numbers[20];
    struct map map;

    map_init(&map, 19);
    for (int i = 0; i < 20; i++) {
        numbers[i] = i;
        ck_assert_int_eq(map_add(&map, (uint64_t)i, &numbers[i]), i < 19 ? TG_OK : TG_OVERLOADED);
    }
    ck_assert_uint_eq(map.count, 19);
    ck_assert_ptr_eq(map_remove(&map, 4, is_number, &numbers[4]), &numbers[4]);
    ck_assert_int_eq(map_add(&map, 19, &numbers[19]), TG_OK);
    map_fini(&map);
}
END_TEST

START_TEST(an_empty_map_has_nothing)
{
    int number = 1;
    struct map map;

    map_init(&map, 10);
    ck_assert_ptr_null(map_get(&map, 1, is_number, &number));
    ck_assert_ptr_null(map_remove(&map, 1, is_number, &number));
    map_clear(&map);
    ck_assert_int_eq(map_add(&map, 1, &number), TG_OK);
    ck_assert_ptr_eq(map_get(&map, 1, is_number, &number), &number);
    map_clear(&map);
    ck_assert_ptr_null(map_get(&map, 1, is_number, &number));
    ck_assert_int_eq(map_add(&map, 1, &number), TG_OK);
    map_fini(&map);
    map_fini(NULL);
}
END_TEST

START_TEST(adding_nothing_is_a_bug)
{
    struct map map;

    map_init(&map, 10);
    ck_assert_int_eq(map_add(&map, 1, NULL), TG_OK);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("base/map");
    TCase *tc = tcase_create("map");

    tcase_add_loop_test(tc, agrees_with_a_plain_array, 0, 4);
    tcase_add_test(tc, walks_over_each_value_once);
    tcase_add_test(tc, refuses_what_passes_its_cap);
    tcase_add_test(tc, an_empty_map_has_nothing);
    tcase_add_test_raise_signal(tc, adding_nothing_is_a_bug, SIGABRT);
    suite_add_tcase(s, tc);
    return s;
}
