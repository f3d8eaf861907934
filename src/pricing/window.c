#include "pricing/window.h"

#define MINUTE_MS   INT64_C(60000)
#define DAY_MINUTES 1440
#define WEEK_DAYS   7
/* 1970-01-01 was a Thursday. */
#define EPOCH_WEEKDAY 3
#define ALL_DAYS      0x7f

static bool take_number(struct span *rest, int max, int *ret_value)
{
    if (rest->len < 2 || rest->ptr[0] < '0' || rest->ptr[0] > '9' || rest->ptr[1] < '0' ||
        rest->ptr[1] > '9')
        return false;
    *ret_value = (rest->ptr[0] - '0') * 10 + (rest->ptr[1] - '0');
    *rest = span_from_offset(*rest, 2);
    return *ret_value <= max;
}

static bool take_byte(struct span *rest, char byte)
{
    if (rest->len == 0 || rest->ptr[0] != byte)
        return false;
    *rest = span_from_offset(*rest, 1);
    return true;
}

static bool take_time(struct span *rest, uint16_t *ret_minutes)
{
    int hour;
    int minute;

    if (!take_number(rest, 24, &hour) || !take_byte(rest, ':') || !take_number(rest, 59, &minute))
        return false;
    *ret_minutes = (uint16_t)(hour * 60 + minute);
    return *ret_minutes <= DAY_MINUTES;
}

static bool take_day(struct span *rest, int *ret_day)
{
    static const char names[WEEK_DAYS][4] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

    for (int day = 0; day < WEEK_DAYS; day++) {
        if (span_starts_with(*rest, span_of(names[day], 3))) {
            *rest = span_from_offset(*rest, 3);
            *ret_day = day;
            return true;
        }
    }
    return false;
}

static bool take_days(struct span *rest, uint8_t *ret_days)
{
    int day;
    int last;
    unsigned days = 0;

    if (!take_day(rest, &day) || !take_byte(rest, '-') || !take_day(rest, &last))
        return false;
    for (; day != last; day = (day + 1) % WEEK_DAYS)
        days |= 1u << day;
    *ret_days = (uint8_t)(days | 1u << last);
    return true;
}

static bool take_part(struct span *rest, struct window *window)
{
    const int part = window->part_count;

    if (part == WINDOW_PARTS_MAX)
        return false;
    if (!take_time(rest, &window->start_min[part]) || !take_byte(rest, '-') ||
        !take_time(rest, &window->end_min[part]))
        return false;
    window->part_count++;
    return window->start_min[part] < DAY_MINUTES &&
           window->start_min[part] != window->end_min[part];
}

bool window_parse(struct span text, struct window *ret_window)
{
    struct window window = { .kind = WINDOW_NAMED, .days = ALL_DAYS };

    if (text.len == 0 || span_equal(text, SPAN("else"))) {
        *ret_window = (struct window){ .kind = text.len == 0 ? WINDOW_ALWAYS : WINDOW_ELSE };
        return true;
    }
    do {
        if (!take_part(&text, &window))
            return false;
    } while (take_byte(&text, '+'));
    if (take_byte(&text, '/') && !take_days(&text, &window.days))
        return false;
    if (text.len != 0)
        return false;
    *ret_window = window;
    return true;
}

bool window_holds(const struct window *window, int64_t at_ms)
{
    if (window->kind != WINDOW_NAMED)
        return true;

    const int64_t minute = at_ms / MINUTE_MS;
    const int64_t weekday = (minute / DAY_MINUTES + EPOCH_WEEKDAY) % WEEK_DAYS;
    const int64_t now = minute % DAY_MINUTES;

    if (at_ms < 0 || (window->days >> weekday & 1) == 0)
        return false;
    for (int part = 0; part < window->part_count; part++) {
        const bool is_begun = now >= window->start_min[part];
        const bool is_over = now >= window->end_min[part];

        if (window->start_min[part] < window->end_min[part] ? is_begun && !is_over
                                                            : is_begun || !is_over)
            return true;
    }
    return false;
}
