/* Goal: a price file is read exactly or refused with the line and the remedy, and a newer file
 * changes the rows of an installation so that from now on they say what the file says, and what was
 * charged before can still be explained. Method: small files and one wrong line each; upgrades by
 * hand for each kind of change; random chains of files against books built from the files alone. */
#include "pricing/seed.h"

#include "base/clock.h"
#include "pricing/book.h"
#include "support/suites.h"

#include <stdio.h>

#define HEADER SEED_HEADER "\n"

static int64_t at(const char *text)
{
    int64_t ms = 0;

    ck_assert_msg(clock_parse_rfc3339(span_from(text), &ms), "%s", text);
    return ms;
}

/* The list keeps the text that its rows point into. */
static void parse(struct price_list *list, const char *text)
{
    struct err err = { 0 };
    struct span kept;

    price_list_init(list);
    ck_assert_int_eq(price_list_copy(list, span_from(text), &kept), TG_OK);
    ck_assert_msg(seed_parse("prices.csv", kept, list, &err) == TG_OK, "%s", err.text);
}

START_TEST(reads_every_column)
{
    AUTO(price_list) list;

    parse(&list,
          HEADER "openai,gpt-x,cache_write_1h,token,3625,priority,272001,region=eu,"
                 "22:30-02:00/Mon-Fri,2026-01-01,2026-02-01,2026-11-24,OGL,page+rounded,K=1");
    ck_assert_uint_eq(list.count, 1);

    const struct price *price = &list.rows[0];

    ck_assert_int_eq(price->id, 2);
    ck_assert(span_equal(price->provider, SPAN("openai")));
    ck_assert(span_equal(price->model, SPAN("gpt-x")));
    ck_assert_int_eq(price->class, TG_CACHE_WRITE_1H);
    ck_assert_int_eq(price->unit, PRICE_TOKEN);
    ck_assert_int_eq(price->unit_price_pusd, 3625);
    ck_assert_int_eq(price->tier, PRICE_PRIORITY);
    ck_assert_int_eq(price->ctx_min, 272001);
    ck_assert(span_equal(price->variant, SPAN("region=eu")));
    ck_assert(span_equal(price->utc_window, SPAN("22:30-02:00/Mon-Fri")));
    ck_assert_int_eq(price->valid_from_ms, at("2026-01-01T00:00:00Z"));
    ck_assert_int_eq(price->valid_until_ms, at("2026-02-01T00:00:00Z"));
    ck_assert(span_equal(price->as_of, SPAN("2026-11-24")));
    ck_assert(span_equal(price->sources, SPAN("OGL")));
    ck_assert(span_equal(price->status, SPAN("page+rounded")));
    ck_assert(span_equal(price->dissent, SPAN("K=1")));
    ck_assert(!price->is_override);
}
END_TEST

START_TEST(an_empty_date_is_open)
{
    AUTO(price_list) list;

    parse(&list, HEADER "openai,gpt-x,input,token,1,standard,0,,,,,2026-11-24,,page,\n");
    ck_assert_int_eq(list.rows[0].valid_from_ms, PRICE_ALWAYS);
    ck_assert_int_eq(list.rows[0].valid_until_ms, PRICE_FOREVER);
}
END_TEST

static const struct {
    const char *model; /* the field as it is written */
    const char *value;
} quotings[] = {
    { "gpt-x", "gpt-x" },     { "\"gpt-x\"", "gpt-x" },   { "\"a,b\"", "a,b" },
    { "\"a\"\"b\"", "a\"b" }, { "\"\"\"a\"", "\"a" },     { "\"a\"\"\"", "a\"" },
    { " a ", " a " },         { "\xc3\xa9", "\xc3\xa9" },
};

