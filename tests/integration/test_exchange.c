/* Goal: whatever happens to a call, it is charged once, its hold is gone, and its client never
 * holds a complete answer that was not. Method: a worker in its thread with the real ledger, keys
 * and providers, a provider that follows a script, a client of raw sockets; one row a way to end.
 */
#include "base/clock.h"
#include "base/try.h"
#include "policy/key_admin.h"
#include "policy/team.h"
#include "pricing/book.h"
#include "pricing/price.h"
#include "proxy/worker.h"
#include "routing/provider.h"
#include "store/stmt.h"
#include "support/suites.h"
#include "support/support_book.h"
#include "support/support_turns.h"
#include "support/support_vfs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 30
#define TEXT_MAX   (1 << 20)

/* --- a provider --- */

enum after { KEEP, CLOSE, RESET, HANG };

struct script {
    const char *first;  /* NULL: nothing */
    const char *second; /* sent when the test says go; NULL: none */
    enum after after;
};

static struct {
    int listen_fd;
    int port;
    pthread_t thread;
    _Atomic(const struct script *) script; /* a line a request; the last for all that follow */
    _Atomic int script_len;
    _Atomic int requests;
    sem_t seen; /* a request has come in full */
    sem_t go;
    char request[TEXT_MAX]; /* the latest */
    size_t request_len;
} upstream;

/* Read one request. return: whether it came */
static bool upstream_read(int fd)
{
    size_t head = 0;
    size_t len = 0;
    size_t body = 0;

    while (head == 0 || len < head + body) {
        const ssize_t got = recv(fd, upstream.request + len, TEXT_MAX - 1 - len, 0);

        if (got <= 0)
            return false;
        len += (size_t)got;
        upstream.request[len] = '\0';
        if (head == 0 && strstr(upstream.request, "\r\n\r\n") != NULL) {
            head = (size_t)(strstr(upstream.request, "\r\n\r\n") - upstream.request) + 4;
            body = strtoul(strstr(upstream.request, "Content-Length: ") + 16, NULL, 10);
        }
    }
    upstream.request_len = len;
    return true;
}

static void upstream_write(int fd, const char *text)
{
    if (text != NULL)
        (void)send(fd, text, strlen(text), MSG_NOSIGNAL); /* who has left gets nothing */
}

static void upstream_serve(int fd)
{
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    char byte;

    while (upstream_read(fd)) {
        const int number = upstream.requests++;
        const struct script *script =
            &upstream.script[number < upstream.script_len ? number : upstream.script_len - 1];

        sem_post(&upstream.seen);
        upstream_write(fd, script->first);
        if (script->second != NULL)
            sem_wait(&upstream.go);
        upstream_write(fd, script->second);
        if (script->after == RESET)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        if (script->after == HANG)
            while (recv(fd, &byte, 1, 0) > 0)
                ;
        if (script->after != KEEP)
            return;
    }
}

