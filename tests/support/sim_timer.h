#ifndef SIM_TIMER_H
#define SIM_TIMER_H

#include <stddef.h>
#include <stdint.h>

/* A binary min-heap of deadlines. Each timer sits in its owner and knows its place, so that moving
 * one costs no search. */

#define SIM_TIMER_IDLE SIZE_MAX

struct sim_timer {
    int64_t due_us;
    size_t place; /* SIM_TIMER_IDLE: not set */
};

/* Monotonic time in microseconds. */
int64_t sim_clock_us(void);

/* Set or move a timer. Thread: the only one. */
void sim_timer_set(struct sim_timer *timer, int64_t due_us);

/* Take a timer out; one that is not set stays so. */
void sim_timer_stop(struct sim_timer *timer);

/* The timer that is due first, left in the heap. ret: NULL when none is set. */
struct sim_timer *sim_timer_first(void);

#endif
