#include "net/client.h"

#include "base/buf.h"
#include "base/map.h"
#include "net/connector.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define PATIENCE_EXTRA_MS 200
#define READS_PER_EVENT   16 /* of a TLS connection, before the others have their turn */

enum conn_state {
    CONN_CONNECTING,
    CONN_IDLE,
    CONN_HEAD, /* serves a call; its request may still be on its way */
    CONN_BODY,
    CONN_CLOSED /* until the end of the turn, for those who still look at it */
};

/* All connections to one endpoint. */
struct client_group {
    struct client_endpoint endpoint; /* host is a copy, authority not kept */
    struct list idle;                /* connections, the last used first */
    struct list waiting;             /* calls */
    int waiting_count;
    int connecting; /* at least waiting_count */
    int conns;      /* in any state */
};

struct client_conn {
    enum conn_state state;
    struct client_pool *pool;
    struct client_group *group;
    struct list node; /* in pool.conns */
    struct client_conn *next_closed;
    struct list idle_node; /* in group.idle */
    struct list age_node;  /* in pool.idle */
    struct connector_request request;
    struct connector_link link;
    struct loop_watch watch;
    struct loop_timer timer; /* one for all limits: it is moved later, which costs nothing */
    struct loop_task more;   /* read on without an event */
    bool has_served;

    /* of the call in hand */
    struct client_call *call;
    size_t sent_bytes;
    bool is_sent;
    bool is_broken; /* cannot be written to; what has come is still read */
    bool saw_end;   /* RDHUP came while paused: not asked for again */
    bool has_byte;  /* of the answer */
    bool keeps_alive;
    int interims;
    struct buf head; /* the beginning of a head that came in pieces */
    struct http_body body;
};

struct client_pool {
    struct loop *loop;
    struct connector *connector;
    struct map groups;
    struct list conns;
    struct list idle;           /* connections, the longest idle first */
    struct client_conn *closed; /* freed by `reap` */
    struct loop_task reap;
    int idle_count;
    int busy_count;
    int waiting_count;
};

/* --- groups --- */

static bool has_identity(const void *value, const void *key)
{
    return ((const struct client_group *)value)->endpoint.identity == *(const uint64_t *)key;
}

static void group_free(struct client_group *group)
{
    if (group == NULL)
        return;
    free((char *)group->endpoint.host);
    free(group);
}

static struct client_group *group_new(const struct client_endpoint *endpoint)
{
    struct client_group *group = calloc(1, sizeof *group);

    if (group == NULL)
        return NULL;
    group->endpoint = *endpoint;
    group->endpoint.authority = NULL;
    group->endpoint.host = span_to_string(span_from(endpoint->host));
    list_init(&group->idle);
    list_init(&group->waiting);
    if (group->endpoint.host == NULL) {
        free(group);
        return NULL;
    }
    return group;
}

static struct client_group *group_of(struct client_pool *pool,
                                     const struct client_endpoint *endpoint)
{
    const uint64_t hash = map_hash_int(endpoint->identity);
    struct client_group *group = map_get(&pool->groups, hash, has_identity, &endpoint->identity);

    if (group != NULL)
        return group;
    group = group_new(endpoint);
    if (group != NULL && map_add(&pool->groups, hash, group) != TG_OK) {
        group_free(group);
        return NULL;
    }
    return group;
}

static void group_drop_unused(struct client_pool *pool, struct client_group *group)
{
    if (group->conns > 0 || group->waiting_count > 0)
        return;
    (void)map_remove(&pool->groups, map_hash_int(group->endpoint.identity), has_identity,
                     &group->endpoint.identity);
    group_free(group);
}

/* --- connections: their end --- */

static void on_reap(struct loop_task *task)
{
    struct client_pool *pool = LIST_ENTRY(task, struct client_pool, reap);

    while (pool->closed != NULL) {
        struct client_conn *conn = pool->closed;

        pool->closed = conn->next_closed;
        conn->group->conns--;
        group_drop_unused(pool, conn->group);
        buf_fini(&conn->head);
        free(conn);
    }
}

/* Freed at the end of the turn: a callback may close the connection whose bytes it is looking at.
 */
