#include "pricing/price.h"

#include "base/try.h"
#include "pricing/match.h"
#include "pricing/window.h"

#include <stdlib.h>

#define TEXT_FIRST_BYTES ((size_t)64 << 10)
#define TEXT_CAP_BYTES   ((size_t)64 << 20)
#define ROWS_FIRST       256

static const char *const tier_names[] = {
    [PRICE_BATCH] = "batch",       [PRICE_FLEX] = "flex", [PRICE_STANDARD] = "standard",
    [PRICE_PRIORITY] = "priority", [PRICE_FAST] = "fast",
};
_Static_assert(sizeof(tier_names) / sizeof(tier_names[0]) == PRICE_TIER_COUNT, "one name a tier");

static const char *const unit_names[] = {
    [PRICE_TOKEN] = "token",   [PRICE_IMAGE] = "image", [PRICE_PIXEL] = "pixel",
    [PRICE_CHAR] = "char",     [PRICE_CALL] = "call",   [PRICE_PAGE] = "page",
    [PRICE_SECOND] = "second", [PRICE_HOUR] = "hour",
};
_Static_assert(sizeof(unit_names) / sizeof(unit_names[0]) == PRICE_UNIT_COUNT, "one name a unit");

void price_list_init(struct price_list *list)
{
    *list = (struct price_list){ 0 };
    arena_init(&list->text, TEXT_FIRST_BYTES, TEXT_CAP_BYTES);
}

void price_list_fini(struct price_list *list)
{
    free(list->rows);
    arena_fini(&list->text);
    *list = (struct price_list){ 0 };
}

enum tg_status price_list_add(struct price_list *list, const struct price *price)
{
    if (list->count == PRICE_ROWS_MAX)
        return TG_TOO_LARGE;
    if (list->count == list->room) {
        const size_t room = list->room == 0 ? ROWS_FIRST : list->room * 2;
        struct price *rows = reallocarray(list->rows, room, sizeof(*rows));

        if (rows == NULL)
            return TG_NO_MEMORY;
        list->rows = rows;
        list->room = room;
    }
    list->rows[list->count++] = *price;
    return TG_OK;
}

enum tg_status price_list_copy(struct price_list *list, struct span text, struct span *ret_copy)
{
    const struct span copy = text.len == 0 ? SPAN_EMPTY : arena_copy(&list->text, text);

    if (copy.ptr == NULL)
        return TG_NO_MEMORY;
    *ret_copy = copy;
    return TG_OK;
}

const char *price_tier_name(enum price_tier tier)
{
    return tier_names[tier];
}

const char *price_unit_name(enum price_unit unit)
{
    return unit_names[unit];
}

bool price_tier_from_name(struct span name, enum price_tier *ret_tier)
{
    for (int tier = 0; tier < PRICE_TIER_COUNT; tier++) {
        if (span_equal(name, span_from(tier_names[tier]))) {
            *ret_tier = (enum price_tier)tier;
            return true;
        }
    }
    return false;
}

bool price_unit_from_name(struct span name, enum price_unit *ret_unit)
{
    for (int unit = 0; unit < PRICE_UNIT_COUNT; unit++) {
        if (span_equal(name, span_from(unit_names[unit]))) {
            *ret_unit = (enum price_unit)unit;
            return true;
        }
    }
    return false;
}

bool price_class_from_name(struct span name, enum tg_class *ret_class)
{
    for (int i = 0; i < TG_CLASS_COUNT; i++) {
        if (span_equal(name, span_from(tg_class_name((enum tg_class)i)))) {
            *ret_class = (enum tg_class)i;
            return true;
        }
    }
    return false;
}

/* The unit that a class is counted in; time is priced by the second or the hour. */
static enum price_unit unit_of(enum tg_class class)
{
    if (class < TG_TOKEN_CLASS_COUNT || class == TG_CITATION)
        return PRICE_TOKEN;
    if (class == TG_IMAGE_IN || class == TG_IMAGE_OUT)
        return PRICE_IMAGE;
    if (class == TG_CHAR_IN || class == TG_CHAR_OUT)
        return PRICE_CHAR;
    if (class >= TG_AUDIO_IN && class <= TG_VIDEO_OUT)
        return PRICE_SECOND;
    if (class == TG_PAGE || class == TG_PAGE_ANNOTATED)
        return PRICE_PAGE;
    return PRICE_CALL;
}

bool price_fits(enum tg_class class, enum price_unit unit, enum cost_per *ret_per)
{
    const enum price_unit counted = unit_of(class);

    if (counted == PRICE_SECOND && unit == PRICE_HOUR)
        *ret_per = COST_PER_HOUR;
    else if (unit != counted)
        return false;
    else
        *ret_per = unit == PRICE_SECOND ? COST_PER_SECOND : COST_PER_COUNT;
    return true;
}

bool price_is_provider_name(struct span name)
{
    if (name.len == 0 || name.len > PRICE_PROVIDER_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

static bool is_text(struct span text, size_t max)
{
    if (text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return true;
}

bool price_is_model_name(struct span name)
{
    char normal[MATCH_NAME_MAX];

    return is_text(name, PRICE_MODEL_MAX) && match_normalise(name, normal) > 0;
}

static bool is_between(int64_t value, int64_t least, int64_t most)
{
    return least <= value && value <= most;
}

const char *price_complaint(const struct price *price)
{
    struct window window;

    if (!price_is_provider_name(price->provider))
        return "provider must be 1 to 63 of a-z, 0-9 and -";
    if (!price_is_model_name(price->model))
        return "model must be 1 to 200 printable bytes";
    if (!is_between(price->unit_price_pusd, 0, COST_PRICE_MAX))
        return "pico_usd must be a whole number up to 5000000000000";
    if (!is_between(price->ctx_min, 0, TG_COUNT_MAX))
        return "ctx_min must be a whole number up to 1000000000";
    if (!window_parse(price->utc_window, &window) || price->utc_window.len > WINDOW_TEXT_MAX)
        return "utc_window must be HH:MM-HH:MM, more joined by +, then maybe /Mon-Fri; or else";
    if (price->valid_from_ms < 0)
        return "from must be 1970-01-01 or later";
    if (price->valid_until_ms < price->valid_from_ms)
        return "until must be after from";
    if (!is_text(price->variant, PRICE_NOTE_MAX) || !is_text(price->sources, PRICE_NOTE_MAX) ||
        !is_text(price->status, PRICE_NOTE_MAX) || !is_text(price->dissent, PRICE_NOTE_MAX))
        return "variant, sources, status and dissent must each be at most 200 printable bytes";
    return NULL;
}

static int compare_span(struct span a, struct span b)
{
    const size_t shorter = a.len < b.len ? a.len : b.len;
    const int order = shorter == 0 ? 0 : memcmp(a.ptr, b.ptr, shorter);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int price_compare_subject(const struct price *a, const struct price *b)
{
    int order = compare_span(a->provider, b->provider);

    order = order != 0 ? order : compare_span(a->model, b->model);
    order = order != 0 ? order : compare_int(a->class, b->class);
    order = order != 0 ? order : compare_int(a->unit, b->unit);
    order = order != 0 ? order : compare_int(a->tier, b->tier);
    order = order != 0 ? order : compare_int(a->ctx_min, b->ctx_min);
    order = order != 0 ? order : compare_span(a->variant, b->variant);
    order = order != 0 ? order : compare_span(a->utc_window, b->utc_window);
    return order != 0 ? order : compare_int(a->team_id, b->team_id);
}
