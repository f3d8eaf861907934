#ifndef MAIN_UPKEEP_H
#define MAIN_UPKEEP_H

#include "ledger/ledger.h"
#include "policy/key.h"
#include "quota/admit.h"

/* What a running server does every hour: receipts' extras older than LEDGER_DETAIL_DAYS go, periods
 * of limits are fixed ahead, and what is known of the last use of keys is written down. Runs on the
 * main thread, in steps that each take one place in a batch of the ledger writer, so that no call
 * waits for it. */

#define UPKEEP_EVERY_US INT64_C(3600000000)

struct upkeep {
    struct writer *writer;
    struct ledger *ledger;
    struct admit *admit;
    struct keyring *keyring;
    int64_t due_us; /* monotonic */
};

/* Do what is due; nothing before its time. Failures are logged and tried again an hour later. */
void upkeep_turn(struct upkeep *upkeep);

/* Write down the last use of keys now: before the writer stops. */
void upkeep_flush_keys(struct upkeep *upkeep);

#endif
