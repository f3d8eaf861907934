/* Goal: the price book that the program starts with is taken in at once and exactly once, an
 * upgrade leaves overrides and history alone, and every charge is the reference calculator's to the
 * nano-dollar. Method: a database below build/; the recorded vectors; random questions (COUNT of
 * them) that lie on the edges of real rows, answered here and by tests/support/ref_price.py. */
#include "base/clock.h"
#include "base/json.h"
#include "pricing/book.h"
#include "pricing/price.h"
#include "pricing/seed.h"
#include "store/migrate.h"
#include "store/stmt.h"
#include "store/txn.h"
#include "support/suites.h"
#include "tollgate/embedded.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef PRICES_COUNT
#define PRICES_COUNT 20000
#endif

#define WINDOWS_CSV "tests/support/prices_windows.csv"
#define MODIFIERS   "migrations/modifiers.csv"
#define VECTORS     "tests/support/cost_vectors.jsonl"
#define FILE_MAX    ((size_t)4 << 20)

static int64_t at(const char *text)
{
    int64_t ms = 0;

    ck_assert_msg(clock_parse_rfc3339(span_from(text), &ms), "%s", text);
    return ms;
}

static const char *out_path(const char *name)
{
    static char path[2][4096];
    static int next;
    const char *out = getenv("OUT");

    next = 1 - next;
    (void)snprintf(path[next], sizeof(path[next]), "%s/%s", out == NULL ? "build" : out, name);
    return path[next];
}

static void read_file(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "r");

    ck_assert_msg(file != NULL, "%s", path);
    buf_init(text, FILE_MAX);
    for (;;) {
        char *const to = buf_reserve(text, 65536);

        ck_assert_ptr_nonnull(to);

        const size_t len = fread(to, 1, 65536, file);

        buf_commit(text, len);
        if (len == 0)
            break;
    }
    ck_assert_int_eq(fclose(file), 0);
}

static const struct tg_embedded_file *embedded(const char *name)
{
    const struct tg_embedded_file *file = tg_embedded_find(tg_migrations, tg_migration_count, name);

    ck_assert_ptr_nonnull(file);
    return file;
}

static const struct tg_embedded_file *seed_file(void)
{
    return embedded("prices.csv");
}

static struct span text_of_file(const char *name)
{
    return span_of((const char *)embedded(name)->bytes, embedded(name)->len);
}

static struct span seed_text(void)
{
    return text_of_file("prices.csv");
}

/* --- the database ------------------------------------------------------------------------------
 */

static struct db *db;

static void remove_database(void)
{
    (void)unlink(out_path("prices.db")); /* may be missing */
    (void)unlink(out_path("prices.db-wal"));
    (void)unlink(out_path("prices.db-shm"));
}

static void setup(void)
{
    struct err err = { 0 };
    int applied;

    remove_database();
    ck_assert_msg(db_open(out_path("prices.db"), DB_WRITE, &db, &err) == TG_OK, "%s", err.text);
    ck_assert_msg(migrate_run(db, tg_migrations, tg_migration_count, &applied, &err) == TG_OK, "%s",
                  err.text);
}

static void teardown(void)
{
    db_close(db);
    db = NULL;
    remove_database();
}

static void run(const char *sql)
{
    AUTO(txn) txn = { 0 };
    struct err err = { 0 };

    ck_assert_msg(txn_begin(&txn, db, &err) == TG_OK, "%s", err.text);
    ck_assert_msg(stmt_run_script(db, sql, &err) == TG_OK, "%s", err.text);
    ck_assert_msg(txn_commit(&txn, &err) == TG_OK, "%s", err.text);
}

static int64_t number(const char *sql)
{
    AUTO(stmt) stmt = { 0 };
    struct err err = { 0 };
    int64_t value = -1;

    ck_assert_msg(stmt_prepare(&stmt, db, sql, &err) == TG_OK, "%s", err.text);
    ck_assert_msg(stmt_run_int(&stmt, &value, &err) == TG_OK, "%s", err.text);
    return value;
}

/* hash: one letter, for 64 of it */
static enum tg_status seed(const char *text, char hash, const char *now, struct err *err)
{
    AUTO(txn) txn = { 0 };
    char sha256[65] = { 0 };
    enum tg_status status;

