#include "pricing/book.h"

#include "base/map.h"
#include "base/try.h"
#include "pricing/markup.h"
#include "pricing/modifier.h"
#include "pricing/price.h"
#include "pricing/seed.h"
#include "pricing/table.h"
#include "pricing/window.h"
#include "tollgate/embedded.h"

#include <assert.h>
#include <stdlib.h>

/* The rows of one model stand together, those of one class and tier in the order of precedence, so
 * that the first that holds is the one that prices. */
struct book_row {
    int64_t price_id;
    int64_t unit_price_pusd;
    int64_t valid_from_ms;
    int64_t valid_until_ms;
    int32_t ctx_min;
    int32_t team_id; /* 0: for all */
    uint8_t class;
    uint8_t tier;
    uint8_t window;  /* index; 0 holds always */
    uint8_t variant; /* index; 0 is the plain price */
    uint8_t per : 2;
    uint8_t is_override : 1;
};
_Static_assert(sizeof(struct book_row) == 48, "16,277 rows stay below 1 MiB");
_Static_assert(TG_COUNT_MAX <= INT32_MAX, "ctx_min fits");

/* What a model is found by: `provider`, NUL, `model` as match_normalise writes it. */
#define KEY_MAX (PRICE_PROVIDER_MAX + 1 + MATCH_NAME_MAX)

struct book_model {
    const char *key; /* in the book's names */
    const struct book_row *rows;
    const struct book *book;
    uint32_t row_count;
    uint16_t key_len;
    uint8_t provider_len;
    bool has_team_rows;
};

struct book {
    struct map by_key;
    struct book_row *rows;
    struct book_model *models;
    char *names;
    struct window windows[BOOK_WINDOWS_MAX + 1];
    struct span variants[BOOK_VARIANTS_MAX + 1];
    struct arena variant_text;
    struct match_table *match;
    struct modifier_table *modifiers;
    struct markup_list markups;
    size_t window_count;
    size_t variant_count;
    size_t row_count;
    size_t model_count;
    size_t name_bytes;
    bool has_charge_markups;
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

    order = order != 0 ? order : compare_int(b->row.team_id, a->row.team_id);
    order = order != 0 ? order : compare_int(b->row.variant != 0, a->row.variant != 0);
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

static enum tg_status find_variant(struct book *book, struct span variant, uint8_t *ret_index)
{
    size_t i = 0;

    while (i < book->variant_count && !span_equal(book->variants[i], variant))
        i++;
    if (i > BOOK_VARIANTS_MAX)
        return TG_TOO_LARGE;
    if (i == book->variant_count) {
        book->variants[i] = arena_copy(&book->variant_text, variant);
        if (book->variants[i].ptr == NULL)
            return TG_NO_MEMORY;
        book->variant_count++;
    }
    *ret_index = (uint8_t)i;
    return TG_OK;
}

static enum tg_status add_draft(struct book *book, const struct price *price, struct arena *keys,
                                struct draft *ret_draft)
{
    char key[KEY_MAX];
    struct draft draft = { 0 };
    struct window window;
    enum cost_per per = COST_PER_COUNT;

    draft.is_usable = price_fits(price->class, price->unit, &per);
    if (!window_parse(price->utc_window, &window))
        return TG_CORRUPT;
    if (draft.is_usable && !find_window(book, &window, &draft.row.window))
        return TG_TOO_LARGE;
    if (draft.is_usable)
        TRY(find_variant(book, price->variant, &draft.row.variant));
    draft.key = arena_copy(keys, span_of(key, make_key(price->provider, price->model, key)));
    if (draft.key.ptr == NULL)
        return TG_NO_MEMORY;
    draft.window_kind = window.kind;
    draft.row.price_id = price->id;
    draft.row.unit_price_pusd = price->unit_price_pusd;
    draft.row.valid_from_ms = price->valid_from_ms;
    draft.row.valid_until_ms = price->valid_until_ms;
    draft.row.ctx_min = (int32_t)price->ctx_min;
    draft.row.team_id = price->team_id;
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
            return err_set(err, TG_CORRUPT,
                           "price %lld: more than %d different utc_window or variant values",
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
                .key = name,
                .key_len = (uint16_t)key.len,
                .provider_len = (uint8_t)strlen(name),
                .rows = row,
                .book = book,
            };
            name += key.len;
        }
        if (!drafts[i].is_usable)
            continue;
        *row++ = drafts[i].row;
        book->models[models - 1].row_count++;
        if (drafts[i].row.team_id != 0)
            book->models[models - 1].has_team_rows = true;
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
        book->variant_count = 1;
        book->variants[0] = SPAN_EMPTY;
        arena_init(&book->variant_text, 1024, (size_t)1 << 20);
        markup_list_init(&book->markups);
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
    match_table_free(book->match);
    modifier_table_free(book->modifiers);
    markup_list_fini(&book->markups);
    arena_fini(&book->variant_text);
    free(book->rows);
    free(book->models);
    free(book->names);
    free(book);
}

