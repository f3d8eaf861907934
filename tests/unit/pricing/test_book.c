/* Goal: of all rows of a model, the one that prices a request is the one that the rules name, a
 * class without a row is never free, and a hold's price covers every price that may follow. Method:
 * small books of hand-made rows, asked on both sides of every edge (prompt size, first and last ms,
 * minute of the week); every order of the rows; the dearest price against all prices of random
 * books. */
#include "pricing/book.h"
#include "pricing/price.h"
#include "pricing/window.h"

#include "base/clock.h"
#include "support/suites.h"

#include <stdio.h>

#define DAY_MS INT64_C(86400000)

static int64_t at(const char *text)
{
    int64_t ms = 0;

    ck_assert_msg(clock_parse_rfc3339(span_from(text), &ms), "%s", text);
    return ms;
}

/* A row in short. */
struct row {
    enum tg_class class;
    int64_t pusd;
    int64_t ctx_min;
    const char *from;
    const char *until;
    const char *window;
    enum price_tier tier;
    bool is_override;
};

#define STANDARD .tier = PRICE_STANDARD

static struct price price_from(const struct row *row, int64_t id)
{
    return (struct price){
        .id = id,
        .provider = SPAN("openai"),
        .model = SPAN("gpt-x"),
        .class = row->class,
        .unit = PRICE_TOKEN,
        .tier = row->tier,
        .is_override = row->is_override,
        .unit_price_pusd = row->pusd,
        .ctx_min = row->ctx_min,
        .utc_window = row->window == NULL ? SPAN_EMPTY : span_from(row->window),
        .valid_from_ms = row->from == NULL ? PRICE_ALWAYS : at(row->from),
        .valid_until_ms = row->until == NULL ? PRICE_FOREVER : at(row->until),
    };
}

static struct book *build(const struct price_list *list)
{
    struct book *book = NULL;
    struct err err = { 0 };

    ck_assert_msg(book_build(list, &book, &err) == TG_OK, "%s", err.text);
    return book;
}

static void add(struct price_list *list, const struct price *price)
{
    ck_assert_int_eq(price_list_add(list, price), TG_OK);
}

static struct book *book_from(const struct row *rows, size_t count)
{
    AUTO(price_list) list;

    price_list_init(&list);
    for (size_t i = 0; i < count; i++) {
        const struct price price = price_from(&rows[i], (int64_t)i + 1);

        add(&list, &price);
    }
    return build(&list);
}

#define BOOK(...)                                                                                  \
    book_from((const struct row[]){ __VA_ARGS__ },                                                 \
              sizeof((const struct row[]){ __VA_ARGS__ }) / sizeof(struct row))

static struct cost_rate ask(const struct book *book, enum tg_class class, const char *tier,
                            int64_t prompt_tokens, int64_t at_ms)
{
    const struct book_model *model = book_find(book, SPAN("openai"), SPAN("gpt-x"));
    const struct book_query query = { .tier = span_from(tier),
                                      .prompt_tokens = prompt_tokens,
                                      .at_ms = at_ms };
    struct cost_rates rates;

    ck_assert_ptr_nonnull(model);
    book_rates(model, &query, &rates);
    return rates.rate[class];
}

static int64_t input_pusd(const struct book *book, int64_t prompt_tokens, const char *when)
{
    return ask(book, TG_INPUT, "", prompt_tokens, at(when)).unit_price_pusd;
}

START_TEST(a_context_tier_is_a_cliff)
{
    AUTO_PTR(book)
    book = BOOK({ TG_INPUT, 25, STANDARD }, { TG_INPUT, 50, 272001, STANDARD },
                { TG_INPUT, 70, 400000, STANDARD });
    const char *const now = "2026-11-24T12:00:00Z";

    ck_assert_int_eq(input_pusd(book, 0, now), 25);
    ck_assert_int_eq(input_pusd(book, 272000, now), 25);
    ck_assert_int_eq(input_pusd(book, 272001, now), 50);
    ck_assert_int_eq(input_pusd(book, 399999, now), 50);
    ck_assert_int_eq(input_pusd(book, 400000, now), 70);
}
END_TEST

