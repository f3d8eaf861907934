#include "net/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Deadlines are looked at this often, for all connections at once: a request then sets one by
 * storing a number, and a quarter of a second more matters to nobody. */
#define SWEEP_US 250000

#define ACCEPTS_PER_EVENT 64
#define LINGER_US         2000000
/* A refused body is read over, or the reset that closing on it sends may take the answer from the
 * client; most that are too large are not larger than this. */
#define LINGER_BYTES_MAX (INT64_C(64) << 20)
/* Room in front of a body for the head that goes to the provider: the client's own and this much.
 */
#define HEADROOM_EXTRA  1024
#define DRAINED_BYTES   ((size_t)64 * 1024)
#define CHUNK_HEAD      "000000\r\n"
#define CHUNK_HEAD_LEN  8
#define CHUNK_BYTES_MAX 0xffffff

enum conn_state { CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_BUSY, CONN_LINGER, CONN_DEAD };

struct server_conn {
    struct loop_watch watch;
    struct loop_task flush; /* what was queued this turn leaves at its end */
    struct loop_task next;  /* the request behind the one just answered, or the end of this conn */
    struct server *server;
    struct list node;
    const struct server_user *ops;
    void *user;
    int64_t deadline_us;
    int64_t budget_bytes; /* taken from the server's budget */
    struct buf in;        /* bytes of a head; a head whose body is coming; what came behind */
    size_t head_len;      /* of the head in `in` while its body comes */
    struct http_body reader;
    struct buf body;
    struct buf out;
    size_t chunk_at; /* where the open chunk's head stands in `out`, from out.data */
    int64_t lingered_bytes;
    enum conn_state state;
    bool has_open_chunk;
    bool keeps_alive; /* the client allows it */
    bool is_http10;
    bool wants_head_only;
    bool has_unread_body; /* refused before its body came */
    bool is_finished;     /* the answer is complete; what follows its last byte: */
    bool keep_after;
    bool wants_drained;
};

struct server {
    struct loop *loop;
    struct loop_watch listener;
    struct loop_timer sweep;
    struct list conns;
    struct server_limits limits;
    struct server_budget *budget;
    const struct server_handler *handler;
    struct http_head head; /* of the request in hand; too large for each connection */
    _Atomic int count;
    _Atomic int leaving; /* answers that are complete and not all with the kernel */
    bool is_draining;
    bool is_accepting;
};

bool server_budget_take(struct server_budget *budget, int64_t bytes)
{
    const int64_t used =
        atomic_fetch_add_explicit(&budget->used_bytes, bytes, memory_order_relaxed);

    if (bytes <= 0 || used + bytes <= budget->max_bytes)
        return true;
    atomic_fetch_sub_explicit(&budget->used_bytes, bytes, memory_order_relaxed);
    return false;
}

void server_budget_force(struct server_budget *budget, int64_t bytes)
{
    atomic_fetch_add_explicit(&budget->used_bytes, bytes, memory_order_relaxed);
}

/* --- end of a connection ------------------------------------------------------------------------
 */

static void run_free(struct loop_task *task)
{
    struct server_conn *conn = LIST_ENTRY(task, struct server_conn, next);

    assert(conn->state == CONN_DEAD);
    list_remove(&conn->flush.node);
    list_remove(&conn->node);
    conn->server->count--;
    free(conn);
}

/* Close the socket now and free at the end of the turn, when nobody up the stack holds it. */
static void conn_close(struct server_conn *conn)
{
    struct server *server = conn->server;

    if (conn->state == CONN_DEAD)
        return;
    loop_watch_remove(server->loop, &conn->watch);
    close(conn->watch.fd);
    if (conn->is_finished)
        server->leaving--;
    server_budget_take(server->budget, -conn->budget_bytes);
    conn->budget_bytes = 0;
    buf_fini(&conn->in);
    buf_fini(&conn->body);
    buf_fini(&conn->out);
    conn->state = CONN_DEAD;
    list_remove(&conn->next.node);
    conn->next.run = run_free;
    loop_defer(server->loop, &conn->next);
}

