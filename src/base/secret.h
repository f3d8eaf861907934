#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/auto.h"
#include "base/err.h"
#include "base/span.h"

/* Secrets and what is done with them, by libsodium. A secret's bytes stand in locked, guarded
 * memory that is left out of core dumps and wiped on free; it is never printed. */

struct buf;

struct secret {
    unsigned char *bytes; /* sodium_malloc; NULL when empty */
    size_t len;
};

/* Once, before anything else here. Errors  TG_INTERNAL */
TG_MUST_CHECK enum tg_status secret_start(void);

/* A copy of `from` in locked memory. Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status secret_init(struct secret *secret, struct span from);
void secret_fini(struct secret *secret);
AUTO_DEFINE(secret, secret_fini)

/* The bytes, borrowed until secret_fini. For handing to a connection; never to a log. */
static inline struct span secret_span(const struct secret *secret)
{
    return (struct span){ (const char *)secret->bytes, secret->len };
}

/* Compare in a time that depends on the lengths alone. */
bool secret_equal(struct span a, struct span b);

/* The master key (32 bytes) is read once and forgotten; its sub-keys, derived by crypto_kdf, hash
 * keys, seal boxes, sign sessions and chain the audit. A number here never gets another meaning. */
enum secret_purpose { SECRET_KEY_HASH = 1, SECRET_BOX = 2, SECRET_SESSION = 3, SECRET_AUDIT = 4 };
#define SECRET_PURPOSE_COUNT 5

struct secret_ring {
    struct secret sub_key[SECRET_PURPOSE_COUNT]; /* 32 bytes each, by purpose */
};

/* Read the master key from `path`: 32 bytes in base64, blanks at the end ignored; a file that
 * others may read is refused. Where it is missing and `may_create`, make one (0600, synced). A
 * failure leaves `ring` empty.
 *
 * Errors  TG_INVALID, TG_IO, TG_NOT_FOUND, with the remedy in `err` */
TG_MUST_CHECK enum tg_status secret_ring_load(struct secret_ring *ring, const char *path,
                                              bool may_create, struct err *err);
void secret_ring_fini(struct secret_ring *ring);

#define SECRET_HASH_SIZE 32

/* Keyed BLAKE2b-256 of a presented credential. Thread: any; no allocation. */
void secret_hash(const struct secret_ring *ring, struct span credential,
                 unsigned char hash[SECRET_HASH_SIZE]);

/* XChaCha20-Poly1305 of `plain` bound to `context` (table, row, field), random nonce in front.
 * Sealed bytes are appended to `out`, SECRET_SEAL_EXTRA longer than plain.
 *
 * Errors  TG_NO_MEMORY, also where out's cap is reached */
#define SECRET_SEAL_EXTRA 40
TG_MUST_CHECK enum tg_status secret_seal(const struct secret_ring *ring, struct span context,
                                         struct span plain, struct buf *out);
/* The way back. Errors  TG_CORRUPT: altered, another row's, or another master key; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status secret_open(const struct secret_ring *ring, struct span context,
                                         struct span sealed, struct secret *ret_plain);

#endif
