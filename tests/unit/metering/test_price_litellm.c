/* Goal: a price of LiteLLM's map is read to the pico-dollar from the digits that stand there, and a
 * map with a fault is refused by the line, the model and the field. Method: tables of numbers
 * worked out by hand around each edge; maps with one fault each. */
#include "metering/price_litellm.h"

#include "support/suites.h"

#define NOW INT64_C(1795478400000) /* 2026-11-24T00:00:00Z */

static const struct {
    const char *text;
    int64_t pusd; /* -1: refused */
    bool is_rounded;
} numbers[] = {
    { "0", 0, false },
    { "0.0", 0, false },
    { "3e-06", 3000000, false },
    { "3E-6", 3000000, false },
    { "0.000003", 3000000, false },
    { "2.5e-07", 250000, false },
    { "1.25e-6", 1250000, false },
    { "3.625e-9", 3625, false },
    { "1e-12", 1, false },
    { "5e-13", 0, true },  /* half: to even */
    { "15e-13", 2, true }, /* half: to even */
    { "25e-13", 2, true }, /* half: to even */
    { "2.500001e-12", 3, true },
    { "4e-13", 0, true },
    { "9.99999e-13", 1, true },
    { "1.0000000000000001e-06", 1000000, true },
    { "7.500000000000001e-08", 75000, true },
    { "1e-400", 0, true },
    { "5", INT64_C(5000000000000), false },
    { "5.0000000000001", INT64_C(5000000000000), true },
    { "5.000000000001", -1, false },
    { "6", -1, false },
    { "1e300", -1, false },
    { "1e9999", -1, false },
    { "0e9", 0, false },
    { "-1", -1, false },
    { "1.", -1, false },
    { ".5", -1, false },
    { "1e", -1, false },
    { "abc", -1, false },
    { "", -1, false },
};

START_TEST(reads_a_number_digit_by_digit)
{
    int64_t pusd = -1;
    bool is_rounded = false;

    ck_assert(litellm_number(span_from(numbers[_i].text), &pusd, &is_rounded) ==
              (numbers[_i].pusd >= 0));
    ck_assert_int_eq(pusd, numbers[_i].pusd);
    if (numbers[_i].pusd >= 0)
        ck_assert(is_rounded == numbers[_i].is_rounded);
}
END_TEST

static const char map[] =
    "{\n\"sample_spec\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": 0},\n"
    "\"gpt-x\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": 2.5e-06,\n"
    "  \"output_cost_per_token\": 1e-05, \"supports\": [{\"a\": [1]}], \"max_tokens\": 4096,\n"
    "  \"cache_read_input_token_cost\": null, \"input_cost_per_token_batches\": 1.25e-06},\n"
    "\"gemini/gemini-x\": {\"input_cost_per_token_above_200k_tokens\": 5e-06,\n"
    "  \"litellm_provider\": \"gemini\"},\n"
    "\"other\": {\"litellm_provider\": \"somebody\", \"input_cost_per_token\": 1}\n}\n";

START_TEST(a_map_becomes_rows)
{
    static const struct {
        const char *provider;
        const char *model;
        enum tg_class class;
        enum price_tier tier;
        int64_t ctx_min;
        int64_t pusd;
    } rows[] = {
        { "openai", "gpt-x", TG_INPUT, PRICE_STANDARD, 0, 2500000 },
        { "openai", "gpt-x", TG_OUTPUT, PRICE_STANDARD, 0, 10000000 },
        { "openai", "gpt-x", TG_INPUT, PRICE_BATCH, 0, 1250000 },
        { "google", "gemini-x", TG_INPUT, PRICE_STANDARD, 200001, 5000000 },
    };
    AUTO(price_list) list;
    struct litellm_count count;
    struct err err = { "" };

    price_list_init(&list);
    ck_assert_msg(litellm_parse(span_from(map), NOW, &list, &count, &err) == TG_OK, "%s", err.text);
    ck_assert_uint_eq(list.count, sizeof(rows) / sizeof(rows[0]));
    ck_assert_int_eq(count.models, 3);
    ck_assert_int_eq(count.skipped, 1);
    for (size_t i = 0; i < list.count; i++) {
        const struct price *row = &list.rows[i];

        ck_assert(span_equal(row->provider, span_from(rows[i].provider)));
        ck_assert(span_equal(row->model, span_from(rows[i].model)));
        ck_assert_int_eq(row->class, rows[i].class);
        ck_assert_int_eq(row->tier, rows[i].tier);
        ck_assert_int_eq(row->ctx_min, rows[i].ctx_min);
        ck_assert_int_eq(row->unit_price_pusd, rows[i].pusd);
        ck_assert_int_eq(row->valid_from_ms, NOW);
        ck_assert(row->is_override);
    }
}
END_TEST

static const struct {
    const char *json;
    const char *message;
} wrong[] = {
    { "[]", "model map line 1: must be a JSON object" },
    { "", "model map line 1: must be a JSON object" },
    { "{\n\"a\": 1}", "model map line 2: a: it must be an object" },
    { "{\n\n\"a\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": \"1\"}}",
      "model map line 3: a: input_cost_per_token must be a number from 0 to 5" },
    { "{\"a\": {\"input_cost_per_token\": -1e-6}}",
      "model map line 1: a: input_cost_per_token must be a number from 0 to 5" },
    { "{\"a\": {\"output_cost_per_token\": 6}}",
      "model map line 1: a: output_cost_per_token must be a number from 0 to 5" },
    { "{\"a\": {\"input_cost_per_token\": 1, \"input_cost_per_token\": 1}}",
      "model map line 1: a: input_cost_per_token may be given once" },
    { "{\"a\": {\"currency\": \"CNY\"}}", "model map line 1: a: currency must be USD" },
    { "{\"a\": {}", "model map line 1: is not valid JSON" },
    { "{\"a\": {}} x", "model map line 1: is not valid JSON" },
};

START_TEST(a_map_with_a_fault_is_refused_by_its_line)
{
    AUTO(price_list) list;
    struct litellm_count count;
    struct err err = { "" };

    price_list_init(&list);
    ck_assert_int_eq(litellm_parse(span_from(wrong[_i].json), NOW, &list, &count, &err),
                     TG_INVALID);
    ck_assert_str_eq(err.text, wrong[_i].message);
}
END_TEST

#define LEN(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *suite(void)
{
    Suite *s = suite_create("metering/price_litellm");
    TCase *c = tcase_create("all");

    tcase_add_loop_test(c, reads_a_number_digit_by_digit, 0, LEN(numbers));
    tcase_add_test(c, a_map_becomes_rows);
    tcase_add_loop_test(c, a_map_with_a_fault_is_refused_by_its_line, 0, LEN(wrong));
    suite_add_tcase(s, c);
    return s;
}
