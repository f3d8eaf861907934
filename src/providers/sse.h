#ifndef PROVIDERS_SSE_H
#define PROVIDERS_SSE_H

#include "base/span.h"
#include "tollgate/status.h"

/* Server-sent events, found in place. Source: WHATWG HTML 9.2.6: lines end in LF, CRLF or CR, a
 * blank line ends an event, ':' begins a comment, a BOM may lead. An event is handed out as the
 * exact bytes it had on the wire, so that they can go on unchanged; comments and blank lines
 * between events belong to the event they stand before, and a run of comments alone ended by a
 * blank line is an event without data.
 *
 * An event that ends in CR is handed out at once; the LF of a CRLF that comes later stands at the
 * front of the next event's bytes. Each byte is looked at once, however small the pieces. */

struct sse {
    size_t scanned;    /* bytes of the pending event that were looked at already */
    size_t line_start; /* where its last line begins */
    bool has_line;     /* it has a line that is not blank */
    bool has_started;  /* the BOM, if any, is behind */
    bool after_cr;     /* the last byte looked at was a CR: an LF that follows belongs to it */
};

struct sse_event {
    struct span bytes; /* on the wire, its blank line included */
    struct span type;  /* value of the last `event:`, or empty */
    struct span data; /* value of the first `data:` line; where there are more, see sse_join_data */
    bool has_data;
    int data_lines;
};

void sse_init(struct sse *sse);

/* Find the next whole event at the start of `pending` (what has come and is not handed out yet; the
 * same bytes again plus more, each time, until an event is taken).
 *
 * return  whether there is one; then the caller drops event->bytes.len bytes off the front */
bool sse_next(struct sse *sse, struct span pending, struct sse_event *ret_event);

/* Take what is left when the stream has ended as an event whose blank line is missing.
 *
 * return  whether it has a line that is not blank */
bool sse_last(struct sse *sse, struct span pending, struct sse_event *ret_event);

/* Copy the data of an event with several data lines, joined by LF.
 *
 * cap     of `out`
 * return  bytes written; 0 where it does not fit */
size_t sse_join_data(const struct sse_event *event, char *out, size_t cap);

#endif
