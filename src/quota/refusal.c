#include "quota/refusal.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/list.h"
#include "base/try.h"
#include "ledger/rollup.h"

#include <stdlib.h>

#define MS_PER_MINUTE      60000
#define COUNTS_EVERY_US    1000000
#define COUNTS_EAGER_AFTER 1024

/* A refusal that waits to be written; the names stand behind it. */
struct row {
    struct list node;
    struct refusal refusal;
    char names[];
};

/* How many of a key's refusals for one reason have come in a minute. */
struct pace {
    int32_t key_id;
    enum tg_refusal_reason reason;
    int64_t minute; /* since 1970 */
    int count;
};

/* How many are to be added to a row of refusal_count. */
struct count {
    int64_t bucket;
    int32_t key_id;
    enum tg_refusal_reason reason;
    int64_t count;
    size_t model_len;
    char model[];
};

static const char insert_sql[] =
    "INSERT INTO refusal (id, team_id, key_id, provider_id, dialect_id, model_id, limit_id, "
    "reason, amount, spent, held, estimate, flags) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (id) DO NOTHING";
static const char count_up_sql[] =
    "INSERT INTO refusal_count (bucket, key_id, model_id, reason, count) "
    "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (bucket, key_id, model_id, reason) "
    "DO UPDATE SET count = count + excluded.count";

enum tg_status refusal_store_open(struct refusal_store *store, struct db *db, struct ledger *ledger,
                                  struct err *err)
{
    *store = (struct refusal_store){ .ledger = ledger };
    list_init(&store->rows);
    map_init(&store->paces, REFUSAL_PACES_MAX);
    map_init(&store->counts, REFUSAL_COUNTS_MAX);
    TRY(stmt_prepare(&store->insert, db, insert_sql, err));
    return stmt_prepare(&store->count_up, db, count_up_sql, err);
}

void refusal_store_close(struct refusal_store *store)
{
    stmt_fini(&store->insert);
    stmt_fini(&store->count_up);
}

static void free_values(struct map *map)
{
    void *value;
    size_t cursor = 0;

    while ((value = map_next(map, &cursor)) != NULL)
        free(value);
    map_clear(map);
}

static void free_rows(struct refusal_store *store)
{
    struct list *node;

    while ((node = list_pop_front(&store->rows)) != NULL)
        free(LIST_ENTRY(node, struct row, node));
    store->row_count = 0;
}

void refusal_store_fini(struct refusal_store *store)
{
    refusal_store_close(store);
    if (store->ledger == NULL)
        return; /* never opened */
    free_rows(store);
    free_values(&store->paces);
    free_values(&store->counts);
    map_fini(&store->paces);
    map_fini(&store->counts);
}

/* --- gathering ----------------------------------------------------------------------------------
 */

static uint64_t pace_hash(const struct refusal *refusal)
{
    return map_hash_int((uint64_t)refusal->key_id * 8 + refusal->reason);
}

static bool is_pace_of(const void *value, const void *key)
{
    const struct pace *pace = value;
    const struct refusal *refusal = key;

    return pace->key_id == refusal->key_id && pace->reason == refusal->reason;
}

static struct pace *pace_of(struct refusal_store *store, const struct refusal *refusal)
{
    struct pace *pace = map_get(&store->paces, pace_hash(refusal), is_pace_of, refusal);

    if (pace != NULL)
        return pace;
    if (store->paces.count == REFUSAL_PACES_MAX)
        free_values(&store->paces);
    pace = calloc(1, sizeof(*pace));
    if (pace == NULL)
        return NULL;
    pace->key_id = refusal->key_id;
    pace->reason = refusal->reason;
    if (map_add(&store->paces, pace_hash(refusal), pace) != TG_OK) {
        free(pace);
        return NULL;
    }
    return pace;
}

/* Whether it is one of the first of its minute. */
static bool gets_a_row(struct refusal_store *store, const struct refusal *refusal)
{
    struct pace *pace = pace_of(store, refusal);
    const int64_t minute = id_wall_ms(refusal->id) / MS_PER_MINUTE;

    if (pace == NULL)
        return false;
    if (pace->minute != minute) {
        pace->minute = minute;
        pace->count = 0;
    }
    return pace->count++ < REFUSAL_ROWS_PER_MINUTE;
}

static void keep_row(struct refusal_store *store, const struct refusal *refusal)
{
    struct row *row = NULL;

    if (store->row_count < REFUSAL_ROWS_MAX)
        row = calloc(1, sizeof(*row) + refusal->dialect.len + refusal->model.len + 1);
    if (row == NULL) {
        store->dropped++;
        return;
    }
    row->refusal = *refusal;
    memcpy(row->names, refusal->dialect.ptr, refusal->dialect.len);
    memcpy(row->names + refusal->dialect.len, refusal->model.ptr, refusal->model.len);
    row->refusal.dialect = span_of(row->names, refusal->dialect.len);
    row->refusal.model = span_of(row->names + refusal->dialect.len, refusal->model.len);
    list_push_back(&store->rows, &row->node);
    store->row_count++;
}

