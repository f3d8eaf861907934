/* Goal: no admission takes a limit above its amount, and none is turned down that would fit,
 * however many ask at once. Method: threads that ask, settle and ask again through the writer; each
 * keeps its own sums, with which the limits are compared when all is quiet. HAMMER=1 runs all
 * rounds, without it a share. */
#include "base/rand.h"
#include "support/suites.h"
#include "support/support_quota.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static struct support_book book;

static bool is_long(void)
{
    return getenv("HAMMER") != NULL;
}

static void setup(void)
{
    support_book_setup(&book);
    quota_people(&book);
}

static void teardown(void)
{
    support_book_is_sound(&book);
    support_book_teardown(&book);
}

/* --- fifty at once ------------------------------------------------------------------------------
 */

#define FIFTY 50

struct fifty {
    pthread_barrier_t begin;
    pthread_barrier_t end;
    struct quota_call calls[FIFTY];
    enum tg_status verdicts[FIFTY];
    enum tg_refusal_reason reasons[FIFTY];
    atomic_int next;
    int rounds;
};

static void *ask_each_round(void *context)
{
    struct fifty *fifty = context;
    const int own = atomic_fetch_add(&fifty->next, 1);

    for (int round = 0; round < fifty->rounds; round++) {
        struct quota_call *call = &fifty->calls[own];

        quota_call_init(&book, call, own % QUOTA_KEYS + 1, 60, 40);
        (void)pthread_barrier_wait(&fifty->begin);
        fifty->verdicts[own] = quota_admit(call);
        fifty->reasons[own] = call->job.refusal.reason;
        (void)pthread_barrier_wait(&fifty->end);
        if (fifty->verdicts[own] == TG_OK)
            quota_settle(call, 0, 0);
    }
    return NULL;
}

START_TEST(of_fifty_that_ask_at_once_ten_fit)
{
    static struct fifty fifty;
    const struct quota_limit team = { .scope = LIMIT_TEAM,
                                      .id = 1,
                                      .metric = LIMIT_TOTAL_TOKENS,
                                      .window = PERIOD_TOTAL,
                                      .amount = 1000 };
    const int32_t limit = quota_limit_make(&book, &team);
    pthread_t threads[FIFTY];

    fifty.rounds = is_long() ? 1000 : 40;
    (void)pthread_barrier_init(&fifty.begin, NULL, FIFTY + 1);
    (void)pthread_barrier_init(&fifty.end, NULL, FIFTY + 1);
    for (int i = 0; i < FIFTY; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_each_round, &fifty), 0);
    for (int round = 0; round < fifty.rounds; round++) {
        int admitted = 0;

        (void)pthread_barrier_wait(&fifty.begin);
        (void)pthread_barrier_wait(&fifty.end);
        for (int i = 0; i < FIFTY; i++) {
            admitted += fifty.verdicts[i] == TG_OK ? 1 : 0;
            ck_assert(fifty.verdicts[i] == TG_OK || fifty.verdicts[i] == TG_RATE_LIMITED);
            if (fifty.verdicts[i] != TG_OK)
                ck_assert_int_eq(fifty.reasons[i], TG_REFUSAL_HELD);
        }
        ck_assert_int_eq(admitted, 10);
    }
    for (int i = 0; i < FIFTY; i++)
        (void)pthread_join(threads[i], NULL);
    ck_assert_int_eq(quota_look(&book, limit, 0).held, 0);
    ck_assert_int_eq(quota_look(&book, limit, 0).spent, 0);
}
END_TEST

/* --- three levels, random sizes -----------------------------------------------------------------
 */

#define CROWD           64
#define KEYS            (QUOTA_TEAMS * QUOTA_KEYS)
#define SIZE_MAX_TOKENS 400

struct crowd {
    pthread_barrier_t begin;
    pthread_barrier_t end;
    atomic_int next;
    int rounds;
    _Atomic(int64_t) spent[KEYS + 1]; /* tokens, by key, as the threads have settled them */
    _Atomic(int64_t) admitted;
    _Atomic(int64_t) refused;
};

static int64_t any_up_to(int64_t most)
{
    return (int64_t)rand_below((uint32_t)most) + 1;
}

static void *jostle(void *context)
{
    struct crowd *crowd = context;
    const int own = atomic_fetch_add(&crowd->next, 1);
    const int32_t key = own % KEYS + 1;

    for (int round = 0; round < crowd->rounds; round++) {
        struct quota_call call;
        const int64_t input = any_up_to(SIZE_MAX_TOKENS);
        const int64_t output = any_up_to(SIZE_MAX_TOKENS);
        enum tg_status status;

        (void)pthread_barrier_wait(&crowd->begin);
        quota_call_init(&book, &call, key, input, output);
        status = quota_admit(&call);
        if (status == TG_OK) {
            const int64_t used = any_up_to(output);

            quota_settle(&call, input, used);
            (void)atomic_fetch_add(&crowd->spent[key], input + used);
            (void)atomic_fetch_add(&crowd->admitted, 1);
        } else {
            ck_assert(status == TG_LIMIT_REACHED || status == TG_RATE_LIMITED);
            (void)atomic_fetch_add(&crowd->refused, 1);
        }
        (void)pthread_barrier_wait(&crowd->end);
    }
    return NULL;
}

