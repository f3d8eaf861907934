/* Goal: a listener for people keeps its deadlines however slowly bytes come, tells who is at the
 * other end of its Unix socket, and stops cleanly with answers under way. Method: plain sockets;
 * the test owns the clock, so that a deadline passes without waiting for it. */

#include "net/daemon.h"
#include "support/suites.h"
#include "support/support_book.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct daemon *daemon_;
static int port;
static sem_t entered;
static sem_t may_leave;

/* "/wait" holds its answer until the test lets it go; "/endless" is a body without an end. */
static ssize_t endless(void *context, char *bytes, size_t max)
{
    (void)context;
    memset(bytes, 'x', max);
    return (ssize_t)max;
}

static void handle(void *context, const struct daemon_request *request,
                   struct daemon_answer *answer)
{
    (void)context;
    if (span_equal(request->path, SPAN("/wait"))) {
        (void)sem_post(&entered);
        (void)sem_wait(&may_leave);
    }
    if (span_equal(request->path, SPAN("/endless")))
        answer->stream = (struct daemon_stream){ .read = endless };
    answer->constant = request->is_local_owner ? SPAN("owner") : SPAN("stranger");
}

static const struct daemon_options options = {
    .name = "test", .handle = handle, .body_max_bytes = 1024, .connections_max = 8
};

static void start(void)
{
    struct err err = { 0 };
    int fd;

    support_clock_use();
    (void)sem_init(&entered, 0, 0);
    (void)sem_init(&may_leave, 0, 0);
    ck_assert_int_eq(daemon_listen_tcp("127.0.0.1:0", &fd, &port, &err), TG_OK);
    ck_assert_int_eq(daemon_start(fd, &options, &daemon_, &err), TG_OK);
}

static void stop(void)
{
    daemon_stop(daemon_);
}

static int dial(void)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Read until the other side closes. return  bytes read */
static size_t hear(int fd, char *text, size_t size)
{
    size_t len = 0;
    char spare[4096];
    ssize_t got;

    do {
        got = recv(fd, len < size - 1 ? text + len : spare, len < size - 1 ? size - 1 - len : 4096,
                   0);
        if (got > 0 && len < size - 1)
            len += (size_t)got;
    } while (got > 0);
    text[len] = '\0';
    (void)close(fd);
    return len;
}

static const char *const unfinished[] = {
    "", "GET / HTTP/1.1\r\nHos", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n", /* then idle */
};

/* The daemon may notice the connection, or a part of it, after the clock has moved: so it moves
 * again until the end is there. */
static void wait_until_closed(int fd)
{
    struct timeval second = { .tv_sec = 1 };
    char spare[4096];
    ssize_t got;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
    do {
        support_clock_add_ms(2 * DAEMON_SEND_MS);
        got = recv(fd, spare, sizeof(spare), 0);
    } while (got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)));
    (void)close(fd);
}

START_TEST(what_does_not_come_to_an_end_is_cut)
{
    char text[4096];
    const int fd = dial();

    say(fd, unfinished[_i]);
    if (_i == 3) /* wait for the answer, so that the time counts from it */
        ck_assert_int_gt(recv(fd, text, sizeof(text), 0), 0);
    wait_until_closed(fd);
}
END_TEST

START_TEST(a_client_that_reads_without_end_is_cut_in_time)
{
    char text[4096];
    const int fd = dial();

    say(fd, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_int_gt(recv(fd, text, sizeof(text), 0), 0);
    wait_until_closed(fd);
}
END_TEST

static void *stop_daemon(void *argument)
{
    daemon_stop(argument);
    return NULL;
}

START_TEST(an_answer_under_way_is_sent_before_the_stop)
{
    char text[4096];
    const int fd = dial();
    pthread_t stopper;

    say(fd, "GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    (void)sem_wait(&entered);
    ck_assert_int_eq(pthread_create(&stopper, NULL, stop_daemon, daemon_), 0);
    (void)sem_post(&may_leave);
    ck_assert_uint_gt(hear(fd, text, sizeof(text)), 0);
    ck_assert(strncmp(text, "HTTP/1.1 200", 12) == 0);
    (void)pthread_join(stopper, NULL);
    daemon_ = NULL;
}
END_TEST

START_TEST(a_peer_of_the_same_user_is_known_by_the_socket)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct daemon *by_socket = NULL;
    struct support_book place;
    struct err err = { 0 };
    struct stat info;
    char text[4096];
    int fd;

    support_book_place(&place);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/s", place.folder);
    for (int i = 0; i < 2; i++) { /* the second takes the place of the one left over */
        ck_assert_int_eq(daemon_listen_unix(address.sun_path, &fd, &err), TG_OK);
        if (i == 0)
            (void)close(fd);
    }
    ck_assert_int_eq(stat(address.sun_path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
    ck_assert_int_eq(daemon_start(fd, &options, &by_socket, &err), TG_OK);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    (void)hear(fd, text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "owner"));
    daemon_stop(by_socket);
    support_book_remove(&place);
    fd = dial();
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    (void)hear(fd, text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "stranger"));
}
END_TEST

static const struct {
    const char *address;
    enum tg_status status;
} addresses[] = {
    { "127.0.0.1", TG_INVALID },       { "localhost:80", TG_INVALID }, { ":80", TG_INVALID },
    { "127.0.0.1:65536", TG_INVALID }, { "[::1:80", TG_INVALID },      { "127.0.0.1:0", TG_OK },
};

START_TEST(an_address_is_a_number_and_a_port)
{
    struct err err = { 0 };
    int bound;
    int fd = -1;

    ck_assert_int_eq(daemon_listen_tcp(addresses[_i].address, &fd, &bound, &err),
                     addresses[_i].status);
    if (fd >= 0)
        (void)close(fd);
    else
        ck_assert(err.text[0] != '\0');
}
END_TEST

START_TEST(a_port_in_use_is_said_to_be)
{
    char address[32];
    struct err err = { 0 };
    int bound;
    int fd;

    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    ck_assert_int_eq(daemon_listen_tcp(address, &fd, &bound, &err), TG_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.text, "in use"));
}
END_TEST

#define ROWS(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *suite(void)
{
    Suite *made = suite_create("daemon");
    TCase *tests = tcase_create("daemon");

    tcase_add_checked_fixture(tests, start, stop);
    tcase_set_timeout(tests, 20);
    tcase_add_loop_test(tests, what_does_not_come_to_an_end_is_cut, 0, ROWS(unfinished));
    tcase_add_test(tests, a_client_that_reads_without_end_is_cut_in_time);
    tcase_add_test(tests, an_answer_under_way_is_sent_before_the_stop);
    tcase_add_test(tests, a_peer_of_the_same_user_is_known_by_the_socket);
    tcase_add_loop_test(tests, an_address_is_a_number_and_a_port, 0, ROWS(addresses));
    tcase_add_test(tests, a_port_in_use_is_said_to_be);
    suite_add_tcase(made, tests);
    return made;
}
