/* Goal: a buf holds what was put in, up to its cap and never past it, and failing is sticky.
 * Method: the cap approached by single bytes and by blocks; random puts and takes against a plain
 * array. */
#include "base/buf.h"

#include "support/suites.h"

#include <signal.h>
#include <stdlib.h>

START_TEST(holds_what_was_put_in)
{
    AUTO(buf) b = { 0 };

    buf_init(&b, 1000);
    buf_put(&b, "ab\0c", 4);
    buf_put_span(&b, SPAN("de"));
    buf_put_span(&b, (struct span){ NULL, 0 });
    buf_put_text(&b, "fg");
    buf_put_byte(&b, '!');
    buf_printf(&b, "%s=%d", "x", -3);
    ck_assert(span_equal(buf_span(&b), SPAN("ab\0cdefg!x=-3")));
    ck_assert_int_eq(buf_status(&b), TG_OK);
}
END_TEST

static const struct {
    int64_t value;
    const char *text;
} ints[] = {
    { 0, "0" },
    { 9, "9" },
    { 10, "10" },
    { -1, "-1" },
    { INT64_MAX, "9223372036854775807" },
    { INT64_MIN, "-9223372036854775808" },
};

START_TEST(writes_any_integer)
{
    AUTO(buf) b = { 0 };

    buf_init(&b, 100);
    buf_put_int(&b, ints[_i].value);
    ck_assert(span_equal(buf_span(&b), span_from(ints[_i].text)));
}
END_TEST

/* Around printf's short cut for small texts, and exactly at the cap, where no terminator fits. */
START_TEST(prints_texts_of_any_length)
{
    for (int len = 250; len < 262; len++) {
        AUTO(buf) b = { 0 };

        buf_init(&b, (size_t)len);
        buf_printf(&b, "%0*d", len, 7);
        ck_assert_int_eq(buf_status(&b), TG_OK);
        ck_assert_uint_eq(buf_len(&b), (size_t)len);
        ck_assert_int_eq(buf_span(&b).ptr[len - 1], '7');
        buf_clear(&b);
        buf_printf(&b, "%0*d", len + 1, 7);
        ck_assert_int_eq(buf_status(&b), TG_NO_MEMORY);
        ck_assert_uint_eq(buf_len(&b), 0);
    }
}
END_TEST

START_TEST(takes_exactly_its_cap)
{
    static const size_t caps[] = { 0, 1, 31, 63, 64, 65, 127, 128, 129, 1000 };
    const size_t cap = caps[_i];
    AUTO(buf) b = { 0 };

    buf_init(&b, cap);
    for (size_t i = 0; i < cap; i++)
        buf_put_byte(&b, 'x');
    ck_assert_int_eq(buf_status(&b), TG_OK);
    ck_assert_uint_eq(buf_len(&b), cap);
    ck_assert_uint_le(b.size, cap); /* nor takes more memory */
    buf_put(&b, "", 0);
    ck_assert_int_eq(buf_status(&b), TG_OK);
    buf_put_byte(&b, 'y');
    ck_assert_int_eq(buf_status(&b), TG_NO_MEMORY);
    ck_assert_uint_eq(buf_len(&b), cap);
}
END_TEST

START_TEST(does_nothing_after_a_failure_until_cleared)
{
    AUTO(buf) b = { 0 };

    buf_init(&b, 4);
    buf_put_text(&b, "abc");
    buf_put_text(&b, "de");
    buf_put_text(&b, "f"); /* would fit */
    buf_printf(&b, "g");
    ck_assert_ptr_null(buf_reserve(&b, 1));
    ck_assert_int_eq(buf_status(&b), TG_NO_MEMORY);
    ck_assert(span_equal(buf_span(&b), SPAN("abc")));
    ck_assert_ptr_null(buf_take_string(&b));
    buf_clear(&b);
    buf_put_text(&b, "abcd");
    ck_assert_int_eq(buf_status(&b), TG_OK);
    ck_assert(span_equal(buf_span(&b), SPAN("abcd")));
}
END_TEST

START_TEST(a_length_that_overflows_does_not_fit)
{
    AUTO(buf) b = { 0 };

    buf_init(&b, SIZE_MAX);
    buf_put_text(&b, "abc");
    ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX - 2));
    ck_assert_int_eq(buf_status(&b), TG_NO_MEMORY);
}
END_TEST

