#include "sim_responses.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "sim_text.h"

/* --- the output ---------------------------------------------------------------------------------
 */

static int64_t visible_of(const struct sim_generation *made)
{
    return made->usage.completion - made->usage.reasoning;
}

/* The text that tokens `first` and on bring; of a function's arguments, what needs no escape. */
static void write_text(struct sim_buf *out, const struct sim_call *call, int64_t first,
                       int64_t count)
{
    if (call->script.big > 0)
        sim_write_filler(out, call->script.big);
    else if (call->script.calls_tool == 0)
        sim_write_words(out, first, count);
    else
        for (int64_t i = 0; i < count; i++)
            sim_buf_text(out, "Oslo");
}

static void write_answer_item(struct sim_buf *out, const struct sim_call *call,
                              const struct sim_generation *made, bool is_done)
{
    const int64_t count = is_done ? visible_of(made) : 0;
    const char *const status = is_done ? "completed" : "in_progress";

    if (call->script.calls_tool != 0)
        sim_buf_print(out,
                      "{\"id\":\"fc_sim_%" PRId64 "\",\"type\":\"function_call\",\"status\":\"%s\","
                      "\"call_id\":\"call_sim\",\"name\":\"weather\",\"arguments\":\"%s",
                      made->seq, status, is_done ? "{\\\"city\\\":\\\"" : "");
    else
        sim_buf_print(
            out,
            "{\"id\":\"msg_sim_%" PRId64 "\",\"type\":\"message\",\"status\":\"%s\","
            "\"role\":\"assistant\",\"content\":[%s",
            made->seq, status,
            is_done ? "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\""
                    : "");
    if (is_done)
        write_text(out, call, 0, count);
    if (call->script.calls_tool != 0)
        sim_buf_print(out, "%s\"}", is_done ? "\\\"}" : "");
    else
        sim_buf_print(out, "%s]}", is_done ? "\"}" : "");
}

/* One item for each thing that a tool of the provider did. */
static void write_tool_item(struct sim_buf *out, const struct sim_usage *usage, int64_t index)
{
    if (index < usage->web_search)
        sim_buf_print(out,
                      "{\"id\":\"ws_sim_%" PRId64 "\",\"type\":\"web_search_call\",\"status\":"
                      "\"completed\",\"action\":{\"type\":\"search\",\"query\":\"toll\"}}",
                      index);
    else if (index < usage->web_search + usage->file_search)
        sim_buf_print(out,
                      "{\"id\":\"fs_sim_%" PRId64 "\",\"type\":\"file_search_call\",\"status\":"
                      "\"completed\",\"queries\":[\"toll\"],\"results\":null}",
                      index);
    else
        sim_buf_print(
            out,
            "{\"id\":\"ci_sim_%" PRId64 "\",\"type\":\"code_interpreter_call\",\"status\":"
            "\"completed\",\"container_id\":\"cntr_%" PRId64 "\",\"code\":\"1\",\"outputs\":null}",
            index, index);
}

static int64_t tool_items(const struct sim_usage *usage)
{
    return usage->web_search + usage->file_search + usage->code_session;
}

static void write_output(struct sim_buf *out, const struct sim_call *call,
                         const struct sim_generation *made)
{
    const int64_t tools = tool_items(&made->usage);

    sim_buf_text(out, "[");
    for (int64_t i = 0; i < tools && call->script.no_output == 0; i++) {
        write_tool_item(out, &made->usage, i);
        sim_buf_text(out, ",");
    }
    if (call->script.no_output == 0)
        write_answer_item(out, call, made, /* is_done= */ true);
    sim_buf_text(out, "]");
}

/* --- the response -------------------------------------------------------------------------------
 */

static const char *end_of(const struct sim_call *call, const struct sim_generation *made)
{
    return call->ask.max_tokens > 0 && made->usage.completion >= call->ask.max_tokens ? "incomplete"
                                                                                      : "completed";
}

static void write_response(struct sim_buf *out, const struct sim_call *call,
                           const struct sim_generation *made, const char *status)
{
    const bool is_done = strcmp(status, "in_progress") != 0;

    sim_buf_print(
        out,
        "{\"id\":\"%s%" PRId64 "\",\"object\":\"response\",\"created_at\":%lld,\"status\":\"%s\","
        "\"background\":false,\"error\":null,\"incomplete_details\":%s,\"instructions\":null,"
        "\"model\":\"%s\",\"parallel_tool_calls\":true,\"service_tier\":\"%s\",\"output\":",
        made->prefix, made->seq, (long long)time(NULL), status,
        strcmp(status, "incomplete") == 0 ? "{\"reason\":\"max_output_tokens\"}" : "null",
        made->served_model, is_done ? made->tier : "auto");
    if (is_done)
        write_output(out, call, made);
    else
        sim_buf_text(out, "[]");
    sim_buf_text(out, ",\"tools\":[],\"tool_choice\":\"auto\",\"metadata\":{},\"usage\":");
    if (is_done && call->script.place != SIM_PLACE_NONE)
        sim_usage_write_input(out, &made->usage, (enum sim_form)call->script.form);
    else
        sim_buf_text(out, "null");
    if (is_done && made->usage.web_search > 0)
        sim_buf_print(out, ",\"tool_usage\":{\"web_search\":{\"num_requests\":%" PRId64 "}}",
                      made->usage.web_search);
}

static struct sim_answer *plain_answer(const struct sim_call *call, struct sim_generation *made)
{
    struct sim_buf body = { 0 };

    write_response(&body, call, made, end_of(call, made));
    if (call->script.hop != 0)
        sim_write_echo(&body, call);
    sim_buf_text(&body, "}");
    return sim_plain_answer(call, made, &body);
}

