/* A fixed script at the ledger's interface, for tests that end or fail it at each of its system
 * calls: about thirty holds and what becomes of them, a change of a limit, reconciliations. What is
 * asked and what is answered is told on stdout, a line and a write each, so that what was promised
 * outlives the process; whoever reads it needs to know nothing else about the script.
 *
 *   ledger_script template DIR  make DIR/tollgate.db: people, limits, two charges unreconciled
 *   ledger_script run DIR       start, say `ready`, play the script once stdin has a byte or ends
 *   ledger_script recover DIR   start and stop
 *   ledger_script check DIR     start; say what is there; settle again all that is settled, say it
 *                               again; then a last call
 *
 *   limit L METRIC KEYS AMOUNT   there is one; KEYS as FIRST-LAST
 *   hold N KEY IN OUT            asked for; then `held N`, `refused N`, or `failed N STATUS`
 *   settle N IN OUT              handed in; then `settled N`, `repeated N`, or `lost N`: given up
 *   amount L AMOUNT              asked for; then `changed L`, or `unchanged L STATUS`
 *   reconcile N TOKENS COST      asked for: taken back of attempt N; then `reconciled N`, or
 *                                `unreconciled N STATUS`
 *   charge N ADJUSTS KEY TOKENS COST OUTCOME, count L SPENT HELD AMOUNT, verdict DIFFERENCES
 *   DOUBLE_ENDED OUT_OF_RANGE OPEN_HOLDS, begin, end
 */
#include "base/clock.h"
#include "base/id.h"
#include "ledger/ledger.h"
#include "ledger/verify.h"
#include "quota/admit.h"
#include "quota/limit.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/stmt.h"
#include "store/writer.h"

#include <assert.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS  INT64_C(1795478400000) /* 2026-11-24T00:00:00Z */
#define NOW_MS    (FIRST_MS + INT64_C(7200000))
#define ATTEMPTS  32 /* of the script; the template has two before them */
#define EARLIER   2
#define TEAM_KEYS 4
#define BURST     6   /* settled in one batch at the end */
#define LATE      500 /* number of the call after recovery, */
#define LATE_KEY  9   /* of a team that has room */
#define OF_ADJUST 1000
#define RETRIES   20
#define PAUSE_MS  20 /* between a stop that gives up and its end */

enum exit_status { DONE = 0, NO_START = 3, USAGE = 2 };

static struct db *db;
static struct ledger *ledger;
static struct admit *admit;
static struct writer *writer;
static char path[512];

/* --- time ---------------------------------------------------------------------------------------
 */

static _Atomic(int64_t) extra_ms;

static int64_t wall_ms(void)
{
    return NOW_MS + atomic_load(&extra_ms);
}

static int64_t monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000 + atomic_load(&extra_ms) * 1000;
}

static const struct clock_source script_clock = { wall_ms, monotonic_us, NULL };

/* One a second. */
static int64_t id_of(int64_t number)
{
    return id_floor_of(FIRST_MS + number * 1000) + 1;
}

static long long number_of(int64_t id)
{
    return (long long)((id_wall_ms(id) - FIRST_MS) / 1000);
}

/* --- telling ------------------------------------------------------------------------------------
 */

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    char line[256];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    assert(len > 0 && (size_t)len < sizeof(line) - 1);
    line[len++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        abort(); /* a promise that nobody hears */
}

static const char *name_of(enum tg_status status)
{
    return tg_status_info(status)->name;
}

/* --- the book -----------------------------------------------------------------------------------
 */

static void start(void)
{
    struct err err = { "" };
    int64_t recovered;
    int64_t last_id;
    int applied;

    if (db_open(path, DB_WRITE, &db, &err) != TG_OK ||
        migrate_run(db, tg_migrations, tg_migration_count, &applied, &err) != TG_OK ||
        ledger_open(db, &ledger, &recovered, &last_id, &err) != TG_OK ||
        admit_open(db, ledger, &admit, &err) != TG_OK ||
        writer_start(db, path, &writer, &err) != TG_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        _exit(NO_START);
    }
    ledger_attach(ledger, writer);
    admit_attach(admit, writer);
}

static void stop(void)
{
    writer_stop(writer, PAUSE_MS);
    admit_close(admit);
    ledger_close(ledger);
}

static enum tg_status do_nothing(struct writer_job *job, struct db *of, struct err *err)
{
    (void)job;
    (void)of;
    (void)err;
    return TG_OK;
}

