/* Goal: whatever the disk does, and whenever the process ends, nothing that was acknowledged is
 * lost, nothing is charged twice, and the sums are those of the rows. Method: a fixed script runs
 * in a child process above a layer that counts the calls to the disk. One run counts them; then
 * each call in turn fails, or ends the process, in a run of its own. What the child was promised
 * stands in shared memory; the parent opens the file that is left and compares. */
#include "store/stmt.h"
#include "support/suites.h"
#include "support/support_book.h"
#include "support/support_vfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ATTEMPTS = 8, KILLED = 9, GAVE_UP = 3 };

/* What the script was told; written by the child. */
struct promises {
    bool is_held[ATTEMPTS + 1];
    bool is_settled[ATTEMPTS + 1];
    bool is_submitted[ATTEMPTS + 1];
    bool is_over; /* the script ran to its end */
    int64_t calls;
};

static struct promises *promised;
static struct support_book book;
static char template_path[BOOK_PATH_MAX + 16];

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 20];
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    size_t len;

    ck_assert(in != NULL && out != NULL);
    len = fread(bytes, 1, sizeof(bytes), in);
    ck_assert(len > 0 && len < sizeof(bytes));
    ck_assert_int_eq(fwrite(bytes, 1, len, out), len);
    ck_assert_int_eq(fclose(in), 0);
    ck_assert_int_eq(fclose(out), 0);
}

