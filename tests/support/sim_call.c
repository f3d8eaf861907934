#include "sim_call.h"

#include <string.h>
#include <time.h>

#define EVENTS_DEFAULT_MAX 256

static int64_t given(int64_t scripted, int64_t otherwise)
{
    return scripted == SIM_UNSET ? otherwise : scripted;
}

/* Decide the counts. `out` is the total over all choices; the default is a count for each choice.
 */
struct sim_generation *sim_generate(const struct sim_call *call, const char *dialect,
                                    const char *prefix)
{
    const struct sim_script *script = &call->script;
    struct sim_generation *made = sim_alloc(sizeof(*made));
    int64_t each = 16 + (int64_t)(call->body.len % 48);

    if (call->ask.max_tokens > 0 && call->ask.max_tokens < each)
        each = call->ask.max_tokens;
    made->usage = (struct sim_usage){
        .prompt =
            given(script->prompt, call->ask.input_tokens > 0 ? call->ask.input_tokens
                                                             : (int64_t)((call->body.len + 3) / 4)),
        .completion = given(script->out, each * call->ask.billed_n),
        .cached = given(script->cached, 0),
        .reasoning = given(script->reasoning, 0),
        .audio_in = given(script->audio_in, 0),
        .cache_write = script->cache_write,
        .cache_write_12h = script->cache_12h,
        .cache_write_1h = script->cache_1h,
        .compaction = script->compaction,
        .advisor = script->advisor,
        .web_search = script->web,
        .file_search = script->files,
        .code_session = script->code,
    };
    if (made->usage.reasoning > made->usage.completion)
        made->usage.reasoning = made->usage.completion;
    const int64_t visible = made->usage.completion - made->usage.reasoning;

    made->events =
        given(script->events, visible < EVENTS_DEFAULT_MAX ? visible : EVENTS_DEFAULT_MAX);
    if (!call->ask.is_stream)
        made->events = 0;
    made->seq = call->seq;
    made->dialect = dialect;
    made->prefix = prefix;
    made->n = call->ask.n;
    made->is_stream = call->ask.is_stream;
    made->asked_usage = call->ask.asks_usage;
    made->model = sim_copy(call->ask.model);
    made->served_model =
        sim_copy(script->model[0] == '\0' ? call->ask.model : sim_span_of(script->model));
    strcpy(made->tier, script->tier[0] == '\0' ? "default" : script->tier);
    made->tag = sim_copy(sim_request_header(call->request, "x-sim-tag"));
    made->client_request = sim_copy(sim_request_header(call->request, "x-request-id"));
    made->is_billed = script->cut == SIM_AT_START || script->reset == SIM_AT_START;
    return made;
}

/* --- streams ------------------------------------------------------------------------------------
 */

void sim_stream_flush(struct sim_stream *stream, int64_t wait_ms)
{
    sim_build_piece(&stream->build, (struct sim_span){ stream->event.ptr, stream->event.len },
                    wait_ms);
    stream->event.len = 0;
    stream->events++;
}

static void add_garbage(struct sim_stream *stream)
{
    if (stream->call->ask.is_array)
        sim_buf_text(&stream->event, stream->events == 0 ? "[oops" : ",\r\noops");
    else if (stream->call->script.garbage == SIM_SPOT_BODY)
        sim_buf_text(&stream->event, "\x9f\x80\xff}{\"]\x01\n\ndata\n\n: \xfe\n\n");
    else
        sim_buf_print(&stream->event, "data: {\"id\":\"chatcmpl-sim-1\",\"choices\":[{\"ind%s%s",
                      stream->eol, stream->eol);
    sim_stream_flush(stream, 0);
}

/* The content events. ret: false when a fault or an error of the script ended the stream. */
static bool add_contents(struct sim_stream *stream, const struct sim_writer *writer)
{
    const struct sim_script *script = &stream->call->script;
    const int64_t events = stream->generation->events;

    for (int64_t k = 0; k <= events && !stream->build.is_over; k++) {
        if (k == events / 2 && script->stall == SIM_SPOT_BODY)
            sim_build_stall(&stream->build);
        if (k == events / 2 && script->garbage != SIM_SPOT_NONE)
            add_garbage(stream);
        if (k == script->error_after) {
            writer->error(stream);
            stream->build.answer->ending = "error";
            return false;
        }
        if (k < events)
            writer->content(stream, k);
    }
    return !stream->build.is_over;
}

struct sim_answer *sim_stream_answer(const struct sim_call *call, struct sim_generation *made,
                                     const struct sim_writer *writer)
{
    const struct sim_script *script = &call->script;
    struct sim_stream stream = { .call = call, .generation = made, .eol = "\n" };
    const bool is_array = call->ask.is_array;
    const struct sim_head head = { 200,
                                   is_array ? "application/json; charset=UTF-8"
                                            : "text/event-stream; charset=utf-8",
                                   call->more, SIM_UNSET, script->first_ms };

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
    if (script->bom != 0 && !is_array)
        sim_buf_text(&stream.event, "\xef\xbb\xbf");
    if (script->comments != 0 && !is_array)
        sim_buf_print(&stream.event, ": OPENROUTER PROCESSING%s%s", stream.eol, stream.eol);
    writer->opening(&stream);
    if (add_contents(&stream, writer))
        writer->closing(&stream);
    sim_buf_fini(&stream.event);
    return sim_build_end(&stream.build, /* is_stream= */ true);
}

/* --- plain answers ------------------------------------------------------------------------------
 */

struct sim_answer *sim_plain_answer(const struct sim_call *call, struct sim_generation *made,
                                    struct sim_buf *body)
{
    const struct sim_script *script = &call->script;
    const struct sim_head head = { 200, "application/json", call->more, SIM_UNSET,
                                   script->first_ms };
    struct sim_build build;

    sim_build_init(&build, script);
    build.answer->generation = made;
    if (script->garbage == SIM_SPOT_JSON)
        body->len /= 2;
    if (script->garbage == SIM_SPOT_BODY)
        memset(body->ptr, 0x9f, body->len);
    if (script->garbage != SIM_SPOT_NONE)
        build.answer->ending = "error";
    sim_build_whole(&build, &head, (struct sim_span){ body->ptr, body->len });
    sim_buf_fini(body);
    return sim_build_end(&build, /* is_stream= */ false);
}
