#include "pricing/book.h"

#include "base/map.h"
#include "base/try.h"
#include "pricing/match.h"
#include "pricing/price.h"
#include "pricing/seed.h"
#include "pricing/table.h"
#include "pricing/window.h"

#include <stdlib.h>

/* The rows of one model stand together, those of one class and tier in the order of precedence, so
 * that the first that holds is the one that prices. */
struct book_row {
    int64_t price_id;
    int64_t unit_price_pusd;
    int64_t valid_from_ms;
    int64_t valid_until_ms;
    int32_t ctx_min;
    uint8_t class;
    uint8_t tier;
    uint8_t window; /* index; 0 holds always */
    uint8_t per : 2;
    uint8_t is_override : 1;
};
_Static_assert(sizeof(struct book_row) == 40, "16,277 rows stay below 1 MiB");
_Static_assert(TG_COUNT_MAX <= INT32_MAX, "ctx_min fits");

/* What a model is found by: `provider`, NUL, `model` as match_normalise writes it. */
#define KEY_MAX (PRICE_PROVIDER_MAX + 1 + MATCH_NAME_MAX)

struct book_model {
    const char *key; /* in the book's names */
    const struct book_row *rows;
    const struct window *windows;
    uint32_t row_count;
    uint16_t key_len;
};

struct book {
    struct map by_key;
    struct book_row *rows;
    struct book_model *models;
    char *names;
    struct window windows[BOOK_WINDOWS_MAX + 1];
    size_t window_count;
    size_t row_count;
    size_t model_count;
    size_t name_bytes;
};

/* One row on its way into the book. */
struct draft {
    struct span key;
    struct book_row row;
    uint8_t window_kind;
    bool is_usable; /* else only its model is kept: known, and unpriced */
};

#define NO_CLASS TG_CLASS_COUNT

/* Whose price stands in for a class without one of its own. */
static const enum tg_class fallback[TG_CLASS_COUNT] = {
    [TG_INPUT] = NO_CLASS,
    [TG_CACHE_READ] = TG_INPUT,
    [TG_CACHE_WRITE] = TG_INPUT,
    [TG_CACHE_WRITE_1H] = TG_CACHE_WRITE,
    [TG_CACHE_WRITE_12H] = TG_CACHE_WRITE,
    [TG_INPUT_AUDIO] = TG_INPUT,
    [TG_CACHE_READ_AUDIO] = TG_CACHE_READ,
    [TG_CACHE_WRITE_AUDIO] = TG_CACHE_WRITE,
    [TG_INPUT_IMAGE] = TG_INPUT,
    [TG_CACHE_READ_IMAGE] = TG_CACHE_READ,
    [TG_INPUT_VIDEO] = TG_INPUT,
    [TG_OUTPUT] = NO_CLASS,
    [TG_REASONING] = TG_OUTPUT,
    [TG_OUTPUT_AUDIO] = TG_OUTPUT,
    [TG_OUTPUT_IMAGE] = TG_OUTPUT,
    [TG_OUTPUT_VIDEO] = TG_OUTPUT,
    [TG_IMAGE_IN... TG_CLASS_COUNT - 1] = NO_CLASS,
};

/* --- building ----------------------------------------------------------------------------------
 */

/* Write the key of (provider, model); 0 where it has none. */
static size_t make_key(struct span provider, struct span model, char key[KEY_MAX])
{
    if (provider.len > PRICE_PROVIDER_MAX)
        return 0;
    memcpy(key, provider.ptr, provider.len);
    key[provider.len] = '\0';

    const size_t name_len = match_normalise(model, key + provider.len + 1);

    return name_len == 0 ? 0 : provider.len + 1 + name_len;
}

static int compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Prices of one class by the second and by the hour compare by the hour. */
static int64_t hourly(const struct book_row *row)
{
    return row->per == COST_PER_SECOND ? row->unit_price_pusd * 3600 : row->unit_price_pusd;
}

static int compare_precedence(const struct draft *a, const struct draft *b)
{
    int order = compare_int(b->row.is_override, a->row.is_override);

    order = order != 0 ? order : compare_int(b->row.ctx_min, a->row.ctx_min);
    order = order != 0 ? order : compare_int(b->row.valid_from_ms, a->row.valid_from_ms);
    order = order != 0 ? order : compare_int(b->window_kind, a->window_kind);
    /* Of two contracts from the same day the newer one was meant. */
    if (order == 0 && a->row.is_override)
        return compare_int(b->row.price_id, a->row.price_id);
    order = order != 0 ? order : compare_int(hourly(&b->row), hourly(&a->row));
    return order != 0 ? order : compare_int(b->row.price_id, a->row.price_id);
}

