#include "sandbox/messages.h"

#include "base/id.h"
#include "base/try.h"
#include "providers/anthropic_error.h"

#define ERROR_MAX 4096

enum step { STEP_START, STEP_WORDS, STEP_FINISH, STEP_END }; /* 1: as in chat.h */

/* --- the request ------------------------------------------------------------------------------ */

/* A system prompt is a string or an array of parts with text. */
static enum tg_status count_system(const cJSON *tree, struct chat *chat)
{
    AUTO(buf) text = { 0 };

    buf_init(&text, CHAT_TEXT_MAX);
    chat_put_content(cJSON_GetObjectItemCaseSensitive(tree, "system"), &text);
    chat->prompt_tokens += chat_count_words(buf_span(&text));
    return buf_status(&text);
}

static enum tg_status read_tree(const cJSON *tree, bool counts_only, struct chat *chat,
                                struct err *err)
{
    int64_t most = 0;

    if (!cJSON_IsObject(tree))
        return err_set(err, TG_INVALID, "the body must be a JSON object");
    TRY(chat_read_model(tree, chat, err));
    TRY(count_system(tree, chat));
    TRY(chat_read_messages(tree, chat, err));
    if (counts_only)
        return TG_OK;
    TRY(chat_read_maximum(tree, "max_tokens", &most, err));
    if (most == 0)
        return err_set(err, TG_INVALID, "max_tokens: Field required");
    chat->is_stream = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "stream"));
    chat_cut_text(chat, most);
    return TG_OK;
}

enum tg_status messages_read(struct span body, bool counts_only, struct chat *ret_chat,
                             struct err *err)
{
    struct chat chat = { .step = STEP_START };
    AUTO_JSON tree = NULL;
    enum tg_status status;

    TRY(json_parse(body, &tree, err));
    buf_init(&chat.text, CHAT_TEXT_MAX);
    id_make_name("msg_", chat.id);
    status = read_tree(tree, counts_only, &chat, err);
    if (status != TG_OK) {
        chat_fini(&chat);
        return status;
    }
    *ret_chat = chat;
    return TG_OK;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void put_usage(struct json_writer *w, const struct chat *chat, int64_t output_tokens)
{
    json_open_object(w, "usage");
    json_int(w, "input_tokens", chat->prompt_tokens);
    json_int(w, "cache_creation_input_tokens", 0);
    json_int(w, "cache_read_input_tokens", 0);
    json_int(w, "output_tokens", output_tokens);
    json_string(w, "service_tier", "standard");
    json_close_object(w);
}

static void put_text(struct json_writer *w, const char *name, const char *type, struct span text)
{
    json_open_object(w, name);
    json_string(w, "type", type);
    json_text(w, "text", text);
    json_close_object(w);
}

static const char *stop_reason(const struct chat *chat)
{
    return chat->is_cut ? "max_tokens" : "end_turn";
}

/* A message; one that has just begun has no content and no end. */
static void put_message(struct json_writer *w, const char *name, const struct chat *chat,
                        bool is_whole)
{
    json_open_object(w, name);
    json_string(w, "id", chat->id);
    json_string(w, "type", "message");
    json_string(w, "role", "assistant");
    json_string(w, "model", chat->model);
    json_open_array(w, "content");
    if (is_whole)
        put_text(w, NULL, "text", buf_span(&chat->text));
    json_close_array(w);
    if (is_whole)
        json_string(w, "stop_reason", stop_reason(chat));
    else
        json_null(w, "stop_reason");
    json_null(w, "stop_sequence");
    put_usage(w, chat, is_whole ? chat->completion_tokens : 0);
    json_close_object(w);
}

void messages_write(const struct chat *chat, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    put_message(&w, NULL, chat, /* is_whole= */ true);
}

void messages_write_count(const struct chat *chat, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_open_object(&w, NULL);
    json_int(&w, "input_tokens", chat->prompt_tokens);
    json_close_object(&w);
}

static void open_event(struct json_writer *w, const char *type, struct buf *out)
{
    buf_put_text(out, "event: ");
    buf_put_text(out, type);
    buf_put_text(out, "\ndata: ");
    json_begin(w, out);
    json_open_object(w, NULL);
    json_string(w, "type", type);
}

static void close_event(struct json_writer *w, struct buf *out)
{
    json_close_object(w);
    buf_put_text(out, "\n\n");
}

static void put_start(const struct chat *chat, struct buf *out)
{
    struct json_writer w;

    open_event(&w, "message_start", out);
    put_message(&w, "message", chat, /* is_whole= */ false);
    close_event(&w, out);
    open_event(&w, "content_block_start", out);
    json_int(&w, "index", 0);
    put_text(&w, "content_block", "text", SPAN_EMPTY);
    close_event(&w, out);
}

static void put_word(struct chat *chat, struct buf *out)
{
    const struct span text = buf_span(&chat->text);
    const size_t end = chat_word_end(text, chat->at);
    struct json_writer w;

    open_event(&w, "content_block_delta", out);
    json_int(&w, "index", 0);
    put_text(&w, "delta", "text_delta", span_of(text.ptr + chat->at, end - chat->at));
    close_event(&w, out);
    chat->at = end;
}

static void put_finish(const struct chat *chat, struct buf *out)
{
    struct json_writer w;

    open_event(&w, "content_block_stop", out);
    json_int(&w, "index", 0);
    close_event(&w, out);
    open_event(&w, "message_delta", out);
    json_open_object(&w, "delta");
    json_string(&w, "stop_reason", stop_reason(chat));
    json_null(&w, "stop_sequence");
    json_close_object(&w);
    put_usage(&w, chat, chat->completion_tokens);
    close_event(&w, out);
    open_event(&w, "message_stop", out);
    close_event(&w, out);
}

bool messages_next_event(struct chat *chat, struct buf *out)
{
    if (chat->step == STEP_WORDS && chat->at == buf_len(&chat->text))
        chat->step = STEP_FINISH;
    switch ((enum step)chat->step) {
    case STEP_START:
        put_start(chat, out);
        break;
    case STEP_WORDS:
        put_word(chat, out);
        return true;
    case STEP_FINISH:
        put_finish(chat, out);
        break;
    case STEP_END:
        return false;
    }
    chat->step++;
    return true;
}

void messages_write_error(enum tg_status status, const char *message, struct buf *out)
{
    const struct tg_error error = {
        .status = status,
        .message = { message, strlen(message) },
        .request_id = { "sandbox", 7 },
    };
    char text[ERROR_MAX];

    buf_put(out, text, anthropic_error_write(&error, text, sizeof(text)));
}
