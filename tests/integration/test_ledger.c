/* Goal: the book loses no charge, takes none twice, and its sums are those of its rows.
 * Method: a real database below build/, through the writer, as the program does it. */
#include "base/buf.h"
#include "base/id.h"
#include "ledger/charge.h"
#include "store/stmt.h"
#include "support/suites.h"
#include "support/support_book.h"
#include "support/support_vfs.h"

#include <stdlib.h>

static struct support_book book;

static void setup(void)
{
    support_clock_use();
    support_vfs_install();
    support_vfs_use(NULL);
    support_book_setup(&book);
}

static void teardown(void)
{
    support_book_teardown(&book);
}

static int64_t number(const char *sql)
{
    return support_book_number(&book, sql);
}

START_TEST(a_hold_gives_way_to_its_charge)
{
    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    ck_assert_int_eq(number("SELECT sum(amount_nusd) FROM hold"), 1000000);
    ck_assert_int_eq(support_settle_now(&book, 1), TG_OK);
    ck_assert_int_eq(number("SELECT count(*) FROM hold"), 0);
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM charge"), 1001);
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM rollup_day"), 1001);
    ck_assert_int_eq(number("SELECT sum(input) FROM rollup_quarter_hour"), 101);
    support_book_is_sound(&book);
}
END_TEST

START_TEST(a_second_hold_of_an_attempt_is_a_conflict)
{
    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    ck_assert_int_eq(support_hold_now(&book, 1), TG_CONFLICT);
    ck_assert_int_eq(number("SELECT count(*) FROM hold"), 1);
    ck_assert_int_eq(support_settle_now(&book, 1), TG_OK);
}
END_TEST

START_TEST(settling_twice_changes_nothing)
{
    struct ledger_stats stats;
    struct support_settle again;

    support_attempt_now(&book, 1);
    support_settle_init(&book, &again, 1);
    ck_assert_int_eq(support_settle_submit(&book, &again), TG_OK);
    ck_assert_int_eq(support_settle_wait(&again), TG_OK);
    ck_assert(again.job.was_settled_before);
    ck_assert_int_eq(number("SELECT count(*) FROM charge"), 1);
    ck_assert_int_eq(number("SELECT sum(requests) FROM rollup_day"), 1);
    ledger_stats(book.ledger, &stats);
    ck_assert_int_eq(stats.charges, 1);
    ck_assert_int_eq(stats.repeats, 1);
    ck_assert_int_eq(stats.contradicted, 0);
    support_book_is_sound(&book);
}
END_TEST

START_TEST(another_amount_for_a_settled_attempt_is_counted_and_not_taken)
{
    struct ledger_stats stats;
    struct support_settle other;

    support_attempt_now(&book, 1);
    support_settle_init(&book, &other, 1);
    other.job.charge.cost_nusd = 5;
    ck_assert_int_eq(support_settle_submit(&book, &other), TG_OK);
    ck_assert_int_eq(support_settle_wait(&other), TG_OK);
    ledger_stats(book.ledger, &stats);
    ck_assert_int_eq(stats.contradicted, 1);
    ck_assert_int_eq(number("SELECT cost_nusd FROM charge"), 1001);
}
END_TEST

START_TEST(a_bill_without_a_hold_is_posted_and_counted)
{
    struct ledger_stats stats;

    ck_assert_int_eq(support_settle_now(&book, 7), TG_OK);
    ledger_stats(book.ledger, &stats);
    ck_assert_int_eq(stats.lost, 1);
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM charge"), 1007);
    support_book_is_sound(&book);
}
END_TEST

START_TEST(a_cost_above_the_hold_is_flagged_as_an_overrun)
{
    struct support_settle settle;

    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    support_settle_init(&book, &settle, 1);
    settle.job.charge.cost_nusd = settle.job.charge.hold_nusd + 1;
    ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    ck_assert_int_eq(number("SELECT flags FROM charge") & LEDGER_OVERRUN, LEDGER_OVERRUN);
}
END_TEST

