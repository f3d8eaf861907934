/* Goal: bounded numbers are uniform, and tests own the source. Method: chosen source words, the
 * ones that must be thrown away among them. */
#include "base/rand.h"

#include "support/suites.h"

#include <signal.h>
#include <string.h>

static uint32_t words[4];
static int used;

static void fill_from_words(void *bytes, size_t len)
{
    ck_assert_uint_eq(len, sizeof(uint32_t));
    ck_assert_int_lt(used, 4);
    memcpy(bytes, &words[used++], len);
}

START_TEST(throws_away_the_words_that_would_be_surplus)
{
    /* 2^32 mod 62 is 4: of the words 0..3 there would be one too many. */
    words[0] = 0;
    words[1] = 3;
    words[2] = 4;
    used = 0;
    rand_use(fill_from_words);
    ck_assert_uint_eq(rand_below(62), 4);
    ck_assert_int_eq(used, 3);
    rand_use(NULL);
}
END_TEST

START_TEST(bounds_from_one_to_the_largest_work)
{
    rand_use(fill_from_words);
    used = 0;
    words[0] = 0;
    ck_assert_uint_eq(rand_below(1), 0);
    used = 0;
    words[0] = 0;
    ck_assert_uint_eq(rand_below(1u << 31), 0); /* a power of two has no surplus */
    used = 0;
    words[0] = 0; /* the single surplus word */
    words[1] = UINT32_MAX;
    ck_assert_uint_eq(rand_below(UINT32_MAX), 0);
    ck_assert_int_eq(used, 2);
    rand_use(NULL);
}
END_TEST

START_TEST(the_default_source_differs_each_time)
{
    unsigned char a[32] = { 0 };
    unsigned char b[32] = { 0 };

    rand_fill(a, sizeof(a));
    rand_fill(b, sizeof(b));
    ck_assert_int_ne(memcmp(a, b, sizeof(a)), 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_uint_lt(rand_below(3), 3);
}
END_TEST

START_TEST(a_bound_of_zero_is_a_bug)
{
    (void)rand_below(0);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("base/rand");
    TCase *tc = tcase_create("rand");

    tcase_add_test(tc, throws_away_the_words_that_would_be_surplus);
    tcase_add_test(tc, bounds_from_one_to_the_largest_work);
    tcase_add_test(tc, the_default_source_differs_each_time);
    tcase_add_test_raise_signal(tc, a_bound_of_zero_is_a_bug, SIGABRT);
    suite_add_tcase(s, tc);
    return s;
}