    memset(sha256, hash, 64);
    ck_assert_int_eq(txn_begin(&txn, db, err), TG_OK);
    status = book_seed(db, span_from(text), sha256, at(now), err);
    return status == TG_OK ? txn_commit(&txn, err) : status;
}

static struct book *load(void)
{
    struct book *book = NULL;
    struct err err = { 0 };

    ck_assert_msg(book_load(db, &book, &err) == TG_OK, "%s", err.text);
    return book;
}

static int64_t input_pusd(const char *when)
{
    AUTO_PTR(book) book = load();
    const struct book_model *model = book_find(book, SPAN("openai"), SPAN("gpt-x"));
    const struct book_query query = { .at_ms = at(when) };
    struct cost_rates rates;

    if (model == NULL)
        return -1;
    book_rates(model, &query, &rates);
    return rates.rate[TG_INPUT].price_id == 0 ? -1 : rates.rate[TG_INPUT].unit_price_pusd;
}

static int64_t start_us(void)
{
    AUTO(txn) txn = { 0 };
    struct err err = { 0 };
    const int64_t begin_us = clock_monotonic_us();

    ck_assert_int_eq(txn_begin(&txn, db, &err), TG_OK);
    ck_assert_msg(book_seed(db, seed_text(), seed_file()->sha256, at("2026-11-24"), &err) == TG_OK,
                  "%s", err.text);
    ck_assert_msg(txn_commit(&txn, &err) == TG_OK, "%s", err.text);
    return clock_monotonic_us() - begin_us;
}

START_TEST(the_first_start_takes_the_whole_file_and_the_second_nothing)
{
    AUTO(price_list) file;
    struct err err = { 0 };
    int64_t first_us;
    int64_t second_us;

    price_list_init(&file);
    ck_assert_msg(seed_parse("prices.csv", seed_text(), &file, &err) == TG_OK, "%s", err.text);
    first_us = start_us();
    ck_assert_int_eq(number("SELECT count(*) FROM price /* scan */"), (int64_t)file.count);
    second_us = start_us();
    ck_assert_int_eq(number("SELECT count(*) FROM price /* scan */"), (int64_t)file.count);
    ck_assert_int_eq(number("SELECT row_count FROM price_seed /* scan */"), (int64_t)file.count);
    ck_assert_msg(first_us < 1000000 && second_us < 100000, "%" PRId64 " us, then %" PRId64 " us",
                  first_us, second_us);
}
END_TEST

START_TEST(the_sandbox_has_its_prices)
{
    static const char *const models[] = { "echo", "echo-slow" };

    (void)start_us();
    AUTO_PTR(book) book = load();

    for (int i = 0; i < 2; i++) {
        const struct book_query query = { .at_ms = at("2026-11-24") };
        const struct book_model *model = book_find(book, SPAN("sandbox"), span_from(models[i]));
        struct cost_rates rates;

        ck_assert_ptr_nonnull(model);
        book_rates(model, &query, &rates);
        ck_assert_int_eq(rates.rate[TG_INPUT].unit_price_pusd, 1000000);
        ck_assert_int_eq(rates.rate[TG_OUTPUT].unit_price_pusd, 2000000);
    }
}
END_TEST

#define HEADER SEED_HEADER "\n"
#define ROW(model, price, from, until)                                                             \
    "openai," model ",input,token," price ",standard,0,,," from "," until ",2026-11-24,,page,\n"

START_TEST(an_upgrade_closes_opens_and_leaves_overrides_alone)
{
    struct err err = { 0 };

    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "10", "", "") ROW("gone", "5", "", "")
                              ROW("kept", "3", "", ""),
                          'a', "2026-03-01", &err),
                     TG_OK);
    run("INSERT INTO price (provider, model, component, unit, unit_price_pusd, valid_from_ms, "
        "origin)"
        " VALUES ('openai', 'gone', 'input', 'token', 4, 0, 'override'),"
        " ('openai', 'own', 'input', 'token', 4, 0, 'override')");
    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "8", "", "") ROW("kept", "3", "", "")
                              ROW("new", "1", "2026-09-15", ""),
                          'b', "2026-09-01", &err),
                     TG_OK);
    ck_assert_int_eq(number("SELECT count(*) FROM price /* scan */"), 7);
    ck_assert_int_eq(number("SELECT count(*) FROM price WHERE origin = 'override'"
                            " AND valid_until_ms = 9223372036854775807 /* scan */"),
                     2);
    ck_assert_int_eq(number("SELECT valid_until_ms FROM price WHERE model = 'gone'"
                            " AND origin = 'seed' /* scan */"),
                     at("2026-09-01"));
    ck_assert_int_eq(number("SELECT count(*) FROM price WHERE model = 'kept' /* scan */"), 1);
    ck_assert_int_eq(number("SELECT valid_from_ms FROM price WHERE model = 'new' /* scan */"),
                     at("2026-09-15"));
    ck_assert_int_eq(input_pusd("2026-08-31T23:59:59.999Z"), 10);
    ck_assert_int_eq(input_pusd("2026-09-01"), 8);
}
END_TEST

