/* Goal: a provider's own list of models is there without anybody asking for it, stays fresh, and
 * outlives a provider that fails; nobody waits for one that hangs. Method: the thread over a real
 * database and the real API, a provider of the test's own that notes when it is asked, and a clock
 * that the test moves. Where nothing may happen, the same is shown of one that comes after. */

#include "routing/refresh.h"

#include "base/clock.h"
#include "base/log.h"
#include "providers/catalogue.h"
#include "routing/route.h"
#include "store/reader.h"
#include "store/snapshot.h"
#include "support/suites.h"
#include "support/support_admin.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HOUR_MS     INT64_C(3600000)
#define PATIENCE_MS 30000
#define AT_ONCE_MS  8000 /* below the deadline of a fetch, 10 s */
#define TICK_MS     10000
#define ASKED_MAX   32
#define SECRET      "sk-very-secret-indeed-1234"

/* --- the provider: what it answers under /a and under /b --- */

struct shelf {
    int http;
    const char *list;
    bool hangs; /* until it is let go */
    int asked;
    int64_t asked_us[ASKED_MAX];
    char request[256]; /* the latest: path, query, credential */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the shelves */
static struct shelf shelves[2];
static sem_t was_asked;
static sem_t is_let_go;
static struct daemon *provider;
static int provider_port;

static struct support_admin admin;
static struct reader_pool *readers; /* one, the thread's alone */
static struct refresh *refresh;
static int snapshot_reader;

static void note_request(struct shelf *shelf, const struct daemon_request *request)
{
    static const char *const credentials[] = { "authorization", "x-api-key", "x-goog-api-key" };
    const struct daemon_param *param = request->param_count > 0 ? &request->params[0] : NULL;
    struct span credential = SPAN_EMPTY;
    size_t which = 0;

    for (size_t i = 0; i < 3; i++)
        if (daemon_header(request, credentials[i]).len > 0) {
            credential = daemon_header(request, credentials[i]);
            which = i;
        }
    (void)snprintf(shelf->request, sizeof shelf->request, "%s %.*s%s%.*s%s%.*s %s %.*s",
                   request->method, SPAN_ARG(request->path), param != NULL ? "?" : "",
                   SPAN_ARG(param != NULL ? param->name : SPAN_EMPTY), param != NULL ? "=" : "",
                   SPAN_ARG(param != NULL ? param->value : SPAN_EMPTY), credentials[which],
                   SPAN_ARG(credential));
    ck_assert_int_lt(shelf->asked, ASKED_MAX);
    shelf->asked_us[shelf->asked++] = clock_monotonic_us();
}

static void answer_list(void *context, const struct daemon_request *request,
                        struct daemon_answer *answer)
{
    struct shelf *shelf = &shelves[span_starts_with(request->path, SPAN("/b")) ? 1 : 0];
    bool hangs;

    (void)context;
    (void)pthread_mutex_lock(&lock);
    note_request(shelf, request);
    hangs = shelf->hangs;
    answer->http = shelf->http;
    answer->type = "application/json";
    answer->constant = span_from(shelf->list);
    (void)pthread_mutex_unlock(&lock);
    (void)sem_post(&was_asked);
    if (hangs)
        (void)sem_wait(&is_let_go);
}

static void put_on_shelf(int which, int http, const char *list)
{
    (void)pthread_mutex_lock(&lock);
    shelves[which].http = http;
    shelves[which].list = list;
    (void)pthread_mutex_unlock(&lock);
}

static void let_hang(int which, bool hangs)
{
    (void)pthread_mutex_lock(&lock);
    shelves[which].hangs = hangs;
    (void)pthread_mutex_unlock(&lock);
}

static struct shelf shelf_of(int which)
{
    struct shelf shelf;