/* --- a stream -----------------------------------------------------------------------------------
 */

static void open_event(struct sim_stream *stream, const char *type)
{
    sim_buf_print(&stream->event, "event: %s%sdata: {\"type\":\"%s\",", type, stream->eol, type);
    if (stream->call->script.multiline != 0)
        sim_buf_print(&stream->event, "%sdata: ", stream->eol);
    sim_buf_print(&stream->event, "\"sequence_number\":%" PRId64, stream->events);
}

static void close_event(struct sim_stream *stream, int64_t wait_ms)
{
    const struct sim_script *script = &stream->call->script;

    sim_buf_print(&stream->event, "}%s%s", stream->eol, stream->eol);
    if (script->comments != 0)
        sim_buf_print(&stream->event, ": keep-alive%s%s", stream->eol, stream->eol);
    sim_stream_flush(stream, wait_ms);
}

static void add_response(struct sim_stream *stream, const char *type, const char *status)
{
    open_event(stream, type);
    sim_buf_text(&stream->event, ",\"response\":");
    write_response(&stream->event, stream->call, stream->generation, status);
    sim_buf_text(&stream->event, "}");
    if (stream->echoes)
        sim_write_echo(&stream->event, stream->call);
    stream->echoes = false;
    close_event(stream, 0);
}

/* An item begins, or is done. */
static void add_item(struct sim_stream *stream, const char *type, int64_t index)
{
    const struct sim_generation *made = stream->generation;
    const int64_t tools = tool_items(&made->usage);

    open_event(stream, type);
    sim_buf_print(&stream->event, ",\"output_index\":%" PRId64 ",\"item\":", index);
    if (index < tools)
        write_tool_item(&stream->event, &made->usage, index);
    else
        write_answer_item(&stream->event, stream->call, made, strstr(type, "done") != NULL);
    close_event(stream, 0);
}

static void add_opening(struct sim_stream *stream)
{
    const int64_t tools = tool_items(&stream->generation->usage);

    add_response(stream, "response.created", "in_progress");
    add_response(stream, "response.in_progress", "in_progress");
    for (int64_t i = 0; i < tools; i++) {
        add_item(stream, "response.output_item.added", i);
        add_item(stream, "response.output_item.done", i);
    }
    add_item(stream, "response.output_item.added", tools);
}

static bool calls_tool(const struct sim_stream *stream)
{
    return stream->call->script.calls_tool != 0;
}

static void open_text(struct sim_stream *stream, const char *type)
{
    open_event(stream, type);
    sim_buf_print(&stream->event,
                  ",\"item_id\":\"%s_sim_%" PRId64 "\",\"output_index\":%" PRId64
                  ",\"content_index\":0",
                  calls_tool(stream) ? "fc" : "msg", stream->generation->seq,
                  tool_items(&stream->generation->usage));
}

static void add_content(struct sim_stream *stream, int64_t k)
{
    const struct sim_generation *made = stream->generation;
    const struct sim_script *script = &stream->call->script;
    const int64_t visible = visible_of(made);
    const int64_t first = sim_share(visible, k, made->events);

    stream->build.events = k + 1;
    open_text(stream, calls_tool(stream) ? "response.function_call_arguments.delta"
                                         : "response.output_text.delta");
    sim_buf_text(&stream->event, ",\"logprobs\":[],\"delta\":\"");
    if (calls_tool(stream) && k == 0)
        sim_buf_text(&stream->event, "{\\\"city\\\":\\\"");
    if (script->big > 0)
        sim_write_filler(&stream->event, sim_share(script->big, k + 1, made->events) -
                                             sim_share(script->big, k, made->events));
    else
        write_text(&stream->event, stream->call, first,
                   sim_share(visible, k + 1, made->events) - first);
    if (calls_tool(stream) && k == made->events - 1)
        sim_buf_text(&stream->event, "\\\"}");
    sim_buf_text(&stream->event, "\"");
    if (script->obfuscation != 0) {
        sim_buf_text(&stream->event, ",\"obfuscation\":\"");
        sim_write_filler(&stream->event, 4 + (int64_t)(stream->event.len % 13));
        sim_buf_text(&stream->event, "\"");
    }
    close_event(stream, script->gap_ms);
}

static void add_closing(struct sim_stream *stream)
{
    const struct sim_generation *made = stream->generation;
    const char *const end = end_of(stream->call, made);
    char type[32] = "response.";

    if (!calls_tool(stream)) {
        open_text(stream, "response.output_text.done");
        sim_buf_text(&stream->event, ",\"logprobs\":[],\"text\":\"");
        write_text(&stream->event, stream->call, 0, visible_of(made));
        sim_buf_text(&stream->event, "\"");
        close_event(stream, 0);
    }
    add_item(stream, "response.output_item.done", tool_items(&made->usage));
    add_response(stream, strcat(type, end), end);
    if (stream->call->script.place == SIM_PLACE_NULL_AFTER)
        add_response(stream, "response.in_progress", "in_progress");
}

static void add_error(struct sim_stream *stream)
{
    open_event(stream, "error");
    sim_buf_text(&stream->event,
                 ",\"code\":\"server_error\",\"message\":\"The server had an error while "
                 "processing your request.\",\"param\":null");
    close_event(stream, stream->call->script.gap_ms);
}

struct sim_answer *sim_responses_answer(const struct sim_call *call)
{
    static const struct sim_writer writer = {
        .opening = add_opening,
        .content = add_content,
        .error = add_error,
        .closing = add_closing,
    };
    struct sim_generation *made = sim_generate(call, "openai-responses", "resp_sim_");

    return made->is_stream ? sim_stream_answer(call, made, &writer) : plain_answer(call, made);
}
