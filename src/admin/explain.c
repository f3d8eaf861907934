#include "admin/explain.h"

#include "admin/calls.h"
#include "admin/input.h"
#include "base/clock.h"
#include "base/try.h"
#include "metering/meter.h"
#include "policy/key.h"
#include "policy/key_admin.h"
#include "policy/team.h"
#include "providers/catalogue.h"
#include "quota/admit.h"
#include "routing/route.h"
#include "store/reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY_BYTES_DEFAULT 1024

/* The call that is asked about, and what is found out about it. */
struct explanation {
    struct api_call *call;
    struct db *db;
    struct json_writer w;
    char last_limit[ID_TEXT_SIZE];

    /* asked */
    struct span key_id;
    struct span model;
    struct span dialect_name;
    const struct tg_dialect *dialect;
    int64_t body_bytes;
    int64_t input_tokens;
    int64_t max_tokens;
    bool has_body_bytes;
    bool has_input_tokens;
    bool has_max_tokens;

    /* who */
    struct key key;
    struct tg_request request;

    /* where to, and for how much; copied out of what the workers read */
    int rule; /* of routing; 0: no provider */
    int32_t provider_id;
    const struct tg_kind *kind;
    char provider_public_id[ID_TEXT_SIZE];
    char provider[64];
    char provider_model[TG_MODEL_MAX + 1];
    struct meter_bound bound;
    struct cost_rates rates;

    /* what becomes of it: the first thing that stands in its way */
    struct admit_job try;
    enum tg_status verdict;
    struct err why;
};

static void explanation_fini(struct explanation *explanation)
{
    key_fini(&explanation->key);
}
AUTO_DEFINE(explanation, explanation_fini)

/* The first obstacle is the one that a caller meets. */
static void object(struct explanation *e, enum tg_status verdict, const char *why)
{
    if (e->verdict == TG_OK)
        e->verdict = err_set(&e->why, verdict, "%s", why);
}

/* --- what is asked ---------------------------------------------------------------------------- */

static enum tg_status read_question(struct explanation *e)
{
    const struct input_field fields[] = {
        { .name = "key_id", .kind = INPUT_TEXT, .is_required = true, .ret = &e->key_id },
        { .name = "model", .kind = INPUT_TEXT, .is_required = true, .ret = &e->model },
        { .name = "dialect", .kind = INPUT_TEXT, .ret = &e->dialect_name },
        { .name = "body_bytes",
          .kind = INPUT_INT,
          .ret_has = &e->has_body_bytes,
          .ret = &e->body_bytes,
          .max = TG_COUNT_MAX },
        { .name = "input_tokens",
          .kind = INPUT_INT,
          .ret_has = &e->has_input_tokens,
          .ret = &e->input_tokens,
          .max = TG_COUNT_MAX },
        { .name = "max_tokens",
          .kind = INPUT_INT,
          .ret_has = &e->has_max_tokens,
          .ret = &e->max_tokens,
          .min = 1,
          .max = TG_COUNT_MAX },
    };

    e->dialect_name = SPAN("openai-chat");
    e->body_bytes = BODY_BYTES_DEFAULT;
    TRY(input_query(e->call, fields, INPUT_COUNT(fields)));
    if (e->model.len == 0 || e->model.len > TG_MODEL_MAX)
        return api_fail(e->call, TG_INVALID, "?model", "model must be a name of 1 to 256 bytes");
    e->dialect = catalogue_dialect(e->dialect_name);
    if (e->dialect == NULL)
        return api_fail(e->call, TG_INVALID, "?dialect",
                        "dialect must be one that is spoken here, such as openai-chat");
    /* A byte is at least as much as a token: so many bytes stand for so many tokens. */
    if (e->has_input_tokens && !e->has_body_bytes)
        e->body_bytes = e->input_tokens;
    return TG_OK;
}

static void make_request(struct explanation *e)
{
    e->request = (struct tg_request){ .choices = 1, .max_output_tokens = e->max_tokens };
    e->request.model_len = e->model.len;
    memcpy(e->request.model, e->model.ptr, e->model.len);
    if (e->has_max_tokens)
        e->request.flags |= TG_REQUEST_MAX_GIVEN;
}

/* --- whose key -------------------------------------------------------------------------------- */

static enum tg_status check_models(struct explanation *e)
{
    char **models = NULL;
    int count = 0;
    bool may;

    TRY(account_read_models(span_from(e->key.models), &models, &count));
    may = key_models_allow(models, count, e->model);
    free(models);
    if (!may)
        object(e, TG_MODEL_NOT_FOUND, "The key may not use this model.");
    return TG_OK;
}

