#include "proxy/worker.h"

#include "base/clock.h"
#include "proxy/exchange.h"
#include "proxy/models.h"
#include "proxy/own_key.h"
#include "proxy/reply.h"

#include <stdlib.h>

#define PATH_ARENA_BYTES 1024

enum worker_ask { ASK_DRAIN = 1u << 0, ASK_CUT = 1u << 1, ASK_STOP = 1u << 2 };

static void next_id(struct worker *worker, int64_t *ret_id, char text[ID_TEXT_SIZE])
{
    *ret_id = id_next(&worker->ids, clock_wall_ms());
    id_format_call(*ret_id, text);
}

static enum tg_status on_check(void *context, const struct http_head *head, const char **ret_why)
{
    struct worker *worker = context;
    struct guard_path path;
    struct arena arena;
    enum tg_status status;

    arena_init(&arena, PATH_ARENA_BYTES, HTTP_HEAD_MAX);
    status = guard_match(head, &arena, &path);
    if (status == TG_OK && exchange_authenticate(worker->services, head, path.query) == NULL)
        status = TG_UNAUTHENTICATED;
    arena_fini(&arena);
    *ret_why = "";
    return status;
}

/* Whose errors the caller reads; NULL: OpenAI's. */
static const struct tg_dialect *voice_of(const struct http_head *head)
{
    struct guard_path path = { .voice = NULL };
    struct arena arena;
    enum tg_status status;

    if (head == NULL || head->target.len == 0)
        return NULL;
    arena_init(&arena, PATH_ARENA_BYTES, HTTP_HEAD_MAX);
    status = guard_match(head, &arena, &path);
    arena_fini(&arena);
    return status == TG_NO_MEMORY ? NULL : path.voice;
}

static void on_refuse(void *context, struct server_conn *conn, const struct http_head *head,
                      enum tg_status status, const char *why)
{
    struct worker *worker = context;
    char id[ID_TEXT_SIZE];
    int64_t call_id;

    next_id(worker, &call_id, id);
    reply_error(conn, voice_of(head), status, span_from(why), span_from(id));
}

/* Answer with what the key behind a door may see. */
static enum tg_status read_door(const struct worker *worker, const struct key_entry *key,
                                const struct guard_path *path, struct buf *out)
{
    const struct models_query query = {
        .key = key,
        .targets = target_store_get(worker->services->targets),
        .book = snapshot_get(worker->services->book),
        .provider = path->prefix,
        .is_google = path->is_google,
    };

    switch (path->door) {
    case GUARD_MODELS:
        return models_put_list(&query, out);
    case GUARD_MODEL:
        return models_put_one(&query, path->rest, out);
    case GUARD_ROOT:
        buf_put_text(out, "{\"name\":\"tollgate\"}");
        return buf_status(out);
    case GUARD_OWN_KEY:
    case GUARD_CALL:
        break;
    }
    return TG_NO_ROUTE;
}

static void serve_door(struct worker *worker, struct server_conn *conn,
                       const struct http_head *head, const struct guard_path *path, struct span id)
{
    const struct key_entry *key = NULL;
    enum tg_status status = TG_OK;
    AUTO(buf) out = { 0 };

    buf_init(&out, MODELS_BYTES_MAX);
    if (path->door != GUARD_ROOT) {
        key = exchange_authenticate(worker->services, head, path->query);
        status = key != NULL ? TG_OK : TG_UNAUTHENTICATED;
    }
    if (key != NULL)
        keyring_touch(key, clock_wall_ms());
    if (key != NULL && path->door == GUARD_OWN_KEY) {
        own_key_start(worker, conn, key, id);
        return;
    }
    if (status == TG_OK)
        status = read_door(worker, key, path, &out);
    if (status == TG_OK)
        reply_json(conn, 200, buf_span(&out), id);
    else
        reply_error(conn, path->voice, status, SPAN_EMPTY, id);
}

static void on_request(void *context, struct server_conn *conn, const struct http_head *head)
{
    struct worker *worker = context;
    struct guard_path path;
    struct arena arena;
    char id[ID_TEXT_SIZE];
    int64_t call_id;
    enum tg_status status;

    next_id(worker, &call_id, id);
    arena_init(&arena, PATH_ARENA_BYTES, HTTP_HEAD_MAX);
    status = guard_match(head, &arena, &path);
    if (status == TG_INVALID)
        server_close_after(conn);
    if (status != TG_OK)
        reply_error(conn, path.voice, status, SPAN_EMPTY, span_from(id));
    else if (path.door == GUARD_CALL)
        exchange_start(worker, conn, head, &path, call_id);
    else
        serve_door(worker, conn, head, &path, span_from(id));
    arena_fini(&arena);
}

