#include "base/rand.h"

#include <assert.h>
#include <sodium.h>

static void (*current_fill)(void *bytes, size_t len) = randombytes_buf;

void rand_use(void (*fill)(void *bytes, size_t len))
{
    current_fill = fill == NULL ? randombytes_buf : fill;
}

void rand_fill(void *bytes, size_t len)
{
    current_fill(bytes, len);
}

uint32_t rand_below(uint32_t bound)
{
    uint32_t value;

    assert(bound >= 1);

    /* 2^32 mod bound: values below it would make the lowest results likelier than the rest. */
    const uint32_t surplus = -bound % bound;

    do {
        rand_fill(&value, sizeof(value));
    } while (value < surplus);
    return value % bound;
}
