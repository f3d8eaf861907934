#ifndef QUOTA_EVENT_LOG_H
#define QUOTA_EVENT_LOG_H

#include "quota/limit.h"

/* What people were to be told of a limit, as it is read: rows of `limit_event`. They are written as
 * charges are counted. */

struct event_entry {
    int64_t id;                       /* row */
    char key_public_id[ID_TEXT_SIZE]; /* of a limit for each key; "": it has but one count */
    int64_t period_start_ms;
    int threshold;  /* percent */
    int64_t amount; /* of the limit at that time, in its metric */
    int64_t spent;  /* by then */
    int64_t at_ms;
};

/* Newest first. */
struct event_query {
    int32_t limit_id; /* row */
    int64_t after_id; /* row of the last one seen; 0: from the newest on */
    int limit;        /* 1..ACCOUNT_PAGE_MAX */
    enum tg_status (*on_entry)(void *context, const struct event_entry *entry);
    void *context;
};

/* Errors  those of on_entry; TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status event_list(struct db *db, const struct event_query *query,
                                        bool *ret_has_more, struct err *err);

#endif