START_TEST(an_older_program_brings_its_file_back)
{
    struct err err = { 0 };

    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "10", "", ""), 'a', "2026-03-01", &err), TG_OK);
    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "8", "", ""), 'b', "2026-04-01", &err), TG_OK);
    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "10", "", ""), 'a', "2026-05-01", &err), TG_OK);
    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "9", "", ""), 'a', "2026-05-02", &err), TG_OK);
    ck_assert_int_eq(input_pusd("2026-03-15"), 10);
    ck_assert_int_eq(input_pusd("2026-04-15"), 8);
    ck_assert_int_eq(input_pusd("2026-06-01"),
                     10); /* the fourth was not read: its hash was known */
    ck_assert_int_eq(number("SELECT count(*) FROM price_seed /* scan */"), 2);
}
END_TEST

START_TEST(a_clock_that_steps_back_does_not_hide_the_latest_file)
{
    struct err err = { 0 };

    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "10", "", ""), 'a', "2026-03-01", &err), TG_OK);
    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "8", "", ""), 'b', "2026-02-01", &err), TG_OK);
    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "7", "", ""), 'b', "2026-04-01", &err), TG_OK);
    ck_assert_int_eq(input_pusd("2026-05-01"), 8);
}
END_TEST

START_TEST(a_broken_file_changes_nothing)
{
    struct err err = { 0 };

    ck_assert_int_eq(seed(HEADER ROW("gpt-x", "10", "", ""), 'a', "2026-03-01", &err), TG_OK);
    ck_assert_int_eq(
        seed(HEADER ROW("gpt-x", "8", "", "") ROW("gpt-y", "1e3", "", ""), 'b', "2026-09-01", &err),
        TG_INVALID);
    ck_assert_str_eq(err.text,
                     "prices.csv line 3: pico_usd must be a whole number up to 5000000000000");
    ck_assert_int_eq(input_pusd("2026-09-02"), 10);
    ck_assert_int_eq(number("SELECT count(*) FROM price_seed /* scan */"), 1);
}
END_TEST

static const struct {
    const char *sql;
    const char *message;
} broken_rows[] = {
    { "('openai', 'gpt-x', 'inputs', 'token', 1, 'standard', '')",
      "price 1: component is not a known one" },
    { "('openai', 'gpt-x', 'input', 'tokens', 1, 'standard', '')",
      "price 1: unit is not a known one" },
    { "('openai', 'gpt-x', 'input', 'token', 1, 'turbo', '')", "price 1: tier is not a known one" },
    { "('openai', 'gpt-x', 'input', 'token', 5000000000001, 'standard', '')",
      "price 1: pico_usd must be a whole number up to 5000000000000" },
    { "('openai', 'gpt-x', 'input', 'token', 1, 'standard', 'noon')",
      "price 1: utc_window must be HH:MM-HH:MM, more joined by +, then maybe /Mon-Fri; or else" },
};

START_TEST(a_broken_row_stops_the_load)
{
    char sql[512];
    struct err err = { 0 };
    struct book *book = NULL;

    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO price (provider, model, component, unit, unit_price_pusd, tier,"
                   " utc_window, origin) SELECT *, 'override' FROM (VALUES %s)",
                   broken_rows[_i].sql);
    run(sql);
    ck_assert_int_eq(book_load(db, &book, &err), TG_CORRUPT);
    ck_assert_str_eq(err.text, broken_rows[_i].message);
    ck_assert_ptr_null(book);
}
END_TEST

/* --- the reference calculator ------------------------------------------------------------------
 */

