#include "quota/decide.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/money.h"
#include "base/try.h"
#include "pricing/cost.h"

#include <assert.h>
#include <stdio.h>

#define RETRY_AFTER_MAX 60
#define MS_PER_SECOND   1000
#define MODEL_SHOWN_MAX 80 /* bytes of its name, in a message */

static enum tg_status price(const struct admit_ask *ask, struct ledger_amounts *amounts)
{
    int64_t nusd = 0;

    TRY(cost_bound(amounts->input_tokens, amounts->output_tokens, ask->input_pusd, ask->output_pusd,
                   &nusd));
    if (__builtin_add_overflow(nusd, ask->fixed_nusd, &amounts->cost_nusd))
        return TG_OUT_OF_RANGE;
    return TG_OK;
}

/* Try again with the bound that was learned, in limits that are not strict. */
static enum tg_status try_learned(struct deciding *deciding)
{
    const struct admit_job *job = deciding->job;
    const struct learned_call call = {
        .provider_id = job->hold.provider_id,
        .model = job->hold.model,
        .body_bytes = job->ask.body_bytes,
        .added_tokens = job->ask.added_tokens,
    };
    const int64_t input_tokens = learned_bound(deciding->learned, &call);

    if (input_tokens == 0 || input_tokens >= deciding->need.used.input_tokens ||
        (job->hold.flags & LEDGER_UNBOUNDED) != 0)
        return TG_LIMIT_REACHED;
    deciding->need.used.input_tokens = input_tokens;
    TRY(price(&job->ask, &deciding->need.used));
    deciding->is_learned = true;
    return balance_check(deciding->balance, &deciding->call, &deciding->need, &deciding->refusal);
}

/* Try again with a lower maximum of the output. */
static enum tg_status try_clamped(struct deciding *deciding)
{
    const struct admit_ask *ask = &deciding->job->ask;
    const struct balance_price per_token = {
        .input_pusd = ask->input_pusd,
        .output_pusd = ask->output_pusd,
        .fixed_nusd = ask->fixed_nusd,
    };
    struct balance_need need = deciding->need;
    struct balance_refusal refusal;
    int64_t fits;
    int64_t each;

    if (!ask->may_clamp)
        return TG_LIMIT_REACHED;
    assert(ask->choices > 0);
    fits = balance_fit(deciding->balance, &deciding->call, &need, &per_token);
    each = fits < 0 ? 0 : fits / ask->choices;
    if (each < ask->least_output_tokens || each * ask->choices >= need.used.output_tokens)
        return TG_LIMIT_REACHED;
    need.used.output_tokens = each * ask->choices;
    need.proven.output_tokens = need.used.output_tokens;
    TRY(price(ask, &need.used));
    TRY(price(ask, &need.proven));
    TRY(balance_check(deciding->balance, &deciding->call, &need, &refusal));
    deciding->need = need;
    deciding->output_per_choice = each;
    return TG_OK;
}

enum tg_status decide(struct deciding *deciding)
{
    struct balance *balance = deciding->balance;
    bool counts_money = false;
    enum tg_status status;

    if (deciding->job->ask.is_unpriced) {
        if (balance_counts_money(balance, &deciding->call, &counts_money) != TG_OK)
            return TG_OVERLOADED;
        if (counts_money)
            return TG_UNPRICED;
    }
    status = balance_check(balance, &deciding->call, &deciding->need, &deciding->refusal);
    if (status == TG_LIMIT_REACHED)
        status = try_learned(deciding);
    if (status == TG_LIMIT_REACHED)
        status = try_clamped(deciding);
    return status == TG_NO_MEMORY ? TG_OVERLOADED : status;
}

struct deciding decide_begin(struct admit_job *job, struct balance *balance,
                             const struct learned *learned)
{
    const struct ledger_hold *hold = &job->hold;
    const struct ledger_amounts proven = {
        .input_tokens = hold->input_bound_tokens,
        .output_tokens = hold->output_bound_tokens,
        .requests = hold->call_id == hold->attempt_id ? 1 : 0,
        .cost_nusd = hold->amount_nusd,
    };

    return (struct deciding){
        .balance = balance,
        .learned = learned,
        .job = job,
        .call = { hold->attempt_id, hold->team_id, hold->key_id, hold->model },
        .need = { proven, proven },
    };
}

void decide_keep(const struct deciding *deciding)
{
    struct admit_job *job = deciding->job;

    job->hold.input_bound_tokens = deciding->need.used.input_tokens;
    job->hold.output_bound_tokens = deciding->need.used.output_tokens;
    job->hold.amount_nusd = deciding->need.used.cost_nusd;
    job->max_output_tokens = deciding->output_per_choice;
    if (deciding->is_learned)
        job->hold.flags |= LEDGER_LEARNED;
    if (deciding->output_per_choice > 0)
        job->hold.flags |= LEDGER_CLAMPED;
}

/* --- telling of a success -----------------------------------------------------------------------
 */

static void keep_rate(void *context, const struct balance_count *count)
{
    struct admit_rate *rates = context;
    const enum limit_metric metric = count->limit->metric;
    const __int128 left = (__int128)count->amount - count->spent - count->held;
    const int64_t remaining = left > 0 ? (int64_t)left : 0;
    struct admit_rate *rate = NULL;

    if (!count->limit->is_hard || !count->limit->has_window ||
        count->limit->rule.window != PERIOD_MINUTE || metric == LIMIT_COST)
        return;
    rate = &rates[metric == LIMIT_REQUESTS ? ADMIT_RATE_REQUESTS : ADMIT_RATE_TOKENS];
    if (rate->is_there && rate->remaining <= remaining)
        return;
    *rate = (struct admit_rate){ true, count->amount, remaining, count->period.end_ms };
}

