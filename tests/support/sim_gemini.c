#include "sim_gemini.h"

#include <inttypes.h>
#include <string.h>

#include "sim_text.h"

enum verb { GENERATE, STREAM, COUNT_TOKENS, EMBED, EMBED_BATCH, NO_VERB };

static const char *const verbs[] = {
    [GENERATE] = "generateContent",       [STREAM] = "streamGenerateContent",
    [COUNT_TOKENS] = "countTokens",       [EMBED] = "embedContent",
    [EMBED_BATCH] = "batchEmbedContents",
};

static bool same(struct sim_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.ptr, text, span.len) == 0;
}

static const char *find(struct sim_span span, const char *text)
{
    return memmem(span.ptr, span.len, text, strlen(text));
}

/* --- the request --------------------------------------------------------------------------------
 */

/* Take a path apart. A tuned model keeps its collection. */
static enum verb read_path(struct sim_span path, struct sim_span *ret_model)
{
    const char *const question = memchr(path.ptr, '?', path.len);
    const char *const end = question == NULL ? path.ptr + path.len : question;
    const char *const colon = memrchr(path.ptr, ':', (size_t)(end - path.ptr));
    const char *model = find(path, "/tunedModels/");

    model = model != NULL ? model + 1 : find(path, "/models/");
    if (model == NULL || colon == NULL || colon < model)
        return NO_VERB;
    model += *model == '/' ? strlen("/models/") : 0;
    for (int verb = GENERATE; verb < NO_VERB; verb++) {
        if (!same((struct sim_span){ colon + 1, (size_t)(end - colon - 1) }, verbs[verb]))
            continue;
        *ret_model = (struct sim_span){ model, (size_t)(colon - model) };
        return (enum verb)verb;
    }
    return NO_VERB;
}

bool sim_gemini_is_call(struct sim_span path)
{
    struct sim_span model;

    return read_path(path, &model) != NO_VERB;
}

static int64_t whole(struct sim_span value)
{
    int64_t number = 0;

    for (size_t i = 0; i < value.len && value.ptr[i] >= '0' && value.ptr[i] <= '9'; i++)
        number = number > 1000000000 ? number : number * 10 + (value.ptr[i] - '0');
    return number;
}

static void read_config(struct sim_span config, struct sim_ask *ask)
{
    struct sim_json json;
    struct sim_span key;
    struct sim_span value;

    sim_json_init(&json, config);
    while (sim_json_next(&json, &key, &value)) {
        if (same(key, "maxOutputTokens") || same(key, "max_output_tokens"))
            ask->max_tokens = whole(value);
        else if (same(key, "candidateCount") || same(key, "candidate_count"))
            ask->n = whole(value) > 1 ? whole(value) : 1;
    }
}

/* Objects that stand in a list. */
static int64_t count_objects(struct sim_span list)
{
    int64_t depth = 0;
    int64_t count = 0;
    bool is_string = false;

    for (size_t i = 0; i < list.len; i++) {
        const char byte = list.ptr[i];

        if (is_string) {
            i += byte == '\\' ? 1 : 0;
            is_string = byte != '"';
            continue;
        }
        is_string = byte == '"';
        count += byte == '{' && depth == 1 ? 1 : 0;
        depth += byte == '{' || byte == '[' ? 1 : 0;
        depth -= byte == '}' || byte == ']' ? 1 : 0;
    }
    return count;
}

/* ret: false when the body is no JSON object */
static bool read_body(struct sim_span body, struct sim_ask *ask)
{
    struct sim_json json;
    struct sim_span key;
    struct sim_span value;

    sim_json_init(&json, body);
    while (sim_json_next(&json, &key, &value)) {
        if (same(key, "generationConfig") || same(key, "generation_config"))
            read_config(value, ask);
        else if (same(key, "requests"))
            ask->inputs = count_objects(value);
    }
    ask->billed_n = ask->n;
    return !json.is_bad;
}

/* --- an answer's parts --------------------------------------------------------------------------
 */

/* What Google says of the tier that served. */
static const char *tier_of(const struct sim_generation *made)
{
    return strcmp(made->tier, "default") == 0 ? "standard" : made->tier;
}

static const char *finish_reason(const struct sim_call *call, const struct sim_generation *made)
{
    const int64_t most = call->ask.max_tokens * call->ask.n;

    return call->ask.max_tokens > 0 && made->usage.completion >= most ? "MAX_TOKENS" : "STOP";
}

static void write_usage(struct sim_buf *out, const struct sim_call *call,
                        const struct sim_generation *made, const struct sim_usage *usage)
{
    if (call->script.place == SIM_PLACE_NONE)
        return;
    sim_buf_text(out, ",\"usageMetadata\":");
    sim_usage_write_google(out, usage, (enum sim_form)call->script.form);
    out->len--; /* its brace: the tier stands inside */
    sim_buf_print(out, ",\"serviceTier\":\"%s\"}", tier_of(made));
}

