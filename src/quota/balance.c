#include "quota/balance.h"

#include "base/map.h"
#include "base/try.h"
#include "policy/calendar.h"
#include "pricing/cost.h"
#include "quota/counter.h"

#include <assert.h>
#include <stdlib.h>

#define PUSD_PER_NUSD 1000

/* A limit and what counts against it. */
struct watch {
    struct list node; /* in balance->watches, or balance->leaving once removed */
    struct limit limit;
    const struct calendar *calendar;
    struct list sets; /* of struct counter_set: one, or one for each key */
};

/* The limits of all calls of one key that ask for one model. */
struct vector {
    int32_t key_id;
    struct span model; /* behind the sets */
    size_t count;
    struct counter_set *sets[];
};

struct open_hold {
    struct list batch_node; /* in balance->added or ->ended while the batch is open */
    int64_t attempt_id;
    int32_t team_id;
    int32_t key_id;
    struct balance_held held;
    size_t count;
    struct counter **counters; /* each counts it */
    size_t model_len;
    char model[]; /* as asked for */
};

struct balance {
    struct list watches;
    struct list leaving; /* removed, with open holds */
    struct map vectors;
    struct map holds; /* of struct open_hold */
    struct counter_log log;
    struct list added;
    struct list ended;
    bool is_broken;
};

/* --- amounts ------------------------------------------------------------------------------------
 */

static int64_t metric_of(enum limit_metric metric, const struct ledger_amounts *amounts)
{
    switch (metric) {
    case LIMIT_COST:
        return amounts->cost_nusd;
    case LIMIT_INPUT_TOKENS:
        return amounts->input_tokens;
    case LIMIT_OUTPUT_TOKENS:
        return amounts->output_tokens;
    case LIMIT_TOTAL_TOKENS:
        return amounts->input_tokens + amounts->output_tokens;
    case LIMIT_REQUESTS:
        return amounts->requests;
    case LIMIT_PARALLEL:
    case LIMIT_METRIC_COUNT:
        break;
    }
    return 0;
}

static const struct ledger_amounts *need_in(const struct limit *limit,
                                            const struct balance_need *need)
{
    return limit->is_strict ? &need->proven : &need->used;
}

/* What a call takes of a limit while it is open. */
static int64_t estimate_in(const struct limit *limit, const struct balance_need *need)
{
    if (limit->metric == LIMIT_PARALLEL)
        return 1;
    return metric_of(limit->metric, need_in(limit, need));
}

/* --- life ---------------------------------------------------------------------------------------
 */

enum tg_status balance_new(struct balance **ret_balance)
{
    struct balance *balance = calloc(1, sizeof(*balance));

    if (balance == NULL)
        return TG_NO_MEMORY;
    list_init(&balance->watches);
    list_init(&balance->leaving);
    list_init(&balance->added);
    list_init(&balance->ended);
    counter_log_init(&balance->log);
    map_init(&balance->vectors, BALANCE_VECTORS_MAX);
    map_init(&balance->holds, BALANCE_HOLDS_MAX);
    *ret_balance = balance;
    return TG_OK;
}

static void clear_vectors(struct balance *balance)
{
    struct vector *vector;
    size_t cursor = 0;

    while ((vector = map_next(&balance->vectors, &cursor)) != NULL)
        free(vector);
    map_clear(&balance->vectors);
}

static void free_hold(struct open_hold *hold)
{
    free(hold->counters);
    free(hold);
}

static void free_watch(struct watch *watch)
{
    while (!list_is_empty(&watch->sets)) {
        struct counter_set *set = LIST_ENTRY(watch->sets.next, struct counter_set, node);

        counter_set_fini(set);
        free(set);
    }
    list_remove(&watch->node);
    limit_fini(&watch->limit);
    free(watch);
}

