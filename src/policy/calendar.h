#ifndef POLICY_CALENDAR_H
#define POLICY_CALENDAR_H
#include "base/err.h"
#include "policy/period.h"
struct db;
struct calendar;
enum tg_status calendar_open(struct db *db, const char *zone_name, const struct period_rule *rule,
                             int64_t now_ms, struct calendar **ret_calendar, struct err *err);
void calendar_at(const struct calendar *calendar, int64_t wall_ms, struct period *ret_period);
enum tg_status calendar_extend(struct db *db, struct calendar *calendar, int64_t now_ms,
                               struct err *err);
void calendar_free(void *calendar);
#endif