/* What stands behind candidates and usage. */
static void write_rest(struct sim_buf *out, const struct sim_generation *made)
{
    sim_buf_print(out, ",\"modelVersion\":\"%s\",\"responseId\":\"%s%" PRId64 "\"}",
                  made->served_model, made->prefix, made->seq);
}

/* What was searched for: nothing is said where nothing was. */
static void write_grounding(struct sim_buf *out, const struct sim_call *call)
{
    if (call->script.web == 0)
        return;
    sim_buf_text(out, ",\"groundingMetadata\":{\"webSearchQueries\":[");
    for (int64_t i = 0; i < call->script.web; i++)
        sim_buf_print(out, "%s\"query %" PRId64 "\"", i == 0 ? "" : ",", i);
    sim_buf_text(out, "],\"groundingChunks\":[{\"web\":{\"uri\":\"https://example.com\"}}]}");
}

/* The parts of one candidate: words first..first+count-1, or a call of a function. */
static void write_content(struct sim_buf *out, const struct sim_call *call, int64_t first,
                          int64_t count)
{
    sim_buf_text(out, "{\"content\":{\"parts\":[");
    if (call->script.calls_tool != 0) {
        sim_buf_text(out, "{\"functionCall\":{\"name\":\"weather\",\"args\":{\"city\":\"Oslo\"}}}");
    } else {
        sim_buf_text(out, "{\"text\":\"");
        sim_write_words(out, first, count);
        sim_buf_text(out, "\"}");
    }
    sim_buf_text(out, "],\"role\":\"model\"}");
}

static void write_big(struct sim_buf *out, int64_t bytes)
{
    sim_buf_text(out, "{\"content\":{\"parts\":[{\"text\":\"");
    sim_write_filler(out, bytes);
    sim_buf_text(out, "\"}],\"role\":\"model\"}");
}

static void write_blocked(struct sim_buf *out, const struct sim_call *call,
                          const struct sim_generation *made)
{
    sim_buf_text(out, "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}");
    write_usage(out, call, made, &made->usage);
    write_rest(out, made);
}

/* --- plain --------------------------------------------------------------------------------------
 */

static struct sim_answer *plain_answer(const struct sim_call *call, struct sim_generation *made)
{
    const int64_t visible = made->usage.completion - made->usage.reasoning;
    struct sim_buf body = { 0 };

    if (call->script.blocked != 0) {
        write_blocked(&body, call, made);
        return sim_plain_answer(call, made, &body);
    }
    sim_buf_text(&body, "{\"candidates\":[");
    for (int64_t i = 0; i < made->n; i++) {
        const int64_t first = sim_share(visible, i, made->n);

        sim_buf_text(&body, i == 0 ? "" : ",");
        if (call->script.big > 0)
            write_big(&body, call->script.big);
        else
            write_content(&body, call, first, sim_share(visible, i + 1, made->n) - first);
        sim_buf_print(&body, ",\"finishReason\":\"%s\",\"index\":%" PRId64,
                      finish_reason(call, made), i);
        if (i == 0)
            write_grounding(&body, call);
        sim_buf_text(&body, "}");
    }
    sim_buf_text(&body, "]");
    write_usage(&body, call, made, &made->usage);
    if (call->script.hop != 0)
        sim_write_echo(&body, call);
    write_rest(&body, made);
    return sim_plain_answer(call, made, &body);
}

/* --- streams ------------------------------------------------------------------------------------
 */

static void open_event(struct sim_stream *stream)
{
    if (stream->call->ask.is_array)
        sim_buf_text(&stream->event, stream->events == 0 ? "[" : ",\r\n");
    else
        sim_buf_text(&stream->event, "data: ");
}

/* End an event behind its last brace. */
static void close_event(struct sim_stream *stream, int64_t wait_ms)
{
    if (!stream->call->ask.is_array)
        sim_buf_print(&stream->event, "%s%s", stream->eol, stream->eol);
    if (!stream->call->ask.is_array && stream->call->script.comments != 0)
        sim_buf_print(&stream->event, ": ping%s%s", stream->eol, stream->eol);
    sim_stream_flush(stream, wait_ms);
}

static void open_chunk(struct sim_stream *stream)
{
    open_event(stream);
    sim_buf_text(&stream->event, "{");
    if (stream->call->script.multiline != 0 && !stream->call->ask.is_array)
        sim_buf_print(&stream->event, "%sdata: ", stream->eol);
    sim_buf_text(&stream->event, "\"candidates\":[");
}