/* Take a hold out of what its counters count as open. */
static void forget_counters(struct open_hold *hold)
{
    for (size_t i = 0; i < hold->count; i++) {
        hold->counters[i]->open_holds--;
        hold->counters[i]->set->open_holds--;
    }
    hold->count = 0;
}

static void free_watches(struct list *watches)
{
    while (!list_is_empty(watches))
        free_watch(LIST_ENTRY(watches->next, struct watch, node));
}

void balance_free(struct balance *balance)
{
    struct open_hold *hold;
    size_t cursor = 0;

    if (balance == NULL)
        return;
    clear_vectors(balance);
    while ((hold = map_next(&balance->holds, &cursor)) != NULL) {
        forget_counters(hold);
        free_hold(hold);
    }
    free_watches(&balance->watches);
    free_watches(&balance->leaving);
    map_fini(&balance->vectors);
    map_fini(&balance->holds);
    free(balance);
}

/* --- which limits -------------------------------------------------------------------------------
 */

static struct counter_set *find_set(const struct watch *watch, int32_t key_id)
{
    for (struct list *node = watch->sets.next; node != &watch->sets; node = node->next) {
        struct counter_set *set = LIST_ENTRY(node, struct counter_set, node);

        if (set->key_id == key_id)
            return set;
    }
    return NULL;
}

/* The counters of a limit for a key, made where there are none. NULL: no memory */
static struct counter_set *set_of(struct balance *balance, struct watch *watch, int32_t key_id)
{
    const int32_t own_key = watch->limit.is_each_key ? key_id : 0;
    struct counter_set *set = find_set(watch, own_key);

    if (set != NULL)
        return set;
    set = malloc(sizeof(*set));
    if (set == NULL)
        return NULL;
    counter_set_init(set, &watch->limit, watch->calendar, &balance->log);
    set->key_id = own_key;
    list_push_back(&watch->sets, &set->node);
    return set;
}

static uint64_t vector_hash(int32_t key_id, struct span model)
{
    return span_hash(model) ^ map_hash_int((uint64_t)key_id);
}

static bool is_vector_of(const void *value, const void *key)
{
    const struct vector *vector = value;
    const struct balance_call *call = key;

    return vector->key_id == call->key_id && span_equal(vector->model, call->model);
}

static size_t count_limits(const struct balance *balance, const struct balance_call *call)
{
    size_t count = 0;

    for (struct list *node = balance->watches.next; node != &balance->watches; node = node->next) {
        const struct watch *watch = LIST_ENTRY(node, struct watch, node);

        count += limit_applies(&watch->limit, call->team_id, call->key_id, call->model) ? 1 : 0;
    }
    return count;
}

static enum tg_status fill_vector(struct balance *balance, const struct balance_call *call,
                                  struct vector *vector)
{
    for (struct list *node = balance->watches.next; node != &balance->watches; node = node->next) {
        struct watch *watch = LIST_ENTRY(node, struct watch, node);
        struct counter_set *set;

        if (!limit_applies(&watch->limit, call->team_id, call->key_id, call->model))
            continue;
        set = set_of(balance, watch, call->key_id);
        if (set == NULL)
            return TG_NO_MEMORY;
        vector->sets[vector->count++] = set;
    }
    return TG_OK;
}

static enum tg_status make_vector(struct balance *balance, const struct balance_call *call,
                                  struct vector **ret_vector)
{
    const size_t count = count_limits(balance, call);
    const size_t sets_bytes = count * sizeof(struct counter_set *);
    struct vector *vector = calloc(1, sizeof(*vector) + sets_bytes + call->model.len + 1);
    char *model;
    enum tg_status status;

