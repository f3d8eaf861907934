/* Goal: what is sealed opens under its own key and context and in no other way; a master key's file
 * is made safely and refused when unsafe. Method: a folder of its own; each bit of a box altered;
 * the sub-keys and a hash against values computed by another implementation of the same standard.
 */
#include "base/secret.h"

#include "base/buf.h"
#include "support/suites.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes 0..31 and 1..32. */
#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

static char folder[64];
static char path[128];

static void make_folder(void)
{
    strcpy(folder, "/tmp/test_secret_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/master.key", folder);
    ck_assert_int_eq(secret_start(), TG_OK);
}

static void remove_folder(void)
{
    (void)unlink(path); /* may be there */
    ck_assert_int_eq(rmdir(folder), 0);
}

static void write_key(struct span text, mode_t mode)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text.ptr, text.len), (ssize_t)text.len);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void load(struct secret_ring *ring, const char *key)
{
    struct err err = { "" };

    write_key(span_from(key), 0600);
    ck_assert_int_eq(secret_ring_load(ring, path, false, &err), TG_OK);
    ck_assert_str_eq(err.text, "");
}

START_TEST(copies_into_memory_of_its_own)
{
    AUTO(secret) secret = { 0 };
    char from[] = "sk-abc";

    ck_assert_int_eq(secret_init(&secret, span_from(from)), TG_OK);
    memset(from, 0, sizeof(from));
    ck_assert(span_equal(secret_span(&secret), SPAN("sk-abc")));
    secret_fini(&secret);
    ck_assert_ptr_null(secret.bytes);
    secret_fini(&secret);
    secret_fini(NULL);
    ck_assert_int_eq(secret_init(&secret, SPAN_EMPTY), TG_OK);
    ck_assert_uint_eq(secret.len, 0);
}
END_TEST

START_TEST(writing_to_a_secret_faults)
{
    struct secret secret;

    ck_assert_int_eq(secret_init(&secret, SPAN("abc")), TG_OK);
    signal(SIGSEGV, SIG_DFL); /* not a sanitizer's report */
    secret.bytes[0] = 'x';
}
END_TEST

START_TEST(compares_bytes_and_lengths)
{
    ck_assert(secret_equal(SPAN("abc"), SPAN("abc")));
    ck_assert(secret_equal(SPAN_EMPTY, (struct span){ NULL, 0 }));
    ck_assert(!secret_equal(SPAN("abc"), SPAN("abd")));
    ck_assert(!secret_equal(SPAN("abc"), SPAN("ab")));
    ck_assert(!secret_equal(SPAN(""), SPAN("a")));
    ck_assert(!secret_equal(SPAN("a\0b"), SPAN("a\0c")));
}
END_TEST

/* --- the master key's file --- */

static const char *const good_keys[] = { KEY_A, KEY_A "\n", KEY_A " \t\r\n\n" };

START_TEST(reads_a_key_with_blanks_behind)
{
    struct secret_ring ring;

    load(&ring, good_keys[_i]);
    for (int purpose = 1; purpose < SECRET_PURPOSE_COUNT; purpose++)
        ck_assert_uint_eq(ring.sub_key[purpose].len, 32);
    secret_ring_fini(&ring);
}
END_TEST

