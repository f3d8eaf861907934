#include "net/loop.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_WAIT 256
#define HEAP_FIRST      64
#define WAIT_MAX_MS     60000

/* Reported whether asked for or not, so naming them costs nothing and tells a watch from none. */
#define ALWAYS_REPORTED ((uint32_t)(EPOLLERR | EPOLLHUP))

struct loop {
    int epoll_fd;
    int wake_fd; /* eventfd; written when a task is posted while the loop may sleep */
    struct loop_hooks hooks;
    int64_t now_us;

    /* The batch in hand. Removing a watch clears its entries, so a freed one is never called. */
    struct epoll_event events[EVENTS_PER_WAIT];
    int event_count;
    int event_next;

    /* Binary heap by heap_us, earliest first. */
    struct loop_timer **heap;
    int heap_count;
    int heap_size;

    struct list deferred;

    pthread_mutex_t lock; /* guards the three below */
    struct list posted;
    bool may_sleep;
    bool must_stop;

    _Alignas(64) char scratch[LOOP_SCRATCH_BYTES];
};

/* --- timers: a heap whose entries may stand too early --- */

static void heap_put(struct loop *loop, int at, struct loop_timer *timer)
{
    loop->heap[at] = timer;
    timer->heap_index = at;
}

static void heap_rise(struct loop *loop, int at, struct loop_timer *timer)
{
    while (at > 0) {
        const int parent = (at - 1) / 2;

        if (loop->heap[parent]->heap_us <= timer->heap_us)
            break;
        heap_put(loop, at, loop->heap[parent]);
        at = parent;
    }
    heap_put(loop, at, timer);
}

static void heap_sink(struct loop *loop, int at, struct loop_timer *timer)
{
    for (int child = 2 * at + 1; child < loop->heap_count; child = 2 * at + 1) {
        if (child + 1 < loop->heap_count &&
            loop->heap[child + 1]->heap_us < loop->heap[child]->heap_us)
            child++;
        if (timer->heap_us <= loop->heap[child]->heap_us)
            break;
        heap_put(loop, at, loop->heap[child]);
        at = child;
    }
    heap_put(loop, at, timer);
}

static void heap_remove(struct loop *loop, struct loop_timer *timer)
{
    const int at = timer->heap_index;
    struct loop_timer *last = loop->heap[--loop->heap_count];

    timer->heap_index = -1;
    if (last == timer)
        return;
    if (at > 0 && last->heap_us < loop->heap[(at - 1) / 2]->heap_us)
        heap_rise(loop, at, last);
    else
        heap_sink(loop, at, last);
}

static void heap_grow(struct loop *loop)
{
    const int size = loop->heap_size == 0 ? HEAP_FIRST : loop->heap_size * 2;
    struct loop_timer **heap = realloc(loop->heap, (size_t)size * sizeof(struct loop_timer *));

    assert(heap != NULL);
    loop->heap = heap;
    loop->heap_size = size;
}

void loop_timer_init(struct loop_timer *timer, void (*on_due)(struct loop_timer *timer))
{
    *timer = (struct loop_timer){ .heap_index = -1, .on_due = on_due };
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_us)
{
    timer->due_us = due_us;
    if (timer->heap_index >= 0) {
        if (due_us >= timer->heap_us)
            return; /* its place is found when it comes up */
        timer->heap_us = due_us;
        heap_rise(loop, timer->heap_index, timer);
        return;
    }
    if (loop->heap_count == loop->heap_size)
        heap_grow(loop);
    timer->heap_us = due_us;
    heap_rise(loop, loop->heap_count++, timer);
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    if (timer->heap_index >= 0)
        heap_remove(loop, timer);
}

/* At most as many as were set before, so that a timer which sets itself again for a time already
 * past cannot hold the turn. */
static void run_timers(struct loop *loop)
{
    const int64_t now_us = loop->now_us;

    for (int left = loop->heap_count; left > 0 && loop->heap_count > 0; left--) {
        struct loop_timer *timer = loop->heap[0];

        if (timer->heap_us > now_us)
            return;
        if (timer->due_us > now_us) {
            timer->heap_us = timer->due_us;
            heap_sink(loop, 0, timer);
            continue;
        }
        heap_remove(loop, timer);
        timer->on_due(timer);
    }
}

/* --- tasks --- */

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
    list_init(&task->node);
    task->run = run;
}

static void wake(struct loop *loop)
{
    const uint64_t one = 1;
    const ssize_t written = write(loop->wake_fd, &one, sizeof one);

    assert(written == (ssize_t)sizeof one);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    bool must_wake;

    pthread_mutex_lock(&loop->lock);
    must_wake = loop->may_sleep && list_is_empty(&loop->posted);
    list_push_back(&loop->posted, &task->node);
    /* Written under the lock: the loop, once it has seen the task, may be freed by its owner. */
    if (must_wake)
        wake(loop);
    pthread_mutex_unlock(&loop->lock);
}

void loop_post_cancel(struct loop *loop, struct loop_task *task)
{
    pthread_mutex_lock(&loop->lock);
    list_remove(&task->node);
    pthread_mutex_unlock(&loop->lock);
}

void loop_stop(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->must_stop = true;
    if (loop->may_sleep)
        wake(loop);
    pthread_mutex_unlock(&loop->lock);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (list_is_empty(&task->node))
        list_push_back(&loop->deferred, &task->node);
}

void loop_defer_cancel(struct loop_task *task)
{
    list_remove(&task->node);
}

