#include "quota/admit.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/try.h"
#include "policy/calendar.h"
#include "quota/balance.h"
#include "quota/decide.h"
#include "quota/learned.h"
#include "quota/refusal.h"
#include "quota/tally.h"
#include "store/stmt.h"
#include "store/txn.h"

#include <assert.h>
#include <stdlib.h>

#define RELOAD_EVERY_US  INT64_C(1000000)
#define LESSONS_AT_START 20000 /* of the newest charges */

/* The periods of one rule in one zone, shared by the limits that have them. */
struct shared_calendar {
    struct list node;
    char timezone[ACCOUNT_TIMEZONE_SIZE];
    struct period_rule rule;
    struct calendar *calendar;
};

struct admit {
    struct writer_hook hook;
    struct ledger_watcher watcher;
    struct db *db; /* the writer's */
    struct ledger *ledger;
    struct balance *balance;
    struct learned learned;
    struct refusal_store refusals;
    struct list calendars; /* of struct shared_calendar */
    struct stmt insert_event;
    int64_t newest_ms; /* of the attempts so far: the clock may have been set back since */
    bool is_stale;     /* the counts are not what the book says: nothing is admitted */
    int64_t reload_at_us;
};

static const char insert_event_sql[] =
    "INSERT INTO limit_event (limit_id, key_id, period_start_ms, threshold, amount, spent, at_ms) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
    "ON CONFLICT (limit_id, key_id, period_start_ms, threshold) DO NOTHING";
static const char newest_sql[] = "SELECT coalesce(max(id), 0) FROM charge";
static const char lessons_sql[] =
    "SELECT provider_id, (SELECT name FROM dimension AS d WHERE d.id = model_id), prompt_tokens, "
    "request_bytes FROM (SELECT * FROM charge ORDER BY id DESC LIMIT ?1) "
    "WHERE kind = 0 AND source = 0 AND request_bytes >= ?2 ORDER BY id /* scan */";

static struct admit *of_hook(struct writer_hook *hook)
{
    return (struct admit *)((char *)hook - offsetof(struct admit, hook));
}

int64_t admit_now_ms(const struct admit *admit)
{
    const int64_t now_ms = clock_wall_ms();

    return admit != NULL && admit->newest_ms > now_ms ? admit->newest_ms : now_ms;
}

static enum tg_status find_newest(struct admit *admit, struct db *db, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    int64_t newest_id = 0;

    TRY(stmt_prepare(&stmt, db, newest_sql, err));
    TRY(stmt_run_int(&stmt, &newest_id, err));
    admit->newest_ms = id_wall_ms(newest_id);
    return TG_OK;
}

/* --- calendars ----------------------------------------------------------------------------------
 */

static bool same_rule(const struct period_rule *a, const struct period_rule *b)
{
    return a->window == b->window && a->week_start == b->week_start &&
           a->anchor_day == b->anchor_day;
}

static struct shared_calendar *find_calendar(const struct admit *admit, const struct limit *limit)
{
    for (struct list *node = admit->calendars.next; node != &admit->calendars; node = node->next) {
        struct shared_calendar *shared = LIST_ENTRY(node, struct shared_calendar, node);

        if (strcmp(shared->timezone, limit->timezone) == 0 &&
            same_rule(&shared->rule, &limit->rule))
            return shared;
    }
    return NULL;
}

/* The calendar of a limit, opened where no limit has had it yet. Inside a transaction. */
static enum tg_status calendar_of(struct admit *admit, struct db *db, const struct limit *limit,
                                  const struct calendar **ret_calendar, struct err *err)
{
    const struct calendar_choice choice = { limit->timezone, &limit->rule };
    struct shared_calendar *shared = find_calendar(admit, limit);
    enum tg_status status;

    if (shared != NULL) {
        *ret_calendar = shared->calendar;
        return TG_OK;
    }
    shared = calloc(1, sizeof(*shared));
    if (shared == NULL)
        return TG_NO_MEMORY;
    memcpy(shared->timezone, limit->timezone, sizeof(shared->timezone));
    shared->rule = limit->rule;
    status = calendar_open(db, &choice, admit_now_ms(admit), &shared->calendar, err);
    if (status != TG_OK) {
        free(shared);
        return status;
    }
    list_push_back(&admit->calendars, &shared->node);
    *ret_calendar = shared->calendar;
    return TG_OK;
}