    if (vector == NULL)
        return TG_NO_MEMORY;
    model = (char *)vector + sizeof(*vector) + sets_bytes;
    memcpy(model, call->model.ptr, call->model.len);
    vector->key_id = call->key_id;
    vector->model = span_of(model, call->model.len);
    status = fill_vector(balance, call, vector);
    if (balance->vectors.count == BALANCE_VECTORS_MAX)
        clear_vectors(balance);
    if (status == TG_OK)
        status = map_add(&balance->vectors, vector_hash(call->key_id, call->model), vector);
    if (status != TG_OK) {
        free(vector);
        return TG_NO_MEMORY;
    }
    *ret_vector = vector;
    return TG_OK;
}

static enum tg_status vector_of(struct balance *balance, const struct balance_call *call,
                                struct vector **ret_vector)
{
    struct vector *vector =
        map_get(&balance->vectors, vector_hash(call->key_id, call->model), is_vector_of, call);

    if (vector == NULL)
        return make_vector(balance, call, ret_vector);
    *ret_vector = vector;
    return TG_OK;
}

/* --- limits come and go -------------------------------------------------------------------------
 */

static struct watch *find_watch(const struct balance *balance, int32_t limit_id)
{
    for (struct list *node = balance->watches.next; node != &balance->watches; node = node->next) {
        struct watch *watch = LIST_ENTRY(node, struct watch, node);

        if (watch->limit.id == limit_id)
            return watch;
    }
    return NULL;
}

/* Count an open hold in a counter too. */
static enum tg_status join(struct open_hold *hold, struct counter *counter)
{
    struct counter **counters =
        realloc(hold->counters, (hold->count + 1) * sizeof(struct counter *));

    if (counters == NULL)
        return TG_NO_MEMORY;
    counters[hold->count++] = counter;
    hold->counters = counters;
    counter->open_holds++;
    counter->set->open_holds++;
    counter->now.held += estimate_in(counter->set->limit, &hold->held.need);
    return TG_OK;
}

static enum tg_status join_open_holds(struct balance *balance, struct watch *watch)
{
    struct open_hold *hold;
    size_t cursor = 0;

    while ((hold = map_next(&balance->holds, &cursor)) != NULL) {
        struct counter_set *set;
        struct counter *counter;
        enum tg_status status;

        if (!limit_applies(&watch->limit, hold->team_id, hold->key_id,
                           span_of(hold->model, hold->model_len)))
            continue;
        set = set_of(balance, watch, hold->key_id);
        if (set == NULL)
            return TG_NO_MEMORY;
        status = counter_at(set, id_wall_ms(hold->attempt_id), &counter);
        if (status == TG_NOT_FOUND)
            continue; /* of a period that is over */
        TRY(status);
        TRY(join(hold, counter));
    }
    return TG_OK;
}

/* Open the current period, so that what is seeded has its place. */
static enum tg_status open_current(struct balance *balance, struct watch *watch, int64_t now_ms)
{
    struct counter_set *set;
    struct counter *counter;
    enum tg_status status;

    if (watch->limit.is_each_key)
        return TG_OK; /* each key's when it is seen */
    set = set_of(balance, watch, 0);
    if (set == NULL)
        return TG_NO_MEMORY;
    status = counter_at(set, now_ms, &counter);
    return status == TG_NOT_FOUND ? TG_OK : status;
}

static void take_over(struct watch *watch, struct limit *limit)
{
    limit_fini(&watch->limit);
    watch->limit = *limit;
    for (struct list *node = watch->sets.next; node != &watch->sets; node = node->next) {
        struct counter_set *set = LIST_ENTRY(node, struct counter_set, node);

        for (struct list *at = set->counters.next; at != &set->counters; at = at->next)
            LIST_ENTRY(at, struct counter, node)->now.told = 0; /* told again, stored once */
    }
}

