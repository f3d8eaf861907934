#include "support/support_turns.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX   2000000
#define PEER_IN_MAX (256 * 1024 * 1024)

static struct loop *loop;
static int64_t now_us;

static int64_t still_wall_ms(void)
{
    return INT64_C(1795478400000) + now_us / 1000;
}

static int64_t still_monotonic_us(void)
{
    return now_us;
}

void support_turns_start(void)
{
    static const struct clock_source source = { still_wall_ms, still_monotonic_us };

    now_us = 1000000;
    clock_use(&source);
    ck_assert_int_eq(loop_new(NULL, &loop), TG_OK);
}

void support_turns_stop(void)
{
    loop_free(loop);
    loop = NULL;
    clock_use(NULL);
}

struct loop *support_turns_loop(void)
{
    return loop;
}

void support_turn(void)
{
    loop_stop(loop);
    loop_run(loop);
}

void support_turns(int count)
{
    for (int i = 0; i < count; i++)
        support_turn();
}

void support_turns_until(bool (*holds)(void *context), void *context)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        if (holds(context))
            return;
        support_turn();
    }
    ck_abort_msg("the condition was never met");
}

void support_time_pass_ms(int64_t ms)
{
    now_us += ms * 1000;
    support_turn();
}

int support_listen(int *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, 128), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

void support_peer_open(struct support_peer *peer, int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    const int on = 1;

    *peer = (struct support_peer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    buf_init(&peer->in, PEER_IN_MAX);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(peer->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    if (loop != NULL)
        support_turns(2);
}

void support_peer_close(struct support_peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    buf_fini(&peer->in);
}

void support_peer_send(struct support_peer *peer, struct span bytes)
{
    for (int i = 0; i < TURNS_MAX && bytes.len > 0; i++) {
        const ssize_t sent = send(peer->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno != EAGAIN)
            return;
        if (sent > 0)
            bytes = span_from_offset(bytes, (size_t)sent);
        support_turn();
    }
}

void support_peer_read(struct support_peer *peer)
{
    for (;;) {
        char *to = buf_reserve(&peer->in, 65536);
        ssize_t got;

        ck_assert_ptr_nonnull(to);
        got = recv(peer->fd, to, 65536, MSG_DONTWAIT);
        if (got > 0) {
            buf_commit(&peer->in, (size_t)got);
            continue;
        }
        if (got == 0)
            peer->has_ended = true;
        else if (errno != EAGAIN)
            peer->has_ended = peer->was_reset = true;
        return;
    }
}

void support_peer_await(struct support_peer *peer, size_t bytes)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        support_peer_read(peer);
        if (peer->has_ended || buf_len(&peer->in) >= bytes)
            return;
        support_turn();
    }
    ck_abort_msg("the bytes never came");
}

void support_peer_await_end(struct support_peer *peer)
{
    support_peer_await(peer, SIZE_MAX);
}

bool support_peer_has(const struct support_peer *peer, const char *text)
{
    size_t at;

    return buf_len(&peer->in) > 0 && span_find(buf_span(&peer->in), span_from(text), &at);
}

bool support_unchunk(struct span bytes, struct buf *out, int *ret_chunks)
{
    int chunks = 0;

    if (ret_chunks != NULL)
        *ret_chunks = 0;
    while (bytes.len > 0) {
        size_t end;
        size_t len;

        if (!span_find(bytes, SPAN("\r\n"), &end))
            return false;
        len = strtoul(bytes.ptr, NULL, 16);
        bytes = span_from_offset(bytes, end + 2);
        if (len == 0)
            return span_starts_with(bytes, SPAN("\r\n"));
        if (bytes.len < len + 2) {
            buf_put(out, bytes.ptr, bytes.len < len ? bytes.len : len);
            return false;
        }
        buf_put(out, bytes.ptr, len);
        ck_assert(span_starts_with(span_from_offset(bytes, len), SPAN("\r\n")));
        bytes = span_from_offset(bytes, len + 2);
        if (ret_chunks != NULL)
            *ret_chunks = ++chunks;
    }
    return false;
}
