#include "sim_messages.h"

#include <inttypes.h>

#include "sim_text.h"

/* Above 2^53, where a reader that goes through a double loses the last digit. */
#define HUGE_TOKENS INT64_C(9007199254740993)

static int64_t visible_of(const struct sim_generation *made)
{
    return made->usage.completion - made->usage.reasoning;
}

/* --- usage --------------------------------------------------------------------------------------
 */

static int64_t written(const struct sim_usage *usage)
{
    return usage->cache_write == SIM_UNSET ? 0 : usage->cache_write;
}

static void write_count(struct sim_buf *out, const char *name, int64_t count, enum sim_form form)
{
    const char *const quote = form == SIM_FORM_STRING ? "\"" : "";

    sim_buf_print(out, "\"%s\":%s%" PRId64 "%s", name, quote, count, quote);
}

/* The counts of the input; where `splits`, with what of the cache was written for how long. */
static void write_input(struct sim_buf *out, const struct sim_usage *usage, enum sim_form form,
                        bool splits)
{
    int64_t input = usage->prompt - usage->cached - written(usage);

    if (form == SIM_FORM_NEGATIVE)
        input = -1 - input;
    if (form == SIM_FORM_HUGE)
        input = HUGE_TOKENS;
    write_count(out, "input_tokens", input, form);
    sim_buf_text(out, ",");
    write_count(out, "cache_creation_input_tokens", written(usage), form);
    sim_buf_text(out, ",");
    write_count(out, "cache_read_input_tokens", usage->cached, form);
    if (!splits)
        return;
    sim_buf_text(out, ",\"cache_creation\":{");
    write_count(out, "ephemeral_5m_input_tokens", written(usage) - usage->cache_write_1h, form);
    sim_buf_text(out, ",");
    write_count(out, "ephemeral_1h_input_tokens",
                usage->cache_write_1h + (form == SIM_FORM_WRONG ? 7 : 0), form);
    sim_buf_text(out, "}");
}

/* The turns that made the answer; the outer counts are those of the last. */
static void write_iterations(struct sim_buf *out, const struct sim_usage *usage)
{
    sim_buf_text(out, ",\"iterations\":[");
    if (usage->compaction > 0)
        sim_buf_print(out,
                      "{\"type\":\"compaction\",\"input_tokens\":0,\"cache_read_input_tokens\":0,"
                      "\"cache_creation_input_tokens\":%" PRId64
                      ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":%" PRId64
                      ",\"ephemeral_1h_input_tokens\":0},\"output_tokens\":%" PRId64 "},",
                      usage->compaction, usage->compaction, usage->compaction / 100);
    if (usage->advisor > 0)
        sim_buf_print(out,
                      "{\"type\":\"advisor_message\",\"model\":\"" SIM_ADVISOR_MODEL
                      "\",\"input_tokens\":%" PRId64
                      ",\"cache_read_input_tokens\":0,\"cache_creation_input_tokens\":0,"
                      "\"cache_creation\":null,\"output_tokens\":%" PRId64 "},",
                      usage->advisor, usage->advisor / 10);
    sim_buf_text(out, "{\"type\":\"message\",\"model\":null,");
    write_input(out, usage, SIM_FORM_TRUE, /* splits= */ true);
    sim_buf_print(out, ",\"output_tokens\":%" PRId64 "}]", usage->completion);
}

/* A usage object, left open for what the caller adds. */
static void write_usage(struct sim_buf *out, const struct sim_usage *usage, enum sim_form form,
                        bool splits)
{
    sim_buf_text(out, "{");
    write_input(out, usage, form, splits);
    sim_buf_text(out, ",");
    write_count(out, "output_tokens", usage->completion, form);
    sim_buf_print(out, ",\"output_tokens_details\":{\"thinking_tokens\":%" PRId64 "}",
                  usage->reasoning);
    if (usage->web_search > 0)
        sim_buf_print(out,
                      ",\"server_tool_use\":{\"web_search_requests\":%" PRId64
                      ",\"web_fetch_requests\":1}",
                      usage->web_search);
    if (usage->compaction > 0 || usage->advisor > 0)
        write_iterations(out, usage);
}

static const char *tier_of(const struct sim_call *call)
{
    return call->script.tier[0] == '\0' ? "standard" : call->script.tier;
}

/* --- content ------------------------------------------------------------------------------------
 */

static void write_text(struct sim_buf *out, const struct sim_call *call, int64_t first,
                       int64_t count)
{
    if (call->script.calls_tool != 0)
        sim_write_filler(out, 4 * count);
    else
        sim_write_words(out, first, count);
}

static const char *stop_reason(const struct sim_call *call, const struct sim_generation *made)
{
    if (call->ask.max_tokens > 0 && made->usage.completion >= call->ask.max_tokens)
        return "max_tokens";
    return call->script.calls_tool != 0 ? "tool_use" : "end_turn";
}

