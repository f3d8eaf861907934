/* Goal: limits count what design 4.1 says, in the period of the admission, and an admission tells
 * the truth. Method: calls of known sizes through the writer, at one nano-USD a token, on a clock
 * of the test's; each expectation is worked out by hand beside it. */
#include "base/clock.h"
#include "quota/learned.h"
#include "support/suites.h"
#include "support/support_quota.h"
#include "support/support_vfs.h"

#include <stdio.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define MINUTE_MS    60000
#define DAY_MS       INT64_C(86400000)

static struct support_book book;

static void setup(void)
{
    support_clock_use();
    support_vfs_install();
    support_vfs_use(NULL);
    support_book_setup(&book);
    quota_people(&book);
}

static void teardown(void)
{
    support_book_is_sound(&book);
    support_book_teardown(&book);
    clock_use(NULL);
}

/* A limit on team 1 and a window without end. */
static struct quota_limit team_limit(enum limit_metric metric, int64_t amount)
{
    return (struct quota_limit){
        .scope = LIMIT_TEAM, .id = 1, .metric = metric, .window = PERIOD_TOTAL, .amount = amount
    };
}

static int32_t make(struct quota_limit limit)
{
    return quota_limit_make(&book, &limit);
}

/* Admit a call of key 1 with so many tokens each way. */
static enum tg_status ask(struct quota_call *call, int64_t input_tokens, int64_t output_tokens)
{
    quota_call_init(&book, call, 1, input_tokens, output_tokens);
    return quota_admit(call);
}

/* A whole call of key 1 that uses what it holds. */
static void spend(int64_t input_tokens, int64_t output_tokens)
{
    struct quota_call call;

    ck_assert_int_eq(ask(&call, input_tokens, output_tokens), TG_OK);
    quota_settle(&call, input_tokens, output_tokens);
}

static void is_count(int32_t limit, int64_t spent, int64_t held)
{
    const struct admit_count count = quota_look(&book, limit, 0);

    ck_assert_int_eq(count.spent, spent);
    ck_assert_int_eq(count.held, held);
}

/* --- what each metric counts --------------------------------------------------------------------
 */

static const struct {
    enum limit_metric metric;
    int64_t held;  /* of a call that may take 100 in and 50 out */
    int64_t spent; /* once it took 80 and 20 */
} metrics[] = {
    { LIMIT_COST, 150, 100 },        { LIMIT_INPUT_TOKENS, 100, 80 },
    { LIMIT_OUTPUT_TOKENS, 50, 20 }, { LIMIT_TOTAL_TOKENS, 150, 100 },
    { LIMIT_REQUESTS, 1, 1 },        { LIMIT_PARALLEL, 1, 0 },
};

START_TEST(each_metric_counts_its_own)
{
    const int32_t limit = make(team_limit(metrics[_i].metric, 1000));
    struct quota_call call;

    ck_assert_int_eq(ask(&call, 100, 50), TG_OK);
    is_count(limit, 0, metrics[_i].held);
    quota_settle(&call, 80, 20);
    is_count(limit, metrics[_i].spent, 0);
}
END_TEST

START_TEST(what_was_never_sent_counts_nowhere)
{
    const int32_t limit = make(team_limit(metrics[_i].metric, 1000));
    struct quota_call call;

    ck_assert_int_eq(ask(&call, 100, 50), TG_OK);
    quota_settle(&call, 0, 0);
    is_count(limit, 0, 0);
}
END_TEST

START_TEST(a_limit_fits_to_the_last_unit_and_not_one_more)
{
    const int32_t limit = make(team_limit(metrics[_i].metric, metrics[_i].held));
    struct quota_call first;
    struct quota_call second;

    ck_assert_int_eq(ask(&first, 100, 50), TG_OK);
    ck_assert_int_ne(ask(&second, 1, 1), TG_OK);
    quota_settle(&first, 0, 0);
    quota_limit_delete(&book, limit);
    ck_assert_int_eq(ask(&second, 1, 1), TG_OK);
    quota_settle(&second, 1, 1);
}
END_TEST

/* --- reasons ------------------------------------------------------------------------------------
 */