static const struct {
    struct span text;
    const char *says;
} bad_keys[] = {
    { SPAN(""), "is empty" },
    { SPAN("\n"), "is empty" },
    { SPAN("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="), "32 bytes" },  /* 31 bytes */
    { SPAN("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"), "32 bytes" },  /* 33 bytes */
    { SPAN("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"), "32 bytes" },   /* no padding */
    { SPAN("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=="), "32 bytes" }, /* too much */
    { SPAN(" " KEY_A), "32 bytes" },
    { SPAN("AAECAwQFBgcICQoLDA0ODxAR\nEhMUFRYXGBkaGxwdHh8="), "32 bytes" },
    { SPAN(KEY_A "\n" KEY_B), "32 bytes" },
    { SPAN(KEY_A "\0"), "32 bytes" },
    { SPAN("--ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), "32 bytes" }, /* URL alphabet */
    { SPAN("not a key"), "32 bytes" },
};

START_TEST(refuses_what_is_no_key)
{
    struct secret_ring ring;
    struct err err = { "" };

    write_key(bad_keys[_i].text, 0600);
    ck_assert_int_eq(secret_ring_load(&ring, path, true, &err), TG_INVALID);
    ck_assert_msg(strstr(err.text, bad_keys[_i].says) != NULL, "%s", err.text);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert_ptr_null(ring.sub_key[SECRET_BOX].bytes);
}
END_TEST

START_TEST(refuses_a_file_too_long_for_a_key)
{
    struct secret_ring ring;
    struct err err = { "" };
    char text[5000];

    memset(text, 'A', sizeof(text));
    write_key(span_of(text, sizeof(text)), 0600);
    ck_assert_int_eq(secret_ring_load(&ring, path, false, &err), TG_INVALID);
}
END_TEST

START_TEST(refuses_a_file_that_others_may_read_or_write)
{
    static const mode_t bad[] = { 0640, 0620, 0610, 0604, 0602, 0601, 0644, 0666, 0777 };
    struct secret_ring ring;
    struct err err = { "" };

    write_key(SPAN(KEY_A), bad[_i]);
    ck_assert_int_eq(secret_ring_load(&ring, path, false, &err), TG_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "chmod 600 "));
    ck_assert_ptr_null(ring.sub_key[SECRET_BOX].bytes);
    ck_assert_int_eq(chmod(path, 0400), 0);
    ck_assert_int_eq(secret_ring_load(&ring, path, false, &err), TG_OK);
    secret_ring_fini(&ring);
}
END_TEST

START_TEST(makes_a_missing_key_only_when_it_may)
{
    struct secret_ring ring;
    struct err err = { "" };
    unsigned char hash[2][SECRET_HASH_SIZE];
    char text[100];
    struct stat info;
    int fd;

    ck_assert_int_eq(secret_ring_load(&ring, path, false, &err), TG_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "does not exist"));
    ck_assert_int_ne(access(path, F_OK), 0);

    umask(0); /* so that the mode is the program's own doing */
    ck_assert_int_eq(secret_ring_load(&ring, path, true, &err), TG_OK);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 07777u, 0600);
    fd = open(path, O_RDONLY);
    ck_assert_int_eq(read(fd, text, sizeof(text)), 45);
    close(fd);
    ck_assert_int_eq(text[44], '\n');
    secret_hash(&ring, SPAN("x"), hash[0]);
    secret_ring_fini(&ring);

    /* The next start reads the same key, and makes no other. */
    ck_assert_int_eq(secret_ring_load(&ring, path, true, &err), TG_OK);
    secret_hash(&ring, SPAN("x"), hash[1]);
    secret_ring_fini(&ring);
    ck_assert_mem_eq(hash[0], hash[1], SECRET_HASH_SIZE);
}
END_TEST

START_TEST(says_when_the_file_cannot_be_made_or_read)
{
    struct secret_ring ring;
    struct err err = { "" };
    char other[200];

    snprintf(other, sizeof(other), "%s/none/master.key", folder);
    ck_assert_int_eq(secret_ring_load(&ring, other, true, &err), TG_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "does its folder exist?"));
    ck_assert_int_eq(secret_ring_load(&ring, folder, true, &err), TG_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "not a regular file"));
}
END_TEST

/* --- what the keys do --- */

/* Python: hashlib.blake2b(b"", digest_size=32, key=bytes(range(32)), salt=purpose as 8 bytes little
 * endian and 8 zeros, person=b"tollgate" and 8 zeros), which libsodium documents as crypto_kdf. */
static const char *const sub_keys[SECRET_PURPOSE_COUNT] = {
    NULL,
    "ba25f526726ea1c596ceab00d8ed070cc1793b990cb8d0246bca449b0bfa39f2",
    "1d489a60694071acdb49a50f0d67d32a6d0308414747dff1b2f59b176a3ddbff",
    "c322c2197d1d59fa9a916c7870cd3a3bfec6a137be88b31450004e63a6237476",
    "f0ec2e3760e933325165feef54a032952b8cc33792f202ad0d71ac2a9901f2a7",
};

