#include "admin/prices.h"

#include "admin/input.h"
#include "base/clock.h"
#include "base/money.h"
#include "base/try.h"
#include "metering/price_import.h"
#include "metering/price_job.h"
#include "metering/price_store.h"
#include "pricing/table.h"
#include "providers/catalogue.h"
#include "routing/provider.h"
#include "store/reader.h"

#include <stdio.h>

#define MILLION INT64_C(1000000)

/* --- one price -------------------------------------------------------------------------------- */

static void put_until(struct json_writer *w, int64_t until_ms)
{
    json_time(w, "valid_until", until_ms == PRICE_FOREVER ? 0 : until_ms);
}

static void put_price(struct json_writer *w, const char *name, const struct price *price)
{
    json_open_object(w, name);
    json_int(w, "id", price->id);
    json_text(w, "provider", price->provider);
    json_text(w, "model", price->model);
    json_string(w, "class", tg_class_name(price->class));
    json_string(w, "unit", price_unit_name(price->unit));
    json_pusd(w, "unit_price", price->unit_price_pusd);
    json_pusd(w, "per_million", (__int128)price->unit_price_pusd * MILLION);
    json_string(w, "tier", price_tier_name(price->tier));
    json_int(w, "ctx_min", price->ctx_min);
    json_optional(w, "variant", price->variant);
    json_optional(w, "utc_window", price->utc_window);
    json_time(w, "valid_from", price->valid_from_ms);
    put_until(w, price->valid_until_ms);
    json_string(w, "origin", price->is_override ? "override" : "seed");
    json_optional(w, "team_id", price->team_public_id);
    json_optional(w, "as_of", price->as_of);
    json_optional(w, "sources", price->sources);
    json_optional(w, "status", price->status);
    json_optional(w, "dissent", price->dissent);
    json_close_object(w);
}

static bool parse_id(struct span text, int64_t *ret_id)
{
    return span_to_int64(text, INT64_MAX, ret_id) && *ret_id > 0;
}

static enum tg_status answer_price(struct api_call *call, int64_t id, bool is_new)
{
    const struct table_query query = { .id = id, .limit = 1, .as_of_ms = -1 };
    AUTO(reader) reader = { 0 };
    AUTO(price_list) list;
    struct json_writer w;
    char location[64];

    price_list_init(&list);
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(table_list(reader.db, &query, &list, &call->err));
    if (list.count == 0)
        return api_fail(call, TG_NOT_FOUND, "", "there is no such price");
    (void)snprintf(location, sizeof(location), "/api/v1/prices/%lld", (long long)id);
    if (is_new)
        api_begin_created(call, &w, location);
    else
        api_begin(call, &w);
    put_price(&w, NULL, &list.rows[0]);
    return TG_OK;
}

enum tg_status prices_get(struct api_call *call)
{
    int64_t id;

    TRY(input_query(call, NULL, 0));
    if (!parse_id(call->id, &id))
        return api_fail(call, TG_NOT_FOUND, "", "there is no such price");
    return answer_price(call, id, /* is_new= */ false);
}

/* --- the list --------------------------------------------------------------------------------- */

static enum tg_status read_list(struct api_call *call, struct table_query *query)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    struct span origin = SPAN_EMPTY;
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "provider", .kind = INPUT_TEXT, .ret = &query->provider },
        { .name = "model", .kind = INPUT_TEXT, .ret = &query->model },
        { .name = "class", .kind = INPUT_TEXT, .ret = &query->component },
        { .name = "tier", .kind = INPUT_TEXT, .ret = &query->tier },
        { .name = "origin", .kind = INPUT_TEXT, .ret = &origin },
        { .name = "team", .kind = INPUT_TEXT, .ret = &query->team_public_id },
        { .name = "as_of", .kind = INPUT_TIME, .ret = &query->as_of_ms },
    };

    query->as_of_ms = -1;
    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    if (span_equal(origin, SPAN("seed")))
        query->origin = 1;
    else if (span_equal(origin, SPAN("override")))
        query->origin = 2;
    else if (origin.len > 0)
        return api_fail(call, TG_INVALID, "?origin", "origin must be seed or override");
    if (page.after.len > 0 && !parse_id(page.after, &query->after_id))
        return api_fail(call, TG_INVALID, "?after", "after must be the next_cursor of a list");
    query->limit = page.limit + 1; /* one more than is shown: whether there are more */
    return TG_OK;
}

