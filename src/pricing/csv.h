#ifndef PRICING_CSV_H
#define PRICING_CSV_H

#include "base/arena.h"
#include "base/err.h"

/* Reads RFC 4180, one record a line: fields apart by commas, a field in quotes may hold commas and
 * doubled quotes, lines end in LF or CRLF. A record never spans lines: every record of a price file
 * is one that a person can review in a diff. */

struct csv {
    struct span rest;
    const char *name;    /* of the file, for messages */
    int64_t line;        /* of the record last read, from 1 */
    struct arena *texts; /* quoted fields that had to be rewritten */
};

/* text    borrowed for as long as the fields are used; so is `texts` */
void csv_init(struct csv *csv, const char *name, struct span text, struct arena *texts);

/* Whether all is read. */
bool csv_is_at_end(const struct csv *csv);

/* Read one record; csv_is_at_end must be false.
 *
 * count   how many fields it must have
 * fields  that many; borrowed from the text or from `texts`
 * Errors  TG_INVALID: "NAME line N: what is wrong"; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status csv_next(struct csv *csv, size_t count, struct span *fields,
                                      struct err *err);

/* TG_INVALID, with `complaint` behind the name and the line in `err`. */
enum tg_status csv_refuse(const struct csv *csv, const char *complaint, struct err *err);

#endif
