#include "providers/error_text.h"

#include <assert.h>
#include <stdio.h>

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

size_t error_text_join(struct span head, const struct tg_error *error, struct span tail, char *out,
                       size_t cap)
{
    struct span rest = span_of(error->message.ptr, error->message.len);
    size_t len = head.len;

    if (cap < head.len + tail.len)
        return 0;
    cap -= tail.len;
    if (rest.len == 0)
        rest = span_from(tg_status_info(error->status)->sentence);
    memcpy(out, head.ptr, head.len);
    while (rest.len > 0) {
        const struct piece piece = next_piece(rest);

        if (piece.len > cap - len)
            break;
        memcpy(out + len, piece.text, piece.len);
        len += piece.len;
        rest = span_from_offset(rest, piece.consumed);
    }
    memcpy(out + len, tail.ptr, tail.len);
    return len + tail.len;
}

size_t error_text_refusal(const struct tg_refusal *refusal, char *out, size_t cap)
{
    const bool is_money = refusal != NULL && strcmp(refusal->metric, "cost") == 0;
    const char *const quote = is_money ? "\"" : "";
    int len;

    if (refusal == NULL)
        return 0;
    len = snprintf(out, cap,
                   ",\"tollgate\":{\"limit_id\":\"%s\",\"scope\":\"%s\",\"metric\":\"%s\","
                   "\"window\":\"%s\",\"reason\":\"%s\",\"amount\":%s%s%s,\"spent\":%s%s%s,"
                   "\"held\":%s%s%s,\"estimate\":%s%s%s,\"resets_at\":%s%s%s}",
                   refusal->limit_id, refusal->scope, refusal->metric, refusal->window,
                   tg_refusal_reason_name(refusal->reason), quote, refusal->amount, quote, quote,
                   refusal->spent, quote, quote, refusal->held, quote, quote, refusal->estimate,
                   quote, refusal->resets_at[0] != '\0' ? "\"" : "",
                   refusal->resets_at[0] != '\0' ? refusal->resets_at : "null",
                   refusal->resets_at[0] != '\0' ? "\"" : "");
    assert(len > 0);
    assert((size_t)len < cap);
    return (size_t)len;
}
