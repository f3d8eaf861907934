#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* epoll_pwait2 */
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Load generator for chat completions: one thread, keep-alive connections, every answer checked for
 * status, framing and completeness. Shares no code with the proxy it measures. */

#define CONNS_MAX      8192
#define EVENTS_AT_ONCE 512
#define READ_BYTES     ((size_t)64 * 1024)
#define HEAD_BYTES_MAX ((size_t)16 * 1024)
#define DRAIN_US       INT64_C(10000000) /* grace for answers still under way at the end */
#define SWEEP_US       INT64_C(8000) /* the longest sleep; connections are looked over this often */
#define ERRORS_MAX     UINT64_C(1000) /* beyond the requests asked for: give up */
#define BACK_OFF_US    INT64_C(10000) /* between attempts on a connection that failed */

/* Latencies go into buckets of 1/64 of a power of two: 1.6 % wide, from 1 us to over an hour. */
#define SUB_BITS 6
#define BUCKETS  ((size_t)(34 - SUB_BITS) << SUB_BITS)

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total;
};

enum phase { PHASE_CLOSED, PHASE_CONNECTING, PHASE_IDLE, PHASE_SENDING, PHASE_HEAD, PHASE_BODY };

enum framing {
    FRAMING_LENGTH,
    FRAMING_SIZE,
    FRAMING_DATA,
    FRAMING_CRLF,
    FRAMING_TRAILER,
    FRAMING_CLOSE
};

struct conn {
    int fd;
    enum phase phase;
    const char *request; /* one of requests[]; borrowed */
    size_t request_len;
    size_t sent;
    int64_t due_us;   /* when this request should have gone out; the base of its latency */
    int64_t retry_us; /* in PHASE_CLOSED */
    char *head;
    size_t head_len;
    enum framing framing;
    uint64_t left;     /* of the body or the chunk, bytes */
    size_t line_len;   /* trailer line so far; digits of a size line so far */
    bool in_extension; /* the rest of a size line is not digits */
    bool closes;
    bool is_stacked;  /* on the idle stack */
    bool has_first;   /* the first byte's time has been taken */
    bool has_done;    /* data: [DONE] was seen */
    bool is_counted;  /* started after the warm-up */
    uint32_t matched; /* bytes of the mark matched so far, over pieces */
    uint32_t done_matched;
    uint64_t events;
};

struct options {
    const char *url;
    const char *keys;
    const char *model;
    size_t connections;
    uint64_t requests; /* 0: by time */
    double seconds;
    double warmup_s;
    double rate; /* 0: closed loop */
    size_t body_bytes;
    bool is_stream;
};

static struct options options = { .model = "gpt-4o-mini", .connections = 16, .body_bytes = 1000 };
static struct sockaddr_in address;
static char host[256];
static char path[512];
static char **requests;
static size_t *request_lens;
static size_t key_count;

static struct conn conns[CONNS_MAX];
static int epoll_fd;
static int64_t start_us; /* of what is counted */
static int64_t end_us;
static int64_t start_cpu_us; /* own CPU time when the counting began */
static uint64_t started;     /* counted requests */
static uint64_t finished;
static uint64_t errors;
static uint64_t all_events;
static uint64_t done_by_status[6];
static char first_error[160];
static struct histogram total_us;
static struct histogram first_us;

/* Open loop: requests that are due wait here for a connection, so a slow server cannot slow the
 * arrivals down; their latency counts from when they were due. */
static double next_due_us;
static size_t idle_stack[CONNS_MAX];
static size_t idle_count;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "load: %s\n", what);
    exit(2);
}

