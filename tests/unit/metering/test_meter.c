/* Goal: whatever way an attempt ends, the charge takes its counts from the right place and is never
 * nothing when something was generated. Method: one table with a row for each way; the prices are a
 * book of 1 and 2 nusd a token, and two fees. */
#include "metering/meter.h"

#include "pricing/price.h"
#include "support/suites.h"

#include <string.h>

#define BODY_BYTES 400
#define AT_MS      INT64_C(1795478400000) /* 2026-11-24T00:00:00Z */

static struct book *book;
static struct tg_kind kind;
static struct tg_dialect dialect;
static struct tg_request request;

static struct price price_of(int64_t id, enum tg_class class, int64_t unit_price_pusd)
{
    return (struct price){
        .id = id,
        .provider = SPAN("openai"),
        .model = SPAN("gpt-test"),
        .class = class,
        .unit = PRICE_TOKEN,
        .unit_price_pusd = unit_price_pusd,
        .tier = PRICE_STANDARD,
        .utc_window = SPAN_EMPTY,
        .variant = SPAN_EMPTY,
        .valid_from_ms = 0,
        .valid_until_ms = INT64_MAX,
    };
}

static void setup(void)
{
    struct price rows[] = {
        price_of(1, TG_INPUT, 1000),
        price_of(2, TG_OUTPUT, 2000),
        price_of(3, TG_WEB_SEARCH, 10000000000),
        price_of(4, TG_CODE_SESSION, 30000000000),
        price_of(5, TG_INPUT, 10400),
        price_of(6, TG_OUTPUT, 50300),
        price_of(7, TG_INPUT, 7000),
    };
    const struct price_list list = { .rows = rows, .count = sizeof(rows) / sizeof(rows[0]) };
    struct err err = { "" };

    rows[2].unit = rows[3].unit = PRICE_CALL;
    rows[3].model = SPAN("container");
    rows[4].model = rows[5].model = rows[6].model = SPAN("gpt-big");
    rows[6].ctx_min = 1000;
    ck_assert_msg(book_build(&list, &book, &err) == TG_OK, "%s", err.text);
    kind = (struct tg_kind){ .name = "openai", .book = "openai" };
    request = (struct tg_request){ .choices = 1 };
    dialect = (struct tg_dialect){ .name = "test" };
}

static void teardown(void)
{
    book_free(book);
}

static struct meter_call call_of(void)
{
    return (struct meter_call){
        .dialect = &dialect,
        .request = &request,
        .kind = &kind,
        .book = book,
        .model = SPAN("gpt-test"),
        .body_bytes = BODY_BYTES,
        .at_ms = AT_MS,
    };
}

static struct meter_bound bound_of(void)
{
    const struct meter_call call = call_of();
    struct meter_bound bound;

    ck_assert_int_eq(meter_bound(&call, &bound), TG_OK);
    return bound;
}

/* --- before --- */

START_TEST(a_bound_is_the_bytes_in_and_the_maximum_out)
{
    struct meter_bound bound;

    request.flags = TG_REQUEST_MAX_GIVEN;
    request.max_output_tokens = 100;
    request.choices = 3;
    kind.added_tokens = 7;
    bound = bound_of();
    ck_assert_int_eq(bound.input_tokens, BODY_BYTES + 7);
    ck_assert_int_eq(bound.output_tokens, 300);
    ck_assert_int_eq(bound.nusd, BODY_BYTES + 7 + 600);
    ck_assert_uint_eq(bound.flags, 0);
}
END_TEST

START_TEST(a_bound_says_what_it_does_not_know)
{
    struct meter_bound bound;

    request.flags = TG_REQUEST_FETCHES;
    bound = bound_of();
    ck_assert_int_eq(bound.input_tokens, METER_CONTEXT_UNKNOWN);
    ck_assert_int_eq(bound.output_tokens, METER_OUTPUT_CEILING);
    ck_assert_uint_eq(bound.flags, LEDGER_UNBOUNDED | LEDGER_CEILING_UNKNOWN);
    kind.book = NULL;
    bound = bound_of();
    ck_assert_uint_eq(bound.flags & LEDGER_UNPRICED, LEDGER_UNPRICED);
    ck_assert_int_eq(bound.nusd, 0);
}
END_TEST

