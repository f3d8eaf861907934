#include "sim_chat.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define EVENTS_DEFAULT_MAX 256
#define ECHO_BODY_MAX      ((size_t)64 * 1024)

/* One stream being laid out. */
struct stream {
    struct sim_build build;
    const struct sim_call *call;
    const struct sim_generation *generation; /* owned by the answer */
    const char *eol;
    struct sim_buf event; /* scratch */
    int64_t created_s;
    bool nulls_usage; /* chunks carry "usage":null */
    bool echoes;      /* the next chunk carries what was received */
};

/* Visible tokens carried by events 0..k-1 of `parts`: even shares, rounded down. */
static int64_t share(int64_t whole, int64_t k, int64_t parts)
{
    return parts == 0 ? 0 : (int64_t)((__int128)whole * k / parts);
}

/* Text of `count` words. Accents and escapes are there so that splits land inside them. */
static void write_words(struct sim_buf *out, int64_t first, int64_t count)
{
    static const char *const words[] = {
        " one",          " token", " at",   " a",        " time,",        " \xc3\xa9t\xc3\xa9",
        " \\\"said\\\"", " the",   " toll", " gate.\\n", " \xe2\x82\xac", " and"
    };

    for (int64_t i = 0; i < count; i++)
        sim_buf_text(out, words[(size_t)(first + i) % (sizeof(words) / sizeof(words[0]))]);
}

static void write_filler(struct sim_buf *out, int64_t bytes)
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

static void write_echo(struct sim_buf *out, const struct sim_call *call)
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

static int64_t given(int64_t scripted, int64_t otherwise)
{
    return scripted == SIM_UNSET ? otherwise : scripted;
}

/* Decide the counts. `out` is the total over all choices; the default is a count for each choice.
 */
static struct sim_generation *generate(const struct sim_call *call)
{
    const struct sim_script *script = &call->script;
    struct sim_generation *made = sim_alloc(sizeof(*made));
    int64_t each = 16 + (int64_t)(call->body.len % 48);

    if (call->ask.max_tokens > 0 && call->ask.max_tokens < each)
        each = call->ask.max_tokens;
    made->usage = (struct sim_usage){
        .prompt = given(script->prompt, (int64_t)((call->body.len + 3) / 4)),
        .completion = given(script->out, each * call->ask.n),
        .cached = given(script->cached, 0),
        .reasoning = given(script->reasoning, 0),
        .audio_in = given(script->audio_in, 0),
        .cache_write = script->cache_write,
    };
    if (made->usage.reasoning > made->usage.completion)
        made->usage.reasoning = made->usage.completion;
    const int64_t visible = made->usage.completion - made->usage.reasoning;

    made->events =
        given(script->events, visible < EVENTS_DEFAULT_MAX ? visible : EVENTS_DEFAULT_MAX);
    if (!call->ask.is_stream)
        made->events = 0;
    made->seq = call->seq;
    made->n = call->ask.n;
    made->is_stream = call->ask.is_stream;
    made->asked_usage = call->ask.asks_usage;
    made->model = sim_copy(call->ask.model);
    made->served_model =
        sim_copy(script->model[0] == '\0' ? call->ask.model : sim_span_of(script->model));
    strcpy(made->tier, script->tier[0] == '\0' ? "default" : script->tier);
    made->tag = sim_copy(sim_request_header(call->request, "x-sim-tag"));
    made->client_request = sim_copy(sim_request_header(call->request, "x-request-id"));
    return made;
}

static const char *finish_reason(const struct sim_call *call, const struct sim_generation *made)
{
    const int64_t most = call->ask.max_tokens * call->ask.n;

    return call->ask.max_tokens > 0 && made->usage.completion >= most ? "length" : "stop";
}

static void write_choices(struct sim_buf *out, const struct sim_call *call,
                          const struct sim_generation *made)
{
    const int64_t visible = made->usage.completion - made->usage.reasoning;

    sim_buf_text(out, ",\"choices\":[");
    for (int64_t i = 0; i < made->n; i++) {
        const int64_t first = share(visible, i, made->n);

        sim_buf_print(out,
                      "%s{\"index\":%" PRId64 ",\"message\":{\"role\":\"assistant\",\"content\":\"",
                      i == 0 ? "" : ",", i);
        if (call->script.big > 0)
            write_filler(out, call->script.big);
        else
            write_words(out, first, share(visible, i + 1, made->n) - first);
        sim_buf_print(out,
                      "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
                      "\"finish_reason\":\"%s\"}",
                      finish_reason(call, made));
    }
    sim_buf_text(out, "]");
}

static struct sim_answer *plain_answer(const struct sim_call *call, struct sim_generation *made)
{
    const struct sim_script *script = &call->script;
    struct sim_build build;
    struct sim_buf body = { 0 };
    const struct sim_head head = { 200, "application/json", call->more, SIM_UNSET,
                                   script->first_ms };

