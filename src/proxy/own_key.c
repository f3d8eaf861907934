#include "proxy/own_key.h"

#include "proxy/models.h"
#include "proxy/reply.h"
#include "proxy/worker.h"

#include <stdlib.h>

struct own_key {
    struct list node; /* in worker->own_keys */
    struct worker *worker;
    struct server_conn *conn; /* NULL: the client has left */
    char request_id[ID_TEXT_SIZE];
    char public_id[ID_TEXT_SIZE];
    int64_t expires_at_ms;
    struct own_job job;
    enum tg_status status;
    struct loop_task answered; /* posted by the writer */
};

static void reply(struct server_conn *conn, const struct models_key *key, struct span request_id)
{
    AUTO(buf) out = { 0 };

    buf_init(&out, MODELS_BYTES_MAX);
    models_put_key(key, &out);
    if (buf_status(&out) == TG_OK)
        reply_json(conn, 200, buf_span(&out), request_id);
    else
        reply_error(conn, NULL, TG_NO_MEMORY, SPAN_EMPTY, request_id);
}

static void own_key_free(struct own_key *own)
{
    list_remove(&own->node);
    own->worker->own_key_count--;
    own->worker->open_count--;
    own_job_fini(&own->job);
    free(own);
}

static void on_answered(struct loop_task *task)
{
    struct own_key *own = LIST_ENTRY(task, struct own_key, answered);
    const struct models_key key = { .public_id = own->public_id,
                                    .expires_at_ms = own->expires_at_ms,
                                    .limits = own->job.own,
                                    .limit_count = own->job.count,
                                    .has_more_limits = own->job.has_more };

    if (own->conn != NULL && own->status == TG_OK)
        reply(own->conn, &key, span_from(own->request_id));
    else if (own->conn != NULL)
        reply_error(own->conn, NULL, own->status, SPAN_EMPTY, span_from(own->request_id));
    own_key_free(own);
}

static void hand_over(struct writer_job *job, enum tg_status status)
{
    struct own_key *own = LIST_ENTRY(job, struct own_key, job.job);

    own->status = status;
    loop_post(own->worker->loop, &own->answered);
}

static void on_gone(void *user)
{
    struct own_key *own = user;

    own->conn = NULL;
}

static const struct server_user client_ops = { .on_gone = on_gone };

static struct own_key *own_key_new(struct worker *worker, const struct key_entry *key)
{
    struct own_key *own = worker->own_key_count < OWN_KEYS_MAX ? malloc(sizeof(*own)) : NULL;

    if (own == NULL)
        return NULL;
    own->worker = worker;
    memcpy(own->public_id, key->public_id, sizeof(own->public_id));
    own->expires_at_ms = key->expires_at_ms;
    own_job_init(&own->job, worker->services->admit, key->team_id, key->id);
    own->job.job.done = hand_over;
    loop_task_init(&own->answered, on_answered);
    list_push_back(&worker->own_keys, &own->node);
    worker->own_key_count++;
    worker->open_count++;
    return own;
}

void own_key_start(struct worker *worker, struct server_conn *conn, const struct key_entry *key,
                   struct span request_id)
{
    struct own_key *own;

    own = own_key_new(worker, key);
    if (own == NULL) {
        reply_error(conn, NULL, TG_OVERLOADED, SPAN_EMPTY, request_id);
        return;
    }
    own->conn = conn;
    account_copy_text(request_id, own->request_id, sizeof(own->request_id));
    own->status = writer_submit(worker->services->writer, &own->job.job);
    if (own->status != TG_OK) {
        reply_error(conn, NULL, own->status, SPAN_EMPTY, request_id);
        own_key_free(own);
        return;
    }
    server_set_user(conn, &client_ops, own);
}

void own_key_discard(struct list *node)
{
    own_key_free(LIST_ENTRY(node, struct own_key, node));
}
