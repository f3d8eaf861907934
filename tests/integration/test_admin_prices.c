/* Goal: an owner's prices take effect for the calls that come after, and for no others; an import
 * is one change or none; what is told of a price is what the book does. Method: the real listener
 * over a real database with the whole book; the book in force asked directly after each request. */
#include "base/clock.h"
#include "metering/price_store.h"
#include "pricing/seed.h"
#include "store/reader.h"
#include "support/suites.h"
#include "support/support_admin.h"

#include "tollgate/embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct support_admin admin;

static enum tg_status seed(struct db *db, void *context, struct err *err)
{
    const struct tg_embedded_file *file =
        tg_embedded_find(tg_migrations, tg_migration_count, "prices.csv");

    (void)context;
    return book_seed(db, span_of((const char *)file->bytes, file->len), file->sha256,
                     clock_wall_ms(), err);
}

static void refresh(void)
{
    AUTO(reader) reader = { 0 };
    struct err err = { "" };

    ck_assert_int_eq(reader_enter(&reader, admin.parts.readers, &err), TG_OK);
    ck_assert_msg(price_store_refresh(admin.prices, reader.db, &err) == TG_OK, "%s", err.text);
}

static void start(void)
{
    support_admin_start(&admin);
    ck_assert_int_eq(support_run(&admin.book, seed, NULL), TG_OK);
    refresh();
}

static void stop(void)
{
    support_admin_stop(&admin);
}

static struct support_reply *ask(const char *method, const char *path, const char *body)
{
    static struct support_reply reply;

    support_reply_fini(&reply);
    support_ask(&admin, &(struct support_ask){ .method = method, .path = path, .body = body },
                &reply);
    return &reply;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static int64_t number(const cJSON *object, const char *name)
{
    const cJSON *item = member(object, name);

    ck_assert_msg(cJSON_IsNumber(item), "%s", name);
    return item->valueint;
}

/* What the calls of a team are priced at now; -1: by nothing. */
static int64_t pusd_of(const char *provider, const char *model, enum tg_class class, int32_t team,
                       enum book_side side)
{
    AUTO(price_stay) stay = price_stay_begin(admin.prices);
    const struct book_model *found =
        book_match(stay.book, span_from(provider), span_from(model), NULL);
    const struct book_query query = { .at_ms = clock_wall_ms(), .team_id = team, .side = side };
    struct cost_rates rates;

