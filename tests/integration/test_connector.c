/* Goal: a connection is handed out only to whom the certificate names, an address that must not be
 * dialled is not, and a provider that is dead costs the others nothing. Method: real sockets on
 * loopback, TLS with certificates that the openssl command makes for the run, listeners that
 * refuse, hang or hang up; the circuit's clock is the test's own. */
#include "net/connector.h"

#include "base/buf.h"
#include "base/clock.h"
#include "support/suites.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FOLDER   "build/test-tls"
#define GUARD_MS 30000
#define BIG_LEN  (3 * 1024 * 1024)

/* --- certificates, once --- */

static void make_certificates(void)
{
    static const char script[] =
        "set -e; mkdir -p " FOLDER "; cd " FOLDER "; [ -f done ] && exit 0; exec 2>/dev/null\n"
        "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
        "openssl req -x509 $key -keyout ca.key -out ca.pem -days 3650 -subj /CN=authority\n"
        "openssl req -x509 $key -keyout self.key -out self.pem -days 3650 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1\n"
        "for c in good:localhost:3650 wrong:elsewhere.test:3650 expired:localhost:-1; do\n"
        "IFS=: read -r name host days <<< $c\n"
        "openssl req $key -keyout $name.key -out $name.csr -subj /CN=$host\n"
        "openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem "
        "-days $days -extfile <(echo subjectAltName=DNS:$host)\n"
        "done; touch done\n";
    FILE *shell = popen("bash", "w");

    ck_assert_ptr_nonnull(shell);
    ck_assert_int_ge(fputs(script, shell), 0);
    ck_assert_int_eq(pclose(shell), 0);
}

/* --- a server in threads of its own --- */

enum manner { SERVES, HANGS_UP, IS_PROXY };

struct server {
    int fd;
    int port;
    enum manner manner;
    SSL_CTX *tls; /* NULL: plain */
    pthread_t thread;
    atomic_int accepted;
    atomic_int hang_ups_left; /* then it serves */
    pthread_mutex_t lock;
    pthread_cond_t left;
    int visits;
    char asked[256]; /* the proxy's first line */
};

struct visit {
    struct server *server;
    int fd;
};

static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

static void serve_tls(struct server *server, int fd)
{
    SSL *tls = SSL_new(server->tls);
    char request[4096];
    int got;

    SSL_set_fd(tls, fd);
    if (SSL_accept(tls) == 1) {
        while ((got = SSL_read(tls, request, sizeof request)) > 0) {
            if (memmem(request, (size_t)got, "/big", 4) != NULL) {
                char *big = malloc(BIG_LEN + 100);
                const int head =
                    sprintf(big, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG_LEN);

                memset(big + head, 'b', BIG_LEN);
                (void)SSL_write(tls, big, head + BIG_LEN);
                free(big);
            } else {
                (void)SSL_write(tls, hello, sizeof hello - 1);
            }
        }
        (void)SSL_shutdown(tls);
    }
    SSL_free(tls);
}

static void *on_visit(void *context)
{
    struct visit visit = *(struct visit *)context;
    struct server *server = visit.server;

    free(context);
    if (server->manner == IS_PROXY) {
        const ssize_t got = recv(visit.fd, server->asked, sizeof server->asked - 1, 0);

        server->asked[got > 0 ? got : 0] = '\0';
        (void)send(visit.fd, "HTTP/1.1 403 No\r\n\r\n", 19, MSG_NOSIGNAL);
    } else if (server->manner == SERVES && atomic_fetch_sub(&server->hang_ups_left, 1) <= 0) {
        serve_tls(server, visit.fd);
    }
    close(visit.fd);
    OPENSSL_thread_stop(); /* or the clean-up at exit meets it */
    pthread_mutex_lock(&server->lock);
    server->visits--;
    pthread_cond_signal(&server->left);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

static void *serve(void *context)
{
    struct server *server = context;
    pthread_attr_t detached;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        const int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
        struct visit *visit;
        pthread_t thread;

        if (fd < 0)
            break;
        server->accepted++;
        pthread_mutex_lock(&server->lock);
        server->visits++;
        pthread_mutex_unlock(&server->lock);
        visit = malloc(sizeof *visit);
        *visit = (struct visit){ .server = server, .fd = fd };
        if (pthread_create(&thread, &detached, on_visit, visit) != 0)
            abort();
    }
    pthread_attr_destroy(&detached);
    return NULL;
}