static int64_t cost_nusd(const struct book *book, const struct book_query *query,
                         const struct tg_usage *usage, struct cost *ret_cost)
{
    const struct book_model *model = book_find(book, query->provider, query->model);
    struct cost_rates rates;

    ck_assert_msg(model != NULL, "%.*s", SPAN_ARG(query->model));
    book_rates(model, query, &rates);
    ck_assert_int_eq(cost_of(usage, &rates, ret_cost), TG_OK);
    return ret_cost->nusd;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    ck_assert_msg(text != NULL, "%s", name);
    return text;
}

/* Whole numbers below 2^53, exact in cJSON. 0 where there is none. */
static int64_t number_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : 0;
}

/* All tokens of the prompt, whatever the dialect calls them. */
static int64_t prompt_tokens_of(const cJSON *usage)
{
    return number_of(usage, "prompt_tokens") + number_of(usage, "promptTokenCount") +
           number_of(usage, "input_tokens") + number_of(usage, "cache_read_input_tokens") +
           number_of(usage, "cache_creation_input_tokens");
}

#define PARTS_MAX 4

/* A part of an answer that one model made. */
struct part {
    struct tg_usage usage;
    struct cost_rates rates;
};

static void read_part(const struct book *book, const struct book_query *query, const cJSON *buckets,
                      struct part *part)
{
    const struct book_model *model = book_find(book, query->provider, query->model);

    ck_assert_msg(model != NULL, "%.*s", SPAN_ARG(query->model));
    *part = (struct part){ 0 };
    book_rates(model, query, &part->rates);
    for (const cJSON *item = buckets->child; item != NULL; item = item->next) {
        enum tg_class class;

        ck_assert(price_class_from_name(span_from(item->string), &class));
        part->usage.count[class] = number_of(buckets, item->string);
    }
}

static void check_vector(const struct book *book, const cJSON *vector)
{
    const cJSON *buckets = cJSON_GetObjectItemCaseSensitive(vector, "buckets");
    const cJSON *usage = cJSON_GetObjectItemCaseSensitive(vector, "usage");
    const cJSON *iteration = cJSON_IsArray(buckets)
                                 ? cJSON_GetObjectItemCaseSensitive(usage, "iterations")->child
                                 : usage;
    const int64_t pusd = number_of(vector, "pico_usd");
    struct book_query query = {
        .provider = span_from(text_of(vector, "provider")),
        .tier = span_from(text_of(vector, "tier")),
        .at_ms = at(text_of(vector, "at")),
    };
    struct part parts[PARTS_MAX];
    struct cost_part costed[PARTS_MAX];
    struct cost cost;
    int count = 0;

    for (; iteration != NULL && count < PARTS_MAX; iteration = iteration->next) {
        const cJSON *model = cJSON_GetObjectItemCaseSensitive(iteration, "model");

        query.model =
            span_from(cJSON_IsString(model) ? model->valuestring : text_of(vector, "model"));
        query.prompt_tokens = prompt_tokens_of(iteration);
        read_part(book, &query,
                  cJSON_IsArray(buckets) ? cJSON_GetArrayItem(buckets, count) : buckets,
                  &parts[count]);
        costed[count] = (struct cost_part){ &parts[count].usage, &parts[count].rates };
        count++;
        if (!cJSON_IsArray(buckets))
            break;
    }
    ck_assert_int_eq(pusd % 1000, 0);
    ck_assert_int_eq(cost_of_parts(costed, count, &cost), TG_OK);
    ck_assert_msg(cost.nusd == pusd / 1000, "%s: %" PRId64, text_of(vector, "id"), cost.nusd);
    ck_assert(!cost.is_unpriced);
}

START_TEST(every_vector_costs_what_it_says)
{
    AUTO(buf) text = { 0 };
    struct span rest;
    struct span line;
    int checked = 0;

    (void)start_us();
    AUTO_PTR(book) book = load();

    read_file(VECTORS, &text);
    rest = buf_span(&text);
    while (span_cut(&rest, '\n', &line)) {
        AUTO_JSON vector = NULL;

        ck_assert_int_eq(json_parse(line, &vector, NULL), TG_OK);
        check_vector(book, vector);
        checked++;
    }
    ck_assert_int_eq(checked, 31);
}
END_TEST

static uint64_t random_state = 1;

static uint64_t random_bits(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return random_state >> 33;
}

static int64_t random_below(int64_t bound)
{
    return (int64_t)(random_bits() % (uint64_t)bound);
}

