#ifndef STORE_READER_H
#define STORE_READER_H

#include "store/db.h"

/* Read-only connections for threads that may block (the admin listener's). Each stay is one
 * snapshot and ends after READER_DEADLINE_MS: an older one would keep the log from being reused. */

#define READER_DEADLINE_MS 5000
#define READER_POOL_MAX    64

struct reader_pool;

/* count   connections, 1..READER_POOL_MAX; made at first use
 * Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status reader_pool_new(const char *path, int count,
                                             struct reader_pool **ret_pool, struct err *err);
/* No reader may be out. Accepts NULL. */
void reader_pool_free(struct reader_pool *pool);
AUTO_PTR_DEFINE(reader_pool, reader_pool_free)

/* A stay: AUTO(reader) reader = { 0 }; TRY(reader_enter(&reader, pool, err)); use reader.db. */
struct reader {
    struct reader_pool *pool;
    struct db *db; /* inside one snapshot */
};

/* Wait for a free connection and open a snapshot.
 *
 * Errors  TG_OVERLOADED: none came free in READER_DEADLINE_MS; TG_IO, TG_NO_MEMORY, TG_CORRUPT */
TG_MUST_CHECK enum tg_status reader_enter(struct reader *reader, struct reader_pool *pool,
                                          struct err *err);
void reader_leave(struct reader *reader);
AUTO_DEFINE(reader, reader_leave)

/* Leave the snapshot for a fresh one with a deadline of its own: between the pages of an export.
 * Statements must be reset. */
TG_MUST_CHECK enum tg_status reader_renew(struct reader *reader, struct err *err);

#endif
