#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim_conn.h"
#include "sim_fast.h"
#include "sim_provider.h"
#include "sim_timer.h"

/* The simulator's command line and its loop. */

#define EVENTS_AT_ONCE 256

struct options {
    const char *listen;
    const char *tls_listen;
    const char *cert;
    const char *key;
    const char *bill;
    const char *models; /* NULL: the usual ones */
    bool is_fast;
    bool is_burst;
    bool finishes_alone;
    int64_t gap_ms;
};

struct listener {
    int fd; /* -1: none */
    SSL_CTX *tls;
    char address[64];
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "sim: %s\n", what);
    exit(1);
}

static _Noreturn void usage(void)
{
    fputs("usage: sim --listen HOST:PORT [--tls CERT KEY --tls-listen HOST:PORT] [--bill FILE]\n"
          "           [--models NAME,...] [--on-leave stop|finish]\n"
          "           [--fast [--fast-gap-ms N] [--fast-burst]]\n",
          stderr);
    exit(2);
}

static void read_leave(struct options *options, const char *value)
{
    if (strcmp(value, "finish") != 0 && strcmp(value, "stop") != 0)
        usage();
    options->finishes_alone = strcmp(value, "finish") == 0;
}

/* Read the option at argv[at]. ret: the words it took. */
static int read_option(struct options *options, int left, char **words)
{
    if (strcmp(words[0], "--fast") == 0) {
        options->is_fast = true;
        return 1;
    }
    if (strcmp(words[0], "--fast-burst") == 0) {
        options->is_burst = true;
        return 1;
    }
    if (left < 2)
        usage();
    if (strcmp(words[0], "--tls") == 0 && left >= 3) {
        options->cert = words[1];
        options->key = words[2];
        return 3;
    }
    if (strcmp(words[0], "--listen") == 0)
        options->listen = words[1];
    else if (strcmp(words[0], "--tls-listen") == 0)
        options->tls_listen = words[1];
    else if (strcmp(words[0], "--bill") == 0)
        options->bill = words[1];
    else if (strcmp(words[0], "--models") == 0)
        options->models = words[1];
    else if (strcmp(words[0], "--fast-gap-ms") == 0)
        options->gap_ms = atoll(words[1]);
    else if (strcmp(words[0], "--on-leave") == 0)
        read_leave(options, words[1]);
    else
        usage();
    return 2;
}

static struct options read_options(int argc, char **argv)
{
    struct options options = { 0 };

    for (int at = 1; at < argc;)
        at += read_option(&options, argc - at, argv + at);
    if (options.listen == NULL || (options.tls_listen == NULL) != (options.cert == NULL))
        usage();
    return options;
}

static void open_listener(struct listener *listener, const char *where)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    char host[48] = "";
    const char *colon = strrchr(where, ':');
    const int on = 1;

    if (colon == NULL || (size_t)(colon - where) >= sizeof(host))
        usage();
    memcpy(host, where, (size_t)(colon - where));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        die("the listen address must be an IPv4 address and a port");
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listener->fd, (struct sockaddr *)&address, len) != 0 ||
        listen(listener->fd, SIM_CONNS_MAX) != 0 ||
        getsockname(listener->fd, (struct sockaddr *)&address, &len) != 0)
        die(strerror(errno));
    snprintf(listener->address, sizeof(listener->address), "%s:%u", host, ntohs(address.sin_port));
}

/* Pick HTTP/1.1 for a client that offers a choice; it is all the simulator speaks. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned int offered_len, void *unused)
{
    static const unsigned char ours[] = "\x08http/1.1";

    (void)ssl;
    (void)unused;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, ours, sizeof(ours) - 1,
                              offered, offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *open_tls(const struct options *options)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    if (tls == NULL || SSL_CTX_use_certificate_chain_file(tls, options->cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, options->key, SSL_FILETYPE_PEM) != 1)
        die("the certificate or the key could not be read");
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
    return tls;
}

static void accept_all(const struct listener *listener)
{
    for (;;) {
        const int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        sim_conn_open(fd, listener->tls);
    }
}

/* Milliseconds until the first timer, rounded up so that the loop does not spin towards it. */
static int until_first(void)
{
    const struct sim_timer *first = sim_timer_first();

    if (first == NULL)
        return -1;
    const int64_t left_us = first->due_us - sim_clock_us();

    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

static void run_timers(void)
{
    const int64_t now_us = sim_clock_us();
    struct sim_timer *first;

    while ((first = sim_timer_first()) != NULL && first->due_us <= now_us)
        sim_conn_timeout(first);
}

static _Noreturn void serve(int epoll_fd, struct listener *listeners, size_t count)
{
    struct epoll_event events[EVENTS_AT_ONCE];

    for (;;) {
        const int ready = epoll_wait(epoll_fd, events, EVENTS_AT_ONCE, until_first());

        for (int i = 0; i < ready; i++) {
            const struct listener *listener = events[i].data.ptr;

            if (listener >= listeners && listener < listeners + count)
                accept_all(listener);
            else
                sim_conn_event(events[i].data.ptr, events[i].events);
        }
        run_timers();
    }
}

static void stop(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

static void watch(int epoll_fd, struct listener *listener, const char *where)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = listener };

    open_listener(listener, where);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) != 0)
        die(strerror(errno));
}

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    const struct options options = read_options(argc, argv);
    struct listener listeners[2] = { { .fd = -1 }, { .fd = -1 } };
    struct sim_conn_config config = { .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                                      .finishes_alone = options.finishes_alone,
                                      .answer = sim_provider_answer,
                                      .urgent = sim_provider_urgent };

    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    raise_file_limit();
    if (!sim_bill_open(options.bill))
        die(strerror(errno));
    if (options.models != NULL)
        sim_provider_list(options.models);
    if (options.is_fast) {
        sim_fast_init(options.gap_ms, options.is_burst);
        config.answer = sim_fast_answer;
        config.urgent = NULL;
    }
    sim_conn_setup(&config);
    watch(config.epoll_fd, &listeners[0], options.listen);
    if (options.tls_listen != NULL) {
        listeners[1].tls = open_tls(&options);
        watch(config.epoll_fd, &listeners[1], options.tls_listen);
    }
    printf("sim listening %s%s%s\n", listeners[0].address,
           options.tls_listen == NULL ? "" : " tls ", listeners[1].address);
    fflush(stdout);
    serve(config.epoll_fd, listeners, 2);
}