START_TEST(counts_beyond_belief_are_cut_and_flagged_not_turned_down)
{
    struct support_settle settle;

    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    support_settle_init(&book, &settle, 1);
    settle.job.charge.usage.count[TG_OUTPUT] = TG_COUNT_MAX + 1;
    settle.job.charge.usage.count[TG_WEB_SEARCH] = -1;
    ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    ck_assert_int_eq(number("SELECT output FROM charge"), TG_COUNT_MAX);
    ck_assert_int_eq(number("SELECT flags FROM charge") & LEDGER_USAGE_DOUBTFUL,
                     LEDGER_USAGE_DOUBTFUL);
    support_book_is_sound(&book);
}
END_TEST

START_TEST(rare_classes_are_kept_and_counted)
{
    struct support_settle settle;

    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    support_settle_init(&book, &settle, 1);
    settle.job.charge.usage.count[TG_WEB_SEARCH] = 3;
    settle.job.charge.usage.count[TG_INPUT_IMAGE] = 85;
    ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    ck_assert_int_eq(
        number("SELECT other_usage = '{\"input_image\":85,\"web_search\":3}' FROM charge"), 1);
    ck_assert_int_eq(number("SELECT media_in FROM rollup_day"), 85);
    support_book_is_sound(&book);
}
END_TEST

START_TEST(prices_are_stored_once_and_readable)
{
    for (int i = 1; i <= 5; i++)
        support_attempt_now(&book, i);
    ck_assert_int_eq(number("SELECT count(*) FROM rate_set"), 1);
    ck_assert_int_eq(number("SELECT rates = '[[\"input\",1,3000000],[\"output\",2,15000000]]' "
                            "FROM rate_set"),
                     1);
    ck_assert_int_eq(number("SELECT count(*) FROM charge WHERE rate_set_id = 1"), 5);
}
END_TEST

START_TEST(an_open_hold_is_charged_in_full_at_the_next_start)
{
    support_attempt_now(&book, 1);
    ck_assert_int_eq(support_hold_now(&book, 2), TG_OK);
    ck_assert_int_eq(support_hold_now(&book, 3), TG_OK);
    support_book_close(&book);
    support_book_open(&book);
    ck_assert_int_eq(book.recovered, 2);
    ck_assert_int_eq(book.last_id, support_attempt(3));
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM charge WHERE outcome = 3"), 2000000);
    ck_assert_int_eq(number("SELECT sum(unreconciled) FROM rollup_day"), 2);
    ck_assert_int_eq(number("SELECT sum(output) FROM charge WHERE outcome = 3"), 1200);
    support_book_is_sound(&book);
    support_book_close(&book);
    support_book_open(&book);
    ck_assert_int_eq(book.recovered, 0);
    ck_assert_int_eq(number("SELECT count(*) FROM charge"), 3);
}
END_TEST

static enum tg_status reconcile(int64_t attempt, enum ledger_reconcile_action action,
                                int64_t amount_nusd)
{
    struct ledger_reconcile_job job;

    ledger_reconcile_job_init(&job, book.ledger);
    job.charge_id = support_attempt(attempt);
    job.adjustment_id = support_attempt(100000 + number("SELECT count(*) FROM charge"));
    job.action = action;
    job.amount_nusd = amount_nusd;
    return writer_call(book.writer, &job.job, &book.err);
}

static void leave_unreconciled(int64_t attempt)
{
    ck_assert_int_eq(support_hold_now(&book, attempt), TG_OK);
    support_book_close(&book);
    support_book_open(&book);
}

static const struct {
    enum ledger_reconcile_action action;
    int64_t amount_nusd;
    int64_t cost_nusd;
    int64_t input;
} reconciliations[] = {
    { LEDGER_RECONCILE_CHARGE, 0, 1000000, 400 },
    { LEDGER_RECONCILE_RELEASE, 0, 0, 0 },
    { LEDGER_RECONCILE_AMOUNT, 250000, 250000, 400 },
    { LEDGER_RECONCILE_AMOUNT, 3000000, 3000000, 400 },
};

