#include "ledger/rollup.h"

#include "base/try.h"

#include <assert.h>
#include <stdlib.h>

#define METRIC_NAMES                                                                               \
    "requests, errors, estimated, unreconciled, unpriced, input, cache_read, cache_write, "        \
    "media_in, output, media_out, reasoning, cost_nusd, provider_cost_nusd"
#define ADD_METRICS                                                                                \
    "requests = requests + excluded.requests, errors = errors + excluded.errors, "                 \
    "estimated = estimated + excluded.estimated, "                                                 \
    "unreconciled = unreconciled + excluded.unreconciled, "                                        \
    "unpriced = unpriced + excluded.unpriced, input = input + excluded.input, "                    \
    "cache_read = cache_read + excluded.cache_read, "                                              \
    "cache_write = cache_write + excluded.cache_write, media_in = media_in + excluded.media_in, "  \
    "output = output + excluded.output, media_out = media_out + excluded.media_out, "              \
    "reasoning = reasoning + excluded.reasoning, cost_nusd = cost_nusd + excluded.cost_nusd, "     \
    "provider_cost_nusd = provider_cost_nusd + excluded.provider_cost_nusd"
/* Parameters: ?1..?14 the metrics, then the key. */
#define METRIC_VALUES "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14"
#define FIRST_KEY     (ROLLUP_METRIC_COUNT + 1)

#define SLOTS_KEPT_MAX 4096

static const char *const sql[ROLLUP_TABLE_COUNT] = {
    [ROLLUP_DAY] =
        "INSERT INTO rollup_day (" METRIC_NAMES
        ", day, key_id, model_id, provider_id) VALUES (" METRIC_VALUES ", ?15, ?16, ?17, ?18) "
        "ON CONFLICT (day, key_id, model_id, provider_id) DO UPDATE SET " ADD_METRICS,
    [ROLLUP_QUARTER_HOUR] =
        "INSERT INTO rollup_quarter_hour (" METRIC_NAMES
        ", bucket, team_id, model_id) VALUES (" METRIC_VALUES ", ?15, ?16, ?17) "
        "ON CONFLICT (bucket, team_id, model_id) DO UPDATE SET " ADD_METRICS,
};

void rollup_init(struct rollup *rollup)
{
    *rollup = (struct rollup){ 0 };
    map_init(&rollup->rows, ROLLUP_ROWS_MAX);
}

static void free_rows(struct rollup_row *row)
{
    while (row != NULL) {
        struct rollup_row *next = row->next;

        free(row);
        row = next;
    }
}

void rollup_fini(struct rollup *rollup)
{
    rollup_close(rollup);
    free_rows(rollup->used);
    free_rows(rollup->spare);
    map_fini(&rollup->rows);
}

enum tg_status rollup_prepare(struct rollup *rollup, struct db *db, struct err *err)
{
    return stmt_prepare_all(rollup->add, db, sql, ROLLUP_TABLE_COUNT, err);
}

void rollup_close(struct rollup *rollup)
{
    stmt_fini_all(rollup->add, ROLLUP_TABLE_COUNT);
}

static uint64_t hash_of(const struct rollup_key *key)
{
    uint64_t hash = map_hash_int((uint64_t)key->at * ROLLUP_TABLE_COUNT + (uint64_t)key->table);

    hash = map_hash_int(hash ^ (uint64_t)key->account_id);
    hash = map_hash_int(hash ^ (uint64_t)key->model_id);
    return map_hash_int(hash ^ (uint64_t)key->provider_id);
}

static bool has_key(const void *value, const void *key)
{
    return memcmp(&((const struct rollup_row *)value)->key, key, sizeof(struct rollup_key)) == 0;
}

static struct rollup_row *row_of(struct rollup *rollup, const struct rollup_key *key)
{
    const uint64_t hash = hash_of(key);
    struct rollup_row *row = map_get(&rollup->rows, hash, has_key, key);

    if (row != NULL)
        return row;
    row = rollup->spare;
    if (row != NULL)
        rollup->spare = row->next;
    else
        row = malloc(sizeof(*row));
    if (row == NULL)
        return NULL;
    *row = (struct rollup_row){ .key = *key, .next = rollup->used };
    if (map_add(&rollup->rows, hash, row) != TG_OK) {
        free(row);
        return NULL;
    }
    rollup->used = row;
    return row;
}

