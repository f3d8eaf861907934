#include "routing/refresh.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/try.h"
#include "net/fetch.h"
#include "providers/catalogue.h"
#include "routing/probe.h"
#include "routing/schedule.h"
#include "store/reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define US_PER_S  1000000
#define NS_PER_US 1000
#define NS_PER_S  1000000000L
#define PAGES_MAX (TARGETS_MAX / ACCOUNT_PAGE_MAX + 1)

struct refresh {
    struct refresh_options options;
    struct fetch_stop fetch_stop;
    struct schedule schedule; /* the thread's */
    pthread_t thread;
    pthread_mutex_t lock; /* of the two below */
    pthread_cond_t woken;
    bool is_told;
    bool is_stopping;
};

/* --- which providers there are --- */

struct reading {
    struct schedule *schedule;
    struct schedule_time now;
    char last[ID_TEXT_SIZE];
};

static bool has_list(const struct provider *provider)
{
    const struct tg_kind *kind = catalogue_kind(span_from(provider->kind));

    return kind != NULL && (kind->models_path == NULL || kind->models_path[0] != '\0');
}

static enum tg_status on_provider(void *context, const struct provider *provider)
{
    struct reading *reading = context;

    memcpy(reading->last, provider->public_id, sizeof(reading->last));
    if (provider->is_enabled && has_list(provider))
        schedule_see(reading->schedule, provider, &reading->now);
    return TG_OK;
}

static enum tg_status read_pages(struct db *db, struct reading *reading, struct err *err)
{
    bool has_more = true;

    for (int page = 0; page < PAGES_MAX && has_more; page++) {
        const struct provider_query query = {
            .page = { .after = page > 0 ? reading->last : NULL, .limit = ACCOUNT_PAGE_MAX },
            .on_row = on_provider,
            .context = reading,
        };

        TRY(provider_list(db, &query, &has_more, err));
    }
    return TG_OK;
}

static enum tg_status read_providers(struct refresh *refresh, struct err *err)
{
    struct reading reading = { .schedule = &refresh->schedule,
                               .now = { clock_wall_ms(), clock_monotonic_us() } };
    AUTO(reader) reader = { 0 };

    TRY(reader_enter(&reader, refresh->options.readers, err));
    schedule_begin(&refresh->schedule);
    TRY(read_pages(reader.db, &reading, err));
    schedule_end(&refresh->schedule);
    return TG_OK;
}

/* --- one provider --- */

static enum tg_status prepare(struct refresh *refresh, const struct schedule_entry *entry,
                              struct probe *ret_probe, struct err *err)
{
    AUTO(reader) reader = { 0 };

    TRY(reader_enter(&reader, refresh->options.readers, err));
    return probe_prepare(reader.db, refresh->options.ring, span_from(entry->public_id), ret_probe,
                         err);
}

/* Only to the provider as it was when it was asked. */
static enum tg_status store(struct refresh *refresh, const struct schedule_entry *entry,
                            struct span models, struct err *err)
{
    struct provider_job job;

    provider_job_init(&job, PROVIDER_SET_MODELS, refresh->options.ring, refresh->options.targets);
    job.public_id = span_from(entry->public_id);
    job.if_revision = entry->revision;
    job.input.models = models;
    return account_call(refresh->options.writer, &job.account, err);
}

static enum tg_status fetch_list(struct refresh *refresh, const struct schedule_entry *entry,
                                 struct probe_result *result, struct err *err)
{
    const struct probe_options options = { .deadline_ms = REFRESH_DEADLINE_MS,
                                           .ca_file = refresh->options.ca_file,
                                           .stop = &refresh->fetch_stop };
    AUTO(probe) probe = { 0 };

    TRY(prepare(refresh, entry, &probe, err));
    TRY(probe_run(&probe, &options, result, err));
    return store(refresh, entry, buf_span(&result->models), err);
}

static void refresh_one(struct refresh *refresh, struct schedule_entry *entry)
{
    AUTO(probe_result) result = { 0 };
    struct err err = { "" };
    const enum tg_status status = fetch_list(refresh, entry, &result, &err);
    const struct schedule_outcome outcome = { status, result.http };
    const bool is_news = schedule_note(entry, &outcome, clock_monotonic_us());

    if (status == TG_STALE || status == TG_NOT_FOUND)
        refresh_tell(refresh); /* it has changed meanwhile: look again */
    else if (is_news && status == TG_OK)
        log_event(LOG_INFO, "model list", LOG_FS("provider", entry->name),
                  LOG_FI("models", result.model_count));
    else if (is_news && status != TG_DRAINING)
        log_event(LOG_WARN, "model list not fetched", LOG_FS("provider", entry->name),
                  LOG_FS("why", err.text));
}