/* --- holds and charges --------------------------------------------------------------------------
 */

struct attempt {
    struct admit_job hold;           /* first */
    struct ledger_settle_job settle; /* its memory is the writer's until it is answered */
    sem_t answered;
    atomic_int answers;
    enum tg_status status;
    bool is_held;
};

static struct attempt attempts[LATE + 1];

static void on_held(struct writer_job *job, enum tg_status status)
{
    struct attempt *attempt = (struct attempt *)job;

    attempt->status = status;
    (void)sem_post(&attempt->answered);
}

static void on_settled(struct writer_job *job, enum tg_status status)
{
    struct attempt *attempt = LIST_ENTRY(job, struct attempt, settle.job);

    attempt->status = status;
    (void)atomic_fetch_add(&attempt->answers, 1);
    (void)sem_post(&attempt->answered);
}

static void on_deferred(struct writer_job *job)
{
    (void)sem_post(&LIST_ENTRY(job, struct attempt, settle.job)->answered);
}

static void await(struct attempt *attempt)
{
    while (sem_wait(&attempt->answered) != 0)
        ;
}

static int64_t input_of(int number)
{
    return 40 + number * 7 % 60;
}

static int64_t output_of(int number)
{
    return 20 + number * 11 % 80;
}

static int key_of(int number)
{
    return number == LATE ? LATE_KEY : number * 3 % (2 * TEAM_KEYS) + 1;
}

static void hold(int number)
{
    struct attempt *attempt = &attempts[number];
    const int key = key_of(number);
    enum tg_status status;

    admit_job_init(&attempt->hold, admit);
    (void)sem_init(&attempt->answered, 0, 0);
    attempt->hold.job.done = on_held;
    attempt->hold.hold = (struct ledger_hold){
        .attempt_id = id_of(number),
        .call_id = id_of(number),
        .team_id = (key - 1) / TEAM_KEYS + 1,
        .key_id = key,
        .provider_id = 1,
        .dialect = SPAN("openai-chat"),
        .model = SPAN("m"),
        .input_bound_tokens = input_of(number),
        .output_bound_tokens = output_of(number),
        .amount_nusd = input_of(number) + output_of(number), /* a nano-USD a token */
    };
    attempt->hold.ask = (struct admit_ask){
        .body_bytes = input_of(number), .input_pusd = 1000, .output_pusd = 1000, .choices = 1
    };
    tell("hold %d %d %lld %lld", number, key, (long long)input_of(number),
         (long long)output_of(number));
    status = writer_submit(writer, &attempt->hold.job);
    if (status == TG_OK) {
        await(attempt);
        status = attempt->status;
    }
    attempt->is_held = status == TG_OK;
    if (attempt->is_held)
        tell("held %d", number);
    else if (status == TG_LIMIT_REACHED || status == TG_RATE_LIMITED)
        tell("refused %d", number);
    else
        tell("failed %d %s", number, name_of(status));
}

/* What attempt `number` did use; some nothing. */
static struct ledger_charge charge_of(int number)
{
    static char raw_usage[LEDGER_RAW_USAGE_MAX];
    const int64_t input = number % 9 == 0 ? 0 : input_of(number) - number % 5;
    const int64_t output = number % 9 == 0 ? 0 : output_of(number) / 2;
    struct ledger_charge charge = {
        .attempt_id = id_of(number),
        .call_id = id_of(number),
        .team_id = (key_of(number) - 1) / TEAM_KEYS + 1,
        .key_id = key_of(number),
        .provider_id = 1,
        .dialect = SPAN("openai-chat"),
        .model = SPAN("m"),
        .cost_nusd = input + output,
        .provider_cost_nusd = input + output,
        .hold_nusd = input_of(number) + output_of(number),
        .flags = input + output == 0 ? LEDGER_NOT_SENT : 0,
        .http_status = 200,
    };

    charge.usage.count[TG_INPUT] = input;
    charge.usage.count[TG_OUTPUT] = output;
    charge.usage.prompt_tokens = input;
    memset(raw_usage, ' ', sizeof(raw_usage)); /* so that the log is long enough for a checkpoint */
    charge.raw_usage = span_of(raw_usage, sizeof(raw_usage));
    return charge;
}

