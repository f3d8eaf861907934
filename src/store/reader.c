#include "store/reader.h"

#include "base/clock.h"
#include "base/try.h"
#include "store/txn.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US_PER_MS 1000

struct reader_pool {
    pthread_mutex_t lock;
    pthread_cond_t came_free;
    char *path;
    int count;
    int out;                                 /* readers that are inside */
    int idle;                                /* connections in `connections` */
    struct db *connections[READER_POOL_MAX]; /* open and not in use */
};

enum tg_status reader_pool_new(const char *path, int count, struct reader_pool **ret_pool,
                               struct err *err)
{
    struct reader_pool *pool = calloc(1, sizeof(*pool));
    pthread_condattr_t attr;

    assert(count >= 1);
    assert(count <= READER_POOL_MAX);
    if (pool != NULL)
        pool->path = span_to_string(span_from(path));
    if (pool == NULL || pool->path == NULL) {
        free(pool);
        return err_set(err, TG_NO_MEMORY, "out of memory for the readers");
    }
    pool->count = count;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pool->came_free, &attr);
    (void)pthread_condattr_destroy(&attr);
    *ret_pool = pool;
    return TG_OK;
}

void reader_pool_free(struct reader_pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->out == 0);
    for (int i = 0; i < pool->idle; i++)
        db_close(pool->connections[i]);
    (void)pthread_cond_destroy(&pool->came_free);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool->path);
    free(pool);
}

/* Take a place; *ret_db is a connection, or NULL where the place has none yet. */
static bool take_place(struct reader_pool *pool, struct db **ret_db)
{
    struct timespec until;
    int waited = 0;
    bool is_taken;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += READER_DEADLINE_MS / 1000;
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->out == pool->count && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&pool->came_free, &pool->lock, &until);
    is_taken = pool->out < pool->count;
    if (is_taken) {
        pool->out++;
        *ret_db = pool->idle > 0 ? pool->connections[--pool->idle] : NULL;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return is_taken;
}

static void give_place(struct reader_pool *pool, struct db *db)
{
    (void)pthread_mutex_lock(&pool->lock);
    pool->out--;
    if (db != NULL)
        pool->connections[pool->idle++] = db;
    (void)pthread_cond_signal(&pool->came_free);
    (void)pthread_mutex_unlock(&pool->lock);
}

static enum tg_status begin(struct db *db, struct err *err)
{
    struct txn txn = { 0 }; /* open until `end`; the reader stands for it */

    db->deadline_us = clock_monotonic_us() + (int64_t)READER_DEADLINE_MS * US_PER_MS;
    return txn_begin(&txn, db, err);
}

static void end(struct db *db)
{
    struct txn txn = { .db = db };

    db->deadline_us = 0;
    txn_rollback(&txn); /* nothing was written */
}

enum tg_status reader_enter(struct reader *reader, struct reader_pool *pool, struct err *err)
{
    struct db *db = NULL;
    enum tg_status status = TG_OK;

    if (!take_place(pool, &db))
        return err_set(err, TG_OVERLOADED, "all %d readers are busy: ask again", pool->count);
    if (db == NULL)
        status = db_open(pool->path, DB_READ, &db, err);
    if (status == TG_OK)
        status = begin(db, err);
    if (status != TG_OK) {
        give_place(pool, db);
        return status;
    }
    reader->pool = pool;
    reader->db = db;
    return TG_OK;
}

void reader_leave(struct reader *reader)
{
    if (reader->db == NULL)
        return;
    end(reader->db);
    give_place(reader->pool, reader->db);
    reader->db = NULL;
}

enum tg_status reader_renew(struct reader *reader, struct err *err)
{
    end(reader->db);
    return begin(reader->db, err);
}
