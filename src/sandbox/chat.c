#include "sandbox/chat.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/try.h"

#include <stdio.h>

#define CHOICES_MAX 1
#define MS_PER_S    1000

static const char *const models[] = { "echo", "echo-slow" };
#define MODEL_COUNT (sizeof(models) / sizeof(models[0]))

enum step { STEP_ROLE, STEP_WORDS, STEP_FINISH, STEP_USAGE, STEP_DONE, STEP_END };

void chat_fini(struct chat *chat)
{
    buf_fini(&chat->text);
}

/* --- counting --------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

size_t chat_word_end(struct span s, size_t at)
{
    while (at < s.len && is_blank(s.ptr[at]))
        at++;
    while (at < s.len && !is_blank(s.ptr[at]))
        at++;
    return at;
}

int64_t chat_count_words(struct span s)
{
    int64_t count = 0;
    bool is_inside = false;

    for (size_t i = 0; i < s.len; i++) {
        count += !is_inside && !is_blank(s.ptr[i]);
        is_inside = !is_blank(s.ptr[i]);
    }
    return count;
}

/* --- the request ------------------------------------------------------------------------------ */

void chat_put_content(const cJSON *content, struct buf *out)
{
    const cJSON *part;

    if (cJSON_IsString(content))
        buf_put_text(out, content->valuestring);
    if (!cJSON_IsArray(content))
        return;
    cJSON_ArrayForEach(part, content)
    {
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(part, "text");

        if (cJSON_IsString(text))
            buf_put_text(out, text->valuestring);
    }
}

/* Count all messages; what the last user message says is the answer. */
static enum tg_status read_messages(const cJSON *tree, struct chat *chat, struct err *err)
{
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(tree, "messages");
    const cJSON *message;
    AUTO(buf) text = { 0 };

    if (!cJSON_IsArray(messages) || cJSON_GetArraySize(messages) == 0)
        return err_set(err, TG_INVALID, "messages must be an array of at least one message");
    buf_init(&text, CHAT_TEXT_MAX);
    cJSON_ArrayForEach(message, messages)
    {
        const cJSON *role = cJSON_GetObjectItemCaseSensitive(message, "role");

        if (!cJSON_IsString(role))
            return err_set(err, TG_INVALID, "each of messages must have a role");
        buf_clear(&text);
        chat_put_content(cJSON_GetObjectItemCaseSensitive(message, "content"), &text);
        chat->prompt_tokens += chat_count_words(buf_span(&text));
        if (strcmp(role->valuestring, "user") != 0)
            continue;
        buf_clear(&chat->text);
        buf_put_span(&chat->text, buf_span(&text));
    }
    TRY(buf_status(&text));
    return buf_status(&chat->text);
}

enum tg_status chat_set_model(struct chat *chat, struct span model, struct err *err)
{
    for (size_t i = 0; i < MODEL_COUNT; i++) {
        if (!span_equal(model, span_from(models[i])))
            continue;
        chat->is_slow = i == 1;
        (void)snprintf(chat->model, sizeof(chat->model), "%s", models[i]);
        return TG_OK;
    }
    return err_set(err, TG_MODEL_NOT_FOUND,
                   "The model '%.*s' does not exist: echo and echo-slow do.",
                   (int)(model.len < 64 ? model.len : 64), model.ptr);
}

enum tg_status chat_read_model(const cJSON *tree, struct chat *chat, struct err *err)
{
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(tree, "model");

    if (!cJSON_IsString(model))
        return err_set(err, TG_INVALID, "model must be a string");
    return chat_set_model(chat, span_from(model->valuestring), err);
}

enum tg_status chat_read_maximum(const cJSON *tree, const char *name, int64_t *most,
                                 struct err *err)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(tree, name);

    if (value == NULL || cJSON_IsNull(value))
        return TG_OK;
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 1) || !(value->valuedouble <= 1e9))
        return err_set(err, TG_INVALID, "%s must be 1 or more", name);
    *most = (int64_t)value->valuedouble;
    return TG_OK;
}

void chat_cut_text(struct chat *chat, int64_t most)
{
    const struct span text = buf_span(&chat->text);
    size_t end = 0;

    chat->completion_tokens = chat_count_words(text);
    if (chat->completion_tokens <= most)
        return;
    for (int64_t i = 0; i < most; i++)
        end = chat_word_end(text, end);
    chat->text.tail = chat->text.head + end;
    chat->completion_tokens = most;
    chat->is_cut = true;
}

static enum tg_status read_tree(const cJSON *tree, struct chat *chat, struct err *err)
{
    const cJSON *choices = cJSON_GetObjectItemCaseSensitive(tree, "n");
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(tree, "stream_options");
    int64_t most = INT64_MAX;

    if (!cJSON_IsObject(tree))
        return err_set(err, TG_INVALID, "the body must be a JSON object");
    TRY(chat_read_model(tree, chat, err));
    TRY(read_messages(tree, chat, err));
    TRY(chat_read_maximum(tree, "max_tokens", &most, err));
    TRY(chat_read_maximum(tree, "max_completion_tokens", &most, err));
    if (cJSON_IsNumber(choices) && choices->valuedouble != CHOICES_MAX)
        return err_set(err, TG_INVALID, "n must be 1: the sandbox gives one choice");
    chat->is_stream = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "stream"));
    chat->has_usage = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(options, "include_usage"));
    chat_cut_text(chat, most);
    return TG_OK;
}

