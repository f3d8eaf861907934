#include "net/daemon.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/try.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define US_PER_MS        1000
#define REAP_EVERY_MS    500
#define STACK_BYTES      ((size_t)512 << 10)
#define STREAM_BLOCK     4096
#define BODY_FIRST_BYTES 4096

/* What a connection does now; each has a deadline but HANDLING, whose work brings its own. */
enum phase { PHASE_HEAD, PHASE_BODY, PHASE_HANDLING, PHASE_SENDING };

static const int64_t phase_limit_ms[] = {
    [PHASE_HEAD] = DAEMON_IDLE_MS,
    [PHASE_BODY] = DAEMON_BODY_MS,
    [PHASE_HANDLING] = 0,
    [PHASE_SENDING] = DAEMON_SEND_MS,
};

struct connection {
    struct list node; /* in daemon.connections, under its lock */
    int fd;
    bool is_local_owner;
    enum phase phase;
    int64_t since_us;
};

struct daemon {
    struct MHD_Daemon *mhd;
    struct daemon_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a connection has ended, or the reaper shall */
    struct list connections;
    bool is_stopping;
    pthread_t reaper;
};

struct exchange {
    struct daemon *daemon;
    struct connection *connection; /* NULL: out of memory when it was accepted */
    struct daemon_request request;
    struct buf body;
    size_t swallowed;
    char *target; /* path, then the decoded parameters */
    struct daemon_param params[DAEMON_PARAMS_MAX];
    bool has_begun; /* the head is complete */
};

static void enter_phase(struct exchange *exchange, enum phase phase)
{
    struct connection *connection = exchange->connection;

    if (connection == NULL)
        return;
    (void)pthread_mutex_lock(&exchange->daemon->lock);
    connection->phase = phase;
    connection->since_us = clock_monotonic_us();
    (void)pthread_mutex_unlock(&exchange->daemon->lock);
}

/* --- the reaper: libmicrohttpd's time-out starts anew with each byte ------------------------- */

static void cut_late(struct daemon *daemon)
{
    const int64_t now_us = clock_monotonic_us();

    for (struct list *node = daemon->connections.next; node != &daemon->connections;
         node = node->next) {
        struct connection *connection = LIST_ENTRY(node, struct connection, node);
        const int64_t limit_ms = phase_limit_ms[connection->phase];

        if (limit_ms > 0 && now_us - connection->since_us > limit_ms * US_PER_MS)
            (void)shutdown(connection->fd, SHUT_RDWR);
    }
}

static void *reap(void *argument)
{
    struct daemon *daemon = argument;

    (void)pthread_mutex_lock(&daemon->lock);
    while (!daemon->is_stopping) {
        struct timespec until;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)REAP_EVERY_MS * US_PER_MS * US_PER_MS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&daemon->changed, &daemon->lock, &until);
        cut_late(daemon);
    }
    (void)pthread_mutex_unlock(&daemon->lock);
    return NULL;
}

/* --- connections ------------------------------------------------------------------------------ */

static bool peer_is_owner(int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t address_len = sizeof(address);
    struct ucred peer;
    socklen_t peer_len = sizeof(peer);

    if (getsockname(fd, (struct sockaddr *)&address, &address_len) != 0 ||
        address.ss_family != AF_UNIX)
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) != 0)
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

static void on_connected(struct daemon *daemon, struct MHD_Connection *mhd, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *connection = calloc(1, sizeof(*connection));
    const int no_delay = 1;

    if (connection == NULL || info == NULL) {
        free(connection);
        return;
    }
    connection->fd = info->connect_fd;
    connection->is_local_owner = peer_is_owner(connection->fd);
    connection->since_us = clock_monotonic_us();
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
    (void)pthread_mutex_lock(&daemon->lock);
    list_push_back(&daemon->connections, &connection->node);
    (void)pthread_mutex_unlock(&daemon->lock);
    *context = connection;
}

/* Comes before the descriptor is closed, so the reaper never meets one that is another's already.
 */