static enum tg_status check_key(struct explanation *e)
{
    AUTO(team) team = { 0 };
    const account_scope scope = e->call->who.scope;
    const int64_t now_ms = clock_wall_ms();

    if (key_get(e->db, scope, e->key_id, &e->key, &e->call->err) == TG_NOT_FOUND)
        return api_fail(e->call, TG_NOT_FOUND, "?key_id", "there is no such key");
    TRY(team_get(e->db, scope, span_from(e->key.team_public_id), &team, &e->call->err));
    if (e->key.revoked_at_ms != 0)
        object(e, TG_UNAUTHENTICATED, "The key is revoked.");
    if (e->key.expires_at_ms != 0 && e->key.expires_at_ms <= now_ms)
        object(e, TG_UNAUTHENTICATED, "The key has expired.");
    if (team.archived_at_ms != 0)
        object(e, TG_UNAUTHENTICATED, "The key's team is archived.");
    return check_models(e);
}

/* --- where to --------------------------------------------------------------------------------- */

static void copy_route(struct explanation *e, const struct route *route)
{
    const struct target *target = route->target;

    e->rule = route->rule;
    e->provider_id = target->id;
    e->kind = target->kind;
    memcpy(e->provider_public_id, target->public_id, sizeof(e->provider_public_id));
    memcpy(e->provider, target->name, sizeof(e->provider));
    account_copy_text(route->model, e->provider_model, sizeof(e->provider_model));
}

static enum tg_status size(struct explanation *e, const struct book *book, int64_t now_ms)
{
    const struct meter_call call = {
        .request = &e->request,
        .dialect = e->dialect,
        .kind = e->kind,
        .book = book,
        .facts = model_store_get(e->call->parts->models),
        .provider = span_from(e->provider),
        .model = span_from(e->provider_model),
        .body_bytes = e->body_bytes,
        .at_ms = now_ms,
    };
    const struct book_model *model = NULL;
    struct book_query query = { .at_ms = now_ms };

    TRY(meter_bound(&call, &e->bound));
    if (book != NULL && e->kind->book != NULL)
        model = book_find(book, span_from(e->kind->book), call.model);
    if (model == NULL)
        return TG_OK;
    query.prompt_tokens = e->bound.input_tokens;
    book_rates(model, &query, &e->rates);
    return TG_OK;
}

/* As a worker would, inside the snapshots. */
static enum tg_status find_route(struct explanation *e)
{
    const struct api_parts *parts = e->call->parts;
    const struct book *book = snapshot_get(parts->book);
    const struct route_query query = { .dialect = e->dialect, .model = e->model, .book = book };
    struct route route;
    struct err why = { 0 };

    if (route_find(target_store_get(parts->targets), &query, &route, &why) != TG_OK) {
        object(e, TG_MODEL_NOT_FOUND, why.text);
        return TG_OK;
    }
    copy_route(e, &route);
    return size(e, book, clock_wall_ms());
}

static enum tg_status look_at_route(struct explanation *e)
{
    struct api_view *view = e->call->parts->view;
    enum tg_status status;

    (void)pthread_mutex_lock(&view->lock);
    snapshot_enter(view->domain, view->reader);
    status = find_route(e);
    snapshot_leave(view->domain, view->reader);
    (void)pthread_mutex_unlock(&view->lock);
    if (status == TG_OUT_OF_RANGE)
        return api_fail(e->call, status, "", "the call would cost more than can be counted");
    return status;
}

/* --- whether it fits -------------------------------------------------------------------------- */

static void fill_try(struct explanation *e)
{
    const struct api_parts *parts = e->call->parts;
    struct admit_job *job = &e->try;

    admit_job_init(job, parts->admit);
    job->hold = (struct ledger_hold){
        .attempt_id = parts->next_id(parts->next_id_context),
        .team_id = e->key.team_id,
        .key_id = e->key.id,
        .provider_id = e->provider_id,
        .dialect = span_from(e->dialect->name),
        .model = e->model,
        .input_bound_tokens = e->bound.input_tokens,
        .output_bound_tokens = e->bound.output_tokens,
        .amount_nusd = e->bound.nusd,
        .flags = e->bound.flags,
    };
    job->hold.call_id = job->hold.attempt_id;
    job->ask = (struct admit_ask){
        .body_bytes = e->body_bytes,
        .added_tokens = e->kind->added_tokens,
        .input_pusd = e->bound.input_pusd,
        .output_pusd = e->bound.output_pusd,
        .fixed_nusd = e->bound.fixed_nusd,
        .choices = e->bound.choices,
        .least_output_tokens = e->bound.least_output_tokens,
        .may_clamp = e->bound.may_clamp,
        .is_unpriced = e->bound.is_unpriced,
    };
}

