#include "main/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define SECRET_MAX     4096
#define BODY_MAX       ((size_t)64 << 10)
#define PATH_MAX_BYTES 1024

static const char *const members[] = { "id",         "name",       "kind",
                                       "base_url",   "source",     "secret_last4",
                                       "is_default", "is_enabled", "model_count",
                                       NULL };

/* A file's content, or standard input's, without white space at its end. return  its length; -1:
 * said */
static ssize_t read_secret(struct cli *cli, char secret[SECRET_MAX + 1])
{
    const char *path = cli->value[CLI_SECRET_FILE];
    const bool is_stdin = strcmp(path, "-") == 0;
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct err err = { 0 };
    ssize_t len = 0;
    ssize_t got = fd >= 0 ? 1 : -1;

    while (got > 0 && len <= SECRET_MAX) {
        got = read(fd, secret + len, (size_t)(SECRET_MAX + 1 - len));
        len += got > 0 ? got : 0;
    }
    if (got < 0)
        err_set(&err, TG_IO, "--secret-file %s: %s", path, strerror(errno));
    else if (len > SECRET_MAX)
        err_set(&err, TG_TOO_LARGE, "--secret-file %s: more than %d bytes", path, SECRET_MAX);
    if (fd >= 0 && !is_stdin)
        (void)close(fd);
    while (len > 0 && (unsigned char)secret[len - 1] <= ' ')
        len--;
    if (err.text[0] == '\0' && len == 0)
        err_set(&err, TG_INVALID, "--secret-file %s: it is empty", path);
    if (err.text[0] == '\0')
        return len;
    (void)cli_fail(cli, &err);
    return -1;
}

static bool put_secret(struct cli *cli, struct json_writer *w)
{
    char secret[SECRET_MAX + 1];
    ssize_t len;

    if (cli->value[CLI_SECRET_FILE] == NULL)
        return true;
    len = read_secret(cli, secret);
    if (len > 0)
        json_text(w, "secret", span_of(secret, (size_t)len));
    explicit_bzero(secret, sizeof(secret));
    return len > 0;
}

static bool put_bool(struct cli *cli, struct json_writer *w, const char *name,
                     enum cli_option option)
{
    const char *given = cli->value[option];

    if (given == NULL)
        return true;
    json_bool(w, name, strcmp(given, "true") == 0);
    if (strcmp(given, "true") == 0 || strcmp(given, "false") == 0)
        return true;
    (void)cli_wrong(cli, "--default and --enabled must be true or false");
    return false;
}

static bool put_fields(struct cli *cli, struct json_writer *w)
{
    if (cli->value[CLI_BASE_URL] != NULL)
        json_string(w, "base_url", cli->value[CLI_BASE_URL]);
    return put_secret(cli, w) && put_bool(cli, w, "is_default", CLI_DEFAULT) &&
           put_bool(cli, w, "is_enabled", CLI_ENABLED);
}

static enum cli_exit send(struct cli *cli, const char *method, const char *path, struct buf *body)
{
    AUTO_JSON tree = NULL;
    const bool is_done = cli_ask(cli, method, path, body, &tree);

    return is_done ? cli_show_made(cli, tree) : CLI_FAILED;
}

static void wipe(struct buf *body)
{
    if (body->data != NULL)
        explicit_bzero(body->data, body->size);
}

static enum cli_exit provider_add(struct cli *cli)
{
    const char *kind = cli->value[CLI_KIND] != NULL ? cli->value[CLI_KIND] : cli->argument;
    AUTO(buf) body = { 0 };
    struct json_writer w;
    enum cli_exit result = CLI_FAILED;

    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_open_object(&w, NULL);
    json_string(&w, "name", cli->argument);
    json_string(&w, "kind", kind);
    if (put_fields(cli, &w)) {
        json_close_object(&w);
        result = send(cli, "POST", "/api/v1/providers", &body);
    }
    wipe(&body);
    return result;
}

static enum cli_exit provider_list(struct cli *cli)
{
    AUTO_JSON rows = NULL;

    return cli_list(cli, "/api/v1/providers", &rows) ? cli_show_rows(cli, rows, members)
                                                     : CLI_FAILED;
}

