#ifndef POLICY_PERIOD_H
#define POLICY_PERIOD_H
#include <stdint.h>
enum period_window {
    PERIOD_MINUTE,
    PERIOD_HOUR,
    PERIOD_DAY,
    PERIOD_WEEK,
    PERIOD_MONTH,
    PERIOD_TOTAL
};
struct period_rule {
    enum period_window window;
    int week_start; /* 1 = monday .. 7 = sunday */
    int anchor_day; /* 1..28 */
};
struct period {
    int64_t start_ms, end_ms;
};
#endif
