/* Oracle: whatever comes, a request that is taken is JSON and within its bounds; no count of an
 * answer is negative or above its bound, the end is final, and a stream cut anywhere says the same.
 * The first bytes pick the dialect, the kind and where the stream is cut; the rest is a request, a
 * plain answer and a stream. */
#include "providers/openai_completions.h"
#include "providers/openai_input.h"
#include "providers/openai_responses.h"
#include "providers/sse.h"
#include "support/support_json_oracle.h"

#include <assert.h>
#include <stdlib.h>

#define HEAD_BYTES 3
#define CHOICES    4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tg_dialect *const dialects[] = {
    &openai_responses_dialect,
    &openai_completions_dialect,
    &openai_embeddings_dialect,
    &openai_moderations_dialect,
};

static struct tg_span public_span(struct span s)
{
    return (struct tg_span){ s.ptr, s.len };
}

/* --- requests -----------------------------------------------------------------------------------
 */

static void check_edits(const struct tg_dialect *dialect, const struct tg_request *request,
                        const struct tg_kind *kind, size_t size)
{
    const struct tg_wish wish = { .max_output_tokens = 300 };
    struct tg_edit edits[TG_EDITS_MAX];
    const int count = dialect->plan_edits(request, kind, &wish, edits);
    size_t at = 0;

    assert(count == -1 || (count >= 1 && count <= TG_EDITS_MAX));
    for (int i = 0; i < count; i++) {
        assert(edits[i].start >= at && edits[i].end >= edits[i].start && edits[i].end <= size);
        assert(edits[i].text_len > 0 && edits[i].text_len < sizeof(edits[i].text));
        at = edits[i].end;
    }
}

static void check_request(const struct tg_dialect *dialect, const struct tg_kind *kind,
                          struct span text)
{
    struct tg_request request;
    const enum tg_status status =
        dialect->read_request(public_span(text), &(struct tg_path){ 0 }, &request);

    if (status != TG_OK) {
        assert(status == TG_INVALID || status == TG_OUT_OF_RANGE);
        assert(request.problem != NULL);
        return;
    }
    assert(oracle_scanner_accepts(text));
    assert(request.model_len > 0 && request.model_len <= TG_MODEL_MAX);
    assert(request.choices >= 1);
    assert((request.flags & TG_REQUEST_STREAM) == 0 || request.choices <= TG_CHOICES_MAX);
    assert(request.media_parts >= 0);
    assert(request.media_bytes >= 0 && (size_t)request.media_bytes <= text.len);
    assert(request.max_output_tokens >= 0 && request.max_output_tokens <= INT32_MAX);
    assert(memchr(request.user, '\0', sizeof(request.user)) != NULL);
    check_edits(dialect, &request, kind, text.len);
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
    assert(answer->provider_cost_nusd >= 0);
    assert(answer->output_bytes >= 0 && (size_t)answer->output_bytes <= size);
    assert(answer->raw_usage_start <= answer->raw_usage_end && answer->raw_usage_end <= size);
    assert((answer->flags & TG_ANSWER_HAS_USAGE) != 0 ||
           tg_usage_input_tokens(&answer->usage) == 0);
}

struct reader {
    const struct tg_dialect *dialect;
    const struct tg_kind *kind;
    const struct tg_request *request;
    struct tg_answer answer;
    bool has_ended;
};

static void read_event(struct reader *r, const struct sse_event *event, char *room, size_t size)
{
    const struct tg_span type = { event->type.ptr, event->type.len };
    const size_t len = sse_join_data(event, room, size);
    const enum tg_event_action action = r->dialect->read_event(type, (struct tg_span){ room, len },
                                                               r->request, r->kind, &r->answer);

    assert(!r->has_ended || action != TG_EVENT_PASS);
    r->has_ended = r->has_ended || action == TG_EVENT_TERMINAL;
    check_counts(&r->answer, size);
}

static void read_stream(struct reader *r, struct span stream, size_t cut, char *room)
{
    struct sse sse;
    struct sse_event event;
    size_t taken = 0;

    r->answer = (struct tg_answer){ 0 };
    r->has_ended = false;
    sse_init(&sse);
    for (int piece = 0; piece < 2; piece++) {
        const size_t end = piece == 0 ? cut : stream.len;

        while (sse_next(&sse, span_of(stream.ptr + taken, end - taken), &event)) {
            taken += event.bytes.len;
            if (event.has_data)
                read_event(r, &event, room, stream.len);
        }
    }
}

static void check_stream(const struct tg_dialect *dialect, const struct tg_kind *kind,
                         struct span stream, size_t cut)
{
    const struct tg_request request = { .flags = TG_REQUEST_STREAM, .choices = CHOICES };
    struct reader whole = { .dialect = dialect, .kind = kind, .request = &request };
    struct reader pieces = whole;
    char *const room = malloc(stream.len + 1);

    assert(room != NULL);
    read_stream(&whole, stream, stream.len, room);
    read_stream(&pieces, stream, cut, room);
    assert(memcmp(&whole.answer, &pieces.answer, sizeof(whole.answer)) == 0);
    assert(whole.has_ended == pieces.has_ended);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_kind kind = { .name = "fuzz" };
    struct tg_answer answer = { 0 };
    const struct tg_dialect *dialect;
    struct span text;

    if (size < HEAD_BYTES)
        return 0;
    dialect = dialects[data[0] % (sizeof(dialects) / sizeof(dialects[0]))];
    kind.flags = data[0] & (TG_KIND_ASKS_USAGE | TG_KIND_REASONING_OUTSIDE |
                            TG_KIND_OUTPUT_IS_RESIDUAL | TG_KIND_TELLS_COST);
    text = span_of((const char *)data + HEAD_BYTES, size - HEAD_BYTES);
    check_request(dialect, &kind, text);
    dialect->read_answer(public_span(text), &kind, &answer);
    check_counts(&answer, text.len);
    if ((dialect->framings & TG_FRAMING_SSE) != 0)
        check_stream(dialect, &kind, text, (size_t)(data[1] << 8 | data[2]) % (text.len + 1));
    return 0;
}