enum tg_status prices_list(struct api_call *call)
{
    struct table_query query = { 0 };
    AUTO(reader) reader = { 0 };
    AUTO(price_list) rows;
    struct api_list list;
    bool has_more;

    price_list_init(&rows);
    TRY(read_list(call, &query));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(table_list(reader.db, &query, &rows, &call->err));
    has_more = rows.count == (size_t)query.limit;
    api_list_begin(&list, call);
    for (size_t i = 0; i < rows.count && (int64_t)i < query.limit - 1; i++) {
        put_price(&list.w, NULL, &rows.rows[i]);
        (void)snprintf(list.last, sizeof(list.last), "%lld", (long long)rows.rows[i].id);
    }
    api_list_end(&list, has_more);
    return TG_OK;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Change, then let the calls see it. */
static enum tg_status change(struct api_call *call, struct price_job *job)
{
    AUTO(reader) reader = { 0 };
    struct err why = { 0 };
    enum tg_status status;

    TRY(api_change(call, &job->account));
    status = reader_enter(&reader, call->parts->readers, &why);
    if (status == TG_OK)
        status = price_store_refresh(call->parts->prices, reader.db, &why);
    if (status != TG_OK)
        return err_set(&call->err, status,
                       "the change is stored, but calls are still priced as before (%s): repeat it",
                       why.text);
    return TG_OK;
}

struct price_input {
    struct span class;
    struct span unit;
    struct span tier;
    struct span unit_price;
    struct span per_million;
    bool has_valid_from;
    bool has_valid_until;
};

/* Exactly one of the two ways to say it. */
static enum tg_status read_amount(struct api_call *call, const struct price_input *input,
                                  int64_t *ret_pusd)
{
    const bool is_each = input->unit_price.len > 0;
    int64_t pusd = 0;

    if (is_each == (input->per_million.len > 0))
        return api_fail(call, TG_INVALID, "/unit_price",
                        "either unit_price or per_million must be given");
    if (is_each && money_parse_pusd(input->unit_price, &pusd) != TG_OK)
        return api_fail(call, TG_INVALID, "/unit_price",
                        "unit_price must be USD as a string of up to 12 decimals (\"0.000003\")");
    if (!is_each && (money_parse_pusd(input->per_million, &pusd) != TG_OK || pusd % MILLION != 0))
        return api_fail(call, TG_INVALID, "/per_million",
                        "per_million must be USD as a string of up to 6 decimals (\"3.00\")");
    pusd = is_each ? pusd : pusd / MILLION;
    if (pusd > COST_PRICE_MAX)
        return api_fail(call, TG_INVALID, is_each ? "/unit_price" : "/per_million",
                        "a unit may cost 5 USD at most");
    *ret_pusd = pusd;
    return TG_OK;
}

/* The unit that a class is counted in, where none is given. */
static enum price_unit unit_of(enum tg_class class)
{
    enum cost_per per;
    int unit = 0;

