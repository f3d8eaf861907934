#include "support/support_quota.h"

#include "base/clock.h"
#include "base/id.h"
#include "store/stmt.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct id_source ids;
static pthread_mutex_t ids_lock = PTHREAD_MUTEX_INITIALIZER;

static enum tg_status insert_people(struct db *db, void *context, struct err *err)
{
    static const char text[] =
        "INSERT INTO team (id, public_id, name, created_ms) VALUES (1, 'team_1', 'one', 1), "
        "(2, 'team_2', 'two', 1);"
        "INSERT INTO \"key\" (id, public_id, team_id, name, prefix, created_ms) VALUES "
        "(1, 'key_1', 1, 'a', 'tgk_a', 1), (2, 'key_2', 1, 'b', 'tgk_b', 1), "
        "(3, 'key_3', 1, 'c', 'tgk_c', 1), (4, 'key_4', 1, 'd', 'tgk_d', 1), "
        "(5, 'key_5', 2, 'a', 'tgk_e', 1), (6, 'key_6', 2, 'b', 'tgk_f', 1), "
        "(7, 'key_7', 2, 'c', 'tgk_g', 1), (8, 'key_8', 2, 'd', 'tgk_h', 1);";

    (void)context;
    return stmt_run_script(db, text, err);
}

void quota_people(struct support_book *book)
{
    ck_assert_int_eq(support_run(book, insert_people, NULL), TG_OK);
    id_source_init(&ids, 1, 0);
}

static void run(struct support_book *book, struct limit_job *job)
{
    struct err err = { "" };
    const enum tg_status status = account_call(book->writer, &job->account, &err);

    ck_assert_msg(status == TG_OK, "%s", err.text);
}

int32_t quota_limit_make(struct support_book *book, const struct quota_limit *limit)
{
    struct limit_job job;
    char id[ID_TEXT_SIZE] = "";
    int32_t row;

    limit_job_init(&job, LIMIT_CREATE, book->admit);
    if (limit->scope != LIMIT_ORGANIZATION)
        (void)snprintf(id, sizeof(id), limit->scope == LIMIT_TEAM ? "team_%d" : "key_%d",
                       limit->id);
    job.input = (struct limit_input){
        .scope = limit->scope,
        .scope_id = span_from(id),
        .is_each_key = limit->is_each_key,
        .models = limit->models != NULL ? span_from(limit->models) : SPAN_EMPTY,
        .metric = limit->metric,
        .has_window = limit->metric != LIMIT_PARALLEL,
        .rule = { .window = limit->window,
                  .week_start = 1,
                  .anchor_day = limit->anchor_day > 0 ? limit->anchor_day : 1 },
        .timezone = limit->timezone != NULL ? span_from(limit->timezone) : SPAN_EMPTY,
        .has_amount = true,
        .amount = limit->amount,
        .has_is_hard = true,
        .is_hard = !limit->is_soft,
        .has_may_clamp = limit->refuses || limit->clamps,
        .may_clamp = limit->clamps,
        .has_is_strict = true,
        .is_strict = limit->is_strict,
    };
    run(book, &job);
    row = job.after.id;
    limit_job_fini(&job);
    return row;
}

static struct span public_id_of(struct support_book *book, int32_t limit_id,
                                char text[ID_TEXT_SIZE])
{
    struct db *db = NULL;
    struct stmt stmt = { 0 };
    struct err err = { "" };
    bool has_row = false;

    ck_assert_int_eq(db_open(book->path, DB_READ, &db, &err), TG_OK);
    ck_assert_int_eq(stmt_prepare(&stmt, db, "SELECT public_id FROM \"limit\" WHERE id = ?1", &err),
                     TG_OK);
    stmt_bind_int(&stmt, 1, limit_id);
    ck_assert_int_eq(stmt_step(&stmt, &has_row, &err), TG_OK);
    ck_assert(has_row);
    account_copy_text(stmt_text(&stmt, 0), text, ID_TEXT_SIZE);
    stmt_fini(&stmt);
    db_close(db);
    return span_from(text);
}

static void change(struct support_book *book, int32_t limit_id, enum limit_action action,
                   int64_t amount)
{
    struct limit_job job;
    char id[ID_TEXT_SIZE];

    limit_job_init(&job, action, book->admit);
    job.public_id = public_id_of(book, limit_id, id);
    job.input.has_amount = action != LIMIT_DELETE;
    job.input.amount = amount;
    run(book, &job);
    limit_job_fini(&job);
}

void quota_limit_set(struct support_book *book, int32_t limit_id, int64_t amount)
{
    change(book, limit_id, LIMIT_UPDATE, amount);
}