static int listen_on_loopback(int backlog, int *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void server_start(struct server *self, enum manner manner, const char *certificate)
{
    char path[100];

    memset(self, 0, sizeof *self);
    self->manner = manner;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->left, NULL);
    self->fd = listen_on_loopback(1024, &self->port);
    if (certificate != NULL) {
        self->tls = SSL_CTX_new(TLS_server_method());
        (void)snprintf(path, sizeof path, FOLDER "/%s.pem", certificate);
        ck_assert_int_eq(SSL_CTX_use_certificate_file(self->tls, path, SSL_FILETYPE_PEM), 1);
        (void)snprintf(path, sizeof path, FOLDER "/%s.key", certificate);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(self->tls, path, SSL_FILETYPE_PEM), 1);
    }
    ck_assert_int_eq(pthread_create(&self->thread, NULL, serve, self), 0);
}

/* Waits for the visits to end: the test closes its side before. */
static void server_stop(struct server *self)
{
    (void)shutdown(self->fd, SHUT_RDWR);
    ck_assert_int_eq(pthread_join(self->thread, NULL), 0);
    close(self->fd);
    pthread_mutex_lock(&self->lock);
    while (self->visits > 0)
        pthread_cond_wait(&self->left, &self->lock);
    pthread_mutex_unlock(&self->lock);
    SSL_CTX_free(self->tls);
}

/* --- the asking loop --- */

static struct loop *loop;
static struct connector *connector;
static struct loop_timer guard;
static struct server server;
static int done_count;
static int done_wanted;

struct ask {
    struct connector_request request;
    struct client_endpoint endpoint;
    bool is_done;
    int64_t done_us;
};

static atomic_llong clock_skew_us;

static int64_t real_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t skewed_us(void)
{
    return real_us() + clock_skew_us;
}

static int64_t no_wall_ms(void)
{
    return 0;
}

static void on_done(struct loop_task *task)
{
    struct ask *ask = LIST_ENTRY(task, struct ask, request.done);

    ck_assert(!ask->is_done);
    ask->is_done = true;
    ask->done_us = real_us();
    if (++done_count == done_wanted)
        loop_stop(loop);
}

static void ask_init(struct ask *ask, const char *host, int port, bool is_tls)
{
    *ask = (struct ask){ .endpoint = { .host = host, .port = port, .is_tls = is_tls } };
    ask->endpoint.identity = (uint64_t)port;
    ask->request.loop = loop;
    ask->request.endpoint = &ask->endpoint;
    ask->request.timeout_ms = 10000;
    loop_task_init(&ask->request.done, on_done);
}

static void run_until_done(int count)
{
    done_wanted = count;
    loop_timer_set(loop, &guard, loop_now_us(loop) + GUARD_MS * 1000);
    if (done_count < count)
        loop_run(loop);
    loop_timer_clear(loop, &guard);
    ck_assert_int_eq(done_count, count);
    done_count = 0;
}

static void connect_once(struct ask *ask, const char *host, int port, bool is_tls)
{
    ask_init(ask, host, port, is_tls);
    connector_submit(connector, &ask->request);
    run_until_done(1);
}

static void assert_failed(const struct ask *ask, const char *part_of_why)
{
    ck_assert_int_eq(ask->request.status, TG_UPSTREAM_UNREACHABLE);
    ck_assert_msg(strstr(ask->request.why, part_of_why) != NULL, "%s", ask->request.why);
    ck_assert_ptr_null(ask->request.link.handle);
}

static void assert_connected(struct ask *ask)
{
    ck_assert_msg(ask->request.status == TG_OK, "%s", ask->request.why);
    ck_assert_str_eq(ask->request.why, "");
    ck_assert_int_ge(ask->request.link.fd, 0);
    connector_link_close(&ask->request.link);
}

