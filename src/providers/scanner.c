#include "providers/scanner.h"

#include <assert.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The walk works on a copy of the scanner that the compiler keeps in registers; what it calls is
 * inlined for that reason. */
#define HOT static inline __attribute__((always_inline))

#define LITERAL_MAX 64

static const unsigned char first_multibyte = 0x80;

/* --- inside a string ----------------------------------------------------------------------------
 */

/* Whether a byte can stand in a string with no further thought. */
HOT bool is_plain(char c)
{
    return c >= ' ' && c != '"' && c != '\\' && (unsigned char)c < first_multibyte;
}

/* The first byte that is a quote, a backslash, a control character or part of a longer character.
 */
HOT const char *plain_end(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');

    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* A signed comparison: bytes from 0x80 on are below the space as well. */
        const __m128i odd = _mm_or_si128(
            _mm_cmplt_epi8(bytes, space),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        const int mask = _mm_movemask_epi8(odd);

        if (mask != 0)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (at < end && is_plain(*at))
        at++;
    return at;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Length of the well-formed UTF-8 character at `at`, which begins with 0x80 or more; 0: none.
 * Source: Unicode, table 3-7. */
static int multibyte_len(const char *at, const char *end)
{
    const unsigned char lead = (unsigned char)at[0];
    unsigned char second;

    if (lead < 0xC2 || lead > 0xF4 || end - at < 2 || !is_continuation(at[1]))
        return 0;
    if (lead < 0xE0)
        return 2;
    second = (unsigned char)at[1];
    if (end - at < 3 || !is_continuation(at[2]))
        return 0;
    if (lead < 0xF0) {
        const bool is_overlong = lead == 0xE0 && second < 0xA0;
        const bool is_surrogate = lead == 0xED && second > 0x9F;

        return is_overlong || is_surrogate ? 0 : 3;
    }
    if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F))
        return 0;
    return end - at >= 4 && is_continuation(at[3]) ? 4 : 0;
}

/* Three bytes, as most text that is not Latin has them; the two leads with a rule of their own
 * aside. */
static inline bool is_common_three(const char *at)
{
    const unsigned lead = (unsigned char)at[0];
    const unsigned wrong = ((lead & 0xF0) ^ 0xE0) | (((unsigned char)at[1] & 0xC0) ^ 0x80) |
                           (((unsigned char)at[2] & 0xC0) ^ 0x80);

    return wrong == 0 && lead != 0xE0 && lead != 0xED;
}

/* The end of a run of longer characters, or NULL where one is malformed. */
static const char *multibyte_end(const char *at, const char *end)
{
    while (at < end && (unsigned char)*at >= first_multibyte) {
        int len;

        if (end - at >= 3 && is_common_three(at)) {
            at += 3;
            continue;
        }
        len = multibyte_len(at, end);
        if (len == 0)
            return NULL;
        at += len;
    }
    return at;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The end of the escape whose backslash stands at `at`, or NULL where there is no such escape. */
static const char *escape_end(const char *at, const char *end)
{
    if (end - at < 2)
        return NULL;
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        break;
    default:
        return NULL;
    }
    if (end - at < 6)
        return NULL;
    for (int i = 2; i < 6; i++)
        if (hex_digit(at[i]) < 0)
            return NULL;
    return at + 6;
}

/* From a byte that is not plain to the closing quote, or NULL where there is none. */
static const char *string_rest(const char *at, const char *end, bool *has_escape)
{
    while (at != NULL && at < end && *at != '"') {
        if (*at == '\\') {
            *has_escape = true;
            at = escape_end(at, end);
        } else if ((unsigned char)*at >= first_multibyte) {
            at = multibyte_end(at, end);
        } else {
            return NULL;
        }
        if (at != NULL)
            at = plain_end(at, end);
    }
    return at == end ? NULL : at;
}

/* --- scalars ------------------------------------------------------------------------------------
 */

