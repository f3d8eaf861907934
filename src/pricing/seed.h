#ifndef PRICING_SEED_H
#define PRICING_SEED_H

#include "base/err.h"
#include "pricing/price.h"

/* A file of prices (migrations/prices.csv), and what it changes in the rows of an installation.
 *
 * The file says what holds at every time; the rows say that, and what was charged in the past. So a
 * new file is applied from now on: for every instant from `now_ms` on, rows and file price alike;
 * before it nothing that priced a call is removed.
 *   - A subject (provider, model, class, unit, tier, ctx_min, variant, window) that has no row gets
 * all rows of the file, past ones too.
 *   - A row that the file ends on another day, it having been open, gets that day.
 *   - A row that the file no longer has, or has with another value, is closed now.
 *   - A new row holds from the day it names, also a past one: that is when the provider changed its
 *     price, and re-rating can find it. Where it corrects a row that names the same or a later day,
 * or names none, it holds from now. */

#define SEED_FILE_MAX ((size_t)16 << 20)

/* The first line of the file. */
#define SEED_HEADER                                                                                \
    "provider,model,component,unit,pico_usd,tier,ctx_min,variant,utc_window,from,until,as_of,"     \
    "sources,status,dissent"

/* A file that an owner imports may say the currency too: it must be USD in every row. */
#define SEED_CURRENCY ",currency"

/* Read a price file: the header, then a row a line. The id of a row is its line.
 *
 * name     of the file, for messages
 * csv      borrowed for the life of the list
 * ret_list an initialised, empty list; on failure what it holds is unspecified
 * Errors   TG_INVALID: "prices.csv line 35: from must be a date (YYYY-MM-DD)", also for two rows
 * that price the same thing at the same time; TG_TOO_LARGE; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status seed_parse(const char *name, struct span csv,
                                        struct price_list *ret_list, struct err *err);

struct seed_close {
    int64_t id;
    int64_t until_ms;
};

struct seed_plan {
    struct seed_close *closes;
    size_t close_count;
    struct price *inserts; /* texts borrowed from the file; `id` is the line */
    size_t insert_count;
};

void seed_plan_fini(struct seed_plan *plan);
AUTO_DEFINE(seed_plan, seed_plan_fini)

/* Say what to close and what to insert so that `current` becomes the file's. Both lists are sorted
 * in place.
 *
 * current  the rows that seed files have brought, no override among them
 * Errors   TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status seed_compare(struct price_list *current, struct price_list *file,
                                          int64_t now_ms, struct seed_plan *ret_plan);

#endif
