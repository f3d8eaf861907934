#include "sim_script.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define NUMBER_MAX INT64_C(9000000000000000000)

struct word {
    const char *name;
    int64_t value;
};

static const struct word flag_words[] = { { "1", 1 }, { "0", 0 }, { NULL, 0 } };
static const struct word done_words[] = { { "no", 1 }, { "yes", 0 }, { NULL, 0 } };
static const struct word gzip_words[] = { { "gzip", 1 }, { NULL, 0 } };
static const struct word place_words[] = {
    { "none", SIM_PLACE_NONE },
    { "last", SIM_PLACE_LAST },
    { "extra", SIM_PLACE_EXTRA },
    { "every", SIM_PLACE_EVERY },
    { "null_after", SIM_PLACE_NULL_AFTER },
    { NULL, 0 },
};
static const struct word form_words[] = {
    { "wrong", SIM_FORM_WRONG },       { "string", SIM_FORM_STRING },
    { "negative", SIM_FORM_NEGATIVE }, { "huge", SIM_FORM_HUGE },
    { "residual", SIM_FORM_RESIDUAL }, { NULL, 0 },
};
static const struct word stall_words[] = {
    { "head", SIM_SPOT_HEAD },
    { "body", SIM_SPOT_BODY },
    { "end", SIM_SPOT_END },
    { NULL, 0 },
};
static const struct word garbage_words[] = {
    { "head", SIM_SPOT_HEAD },
    { "body", SIM_SPOT_BODY },
    { "json", SIM_SPOT_JSON },
    { NULL, 0 },
};
static const struct word break_words[] = {
    { "head", SIM_AT_HEAD },
    { "start", SIM_AT_START },
    { NULL, 0 },
};

/* `usage` stands twice, as a place and as a form, so `usage=last;usage=string` combines them. */
static const struct entry {
    const char *name;
    size_t offset;
    const struct word *words; /* NULL: numbers only */
    bool takes_number;
} entries[] = {
#define NUMBER(name, field)                                                                        \
    {                                                                                              \
        name, offsetof(struct sim_script, field), NULL, true                                       \
    }
#define FLAG(name, field)                                                                          \
    {                                                                                              \
        name, offsetof(struct sim_script, field), flag_words, false                                \
    }
#define WORDS(name, field, words)                                                                  \
    {                                                                                              \
        name, offsetof(struct sim_script, field), words, false                                     \
    }
#define BREAK(name, field)                                                                         \
    {                                                                                              \
        name, offsetof(struct sim_script, field), break_words, true                                \
    }
    NUMBER("out", out),
    NUMBER("prompt", prompt),
    NUMBER("cached", cached),
    NUMBER("reasoning", reasoning),
    NUMBER("audio_in", audio_in),
    NUMBER("cache_write", cache_write),
    NUMBER("cache_12h", cache_12h),
    NUMBER("cache_1h", cache_1h),
    NUMBER("compaction", compaction),
    NUMBER("advisor", advisor),
    NUMBER("web", web),
    NUMBER("files", files),
    NUMBER("code", code),
    NUMBER("tool", tool),
    NUMBER("cached_audio", cached_audio),
    NUMBER("image_out", image_out),
    NUMBER("audio_out", audio_out),
    NUMBER("first_ms", first_ms),
    NUMBER("gap_ms", gap_ms),
    NUMBER("slow_ms", slow_ms),
    NUMBER("events", events),
    NUMBER("error_after", error_after),
    NUMBER("split", split),
    NUMBER("big", big),
    NUMBER("status", status),
    NUMBER("retry_after", retry_after_s),
    BREAK("cut", cut),
    BREAK("reset", reset),
    WORDS("usage", place, place_words),
    WORDS("usage", form, form_words),
    WORDS("stall", stall, stall_words),
    WORDS("garbage", garbage, garbage_words),
    WORDS("done", no_done, done_words),
    WORDS("encoding", gzip, gzip_words),
    FLAG("crlf", crlf),
    FLAG("cr", cr),
    FLAG("comments", comments),
    FLAG("bom", bom),
    FLAG("coalesce", coalesce),
    FLAG("multiline", multiline),
    FLAG("azure", azure),
    FLAG("obfuscation", obfuscation),
    FLAG("close", close),
    FLAG("eof", eof),
    FLAG("chunk_ext", chunk_ext),
    FLAG("trailers", trailers),
    FLAG("hop", hop),
    FLAG("switch", redirect),
    FLAG("early", early),
    FLAG("hundred", hundred),
    FLAG("call", calls_tool),
    FLAG("no_output", no_output),
    FLAG("blocked", blocked),
};