/* The client has left. */
static void conn_gone(struct server_conn *conn)
{
    const struct server_user *ops = conn->ops;
    void *user = conn->user;
    const bool tell = conn->state == CONN_BUSY && ops != NULL && !conn->is_finished;

    conn->ops = NULL;
    conn->user = NULL;
    conn_close(conn);
    if (tell)
        ops->on_gone(user);
}

/* --- writing ------------------------------------------------------------------------------------
 */

static void conn_after_answer(struct server_conn *conn);

static void close_chunk(struct server_conn *conn)
{
    static const char digits[] = "0123456789abcdef";
    size_t len;

    if (!conn->has_open_chunk)
        return;
    conn->has_open_chunk = false;
    if (conn->out.failed)
        return;
    len = conn->out.tail - conn->chunk_at - CHUNK_HEAD_LEN;
    assert(len <= CHUNK_BYTES_MAX);
    for (int i = 5; i >= 0; i--) {
        conn->out.data[conn->chunk_at + (size_t)i] = digits[len & 15];
        len >>= 4;
    }
    buf_put(&conn->out, "\r\n", 2);
}

static void conn_watch(struct server_conn *conn)
{
    uint32_t events = EPOLLRDHUP;

    if (conn->state != CONN_BUSY)
        events |= EPOLLIN;
    if (buf_len(&conn->out) > 0)
        events |= EPOLLOUT;
    loop_watch_set(conn->server->loop, &conn->watch, events);
}

/* While a request is in hand EPOLLIN stays on: nothing comes as a rule, and two system calls a
 * request are saved. A client that pipelines turns it off (on_readable). */
static void conn_watch_output(struct server_conn *conn)
{
    uint32_t events = conn->watch.events & ~(uint32_t)EPOLLOUT;

    if (buf_len(&conn->out) > 0)
        events |= EPOLLOUT;
    loop_watch_set(conn->server->loop, &conn->watch, events);
}

static void conn_flush(struct server_conn *conn)
{
    struct server *server = conn->server;
    ssize_t sent;

    if (conn->state == CONN_DEAD)
        return;
    close_chunk(conn);
    if (conn->out.failed) {
        conn_gone(conn);
        return;
    }
    if (buf_len(&conn->out) > 0) {
        sent = send(conn->watch.fd, conn->out.data + conn->out.head, buf_len(&conn->out),
                    MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            conn_gone(conn);
            return;
        }
        if (sent > 0)
            buf_consume(&conn->out, (size_t)sent);
        if (conn->state == CONN_BUSY && (sent > 0 || conn->deadline_us == INT64_MAX))
            conn->deadline_us = loop_now_us(server->loop) + server->limits.write_idle_ms * 1000;
    }
    conn_watch_output(conn);
    if (buf_len(&conn->out) == 0 && conn->is_finished) {
        conn_after_answer(conn);
        return;
    }
    if (buf_len(&conn->out) == 0 && conn->state == CONN_BUSY)
        conn->deadline_us = INT64_MAX;
    if (conn->wants_drained && buf_len(&conn->out) <= DRAINED_BYTES && conn->ops != NULL) {
        conn->wants_drained = false;
        conn->ops->on_drained(conn->user);
    }
}

static void run_flush(struct loop_task *task)
{
    conn_flush(LIST_ENTRY(task, struct server_conn, flush));
}

static void schedule_flush(struct server_conn *conn)
{
    if (conn->state != CONN_DEAD)
        loop_defer(conn->server->loop, &conn->flush);
}

void server_write(struct server_conn *conn, struct span bytes)
{
    close_chunk(conn);
    buf_put_span(&conn->out, bytes);
    schedule_flush(conn);
}

