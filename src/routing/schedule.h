#ifndef ROUTING_SCHEDULE_H
#define ROUTING_SCHEDULE_H

#include "routing/provider.h"
#include "routing/target.h"

/* When each provider is asked next for its own list of models: at once where it has none of its
 * present address, then every hour; after a failure in a minute, then twice as long each time, up
 * to an hour. A change of the provider ends the waiting. Pure: the caller says what time it is.
 * Thread: one. */

#define SCHEDULE_EVERY_MS     INT64_C(3600000)
#define SCHEDULE_RETRY_MIN_US INT64_C(60000000)
#define SCHEDULE_RETRY_MAX_US (SCHEDULE_EVERY_MS * 1000)

struct schedule_time {
    int64_t wall_ms;
    int64_t monotonic_us;
};

/* How a fetch went. */
struct schedule_outcome {
    enum tg_status status;
    int http; /* 0: no answer came */
};

struct schedule_entry {
    int32_t id; /* row of `provider` */
    char public_id[ID_TEXT_SIZE];
    char name[PROVIDER_NAME_MAX + 1];
    int64_t revision;
    int64_t due_us;   /* monotonic */
    int64_t retry_us; /* the wait after the latest failure; 0: it did not fail */
    bool has_outcome; /* of this revision */
    struct schedule_outcome outcome;
    bool is_seen;
};

struct schedule {
    int count;
    struct schedule_entry entry[TARGETS_MAX];
};

/* Take the providers as they stand now: begin, each that is to be asked (TARGETS_MAX at most, more
 * are left out), end. Those not seen are forgotten. */
void schedule_begin(struct schedule *schedule);
void schedule_see(struct schedule *schedule, const struct provider *provider,
                  const struct schedule_time *now);
void schedule_end(struct schedule *schedule);

/* The entry to fetch now: of those that are due the one that waits longest, but one that has not
 * failed before all that have, so that dead providers do not hold up a new one.
 *
 * return  NULL: none is due; valid until the next schedule_begin */
struct schedule_entry *schedule_pick(struct schedule *schedule, int64_t now_us);

/* Note how it went, and when it is due again.
 *
 * return  whether that is news: the first outcome of this provider since it changed, or another one
 *         than before */
bool schedule_note(struct schedule_entry *entry, const struct schedule_outcome *outcome,
                   int64_t now_us);

/* When the first is due, monotonic; INT64_MAX: none ever. */
int64_t schedule_next_us(const struct schedule *schedule);

#endif
