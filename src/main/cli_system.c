#include "main/commands.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_MAX 16384

static enum cli_exit verify(struct cli *cli)
{
    AUTO_JSON tree = NULL;
    enum cli_exit result;

    if (!cli_ask(cli, "GET", "/api/v1/verify", NULL, &tree))
        return CLI_FAILED;
    result = cli_show_made(cli, tree);
    if (result == CLI_OK && !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "ok")))
        return CLI_FAILED;
    return result;
}

/* The server writes the file, and it may stand in another folder. */
static enum cli_exit backup(struct cli *cli)
{
    AUTO(buf) body = { 0 };
    AUTO_JSON tree = NULL;
    struct json_writer w;
    struct err err = { 0 };
    char folder[PATH_MAX] = "";
    char path[2 * PATH_MAX];

    if (cli->argument[0] != '/' && getcwd(folder, sizeof(folder)) == NULL) {
        err_set(&err, TG_IO, "the current directory: %s", strerror(errno));
        return cli_fail(cli, &err);
    }
    (void)snprintf(path, sizeof(path), "%s%s%s", folder, folder[0] != '\0' ? "/" : "",
                   cli->argument);
    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_open_object(&w, NULL);
    json_string(&w, "path", path);
    json_close_object(&w);
    if (!cli_ask(cli, "POST", "/api/v1/backup", &body, &tree))
        return CLI_FAILED;
    return cli_show_made(cli, tree);
}

/* --- doctor ----------------------------------------------------------------------------------- */

/* A line for each thing looked at, with what to do about it. */
static bool report(bool is_good, const char *what, const char *detail)
{
    (void)printf("%-7s %-16s %s\n", is_good ? "ok" : "FAILED", what, detail);
    return is_good;
}

static bool ask_quietly(struct cli *cli, const char *path, cJSON **ret_tree, struct err *err)
{
    return remote_ask(&cli->remote, &(struct remote_request){ .method = "GET", .path = path },
                      ret_tree, err) == TG_OK;
}

static bool check_modes(const struct cli *cli)
{
    static const char *const files[] = { "master.key", "admin.sock", "tollgate.db" };
    bool is_good = true;

    for (size_t i = 0; cli->remote.socket[0] != '\0' && i < sizeof(files) / sizeof(files[0]); i++) {
        char path[2 * PATH_MAX];
        struct stat info;

        (void)snprintf(path, sizeof(path), "%s/%s", cli->remote.data_dir, files[i]);
        if (stat(path, &info) != 0)
            is_good = report(errno == ENOENT && i != 2, files[i], strerror(errno)) && is_good;
        else
            is_good = report((info.st_mode & 077) == 0, files[i],
                             (info.st_mode & 077) == 0 ? "only its owner may read it"
                                                       : "others may read it: chmod go= it") &&
                      is_good;
    }
    return is_good;
}

static bool check_answer(struct cli *cli, const char *what, const char *path, const char *member)
{
    AUTO_JSON tree = NULL;
    struct err err = { 0 };

    if (!ask_quietly(cli, path, &tree, &err))
        return report(false, what, err.text);
    if (member != NULL && !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, member)))
        return report(false, what, "it says no; `tollgate verify` shows the numbers");
    return report(true, what, path);
}

static bool check_provider(struct cli *cli, const cJSON *provider)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(provider, "id");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(provider, "name");
    AUTO_JSON tree = NULL;
    const cJSON *detail;
    struct err err = { 0 };
    char path[256];

    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(provider, "is_enabled")))
        return report(true, name->valuestring, "disabled");
    (void)snprintf(path, sizeof(path), "/api/v1/providers/%s/test", id->valuestring);
    if (remote_ask(&cli->remote, &(struct remote_request){ .method = "POST", .path = path }, &tree,
                   &err) != TG_OK)
        return report(false, name->valuestring, err.text);
    detail = cJSON_GetObjectItemCaseSensitive(tree, "detail");
    return report(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "ok")), name->valuestring,
                  cJSON_IsString(detail) ? detail->valuestring : "it answers with its models");
}

static bool check_providers(struct cli *cli)
{
    AUTO_JSON tree = NULL;
    const cJSON *rows;
    const cJSON *provider;
    struct err err = { 0 };
    bool is_good = true;

    if (!ask_quietly(cli, "/api/v1/providers?limit=200", &tree, &err))
        return report(false, "providers", err.text);
    rows = cJSON_GetObjectItemCaseSensitive(tree, "data");
    if (cJSON_GetArraySize(rows) == 0)
        return report(false, "providers",
                      "there are none: tollgate provider add openai --secret-file F");
    cJSON_ArrayForEach(provider, rows)
    {
        if (cJSON_IsString(cJSON_GetObjectItemCaseSensitive(provider, "name")) &&
            cJSON_IsString(cJSON_GetObjectItemCaseSensitive(provider, "id")))
            is_good = check_provider(cli, provider) && is_good;
    }
    return is_good;
}

static enum cli_exit doctor(struct cli *cli)
{
    bool is_good = check_modes(cli);

    if (!check_answer(cli, "server", "/healthz", NULL))
        return CLI_FAILED;
    is_good = check_answer(cli, "readiness", "/readyz", "ready") && is_good;
    is_good = check_answer(cli, "ledger", "/api/v1/verify", "ok") && is_good;
    is_good = check_providers(cli) && is_good;
    return is_good ? CLI_OK : CLI_FAILED;
}

const struct cli_command commands_of_system[] = {
    { "verify", "", NULL, false, 0, 0, "recompute what the file can prove; 1 when it differs",
      verify },
    { "backup", "", "FILE", false, 0, 0, "write a copy of the database as it stands now", backup },
    { "doctor", "", NULL, false, 0, 0, "look for what may be wrong", doctor },
    { 0 },
};
