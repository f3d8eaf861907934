#include "store/snapshot.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

/* Epochs. A reader that is inside shows the epoch that it saw on entering. An object is retired by
 * the swap that advances the epoch to `e`: a reader that shows `e` or more entered after the swap
 * and cannot have the object; one that shows less may. All of it is in one total order (seq_cst): a
 * reader that the publisher still sees outside will load the pointer after the swap. */

#define CACHE_LINE 64
#define OUTSIDE    UINT64_C(0)

struct place {
    _Alignas(CACHE_LINE) _Atomic(uint64_t) epoch;
};

struct retired {
    struct retired *next;
    void *object;
    void (*destroy)(void *object);
    uint64_t epoch;
};

struct snapshot_domain {
    struct place readers[SNAPSHOT_READERS_MAX];
    _Atomic(uint64_t) epoch;
    atomic_int reader_count;
    pthread_mutex_t lock; /* of `retired` */
    struct retired *retired;
};

enum tg_status snapshot_domain_new(struct snapshot_domain **ret_domain)
{
    struct snapshot_domain *domain = aligned_alloc(CACHE_LINE, sizeof(*domain));

    if (domain == NULL)
        return TG_NO_MEMORY;
    for (int i = 0; i < SNAPSHOT_READERS_MAX; i++)
        atomic_init(&domain->readers[i].epoch, OUTSIDE);
    atomic_init(&domain->epoch, OUTSIDE + 1);
    atomic_init(&domain->reader_count, 0);
    (void)pthread_mutex_init(&domain->lock, NULL);
    domain->retired = NULL;
    *ret_domain = domain;
    return TG_OK;
}

void snapshot_domain_free(struct snapshot_domain *domain)
{
    if (domain == NULL)
        return;
    for (int i = 0; i < SNAPSHOT_READERS_MAX; i++)
        assert(atomic_load(&domain->readers[i].epoch) == OUTSIDE);
    snapshot_reclaim(domain);
    assert(domain->retired == NULL);
    (void)pthread_mutex_destroy(&domain->lock);
    free(domain);
}

enum tg_status snapshot_reader_add(struct snapshot_domain *domain, int *ret_reader)
{
    const int reader = atomic_fetch_add(&domain->reader_count, 1);

    if (reader >= SNAPSHOT_READERS_MAX) {
        (void)atomic_fetch_sub(&domain->reader_count, 1);
        return TG_OVERLOADED;
    }
    *ret_reader = reader;
    return TG_OK;
}

void snapshot_enter(struct snapshot_domain *domain, int reader)
{
    _Atomic(uint64_t) *place = &domain->readers[reader].epoch;

    assert(atomic_load_explicit(place, memory_order_relaxed) == OUTSIDE);
    (void)atomic_exchange(place, atomic_load(&domain->epoch));
}

void snapshot_leave(struct snapshot_domain *domain, int reader)
{
    atomic_store_explicit(&domain->readers[reader].epoch, OUTSIDE, memory_order_release);
}

static uint64_t oldest_reader(struct snapshot_domain *domain)
{
    const int count = atomic_load(&domain->reader_count);
    uint64_t oldest = UINT64_MAX;

    for (int i = 0; i < count && i < SNAPSHOT_READERS_MAX; i++) {
        const uint64_t epoch = atomic_load(&domain->readers[i].epoch);

        if (epoch != OUTSIDE && epoch < oldest)
            oldest = epoch;
    }
    return oldest;
}

void snapshot_reclaim(struct snapshot_domain *domain)
{
    const uint64_t oldest = oldest_reader(domain);
    struct retired *garbage = NULL;

    (void)pthread_mutex_lock(&domain->lock);
    for (struct retired **at = &domain->retired; *at != NULL;) {
        struct retired *one = *at;

        if (one->epoch > oldest) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        one->next = garbage;
        garbage = one;
    }
    (void)pthread_mutex_unlock(&domain->lock);
    while (garbage != NULL) {
        struct retired *one = garbage;

        garbage = one->next;
        one->destroy(one->object);
        free(one);
    }
}

void snapshot_swap(struct snapshot_domain *domain, struct snapshot *snapshot, void *next,
                   void (*destroy)(void *object))
{
    struct retired *one = malloc(sizeof(*one));
    void *before = atomic_exchange(&snapshot->current, next);
    const uint64_t epoch = atomic_fetch_add(&domain->epoch, 1) + 1;

    if (before == NULL) {
        free(one);
    } else if (one == NULL) {
        while (oldest_reader(domain) < epoch) /* a turn of a loop is short */
            (void)sched_yield();
        destroy(before);
    } else {
        *one = (struct retired){ .object = before, .destroy = destroy, .epoch = epoch };
        (void)pthread_mutex_lock(&domain->lock);
        one->next = domain->retired;
        domain->retired = one;
        (void)pthread_mutex_unlock(&domain->lock);
    }
    snapshot_reclaim(domain);
}