    (void)pthread_mutex_lock(&lock);
    shelf = shelves[which];
    (void)pthread_mutex_unlock(&lock);
    return shelf;
}

/* --- the server --- */

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void must(enum tg_status status, const struct err *err)
{
    ck_assert_msg(status == TG_OK, "%s: %s", tg_status_info(status)->name, err->text);
}

static void start_refresh(void)
{
    const struct refresh_options options = { .readers = readers,
                                             .writer = admin.book.writer,
                                             .targets = admin.targets,
                                             .ring = &admin.ring };
    struct err err = { "" };

    must(refresh_start(&options, &refresh, &err), &err);
    atomic_store(&admin.refresh, refresh);
}

static void stop_refresh(void)
{
    atomic_store(&admin.refresh, NULL);
    refresh_stop(refresh);
    refresh = NULL;
}

static void start(void)
{
    const struct daemon_options options = {
        .name = "provider", .handle = answer_list, .body_max_bytes = 1024, .connections_max = 16
    };
    struct err err = { "" };
    int fd;

    support_clock_use();
    (void)sem_init(&was_asked, 0, 0);
    (void)sem_init(&is_let_go, 0, 0);
    put_on_shelf(0, 200, "{\"data\":[{\"id\":\"a-1\"},{\"id\":\"both\"}]}");
    put_on_shelf(1, 200, "{\"data\":[{\"id\":\"b-1\"},{\"id\":\"both\"},{\"id\":\"b-3\"}]}");
    must(daemon_listen_tcp("127.0.0.1:0", &fd, &provider_port, &err), &err);
    must(daemon_start(fd, &options, &provider, &err), &err);
    support_admin_start(&admin);
    must(snapshot_reader_add(admin.domain, &snapshot_reader), &err);
    must(reader_pool_new(admin.book.path, 1, &readers, &err), &err);
    start_refresh();
}

static void stop(void)
{
    stop_refresh();
    for (int i = 0; i < ASKED_MAX; i++)
        (void)sem_post(&is_let_go);
    reader_pool_free(readers);
    support_admin_stop(&admin);
    daemon_stop(provider);
}

static struct support_reply *ask(const char *method, const char *path, const char *body)
{
    static struct support_reply reply;

    support_reply_fini(&reply);
    support_ask(&admin, &(struct support_ask){ .method = method, .path = path, .body = body },
                &reply);
    return &reply;
}

/* return  the path of it in the API */
static const char *add(const char *name, const char *kind, const char *base, const char *more)
{
    static char paths[4][80];
    static int number;
    char *path = paths[number++ % 4];
    const struct support_reply *reply;
    char body[512];

    (void)snprintf(body, sizeof body,
                   "{\"name\":\"%s\",\"kind\":\"%s\",\"base_url\":\"http://127.0.0.1:%d%s\","
                   "\"secret\":\"" SECRET "\"%s}",
                   name, kind, provider_port, base, more);
    reply = ask("POST", "/api/v1/providers", body);
    ck_assert_msg(reply->http == 201, "%s", reply->text);
    (void)snprintf(path, sizeof paths[0], "/api/v1/providers/%s", support_text(reply->json, "id"));
    return path;
}

static int number_of(const cJSON *object, const char *member)
{
    return (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, member));
}

/* Look at the provider until it has a list of so many models, of this address, and calls are routed
 * by it: it is published behind its commit, before the writer takes another batch. */
static void await_count(const char *path, int count)
{
    const int64_t until_ms = now_ms() + PATIENCE_MS;
    const struct support_reply *reply;

    do {
        reply = ask("GET", path, NULL);
        ck_assert_msg(now_ms() < until_ms, "%d models in vain: %s", count, reply->text);
    } while (number_of(reply->json, "model_count") != count ||
             support_text(reply->json, "models_at")[0] == '\0');
    support_barrier(&admin.book);
}

static bool is_asked_within(int64_t ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (sem_timedwait(&was_asked, &until) != 0)
        if (errno == ETIMEDOUT)
            return false;
    return true;
}

static void await_asked(void)
{
    ck_assert(is_asked_within(PATIENCE_MS));
}

/* Move the clock on in small steps until the provider is asked. */
static void tick_until_asked(void)
{
    const int64_t until_ms = now_ms() + PATIENCE_MS;

    do {
        ck_assert_msg(now_ms() < until_ms, "asked in vain");
        support_clock_add_ms(TICK_MS);
        refresh_tell(refresh);
    } while (!is_asked_within(20));
}