START_TEST(reads_quoted_fields)
{
    for (size_t i = 0; i < sizeof(quotings) / sizeof(quotings[0]); i++) {
        char text[512];
        AUTO(price_list) list;

        (void)snprintf(text, sizeof(text),
                       SEED_HEADER
                       "\r\nopenai,%s,input,token,1,standard,0,,,,,2026-11-24,,page,\"\"\r\n",
                       quotings[i].model);
        parse(&list, text);
        ck_assert_uint_eq(list.count, 1);
        ck_assert(span_equal(list.rows[0].model, span_from(quotings[i].value)));
        ck_assert_uint_eq(list.rows[0].dissent.len, 0);
    }
}
END_TEST

START_TEST(a_file_without_rows_is_valid)
{
    AUTO(price_list) list;

    parse(&list, SEED_HEADER);
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

#define GOOD "openai,gpt-x,input,token,1,standard,0,,,,,2026-11-24,,page,\n"

static const struct {
    const char *line; /* the third */
    const char *message;
} wrong_lines[] = {
    { "\n", "1 fields, not 15" },
    { "openai,gpt-y,input,token,1,standard,0,,,,,2026-11-24,,page\n", "14 fields, not 15" },
    { "openai,gpt-y,input,token,1,standard,0,,,,,2026-11-24,,page,,\n", "16 fields, not 15" },
    { "OpenAI,gpt-y,input,token,1,standard,0,,,,,2026-11-24,,page,\n",
      "provider must be 1 to 63 of a-z, 0-9 and -" },
    { ",gpt-y,input,token,1,standard,0,,,,,2026-11-24,,page,\n",
      "provider must be 1 to 63 of a-z, 0-9 and -" },
    { "openai,,input,token,1,standard,0,,,,,2026-11-24,,page,\n",
      "model must be 1 to 200 printable bytes" },
    { "openai,a\tb,input,token,1,standard,0,,,,,2026-11-24,,page,\n",
      "model must be 1 to 200 printable bytes" },
    { "openai,gpt-y,inputs,token,1,standard,0,,,,,2026-11-24,,page,\n",
      "component must be one of the price book's (input, output, cache_read, ...)" },
    { "openai,gpt-y,input,tokens,1,standard,0,,,,,2026-11-24,,page,\n",
      "unit must be token, image, pixel, char, call, page, second or hour" },
    { "openai,gpt-y,input,token,1.5,standard,0,,,,,2026-11-24,,page,\n",
      "pico_usd must be a whole number up to 5000000000000" },
    { "openai,gpt-y,input,token,-1,standard,0,,,,,2026-11-24,,page,\n",
      "pico_usd must be a whole number up to 5000000000000" },
    { "openai,gpt-y,input,token,,standard,0,,,,,2026-11-24,,page,\n",
      "pico_usd must be a whole number up to 5000000000000" },
    { "openai,gpt-y,input,token,5000000000001,standard,0,,,,,2026-11-24,,page,\n",
      "pico_usd must be a whole number up to 5000000000000" },
    { "openai,gpt-y,input,token,1,,0,,,,,2026-11-24,,page,\n",
      "tier must be batch, flex, standard, priority or fast" },
    { "openai,gpt-y,input,token,1,standard,,,,,,2026-11-24,,page,\n",
      "ctx_min must be a whole number up to 1000000000" },
    { "openai,gpt-y,input,token,1,standard,1000000001,,,,,2026-11-24,,page,\n",
      "ctx_min must be a whole number up to 1000000000" },
    { "openai,gpt-y,input,token,1,standard,0,,noon,,,2026-11-24,,page,\n",
      "utc_window must be HH:MM-HH:MM, more joined by +, then maybe /Mon-Fri; or else" },
    { "openai,gpt-y,input,token,1,standard,0,,,2026-13-01,,2026-11-24,,page,\n",
      "from must be a date (YYYY-MM-DD) or empty" },
    { "openai,gpt-y,input,token,1,standard,0,,,2026-01-01T00:00:00Z,,2026-11-24,,page,\n",
      "from must be a date (YYYY-MM-DD) or empty" },
    { "openai,gpt-y,input,token,1,standard,0,,,,2026-02-29,2026-11-24,,page,\n",
      "until must be a date (YYYY-MM-DD) after from, or empty" },
    { "openai,gpt-y,input,token,1,standard,0,,,2026-02-01,2026-02-01,2026-11-24,,page,\n",
      "until must be a date (YYYY-MM-DD) after from, or empty" },
    { "openai,gpt-y,input,token,1,standard,0,,,,,,,page,\n", "as_of must be a date (YYYY-MM-DD)" },
    { "openai,gpt-y,input,token,1,standard,0,,,,,2026-11-24,,,\n", "status must not be empty" },
    { "openai,gpt-y,input,token,1,standard,0,,,,,2026-11-24,,page,\x7f\n",
      "variant, sources, status and dissent must each be at most 200 printable bytes" },
    { "openai,\"gpt-y,input,token,1,standard,0,,,,,2026-11-24,,page,\n",
      "a quoted field must end on its line" },
    { "openai,\"\n", "a quoted field must end on its line" },
    { "openai,\"gpt\n-y\",input,token,1,standard,0,,,,,2026-11-24,,page,\n",
      "a quoted field must end on its line" },
    { "openai,\"gpt\"-y,input,token,1,standard,0,,,,,2026-11-24,,page,\n",
      "a closing quote must be followed by a comma" },
    { "openai,gpt\"y\",input,token,1,standard,0,,,,,2026-11-24,,page,\n",
      "a field with a quote in it must be quoted, the quote doubled" },
    { "openai,gpt-x,input,token,2,standard,0,,,,,2026-11-24,,page,\n",
      "prices the same at the same time as line 2" },
    { "openai,gpt-x,input,token,1,standard,0,,,2026-01-01,,2026-11-24,,page,\n",
      "prices the same at the same time as line 2" },
};

static void check_refused(const char *text, const char *message)
{
    struct err err = { 0 };
    AUTO(price_list) list;

    price_list_init(&list);
    ck_assert_int_eq(seed_parse("prices.csv", span_from(text), &list, &err), TG_INVALID);
    ck_assert_str_eq(err.text, message);
}

START_TEST(refuses_a_wrong_line_and_says_why)
{
    for (size_t i = 0; i < sizeof(wrong_lines) / sizeof(wrong_lines[0]); i++) {
        char text[1024];
        char message[256];

        (void)snprintf(text, sizeof(text), "%s%s", HEADER GOOD, wrong_lines[i].line);
        (void)snprintf(message, sizeof(message), "prices.csv line 3: %s", wrong_lines[i].message);
        check_refused(text, message);
    }
}
END_TEST

START_TEST(refuses_another_header)
{
    static const char *const headers[] = { "", "\n", "provider,model\n" GOOD, GOOD,
                                           "model,provider,component,unit,pico_usd,tier,ctx_min,"
                                           "variant,utc_window,from,until,as_of,sources,status,"
                                           "dissent\n" };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        check_refused(headers[i], "prices.csv line 1: must be " SEED_HEADER);
}
END_TEST

START_TEST(a_currency_may_be_said_and_must_be_usd)
{
    AUTO(price_list) list;

    parse(&list, SEED_HEADER SEED_CURRENCY
          "\nopenai,gpt-x,input,token,1,standard,0,,,,,2026-11-24,,page,,USD\n");
    ck_assert_uint_eq(list.count, 1);
    check_refused(SEED_HEADER SEED_CURRENCY
                  "\nopenai,gpt-x,input,token,1,standard,0,,,,,2026-11-24,,page,,CNY\n",
                  "prices.csv line 2: currency must be USD");
    check_refused(SEED_HEADER SEED_CURRENCY
                  "\nopenai,gpt-x,input,token,1,standard,0,,,,,2026-11-24,,page,\n",
                  "prices.csv line 2: 15 fields, not 16");
}
END_TEST

START_TEST(rows_that_differ_in_any_condition_are_no_duplicates)
{
    AUTO(price_list) list;

    parse(&list,
          HEADER GOOD "openai,gpt-x,input,token,1,batch,0,,,,,2026-11-24,,page,\n"
                      "openai,gpt-x,input,token,1,standard,1,,,,,2026-11-24,,page,\n"
                      "openai,gpt-x,input,token,1,standard,0,v,,,,2026-11-24,,page,\n"
                      "openai,gpt-x,input,token,1,standard,0,,else,,,2026-11-24,,page,\n"
                      "openai,gpt-y,input,token,1,standard,0,,,,2026-01-01,2026-11-24,,page,\n"
                      "openai,gpt-y,input,token,1,standard,0,,,2026-01-01,,2026-11-24,,page,\n"
                      "groq,gpt-x,input,token,1,standard,0,,,,,2026-11-24,,page,\n"
                      "openai,gpt-x,output,token,1,standard,0,,,,,2026-11-24,,page,\n");
    ck_assert_uint_eq(list.count, 9);
}
END_TEST

/* --- upgrades ----------------------------------------------------------------------------------
 */

static void close_row(struct price_list *rows, const struct seed_close *close)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct price *row = &rows->rows[i];

        if (row->id != close->id)
            continue;
        ck_assert_int_le(close->until_ms, row->valid_until_ms);
        ck_assert_int_ge(close->until_ms, row->valid_from_ms);
        row->valid_until_ms = close->until_ms;
    }
}