static enum tg_status try_it(struct explanation *e)
{
    const struct api_parts *parts = e->call->parts;
    enum tg_status status;

    if (e->rule == 0)
        return TG_OK;
    fill_try(e);
    status = admit_try(&e->try, parts->writer, &e->call->err);
    if (status == TG_OK)
        return TG_OK;
    if (status != TG_LIMIT_REACHED && status != TG_RATE_LIMITED && status != TG_UNPRICED)
        return status;
    object(e, status, e->try.message);
    return TG_OK;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void put_route(struct explanation *e)
{
    static const char *const rules[] = {
        "", /* numbered as in routing/route.h */
        "the path names the provider",
        "the model's name names the provider",
        "the oldest provider whose price book has the model",
        "the oldest provider whose kind owns the beginning of the model's name",
        "the provider's own list has the model",
        "the only provider that speaks this dialect",
        "the provider marked as default",
    };
    struct json_writer *w = &e->w;

    if (e->rule == 0) {
        json_null(w, "provider");
        json_null(w, "route");
        return;
    }
    assert(e->rule < (int)(sizeof(rules) / sizeof(rules[0])));
    json_open_object(w, "provider");
    json_string(w, "id", e->provider_public_id);
    json_string(w, "name", e->provider);
    json_string(w, "kind", e->kind->name);
    json_string(w, "model", e->provider_model);
    json_close_object(w);
    json_open_object(w, "route");
    json_int(w, "rule", e->rule);
    json_string(w, "why", rules[e->rule]);
    json_close_object(w);
}

/* Those that the book has of its own; what it has none for takes one of these. */
static void put_prices(struct explanation *e)
{
    struct json_writer *w = &e->w;

    json_open_array(w, "prices");
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        const struct cost_rate *rate = &e->rates.rate[class];

        if (rate->price_id == 0 || rate->is_fallback)
            continue;
        json_open_object(w, NULL);
        json_string(w, "class", tg_class_name((enum tg_class) class));
        json_pusd(w, "unit_price", rate->unit_price_pusd);
        json_int(w, "price_id", rate->price_id);
        json_close_object(w);
    }
    json_close_array(w);
}

static void put_hold(struct explanation *e)
{
    const struct ledger_hold *hold = &e->try.hold;
    struct json_writer *w = &e->w;

    if (e->rule == 0) {
        json_null(w, "hold");
        return;
    }
    json_open_object(w, "hold");
    json_int(w, "input_bound_tokens", hold->input_bound_tokens);
    json_int(w, "output_bound_tokens", hold->output_bound_tokens);
    json_money(w, "amount", hold->amount_nusd);
    json_pusd(w, "dearest_input_price", e->bound.input_pusd);
    json_pusd(w, "dearest_output_price", e->bound.output_pusd);
    calls_put_flags(w, hold->flags);
    if (e->try.max_output_tokens > 0)
        json_int(w, "lowered_to_tokens", e->try.max_output_tokens);
    else
        json_null(w, "lowered_to_tokens");
    json_close_object(w);
}

/* What the call would take of a limit, at its proven bound. */
static int64_t estimate_of(const struct explanation *e, enum limit_metric metric)
{
    switch (metric) {
    case LIMIT_COST:
        return e->bound.nusd;
    case LIMIT_INPUT_TOKENS:
        return e->bound.input_tokens;
    case LIMIT_OUTPUT_TOKENS:
        return e->bound.output_tokens;
    case LIMIT_TOTAL_TOKENS:
        return e->bound.input_tokens + e->bound.output_tokens;
    case LIMIT_REQUESTS:
    case LIMIT_PARALLEL:
    case LIMIT_METRIC_COUNT:
        break;
    }
    return 1;
}

/* What a limit alone would say, by the order of reasons that callers are told. */
static const char *verdict_of(const struct limit *limit, const struct admit_count *count,
                              int64_t estimate)
{
    const __int128 spent = (__int128)count->spent + estimate;
    const bool is_rate = limit->metric == LIMIT_PARALLEL || limit->rule.window == PERIOD_MINUTE;

    if (estimate > count->amount)
        return tg_refusal_reason_name(TG_REFUSAL_TOO_LARGE);
    if (spent + count->held <= count->amount)
        return "admits";
    if (is_rate)
        return tg_refusal_reason_name(TG_REFUSAL_RATE);
    return tg_refusal_reason_name(spent > count->amount ? TG_REFUSAL_SPENT : TG_REFUSAL_HELD);
}