/* --- a new one --- */

struct routed {
    enum tg_status status;
    int rule;
    char name[64];
};

static struct routed route(const char *model)
{
    const struct route_query query = { .dialect = catalogue_dialect(SPAN("openai-chat")),
                                       .model = span_from(model) };
    struct routed routed = { TG_OK, 0, "" };
    struct route found;
    struct err err = { "" };

    snapshot_enter(admin.domain, snapshot_reader);
    routed.status = route_find(target_store_get(admin.targets), &query, &found, &err);
    if (routed.status == TG_OK) {
        routed.rule = found.rule;
        (void)snprintf(routed.name, sizeof routed.name, "%s", found.target->name);
    }
    snapshot_leave(admin.domain, snapshot_reader);
    return routed;
}

static void is_routed(const char *model, const char *name)
{
    const struct routed routed = route(model);

    ck_assert_msg(routed.status == TG_OK && routed.rule == 5 && strcmp(routed.name, name) == 0,
                  "%s: %s by rule %d", model, routed.name, routed.rule);
}

START_TEST(a_provider_that_is_added_has_its_list_and_is_routed_by_it)
{
    const char *first = add("first", "openai-compatible", "/a/v1", "");
    const char *second = add("second", "openai-compatible", "/b/v1", "");

    await_count(first, 2);
    await_count(second, 3);
    is_routed("a-1", "first");
    is_routed("b-3", "second");
    is_routed("both", "first"); /* the oldest */
    ck_assert_int_eq(route("unheard-of").status, TG_MODEL_NOT_FOUND);
    /* Whoever has read it may still change it. */
    ck_assert_int_eq(support_book_number(&admin.book, "SELECT max(revision) FROM provider"), 1);
}
END_TEST

struct kind_case {
    const char *kind;
    const char *base;
    const char *list;
    const char *request;
    const char *models;
};

static const struct kind_case kinds[] = {
    { "openai-compatible", "/a/v1", "{\"data\":[{\"id\":\"m\"}]}",
      "GET /a/v1/models authorization Bearer " SECRET, "[\"m\"]" },
    { "together", "/a/v1", "[{\"id\":\"x/m\",\"name\":\"M\"}]",
      "GET /a/v1/models authorization Bearer " SECRET, "[\"x/m\"]" },
    { "anthropic", "/a", "{\"data\":[{\"id\":\"claude-9\"}],\"has_more\":false}",
      "GET /a/v1/models?limit=1000 x-api-key " SECRET, "[\"claude-9\"]" },
    { "google", "/a", "{\"models\":[{\"name\":\"models/gemini-9\"},{\"name\":\"tunedModels/t\"}]}",
      "GET /a/v1beta/models?pageSize=1000 x-goog-api-key " SECRET,
      "[\"gemini-9\",\"tunedModels/t\"]" },
};

START_TEST(each_kind_is_asked_as_it_is_used_to)
{
    const struct kind_case *one = &kinds[_i];
    char sql[256];
    const char *path;

    put_on_shelf(0, 200, one->list);
    path = add("one", one->kind, one->base, "");
    await_asked();
    ck_assert_str_eq(shelf_of(0).request, one->request);
    await_count(path, one->models[1] == '"' && strchr(one->models, ',') != NULL ? 2 : 1);
    (void)snprintf(sql, sizeof sql, "SELECT models = '%s' FROM provider", one->models);
    ck_assert_int_eq(support_book_number(&admin.book, sql), 1);
}
END_TEST

START_TEST(one_that_is_disabled_is_left_alone_until_it_is_enabled)
{
    const char *off = add("off", "openai-compatible", "/a/v1", ",\"is_enabled\":false");

    await_count(add("on", "openai-compatible", "/b/v1", ""), 3);
    ck_assert_int_eq(shelf_of(0).asked, 0);
    ck_assert_int_eq(ask("PATCH", off, "{\"is_enabled\":true}")->http, 200);
    await_count(off, 2);
    ck_assert_int_eq(shelf_of(0).asked, 1);
    ck_assert_int_eq(shelf_of(1).asked, 1);
}
END_TEST