static void hand_in(int number)
{
    struct attempt *attempt = &attempts[number];

    ledger_settle_job_init(&attempt->settle, ledger);
    (void)sem_init(&attempt->answered, 0, 0);
    atomic_store(&attempt->answers, 0);
    attempt->settle.job.done = on_settled;
    attempt->settle.job.deferred = on_deferred;
    attempt->settle.charge = charge_of(number);
    tell("settle %d %lld %lld", number, (long long)attempt->settle.charge.usage.count[TG_INPUT],
         (long long)attempt->settle.charge.usage.count[TG_OUTPUT]);
    assert(writer_submit(writer, &attempt->settle.job) == TG_OK);
}

/* Until it is answered, from retry to retry. A job of the writer's makes it look at the clock. */
static void await_settled(int number)
{
    struct attempt *attempt = &attempts[number];

    await(attempt);
    for (int i = 0; i < RETRIES && atomic_load(&attempt->answers) == 0; i++) {
        struct writer_job job = { .class = WRITER_ADMIN, .run = do_nothing };
        struct err err = { "" };

        (void)atomic_fetch_add(&extra_ms, WRITER_RETRY_MS);
        if (writer_call(writer, &job, &err) != TG_OK)
            continue; /* what matters is what becomes of the settlement */
    }
    attempt->is_held = atomic_load(&attempt->answers) > 0 && attempt->status == TG_OK;
    if (!attempt->is_held)
        tell("lost %d", number);
    else
        tell("%s %d", attempt->settle.was_settled_before ? "repeated" : "settled", number);
}

static void settle(int number)
{
    if (!attempts[number].is_held)
        return;
    hand_in(number);
    await_settled(number);
}

/* --- several in one batch -----------------------------------------------------------------------
 */

static sem_t all_in;

static enum tg_status wait_until_all_are_in(struct writer_job *job, struct db *of, struct err *err)
{
    while (sem_wait(&all_in) != 0)
        ;
    return do_nothing(job, of, err);
}

static void forget(struct writer_job *job, enum tg_status status)
{
    (void)job;
    (void)status;
}

static void settle_together(int first, int count)
{
    static struct writer_job doorman = { .class = WRITER_ADMIN,
                                         .run = wait_until_all_are_in,
                                         .done = forget };

    (void)sem_init(&all_in, 0, 0);
    assert(writer_submit(writer, &doorman) == TG_OK);
    for (int i = first; i < first + count; i++) {
        if (attempts[i].is_held)
            hand_in(i);
    }
    (void)sem_post(&all_in);
    for (int i = first; i < first + count; i++) {
        if (attempts[i].is_held)
            await_settled(i);
    }
}

/* --- limits and corrections ---------------------------------------------------------------------
 */

struct script_limit {
    const char *metric_name; /* as it is told */
    enum limit_scope scope;
    const char *scope_id;
    enum limit_metric metric;
    enum period_window window;
    int64_t amount;
    int first_key, last_key;
};

/* In order of their rows. All but the first turn some away. */
static const struct script_limit limits[] = {
    { "tokens", LIMIT_ORGANIZATION, "", LIMIT_TOTAL_TOKENS, PERIOD_MONTH, 1000000, 1, 9 },
    { "tokens", LIMIT_TEAM, "team_1", LIMIT_TOTAL_TOKENS, PERIOD_TOTAL, 900, 1, 4 },
    { "cost", LIMIT_TEAM, "team_2", LIMIT_COST, PERIOD_TOTAL, 700, 5, 8 },
    { "requests", LIMIT_KEY, "key_7", LIMIT_REQUESTS, PERIOD_TOTAL, 4, 7, 7 },
    { "parallel", LIMIT_KEY, "key_1", LIMIT_PARALLEL, PERIOD_TOTAL, 1, 1, 1 },
};
#define LIMITS ((int)(sizeof(limits) / sizeof(limits[0])))

static char limit_ids[LIMITS][ID_TEXT_SIZE];

static void make_limit(int row)
{
    const struct script_limit *limit = &limits[row - 1];
    struct limit_job job;
    struct err err = { "" };
    enum tg_status status;

    limit_job_init(&job, LIMIT_CREATE, admit);
    job.input = (struct limit_input){
        .scope = limit->scope,
        .scope_id = span_from(limit->scope_id),
        .metric = limit->metric,
        .has_window = limit->metric != LIMIT_PARALLEL,
        .rule = { .window = limit->window, .week_start = 1, .anchor_day = 1 },
        .has_amount = true,
        .amount = limit->amount,
        .has_may_clamp = limit->metric == LIMIT_COST,
    };
    status = account_call(writer, &job.account, &err);
    if (status != TG_OK || job.after.id != row) {
        (void)fprintf(stderr, "limit %d: %s %s\n", row, name_of(status), err.text);
        exit(EXIT_FAILURE);
    }
    limit_job_fini(&job);
    tell("limit %d %s %d-%d %lld", row, limit->metric_name, limit->first_key, limit->last_key,
         (long long)limit->amount);
}