static void on_connection(void *argument, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct daemon *daemon = argument;
    struct connection *connection = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        on_connected(daemon, mhd, context);
        return;
    }
    if (connection == NULL)
        return;
    (void)pthread_mutex_lock(&daemon->lock);
    list_remove(&connection->node);
    (void)pthread_cond_broadcast(&daemon->changed);
    (void)pthread_mutex_unlock(&daemon->lock);
    free(connection);
    *context = NULL;
}

/* --- the target ------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

bool daemon_decode(char *text, size_t len, struct span *ret_decoded)
{
    size_t to = 0;

    for (size_t from = 0; from < len; from++, to++) {
        if (text[from] != '%') {
            text[to] = text[from];
            continue;
        }
        if (len - from < 3 || hex_digit(text[from + 1]) < 0 || hex_digit(text[from + 2]) < 0)
            return false;
        text[to] =
            (char)(unsigned char)(hex_digit(text[from + 1]) * 16 + hex_digit(text[from + 2]));
        if (text[to] == '\0')
            return false;
        from += 2;
    }
    *ret_decoded = span_of(text, to);
    return true;
}

static bool decode_param(char *text, size_t len, struct span *ret_decoded)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '+')
            text[i] = ' ';
    return daemon_decode(text, len, ret_decoded);
}

static bool read_param(struct exchange *exchange, char *text, size_t len)
{
    struct daemon_param *param = &exchange->params[exchange->request.param_count];
    const char *equals = memchr(text, '=', len);
    const size_t name_len = equals != NULL ? (size_t)(equals - text) : len;

    if (exchange->request.param_count == DAEMON_PARAMS_MAX)
        return false;
    param->value = SPAN_EMPTY;
    if (!decode_param(text, name_len, &param->name))
        return false;
    if (equals != NULL && !decode_param(text + name_len + 1, len - name_len - 1, &param->value))
        return false;
    exchange->request.param_count++;
    return true;
}

static bool read_query(struct exchange *exchange, char *query)
{
    while (*query != '\0') {
        const size_t len = strcspn(query, "&");
        char *next = query + len + (query[len] == '&' ? 1 : 0);

        if (len > 0 && !read_param(exchange, query, len))
            return false;
        query = next;
    }
    return true;
}

static void read_target(struct exchange *exchange, const char *uri)
{
    const size_t path_len = strcspn(uri, "?");

    exchange->request.path = SPAN("/");
    if (strlen(uri) > DAEMON_TARGET_MAX || uri[0] != '/') {
        exchange->request.fault = TG_INVALID;
        return;
    }
    exchange->target = strdup(uri);
    if (exchange->target == NULL) {
        exchange->request.fault = TG_NO_MEMORY;
        return;
    }
    exchange->request.path = span_of(exchange->target, path_len);
    if (uri[path_len] == '?' && !read_query(exchange, exchange->target + path_len + 1))
        exchange->request.fault = TG_INVALID;
    exchange->request.params = exchange->params;
}

static size_t body_max_bytes(const struct exchange *exchange)
{
    const struct daemon_options *options = &exchange->daemon->options;

    return options->long_body_path != NULL &&
                   span_equal(exchange->request.path, span_from(options->long_body_path))
               ? options->long_body_max_bytes
               : options->body_max_bytes;
}

/* The first thing known of a request: its line. libmicrohttpd hands the result on as `*context`. */
static void *on_target(void *argument, const char *uri, struct MHD_Connection *mhd)
{
    struct daemon *daemon = argument;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    if (exchange == NULL)
        return NULL;
    exchange->daemon = daemon;
    exchange->connection = info != NULL ? info->socket_context : NULL;
    exchange->request.fault = TG_OK;
    exchange->request.connection = mhd;
    exchange->request.is_local_owner =
        exchange->connection != NULL && exchange->connection->is_local_owner;
    id_make_name("req_", exchange->request.id);
    read_target(exchange, uri);
    buf_init(&exchange->body, body_max_bytes(exchange));
    return exchange;
}

/* Paths are matched as they stood on the wire. */
static size_t keep_escapes(void *argument, struct MHD_Connection *mhd, char *text)
{
    (void)argument;
    (void)mhd;
    return strlen(text);
}

/* --- answers ---------------------------------------------------------------------------------- */