static void write_content(struct sim_buf *out, const struct sim_call *call,
                          const struct sim_generation *made)
{
    sim_buf_text(out, "[");
    if (made->usage.reasoning > 0) {
        sim_buf_text(out, "{\"type\":\"thinking\",\"signature\":\"AAAA\",\"thinking\":\"");
        sim_write_words(out, 0, made->usage.reasoning);
        sim_buf_text(out, "\"},");
    }
    for (int64_t i = 0; i < made->usage.web_search; i++)
        sim_buf_print(
            out,
            "{\"type\":\"server_tool_use\",\"id\":\"srvtoolu_%" PRId64
            "\",\"name\":\"web_search\",\"input\":{\"query\":\"toll\"}},{\"type\":"
            "\"web_search_tool_result\",\"tool_use_id\":\"srvtoolu_%" PRId64
            "\",\"content\":[{\"type\":\"web_search_result\",\"url\":\"https://a\",\"title\":\"t\","
            "\"encrypted_content\":\"AAAA\",\"page_age\":null}]},",
            i, i);
    sim_buf_text(out, call->script.calls_tool != 0
                          ? "{\"type\":\"tool_use\",\"id\":\"toolu_sim\",\"name\":\"weather\","
                            "\"input\":{\"city\":\""
                          : "{\"type\":\"text\",\"text\":\"");
    if (call->script.big > 0)
        sim_write_filler(out, call->script.big);
    else
        write_text(out, call, 0, visible_of(made));
    sim_buf_text(out, call->script.calls_tool != 0 ? "\"}}]" : "\"}]");
}

/* A message up to its usage. */
static void open_message(struct sim_buf *out, const struct sim_generation *made)
{
    sim_buf_print(out,
                  "{\"id\":\"%s%" PRId64
                  "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%s\",\"content\":",
                  made->prefix, made->seq, made->served_model);
}

static struct sim_answer *plain_answer(const struct sim_call *call, struct sim_generation *made)
{
    struct sim_buf body = { 0 };

    open_message(&body, made);
    write_content(&body, call, made);
    sim_buf_print(&body, ",\"stop_reason\":\"%s\",\"stop_sequence\":null", stop_reason(call, made));
    if (call->script.place != SIM_PLACE_NONE) {
        sim_buf_text(&body, ",\"usage\":");
        write_usage(&body, &made->usage, (enum sim_form)call->script.form, /* splits= */ true);
        sim_buf_print(&body, ",\"service_tier\":\"%s\",\"inference_geo\":\"global\"}",
                      tier_of(call));
    }
    if (call->script.hop != 0)
        sim_write_echo(&body, call);
    sim_buf_text(&body, "}");
    return sim_plain_answer(call, made, &body);
}

/* --- a stream -----------------------------------------------------------------------------------
 */

static void open_event(struct sim_stream *stream, const char *type)
{
    sim_buf_print(&stream->event, "event: %s%sdata: {\"type\":\"%s\"", type, stream->eol, type);
    if (stream->call->script.multiline != 0)
        sim_buf_print(&stream->event, "%sdata: ", stream->eol);
}

/* Ends with blanks of a length that tells nothing, where the script asks for such. */
static void close_event(struct sim_stream *stream, int64_t wait_ms)
{
    const struct sim_script *script = &stream->call->script;

    sim_buf_text(&stream->event, "}");
    for (size_t i = 0; script->obfuscation != 0 && i < stream->event.len % 13; i++)
        sim_buf_text(&stream->event, " ");
    sim_buf_print(&stream->event, "%s%s", stream->eol, stream->eol);
    if (script->comments != 0)
        sim_buf_print(&stream->event, ": keep-alive%s%s", stream->eol, stream->eol);
    sim_stream_flush(stream, wait_ms);
}

static void add_block(struct sim_stream *stream, const char *block)
{
    open_event(stream, "content_block_start");
    sim_buf_print(&stream->event, ",\"index\":0,\"content_block\":%s", block);
    close_event(stream, 0);
}

static void add_opening(struct sim_stream *stream)
{
    const struct sim_script *script = &stream->call->script;
    struct sim_usage begun = stream->generation->usage;

    begun.completion = begun.completion > 0 ? 1 : 0;
    begun.reasoning = begun.web_search = begun.compaction = begun.advisor = 0;
    open_event(stream, "message_start");
    sim_buf_text(&stream->event, ",\"message\":");
    open_message(&stream->event, stream->generation);
    sim_buf_text(&stream->event, "[],\"stop_reason\":null,\"stop_sequence\":null");
    if (script->place != SIM_PLACE_NONE) {
        sim_buf_text(&stream->event, ",\"usage\":");
        write_usage(&stream->event, &begun, (enum sim_form)script->form, /* splits= */ true);
        sim_buf_print(&stream->event, ",\"service_tier\":\"%s\",\"inference_geo\":\"global\"}",
                      tier_of(stream->call));
    }
    sim_buf_text(&stream->event, "}");
    if (stream->echoes)
        sim_write_echo(&stream->event, stream->call);
    stream->echoes = false;
    close_event(stream, 0);
    add_block(stream, script->calls_tool != 0
                          ? "{\"type\":\"tool_use\",\"id\":\"toolu_sim\",\"name\":\"weather\","
                            "\"input\":{}}"
                          : "{\"type\":\"text\",\"text\":\"\"}");
    open_event(stream, "ping");
    close_event(stream, 0);
}