/* Do to the rows what the plan says, as the table does. */
static void apply(struct price_list *rows, const struct seed_plan *plan)
{
    int64_t id = (int64_t)rows->count;

    for (size_t i = 0; i < plan->close_count; i++)
        close_row(rows, &plan->closes[i]);
    for (size_t i = 0; i < plan->insert_count; i++) {
        struct price price = plan->inserts[i];

        price.id = ++id;
        ck_assert_ptr_null(price_complaint(&price));
        ck_assert_int_eq(price_list_add(rows, &price), TG_OK);
    }
}

/* seed_compare gives the rows it was asked with their new end, and the plan says so too: it is
 * asked with a copy, so that the plan alone counts. */
static void upgrade(struct price_list *rows, const char *text, const char *now,
                    struct seed_plan *ret_plan)
{
    static struct price_list files[64]; /* what was inserted points into them */
    static int used;
    AUTO(price_list) copy;

    price_list_init(&copy);
    for (size_t i = 0; i < rows->count; i++)
        ck_assert_int_eq(price_list_add(&copy, &rows->rows[i]), TG_OK);
    ck_assert_int_lt(used, 64);
    parse(&files[used], text);
    ck_assert_int_eq(seed_compare(&copy, &files[used++], at(now), ret_plan), TG_OK);
    apply(rows, ret_plan);
}

