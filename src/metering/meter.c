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
    if ((attempt->answer->flags & TG_ANSWER_SO_FAR) != 0)
        return false;
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

static struct ledger_rate *find_rate(struct ledger_charge *charge, enum tg_class class,
                                     int64_t price_id)
{
    for (int i = 0; i < charge->rate_count; i++)
        if (charge->rates[i].class == class && charge->rates[i].price_id == price_id)
            return &charge->rates[i];
    return NULL;
}

/* Add a part's prices to the charge's. One that there is no room for is missing in the receipt
 * alone. */
static void keep_rates(const struct cost_part *part, struct ledger_charge *charge)
{
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        const struct cost_rate *rate = &part->rates->rate[class];
        struct ledger_rate *kept;

        if (part->usage->count[class] == 0 || rate->price_id == 0)
            continue;
        kept = find_rate(charge, (enum tg_class) class, rate->price_id);
        if (kept == NULL && charge->rate_count < LEDGER_RATES_MAX) {
            kept = &charge->rates[charge->rate_count++];
            *kept = (struct ledger_rate){ .class = (enum tg_class) class,
                                          .price_id = rate->price_id,
                                          .unit_price_pusd = rate->unit_price_pusd };
        }
        if (kept != NULL)
            kept->count += part->usage->count[class];
    }
}

/* A price that holds for all of its class says so. */
static void end_rates(struct ledger_charge *charge)
{
    for (int i = 0; i < charge->rate_count; i++)
        if (charge->rates[i].count == charge->usage.count[charge->rates[i].class])
            charge->rates[i].count = 0;
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

/* What a charge is priced from: all of it at once, or the parts that other models made. */
struct pricing {
    struct cost_part parts[TG_ITERATIONS_MAX];
    struct cost_rates rates[TG_ITERATIONS_MAX];
    int count;
    struct span tier;
    bool has_other_model; /* a part was priced as another model's than the one it names */
};

/* Price `usage` as one part, by the first of the models named that the book has. */
static void add_part(const struct meter_call *call, const struct tg_usage *usage,
                     const struct span *models, int model_count, struct pricing *pricing)
{
    struct cost_rates *const rates = &pricing->rates[pricing->count];
    const struct book_query query =
        query_of(call, call->model, pricing->tier, usage->prompt_tokens);
    const struct book_model *model = NULL;

    *rates = (struct cost_rates){ 0 };
    for (int i = 0; i < model_count && model == NULL; i++)
        model = find_model(call, models[i]);
    if (model != NULL)
        book_rates(model, &query, rates);
    if (usage->count[TG_CODE_SESSION] > 0)
        add_container_rate(call, &query, rates);
    pricing->parts[pricing->count++] = (struct cost_part){ usage, rates };
}

/* Whether the charge is the sum of the answer's iterations, and not a bound or an estimate. */
static bool bills_iterations(const struct tg_answer *answer, const struct ledger_charge *charge)
{
    return answer->iteration_count > 0 && charge->source == LEDGER_SOURCE_PROVIDER &&
           memcmp(&charge->usage, &answer->usage, sizeof(charge->usage)) == 0;
}

/* The answer names what served; where the book does not have that, what was asked. */
static void choose_parts(const struct meter_call *call, const struct tg_answer *answer,
                         const struct ledger_charge *charge, struct pricing *pricing)
{
    const struct span served = span_of(answer->model.text, answer->model.len);
    struct span models[] = { SPAN_EMPTY, served, call->model };

    if (!bills_iterations(answer, charge)) {
        add_part(call, &charge->usage, models, 3, pricing);
        return;
    }
    for (int i = 0; i < answer->iteration_count; i++) {
        const struct tg_iteration *part = &answer->iterations[i];

        models[0] = span_of(part->model.text, part->model.len);
        if (models[0].len > 0 && find_model(call, models[0]) == NULL)
            pricing->has_other_model = true;
        add_part(call, &part->usage, models, 3, pricing);
    }
}

static void price(const struct meter_call *call, const struct tg_answer *answer,
                  struct ledger_charge *charge)
{
    struct pricing pricing;
    struct cost cost = { 0 };

    pricing.count = 0;
    pricing.tier = tier_of(answer);
    pricing.has_other_model = false;
    choose_parts(call, answer, charge, &pricing);
    if (cost_of_parts(pricing.parts, pricing.count, &cost) != TG_OK) {
        charge->flags |= LEDGER_USAGE_DOUBTFUL;
        cost.is_unpriced = true;
    }
    charge->tier = pricing.tier;
    charge->cost_nusd = cost.nusd;
    charge->provider_cost_nusd =
        (answer->flags & TG_ANSWER_HAS_COST) != 0 ? answer->provider_cost_nusd : cost.nusd;
    if (cost.is_unpriced)
        charge->flags |= LEDGER_UNPRICED;
    if (cost.has_fallback || pricing.has_other_model)
        charge->flags |= LEDGER_PRICE_FALLBACK;
    charge->rate_count = 0;
    for (int i = 0; i < pricing.count; i++)
        keep_rates(&pricing.parts[i], charge);
    end_rates(charge);
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
