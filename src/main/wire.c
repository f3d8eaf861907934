#include "main/wire.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/try.h"
#include "main/listen.h"
#include "main/settings.h"
#include "main/upkeep.h"
#include "main/wire_admin.h"
#include "metering/price_store.h"
#include "pricing/model.h"
#include "pricing/model_seed.h"
#include "proxy/worker.h"
#include "quota/admit.h"
#include "routing/installation.h"
#include "store/migrate.h"
#include "store/txn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUDGET_BYTES       (INT64_C(512) << 20)
#define SETTLE_PATIENCE_MS 10000
#define PATH_SIZE          4096
#define DRAIN_POLL_MS      50

struct wiring {
    const struct settings *settings;
    char db_path[PATH_SIZE];
    char key_path[PATH_SIZE];
    int lock_fd;
    struct secret_ring ring;
    struct db *db; /* until the writer takes it */
    struct ledger *ledger;
    struct admit *admit;
    struct writer *writer;
    struct snapshot_domain *domain;
    struct keyring *keyring;
    struct target_store *targets;
    struct price_store *prices;
    struct model_store *models;
    struct connector *connector;
    struct server_budget budget;
    struct proxy_services services;
    struct wire_admin admin;
    atomic_bool is_draining;
    struct worker *workers[LISTEN_MAX];
    pthread_t threads[LISTEN_MAX];
    int worker_count;
    int thread_count;
    int port;
};

/* --- data directory -----------------------------------------------------------------------------
 */

static enum tg_status take_data_dir(struct wiring *wiring, struct err *err)
{
    const char *dir = wiring->settings->data_dir;
    char lock_path[PATH_SIZE];

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_set(err, TG_IO, "cannot make the data directory %s: %s", dir, strerror(errno));
    if (snprintf(lock_path, sizeof(lock_path), "%s/lock", dir) >= PATH_SIZE - 16)
        return err_set(err, TG_INVALID, "the data directory's path is too long");
    snprintf(wiring->db_path, PATH_SIZE, "%.*s/tollgate.db", PATH_SIZE - 16, dir);
    snprintf(wiring->key_path, PATH_SIZE, "%.*s/master.key", PATH_SIZE - 16, dir);
    wiring->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (wiring->lock_fd < 0)
        return err_set(err, TG_IO, "cannot open %s: %s", lock_path, strerror(errno));
    if (flock(wiring->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, TG_CONFLICT,
                       "another Tollgate uses the data directory %s; stop it or choose another "
                       "with --data-dir",
                       dir);
    return TG_OK;
}

static enum tg_status load_secrets(struct wiring *wiring, struct err *err)
{
    const char *path = wiring->settings->master_key_file;

    TRY(secret_start());
    return secret_ring_load(&wiring->ring, path != NULL ? path : wiring->key_path,
                            /* may_create= */ path == NULL, err);
}

/* --- database -----------------------------------------------------------------------------------
 */

typedef enum tg_status seed_fn(struct db *db, struct span csv, const char *sha256_hex,
                               int64_t now_ms, struct err *err);

/* Take in a file that comes with the program. */
static enum tg_status take_seed(struct wiring *wiring, const char *name, seed_fn *take,
                                struct err *err)
{
    const struct tg_embedded_file *file = tg_embedded_find(tg_migrations, tg_migration_count, name);
    AUTO(txn) txn = { 0 };

    assert(file != NULL);
    TRY(txn_begin(&txn, wiring->db, err));
    TRY(take(wiring->db, span_of((const char *)file->bytes, file->len), file->sha256,
             clock_wall_ms(), err));
    return txn_commit(&txn, err);
}

static enum tg_status know_itself(struct wiring *wiring, struct err *err)
{
    AUTO(txn) txn = { 0 };

    TRY(txn_begin(&txn, wiring->db, err));
    TRY(installation_open(wiring->db, clock_wall_ms(), wiring->services.installation_id, err));
    return txn_commit(&txn, err);
}

static enum tg_status load_book(struct wiring *wiring, struct err *err)
{
    TRY(price_store_open(wiring->db, wiring->domain, &wiring->prices, err));

