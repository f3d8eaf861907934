#include "proxy/exchange.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/try.h"
#include "metering/meter.h"
#include "proxy/relay.h"
#include "proxy/reply.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "quota/admit.h"
#include "routing/route.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define FREE_EXCHANGES_MAX 64
#define CLIENT_NAME_MAX    256
#define WHY_MAX            160
#define MODEL_JSON_MAX     ((size_t)6 * TG_MODEL_MAX + 2) /* each byte as \u00xx at worst */

enum exchange_state { READING, ADMITTING, CONNECTING, RELAYING, SETTLING, DONE, STATE_COUNT };

struct exchange {
    struct list node; /* in worker->exchanges */
    struct worker *worker;
    struct server_conn *conn; /* NULL: the client has left */
    enum exchange_state state;

    /* who and what */
    int64_t call_id;
    char request_id[ID_TEXT_SIZE];
    int32_t team_id;
    int32_t key_id;
    int32_t provider_id;
    char provider_name[sizeof(((struct target *)NULL)->name)];
    uint64_t endpoint; /* identity of the address that the request was made for */
    const struct tg_dialect *dialect;
    const struct tg_kind *kind;
    struct tg_request request;
    struct span routed_model; /* part of request.model */
    struct buf body;          /* the client's; then the whole request to the provider */
    struct buf head;          /* of the request to the provider, until it stands before the body */
    int64_t body_bytes;
    int64_t budget_bytes; /* that `body` takes of the process's budget */
    char client_name[CLIENT_NAME_MAX];
    size_t client_name_len;
    int64_t started_us;

    /* the attempt */
    struct client_call call;
    struct relay relay;
    struct tg_answer answer;
    struct meter_bound bound;
    enum meter_end end;
    enum tg_status failure; /* TG_OK: none */
    char why[WHY_MAX];      /* of the failure */
    int http_status;
    struct tg_short_text upstream_request_id;
    bool client_left;
    bool is_drained;
    struct loop_timer drain_timer;

    /* the ledger */
    struct admit_job hold;
    struct ledger_settle_job settle;
    enum tg_status ledger_status;
    struct loop_task ledger_done;     /* posted by the writer */
    struct loop_task ledger_deferred; /* posted by the writer */
};

static const struct {
    const char *name;
    unsigned successors; /* 1u << state */
} states[STATE_COUNT] = {
    [READING] = { "READING", 1u << ADMITTING | 1u << DONE },
    [ADMITTING] = { "ADMITTING", 1u << CONNECTING | 1u << DONE },
    [CONNECTING] = { "CONNECTING", 1u << RELAYING | 1u << SETTLING },
    [RELAYING] = { "RELAYING", 1u << SETTLING },
    [SETTLING] = { "SETTLING", 1u << DONE },
    [DONE] = { "DONE", 0 },
};

static void exchange_move(struct exchange *exchange, enum exchange_state next)
{
    assert((states[exchange->state].successors & 1u << next) != 0);
    /* A hold is open exactly from CONNECTING to SETTLING: it was durable before, and is charged
     * after. */
    assert(next != CONNECTING || exchange->ledger_status == TG_OK);
    exchange->state = next;
}

static struct span request_id(const struct exchange *exchange)
{
    return span_from(exchange->request_id);
}

/* --- life ---------------------------------------------------------------------------------------
 */

static void on_ledger_done(struct loop_task *task);
static void on_ledger_deferred(struct loop_task *task);
static void on_drain_due(struct loop_timer *timer);

static struct exchange *exchange_new(struct worker *worker)
{
    struct list *node = list_pop_front(&worker->free_exchanges);
    struct exchange *exchange;

    if (node != NULL) {
        exchange = LIST_ENTRY(node, struct exchange, node);
        worker->free_count--;
    } else {
        exchange = malloc(sizeof(*exchange));
    }
    if (exchange == NULL)
        return NULL;
    memset(exchange, 0, sizeof(*exchange));
    exchange->worker = worker;
    exchange->state = READING;
    relay_init(&exchange->relay);
    loop_task_init(&exchange->ledger_done, on_ledger_done);
    loop_task_init(&exchange->ledger_deferred, on_ledger_deferred);
    loop_timer_init(&exchange->drain_timer, on_drain_due);
    list_push_back(&worker->exchanges, &exchange->node);
    worker->open_count++;
    return exchange;
}

