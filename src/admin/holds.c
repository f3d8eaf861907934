#include "admin/holds.h"

#include "admin/input.h"
#include "base/clock.h"
#include "base/try.h"
#include "ledger/call.h"
#include "policy/team.h"
#include "store/reader.h"

/* Charges that one batch of the writer may release, and one request. */
#define RELEASE_BATCH 64
#define RELEASE_MAX   100000

static enum tg_status on_hold(void *context, const struct call_hold *hold)
{
    struct api_list *list = context;
    struct json_writer *w = &list->w;
    char call_id[ID_TEXT_SIZE];

    id_format_call(hold->id, list->last);
    id_format_call(hold->call_id != 0 ? hold->call_id : hold->id, call_id);
    json_open_object(w, NULL);
    json_string(w, "id", list->last);
    json_string(w, "request_id", call_id);
    json_time(w, "created_at", id_wall_ms(hold->id));
    json_int(w, "age_ms", clock_wall_ms() - id_wall_ms(hold->id));
    json_text(w, "team_id", hold->team_public_id);
    json_text(w, "key_id", hold->key_public_id);
    json_text(w, "provider", hold->provider);
    json_text(w, "dialect", hold->dialect);
    json_text(w, "model", hold->model);
    json_int(w, "input_bound_tokens", hold->input_bound_tokens);
    json_int(w, "output_bound_tokens", hold->output_bound_tokens);
    json_money(w, "amount", hold->amount_nusd);
    json_close_object(w);
    return TG_OK;
}

enum tg_status holds_list(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    struct span team = SPAN_EMPTY;
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "team", .kind = INPUT_TEXT, .ret = &team },
    };
    AUTO(reader) reader = { 0 };
    struct call_hold_query query = { .scope = call->who.scope, .on_hold = on_hold };
    struct api_list list;
    bool has_more;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    if (page.after.len > 0 && !id_parse_call(page.after, &query.after_id))
        return api_fail(call, TG_INVALID, "?after", "after must be the next_cursor of a list");
    query.limit = (int)page.limit;
    query.team_public_id = team;
    query.context = &list;
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    api_list_begin(&list, call);
    TRY(call_holds(reader.db, &query, &has_more, &call->err));
    api_list_end(&list, has_more);
    return TG_OK;
}

/* --- releasing what is not known ---------------------------------------------------------------
 */

/* What a batch has come to. */
struct tally {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    int open;
    int64_t released;
    enum tg_status failure;
};

struct release {
    struct ledger_reconcile_job job; /* first */
    struct tally *tally;
};

static void on_released(struct writer_job *job, enum tg_status status)
{
    struct tally *tally = ((struct release *)job)->tally;

    (void)pthread_mutex_lock(&tally->lock);
    if (status == TG_OK)
        tally->released++;
    else if (status != TG_CONFLICT) /* somebody else has ended it meanwhile */
        tally->failure = status;
    tally->open--;
    (void)pthread_cond_signal(&tally->answered);
    (void)pthread_mutex_unlock(&tally->lock);
}

static void submit(struct api_call *call, struct release *release, struct tally *tally, int64_t id)
{
    const struct api_parts *parts = call->parts;
    enum tg_status status;

    ledger_reconcile_job_init(&release->job, parts->ledger);
    release->tally = tally;
    release->job.job.done = on_released;
    release->job.charge_id = id;
    release->job.adjustment_id = parts->next_id(parts->next_id_context);
    release->job.action = LEDGER_RECONCILE_RELEASE;
    (void)pthread_mutex_lock(&tally->lock);
    tally->open++;
    (void)pthread_mutex_unlock(&tally->lock);
    status = writer_submit(parts->writer, &release->job.job);
    if (status != TG_OK)
        on_released(&release->job.job, status);
}

/* All at once, so that they share a commit; returns when each is answered. */
static enum tg_status release_batch(struct api_call *call, const int64_t *ids, int count,
                                    int64_t *released)
{
    struct release releases[RELEASE_BATCH];
    struct tally tally = { .failure = TG_OK };

    (void)pthread_mutex_init(&tally.lock, NULL);
    (void)pthread_cond_init(&tally.answered, NULL);
    for (int i = 0; i < count; i++)
        submit(call, &releases[i], &tally, ids[i]);
    (void)pthread_mutex_lock(&tally.lock);
    while (tally.open > 0)
        (void)pthread_cond_wait(&tally.answered, &tally.lock);
    (void)pthread_mutex_unlock(&tally.lock);
    (void)pthread_cond_destroy(&tally.answered);
    (void)pthread_mutex_destroy(&tally.lock);
    *released += tally.released;
    return tally.failure;
}

/* In a snapshot of its own, which is left before the writer is waited for. */
static enum tg_status find_batch(struct api_call *call, const struct call_unreconciled_query *query,
                                 int64_t *ids, int *ret_count)
{
    AUTO(reader) reader = { 0 };

    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    return call_unreconciled(reader.db, query, ids, ret_count, &call->err);
}

static enum tg_status find_team(struct api_call *call, struct span public_id,
                                account_scope *ret_scope)
{
    AUTO(reader) reader = { 0 };
    AUTO(team) team = { 0 };
    enum tg_status status;

    *ret_scope = call->who.scope;
    if (public_id.len == 0)
        return TG_OK;
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    status = team_get(reader.db, call->who.scope, public_id, &team, &call->err);
    if (status == TG_NOT_FOUND)
        return api_fail(call, status, "/team_id", "there is no such team");
    *ret_scope = team.id;
    return status;
}

/* Batch by batch; what is done stays done if a later one fails. */
static enum tg_status release_all(struct api_call *call, struct call_unreconciled_query *query,
                                  int64_t *ret_released, bool *ret_has_more)
{
    int64_t ids[RELEASE_BATCH];
    int64_t seen = 0;
    int count = RELEASE_BATCH;

    while (count == RELEASE_BATCH && seen < RELEASE_MAX) {
        TRY(find_batch(call, query, ids, &count));
        if (count == 0)
            break;
        TRY(release_batch(call, ids, count, ret_released));
        query->after_id = ids[count - 1];
        seen += count;
    }
    *ret_has_more = count == RELEASE_BATCH;
    return TG_OK;
}

enum tg_status holds_release(struct api_call *call)
{
    struct call_unreconciled_query query = { .limit = RELEASE_BATCH };
    struct span team_id = SPAN_EMPTY;
    const struct input_field fields[] = {
        { .name = "before", .kind = INPUT_TIME, .is_required = true, .ret = &query.before_ms },
        { .name = "team_id", .kind = INPUT_TEXT, .may_be_null = true, .ret = &team_id },
    };
    struct json_writer w;
    int64_t released = 0;
    bool has_more;

    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    TRY(find_team(call, team_id, &query.scope));
    TRY(release_all(call, &query, &released, &has_more));
    api_begin(call, &w);
    json_open_object(&w, NULL);
    json_int(&w, "released", released);
    json_bool(&w, "has_more", has_more);
    json_close_object(&w);
    return TG_OK;
}
