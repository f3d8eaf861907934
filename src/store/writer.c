#include "store/writer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/try.h"
#include "store/db.h"
#include "store/txn.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define US_PER_MS     INT64_C(1000)
#define US_PER_S      INT64_C(1000000)
#define NS_PER_US     1000
#define DISK_CHECK_US US_PER_S

#define COMPLAIN_EVERY_US (60 * US_PER_S)

struct writer {
    struct db *db;
    char *path;
    pthread_t thread;

    /* under `lock` */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list queue[WRITER_CLASS_COUNT];
    int bounded; /* holds and administrative jobs in the queue */
    bool is_asleep;
    bool is_stopping;
    int64_t stop_by_us; /* settlements are given up after it */

    /* the writer thread's */
    struct list hooks;
    struct list batch[WRITER_CLASS_COUNT];
    struct err err;
    bool is_failing; /* settlements are deferred */
    bool is_disk_low;
    int64_t retry_at_us;
    int64_t disk_checked_us;
    int64_t complained_at_us; /* of a failed commit; 0: the last one did not fail */
    int checkpoint_at;        /* pages in the log that call for one */

    /* for other threads */
    atomic_bool is_writable;
    _Atomic(int64_t) batches;
    _Atomic(int64_t) jobs;
    _Atomic(int64_t) failed_batches;
    _Atomic(int64_t) deferred;
    _Atomic(int64_t) wal_pages;
    _Atomic(int64_t) checkpoints;
    _Atomic(int64_t) last_commit_us;
};

