/* Goal: a hold covers the most that a call can use and cost, by each rule that sizes it, and an
 * owner's word on a model is what its calls are charged by. Method: a table with a line for each
 * rule, the numbers worked out by hand; prices are 1 nusd a token in and 2 out. */
#include "metering/meter.h"

#include "pricing/price.h"
#include "support/suites.h"

#include <string.h>

#define AT_MS INT64_C(1795478400000) /* 2026-11-24T00:00:00Z */

static struct book *book;
static struct model_facts *facts;

/* --- what is known ------------------------------------------------------------------------------
 */

static struct price price_of(int64_t id, const char *model, enum tg_class class, int64_t pusd)
{
    return (struct price){
        .id = id,
        .provider = SPAN("openai"),
        .model = span_from(model),
        .class = class,
        .unit = PRICE_TOKEN,
        .unit_price_pusd = pusd,
        .tier = PRICE_STANDARD,
        .utc_window = SPAN_EMPTY,
        .variant = SPAN_EMPTY,
        .valid_until_ms = INT64_MAX,
    };
}

static void build_book(void)
{
    struct price rows[] = {
        price_of(1, "plain", TG_INPUT, 1000),         price_of(2, "plain", TG_OUTPUT, 2000),
        price_of(3, "default", TG_INPUT, 1000),       price_of(4, "default", TG_OUTPUT, 2000),
        price_of(5, "bare", TG_INPUT, 1000),          price_of(6, "bare", TG_OUTPUT, 2000),
        price_of(7, "written", TG_INPUT, 1000),       price_of(8, "written", TG_OUTPUT, 2000),
        price_of(9, "written", TG_CACHE_WRITE, 1250), price_of(10, "free", TG_INPUT, 1000),
        price_of(11, "free", TG_OUTPUT, 2000),        price_of(12, "half", TG_INPUT, 1000),
        price_of(13, "half-capped", TG_INPUT, 1000),  price_of(14, "zero", TG_INPUT, 0),
        price_of(15, "zero", TG_OUTPUT, 0),           price_of(16, "zero-capped", TG_INPUT, 0),
        price_of(17, "zero-capped", TG_OUTPUT, 0),
    };
    const struct price_list list = { .rows = rows, .count = sizeof(rows) / sizeof(rows[0]) };
    struct err err = { "" };

    ck_assert_msg(book_build(&list, &book, &err) == TG_OK, "%s", err.text);
}

static struct model_row row_of(const char *provider, const char *name, struct model seed,
                               struct model own)
{
    return (struct model_row){
        .provider = span_from(provider), .name = span_from(name), .seed = seed, .own = own
    };
}

static void build_facts(void)
{
    const struct model known = { .context_tokens = 10000, .max_output_tokens = 4000 };
    const struct model none = { 0 };
    const struct model_row rows[] = {
        row_of("openai", "plain", known, none),
        row_of("openai", "default",
               (struct model){ 10000, 4000, 16, 0, "max_completion_tokens", false, false }, none),
        row_of("openai", "bare", none, none),
        row_of("openai", "written", known, none),
        row_of("openai", "largest", (struct model){ .context_tokens = 50000 }, none),
        row_of("openai", "longest", (struct model){ .max_output_tokens = 9000 }, none),
        row_of("openai", "free", known, (struct model){ .is_free = true }),
        row_of("openai", "capped", known, (struct model){ .ceiling_price_pusd = 7000 }),
        row_of("openai", "half", known, none),
        row_of("openai", "half-capped", known, (struct model){ .ceiling_price_pusd = 7000 }),
        row_of("openai", "zero", known, none),
        row_of("openai", "zero-capped", known, (struct model){ .ceiling_price_pusd = 7000 }),
        row_of("openai", "raised", known,
               (struct model){ .context_tokens = 20000, .max_output_tokens = 8000 }),
        row_of("google", "native",
               (struct model){ .output_field = "generationConfig.maxOutputTokens" }, none),
        row_of("local", "llama", none,
               (struct model){ .context_tokens = 3000, .max_output_tokens = 700, .is_free = true }),
        row_of("local", "stranger", known, none),
    };
    struct err err = { "" };

    ck_assert_msg(model_facts_build(rows, sizeof(rows) / sizeof(rows[0]), &facts, &err) == TG_OK,
                  "%s", err.text);
}

static void setup(void)
{
    build_book();
    build_facts();
}

static void teardown(void)
{
    book_free(book);
    model_facts_free(facts);
}

/* --- bounds -------------------------------------------------------------------------------------
 */

