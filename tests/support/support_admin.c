#include "support/support_admin.h"

#include "base/clock.h"
#include "metering/price_store.h"
#include "net/fetch.h"
#include "policy/key.h"
#include "policy/token.h"
#include "pricing/book.h"
#include "pricing/model.h"
#include "routing/refresh.h"
#include "routing/target.h"
#include "store/reader.h"
#include "store/snapshot.h"

#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)16 << 20)

static int64_t next_id(void *context)
{
    struct support_admin *admin = context;

    return id_next(&admin->ids, clock_wall_ms());
}

static void provider_changed(void *context)
{
    struct support_admin *admin = context;
    struct refresh *refresh = atomic_load(&admin->refresh);

    if (refresh != NULL)
        refresh_tell(refresh);
}

static bool is_draining(void *context)
{
    return ((struct support_admin *)context)->is_draining;
}

static bool is_writable(void *context)
{
    return ((struct support_admin *)context)->is_writable;
}

static void must(enum tg_status status, const struct err *err)
{
    ck_assert_msg(status == TG_OK, "%s: %s", tg_status_info(status)->name, err->text);
}

/* The account tables are read before the writer takes the connection. */
static void open_stores(struct support_admin *admin)
{
    struct support_book *book = &admin->book;
    struct err err = { 0 };

    must(secret_start(), &err);
    support_book_place(book);
    must(support_book_try_open(book, /* with_writer= */ false), &book->err);
    (void)snprintf(admin->socket, sizeof(admin->socket), "%s/master.key", book->folder);
    must(secret_ring_load(&admin->ring, admin->socket, /* may_create= */ true, &err), &err);
    must(snapshot_domain_new(&admin->domain), &err);
    must(keyring_open(book->db, admin->domain, &admin->keyring, &err), &err);
    must(target_store_open(book->db, &admin->ring, admin->domain, &admin->targets, &err), &err);
    must(model_store_open(book->db, admin->domain, &admin->models, &err), &err);
    must(snapshot_reader_add(admin->domain, &admin->view.reader), &err);
    must(price_store_open(book->db, admin->domain, &admin->prices, &err), &err);
    must(token_gate_new(&admin->ring, &admin->gate), &err);
    token_gate_open_setup(admin->gate, clock_wall_ms(), admin->setup);
    must(writer_start(book->db, book->path, &book->writer, &err), &err);
    ledger_attach(book->ledger, book->writer);
    admit_attach(book->admit, book->writer);
    must(reader_pool_new(book->path, 4, &admin->parts.readers, &err), &err);
}

static void fill_parts(struct support_admin *admin)
{
    struct api_parts *parts = &admin->parts;

    parts->writer = admin->book.writer;
    parts->ledger = admin->book.ledger;
    parts->admit = admin->book.admit;
    parts->keyring = admin->keyring;
    parts->targets = admin->targets;
    parts->prices = admin->prices;
    parts->models = admin->models;
    parts->book = price_store_snapshot(admin->prices);
    parts->view = &admin->view;
    admin->view.domain = admin->domain;
    (void)pthread_mutex_init(&admin->view.lock, NULL);
    parts->ring = &admin->ring;
    parts->gate = admin->gate;
    parts->database_path = admin->book.path;
    parts->provider_changed = provider_changed;
    parts->provider_changed_context = admin;
    parts->next_id = next_id;
    parts->next_id_context = admin;
    parts->is_draining = is_draining;
    parts->is_writable = is_writable;
    parts->ready_context = admin;
    parts->other = assets_handle;
    parts->other_context = &admin->assets;
}

void support_admin_start(struct support_admin *admin)
{
    const struct daemon_options options = {
        .name = "admin",
        .handle = api_handle,
        .context = &admin->parts,
        .body_max_bytes = API_BODY_MAX,
        .long_body_path = API_IMPORT_PATH,
        .long_body_max_bytes = API_IMPORT_MAX,
        .connections_max = 64,
    };
    struct err err = { 0 };
    int fd;

    *admin = (struct support_admin){ .is_writable = true };
    open_stores(admin);
    id_source_init(&admin->ids, ID_SOURCE_MAX, 0);
    fill_parts(admin);
    must(daemon_listen_tcp("127.0.0.1:0", &fd, &admin->port, &err), &err);
    must(daemon_start(fd, &options, &admin->by_tcp, &err), &err);
    (void)snprintf(admin->url, sizeof(admin->url), "http://127.0.0.1:%d", admin->port);
    (void)snprintf(admin->socket, sizeof(admin->socket), "%s/admin.sock", admin->book.folder);
    must(daemon_listen_unix(admin->socket, &fd, &err), &err);
    must(daemon_start(fd, &options, &admin->by_socket, &err), &err);
}

