#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define ALIGN 16

struct arena_block {
    struct arena_block *next; /* older */
    size_t size;              /* bytes from malloc, this header included */
    size_t used;              /* of them given away, this header included */
} __attribute__((aligned(ALIGN)));

_Static_assert(sizeof(struct arena_block) % ALIGN == 0, "what follows the header is aligned");

void arena_init(struct arena *arena, size_t first_bytes, size_t cap_bytes)
{
    *arena = (struct arena){ .first_bytes = first_bytes, .cap_bytes = cap_bytes };
}

/* Free all blocks newer than `kept`. */
static void drop_until(struct arena *arena, const struct arena_block *kept)
{
    while (arena->blocks != kept) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->next;
        arena->used_bytes -= block->size;
        free(block);
    }
}

void arena_fini(struct arena *arena)
{
    if (arena == NULL)
        return;
    drop_until(arena, NULL);
}

void arena_reset(struct arena *arena)
{
    struct arena_block *first = arena->blocks;

    if (first == NULL)
        return;
    while (first->next != NULL)
        first = first->next;
    drop_until(arena, first);
    first->used = sizeof(*first);
}

/* Put a block in front that has room for `len` bytes, twice the newest one's size if the cap
 * allows. */
static bool add_block(struct arena *arena, size_t len)
{
    const size_t rest = arena->cap_bytes - arena->used_bytes;
    const size_t need = sizeof(struct arena_block) + len;
    size_t size = arena->blocks == NULL ? arena->first_bytes : arena->blocks->size;
    struct arena_block *block;

    if (need > rest)
        return false;
    if (arena->blocks != NULL)
        size = size > rest / 2 ? rest : size * 2;
    if (size > rest)
        size = rest;
    if (size < need)
        size = need;
    block = malloc(size);
    if (block == NULL)
        return false;
    *block = (struct arena_block){ arena->blocks, size, sizeof(*block) };
    arena->blocks = block;
    arena->used_bytes += size;
    return true;
}

void *arena_alloc(struct arena *arena, size_t len)
{
    struct arena_block *block = arena->blocks;
    char *memory;

    /* So that no sum below can overflow. */
    if (len > arena->cap_bytes || len > SIZE_MAX / 2)
        return NULL;
    len = len == 0 ? ALIGN : (len + ALIGN - 1) / ALIGN * ALIGN;
    if (block == NULL || block->size - block->used < len) {
        if (!add_block(arena, len))
            return NULL;
        block = arena->blocks;
    }
    memory = (char *)block + block->used;
    block->used += len;
    assert(block->used <= block->size);
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t len)
{
    void *memory = arena_alloc(arena, len);

    if (memory != NULL)
        memset(memory, 0, len);
    return memory;
}

struct span arena_copy(struct arena *arena, struct span s)
{
    char *copy = s.len == SIZE_MAX ? NULL : arena_alloc(arena, s.len + 1);

    if (copy == NULL)
        return (struct span){ NULL, 0 };
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return span_of(copy, s.len);
}