START_TEST(a_price_holds_from_its_first_to_its_last_ms)
{
    AUTO_PTR(book)
    book = BOOK({ TG_INPUT, 10, .until = "2025-06-10", STANDARD },
                { TG_INPUT, 2, .from = "2025-06-10", .until = "2025-07-01", STANDARD });

    ck_assert_int_eq(input_pusd(book, 0, "1970-01-01"), 10);
    ck_assert_int_eq(input_pusd(book, 0, "2025-06-09T23:59:59.999Z"), 10);
    ck_assert_int_eq(input_pusd(book, 0, "2025-06-10T00:00:00Z"), 2);
    ck_assert_int_eq(input_pusd(book, 0, "2025-06-30T23:59:59.999Z"), 2);
    ck_assert_int_eq(ask(book, TG_INPUT, "", 0, at("2025-07-01")).price_id, 0);
}
END_TEST

START_TEST(the_latest_start_prices_where_two_overlap)
{
    AUTO_PTR(book)
    book = BOOK({ TG_INPUT, 3, .from = "2026-01-01", STANDARD }, { TG_INPUT, 9, STANDARD },
                { TG_INPUT, 1, .from = "2026-02-01", .until = "2026-03-01", STANDARD });

    ck_assert_int_eq(input_pusd(book, 0, "2025-12-31"), 9);
    ck_assert_int_eq(input_pusd(book, 0, "2026-01-01"), 3);
    ck_assert_int_eq(input_pusd(book, 0, "2026-02-01"), 1);
    ck_assert_int_eq(input_pusd(book, 0, "2026-03-01"), 3);
}
END_TEST

/* 2026-11-23 is a Monday. */
static const struct {
    const char *window;
    const char *when;
    bool holds;
} hours[] = {
    { "01:00-04:00+06:00-10:00/Mon-Fri", "2026-11-23T00:59:59.999Z", false },
    { "01:00-04:00+06:00-10:00/Mon-Fri", "2026-11-23T01:00:00Z", true },
    { "01:00-04:00+06:00-10:00/Mon-Fri", "2026-11-23T03:59:59.999Z", true },
    { "01:00-04:00+06:00-10:00/Mon-Fri", "2026-11-23T04:00:00Z", false },
    { "01:00-04:00+06:00-10:00/Mon-Fri", "2026-11-23T06:00:00Z", true },
    { "01:00-04:00+06:00-10:00/Mon-Fri", "2026-11-23T10:00:00Z", false },
    { "01:00-04:00+06:00-10:00/Mon-Fri", "2026-11-27T09:59:59Z", true },
    { "01:00-04:00+06:00-10:00/Mon-Fri", "2026-11-28T02:00:00Z", false },
    { "01:00-04:00+06:00-10:00/Mon-Fri", "2026-11-29T02:00:00Z", false },
    { "22:30-02:00", "2026-11-23T22:29:59Z", false },
    { "22:30-02:00", "2026-11-23T22:30:00Z", true },
    { "22:30-02:00", "2026-11-24T00:00:00Z", true },
    { "22:30-02:00", "2026-11-24T01:59:59.999Z", true },
    { "22:30-02:00", "2026-11-24T02:00:00Z", false },
    { "22:30-02:00/Mon-Fri", "2026-11-27T23:00:00Z", true },
    { "22:30-02:00/Mon-Fri", "2026-11-28T01:00:00Z", false }, /* the day of the instant counts */
    { "22:30-02:00/Sat-Mon", "2026-11-28T00:00:00Z", true },
    { "22:30-02:00/Sat-Mon", "2026-11-23T23:00:00Z", true },
    { "22:30-02:00/Sat-Mon", "2026-11-24T00:00:00Z", false },
    { "00:00-24:00/Sun-Sun", "2026-11-29T23:59:59.999Z", true },
    { "00:00-24:00/Sun-Sun", "2026-11-30T00:00:00Z", false },
};