static int64_t price_on(const struct price_list *rows, const char *when)
{
    struct book *book = NULL;
    struct err err = { 0 };
    struct cost_rates rates;
    const struct book_query query = { .at_ms = at(when) };

    ck_assert_msg(book_build(rows, &book, &err) == TG_OK, "%s", err.text);
    book_rates(book_find(book, SPAN("openai"), SPAN("gpt-x")), &query, &rates);
    book_free(book);
    return rates.rate[TG_INPUT].price_id == 0 ? -1 : rates.rate[TG_INPUT].unit_price_pusd;
}

#define ROW(price, from, until)                                                                    \
    "openai,gpt-x,input,token," price ",standard,0,,," from "," until ",2026-11-24,,page,\n"
/* Something beside it, so that the model never leaves the book. */
#define OTHER "openai,gpt-x,output,token,9,standard,0,,,,,2026-11-24,,page,\n"

static const struct upgrade_case {
    const char *name;
    const char *before; /* taken in on 2026-03-01 */
    const char *after;  /* taken in on 2026-09-01 */
    size_t closes;
    size_t inserts;
    int64_t in_july;
    int64_t late_in_august;
    int64_t in_september;
    int64_t in_2027;
} upgrades[] = {
    { "the same", ROW("10", "", ""), ROW("10", "", ""), 0, 0, 10, 10, 10, 10 },
    { "a new value without a day", ROW("10", "", ""), ROW("8", "", ""), 1, 1, 10, 10, 8, 8 },
    { "a new value from a past day", ROW("10", "", ""),
      ROW("10", "", "2026-08-21") ROW("8", "2026-08-21", ""), 1, 1, 10, 8, 8, 8 },
    { "a new value from a day to come", ROW("10", "", ""),
      ROW("10", "", "2027-01-01") ROW("20", "2027-01-01", ""), 1, 1, 10, 10, 10, 20 },
    { "an end to come", ROW("10", "", ""), ROW("10", "", "2027-01-01"), 1, 0, 10, 10, 10, -1 },
    { "an end that moves on", ROW("10", "", "2027-01-01"), ROW("10", "", ""), 1, 1, 10, 10, 10,
      10 },
    { "an end that is past", ROW("10", "", ""), ROW("10", "", "2026-08-21"), 1, 0, 10, 10, -1, -1 },
    { "a row that has vanished", ROW("10", "", ""), "", 1, 0, 10, 10, -1, -1 },
    { "a row that is new", "", ROW("10", "2026-08-01", ""), 0, 1, -1, 10, 10, 10 },
    { "rows that are new, with their past", "",
      ROW("9", "", "2026-08-01") ROW("10", "2026-08-01", ""), 0, 2, 9, 10, 10, 10 },
    { "a future row that has vanished", ROW("10", "", "2027-01-01") ROW("20", "2027-01-01", ""),
      ROW("10", "", "2027-01-01"), 1, 0, 10, 10, 10, -1 },
    { "a future row of another value", ROW("10", "", "2027-01-01") ROW("20", "2027-01-01", ""),
      ROW("10", "", "2027-01-01") ROW("15", "2027-01-01", ""), 1, 1, 10, 10, 10, 15 },
    { "a future row brought forward", ROW("10", "", "2027-01-01") ROW("20", "2027-01-01", ""),
      ROW("10", "", "2026-08-21") ROW("20", "2026-08-21", ""), 2, 1, 10, 20, 20, 20 },
    { "a wrong value of a dated row", ROW("9", "", "2026-02-01") ROW("10", "2026-02-01", ""),
      ROW("9", "", "2026-02-01") ROW("11", "2026-02-01", ""), 1, 1, 10, 10, 11, 11 },
    { "a past that is told anew", ROW("9", "", "2026-02-01") ROW("10", "2026-02-01", ""),
      ROW("7", "", "2026-02-01") ROW("10", "2026-02-01", ""), 0, 0, 10, 10, 10, 10 },
    { "a row that is free", ROW("10", "", ""), ROW("0", "", ""), 1, 1, 10, 10, 0, 0 },
};