static void free_calendars(struct admit *admit)
{
    struct list *node;

    while ((node = list_pop_front(&admit->calendars)) != NULL) {
        struct shared_calendar *shared = LIST_ENTRY(node, struct shared_calendar, node);

        calendar_free(shared->calendar);
        free(shared);
    }
}

/* --- loading ------------------------------------------------------------------------------------
 */

/* A load under way. */
struct loading {
    struct admit *admit;
    struct db *db;
    struct balance *balance;
    struct err *err;
    int64_t now_ms;
    int64_t *starts; /* of the current periods, each once; as many as there are limits at most */
    int start_count;
    int32_t limit_id; /* 0: all */
    int64_t start_ms; /* of the tally under way */
};

static enum tg_status note_start(struct loading *loading, int64_t start_ms)
{
    int64_t *starts;

    for (int i = 0; i < loading->start_count; i++) {
        if (loading->starts[i] == start_ms)
            return TG_OK;
    }
    starts = realloc(loading->starts, ((size_t)loading->start_count + 1) * sizeof(starts[0]));
    if (starts == NULL)
        return TG_NO_MEMORY;
    starts[loading->start_count++] = start_ms;
    loading->starts = starts;
    return TG_OK;
}

static enum tg_status load_limit(void *context, const struct limit *limit)
{
    struct loading *loading = context;
    const struct calendar *calendar;
    struct period current;

    TRY(calendar_of(loading->admit, loading->db, limit, &calendar, loading->err));
    TRY(balance_put(loading->balance, limit, calendar, loading->now_ms));
    calendar_at(calendar, loading->now_ms, &current);
    return limit->metric == LIMIT_PARALLEL ? TG_OK : note_start(loading, current.start_ms);
}

static enum tg_status seed_row(void *context, const struct tally_row *row)
{
    const struct loading *loading = context;
    const struct balance_past past = {
        .limit_id = loading->limit_id,
        .start_ms = loading->start_ms,
        .now_ms = loading->now_ms,
        .team_id = row->team_id,
        .key_id = row->key_id,
        .model = row->model,
        .spent = row->spent,
        .unreconciled = row->unreconciled,
    };

    return balance_seed(loading->balance, &past);
}

static enum tg_status seed_all(struct loading *loading)
{
    for (int i = 0; i < loading->start_count; i++) {
        loading->start_ms = loading->starts[i];
        TRY(tally_since(loading->db, loading->start_ms, seed_row, loading, loading->err));
    }
    return TG_OK;
}

/* Every limit, and what the book says of it, into a balance that is empty. Not in a batch. */
static enum tg_status load_all(struct admit *admit, struct db *db, struct balance *balance,
                               struct err *err)
{
    AUTO(txn) txn = { 0 };
    struct loading loading = {
        .admit = admit,
        .db = db,
        .balance = balance,
        .err = err,
        .now_ms = admit_now_ms(admit),
    };
    enum tg_status status;

    TRY(txn_begin(&txn, db, err));
    status = limit_each(db, load_limit, &loading, err);
    if (status == TG_OK)
        status = seed_all(&loading);
    free(loading.starts);
    TRY(status);
    return txn_commit(&txn, err);
}

static enum tg_status learn_from_past(struct admit *admit, struct db *db, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = false;

    TRY(stmt_prepare(&stmt, db, lessons_sql, err));
    stmt_bind_int(&stmt, 1, LESSONS_AT_START);
    stmt_bind_int(&stmt, 2, LEARNED_BYTES_MIN);
    for (;;) {
        struct learned_call call = { 0 };

        TRY(stmt_step(&stmt, &has_row, err));
        if (!has_row)
            return TG_OK;
        call.provider_id = (int32_t)stmt_int(&stmt, 0);
        call.model = stmt_text(&stmt, 1);
        call.body_bytes = stmt_int(&stmt, 3);
        learned_note(&admit->learned, &call, stmt_int(&stmt, 2));
    }
}

/* Whether a failure has made counts wrong. */
static bool is_unsure(const struct admit *admit)
{
    return admit->is_stale || balance_is_broken(admit->balance);
}

