#include "pricing/model.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/try.h"
#include "pricing/match.h"
#include "pricing/price.h"
#include "store/snapshot.h"
#include "store/stmt.h"

#include <stdlib.h>

#define PROVIDERS_MAX    1000
#define TEXT_FIRST_BYTES ((size_t)64 << 10)
#define TEXT_CAP_BYTES   ((size_t)32 << 20)
#define ROWS_FIRST       256

static const char sql_read[] =
    "SELECT provider, name, context_tokens, max_output_tokens, default_output_tokens, "
    "output_field, is_reasoning, own_context_tokens, own_max_output_tokens, own_output_field, "
    "own_is_free, own_ceiling_price_pusd FROM model /* scan */";

/* What a model is found by: `provider`, NUL, `model` as match_normalise writes it. */
#define KEY_MAX (PRICE_PROVIDER_MAX + 1 + MATCH_NAME_MAX)

struct entry {
    struct span key;
    struct model model; /* as it holds */
    struct model own;   /* what an owner has set */
};

struct provider_entry {
    struct span name;
    struct model_largest largest;
};

struct model_facts {
    struct map by_key;      /* of struct entry */
    struct map by_provider; /* of struct provider_entry */
    struct entry *entries;
    size_t count;
    struct arena text;
};

/* --- one row ---------------------------------------------------------------------------------- */

const char *model_output_field(struct span name)
{
    static const char *const fields[] = { "max_tokens", "max_completion_tokens",
                                          "generationConfig.maxOutputTokens" };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (span_equal(name, span_from(fields[i])))
            return fields[i];
    return NULL;
}

static bool is_count(int64_t value)
{
    return 0 <= value && value <= TG_COUNT_MAX;
}

static bool has_counts(const struct model *model)
{
    return is_count(model->context_tokens) && is_count(model->max_output_tokens) &&
           is_count(model->default_output_tokens);
}

const char *model_row_complaint(const struct model_row *row)
{
    if (!price_is_provider_name(row->provider))
        return "provider must be 1 to 63 of a-z, 0-9 and -";
    if (!price_is_model_name(row->name))
        return "model must be 1 to 200 printable bytes";
    if (!has_counts(&row->seed) || !has_counts(&row->own))
        return "tokens must be whole numbers up to 1000000000";
    if (row->own.ceiling_price_pusd < 0 || row->own.ceiling_price_pusd > COST_PRICE_MAX)
        return "ceiling price must be a whole number up to 5000000000000";
    return NULL;
}

static int64_t first_of(int64_t own, int64_t seed)
{
    return own != 0 ? own : seed;
}

struct model model_merge(const struct model *seed, const struct model *own)
{
    return (struct model){
        .context_tokens = first_of(own->context_tokens, seed->context_tokens),
        .max_output_tokens = first_of(own->max_output_tokens, seed->max_output_tokens),
        .default_output_tokens = seed->default_output_tokens,
        .ceiling_price_pusd = own->ceiling_price_pusd,
        .output_field = own->output_field != NULL ? own->output_field : seed->output_field,
        .is_reasoning = seed->is_reasoning,
        .is_free = own->is_free,
    };
}

uint32_t model_owned(const struct model *own)
{
    uint32_t owned = 0;

    owned |= own->context_tokens != 0 ? MODEL_OWN_CONTEXT : 0u;
    owned |= own->max_output_tokens != 0 ? MODEL_OWN_MAX_OUTPUT : 0u;
    owned |= own->output_field != NULL ? MODEL_OWN_OUTPUT_FIELD : 0u;
    owned |= own->is_free ? MODEL_OWN_FREE : 0u;
    owned |= own->ceiling_price_pusd != 0 ? MODEL_OWN_CEILING_PRICE : 0u;
    return owned;
}

/* --- building --------------------------------------------------------------------------------- */

/* Write the key of (provider, model); 0 where it has none. */
static size_t make_key(struct span provider, struct span model, char key[KEY_MAX])
{
    size_t name_len;

    if (provider.len > PRICE_PROVIDER_MAX)
        return 0;
    memcpy(key, provider.ptr, provider.len);
    key[provider.len] = '\0';
    name_len = match_normalise(model, key + provider.len + 1);
    return name_len == 0 ? 0 : provider.len + 1 + name_len;
}

static bool has_key(const void *value, const void *key)
{
    const struct entry *entry = value;

    return span_equal(entry->key, *(const struct span *)key);
}

