#include "sim_timer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim_buf.h"

static struct sim_timer **heap;
static size_t heap_len;
static size_t heap_cap;

int64_t sim_clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void put(struct sim_timer *timer, size_t place)
{
    heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct sim_timer *timer, size_t place)
{
    while (place > 0 && heap[(place - 1) / 2]->due_us > timer->due_us) {
        put(heap[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    put(timer, place);
}

static void sift_down(struct sim_timer *timer, size_t place)
{
    for (;;) {
        size_t child = 2 * place + 1;

        if (child + 1 < heap_len && heap[child + 1]->due_us < heap[child]->due_us)
            child++;
        if (child >= heap_len || heap[child]->due_us >= timer->due_us)
            break;
        put(heap[child], place);
        place = child;
    }
    put(timer, place);
}

static void grow(void)
{
    const size_t cap = heap_cap == 0 ? 1024 : heap_cap * 2;
    struct sim_timer **wider = sim_alloc(cap * sizeof(struct sim_timer *));

    if (heap_len > 0)
        memcpy(wider, heap, heap_len * sizeof(struct sim_timer *));
    free(heap);
    heap = wider;
    heap_cap = cap;
}

void sim_timer_set(struct sim_timer *timer, int64_t due_us)
{
    timer->due_us = due_us;
    if (timer->place == SIM_TIMER_IDLE) {
        if (heap_len == heap_cap)
            grow();
        timer->place = heap_len++;
    }
    sift_up(timer, timer->place);
    sift_down(timer, timer->place);
}

void sim_timer_stop(struct sim_timer *timer)
{
    if (timer->place == SIM_TIMER_IDLE)
        return;
    const size_t place = timer->place;
    struct sim_timer *last = heap[--heap_len];

    timer->place = SIM_TIMER_IDLE;
    if (last == timer)
        return;
    sift_up(last, place);
    sift_down(last, last->place);
}

struct sim_timer *sim_timer_first(void)
{
    return heap_len == 0 ? NULL : heap[0];
}
