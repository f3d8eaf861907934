#include "base/id.h"

#include "base/rand.h"

#include <assert.h>

#define SEQUENCE_BITS   14
#define SOURCE_BITS     6
#define TIME_SHIFT      (SEQUENCE_BITS + SOURCE_BITS)
#define WALL_MS_END     (INT64_C(1) << 43)
#define CALL_DIGITS     11
#define NAME_DIGITS     12
#define NAME_PREFIX_MAX 8
#define TOKEN_PREFIX    4
#define TOKEN_SECRET    32
#define TOKEN_CHECK     6

_Static_assert(TOKEN_PREFIX + ID_TOKEN_ID + TOKEN_SECRET + TOKEN_CHECK == ID_TOKEN_LEN, "token");
_Static_assert(ID_SOURCE_MAX == (1 << SOURCE_BITS) - 1, "source");
_Static_assert(NAME_PREFIX_MAX + NAME_DIGITS < ID_TEXT_SIZE, "name id");

void id_source_init(struct id_source *source, int number, int64_t floor)
{
    assert(number >= 0 && number <= ID_SOURCE_MAX);
    assert(floor >= 0);
    *source = (struct id_source){ .last = floor, .source = number };
}

static int64_t pack(int64_t wall_ms, int source)
{
    assert(wall_ms >= 0 && wall_ms < WALL_MS_END);
    return wall_ms << TIME_SHIFT | (int64_t)source << SEQUENCE_BITS;
}

/* The smallest id of this source above `last`, which may be another source's. */
static int64_t successor(int64_t last, int source)
{
    const int64_t wall_ms = last >> TIME_SHIFT;
    const int64_t first = pack(wall_ms, source);

    if (last < first)
        return first;
    if (last < first + (1 << SEQUENCE_BITS) - 1)
        return last + 1;
    return pack(wall_ms + 1, source);
}

int64_t id_next(struct id_source *source, int64_t wall_ms)
{
    const int64_t by_clock = pack(wall_ms, source->source);

    /* Where the clock stands still or has stepped back, or a millisecond's sequence is used up, ids
     * run ahead of the clock until it catches up. */
    source->last = by_clock > source->last ? by_clock : successor(source->last, source->source);
    return source->last;
}

int64_t id_wall_ms(int64_t id)
{
    return id >> TIME_SHIFT;
}

int64_t id_floor_of(int64_t wall_ms)
{
    return wall_ms >= id_wall_ms(INT64_MAX) ? INT64_MAX : pack(wall_ms, 0);
}

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

void id_put_base62(uint64_t value, int digits, char *text)
{
    for (int i = digits - 1; i >= 0; i--) {
        text[i] = base62[value % 62];
        value /= 62;
    }
    assert(value == 0);
}

/* What a base62 digit stands for, or -1. */
static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 36;
    return -1;
}

bool id_get_base62(struct span text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const int digit = digit_value(text.ptr[i]);

        if (digit < 0 || __builtin_mul_overflow(value, 62, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

void id_format_call(int64_t id, char text[ID_TEXT_SIZE])
{
    const size_t prefix = sizeof(ID_CALL_PREFIX) - 1;

    assert(id > 0);
    memcpy(text, ID_CALL_PREFIX, prefix);
    id_put_base62((uint64_t)id, CALL_DIGITS, text + prefix);
    text[prefix + CALL_DIGITS] = '\0';
}

bool id_parse_call(struct span text, int64_t *ret_id)
{
    const struct span prefix = SPAN(ID_CALL_PREFIX);
    uint64_t value;

    if (text.len != prefix.len + CALL_DIGITS || !span_starts_with(text, prefix))
        return false;
    if (!id_get_base62(span_from_offset(text, prefix.len), &value))
        return false;
    if (value == 0 || value > INT64_MAX)
        return false;
    *ret_id = (int64_t)value;
    return true;
}

/* Write `digits` random base62 digits, all equally likely. */
static void put_random(char *text, size_t digits)
{
    for (size_t i = 0; i < digits; i++)
        text[i] = base62[rand_below(62)];
}

void id_make_name(const char *prefix, char text[ID_TEXT_SIZE])
{
    const size_t len = strlen(prefix);

    assert(len <= NAME_PREFIX_MAX);
    memcpy(text, prefix, len);
    put_random(text + len, NAME_DIGITS);
    text[len + NAME_DIGITS] = '\0';
}

/* CRC-32 of IEEE 802.3, reflected, a half byte at a time. */
static uint32_t crc32_of(struct span s)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < s.len; i++) {
        crc ^= (unsigned char)s.ptr[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

void id_make_token(const char *prefix4, const char *id10, char text[ID_TOKEN_SIZE])
{
    const size_t checked = ID_TOKEN_LEN - TOKEN_CHECK;

    assert(strlen(prefix4) == TOKEN_PREFIX);
    assert(id10 == NULL || strlen(id10) == ID_TOKEN_ID);
    memcpy(text, prefix4, TOKEN_PREFIX);
    if (id10 != NULL)
        memcpy(text + TOKEN_PREFIX, id10, ID_TOKEN_ID);
    else
        put_random(text + TOKEN_PREFIX, ID_TOKEN_ID);
    put_random(text + TOKEN_PREFIX + ID_TOKEN_ID, TOKEN_SECRET);
    id_put_base62(crc32_of(span_of(text, checked)), TOKEN_CHECK, text + checked);
    text[ID_TOKEN_LEN] = '\0';
}

bool id_token_is_well_formed(struct span text)
{
    const size_t checked = ID_TOKEN_LEN - TOKEN_CHECK;
    char check[TOKEN_CHECK];

    if (text.len != ID_TOKEN_LEN ||
        !(span_starts_with(text, SPAN("tgk_")) || span_starts_with(text, SPAN("tga_"))))
        return false;
    for (size_t i = TOKEN_PREFIX; i < text.len; i++)
        if (digit_value(text.ptr[i]) < 0)
            return false;
    id_put_base62(crc32_of(span_of(text.ptr, checked)), TOKEN_CHECK, check);
    return memcmp(check, text.ptr + checked, TOKEN_CHECK) == 0;
}
