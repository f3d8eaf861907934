#ifndef ADMIN_API_H
#define ADMIN_API_H

#include "base/arena.h"
#include "base/json.h"
#include "net/daemon.h"
#include "policy/token.h"

#include <pthread.h>

/* The REST API of the admin listener: one table of routes, each with the roles that may use it;
 * what the table does not name is refused. Handlers read through the reader pool and write through
 * jobs of the ledger writer; they hold no rules of their own.
 *
 * Thread: any number at once, the daemon's. */

struct admit;
struct keyring;
struct price_store;
struct ledger;
struct model_store;
struct reader_pool;
struct secret_ring;
struct snapshot;
struct snapshot_domain;
struct target_store;
struct token_gate;
struct writer;

#define API_BODY_MAX         ((size_t)1 << 20)
#define API_IMPORT_PATH      "/api/v1/prices/import"
#define API_IMPORT_MAX       ((size_t)4 << 20) /* a whole price map, as a JSON string */
#define API_ANSWER_MAX       ((size_t)64 << 20)
#define API_ARENA_MAX        ((size_t)8 << 20)
#define API_PAGE_DEFAULT     50
#define API_POINTER_SIZE     64
#define API_TEST_DEADLINE_MS 10000

/* A place among the readers of what the worker loops read, for one request at a time. */
struct api_view {
    struct snapshot_domain *domain;
    int reader;
    pthread_mutex_t lock;
};

/* What it stands on; all of it outlives the daemon. */
struct api_parts {
    struct reader_pool *readers;
    struct writer *writer;
    struct ledger *ledger;
    struct admit *admit;
    struct keyring *keyring;      /* NULL: no worker loops run */
    struct target_store *targets; /* likewise */
    struct price_store *prices;
    struct model_store *models;  /* likewise */
    const struct snapshot *book; /* of struct book; likewise */
    struct api_view *view;       /* of targets and book; likewise */
    const struct secret_ring *ring;
    struct token_gate *gate;
    const char *database_path;
    const char *ca_file; /* of the authorities that providers are checked by; NULL: the system's */
    /* Told after each change of a provider, so that its list of models is fetched. May be NULL.
     * Any thread. */
    void (*provider_changed)(void *context);
    void *provider_changed_context;
    /* A fresh time id for an adjustment, unlike any that a worker gives. Any thread. */
    int64_t (*next_id)(void *context);
    void *next_id_context;
    /* Readiness. Any thread. */
    bool (*is_draining)(void *context);
    bool (*is_writable)(void *context);
    void *ready_context;
    /* What is not the API's: the dashboard. May be NULL. */
    daemon_handler *other;
    void *other_context;
};

/* One request on its way through a handler. */
struct api_call {
    const struct api_parts *parts;
    const struct daemon_request *request;
    struct daemon_answer *answer;
    struct token_identity who;
    struct span id; /* what {id} or {code} stood for */
    cJSON *body;    /* the object that was sent; NULL: none */
    struct arena arena;
    char pointer[API_POINTER_SIZE]; /* of the field at fault; "": none */
    struct err err;
};

/* Anything but TG_OK becomes a problem with what `err` and `pointer` say. */
typedef enum tg_status api_handler(struct api_call *call);

enum api_access {
    API_FOR_OWNER = 1u << TOKEN_OWNER,
    API_FOR_ADMIN = 1u << TOKEN_ADMIN,
    API_FOR_FINANCE = 1u << TOKEN_FINANCE,
    API_FOR_TEAM = 1u << TOKEN_TEAM,
    API_FOR_VIEWER = 1u << TOKEN_VIEWER,
    API_FOR_ANYONE = 1u << TOKEN_ROLE_COUNT,      /* without a token */
    API_BY_SOCKET = 1u << (TOKEN_ROLE_COUNT + 1), /* and only by the Unix socket */
};

enum api_body { API_NO_BODY, API_MAY_HAVE_BODY, API_NEEDS_BODY };

struct api_route {
    const char *method;
    const char *pattern; /* "/api/v1/teams/{id}"; at most one segment in braces */
    uint32_t access;     /* enum api_access */
    enum api_body body;
    api_handler *handle;
};

extern const struct api_route api_routes[];
extern const int api_route_count;

/* Find the route of a request.
 *
 * ret_id  what stands for the segment in braces; empty where there is none
 * return  NULL: no such path, or *ret_knows_path: not by this method */
const struct api_route *api_find(const char *method, struct span path, struct span *ret_id,
                                 bool *ret_knows_path);

/* The handler of the admin listener. context: const struct api_parts */
daemon_handler api_handle;

/* --- for handlers ----------------------------------------------------------------------------- */

/* Fill `err` and `pointer` and hand the status on.
 *
 * pointer  "/name", "?limit"; "": none */
enum tg_status api_fail(struct api_call *call, enum tg_status status, const char *pointer,
                        const char *why);

/* Start a JSON answer of 200, or of 201 for something new. */
void api_begin(struct api_call *call, struct json_writer *w);
void api_begin_created(struct api_call *call, struct json_writer *w, const char *location);
/* An answer without a body. */
void api_no_content(struct api_call *call);
/* ETag of what has revisions, and what If-Match asks for.
 *
 * ret_revision  0: anything
 * Errors        TG_INVALID: not such a tag */
void api_etag(struct api_call *call, int64_t revision);
TG_MUST_CHECK enum tg_status api_if_match(struct api_call *call, int64_t *ret_revision);

/* {"data": [...], "has_more": ..., "next_cursor": ...}; `last` is the id of the row written last.
 */
struct api_list {
    struct api_call *call;
    struct json_writer w;
    char last[ID_TEXT_SIZE];
};
void api_list_begin(struct api_list *list, struct api_call *call);
void api_list_end(struct api_list *list, bool has_more);

/* Run a change and wait; its field at fault becomes the call's. */
struct account_job;
TG_MUST_CHECK enum tg_status api_change(struct api_call *call, struct account_job *job);

#endif
