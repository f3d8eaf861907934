/* Goal: a limit is said never to bind exactly where another is always reached first: never where it
 * could bind after all. Method: a table of pairs, each with what follows from the words of the two;
 * and for windows within windows, calls that spread over real calendars as evenly as they can. */

#include "quota/shadow.h"

#include "base/clock.h"
#include "policy/zone.h"
#include "support/suites.h"

#include <stdio.h>
#include <string.h>

#define ALPHA 1
#define BETA  2
#define KEY_A 10
#define KEY_B 20 /* of beta */

static char gpt[] = "gpt-*";
static char gpt4[] = "gpt-4*";
static char exact[] = "gpt-4o";
static char claude[] = "claude-*";
static char *only_gpt[] = { gpt, NULL };
static char *only_gpt4[] = { gpt4, NULL };
static char *one_gpt[] = { exact, NULL };
static char *both[] = { claude, gpt, NULL };

/* What is said of a limit in a table; the rest follows. */
struct words {
    enum limit_scope scope;
    int team;
    int key;
    bool each;
    enum limit_metric metric;
    int window; /* -1: none */
    int64_t amount;
    char **models;
    bool soft;
    const char *zone;
    int week_start;
    int anchor_day;
};

static struct limit limit_of(const struct words *words)
{
    struct limit limit = {
        .scope = words->scope,
        .team_id = words->team,
        .key_id = words->key,
        .is_each_key = words->each,
        .metric = words->metric,
        .has_window = words->window >= 0,
        .rule = { words->window >= 0 ? (enum period_window)words->window : PERIOD_TOTAL,
                  words->week_start != 0 ? words->week_start : PERIOD_MONDAY,
                  words->anchor_day != 0 ? words->anchor_day : 1 },
        .amount = words->amount,
        .models = words->models,
        .is_hard = !words->soft,
    };

    while (limit.models != NULL && limit.models[limit.model_count] != NULL)
        limit.model_count++;
    (void)snprintf(limit.timezone, sizeof(limit.timezone), "%s",
                   words->zone != NULL ? words->zone : "UTC");
    return limit;
}

#define ORG(...)                                                                                   \
    {                                                                                              \
        .scope = LIMIT_ORGANIZATION, __VA_ARGS__                                                   \
    }
#define TEAM(...)                                                                                  \
    {                                                                                              \
        .scope = LIMIT_TEAM, .team = ALPHA, __VA_ARGS__                                            \
    }
#define EACH(...) TEAM(.each = true, __VA_ARGS__)
#define KEY(...)                                                                                   \
    {                                                                                              \
        .scope = LIMIT_KEY, .team = ALPHA, .key = KEY_A, __VA_ARGS__                               \
    }
#define DAY(n)   .window = PERIOD_DAY, .amount = (n)
#define WEEK(n)  .window = PERIOD_WEEK, .amount = (n)
#define MONTH(n) .window = PERIOD_MONTH, .amount = (n)