START_TEST(too_large_is_said_of_what_never_fits)
{
    struct quota_call call;

    make(team_limit(LIMIT_TOTAL_TOKENS, 100));
    ck_assert_int_eq(ask(&call, 100, 1), TG_LIMIT_REACHED);
    ck_assert_int_eq(call.job.refusal.reason, TG_REFUSAL_TOO_LARGE);
    ck_assert_int_eq(call.job.refusal.retry_after_s, 0);
    ck_assert_str_eq(call.job.refusal.amount, "100");
    ck_assert_str_eq(call.job.refusal.estimate, "101");
}
END_TEST

START_TEST(spent_is_said_where_waiting_does_not_help)
{
    struct quota_call call;

    make(team_limit(LIMIT_COST, 1000));
    spend(500, 400);
    ck_assert_int_eq(ask(&call, 60, 41), TG_LIMIT_REACHED);
    ck_assert_int_eq(call.job.refusal.reason, TG_REFUSAL_SPENT);
    ck_assert_str_eq(call.job.refusal.spent, "0.0000009"); /* 900 nano-USD */
    ck_assert_str_eq(call.job.refusal.scope, "team");
    ck_assert_str_eq(call.job.refusal.metric, "cost");
    ck_assert_str_eq(call.job.refusal.window, "total");
    ck_assert_str_eq(call.job.refusal.resets_at, "");
    ck_assert_int_eq(call.job.refusal.retry_after_s, 0);
    ck_assert_int_eq(ask(&call, 60, 40), TG_OK);
    quota_settle(&call, 60, 40);
}
END_TEST

START_TEST(held_is_said_where_an_open_call_has_the_rest)
{
    struct quota_call open;
    struct quota_call call;

    make(team_limit(LIMIT_TOTAL_TOKENS, 1000));
    ck_assert_int_eq(ask(&open, 500, 400), TG_OK);
    ck_assert_int_eq(ask(&call, 101, 0), TG_RATE_LIMITED);
    ck_assert_int_eq(call.job.refusal.reason, TG_REFUSAL_HELD);
    ck_assert_str_eq(call.job.refusal.held, "900");
    ck_assert_int_eq(call.job.refusal.retry_after_s, 1);
    quota_settle(&open, 100, 100);
    ck_assert_int_eq(ask(&call, 101, 0), TG_OK);
    quota_settle(&call, 101, 0);
}
END_TEST

START_TEST(rate_is_said_of_a_minute_and_of_open_calls)
{
    struct quota_limit minute = team_limit(LIMIT_REQUESTS, 1);
    struct quota_call first;
    struct quota_call call;
    int32_t limit;

    minute.window = PERIOD_MINUTE;
    limit = make(minute);
    spend(1, 1);
    ck_assert_int_eq(ask(&call, 1, 1), TG_RATE_LIMITED);
    ck_assert_int_eq(call.job.refusal.reason, TG_REFUSAL_RATE);
    ck_assert_int_ge(call.job.refusal.retry_after_s, 1);
    ck_assert_int_le(call.job.refusal.retry_after_s, 60);
    quota_limit_delete(&book, limit);
    make(team_limit(LIMIT_PARALLEL, 1));
    ck_assert_int_eq(ask(&first, 1, 1), TG_OK);
    ck_assert_int_eq(ask(&call, 1, 1), TG_RATE_LIMITED);
    ck_assert_int_eq(call.job.refusal.reason, TG_REFUSAL_RATE);
    ck_assert_int_eq(call.job.refusal.retry_after_s, 1);
    quota_settle(&first, 1, 1);
}
END_TEST

START_TEST(the_answer_that_lasts_longest_is_given)
{
    struct quota_limit minute = team_limit(LIMIT_REQUESTS, 1);
    struct quota_call call;

    minute.window = PERIOD_MINUTE;
    make(minute);
    make(team_limit(LIMIT_TOTAL_TOKENS, 10));
    spend(5, 5);
    ck_assert_int_eq(ask(&call, 5, 5), TG_LIMIT_REACHED);
    ck_assert_int_eq(call.job.refusal.reason, TG_REFUSAL_SPENT);
    ck_assert_str_eq(call.job.refusal.metric, "total_tokens");
}
END_TEST