static void conn_close(struct client_conn *conn)
{
    struct client_pool *pool = conn->pool;

    assert(conn->state != CONN_CLOSED);
    if (conn->state == CONN_IDLE)
        pool->idle_count--;
    if (conn->state == CONN_HEAD || conn->state == CONN_BODY)
        pool->busy_count--;
    list_remove(&conn->idle_node);
    list_remove(&conn->age_node);
    loop_timer_clear(pool->loop, &conn->timer);
    loop_defer_cancel(&conn->more);
    loop_watch_remove(pool->loop, &conn->watch);
    connector_link_close(&conn->link);
    conn->call = NULL;
    conn->state = CONN_CLOSED;
    list_remove(&conn->node);
    conn->next_closed = pool->closed;
    pool->closed = conn;
    loop_defer(pool->loop, &pool->reap);
}

/* Part from the call; what becomes of the connection is the caller's to say. */
static struct client_call *conn_take_call(struct client_conn *conn)
{
    struct client_call *call = conn->call;

    conn->call = NULL;
    call->conn = NULL;
    return call;
}

static void call_fail(struct client_call *call, enum tg_status status, const char *why)
{
    if (status == TG_UPSTREAM_UNREACHABLE && call->was_sent)
        status = TG_CLOSED; /* nobody may take it for a request that was never sent */
    call->is_active = false;
    call->on_fail(call, status, why);
}

static void on_failure(struct loop_task *task)
{
    struct client_call *call = LIST_ENTRY(task, struct client_call, failure);

    call_fail(call, call->failure_status, call->failure_why);
}

static void call_fail_later(struct client_call *call, enum tg_status status, const char *why)
{
    call->failure_status = status;
    call->failure_why = why;
    loop_defer(call->pool->loop, &call->failure);
}

static void conn_fail(struct client_conn *conn, enum tg_status status, const char *why)
{
    struct client_call *call = conn_take_call(conn);

    conn_close(conn);
    call_fail(call, status, why);
}

/* --- connections: limits and events asked for --- */

static void conn_due_in(struct client_conn *conn, int64_t ms)
{
    struct loop *loop = conn->pool->loop;

    loop_timer_set(loop, &conn->timer, loop_now_us(loop) + ms * 1000);
}

static void on_conn_due(struct loop_timer *timer)
{
    struct client_conn *conn = LIST_ENTRY(timer, struct client_conn, timer);

    if (conn->state == CONN_IDLE)
        conn_close(conn);
    else if (conn->call->is_paused)
        conn_due_in(conn, conn->call->idle_ms);
    else if (!conn->is_sent)
        conn_fail(conn, TG_UPSTREAM_TIMEOUT, "the provider stopped taking the request");
    else if (!conn->has_byte)
        conn_fail(conn, TG_UPSTREAM_TIMEOUT, "the provider did not begin to answer");
    else
        conn_fail(conn, TG_UPSTREAM_TIMEOUT, "the provider stopped in its answer");
}

/* Both of EPOLLIN and EPOLLRDHUP stay on all the time, so that a call costs no epoll_ctl. */
static void conn_watch(struct client_conn *conn)
{
    const struct client_call *call = conn->call;
    uint32_t events = conn->saw_end ? 0 : EPOLLRDHUP;

    if (call == NULL || !call->is_paused)
        events |= EPOLLIN;
    if (call != NULL && !conn->is_sent && !conn->is_broken)
        events |= EPOLLOUT;
    if (loop_watch_is_set(&conn->watch))
        loop_watch_set(conn->pool->loop, &conn->watch, events);
}

/* --- sending --- */

/* No callback is called from here: a failure is found by the reading that is scheduled, which also
 * finds the answer of a provider that refused the rest of the request. */
static void conn_send(struct client_conn *conn)
{
    struct client_call *call = conn->call;

    while (conn->sent_bytes < call->request.len) {
        enum tg_status status = TG_OK;
        /* The same bytes again after TG_AGAIN, as TLS demands. */
        const struct span rest = span_from_offset(call->request, conn->sent_bytes);
        const size_t sent = connector_link_send(&conn->link, rest, &status);

        if (sent == 0 && status != TG_AGAIN) {
            conn->is_broken = true;
            conn_watch(conn);
            loop_defer(conn->pool->loop, &conn->more);
            return;
        }
        call->was_sent = call->was_sent || sent > 0 || conn->link.is_tls;
        conn->sent_bytes += sent;
        if (sent > 0 && !call->is_paused)
            conn_due_in(conn, call->idle_ms);
        if (sent == 0) {
            conn_watch(conn);
            return;
        }
    }
    conn->is_sent = true;
    call->sent_us = loop_now_us(conn->pool->loop);
    if (!conn->has_byte)
        conn_due_in(conn, call->first_byte_ms);
    conn_watch(conn);
}