#define BOOK      "openai"
#define GIVEN     TG_REQUEST_MAX_GIVEN
#define FETCHES   TG_REQUEST_FETCHES
#define TOLD      TG_ANSWER_HAS_USAGE
#define UNBOUNDED LEDGER_UNBOUNDED
#define UNKNOWN   LEDGER_CEILING_UNKNOWN
#define UNPRICED  LEDGER_UNPRICED
#define CAPPED    LEDGER_CEILING_PRICE

struct bound_case {
    const char *name;
    const char *model;
    const char *kind_book; /* NULL: of a kind that is not in the book; the provider is "local" */
    uint32_t request_flags;
    int64_t choices, max_output_tokens;
    int64_t media_parts, image_parts, media_bytes;
    uint32_t dialect_flags;
    int64_t body_bytes;
    int64_t added_tokens, image_tokens_max;
    /* what must come of it */
    int64_t input, output, nusd;
    uint32_t flags;
};

static const struct bound_case cases[] = {
    { "bytes in, the client's maximum out", "plain", BOOK, GIVEN, 1, 100, 0, 0, 0, 0, 400, 0, 0,
      400, 100, 600, 0 },
    { "times the choices", "plain", BOOK, GIVEN, 3, 100, 0, 0, 0, 0, 400, 0, 0, 400, 300, 1000, 0 },
    { "what the provider adds", "plain", BOOK, GIVEN, 1, 100, 0, 0, 0, 0, 400, 50, 0, 450, 100, 650,
      0 },
    { "a body longer than the window", "plain", BOOK, GIVEN, 1, 1, 0, 0, 0, 0, 123456, 0, 0, 10000,
      1, 10002, 0 },
    { "what is added fits the window too", "plain", BOOK, GIVEN, 1, 1, 0, 0, 0, 0, 9990, 50, 0,
      10000, 1, 10002, 0 },
    { "no window known: the bytes stand", "bare", BOOK, GIVEN, 1, 1, 0, 0, 0, 0, 123456, 0, 0,
      123456, 1, 123458, 0 },
    { "a maximum above the ceiling stands", "plain", BOOK, GIVEN, 1, 5000, 0, 0, 0, 0, 400, 0, 0,
      400, 5000, 10400, 0 },
    { "no maximum: the model's ceiling", "plain", BOOK, 0, 1, 0, 0, 0, 0, 0, 400, 0, 0, 400, 4000,
      8400, 0 },
    { "of each choice", "plain", BOOK, 0, 2, 0, 0, 0, 0, 0, 400, 0, 0, 400, 8000, 16400, 0 },
    { "no maximum: the provider's default", "default", BOOK, 0, 2, 0, 0, 0, 0, 0, 400, 0, 0, 400,
      32, 464, 0 },
    { "no ceiling: the provider's largest", "bare", BOOK, 0, 1, 0, 0, 0, 0, 0, 400, 0, 0, 400, 9000,
      18400, UNKNOWN },
    { "a model that nobody knows", "brand-new", BOOK, 0, 1, 0, 0, 0, 0, 0, 400, 0, 0, 400, 9000, 0,
      UNKNOWN | UNPRICED },
    { "a provider that nobody knows", "x", NULL, 0, 1, 0, 0, 0, 0, 0, 400, 0, 0, 400, 131072, 0,
      UNKNOWN | UNPRICED },
    { "dated, else the same", "largest-2026-11-24", BOOK, 0, 1, 0, 0, 0, 0, 0, 123456, 0, 0, 50000,
      9000, 0, UNKNOWN | UNPRICED },
    { "fetched: the window", "plain", BOOK, GIVEN | FETCHES, 1, 1, 0, 0, 0, 0, 400, 0, 0, 10000, 1,
      10002, UNBOUNDED },
    { "fetched, no window known: the provider's largest", "bare", BOOK, GIVEN | FETCHES, 1, 1, 0, 0,
      0, 0, 400, 0, 0, 50000, 1, 50002, UNBOUNDED },
    { "which is no ceiling for what was sent", "bare", BOOK, GIVEN | FETCHES, 1, 1, 0, 0, 0, 0,
      60000, 10, 0, 60010, 1, 60012, UNBOUNDED },
    { "fetched, nothing known", "x", NULL, GIVEN | FETCHES, 1, 1, 0, 0, 0, 0, 400, 0, 0, 2000000, 1,
      0, UNBOUNDED | UNPRICED },
    { "images at the kind's maximum, not at their bytes", "plain", BOOK, GIVEN, 1, 1, 2, 2, 8000, 0,
      8400, 10, 1500, 3410, 1, 3412, 0 },
    { "images small in bytes", "plain", BOOK, GIVEN, 1, 1, 1, 1, 90, 0, 400, 0, 1500, 1810, 1, 1812,
      0 },
    { "images cut at the window", "plain", BOOK, GIVEN, 1, 1, 9, 9, 900, 0, 1300, 0, 1500, 10000, 1,
      10002, 0 },
    { "images without a maximum: the window", "plain", BOOK, GIVEN, 1, 1, 1, 1, 90, 0, 400, 0, 0,
      10000, 1, 10002, 0 },
    { "media that are no images: the window", "plain", BOOK, GIVEN, 1, 1, 2, 1, 90, 0, 400, 0, 1500,
      10000, 1, 10002, 0 },
    { "and no window known", "bare", BOOK, GIVEN, 1, 1, 1, 0, 90, 0, 400, 0, 1500, 50000, 1, 50002,
      UNBOUNDED },
    { "a free dialect", "plain", BOOK, FETCHES, 1, 0, 0, 0, 0, TG_DIALECT_IS_FREE, 400, 50, 0, 0, 0,
      0, 0 },
    { "a dialect without output", "plain", BOOK, 0, 1, 0, 0, 0, 0, TG_DIALECT_INPUT_ONLY, 400, 0, 0,
      400, 0, 400, 0 },
    { "needs no price for it", "half", BOOK, 0, 1, 0, 0, 0, 0, TG_DIALECT_INPUT_ONLY, 400, 0, 0,
      400, 0, 400, 0 },
    { "a dialect without a field for a maximum", "plain", BOOK, 0, 1, 0, 0, 0, 0,
      TG_DIALECT_NO_MAXIMUM, 400, 0, 0, 400, 4000, 8400, 0 },
    { "the dearest class of the input", "written", BOOK, GIVEN, 1, 1, 0, 0, 0, 0, 400, 0, 0, 400, 1,
      502, 0 },
    { "declared free, whatever the book says", "free", BOOK, 0, 1, 0, 0, 0, 0, 0, 400, 0, 0, 400,
      4000, 0, 0 },
    { "no price, but a ceiling price", "capped", BOOK, GIVEN, 1, 100, 0, 0, 0, 0, 400, 0, 0, 400,
      100, 3500, CAPPED },
    { "no price for what comes out", "half", BOOK, GIVEN, 1, 100, 0, 0, 0, 0, 400, 0, 0, 400, 100,
      400, UNPRICED },
    { "a ceiling price for what comes out", "half-capped", BOOK, GIVEN, 1, 100, 0, 0, 0, 0, 400, 0,
      0, 400, 100, 1100, CAPPED },
    { "a price of nothing is a price", "zero", BOOK, GIVEN, 1, 100, 0, 0, 0, 0, 400, 0, 0, 400, 100,
      0, 0 },
    { "and needs no ceiling price", "zero-capped", BOOK, GIVEN, 1, 100, 0, 0, 0, 0, 400, 0, 0, 400,
      100, 0, 0 },
    { "an owner's window and ceiling", "raised", BOOK, 0, 1, 0, 0, 0, 0, 0, 123456, 0, 0, 20000,
      8000, 0, UNPRICED },
    { "a kind outside the book: by the provider's name", "llama", NULL, 0, 1, 0, 0, 0, 0, 0, 123456,
      0, 0, 3000, 700, 0, 0 },
    { "a file's row of that name speaks of another", "stranger", NULL, 0, 1, 0, 0, 0, 0, 0, 123456,
      0, 0, 123456, 131072, 0, UNKNOWN | UNPRICED },
    { "the largest maximum of the most choices", "plain", BOOK, GIVEN, TG_CHOICES_MAX, INT32_MAX, 0,
      0, 0, 0, 400, 0, 0, 400, TG_COUNT_MAX, 400 + 2 * TG_COUNT_MAX, 0 },
};