START_TEST(a_named_window_prices_its_hours_and_else_the_rest)
{
    for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
        AUTO_PTR(book)
        book =
            BOOK({ TG_INPUT, 1, .window = "else", STANDARD },
                 { TG_INPUT, 2, .window = hours[i].window, STANDARD }, { TG_INPUT, 3, STANDARD });

        ck_assert_msg(input_pusd(book, 0, hours[i].when) == (hours[i].holds ? 2 : 1), "%s at %s",
                      hours[i].window, hours[i].when);
    }
}
END_TEST

START_TEST(refuses_what_is_not_a_window)
{
    static const char *const wrong[] = {
        "01:00",
        "1:00-2:00",
        "01:00-25:00",
        "01:60-02:00",
        "24:00-01:00",
        "01:00-01:00",
        "01:00-24:01",
        "01:00-02:00+",
        "01:00-02:00/",
        "01:00-02:00/Mon",
        "Else",
        "01:00-02:00/mon-fri",
        "01:00-02:00 ",
        "-02:00",
        "01:00-02:00/Mon-Fri+",
        "01:00-02:00+03:00-04:00+05:00-06:00+07:00-08:00+09:00-10:00",
    };
    struct window window = { .kind = 42 };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(!window_parse(span_from(wrong[i]), &window), "%s", wrong[i]);
    ck_assert_int_eq(window.kind, 42);
}
END_TEST

static const struct {
    enum tg_class class;
    enum tg_class has;
} fallbacks[] = {
    { TG_CACHE_READ, TG_INPUT },
    { TG_CACHE_WRITE, TG_INPUT },
    { TG_CACHE_WRITE_1H, TG_INPUT },
    { TG_CACHE_WRITE_1H, TG_CACHE_WRITE },
    { TG_CACHE_WRITE_12H, TG_INPUT },
    { TG_CACHE_WRITE_12H, TG_CACHE_WRITE },
    { TG_INPUT_AUDIO, TG_INPUT },
    { TG_CACHE_READ_AUDIO, TG_INPUT },
    { TG_CACHE_READ_AUDIO, TG_CACHE_READ },
    { TG_CACHE_WRITE_AUDIO, TG_INPUT },
    { TG_CACHE_WRITE_AUDIO, TG_CACHE_WRITE },
    { TG_INPUT_IMAGE, TG_INPUT },
    { TG_CACHE_READ_IMAGE, TG_INPUT },
    { TG_CACHE_READ_IMAGE, TG_CACHE_READ },
    { TG_INPUT_VIDEO, TG_INPUT },
    { TG_REASONING, TG_OUTPUT },
    { TG_OUTPUT_AUDIO, TG_OUTPUT },
    { TG_OUTPUT_IMAGE, TG_OUTPUT },
    { TG_OUTPUT_VIDEO, TG_OUTPUT },
};

START_TEST(a_class_without_a_row_takes_the_nearest)
{
    for (size_t i = 0; i < sizeof(fallbacks) / sizeof(fallbacks[0]); i++) {
        AUTO_PTR(book)
        book = BOOK({ TG_INPUT, 5, STANDARD }, { TG_OUTPUT, 6, STANDARD },
                    { fallbacks[i].has, 7, .from = "2026-01-01", STANDARD });
        const struct cost_rate own = ask(book, fallbacks[i].has, "", 0, at("2026-02-01"));
        const struct cost_rate other = ask(book, fallbacks[i].class, "", 0, at("2026-02-01"));

        ck_assert(!own.is_fallback);
        ck_assert_int_eq(other.unit_price_pusd, 7);
        ck_assert_int_eq(other.price_id, 3);
        ck_assert(other.is_fallback);
    }
}
END_TEST

START_TEST(a_class_that_nothing_stands_in_for_has_no_price)
{
    AUTO_PTR(book) book = BOOK({ TG_INPUT, 5, STANDARD }, { TG_OUTPUT, 6, STANDARD });

    for (int i = TG_TOKEN_CLASS_COUNT; i < TG_CLASS_COUNT; i++)
        ck_assert_int_eq(ask(book, (enum tg_class)i, "", 0, at("2026-01-01")).price_id, 0);
}
END_TEST

