#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/list.h"
#include "tollgate/status.h"

#include <stddef.h>
#include <stdint.h>

/* One worker's event loop: one epoll set, timers, a mailbox. All of it belongs to the thread that
 * runs it; only loop_post and loop_stop may be called from another.
 *
 * Invariants
 *   A watch or timer that is removed gets no further event, also not one that is in hand already.
 *   There is one `now` a turn. A turn runs posted tasks, events, due timers, deferred tasks, in
 *   that order; what a deferred task defers and a posted one posts runs in the next turn.
 *   Level-triggered throughout.
 */

struct loop;

struct loop_watch {
    int fd;
    uint32_t events; /* what is asked of epoll now; the loop's */
    void (*on_event)(struct loop_watch *watch, uint32_t events);
};

struct loop_timer {
    int64_t due_us;  /* monotonic; the loop's */
    int64_t heap_us; /* where it stands in the heap; the loop's */
    int heap_index;  /* -1: not set; the loop's */
    void (*on_due)(struct loop_timer *timer);
};

struct loop_task {
    struct list node; /* the loop's while queued */
    void (*run)(struct loop_task *task);
};

/* Called on the loop's thread in every turn, before it may block and after it wakes. on_wait may
 * post and defer. */
struct loop_hooks {
    void *context;
    void (*on_wait)(void *context);
    void (*on_wake)(void *context);
};

/* hooks: copied; may be NULL. Errors  TG_NO_MEMORY, TG_IO */
TG_MUST_CHECK enum tg_status loop_new(const struct loop_hooks *hooks, struct loop **ret_loop);
/* Accepts NULL. Nothing may be watched any more. */
void loop_free(struct loop *loop);

/* Run until loop_stop; returns after the turn in which it was seen. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Watch watch->fd for `events` (EPOLLIN, EPOLLOUT, EPOLLRDHUP). Errors  TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status loop_watch_add(struct loop *loop, struct loop_watch *watch,
                                            uint32_t events);
/* Change what is watched; no system call where nothing changes. */
void loop_watch_set(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Before the descriptor is closed. Harmless when not watched (a zeroed watch is not). */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);
bool loop_watch_is_set(const struct loop_watch *watch);

void loop_timer_init(struct loop_timer *timer, void (*on_due)(struct loop_timer *timer));
/* Fire once at `due_us` (monotonic), or move it. Moving it later is free. Asserts that memory for
 * the heap was there (it grows when a timer is first set; out of memory then ends the process). */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_us);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);

/* Run `task` on the loop's thread. From any thread. */
void loop_post(struct loop *loop, struct loop_task *task);
/* Take a posted task back that has not run. Harmless when it has. From the loop's thread. */
void loop_post_cancel(struct loop *loop, struct loop_task *task);
/* Run `task` after the events of this turn. From the loop's thread; once a turn however often
 * asked. */
void loop_defer(struct loop *loop, struct loop_task *task);
/* Take a deferred task back. Harmless when it is not queued; not for posted ones. */
void loop_defer_cancel(struct loop_task *task);
void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task));

/* The turn's time, monotonic us. */
int64_t loop_now_us(const struct loop *loop);

/* Memory for one recv, shared by all connections of the loop: valid within one callback. */
#define LOOP_SCRATCH_BYTES 65536
char *loop_scratch(struct loop *loop);

#endif