START_TEST(the_largest_maximum_times_the_most_choices_is_cut_not_wrapped)
{
    request.flags = TG_REQUEST_MAX_GIVEN;
    request.max_output_tokens = INT32_MAX;
    request.choices = TG_CHOICES_MAX;
    ck_assert_int_eq(bound_of().output_tokens, TG_COUNT_MAX);
}
END_TEST

/* --- after --- */

enum { STREAM = 1, UNMETERED = 2, GONE = 4 };

struct ending {
    const char *name;
    int how;
    enum meter_end end;
    int http_status;
    uint32_t answer_flags;
    int64_t told_input, told_output; /* by the provider */
    int64_t text_bytes;
    /* what must come of it */
    enum ledger_source source;
    enum ledger_outcome outcome;
    int64_t input, output;
    uint32_t flags;
};

#define USAGE      TG_ANSWER_HAS_USAGE
#define COMPLETE   TG_ANSWER_IS_COMPLETE
#define ERROR      TG_ANSWER_IS_ERROR
#define FROM(x)    LEDGER_SOURCE_##x
#define OUTCOME(x) LEDGER_OUTCOME_##x
#define EST        LEDGER_ESTIMATED
#define UPERR      LEDGER_UPSTREAM_ERROR
#define MAX_OUT    1000

