/* Oracle: whatever a client sends, what is accepted is JSON, its edited body says the maximum that
 * was wished for; whatever Google sends, no count is negative or above its bound, the end is final,
 * and neither the framing nor the pieces in which a stream comes change what is made of it. The
 * first bytes of the input say how it is cut and how many candidates there are. */
#include "providers/gemini.h"
#include "providers/json_array.h"
#include "providers/sse.h"
#include "support/support_json_oracle.h"

#include <assert.h>
#include <stdlib.h>

#define CUTS 4
#define WISH 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tg_kind kind = { .name = "google", .flags = TG_KIND_OUTPUT_IS_RESIDUAL };
static const struct tg_path path = { .model = { "google/gemini-2.5-flash", 23 } };

/* --- requests -----------------------------------------------------------------------------------
 */

static void check_edited(struct span body, const struct tg_edit *edit)
{
    const size_t len = body.len - (edit->end - edit->start) + edit->text_len;
    char *const text = malloc(len);
    struct tg_request request;

    assert(text != NULL && edit->start <= edit->end && edit->end <= body.len);
    memcpy(text, body.ptr, edit->start);
    memcpy(text + edit->start, edit->text, edit->text_len);
    memcpy(text + edit->start + edit->text_len, body.ptr + edit->end, body.len - edit->end);
    assert(gemini_generate_dialect.read_request((struct tg_span){ text, len }, &path, &request) ==
           TG_OK);
    assert((request.flags & TG_REQUEST_MAX_GIVEN) != 0);
    assert(request.max_output_tokens == WISH);
    free(text);
}

