#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include <stdatomic.h>
#include <stdint.h>

#include "tollgate/status.h"

/* Immutable objects shared with the worker loops: swapped by pointer, freed when no loop can still
 * hold the old one. A loop is a reader: between `snapshot_enter` and `snapshot_leave` (one turn of
 * the loop) a pointer it has loaded stays valid; while it waits for events it holds none. */

#define SNAPSHOT_READERS_MAX 72 /* 64 workers, and others that look at what they see */

struct snapshot_domain;

TG_MUST_CHECK enum tg_status snapshot_domain_new(struct snapshot_domain **ret_domain);
/* Frees what is retired; no reader may be inside. Accepts NULL. */
void snapshot_domain_free(struct snapshot_domain *domain);

/* Claim a reader's place, 0..SNAPSHOT_READERS_MAX-1, before its thread starts. */
TG_MUST_CHECK enum tg_status snapshot_reader_add(struct snapshot_domain *domain, int *ret_reader);
void snapshot_enter(struct snapshot_domain *domain, int reader);
void snapshot_leave(struct snapshot_domain *domain, int reader);

/* A place that holds the current object. */
struct snapshot {
    _Atomic(void *) current;
};

static inline const void *snapshot_get(const struct snapshot *snapshot)
{
    /* In one order with snapshot_enter; on x86-64 and arm64 no dearer than acquire. */
    return atomic_load_explicit(&snapshot->current, memory_order_seq_cst);
}

/* Publish `next` (NULL at the end) and free the one before it by `destroy` once no reader can hold
 * it. Returns after the swap, not after the free; only when memory is out does it wait for the
 * readers. One publisher at a time a snapshot (the writer thread). */
void snapshot_swap(struct snapshot_domain *domain, struct snapshot *snapshot, void *next,
                   void (*destroy)(void *object));

/* Free what has become unreachable; also done by each swap. */
void snapshot_reclaim(struct snapshot_domain *domain);

#endif
