#include "proxy/models.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/map.h"
#include "base/money.h"
#include "base/try.h"
#include "providers/catalogue.h"

#include <stdio.h>

#define NAMES_MAX         200000
#define NAMES_FIRST_BYTES 4096
#define NAMES_BYTES_MAX   ((size_t)NAMES_MAX * 32)

/* A list being written. */
struct listing {
    const struct models_query *query;
    struct json_writer writer;
    struct map names; /* of struct span: what stands in it */
    struct arena arena;
};

static bool is_name(const void *value, const void *key)
{
    return span_equal(*(const struct span *)value, *(const struct span *)key);
}

/* Google's lists write "models/x" for what its paths and prices call "x". */
static struct span bare(const struct models_query *query, struct span id)
{
    const struct span models = SPAN("models/");

    return query->is_google && span_starts_with(id, models) ? span_from_offset(id, models.len) : id;
}

/* In Google's shape. No list and no price says what a model is for but its name. */
static void put_google_model(struct json_writer *writer, struct span id)
{
    const char *const collection = span_starts_with(id, SPAN("tunedModels/")) ? "" : "models/";
    char name[TG_MODEL_MAX + sizeof("models/")];
    size_t at;

    (void)snprintf(name, sizeof(name), "%s%.*s", collection, SPAN_ARG(id));
    json_open_object(writer, NULL);
    json_string(writer, "name", name);
    json_text(writer, "displayName", id);
    json_open_array(writer, "supportedGenerationMethods");
    if (span_find(id, SPAN("embedding"), &at)) {
        json_string(writer, NULL, "embedContent");
        json_string(writer, NULL, "batchEmbedContents");
    } else {
        json_string(writer, NULL, "generateContent");
        json_string(writer, NULL, "streamGenerateContent");
    }
    json_string(writer, NULL, "countTokens");
    json_close_array(writer);
    json_close_object(writer);
}

static void put_model(struct json_writer *writer, const struct models_query *query, struct span id,
                      const struct target *target)
{
    if (query->is_google) {
        put_google_model(writer, id);
        return;
    }
    json_open_object(writer, NULL);
    json_text(writer, "id", id);
    json_string(writer, "object", "model");
    json_int(writer, "created", 0); /* no provider's list and no price says when */
    json_string(writer, "owned_by", target->name);
    json_close_object(writer);
}

static enum tg_status add(struct listing *listing, struct span id, const struct target *target)
{
    const uint64_t hash = span_hash(id);
    struct span *kept;

    if (!key_allows_model(listing->query->key, id) ||
        map_get(&listing->names, hash, is_name, &id) != NULL)
        return TG_OK;
    kept = arena_alloc(&listing->arena, sizeof(*kept));
    if (kept == NULL)
        return TG_NO_MEMORY;
    *kept = id; /* the snapshot's, for this turn */
    TRY(map_add(&listing->names, hash, kept));
    put_model(&listing->writer, listing->query, id, target);
    return TG_OK;
}

static enum tg_status add_target(struct listing *listing, const struct target *target)
{
    const struct book *book = listing->query->book;
    struct span name;
    size_t cursor = 0;

    for (int i = 0; i < target->model_count; i++)
        TRY(add(listing, bare(listing->query, span_from(target->models[i])), target));
    if (book == NULL || target->kind->book == NULL)
        return TG_OK;
    while (book_next_model(book, span_from(target->kind->book), &cursor, &name))
        TRY(add(listing, name, target));
    return TG_OK;
}

/* Whether calls can reach it here, and are asked about it. */
static bool is_listed(const struct models_query *query, const struct target *target)
{
    const bool is_callable =
        query->is_google
            ? catalogue_speech(target->kind, catalogue_dialect(SPAN("gemini-generate"))) != NULL
            : target->kind->speaks[0].dialect != NULL;

    return is_callable &&
           (query->provider.len == 0 || span_equal(query->provider, span_from(target->name)));
}

enum tg_status models_put_list(const struct models_query *query, struct buf *out)
{
    struct listing listing = { .query = query };
    enum tg_status status = TG_OK;

    map_init(&listing.names, NAMES_MAX);
    arena_init(&listing.arena, NAMES_FIRST_BYTES, NAMES_BYTES_MAX);
    json_begin(&listing.writer, out);
    json_open_object(&listing.writer, NULL);
    if (!query->is_google)
        json_string(&listing.writer, "object", "list");
    json_open_array(&listing.writer, query->is_google ? "models" : "data");
    for (int i = 0; i < query->targets->count && status == TG_OK; i++) {
        if (is_listed(query, query->targets->target[i]))
            status = add_target(&listing, query->targets->target[i]);
    }
    json_close_array(&listing.writer);
    json_close_object(&listing.writer);
    map_fini(&listing.names);
    arena_fini(&listing.arena);
    return status == TG_OK ? buf_status(out) : TG_NO_MEMORY;
}

static bool has_model(const struct models_query *query, const struct target *target, struct span id)
{
    for (int i = 0; i < target->model_count; i++) {
        if (span_equal(bare(query, span_from(target->models[i])), id))
            return true;
    }
    return query->book != NULL && target->kind->book != NULL &&
           book_find(query->book, span_from(target->kind->book), id) != NULL;
}

/* The id without `name/` where that is the target's. */
static struct span without_name(struct span id, const struct target *target)
{
    const struct span name = span_from(target->name);

    if (!span_starts_with(id, name) || id.len <= name.len + 1 || id.ptr[name.len] != '/')
        return id;
    return span_from_offset(id, name.len + 1);
}