/* The request is sent for good, or never will be. */
static void free_body(struct exchange *exchange)
{
    upstream_end_head(&exchange->head);
    buf_fini(&exchange->body);
    server_budget_take(exchange->worker->services->budget, -exchange->budget_bytes);
    exchange->budget_bytes = 0;
}

static void exchange_free(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;

    loop_timer_clear(worker->loop, &exchange->drain_timer);
    if (exchange->is_drained)
        worker->drain_count--;
    relay_fini(&exchange->relay);
    free_body(exchange);
    list_remove(&exchange->node);
    worker->open_count--;
    if (worker->free_count < FREE_EXCHANGES_MAX) {
        worker->free_count++;
        list_push_front(&worker->free_exchanges, &exchange->node);
        return;
    }
    free(exchange);
}

static void exchange_finish(struct exchange *exchange)
{
    exchange_move(exchange, DONE);
    exchange_free(exchange);
}

/* Answer an error, where there is somebody to answer, and let go of the connection. */
static void answer_error(struct exchange *exchange, enum tg_status status, struct span message)
{
    struct server_conn *conn = exchange->conn;

    exchange->conn = NULL;
    exchange->relay.conn = NULL;
    if (conn != NULL)
        reply_error(conn, exchange->dialect, status, message, request_id(exchange));
}

/* --- settling -----------------------------------------------------------------------------------
 */

static void hand_settle(struct writer_job *job, enum tg_status status)
{
    struct exchange *exchange = LIST_ENTRY(job, struct exchange, settle.job);

    exchange->ledger_status = status;
    loop_post(exchange->worker->loop, &exchange->ledger_done);
}

static void hand_deferred(struct writer_job *job)
{
    struct exchange *exchange = LIST_ENTRY(job, struct exchange, settle.job);

    loop_post(exchange->worker->loop, &exchange->ledger_deferred);
}

static struct meter_call meter_call_of(const struct exchange *exchange)
{
    return (struct meter_call){
        .request = &exchange->request,
        .dialect = exchange->dialect,
        .kind = exchange->kind,
        .book = snapshot_get(exchange->worker->services->book),
        .facts = model_store_get(exchange->worker->services->models),
        .provider = span_from(exchange->provider_name),
        .model = exchange->routed_model,
        .body_bytes = exchange->body_bytes,
        .at_ms = id_wall_ms(exchange->call_id),
        .team_id = exchange->team_id,
    };
}

static void fill_charge(struct exchange *exchange, struct ledger_charge *charge)
{
    const struct tg_answer *answer = &exchange->answer;
    const int64_t now_us = loop_now_us(exchange->worker->loop);
    const int64_t first_us = exchange->call.first_byte_us;

    charge->attempt_id = exchange->call_id;
    charge->call_id = exchange->call_id;
    charge->team_id = exchange->team_id;
    charge->key_id = exchange->key_id;
    charge->provider_id = exchange->provider_id;
    charge->dialect = span_from(exchange->dialect->name);
    charge->model = span_of(exchange->request.model, exchange->request.model_len);
    charge->served_model = span_of(answer->model.text, answer->model.len);
    charge->http_status = exchange->http_status;
    charge->ttft_ms = first_us > 0 ? (int32_t)((first_us - exchange->started_us) / 1000) : -1;
    charge->total_ms = (int32_t)((now_us - exchange->started_us) / 1000);
    charge->request_bytes = exchange->body_bytes;
    charge->answer_bytes = exchange->relay.answer_bytes;
    charge->raw_usage = buf_span(&exchange->relay.raw_usage);
    charge->response_id = span_of(answer->response_id.text, answer->response_id.len);
    charge->upstream_request_id =
        span_of(exchange->upstream_request_id.text, exchange->upstream_request_id.len);
    charge->client = span_of(exchange->client_name, exchange->client_name_len);
    charge->error = span_from(exchange->why);
    if (exchange->call.was_resent)
        charge->flags |= LEDGER_RETRIED;
    if (exchange->is_drained)
        charge->flags |= LEDGER_DRAINED;
    if (exchange->relay.is_encoded)
        charge->flags |= LEDGER_ENCODED;
}

