#include "metering/meter.h"

#include "base/try.h"

#include <assert.h>

/* About what a token of English or code takes; only for charges marked estimated. */
#define BYTES_PER_TOKEN 4

static struct book_query query_of(const struct meter_call *call, struct span model,
                                  struct span tier, int64_t prompt_tokens)
{
    return (struct book_query){
        .provider = call->kind->book != NULL ? span_from(call->kind->book) : SPAN_EMPTY,
        .model = model,
        .tier = tier,
        .prompt_tokens = prompt_tokens,
        .at_ms = call->at_ms,
    };
}

static const struct book_model *find_model(const struct meter_call *call, struct span model)
{
    if (call->kind->book == NULL || call->book == NULL || model.len == 0)
        return NULL;
    return book_find(call->book, span_from(call->kind->book), model);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_free(const struct meter_call *call)
{
    return (call->dialect->flags & TG_DIALECT_IS_FREE) != 0;
}

static bool is_input_only(const struct meter_call *call)
{
    return (call->dialect->flags & TG_DIALECT_INPUT_ONLY) != 0;
}

/* The most that may come out. */
static void bound_output(const struct meter_call *call, struct meter_bound *bound)
{
    const struct tg_request *request = call->request;

    if (is_input_only(call))
        return;
    bound->output_tokens = request->max_output_tokens;
    if ((request->flags & TG_REQUEST_MAX_GIVEN) == 0) {
        bound->output_tokens = METER_OUTPUT_CEILING;
        bound->flags |= LEDGER_CEILING_UNKNOWN;
    }
    bound->output_tokens = smaller(bound->output_tokens * request->choices, TG_COUNT_MAX);
}

enum tg_status meter_bound(const struct meter_call *call, struct meter_bound *ret_bound)
{
    const struct tg_request *request = call->request;
    const struct book_model *model = find_model(call, call->model);
    const struct book_query query = query_of(call, call->model, SPAN_EMPTY, 0);
    int64_t input_pusd = 0;
    int64_t output_pusd = 0;
    struct meter_bound bound = { 0 };

    if (is_free(call)) {
        *ret_bound = bound;
        return TG_OK;
    }
    bound.input_tokens = smaller(call->body_bytes + call->kind->added_tokens, TG_COUNT_MAX);
    if ((request->flags & TG_REQUEST_FETCHES) != 0) {
        bound.input_tokens = METER_CONTEXT_UNKNOWN;
        bound.flags |= LEDGER_UNBOUNDED;
    }
    bound_output(call, &bound);
    if (model != NULL)
        book_dearest(model, &query, &input_pusd, &output_pusd);
    if (input_pusd == 0 && output_pusd == 0)
        bound.flags |= LEDGER_UNPRICED;
    TRY(cost_bound(bound.input_tokens, bound.output_tokens, input_pusd, output_pusd, &bound.nusd));
    *ret_bound = bound;
    return TG_OK;
}

/* --- after --------------------------------------------------------------------------------------
 */

static void use_bound(const struct meter_attempt *attempt, struct tg_usage *usage)
{
    *usage = (struct tg_usage){ 0 };
    usage->count[TG_INPUT] = attempt->bound->input_tokens;
    usage->count[TG_OUTPUT] = attempt->bound->output_tokens;
    usage->prompt_tokens = attempt->bound->input_tokens;
}

/* A record of nothing beside text that was seen is none. */
static bool has_usage(const struct tg_answer *answer)
{
    return (answer->flags & TG_ANSWER_HAS_USAGE) != 0 &&
           (answer->output_bytes == 0 || tg_usage_input_tokens(&answer->usage) > 0 ||
            tg_usage_output_tokens(&answer->usage) > 0);
}

/* Count what was seen. At least one token each way: something was generated, and nothing is free by
 * rounding. */
static void use_estimate(const struct meter_call *call, const struct meter_attempt *attempt,
                         struct tg_usage *usage)
{
    static const enum tg_class fees[] = { TG_WEB_SEARCH, TG_FILE_SEARCH, TG_CODE_SESSION };
    const int64_t input = (call->body_bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
    const int64_t output = (attempt->answer->output_bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
    /* An error in place of any text was not generated. */
    const int64_t least = (attempt->answer->flags & TG_ANSWER_IS_ERROR) != 0 ? 0 : 1;

    *usage = (struct tg_usage){ 0 };
    usage->count[TG_INPUT] = smaller(input > 0 ? input : 1, attempt->bound->input_tokens);
    if (!is_input_only(call))
        usage->count[TG_OUTPUT] = smaller(output > 0 ? output : least, TG_COUNT_MAX);
    usage->prompt_tokens = usage->count[TG_INPUT];
    for (size_t i = 0; i < sizeof(fees) / sizeof(fees[0]); i++) /* seen in the answer so far */
        usage->count[fees[i]] = attempt->answer->usage.count[fees[i]];
}

/* What was used up to where a stream was cut: the counts so far where it carries them, or what was
 * seen, whichever is more. */
static void use_estimate_or_more(const struct meter_call *call, const struct meter_attempt *attempt,
                                 struct tg_usage *usage)
{
    int64_t seen;
    int64_t told;

    use_estimate(call, attempt, usage);
    seen = usage->count[TG_OUTPUT];
    told = tg_usage_output_tokens(&attempt->answer->usage);
    if (!has_usage(attempt->answer))
        return;
    *usage = attempt->answer->usage;
    if (seen > told)
        usage->count[TG_OUTPUT] += seen - told;
}

static bool saw_success(const struct meter_attempt *attempt)
{
    return attempt->http_status >= 200 && attempt->http_status < 300;
}

/* Whether the usage record is the provider's last word: some send one with every event. */
static bool is_final(const struct meter_attempt *attempt)
{
    return attempt->end == METER_ENDED || (attempt->answer->flags & TG_ANSWER_IS_COMPLETE) != 0;
}

/* Whether nothing was seen of what may have been generated in full. */
static bool is_unseen(const struct meter_call *call, const struct meter_attempt *attempt)
{
    return attempt->is_unmetered || (attempt->http_status == 0 && attempt->end == METER_BROKEN) ||
           ((call->request->flags & TG_REQUEST_STREAM) == 0 && attempt->end != METER_ENDED);
}

/* Whose count it is. Providers do not bill what they refuse with a status of 300 or more; a request
 * that was sent and never answered may have been generated in full. */
static void choose_usage(const struct meter_call *call, const struct meter_attempt *attempt,
                         struct ledger_charge *charge)
{
    charge->source = LEDGER_SOURCE_PROVIDER;
    charge->usage = (struct tg_usage){ 0 };
    if (attempt->end == METER_NOT_SENT) {
        charge->flags |= LEDGER_NOT_SENT;
        return;
    }
    if (is_free(call))
        return;
    if (has_usage(attempt->answer) && is_final(attempt)) {
        charge->usage = attempt->answer->usage;
        return;
    }
    if (attempt->http_status >= 300)
        return;
    charge->flags |= LEDGER_ESTIMATED;
    if (is_unseen(call, attempt)) {
        use_bound(attempt, &charge->usage);
        charge->source = LEDGER_SOURCE_CEILING;
        return;
    }
    use_estimate_or_more(call, attempt, &charge->usage);
    charge->source = LEDGER_SOURCE_ESTIMATED;
}

static void keep_rates(const struct cost_rates *rates, struct ledger_charge *charge)
{
    charge->rate_count = 0;
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        if (charge->usage.count[class] == 0 || rates->rate[class].price_id == 0)
            continue;
        charge->rates[charge->rate_count++] = (struct ledger_rate){
            .class = (enum tg_class) class,
            .price_id = rates->rate[class].price_id,
            .unit_price_pusd = rates->rate[class].unit_price_pusd,
        };
    }
}

/* The tier as the book names it; what it does not name (default, auto, on_demand) is the standard
 * one. */
static struct span tier_of(const struct tg_answer *answer)
{
    static const struct span named[] = { { "priority", 8 }, { "flex", 4 }, { "batch", 5 } };
    const struct span tier = span_of(answer->tier.text, answer->tier.len);

    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (span_equal(tier, named[i]))
            return named[i];
    }
    return SPAN("standard");
}

/* A container costs the same whichever model's code runs in it, and stands in the book by itself.
 */
static void add_container_rate(const struct meter_call *call, const struct book_query *query,
                               struct cost_rates *rates)
{
    const struct book_model *container = find_model(call, SPAN("container"));
    struct cost_rates own = { 0 };

    if (container == NULL || rates->rate[TG_CODE_SESSION].price_id != 0)
        return;
    book_rates(container, query, &own);
    rates->rate[TG_CODE_SESSION] = own.rate[TG_CODE_SESSION];
}

static void price(const struct meter_call *call, const struct tg_answer *answer,
                  struct ledger_charge *charge)
{
    const struct span served = span_of(answer->model.text, answer->model.len);
    const struct book_model *model = find_model(call, served);
    const struct book_query query =
        query_of(call, call->model, tier_of(answer), charge->usage.prompt_tokens);
    struct cost_rates rates = { 0 };
    struct cost cost = { 0 };

    /* The answer names what served; where the book does not have that, what was asked. */
    if (model == NULL)
        model = find_model(call, call->model);
    if (model != NULL)
        book_rates(model, &query, &rates);
    if (charge->usage.count[TG_CODE_SESSION] > 0)
        add_container_rate(call, &query, &rates);
    if (cost_of(&charge->usage, &rates, &cost) != TG_OK) {
        charge->flags |= LEDGER_USAGE_DOUBTFUL;
        cost.is_unpriced = true;
    }
    charge->tier = query.tier;
    charge->cost_nusd = cost.nusd;
    charge->provider_cost_nusd =
        (answer->flags & TG_ANSWER_HAS_COST) != 0 ? answer->provider_cost_nusd : cost.nusd;
    if (cost.is_unpriced)
        charge->flags |= LEDGER_UNPRICED;
    if (cost.has_fallback)
        charge->flags |= LEDGER_PRICE_FALLBACK;
    keep_rates(&rates, charge);
}

static enum ledger_outcome outcome_of(const struct meter_attempt *attempt)
{
    if (attempt->client_left)
        return LEDGER_OUTCOME_CLIENT_GONE;
    if (attempt->end != METER_ENDED || !saw_success(attempt) ||
        (attempt->answer->flags & TG_ANSWER_IS_ERROR) != 0)
        return LEDGER_OUTCOME_UPSTREAM_ERROR;
    return LEDGER_OUTCOME_OK;
}

void meter_charge(const struct meter_call *call, const struct meter_attempt *attempt,
                  struct ledger_charge *charge)
{
    const struct meter_bound *bound = attempt->bound;

    charge->flags |= bound->flags & (LEDGER_UNBOUNDED | LEDGER_CEILING_UNKNOWN);
    if ((call->request->flags & TG_REQUEST_STREAM) != 0)
        charge->flags |= LEDGER_STREAM;
    if ((attempt->answer->flags & TG_ANSWER_DOUBTFUL) != 0 ||
        ((attempt->answer->flags & TG_ANSWER_HAS_USAGE) != 0 && !has_usage(attempt->answer)))
        charge->flags |= LEDGER_USAGE_DOUBTFUL;
    choose_usage(call, attempt, charge);
    price(call, attempt->answer, charge);
    charge->hold_nusd = bound->nusd;
    charge->outcome = outcome_of(attempt);
    if (charge->outcome == LEDGER_OUTCOME_UPSTREAM_ERROR)
        charge->flags |= LEDGER_UPSTREAM_ERROR;
    if (attempt->client_left)
        charge->flags |= LEDGER_CLIENT_GONE;
    if (charge->cost_nusd > bound->nusd ||
        tg_usage_input_tokens(&charge->usage) > bound->input_tokens ||
        tg_usage_output_tokens(&charge->usage) > bound->output_tokens)
        charge->flags |= LEDGER_OVERRUN;
    assert(charge->cost_nusd >= 0);
}