static const struct {
    const char *what;
    struct words limit;
    struct words by;
    bool falls;
} pairs[] = {
    { "a key's above its team's", KEY(DAY(11)), TEAM(DAY(10)), true },
    { "a key's as large as its team's", KEY(DAY(10)), TEAM(DAY(10)), false },
    { "a key's below its team's", KEY(DAY(9)), TEAM(DAY(10)), false },
    { "a key's above the organization's", KEY(DAY(11)), ORG(DAY(10)), true },
    { "a team's above the organization's", TEAM(DAY(11)), ORG(DAY(10)), true },
    { "a team's above one of its keys'", TEAM(DAY(11)), KEY(DAY(10)), false },
    { "the organization's above a team's", ORG(DAY(11)), TEAM(DAY(10)), false },
    { "a key's above another team's",
      { .scope = LIMIT_KEY, .team = BETA, .key = KEY_B, DAY(11) },
      TEAM(DAY(10)),
      false },
    { "each key's above the team's", EACH(DAY(11)), TEAM(DAY(10)), true },
    { "a team's above each key's", TEAM(DAY(11)), EACH(DAY(10)), false },
    { "a key's above each key's", KEY(DAY(11)), EACH(DAY(10)), true },
    { "each key's above one key's", EACH(DAY(11)), KEY(DAY(10)), false },
    { "a key's second above its first", KEY(DAY(11)), KEY(DAY(10)), true },
    { "another metric", KEY(DAY(11)), TEAM(DAY(10), .metric = LIMIT_TOTAL_TOKENS), false },
    { "a soft one stops nothing", KEY(DAY(11)), TEAM(DAY(10), .soft = true), false },
    { "a soft one never tells", KEY(DAY(11), .soft = true), TEAM(DAY(10)), true },
    { "calls open at once", KEY(.metric = LIMIT_PARALLEL, .window = -1, .amount = 3),
      TEAM(.metric = LIMIT_PARALLEL, .window = -1, .amount = 2), true },
    { "the same models", KEY(DAY(11), .models = only_gpt), TEAM(DAY(10), .models = only_gpt),
      true },
    { "fewer models", KEY(DAY(11), .models = only_gpt4), TEAM(DAY(10), .models = only_gpt), true },
    { "one model", KEY(DAY(11), .models = one_gpt), TEAM(DAY(10), .models = only_gpt4), true },
    { "some of several models", KEY(DAY(11), .models = only_gpt), TEAM(DAY(10), .models = both),
      true },
    { "models and all", KEY(DAY(11), .models = both), TEAM(DAY(10)), true },
    { "more models", KEY(DAY(11), .models = both), TEAM(DAY(10), .models = only_gpt), false },
    { "wider models", KEY(DAY(11), .models = only_gpt), TEAM(DAY(10), .models = only_gpt4), false },
    { "all models and some", KEY(DAY(11)), TEAM(DAY(10), .models = only_gpt), false },
    { "days of another zone", KEY(DAY(11)), TEAM(DAY(10), .zone = "Asia/Tokyo"), false },
    { "weeks that begin on another day", KEY(WEEK(11)), TEAM(WEEK(10), .week_start = PERIOD_SUNDAY),
      false },
    { "months that begin on another day", KEY(MONTH(11)), TEAM(MONTH(10), .anchor_day = 2), false },
    { "minutes are everybody's", KEY(.window = PERIOD_MINUTE, .amount = 11, .zone = "Asia/Tokyo"),
      TEAM(.window = PERIOD_MINUTE, .amount = 10), true },
    { "in all", KEY(.window = PERIOD_TOTAL, .amount = 11),
      TEAM(.window = PERIOD_TOTAL, .amount = 10, .zone = "Asia/Tokyo"), true },
    { "a week above seven days", TEAM(WEEK(71)), TEAM(DAY(10)), true },
    { "a week of seven days", TEAM(WEEK(70)), TEAM(DAY(10)), false },
    { "a month above thirty-one days", TEAM(MONTH(311)), TEAM(DAY(10)), true },
    { "a month of thirty-one days", TEAM(MONTH(310)), TEAM(DAY(10)), false },
    { "an hour above sixty minutes", TEAM(.window = PERIOD_HOUR, .amount = 61),
      TEAM(.window = PERIOD_MINUTE, .amount = 1), true },
    { "an hour of sixty minutes", TEAM(.window = PERIOD_HOUR, .amount = 60),
      TEAM(.window = PERIOD_MINUTE, .amount = 1), false },
    { "in all has no end", TEAM(.window = PERIOD_TOTAL, .amount = 1000000), TEAM(DAY(1)), false },
    { "a day below its month", TEAM(DAY(10)), TEAM(MONTH(10)), false },
    { "a day above its month", TEAM(DAY(11)), TEAM(MONTH(10)), true },
    { "a day above a month of another zone, over whose end it may reach", TEAM(DAY(11)),
      TEAM(MONTH(10), .zone = "Asia/Tokyo"), false },
    { "a day above two months of another zone", TEAM(DAY(21)),
      TEAM(MONTH(10), .zone = "Asia/Tokyo"), true },
    { "a week above its month, of which it may have two", TEAM(WEEK(20)), TEAM(MONTH(10)), false },
    { "a week above two months", TEAM(WEEK(21)), TEAM(MONTH(10)), true },
    { "a week above all time", TEAM(WEEK(11)), TEAM(.window = PERIOD_TOTAL, .amount = 10), true },
    { "amounts near the end of their type", TEAM(MONTH(LIMIT_AMOUNT_MAX)),
      TEAM(DAY(LIMIT_AMOUNT_MAX)), false },
};

START_TEST(a_shadow_falls_as_the_words_say)
{
    const struct limit limit = limit_of(&pairs[_i].limit);
    const struct limit by = limit_of(&pairs[_i].by);

    ck_assert_msg(shadow_falls(&limit, &by) == pairs[_i].falls, "%s", pairs[_i].what);
}
END_TEST

