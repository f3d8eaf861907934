#include "policy/key.h"

#include "base/map.h"
#include "base/try.h"
#include "store/stmt.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SHARDS    256 /* by the first byte of the hash */
#define SLOTS_MIN 8
#define KEYS_MAX  (1u << 22)

#define ENTRY_COLUMNS                                                                              \
    "SELECT s.hash, k.id, k.team_id, k.public_id, t.public_id, k.expires_ms, s.expires_ms, "       \
    "k.revoked_ms IS NOT NULL OR t.archived_ms IS NOT NULL, k.models, k.last_used_ms "             \
    "FROM key_secret AS s JOIN \"key\" AS k ON k.id = s.key_id JOIN team AS t ON t.id = "          \
    "k.team_id "

static const char sql_all[] = ENTRY_COLUMNS "/* scan */";
static const char sql_of_key[] = ENTRY_COLUMNS "WHERE s.key_id = ?1";
static const char sql_of_team[] = ENTRY_COLUMNS "WHERE k.team_id = ?1";
static const char sql_flush[] =
    "UPDATE \"key\" SET last_used_ms = ?2 WHERE id = ?1 AND coalesce(last_used_ms, 0) < ?2";

/* What outlives the entries of a key, until the keyring closes. */
struct key_use {
    int32_t id;
    int32_t team_id;
    _Atomic int64_t last_used_ms;
    int64_t flushed_ms;  /* as the row has it; the writer's */
    int64_t written_ms;  /* on its way to the row; 0: none; the writer's */
    struct list entries; /* of the key's secrets; the writer's */
};

/* An entry with what the writer keeps beside it. Readers see `entry` alone. */
struct node {
    struct key_entry entry;
    struct list in_key;
    struct node *next; /* in a list on the way in or out */
};

/* Open addressing, at most half full. Immutable once published, but for `retired`, which the writer
 * fills in right before the swap that retires the shard: entries that no later shard has. */
struct shard {
    struct node *retired;
    size_t slot_count; /* a power of two */
    const struct key_entry *slots[];
};

struct keyring {
    struct snapshot_domain *domain;
    struct snapshot shards[SHARDS];
    pthread_mutex_t lock; /* of by_id, between the writer and who asks for a last use */
    struct map by_id;     /* of key_use */
};

/* --- entries --- */

static void free_node(struct node *node)
{
    if (node == NULL)
        return;
    free(node->entry.models);
    free(node);
}

static void free_nodes(struct node *nodes)
{
    while (nodes != NULL) {
        struct node *next = nodes->next;

        free_node(nodes);
        nodes = next;
    }
}

static void free_shard(void *object)
{
    struct shard *shard = object;

    if (shard == NULL)
        return;
    free_nodes(shard->retired);
    free(shard);
}

static bool has_id(const void *value, const void *key)
{
    return ((const struct key_use *)value)->id == *(const int32_t *)key;
}

static struct key_use *find_use(const struct keyring *keyring, int32_t id)
{
    return map_get(&keyring->by_id, map_hash_int((uint64_t)id), has_id, &id);
}

/* Thread: writer, which alone adds. */
static enum tg_status add_use(struct keyring *keyring, const struct key_use *like,
                              struct key_use **ret_use)
{
    struct key_use *use = find_use(keyring, like->id);
    enum tg_status status;

    if (use != NULL) {
        *ret_use = use;
        return TG_OK;
    }
    use = malloc(sizeof(*use));
    if (use == NULL)
        return TG_NO_MEMORY;
    *use = (struct key_use){ .id = like->id,
                             .team_id = like->team_id,
                             .flushed_ms = like->flushed_ms };
    atomic_init(&use->last_used_ms, like->flushed_ms);
    list_init(&use->entries);
    pthread_mutex_lock(&keyring->lock);
    status = map_add(&keyring->by_id, map_hash_int((uint64_t)use->id), use);
    pthread_mutex_unlock(&keyring->lock);
    if (status != TG_OK)
        free(use);
    else
        *ret_use = use;
    return status;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    if (a_ms == 0 || b_ms == 0)
        return a_ms + b_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

/* Fill in an entry from its row. */
static enum tg_status read_entry(struct keyring *keyring, const struct stmt *stmt,
                                 struct key_entry *entry, struct err *err)
{
    const struct span hash = stmt_blob(stmt, 0);
    const struct key_use like = { .id = (int32_t)stmt_int(stmt, 1),
                                  .team_id = (int32_t)stmt_int(stmt, 2),
                                  .flushed_ms = stmt_int(stmt, 9) };
    struct key_use *use;