static struct tg_request request_of(const struct bound_case *c)
{
    return (struct tg_request){
        .flags = c->request_flags,
        .choices = c->choices,
        .max_output_tokens = c->max_output_tokens,
        .media_parts = c->media_parts,
        .image_parts = c->image_parts,
        .media_bytes = c->media_bytes,
    };
}

static struct tg_kind kind_of(const struct bound_case *c)
{
    return (struct tg_kind){
        .name = "kind",
        .book = c->kind_book,
        .added_tokens = c->added_tokens,
        .image_tokens_max = c->image_tokens_max,
    };
}

START_TEST(each_rule_has_its_bound)
{
    const struct bound_case *c = &cases[_i];
    const struct tg_dialect dialect = { .flags = c->dialect_flags };
    const struct tg_kind kind = kind_of(c);
    const struct tg_request request = request_of(c);
    const struct meter_call call = {
        &request,      &dialect, &kind, book, facts, SPAN("local"), span_from(c->model),
        c->body_bytes, AT_MS
    };
    struct meter_bound bound;

    ck_assert_int_eq(meter_bound(&call, &bound), TG_OK);
    ck_assert_msg(bound.input_tokens == c->input, "%s: input %lld", c->name,
                  (long long)bound.input_tokens);
    ck_assert_msg(bound.output_tokens == c->output, "%s: output %lld", c->name,
                  (long long)bound.output_tokens);
    ck_assert_msg(bound.nusd == c->nusd, "%s: nusd %lld", c->name, (long long)bound.nusd);
    ck_assert_msg(bound.flags == c->flags, "%s: flags %x", c->name, bound.flags);
    ck_assert_msg(bound.is_unpriced == ((c->flags & UNPRICED) != 0), "%s", c->name);
    ck_assert_msg(bound.may_clamp == (c->dialect_flags == 0), "%s", c->name);
    ck_assert_int_eq(bound.choices, c->choices);
    ck_assert_int_eq(bound.fixed_nusd, 0);
    /* What admission makes anew of the parts is the whole. */
    ck_assert_int_eq(
        (bound.input_tokens * bound.input_pusd + bound.output_tokens * bound.output_pusd + 999) /
            1000,
        bound.nusd);
}
END_TEST

