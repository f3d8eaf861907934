#include "metering/price_store.h"

#include "base/try.h"

#include <pthread.h>
#include <stdlib.h>

struct price_store {
    struct snapshot_domain *domain;
    struct snapshot snapshot;
    pthread_mutex_t
        publishing;           /* held over reading and swapping: the later reads the later state */
    pthread_rwlock_t staying; /* read: `current` is in use; written: it is being replaced */
    const struct book *current;
};

enum tg_status price_store_refresh(struct price_store *store, struct db *db, struct err *err)
{
    struct book *book = NULL;
    enum tg_status status;

    pthread_mutex_lock(&store->publishing);
    status = book_load(db, &book, err);
    if (status == TG_OK) {
        pthread_rwlock_wrlock(&store->staying);
        store->current = book;
        pthread_rwlock_unlock(&store->staying);
        snapshot_swap(store->domain, &store->snapshot, book, book_free);
    }
    pthread_mutex_unlock(&store->publishing);
    return status;
}

enum tg_status price_store_open(struct db *db, struct snapshot_domain *domain,
                                struct price_store **ret_store, struct err *err)
{
    struct price_store *store = calloc(1, sizeof(*store));
    enum tg_status status;

    if (store == NULL)
        return TG_NO_MEMORY;
    store->domain = domain;
    (void)pthread_mutex_init(&store->publishing, NULL);
    (void)pthread_rwlock_init(&store->staying, NULL);
    status = price_store_refresh(store, db, err);
    if (status == TG_OK)
        *ret_store = store;
    else
        price_store_close(store);
    return status;
}

void price_store_close(struct price_store *store)
{
    if (store == NULL)
        return;
    snapshot_swap(store->domain, &store->snapshot, NULL, book_free);
    (void)pthread_rwlock_destroy(&store->staying);
    (void)pthread_mutex_destroy(&store->publishing);
    free(store);
}

const struct snapshot *price_store_snapshot(const struct price_store *store)
{
    return &store->snapshot;
}

const struct book *price_store_enter(struct price_store *store)
{
    pthread_rwlock_rdlock(&store->staying);
    return store->current;
}

void price_store_leave(struct price_store *store)
{
    pthread_rwlock_unlock(&store->staying);
}