static enum tg_status note_id(void *context, const struct limit *limit)
{
    (void)context;
    memcpy(limit_ids[limit->id - 1], limit->public_id, ID_TEXT_SIZE);
    return TG_OK;
}

static void set_amount(int row, int64_t amount)
{
    struct limit_job job;
    struct err err = { "" };
    enum tg_status status;

    limit_job_init(&job, LIMIT_UPDATE, admit);
    job.public_id = span_from(limit_ids[row - 1]);
    job.input.has_amount = true;
    job.input.amount = amount;
    tell("amount %d %lld", row, (long long)amount);
    status = account_call(writer, &job.account, &err);
    limit_job_fini(&job);
    if (status == TG_OK)
        tell("changed %d", row);
    else
        tell("unchanged %d %s", row, name_of(status));
}

/* Take back all of it, or leave it a nano-USD a token of its input. */
static void reconcile(int number, bool is_release)
{
    const int64_t held = input_of(number) + output_of(number);
    struct ledger_reconcile_job job;
    struct err err = { "" };
    enum tg_status status;

    ledger_reconcile_job_init(&job, ledger);
    job.charge_id = id_of(number);
    job.adjustment_id = id_of(OF_ADJUST + number);
    job.action = is_release ? LEDGER_RECONCILE_RELEASE : LEDGER_RECONCILE_AMOUNT;
    job.amount_nusd = is_release ? 0 : input_of(number);
    tell("reconcile %d %lld %lld", number, is_release ? (long long)held : 0,
         (long long)(held - job.amount_nusd));
    status = writer_call(writer, &job.job, &err);
    if (status == TG_OK)
        tell("reconciled %d", number);
    else
        tell("unreconciled %d %s", number, name_of(status));
}

/* --- what is there ------------------------------------------------------------------------------
 */

static void must(enum tg_status status, const struct err *err)
{
    if (status == TG_OK)
        return;
    (void)fprintf(stderr, "%s %s\n", name_of(status), err->text);
    exit(EXIT_FAILURE);
}

static void say_charges(struct db *reader)
{
    static const char sql[] =
        "SELECT id, coalesce(adjusts_id, 0), key_id, input + output, cost_nusd, outcome "
        "FROM charge ORDER BY id /* scan */";
    struct stmt stmt = { 0 };
    struct err err = { "" };
    bool has_row = false;

    must(stmt_prepare(&stmt, reader, sql, &err), &err);
    for (;;) {
        must(stmt_step(&stmt, &has_row, &err), &err);
        if (!has_row)
            break;
        tell("charge %lld %lld %lld %lld %lld %lld", number_of(stmt_int(&stmt, 0)),
             stmt_int(&stmt, 1) == 0 ? 0 : number_of(stmt_int(&stmt, 1)),
             (long long)stmt_int(&stmt, 2), (long long)stmt_int(&stmt, 3),
             (long long)stmt_int(&stmt, 4), (long long)stmt_int(&stmt, 5));
    }
    stmt_fini(&stmt);
}

static void say_counts(void)
{
    for (int row = 1; row <= LIMITS; row++) {
        struct admit_count count = { 0 };
        const struct admit_look_query query = { .limit_id = row, .counts = &count, .cap = 1 };
        struct err err = { "" };
        int found = 0;

        must(admit_look(admit, writer, &query, &found, &err), &err);
        assert(found == 1);
        tell("count %d %lld %lld %lld", row, (long long)count.spent, (long long)count.held,
             (long long)count.amount);
    }
}

static void say_all(void)
{
    struct ledger_verdict verdict = { 0 };
    struct err err = { "" };
    struct db *reader = NULL;

    tell("begin");
    must(db_open(path, DB_READ, &reader, &err), &err);
    say_charges(reader);
    must(ledger_verify(reader, &verdict, &err), &err);
    db_close(reader);
    say_counts();
    tell("verdict %lld %lld %lld %lld", (long long)verdict.differences,
         (long long)verdict.double_ended, (long long)verdict.out_of_range,
         (long long)verdict.open_holds);
    tell("end");
}

/* --- the modes ----------------------------------------------------------------------------------
 */

