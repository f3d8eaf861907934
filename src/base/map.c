#include "base/map.h"

#include "base/try.h"

#include <assert.h>
#include <stdlib.h>

#define SLOTS_FIRST 16

void map_init(struct map *map, size_t cap_entries)
{
    *map = (struct map){ .cap = cap_entries };
}

void map_fini(struct map *map)
{
    if (map == NULL)
        return;
    free(map->slots);
    *map = (struct map){ 0 };
}

static size_t next_slot(const struct map *map, size_t at)
{
    return (at + 1) & (map->slot_count - 1);
}

static size_t home_slot(const struct map *map, uint64_t hash)
{
    return (size_t)hash & (map->slot_count - 1);
}

/* The slot of the value, or the free one at which the search ended. The map has slots, and one is
 * always free. */
static struct map_slot *find(const struct map *map, uint64_t hash, map_equal_fn *equal,
                             const void *key)
{
    size_t at = home_slot(map, hash);

    while (map->slots[at].value != NULL &&
           !(map->slots[at].hash == hash && equal(map->slots[at].value, key)))
        at = next_slot(map, at);
    return &map->slots[at];
}

void *map_get(const struct map *map, uint64_t hash, map_equal_fn *equal, const void *key)
{
    return map->count == 0 ? NULL : find(map, hash, equal, key)->value;
}

/* Put a value into the first free slot of its run. */
static void place(struct map *map, uint64_t hash, void *value)
{
    size_t at = home_slot(map, hash);

    while (map->slots[at].value != NULL)
        at = next_slot(map, at);
    map->slots[at] = (struct map_slot){ hash, value };
}

static enum tg_status grow(struct map *map)
{
    struct map larger = *map;

    larger.slot_count = map->slot_count == 0 ? SLOTS_FIRST : map->slot_count * 2;
    larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
    if (larger.slots == NULL)
        return TG_NO_MEMORY;
    for (size_t i = 0; i < map->slot_count; i++)
        if (map->slots[i].value != NULL)
            place(&larger, map->slots[i].hash, map->slots[i].value);
    free(map->slots);
    *map = larger;
    return TG_OK;
}

enum tg_status map_add(struct map *map, uint64_t hash, void *value)
{
    assert(value != NULL);
    if (map->count >= map->cap)
        return TG_OVERLOADED;
    if (map->count >= map->slot_count / 4 * 3)
        TRY(grow(map));
    place(map, hash, value);
    map->count++;
    return TG_OK;
}

/* Close the gap at `gap`: what stands behind it in the same run moves up unless that would put it
 * before its home, where no search would find it. So no slot is ever marked as deleted. */
static void close_gap(struct map *map, size_t gap)
{
    const size_t mask = map->slot_count - 1;

    for (size_t at = next_slot(map, gap); map->slots[at].value != NULL; at = next_slot(map, at)) {
        const size_t home = home_slot(map, map->slots[at].hash);

        if (((at - home) & mask) >= ((at - gap) & mask)) {
            map->slots[gap] = map->slots[at];
            gap = at;
        }
    }
    map->slots[gap] = (struct map_slot){ 0 };
}

void *map_remove(struct map *map, uint64_t hash, map_equal_fn *equal, const void *key)
{
    struct map_slot *slot;
    void *value;

    if (map->count == 0)
        return NULL;
    slot = find(map, hash, equal, key);
    value = slot->value;
    if (value != NULL) {
        close_gap(map, (size_t)(slot - map->slots));
        map->count--;
    }
    return value;
}

void *map_next(const struct map *map, size_t *cursor)
{
    while (*cursor < map->slot_count) {
        void *value = map->slots[(*cursor)++].value;

        if (value != NULL)
            return value;
    }
    return NULL;
}

void map_clear(struct map *map)
{
    if (map->slot_count > 0)
        memset(map->slots, 0, map->slot_count * sizeof(*map->slots));
    map->count = 0;
}