static void *need(size_t bytes)
{
    void *block = calloc(1, bytes);

    if (block == NULL)
        die("out of memory");
    return block;
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t own_cpu_us(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static size_t bucket_of(int64_t value_us)
{
    const uint64_t value = value_us < 0 ? 0 : (uint64_t)value_us;

    if (value < (UINT64_C(1) << SUB_BITS))
        return (size_t)value;
    const int shift = 63 - __builtin_clzll(value) - SUB_BITS;
    const size_t bucket =
        ((size_t)(shift + 1) << SUB_BITS) + (size_t)((value >> shift) & ((1u << SUB_BITS) - 1));

    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static int64_t value_of(size_t bucket)
{
    if (bucket < (1u << SUB_BITS))
        return (int64_t)bucket;
    const size_t shift = (bucket >> SUB_BITS) - 1;

    return (int64_t)(((bucket & ((1u << SUB_BITS) - 1)) | (1u << SUB_BITS)) << shift);
}

static void record(struct histogram *histogram, int64_t value_us)
{
    histogram->counts[bucket_of(value_us)]++;
    histogram->total++;
}

static int64_t quantile(const struct histogram *histogram, double share)
{
    const uint64_t wanted = (uint64_t)(share * (double)histogram->total);
    uint64_t seen = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > wanted)
            return value_of(i);
    }
    return 0;
}

static void watch(struct conn *conn, uint32_t interest, int operation)
{
    struct epoll_event event = { .events = interest, .data.ptr = conn };

    (void)epoll_ctl(epoll_fd, operation, conn->fd, &event);
}

static void drop(struct conn *conn)
{
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    conn->phase = PHASE_CLOSED;
}

static bool is_loaded(const struct conn *conn)
{
    return conn->phase == PHASE_SENDING || conn->phase == PHASE_HEAD || conn->phase == PHASE_BODY;
}

static void fail(struct conn *conn, const char *why)
{
    if (first_error[0] == '\0')
        snprintf(first_error, sizeof(first_error), "%s", why);
    if (is_loaded(conn) && conn->is_counted)
        finished++;
    if (conn->is_counted || !is_loaded(conn))
        errors++;
    drop(conn);
    conn->retry_us = now_us() + BACK_OFF_US;
}

static bool may_start(int64_t at_us)
{
    if (options.requests > 0)
        return started < options.requests;
    return at_us < end_us;
}

static void finish(struct conn *conn);

static void send_request(struct conn *conn)
{
    while (conn->sent < conn->request_len) {
        const ssize_t len = send(conn->fd, conn->request + conn->sent,
                                 conn->request_len - conn->sent, MSG_NOSIGNAL);

        if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
            watch(conn, EPOLLOUT | EPOLLIN, EPOLL_CTL_MOD);
            return;
        }
        if (len < 0) {
            fail(conn, "the connection broke while sending");
            return;
        }
        conn->sent += (size_t)len;
        if (conn->sent < conn->request_len)
            continue;
    }
    if (conn->phase == PHASE_SENDING)
        conn->phase = PHASE_HEAD;
}

static void begin_request(struct conn *conn, int64_t due_us)
{
    conn->phase = PHASE_SENDING;
    conn->sent = 0;
    conn->due_us = due_us;
    conn->head_len = 0;
    conn->has_first = false;
    conn->has_done = false;
    conn->matched = 0;
    conn->done_matched = 0;
    conn->events = 0;
    conn->is_counted = due_us >= start_us;
    if (conn->is_counted)
        started++;
    send_request(conn);
}

/* A connection has nothing to do: give it a request if one is due, else let it wait. */
static void next_request(struct conn *conn)
{
    const int64_t at_us = now_us();

    conn->phase = PHASE_IDLE;
    if (!may_start(at_us))
        return;
    if (options.rate == 0) {
        begin_request(conn, at_us);
    } else if (next_due_us <= (double)at_us) {
        begin_request(conn, (int64_t)next_due_us);
        next_due_us += 1e6 / options.rate;
    } else if (!conn->is_stacked) {
        conn->is_stacked = true;
        idle_stack[idle_count++] = (size_t)(conn - conns);
    }
}

static void open_conn(struct conn *conn)
{
    const int on = 1;

    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        die(strerror(errno));
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    conn->phase = PHASE_CONNECTING;
    if (connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) != 0 &&
        errno != EINPROGRESS) {
        fail(conn, strerror(errno));
        return;
    }
    watch(conn, EPOLLOUT, EPOLL_CTL_ADD);
}

static void finish_connect(struct conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);

    (void)getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        fail(conn, strerror(error));
        return;
    }
    watch(conn, EPOLLIN, EPOLL_CTL_MOD);
    next_request(conn);
}

/* The answer is complete in its framing; judge it. */
static void finish(struct conn *conn)
{
    const int64_t at_us = now_us();

    if (options.is_stream && !conn->has_done) {
        fail(conn, "a stream ended without [DONE]");
        return;
    }
    if (conn->is_counted) {
        finished++;
        all_events += conn->events;
        record(&total_us, at_us - conn->due_us);
    }
    if (conn->closes) {
        drop(conn);
        open_conn(conn);
        return;
    }
    next_request(conn);
}