    if (found == NULL)
        return -1;
    book_rates(found, &query, &rates);
    return rates.rate[class].price_id == 0 ? -1 : rates.rate[class].unit_price_pusd;
}

static int64_t input_pusd(const char *model)
{
    return pusd_of("openai", model, TG_INPUT, 0, BOOK_CHARGE);
}

START_TEST(a_price_of_ones_own_holds_at_once_until_it_is_ended)
{
    const int64_t listed = input_pusd("gpt-4o");
    const struct support_reply *reply;
    char path[64];

    ck_assert_int_gt(listed, 0);
    reply = ask("POST", "/api/v1/prices",
                "{\"provider\":\"openai\",\"model\":\"gpt-4o\",\"class\":\"input\","
                "\"per_million\":\"1.75\",\"note\":\"contract\"}");
    ck_assert_msg(reply->http == 201, "%s", reply->text);
    ck_assert_str_eq(support_text(reply->json, "unit_price"), "0.00000175");
    ck_assert_str_eq(support_text(reply->json, "origin"), "override");
    (void)snprintf(path, sizeof(path), "/api/v1/prices/%d", (int)number(reply->json, "id"));
    ck_assert_int_eq(input_pusd("gpt-4o"), 1750000);
    ck_assert_int_eq(ask("DELETE", path, NULL)->http, 204);
    ck_assert_int_eq(input_pusd("gpt-4o"), listed);
    ck_assert_int_eq(ask("DELETE", path, NULL)->http, 204); /* ended it is */
    reply = ask("GET", path, NULL);
    ck_assert_int_eq(reply->http, 200);
    ck_assert(cJSON_IsString(member(reply->json, "valid_until")));
    ck_assert_int_eq(ask("DELETE", "/api/v1/prices/1", NULL)->http, 409);
    ck_assert_int_eq(ask("DELETE", "/api/v1/prices/999999", NULL)->http, 404);
    ck_assert_int_eq(ask("GET", "/api/v1/prices/x", NULL)->http, 404);
}
END_TEST

START_TEST(a_newer_price_takes_the_place_of_the_one_before)
{
    static const char *const bodies[] = {
        "{\"provider\":\"openai\",\"model\":\"gpt-own\",\"class\":\"input\",\"unit_price\":\"0\"}",
        "{\"provider\":\"openai\",\"model\":\"gpt-own\",\"class\":\"input\","
        "\"unit_price\":\"0.000002\"}",
        "{\"provider\":\"openai\",\"model\":\"gpt-own\",\"class\":\"input\","
        "\"unit_price\":\"0.000003\",\"valid_from\":\"2099-01-01\"}",
    };

    ck_assert_int_eq(input_pusd("gpt-own"), -1);
    ck_assert_int_eq(ask("POST", "/api/v1/prices", bodies[0])->http, 201);
    ck_assert_int_eq(input_pusd("gpt-own"), 0); /* free, and known to be */
    ck_assert_int_eq(ask("POST", "/api/v1/prices", bodies[1])->http, 201);
    ck_assert_int_eq(input_pusd("gpt-own"), 2000000);
    ck_assert_int_eq(ask("POST", "/api/v1/prices", bodies[2])->http, 201);
    ck_assert_int_eq(input_pusd("gpt-own"), 2000000);
    ck_assert_int_eq(
        cJSON_GetArraySize(member(ask("GET", "/api/v1/prices?model=GPT-OWN", NULL)->json, "data")),
        3);
    ck_assert_int_eq(
        cJSON_GetArraySize(member(
            ask("GET", "/api/v1/prices?model=gpt-own&as_of=2099-06-01", NULL)->json, "data")),
        1);
}
END_TEST

START_TEST(a_team_has_its_price_and_the_provider_its_own)
{
    char team[ID_TEXT_SIZE];
    char body[512];
    int32_t row;

    support_team(&admin, "alpha", team);
    row = (int32_t)support_book_number(&admin.book, "SELECT id FROM team WHERE name = 'alpha'");
    (void)snprintf(body, sizeof(body),
                   "{\"provider\":\"openai\",\"model\":\"gpt-4o\",\"class\":\"output\","
                   "\"unit_price\":\"0.000001\",\"team_id\":\"%s\"}",
                   team);
    ck_assert_int_eq(ask("POST", "/api/v1/prices", body)->http, 201);
    ck_assert_int_eq(pusd_of("openai", "gpt-4o", TG_OUTPUT, row, BOOK_CHARGE), 1000000);
    ck_assert_int_eq(pusd_of("openai", "gpt-4o", TG_OUTPUT, row, BOOK_COST), 10000000);
    ck_assert_int_eq(pusd_of("openai", "gpt-4o", TG_OUTPUT, row + 1, BOOK_CHARGE), 10000000);
    (void)snprintf(body, sizeof(body), "/api/v1/prices?team=%s", team);
    ck_assert_int_eq(cJSON_GetArraySize(member(ask("GET", body, NULL)->json, "data")), 1);
    ck_assert_int_eq(ask("POST", "/api/v1/prices",
                         "{\"provider\":\"openai\",\"model\":\"gpt-4o\",\"class\":\"output\","
                         "\"unit_price\":\"0\",\"team_id\":\"team_none\"}")
                         ->http,
                     404);
}
END_TEST

START_TEST(a_markup_holds_until_it_is_ended)
{
    const struct support_reply *reply =
        ask("POST", "/api/v1/prices/markups",
            "{\"side\":\"charge\",\"factor\":\"1.2\",\"provider\":\"openai\",\"model\":\"gpt-*\"}");

    ck_assert_msg(reply->http == 201, "%s", reply->text);
    ck_assert_str_eq(support_text(reply->json, "factor"), "1.2");
    reply = ask("GET", "/api/v1/prices/match?provider=openai&model=gpt-4o", NULL);
    ck_assert_str_eq(support_text(cJSON_GetArrayItem(member(reply->json, "classes"), 0), "factor"),
                     "1.2");
    ck_assert_int_eq(ask("DELETE", "/api/v1/prices/markups/1", NULL)->http, 204);
    ck_assert_int_eq(ask("DELETE", "/api/v1/prices/markups/2", NULL)->http, 404);
    reply = ask("GET", "/api/v1/prices/match?provider=openai&model=gpt-4o", NULL);
    ck_assert_str_eq(support_text(cJSON_GetArrayItem(member(reply->json, "classes"), 0), "factor"),
                     "1");
    ck_assert_int_eq(
        cJSON_GetArraySize(member(ask("GET", "/api/v1/prices/markups", NULL)->json, "data")), 1);
}
END_TEST

static const struct {
    const char *path;
    const char *body;
    const char *pointer;
} refusals[] = {
#define OF "{\"provider\":\"openai\",\"model\":\"gpt-4o\",\"class\":\"input\","
    { "/api/v1/prices", OF "\"unit_price\":\"-1\"}", "/unit_price" },
    { "/api/v1/prices", OF "\"unit_price\":\"5.000000000001\"}", "/unit_price" },
    { "/api/v1/prices", OF "\"unit_price\":\"0.0000000000001\"}", "/unit_price" },
    { "/api/v1/prices", OF "\"per_million\":\"0.0000001\"}", "/per_million" },
    { "/api/v1/prices", OF "\"unit_price\":\"1\",\"per_million\":\"1\"}", "/unit_price" },
    { "/api/v1/prices", "{\"provider\":\"openai\",\"model\":\"m\",\"class\":\"in\"}", "/class" },
    { "/api/v1/prices", OF "\"unit_price\":\"1\",\"unit\":\"page\"}", "/unit" },
    { "/api/v1/prices", OF "\"unit_price\":\"1\",\"tier\":\"turbo\"}", "/tier" },
    { "/api/v1/prices", OF "\"unit_price\":\"1\",\"valid_from\":\"2026-13-01\"}", "/valid_from" },
    { "/api/v1/prices",
      OF "\"unit_price\":\"1\",\"valid_from\":\"2026-02-01\",\"valid_until\":\"2026-01-01\"}",
      "/valid_until" },
    { "/api/v1/prices", OF "\"unit_price\":\"1\",\"utc_window\":\"noon\"}", "/utc_window" },
    { "/api/v1/prices",
      "{\"provider\":\"Open AI\",\"model\":\"m\",\"class\":\"input\",\"unit_price\":\"1\"}",
      "/provider" },
    { "/api/v1/prices/markups", "{\"side\":\"both\",\"factor\":\"1\"}", "/side" },
    { "/api/v1/prices/markups", "{\"side\":\"charge\",\"factor\":\"100.1\"}", "/factor" },
    { "/api/v1/prices/markups", "{\"side\":\"charge\",\"factor\":\"0.00001\"}", "/factor" },
    { "/api/v1/prices/markups", "{\"side\":\"cost\",\"factor\":\"1\",\"team_id\":\"team_x\"}",
      "/team_id" },
    { "/api/v1/prices/markups", "{\"side\":\"cost\",\"factor\":\"1\",\"model\":\"a*b\"}",
      "/model" },
    { "/api/v1/prices/import", "{\"format\":\"xml\",\"text\":\"\"}", "/format" },
};

START_TEST(a_wrong_field_is_named)
{
    const struct support_reply *reply = ask("POST", refusals[_i].path, refusals[_i].body);
    const cJSON *errors = member(reply->json, "errors");

    ck_assert_msg(reply->http == 400, "%s", reply->text);
    ck_assert_str_eq(support_text(cJSON_GetArrayItem(errors, 0), "pointer"), refusals[_i].pointer);
}
END_TEST

START_TEST(a_match_tells_the_rule_and_the_rows)
{
    const struct support_reply *reply =
        ask("GET", "/api/v1/prices/match?provider=anthropic&model=claude-opus-5-20310101", NULL);
    const cJSON *input = cJSON_GetArrayItem(member(reply->json, "classes"), 0);

    ck_assert_int_eq(reply->http, 200);
    ck_assert_str_eq(support_text(reply->json, "rule"), "dated");
    ck_assert_str_eq(support_text(reply->json, "model"), "claude-opus-5");
    ck_assert_str_eq(support_text(input, "class"), "input");
    ck_assert_str_eq(support_text(input, "unit_price"), "0.000005");
    ck_assert_str_eq(support_text(member(input, "price"), "model"), "claude-opus-5");
    reply = ask("GET", "/api/v1/prices/match?provider=anthropic&model=claude-none", NULL);
    ck_assert_str_eq(support_text(reply->json, "rule"), "none");
    ck_assert(cJSON_IsNull(member(reply->json, "model")));
    ck_assert_int_eq(ask("GET", "/api/v1/prices/match?provider=openai", NULL)->http, 400);
}
END_TEST

/* --- import --- */

/* A body with the file's lines as a JSON string. */
static const char *import_body(const char *format, const char *text, bool is_dry_run)
{
    static char body[16384];
    AUTO(buf) out = { 0 };
    struct json_writer w;

    buf_init(&out, sizeof(body));
    json_begin(&w, &out);
    json_open_object(&w, NULL);
    json_string(&w, "format", format);
    json_string(&w, "text", text);
    json_bool(&w, "dry_run", is_dry_run);
    json_int(&w, "change_percent", 10);
    json_close_object(&w);
    ck_assert_int_eq(buf_status(&out), TG_OK);
    memcpy(body, buf_span(&out).ptr, buf_len(&out));
    body[buf_len(&out)] = '\0';
    return body;
}

static const char good[] = SEED_HEADER
    "\n"
    "openai,gpt-4o,input,token,3000000,standard,0,,,,,2026-11-24,,page,\n"   /* 2.50: 20 % more */
    "openai,gpt-4o,output,token,10000000,standard,0,,,,,2026-11-24,,page,\n" /* the same */
    "openai,gpt-4.1,input,token,2100000,standard,0,,,,,2026-11-24,,page,\n"  /* 2.00: 5 % more */
    "openai,gpt-own,input,token,7,standard,0,,,,,2026-11-24,,page,\n";       /* new */

START_TEST(an_import_tells_the_differences_and_sets_them_once)
{
    const struct support_reply *reply =
        ask("POST", API_IMPORT_PATH, import_body("csv", good, /* is_dry_run= */ true));

    ck_assert_msg(reply->http == 200, "%s", reply->text);
    ck_assert_int_eq(number(reply->json, "rows"), 4);
    ck_assert_int_eq(number(reply->json, "set"), 0);
    ck_assert_int_eq(number(reply->json, "new_count"), 1);
    ck_assert_int_eq(number(reply->json, "changed_count"), 1); /* by more than 10 % */
    ck_assert_int_eq(number(reply->json, "unchanged"), 1);
    ck_assert_int_gt(number(reply->json, "vanished_count"), 1000);
    ck_assert_str_eq(
        support_text(cJSON_GetArrayItem(member(reply->json, "changed"), 0), "unit_price_before"),
        "0.0000025");
    ck_assert_int_eq(input_pusd("gpt-own"), -1);

    reply = ask("POST", API_IMPORT_PATH, import_body("csv", good, /* is_dry_run= */ false));
    ck_assert_int_eq(number(reply->json, "set"), 3);
    ck_assert_int_eq(input_pusd("gpt-own"), 7);
    ck_assert_int_eq(input_pusd("gpt-4o"), 3000000);
    ck_assert_int_eq(input_pusd("gpt-4.1"), 2100000);
    reply = ask("POST", API_IMPORT_PATH, import_body("csv", good, /* is_dry_run= */ false));
    ck_assert_int_eq(number(reply->json, "set"), 0);
    ck_assert_int_eq(number(reply->json, "unchanged"), 4);
}
END_TEST

static const struct {
    const char *format;
    const char *text;
    const char *detail;
} faults[] = {
    { "csv", "provider,model\n", "file line 1: must be " SEED_HEADER },
#define ROW "openai,gpt-own,input,token,7,standard,0,,,,,2026-11-24,,page,\n"
    { "csv", SEED_HEADER "\n" ROW "openai,gpt-x,input,token,7,standard,0,,,2026-1-1,,,,page,\n",
      "file line 3: from must be a date (YYYY-MM-DD) or empty" },
    { "csv", SEED_HEADER "\n" ROW ROW, "file line 3: prices the same at the same time as line 2" },
    { "csv",
      SEED_HEADER "\n" ROW
                  "openai,gpt-x,input,token,5000000000001,standard,0,,,,,2026-11-24,,page,\n",
      "file line 3: pico_usd must be a whole number up to 5000000000000" },
    { "csv",
      SEED_HEADER SEED_CURRENCY "\nopenai,m,input,token,7,standard,0,,,,,2026-11-24,,page,,EUR\n",
      "file line 2: currency must be USD" },
    { "litellm",
      "{\"gpt-own\":{\"litellm_provider\":\"openai\",\"input_cost_per_token\":1e-6},\n"
      "\"b\":{\"input_cost_per_token\":-1}}",
      "model map line 2: b: input_cost_per_token must be a number from 0 to 5" },
    { "litellm",
      "{\"gpt-own\":{\"litellm_provider\":\"azure\",\"input_cost_per_token\":1e-6},\n"
      "\"azure/gpt-own\":{\"litellm_provider\":\"azure\",\"input_cost_per_token\":2e-6}}",
      "model map: gpt-own has two prices for input" },
};

START_TEST(an_import_with_a_fault_changes_nothing)
{
    const int64_t before = support_book_number(&admin.book, "SELECT count(*) FROM price");
    const struct support_reply *reply =
        ask("POST", API_IMPORT_PATH, import_body(faults[_i].format, faults[_i].text, false));

    ck_assert_msg(reply->http == 400, "%s", reply->text);
    ck_assert_str_eq(support_text(reply->json, "detail"), faults[_i].detail);
    ck_assert_int_eq(support_book_number(&admin.book, "SELECT count(*) FROM price"), before);
    ck_assert_int_eq(input_pusd("gpt-own"), -1);
}
END_TEST

START_TEST(lists_are_paged_and_filtered)
{
    const struct support_reply *reply = ask("GET", "/api/v1/prices?provider=sandbox&limit=3", NULL);
    char path[128];

    ck_assert_int_eq(cJSON_GetArraySize(member(reply->json, "data")), 3);
    (void)snprintf(path, sizeof(path), "/api/v1/prices?provider=sandbox&limit=3&after=%s",
                   support_text(reply->json, "next_cursor"));
    reply = ask("GET", path, NULL);
    ck_assert_int_eq(cJSON_GetArraySize(member(reply->json, "data")), 1);
    ck_assert(cJSON_IsFalse(member(reply->json, "has_more")));
    ck_assert_int_eq(ask("GET", "/api/v1/prices?origin=mine", NULL)->http, 400);
    ck_assert_int_eq(ask("GET", "/api/v1/prices?after=x", NULL)->http, 400);
}
END_TEST

#define LEN(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *suite(void)
{
    Suite *s = suite_create("admin_prices");
    TCase *c = tcase_create("prices");

    tcase_add_checked_fixture(c, start, stop);
    tcase_set_timeout(c, 30);
    tcase_add_test(c, a_price_of_ones_own_holds_at_once_until_it_is_ended);
    tcase_add_test(c, a_newer_price_takes_the_place_of_the_one_before);
    tcase_add_test(c, a_team_has_its_price_and_the_provider_its_own);
    tcase_add_test(c, a_markup_holds_until_it_is_ended);
    tcase_add_loop_test(c, a_wrong_field_is_named, 0, LEN(refusals));
    tcase_add_test(c, a_match_tells_the_rule_and_the_rows);
    tcase_add_test(c, an_import_tells_the_differences_and_sets_them_once);
    tcase_add_loop_test(c, an_import_with_a_fault_changes_nothing, 0, LEN(faults));
    tcase_add_test(c, lists_are_paged_and_filtered);
    suite_add_tcase(s, c);
    return s;
}
