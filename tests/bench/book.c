/* What the price book costs with everything in it: CPU of the first start's load and of a later
 * one, memory, and a look-up by exact name, by alias, by dated name, and of a name that is not
 * there. `build/release/book_bench FOLDER [ROUNDS]` */
#include "pricing/book.h"
#include "base/clock.h"
#include "pricing/seed.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/txn.h"
#include "tollgate/embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void must(enum tg_status status, const struct err *err)
{
    if (status == TG_OK)
        return;
    (void)fprintf(stderr, "%s\n", err->text);
    exit(EXIT_FAILURE);
}

static const struct tg_embedded_file *file_of(const char *name)
{
    return tg_embedded_find(tg_migrations, tg_migration_count, name);
}

static int64_t seed(struct db *db)
{
    const struct tg_embedded_file *file = file_of("prices.csv");
    const int64_t begin = cpu_ns();
    AUTO(txn) txn = { 0 };
    struct err err = { "" };

    must(txn_begin(&txn, db, &err), &err);
    must(book_seed(db, span_of((const char *)file->bytes, file->len), file->sha256, clock_wall_ms(),
                   &err),
         &err);
    must(txn_commit(&txn, &err), &err);
    return cpu_ns() - begin;
}

/* Ask for every name of the file, `suffix` behind it, `rounds` times. */
static void look_up(const struct book *book, const struct price_list *rows, const char *suffix,
                    int rounds)
{
    static char names[100000][PRICE_MODEL_MAX + 32];
    int64_t found = 0;
    int64_t begin;

    for (size_t i = 0; i < rows->count; i++)
        (void)snprintf(names[i], sizeof(names[i]), "%.*s%s", SPAN_ARG(rows->rows[i].model), suffix);
    begin = cpu_ns();
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < rows->count; i++)
            found += book_match(book, rows->rows[i].provider, span_from(names[i]), NULL) != NULL;
    (void)printf("name%-12s %6.0f ns, found %lld of %lld\n", suffix,
                 (double)(cpu_ns() - begin) / (double)rounds / (double)rows->count,
                 (long long)found / rounds, (long long)rows->count);
}

static void price(const struct book *book, const struct price_list *rows, int rounds)
{
    const int64_t now_ms = clock_wall_ms();
    const int64_t begin = cpu_ns();
    int64_t sum = 0;

    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < rows->count; i++) {
            const struct book_model *model =
                book_match(book, rows->rows[i].provider, rows->rows[i].model, NULL);
            const struct book_query query = { .at_ms = now_ms };
            struct cost_rates rates;

            book_rates(model, &query, &rates);
            sum += rates.rate[TG_INPUT].unit_price_pusd;
        }
    }
    (void)printf("name and all prices %6.0f ns (%lld)\n",
                 (double)(cpu_ns() - begin) / (double)rounds / (double)rows->count,
                 (long long)(sum % 10));
}

int main(int argc, char **argv)
{
    const int rounds = argc > 2 ? atoi(argv[2]) : 20;
    const struct tg_embedded_file *file = file_of("prices.csv");
    char path[4096];
    struct db *db = NULL;
    AUTO_PTR(book) book = NULL;
    AUTO(price_list) rows;
    struct err err = { "" };
    int applied;
    int64_t begin;

    if (argc < 2 || rounds < 1) {
        (void)fputs("usage: book_bench FOLDER [ROUNDS]\n", stderr);
        return 2;
    }
    (void)snprintf(path, sizeof(path), "%s/book_bench.db", argv[1]);
    (void)unlink(path);
    must(db_open(path, DB_WRITE, &db, &err), &err);
    must(migrate_run(db, tg_migrations, tg_migration_count, &applied, &err), &err);
    (void)printf("first start %6.0f ms\n", (double)seed(db) / 1e6);
    (void)printf("later start %6.2f ms\n", (double)seed(db) / 1e6);
    begin = cpu_ns();
    must(book_load(db, &book, &err), &err);
    (void)printf("book built  %6.0f ms, %lld rows, %zu KiB\n", (double)(cpu_ns() - begin) / 1e6,
                 (long long)book_row_count(book), book_bytes(book) / 1024);
    price_list_init(&rows);
    must(seed_parse("prices.csv", span_of((const char *)file->bytes, file->len), &rows, &err),
         &err);
    look_up(book, &rows, "", rounds);
    look_up(book, &rows, "-20311230", rounds);
    look_up(book, &rows, "-unknown", rounds);
    price(book, &rows, rounds);
    db_close(db);
    (void)unlink(path);
    return 0;
}
