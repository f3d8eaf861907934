#ifndef POLICY_TOKEN_H
#define POLICY_TOKEN_H

#include "base/id.h"
#include "base/secret.h"
#include "ledger/account.h"

/* Admin tokens: rows of `admin_token`, who presents one, and the two that are no row: the content
 * of TOLLGATE_ADMIN_TOKEN_FILE and the one-time set-up token. Only keyed hashes are kept, in memory
 * too. */

struct db;

#define TOKEN_PREFIX       "tga_"
#define TOKEN_PREFIX_SIZE  16
#define TOKEN_SETUP_MS     INT64_C(3600000)
#define TOKEN_FILE_LEN_MIN 20
#define TOKEN_FILE_LEN_MAX 200

enum token_role {
    TOKEN_OWNER,
    TOKEN_ADMIN,
    TOKEN_FINANCE,
    TOKEN_TEAM,
    TOKEN_VIEWER,
    TOKEN_ROLE_COUNT
};

/* "owner", "admin", "finance", "team", "viewer". */
const char *token_role_name(enum token_role role);
/* return  whether it is one; *ret_role is written only then */
bool token_role_parse(struct span name, enum token_role *ret_role);
/* Whether one who has `maker` may make a token of that role: an owner any, an admin any but an
 * owner's, others none. */
bool token_may_grant(enum token_role maker, enum token_role role);

struct token {
    int32_t id;                        /* row */
    int32_t team_id;                   /* role team only, else 0 */
    char public_id[ID_TEXT_SIZE];      /* tok_... */
    char team_public_id[ID_TEXT_SIZE]; /* or "" */
    char name[ACCOUNT_NAME_SIZE];      /* unique among those not revoked */
    enum token_role role;
    char prefix[TOKEN_PREFIX_SIZE];
    char last4[5];
    int64_t revision;
    int64_t created_at_ms;
    int64_t expires_at_ms;
    int64_t revoked_at_ms;
    int64_t last_used_at_ms;
};

/* Errors  TG_NOT_FOUND, TG_IO */
TG_MUST_CHECK enum tg_status token_get(struct db *db, struct span public_id,
                                       struct token *ret_token, struct err *err);

struct token_query {
    struct account_page page;
    bool with_revoked;
    enum tg_status (*on_row)(void *context, const struct token *token);
    void *context;
};
TG_MUST_CHECK enum tg_status token_list(struct db *db, const struct token_query *query,
                                        bool *ret_has_more, struct err *err);

/* --- who presents one ------------------------------------------------------------------------- */

struct token_gate;

/* ring is borrowed. Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status token_gate_new(const struct secret_ring *ring,
                                            struct token_gate **ret_gate);
void token_gate_free(struct token_gate *gate);

/* Accept the file's content (TOKEN_FILE_LEN_MIN..MAX printable characters, white space at the end
 * cut) as an owner's token. Before threads start. Errors  TG_INVALID, TG_IO, with the remedy in
 * `err` */
TG_MUST_CHECK enum tg_status token_gate_read_file(struct token_gate *gate, const char *path,
                                                  struct err *err);

/* Make a set-up token, good once and for TOKEN_SETUP_MS; one made before is void. The caller prints
 * and wipes it. */
void token_gate_open_setup(struct token_gate *gate, int64_t now_ms, char text[ID_TOKEN_SIZE]);

/* Whether any owner's token is valid now: if not, and there is no file, main opens the set-up. */
TG_MUST_CHECK enum tg_status token_has_owner(struct db *db, int64_t now_ms, bool *ret_has_owner,
                                             struct err *err);

struct token_identity {
    enum token_role role;
    account_scope scope;          /* team's row for TOKEN_TEAM, else ACCOUNT_ALL */
    int32_t token_id;             /* row; 0: the file's */
    char public_id[ID_TEXT_SIZE]; /* for the audit; "token-file" for the file's */
};

/* Who presents this? The same work for right, wrong, revoked and expired; a set-up token is none of
 * them.
 *
 * Errors  TG_UNAUTHENTICATED; TG_IO. Thread: any, with its own connection */
TG_MUST_CHECK enum tg_status token_authenticate(struct token_gate *gate, struct db *db,
                                                struct span presented,
                                                struct token_identity *ret_identity,
                                                struct err *err);

/* --- changes ---------------------------------------------------------------------------------- */

enum token_action {
    TOKEN_CREATE,
    TOKEN_UPDATE, /* name, expires_at */
    TOKEN_REVOKE,
    TOKEN_SETUP /* trade the set-up token for an owner's; TG_UNAUTHENTICATED when it is not it */
};

struct token_input {
    bool has_name;
    bool has_expires_at;
    struct span name;
    struct span role;           /* creation only */
    struct span team_public_id; /* creation only; for role team, and only there */
    int64_t expires_at_ms;      /* 0: never */
    struct span setup;          /* TOKEN_SETUP: what was presented */
};

struct token_job {
    struct account_job account; /* first */
    enum token_action action;
    struct token_gate *gate;
    struct span public_id; /* update, revoke */
    int64_t if_revision;
    struct token_input input;
    char *secret; /* creation, set-up: ID_TOKEN_SIZE bytes of the caller, who wipes them */
    bool has_claimed_setup; /* the job's own */
    struct token before;
    struct token after;
};

void token_job_init(struct token_job *job, enum token_action action, struct token_gate *gate);

#endif