void server_write_chunk(struct server_conn *conn, struct span bytes)
{
    while (bytes.len > 0) {
        size_t room = CHUNK_BYTES_MAX;
        size_t take;

        if (conn->has_open_chunk)
            room = CHUNK_BYTES_MAX - (conn->out.tail - conn->chunk_at - CHUNK_HEAD_LEN);
        if (room == 0) {
            close_chunk(conn);
            continue;
        }
        if (!conn->has_open_chunk) {
            buf_put(&conn->out, CHUNK_HEAD, CHUNK_HEAD_LEN);
            if (conn->out.failed)
                break;
            conn->chunk_at = conn->out.tail - CHUNK_HEAD_LEN;
            conn->has_open_chunk = true;
        }
        take = bytes.len < room ? bytes.len : room;
        /* Growing may move the content to the front of its memory. */
        conn->chunk_at -= conn->out.head;
        buf_put(&conn->out, bytes.ptr, take);
        conn->chunk_at += conn->out.head;
        if (conn->out.failed)
            break;
        bytes = span_from_offset(bytes, take);
    }
    schedule_flush(conn);
}

void server_end_chunks(struct server_conn *conn)
{
    close_chunk(conn);
    buf_put(&conn->out, "0\r\n\r\n", 5);
    schedule_flush(conn);
}

size_t server_queued(const struct server_conn *conn)
{
    return buf_len(&conn->out);
}

void server_want_drained(struct server_conn *conn)
{
    conn->wants_drained = true;
    schedule_flush(conn);
}

/* --- the request --------------------------------------------------------------------------------
 */

static void conn_input(struct server_conn *conn, struct span bytes);

static void run_next(struct loop_task *task)
{
    struct server_conn *conn = LIST_ENTRY(task, struct server_conn, next);
    struct buf in = conn->in;

    /* What came behind the last request is read as if it came now. */
    buf_init(&conn->in, HTTP_HEAD_MAX + LOOP_SCRATCH_BYTES);
    if (buf_len(&in) > 0)
        conn_input(conn, buf_span(&in));
    buf_fini(&in);
    if (conn->state != CONN_DEAD)
        conn_watch(conn);
}

static void conn_linger(struct server_conn *conn)
{
    conn->state = CONN_LINGER;
    conn->deadline_us = loop_now_us(conn->server->loop) + LINGER_US;
    shutdown(conn->watch.fd, SHUT_WR);
    conn_watch(conn);
}

/* The answer has left. */
static void conn_after_answer(struct server_conn *conn)
{
    struct server *server = conn->server;
    const bool keep = conn->keep_after && !conn->has_unread_body && !server->is_draining;

    buf_release(&conn->out);
    buf_release(&conn->body);
    server_budget_take(server->budget, -conn->budget_bytes);
    conn->budget_bytes = 0;
    conn->is_finished = false;
    server->leaving--;
    if (!keep) {
        conn_linger(conn);
        return;
    }
    conn->state = CONN_IDLE;
    conn->deadline_us = loop_now_us(server->loop) + server->limits.idle_ms * 1000;
    if (buf_len(&conn->in) > 0 || (conn->watch.events & EPOLLIN) == 0)
        loop_defer(server->loop, &conn->next);
}

static void conn_begin_busy(struct server_conn *conn)
{
    conn->state = CONN_BUSY;
    conn->deadline_us = INT64_MAX;
    conn->ops = NULL;
    conn->user = NULL;
    conn->wants_drained = false;
}

static void refuse(struct server_conn *conn, const struct http_head *head, enum tg_status status,
                   const char *why)
{
    struct server *server = conn->server;

    conn_begin_busy(conn);
    conn->has_unread_body = true;
    conn->keeps_alive = false;
    conn->wants_head_only = head != NULL && head->method == METHOD_HEAD;
    server->handler->on_refuse(server->handler->context, conn, head, status, why);
}

/* Keep what came behind the request for later. */
static void keep_rest(struct server_conn *conn, struct span rest)
{
    if (conn->state == CONN_DEAD || rest.len == 0)
        return;
    buf_put_span(&conn->in, rest);
    if (conn->in.failed)
        conn_gone(conn);
}

static void serve(struct server_conn *conn, const struct http_head *head)
{
    struct server *server = conn->server;

    conn_begin_busy(conn);
    conn->has_unread_body = false;
    server->handler->on_request(server->handler->context, conn, head);
}