/* The thread is the only one that writes them. */
static void count_up(_Atomic(int64_t) *counter, int64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static struct writer_job *pop(struct list *list)
{
    struct list *node = list_pop_front(list);

    return node == NULL ? NULL : LIST_ENTRY(node, struct writer_job, node);
}

static void answer(struct writer_job *job, enum tg_status status)
{
    job->done(job, status);
}

/* Answer all of a class in the batch that nothing was committed. */
static void refuse(struct writer *writer, enum writer_class class)
{
    struct writer_job *job;

    while ((job = pop(&writer->batch[class])) != NULL)
        answer(job, TG_LEDGER_UNAVAILABLE);
}

/* --- what may be taken ---------------------------------------------------------------------------
 */

/* What can no longer be trusted must not be used again: the kernel has dropped the dirty pages and
 * reports them as written from now on. */
static void exit_if_sync_failed(struct writer *writer)
{
    if (!db_sync_failed(writer->db))
        return;
    log_event(LOG_ERROR, "sync_failed", LOG_FS("error", writer->err.text),
              LOG_FS("remedy", "check the disk, then start again: open holds are recovered"));
    log_stop();
    _exit(WRITER_EXIT_SYNC);
}

static void publish_writable(struct writer *writer)
{
    atomic_store_explicit(&writer->is_writable, !writer->is_failing && !writer->is_disk_low,
                          memory_order_relaxed);
}

static void check_disk(struct writer *writer)
{
    const int64_t now_us = clock_monotonic_us();
    const bool was_low = writer->is_disk_low;
    struct statvfs disk;

    if (writer->disk_checked_us != 0 && now_us - writer->disk_checked_us < DISK_CHECK_US)
        return;
    writer->disk_checked_us = now_us;
    if (statvfs(writer->path, &disk) != 0)
        return; /* says nothing about the disk; a commit will */
    writer->is_disk_low =
        (__int128)disk.f_bavail * (__int128)disk.f_frsize < (__int128)WRITER_FREE_DISK_MIN;
    publish_writable(writer);
    if (writer->is_disk_low && !was_low)
        log_event(LOG_ERROR, "disk_full", LOG_FS("path", writer->path),
                  LOG_FI("free_bytes_needed", WRITER_FREE_DISK_MIN));
    else if (!writer->is_disk_low && was_low)
        log_event(LOG_INFO, "disk_has_room", LOG_FS("path", writer->path));
}

/* --- queue ---------------------------------------------------------------------------------------
 */

/* Whether something can be done now. Under the lock. */
static bool has_work(const struct writer *writer, int64_t now_us)
{
    if (!list_is_empty(&writer->queue[WRITER_HOLD]) || !list_is_empty(&writer->queue[WRITER_ADMIN]))
        return true;
    if (list_is_empty(&writer->queue[WRITER_SETTLE]))
        return false;
    return !writer->is_failing || now_us >= writer->retry_at_us;
}

static bool is_idle(const struct writer *writer)
{
    for (int class = 0; class < WRITER_CLASS_COUNT; class ++) {
        if (!list_is_empty(&writer->queue[class]))
            return false;
    }
    return true;
}

/* Wait to be woken, at most until `until_us` of base/clock. Under the lock. */
static void sleep_until(struct writer *writer, int64_t now_us, int64_t until_us)
{
    struct timespec until;
    int64_t real_us;

    writer->is_asleep = true;
    if (until_us == INT64_MAX) {
        (void)pthread_cond_wait(&writer->wake, &writer->lock);
    } else {
        (void)clock_gettime(CLOCK_MONOTONIC, &until); /* base/clock may be another one, in tests */
        real_us = until.tv_sec * US_PER_S + until.tv_nsec / NS_PER_US + (until_us - now_us);
        until.tv_sec = real_us / US_PER_S;
        until.tv_nsec = real_us % US_PER_S * NS_PER_US;
        (void)pthread_cond_timedwait(&writer->wake, &writer->lock, &until);
    }
    writer->is_asleep = false;
}

static int take(struct writer *writer, enum writer_class class, int most)
{
    int taken = 0;
    struct list *node;

    while (taken < most && (node = list_pop_front(&writer->queue[class])) != NULL) {
        list_push_back(&writer->batch[class], node);
        taken++;
    }
    if (class != WRITER_SETTLE)
        writer->bounded -= taken;
    return taken;
}

/* While settlements wait for their retry, only what will be turned down is taken. */
static void take_batch(struct writer *writer, int64_t now_us)
{
    int room = WRITER_BATCH_MAX - WRITER_BATCH_ADMIN;

    if (!writer->is_failing || now_us >= writer->retry_at_us)
        room -= take(writer, WRITER_SETTLE, room);
    room -= take(writer, WRITER_HOLD, room);
    (void)take(writer, WRITER_ADMIN, room + WRITER_BATCH_ADMIN);
}

/* Wait for jobs and move the next batch out of the queue.
 *
 * return  false when the thread is to end */
static bool next_batch(struct writer *writer)
{
    bool goes_on = true;

    (void)pthread_mutex_lock(&writer->lock);
    for (;;) {
        const int64_t now_us = clock_monotonic_us();
        int64_t until_us = INT64_MAX;

        if (writer->is_stopping &&
            (is_idle(writer) || (writer->is_failing && now_us >= writer->stop_by_us))) {
            goes_on = false;
            break;
        }
        if (has_work(writer, now_us)) {
            take_batch(writer, now_us);
            break;
        }
        if (writer->is_failing)
            until_us = writer->retry_at_us;
        if (writer->is_failing && writer->is_stopping && writer->stop_by_us < until_us)
            until_us = writer->stop_by_us;
        if (writer->is_disk_low && now_us + DISK_CHECK_US < until_us)
            until_us = now_us + DISK_CHECK_US;
        sleep_until(writer, now_us, until_us);
        check_disk(writer);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return goes_on;
}

/* --- batch ---------------------------------------------------------------------------------------
 */

static bool spoils_batch(enum tg_status status)
{
    return status == TG_IO || status == TG_NO_MEMORY || status == TG_CORRUPT;
}

/* Run what must be done as a whole or not at all. A hold that is turned down is answered here. */
static enum tg_status run_all(struct writer *writer, enum writer_class class)
{
    struct list *head = &writer->batch[class];
    struct list *next;

    for (struct list *node = head->next; node != head; node = next) {
        struct writer_job *job = LIST_ENTRY(node, struct writer_job, node);
        const int64_t changes = sqlite3_total_changes64(writer->db->raw);

        next = node->next;
        writer->err.text[0] = '\0';
        job->status = job->run(job, writer->db, &writer->err);
        if (job->status == TG_OK)
            continue;
        if (spoils_batch(job->status) || !txn_is_open(writer->db))
            return job->status;
        if (sqlite3_total_changes64(writer->db->raw) != changes)
            return err_set(&writer->err, TG_INTERNAL, "a job failed half-way (%s)",
                           tg_status_info(job->status)->name);
        if (class == WRITER_HOLD) {
            list_remove(node);
            answer(job, job->status);
        }
    }
    return TG_OK;
}

/* Run each inside a savepoint. Fails only when the whole batch cannot go on. */
static enum tg_status run_admin(struct writer *writer)
{
    struct list *head = &writer->batch[WRITER_ADMIN];

    for (struct list *node = head->next; node != head; node = node->next) {
        struct writer_job *job = LIST_ENTRY(node, struct writer_job, node);

        writer->err.text[0] = '\0';
        TRY(txn_save(writer->db, &writer->err));
        job->status = job->run(job, writer->db, &writer->err);
        if (!txn_is_open(writer->db))
            return job->status == TG_OK ? TG_INTERNAL : job->status;
        if (job->status == TG_OK)
            TRY(txn_save_keep(writer->db, &writer->err));
        else
            TRY(txn_save_undo(writer->db, &writer->err));
    }
    return TG_OK;
}

static enum tg_status before_commit(struct writer *writer)
{
    struct list *head = &writer->hooks;

    for (struct list *node = head->next; node != head; node = node->next) {
        struct writer_hook *hook = LIST_ENTRY(node, struct writer_hook, node);

        if (hook->before_commit != NULL)
            TRY(hook->before_commit(hook, writer->db, &writer->err));
    }
    return TG_OK;
}

static enum tg_status run_batch(struct writer *writer)
{
    AUTO(txn) txn = { 0 };

    writer->err.text[0] = '\0';
    TRY(txn_begin(&txn, writer->db, &writer->err));
    TRY(run_all(writer, WRITER_SETTLE));
    TRY(run_all(writer, WRITER_HOLD));
    TRY(run_admin(writer));
    writer->err.text[0] = '\0';
    TRY(before_commit(writer));
    return txn_commit(&txn, &writer->err);
}

static void tell_hooks(struct writer *writer, bool is_committed)
{
    struct list *head = &writer->hooks;

    for (struct list *node = head->next; node != head; node = node->next) {
        struct writer_hook *hook = LIST_ENTRY(node, struct writer_hook, node);

        if (is_committed && hook->committed != NULL)
            hook->committed(hook);
        else if (!is_committed && hook->rolled_back != NULL)
            hook->rolled_back(hook);
    }
}

static void answer_batch(struct writer *writer)
{
    struct writer_job *job;

    for (int class = 0; class < WRITER_CLASS_COUNT; class ++) {
        while ((job = pop(&writer->batch[class])) != NULL) {
            if (job->is_deferred)
                count_up(&writer->deferred, -1);
            count_up(&writer->jobs, 1); /* before: who is answered may look */
            answer(job, job->status);
        }
    }
}

static void on_committed(struct writer *writer)
{
    const bool had_complained = writer->complained_at_us != 0;

    writer->is_failing = false;
    writer->complained_at_us = 0;
    publish_writable(writer);
    count_up(&writer->batches, 1);
    atomic_store_explicit(&writer->wal_pages, writer->db->wal_pages, memory_order_relaxed);
    tell_hooks(writer, /* is_committed= */ true);
    answer_batch(writer);
    if (had_complained)
        log_event(LOG_INFO, "ledger_available");
}

/* Settlements go back to the head of the queue, in their order. */
static void defer_settlements(struct writer *writer)
{
    struct list *head = &writer->batch[WRITER_SETTLE];

    writer->is_failing = true;
    writer->retry_at_us = clock_monotonic_us() + WRITER_RETRY_MS * US_PER_MS;
    publish_writable(writer);
    for (struct list *node = head->next; node != head; node = node->next) {
        struct writer_job *job = LIST_ENTRY(node, struct writer_job, node);

        if (job->is_deferred)
            continue;
        job->is_deferred = true;
        count_up(&writer->deferred, 1);
        if (job->deferred != NULL)
            job->deferred(job);
    }
    (void)pthread_mutex_lock(&writer->lock);
    list_move_all(head, &writer->queue[WRITER_SETTLE]);
    list_move_all(&writer->queue[WRITER_SETTLE], head);
    (void)pthread_mutex_unlock(&writer->lock);
}

/* Once when it begins and once a minute while it lasts. */
static void complain(struct writer *writer, enum tg_status status)
{
    const int64_t now_us = clock_monotonic_us();

    if (writer->complained_at_us != 0 && now_us - writer->complained_at_us < COMPLAIN_EVERY_US)
        return;
    writer->complained_at_us = now_us;
    log_event(LOG_ERROR, "ledger_unavailable", LOG_FS("status", tg_status_info(status)->name),
              LOG_FS("error", writer->err.text));
}

static void on_failed(struct writer *writer, enum tg_status status)
{
    count_up(&writer->failed_batches, 1);
    tell_hooks(writer, /* is_committed= */ false);
    complain(writer, status);
    if (!list_is_empty(&writer->batch[WRITER_SETTLE]))
        defer_settlements(writer);
    refuse(writer, WRITER_HOLD);
    refuse(writer, WRITER_ADMIN);
}

/* The log starts again by itself at the first commit that finds all of it copied and unread; until
 * then a checkpoint is tried once per DB_CHECKPOINT_PAGES. */
static void checkpoint_if_due(struct writer *writer)
{
    const int pages = writer->db->wal_pages;
    int left = 0;

    if (pages < writer->checkpoint_at - DB_CHECKPOINT_PAGES)
        writer->checkpoint_at = DB_CHECKPOINT_PAGES;
    if (pages < writer->checkpoint_at)
        return;
    writer->checkpoint_at = pages + DB_CHECKPOINT_PAGES;
    writer->err.text[0] = '\0';
    if (db_checkpoint(writer->db, DB_CHECKPOINT_PASSIVE, &left, &writer->err) == TG_OK) {
        count_up(&writer->checkpoints, 1);
        return;
    }
    exit_if_sync_failed(writer);
    log_event(LOG_ERROR, "checkpoint_failed", LOG_FS("error", writer->err.text));
}

static bool has_batch(const struct writer *writer)
{
    for (int class = 0; class < WRITER_CLASS_COUNT; class ++) {
        if (!list_is_empty(&writer->batch[class]))
            return true;
    }
    return false;
}

static void serve_batch(struct writer *writer)
{
    const int64_t began_us = clock_monotonic_us();
    enum tg_status status;

    check_disk(writer);
    if (writer->is_failing || writer->is_disk_low)
        refuse(writer, WRITER_HOLD);
    /* Between two tries nothing else would fare better; with the retry it may. */
    if (writer->is_failing && list_is_empty(&writer->batch[WRITER_SETTLE]))
        refuse(writer, WRITER_ADMIN);
    if (!has_batch(writer))
        return;
    status = run_batch(writer);
    if (status != TG_OK) {
        exit_if_sync_failed(writer);
        on_failed(writer, status);
        return;
    }
    atomic_store_explicit(&writer->last_commit_us, clock_monotonic_us() - began_us,
                          memory_order_relaxed);
    on_committed(writer);
    checkpoint_if_due(writer);
}

/* --- life ----------------------------------------------------------------------------------------
 */

static void close_down(struct writer *writer)
{
    struct list *head = &writer->hooks;
    int left = 0;

    (void)pthread_mutex_lock(&writer->lock);
    for (int class = 0; class < WRITER_CLASS_COUNT; class ++)
        list_move_all(&writer->batch[class], &writer->queue[class]);
    (void)pthread_mutex_unlock(&writer->lock);
    for (int class = 0; class < WRITER_CLASS_COUNT; class ++)
        refuse(writer, (enum writer_class) class);
    for (struct list *node = head->next; node != head; node = node->next) {
        struct writer_hook *hook = LIST_ENTRY(node, struct writer_hook, node);

        if (hook->closing != NULL)
            hook->closing(hook);
    }
    if (db_checkpoint(writer->db, DB_CHECKPOINT_TRUNCATE, &left, &writer->err) != TG_OK)
        log_event(LOG_ERROR, "checkpoint_failed", LOG_FS("error", writer->err.text));
    db_close(writer->db);
}

static void *serve(void *context)
{
    struct writer *writer = context;

    (void)pthread_setname_np(pthread_self(), "ledger");
    while (next_batch(writer))
        serve_batch(writer);
    close_down(writer);
    return NULL;
}

static enum tg_status start_thread(struct writer *writer, struct err *err)
{
    sigset_t all;
    sigset_t before;
    int code;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    code = pthread_create(&writer->thread, NULL, serve, writer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return err_set(err, TG_INTERNAL, "the ledger thread cannot be started (error %d)", code);
    return TG_OK;
}

static void free_writer(struct writer *writer)
{
    (void)pthread_cond_destroy(&writer->wake);
    (void)pthread_mutex_destroy(&writer->lock);
    free(writer->path);
    free(writer);
}

static struct writer *make_writer(struct db *db, const char *path)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    pthread_condattr_t attr;

    if (writer == NULL)
        return NULL;
    writer->db = db;
    writer->path = span_to_string(span_from(path));
    writer->checkpoint_at = DB_CHECKPOINT_PAGES;
    atomic_init(&writer->is_writable, true);
    list_init(&writer->hooks);
    for (int class = 0; class < WRITER_CLASS_COUNT; class ++) {
        list_init(&writer->queue[class]);
        list_init(&writer->batch[class]);
    }
    (void)pthread_mutex_init(&writer->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&writer->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (writer->path == NULL) {
        free_writer(writer);
        return NULL;
    }
    return writer;
}

enum tg_status writer_start(struct db *db, const char *path, struct writer **ret_writer,
                            struct err *err)
{
    struct writer *writer;
    enum tg_status status;
    int left = 0;

    assert(db->mode == DB_WRITE);
    if (db_has_checkpoint_bug())
        log_event(LOG_WARN, "sqlite_is_old", LOG_FS("version", db_library_version()),
                  LOG_FS("effect", "none here: one connection writes and checkpoints"));
    TRY(db_checkpoint(db, DB_CHECKPOINT_TRUNCATE, &left, err));
    writer = make_writer(db, path);
    if (writer == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for the ledger writer");
    check_disk(writer);
    status = start_thread(writer, err);
    if (status != TG_OK) {
        free_writer(writer);
        return status;
    }
    *ret_writer = writer;
    return TG_OK;
}

void writer_add_hook(struct writer *writer, struct writer_hook *hook)
{
    list_push_back(&writer->hooks, &hook->node);
}

enum tg_status writer_submit(struct writer *writer, struct writer_job *job)
{
    enum tg_status status = TG_OK;
    bool must_wake = false;

    job->is_deferred = false;
    job->status = TG_OK;
    (void)pthread_mutex_lock(&writer->lock);
    if (writer->is_stopping) {
        status = TG_DRAINING;
    } else if (job->class != WRITER_SETTLE && writer->bounded == WRITER_QUEUE_MAX) {
        status = TG_OVERLOADED;
    } else {
        list_push_back(&writer->queue[job->class], &job->node);
        if (job->class != WRITER_SETTLE)
            writer->bounded++;
        must_wake = writer->is_asleep;
        writer->is_asleep = false; /* one wake is enough */
    }
    (void)pthread_mutex_unlock(&writer->lock);
    if (must_wake)
        (void)pthread_cond_signal(&writer->wake);
    return status;
}

/* A job of a thread that waits, wrapped around the caller's. */
struct waiting_job {
    struct writer_job job; /* first */
    struct writer_job *inner;
    struct err err;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool is_answered;
    enum tg_status status;
};

static enum tg_status run_inner(struct writer_job *job, struct db *db, struct err *err)
{
    struct waiting_job *waiting = (struct waiting_job *)job;
    const enum tg_status status = waiting->inner->run(waiting->inner, db, err);

    if (status != TG_OK)
        waiting->err = *err;
    return status;
}

static void on_answered(struct writer_job *job, enum tg_status status)
{
    struct waiting_job *waiting = (struct waiting_job *)job;

    (void)pthread_mutex_lock(&waiting->lock);
    waiting->status = status;
    waiting->is_answered = true;
    (void)pthread_cond_signal(&waiting->answered);
    (void)pthread_mutex_unlock(&waiting->lock);
}

enum tg_status writer_call(struct writer *writer, struct writer_job *job, struct err *err)
{
    struct waiting_job waiting = {
        .job = { .class = job->class, .run = run_inner, .done = on_answered },
        .inner = job,
    };
    enum tg_status status;

    assert(!pthread_equal(pthread_self(), writer->thread));
    (void)pthread_mutex_init(&waiting.lock, NULL);
    (void)pthread_cond_init(&waiting.answered, NULL);
    status = writer_submit(writer, &waiting.job);
    if (status == TG_OK) {
        (void)pthread_mutex_lock(&waiting.lock);
        while (!waiting.is_answered)
            (void)pthread_cond_wait(&waiting.answered, &waiting.lock);
        (void)pthread_mutex_unlock(&waiting.lock);
        status = waiting.status;
        if (status != TG_OK && waiting.err.text[0] != '\0')
            (void)err_set(err, status, "%s", waiting.err.text);
    }
    (void)pthread_cond_destroy(&waiting.answered);
    (void)pthread_mutex_destroy(&waiting.lock);
    return status;
}

bool writer_is_writable(const struct writer *writer)
{
    return atomic_load_explicit(&writer->is_writable, memory_order_relaxed);
}

void writer_stats(const struct writer *writer, struct writer_stats *ret_stats)
{
    *ret_stats = (struct writer_stats){
        .batches = atomic_load_explicit(&writer->batches, memory_order_relaxed),
        .jobs = atomic_load_explicit(&writer->jobs, memory_order_relaxed),
        .failed_batches = atomic_load_explicit(&writer->failed_batches, memory_order_relaxed),
        .deferred = atomic_load_explicit(&writer->deferred, memory_order_relaxed),
        .wal_pages = atomic_load_explicit(&writer->wal_pages, memory_order_relaxed),
        .checkpoints = atomic_load_explicit(&writer->checkpoints, memory_order_relaxed),
        .last_commit_us = atomic_load_explicit(&writer->last_commit_us, memory_order_relaxed),
    };
}

void writer_stop(struct writer *writer, int64_t patience_ms)
{
    if (writer == NULL)
        return;
    (void)pthread_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    writer->stop_by_us = clock_monotonic_us() + patience_ms * US_PER_MS;
    (void)pthread_cond_signal(&writer->wake);
    (void)pthread_mutex_unlock(&writer->lock);
    (void)pthread_join(writer->thread, NULL);
    free_writer(writer);
}
