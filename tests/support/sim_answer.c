#include "sim_answer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define GZIP_BLOCK_MAX 65535u

void sim_answer_free(struct sim_answer *answer)
{
    if (answer == NULL || answer->is_shared)
        return;
    sim_generation_free(answer->generation);
    sim_buf_fini(&answer->bytes);
    free(answer->steps);
    free(answer);
}

void sim_build_init(struct sim_build *build, const struct sim_script *script)
{
    *build = (struct sim_build){ .script = script, .left = SIM_UNSET };
    build->answer = sim_alloc(sizeof(*build->answer));
    build->answer->ending = "complete";
    build->answer->slow_ms = script->slow_ms;
    build->answer->piece_bytes = (size_t)script->split;
    if (script->cut >= 0) {
        build->left = script->cut;
        build->fault = SIM_THEN_CLOSE;
    } else if (script->reset >= 0) {
        build->left = script->reset;
        build->fault = SIM_THEN_RESET;
    }
}

static struct sim_step *add_step(struct sim_build *build, int64_t wait_ms)
{
    struct sim_answer *answer = build->answer;

    if (answer->step_count == answer->step_cap) {
        const size_t cap = answer->step_cap == 0 ? 8 : answer->step_cap * 2;
        struct sim_step *steps = sim_alloc(cap * sizeof(*steps));

        if (answer->step_count > 0)
            memcpy(steps, answer->steps, answer->step_count * sizeof(*steps));
        free(answer->steps);
        answer->steps = steps;
        answer->step_cap = cap;
    }
    struct sim_step *step = &answer->steps[answer->step_count++];

    *step = (struct sim_step){ .offset = answer->bytes.len, .wait_ms = wait_ms };
    step->events = build->events;
    return step;
}

static void close_step(struct sim_build *build)
{
    struct sim_step *step = &build->answer->steps[build->answer->step_count - 1];

    step->len = build->answer->bytes.len - step->offset;
}

static void strike(struct sim_build *build, enum sim_then fault)
{
    if (build->answer->step_count == 0)
        (void)add_step(build, 0);
    close_step(build);
    build->answer->steps[build->answer->step_count - 1].then = fault;
    build->answer->has_fault = true;
    build->answer->ending = "cut";
    build->is_over = true;
}

