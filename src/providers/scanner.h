#ifndef PROVIDERS_SCANNER_H
#define PROVIDERS_SCANNER_H

#include "base/span.h"
#include "tollgate/status.h"

/* JSON (RFC 8259) read in place and in one pass; no tree, no allocation, no recursion. The caller
 * walks it:
 *
 *     scanner_init(&s, body);
 *     if (scanner_value(&s, &root) && root.type == SCANNER_OBJECT)
 *         while (scanner_member(&s, &key))
 *             scanner_skip(&s);
 *     status = scanner_finish(&s);
 *
 * All that is walked over or skipped is checked: nesting, closed strings, no control character in a
 * string, escapes, numbers, literals, UTF-8, nothing but blanks behind. A byte order mark or UTF-16
 * is no JSON here. A first fault sticks: every later call returns false, so that it is tested once,
 * by scanner_finish. Facts gathered before a fault are not to be believed. */

#define SCANNER_DEPTH_MAX 64

enum scanner_type {
    SCANNER_NONE,
    SCANNER_OBJECT,
    SCANNER_ARRAY,
    SCANNER_STRING,
    SCANNER_NUMBER,
    SCANNER_TRUE,
    SCANNER_FALSE,
    SCANNER_NULL
};

enum scanner_fault { SCANNER_FINE, SCANNER_MALFORMED, SCANNER_TOO_DEEP };

struct scanner {
    const char *start;
    const char *at; /* next byte */
    const char *end;
    uint64_t objects; /* bit d: what is open at depth d + 1 is an object */
    int depth;        /* objects and arrays open, 0..SCANNER_DEPTH_MAX */
    bool is_fresh;    /* the innermost was opened just now: no comma is due */
    enum scanner_fault fault;
};

/* A value or a member's key. */
struct scanner_value {
    enum scanner_type type;
    bool has_escape;  /* a string with a backslash in it */
    struct span text; /* a string between its quotes as written; a number or literal; '{' or '[' */
};

void scanner_init(struct scanner *s, struct span text);

/* Read the value that comes next. A scalar is read whole; of an object or array only the opening
 * bracket, after which scanner_member or scanner_element walk what is inside.
 *
 * return  false on a fault; *ret_value is written only on true */
bool scanner_value(struct scanner *s, struct scanner_value *ret_value);

/* Go to the next member of the innermost open object: read its key and colon.
 *
 * return  false at the end of the object, which is then closed, and on a fault */
bool scanner_member(struct scanner *s, struct scanner_value *ret_key);

/* Go to the next element of the innermost open array.
 *
 * return  false at the end of the array, which is then closed, and on a fault */
bool scanner_element(struct scanner *s);

/* Open the value that comes next if it is of `type`, SCANNER_OBJECT or SCANNER_ARRAY, else read
 * over it.
 *
 * return  whether it is open now */
bool scanner_enter(struct scanner *s, enum scanner_type type);

/* Read over the value that comes next, whatever it holds. */
bool scanner_skip(struct scanner *s);

/* Read over what is left of the innermost open object or array and close it. */
bool scanner_leave(struct scanner *s);

/* Whether the innermost open container is an object. */
static inline bool scanner_is_in_object(const struct scanner *s)
{
    return s->depth > 0 && (s->objects >> (s->depth - 1) & 1) != 0;
}

/* Offset of the next byte, from the start of the text. */
static inline size_t scanner_offset(const struct scanner *s)
{
    return (size_t)(s->at - s->start);
}

/* Check that one value was read and that nothing but blanks follows.
 *
 * Errors  TG_INVALID: no JSON; TG_OUT_OF_RANGE: deeper than SCANNER_DEPTH_MAX */
TG_MUST_CHECK enum tg_status scanner_finish(struct scanner *s);

/* Unescape a string, no more of it than fits: what is written ends at a whole character.
 *
 * return  whether all of it is in `out`; false also at half a surrogate pair, which is no
 * character. *ret_len is always written */
bool scanner_unescape(const struct scanner_value *string, char *out, size_t cap, size_t *ret_len);

/* Length in bytes of a string once unescaped; half a surrogate pair counts 3. */
size_t scanner_text_bytes(const struct scanner_value *string);

/* Whether a string or key, once unescaped, is `literal` (at most 64 bytes). */
bool scanner_is_escaped(const struct scanner_value *string, struct span literal);
static inline bool scanner_is(const struct scanner_value *string, struct span literal)
{
    if (string->has_escape)
        return scanner_is_escaped(string, literal);
    return span_equal(string->text, literal);
}

/* Read a number that is written as an integer: no fraction, no exponent (1e3 is refused).
 *
 * return  whether it is one and within int64; *ret_value is written only then */
bool scanner_int64(const struct scanner_value *number, int64_t *ret_value);

#endif