static const struct ending endings[] = {
    { "plain, told", 0, METER_ENDED, 200, USAGE | COMPLETE, 90, 10, 40, FROM(PROVIDER), OUTCOME(OK),
      90, 10, 0 },
    { "stream, told", STREAM, METER_ENDED, 200, USAGE | COMPLETE, 90, 10, 40, FROM(PROVIDER),
      OUTCOME(OK), 90, 10, LEDGER_STREAM },
    { "stream, not told", STREAM, METER_ENDED, 200, COMPLETE, 0, 0, 40, FROM(ESTIMATED),
      OUTCOME(OK), 100, 10, LEDGER_STREAM | EST },
    { "stream without text", STREAM, METER_ENDED, 200, COMPLETE, 0, 0, 0, FROM(ESTIMATED),
      OUTCOME(OK), 100, 1, LEDGER_STREAM | EST },
    { "plain, not told", 0, METER_ENDED, 200, COMPLETE, 0, 0, 41, FROM(ESTIMATED), OUTCOME(OK), 100,
      11, EST },
    { "an error after 200 is not generated text", 0, METER_ENDED, 200, ERROR, 0, 0, 0,
      FROM(ESTIMATED), OUTCOME(UPSTREAM_ERROR), 100, 0, EST | UPERR },
    { "4xx", 0, METER_ENDED, 400, ERROR, 0, 0, 0, FROM(PROVIDER), OUTCOME(UPSTREAM_ERROR), 0, 0,
      UPERR },
    { "5xx in a stream", STREAM, METER_ENDED, 529, ERROR, 0, 0, 0, FROM(PROVIDER),
      OUTCOME(UPSTREAM_ERROR), 0, 0, LEDGER_STREAM | UPERR },
    { "an error page that is no JSON", UNMETERED, METER_ENDED, 502, TG_ANSWER_UNREADABLE, 0, 0, 0,
      FROM(PROVIDER), OUTCOME(UPSTREAM_ERROR), 0, 0, UPERR },
    { "4xx cut short", 0, METER_BROKEN, 429, 0, 0, 0, 0, FROM(PROVIDER), OUTCOME(UPSTREAM_ERROR), 0,
      0, UPERR },
    { "redirect", 0, METER_BROKEN, 302, 0, 0, 0, 0, FROM(PROVIDER), OUTCOME(UPSTREAM_ERROR), 0, 0,
      UPERR },
    { "4xx with usage", 0, METER_ENDED, 400, USAGE | ERROR, 90, 0, 0, FROM(PROVIDER),
      OUTCOME(UPSTREAM_ERROR), 90, 0, UPERR },
    { "never answered", 0, METER_BROKEN, 0, 0, 0, 0, 0, FROM(CEILING), OUTCOME(UPSTREAM_ERROR),
      BODY_BYTES, MAX_OUT, EST | UPERR },
    { "stream never answered", STREAM, METER_BROKEN, 0, 0, 0, 0, 0, FROM(CEILING),
      OUTCOME(UPSTREAM_ERROR), BODY_BYTES, MAX_OUT, LEDGER_STREAM | EST | UPERR },
    { "plain, broken off", 0, METER_BROKEN, 200, 0, 0, 0, 0, FROM(CEILING), OUTCOME(UPSTREAM_ERROR),
      BODY_BYTES, MAX_OUT, EST | UPERR },
    { "stream, broken off", STREAM, METER_BROKEN, 200, 0, 0, 0, 400, FROM(ESTIMATED),
      OUTCOME(UPSTREAM_ERROR), 100, 100, LEDGER_STREAM | EST | UPERR },
    { "stream, broken off behind its end", STREAM, METER_BROKEN, 200, USAGE | COMPLETE, 90, 10, 400,
      FROM(PROVIDER), OUTCOME(UPSTREAM_ERROR), 90, 10, LEDGER_STREAM | UPERR },
    { "counts so far are no last word", STREAM, METER_BROKEN, 200, USAGE, 90, 1, 400,
      FROM(ESTIMATED), OUTCOME(UPSTREAM_ERROR), 90, 100, LEDGER_STREAM | EST | UPERR },
    { "counts so far may be the more", STREAM | GONE, METER_LEFT, 200, USAGE, 90, 150, 400,
      FROM(ESTIMATED), OUTCOME(CLIENT_GONE), 90, 150, LEDGER_STREAM | EST | LEDGER_CLIENT_GONE },
    { "a record of nothing beside text", STREAM, METER_ENDED, 200, USAGE | COMPLETE, 0, 0, 40,
      FROM(ESTIMATED), OUTCOME(OK), 100, 10, LEDGER_STREAM | EST | LEDGER_USAGE_DOUBTFUL },
    { "a record that an error has followed", STREAM, METER_ENDED, 200,
      USAGE | ERROR | TG_ANSWER_SO_FAR, 90, 1, 400, FROM(ESTIMATED), OUTCOME(UPSTREAM_ERROR), 90,
      100, LEDGER_STREAM | EST | UPERR },
    { "a record from before the end", STREAM, METER_ENDED, 200, USAGE | COMPLETE | TG_ANSWER_SO_FAR,
      90, 1, 400, FROM(ESTIMATED), OUTCOME(OK), 90, 100, LEDGER_STREAM | EST },
    { "stream, left before its head", STREAM | GONE, METER_LEFT, 0, 0, 0, 0, 0, FROM(ESTIMATED),
      OUTCOME(CLIENT_GONE), 100, 1, LEDGER_STREAM | EST | LEDGER_CLIENT_GONE },
    { "stream, left and stopped", STREAM | GONE, METER_LEFT, 200, 0, 0, 0, 80, FROM(ESTIMATED),
      OUTCOME(CLIENT_GONE), 100, 20, LEDGER_STREAM | EST | LEDGER_CLIENT_GONE },
    { "stream, left and read on", STREAM | GONE, METER_ENDED, 200, USAGE | COMPLETE, 90, 10, 40,
      FROM(PROVIDER), OUTCOME(CLIENT_GONE), 90, 10, LEDGER_STREAM | LEDGER_CLIENT_GONE },
    { "plain, left and read too long", GONE, METER_LEFT, 200, 0, 0, 0, 0, FROM(CEILING),
      OUTCOME(CLIENT_GONE), BODY_BYTES, MAX_OUT, EST | LEDGER_CLIENT_GONE },
    { "encoded", UNMETERED, METER_ENDED, 200, 0, 0, 0, 0, FROM(CEILING), OUTCOME(OK), BODY_BYTES,
      MAX_OUT, EST },
    { "stream read in part, told all the same", STREAM | UNMETERED, METER_ENDED, 200,
      USAGE | COMPLETE, 90, 10, 40, FROM(PROVIDER), OUTCOME(OK), 90, 10, LEDGER_STREAM },
    { "not sent", 0, METER_NOT_SENT, 0, 0, 0, 0, 0, FROM(PROVIDER), OUTCOME(UPSTREAM_ERROR), 0, 0,
      UPERR | LEDGER_NOT_SENT },
    { "left before it was sent", STREAM | GONE, METER_NOT_SENT, 0, 0, 0, 0, 0, FROM(PROVIDER),
      OUTCOME(CLIENT_GONE), 0, 0, LEDGER_STREAM | LEDGER_CLIENT_GONE | LEDGER_NOT_SENT },
    { "doubtful", 0, METER_ENDED, 200, USAGE | COMPLETE | TG_ANSWER_DOUBTFUL, 90, 10, 40,
      FROM(PROVIDER), OUTCOME(OK), 90, 10, LEDGER_USAGE_DOUBTFUL },
    { "more than the bound", 0, METER_ENDED, 200, USAGE | COMPLETE, 90, MAX_OUT + 1, 40,
      FROM(PROVIDER), OUTCOME(OK), 90, MAX_OUT + 1, LEDGER_OVERRUN },
    { "more in than the bound", 0, METER_ENDED, 200, USAGE | COMPLETE, BODY_BYTES + 1, 1, 4,
      FROM(PROVIDER), OUTCOME(OK), BODY_BYTES + 1, 1, LEDGER_OVERRUN },
};

