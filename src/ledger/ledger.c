#include "ledger/ledger.h"

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/try.h"
#include "ledger/charge.h"
#include "ledger/dimension.h"
#include "ledger/hold.h"
#include "ledger/rollup.h"
#include "store/stmt.h"
#include "store/txn.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define RATES_TEXT_MAX 4096

struct ledger {
    struct writer_hook hook;
    struct dimension names;
    struct dimension rate_sets;
    struct hold_store holds;
    struct charge_store charges;
    struct rollup rollup;
    struct stmt find_name;
    struct ledger_watcher *watcher;
    struct ledger_stats pending; /* of the open batch */
    _Atomic(int64_t) charge_count;
    _Atomic(int64_t) repeat_count;
    _Atomic(int64_t) contradicted_count;
    _Atomic(int64_t) lost_count;
};

static const char last_id_sql[] = "SELECT max(coalesce((SELECT max(id) FROM charge), 0), "
                                  "coalesce((SELECT max(id) FROM hold), 0))";
static const char find_name_sql[] = "SELECT name FROM dimension WHERE id = ?1";
static const char clear_holds_sql[] = "DELETE FROM hold /* scan */";

static const char *const outcome_names[] = {
    [LEDGER_OUTCOME_OK] = "ok",
    [LEDGER_OUTCOME_UPSTREAM_ERROR] = "upstream_error",
    [LEDGER_OUTCOME_CLIENT_GONE] = "client_gone",
    [LEDGER_OUTCOME_UNRECONCILED] = "unreconciled",
    [LEDGER_OUTCOME_REFUSED] = "refused",
};

static const char *const source_names[] = {
    [LEDGER_SOURCE_PROVIDER] = "provider", [LEDGER_SOURCE_ESTIMATED] = "estimated",
    [LEDGER_SOURCE_CEILING] = "ceiling",   [LEDGER_SOURCE_UNRECONCILED] = "unreconciled",
    [LEDGER_SOURCE_MANUAL] = "manual",
};

const char *ledger_outcome_name(enum ledger_outcome outcome)
{
    return outcome_names[outcome];
}

const char *ledger_source_name(enum ledger_source source)
{
    return source_names[source];
}

static int64_t cut(int64_t value, int64_t max)
{
    if (value < 0)
        return 0;
    return value > max ? max : value;
}

/* What the table would turn down, and with it the bill. */
static bool is_complete(const struct charge_row *row)
{
    return row->id > 0 && row->team_id > 0 && row->key_id > 0 && row->provider_id > 0 &&
           row->dialect_id > 0 && row->model_id > 0 && row->cost_nusd >= 0 &&
           row->provider_cost_nusd >= 0 && row->hold_nusd >= 0;
}

/* The number of a name; 0 for an empty one. */
static enum tg_status name_id(struct ledger *ledger, struct span name, int64_t *ret_id,
                              struct err *err)
{
    if (name.len == 0) {
        *ret_id = 0;
        return TG_OK;
    }
    return dimension_id(&ledger->names, name, NULL, ret_id, err);
}

/* --- holds ---------------------------------------------------------------------------------------
 */

enum tg_status ledger_name_id(struct ledger *ledger, struct span name, int64_t *ret_id,
                              struct err *err)
{
    return name_id(ledger, name, ret_id, err);
}

void ledger_watch(struct ledger *ledger, struct ledger_watcher *watcher)
{
    assert(ledger->watcher == NULL);
    ledger->watcher = watcher;
}

enum tg_status ledger_post_hold(struct ledger *ledger, const struct ledger_hold *hold,
                                struct err *err)
{
    struct hold_row row = {
        .id = hold->attempt_id,
        .call_id = hold->call_id == hold->attempt_id ? 0 : hold->call_id,
        .team_id = hold->team_id,
        .key_id = hold->key_id,
        .provider_id = hold->provider_id,
        .input_bound = cut(hold->input_bound_tokens, TG_COUNT_MAX),
        .output_bound = cut(hold->output_bound_tokens, TG_COUNT_MAX),
        .amount_nusd = hold->amount_nusd,
        .flags = hold->flags,
    };