/* Count events and look for the end mark, across pieces of any size. Marks start a line, and
 * neither can begin inside itself, so falling back to the first byte is enough. */
static void scan(struct conn *conn, const char *bytes, size_t len)
{
    static const char mark[] = "\ndata: ";
    static const char done[] = "[DONE]";
    const char *at = bytes;
    const char *end = bytes + len;

    while (at < end) {
        if (conn->matched == 0 && conn->done_matched == 0) {
            at = memchr(at, '\n', (size_t)(end - at));
            if (at == NULL)
                return;
        }
        if (conn->matched < sizeof(mark) - 1) {
            if (*at == mark[conn->matched])
                conn->matched++;
            else
                conn->matched = *at == '\n' ? 1 : 0;
            at++;
            continue;
        }
        if (conn->done_matched == 0)
            conn->events++;
        if (*at == done[conn->done_matched]) {
            conn->done_matched++;
            at++;
            if (conn->done_matched < sizeof(done) - 1)
                continue;
            conn->has_done = true;
        }
        conn->matched = 0;
        conn->done_matched = 0;
    }
}

static bool read_status(struct conn *conn, int *ret_status)
{
    if (conn->head_len < 12 || memcmp(conn->head, "HTTP/1.1 ", 9) != 0)
        return false;
    *ret_status = atoi(conn->head + 9);
    done_by_status[*ret_status >= 100 && *ret_status < 600 ? *ret_status / 100 : 0]++;
    return true;
}

/* Read the head's framing. ret: NULL, or what is wrong with it. */
static const char *read_head(struct conn *conn)
{
    int status = 0;
    char *line = conn->head;

    if (!read_status(conn, &status))
        return "no HTTP/1.1 status line";
    if (status != 200) {
        static char why[40];

        snprintf(why, sizeof(why), "status %d", status);
        return why;
    }
    conn->framing = FRAMING_CLOSE;
    conn->closes = false;
    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        if (strncasecmp(line, "content-length:", 15) == 0) {
            conn->framing = FRAMING_LENGTH;
            conn->left = strtoull(line + 15, NULL, 10);
        } else if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0) {
            conn->framing = FRAMING_SIZE;
            conn->left = 0;
        } else if (strncasecmp(line, "connection: close", 17) == 0) {
            conn->closes = true;
        }
    }
    conn->line_len = 0;
    conn->in_extension = false;
    if (conn->framing == FRAMING_CLOSE)
        conn->closes = true;
    return NULL;
}