START_TEST(an_upgrade_changes_what_comes_and_not_what_was)
{
    for (size_t i = 0; i < sizeof(upgrades) / sizeof(upgrades[0]); i++) {
        const struct upgrade_case *c = &upgrades[i];
        AUTO(price_list) rows;
        AUTO(seed_plan) first = { 0 };
        AUTO(seed_plan) second = { 0 };
        AUTO(seed_plan) again = { 0 };
        char text[2048];

        price_list_init(&rows);
        (void)snprintf(text, sizeof(text), "%s%s%s", HEADER, OTHER, c->before);
        upgrade(&rows, text, "2026-03-01", &first);
        (void)snprintf(text, sizeof(text), "%s%s%s", HEADER, OTHER, c->after);
        upgrade(&rows, text, "2026-09-01", &second);
        ck_assert_msg(second.close_count == c->closes && second.insert_count == c->inserts,
                      "%s: %zu closed, %zu inserted", c->name, second.close_count,
                      second.insert_count);
        ck_assert_msg(price_on(&rows, "2026-07-15") == c->in_july, "%s", c->name);
        ck_assert_msg(price_on(&rows, "2026-08-25") == c->late_in_august, "%s", c->name);
        ck_assert_msg(price_on(&rows, "2026-09-01") == c->in_september, "%s", c->name);
        ck_assert_msg(price_on(&rows, "2027-01-01") == c->in_2027, "%s", c->name);
        upgrade(&rows, text, "2026-09-02", &again);
        ck_assert_msg(again.close_count == 0 && again.insert_count == 0, "%s, again", c->name);
    }
}
END_TEST

