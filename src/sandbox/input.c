#include "sandbox/input.h"

#include "base/id.h"
#include "base/try.h"
#include "sandbox/chat.h"

/* --- embeddings ------------------------------------------------------------------------------- */

struct vectors {
    struct json_writer w;
    int64_t tokens;
    int64_t count;
    bool is_base64;
};

static void put_vector(struct vectors *vectors, int64_t tokens, int64_t bytes)
{
    json_open_object(&vectors->w, NULL);
    json_string(&vectors->w, "object", "embedding");
    json_int(&vectors->w, "index", vectors->count++);
    if (vectors->is_base64) {
        json_string(&vectors->w, "embedding", "AAAAAAAAgD8="); /* 0 and 1 */
    } else {
        json_open_array(&vectors->w, "embedding");
        json_int(&vectors->w, NULL, tokens);
        json_int(&vectors->w, NULL, bytes);
        json_close_array(&vectors->w);
    }
    json_close_object(&vectors->w);
    vectors->tokens += tokens;
}

/* One text, or a list of tokens. */
static enum tg_status put_one(struct vectors *vectors, const cJSON *input, struct err *err)
{
    if (cJSON_IsString(input)) {
        const struct span text = span_from(input->valuestring);

        put_vector(vectors, chat_count_words(text), (int64_t)text.len);
        return TG_OK;
    }
    if (!cJSON_IsArray(input))
        return err_set(err, TG_INVALID, "input must be text, tokens, or an array of these");
    put_vector(vectors, cJSON_GetArraySize(input), 0);
    return TG_OK;
}

static enum tg_status put_all(struct vectors *vectors, const cJSON *input, struct err *err)
{
    const cJSON *one;

    if (!cJSON_IsArray(input) || cJSON_IsNumber(cJSON_GetArrayItem(input, 0)))
        return put_one(vectors, input, err);
    cJSON_ArrayForEach(one, input) TRY(put_one(vectors, one, err));
    return TG_OK;
}

enum tg_status input_write_embeddings(struct span body, struct buf *out, struct err *err)
{
    struct vectors vectors = { .tokens = 0 };
    struct chat chat = { .is_slow = false };
    const cJSON *format;
    AUTO_JSON tree = NULL;
    AUTO(buf) list = { 0 };

    TRY(json_parse(body, &tree, err));
    TRY(chat_read_model(tree, &chat, err));
    format = cJSON_GetObjectItemCaseSensitive(tree, "encoding_format");
    vectors.is_base64 = cJSON_IsString(format) && strcmp(format->valuestring, "base64") == 0;
    buf_init(&list, CHAT_TEXT_MAX);
    json_begin(&vectors.w, &list);
    json_open_object(&vectors.w, NULL);
    json_string(&vectors.w, "object", "list");
    json_open_array(&vectors.w, "data");
    TRY(put_all(&vectors, cJSON_GetObjectItemCaseSensitive(tree, "input"), err));
    json_close_array(&vectors.w);
    json_string(&vectors.w, "model", chat.model);
    json_open_object(&vectors.w, "usage");
    json_int(&vectors.w, "prompt_tokens", vectors.tokens);
    json_int(&vectors.w, "total_tokens", vectors.tokens);
    json_close_object(&vectors.w);
    json_close_object(&vectors.w);
    TRY(buf_status(&list));
    buf_put_span(out, buf_span(&list));
    return buf_status(out);
}

/* --- moderations ------------------------------------------------------------------------------ */

enum tg_status input_write_moderation(struct span body, struct buf *out, struct err *err)
{
    AUTO_JSON tree = NULL;
    struct json_writer w;
    char id[40];

    TRY(json_parse(body, &tree, err));
    if (cJSON_GetObjectItemCaseSensitive(tree, "input") == NULL)
        return err_set(err, TG_INVALID, "input must be given");
    id_make_name("modr_", id);
    json_begin(&w, out);
    json_open_object(&w, NULL);
    json_string(&w, "id", id);
    json_string(&w, "model", "echo");
    json_open_array(&w, "results");
    json_open_object(&w, NULL);
    json_bool(&w, "flagged", false);
    json_open_object(&w, "categories");
    json_close_object(&w);
    json_open_object(&w, "category_scores");
    json_close_object(&w);
    json_close_object(&w);
    json_close_array(&w);
    json_close_object(&w);
    return buf_status(out);
}
