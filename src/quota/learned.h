#ifndef QUOTA_LEARNED_H
#define QUOTA_LEARNED_H

#include "base/map.h"

/* How many prompt tokens a byte of body has made, at most, by provider and model: the second bound
 * of an input (design 3.5). Bytes are a proof, this is experience; who uses it flags the hold.
 *
 * Thread: one; the ledger writer's. */

/* Bodies shorter than this neither teach nor are bounded. */
#define LEARNED_BYTES_MIN 4096
/* Calls to learn from before anything is told, and the newest that count. */
#define LEARNED_CALLS_MIN 50
#define LEARNED_CALLS_MAX 1000
/* Models that are learned about at once; the rest stays with its proven bound. */
#define LEARNED_MODELS_MAX 4096

struct learned {
    struct map models;
};

void learned_init(struct learned *learned);
void learned_fini(struct learned *learned);

struct learned_call {
    int32_t provider_id;
    struct span model; /* as asked for */
    int64_t body_bytes;
    int64_t added_tokens; /* that the provider's kind adds to a prompt, at most */
};

/* A call was settled from the provider's own record. What cannot be kept is not learned.
 *
 * prompt_tokens  of the whole prompt, cached ones included */
void learned_note(struct learned *learned, const struct learned_call *call, int64_t prompt_tokens);

/* The most input tokens, with a quarter of reserve and what the kind adds.
 *
 * return  0: not enough is known */
int64_t learned_bound(const struct learned *learned, const struct learned_call *call);

#endif
