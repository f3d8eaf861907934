#include "policy/team.h"

#include "base/clock.h"
#include "base/try.h"
#include "policy/key.h"
#include "store/stmt.h"

#include <stdlib.h>

#define TEAM_COLUMNS                                                                               \
    "SELECT id, public_id, name, timezone, metadata, revision, created_ms, archived_ms FROM team "

static const char sql_by_public_id[] =
    TEAM_COLUMNS "WHERE public_id = ?1 AND (?2 = 0 OR id = ?2)";
static const char sql_by_name[] = TEAM_COLUMNS "WHERE name = ?1 AND (?2 = 0 OR id = ?2)";
static const char sql_list[] = TEAM_COLUMNS
    "WHERE id > ?1 AND (?2 = 0 OR id = ?2) AND (?3 = 1 OR archived_ms IS NULL) ORDER BY id LIMIT ?4";
static const char sql_cursor[] = "SELECT id FROM team WHERE public_id = ?1";
static const char sql_insert[] =
    "INSERT INTO team (public_id, name, timezone, metadata, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
static const char sql_update[] = "UPDATE team SET name = ?2, timezone = ?3, metadata = ?4, "
                                 "revision = revision + 1 WHERE id = ?1";
static const char sql_archive[] =
    "UPDATE team SET archived_ms = ?2, revision = revision + 1 WHERE id = ?1";

/* --- reading --- */

void team_fini(struct team *team)
{
    if (team == NULL)
        return;
    free(team->metadata);
    team->metadata = NULL;
}

static enum tg_status read_row(const struct stmt *stmt, struct team *ret_team, struct err *err)
{
    struct team team = { 0 };

    team.id = (int32_t)stmt_int(stmt, 0);
    account_copy_text(stmt_text(stmt, 1), team.public_id, sizeof(team.public_id));
    account_copy_text(stmt_text(stmt, 2), team.name, sizeof(team.name));
    account_copy_text(stmt_text(stmt, 3), team.timezone, sizeof(team.timezone));
    team.revision = stmt_int(stmt, 5);
    team.created_at_ms = stmt_int(stmt, 6);
    team.archived_at_ms = stmt_int(stmt, 7);
    team.metadata = span_to_string(stmt_text(stmt, 4));
    if (team.metadata == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for a team");
    *ret_team = team;
    return TG_OK;
}

static enum tg_status get_by(struct db *db, const char *sql, account_scope scope, struct span text,
                             struct team *ret_team)
{
    struct stmt *stmt;
    bool has_row;
    enum tg_status status;

    TRY(stmt_use(db, sql, &stmt, NULL));
    stmt_bind_text(stmt, 1, text);
    stmt_bind_int(stmt, 2, scope);
    TRY(stmt_step(stmt, &has_row, NULL));
    if (!has_row)
        return TG_NOT_FOUND;
    status = read_row(stmt, ret_team, NULL);
    stmt_reset(stmt);
    return status;
}