static enum cli_exit provider_kinds(struct cli *cli)
{
    static const char *const kind_members[] = { "name",        "base_url",   "auth",
                                                "environment", "price_book", "is_verified",
                                                "dialects",    NULL };
    AUTO_JSON rows = NULL;

    return cli_list(cli, "/api/v1/provider-kinds", &rows) ? cli_show_rows(cli, rows, kind_members)
                                                          : CLI_FAILED;
}

/* Fill `path` with that of the provider named, by name or id; terminated. return  false: said */
static bool put_path(struct cli *cli, struct buf *path, const char *verb)
{
    AUTO_JSON tree = NULL;
    const cJSON *found = NULL;
    const char *id = cli->argument;
    struct err err = { 0 };

    buf_init(path, PATH_MAX_BYTES);
    buf_put_text(path, "/api/v1/providers");
    if (strncmp(id, "prov_", 5) != 0) {
        cli_query_text(path, "name", id);
        buf_put_byte(path, '\0');
        if (!cli_ask(cli, "GET", buf_span(path).ptr, NULL, &tree))
            return false;
        found = cJSON_GetObjectItemCaseSensitive(
            cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(tree, "data"), 0), "id");
        if (!cJSON_IsString(found)) {
            err_set(&err, TG_NOT_FOUND, "there is no provider %s", id);
            (void)cli_fail(cli, &err);
            return false;
        }
        id = found->valuestring;
    }
    buf_clear(path);
    buf_put_text(path, "/api/v1/providers/");
    remote_escape(path, id);
    buf_put_text(path, verb);
    buf_put_byte(path, '\0');
    return true;
}

static enum cli_exit provider_get(struct cli *cli)
{
    AUTO(buf) path = { 0 };

    return put_path(cli, &path, "") ? send(cli, "GET", buf_span(&path).ptr, NULL) : CLI_FAILED;
}

static enum cli_exit provider_update(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO(buf) body = { 0 };
    struct json_writer w;
    enum cli_exit result = CLI_FAILED;

    if (!put_path(cli, &path, ""))
        return CLI_FAILED;
    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_open_object(&w, NULL);
    if (cli->value[CLI_NAME] != NULL)
        json_string(&w, "name", cli->value[CLI_NAME]);
    if (put_fields(cli, &w)) {
        json_close_object(&w);
        result = send(cli, "PATCH", buf_span(&path).ptr, &body);
    }
    wipe(&body);
    return result;
}

static enum cli_exit provider_delete(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;

    if (!put_path(cli, &path, "") || !cli_ask(cli, "DELETE", buf_span(&path).ptr, NULL, &tree))
        return CLI_FAILED;
    return CLI_OK;
}

static enum cli_exit provider_test(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;
    enum cli_exit result;

    if (!put_path(cli, &path, "/test") || !cli_ask(cli, "POST", buf_span(&path).ptr, NULL, &tree))
        return CLI_FAILED;
    result = cli_show_made(cli, tree);
    if (result == CLI_OK && !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "ok")))
        return CLI_FAILED;
    return result;
}

#define FIELDS (CLI_WITH(BASE_URL) | CLI_WITH(SECRET_FILE) | CLI_WITH(DEFAULT) | CLI_WITH(ENABLED))

const struct cli_command commands_of_providers[] = {
    { "provider", "add", "NAME", false, FIELDS | CLI_WITH(KIND), 0,
      "set one up; its kind is its name's unless --kind says", provider_add },
    { "provider", "list", NULL, false, CLI_WITH(LIMIT), 0, "show all providers", provider_list },
    { "provider", "kinds", NULL, false, CLI_WITH(LIMIT), 0,
      "show the kinds of provider that are known", provider_kinds },
    { "provider", "get", "PROVIDER", false, 0, 0, "show one", provider_get },
    { "provider", "update", "PROVIDER", false, FIELDS | CLI_WITH(NAME), 0, "change it",
      provider_update },
    { "provider", "delete", "PROVIDER", false, 0, 0, "forget it", provider_delete },
    { "provider", "test", "PROVIDER", false, 0, 0, "ask it for its models; 1 when it fails",
      provider_test },
    { 0 },
};
