#include "pricing/markup.h"

#include "base/try.h"

#include <stdlib.h>

#define TEXT_FIRST_BYTES 1024
#define TEXT_CAP_BYTES   ((size_t)4 << 20)
#define ROWS_FIRST       16

void markup_list_init(struct markup_list *list)
{
    *list = (struct markup_list){ 0 };
    arena_init(&list->text, TEXT_FIRST_BYTES, TEXT_CAP_BYTES);
}

void markup_list_fini(struct markup_list *list)
{
    free(list->rows);
    arena_fini(&list->text);
    *list = (struct markup_list){ 0 };
}

static enum tg_status keep(struct markup_list *list, struct span *text)
{
    *text = text->len == 0 ? SPAN_EMPTY : arena_copy(&list->text, *text);
    return text->ptr != NULL ? TG_OK : TG_NO_MEMORY;
}

static enum tg_status keep_lower(struct markup_list *list, struct span *text)
{
    char *copy = arena_alloc(&list->text, text->len);

    if (copy == NULL)
        return TG_NO_MEMORY;
    for (size_t i = 0; i < text->len; i++) {
        const char c = text->ptr[i];

        copy[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    text->ptr = copy;
    return TG_OK;
}

enum tg_status markup_list_add(struct markup_list *list, const struct markup *markup)
{
    struct markup copy = *markup;

    if (list->count == MARKUP_ROWS_MAX)
        return TG_TOO_LARGE;
    if (list->count == list->room) {
        const size_t room = list->room == 0 ? ROWS_FIRST : list->room * 2;
        struct markup *rows = reallocarray(list->rows, room, sizeof(*rows));

        if (rows == NULL)
            return TG_NO_MEMORY;
        list->rows = rows;
        list->room = room;
    }
    TRY(keep(list, &copy.provider));
    TRY(keep_lower(list, &copy.model));
    TRY(keep(list, &copy.team_public_id));
    TRY(keep(list, &copy.note));
    list->rows[list->count++] = copy;
    return TG_OK;
}

static bool model_holds(struct span pattern, struct span model)
{
    if (pattern.len == 0)
        return true;
    if (span_ends_with(pattern, SPAN("*")))
        return span_starts_with(model, span_of(pattern.ptr, pattern.len - 1));
    return span_equal(pattern, model);
}

static bool holds(const struct markup *markup, const struct markup_query *query)
{
    return markup->side == query->side &&
           (markup->team_id == 0 || markup->team_id == query->team_id) &&
           (markup->provider.len == 0 || span_equal(markup->provider, query->provider)) &&
           model_holds(markup->model, query->model) && markup->valid_from_ms <= query->at_ms &&
           query->at_ms < markup->valid_until_ms;
}

static int compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* How closely a pattern names a model: exactly, by a prefix of some length, not at all. */
static int64_t closeness(struct span pattern)
{
    return span_ends_with(pattern, SPAN("*")) || pattern.len == 0 ? (int64_t)pattern.len
                                                                  : INT64_MAX;
}

/* Above 0: `a` precedes. */
static int compare(const struct markup *a, const struct markup *b)
{
    int order = compare_int(a->team_id != 0, b->team_id != 0);

    order = order != 0 ? order : compare_int(closeness(a->model), closeness(b->model));
    order = order != 0 ? order : compare_int(a->provider.len != 0, b->provider.len != 0);
    order = order != 0 ? order : compare_int(a->valid_from_ms, b->valid_from_ms);
    return order != 0 ? order : compare_int(a->id, b->id);
}

const struct markup *markup_find(const struct markup_list *list, const struct markup_query *query)
{
    const struct markup *first = NULL;

    for (size_t i = 0; i < list->count; i++) {
        const struct markup *markup = &list->rows[i];

        if (holds(markup, query) && (first == NULL || compare(markup, first) > 0))
            first = markup;
    }
    return first;
}

static const char *const side_names[] = { [MARKUP_COST] = "cost", [MARKUP_CHARGE] = "charge" };

const char *markup_side_name(enum markup_side side)
{
    return side_names[side];
}

bool markup_side_from_name(struct span name, enum markup_side *ret_side)
{
    for (int side = 0; side < 2; side++) {
        if (!span_equal(name, span_from(side_names[side])))
            continue;
        *ret_side = (enum markup_side)side;
        return true;
    }
    return false;
}