/* Put right what a failure has made wrong. */
static void reload_if_due(struct admit *admit)
{
    const int64_t now_us = clock_monotonic_us();
    struct balance *fresh = NULL;
    struct err err = { "" };
    enum tg_status status;

    if (!is_unsure(admit))
        return;
    admit->is_stale = true;
    if (now_us < admit->reload_at_us)
        return;
    admit->reload_at_us = now_us + RELOAD_EVERY_US;
    status = balance_new(&fresh);
    if (status == TG_OK)
        status = load_all(admit, admit->db, fresh, &err);
    if (status == TG_OK)
        status = balance_take_holds(fresh, admit->balance);
    if (status != TG_OK) {
        balance_free(fresh);
        log_event(LOG_ERROR, "limits cannot be loaded",
                  LOG_FS("status", tg_status_info(status)->name), LOG_FS("why", err.text));
        return;
    }
    balance_free(admit->balance);
    admit->balance = fresh;
    admit->is_stale = false;
    log_event(LOG_INFO, "limits loaded anew");
}

/* --- a batch's fate -----------------------------------------------------------------------------
 */

static enum tg_status write_event(struct admit *admit, const struct balance_event *event,
                                  struct err *err)
{
    struct stmt *stmt = &admit->insert_event;

    stmt_bind_int(stmt, 1, event->limit_id);
    stmt_bind_int(stmt, 2, event->key_id);
    stmt_bind_int(stmt, 3, event->period_start_ms);
    stmt_bind_int(stmt, 4, event->threshold);
    stmt_bind_int(stmt, 5, event->amount);
    stmt_bind_int(stmt, 6, event->spent);
    stmt_bind_int(stmt, 7, clock_wall_ms());
    TRY(stmt_run(stmt, err));
    if (stmt_changes(stmt) == 1)
        log_event(LOG_WARN, "limit threshold reached", LOG_FS("limit", event->limit->public_id),
                  LOG_FI("percent", event->threshold), LOG_FI("amount", event->amount),
                  LOG_FI("spent", event->spent));
    return TG_OK;
}

static enum tg_status on_before_commit(struct writer_hook *hook, struct db *db, struct err *err)
{
    struct admit *admit = of_hook(hook);
    struct balance_event event;

    (void)db;
    while (balance_next_event(admit->balance, &event))
        TRY(write_event(admit, &event, err));
    return refusal_write(&admit->refusals, err);
}

static void on_committed(struct writer_hook *hook)
{
    struct admit *admit = of_hook(hook);

    balance_committed(admit->balance);
    refusal_committed(&admit->refusals);
    reload_if_due(admit);
}

static void on_rolled_back(struct writer_hook *hook)
{
    struct admit *admit = of_hook(hook);

    balance_rolled_back(admit->balance);
    refusal_rolled_back(&admit->refusals);
}

static void on_closing(struct writer_hook *hook)
{
    struct admit *admit = of_hook(hook);

    refusal_store_close(&admit->refusals);
    stmt_fini(&admit->insert_event);
}

/* --- postings -----------------------------------------------------------------------------------
 */

static bool is_above(const struct ledger_amounts *actual, const struct ledger_amounts *held)
{
    return actual->cost_nusd > held->cost_nusd || actual->input_tokens > held->input_tokens ||
           actual->output_tokens > held->output_tokens;
}

static void learn(struct admit *admit, const struct ledger_posting *posting, int64_t added_tokens)
{
    const struct learned_call call = {
        .provider_id = posting->provider_id,
        .model = posting->model,
        .body_bytes = posting->request_bytes,
        .added_tokens = added_tokens,
    };

    if (posting->source == LEDGER_SOURCE_PROVIDER)
        learned_note(&admit->learned, &call, posting->prompt_tokens);
}

static void on_posting(struct ledger_watcher *watcher, const struct ledger_posting *posting)
{
    struct admit *admit = (struct admit *)((char *)watcher - offsetof(struct admit, watcher));
    struct balance_held held;

    if (!balance_post(admit->balance, posting, &held))
        return;
    learn(admit, posting, held.added_tokens);
    if (is_above(&posting->amounts, &held.need.used))
        log_event(LOG_WARN, "overrun: the provider billed more than was set aside",
                  LOG_F("model", posting->model), LOG_FI("held_nusd", held.need.used.cost_nusd),
                  LOG_FI("cost_nusd", posting->amounts.cost_nusd),
                  LOG_FI("held_input_tokens", held.need.used.input_tokens),
                  LOG_FI("input_tokens", posting->amounts.input_tokens),
                  LOG_FI("held_output_tokens", held.need.used.output_tokens),
                  LOG_FI("output_tokens", posting->amounts.output_tokens));
}

/* --- life ---------------------------------------------------------------------------------------
 */

enum tg_status admit_open(struct db *db, struct ledger *ledger, struct admit **ret_admit,
                          struct err *err)
{
    struct admit *admit = calloc(1, sizeof(*admit));
    enum tg_status status;