START_TEST(reconciling_adds_one_row_that_makes_the_sum_right)
{
    leave_unreconciled(1);
    ck_assert_int_eq(reconcile(1, reconciliations[_i].action, reconciliations[_i].amount_nusd),
                     TG_OK);
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM charge"), reconciliations[_i].cost_nusd);
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM rollup_day"),
                     reconciliations[_i].cost_nusd);
    ck_assert_int_eq(number("SELECT sum(input) FROM rollup_quarter_hour"),
                     reconciliations[_i].input);
    ck_assert_int_eq(number("SELECT sum(unreconciled) FROM rollup_day"), 0);
    ck_assert_int_eq(number("SELECT sum(requests) FROM rollup_day"), 1);
    support_book_is_sound(&book);
    ck_assert_int_eq(reconcile(1, LEDGER_RECONCILE_RELEASE, 0), TG_CONFLICT);
    ck_assert_int_eq(number("SELECT count(*) FROM charge"), 2);
}
END_TEST

START_TEST(a_correction_belongs_to_the_day_of_what_it_corrects)
{
    leave_unreconciled(1);
    ck_assert_int_eq(reconcile(1, LEDGER_RECONCILE_RELEASE, 0), TG_OK);
    ck_assert_int_eq(number("SELECT count(DISTINCT day) FROM rollup_day"), 1);
    ck_assert_int_eq(number("SELECT count(DISTINCT bucket) FROM rollup_quarter_hour"), 1);
}
END_TEST

START_TEST(only_an_unreconciled_charge_can_be_reconciled)
{
    support_attempt_now(&book, 1);
    ck_assert_int_eq(reconcile(1, LEDGER_RECONCILE_RELEASE, 0), TG_CONFLICT);
    ck_assert_int_eq(reconcile(2, LEDGER_RECONCILE_RELEASE, 0), TG_NOT_FOUND);
    ck_assert_int_eq(number("SELECT count(*) FROM charge"), 1);
}
END_TEST

START_TEST(details_are_kept_apart_and_expire_oldest_first)
{
    struct ledger_expire_job job;

    for (int i = 1; i <= 4; i++) {
        struct support_settle settle;

        ck_assert_int_eq(support_hold_now(&book, i), TG_OK);
        support_settle_init(&book, &settle, i);
        if (i != 4)
            settle.job.charge.raw_usage = SPAN("{\"prompt_tokens\":101}");
        ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
        ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    }
    ck_assert_int_eq(number("SELECT count(*) FROM charge_detail"), 3);
    ledger_expire_job_init(&job, book.ledger);
    job.before_ms = id_wall_ms(support_attempt(3));
    ck_assert_int_eq(writer_call(book.writer, &job.job, &book.err), TG_OK);
    ck_assert_int_eq(job.deleted, 2);
    ck_assert_int_eq(number("SELECT charge_id FROM charge_detail"), support_attempt(3));
    ck_assert_int_eq(number("SELECT count(*) FROM charge"), 4);
}
END_TEST

static enum tg_status run_sql(struct db *db, void *context, struct err *err)
{
    return stmt_run_script(db, context, err);
}

static const char *const forbidden[] = {
    "UPDATE charge SET cost_nusd = 0",
    "DELETE FROM charge",
    "REPLACE INTO charge SELECT * FROM charge",
    "UPDATE rate_set SET rates = '[]'",
    "DELETE FROM rate_set",
    "UPDATE charge_detail SET raw_usage = NULL",
    "INSERT INTO charge SELECT 9, call_id, kind, adjusts_id, team_id, key_id, provider_id, "
    "dialect_id, model_id, served_model_id, tier_id, -1, cache_read, cache_write, cache_write_1h, "
    "input_audio, output, output_audio, other_usage, reasoning, prompt_tokens, cost_nusd, "
    "provider_cost_nusd, hold_nusd, rate_set_id, outcome, source, flags, http_status, ttft_ms, "
    "total_ms, request_bytes, answer_bytes FROM charge",
};