START_TEST(the_tightest_of_equals_is_named)
{
    struct quota_limit organization = team_limit(LIMIT_TOTAL_TOKENS, 1000);
    struct quota_call call;

    organization.scope = LIMIT_ORGANIZATION;
    make(organization);
    make(team_limit(LIMIT_TOTAL_TOKENS, 920));
    spend(500, 400);
    ck_assert_int_eq(ask(&call, 101, 0), TG_LIMIT_REACHED);
    ck_assert_str_eq(call.job.refusal.scope, "team");
}
END_TEST

/* --- scopes -------------------------------------------------------------------------------------
 */

START_TEST(a_limit_of_each_key_counts_each_alone)
{
    struct quota_limit each = team_limit(LIMIT_TOTAL_TOKENS, 100);
    struct quota_call call;
    int32_t limit;

    each.is_each_key = true;
    limit = make(each);
    spend(60, 40);
    ck_assert_int_eq(ask(&call, 1, 0), TG_LIMIT_REACHED);
    quota_call_init(&book, &call, 2, 60, 40);
    ck_assert_int_eq(quota_admit(&call), TG_OK);
    quota_settle(&call, 10, 10);
    ck_assert_int_eq(quota_look(&book, limit, 1).spent, 100);
    ck_assert_int_eq(quota_look(&book, limit, 2).spent, 20);
    quota_call_init(&book, &call, 5, 600, 400); /* another team's */
    ck_assert_int_eq(quota_admit(&call), TG_OK);
    quota_settle(&call, 0, 0);
}
END_TEST

START_TEST(a_limit_on_models_counts_those_asked_for)
{
    struct quota_limit some = team_limit(LIMIT_TOTAL_TOKENS, 10);
    struct quota_call call;
    int32_t limit;

    some.models = "[\"gpt-*\",\"o3\"]";
    limit = make(some);
    spend(500, 500); /* "m" */
    quota_call_init(&book, &call, 1, 5, 5);
    call.job.hold.model = SPAN("gpt-5.6");
    ck_assert_int_eq(quota_admit(&call), TG_OK);
    quota_settle(&call, 5, 5);
    quota_call_init(&book, &call, 1, 1, 0);
    call.job.hold.model = SPAN("o3");
    ck_assert_int_eq(quota_admit(&call), TG_LIMIT_REACHED);
    quota_call_init(&book, &call, 1, 1, 0);
    call.job.hold.model = SPAN("o3-mini");
    ck_assert_int_eq(quota_admit(&call), TG_OK);
    quota_settle(&call, 1, 0);
    is_count(limit, 10, 0);
}
END_TEST

START_TEST(a_soft_limit_counts_and_turns_nobody_down)
{
    struct quota_limit soft = team_limit(LIMIT_TOTAL_TOKENS, 10);
    int32_t limit;

    soft.is_soft = true;
    limit = make(soft);
    spend(50, 50);
    spend(50, 50);
    is_count(limit, 200, 0);
}
END_TEST

START_TEST(a_threshold_is_told_once)
{
    make(team_limit(LIMIT_TOTAL_TOKENS, 100));
    spend(30, 19);
    ck_assert_int_eq(support_book_number(&book, "SELECT count(*) FROM limit_event"), 0);
    spend(1, 0);
    ck_assert_int_eq(support_book_number(&book, "SELECT sum(threshold) FROM limit_event"), 50);
    spend(1, 0);
    ck_assert_int_eq(support_book_number(&book, "SELECT sum(threshold) FROM limit_event"), 50);
    spend(40, 9);
    ck_assert_int_eq(support_book_number(&book, "SELECT sum(threshold) FROM limit_event"),
                     50 + 80 + 90 + 100);
    ck_assert_int_eq(support_book_number(&book, "SELECT max(spent) FROM limit_event"), 100);
}
END_TEST

/* --- changes ------------------------------------------------------------------------------------
 */

START_TEST(a_new_limit_counts_what_was_spent_and_is_open)
{
    struct quota_limit month = team_limit(LIMIT_TOTAL_TOKENS, 1000);
    struct quota_call open;
    int32_t limit;

    month.window = PERIOD_MONTH;
    spend(100, 50);
    ck_assert_int_eq(ask(&open, 200, 100), TG_OK);
    limit = make(month);
    is_count(limit, 150, 300);
    quota_settle(&open, 20, 10);
    is_count(limit, 180, 0);
}
END_TEST