    sim_build_init(&build, script);
    build.answer->generation = made;
    sim_buf_print(&body,
                  "{\"id\":\"chatcmpl-sim-%" PRId64
                  "\",\"object\":\"chat.completion\",\"created\":%lld,\"model\":\"%s\"",
                  made->seq, (long long)time(NULL), made->served_model);
    write_choices(&body, call, made);
    if (script->place != SIM_PLACE_NONE) {
        sim_buf_text(&body, ",\"usage\":");
        sim_usage_write(&body, &made->usage, (enum sim_form)script->form);
    }
    if (script->hop != 0)
        write_echo(&body, call);
    sim_buf_print(&body, ",\"service_tier\":\"%s\",\"system_fingerprint\":\"fp_sim\"}", made->tier);
    if (script->garbage == SIM_SPOT_JSON)
        body.len /= 2;
    if (script->garbage == SIM_SPOT_BODY)
        memset(body.ptr, 0x9f, body.len);
    if (script->garbage != SIM_SPOT_NONE)
        build.answer->ending = "error";
    sim_build_whole(&build, &head, (struct sim_span){ body.ptr, body.len });
    sim_buf_fini(&body);
    return sim_build_end(&build, /* is_stream= */ false);
}

/* Send the scratch event as it stands. */
static void flush_event(struct stream *stream, int64_t wait_ms)
{
    sim_build_piece(&stream->build, (struct sim_span){ stream->event.ptr, stream->event.len },
                    wait_ms);
    stream->event.len = 0;
}

static void open_chunk(struct stream *stream)
{
    const struct sim_generation *made = stream->generation;

    sim_buf_print(&stream->event, "data: {\"id\":\"chatcmpl-sim-%" PRId64 "\",", made->seq);
    if (stream->call->script.multiline != 0)
        sim_buf_print(&stream->event, "%sdata: ", stream->eol);
    sim_buf_print(&stream->event,
                  "\"object\":\"chat.completion.chunk\",\"created\":%" PRId64
                  ",\"model\":\"%s\",\"service_tier\":\"%s\",\"system_fingerprint\":\"fp_sim\","
                  "\"choices\":[",
                  stream->created_s, made->served_model, made->tier);
}

/* End a chunk after its choices, with `usage`, with null, or with no such member. */
static void close_chunk(struct stream *stream, const struct sim_usage *usage, int64_t wait_ms)
{
    struct sim_buf *event = &stream->event;
    const struct sim_script *script = &stream->call->script;

    sim_buf_text(event, "]");
    if (stream->echoes) {
        write_echo(event, stream->call);
        stream->echoes = false;
    }
    if (usage != NULL) {
        sim_buf_text(event, ",\"usage\":");
        sim_usage_write(event, usage, (enum sim_form)script->form);
    } else if (stream->nulls_usage) {
        sim_buf_text(event, ",\"usage\":null");
    }
    if (script->obfuscation != 0) {
        sim_buf_text(event, ",\"obfuscation\":\"");
        write_filler(event, 4 + (int64_t)(event->len % 13));
        sim_buf_text(event, "\"");
    }
    sim_buf_print(event, "}%s%s", stream->eol, stream->eol);
    if (script->comments != 0)
        sim_buf_print(event, ": OPENROUTER PROCESSING%s%s", stream->eol, stream->eol);
    flush_event(stream, wait_ms);
}

static void add_opening(struct stream *stream)
{
    const struct sim_script *script = &stream->call->script;
    struct sim_buf *event = &stream->event;

    if (script->bom != 0)
        sim_buf_text(event, "\xef\xbb\xbf");
    if (script->comments != 0)
        sim_buf_print(event, ": OPENROUTER PROCESSING%s%s", stream->eol, stream->eol);
    if (script->azure != 0) {
        sim_buf_print(
            event,
            "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\","
            "\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":"
            "{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}%s%s",
            stream->eol, stream->eol);
        flush_event(stream, 0);
    }
    for (int64_t i = 0; i < stream->generation->n; i++) {
        open_chunk(stream);
        sim_buf_print(event,
                      "{\"index\":%" PRId64 ",\"delta\":{\"role\":\"assistant\",\"content\":\"\","
                      "\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}",
                      i);
        close_chunk(stream, NULL, 0);
    }
}

static void add_garbage(struct stream *stream)
{
    if (stream->call->script.garbage == SIM_SPOT_BODY)
        sim_buf_text(&stream->event, "\x9f\x80\xff}{\"]\x01\n\ndata\n\n: \xfe\n\n");
    else
        sim_buf_print(&stream->event, "data: {\"id\":\"chatcmpl-sim-1\",\"choices\":[{\"ind%s%s",
                      stream->eol, stream->eol);
    flush_event(stream, 0);
}