static int compare_draft(const void *left, const void *right)
{
    const struct draft *a = left;
    const struct draft *b = right;
    const size_t shorter = a->key.len < b->key.len ? a->key.len : b->key.len;
    int order = memcmp(a->key.ptr, b->key.ptr, shorter);

    order = order != 0 ? order : compare_int((int64_t)a->key.len, (int64_t)b->key.len);
    order = order != 0 ? order : compare_int(a->row.class, b->row.class);
    order = order != 0 ? order : compare_int(a->row.tier, b->row.tier);
    return order != 0 ? order : compare_precedence(a, b);
}

static bool is_same_window(const struct window *a, const struct window *b)
{
    if (a->kind != b->kind || a->part_count != b->part_count || a->days != b->days)
        return false;
    for (int part = 0; part < a->part_count; part++)
        if (a->start_min[part] != b->start_min[part] || a->end_min[part] != b->end_min[part])
            return false;
    return true;
}

static bool find_window(struct book *book, const struct window *window, uint8_t *ret_index)
{
    size_t i = 0;

    while (i < book->window_count && !is_same_window(&book->windows[i], window))
        i++;
    if (i > BOOK_WINDOWS_MAX)
        return false;
    if (i == book->window_count)
        book->windows[book->window_count++] = *window;
    *ret_index = (uint8_t)i;
    return true;
}

static enum tg_status add_draft(struct book *book, const struct price *price, struct arena *keys,
                                struct draft *ret_draft)
{
    char key[KEY_MAX];
    struct draft draft = { 0 };
    struct window window;
    enum cost_per per = COST_PER_COUNT;

    draft.is_usable = price_fits(price->class, price->unit, &per) && price->variant.len == 0;
    if (!window_parse(price->utc_window, &window))
        return TG_CORRUPT;
    if (draft.is_usable && !find_window(book, &window, &draft.row.window))
        return TG_TOO_LARGE;
    draft.key = arena_copy(keys, span_of(key, make_key(price->provider, price->model, key)));
    if (draft.key.ptr == NULL)
        return TG_NO_MEMORY;
    draft.window_kind = window.kind;
    draft.row.price_id = price->id;
    draft.row.unit_price_pusd = price->unit_price_pusd;
    draft.row.valid_from_ms = price->valid_from_ms;
    draft.row.valid_until_ms = price->valid_until_ms;
    draft.row.ctx_min = (int32_t)price->ctx_min;
    draft.row.class = (uint8_t)price->class;
    draft.row.tier = (uint8_t)price->tier;
    draft.row.per = (uint8_t)per & 3;
    draft.row.is_override = price->is_override;
    *ret_draft = draft;
    return TG_OK;
}

static enum tg_status add_drafts(struct book *book, const struct price_list *prices,
                                 struct arena *keys, struct draft *drafts, struct err *err)
{
    for (size_t i = 0; i < prices->count; i++) {
        const struct price *price = &prices->rows[i];
        const char *complaint = price->id > 0 ? price_complaint(price) : "id must be above 0";
        enum tg_status status;

        if (complaint != NULL)
            return err_set(err, TG_CORRUPT, "price %lld: %s", (long long)price->id, complaint);
        status = add_draft(book, price, keys, &drafts[i]);
        if (status == TG_TOO_LARGE)
            return err_set(err, TG_CORRUPT, "price %lld: more than %d different utc_window values",
                           (long long)price->id, BOOK_WINDOWS_MAX);
        TRY(status);
    }
    return TG_OK;
}

static bool is_new_model(const struct draft *drafts, size_t i)
{
    return i == 0 || !span_equal(drafts[i].key, drafts[i - 1].key);
}

static enum tg_status allocate(struct book *book, const struct draft *drafts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        book->row_count += drafts[i].is_usable ? 1 : 0;
        if (!is_new_model(drafts, i))
            continue;
        book->model_count++;
        book->name_bytes += drafts[i].key.len;
    }
    map_init(&book->by_key, PRICE_ROWS_MAX);
    book->rows = calloc(book->row_count + 1, sizeof(*book->rows));
    book->models = calloc(book->model_count + 1, sizeof(*book->models));
    book->names = malloc(book->name_bytes + 1);
    return book->rows != NULL && book->models != NULL && book->names != NULL ? TG_OK : TG_NO_MEMORY;
}

