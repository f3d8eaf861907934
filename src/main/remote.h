#ifndef MAIN_REMOTE_H
#define MAIN_REMOTE_H

#include "base/buf.h"
#include "base/json.h"

/* The command line's side of the REST API: through the admin socket of a data directory, where no
 * token is needed, or at a URL with one. */

struct remote {
    char socket[4096]; /* "": by url */
    char data_dir[4096];
    char url[1024];   /* without a slash at its end */
    char header[320]; /* "Authorization: Bearer ..."; "": none */
};

/* url, token_file: NULL: not given. data_dir: used where url is NULL.
 *
 * Errors  TG_INVALID: the file cannot be read, or holds no token; a token without a URL */
TG_MUST_CHECK enum tg_status remote_init(struct remote *remote, const char *url,
                                         const char *token_file, const char *data_dir,
                                         struct err *err);
void remote_fini(struct remote *remote);
AUTO_DEFINE(remote, remote_fini)

/* Whether somebody answers on the admin socket; true where it is not used. */
bool remote_is_there(const struct remote *remote);

/* Ask, and read the answer.
 *
 * path      with its query, escaped
 * body      JSON; empty: none
 * ret_tree  NULL where the answer has no body; the caller's
 * Errors    the status of the problem answered, its detail in `err`; TG_UPSTREAM_UNREACHABLE: no
 * server, with the remedy */
struct remote_request {
    const char *method;
    const char *path;
    struct span body;
};
TG_MUST_CHECK enum tg_status remote_ask(const struct remote *remote,
                                        const struct remote_request *request, cJSON **ret_tree,
                                        struct err *err);

/* Append `text` as a query's value or a path's segment. */
void remote_escape(struct buf *out, const char *text);

#endif