static void release_to_client(struct exchange *exchange);

/* The attempt is over, one way or another: charge it. */
static void settle(struct exchange *exchange, enum meter_end end)
{
    struct ledger_settle_job *job = &exchange->settle;
    const struct meter_call call = meter_call_of(exchange);
    const struct meter_attempt attempt = {
        .answer = &exchange->answer,
        .bound = &exchange->bound,
        .end = end,
        .http_status = exchange->http_status,
        .is_unmetered = exchange->relay.is_unmetered,
        .client_left = exchange->client_left,
    };
    enum tg_status status;

    exchange->end = end;
    exchange_move(exchange, SETTLING);
    loop_timer_clear(exchange->worker->loop, &exchange->drain_timer);
    ledger_settle_job_init(job, exchange->worker->services->ledger);
    job->job.done = hand_settle;
    job->job.deferred = hand_deferred;
    fill_charge(exchange, &job->charge);
    meter_charge(&call, &attempt, &job->charge);
#ifdef TOLLGATE_CHARGE_AFTER_LAST_BYTE
    release_to_client(exchange);
#endif
    status = writer_submit(exchange->worker->services->writer, &job->job);
    /* Settlements are never refused while the process lives, and it lives until all are in. */
    assert(status == TG_OK);
}

static enum tg_status failure_of(const struct exchange *exchange)
{
    if (exchange->failure == TG_UPSTREAM_UNREACHABLE || exchange->failure == TG_UPSTREAM_TIMEOUT ||
        exchange->failure == TG_OVERLOADED || exchange->failure == TG_NO_MEMORY ||
        exchange->failure == TG_DRAINING)
        return exchange->failure;
    return TG_UPSTREAM_INVALID;
}

static void log_outcome(const struct exchange *exchange)
{
    const struct ledger_charge *charge = &exchange->settle.charge;

    if (charge->outcome == LEDGER_OUTCOME_OK)
        return;
    log_event(LOG_WARN, "call", LOG_F("request_id", request_id(exchange)),
              LOG_FS("outcome", ledger_outcome_name(charge->outcome)),
              LOG_F("model", charge->model), LOG_FI("provider_status", charge->http_status),
              LOG_FI("cost_nusd", charge->cost_nusd),
              LOG_FS("source", ledger_source_name(charge->source)), LOG_FS("why", exchange->why),
              LOG_FI("total_ms", charge->total_ms));
}

/* The charge is durable: the client gets the end of its answer. */
static void release_to_client(struct exchange *exchange)
{
    const struct ledger_charge *charge = &exchange->settle.charge;
    struct server_conn *conn = exchange->conn;

    if (conn == NULL)
        return;
    if (exchange->failure == TG_OK) {
        relay_release(&exchange->relay, (charge->flags & LEDGER_UNPRICED) == 0, charge->cost_nusd);
    } else if (relay_has_begun(&exchange->relay)) {
        relay_cut(&exchange->relay);
    } else {
        /* log_outcome has said what happened. */
        reply_error_unlogged(conn, exchange->dialect, failure_of(exchange), SPAN_EMPTY,
                             request_id(exchange));
    }
    exchange->conn = NULL;
    exchange->relay.conn = NULL;
}

/* The charge is not on disk: the client must not take what it has for a complete answer. */
static void refuse_to_client(struct exchange *exchange)
{
    struct server_conn *conn = exchange->conn;

    if (conn == NULL)
        return;
    exchange->conn = NULL;
    exchange->relay.conn = NULL;
    if (relay_has_begun(&exchange->relay))
        server_abort(conn);
    else
        reply_error_unlogged(conn, exchange->dialect, TG_LEDGER_UNAVAILABLE,
                             SPAN("The answer could not be recorded, so it is not handed out."),
                             request_id(exchange));
}