void sim_build_stall(struct sim_build *build)
{
    if (!build->is_over)
        strike(build, SIM_THEN_STALL);
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        { 200, "OK" },
        { 301, "Moved Permanently" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 413, "Payload Too Large" },
        { 422, "Unprocessable Entity" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unassigned";
}

static void write_head(struct sim_build *build, const struct sim_head *head)
{
    const struct sim_script *script = build->script;
    struct sim_buf *out = &build->answer->bytes;
    const bool has_trailers = script->trailers != 0 || script->chunk_ext != 0;

    build->is_chunked = script->eof == 0 && (head->length == SIM_UNSET || has_trailers);
    build->answer->closes = script->close != 0 || script->eof != 0;
    sim_buf_print(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n", head->status,
                  reason_of(head->status), head->content_type);
    if (build->is_chunked)
        sim_buf_text(out, "Transfer-Encoding: chunked\r\n");
    else if (script->eof == 0)
        sim_buf_print(out, "Content-Length: %" PRId64 "\r\n", head->length);
    if (script->trailers != 0)
        sim_buf_text(out, "Trailer: x-sim-trailer\r\n");
    if (script->gzip != 0)
        sim_buf_text(out, "Content-Encoding: gzip\r\n");
    sim_buf_print(out, "Connection: %s\r\n%s\r\n", build->answer->closes ? "close" : "keep-alive",
                  head->more);
}

/* The faults that strike before or in the head. ret: true when one did. */
static bool strike_head(struct sim_build *build, const struct sim_head *head)
{
    const struct sim_script *script = build->script;
    const bool resets = script->reset < SIM_UNSET;
    const int64_t spot = resets ? script->reset : script->cut;
    const enum sim_then fault = resets ? SIM_THEN_RESET : SIM_THEN_CLOSE;

    if (script->stall == SIM_SPOT_HEAD) {
        strike(build, SIM_THEN_STALL);
    } else if (script->garbage == SIM_SPOT_HEAD) {
        sim_buf_text(&build->answer->bytes, "\x16\x03\x01 this is not HTTP\r\n\r\n\x01\x02");
        strike(build, SIM_THEN_CLOSE);
        build->answer->ending = "error";
    } else if (spot == SIM_AT_START) {
        strike(build, fault);
    } else if (spot == SIM_AT_HEAD) {
        write_head(build, head);
        build->answer->bytes.len /= 2;
        strike(build, fault);
    }
    return build->is_over;
}

void sim_build_head(struct sim_build *build, const struct sim_head *head)
{
    (void)add_step(build, head->wait_ms);
    if (strike_head(build, head))
        return;
    write_head(build, head);
    close_step(build);
    if (build->left == 0)
        strike(build, build->fault);
}

/* Add body bytes as they go out, with their chunk's frame, up to the byte where the fault strikes.
 */
static void add_framed(struct sim_build *build, struct sim_span bytes, int64_t wait_ms)
{
    struct sim_buf *out = &build->answer->bytes;
    const bool ends = build->left != SIM_UNSET && (int64_t)bytes.len >= build->left;
    const size_t len = ends ? (size_t)build->left : bytes.len;

    if (bytes.len == 0)
        return;
    add_step(build, wait_ms)->is_slow = build->script->slow_ms > 0;
    if (build->is_chunked)
        sim_buf_print(out, "%zx%s\r\n", bytes.len,
                      build->script->chunk_ext != 0 ? ";sim=\"a;b\";x" : "");
    sim_buf_add(out, bytes.ptr, len);
    if (ends) {
        strike(build, build->fault);
        return;
    }
    if (build->is_chunked)
        sim_buf_text(out, "\r\n");
    if (build->left != SIM_UNSET)
        build->left -= (int64_t)len;
    close_step(build);
}

static uint32_t crc_add(uint32_t crc, struct sim_span bytes)
{
    crc = ~crc;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static void put_le(struct sim_buf *out, uint32_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        const char byte = (char)(value >> (8 * i));

        sim_buf_add(out, &byte, 1);
    }
}

/* Real gzip made of stored blocks: a proxy that decodes it sees the truth, and no library is
 * needed. */
static void gzip_add(struct sim_build *build, struct sim_buf *out, struct sim_span bytes)
{
    if (build->gzip_bytes == 0)
        sim_buf_add(out, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    build->gzip_crc = crc_add(build->gzip_crc, bytes);
    build->gzip_bytes += (uint32_t)bytes.len;
    while (bytes.len > 0) {
        const uint32_t len = bytes.len < GZIP_BLOCK_MAX ? (uint32_t)bytes.len : GZIP_BLOCK_MAX;

        sim_buf_add(out, "\0", 1);
        put_le(out, len, 2);
        put_le(out, ~len, 2);
        sim_buf_add(out, bytes.ptr, len);
        bytes = (struct sim_span){ bytes.ptr + len, bytes.len - len };
    }
}

static void gzip_end(const struct sim_build *build, struct sim_buf *out)
{
    sim_buf_add(out, "\1\0\0\xff\xff", 5);
    put_le(out, build->gzip_crc, 4);
    put_le(out, build->gzip_bytes, 4);
}

void sim_build_piece(struct sim_build *build, struct sim_span payload, int64_t wait_ms)
{
    struct sim_buf packed = { 0 };

    if (build->is_over)
        return;
    if (build->script->gzip != 0) {
        gzip_add(build, &packed, payload);
        payload = (struct sim_span){ packed.ptr, packed.len };
    }
    add_framed(build, payload, wait_ms);
    sim_buf_fini(&packed);
}

void sim_build_whole(struct sim_build *build, const struct sim_head *head, struct sim_span payload)
{
    struct sim_head full = *head;
    struct sim_buf packed = { 0 };

    if (build->script->gzip != 0) {
        gzip_add(build, &packed, payload);
        gzip_end(build, &packed);
        payload = (struct sim_span){ packed.ptr, packed.len };
    }
    full.length = (int64_t)payload.len;
    if (build->script->stall == SIM_SPOT_BODY || build->script->stall == SIM_SPOT_END) {
        build->fault = SIM_THEN_STALL;
        build->left = build->script->stall == SIM_SPOT_BODY ? full.length / 2 : full.length - 1;
    }
    sim_build_head(build, &full);
    if (!build->is_over)
        add_framed(build, payload, 0);
    sim_buf_fini(&packed);
}

/* Make one step of all, so that the answer leaves in one write. ret: its index. */
static size_t join_steps(struct sim_answer *answer)
{
    const struct sim_step *last = &answer->steps[answer->step_count - 1];
    struct sim_step *first = &answer->steps[0];

    first->len = answer->bytes.len;
    first->events = last->events;
    first->then = last->then;
    answer->step_count = 1;
    return 0;
}

struct sim_answer *sim_build_end(struct sim_build *build, bool is_stream)
{
    struct sim_answer *answer = build->answer;
    const struct sim_script *script = build->script;
    size_t bill_step = is_stream ? answer->step_count - 1 : 0; /* never one that follows [DONE] */

    if (!build->is_over && is_stream && script->gzip != 0) {
        struct sim_buf tail = { 0 };

        gzip_end(build, &tail);
        add_framed(build, (struct sim_span){ tail.ptr, tail.len }, 0);
        sim_buf_fini(&tail);
    }
    if (!build->is_over && is_stream && script->stall == SIM_SPOT_END) {
        strike(build, SIM_THEN_STALL);
    } else if (!build->is_over && build->is_chunked) {
        sim_buf_text(&answer->bytes, "0\r\n");
        if (script->trailers != 0)
            sim_buf_text(&answer->bytes, "x-sim-trailer: end\r\n");
        sim_buf_text(&answer->bytes, "\r\n");
        close_step(build);
    }
    if (script->slow_ms == 0 && (!is_stream || script->coalesce != 0))
        bill_step = join_steps(answer);
    answer->steps[bill_step].bills = true;
    return answer;
}
