#include "ledger/charge.h"

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/try.h"

#include <assert.h>

/* Classes with a column of their own; the others share other_usage. */
static const enum tg_class own_column[] = {
    TG_INPUT,       TG_CACHE_READ, TG_CACHE_WRITE,  TG_CACHE_WRITE_1H,
    TG_INPUT_AUDIO, TG_OUTPUT,     TG_OUTPUT_AUDIO,
};
#define OWN_COUNT ((int)(sizeof(own_column) / sizeof(own_column[0])))

/* All other classes at their largest. */
#define OTHER_USAGE_MAX 2048

#define COLUMNS                                                                                    \
    "id, call_id, kind, adjusts_id, team_id, key_id, provider_id, dialect_id, model_id, "          \
    "served_model_id, tier_id, input, cache_read, cache_write, cache_write_1h, input_audio, "      \
    "output, output_audio, other_usage, reasoning, prompt_tokens, cost_nusd, provider_cost_nusd, " \
    "hold_nusd, rate_set_id, outcome, source, flags, http_status, ttft_ms, total_ms, "             \
    "request_bytes, answer_bytes"

/* In the order of COLUMNS. */
enum column {
    ID,
    CALL_ID,
    KIND,
    ADJUSTS_ID,
    TEAM_ID,
    KEY_ID,
    PROVIDER_ID,
    DIALECT_ID,
    MODEL_ID,
    SERVED_MODEL_ID,
    TIER_ID,
    FIRST_CLASS,
    OTHER_USAGE = FIRST_CLASS + 7,
    REASONING,
    PROMPT_TOKENS,
    COST,
    PROVIDER_COST,
    HOLD,
    RATE_SET_ID,
    OUTCOME,
    SOURCE,
    FLAGS,
    HTTP_STATUS,
    TTFT_MS,
    TOTAL_MS,
    REQUEST_BYTES,
    ANSWER_BYTES,
    COLUMN_COUNT
};
static_assert(OTHER_USAGE == FIRST_CLASS + OWN_COUNT, "a column for each");

const char charge_columns[] = COLUMNS;

static const char insert_sql[] =
    "INSERT INTO charge (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
    "?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, "
    "?31, ?32, ?33) ON CONFLICT (id) DO NOTHING";
static const char find_sql[] = "SELECT " COLUMNS " FROM charge WHERE id = ?1";
static const char find_ending_sql[] =
    "SELECT 1 FROM charge WHERE adjusts_id = ?1 AND outcome = 3 LIMIT 1";
static const char insert_detail_sql[] =
    "INSERT INTO charge_detail (charge_id, raw_usage, response_id, upstream_request_id, client, "
    "error) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (charge_id) DO NOTHING";
static const char expire_details_sql[] =
    "DELETE FROM charge_detail WHERE charge_id IN (SELECT charge_id FROM charge_detail "
    "WHERE charge_id < ?1 ORDER BY charge_id LIMIT ?2)";

enum tg_status charge_store_prepare(struct charge_store *store, struct db *db, struct err *err)
{
    TRY(stmt_prepare(&store->insert, db, insert_sql, err));
    TRY(stmt_prepare(&store->find, db, find_sql, err));
    TRY(stmt_prepare(&store->find_ending, db, find_ending_sql, err));
    TRY(stmt_prepare(&store->insert_detail, db, insert_detail_sql, err));
    return stmt_prepare(&store->expire_details, db, expire_details_sql, err);
}

void charge_store_close(struct charge_store *store)
{
    stmt_fini(&store->insert);
    stmt_fini(&store->find);
    stmt_fini(&store->find_ending);
    stmt_fini(&store->insert_detail);
    stmt_fini(&store->expire_details);
}

static bool has_own_column(enum tg_class class)
{
    for (int i = 0; i < OWN_COUNT; i++) {
        if (own_column[i] == class)
            return true;
    }
    return false;
}