    assert(hold->amount_nusd >= 0);
    TRY(name_id(ledger, hold->dialect, &row.dialect_id, err));
    TRY(name_id(ledger, hold->model, &row.model_id, err));
    return hold_insert(&ledger->holds, &row, err);
}

static enum tg_status run_hold(struct writer_job *job, struct db *db, struct err *err)
{
    struct ledger_hold_job *hold_job = (struct ledger_hold_job *)job;

    (void)db;
    return ledger_post_hold(hold_job->ledger, &hold_job->hold, err);
}

void ledger_hold_job_init(struct ledger_hold_job *job, struct ledger *ledger)
{
    *job = (struct ledger_hold_job){ .ledger = ledger };
    job->job.class = WRITER_HOLD;
    job->job.run = run_hold;
}

/* --- charges -------------------------------------------------------------------------------------
 */

struct rates_text {
    const struct ledger_charge *charge;
    struct buf out;
};

static struct span build_rates_text(void *context)
{
    struct rates_text *text = context;
    struct json_writer json;

    json_begin(&json, &text->out);
    json_open_array(&json, NULL);
    for (int i = 0; i < text->charge->rate_count; i++) {
        const struct ledger_rate *rate = &text->charge->rates[i];

        json_open_array(&json, NULL);
        json_string(&json, NULL, tg_class_name(rate->class));
        json_int(&json, NULL, rate->price_id);
        json_int(&json, NULL, rate->unit_price_pusd);
        if (rate->factor_den != 0) {
            json_int(&json, NULL, rate->factor_num);
            json_int(&json, NULL, rate->factor_den);
        }
        json_close_array(&json);
    }
    json_close_array(&json);
    return text->out.failed ? SPAN_EMPTY : buf_span(&text->out);
}

/* The number of the set of prices; 0 where there are none. */
static enum tg_status rate_set_id(struct ledger *ledger, const struct ledger_charge *charge,
                                  int64_t *ret_id, struct err *err)
{
    int64_t key[TG_CLASS_COUNT * 5];
    struct rates_text context = { .charge = charge };
    const struct dimension_text text = { build_rates_text, &context };
    enum tg_status status;
    int at = 0;

    if (charge->rate_count == 0) {
        *ret_id = 0;
        return TG_OK;
    }
    assert(charge->rate_count > 0);
    assert(charge->rate_count <= TG_CLASS_COUNT);
    for (int i = 0; i < charge->rate_count; i++) {
        key[at++] = charge->rates[i].class;
        key[at++] = charge->rates[i].price_id;
        key[at++] = charge->rates[i].unit_price_pusd;
        key[at++] = charge->rates[i].factor_num;
        key[at++] = charge->rates[i].factor_den;
    }
    buf_init(&context.out, RATES_TEXT_MAX);
    status =
        dimension_id(&ledger->rate_sets, span_of((const char *)key, (size_t)at * sizeof(key[0])),
                     &text, ret_id, err);
    if (context.out.failed)
        status = TG_NO_MEMORY;
    buf_fini(&context.out);
    return status;
}

/* Counts that the table would turn down are cut: the bill must be posted. */
static void take_usage(const struct tg_usage *usage, struct charge_row *row)
{
    struct tg_usage *to = &row->usage;

    for (int class = 0; class < TG_CLASS_COUNT; class ++)
        to->count[class] = cut(usage->count[class], TG_COUNT_MAX);
    to->reasoning_tokens = cut(usage->reasoning_tokens, TG_COUNT_MAX);
    if (to->reasoning_tokens < to->count[TG_REASONING])
        to->reasoning_tokens = to->count[TG_REASONING];
    to->prompt_tokens = cut(usage->prompt_tokens, TG_COUNT_MAX);
    if (memcmp(to->count, usage->count, sizeof(to->count)) != 0)
        row->flags |= LEDGER_USAGE_DOUBTFUL;
}

static enum tg_status intern(struct ledger *ledger, const struct ledger_charge *charge,
                             struct charge_row *row, struct err *err)
{
    TRY(name_id(ledger, charge->dialect, &row->dialect_id, err));
    TRY(name_id(ledger, charge->model, &row->model_id, err));
    TRY(name_id(ledger, charge->served_model, &row->served_model_id, err));
    TRY(name_id(ledger, charge->tier, &row->tier_id, err));
    return rate_set_id(ledger, charge, &row->rate_set_id, err);
}