static void on_guard(struct loop_timer *timer)
{
    (void)timer;
    ck_abort_msg("not done in time");
}

static void start_connector(const char *ca_file)
{
    ck_assert_int_eq(connector_new(ca_file, &connector), TG_OK);
}

static void setup(void)
{
    static const struct clock_source source = { no_wall_ms, skewed_us };

    (void)signal(SIGPIPE, SIG_IGN); /* the server's threads write by OpenSSL */
    unsetenv("HTTPS_PROXY");
    unsetenv("https_proxy");
    unsetenv("NO_PROXY");
    unsetenv("no_proxy");
    clock_skew_us = 0;
    clock_use(&source);
    done_count = 0;
    connector = NULL;
    ck_assert_int_eq(loop_new(NULL, &loop), TG_OK);
    loop_timer_init(&guard, on_guard);
}

static void teardown(void)
{
    connector_free(connector);
    loop_free(loop);
    clock_use(NULL);
}

/* --- certificates --- */

static const struct {
    const char *certificate;
    const char *ca_file;
    const char *host;
    const char *why; /* NULL: it connects */
} trusts[] = {
    { "good", FOLDER "/ca.pem", "localhost", NULL },
    { "good", FOLDER "/ca.pem", "127.0.0.1", "no alternative certificate subject name" },
    { "wrong", FOLDER "/ca.pem", "localhost", "no alternative certificate subject name" },
    { "expired", FOLDER "/ca.pem", "localhost", "expired" },
    { "self", FOLDER "/ca.pem", "localhost", "self-signed" },
    { "self", FOLDER "/self.pem", "localhost", NULL },
    { "good", NULL, "localhost", "unable to get local issuer" },
};

START_TEST(only_whom_an_authority_vouches_for_by_name_and_date_is_connected_to)
{
    struct ask ask;

    server_start(&server, SERVES, trusts[_i].certificate);
    start_connector(trusts[_i].ca_file);
    connect_once(&ask, trusts[_i].host, server.port, true);
    if (trusts[_i].why == NULL)
        assert_connected(&ask);
    else
        assert_failed(&ask, trusts[_i].why);
    server_stop(&server);
}
END_TEST

START_TEST(authorities_that_cannot_be_read_stop_the_start)
{
    ck_assert_int_eq(connector_new(FOLDER "/missing.pem", &connector), TG_IO);
    ck_assert_int_eq(connector_new(FOLDER "/ca.key", &connector), TG_IO);
}
END_TEST

/* --- addresses --- */

static const char *const refused_hosts[] = { "169.254.169.254",
                                             "0.0.0.0",
                                             "0.1.2.3",
                                             "224.0.0.1",
                                             "255.255.255.255",
                                             "fe80::1",
                                             "febf::1",
                                             "ff02::1",
                                             "::",
                                             "::ffff:169.254.169.254",
                                             "::ffff:0.0.0.0",
                                             "::169.254.1.1",
                                             "64:ff9b::a9fe:a9fe",
                                             "0xa9fea9fe",
                                             "2852039166" };

START_TEST(an_address_that_leads_to_metadata_or_nowhere_is_not_dialled)
{
    struct ask ask;

    start_connector(NULL);
    connect_once(&ask, refused_hosts[_i], 80, _i % 2 == 0);
    assert_failed(&ask, "not dialled");
}
END_TEST

static const char *const odd_hosts[] = { "",    "a/b", "user@host", "a?b",
                                         "a#b", "a b", "a:b\r\n",   "[::1]" };

START_TEST(what_is_not_a_host_is_not_dialled)
{
    struct ask ask;

    start_connector(NULL);
    connect_once(&ask, odd_hosts[_i], 80, false);
    assert_failed(&ask, "not a host");
}
END_TEST

