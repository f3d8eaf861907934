#include "sandbox/completions.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/try.h"

#define MS_PER_S 1000

enum step { STEP_BEGIN, STEP_WORDS, STEP_FINISH, STEP_USAGE, STEP_DONE, STEP_END };

static bool is_one(const cJSON *tree, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(tree, name);

    return value == NULL || cJSON_IsNull(value) ||
           (cJSON_IsNumber(value) && value->valuedouble == 1);
}

static enum tg_status read_tree(const cJSON *tree, struct chat *chat, struct err *err)
{
    const cJSON *prompt = cJSON_GetObjectItemCaseSensitive(tree, "prompt");
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(tree, "stream_options");
    int64_t most = INT64_MAX;

    if (!cJSON_IsObject(tree))
        return err_set(err, TG_INVALID, "the body must be a JSON object");
    TRY(chat_read_model(tree, chat, err));
    if (!cJSON_IsString(prompt))
        return err_set(err, TG_INVALID, "prompt must be one string: the sandbox takes no more");
    if (!is_one(tree, "n") || !is_one(tree, "best_of"))
        return err_set(err, TG_INVALID, "n and best_of must be 1: the sandbox gives one choice");
    chat_put_content(prompt, &chat->text);
    TRY(buf_status(&chat->text));
    chat->prompt_tokens = chat_count_words(buf_span(&chat->text));
    TRY(chat_read_maximum(tree, "max_tokens", &most, err));
    chat->is_stream = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "stream"));
    chat->has_usage = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(options, "include_usage"));
    chat->step = STEP_WORDS; /* nothing stands before the text */
    chat_cut_text(chat, most);
    return TG_OK;
}

enum tg_status completions_read(struct span body, struct chat *ret_chat, struct err *err)
{
    struct chat chat = { .created_s = clock_wall_ms() / MS_PER_S };
    AUTO_JSON tree = NULL;
    enum tg_status status;

    TRY(json_parse(body, &tree, err));
    buf_init(&chat.text, CHAT_TEXT_MAX);
    id_make_name("cmpl_", chat.id);
    status = read_tree(tree, &chat, err);
    if (status != TG_OK) {
        chat_fini(&chat);
        return status;
    }
    *ret_chat = chat;
    return TG_OK;
}

static void put_head(struct json_writer *w, const struct chat *chat)
{
    json_open_object(w, NULL);
    json_string(w, "id", chat->id);
    json_string(w, "object", "text_completion");
    json_int(w, "created", chat->created_s);
    json_string(w, "model", chat->model);
}

static void put_choice(struct json_writer *w, const struct chat *chat, struct span text,
                       bool is_finished)
{
    json_open_array(w, "choices");
    json_open_object(w, NULL);
    json_text(w, "text", text);
    json_int(w, "index", 0);
    json_null(w, "logprobs");
    json_string(w, "finish_reason", !is_finished ? NULL : chat->is_cut ? "length" : "stop");
    json_close_object(w);
    json_close_array(w);
}

static void put_usage(struct json_writer *w, const struct chat *chat)
{
    json_open_object(w, "usage");
    json_int(w, "prompt_tokens", chat->prompt_tokens);
    json_int(w, "completion_tokens", chat->completion_tokens);
    json_int(w, "total_tokens", chat->prompt_tokens + chat->completion_tokens);
    json_close_object(w);
}

void completions_write(const struct chat *chat, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    put_head(&w, chat);
    put_choice(&w, chat, buf_span(&chat->text), /* is_finished= */ true);
    put_usage(&w, chat);
    json_close_object(&w);
}

static void put_chunk(const struct chat *chat, struct span text, struct buf *out)
{
    struct json_writer w;

    buf_put_text(out, "data: ");
    json_begin(&w, out);
    put_head(&w, chat);
    if (chat->step == STEP_USAGE) {
        json_open_array(&w, "choices");
        json_close_array(&w);
        put_usage(&w, chat);
    } else {
        put_choice(&w, chat, text, chat->step == STEP_FINISH);
    }
    json_close_object(&w);
    buf_put_text(out, "\n\n");
}

static void put_word(struct chat *chat, struct buf *out)
{
    const struct span text = buf_span(&chat->text);
    const size_t end = chat_word_end(text, chat->at);

    put_chunk(chat, span_of(text.ptr + chat->at, end - chat->at), out);
    chat->at = end;
}

bool completions_next_event(struct chat *chat, struct buf *out)
{
    if (chat->step <= STEP_WORDS && chat->at == buf_len(&chat->text))
        chat->step = STEP_FINISH;
    if (chat->step == STEP_USAGE && !chat->has_usage)
        chat->step = STEP_DONE;
    switch ((enum step)chat->step) {
    case STEP_BEGIN:
    case STEP_WORDS:
        put_word(chat, out);
        return true;
    case STEP_FINISH:
    case STEP_USAGE:
        put_chunk(chat, SPAN_EMPTY, out);
        break;
    case STEP_DONE:
        buf_put_text(out, "data: [DONE]\n\n");
        break;
    case STEP_END:
        return false;
    }
    chat->step++;
    return true;
}
