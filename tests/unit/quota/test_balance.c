/* Goal: the counts in memory are what calls hold and have spent, whatever becomes of the batch, the
 * limits and the periods. Method: a balance without a database, on minutes of UTC; each expectation
 * is worked out by hand beside it. */
#include "quota/balance.h"

#include "base/id.h"
#include "base/try.h"
#include "policy/calendar.h"
#include "support/suites.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define MINUTE_MS    INT64_C(60000)
#define T0           (INT64_C(29924640) * MINUTE_MS) /* where a minute begins */

static struct balance *balance;
static struct calendar *minutes;
static struct calendar *forever;

static struct calendar *open_calendar(enum period_window window)
{
    const struct period_rule rule = { .window = window, .week_start = 1, .anchor_day = 1 };
    struct calendar *calendar = NULL;
    struct err err = { "" };

    ck_assert_int_eq(
        calendar_open(NULL, &(struct calendar_choice){ "UTC", &rule }, T0, &calendar, &err), TG_OK);
    return calendar;
}

static void setup(void)
{
    minutes = open_calendar(PERIOD_MINUTE);
    forever = open_calendar(PERIOD_TOTAL);
    ck_assert_int_eq(balance_new(&balance), TG_OK);
}

static void teardown(void)
{
    balance_free(balance);
    calendar_free(minutes);
    calendar_free(forever);
}

/* A hard limit of the organization, numbered. */
static struct limit limit_of(int32_t id, enum limit_metric metric, int64_t amount)
{
    return (struct limit){
        .id = id,
        .metric = metric,
        .has_window = metric != LIMIT_PARALLEL,
        .rule = { .window = PERIOD_TOTAL },
        .amount = amount,
        .is_hard = true,
    };
}

static void put(const struct limit *limit, int64_t now_ms)
{
    const bool is_minute = limit->rule.window == PERIOD_MINUTE;

    ck_assert_int_eq(balance_put(balance, limit, is_minute ? minutes : forever, now_ms), TG_OK);
}

static void put_minute(int32_t id, int64_t amount, int64_t now_ms)
{
    struct limit limit = limit_of(id, LIMIT_TOTAL_TOKENS, amount);

    limit.rule.window = PERIOD_MINUTE;
    put(&limit, now_ms);
}

static struct balance_call call_at(int64_t wall_ms, int number)
{
    return (struct balance_call){
        .attempt_id = id_floor_of(wall_ms) + number, .team_id = 1, .key_id = 1, .model = SPAN("m")
    };
}

static struct balance_need need_of(int64_t proven, int64_t used)
{
    return (struct balance_need){
        .proven = { .input_tokens = proven, .requests = 1, .cost_nusd = proven },
        .used = { .input_tokens = used, .requests = 1, .cost_nusd = used },
    };
}

static enum tg_status ask(const struct balance_call *call, int64_t tokens)
{
    const struct balance_need need = need_of(tokens, tokens);
    struct balance_refusal refusal;

    TRY(balance_check(balance, call, &need, &refusal));
    return balance_hold(balance, call, &need, 0);
}

static void hold(const struct balance_call *call, int64_t tokens)
{
    ck_assert_int_eq(ask(call, tokens), TG_OK);
    balance_committed(balance);
}

/* Post the charge of an attempt; ret: whether it had a hold. */
static bool charge(const struct balance_call *call, int64_t tokens)
{
    const struct ledger_posting posting = {
        .attempt_id = call->attempt_id,
        .is_attempt = true,
        .team_id = call->team_id,
        .key_id = call->key_id,
        .model = call->model,
        .amounts = { .input_tokens = tokens, .requests = 1, .cost_nusd = tokens },
    };

    return balance_post(balance, &posting, NULL);
}

static void keep(void *context, const struct balance_count *count)
{
    *(struct balance_count *)context = *count;
}

static void is_count(int32_t limit_id, int64_t now_ms, int64_t spent, int64_t held)
{
    struct balance_count count = { 0 };

    ck_assert(balance_look(balance, limit_id, now_ms, keep, &count));
    ck_assert_int_eq(count.spent, spent);
    ck_assert_int_eq(count.held, held);
}

