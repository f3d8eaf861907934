/* Goal: whatever bytes a provider sends, in whatever pieces and with whatever end, a call gets its
 * answer exactly, or one failure that says truly whether anything was sent. Method: a scripted
 * provider on the same loop gives raw bytes, one answer a request in the order of the script, cut
 * at every offset; the loop runs until a condition holds, never for a time. */
#include "net/client.h"

#include "base/buf.h"
#include "base/clock.h"
#include "net/connector.h"
#include "support/suites.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST     "POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
#define GUARD_MS    20000
#define CONTENT_MAX (64 * 1024 * 1024)

/* --- the provider --- */

enum after { KEEP, CLOSE, RESET, STAY_SILENT };

struct answer {
    const char *bytes; /* NULL: none */
    size_t len;        /* 0: strlen */
    size_t cut;        /* first piece; 0: all at once */
    bool is_dribbled;  /* byte by byte */
    enum after after;
};

struct provider {
    struct loop_watch listener;
    int port;
    const struct answer *script;
    int script_len;
    int requests; /* heads seen */
    int accepted;
    int open;
    bool stops_reading; /* once it has a head */
    struct list conns;
};

struct provider_conn {
    struct loop_watch watch;
    struct loop_task send;
    struct list node;
    const struct answer *answer;
    size_t sent;
    char request[512]; /* its beginning */
    size_t request_len;
};

static struct loop *loop;
static struct connector *connector;
static struct client_pool *pool;
static struct provider provider;
static struct client_endpoint endpoint;
static struct loop_timer guard;
static bool (*until)(void);

static void provider_conn_close(struct provider_conn *conn, bool with_reset)
{
    const struct linger linger = { .l_onoff = 1, .l_linger = 0 };

    if (with_reset)
        (void)setsockopt(conn->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    loop_defer_cancel(&conn->send);
    loop_watch_remove(loop, &conn->watch);
    close(conn->watch.fd);
    list_remove(&conn->node);
    provider.open--;
    free(conn);
}

static void provider_conn_done(struct provider_conn *conn)
{
    const enum after after = conn->answer->after;

    conn->answer = NULL;
    conn->request_len = 0;
    if (after == CLOSE || after == RESET)
        provider_conn_close(conn, after == RESET);
}

static void on_provider_send(struct loop_task *task)
{
    struct provider_conn *conn = LIST_ENTRY(task, struct provider_conn, send);
    const struct answer *answer = conn->answer;
    const size_t len = answer->len > 0 ? answer->len : strlen(answer->bytes);
    size_t piece = len - conn->sent;
    ssize_t done;

    if (answer->is_dribbled)
        piece = 1;
    else if (conn->sent < answer->cut && answer->cut < len)
        piece = answer->cut - conn->sent;
    done = send(conn->watch.fd, answer->bytes + conn->sent, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done < 0 && errno != EAGAIN) {
        provider_conn_close(conn, false);
        return;
    }
    conn->sent += done > 0 ? (size_t)done : 0;
    if (conn->sent < len)
        loop_defer(loop, task);
    else
        provider_conn_done(conn);
}

static void provider_conn_answer(struct provider_conn *conn)
{
    const int number = provider.requests++;

    if (provider.stops_reading)
        loop_watch_set(loop, &conn->watch, 0);
    conn->answer = number < provider.script_len ? &provider.script[number] : NULL;
    conn->sent = 0;
    if (conn->answer == NULL || conn->answer->after == STAY_SILENT)
        conn->answer = NULL;
    else if (conn->answer->bytes == NULL)
        provider_conn_done(conn);
    else
        loop_defer(loop, &conn->send);
}

static void on_provider_event(struct loop_watch *watch, uint32_t events)
{
    struct provider_conn *conn = LIST_ENTRY(watch, struct provider_conn, watch);
    static char rest[65536];
    ssize_t got;

    (void)events;
    if (conn->request_len < sizeof conn->request)
        got = recv(watch->fd, conn->request + conn->request_len,
                   sizeof conn->request - conn->request_len, 0);
    else
        got = recv(watch->fd, rest, sizeof rest, 0);
    if (got <= 0) {
        provider_conn_close(conn, false);
        return;
    }
    if (conn->request_len == sizeof conn->request)
        return;
    conn->request_len += (size_t)got;
    if (conn->answer == NULL && memmem(conn->request, conn->request_len, "\r\n\r\n", 4) != NULL)
        provider_conn_answer(conn);
}

static void on_provider_accept(struct loop_watch *watch, uint32_t events)
{
    struct provider_conn *conn = calloc(1, sizeof *conn);
    const int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    const int on = 1;

    (void)events;
    ck_assert_ptr_nonnull(conn);
    ck_assert_int_ge(fd, 0);
    /* Each piece leaves at once. */
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    conn->watch = (struct loop_watch){ .fd = fd, .on_event = on_provider_event };
    loop_task_init(&conn->send, on_provider_send);
    list_push_back(&provider.conns, &conn->node);
    ck_assert_int_eq(loop_watch_add(loop, &conn->watch, EPOLLIN), TG_OK);
    provider.accepted++;
    provider.open++;
}

static void provider_start(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    provider = (struct provider){ .listener = { .fd = fd, .on_event = on_provider_accept } };
    list_init(&provider.conns);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 1024), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    provider.port = ntohs(address.sin_port);
    ck_assert_int_eq(loop_watch_add(loop, &provider.listener, EPOLLIN), TG_OK);
}

