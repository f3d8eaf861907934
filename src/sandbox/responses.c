#include "sandbox/responses.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/try.h"

#define MS_PER_S 1000

/* An event for each step; words come one after the other. */
enum step { STEP_CREATED, STEP_WORDS, STEP_DONE, STEP_END };

/* --- the request ------------------------------------------------------------------------------ */

/* Count an item of the input; what the last of the user's says is the answer. */
static enum tg_status read_item(const cJSON *item, struct chat *chat, struct err *err)
{
    const cJSON *role = cJSON_GetObjectItemCaseSensitive(item, "role");
    AUTO(buf) text = { 0 };

    if (!cJSON_IsObject(item))
        return err_set(err, TG_INVALID, "each of input must be an object");
    buf_init(&text, CHAT_TEXT_MAX);
    chat_put_content(cJSON_GetObjectItemCaseSensitive(item, "content"), &text);
    chat_put_content(cJSON_GetObjectItemCaseSensitive(item, "output"), &text);
    TRY(buf_status(&text));
    chat->prompt_tokens += chat_count_words(buf_span(&text));
    if (!cJSON_IsString(role) || strcmp(role->valuestring, "user") != 0)
        return TG_OK;
    buf_clear(&chat->text);
    buf_put_span(&chat->text, buf_span(&text));
    return buf_status(&chat->text);
}

static enum tg_status read_input(const cJSON *tree, struct chat *chat, struct err *err)
{
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(tree, "input");
    const cJSON *item;

    if (cJSON_IsString(input)) {
        chat_put_content(input, &chat->text);
        chat->prompt_tokens += chat_count_words(buf_span(&chat->text));
        return buf_status(&chat->text);
    }
    if (!cJSON_IsArray(input))
        return err_set(err, TG_INVALID, "input must be a string or an array of items");
    cJSON_ArrayForEach(item, input) TRY(read_item(item, chat, err));
    return TG_OK;
}

static enum tg_status read_tree(const cJSON *tree, struct chat *chat, struct err *err)
{
    const cJSON *instructions = cJSON_GetObjectItemCaseSensitive(tree, "instructions");
    int64_t most = INT64_MAX;

    if (!cJSON_IsObject(tree))
        return err_set(err, TG_INVALID, "the body must be a JSON object");
    TRY(chat_read_model(tree, chat, err));
    if (cJSON_IsString(instructions))
        chat->prompt_tokens += chat_count_words(span_from(instructions->valuestring));
    TRY(read_input(tree, chat, err));
    TRY(chat_read_maximum(tree, "max_output_tokens", &most, err));
    chat->is_stream = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "stream"));
    chat_cut_text(chat, most);
    return TG_OK;
}

enum tg_status responses_read(struct span body, struct chat *ret_chat, struct err *err)
{
    struct chat chat = { .created_s = clock_wall_ms() / MS_PER_S };
    AUTO_JSON tree = NULL;
    enum tg_status status;

    TRY(json_parse(body, &tree, err));
    buf_init(&chat.text, CHAT_TEXT_MAX);
    id_make_name("resp_", chat.id);
    status = read_tree(tree, &chat, err);
    if (status != TG_OK) {
        chat_fini(&chat);
        return status;
    }
    *ret_chat = chat;
    return TG_OK;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void put_usage(struct json_writer *w, const struct chat *chat)
{
    json_open_object(w, "usage");
    json_int(w, "input_tokens", chat->prompt_tokens);
    json_open_object(w, "input_tokens_details");
    json_int(w, "cached_tokens", 0);
    json_close_object(w);
    json_int(w, "output_tokens", chat->completion_tokens);
    json_open_object(w, "output_tokens_details");
    json_int(w, "reasoning_tokens", 0);
    json_close_object(w);
    json_int(w, "total_tokens", chat->prompt_tokens + chat->completion_tokens);
    json_close_object(w);
}

static void put_message(struct json_writer *w, const char *name, const struct chat *chat,
                        bool is_done)
{
    json_open_object(w, name);
    json_string(w, "id", "msg_0");
    json_string(w, "type", "message");
    json_string(w, "status", is_done ? "completed" : "in_progress");
    json_string(w, "role", "assistant");
    json_open_array(w, "content");
    if (is_done) {
        json_open_object(w, NULL);
        json_string(w, "type", "output_text");
        json_open_array(w, "annotations");
        json_close_array(w);
        json_text(w, "text", buf_span(&chat->text));
        json_close_object(w);
    }
    json_close_array(w);
    json_close_object(w);
}

static const char *end_of(const struct chat *chat)
{
    return chat->is_cut ? "incomplete" : "completed";
}

static void put_response(struct json_writer *w, const char *name, const struct chat *chat,
                         bool is_done)
{
    json_open_object(w, name);
    json_string(w, "id", chat->id);
    json_string(w, "object", "response");
    json_int(w, "created_at", chat->created_s);
    json_string(w, "status", is_done ? end_of(chat) : "in_progress");
    json_string(w, "model", chat->model);
    json_null(w, "error");
    if (is_done && chat->is_cut)
        json_raw(w, "incomplete_details", SPAN("{\"reason\":\"max_output_tokens\"}"));
    else
        json_null(w, "incomplete_details");
    json_open_array(w, "output");
    if (is_done)
        put_message(w, NULL, chat, true);
    json_close_array(w);
    json_open_array(w, "tools");
    json_close_array(w);
    if (is_done)
        put_usage(w, chat);
    else
        json_null(w, "usage");
    json_close_object(w);
}

void responses_write(const struct chat *chat, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    put_response(&w, NULL, chat, /* is_done= */ true);
}

/* --- a stream --------------------------------------------------------------------------------- */

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

static void put_response_event(const char *type, const struct chat *chat, bool is_done,
                               struct buf *out)
{
    struct json_writer w;

    open_event(&w, type, out);
    put_response(&w, "response", chat, is_done);
    close_event(&w, out);
}

static void put_item_event(const char *type, const struct chat *chat, bool is_done, struct buf *out)
{
    struct json_writer w;

    open_event(&w, type, out);
    json_int(&w, "output_index", 0);
    put_message(&w, "item", chat, is_done);
    close_event(&w, out);
}

static void put_word(struct chat *chat, struct buf *out)
{
    const struct span text = buf_span(&chat->text);
    const size_t end = chat_word_end(text, chat->at);
    struct json_writer w;

    open_event(&w, "response.output_text.delta", out);
    json_string(&w, "item_id", "msg_0");
    json_int(&w, "output_index", 0);
    json_int(&w, "content_index", 0);
    json_text(&w, "delta", span_of(text.ptr + chat->at, end - chat->at));
    close_event(&w, out);
    chat->at = end;
}

bool responses_next_event(struct chat *chat, struct buf *out)
{
    if (chat->step == STEP_WORDS && chat->at == buf_len(&chat->text))
        chat->step = STEP_DONE;
    switch ((enum step)chat->step) {
    case STEP_CREATED:
        put_response_event("response.created", chat, /* is_done= */ false, out);
        put_item_event("response.output_item.added", chat, /* is_done= */ false, out);
        break;
    case STEP_WORDS:
        put_word(chat, out);
        return true;
    case STEP_DONE:
        put_item_event("response.output_item.done", chat, /* is_done= */ true, out);
        put_response_event(chat->is_cut ? "response.incomplete" : "response.completed", chat,
                           /* is_done= */ true, out);
        break;
    case STEP_END:
        return false;
    }
    chat->step++;
    return true;
}