/* End a chunk behind its candidates. usage: NULL for none */
static void close_chunk(struct sim_stream *stream, const struct sim_usage *usage, int64_t wait_ms)
{
    sim_buf_text(&stream->event, "]");
    if (usage != NULL)
        write_usage(&stream->event, stream->call, stream->generation, usage);
    if (stream->echoes) {
        sim_write_echo(&stream->event, stream->call);
        stream->echoes = false;
    }
    write_rest(&stream->event, stream->generation);
    close_event(stream, wait_ms);
}

static void add_opening(struct sim_stream *stream)
{
    (void)stream; /* nothing comes before the first words */
}

static void add_content(struct sim_stream *stream, int64_t k)
{
    const struct sim_generation *made = stream->generation;
    const struct sim_script *script = &stream->call->script;
    const int64_t visible = made->usage.completion - made->usage.reasoning;
    const int64_t first = sim_share(visible, k, made->events);
    struct sim_usage so_far = made->usage;

    stream->build.events = k + 1;
    so_far.completion = made->usage.reasoning + sim_share(visible, k + 1, made->events);
    so_far.image_out = so_far.audio_out = 0; /* told at the end */
    open_chunk(stream);
    if (script->big > 0)
        write_big(&stream->event, sim_share(script->big, k + 1, made->events) -
                                      sim_share(script->big, k, made->events));
    else
        write_content(&stream->event, stream->call, first,
                      sim_share(visible, k + 1, made->events) - first);
    sim_buf_print(&stream->event, ",\"index\":%" PRId64 "}", k % made->n);
    close_chunk(stream, script->place == SIM_PLACE_LAST ? NULL : &so_far, script->gap_ms);
}

static void add_closing(struct sim_stream *stream)
{
    const struct sim_generation *made = stream->generation;
    const struct sim_call *call = stream->call;

    if (call->script.blocked != 0) {
        open_event(stream);
        write_blocked(&stream->event, call, made);
        close_event(stream, 0);
    }
    for (int64_t i = 0; i < made->n && call->script.blocked == 0; i++) {
        open_chunk(stream);
        sim_buf_print(&stream->event, "{\"finishReason\":\"%s\",\"index\":%" PRId64,
                      finish_reason(call, made), i);
        if (i == 0)
            write_grounding(&stream->event, call);
        sim_buf_text(&stream->event, "}");
        close_chunk(stream, &made->usage, 0);
    }
    if (call->script.place == SIM_PLACE_NULL_AFTER) {
        open_chunk(stream);
        sim_buf_text(&stream->event, "],\"usageMetadata\":{\"promptTokenCount\":null},\"x\":[");
        close_chunk(stream, NULL, 0);
    }
    if (call->ask.is_array) {
        sim_buf_text(&stream->event, "\r\n]\r\n");
        sim_stream_flush(stream, 0);
    }
}

static void add_error(struct sim_stream *stream)
{
    open_event(stream);
    sim_buf_text(&stream->event,
                 "{\"error\":{\"code\":503,\"message\":\"The model is overloaded.\","
                 "\"status\":\"UNAVAILABLE\"}}");
    close_event(stream, stream->call->script.gap_ms);
    if (!stream->call->ask.is_array)
        return;
    sim_buf_text(&stream->event, "]");
    sim_stream_flush(stream, 0);
}

static const struct sim_writer writer = {
    .opening = add_opening,
    .content = add_content,
    .error = add_error,
    .closing = add_closing,
};

/* --- what brings no text ------------------------------------------------------------------------
 */

static struct sim_answer *count_answer(const struct sim_call *call)
{
    struct sim_generation *made = sim_generate(call, "gemini-count", "r-sim-");
    struct sim_buf body = { 0 };

    made->is_billed = true; /* there is nothing to bill */
    sim_buf_print(&body,
                  "{\"totalTokens\":%" PRId64
                  ",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":%" PRId64 "}]",
                  made->usage.prompt, made->usage.prompt);
    if (call->script.hop != 0)
        sim_write_echo(&body, call);
    sim_buf_text(&body, "}");
    return sim_plain_answer(call, made, &body);
}

static struct sim_answer *embed_answer(const struct sim_call *call, bool is_batch)
{
    struct sim_generation *made =
        sim_generate(call, is_batch ? "gemini-embed-batch" : "gemini-embed", "r-sim-");
    struct sim_buf body = { 0 };