static void charge_of(const struct ending *e, struct ledger_charge *charge)
{
    struct tg_answer answer = { .flags = e->answer_flags, .output_bytes = e->text_bytes };
    struct meter_bound bound;
    struct meter_call call;

    request.flags = TG_REQUEST_MAX_GIVEN | ((e->how & STREAM) != 0 ? TG_REQUEST_STREAM : 0u);
    request.max_output_tokens = MAX_OUT;
    answer.usage.count[TG_INPUT] = e->told_input;
    answer.usage.count[TG_OUTPUT] = e->told_output;
    answer.usage.prompt_tokens = e->told_input;
    bound = bound_of();
    call = call_of();
    *charge = (struct ledger_charge){ 0 };
    meter_charge(&call,
                 &(struct meter_attempt){ .answer = &answer,
                                          .bound = &bound,
                                          .end = e->end,
                                          .http_status = e->http_status,
                                          .is_unmetered = (e->how & UNMETERED) != 0,
                                          .client_left = (e->how & GONE) != 0 },
                 charge);
    ck_assert_int_eq(charge->hold_nusd, bound.nusd);
}

START_TEST(each_ending_has_its_charge)
{
    const struct ending *e = &endings[_i];
    struct ledger_charge charge;

    charge_of(e, &charge);
    ck_assert_msg(charge.source == e->source, "%s: source %s", e->name,
                  ledger_source_name(charge.source));
    ck_assert_msg(charge.outcome == e->outcome, "%s: outcome %s", e->name,
                  ledger_outcome_name(charge.outcome));
    ck_assert_msg(charge.usage.count[TG_INPUT] == e->input, "%s: input %lld", e->name,
                  (long long)charge.usage.count[TG_INPUT]);
    ck_assert_msg(charge.usage.count[TG_OUTPUT] == e->output, "%s: output %lld", e->name,
                  (long long)charge.usage.count[TG_OUTPUT]);
    ck_assert_msg(charge.flags == e->flags, "%s: flags %x, not %x", e->name, charge.flags,
                  e->flags);
    ck_assert_int_eq(charge.cost_nusd, e->input + 2 * e->output);
    ck_assert_int_eq(charge.provider_cost_nusd, charge.cost_nusd);
}
END_TEST

