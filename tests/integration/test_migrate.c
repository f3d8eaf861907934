/* Goal: a database is at one version or the next, never between, and only of what this program
 * knows. Method: the embedded migrations and made-up ones on real files. migrations/schema.sql is
 * compared with what they make; SCHEMA_OUT=FILE writes it instead (`make schema`). */
#include "store/migrate.h"
#include "store/stmt.h"
#include "store/txn.h"
#include "support/suites.h"
#include "support/support_book.h"
#include "support/support_vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define FILE_OF(name, hash, sql)                                                                   \
    {                                                                                              \
        name, "application/sql", hash, (const unsigned char *)(sql), sizeof(sql) - 1               \
    }

static struct support_book book;
static struct db *db;
static struct err err;

static const struct tg_embedded_file two[] = {
    FILE_OF("0001_create_a.sql", HASH_A, "-- why\nCREATE TABLE a (x INTEGER) STRICT;\n-- end\n"),
    FILE_OF("0002_create_b.sql", HASH_A, "CREATE TABLE b (x INTEGER) STRICT;"),
    FILE_OF("prices.csv", HASH_A, "provider,model\n"),
};

static void setup(void)
{
    support_vfs_install();
    support_vfs_use(NULL);
    support_book_place(&book);
    err.text[0] = '\0';
    ck_assert_int_eq(db_open(book.path, DB_WRITE, &db, &err), TG_OK);
}

static void teardown(void)
{
    db_close(db);
    support_book_remove(&book);
}

static enum tg_status migrate(const struct tg_embedded_file *files, size_t count, int *ret_applied)
{
    return migrate_run(db, files, count, ret_applied, &err);
}

START_TEST(what_is_missing_runs_and_what_has_run_does_not)
{
    int applied = -1;

    ck_assert_int_eq(migrate(two, 1, &applied), TG_OK);
    ck_assert_int_eq(applied, 1);
    ck_assert_int_eq(migrate(two, 3, &applied), TG_OK);
    ck_assert_int_eq(applied, 1);
    ck_assert_int_eq(migrate(two, 3, &applied), TG_OK);
    ck_assert_int_eq(applied, 0);
    ck_assert_int_eq(support_book_number(&book, "SELECT user_version FROM pragma_user_version"), 2);
    ck_assert_int_eq(support_book_number(&book, "SELECT application_id FROM pragma_application_id"),
                     DB_APPLICATION_ID);
    ck_assert_int_eq(support_book_number(&book,
                                         "SELECT count(*) FROM migration WHERE "
                                         "applied_ms > 1700000000000 AND sha256 = '" HASH_A "'"),
                     2);
}
END_TEST

START_TEST(a_migration_that_has_changed_stops_the_start)
{
    struct tg_embedded_file changed[2] = { two[0], two[1] };
    int applied = 0;

    ck_assert_int_eq(migrate(two, 2, &applied), TG_OK);
    changed[0].sha256 = HASH_B;
    ck_assert_int_eq(migrate(changed, 2, &applied), TG_STALE);
    ck_assert_ptr_nonnull(strstr(err.text, "0001_create_a.sql has changed"));
}
END_TEST

START_TEST(a_newer_database_stops_the_start)
{
    int applied = 0;

    ck_assert_int_eq(migrate(two, 2, &applied), TG_OK);
    ck_assert_int_eq(migrate(two, 1, &applied), TG_STALE);
    ck_assert_ptr_nonnull(strstr(err.text, "at version 2, this program knows 1"));
}
END_TEST

START_TEST(a_file_of_another_program_is_left_alone)
{
    int applied = 0;

    AUTO(txn) txn = { 0 };

    ck_assert_int_eq(migrate(two, 2, &applied), TG_OK);
    ck_assert_int_eq(txn_begin(&txn, db, &err), TG_OK);
    ck_assert_int_eq(stmt_run_script(db, "PRAGMA application_id=5", &err), TG_OK);
    ck_assert_int_eq(txn_commit(&txn, &err), TG_OK);
    ck_assert_int_eq(migrate(two, 2, &applied), TG_CORRUPT);
}
END_TEST

START_TEST(a_list_with_a_gap_is_refused)
{
    int applied = 0;

    ck_assert_int_eq(migrate(two + 1, 1, &applied), TG_INTERNAL);
}
END_TEST

START_TEST(a_migration_that_fails_leaves_the_version_before_it)
{
    const struct tg_embedded_file bad[] = {
        two[0],
        FILE_OF("0002_break.sql", HASH_A, "CREATE TABLE b (x INTEGER); CREATE TABLE a (y TEXT);"),
    };
    int applied = 0;

    ck_assert_int_eq(migrate(bad, 2, &applied), TG_INTERNAL);
    ck_assert_ptr_nonnull(strstr(err.text, "migration 0002_break.sql: "));
    ck_assert_int_eq(support_book_number(&book, "SELECT user_version FROM pragma_user_version"), 1);
    ck_assert_int_eq(migrate(two, 2, &applied), TG_OK);
    ck_assert_int_eq(applied, 1);
}
END_TEST