START_TEST(a_limit_lowered_below_what_is_spent_admits_nothing_until_raised)
{
    const int32_t limit = make(team_limit(LIMIT_TOTAL_TOKENS, 1000));
    struct quota_call call;

    spend(100, 50);
    quota_limit_set(&book, limit, 100);
    ck_assert_int_eq(ask(&call, 1, 0), TG_LIMIT_REACHED);
    quota_limit_set(&book, limit, 151);
    ck_assert_int_eq(ask(&call, 1, 0), TG_OK);
    quota_settle(&call, 1, 0);
}
END_TEST

START_TEST(an_override_holds_for_its_period_alone)
{
    struct quota_limit day = team_limit(LIMIT_TOTAL_TOKENS, 10);
    struct quota_call call;
    int32_t limit;

    day.window = PERIOD_DAY;
    limit = make(day);
    quota_limit_override(&book, limit, 100);
    spend(50, 50);
    ck_assert_int_eq(quota_look(&book, limit, 0).amount, 100);
    support_clock_add_ms(DAY_MS);
    ck_assert_int_eq(quota_look(&book, limit, 0).amount, 10);
    ck_assert_int_eq(ask(&call, 11, 0), TG_LIMIT_REACHED);
    spend(5, 5);
}
END_TEST

START_TEST(a_limit_can_go_while_calls_are_open_in_it)
{
    const int32_t limit = make(team_limit(LIMIT_TOTAL_TOKENS, 100));
    struct quota_call open;

    ck_assert_int_eq(ask(&open, 60, 40), TG_OK);
    quota_limit_delete(&book, limit);
    spend(500, 500);
    quota_settle(&open, 60, 40);
    spend(500, 500);
}
END_TEST

/* --- periods ------------------------------------------------------------------------------------
 */

START_TEST(a_charge_belongs_to_the_period_of_its_admission)
{
    struct quota_limit minute = team_limit(LIMIT_TOTAL_TOKENS, 100);
    struct quota_call open;
    int32_t limit;

    minute.window = PERIOD_MINUTE;
    limit = make(minute);
    ck_assert_int_eq(ask(&open, 60, 40), TG_OK);
    support_clock_add_ms(MINUTE_MS);
    is_count(limit, 0, 0);
    spend(50, 49);
    quota_settle(&open, 60, 40);
    is_count(limit, 99, 0);
    spend(1, 0);
}
END_TEST

START_TEST(each_period_begins_with_nothing_spent)
{
    static const struct {
        enum period_window window;
        int64_t after_ms; /* surely the next one */
    } windows[] = { { PERIOD_MINUTE, MINUTE_MS },
                    { PERIOD_HOUR, 60 * MINUTE_MS },
                    { PERIOD_DAY, DAY_MS },
                    { PERIOD_WEEK, 7 * DAY_MS },
                    { PERIOD_MONTH, 31 * DAY_MS } };
    struct quota_limit limit = team_limit(LIMIT_TOTAL_TOKENS, 10);
    struct quota_call call;

    limit.window = windows[_i].window;
    make(limit);
    for (int turn = 0; turn < 3; turn++) {
        spend(5, 5);
        support_clock_add_ms(windows[_i].after_ms);
    }
    spend(5, 5);
    ck_assert_int_ne(ask(&call, 1, 0), TG_OK);
}
END_TEST

/* --- bounds -------------------------------------------------------------------------------------
 */

START_TEST(the_maximum_is_lowered_to_what_is_left_of_the_money)
{
    struct quota_call call;

    make(team_limit(LIMIT_COST, 10000));
    spend(5000, 0);
    ck_assert_int_eq(ask(&call, 1000, 32000), TG_OK);
    ck_assert_int_eq(call.job.max_output_tokens, 4000); /* 10,000 - 5,000 - 1,000 */
    ck_assert_int_eq(call.job.hold.amount_nusd, 5000);
    ck_assert_int_eq(call.job.hold.output_bound_tokens, 4000);
    ck_assert((call.job.hold.flags & LEDGER_CLAMPED) != 0);
    quota_settle(&call, 1000, 4000);
}
END_TEST

