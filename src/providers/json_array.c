#include "providers/json_array.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The first quote or backslash, or `end`. */
static const char *string_end(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');

    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        const int mask = _mm_movemask_epi8(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));

        if (mask != 0)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

static void begin_element(struct json_array *array, size_t start, char c)
{
    array->start = start;
    if (c == '"') {
        array->state = JSON_ARRAY_STRING;
    } else if (c == '{' || c == '[') {
        array->state = JSON_ARRAY_INSIDE;
        array->depth = 1;
    } else {
        array->state = JSON_ARRAY_SCALAR;
    }
}

/* Look at a byte between elements, `offset` bytes into what is pending. */
static void pass_between(struct json_array *array, size_t offset, char c)
{
    if (is_blank(c))
        return;
    if (!array->has_started && c == '[')
        array->has_started = true;
    else if (array->has_started && c == ']')
        array->state = JSON_ARRAY_BEHIND;
    else if (!array->has_started || c != ',')
        begin_element(array, offset, c);
}

/* Look at bytes of an object or array, up to a string or to its end.
 *
 * return  where to go on */
static const char *pass_inside(struct json_array *array, const char *at, const char *end)
{
    while (at < end) {
        const char c = *at++;

        if (c == '"') {
            array->state = JSON_ARRAY_STRING;
            return at;
        }
        if (c == '{' || c == '[')
            array->depth++;
        if ((c == '}' || c == ']') && --array->depth == 0)
            return at;
    }
    return at;
}

static const char *pass_string(struct json_array *array, const char *at, const char *end)
{
    at = string_end(at, end);
    if (at == end)
        return at;
    array->state = *at == '\\' ? JSON_ARRAY_ESCAPE : JSON_ARRAY_INSIDE;
    return at + 1;
}

static const char *pass_scalar(struct json_array *array, const char *at, const char *end)
{
    while (at < end && !is_blank(*at) && *at != ',' && *at != ']')
        at++;
    if (at < end)
        array->state = JSON_ARRAY_INSIDE; /* with nothing open: its end */
    return at;
}

static void take_element(struct json_array *array, struct span bytes, struct sse_event *ret_event)
{
    *ret_event = (struct sse_event){
        .bytes = bytes,
        .type = SPAN_EMPTY,
        .data = span_from_offset(bytes, array->start),
        .has_data = true,
        .data_lines = 1,
    };
    *array = (struct json_array){
        .state = array->has_started ? JSON_ARRAY_BETWEEN : JSON_ARRAY_BEHIND,
        .has_started = array->has_started,
    };
}

void json_array_init(struct json_array *array)
{
    *array = (struct json_array){ 0 };
}

bool json_array_next(struct json_array *array, struct span pending, struct sse_event *ret_event)
{
    const char *const end = pending.ptr + pending.len;
    const char *at = pending.ptr + array->scanned;

    while (at < end) {
        switch (array->state) {
        case JSON_ARRAY_BETWEEN:
            pass_between(array, (size_t)(at - pending.ptr), *at);
            at++;
            continue;
        case JSON_ARRAY_SCALAR:
            at = pass_scalar(array, at, end);
            break;
        case JSON_ARRAY_INSIDE:
            at = pass_inside(array, at, end);
            break;
        case JSON_ARRAY_STRING:
            at = pass_string(array, at, end);
            break;
        case JSON_ARRAY_ESCAPE:
            array->state = JSON_ARRAY_STRING;
            at++;
            break;
        case JSON_ARRAY_BEHIND:
            at = end;
            continue;
        }
        if (array->state == JSON_ARRAY_INSIDE && array->depth == 0) {
            take_element(array, span_of(pending.ptr, (size_t)(at - pending.ptr)), ret_event);
            return true;
        }
    }
    array->scanned = pending.len;
    return false;
}

bool json_array_last(struct json_array *array, struct span pending, struct sse_event *ret_event)
{
    if (array->state == JSON_ARRAY_BETWEEN || array->state == JSON_ARRAY_BEHIND)
        return false;
    take_element(array, pending, ret_event);
    return true;
}
