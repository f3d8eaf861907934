#include "support/support_book.h"

#include "base/clock.h"
#include "base/id.h"
#include "store/migrate.h"
#include "store/stmt.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS INT64_C(1795478400000) /* 2026-11-24T00:00:00Z */
#define TEAMS    3
#define KEYS     7
#define MODELS   4

static _Atomic(int64_t) clock_extra_ms;

static int64_t shifted_wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000 + atomic_load(&clock_extra_ms);
}

static int64_t shifted_monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000 + atomic_load(&clock_extra_ms) * 1000;
}

void support_clock_use(void)
{
    static const struct clock_source source = { shifted_wall_ms, shifted_monotonic_us };

    clock_use(&source);
}

void support_clock_add_ms(int64_t ms)
{
    (void)atomic_fetch_add(&clock_extra_ms, ms);
}

static void empty_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    char path[BOOK_PATH_MAX * 2];

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        (void)unlink(path); /* "." and ".." refuse */
    }
    (void)closedir(dir);
}

void support_book_place(struct support_book *book)
{
    static atomic_int number;

    *book = (struct support_book){ 0 };
    (void)mkdir("build", 0777);
    (void)mkdir("build/scratch", 0777);
    (void)snprintf(book->folder, sizeof(book->folder), "build/scratch/book-%d-%d", (int)getpid(),
                   atomic_fetch_add(&number, 1));
    empty_folder(book->folder);
    ck_assert(mkdir(book->folder, 0777) == 0 || errno == EEXIST);
    (void)snprintf(book->path, sizeof(book->path), "%s/tollgate.db", book->folder);
}

void support_book_remove(struct support_book *book)
{
    empty_folder(book->folder);
    ck_assert_int_eq(rmdir(book->folder), 0);
}

enum tg_status support_book_try_open(struct support_book *book, bool with_writer)
{
    enum tg_status status;
    int applied = 0;

    book->err.text[0] = '\0';
    status = db_open(book->path, DB_WRITE, &book->db, &book->err);
    if (status == TG_OK)
        status = migrate_run(book->db, tg_migrations, tg_migration_count, &applied, &book->err);
    if (status == TG_OK)
        status = ledger_open(book->db, &book->ledger, &book->recovered, &book->last_id, &book->err);
    if (status == TG_OK)
        status = admit_open(book->db, book->ledger, &book->admit, &book->err);
    if (status == TG_OK && with_writer)
        status = writer_start(book->db, book->path, &book->writer, &book->err);
    if (status == TG_OK && with_writer) {
        ledger_attach(book->ledger, book->writer);
        admit_attach(book->admit, book->writer);
    }
    if (status != TG_OK) {
        admit_close(book->admit);
        ledger_close(book->ledger);
        db_close(book->db);
        book->admit = NULL;
        book->ledger = NULL;
        book->db = NULL;
    }
    return status;
}

void support_book_open(struct support_book *book)
{
    const enum tg_status status = support_book_try_open(book, /* with_writer= */ true);

    ck_assert_msg(status == TG_OK, "%s", book->err.text);
}

void support_book_close_in(struct support_book *book, int64_t patience_ms)
{
    writer_stop(book->writer, patience_ms);
    admit_close(book->admit);
    ledger_close(book->ledger);
    if (book->writer == NULL)
        db_close(book->db);
    book->writer = NULL;
    book->admit = NULL;
    book->ledger = NULL;
    book->db = NULL;
}

void support_book_close(struct support_book *book)
{
    support_book_close_in(book, 10000);
}

void support_book_setup(struct support_book *book)
{
    support_book_place(book);
    support_book_open(book);
}

void support_book_teardown(struct support_book *book)
{
    support_book_close(book);
    support_book_remove(book);
}

int64_t support_book_number(struct support_book *book, const char *sql)
{
    struct db *db = NULL;
    struct err err = { "" };
    struct stmt stmt = { 0 };
    char text[1024];
    int64_t value = 0;
    enum tg_status status = db_open(book->path, DB_READ, &db, &err);

    (void)snprintf(text, sizeof(text), "%s /* scan */", sql); /* tables of a test are small */
    if (status == TG_OK)
        status = stmt_prepare(&stmt, db, text, &err);
    if (status == TG_OK)
        status = stmt_run_int(&stmt, &value, &err);
    stmt_fini(&stmt);
    db_close(db);
    ck_assert_msg(status == TG_OK, "%s: %s", sql, err.text);
    return value;
}

struct ledger_verdict support_book_verify(struct support_book *book)
{
    struct db *db = NULL;
    struct err err = { "" };
    struct ledger_verdict verdict = { 0 };
    enum tg_status status = db_open(book->path, DB_READ, &db, &err);

    if (status == TG_OK)
        status = ledger_verify(db, &verdict, &err);
    db_close(db);
    ck_assert_msg(status == TG_OK, "%s", err.text);
    return verdict;
}

void support_book_is_sound(struct support_book *book)
{
    const struct ledger_verdict verdict = support_book_verify(book);

    ck_assert_int_eq(verdict.differences, 0);
    ck_assert_int_eq(verdict.double_ended, 0);
    ck_assert_int_eq(verdict.out_of_range, 0);
    ck_assert_int_eq(verdict.open_holds, 0);
}

/* --- jobs ----------------------------------------------------------------------------------------
 */

static void outcome_init(struct support_outcome *outcome)
{
    (void)sem_init(&outcome->answered, 0, 0);
    outcome->status = TG_AGAIN;
    atomic_store(&outcome->answers, 0);
    atomic_store(&outcome->deferrals, 0);
}

