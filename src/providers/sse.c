#include "providers/sse.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BOM SPAN("\xEF\xBB\xBF")

/* The first CR or LF, or `end`. */
static inline const char *line_end(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i lf = _mm_set1_epi8('\n');
    const __m128i cr = _mm_set1_epi8('\r');

    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        const int mask =
            _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, lf), _mm_cmpeq_epi8(bytes, cr)));

        if (mask != 0)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (at < end && *at != '\n' && *at != '\r')
        at++;
    return at;
}

/* Cut the next line off the front, its ending included in neither; false when nothing is left. */
static inline bool cut_line(struct span *rest, struct span *ret_line)
{
    const char *const end = rest->ptr + rest->len;
    const char *stop;
    const char *next;

    if (rest->len == 0)
        return false;
    stop = line_end(rest->ptr, end);
    next = stop;
    if (next < end && *next++ == '\r' && next < end && *next == '\n')
        next++;
    *ret_line = span_of(rest->ptr, (size_t)(stop - rest->ptr));
    *rest = span_of(next, (size_t)(end - next));
    return true;
}

/* The value of the field `name` where the line is one. One space behind the colon is no part of it.
 */
static inline bool is_field(struct span line, struct span name, struct span *ret_value)
{
    if (!span_starts_with(line, name))
        return false;
    line = span_from_offset(line, name.len);
    if (line.len > 0 && line.ptr[0] != ':')
        return false;
    if (line.len > 0)
        line = span_from_offset(line, line.len > 1 && line.ptr[1] == ' ' ? 2 : 1);
    *ret_value = line;
    return true;
}

static struct span without_bom(struct span bytes)
{
    return span_starts_with(bytes, BOM) ? span_from_offset(bytes, BOM.len) : bytes;
}

static void read_fields(struct span fields, struct sse_event *event)
{
    struct span line;
    struct span value;

    while (cut_line(&fields, &line)) {
        if (is_field(line, SPAN("data"), &value)) {
            if (!event->has_data)
                event->data = value;
            event->has_data = true;
            event->data_lines++;
        } else if (is_field(line, SPAN("event"), &value)) {
            event->type = value;
        }
    }
}

static void take_event(struct sse *sse, struct span bytes, struct sse_event *ret_event)
{
    *ret_event = (struct sse_event){ .bytes = bytes, .type = SPAN_EMPTY, .data = SPAN_EMPTY };
    read_fields(sse->has_started ? bytes : without_bom(bytes), ret_event);
    *sse = (struct sse){ .has_started = true, .after_cr = sse->after_cr };
}

static bool is_blank(const struct sse *sse, struct span line)
{
    return line.len == 0 || (!sse->has_started && sse->line_start == 0 && span_equal(line, BOM));
}

void sse_init(struct sse *sse)
{
    *sse = (struct sse){ 0 };
}

bool sse_next(struct sse *sse, struct span pending, struct sse_event *ret_event)
{
    const char *const end = pending.ptr + pending.len;

    while (sse->scanned < pending.len) {
        const char *stop = pending.ptr + sse->scanned;
        struct span line;

        if (sse->after_cr && *stop == '\n') {
            sse->line_start = ++sse->scanned;
            sse->after_cr = false;
            continue;
        }
        sse->after_cr = false;
        stop = line_end(stop, end);
        line =
            span_of(pending.ptr + sse->line_start, (size_t)(stop - pending.ptr) - sse->line_start);
        if (stop == end) {
            sse->scanned = pending.len;
            return false;
        }
        if (*stop++ == '\r') {
            sse->after_cr = stop == end;
            if (stop < end && *stop == '\n')
                stop++;
        }
        if (is_blank(sse, line) && sse->has_line) {
            take_event(sse, span_of(pending.ptr, (size_t)(stop - pending.ptr)), ret_event);
            return true;
        }
        sse->has_line = sse->has_line || !is_blank(sse, line);
        sse->scanned = sse->line_start = (size_t)(stop - pending.ptr);
    }
    return false;
}

bool sse_last(struct sse *sse, struct span pending, struct sse_event *ret_event)
{
    const struct span line = span_from_offset(pending, sse->line_start);

    if (!sse->has_line && is_blank(sse, line))
        return false;
    take_event(sse, pending, ret_event);
    return true;
}

static bool next_data(struct span *rest, struct span *ret_value)
{
    struct span line;

    while (cut_line(rest, &line))
        if (is_field(line, SPAN("data"), ret_value))
            return true;
    return false;
}

size_t sse_join_data(const struct sse_event *event, char *out, size_t cap)
{
    /* What stands behind the start of the first value; its own line is cut off below. */
    struct span rest = event->bytes;
    struct span value = event->data;
    size_t len = value.len;

    if (!event->has_data || len > cap)
        return 0;
    rest = span_from_offset(rest, (size_t)(value.ptr - rest.ptr));
    memcpy(out, value.ptr, len);
    (void)cut_line(&rest, &value);
    while (next_data(&rest, &value)) {
        if (value.len >= cap - len)
            return 0;
        out[len++] = '\n';
        memcpy(out + len, value.ptr, value.len);
        len += value.len;
    }
    return len;
}