START_TEST(what_generated_text_is_never_free)
{
    struct ending e = { .how = STREAM, .http_status = 200, .text_bytes = 1 };

    for (int end = METER_ENDED; end <= METER_LEFT; end++) {
        for (uint32_t flags = 0; flags < 1u << 8; flags++) {
            struct ledger_charge charge;

            if ((flags & TG_ANSWER_HAS_COST) != 0)
                continue;
            e.end = (enum meter_end)end;
            e.answer_flags = flags;
            charge_of(&e, &charge);
            ck_assert_int_gt(charge.cost_nusd, 0);
            ck_assert_int_gt(charge.usage.count[TG_OUTPUT], 0);
        }
    }
}
END_TEST

START_TEST(the_providers_own_charge_stands_beside_the_books)
{
    struct tg_answer answer = { .flags = USAGE | COMPLETE | TG_ANSWER_HAS_COST,
                                .provider_cost_nusd = 77 };
    const struct meter_bound bound = bound_of();
    const struct meter_call call = call_of();
    struct ledger_charge charge = { 0 };

    answer.usage.count[TG_INPUT] = 5;
    meter_charge(&call,
                 &(struct meter_attempt){
                     .answer = &answer, .bound = &bound, .end = METER_ENDED, .http_status = 200 },
                 &charge);
    ck_assert_int_eq(charge.cost_nusd, 5);
    ck_assert_int_eq(charge.provider_cost_nusd, 77);
    ck_assert_int_eq(charge.rate_count, 1);
    ck_assert_int_eq(charge.rates[0].price_id, 1);
}
END_TEST

/* --- parts that other models made --- */

static void put_part(struct tg_answer *answer, const char *model, int64_t input, int64_t output)
{
    struct tg_iteration *part = &answer->iterations[answer->iteration_count++];

    part->model.len = strlen(model);
    memcpy(part->model.text, model, part->model.len);
    part->usage.count[TG_INPUT] = input;
    part->usage.count[TG_OUTPUT] = output;
    part->usage.prompt_tokens = input;
    answer->usage.count[TG_INPUT] += input;
    answer->usage.count[TG_OUTPUT] += output;
}

static void charge_answer(const struct tg_answer *answer, enum meter_end end,
                          struct ledger_charge *charge)
{
    const struct meter_bound bound = { .input_tokens = 100000,
                                       .output_tokens = 100000,
                                       .nusd = INT64_MAX };
    const struct meter_call call = call_of();

    *charge = (struct ledger_charge){ 0 };
    meter_charge(&call,
                 &(struct meter_attempt){
                     .answer = answer, .bound = &bound, .end = end, .http_status = 200 },
                 charge);
}

static int64_t rated(const struct ledger_charge *charge, int64_t price_id)
{
    for (int i = 0; i < charge->rate_count; i++)
        if (charge->rates[i].price_id == price_id)
            return charge->rates[i].count;
    return -1;
}

