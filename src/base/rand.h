#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* Randomness behind an interface, so that tests own it. The default is libsodium's (the kernel's);
 * good for secrets. `rand_use` swaps it in tests only, before threads start; NULL restores. */

void rand_use(void (*fill)(void *bytes, size_t len));

void rand_fill(void *bytes, size_t len);

/* Uniform in 0..bound-1; bound is at least 1. */
uint32_t rand_below(uint32_t bound);

#endif