static void to_hex(struct span bytes, char *text)
{
    for (size_t i = 0; i < bytes.len; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)bytes.ptr[i]);
}

START_TEST(sub_keys_are_the_documented_derivation)
{
    struct secret_ring ring;
    char text[65];

    load(&ring, KEY_A);
    to_hex(secret_span(&ring.sub_key[_i]), text);
    ck_assert_str_eq(text, sub_keys[_i]);
    secret_ring_fini(&ring);
}
END_TEST

START_TEST(hashes_depend_on_key_and_credential)
{
    struct secret_ring a;
    struct secret_ring b;
    unsigned char hash[4][SECRET_HASH_SIZE];
    char text[65];

    load(&a, KEY_A);
    load(&b, KEY_B);
    secret_hash(&a, SPAN("tgk_x"), hash[0]);
    secret_hash(&a, SPAN("tgk_x"), hash[1]);
    secret_hash(&a, SPAN("tgk_y"), hash[2]);
    secret_hash(&b, SPAN("tgk_x"), hash[3]);
    ck_assert_mem_eq(hash[0], hash[1], SECRET_HASH_SIZE);
    ck_assert_mem_ne(hash[0], hash[2], SECRET_HASH_SIZE);
    ck_assert_mem_ne(hash[0], hash[3], SECRET_HASH_SIZE);
    /* Python: hashlib.blake2b(b"tgk_x", digest_size=32, key=sub-key 1) */
    to_hex(span_of((const char *)hash[0], SECRET_HASH_SIZE), text);
    ck_assert_str_eq(text, "7ed46463797e457183ad521bec6e4c09f53b670c85a1d9047c018bcd70a3e386");
    secret_hash(&a, SPAN_EMPTY, hash[0]); /* nothing presented */
    secret_ring_fini(&a);
    secret_ring_fini(&b);
}
END_TEST

START_TEST(opens_what_it_sealed)
{
    static const size_t lens[] = { 0, 1, 15, 16, 17, 64, 1000, 100000 };
    struct secret_ring ring;

    load(&ring, KEY_A);
    for (int i = 0; i < 8; i++) {
        AUTO(buf) out = { 0 };
        AUTO(secret) opened = { 0 };
        char *plain = malloc(lens[i] + 1);

        memset(plain, 'p', lens[i]);
        buf_init(&out, 200000);
        buf_put_text(&out, "before");
        ck_assert_int_eq(secret_seal(&ring, SPAN("provider/1/key"), span_of(plain, lens[i]), &out),
                         TG_OK);
        ck_assert_uint_eq(buf_len(&out), 6 + lens[i] + SECRET_SEAL_EXTRA);
        ck_assert_int_eq(secret_open(&ring, SPAN("provider/1/key"),
                                     span_from_offset(buf_span(&out), 6), &opened),
                         TG_OK);
        ck_assert(span_equal(secret_span(&opened), span_of(plain, lens[i])));
        free(plain);
    }
    secret_ring_fini(&ring);
}
END_TEST

START_TEST(two_boxes_of_one_secret_differ)
{
    AUTO(buf) out = { 0 };
    struct secret_ring ring;

    load(&ring, KEY_A);
    buf_init(&out, 1000);
    ck_assert_int_eq(secret_seal(&ring, SPAN("c"), SPAN("same"), &out), TG_OK);
    ck_assert_int_eq(secret_seal(&ring, SPAN("c"), SPAN("same"), &out), TG_OK);
    ck_assert_mem_ne(buf_span(&out).ptr, buf_span(&out).ptr + 44, 24);
    ck_assert_mem_ne(buf_span(&out).ptr + 24, buf_span(&out).ptr + 68, 20);
    secret_ring_fini(&ring);
}
END_TEST

