#include "providers/answer_reader.h"

/* --- values -------------------------------------------------------------------------------------
 */

bool answer_read_value(struct scanner *s, struct scanner_value *ret_value)
{
    if (!scanner_value(s, ret_value)) {
        ret_value->type = SCANNER_NONE;
        return false;
    }
    switch (ret_value->type) {
    case SCANNER_OBJECT:
    case SCANNER_ARRAY:
        return scanner_leave(s) && s->at - ret_value->text.ptr > 2;
    case SCANNER_STRING:
        return ret_value->text.len > 0;
    case SCANNER_NUMBER:
    case SCANNER_TRUE:
    case SCANNER_FALSE:
        return true;
    case SCANNER_NONE:
    case SCANNER_NULL:
        break;
    }
    return false;
}

void answer_read_string(struct scanner *s, struct scanner_value *ret_string)
{
    struct scanner_value value;

    if (answer_read_value(s, &value) && value.type == SCANNER_STRING)
        *ret_string = value;
}

bool answer_find_count(const struct scanner_value *key, const struct answer_count *names,
                       size_t length, int *ret_number)
{
    for (size_t i = 0; i < length; i++) {
        if (scanner_is(key, names[i].name)) {
            *ret_number = names[i].number;
            return true;
        }
    }
    return false;
}

void answer_keep_text(struct tg_short_text *text, const struct scanner_value *value)
{
    if (value->type == SCANNER_NONE || text->len > 0)
        return;
    (void)scanner_unescape(value, text->text, sizeof(text->text),
                           &text->len); /* cut where longer */
}

/* --- events alike -------------------------------------------------------------------------------
 */

void answer_note_hole(struct answer_holes *holes, const struct scanner_value *string)
{
    if (holes->count < TG_SHAPE_HOLES_MAX)
        holes->hole[holes->count] = string->text;
    holes->count++;
}

void answer_note_text(struct answer_holes *holes, const struct scanner_value *string)
{
    holes->text_hole = holes->count;
    holes->text_count++;
    answer_note_hole(holes, string);
}

void answer_keep_shape(const struct answer_holes *holes, struct span data,
                       struct tg_event_shape *shape)
{
    const char *at = data.ptr;
    size_t len = 0;

    shape->holes = 0;
    if (holes->text_count != 1 || holes->count > TG_SHAPE_HOLES_MAX)
        return;
    for (int i = 0; i <= holes->count; i++) {
        const char *const stop = i < holes->count ? holes->hole[i].ptr : data.ptr + data.len;

        shape->len[i] = (size_t)(stop - at);
        if (shape->len[i] > sizeof(shape->bytes) - len)
            return;
        memcpy(shape->bytes + len, at, shape->len[i]);
        len += shape->len[i];
        if (i < holes->count)
            at = stop + holes->hole[i].len;
    }
    shape->holes = holes->count;
    shape->text_hole = holes->text_hole;
}

/* Read the string whose opening quote stands just before `rest`, and cut it off up to its closing
 * one. */
static bool cut_string(struct span *rest, struct scanner_value *ret_string)
{
    struct scanner s;

    scanner_init(&s, span_of(rest->ptr - 1, rest->len + 1));
    if (!scanner_value(&s, ret_string))
        return false;
    *rest = span_from_offset(*rest, ret_string->text.len);
    return true;
}

bool answer_has_shape(const struct tg_event_shape *shape, struct span data, int64_t *ret_text_bytes)
{
    const char *piece = shape->bytes;
    int64_t text_bytes = 0;

    if (shape->holes == 0)
        return false;
    for (int i = 0; i <= shape->holes; i++) {
        struct scanner_value string;

        if (!span_starts_with(data, span_of(piece, shape->len[i])))
            return false;
        piece += shape->len[i];
        data = span_from_offset(data, shape->len[i]);
        if (i == shape->holes)
            break;
        if (!cut_string(&data, &string))
            return false;
        if (i == shape->text_hole)
            text_bytes = (int64_t)scanner_text_bytes(&string);
    }
    *ret_text_bytes = text_bytes;
    return data.len == 0;
}