static enum tg_status row_of_charge(struct ledger *ledger, const struct ledger_charge *charge,
                                    struct charge_row *ret_row, struct err *err)
{
    struct charge_row row = {
        .id = charge->attempt_id,
        .call_id = charge->call_id == charge->attempt_id ? 0 : charge->call_id,
        .team_id = charge->team_id,
        .key_id = charge->key_id,
        .provider_id = charge->provider_id,
        .cost_nusd = charge->cost_nusd,
        .provider_cost_nusd = charge->provider_cost_nusd,
        .hold_nusd = charge->hold_nusd,
        .outcome = charge->outcome,
        .source = charge->source,
        .flags = charge->flags,
        .http_status =
            charge->http_status >= 100 && charge->http_status <= 999 ? charge->http_status : 0,
        .ttft_ms = charge->ttft_ms < 0 ? -1 : charge->ttft_ms,
        .total_ms = cut(charge->total_ms, INT32_MAX),
        .request_bytes = cut(charge->request_bytes, INT64_MAX),
        .answer_bytes = cut(charge->answer_bytes, INT64_MAX),
    };

    if (charge->cost_nusd > charge->hold_nusd)
        row.flags |= LEDGER_OVERRUN;
    take_usage(&charge->usage, &row);
    TRY(intern(ledger, charge, &row, err));
    assert(is_complete(&row));
    *ret_row = row;
    return TG_OK;
}

static struct ledger_amounts amounts_of(const struct charge_row *row)
{
    struct rollup_metrics metrics;

    charge_metrics(row, &metrics);
    return (struct ledger_amounts){
        .input_tokens = tg_usage_input_tokens(&row->usage),
        .output_tokens = tg_usage_output_tokens(&row->usage),
        .requests = metrics.value[ROLLUP_REQUESTS],
        .cost_nusd = row->cost_nusd,
    };
}

static struct ledger_amounts negative(struct ledger_amounts amounts)
{
    return (struct ledger_amounts){
        .input_tokens = -amounts.input_tokens,
        .output_tokens = -amounts.output_tokens,
        .requests = -amounts.requests,
        .cost_nusd = -amounts.cost_nusd,
    };
}

/* ended: the unreconciled row that an adjustment ends; NULL: an attempt */
static void tell_watcher(const struct ledger *ledger, const struct charge_row *row,
                         struct span model, const struct charge_row *ended)
{
    struct ledger_posting posting = {
        .attempt_id = row->adjusts_id != 0 ? row->adjusts_id : row->id,
        .is_attempt = row->adjusts_id == 0,
        .team_id = (int32_t)row->team_id,
        .key_id = (int32_t)row->key_id,
        .provider_id = (int32_t)row->provider_id,
        .model = model,
        .amounts = amounts_of(row),
        .prompt_tokens = row->usage.prompt_tokens,
        .request_bytes = row->request_bytes,
        .source = row->source,
    };

    if (ledger->watcher == NULL)
        return;
    if (ended != NULL)
        posting.unreconciled = negative(amounts_of(ended));
    else if (row->outcome == LEDGER_OUTCOME_UNRECONCILED)
        posting.unreconciled = posting.amounts;
    ledger->watcher->on_posting(ledger->watcher, &posting);
}

/* Insert a row that is new and add it to the rollups. */
static enum tg_status post_row(struct ledger *ledger, const struct charge_row *row,
                               bool *ret_is_new, struct err *err)
{
    struct rollup_metrics metrics;
    struct rollup_place place;
    bool is_new = false;

    TRY(charge_insert(&ledger->charges, row, &is_new, err));
    if (is_new) {
        charge_metrics(row, &metrics);
        charge_place(row, &place);
        TRY(rollup_add(&ledger->rollup, &place, &metrics));
    }
    *ret_is_new = is_new;
    return TG_OK;
}

static enum tg_status note_repeat(struct ledger *ledger, const struct charge_row *row,
                                  struct err *err)
{
    struct charge_row first;