static void on_settled(struct exchange *exchange)
{
    log_outcome(exchange);
    if (exchange->ledger_status == TG_OK) {
        release_to_client(exchange);
    } else {
        /* Its hold stays, and is an unreconciled charge at the next start. */
        log_event(LOG_ERROR, "charge refused", LOG_F("request_id", request_id(exchange)),
                  LOG_FS("why", tg_status_info(exchange->ledger_status)->name));
        refuse_to_client(exchange);
    }
    exchange_finish(exchange);
}

/* The ledger cannot commit now; the charge stays with the writer. */
static void on_ledger_deferred(struct loop_task *task)
{
    struct exchange *exchange = LIST_ENTRY(task, struct exchange, ledger_deferred);

    log_event(LOG_ERROR, "charge deferred", LOG_F("request_id", request_id(exchange)));
    refuse_to_client(exchange);
}

/* --- the provider -------------------------------------------------------------------------------
 */

static struct exchange *of_call(struct client_call *call)
{
    return LIST_ENTRY(call, struct exchange, call);
}

static void keep_upstream_id(struct exchange *exchange, const struct http_head *head)
{
    struct span id = http_value(head, SPAN("x-request-id"));

    if (id.len == 0)
        id = http_value(head, SPAN("request-id"));
    if (id.len > TG_SHORT_TEXT_MAX)
        id.len = TG_SHORT_TEXT_MAX;
    memcpy(exchange->upstream_request_id.text, id.ptr, id.len);
    exchange->upstream_request_id.len = id.len;
}

static void fail(struct exchange *exchange, enum tg_status status, const char *why)
{
    exchange->failure = status;
    snprintf(exchange->why, sizeof(exchange->why), "%s", why);
}

static void on_head(struct client_call *call, const struct http_head *head)
{
    struct exchange *exchange = of_call(call);

    const struct upstream_answer_extras extras = {
        .request_id = request_id(exchange),
        .dialect = exchange->dialect,
        .rates = exchange->hold.rates,
        .max_output_tokens = exchange->hold.max_output_tokens,
    };

    exchange_move(exchange, RELAYING);
    exchange->http_status = head->status;
    keep_upstream_id(exchange, head);
    if (call->sent_us != 0)
        free_body(exchange); /* an answer has begun, so it is never sent again */
    if (head->status >= 300 && head->status < 400) {
        /* A redirect would take the team's bytes and our secret to somebody else. */
        fail(exchange, TG_UPSTREAM_INVALID, "The provider answered with a redirect.");
        client_call_cancel(call);
        settle(exchange, METER_BROKEN);
        return;
    }
    relay_begin(&exchange->relay, head, &extras);
}

/* The attempt ended before the provider's answer did. */
static void settle_broken(struct exchange *exchange)
{
    if (!exchange->call.was_sent) {
        settle(exchange, METER_NOT_SENT);
        return;
    }
    /* A stream that has shown its end is whole, however the connection ended. */
    if (exchange->relay.is_terminal && !exchange->relay.is_broken) {
        exchange->failure = TG_OK;
        settle(exchange, METER_ENDED);
        return;
    }
    relay_end(&exchange->relay, /* is_whole= */ false);
    settle(exchange, METER_BROKEN);
}

static void on_body(struct client_call *call, struct span content)
{
    struct exchange *exchange = of_call(call);
    const enum tg_status status = relay_content(&exchange->relay, content);

    if (status != TG_OK) {
        fail(exchange, status, "The answer could not be kept.");
        client_call_cancel(call);
        settle_broken(exchange);
        return;
    }
    if (relay_is_full(&exchange->relay)) {
        client_call_pause(call);
        server_want_drained(exchange->conn);
    }
    if (exchange->is_drained &&
        exchange->relay.answer_bytes > exchange->worker->services->limits.drain_bytes) {
        client_call_cancel(call);
        settle(exchange, METER_LEFT);
    }
}