START_TEST(output_never_takes_the_price_of_input)
{
    AUTO_PTR(book) book = BOOK({ TG_INPUT, 5, STANDARD });

    for (int i = TG_OUTPUT; i < TG_TOKEN_CLASS_COUNT; i++)
        ck_assert_int_eq(ask(book, (enum tg_class)i, "", 0, at("2026-01-01")).price_id, 0);
}
END_TEST

static const struct {
    const char *tier;
    int64_t pusd;
    enum tg_class class;
    bool is_fallback;
} tiers[] = {
    { "", 100, TG_INPUT, false },
    { "standard", 100, TG_INPUT, false },
    { "batch", 50, TG_INPUT, false },
    { "priority", 200, TG_INPUT, false },
    { "flex", 100, TG_INPUT, true },
    { "fast", 100, TG_INPUT, true },
    { "turbo", 100, TG_INPUT, true },
    { "Batch", 100, TG_INPUT, true },
    { "batch", 50, TG_CACHE_READ, true }, /* in its tier first */
    { "standard", 10, TG_CACHE_READ, false },
    { "flex", 10, TG_CACHE_READ, true },
    { "batch", 300, TG_OUTPUT, true },
    { "batch", 300, TG_REASONING, true },
    { "batch", 0, TG_WEB_SEARCH, false },
};

START_TEST(a_tier_without_rows_takes_the_standard_ones)
{
    AUTO_PTR(book)
    book = BOOK({ TG_INPUT, 100, STANDARD }, { TG_CACHE_READ, 10, STANDARD },
                { TG_OUTPUT, 300, STANDARD }, { TG_INPUT, 50, .tier = PRICE_BATCH },
                { TG_INPUT, 200, .tier = PRICE_PRIORITY });

    for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        const struct cost_rate rate = ask(book, tiers[i].class, tiers[i].tier, 0, at("2026-01-01"));

        ck_assert_msg(rate.unit_price_pusd == tiers[i].pusd &&
                          rate.is_fallback == tiers[i].is_fallback,
                      "%s %s", tiers[i].tier, tg_class_name(tiers[i].class));
    }
}
END_TEST

START_TEST(an_override_precedes_every_seed_row)
{
    AUTO_PTR(book)
    book = BOOK(
        { TG_INPUT, 25, STANDARD }, { TG_INPUT, 50, 272001, .from = "2026-01-01", STANDARD },
        { TG_INPUT, 7, .from = "2025-01-01", .until = "2027-01-01", STANDARD, .is_override = true },
        { TG_INPUT, 8, .from = "2025-01-01", .until = "2026-06-01", STANDARD,
          .is_override = true });

    ck_assert_int_eq(input_pusd(book, 300000, "2024-12-31"), 25);
    ck_assert_int_eq(input_pusd(book, 300000, "2026-05-31"), 8); /* the newer of two */
    ck_assert_int_eq(input_pusd(book, 300000, "2026-12-31"), 7);
    ck_assert_int_eq(input_pusd(book, 300000, "2027-01-01"), 50);
}
END_TEST

START_TEST(names_are_compared_without_case_and_prefix)
{
    AUTO_PTR(book) book = BOOK({ TG_INPUT, 25, STANDARD });
    const struct book_model *model = book_find(book, SPAN("openai"), SPAN("gpt-x"));
    char longest[PRICE_MODEL_MAX + 2];

    memset(longest, 'g', sizeof(longest));
    ck_assert_ptr_nonnull(model);
    ck_assert_ptr_eq(book_find(book, SPAN("openai"), SPAN("GPT-X")), model);
    ck_assert_ptr_eq(book_find(book, SPAN("openai"), SPAN("models/gpt-x")), model);
    ck_assert_ptr_null(book_find(book, SPAN("openai"), SPAN("gpt-xx")));
    ck_assert_ptr_null(book_find(book, SPAN("openai"), SPAN("gpt-")));
    ck_assert_ptr_null(book_find(book, SPAN("openai"), SPAN_EMPTY));
    ck_assert_ptr_null(book_find(book, SPAN("openai"), span_of(longest, sizeof(longest))));
    ck_assert_ptr_null(book_find(book, SPAN("groq"), SPAN("gpt-x")));
    ck_assert_ptr_null(book_find(book, SPAN_EMPTY, SPAN("openai")));
    ck_assert_ptr_null(book_find(book, span_of(longest, sizeof(longest)), SPAN("gpt-x")));
}
END_TEST

