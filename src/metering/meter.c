#include "metering/meter.h"

#include "base/try.h"

#include <assert.h>

/* About what a token of English or code takes; only for charges marked estimated. */
#define BYTES_PER_TOKEN 4

/* In cost_rate: of an owner's ceiling price, which no row of the book has. */
#define CEILING_PRICE_ID (-1)

static struct book_query query_of(const struct meter_call *call, struct span model,
                                  struct span tier, int64_t prompt_tokens)
{
    return (struct book_query){
        .provider = call->kind->book != NULL ? span_from(call->kind->book) : SPAN_EMPTY,
        .model = model,
        .tier = tier,
        .prompt_tokens = prompt_tokens,
        .at_ms = call->at_ms,
        .team_id = call->team_id,
    };
}

static const struct book_model *find_model(const struct meter_call *call, struct span model)
{
    if (call->kind->book == NULL || call->book == NULL || model.len == 0)
        return NULL;
    return book_match(call->book, span_from(call->kind->book), model, /* ret_found= */ NULL);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool is_dialect(const struct meter_call *call, uint32_t flags)
{
    return (call->dialect->flags & flags) != 0;
}

/* --- what is known of the model ---------------------------------------------------------------
 */

/* Of a kind that is not in the book only what an owner has set under the provider's own name. */
static const struct model *find_known(const struct meter_call *call, struct span model)
{
    if (model.len == 0)
        return NULL;
    if (call->kind->book == NULL)
        return model_facts_find_own(call->facts, call->provider, model);
    return model_facts_find(call->facts, span_from(call->kind->book), model);
}

static struct model known_of(const struct meter_call *call, struct span model)
{
    const struct model *known = find_known(call, model);

    return known != NULL ? *known : (struct model){ 0 };
}

static struct model_largest largest_of(const struct meter_call *call)
{
    if (call->kind->book == NULL)
        return (struct model_largest){ 0 };
    return model_facts_largest(call->facts, span_from(call->kind->book));
}

/* --- before -----------------------------------------------------------------------------------
 */

/* What the bytes of the body, images aside, and its images come to at most. */
static int64_t count_body(const struct meter_call *call)
{
    const struct tg_request *request = call->request;
    const int64_t text_bytes = larger(call->body_bytes - request->media_bytes, 0);
    const int64_t image_tokens =
        request->image_parts == 0 ? 0 : request->image_parts * call->kind->image_tokens_max;

    return smaller(text_bytes + image_tokens + call->kind->added_tokens, TG_COUNT_MAX);
}

static bool has_boundless_media(const struct meter_call *call)
{
    const struct tg_request *request = call->request;

    return request->media_parts > request->image_parts ||
           (request->image_parts > 0 && call->kind->image_tokens_max == 0);
}

static void bound_input(const struct meter_call *call, const struct model *known,
                        struct meter_bound *bound)
{
    const bool is_fetched = (call->request->flags & TG_REQUEST_FETCHES) != 0;
    int64_t window = known->context_tokens;

    bound->context_tokens = window;
    if (!is_fetched && !has_boundless_media(call)) {
        bound->input_tokens = count_body(call);
        if (window > 0)
            bound->input_tokens = smaller(bound->input_tokens, window);
        return;
    }
    if (is_fetched || window == 0)
        bound->flags |= LEDGER_UNBOUNDED;
    if (window == 0)
        window = largest_of(call).context_tokens;
    if (window == 0)
        window = METER_CONTEXT_UNKNOWN;
    /* One that is not the model's own may be too small. */
    if (known->context_tokens == 0)
        window = larger(window, smaller(call->body_bytes + call->kind->added_tokens, TG_COUNT_MAX));
    bound->input_tokens = window;
}

static int64_t bound_choice(const struct meter_call *call, const struct model *known,
                            struct meter_bound *bound)
{
    int64_t largest;

    if ((call->request->flags & TG_REQUEST_MAX_GIVEN) != 0)
        return call->request->max_output_tokens;
    if (known->default_output_tokens > 0)
        return known->default_output_tokens;
    if (known->max_output_tokens > 0)
        return known->max_output_tokens;
    bound->flags |= LEDGER_CEILING_UNKNOWN;
    largest = largest_of(call).max_output_tokens;
    return largest > 0 ? largest : METER_OUTPUT_CEILING;
}

static void bound_output(const struct meter_call *call, const struct model *known,
                         struct meter_bound *bound)
{
    const int64_t thinking = call->request->thinking_budget_tokens;

    bound->may_clamp = !is_dialect(call, TG_DIALECT_NO_MAXIMUM | TG_DIALECT_INPUT_ONLY);
    bound->least_output_tokens =
        thinking > 0 ? larger(METER_LEAST_OUTPUT, thinking + METER_LEAST_BEHIND_THINKING)
                     : METER_LEAST_OUTPUT;
    /* A path into an object is the provider's own dialect's, which knows it. */
    if (known->output_field != NULL && strchr(known->output_field, '.') == NULL)
        bound->output_field = known->output_field;
    if (!is_dialect(call, TG_DIALECT_INPUT_ONLY))
        bound->output_tokens =
            smaller(bound_choice(call, known, bound) * bound->choices, TG_COUNT_MAX);
}

/* The ceiling price where there is no price.
 *
 * return  whether the tokens have one or the other, or are none */
static bool fill_gap(const struct model *known, int64_t tokens, int64_t *pusd,
                     struct meter_bound *bound)
{
    if (tokens == 0)
        return true;
    if (known->ceiling_price_pusd == 0)
        return false;
    *pusd = known->ceiling_price_pusd;
    bound->flags |= LEDGER_CEILING_PRICE;
    return true;
}

static void find_dearest(const struct meter_call *call, const struct model *known,
                         struct meter_bound *bound)
{
    const struct book_model *model = find_model(call, call->model);
    const struct book_query query = query_of(call, call->model, SPAN_EMPTY, 0);
    struct cost_rates rates = { 0 };
    bool has_all = true;

    if (known->is_free)
        return;
    if (model != NULL)
        book_dearest(model, &query, &bound->input_pusd, &bound->output_pusd);
    /* A price of 0 and no price are two things. */
    if (model != NULL && (bound->input_pusd == 0 || bound->output_pusd == 0))
        book_rates(model, &query, &rates);
    if (bound->input_pusd == 0 && rates.rate[TG_INPUT].price_id == 0)
        has_all = fill_gap(known, bound->input_tokens, &bound->input_pusd, bound);
    if (bound->output_pusd == 0 && rates.rate[TG_OUTPUT].price_id == 0)
        has_all = fill_gap(known, bound->output_tokens, &bound->output_pusd, bound) && has_all;
    bound->is_unpriced = !has_all;
    if (bound->is_unpriced)
        bound->flags |= LEDGER_UNPRICED;
}

enum tg_status meter_bound(const struct meter_call *call, struct meter_bound *ret_bound)
{
    const struct model known = known_of(call, call->model);
    struct meter_bound bound = { .choices = larger(call->request->choices, 1) };

    if (!is_dialect(call, TG_DIALECT_IS_FREE)) {
        bound_input(call, &known, &bound);
        bound_output(call, &known, &bound);
        find_dearest(call, &known, &bound);
    }
    TRY(cost_bound(bound.input_tokens, bound.output_tokens, bound.input_pusd, bound.output_pusd,
                   &bound.nusd));
    bound.nusd += bound.fixed_nusd;
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
    if (!is_dialect(call, TG_DIALECT_INPUT_ONLY))
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
    if (is_dialect(call, TG_DIALECT_IS_FREE)) {
        charge->usage = (struct tg_usage){ 0 };
        return;
    }
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
            .price_id =
                rates->rate[class].price_id == CEILING_PRICE_ID ? 0 : rates->rate[class].price_id,
            .unit_price_pusd = rates->rate[class].unit_price_pusd,
            .factor_num = rates->rate[class].factor.num,
            .factor_den = rates->rate[class].factor.den,
        };
    }
}

