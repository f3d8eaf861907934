#include "policy/trusted.h"

static void follow(struct trusted_clock *clock, struct trusted_reading reading)
{
    clock->state = TRUSTED_FOLLOWS;
    clock->course = reading;
    clock->is_confirmed = false;
}

static bool is_following(const struct trusted_clock *clock)
{
    return clock->state == TRUSTED_FOLLOWS || clock->state == TRUSTED_GAP;
}

static void doubt(struct trusted_clock *clock, enum trusted_state state,
                  struct trusted_reading reading)
{
    clock->state = state;
    clock->seen = reading;
}

/* What the wall clock should show by now. */
static int64_t expected_ms(struct trusted_reading since, int64_t boot_ms)
{
    return since.wall_ms + (boot_ms - since.boot_ms);
}

/* Whether the boot clock can tell no step between two readings. */
static bool agrees(struct trusted_reading since, struct trusted_reading reading)
{
    const int64_t step_ms = reading.wall_ms - expected_ms(since, reading.boot_ms);

    return step_ms >= -TRUSTED_STEP_MS && step_ms <= TRUSTED_STEP_MS;
}

void trusted_init(struct trusted_clock *clock, struct trusted_reading reading, int64_t floor_ms)
{
    const int64_t ahead_ms = reading.wall_ms - floor_ms;

    *clock = (struct trusted_clock){
        .now_ms = floor_ms,
        .boot_ms = reading.boot_ms,
        .course = { .wall_ms = floor_ms, .boot_ms = reading.boot_ms },
    };
    if (floor_ms == 0) {
        follow(clock, reading);
    } else if (ahead_ms > TRUSTED_UNCONFIRMED_MS) {
        doubt(clock, TRUSTED_UNCONFIRMED, reading);
    } else if (ahead_ms < -TRUSTED_STEP_MS) {
        doubt(clock, TRUSTED_STEPPED, reading);
    } else {
        follow(clock, reading);
        if (ahead_ms > TRUSTED_GAP_MS)
            clock->state = TRUSTED_GAP;
    }
}

/* The course is renewed only so often: a clock set by a little again and again would else lead
 * anywhere. */
static void watch(struct trusted_clock *clock, struct trusted_reading reading)
{
    if (!agrees(clock->course, reading))
        doubt(clock, TRUSTED_STEPPED, reading);
    else if (reading.boot_ms - clock->course.boot_ms >= TRUSTED_AGREE_MS)
        follow(clock, reading);
}

static void reconsider(struct trusted_clock *clock, struct trusted_reading reading)
{
    const bool is_steady = agrees(clock->seen, reading);
    const int64_t steady_ms = reading.boot_ms - clock->seen.boot_ms;

    if (clock->is_confirmed || agrees(clock->course, reading) ||
        (is_steady && steady_ms >= TRUSTED_AGREE_MS))
        follow(clock, reading);
    else if (!is_steady)
        clock->seen = reading;
}

/* Go to a time, but never at less than half speed, where it is past or nearly so. */
static void advance(struct trusted_clock *clock, int64_t target_ms, int64_t boot_ms)
{
    const int64_t half_ms = (boot_ms - clock->boot_ms) / 2;

    if (target_ms >= clock->now_ms + half_ms) {
        clock->now_ms = target_ms;
        clock->boot_ms = boot_ms;
    } else {
        clock->now_ms += half_ms;
        clock->boot_ms += 2 * half_ms; /* the odd ms counts next time */
    }
}

int64_t trusted_now(struct trusted_clock *clock, struct trusted_reading reading)
{
    if (reading.boot_ms < clock->boot_ms)
        reading.boot_ms = clock->boot_ms;
    if (is_following(clock))
        watch(clock, reading);
    else
        reconsider(clock, reading);
    advance(clock,
            is_following(clock) ? reading.wall_ms : expected_ms(clock->course, reading.boot_ms),
            reading.boot_ms);
    return clock->now_ms;
}

void trusted_confirm(struct trusted_clock *clock)
{
    /* While it follows there is nothing to confirm, and no step to come is. */
    clock->is_confirmed = !is_following(clock);
}
