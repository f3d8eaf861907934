/* Oracle: whatever a client sends, what is accepted is JSON, and its edited body says the maximum
 * that was wished for; whatever Anthropic sends, no count is negative or above its bound, the parts
 * add up to the whole, the end is final, and neither the pieces in which a stream comes nor the
 * comparing of events change what is made of it. The first bytes of the input say how it is cut. */
#include "providers/anthropic.h"
#include "providers/sse.h"
#include "support/support_json_oracle.h"

#include <assert.h>
#include <stdlib.h>

#define CUTS 4
#define WISH 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tg_kind kind = { .name = "anthropic" };
static const struct tg_request streaming = { .flags = TG_REQUEST_STREAM, .choices = 1 };
static const struct tg_path path;

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
    assert(anthropic_messages_dialect.read_request((struct tg_span){ text, len }, &path,
                                                   &request) == TG_OK);
    assert((request.flags & TG_REQUEST_MAX_GIVEN) != 0);
    assert(request.max_output_tokens == WISH);
    free(text);
}

static void check_request(struct span body)
{
    const struct tg_wish wish = { .max_output_tokens = WISH };
    struct tg_edit edits[TG_EDITS_MAX];
    struct tg_request request;
    const enum tg_status status = anthropic_messages_dialect.read_request(
        (struct tg_span){ body.ptr, body.len }, &path, &request);

    if (status != TG_OK) {
        assert(request.problem != NULL);
        return;
    }
    assert(oracle_scanner_accepts(body));
    assert(request.model_len > 0 && request.model_len <= TG_MODEL_MAX);
    assert(request.choices == 1);
    assert(request.media_bytes >= 0 && (size_t)request.media_bytes <= body.len);
    assert(request.media_parts >= 0 && request.thinking_budget_tokens >= 0);
    assert(request.image_parts >= 0 && request.image_parts <= request.media_parts);
    assert(strlen(request.user) <= TG_USER_MAX);
    if (anthropic_messages_dialect.plan_edits(&request, &kind, &wish, edits) == 1)
        check_edited(body, &edits[0]);
    else
        assert((request.flags & TG_REQUEST_MAX_FIXED) != 0);
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void check_usage(const struct tg_usage *usage)
{
    for (int class = 0; class < TG_CLASS_COUNT; class ++)
        assert(usage->count[class] >= 0 && usage->count[class] <= TG_COUNT_MAX);
    assert(usage->prompt_tokens >= 0 && usage->prompt_tokens <= TG_COUNT_MAX);
    assert(usage->reasoning_tokens >= 0);
    assert(usage->reasoning_tokens <= tg_usage_output_tokens(usage));
}

/* Each class of the whole is the sum of its parts, or was cut at its bound and doubted. */
static void check_parts(const struct tg_answer *answer)
{
    assert(answer->iteration_count >= 0 && answer->iteration_count <= TG_ITERATIONS_MAX);
    for (int class = 0; answer->iteration_count > 0 && class < TG_CLASS_COUNT; class ++) {
        int64_t sum = 0;

        for (int i = 0; i < answer->iteration_count; i++)
            sum += answer->iterations[i].usage.count[class];
        assert(sum == answer->usage.count[class] || (answer->usage.count[class] == TG_COUNT_MAX &&
                                                     (answer->flags & TG_ANSWER_DOUBTFUL) != 0));
    }
    for (int i = 0; i < answer->iteration_count; i++)
        check_usage(&answer->iterations[i].usage);
}

static void check_answer(const struct tg_answer *answer, size_t size)
{
    check_usage(&answer->usage);
    check_parts(answer);
    assert(answer->output_bytes >= 0 && (size_t)answer->output_bytes <= size);
    assert(answer->raw_usage_start <= answer->raw_usage_end && answer->raw_usage_end <= size);
    assert((answer->flags & TG_ANSWER_HAS_USAGE) != 0 ||
           tg_usage_input_tokens(&answer->usage) == 0);
    assert((answer->flags & TG_ANSWER_SO_FAR) == 0 || (answer->flags & TG_ANSWER_HAS_USAGE) != 0);
    assert(answer->choices_finished >= 0 && answer->choices_finished <= 1);
}

struct reader {
    struct sse sse;
    size_t taken; /* bytes of the stream handed out */
    struct tg_answer answer;
    bool forgets; /* never compares an event with the one before */
    bool has_ended;
    char *room;
};

static void read_event(struct reader *r, const struct sse_event *event, size_t size)
{
    const size_t len = sse_join_data(event, r->room, size);
    enum tg_event_action action;

    if (!event->has_data)
        return;
    if (r->forgets)
        r->answer.shape.holes = 0;
    action = anthropic_messages_dialect.read_event(
        (struct tg_span){ event->type.ptr, event->type.len }, (struct tg_span){ r->room, len },
        &streaming, &kind, &r->answer);
    assert(action != TG_EVENT_DROP);
    assert(!r->has_ended || action == TG_EVENT_TERMINAL);
    r->has_ended = r->has_ended || action == TG_EVENT_TERMINAL;
    check_answer(&r->answer, size);
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
    while (sse_next(&r->sse, pending, &event)) {
        pending = span_from_offset(pending, event.bytes.len);
        r->taken += event.bytes.len;
        read_event(r, &event, size);
    }
    free(copy);
}

static void read_stream(struct reader *r, struct span stream, const uint8_t cuts[CUTS])
{
    size_t end = 0;

    sse_init(&r->sse);
    for (int i = 0; i < CUTS; i++) {
        end += cuts[i] * stream.len / 1024;
        if (end > stream.len)
            break;
        feed(r, span_of(stream.ptr, end), stream.len);
    }
    feed(r, stream, stream.len);
    memset(&r->answer.shape, 0, sizeof(r->answer.shape));
}

static void check_stream(struct span stream, const uint8_t cuts[CUTS])
{
    static const uint8_t none[CUTS];
    char *const room = malloc(stream.len + 1);
    struct reader whole = { .room = room };
    struct reader cut = { .room = room };
    struct reader slow = { .room = room, .forgets = true };

    assert(room != NULL);
    read_stream(&whole, stream, none);
    read_stream(&cut, stream, cuts);
    read_stream(&slow, stream, none);
    assert(memcmp(&whole.answer, &cut.answer, sizeof(cut.answer)) == 0);
    assert(memcmp(&whole.answer, &slow.answer, sizeof(slow.answer)) == 0);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_answer answer = { 0 };
    struct span text;

    if (size < CUTS)
        return 0;
    text = span_of((const char *)data + CUTS, size - CUTS);
    check_request(text);
    check_stream(text, data);
    anthropic_messages_dialect.read_answer((struct tg_span){ text.ptr, text.len }, &kind, &answer);
    check_answer(&answer, text.len);
    return 0;
}