static void report(struct support_outcome *outcome, enum tg_status status)
{
    outcome->status = status;
    (void)atomic_fetch_add(&outcome->answers, 1);
    (void)sem_post(&outcome->answered);
}

static enum tg_status wait_for(struct support_outcome *outcome)
{
    while (sem_wait(&outcome->answered) != 0)
        ck_assert_int_eq(errno, EINTR);
    return outcome->status;
}

static void on_hold_done(struct writer_job *job, enum tg_status status)
{
    report(&((struct support_hold *)job)->outcome, status);
}

static void on_settle_done(struct writer_job *job, enum tg_status status)
{
    report(&((struct support_settle *)job)->outcome, status);
}

static void on_settle_deferred(struct writer_job *job)
{
    (void)atomic_fetch_add(&((struct support_settle *)job)->outcome.deferrals, 1);
}

int64_t support_attempt(int64_t number)
{
    return id_floor_of(FIRST_MS + number * 1000) + 1;
}

static struct span model_of(int64_t number)
{
    static const char *const models[MODELS] = { "gpt-small", "gpt-large", "claude", "gemini" };

    return span_from(models[number % MODELS]);
}

void support_hold_init(struct support_book *book, struct support_hold *hold, int64_t number)
{
    ledger_hold_job_init(&hold->job, book->ledger);
    outcome_init(&hold->outcome);
    hold->job.job.done = on_hold_done;
    hold->job.hold = (struct ledger_hold){
        .attempt_id = support_attempt(number),
        .call_id = support_attempt(number),
        .key_id = (int32_t)(number % KEYS + 1),
        .team_id = (int32_t)(number % KEYS % TEAMS + 1),
        .provider_id = (int32_t)(number % MODELS % 2 + 1),
        .dialect = SPAN("openai-chat"),
        .model = model_of(number),
        .input_bound_tokens = 400,
        .output_bound_tokens = 600,
        .amount_nusd = 1000000,
    };
}

void support_settle_init(struct support_book *book, struct support_settle *settle, int64_t number)
{
    struct support_hold hold;

    support_hold_init(book, &hold, number);
    ledger_settle_job_init(&settle->job, book->ledger);
    outcome_init(&settle->outcome);
    settle->job.job.done = on_settle_done;
    settle->job.job.deferred = on_settle_deferred;
    settle->job.charge = (struct ledger_charge){
        .attempt_id = hold.job.hold.attempt_id,
        .call_id = hold.job.hold.call_id,
        .team_id = hold.job.hold.team_id,
        .key_id = hold.job.hold.key_id,
        .provider_id = hold.job.hold.provider_id,
        .dialect = hold.job.hold.dialect,
        .model = hold.job.hold.model,
        .served_model = hold.job.hold.model,
        .tier = SPAN("standard"),
        .cost_nusd = 1000 + number,
        .provider_cost_nusd = 900 + number,
        .hold_nusd = hold.job.hold.amount_nusd,
        .rates = { { TG_INPUT, 1, 3000000 }, { TG_OUTPUT, 2, 15000000 } },
        .rate_count = 2,
        .http_status = 200,
        .ttft_ms = 321,
        .total_ms = 2345,
        .request_bytes = 1234,
        .answer_bytes = 4567,
    };
    settle->job.charge.usage.count[TG_INPUT] = 100 + number;
    settle->job.charge.usage.count[TG_OUTPUT] = 20 + number;
    settle->job.charge.usage.prompt_tokens = 100 + number;
}

enum tg_status support_hold_submit(struct support_book *book, struct support_hold *hold)
{
    return writer_submit(book->writer, &hold->job.job);
}

enum tg_status support_settle_submit(struct support_book *book, struct support_settle *settle)
{
    return writer_submit(book->writer, &settle->job.job);
}

enum tg_status support_hold_wait(struct support_hold *hold)
{
    return wait_for(&hold->outcome);
}

enum tg_status support_settle_wait(struct support_settle *settle)
{
    return wait_for(&settle->outcome);
}

enum tg_status support_hold_now(struct support_book *book, int64_t number)
{
    struct support_hold hold;

    support_hold_init(book, &hold, number);
    ck_assert_int_eq(support_hold_submit(book, &hold), TG_OK);
    return support_hold_wait(&hold);
}

enum tg_status support_settle_now(struct support_book *book, int64_t number)
{
    struct support_settle settle;

    support_settle_init(book, &settle, number);
    ck_assert_int_eq(support_settle_submit(book, &settle), TG_OK);
    return support_settle_wait(&settle);
}

void support_attempt_now(struct support_book *book, int64_t number)
{
    ck_assert_int_eq(support_hold_now(book, number), TG_OK);
    ck_assert_int_eq(support_settle_now(book, number), TG_OK);
}

struct run_job {
    struct writer_job job; /* first */
    enum tg_status (*run)(struct db *db, void *context, struct err *err);
    void *context;
};

static enum tg_status on_run(struct writer_job *job, struct db *db, struct err *err)
{
    struct run_job *run = (struct run_job *)job;

    return run->run(db, run->context, err);
}

enum tg_status support_run(struct support_book *book,
                           enum tg_status (*run)(struct db *db, void *context, struct err *err),
                           void *context)
{
    struct run_job job = { .job = { .class = WRITER_ADMIN, .run = on_run }, run, context };

    return writer_call(book->writer, &job.job, &book->err);
}

static enum tg_status do_nothing(struct db *db, void *context, struct err *err)
{
    (void)db;
    (void)context;
    (void)err;
    return TG_OK;
}

void support_barrier(struct support_book *book)
{
    (void)support_run(book, do_nothing, NULL);
}