enum tg_status book_add_rules(struct book *book, const struct book_rules *rules, struct err *err)
{
    if (rules->match_csv.len > 0)
        TRY(match_table_parse("model_match.csv", rules->match_csv, &book->match, err));
    if (rules->modifiers_csv.len > 0)
        TRY(modifier_table_parse("modifiers.csv", rules->modifiers_csv, &book->modifiers, err));
    if (rules->markups == NULL)
        return TG_OK;
    book->markups = *rules->markups;
    markup_list_init(rules->markups);
    for (size_t i = 0; i < book->markups.count; i++)
        if (book->markups.rows[i].side == MARKUP_CHARGE)
            book->has_charge_markups = true;
    return TG_OK;
}

static struct span embedded(const char *name)
{
    const struct tg_embedded_file *file = tg_embedded_find(tg_migrations, tg_migration_count, name);

    assert(file != NULL);
    return span_of((const char *)file->bytes, file->len);
}

enum tg_status book_load(struct db *db, struct book **ret_book, struct err *err)
{
    AUTO(price_list) prices;
    AUTO(markup_list) markups;
    AUTO_PTR(book) book = NULL;
    const struct book_rules rules = { embedded("model_match.csv"), embedded("modifiers.csv"),
                                      &markups };

    price_list_init(&prices);
    markup_list_init(&markups);
    TRY(table_read(db, TABLE_ALL, &prices, err));
    TRY(table_read_markups(db, &markups, err));
    TRY(book_build(&prices, &book, err));
    TRY(book_add_rules(book, &rules, err));
    *ret_book = book;
    book = NULL;
    return TG_OK;
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
           book->by_key.slot_count * sizeof(*book->by_key.slots) + book->variant_text.used_bytes +
           (book->match != NULL ? match_table_bytes(book->match) : 0) +
           (book->modifiers != NULL ? modifier_table_bytes(book->modifiers) : 0) +
           book->markups.room * sizeof(*book->markups.rows) + book->markups.text.used_bytes;
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

static const void *lookup(const void *context, struct span provider, struct span name)
{
    return book_find(context, provider, name);
}

const struct book_model *book_match(const struct book *book, struct span provider,
                                    struct span model, struct match_found *ret_found)
{
    const struct match_search search = { book->match, provider, lookup, book };
    const struct match_found found = match_find(&search, model);

    if (ret_found != NULL)
        *ret_found = found;
    return found.model;
}

static struct span provider_of(const struct book_model *model)
{
    return span_of(model->key, model->provider_len);
}

struct span book_model_name(const struct book_model *model)
{
    const size_t start = (size_t)model->provider_len + 1;

    return span_of(model->key + start, model->key_len - start);
}

static bool is_valid_at(const struct book_row *row, int64_t at_ms)
{
    return row->valid_from_ms <= at_ms && at_ms < row->valid_until_ms;
}

/* The variants of a query by their index in the book; 0 where there is none. */
struct held_variants {
    uint8_t index[BOOK_QUERY_VARIANTS_MAX];
    uint8_t region;
};

static bool is_region(struct span variant, struct span region)
{
    const struct span prefix = SPAN("region=");

    return span_starts_with(variant, prefix) &&
           span_equal(span_from_offset(variant, prefix.len), region);
}

static struct held_variants variants_of(const struct book *book, const struct book_query *query)
{
    struct held_variants held = { 0 };