/* The tier as the book names it; what it does not name (default, auto, on_demand) is the standard
 * one. A speed that has a price is a tier in the book. */
static struct span tier_of(const struct tg_answer *answer)
{
    static const struct span named[] = { { "priority", 8 }, { "flex", 4 }, { "batch", 5 } };
    const struct span tier = span_of(answer->tier.text, answer->tier.len);

    if (span_equal(span_of(answer->speed.text, answer->speed.len), SPAN("fast")))
        return SPAN("fast");
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

/* The model that an answer is priced as: the one it names; where the book does not have that, the
 * one that was asked for. */
static const struct book_model *find_served(const struct meter_call *call,
                                            const struct tg_answer *answer,
                                            struct match_found *ret_found)
{
    const struct span served = span_of(answer->model.text, answer->model.len);
    const struct book_model *model = NULL;

    *ret_found = (struct match_found){ 0 };
    if (call->kind->book == NULL || call->book == NULL)
        return NULL;
    if (served.len > 0)
        model = book_match(call->book, span_from(call->kind->book), served, ret_found);
    if (model == NULL && call->model.len > 0)
        model = book_match(call->book, span_from(call->kind->book), call->model, ret_found);
    return model;
}

/* An owner's word on the model that was asked for, else on the one that served. */
static struct model word_of(const struct meter_call *call, struct span served)
{
    const struct model served_known = known_of(call, served);
    struct model known = known_of(call, call->model);

