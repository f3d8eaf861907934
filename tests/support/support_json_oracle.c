#include "support/support_json_oracle.h"

#include "base/json.h"
#include "providers/scanner.h"

#include <stdlib.h>

#define NUMBER_MAX 63

struct walk {
    struct scanner s;
    const cJSON *next[SCANNER_DEPTH_MAX + 1]; /* at each depth, the item that comes next */
    char *text;                               /* room for any string */
};

bool oracle_scanner_accepts(struct span text)
{
    struct scanner s;

    scanner_init(&s, text);
    (void)scanner_skip(&s); /* a fault shows at the end */
    return scanner_finish(&s) == TG_OK;
}

static bool is_same_string(struct walk *w, const struct scanner_value *value, const char *other)
{
    size_t len;

    if (!scanner_unescape(value, w->text, value->text.len, &len))
        return false;
    w->text[len] = '\0';
    return len == scanner_text_bytes(value) && scanner_is(value, SPAN("")) == (len == 0) &&
           strcmp(w->text, other) == 0; /* both end at a NUL that the string may hold */
}

static bool is_same_number(struct walk *w, const struct scanner_value *value, const cJSON *item)
{
    int64_t integer;

    memcpy(w->text, value->text.ptr, value->text.len);
    w->text[value->text.len] = '\0';
    if (strtod(w->text, NULL) != item->valuedouble)
        return false;
    return !scanner_int64(value, &integer) || (double)integer == item->valuedouble;
}

static bool is_same(struct walk *w, const struct scanner_value *value, const cJSON *item)
{
    switch (value->type) {
    case SCANNER_OBJECT:
        return cJSON_IsObject(item);
    case SCANNER_ARRAY:
        return cJSON_IsArray(item);
    case SCANNER_STRING:
        return cJSON_IsString(item) && is_same_string(w, value, item->valuestring);
    case SCANNER_NUMBER:
        return cJSON_IsNumber(item) && is_same_number(w, value, item);
    case SCANNER_TRUE:
        return cJSON_IsTrue(item);
    case SCANNER_FALSE:
        return cJSON_IsFalse(item);
    case SCANNER_NULL:
        return cJSON_IsNull(item);
    case SCANNER_NONE:
        break;
    }
    return false;
}

static bool agree_on_value(struct walk *w, const cJSON *item)
{
    struct scanner_value value;
    const int depth = w->s.depth;

    if (!scanner_value(&w->s, &value) || !is_same(w, &value, item))
        return false;
    w->next[depth] = item->next;
    if (w->s.depth > depth)
        w->next[w->s.depth] = item->child;
    return true;
}

static bool agree(struct walk *w, const cJSON *root)
{
    if (!agree_on_value(w, root))
        return false;
    while (w->s.depth > 0) {
        const int depth = w->s.depth;
        const bool is_in_object = scanner_is_in_object(&w->s);
        struct scanner_value key;
        const bool has_item = is_in_object ? scanner_member(&w->s, &key) : scanner_element(&w->s);
        const cJSON *const item = w->next[depth];

        if (has_item != (item != NULL))
            return false;
        if (!has_item)
            continue;
        if (is_in_object && !is_same_string(w, &key, item->string))
            return false;
        if (!agree_on_value(w, item))
            return false;
    }
    return scanner_finish(&w->s) == TG_OK;
}

/* Look for what cJSON refuses although it is JSON. */
static bool has_reason(struct span text, char *room)
{
    struct scanner s;
    struct scanner_value value;
    size_t len;

    scanner_init(&s, text);
    do {
        if (s.depth > 0 && scanner_is_in_object(&s)) {
            if (!scanner_member(&s, &value))
                continue;
            if (!scanner_unescape(&value, room, text.len, &len))
                return true;
        } else if (s.depth > 0 && !scanner_element(&s)) {
            continue;
        }
        if (!scanner_value(&s, &value))
            return false;
        if (value.type == SCANNER_STRING && !scanner_unescape(&value, room, text.len, &len))
            return true;
        if (value.type == SCANNER_NUMBER && value.text.len > NUMBER_MAX)
            return true;
    } while (s.depth > 0 && s.fault == SCANNER_FINE);
    return false;
}

bool oracle_agrees(struct span text)
{
    struct walk w = { .text = malloc(text.len + 1) };
    AUTO_JSON tree = cJSON_ParseWithLength(text.ptr, text.len);
    bool agrees;

    if (w.text == NULL)
        return true;
    scanner_init(&w.s, text);
    agrees = has_reason(text, w.text) || (tree != NULL && agree(&w, tree));
    free(w.text);
    return agrees;
}