/* A key that has not called yet has no count of its own: nothing is spent. */
static enum tg_status look(struct explanation *e, const struct limit *limit,
                           struct admit_count *count)
{
    const struct api_parts *parts = e->call->parts;
    const struct admit_look_query query = { .limit_id = limit->id,
                                            .key_id = limit->is_each_key ? e->key.id : 0,
                                            .counts = count,
                                            .cap = 1 };
    int found = 0;

    *count = (struct admit_count){ .amount = limit->amount };
    return admit_look(parts->admit, parts->writer, &query, &found, &e->call->err);
}

static enum tg_status on_limit(void *context, const struct limit *limit)
{
    struct explanation *e = context;
    const int64_t estimate = estimate_of(e, limit->metric);
    struct json_writer *w = &e->w;
    struct admit_count count;
    int64_t left;

    memcpy(e->last_limit, limit->public_id, sizeof(e->last_limit));
    if (!limit_applies(limit, e->key.team_id, e->key.id, e->model))
        return TG_OK;
    TRY(look(e, limit, &count));
    left = count.amount - count.spent - count.held;
    json_open_object(w, NULL);
    json_string(w, "limit_id", limit->public_id);
    json_string(w, "scope", limit_scope_name(limit->scope));
    json_string(w, "metric", limit_metric_name(limit->metric));
    json_string(w, "window", limit->has_window ? period_window_name(limit->rule.window) : NULL);
    json_string(w, "enforcement", limit->is_hard ? "hard" : "soft");
    limit_put_amount(w, "amount", limit->metric, count.amount);
    limit_put_amount(w, "spent", limit->metric, count.spent);
    limit_put_amount(w, "held", limit->metric, count.held);
    limit_put_amount(w, "remaining", limit->metric, left > 0 ? left : 0);
    limit_put_amount(w, "estimate", limit->metric, estimate);
    json_time(w, "resets_at", count.resets_at_ms);
    json_string(w, "says", verdict_of(limit, &count, estimate));
    json_close_object(w);
    return TG_OK;
}

static enum tg_status put_limits(struct explanation *e)
{
    struct limit_query query = { .scope = e->call->who.scope,
                                 .page = { .limit = ACCOUNT_PAGE_MAX },
                                 .key_id = e->key_id,
                                 .on_row = on_limit,
                                 .context = e };
    bool has_more = true;

    json_open_array(&e->w, "limits");
    while (has_more) {
        TRY(limit_list(e->db, &query, &has_more, &e->call->err));
        query.page.after = e->last_limit;
    }
    json_close_array(&e->w);
    return TG_OK;
}

static const char *reason_of(const struct explanation *e)
{
    if (e->verdict == TG_LIMIT_REACHED || e->verdict == TG_RATE_LIMITED)
        return tg_refusal_reason_name(e->try.refusal.reason);
    if (e->verdict == TG_UNPRICED)
        return tg_refusal_reason_name(TG_REFUSAL_UNPRICED);
    return e->verdict != TG_OK ? tg_status_info(e->verdict)->code : NULL;
}

static enum tg_status answer(struct explanation *e)
{
    struct json_writer *w = &e->w;
    const bool is_by_limit = e->verdict == TG_LIMIT_REACHED || e->verdict == TG_RATE_LIMITED;

    api_begin(e->call, w);
    json_open_object(w, NULL);
    json_bool(w, "admitted", e->verdict == TG_OK);
    json_string(w, "reason", reason_of(e));
    json_string(w, "message", e->verdict == TG_OK ? "The call would be admitted." : e->why.text);
    json_string(w, "limit_id", is_by_limit ? e->try.refusal.limit_id : NULL);
    json_string(w, "key_id", e->key.public_id);
    json_string(w, "team_id", e->key.team_public_id);
    json_string(w, "dialect", e->dialect->name);
    json_text(w, "model", e->model);
    put_route(e);
    put_prices(e);
    put_hold(e);
    TRY(put_limits(e));
    json_close_object(w);
    return TG_OK;
}

enum tg_status explain_get(struct api_call *call)
{
    AUTO(explanation) explanation = { .call = call };
    AUTO(reader) reader = { 0 };

    if (call->parts->targets == NULL || call->parts->view == NULL)
        return api_fail(call, TG_CONFLICT, "", "nothing serves calls here");
    TRY(read_question(&explanation));
    make_request(&explanation);
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    explanation.db = reader.db;
    TRY(check_key(&explanation));
    TRY(look_at_route(&explanation));
    TRY(try_it(&explanation));
    return answer(&explanation);
}