/* --- a batch's fate -----------------------------------------------------------------------------
 */

START_TEST(a_hold_of_a_batch_that_fails_is_gone)
{
    const struct limit limit = limit_of(1, LIMIT_TOTAL_TOKENS, 100);
    const struct balance_call call = call_at(T0, 1);

    put(&limit, T0);
    ck_assert_int_eq(ask(&call, 60), TG_OK);
    is_count(1, T0, 0, 60);
    balance_rolled_back(balance);
    is_count(1, T0, 0, 0);
    ck_assert_uint_eq(balance_open_count(balance), 0);
    hold(&call, 100); /* the same attempt may come again */
    is_count(1, T0, 0, 100);
}
END_TEST

START_TEST(a_charge_of_a_batch_that_fails_finds_its_hold_again)
{
    const struct limit limit = limit_of(1, LIMIT_TOTAL_TOKENS, 100);
    const struct balance_call call = call_at(T0, 1);

    put(&limit, T0);
    hold(&call, 60);
    for (int failed = 0; failed < 3; failed++) {
        ck_assert(charge(&call, 40));
        is_count(1, T0, 40, 0);
        balance_rolled_back(balance);
        is_count(1, T0, 0, 60);
    }
    ck_assert(charge(&call, 40));
    balance_committed(balance);
    is_count(1, T0, 40, 0);
    ck_assert_uint_eq(balance_open_count(balance), 0);
}
END_TEST

START_TEST(a_limit_that_goes_stays_for_the_holds_in_it)
{
    const struct limit limit = limit_of(1, LIMIT_TOTAL_TOKENS, 100);
    const struct balance_call call = call_at(T0, 1);

    put(&limit, T0);
    hold(&call, 60);
    balance_remove(balance, 1);
    ck_assert(!balance_has(balance, 1));
    ck_assert(charge(&call, 40));
    balance_rolled_back(balance);
    ck_assert(charge(&call, 40));
    balance_committed(balance);
    put(&limit, T0); /* none of the old one is in it */
    is_count(1, T0, 0, 0);
}
END_TEST

/* --- changes under open holds -------------------------------------------------------------------
 */

/* What an attempt holds at a learned bound is given back as it was taken, though the limit has
 * become strict in between, or is no longer. */
START_TEST(a_change_of_strictness_leaves_open_holds_alone)
{
    static const bool strict_first[] = { false, true };
    struct limit limit = limit_of(1, LIMIT_TOTAL_TOKENS, 10000);
    const struct balance_call call = call_at(T0, 1);
    const struct balance_need need = need_of(8000, 2500);

    limit.is_strict = strict_first[_i];
    put(&limit, T0);
    ck_assert_int_eq(balance_hold(balance, &call, &need, 0), TG_OK);
    balance_committed(balance);
    limit.is_strict = !limit.is_strict;
    put(&limit, T0);
    ck_assert(charge(&call, 2000));
    balance_committed(balance);
    is_count(1, T0, 2000, 0);
}
END_TEST

START_TEST(a_new_limit_takes_in_what_is_open)
{
    const struct limit tokens = limit_of(1, LIMIT_TOTAL_TOKENS, 100);
    const struct limit parallel = limit_of(2, LIMIT_PARALLEL, 2);
    const struct balance_call first = call_at(T0, 1);
    const struct balance_call second = call_at(T0, 2);
    const struct balance_call third = call_at(T0, 3);

    hold(&first, 60);
    hold(&second, 60);
    put(&tokens, T0);
    put(&parallel, T0);
    is_count(1, T0, 0, 120); /* above its amount: nothing is admitted */
    is_count(2, T0, 0, 2);
    ck_assert_int_eq(ask(&third, 1), TG_LIMIT_REACHED);
    ck_assert(charge(&first, 10));
    balance_committed(balance);
    is_count(1, T0, 10, 60);
    hold(&third, 30);
    is_count(2, T0, 0, 2);
}
END_TEST