START_TEST(each_part_is_charged_at_its_own_model_and_prompt)
{
    struct tg_answer answer = { .flags = USAGE | COMPLETE };
    struct ledger_charge charge;

    put_part(&answer, "", 10, 3);
    put_part(&answer, "gpt-big", 7, 1);
    put_part(&answer, "gpt-big", 1000, 2); /* above the step of its price */
    put_part(&answer, "gpt-test", 5, 0);
    charge_answer(&answer, METER_ENDED, &charge);
    /* pusd: 10*1000 + 3*2000 + 7*10400 + 3*50300 + 1000*7000 + 5*1000 = 7244700 */
    ck_assert_int_eq(charge.cost_nusd, 7245);
    ck_assert_int_eq(charge.usage.count[TG_INPUT], 1022);
    ck_assert_uint_eq(charge.flags, 0);
    ck_assert_int_eq(rated(&charge, 1), 15);
    ck_assert_int_eq(rated(&charge, 2), 3);
    ck_assert_int_eq(rated(&charge, 5), 7);
    ck_assert_int_eq(rated(&charge, 6), 3);
    ck_assert_int_eq(rated(&charge, 7), 1000);
    ck_assert_int_eq(charge.rate_count, 5);
}
END_TEST

START_TEST(parts_at_one_price_are_rated_as_one)
{
    struct tg_answer answer = { .flags = USAGE | COMPLETE };
    struct ledger_charge charge;

    put_part(&answer, "", 10, 3);
    put_part(&answer, "", 20, 4);
    charge_answer(&answer, METER_ENDED, &charge);
    ck_assert_int_eq(charge.cost_nusd, 30 + 14);
    ck_assert_int_eq(charge.rate_count, 2);
    ck_assert_int_eq(rated(&charge, 1), 0); /* all of it */
    ck_assert_int_eq(rated(&charge, 2), 0);
}
END_TEST

START_TEST(a_part_of_an_unknown_model_is_charged_as_the_answers_and_said_so)
{
    struct tg_answer answer = { .flags = USAGE | COMPLETE };
    struct ledger_charge charge;

    put_part(&answer, "gpt-new", 10, 0);
    charge_answer(&answer, METER_ENDED, &charge);
    ck_assert_int_eq(charge.cost_nusd, 10);
    ck_assert_uint_eq(charge.flags, LEDGER_PRICE_FALLBACK);
}
END_TEST

START_TEST(an_estimate_is_not_taken_apart)
{
    struct tg_answer answer = { .flags = USAGE | TG_ANSWER_SO_FAR, .output_bytes = 400 };
    struct ledger_charge charge;

    request.flags |= TG_REQUEST_STREAM;
    put_part(&answer, "gpt-big", 10, 3);
    charge_answer(&answer, METER_BROKEN, &charge);
    ck_assert_int_eq(charge.source, LEDGER_SOURCE_ESTIMATED);
    ck_assert_int_eq(charge.usage.count[TG_OUTPUT], 100);
    ck_assert_int_eq(charge.cost_nusd, 10 + 200);
}
END_TEST

START_TEST(a_model_without_a_price_is_said_to_be)
{
    struct ledger_charge charge;

    kind.book = NULL;
    charge_of(&endings[0], &charge);
    ck_assert_int_eq(charge.cost_nusd, 0);
    ck_assert_uint_eq(charge.flags, LEDGER_UNPRICED);
    ck_assert_int_eq(charge.usage.count[TG_INPUT], 90);
}
END_TEST

START_TEST(what_is_free_has_no_bound_and_no_charge)
{
    struct ledger_charge charge;

    dialect.flags = TG_DIALECT_IS_FREE;
    request.flags = TG_REQUEST_FETCHES;
    ck_assert_int_eq(bound_of().input_tokens, 0);
    ck_assert_int_eq(bound_of().nusd, 0);
    ck_assert_uint_eq(bound_of().flags, 0);
    charge_of(&endings[_i], &charge);
    ck_assert_int_eq(charge.cost_nusd, 0);
    ck_assert_int_eq(tg_usage_input_tokens(&charge.usage), 0);
    ck_assert_int_eq(tg_usage_output_tokens(&charge.usage), 0);
    ck_assert_int_eq(charge.source, LEDGER_SOURCE_PROVIDER);
    ck_assert_int_eq(charge.outcome, endings[_i].outcome);
    ck_assert_uint_eq(charge.flags & (EST | LEDGER_OVERRUN | LEDGER_UNPRICED), 0);
}
END_TEST