void daemon_answer_header(struct daemon_answer *answer, const char *name, const char *value)
{
    const size_t len = strlen(value);

    assert(answer->header_count < DAEMON_HEADERS_MAX);
    if (len >= sizeof(answer->header[0].value))
        return;
    answer->header[answer->header_count].name = name;
    memcpy(answer->header[answer->header_count].value, value, len + 1);
    answer->header_count++;
}

struct span daemon_header(const struct daemon_request *request, const char *name)
{
    const char *value = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);

    return value != NULL ? span_from(value) : SPAN_EMPTY;
}

bool daemon_param_get(const struct daemon_request *request, const char *name,
                      struct span *ret_value)
{
    for (int i = 0; i < request->param_count; i++) {
        if (!span_equal(request->params[i].name, span_from(name)))
            continue;
        *ret_value = request->params[i].value;
        return true;
    }
    return false;
}

static ssize_t on_stream_read(void *argument, uint64_t at, char *out, size_t max)
{
    const struct daemon_stream *stream = argument;
    const ssize_t len = stream->read(stream->context, out, max);

    (void)at;
    if (len > 0)
        return len;
    return len == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void on_stream_free(void *argument)
{
    struct daemon_stream *stream = argument;

    if (stream->free != NULL)
        stream->free(stream->context);
    free(stream);
}

static struct MHD_Response *make_stream(struct daemon_stream *from)
{
    struct daemon_stream *stream = malloc(sizeof(*stream));
    struct MHD_Response *response = NULL;

    if (stream != NULL) {
        *stream = *from;
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_stream_read,
                                                     stream, on_stream_free);
    }
    if (response == NULL) {
        free(stream);
        if (from->free != NULL)
            from->free(from->context);
    }
    return response;
}

static struct MHD_Response *make_response(struct daemon_answer *answer)
{
    struct span body = buf_span(&answer->body);

    if (answer->stream.read != NULL)
        return make_stream(&answer->stream);
    if (answer->constant.len > 0)
        return MHD_create_response_from_buffer(answer->constant.len, (void *)answer->constant.ptr,
                                               MHD_RESPMEM_PERSISTENT);
    return MHD_create_response_from_buffer(body.len, (void *)body.ptr, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result send_answer(struct exchange *exchange, struct daemon_answer *answer)
{
    struct MHD_Response *response = make_response(answer);
    enum MHD_Result result = MHD_NO;

    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, "x-request-id", exchange->request.id);
    if (answer->type != NULL)
        (void)MHD_add_response_header(response, "Content-Type", answer->type);
    for (int i = 0; i < answer->header_count; i++)
        (void)MHD_add_response_header(response, answer->header[i].name, answer->header[i].value);
    if (answer->must_close)
        (void)MHD_add_response_header(response, "Connection", "close");
    enter_phase(exchange, PHASE_SENDING);
    result = MHD_queue_response(exchange->request.connection, (unsigned int)answer->http, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_request(struct exchange *exchange)
{
    struct daemon_answer *answer = calloc(1, sizeof(*answer));
    enum MHD_Result result;

    if (answer == NULL)
        return MHD_NO;
    answer->http = 200;
    answer->must_close = exchange->request.fault != TG_OK;
    exchange->request.body = buf_span(&exchange->body);
    enter_phase(exchange, PHASE_HANDLING);
    exchange->daemon->options.handle(exchange->daemon->options.context, &exchange->request, answer);
    result = send_answer(exchange, answer);
    buf_fini(&answer->body);
    free(answer);
    return result;
}

/* --- requests --------------------------------------------------------------------------------- */

/* The head is complete. A body that says that it is too long is refused before it is sent. */
static enum MHD_Result begin(struct exchange *exchange)
{
    const struct span length = daemon_header(&exchange->request, "Content-Length");
    int64_t bytes = 0;

    exchange->has_begun = true;
    enter_phase(exchange, PHASE_BODY);
    if (length.len > 0 &&
        (!span_to_int64(length, INT64_MAX, &bytes) || (uint64_t)bytes > body_max_bytes(exchange)))
        exchange->request.fault = TG_TOO_LARGE;
    if (exchange->request.fault != TG_OK)
        return answer_request(exchange);
    return MHD_YES;
}

static enum MHD_Result take_body(struct exchange *exchange, const char *bytes, size_t len)
{
    if (exchange->request.fault == TG_OK) {
        buf_put(&exchange->body, bytes, len);
        if (!exchange->body.failed)
            return MHD_YES;
        exchange->request.fault = TG_TOO_LARGE;
        buf_release(&exchange->body);
    }
    exchange->swallowed += len;
    return exchange->swallowed <= DAEMON_SWALLOW_MAX ? MHD_YES : MHD_NO;
}

/* Its parameters are the library's.
 * NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_request(void *argument, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *len, void **context)
{
    struct exchange *exchange = *context;

    (void)argument;
    (void)mhd;
    (void)url;
    (void)version;
    if (exchange == NULL)
        return MHD_NO;
    exchange->request.method = method;
    if (!exchange->has_begun)
        return begin(exchange);
    if (*len > 0) {
        const size_t taken = *len;

        *len = 0;
        return take_body(exchange, bytes, taken);
    }
    return answer_request(exchange);
}

static void on_completed(void *argument, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *context;

    (void)argument;
    (void)mhd;
    (void)code;
    if (exchange == NULL)
        return;
    enter_phase(exchange, PHASE_HEAD);
    buf_fini(&exchange->body);
    free(exchange->target);
    free(exchange);
    *context = NULL;
}

/* --- life cycle ------------------------------------------------------------------------------- */

static void on_mhd_log(void *argument, const char *format, va_list values)
{
    const struct daemon *daemon = argument;
    char text[256];

    (void)vsnprintf(text, sizeof(text), format, values);
    log_event(LOG_DEBUG, "http_library", LOG_FS("listener", daemon->options.name),
              LOG_FS("text", text));
}

static struct MHD_Daemon *start_library(struct daemon *daemon, int listen_fd)
{
    const unsigned int flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                               MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;

    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, daemon, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, daemon,
        MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_NOTIFY_CONNECTION, on_connection, daemon,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, daemon, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        daemon, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned int)daemon->options.connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)2 * DAEMON_HEAD_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned int)(DAEMON_SEND_MS / 1000), MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, MHD_OPTION_END);
}