START_TEST(an_empty_book_has_nothing)
{
    AUTO(price_list) list;
    AUTO_PTR(book) book = NULL;

    price_list_init(&list);
    book = build(&list);
    ck_assert_ptr_null(book_find(book, SPAN("openai"), SPAN("gpt-x")));
    ck_assert_int_eq(book_row_count(book), 0);
    book_free(NULL);
}
END_TEST

/* Names that differ in case alone are one model here, and two rows may price the same. */
START_TEST(of_equal_rows_the_dearer_prices)
{
    AUTO_PTR(book)
    book = BOOK({ TG_INPUT, 25, STANDARD }, { TG_INPUT, 26, STANDARD }, { TG_INPUT, 24, STANDARD },
                { TG_INPUT, 26, STANDARD });
    const struct cost_rate rate = ask(book, TG_INPUT, "", 0, at("2026-01-01"));

    ck_assert_int_eq(rate.unit_price_pusd, 26);
    ck_assert_int_eq(rate.price_id, 4);
}
END_TEST

START_TEST(a_strange_unit_prices_nothing_and_a_variant_what_it_names)
{
    struct price prices[4];
    AUTO(price_list) list;
    AUTO_PTR(book) book = NULL;
    struct cost_rates rates;

    for (int i = 0; i < 4; i++)
        prices[i] = price_from(&(const struct row){ TG_IMAGE_IN, 25, STANDARD }, i + 1);
    prices[0].unit = PRICE_IMAGE;
    prices[0].variant = SPAN("hd/1024x1024");
    prices[1].unit = PRICE_PIXEL;
    prices[1].model = SPAN("picture-x");
    prices[2].class = TG_INPUT;
    prices[3].class = TG_WEB_SEARCH; /* by the token */
    price_list_init(&list);
    for (int i = 0; i < 4; i++)
        add(&list, &prices[i]);
    book = build(&list);
    ck_assert_int_eq(book_row_count(book), 2);
    ck_assert_ptr_nonnull(book_find(book, SPAN("openai"), SPAN("picture-x"))); /* known, unpriced */
    ck_assert_int_eq(ask(book, TG_IMAGE_IN, "", 0, 0).price_id, 0);
    ck_assert_int_eq(ask(book, TG_WEB_SEARCH, "", 0, 0).price_id, 0);
    ck_assert_int_eq(ask(book, TG_INPUT, "", 0, 0).price_id, 3);
    book_rates(
        book_find(book, SPAN("openai"), SPAN("gpt-x")),
        &(const struct book_query){ .variants = { SPAN("context=low"), SPAN("hd/1024x1024") } },
        &rates);
    ck_assert_int_eq(rates.rate[TG_IMAGE_IN].price_id, 1);
}
END_TEST

START_TEST(time_is_priced_by_the_second_or_the_hour)
{
    struct price by_hour =
        price_from(&(const struct row){ TG_AUDIO_IN, 111000000000, STANDARD }, 1);
    struct price by_second = price_from(&(const struct row){ TG_AUDIO_IN, 30833333, STANDARD }, 2);
    AUTO(price_list) list;
    AUTO_PTR(book) book = NULL;
    AUTO_PTR(book) both = NULL;

    by_hour.unit = PRICE_HOUR;
    by_second.unit = PRICE_SECOND;
    price_list_init(&list);
    add(&list, &by_second);
    book = build(&list);
    ck_assert_int_eq(ask(book, TG_AUDIO_IN, "", 0, 0).per, COST_PER_SECOND);
    add(&list, &by_hour);
    both = build(&list);
    ck_assert_int_eq(ask(both, TG_AUDIO_IN, "", 0, 0).per, COST_PER_HOUR); /* 0.0000012 dearer */
}
END_TEST

