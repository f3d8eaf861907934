#ifndef QUOTA_TALLY_H
#define QUOTA_TALLY_H

#include "base/err.h"
#include "base/span.h"
#include "ledger/ledger.h"

/* What has been spent since a moment, summed up from the book: whole days from the rollups, the
 * rest from the charges. A charge belongs to the time of its attempt's id, an adjustment to that of
 * the row that it corrects. */

struct db;

struct tally_row {
    int32_t team_id;
    int32_t key_id;
    struct span model; /* as asked for; valid during the call */
    struct ledger_amounts spent;
    struct ledger_amounts unreconciled; /* part of it; where it is not 0, `spent` is */
};

/* Hand out the sums by key and model, in several rows where they come from several sources. All of
 * the book that is committed is seen; nothing may be pending in the batch.
 *
 * from_ms  ms since 1970, included
 * Errors   those of on_row; TG_IO, TG_NO_MEMORY, TG_CORRUPT */
TG_MUST_CHECK enum tg_status tally_since(struct db *db, int64_t from_ms,
                                         enum tg_status (*on_row)(void *context,
                                                                  const struct tally_row *row),
                                         void *context, struct err *err);

#endif