static enum tg_status fill(struct book *book, const struct draft *drafts, size_t count)
{
    size_t models = 0;
    struct book_row *row = book->rows;
    char *name = book->names;

    for (size_t i = 0; i < count; i++) {
        const struct span key = drafts[i].key;

        if (is_new_model(drafts, i)) {
            memcpy(name, key.ptr, key.len);
            book->models[models++] = (struct book_model){
                .key = name, .key_len = (uint16_t)key.len, .rows = row, .windows = book->windows
            };
            name += key.len;
        }
        if (!drafts[i].is_usable)
            continue;
        *row++ = drafts[i].row;
        book->models[models - 1].row_count++;
    }
    for (size_t i = 0; i < models; i++) {
        struct book_model *model = &book->models[i];

        TRY(map_add(&book->by_key, span_hash(span_of(model->key, model->key_len)), model));
    }
    return TG_OK;
}

enum tg_status book_build(const struct price_list *prices, struct book **ret_book, struct err *err)
{
    struct book *book = calloc(1, sizeof(*book));
    struct draft *drafts = calloc(prices->count + 1, sizeof(*drafts));
    struct arena keys;
    enum tg_status status = TG_NO_MEMORY;

    arena_init(&keys, (size_t)64 << 10, (size_t)64 << 20);
    if (book != NULL && drafts != NULL) {
        book->window_count = 1; /* the first one holds always */
        status = add_drafts(book, prices, &keys, drafts, err);
    }
    if (status == TG_OK) {
        qsort(drafts, prices->count, sizeof(*drafts), compare_draft);
        status = allocate(book, drafts, prices->count);
    }
    if (status == TG_OK)
        status = fill(book, drafts, prices->count);
    arena_fini(&keys);
    free(drafts);
    if (status == TG_OK)
        *ret_book = book;
    else
        book_free(book);
    return status;
}

void book_free(void *object)
{
    struct book *book = object;

    if (book == NULL)
        return;
    map_fini(&book->by_key);
    free(book->rows);
    free(book->models);
    free(book->names);
    free(book);
}

enum tg_status book_load(struct db *db, struct book **ret_book, struct err *err)
{
    AUTO(price_list) prices;

    price_list_init(&prices);
    TRY(table_read(db, TABLE_ALL, &prices, err));
    return book_build(&prices, ret_book, err);
}

enum tg_status book_seed(struct db *db, struct span csv, const char *sha256_hex, int64_t now_ms,
                         struct err *err)
{
    AUTO(price_list) current;
    AUTO(price_list) file;
    AUTO(seed_plan) plan = { 0 };
    bool is_latest = false;

    price_list_init(&current);
    price_list_init(&file);
    TRY(table_is_latest_seed(db, sha256_hex, &is_latest, err));
    if (is_latest)
        return TG_OK;
    TRY(seed_parse("prices.csv", csv, &file, err));
    TRY(table_read(db, TABLE_SEED, &current, err));
    TRY(seed_compare(&current, &file, now_ms, &plan));
    TRY(table_apply(db, &plan, err));
    return table_note_seed(db, sha256_hex, (int64_t)file.count, now_ms, err);
}

int64_t book_row_count(const struct book *book)
{
    return (int64_t)book->row_count;
}

size_t book_bytes(const struct book *book)
{
    return sizeof(*book) + book->row_count * sizeof(*book->rows) +
           book->model_count * sizeof(*book->models) + book->name_bytes +
           book->by_key.slot_count * sizeof(*book->by_key.slots);
}

/* --- looking up --------------------------------------------------------------------------------
 */

static bool has_key(const void *value, const void *key)
{
    const struct book_model *model = value;

    return span_equal(span_of(model->key, model->key_len), *(const struct span *)key);
}

const struct book_model *book_find(const struct book *book, struct span provider, struct span model)
{
    char text[KEY_MAX];
    const struct span key = span_of(text, make_key(provider, model, text));

    return key.len == 0 ? NULL : map_get(&book->by_key, span_hash(key), has_key, &key);
}

static bool is_valid_at(const struct book_row *row, int64_t at_ms)
{
    return row->valid_from_ms <= at_ms && at_ms < row->valid_until_ms;
}

