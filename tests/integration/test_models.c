/* Goal: what is known of models comes with the program and is taken in once, a newer file replaces
 * it and leaves what owners have set alone, and an owner's change is stored, shown and seen by the
 * worker loops. Method: a database below build/, small files, the file itself read by other code;
 * the real admin listener, and the snapshot that the loops read. */
#include "base/clock.h"
#include "pricing/model.h"
#include "pricing/model_seed.h"
#include "store/stmt.h"
#include "store/txn.h"
#include "support/suites.h"
#include "support/support_admin.h"
#include "tollgate/embedded.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEADER MODEL_SEED_HEADER "\n"
#define NOW_MS INT64_C(1795478400000)

/* --- the file -----------------------------------------------------------------------------------
 */

static struct support_book book;

static void place(void)
{
    support_book_place(&book);
    ck_assert_msg(support_book_try_open(&book, /* with_writer= */ false) == TG_OK, "%s",
                  book.err.text);
}

static void remove_it(void)
{
    support_book_close(&book);
    support_book_remove(&book);
}

/* hash: one letter, for 64 of it */
static enum tg_status seed(const char *text, char hash, struct err *err)
{
    AUTO(txn) txn = { 0 };
    char sha256[65] = { 0 };
    enum tg_status status;

    memset(sha256, hash, 64);
    ck_assert_int_eq(txn_begin(&txn, book.db, err), TG_OK);
    status = model_seed(book.db, span_from(text), sha256, NOW_MS, err);
    return status == TG_OK ? txn_commit(&txn, err) : status;
}

static void must_seed(const char *text, char hash)
{
    struct err err = { 0 };

    ck_assert_msg(seed(text, hash, &err) == TG_OK, "%s", err.text);
}

static void run(const char *sql)
{
    AUTO(txn) txn = { 0 };
    struct err err = { 0 };

    ck_assert_int_eq(txn_begin(&txn, book.db, &err), TG_OK);
    ck_assert_msg(stmt_run_script(book.db, sql, &err) == TG_OK, "%s", err.text);
    ck_assert_msg(txn_commit(&txn, &err) == TG_OK, "%s", err.text);
}

static int64_t number(const char *sql)
{
    return support_book_number(&book, sql);
}

static struct model_facts *load(void)
{
    struct model_facts *facts = NULL;
    struct err err = { 0 };

    ck_assert_msg(model_facts_load(book.db, &facts, &err) == TG_OK, "%s", err.text);
    return facts;
}

static const struct tg_embedded_file *seed_file(void)
{
    const struct tg_embedded_file *file =
        tg_embedded_find(tg_migrations, tg_migration_count, "models.csv");

    ck_assert_ptr_nonnull(file);
    return file;
}

static int64_t start_us(void)
{
    AUTO(txn) txn = { 0 };
    struct err err = { 0 };
    const int64_t begin_us = clock_monotonic_us();

    ck_assert_int_eq(txn_begin(&txn, book.db, &err), TG_OK);
    ck_assert_msg(model_seed(book.db, span_of((const char *)seed_file()->bytes, seed_file()->len),
                             seed_file()->sha256, NOW_MS, &err) == TG_OK,
                  "%s", err.text);
    ck_assert_msg(txn_commit(&txn, &err) == TG_OK, "%s", err.text);
    return clock_monotonic_us() - begin_us;
}

