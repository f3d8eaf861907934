#include "main/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define BODY_MAX       ((size_t)4 << 20)
#define FILE_MAX       ((size_t)3 << 20)
#define PATH_MAX_BYTES 4096

static const char *const members[] = { "id",          "provider",    "model",  "class",   "unit",
                                       "per_million", "unit_price",  "tier",   "ctx_min", "variant",
                                       "valid_from",  "valid_until", "origin", "team_id", NULL };
static const char *const class_members[] = { "class",       "per_million", "unit_price",
                                             "factor",      "is_fallback", "price_id",
                                             "price_model", "valid_from",  "origin",
                                             NULL };

static enum cli_exit price_list(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON rows = NULL;
    char when[32];

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/prices");
    cli_query(cli, &path, "provider", CLI_PROVIDER);
    cli_query(cli, &path, "model", CLI_MODEL);
    cli_query(cli, &path, "class", CLI_CLASS);
    cli_query(cli, &path, "tier", CLI_TIER);
    cli_query(cli, &path, "origin", CLI_ORIGIN);
    if (cli->value[CLI_AS_OF] != NULL) {
        if (!cli_time(cli->value[CLI_AS_OF], -1, when))
            return cli_wrong(cli, "--as-of must be a time as 2026-11-24");
        cli_query_text(&path, "as_of", when);
    }
    buf_put_byte(&path, '\0');
    return cli_list(cli, buf_span(&path).ptr, &rows) ? cli_show_rows(cli, rows, members)
                                                     : CLI_FAILED;
}

static void copy_member(cJSON *to, const char *as, const cJSON *from, const char *name)
{
    (void)cJSON_AddItemToObject(
        to, as, cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(from, name), /* recurse= */ true));
}

/* The row of each class, flat: its price's own members beside it. */
static cJSON *flat_classes(const cJSON *tree)
{
    cJSON *rows = cJSON_CreateArray();
    const cJSON *class;

    cJSON_ArrayForEach(class, cJSON_GetObjectItemCaseSensitive(tree, "classes"))
    {
        const cJSON *price = cJSON_GetObjectItemCaseSensitive(class, "price");
        cJSON *row = cJSON_CreateObject();

        copy_member(row, "class", class, "class");
        copy_member(row, "per_million", class, "per_million");
        copy_member(row, "unit_price", class, "unit_price");
        copy_member(row, "factor", class, "factor");
        copy_member(row, "is_fallback", class, "is_fallback");
        copy_member(row, "price_id", price, "id");
        copy_member(row, "price_model", price, "model");
        copy_member(row, "valid_from", price, "valid_from");
        copy_member(row, "origin", price, "origin");
        (void)cJSON_AddItemToArray(rows, row);
    }
    return rows;
}

static enum cli_exit price_match(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;
    AUTO_JSON rows = NULL;
    const cJSON *model;

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/prices/match");
    cli_query_text(&path, "model", cli->argument);
    cli_query(cli, &path, "provider", CLI_PROVIDER);
    cli_query(cli, &path, "tier", CLI_TIER);
    buf_put_byte(&path, '\0');
    if (!cli_ask(cli, "GET", buf_span(&path).ptr, NULL, &tree))
        return CLI_FAILED;
    if (cli->format == SHOW_JSON)
        return cli_show_made(cli, tree);
    model = cJSON_GetObjectItemCaseSensitive(tree, "model");
    (void)fprintf(stderr, "%s: %s, by the rule %s\n", cli->argument,
                  cJSON_IsString(model) ? model->valuestring : "not in the book",
                  cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "rule")));
    rows = flat_classes(tree);
    return cli_show_rows(cli, rows, class_members);
}

static void put_option(struct cli *cli, struct json_writer *w, const char *name,
                       enum cli_option option)
{
    if (cli->value[option] != NULL)
        json_string(w, name, cli->value[option]);
}

