#ifndef PROVIDERS_JSON_ARRAY_H
#define PROVIDERS_JSON_ARRAY_H

#include "providers/sse.h"

/* The elements of a streamed JSON array, found in place: how Gemini streams where no events were
 * asked for. An element is handed out, as an event without a type, as soon as its last byte has
 * come, with the exact bytes it had on the wire: the bracket, comma and blanks in front belong to
 * it, so that all of it can go on unchanged. The closing bracket, and whatever stands behind it,
 * stays behind as bytes that are part of no event. A body that is no array is one element.
 *
 * Brackets are counted, not matched: whether an element is JSON is seen by who reads it. Each byte
 * is looked at once, however small the pieces. */

enum json_array_state {
    JSON_ARRAY_BETWEEN, /* before the array, or between elements */
    JSON_ARRAY_SCALAR,
    JSON_ARRAY_INSIDE, /* an object or array, outside its strings */
    JSON_ARRAY_STRING,
    JSON_ARRAY_ESCAPE, /* in a string, behind a backslash */
    JSON_ARRAY_BEHIND  /* behind the end */
};

struct json_array {
    enum json_array_state state;
    bool has_started; /* the opening bracket is behind */
    size_t scanned;   /* bytes of the pending element that were looked at already */
    size_t start;     /* where its value begins */
    size_t depth;     /* brackets that are open in it */
};

void json_array_init(struct json_array *array);

/* Find the next whole element at the start of `pending` (what has come and is not handed out yet;
 * the same bytes again plus more, each time, until an element is taken).
 *
 * return  whether there is one; then the caller drops event->bytes.len bytes off the front */
bool json_array_next(struct json_array *array, struct span pending, struct sse_event *ret_event);

/* Take what is left when the body has ended.
 *
 * return  whether an element had begun */
bool json_array_last(struct json_array *array, struct span pending, struct sse_event *ret_event);

#endif