/* No field of the file is quoted, so that cutting at commas reads it. */
static size_t compare_with_file(const struct model_facts *facts)
{
    struct span rest = span_of((const char *)seed_file()->bytes, seed_file()->len);
    struct span line;
    size_t count = 0;

    (void)span_cut(&rest, '\n', &line);
    while (span_cut(&rest, '\n', &line)) {
        struct span field[10] = { SPAN_EMPTY };
        const struct model *model;
        struct span at = line;
        int64_t value = 0;

        for (int i = 0; i < 10; i++)
            (void)span_cut(&at, ',', &field[i]);
        model = model_facts_find(facts, field[0], field[1]);
        ck_assert_msg(model != NULL, "%.*s", SPAN_ARG(line));
        (void)span_to_int64(field[3], INT64_MAX, &value);
        ck_assert_msg(model->context_tokens == value, "%.*s", SPAN_ARG(line));
        value = 0;
        (void)span_to_int64(field[4], INT64_MAX, &value);
        ck_assert_msg(model->max_output_tokens == value, "%.*s", SPAN_ARG(line));
        ck_assert_msg(model->is_reasoning == span_equal(field[5], SPAN("1")), "%.*s",
                      SPAN_ARG(line));
        ck_assert_msg(span_equal(field[6], model->output_field != NULL
                                               ? span_from(model->output_field)
                                               : SPAN_EMPTY),
                      "%.*s", SPAN_ARG(line));
        value = 0;
        (void)span_to_int64(field[7], INT64_MAX, &value);
        ck_assert_msg(model->default_output_tokens == value, "%.*s", SPAN_ARG(line));
        count++;
    }
    return count;
}

START_TEST(the_first_start_takes_the_whole_file_and_the_second_nothing)
{
    AUTO_PTR(model_facts) facts = NULL;
    const int64_t first_us = start_us();
    const int64_t ids = number("SELECT sum(id * revision) FROM model");
    const int64_t second_us = start_us();
    size_t count;

    ck_assert_int_eq(number("SELECT sum(id * revision) FROM model"), ids);
    facts = load();
    count = compare_with_file(facts);
    ck_assert_uint_gt(count, 2000);
    ck_assert_int_eq(model_facts_count(facts), (int64_t)count);
    ck_assert_int_eq(number("SELECT row_count FROM model_seed"), (int64_t)count);
    ck_assert_msg(first_us < 1000000 && second_us < 100000, "%" PRId64 " us, then %" PRId64 " us",
                  first_us, second_us);
}
END_TEST

START_TEST(a_newer_file_replaces_what_came_and_leaves_what_owners_set)
{
    AUTO_PTR(model_facts) facts = NULL;
    const struct model *model;

    must_seed(HEADER "p,kept,chat,100,10,0,max_tokens,,L,L\n"
                     "p,gone,chat,100,10,0,max_tokens,,L,L\n"
                     "p,gone-owned,chat,100,10,1,max_tokens,7,L,L\n",
              'a');
    run("UPDATE model SET own_context_tokens = 5 WHERE name = 'kept' /* scan */;"
        "UPDATE model SET own_is_free = 1 WHERE name = 'gone-owned' /* scan */;"
        "INSERT INTO model (provider, name, match_name, origin, own_max_output_tokens) "
        "VALUES ('p', 'New', 'new', 'owner', 9);"
        "INSERT INTO model (provider, name, match_name, origin) "
        "VALUES ('p', 'taken-back', 'taken-back', 'owner')");
    must_seed(HEADER "p,kept,chat,200,,1,max_completion_tokens,3,PM,\n"
                     "p,new,chat,300,30,0,,,L,L\n",
              'b');
    facts = load();
    ck_assert_int_eq(model_facts_count(facts), 3);
    model = model_facts_find(facts, SPAN("p"), SPAN("kept"));
    ck_assert_int_eq(model->context_tokens, 5);
    ck_assert_int_eq(model->max_output_tokens, 0);
    ck_assert_str_eq(model->output_field, "max_completion_tokens");
    ck_assert_int_eq(model->default_output_tokens, 3);
    ck_assert(model->is_reasoning);
    model = model_facts_find(facts, SPAN("p"), SPAN("new"));
    ck_assert_int_eq(model->context_tokens, 300);
    ck_assert_int_eq(model->max_output_tokens, 9);
    model = model_facts_find(facts, SPAN("p"), SPAN("gone-owned"));
    ck_assert(model->is_free);
    ck_assert_int_eq(model->context_tokens, 0);
    ck_assert_int_eq(model->default_output_tokens, 0);
    ck_assert(!model->is_reasoning);
    ck_assert_int_eq(number("SELECT count(*) FROM model WHERE origin = 'owner'"), 1);
}
END_TEST