static const struct {
    const char *name;
    struct price price;
} broken[] = {
    { "price 0: id must be above 0", { .id = 0 } },
    { "price 7: provider must be 1 to 63 of a-z, 0-9 and -", { .provider = { "Open AI", 7 } } },
    { "price 7: model must be 1 to 200 printable bytes", { .model = { "a\nb", 3 } } },
    { "price 7: model must be 1 to 200 printable bytes", { .model = { "models/", 7 } } },
    { "price 7: pico_usd must be a whole number up to 5000000000000",
      { .unit_price_pusd = COST_PRICE_MAX + 1 } },
    { "price 7: pico_usd must be a whole number up to 5000000000000", { .unit_price_pusd = -1 } },
    { "price 7: ctx_min must be a whole number up to 1000000000", { .ctx_min = -1 } },
    { "price 7: utc_window must be HH:MM-HH:MM, more joined by +, then maybe /Mon-Fri; or else",
      { .utc_window = { "noon", 4 } } },
    { "price 7: from must be 1970-01-01 or later", { .valid_from_ms = -1 } },
    { "price 7: until must be after from", { .valid_from_ms = 2, .valid_until_ms = 1 } },
};

static void check_refused(const struct price_list *list, const char *message)
{
    struct book *book = NULL;
    struct err err = { 0 };

    ck_assert_int_eq(book_build(list, &book, &err), TG_CORRUPT);
    ck_assert_str_eq(err.text, message);
    ck_assert_ptr_null(book);
}

START_TEST(refuses_a_row_that_breaks_a_rule)
{
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct price price = broken[i].price;
        AUTO(price_list) list;

        price.id = i == 0 ? 0 : 7;
        price.provider = price.provider.len == 0 ? SPAN("openai") : price.provider;
        price.model = price.model.len == 0 ? SPAN("gpt-x") : price.model;
        price_list_init(&list);
        add(&list, &price);
        check_refused(&list, broken[i].name);
    }
}
END_TEST

START_TEST(refuses_more_windows_than_it_can_number)
{
    AUTO(price_list) list;
    AUTO_PTR(book) book = NULL;
    static char windows[BOOK_WINDOWS_MAX + 1][24];
    struct price price = price_from(&(const struct row){ TG_INPUT, 1, STANDARD }, 1);

    price_list_init(&list);
    for (int i = 0; i <= BOOK_WINDOWS_MAX; i++) {
        (void)snprintf(windows[i], sizeof(windows[i]), "%02d:%02d-24:00", i / 60, i % 60);
        price.id = i + 1;
        price.utc_window = span_from(windows[i]);
        add(&list, &price);
    }
    check_refused(&list, "price 256: more than 255 different utc_window or variant values");
    list.count--;
    book = build(&list);
    ck_assert_int_eq(book_row_count(book), BOOK_WINDOWS_MAX);
}
END_TEST

/* --- random books ------------------------------------------------------------------------------
 */

static uint64_t random_state = 1;

static int random_below(int bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((random_state >> 33) % (uint64_t)bound);
}

static struct row random_row(void)
{
    static const enum tg_class classes[] = { TG_INPUT, TG_CACHE_READ, TG_CACHE_WRITE_1H, TG_OUTPUT,
                                             TG_OUTPUT_AUDIO };
    static const int64_t contexts[] = { 0, 0, 100, 200 };
    static const char *const dates[] = { NULL, NULL, "2026-01-01", "2026-02-01" };
    static const char *const windows[] = { NULL, NULL, "else", "08:00-16:00",
                                           "12:00-20:00/Mon-Fri" };

    return (struct row){
        .class = classes[random_below(5)],
        .pusd = random_below(1000),
        .ctx_min = contexts[random_below(4)],
        .from = dates[random_below(4)],
        .until = random_below(4) == 0 ? "2026-03-01" : NULL,
        .window = windows[random_below(5)],
        .tier = (enum price_tier)random_below(PRICE_TIER_COUNT),
        .is_override = random_below(8) == 0,
    };
}

#define RANDOM_ROWS 24

static void random_rows(struct row rows[RANDOM_ROWS])
{
    for (int i = 0; i < RANDOM_ROWS; i++)
        rows[i] = random_row();
}