void quota_limit_override(struct support_book *book, int32_t limit_id, int64_t amount)
{
    change(book, limit_id, LIMIT_OVERRIDE, amount);
}

void quota_limit_delete(struct support_book *book, int32_t limit_id)
{
    change(book, limit_id, LIMIT_DELETE, 0);
}

struct admit_count quota_look(struct support_book *book, int32_t limit_id, int32_t key_id)
{
    struct admit_count count = { 0 };
    const struct admit_look_query query = {
        .limit_id = limit_id,
        .key_id = key_id,
        .counts = &count,
        .cap = 1,
    };
    struct err err = { "" };
    int found = 0;
    const enum tg_status status = admit_look(book->admit, book->writer, &query, &found, &err);

    ck_assert_msg(status == TG_OK, "%s", err.text);
    ck_assert_int_le(found, 1);
    return count;
}

/* --- calls --------------------------------------------------------------------------------------
 */

static void report(struct support_outcome *outcome, enum tg_status status)
{
    outcome->status = status;
    (void)atomic_fetch_add(&outcome->answers, 1);
    (void)sem_post(&outcome->answered);
}

static void on_admitted(struct writer_job *job, enum tg_status status)
{
    report(&((struct quota_call *)job)->outcome, status);
}

static void on_settled(struct writer_job *job, enum tg_status status)
{
    report(&LIST_ENTRY(job, struct quota_call, settle.job)->settled, status);
}

static enum tg_status wait_for(struct support_outcome *outcome)
{
    while (sem_wait(&outcome->answered) != 0)
        ;
    return outcome->status;
}

static int64_t next_id(void)
{
    int64_t id;

    (void)pthread_mutex_lock(&ids_lock);
    id = id_next(&ids, clock_wall_ms());
    (void)pthread_mutex_unlock(&ids_lock);
    return id;
}

void quota_call_init(struct support_book *book, struct quota_call *call, int32_t key_id,
                     int64_t input_tokens, int64_t output_tokens)
{
    memset(call, 0, sizeof(*call));
    call->book = book;
    admit_job_init(&call->job, book->admit);
    (void)sem_init(&call->outcome.answered, 0, 0);
    (void)sem_init(&call->settled.answered, 0, 0);
    call->job.job.done = on_admitted;
    call->job.hold = (struct ledger_hold){
        .attempt_id = next_id(),
        .team_id = (key_id - 1) / QUOTA_KEYS + 1,
        .key_id = key_id,
        .provider_id = 1,
        .dialect = SPAN("openai-chat"),
        .model = SPAN("m"),
        .input_bound_tokens = input_tokens,
        .output_bound_tokens = output_tokens,
        .amount_nusd = input_tokens + output_tokens,
    };
    call->job.hold.call_id = call->job.hold.attempt_id;
    call->job.ask = (struct admit_ask){
        .body_bytes = input_tokens,
        .input_pusd = 1000,
        .output_pusd = 1000,
        .choices = 1,
        .least_output_tokens = 256,
        .may_clamp = true,
    };
}

enum tg_status quota_admit(struct quota_call *call)
{
    ck_assert_int_eq(writer_submit(call->book->writer, &call->job.job), TG_OK);
    return wait_for(&call->outcome);
}

void quota_settle(struct quota_call *call, int64_t input_tokens, int64_t output_tokens)
{
    const struct ledger_hold *hold = &call->job.hold;

    ledger_settle_job_init(&call->settle, call->book->ledger);
    call->settle.job.done = on_settled;
    call->settle.charge = (struct ledger_charge){
        .attempt_id = hold->attempt_id,
        .call_id = hold->call_id,
        .team_id = hold->team_id,
        .key_id = hold->key_id,
        .provider_id = hold->provider_id,
        .dialect = hold->dialect,
        .model = hold->model,
        .cost_nusd = input_tokens + output_tokens,
        .provider_cost_nusd = input_tokens + output_tokens,
        .hold_nusd = hold->amount_nusd,
        .flags = input_tokens + output_tokens == 0 ? LEDGER_NOT_SENT : 0,
        .http_status = 200,
        .request_bytes = call->job.ask.body_bytes,
    };
    call->settle.charge.usage.count[TG_INPUT] = input_tokens;
    call->settle.charge.usage.count[TG_OUTPUT] = output_tokens;
    call->settle.charge.usage.prompt_tokens = input_tokens;
    ck_assert_int_eq(writer_submit(call->book->writer, &call->settle.job), TG_OK);
    ck_assert_int_eq(wait_for(&call->settled), TG_OK);
}