static struct daemon *make(const struct daemon_options *options)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    pthread_condattr_t attr;

    if (daemon == NULL)
        return NULL;
    daemon->options = *options;
    list_init(&daemon->connections);
    (void)pthread_mutex_init(&daemon->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&daemon->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    return daemon;
}

static void destroy(struct daemon *daemon)
{
    (void)pthread_cond_destroy(&daemon->changed);
    (void)pthread_mutex_destroy(&daemon->lock);
    free(daemon);
}

static void stop_reaper(struct daemon *daemon)
{
    (void)pthread_mutex_lock(&daemon->lock);
    daemon->is_stopping = true;
    (void)pthread_cond_broadcast(&daemon->changed);
    (void)pthread_mutex_unlock(&daemon->lock);
    (void)pthread_join(daemon->reaper, NULL);
}

enum tg_status daemon_start(int listen_fd, const struct daemon_options *options,
                            struct daemon **ret_daemon, struct err *err)
{
    struct daemon *daemon = make(options);

    assert(options->connections_max >= 1);
    assert(options->connections_max <= DAEMON_CONNECTION_MAX);
    if (daemon == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for the listener %s", options->name);
    if (pthread_create(&daemon->reaper, NULL, reap, daemon) != 0) {
        destroy(daemon);
        return err_set(err, TG_NO_MEMORY, "no thread for the listener %s", options->name);
    }
    (void)pthread_setname_np(daemon->reaper, options->name);
    daemon->mhd = start_library(daemon, listen_fd);
    if (daemon->mhd == NULL) {
        stop_reaper(daemon);
        destroy(daemon);
        return err_set(err, TG_IO, "libmicrohttpd cannot serve the listener %s", options->name);
    }
    *ret_daemon = daemon;
    return TG_OK;
}

static bool is_answering(const struct daemon *daemon)
{
    for (const struct list *node = daemon->connections.next; node != &daemon->connections;
         node = node->next) {
        if (LIST_ENTRY(node, struct connection, node)->phase != PHASE_HEAD)
            return true;
    }
    return false;
}

/* Those that wait for a request are cut at once. */
static void wait_for_answers(struct daemon *daemon)
{
    struct timespec until;
    int waited = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += DAEMON_STOP_MS / 1000;
    (void)pthread_mutex_lock(&daemon->lock);
    for (struct list *node = daemon->connections.next; node != &daemon->connections;
         node = node->next) {
        struct connection *connection = LIST_ENTRY(node, struct connection, node);

        if (connection->phase == PHASE_HEAD)
            (void)shutdown(connection->fd, SHUT_RD);
    }
    while (is_answering(daemon) && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&daemon->changed, &daemon->lock, &until);
    (void)pthread_mutex_unlock(&daemon->lock);
}

void daemon_stop(struct daemon *daemon)
{
    MHD_socket listen_fd;

    if (daemon == NULL)
        return;
    listen_fd = MHD_quiesce_daemon(daemon->mhd);
    wait_for_answers(daemon);
    stop_reaper(daemon);
    MHD_stop_daemon(daemon->mhd);
    if (listen_fd != MHD_INVALID_SOCKET)
        (void)close(listen_fd);
    destroy(daemon);
}

/* --- sockets ---------------------------------------------------------------------------------- */

/* Take "ADDR:PORT" apart; "[::1]:80" loses its brackets. */
static bool split_address(const char *address, char host[64], char port[8])
{
    const char *colon = strrchr(address, ':');
    const char *end = colon;
    int64_t number;

    if (colon == NULL || !span_to_int64(span_from(colon + 1), 65535, &number))
        return false;
    if (address[0] == '[') {
        address++;
        if (end == address || *--end != ']')
            return false;
    }
    if (end <= address || end - address >= 64)
        return false;
    (void)snprintf(host, 64, "%.*s", (int)(end - address), address);
    (void)snprintf(port, 8, "%d", (int)number);
    return true;
}

static enum tg_status bind_and_listen(int fd, const struct sockaddr *address, socklen_t len)
{
    const int yes = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, address, len) != 0 || listen(fd, SOMAXCONN) != 0)
        return errno == EADDRINUSE ? TG_CONFLICT : TG_IO;
    return TG_OK;
}

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = { .v6 = { 0 } };
    socklen_t len = sizeof(address);

    (void)getsockname(fd, &address.any, &len);
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

