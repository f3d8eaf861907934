#ifndef LEDGER_CHARGE_H
#define LEDGER_CHARGE_H

#include "ledger/ledger.h"
#include "ledger/rollup.h"
#include "store/stmt.h"

/* One row of the table `charge`, and what it adds to the rollups. */

enum charge_kind { CHARGE_ATTEMPT = 0, CHARGE_ADJUSTMENT = 1 };

struct charge_row {
    int64_t id;
    int64_t call_id;    /* 0: the attempt is the call's first */
    int64_t adjusts_id; /* 0: an attempt */
    int64_t team_id;
    int64_t key_id;
    int64_t provider_id;
    int64_t dialect_id;
    int64_t model_id;
    int64_t served_model_id; /* 0: not named */
    int64_t tier_id;         /* 0: standard */
    struct tg_usage usage;
    int64_t cost_nusd;
    int64_t provider_cost_nusd;
    int64_t hold_nusd;
    int64_t rate_set_id; /* 0: none */
    enum ledger_outcome outcome;
    enum ledger_source source;
    uint32_t flags;
    int64_t http_status; /* 0: none */
    int64_t ttft_ms;     /* -1: none */
    int64_t total_ms;
    int64_t request_bytes;
    int64_t answer_bytes;
};

struct charge_store {
    struct stmt insert;
    struct stmt find;
    struct stmt find_ending; /* the adjustment that ended an unreconciled charge */
    struct stmt insert_detail;
    struct stmt expire_details;
};

TG_MUST_CHECK enum tg_status charge_store_prepare(struct charge_store *store, struct db *db,
                                                  struct err *err);
void charge_store_close(struct charge_store *store);

/* Insert a row unless its id is there.
 *
 * ret_is_new  whether it was inserted
 * Errors      TG_IO, TG_NO_MEMORY, TG_CORRUPT; TG_INTERNAL and others: the row breaks the table's
 * rules */
TG_MUST_CHECK enum tg_status charge_insert(struct charge_store *store, const struct charge_row *row,
                                           bool *ret_is_new, struct err *err);

/* Errors  TG_NOT_FOUND, and as above */
TG_MUST_CHECK enum tg_status charge_find(struct charge_store *store, int64_t id,
                                         struct charge_row *ret_row, struct err *err);

/* Whether an unreconciled charge has been ended. */
TG_MUST_CHECK enum tg_status charge_is_ended(struct charge_store *store, int64_t id,
                                             bool *ret_is_ended, struct err *err);

/* Store the receipt's extras where there are any. */
TG_MUST_CHECK enum tg_status charge_insert_detail(struct charge_store *store,
                                                  const struct ledger_charge *charge,
                                                  struct err *err);

/* Delete up to `most` details of attempts before an id. */
TG_MUST_CHECK enum tg_status charge_expire_details(struct charge_store *store, int64_t before_id,
                                                   int64_t most, int64_t *ret_deleted,
                                                   struct err *err);

/* The columns that charge_read reads, in its order; from the table `charge`. */
extern const char charge_columns[];

/* Read a row from a statement that selects charge_columns first.
 *
 * Errors  TG_CORRUPT: other_usage is not what charge_insert writes; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status charge_read(const struct stmt *stmt, struct charge_row *ret_row,
                                         struct err *err);

/* What a row adds to the rollups, and where. An adjustment adds its differences to the time of the
 * row that it corrects; it ends an unreconciled one where its outcome says so. */
void charge_metrics(const struct charge_row *row, struct rollup_metrics *ret_metrics);
void charge_place(const struct charge_row *row, struct rollup_place *ret_place);

#endif
