#ifndef LEDGER_REPORT_H
#define LEDGER_REPORT_H

#include "ledger/account.h"

/* Usage over time, from the rollups: by day for anything, by hour and quarter hour for teams and
 * models. Buckets are of UTC. Reading only; any connection. */

#define REPORT_BUCKETS_MAX 3000
#define REPORT_CELLS_MAX   500000 /* series x buckets */
#define REPORT_TOP_MAX     1000
#define REPORT_NAME_SIZE   257

struct db;

enum report_bucket {
    REPORT_AUTO,
    REPORT_15_MINUTES,
    REPORT_HOUR,
    REPORT_DAY,
    REPORT_MONTH,
    REPORT_BUCKET_COUNT
};

enum report_group {
    REPORT_BY_TEAM,
    REPORT_BY_KEY,
    REPORT_BY_MODEL,
    REPORT_BY_PROVIDER,
    REPORT_GROUP_COUNT
};

enum report_metric {
    REPORT_COST,          /* nusd */
    REPORT_PROVIDER_COST, /* nusd */
    REPORT_TOTAL_TOKENS,
    REPORT_INPUT_TOKENS,
    REPORT_OUTPUT_TOKENS,
    REPORT_REQUESTS,
    REPORT_ERRORS,
    REPORT_ESTIMATED,
    REPORT_UNRECONCILED,
    REPORT_UNPRICED,
    REPORT_METRIC_COUNT
};

/* "15m"; "team"; "cost": as the API writes them. */
const char *report_bucket_name(enum report_bucket bucket);
const char *report_group_name(enum report_group group);
const char *report_metric_name(enum report_metric metric);
bool report_metric_is_money(enum report_metric metric);

struct report_query {
    account_scope scope;
    int64_t from_ms; /* widened to whole buckets */
    int64_t to_ms;   /* after from_ms */
    enum report_bucket bucket;
    uint32_t groups; /* 1u << enum report_group */
    /* Only these; empty: all. Public ids of team and key, names of model and provider. */
    struct span filter[REPORT_GROUP_COUNT];
    enum report_metric rank; /* which series are the top ones */
    int top;                 /* 1..REPORT_TOP_MAX; the rest is added up in `other` */
};

struct report_sums {
    int64_t value[REPORT_METRIC_COUNT];
};

struct report_series {
    char key[REPORT_GROUP_COUNT][REPORT_NAME_SIZE]; /* "" where it is not grouped by */
    int64_t ids[REPORT_GROUP_COUNT];
    struct report_sums total;
    struct report_sums *bucket; /* bucket_count of them */
};

struct report {
    enum report_bucket bucket; /* never REPORT_AUTO */
    int bucket_count;
    int64_t *start_ms; /* of each bucket */
    int64_t end_ms;    /* of the last one */
    int series_count;  /* at most query.top; the largest first */
    int series_room;
    struct report_series *series;
    bool has_other;
    struct report_series other;
    struct report_sums total; /* of everything */
};

void report_fini(struct report *report);
AUTO_DEFINE(report, report_fini)

/* Errors  TG_INVALID: too many buckets, or key or provider in buckets shorter than a day;
 * TG_TOO_LARGE: REPORT_CELLS_MAX; TG_OVERLOADED; TG_IO, TG_NO_MEMORY. `err` says what to ask for
 * instead */
TG_MUST_CHECK enum tg_status report_make(struct db *db, const struct report_query *query,
                                         struct report *ret_report, struct err *err);

#endif