enum tg_status balance_put(struct balance *balance, const struct limit *limit,
                           const struct calendar *calendar, int64_t now_ms)
{
    struct watch *watch = find_watch(balance, limit->id);
    struct limit copy = { 0 };
    enum tg_status status;

    TRY(limit_copy(limit, &copy));
    clear_vectors(balance);
    if (watch != NULL) {
        take_over(watch, &copy);
        return TG_OK;
    }
    watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        limit_fini(&copy);
        return TG_NO_MEMORY;
    }
    watch->limit = copy;
    watch->calendar = calendar;
    list_init(&watch->sets);
    list_push_back(&balance->watches, &watch->node);
    status = open_current(balance, watch, now_ms);
    if (status == TG_OK)
        status = join_open_holds(balance, watch);
    if (status != TG_OK)
        balance_remove(balance, limit->id);
    return status;
}

static int open_holds_of(const struct watch *watch)
{
    int count = 0;

    for (struct list *node = watch->sets.next; node != &watch->sets; node = node->next)
        count += LIST_ENTRY(node, struct counter_set, node)->open_holds;
    return count;
}

void balance_remove(struct balance *balance, int32_t limit_id)
{
    struct watch *watch = find_watch(balance, limit_id);

    if (watch == NULL)
        return;
    clear_vectors(balance);
    list_remove(&watch->node);
    if (open_holds_of(watch) == 0)
        free_watch(watch);
    else
        list_push_back(&balance->leaving, &watch->node);
}

bool balance_has(const struct balance *balance, int32_t limit_id)
{
    return find_watch(balance, limit_id) != NULL;
}

/* --- the past -----------------------------------------------------------------------------------
 */

static void add_amounts(struct counter *counter, const struct ledger_amounts *amounts,
                        const struct ledger_amounts *unreconciled)
{
    const enum limit_metric metric = counter->set->limit->metric;

    counter->now.spent += metric_of(metric, amounts);
    counter->now.unreconciled += metric_of(metric, unreconciled);
}

static enum tg_status seed_set(struct counter_set *set, const struct balance_past *past)
{
    struct period current;
    struct counter *counter;
    enum tg_status status;

    calendar_at(set->calendar, past->now_ms, &current);
    if (current.start_ms != past->start_ms)
        return TG_OK;
    status = counter_at(set, past->now_ms, &counter);
    if (status == TG_NOT_FOUND)
        return TG_OK; /* a later one is open already, with nothing of this in it */
    TRY(status);
    add_amounts(counter, &past->spent, &past->unreconciled);
    return TG_OK;
}

enum tg_status balance_seed(struct balance *balance, const struct balance_past *past)
{
    const struct balance_call call = {
        .team_id = past->team_id,
        .key_id = past->key_id,
        .model = past->model,
    };
    struct vector *vector;

    TRY(vector_of(balance, &call, &vector));
    for (size_t i = 0; i < vector->count; i++) {
        struct counter_set *set = vector->sets[i];

        if (past->limit_id == 0 || set->limit->id == past->limit_id)
            TRY(seed_set(set, past));
    }
    return TG_OK;
}

/* --- checking -----------------------------------------------------------------------------------
 */

static enum tg_refusal_reason reason_of(const struct limit *limit, const struct counter *counter,
                                        int64_t estimate)
{
    const int64_t amount = counter_amount(counter);

    if (estimate > amount)
        return TG_REFUSAL_TOO_LARGE;
    if (!limit->has_window || limit->rule.window == PERIOD_MINUTE)
        return TG_REFUSAL_RATE;
    return counter->now.spent > amount - estimate ? TG_REFUSAL_SPENT : TG_REFUSAL_HELD;
}

/* What is left. Spent and held may be above the amount: an overrun, or a limit that was lowered. */
static int64_t room_in(const struct counter *counter)
{
    const __int128 room =
        (__int128)counter_amount(counter) - counter->now.spent - counter->now.held;

    return room < INT64_MIN ? INT64_MIN : (int64_t)room;
}

/* How long a reason lasts: what lasts longer is the better answer. */
static int rank_of(enum tg_refusal_reason reason)
{
    switch (reason) {
    case TG_REFUSAL_TOO_LARGE:
        return 3;
    case TG_REFUSAL_SPENT:
        return 2;
    case TG_REFUSAL_RATE:
        return 1;
    case TG_REFUSAL_HELD:
    case TG_REFUSAL_UNPRICED:
        break;
    }
    return 0;
}

