#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that somebody else owns. Not terminated; may hold any byte. An empty span may have any ptr.
 */

struct span {
    const char *ptr;
    size_t len;
};

#define SPAN(literal) ((struct span){ (literal), sizeof(literal) - 1 })
#define SPAN_EMPTY    ((struct span){ "", 0 })
/* For printf: printf("%.*s", SPAN_ARG(s)) */
#define SPAN_ARG(s) (int)(s).len, (s).ptr

static inline struct span span_of(const char *ptr, size_t len)
{
    return (struct span){ ptr, len };
}

static inline struct span span_from(const char *text)
{
    return (struct span){ text, strlen(text) };
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII letters compare without case; all other bytes as they are. */
bool span_equal_nocase(struct span a, struct span b);

bool span_starts_with(struct span s, struct span prefix);
bool span_starts_with_nocase(struct span s, struct span prefix);
bool span_ends_with(struct span s, struct span suffix);

/* All from `start` on; start is at most s.len. */
static inline struct span span_from_offset(struct span s, size_t start)
{
    return (struct span){ s.ptr + start, s.len - start };
}

/* Without spaces and tabs at either end. */
struct span span_trim(struct span s);

/* Find the first `byte`.
 *
 * return  whether it is there; *ret_at is written only then */
bool span_find_byte(struct span s, char byte, size_t *ret_at);

/* Find the first place of `needle` (1 byte or more), by an SSE2 two-byte probe where there is SSE2.
 *
 * return  whether it is there; *ret_at is written only then */
bool span_find(struct span s, struct span needle, size_t *ret_at);

/* Cut at the first `separator`: *ret_head is what stands before it and `*rest` what follows; where
 * there is none, the head is all and the rest empty.
 *
 * return  false when *rest was empty, so that a loop ends */
bool span_cut(struct span *rest, char separator, struct span *ret_head);

/* Read a decimal integer: digits only, no sign, no blank, no leading zero but "0" itself.
 *
 * return  whether all of `s` is such a number of at most `max`; *ret_value is written only then */
bool span_to_int64(struct span s, int64_t max, int64_t *ret_value);

/* A copy with a terminator, from malloc; the caller frees it. NULL when out of memory. */
char *span_to_string(struct span s);

/* Decode the UTF-8 sequence at the front of `s`, strictly: no overlong form, no surrogate.
 *
 * return  its length, 1..4, or 0 where `s` is empty or does not begin with a whole valid one;
 *         *ret_code_point is written only when there is one */
size_t span_utf8_at(struct span s, uint32_t *ret_code_point);

/* The length, at most `max`, to which `s` can be cut without splitting a UTF-8 sequence. A sequence
 * that `s` itself ends inside of is left out too. */
size_t span_utf8_cut(struct span s, size_t max);

/* FNV-1a with a final mix; for tables inside the process whose keys the program itself limits. */
uint64_t span_hash(struct span s);

#endif