/* Room for the body, counted against the process's budget. One of unknown length is counted as it
 * comes. */
static enum tg_status make_room(struct server_conn *conn, size_t head_len, int64_t body_len)
{
    const size_t room = head_len + HEADROOM_EXTRA;

    if (body_len < 0)
        body_len = 0;

    if (!server_budget_take(conn->server->budget, body_len))
        return TG_OVERLOADED;
    conn->budget_bytes += body_len;
    buf_init(&conn->body, (size_t)conn->server->limits.body_max_bytes + HTTP_HEAD_MAX + room);
    if (buf_reserve(&conn->body, room + (size_t)body_len) == NULL)
        return TG_NO_MEMORY;
    conn->body.head = room;
    conn->body.tail = room;
    return TG_OK;
}

static void put_body(struct server_conn *conn, struct span content, enum tg_status *ret_status)
{
    if (conn->reader.framing == HTTP_CHUNKED) {
        if ((int64_t)(buf_len(&conn->body) + content.len) > conn->server->limits.body_max_bytes)
            *ret_status = TG_TOO_LARGE;
        else if (!server_budget_take(conn->server->budget, (int64_t)content.len))
            *ret_status = TG_OVERLOADED;
        else
            conn->budget_bytes += (int64_t)content.len;
    }
    if (*ret_status != TG_OK)
        return;
    buf_put_span(&conn->body, content);
    if (conn->body.failed)
        *ret_status = TG_NO_MEMORY;
}

/* Read on in the body.
 *
 * return  TG_OK: complete, *ret_rest is what follows; TG_AGAIN: more must come */
static enum tg_status read_body(struct server_conn *conn, struct span bytes, struct span *ret_rest)
{
    enum tg_status status = TG_OK;

    while (!conn->reader.is_done && bytes.len > 0) {
        struct span content;
        size_t used;

        if (http_body_read(&conn->reader, bytes, &used, &content) != TG_OK)
            return TG_INVALID;
        put_body(conn, content, &status);
        if (status != TG_OK)
            return status;
        bytes = span_from_offset(bytes, used);
    }
    *ret_rest = bytes;
    return conn->reader.is_done ? TG_OK : TG_AGAIN;
}

static const char *body_problem(enum tg_status status)
{
    return status == TG_INVALID ? "The chunked body is not valid."
                                : tg_status_info(status)->sentence;
}

/* Whether a head may have its body: of such a length, of such a client. Who the client is matters
 * only before its body has come, so that nobody unknown can take up memory.
 *
 * rest  what has come behind the head */
static enum tg_status admit_body(struct server_conn *conn, const struct http_head *head,
                                 struct span rest, const char **ret_why)
{
    struct server *server = conn->server;
    const int64_t length = head->content_length;

    *ret_why = "";
    if (length > server->limits.body_max_bytes) {
        *ret_why = tg_status_info(TG_TOO_LARGE)->sentence;
        return TG_TOO_LARGE;
    }
    if (conn->reader.is_done || (!head->is_chunked && length <= (int64_t)rest.len))
        return TG_OK;
    return server->handler->check(server->handler->context, head, ret_why);
}