static void check_request(const struct tg_dialect *dialect, struct span body, bool is_json)
{
    const struct tg_wish wish = { .max_output_tokens = WISH };
    struct tg_edit edits[TG_EDITS_MAX];
    struct tg_request request;
    const enum tg_status status =
        dialect->read_request((struct tg_span){ body.ptr, body.len }, &path, &request);

    if (status != TG_OK) {
        assert(request.problem != NULL);
        return;
    }
    assert(is_json);
    assert(request.model_len == path.model.len);
    assert(request.choices >= 1 && request.choices <= TG_CHOICES_MAX);
    assert(request.media_bytes >= 0 && (size_t)request.media_bytes <= body.len);
    assert(request.media_parts >= 0 && request.thinking_budget_tokens >= 0);
    if (dialect->plan_edits(&request, &kind, &wish, edits) == 1)
        check_edited(body, &edits[0]);
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void check_counts(const struct tg_answer *answer, size_t size)
{
    for (int class = 0; class < TG_CLASS_COUNT; class ++)
        assert(answer->usage.count[class] >= 0 && answer->usage.count[class] <= TG_COUNT_MAX);
    assert(answer->usage.prompt_tokens >= 0 && answer->usage.prompt_tokens <= TG_COUNT_MAX);
    assert(answer->usage.reasoning_tokens >= 0);
    assert(answer->usage.reasoning_tokens <= tg_usage_output_tokens(&answer->usage));
    assert(answer->output_bytes >= 0 && (size_t)answer->output_bytes <= size);
    assert(answer->choices_seen >= 0 && answer->choices_seen <= TG_CHOICES_MAX);
    assert(answer->choices_finished >= 0 && answer->choices_finished <= answer->choices_seen);
    assert(answer->raw_usage_start <= answer->raw_usage_end && answer->raw_usage_end <= size);
    assert((answer->flags & TG_ANSWER_HAS_USAGE) != 0 ||
           tg_usage_input_tokens(&answer->usage) == 0);
}

struct reader {
    bool is_array;
    struct sse sse;
    struct json_array array;
    size_t taken; /* bytes of the stream handed out */
    const struct tg_request *request;
    struct tg_answer answer;
    bool has_ended;
    char *room;
};

static void read_event(struct reader *r, const struct sse_event *event, size_t size)
{
    const size_t len = sse_join_data(event, r->room, size);
    enum tg_event_action action;

    if (!event->has_data)
        return;
    /* An element is one piece, whatever lines it has. */
    action = gemini_generate_dialect.read_event(
        (struct tg_span){ event->type.ptr, event->type.len },
        r->is_array ? (struct tg_span){ event->data.ptr, event->data.len }
                    : (struct tg_span){ r->room, len },
        r->request, &kind, &r->answer);
    assert(action != TG_EVENT_DROP);
    assert(!r->has_ended || action == TG_EVENT_TERMINAL);
    r->has_ended = r->has_ended || action == TG_EVENT_TERMINAL;
    check_counts(&r->answer, size);
}

/* Each piece is copied to memory of its own that ends where it does. */
static void feed(struct reader *r, struct span arrived, size_t size)
{
    const size_t len = arrived.len - r->taken;
    char *const copy = malloc(len + 1);
    struct span pending = span_of(copy + 1, len);
    struct sse_event event;

    assert(copy != NULL);
    memcpy(copy + 1, arrived.ptr + r->taken, len);
    while (r->is_array ? json_array_next(&r->array, pending, &event)
                       : sse_next(&r->sse, pending, &event)) {
        assert(event.bytes.ptr == pending.ptr && event.bytes.len > 0);
        read_event(r, &event, size);
        r->taken += event.bytes.len;
        pending = span_from_offset(pending, event.bytes.len);
    }
    assert((r->is_array ? r->array.scanned : r->sse.scanned) == pending.len);
    free(copy);
}

static void run(struct reader *r, struct span stream, const uint8_t *cuts)
{
    struct sse_event event;
    size_t arrived = 0;

    for (int i = 0; cuts != NULL && i < CUTS; i++) {
        arrived += cuts[i] % (stream.len - arrived + 1);
        feed(r, span_of(stream.ptr, arrived), stream.len);
    }
    feed(r, stream, stream.len);
    if (r->is_array && json_array_last(&r->array, span_from_offset(stream, r->taken), &event))
        assert(event.bytes.ptr + event.bytes.len == stream.ptr + stream.len);
}

static void check_stream(struct span stream, const struct tg_request *request, const uint8_t *cuts,
                         char *room)
{
    for (int is_array = 0; is_array < 2; is_array++) {
        struct reader whole = { .is_array = is_array == 1, .request = request, .room = room };
        struct reader cut = whole;

        run(&whole, stream, NULL);
        run(&cut, stream, cuts);
        /* Of events, the LF of a CRLF that was cut may be left over. */
        assert(whole.taken == cut.taken || (is_array == 0 && whole.taken == cut.taken + 1));
        assert(whole.has_ended == cut.has_ended);
        assert(memcmp(&whole.answer, &cut.answer, sizeof(cut.answer)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_request request = { .flags = TG_REQUEST_STREAM };
    struct tg_answer answer = { 0 };
    struct tg_answer embedding = { 0 };
    struct span text;
    struct tg_span body;
    bool is_json;
    char *room;

    if (size < CUTS + 1)
        return 0;
    text = span_of((const char *)data + CUTS + 1, size - CUTS - 1);
    body = (struct tg_span){ text.ptr, text.len };
    request.choices = 1 + data[CUTS] % 3;
    is_json = oracle_scanner_accepts(text);
    check_request(&gemini_generate_dialect, text, is_json);
    check_request(&gemini_count_dialect, text, is_json);
    check_request(&gemini_embed_dialect, text, is_json);
    room = malloc(text.len + 1);
    assert(room != NULL);
    check_stream(text, &request, data, room);
    free(room);
    gemini_generate_dialect.read_answer(body, &kind, &answer);
    check_counts(&answer, text.len);
    assert(((answer.flags & TG_ANSWER_UNREADABLE) == 0) <= is_json);
    gemini_embed_dialect.read_answer(body, &kind, &embedding);
    check_counts(&embedding, text.len);
    assert(tg_usage_output_tokens(&embedding.usage) == 0);
    return 0;
}