    if (hash.len != SECRET_HASH_SIZE)
        return err_set(err, TG_CORRUPT, "key_secret: a hash has not 32 bytes; restore a backup");
    memcpy(entry->hash, hash.ptr, hash.len);
    entry->id = like.id;
    entry->team_id = like.team_id;
    account_copy_text(stmt_text(stmt, 3), entry->public_id, sizeof(entry->public_id));
    account_copy_text(stmt_text(stmt, 4), entry->team_public_id, sizeof(entry->team_public_id));
    entry->expires_at_ms = earlier(stmt_int(stmt, 5), stmt_int(stmt, 6));
    entry->is_revoked = stmt_int(stmt, 7) != 0;
    TRY(add_use(keyring, &like, &use));
    entry->last_used_at_ms = &use->last_used_ms;
    if (stmt_is_null(stmt, 8))
        return TG_OK;
    if (account_read_models(stmt_text(stmt, 8), &entry->models, &entry->model_count) == TG_CORRUPT)
        return err_set(err, TG_CORRUPT, "key %s: its models are damaged; set them again",
                       entry->public_id);
    return entry->models == NULL ? TG_NO_MEMORY : TG_OK;
}

/* Read all rows into a list. */
static enum tg_status read_nodes(struct keyring *keyring, struct stmt *stmt, struct node **nodes,
                                 struct err *err)
{
    for (;;) {
        struct node *node;
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row)
            return TG_OK;
        node = calloc(1, sizeof(*node));
        if (node == NULL)
            return TG_NO_MEMORY;
        list_init(&node->in_key);
        node->next = *nodes;
        *nodes = node;
        TRY(read_entry(keyring, stmt, &node->entry, err));
    }
}

/* --- shards --- */

static size_t slot_of(const unsigned char hash[SECRET_HASH_SIZE], size_t slot_count)
{
    uint64_t bits;

    memcpy(&bits, hash + 8, sizeof(bits)); /* a keyed hash: all its bits are even */
    return (size_t)bits & (slot_count - 1);
}

static void put_entry(struct shard *shard, const struct key_entry *entry)
{
    size_t at = slot_of(entry->hash, shard->slot_count);

    while (shard->slots[at] != NULL)
        at = (at + 1) & (shard->slot_count - 1);
    shard->slots[at] = entry;
}

static struct shard *new_shard(size_t entries)
{
    size_t slot_count = SLOTS_MIN;
    struct shard *shard;

    while (slot_count < entries * 2)
        slot_count *= 2;
    shard = calloc(1, sizeof(struct shard) + slot_count * sizeof(void *));
    if (shard != NULL)
        shard->slot_count = slot_count;
    return shard;
}

/* Which keys are read again: one, all of a team, or (at the start) all. */
struct change {
    int32_t key_id;
    int32_t team_id;
    struct node *fresh;         /* the entries as they are now */
    struct shard *next[SHARDS]; /* NULL: stays as it is */
    size_t fresh_count[SHARDS];
    bool is_touched[SHARDS];
};

static bool is_replaced(const struct change *change, const struct key_entry *entry)
{
    return entry->id == change->key_id || entry->team_id == change->team_id;
}

/* Walk over the keys that a change reads again: start with *cursor = 0; NULL at the end. */
static struct key_use *next_concerned(const struct keyring *keyring, const struct change *change,
                                      size_t *cursor)
{
    struct key_use *use;

    if (change->team_id == 0 && *cursor == 0) {
        *cursor = 1;
        return find_use(keyring, change->key_id);
    }
    if (change->team_id == 0)
        return NULL;
    while ((use = map_next(&keyring->by_id, cursor)) != NULL)
        if (use->team_id == change->team_id)
            break;
    return use;
}

/* Note in which shards the change's entries stand, and are to stand. */
static void touch_shards(struct keyring *keyring, struct change *change)
{
    size_t cursor = 0;
    struct key_use *use;

    for (struct node *node = change->fresh; node != NULL; node = node->next) {
        change->is_touched[node->entry.hash[0]] = true;
        change->fresh_count[node->entry.hash[0]]++;
    }
    while ((use = next_concerned(keyring, change, &cursor)) != NULL)
        for (struct list *at = use->entries.next; at != &use->entries; at = at->next)
            change->is_touched[LIST_ENTRY(at, struct node, in_key)->entry.hash[0]] = true;
}

/* Build one shard anew: what stays of the current one and, by the caller, what is fresh. */
static struct shard *rebuild_shard(const struct shard *current, const struct change *change,
                                   size_t fresh_count)
{
    size_t kept = 0;
    struct shard *next;

    for (size_t i = 0; current != NULL && i < current->slot_count; i++)
        if (current->slots[i] != NULL && !is_replaced(change, current->slots[i]))
            kept++;
    next = new_shard(kept + fresh_count);
    if (next == NULL)
        return NULL;
    for (size_t i = 0; current != NULL && i < current->slot_count; i++)
        if (current->slots[i] != NULL && !is_replaced(change, current->slots[i]))
            put_entry(next, current->slots[i]);
    return next;
}