/* Run the program's own migrations in a child that ends at one change of the disk. */
static int migrate_and_end_at(int64_t change)
{
    const struct support_vfs_plan plan = {
        .calls = VFS_CHANGES, .from = change, .exit_status = 9, .exits_half_way = true
    };
    const pid_t child = fork();
    int status = 0;
    int applied = 0;

    if (child == 0) {
        support_vfs_use(&plan);
        if (db_open(book.path, DB_WRITE, &db, &err) != TG_OK)
            _exit(1);
        _exit(migrate(tg_migrations, tg_migration_count, &applied) == TG_OK ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(an_interrupted_migration_is_done_anew)
{
    int64_t at = 0;
    int exit_status;
    int applied = 0;

    do {
        teardown();
        support_vfs_use(NULL);
        support_book_place(&book);
        exit_status = migrate_and_end_at(++at);
        ck_assert_int_ne(exit_status, 1);
        ck_assert_int_eq(db_open(book.path, DB_WRITE, &db, &err), TG_OK);
        ck_assert_msg(migrate(tg_migrations, tg_migration_count, &applied) == TG_OK, "%s",
                      err.text);
        ck_assert_int_eq(support_book_number(&book, "SELECT user_version FROM pragma_user_version"),
                         support_book_number(&book, "SELECT count(*) FROM migration"));
    } while (exit_status == 9);
    ck_assert_int_gt(at, 20);
}
END_TEST

static void dump(struct buf *out)
{
    int applied = 0;

    ck_assert_msg(migrate(tg_migrations, tg_migration_count, &applied) == TG_OK, "%s", err.text);
    buf_init(out, 1 << 20);
    buf_put_text(out, "-- Written by `make schema`: what the migrations add up to.\n\n");
    ck_assert_int_eq(migrate_dump(db, out, &err), TG_OK);
}

START_TEST(schema_sql_is_what_the_migrations_make)
{
    const char *write_to = getenv("SCHEMA_OUT");
    FILE *file = fopen(write_to != NULL ? write_to : "migrations/schema.sql",
                       write_to != NULL ? "wb" : "rb");
    AUTO(buf) made = { 0 };
    static char kept[1 << 20];
    size_t len;

    ck_assert_ptr_nonnull(file);
    dump(&made);
    if (write_to != NULL) {
        ck_assert_int_eq(fwrite(made.data + made.head, 1, buf_len(&made), file), buf_len(&made));
        ck_assert_int_eq(fclose(file), 0);
        return;
    }
    len = fread(kept, 1, sizeof(kept), file);
    (void)fclose(file);
    ck_assert_msg(span_equal(buf_span(&made), span_of(kept, len)),
                  "migrations/schema.sql is out of date: make schema");
}
END_TEST

START_TEST(every_table_is_strict_and_every_column_says_what_it_is)
{
    int applied = 0;

    ck_assert_int_eq(migrate(tg_migrations, tg_migration_count, &applied), TG_OK);
    ck_assert_int_eq(support_book_number(&book,
                                         "SELECT count(*) FROM pragma_table_list WHERE schema = "
                                         "'main' AND type = 'table' AND strict = 0 AND "
                                         "name NOT LIKE 'sqlite_%'"),
                     0);
    ck_assert_int_eq(
        support_book_number(&book, "SELECT count(*) FROM pragma_table_list AS t, "
                                   "pragma_table_info(t.name) AS c WHERE t.schema = 'main' AND "
                                   "c.type NOT IN ('INTEGER', 'TEXT', 'BLOB') AND t.name NOT LIKE "
                                   "'sqlite_%'"),
        0);
}
END_TEST

/* Only store/txn.c commits. */
START_TEST(a_commit_from_elsewhere_aborts)
{
    ck_assert_int_eq(stmt_run_script(db, "CREATE TABLE t (x INTEGER)", &err), TG_OK);
}
END_TEST

START_TEST(only_the_end_of_a_price_can_be_changed_and_only_to_earlier)
{
    static const struct {
        const char *sql;
        bool is_allowed;
    } changes[] = {
        { "UPDATE price SET valid_until_ms = 5000", true },
        { "UPDATE price SET unit_price_pusd = 0", false },
        { "UPDATE price SET valid_from_ms = 1", false },
        { "UPDATE price SET dissent = 'K=1'", false },
        { "UPDATE price SET valid_until_ms = 9223372036854775807", true },
        { "DELETE FROM price", false },
    };
    int applied = 0;

    ck_assert_int_eq(migrate(tg_migrations, tg_migration_count, &applied), TG_OK);
    ck_assert_int_eq(stmt_run_script(db, "BEGIN", &err), TG_OK);
    ck_assert_int_eq(stmt_run_script(db,
                                     "INSERT INTO price (provider, model, component, unit, "
                                     "unit_price_pusd, origin) VALUES ('openai', 'gpt', 'input', "
                                     "'token', 7, 'seed')",
                                     &err),
                     TG_OK);
    ck_assert_int_eq(stmt_run_script(db, changes[_i].sql, &err) == TG_OK, changes[_i].is_allowed);
    ck_assert_int_eq(stmt_run_script(db, "ROLLBACK", &err), TG_OK);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("migrate");
    TCase *one = tcase_create("versions");
    TCase *schema = tcase_create("schema");

    tcase_add_checked_fixture(one, setup, teardown);
    tcase_set_timeout(one, 120);
    tcase_add_test(one, what_is_missing_runs_and_what_has_run_does_not);
    tcase_add_test(one, a_migration_that_has_changed_stops_the_start);
    tcase_add_test(one, a_newer_database_stops_the_start);
    tcase_add_test(one, a_file_of_another_program_is_left_alone);
    tcase_add_test(one, a_list_with_a_gap_is_refused);
    tcase_add_test(one, a_migration_that_fails_leaves_the_version_before_it);
    tcase_add_test(one, an_interrupted_migration_is_done_anew);
    tcase_add_test_raise_signal(one, a_commit_from_elsewhere_aborts, SIGABRT);
    tcase_add_loop_test(one, only_the_end_of_a_price_can_be_changed_and_only_to_earlier, 0, 6);
    suite_add_tcase(all, one);
    tcase_add_checked_fixture(schema, setup, teardown);
    tcase_add_test(schema, schema_sql_is_what_the_migrations_make);
    tcase_add_test(schema, every_table_is_strict_and_every_column_says_what_it_is);
    suite_add_tcase(all, schema);
    return all;
}
