#include "providers/openai_error.h"

#include "base/span.h"

#include <stdio.h>

/* Of what stands behind the message; the table's words are short. */
#define TAIL_MAX 256

/* One character of the message as it stands in JSON. */
struct piece {
    char text[7];
    size_t len;
    size_t consumed;
};

static struct piece escaped(unsigned char c)
{
    struct piece ret = { .consumed = 1, .len = 2 };

    if (c == '"' || c == '\\') {
        ret.text[0] = '\\';
        ret.text[1] = (char)c;
    } else if (c == '\n') {
        ret.text[0] = '\\';
        ret.text[1] = 'n';
    } else if (c < ' ') {
        ret.len = (size_t)snprintf(ret.text, sizeof(ret.text), "\\u%04x", c);
    } else {
        ret.text[0] = (char)c;
        ret.len = 1;
    }
    return ret;
}

static struct piece next_piece(struct span rest)
{
    struct piece ret = { .text = "?", .len = 1, .consumed = 1 };
    uint32_t code_point;
    const size_t len = span_utf8_at(rest, &code_point);

    if (len == 1)
        return escaped((unsigned char)rest.ptr[0]);
    if (len > 0) {
        memcpy(ret.text, rest.ptr, len);
        ret.len = ret.consumed = len;
    }
    return ret;
}

size_t openai_error_write(enum tg_status status, struct tg_span message, struct tg_span request_id,
                          char *out, size_t cap)
{
    const struct tg_status_info *const info = tg_status_info(status);
    const struct span head = SPAN("{\"error\":{\"message\":\"");
    struct span rest = span_of(message.ptr, message.len);
    char tail[TAIL_MAX];
    const int tail_len =
        snprintf(tail, sizeof(tail), "\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}",
                 info->type, info->code);
    size_t len = head.len;

    (void)request_id; /* travels in a header */
    if (cap < head.len + (size_t)tail_len)
        return 0;
    cap -= (size_t)tail_len;
    if (rest.len == 0)
        rest = span_from(info->sentence);
    memcpy(out, head.ptr, head.len);
    while (rest.len > 0) {
        const struct piece piece = next_piece(rest);

        if (piece.len > cap - len)
            break;
        memcpy(out + len, piece.text, piece.len);
        len += piece.len;
        rest = span_from_offset(rest, piece.consumed);
    }
    memcpy(out + len, tail, (size_t)tail_len);
    return len + (size_t)tail_len;
}
