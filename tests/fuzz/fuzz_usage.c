/* Oracle: whatever a provider sends, no count is negative or above its bound, the end is final, and
 * a reader that never compares an event with the one before comes to the same. The first byte picks
 * the kind and the number of choices; the rest is a stream, and one plain answer. */
#include "providers/openai_chat.h"
#include "providers/sse.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_counts(const struct tg_answer *answer, size_t size)
{
    for (int class = 0; class < TG_CLASS_COUNT; class ++)
        assert(answer->usage.count[class] >= 0 && answer->usage.count[class] <= TG_COUNT_MAX);
    assert(answer->usage.prompt_tokens >= 0 && answer->usage.prompt_tokens <= TG_COUNT_MAX);
    assert(answer->usage.reasoning_tokens >= 0);
    assert(answer->usage.reasoning_tokens <= tg_usage_output_tokens(&answer->usage));
    assert(answer->provider_cost_nusd >= 0);
    assert(answer->output_bytes >= 0 && (size_t)answer->output_bytes <= size);
    assert(answer->choices_seen >= 0 && answer->choices_seen <= TG_CHOICES_MAX);
    assert(answer->choices_finished >= 0 && answer->choices_finished <= answer->choices_seen);
    assert(answer->raw_usage_start <= answer->raw_usage_end && answer->raw_usage_end <= size);
    assert((answer->flags & TG_ANSWER_HAS_USAGE) != 0 ||
           tg_usage_input_tokens(&answer->usage) == 0);
}

struct reader {
    const struct tg_kind *kind;
    const struct tg_request *request;
    struct tg_answer compared;
    struct tg_answer read; /* the same without comparing events */
    bool has_ended;
};

static void read_event(struct reader *r, const struct sse_event *event, char *room, size_t size)
{
    const struct tg_span type = { event->type.ptr, event->type.len };
    const size_t len = sse_join_data(event, room, size);
    const struct tg_span bytes = { room, len };
    const enum tg_event_action action =
        openai_chat_dialect.read_event(type, bytes, r->request, r->kind, &r->compared);

    r->read.shape.holes = 0;
    assert(action == openai_chat_dialect.read_event(type, bytes, r->request, r->kind, &r->read));
    assert(!r->has_ended || action != TG_EVENT_PASS);
    r->has_ended = r->has_ended || action == TG_EVENT_TERMINAL;
    check_counts(&r->compared, size);
}

static void read_stream(struct reader *r, struct span stream, char *room)
{
    struct sse sse;
    struct sse_event event;
    struct span rest = stream;

    sse_init(&sse);
    while (sse_next(&sse, rest, &event)) {
        rest = span_from_offset(rest, event.bytes.len);
        if (event.has_data)
            read_event(r, &event, room, stream.len);
    }
    memset(&r->compared.shape, 0, sizeof(r->compared.shape));
    memset(&r->read.shape, 0, sizeof(r->read.shape));
    assert(memcmp(&r->compared, &r->read, sizeof(r->read)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_kind kind = { .name = "fuzz" };
    struct tg_request request = { .flags = TG_REQUEST_STREAM };
    struct reader r = { .kind = &kind, .request = &request };
    struct tg_answer answer = { 0 };
    char *room;

    if (size < 1)
        return 0;
    kind.flags =
        data[0] & (TG_KIND_ASKS_USAGE | TG_KIND_REASONING_OUTSIDE | TG_KIND_OUTPUT_IS_RESIDUAL);
    request.flags |= (data[0] & 32) != 0 ? TG_REQUEST_WANTS_USAGE : 0;
    request.choices = 1 + (data[0] >> 6);
    room = malloc(size);
    assert(room != NULL);
    read_stream(&r, span_of((const char *)data + 1, size - 1), room);
    openai_chat_dialect.read_answer((struct tg_span){ (const char *)data + 1, size - 1 }, &kind,
                                    &answer);
    check_counts(&answer, size);
    free(room);
    return 0;
}
