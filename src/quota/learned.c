#include "quota/learned.h"

#include <stdlib.h>

/* Tokens a byte are kept as whole parts of this. */
#define PARTS INT64_C(1000000)

/* A ratio is at most this: some tokens have no byte of their own. */
#define RATIO_MAX (16 * PARTS)

struct lesson {
    int32_t provider_id;
    int count; /* up to LEARNED_CALLS_MAX */
    int next;  /* where the next one goes */
    uint32_t largest;
    uint32_t ratios[LEARNED_CALLS_MAX]; /* tokens a byte, in PARTS */
    size_t model_len;
    char model[];
};

void learned_init(struct learned *learned)
{
    map_init(&learned->models, LEARNED_MODELS_MAX);
}

void learned_fini(struct learned *learned)
{
    struct lesson *lesson;
    size_t cursor = 0;

    while ((lesson = map_next(&learned->models, &cursor)) != NULL)
        free(lesson);
    map_fini(&learned->models);
}

static uint64_t hash_of(const struct learned_call *call)
{
    return span_hash(call->model) ^ map_hash_int((uint64_t)call->provider_id);
}

static bool is_of(const void *value, const void *key)
{
    const struct lesson *lesson = value;
    const struct learned_call *call = key;

    return lesson->provider_id == call->provider_id &&
           span_equal(span_of(lesson->model, lesson->model_len), call->model);
}

static struct lesson *lesson_for(struct learned *learned, const struct learned_call *call)
{
    struct lesson *lesson = map_get(&learned->models, hash_of(call), is_of, call);

    if (lesson != NULL)
        return lesson;
    lesson = calloc(1, sizeof(*lesson) + call->model.len + 1);
    if (lesson == NULL)
        return NULL;
    lesson->provider_id = call->provider_id;
    lesson->model_len = call->model.len;
    memcpy(lesson->model, call->model.ptr, call->model.len);
    if (map_add(&learned->models, hash_of(call), lesson) != TG_OK) {
        free(lesson);
        return NULL;
    }
    return lesson;
}

static uint32_t ratio_of(const struct learned_call *call, int64_t prompt_tokens)
{
    const int64_t tokens =
        prompt_tokens > call->added_tokens ? prompt_tokens - call->added_tokens : 0;
    const __int128 ratio =
        ((__int128)tokens * PARTS + call->body_bytes - 1) / call->body_bytes; /* up */

    return ratio > RATIO_MAX ? (uint32_t)RATIO_MAX : (uint32_t)ratio;
}

static void find_largest(struct lesson *lesson)
{
    lesson->largest = 0;
    for (int i = 0; i < lesson->count; i++) {
        if (lesson->ratios[i] > lesson->largest)
            lesson->largest = lesson->ratios[i];
    }
}

void learned_note(struct learned *learned, const struct learned_call *call, int64_t prompt_tokens)
{
    struct lesson *lesson;
    uint32_t forgotten = 0;
    uint32_t ratio;

    if (call->body_bytes < LEARNED_BYTES_MIN || prompt_tokens <= 0)
        return;
    lesson = lesson_for(learned, call);
    if (lesson == NULL)
        return;
    ratio = ratio_of(call, prompt_tokens);
    if (lesson->count == LEARNED_CALLS_MAX)
        forgotten = lesson->ratios[lesson->next];
    else
        lesson->count++;
    lesson->ratios[lesson->next] = ratio;
    lesson->next = (lesson->next + 1) % LEARNED_CALLS_MAX;
    if (ratio >= lesson->largest)
        lesson->largest = ratio;
    else if (forgotten == lesson->largest)
        find_largest(lesson);
}

int64_t learned_bound(const struct learned *learned, const struct learned_call *call)
{
    const struct lesson *lesson = map_get(&learned->models, hash_of(call), is_of, call);
    __int128 parts;

    if (call->body_bytes < LEARNED_BYTES_MIN || lesson == NULL || lesson->count < LEARNED_CALLS_MIN)
        return 0;
    /* x 5/4, rounded up */
    parts = (__int128)call->body_bytes * lesson->largest * 5;
    return (int64_t)((parts + 4 * PARTS - 1) / (4 * PARTS)) + call->added_tokens;
}
