#include "main/commands.h"

#include "tollgate/usage.h"

#include <stdio.h>

#define BODY_MAX       ((size_t)16 << 10)
#define PATH_MAX_BYTES 1024

static const char *const members[] = {
    "id",     "kind", "context_tokens", "max_output_tokens", "output_field", "free", "has_price",
    "source", NULL
};

static void put_path(const struct cli *cli, struct buf *path)
{
    buf_init(path, PATH_MAX_BYTES);
    buf_put_text(path, "/api/v1/models/");
    remote_escape(path, cli->argument);
    buf_put_byte(path, '\0');
}

static enum cli_exit send(struct cli *cli, const char *method, const struct buf *body)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;

    put_path(cli, &path);
    return cli_ask(cli, method, buf_span(&path).ptr, body, &tree) ? cli_show_made(cli, tree)
                                                                  : CLI_FAILED;
}

static enum cli_exit model_list(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON rows = NULL;

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/models");
    cli_query(cli, &path, "provider", CLI_PROVIDER);
    cli_query(cli, &path, "q", CLI_SEARCH);
    buf_put_byte(&path, '\0');
    return cli_list(cli, buf_span(&path).ptr, &rows) ? cli_show_rows(cli, rows, members)
                                                     : CLI_FAILED;
}

static enum cli_exit model_get(struct cli *cli)
{
    return send(cli, "GET", NULL);
}

/* A whole number, or null for "". return  false: said */
static bool put_count(struct cli *cli, struct json_writer *w, const char *name,
                      enum cli_option option)
{
    const char *given = cli->value[option];
    int64_t count;

    if (given == NULL)
        return true;
    if (given[0] == '\0') {
        json_null(w, name);
        return true;
    }
    if (span_to_int64(span_from(given), TG_COUNT_MAX, &count)) {
        json_int(w, name, count);
        return true;
    }
    (void)cli_wrong(cli, "--context and --max-output must be whole numbers up to 1000000000");
    return false;
}

static void put_text(const struct cli *cli, struct json_writer *w, const char *name,
                     enum cli_option option)
{
    const char *given = cli->value[option];

    if (given != NULL)
        json_string(w, name, given[0] != '\0' ? given : NULL);
}

static bool put_fields(struct cli *cli, struct json_writer *w)
{
    const char *is_free = cli->value[CLI_FREE];

    put_text(cli, w, "output_field", CLI_OUTPUT_FIELD);
    put_text(cli, w, "ceiling_price_usd_per_million_tokens", CLI_CEILING_PRICE);
    if (is_free != NULL && strcmp(is_free, "true") != 0 && strcmp(is_free, "false") != 0) {
        (void)cli_wrong(cli, "--free must be true or false");
        return false;
    }
    if (is_free != NULL)
        json_bool(w, "free", strcmp(is_free, "true") == 0);
    return put_count(cli, w, "context_tokens", CLI_CONTEXT) &&
           put_count(cli, w, "max_output_tokens", CLI_MAX_OUTPUT);
}

static enum cli_exit model_set(struct cli *cli)
{
    AUTO(buf) body = { 0 };
    struct json_writer w;

    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_open_object(&w, NULL);
    if (!put_fields(cli, &w))
        return CLI_USAGE;
    json_close_object(&w);
    return send(cli, "PATCH", &body);
}

#define FIELDS                                                                                     \
    (CLI_WITH(CONTEXT) | CLI_WITH(MAX_OUTPUT) | CLI_WITH(OUTPUT_FIELD) | CLI_WITH(FREE) |          \
     CLI_WITH(CEILING_PRICE))

const struct cli_command commands_of_models[] = {
    { "model", "list", NULL, false, CLI_WITH(PROVIDER) | CLI_WITH(SEARCH) | CLI_WITH(LIMIT), 0,
      "show what is known of models", model_list },
    { "model", "get", "PROVIDER:MODEL", false, 0, 0, "show one", model_get },
    { "model", "set", "PROVIDER:MODEL", false, FIELDS, 0,
      "say what is known of it, or that it is free", model_set },
    { 0 },
};