START_TEST(opens_under_no_other_key_or_context)
{
    AUTO(buf) out = { 0 };
    AUTO(secret) opened = { 0 };
    struct secret_ring a;
    struct secret_ring b;

    load(&a, KEY_A);
    load(&b, KEY_B);
    buf_init(&out, 1000);
    ck_assert_int_eq(secret_seal(&a, SPAN("provider/1/key"), SPAN("sk-secret"), &out), TG_OK);
    ck_assert_int_eq(secret_open(&b, SPAN("provider/1/key"), buf_span(&out), &opened), TG_CORRUPT);
    ck_assert_int_eq(secret_open(&a, SPAN("provider/2/key"), buf_span(&out), &opened), TG_CORRUPT);
    ck_assert_int_eq(secret_open(&a, SPAN_EMPTY, buf_span(&out), &opened), TG_CORRUPT);
    ck_assert_ptr_null(opened.bytes);
    secret_ring_fini(&a);
    secret_ring_fini(&b);
}
END_TEST

START_TEST(any_altered_bit_or_length_shows)
{
    AUTO(buf) out = { 0 };
    AUTO(secret) opened = { 0 };
    struct secret_ring ring;
    char box[3 + SECRET_SEAL_EXTRA];

    load(&ring, KEY_A);
    buf_init(&out, 1000);
    ck_assert_int_eq(secret_seal(&ring, SPAN("c"), SPAN("abc"), &out), TG_OK);
    memcpy(box, buf_span(&out).ptr, sizeof(box));
    for (size_t bit = 0; bit < sizeof(box) * 8; bit++) {
        box[bit / 8] = (char)(box[bit / 8] ^ 1 << bit % 8);
        ck_assert_int_eq(secret_open(&ring, SPAN("c"), span_of(box, sizeof(box)), &opened),
                         TG_CORRUPT);
        box[bit / 8] = (char)(box[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < sizeof(box); len++)
        ck_assert_int_eq(secret_open(&ring, SPAN("c"), span_of(box, len), &opened), TG_CORRUPT);
    ck_assert_ptr_null(opened.bytes);
    ck_assert_int_eq(secret_open(&ring, SPAN("c"), span_of(box, sizeof(box)), &opened), TG_OK);
    secret_ring_fini(&ring);
}
END_TEST

START_TEST(a_buf_without_room_takes_no_part_of_a_box)
{
    AUTO(buf) out = { 0 };
    struct secret_ring ring;

    load(&ring, KEY_A);
    buf_init(&out, 2 + SECRET_SEAL_EXTRA);
    ck_assert_int_eq(secret_seal(&ring, SPAN("c"), SPAN("abc"), &out), TG_NO_MEMORY);
    ck_assert_uint_eq(buf_len(&out), 0);
    secret_ring_fini(&ring);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite(void)
{
    Suite *s = suite_create("base/secret");
    TCase *tc = tcase_create("secret");

    tcase_add_checked_fixture(tc, make_folder, remove_folder);
    tcase_add_test(tc, copies_into_memory_of_its_own);
    tcase_add_test_raise_signal(tc, writing_to_a_secret_faults, SIGSEGV);
    tcase_add_test(tc, compares_bytes_and_lengths);
    tcase_add_loop_test(tc, reads_a_key_with_blanks_behind, 0, COUNT(good_keys));
    tcase_add_loop_test(tc, refuses_what_is_no_key, 0, COUNT(bad_keys));
    tcase_add_test(tc, refuses_a_file_too_long_for_a_key);
    tcase_add_loop_test(tc, refuses_a_file_that_others_may_read_or_write, 0, 9);
    tcase_add_test(tc, makes_a_missing_key_only_when_it_may);
    tcase_add_test(tc, says_when_the_file_cannot_be_made_or_read);
    tcase_add_loop_test(tc, sub_keys_are_the_documented_derivation, 1, SECRET_PURPOSE_COUNT);
    tcase_add_test(tc, hashes_depend_on_key_and_credential);
    tcase_add_test(tc, opens_what_it_sealed);
    tcase_add_test(tc, two_boxes_of_one_secret_differ);
    tcase_add_test(tc, opens_under_no_other_key_or_context);
    tcase_add_test(tc, any_altered_bit_or_length_shows);
    tcase_add_test(tc, a_buf_without_room_takes_no_part_of_a_box);
    suite_add_tcase(s, tc);
    return s;
}