static int64_t bucket_of(const struct refusal *refusal)
{
    return id_wall_ms(refusal->id) / ROLLUP_MS_PER_QUARTER_HOUR;
}

static uint64_t count_hash(const struct refusal *refusal)
{
    return span_hash(refusal->model) ^ pace_hash(refusal) ^
           map_hash_int((uint64_t)bucket_of(refusal));
}

static bool is_count_of(const void *value, const void *key)
{
    const struct count *count = value;
    const struct refusal *refusal = key;

    return count->bucket == bucket_of(refusal) && count->key_id == refusal->key_id &&
           count->reason == refusal->reason &&
           span_equal(span_of(count->model, count->model_len), refusal->model);
}

static void count_one(struct refusal_store *store, const struct refusal *refusal)
{
    struct count *count = map_get(&store->counts, count_hash(refusal), is_count_of, refusal);

    if (count == NULL) {
        count = calloc(1, sizeof(*count) + refusal->model.len + 1);
        if (count == NULL)
            return;
        count->bucket = bucket_of(refusal);
        count->key_id = refusal->key_id;
        count->reason = refusal->reason;
        count->model_len = refusal->model.len;
        memcpy(count->model, refusal->model.ptr, refusal->model.len);
        if (map_add(&store->counts, count_hash(refusal), count) != TG_OK) {
            free(count);
            return;
        }
    }
    count->count++;
}

void refusal_note(struct refusal_store *store, const struct refusal *refusal)
{
    count_one(store, refusal);
    if (gets_a_row(store, refusal))
        keep_row(store, refusal);
}

/* --- writing ------------------------------------------------------------------------------------
 */

static enum tg_status write_row(struct refusal_store *store, const struct refusal *refusal,
                                struct err *err)
{
    struct stmt *stmt = &store->insert;
    int64_t dialect_id = 0;
    int64_t model_id = 0;

    TRY(ledger_name_id(store->ledger, refusal->dialect, &dialect_id, err));
    TRY(ledger_name_id(store->ledger, refusal->model, &model_id, err));
    stmt_bind_int(stmt, 1, refusal->id);
    stmt_bind_int(stmt, 2, refusal->team_id);
    stmt_bind_int(stmt, 3, refusal->key_id);
    stmt_bind_int(stmt, 4, refusal->provider_id);
    stmt_bind_int(stmt, 5, dialect_id);
    stmt_bind_int(stmt, 6, model_id);
    stmt_bind_optional_int(stmt, 7, refusal->limit_id, 0);
    stmt_bind_text(stmt, 8, span_from(tg_refusal_reason_name(refusal->reason)));
    stmt_bind_int(stmt, 9, refusal->amount);
    stmt_bind_int(stmt, 10, refusal->spent);
    stmt_bind_int(stmt, 11, refusal->held);
    stmt_bind_int(stmt, 12, refusal->estimate);
    stmt_bind_int(stmt, 13, refusal->flags);
    return stmt_run(stmt, err);
}

static enum tg_status write_rows(struct refusal_store *store, struct err *err)
{
    for (struct list *node = store->rows.next; node != &store->rows; node = node->next)
        TRY(write_row(store, &LIST_ENTRY(node, struct row, node)->refusal, err));
    store->has_written_rows = true;
    return TG_OK;
}

static enum tg_status write_counts(struct refusal_store *store, struct err *err)
{
    struct stmt *stmt = &store->count_up;
    const struct count *count;
    size_t cursor = 0;

    while ((count = map_next(&store->counts, &cursor)) != NULL) {
        int64_t model_id = 0;

        TRY(ledger_name_id(store->ledger, span_of(count->model, count->model_len), &model_id, err));
        stmt_bind_int(stmt, 1, count->bucket);
        stmt_bind_int(stmt, 2, count->key_id);
        stmt_bind_int(stmt, 3, model_id);
        stmt_bind_text(stmt, 4, span_from(tg_refusal_reason_name(count->reason)));
        stmt_bind_int(stmt, 5, count->count);
        TRY(stmt_run(stmt, err));
    }
    store->has_written_counts = true;
    return TG_OK;
}

enum tg_status refusal_write(struct refusal_store *store, struct err *err)
{
    const bool are_due = store->counts.count > COUNTS_EAGER_AFTER ||
                         clock_monotonic_us() - store->written_at_us >= COUNTS_EVERY_US;

    if (store->row_count > 0)
        TRY(write_rows(store, err));
    if (store->counts.count > 0 && are_due)
        TRY(write_counts(store, err));
    return TG_OK;
}

void refusal_committed(struct refusal_store *store)
{
    if (store->has_written_rows)
        free_rows(store);
    if (store->has_written_counts) {
        free_values(&store->counts);
        store->written_at_us = clock_monotonic_us();
    }
    refusal_rolled_back(store);
}

void refusal_rolled_back(struct refusal_store *store)
{
    store->has_written_rows = false;
    store->has_written_counts = false;
}
