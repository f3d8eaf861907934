#include "base/secret.h"

#include "base/buf.h"
#include "base/rand.h"
#include "base/try.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_SIZE   32
#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE   crypto_aead_xchacha20poly1305_ietf_ABYTES
#define BASE64     sodium_base64_VARIANT_ORIGINAL
/* Of a master key, with its terminator. */
#define KEY_TEXT_SIZE sodium_base64_ENCODED_LEN(KEY_SIZE, BASE64)
/* Longest file that can be a master key: the text and some blanks. */
#define KEY_FILE_MAX 256

_Static_assert(KEY_SIZE == crypto_kdf_KEYBYTES, "master key");
_Static_assert(KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key of a box");
_Static_assert(KEY_SIZE >= crypto_generichash_KEYBYTES_MIN &&
                   KEY_SIZE <= crypto_generichash_KEYBYTES_MAX,
               "key of a hash");
_Static_assert(SECRET_SEAL_EXTRA == NONCE_SIZE + TAG_SIZE, "nonce and tag");

enum tg_status secret_start(void)
{
    return sodium_init() < 0 ? TG_INTERNAL : TG_OK;
}

/* Locked memory for `len` bytes, to be filled and then sealed by secret_protect. */
static enum tg_status secret_reserve(struct secret *secret, size_t len)
{
    *secret = (struct secret){ 0 };
    if (len == 0)
        return TG_OK;
    secret->bytes = sodium_malloc(len);
    if (secret->bytes == NULL)
        return TG_NO_MEMORY;
    secret->len = len;
    return TG_OK;
}

/* Nothing writes to a secret once it is made, so a stray write shall fault. */
static void secret_protect(struct secret *secret)
{
    if (secret->bytes != NULL)
        (void)sodium_mprotect_readonly(secret->bytes); /* a precaution; it works without */
}

enum tg_status secret_init(struct secret *secret, struct span from)
{
    TRY(secret_reserve(secret, from.len));
    if (from.len > 0)
        memcpy(secret->bytes, from.ptr, from.len);
    secret_protect(secret);
    return TG_OK;
}

void secret_fini(struct secret *secret)
{
    if (secret == NULL)
        return;
    sodium_free(secret->bytes); /* wipes; NULL is fine */
    *secret = (struct secret){ 0 };
}

bool secret_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || sodium_memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* --- the master key's file --- */

/* Make the entry of a new file durable. */
static enum tg_status sync_folder_of(const char *path, struct err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t len = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    int fd;
    int failure;

    if (len >= sizeof(folder))
        return err_set(err, TG_INVALID, "master key file: its path is too long");
    memcpy(folder, path, len);
    folder[len] = '\0';
    fd = open(len == 0 ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    failure = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        (void)close(fd); /* only read from */
    if (failure != 0)
        return err_set(err, TG_IO, "master key file %s: its folder cannot be synced: %s", path,
                       strerror(failure));
    return TG_OK;
}

static bool write_and_sync(int fd, struct span text)
{
    while (text.len > 0) {
        const ssize_t written = write(fd, text.ptr, text.len);

        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0)
            text = span_from_offset(text, (size_t)written);
    }
    return fsync(fd) == 0;
}

/* Make a master key and its file. TG_CONFLICT: another process was faster. */
static enum tg_status create_key_file(const char *path, struct err *err)
{
    unsigned char key[KEY_SIZE];
    char text[KEY_TEXT_SIZE];
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int failure = 0;

    if (fd < 0 && errno == EEXIST)
        return TG_CONFLICT;
    if (fd < 0)
        return err_set(err, TG_IO,
                       "master key file %s cannot be created: %s; does its folder exist?", path,
                       strerror(errno));
    rand_fill(key, sizeof(key));
    sodium_bin2base64(text, sizeof(text), key, sizeof(key), BASE64);
    text[sizeof(text) - 1] = '\n'; /* in place of the terminator */
    if (!write_and_sync(fd, span_of(text, sizeof(text))))
        failure = errno;
    if (close(fd) != 0 && failure == 0)
        failure = errno;
    sodium_memzero(key, sizeof(key));
    sodium_memzero(text, sizeof(text));
    if (failure != 0) {
        (void)unlink(path); /* half a key is worse than none */
        return err_set(err, TG_IO, "master key file %s cannot be written: %s", path,
                       strerror(failure));
    }
    return sync_folder_of(path, err);
}

/* Whether the open file is one that only its owner can read. */
static enum tg_status check_key_file(int fd, const char *path, struct err *err)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return err_set(err, TG_IO, "master key file %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return err_set(err, TG_INVALID, "master key file %s is not a regular file", path);
    if ((info.st_mode & 077) != 0)
        return err_set(err, TG_INVALID,
                       "master key file %s may be read or changed by others (mode %04o); run: "
                       "chmod 600 %s",
                       path, info.st_mode & 07777u, path);
    return TG_OK;
}

/* Read at most `size` bytes, less only at the end of the file. -1 with errno on failure. */
static ssize_t read_up_to(int fd, char *text, size_t size)
{
    size_t len = 0;

    while (len < size) {
        const ssize_t got = read(fd, text + len, size - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* Turn the file's text into the key. */
static enum tg_status decode_key(struct span text, const char *path, unsigned char key[KEY_SIZE],
                                 struct err *err)
{
    size_t len;

    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL &&
           text.ptr[text.len - 1] != '\0')
        text.len--;
    if (text.len == 0)
        return err_set(
            err, TG_INVALID,
            "master key file %s is empty; put the key back, or remove the file if nothing "
            "was stored with it yet",
            path);
    if (sodium_base642bin(key, KEY_SIZE, text.ptr, text.len, NULL, &len, NULL, BASE64) != 0 ||
        len != KEY_SIZE)
        return err_set(
            err, TG_INVALID,
            "master key file %s must hold 32 bytes in base64, as of: openssl rand -base64 "
            "32",
            path);
    return TG_OK;
}

/* Read the master key of an open file. */
static enum tg_status read_key(int fd, const char *path, unsigned char key[KEY_SIZE],
                               struct err *err)
{
    char text[KEY_FILE_MAX];
    ssize_t len;
    enum tg_status status;

    TRY(check_key_file(fd, path, err));
    len = read_up_to(fd, text, sizeof(text));
    if (len < 0)
        return err_set(err, TG_IO, "master key file %s cannot be read: %s", path, strerror(errno));
    status = decode_key(span_of(text, (size_t)len), path, key, err);
    sodium_memzero(text, sizeof(text));
    return status;
}

/* Open the file, making it where that is allowed. */
static enum tg_status open_key_file(const char *path, bool may_create, int *ret_fd, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && may_create) {
        const enum tg_status status = create_key_file(path, err);

        if (status != TG_OK && status != TG_CONFLICT)
            return status;
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0 && errno == ENOENT)
        return err_set(
            err, TG_NOT_FOUND,
            "master key file %s does not exist; put it back: what it has sealed cannot be "
            "read without it",
            path);
    if (fd < 0)
        return err_set(err, TG_IO, "master key file %s cannot be opened: %s", path,
                       strerror(errno));
    *ret_fd = fd;
    return TG_OK;
}

static enum tg_status derive(struct secret_ring *ring, const unsigned char master[KEY_SIZE])
{
    static const char context[crypto_kdf_CONTEXTBYTES] = { 't', 'o', 'l', 'l', 'g', 'a', 't', 'e' };

    for (int purpose = 1; purpose < SECRET_PURPOSE_COUNT; purpose++) {
        struct secret *sub_key = &ring->sub_key[purpose];

        TRY(secret_reserve(sub_key, KEY_SIZE));
        if (crypto_kdf_derive_from_key(sub_key->bytes, KEY_SIZE, (uint64_t)purpose, context,
                                       master) != 0)
            return TG_INTERNAL;
        secret_protect(sub_key);
    }
    return TG_OK;
}

enum tg_status secret_ring_load(struct secret_ring *ring, const char *path, bool may_create,
                                struct err *err)
{
    unsigned char master[KEY_SIZE];
    enum tg_status status;
    int fd = -1;

    *ring = (struct secret_ring){ 0 };
    TRY(open_key_file(path, may_create, &fd, err));
    status = read_key(fd, path, master, err);
    (void)close(fd); /* only read from */
    if (status == TG_OK) {
        status = derive(ring, master);
        if (status != TG_OK)
            err_set(err, status, "master key: no memory for the keys derived from it");
    }
    sodium_memzero(master, sizeof(master));
    if (status != TG_OK)
        secret_ring_fini(ring);
    return status;
}

void secret_ring_fini(struct secret_ring *ring)
{
    if (ring == NULL)
        return;
    for (int purpose = 0; purpose < SECRET_PURPOSE_COUNT; purpose++)
        secret_fini(&ring->sub_key[purpose]);
}

/* --- what the ring's keys do --- */

static const unsigned char *key_of(const struct secret_ring *ring, enum secret_purpose purpose)
{
    assert(ring->sub_key[purpose].len == KEY_SIZE);
    return ring->sub_key[purpose].bytes;
}

void secret_hash(const struct secret_ring *ring, struct span credential,
                 unsigned char hash[SECRET_HASH_SIZE])
{
    const int failure =
        crypto_generichash(hash, SECRET_HASH_SIZE, (const unsigned char *)credential.ptr,
                           credential.len, key_of(ring, SECRET_KEY_HASH), KEY_SIZE);

    assert(failure == 0); /* only sizes can be wrong */
}

enum tg_status secret_seal(const struct secret_ring *ring, struct span context, struct span plain,
                           struct buf *out)
{
    unsigned char *sealed;

    if (plain.len > SIZE_MAX - SECRET_SEAL_EXTRA)
        return TG_NO_MEMORY;
    sealed = (unsigned char *)buf_reserve(out, plain.len + SECRET_SEAL_EXTRA);
    if (sealed == NULL)
        return TG_NO_MEMORY;
    rand_fill(sealed, NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        sealed + NONCE_SIZE, NULL, (const unsigned char *)plain.ptr, plain.len,
        (const unsigned char *)context.ptr, context.len, NULL, sealed, key_of(ring, SECRET_BOX));
    buf_commit(out, plain.len + SECRET_SEAL_EXTRA);
    return TG_OK;
}

enum tg_status secret_open(const struct secret_ring *ring, struct span context, struct span sealed,
                           struct secret *ret_plain)
{
    const unsigned char *bytes = (const unsigned char *)sealed.ptr;
    unsigned char none[1]; /* where nothing is written when nothing was sealed */
    struct secret plain;

    if (sealed.len < SECRET_SEAL_EXTRA)
        return TG_CORRUPT;
    TRY(secret_reserve(&plain, sealed.len - SECRET_SEAL_EXTRA));
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain.len > 0 ? plain.bytes : none, NULL, NULL,
                                                   bytes + NONCE_SIZE, sealed.len - NONCE_SIZE,
                                                   (const unsigned char *)context.ptr, context.len,
                                                   bytes, key_of(ring, SECRET_BOX)) != 0) {
        secret_fini(&plain);
        return TG_CORRUPT;
    }
    secret_protect(&plain);
    *ret_plain = plain;
    return TG_OK;
}