static void on_end(struct client_call *call)
{
    struct exchange *exchange = of_call(call);

    relay_end(&exchange->relay, /* is_whole= */ true);
    settle(exchange, METER_ENDED);
}

static void on_fail(struct client_call *call, enum tg_status status, const char *why)
{
    struct exchange *exchange = of_call(call);

    fail(exchange, status, why);
    settle_broken(exchange);
}

static const struct target *find_target(const struct exchange *exchange)
{
    const struct targets *targets = target_store_get(exchange->worker->services->targets);

    for (int i = 0; i < targets->count; i++) {
        if (targets->target[i]->id == exchange->provider_id)
            return targets->target[i];
    }
    return NULL;
}

/* The model as the provider knows it, where the body says it otherwise: as a JSON string. */
static struct span new_model(const struct exchange *exchange, struct buf *text)
{
    if (exchange->routed_model.len == exchange->request.model_len ||
        exchange->request.places.model_end == 0)
        return SPAN_EMPTY;
    json_put_quoted(text, exchange->routed_model);
    return buf_span(text);
}

/* Put head and body together, with what the admission has changed. */
static enum tg_status finish_request(struct exchange *exchange)
{
    const struct tg_request_places *places = &exchange->request.places;
    const struct tg_wish wish = {
        .max_output_tokens = exchange->hold.max_output_tokens,
        .output_field = exchange->bound.output_field,
    };
    struct tg_edit edits[TG_EDITS_MAX];
    AUTO(buf) model = { 0 };
    struct upstream_edits changes = {
        .edits = edits,
        .model = { .start = places->model_start, .end = places->model_end },
    };

    changes.count = exchange->dialect->plan_edits(&exchange->request, exchange->kind, &wish, edits);
    if (changes.count < 0)
        return TG_INTERNAL;
    buf_init(&model, MODEL_JSON_MAX);
    changes.model.text = new_model(exchange, &model);
    TRY(buf_status(&model));
    return upstream_finish(&exchange->head, &changes, &exchange->body);
}

static void dispatch(struct exchange *exchange)
{
    const struct proxy_services *services = exchange->worker->services;
    const struct target *target = find_target(exchange);
    struct client_call *call = &exchange->call;

    exchange_move(exchange, CONNECTING);
    if (exchange->worker->is_cut) {
        fail(exchange, TG_DRAINING, "The server was stopped.");
        settle(exchange, METER_NOT_SENT);
        return;
    }
    /* The request names the host it was made for and has the secret that was given for that one. */
    if (target == NULL || target->endpoint.identity != exchange->endpoint) {
        fail(exchange, TG_UPSTREAM_UNREACHABLE, "The provider has just been changed or removed.");
        settle(exchange, METER_NOT_SENT);
        return;
    }
    if (finish_request(exchange) != TG_OK) {
        fail(exchange, TG_NO_MEMORY, "The request could not be put together.");
        settle(exchange, METER_NOT_SENT);
        return;
    }
    call->on_head = on_head;
    call->on_body = on_body;
    call->on_end = on_end;
    call->on_fail = on_fail;
    call->request = buf_span(&exchange->body);
    call->first_byte_ms = services->limits.first_byte_ms;
    call->idle_ms = services->limits.idle_ms;
    client_call_start(exchange->worker->pool, call, &target->endpoint);
}

/* --- the client leaves --------------------------------------------------------------------------
 */

static void on_drain_due(struct loop_timer *timer)
{
    struct exchange *exchange = LIST_ENTRY(timer, struct exchange, drain_timer);

    client_call_cancel(&exchange->call);
    settle(exchange, METER_LEFT);
}

/* Whether the provider's answer is worth reading on: where generation goes on and is billed anyway,
 * and for plain answers, of which nothing can be counted before their end. */