    for (size_t i = 1; query->region.len > 0 && i < book->variant_count; i++)
        if (is_region(book->variants[i], query->region))
            held.region = (uint8_t)i;
    for (int asked = 0; asked < BOOK_QUERY_VARIANTS_MAX; asked++)
        for (size_t i = 1; query->variants[asked].len > 0 && i < book->variant_count; i++)
            if (span_equal(book->variants[i], query->variants[asked]))
                held.index[asked] = (uint8_t)i;
    return held;
}

static bool variant_holds(const struct book_row *row, const struct held_variants *held)
{
    bool is_held = row->variant == 0 || row->variant == held->region;

    for (int i = 0; !is_held && i < BOOK_QUERY_VARIANTS_MAX; i++)
        is_held = row->variant == held->index[i];
    return is_held;
}

static bool team_holds(const struct book_row *row, const struct book_query *query)
{
    return row->team_id == 0 || (query->side == BOOK_CHARGE && row->team_id == query->team_id);
}

static bool row_holds(const struct book_model *model, const struct book_row *row,
                      const struct book_query *query, const struct held_variants *held)
{
    return row->ctx_min <= query->prompt_tokens && is_valid_at(row, query->at_ms) &&
           team_holds(row, query) && variant_holds(row, held) &&
           window_holds(&model->book->windows[row->window], query->at_ms);
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

/* return  PRICE_TIER_COUNT where it is unknown */
static enum price_tier tier_of(const struct book_query *query)
{
    enum price_tier tier = PRICE_TIER_COUNT;

    if (query->tier.len == 0)
        return PRICE_STANDARD;
    (void)price_tier_from_name(query->tier, &tier); /* unknown stays as set */
    return tier;
}

/* What multiplies the prices of one query. */
struct multipliers {
    const struct modifier *tier;   /* NULL: none */
    const struct modifier *region; /* NULL: none */
    struct cost_factor cost;
    struct cost_factor charge;
    uint8_t region_variant; /* rows of it have the region's price already */
};

static const struct modifier *modifier_of(const struct book_model *model,
                                          const struct book_query *query,
                                          enum modifier_condition condition, struct span value)
{
    const struct modifier_query asked = {
        .provider = provider_of(model),
        .model = book_model_name(model),
        .condition = condition,
        .value = value,
        .at_ms = query->at_ms,
    };

    return model->book->modifiers == NULL || value.len == 0
               ? NULL
               : modifier_find(model->book->modifiers, &asked);
}

static struct cost_factor markup_of(const struct book_model *model, const struct book_query *query,
                                    enum markup_side side)
{
    const struct markup_query asked = {
        .side = side,
        .provider = provider_of(model),
        .model = book_model_name(model),
        .team_id = query->team_id,
        .at_ms = query->at_ms,
    };
    const struct markup *markup = markup_find(&model->book->markups, &asked);

    return markup != NULL ? markup->factor : (struct cost_factor){ 0 };
}

static struct multipliers multipliers_of(const struct book_model *model,
                                         const struct book_query *query, enum price_tier tier,
                                         uint8_t region_variant)
{
    struct multipliers result = { .region_variant = region_variant };

    if (tier != PRICE_STANDARD && tier != PRICE_TIER_COUNT)
        result.tier = modifier_of(model, query, MODIFIER_TIER, span_from(price_tier_name(tier)));
    result.region = modifier_of(model, query, MODIFIER_REGION, query->region);
    if (model->book->markups.count == 0)
        return result;
    result.cost = markup_of(model, query, MARKUP_COST);
    if (query->side == BOOK_CHARGE)
        result.charge = markup_of(model, query, MARKUP_CHARGE);
    return result;
}

static void multiply(struct cost_factor *factor, struct cost_factor by)
{
    if (by.den == 0)
        return;

    const enum tg_status status = cost_factor_multiply(*factor, by, factor);

    assert(status == TG_OK); /* the limits of modifiers and markups see to that */
}

static struct cost_factor factor_of(const struct book_row *row, enum tg_class class,
                                    const struct multipliers *by, bool is_of_tier)
{
    const bool has_region = row->variant != 0 && row->variant == by->region_variant;
    struct cost_factor factor = { 0 };

    if (!is_of_tier && by->tier != NULL && modifier_covers(by->tier, class))
        multiply(&factor, modifier_factor(by->tier));
    if (!has_region && by->region != NULL && modifier_covers(by->region, class))
        multiply(&factor, modifier_factor(by->region));
    if (!row->is_override)
        multiply(&factor, by->cost);
    if (row->team_id == 0)
        multiply(&factor, by->charge);
    return factor;
}

/* The rows that hold for a query, by class. */
struct held_rows {
    const struct book_row *asked[TG_CLASS_COUNT]; /* of the tier asked for */
    const struct book_row *standard[TG_CLASS_COUNT];
};

static void find_rows(const struct book_model *model, const struct book_query *query,
                      const struct held_variants *held, struct held_rows *rows)
{
    const enum price_tier tier = tier_of(query);

    for (uint32_t i = 0; i < model->row_count; i++) {
        const struct book_row *row = &model->rows[i];
        const struct book_row **chosen = row->tier == tier ? rows->asked : rows->standard;

        if (row->tier != tier && row->tier != PRICE_STANDARD)
            continue;
        if (chosen[row->class] == NULL && row_holds(model, row, query, held))
            chosen[row->class] = row;
    }
}

static struct cost_rate rate_of(const struct held_rows *rows, enum tg_class class,
                                const struct multipliers *by)
{
    const enum tg_class in_tier = stand_in(rows->asked, class);
    const enum tg_class in_standard = stand_in(rows->standard, class);
    const bool is_modified = by->tier != NULL && modifier_covers(by->tier, class);
    /* A row of its own, then its own standard price times the modifier, then another's. */
    const bool is_own = in_tier == class || (is_modified && in_standard == class);
    const bool is_of_tier = in_tier != NO_CLASS && (in_tier == class || !is_own);
    const struct book_row *row;

    if (in_tier == NO_CLASS && in_standard == NO_CLASS)
        return (struct cost_rate){ 0 };
    row = is_of_tier ? rows->asked[in_tier] : rows->standard[in_standard];
    return (struct cost_rate){
        .price_id = row->price_id,
        .unit_price_pusd = row->unit_price_pusd,
        .factor = factor_of(row, class, by, is_of_tier),
        .per = (enum cost_per)row->per,
        .is_fallback = !is_own,
    };
}

void book_rates(const struct book_model *model, const struct book_query *query,
                struct cost_rates *ret_rates)
{
    const struct held_variants held = variants_of(model->book, query);
    const struct multipliers by = multipliers_of(model, query, tier_of(query), held.region);
    struct held_rows rows = { 0 };

    find_rows(model, query, &held, &rows);
    for (int class = 0; class < TG_CLASS_COUNT; class ++)
        ret_rates->rate[class] = rate_of(&rows, (enum tg_class) class, &by);
}

bool book_has_two_sides(const struct book_model *model)
{
    return model->has_team_rows || model->book->has_charge_markups;
}

/* Whether another row prices every request that this one could: one that precedes it, always holds
 * at that time and begins at no higher a prompt size. */
static bool is_hidden(const struct book_model *model, uint32_t i, const struct book_query *query)
{
    const struct book_row *row = &model->rows[i];

    while (i-- > 0) {
        const struct book_row *other = &model->rows[i];

        if (other->class != row->class || other->tier != row->tier)
            return false;
        if (other->ctx_min <= row->ctx_min && other->variant == 0 && team_holds(other, query) &&
            is_valid_at(other, query->at_ms) &&
            model->book->windows[other->window].kind != WINDOW_NAMED)
            return true;
    }
    return false;
}

static int64_t times(int64_t pusd, struct cost_factor factor)
{
    __int128 product = pusd;

    if (factor.den != 0)
        product = (product * factor.num + factor.den - 1) / factor.den;
    return product > COST_PRICE_MAX ? COST_PRICE_MAX : (int64_t)product;
}

/* The row's price in the dearest tier that it may stand in for. */
static int64_t dearest_of(const struct book_row *row, const struct multipliers *by, int count)
{
    int64_t dearest = times(row->unit_price_pusd,
                            factor_of(row, (enum tg_class)row->class, by, /* is_of_tier= */ true));

    for (int i = 0; row->tier == PRICE_STANDARD && i < count; i++) {
        const int64_t price =
            times(row->unit_price_pusd,
                  factor_of(row, (enum tg_class)row->class, &by[i], /* is_of_tier= */ false));

        dearest = price > dearest ? price : dearest;
    }
    return dearest;
}

void book_dearest(const struct book_model *model, const struct book_query *query,
                  int64_t *ret_input_pusd, int64_t *ret_output_pusd)
{
    const enum price_tier asked = tier_of(query);
    const enum price_tier highest = asked < PRICE_STANDARD ? PRICE_STANDARD : asked;
    struct multipliers by[PRICE_TIER_COUNT];
    int count = 0;
    int64_t input = 0;
    int64_t output = 0;

    /* The tiers below standard are never dearer. */
    for (int tier = PRICE_STANDARD; tier < PRICE_TIER_COUNT && tier <= (int)highest; tier++)
        by[count++] = multipliers_of(model, query, (enum price_tier)tier, 0);
    for (uint32_t i = 0; i < model->row_count; i++) {
        const struct book_row *row = &model->rows[i];
        int64_t *dearest = row->class < TG_OUTPUT ? &input : &output;
        int64_t price;

        if (row->class >= TG_TOKEN_CLASS_COUNT || row->tier > highest || !team_holds(row, query) ||
            !is_valid_at(row, query->at_ms))
            continue;
        price = dearest_of(row, by, count);
        if (price > *dearest && !is_hidden(model, i, query))
            *dearest = price;
    }
    *ret_input_pusd = input;
    *ret_output_pusd = output;
}