static struct meter_bound bound_of(const char *book_name, const char *model, int64_t thinking)
{
    static const struct tg_dialect dialect = { .name = "test" };
    const struct tg_kind kind = { .name = "kind", .book = book_name };
    const struct tg_request request = { .choices = 1, .thinking_budget_tokens = thinking };
    const struct meter_call call = { &request,      &dialect,         &kind, book, facts,
                                     SPAN("local"), span_from(model), 400,   AT_MS };
    struct meter_bound bound;

    ck_assert_int_eq(meter_bound(&call, &bound), TG_OK);
    return bound;
}

START_TEST(a_maximum_is_never_lowered_into_the_thinking)
{
    static const struct {
        int64_t thinking;
        int64_t least;
    } leasts[] = { { 0, 256 }, { 1, 1026 }, { 1024, 2049 }, { 30000, 31025 } };

    for (size_t i = 0; i < sizeof(leasts) / sizeof(leasts[0]); i++)
        ck_assert_int_eq(bound_of("openai", "plain", leasts[i].thinking).least_output_tokens,
                         leasts[i].least);
}
END_TEST

START_TEST(the_field_is_the_models_or_the_kinds_own)
{
    ck_assert_str_eq(bound_of("openai", "default", 0).output_field, "max_completion_tokens");
    ck_assert_ptr_null(bound_of("openai", "plain", 0).output_field);
    ck_assert_ptr_null(bound_of("google", "native", 0).output_field);
    ck_assert_int_eq(bound_of("openai", "plain", 0).context_tokens, 10000);
    ck_assert_int_eq(bound_of("openai", "bare", 0).context_tokens, 0);
}
END_TEST

START_TEST(nothing_is_known_without_facts)
{
    static const struct tg_dialect dialect = { .name = "test" };
    const struct tg_kind kind = { .name = "openai", .book = "openai" };
    const struct tg_request request = { .choices = 1 };
    const struct meter_call call = { &request,       &dialect,      &kind, book, NULL,
                                     SPAN("openai"), SPAN("plain"), 400,   AT_MS };
    struct meter_bound bound;

    ck_assert_int_eq(meter_bound(&call, &bound), TG_OK);
    ck_assert_int_eq(bound.output_tokens, METER_OUTPUT_CEILING);
    ck_assert_uint_eq(bound.flags, LEDGER_CEILING_UNKNOWN);
}
END_TEST