START_TEST(an_older_program_brings_its_file_back)
{
    AUTO_PTR(model_facts) facts = NULL;

    must_seed(HEADER "p,m,chat,100,10,0,,,L,L\n", 'a');
    must_seed(HEADER "p,m,chat,200,20,0,,,L,L\n", 'b');
    must_seed(HEADER "p,m,chat,100,10,0,,,L,L\n", 'a');
    facts = load();
    ck_assert_int_eq(model_facts_find(facts, SPAN("p"), SPAN("m"))->context_tokens, 100);
}
END_TEST

START_TEST(a_wrong_file_is_refused_by_its_line_and_changes_nothing)
{
    static const struct {
        const char *text;
        const char *why;
    } wrong[] = {
        { "", "line 1: must be provider,model" },
        { "provider,model\n", "line 1: must be provider,model" },
        { HEADER "p,m,chat,100,10,0,,,L\n", "line 2: 9 fields, not 10" },
        { HEADER "p,m,chat,0,10,0,,,L,L\n", "line 2: context_tokens" },
        { HEADER "p,m,chat,-1,10,0,,,L,L\n", "line 2: context_tokens" },
        { HEADER "p,m,chat,100,1e3,0,,,L,L\n", "line 2: context_tokens" },
        { HEADER "p,m,chat,100,1000000001,0,,,L,L\n", "line 2: context_tokens" },
        { HEADER "p,m,chat,100,10,yes,,,L,L\n", "line 2: reasoning" },
        { HEADER "p,m,chat,100,10,0,max_output,,L,L\n", "line 2: output_field" },
        { HEADER "P P,m,chat,100,10,0,,,L,L\n", "line 2: provider" },
        { HEADER "p,,chat,100,10,0,,,L,L\n", "line 2: model" },
        { HEADER "p,m,chat,100,10,0,,,L,L\np,n,chat,1,1,0,,,L,L\np,M,chat,1,1,0,,,L,L\n",
          "line 4: names a model that an earlier line has" },
    };

    must_seed(HEADER "p,kept,chat,100,10,0,max_tokens,,L,L\n", 'a');
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct err err = { 0 };

        ck_assert_int_eq(seed(wrong[i].text, 'b', &err), TG_INVALID);
        ck_assert_msg(strstr(err.text, wrong[i].why) != NULL, "%s", err.text);
        ck_assert_int_eq(number("SELECT sum(context_tokens) FROM model WHERE name = 'kept'"), 100);
        ck_assert_int_eq(number("SELECT count(*) FROM model"), 1);
    }
}
END_TEST

/* --- the API ------------------------------------------------------------------------------------
 */

static struct support_admin admin;

static const char small_file[] = HEADER "beta,Gpt-9,chat,1000,100,1,max_completion_tokens,,PM,L\n"
                                        "beta,team/gpt-9:free,chat,,,0,,,,\n"
                                        "alpha,gpt-9,chat,2000,,0,,16,,\n"
                                        "alpha,other,embedding,300,,0,,,L,\n";

static enum tg_status fill(struct db *db, void *context, struct err *err)
{
    char sha256[65] = { 0 };

    (void)context;
    memset(sha256, 'a', 64);
    const enum tg_status status = model_seed(db, span_from(small_file), sha256, NOW_MS, err);

    if (status != TG_OK)
        return status;
    return stmt_run_script(db,
                           "INSERT INTO price (provider, model, component, unit, unit_price_pusd, "
                           "origin) VALUES ('beta', 'Gpt-9', 'input', 'token', 1, 'seed'), "
                           "('paid', 'x', 'input', 'token', 1, 'seed');"
                           "INSERT INTO price (provider, model, component, unit, unit_price_pusd, "
                           "origin, valid_until_ms) VALUES ('alpha', 'gpt-9', 'input', 'token', 1, "
                           "'seed', 1000)",
                           err);
}