static uint64_t random_state = 1;

static int random_below(int bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((random_state >> 33) % (uint64_t)bound);
}

/* A file of one subject: a chain of rows with or without gaps. */
static void random_file(char *text, size_t size)
{
    static const char *const days[] = { "",           "2026-02-01", "2026-04-01",
                                        "2026-06-01", "2026-08-01", "" };
    size_t len = (size_t)snprintf(text, size, "%s%s", HEADER, OTHER);

    for (int day = 0; day < 5; day++) {
        int end = day + 1;

        if (random_below(3) == 0)
            continue;
        while (end < 5 && random_below(3) == 0)
            end++;
        len +=
            (size_t)snprintf(text + len, size - len,
                             "openai,gpt-x,input,token,%d,standard,0,,,%s,%s,2026-11-24,,page,\n",
                             random_below(3), days[day], days[end]);
        day = end - 1;
    }
}

static const char *const probes[] = { "2026-01-15", "2026-02-01", "2026-03-15", "2026-05-15",
                                      "2026-07-01", "2026-07-15", "2026-08-01", "2026-12-01" };

START_TEST(after_any_chain_of_files_the_last_one_prices_from_its_day_on)
{
    static const char *const nows[] = { "2026-01-10", "2026-03-10", "2026-05-10", "2026-07-10" };

    for (int round = 0; round < 15; round++) {
        AUTO(price_list) rows;
        char text[2048];

        price_list_init(&rows);
        for (int step = 0; step < 4; step++) {
            AUTO(seed_plan) plan = { 0 };
            AUTO(price_list) file;
            const size_t count_before = rows.count;

            random_file(text, sizeof(text));
            parse(&file, text);
            upgrade(&rows, text, nows[step], &plan);
            for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
                if (at(probes[i]) >= at(nows[step]))
                    ck_assert_msg(price_on(&rows, probes[i]) == price_on(&file, probes[i]),
                                  "round %d, %s: not as in\n%s", round, probes[i], text);
            ck_assert_uint_ge(rows.count, count_before);
        }
    }
}
END_TEST

START_TEST(the_order_of_the_lines_does_not_matter)
{
    static const char *const texts[] = {
        HEADER ROW("10", "", "2026-08-21") ROW("8", "2026-08-21", "") OTHER,
        HEADER OTHER ROW("8", "2026-08-21", "") ROW("10", "", "2026-08-21"),
    };

    for (int i = 0; i < 2; i++) {
        AUTO(price_list) rows;
        AUTO(seed_plan) first = { 0 };
        AUTO(seed_plan) second = { 0 };

        price_list_init(&rows);
        upgrade(&rows, texts[i], "2026-09-01", &first);
        ck_assert_uint_eq(first.insert_count, 3);
        upgrade(&rows, texts[1 - i], "2026-09-02", &second);
        ck_assert_uint_eq(second.close_count + second.insert_count, 0);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("pricing/seed");
    TCase *c = tcase_create("all");

    tcase_add_test(c, reads_every_column);
    tcase_add_test(c, an_empty_date_is_open);
    tcase_add_test(c, reads_quoted_fields);
    tcase_add_test(c, a_file_without_rows_is_valid);
    tcase_add_test(c, refuses_a_wrong_line_and_says_why);
    tcase_add_test(c, refuses_another_header);
    tcase_add_test(c, a_currency_may_be_said_and_must_be_usd);
    tcase_add_test(c, rows_that_differ_in_any_condition_are_no_duplicates);
    tcase_add_test(c, an_upgrade_changes_what_comes_and_not_what_was);
    tcase_add_test(c, after_any_chain_of_files_the_last_one_prices_from_its_day_on);
    tcase_add_test(c, the_order_of_the_lines_does_not_matter);
    suite_add_tcase(s, c);
    return s;
}