    AUTO(price_stay) stay = price_stay_begin(wiring->prices);

    log_event(LOG_INFO, "price book", LOG_FI("rows", book_row_count(stay.book)));
    return TG_OK;
}

static enum tg_status open_database(struct wiring *wiring, struct err *err)
{
    int64_t recovered = 0;
    int applied = 0;

    TRY(db_open(wiring->db_path, DB_WRITE, &wiring->db, err));
    TRY(migrate_run(wiring->db, tg_migrations, tg_migration_count, &applied, err));
    TRY(know_itself(wiring, err));
    TRY(take_seed(wiring, "prices.csv", book_seed, err));
    TRY(take_seed(wiring, "models.csv", model_seed, err));
    TRY(ledger_open(wiring->db, &wiring->ledger, &recovered, &wiring->services.id_floor, err));
    log_event(LOG_INFO, "database", LOG_FS("path", wiring->db_path),
              LOG_FI("migrations_applied", applied), LOG_FS("sqlite", db_library_version()));
    if (recovered > 0)
        log_event(LOG_WARN, "holds recovered as unreconciled", LOG_FI("count", recovered));
    return TG_OK;
}

/* What the worker loops read: each as it stands in the database now. */
static enum tg_status load_snapshots(struct wiring *wiring, struct err *err)
{
    TRY(snapshot_domain_new(&wiring->domain));
    TRY(load_book(wiring, err));
    TRY(model_store_open(wiring->db, wiring->domain, &wiring->models, err));
    TRY(keyring_open(wiring->db, wiring->domain, &wiring->keyring, err));
    TRY(target_store_open(wiring->db, &wiring->ring, wiring->domain, &wiring->targets, err));
    return TG_OK;
}

static enum tg_status start_writer(struct wiring *wiring, struct err *err)
{
    TRY(admit_open(wiring->db, wiring->ledger, &wiring->admit, err));
    TRY(writer_start(wiring->db, wiring->db_path, &wiring->writer, err));
    wiring->db = NULL; /* the writer's now */
    ledger_attach(wiring->ledger, wiring->writer);
    admit_attach(wiring->admit, wiring->writer);
    return TG_OK;
}

/* --- admin side ---------------------------------------------------------------------------------
 */

static bool tells_draining(void *context)
{
    const struct wiring *wiring = context;

    return wiring->is_draining;
}

static bool tells_writable(void *context)
{
    const struct wiring *wiring = context;

    return writer_is_writable(wiring->writer);
}

static void fill_api_parts(struct wiring *wiring)
{
    struct api_parts *parts = &wiring->admin.parts;

    parts->writer = wiring->writer;
    parts->ledger = wiring->ledger;
    parts->admit = wiring->admit;
    parts->keyring = wiring->keyring;
    parts->targets = wiring->targets;
    parts->prices = wiring->prices;
    parts->models = wiring->models;
    parts->book = price_store_snapshot(wiring->prices);
    wiring->admin.view.domain = wiring->domain;
    parts->ring = &wiring->ring;
    parts->database_path = wiring->db_path;
    parts->ca_file = wiring->settings->ca_file;
    parts->is_draining = tells_draining;
    parts->is_writable = tells_writable;
    parts->ready_context = wiring;
}

static enum tg_status start_admin(struct wiring *wiring, struct err *err)
{
    fill_api_parts(wiring);
    TRY(wire_providers(&wiring->admin, wiring->settings, err));
    TRY(wire_admin_start(&wiring->admin, wiring->settings, wiring->services.id_floor,
                         /* is_local= */ false, err));
    wire_admin_announce(&wiring->admin, wiring->settings);
    return TG_OK;
}

/* --- workers ------------------------------------------------------------------------------------
 */

static void *run_worker(void *argument)
{
    worker_run(argument);
    return NULL;
}

static void fill_services(struct wiring *wiring)
{
    const struct settings *settings = wiring->settings;
    struct proxy_services *services = &wiring->services;

    wiring->budget.max_bytes = BUDGET_BYTES;
    services->keyring = wiring->keyring;
    services->targets = wiring->targets;
    services->book = price_store_snapshot(wiring->prices);
    services->models = wiring->models;
    services->secrets = &wiring->ring;
    services->ledger = wiring->ledger;
    services->admit = wiring->admit;
    services->writer = wiring->writer;
    services->connector = wiring->connector;
    services->domain = wiring->domain;
    services->budget = &wiring->budget;
    services->server_limits = (struct server_limits){
        .head_ms = settings->head_ms,
        .body_ms = settings->body_ms,
        .idle_ms = 75000,
        .write_idle_ms = 60000,
        .body_max_bytes = settings->body_max_bytes,
    };
    services->limits = (struct proxy_limits){
        .first_byte_ms = settings->first_byte_ms,
        .idle_ms = settings->idle_ms,
        .drain_ms = 120000,
        .drain_bytes = INT64_C(64) << 20,
        .drain_max = 64,
    };
}

static enum tg_status start_threads(struct wiring *wiring, struct err *err)
{
    for (int i = 0; i < wiring->worker_count; i++) {
        if (pthread_create(&wiring->threads[i], NULL, run_worker, wiring->workers[i]) != 0)
            return err_set(err, TG_NO_MEMORY, "cannot start worker thread %d", i);
        wiring->thread_count++;
    }
    return TG_OK;
}

static enum tg_status start_workers(struct wiring *wiring, struct err *err)
{
    const int count = wiring->settings->workers;
    int fds[LISTEN_MAX];