static bool row_holds(const struct book_model *model, const struct book_row *row,
                      const struct book_query *query)
{
    return row->ctx_min <= query->prompt_tokens && is_valid_at(row, query->at_ms) &&
           window_holds(&model->windows[row->window], query->at_ms);
}

bool book_next_model(const struct book *book, struct span provider, size_t *cursor,
                     struct span *ret_name)
{
    while (*cursor < book->model_count) {
        const struct book_model *model = &book->models[(*cursor)++];
        const struct span key = span_of(model->key, model->key_len);

        if (!span_starts_with(key, provider) || key.ptr[provider.len] != '\0')
            continue;
        *ret_name = span_from_offset(key, provider.len + 1);
        return true;
    }
    return false;
}

/* The class itself, or the nearest that stands in for it, that has a row; NO_CLASS: none. */
static enum tg_class stand_in(const struct book_row *const rows[TG_CLASS_COUNT],
                              enum tg_class class)
{
    while (class != NO_CLASS && rows[class] == NULL)
        class = fallback[class];
    return class;
}

static struct cost_rate rate_of(const struct book_row *row, bool is_fallback)
{
    return (struct cost_rate){
        .price_id = row->price_id,
        .unit_price_pusd = row->unit_price_pusd,
        .per = (enum cost_per)row->per,
        .is_fallback = is_fallback,
    };
}

/* return  PRICE_TIER_COUNT where it is unknown */
static enum price_tier tier_of(const struct book_query *query)
{
    enum price_tier tier = PRICE_TIER_COUNT;

    if (query->tier.len == 0)
        return PRICE_STANDARD;
    (void)price_tier_from_name(query->tier, &tier); /* unknown stays as set */
    return tier;
}

void book_rates(const struct book_model *model, const struct book_query *query,
                struct cost_rates *ret_rates)
{
    const struct book_row *asked[TG_CLASS_COUNT] = { 0 };
    const struct book_row *standard[TG_CLASS_COUNT] = { 0 };
    const enum price_tier tier = tier_of(query);

    for (uint32_t i = 0; i < model->row_count; i++) {
        const struct book_row *row = &model->rows[i];
        const struct book_row **chosen = row->tier == tier ? asked : standard;

        if (row->tier != tier && row->tier != PRICE_STANDARD)
            continue;
        if (chosen[row->class] == NULL && row_holds(model, row, query))
            chosen[row->class] = row;
    }
    for (int i = 0; i < TG_CLASS_COUNT; i++) {
        const enum tg_class class = (enum tg_class)i;
        const enum tg_class in_tier = stand_in(asked, class);
        const enum tg_class in_standard = stand_in(standard, class);

        if (in_tier != NO_CLASS)
            ret_rates->rate[i] = rate_of(asked[in_tier], in_tier != class);
        else if (in_standard != NO_CLASS)
            ret_rates->rate[i] = rate_of(standard[in_standard], /* is_fallback= */ true);
        else
            ret_rates->rate[i] = (struct cost_rate){ 0 };
    }
}

/* Whether another row prices every request that this one could: one that precedes it, always holds
 * at that time and begins at no higher a prompt size. */
static bool is_hidden(const struct book_model *model, uint32_t i, int64_t at_ms)
{
    const struct book_row *row = &model->rows[i];

    while (i-- > 0) {
        const struct book_row *other = &model->rows[i];

        if (other->class != row->class || other->tier != row->tier)
            return false;
        if (other->ctx_min <= row->ctx_min && is_valid_at(other, at_ms) &&
            model->windows[other->window].kind != WINDOW_NAMED)
            return true;
    }
    return false;
}

void book_dearest(const struct book_model *model, const struct book_query *query,
                  int64_t *ret_input_pusd, int64_t *ret_output_pusd)
{
    const enum price_tier asked = tier_of(query);
    const enum price_tier highest = asked < PRICE_STANDARD ? PRICE_STANDARD : asked;
    int64_t input = 0;
    int64_t output = 0;

    for (uint32_t i = 0; i < model->row_count; i++) {
        const struct book_row *row = &model->rows[i];
        int64_t *dearest = row->class < TG_OUTPUT ? &input : &output;

        if (row->class >= TG_TOKEN_CLASS_COUNT || row->tier > highest ||
            row->unit_price_pusd <= *dearest || !is_valid_at(row, query->at_ms))
            continue;
        if (!is_hidden(model, i, query->at_ms))
            *dearest = row->unit_price_pusd;
    }
    *ret_input_pusd = input;
    *ret_output_pusd = output;
}