/* Write the classes without a column as a JSON object; nothing where all are 0. */
static void write_other_usage(const struct tg_usage *usage, struct buf *out)
{
    struct json_writer json;
    bool has_any = false;

    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        if (usage->count[class] == 0 || has_own_column((enum tg_class) class))
            continue;
        if (!has_any) {
            json_begin(&json, out);
            json_open_object(&json, NULL);
            has_any = true;
        }
        json_int(&json, tg_class_name((enum tg_class) class), usage->count[class]);
    }
    if (has_any)
        json_close_object(&json);
}

static void bind_row(struct stmt *stmt, const struct charge_row *row, struct span other_usage)
{
    stmt_bind_int(stmt, ID + 1, row->id);
    stmt_bind_optional_int(stmt, CALL_ID + 1, row->call_id, 0);
    stmt_bind_int(stmt, KIND + 1, row->adjusts_id == 0 ? CHARGE_ATTEMPT : CHARGE_ADJUSTMENT);
    stmt_bind_optional_int(stmt, ADJUSTS_ID + 1, row->adjusts_id, 0);
    stmt_bind_int(stmt, TEAM_ID + 1, row->team_id);
    stmt_bind_int(stmt, KEY_ID + 1, row->key_id);
    stmt_bind_int(stmt, PROVIDER_ID + 1, row->provider_id);
    stmt_bind_int(stmt, DIALECT_ID + 1, row->dialect_id);
    stmt_bind_int(stmt, MODEL_ID + 1, row->model_id);
    stmt_bind_optional_int(stmt, SERVED_MODEL_ID + 1, row->served_model_id, 0);
    stmt_bind_optional_int(stmt, TIER_ID + 1, row->tier_id, 0);
    for (int i = 0; i < OWN_COUNT; i++)
        stmt_bind_int(stmt, FIRST_CLASS + i + 1, row->usage.count[own_column[i]]);
    stmt_bind_optional_text(stmt, OTHER_USAGE + 1, other_usage);
    stmt_bind_int(stmt, REASONING + 1, row->usage.reasoning_tokens);
    stmt_bind_int(stmt, PROMPT_TOKENS + 1, row->usage.prompt_tokens);
    stmt_bind_int(stmt, COST + 1, row->cost_nusd);
    stmt_bind_int(stmt, PROVIDER_COST + 1, row->provider_cost_nusd);
    stmt_bind_int(stmt, HOLD + 1, row->hold_nusd);
    stmt_bind_optional_int(stmt, RATE_SET_ID + 1, row->rate_set_id, 0);
    stmt_bind_int(stmt, OUTCOME + 1, row->outcome);
    stmt_bind_int(stmt, SOURCE + 1, row->source);
    stmt_bind_int(stmt, FLAGS + 1, row->flags);
    stmt_bind_optional_int(stmt, HTTP_STATUS + 1, row->http_status, 0);
    stmt_bind_optional_int(stmt, TTFT_MS + 1, row->ttft_ms, -1);
    stmt_bind_int(stmt, TOTAL_MS + 1, row->total_ms);
    stmt_bind_int(stmt, REQUEST_BYTES + 1, row->request_bytes);
    stmt_bind_int(stmt, ANSWER_BYTES + 1, row->answer_bytes);
}

enum tg_status charge_insert(struct charge_store *store, const struct charge_row *row,
                             bool *ret_is_new, struct err *err)
{
    AUTO(buf) other_usage = { 0 };

    buf_init(&other_usage, OTHER_USAGE_MAX);
    write_other_usage(&row->usage, &other_usage);
    TRY(buf_status(&other_usage));
    bind_row(&store->insert, row, buf_span(&other_usage));
    TRY(stmt_run(&store->insert, err));
    *ret_is_new = stmt_changes(&store->insert) == 1;
    return TG_OK;
}

enum tg_status charge_find(struct charge_store *store, int64_t id, struct charge_row *ret_row,
                           struct err *err)
{
    enum tg_status status;
    bool has_row = false;