static bool should_drain(const struct exchange *exchange)
{
    const bool is_stream = (exchange->request.flags & TG_REQUEST_STREAM) != 0;

    if (exchange->worker->drain_count >= exchange->worker->services->limits.drain_max)
        return false;
    return !is_stream || (exchange->kind->flags & TG_KIND_STOPS_ON_LEAVE) == 0;
}

static void leave_provider(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;

    if (!exchange->call.was_sent) {
        client_call_cancel(&exchange->call);
        settle(exchange, METER_NOT_SENT);
        return;
    }
    if (!should_drain(exchange)) {
        client_call_cancel(&exchange->call);
        settle(exchange, METER_LEFT);
        return;
    }
    exchange->is_drained = true;
    worker->drain_count++;
    client_call_resume(&exchange->call);
    loop_timer_set(worker->loop, &exchange->drain_timer,
                   loop_now_us(worker->loop) + worker->services->limits.drain_ms * 1000);
}

static void on_client_gone(void *user)
{
    struct exchange *exchange = user;

    exchange->conn = NULL;
    exchange->relay.conn = NULL;
    exchange->client_left = true;
    if (exchange->state == CONNECTING || exchange->state == RELAYING)
        leave_provider(exchange);
}

static void on_client_drained(void *user)
{
    struct exchange *exchange = user;

    if (exchange->state == RELAYING)
        client_call_resume(&exchange->call);
}

static const struct server_user client_ops = {
    .on_gone = on_client_gone,
    .on_drained = on_client_drained,
};

/* --- admission ----------------------------------------------------------------------------------
 */

static void hand_hold(struct writer_job *job, enum tg_status status)
{
    struct exchange *exchange = LIST_ENTRY(job, struct exchange, hold.job);

    exchange->ledger_status = status;
    loop_post(exchange->worker->loop, &exchange->ledger_done);
}

/* What a caller is told when its hold could not be taken. */
static enum tg_status failure_to_hold(enum tg_status status)
{
    /* The trouble is the disk's or ours, and is logged there. */
    return tg_status_info(status)->http == 500 ? TG_LEDGER_UNAVAILABLE : status;
}

static bool is_refusal(enum tg_status status)
{
    return status == TG_LIMIT_REACHED || status == TG_RATE_LIMITED || status == TG_UNPRICED;
}

/* Answer that a limit has turned the call down. */
static void answer_refusal(struct exchange *exchange)
{
    const struct span message = span_from(exchange->hold.message);
    const struct tg_error error = {
        .status = exchange->ledger_status,
        .message = { message.ptr, message.len },
        .request_id = { exchange->request_id, strlen(exchange->request_id) },
        .refusal = exchange->ledger_status != TG_UNPRICED ? &exchange->hold.refusal : NULL,
    };
    struct server_conn *conn = exchange->conn;

    exchange->conn = NULL;
    exchange->relay.conn = NULL;
    if (conn != NULL)
        reply_refusal(conn, exchange->dialect, &error);
}

/* The bounds that the call was admitted with. */
static void take_bounds(struct exchange *exchange)
{
    const struct ledger_hold *hold = &exchange->hold.hold;

    exchange->bound.input_tokens = hold->input_bound_tokens;
    exchange->bound.output_tokens = hold->output_bound_tokens;
    exchange->bound.nusd = hold->amount_nusd;
    exchange->bound.flags = hold->flags;
}

static void on_admitted(struct exchange *exchange)
{
    if (exchange->ledger_status != TG_OK) {
        if (is_refusal(exchange->ledger_status))
            answer_refusal(exchange);
        else
            answer_error(exchange, failure_to_hold(exchange->ledger_status), SPAN_EMPTY);
        exchange_finish(exchange);
        return;
    }
    take_bounds(exchange);
    if (exchange->client_left) {
        exchange_move(exchange, CONNECTING);
        settle(exchange, METER_NOT_SENT);
        return;
    }
    dispatch(exchange);
}

static void on_ledger_done(struct loop_task *task)
{
    struct exchange *exchange = LIST_ENTRY(task, struct exchange, ledger_done);

    if (exchange->state == ADMITTING)
        on_admitted(exchange);
    else
        on_settled(exchange);
}

