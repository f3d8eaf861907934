/* Goal: the writer answers each job once, commits whole batches or nothing, and never gives up a
 * settlement.
 * Method: a real database; the disk is broken by a layer below SQLite, the clock is the test's. */
#include "base/clock.h"
#include "store/stmt.h"
#include "support/suites.h"
#include "support/support_book.h"
#include "support/support_disk.h"
#include "support/support_vfs.h"

#include <pthread.h>
#include <stdlib.h>

static struct support_book book;

static const struct support_vfs_plan full_disk = {
    .calls = VFS_WRITE, .from = 1, .for_good = true, .disk_full = true
};

static void setup(void)
{
    support_clock_use();
    support_vfs_install();
    support_vfs_use(NULL);
    support_disk_pretend_free(-1);
    support_book_setup(&book);
}

static void teardown(void)
{
    support_book_teardown(&book);
}

static int64_t number(const char *sql)
{
    return support_book_number(&book, sql);
}

/* A job that keeps the writer inside a batch until it is let go, so that others queue behind it. */
struct gate {
    struct writer_job job; /* first */
    sem_t entered;
    sem_t may_leave;
    sem_t done;
    enum tg_status status;
};

static enum tg_status run_gate(struct writer_job *job, struct db *db, struct err *err)
{
    struct gate *gate = (struct gate *)job;

    (void)db;
    (void)err;
    (void)sem_post(&gate->entered);
    (void)sem_wait(&gate->may_leave);
    return TG_OK;
}

static void on_gate_done(struct writer_job *job, enum tg_status status)
{
    struct gate *gate = (struct gate *)job;

    gate->status = status;
    (void)sem_post(&gate->done);
}

static void gate_close(struct gate *gate)
{
    *gate =
        (struct gate){ .job = { .class = WRITER_ADMIN, .run = run_gate, .done = on_gate_done } };
    (void)sem_init(&gate->entered, 0, 0);
    (void)sem_init(&gate->may_leave, 0, 0);
    (void)sem_init(&gate->done, 0, 0);
    ck_assert_int_eq(writer_submit(book.writer, &gate->job), TG_OK);
    (void)sem_wait(&gate->entered);
}

static void gate_open(struct gate *gate)
{
    (void)sem_post(&gate->may_leave);
    (void)sem_wait(&gate->done);
}

START_TEST(what_queues_during_a_commit_is_the_next_batch)
{
    enum { COUNT = 100 };
    static struct support_hold holds[COUNT];
    struct writer_stats before;
    struct writer_stats after;
    struct gate gate;

    gate_close(&gate);
    for (int i = 0; i < COUNT; i++) {
        support_hold_init(&book, &holds[i], i + 1);
        ck_assert_int_eq(support_hold_submit(&book, &holds[i]), TG_OK);
    }
    writer_stats(book.writer, &before);
    gate_open(&gate);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(support_hold_wait(&holds[i]), TG_OK);
    support_barrier(&book);
    writer_stats(book.writer, &after);
    ck_assert_int_eq(after.batches - before.batches, 3); /* the gate's, the holds', the barrier's */
    ck_assert_int_eq(after.jobs - before.jobs, COUNT + 2);
}
END_TEST

/* Jobs that write down the order in which they run. */
struct note {
    struct writer_job job; /* first */
    int name;
    enum tg_status result;
    sem_t done;
    enum tg_status status;
};

enum { NOTES_KEPT = 16 };
static int notes[NOTES_KEPT];
static int note_count;

static enum tg_status run_note(struct writer_job *job, struct db *db, struct err *err)
{
    const struct note *note = (struct note *)job;

    (void)db;
    notes[note_count++ % NOTES_KEPT] = note->name;
    return note->result == TG_OK ? TG_OK : err_set(err, note->result, "told to");
}

static void on_note_done(struct writer_job *job, enum tg_status status)
{
    struct note *note = (struct note *)job;

    note->status = status;
    (void)sem_post(&note->done);
}

static void note_submit_with(struct note *note, int name, enum writer_class class,
                             enum tg_status result)
{
    *note = (struct note){ .job = { .class = class, .run = run_note, .done = on_note_done },
                           .name = name,
                           .result = result };
    (void)sem_init(&note->done, 0, 0);
    ck_assert_int_eq(writer_submit(book.writer, &note->job), TG_OK);
}

