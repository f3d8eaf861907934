#include "sim_chat.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "sim_text.h"

static const char *finish_reason(const struct sim_call *call, const struct sim_generation *made)
{
    const int64_t most = call->ask.max_tokens * call->ask.n;

    return call->ask.max_tokens > 0 && made->usage.completion >= most ? "length" : "stop";
}

static void write_text(struct sim_buf *out, const struct sim_call *call, int64_t first,
                       int64_t count)
{
    if (call->script.big > 0)
        sim_write_filler(out, call->script.big);
    else
        sim_write_words(out, first, count);
}

static bool is_legacy(const struct sim_generation *made)
{
    return strcmp(made->dialect, "openai-completions") == 0;
}

static void write_choices(struct sim_buf *out, const struct sim_call *call,
                          const struct sim_generation *made)
{
    const int64_t visible = made->usage.completion - made->usage.reasoning;

    sim_buf_text(out, ",\"choices\":[");
    for (int64_t i = 0; i < made->n; i++) {
        const int64_t first = sim_share(visible, i, made->n);

        sim_buf_print(out, "%s{\"index\":%" PRId64 ",%s\"", i == 0 ? "" : ",", i,
                      is_legacy(made) ? "\"text\":"
                                      : "\"message\":{\"role\":\"assistant\",\"content\":");
        write_text(out, call, first, sim_share(visible, i + 1, made->n) - first);
        sim_buf_print(out, "\"%s,\"logprobs\":null,\"finish_reason\":\"%s\"}",
                      is_legacy(made) ? "" : ",\"refusal\":null,\"annotations\":[]}",
                      finish_reason(call, made));
    }
    sim_buf_text(out, "]");
}

static struct sim_answer *plain_answer(const struct sim_call *call, struct sim_generation *made)
{
    const struct sim_script *script = &call->script;
    struct sim_buf body = { 0 };

    sim_buf_print(&body,
                  "{\"id\":\"%s%" PRId64 "\",\"object\":\"%s\",\"created\":%lld,\"model\":\"%s\"",
                  made->prefix, made->seq, is_legacy(made) ? "text_completion" : "chat.completion",
                  (long long)time(NULL), made->served_model);
    write_choices(&body, call, made);
    if (script->place != SIM_PLACE_NONE) {
        sim_buf_text(&body, ",\"usage\":");
        sim_usage_write(&body, &made->usage, (enum sim_form)script->form);
    }
    if (script->hop != 0)
        sim_write_echo(&body, call);
    sim_buf_print(&body, ",\"service_tier\":\"%s\",\"system_fingerprint\":\"fp_sim\"}", made->tier);
    return sim_plain_answer(call, made, &body);
}

static void open_chunk(struct sim_stream *stream)
{
    const struct sim_generation *made = stream->generation;

    sim_buf_print(&stream->event, "data: {\"id\":\"%s%" PRId64 "\",", made->prefix, made->seq);
    if (stream->call->script.multiline != 0)
        sim_buf_print(&stream->event, "%sdata: ", stream->eol);
    sim_buf_print(&stream->event,
                  "\"object\":\"%s\",\"created\":%" PRId64
                  ",\"model\":\"%s\",\"service_tier\":\"%s\",\"system_fingerprint\":\"fp_sim\","
                  "\"choices\":[",
                  is_legacy(made) ? "text_completion" : "chat.completion.chunk", stream->created_s,
                  made->served_model, made->tier);
}

/* End a chunk after its choices, with `usage`, with null, or with no such member. */
static void close_chunk(struct sim_stream *stream, const struct sim_usage *usage, int64_t wait_ms)
{
    struct sim_buf *event = &stream->event;
    const struct sim_script *script = &stream->call->script;

    sim_buf_text(event, "]");
    if (stream->echoes) {
        sim_write_echo(event, stream->call);
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
        sim_write_filler(event, 4 + (int64_t)(event->len % 13));
        sim_buf_text(event, "\"");
    }
    sim_buf_print(event, "}%s%s", stream->eol, stream->eol);
    if (script->comments != 0)
        sim_buf_print(event, ": OPENROUTER PROCESSING%s%s", stream->eol, stream->eol);
    sim_stream_flush(stream, wait_ms);
}

static void add_opening(struct sim_stream *stream)
{
    const struct sim_script *script = &stream->call->script;
    struct sim_buf *event = &stream->event;

    if (script->azure != 0) {
        sim_buf_print(
            event,
            "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\","
            "\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":"
            "{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}%s%s",
            stream->eol, stream->eol);
        sim_stream_flush(stream, 0);
    }
    for (int64_t i = 0; i < stream->generation->n && !is_legacy(stream->generation); i++) {
        open_chunk(stream);
        sim_buf_print(event,
                      "{\"index\":%" PRId64 ",\"delta\":{\"role\":\"assistant\",\"content\":\"\","
                      "\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}",
                      i);
        close_chunk(stream, NULL, 0);
    }
}

static void add_content(struct sim_stream *stream, int64_t k)
{
    const struct sim_generation *made = stream->generation;
    const struct sim_script *script = &stream->call->script;
    const int64_t visible = made->usage.completion - made->usage.reasoning;
    const int64_t first = sim_share(visible, k, made->events);

    stream->build.events = k + 1;
    open_chunk(stream);
    sim_buf_print(&stream->event, "{\"index\":%" PRId64 ",%s\"", k % made->n,
                  is_legacy(made) ? "\"text\":" : "\"delta\":{\"content\":");
    if (script->big > 0)
        sim_write_filler(&stream->event, sim_share(script->big, k + 1, made->events) -
                                             sim_share(script->big, k, made->events));
    else
        sim_write_words(&stream->event, first, sim_share(visible, k + 1, made->events) - first);
    sim_buf_print(&stream->event, "\"%s,\"logprobs\":null,\"finish_reason\":null}",
                  is_legacy(made) ? "" : "}");
    struct sim_usage so_far = made->usage;

    so_far.completion = made->usage.reasoning + sim_share(visible, k + 1, made->events);
    close_chunk(stream, script->place == SIM_PLACE_EVERY ? &so_far : NULL, script->gap_ms);
}

static void add_closing(struct sim_stream *stream)
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
                      "{\"index\":%" PRId64 ",%s,\"logprobs\":null,\"finish_reason\":\"%s\"}", i,
                      is_legacy(made) ? "\"text\":\"\"" : "\"delta\":{}",
                      finish_reason(stream->call, made));
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
        sim_stream_flush(stream, 0);
    }
}

static void add_error(struct sim_stream *stream)
{
    sim_buf_print(&stream->event,
                  "data: {\"error\":{\"message\":\"The server had an error while processing "
                  "your request.\",\"type\":\"server_error\",\"param\":null,"
                  "\"code\":null}}%s%s",
                  stream->eol, stream->eol);
    sim_stream_flush(stream, stream->call->script.gap_ms);
}

static const struct sim_writer writer = {
    .opening = add_opening,
    .content = add_content,
    .error = add_error,
    .closing = add_closing,
};

static struct sim_answer *answer(const struct sim_call *call, struct sim_generation *made)
{
    return made->is_stream ? sim_stream_answer(call, made, &writer) : plain_answer(call, made);
}

struct sim_answer *sim_chat_answer(const struct sim_call *call)
{
    return answer(call, sim_generate(call, "openai-chat", "chatcmpl-sim-"));
}

struct sim_answer *sim_completions_answer(const struct sim_call *call)
{
    return answer(call, sim_generate(call, "openai-completions", "cmpl-sim-"));
}