    while (unit < PRICE_UNIT_COUNT && !price_fits(class, (enum price_unit)unit, &per))
        unit++;
    return (enum price_unit)unit;
}

static enum tg_status read_names(struct api_call *call, const struct price_input *input,
                                 struct price *price)
{
    price->tier = PRICE_STANDARD;
    if (!price_class_from_name(input->class, &price->class))
        return api_fail(call, TG_INVALID, "/class",
                        "class must be one of the book's (input, output, cache_read, ...)");
    price->unit = unit_of(price->class);
    if (input->unit.len > 0 && !price_unit_from_name(input->unit, &price->unit))
        return api_fail(call, TG_INVALID, "/unit",
                        "unit must be token, image, char, call, page, second or hour");
    if (input->tier.len > 0 && !price_tier_from_name(input->tier, &price->tier))
        return api_fail(call, TG_INVALID, "/tier",
                        "tier must be batch, flex, standard, priority or fast");
    return TG_OK;
}

static enum tg_status read_price(struct api_call *call, struct price *price, struct span *ret_team)
{
    struct price_input input = { 0 };
    const struct input_field fields[] = {
        { .name = "provider", .kind = INPUT_TEXT, .is_required = true, .ret = &price->provider },
        { .name = "model", .kind = INPUT_TEXT, .is_required = true, .ret = &price->model },
        { .name = "class", .kind = INPUT_TEXT, .is_required = true, .ret = &input.class },
        { .name = "unit_price", .kind = INPUT_TEXT, .ret = &input.unit_price },
        { .name = "per_million", .kind = INPUT_TEXT, .ret = &input.per_million },
        { .name = "unit", .kind = INPUT_TEXT, .ret = &input.unit },
        { .name = "tier", .kind = INPUT_TEXT, .ret = &input.tier },
        { .name = "ctx_min", .kind = INPUT_INT, .ret = &price->ctx_min, .max = TG_COUNT_MAX },
        { .name = "variant", .kind = INPUT_TEXT, .may_be_null = true, .ret = &price->variant },
        { .name = "utc_window",
          .kind = INPUT_TEXT,
          .may_be_null = true,
          .ret = &price->utc_window },
        { .name = "valid_from",
          .kind = INPUT_TIME,
          .ret_has = &input.has_valid_from,
          .ret = &price->valid_from_ms },
        { .name = "valid_until",
          .kind = INPUT_TIME,
          .may_be_null = true,
          .ret_has = &input.has_valid_until,
          .ret = &price->valid_until_ms },
        { .name = "team_id", .kind = INPUT_TEXT, .may_be_null = true, .ret = ret_team },
        { .name = "note", .kind = INPUT_TEXT, .may_be_null = true, .ret = &price->sources },
    };

    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    TRY(read_names(call, &input, price));
    if (!input.has_valid_from)
        price->valid_from_ms = clock_wall_ms();
    if (!input.has_valid_until || price->valid_until_ms == 0)
        price->valid_until_ms = PRICE_FOREVER;
    return read_amount(call, &input, &price->unit_price_pusd);
}

enum tg_status prices_create(struct api_call *call)
{
    struct price_job job;
    char today[CLOCK_RFC3339_SIZE];
    struct price price = {
        .id = 1, .is_override = true, .status = SPAN("own"), .as_of = SPAN_EMPTY
    };

    price_job_init(&job, PRICE_SET);
    TRY(read_price(call, &price, &job.team_public_id));
    clock_format_rfc3339(clock_wall_ms(), today);
    price.as_of = span_of(today, sizeof("YYYY-MM-DD") - 1);
    job.prices = &price;
    job.price_count = 1;
    TRY(change(call, &job));
    return answer_price(call, price.id, /* is_new= */ true);
}

static enum tg_status close_row(struct api_call *call, enum price_action action)
{
    struct price_job job;

