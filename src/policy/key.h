#ifndef POLICY_KEY_H
#define POLICY_KEY_H

#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"
#include "ledger/account.h"
#include "store/snapshot.h"

/* Client keys as the worker loops see them: tables by the hash of the whole key, immutable, in 256
 * shards of which a change rebuilds one. A hash and a look-up are done for every presented
 * credential, right, wrong, revoked or expired alike. */

struct key_entry {
    unsigned char hash[SECRET_HASH_SIZE];
    int32_t id;      /* row of `key` */
    int32_t team_id; /* row of `team` */
    char public_id[ID_TEXT_SIZE];
    char team_public_id[ID_TEXT_SIZE];
    int64_t expires_at_ms;            /* of this secret; 0: never */
    bool is_revoked;                  /* or its team is archived */
    int model_count;                  /* 0: any model */
    char **models;                    /* exact names or `prefix*` */
    _Atomic int64_t *last_used_at_ms; /* of the key, shared by its secrets; outlives the entry */
};

struct keyring;
struct db;

/* Read all secrets. domain: of the worker loops; borrowed. Errors  TG_IO, TG_NO_MEMORY, TG_CORRUPT
 */
TG_MUST_CHECK enum tg_status keyring_open(struct db *db, struct snapshot_domain *domain,
                                          struct keyring **ret_keyring, struct err *err);
/* Accepts NULL. No reader may be inside. */
void keyring_close(struct keyring *keyring);

/* Read the secrets of one key, or of all keys of a team, again and publish them; returns after the
 * swap. Thread: writer, after its commit, on the writer's connection. */
TG_MUST_CHECK enum tg_status keyring_refresh_key(struct keyring *keyring, struct db *db,
                                                 int32_t key_id, struct err *err);
TG_MUST_CHECK enum tg_status keyring_refresh_team(struct keyring *keyring, struct db *db,
                                                  int32_t team_id, struct err *err);

/* Find the key that may be used now. Compares hashes in constant time; the same work for a hit and
 * a miss.
 *
 * hash    of the presented credential, by secret_hash
 * return  NULL: unknown, revoked or expired; else valid until the reader leaves its turn */
const struct key_entry *keyring_find(const struct keyring *keyring,
                                     const unsigned char hash[SECRET_HASH_SIZE], int64_t now_ms);

/* Note that the key is used now: one relaxed store. Thread: any, inside its turn. */
void keyring_touch(const struct key_entry *key, int64_t now_ms);

/* When a key was last used as far as memory knows, ms since 1970; 0: never. Thread: any but a
 * worker loop; takes a lock. */
int64_t keyring_last_used_ms(struct keyring *keyring, int32_t key_id);

#define KEYRING_FLUSH_MAX 1000 /* rows that one flush writes */

/* Writes what keyring_touch has noted since the last flush into `key`. Main submits it every hour,
 * again while it says has_more, and once before the writer stops. May be used again once it is
 * answered. */
struct keyring_flush_job {
    struct account_job account; /* first */
    struct keyring *keyring;
    int64_t written; /* told: rows */
    bool has_more;   /* told: rows are left for another run */
};
void keyring_flush_job_init(struct keyring_flush_job *job, struct keyring *keyring);

/* Whether one of a list of exact names and `prefix*` stands for a model; an empty list stands for
 * all. */
bool key_models_allow(char *const *models, int count, struct span model);

/* Whether the key may use a model of that name. */
bool key_allows_model(const struct key_entry *key, struct span model);

#endif