/* --- the thread --- */

static bool may_go_on(struct refresh *refresh)
{
    bool may;

    pthread_mutex_lock(&refresh->lock);
    may = !refresh->is_told && !refresh->is_stopping;
    pthread_mutex_unlock(&refresh->lock);
    return may;
}

/* Do what is due, until there is news of the providers.
 *
 * return  when to look again, monotonic */
static int64_t turn(struct refresh *refresh)
{
    const int64_t now_us = clock_monotonic_us();
    const int64_t latest_us = now_us + SCHEDULE_EVERY_MS * 1000;
    struct schedule_entry *entry;
    struct err err = { "" };
    int64_t next_us;

    if (read_providers(refresh, &err) != TG_OK) {
        log_event(LOG_WARN, "model lists not fetched", LOG_FS("why", err.text));
        return now_us + SCHEDULE_RETRY_MIN_US;
    }
    /* One at least, so that a stream of changes does not keep all lists from being fetched. */
    do {
        entry = schedule_pick(&refresh->schedule, clock_monotonic_us());
        if (entry != NULL)
            refresh_one(refresh, entry);
    } while (entry != NULL && may_go_on(refresh));
    next_us = schedule_next_us(&refresh->schedule);
    return next_us < latest_us ? next_us : latest_us;
}

/* Wait under the lock until it is told or `until_us` has come; waking earlier does no harm. */
static void wait_until(struct refresh *refresh, int64_t until_us)
{
    const int64_t left_us = until_us - clock_monotonic_us();
    struct timespec until;

    if (refresh->is_told || refresh->is_stopping || left_us <= 0)
        return;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += left_us / US_PER_S;
    until.tv_nsec += left_us % US_PER_S * NS_PER_US;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    (void)pthread_cond_timedwait(&refresh->woken, &refresh->lock, &until);
}

static void *run(void *argument)
{
    struct refresh *refresh = argument;

    pthread_mutex_lock(&refresh->lock);
    while (!refresh->is_stopping) {
        int64_t until_us;

        refresh->is_told = false;
        pthread_mutex_unlock(&refresh->lock);
        until_us = turn(refresh);
        pthread_mutex_lock(&refresh->lock);
        wait_until(refresh, until_us);
    }
    pthread_mutex_unlock(&refresh->lock);
    return NULL;
}

static void refresh_free(struct refresh *refresh)
{
    fetch_stop_fini(&refresh->fetch_stop);
    (void)pthread_cond_destroy(&refresh->woken);
    (void)pthread_mutex_destroy(&refresh->lock);
    free(refresh);
}

enum tg_status refresh_start(const struct refresh_options *options, struct refresh **ret_refresh,
                             struct err *err)
{
    struct refresh *refresh = calloc(1, sizeof(*refresh));
    pthread_condattr_t attr;

    if (refresh == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for the model lists");
    refresh->options = *options;
    (void)pthread_mutex_init(&refresh->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&refresh->woken, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (fetch_stop_init(&refresh->fetch_stop) != TG_OK ||
        pthread_create(&refresh->thread, NULL, run, refresh) != 0) {
        refresh_free(refresh);
        return err_set(err, TG_NO_MEMORY, "cannot start the thread for the model lists");
    }
    *ret_refresh = refresh;
    return TG_OK;
}

void refresh_tell(struct refresh *refresh)
{
    pthread_mutex_lock(&refresh->lock);
    refresh->is_told = true;
    (void)pthread_cond_signal(&refresh->woken);
    pthread_mutex_unlock(&refresh->lock);
}

void refresh_stop(struct refresh *refresh)
{
    if (refresh == NULL)
        return;
    pthread_mutex_lock(&refresh->lock);
    refresh->is_stopping = true;
    (void)pthread_cond_signal(&refresh->woken);
    pthread_mutex_unlock(&refresh->lock);
    fetch_stop_now(&refresh->fetch_stop);
    (void)pthread_join(refresh->thread, NULL);
    refresh_free(refresh);
}
