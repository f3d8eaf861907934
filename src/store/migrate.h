#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "base/buf.h"
#include "store/db.h"
#include "tollgate/embedded.h"

/* Bring a database up to the program. Each migration is a file NNNN_verb_noun.sql, numbered from
 * 0001 without a gap, and runs in a transaction of its own that also records it. Files of other
 * names in the list (the price book's rows) are passed over. */

/* Run what is missing on a DB_WRITE connection.
 *
 * files        sorted by name
 * ret_applied  migrations that were run now
 * Errors       TG_CORRUPT: not a Tollgate database; TG_STALE: made by a newer program, or one that
 * was run has changed since; TG_INTERNAL: the list has a gap or wrong SQL; TG_IO, TG_NO_MEMORY.
 *              `err` names the migration */
TG_MUST_CHECK enum tg_status migrate_run(struct db *db, const struct tg_embedded_file *files,
                                         size_t count, int *ret_applied, struct err *err);

/* Append the whole schema as SQL, in an order that does not depend on how it came to be. */
TG_MUST_CHECK enum tg_status migrate_dump(struct db *db, struct buf *out, struct err *err);

#endif
