#include "sim_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim_provider.h"
#include "sim_timer.h"

#define READ_BYTES ((size_t)16 * 1024)

struct sim_conn {
    int fd; /* -1: the peer has left and the generation goes on alone */
    SSL *ssl;
    uint32_t interest; /* what epoll watches */
    struct sim_timer timer;
    int64_t limit_us;
    struct sim_buf in;
    size_t in_used;
    struct sim_http http;
    bool has_answered;         /* the request at hand has had its answer, early */
    struct sim_answer *answer; /* NULL while reading */
    size_t step;
    size_t sent;     /* of the step, bytes */
    bool has_begun;  /* the step's bytes are on their way */
    bool is_waiting; /* the timer is the step's, not the limit's */
    int64_t pace_us; /* when the last wait was due, so that waits do not drift */
    int64_t events;  /* content events generated so far */
    bool is_stalled;
};

static struct sim_conn_config config;
static size_t open_conns;

/* What an attempt to move bytes came to. */
enum moved { MOVED, MOVED_NONE, MOVED_GONE };

void sim_conn_setup(const struct sim_conn_config *given)
{
    config = *given;
}

static void want(struct sim_conn *conn, uint32_t interest)
{
    struct epoll_event event = { .events = interest | EPOLLRDHUP, .data.ptr = conn };

    if (conn->fd < 0 || conn->interest == event.events)
        return;
    conn->interest = event.events;
    (void)epoll_ctl(config.epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

static void wait_until(struct sim_conn *conn, int64_t due_us)
{
    conn->is_waiting = true;
    sim_timer_set(&conn->timer, due_us < conn->limit_us ? due_us : conn->limit_us);
}

static void close_socket(struct sim_conn *conn)
{
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

static void free_conn(struct sim_conn *conn)
{
    if (conn->answer != NULL && conn->answer->generation != NULL)
        sim_bill_add(conn->answer->generation, conn->events, "client_gone");
    sim_timer_stop(&conn->timer);
    close_socket(conn);
    sim_answer_free(conn->answer);
    sim_buf_fini(&conn->in);
    sim_http_fini(&conn->http);
    free(conn);
    open_conns--;
}

/* End the connection as an answer's last step says. */
static void end_conn(struct sim_conn *conn, enum sim_then how)
{
    if (how == SIM_THEN_RESET && conn->fd >= 0) {
        const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    if (how == SIM_THEN_NEXT && conn->ssl != NULL)
        (void)SSL_shutdown(conn->ssl); /* a cut comes without close_notify */
    free_conn(conn);
}

static enum moved tls_outcome(const struct sim_conn *conn, int ret)
{
    switch (SSL_get_error(conn->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return MOVED_NONE;
    default:
        return MOVED_GONE;
    }
}

static enum moved send_some(struct sim_conn *conn, struct sim_span bytes, size_t *ret_len)
{
    ssize_t len;

    if (conn->fd < 0 || bytes.len == 0) {
        *ret_len = bytes.len;
        return MOVED;
    }
    if (conn->ssl != NULL) {
        ERR_clear_error();
        len = SSL_write(conn->ssl, bytes.ptr, bytes.len > INT32_MAX ? INT32_MAX : (int)bytes.len);
        if (len <= 0)
            return tls_outcome(conn, (int)len);
    } else {
        len = send(conn->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (len < 0)
            return errno == EAGAIN || errno == EINTR ? MOVED_NONE : MOVED_GONE;
    }
    *ret_len = (size_t)len;
    return MOVED;
}

static enum moved receive_some(struct sim_conn *conn)
{
    ssize_t len;

    sim_buf_need(&conn->in, READ_BYTES);
    char *into = conn->in.ptr + conn->in.len;

    if (conn->ssl != NULL) {
        ERR_clear_error();
        len = SSL_read(conn->ssl, into, (int)READ_BYTES);
        if (len <= 0)
            return tls_outcome(conn, (int)len);
    } else {
        len = recv(conn->fd, into, READ_BYTES, 0);
        if (len < 0)
            return errno == EAGAIN || errno == EINTR ? MOVED_NONE : MOVED_GONE;
        if (len == 0)
            return MOVED_GONE;
    }
    conn->in.len += (size_t)len;
    return MOVED;
}

/* How far an answer got in one go. */
enum progress {
    PROGRESS_DONE,    /* the answer is out; the connection is ready for the next request */
    PROGRESS_BLOCKED, /* a timer or epoll will call again */
    PROGRESS_FREED,
};

static void begin_step(struct sim_conn *conn, const struct sim_step *step)
{
    struct sim_generation *generation = conn->answer->generation;

    conn->has_begun = true;
    conn->sent = 0;
    conn->events = step->events;
    if (generation == NULL)
        return;
    generation->is_begun = generation->is_begun || step->len > 0;
    if (step->bills)
        sim_bill_add(generation, step->events, conn->fd < 0 ? "client_gone" : conn->answer->ending);
}

/* ret: true when the step must wait before its first byte. */
static bool must_wait(struct sim_conn *conn, const struct sim_step *step)
{
    if (conn->has_begun || step->wait_ms == 0)
        return false;
    if (!conn->is_waiting) {
        conn->pace_us += step->wait_ms * 1000;
        wait_until(conn, conn->pace_us);
    }
    if (sim_clock_us() < conn->pace_us)
        return true;
    conn->is_waiting = false;
    return false;
}

static enum progress finish_step(struct sim_conn *conn, const struct sim_step *step)
{
    conn->has_begun = false;
    conn->step++;
    if (step->then == SIM_THEN_STALL && conn->fd >= 0) {
        conn->is_stalled = true;
        want(conn, 0);
        return PROGRESS_BLOCKED;
    }
    if (step->then != SIM_THEN_NEXT) {
        end_conn(conn, step->then);
        return PROGRESS_FREED;
    }
    return PROGRESS_DONE;
}

/* ret: true when the generation should run to its end, and be billed, with nobody listening. */
static bool goes_on_alone(const struct sim_conn *conn)
{
    return config.finishes_alone && !conn->answer->has_fault && conn->answer->generation != NULL;
}

/* Send one piece of the step. ret: DONE when it went out and the next may follow at once. */
static enum progress send_piece(struct sim_conn *conn, const struct sim_step *step)
{
    const size_t limit = step->is_slow ? 1 : conn->answer->piece_bytes;
    size_t len = step->len - conn->sent;

    if (limit > 0 && len > limit)
        len = limit;
    size_t moved_len = 0;
    const struct sim_span bytes = { conn->answer->bytes.ptr + step->offset + conn->sent, len };

    switch (send_some(conn, bytes, &moved_len)) {
    case MOVED_GONE:
        if (!goes_on_alone(conn)) {
            free_conn(conn);
            return PROGRESS_FREED;
        }
        close_socket(conn);
        moved_len = len;
        break;
    case MOVED_NONE:
        want(conn, EPOLLOUT);
        return PROGRESS_BLOCKED;
    case MOVED:
        break;
    }
    conn->sent += moved_len;
    if (limit == 0 || conn->sent == step->len)
        return PROGRESS_DONE;
    if (step->is_slow) {
        conn->pace_us += conn->answer->slow_ms * 1000;
        wait_until(conn, conn->pace_us);
        want(conn, 0);
    } else {
        want(conn, EPOLLOUT); /* back through the loop, so that each piece is a packet */
    }
    return PROGRESS_BLOCKED;
}

static enum progress run_answer(struct sim_conn *conn)
{
    const struct sim_answer *answer = conn->answer;

    while (conn->step < answer->step_count) {
        const struct sim_step *step = &answer->steps[conn->step];

        if (must_wait(conn, step)) {
            want(conn, 0);
            return PROGRESS_BLOCKED;
        }
        if (!conn->has_begun)
            begin_step(conn, step);
        enum progress progress = send_piece(conn, step);

        if (progress != PROGRESS_DONE)
            return progress;
        if (conn->sent < step->len)
            continue;
        progress = finish_step(conn, step);
        if (progress != PROGRESS_DONE)
            return progress;
    }
    if (answer->closes || conn->fd < 0 || conn->http.request.wants_close) {
        end_conn(conn, SIM_THEN_NEXT);
        return PROGRESS_FREED;
    }
    sim_answer_free(conn->answer);
    conn->answer = NULL;
    conn->is_waiting = false;
    return PROGRESS_DONE;
}

static void start_answer(struct sim_conn *conn, struct sim_answer *answer)
{
    conn->answer = answer;
    conn->step = 0;
    conn->sent = 0;
    conn->events = 0;
    conn->has_begun = false;
    conn->is_waiting = false;
    conn->pace_us = sim_clock_us();
    conn->limit_us = conn->pace_us + SIM_CONN_LIMIT_US;
}

/* Act on a head whose body is still to come. */
static void note_head(struct sim_conn *conn)
{
    if (config.urgent == NULL || conn->has_answered)
        return;
    const struct sim_urgent urgent = config.urgent(&conn->http.request);
    size_t len;

    if (urgent.sends_continue)
        (void)send_some(conn, SIM_SPAN("HTTP/1.1 100 Continue\r\n\r\n"), &len);
    if (urgent.answers_early) {
        conn->has_answered = true;
        start_answer(conn, config.answer(&conn->http.request, SIM_SPAN("")));
    }
}

/* Take in what has been read. ret: true when an answer was started. */
static bool feed(struct sim_conn *conn)
{
    while (conn->in_used < conn->in.len) {
        const bool was_head = conn->http.state == SIM_HTTP_HEAD;
        const struct sim_span rest = { conn->in.ptr + conn->in_used, conn->in.len - conn->in_used };

        conn->in_used += sim_http_feed(&conn->http, rest);
        if (conn->http.state == SIM_HTTP_BAD) {
            start_answer(conn, sim_provider_refuse(conn->http.bad_status));
            return true;
        }
        if (was_head && conn->http.state != SIM_HTTP_HEAD)
            note_head(conn);
        if (conn->http.state == SIM_HTTP_DONE && !conn->has_answered) {
            const struct sim_span body = { conn->http.body.ptr == NULL ? "" : conn->http.body.ptr,
                                           conn->http.body.len };

            conn->has_answered = true;
            start_answer(conn, config.answer(&conn->http.request, body));
        }
        if (conn->answer != NULL)
            return true;
        if (conn->http.state == SIM_HTTP_DONE)
            break;
    }
    if (conn->in_used == conn->in.len) {
        conn->in.len = 0;
        conn->in_used = 0;
    }
    return false;
}

/* Answer what has been read, until more is needed or an answer must wait. ret: true when it has all
 * been taken in and the connection is still there. */
static bool drive(struct sim_conn *conn)
{
    for (;;) {
        if (conn->answer != NULL) {
            const enum progress progress = run_answer(conn);

            if (progress != PROGRESS_DONE)
                return false;
        }
        if (conn->has_answered && conn->http.state == SIM_HTTP_DONE) {
            sim_http_reset(&conn->http);
            conn->has_answered = false;
        }
        if (!feed(conn) && conn->http.state != SIM_HTTP_DONE)
            break;
    }
    want(conn, EPOLLIN);
    return true;
}

static void read_on(struct sim_conn *conn)
{
    do {
        switch (receive_some(conn)) {
        case MOVED_GONE:
            free_conn(conn);
            return;
        case MOVED_NONE:
            want(conn, EPOLLIN);
            return;
        case MOVED:
            break;
        }
        /* TLS may hold decrypted bytes that epoll knows nothing about. */
    } while (drive(conn) && conn->ssl != NULL);
}

/* The peer has gone in the middle of an answer. */
static void peer_left(struct sim_conn *conn)
{
    if (!goes_on_alone(conn)) {
        free_conn(conn);
        return;
    }
    close_socket(conn);
    if (!conn->is_waiting)
        (void)drive(conn);
}

void sim_conn_event(void *pointer, uint32_t events)
{
    struct sim_conn *conn = pointer;

    if (conn->answer == NULL) {
        read_on(conn);
    } else if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        peer_left(conn);
    } else if (!conn->is_stalled && drive(conn) && conn->ssl != NULL) {
        read_on(conn);
    }
}

void sim_conn_timeout(struct sim_timer *timer)
{
    struct sim_conn *conn =
        (struct sim_conn *)(void *)((char *)timer - offsetof(struct sim_conn, timer));
    const int64_t now_us = sim_clock_us();

    if (now_us >= conn->limit_us) {
        free_conn(conn);
        return;
    }
    sim_timer_set(&conn->timer, conn->limit_us);
    if (conn->answer == NULL || !conn->is_waiting)
        return;
    if (conn->has_begun)
        conn->is_waiting = false; /* a slow byte's wait; a step's own is cleared by must_wait */
    if (drive(conn) && conn->ssl != NULL)
        read_on(conn);
}

void sim_conn_open(int fd, SSL_CTX *tls)
{
    const int on = 1;

    if (open_conns == SIM_CONNS_MAX) {
        close(fd);
        return;
    }
    struct sim_conn *conn = sim_alloc(sizeof(*conn));
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = conn };

    open_conns++;
    conn->fd = fd;
    conn->interest = event.events;
    conn->timer.place = SIM_TIMER_IDLE;
    conn->limit_us = sim_clock_us() + SIM_CONN_LIMIT_US;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (tls != NULL) {
        conn->ssl = SSL_new(tls);
        if (conn->ssl == NULL || SSL_set_fd(conn->ssl, fd) != 1) {
            free_conn(conn);
            return;
        }
        SSL_set_accept_state(conn->ssl);
    }
    sim_timer_set(&conn->timer, conn->limit_us);
    if (epoll_ctl(config.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        free_conn(conn);
}
