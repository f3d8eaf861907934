#include "proxy/relay.h"

#include "base/try.h"
#include "ledger/ledger.h"
#include "proxy/upstream.h"

#include <assert.h>

void relay_init(struct relay *relay)
{
    *relay = (struct relay){ .content_length = -1 };
    buf_init(&relay->head, (size_t)2 * HTTP_HEAD_MAX);
    buf_init(&relay->pending, RELAY_METERED_MAX + LOOP_SCRATCH_BYTES);
    buf_init(&relay->withheld, RELAY_METERED_MAX);
    buf_init(&relay->raw_usage, LEDGER_RAW_USAGE_MAX);
    sse_init(&relay->sse);
    json_array_init(&relay->array);
}

static size_t bytes_held(const struct relay *relay)
{
    return buf_len(&relay->pending) + buf_len(&relay->withheld);
}

static void stop_reading(struct relay *relay)
{
    relay->is_unmetered = true;
    relay->mode = RELAY_OPAQUE;
}

/* Count what is held. Memory that is short in the whole process stops the reading of this answer,
 * unless it holds next to nothing. */
static enum tg_status settle_budget(struct relay *relay)
{
    const int64_t held = (int64_t)bytes_held(relay);
    const int64_t more = held - relay->budget_bytes;

    if (!server_budget_take(relay->budget, more)) {
        if (bytes_held(relay) > RELAY_SPARE_BYTES && relay->is_terminal)
            return TG_NO_MEMORY;
        if (bytes_held(relay) > RELAY_SPARE_BYTES) {
            stop_reading(relay);
            return TG_OK; /* counted when it has flowed */
        }
        server_budget_force(relay->budget, more);
    }
    relay->budget_bytes = held;
    return TG_OK;
}

void relay_fini(struct relay *relay)
{
    if (relay->budget != NULL)
        server_budget_take(relay->budget, -relay->budget_bytes);
    buf_fini(&relay->head);
    buf_fini(&relay->pending);
    buf_fini(&relay->withheld);
    buf_fini(&relay->raw_usage);
}

/* --- out ----------------------------------------------------------------------------------------
 */

static void send_head(struct relay *relay, int64_t content_length, bool has_cost, int64_t cost_nusd)
{
    const bool is_http10 = server_is_http10(relay->conn);
    const struct upstream_answer_end end = {
        .content_length = content_length,
        .is_http10 = is_http10,
        .keeps_alive = server_keeps_alive(relay->conn) && (content_length >= 0 || !is_http10),
        .is_stream = relay->mode == RELAY_EVENTS,
        .has_cost = has_cost,
        .cost_nusd = cost_nusd,
    };

    assert(!relay->is_head_sent);
    relay->is_head_sent = true;
    relay->has_length = content_length >= 0;
    relay->is_chunked = content_length < 0 && !is_http10;
    relay->keeps_alive = end.keeps_alive;
    upstream_put_answer_end(&end, &relay->head);
    if (relay->head.failed) {
        relay->is_broken = true;
        return;
    }
    server_write(relay->conn, buf_span(&relay->head));
    buf_release(&relay->head);
}

static void emit(struct relay *relay, struct span bytes)
{
    if (relay->conn == NULL || bytes.len == 0 || relay->is_broken)
        return;
    if (relay->is_chunked)
        server_write_chunk(relay->conn, bytes);
    else
        server_write(relay->conn, bytes);
}

bool relay_is_full(const struct relay *relay)
{
    return relay->conn != NULL && server_queued(relay->conn) > RELAY_QUEUE_MAX;
}

/* Pass on all of `pending` but its last bytes; what is read already is dropped. */
static void flow(struct relay *relay, bool keep_for_meter)
{
    const size_t len = buf_len(&relay->pending);
    const size_t until = len > RELAY_TAIL_BYTES ? len - RELAY_TAIL_BYTES : 0;

    if (until > relay->flowed) {
        if (relay->conn != NULL && !relay->is_head_sent)
            send_head(relay, relay->content_length, false, 0);
        emit(relay, span_of(relay->pending.data + relay->pending.head + relay->flowed,
                            until - relay->flowed));
        relay->flowed = until;
    }
    if (keep_for_meter || relay->flowed == 0)
        return;
    buf_consume(&relay->pending, relay->flowed);
    relay->flowed = 0;
}

/* --- events -------------------------------------------------------------------------------------
 */

static void keep_usage(struct relay *relay, struct span data)
{
    const struct tg_answer *answer = relay->answer;

    if (answer->raw_usage_end <= answer->raw_usage_start || answer->raw_usage_end > data.len)
        return;
    buf_clear(&relay->raw_usage);
    buf_put(&relay->raw_usage, data.ptr + answer->raw_usage_start,
            answer->raw_usage_end - answer->raw_usage_start);
    if (relay->raw_usage.failed)
        buf_clear(&relay->raw_usage);
}

