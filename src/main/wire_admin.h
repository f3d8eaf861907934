#ifndef MAIN_WIRE_ADMIN_H
#define MAIN_WIRE_ADMIN_H

#include "admin/api.h"
#include "main/settings.h"

#include <pthread.h>

/* The admin side of the server: its two listeners (TCP and admin.sock), who may come in, the
 * providers that the environment names, and the providers' own lists of models. */

struct refresh;
struct sandbox;

struct wire_admin {
    struct api_parts parts; /* filled in by the caller but for what is below */
    struct id_source ids;   /* of adjustments, under `ids_lock` */
    pthread_mutex_t ids_lock;
    struct api_view view; /* its domain is filled in by the caller */
    struct token_gate *gate;
    struct reader_pool *readers;
    struct daemon *tcp;
    struct daemon *unix_socket;
    struct sandbox *sandbox; /* NULL: not asked for */
    struct refresh *refresh; /* NULL: not where it is local */
    int port;                /* of the TCP listener */
};

/* is_local: on admin.sock alone, and no provider is asked for its models. id_floor: no id at or
 * below it is given. Errors  as daemon_start, reader_pool_new */
TG_MUST_CHECK enum tg_status wire_admin_start(struct wire_admin *admin,
                                              const struct settings *settings, int64_t id_floor,
                                              bool is_local, struct err *err);
/* Also of one that did not start. */
void wire_admin_stop(struct wire_admin *admin);

/* Print where the admin side is and, while no owner's token exists, the one-time set-up link: on
 * stdout and only there. */
void wire_admin_announce(struct wire_admin *admin, const struct settings *settings);

/* Start the sandbox where it is asked for.
 *
 * Then make a provider of each kind whose variable is set (OPENAI_API_KEY, ...), bring those made
 * before up to date, disable those whose variable is gone. One of that name that the API made wins,
 * with a warning. */
TG_MUST_CHECK enum tg_status wire_providers(struct wire_admin *admin,
                                            const struct settings *settings, struct err *err);

#endif
