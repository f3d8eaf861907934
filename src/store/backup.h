#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "base/err.h"

#include <stdint.h>

/* Write a compact copy of the database, as it stands at one instant, to a new file of mode 0600
 * that is synced before it returns. Reads through a connection of its own, while the writer goes
 * on.
 *
 * ret_bytes  the copy's size
 * Errors     TG_CONFLICT: there is a file already; TG_INVALID: not an absolute path; TG_IO,
 * TG_CORRUPT, TG_NO_MEMORY. What was begun is removed */
TG_MUST_CHECK enum tg_status backup_write(const char *database_path, const char *to_path,
                                          int64_t *ret_bytes, struct err *err);

#endif