static enum tg_event_action read_data(struct relay *relay, const struct sse_event *event,
                                      struct span data)
{
    const struct tg_span type = { event->type.ptr, event->type.len };
    enum tg_event_action action;

    relay->answer->raw_usage_start = 0;
    relay->answer->raw_usage_end = 0;
    action = relay->dialect->read_event(type, (struct tg_span){ data.ptr, data.len },
                                        relay->request, relay->kind, relay->answer);
    keep_usage(relay, data);
    return action;
}

static enum tg_event_action read_event(struct relay *relay, const struct sse_event *event)
{
    AUTO(buf) joined = { 0 };
    char *out;

    if (!event->has_data)
        return TG_EVENT_PASS;
    if (event->data_lines <= 1)
        return read_data(relay, event, event->data);
    buf_init(&joined, event->bytes.len);
    out = buf_reserve(&joined, event->bytes.len);
    if (out == NULL)
        return TG_EVENT_PASS;
    buf_commit(&joined, sse_join_data(event, out, event->bytes.len));
    return read_data(relay, event, buf_span(&joined));
}

static void withhold(struct relay *relay, struct span bytes)
{
    if (relay->conn != NULL)
        buf_put_span(&relay->withheld, bytes);
}

/* Drop an event. The LF in front of it ends the CRLF of the event before, and passes; the LF that
 * may come behind its own CR goes with it. */
static void drop_event(struct relay *relay, const struct sse_event *event, struct span run)
{
    const struct span bytes = event->bytes;

    if (bytes.ptr[0] == '\n' && !relay->drops_lf)
        run.len++;
    if (relay->is_terminal)
        withhold(relay, run);
    else
        emit(relay, run);
    relay->drops_lf = bytes.ptr[bytes.len - 1] == '\r';
}

static bool next_event(struct relay *relay, struct span pending, struct sse_event *ret_event)
{
    if (relay->framing == TG_FRAMING_ARRAY)
        return json_array_next(&relay->array, pending, ret_event);
    return sse_next(&relay->sse, pending, ret_event);
}

static bool last_event(struct relay *relay, struct span pending, struct sse_event *ret_event)
{
    if (relay->framing == TG_FRAMING_ARRAY)
        return json_array_last(&relay->array, pending, ret_event);
    return sse_last(&relay->sse, pending, ret_event);
}

/* Read the whole events at the front of `bytes`; runs of them that pass go out together.
 *
 * return  bytes taken */
static size_t scan_events(struct relay *relay, struct span bytes)
{
    struct sse_event event;
    size_t taken = 0;
    size_t run = 0; /* begin of what passes and is not out yet */

    while (next_event(relay, span_from_offset(bytes, taken), &event)) {
        const enum tg_event_action action = read_event(relay, &event);
        const bool has_flowed = relay->flowed > 0;
        const bool has_dropped_lf = relay->drops_lf && event.bytes.ptr[0] == '\n';
        const size_t begin = taken + relay->flowed + (has_dropped_lf && !has_flowed ? 1 : 0);

        taken += event.bytes.len;
        if (has_flowed || has_dropped_lf)
            run = begin;
        relay->flowed = 0;
        if (action == TG_EVENT_DROP && !has_flowed) {
            drop_event(relay, &event, span_of(bytes.ptr + run, begin - run));
            run = taken;
            continue;
        }
        relay->drops_lf = false;
        if (action != TG_EVENT_TERMINAL && !relay->is_terminal)
            continue;
        if (!relay->is_terminal)
            emit(relay, span_of(bytes.ptr + run, begin - run));
        relay->is_terminal = true;
        withhold(relay, span_of(bytes.ptr + begin, taken - begin));
        run = taken;
    }
    if (!relay->is_terminal)
        emit(relay, span_of(bytes.ptr + run, taken - run));
    return taken;
}

static void relay_events(struct relay *relay, struct span content)
{
    size_t taken;

    if (buf_len(&relay->pending) == 0) {
        taken = scan_events(relay, content);
        buf_put_span(&relay->pending, span_from_offset(content, taken));
    } else {
        buf_put_span(&relay->pending, content);
        taken = scan_events(relay, buf_span(&relay->pending));
        buf_consume(&relay->pending, taken);
    }
    if (relay->is_terminal)
        return;
    if (buf_len(&relay->pending) > RELAY_METERED_MAX)
        stop_reading(relay);
    else if (buf_len(&relay->pending) - relay->flowed > RELAY_EVENT_WAIT_MAX)
        flow(relay, /* keep_for_meter= */ true);
}

/* The stream has ended without the blank line that ends an event. Some clients read such an event
 * all the same, so it is metered. */
static void read_last_event(struct relay *relay)
{
    const uint32_t was_unreadable = relay->answer->flags & TG_ANSWER_UNREADABLE;
    struct sse_event event;

    if (!last_event(relay, buf_span(&relay->pending), &event))
        return;
    if (read_event(relay, &event) == TG_EVENT_DROP && relay->flowed == 0)
        buf_clear(&relay->pending);
    /* Half an event hides nothing: what it was the half of never came. */
    if (was_unreadable == 0)
        relay->answer->flags &= ~(uint32_t)TG_ANSWER_UNREADABLE;
}