/* --- fresh --- */

START_TEST(an_hour_later_it_is_asked_again)
{
    const char *path = add("first", "openai-compatible", "/a/v1", "");

    await_count(path, 2);
    put_on_shelf(0, 200, "{\"data\":[{\"id\":\"a-1\"},{\"id\":\"a-2\"},{\"id\":\"a-3\"}]}");
    support_clock_add_ms(HOUR_MS / 2);
    refresh_tell(refresh);
    await_count(add("second", "openai-compatible", "/b/v1", ""), 3);
    /* The hour counts from when the thread was done with the list, which the test cannot see. */
    support_clock_add_ms(HOUR_MS);
    refresh_tell(refresh);
    await_count(path, 3);
    is_routed("a-3", "first");
    ck_assert_int_eq(shelf_of(0).asked, 2);
    ck_assert_int_ge(shelf_of(0).asked_us[1] - shelf_of(0).asked_us[0], HOUR_MS * 1000);
}
END_TEST

START_TEST(a_start_asks_only_those_whose_list_is_an_hour_old)
{
    await_count(add("first", "openai-compatible", "/a/v1", ""), 2);
    stop_refresh();
    start_refresh();
    await_count(add("second", "openai-compatible", "/b/v1", ""), 3);
    ck_assert_int_eq(shelf_of(0).asked, 1);
    stop_refresh();
    support_clock_add_ms(HOUR_MS);
    start_refresh();
    for (int i = 0; i < 4; i++) /* two before, two now */
        await_asked();
    ck_assert_int_eq(shelf_of(0).asked, 2);
    ck_assert_int_eq(shelf_of(1).asked, 2);
}
END_TEST

START_TEST(a_new_address_or_secret_is_asked_at_once)
{
    const char *path = add("first", "openai-compatible", "/a/v1", "");
    char body[128];

    await_count(path, 2);
    (void)snprintf(body, sizeof body, "{\"base_url\":\"http://127.0.0.1:%d/b/v1\"}", provider_port);
    ck_assert_int_eq(ask("PATCH", path, body)->http, 200);
    await_count(path, 3);
    put_on_shelf(1, 200, "{\"data\":[]}");
    ck_assert_int_eq(ask("PATCH", path, "{\"secret\":\"sk-another\"}")->http, 200);
    await_count(path, 0);
    ck_assert_str_eq(shelf_of(1).request, "GET /b/v1/models authorization Bearer sk-another");
    ck_assert_int_eq(shelf_of(0).asked, 1);
    ck_assert_int_eq(shelf_of(1).asked, 2);
}
END_TEST

START_TEST(a_list_of_an_address_that_changed_meanwhile_is_dropped)
{
    const char *path;
    char body[128];

    let_hang(0, true);
    path = add("first", "openai-compatible", "/a/v1", "");
    await_asked();
    (void)snprintf(body, sizeof body, "{\"base_url\":\"http://127.0.0.1:%d/b/v1\"}", provider_port);
    ck_assert_int_eq(ask("PATCH", path, body)->http, 200);
    (void)sem_post(&is_let_go);
    await_count(path, 3);
    ck_assert_int_eq(support_book_number(&admin.book, "SELECT models LIKE '%a-1%' FROM provider"),
                     0);
    ck_assert_int_eq(shelf_of(0).asked, 1);
    ck_assert_int_eq(shelf_of(1).asked, 1);
}
END_TEST

/* --- one that fails --- */

static int log_fd;

static void log_to_file(void)
{
    char path[BOOK_PATH_MAX + 16];

    (void)snprintf(path, sizeof path, "%s/log", admin.book.folder);
    log_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(log_fd, 0);
    ck_assert_int_eq(log_start(LOG_LOGFMT, LOG_INFO, log_fd), TG_OK);
}

