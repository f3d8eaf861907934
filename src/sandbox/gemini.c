#include "sandbox/gemini.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/try.h"
#include "providers/gemini_error.h"

#define ERROR_MAX  4096
#define DIMENSIONS 4 /* of an embedding, which says nothing */

enum step { STEP_WORDS = 1, STEP_FINISH, STEP_CLOSE, STEP_END }; /* 1: as in chat.h */

static const struct {
    struct span name;
    enum gemini_verb verb;
} verbs[] = {
    { SPAN("generateContent"), GEMINI_GENERATE },
    { SPAN("streamGenerateContent"), GEMINI_STREAM },
    { SPAN("countTokens"), GEMINI_COUNT },
    { SPAN("embedContent"), GEMINI_EMBED },
    { SPAN("batchEmbedContents"), GEMINI_EMBED_BATCH },
};

bool gemini_match(struct span path, struct gemini_path *ret_path)
{
    const struct span models = SPAN("/v1beta/models/");
    struct span name;

    if (!span_starts_with(path, models))
        return false;
    path = span_from_offset(path, models.len);
    if (!span_cut(&path, ':', &name))
        return false;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (!span_equal(path, verbs[i].name))
            continue;
        *ret_path = (struct gemini_path){ .verb = verbs[i].verb, .model = name };
        return true;
    }
    return false;
}

/* --- the request ------------------------------------------------------------------------------ */

/* The text of a content's parts; an object alone stands for a list of one. */
static void put_parts(const cJSON *content, struct buf *out)
{
    const cJSON *parts = cJSON_GetObjectItemCaseSensitive(content, "parts");
    const cJSON *part = cJSON_IsArray(parts) ? parts->child : parts;

    while (part != NULL) {
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(part, "text");

        if (cJSON_IsString(text))
            buf_put_text(out, text->valuestring);
        part = cJSON_IsArray(parts) ? part->next : NULL;
    }
}

/* Count a content; what the last of the user's says is the answer. */
static enum tg_status add_content(const cJSON *content, bool is_instruction, struct chat *chat)
{
    const cJSON *role = cJSON_GetObjectItemCaseSensitive(content, "role");
    AUTO(buf) text = { 0 };

    buf_init(&text, CHAT_TEXT_MAX);
    put_parts(content, &text);
    TRY(buf_status(&text));
    chat->prompt_tokens += chat_count_words(buf_span(&text));
    if (is_instruction || (cJSON_IsString(role) && strcmp(role->valuestring, "user") != 0))
        return TG_OK;
    buf_clear(&chat->text);
    buf_put_span(&chat->text, buf_span(&text));
    return buf_status(&chat->text);
}

static enum tg_status add_contents(const cJSON *contents, struct chat *chat)
{
    const cJSON *content = cJSON_IsArray(contents) ? contents->child : contents;

    while (content != NULL) {
        TRY(add_content(content, /* is_instruction= */ false, chat));
        content = cJSON_IsArray(contents) ? content->next : NULL;
    }
    return TG_OK;
}

static const cJSON *either(const cJSON *tree, const char *name, const char *snake)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(tree, name);

    return member != NULL ? member : cJSON_GetObjectItemCaseSensitive(tree, snake);
}

static enum tg_status read_config(const cJSON *tree, int64_t *most, struct err *err)
{
    const cJSON *config = either(tree, "generationConfig", "generation_config");
    const cJSON *candidates = either(config, "candidateCount", "candidate_count");

    if (cJSON_IsNumber(candidates) && candidates->valuedouble != 1)
        return err_set(err, TG_INVALID, "candidateCount must be 1: the sandbox gives one");
    TRY(chat_read_maximum(config, "max_output_tokens", most, err));
    return chat_read_maximum(config, "maxOutputTokens", most, err);
}

static enum tg_status read_generate(const cJSON *tree, struct chat *chat, struct err *err)
{
    const cJSON *contents = cJSON_GetObjectItemCaseSensitive(tree, "contents");
    const cJSON *instruction = either(tree, "systemInstruction", "system_instruction");
    int64_t most = INT64_MAX;

    if (contents == NULL)
        return err_set(err, TG_INVALID, "contents is not specified");
    if (instruction != NULL)
        TRY(add_content(instruction, /* is_instruction= */ true, chat));
    TRY(add_contents(contents, chat));
    TRY(read_config(tree, &most, err));
    chat_cut_text(chat, most);
    return TG_OK;
}

static enum tg_status read_count(const cJSON *tree, struct chat *chat, struct err *err)
{
    const cJSON *request = either(tree, "generateContentRequest", "generate_content_request");

    return read_generate(request != NULL ? request : tree, chat, err);
}

/* How many embeddings there are is kept as tokens of the answer, which has none. */
static enum tg_status read_batch(const cJSON *tree, struct chat *chat)
{
    const cJSON *request;

    cJSON_ArrayForEach(request, cJSON_GetObjectItemCaseSensitive(tree, "requests"))
    {
        TRY(add_contents(cJSON_GetObjectItemCaseSensitive(request, "content"), chat));
        chat->completion_tokens++;
    }
    return TG_OK;
}

static enum tg_status read_tree(enum gemini_verb verb, const cJSON *tree, struct chat *chat,
                                struct err *err)
{
    if (!cJSON_IsObject(tree))
        return err_set(err, TG_INVALID, "the body must be a JSON object");
    switch (verb) {
    case GEMINI_GENERATE:
    case GEMINI_STREAM:
        return read_generate(tree, chat, err);
    case GEMINI_COUNT:
        return read_count(tree, chat, err);
    case GEMINI_EMBED:
        return add_contents(cJSON_GetObjectItemCaseSensitive(tree, "content"), chat);
    case GEMINI_EMBED_BATCH:
        break;
    }
    return read_batch(tree, chat);
}