static int digit_of(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Take one byte of chunk framing. ret: false when it is malformed. */
static bool take_framing(struct conn *conn, char byte)
{
    switch (conn->framing) {
    case FRAMING_SIZE:
        if (byte == '\n') {
            if (conn->line_len == 0)
                return false;
            conn->framing = conn->left == 0 ? FRAMING_TRAILER : FRAMING_DATA;
            conn->line_len = 0;
            conn->in_extension = false;
        } else if (!conn->in_extension && digit_of(byte) >= 0 && conn->line_len < 15) {
            conn->left = conn->left * 16 + (uint64_t)digit_of(byte);
            conn->line_len++;
        } else {
            conn->in_extension = true;
            return byte == '\r' || byte == ';' || byte == ' ' || conn->line_len > 0;
        }
        return true;
    case FRAMING_CRLF:
        if (byte == '\n')
            conn->framing = FRAMING_SIZE;
        return byte == '\n' || byte == '\r';
    case FRAMING_TRAILER:
        if (byte == '\n' && conn->line_len == 0) {
            conn->framing = FRAMING_LENGTH; /* of which nothing is left */
            return true;
        }
        conn->line_len = byte == '\n' ? 0 : conn->line_len + (byte == '\r' ? 0 : 1);
        return true;
    case FRAMING_LENGTH:
    case FRAMING_DATA:
    case FRAMING_CLOSE:
        break;
    }
    return false;
}

/* Take body bytes. ret: how many belonged to this answer; -1 when the framing is broken. */
static ssize_t take_body(struct conn *conn, const char *bytes, size_t len)
{
    size_t at = 0;

    while (at < len) {
        if (conn->framing == FRAMING_LENGTH && conn->left == 0)
            break;
        const bool is_data = conn->framing == FRAMING_LENGTH || conn->framing == FRAMING_DATA ||
                             conn->framing == FRAMING_CLOSE;

        if (!is_data) {
            if (!take_framing(conn, bytes[at++]))
                return -1;
            continue;
        }
        size_t piece = len - at;

        if (conn->framing != FRAMING_CLOSE && piece > conn->left)
            piece = (size_t)conn->left;
        if (options.is_stream)
            scan(conn, bytes + at, piece);
        at += piece;
        if (conn->framing == FRAMING_CLOSE)
            continue;
        conn->left -= piece;
        if (conn->left == 0 && conn->framing == FRAMING_DATA)
            conn->framing = FRAMING_CRLF;
    }
    return (ssize_t)at;
}

/* Collect the head. ret: bytes used; the phase moves on once it is whole. */
static size_t take_head(struct conn *conn, const char *bytes, size_t len)
{
    const size_t before = conn->head_len;
    const size_t room = HEAD_BYTES_MAX - 1 - before;
    const size_t copied = len < room ? len : room;

    memcpy(conn->head + before, bytes, copied);
    conn->head_len += copied;
    conn->head[conn->head_len] = '\0';
    char *blank = strstr(conn->head + (before < 3 ? 0 : before - 3), "\r\n\r\n");

    if (blank == NULL) {
        if (copied < len)
            fail(conn, "the head is too long");
        return len;
    }
    const size_t head_len = (size_t)(blank - conn->head) + 4;

    conn->head[head_len - 2] = '\0';
    const char *why = read_head(conn);

    if (why != NULL) {
        fail(conn, why);
        return len;
    }
    conn->phase = PHASE_BODY;
    conn->matched = 1; /* the body starts a line */
    return head_len - before;
}

static void take(struct conn *conn, const char *bytes, size_t len)
{
    if (conn->phase == PHASE_IDLE || conn->phase == PHASE_SENDING) {
        fail(conn, "bytes came that nobody asked for");
        return;
    }
    if (!conn->has_first) {
        conn->has_first = true;
        if (conn->is_counted)
            record(&first_us, now_us() - conn->due_us);
    }
    size_t used = 0;

    if (conn->phase == PHASE_HEAD) {
        used = take_head(conn, bytes, len);
        if (conn->phase != PHASE_BODY)
            return;
    }
    const ssize_t taken = take_body(conn, bytes + used, len - used);

    if (taken < 0 || used + (size_t)taken < len)
        fail(conn, taken < 0 ? "malformed chunked framing" : "bytes follow the answer");
    else if (conn->framing == FRAMING_LENGTH && conn->left == 0)
        finish(conn);
}

static void receive(struct conn *conn)
{
    static char bytes[READ_BYTES];
    const ssize_t len = recv(conn->fd, bytes, sizeof(bytes), 0);

    if (len > 0) {
        take(conn, bytes, (size_t)len);
    } else if (len == 0 && conn->phase == PHASE_BODY && conn->framing == FRAMING_CLOSE) {
        finish(conn);
    } else if (len == 0 && conn->phase == PHASE_IDLE) {
        drop(conn); /* an idle connection may be closed; it is opened again when needed */
    } else if (len == 0) {
        fail(conn, "the connection closed before the answer was whole");
    } else if (errno != EAGAIN && errno != EINTR) {
        fail(conn, strerror(errno));
    }
}

static void handle(struct conn *conn, uint32_t events)
{
    if (conn->phase == PHASE_CONNECTING) {
        finish_connect(conn);
        return;
    }
    if (conn->phase == PHASE_SENDING && (events & EPOLLOUT) != 0) {
        send_request(conn);
        if (conn->phase == PHASE_HEAD)
            watch(conn, EPOLLIN, EPOLL_CTL_MOD);
    }
    if (conn->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        receive(conn);
}

/* Open loop: hand the requests that are due to idle connections. */
static void start_due(int64_t at_us)
{
    while (options.rate > 0 && next_due_us <= (double)at_us && idle_count > 0 && may_start(at_us)) {
        struct conn *conn = &conns[idle_stack[--idle_count]];

        conn->is_stacked = false;
        if (conn->phase != PHASE_IDLE) /* closed meanwhile */
            continue;
        begin_request(conn, (int64_t)next_due_us);
        next_due_us += 1e6 / options.rate;
    }
}

static size_t reopen(int64_t at_us)
{
    size_t loaded = 0;

    for (size_t i = 0; i < options.connections; i++) {
        if (conns[i].phase == PHASE_CLOSED && may_start(at_us) && at_us >= conns[i].retry_us)
            open_conn(&conns[i]);
        loaded += is_loaded(&conns[i]) ? 1 : 0;
    }
    return loaded;
}

/* How long to sleep: to the microsecond, because spinning towards a due time would take the core
 * that is being measured. */
static struct timespec loop_wait(int64_t at_us)
{
    double left_us = SWEEP_US;

    if (options.rate > 0 && idle_count > 0 && next_due_us - (double)at_us < left_us)
        left_us = next_due_us - (double)at_us;
    if (left_us < 0)
        left_us = 0;
    return (struct timespec){ .tv_sec = 0, .tv_nsec = (long)(left_us * 1000) };
}

static bool is_over(int64_t at_us, size_t loaded)
{
    if (errors > ERRORS_MAX + options.requests)
        return true; /* nobody is there */
    if (options.requests > 0)
        return finished >= options.requests && loaded == 0;
    return at_us >= end_us && (loaded == 0 || at_us >= end_us + DRAIN_US);
}

static void run(void)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int64_t swept_us = 0;
    size_t loaded = 1;

    for (;;) {
        const int64_t at_us = now_us();

        if (start_cpu_us == 0 && at_us >= start_us)
            start_cpu_us = own_cpu_us();
        /* Looking at every connection is too dear for each turn of the loop. */
        if (at_us - swept_us >= SWEEP_US / 4) {
            loaded = reopen(at_us);
            swept_us = at_us;
        }
        if (is_over(at_us, loaded))
            return;
        start_due(at_us);
        const struct timespec wait = loop_wait(at_us);
        const int ready = epoll_pwait2(epoll_fd, events, EVENTS_AT_ONCE, &wait, NULL);

        for (int i = 0; i < ready; i++)
            handle(events[i].data.ptr, events[i].events);
    }
}

static void read_url(void)
{
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char port[16] = "80";
    int parts = sscanf(options.url, "http://%255[^:/]:%15[0-9]%511s", host, port, path);

    if (parts < 2)
        parts = sscanf(options.url, "http://%255[^:/]%511s", host, path);
    if (parts < 1 || getaddrinfo(host, port, &hints, &found) != 0)
        die("--url must be http://HOST:PORT/PATH");
    if (path[0] == '\0')
        strcpy(path, "/v1/chat/completions");
    memcpy(&address, found->ai_addr, sizeof(address));
    freeaddrinfo(found);
}

/* A chat completion call of about options.body_bytes bytes. ret: for free(). */
static char *build_body(void)
{
    const size_t cap = options.body_bytes + strlen(options.model) + 256;
    char *body = need(cap);
    int len = snprintf(body, cap,
                       "{\"model\":\"%s\",%s\"max_tokens\":200,\"messages\":[{\"role\":"
                       "\"user\",\"content\":\"",
                       options.model, options.is_stream ? "\"stream\":true," : "");

    while ((size_t)len + 4 < options.body_bytes) {
        body[len] = len % 7 == 0 ? ' ' : (char)('a' + len % 26);
        len++;
    }
    strcpy(body + len, "\"}]}");
    return body;
}

static void add_key(const char *key, const char *body)
{
    const size_t cap = strlen(body) + strlen(key) + strlen(host) + strlen(path) + 256;
    char *request = need(cap);

    requests = realloc(requests, (key_count + 1) * sizeof(*requests));
    request_lens = realloc(request_lens, (key_count + 1) * sizeof(*request_lens));
    if (requests == NULL || request_lens == NULL)
        die("out of memory");
    request_lens[key_count] =
        (size_t)snprintf(request, cap,
                         "POST %s HTTP/1.1\r\nHost: %s:%u\r\nAuthorization: Bearer %s\r\n"
                         "Content-Type: application/json\r\nAccept: application/json\r\n"
                         "User-Agent: load/1\r\nContent-Length: %zu\r\n\r\n%s",
                         path, host, ntohs(address.sin_port), key, strlen(body), body);
    requests[key_count++] = request;
}

static void read_key_file(const char *name, const char *body)
{
    FILE *file = fopen(name, "r");
    char line[512];

    if (file == NULL)
        die("the key file cannot be opened");
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0')
            add_key(line, body);
    }
    fclose(file);
}