static void note_submit(struct note *note, int name, enum writer_class class)
{
    note_submit_with(note, name, class, TG_OK);
}

static enum tg_status note_wait(struct note *note)
{
    (void)sem_wait(&note->done);
    return note->status;
}

START_TEST(a_batch_runs_settlements_then_holds_then_administration_each_in_order)
{
    struct note note[6];
    struct gate gate;

    gate_close(&gate);
    note_submit(&note[0], 5, WRITER_ADMIN);
    note_submit(&note[1], 3, WRITER_HOLD);
    note_submit(&note[2], 1, WRITER_SETTLE);
    note_submit(&note[3], 6, WRITER_ADMIN);
    note_submit(&note[4], 2, WRITER_SETTLE);
    note_submit(&note[5], 4, WRITER_HOLD);
    gate_open(&gate);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(note_wait(&note[i]), TG_OK);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(notes[i], i + 1);
}
END_TEST

START_TEST(a_hold_that_is_turned_down_leaves_the_others_alone)
{
    struct support_hold hold;
    struct note no;
    struct gate gate;

    gate_close(&gate);
    note_submit_with(&no, 1, WRITER_HOLD, TG_RATE_LIMITED);
    support_hold_init(&book, &hold, 1);
    ck_assert_int_eq(support_hold_submit(&book, &hold), TG_OK);
    gate_open(&gate);
    ck_assert_int_eq(note_wait(&no), TG_RATE_LIMITED);
    ck_assert_int_eq(support_hold_wait(&hold), TG_OK);
    ck_assert_int_eq(number("SELECT count(*) FROM hold"), 1);
}
END_TEST

static enum tg_status add_then_fail(struct db *db, void *context, struct err *err)
{
    struct stmt stmt = { 0 };

    (void)context;
    ck_assert_int_eq(stmt_prepare(&stmt, db, "INSERT INTO dimension (name) VALUES ('half')", err),
                     TG_OK);
    ck_assert_int_eq(stmt_run(&stmt, err), TG_OK);
    stmt_fini(&stmt);
    return err_set(err, TG_STALE, "changed my mind");
}

START_TEST(an_administrative_job_that_fails_undoes_itself_alone)
{
    struct support_hold hold;
    struct gate gate;

    gate_close(&gate);
    support_hold_init(&book, &hold, 1);
    ck_assert_int_eq(support_hold_submit(&book, &hold), TG_OK);
    (void)sem_post(&gate.may_leave);
    ck_assert_int_eq(support_run(&book, add_then_fail, NULL), TG_STALE);
    ck_assert_str_eq(book.err.text, "changed my mind");
    (void)sem_wait(&gate.done);
    ck_assert_int_eq(support_hold_wait(&hold), TG_OK);
    ck_assert_int_eq(number("SELECT count(*) FROM dimension WHERE name = 'half'"), 0);
    ck_assert_int_eq(number("SELECT count(*) FROM hold"), 1);
}
END_TEST

START_TEST(a_settlement_that_cannot_commit_is_deferred_once_and_committed_later)
{
    struct support_settle settle;

    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    support_vfs_use(&full_disk);
    support_settle_init(&book, &settle, 1);
    ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
    support_barrier(&book);
    ck_assert_int_eq(settle.outcome.deferrals, 1);
    ck_assert(!writer_is_writable(book.writer));
    ck_assert_int_eq(support_hold_now(&book, 2), TG_LEDGER_UNAVAILABLE);
    support_clock_add_ms(WRITER_RETRY_MS); /* the disk is still full */
    support_barrier(&book);
    ck_assert_int_eq(settle.outcome.deferrals, 1);
    ck_assert_int_eq(settle.outcome.answers, 0);
    support_vfs_use(NULL);
    support_clock_add_ms(WRITER_RETRY_MS);
    support_barrier(&book);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    ck_assert_int_eq(settle.outcome.answers, 1);
    ck_assert(writer_is_writable(book.writer));
    ck_assert_int_eq(support_hold_now(&book, 2), TG_OK);
    ck_assert_int_eq(support_settle_now(&book, 2), TG_OK);
    support_book_is_sound(&book);
}
END_TEST