enum tg_status daemon_listen_tcp(const char *address, int *ret_fd, int *ret_port, struct err *err)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *info = NULL;
    enum tg_status status;
    char host[64];
    char port[8];
    int fd;

    if (!split_address(address, host, port) || getaddrinfo(host, port, &hints, &info) != 0)
        return err_set(err, TG_INVALID,
                       "%s is not an address to listen on: write a number and a port, as in "
                       "127.0.0.1:4001 or [::1]:4001",
                       address);
    fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    status = fd < 0 ? TG_IO : bind_and_listen(fd, info->ai_addr, info->ai_addrlen);
    freeaddrinfo(info);
    if (status == TG_OK) {
        *ret_port = port_of(fd);
        *ret_fd = fd;
        return TG_OK;
    }
    if (fd >= 0)
        (void)close(fd);
    if (status == TG_CONFLICT)
        return err_set(err, status, "%s is in use: stop what listens there or choose another port",
                       address);
    return err_set(err, status, "cannot listen on %s: %s", address, strerror(errno));
}

enum tg_status daemon_listen_unix(const char *path, int *ret_fd, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const size_t len = strlen(path);
    enum tg_status status;
    mode_t old_mask;
    int fd;

    if (len >= sizeof(address.sun_path))
        return err_set(err, TG_INVALID,
                       "%s is too long for a socket (%zu bytes at most): choose a shorter data "
                       "directory",
                       path, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, len + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, TG_IO, "cannot make a socket: %s", strerror(errno));
    (void)unlink(path);
    old_mask = umask(0177); /* so that it never stands open, not even for an instant */
    status = bind_and_listen(fd, (const struct sockaddr *)&address, sizeof(address));
    (void)umask(old_mask);
    if (status != TG_OK) {
        (void)close(fd);
        return err_set(err, status, "cannot listen on %s: %s", path, strerror(errno));
    }
    *ret_fd = fd;
    return TG_OK;
}