START_TEST(plain_http_gets_a_socket_without_a_handle)
{
    struct ask ask;

    server_start(&server, HANGS_UP, NULL);
    start_connector(NULL);
    connect_once(&ask, "127.0.0.1", server.port, false);
    ck_assert_ptr_null(ask.request.link.handle);
    assert_connected(&ask);
    server_stop(&server);
}
END_TEST

/* --- dead providers --- */

static int closed_port(void)
{
    int port;

    close(listen_on_loopback(1, &port));
    return port;
}

START_TEST(a_refused_connect_says_so)
{
    struct ask ask;

    start_connector(NULL);
    connect_once(&ask, "127.0.0.1", closed_port(), _i == 1);
    assert_failed(&ask, "refused");
}
END_TEST

enum { STUCK = 100 };

/* A listener that accepts nothing and whose backlog is full does not answer a SYN. */
static int black_hole(int *ret_port)
{
    const int fd = listen_on_loopback(0, ret_port);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)*ret_port) };

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 4; i++) {
        const int filler = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        (void)connect(filler, (struct sockaddr *)&address, sizeof address);
    }
    return fd;
}

START_TEST(a_provider_that_does_not_answer_times_out_and_holds_up_no_other)
{
    static struct ask stuck[STUCK];
    struct ask good;
    int port;
    const int fd = black_hole(&port);

    server_start(&server, SERVES, "good");
    start_connector(FOLDER "/ca.pem");
    for (int i = 0; i < STUCK; i++) {
        ask_init(&stuck[i], "127.0.0.1", port, false);
        stuck[i].request.timeout_ms = 3000;
        connector_submit(connector, &stuck[i].request);
    }
    connect_once(&good, "localhost", server.port, true);
    assert_connected(&good);
    for (int i = 0; i < STUCK; i++)
        ck_assert(!stuck[i].is_done);
    run_until_done(STUCK);
    for (int i = 0; i < STUCK; i++)
        assert_failed(&stuck[i], "ime");
    close(fd);
    server_stop(&server);
}
END_TEST

/* --- the circuit --- */

static void circuit_count_is(int count)
{
    struct connector_stats stats;

    connector_stats(connector, &stats);
    ck_assert_int_eq(stats.circuits_open, count);
}

START_TEST(three_failures_open_a_circuit_that_lets_one_through_after_its_time)
{
    struct ask ask;

    server_start(&server, SERVES, "good");
    server.hang_ups_left = 5;
    start_connector(FOLDER "/ca.pem");
    for (int i = 0; i < 10; i++) {
        connect_once(&ask, "localhost", server.port, true);
        assert_failed(&ask, "localhost");
    }
    ck_assert_int_eq(server.accepted, 3);
    circuit_count_is(1);
    for (int open_ms = 1000; open_ms <= 2000; open_ms *= 2) {
        clock_skew_us += (open_ms - 500) * 1000;
        connect_once(&ask, "localhost", server.port, true);
        assert_failed(&ask, "localhost"); /* still open */
        clock_skew_us += 600 * 1000;
        connect_once(&ask, "localhost", server.port, true);
        assert_failed(&ask, "localhost"); /* tried, and failed */
        ck_assert_int_eq(server.accepted, open_ms == 1000 ? 4 : 5);
    }
    clock_skew_us += 4100 * 1000;
    connect_once(&ask, "localhost", server.port, true);
    assert_connected(&ask);
    circuit_count_is(0);
    connect_once(&ask, "localhost", server.port, true);
    assert_connected(&ask);
    server_stop(&server);
}
END_TEST

START_TEST(a_failure_in_between_does_not_open_a_circuit)
{
    struct ask ask;

    server_start(&server, SERVES, "good");
    start_connector(FOLDER "/ca.pem");
    for (int i = 0; i < 4; i++) {
        server.hang_ups_left = 2;
        for (int j = 0; j < 2; j++) {
            connect_once(&ask, "localhost", server.port, true);
            assert_failed(&ask, "localhost");
        }
        connect_once(&ask, "localhost", server.port, true);
        assert_connected(&ask);
    }
    circuit_count_is(0);
    server_stop(&server);
}
END_TEST

/* --- the proxy of the environment --- */

