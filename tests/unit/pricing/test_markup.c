/* Goal: of all markups exactly one holds for an attempt on each side, the closest, and what a team
 * is charged and what the provider takes are two amounts. Method: a table of markups asked from
 * every side; a book of few rows with prices of a team and modifiers, each amount worked out by
 * hand. */
#include "pricing/book.h"
#include "pricing/markup.h"
#include "pricing/modifier.h"
#include "pricing/price.h"

#include "support/suites.h"

#define TEAM_A INT32_C(1)
#define TEAM_B INT32_C(2)
#define NOW    INT64_C(1795478400000)

static const struct markup rows[] = {
    { .id = 1, .side = MARKUP_CHARGE, .factor = { 11, 10 } },
    { .id = 2, .side = MARKUP_CHARGE, .provider = { "openai", 6 }, .factor = { 12, 10 } },
    { .id = 3, .side = MARKUP_CHARGE, .model = { "gpt-*", 5 }, .factor = { 13, 10 } },
    { .id = 4, .side = MARKUP_CHARGE, .model = { "GPT-X*", 6 }, .factor = { 14, 10 } },
    { .id = 5, .side = MARKUP_CHARGE, .model = { "gpt-x", 5 }, .factor = { 15, 10 } },
    { .id = 6, .side = MARKUP_CHARGE, .team_id = TEAM_B, .factor = { 16, 10 } },
    { .id = 7, .side = MARKUP_COST, .provider = { "openai", 6 }, .factor = { 9, 10 } },
    { .id = 8,
      .side = MARKUP_COST,
      .provider = { "openai", 6 },
      .valid_from_ms = NOW,
      .factor = { 8, 10 } },
};

static const struct {
    enum markup_side side;
    const char *provider;
    const char *model;
    int32_t team_id;
    int64_t at_ms;
    int64_t id; /* 0: none */
} questions[] = {
    { MARKUP_CHARGE, "groq", "llama", TEAM_A, NOW, 1 },
    { MARKUP_CHARGE, "openai", "o3", TEAM_A, NOW, 2 },
    { MARKUP_CHARGE, "groq", "gpt-oss", TEAM_A, NOW, 3 },
    { MARKUP_CHARGE, "openai", "gpt-oss", TEAM_A, NOW, 3 },
    { MARKUP_CHARGE, "openai", "gpt-xy", TEAM_A, NOW, 4 },
    { MARKUP_CHARGE, "openai", "gpt-x", TEAM_A, NOW, 5 },
    { MARKUP_CHARGE, "openai", "gpt-x", TEAM_B, NOW, 6 },
    { MARKUP_CHARGE, "openai", "gpt-x", 0, NOW, 5 },
    { MARKUP_COST, "openai", "gpt-x", TEAM_B, NOW - 1, 7 },
    { MARKUP_COST, "openai", "gpt-x", TEAM_B, NOW, 8 },
    { MARKUP_COST, "groq", "gpt-x", TEAM_B, NOW, 0 },
};

static void fill(struct markup_list *list, const struct markup *from, int count)
{
    markup_list_init(list);
    for (int i = 0; i < count; i++) {
        struct markup markup = from[i];

        markup.valid_until_ms = markup.valid_until_ms == 0 ? INT64_MAX : markup.valid_until_ms;
        ck_assert_int_eq(markup_list_add(list, &markup), TG_OK);
    }
}

#define LEN(array) ((int)(sizeof(array) / sizeof((array)[0])))

START_TEST(the_closest_holds)
{
    AUTO(markup_list) list;
    const struct markup *found;

    fill(&list, rows, LEN(rows));
    found = markup_find(&list,
                        &(const struct markup_query){ .side = questions[_i].side,
                                                      .provider = span_from(questions[_i].provider),
                                                      .model = span_from(questions[_i].model),
                                                      .team_id = questions[_i].team_id,
                                                      .at_ms = questions[_i].at_ms });
    ck_assert_int_eq(found != NULL ? found->id : 0, questions[_i].id);
}
END_TEST

START_TEST(one_that_has_ended_holds_no_more)
{
    const struct markup markup = {
        .id = 1, .side = MARKUP_COST, .factor = { 1, 2 }, .valid_from_ms = 10, .valid_until_ms = 20
    };
    static const int64_t outside[] = { 0, 9, 20, NOW };
    struct markup_query query = { .side = MARKUP_COST, .provider = SPAN("a"), .model = SPAN("b") };
    AUTO(markup_list) list;

    fill(&list, &markup, 1);
    for (int i = 0; i < LEN(outside); i++) {
        query.at_ms = outside[i];
        ck_assert_ptr_null(markup_find(&list, &query));
    }
    for (query.at_ms = 10; query.at_ms < 20; query.at_ms++)
        ck_assert_ptr_nonnull(markup_find(&list, &query));
}
END_TEST

/* --- in a book --- */

static const char modifiers[] = MODIFIER_HEADER "\n"
                                                "openai,gpt-*,tier=batch,tokens,1,2,,,\n"
                                                "openai,gpt-*,tier=priority,tokens,2,1,,,\n"
                                                "openai,*,region=us|eu,tokens,11,10,,,\n";