static void conn_serve(struct client_conn *conn, struct client_call *call)
{
    conn->state = CONN_HEAD;
    conn->pool->busy_count++;
    conn->call = call;
    conn->sent_bytes = 0;
    conn->is_sent = false;
    conn->is_broken = false;
    conn->has_byte = false;
    conn->interims = 0;
    call->conn = conn;
    call->was_reused = conn->has_served;
    conn_due_in(conn, call->idle_ms);
    conn_send(conn);
}

/* --- waiting for a connection --- */

static void call_stop_waiting(struct client_call *call)
{
    list_remove(&call->node);
    loop_timer_clear(call->pool->loop, &call->patience);
    call->group->waiting_count--;
    call->pool->waiting_count--;
    call->group = NULL;
}

/* The first call that a connection may serve: one that is sent again takes a fresh one only. */
static struct client_call *group_next_waiting(struct client_group *group, bool is_fresh)
{
    for (struct list *node = group->waiting.next; node != &group->waiting; node = node->next) {
        struct client_call *call = LIST_ENTRY(node, struct client_call, node);

        if (is_fresh || !call->was_resent) {
            call_stop_waiting(call);
            return call;
        }
    }
    return NULL;
}

static void conn_become_idle(struct client_conn *conn)
{
    struct client_pool *pool = conn->pool;

    if (pool->idle_count >= CLIENT_IDLE_MAX)
        conn_close(LIST_ENTRY(pool->idle.next, struct client_conn, age_node));
    conn->state = CONN_IDLE;
    pool->idle_count++;
    list_push_front(&conn->group->idle, &conn->idle_node);
    list_push_back(&pool->idle, &conn->age_node);
    conn_due_in(conn, CLIENT_IDLE_MS);
    conn_watch(conn);
}

static void conn_become_free(struct client_conn *conn)
{
    struct client_call *call = group_next_waiting(conn->group, !conn->has_served);

    if (call != NULL)
        conn_serve(conn, call);
    else
        conn_become_idle(conn);
}

/* --- reading --- */

static void conn_finish(struct client_conn *conn, bool may_serve_again)
{
    struct client_call *call = conn_take_call(conn);

    if (may_serve_again) {
        conn->pool->busy_count--;
        conn->has_served = true;
        conn_become_free(conn);
    } else {
        conn_close(conn);
    }
    call->is_active = false;
    call->on_end(call);
}

static void conn_take_body(struct client_conn *conn, struct span bytes)
{
    while (!conn->body.is_done && bytes.len > 0) {
        struct span content = SPAN_EMPTY;
        size_t used = 0;

        if (http_body_read(&conn->body, bytes, &used, &content) != TG_OK) {
            conn_fail(conn, TG_UPSTREAM_INVALID, "the chunks of the answer are broken");
            return;
        }
        bytes = span_from_offset(bytes, used);
        if (content.len > 0)
            conn->call->on_body(conn->call, content);
        if (conn->state == CONN_CLOSED)
            return;
    }
    if (!conn->body.is_done) {
        conn_due_in(conn, conn->call->idle_ms);
        return;
    }
    conn_finish(conn, conn->keeps_alive && conn->is_sent && bytes.len == 0 && !conn->saw_end &&
                          loop_watch_is_set(&conn->watch) &&
                          !connector_link_has_pending(&conn->link));
}

/* Find a whole head in what came before and in `*bytes`, and take it off their front.
 *
 * return  TG_OK, TG_AGAIN: more must come, TG_UPSTREAM_INVALID, TG_NO_MEMORY */
static enum tg_status conn_cut_head(struct client_conn *conn, struct span *bytes,
                                    struct span *ret_head)
{
    const size_t before = buf_len(&conn->head);
    const size_t room = HTTP_HEAD_MAX - before;
    const size_t take = bytes->len < room ? bytes->len : room;
    struct span all = span_of(bytes->ptr, take);
    size_t end;