    assert(count >= 1 && count <= LISTEN_MAX);
    TRY(connector_new(wiring->settings->ca_file, &wiring->connector));
    fill_services(wiring);
    TRY(listen_open(span_from(wiring->settings->listen), count, fds, &wiring->port, err));
    for (int i = 0; i < count; i++) {
        TRY(worker_new(&wiring->services, i, fds[i], &wiring->workers[i]));
        wiring->worker_count++;
    }
    return start_threads(wiring, err);
}

static int open_exchanges(const struct wiring *wiring)
{
    int count = 0;

    for (int i = 0; i < wiring->worker_count; i++)
        count += worker_open_count(wiring->workers[i]);
    return count;
}

/* Wait for a signal or until no exchange is open.
 *
 * return  whether none is open; false: a signal came, or time is up */
static bool wait_idle(const struct wiring *wiring, const sigset_t *signals, int64_t until_us)
{
    const struct timespec pause = { .tv_nsec = DRAIN_POLL_MS * 1000000L };

    while (open_exchanges(wiring) > 0) {
        if (clock_monotonic_us() >= until_us)
            return false;
        if (sigtimedwait(signals, NULL, &pause) > 0)
            return false;
    }
    return true;
}

static void drain(struct wiring *wiring, const sigset_t *signals)
{
    const int64_t patience_us = (int64_t)wiring->settings->drain_seconds * 1000000;

    wiring->is_draining = true;
    for (int i = 0; i < wiring->worker_count; i++)
        worker_drain(wiring->workers[i]);
    if (wait_idle(wiring, signals, clock_monotonic_us() + patience_us))
        return;
    log_event(LOG_WARN, "cutting open calls", LOG_FI("count", open_exchanges(wiring)));
    for (int i = 0; i < wiring->worker_count; i++)
        worker_cut(wiring->workers[i]);
    if (!wait_idle(wiring, signals, clock_monotonic_us() + (int64_t)SETTLE_PATIENCE_MS * 1000))
        log_event(LOG_ERROR, "calls left open", LOG_FI("count", open_exchanges(wiring)));
}

static void stop_workers(struct wiring *wiring)
{
    for (int i = 0; i < wiring->thread_count; i++)
        worker_stop(wiring->workers[i]);
    for (int i = 0; i < wiring->thread_count; i++)
        pthread_join(wiring->threads[i], NULL);
    wiring->thread_count = 0;
}

/* --- all of it ----------------------------------------------------------------------------------
 */

static enum tg_status start_book(struct wiring *wiring, struct err *err)
{
    TRY(take_data_dir(wiring, err));
    TRY(load_secrets(wiring, err));
    TRY(open_database(wiring, err));
    TRY(load_snapshots(wiring, err));
    return start_writer(wiring, err);
}

static enum tg_status start(struct wiring *wiring, struct err *err)
{
    TRY(start_book(wiring, err));
    TRY(start_workers(wiring, err));
    return start_admin(wiring, err);
}

static void take_down(struct wiring *wiring)
{
    stop_workers(wiring);
    wire_admin_stop(&wiring->admin);
    /* Whatever the writer still has is handed back before the workers' memory goes. */
    writer_stop(wiring->writer, SETTLE_PATIENCE_MS);
    for (int i = 0; i < wiring->worker_count; i++)
        worker_close(wiring->workers[i]);
    connector_free(wiring->connector);
    for (int i = 0; i < wiring->worker_count; i++)
        worker_free(wiring->workers[i]);
    target_store_close(wiring->targets);
    keyring_close(wiring->keyring);
    model_store_close(wiring->models);
    price_store_close(wiring->prices);
    snapshot_domain_free(wiring->domain);
    admit_close(wiring->admit);
    ledger_close(wiring->ledger);
    db_close(wiring->db);
    secret_ring_fini(&wiring->ring);
    if (wiring->lock_fd >= 0)
        close(wiring->lock_fd);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer connections then, and each refusal is seen */
}

/* Serve until a signal says otherwise, with the hourly work in between. */
static void serve_until_told(struct wiring *wiring, const sigset_t *signals)
{
    const struct timespec minute = { .tv_sec = 60 };
    struct upkeep upkeep = { wiring->writer, wiring->ledger, wiring->admit, wiring->keyring, 0 };
    int signal_number;

    while ((signal_number = sigtimedwait(signals, NULL, &minute)) < 0)
        upkeep_turn(&upkeep);
    log_event(LOG_INFO, "stopping", LOG_FI("signal", signal_number));
    drain(wiring, signals);
    upkeep_flush_keys(&upkeep);
}

int wire_serve(const struct settings *settings)
{
    struct wiring wiring = { .settings = settings, .lock_fd = -1 };
    struct err err = { "" };
    sigset_t signals;
    enum tg_status status;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    /* Blocked before any thread starts, so that only this one takes them. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    raise_descriptor_limit();
    if (log_start(settings->log_format, LOG_INFO, STDERR_FILENO) != TG_OK)
        return 1;
    status = start(&wiring, &err);
    if (status == TG_OK) {
        log_event(LOG_INFO, "listening", LOG_FS("address", settings->listen),
                  LOG_FI("port", wiring.port), LOG_FI("workers", wiring.worker_count));
        serve_until_told(&wiring, &signals);
    } else {
        log_event(LOG_ERROR, "cannot start",
                  LOG_FS("why", err.text[0] != '\0' ? err.text : tg_status_info(status)->sentence));
    }
    take_down(&wiring);
    log_stop();
    return status == TG_OK ? 0 : 1;
}

enum tg_status wire_local_open(const struct settings *settings, struct wiring **ret_wiring,
                               struct err *err)
{
    struct wiring *wiring = calloc(1, sizeof(*wiring));
    enum tg_status status;

    if (wiring == NULL)
        return TG_NO_MEMORY;
    wiring->settings = settings;
    wiring->lock_fd = -1;
    umask(077);
    /* The command's own words are what its user reads. */
    status = log_start(settings->log_format, LOG_ERROR, STDERR_FILENO);
    if (status == TG_OK)
        status = start_book(wiring, err);
    if (status == TG_OK) {
        fill_api_parts(wiring);
        status = wire_admin_start(&wiring->admin, settings, wiring->services.id_floor,
                                  /* is_local= */ true, err);
    }
    if (status != TG_OK) {
        wire_local_close(wiring);
        return status;
    }
    *ret_wiring = wiring;
    return TG_OK;
}

void wire_local_close(struct wiring *wiring)
{
    if (wiring == NULL)
        return;
    take_down(wiring);
    log_stop();
    free(wiring);
}
