#ifndef METERING_PRICE_IMPORT_H
#define METERING_PRICE_IMPORT_H

#include "base/auto.h"
#include "base/err.h"
#include "metering/price_litellm.h"
#include "pricing/price.h"

/* A file of prices against those in force: what is new, what has another value, what is not there
 * any more. What is new or has another value becomes an override; nothing else is touched, so that
 * an import never ends a price that it does not know. */

enum import_format { IMPORT_CSV, IMPORT_LITELLM };

enum import_change { IMPORT_NEW, IMPORT_CHANGED, IMPORT_VANISHED };

struct import_difference {
    enum import_change change;
    struct price price;      /* of the file; of IMPORT_VANISHED the one in force */
    int64_t before_pusd;     /* of IMPORT_CHANGED */
    int64_t before_price_id; /* of IMPORT_CHANGED and IMPORT_VANISHED */
};

struct price_import {
    struct price_list file;
    struct price_list current;
    struct price *rows; /* to be set; texts belong to `file` */
    size_t row_count;
    struct import_difference *differences;
    size_t difference_count;
    int64_t unchanged;
    struct litellm_count skipped; /* of a model map */
};

void price_import_init(struct price_import *import);
void price_import_fini(struct price_import *import);
AUTO_DEFINE(price_import, price_import_fini)

/* Read a file: CSV with the header of migrations/prices.csv, and maybe a column `currency` behind,
 * or LiteLLM's model map.
 *
 * text    borrowed for the life of the import
 * Errors  TG_INVALID: the line and the column or field at fault, said in `err`; the same price
 * twice; TG_TOO_LARGE; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status price_import_read(struct price_import *import,
                                               enum import_format format, struct span text,
                                               int64_t now_ms, struct err *err);

struct db;

/* Compare it with the prices in force at `now_ms`: rows for one team aside, an override before a
 * seed row.
 *
 * Errors  TG_IO, TG_CORRUPT, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status price_import_compare(struct price_import *import, struct db *db,
                                                  int64_t now_ms, struct err *err);

/* Whether a price has moved by more than so many percent, either way. */
bool price_import_moved(const struct import_difference *difference, int64_t percent);

#endif
