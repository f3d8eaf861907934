#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/span.h"
#include "tollgate/status.h"

/* Identifiers and tokens.
 *
 * A *time id* names a call or an attempt: int64, milliseconds since 1970 in the upper 43 bits, then
 * 6 bits of source (a worker), then 14 of sequence; so ids sort by time, are never 0, and a source
 * never gives one twice, also when the clock steps back. In text: `call_` + 11 base62 digits, which
 * sort as the numbers do.
 *
 * A *name id* names everything else: prefix + 12 random base62 digits (71 bit).
 *
 * A *token* is what a person holds: `tgk_` (client) or `tga_` (admin) + 10 base62 digits of id + 32
 * of secret (190 bit) + 6 of CRC-32 over all before, so that scanners can tell one from noise. */

#define ID_SOURCE_MAX 63

struct id_source {
    int64_t last;
    int source; /* 0..ID_SOURCE_MAX */
};

/* floor: no id at or below it will be given (the largest one stored, or 0). */
void id_source_init(struct id_source *source, int number, int64_t floor);
int64_t id_next(struct id_source *source, int64_t wall_ms);
/* The time an id was made, ms since 1970. */
int64_t id_wall_ms(int64_t id);
/* The smallest id of that millisecond, for ranges; INT64_MAX where it is past the year 2248, to
 * which ids reach. */
int64_t id_floor_of(int64_t wall_ms);

#define ID_CALL_PREFIX "call_"
/* Longest text of an id, with its terminator. */
#define ID_TEXT_SIZE 24

void id_format_call(int64_t id, char text[ID_TEXT_SIZE]);
/* return  whether it is a call id; *ret_id is written only then */
bool id_parse_call(struct span text, int64_t *ret_id);

/* prefix: "team_", "prov_", ...; at most 8 bytes. */
void id_make_name(const char *prefix, char text[ID_TEXT_SIZE]);

#define ID_TOKEN_LEN  52 /* 4 + 10 + 32 + 6 */
#define ID_TOKEN_SIZE (ID_TOKEN_LEN + 1)
#define ID_TOKEN_ID   10

/* Make a token with a given id part (rotation) or, where id10 is NULL, a random one. */
void id_make_token(const char *prefix4, const char *id10, char text[ID_TOKEN_SIZE]);
/* Whether the form and the check digits are right. A wrong one is treated as any unknown token. */
bool id_token_is_well_formed(struct span text);

/* 0-9 A-Z a-z in the order of their bytes. */
void id_put_base62(uint64_t value, int digits, char *text);
bool id_get_base62(struct span text, uint64_t *ret_value);

#endif