    TRY(charge_find(&ledger->charges, row->id, &first, err));
    if (first.cost_nusd == row->cost_nusd)
        ledger->pending.repeats++;
    else
        ledger->pending.contradicted++;
    return TG_OK;
}

enum tg_status ledger_post_charge(struct ledger *ledger, const struct ledger_charge *charge,
                                  bool *ret_was_settled, struct err *err)
{
    struct charge_row row;
    bool was_open = false;
    bool is_new = false;

    TRY(row_of_charge(ledger, charge, &row, err));
    TRY(post_row(ledger, &row, &is_new, err));
    *ret_was_settled = !is_new;
    if (!is_new)
        return note_repeat(ledger, &row, err);
    TRY(hold_remove(&ledger->holds, row.id, &was_open, err));
    TRY(charge_insert_detail(&ledger->charges, charge, err));
    ledger->pending.charges++;
    ledger->pending.lost += was_open ? 0 : 1;
    tell_watcher(ledger, &row, charge->model, NULL);
    return TG_OK;
}

static enum tg_status run_settle(struct writer_job *job, struct db *db, struct err *err)
{
    struct ledger_settle_job *settle = (struct ledger_settle_job *)job;

    (void)db;
    return ledger_post_charge(settle->ledger, &settle->charge, &settle->was_settled_before, err);
}

void ledger_settle_job_init(struct ledger_settle_job *job, struct ledger *ledger)
{
    *job = (struct ledger_settle_job){ .ledger = ledger };
    job->job.class = WRITER_SETTLE;
    job->job.run = run_settle;
}

/* --- corrections ---------------------------------------------------------------------------------
 */

static void take_back(const struct charge_row *old, struct charge_row *row)
{
    for (int class = 0; class < TG_CLASS_COUNT; class ++)
        row->usage.count[class] = -old->usage.count[class];
    row->usage.reasoning_tokens = -old->usage.reasoning_tokens;
    row->usage.prompt_tokens = -old->usage.prompt_tokens;
    row->cost_nusd = -old->cost_nusd;
    row->provider_cost_nusd = -old->provider_cost_nusd;
}

static enum tg_status tell_of_adjustment(struct ledger *ledger, const struct charge_row *row,
                                         const struct charge_row *old, struct err *err)
{
    struct stmt *stmt = &ledger->find_name;
    bool has_row = false;

    stmt_bind_int(stmt, 1, row->model_id);
    TRY(stmt_step(stmt, &has_row, err));
    if (!has_row)
        return err_set(err, TG_CORRUPT, "a charge has a model that has no name");
    tell_watcher(ledger, row, stmt_text(stmt, 0), old);
    stmt_reset(stmt);
    return TG_OK;
}

static enum tg_status run_reconcile(struct writer_job *job, struct db *db, struct err *err)
{
    const struct ledger_reconcile_job *reconcile = (const struct ledger_reconcile_job *)job;
    struct ledger *ledger = reconcile->ledger;
    struct charge_row old;
    struct charge_row row;
    bool is_ended = false;
    bool is_new = false;

    (void)db;
    TRY(charge_find(&ledger->charges, reconcile->charge_id, &old, err));
    TRY(charge_is_ended(&ledger->charges, old.id, &is_ended, err));
    if (old.adjusts_id != 0 || old.outcome != LEDGER_OUTCOME_UNRECONCILED || is_ended)
        return err_set(err, TG_CONFLICT,
                       "the charge is not unreconciled, or was reconciled before");
    row = (struct charge_row){
        .id = reconcile->adjustment_id,
        .call_id = old.call_id != 0 ? old.call_id : old.id,
        .adjusts_id = old.id,
        .team_id = old.team_id,
        .key_id = old.key_id,
        .provider_id = old.provider_id,
        .dialect_id = old.dialect_id,
        .model_id = old.model_id,
        .outcome = LEDGER_OUTCOME_UNRECONCILED, /* what it ends */
        .source = LEDGER_SOURCE_MANUAL,
        .ttft_ms = -1,
    };
    switch (reconcile->action) {
    case LEDGER_RECONCILE_CHARGE:
        break;
    case LEDGER_RECONCILE_RELEASE:
        take_back(&old, &row);
        break;
    case LEDGER_RECONCILE_AMOUNT:
        assert(reconcile->amount_nusd >= 0);
        row.cost_nusd = reconcile->amount_nusd - old.cost_nusd;
        row.provider_cost_nusd = reconcile->amount_nusd - old.provider_cost_nusd;
        break;
    }
    TRY(post_row(ledger, &row, &is_new, err));
    if (!is_new)
        return err_set(err, TG_CONFLICT, "the adjustment's id is in use");
    return tell_of_adjustment(ledger, &row, &old, err);
}