START_TEST(deferred_settlements_keep_their_order)
{
    struct support_settle settle;
    struct note note[3];
    struct gate gate;

    support_vfs_use(&full_disk);
    gate_close(&gate);
    support_settle_init(&book, &settle, 1); /* writes, so that the batch fails */
    ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
    for (int i = 0; i < 3; i++)
        note_submit(&note[i], i + 1, WRITER_SETTLE);
    gate_open(&gate);
    support_barrier(&book);
    ck_assert_int_eq(note_count, 3);
    support_vfs_use(NULL);
    support_clock_add_ms(WRITER_RETRY_MS);
    support_barrier(&book);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(note_wait(&note[i]), TG_OK);
    ck_assert_int_eq(note_count, 6);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(notes[i], i % 3 + 1);
}
END_TEST

START_TEST(a_hold_that_cannot_commit_is_refused_and_leaves_nothing)
{
    support_vfs_use(&full_disk);
    ck_assert_int_eq(support_hold_now(&book, 1), TG_LEDGER_UNAVAILABLE);
    support_vfs_use(NULL);
    ck_assert_int_eq(number("SELECT count(*) FROM hold"), 0);
    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    ck_assert_int_eq(support_settle_now(&book, 1), TG_OK);
    support_book_is_sound(&book);
}
END_TEST

START_TEST(a_disk_that_runs_low_stops_holds_but_no_settlement)
{
    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    support_disk_pretend_free(WRITER_FREE_DISK_MIN - 1);
    support_clock_add_ms(1000);
    ck_assert_int_eq(support_hold_now(&book, 2), TG_LEDGER_UNAVAILABLE);
    ck_assert(!writer_is_writable(book.writer));
    ck_assert_int_eq(support_settle_now(&book, 1), TG_OK);
    support_disk_pretend_free(WRITER_FREE_DISK_MIN);
    support_clock_add_ms(1000);
    ck_assert_int_eq(support_hold_now(&book, 2), TG_OK);
    ck_assert(writer_is_writable(book.writer));
}
END_TEST

START_TEST(the_queue_of_holds_is_bounded_and_that_of_settlements_is_not)
{
    static struct note note[WRITER_QUEUE_MAX];
    struct note settle;
    struct note refused = { .job = { .class = WRITER_HOLD } };
    struct gate gate;

    gate_close(&gate);
    for (int i = 0; i < WRITER_QUEUE_MAX; i++)
        note_submit_with(&note[i], 0, WRITER_HOLD, TG_RATE_LIMITED);
    ck_assert_int_eq(writer_submit(book.writer, &refused.job), TG_OVERLOADED);
    refused.job.class = WRITER_ADMIN;
    ck_assert_int_eq(writer_submit(book.writer, &refused.job), TG_OVERLOADED);
    note_submit(&settle, 0, WRITER_SETTLE);
    gate_open(&gate);
    for (int i = 0; i < WRITER_QUEUE_MAX; i++)
        ck_assert_int_eq(note_wait(&note[i]), TG_RATE_LIMITED);
    ck_assert_int_eq(note_wait(&settle), TG_OK);
    ck_assert_int_eq(note_count, WRITER_QUEUE_MAX + 1);
}
END_TEST

START_TEST(stopping_gives_up_a_settlement_only_when_patience_ends)
{
    struct support_settle settle;

    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    support_vfs_use(&full_disk);
    support_settle_init(&book, &settle, 1);
    ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
    support_barrier(&book);
    support_book_close_in(&book, 0);
    ck_assert_int_eq(settle.outcome.answers, 1);
    ck_assert_int_eq(settle.outcome.status, TG_LEDGER_UNAVAILABLE);
    support_vfs_use(NULL);
    support_book_open(&book);
    ck_assert_int_eq(book.recovered, 1); /* the hold spoke for it */
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM charge"), 1000000);
    support_book_is_sound(&book);
}
END_TEST