static bool has_name(const void *value, const void *name)
{
    const struct provider_entry *entry = value;

    return span_equal(entry->name, *(const struct span *)name);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static enum tg_status add_to_provider(struct model_facts *facts, struct span provider,
                                      const struct model *model)
{
    const uint64_t hash = span_hash(provider);
    struct provider_entry *entry = map_get(&facts->by_provider, hash, has_name, &provider);

    if (entry == NULL) {
        entry = arena_zalloc(&facts->text, sizeof(*entry));
        if (entry == NULL)
            return TG_NO_MEMORY;
        entry->name = arena_copy(&facts->text, provider);
        if (entry->name.ptr == NULL)
            return TG_NO_MEMORY;
        TRY(map_add(&facts->by_provider, hash, entry));
    }
    entry->largest.context_tokens = larger(entry->largest.context_tokens, model->context_tokens);
    entry->largest.max_output_tokens =
        larger(entry->largest.max_output_tokens, model->max_output_tokens);
    return TG_OK;
}

static enum tg_status add_row(struct model_facts *facts, const struct model_row *row,
                              struct err *err)
{
    const char *complaint = model_row_complaint(row);
    struct entry *entry = &facts->entries[facts->count];
    char text[KEY_MAX];
    struct span key;

    if (complaint != NULL)
        return err_set(err, TG_CORRUPT, "model %.*s:%.*s: %s", SPAN_ARG(row->provider),
                       SPAN_ARG(row->name), complaint);
    key = span_of(text, make_key(row->provider, row->name, text));
    if (map_get(&facts->by_key, span_hash(key), has_key, &key) != NULL)
        return err_set(err, TG_CORRUPT, "model %.*s:%.*s is there twice", SPAN_ARG(row->provider),
                       SPAN_ARG(row->name));
    *entry = (struct entry){
        .key = arena_copy(&facts->text, key),
        .model = model_merge(&row->seed, &row->own),
        .own = row->own,
    };
    if (entry->key.ptr == NULL)
        return TG_NO_MEMORY;
    TRY(map_add(&facts->by_key, span_hash(key), entry));
    facts->count++;
    return add_to_provider(facts, row->provider, &entry->model);
}

enum tg_status model_facts_build(const struct model_row *rows, size_t count,
                                 struct model_facts **ret_facts, struct err *err)
{
    AUTO_PTR(model_facts) facts = calloc(1, sizeof(*facts));

    if (facts == NULL)
        return TG_NO_MEMORY;
    map_init(&facts->by_key, MODEL_ROWS_MAX);
    map_init(&facts->by_provider, PROVIDERS_MAX);
    arena_init(&facts->text, TEXT_FIRST_BYTES, TEXT_CAP_BYTES);
    facts->entries = calloc(count + 1, sizeof(*facts->entries));
    if (facts->entries == NULL)
        return TG_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        TRY(add_row(facts, &rows[i], err));
    *ret_facts = facts;
    facts = NULL;
    return TG_OK;
}

void model_facts_free(void *object)
{
    struct model_facts *facts = object;

    if (facts == NULL)
        return;
    map_fini(&facts->by_key);
    map_fini(&facts->by_provider);
    free(facts->entries);
    arena_fini(&facts->text);
    free(facts);
}

int64_t model_facts_count(const struct model_facts *facts)
{
    return (int64_t)facts->count;
}

/* --- reading the table ------------------------------------------------------------------------ */

struct rows {
    struct model_row *row;
    size_t count;
    size_t room;
    struct arena text;
};

static void rows_fini(struct rows *rows)
{
    free(rows->row);
    arena_fini(&rows->text);
}
AUTO_DEFINE(rows, rows_fini)

static struct model_row *next_row(struct rows *rows)
{
    if (rows->count == rows->room) {
        const size_t room = rows->room == 0 ? ROWS_FIRST : rows->room * 2;
        struct model_row *row = reallocarray(rows->row, room, sizeof(*row));

        if (row == NULL)
            return NULL;
        rows->row = row;
        rows->room = room;
    }
    return &rows->row[rows->count++];
}

static enum tg_status read_row(struct rows *rows, const struct stmt *stmt)
{
    struct model_row *row = next_row(rows);

    if (row == NULL)
        return TG_NO_MEMORY;
    *row = (struct model_row){
        .provider = arena_copy(&rows->text, stmt_text(stmt, 0)),
        .name = arena_copy(&rows->text, stmt_text(stmt, 1)),
        .seed = {
            .context_tokens = stmt_int(stmt, 2),
            .max_output_tokens = stmt_int(stmt, 3),
            .default_output_tokens = stmt_int(stmt, 4),
            .output_field = model_output_field(stmt_text(stmt, 5)),
            .is_reasoning = stmt_int(stmt, 6) != 0,
        },
        .own = {
            .context_tokens = stmt_int(stmt, 7),
            .max_output_tokens = stmt_int(stmt, 8),
            .output_field = model_output_field(stmt_text(stmt, 9)),
            .is_free = stmt_int(stmt, 10) != 0,
            .ceiling_price_pusd = stmt_int(stmt, 11),
        },
    };
    return row->provider.ptr != NULL && row->name.ptr != NULL ? TG_OK : TG_NO_MEMORY;
}

static enum tg_status read_rows(struct db *db, struct rows *rows, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = true;

    TRY(stmt_prepare(&stmt, db, sql_read, err));
    TRY(stmt_step(&stmt, &has_row, err));
    while (has_row) {
        TRY(read_row(rows, &stmt));
        TRY(stmt_step(&stmt, &has_row, err));
    }
    return TG_OK;
}

enum tg_status model_facts_load(struct db *db, struct model_facts **ret_facts, struct err *err)
{
    AUTO(rows) rows = { 0 };

    arena_init(&rows.text, TEXT_FIRST_BYTES, TEXT_CAP_BYTES);
    TRY(read_rows(db, &rows, err));
    return model_facts_build(rows.row, rows.count, ret_facts, err);
}

/* --- looking up ------------------------------------------------------------------------------- */

static const struct entry *look_up(const struct model_facts *facts, struct span provider,
                                   struct span model)
{
    char text[KEY_MAX];
    const struct span key = span_of(text, make_key(provider, model, text));

    return key.len == 0 ? NULL : map_get(&facts->by_key, span_hash(key), has_key, &key);
}

/* Whether `text` has the form: '0' stands for any digit. */
static bool has_form(struct span text, struct span form)
{
    if (text.len != form.len)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (form.ptr[i] == '0' ? text.ptr[i] < '0' || text.ptr[i] > '9'
                               : text.ptr[i] != form.ptr[i])
            return false;
    return true;
}

/* The name without one date at its end; all of it where there is none. */
static struct span without_date(struct span model)
{
    static const struct span forms[] = {
        { "-0000-00-00", 11 },
        { "-00000000", 9 },
        { "@00000000", 9 },
        { "-000000", 7 },
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const size_t len = forms[i].len;

        if (model.len > len && has_form(span_from_offset(model, model.len - len), forms[i]))
            return span_of(model.ptr, model.len - len);
    }
    return model;
}

static const struct entry *find(const struct model_facts *facts, struct span provider,
                                struct span model)
{
    const struct entry *entry;
    struct span undated;

    if (facts == NULL)
        return NULL;
    entry = look_up(facts, provider, model);
    undated = without_date(model);
    if (entry == NULL && undated.len < model.len)
        entry = look_up(facts, provider, undated);
    return entry;
}

const struct model *model_facts_find(const struct model_facts *facts, struct span provider,
                                     struct span model)
{
    const struct entry *entry = find(facts, provider, model);

    return entry != NULL ? &entry->model : NULL;
}

const struct model *model_facts_find_own(const struct model_facts *facts, struct span provider,
                                         struct span model)
{
    const struct entry *entry = find(facts, provider, model);

    return entry != NULL && model_owned(&entry->own) != 0 ? &entry->own : NULL;
}

struct model_largest model_facts_largest(const struct model_facts *facts, struct span provider)
{
    const struct provider_entry *entry =
        facts != NULL ? map_get(&facts->by_provider, span_hash(provider), has_name, &provider)
                      : NULL;

    return entry != NULL ? entry->largest : (struct model_largest){ 0 };
}

/* --- published -------------------------------------------------------------------------------- */

struct model_store {
    struct snapshot_domain *domain;
    struct snapshot current;
};

enum tg_status model_store_refresh(struct model_store *store, struct db *db, struct err *err)
{
    struct model_facts *facts = NULL;

    TRY(model_facts_load(db, &facts, err));
    snapshot_swap(store->domain, &store->current, facts, model_facts_free);
    return TG_OK;
}

enum tg_status model_store_open(struct db *db, struct snapshot_domain *domain,
                                struct model_store **ret_store, struct err *err)
{
    struct model_store *store = calloc(1, sizeof(*store));
    enum tg_status status;

    if (store == NULL)
        return TG_NO_MEMORY;
    store->domain = domain;
    status = model_store_refresh(store, db, err);
    if (status != TG_OK) {
        free(store);
        return status;
    }
    *ret_store = store;
    return TG_OK;
}

void model_store_close(struct model_store *store)
{
    if (store == NULL)
        return;
    snapshot_swap(store->domain, &store->current, NULL, model_facts_free);
    free(store);
}

const struct model_facts *model_store_get(const struct model_store *store)
{
    return store != NULL ? snapshot_get(&store->current) : NULL;
}