static void on_control(struct loop_task *task)
{
    struct worker *worker = LIST_ENTRY(task, struct worker, control);
    const unsigned asked = atomic_exchange(&worker->asked, 0u);

    if ((asked & ASK_DRAIN) != 0) {
        worker->is_draining = true;
        server_drain(worker->server);
    }
    if ((asked & ASK_CUT) != 0) {
        struct list *next;

        worker->is_cut = true;
        for (struct list *node = worker->exchanges.next; node != &worker->exchanges; node = next) {
            next = node->next;
            exchange_cut(node);
        }
    }
    if ((asked & ASK_STOP) != 0)
        loop_stop(worker->loop);
}

static void ask(struct worker *worker, unsigned what)
{
    if (atomic_fetch_or(&worker->asked, what) == 0)
        loop_post(worker->loop, &worker->control);
}

void worker_drain(struct worker *worker)
{
    ask(worker, ASK_DRAIN);
}

void worker_cut(struct worker *worker)
{
    ask(worker, ASK_CUT);
}

void worker_stop(struct worker *worker)
{
    ask(worker, ASK_STOP);
}

int worker_open_count(const struct worker *worker)
{
    return worker->open_count + server_leaving_count(worker->server);
}

static void on_wait(void *context)
{
    struct worker *worker = context;

    snapshot_leave(worker->services->domain, worker->reader);
}

static void on_wake(void *context)
{
    struct worker *worker = context;

    snapshot_enter(worker->services->domain, worker->reader);
}

static enum tg_status worker_open(struct worker *worker, int fd)
{
    const struct proxy_services *services = worker->services;
    const struct loop_hooks hooks = { .context = worker, .on_wait = on_wait, .on_wake = on_wake };
    struct server_limits limits = services->server_limits;
    enum tg_status status = snapshot_reader_add(services->domain, &worker->reader);

    limits.budget = services->budget;
    if (status == TG_OK)
        status = loop_new(&hooks, &worker->loop);
    if (status == TG_OK)
        status = client_pool_new(worker->loop, services->connector, &worker->pool);
    if (status == TG_OK)
        status = server_new(worker->loop, fd, &limits, &worker->handler, &worker->server);
    return status;
}

enum tg_status worker_new(const struct proxy_services *services, int number, int fd,
                          struct worker **ret_worker)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    enum tg_status status;

    if (worker == NULL)
        return TG_NO_MEMORY;
    worker->services = services;
    worker->handler = (struct server_handler){
        .context = worker,
        .check = on_check,
        .on_request = on_request,
        .on_refuse = on_refuse,
    };
    list_init(&worker->exchanges);
    list_init(&worker->free_exchanges);
    list_init(&worker->own_keys);
    loop_task_init(&worker->control, on_control);
    id_source_init(&worker->ids, number, services->id_floor);
    status = worker_open(worker, fd);
    if (status != TG_OK) {
        worker_free(worker);
        return status;
    }
    *ret_worker = worker;
    return TG_OK;
}

void worker_run(struct worker *worker)
{
    loop_run(worker->loop);
    /* The loop ends within a turn: what it had loaded is let go here. */
    snapshot_leave(worker->services->domain, worker->reader);
}

void worker_close(struct worker *worker)
{
    if (worker == NULL)
        return;
    server_free(worker->server);
    while (!list_is_empty(&worker->exchanges))
        exchange_discard(worker->exchanges.next);
    while (!list_is_empty(&worker->own_keys))
        own_key_discard(worker->own_keys.next);
    client_pool_free(worker->pool);
    worker->server = NULL;
    worker->pool = NULL;
}

void worker_free(struct worker *worker)
{
    struct list *next;

    if (worker == NULL)
        return;
    worker_close(worker);
    for (struct list *node = worker->free_exchanges.next; node != &worker->free_exchanges;
         node = next) {
        next = node->next;
        free(node); /* the node is an exchange's first member */
    }
    loop_free(worker->loop);
    free(worker);
}