START_TEST(room_taken_off_the_front_counts_again)
{
    AUTO(buf) b = { 0 };

    buf_init(&b, 100);
    for (int i = 0; i < 1000; i++) {
        buf_put(&b, "0123456789012345678901234567890123456789012345678901234567890123456789", 70);
        ck_assert_uint_eq(buf_len(&b), 100 - (i == 0 ? 30 : 0));
        ck_assert_int_eq(buf_status(&b), TG_OK);
        buf_consume(&b, i == 0 ? 40 : 70);
    }
    ck_assert_uint_le(b.size, 100);
}
END_TEST

/* Any order of puts and takes gives the bytes back in order. */
START_TEST(gives_bytes_back_in_order)
{
    AUTO(buf) b = { 0 };
    unsigned seed = 7;
    unsigned char next_in = 0;
    unsigned char next_out = 0;
    int wrong = 0;

    buf_init(&b, 777);
    for (int round = 0; round < 5000; round++) {
        const size_t room = 777 - buf_len(&b);
        const size_t in = (size_t)rand_r(&seed) % 200;

        for (size_t i = 0; i < in && i < room; i++)
            buf_put_byte(&b, (char)next_in++);

        const size_t out = (size_t)rand_r(&seed) % (buf_len(&b) + 1);
        const struct span content = buf_span(&b);

        for (size_t i = 0; i < out; i++)
            wrong += (unsigned char)content.ptr[i] != next_out++;
        buf_consume(&b, out);
        ck_assert_int_eq(buf_status(&b), TG_OK);
        ck_assert_uint_le(b.size, 777);
    }
    ck_assert_int_eq(wrong, 0);
}
END_TEST

START_TEST(what_is_reserved_counts_once_committed)
{
    AUTO(buf) b = { 0 };
    char *to;

    buf_init(&b, 100);
    to = buf_reserve(&b, 50);
    ck_assert_ptr_nonnull(to);
    ck_assert_uint_ge(buf_room(&b), 50);
    memcpy(to, "hello", 5);
    ck_assert_uint_eq(buf_len(&b), 0);
    buf_commit(&b, 5);
    ck_assert(span_equal(buf_span(&b), SPAN("hello")));
}
END_TEST

START_TEST(committing_more_than_there_is_room_for_is_a_bug)
{
    struct buf b;

    buf_init(&b, 10);
    (void)buf_reserve(&b, 10);
    buf_commit(&b, 11);
}
END_TEST

START_TEST(consuming_more_than_there_is_is_a_bug)
{
    struct buf b;

    buf_init(&b, 10);
    buf_put_text(&b, "abc");
    buf_consume(&b, 4);
}
END_TEST

START_TEST(hands_its_content_over_as_a_string)
{
    AUTO(buf) b = { 0 };
    char *text;

    buf_init(&b, 3);
    buf_put_text(&b, "abc"); /* full: the terminator is not counted */
    text = buf_take_string(&b);
    ck_assert_str_eq(text, "abc");
    free(text);
    ck_assert_uint_eq(buf_len(&b), 0);
    text = buf_take_string(&b);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

START_TEST(released_memory_leaves_a_usable_buf)
{
    AUTO(buf) b = { 0 };

    buf_init(&b, 10);
    buf_put_text(&b, "0123456789x");
    buf_release(&b);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_eq(buf_len(&b), 0);
    ck_assert(span_equal(buf_span(&b), SPAN_EMPTY));
    buf_put_text(&b, "0123456789");
    ck_assert_int_eq(buf_status(&b), TG_OK);
    buf_fini(&b);
    buf_fini(&b);
    buf_fini(NULL);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("base/buf");
    TCase *tc = tcase_create("buf");

    tcase_add_test(tc, holds_what_was_put_in);
    tcase_add_loop_test(tc, writes_any_integer, 0, (int)(sizeof(ints) / sizeof(ints[0])));
    tcase_add_test(tc, prints_texts_of_any_length);
    tcase_add_loop_test(tc, takes_exactly_its_cap, 0, 10);
    tcase_add_test(tc, does_nothing_after_a_failure_until_cleared);
    tcase_add_test(tc, a_length_that_overflows_does_not_fit);
    tcase_add_test(tc, room_taken_off_the_front_counts_again);
    tcase_add_test(tc, gives_bytes_back_in_order);
    tcase_add_test(tc, what_is_reserved_counts_once_committed);
    tcase_add_test_raise_signal(tc, committing_more_than_there_is_room_for_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, consuming_more_than_there_is_is_a_bug, SIGABRT);
    tcase_add_test(tc, hands_its_content_over_as_a_string);
    tcase_add_test(tc, released_memory_leaves_a_usable_buf);
    suite_add_tcase(s, tc);
    return s;
}