enum tg_status decide_tell_rates(const struct deciding *deciding)
{
    return balance_look_call(deciding->balance, &deciding->call, keep_rate, deciding->job->rates);
}

/* --- telling of a refusal -----------------------------------------------------------------------
 */

static void write_amount(enum limit_metric metric, int64_t value, char text[TG_AMOUNT_SIZE])
{
    if (metric == LIMIT_COST)
        money_format(value, text);
    else
        (void)snprintf(text, TG_AMOUNT_SIZE, "%lld", (long long)value);
}
static_assert(MONEY_TEXT_SIZE <= TG_AMOUNT_SIZE, "an amount of money fits");

static int retry_after(const struct balance_refusal *refusal, int64_t now_ms)
{
    int64_t seconds;

    if (refusal->reason == TG_REFUSAL_HELD)
        return 1;
    if (refusal->reason != TG_REFUSAL_RATE)
        return 0;
    if (!refusal->limit->has_window)
        return 1;
    seconds = (refusal->period.end_ms - now_ms + MS_PER_SECOND - 1) / MS_PER_SECOND;
    if (seconds < 1)
        return 1;
    return seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : (int)seconds;
}

static const char *why(enum tg_refusal_reason reason)
{
    switch (reason) {
    case TG_REFUSAL_TOO_LARGE:
        return "this call alone may need more than all of it";
    case TG_REFUSAL_RATE:
        return "it is used up for the moment";
    case TG_REFUSAL_SPENT:
        return "what is left of it does not suffice for this call";
    case TG_REFUSAL_HELD:
        return "calls that are still open hold the rest of it";
    case TG_REFUSAL_UNPRICED:
        break;
    }
    return "";
}

static void write_message(struct admit_job *job, const struct limit *limit)
{
    const struct tg_refusal *refusal = &job->refusal;
    const char *const unit = limit->metric == LIMIT_COST ? " USD" : "";

    (void)snprintf(
        job->message, sizeof(job->message),
        "The %s's limit on %s%s%s is %s%s: %s. Spent %s, held %s, this call needs up to %s. %s%s%s",
        refusal->scope, refusal->metric, refusal->window[0] != '\0' ? " per " : "", refusal->window,
        refusal->amount, unit, why(refusal->reason), refusal->spent, refusal->held,
        refusal->estimate, refusal->resets_at[0] != '\0' ? "Resets at " : "", refusal->resets_at,
        refusal->resets_at[0] != '\0' ? "." : "");
}

static void tell_refusal(const struct deciding *deciding)
{
    const struct balance_refusal *found = &deciding->refusal;
    const struct limit *limit = found->limit;
    struct admit_job *job = deciding->job;
    struct tg_refusal *refusal = &job->refusal;

    *refusal = (struct tg_refusal){
        .reason = found->reason,
        .scope = limit_scope_name(limit->scope),
        .metric = limit_metric_name(limit->metric),
        .window = limit->has_window ? period_window_name(limit->rule.window) : "",
        .retry_after_s = retry_after(found, id_wall_ms(job->hold.attempt_id)),
    };
    memcpy(refusal->limit_id, limit->public_id, sizeof(limit->public_id));
    write_amount(limit->metric, found->amount, refusal->amount);
    write_amount(limit->metric, found->spent, refusal->spent);
    write_amount(limit->metric, found->held, refusal->held);
    write_amount(limit->metric, found->estimate, refusal->estimate);
    if (limit->has_window && limit->rule.window != PERIOD_TOTAL)
        clock_format_rfc3339(found->period.end_ms, refusal->resets_at);
    write_message(job, limit);
}

struct refusal decide_refusal(const struct deciding *deciding, enum tg_status status)
{
    const struct ledger_hold *hold = &deciding->job->hold;
    const struct balance_refusal *found = &deciding->refusal;
    struct refusal refusal = {
        .id = hold->attempt_id,
        .team_id = hold->team_id,
        .key_id = hold->key_id,
        .provider_id = hold->provider_id,
        .dialect = hold->dialect,
        .model = hold->model,
        .reason = TG_REFUSAL_UNPRICED,
        .flags = hold->flags,
    };

    if (status == TG_LIMIT_REACHED) {
        refusal.reason = found->reason;
        refusal.limit_id = found->limit->id;
        refusal.amount = found->amount;
        refusal.spent = found->spent;
        refusal.held = found->held;
        refusal.estimate = found->estimate;
    }
    return refusal;
}

enum tg_status decide_explain(const struct deciding *deciding, enum tg_status status)
{
    const enum tg_refusal_reason reason = deciding->refusal.reason;

    if (status == TG_UNPRICED)
        (void)snprintf(deciding->job->message, sizeof(deciding->job->message),
                       "The model '%.*s' has no price, and a limit in money applies: set a price, "
                       "declare it free, or give it a ceiling price.",
                       (int)span_utf8_cut(deciding->call.model, MODEL_SHOWN_MAX),
                       deciding->call.model.ptr);
    if (status != TG_LIMIT_REACHED)
        return status;
    tell_refusal(deciding);
    return reason == TG_REFUSAL_RATE || reason == TG_REFUSAL_HELD ? TG_RATE_LIMITED
                                                                  : TG_LIMIT_REACHED;
}