START_TEST(tls_goes_through_the_proxy_but_for_loopback_and_what_is_exempt)
{
    static struct server proxy;
    struct ask ask;
    char url[64];

    server_start(&proxy, IS_PROXY, NULL);
    server_start(&server, SERVES, "good");
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", proxy.port);
    ck_assert_int_eq(setenv(_i == 0 ? "HTTPS_PROXY" : "https_proxy", url, 1), 0);
    ck_assert_int_eq(setenv(_i == 0 ? "NO_PROXY" : "no_proxy", "exempt.invalid", 1), 0);
    start_connector(FOLDER "/ca.pem");

    connect_once(&ask, "provider.invalid", 443, true);
    assert_failed(&ask, "403");
    ck_assert_int_eq(strncmp(proxy.asked, "CONNECT provider.invalid:443 ", 29), 0);
    connect_once(&ask, "exempt.invalid", 444, true);
    assert_failed(&ask, "esolve");
    connect_once(&ask, "plain.invalid", 80, false);
    assert_failed(&ask, "esolve");
    connect_once(&ask, "localhost", server.port, true);
    assert_connected(&ask);
    ck_assert_int_eq(proxy.accepted, 1);
    server_stop(&server);
    server_stop(&proxy);
}
END_TEST

/* --- many, and taken back --- */

enum { MANY = 200 };

/* Half a second where nothing else runs. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SOON_US (GUARD_MS * 1000)
#else
#define SOON_US (5000 * 1000)
#endif

START_TEST(two_hundred_cold_connects_are_up_soon)
{
    static struct ask asks[MANY];
    struct connector_stats stats;
    const int64_t start_us = real_us();

    server_start(&server, SERVES, "good");
    start_connector(FOLDER "/ca.pem");
    for (int i = 0; i < MANY; i++) {
        ask_init(&asks[i], "localhost", server.port, true);
        connector_submit(connector, &asks[i].request);
    }
    run_until_done(MANY);
    ck_assert_int_lt(real_us() - start_us, SOON_US);
    connector_stats(connector, &stats);
    ck_assert_int_le(stats.threads, CONNECTOR_THREADS_MAX / 2);
    ck_assert_int_eq(stats.queued, 0);
    for (int i = 0; i < MANY; i++)
        assert_connected(&asks[i]);
    server_stop(&server);
}
END_TEST

START_TEST(withdrawn_requests_are_never_answered)
{
    static struct ask asks[MANY];
    struct ask last;

    server_start(&server, SERVES, "good");
    start_connector(FOLDER "/ca.pem");
    for (int i = 0; i < MANY; i++) {
        ask_init(&asks[i], "localhost", server.port, true);
        connector_submit(connector, &asks[i].request);
    }
    for (int i = 0; i < MANY; i++) {
        connector_withdraw(connector, &asks[i].request);
        memset(&asks[i], 0xff, sizeof asks[i]);
    }
    connect_once(&last, "localhost", server.port, true);
    assert_connected(&last);
    server_stop(&server);
}
END_TEST

/* --- calls over TLS --- */

static struct client_pool *pool;

struct caller {
    struct client_call call;
    size_t got_bytes;
    int pieces;
    bool pauses;
    bool is_paused;
    struct loop_task resume;
};

static void on_caller_resume(struct loop_task *task)
{
    struct caller *caller = LIST_ENTRY(task, struct caller, resume);

    caller->is_paused = false;
    client_call_resume(&caller->call);
}

static void on_caller_head(struct client_call *call, const struct http_head *head)
{
    (void)call;
    ck_assert_int_eq(head->status, 200);
}

static void on_caller_body(struct client_call *call, struct span content)
{
    struct caller *caller = LIST_ENTRY(call, struct caller, call);

    caller->got_bytes += content.len;
    caller->pieces++;
    if (caller->pauses) {
        client_call_pause(call);
        loop_post(loop, &caller->resume);
        caller->pauses = caller->pieces < 50;
    }
}

static void on_caller_end(struct client_call *call)
{
    (void)call;
    if (++done_count == done_wanted)
        loop_stop(loop);
}