static void build_requests(void)
{
    char *body = build_body();

    if (options.keys[0] == '@') {
        read_key_file(options.keys + 1, body);
    } else {
        char *keys = strdup(options.keys);
        char *rest = keys;

        for (char *key = strsep(&rest, ","); key != NULL; key = strsep(&rest, ","))
            add_key(key, body);
        free(keys);
    }
    free(body);
    if (key_count == 0)
        die("no key given");
}

static void report(double seconds)
{
    printf("{\"requests\":%llu,\"errors\":%llu,\"seconds\":%.3f,\"rps\":%.1f,"
           "\"latency_us\":{\"p50\":%lld,\"p90\":%lld,\"p99\":%lld},"
           "\"first_byte_us\":{\"p50\":%lld,\"p99\":%lld},"
           "\"events\":%llu,\"unfinished\":%llu,"
           "\"status\":{\"2xx\":%llu,\"3xx\":%llu,\"4xx\":%llu,\"5xx\":%llu},"
           "\"cpu_us\":%lld,\"first_error\":",
           (unsigned long long)finished, (unsigned long long)errors, seconds,
           (double)finished / seconds, (long long)quantile(&total_us, 0.5),
           (long long)quantile(&total_us, 0.9), (long long)quantile(&total_us, 0.99),
           (long long)quantile(&first_us, 0.5), (long long)quantile(&first_us, 0.99),
           (unsigned long long)all_events, (unsigned long long)(started - finished),
           (unsigned long long)done_by_status[2], (unsigned long long)done_by_status[3],
           (unsigned long long)done_by_status[4], (unsigned long long)done_by_status[5],
           (long long)(own_cpu_us() - start_cpu_us));
    if (first_error[0] == '\0')
        puts("null}");
    else
        printf("\"%s\"}\n", first_error);
}