START_TEST(stopping_commits_what_is_queued)
{
    enum { COUNT = 700 }; /* more than a batch */
    static struct support_settle settles[COUNT];

    for (int i = 0; i < COUNT; i++) {
        support_settle_init(&book, &settles[i], i + 1);
        ck_assert_int_eq(support_settle_submit(&book, &settles[i]), TG_OK);
    }
    support_book_close(&book);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(settles[i].outcome.status, TG_OK);
    support_book_open(&book);
    ck_assert_int_eq(number("SELECT count(*) FROM charge"), COUNT);
}
END_TEST

START_TEST(the_log_is_copied_at_its_mark_and_emptied_at_the_end)
{
    struct writer_stats stats;
    struct support_settle settle;
    static char raw[LEDGER_RAW_USAGE_MAX];

    memset(raw, 'x', sizeof(raw));
    for (int i = 1; i <= 500; i++) {
        support_settle_init(&book, &settle, i);
        settle.job.charge.raw_usage = span_of(raw, sizeof(raw));
        ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
        ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    }
    support_barrier(&book);
    writer_stats(book.writer, &stats);
    ck_assert_int_ge(stats.checkpoints, 2);
    ck_assert_int_le(stats.wal_pages, 1200);
    support_book_close(&book);
    ck_assert_int_eq(support_book_number(&book, "SELECT count(*) FROM charge"), 500);
    support_book_open(&book);
}
END_TEST

/* Threads that hold and settle as calls do. */
struct caller {
    pthread_t thread;
    int first;
    int failures;
};

enum { CALLERS = 50, CALLS = 30 };

static void *call(void *context)
{
    struct caller *caller = context;

    for (int i = 0; i < CALLS; i++) {
        const int64_t attempt = caller->first + i;

        caller->failures += support_hold_now(&book, attempt) == TG_OK ? 0 : 1;
        caller->failures += support_settle_now(&book, attempt) == TG_OK ? 0 : 1;
    }
    return NULL;
}

START_TEST(fifty_threads_lose_nothing_and_share_commits)
{
    struct caller callers[CALLERS];
    struct writer_stats stats;
    struct ledger_stats ledger;

    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){ .first = 1 + i * CALLS };
        ck_assert_int_eq(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        ck_assert_int_eq(pthread_join(callers[i].thread, NULL), 0);
        ck_assert_int_eq(callers[i].failures, 0);
    }
    writer_stats(book.writer, &stats);
    ledger_stats(book.ledger, &ledger);
    ck_assert_int_eq(ledger.charges, CALLERS * CALLS);
    ck_assert_int_eq(ledger.lost, 0);
    ck_assert_int_eq(stats.jobs, 2 * CALLERS * CALLS);
    ck_assert_int_lt(stats.batches, 2 * CALLERS * CALLS);
    support_book_is_sound(&book);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("writer");
    TCase *one = tcase_create("batches");

    tcase_add_checked_fixture(one, setup, teardown);
    tcase_set_timeout(one, 60);
    tcase_add_test(one, what_queues_during_a_commit_is_the_next_batch);
    tcase_add_test(one, a_batch_runs_settlements_then_holds_then_administration_each_in_order);
    tcase_add_test(one, a_hold_that_is_turned_down_leaves_the_others_alone);
    tcase_add_test(one, an_administrative_job_that_fails_undoes_itself_alone);
    tcase_add_test(one, a_settlement_that_cannot_commit_is_deferred_once_and_committed_later);
    tcase_add_test(one, deferred_settlements_keep_their_order);
    tcase_add_test(one, a_hold_that_cannot_commit_is_refused_and_leaves_nothing);
    tcase_add_test(one, a_disk_that_runs_low_stops_holds_but_no_settlement);
    tcase_add_test(one, the_queue_of_holds_is_bounded_and_that_of_settlements_is_not);
    tcase_add_test(one, stopping_gives_up_a_settlement_only_when_patience_ends);
    tcase_add_test(one, stopping_commits_what_is_queued);
    tcase_add_test(one, the_log_is_copied_at_its_mark_and_emptied_at_the_end);
    tcase_add_test(one, fifty_threads_lose_nothing_and_share_commits);
    suite_add_tcase(all, one);
    return all;
}