static void provider_close_all(bool with_reset)
{
    while (!list_is_empty(&provider.conns))
        provider_conn_close(LIST_ENTRY(provider.conns.next, struct provider_conn, node),
                            with_reset);
}

static void provider_stop(void)
{
    provider_close_all(false);
    loop_watch_remove(loop, &provider.listener);
    close(provider.listener.fd);
}

/* --- the caller --- */

struct caller {
    struct client_call call;
    struct buf content;
    int heads;
    int pieces;
    int status;
    bool has_ended;
    bool has_failed;
    enum tg_status failure;
    char why[200];
    bool pauses;       /* at each piece */
    bool cancels_head; /* in the callback */
    bool cancels_body;
    bool restarts; /* once, in on_end */
};

static struct caller caller;

static struct caller *caller_of(struct client_call *call)
{
    return LIST_ENTRY(call, struct caller, call);
}

static void on_head(struct client_call *call, const struct http_head *head)
{
    struct caller *self = caller_of(call);

    self->heads++;
    self->status = head->status;
    if (self->cancels_head)
        client_call_cancel(call);
}

static void on_body(struct client_call *call, struct span content)
{
    struct caller *self = caller_of(call);

    ck_assert_int_eq(self->heads, 1);
    ck_assert_uint_gt(content.len, 0);
    buf_put_span(&self->content, content);
    ck_assert(!self->content.failed);
    self->pieces++;
    if (self->pauses)
        client_call_pause(call);
    if (self->cancels_body)
        client_call_cancel(call);
}

static void on_end(struct client_call *call)
{
    struct caller *self = caller_of(call);

    ck_assert(!self->has_ended);
    ck_assert(!self->has_failed);
    self->has_ended = true;
    if (self->restarts) {
        self->restarts = false;
        self->has_ended = false;
        self->heads = 0;
        client_call_start(pool, call, &endpoint);
    }
}

static void on_fail(struct client_call *call, enum tg_status status, const char *why)
{
    struct caller *self = caller_of(call);

    ck_assert(!self->has_ended);
    ck_assert(!self->has_failed);
    self->has_failed = true;
    self->failure = status;
    (void)snprintf(self->why, sizeof self->why, "%s", why);
}

static void caller_init(struct caller *self)
{
    memset(self, 0, sizeof *self);
    buf_init(&self->content, CONTENT_MAX);
    self->call = (struct client_call){ .on_head = on_head,
                                       .on_body = on_body,
                                       .on_end = on_end,
                                       .on_fail = on_fail,
                                       .request = SPAN(REQUEST),
                                       .first_byte_ms = 10000,
                                       .idle_ms = 10000 };
}

/* --- running --- */

static void on_wait(void *context)
{
    (void)context;
    if (until != NULL && until())
        loop_stop(loop);
}

static void on_guard(struct loop_timer *timer)
{
    (void)timer;
    ck_abort_msg("the condition was never met");
}

static void run_until(bool (*condition)(void))
{
    until = condition;
    loop_timer_set(loop, &guard, loop_now_us(loop) + GUARD_MS * 1000);
    if (!condition())
        loop_run(loop);
    ck_assert(condition());
    loop_timer_clear(loop, &guard);
    until = NULL;
}

static bool caller_is_done(void)
{
    return caller.has_ended || caller.has_failed;
}

static void call_now(void)
{
    client_call_start(pool, &caller.call, &endpoint);
    run_until(caller_is_done);
}

static void call_again(void)
{
    buf_fini(&caller.content);
    caller_init(&caller);
    call_now();
}

static void use_script(const struct answer *script, int len)
{
    provider.script = script;
    provider.script_len = len;
    provider.requests = 0;
}