struct level {
    int32_t limit;
    int first_key;
    int last_key;
    int64_t budget; /* of a round */
};

static int64_t spent_of(const struct crowd *crowd, const struct level *level)
{
    int64_t spent = 0;

    for (int key = level->first_key; key <= level->last_key; key++)
        spent += atomic_load(&crowd->spent[key]);
    return spent;
}

/* What is left goes to one more call, to the token. */
static void take_the_rest(const struct level *levels, int count, int32_t key)
{
    int64_t left = INT64_MAX;
    struct quota_call call;

    for (int i = 0; i < count; i++) {
        const struct admit_count now = quota_look(&book, levels[i].limit, 0);

        if (key >= levels[i].first_key && key <= levels[i].last_key &&
            now.amount - now.spent < left)
            left = now.amount - now.spent;
    }
    quota_call_init(&book, &call, key, left + 1, 0);
    ck_assert_int_ne(quota_admit(&call), TG_OK);
    if (left == 0)
        return;
    quota_call_init(&book, &call, key, left, 0);
    ck_assert_int_eq(quota_admit(&call), TG_OK);
    quota_settle(&call, 0, 0);
}

static void check_round(const struct crowd *crowd, const struct level *levels, int count)
{
    for (int i = 0; i < count; i++) {
        const struct admit_count now = quota_look(&book, levels[i].limit, 0);

        ck_assert_int_eq(now.held, 0);
        ck_assert_int_eq(now.spent, spent_of(crowd, &levels[i]));
        ck_assert_int_le(now.spent, now.amount);
    }
}

static int32_t limit_on(enum limit_scope scope, int id)
{
    const struct quota_limit limit = {
        .scope = scope, .id = id, .metric = LIMIT_TOTAL_TOKENS, .window = PERIOD_TOTAL, .amount = 1
    };

    return quota_limit_make(&book, &limit);
}

START_TEST(a_crowd_overspends_nothing_on_three_levels)
{
    static struct crowd crowd;
    const int64_t demand = CROWD * SIZE_MAX_TOKENS; /* of a round, about */
    struct level levels[1 + QUOTA_TEAMS + KEYS];
    const int count = 1 + QUOTA_TEAMS + KEYS;
    pthread_t threads[CROWD];

    levels[0] = (struct level){ limit_on(LIMIT_ORGANIZATION, 0), 1, KEYS, demand / 5 };
    for (int team = 1; team <= QUOTA_TEAMS; team++)
        levels[team] = (struct level){ limit_on(LIMIT_TEAM, team), (team - 1) * QUOTA_KEYS + 1,
                                       team * QUOTA_KEYS, demand / 5 / QUOTA_TEAMS };
    for (int key = 1; key <= KEYS; key++)
        levels[QUOTA_TEAMS + key] =
            (struct level){ limit_on(LIMIT_KEY, key), key, key, demand / 5 / KEYS };
    crowd.rounds = is_long() ? 10000 : 60;
    (void)pthread_barrier_init(&crowd.begin, NULL, CROWD + 1);
    (void)pthread_barrier_init(&crowd.end, NULL, CROWD + 1);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, jostle, &crowd), 0);
    for (int round = 0; round < crowd.rounds; round++) {
        for (int i = 0; i < count; i++)
            quota_limit_set(&book, levels[i].limit,
                            spent_of(&crowd, &levels[i]) + levels[i].budget);
        (void)pthread_barrier_wait(&crowd.begin);
        (void)pthread_barrier_wait(&crowd.end);
        check_round(&crowd, levels, count);
        take_the_rest(levels, count, round % KEYS + 1);
    }
    for (int i = 0; i < CROWD; i++)
        (void)pthread_join(threads[i], NULL);
    ck_assert_int_gt(atomic_load(&crowd.admitted), crowd.rounds);
    ck_assert_int_gt(atomic_load(&crowd.refused), crowd.rounds * CROWD / 2);
    printf("hammer: %d rounds, %lld admitted, %lld refused, overspend 0\n", crowd.rounds,
           (long long)atomic_load(&crowd.admitted), (long long)atomic_load(&crowd.refused));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("hammer");
    TCase *tcase = tcase_create("hammer");

    tcase_set_timeout(tcase, is_long() ? 3600 : 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, of_fifty_that_ask_at_once_ten_fit);
    tcase_add_test(tcase, a_crowd_overspends_nothing_on_three_levels);
    suite_add_tcase(all, tcase);
    return all;
}