static _Noreturn void usage(void)
{
    fputs("usage: load --url http://HOST:PORT/PATH --key K[,K...]|@FILE --connections N\n"
          "            --seconds S | --requests N [--body-bytes N] [--model M] [--stream]\n"
          "            [--rate R] [--warmup S] [--json]\n",
          stderr);
    exit(2);
}

static void read_value(const char *name, const char *value)
{
    if (strcmp(name, "--url") == 0)
        options.url = value;
    else if (strcmp(name, "--key") == 0)
        options.keys = value;
    else if (strcmp(name, "--model") == 0)
        options.model = value;
    else if (strcmp(name, "--connections") == 0)
        options.connections = strtoull(value, NULL, 10);
    else if (strcmp(name, "--requests") == 0)
        options.requests = strtoull(value, NULL, 10);
    else if (strcmp(name, "--seconds") == 0)
        options.seconds = atof(value);
    else if (strcmp(name, "--warmup") == 0)
        options.warmup_s = atof(value);
    else if (strcmp(name, "--rate") == 0)
        options.rate = atof(value);
    else if (strcmp(name, "--body-bytes") == 0)
        options.body_bytes = strtoull(value, NULL, 10);
    else
        usage();
}

static void read_options(int argc, char **argv)
{
    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--stream") == 0) {
            options.is_stream = true;
        } else if (strcmp(argv[at], "--json") != 0) { /* the report is always JSON */
            if (at + 1 == argc)
                usage();
            read_value(argv[at], argv[at + 1]);
            at++;
        }
    }
    if (options.url == NULL || options.keys == NULL || options.connections == 0 ||
        options.connections > CONNS_MAX || (options.requests == 0) == (options.seconds == 0))
        usage();
}

int main(int argc, char **argv)
{
    struct rlimit limit;

    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    read_url();
    build_requests();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    start_us = now_us() + (int64_t)(options.warmup_s * 1e6);
    end_us = start_us + (int64_t)(options.seconds * 1e6);
    next_due_us = (double)now_us();
    for (size_t i = 0; i < options.connections; i++) {
        conns[i].fd = -1;
        conns[i].head = need(HEAD_BYTES_MAX);
        conns[i].request = requests[i % key_count];
        conns[i].request_len = request_lens[i % key_count];
    }
    run();
    const int64_t stop_us = now_us();

    report((double)(stop_us - start_us) / 1e6);
    return errors == 0 ? 0 : 1;
}