static struct price price_of(int64_t id, enum tg_class class, int64_t pusd, int32_t team_id)
{
    return (struct price){ .id = id,
                           .provider = SPAN("openai"),
                           .model = SPAN("gpt-x"),
                           .class = class,
                           .unit = PRICE_TOKEN,
                           .tier = PRICE_STANDARD,
                           .is_override = team_id != 0,
                           .team_id = team_id,
                           .unit_price_pusd = pusd,
                           .valid_until_ms = PRICE_FOREVER };
}

static struct book *book;

static void setup(void)
{
    static const struct markup own[] = {
        { .id = 1, .side = MARKUP_COST, .factor = { 9, 10 } },
        { .id = 2, .side = MARKUP_CHARGE, .factor = { 3, 2 } },
    };
    AUTO(price_list) list;
    AUTO(markup_list) markups;
    const struct book_rules rules = { .modifiers_csv = SPAN(modifiers), .markups = &markups };
    const struct price prices[] = { price_of(1, TG_INPUT, 1000, 0), price_of(2, TG_OUTPUT, 2000, 0),
                                    price_of(3, TG_OUTPUT, 700, TEAM_A) };

    price_list_init(&list);
    for (int i = 0; i < LEN(prices); i++)
        ck_assert_int_eq(price_list_add(&list, &prices[i]), TG_OK);
    fill(&markups, own, LEN(own));
    ck_assert_int_eq(book_build(&list, &book, NULL), TG_OK);
    ck_assert_int_eq(book_add_rules(book, &rules, NULL), TG_OK);
    ck_assert_uint_eq(markups.count, 0);
}

static void teardown(void)
{
    book_free(book);
}

/* A million tokens in and a million out. */
static const struct {
    const char *tier;
    const char *region;
    int32_t team_id;
    enum book_side side;
    int64_t nusd;
} amounts[] = {
    { "", "", TEAM_B, BOOK_COST, 2700000 },          /* 3,000 pusd * 0.9 */
    { "", "", TEAM_B, BOOK_CHARGE, 4050000 },        /* * 1.5 */
    { "", "", TEAM_A, BOOK_COST, 2700000 },          /* its own price is not the provider's */
    { "", "", TEAM_A, BOOK_CHARGE, 2050000 },        /* 1,000 * 0.9 * 1.5 + 700 */
    { "batch", "", TEAM_B, BOOK_COST, 1350000 },     /* half */
    { "batch", "us", TEAM_B, BOOK_COST, 1485000 },   /* and a tenth more */
    { "batch", "us", TEAM_B, BOOK_CHARGE, 2227500 }, /* and a half */
    { "batch", "nowhere", TEAM_B, BOOK_COST, 1350000 },
    { "flex", "", TEAM_B, BOOK_COST, 2700000 }, /* no modifier: the standard price, flagged */
};

START_TEST(charge_and_cost_are_two_amounts)
{
    const struct book_model *model = book_find(book, SPAN("openai"), SPAN("gpt-x"));
    const struct book_query query = { .tier = span_from(amounts[_i].tier),
                                      .region = span_from(amounts[_i].region),
                                      .team_id = amounts[_i].team_id,
                                      .side = amounts[_i].side,
                                      .at_ms = NOW };
    struct tg_usage usage = { 0 };
    struct cost_rates rates;
    struct cost cost;

    usage.count[TG_INPUT] = 1000000;
    usage.count[TG_OUTPUT] = 1000000;
    book_rates(model, &query, &rates);
    ck_assert_int_eq(cost_of(&usage, &rates, &cost), TG_OK);
    ck_assert_int_eq(cost.nusd, amounts[_i].nusd);
    ck_assert(cost.has_fallback == (query.tier.ptr[0] == 'f'));
    ck_assert(book_has_two_sides(model));
}
END_TEST

START_TEST(a_hold_covers_markups_and_modifiers)
{
    const struct book_model *model = book_find(book, SPAN("openai"), SPAN("gpt-x"));
    struct book_query query = { .team_id = TEAM_B, .at_ms = NOW };
    int64_t input;
    int64_t output;

    book_dearest(model, &query, &input, &output);
    ck_assert_int_eq(input, 1350);
    ck_assert_int_eq(output, 2700);
    query.region = SPAN("us");
    book_dearest(model, &query, &input, &output);
    ck_assert_int_eq(input, 1485);
    query.tier = SPAN("priority");
    book_dearest(model, &query, &input, &output);
    ck_assert_int_eq(input, 2970);
    query = (struct book_query){ .team_id = TEAM_A, .at_ms = NOW };
    book_dearest(model, &query, &input, &output);
    ck_assert_int_eq(input, 1350);
    ck_assert_int_eq(output, 700);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("pricing/markup");
    TCase *list = tcase_create("list");
    TCase *in_book = tcase_create("book");

    tcase_add_loop_test(list, the_closest_holds, 0, LEN(questions));
    tcase_add_test(list, one_that_has_ended_holds_no_more);
    suite_add_tcase(s, list);
    tcase_add_checked_fixture(in_book, setup, teardown);
    tcase_add_loop_test(in_book, charge_and_cost_are_two_amounts, 0, LEN(amounts));
    tcase_add_test(in_book, a_hold_covers_markups_and_modifiers);
    suite_add_tcase(s, in_book);
    return s;
}