static void add_content(struct stream *stream, int64_t k)
{
    const struct sim_generation *made = stream->generation;
    const struct sim_script *script = &stream->call->script;
    const int64_t visible = made->usage.completion - made->usage.reasoning;
    const int64_t first = share(visible, k, made->events);

    stream->build.events = k + 1;
    open_chunk(stream);
    sim_buf_print(&stream->event, "{\"index\":%" PRId64 ",\"delta\":{\"content\":\"", k % made->n);
    if (script->big > 0)
        write_filler(&stream->event,
                     share(script->big, k + 1, made->events) - share(script->big, k, made->events));
    else
        write_words(&stream->event, first, share(visible, k + 1, made->events) - first);
    sim_buf_text(&stream->event, "\"},\"logprobs\":null,\"finish_reason\":null}");
    struct sim_usage so_far = made->usage;

    so_far.completion = made->usage.reasoning + share(visible, k + 1, made->events);
    close_chunk(stream, script->place == SIM_PLACE_EVERY ? &so_far : NULL, script->gap_ms);
}

/* The content events. ret: false when a fault or an error of the script ended the stream. */
static bool add_contents(struct stream *stream)
{
    const struct sim_script *script = &stream->call->script;
    const int64_t events = stream->generation->events;

    for (int64_t k = 0; k <= events && !stream->build.is_over; k++) {
        if (k == events / 2 && script->stall == SIM_SPOT_BODY)
            sim_build_stall(&stream->build);
        if (k == events / 2 && script->garbage != SIM_SPOT_NONE)
            add_garbage(stream);
        if (k == script->error_after) {
            sim_buf_print(
                &stream->event,
                "data: {\"error\":{\"message\":\"The server had an error while processing "
                "your request.\",\"type\":\"server_error\",\"param\":null,"
                "\"code\":null}}%s%s",
                stream->eol, stream->eol);
            flush_event(stream, script->gap_ms);
            stream->build.answer->ending = "error";
            return false;
        }
        if (k < events)
            add_content(stream, k);
    }
    return !stream->build.is_over;
}

static void add_closing(struct stream *stream)
{
    const struct sim_generation *made = stream->generation;
    const enum sim_place place = (enum sim_place)stream->call->script.place;
    const bool is_inside =
        place == SIM_PLACE_LAST || place == SIM_PLACE_EVERY || place == SIM_PLACE_NULL_AFTER;
    const bool has_form = stream->call->script.form != SIM_FORM_TRUE;
    const bool has_extra =
        place == SIM_PLACE_EXTRA || (place == SIM_PLACE_ASKED && (made->asked_usage || has_form));

    for (int64_t i = 0; i < made->n; i++) {
        open_chunk(stream);
        sim_buf_print(&stream->event,
                      "{\"index\":%" PRId64 ",\"delta\":{},\"logprobs\":null,"
                      "\"finish_reason\":\"%s\"}",
                      i, finish_reason(stream->call, made));
        close_chunk(stream, is_inside && i == made->n - 1 ? &made->usage : NULL, 0);
    }
    if (has_extra) {
        open_chunk(stream);
        close_chunk(stream, &made->usage, 0);
    }
    if (place == SIM_PLACE_NULL_AFTER) {
        stream->nulls_usage = true;
        open_chunk(stream);
        close_chunk(stream, NULL, 0);
    }
    if (stream->call->script.no_done == 0) {
        sim_buf_print(&stream->event, "data: [DONE]%s%s", stream->eol, stream->eol);
        flush_event(stream, 0);
    }
}

static struct sim_answer *stream_answer(const struct sim_call *call, struct sim_generation *made)
{
    const struct sim_script *script = &call->script;
    struct stream stream = { .call = call, .generation = made, .eol = "\n" };
    const struct sim_head head = { 200, "text/event-stream; charset=utf-8", call->more, SIM_UNSET,
                                   script->first_ms };

    if (script->crlf != 0)
        stream.eol = "\r\n";
    else if (script->cr != 0)
        stream.eol = "\r";
    stream.created_s = time(NULL);
    stream.echoes = script->hop != 0;
    stream.nulls_usage =
        script->place != SIM_PLACE_NONE && (made->asked_usage || script->place == SIM_PLACE_EXTRA);
    sim_build_init(&stream.build, script);
    stream.build.answer->generation = made;
    if (script->garbage != SIM_SPOT_NONE)
        stream.build.answer->ending = "error";
    sim_build_head(&stream.build, &head);
    add_opening(&stream);
    if (add_contents(&stream))
        add_closing(&stream);
    sim_buf_fini(&stream.event);
    return sim_build_end(&stream.build, /* is_stream= */ true);
}

struct sim_answer *sim_chat_answer(const struct sim_call *call)
{
    struct sim_generation *made = generate(call);

    /* A call that never got as far as the provider's front door costs nothing. */
    if (call->script.cut == SIM_AT_START || call->script.reset == SIM_AT_START)
        made->is_billed = true;
    return made->is_stream ? stream_answer(call, made) : plain_answer(call, made);
}