static struct admit_ask ask_of(const struct exchange *exchange)
{
    const struct meter_bound *bound = &exchange->bound;

    return (struct admit_ask){
        .body_bytes = exchange->body_bytes,
        .added_tokens = exchange->kind->added_tokens,
        .input_pusd = bound->input_pusd,
        .output_pusd = bound->output_pusd,
        .fixed_nusd = bound->fixed_nusd,
        .choices = bound->choices,
        .least_output_tokens = bound->least_output_tokens,
        .may_clamp = bound->may_clamp,
        .is_unpriced = bound->is_unpriced,
    };
}

static enum tg_status admit(struct exchange *exchange)
{
    const struct proxy_services *services = exchange->worker->services;
    struct admit_job *job = &exchange->hold;

    if (!writer_is_writable(services->writer))
        return TG_LEDGER_UNAVAILABLE;
    admit_job_init(job, services->admit);
    job->job.done = hand_hold;
    job->ask = ask_of(exchange);
    job->hold = (struct ledger_hold){
        .attempt_id = exchange->call_id,
        .call_id = exchange->call_id,
        .team_id = exchange->team_id,
        .key_id = exchange->key_id,
        .provider_id = exchange->provider_id,
        .dialect = span_from(exchange->dialect->name),
        .model = span_of(exchange->request.model, exchange->request.model_len),
        .input_bound_tokens = exchange->bound.input_tokens,
        .output_bound_tokens = exchange->bound.output_tokens,
        .amount_nusd = exchange->bound.nusd,
        .flags = exchange->bound.flags,
    };
    TRY(writer_submit(services->writer, &job->job));
    exchange_move(exchange, ADMITTING);
    return TG_OK;
}

/* --- reading ------------------------------------------------------------------------------------
 */

const struct key_entry *exchange_authenticate(const struct proxy_services *services,
                                              const struct http_head *head, struct span query)
{
    unsigned char hash[SECRET_HASH_SIZE];

    secret_hash(services->secrets, guard_credential(head, query), hash);
    return keyring_find(services->keyring, hash, clock_wall_ms());
}

/* What understanding and routing work on; all of it ends with the step. */
struct reading {
    const struct http_head *head;
    const struct guard_path *path;
    struct err err;
};

static enum tg_status understand(struct exchange *exchange, struct reading *reading)
{
    const struct span body = buf_span(&exchange->body);
    enum tg_status status;

    if (http_field(reading->head, SPAN("content-encoding")) != NULL)
        return TG_UNSUPPORTED_ENCODING;
    status = exchange->dialect->read_request((struct tg_span){ body.ptr, body.len },
                                             &reading->path->call, &exchange->request);
    if (status == TG_OK)
        return TG_OK;
    return err_set(&reading->err, status, "%s",
                   exchange->request.problem != NULL ? exchange->request.problem
                                                     : tg_status_info(status)->sentence);
}

static enum tg_status route(struct exchange *exchange, struct reading *reading,
                            const struct key_entry *key, struct route *ret_route)
{
    const struct proxy_services *services = exchange->worker->services;
    const struct span model = span_of(exchange->request.model, exchange->request.model_len);
    const struct route_query query = {
        .dialect = exchange->dialect,
        .prefix = reading->path->prefix,
        .model = model,
        .book = snapshot_get(services->book),
    };

    if (!key_allows_model(key, model))
        return err_set(&reading->err, TG_MODEL_NOT_FOUND,
                       "The model '%.*s' does not exist or this key may not use it.",
                       SPAN_ARG(model));
    TRY(route_find(target_store_get(services->targets), &query, ret_route, &reading->err));
    exchange->provider_id = ret_route->target->id;
    memcpy(exchange->provider_name, ret_route->target->name, sizeof(exchange->provider_name));
    exchange->endpoint = ret_route->target->endpoint.identity;
    exchange->kind = ret_route->target->kind;
    exchange->routed_model = ret_route->model;
    return TG_OK;
}