    price_job_init(&job, action);
    if (!parse_id(call->id, &job.id))
        return api_fail(call, TG_NOT_FOUND, "", "there is no such price");
    TRY(change(call, &job));
    api_no_content(call);
    return TG_OK;
}

enum tg_status prices_close(struct api_call *call)
{
    return close_row(call, PRICE_CLOSE);
}

/* --- markups ---------------------------------------------------------------------------------- */

/* A factor as a decimal of up to four places. */
static void put_factor(struct json_writer *w, const char *name, struct cost_factor factor)
{
    const bool is_plain = factor.den == 0;
    const __int128 num = is_plain ? 1 : factor.num;
    const int64_t den = is_plain ? 1 : factor.den;

    json_pusd(w, name, num * 1000000000000 / den);
}

static void put_markup(struct json_writer *w, const struct markup *markup)
{
    json_open_object(w, NULL);
    json_int(w, "id", markup->id);
    json_string(w, "side", markup_side_name(markup->side));
    json_optional(w, "provider", markup->provider);
    json_optional(w, "model", markup->model);
    json_optional(w, "team_id", markup->team_public_id);
    put_factor(w, "factor", markup->factor);
    json_time(w, "valid_from", markup->valid_from_ms);
    put_until(w, markup->valid_until_ms);
    json_optional(w, "note", markup->note);
    json_close_object(w);
}

enum tg_status prices_list_markups(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    const struct input_field fields[] = { INPUT_PAGE_FIELDS(page) };
    AUTO(reader) reader = { 0 };
    AUTO(markup_list) rows;
    struct api_list list;
    int64_t after = 0;
    int64_t shown = 0;
    bool has_more = false;

    markup_list_init(&rows);
    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    if (page.after.len > 0 && !parse_id(page.after, &after))
        return api_fail(call, TG_INVALID, "?after", "after must be the next_cursor of a list");
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(table_read_markups(reader.db, &rows, &call->err));
    api_list_begin(&list, call);
    for (size_t i = 0; i < rows.count; i++) {
        if (rows.rows[i].id <= after)
            continue;
        has_more = shown == page.limit;
        if (has_more)
            break;
        put_markup(&list.w, &rows.rows[i]);
        (void)snprintf(list.last, sizeof(list.last), "%lld", (long long)rows.rows[i].id);
        shown++;
    }
    api_list_end(&list, has_more);
    return TG_OK;
}

static enum tg_status read_markup(struct api_call *call, struct price_job *job)
{
    struct markup *markup = &job->markup;
    struct span side = SPAN_EMPTY;
    struct span factor = SPAN_EMPTY;
    bool has_from = false;
    int64_t pusd = -1;
    const struct input_field fields[] = {
        { .name = "side", .kind = INPUT_TEXT, .is_required = true, .ret = &side },
        { .name = "factor", .kind = INPUT_TEXT, .is_required = true, .ret = &factor },
        { .name = "provider", .kind = INPUT_TEXT, .may_be_null = true, .ret = &markup->provider },
        { .name = "model", .kind = INPUT_TEXT, .may_be_null = true, .ret = &markup->model },
        { .name = "team_id", .kind = INPUT_TEXT, .may_be_null = true, .ret = &job->team_public_id },
        { .name = "valid_from",
          .kind = INPUT_TIME,
          .ret_has = &has_from,
          .ret = &markup->valid_from_ms },
        { .name = "valid_until",
          .kind = INPUT_TIME,
          .may_be_null = true,
          .ret = &markup->valid_until_ms },
        { .name = "note", .kind = INPUT_TEXT, .may_be_null = true, .ret = &markup->note },
    };

    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    if (!markup_side_from_name(side, &markup->side))
        return api_fail(call, TG_INVALID, "/side",
                        "side must be cost (what the provider takes) or charge (what teams are "
                        "charged)");
    /* A factor reads as an amount does: four decimals are 1e8 pusd. */
    if (money_parse_pusd(factor, &pusd) != TG_OK || pusd % 100000000 != 0)
        pusd = -100000000;
    markup->factor = (struct cost_factor){ pusd / 100000000, MARKUP_DEN_MAX };
    if (!has_from)
        markup->valid_from_ms = clock_wall_ms();
    if (markup->valid_until_ms == 0)
        markup->valid_until_ms = PRICE_FOREVER;
    return TG_OK;
}

enum tg_status prices_create_markup(struct api_call *call)
{
    struct price_job job;
    struct json_writer w;
    char location[64];

    price_job_init(&job, PRICE_MARKUP_SET);
    TRY(read_markup(call, &job));
    TRY(change(call, &job));
    job.markup.team_public_id = job.team_public_id;
    (void)snprintf(location, sizeof(location), "/api/v1/prices/markups/%lld",
                   (long long)job.markup.id);
    api_begin_created(call, &w, location);
    put_markup(&w, &job.markup);
    return TG_OK;
}

enum tg_status prices_close_markup(struct api_call *call)
{
    return close_row(call, PRICE_MARKUP_CLOSE);
}

/* --- what a name is priced as ----------------------------------------------------------------- */

/* A provider of the book, or one that was set up, by its name. */
static enum tg_status find_book_name(struct api_call *call, struct db *db, struct span *provider)
{
    struct provider row;
    const struct tg_kind *kind;
    const enum tg_status status = provider_get_by_name(db, *provider, &row, &call->err);