/* What the provider says it charged is believed all the same. */
START_TEST(where_no_token_comes_out_none_is_held_or_estimated)
{
    const struct ending *e = &endings[_i];
    struct ledger_charge charge;

    dialect.flags = TG_DIALECT_INPUT_ONLY;
    ck_assert_int_eq(bound_of().output_tokens, 0);
    ck_assert_int_eq(bound_of().nusd, BODY_BYTES);
    ck_assert_uint_eq(bound_of().flags, 0);
    charge_of(e, &charge);
    ck_assert_int_eq(charge.usage.count[TG_INPUT], e->input);
    if (e->source != LEDGER_SOURCE_PROVIDER && (e->answer_flags & USAGE) == 0)
        ck_assert_int_eq(charge.usage.count[TG_OUTPUT], 0);
}
END_TEST

/* Fees of a model and of the provider, told with the usage or seen before the answer broke off. */
START_TEST(fees_are_charged_also_where_the_tokens_are_estimated)
{
    struct tg_answer answer = { .output_bytes = 8 };
    const struct meter_bound bound = bound_of();
    const struct meter_call call = call_of();
    struct ledger_charge charge = { 0 };

    request.flags = TG_REQUEST_STREAM;
    answer.usage.count[TG_WEB_SEARCH] = 3;
    answer.usage.count[TG_CODE_SESSION] = 1;
    answer.flags = _i == 0 ? USAGE | COMPLETE : 0;
    answer.usage.count[TG_OUTPUT] = _i == 0 ? 2 : 0;
    meter_charge(&call,
                 &(struct meter_attempt){ .answer = &answer,
                                          .bound = &bound,
                                          .end = _i == 0 ? METER_ENDED : METER_LEFT,
                                          .http_status = 200 },
                 &charge);
    ck_assert_int_eq(charge.source, _i == 0 ? LEDGER_SOURCE_PROVIDER : LEDGER_SOURCE_ESTIMATED);
    ck_assert_int_eq(charge.usage.count[TG_WEB_SEARCH], 3);
    ck_assert_int_eq(charge.usage.count[TG_CODE_SESSION], 1);
    ck_assert_int_eq(charge.cost_nusd, 30000000 + 30000000 + (_i == 0 ? 4 : BODY_BYTES / 4 + 4));
    ck_assert_uint_eq(charge.flags & LEDGER_UNPRICED, 0);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("meter");
    TCase *tcase = tcase_create("meter");
    const int count = sizeof(endings) / sizeof(endings[0]);

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_bound_is_the_bytes_in_and_the_maximum_out);
    tcase_add_test(tcase, a_bound_says_what_it_does_not_know);
    tcase_add_test(tcase, the_largest_maximum_times_the_most_choices_is_cut_not_wrapped);
    tcase_add_loop_test(tcase, each_ending_has_its_charge, 0, count);
    tcase_add_test(tcase, what_generated_text_is_never_free);
    tcase_add_test(tcase, the_providers_own_charge_stands_beside_the_books);
    tcase_add_test(tcase, each_part_is_charged_at_its_own_model_and_prompt);
    tcase_add_test(tcase, parts_at_one_price_are_rated_as_one);
    tcase_add_test(tcase, a_part_of_an_unknown_model_is_charged_as_the_answers_and_said_so);
    tcase_add_test(tcase, an_estimate_is_not_taken_apart);
    tcase_add_test(tcase, a_model_without_a_price_is_said_to_be);
    tcase_add_loop_test(tcase, fees_are_charged_also_where_the_tokens_are_estimated, 0, 2);
    tcase_add_loop_test(tcase, what_is_free_has_no_bound_and_no_charge, 0, count);
    tcase_add_loop_test(tcase, where_no_token_comes_out_none_is_held_or_estimated, 0, count);
    suite_add_tcase(all, tcase);
    return all;
}
