#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"

#include <cjson/cJSON.h>

/* JSON for everything but the path of a call: trees by cJSON, read with limits, and a writer.
 * (Calls are read by providers/scanner, which builds no tree.) */

#define JSON_DEPTH_MAX  64
#define JSON_NUMBER_MAX 63 /* bytes; cJSON reads no more */

/* Parse a whole document, strictly by RFC 8259. Also refused: a depth over JSON_DEPTH_MAX, invalid
 * UTF-8, a NUL, also as \u0000 (cJSON's strings end there), a duplicate member name, a number of
 * more than JSON_NUMBER_MAX bytes or beyond a double. The caller frees *ret_tree with cJSON_Delete.
 *
 * Errors  TG_INVALID with line and byte said in `err`; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status json_parse(struct span text, cJSON **ret_tree, struct err *err);

static inline void json_cleanup(cJSON **tree)
{
    cJSON_Delete(*tree);
}
#define AUTO_JSON __attribute__((cleanup(json_cleanup))) cJSON *

/* A writer over a buf, whose `failed` is the writer's. Commas and quotes are its own affair. A name
 * is NULL inside an array and for the outermost value. Depth at most JSON_DEPTH_MAX. */
struct json_writer {
    struct buf *out;
    int depth;
    bool has_member[JSON_DEPTH_MAX + 1]; /* a comma is due at this depth */
};

void json_begin(struct json_writer *w, struct buf *out);
void json_open_object(struct json_writer *w, const char *name);
void json_open_array(struct json_writer *w, const char *name);
/* Close the innermost object or array; which one it is, the caller says. */
void json_close_object(struct json_writer *w);
void json_close_array(struct json_writer *w);
void json_text(struct json_writer *w, const char *name, struct span value);
/* Empty writes null. */
void json_optional(struct json_writer *w, const char *name, struct span value);
/* NULL writes null. */
void json_string(struct json_writer *w, const char *name, const char *value);
void json_int(struct json_writer *w, const char *name, int64_t value);
void json_bool(struct json_writer *w, const char *name, bool value);
void json_null(struct json_writer *w, const char *name);
/* Money as a decimal string in USD, see money_format. */
void json_money(struct json_writer *w, const char *name, int64_t nusd);
/* What a price or a product is before the one rounding: USD with up to 12 decimals, without zeros
 * at its end. */
void json_pusd(struct json_writer *w, const char *name, __int128 pusd);
/* RFC 3339, or null where `wall_ms` is 0. */
void json_time(struct json_writer *w, const char *name, int64_t wall_ms);
/* Text that is JSON already; not checked. */
void json_raw(struct json_writer *w, const char *name, struct span json);

/* Append `s` as a quoted JSON string; invalid UTF-8 becomes U+FFFD. */
void json_put_quoted(struct buf *out, struct span s);

#endif