/* Stop logging. The caller frees. */
static char *logged(void)
{
    struct stat stat;
    char *text;

    log_stop();
    ck_assert_int_eq(fstat(log_fd, &stat), 0);
    text = calloc(1, (size_t)stat.st_size + 1);
    ck_assert_int_eq(pread(log_fd, text, (size_t)stat.st_size, 0), stat.st_size);
    (void)close(log_fd);
    return text;
}

static int count_in(const char *text, const char *part)
{
    int count = 0;

    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        count++;
    return count;
}

START_TEST(a_failing_one_keeps_its_list_and_is_tried_again_after_growing_waits)
{
    static const int64_t waits_s[] = { 3600, 60, 120, 240 };
    const char *path = add("first", "openai-compatible", "/a/v1", "");
    struct shelf seen;
    char *text;

    await_count(path, 2);
    await_asked();
    log_to_file();
    put_on_shelf(0, 500, "{\"error\":{}}");
    support_clock_add_ms(HOUR_MS - TICK_MS);
    for (int i = 0; i < 3; i++)
        tick_until_asked();
    put_on_shelf(0, 401, "{\"error\":{}}");
    tick_until_asked();
    await_count(path, 2);
    is_routed("a-1", "first");
    put_on_shelf(0, 200, "{\"data\":[{\"id\":\"a-9\"}]}");
    tick_until_asked();
    await_count(path, 1);
    stop_refresh();
    text = logged();
    seen = shelf_of(0);
    ck_assert_int_eq(seen.asked, 6);
    for (int i = 0; i < 4; i++)
        ck_assert_int_ge(seen.asked_us[i + 1] - seen.asked_us[i], waits_s[i] * 1000000);
    ck_assert_msg(count_in(text, "event=\"model list not fetched\" provider=first") == 2, "%s",
                  text);
    ck_assert_int_eq(count_in(text, "answers 500"), 1);
    ck_assert_int_eq(count_in(text, "secret is not accepted"), 1);
    ck_assert_msg(count_in(text, "event=\"model list\" provider=first models=1") == 1, "%s", text);
    ck_assert_ptr_null(strstr(text, SECRET));
    free(text);
}
END_TEST

/* --- one that hangs --- */

START_TEST(nobody_waits_for_one_that_hangs)
{
    AUTO(reader) reader = { 0 };
    struct err err = { "" };
    int64_t start_ms;
    const char *path;

    let_hang(0, true);
    path = add("first", "openai-compatible", "/a/v1", "");
    await_asked();
    start_ms = now_ms();
    must(reader_enter(&reader, readers, &err), &err); /* the only one there is */
    reader_leave(&reader);
    ck_assert_int_eq(ask("GET", path, NULL)->http, 200);
    ck_assert_int_eq(ask("PATCH", path, "{\"name\":\"renamed\"}")->http, 200);
    stop_refresh();
    ck_assert_int_lt(now_ms() - start_ms, AT_ONCE_MS);
    ck_assert_int_eq(number_of(ask("GET", path, NULL)->json, "model_count"), 0);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("refresh");
    TCase *tests = tcase_create("refresh");

    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_test(tests, a_provider_that_is_added_has_its_list_and_is_routed_by_it);
    tcase_add_loop_test(tests, each_kind_is_asked_as_it_is_used_to, 0,
                        (int)(sizeof kinds / sizeof kinds[0]));
    tcase_add_test(tests, one_that_is_disabled_is_left_alone_until_it_is_enabled);
    tcase_add_test(tests, an_hour_later_it_is_asked_again);
    tcase_add_test(tests, a_start_asks_only_those_whose_list_is_an_hour_old);
    tcase_add_test(tests, a_new_address_or_secret_is_asked_at_once);
    tcase_add_test(tests, a_list_of_an_address_that_changed_meanwhile_is_dropped);
    tcase_add_test(tests, a_failing_one_keeps_its_list_and_is_tried_again_after_growing_waits);
    tcase_add_test(tests, nobody_waits_for_one_that_hangs);
    suite_add_tcase(all, tests);
    return all;
}