static void start(void)
{
    support_admin_start(&admin);
    ck_assert_msg(support_run(&admin.book, fill, NULL) == TG_OK, "%s", admin.book.err.text);
}

static void stop(void)
{
    support_admin_stop(&admin);
}

/* Ask as the owner, by the socket; the reply lives until the next. */
static struct support_reply *ask(const char *method, const char *path, const char *body)
{
    static struct support_reply reply;

    support_reply_fini(&reply);
    support_ask(&admin, &(struct support_ask){ .method = method, .path = path, .body = body },
                &reply);
    return &reply;
}

static const cJSON *member(const struct support_reply *reply, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(reply->json, name);
}

/* The ids of a list, one a line. */
static const char *ids_of(const struct support_reply *reply)
{
    static char ids[1024];
    const cJSON *row;
    size_t len = 0;

    ck_assert_msg(reply->http == 200, "%s", reply->text);
    ids[0] = '\0';
    cJSON_ArrayForEach(row, member(reply, "data"))
    {
        len += (size_t)snprintf(ids + len, sizeof(ids) - len, "%s\n", support_text(row, "id"));
    }
    return ids;
}

/* What the worker loops see. */
static const struct model *published(const char *provider, const char *name)
{
    return model_facts_find(model_store_get(admin.models), span_from(provider), span_from(name));
}

START_TEST(models_are_listed_by_provider_and_name)
{
    char path[128];
    const struct support_reply *reply = ask("GET", "/api/v1/models", NULL);

    ck_assert_str_eq(ids_of(reply), "alpha:gpt-9\nalpha:other\nbeta:Gpt-9\nbeta:team/gpt-9:free\n");
    ck_assert_str_eq(ids_of(ask("GET", "/api/v1/models?provider=beta", NULL)),
                     "beta:Gpt-9\nbeta:team/gpt-9:free\n");
    ck_assert_str_eq(ids_of(ask("GET", "/api/v1/models?q=GPT-9", NULL)),
                     "alpha:gpt-9\nbeta:Gpt-9\nbeta:team/gpt-9:free\n");
    ck_assert_str_eq(ids_of(ask("GET", "/api/v1/models?q=%25", NULL)), "");
    ck_assert_str_eq(ids_of(ask("GET", "/api/v1/models?provider=beta&q=free", NULL)),
                     "beta:team/gpt-9:free\n");
    ck_assert_str_eq(ids_of(ask("GET", "/api/v1/models?provider=none", NULL)), "");
    reply = ask("GET", "/api/v1/models?limit=2", NULL);
    ck_assert_str_eq(ids_of(reply), "alpha:gpt-9\nalpha:other\n");
    ck_assert(cJSON_IsTrue(member(reply, "has_more")));
    (void)snprintf(path, sizeof(path), "/api/v1/models?limit=2&after=%s",
                   support_text(reply->json, "next_cursor"));
    reply = ask("GET", path, NULL);
    ck_assert_str_eq(ids_of(reply), "beta:Gpt-9\nbeta:team/gpt-9:free\n");
    ck_assert(cJSON_IsFalse(member(reply, "has_more")));
    ck_assert_int_eq(ask("GET", "/api/v1/models?after=alpha", NULL)->http, 400);
    ck_assert_int_eq(ask("GET", "/api/v1/models?after=999999", NULL)->http, 400);
    ck_assert_int_eq(ask("GET", "/api/v1/models?limit=201", NULL)->http, 400);
}
END_TEST

