#ifndef PROVIDERS_ANSWER_READER_H
#define PROVIDERS_ANSWER_READER_H

#include "providers/scanner.h"
#include "tollgate/provider.h"

/* What the dialects share in reading answers. Pure. */

/* --- values -------------------------------------------------------------------------------------
 */

/* Read the next value; of an object or array all of it.
 *
 * ret     SCANNER_NONE on a fault
 * return  whether it says anything: is not null, empty or a fault */
bool answer_read_value(struct scanner *s, struct scanner_value *ret_value);

/* Read the next value whatever it is.
 *
 * ret  written only where it is a string that is not empty */
void answer_read_string(struct scanner *s, struct scanner_value *ret_string);

/* A count's name on the wire and its number in the dialect. */
struct answer_count {
    struct span name;
    int number;
};

/* return  whether the key is one of the names; *ret_number is written only then */
bool answer_find_count(const struct scanner_value *key, const struct answer_count *names,
                       size_t length, int *ret_number);

/* Keep a string or number that says something, cut where it is longer, unless there is one already.
 */
void answer_keep_text(struct tg_short_text *text, const struct scanner_value *value);

/* --- events alike -------------------------------------------------------------------------------

 * Most events of a stream differ from the one before in their text alone. Such an event is compared
 * with the last one's bytes instead of being read; only its strings are checked and measured. */

/* The strings of an event that differ from one event to the next, in their order. */
struct answer_holes {
    struct span hole[TG_SHAPE_HOLES_MAX];
    int count;      /* may exceed the array: then the event has no shape */
    int text_count; /* of them visible text */
    int text_hole;  /* the last of these */
};

void answer_note_hole(struct answer_holes *holes, const struct scanner_value *string);
/* The same for visible text. */
void answer_note_text(struct answer_holes *holes, const struct scanner_value *string);

/* Keep the shape of an event that brings text and nothing else; none where it has not exactly one
 * piece of text or does not fit. */
void answer_keep_shape(const struct answer_holes *holes, struct span data,
                       struct tg_event_shape *shape);

/* ret     bytes of its text
 * return  whether the event has the shape; *ret_text_bytes is written only then */
bool answer_has_shape(const struct tg_event_shape *shape, struct span data,
                      int64_t *ret_text_bytes);

#endif