/* Whether a is the better answer than b. */
static bool outweighs(const struct balance_refusal *a, const struct balance_refusal *b)
{
    const int rank = rank_of(a->reason) - rank_of(b->reason);
    const __int128 left = (__int128)(a->amount - a->spent - a->held) * b->amount;
    const __int128 right = (__int128)(b->amount - b->spent - b->held) * a->amount;

    return rank != 0 ? rank > 0 : left < right;
}

static void keep_refusal(const struct counter *counter, int64_t estimate, bool is_first,
                         struct balance_refusal *refusal)
{
    const struct balance_refusal found = {
        .reason = reason_of(counter->set->limit, counter, estimate),
        .limit = counter->set->limit,
        .period = counter->period,
        .amount = counter_amount(counter),
        .spent = counter->now.spent,
        .held = counter->now.held,
        .estimate = estimate,
    };

    if (is_first || outweighs(&found, refusal))
        *refusal = found;
}

/* A moment before every period that is kept: the admission came just behind a period's end. */
static struct balance_refusal too_late(const struct counter_set *set, int64_t estimate)
{
    const struct counter *newest = counter_newest(set);

    return (struct balance_refusal){
        .reason = TG_REFUSAL_RATE,
        .limit = set->limit,
        .period = newest->period,
        .amount = counter_amount(newest),
        .spent = newest->now.spent,
        .held = newest->now.held,
        .estimate = estimate,
    };
}

enum tg_status balance_check(struct balance *balance, const struct balance_call *call,
                             const struct balance_need *need, struct balance_refusal *ret_refusal)
{
    const int64_t at_ms = id_wall_ms(call->attempt_id);
    struct balance_refusal refusal = { 0 };
    struct vector *vector;
    bool fits = true;

    TRY(vector_of(balance, call, &vector));
    for (size_t i = 0; i < vector->count; i++) {
        const struct limit *limit = vector->sets[i]->limit;
        const int64_t estimate = estimate_in(limit, need);
        struct counter *counter = NULL;
        enum tg_status status;

        status = counter_at(vector->sets[i], at_ms, &counter);
        if (status == TG_NOT_FOUND) {
            *ret_refusal = too_late(vector->sets[i], estimate);
            return TG_LIMIT_REACHED;
        }
        TRY(status);
        if (!limit->is_hard || room_in(counter) >= estimate)
            continue;
        keep_refusal(counter, estimate, fits, &refusal);
        fits = false;
    }
    if (fits)
        return TG_OK;
    *ret_refusal = refusal;
    return TG_LIMIT_REACHED;
}

enum tg_status balance_counts_money(struct balance *balance, const struct balance_call *call,
                                    bool *ret_does)
{
    struct vector *vector;
    bool does = false;

    TRY(vector_of(balance, call, &vector));
    for (size_t i = 0; i < vector->count; i++)
        does = does ||
               (vector->sets[i]->limit->is_hard && vector->sets[i]->limit->metric == LIMIT_COST);
    *ret_does = does;
    return TG_OK;
}

/* Of a limit that is short: the output tokens that fit beside the input. Below 0: none. */
static int64_t output_that_fits(const struct counter *counter, const struct balance_need *need,
                                const struct balance_price *price)
{
    const struct limit *limit = counter->set->limit;
    const struct ledger_amounts *amounts = need_in(limit, need);
    const int64_t room = room_in(counter);
    int64_t input_nusd = 0;

    if (!limit->may_clamp || room < 0)
        return -1;
    switch (limit->metric) {
    case LIMIT_OUTPUT_TOKENS:
        return room;
    case LIMIT_TOTAL_TOKENS:
        return room - amounts->input_tokens;
    case LIMIT_COST:
        if (price->output_pusd <= 0 ||
            cost_bound(amounts->input_tokens, 0, price->input_pusd, 0, &input_nusd) != TG_OK)
            return -1;
        return room - price->fixed_nusd < input_nusd
                   ? -1
                   : (int64_t)((__int128)(room - price->fixed_nusd - input_nusd) * PUSD_PER_NUSD /
                               price->output_pusd);
    case LIMIT_INPUT_TOKENS:
    case LIMIT_REQUESTS:
    case LIMIT_PARALLEL:
    case LIMIT_METRIC_COUNT:
        break;
    }
    return -1;
}

