#ifndef MAIN_ASK_H
#define MAIN_ASK_H

#include "main/cli.h"

/* How commands ask the API, and show what it answers. */

/* A JSON object to send. */
struct ask_body {
    struct buf text;
    struct json_writer w;
};
void ask_begin(struct ask_body *body);
/* The option's value as a string, where it was given. */
void ask_put_option(struct cli *cli, struct ask_body *body, const char *name,
                    enum cli_option option);
/* --models as an array. */
void ask_put_models(struct cli *cli, struct ask_body *body);

/* Send it and end it; what comes is shown, or handed over. return  false: said */
enum cli_exit ask_send(struct cli *cli, const char *method, const char *path,
                       struct ask_body *body);
bool ask_send_quietly(struct cli *cli, const char *method, const char *path, struct ask_body *body,
                      cJSON **ret_tree);

/* "/api/v1/keys/{id}/verb"; terminated, to be ended by the caller. */
void ask_path(struct buf *path, const char *folder, const char *id, const char *verb);

/* Ask and show. */
enum cli_exit ask_list(struct cli *cli, const char *path, const char *const *members);
enum cli_exit ask_get(struct cli *cli, const char *folder, const char *id);
enum cli_exit ask_post(struct cli *cli, const char *folder, const char *id, const char *verb);

#endif