#define USE_SCRIPT(script) use_script((script), (int)(sizeof(script) / sizeof((script)[0])))

static void assert_ended_with(const char *content)
{
    ck_assert_msg(caller.has_ended, "failed: %s", caller.why);
    ck_assert_int_eq(caller.heads, 1);
    ck_assert_uint_eq(buf_len(&caller.content), strlen(content));
    ck_assert_mem_eq(buf_len(&caller.content) > 0 ? buf_span(&caller.content).ptr : "", content,
                     strlen(content));
}

static void assert_failed_with(enum tg_status status)
{
    ck_assert(caller.has_failed);
    ck_assert_msg(caller.failure == status, "%s: %s", tg_status_info(caller.failure)->name,
                  caller.why);
    ck_assert_str_ne(caller.why, "");
}

static int idle_count(void)
{
    struct client_pool_stats stats;

    client_pool_stats(pool, &stats);
    return stats.idle;
}

static atomic_llong clock_skew_us;

static int64_t skewed_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + clock_skew_us;
}

static int64_t no_wall_ms(void)
{
    return 0;
}

static void setup(void)
{
    static const struct clock_source source = { no_wall_ms, skewed_us };
    const struct loop_hooks hooks = { .on_wait = on_wait };

    clock_skew_us = 0;
    clock_use(&source);
    ck_assert_int_eq(loop_new(&hooks, &loop), TG_OK);
    ck_assert_int_eq(connector_new(NULL, &connector), TG_OK);
    ck_assert_int_eq(client_pool_new(loop, connector, &pool), TG_OK);
    loop_timer_init(&guard, on_guard);
    provider_start();
    endpoint = (struct client_endpoint){
        .host = "127.0.0.1", .port = provider.port, .authority = "a", .identity = 1
    };
    caller_init(&caller);
}

static void teardown(void)
{
    client_call_cancel(&caller.call);
    client_pool_free(pool);
    provider_stop();
    connector_free(connector);
    loop_free(loop);
    buf_fini(&caller.content);
    clock_use(NULL);
}

/* --- whole answers --- */

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define HELLO_CHUNKED                                                                              \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"                                        \
    "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"
#define HELLO_CLOSED "HTTP/1.1 200 OK\r\n\r\nhello"
#define HELLO_LATE   "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" HELLO

static const struct good {
    const char *bytes;
    bool keeps;
} goods[] = {
    { HELLO, true },
    { HELLO_CHUNKED, true },
    { HELLO_LATE, true },
    { HELLO_CLOSED, false },
    { "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", false },
    { "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", false },
};

START_TEST(an_answer_cut_at_any_offset_arrives_whole_and_decides_on_reuse)
{
    const struct good *good = &goods[_i];
    const size_t len = strlen(good->bytes);

    for (size_t cut = 0; cut < len; cut++) {
        const struct answer script[] = {
            { .bytes = good->bytes, .cut = cut, .after = good->keeps ? KEEP : CLOSE }
        };

        USE_SCRIPT(script);
        call_again();
        assert_ended_with("hello");
        ck_assert_int_eq(caller.status, 200);
        ck_assert_int_eq(idle_count(), good->keeps ? 1 : 0);
        ck_assert(caller.call.was_sent);
        ck_assert_int_gt(caller.call.sent_us, 0);
        ck_assert_int_ge(caller.call.first_byte_us, caller.call.sent_us);
        ck_assert_int_eq(caller.call.was_reused, good->keeps && cut > 0);
    }
    if (good->keeps)
        ck_assert_int_eq(provider.accepted, 1);
}
END_TEST

START_TEST(an_answer_byte_by_byte_arrives_whole)
{
    const struct answer script[] = {
        { .bytes = goods[_i].bytes, .is_dribbled = true, .after = goods[_i].keeps ? KEEP : CLOSE }
    };

    USE_SCRIPT(script);
    call_now();
    assert_ended_with("hello");
}
END_TEST