START_TEST(what_was_charged_cannot_be_changed_by_sql)
{
    struct support_settle settle;

    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    support_settle_init(&book, &settle, 1);
    settle.job.charge.raw_usage = SPAN("{}");
    ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    ck_assert_int_ne(support_run(&book, run_sql, (void *)forbidden[_i]), TG_OK);
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM charge"), 1001);
    support_book_is_sound(&book);
}
END_TEST

/* Deliver in any order, one to five times each; a few restarts in between. */
START_TEST(deliveries_in_any_order_and_number_charge_once)
{
    enum { ATTEMPTS = 120, ROUNDS = 5 };
    int order[ATTEMPTS * ROUNDS];
    int count = 0;
    int64_t cost_nusd = 0;

    srand(7);
    for (int i = 1; i <= ATTEMPTS; i++) {
        ck_assert_int_eq(support_hold_now(&book, i), TG_OK);
        cost_nusd += 1000 + i;
        for (int k = rand() % ROUNDS; k >= 0; k--)
            order[count++] = i;
    }
    for (int i = count - 1; i > 0; i--) {
        const int j = rand() % (i + 1);
        const int kept = order[i];

        order[i] = order[j];
        order[j] = kept;
    }
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(support_settle_now(&book, order[i]), TG_OK);
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM charge"), cost_nusd);
    support_book_close(&book);
    support_book_open(&book);
    for (int i = 0; i < count; i += 7)
        ck_assert_int_eq(support_settle_now(&book, order[i]), TG_OK);
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM charge"), cost_nusd);
    ck_assert_int_eq(number("SELECT count(*) FROM charge"), ATTEMPTS);
    support_book_is_sound(&book);
}
END_TEST

static void vary(struct support_settle *settle)
{
    struct ledger_charge *charge = &settle->job.charge;

    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        if (rand() % 4 == 0)
            charge->usage.count[class] = rand() % 10000;
    }
    charge->cost_nusd = rand();
    charge->outcome = (enum ledger_outcome)(rand() % 3);
    charge->source = (enum ledger_source)(rand() % 3);
    charge->flags = (uint32_t)(rand() % 2) * LEDGER_UNPRICED;
    if (rand() % 3 == 0)
        charge->call_id = support_attempt(1);
}

/* Random usage over three months, charged in batches; verify compares all sums in another way, and
 * a plain SQL sum in a third. */
START_TEST(rollups_are_the_sums_of_random_charges)
{
    enum { ATTEMPTS = 600, STEP = 12000 };
    static struct support_settle settles[ATTEMPTS];
    struct ledger_verdict verdict;

    srand(11);
    for (int i = 0; i < ATTEMPTS; i++) {
        support_settle_init(&book, &settles[i], 1 + (int64_t)i * STEP);
        vary(&settles[i]);
        ck_assert_int_eq(support_settle_submit(&book, &settles[i]), TG_OK);
    }
    for (int i = 0; i < ATTEMPTS; i++)
        ck_assert_int_eq(support_settle_wait(&settles[i]), TG_OK);
    verdict = support_book_verify(&book);
    ck_assert_int_eq(verdict.charges, ATTEMPTS);
    ck_assert_int_eq(verdict.differences, 0);
    ck_assert_int_eq(number("SELECT sum(cost_nusd) FROM charge"),
                     number("SELECT sum(cost_nusd) FROM rollup_day"));
    ck_assert_int_eq(number("SELECT sum(input) FROM charge"),
                     number("SELECT sum(input) FROM rollup_quarter_hour"));
    ck_assert_int_gt(number("SELECT count(DISTINCT day) FROM rollup_day"), 80);
}
END_TEST

