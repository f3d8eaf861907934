#include "main/commands.h"

#include <stdio.h>

#define BODY_MAX       ((size_t)64 << 10)
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

struct body {
    struct buf text;
    struct json_writer w;
};

static void body_begin(struct body *body)
{
    buf_init(&body->text, BODY_MAX);
    json_begin(&body->w, &body->text);
    json_open_object(&body->w, NULL);
}

static void put_option(struct cli *cli, struct body *body, const char *name, enum cli_option option)
{
    if (cli->value[option] != NULL)
        json_string(&body->w, name, cli->value[option]);
}

/* "" is null. return  false: said */
static bool put_expiry(struct cli *cli, struct body *body)
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

static void put_models(struct cli *cli, struct body *body)
{
    struct span rest;
    struct span name;

    if (cli->value[CLI_MODELS] == NULL)
        return;
    rest = span_from(cli->value[CLI_MODELS]);
    json_open_array(&body->w, "models");
    while (span_cut(&rest, ',', &name))
        json_text(&body->w, NULL, span_trim(name));
    json_close_array(&body->w);
}

/* Send it, show what comes, and end the body. */
static enum cli_exit send_body(struct cli *cli, const char *method, const char *path,
                               struct body *body)
{
    AUTO_JSON tree = NULL;
    bool is_done;

    json_close_object(&body->w);
    is_done = cli_ask(cli, method, path, &body->text, &tree);
    if (body->text.data != NULL)
        explicit_bzero(body->text.data, body->text.size);
    buf_fini(&body->text);
    return is_done ? cli_show_made(cli, tree) : CLI_FAILED;
}

/* "/api/v1/keys/{id}/verb"; terminated, to be ended by the caller. */
static void put_path(struct buf *path, const char *folder, const char *id, const char *verb)
{
    buf_init(path, PATH_MAX_BYTES);
    buf_printf(path, "/api/v1/%s/", folder);
    remote_escape(path, id);
    buf_put_text(path, verb);
    buf_put_byte(path, '\0');
}

static enum cli_exit show_list(struct cli *cli, const char *path, const char *const *members)
{
    AUTO_JSON rows = NULL;

    return cli_list(cli, path, &rows) ? cli_show_rows(cli, rows, members) : CLI_FAILED;
}

static enum cli_exit get_one(struct cli *cli, const char *folder, const char *id)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;

    put_path(&path, folder, id, "");
    if (!cli_ask(cli, "GET", buf_span(&path).ptr, NULL, &tree))
        return CLI_FAILED;
    return cli_show_made(cli, tree);
}

static enum cli_exit post_verb(struct cli *cli, const char *folder, const char *id,
                               const char *verb)
{
    AUTO(buf) path = { 0 };
    struct body body;

    put_path(&path, folder, id, verb);
    body_begin(&body);
    return send_body(cli, "POST", buf_span(&path).ptr, &body);
}

/* --- teams ------------------------------------------------------------------------------------ */

static enum cli_exit team_create(struct cli *cli)
{
    struct body body;

    body_begin(&body);
    json_string(&body.w, "name", cli->argument);
    put_option(cli, &body, "timezone", CLI_TIMEZONE);
    return send_body(cli, "POST", "/api/v1/teams", &body);
}

static enum cli_exit team_list(struct cli *cli)
{
    return show_list(cli,
                     cli->value[CLI_ALL] != NULL ? "/api/v1/teams?archived=true" : "/api/v1/teams",
                     team_members);
}

static enum cli_exit team_get(struct cli *cli)
{
    char id[64];

    return cli_team_id(cli, cli->argument, id) ? get_one(cli, "teams", id) : CLI_FAILED;
}

static enum cli_exit team_update(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    struct body body;
    char id[64];

    if (!cli_team_id(cli, cli->argument, id))
        return CLI_FAILED;
    put_path(&path, "teams", id, "");
    body_begin(&body);
    put_option(cli, &body, "name", CLI_NAME);
    put_option(cli, &body, "timezone", CLI_TIMEZONE);
    return send_body(cli, "PATCH", buf_span(&path).ptr, &body);
}

static enum cli_exit team_archive(struct cli *cli)
{
    char id[64];

    return cli_team_id(cli, cli->argument, id) ? post_verb(cli, "teams", id, "/archive")
                                               : CLI_FAILED;
}

/* --- keys ------------------------------------------------------------------------------------- */

static enum cli_exit key_create(struct cli *cli)
{
    struct body body;
    char id[64];

    if (!cli_team_id(cli, cli->value[CLI_TEAM], id))
        return CLI_FAILED;
    body_begin(&body);
    json_string(&body.w, "team_id", id);
    json_string(&body.w, "name", cli->value[CLI_NAME] != NULL ? cli->value[CLI_NAME] : "default");
    put_models(cli, &body);
    if (!put_expiry(cli, &body)) {
        buf_fini(&body.text);
        return CLI_USAGE;
    }
    return send_body(cli, "POST", "/api/v1/keys", &body);
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
    return show_list(cli, buf_span(&path).ptr, key_members);
}

static enum cli_exit key_get(struct cli *cli)
{
    return get_one(cli, "keys", cli->argument);
}

static enum cli_exit key_update(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    struct body body;

    put_path(&path, "keys", cli->argument, "");
    body_begin(&body);
    put_option(cli, &body, "name", CLI_NAME);
    put_models(cli, &body);
    if (!put_expiry(cli, &body)) {
        buf_fini(&body.text);
        return CLI_USAGE;
    }
    return send_body(cli, "PATCH", buf_span(&path).ptr, &body);
}

static enum cli_exit key_rotate(struct cli *cli)
{
    const char *given = cli->value[CLI_OVERLAP];
    AUTO(buf) path = { 0 };
    struct body body;
    int64_t seconds = 0;

    if (given != NULL && !span_to_int64(span_from(given), 604800, &seconds))
        return cli_wrong(cli, "--overlap must be 0 to 604800 seconds");
    put_path(&path, "keys", cli->argument, "/rotate");
    body_begin(&body);
    json_int(&body.w, "overlap_seconds", seconds);
    return send_body(cli, "POST", buf_span(&path).ptr, &body);
}

static enum cli_exit key_revoke(struct cli *cli)
{
    return post_verb(cli, "keys", cli->argument, "/revoke");
}

/* --- tokens ----------------------------------------------------------------------------------- */

static enum cli_exit token_create(struct cli *cli)
{
    const char *role = cli->value[CLI_ROLE];
    struct body body;
    char id[64];

    if (cli->value[CLI_TEAM] != NULL && !cli_team_id(cli, cli->value[CLI_TEAM], id))
        return CLI_FAILED;
    body_begin(&body);
    json_string(&body.w, "name", cli->value[CLI_NAME] != NULL ? cli->value[CLI_NAME] : role);
    json_string(&body.w, "role", role);
    if (cli->value[CLI_TEAM] != NULL)
        json_string(&body.w, "team_id", id);
    if (!put_expiry(cli, &body)) {
        buf_fini(&body.text);
        return CLI_USAGE;
    }
    return send_body(cli, "POST", "/api/v1/tokens", &body);
}

static enum cli_exit token_list(struct cli *cli)
{
    return show_list(cli,
                     cli->value[CLI_ALL] != NULL ? "/api/v1/tokens?revoked=true" : "/api/v1/tokens",
                     token_members);
}

static enum cli_exit token_get(struct cli *cli)
{
    return get_one(cli, "tokens", cli->argument);
}

static enum cli_exit token_revoke(struct cli *cli)
{
    return post_verb(cli, "tokens", cli->argument, "/revoke");
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