START_TEST(an_answer_without_a_body_ends_at_its_head)
{
    static const struct answer script[] = {
        { .bytes = "HTTP/1.1 204 No Content\r\n\r\n" },
        { .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" },
    };

    USE_SCRIPT(script);
    call_now();
    assert_ended_with("");
    ck_assert_int_eq(caller.status, 204);
    caller_init(&caller);
    caller.call.is_head_request = true;
    call_now();
    assert_ended_with("");
    ck_assert_int_eq(provider.accepted, 1);
}
END_TEST

START_TEST(a_long_answer_arrives_whole)
{
    enum { LEN = 8 * 1024 * 1024 };
    char *bytes = malloc(LEN + 100);
    struct answer script[1] = { { .bytes = bytes } };
    int head;

    ck_assert_ptr_nonnull(bytes);
    head = sprintf(bytes, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LEN);
    for (int i = 0; i < LEN; i++)
        bytes[head + i] = (char)(i * 7 + i / 251);
    script[0].len = (size_t)(head + LEN);
    USE_SCRIPT(script);
    call_now();
    ck_assert(caller.has_ended);
    ck_assert_uint_eq(buf_len(&caller.content), LEN);
    ck_assert_int_eq(memcmp(buf_span(&caller.content).ptr, bytes + head, LEN), 0);
    free(bytes);
}
END_TEST

START_TEST(a_long_request_arrives_whole_before_the_answer)
{
    enum { LEN = 16 * 1024 * 1024 };
    static const struct answer script[] = { { .bytes = HELLO } };
    char *request = malloc(LEN);

    ck_assert_ptr_nonnull(request);
    memset(request, 'x', LEN);
    memcpy(request, "POST / HTTP/1.1\r\nHost: a\r\n", 26);
    memcpy(request + LEN - 4, "\r\n\r\n", 4);
    memset(request + 26, 'y', 10);
    request[36] = ':';
    USE_SCRIPT(script);
    caller.call.request = span_of(request, LEN);
    /* The provider's look for the end of a head sees the first bytes only, so it must be told. */
    memcpy(request + 300, "\r\n\r\n", 4);
    call_now();
    ck_assert(caller.has_ended);
    free(request);
}
END_TEST

/* --- bad answers --- */

static const struct bad {
    const char *bytes;
    enum after after;
    enum tg_status status;
} bads[] = {
    { "garbage\r\n\r\n", KEEP, TG_UPSTREAM_INVALID },
    { "garbage without an end", KEEP, TG_UPSTREAM_INVALID },
    { "HTTP/2 200\r\n\r\n", KEEP, TG_UPSTREAM_INVALID },
    { "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", KEEP, TG_UPSTREAM_INVALID },
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", KEEP,
      TG_UPSTREAM_INVALID },
    { "HTTP/1.1 101 Switching Protocols\r\n\r\n", KEEP, TG_UPSTREAM_INVALID },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", KEEP, TG_UPSTREAM_INVALID },
    { NULL, CLOSE, TG_CLOSED },
    { NULL, RESET, TG_CLOSED },
    { "HTTP/1.1 200", CLOSE, TG_CLOSED },
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", CLOSE, TG_CLOSED },
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", RESET, TG_CLOSED },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", CLOSE, TG_CLOSED },
    { HELLO_CLOSED, RESET, TG_CLOSED },
};

START_TEST(a_bad_answer_on_a_fresh_connection_fails_and_is_not_asked_for_again)
{
    const struct answer script[] = { { .bytes = bads[_i].bytes, .after = bads[_i].after },
                                     { .bytes = HELLO } };

    USE_SCRIPT(script);
    call_now();
    assert_failed_with(bads[_i].status);
    ck_assert_int_eq(provider.requests, 1);
    ck_assert(caller.call.was_sent);
    ck_assert(!caller.call.was_resent);
    ck_assert_int_eq(idle_count(), 0);
}
END_TEST