    if (before > 0) {
        buf_put(&conn->head, bytes->ptr, take);
        if (conn->head.failed)
            return TG_NO_MEMORY;
        all = buf_span(&conn->head);
    }
    if (http_find_head_end(all, before, &end)) {
        *ret_head = span_of(all.ptr, end);
        *bytes = span_from_offset(*bytes, end - before);
        return TG_OK;
    }
    if (all.len == HTTP_HEAD_MAX || memcmp(all.ptr, "HTTP/1.", all.len < 7 ? all.len : 7) != 0)
        return TG_UPSTREAM_INVALID;
    if (before == 0)
        buf_put(&conn->head, bytes->ptr, take);
    return conn->head.failed ? TG_NO_MEMORY : TG_AGAIN;
}

/* return  whether to go on with the bytes that follow the head */
static bool conn_take_interim(struct client_conn *conn, int status, struct span rest)
{
    if (status == 101 || ++conn->interims > CLIENT_INTERIM_MAX) {
        conn_fail(conn, TG_UPSTREAM_INVALID, "the provider answers with 1xx only");
        return false;
    }
    buf_release(&conn->head);
    conn_due_in(conn, conn->call->first_byte_ms);
    return rest.len > 0;
}

/* return  whether it goes on: with the next head, or with the body */
static bool conn_take_head(struct client_conn *conn, struct span *bytes)
{
    struct client_call *call = conn->call;
    struct http_head head;
    struct span text = SPAN_EMPTY;
    const char *why = "the head of the answer is too long or not HTTP/1";
    enum tg_status status = conn_cut_head(conn, bytes, &text);

    if (status == TG_AGAIN)
        return false;
    if (status == TG_OK)
        status = http_parse_answer(text, &head, &why);
    if (status != TG_OK) {
        conn_fail(conn, status, status == TG_NO_MEMORY ? "no memory for the answer" : why);
        return false;
    }
    if (head.status < 200)
        return conn_take_interim(conn, head.status, *bytes);
    http_body_init_answer(&conn->body, &head, call->is_head_request);
    conn->keeps_alive = head.keeps_alive && conn->body.framing != HTTP_UNTIL_CLOSE;
    conn->state = CONN_BODY;
    call->on_head(call, &head);
    if (conn->state == CONN_CLOSED)
        return false;
    buf_release(&conn->head);
    return true;
}

static void conn_take(struct client_conn *conn, struct span bytes)
{
    if (!conn->has_byte) {
        conn->has_byte = true;
        conn->call->first_byte_us = loop_now_us(conn->pool->loop);
        conn_due_in(conn, conn->call->idle_ms); /* for all of the head */
    }
    while (conn->state == CONN_HEAD) {
        if (!conn_take_head(conn, &bytes))
            return;
    }
    conn_take_body(conn, bytes);
}

static void call_wait(struct client_call *call, struct client_group *group);

static void conn_ended(struct client_conn *conn, bool is_orderly)
{
    struct client_call *call = conn->call;
    struct client_group *group = conn->group;

    if (!conn->has_byte && call->was_reused && !call->was_resent) {
        (void)conn_take_call(conn);
        conn_close(conn);
        call->was_resent = true;
        call_wait(call, group);
        return;
    }
    if (is_orderly && conn->state == CONN_BODY && conn->body.framing == HTTP_UNTIL_CLOSE)
        conn_finish(conn, /* may_serve_again= */ false);
    else
        conn_fail(conn, call->was_sent ? TG_CLOSED : TG_UPSTREAM_UNREACHABLE,
                  "the provider closed the connection before the end of its answer");
}

static bool conn_is_reading(const struct client_conn *conn)
{
    return (conn->state == CONN_HEAD || conn->state == CONN_BODY) && !conn->call->is_paused;
}