static struct shard *current_shard(const struct keyring *keyring, int number)
{
    return atomic_load_explicit(&keyring->shards[number].current, memory_order_relaxed);
}

/* All that can fail, before anything is published. */
static enum tg_status build_shards(struct keyring *keyring, struct change *change)
{
    touch_shards(keyring, change);
    for (int i = 0; i < SHARDS; i++) {
        if (!change->is_touched[i])
            continue;
        change->next[i] = rebuild_shard(current_shard(keyring, i), change, change->fresh_count[i]);
        if (change->next[i] == NULL)
            return TG_NO_MEMORY;
    }
    for (struct node *node = change->fresh; node != NULL; node = node->next)
        put_entry(change->next[node->entry.hash[0]], &node->entry);
    return TG_OK;
}

/* Hand the entries that are replaced to the shards that are about to be retired. */
static void retire_entries(struct keyring *keyring, const struct change *change)
{
    size_t cursor = 0;
    struct key_use *use;

    while ((use = next_concerned(keyring, change, &cursor)) != NULL) {
        struct list *at;

        while ((at = list_pop_front(&use->entries)) != NULL) {
            struct node *node = LIST_ENTRY(at, struct node, in_key);
            struct shard *shard = current_shard(keyring, node->entry.hash[0]);

            node->next = shard->retired;
            shard->retired = node;
        }
    }
}

static void publish(struct keyring *keyring, struct change *change)
{
    retire_entries(keyring, change);
    while (change->fresh != NULL) {
        struct node *node = change->fresh;

        change->fresh = node->next;
        node->next = NULL;
        list_push_back(&find_use(keyring, node->entry.id)->entries, &node->in_key);
    }
    for (int i = 0; i < SHARDS; i++) {
        if (change->next[i] != NULL)
            snapshot_swap(keyring->domain, &keyring->shards[i], change->next[i], free_shard);
        change->next[i] = NULL;
    }
}

static enum tg_status refresh(struct keyring *keyring, struct stmt *stmt, struct change *change,
                              struct err *err)
{
    enum tg_status status = read_nodes(keyring, stmt, &change->fresh, err);

    stmt_reset(stmt);
    if (status == TG_OK)
        status = build_shards(keyring, change);
    if (status == TG_OK)
        publish(keyring, change);
    for (int i = 0; i < SHARDS; i++)
        free_shard(change->next[i]);
    free_nodes(change->fresh);
    if (status == TG_NO_MEMORY)
        err_set(err, status, "out of memory for the keys");
    return status;
}

enum tg_status keyring_refresh_key(struct keyring *keyring, struct db *db, int32_t key_id,
                                   struct err *err)
{
    struct change change = { .key_id = key_id };
    struct stmt *stmt;

    TRY(stmt_use(db, sql_of_key, &stmt, err));
    stmt_bind_int(stmt, 1, key_id);
    return refresh(keyring, stmt, &change, err);
}

enum tg_status keyring_refresh_team(struct keyring *keyring, struct db *db, int32_t team_id,
                                    struct err *err)
{
    struct change change = { .team_id = team_id };
    struct stmt *stmt;

    TRY(stmt_use(db, sql_of_team, &stmt, err));
    stmt_bind_int(stmt, 1, team_id);
    return refresh(keyring, stmt, &change, err);
}

/* --- life cycle --- */

enum tg_status keyring_open(struct db *db, struct snapshot_domain *domain,
                            struct keyring **ret_keyring, struct err *err)
{
    struct change change = { 0 };
    struct keyring *keyring = calloc(1, sizeof(*keyring));
    struct stmt *stmt;
    enum tg_status status;