    if (admit == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for the limits");
    admit->db = db;
    admit->ledger = ledger;
    admit->hook = (struct writer_hook){
        .before_commit = on_before_commit,
        .committed = on_committed,
        .rolled_back = on_rolled_back,
        .closing = on_closing,
    };
    admit->watcher.on_posting = on_posting;
    list_init(&admit->calendars);
    learned_init(&admit->learned);
    status = refusal_store_open(&admit->refusals, db, ledger, err);
    if (status == TG_OK)
        status = stmt_prepare(&admit->insert_event, db, insert_event_sql, err);
    if (status == TG_OK)
        status = find_newest(admit, db, err);
    if (status == TG_OK)
        status = balance_new(&admit->balance);
    if (status == TG_OK)
        status = load_all(admit, db, admit->balance, err);
    if (status == TG_OK)
        status = learn_from_past(admit, db, err);
    if (status != TG_OK) {
        admit_close(admit);
        return status;
    }
    *ret_admit = admit;
    return TG_OK;
}

void admit_attach(struct admit *admit, struct writer *writer)
{
    ledger_watch(admit->ledger, &admit->watcher);
    writer_add_hook(writer, &admit->hook);
}

void admit_close(struct admit *admit)
{
    if (admit == NULL)
        return;
    stmt_fini(&admit->insert_event);
    refusal_store_fini(&admit->refusals);
    learned_fini(&admit->learned);
    balance_free(admit->balance);
    free_calendars(admit);
    free(admit);
}

/* --- the job ------------------------------------------------------------------------------------
 */

static enum tg_status run_admit(struct writer_job *writer_job, struct db *db, struct err *err)
{
    struct admit_job *job = (struct admit_job *)writer_job;
    struct admit *admit = job->admit;
    struct deciding deciding = decide_begin(job, admit->balance, &admit->learned);
    enum tg_status status;

    (void)db;
    if (is_unsure(admit))
        return TG_LEDGER_UNAVAILABLE;
    status = decide(&deciding);
    if (status == TG_LIMIT_REACHED || status == TG_UNPRICED) {
        const struct refusal refusal = decide_refusal(&deciding, status);

        refusal_note(&admit->refusals, &refusal);
    }
    if (status != TG_OK)
        return decide_explain(&deciding, status);
    status = balance_hold(admit->balance, &deciding.call, &deciding.need, job->ask.added_tokens);
    if (status != TG_OK)
        return status == TG_CONFLICT ? TG_INTERNAL : TG_OVERLOADED;
    if (id_wall_ms(job->hold.attempt_id) > admit->newest_ms)
        admit->newest_ms = id_wall_ms(job->hold.attempt_id);
    decide_keep(&deciding);
    status = ledger_post_hold(admit->ledger, &job->hold, err);
    if (status != TG_OK)
        return TG_IO; /* the balance has it: the batch goes back as a whole */
    return decide_tell_rates(&deciding);
}

void admit_job_init(struct admit_job *job, struct admit *admit)
{
    *job = (struct admit_job){ .admit = admit };
    job->job.class = WRITER_HOLD;
    job->job.run = run_admit;
}

/* --- limits come and go -------------------------------------------------------------------------
 */

static enum tg_status count_limit(struct admit *admit, struct db *db, const struct limit *limit,
                                  struct err *err)
{
    AUTO(txn) txn = { 0 };
    struct loading loading = {
        .admit = admit,
        .db = db,
        .balance = admit->balance,
        .err = err,
        .now_ms = admit_now_ms(admit),
        .limit_id = limit->id,
    };
    enum tg_status status;

    TRY(txn_begin(&txn, db, err));
    status = load_limit(&loading, limit);
    if (status == TG_OK)
        status = seed_all(&loading);
    free(loading.starts);
    TRY(status);
    return txn_commit(&txn, err);
}

enum tg_status admit_put_limit(struct admit *admit, struct db *db, const struct limit *limit,
                               struct err *err)
{
    enum tg_status status;

    if (!balance_has(admit->balance, limit->id)) {
        status = count_limit(admit, db, limit, err);
    } else {
        const struct shared_calendar *shared = find_calendar(admit, limit);

        assert(shared != NULL); /* it was counted before */
        status = balance_put(admit->balance, limit, shared->calendar, admit_now_ms(admit));
    }
    if (status != TG_OK)
        admit->is_stale = true;
    return status;
}

void admit_remove_limit(struct admit *admit, int32_t limit_id)
{
    balance_remove(admit->balance, limit_id);
}

/* --- looking ------------------------------------------------------------------------------------
 */

struct looking {
    struct writer_job job; /* first */
    struct admit *admit;
    int32_t limit_id;
    int32_t key_id;
    struct admit_count *counts;
    int cap;
    int count;
};

static struct admit_count plain(const struct balance_count *count)
{
    const bool resets = count->limit->has_window && count->limit->rule.window != PERIOD_TOTAL;

