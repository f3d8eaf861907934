#include "sim_json.h"

#include <string.h>

static void skip_blanks(struct sim_json *json)
{
    while (json->at < json->end && strchr(" \t\r\n", *json->at) != NULL && *json->at != '\0')
        json->at++;
}

static bool take(struct sim_json *json, char wanted)
{
    skip_blanks(json);
    if (json->at == json->end || *json->at != wanted)
        return false;
    json->at++;
    return true;
}

/* Step over a string whose opening quote is at the cursor. */
static bool skip_string(struct sim_json *json)
{
    for (json->at++; json->at < json->end; json->at++) {
        if (*json->at == '"') {
            json->at++;
            return true;
        }
        if (*json->at == '\\')
            json->at++;
    }
    json->at = json->end;
    return false;
}

/* Step over an object or an array, counting depth; brackets are not matched by kind. */
static bool skip_nested(struct sim_json *json)
{
    size_t depth = 0;

    while (json->at < json->end) {
        const char byte = *json->at;

        if (byte == '"') {
            if (!skip_string(json))
                return false;
            continue;
        }
        json->at++;
        if (byte == '{' || byte == '[')
            depth++;
        if ((byte == '}' || byte == ']') && --depth == 0)
            return true;
    }
    return false;
}

static bool skip_value(struct sim_json *json)
{
    if (json->at == json->end)
        return false;
    if (*json->at == '"')
        return skip_string(json);
    if (*json->at == '{' || *json->at == '[')
        return skip_nested(json);
    const char *start = json->at;

    while (json->at < json->end && strchr(",}] \t\r\n", *json->at) == NULL)
        json->at++;
    return json->at > start;
}

void sim_json_init(struct sim_json *json, struct sim_span text)
{
    *json = (struct sim_json){ text.ptr, text.ptr + text.len, false, true };
    json->is_bad = text.len == 0 || !take(json, '{');
}

static bool fail(struct sim_json *json)
{
    json->is_bad = true;
    return false;
}

bool sim_json_next(struct sim_json *json, struct sim_span *ret_key, struct sim_span *ret_value)
{
    if (json->is_bad)
        return false;
    if (take(json, '}')) {
        skip_blanks(json);
        return json->at == json->end ? false : fail(json);
    }
    if (!json->is_first && !take(json, ','))
        return fail(json);
    json->is_first = false;
    skip_blanks(json);
    if (json->at == json->end || *json->at != '"')
        return fail(json);
    const char *key = json->at + 1;

    if (!skip_string(json))
        return fail(json);
    *ret_key = (struct sim_span){ key, (size_t)(json->at - 1 - key) };
    if (!take(json, ':'))
        return fail(json);
    skip_blanks(json);
    const char *value = json->at;

    if (!skip_value(json))
        return fail(json);
    *ret_value = (struct sim_span){ value, (size_t)(json->at - value) };
    return true;
}

static bool same(struct sim_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.ptr, text, span.len) == 0;
}

static int64_t whole(struct sim_span value, int64_t otherwise)
{
    int64_t number = 0;

    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9' || number > INT64_C(1000000000))
            return otherwise;
        number = number * 10 + (value.ptr[i] - '0');
    }
    return value.len == 0 ? otherwise : number;
}

static bool wants_usage(struct sim_span options)
{
    struct sim_json json;
    struct sim_span key;
    struct sim_span value;
    bool wants = false;

    sim_json_init(&json, options);
    while (sim_json_next(&json, &key, &value)) {
        if (same(key, "include_usage"))
            wants = same(value, "true");
    }
    return wants;
}

/* Members of a list that are no numbers, and numbers in it however deep. */
static void count_members(struct sim_span list, int64_t *ret_members, int64_t *ret_numbers)
{
    int64_t depth = 0;
    bool is_string = false;

    *ret_members = *ret_numbers = 0;
    for (size_t i = 0; i < list.len; i++) {
        const char byte = list.ptr[i];

        if (is_string) {
            i += byte == '\\' ? 1 : 0;
            is_string = byte != '"';
            continue;
        }
        is_string = byte == '"';
        *ret_members += depth == 1 && (byte == '"' || byte == '[' || byte == '{') ? 1 : 0;
        depth += byte == '[' || byte == '{' ? 1 : 0;
        depth -= byte == ']' || byte == '}' ? 1 : 0;
        *ret_numbers +=
            byte >= '0' && byte <= '9' && (list.ptr[i - 1] < '0' || list.ptr[i - 1] > '9');
    }
}

static void read_input(struct sim_ask *ask, struct sim_span value)
{
    int64_t members = 0;
    int64_t numbers = 0;

    if (value.len > 0 && value.ptr[0] == '[')
        count_members(value, &members, &numbers);
    ask->inputs = members > 1 ? members : 1;
    ask->input_tokens = numbers;
}

bool sim_ask_read(struct sim_span body, struct sim_ask *ret_ask)
{
    struct sim_ask ask = { .n = 1, .inputs = 1 };
    int64_t max_completion = 0;
    int64_t best_of = 1;
    struct sim_json json;
    struct sim_span key;
    struct sim_span value;

    sim_json_init(&json, body);
    while (sim_json_next(&json, &key, &value)) {
        if (same(key, "model") && value.len > 2 && value.ptr[0] == '"')
            ask.model = (struct sim_span){ value.ptr + 1, value.len - 2 };
        else if (same(key, "stream"))
            ask.is_stream = same(value, "true");
        else if (same(key, "n"))
            ask.n = whole(value, 1);
        else if (same(key, "max_tokens"))
            ask.max_tokens = whole(value, 0);
        else if (same(key, "max_completion_tokens"))
            max_completion = whole(value, 0);
        else if (same(key, "max_output_tokens"))
            max_completion = whole(value, 0);
        else if (same(key, "best_of"))
            best_of = whole(value, 1);
        else if (same(key, "prompt") || (same(key, "input") && value.ptr[0] == '['))
            read_input(&ask, value);
        else if (same(key, "encoding_format"))
            ask.wants_base64 = same(value, "\"base64\"");
        else if (same(key, "stream_options"))
            ask.asks_usage = wants_usage(value);
    }
    if (max_completion > 0)
        ask.max_tokens = max_completion;
    if (ask.n < 1)
        ask.n = 1;
    ask.billed_n = best_of > ask.n ? best_of : ask.n;
    *ret_ask = ask;
    return !json.is_bad;
}
