#include "sim_text.h"

#include <ctype.h>
#include <string.h>

#define ECHO_BODY_MAX ((size_t)64 * 1024)

int64_t sim_share(int64_t whole, int64_t k, int64_t parts)
{
    return parts == 0 ? 0 : (int64_t)((__int128)whole * k / parts);
}

/* Accents and escapes are there so that splits land inside them. */
void sim_write_words(struct sim_buf *out, int64_t first, int64_t count)
{
    static const char *const words[] = {
        " one",          " token", " at",   " a",        " time,",        " \xc3\xa9t\xc3\xa9",
        " \\\"said\\\"", " the",   " toll", " gate.\\n", " \xe2\x82\xac", " and"
    };

    for (int64_t i = 0; i < count; i++)
        sim_buf_text(out, words[(size_t)(first + i) % (sizeof(words) / sizeof(words[0]))]);
}

void sim_write_filler(struct sim_buf *out, int64_t bytes)
{
    sim_buf_need(out, (size_t)bytes);
    for (int64_t i = 0; i < bytes; i++)
        out->ptr[out->len++] = (char)('a' + i % 26);
}

static bool is_repeat(const struct sim_request *request, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (sim_header_same_name(&request->headers[i], &request->headers[index]))
            return true;
    }
    return false;
}

/* One member of the echo: the name in lower case, the values of all headers so named joined by ",
 * ", because most JSON readers would drop all but one of a repeated name. */
static void write_echo_header(struct sim_buf *out, const struct sim_request *request, size_t index)
{
    const struct sim_header *header = &request->headers[index];
    struct sim_buf text = { 0 };

    for (size_t i = 0; i < header->name.len; i++) {
        const char byte = (char)tolower((unsigned char)header->name.ptr[i]);

        sim_buf_add(&text, &byte, 1);
    }
    sim_buf_quote(out, (struct sim_span){ text.ptr, text.len });
    sim_buf_text(out, ":");
    text.len = 0;
    for (size_t i = index; i < request->header_count; i++) {
        if (!sim_header_same_name(header, &request->headers[i]))
            continue;
        sim_buf_text(&text, i == index ? "" : ", ");
        sim_buf_add(&text, request->headers[i].value.ptr, request->headers[i].value.len);
    }
    sim_buf_quote(out, (struct sim_span){ text.ptr, text.len });
    sim_buf_fini(&text);
}

void sim_write_echo(struct sim_buf *out, const struct sim_call *call)
{
    const struct sim_request *request = call->request;
    bool is_first = true;

    sim_buf_text(out, ",\"echo\":{\"method\":");
    sim_buf_quote(out, request->method);
    sim_buf_text(out, ",\"path\":");
    sim_buf_quote(out, request->path);
    sim_buf_text(out, ",\"headers\":{");
    for (size_t i = 0; i < request->header_count; i++) {
        if (is_repeat(request, i))
            continue;
        sim_buf_text(out, is_first ? "" : ",");
        write_echo_header(out, request, i);
        is_first = false;
    }
    sim_buf_print(out, "},\"body_bytes\":%zu,\"body\":", call->body.len);
    if (call->body.len <= ECHO_BODY_MAX)
        sim_buf_quote(out, call->body);
    else
        sim_buf_text(out, "null");
    sim_buf_text(out, "}");
}
