#ifndef LEDGER_ROLLUP_H
#define LEDGER_ROLLUP_H

#include "base/map.h"
#include "store/stmt.h"

/* Sums of charges, by day and by quarter hour. What a batch adds is gathered in memory, so that a
 * row is written once a batch, in the batch's own transaction.
 *
 * Thread: writer; or any one, for a rollup that is only computed. */

#define ROLLUP_MS_PER_DAY          INT64_C(86400000)
#define ROLLUP_MS_PER_QUARTER_HOUR INT64_C(900000)

/* Columns of both tables, in this order. */
enum rollup_metric {
    ROLLUP_REQUESTS,
    ROLLUP_ERRORS,
    ROLLUP_ESTIMATED,
    ROLLUP_UNRECONCILED,
    ROLLUP_UNPRICED,
    ROLLUP_INPUT,
    ROLLUP_CACHE_READ,
    ROLLUP_CACHE_WRITE,
    ROLLUP_MEDIA_IN,
    ROLLUP_OUTPUT,
    ROLLUP_MEDIA_OUT,
    ROLLUP_REASONING,
    ROLLUP_COST_NUSD,
    ROLLUP_PROVIDER_COST_NUSD,
    ROLLUP_METRIC_COUNT
};

struct rollup_metrics {
    int64_t value[ROLLUP_METRIC_COUNT];
};

enum rollup_table { ROLLUP_DAY, ROLLUP_QUARTER_HOUR, ROLLUP_TABLE_COUNT };

/* Names a row of one of the tables; columns that the table does not have are 0. */
struct rollup_key {
    int64_t at; /* day or quarter hour since 1970 */
    int64_t table;
    int64_t account_id; /* key, or team by quarter hour */
    int64_t model_id;
    int64_t provider_id; /* by day only */
};

struct rollup_row {
    struct rollup_key key;
    struct rollup_metrics sum;
    struct rollup_row *next;
};

struct rollup {
    struct map rows; /* by key */
    struct rollup_row *used;
    struct rollup_row *spare; /* kept for the next batch */
    struct stmt add[ROLLUP_TABLE_COUNT];
};

/* Whom and when a charge is added to. */
struct rollup_place {
    int64_t wall_ms;
    int64_t team_id;
    int64_t key_id;
    int64_t model_id;
    int64_t provider_id;
};

/* Rows that one batch, or the verification of one day, may touch. */
#define ROLLUP_ROWS_MAX ((size_t)4 << 20)

void rollup_init(struct rollup *rollup);
void rollup_fini(struct rollup *rollup);

TG_MUST_CHECK enum tg_status rollup_prepare(struct rollup *rollup, struct db *db, struct err *err);
/* Finalize the statements; the rest stays until rollup_fini. */
void rollup_close(struct rollup *rollup);

/* Add to both tables' rows in memory; on failure to neither.
 *
 * Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status rollup_add(struct rollup *rollup, const struct rollup_place *place,
                                        const struct rollup_metrics *metrics);

/* Write what has been gathered; it stays in memory until rollup_clear.
 *
 * Errors  TG_IO, TG_NO_MEMORY, TG_CORRUPT */
TG_MUST_CHECK enum tg_status rollup_write(struct rollup *rollup, struct err *err);
void rollup_clear(struct rollup *rollup);

/* Subtract from one row, making it where it is not there. Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status rollup_subtract(struct rollup *rollup, const struct rollup_key *key,
                                             const struct rollup_metrics *metrics);
/* Rows of which any sum is not 0. */
int64_t rollup_count_nonzero(const struct rollup *rollup);

#endif
