#include "quota/shadow.h"

#include "base/money.h"
#include "base/try.h"
#include "policy/key.h"

#include <stdio.h>

/* How many periods of one window, in a row, a period of another can reach into at most. Days have
 * up to 25 hours, hours of UTC may begin at another minute than a zone's days, and days, weeks and
 * months of different zones overlap by a day more at either end. 0: there is no end to them. */
struct overlap {
    int in_same_zone;
    int in_other_zone;
};

static const struct overlap overlaps[PERIOD_WINDOW_COUNT][PERIOD_WINDOW_COUNT] = {
    /* [of those][in one of these] */
    [PERIOD_MINUTE] = { [PERIOD_HOUR] = { 60, 60 },
                        [PERIOD_DAY] = { 1501, 1501 },
                        [PERIOD_WEEK] = { 10141, 10141 },
                        [PERIOD_MONTH] = { 44701, 44701 } },
    [PERIOD_HOUR] = { [PERIOD_MINUTE] = { 1, 1 },
                      [PERIOD_DAY] = { 26, 26 },
                      [PERIOD_WEEK] = { 170, 170 },
                      [PERIOD_MONTH] = { 746, 746 } },
    [PERIOD_DAY] = { [PERIOD_MINUTE] = { 2, 2 },
                     [PERIOD_HOUR] = { 2, 2 },
                     [PERIOD_DAY] = { 2, 3 },
                     [PERIOD_WEEK] = { 7, 9 },
                     [PERIOD_MONTH] = { 31, 33 } },
    [PERIOD_WEEK] = { [PERIOD_MINUTE] = { 2, 2 },
                      [PERIOD_HOUR] = { 2, 2 },
                      [PERIOD_DAY] = { 1, 2 },
                      [PERIOD_WEEK] = { 2, 3 },
                      [PERIOD_MONTH] = { 6, 6 } },
    [PERIOD_MONTH] = { [PERIOD_MINUTE] = { 2, 2 },
                       [PERIOD_HOUR] = { 2, 2 },
                       [PERIOD_DAY] = { 1, 2 },
                       [PERIOD_WEEK] = { 2, 2 },
                       [PERIOD_MONTH] = { 2, 3 } },
    [PERIOD_TOTAL] = { [PERIOD_MINUTE] = { 1, 1 },
                       [PERIOD_HOUR] = { 1, 1 },
                       [PERIOD_DAY] = { 1, 1 },
                       [PERIOD_WEEK] = { 1, 1 },
                       [PERIOD_MONTH] = { 1, 1 } },
};

/* Whether every call that counts in `limit` counts in `by`, each count of it in one of that. */
static bool covers_scope(const struct limit *by, const struct limit *limit)
{
    if (by->scope == LIMIT_ORGANIZATION)
        return true;
    if (by->scope == LIMIT_KEY)
        return limit->scope == LIMIT_KEY && limit->key_id == by->key_id;
    if (limit->team_id != by->team_id)
        return false;
    return !by->is_each_key || limit->is_each_key || limit->scope == LIMIT_KEY;
}

/* A pattern stands for all that another does where it stands for its text: "gpt-4*" begins as
 * "gpt-*" says. */
static bool covers_models(const struct limit *by, const struct limit *limit)
{
    if (by->model_count == 0)
        return true;
    for (int i = 0; i < limit->model_count; i++)
        if (!key_models_allow(by->models, by->model_count, span_from(limit->models[i])))
            return false;
    return limit->model_count > 0;
}

static bool has_same_zone(const struct limit *a, const struct limit *b)
{
    return strcmp(a->timezone, b->timezone) == 0;
}

static bool has_same_periods(const struct limit *a, const struct limit *b)
{
    if (a->has_window != b->has_window)
        return false;
    if (!a->has_window)
        return true;
    if (a->rule.window != b->rule.window)
        return false;
    if (period_is_calendar(a->rule.window) && !has_same_zone(a, b))
        return false;
    if (a->rule.window == PERIOD_WEEK)
        return a->rule.week_start == b->rule.week_start;
    return a->rule.window != PERIOD_MONTH || a->rule.anchor_day == b->rule.anchor_day;
}

/* How many periods of `by` can fall into one of `limit`; 0: nobody knows. */
static int periods_within(const struct limit *limit, const struct limit *by)
{
    const struct overlap *overlap;

    if (has_same_periods(limit, by))
        return 1;
    if (!limit->has_window || !by->has_window)
        return 0;
    overlap = &overlaps[by->rule.window][limit->rule.window];
    return has_same_zone(limit, by) ? overlap->in_same_zone : overlap->in_other_zone;
}

bool shadow_falls(const struct limit *limit, const struct limit *by)
{
    const int periods = periods_within(limit, by);

    return periods > 0 && by->is_hard && by->metric == limit->metric && covers_scope(by, limit) &&
           covers_models(by, limit) && (__int128)by->amount * periods < limit->amount;
}

void shadow_describe(const struct limit *by, char text[SHADOW_TEXT_SIZE])
{
    char amount[MONEY_TEXT_SIZE];

    if (by->metric == LIMIT_COST)
        money_format(by->amount, amount);
    else
        (void)snprintf(amount, sizeof(amount), "%lld", (long long)by->amount);
    (void)snprintf(
        text, SHADOW_TEXT_SIZE,
        "This limit can never bind: %s of the %s (%s%s%s, %s%s) is always reached first.",
        by->public_id, limit_scope_name(by->scope), limit_metric_name(by->metric),
        by->has_window ? " by " : "", by->has_window ? period_window_name(by->rule.window) : "",
        amount, by->metric == LIMIT_COST ? " USD" : "");
}

struct search {
    const struct limit *limit;
    void (*on_shadow)(void *context, const struct limit *by);
    void *context;
};

static enum tg_status on_limit(void *context, const struct limit *other)
{
    const struct search *search = context;

    if (other->id != search->limit->id && shadow_falls(search->limit, other))
        search->on_shadow(search->context, other);
    return TG_OK;
}

enum tg_status shadow_each(struct db *db, const struct limit *limit,
                           void (*on_shadow)(void *context, const struct limit *by), void *context,
                           struct err *err)
{
    struct search search = { limit, on_shadow, context };

    return limit_each_beside(db, limit, on_limit, &search, err);
}