/* Of every size from 0 to 2^29 alike. */
static int64_t random_count(void)
{
    return (int64_t)(random_bits() & ((UINT64_C(1) << random_below(30)) - 1));
}

/* Half of them within a millisecond or a token of an edge of the row. */
static int64_t near(int64_t edge, int64_t other)
{
    const int64_t value = random_below(2) == 0 ? edge - 1 + random_below(3) : other;

    return value < 0 ? 0 : value;
}

static int64_t random_instant(const struct price *row)
{
    const int64_t any = at("2024-01-01") + random_below(at("2028-01-01") - at("2024-01-01"));
    const int64_t edge = random_below(2) == 0 || row->valid_until_ms == PRICE_FOREVER
                             ? row->valid_from_ms
                             : row->valid_until_ms;

    if (row->utc_window.len > 0)
        return any - any % 3600000 - 1 + random_below(3);
    return edge == PRICE_ALWAYS ? any : near(edge, any);
}

/* The classes that the reference counts as we do: it prices time by its unit, and pixels as images.
 */
static bool is_comparable(enum tg_class class)
{
    return class != TG_IMAGE_IN && (class < TG_AUDIO_IN || class > TG_VIDEO_OUT);
}

/* What is asked of both. */
struct question {
    struct book_query query;
    struct tg_usage usage;
};

static void count_class(struct question *question, enum tg_class class)
{
    if (is_comparable(class))
        question->usage.count[class] = random_count();
}

/* Of every fourth row the region that it is for, or one that may have a modifier. */
static struct span random_region(const struct price *row)
{
    static const char *const regions[] = { "us", "eu", "global", "nowhere" };
    const struct span prefix = SPAN("region=");

    if (span_starts_with(row->variant, prefix) && random_below(4) != 0)
        return span_from_offset(row->variant, prefix.len);
    return random_below(4) == 0 ? span_from(regions[random_below(4)]) : SPAN_EMPTY;
}

static struct question random_question(const struct price_list *rows)
{
    const size_t chosen = (size_t)random_below((int64_t)rows->count);
    const struct price *row = &rows->rows[chosen];
    const enum price_tier tier =
        random_below(2) == 0 ? row->tier : (enum price_tier)random_below(PRICE_TIER_COUNT);
    struct question question = {
        .query = { .provider = row->provider,
                   .model = row->model,
                   .tier = span_from(price_tier_name(tier)),
                   .region = random_region(row),
                   .prompt_tokens = near(row->ctx_min, random_below(600000)),
                   .at_ms = random_instant(row) },
    };

    count_class(&question, row->class);
    for (int i = 0; i < 3; i++) { /* rows near by are often of the same model */
        const size_t near_by = chosen + (size_t)random_below(16);

        count_class(&question, rows->rows[near_by < rows->count ? near_by : chosen].class);
    }
    if (random_below(4) == 0)
        count_class(&question, (enum tg_class)random_below(TG_CLASS_COUNT));
    return question;
}

static void put_question(struct buf *line, const struct question *question)
{
    struct json_writer json;
    char when[CLOCK_RFC3339_SIZE];

    clock_format_rfc3339(question->query.at_ms, when);
    json_begin(&json, line);
    json_open_object(&json, NULL);
    json_text(&json, "provider", question->query.provider);
    json_text(&json, "model", question->query.model);
    json_string(&json, "at", when);
    json_text(&json, "tier", question->query.tier);
    json_text(&json, "region", question->query.region);
    json_int(&json, "ctx", question->query.prompt_tokens);
    json_open_object(&json, "counts");
    for (int i = 0; i < TG_CLASS_COUNT; i++)
        if (question->usage.count[i] > 0)
            json_int(&json, tg_class_name((enum tg_class)i), question->usage.count[i]);
    json_close_object(&json);
    json_close_object(&json);
    buf_put_byte(line, '\n');
}

static void write_questions(const struct price_list *rows, int64_t count, const char *path)
{
    FILE *file = fopen(path, "w");
    AUTO(buf) line;

    ck_assert_msg(file != NULL, "%s", path);
    buf_init(&line, 65536);
    random_state = 1;
    for (int64_t i = 0; i < count; i++) {
        const struct question question = random_question(rows);

        buf_clear(&line);
        put_question(&line, &question);
        ck_assert_int_eq(buf_status(&line), TG_OK);
        ck_assert_uint_eq(fwrite(line.data + line.head, 1, buf_len(&line), file), buf_len(&line));
    }
    ck_assert_int_eq(fclose(file), 0);
}

