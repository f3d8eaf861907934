#include "routing/schedule.h"

#include <string.h>

#define US_PER_MS 1000

void schedule_begin(struct schedule *schedule)
{
    for (int i = 0; i < schedule->count; i++)
        schedule->entry[i].is_seen = false;
}

static struct schedule_entry *find(struct schedule *schedule, int32_t id)
{
    for (int i = 0; i < schedule->count; i++)
        if (schedule->entry[i].id == id)
            return &schedule->entry[i];
    return NULL;
}

/* A list from the future is of a wall clock that has been set back: its age is not known. */
static int64_t due_us(const struct provider *provider, const struct schedule_time *now)
{
    const int64_t age_ms = now->wall_ms - provider->models_at_ms;

    if (provider->models_at_ms == 0 || age_ms < 0 || age_ms >= SCHEDULE_EVERY_MS)
        return now->monotonic_us;
    return now->monotonic_us + (SCHEDULE_EVERY_MS - age_ms) * US_PER_MS;
}

void schedule_see(struct schedule *schedule, const struct provider *provider,
                  const struct schedule_time *now)
{
    struct schedule_entry *entry = find(schedule, provider->id);

    if (entry != NULL && entry->revision == provider->revision) {
        entry->is_seen = true;
        return;
    }
    if (entry == NULL && schedule->count == TARGETS_MAX)
        return;
    if (entry == NULL)
        entry = &schedule->entry[schedule->count++];
    *entry = (struct schedule_entry){ .id = provider->id,
                                      .revision = provider->revision,
                                      .due_us = due_us(provider, now),
                                      .is_seen = true };
    memcpy(entry->public_id, provider->public_id, sizeof(entry->public_id));
    memcpy(entry->name, provider->name, sizeof(entry->name));
}

void schedule_end(struct schedule *schedule)
{
    int kept = 0;

    for (int i = 0; i < schedule->count; i++)
        if (schedule->entry[i].is_seen)
            schedule->entry[kept++] = schedule->entry[i];
    schedule->count = kept;
}

static bool comes_before(const struct schedule_entry *a, const struct schedule_entry *b)
{
    const bool a_failed = a->retry_us > 0;
    const bool b_failed = b->retry_us > 0;

    return a_failed != b_failed ? b_failed : a->due_us < b->due_us;
}

struct schedule_entry *schedule_pick(struct schedule *schedule, int64_t now_us)
{
    struct schedule_entry *picked = NULL;

    for (int i = 0; i < schedule->count; i++) {
        struct schedule_entry *entry = &schedule->entry[i];

        if (entry->due_us <= now_us && (picked == NULL || comes_before(entry, picked)))
            picked = entry;
    }
    return picked;
}

static int64_t next_retry_us(int64_t retry_us)
{
    if (retry_us == 0)
        return SCHEDULE_RETRY_MIN_US;
    return retry_us < SCHEDULE_RETRY_MAX_US / 2 ? retry_us * 2 : SCHEDULE_RETRY_MAX_US;
}

bool schedule_note(struct schedule_entry *entry, const struct schedule_outcome *outcome,
                   int64_t now_us)
{
    const bool is_news = !entry->has_outcome || entry->outcome.status != outcome->status ||
                         entry->outcome.http != outcome->http;

    entry->has_outcome = true;
    entry->outcome = *outcome;
    entry->retry_us = outcome->status == TG_OK ? 0 : next_retry_us(entry->retry_us);
    entry->due_us =
        now_us + (entry->retry_us > 0 ? entry->retry_us : SCHEDULE_EVERY_MS * US_PER_MS);
    return is_news;
}

int64_t schedule_next_us(const struct schedule *schedule)
{
    int64_t next_us = INT64_MAX;

    for (int i = 0; i < schedule->count; i++)
        if (schedule->entry[i].due_us < next_us)
            next_us = schedule->entry[i].due_us;
    return next_us;
}
