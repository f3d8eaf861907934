#include "support/support_stream.h"

#include "providers/sse.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COMMENT ": keep-alive\n\n"

static char action_letter(enum tg_event_action action)
{
    switch (action) {
    case TG_EVENT_PASS:
        return 'P';
    case TG_EVENT_DROP:
        return 'D';
    case TG_EVENT_TERMINAL:
        return 'T';
    }
    return '?';
}

static char read_event(const struct support_stream *stream, const struct sse_event *event,
                       struct tg_answer *answer)
{
    char *const data = malloc(event->bytes.len);
    const size_t len = sse_join_data(event, data, event->bytes.len);
    const struct tg_span type = { event->type.ptr, event->type.len };
    enum tg_event_action action;

    ck_assert_ptr_nonnull(data);
    action = stream->dialect->read_event(type, (struct tg_span){ data, len }, stream->request,
                                         stream->kind, answer);
    /* Where the usage stands is said of this event's data alone. */
    ck_assert_uint_le(answer->raw_usage_start, answer->raw_usage_end);
    ck_assert_uint_le(answer->raw_usage_end, len);
    free(data);
    return action_letter(action);
}

void support_read_stream(const struct support_stream *stream, struct span text, size_t cut,
                         struct tg_answer *ret_answer, char actions[SUPPORT_ACTIONS_MAX])
{
    size_t count = 0;
    size_t taken = 0;
    struct sse sse;
    struct sse_event event;

    *ret_answer = (struct tg_answer){ 0 };
    sse_init(&sse);
    for (int piece = 0; piece < 2; piece++) {
        const size_t end = piece == 0 ? cut : text.len;

        while (sse_next(&sse, span_of(text.ptr + taken, end - taken), &event)) {
            taken += event.bytes.len;
            if (!event.has_data)
                continue;
            ck_assert_uint_lt(count, SUPPORT_ACTIONS_MAX - 1);
            actions[count++] = read_event(stream, &event, ret_answer);
        }
    }
    actions[count] = '\0';
}

char *support_write_stream(const char *text, enum support_writing writing)
{
    /* Each line may get a byte more, each event a comment. */
    char *const out = malloc(strlen(text) * (2 + strlen(COMMENT)) + 1);
    char *to = out;
    bool is_line_start = true;
    bool is_event_start = true;

    ck_assert_ptr_nonnull(out);
    for (; *text != '\0'; text++) {
        if (writing == SUPPORT_COMMENTS && is_event_start)
            to = stpcpy(to, COMMENT);
        is_event_start = *text == '\n' && is_line_start;
        is_line_start = *text == '\n';
        if (writing == SUPPORT_CRLF && *text == '\n')
            *to++ = '\r';
        *to++ = *text;
    }
    *to = '\0';
    return out;
}

void support_check_stream(const struct support_stream *stream, const char *text,
                          const char *actions, struct tg_answer *ret_answer)
{
    char seen[SUPPORT_ACTIONS_MAX];

    support_read_stream(stream, span_from(text), 0, ret_answer, seen);
    ck_assert_msg(strcmp(seen, actions) == 0, "%s instead of %s in %s", seen, actions, text);
    for (int writing = SUPPORT_LF; writing < SUPPORT_WRITINGS; writing++) {
        char *const written = support_write_stream(text, (enum support_writing)writing);
        struct tg_answer answer;

        for (size_t cut = 0; cut <= strlen(written); cut++) {
            support_read_stream(stream, span_from(written), cut, &answer, seen);
            ck_assert_str_eq(seen, actions);
            ck_assert_int_eq(memcmp(&answer, ret_answer, sizeof(answer)), 0);
        }
        free(written);
    }
}