    known.is_free = known.is_free || served_known.is_free;
    if (known.ceiling_price_pusd == 0)
        known.ceiling_price_pusd = served_known.ceiling_price_pusd;
    return known;
}

/* Give tokens without a price the ceiling price. */
static void fill_gaps(const struct model *word, struct cost_rates *rates,
                      struct ledger_charge *charge)
{
    if (word->ceiling_price_pusd == 0)
        return;
    for (int class = 0; class < TG_TOKEN_CLASS_COUNT; class ++) {
        if (charge->usage.count[class] == 0 || rates->rate[class].price_id != 0)
            continue;
        rates->rate[class] = (struct cost_rate){
            .price_id = CEILING_PRICE_ID,
            .unit_price_pusd = word->ceiling_price_pusd,
        };
        charge->flags |= LEDGER_CEILING_PRICE;
    }
}

/* What the provider takes, where teams are charged something else. */
static int64_t provider_cost_of(const struct book_model *model, const struct book_query *query,
                                const struct model *word, struct ledger_charge *charge)
{
    struct book_query asked = *query;
    struct cost_rates rates;
    struct cost cost;

    asked.side = BOOK_COST;
    if (model == NULL || !book_has_two_sides(model))
        return charge->cost_nusd;
    book_rates(model, &asked, &rates);
    fill_gaps(word, &rates, charge);
    return cost_of(&charge->usage, &rates, &cost) == TG_OK ? cost.nusd : charge->cost_nusd;
}

static void price(const struct meter_call *call, const struct tg_answer *answer,
                  struct ledger_charge *charge)
{
    const struct span served = span_of(answer->model.text, answer->model.len);
    struct match_found found;
    const struct book_model *model = find_served(call, answer, &found);
    struct book_query query =
        query_of(call, call->model, tier_of(answer), charge->usage.prompt_tokens);
    const struct model word = word_of(call, served);
    struct cost_rates rates = { 0 };
    struct cost cost = { 0 };

    charge->tier = query.tier;
    if (word.is_free) {
        charge->provider_cost_nusd =
            (answer->flags & TG_ANSWER_HAS_COST) != 0 ? answer->provider_cost_nusd : 0;
        return;
    }
    query.region =
        answer->region.len > 0 ? span_of(answer->region.text, answer->region.len) : found.region;
    if (model != NULL)
        book_rates(model, &query, &rates);
    if (charge->usage.count[TG_CODE_SESSION] > 0)
        add_container_rate(call, &query, &rates);
    fill_gaps(&word, &rates, charge);
    if (cost_of(&charge->usage, &rates, &cost) != TG_OK) {
        charge->flags |= LEDGER_USAGE_DOUBTFUL;
        cost.is_unpriced = true;
    }
    charge->cost_nusd = cost.nusd;
    charge->provider_cost_nusd = (answer->flags & TG_ANSWER_HAS_COST) != 0
                                     ? answer->provider_cost_nusd
                                     : provider_cost_of(model, &query, &word, charge);
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

    charge->flags |= bound->flags &
                     (LEDGER_UNBOUNDED | LEDGER_CEILING_UNKNOWN | LEDGER_LEARNED | LEDGER_CLAMPED);
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
