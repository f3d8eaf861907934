/* Goal: a reader sees one state of the book, and cannot stay for ever.
 * Method: a pool beside a writer that goes on; the clock is the test's. */
#include "store/reader.h"
#include "store/stmt.h"
#include "store/txn.h"
#include "support/suites.h"
#include "support/support_book.h"

#include <pthread.h>
#include <stdatomic.h>

static struct support_book book;
static struct reader_pool *pool;
static struct err err;

static void setup(void)
{
    support_clock_use();
    support_book_setup(&book);
    ck_assert_int_eq(reader_pool_new(book.path, 2, &pool, &err), TG_OK);
}

static void teardown(void)
{
    reader_pool_free(pool);
    support_book_teardown(&book);
}

static int64_t count_charges(struct reader *reader)
{
    struct stmt *stmt = NULL;
    int64_t count = -1;

    ck_assert_int_eq(stmt_use(reader->db, "SELECT count(*) FROM charge /* scan */", &stmt, &err),
                     TG_OK);
    ck_assert_int_eq(stmt_run_int(stmt, &count, &err), TG_OK);
    return count;
}

START_TEST(a_stay_is_one_snapshot)
{
    AUTO(reader) reader = { 0 };

    support_attempt_now(&book, 1);
    ck_assert_int_eq(reader_enter(&reader, pool, &err), TG_OK);
    ck_assert_int_eq(count_charges(&reader), 1);
    support_attempt_now(&book, 2);
    ck_assert_int_eq(count_charges(&reader), 1);
    ck_assert_int_eq(reader_renew(&reader, &err), TG_OK);
    ck_assert_int_eq(count_charges(&reader), 2);
}
END_TEST

START_TEST(a_reader_cannot_write)
{
    AUTO(reader) reader = { 0 };

    ck_assert_int_eq(reader_enter(&reader, pool, &err), TG_OK);
    ck_assert_int_eq(stmt_run_script(reader.db, "DELETE FROM hold /* scan */", &err), TG_IO);
}
END_TEST

START_TEST(a_query_past_the_deadline_ends)
{
    AUTO(reader) reader = { 0 };
    AUTO(stmt) stmt = { 0 };
    int64_t count = 0;

    ck_assert_int_eq(reader_enter(&reader, pool, &err), TG_OK);
    ck_assert_int_eq(stmt_prepare(&stmt, reader.db,
                                  "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                                  "LIMIT 1000000000) SELECT count(*) FROM n /* scan */",
                                  &err),
                     TG_OK);
    support_clock_add_ms(READER_DEADLINE_MS + 1);
    ck_assert_int_eq(stmt_run_int(&stmt, &count, &err), TG_OVERLOADED);
    ck_assert_ptr_nonnull(strstr(err.text, "took too long"));
    ck_assert_int_eq(reader_renew(&reader, &err), TG_OK);
    ck_assert_int_eq(count_charges(&reader), 0);
}
END_TEST

START_TEST(a_reader_that_stays_does_not_stop_the_book)
{
    AUTO(reader) reader = { 0 };
    struct writer_stats stats;
    static char raw[LEDGER_RAW_USAGE_MAX];

    memset(raw, 'x', sizeof(raw));
    ck_assert_int_eq(reader_enter(&reader, pool, &err), TG_OK);
    ck_assert_int_eq(count_charges(&reader), 0);
    for (int i = 1; i <= 600; i++) {
        struct support_settle settle;

        support_settle_init(&book, &settle, i);
        settle.job.charge.raw_usage = span_of(raw, sizeof(raw));
        ck_assert_int_eq(support_settle_submit(&book, &settle), TG_OK);
        ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    }
    support_barrier(&book);
    writer_stats(book.writer, &stats);
    ck_assert_int_gt(stats.wal_pages, DB_CHECKPOINT_PAGES);
    ck_assert_int_lt(stats.checkpoints, 10); /* not one a batch */
    ck_assert_int_eq(count_charges(&reader), 0);
    reader_leave(&reader);
    ck_assert_int_eq(support_book_number(&book, "SELECT count(*) FROM charge"), 600);
}
END_TEST

static void *run_attempts(void *context)
{
    atomic_bool *is_over = context;

    for (int i = 1; i <= 300; i++)
        support_attempt_now(&book, i);
    atomic_store(is_over, true);
    return NULL;
}

START_TEST(in_every_snapshot_the_sums_are_those_of_the_charges)
{
    atomic_bool is_over = false;
    struct ledger_verdict verdict = { 0 };
    pthread_t thread;
    int audits = 0;

    ck_assert_int_eq(pthread_create(&thread, NULL, run_attempts, &is_over), 0);
    while (!atomic_load(&is_over)) {
        AUTO(reader) reader = { 0 };

        ck_assert_int_eq(reader_enter(&reader, pool, &err), TG_OK);
        ck_assert_int_eq(ledger_verify(reader.db, &verdict, &err), TG_OK);
        ck_assert_int_eq(verdict.differences, 0);
        ck_assert_int_eq(verdict.double_ended, 0);
        ck_assert_int_le(verdict.open_holds, 1);
        audits++;
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_gt(audits, 10);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("reader");
    TCase *one = tcase_create("pool");

    tcase_add_checked_fixture(one, setup, teardown);
    tcase_set_timeout(one, 60);
    tcase_add_test(one, a_stay_is_one_snapshot);
    tcase_add_test(one, a_reader_cannot_write);
    tcase_add_test(one, a_query_past_the_deadline_ends);
    tcase_add_test(one, a_reader_that_stays_does_not_stop_the_book);
    tcase_add_test(one, in_every_snapshot_the_sums_are_those_of_the_charges);
    suite_add_tcase(all, one);
    return all;
}