static enum tg_status insert_people(struct writer_job *job, struct db *of, struct err *err)
{
    static const char text[] =
        "INSERT INTO team (id, public_id, name, created_ms) VALUES (1, 'team_1', 'one', 1), "
        "(2, 'team_2', 'two', 1), (3, 'team_3', 'three', 1);"
        "INSERT INTO \"key\" (id, public_id, team_id, name, prefix, created_ms) VALUES "
        "(1, 'key_1', 1, 'a', 'tgk_a', 1), (2, 'key_2', 1, 'b', 'tgk_b', 1), "
        "(3, 'key_3', 1, 'c', 'tgk_c', 1), (4, 'key_4', 1, 'd', 'tgk_d', 1), "
        "(5, 'key_5', 2, 'a', 'tgk_e', 1), (6, 'key_6', 2, 'b', 'tgk_f', 1), "
        "(7, 'key_7', 2, 'c', 'tgk_g', 1), (8, 'key_8', 2, 'd', 'tgk_h', 1), "
        "(9, 'key_9', 3, 'a', 'tgk_i', 1);";

    (void)job;
    return stmt_run_script(of, text, err);
}

static void make_template(void)
{
    struct writer_job people = { .class = WRITER_ADMIN, .run = insert_people };
    struct err err = { "" };

    start();
    must(writer_call(writer, &people, &err), &err);
    for (int row = 1; row <= LIMITS; row++)
        make_limit(row);
    for (int i = 1; i <= EARLIER; i++)
        hold(i);
    stop(); /* their holds stay, and are recovered */
    start();
    stop();
}

static bool stays_open(int number)
{
    return number == 16 || number == 22;
}

/* Who waits for it may trace the ledger's thread from here on. */
static void say_ready(void)
{
    char byte;

    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    tell("ready");
    while (read(STDIN_FILENO, &byte, 1) < 0)
        ;
}

/* Up to four are open at a time. */
static void play(void)
{
    const int first = EARLIER + 1;
    const int last = EARLIER + ATTEMPTS;
    struct err err = { "" };

    start();
    must(limit_each(db, note_id, NULL, &err), &err); /* before the writer has anything to do */
    say_ready();
    for (int i = first; i <= last; i++) {
        hold(i);
        if (i - 3 >= first && i <= last - BURST && !stays_open(i - 3))
            settle(i - 3);
        if (i % 7 == 0 && i - 4 >= first)
            settle(i - 4); /* once more */
        if (i == 12)
            set_amount(2, 1700);
        if (i == 18)
            set_amount(3, 1200);
        if (i == 20)
            reconcile(1, /* is_release= */ true);
        if (i == 24)
            reconcile(2, /* is_release= */ false);
    }
    settle_together(last - BURST - 2, BURST);
    settle(last);
    stop();
}

static void settle_all_again(void)
{
    for (int i = EARLIER + 1; i <= EARLIER + ATTEMPTS; i++) {
        struct ledger_settle_job *job = &attempts[i].settle;

        if (!attempts[i].is_held)
            continue;
        hand_in(i);
        await_settled(i);
        assert(job->was_settled_before);
    }
}

static enum tg_status note_charged(struct db *reader, struct err *err)
{
    struct stmt stmt = { 0 };
    enum tg_status status =
        stmt_prepare(&stmt, reader, "SELECT id FROM charge WHERE kind = 0 /* scan */", err);
    bool has_row = true;

    while (status == TG_OK && has_row) {
        status = stmt_step(&stmt, &has_row, err);
        if (status == TG_OK && has_row)
            attempts[number_of(stmt_int(&stmt, 0))].is_held = true;
    }
    stmt_fini(&stmt);
    return status;
}

static void check(void)
{
    struct err err = { "" };
    struct db *reader = NULL;

    start();
    must(db_open(path, DB_READ, &reader, &err), &err);
    must(note_charged(reader, &err), &err);
    db_close(reader);
    say_all();
    settle_all_again();
    say_all();
    hold(LATE);
    settle(LATE);
    say_all();
    stop();
}

static void recover(void)
{
    start();
    stop();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {
        { "template", make_template }, { "run", play }, { "recover", recover }, { "check", check }
    };

    if (argc != 3)
        return USAGE;
    clock_use(&script_clock);
    (void)snprintf(path, sizeof(path), "%s/tollgate.db", argv[2]);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(argv[1], modes[i].name) == 0) {
            modes[i].run();
            return DONE;
        }
    }
    return USAGE;
}