START_TEST(the_maximum_is_shared_among_the_choices)
{
    struct quota_call call;

    make(team_limit(LIMIT_COST, 10000));
    quota_call_init(&book, &call, 1, 1000, 30000);
    call.job.ask.choices = 3;
    ck_assert_int_eq(quota_admit(&call), TG_OK);
    ck_assert_int_eq(call.job.max_output_tokens, 3000); /* 9,000 / 3 */
    quota_settle(&call, 1000, 9000);
}
END_TEST

START_TEST(the_maximum_is_never_lowered_below_the_least)
{
    struct quota_call call;

    make(team_limit(LIMIT_COST, 10000));
    spend(8000, 0);
    quota_call_init(&book, &call, 1, 1000, 32000);
    call.job.ask.least_output_tokens = 1001;
    ck_assert_int_eq(quota_admit(&call), TG_LIMIT_REACHED);
    quota_call_init(&book, &call, 1, 1000, 32000);
    call.job.ask.least_output_tokens = 1000;
    ck_assert_int_eq(quota_admit(&call), TG_OK);
    ck_assert_int_eq(call.job.max_output_tokens, 1000);
    quota_settle(&call, 1000, 1000);
}
END_TEST

START_TEST(one_limit_that_refuses_lets_nothing_be_lowered)
{
    struct quota_limit money = team_limit(LIMIT_COST, 10000);
    struct quota_call call;

    money.refuses = true;
    make(money);
    make(team_limit(LIMIT_COST, 9000)); /* would clamp */
    ck_assert_int_eq(ask(&call, 1000, 32000), TG_LIMIT_REACHED);
    ck_assert_int_eq(call.job.max_output_tokens, 0);
}
END_TEST

START_TEST(tokens_are_clamped_only_where_the_limit_says_so)
{
    struct quota_limit tokens = team_limit(LIMIT_TOTAL_TOKENS, 5000);
    struct quota_call call;
    const int32_t plain = make(tokens);

    ck_assert_int_eq(ask(&call, 1000, 32000), TG_LIMIT_REACHED);
    quota_limit_delete(&book, plain);
    tokens.clamps = true;
    make(tokens);
    ck_assert_int_eq(ask(&call, 1000, 32000), TG_OK);
    ck_assert_int_eq(call.job.max_output_tokens, 4000);
    quota_settle(&call, 1000, 4000);
}
END_TEST

/* Calls of 8,000 bytes that made one token in four bytes. */
static void teach(int calls)
{
    for (int i = 0; i < calls; i++) {
        struct quota_call call;

        ck_assert_int_eq(ask(&call, 8000, 10), TG_OK);
        quota_settle(&call, 2000, 10);
    }
}

START_TEST(a_bound_is_learned_from_fifty_calls_and_not_from_fewer)
{
    struct quota_call call;

    teach(LEARNED_CALLS_MIN - 1);
    make(team_limit(LIMIT_TOTAL_TOKENS, (LEARNED_CALLS_MIN + 1) * 2010 + 3000));
    ck_assert_int_eq(ask(&call, 8000, 10), TG_LIMIT_REACHED);
    quota_call_init(&book, &call, 5, 8000, 10); /* another team's teaches as well */
    ck_assert_int_eq(quota_admit(&call), TG_OK);
    quota_settle(&call, 2000, 10);
    ck_assert_int_eq(ask(&call, 8000, 10), TG_OK);
    ck_assert_int_eq(call.job.hold.input_bound_tokens, 2500); /* 8,000 / 4 x 1.25 */
    ck_assert((call.job.hold.flags & LEDGER_LEARNED) != 0);
    quota_settle(&call, 2000, 10);
}
END_TEST

START_TEST(a_strict_limit_is_never_held_at_a_learned_bound)
{
    struct quota_limit strict = team_limit(LIMIT_INPUT_TOKENS, INT64_C(1000000));
    struct quota_call call;
    int32_t plain;
    int32_t limit;

    teach(LEARNED_CALLS_MIN);
    strict.is_strict = true;
    limit = make(strict);
    plain = make(team_limit(LIMIT_TOTAL_TOKENS, LEARNED_CALLS_MIN * 2010 + 3000));
    ck_assert_int_eq(ask(&call, 8000, 10), TG_OK);
    is_count(limit, LEARNED_CALLS_MIN * 2000, 8000);
    is_count(plain, LEARNED_CALLS_MIN * 2010, 2510);
    quota_settle(&call, 2000, 10);
    is_count(limit, (LEARNED_CALLS_MIN + 1) * 2000, 0);
    quota_limit_set(&book, limit, (LEARNED_CALLS_MIN + 1) * 2000 + 7999);
    ck_assert_int_eq(ask(&call, 8000, 10), TG_LIMIT_REACHED);
}
END_TEST

