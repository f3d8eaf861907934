#include "ledger/dimension.h"

#include "base/try.h"

#include <assert.h>
#include <stdlib.h>

struct dimension_entry {
    int64_t id;
    uint64_t hash;
    struct dimension_entry *next_pending;
    size_t key_len;
    char key[];
};

static const struct {
    const char *find;
    const char *add;
} sql[] = {
    [DIMENSION_NAMES] = { "SELECT id FROM dimension WHERE name = ?1",
                          "INSERT INTO dimension (name) VALUES (?1) RETURNING id" },
    [DIMENSION_RATE_SETS] = { "SELECT id FROM rate_set WHERE rates = ?1",
                              "INSERT INTO rate_set (rates) VALUES (?1) RETURNING id" },
};

enum tg_status dimension_init(struct dimension *dimension, struct db *db,
                              enum dimension_table table, struct err *err)
{
    *dimension = (struct dimension){ 0 };
    map_init(&dimension->entries, DIMENSION_CACHE_MAX);
    TRY(stmt_prepare(&dimension->find, db, sql[table].find, err));
    return stmt_prepare(&dimension->add, db, sql[table].add, err);
}

void dimension_close(struct dimension *dimension)
{
    stmt_fini(&dimension->find);
    stmt_fini(&dimension->add);
}

static void forget_all(struct dimension *dimension)
{
    struct dimension_entry *entry;
    size_t cursor = 0;

    while ((entry = map_next(&dimension->entries, &cursor)) != NULL)
        free(entry);
    map_clear(&dimension->entries);
    dimension->pending = NULL;
}

void dimension_fini(struct dimension *dimension)
{
    dimension_close(dimension);
    forget_all(dimension);
    map_fini(&dimension->entries);
}

static bool has_key(const void *value, const void *key)
{
    const struct dimension_entry *entry = value;

    return span_equal(span_of(entry->key, entry->key_len), *(const struct span *)key);
}

static enum tg_status find_or_add(struct dimension *dimension, struct span text, int64_t *ret_id,
                                  bool *ret_is_new, struct err *err)
{
    int64_t id = 0;
    bool has_row = false;

    stmt_bind_text(&dimension->find, 1, text);
    TRY(stmt_run_int(&dimension->find, &id, err));
    if (id == 0) {
        stmt_bind_text(&dimension->add, 1, text);
        TRY(stmt_step(&dimension->add, &has_row, err));
        assert(has_row);
        id = stmt_int(&dimension->add, 0);
        /* The row is written before it is returned, but the statement ends with its last step. */
        TRY(stmt_step(&dimension->add, &has_row, err));
        *ret_is_new = true;
    }
    *ret_id = id;
    return TG_OK;
}

static enum tg_status remember(struct dimension *dimension, struct span key, int64_t id,
                               bool is_new)
{
    struct dimension_entry *entry = malloc(sizeof(*entry) + key.len);
    enum tg_status status;

    if (entry == NULL)
        return TG_NO_MEMORY;
    *entry = (struct dimension_entry){ .id = id, .hash = span_hash(key), .key_len = key.len };
    memcpy(entry->key, key.ptr, key.len);
    status = map_add(&dimension->entries, entry->hash, entry);
    if (status == TG_OVERLOADED && dimension->pending == NULL) {
        forget_all(dimension);
        status = map_add(&dimension->entries, entry->hash, entry);
    }
    if (status != TG_OK) {
        free(entry);
        return status == TG_OVERLOADED ? TG_OK : status; /* full for now: looked up each time */
    }
    if (is_new) {
        entry->next_pending = dimension->pending;
        dimension->pending = entry;
    }
    return TG_OK;
}

enum tg_status dimension_id(struct dimension *dimension, struct span key,
                            const struct dimension_text *text, int64_t *ret_id, struct err *err)
{
    const struct dimension_entry *entry =
        map_get(&dimension->entries, span_hash(key), has_key, &key);
    bool is_new = false;
    int64_t id;

    if (entry == NULL) {
        TRY(find_or_add(dimension, text != NULL ? text->build(text->context) : key, &id, &is_new,
                        err));
        TRY(remember(dimension, key, id, is_new));
    } else {
        id = entry->id;
    }
    *ret_id = id;
    return TG_OK;
}

void dimension_committed(struct dimension *dimension)
{
    dimension->pending = NULL;
}

void dimension_rolled_back(struct dimension *dimension)
{
    while (dimension->pending != NULL) {
        struct dimension_entry *entry = dimension->pending;
        const struct span key = span_of(entry->key, entry->key_len);
        void *removed;

        dimension->pending = entry->next_pending;
        removed = map_remove(&dimension->entries, entry->hash, has_key, &key);
        assert(removed == entry);
        free(entry);
    }
}
