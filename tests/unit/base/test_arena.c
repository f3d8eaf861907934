/* Goal: an arena gives aligned memory that does not overlap, never more than its cap, and gives it
 * all back. Method: many sizes, each filled and checked at the end; the cap from both sides. */
#include "base/arena.h"

#include "support/suites.h"

START_TEST(gives_aligned_memory_that_does_not_overlap)
{
    struct arena arena;
    unsigned char *pieces[300];

    arena_init(&arena, 256, 1 << 20);
    for (size_t i = 0; i < 300; i++) {
        pieces[i] = arena_alloc(&arena, i);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 255), i);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t j = 0; j < i; j++)
            if (pieces[i][j] != (i & 255))
                ck_abort_msg("piece %zu, byte %zu", i, j);
    arena_fini(&arena);
    ck_assert_uint_eq(arena.used_bytes, 0);
}
END_TEST

START_TEST(never_passes_its_cap)
{
    struct arena arena;
    size_t given = 0;

    arena_init(&arena, 100, 10000);
    while (arena_alloc(&arena, 50) != NULL) {
        given += 50;
        ck_assert_uint_le(arena.used_bytes, 10000);
    }
    ck_assert_uint_gt(given, 6000); /* the rest is headers, rounding and ends of blocks */
    ck_assert_ptr_null(arena_zalloc(&arena, 5000));
    ck_assert_ptr_null(arena_copy(&arena, span_of("", 5000)).ptr);
    arena_fini(&arena);
    for (size_t len = 0; len < 600; len++) { /* the first piece already */
        bool is_given;

        arena_init(&arena, 64, 512);
        is_given = arena_alloc(&arena, len) != NULL;
        ck_assert_uint_le(arena.used_bytes, 512);
        ck_assert(is_given || len > 400);
        arena_fini(&arena);
    }
}
END_TEST

START_TEST(a_piece_larger_than_a_block_gets_its_own)
{
    struct arena arena;
    char *large;

    arena_init(&arena, 64, 100000);
    large = arena_alloc(&arena, 90000);
    ck_assert_ptr_nonnull(large);
    memset(large, 1, 90000);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 1000));
    arena_fini(&arena);
}
END_TEST

START_TEST(lengths_that_overflow_are_refused)
{
    struct arena arena;

    arena_init(&arena, 64, SIZE_MAX);
    for (size_t less = 0; less < 40; less++)
        ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX - less));
    ck_assert_ptr_null(arena_copy(&arena, span_of("", SIZE_MAX)).ptr);
    arena_fini(&arena);
}
END_TEST

START_TEST(a_reset_keeps_the_first_block_alone)
{
    struct arena arena;
    void *first;

    arena_init(&arena, 1024, 1 << 20);
    first = arena_alloc(&arena, 10);
    for (int i = 0; i < 100; i++)
        ck_assert_ptr_nonnull(arena_alloc(&arena, 1000));
    ck_assert_uint_gt(arena.used_bytes, 100000);
    arena_reset(&arena);
    ck_assert_uint_eq(arena.used_bytes, 1024);
    ck_assert_ptr_eq(arena_alloc(&arena, 10), first);
    arena_fini(&arena);
    arena_reset(&arena); /* nothing there */
    ck_assert_ptr_nonnull(arena_alloc(&arena, 10));
    arena_fini(&arena);
    arena_fini(NULL);
}
END_TEST

START_TEST(clears_and_copies)
{
    struct arena arena;
    char *dirty;
    char *clean;
    struct span copy;

    arena_init(&arena, 1024, 4096);
    dirty = arena_alloc(&arena, 100);
    memset(dirty, 'x', 100);
    arena_reset(&arena);
    clean = arena_zalloc(&arena, 100);
    ck_assert_ptr_eq(clean, dirty);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(clean[i], 0);
    copy = arena_copy(&arena, span_of("abcdef", 3));
    ck_assert_uint_eq(copy.len, 3);
    ck_assert_str_eq(copy.ptr, "abc");
    copy = arena_copy(&arena, (struct span){ NULL, 0 });
    ck_assert_str_eq(copy.ptr, "");
    arena_fini(&arena);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("base/arena");
    TCase *tc = tcase_create("arena");

    tcase_add_test(tc, gives_aligned_memory_that_does_not_overlap);
    tcase_add_test(tc, never_passes_its_cap);
    tcase_add_test(tc, a_piece_larger_than_a_block_gets_its_own);
    tcase_add_test(tc, lengths_that_overflow_are_refused);
    tcase_add_test(tc, a_reset_keeps_the_first_block_alone);
    tcase_add_test(tc, clears_and_copies);
    suite_add_tcase(s, tc);
    return s;
}