    stmt_bind_int(&store->find, 1, id);
    TRY(stmt_step(&store->find, &has_row, err));
    if (!has_row)
        return err_set(err, TG_NOT_FOUND, "there is no charge %lld", (long long)id);
    status = charge_read(&store->find, ret_row, err);
    stmt_reset(&store->find);
    return status;
}

enum tg_status charge_is_ended(struct charge_store *store, int64_t id, bool *ret_is_ended,
                               struct err *err)
{
    int64_t found = 0;

    stmt_bind_int(&store->find_ending, 1, id);
    TRY(stmt_run_int(&store->find_ending, &found, err));
    *ret_is_ended = found == 1;
    return TG_OK;
}

enum tg_status charge_insert_detail(struct charge_store *store, const struct ledger_charge *charge,
                                    struct err *err)
{
    struct stmt *stmt = &store->insert_detail;
    const size_t all = charge->raw_usage.len + charge->response_id.len +
                       charge->upstream_request_id.len + charge->client.len + charge->error.len;

    if (all == 0)
        return TG_OK;
    stmt_bind_int(stmt, 1, charge->attempt_id);
    stmt_bind_optional_text(stmt, 2, charge->raw_usage);
    stmt_bind_optional_text(stmt, 3, charge->response_id);
    stmt_bind_optional_text(stmt, 4, charge->upstream_request_id);
    stmt_bind_optional_text(stmt, 5, charge->client);
    stmt_bind_optional_text(stmt, 6, charge->error);
    return stmt_run(stmt, err);
}

enum tg_status charge_expire_details(struct charge_store *store, int64_t before_id, int64_t most,
                                     int64_t *ret_deleted, struct err *err)
{
    stmt_bind_int(&store->expire_details, 1, before_id);
    stmt_bind_int(&store->expire_details, 2, most);
    TRY(stmt_run(&store->expire_details, err));
    *ret_deleted = stmt_changes(&store->expire_details);
    return TG_OK;
}

static enum tg_status read_other_usage(struct span text, struct tg_usage *usage, struct err *err)
{
    AUTO_JSON tree = NULL;
    const cJSON *member;

    if (text.len == 0)
        return TG_OK;
    TRY(json_parse(text, &tree, err));
    cJSON_ArrayForEach(member, tree)
    {
        enum tg_class class;

        if (!cJSON_IsNumber(member) || !tg_class_from_name(member->string, &class))
            return err_set(err, TG_CORRUPT, "a charge has the unknown usage %.40s",
                           member->string != NULL ? member->string : "");
        usage->count[class] = member->valueint; /* up to TG_COUNT_MAX, either way */
    }
    return TG_OK;
}

enum tg_status charge_read(const struct stmt *stmt, struct charge_row *ret_row, struct err *err)
{
    struct charge_row row = {
        .id = stmt_int(stmt, ID),
        .call_id = stmt_int(stmt, CALL_ID),
        .adjusts_id = stmt_int(stmt, ADJUSTS_ID),
        .team_id = stmt_int(stmt, TEAM_ID),
        .key_id = stmt_int(stmt, KEY_ID),
        .provider_id = stmt_int(stmt, PROVIDER_ID),
        .dialect_id = stmt_int(stmt, DIALECT_ID),
        .model_id = stmt_int(stmt, MODEL_ID),
        .served_model_id = stmt_int(stmt, SERVED_MODEL_ID),
        .tier_id = stmt_int(stmt, TIER_ID),
        .cost_nusd = stmt_int(stmt, COST),
        .provider_cost_nusd = stmt_int(stmt, PROVIDER_COST),
        .hold_nusd = stmt_int(stmt, HOLD),
        .rate_set_id = stmt_int(stmt, RATE_SET_ID),
        .outcome = (enum ledger_outcome)stmt_int(stmt, OUTCOME),
        .source = (enum ledger_source)stmt_int(stmt, SOURCE),
        .flags = (uint32_t)stmt_int(stmt, FLAGS),
        .http_status = stmt_int(stmt, HTTP_STATUS),
        .ttft_ms = stmt_is_null(stmt, TTFT_MS) ? -1 : stmt_int(stmt, TTFT_MS),
        .total_ms = stmt_int(stmt, TOTAL_MS),
        .request_bytes = stmt_int(stmt, REQUEST_BYTES),
        .answer_bytes = stmt_int(stmt, ANSWER_BYTES),
    };

