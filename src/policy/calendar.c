#include "policy/calendar.h"
#include "base/try.h"
#include "policy/zone.h"
#include <stdlib.h>
struct calendar {
    struct zone *zone;
    struct period_rule rule;
};
enum tg_status calendar_open(struct db *db, const char *zone_name, const struct period_rule *rule,
                             int64_t now_ms, struct calendar **ret_calendar, struct err *err)
{
    struct calendar *c = calloc(1, sizeof(*c));
    (void)db;
    (void)now_ms;
    if (c == NULL)
        return TG_NO_MEMORY;
    c->rule = *rule;
    TRY(zone_load(span_from(zone_name), &c->zone, err));
    *ret_calendar = c;
    return TG_OK;
}
void calendar_at(const struct calendar *c, int64_t wall_ms, struct period *ret_period)
{
    period_at(c->zone, &c->rule, wall_ms, ret_period);
}
enum tg_status calendar_extend(struct db *db, struct calendar *calendar, int64_t now_ms,
                               struct err *err)
{
    (void)db;
    (void)calendar;
    (void)now_ms;
    (void)err;
    return TG_OK;
}
void calendar_free(void *calendar)
{
    struct calendar *c = calendar;
    if (c) {
        zone_free(c->zone);
        free(c);
    }
}
