#include "main/ask.h"
#include "main/commands.h"

#include <stdio.h>

#define PATH_MAX_BYTES 1024

static const char *const team_members[] = { "id",         "name",        "timezone",
                                            "created_at", "archived_at", NULL };
static const char *const key_members[] = { "id",           "team_id",    "name",       "prefix",
                                           "last4",        "created_at", "expires_at", "revoked_at",
                                           "last_used_at", NULL };
static const char *const token_members[] = { "id",         "name",       "role",
                                             "team_id",    "last4",      "created_at",
                                             "expires_at", "revoked_at", "last_used_at",
                                             NULL };

/* --- bodies ----------------------------------------------------------------------------------- */

/* "" is null. return  false: said */
static bool put_expiry(struct cli *cli, struct ask_body *body)
{
    const char *given = cli->value[CLI_EXPIRES];
    char text[32];

    if (given == NULL)
        return true;
    if (given[0] == '\0') {
        json_null(&body->w, "expires_at");
        return true;
    }
    if (!cli_time(given, +1, text)) {
        (void)cli_wrong(cli, "--expires must be a date, a time or a span (2026-12-31, 30d)");
        return false;
    }
    json_string(&body->w, "expires_at", text);
    return true;
}

/* --- teams ------------------------------------------------------------------------------------ */

static enum cli_exit team_create(struct cli *cli)
{
    struct ask_body body;

    ask_begin(&body);
    json_string(&body.w, "name", cli->argument);
    ask_put_option(cli, &body, "timezone", CLI_TIMEZONE);
    return ask_send(cli, "POST", "/api/v1/teams", &body);
}

static enum cli_exit team_list(struct cli *cli)
{
    return ask_list(cli,
                    cli->value[CLI_ALL] != NULL ? "/api/v1/teams?archived=true" : "/api/v1/teams",
                    team_members);
}

static enum cli_exit team_get(struct cli *cli)
{
    char id[64];

    return cli_team_id(cli, cli->argument, id) ? ask_get(cli, "teams", id) : CLI_FAILED;
}

static enum cli_exit team_update(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    struct ask_body body;
    char id[64];

    if (!cli_team_id(cli, cli->argument, id))
        return CLI_FAILED;
    ask_path(&path, "teams", id, "");
    ask_begin(&body);
    ask_put_option(cli, &body, "name", CLI_NAME);
    ask_put_option(cli, &body, "timezone", CLI_TIMEZONE);
    return ask_send(cli, "PATCH", buf_span(&path).ptr, &body);
}

static enum cli_exit team_archive(struct cli *cli)
{
    char id[64];

    return cli_team_id(cli, cli->argument, id) ? ask_post(cli, "teams", id, "/archive")
                                               : CLI_FAILED;
}

/* --- keys ------------------------------------------------------------------------------------- */

static enum cli_exit key_create(struct cli *cli)
{
    struct ask_body body;
    char id[64];

    if (!cli_team_id(cli, cli->value[CLI_TEAM], id))
        return CLI_FAILED;
    ask_begin(&body);
    json_string(&body.w, "team_id", id);
    json_string(&body.w, "name", cli->value[CLI_NAME] != NULL ? cli->value[CLI_NAME] : "default");
    ask_put_models(cli, &body);
    if (!put_expiry(cli, &body)) {
        buf_fini(&body.text);
        return CLI_USAGE;
    }
    return ask_send(cli, "POST", "/api/v1/keys", &body);
}

static enum cli_exit key_list(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    char id[64];

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/keys");
    if (cli->value[CLI_TEAM] != NULL) {
        if (!cli_team_id(cli, cli->value[CLI_TEAM], id))
            return CLI_FAILED;
        cli_query_text(&path, "team", id);
    }
    if (cli->value[CLI_ALL] != NULL)
        cli_query_text(&path, "revoked", "true");
    buf_put_byte(&path, '\0');
    return ask_list(cli, buf_span(&path).ptr, key_members);
}

static enum cli_exit key_get(struct cli *cli)
{
    return ask_get(cli, "keys", cli->argument);
}

static enum cli_exit key_update(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    struct ask_body body;

    ask_path(&path, "keys", cli->argument, "");
    ask_begin(&body);
    ask_put_option(cli, &body, "name", CLI_NAME);
    ask_put_models(cli, &body);
    if (!put_expiry(cli, &body)) {
        buf_fini(&body.text);
        return CLI_USAGE;
    }
    return ask_send(cli, "PATCH", buf_span(&path).ptr, &body);
}