    for (int i = 0; i < OWN_COUNT; i++)
        row.usage.count[own_column[i]] = stmt_int(stmt, FIRST_CLASS + i);
    row.usage.reasoning_tokens = stmt_int(stmt, REASONING);
    row.usage.prompt_tokens = stmt_int(stmt, PROMPT_TOKENS);
    TRY(read_other_usage(stmt_text(stmt, OTHER_USAGE), &row.usage, err));
    *ret_row = row;
    return TG_OK;
}

static int64_t as_count(bool is)
{
    return is ? 1 : 0;
}

void charge_metrics(const struct charge_row *row, struct rollup_metrics *ret_metrics)
{
    const int64_t *count = row->usage.count;
    const bool is_attempt = row->adjusts_id == 0;
    const bool was_sent = (row->flags & LEDGER_NOT_SENT) == 0;
    int64_t *to = ret_metrics->value;

    to[ROLLUP_REQUESTS] = as_count(is_attempt && row->call_id == 0 && was_sent);
    to[ROLLUP_ERRORS] = as_count(is_attempt && row->outcome == LEDGER_OUTCOME_UPSTREAM_ERROR);
    to[ROLLUP_ESTIMATED] = as_count(is_attempt && (row->source == LEDGER_SOURCE_ESTIMATED ||
                                                   row->source == LEDGER_SOURCE_CEILING));
    to[ROLLUP_UNRECONCILED] =
        as_count(row->outcome == LEDGER_OUTCOME_UNRECONCILED) * (is_attempt ? 1 : -1);
    to[ROLLUP_UNPRICED] = as_count(is_attempt && (row->flags & LEDGER_UNPRICED) != 0);
    to[ROLLUP_INPUT] = count[TG_INPUT];
    to[ROLLUP_CACHE_READ] =
        count[TG_CACHE_READ] + count[TG_CACHE_READ_AUDIO] + count[TG_CACHE_READ_IMAGE];
    to[ROLLUP_CACHE_WRITE] = count[TG_CACHE_WRITE] + count[TG_CACHE_WRITE_1H] +
                             count[TG_CACHE_WRITE_12H] + count[TG_CACHE_WRITE_AUDIO];
    to[ROLLUP_MEDIA_IN] = count[TG_INPUT_AUDIO] + count[TG_INPUT_IMAGE] + count[TG_INPUT_VIDEO];
    to[ROLLUP_OUTPUT] = count[TG_OUTPUT] + count[TG_REASONING];
    to[ROLLUP_MEDIA_OUT] = count[TG_OUTPUT_AUDIO] + count[TG_OUTPUT_IMAGE] + count[TG_OUTPUT_VIDEO];
    to[ROLLUP_REASONING] = row->usage.reasoning_tokens;
    to[ROLLUP_COST_NUSD] = row->cost_nusd;
    to[ROLLUP_PROVIDER_COST_NUSD] = row->provider_cost_nusd;
}

void charge_place(const struct charge_row *row, struct rollup_place *ret_place)
{
    *ret_place = (struct rollup_place){
        .wall_ms = id_wall_ms(row->adjusts_id != 0 ? row->adjusts_id : row->id),
        .team_id = row->team_id,
        .key_id = row->key_id,
        .model_id = row->model_id,
        .provider_id = row->provider_id,
    };
}
