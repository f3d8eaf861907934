#include "base/span.h"

#include <assert.h>
#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

bool span_starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_equal(span_of(s.ptr, prefix.len), prefix);
}

bool span_starts_with_nocase(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_equal_nocase(span_of(s.ptr, prefix.len), prefix);
}

bool span_ends_with(struct span s, struct span suffix)
{
    return s.len >= suffix.len && span_equal(span_from_offset(s, s.len - suffix.len), suffix);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = span_from_offset(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool span_find_byte(struct span s, char byte, size_t *ret_at)
{
    const char *at = s.len == 0 ? NULL : memchr(s.ptr, byte, s.len);

    if (at == NULL)
        return false;
    *ret_at = (size_t)(at - s.ptr);
    return true;
}

#ifdef __SSE2__

/* A bit for each of the 16 places from `at` on where the needle's first two bytes stand. Reads 17
 * bytes. */
static unsigned probe16(const char *at, __m128i first, __m128i second)
{
    const __m128i is_first = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)at), first);
    const __m128i is_second = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(at + 1)), second);

    return (unsigned)_mm_movemask_epi8(_mm_and_si128(is_first, is_second));
}

/* Find `needle` (2 bytes or more) at one of the places from `*start` on that can be probed; else
 * move
 * `*start` behind them. */
static bool find_probed(struct span s, struct span needle, size_t *start)
{
    const __m128i first = _mm_set1_epi8(needle.ptr[0]);
    const __m128i second = _mm_set1_epi8(needle.ptr[1]);
    const size_t last = s.len - needle.len; /* last place where it may begin */

    for (size_t block = *start; s.len - block >= 17; block += 16) {
        unsigned hits = probe16(s.ptr + block, first, second);

        for (; hits != 0; hits &= hits - 1) {
            *start = block + (unsigned)__builtin_ctz(hits);
            if (*start <= last && memcmp(s.ptr + *start, needle.ptr, needle.len) == 0)
                return true;
        }
        *start = block + 16;
    }
    return false;
}

#endif

bool span_find(struct span s, struct span needle, size_t *ret_at)
{
    size_t start = 0;
    const char *at;

    assert(needle.len > 0);
    if (needle.len == 1)
        return span_find_byte(s, needle.ptr[0], ret_at);
    if (s.len < needle.len)
        return false;
#ifdef __SSE2__
    if (find_probed(s, needle, &start)) {
        *ret_at = start;
        return true;
    }
#endif
    at = memmem(s.ptr + start, s.len - start, needle.ptr, needle.len);
    if (at == NULL)
        return false;
    *ret_at = (size_t)(at - s.ptr);
    return true;
}

bool span_cut(struct span *rest, char separator, struct span *ret_head)
{
    size_t at;

    if (rest->len == 0)
        return false;
    if (span_find_byte(*rest, separator, &at)) {
        *ret_head = span_of(rest->ptr, at);
        *rest = span_from_offset(*rest, at + 1);
    } else {
        *ret_head = *rest;
        *rest = span_from_offset(*rest, rest->len);
    }
    return true;
}

bool span_to_int64(struct span s, int64_t max, int64_t *ret_value)
{
    int64_t value = 0;

    assert(max >= 0);
    if (s.len == 0 || (s.len > 1 && s.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        const int digit = s.ptr[i] - '0';

        if (digit < 0 || digit > 9)
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}

char *span_to_string(struct span s)
{
    char *text = s.len == SIZE_MAX ? NULL : malloc(s.len + 1);

    if (text == NULL)
        return NULL;
    if (s.len > 0)
        memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return text;
}

uint64_t span_hash(struct span s)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < s.len; i++) {
        hash ^= (unsigned char)s.ptr[i];
        hash *= UINT64_C(0x100000001b3);
    }
    /* FNV leaves the low bits, by which a table picks its slot, poorly mixed. */
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    return hash ^ (hash >> 33);
}

/* Bytes of the sequence that `lead` opens and the range of its second byte (RFC 3629 section 4,
 * which rules out overlong forms, surrogates and what is above U+10FFFF); 0 for a byte that opens
 * none. */
static size_t utf8_shape(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    *ret_high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

size_t span_utf8_at(struct span s, uint32_t *ret_code_point)
{
    const unsigned char *bytes = (const unsigned char *)s.ptr;
    unsigned char low;
    unsigned char high;
    uint32_t code_point;
    size_t len;

    if (s.len == 0)
        return 0;
    len = utf8_shape(bytes[0], &low, &high);
    if (len == 0 || s.len < len)
        return 0;
    code_point = len == 1 ? bytes[0] : bytes[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (bytes[i] < low || bytes[i] > high)
            return 0;
        code_point = code_point << 6 | (bytes[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *ret_code_point = code_point;
    return len;
}

size_t span_utf8_cut(struct span s, size_t max)
{
    const size_t end = s.len < max ? s.len : max;
    size_t lead = end;
    unsigned char low;
    unsigned char high;

    /* The last lead byte is at most 4 back; where none is, this is not UTF-8 and any cut is as
     * good. */
    while (lead > 0 && end - lead < 4) {
        lead--;
        if (((unsigned char)s.ptr[lead] & 0xC0) != 0x80)
            return lead + utf8_shape((unsigned char)s.ptr[lead], &low, &high) > end ? lead : end;
    }
    return end;
}