void sim_script_init(struct sim_script *script)
{
    *script = (struct sim_script){ .out = SIM_UNSET,
                                   .prompt = SIM_UNSET,
                                   .cached = SIM_UNSET,
                                   .reasoning = SIM_UNSET,
                                   .audio_in = SIM_UNSET,
                                   .cache_write = SIM_UNSET,
                                   .events = SIM_UNSET,
                                   .error_after = SIM_UNSET,
                                   .cut = SIM_UNSET,
                                   .reset = SIM_UNSET,
                                   .retry_after_s = 1 };
}

static bool same(struct sim_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.ptr, text, span.len) == 0;
}

static bool read_number(struct sim_span value, int64_t *ret_number)
{
    int64_t number = 0;

    for (size_t i = 0; i < value.len; i++) {
        if (!isdigit((unsigned char)value.ptr[i]) || number > NUMBER_MAX / 10)
            return false;
        number = number * 10 + (value.ptr[i] - '0');
    }
    *ret_number = number;
    return value.len > 0;
}

static bool read_entry(const struct entry *entry, struct sim_span value, int64_t *ret_number)
{
    if (entry->takes_number && read_number(value, ret_number))
        return true;
    for (const struct word *word = entry->words; word != NULL && word->name != NULL; word++) {
        if (same(value, word->name)) {
            *ret_number = word->value;
            return true;
        }
    }
    return false;
}

static bool copy_text(char *into, size_t cap, struct sim_span value)
{
    if (value.len >= cap)
        return false;
    memcpy(into, value.ptr, value.len);
    into[value.len] = '\0';
    return true;
}

static bool read_pair(struct sim_script *script, struct sim_span name, struct sim_span value)
{
    if (same(name, "model"))
        return copy_text(script->model, sizeof(script->model), value);
    if (same(name, "tier"))
        return copy_text(script->tier, sizeof(script->tier), value);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        if (!same(name, entries[i].name))
            continue;
        if (read_entry(&entries[i], value, (int64_t *)(void *)((char *)script + entries[i].offset)))
            return true;
    }
    return false;
}

static struct sim_span trim(struct sim_span text)
{
    while (text.len > 0 && isspace((unsigned char)text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && isspace((unsigned char)text.ptr[text.len - 1]))
        text.len--;
    return text;
}

const char *sim_script_read(struct sim_script *script, struct sim_span text, size_t *ret_len)
{
    while (text.len > 0) {
        const char *semicolon = memchr(text.ptr, ';', text.len);
        const size_t len = semicolon == NULL ? text.len : (size_t)(semicolon - text.ptr);
        const struct sim_span pair = trim((struct sim_span){ text.ptr, len });
        const size_t step = semicolon == NULL ? len : len + 1;

        text = (struct sim_span){ text.ptr + step, text.len - step };
        if (pair.len == 0)
            continue;
        const char *equals = memchr(pair.ptr, '=', pair.len);

        *ret_len = pair.len;
        if (equals == NULL)
            return pair.ptr;
        const struct sim_span name = { pair.ptr, (size_t)(equals - pair.ptr) };
        const struct sim_span value = { equals + 1, pair.len - name.len - 1 };

        if (!read_pair(script, trim(name), trim(value)))
            return pair.ptr;
    }
    return NULL;
}