static void conn_read(struct client_conn *conn)
{
    char *scratch = loop_scratch(conn->pool->loop);

    for (int i = 0; i < READS_PER_EVENT; i++) {
        enum tg_status status = TG_OK;
        const size_t got = connector_link_recv(&conn->link, scratch, LOOP_SCRATCH_BYTES, &status);

        if (got == 0 && status == TG_AGAIN && !conn->is_broken)
            return;
        if (got == 0) {
            conn_ended(conn, status == TG_CLOSED);
            return;
        }
        conn_take(conn, span_of(scratch, got));
        if (!conn_is_reading(conn))
            return;
        /* What TLS has decrypted already raises no event, nor does a socket that is given up. */
        if (!connector_link_has_pending(&conn->link) && !conn->is_broken)
            return;
    }
    loop_defer(conn->pool->loop, &conn->more);
}

static void on_more(struct loop_task *task)
{
    struct client_conn *conn = LIST_ENTRY(task, struct client_conn, more);

    if (conn_is_reading(conn))
        conn_read(conn);
}

/* A paused connection whose end has come is not asked again, or it would tell of it in every turn.
 */
static void conn_note_end(struct client_conn *conn, uint32_t events)
{
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        loop_watch_remove(conn->pool->loop, &conn->watch);
    } else if ((events & EPOLLRDHUP) != 0) {
        conn->saw_end = true;
        conn_watch(conn);
    }
}

static void on_conn_event(struct loop_watch *watch, uint32_t events)
{
    struct client_conn *conn = LIST_ENTRY(watch, struct client_conn, watch);

    if (conn->state == CONN_IDLE) {
        conn_close(conn);
        return;
    }
    if ((events & EPOLLOUT) != 0 && !conn->is_sent && !conn->is_broken)
        conn_send(conn);
    if (conn->call->is_paused)
        conn_note_end(conn, events);
    else if ((events & ~(uint32_t)EPOLLOUT) != 0)
        conn_read(conn);
}

/* --- connecting --- */

static void on_connected(struct loop_task *task)
{
    struct client_conn *conn =
        LIST_ENTRY(LIST_ENTRY(task, struct connector_request, done), struct client_conn, request);
    struct client_group *group = conn->group;
    struct client_call *call = NULL;

    group->connecting--;
    conn->link = conn->request.link;
    if (conn->request.status == TG_OK) {
        conn->watch = (struct loop_watch){ .fd = conn->link.fd, .on_event = on_conn_event };
        conn->request.status = loop_watch_add(conn->pool->loop, &conn->watch, EPOLLIN | EPOLLRDHUP);
        if (conn->request.status == TG_OK) {
            conn_become_free(conn);
            return;
        }
    }
    conn_close(conn);
    if (group->waiting_count > group->connecting)
        call = group_next_waiting(group, /* is_fresh= */ true);
    if (call != NULL)
        call_fail(call, conn->request.status, conn->request.why);
}

static bool group_connect(struct client_pool *pool, struct client_group *group, int64_t timeout_ms)
{
    struct client_conn *conn = calloc(1, sizeof *conn);

    if (conn == NULL)
        return false;
    conn->state = CONN_CONNECTING;
    conn->pool = pool;
    conn->group = group;
    conn->link.fd = -1;
    list_init(&conn->idle_node);
    list_init(&conn->age_node);
    list_push_back(&pool->conns, &conn->node);
    loop_timer_init(&conn->timer, on_conn_due);
    loop_task_init(&conn->more, on_more);
    buf_init(&conn->head, HTTP_HEAD_MAX);
    group->conns++;
    group->connecting++;
    conn->request.loop = pool->loop;
    conn->request.endpoint = &group->endpoint;
    conn->request.timeout_ms = timeout_ms;
    loop_task_init(&conn->request.done, on_connected);
    connector_submit(pool->connector, &conn->request);
    return true;
}

static void on_out_of_patience(struct loop_timer *timer)
{
    struct client_call *call = LIST_ENTRY(timer, struct client_call, patience);

    call_stop_waiting(call);
    call_fail(call, TG_UPSTREAM_UNREACHABLE, "no connection to the provider in time");
}

static void call_wait(struct client_call *call, struct client_group *group)
{
    struct client_pool *pool = call->pool;
    const int64_t wait_ms = call->connect_ms > 0 ? call->connect_ms : CLIENT_CONNECT_MS;

    if (group->connecting <= group->waiting_count && !group_connect(pool, group, wait_ms)) {
        group_drop_unused(pool, group);
        call_fail_later(call, TG_NO_MEMORY, "no memory for a connection");
        return;
    }
    call->group = group;
    group->waiting_count++;
    pool->waiting_count++;
    list_push_back(&group->waiting, &call->node);
    loop_timer_init(&call->patience, on_out_of_patience);
    /* A little later than the connect, whose failure says more. */
    loop_timer_set(pool->loop, &call->patience,
                   loop_now_us(pool->loop) + (wait_ms + PATIENCE_EXTRA_MS) * 1000);
}