/* Whole steps backwards too: -1 ms is in bucket -1. */
static int64_t bucket_of(int64_t wall_ms, int64_t width_ms)
{
    return wall_ms >= 0 ? wall_ms / width_ms : -((-wall_ms + width_ms - 1) / width_ms);
}

static void add_to(struct rollup_row *row, const struct rollup_metrics *metrics)
{
    for (int i = 0; i < ROLLUP_METRIC_COUNT; i++)
        row->sum.value[i] += metrics->value[i];
}

enum tg_status rollup_add(struct rollup *rollup, const struct rollup_place *place,
                          const struct rollup_metrics *metrics)
{
    const struct rollup_key by_day = {
        .at = bucket_of(place->wall_ms, ROLLUP_MS_PER_DAY),
        .table = ROLLUP_DAY,
        .account_id = place->key_id,
        .model_id = place->model_id,
        .provider_id = place->provider_id,
    };
    const struct rollup_key by_quarter_hour = {
        .at = bucket_of(place->wall_ms, ROLLUP_MS_PER_QUARTER_HOUR),
        .table = ROLLUP_QUARTER_HOUR,
        .account_id = place->team_id,
        .model_id = place->model_id,
    };
    struct rollup_row *day = row_of(rollup, &by_day);
    struct rollup_row *quarter_hour = row_of(rollup, &by_quarter_hour);

    if (day == NULL || quarter_hour == NULL)
        return TG_NO_MEMORY; /* a row of zeros may be left, which changes nothing */
    add_to(day, metrics);
    add_to(quarter_hour, metrics);
    return TG_OK;
}

static enum tg_status write_row(struct rollup *rollup, const struct rollup_row *row,
                                struct err *err)
{
    struct stmt *add = &rollup->add[row->key.table];

    for (int i = 0; i < ROLLUP_METRIC_COUNT; i++)
        stmt_bind_int(add, i + 1, row->sum.value[i]);
    stmt_bind_int(add, FIRST_KEY, row->key.at);
    stmt_bind_int(add, FIRST_KEY + 1, row->key.account_id);
    stmt_bind_int(add, FIRST_KEY + 2, row->key.model_id);
    if (row->key.table == ROLLUP_DAY)
        stmt_bind_int(add, FIRST_KEY + 3, row->key.provider_id);
    return stmt_run(add, err);
}

enum tg_status rollup_write(struct rollup *rollup, struct err *err)
{
    for (const struct rollup_row *row = rollup->used; row != NULL; row = row->next)
        TRY(write_row(rollup, row, err));
    return TG_OK;
}

void rollup_clear(struct rollup *rollup)
{
    struct rollup_row *last = rollup->used;

    if (last == NULL)
        return;
    while (last->next != NULL)
        last = last->next;
    last->next = rollup->spare;
    rollup->spare = rollup->used;
    rollup->used = NULL;
    if (rollup->rows.slot_count <= SLOTS_KEPT_MAX) {
        map_clear(&rollup->rows);
    } else { /* of the recovery at start, too many to wipe after each batch */
        map_fini(&rollup->rows);
        map_init(&rollup->rows, ROLLUP_ROWS_MAX);
    }
}

enum tg_status rollup_subtract(struct rollup *rollup, const struct rollup_key *key,
                               const struct rollup_metrics *metrics)
{
    struct rollup_row *row = row_of(rollup, key);

    if (row == NULL)
        return TG_NO_MEMORY;
    for (int i = 0; i < ROLLUP_METRIC_COUNT; i++)
        row->sum.value[i] -= metrics->value[i];
    return TG_OK;
}

int64_t rollup_count_nonzero(const struct rollup *rollup)
{
    int64_t count = 0;

    for (const struct rollup_row *row = rollup->used; row != NULL; row = row->next) {
        bool is_zero = true;

        for (int i = 0; i < ROLLUP_METRIC_COUNT; i++)
            is_zero = is_zero && row->sum.value[i] == 0;
        count += is_zero ? 0 : 1;
    }
    return count;
}