START_TEST(a_model_is_read_by_its_id)
{
    static const char expected[] =
        "{\"id\":\"beta:Gpt-9\",\"provider\":\"beta\",\"model\":\"Gpt-9\",\"kind\":\"chat\","
        "\"context_tokens\":1000,\"max_output_tokens\":100,"
        "\"output_field\":\"max_completion_tokens\",\"default_output_tokens\":null,"
        "\"is_reasoning\":true,\"free\":false,\"ceiling_price_usd_per_million_tokens\":null,"
        "\"has_price\":true,\"source\":\"seed\",\"overrides\":[],\"context_sources\":\"PM\","
        "\"output_sources\":\"L\",\"changed_at\":null}";
    static const struct {
        const char *id;
        int http;
    } ids[] = {
        { "beta%3AGpt-9", 200 },
        { "beta:Gpt-9", 200 },
        { "beta:models%2FGPT-9", 200 },
        { "beta%3Ateam%2Fgpt-9%3Afree", 200 },
        { "beta:team/gpt-9:free", 404 }, /* '/' must be encoded */
        { "beta:none", 404 },
        { "none:Gpt-9", 404 },
        { "beta", 404 },
        { "beta:", 404 },
        { ":Gpt-9", 404 },
        { "beta%3", 404 },
        { "beta%3AGpt-9%00", 404 },
        { "beta:Gpt+9", 404 },
    };

    ck_assert_str_eq(ask("GET", "/api/v1/models/beta%3AGpt-9", NULL)->text, expected);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char path[128];

        (void)snprintf(path, sizeof(path), "/api/v1/models/%s", ids[i].id);
        ck_assert_msg(ask("GET", path, NULL)->http == ids[i].http, "%s", ids[i].id);
    }
    /* A price that has ended is none. */
    ck_assert(cJSON_IsFalse(member(ask("GET", "/api/v1/models/alpha:gpt-9", NULL), "has_price")));
}
END_TEST

START_TEST(an_owners_change_is_stored_shown_and_seen_by_the_loops)
{
    const char *path = "/api/v1/models/beta%3AGpt-9";
    const struct support_reply *reply =
        ask("PATCH", path,
            "{\"context_tokens\":5000,\"output_field\":\"max_tokens\","
            "\"ceiling_price_usd_per_million_tokens\":\"1.25\"}");

    ck_assert_msg(reply->http == 200, "%s", reply->text);
    ck_assert_int_eq((int)cJSON_GetNumberValue(member(reply, "context_tokens")), 5000);
    ck_assert_int_eq((int)cJSON_GetNumberValue(member(reply, "max_output_tokens")), 100);
    ck_assert_str_eq(support_text(reply->json, "ceiling_price_usd_per_million_tokens"), "1.25");
    ck_assert_str_eq(support_text(reply->json, "source"), "owner");
    ck_assert_int_eq(cJSON_GetArraySize(member(reply, "overrides")), 3);
    ck_assert_str_ne(support_text(reply->json, "changed_at"), "");
    ck_assert_int_eq(published("beta", "gpt-9")->context_tokens, 5000);
    ck_assert_int_eq(published("beta", "gpt-9")->ceiling_price_pusd, 1250000);
    ck_assert_str_eq(published("beta", "gpt-9")->output_field, "max_tokens");
    /* What is not said stays; null brings the file's back. */
    reply = ask("PATCH", path, "{\"context_tokens\":null,\"free\":true}");
    ck_assert_int_eq((int)cJSON_GetNumberValue(member(reply, "context_tokens")), 1000);
    ck_assert_str_eq(support_text(reply->json, "output_field"), "max_tokens");
    ck_assert(published("beta", "gpt-9")->is_free);
    reply = ask("PATCH", path,
                "{\"output_field\":null,\"free\":null,"
                "\"ceiling_price_usd_per_million_tokens\":null}");
    ck_assert_str_eq(support_text(reply->json, "source"), "seed");
    ck_assert_str_eq(support_text(reply->json, "output_field"), "max_completion_tokens");
    ck_assert(!published("beta", "gpt-9")->is_free);
    ck_assert_int_eq(published("beta", "gpt-9")->context_tokens, 1000);
}
END_TEST