void ledger_reconcile_job_init(struct ledger_reconcile_job *job, struct ledger *ledger)
{
    *job = (struct ledger_reconcile_job){ .ledger = ledger };
    job->job.class = WRITER_ADMIN;
    job->job.run = run_reconcile;
}

static enum tg_status run_expire(struct writer_job *job, struct db *db, struct err *err)
{
    struct ledger_expire_job *expire = (struct ledger_expire_job *)job;

    (void)db;
    return charge_expire_details(&expire->ledger->charges, id_floor_of(expire->before_ms),
                                 LEDGER_EXPIRE_MAX, &expire->deleted, err);
}

void ledger_expire_job_init(struct ledger_expire_job *job, struct ledger *ledger)
{
    *job = (struct ledger_expire_job){ .ledger = ledger };
    job->job.class = WRITER_ADMIN;
    job->job.run = run_expire;
}

/* --- recovery ------------------------------------------------------------------------------------
 */

/* What the attempt did before the process ended is not known: it counts as all that was set aside.
 */
static struct charge_row row_of_open_hold(const struct hold_row *hold)
{
    struct charge_row row = {
        .id = hold->id,
        .call_id = hold->call_id,
        .team_id = hold->team_id,
        .key_id = hold->key_id,
        .provider_id = hold->provider_id,
        .dialect_id = hold->dialect_id,
        .model_id = hold->model_id,
        .cost_nusd = hold->amount_nusd,
        .provider_cost_nusd = hold->amount_nusd,
        .hold_nusd = hold->amount_nusd,
        .outcome = LEDGER_OUTCOME_UNRECONCILED,
        .source = LEDGER_SOURCE_UNRECONCILED,
        .flags = (uint32_t)hold->flags,
        .ttft_ms = -1,
    };

    row.usage.count[TG_INPUT] = hold->input_bound;
    row.usage.count[TG_OUTPUT] = hold->output_bound;
    row.usage.prompt_tokens = hold->input_bound;
    return row;
}

static enum tg_status charge_open_holds(struct ledger *ledger, struct db *db,
                                        int64_t *ret_recovered, struct err *err)
{
    AUTO(stmt) list = { 0 };
    bool has_row = false;

    TRY(hold_list(&list, db, err));
    for (;;) {
        struct hold_row hold;
        struct charge_row row;
        bool is_new = false;

        TRY(stmt_step(&list, &has_row, err));
        if (!has_row)
            return TG_OK;
        hold_read(&list, &hold);
        row = row_of_open_hold(&hold);
        TRY(post_row(ledger, &row, &is_new, err));
        *ret_recovered += is_new ? 1 : 0;
    }
}

static enum tg_status recover(struct ledger *ledger, struct db *db, int64_t *ret_recovered,
                              struct err *err)
{
    AUTO(txn) txn = { 0 };
    AUTO(stmt) clear = { 0 };
    int64_t recovered = 0;

    TRY(txn_begin(&txn, db, err));
    TRY(charge_open_holds(ledger, db, &recovered, err));
    TRY(stmt_prepare(&clear, db, clear_holds_sql, err));
    TRY(stmt_run(&clear, err));
    TRY(rollup_write(&ledger->rollup, err));
    TRY(txn_commit(&txn, err));
    rollup_clear(&ledger->rollup);
    *ret_recovered = recovered;
    return TG_OK;
}

/* --- life ----------------------------------------------------------------------------------------
 */

static void close_statements(struct ledger *ledger)
{
    dimension_close(&ledger->names);
    dimension_close(&ledger->rate_sets);
    hold_store_close(&ledger->holds);
    charge_store_close(&ledger->charges);
    rollup_close(&ledger->rollup);
    stmt_fini(&ledger->find_name);
}