void support_admin_stop(struct support_admin *admin)
{
    daemon_stop(admin->by_tcp);
    daemon_stop(admin->by_socket);
    reader_pool_free(admin->parts.readers);
    writer_stop(admin->book.writer, 1000);
    admit_close(admin->book.admit);
    ledger_close(admin->book.ledger);
    target_store_close(admin->targets);
    model_store_close(admin->models);
    price_store_close(admin->prices);
    keyring_close(admin->keyring);
    token_gate_free(admin->gate);
    snapshot_domain_free(admin->domain);
    secret_ring_fini(&admin->ring);
    support_book_remove(&admin->book);
}

void support_ask(struct support_admin *admin, const struct support_ask *ask,
                 struct support_reply *ret_reply)
{
    AUTO(fetch_answer) answer = { 0 };
    struct err err = { 0 };
    char header[256];
    char url[4096];
    struct fetch_request request = {
        .method = ask->method,
        .url = url,
        .unix_socket = ask->token == NULL ? admin->socket : NULL,
        .headers = { "Content-Type: application/json" },
        .answer_max_bytes = ANSWER_MAX,
        .is_loopback = true,
        .body = ask->body != NULL ? span_from(ask->body) : (struct span){ NULL, 0 },
    };

    (void)snprintf(url, sizeof(url), "%s%s", admin->url, ask->path);
    (void)snprintf(header, sizeof(header), "Authorization: Bearer %s",
                   ask->token != NULL ? ask->token : "");
    if (ask->token != NULL && ask->token[0] != '\0')
        request.headers[1] = header;
    must(fetch(&request, &answer, &err), &err);
    *ret_reply = (struct support_reply){ .http = answer.http };
    (void)snprintf(ret_reply->type, sizeof(ret_reply->type), "%s", answer.type);
    ret_reply->text = span_to_string(buf_span(&answer.body));
    if (json_parse(buf_span(&answer.body), &ret_reply->json, NULL) != TG_OK)
        ret_reply->json = NULL; /* a page, or nothing */
}

void support_reply_fini(struct support_reply *reply)
{
    free(reply->text);
    cJSON_Delete(reply->json);
}

char *support_talk(struct support_admin *admin, const char *bytes, size_t len)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)admin->port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO(buf) answer = { 0 };
    ssize_t got = 1;

    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    while (len > 0 && got > 0) {
        got = send(fd, bytes, len, MSG_NOSIGNAL);
        bytes += got > 0 ? got : 0;
        len -= got > 0 ? (size_t)got : 0;
    }
    buf_init(&answer, ANSWER_MAX);
    do {
        char *room = buf_reserve(&answer, 65536);

        got = recv(fd, room, 65536, 0);
        if (got > 0)
            buf_commit(&answer, (size_t)got);
    } while (got > 0);
    (void)close(fd);
    return buf_take_string(&answer);
}

const char *support_text(const cJSON *object, const char *member)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, member);

    return cJSON_IsString(value) ? value->valuestring : "";
}

static void make(struct support_admin *admin, const char *path, const char *body,
                 struct support_reply *reply)
{
    support_ask(admin, &(struct support_ask){ .method = "POST", .path = path, .body = body },
                reply);
    ck_assert_msg(reply->http == 201, "%s: %d %s", path, reply->http, reply->text);
}

void support_token(struct support_admin *admin, const char *role, const char *team_id,
                   char secret[ID_TOKEN_SIZE])
{
    static int number;
    AUTO(support_reply) reply = { 0 };
    char body[256];

    (void)snprintf(body, sizeof(body), "{\"name\":\"t%d\",\"role\":\"%s\"%s%s%s}", number++, role,
                   team_id != NULL ? ",\"team_id\":\"" : "", team_id != NULL ? team_id : "",
                   team_id != NULL ? "\"" : "");
    make(admin, "/api/v1/tokens", body, &reply);
    (void)snprintf(secret, ID_TOKEN_SIZE, "%s", support_text(reply.json, "secret"));
}

void support_team(struct support_admin *admin, const char *name, char id[ID_TEXT_SIZE])
{
    AUTO(support_reply) reply = { 0 };
    char body[256];

    (void)snprintf(body, sizeof(body), "{\"name\":\"%s\"}", name);
    make(admin, "/api/v1/teams", body, &reply);
    (void)snprintf(id, ID_TEXT_SIZE, "%s", support_text(reply.json, "id"));
}

void support_key(struct support_admin *admin, const char *team_id, const char *name,
                 char id[ID_TEXT_SIZE])
{
    AUTO(support_reply) reply = { 0 };
    char body[256];

    (void)snprintf(body, sizeof(body), "{\"team_id\":\"%s\",\"name\":\"%s\"}", team_id, name);
    make(admin, "/api/v1/keys", body, &reply);
    (void)snprintf(id, ID_TEXT_SIZE, "%s", support_text(reply.json, "id"));
}