START_TEST(a_model_without_a_price_is_turned_down_under_money_alone)
{
    struct quota_call call;
    int32_t money;

    make(team_limit(LIMIT_TOTAL_TOKENS, 1000));
    quota_call_init(&book, &call, 1, 10, 10);
    call.job.ask.is_unpriced = true;
    ck_assert_int_eq(quota_admit(&call), TG_OK);
    quota_settle(&call, 10, 10);
    money = make(team_limit(LIMIT_COST, 1000000));
    quota_call_init(&book, &call, 1, 10, 10);
    call.job.ask.is_unpriced = true;
    ck_assert_int_eq(quota_admit(&call), TG_UNPRICED);
    ck_assert_str_ne(call.job.message, "");
    quota_limit_delete(&book, money);
}
END_TEST

START_TEST(an_overrun_is_posted_and_stops_what_follows)
{
    const int32_t limit = make(team_limit(LIMIT_TOTAL_TOKENS, 100));
    struct quota_call call;

    ck_assert_int_eq(ask(&call, 50, 50), TG_OK);
    quota_settle(&call, 100, 100);
    is_count(limit, 200, 0);
    ck_assert_int_eq(ask(&call, 1, 0), TG_LIMIT_REACHED);
    quota_limit_set(&book, limit, 201);
    spend(1, 0);
}
END_TEST

START_TEST(a_success_tells_what_is_left_of_the_minute)
{
    struct quota_limit minute = team_limit(LIMIT_REQUESTS, 10);
    struct quota_call call;

    minute.window = PERIOD_MINUTE;
    make(minute);
    minute.metric = LIMIT_TOTAL_TOKENS;
    minute.amount = 1000;
    make(minute);
    ck_assert_int_eq(ask(&call, 100, 50), TG_OK);
    ck_assert(call.job.rates[ADMIT_RATE_REQUESTS].is_there);
    ck_assert_int_eq(call.job.rates[ADMIT_RATE_REQUESTS].amount, 10);
    ck_assert_int_eq(call.job.rates[ADMIT_RATE_REQUESTS].remaining, 9);
    ck_assert_int_eq(call.job.rates[ADMIT_RATE_TOKENS].remaining, 850);
    quota_settle(&call, 1, 1);
}
END_TEST

/* --- restarts, failures -------------------------------------------------------------------------
 */

static const enum period_window all_windows[] = { PERIOD_MINUTE, PERIOD_HOUR,  PERIOD_DAY,
                                                  PERIOD_WEEK,   PERIOD_MONTH, PERIOD_TOTAL };
#define WINDOWS 6

static void restart(void)
{
    support_book_close(&book);
    support_book_open(&book);
}

/* One limit for each window and most metrics. */
static int make_all(int32_t limits[WINDOWS * LIMIT_PARALLEL])
{
    int count = 0;

    for (int window = 0; window < WINDOWS; window++) {
        for (int metric = 0; metric < LIMIT_PARALLEL; metric++) {
            struct quota_limit limit = team_limit((enum limit_metric)metric, 1000000);

            limit.window = all_windows[window];
            limits[count++] = make(limit);
        }
    }
    return count;
}

START_TEST(a_restart_changes_no_count)
{
    int32_t limits[WINDOWS * LIMIT_PARALLEL];
    struct admit_count before[WINDOWS * LIMIT_PARALLEL];
    const int count = make_all(limits);

    spend(100, 50);
    support_clock_add_ms(3 * DAY_MS);
    spend(10, 5);
    support_clock_add_ms(25 * 60 * MINUTE_MS);
    spend(1000, 500);
    for (int i = 0; i < count; i++)
        before[i] = quota_look(&book, limits[i], 0);
    restart();
    for (int i = 0; i < count; i++) {
        const struct admit_count after = quota_look(&book, limits[i], 0);

        ck_assert_int_eq(after.period_start_ms, before[i].period_start_ms);
        ck_assert_int_eq(after.spent, before[i].spent);
        ck_assert_int_eq(after.held, 0);
    }
    ck_assert_int_eq(before[count - 1].spent, 3); /* requests, in all */
}
END_TEST

