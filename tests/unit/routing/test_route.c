/* Goal: of the seven rules the first that holds picks the provider, and only among those that speak
 * the dialect. Method: a list of made-up targets of made-up kinds, and a table of queries. The rule
 * of the price book is tested with a real book in integration. */

#include "pricing/price.h"
#include "routing/route.h"
#include "support/suites.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct tg_dialect chat = { .name = "chat" };
static const struct tg_dialect other = { .name = "other" };
static const struct tg_dialect unspoken = { .name = "unspoken" };

static const struct tg_kind kind_alpha = { .name = "alpha",
                                           .speaks = { { .dialect = "chat" } },
                                           .prefixes = { "al-" } };
static const struct tg_kind kind_beta = { .name = "beta",
                                          .speaks = { { .dialect = "chat" },
                                                      { .dialect = "other" } },
                                          .prefixes = { "be-", "al-x" } };
static const struct tg_kind kind_mute = { .name = "mute", .prefixes = { "mu-" } };

static char own_special[] = "special";
static char own_auto[] = "fourth/auto";
static char *own_models[] = { own_special, own_auto, NULL };

static struct target first = { .name = "first", .kind = &kind_mute };
static struct target second = { .name = "second", .kind = &kind_alpha };
static struct target third = { .name = "third", .kind = &kind_beta };
static struct target fourth = { .name = "fourth",
                                .kind = &kind_alpha,
                                .is_default = true,
                                .models = own_models,
                                .model_count = 2 };

static const struct targets all = { .count = 4, .target = { &first, &second, &third, &fourth } };

struct route_case {
    const char *prefix;
    const char *model;
    const struct tg_dialect *dialect;
    const struct target *target; /* NULL: none */
    const char *sent;
    int rule;
};

static const struct route_case cases[] = {
    { "third", "al-1", &chat, &third, "al-1", 1 },
    { "fourth", "third/x", &chat, &fourth, "third/x", 1 }, /* the path is stronger */
    { "nobody", "al-1", &chat, NULL, "", 0 },
    { "first", "mu-1", &chat, NULL, "", 0 }, /* does not speak it */
    { "", "third/al-1", &chat, &third, "al-1", 2 },
    { "", "third/a/b", &chat, &third, "a/b", 2 },
    { "", "fourth/auto", &chat, &fourth, "fourth/auto", 2 }, /* knows the whole name */
    { "", "nobody/al-1", &chat, &fourth, "nobody/al-1", 7 },
    { "", "third/", &chat, &fourth, "third/", 7 },
    { "", "/x", &chat, &fourth, "/x", 7 },
    { "", "al-x1", &chat, &second, "al-x1", 4 }, /* the oldest of two */
    { "", "be-1", &chat, &third, "be-1", 4 },
    { "", "mu-1", &chat, &fourth, "mu-1", 7 },
    { "", "special", &chat, &fourth, "special", 5 },
    { "", "unknown", &chat, &fourth, "unknown", 7 },
    { "", "unknown", &other, &third, "unknown", 6 },
    { "", "unknown", &unspoken, NULL, "", 0 },
};

START_TEST(the_first_rule_that_holds_picks)
{
    const struct route_case *one = &cases[_i];
    const struct route_query query = { .dialect = one->dialect,
                                       .prefix = span_from(one->prefix),
                                       .model = span_from(one->model) };
    struct route route = { .rule = 0 };
    struct err err = { 0 };
    const enum tg_status status = route_find(&all, &query, &route, &err);

    ck_assert_int_eq(status, one->target == NULL ? TG_MODEL_NOT_FOUND : TG_OK);
    ck_assert_ptr_eq(route.target, one->target);
    ck_assert_int_eq(route.rule, one->rule);
    if (one->target != NULL)
        ck_assert(span_equal(route.model, span_from(one->sent)));
    else
        ck_assert_str_ne(err.text, "");
}
END_TEST

/* A book in which the makers of two kinds have the model "shared". */
static struct book *shared_book(void)
{
    AUTO(price_list) list;
    struct price price = { .model = SPAN("shared"),
                           .class = TG_INPUT,
                           .unit = PRICE_TOKEN,
                           .tier = PRICE_STANDARD,
                           .valid_from_ms = PRICE_ALWAYS,
                           .valid_until_ms = PRICE_FOREVER };
    struct book *book = NULL;

    price_list_init(&list);
    price.id = 1;
    price.provider = SPAN("younger");
    ck_assert_int_eq(price_list_add(&list, &price), TG_OK);
    price.id = 2;
    price.provider = SPAN("older");
    ck_assert_int_eq(price_list_add(&list, &price), TG_OK);
    ck_assert_int_eq(book_build(&list, &book, NULL), TG_OK);
    return book;
}

START_TEST(the_book_comes_before_the_names_prefix_and_the_oldest_first)
{
    static const struct tg_kind owner = { .name = "owner",
                                          .speaks = { { .dialect = "chat" } },
                                          .prefixes = { "sha" } };
    static const struct tg_kind older = { .name = "older",
                                          .speaks = { { .dialect = "chat" } },
                                          .book = "older" };
    static const struct tg_kind younger = { .name = "younger",
                                            .speaks = { { .dialect = "chat" } },
                                            .book = "younger" };
    struct target target[] = { { .name = "a", .kind = &owner },
                               { .name = "b", .kind = &older },
                               { .name = "c", .kind = &younger } };
    const struct targets list = { .count = 3, .target = { &target[0], &target[1], &target[2] } };
    AUTO_PTR(book) book = shared_book();
    struct route_query query = { .dialect = &chat, .model = SPAN("shared"), .book = book };
    struct route route;

    ck_assert_int_eq(route_find(&list, &query, &route, NULL), TG_OK);
    ck_assert_int_eq(route.rule, 3);
    ck_assert_ptr_eq(route.target, &target[1]);
    query.book = NULL;
    ck_assert_int_eq(route_find(&list, &query, &route, NULL), TG_OK);
    ck_assert_int_eq(route.rule, 4);
    ck_assert_ptr_eq(route.target, &target[0]);
}
END_TEST

START_TEST(a_refusal_names_the_providers_there_are)
{
    struct target plain = fourth;
    struct targets list = { .count = 2, .target = { &second, &plain } };
    const struct route_query query = { .dialect = &chat, .model = SPAN("unknown") };
    struct route route;
    struct err err = { 0 };

    plain.is_default = false;
    ck_assert_int_eq(route_find(&list, &query, &route, &err), TG_MODEL_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "second, fourth"));
    list.count = 0;
    ck_assert_int_eq(route_find(&list, &query, &route, &err), TG_MODEL_NOT_FOUND);
}
END_TEST

Suite *suite(void)
{
    Suite *route = suite_create("routing/route");
    TCase *tcase = tcase_create("rules");

    tcase_add_loop_test(tcase, the_first_rule_that_holds_picks, 0, COUNT(cases));
    tcase_add_test(tcase, the_book_comes_before_the_names_prefix_and_the_oldest_first);
    tcase_add_test(tcase, a_refusal_names_the_providers_there_are);
    suite_add_tcase(route, tcase);
    return route;
}