/* --- calls --- */

void client_call_start(struct client_pool *pool, struct client_call *call,
                       const struct client_endpoint *endpoint)
{
    struct client_group *group;

    assert(!call->is_active);
    assert(call->request.len > 0);
    call->was_sent = false;
    call->was_resent = false;
    call->was_reused = false;
    call->sent_us = 0;
    call->first_byte_us = 0;
    call->pool = pool;
    call->group = NULL;
    call->conn = NULL;
    call->is_paused = false;
    call->is_active = true;
    list_init(&call->node);
    loop_task_init(&call->failure, on_failure);

    group = group_of(pool, endpoint);
    if (group == NULL) {
        call_fail_later(call, TG_NO_MEMORY, "no memory for a connection");
    } else if (list_is_empty(&group->idle)) {
        call_wait(call, group);
    } else {
        struct client_conn *conn = LIST_ENTRY(group->idle.next, struct client_conn, idle_node);

        list_remove(&conn->idle_node);
        list_remove(&conn->age_node);
        pool->idle_count--;
        conn_serve(conn, call);
    }
}

void client_call_pause(struct client_call *call)
{
    if (!call->is_active || call->is_paused)
        return;
    call->is_paused = true;
    if (call->conn != NULL)
        conn_watch(call->conn);
}

void client_call_resume(struct client_call *call)
{
    struct client_conn *conn = call->conn;

    if (!call->is_active || !call->is_paused)
        return;
    call->is_paused = false;
    if (conn == NULL)
        return;
    if (conn->is_sent && !conn->has_byte)
        conn_due_in(conn, call->first_byte_ms);
    else
        conn_due_in(conn, call->idle_ms);
    conn_watch(conn);
    /* Nothing tells of bytes that TLS holds, nor of a socket that is no longer watched: such a one
     * has ended, so it is read to its end. */
    if (!loop_watch_is_set(&conn->watch))
        conn->is_broken = true;
    if (conn->link.is_tls || conn->is_broken)
        loop_defer(conn->pool->loop, &conn->more);
}

void client_call_cancel(struct client_call *call)
{
    if (!call->is_active)
        return;
    call->is_active = false;
    loop_defer_cancel(&call->failure);
    if (call->conn != NULL) {
        struct client_conn *conn = call->conn;

        (void)conn_take_call(conn);
        conn_close(conn);
    } else if (call->group != NULL) {
        call_stop_waiting(call);
    }
}

/* --- the pool --- */

enum tg_status client_pool_new(struct loop *loop, struct connector *connector,
                               struct client_pool **ret_pool)
{
    struct client_pool *pool = calloc(1, sizeof *pool);

    if (pool == NULL)
        return TG_NO_MEMORY;
    pool->loop = loop;
    pool->connector = connector;
    map_init(&pool->groups, CLIENT_GROUPS_MAX);
    list_init(&pool->conns);
    list_init(&pool->idle);
    loop_task_init(&pool->reap, on_reap);
    *ret_pool = pool;
    return TG_OK;
}

void client_pool_free(struct client_pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->busy_count == 0);
    assert(pool->waiting_count == 0);
    while (!list_is_empty(&pool->conns)) {
        struct client_conn *conn = LIST_ENTRY(pool->conns.next, struct client_conn, node);

        if (conn->state == CONN_CONNECTING)
            connector_withdraw(pool->connector, &conn->request);
        conn_close(conn);
    }
    loop_defer_cancel(&pool->reap);
    on_reap(&pool->reap);
    map_fini(&pool->groups);
    free(pool);
}

void client_pool_stats(const struct client_pool *pool, struct client_pool_stats *ret_stats)
{
    *ret_stats = (struct client_pool_stats){ .idle = pool->idle_count,
                                             .busy = pool->busy_count,
                                             .waiting = pool->waiting_count };
}
