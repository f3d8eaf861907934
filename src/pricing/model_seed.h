#ifndef PRICING_MODEL_SEED_H
#define PRICING_MODEL_SEED_H

#include "base/err.h"
#include "base/span.h"

#include <stdint.h>

/* A file of what is known of models (migrations/models.csv), taken into the table `model`. */

struct db;

#define MODEL_SEED_FILE_MAX ((size_t)8 << 20)

/* The first line of the file. */
#define MODEL_SEED_HEADER                                                                          \
    "provider,model,kind,context_tokens,max_output_tokens,reasoning,output_field,default_output,"  \
    "context_sources,output_sources"

/* Bring the table to the rows of a file: new ones are inserted, known ones take its values, those
 * that it no longer has go, unless an owner has set something of them: then only that stays. What
 * owners have set is left alone. The file that was taken in last costs nothing. Runs in the
 * caller's transaction.
 *
 * sha256_hex  of the file
 * Errors      TG_INVALID: "models.csv line 35: ..."; TG_TOO_LARGE; TG_IO; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status model_seed(struct db *db, struct span csv, const char *sha256_hex,
                                        int64_t now_ms, struct err *err);

#endif