START_TEST(a_head_of_the_largest_size_passes_and_one_byte_more_does_not)
{
    static const char start[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";

    for (int extra = 0; extra < 2; extra++) {
        const size_t len = HTTP_HEAD_MAX + (size_t)extra;
        char *bytes = malloc(len);
        const struct answer script[] = { { .bytes = bytes, .len = len, .cut = 1000 } };

        ck_assert_ptr_nonnull(bytes);
        memset(bytes, 'x', len);
        memcpy(bytes, start, sizeof start - 1);
        memcpy(bytes + len - 4, "\r\n\r\n", 4);
        USE_SCRIPT(script);
        call_again();
        if (extra == 0)
            assert_ended_with("");
        else
            assert_failed_with(TG_UPSTREAM_INVALID);
        free(bytes);
    }
}
END_TEST

START_TEST(more_interim_answers_than_allowed_are_refused)
{
    char bytes[2000] = "";
    const struct answer script[] = { { .bytes = bytes } };

    for (int count = CLIENT_INTERIM_MAX; count <= CLIENT_INTERIM_MAX + 1; count++) {
        bytes[0] = '\0';
        for (int i = 0; i < count; i++)
            strcat(bytes, "HTTP/1.1 102 Processing\r\n\r\n");
        strcat(bytes, HELLO);
        USE_SCRIPT(script);
        call_again();
        if (count == CLIENT_INTERIM_MAX)
            assert_ended_with("hello");
        else
            assert_failed_with(TG_UPSTREAM_INVALID);
    }
}
END_TEST

/* --- reuse --- */

START_TEST(bytes_left_over_after_an_answer_end_the_connection)
{
    static const struct answer script[] = { { .bytes = HELLO "x" }, { .bytes = HELLO } };

    USE_SCRIPT(script);
    call_now();
    assert_ended_with("hello");
    ck_assert_int_eq(idle_count(), 0);
    call_again();
    assert_ended_with("hello");
    ck_assert(!caller.call.was_reused);
    ck_assert_int_eq(provider.accepted, 2);
}
END_TEST

static bool none_is_idle(void)
{
    return idle_count() == 0;
}

START_TEST(an_idle_connection_on_which_anything_happens_is_closed)
{
    static const struct answer script[] = { { .bytes = HELLO }, { .bytes = HELLO } };

    USE_SCRIPT(script);
    call_now();
    ck_assert_int_eq(idle_count(), 1);
    if (_i == 0)
        provider_close_all(false);
    else if (_i == 1)
        provider_close_all(true);
    else
        ck_assert_int_eq(send(LIST_ENTRY(provider.conns.next, struct provider_conn, node)->watch.fd,
                              HELLO, sizeof HELLO - 1, MSG_NOSIGNAL),
                         sizeof HELLO - 1);
    run_until(none_is_idle);
    call_again();
    assert_ended_with("hello");
    ck_assert(!caller.call.was_reused);
}
END_TEST

/* The reused connection ends with its request in flight, in each way it can. */
START_TEST(a_request_on_a_reused_connection_that_ends_before_a_byte_is_sent_once_more)
{
    const struct answer script[] = { { .bytes = HELLO },
                                     { .bytes = NULL, .after = _i == 0 ? CLOSE : RESET },
                                     { .bytes = HELLO_CHUNKED } };

    USE_SCRIPT(script);
    call_now();
    call_again();
    assert_ended_with("hello");
    ck_assert(caller.call.was_resent);
    ck_assert(!caller.call.was_reused);
    ck_assert_int_eq(provider.requests, 3);
    ck_assert_int_eq(provider.accepted, 2);
}
END_TEST

START_TEST(a_request_is_sent_at_most_twice)
{
    static const struct answer script[] = { { .bytes = HELLO },
                                            { .bytes = NULL, .after = CLOSE },
                                            { .bytes = NULL, .after = CLOSE },
                                            { .bytes = HELLO } };

    USE_SCRIPT(script);
    call_now();
    call_again();
    assert_failed_with(TG_CLOSED);
    ck_assert_int_eq(provider.requests, 3);
}
END_TEST

START_TEST(a_reused_connection_that_ends_after_a_byte_fails)
{
    static const struct answer script[] = { { .bytes = HELLO },
                                            { .bytes = "H", .after = CLOSE },
                                            { .bytes = HELLO } };

    USE_SCRIPT(script);
    call_now();
    call_again();
    assert_failed_with(TG_CLOSED);
    ck_assert(!caller.call.was_resent);
    ck_assert_int_eq(provider.requests, 2);
}
END_TEST

START_TEST(a_resent_request_takes_no_connection_that_has_served)
{
    static const struct answer script[] = { { .bytes = NULL, .after = STAY_SILENT },
                                            { .bytes = HELLO },
                                            { .bytes = NULL, .after = CLOSE },
                                            { .bytes = HELLO } };
    static struct caller other;

    USE_SCRIPT(script);
    caller_init(&other);
    client_call_start(pool, &other.call, &endpoint); /* holds a connection */
    call_now();
    call_again();
    assert_ended_with("hello");
    ck_assert(caller.call.was_resent);
    ck_assert_int_eq(provider.accepted, 3);
    client_call_cancel(&other.call);
    buf_fini(&other.content);
}
END_TEST

static bool provider_has_none(void)
{
    return provider.open == 0;
}

static void on_nothing(struct loop_task *task)
{
    (void)task;
}

START_TEST(an_idle_connection_is_closed_when_it_is_old)
{
    static const struct answer script[] = { { .bytes = HELLO } };
    struct loop_task nudge;

    USE_SCRIPT(script);
    call_now();
    ck_assert_int_eq(idle_count(), 1);
    clock_skew_us += (CLIENT_IDLE_MS - 2000) * 1000;
    loop_task_init(&nudge, on_nothing);
    loop_post(loop, &nudge);
    loop_stop(loop);
    loop_run(loop);
    ck_assert_int_eq(idle_count(), 1);
    clock_skew_us += 3000 * 1000;
    loop_post(loop, &nudge);
    loop_stop(loop);
    loop_run(loop);
    ck_assert_int_eq(idle_count(), 0);
    run_until(provider_has_none);
}
END_TEST

START_TEST(a_call_may_start_again_when_it_ends)
{
    static const struct answer script[] = { { .bytes = HELLO }, { .bytes = HELLO } };

    USE_SCRIPT(script);
    caller.restarts = true;
    call_now();
    ck_assert_uint_eq(buf_len(&caller.content), 10);
    ck_assert(caller.call.was_reused);
    ck_assert_int_eq(provider.accepted, 1);
}
END_TEST

/* --- early answers --- */

START_TEST(an_early_answer_is_delivered_and_its_connection_closed)
{
    enum { LEN = 32 * 1024 * 1024 };
    const struct answer script[] = { { .bytes = HELLO, .after = _i == 0 ? KEEP : CLOSE } };
    char *request = calloc(1, LEN);

    ck_assert_ptr_nonnull(request);
    memcpy(request, REQUEST, sizeof REQUEST - 1);
    provider.stops_reading = true;
    USE_SCRIPT(script);
    caller.call.request = span_of(request, LEN);
    call_now();
    if (_i == 0)
        assert_ended_with("hello");
    else if (caller.has_failed)
        assert_failed_with(TG_CLOSED); /* the reset may have overtaken the answer */
    ck_assert_int_eq(caller.call.sent_us, 0);
    ck_assert(caller.call.was_sent);
    ck_assert_int_eq(idle_count(), 0);
    free(request);
}
END_TEST

/* --- pause --- */

static bool has_a_piece(void)
{
    return caller.pieces > 0 || caller_is_done();
}

static int turns_left;

static bool turns_are_over(void)
{
    return turns_left <= 0;
}

static void on_count_turn(struct loop_task *task)
{
    if (--turns_left > 0)
        loop_defer(loop, task);
}

static void run_turns(int turns)
{
    struct loop_task task;

    loop_task_init(&task, on_count_turn);
    turns_left = turns;
    loop_defer(loop, &task);
    run_until(turns_are_over);
}

START_TEST(a_paused_call_gets_nothing_until_it_is_resumed)
{
    enum { LEN = 4 * 1024 * 1024 };
    char *bytes = malloc(LEN + 100);
    struct answer script[1] = { { .bytes = bytes, .after = (enum after)_i } };
    int rounds = 0;
    int head;

    ck_assert_ptr_nonnull(bytes);
    head = sprintf(bytes, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LEN);
    memset(bytes + head, 'z', LEN);
    script[0].len = (size_t)(head + LEN);
    USE_SCRIPT(script);
    caller.pauses = true;
    client_call_start(pool, &caller.call, &endpoint);
    while (!caller_is_done()) {
        int before;

        run_until(has_a_piece);
        if (caller_is_done())
            break;
        before = caller.pieces;
        if (rounds++ < 5)
            run_turns(20);
        ck_assert_int_eq(caller.pieces, before);
        caller.pieces = 0;
        client_call_resume(&caller.call);
    }
    if (script[0].after != RESET) {
        ck_assert_msg(caller.has_ended, "%s", caller.why);
        ck_assert_uint_eq(buf_len(&caller.content), LEN);
        ck_assert_int_ge(rounds, LEN / LOOP_SCRATCH_BYTES);
    }
    free(bytes);
}
END_TEST

START_TEST(the_end_of_a_paused_connection_is_told_after_resume)
{
    static const struct answer script[] = {
        { .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", .after = CLOSE },
        { .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", .after = RESET }
    };

    use_script(&script[_i], 1);
    caller.pauses = true;
    client_call_start(pool, &caller.call, &endpoint);
    run_until(has_a_piece);
    run_until(provider_has_none);
    run_turns(20); /* neither told nor spinning */
    ck_assert(!caller_is_done());
    client_call_resume(&caller.call);
    run_until(caller_is_done);
    assert_failed_with(TG_CLOSED);
    ck_assert_uint_eq(buf_len(&caller.content), 5);
}
END_TEST

/* --- cancel --- */

static bool has_connected(void)
{
    return provider.accepted > 0 && idle_count() == 1;
}

START_TEST(a_call_cancelled_while_connecting_leaves_the_connection_to_the_next)
{
    static const struct answer script[] = { { .bytes = HELLO } };

    USE_SCRIPT(script);
    client_call_start(pool, &caller.call, &endpoint);
    client_call_cancel(&caller.call);
    client_call_cancel(&caller.call); /* harmless */
    run_until(has_connected);
    call_again();
    assert_ended_with("hello");
    ck_assert_int_eq(provider.accepted, 1);
    ck_assert(!caller.call.was_reused); /* it had not served */
}
END_TEST

static bool provider_was_asked(void)
{
    return provider.requests > 0;
}

static bool provider_saw_the_end(void)
{
    return provider.accepted > 0 && provider.open == 0;
}

START_TEST(a_call_cancelled_while_waiting_for_the_answer_closes_its_connection)
{
    static const struct answer script[] = { { .after = STAY_SILENT } };

    USE_SCRIPT(script);
    client_call_start(pool, &caller.call, &endpoint);
    run_until(provider_was_asked);
    client_call_cancel(&caller.call);
    run_until(provider_saw_the_end);
    ck_assert(!caller_is_done());
}
END_TEST

START_TEST(a_call_cancelled_while_sending_closes_its_connection)
{
    enum { LEN = 32 * 1024 * 1024 };
    char *request = calloc(1, LEN);
    static const struct answer script[] = { { .after = STAY_SILENT } };

    ck_assert_ptr_nonnull(request);
    memcpy(request, REQUEST, sizeof REQUEST - 1);
    provider.stops_reading = true;
    USE_SCRIPT(script);
    caller.call.request = span_of(request, LEN);
    client_call_start(pool, &caller.call, &endpoint);
    run_until(provider_was_asked);
    client_call_cancel(&caller.call);
    free(request);
    run_turns(3);
    ck_assert(!caller_is_done());
    ck_assert_int_eq(idle_count(), 0);
}
END_TEST

START_TEST(a_call_may_be_cancelled_in_its_callbacks)
{
    static const struct answer script[] = { { .bytes = HELLO_CHUNKED, .cut = 20 } };

    USE_SCRIPT(script);
    caller.cancels_head = _i == 0;
    caller.cancels_body = _i == 1;
    client_call_start(pool, &caller.call, &endpoint);
    run_until(provider_saw_the_end);
    ck_assert(!caller_is_done());
    ck_assert_int_eq(caller.pieces, _i);
}
END_TEST

/* --- limits of time --- */

static const struct {
    struct answer answer;
    int heads;
} silences[] = {
    { { .after = STAY_SILENT }, 0 },
    { { .bytes = "HTTP/1.1 2" }, 0 },
    { { .bytes = "HTTP/1.1 102 Processing\r\n\r\n" }, 0 },
    { { .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" }, 1 },
    { { .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell" }, 1 },
};

START_TEST(a_provider_that_falls_silent_is_given_up)
{
    use_script(&silences[_i].answer, 1);
    caller.call.first_byte_ms = 30;
    caller.call.idle_ms = 30;
    call_now();
    assert_failed_with(TG_UPSTREAM_TIMEOUT);
    ck_assert_int_eq(caller.heads, silences[_i].heads);
    run_until(provider_saw_the_end);
}
END_TEST

START_TEST(a_provider_that_takes_no_more_of_a_request_is_given_up)
{
    enum { LEN = 32 * 1024 * 1024 };
    char *request = calloc(1, LEN);
    static const struct answer script[] = { { .after = STAY_SILENT } };

    ck_assert_ptr_nonnull(request);
    memcpy(request, REQUEST, sizeof REQUEST - 1);
    provider.stops_reading = true;
    USE_SCRIPT(script);
    caller.call.request = span_of(request, LEN);
    caller.call.idle_ms = 50;
    call_now();
    assert_failed_with(TG_UPSTREAM_TIMEOUT);
    free(request);
}
END_TEST

START_TEST(a_paused_call_is_not_given_up)
{
    static const struct answer script[] = {
        { .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello" }
    };

    USE_SCRIPT(script);
    caller.call.idle_ms = 100;
    caller.pauses = true;
    client_call_start(pool, &caller.call, &endpoint);
    run_until(has_a_piece);
    for (int i = 0; i < 5; i++) {
        clock_skew_us += 200 * 1000;
        run_turns(3);
        ck_assert(!caller_is_done());
    }
    client_call_resume(&caller.call);
    run_until(caller_is_done);
    assert_failed_with(TG_UPSTREAM_TIMEOUT);
}
END_TEST

/* --- many --- */

enum { CALLERS = 200, EACH = 5 };

static struct caller crowd[CALLERS];
static int crowd_ended;

static bool crowd_is_done(void)
{
    return crowd_ended == CALLERS * EACH;
}

static void on_crowd_end(struct client_call *call)
{
    struct caller *self = caller_of(call);

    ck_assert_uint_eq(buf_len(&self->content), 5);
    buf_clear(&self->content);
    self->heads = 0;
    crowd_ended++;
    if (++self->status % 1000 < EACH)
        client_call_start(pool, call, &endpoint);
}

static void on_crowd_head(struct client_call *call, const struct http_head *head)
{
    ck_assert_int_eq(head->status, 200);
    caller_of(call)->heads++;
}

START_TEST(a_crowd_of_calls_is_served_each_in_full)
{
    struct answer *script = calloc((size_t)CALLERS * EACH, sizeof *script);
    struct client_pool_stats stats;

    ck_assert_ptr_nonnull(script);
    crowd_ended = 0;
    for (int i = 0; i < CALLERS * EACH; i++)
        script[i] =
            (struct answer){ .bytes = i % 2 == 0 ? HELLO : HELLO_CHUNKED, .cut = (size_t)(i % 40) };
    use_script(script, CALLERS * EACH);
    for (int i = 0; i < CALLERS; i++) {
        caller_init(&crowd[i]);
        crowd[i].call.on_end = on_crowd_end;
        crowd[i].call.on_head = on_crowd_head;
        client_call_start(pool, &crowd[i].call, &endpoint);
    }
    run_until(crowd_is_done);
    client_pool_stats(pool, &stats);
    ck_assert_int_eq(stats.busy, 0);
    ck_assert_int_eq(stats.waiting, 0);
    ck_assert_int_le(provider.accepted, CALLERS);
    for (int i = 0; i < CALLERS; i++)
        buf_fini(&crowd[i].content);
    free(script);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite(void)
{
    Suite *all = suite_create("net/client");
    TCase *cases = tcase_create("client");

    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, an_answer_cut_at_any_offset_arrives_whole_and_decides_on_reuse, 0,
                        COUNT(goods));
    tcase_add_loop_test(cases, an_answer_byte_by_byte_arrives_whole, 0, COUNT(goods));
    tcase_add_test(cases, an_answer_without_a_body_ends_at_its_head);
    tcase_add_test(cases, a_long_answer_arrives_whole);
    tcase_add_test(cases, a_long_request_arrives_whole_before_the_answer);
    tcase_add_loop_test(cases, a_bad_answer_on_a_fresh_connection_fails_and_is_not_asked_for_again,
                        0, COUNT(bads));
    tcase_add_test(cases, a_head_of_the_largest_size_passes_and_one_byte_more_does_not);
    tcase_add_test(cases, more_interim_answers_than_allowed_are_refused);
    tcase_add_test(cases, bytes_left_over_after_an_answer_end_the_connection);
    tcase_add_loop_test(cases, an_idle_connection_on_which_anything_happens_is_closed, 0, 3);
    tcase_add_loop_test(
        cases, a_request_on_a_reused_connection_that_ends_before_a_byte_is_sent_once_more, 0, 2);
    tcase_add_test(cases, a_request_is_sent_at_most_twice);
    tcase_add_test(cases, a_reused_connection_that_ends_after_a_byte_fails);
    tcase_add_test(cases, a_resent_request_takes_no_connection_that_has_served);
    tcase_add_test(cases, an_idle_connection_is_closed_when_it_is_old);
    tcase_add_test(cases, a_call_may_start_again_when_it_ends);
    tcase_add_loop_test(cases, an_early_answer_is_delivered_and_its_connection_closed, 0, 2);
    tcase_add_loop_test(cases, a_paused_call_gets_nothing_until_it_is_resumed, KEEP, RESET + 1);
    tcase_add_loop_test(cases, the_end_of_a_paused_connection_is_told_after_resume, 0, 2);
    tcase_add_test(cases, a_call_cancelled_while_connecting_leaves_the_connection_to_the_next);
    tcase_add_test(cases, a_call_cancelled_while_waiting_for_the_answer_closes_its_connection);
    tcase_add_test(cases, a_call_cancelled_while_sending_closes_its_connection);
    tcase_add_loop_test(cases, a_call_may_be_cancelled_in_its_callbacks, 0, 2);
    tcase_add_loop_test(cases, a_provider_that_falls_silent_is_given_up, 0, COUNT(silences));
    tcase_add_test(cases, a_provider_that_takes_no_more_of_a_request_is_given_up);
    tcase_add_test(cases, a_paused_call_is_not_given_up);
    tcase_add_test(cases, a_crowd_of_calls_is_served_each_in_full);
    suite_add_tcase(all, cases);
    return all;
}