int64_t balance_fit(struct balance *balance, const struct balance_call *call,
                    const struct balance_need *need, const struct balance_price *price)
{
    const int64_t at_ms = id_wall_ms(call->attempt_id);
    int64_t fits = need->used.output_tokens;
    struct vector *vector;

    if (vector_of(balance, call, &vector) != TG_OK)
        return -1;
    for (size_t i = 0; i < vector->count && fits >= 0; i++) {
        const struct limit *limit = vector->sets[i]->limit;
        struct counter *counter = NULL;
        int64_t here;

        if (!limit->is_hard || counter_at(vector->sets[i], at_ms, &counter) != TG_OK ||
            room_in(counter) >= estimate_in(limit, need))
            continue;
        here = output_that_fits(counter, need, price);
        fits = here < fits ? here : fits;
    }
    return fits;
}

/* --- holds --------------------------------------------------------------------------------------
 */

static bool is_hold_of(const void *value, const void *key)
{
    return ((const struct open_hold *)value)->attempt_id == *(const int64_t *)key;
}

static struct open_hold *make_hold(const struct balance_call *call, const struct vector *vector)
{
    struct open_hold *hold = calloc(1, sizeof(*hold) + call->model.len + 1);

    if (hold == NULL)
        return NULL;
    list_init(&hold->batch_node);
    hold->counters = calloc(vector->count + 1, sizeof(struct counter *));
    if (hold->counters == NULL) {
        free(hold);
        return NULL;
    }
    hold->attempt_id = call->attempt_id;
    hold->team_id = call->team_id;
    hold->key_id = call->key_id;
    hold->model_len = call->model.len;
    memcpy(hold->model, call->model.ptr, call->model.len);
    return hold;
}

/* All counters first: behind it nothing can fail. */
static enum tg_status find_counters(const struct vector *vector, int64_t at_ms,
                                    struct open_hold *hold)
{
    for (size_t i = 0; i < vector->count; i++)
        TRY(counter_at(vector->sets[i], at_ms, &hold->counters[i]));
    return TG_OK;
}

enum tg_status balance_hold(struct balance *balance, const struct balance_call *call,
                            const struct balance_need *need, int64_t added_tokens)
{
    const uint64_t hash = map_hash_int((uint64_t)call->attempt_id);
    struct open_hold *hold;
    struct vector *vector;
    enum tg_status status;

    if (map_get(&balance->holds, hash, is_hold_of, &call->attempt_id) != NULL)
        return TG_CONFLICT;
    TRY(vector_of(balance, call, &vector));
    hold = make_hold(call, vector);
    if (hold == NULL)
        return TG_NO_MEMORY;
    hold->held = (struct balance_held){ .need = *need, .added_tokens = added_tokens };
    status = find_counters(vector, id_wall_ms(call->attempt_id), hold);
    if (status == TG_OK)
        status = map_add(&balance->holds, hash, hold);
    if (status != TG_OK) {
        free_hold(hold);
        return status;
    }
    hold->count = vector->count;
    for (size_t i = 0; i < hold->count; i++) {
        struct counter *counter = hold->counters[i];

        counter_touch(counter);
        counter->now.held += estimate_in(counter->set->limit, need);
        counter->open_holds++;
        counter->set->open_holds++;
    }
    list_push_back(&balance->added, &hold->batch_node);
    return TG_OK;
}

