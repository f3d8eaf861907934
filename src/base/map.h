#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/span.h"
#include "tollgate/status.h"

/* Hash table from a key's 64-bit hash to a pointer, open addressing, linear probing. The table
 * stores hash and value; equality is the caller's, who can see the key in the value. Grows at 3/4
 * full, up to a cap. Values are borrowed. */

struct map_slot {
    uint64_t hash;
    void *value; /* NULL: free */
};

struct map {
    struct map_slot *slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t count;
    size_t cap; /* most entries */
};

typedef bool map_equal_fn(const void *value, const void *key);

void map_init(struct map *map, size_t cap_entries);
void map_fini(struct map *map);

/* The value whose hash is `hash` and for which equal(value, key) holds, or NULL. */
void *map_get(const struct map *map, uint64_t hash, map_equal_fn *equal, const void *key);

/* Add a value that is not there yet.
 *
 * value   not NULL
 * Errors  TG_NO_MEMORY, TG_OVERLOADED: the cap is reached */
TG_MUST_CHECK enum tg_status map_add(struct map *map, uint64_t hash, void *value);

/* Take out the value found as by map_get; returns it, or NULL. */
void *map_remove(struct map *map, uint64_t hash, map_equal_fn *equal, const void *key);

/* Walk over all: start with *cursor = 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *map, size_t *cursor);

/* Empty it, memory kept. */
void map_clear(struct map *map);

/* A good spread of an integer key. */
static inline uint64_t map_hash_int(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ (x >> 33);
}

#endif