enum tg_status gemini_read(const struct gemini_path *path, struct span body, bool is_array,
                           struct chat *ret_chat, struct err *err)
{
    struct chat chat = { .step = STEP_WORDS, .is_array = is_array };
    AUTO_JSON tree = NULL;
    enum tg_status status;

    TRY(json_parse(body, &tree, err));
    buf_init(&chat.text, CHAT_TEXT_MAX);
    id_make_name("resp_", chat.id);
    chat.is_stream = path->verb == GEMINI_STREAM;
    status = chat_set_model(&chat, path->model, err);
    if (status == TG_OK)
        status = read_tree(path->verb, tree, &chat, err);
    if (status != TG_OK) {
        chat_fini(&chat);
        return status;
    }
    *ret_chat = chat;
    return TG_OK;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void put_usage(struct json_writer *w, const struct chat *chat, int64_t candidates_tokens)
{
    json_open_object(w, "usageMetadata");
    json_int(w, "promptTokenCount", chat->prompt_tokens);
    json_int(w, "candidatesTokenCount", candidates_tokens);
    json_int(w, "totalTokenCount", chat->prompt_tokens + candidates_tokens);
    json_close_object(w);
}

/* An answer, or a piece of one. tokens: so far */
static void put_answer(struct json_writer *w, const struct chat *chat, struct span text,
                       int64_t tokens, bool is_last)
{
    json_open_object(w, NULL);
    json_open_array(w, "candidates");
    json_open_object(w, NULL);
    json_open_object(w, "content");
    json_open_array(w, "parts");
    json_open_object(w, NULL);
    json_text(w, "text", text);
    json_close_object(w);
    json_close_array(w);
    json_string(w, "role", "model");
    json_close_object(w);
    if (is_last)
        json_string(w, "finishReason", chat->is_cut ? "MAX_TOKENS" : "STOP");
    json_int(w, "index", 0);
    json_close_object(w);
    json_close_array(w);
    put_usage(w, chat, tokens);
    json_string(w, "modelVersion", chat->model);
    json_string(w, "responseId", chat->id);
    json_close_object(w);
}

static void put_embedding(struct json_writer *w, const char *name)
{
    json_open_object(w, name);
    json_open_array(w, "values");
    for (int i = 0; i < DIMENSIONS; i++)
        json_int(w, NULL, i == 0 ? 1 : 0);
    json_close_array(w);
    json_close_object(w);
}

static void put_embeddings(struct json_writer *w, enum gemini_verb verb, const struct chat *chat)
{
    json_open_object(w, NULL);
    if (verb == GEMINI_EMBED) {
        put_embedding(w, "embedding");
    } else {
        json_open_array(w, "embeddings");
        for (int64_t i = 0; i < chat->completion_tokens; i++)
            put_embedding(w, NULL);
        json_close_array(w);
    }
    json_open_object(w, "usageMetadata");
    json_int(w, "promptTokenCount", chat->prompt_tokens);
    json_close_object(w);
    json_close_object(w);
}

void gemini_write(enum gemini_verb verb, const struct chat *chat, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    switch (verb) {
    case GEMINI_GENERATE:
    case GEMINI_STREAM:
        put_answer(&w, chat, buf_span(&chat->text), chat->completion_tokens, /* is_last= */ true);
        break;
    case GEMINI_COUNT:
        json_open_object(&w, NULL);
        json_int(&w, "totalTokens", chat->prompt_tokens);
        json_close_object(&w);
        break;
    case GEMINI_EMBED:
    case GEMINI_EMBED_BATCH:
        put_embeddings(&w, verb, chat);
        break;
    }
}

static void put_event(struct chat *chat, struct span text, bool is_last, struct buf *out)
{
    struct json_writer w;

    chat->sent_tokens += chat_count_words(text);
    if (!chat->is_array)
        buf_put_text(out, "data: ");
    else
        buf_put_text(out, chat->events == 0 ? "[" : ",\r\n");
    json_begin(&w, out);
    put_answer(&w, chat, text, chat->sent_tokens, is_last);
    buf_put_text(out, chat->is_array ? "" : "\r\n\r\n");
    chat->events++;
}

bool gemini_next_event(struct chat *chat, struct buf *out)
{
    const struct span text = buf_span(&chat->text);
    size_t begin = chat->at;

    if (chat->step == STEP_WORDS && begin == text.len)
        chat->step = STEP_FINISH;
    switch ((enum step)chat->step) {
    case STEP_WORDS:
        chat->at = chat_word_end(text, begin);
        put_event(chat, span_of(text.ptr + begin, chat->at - begin), /* is_last= */ false, out);
        return true;
    case STEP_FINISH:
        put_event(chat, SPAN_EMPTY, /* is_last= */ true, out);
        chat->step = chat->is_array ? STEP_CLOSE : STEP_END;
        return true;
    case STEP_CLOSE:
        buf_put_text(out, "]");
        chat->step = STEP_END;
        return true;
    case STEP_END:
        break;
    }
    return false;
}

void gemini_write_error(enum tg_status status, const char *message, struct buf *out)
{
    const struct tg_error error = { .status = status, .message = { message, strlen(message) } };
    char text[ERROR_MAX];

    buf_put(out, text, gemini_error_write(&error, text, sizeof(text)));
}
