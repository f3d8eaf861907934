#include "main/ask.h"

#define BODY_MAX       ((size_t)64 << 10)
#define PATH_MAX_BYTES 1024

void ask_begin(struct ask_body *body)
{
    buf_init(&body->text, BODY_MAX);
    json_begin(&body->w, &body->text);
    json_open_object(&body->w, NULL);
}

void ask_put_option(struct cli *cli, struct ask_body *body, const char *name,
                    enum cli_option option)
{
    if (cli->value[option] != NULL)
        json_string(&body->w, name, cli->value[option]);
}

void ask_put_models(struct cli *cli, struct ask_body *body)
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

bool ask_send_quietly(struct cli *cli, const char *method, const char *path, struct ask_body *body,
                      cJSON **ret_tree)
{
    bool is_done;

    json_close_object(&body->w);
    is_done = cli_ask(cli, method, path, &body->text, ret_tree);
    if (body->text.data != NULL)
        explicit_bzero(body->text.data, body->text.size);
    buf_fini(&body->text);
    return is_done;
}

enum cli_exit ask_send(struct cli *cli, const char *method, const char *path, struct ask_body *body)
{
    AUTO_JSON tree = NULL;

    return ask_send_quietly(cli, method, path, body, &tree) ? cli_show_made(cli, tree) : CLI_FAILED;
}

void ask_path(struct buf *path, const char *folder, const char *id, const char *verb)
{
    buf_init(path, PATH_MAX_BYTES);
    buf_printf(path, "/api/v1/%s/", folder);
    remote_escape(path, id);
    buf_put_text(path, verb);
    buf_put_byte(path, '\0');
}

enum cli_exit ask_list(struct cli *cli, const char *path, const char *const *members)
{
    AUTO_JSON rows = NULL;

    return cli_list(cli, path, &rows) ? cli_show_rows(cli, rows, members) : CLI_FAILED;
}

enum cli_exit ask_get(struct cli *cli, const char *folder, const char *id)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;

    ask_path(&path, folder, id, "");
    if (!cli_ask(cli, "GET", buf_span(&path).ptr, NULL, &tree))
        return CLI_FAILED;
    return cli_show_made(cli, tree);
}

enum cli_exit ask_post(struct cli *cli, const char *folder, const char *id, const char *verb)
{
    AUTO(buf) path = { 0 };
    struct ask_body body;

    ask_path(&path, folder, id, verb);
    ask_begin(&body);
    return ask_send(cli, "POST", buf_span(&path).ptr, &body);
}