static int64_t random_instant(void)
{
    return at("2025-12-25") + random_below(80 * 24) * (DAY_MS / 24);
}

START_TEST(the_order_of_the_rows_does_not_matter)
{
    struct row rows[RANDOM_ROWS];
    AUTO(price_list) list;

    price_list_init(&list);
    random_rows(rows);
    for (int i = 0; i < RANDOM_ROWS; i++) {
        const struct price price = price_from(&rows[i], i + 1);

        add(&list, &price);
    }
    AUTO_PTR(book) book = build(&list);

    for (int round = 0; round < 100; round++) {
        const int64_t when = random_instant();
        const int64_t tokens = random_below(300);

        for (int i = RANDOM_ROWS - 1; i > 0; i--) {
            const int j = random_below(i + 1);
            const struct price price = list.rows[i];

            list.rows[i] = list.rows[j];
            list.rows[j] = price;
        }
        AUTO_PTR(book) shuffled = build(&list);

        for (int class = 0; class < TG_TOKEN_CLASS_COUNT; class += 1)
            ck_assert_int_eq(ask(book, (enum tg_class) class, "", tokens, when).price_id,
                             ask(shuffled, (enum tg_class) class, "", tokens, when).price_id);
    }
}
END_TEST

/* The most that any class costs at that time, asked tier by tier and at every prompt size. */
static int64_t dearest_by_asking(const struct book *book, const char *const *names, int64_t when,
                                 bool is_output)
{
    static const int64_t contexts[] = { 0, 100, 200 };
    int64_t dearest = 0;

    for (int c = 0; c < 3; c++) {
        for (int t = 0; names[t] != NULL; t++) {
            const struct book_query query = { .tier = span_from(names[t]),
                                              .prompt_tokens = contexts[c],
                                              .at_ms = when };
            struct cost_rates rates;

            book_rates(book_find(book, SPAN("openai"), SPAN("gpt-x")), &query, &rates);
            for (int i = is_output ? TG_OUTPUT : 0;
                 i < (is_output ? TG_TOKEN_CLASS_COUNT : TG_OUTPUT); i++)
                if (rates.rate[i].unit_price_pusd > dearest)
                    dearest = rates.rate[i].unit_price_pusd;
        }
    }
    return dearest;
}

static const char *const up_to[PRICE_TIER_COUNT + 1][PRICE_TIER_COUNT + 2] = {
    { "batch", "standard", "flex" },
    { "flex", "standard", "batch" },
    { "standard", "batch", "flex" },
    { "priority", "standard", "batch", "flex" },
    { "fast", "priority", "standard", "batch", "flex" },
    { "auto", "fast", "priority", "standard", "batch", "flex" },
};

START_TEST(the_dearest_covers_every_price_that_may_follow)
{
    struct row rows[RANDOM_ROWS];

    for (int round = 0; round < 500; round++) {
        const int64_t when = random_instant();
        const char *const *names = up_to[random_below(PRICE_TIER_COUNT + 1)];
        const struct book_query query = { .tier = span_from(names[0]), .at_ms = when };
        int64_t input = -1;
        int64_t output = -1;

        random_rows(rows);
        AUTO_PTR(book) book = book_from(rows, RANDOM_ROWS);
        book_dearest(book_find(book, SPAN("openai"), SPAN("gpt-x")), &query, &input, &output);
        ck_assert_int_ge(input, dearest_by_asking(book, names, when, false));
        ck_assert_int_ge(output, dearest_by_asking(book, names, when, true));
    }
}
END_TEST

START_TEST(the_dearest_is_no_dearer_than_some_price)
{
    struct row rows[RANDOM_ROWS];

    for (int round = 0; round < 500; round++) {
        const int64_t when = random_instant();
        const char *const *names = up_to[random_below(PRICE_TIER_COUNT + 1)];
        const struct book_query query = { .tier = span_from(names[0]), .at_ms = when };
        int64_t input = -1;
        int64_t output = -1;

        random_rows(rows);
        for (int i = 0; i < RANDOM_ROWS; i++)
            rows[i].window = NULL; /* then every row that is not hidden prices some prompt now */
        AUTO_PTR(book) book = book_from(rows, RANDOM_ROWS);
        book_dearest(book_find(book, SPAN("openai"), SPAN("gpt-x")), &query, &input, &output);
        ck_assert_int_eq(input, dearest_by_asking(book, names, when, false));
        ck_assert_int_eq(output, dearest_by_asking(book, names, when, true));
    }
}
END_TEST