    return (struct admit_count){
        .limit_id = count->limit->id,
        .key_id = count->key_id,
        .period_start_ms = count->period.start_ms,
        .resets_at_ms = resets ? count->period.end_ms : 0,
        .amount = count->amount,
        .spent = count->spent,
        .held = count->held,
        .unreconciled = count->unreconciled,
    };
}

static void keep_count(void *context, const struct balance_count *count)
{
    struct looking *looking = context;

    if (looking->count == looking->cap ||
        (looking->key_id != 0 && count->key_id != 0 && count->key_id != looking->key_id))
        return;
    looking->counts[looking->count++] = plain(count);
}

static enum tg_status run_look(struct writer_job *job, struct db *db, struct err *err)
{
    struct looking *looking = (struct looking *)job;

    (void)db;
    looking->count = 0;
    if (is_unsure(looking->admit))
        return err_set(err, TG_LEDGER_UNAVAILABLE, "the limits are being loaded anew");
    if (!balance_look(looking->admit->balance, looking->limit_id, admit_now_ms(looking->admit),
                      keep_count, looking))
        return err_set(err, TG_NOT_FOUND, "there is no such limit");
    return TG_OK;
}

enum tg_status admit_look(struct admit *admit, struct writer *writer,
                          const struct admit_look_query *query, int *ret_count, struct err *err)
{
    struct looking looking = {
        .job = { .class = WRITER_ADMIN, .run = run_look },
        .admit = admit,
        .limit_id = query->limit_id,
        .key_id = query->key_id,
        .counts = query->counts,
        .cap = query->cap,
    };

    TRY(writer_call(writer, &looking.job, err));
    *ret_count = looking.count;
    return TG_OK;
}

struct each {
    admit_on_count *on_count;
    void *context;
};

static void hand_out(void *context, const struct balance_count *count)
{
    const struct each *each = context;
    const struct admit_count out = plain(count);

    each->on_count(each->context, count->limit, &out);
}

void admit_each_count(struct admit *admit, int32_t team_id, int32_t key_id,
                      admit_on_count *on_count, void *context)
{
    struct each each = { on_count, context };

    balance_look_key(admit->balance, team_id, key_id, admit_now_ms(admit), hand_out, &each);
}

struct trying {
    struct writer_job job; /* first */
    struct admit_job *of;
    enum tg_status verdict;
};

static enum tg_status run_try(struct writer_job *job, struct db *db, struct err *err)
{
    struct trying *trying = (struct trying *)job;
    const struct admit *admit = trying->of->admit;
    struct deciding deciding = decide_begin(trying->of, admit->balance, &admit->learned);

    (void)db;
    (void)err;
    if (is_unsure(admit))
        return TG_LEDGER_UNAVAILABLE;
    trying->verdict = decide_explain(&deciding, decide(&deciding));
    if (trying->verdict == TG_OK)
        decide_keep(&deciding);
    return TG_OK;
}

enum tg_status admit_try(struct admit_job *job, struct writer *writer, struct err *err)
{
    struct trying trying = { .job = { .class = WRITER_ADMIN, .run = run_try }, .of = job };

    TRY(writer_call(writer, &trying.job, err));
    return trying.verdict;
}

/* --- upkeep -------------------------------------------------------------------------------------
 */

static enum tg_status run_upkeep(struct writer_job *job, struct db *db, struct err *err)
{
    const struct admit_upkeep_job *upkeep = (const struct admit_upkeep_job *)job;
    const struct admit *admit = upkeep->admit;

    for (struct list *node = admit->calendars.next; node != &admit->calendars; node = node->next)
        TRY(calendar_extend(db, LIST_ENTRY(node, struct shared_calendar, node)->calendar,
                            admit_now_ms(admit), err));
    return TG_OK;
}

void admit_upkeep_job_init(struct admit_upkeep_job *job, struct admit *admit)
{
    *job = (struct admit_upkeep_job){ .admit = admit };
    job->job.class = WRITER_ADMIN;
    job->job.run = run_upkeep;
}