/* The body goes on after this read: keep the head, and ask for the rest. */
static void begin_body(struct server_conn *conn, const struct http_head *head, struct span bytes)
{
    struct server *server = conn->server;

    /* HTTP/1.0 does not know the expectation (RFC 9110 10.1.1). */
    if (head->expects_continue && !conn->is_http10 && conn->body.tail == conn->body.head)
        server_write(conn, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
    conn->state = CONN_BODY;
    conn->deadline_us = loop_now_us(server->loop) + server->limits.body_ms * 1000;
    conn->head_len = bytes.len;
    buf_clear(&conn->in);
    buf_put_span(&conn->in, bytes);
    if (conn->in.failed)
        conn_close(conn);
}

/* A head has come in full at the front of `bytes`. */
static void begin_request(struct server_conn *conn, struct span bytes, size_t head_len)
{
    struct server *server = conn->server;
    struct http_head *head = &server->head;
    const char *why = "";
    struct span rest = span_from_offset(bytes, head_len);
    enum tg_status status = http_parse_request(span_of(bytes.ptr, head_len), head, &why);

    if (status != TG_OK) {
        refuse(conn, NULL, status, why);
        return;
    }
    conn->keeps_alive = head->keeps_alive && !server->is_draining;
    conn->is_http10 = head->minor_version == 0;
    conn->wants_head_only = head->method == METHOD_HEAD;
    http_body_init_request(&conn->reader, head);
    status = admit_body(conn, head, rest, &why);
    if (status == TG_OK)
        status = make_room(conn, head_len, head->content_length);
    if (status == TG_OK && !conn->reader.is_done)
        status = read_body(conn, rest, &rest);
    if (status == TG_OK) {
        serve(conn, head);
        keep_rest(conn, rest);
    } else if (status == TG_AGAIN) {
        begin_body(conn, head, span_of(bytes.ptr, head_len));
    } else {
        refuse(conn, head, status, why[0] != '\0' ? why : body_problem(status));
    }
}

static void input_body(struct server_conn *conn, struct span bytes)
{
    struct server *server = conn->server;
    const char *why = "";
    struct span rest = SPAN_EMPTY;
    enum tg_status status = read_body(conn, bytes, &rest);

    if (status == TG_AGAIN)
        return;
    /* The head was kept as bytes; reading it again is cheaper than keeping it in parts. */
    if (http_parse_request(span_of(conn->in.data + conn->in.head, conn->head_len), &server->head,
                           &why) != TG_OK)
        status = TG_INTERNAL;
    if (status == TG_OK)
        serve(conn, &server->head);
    else
        refuse(conn, &server->head, status, body_problem(status));
    if (conn->state == CONN_DEAD)
        return;
    buf_clear(&conn->in);
    keep_rest(conn, rest);
}

static void input_head(struct server_conn *conn, struct span bytes)
{
    const bool is_kept = buf_len(&conn->in) > 0;
    const size_t searched = buf_len(&conn->in);
    size_t end;

    if (is_kept) {
        buf_put_span(&conn->in, bytes);
        if (conn->in.failed) {
            refuse(conn, NULL, TG_HEADERS_TOO_LARGE, "The request head is larger than 32 KiB.");
            return;
        }
        bytes = buf_span(&conn->in);
    }
    if (http_find_head_end(bytes, searched, &end)) {
        struct buf in = conn->in;

        /* Handlers may look at the connection: what is being read is no longer in it. */
        buf_init(&conn->in, in.cap);
        begin_request(conn, bytes, end);
        buf_fini(&in);
        return;
    }
    if (bytes.len > HTTP_HEAD_MAX) {
        refuse(conn, NULL, TG_HEADERS_TOO_LARGE, "The request head is larger than 32 KiB.");
        return;
    }
    if (conn->state == CONN_IDLE) {
        conn->state = CONN_HEAD;
        conn->deadline_us = loop_now_us(conn->server->loop) + conn->server->limits.head_ms * 1000;
    }
    if (!is_kept)
        keep_rest(conn, bytes);
}

static void conn_input(struct server_conn *conn, struct span bytes)
{
    switch (conn->state) {
    case CONN_IDLE:
    case CONN_HEAD:
        input_head(conn, bytes);
        break;
    case CONN_BODY:
        input_body(conn, bytes);
        break;
    case CONN_LINGER:
        conn->lingered_bytes += (int64_t)bytes.len;
        if (conn->lingered_bytes > LINGER_BYTES_MAX)
            conn_close(conn);
        break;
    case CONN_BUSY:
    case CONN_DEAD:
        break;
    }
}

static void on_readable(struct server_conn *conn)
{
    char *scratch = loop_scratch(conn->server->loop);
    ssize_t got;

    /* What came behind the last request is read first, at the end of this turn. */
    if (!list_is_empty(&conn->next.node))
        return;
    if (conn->state == CONN_BUSY) {
        /* The next request has come early; it waits in the kernel. */
        loop_watch_set(conn->server->loop, &conn->watch, conn->watch.events & ~(uint32_t)EPOLLIN);
        return;
    }
    got = recv(conn->watch.fd, scratch, LOOP_SCRATCH_BYTES, 0);
    if (got > 0)
        conn_input(conn, span_of(scratch, (size_t)got));
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        conn_gone(conn);
}

static void on_conn_event(struct loop_watch *watch, uint32_t events)
{
    struct server_conn *conn = LIST_ENTRY(watch, struct server_conn, watch);

    if ((events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0) {
        conn_gone(conn);
        return;
    }
    if ((events & EPOLLOUT) != 0)
        conn_flush(conn);
    if ((events & EPOLLIN) != 0 && conn->state != CONN_DEAD)
        on_readable(conn);
}

/* --- listening ----------------------------------------------------------------------------------
 */

static void conn_open(struct server *server, int fd)
{
    struct server_conn *conn = calloc(1, sizeof(*conn));
    const int on = 1;

    if (conn == NULL) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* slower without, not wrong */
    conn->server = server;
    conn->watch.fd = fd;
    conn->watch.on_event = on_conn_event;
    conn->state = CONN_IDLE;
    conn->deadline_us = loop_now_us(server->loop) + server->limits.idle_ms * 1000;
    buf_init(&conn->in, HTTP_HEAD_MAX + LOOP_SCRATCH_BYTES);
    buf_init(&conn->out, SERVER_OUT_MAX);
    loop_task_init(&conn->flush, run_flush);
    loop_task_init(&conn->next, run_next);
    if (loop_watch_add(server->loop, &conn->watch, EPOLLIN | EPOLLRDHUP) != TG_OK) {
        close(fd);
        free(conn);
        return;
    }
    list_push_back(&server->conns, &conn->node);
    server->count++;
}

static void set_accepting(struct server *server, bool accept)
{
    if (server->is_accepting == accept || server->listener.fd < 0)
        return;
    server->is_accepting = accept;
    loop_watch_set(server->loop, &server->listener, accept ? EPOLLIN : 0);
}

static void on_accept(struct loop_watch *watch, uint32_t events)
{
    struct server *server = LIST_ENTRY(watch, struct server, listener);

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        int fd;

        if (server->count >= SERVER_CONNECTIONS_MAX) {
            set_accepting(server, false);
            return;
        }
        fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* Out of descriptors: the sweep tries again, a spinning listener would not help. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                set_accepting(server, false);
            return;
        }
        conn_open(server, fd);
    }
}