    made->usage.completion = 0;
    made->usage.reasoning = 0;
    sim_buf_text(&body, is_batch ? "{\"embeddings\":[" : "{\"embedding\":");
    for (int64_t i = 0; i < (is_batch ? call->ask.inputs : 1); i++)
        sim_buf_print(&body, "%s{\"values\":[0.01,-2e-3,1]}", i == 0 ? "" : ",");
    sim_buf_text(&body, is_batch ? "]" : "");
    /* Answers of older models tell no usage. */
    if (call->script.place != SIM_PLACE_NONE)
        sim_buf_print(&body, ",\"usageMetadata\":{\"promptTokenCount\":%" PRId64 "}",
                      made->usage.prompt);
    if (call->script.hop != 0)
        sim_write_echo(&body, call);
    sim_buf_text(&body, "}");
    return sim_plain_answer(call, made, &body);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static struct sim_answer *generate_answer(const struct sim_call *call)
{
    struct sim_generation *made = sim_generate(call, "gemini-generate", "r-sim-");
    struct sim_usage *usage = &made->usage;

    usage->tool_use = call->script.tool;
    usage->cached_audio = call->script.cached_audio;
    usage->image_out = call->script.image_out;
    usage->audio_out = call->script.audio_out;
    /* Before Gemini 3 a prompt is billed once, however often it was searched for. */
    if (strncmp(made->served_model, "gemini-2", 8) == 0 && usage->web_search > 1)
        usage->web_search = 1;
    if (call->script.blocked != 0) {
        usage->completion = usage->reasoning = 0;
        made->events = 0;
    }
    if (call->script.calls_tool != 0 && made->is_stream && made->events > 1)
        made->events = 1;
    return made->is_stream ? sim_stream_answer(call, made, &writer) : plain_answer(call, made);
}

static struct sim_answer *small_answer(const struct sim_call *call, int status,
                                       struct sim_buf *body)
{
    const struct sim_head head = { status, "application/json; charset=UTF-8", call->more, SIM_UNSET,
                                   call->script.first_ms };
    struct sim_build build;

    sim_build_init(&build, &call->script);
    sim_build_whole(&build, &head, (struct sim_span){ body->ptr, body->len });
    sim_buf_fini(body);
    return sim_build_end(&build, /* is_stream= */ false);
}

static const char *status_name(int status)
{
    switch (status) {
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "NOT_FOUND";
    case 429:
        return "RESOURCE_EXHAUSTED";
    case 500:
        return "INTERNAL";
    case 503:
        return "UNAVAILABLE";
    default:
        return "INVALID_ARGUMENT";
    }
}

struct sim_answer *sim_gemini_refuse(const struct sim_call *call, int status, const char *message)
{
    struct sim_buf body = { 0 };

    sim_buf_text(&body, call->ask.is_array ? "[" : "");
    sim_buf_print(&body, "{\n  \"error\": {\n    \"code\": %d,\n    \"message\": ", status);
    sim_buf_quote(&body, sim_span_of(message));
    sim_buf_print(&body, ",\n    \"status\": \"%s\"", status_name(status));
    if (status == 429)
        sim_buf_print(&body,
                      ",\n    \"details\": [\n      {\n        \"@type\": "
                      "\"type.googleapis.com/google.rpc.RetryInfo\",\n        \"retryDelay\": "
                      "\"%" PRId64 "s\"\n      }\n    ]",
                      call->script.retry_after_s);
    sim_buf_print(&body, "\n  }\n}%s\n", call->ask.is_array ? "\n]" : "");
    return small_answer(call, status, &body);
}

struct sim_answer *sim_gemini_models(const struct sim_call *call)
{
    struct sim_buf body = { 0 };

    sim_buf_text(&body, "{\"models\":[{\"name\":\"models/gemini-2.5-flash\",\"displayName\":"
                        "\"Gemini 2.5 Flash\",\"supportedGenerationMethods\":["
                        "\"generateContent\"]},{\"name\":\"models/gemini-of-tomorrow\"}]}");
    return small_answer(call, 200, &body);
}

struct sim_answer *sim_gemini_answer(struct sim_call *call)
{
    struct sim_ask *const ask = &call->ask;
    const struct sim_span path = call->request->path;
    enum verb verb;

    *ask = (struct sim_ask){ .n = 1, .billed_n = 1, .inputs = 1 };
    verb = read_path(path, &ask->model);
    ask->is_stream = verb == STREAM;
    ask->is_array = verb == STREAM && find(path, "?alt=sse") == NULL;
    if (sim_request_header(call->request, "x-goog-api-key").ptr == NULL)
        return sim_gemini_refuse(call, 403, "Method doesn't allow unregistered callers.");
    if (call->script.status != 0)
        return sim_gemini_refuse(call, (int)call->script.status, "So says the script.");
    if (call->script.early == 0 && !read_body(call->body, ask))
        return sim_gemini_refuse(call, 400, "Invalid JSON payload received.");
    switch (verb) {
    case COUNT_TOKENS:
        return count_answer(call);
    case EMBED:
    case EMBED_BATCH:
        return embed_answer(call, verb == EMBED_BATCH);
    case GENERATE:
    case STREAM:
    case NO_VERB:
        break;
    }
    return generate_answer(call);
}