static void *upstream_run(void *unused)
{
    int fd;

    while ((fd = accept4(upstream.listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        upstream_serve(fd);
        close(fd);
    }
    return unused;
}

static void upstream_start(void)
{
    upstream.listen_fd = support_listen(&upstream.port);
    /* Its thread may block. */
    ck_assert_int_eq(fcntl(upstream.listen_fd, F_SETFL, 0), 0);
    upstream.requests = 0;
    sem_init(&upstream.seen, 0, 0);
    sem_init(&upstream.go, 0, 0);
    ck_assert_int_eq(pthread_create(&upstream.thread, NULL, upstream_run, NULL), 0);
}

static void upstream_stop(void)
{
    (void)shutdown(upstream.listen_fd, SHUT_RDWR);
    sem_post(&upstream.go);
    pthread_join(upstream.thread, NULL);
    close(upstream.listen_fd);
}

/* --- the rest of the program --- */

static struct support_book book;
static struct secret_ring ring;
static struct snapshot_domain *domain;
static struct keyring *keyring;
static struct target_store *targets;
static struct snapshot prices;
static struct connector *connector;
static struct server_budget budget;
static struct proxy_services services;
static struct worker *worker;
static pthread_t worker_thread;
static int worker_port;
static int dead_fd; /* bound, not listening */
static int dead_port;
static char key_id[ID_TEXT_SIZE];
static char key_secret[ID_TOKEN_SIZE];
static int32_t key_row;
static sem_t committed;

static void must(enum tg_status status)
{
    ck_assert_msg(status == TG_OK, "%s: %s", tg_status_info(status)->name, book.err.text);
}

static void on_committed(struct writer_hook *hook)
{
    (void)hook;
    sem_post(&committed);
}

static struct writer_hook hook = { .committed = on_committed };

static void make_provider(const char *name, const char *kind, int port)
{
    struct provider_job job;
    char url[64];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", port);
    provider_job_init(&job, PROVIDER_CREATE, &ring, targets);
    job.input = (struct provider_input){ .has_name = true,
                                         .has_base_url = true,
                                         .has_secret = true,
                                         .name = span_from(name),
                                         .kind = span_from(kind),
                                         .base_url = span_from(url),
                                         .secret = SPAN("sk-theirs") };
    must(account_call(book.writer, &job.account, &book.err));
}

static void make_key(struct span models)
{
    AUTO(team_job) team;
    AUTO(key_job) key;

    team_job_init(&team, TEAM_CREATE, keyring);
    team.input = (struct team_input){ .has_name = true, .name = SPAN("team") };
    must(account_call(book.writer, &team.account, &book.err));
    key_job_init(&key, KEY_CREATE, &ring, keyring);
    key.input =
        (struct key_input){ .team_public_id = span_from(team.after.public_id), .name = SPAN("k") };
    if (models.len > 0) {
        key.input.has_models = true;
        key.input.models = models;
    }
    key.secret = key_secret;
    must(account_call(book.writer, &key.account, &book.err));
    memcpy(key_id, key.after.public_id, ID_TEXT_SIZE);
    key_row = key.after.id;
}

static struct price price_of(int64_t id, enum tg_class class, int64_t unit_price_pusd)
{
    return (struct price){ .id = id,
                           .provider = SPAN("openai"),
                           .model = SPAN("gpt-test"),
                           .class = class,
                           .unit = PRICE_TOKEN,
                           .unit_price_pusd = unit_price_pusd,
                           .tier = PRICE_STANDARD,
                           .utc_window = SPAN_EMPTY,
                           .variant = SPAN_EMPTY,
                           .valid_until_ms = INT64_MAX };
}

static void make_prices(void)
{
    struct price rows[2] = { price_of(1, TG_INPUT, 1000), price_of(2, TG_OUTPUT, 2000) };
    const struct price_list list = { .rows = rows, .count = 2 };
    struct book *built = NULL;

    must(book_build(&list, &built, &book.err));
    snapshot_swap(domain, &prices, built, book_free);
}

static void *run_worker(void *unused)
{
    worker_run(worker);
    return unused;
}

static void start_worker(int64_t short_ms)
{
    must(connector_new(NULL, &connector));
    services = (struct proxy_services){
        .keyring = keyring,
        .targets = targets,
        .book = &prices,
        .secrets = &ring,
        .ledger = book.ledger,
        .admit = book.admit,
        .writer = book.writer,
        .connector = connector,
        .domain = domain,
        .budget = &budget,
        .server_limits = { .head_ms = 10000,
                           .body_ms = 10000,
                           .idle_ms = 60000,
                           .write_idle_ms = 60000,
                           .body_max_bytes = 1 << 20 },
        .limits = { .first_byte_ms = short_ms,
                    .idle_ms = 20000,
                    .drain_ms = short_ms,
                    .drain_bytes = 1 << 20,
                    .drain_max = 4 },
        .installation_id = "inst_1",
    };
    must(worker_new(&services, 0, support_listen(&worker_port), &worker));
    ck_assert_int_eq(pthread_create(&worker_thread, NULL, run_worker, NULL), 0);
}

static void setup_with(struct span models, int64_t short_ms)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    char path[BOOK_PATH_MAX + 16];

    support_clock_use();
    support_vfs_install();
    support_vfs_use(NULL);
    must(secret_start());
    support_book_place(&book);
    must(support_book_try_open(&book, /* with_writer= */ false));
    (void)snprintf(path, sizeof(path), "%s/master.key", book.folder);
    must(secret_ring_load(&ring, path, /* may_create= */ true, &book.err));
    must(snapshot_domain_new(&domain));
    must(keyring_open(book.db, domain, &keyring, &book.err));
    must(target_store_open(book.db, &ring, domain, &targets, &book.err));
    must(writer_start(book.db, book.path, &book.writer, &book.err));
    ledger_attach(book.ledger, book.writer);
    admit_attach(book.admit, book.writer);
    sem_init(&committed, 0, 0);
    writer_add_hook(book.writer, &hook);
    upstream_start();
    dead_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(dead_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(getsockname(dead_fd, (struct sockaddr *)&address, &len), 0);
    dead_port = ntohs(address.sin_port);
    make_provider("openai", "openai", upstream.port);
    make_provider("other", "openai-compatible", upstream.port);
    make_provider("dead", "openai-compatible", dead_port);
    make_key(models);
    make_prices();
    budget = (struct server_budget){ .max_bytes = INT64_C(64) << 20 };
    start_worker(short_ms);
}

static void setup(void)
{
    setup_with(SPAN_EMPTY, 20000);
}

static void setup_short(void)
{
    setup_with(SPAN_EMPTY, 50);
}

static void setup_narrow(void)
{
    setup_with(SPAN("[\"o*\",\"gpt-testing\"]"), 20000);
}

static void stop_all(void)
{
    worker_stop(worker);
    pthread_join(worker_thread, NULL);
    writer_stop(book.writer, 10000);
    worker_close(worker);
    upstream_stop();
    connector_free(connector);
    worker_free(worker);
    ck_assert_int_eq(budget.used_bytes, 0);
    close(dead_fd);
}

static void teardown(void)
{
    stop_all();
    target_store_close(targets);
    keyring_close(keyring);
    snapshot_swap(domain, &prices, NULL, book_free);
    snapshot_domain_free(domain);
    ledger_close(book.ledger);
    secret_ring_fini(&ring);
    support_book_remove(&book);
    clock_use(NULL);
}

static int64_t number(const char *sql)
{
    return support_book_number(&book, sql);
}

static void wait_for(sem_t *semaphore, const char *what)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    ck_assert_msg(sem_timedwait(semaphore, &until) == 0, "%s never came", what);
}

/* Wait until so many charges are on disk, and their exchanges gone. */
static void await_charges(int count)
{
    while (number("SELECT count(*) FROM charge") < count)
        wait_for(&committed, "the charge");
    while (worker_open_count(worker) > 0)
        (void)sched_yield();
    ck_assert_int_eq(number("SELECT count(*) FROM charge"), count);
    ck_assert_int_eq(number("SELECT count(*) FROM hold"), 0);
}

/* --- a client --- */

static int client_open(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)worker_port) };
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void client_send(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

static void client_call(int fd, const char *model, bool is_stream)
{
    char body[256];
    char text[1024];

    (void)snprintf(body, sizeof(body), "{\"model\":\"%s\",\"max_tokens\":50,%s\"messages\":[]}",
                   model, is_stream ? "\"stream\":true," : "");
    (void)snprintf(text, sizeof(text),
                   "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                   "Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s",
                   key_secret, strlen(body), body);
    client_send(fd, text);
}

struct received {
    char text[TEXT_MAX];
    size_t len;
    bool was_reset;
};

/* Read until `until` has come (NULL: to the end). */
static void client_read(int fd, struct received *got, const char *until)
{
    while (until == NULL || strstr(got->text, until) == NULL) {
        const ssize_t len = recv(fd, got->text + got->len, TEXT_MAX - 1 - got->len, 0);

        ck_assert_msg(len >= 0 || errno == ECONNRESET, "nothing came");
        got->was_reset = len < 0;
        if (len <= 0)
            return;
        got->len += (size_t)len;
        got->text[got->len] = '\0';
    }
}

static int http_status(const struct received *got)
{
    return got->len > 12 ? atoi(got->text + 9) : 0;
}

static bool looks_complete(const struct received *got)
{
    const char *body = strstr(got->text, "\r\n\r\n");
    const char *length = strstr(got->text, "Content-Length: ");

    if (body == NULL || got->was_reset)
        return false;
    if (strstr(got->text, "Transfer-Encoding: chunked") != NULL)
        return got->len >= 7 && memcmp(got->text + got->len - 7, "\r\n0\r\n\r\n", 7) == 0;
    return length == NULL ||
           strtoul(length + 16, NULL, 10) == got->len - (size_t)(body + 4 - got->text);
}

/* --- the matrix --- */

#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define SSE_HEAD  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define PLAIN_BODY                                                                                 \
    "{\"id\":\"x\",\"model\":\"gpt-test\",\"choices\":[{\"index\":0,\"message\":{\"content\":"     \
    "\"hello\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,"                      \
    "\"completion_tokens\":5,\"total_tokens\":14}}"
#define PLAIN JSON_HEAD "Content-Length: 174\r\n\r\n" PLAIN_BODY
#define TEXT                                                                                       \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello you\"},"                      \
    "\"finish_reason\":null}]}\n\n"
#define STOP  "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\n"
#define DONE  "data: [DONE]\n\n"
#define REFUSED                                                                                    \
    "HTTP/1.1 429 \r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n"                \
    "{\"error\":{\"message\":\"slowly\"}}"
#define FAILED                                                                                     \
    "HTTP/1.1 502 \r\nContent-Type: text/html\r\nContent-Length: 18\r\n\r\n"                       \
    "<html>502</html>\r\n"

enum client { STAYS, LEAVES_EARLY, LEAVES_DURING };
enum event { NOTHING, CUT, LEDGER_FAILS };

struct row {
    const char *name;
    const char *model;
    bool is_stream;
    struct script script;
    enum client client;
    enum event event; /* when the provider has the request */
    /* what must come of it */
    int http_status; /* 0: none looked at */
    bool is_complete;
    enum ledger_outcome outcome;
    enum ledger_source source;
    int64_t output; /* tokens charged */
    uint32_t flags; /* among others */
};

#define OK_  LEDGER_OUTCOME_OK
#define UP_  LEDGER_OUTCOME_UPSTREAM_ERROR
#define GONE LEDGER_OUTCOME_CLIENT_GONE
#define TOLD LEDGER_SOURCE_PROVIDER
#define SEEN LEDGER_SOURCE_ESTIMATED
#define MOST LEDGER_SOURCE_CEILING

static const struct row rows[] = {
    { "plain",
      "gpt-test",
      false,
      { PLAIN, NULL, KEEP },
      STAYS,
      NOTHING,
      200,
      true,
      OK_,
      TOLD,
      5,
      0 },
    { "stream",
      "gpt-test",
      true,
      { SSE_HEAD TEXT STOP USAGE DONE, NULL, CLOSE },
      STAYS,
      NOTHING,
      200,
      true,
      OK_,
      TOLD,
      5,
      LEDGER_STREAM },
    { "refused connect",
      "dead/m",
      false,
      { NULL, NULL, CLOSE },
      STAYS,
      NOTHING,
      502,
      true,
      UP_,
      TOLD,
      0,
      LEDGER_NOT_SENT },
    { "refused connect, stream",
      "dead/m",
      true,
      { NULL, NULL, CLOSE },
      STAYS,
      NOTHING,
      502,
      true,
      UP_,
      TOLD,
      0,
      LEDGER_NOT_SENT },
    { "4xx",
      "gpt-test",
      false,
      { REFUSED, NULL, KEEP },
      STAYS,
      NOTHING,
      429,
      true,
      UP_,
      TOLD,
      0,
      0 },
    { "4xx, stream",
      "gpt-test",
      true,
      { REFUSED, NULL, KEEP },
      STAYS,
      NOTHING,
      429,
      true,
      UP_,
      TOLD,
      0,
      0 },
    { "5xx page",
      "gpt-test",
      false,
      { FAILED, NULL, KEEP },
      STAYS,
      NOTHING,
      502,
      true,
      UP_,
      TOLD,
      0,
      0 },
    { "redirect",
      "gpt-test",
      false,
      { "HTTP/1.1 307 \r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", NULL, KEEP },
      STAYS,
      NOTHING,
      502,
      true,
      UP_,
      TOLD,
      0,
      0 },
    { "closed before the head",
      "gpt-test",
      false,
      { NULL, NULL, CLOSE },
      STAYS,
      NOTHING,
      502,
      true,
      UP_,
      MOST,
      50,
      LEDGER_ESTIMATED },
    { "reset before the head",
      "gpt-test",
      true,
      { NULL, NULL, RESET },
      STAYS,
      NOTHING,
      502,
      true,
      UP_,
      MOST,
      50,
      LEDGER_ESTIMATED },
    { "reset in the head",
      "gpt-test",
      false,
      { "HTTP/1.1 20", NULL, RESET },
      STAYS,
      NOTHING,
      502,
      true,
      UP_,
      MOST,
      50,
      LEDGER_ESTIMATED },
    { "no HTTP",
      "gpt-test",
      false,
      { "SSH-2.0-x\r\n\r\n", NULL, CLOSE },
      STAYS,
      NOTHING,
      502,
      true,
      UP_,
      MOST,
      50,
      LEDGER_ESTIMATED },
    { "plain, closed in the body",
      "gpt-test",
      false,
      { JSON_HEAD "Content-Length: 174\r\n\r\n{\"id\":", NULL, CLOSE },
      STAYS,
      NOTHING,
      502,
      true,
      UP_,
      MOST,
      50,
      LEDGER_ESTIMATED },
    { "stream, reset in the body",
      "gpt-test",
      true,
      { SSE_HEAD TEXT, "data: {\"cho", RESET },
      STAYS,
      NOTHING,
      200,
      false,
      UP_,
      SEEN,
      3,
      LEDGER_ESTIMATED },
    { "stream, closed without an end",
      "gpt-test",
      true,
      { SSE_HEAD TEXT, NULL, CLOSE },
      STAYS,
      NOTHING,
      200,
      true,
      OK_,
      SEEN,
      3,
      LEDGER_ESTIMATED },
    { "stream, reset behind the usage",
      "gpt-test",
      true,
      { SSE_HEAD TEXT STOP USAGE, "data", RESET },
      STAYS,
      NOTHING,
      200,
      true,
      OK_,
      TOLD,
      5,
      0 },
    { "plain, no JSON",
      "gpt-test",
      false,
      { JSON_HEAD "Content-Length: 5\r\n\r\nhello", NULL, KEEP },
      STAYS,
      NOTHING,
      200,
      true,
      OK_,
      MOST,
      50,
      LEDGER_ESTIMATED },
    { "stream, an event that is no JSON",
      "gpt-test",
      true,
      { SSE_HEAD TEXT "data: {]\n\n" STOP USAGE DONE, NULL, CLOSE },
      STAYS,
      NOTHING,
      200,
      true,
      OK_,
      TOLD,
      5,
      0 },
    { "stream, an error after 200",
      "gpt-test",
      true,
      { SSE_HEAD "data: {\"error\":{\"message\":\"x\"}}\n\n", NULL, CLOSE },
      STAYS,
      NOTHING,
      200,
      true,
      UP_,
      SEEN,
      0,
      LEDGER_ESTIMATED },
    { "encoded",
      "gpt-test",
      false,
      { JSON_HEAD "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x01", NULL,
        KEEP },
      STAYS,
      NOTHING,
      200,
      true,
      OK_,
      MOST,
      50,
      LEDGER_ENCODED },
    { "plain, left before",
      "gpt-test",
      false,
      { "", PLAIN, KEEP },
      LEAVES_EARLY,
      NOTHING,
      0,
      false,
      GONE,
      TOLD,
      5,
      LEDGER_DRAINED },
    { "stream, left before, stopped",
      "gpt-test",
      true,
      { NULL, NULL, HANG },
      LEAVES_EARLY,
      NOTHING,
      0,
      false,
      GONE,
      SEEN,
      1,
      LEDGER_ESTIMATED },
    { "stream, left before, read on",
      "other/m",
      true,
      { "", SSE_HEAD TEXT STOP USAGE DONE, CLOSE },
      LEAVES_EARLY,
      NOTHING,
      0,
      false,
      GONE,
      TOLD,
      5,
      LEDGER_DRAINED },
    { "stream, left during, stopped",
      "gpt-test",
      true,
      { SSE_HEAD TEXT, NULL, HANG },
      LEAVES_DURING,
      NOTHING,
      0,
      false,
      GONE,
      SEEN,
      3,
      LEDGER_ESTIMATED },
    { "stream, left during, read on",
      "other/m",
      true,
      { SSE_HEAD TEXT, STOP USAGE DONE, CLOSE },
      LEAVES_DURING,
      NOTHING,
      0,
      false,
      GONE,
      TOLD,
      5,
      LEDGER_DRAINED },
    { "stream, left during, then broken",
      "other/m",
      true,
      { SSE_HEAD TEXT, "x", RESET },
      LEAVES_DURING,
      NOTHING,
      0,
      false,
      GONE,
      SEEN,
      3,
      LEDGER_DRAINED },
    { "plain, cut at shutdown",
      "gpt-test",
      false,
      { NULL, NULL, HANG },
      STAYS,
      CUT,
      503,
      true,
      UP_,
      MOST,
      50,
      LEDGER_ESTIMATED },
    { "stream, cut at shutdown",
      "gpt-test",
      true,
      { SSE_HEAD TEXT, NULL, HANG },
      STAYS,
      CUT,
      200,
      false,
      UP_,
      SEEN,
      3,
      LEDGER_ESTIMATED },
    { "stream, cut behind its end",
      "gpt-test",
      true,
      { SSE_HEAD TEXT STOP USAGE TEXT, NULL, HANG },
      STAYS,
      CUT,
      200,
      true,
      OK_,
      TOLD,
      5,
      0 },
    { "plain, the ledger fails",
      "gpt-test",
      false,
      { "", PLAIN, KEEP },
      STAYS,
      LEDGER_FAILS,
      503,
      true,
      OK_,
      TOLD,
      5,
      0 },
    { "stream, the ledger fails",
      "gpt-test",
      true,
      { SSE_HEAD TEXT, STOP USAGE DONE, CLOSE },
      STAYS,
      LEDGER_FAILS,
      200,
      false,
      OK_,
      TOLD,
      5,
      0 },
};

static struct received got;

static void get(const char *method, const char *path, const char *secret)
{
    const int fd = client_open();
    char text[512];

    got = (struct received){ .len = 0 };
    (void)snprintf(text, sizeof(text),
                   "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nx-api-key: %s\r\n\r\n",
                   method, path, secret);
    client_send(fd, text);
    client_read(fd, &got, NULL);
    close(fd);
}

static sem_t writer_stands;
static sem_t writer_goes;

static enum tg_status stand(struct writer_job *job, struct db *db, struct err *err)
{
    (void)job;
    (void)db;
    (void)err;
    sem_post(&writer_stands);
    sem_wait(&writer_goes);
    return TG_OK;
}

static void ignore(struct writer_job *job, enum tg_status status)
{
    (void)job;
    (void)status;
}

static enum tg_status (*standing)(struct writer_job *, struct db *, struct err *) = stand;

/* Hold the writer inside a batch. */
static void stop_writer(void)
{
    static struct writer_job jobs[2]; /* the writer's until they are answered */
    static int count;
    struct writer_job *job = &jobs[count++];

    ck_assert_int_le(count, 2);
    *job = (struct writer_job){ .class = WRITER_ADMIN, .run = standing, .done = ignore };
    sem_init(&writer_stands, 0, 0);
    sem_init(&writer_goes, 0, 0);
    must(writer_submit(book.writer, job));
    wait_for(&writer_stands, "the writer");
}

/* The next commit fails, and the one after it does not. Set while the writer stands. */
static void fail_commit(void)
{
    static const struct support_vfs_plan plan = { .calls = VFS_WRITE,
                                                  .from = 1,
                                                  .disk_full = true };

    stop_writer();
    support_vfs_use(&plan);
    sem_post(&writer_goes);
}

/* The client has its first event, or is about to wait for the head. */
static void reach_middle(const struct row *row, int fd)
{
    if (row->is_stream && row->script.first != NULL && strstr(row->script.first, "hello") != NULL)
        client_read(fd, &got, "hello");
}

static void run_row(const struct row *row)
{
    const int fd = client_open();

    upstream.script = &row->script;
    upstream.script_len = 1;
    client_call(fd, row->model, row->is_stream);
    if (strncmp(row->model, "dead", 4) != 0)
        wait_for(&upstream.seen, "the request");
    if (row->client != LEAVES_EARLY)
        reach_middle(row, fd);
    if (row->event == CUT)
        worker_cut(worker);
    if (row->event == LEDGER_FAILS)
        fail_commit();
    if (row->client != STAYS)
        close(fd);
    if (row->client == STAYS) {
        sem_post(&upstream.go);
        client_read(fd, &got, NULL);
        close(fd);
    }
}

/* The provider goes on when the worker knows that the client has left. */
static void let_go_on(const struct row *row)
{
    if (row->client == STAYS)
        return;
    while (server_connection_count(worker->server) > 0)
        (void)sched_yield();
    sem_post(&upstream.go);
}

static void check_charge(const struct row *row)
{
    ck_assert_msg(number("SELECT outcome FROM charge") == row->outcome, "%s: outcome %lld",
                  row->name, (long long)number("SELECT outcome FROM charge"));
    ck_assert_msg(number("SELECT source FROM charge") == row->source, "%s: source %lld", row->name,
                  (long long)number("SELECT source FROM charge"));
    ck_assert_msg(number("SELECT output FROM charge") == row->output, "%s: output %lld", row->name,
                  (long long)number("SELECT output FROM charge"));
    ck_assert_msg((number("SELECT flags FROM charge") & row->flags) == row->flags, "%s: flags %llx",
                  row->name, (long long)number("SELECT flags FROM charge"));
}

START_TEST(a_call_is_charged_once_however_it_ends)
{
    const struct row *row = &rows[_i];

    run_row(row);
    let_go_on(row);
    await_charges(1);
    check_charge(row);
    if (row->http_status != 0) {
        ck_assert_msg(http_status(&got) == row->http_status, "%s: got %s", row->name, got.text);
        ck_assert_msg(looks_complete(&got) == row->is_complete, "%s: got %s", row->name, got.text);
    }
    ck_assert_ptr_null(strstr(got.text, "sk-theirs"));
    support_book_is_sound(&book);
}
END_TEST

/* --- times --- */

START_TEST(a_provider_that_does_not_begin_is_given_up)
{
    static const struct script script = { NULL, NULL, HANG };
    const int fd = client_open();

    upstream.script = &script;
    upstream.script_len = 1;
    client_call(fd, "gpt-test", _i == 1);
    client_read(fd, &got, NULL);
    ck_assert_int_eq(http_status(&got), 504);
    await_charges(1);
    ck_assert_int_eq(number("SELECT source FROM charge"), LEDGER_SOURCE_CEILING);
    close(fd);
}
END_TEST

START_TEST(what_is_read_on_has_its_time)
{
    static const struct script script = { SSE_HEAD TEXT, NULL, HANG };
    const int fd = client_open();

    upstream.script = &script;
    upstream.script_len = 1;
    client_call(fd, "other/m", true);
    client_read(fd, &got, "hello");
    close(fd);
    await_charges(1);
    ck_assert_int_eq(number("SELECT source FROM charge"), LEDGER_SOURCE_ESTIMATED);
    ck_assert_int_eq(number("SELECT outcome FROM charge"), LEDGER_OUTCOME_CLIENT_GONE);
}
END_TEST

START_TEST(a_request_on_a_connection_that_has_ended_is_sent_again)
{
    static const struct script scripts[] = { { PLAIN, NULL, KEEP },
                                             { NULL, NULL, CLOSE },
                                             { PLAIN, NULL, KEEP } };

    upstream.script = scripts;
    upstream.script_len = 3;
    for (int i = 1; i <= 2; i++) {
        const int fd = client_open();

        got = (struct received){ .len = 0 };
        client_call(fd, "gpt-test", false);
        client_read(fd, &got, NULL);
        ck_assert_int_eq(http_status(&got), 200);
        await_charges(i);
        close(fd);
    }
    ck_assert_int_eq(upstream.requests, 3);
    ck_assert_int_eq(number("SELECT sum(output) FROM charge"), 10);
    ck_assert_int_eq(number("SELECT count(*) FROM charge WHERE flags & 2048"), 1);
    _Static_assert(LEDGER_RETRIED == 2048, "the flag asked for above");
}
END_TEST

/* --- while the hold is on its way --- */

/* Wait until the hold of a call is with the writer: the worker, once it has begun a call, answers
 * another only behind that. */
static void await_open_call(void)
{
    while (worker_open_count(worker) == 0)
        (void)sched_yield();
    get("HEAD", "/", "");
    got = (struct received){ .len = 0 };
}

START_TEST(a_client_that_leaves_before_its_hold_costs_nothing)
{
    static const struct script script = { NULL, NULL, HANG };
    const int fd = client_open();
    const struct row row = { .client = LEAVES_EARLY };

    upstream.script = &script;
    upstream.script_len = 1;
    stop_writer();
    client_call(fd, "gpt-test", true);
    await_open_call();
    close(fd);
    let_go_on(&row);
    sem_post(&writer_goes);
    await_charges(1);
    ck_assert_int_eq(upstream.requests, 0);
    ck_assert_int_eq(number("SELECT cost_nusd + input + output FROM charge"), 0);
    ck_assert_int_eq(number("SELECT outcome FROM charge"), LEDGER_OUTCOME_CLIENT_GONE);
}
END_TEST

START_TEST(a_call_cut_before_its_hold_is_not_sent)
{
    static const struct script script = { NULL, NULL, HANG };
    const int fd = client_open();

    upstream.script = &script;
    upstream.script_len = 1;
    stop_writer();
    client_call(fd, "gpt-test", false);
    await_open_call();
    worker_cut(worker);
    sem_post(&writer_goes);
    client_read(fd, &got, NULL);
    ck_assert_int_eq(http_status(&got), 503);
    await_charges(1);
    ck_assert_int_eq(upstream.requests, 0);
    ck_assert_int_eq(number("SELECT cost_nusd + input + output FROM charge"), 0);
    close(fd);
}
END_TEST

/* The request was made for the host and has the secret that was given for it. */
static char change[256];

static void make_change(bool moves)
{
    if (moves)
        (void)snprintf(change, sizeof(change),
                       "UPDATE provider SET base_url = 'http://localhost:%d/v1' WHERE name = "
                       "'openai' /* scan */",
                       upstream.port);
    else
        (void)snprintf(change, sizeof(change),
                       "UPDATE provider SET disabled_ms = 1 WHERE name = 'openai' /* scan */");
}

static enum tg_status stand_and_change(struct writer_job *job, struct db *db, struct err *err)
{
    struct stmt *stmt;
    bool has_row;

    TRY(stand(job, db, err));
    TRY(stmt_use(db, change, &stmt, err));
    TRY(stmt_step(stmt, &has_row, err));
    stmt_reset(stmt);
    return target_store_refresh(targets, db, err);
}

START_TEST(a_provider_that_was_changed_before_the_hold_is_not_called)
{
    static const struct script script = { PLAIN, NULL, KEEP };
    const int fd = client_open();

    upstream.script = &script;
    upstream.script_len = 1;
    make_change(/* moves= */ _i == 1);
    standing = stand_and_change;
    stop_writer();
    client_call(fd, "gpt-test", false);
    await_open_call();
    sem_post(&writer_goes);
    client_read(fd, &got, NULL);
    ck_assert_int_eq(http_status(&got), 502);
    await_charges(1);
    ck_assert_int_eq(upstream.requests, 0);
    ck_assert_int_eq(number("SELECT flags & 8192 FROM charge"), LEDGER_NOT_SENT);
    close(fd);
}
END_TEST

/* --- bodies and names --- */

struct name_case {
    const char *body;
    const char *expected; /* what the provider must see in it */
    bool is_chunked;
};

static const struct name_case names[] = {
    { "{\"model\":\"other/m\",\"messages\":[]}", "{\"model\":\"m\",\"messages\":[]}", false },
    { "{\"model\":\"oth\\u0065r\\/m\\u00e9\\\"\",\"messages\":[]}",
      "{\"model\":\"m\xc3\xa9\\\"\",\"messages\":[]}", false },
    { "{\"messages\":[],\"stream\":true,\"model\":\"other/m\"}",
      "{\"stream_options\":{\"include_usage\":true},\"messages\":[],\"stream\":true,\"model\":"
      "\"m\"}",
      false },
    { "{\"messages\":[],\"stream\":true,\"model\":\"other/m\"}",
      "{\"stream_options\":{\"include_usage\":true},\"messages\":[],\"stream\":true,\"model\":"
      "\"m\"}",
      true },
    { "{\"model\":\"gpt-test\"}", "{\"model\":\"gpt-test\"}", false },
};

START_TEST(the_provider_sees_its_own_name_of_the_model)
{
    static const struct script script = { PLAIN, NULL, KEEP };
    const struct name_case *c = &names[_i];
    const int fd = client_open();
    char text[1024];

    upstream.script = &script;
    upstream.script_len = 1;
    (void)snprintf(text, sizeof(text),
                   "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                   "x-api-key: %s\r\n%s%zx\r\n%s%s",
                   key_secret, c->is_chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "X-Length: ",
                   strlen(c->body), c->is_chunked ? c->body : "",
                   c->is_chunked ? "\r\n0\r\n\r\n" : "");
    client_send(fd, text);
    if (!c->is_chunked) {
        (void)snprintf(text, sizeof(text), "Content-Length: %zu\r\n\r\n%s", strlen(c->body),
                       c->body);
        client_send(fd, text);
    }
    client_read(fd, &got, NULL);
    ck_assert_msg(http_status(&got) == 200, "%s", got.text);
    wait_for(&upstream.seen, "the request");
    ck_assert_str_eq(strstr(upstream.request, "\r\n\r\n") + 4, c->expected);
    ck_assert_ptr_nonnull(strstr(upstream.request, "\r\nAuthorization: Bearer sk-theirs\r\n"));
    ck_assert_ptr_null(strstr(upstream.request, key_secret));
    await_charges(1);
    close(fd);
}
END_TEST

/* --- doors --- */

#define GPT_TEST "{\"id\":\"gpt-test\",\"object\":\"model\",\"created\":0,\"owned_by\":\"openai\"}"

START_TEST(a_key_sees_the_models_it_may_use)
{
    get("GET", "/v1/models", "tgk_wrong");
    ck_assert_int_eq(http_status(&got), 401);
    get("GET", "/v1/models", key_secret);
    ck_assert_int_eq(http_status(&got), 200);
    ck_assert_ptr_nonnull(strstr(got.text, "{\"object\":\"list\",\"data\":[" GPT_TEST "]}"));
    get("GET", "/openai/v1/models", key_secret);
    ck_assert_ptr_nonnull(strstr(got.text, "\"data\":[" GPT_TEST "]}"));
    get("GET", "/other/v1/models", key_secret);
    ck_assert_ptr_nonnull(strstr(got.text, "\"data\":[]}"));
    get("GET", "/v1/models/gpt-test", key_secret);
    ck_assert_ptr_nonnull(strstr(got.text, "\r\n\r\n" GPT_TEST));
    get("GET", "/v1/models/openai%2Fgpt-test", key_secret);
    ck_assert_int_eq(http_status(&got), 200);
    get("GET", "/v1/models/gpt-none", key_secret);
    ck_assert_int_eq(http_status(&got), 404);
    ck_assert_ptr_nonnull(strstr(got.text, "model_not_found"));
    ck_assert_int_gt(keyring_last_used_ms(keyring, key_row), 0);
}
END_TEST

START_TEST(a_narrow_key_sees_and_uses_its_own_models_alone)
{
    const int fd = client_open();

    get("GET", "/v1/models", key_secret);
    ck_assert_ptr_nonnull(strstr(got.text, "\"data\":[]}"));
    get("GET", "/v1/models/gpt-test", key_secret);
    ck_assert_int_eq(http_status(&got), 404);
    got = (struct received){ .len = 0 };
    client_call(fd, "gpt-test", false);
    client_read(fd, &got, NULL);
    ck_assert_int_eq(http_status(&got), 404);
    ck_assert_int_eq(upstream.requests, 0);
    ck_assert_int_eq(number("SELECT count(*) FROM charge"), 0);
    close(fd);
}
END_TEST

START_TEST(a_head_request_gets_a_head)
{
    get("HEAD", "/", "");
    ck_assert_int_eq(http_status(&got), 200);
    ck_assert_str_eq(strstr(got.text, "\r\n\r\n"), "\r\n\r\n");
    get("HEAD", "/nowhere", "");
    ck_assert_int_eq(http_status(&got), 404);
    ck_assert_str_eq(strstr(got.text, "\r\n\r\n"), "\r\n\r\n");
}
END_TEST

START_TEST(a_key_is_told_what_it_is)
{
    char expected[512];

    get("GET", "/api/v1/key", "");
    ck_assert_int_eq(http_status(&got), 401);
    get("GET", "/api/v1/key", key_secret);
    (void)snprintf(expected, sizeof(expected),
                   "{\"data\":{\"label\":\"%s\",\"limit\":null,\"limit_remaining\":null,"
                   "\"limit_reset\":null,\"usage\":null,\"usage_daily\":null,"
                   "\"usage_weekly\":null,\"usage_monthly\":null,\"is_free_tier\":false,"
                   "\"is_management_key\":false,\"expires_at\":null,\"limits\":[],"
                   "\"has_more_limits\":false}}",
                   key_id);
    ck_assert_msg(strstr(got.text, expected) != NULL, "%s", got.text);
}
END_TEST

START_TEST(a_call_uses_its_key)
{
    static const struct script script = { PLAIN, NULL, KEEP };
    const int fd = client_open();

    ck_assert_int_eq(keyring_last_used_ms(keyring, key_row), 0);
    upstream.script = &script;
    upstream.script_len = 1;
    client_call(fd, "gpt-test", false);
    client_read(fd, &got, NULL);
    await_charges(1);
    ck_assert_int_gt(keyring_last_used_ms(keyring, key_row), 0);
    close(fd);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("exchange");
    TCase *tcase = tcase_create("exchange");
    TCase *times = tcase_create("times");
    TCase *narrow = tcase_create("narrow key");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_call_is_charged_once_however_it_ends, 0,
                        sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(tcase, a_request_on_a_connection_that_has_ended_is_sent_again);
    tcase_add_test(tcase, a_client_that_leaves_before_its_hold_costs_nothing);
    tcase_add_test(tcase, a_call_cut_before_its_hold_is_not_sent);
    tcase_add_loop_test(tcase, a_provider_that_was_changed_before_the_hold_is_not_called, 0, 2);
    tcase_add_loop_test(tcase, the_provider_sees_its_own_name_of_the_model, 0,
                        sizeof(names) / sizeof(names[0]));
    tcase_add_test(tcase, a_key_sees_the_models_it_may_use);
    tcase_add_test(tcase, a_head_request_gets_a_head);
    tcase_add_test(tcase, a_key_is_told_what_it_is);
    tcase_add_test(tcase, a_call_uses_its_key);
    suite_add_tcase(all, tcase);
    tcase_add_checked_fixture(times, setup_short, teardown);
    tcase_set_timeout(times, 60);
    tcase_add_loop_test(times, a_provider_that_does_not_begin_is_given_up, 0, 2);
    tcase_add_test(times, what_is_read_on_has_its_time);
    suite_add_tcase(all, times);
    tcase_add_checked_fixture(narrow, setup_narrow, teardown);
    tcase_add_test(narrow, a_narrow_key_sees_and_uses_its_own_models_alone);
    suite_add_tcase(all, narrow);
    return all;
}