static void conn_expire(struct server_conn *conn)
{
    switch (conn->state) {
    case CONN_HEAD:
        refuse(conn, NULL, TG_REQUEST_TIMEOUT, "The request head did not arrive in time.");
        break;
    case CONN_BODY:
        refuse(conn, NULL, TG_REQUEST_TIMEOUT, "The request body did not arrive in time.");
        break;
    case CONN_BUSY:
        conn_gone(conn);
        break;
    case CONN_IDLE:
    case CONN_LINGER:
        conn_close(conn);
        break;
    case CONN_DEAD:
        break;
    }
}

static void on_sweep(struct loop_timer *timer)
{
    struct server *server = LIST_ENTRY(timer, struct server, sweep);
    const int64_t now_us = loop_now_us(server->loop);
    struct list *next;

    for (struct list *node = server->conns.next; node != &server->conns; node = next) {
        struct server_conn *conn = LIST_ENTRY(node, struct server_conn, node);

        next = node->next;
        if (conn->deadline_us <= now_us)
            conn_expire(conn);
    }
    if (!server->is_draining && server->count < SERVER_CONNECTIONS_MAX)
        set_accepting(server, true);
    loop_timer_set(server->loop, &server->sweep, now_us + SWEEP_US);
}

enum tg_status server_new(struct loop *loop, int fd, const struct server_limits *limits,
                          const struct server_handler *handler, struct server **ret_server)
{
    struct server *server = calloc(1, sizeof(*server));
    enum tg_status status;

    if (server == NULL)
        return TG_NO_MEMORY;
    server->loop = loop;
    server->limits = *limits;
    server->budget = limits->budget;
    server->handler = handler;
    server->listener.fd = fd;
    server->listener.on_event = on_accept;
    server->is_accepting = true;
    list_init(&server->conns);
    loop_timer_init(&server->sweep, on_sweep);
    status = loop_watch_add(loop, &server->listener, EPOLLIN);
    if (status != TG_OK) {
        free(server);
        return status;
    }
    loop_timer_set(loop, &server->sweep, loop_now_us(loop) + SWEEP_US);
    *ret_server = server;
    return TG_OK;
}

