#include "quota/counter.h"

#include "policy/calendar.h"

#include <assert.h>
#include <stdlib.h>

/* Ended periods that are kept though nothing is open in them: calls admitted just before the end
 * are decided just behind it. */
#define KEPT_PERIODS 2

/* --- a batch's changes --------------------------------------------------------------------------
 */

void counter_log_init(struct counter_log *log)
{
    list_init(&log->touched);
}

void counter_log_keep(struct counter_log *log)
{
    while (list_pop_front(&log->touched) != NULL)
        ;
}

void counter_log_undo(struct counter_log *log)
{
    struct list *node;

    while ((node = list_pop_front(&log->touched)) != NULL) {
        struct counter *counter = LIST_ENTRY(node, struct counter, touched_node);

        counter->now = counter->before;
    }
}

void counter_touch(struct counter *counter)
{
    if (!list_is_empty(&counter->touched_node))
        return;
    counter->before = counter->now;
    list_push_back(&counter->set->log->touched, &counter->touched_node);
}

/* --- periods ------------------------------------------------------------------------------------
 */

void counter_set_init(struct counter_set *set, const struct limit *limit,
                      const struct calendar *calendar, struct counter_log *log)
{
    *set = (struct counter_set){ .limit = limit, .calendar = calendar, .log = log };
    list_init(&set->node);
    list_init(&set->counters);
}

static void free_counter(struct counter *counter)
{
    assert(counter->open_holds == 0);
    list_remove(&counter->touched_node);
    list_remove(&counter->node);
    free(counter);
}

void counter_set_fini(struct counter_set *set)
{
    while (!list_is_empty(&set->counters))
        free_counter(LIST_ENTRY(set->counters.next, struct counter, node));
    list_remove(&set->node);
}

struct counter *counter_newest(const struct counter_set *set)
{
    if (list_is_empty(&set->counters))
        return NULL;
    return LIST_ENTRY(set->counters.next, struct counter, node);
}

static void let_go_of_old(struct counter_set *set)
{
    struct list *node = set->counters.next;
    int kept = 0;

    while (node != &set->counters) {
        struct counter *counter = LIST_ENTRY(node, struct counter, node);

        node = node->next;
        kept++;
        if (kept > KEPT_PERIODS && counter->open_holds == 0 &&
            list_is_empty(&counter->touched_node))
            free_counter(counter);
    }
}

static enum tg_status open_period(struct counter_set *set, int64_t wall_ms,
                                  struct counter **ret_counter)
{
    struct counter *counter = calloc(1, sizeof(*counter));

    if (counter == NULL)
        return TG_NO_MEMORY;
    counter->set = set;
    list_init(&counter->touched_node);
    list_init(&counter->node);
    calendar_at(set->calendar, wall_ms, &counter->period);
    assert(counter->period.start_ms <= wall_ms);
    assert(wall_ms < counter->period.end_ms);
    list_push_front(&set->counters, &counter->node);
    let_go_of_old(set);
    *ret_counter = counter;
    return TG_OK;
}

enum tg_status counter_at(struct counter_set *set, int64_t wall_ms, struct counter **ret_counter)
{
    const struct counter *newest = counter_newest(set);

    if (newest == NULL || wall_ms >= newest->period.end_ms)
        return open_period(set, wall_ms, ret_counter);
    for (struct list *node = set->counters.next; node != &set->counters; node = node->next) {
        struct counter *counter = LIST_ENTRY(node, struct counter, node);

        if (wall_ms >= counter->period.start_ms && wall_ms < counter->period.end_ms) {
            *ret_counter = counter;
            return TG_OK;
        }
    }
    return TG_NOT_FOUND;
}

int64_t counter_amount(const struct counter *counter)
{
    return limit_amount_in(counter->set->limit, counter->period.start_ms);
}

int counter_next_threshold(const struct counter *counter)
{
    const struct limit *limit = counter->set->limit;
    const int told = counter->now.told;

    if (told >= limit->threshold_count)
        return 0;
    if ((__int128)counter->now.spent * 100 <
        (__int128)counter_amount(counter) * limit->thresholds[told])
        return 0;
    return limit->thresholds[told];
}