enum tg_status balance_take_holds(struct balance *balance, const struct balance *from)
{
    const struct open_hold *hold;
    size_t cursor = 0;

    while ((hold = map_next(&from->holds, &cursor)) != NULL) {
        const struct balance_call call = {
            .attempt_id = hold->attempt_id,
            .team_id = hold->team_id,
            .key_id = hold->key_id,
            .model = span_of(hold->model, hold->model_len),
        };

        TRY(balance_hold(balance, &call, &hold->held.need, hold->held.added_tokens));
    }
    balance_committed(balance);
    return TG_OK;
}

/* --- postings -----------------------------------------------------------------------------------
 */

static void post_to(struct counter *counter, const struct ledger_posting *posting)
{
    counter_touch(counter);
    add_amounts(counter, &posting->amounts, &posting->unreconciled);
}

/* A hold becomes a charge: in the counters that had it. */
static void end_hold(struct balance *balance, struct open_hold *hold,
                     const struct ledger_posting *posting)
{
    for (size_t i = 0; i < hold->count; i++) {
        struct counter *counter = hold->counters[i];

        counter_touch(counter);
        counter->now.held -= estimate_in(counter->set->limit, &hold->held.need);
        assert(counter->now.held >= 0);
        post_to(counter, posting);
    }
    assert(list_is_empty(&hold->batch_node)); /* it was durable before its call was sent */
    list_push_back(&balance->ended, &hold->batch_node);
}

static enum tg_status post_by_time(struct balance *balance, const struct ledger_posting *posting)
{
    const struct balance_call call = {
        .team_id = posting->team_id,
        .key_id = posting->key_id,
        .model = posting->model,
    };
    struct vector *vector;

    TRY(vector_of(balance, &call, &vector));
    for (size_t i = 0; i < vector->count; i++) {
        struct counter *counter = NULL;
        const enum tg_status status =
            counter_at(vector->sets[i], id_wall_ms(posting->attempt_id), &counter);

        if (status == TG_NOT_FOUND)
            continue; /* of a period that is over */
        TRY(status);
        post_to(counter, posting);
    }
    return TG_OK;
}

bool balance_post(struct balance *balance, const struct ledger_posting *posting,
                  struct balance_held *ret_held)
{
    struct open_hold *hold = NULL;

    if (posting->is_attempt)
        hold = map_remove(&balance->holds, map_hash_int((uint64_t)posting->attempt_id), is_hold_of,
                          &posting->attempt_id);
    if (hold == NULL) {
        if (post_by_time(balance, posting) != TG_OK)
            balance->is_broken = true;
        return false;
    }
    end_hold(balance, hold, posting);
    if (ret_held != NULL)
        *ret_held = hold->held;
    return true;
}

bool balance_is_broken(const struct balance *balance)
{
    return balance->is_broken;
}

/* --- a batch's fate -----------------------------------------------------------------------------
 */

static void free_left(struct balance *balance)
{
    struct list *node = balance->leaving.next;

    while (node != &balance->leaving) {
        struct watch *watch = LIST_ENTRY(node, struct watch, node);

        node = node->next;
        if (open_holds_of(watch) == 0)
            free_watch(watch);
    }
}

void balance_committed(struct balance *balance)
{
    struct list *node;

    counter_log_keep(&balance->log);
    while (list_pop_front(&balance->added) != NULL)
        ;
    while ((node = list_pop_front(&balance->ended)) != NULL) {
        struct open_hold *hold = LIST_ENTRY(node, struct open_hold, batch_node);

        forget_counters(hold);
        free_hold(hold);
    }
    free_left(balance);
}