/* --- windows within windows ------------------------------------------------------------------- */

/* The most periods of one rule that any period of another reaches into, over years of real
 * calendars. */
static int most_within(const struct zone *zone, enum period_window window,
                       const struct zone *by_zone, enum period_window by)
{
    const struct period_rule rule = { window, PERIOD_MONDAY, 1 };
    const struct period_rule by_rule = { by, PERIOD_MONDAY, 1 };
    const int64_t end_ms = INT64_C(1924992000000); /* 2031-01-01 */
    struct period whole;
    int most = 0;

    period_at(zone, &rule, INT64_C(1735689600000), &whole); /* 2025-01-01 */
    while (whole.end_ms < end_ms) {
        struct period part;
        int count = 1;

        period_at(by_zone, &by_rule, whole.start_ms, &part);
        while (part.end_ms < whole.end_ms) {
            period_next(by_zone, &by_rule, &part, &part);
            count++;
        }
        most = count > most ? count : most;
        period_next(zone, &rule, &whole, &whole);
    }
    return most;
}

static const char *const zones[] = { "UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu",
                                     "Australia/Lord_Howe" };
#define ZONE_COUNT ((int)(sizeof(zones) / sizeof(zones[0])))

static const enum period_window windows[] = { PERIOD_HOUR, PERIOD_DAY, PERIOD_WEEK, PERIOD_MONTH };
#define WINDOW_COUNT ((int)(sizeof(windows) / sizeof(windows[0])))

/* Where a limit of amount n x `by` is said never to bind, no calendar has n periods of `by` in one
 * of it. */
static void check_pair(enum period_window window, int zone, enum period_window by_window,
                       int by_zone)
{
    AUTO_PTR(zone) a = NULL;
    AUTO_PTR(zone) b = NULL;
    int most;

    ck_assert_int_eq(zone_load(span_from(zones[zone]), &a, NULL), TG_OK);
    ck_assert_int_eq(zone_load(span_from(zones[by_zone]), &b, NULL), TG_OK);
    most = most_within(a, window, b, by_window);
    for (int n = most - 1; n <= most; n++) {
        const struct limit limit =
            limit_of(&(struct words)TEAM(.window = (int)window, .amount = n, .zone = zones[zone]));
        const struct limit by = limit_of(
            &(struct words)TEAM(.window = (int)by_window, .amount = 1, .zone = zones[by_zone]));

        ck_assert_msg(!shadow_falls(&limit, &by), "%s of %s, %d: up to %d %ss of %s",
                      period_window_name(window), zones[zone], n, most,
                      period_window_name(by_window), zones[by_zone]);
    }
}

START_TEST(what_could_bind_in_some_calendar_is_left_alone)
{
    for (int a = 0; a < ZONE_COUNT; a++) {
        for (int b = 0; b < ZONE_COUNT; b++) {
            for (int pair = 0; pair < WINDOW_COUNT * WINDOW_COUNT; pair++)
                check_pair(windows[pair / WINDOW_COUNT], a, windows[pair % WINDOW_COUNT], b);
        }
    }
}
END_TEST

START_TEST(a_shadow_is_named)
{
    struct limit by = limit_of(
        &(struct words)TEAM(.window = PERIOD_DAY, .amount = 1500000000, .metric = LIMIT_COST));
    char text[SHADOW_TEXT_SIZE];

    (void)snprintf(by.public_id, sizeof(by.public_id), "lim_abcdefghijkl");
    shadow_describe(&by, text);
    ck_assert_ptr_nonnull(strstr(text, "lim_abcdefghijkl"));
    ck_assert_ptr_nonnull(strstr(text, "cost by day, 1.5 USD"));
    by.metric = LIMIT_PARALLEL;
    by.has_window = false;
    by.amount = 3;
    shadow_describe(&by, text);
    ck_assert_ptr_nonnull(strstr(text, "(parallel, 3)"));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("quota/shadow");
    TCase *cases = tcase_create("cases");

    tcase_add_loop_test(cases, a_shadow_falls_as_the_words_say, 0,
                        (int)(sizeof(pairs) / sizeof(pairs[0])));
    tcase_add_test(cases, what_could_bind_in_some_calendar_is_left_alone);
    tcase_add_test(cases, a_shadow_is_named);
    tcase_set_timeout(cases, 20);
    suite_add_tcase(all, cases);
    return all;
}
