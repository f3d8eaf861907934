#include "main/upkeep.h"

#include "base/clock.h"
#include "base/log.h"

#define DAY_MS INT64_C(86400000)
/* Steps of one turn: what is left then waits for the next hour. */
#define STEPS_MAX 1000

static void expire_details(struct upkeep *upkeep)
{
    struct ledger_expire_job job = { 0 };
    struct err err = { "" };

    for (int step = 0; step < STEPS_MAX; step++) {
        ledger_expire_job_init(&job, upkeep->ledger);
        job.before_ms = clock_wall_ms() - LEDGER_DETAIL_DAYS * DAY_MS;
        if (writer_call(upkeep->writer, &job.job, &err) != TG_OK) {
            log_event(LOG_WARN, "receipts' extras not expired", LOG_FS("why", err.text));
            return;
        }
        if (job.deleted < LEDGER_EXPIRE_MAX)
            return;
    }
}

void upkeep_flush_keys(struct upkeep *upkeep)
{
    struct keyring_flush_job job;
    struct err err = { "" };

    keyring_flush_job_init(&job, upkeep->keyring);
    for (int step = 0; step < STEPS_MAX; step++) {
        if (account_call(upkeep->writer, &job.account, &err) != TG_OK) {
            log_event(LOG_WARN, "last use of keys not written", LOG_FS("why", err.text));
            return;
        }
        if (!job.has_more)
            return;
    }
}

/* Fix the periods of limits ahead; what is remembered of refusals is written with it. */
static void tend_limits(struct upkeep *upkeep)
{
    struct admit_upkeep_job job;
    struct err err = { "" };

    admit_upkeep_job_init(&job, upkeep->admit);
    if (writer_call(upkeep->writer, &job.job, &err) != TG_OK)
        log_event(LOG_WARN, "periods of limits not fixed ahead", LOG_FS("why", err.text));
}

void upkeep_turn(struct upkeep *upkeep)
{
    const int64_t now_us = clock_monotonic_us();

    if (now_us < upkeep->due_us)
        return;
    upkeep->due_us = now_us + UPKEEP_EVERY_US;
    expire_details(upkeep);
    tend_limits(upkeep);
    upkeep_flush_keys(upkeep);
}