void balance_rolled_back(struct balance *balance)
{
    struct list *node;

    counter_log_undo(&balance->log);
    while ((node = list_pop_front(&balance->added)) != NULL) {
        struct open_hold *hold = LIST_ENTRY(node, struct open_hold, batch_node);

        (void)map_remove(&balance->holds, map_hash_int((uint64_t)hold->attempt_id), is_hold_of,
                         &hold->attempt_id);
        forget_counters(hold);
        free_hold(hold);
    }
    while ((node = list_pop_front(&balance->ended)) != NULL) {
        struct open_hold *hold = LIST_ENTRY(node, struct open_hold, batch_node);

        /* It was in there when the batch began, so there is room. */
        if (map_add(&balance->holds, map_hash_int((uint64_t)hold->attempt_id), hold) != TG_OK)
            balance->is_broken = true;
    }
}

bool balance_next_event(struct balance *balance, struct balance_event *ret_event)
{
    struct list *head = &balance->log.touched;

    for (struct list *node = head->next; node != head; node = node->next) {
        struct counter *counter = LIST_ENTRY(node, struct counter, touched_node);
        const int threshold = counter_next_threshold(counter);

        if (threshold == 0)
            continue;
        counter->now.told++;
        *ret_event = (struct balance_event){
            .limit_id = counter->set->limit->id,
            .key_id = counter->set->key_id,
            .limit = counter->set->limit,
            .period_start_ms = counter->period.start_ms,
            .threshold = threshold,
            .amount = counter_amount(counter),
            .spent = counter->now.spent,
        };
        return true;
    }
    return false;
}

/* --- looking ------------------------------------------------------------------------------------
 */

static void tell_count(const struct counter_set *set, int64_t now_ms, balance_on_count *on_count,
                       void *context)
{
    const struct counter *counter = counter_newest(set);
    struct balance_count count = { .limit = set->limit, .key_id = set->key_id };

    if (counter != NULL && now_ms < counter->period.end_ms) {
        count.period = counter->period;
        count.spent = counter->now.spent;
        count.held = counter->now.held;
        count.unreconciled = counter->now.unreconciled;
    } else {
        calendar_at(set->calendar, now_ms, &count.period);
    }
    count.amount = limit_amount_in(set->limit, count.period.start_ms);
    on_count(context, &count);
}

bool balance_look(struct balance *balance, int32_t limit_id, int64_t now_ms,
                  balance_on_count *on_count, void *context)
{
    struct watch *watch = find_watch(balance, limit_id);

    if (watch == NULL)
        return false;
    for (struct list *node = watch->sets.next; node != &watch->sets; node = node->next)
        tell_count(LIST_ENTRY(node, struct counter_set, node), now_ms, on_count, context);
    return true;
}

/* Whether a limit counts some calls of a key, of whatever model. */
static bool concerns(const struct limit *limit, int32_t team_id, int32_t key_id)
{
    struct limit any = *limit;

    any.models = NULL;
    any.model_count = 0;
    return limit_applies(&any, team_id, key_id, SPAN_EMPTY);
}

void balance_look_key(struct balance *balance, int32_t team_id, int32_t key_id, int64_t now_ms,
                      balance_on_count *on_count, void *context)
{
    for (struct list *node = balance->watches.next; node != &balance->watches; node = node->next) {
        struct watch *watch = LIST_ENTRY(node, struct watch, node);
        struct counter_set *set;

        if (!concerns(&watch->limit, team_id, key_id))
            continue;
        set = set_of(balance, watch, key_id);
        if (set != NULL)
            tell_count(set, now_ms, on_count, context);
    }
}

enum tg_status balance_look_call(struct balance *balance, const struct balance_call *call,
                                 balance_on_count *on_count, void *context)
{
    struct vector *vector;

    TRY(vector_of(balance, call, &vector));
    for (size_t i = 0; i < vector->count; i++)
        tell_count(vector->sets[i], id_wall_ms(call->attempt_id), on_count, context);
    return TG_OK;
}

size_t balance_open_count(const struct balance *balance)
{
    return balance->holds.count;
}