/* --- charges ------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    const char *model;
    const char *served;
    const char *kind_book;
    uint32_t dialect_flags;
    uint32_t answer_flags;
    int64_t input, output, images; /* told by the provider */
    /* what must come of it */
    int64_t nusd;
    int64_t rates; /* prices kept; their ids sum up to */
    int64_t id_sum;
    uint32_t flags;
} charges[] = {
    { "by the book", "plain", "", BOOK, 0, TOLD, 90, 10, 0, 110, 2, 3, 0 },
    { "declared free", "free", "", BOOK, 0, TOLD, 90, 10, 0, 0, 0, 0, 0 },
    { "the one that served is free", "plain", "free", BOOK, 0, TOLD, 90, 10, 0, 0, 0, 0, 0 },
    { "free as asked for, whatever served", "free", "plain", BOOK, 0, TOLD, 90, 10, 0, 0, 0, 0, 0 },
    { "free and its own", "llama", "", NULL, 0, TOLD, 90, 10, 0, 0, 0, 0, 0 },
    { "at the ceiling price", "capped", "", BOOK, 0, TOLD, 90, 10, 0, 700, 2, 0, CAPPED },
    { "that of the one that served", "brand-new", "capped", BOOK, 0, TOLD, 90, 10, 0, 700, 2, 0,
      CAPPED | LEDGER_OVERRUN },
    { "half of it", "half-capped", "", BOOK, 0, TOLD, 90, 10, 0, 160, 2, 13, CAPPED },
    { "half, but only that came", "half-capped", "", BOOK, 0, TOLD, 90, 0, 0, 90, 1, 13, 0 },
    { "it is one for tokens", "capped", "", BOOK, 0, TOLD, 90, 10, 1, 700, 2, 0,
      CAPPED | UNPRICED },
    { "a price of nothing", "zero-capped", "", BOOK, 0, TOLD, 90, 10, 0, 0, 2, 33, 0 },
    { "no price at all", "brand-new", "", BOOK, 0, TOLD, 90, 10, 0, 0, 0, 0, UNPRICED },
    { "a free dialect, told", "plain", "", BOOK, TG_DIALECT_IS_FREE, TOLD, 90, 10, 0, 0, 0, 0, 0 },
    { "a free dialect, not told", "plain", "", BOOK, TG_DIALECT_IS_FREE, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "no output, not told: no token of it", "plain", "", BOOK, TG_DIALECT_INPUT_ONLY, 0, 0, 0, 0,
      100, 1, 1, LEDGER_ESTIMATED },
};

START_TEST(an_owners_word_is_what_is_charged)
{
    const struct tg_dialect dialect = { .flags = charges[_i].dialect_flags };
    const struct tg_kind kind = { .name = "kind", .book = charges[_i].kind_book };
    const struct tg_request request = { .flags = TG_REQUEST_MAX_GIVEN,
                                        .choices = 1,
                                        .max_output_tokens = 4000 };
    const struct meter_call call = {
        &request, &dialect, &kind, book, facts, SPAN("local"), span_from(charges[_i].model),
        400,      AT_MS
    };
    struct tg_answer answer = { .flags = charges[_i].answer_flags | TG_ANSWER_IS_COMPLETE };
    struct ledger_charge charge = { 0 };
    struct meter_bound bound;
    int64_t id_sum = 0;

    strcpy(answer.model.text, charges[_i].served);
    answer.model.len = strlen(charges[_i].served);
    answer.usage.count[TG_INPUT] = charges[_i].input;
    answer.usage.count[TG_OUTPUT] = charges[_i].output;
    answer.usage.count[TG_IMAGE_OUT] = charges[_i].images;
    ck_assert_int_eq(meter_bound(&call, &bound), TG_OK);
    meter_charge(&call,
                 &(struct meter_attempt){
                     .answer = &answer, .bound = &bound, .end = METER_ENDED, .http_status = 200 },
                 &charge);
    for (int i = 0; i < charge.rate_count; i++)
        id_sum += charge.rates[i].price_id;
    ck_assert_msg(charge.cost_nusd == charges[_i].nusd, "%s: nusd %lld", charges[_i].name,
                  (long long)charge.cost_nusd);
    ck_assert_msg(charge.provider_cost_nusd == charge.cost_nusd, "%s", charges[_i].name);
    ck_assert_msg(charge.flags == charges[_i].flags, "%s: flags %x", charges[_i].name,
                  charge.flags);
    ck_assert_msg(charge.rate_count == charges[_i].rates && id_sum == charges[_i].id_sum,
                  "%s: %d rates, ids %lld", charges[_i].name, charge.rate_count, (long long)id_sum);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("bound");
    TCase *tcase = tcase_create("bound");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, each_rule_has_its_bound, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_test(tcase, a_maximum_is_never_lowered_into_the_thinking);
    tcase_add_test(tcase, the_field_is_the_models_or_the_kinds_own);
    tcase_add_test(tcase, nothing_is_known_without_facts);
    tcase_add_loop_test(tcase, an_owners_word_is_what_is_charged, 0,
                        sizeof(charges) / sizeof(charges[0]));
    suite_add_tcase(all, tcase);
    return all;
}