enum tg_status models_put_one(const struct models_query *query, struct span id, struct buf *out)
{
    struct json_writer writer;

    if (!key_allows_model(query->key, id))
        return TG_MODEL_NOT_FOUND;
    for (int i = 0; i < query->targets->count; i++) {
        const struct target *target = query->targets->target[i];

        if (!is_listed(query, target) ||
            (!has_model(query, target, id) && !has_model(query, target, without_name(id, target))))
            continue;
        json_begin(&writer, out);
        put_model(&writer, query, id, target);
        return buf_status(out);
    }
    return TG_MODEL_NOT_FOUND;
}

/* --- the key itself --- */

static int64_t remaining(const struct admit_count *count)
{
    const int64_t left = count->amount - count->spent - count->held;

    return left > 0 ? left : 0;
}

/* Money as a number: what those expect who read OpenRouter's. */
static void put_usd(struct json_writer *writer, const char *name, int64_t nusd)
{
    char text[MONEY_TEXT_SIZE];

    money_format(nusd, text);
    json_raw(writer, name, span_from(text));
}

/* How OpenRouter calls the time after which a limit begins anew. NULL: never, or no word for it. */
static const char *reset_of(enum period_window window)
{
    switch (window) {
    case PERIOD_DAY:
        return "daily";
    case PERIOD_WEEK:
        return "weekly";
    case PERIOD_MONTH:
        return "monthly";
    case PERIOD_MINUTE:
    case PERIOD_HOUR:
    case PERIOD_TOTAL:
    case PERIOD_WINDOW_COUNT:
        break;
    }
    return NULL;
}

static bool is_budget(const struct limit *limit)
{
    return limit->metric == LIMIT_COST && limit->is_hard && limit->model_count == 0 &&
           limit->rule.window != PERIOD_MINUTE && limit->rule.window != PERIOD_HOUR;
}

static const struct own_limit *find_tightest(const struct models_key *key)
{
    const struct own_limit *tightest = NULL;

    for (int i = 0; i < key->limit_count; i++) {
        const struct own_limit *own = &key->limits[i];

        if (is_budget(&own->limit) &&
            (tightest == NULL || remaining(&own->count) < remaining(&tightest->count)))
            tightest = own;
    }
    return tightest;
}

static void put_budget(struct json_writer *writer, const struct models_key *key)
{
    const struct own_limit *own = find_tightest(key);

    if (own == NULL) {
        json_null(writer, "limit");
        json_null(writer, "limit_remaining");
        json_null(writer, "limit_reset");
        return;
    }
    put_usd(writer, "limit", own->count.amount);
    put_usd(writer, "limit_remaining", remaining(&own->count));
    json_string(writer, "limit_reset", reset_of(own->limit.rule.window));
}

/* What this key alone has used in a window, where something counts it. */
static void put_used(struct json_writer *writer, const struct models_key *key, const char *name,
                     enum period_window window)
{
    for (int i = 0; i < key->limit_count; i++) {
        const struct limit *limit = &key->limits[i].limit;

        if ((limit->scope != LIMIT_KEY && !limit->is_each_key) || limit->metric != LIMIT_COST ||
            limit->model_count > 0 || limit->rule.window != window)
            continue;
        put_usd(writer, name, key->limits[i].count.spent);
        return;
    }
    json_null(writer, name);
}

static void put_own_limit(struct json_writer *writer, const struct own_limit *own)
{
    const struct limit *limit = &own->limit;
    const struct admit_count *count = &own->count;

    json_open_object(writer, NULL);
    json_string(writer, "id", limit->public_id);
    json_string(writer, "scope", limit_scope_name(limit->scope));
    json_string(writer, "each", limit->is_each_key ? "key" : NULL);
    json_open_array(writer, "models");
    for (int i = 0; i < limit->model_count; i++)
        json_string(writer, NULL, limit->models[i]);
    json_close_array(writer);
    json_string(writer, "metric", limit_metric_name(limit->metric));
    json_string(writer, "window",
                limit->has_window ? period_window_name(limit->rule.window) : NULL);
    json_string(writer, "enforcement", limit->is_hard ? "hard" : "soft");
    limit_put_amount(writer, "amount", limit->metric, count->amount);
    limit_put_amount(writer, "spent", limit->metric, count->spent);
    limit_put_amount(writer, "held", limit->metric, count->held);
    limit_put_amount(writer, "unreconciled", limit->metric, count->unreconciled);
    limit_put_amount(writer, "remaining", limit->metric, remaining(count));
    json_time(writer, "resets_at", count->resets_at_ms);
    json_close_object(writer);
}

void models_put_key(const struct models_key *key, struct buf *out)
{
    struct json_writer writer;

    json_begin(&writer, out);
    json_open_object(&writer, NULL);
    json_open_object(&writer, "data");
    json_string(&writer, "label", key->public_id);
    put_budget(&writer, key);
    put_used(&writer, key, "usage", PERIOD_TOTAL);
    put_used(&writer, key, "usage_daily", PERIOD_DAY);
    put_used(&writer, key, "usage_weekly", PERIOD_WEEK);
    put_used(&writer, key, "usage_monthly", PERIOD_MONTH);
    json_bool(&writer, "is_free_tier", false);
    json_bool(&writer, "is_management_key", false);
    json_time(&writer, "expires_at", key->expires_at_ms);
    json_open_array(&writer, "limits");
    for (int i = 0; i < key->limit_count; i++)
        put_own_limit(&writer, &key->limits[i]);
    json_close_array(&writer);
    json_bool(&writer, "has_more_limits", key->has_more_limits);
    json_close_object(&writer);
    json_close_object(&writer);
}