static enum tg_status build(struct exchange *exchange, const struct reading *reading,
                            const struct target *target)
{
    const struct proxy_services *services = exchange->worker->services;
    const struct upstream_request request = {
        .head = reading->head,
        .target = target,
        .dialect = exchange->dialect,
        .is_stream = (exchange->request.flags & TG_REQUEST_STREAM) != 0,
        .routed_model = exchange->routed_model,
        .query = reading->path->query,
        .installation_id = span_from(services->installation_id),
    };

    return upstream_begin(&request, &exchange->head);
}

static void note_caller(struct exchange *exchange, const struct http_head *head,
                        const struct key_entry *key)
{
    const struct span agent = http_value(head, SPAN("user-agent"));

    exchange->key_id = key->id;
    exchange->team_id = key->team_id;
    keyring_touch(key, id_wall_ms(exchange->call_id));
    exchange->client_name_len = agent.len < CLIENT_NAME_MAX ? agent.len : CLIENT_NAME_MAX;
    memcpy(exchange->client_name, agent.ptr, exchange->client_name_len);
}

static enum tg_status prepare(struct exchange *exchange, struct reading *reading,
                              const struct key_entry *key)
{
    struct route routed = { 0 };
    struct meter_call call;

    if (exchange->worker->is_cut)
        return TG_DRAINING;
    note_caller(exchange, reading->head, key);
    TRY(guard_check_hops(reading->head, span_from(exchange->worker->services->installation_id)));
    TRY(understand(exchange, reading));
    TRY(route(exchange, reading, key, &routed));
    assert(routed.target != NULL);
    call = meter_call_of(exchange);
    TRY(meter_bound(&call, &exchange->bound));
    TRY(build(exchange, reading, routed.target));
    return admit(exchange);
}

static void start_relay(struct exchange *exchange)
{
    struct relay *relay = &exchange->relay;

    relay->conn = exchange->conn;
    relay->budget = exchange->worker->services->budget;
    relay->dialect = exchange->dialect;
    relay->kind = exchange->kind;
    relay->request = &exchange->request;
    relay->answer = &exchange->answer;
}

void exchange_start(struct worker *worker, struct server_conn *conn, const struct http_head *head,
                    const struct guard_path *path, int64_t call_id)
{
    struct exchange *exchange = exchange_new(worker);
    struct reading reading = { .head = head, .path = path };
    const struct key_entry *key = exchange_authenticate(worker->services, head, path->query);
    enum tg_status status = TG_UNAUTHENTICATED;
    char id[ID_TEXT_SIZE];

    id_format_call(call_id, id);
    if (exchange == NULL) {
        reply_error(conn, path->dialect, TG_NO_MEMORY, SPAN_EMPTY, span_from(id));
        return;
    }
    exchange->conn = conn;
    exchange->call_id = call_id;
    memcpy(exchange->request_id, id, sizeof(id));
    exchange->dialect = path->dialect;
    exchange->started_us = loop_now_us(worker->loop);
    exchange->budget_bytes = server_take_body(conn, &exchange->body);
    exchange->body_bytes = (int64_t)buf_len(&exchange->body);
    if (key != NULL)
        status = prepare(exchange, &reading, key);
    if (status != TG_OK) {
        answer_error(exchange, status, span_from(reading.err.text));
        exchange_finish(exchange);
        return;
    }
    start_relay(exchange);
    server_set_user(conn, &client_ops, exchange);
}

void exchange_cut(struct list *node)
{
    struct exchange *exchange = LIST_ENTRY(node, struct exchange, node);

    if (exchange->state != CONNECTING && exchange->state != RELAYING)
        return;
    fail(exchange, TG_DRAINING, "The server was stopped.");
    client_call_cancel(&exchange->call);
    settle_broken(exchange);
}

void exchange_discard(struct list *node)
{
    struct exchange *exchange = LIST_ENTRY(node, struct exchange, node);

    client_call_cancel(&exchange->call);
    exchange_free(exchange);
}