    if (keyring == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for the keys");
    keyring->domain = domain;
    pthread_mutex_init(&keyring->lock, NULL);
    map_init(&keyring->by_id, KEYS_MAX);
    for (int i = 0; i < SHARDS; i++) {
        atomic_init(&keyring->shards[i].current, NULL);
        change.is_touched[i] = true; /* so that no shard is missing */
    }
    status = stmt_use(db, sql_all, &stmt, err);
    if (status == TG_OK)
        status = refresh(keyring, stmt, &change, err);
    if (status != TG_OK) {
        keyring_close(keyring);
        return status;
    }
    *ret_keyring = keyring;
    return TG_OK;
}

void keyring_close(struct keyring *keyring)
{
    size_t cursor = 0;
    struct key_use *use;

    if (keyring == NULL)
        return;
    for (int i = 0; i < SHARDS; i++)
        snapshot_swap(keyring->domain, &keyring->shards[i], NULL, free_shard);
    while ((use = map_next(&keyring->by_id, &cursor)) != NULL) {
        struct list *at;

        while ((at = list_pop_front(&use->entries)) != NULL)
            free_node(LIST_ENTRY(at, struct node, in_key));
        free(use);
    }
    map_fini(&keyring->by_id);
    pthread_mutex_destroy(&keyring->lock);
    free(keyring);
}

/* --- what the worker loops do --- */

static bool is_hash_of(const struct key_entry *entry, const unsigned char hash[SECRET_HASH_SIZE])
{
    return secret_equal(span_of((const char *)entry->hash, SECRET_HASH_SIZE),
                        span_of((const char *)hash, SECRET_HASH_SIZE));
}

const struct key_entry *keyring_find(const struct keyring *keyring,
                                     const unsigned char hash[SECRET_HASH_SIZE], int64_t now_ms)
{
    static const struct key_entry nobody = { .is_revoked = true };
    const struct shard *shard = snapshot_get(&keyring->shards[hash[0]]);
    const struct key_entry *found = &nobody;
    size_t at = slot_of(hash, shard->slot_count);

    for (; shard->slots[at] != NULL; at = (at + 1) & (shard->slot_count - 1))
        if (is_hash_of(shard->slots[at], hash))
            found = shard->slots[at];
    /* A miss compares too, and an entry that may not be used takes the same way as one that may. */
    if (!is_hash_of(found, hash) || found->is_revoked ||
        (found->expires_at_ms != 0 && found->expires_at_ms <= now_ms))
        return NULL;
    return found;
}

void keyring_touch(const struct key_entry *key, int64_t now_ms)
{
    atomic_store_explicit(key->last_used_at_ms, now_ms, memory_order_relaxed);
}

bool key_models_allow(char *const *models, int count, struct span model)
{
    if (count == 0)
        return true;
    for (int i = 0; i < count; i++) {
        const struct span allowed = span_from(models[i]);
        const struct span prefix = span_of(allowed.ptr, allowed.len > 0 ? allowed.len - 1 : 0);

        if (span_equal(allowed, model))
            return true;
        if (span_ends_with(allowed, SPAN("*")) && span_starts_with(model, prefix))
            return true;
    }
    return false;
}

bool key_allows_model(const struct key_entry *key, struct span model)
{
    return key_models_allow(key->models, key->model_count, model);
}

/* --- last use --- */

int64_t keyring_last_used_ms(struct keyring *keyring, int32_t key_id)
{
    const struct key_use *use;
    int64_t last_used_ms = 0;

    pthread_mutex_lock(&keyring->lock);
    use = find_use(keyring, key_id);
    if (use != NULL)
        last_used_ms = atomic_load_explicit(&use->last_used_ms, memory_order_relaxed);
    pthread_mutex_unlock(&keyring->lock);
    return last_used_ms;
}

static struct keyring_flush_job *flush_of(struct account_job *account)
{
    return (struct keyring_flush_job *)account; /* its first member */
}

static enum tg_status flush_one(struct key_use *use, struct db *db, struct err *err)
{
    struct stmt *stmt;

    TRY(stmt_use(db, sql_flush, &stmt, err));
    stmt_bind_int(stmt, 1, use->id);
    stmt_bind_int(stmt, 2, use->written_ms);
    return stmt_run(stmt, err);
}

static enum tg_status flush_apply(struct account_job *account, struct db *db, struct err *err)
{
    struct keyring_flush_job *job = flush_of(account);
    size_t cursor = 0;
    struct key_use *use;

    job->written = 0;
    job->has_more = false;
    while ((use = map_next(&job->keyring->by_id, &cursor)) != NULL) {
        const int64_t used_ms = atomic_load_explicit(&use->last_used_ms, memory_order_relaxed);

        use->written_ms = 0; /* of a run that was rolled back */
        if (used_ms <= use->flushed_ms)
            continue;
        if (job->written == KEYRING_FLUSH_MAX) {
            job->has_more = true;
            continue;
        }
        use->written_ms = used_ms;
        job->written++;
        TRY(flush_one(use, db, err));
    }
    return TG_OK;
}

static enum tg_status flush_publish(struct account_job *account, struct db *db, struct err *err)
{
    size_t cursor = 0;
    struct key_use *use;

    (void)db;
    (void)err;
    while ((use = map_next(&flush_of(account)->keyring->by_id, &cursor)) != NULL) {
        if (use->written_ms != 0)
            use->flushed_ms = use->written_ms;
        use->written_ms = 0;
    }
    return TG_OK;
}

void keyring_flush_job_init(struct keyring_flush_job *job, struct keyring *keyring)
{
    *job = (struct keyring_flush_job){ .keyring = keyring };
    account_job_init(&job->account);
    job->account.apply = flush_apply;
    job->account.publish = flush_publish;
}