/* --- periods ------------------------------------------------------------------------------------
 */

START_TEST(a_late_charge_counts_where_it_was_admitted)
{
    const struct balance_call call = call_at(T0, 1);

    put_minute(1, 100, T0);
    hold(&call, 60);
    for (int minute = 1; minute <= 5; minute++) {
        const struct balance_call later = call_at(T0 + minute * MINUTE_MS, 1);

        hold(&later, 100); /* all of that minute's */
        ck_assert(charge(&later, 100));
        balance_committed(balance);
    }
    ck_assert(charge(&call, 60));
    balance_committed(balance);
    is_count(1, T0 + 5 * MINUTE_MS, 100, 0);
}
END_TEST

/* Counts are loaded anew while a call is open whose minute is over. */
START_TEST(holds_of_a_period_that_is_over_are_taken_over)
{
    const int64_t now = T0 + 10 * MINUTE_MS;
    const struct limit total = limit_of(2, LIMIT_TOTAL_TOKENS, 100);
    const struct balance_call call = call_at(T0, 1);
    struct balance *old = balance;

    put_minute(1, 100, T0);
    put(&total, T0);
    hold(&call, 60);
    ck_assert_int_eq(balance_new(&balance), TG_OK);
    put_minute(1, 100, now);
    put(&total, now);
    ck_assert_int_eq(balance_take_holds(balance, old), TG_OK);
    balance_free(old);
    is_count(1, now, 0, 0);
    is_count(2, now, 0, 60);
    ck_assert(charge(&call, 40));
    balance_committed(balance);
    is_count(1, now, 0, 0);
    is_count(2, now, 40, 0);
}
END_TEST

/* An admission that comes behind the end of a period that nobody remembers. */
START_TEST(what_comes_too_late_is_no_refusal_and_no_business_of_a_soft_limit)
{
    const int64_t now = T0 + 10 * MINUTE_MS;
    const struct balance_call late = call_at(T0, 1);
    struct limit limit = limit_of(1, LIMIT_TOTAL_TOKENS, 100);

    limit.rule.window = PERIOD_MINUTE;
    put(&limit, now);
    ck_assert_int_eq(ask(&late, 1), TG_OVERLOADED);
    limit.is_hard = false;
    put(&limit, now);
    hold(&late, 1);
    is_count(1, now, 0, 0);
    ck_assert(charge(&late, 1));
    balance_committed(balance);
    is_count(1, now, 0, 0);
}
END_TEST

/* --- sizes --------------------------------------------------------------------------------------
 */

#define HUGE INT64_C(9000000000000000000)

START_TEST(a_sum_of_holds_never_overflows)
{
    struct limit limit = limit_of(1, LIMIT_COST, 100);
    const struct balance_call first = call_at(T0, 1);
    const struct balance_call second = call_at(T0, 2);

    limit.is_hard = false;
    put(&limit, T0);
    hold(&first, HUGE);
    ck_assert_int_eq(ask(&second, HUGE), TG_OVERLOADED);
    is_count(1, T0, 0, HUGE);
    ck_assert_uint_eq(balance_open_count(balance), 1);
    ck_assert(charge(&first, 0));
    balance_committed(balance);
    hold(&second, HUGE);
}
END_TEST

START_TEST(each_of_many_keys_counts_alone)
{
    struct limit each = limit_of(1, LIMIT_TOTAL_TOKENS, 10);

    each.scope = LIMIT_TEAM;
    each.team_id = 1;
    each.is_each_key = true;
    put(&each, T0);
    for (int turn = 0; turn < 2; turn++) {
        for (int32_t key = 1; key <= 3000; key++) {
            struct balance_call call = call_at(T0, turn * 3000 + key);

            call.key_id = key;
            ck_assert_int_eq(ask(&call, 6), turn == 0 ? TG_OK : TG_LIMIT_REACHED);
            balance_committed(balance);
        }
    }
    ck_assert_uint_eq(balance_open_count(balance), 3000);
}
END_TEST

