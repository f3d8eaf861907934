#ifndef POLICY_TEAM_H
#define POLICY_TEAM_H

#include "base/auto.h"
#include "base/id.h"
#include "ledger/account.h"

/* Teams: rows of the table `team` and the changes to them. A team is archived, never deleted: its
 * charges stay. The keys of an archived team are as good as revoked. */

struct db;
struct keyring;

struct team {
    int32_t id; /* row */
    char public_id[ID_TEXT_SIZE];
    char name[ACCOUNT_NAME_SIZE];         /* unique among the teams that are not archived */
    char timezone[ACCOUNT_TIMEZONE_SIZE]; /* "": the organization's */
    int64_t revision;                     /* for If-Match */
    int64_t created_at_ms;
    int64_t archived_at_ms; /* 0: not archived */
    char *metadata;         /* JSON object */
};

/* Accepts NULL and a zeroed one. */
void team_fini(struct team *team);
AUTO_DEFINE(team, team_fini)

/* Find by public id, or by name among those not archived. The caller ends *ret_team with team_fini.
 * db: any connection. Errors  TG_NOT_FOUND, TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status team_get(struct db *db, account_scope scope, struct span public_id,
                                      struct team *ret_team, struct err *err);
TG_MUST_CHECK enum tg_status team_get_by_name(struct db *db, account_scope scope, struct span name,
                                              struct team *ret_team, struct err *err);

struct team_query {
    account_scope scope;
    struct account_page page;
    bool with_archived;
    /* Each row, valid until it returns; any status but TG_OK ends the list and is handed back. */
    enum tg_status (*on_row)(void *context, const struct team *team);
    void *context;
};
/* Errors  TG_INVALID: limit, or `after` is unknown; TG_IO */
TG_MUST_CHECK enum tg_status team_list(struct db *db, const struct team_query *query,
                                       bool *ret_has_more, struct err *err);

enum team_action { TEAM_CREATE, TEAM_UPDATE, TEAM_ARCHIVE };

/* As a merge patch: what is not there stays; there but empty is null, the default. Bytes are
 * borrowed until the job is answered. */
struct team_input {
    bool has_name;
    bool has_timezone;
    bool has_metadata;
    struct span name;
    struct span timezone;
    struct span metadata;
};

struct team_job {
    struct account_job account; /* first */
    enum team_action action;
    struct keyring *keyring; /* where archiving is published; may be NULL */
    account_scope scope;
    struct span public_id; /* of an update, of archiving */
    int64_t if_revision;   /* 0: any; else TG_STALE where the row has another */
    struct team_input input;
    struct team before; /* zeroed for a creation */
    struct team after;
};

/* Archiving an archived team is TG_OK and changes nothing; changing one is TG_CONFLICT. */
void team_job_init(struct team_job *job, enum team_action action, struct keyring *keyring);
void team_job_fini(struct team_job *job);
AUTO_DEFINE(team_job, team_job_fini)

#endif
