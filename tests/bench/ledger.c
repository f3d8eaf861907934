/* What an attempt costs in the ledger: CPU of the whole process for its hold and its charge, and
 * bytes in the file. `build/release/ledger_bench FOLDER [ATTEMPTS [BATCH [ATTEMPTS_PER_SECOND]]]`;
 * 100 keys of 10 teams, 20 models, raw usage aside. */
#include "ledger/ledger.h"
#include "base/id.h"
#include "ledger/verify.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/stmt.h"
#include "store/writer.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS  INT64_C(1795478400000) /* 2026-11-24T00:00:00Z */
#define BATCH_MAX 512
#define KEYS      100
#define TEAMS     10
#define MODELS    20
#define US_PER_S  1000000

static struct writer *writer;
static struct ledger *ledger;
static sem_t answered;
static long failures;
static struct ledger_hold_job holds[BATCH_MAX];
static struct ledger_settle_job settles[BATCH_MAX];
static char models[MODELS][32];

static void on_done(struct writer_job *job, enum tg_status status)
{
    (void)job;
    failures += status == TG_OK ? 0 : 1;
    (void)sem_post(&answered);
}

static int64_t cpu_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_S + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static int64_t wall_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static void make_hold(struct ledger_hold_job *job, int64_t id)
{
    const int key = rand() % KEYS;
    const int model = rand() % MODELS;

    ledger_hold_job_init(job, ledger);
    job->job.done = on_done;
    job->hold = (struct ledger_hold){
        .attempt_id = id,
        .call_id = id,
        .key_id = key + 1,
        .team_id = key % TEAMS + 1,
        .provider_id = model % 4 + 1,
        .dialect = SPAN("openai-chat"),
        .model = span_from(models[model]),
        .input_bound_tokens = 8000,
        .output_bound_tokens = 16384,
        .amount_nusd = 270000000,
    };
}

static void make_settle(struct ledger_settle_job *job, const struct ledger_hold *hold)
{
    ledger_settle_job_init(job, ledger);
    job->job.done = on_done;
    job->charge = (struct ledger_charge){
        .attempt_id = hold->attempt_id,
        .call_id = hold->call_id,
        .team_id = hold->team_id,
        .key_id = hold->key_id,
        .provider_id = hold->provider_id,
        .dialect = hold->dialect,
        .model = hold->model,
        .served_model = hold->model,
        .tier = SPAN("standard"),
        .cost_nusd = 1000000 + rand() % 10000000,
        .hold_nusd = hold->amount_nusd,
        .rates = { { TG_INPUT, 1, 3000000 },
                   { TG_CACHE_READ, 2, 300000 },
                   { TG_OUTPUT, 3, 15000000 } },
        .rate_count = 3,
        .http_status = 200,
        .ttft_ms = 300 + rand() % 1000,
        .total_ms = 2000 + rand() % 10000,
        .request_bytes = 1000 + rand() % 30000,
        .answer_bytes = 1000 + rand() % 5000,
    };
    job->charge.provider_cost_nusd = job->charge.cost_nusd;
    job->charge.usage.count[TG_INPUT] = 200 + rand() % 8000;
    job->charge.usage.count[TG_CACHE_READ] = rand() % 2 * (rand() % 8000);
    job->charge.usage.count[TG_OUTPUT] = 50 + rand() % 1500;
    job->charge.usage.prompt_tokens = job->charge.usage.count[TG_INPUT];
}

static void wait_for(int count)
{
    for (int i = 0; i < count; i++)
        (void)sem_wait(&answered);
}

static void run(int64_t attempts, int batch, double per_second)
{
    for (int64_t done = 0; done < attempts; done += batch) {
        for (int i = 0; i < batch; i++) {
            const int64_t ms = (int64_t)((double)(done + i) * 1000 / per_second);

            make_hold(&holds[i], id_floor_of(FIRST_MS + ms) + (done + i) % 16384);
            failures += writer_submit(writer, &holds[i].job) == TG_OK ? 0 : 1;
        }
        wait_for(batch);
        for (int i = 0; i < batch; i++) {
            make_settle(&settles[i], &holds[i].hold);
            failures += writer_submit(writer, &settles[i].job) == TG_OK ? 0 : 1;
        }
        wait_for(batch);
    }
}

static void open_book(const char *path)
{
    struct err err = { "" };
    struct db *db = NULL;
    int64_t recovered;
    int64_t last_id;
    int applied;

    if (db_open(path, DB_WRITE, &db, &err) != TG_OK ||
        migrate_run(db, tg_migrations, tg_migration_count, &applied, &err) != TG_OK ||
        ledger_open(db, &ledger, &recovered, &last_id, &err) != TG_OK ||
        writer_start(db, path, &writer, &err) != TG_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(EXIT_FAILURE);
    }
    ledger_attach(ledger, writer);
}

static void report_file(const char *path, int64_t attempts)
{
    struct err err = { "" };
    struct db *db = NULL;
    struct stmt stmt = { 0 };
    struct ledger_verdict verdict = { 0 };
    bool has_row = false;
    int64_t began_us;

    if (db_open(path, DB_READ, &db, &err) != TG_OK ||
        stmt_prepare(&stmt, db,
                     "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 5",
                     &err) != TG_OK)
        exit(EXIT_FAILURE);
    while (stmt_step(&stmt, &has_row, &err) == TG_OK && has_row)
        (void)printf("  %-22.*s %6.1f bytes an attempt\n", SPAN_ARG(stmt_text(&stmt, 0)),
                     (double)stmt_int(&stmt, 1) / (double)attempts);
    stmt_fini(&stmt);
    began_us = wall_us();
    if (ledger_verify(db, &verdict, &err) != TG_OK)
        (void)fprintf(stderr, "%s\n", err.text);
    (void)printf("verify: %lld charges, %lld differences, %.2f us each\n",
                 (long long)verdict.charges, (long long)verdict.differences,
                 (double)(wall_us() - began_us) / (double)attempts);
    db_close(db);
}

int main(int argc, char **argv)
{
    const int64_t attempts = argc > 2 ? atoll(argv[2]) : 128000;
    const int batch = argc > 3 ? atoi(argv[3]) : 64;
    const double per_second = argc > 4 ? atof(argv[4]) : 100;
    struct writer_stats stats;
    char path[512];
    int64_t began_cpu_us;
    int64_t began_us;

    if (argc < 2 || batch < 1 || batch > BATCH_MAX)
        return 2;
    (void)snprintf(path, sizeof(path), "%s/ledger_bench.db", argv[1]);
    (void)unlink(path);
    for (int i = 0; i < MODELS; i++)
        (void)snprintf(models[i], sizeof(models[i]), "some-model-name-%d", i);
    (void)sem_init(&answered, 0, 0);
    open_book(path);
    began_cpu_us = cpu_us();
    began_us = wall_us();
    run(attempts, batch, per_second);
    writer_stats(writer, &stats);
    (void)printf("%lld attempts, %.1f jobs a commit: %.2f us CPU, %.2f us wall an attempt; "
                 "%lld checkpoints, %ld failures\n",
                 (long long)attempts, (double)stats.jobs / (double)stats.batches,
                 (double)(cpu_us() - began_cpu_us) / (double)attempts,
                 (double)(wall_us() - began_us) / (double)attempts, (long long)stats.checkpoints,
                 failures);
    writer_stop(writer, 1000);
    ledger_close(ledger);
    report_file(path, attempts);
    (void)unlink(path);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
