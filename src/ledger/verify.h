#ifndef LEDGER_VERIFY_H
#define LEDGER_VERIFY_H

#include "store/db.h"

struct ledger_verdict {
    int64_t charges;      /* rows looked at */
    int64_t differences;  /* rollup rows that are not the sum of their charges */
    int64_t double_ended; /* attempts with a hold and a charge */
    int64_t out_of_range; /* rows that break a rule of their kind, or point at nothing */
    int64_t open_holds;
};

/* Recompute what the file can prove. Where the connection has a snapshot open, all of it is done in
 * there; else each day in a snapshot of its own, so that a long book can be read while it grows.
 * Memory is that of the busiest day.
 *
 * Errors  TG_IO, TG_CORRUPT, TG_NO_MEMORY, TG_OVERLOADED: past the connection's deadline;
 * differences are no error, the caller judges */
TG_MUST_CHECK enum tg_status ledger_verify(struct db *db, struct ledger_verdict *ret_verdict,
                                           struct err *err);

#endif
