/* Oracle: the pieces in which a stream comes change neither its events nor its bytes. The first
 * bytes of the input say how it is cut; the whole stream at once is the reference. */
#include "providers/sse.h"

#include <assert.h>
#include <stdlib.h>

#define CUTS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Events as text, to be compared: each one's type and data behind their lengths. */
struct log {
    char *text;
    size_t len;
    size_t taken; /* bytes of the stream handed out */
};

static void put(struct log *log, const void *bytes, size_t len)
{
    memcpy(log->text + log->len, &len, sizeof(len));
    log->len += sizeof(len);
    if (len > 0)
        memcpy(log->text + log->len, bytes, len);
    log->len += len;
}

static void take(struct log *log, const struct sse_event *event, char *room)
{
    const size_t len = sse_join_data(event, room, event->bytes.len);

    assert(event->has_data == (event->data_lines > 0));
    if (event->data_lines == 1)
        assert(span_equal(event->data, span_of(room, len)));
    put(log, event->type.ptr, event->type.len);
    put(log, room, len);
    put(log, &event->data_lines, sizeof(event->data_lines));
    log->taken += event->bytes.len;
}

/* Each piece is copied to memory of its own that ends where it does. */
static void feed(struct sse *sse, struct span arrived, struct log *log, char *room)
{
    const size_t len = arrived.len - log->taken;
    char *const copy = malloc(len + 1);
    struct span pending = span_of(copy + 1, len);
    struct sse_event event;

    assert(copy != NULL);
    memcpy(copy + 1, arrived.ptr + log->taken, len);
    while (sse_next(sse, pending, &event)) {
        assert(event.bytes.ptr == pending.ptr && event.bytes.len > 0);
        take(log, &event, room);
        pending = span_from_offset(pending, event.bytes.len);
    }
    assert(sse->scanned == pending.len); /* nothing is looked at twice */
    free(copy);
}

static void run(struct span stream, const uint8_t *cuts, struct log *log, char *room)
{
    struct sse sse;
    struct sse_event event;
    size_t arrived = 0;

    sse_init(&sse);
    for (int i = 0; cuts != NULL && i < CUTS; i++) {
        arrived += cuts[i] % (stream.len - arrived + 1);
        feed(&sse, span_of(stream.ptr, arrived), log, room);
    }
    feed(&sse, stream, log, room);
    if (sse_last(&sse, span_from_offset(stream, log->taken), &event)) {
        take(log, &event, room);
        assert(log->taken == stream.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log whole = { 0 };
    struct log cut = { 0 };
    char *room;

    if (size < CUTS)
        return 0;
    room = malloc(size);
    /* An event has 2 bytes or more and is logged with three lengths and a number. */
    whole.text = malloc(size * 20 + 64);
    cut.text = malloc(size * 20 + 64);
    assert(room != NULL && whole.text != NULL && cut.text != NULL);
    run(span_of((const char *)data + CUTS, size - CUTS), NULL, &whole, room);
    run(span_of((const char *)data + CUTS, size - CUTS), data, &cut, room);
    assert(span_equal(span_of(whole.text, whole.len), span_of(cut.text, cut.len)));
    free(cut.text);
    free(whole.text);
    free(room);
    return 0;
}