static void setup(void)
{
    support_clock_use();
    support_vfs_install();
    support_vfs_use(NULL);
    promised =
        mmap(NULL, sizeof(*promised), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(promised != MAP_FAILED);
    support_book_place(&book);
    (void)snprintf(template_path, sizeof(template_path), "%s/template", book.folder);
    ck_assert_int_eq(support_book_try_open(&book, /* with_writer= */ false), TG_OK);
    {
        int left = 0;

        ck_assert_int_eq(db_checkpoint(book.db, DB_CHECKPOINT_TRUNCATE, &left, &book.err), TG_OK);
    }
    support_book_close(&book);
    copy_file(book.path, template_path);
}

static void teardown(void)
{
    support_book_remove(&book);
    (void)munmap(promised, sizeof(*promised));
}

/* Wait for a settlement, moving the clock from retry to retry. */
static enum tg_status settle_patiently(struct support_settle *settle)
{
    for (int tries = 0; settle->outcome.answers == 0 && tries < 20; tries++) {
        support_barrier(&book);
        if (settle->outcome.answers == 0)
            support_clock_add_ms(WRITER_RETRY_MS);
    }
    return settle->outcome.answers > 0 ? settle->outcome.status : TG_AGAIN;
}

static void settle(int attempt)
{
    static struct support_settle settles[ATTEMPTS + 1];

    support_settle_init(&book, &settles[attempt], attempt);
    settles[attempt].job.charge.raw_usage = SPAN("{\"total_tokens\":3}");
    promised->is_submitted[attempt] = true;
    if (support_settle_submit(&book, &settles[attempt]) == TG_OK)
        promised->is_settled[attempt] = settle_patiently(&settles[attempt]) == TG_OK;
}

/* Holds, settlements of most of them in batches of several sizes, a checkpoint, a clean stop. */
static void script(void)
{
    if (support_book_try_open(&book, /* with_writer= */ true) != TG_OK)
        _exit(GAVE_UP);
    for (int i = 1; i <= 4; i++)
        promised->is_held[i] = support_hold_now(&book, i) == TG_OK;
    for (int i = 1; i <= 3; i++) {
        if (promised->is_held[i])
            settle(i);
    }
    for (int i = 5; i <= ATTEMPTS; i++) {
        promised->is_held[i] = support_hold_now(&book, i) == TG_OK;
        if (promised->is_held[i] && i != ATTEMPTS)
            settle(i);
    }
    support_book_close_in(&book, 10);
    promised->is_over = true;
    promised->calls = support_vfs_count();
    _exit(0);
}

static int run_script(const struct support_vfs_plan *plan)
{
    pid_t child;
    int status = 0;

    memset(promised, 0, sizeof(*promised));
    copy_file(template_path, book.path);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const int null = open("/dev/null", O_WRONLY);

        (void)dup2(null, STDERR_FILENO);
        support_vfs_use(plan);
        script();
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "the script died of signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* Costs of the attempts as they stand in the file; -1: no row. */
static void read_costs(int64_t costs_nusd[ATTEMPTS + 1])
{
    AUTO_PTR(db) db = NULL;
    AUTO(stmt) stmt = { 0 };

    ck_assert_int_eq(db_open(book.path, DB_READ, &db, &book.err), TG_OK);
    ck_assert_int_eq(
        stmt_prepare(&stmt, db, "SELECT cost_nusd FROM charge WHERE id = ?1", &book.err), TG_OK);
    for (int i = 1; i <= ATTEMPTS; i++) {
        stmt_bind_int(&stmt, 1, support_attempt(i));
        costs_nusd[i] = -1;
        ck_assert_int_eq(stmt_run_int(&stmt, &costs_nusd[i], &book.err), TG_OK);
    }
}

static void check_attempt(int attempt, int64_t cost_nusd)
{
    const bool is_billed = cost_nusd == 1000 + attempt;
    const bool is_recovered = cost_nusd == 1000000;

    if (promised->is_settled[attempt])
        ck_assert(is_billed);
    else if (promised->is_held[attempt])
        ck_assert(is_recovered || (is_billed && promised->is_submitted[attempt]));
    else
        ck_assert(is_recovered || cost_nusd == -1);
}

/* Start again on what is left, as an operator would. */
static void check_rest(void)
{
    int64_t costs_nusd[ATTEMPTS + 1];

    support_vfs_use(NULL);
    support_book_open(&book);
    read_costs(costs_nusd);
    for (int i = 1; i <= ATTEMPTS; i++)
        check_attempt(i, costs_nusd[i]);
    support_attempt_now(&book, ATTEMPTS + 1);
    support_book_is_sound(&book);
    support_book_close(&book);
    ck_assert_int_eq(support_book_number(&book, "SELECT integrity_check = 'ok' FROM "
                                                "pragma_integrity_check"),
                     1);
    (void)unlink(book.path);
}

static int64_t count_calls(unsigned int calls)
{
    const struct support_vfs_plan plan = { .calls = calls };

    ck_assert_int_eq(run_script(&plan), 0);
    ck_assert(promised->is_over);
    for (int i = 1; i <= ATTEMPTS; i++)
        ck_assert(promised->is_settled[i] == (i != 4 && i != ATTEMPTS));
    check_rest();
    return promised->calls;
}

static const unsigned int kinds[] = { VFS_READ,     VFS_WRITE, VFS_SYNC,
                                      VFS_TRUNCATE, VFS_OPEN,  VFS_SHARE };
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

START_TEST(each_call_to_the_disk_may_fail_once)
{
    const int64_t calls = count_calls(kinds[_i]);

    ck_assert_int_gt(calls, 0);
    for (int64_t i = 1; i <= calls; i++) {
        const struct support_vfs_plan plan = { .calls = kinds[_i], .from = i };
        const int exit_status = run_script(&plan);

        ck_assert_msg(exit_status == 0 || exit_status == GAVE_UP || exit_status == WRITER_EXIT_SYNC,
                      "call %lld of kind %d: exit status %d", (long long)i, _i, exit_status);
        check_rest();
    }
}
END_TEST

START_TEST(each_write_may_be_the_last_that_finds_room)
{
    const int64_t calls = count_calls(VFS_WRITE);

    for (int64_t i = 1; i <= calls; i++) {
        const struct support_vfs_plan plan = {
            .calls = VFS_WRITE, .from = i, .for_good = true, .disk_full = true
        };

        (void)run_script(&plan);
        check_rest();
    }
}
END_TEST

/* A failed sync must end the process, and no later commit may be acknowledged. */
START_TEST(a_failed_sync_of_a_commit_ends_the_process)
{
    const int64_t calls = count_calls(VFS_SYNC);
    int ended = 0;

    for (int64_t i = 1; i <= calls; i++) {
        const struct support_vfs_plan plan = { .calls = VFS_SYNC, .from = i };

        ended += run_script(&plan) == WRITER_EXIT_SYNC ? 1 : 0;
        check_rest();
    }
    ck_assert_int_ge(ended, ATTEMPTS);
}
END_TEST

START_TEST(the_process_may_end_at_each_change_of_the_disk)
{
    const bool half_way = _i == 1;
    const int64_t calls = count_calls(VFS_CHANGES);

    ck_assert_int_gt(calls, 40);
    for (int64_t i = 1; i <= calls; i++) {
        const struct support_vfs_plan plan = {
            .calls = VFS_CHANGES, .from = i, .exit_status = KILLED, .exits_half_way = half_way
        };

        ck_assert_int_eq(run_script(&plan), KILLED);
        check_rest();
    }
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("torture");
    TCase *one = tcase_create("disk");

    tcase_add_checked_fixture(one, setup, teardown);
    tcase_set_timeout(one, 300);
    tcase_add_loop_test(one, each_call_to_the_disk_may_fail_once, 0, KINDS);
    tcase_add_test(one, each_write_may_be_the_last_that_finds_room);
    tcase_add_test(one, a_failed_sync_of_a_commit_ends_the_process);
    tcase_add_loop_test(one, the_process_may_end_at_each_change_of_the_disk, 0, 2);
    suite_add_tcase(all, one);
    return all;
}