START_TEST(a_model_that_no_file_has_is_an_owners_to_add)
{
    ck_assert_int_eq(ask("PATCH", "/api/v1/models/alpha:new", "{\"max_output_tokens\":77}")->http,
                     200);
    ck_assert_int_eq(published("alpha", "new")->max_output_tokens, 77);
    ck_assert_int_eq(ask("PATCH", "/api/v1/models/paid:x", "{\"free\":true}")->http, 200);
    ck_assert_int_eq(ask("PATCH", "/api/v1/models/local:llama", "{\"free\":true}")->http, 404);
    ck_assert_int_eq(ask("POST", "/api/v1/providers",
                         "{\"name\":\"local\",\"kind\":\"openai-compatible\","
                         "\"base_url\":\"http://127.0.0.1:1/v1\"}")
                         ->http,
                     201);
    ck_assert_int_eq(ask("PATCH", "/api/v1/models/local:llama", "{\"free\":true}")->http, 200);
    ck_assert(
        model_facts_find_own(model_store_get(admin.models), SPAN("local"), SPAN("llama"))->is_free);
    ck_assert_int_eq(ask("GET", "/api/v1/models/local:llama", NULL)->http, 200);
}
END_TEST

START_TEST(what_cannot_be_set_is_refused_at_its_field)
{
    static const struct {
        const char *body;
        const char *pointer;
    } wrong[] = {
        { "{\"context_tokens\":0}", "/context_tokens" },
        { "{\"context_tokens\":\"1000\"}", "/context_tokens" },
        { "{\"context_tokens\":1000000001}", "/context_tokens" },
        { "{\"max_output_tokens\":1.5}", "/max_output_tokens" },
        { "{\"output_field\":\"n\"}", "/output_field" },
        { "{\"free\":1}", "/free" },
        { "{\"ceiling_price_usd_per_million_tokens\":\"0\"}",
          "/ceiling_price_usd_per_million_tokens" },
        { "{\"ceiling_price_usd_per_million_tokens\":\"-1\"}",
          "/ceiling_price_usd_per_million_tokens" },
        { "{\"ceiling_price_usd_per_million_tokens\":\"0.0000001\"}",
          "/ceiling_price_usd_per_million_tokens" },
        { "{\"ceiling_price_usd_per_million_tokens\":\"5000001\"}",
          "/ceiling_price_usd_per_million_tokens" },
        { "{\"ceiling_price_usd_per_million_tokens\":1.5}",
          "/ceiling_price_usd_per_million_tokens" },
        { "{\"is_free\":true}", "/is_free" },
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct support_reply *reply =
            ask("PATCH", "/api/v1/models/beta:Gpt-9", wrong[i].body);

        ck_assert_msg(reply->http == 400, "%s: %d", wrong[i].body, reply->http);
        ck_assert_str_eq(support_text(cJSON_GetArrayItem(member(reply, "errors"), 0), "pointer"),
                         wrong[i].pointer);
    }
    ck_assert_int_eq(ask("PATCH", "/api/v1/models/beta", "{\"free\":true}")->http, 404);
    ck_assert_int_eq(ask("PATCH", "/api/v1/models/Beta:x", "{\"free\":true}")->http, 404);
    ck_assert_str_eq(support_text(ask("GET", "/api/v1/models/beta:gpt-9", NULL)->json, "source"),
                     "seed");
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("models");
    TCase *file = tcase_create("file");
    TCase *api = tcase_create("api");

    tcase_add_checked_fixture(file, place, remove_it);
    tcase_add_test(file, the_first_start_takes_the_whole_file_and_the_second_nothing);
    tcase_add_test(file, a_newer_file_replaces_what_came_and_leaves_what_owners_set);
    tcase_add_test(file, an_older_program_brings_its_file_back);
    tcase_add_test(file, a_wrong_file_is_refused_by_its_line_and_changes_nothing);
    suite_add_tcase(all, file);
    tcase_add_checked_fixture(api, start, stop);
    tcase_add_test(api, models_are_listed_by_provider_and_name);
    tcase_add_test(api, a_model_is_read_by_its_id);
    tcase_add_test(api, an_owners_change_is_stored_shown_and_seen_by_the_loops);
    tcase_add_test(api, a_model_that_no_file_has_is_an_owners_to_add);
    tcase_add_test(api, what_cannot_be_set_is_refused_at_its_field);
    suite_add_tcase(all, api);
    return all;
}