/* --- in -----------------------------------------------------------------------------------------
 */

static bool has_type(const struct http_head *head, struct span type)
{
    return span_starts_with_nocase(http_value(head, SPAN("content-type")), type);
}

/* How an answer is cut into events; NONE: not at all. An array may be an answer in one piece as
 * well: it is a stream where one was asked for, and is no error's. */
static enum tg_framing framing_of(const struct relay *relay, const struct http_head *head)
{
    const uint32_t framings = relay->dialect->framings;

    if ((framings & TG_FRAMING_SSE) != 0 && has_type(head, SPAN("text/event-stream")))
        return TG_FRAMING_SSE;
    if ((framings & TG_FRAMING_ARRAY) != 0 && head->status == 200 &&
        (relay->request->flags & TG_REQUEST_STREAM) != 0 &&
        has_type(head, SPAN("application/json")))
        return TG_FRAMING_ARRAY;
    return TG_FRAMING_NONE;
}

static bool is_encoded(const struct http_head *head)
{
    const struct span coding = http_value(head, SPAN("content-encoding"));

    return coding.len > 0 && !span_equal_nocase(coding, SPAN("identity"));
}

void relay_begin(struct relay *relay, const struct http_head *head,
                 const struct upstream_answer_extras *extras)
{
    upstream_put_answer_fields(head, extras, &relay->head);
    relay->content_length = head->content_length;
    relay->mode = RELAY_PLAIN;
    relay->framing = framing_of(relay, head);
    if (is_encoded(head)) {
        stop_reading(relay);
        relay->is_encoded = true;
    } else if (relay->framing != TG_FRAMING_NONE) {
        relay->mode = RELAY_EVENTS;
        if (relay->conn != NULL)
            send_head(relay, -1, false, 0);
    }
}

/* Whether what was taken in has all been kept. */
static enum tg_status check_kept(struct relay *relay)
{
    if (relay->pending.failed)
        relay->is_broken = true;
    if (relay->is_terminal && (relay->withheld.failed || bytes_held(relay) > RELAY_METERED_MAX)) {
        relay->is_broken = true;
        return TG_TOO_LARGE;
    }
    return relay->is_broken ? TG_NO_MEMORY : TG_OK;
}

enum tg_status relay_content(struct relay *relay, struct span content)
{
    relay->answer_bytes += (int64_t)content.len;
    if (relay->mode == RELAY_EVENTS)
        relay_events(relay, content);
    else
        buf_put_span(&relay->pending, content);
    TRY(check_kept(relay));
    TRY(settle_budget(relay));
    if (relay->mode == RELAY_PLAIN && buf_len(&relay->pending) > RELAY_METERED_MAX)
        stop_reading(relay);
    if (relay->mode == RELAY_PLAIN && buf_len(&relay->pending) > RELAY_PLAIN_MAX)
        flow(relay, /* keep_for_meter= */ true);
    if (relay->mode == RELAY_OPAQUE) {
        flow(relay, /* keep_for_meter= */ false);
        TRY(settle_budget(relay));
    }
    return relay->is_broken ? TG_NO_MEMORY : TG_OK;
}

void relay_end(struct relay *relay, bool is_whole)
{
    if (relay->mode == RELAY_EVENTS)
        read_last_event(relay);
    if (relay->mode == RELAY_PLAIN && is_whole) {
        const struct span body = buf_span(&relay->pending);

        relay->answer->raw_usage_start = 0;
        relay->answer->raw_usage_end = 0;
        relay->dialect->read_answer((struct tg_span){ body.ptr, body.len }, relay->kind,
                                    relay->answer);
        keep_usage(relay, body);
    }
    if ((relay->answer->flags & TG_ANSWER_UNREADABLE) != 0)
        relay->is_unmetered = true;
}

void relay_release(struct relay *relay, bool has_cost, int64_t cost_nusd)
{
    struct span left = span_from_offset(buf_span(&relay->pending), relay->flowed);

    assert(relay->conn != NULL);
    if (relay->drops_lf && relay->flowed == 0 && span_starts_with(left, SPAN("\n")))
        left = span_from_offset(left, 1);
    if (!relay->is_head_sent)
        send_head(relay, (int64_t)left.len, has_cost, cost_nusd);
    emit(relay, buf_span(&relay->withheld));
    emit(relay, left);
    if (relay->is_broken) {
        server_abort(relay->conn);
        return;
    }
    if (relay->is_chunked)
        server_end_chunks(relay->conn);
    server_finish(relay->conn, relay->keeps_alive);
}

void relay_cut(struct relay *relay)
{
    /* Without a length and without chunks the end of the connection is the end of the body. */
    if (!relay->is_broken && (relay->is_chunked || relay->has_length))
        server_finish(relay->conn, /* keep= */ false);
    else
        server_abort(relay->conn);
}