/* Tasks that the running ones queue are left for the next turn, so none can starve the sockets. */
static void run_tasks(struct list *queue)
{
    struct list in_hand;
    struct list *node;

    list_init(&in_hand);
    list_move_all(&in_hand, queue);
    while ((node = list_pop_front(&in_hand)) != NULL) {
        struct loop_task *task = LIST_ENTRY(node, struct loop_task, node);

        task->run(task);
    }
}

/* --- watches --- */

static bool control(struct loop *loop, int operation, struct loop_watch *watch)
{
    struct epoll_event event = { .events = watch->events, .data.ptr = watch };

    return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) == 0;
}

enum tg_status loop_watch_add(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    watch->events = events | ALWAYS_REPORTED;
    if (control(loop, EPOLL_CTL_ADD, watch))
        return TG_OK;
    watch->events = 0;
    return errno == ENOMEM || errno == ENOSPC ? TG_NO_MEMORY : TG_IO;
}

void loop_watch_set(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    bool done;

    events |= ALWAYS_REPORTED;
    assert(watch->events != 0);
    if (events == watch->events)
        return;
    watch->events = events;
    done = control(loop, EPOLL_CTL_MOD, watch);
    assert(done);
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
    bool done;

    if (watch->events == 0)
        return;
    watch->events = 0;
    done = control(loop, EPOLL_CTL_DEL, watch);
    assert(done);
    for (int i = loop->event_next; i < loop->event_count; i++) {
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
    }
}

bool loop_watch_is_set(const struct loop_watch *watch)
{
    return watch->events != 0;
}

/* --- the loop --- */

static void loop_destroy(struct loop *loop)
{
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop->heap);
    free(loop);
}

enum tg_status loop_new(const struct loop_hooks *hooks, struct loop **ret_loop)
{
    struct loop *loop = aligned_alloc(64, sizeof *loop);
    struct epoll_event event = { .events = EPOLLIN };

    if (loop == NULL)
        return TG_NO_MEMORY;
    memset(loop, 0, sizeof *loop);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    event.data.ptr = loop; /* tells it from every watch */
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) != 0) {
        loop_destroy(loop);
        return TG_IO;
    }
    if (hooks != NULL)
        loop->hooks = *hooks;
    list_init(&loop->deferred);
    list_init(&loop->posted);
    pthread_mutex_init(&loop->lock, NULL);
    loop->now_us = clock_monotonic_us();
    *ret_loop = loop;
    return TG_OK;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    pthread_mutex_lock(&loop->lock); /* waits for a post that is just leaving */
    pthread_mutex_unlock(&loop->lock);
    pthread_mutex_destroy(&loop->lock);
    loop_destroy(loop);
}

/* How long to wait, in ms. A part of a millisecond is waited in full, or the timer would be polled.
 */
static int wait_ms(const struct loop *loop)
{
    int64_t left_us;

    if (!list_is_empty(&loop->deferred))
        return 0;
    if (loop->heap_count == 0)
        return -1;
    left_us = loop->heap[0]->heap_us - loop->now_us;
    if (left_us <= 0)
        return 0;
    if (left_us > (int64_t)WAIT_MAX_MS * 1000)
        return WAIT_MAX_MS;
    return (int)((left_us + 999) / 1000);
}

static void wait_for_events(struct loop *loop)
{
    int timeout_ms = wait_ms(loop);

    pthread_mutex_lock(&loop->lock);
    if (!list_is_empty(&loop->posted) || loop->must_stop)
        timeout_ms = 0;
    loop->may_sleep = timeout_ms != 0;
    pthread_mutex_unlock(&loop->lock);

    loop->event_next = 0;
    loop->event_count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_WAIT, timeout_ms);
    if (loop->event_count < 0) {
        assert(errno == EINTR);
        loop->event_count = 0;
    }
    loop->now_us = clock_monotonic_us();
}

/* return  whether to go on after this turn */
static bool take_posted(struct loop *loop, struct list *ret_posted)
{
    bool must_stop;

    pthread_mutex_lock(&loop->lock);
    loop->may_sleep = false;
    list_move_all(ret_posted, &loop->posted);
    must_stop = loop->must_stop;
    loop->must_stop = false;
    pthread_mutex_unlock(&loop->lock);
    return !must_stop;
}

static void quiet_wake_fd(struct loop *loop)
{
    uint64_t count;
    const ssize_t got = read(loop->wake_fd, &count, sizeof count);

    (void)got; /* nothing to read is as good */
}

static void run_events(struct loop *loop)
{
    while (loop->event_next < loop->event_count) {
        const struct epoll_event *event = &loop->events[loop->event_next++];
        struct loop_watch *watch = event->data.ptr;

        if (watch == NULL)
            continue;
        if (event->data.ptr == loop)
            quiet_wake_fd(loop);
        else
            watch->on_event(watch, event->events);
    }
}

void loop_run(struct loop *loop)
{
    bool goes_on = true;

    while (goes_on) {
        struct list posted;

        list_init(&posted);
        if (loop->hooks.on_wait != NULL)
            loop->hooks.on_wait(loop->hooks.context);
        wait_for_events(loop);
        if (loop->hooks.on_wake != NULL)
            loop->hooks.on_wake(loop->hooks.context);
        goes_on = take_posted(loop, &posted);
        run_tasks(&posted);
        run_events(loop);
        run_timers(loop);
        run_tasks(&loop->deferred);
    }
}

int64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

char *loop_scratch(struct loop *loop)
{
    return loop->scratch;
}