static struct ledger *of_hook(struct writer_hook *hook)
{
    return (struct ledger *)((char *)hook - offsetof(struct ledger, hook));
}

static enum tg_status on_before_commit(struct writer_hook *hook, struct db *db, struct err *err)
{
    (void)db;
    return rollup_write(&of_hook(hook)->rollup, err);
}

static void count_up(_Atomic(int64_t) *counter, int64_t by)
{
    (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static void on_committed(struct writer_hook *hook)
{
    struct ledger *ledger = of_hook(hook);

    rollup_clear(&ledger->rollup);
    dimension_committed(&ledger->names);
    dimension_committed(&ledger->rate_sets);
    count_up(&ledger->charge_count, ledger->pending.charges);
    count_up(&ledger->repeat_count, ledger->pending.repeats);
    count_up(&ledger->contradicted_count, ledger->pending.contradicted);
    count_up(&ledger->lost_count, ledger->pending.lost);
    ledger->pending = (struct ledger_stats){ 0 };
}

static void on_rolled_back(struct writer_hook *hook)
{
    struct ledger *ledger = of_hook(hook);

    rollup_clear(&ledger->rollup);
    dimension_rolled_back(&ledger->names);
    dimension_rolled_back(&ledger->rate_sets);
    ledger->pending = (struct ledger_stats){ 0 };
}

static void on_closing(struct writer_hook *hook)
{
    close_statements(of_hook(hook));
}

static enum tg_status prepare(struct ledger *ledger, struct db *db, struct err *err)
{
    TRY(dimension_init(&ledger->names, db, DIMENSION_NAMES, err));
    TRY(dimension_init(&ledger->rate_sets, db, DIMENSION_RATE_SETS, err));
    TRY(hold_store_prepare(&ledger->holds, db, err));
    TRY(charge_store_prepare(&ledger->charges, db, err));
    TRY(stmt_prepare(&ledger->find_name, db, find_name_sql, err));
    return rollup_prepare(&ledger->rollup, db, err);
}

static enum tg_status find_last_id(struct db *db, int64_t *ret_last_id, struct err *err)
{
    AUTO(stmt) stmt = { 0 };

    TRY(stmt_prepare(&stmt, db, last_id_sql, err));
    return stmt_run_int(&stmt, ret_last_id, err);
}

enum tg_status ledger_open(struct db *db, struct ledger **ret_ledger, int64_t *ret_recovered,
                           int64_t *ret_last_id, struct err *err)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    int64_t recovered = 0;
    int64_t last_id = 0;
    enum tg_status status;

    if (ledger == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for the ledger");
    rollup_init(&ledger->rollup);
    ledger->hook = (struct writer_hook){
        .before_commit = on_before_commit,
        .committed = on_committed,
        .rolled_back = on_rolled_back,
        .closing = on_closing,
    };
    status = prepare(ledger, db, err);
    if (status == TG_OK)
        status = recover(ledger, db, &recovered, err);
    if (status == TG_OK)
        status = find_last_id(db, &last_id, err);
    if (status != TG_OK) {
        ledger_close(ledger);
        return status;
    }
    *ret_recovered = recovered;
    *ret_last_id = last_id;
    *ret_ledger = ledger;
    return TG_OK;
}

void ledger_attach(struct ledger *ledger, struct writer *writer)
{
    writer_add_hook(writer, &ledger->hook);
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    close_statements(ledger);
    dimension_fini(&ledger->names);
    dimension_fini(&ledger->rate_sets);
    rollup_fini(&ledger->rollup);
    free(ledger);
}

void ledger_stats(const struct ledger *ledger, struct ledger_stats *ret_stats)
{
    *ret_stats = (struct ledger_stats){
        .charges = atomic_load_explicit(&ledger->charge_count, memory_order_relaxed),
        .repeats = atomic_load_explicit(&ledger->repeat_count, memory_order_relaxed),
        .contradicted = atomic_load_explicit(&ledger->contradicted_count, memory_order_relaxed),
        .lost = atomic_load_explicit(&ledger->lost_count, memory_order_relaxed),
    };
}