/* usage: NULL: all of it null */
static void add_message_delta(struct sim_stream *stream, const char *reason,
                              const struct sim_usage *usage)
{
    open_event(stream, "message_delta");
    sim_buf_text(&stream->event, ",\"delta\":{\"stop_reason\":");
    sim_buf_quote_or_null(&stream->event, sim_span_of(reason));
    sim_buf_text(&stream->event, ",\"stop_sequence\":null}");
    if (usage == NULL) {
        sim_buf_text(&stream->event, ",\"usage\":{\"input_tokens\":null,\"output_tokens\":null,"
                                     "\"cache_read_input_tokens\":null,\"server_tool_use\":null}");
    } else if (stream->call->script.place != SIM_PLACE_NONE) {
        sim_buf_text(&stream->event, ",\"usage\":");
        write_usage(&stream->event, usage, (enum sim_form)stream->call->script.form,
                    /* splits= */ false);
        sim_buf_text(&stream->event, "}");
    }
    close_event(stream, 0);
}

static void add_content(struct sim_stream *stream, int64_t k)
{
    const struct sim_generation *made = stream->generation;
    const struct sim_script *script = &stream->call->script;
    const int64_t visible = visible_of(made);
    const int64_t first = sim_share(visible, k, made->events);
    const int64_t last = sim_share(visible, k + 1, made->events);
    const bool calls = script->calls_tool != 0;

    stream->build.events = k + 1;
    open_event(stream, "content_block_delta");
    sim_buf_print(&stream->event, ",\"index\":0,\"delta\":{\"type\":\"%s\",\"%s\":\"",
                  calls ? "input_json_delta" : "text_delta", calls ? "partial_json" : "text");
    if (calls && k == 0)
        sim_buf_text(&stream->event, "{\\\"city\\\":\\\"");
    if (script->big > 0)
        sim_write_filler(&stream->event, sim_share(script->big, k + 1, made->events) -
                                             sim_share(script->big, k, made->events));
    else
        write_text(&stream->event, stream->call, first, last - first);
    sim_buf_text(&stream->event, calls && k == made->events - 1 ? "\\\"}\"}" : "\"}");
    close_event(stream, script->gap_ms);
    if (script->place == SIM_PLACE_EVERY) {
        struct sim_usage so_far = made->usage;

        so_far.completion = made->usage.reasoning + last;
        so_far.compaction = so_far.advisor = 0;
        add_message_delta(stream, NULL, &so_far);
    }
}

static void add_closing(struct sim_stream *stream)
{
    const struct sim_generation *made = stream->generation;

    open_event(stream, "content_block_stop");
    sim_buf_text(&stream->event, ",\"index\":0");
    close_event(stream, 0);
    add_message_delta(stream, stop_reason(stream->call, made), &made->usage);
    if (stream->call->script.place == SIM_PLACE_NULL_AFTER)
        add_message_delta(stream, NULL, NULL);
    if (stream->call->script.no_done != 0)
        return;
    open_event(stream, "message_stop");
    close_event(stream, 0);
}

static void add_error(struct sim_stream *stream)
{
    open_event(stream, "error");
    sim_buf_text(&stream->event, ",\"error\":{\"type\":\"overloaded_error\",\"message\":"
                                 "\"Overloaded\"},\"request_id\":\"req_sim\"");
    close_event(stream, stream->call->script.gap_ms);
}

struct sim_answer *sim_messages_answer(const struct sim_call *call)
{
    static const struct sim_writer writer = {
        .opening = add_opening,
        .content = add_content,
        .error = add_error,
        .closing = add_closing,
    };
    struct sim_generation *made = sim_generate(call, "anthropic-messages", "msg_sim_");

    return made->is_stream ? sim_stream_answer(call, made, &writer) : plain_answer(call, made);
}

struct sim_answer *sim_count_tokens_answer(const struct sim_call *call)
{
    struct sim_generation *made = sim_generate(call, "anthropic-count-tokens", "none_sim_");
    struct sim_buf body = { 0 };

    made->is_billed = true; /* there is nothing to bill */
    sim_buf_print(&body, "{\"input_tokens\":%" PRId64, made->usage.prompt);
    if (call->script.hop != 0)
        sim_write_echo(&body, call);
    sim_buf_text(&body, "}");
    return sim_plain_answer(call, made, &body);
}