static const char *const damages[] = {
    "UPDATE rollup_day SET cost_nusd = cost_nusd + 1",
    "UPDATE rollup_quarter_hour SET input = input - 1",
    "DELETE FROM rollup_quarter_hour",
    "INSERT INTO rollup_day VALUES (1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
};

/* The check must be able to fail. */
START_TEST(verify_finds_a_sum_that_is_wrong)
{
    support_attempt_now(&book, 1);
    ck_assert_int_eq(support_run(&book, run_sql, (void *)damages[_i]), TG_OK);
    ck_assert_int_eq(support_book_verify(&book).differences, 1);
}
END_TEST

START_TEST(verify_finds_an_attempt_that_ended_twice)
{
    support_attempt_now(&book, 1);
    ck_assert_int_eq(support_hold_now(&book, 1), TG_OK);
    ck_assert_int_eq(support_book_verify(&book).double_ended, 1);
    ck_assert_int_eq(support_book_verify(&book).open_holds, 1);
}
END_TEST

START_TEST(names_of_a_batch_that_is_rolled_back_are_forgotten)
{
    const struct support_vfs_plan broken = {
        .calls = VFS_WRITE, .from = 1, .for_good = true, .disk_full = true
    };
    struct support_settle settle;

    support_attempt_now(&book, 1);
    support_settle_init(&book, &settle, 2);
    settle.job.charge.served_model = SPAN("a-name-not-seen-before");
    support_vfs_use(&broken);
    ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
    support_barrier(&book); /* refused, and behind the settlement */
    ck_assert_int_eq(settle.outcome.deferrals, 1);
    support_vfs_use(NULL);
    support_clock_add_ms(WRITER_RETRY_MS);
    support_barrier(&book);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    ck_assert_int_eq(
        number("SELECT count(*) FROM charge, dimension ON served_model_id = dimension.id "
               "WHERE name = 'a-name-not-seen-before'"),
        1);
    support_book_is_sound(&book);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("ledger");
    TCase *one = tcase_create("book");

    tcase_add_checked_fixture(one, setup, teardown);
    tcase_set_timeout(one, 60);
    tcase_add_test(one, a_hold_gives_way_to_its_charge);
    tcase_add_test(one, a_second_hold_of_an_attempt_is_a_conflict);
    tcase_add_test(one, settling_twice_changes_nothing);
    tcase_add_test(one, another_amount_for_a_settled_attempt_is_counted_and_not_taken);
    tcase_add_test(one, a_bill_without_a_hold_is_posted_and_counted);
    tcase_add_test(one, a_cost_above_the_hold_is_flagged_as_an_overrun);
    tcase_add_test(one, counts_beyond_belief_are_cut_and_flagged_not_turned_down);
    tcase_add_test(one, rare_classes_are_kept_and_counted);
    tcase_add_test(one, prices_are_stored_once_and_readable);
    tcase_add_test(one, an_open_hold_is_charged_in_full_at_the_next_start);
    tcase_add_loop_test(one, reconciling_adds_one_row_that_makes_the_sum_right, 0, 4);
    tcase_add_test(one, a_correction_belongs_to_the_day_of_what_it_corrects);
    tcase_add_test(one, only_an_unreconciled_charge_can_be_reconciled);
    tcase_add_test(one, details_are_kept_apart_and_expire_oldest_first);
    tcase_add_loop_test(one, what_was_charged_cannot_be_changed_by_sql, 0,
                        (int)(sizeof(forbidden) / sizeof(forbidden[0])));
    tcase_add_test(one, deliveries_in_any_order_and_number_charge_once);
    tcase_add_test(one, rollups_are_the_sums_of_random_charges);
    tcase_add_loop_test(one, verify_finds_a_sum_that_is_wrong, 0,
                        (int)(sizeof(damages) / sizeof(damages[0])));
    tcase_add_test(one, verify_finds_an_attempt_that_ended_twice);
    tcase_add_test(one, names_of_a_batch_that_is_rolled_back_are_forgotten);
    suite_add_tcase(all, one);
    return all;
}