static void check_answers(const struct book *book, const struct price_list *rows, int64_t count,
                          const char *path)
{
    FILE *file = fopen(path, "r");
    int64_t charged = 0;

    ck_assert_msg(file != NULL, "%s", path);
    random_state = 1;
    for (int64_t i = 0; i < count; i++) {
        const struct question question = random_question(rows);
        char line[256];
        char ours[256];
        struct cost cost;

        (void)cost_nusd(book, &question.query, &question.usage, &cost);
        (void)snprintf(ours, sizeof(ours),
                       "{\"nusd\": %" PRId64 ", \"unpriced\": %d, \"fallback\": %d}\n", cost.nusd,
                       cost.is_unpriced, cost.has_fallback);
        ck_assert_msg(fgets(line, sizeof(line), file) != NULL, "%" PRId64 " answers", i);
        ck_assert_msg(strcmp(line, ours) == 0, "question %" PRId64 ": %s, not %s", i + 1, ours,
                      line);
        charged += cost.nusd > 0 ? 1 : 0;
    }
    ck_assert_int_gt(charged, count / 2); /* the questions were worth asking */
    ck_assert_int_eq(fclose(file), 0);
}

static void add_all(struct price_list *rows, const struct price_list *more)
{
    for (size_t i = 0; i < more->count; i++)
        ck_assert_int_eq(price_list_add(rows, &more->rows[i]), TG_OK);
}

START_TEST(random_questions_have_the_answers_of_the_reference)
{
    const char *const count_text = getenv("COUNT");
    const int64_t count = count_text == NULL ? PRICES_COUNT : strtoll(count_text, NULL, 10);
    AUTO(price_list) rows;
    AUTO(price_list) windows;
    AUTO(buf) windows_text = { 0 };
    AUTO_PTR(book) book = NULL;
    const struct book_rules rules = { .modifiers_csv = text_of_file("modifiers.csv") };
    char command[16384];

    price_list_init(&rows);
    price_list_init(&windows);
    read_file(WINDOWS_CSV, &windows_text);
    ck_assert_int_eq(seed_parse("prices.csv", seed_text(), &rows, NULL), TG_OK);
    ck_assert_int_eq(seed_parse(WINDOWS_CSV, buf_span(&windows_text), &windows, NULL), TG_OK);
    add_all(&rows, &windows);
    ck_assert_int_eq(book_build(&rows, &book, NULL), TG_OK);
    ck_assert_int_eq(book_add_rules(book, &rules, NULL), TG_OK);
    for (int i = 0; i < 9; i++) /* few rows, but intricate: ask them more often */
        add_all(&rows, &windows);
    write_questions(&rows, count, out_path("prices_questions.ndjson"));
    (void)snprintf(command, sizeof(command),
                   "python3 tests/support/ref_price.py " MODIFIERS
                   " migrations/prices.csv " WINDOWS_CSV " < %s > %s",
                   out_path("prices_questions.ndjson"), out_path("prices_answers.ndjson"));
    ck_assert_int_eq(system(command), 0);
    check_answers(book, &rows, count, out_path("prices_answers.ndjson"));
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("prices");
    TCase *database = tcase_create("database");
    TCase *reference = tcase_create("reference");

    tcase_add_checked_fixture(database, setup, teardown);
    tcase_add_test(database, the_first_start_takes_the_whole_file_and_the_second_nothing);
    tcase_add_test(database, the_sandbox_has_its_prices);
    tcase_add_test(database, an_upgrade_closes_opens_and_leaves_overrides_alone);
    tcase_add_test(database, an_older_program_brings_its_file_back);
    tcase_add_test(database, a_clock_that_steps_back_does_not_hide_the_latest_file);
    tcase_add_test(database, a_broken_file_changes_nothing);
    tcase_add_loop_test(database, a_broken_row_stops_the_load, 0,
                        sizeof(broken_rows) / sizeof(broken_rows[0]));
    tcase_add_test(database, every_vector_costs_what_it_says);
    suite_add_tcase(s, database);
    tcase_set_timeout(reference, 600);
    tcase_add_test(reference, random_questions_have_the_answers_of_the_reference);
    suite_add_tcase(s, reference);
    return s;
}