START_TEST(limits_whose_periods_begin_at_many_times_survive_a_restart)
{
    static const char *const zones[] = { "UTC",
                                         "Asia/Tokyo",
                                         "Europe/Berlin",
                                         "Asia/Kolkata",
                                         "Asia/Kathmandu",
                                         "America/New_York",
                                         "America/Denver",
                                         "Asia/Dubai",
                                         "Pacific/Auckland",
                                         "Asia/Tehran" };
    int32_t limits[10 * 28];
    int count = 0;

    for (int zone = 0; zone < COUNT(zones); zone++) {
        for (int day = 1; day <= 28; day++) {
            struct quota_limit month = team_limit(LIMIT_REQUESTS, 1000);

            month.window = PERIOD_MONTH;
            month.timezone = zones[zone];
            month.anchor_day = day;
            limits[count++] = make(month);
        }
    }
    spend(1, 1);
    restart();
    for (int i = 0; i < count; i++)
        is_count(limits[i], 1, 0);
}
END_TEST

static enum tg_status release(struct support_book *of, int64_t charge_id)
{
    struct ledger_reconcile_job job;
    struct err err = { "" };

    ledger_reconcile_job_init(&job, of->ledger);
    job.charge_id = charge_id;
    job.adjustment_id = charge_id + 1;
    job.action = LEDGER_RECONCILE_RELEASE;
    return writer_call(of->writer, &job.job, &err);
}

START_TEST(an_open_hold_counts_as_spent_after_a_crash_until_it_is_released)
{
    const int32_t limit = make(team_limit(LIMIT_TOTAL_TOKENS, 1000));
    struct quota_call open;

    ck_assert_int_eq(ask(&open, 300, 200), TG_OK);
    restart(); /* its hold stands, as after a kill */
    is_count(limit, 500, 0);
    ck_assert_int_eq(quota_look(&book, limit, 0).unreconciled, 500);
    ck_assert_int_eq(release(&book, open.job.hold.attempt_id), TG_OK);
    is_count(limit, 0, 0);
    ck_assert_int_eq(quota_look(&book, limit, 0).unreconciled, 0);
    restart();
    is_count(limit, 0, 0);
    ck_assert_int_eq(quota_look(&book, limit, 0).unreconciled, 0);
}
END_TEST

START_TEST(a_batch_that_fails_leaves_no_count)
{
    const int32_t limit = make(team_limit(LIMIT_TOTAL_TOKENS, 1000));
    const struct support_vfs_plan plan = { .calls = VFS_WRITE, .from = 1 };
    struct quota_call call;

    spend(100, 100);
    support_vfs_use(&plan);
    ck_assert_int_ne(ask(&call, 300, 200), TG_OK);
    support_vfs_use(NULL);
    is_count(limit, 200, 0);
    spend(400, 400);
    is_count(limit, 1000, 0);
}
END_TEST

START_TEST(refusals_are_kept_ten_a_minute_and_counted_all)
{
    struct quota_call call;

    make(team_limit(LIMIT_TOTAL_TOKENS, 10));
    for (int i = 0; i < 25; i++)
        ck_assert_int_eq(ask(&call, 11, 0), TG_LIMIT_REACHED);
    support_clock_add_ms(2 * MINUTE_MS);
    ck_assert_int_eq(ask(&call, 11, 0), TG_LIMIT_REACHED);
    support_clock_add_ms(2 * MINUTE_MS);
    spend(1, 0);
    ck_assert_int_eq(support_book_number(&book, "SELECT count(*) FROM refusal"), 11);
    ck_assert_int_eq(support_book_number(&book, "SELECT sum(count) FROM refusal_count"), 26);
    ck_assert_int_eq(support_book_number(&book, "SELECT max(estimate) FROM refusal"), 11);
}
END_TEST

