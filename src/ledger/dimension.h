#ifndef LEDGER_DIMENSION_H
#define LEDGER_DIMENSION_H

#include "base/map.h"
#include "base/span.h"
#include "store/stmt.h"

/* Small numbers for texts that recur: names of models, sets of prices. A text gets a row at first
 * sight; the numbers in use are kept in memory. A row that is rolled back is forgotten.
 *
 * Thread: writer, inside its transaction. */

/* Entries kept in memory; full, it is emptied and filled anew from the table. */
#define DIMENSION_CACHE_MAX 65536

enum dimension_table { DIMENSION_NAMES, DIMENSION_RATE_SETS };

struct dimension_entry;

struct dimension {
    struct map entries;              /* by key */
    struct dimension_entry *pending; /* made by the open transaction */
    struct stmt find;
    struct stmt add;
};

TG_MUST_CHECK enum tg_status dimension_init(struct dimension *dimension, struct db *db,
                                            enum dimension_table table, struct err *err);
void dimension_fini(struct dimension *dimension);
/* Finalize the statements; the rest stays until dimension_fini. */
void dimension_close(struct dimension *dimension);

/* Find the number of `key`. Where it is not in memory, `text` is found or inserted in the table:
 * equal keys have equal texts, a key may be quicker to build.
 *
 * text    called only when needed, into a buffer that `context` owns; may be NULL: the key itself
 * Errors  TG_IO, TG_NO_MEMORY, TG_CORRUPT */
struct dimension_text {
    struct span (*build)(void *context);
    void *context;
};
TG_MUST_CHECK enum tg_status dimension_id(struct dimension *dimension, struct span key,
                                          const struct dimension_text *text, int64_t *ret_id,
                                          struct err *err);

void dimension_committed(struct dimension *dimension);
void dimension_rolled_back(struct dimension *dimension);

#endif