static bool fail(struct scanner *s, enum scanner_fault fault)
{
    if (s->fault == SCANNER_FINE)
        s->fault = fault;
    s->at = s->end;
    return false;
}

HOT bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Most JSON on the wire has no blanks: one comparison then. */
HOT void skip_blanks(struct scanner *s)
{
    while (s->at < s->end && (unsigned char)*s->at <= ' ' && is_blank(*s->at))
        s->at++;
}

/* At the opening quote. */
HOT bool take_string(struct scanner *s, struct scanner_value *ret_value)
{
    const char *const text = s->at + 1;
    const char *close = plain_end(text, s->end);
    bool has_escape = false;

    if (close == s->end || *close != '"')
        close = string_rest(close, s->end, &has_escape);
    if (close == NULL)
        return false;
    ret_value->type = SCANNER_STRING;
    ret_value->has_escape = has_escape;
    ret_value->text = span_of(text, (size_t)(close - text));
    s->at = close + 1;
    return true;
}

static const char *digits_end(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* The end of the number at `at`, or NULL where it is none. */
static const char *number_end(const char *at, const char *end)
{
    const char *digits;

    if (at < end && *at == '-')
        at++;
    digits = at;
    at = digits_end(at, end);
    if (at == digits || (*digits == '0' && at - digits > 1))
        return NULL;
    if (at < end && *at == '.') {
        digits = at + 1;
        at = digits_end(digits, end);
        if (at == digits)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        at = digits_end(digits, end);
        if (at == digits)
            return NULL;
    }
    return at;
}

HOT bool take_number(struct scanner *s, struct scanner_value *ret_value)
{
    const char *const close = number_end(s->at, s->end);

    if (close == NULL)
        return false;
    ret_value->type = SCANNER_NUMBER;
    ret_value->has_escape = false;
    ret_value->text = span_of(s->at, (size_t)(close - s->at));
    s->at = close;
    return true;
}

HOT bool take_word(struct scanner *s, enum scanner_type type, struct span word,
                   struct scanner_value *ret_value)
{
    if ((size_t)(s->end - s->at) < word.len || memcmp(s->at, word.ptr, word.len) != 0)
        return false;
    ret_value->type = type;
    ret_value->has_escape = false;
    ret_value->text = span_of(s->at, word.len);
    s->at += word.len;
    return true;
}

/* --- the walk -----------------------------------------------------------------------------------
 */

HOT bool open_container(struct scanner *s, enum scanner_type type, struct scanner_value *ret_value)
{
    const uint64_t bit = UINT64_C(1) << (s->depth & 63);

    if (s->depth == SCANNER_DEPTH_MAX)
        return fail(s, SCANNER_TOO_DEEP);
    s->objects = type == SCANNER_OBJECT ? s->objects | bit : s->objects & ~bit;
    s->depth++;
    s->is_fresh = true;
    ret_value->type = type;
    ret_value->has_escape = false;
    ret_value->text = span_of(s->at, 1);
    s->at++;
    return true;
}

HOT bool close_container(struct scanner *s)
{
    s->at++;
    s->depth--;
    s->is_fresh = false;
    return false;
}

HOT bool take_value(struct scanner *s, struct scanner_value *ret_value)
{
    bool is_taken;

    if (s->at == s->end)
        return fail(s, SCANNER_MALFORMED);
    switch (*s->at) {
    case '"':
        is_taken = take_string(s, ret_value);
        break;
    case '{':
        return open_container(s, SCANNER_OBJECT, ret_value);
    case '[':
        return open_container(s, SCANNER_ARRAY, ret_value);
    case 'n':
        is_taken = take_word(s, SCANNER_NULL, SPAN("null"), ret_value);
        break;
    case 't':
        is_taken = take_word(s, SCANNER_TRUE, SPAN("true"), ret_value);
        break;
    case 'f':
        is_taken = take_word(s, SCANNER_FALSE, SPAN("false"), ret_value);
        break;
    default:
        is_taken = take_number(s, ret_value);
        break;
    }
    return is_taken || fail(s, SCANNER_MALFORMED);
}

/* Past the comma that is due, to the next item; false at the closing bracket, which is passed. */
HOT bool take_comma(struct scanner *s, char close)
{
    skip_blanks(s);
    if (s->at == s->end)
        return fail(s, SCANNER_MALFORMED);
    if (*s->at == close)
        return close_container(s);
    if (s->is_fresh) {
        s->is_fresh = false;
        return true;
    }
    if (*s->at != ',')
        return fail(s, SCANNER_MALFORMED);
    s->at++;
    skip_blanks(s);
    return true;
}

HOT bool take_member(struct scanner *s, struct scanner_value *ret_key)
{
    if (!take_comma(s, '}'))
        return false;
    if (s->at == s->end || *s->at != '"' || !take_string(s, ret_key))
        return fail(s, SCANNER_MALFORMED);
    skip_blanks(s);
    if (s->at == s->end || *s->at != ':')
        return fail(s, SCANNER_MALFORMED);
    s->at++;
    skip_blanks(s);
    return true;
}

/* Until no more than `floor` containers are open. */
HOT bool take_rest(struct scanner *s, int floor)
{
    struct scanner_value ignored;

    while (s->depth > floor) {
        const bool has_item =
            scanner_is_in_object(s) ? take_member(s, &ignored) : take_comma(s, ']');

        if (has_item)
            (void)take_value(s, &ignored); /* a fault shows below */
        if (s->fault != SCANNER_FINE)
            return false;
    }
    return true;
}

void scanner_init(struct scanner *s, struct span text)
{
    *s = (struct scanner){ .start = text.ptr, .at = text.ptr, .end = text.ptr + text.len };
    skip_blanks(s);
}

bool scanner_value(struct scanner *s, struct scanner_value *ret_value)
{
    return take_value(s, ret_value);
}

bool scanner_member(struct scanner *s, struct scanner_value *ret_key)
{
    if (s->fault != SCANNER_FINE)
        return false;
    assert(scanner_is_in_object(s));
    return take_member(s, ret_key);
}

bool scanner_element(struct scanner *s)
{
    if (s->fault != SCANNER_FINE)
        return false;
    assert(s->depth > 0 && !scanner_is_in_object(s));
    return take_comma(s, ']');
}

bool scanner_skip(struct scanner *s)
{
    struct scanner local = *s;
    struct scanner_value ignored;
    const bool is_read = take_value(&local, &ignored) && take_rest(&local, s->depth);

    *s = local;
    return is_read;
}

bool scanner_leave(struct scanner *s)
{
    struct scanner local = *s;
    bool is_read;

    if (s->fault != SCANNER_FINE)
        return false;
    assert(s->depth > 0);
    is_read = take_rest(&local, s->depth - 1);
    *s = local;
    return is_read;
}

bool scanner_enter(struct scanner *s, enum scanner_type type)
{
    struct scanner_value value;

    assert(type == SCANNER_OBJECT || type == SCANNER_ARRAY);
    if (!scanner_value(s, &value))
        return false;
    if (value.type == type)
        return true;
    if (value.type == SCANNER_OBJECT || value.type == SCANNER_ARRAY)
        (void)scanner_leave(s); /* a fault sticks */
    return false;
}

enum tg_status scanner_finish(struct scanner *s)
{
    if (s->fault == SCANNER_TOO_DEEP)
        return TG_OUT_OF_RANGE;
    if (s->fault != SCANNER_FINE || s->depth > 0)
        return TG_INVALID;
    skip_blanks(s);
    return s->at == s->end ? TG_OK : TG_INVALID;
}

/* --- what a string says -------------------------------------------------------------------------
 */

struct unescaped {
    char bytes[4];
    size_t len;      /* 0: half a surrogate pair */
    size_t consumed; /* of the text */
};

static uint32_t hex4(const char *at)
{
    uint32_t code = 0;

    for (int i = 0; i < 4; i++)
        code = code << 4 | (uint32_t)hex_digit(at[i]);
    return code;
}

static size_t utf8_put(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

static struct unescaped unescape_code(struct span rest)
{
    struct unescaped ret = { .consumed = 6 };
    uint32_t code = hex4(rest.ptr + 2);

    if (code >= 0xD800 && code <= 0xDFFF) {
        uint32_t low = 0;

        if (rest.len >= 12 && rest.ptr[6] == '\\' && rest.ptr[7] == 'u')
            low = hex4(rest.ptr + 8);
        if (code > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
            return ret;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        ret.consumed = 12;
    }
    ret.len = utf8_put(code, ret.bytes);
    return ret;
}

/* The escape at the start of `rest`, which take_string has checked. */
static struct unescaped unescape_one(struct span rest)
{
    struct unescaped ret = { .len = 1, .consumed = 2 };

    switch (rest.ptr[1]) {
    case 'u':
        return unescape_code(rest);
    case 'b':
        ret.bytes[0] = '\b';
        break;
    case 'f':
        ret.bytes[0] = '\f';
        break;
    case 'n':
        ret.bytes[0] = '\n';
        break;
    case 'r':
        ret.bytes[0] = '\r';
        break;
    case 't':
        ret.bytes[0] = '\t';
        break;
    default:
        ret.bytes[0] = rest.ptr[1];
        break;
    }
    return ret;
}

bool scanner_unescape(const struct scanner_value *string, char *out, size_t cap, size_t *ret_len)
{
    struct span rest = string->text;

    *ret_len = 0;
    while (rest.len > 0) {
        size_t plain = rest.len;
        size_t fits;
        struct unescaped one;

        if (string->has_escape)
            (void)span_find_byte(rest, '\\', &plain); /* no further escape: all is plain */
        fits = span_utf8_cut(span_of(rest.ptr, plain), cap - *ret_len);
        memcpy(out + *ret_len, rest.ptr, fits);
        *ret_len += fits;
        if (fits < plain)
            return false;
        rest = span_from_offset(rest, plain);
        if (rest.len == 0)
            break;
        one = unescape_one(rest);
        if (one.len == 0 || one.len > cap - *ret_len)
            return false;
        memcpy(out + *ret_len, one.bytes, one.len);
        *ret_len += one.len;
        rest = span_from_offset(rest, one.consumed);
    }
    return true;
}

size_t scanner_text_bytes(const struct scanner_value *string)
{
    struct span rest = string->text;
    size_t bytes = rest.len;
    size_t at;

    if (!string->has_escape)
        return bytes;
    while (span_find_byte(rest, '\\', &at)) {
        struct unescaped one;

        rest = span_from_offset(rest, at);
        one = unescape_one(rest);
        bytes -= one.consumed - (one.len == 0 ? 3 : one.len);
        rest = span_from_offset(rest, one.consumed);
    }
    return bytes;
}

bool scanner_is_escaped(const struct scanner_value *string, struct span literal)
{
    char text[LITERAL_MAX];
    size_t len;

    assert(literal.len <= LITERAL_MAX);
    if (!scanner_unescape(string, text, sizeof(text), &len))
        return false;
    return span_equal(span_of(text, len), literal);
}

bool scanner_int64(const struct scanner_value *number, int64_t *ret_value)
{
    struct span digits = number->text;
    const bool is_negative = digits.len > 0 && digits.ptr[0] == '-';
    int64_t value = 0;

    if (number->type != SCANNER_NUMBER)
        return false;
    if (is_negative)
        digits = span_from_offset(digits, 1);
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digits.ptr[i] - '0', &value))
            return false;
    }
    /* Gathered as a negative number, of which there is one more. */
    if (!is_negative && __builtin_sub_overflow(0, value, &value))
        return false;
    *ret_value = value;
    return true;
}
