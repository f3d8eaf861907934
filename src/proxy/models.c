#include "proxy/models.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/map.h"
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

void models_put_key(const struct key_entry *key, struct buf *out)
{
    struct json_writer writer;

    json_begin(&writer, out);
    json_open_object(&writer, NULL);
    json_open_object(&writer, "data");
    json_string(&writer, "label", key->public_id);
    json_null(&writer, "usage"); /* reports tell it; nothing here adds it up */
    json_null(&writer, "limit");
    json_null(&writer, "limit_remaining");
    json_bool(&writer, "is_free_tier", false);
    json_open_array(&writer, "limits");
    json_close_array(&writer);
    json_close_object(&writer);
    json_close_object(&writer);
}
