#ifndef SUPPORT_ADMIN_H
#define SUPPORT_ADMIN_H

#include "admin/api.h"
#include "base/id.h"
#include "net/daemon.h"
#include "store/snapshot.h"
#include "support/support_book.h"
#include "web/assets.h"

#include <stdatomic.h>

struct refresh;

/* The admin listener over a real database, by TCP and by a Unix socket, and requests to it. */

struct support_admin {
    struct support_book book;
    struct secret_ring ring;
    struct snapshot_domain *domain;
    struct keyring *keyring;
    struct target_store *targets;
    struct price_store *prices;
    struct model_store *models;
    struct token_gate *gate;
    struct api_parts parts;
    struct api_view view;
    struct assets assets;
    struct daemon *by_tcp;
    struct daemon *by_socket;
    int port;
    char url[64];
    char socket[BOOK_PATH_MAX + 16];
    char setup[ID_TOKEN_SIZE];
    struct id_source ids;
    _Atomic(struct refresh *) refresh; /* told of changed providers; NULL: none */
    bool is_draining;
    bool is_writable;
};

void support_admin_start(struct support_admin *admin);
void support_admin_stop(struct support_admin *admin);

struct support_reply {
    int http;
    char type[128];
    char *text;  /* the body, terminated */
    cJSON *json; /* NULL: it is no JSON */
};

/* What to ask; NULL: none of it. Without a token, through the socket as its owner. */
struct support_ask {
    const char *method;
    const char *path;
    const char *token; /* by TCP; "": none */
    const char *body;
};

void support_ask(struct support_admin *admin, const struct support_ask *ask,
                 struct support_reply *ret_reply);
void support_reply_fini(struct support_reply *reply);
AUTO_DEFINE(support_reply, support_reply_fini)

/* Send bytes by TCP, close our side's sending end, and read until the other closes. The caller
 * frees. */
char *support_talk(struct support_admin *admin, const char *bytes, size_t len);

/* A member's text; "" where it is not there or no string. */
const char *support_text(const cJSON *object, const char *member);

/* Make a token by the socket; team: NULL but for role team. */
void support_token(struct support_admin *admin, const char *role, const char *team_id,
                   char secret[ID_TOKEN_SIZE]);
/* Make a team or key; its id. */
void support_team(struct support_admin *admin, const char *name, char id[ID_TEXT_SIZE]);
void support_key(struct support_admin *admin, const char *team_id, const char *name,
                 char id[ID_TEXT_SIZE]);

#endif