static void close_listener(struct server *server)
{
    if (server->listener.fd < 0)
        return;
    loop_watch_remove(server->loop, &server->listener);
    close(server->listener.fd);
    server->listener.fd = -1;
}

void server_drain(struct server *server)
{
    struct list *next;

    server->is_draining = true;
    close_listener(server);
    for (struct list *node = server->conns.next; node != &server->conns; node = next) {
        struct server_conn *conn = LIST_ENTRY(node, struct server_conn, node);

        next = node->next;
        if (conn->state == CONN_IDLE)
            conn_close(conn);
    }
}

void server_free(struct server *server)
{
    struct list *next;

    if (server == NULL)
        return;
    close_listener(server);
    loop_timer_clear(server->loop, &server->sweep);
    for (struct list *node = server->conns.next; node != &server->conns; node = next) {
        struct server_conn *conn = LIST_ENTRY(node, struct server_conn, node);

        next = node->next;
        conn->ops = NULL;
        conn_close(conn);
        list_remove(&conn->next.node);
        run_free(&conn->next);
    }
    free(server);
}

int server_connection_count(const struct server *server)
{
    return server->count;
}

int server_leaving_count(const struct server *server)
{
    return server->leaving;
}

void server_set_user(struct server_conn *conn, const struct server_user *ops, void *user)
{
    assert(conn->state == CONN_BUSY);
    conn->ops = ops;
    conn->user = user;
}

bool server_keeps_alive(const struct server_conn *conn)
{
    return conn->keeps_alive && !conn->server->is_draining;
}

bool server_is_http10(const struct server_conn *conn)
{
    return conn->is_http10;
}

void server_close_after(struct server_conn *conn)
{
    conn->keeps_alive = false;
}

bool server_wants_head_only(const struct server_conn *conn)
{
    return conn->wants_head_only;
}

int64_t server_take_body(struct server_conn *conn, struct buf *ret_body)
{
    const int64_t bytes = conn->budget_bytes;

    assert(conn->state == CONN_BUSY);
    *ret_body = conn->body;
    conn->body = (struct buf){ 0 };
    conn->budget_bytes = 0;
    return bytes;
}

void server_peer(const struct server_conn *conn, char *text, size_t size)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "?";

    if (getpeername(conn->watch.fd, (struct sockaddr *)&address, &len) == 0) {
        if (address.ss_family == AF_INET)
            inet_ntop(AF_INET, &((struct sockaddr_in *)&address)->sin_addr, host, sizeof(host));
        else if (address.ss_family == AF_INET6)
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&address)->sin6_addr, host, sizeof(host));
    }
    snprintf(text, size, "%s", host);
}

void server_finish(struct server_conn *conn, bool keep)
{
    if (conn->state == CONN_DEAD)
        return;
    assert(conn->state == CONN_BUSY && !conn->is_finished);
    conn->is_finished = true;
    conn->server->leaving++;
    conn->keep_after = keep && conn->keeps_alive;
    conn->ops = NULL;
    conn->user = NULL;
    schedule_flush(conn);
}

void server_abort(struct server_conn *conn)
{
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    if (conn->state == CONN_DEAD)
        return;
    conn->ops = NULL;
    conn->user = NULL;
    /* A reset, so that not even an answer that ends by close can be taken for a complete one. */
    (void)setsockopt(conn->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    conn_close(conn);
}