enum tg_status chat_read(struct span body, struct chat *ret_chat, struct err *err)
{
    struct chat chat = { .created_s = clock_wall_ms() / MS_PER_S };
    AUTO_JSON tree = NULL;
    enum tg_status status;

    TRY(json_parse(body, &tree, err));
    buf_init(&chat.text, CHAT_TEXT_MAX);
    id_make_name("chat_", chat.id);
    status = read_tree(tree, &chat, err);
    if (status != TG_OK) {
        chat_fini(&chat);
        return status;
    }
    *ret_chat = chat;
    return TG_OK;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void put_head(struct json_writer *w, const struct chat *chat, const char *object)
{
    json_open_object(w, NULL);
    json_string(w, "id", chat->id);
    json_string(w, "object", object);
    json_int(w, "created", chat->created_s);
    json_string(w, "model", chat->model);
}

static void put_usage(struct json_writer *w, const struct chat *chat)
{
    json_open_object(w, "usage");
    json_int(w, "prompt_tokens", chat->prompt_tokens);
    json_int(w, "completion_tokens", chat->completion_tokens);
    json_int(w, "total_tokens", chat->prompt_tokens + chat->completion_tokens);
    json_close_object(w);
}

static const char *finish_reason(const struct chat *chat)
{
    return chat->is_cut ? "length" : "stop";
}

void chat_write(const struct chat *chat, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    put_head(&w, chat, "chat.completion");
    json_open_array(&w, "choices");
    json_open_object(&w, NULL);
    json_int(&w, "index", 0);
    json_open_object(&w, "message");
    json_string(&w, "role", "assistant");
    json_text(&w, "content", buf_span(&chat->text));
    json_null(&w, "refusal");
    json_close_object(&w);
    json_null(&w, "logprobs");
    json_string(&w, "finish_reason", finish_reason(chat));
    json_close_object(&w);
    json_close_array(&w);
    put_usage(&w, chat);
    json_close_object(&w);
}

/* A chunk with one choice. content: ptr NULL: none */
static void put_choice(struct json_writer *w, const struct chat *chat, struct span content)
{
    json_open_array(w, "choices");
    json_open_object(w, NULL);
    json_int(w, "index", 0);
    json_open_object(w, "delta");
    if (chat->step == STEP_ROLE)
        json_string(w, "role", "assistant");
    if (content.ptr != NULL)
        json_text(w, "content", content);
    json_close_object(w);
    if (chat->step == STEP_FINISH)
        json_string(w, "finish_reason", finish_reason(chat));
    else
        json_null(w, "finish_reason");
    json_close_object(w);
    json_close_array(w);
    if (chat->has_usage)
        json_null(w, "usage");
}

static void put_chunk(struct chat *chat, struct span content, struct buf *out)
{
    struct json_writer w;

    buf_put_text(out, "data: ");
    json_begin(&w, out);
    put_head(&w, chat, "chat.completion.chunk");
    if (chat->step == STEP_USAGE) {
        json_open_array(&w, "choices");
        json_close_array(&w);
        put_usage(&w, chat);
    } else {
        put_choice(&w, chat, content);
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

bool chat_next_event(struct chat *chat, struct buf *out)
{
    if (chat->step == STEP_WORDS && chat->at == buf_len(&chat->text))
        chat->step = STEP_FINISH;
    if (chat->step == STEP_USAGE && !chat->has_usage)
        chat->step = STEP_DONE;
    switch ((enum step)chat->step) {
    case STEP_ROLE:
        put_chunk(chat, SPAN_EMPTY, out);
        break;
    case STEP_WORDS:
        put_word(chat, out);
        return true;
    case STEP_FINISH:
    case STEP_USAGE:
        put_chunk(chat, (struct span){ NULL, 0 }, out);
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

void chat_write_models(struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_open_object(&w, NULL);
    json_string(&w, "object", "list");
    json_open_array(&w, "data");
    for (size_t i = 0; i < MODEL_COUNT; i++) {
        json_open_object(&w, NULL);
        json_string(&w, "id", models[i]);
        json_string(&w, "object", "model");
        json_int(&w, "created", 0);
        json_string(&w, "owned_by", "sandbox");
        json_close_object(&w);
    }
    json_close_array(&w);
    json_close_object(&w);
}

void chat_write_error(enum tg_status status, const char *message, struct buf *out)
{
    const struct tg_status_info *info = tg_status_info(status);
    struct json_writer w;

    json_begin(&w, out);
    json_open_object(&w, NULL);
    json_open_object(&w, "error");
    json_string(&w, "message", message[0] != '\0' ? message : info->sentence);
    json_string(&w, "type", info->type);
    json_null(&w, "param");
    json_string(&w, "code", info->code);
    json_close_object(&w);
    json_close_object(&w);
}
