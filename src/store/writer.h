#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "base/err.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

/* The ledger writer: one thread that owns the only read-write connection, does every commit and
 * every checkpoint (PASSIVE while running, TRUNCATE at start and stop). Whatever has queued while
 * the last commit ran is the next batch: settlements first, then holds, then administrative work. A
 * batch is one BEGIN IMMEDIATE .. COMMIT with synchronous=FULL.
 *
 * Invariants
 *   A job is answered exactly once by `done`; until then the job's memory is the writer's.
 *   A settlement is never given up while the process lives: when its batch cannot commit,
 * `deferred` is called (once) and it stays queued, retried each second. While a settlement is
 * deferred, or the disk has less than WRITER_FREE_DISK_MIN bytes free, no hold is taken:
 * TG_LEDGER_UNAVAILABLE. One commit that succeeds ends it. After a failed fsync the process exits
 * (the page cache can no longer be trusted).
 */

struct db;
struct writer;
struct writer_job;

enum writer_class {
    WRITER_SETTLE, /* must happen; not bounded by the queue (open holds bound it) */
    WRITER_HOLD,   /* refused when it cannot commit now */
    WRITER_ADMIN,  /* inside a savepoint of its own: its failure undoes itself alone */
    WRITER_CLASS_COUNT
};

struct writer_job {
    struct list node; /* the writer's while queued */
    enum writer_class class;
    bool is_deferred;      /* the writer's: `deferred` has been called */
    enum tg_status status; /* the writer's: what `run` returned */

    /* Do it, inside the batch's transaction. A settlement or hold that fails with TG_IO,
     * TG_NO_MEMORY or TG_CORRUPT, or that fails after it has written, fails the whole batch; any
     * other status is this job's own answer. An administrative job may touch memory that a hook
     * keeps only when nothing of it can fail any more. May run again after a rollback. Thread:
     * writer. */
    enum tg_status (*run)(struct writer_job *job, struct db *db, struct err *err);
    /* After commit, with what `run` returned; or after a rollback, with the reason. A hold that
     * `run` has turned down is answered at once. The job is the caller's again. Must hand over to
     * its own thread. Thread: writer. */
    void (*done)(struct writer_job *job, enum tg_status status);
    /* Settlements only, may be NULL: the first attempt to commit has failed, it stays queued.
     * Thread: writer. */
    void (*deferred)(struct writer_job *job);
};

#define WRITER_QUEUE_MAX     8192 /* holds and administrative jobs that may wait, together */
#define WRITER_BATCH_MAX     512  /* jobs of one batch */
#define WRITER_BATCH_ADMIN   16   /* places of a batch kept for administrative jobs */
#define WRITER_FREE_DISK_MIN (INT64_C(64) << 20)
#define WRITER_RETRY_MS      1000
#define WRITER_EXIT_SYNC     70 /* the process's exit status after a failed sync */

/* What is kept in memory beside the rows of a batch (coalesced rollups, limits) follows its fate.
 * Each function may be NULL. Thread: writer. */
struct writer_hook {
    struct list node;
    /* Before COMMIT: write what the jobs have gathered. A failure fails the batch. */
    enum tg_status (*before_commit)(struct writer_hook *hook, struct db *db, struct err *err);
    void (*committed)(struct writer_hook *hook);
    void (*rolled_back)(struct writer_hook *hook);
    /* The connection is about to close: finalize statements. */
    void (*closing)(struct writer_hook *hook);
};

/* Take over `db` (opened for writing, migrated), empty the log and start the thread. On failure the
 * connection stays the caller's.
 *
 * path    the database file, for free disk space
 * Errors  TG_NO_MEMORY, TG_INTERNAL; TG_IO, TG_CORRUPT: of the checkpoint */
TG_MUST_CHECK enum tg_status writer_start(struct db *db, const char *path,
                                          struct writer **ret_writer, struct err *err);

/* Before the first job. */
void writer_add_hook(struct writer *writer, struct writer_hook *hook);

/* Queue a job. Any thread.
 *
 * Errors  TG_OVERLOADED: WRITER_QUEUE_MAX are waiting (never for WRITER_SETTLE); TG_DRAINING:
 * stopping. Then nothing is called. */
TG_MUST_CHECK enum tg_status writer_submit(struct writer *writer, struct writer_job *job);

/* Run a job and wait for it; for threads that may block (admin listener, start-up). `done` is not
 * called. `err` gets the line of a failed run.
 *
 * Errors  those of writer_submit, of the job's run, and TG_LEDGER_UNAVAILABLE: no commit */
TG_MUST_CHECK enum tg_status writer_call(struct writer *writer, struct writer_job *job,
                                         struct err *err);

/* Whether holds are taken now. Any thread; a relaxed read. */
bool writer_is_writable(const struct writer *writer);

struct writer_stats {
    int64_t batches;
    int64_t jobs;
    int64_t failed_batches;
    int64_t deferred;  /* settlements that wait for a commit now */
    int64_t wal_pages; /* in the log after the last commit */
    int64_t checkpoints;
    int64_t last_commit_us;
};
void writer_stats(const struct writer *writer, struct writer_stats *ret_stats);

/* Commit all that is queued (settlements for at most `patience_ms`; then they are answered
 * TG_LEDGER_UNAVAILABLE, and their holds are left to the next start), checkpoint, stop the thread
 * and close the connection. Accepts NULL. */
void writer_stop(struct writer *writer, int64_t patience_ms);

#endif
