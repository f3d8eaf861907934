#ifndef QUOTA_REFUSAL_H
#define QUOTA_REFUSAL_H

#include "base/list.h"
#include "base/map.h"
#include "ledger/ledger.h"
#include "store/stmt.h"
#include "tollgate/provider.h"

/* Calls that were turned down: rows of `refusal` for the first REFUSAL_ROWS_PER_MINUTE of a minute,
 * by key and reason, and counts of all of them in `refusal_count`. Gathered in memory and written
 * by a batch that commits: rows by the next, counts by one that comes a second later at least, so
 * that a client that runs against a limit costs next to nothing. What is not written when the
 * process dies was never charged.
 *
 * Thread: one; the ledger writer's. */

#define REFUSAL_ROWS_PER_MINUTE 10
#define REFUSAL_ROWS_MAX        1024 /* that wait to be written; more are only counted */
#define REFUSAL_COUNTS_MAX      8192
#define REFUSAL_PACES_MAX       65536

struct refusal {
    int64_t id; /* the call's time id */
    int32_t team_id;
    int32_t key_id;
    int32_t provider_id;
    struct span dialect;
    struct span model; /* as asked for */
    enum tg_refusal_reason reason;
    int32_t limit_id; /* 0: none */
    int64_t amount;
    int64_t spent;
    int64_t held;
    int64_t estimate;
    uint32_t flags; /* enum ledger_flags */
};

struct refusal_store {
    struct stmt insert;
    struct stmt count_up;
    struct ledger *ledger;
    struct map paces;  /* how many of a minute, by key and reason */
    struct map counts; /* not written yet */
    struct list rows;  /* not written yet */
    int row_count;
    int64_t written_at_us; /* when counts were last written */
    bool has_written_rows; /* in the open batch */
    bool has_written_counts;
    int64_t dropped; /* rows that there was no room for */
};

TG_MUST_CHECK enum tg_status refusal_store_open(struct refusal_store *store, struct db *db,
                                                struct ledger *ledger, struct err *err);
/* Finalize the statements; the rest stays until refusal_store_fini. */
void refusal_store_close(struct refusal_store *store);
void refusal_store_fini(struct refusal_store *store);

/* Remember one. Never fails: what there is no memory for is dropped and counted. */
void refusal_note(struct refusal_store *store, const struct refusal *refusal);

/* Inside a batch, before its commit.
 *
 * Errors  TG_IO, TG_NO_MEMORY, TG_CORRUPT */
TG_MUST_CHECK enum tg_status refusal_write(struct refusal_store *store, struct err *err);
void refusal_committed(struct refusal_store *store);
void refusal_rolled_back(struct refusal_store *store);

#endif