/* --- thresholds ---------------------------------------------------------------------------------
 */

START_TEST(a_threshold_of_a_batch_that_fails_is_told_again)
{
    struct limit limit = limit_of(1, LIMIT_TOTAL_TOKENS, 100);
    const struct balance_call call = call_at(T0, 1);
    struct balance_event event;

    limit.thresholds[0] = 50;
    limit.thresholds[1] = 80;
    limit.threshold_count = 2;
    put(&limit, T0);
    hold(&call, 60);
    ck_assert(!balance_next_event(balance, &event));
    for (int turn = 0; turn < 2; turn++) {
        ck_assert(charge(&call, 60));
        ck_assert(balance_next_event(balance, &event));
        ck_assert_int_eq(event.threshold, 50);
        ck_assert_int_eq(event.spent, 60);
        ck_assert(!balance_next_event(balance, &event));
        if (turn == 0)
            balance_rolled_back(balance);
        else
            balance_committed(balance);
    }
    ck_assert(!balance_next_event(balance, &event));
}
END_TEST

/* --- what fits ----------------------------------------------------------------------------------
 */

/* Rows of a limit in money that allows a lower maximum: 100 input tokens, prices in pico-USD. */
static const struct {
    int64_t amount;
    int64_t input_pusd;
    int64_t output_pusd;
    int64_t fixed_nusd;
    int64_t fits; /* of 1,000,000 output tokens; below 0: none */
} fits[] = {
    { 1100, 1000, 1000, 0, 1000 }, { 1100, 1000, 1000, 100, 900 }, { 100, 1000, 1000, 0, 0 },
    { 99, 1000, 1000, 0, -1 },     { 100, 1000, 1000, 1, -1 },     { 101, 1001, 500, 0, 0 },
    { 1000, 0, 3000, 0, 333 },     { 1000, 1000, 7, 0, 128571 },   { 10, 1, 1000, 0, 9 },
    { INT64_C(5), 0, 1000, 5, 0 },
};

START_TEST(the_most_that_fits_is_what_the_money_buys)
{
    struct limit limit = limit_of(1, LIMIT_COST, fits[_i].amount);
    const struct balance_price price = { fits[_i].input_pusd, fits[_i].output_pusd,
                                         fits[_i].fixed_nusd };
    const struct balance_need need = {
        .proven = { .input_tokens = 100, .output_tokens = 1000000, .cost_nusd = HUGE },
        .used = { .input_tokens = 100, .output_tokens = 1000000, .cost_nusd = HUGE },
    };
    const struct balance_call call = call_at(T0, 1);

    limit.may_clamp = true;
    put(&limit, T0);
    ck_assert_int_eq(balance_fit(balance, &call, &need, &price), fits[_i].fits);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("quota/balance");
    TCase *tcase = tcase_create("balance");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_hold_of_a_batch_that_fails_is_gone);
    tcase_add_test(tcase, a_charge_of_a_batch_that_fails_finds_its_hold_again);
    tcase_add_test(tcase, a_limit_that_goes_stays_for_the_holds_in_it);
    tcase_add_loop_test(tcase, a_change_of_strictness_leaves_open_holds_alone, 0, 2);
    tcase_add_test(tcase, a_new_limit_takes_in_what_is_open);
    tcase_add_test(tcase, a_late_charge_counts_where_it_was_admitted);
    tcase_add_test(tcase, holds_of_a_period_that_is_over_are_taken_over);
    tcase_add_test(tcase, what_comes_too_late_is_no_refusal_and_no_business_of_a_soft_limit);
    tcase_add_test(tcase, a_sum_of_holds_never_overflows);
    tcase_add_test(tcase, each_of_many_keys_counts_alone);
    tcase_add_test(tcase, a_threshold_of_a_batch_that_fails_is_told_again);
    tcase_add_loop_test(tcase, the_most_that_fits_is_what_the_money_buys, 0, COUNT(fits));
    suite_add_tcase(all, tcase);
    return all;
}
