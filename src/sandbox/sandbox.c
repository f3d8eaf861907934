#include "sandbox/sandbox.h"

#include "base/buf.h"
#include "base/try.h"
#include "net/daemon.h"
#include "sandbox/chat.h"
#include "sandbox/completions.h"
#include "sandbox/gemini.h"
#include "sandbox/input.h"
#include "sandbox/messages.h"
#include "sandbox/responses.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)64 << 20)
#define EVENT_MAX  ((size_t)64 << 20) /* one word may be the whole text */
#define NS_PER_MS  1000000L

struct sandbox {
    struct daemon *daemon;
};

/* --- a streamed answer: each connection has a thread, which may wait ------------------------- */

struct stream {
    struct chat chat;
    bool (*next_event)(struct chat *chat, struct buf *out);
    struct buf event; /* what is left of the one being sent */
};

static void wait_for_word(const struct chat *chat)
{
    const struct timespec word = { .tv_nsec = SANDBOX_WORD_MS * NS_PER_MS };

    if (chat->is_slow && chat->step == 1)
        (void)nanosleep(&word, NULL);
}

static ssize_t stream_read(void *context, char *out, size_t max)
{
    struct stream *stream = context;
    size_t len;

    if (buf_len(&stream->event) == 0) {
        wait_for_word(&stream->chat);
        buf_clear(&stream->event);
        if (!stream->next_event(&stream->chat, &stream->event))
            return 0;
        if (stream->event.failed)
            return -1;
    }
    len = buf_len(&stream->event) < max ? buf_len(&stream->event) : max;
    memcpy(out, buf_span(&stream->event).ptr, len);
    buf_consume(&stream->event, len);
    return (ssize_t)len;
}

static void stream_free(void *context)
{
    struct stream *stream = context;

    chat_fini(&stream->chat);
    buf_fini(&stream->event);
    free(stream);
}

/* --- requests --------------------------------------------------------------------------------- */

static void answer_error(struct daemon_answer *answer, enum tg_status status, const char *message)
{
    answer->http = tg_status_info(status)->http;
    answer->type = "application/json";
    chat_write_error(status, message, &answer->body);
}

static enum tg_status start_stream(struct chat *chat,
                                   bool (*next_event)(struct chat *, struct buf *),
                                   struct daemon_answer *answer)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL)
        return TG_NO_MEMORY;
    stream->chat = *chat; /* the stream's from here on */
    stream->next_event = next_event;
    buf_init(&stream->event, EVENT_MAX);
    answer->type = chat->is_array ? "application/json" : "text/event-stream";
    answer->stream =
        (struct daemon_stream){ .read = stream_read, .free = stream_free, .context = stream };
    return TG_OK;
}

/* How OpenAI's dialects with words for an answer read and write. */
struct tongue {
    struct span path;
    enum tg_status (*read)(struct span body, struct chat *ret_chat, struct err *err);
    void (*write)(const struct chat *chat, struct buf *out);
    bool (*next_event)(struct chat *chat, struct buf *out);
};

static const struct tongue tongues[] = {
    { SPAN("/v1/chat/completions"), chat_read, chat_write, chat_next_event },
    { SPAN("/v1/responses"), responses_read, responses_write, responses_next_event },
    { SPAN("/v1/completions"), completions_read, completions_write, completions_next_event },
};

static const struct tongue *find_tongue(struct span path)
{
    for (size_t i = 0; i < sizeof(tongues) / sizeof(tongues[0]); i++)
        if (span_equal(path, tongues[i].path))
            return &tongues[i];
    return NULL;
}

static void answer_chat(const struct tongue *tongue, const struct daemon_request *request,
                        struct daemon_answer *answer)
{
    struct chat chat;
    struct err err = { 0 };
    enum tg_status status = tongue->read(request->body, &chat, &err);

    if (status != TG_OK) {
        answer_error(answer, status, err.text);
        return;
    }
    if (chat.is_stream) {
        status = start_stream(&chat, tongue->next_event, answer);
        if (status == TG_OK)
            return;
        answer_error(answer, status, "");
    } else {
        answer->type = "application/json";
        tongue->write(&chat, &answer->body);
    }
    chat_fini(&chat);
}

/* --- in Anthropic's dialect ------------------------------------------------------------------- */

static void answer_messages_error(struct daemon_answer *answer, enum tg_status status,
                                  const char *message)
{
    answer->http = tg_status_info(status)->http;
    answer->type = "application/json";
    messages_write_error(status, message, &answer->body);
}

static void answer_messages(const struct daemon_request *request, struct daemon_answer *answer)
{
    const bool counts_only = span_equal(request->path, SPAN("/v1/messages/count_tokens"));
    struct chat chat;
    struct err err = { 0 };
    enum tg_status status = messages_read(request->body, counts_only, &chat, &err);

    if (status != TG_OK) {
        answer_messages_error(answer, status, err.text);
        return;
    }
    if (chat.is_stream) {
        status = start_stream(&chat, messages_next_event, answer);
        if (status == TG_OK)
            return;
        answer_messages_error(answer, status, "");
    } else {
        answer->type = "application/json";
        if (counts_only)
            messages_write_count(&chat, &answer->body);
        else
            messages_write(&chat, &answer->body);
    }
    chat_fini(&chat);
}

