#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/span.h"

/* Memory of one exchange: everything that is parsed or built for it, freed in one step. Blocks come
 * from malloc and grow by doubling from `first_bytes`; together they never pass the cap. Memory is
 * aligned to 16. Not for use by two threads at once. */

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t first_bytes;         /* size of the first block */
    size_t cap_bytes;           /* most that all blocks may take */
    size_t used_bytes;          /* taken by all blocks */
};

void arena_init(struct arena *arena, size_t first_bytes, size_t cap_bytes);
/* Free all blocks. */
void arena_fini(struct arena *arena);
/* Forget all that was allocated; the first block is kept for reuse. */
void arena_reset(struct arena *arena);

/* Memory of `len` bytes, not cleared.
 *
 * return  NULL when the cap is reached or memory is out */
void *arena_alloc(struct arena *arena, size_t len);
/* The same, cleared. */
void *arena_zalloc(struct arena *arena, size_t len);
/* A copy of `s` with a terminator behind it. ptr is NULL on failure. */
struct span arena_copy(struct arena *arena, struct span s);

#endif