/* return  false: said */
static bool put_set(struct cli *cli, struct json_writer *w)
{
    char text[64];

    json_open_object(w, NULL);
    json_string(w, "model", cli->argument);
    put_option(cli, w, "provider", CLI_PROVIDER);
    put_option(cli, w, "class", CLI_CLASS);
    put_option(cli, w, "tier", CLI_TIER);
    put_option(cli, w, "unit_price", CLI_UNIT_PRICE);
    put_option(cli, w, "per_million", CLI_PER_MILLION);
    if (cli->value[CLI_FROM] != NULL) {
        if (!cli_time(cli->value[CLI_FROM], 1, text)) {
            (void)cli_wrong(cli, "--from must be a time as 2026-11-24");
            return false;
        }
        json_string(w, "valid_from", text);
    }
    if (cli->value[CLI_TEAM] != NULL) {
        if (!cli_team_id(cli, cli->value[CLI_TEAM], text))
            return false;
        json_string(w, "team_id", text);
    }
    json_close_object(w);
    return true;
}

static enum cli_exit price_set(struct cli *cli)
{
    AUTO(buf) body = { 0 };
    AUTO_JSON tree = NULL;
    struct json_writer w;

    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    if (!put_set(cli, &w) || !cli_ask(cli, "POST", "/api/v1/prices", &body, &tree))
        return CLI_FAILED;
    return cli_show_made(cli, tree);
}

static enum cli_exit price_close(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/prices/");
    remote_escape(&path, cli->argument);
    buf_put_byte(&path, '\0');
    return cli_ask(cli, "DELETE", buf_span(&path).ptr, NULL, &tree) ? CLI_OK : CLI_FAILED;
}

/* return  false: said */
static bool read_file(struct cli *cli, struct buf *text)
{
    const int fd = open(cli->argument, O_RDONLY | O_CLOEXEC);
    struct err err = { 0 };
    ssize_t got = fd >= 0 ? 1 : -1;

    buf_init(text, FILE_MAX);
    while (got > 0) {
        char *to = buf_reserve(text, 65536);

        if (to == NULL)
            break;
        got = read(fd, to, 65536);
        buf_commit(text, got > 0 ? (size_t)got : 0);
    }
    if (got < 0)
        err_set(&err, TG_IO, "%s: %s", cli->argument, strerror(errno));
    else if (got > 0)
        err_set(&err, TG_TOO_LARGE, "%s: more than %zu bytes", cli->argument, FILE_MAX);
    if (fd >= 0)
        (void)close(fd);
    if (err.text[0] != '\0')
        (void)cli_fail(cli, &err);
    return err.text[0] == '\0';
}

static enum cli_exit price_import(struct cli *cli)
{
    const bool is_json = span_ends_with(span_from(cli->argument), SPAN(".json"));
    AUTO(buf) text = { 0 };
    AUTO(buf) body = { 0 };
    AUTO_JSON tree = NULL;
    struct json_writer w;

    if (!read_file(cli, &text))
        return CLI_FAILED;
    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_open_object(&w, NULL);
    json_string(&w, "format", is_json ? "litellm" : "csv");
    json_text(&w, "text", buf_span(&text));
    json_bool(&w, "dry_run", cli->value[CLI_DRY_RUN] != NULL);
    json_close_object(&w);
    if (!cli_ask(cli, "POST", "/api/v1/prices/import", &body, &tree))
        return CLI_FAILED;
    return cli_show_made(cli, tree);
}

#define WHICH (CLI_WITH(PROVIDER) | CLI_WITH(TIER))

const struct cli_command commands_of_prices[] = {
    { "price", "list", NULL, false,
      WHICH | CLI_WITH(MODEL) | CLI_WITH(CLASS) | CLI_WITH(ORIGIN) | CLI_WITH(AS_OF) |
          CLI_WITH(LIMIT),
      0, "the book's rows", price_list },
    { "price", "match", "MODEL", false, WHICH, CLI_WITH(PROVIDER),
      "what a name is priced as, and by which rule", price_match },
    { "price", "set", "MODEL", false,
      WHICH | CLI_WITH(CLASS) | CLI_WITH(UNIT_PRICE) | CLI_WITH(PER_MILLION) | CLI_WITH(FROM) |
          CLI_WITH(TEAM),
      CLI_WITH(PROVIDER) | CLI_WITH(CLASS), "a price of one's own", price_set },
    { "price", "close", "ID", false, 0, 0, "end a price of one's own now", price_close },
    { "price", "import", "FILE", false, CLI_WITH(DRY_RUN), 0,
      "prices of a file, .csv or LiteLLM's .json", price_import },
    { 0 },
};