static enum cli_exit key_rotate(struct cli *cli)
{
    const char *given = cli->value[CLI_OVERLAP];
    AUTO(buf) path = { 0 };
    struct ask_body body;
    int64_t seconds = 0;

    if (given != NULL && !span_to_int64(span_from(given), 604800, &seconds))
        return cli_wrong(cli, "--overlap must be 0 to 604800 seconds");
    ask_path(&path, "keys", cli->argument, "/rotate");
    ask_begin(&body);
    json_int(&body.w, "overlap_seconds", seconds);
    return ask_send(cli, "POST", buf_span(&path).ptr, &body);
}

static enum cli_exit key_revoke(struct cli *cli)
{
    return ask_post(cli, "keys", cli->argument, "/revoke");
}

/* --- tokens ----------------------------------------------------------------------------------- */

static enum cli_exit token_create(struct cli *cli)
{
    const char *role = cli->value[CLI_ROLE];
    struct ask_body body;
    char id[64];

    if (cli->value[CLI_TEAM] != NULL && !cli_team_id(cli, cli->value[CLI_TEAM], id))
        return CLI_FAILED;
    ask_begin(&body);
    json_string(&body.w, "name", cli->value[CLI_NAME] != NULL ? cli->value[CLI_NAME] : role);
    json_string(&body.w, "role", role);
    if (cli->value[CLI_TEAM] != NULL)
        json_string(&body.w, "team_id", id);
    if (!put_expiry(cli, &body)) {
        buf_fini(&body.text);
        return CLI_USAGE;
    }
    return ask_send(cli, "POST", "/api/v1/tokens", &body);
}

static enum cli_exit token_list(struct cli *cli)
{
    return ask_list(cli,
                    cli->value[CLI_ALL] != NULL ? "/api/v1/tokens?revoked=true" : "/api/v1/tokens",
                    token_members);
}

static enum cli_exit token_get(struct cli *cli)
{
    return ask_get(cli, "tokens", cli->argument);
}

static enum cli_exit token_revoke(struct cli *cli)
{
    return ask_post(cli, "tokens", cli->argument, "/revoke");
}

/* --- the table -------------------------------------------------------------------------------- */

const struct cli_command commands_of_accounts[] = {
    { "team", "create", "NAME", false, CLI_WITH(TIMEZONE), 0, "make a team", team_create },
    { "team", "list", NULL, false, CLI_WITH(ALL) | CLI_WITH(LIMIT), 0, "show all teams",
      team_list },
    { "team", "get", "TEAM", false, 0, 0, "show one", team_get },
    { "team", "update", "TEAM", false, CLI_WITH(NAME) | CLI_WITH(TIMEZONE), 0, "change it",
      team_update },
    { "team", "archive", "TEAM", false, 0, 0, "end it and all its keys", team_archive },
    { "key", "create", NULL, false,
      CLI_WITH(TEAM) | CLI_WITH(NAME) | CLI_WITH(MODELS) | CLI_WITH(EXPIRES), CLI_WITH(TEAM),
      "make a key; its secret alone is on stdout", key_create },
    { "key", "list", NULL, false, CLI_WITH(TEAM) | CLI_WITH(ALL) | CLI_WITH(LIMIT), 0,
      "show all keys", key_list },
    { "key", "get", "ID", false, 0, 0, "show one", key_get },
    { "key", "update", "ID", false, CLI_WITH(NAME) | CLI_WITH(MODELS) | CLI_WITH(EXPIRES), 0,
      "change it", key_update },
    { "key", "rotate", "ID", false, CLI_WITH(OVERLAP), 0, "give it a new secret", key_rotate },
    { "key", "revoke", "ID", false, 0, 0, "end it now", key_revoke },
    { "token", "create", NULL, false,
      CLI_WITH(ROLE) | CLI_WITH(NAME) | CLI_WITH(TEAM) | CLI_WITH(EXPIRES), CLI_WITH(ROLE),
      "make an admin token; it alone is on stdout", token_create },
    { "token", "list", NULL, false, CLI_WITH(ALL) | CLI_WITH(LIMIT), 0, "show all admin tokens",
      token_list },
    { "token", "get", "ID", false, 0, 0, "show one", token_get },
    { "token", "revoke", "ID", false, 0, 0, "end it now", token_revoke },
    { 0 },
};