START_TEST(the_dearest_forgets_what_an_override_hides)
{
    AUTO_PTR(book)
    book = BOOK({ TG_INPUT, 25, STANDARD }, { TG_INPUT, 50, 272001, STANDARD },
                { TG_INPUT, 7, STANDARD, .is_override = true }, { TG_OUTPUT, 40, STANDARD },
                { TG_OUTPUT, 5, 1000, STANDARD, .is_override = true },
                { TG_CACHE_WRITE_1H, 9, STANDARD }, { TG_REQUEST, 1000, STANDARD });
    const struct book_query query = { .at_ms = at("2026-01-01") };
    int64_t input;
    int64_t output;

    book_dearest(book_find(book, SPAN("openai"), SPAN("gpt-x")), &query, &input, &output);
    ck_assert_int_eq(input, 9);
    ck_assert_int_eq(output, 40); /* below 1,000 tokens the override does not hold */
}
END_TEST

START_TEST(a_book_of_16277_rows_fits_4_mib)
{
    AUTO(price_list) list;
    AUTO_PTR(book) book = NULL;
    struct price price = price_from(&(const struct row){ TG_INPUT, 1, STANDARD }, 1);
    char name[PRICE_MODEL_MAX];

    price_list_init(&list);
    for (int i = 0; i < 16277; i++) {
        (void)snprintf(name, sizeof(name), "vendor/a-model-with-a-long-name-%d", i / 3);
        ck_assert_int_eq(price_list_copy(&list, span_from(name), &price.model), TG_OK);
        price.id = i + 1;
        price.class = (enum tg_class)(i % 3);
        add(&list, &price);
    }
    book = build(&list);
    ck_assert_int_eq(book_row_count(book), 16277);
    ck_assert_uint_le(book_bytes(book), (size_t)4 << 20);
    ck_assert_ptr_nonnull(book_find(book, SPAN("openai"), price.model));
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("pricing/book");
    TCase *c = tcase_create("all");

    tcase_add_test(c, a_context_tier_is_a_cliff);
    tcase_add_test(c, a_price_holds_from_its_first_to_its_last_ms);
    tcase_add_test(c, the_latest_start_prices_where_two_overlap);
    tcase_add_test(c, a_named_window_prices_its_hours_and_else_the_rest);
    tcase_add_test(c, refuses_what_is_not_a_window);
    tcase_add_test(c, a_class_without_a_row_takes_the_nearest);
    tcase_add_test(c, a_class_that_nothing_stands_in_for_has_no_price);
    tcase_add_test(c, output_never_takes_the_price_of_input);
    tcase_add_test(c, a_tier_without_rows_takes_the_standard_ones);
    tcase_add_test(c, an_override_precedes_every_seed_row);
    tcase_add_test(c, names_are_compared_without_case_and_prefix);
    tcase_add_test(c, an_empty_book_has_nothing);
    tcase_add_test(c, of_equal_rows_the_dearer_prices);
    tcase_add_test(c, a_strange_unit_prices_nothing_and_a_variant_what_it_names);
    tcase_add_test(c, time_is_priced_by_the_second_or_the_hour);
    tcase_add_test(c, refuses_a_row_that_breaks_a_rule);
    tcase_add_test(c, refuses_more_windows_than_it_can_number);
    tcase_add_test(c, the_order_of_the_rows_does_not_matter);
    tcase_add_test(c, the_dearest_covers_every_price_that_may_follow);
    tcase_add_test(c, the_dearest_is_no_dearer_than_some_price);
    tcase_add_test(c, the_dearest_forgets_what_an_override_hides);
    tcase_add_test(c, a_book_of_16277_rows_fits_4_mib);
    suite_add_tcase(s, c);
    return s;
}