    if (status == TG_NOT_FOUND)
        return TG_OK;
    TRY(status);
    kind = catalogue_kind(span_from(row.kind));
    if (kind != NULL && kind->book != NULL)
        *provider = span_from(kind->book);
    return TG_OK;
}

static enum tg_status put_rate(struct api_call *call, struct db *db, struct json_writer *w,
                               const struct cost_rate *rate)
{
    static const char *const per[] = {
        [COST_PER_COUNT] = "count", [COST_PER_SECOND] = "second", [COST_PER_HOUR] = "hour"
    };
    const struct table_query query = { .id = rate->price_id, .limit = 1, .as_of_ms = -1 };
    AUTO(price_list) list;

    price_list_init(&list);
    TRY(table_list(db, &query, &list, &call->err));
    json_pusd(w, "unit_price", rate->unit_price_pusd);
    json_pusd(w, "per_million", (__int128)rate->unit_price_pusd * MILLION);
    json_string(w, "per", per[rate->per]);
    put_factor(w, "factor", rate->factor);
    json_bool(w, "is_fallback", rate->is_fallback);
    if (list.count > 0)
        put_price(w, "price", &list.rows[0]);
    else
        json_null(w, "price");
    return TG_OK;
}

static enum tg_status put_rates(struct api_call *call, struct db *db, struct json_writer *w,
                                const struct cost_rates *rates)
{
    json_open_array(w, "classes");
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        if (rates->rate[class].price_id == 0)
            continue;
        json_open_object(w, NULL);
        json_string(w, "class", tg_class_name((enum tg_class) class));
        TRY(put_rate(call, db, w, &rates->rate[class]));
        json_close_object(w);
    }
    json_close_array(w);
    return TG_OK;
}

/* The answer of the book: copied, so that nobody waits for what is read and written after. */
struct matched {
    enum match_rule rule;
    struct span region;
    char model[MATCH_NAME_MAX + 1];
    struct cost_rates rates;
};

static void ask_book(struct api_call *call, struct book_query *query, struct matched *matched)
{
    AUTO(price_stay) stay = price_stay_begin(call->parts->prices);
    struct match_found found;
    const struct book_model *model = book_match(stay.book, query->provider, query->model, &found);

    *matched = (struct matched){ .rule = found.rule, .region = found.region };
    if (model == NULL)
        return;
    account_copy_text(book_model_name(model), matched->model, sizeof(matched->model));
    if (query->region.len == 0)
        query->region = found.region;
    book_rates(model, query, &matched->rates);
}

enum tg_status prices_match(struct api_call *call)
{
    struct book_query query = { .at_ms = clock_wall_ms() };
    const struct input_field fields[] = {
        { .name = "provider", .kind = INPUT_TEXT, .is_required = true, .ret = &query.provider },
        { .name = "model", .kind = INPUT_TEXT, .is_required = true, .ret = &query.model },
        { .name = "tier", .kind = INPUT_TEXT, .ret = &query.tier },
        { .name = "region", .kind = INPUT_TEXT, .ret = &query.region },
        { .name = "variant", .kind = INPUT_TEXT, .ret = &query.variants[0] },
        { .name = "prompt_tokens",
          .kind = INPUT_INT,
          .ret = &query.prompt_tokens,
          .max = TG_COUNT_MAX },
        { .name = "at", .kind = INPUT_TIME, .ret = &query.at_ms },
    };
    AUTO(reader) reader = { 0 };
    struct matched matched;
    struct json_writer w;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(find_book_name(call, reader.db, &query.provider));
    ask_book(call, &query, &matched);
    api_begin(call, &w);
    json_open_object(&w, NULL);
    json_text(&w, "provider", query.provider);
    json_text(&w, "asked", query.model);
    json_string(&w, "rule", match_rule_name(matched.rule));
    json_string(&w, "model", matched.model[0] != '\0' ? matched.model : NULL);
    json_optional(&w, "region", query.region);
    json_time(&w, "at", query.at_ms);
    TRY(put_rates(call, reader.db, &w, &matched.rates));
    json_close_object(&w);
    return TG_OK;
}

/* --- import ----------------------------------------------------------------------------------- */

#define SHOWN_MAX 1000 /* differences in an answer */