static void on_caller_fail(struct client_call *call, enum tg_status status, const char *why)
{
    (void)call;
    ck_abort_msg("%d %s", status, why);
}

static const struct client_call call_template = { .on_head = on_caller_head,
                                                  .on_body = on_caller_body,
                                                  .on_end = on_caller_end,
                                                  .on_fail = on_caller_fail,
                                                  .first_byte_ms = 10000,
                                                  .idle_ms = 10000 };

START_TEST(calls_over_tls_get_their_answers_and_reuse_the_connection)
{
    static const struct span small = SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    static const struct span big = SPAN("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    struct client_endpoint endpoint = { .host = "localhost", .is_tls = true, .identity = 1 };

    server_start(&server, SERVES, "good");
    start_connector(FOLDER "/ca.pem");
    endpoint.port = server.port;
    ck_assert_int_eq(client_pool_new(loop, connector, &pool), TG_OK);
    for (int i = 0; i < 6; i++) {
        struct caller caller = { .call = call_template, .pauses = i % 3 == 2 };

        loop_task_init(&caller.resume, on_caller_resume);
        caller.call.request = i % 3 == 0 ? small : big;
        client_call_start(pool, &caller.call, &endpoint);
        run_until_done(1);
        ck_assert_uint_eq(caller.got_bytes, i % 3 == 0 ? 5 : BIG_LEN);
        ck_assert_int_eq(caller.call.was_reused, i > 0);
    }
    ck_assert_int_eq(server.accepted, 1);
    client_pool_free(pool);
    server_stop(&server);
}
END_TEST

START_TEST(a_pool_can_be_freed_while_it_connects)
{
    struct client_endpoint endpoint = { .host = "localhost", .is_tls = true, .identity = 1 };
    struct caller callers[20];

    server_start(&server, SERVES, "good");
    start_connector(FOLDER "/ca.pem");
    endpoint.port = server.port;
    ck_assert_int_eq(client_pool_new(loop, connector, &pool), TG_OK);
    for (int i = 0; i < 20; i++) {
        callers[i] = (struct caller){ .call = call_template };
        callers[i].call.request = SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client_call_start(pool, &callers[i].call, &endpoint);
    }
    for (int i = 0; i < 20; i++)
        client_call_cancel(&callers[i].call);
    client_pool_free(pool);
    server_stop(&server);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite(void)
{
    Suite *all = suite_create("net/connector");
    TCase *cases = tcase_create("connector");

    tcase_add_unchecked_fixture(cases, make_certificates, NULL);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, only_whom_an_authority_vouches_for_by_name_and_date_is_connected_to,
                        0, COUNT(trusts));
    tcase_add_test(cases, authorities_that_cannot_be_read_stop_the_start);
    tcase_add_loop_test(cases, an_address_that_leads_to_metadata_or_nowhere_is_not_dialled, 0,
                        COUNT(refused_hosts));
    tcase_add_loop_test(cases, what_is_not_a_host_is_not_dialled, 0, COUNT(odd_hosts));
    tcase_add_test(cases, plain_http_gets_a_socket_without_a_handle);
    tcase_add_loop_test(cases, a_refused_connect_says_so, 0, 2);
    tcase_add_test(cases, a_provider_that_does_not_answer_times_out_and_holds_up_no_other);
    tcase_add_test(cases, three_failures_open_a_circuit_that_lets_one_through_after_its_time);
    tcase_add_test(cases, a_failure_in_between_does_not_open_a_circuit);
    tcase_add_loop_test(cases, tls_goes_through_the_proxy_but_for_loopback_and_what_is_exempt, 0,
                        2);
    tcase_add_test(cases, two_hundred_cold_connects_are_up_soon);
    tcase_add_test(cases, withdrawn_requests_are_never_answered);
    tcase_add_test(cases, calls_over_tls_get_their_answers_and_reuse_the_connection);
    tcase_add_test(cases, a_pool_can_be_freed_while_it_connects);
    suite_add_tcase(all, cases);
    return all;
}