START_TEST(a_try_leaves_no_trace)
{
    const int32_t limit = make(team_limit(LIMIT_COST, 10000));
    struct quota_call call;
    struct err err = { "" };

    quota_call_init(&book, &call, 1, 1000, 32000);
    ck_assert_int_eq(admit_try(&call.job, book.writer, &err), TG_OK);
    ck_assert_int_eq(call.job.max_output_tokens, 9000);
    quota_call_init(&book, &call, 1, 10001, 0);
    ck_assert_int_eq(admit_try(&call.job, book.writer, &err), TG_LIMIT_REACHED);
    is_count(limit, 0, 0);
    ck_assert_int_eq(support_book_number(&book, "SELECT count(*) FROM refusal_count"), 0);
}
END_TEST

static void add_counting(TCase *tcase)
{
    tcase_add_loop_test(tcase, each_metric_counts_its_own, 0, COUNT(metrics));
    tcase_add_loop_test(tcase, what_was_never_sent_counts_nowhere, 0, COUNT(metrics));
    tcase_add_loop_test(tcase, a_limit_fits_to_the_last_unit_and_not_one_more, 0, COUNT(metrics));
    tcase_add_test(tcase, too_large_is_said_of_what_never_fits);
    tcase_add_test(tcase, spent_is_said_where_waiting_does_not_help);
    tcase_add_test(tcase, held_is_said_where_an_open_call_has_the_rest);
    tcase_add_test(tcase, rate_is_said_of_a_minute_and_of_open_calls);
    tcase_add_test(tcase, the_answer_that_lasts_longest_is_given);
    tcase_add_test(tcase, the_tightest_of_equals_is_named);
    tcase_add_test(tcase, a_limit_of_each_key_counts_each_alone);
    tcase_add_test(tcase, a_limit_on_models_counts_those_asked_for);
    tcase_add_test(tcase, a_soft_limit_counts_and_turns_nobody_down);
    tcase_add_test(tcase, a_threshold_is_told_once);
}

static void add_changing(TCase *tcase)
{
    tcase_add_test(tcase, a_new_limit_counts_what_was_spent_and_is_open);
    tcase_add_test(tcase, a_limit_lowered_below_what_is_spent_admits_nothing_until_raised);
    tcase_add_test(tcase, an_override_holds_for_its_period_alone);
    tcase_add_test(tcase, a_limit_can_go_while_calls_are_open_in_it);
    tcase_add_test(tcase, a_charge_belongs_to_the_period_of_its_admission);
    tcase_add_loop_test(tcase, each_period_begins_with_nothing_spent, 0, 5);
}

static void add_bounds(TCase *tcase)
{
    tcase_add_test(tcase, the_maximum_is_lowered_to_what_is_left_of_the_money);
    tcase_add_test(tcase, the_maximum_is_shared_among_the_choices);
    tcase_add_test(tcase, the_maximum_is_never_lowered_below_the_least);
    tcase_add_test(tcase, one_limit_that_refuses_lets_nothing_be_lowered);
    tcase_add_test(tcase, tokens_are_clamped_only_where_the_limit_says_so);
    tcase_add_test(tcase, a_bound_is_learned_from_fifty_calls_and_not_from_fewer);
    tcase_add_test(tcase, a_strict_limit_is_never_held_at_a_learned_bound);
    tcase_add_test(tcase, a_model_without_a_price_is_turned_down_under_money_alone);
    tcase_add_test(tcase, an_overrun_is_posted_and_stops_what_follows);
    tcase_add_test(tcase, a_success_tells_what_is_left_of_the_minute);
    tcase_add_test(tcase, a_restart_changes_no_count);
    tcase_add_test(tcase, limits_whose_periods_begin_at_many_times_survive_a_restart);
    tcase_add_test(tcase, an_open_hold_counts_as_spent_after_a_crash_until_it_is_released);
    tcase_add_test(tcase, a_batch_that_fails_leaves_no_count);
    tcase_add_test(tcase, refusals_are_kept_ten_a_minute_and_counted_all);
    tcase_add_test(tcase, a_try_leaves_no_trace);
}

Suite *suite(void)
{
    Suite *all = suite_create("quota");
    TCase *tcase = tcase_create("quota");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    add_counting(tcase);
    add_changing(tcase);
    add_bounds(tcase);
    suite_add_tcase(all, tcase);
    return all;
}