/* --- in Google's dialect ---------------------------------------------------------------------- */

static void answer_gemini_error(struct daemon_answer *answer, enum tg_status status,
                                const char *message)
{
    answer->http = tg_status_info(status)->http;
    answer->type = "application/json";
    gemini_write_error(status, message, &answer->body);
}

static void answer_gemini(const struct daemon_request *request, const struct gemini_path *path,
                          struct daemon_answer *answer)
{
    struct span alt = SPAN_EMPTY;
    struct chat chat;
    struct err err = { 0 };
    enum tg_status status;

    (void)daemon_param_get(request, "alt", &alt); /* not there: an array */
    status = gemini_read(path, request->body, !span_equal(alt, SPAN("sse")), &chat, &err);
    if (status != TG_OK) {
        answer_gemini_error(answer, status, err.text);
        return;
    }
    if (chat.is_stream) {
        status = start_stream(&chat, gemini_next_event, answer);
        if (status == TG_OK)
            return;
        answer_gemini_error(answer, status, "");
    } else {
        answer->type = "application/json";
        gemini_write(path->verb, &chat, &answer->body);
    }
    chat_fini(&chat);
}

/* The path without the version of the base URL, where another follows it. */
static struct span without_base(struct span path)
{
    const struct span base = SPAN("/v1");

    return span_starts_with(path, SPAN("/v1/v1")) ? span_from_offset(path, base.len) : path;
}

/* --- in OpenAI's dialects --------------------------------------------------------------------- */

/* The dialects that only read. */
static void answer_input(enum tg_status (*write)(struct span, struct buf *, struct err *),
                         const struct daemon_request *request, struct daemon_answer *answer)
{
    struct err err = { 0 };
    const enum tg_status status = write(request->body, &answer->body, &err);

    answer->type = "application/json";
    if (status != TG_OK)
        answer_error(answer, status, err.text);
}

static void answer_openai(const struct daemon_request *request, struct daemon_answer *answer)
{
    const struct tongue *tongue = find_tongue(request->path);

    if (tongue != NULL)
        answer_chat(tongue, request, answer);
    else if (span_equal(request->path, SPAN("/v1/embeddings")))
        answer_input(input_write_embeddings, request, answer);
    else if (span_equal(request->path, SPAN("/v1/moderations")))
        answer_input(input_write_moderation, request, answer);
}

static bool is_call(struct span path)
{
    return find_tongue(path) != NULL || span_equal(path, SPAN("/v1/embeddings")) ||
           span_equal(path, SPAN("/v1/moderations"));
}

static void handle(void *context, const struct daemon_request *request,
                   struct daemon_answer *answer)
{
    const bool is_get = strcmp(request->method, "GET") == 0;
    struct gemini_path path;

    (void)context;
    buf_init(&answer->body, ANSWER_MAX);
    if (request->fault != TG_OK) {
        answer_error(answer, request->fault, "");
    } else if (is_call(request->path)) {
        if (strcmp(request->method, "POST") == 0)
            answer_openai(request, answer);
        else
            answer_error(answer, TG_METHOD_NOT_ALLOWED, "");
    } else if (span_equal(request->path, SPAN("/v1/messages")) ||
               span_equal(request->path, SPAN("/v1/messages/count_tokens"))) {
        if (strcmp(request->method, "POST") == 0)
            answer_messages(request, answer);
        else
            answer_messages_error(answer, TG_METHOD_NOT_ALLOWED, "");
    } else if (gemini_match(without_base(request->path), &path)) {
        if (strcmp(request->method, "POST") == 0)
            answer_gemini(request, &path, answer);
        else
            answer_gemini_error(answer, TG_METHOD_NOT_ALLOWED, "");
    } else if (span_equal(request->path, SPAN("/v1/models")) && is_get) {
        answer->type = "application/json";
        chat_write_models(&answer->body);
    } else {
        answer_error(answer, TG_NO_ROUTE, "");
    }
}

/* --- life cycle ------------------------------------------------------------------------------- */

enum tg_status sandbox_start(int port, struct sandbox **ret_sandbox, char ret_url[SANDBOX_URL_SIZE],
                             struct err *err)
{
    const struct daemon_options options = {
        .name = "sandbox",
        .handle = handle,
        .body_max_bytes = SANDBOX_BODY_MAX,
        .connections_max = SANDBOX_CONNECTIONS_MAX,
    };
    struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
    char address[32];
    int bound_port = 0;
    enum tg_status status;
    int fd = -1;

    if (sandbox == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for the sandbox");
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    status = daemon_listen_tcp(address, &fd, &bound_port, err);
    if (status == TG_OK)
        status = daemon_start(fd, &options, &sandbox->daemon, err);
    if (status != TG_OK) {
        if (fd >= 0)
            (void)close(fd);
        free(sandbox);
        return status;
    }
    (void)snprintf(ret_url, SANDBOX_URL_SIZE, "http://127.0.0.1:%d/v1", bound_port);
    *ret_sandbox = sandbox;
    return TG_OK;
}

void sandbox_stop(struct sandbox *sandbox)
{
    if (sandbox == NULL)
        return;
    daemon_stop(sandbox->daemon);
    free(sandbox);
}
