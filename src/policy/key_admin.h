#ifndef POLICY_KEY_ADMIN_H
#define POLICY_KEY_ADMIN_H

#include "base/auto.h"
#include "base/id.h"
#include "base/secret.h"
#include "ledger/account.h"

/* Client keys as the API shows them: rows of `key` and `key_secret`, and the changes to them. A
 * key's secret is returned once, by its creation or rotation; stored are its keyed hash and last
 * four. */

struct db;
struct keyring;

#define KEY_PREFIX              "tgk_"
#define KEY_PREFIX_SIZE         16 /* "tgk_" and the 10 digits of id */
#define KEY_OVERLAP_SECONDS_MAX 604800
#define KEY_SECRETS_MAX         8 /* of one key that overlap */

struct key {
    int32_t id; /* row */
    int32_t team_id;
    char public_id[ID_TEXT_SIZE];
    char team_public_id[ID_TEXT_SIZE];
    char name[ACCOUNT_NAME_SIZE]; /* unique among the team's keys that are not revoked */
    char prefix[KEY_PREFIX_SIZE];
    char last4[5]; /* of the newest secret */
    int64_t revision;
    int64_t created_at_ms;
    int64_t expires_at_ms;   /* 0: never */
    int64_t revoked_at_ms;   /* 0: not revoked */
    int64_t last_used_at_ms; /* 0: never; as of the last flush unless key_last_used is newer */
    char *models;            /* JSON array; "[]": any model */
    char *metadata;          /* JSON object */
};

void key_fini(struct key *key);
AUTO_DEFINE(key, key_fini)

/* db: any connection. The caller ends *ret_key with key_fini. Errors  TG_NOT_FOUND, TG_IO,
 * TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status key_get(struct db *db, account_scope scope, struct span public_id,
                                     struct key *ret_key, struct err *err);

/* The public id of a row. Errors  TG_NOT_FOUND, TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status key_name(struct db *db, int32_t id, char public_id[ID_TEXT_SIZE],
                                      struct err *err);

struct key_query {
    account_scope scope;
    struct account_page page;
    struct span team_public_id; /* only this team's; empty: all in scope */
    bool with_revoked;
    enum tg_status (*on_row)(void *context, const struct key *key);
    void *context;
};
TG_MUST_CHECK enum tg_status key_list(struct db *db, const struct key_query *query,
                                      bool *ret_has_more, struct err *err);

enum key_action { KEY_CREATE, KEY_UPDATE, KEY_ROTATE, KEY_REVOKE };

/* As a merge patch. There but empty: models any, metadata {}; expires_at_ms 0: never. */
struct key_input {
    bool has_name;
    bool has_models;
    bool has_expires_at;
    bool has_metadata;
    struct span team_public_id; /* creation only */
    struct span name;
    struct span models; /* JSON array of exact names or `prefix*` */
    int64_t expires_at_ms;
    struct span metadata;
    int64_t overlap_seconds; /* rotation only: how long the old secrets live on,
                                0..KEY_OVERLAP_SECONDS_MAX */
};

struct key_job {
    struct account_job account; /* first */
    enum key_action action;
    const struct secret_ring *ring;
    struct keyring *keyring; /* where it is published; NULL: no worker loops run */
    account_scope scope;
    struct span public_id; /* all but creation */
    int64_t if_revision;   /* 0: any */
    struct key_input input;
    char *secret; /* creation, rotation: ID_TOKEN_SIZE bytes of the caller, who wipes them */
    struct key before;
    struct key after;
};

/* Revoking a revoked key is TG_OK; changing or rotating one is TG_CONFLICT, and so is making a key
 * for an archived team. */
void key_job_init(struct key_job *job, enum key_action action, const struct secret_ring *ring,
                  struct keyring *keyring);
void key_job_fini(struct key_job *job);
AUTO_DEFINE(key_job, key_job_fini)

#endif