struct import_input {
    struct span format;
    struct span text;
    bool is_dry_run;
    int64_t percent;
};

static enum tg_status read_import(struct api_call *call, struct import_input *input,
                                  enum import_format *ret_format)
{
    const struct input_field fields[] = {
        { .name = "format", .kind = INPUT_TEXT, .is_required = true, .ret = &input->format },
        { .name = "text", .kind = INPUT_TEXT, .is_required = true, .ret = &input->text },
        { .name = "dry_run", .kind = INPUT_BOOL, .ret = &input->is_dry_run },
        { .name = "change_percent", .kind = INPUT_INT, .ret = &input->percent, .max = 100000 },
    };

    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    if (!span_equal(input->format, SPAN("csv")) && !span_equal(input->format, SPAN("litellm")))
        return api_fail(call, TG_INVALID, "/format", "format must be csv or litellm");
    *ret_format = span_equal(input->format, SPAN("csv")) ? IMPORT_CSV : IMPORT_LITELLM;
    return TG_OK;
}

static void put_difference(struct json_writer *w, const struct import_difference *difference)
{
    json_open_object(w, NULL);
    if (difference->change == IMPORT_CHANGED) {
        json_pusd(w, "unit_price_before", difference->before_pusd);
        json_int(w, "price_id_before", difference->before_price_id);
    }
    put_price(w, "price", &difference->price);
    json_close_object(w);
}

/* Those of one change, the first SHOWN_MAX of them, and how many there are. */
static void put_differences(struct json_writer *w, const struct price_import *import,
                            enum import_change change, int64_t percent)
{
    static const char *const names[] = { "new", "changed", "vanished" };
    char count_name[32];
    int64_t count = 0;

    json_open_array(w, names[change]);
    for (size_t i = 0; i < import->difference_count; i++) {
        const struct import_difference *difference = &import->differences[i];

        if (difference->change != change ||
            (change == IMPORT_CHANGED && !price_import_moved(difference, percent)))
            continue;
        if (count++ < SHOWN_MAX)
            put_difference(w, difference);
    }
    json_close_array(w);
    (void)snprintf(count_name, sizeof(count_name), "%s_count", names[change]);
    json_int(w, count_name, count);
}

/* Names the fault by the line of the file, which is the field `text`. */
static enum tg_status fail_text(struct api_call *call, enum tg_status status)
{
    (void)snprintf(call->pointer, sizeof(call->pointer), "/text");
    return status == TG_TOO_LARGE ? TG_INVALID : status;
}

static enum tg_status compare(struct api_call *call, struct price_import *import, int64_t now_ms)
{
    AUTO(reader) reader = { 0 };

    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    return price_import_compare(import, reader.db, now_ms, &call->err);
}

enum tg_status prices_import(struct api_call *call)
{
    const int64_t now_ms = clock_wall_ms();
    struct import_input input = { 0 };
    AUTO(price_import) import;
    enum import_format format = IMPORT_CSV;
    struct price_job job;
    struct json_writer w;
    enum tg_status status;

    price_import_init(&import);
    TRY(read_import(call, &input, &format));
    status = price_import_read(&import, format, input.text, now_ms, &call->err);
    if (status != TG_OK)
        return fail_text(call, status);
    TRY(compare(call, &import, now_ms));
    price_job_init(&job, PRICE_SET);
    job.prices = import.rows;
    job.price_count = import.row_count;
    if (!input.is_dry_run && import.row_count > 0)
        TRY(change(call, &job));
    api_begin(call, &w);
    json_open_object(&w, NULL);
    json_bool(&w, "dry_run", input.is_dry_run);
    json_int(&w, "rows", (int64_t)import.file.count);
    json_int(&w, "set", input.is_dry_run ? 0 : (int64_t)import.row_count);
    json_int(&w, "unchanged", import.unchanged);
    json_int(&w, "skipped_models", import.skipped.skipped);
    put_differences(&w, &import, IMPORT_NEW, 0);
    put_differences(&w, &import, IMPORT_CHANGED, input.percent);
    put_differences(&w, &import, IMPORT_VANISHED, 0);
    json_close_object(&w);
    return TG_OK;
}
