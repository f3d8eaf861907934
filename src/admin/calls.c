#include "admin/calls.h"

#include "admin/input.h"
#include "base/money.h"
#include "base/try.h"
#include "ledger/call.h"
#include "metering/price_store.h"
#include "pricing/price.h"
#include "store/reader.h"

#include <stdio.h>

#define ANY             (-1)
#define HTTP_STATUS_MAX 999
#define MS_PER_SECOND   1000
#define MS_PER_HOUR     3600000

/* --- the parts of a charge -------------------------------------------------------------------- */

static void put_id(struct json_writer *w, const char *name, int64_t id)
{
    char text[ID_TEXT_SIZE];

    id_format_call(id, text);
    json_string(w, name, text);
}

static void put_usage(struct json_writer *w, const struct tg_usage *usage)
{
    json_open_object(w, "usage");
    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        if (usage->count[class] != 0)
            json_int(w, tg_class_name((enum tg_class) class), usage->count[class]);
    }
    json_close_object(w);
}

void calls_put_flags(struct json_writer *w, uint32_t flags)
{
    json_open_array(w, "flags");
    for (int bit = 0; call_flag_name(bit) != NULL; bit++) {
        if ((flags & (1u << bit)) != 0 && (1u << bit) != LEDGER_STREAM)
            json_string(w, NULL, call_flag_name(bit));
    }
    json_close_array(w);
}

/* min: the value that says that there is none is below it */
static void put_int_from(struct json_writer *w, const char *name, int64_t value, int64_t min)
{
    if (value >= min)
        json_int(w, name, value);
    else
        json_null(w, name);
}

/* The members of a charge, inside an object that is open. */
static void put_charge(struct json_writer *w, const struct call_entry *entry)
{
    const struct charge_row *row = &entry->row;
    const int64_t input = tg_usage_input_tokens(&row->usage);
    const int64_t output = tg_usage_output_tokens(&row->usage);

    put_id(w, "id", row->id);
    put_id(w, "request_id", row->call_id != 0 ? row->call_id : row->id);
    json_string(w, "kind", row->adjusts_id != 0 ? "adjustment" : "attempt");
    if (row->adjusts_id != 0)
        put_id(w, "adjusts_id", row->adjusts_id);
    json_time(w, "created_at", id_wall_ms(row->id));
    json_text(w, "team_id", entry->team_public_id);
    json_text(w, "key_id", entry->key_public_id);
    json_text(w, "dialect", entry->dialect);
    json_text(w, "provider", entry->provider);
    json_text(w, "model", entry->model);
    json_optional(w, "served_model", entry->served_model);
    json_bool(w, "stream", (row->flags & LEDGER_STREAM) != 0);
    put_int_from(w, "status", row->http_status, 1);
    json_string(w, "outcome", ledger_outcome_name(row->outcome));
    put_usage(w, &row->usage);
    json_int(w, "input_tokens", input);
    json_int(w, "output_tokens", output);
    json_int(w, "total_tokens", input + output);
    json_money(w, "cost", row->cost_nusd);
    json_money(w, "provider_cost", row->provider_cost_nusd);
    json_string(w, "source", ledger_source_name(row->source));
    calls_put_flags(w, row->flags);
    put_int_from(w, "ttft_ms", row->ttft_ms, 0);
    json_int(w, "total_ms", row->total_ms);
}

/* --- the log ---------------------------------------------------------------------------------- */

static enum tg_status on_listed(void *context, const struct call_entry *entry)
{
    struct api_list *list = context;

    id_format_call(entry->row.id, list->last);
    json_open_object(&list->w, NULL);
    put_charge(&list->w, entry);
    json_close_object(&list->w);
    return TG_OK;
}

static enum tg_status read_query(struct api_call *call, struct call_query *query)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    struct span outcome_name = SPAN_EMPTY;
    enum ledger_outcome outcome;
    int64_t status = ANY;
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "from", .kind = INPUT_TIME, .ret = &query->from_ms },
        { .name = "to", .kind = INPUT_TIME, .ret = &query->to_ms },
        { .name = "team", .kind = INPUT_TEXT, .ret = &query->team_public_id },
        { .name = "key", .kind = INPUT_TEXT, .ret = &query->key_public_id },
        { .name = "model", .kind = INPUT_TEXT, .ret = &query->model },
        { .name = "provider", .kind = INPUT_TEXT, .ret = &query->provider },
        { .name = "outcome", .kind = INPUT_TEXT, .ret = &outcome_name },
        { .name = "status", .kind = INPUT_INT, .ret = &status, .max = HTTP_STATUS_MAX },
    };

    *query = (struct call_query){ .scope = call->who.scope, .to_ms = INT64_MAX, .outcome = ANY };
    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    if (outcome_name.len > 0) {
        if (!call_outcome_parse(outcome_name, &outcome))
            return api_fail(call, TG_INVALID, "?outcome",
                            "outcome must be ok, refused, upstream_error, client_gone or "
                            "unreconciled");
        query->outcome = (int)outcome;
    }
    if (page.after.len > 0 && !id_parse_call(page.after, &query->after_id))
        return api_fail(call, TG_INVALID, "?after", "after must be the next_cursor of a list");
    query->limit = (int)page.limit;
    query->http_status = (int)status;
    return TG_OK;
}

enum tg_status calls_list(struct api_call *call)
{
    AUTO(reader) reader = { 0 };
    struct call_query query;
    struct api_list list;
    bool has_more;

    TRY(read_query(call, &query));
    query.on_entry = on_listed;
    query.context = &list;
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    api_list_begin(&list, call);
    TRY(call_list(reader.db, &query, &has_more, &call->err));
    api_list_end(&list, has_more);
    return TG_OK;
}

/* --- the receipt ------------------------------------------------------------------------------ */

struct receipt {
    struct api_call *call;
    struct db *db;
    struct json_writer w;
    const struct charge_row *row;
    const struct call_entry *entry;
    __int128 sum_pusd;  /* of the parts that are whole pico-USD */
    bool has_fractions; /* a factor, or a price by the second or the hour, has left a fraction */
};

static int per_of(enum tg_class class, struct span unit_name)
{
    enum price_unit unit;
    enum cost_per per;

    if (!price_unit_from_name(unit_name, &unit) || !price_fits(class, unit, &per))
        return 1;
    if (per == COST_PER_SECOND)
        return MS_PER_SECOND;
    return per == COST_PER_HOUR ? MS_PER_HOUR : 1;
}

/* By which rule the book finds the price's model now: from the name that the answer gave, or from
 * the one that was asked for. NULL: by none any more. */
static const char *rule_of(const struct receipt *receipt, const struct call_rate *rate)
{
    const struct span names[] = { receipt->entry->served_model, receipt->entry->model };
    AUTO(price_stay) stay = price_stay_begin(receipt->call->parts->prices);
    const struct book_model *priced = book_find(stay.book, rate->provider, rate->model);

    for (int i = 0; priced != NULL && i < 2; i++) {
        struct match_found found;

        if (names[i].len > 0 && book_match(stay.book, rate->provider, names[i], &found) == priced)
            return match_rule_name(found.rule);
    }
    return NULL;
}

static void put_row(struct receipt *receipt, const struct call_rate *rate)
{
    struct json_writer *w = &receipt->w;

    json_open_object(w, "price");
    if (rate->price_id > 0)
        json_int(w, "id", rate->price_id);
    else
        json_null(w, "id"); /* an owner's ceiling price */
    json_optional(w, "provider", rate->provider);
    json_optional(w, "model", rate->model);
    json_optional(w, "tier", rate->tier);
    json_int(w, "ctx_min", rate->ctx_min);
    json_optional(w, "variant", rate->variant);
    json_optional(w, "utc_window", rate->utc_window);
    json_time(w, "valid_from", rate->valid_from_ms);
    json_time(w, "valid_until", rate->valid_until_ms == PRICE_FOREVER ? 0 : rate->valid_until_ms);
    json_optional(w, "origin", rate->origin);
    json_string(w, "rule", rule_of(receipt, rate));
    json_close_object(w);
}

static enum tg_status on_rate(void *context, const struct call_rate *rate)
{
    struct receipt *receipt = context;
    struct json_writer *w = &receipt->w;
    enum tg_class class = TG_INPUT;
    char name[64];
    __int128 product;
    __int128 divisor;
    int per;

    account_copy_text(rate->class, name, sizeof(name));
    if (!tg_class_from_name(name, &class))
        return err_set(&receipt->call->err, TG_CORRUPT, "a charge has a price of an unknown class");
    per = per_of(class, rate->unit);
    product = (__int128)receipt->row->usage.count[class] * rate->unit_price_pusd;
    if (rate->factor_den != 0)
        product *= rate->factor_num;
    divisor = rate->factor_den != 0 ? (__int128)per * rate->factor_den : per;
    receipt->has_fractions = receipt->has_fractions || product % divisor != 0;
    receipt->sum_pusd += product / divisor;
    json_open_object(w, NULL);
    json_string(w, "class", name);
    json_int(w, "count", receipt->row->usage.count[class]);
    json_pusd(w, "unit_price", rate->unit_price_pusd);
    json_optional(w, "unit", rate->unit);
    if (rate->factor_den != 0) {
        char factor[64];

        (void)snprintf(factor, sizeof(factor), "%lld/%lld", (long long)rate->factor_num,
                       (long long)rate->factor_den);
        json_string(w, "factor", factor);
    }
    json_pusd(w, "product", product / divisor);
    put_row(receipt, rate);
    json_close_object(w);
    return TG_OK;
}

static enum tg_status put_sum(struct receipt *receipt)
{
    struct json_writer *w = &receipt->w;

    json_open_object(w, "sum");
    json_open_array(w, "products");
    if (receipt->row->rate_set_id != 0)
        TRY(call_rates(receipt->db, receipt->row->rate_set_id, on_rate, receipt,
                       &receipt->call->err));
    json_close_array(w);
    json_pusd(w, "exact", receipt->sum_pusd);
    json_bool(w, "exact_is_cut", receipt->has_fractions);
    json_string(w, "rounding", "once, half to even, to 9 decimals");
    json_money(w, "charged", receipt->row->cost_nusd);
    json_close_object(w);
    return TG_OK;
}

static void put_hold(struct json_writer *w, const struct charge_row *row)
{
    json_open_object(w, "hold");
    json_money(w, "amount", row->hold_nusd);
    json_money(w, "released",
               row->hold_nusd > row->cost_nusd ? row->hold_nusd - row->cost_nusd : 0);
    json_money(w, "overrun", row->cost_nusd > row->hold_nusd ? row->cost_nusd - row->hold_nusd : 0);
    json_close_object(w);
}

static void put_timings(struct json_writer *w, const struct charge_row *row)
{
    json_open_object(w, "timings");
    json_time(w, "admitted_at", id_wall_ms(row->id));
    put_int_from(w, "ttft_ms", row->ttft_ms, 0);
    json_int(w, "total_ms", row->total_ms);
    json_int(w, "request_bytes", row->request_bytes);
    json_int(w, "answer_bytes", row->answer_bytes);
    json_close_object(w);
}

/* Raw usage is what a provider has sent: shown as JSON where it is JSON, else as text. */
static enum tg_status put_detail(struct receipt *receipt)
{
    AUTO(call_detail) detail = { 0 };
    AUTO_JSON tree = NULL;
    struct json_writer *w = &receipt->w;

    TRY(call_detail_read(receipt->db, receipt->row->id, &detail, &receipt->call->err));
    if (detail.raw_usage.len == 0)
        json_null(w, "raw_usage");
    else if (json_parse(detail.raw_usage, &tree, NULL) == TG_OK)
        json_raw(w, "raw_usage", detail.raw_usage);
    else
        json_text(w, "raw_usage", detail.raw_usage);
    json_optional(w, "response_id", detail.response_id);
    json_optional(w, "upstream_request_id", detail.upstream_request_id);
    json_optional(w, "client", detail.client);
    json_optional(w, "error", detail.error);
    return TG_OK;
}

static enum tg_status on_related(void *context, const struct call_entry *entry)
{
    struct receipt *receipt = context;

    json_open_object(&receipt->w, NULL);
    put_charge(&receipt->w, entry);
    json_close_object(&receipt->w);
    return TG_OK;
}

static enum tg_status put_related(struct receipt *receipt)
{
    const struct charge_row *row = receipt->row;
    struct call_lookup lookup = { .scope = receipt->call->who.scope,
                                  .id = row->call_id != 0 ? row->call_id : row->id,
                                  .on_entry = on_related,
                                  .context = receipt };

    json_open_array(&receipt->w, "attempts");
    if (row->adjusts_id == 0)
        TRY(call_attempts(receipt->db, &lookup, &receipt->call->err));
    json_close_array(&receipt->w);
    lookup.id = row->id;
    json_open_array(&receipt->w, "adjustments");
    TRY(call_adjustments(receipt->db, &lookup, &receipt->call->err));
    json_close_array(&receipt->w);
    return TG_OK;
}

static enum tg_status on_receipt(void *context, const struct call_entry *entry)
{
    struct receipt *receipt = context;
    struct json_writer *w = &receipt->w;

    receipt->row = &entry->row;
    receipt->entry = entry;
    api_begin(receipt->call, w);
    json_open_object(w, NULL);
    put_charge(w, entry);
    json_optional(w, "tier", entry->tier);
    json_int(w, "prompt_tokens", entry->row.usage.prompt_tokens);
    json_int(w, "reasoning_tokens", entry->row.usage.reasoning_tokens);
    put_hold(w, &entry->row);
    TRY(put_sum(receipt));
    put_timings(w, &entry->row);
    TRY(put_detail(receipt));
    TRY(put_related(receipt));
    json_close_object(w);
    return TG_OK;
}

static enum tg_status read_id(struct api_call *call, int64_t *ret_id)
{
    if (!id_parse_call(call->id, ret_id))
        return api_fail(call, TG_NOT_FOUND, "", "there is no such call");
    return TG_OK;
}

static enum tg_status answer_receipt(struct api_call *call, int64_t id)
{
    AUTO(reader) reader = { 0 };
    struct receipt receipt = { .call = call };
    const struct call_lookup lookup = {
        .scope = call->who.scope, .id = id, .on_entry = on_receipt, .context = &receipt
    };

    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    receipt.db = reader.db;
    return call_get(reader.db, &lookup, &call->err);
}

enum tg_status calls_get(struct api_call *call)
{
    int64_t id;

    TRY(input_query(call, NULL, 0));
    TRY(read_id(call, &id));
    return answer_receipt(call, id);
}

/* --- reconciling ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    enum ledger_reconcile_action action;
} actions[] = {
    { "charge", LEDGER_RECONCILE_CHARGE },
    { "release", LEDGER_RECONCILE_RELEASE },
    { "amount", LEDGER_RECONCILE_AMOUNT },
};

static bool parse_action(struct span name, enum ledger_reconcile_action *ret_action)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (!span_equal(name, span_from(actions[i].name)))
            continue;
        *ret_action = actions[i].action;
        return true;
    }
    return false;
}

static enum tg_status read_reconcile(struct api_call *call, struct ledger_reconcile_job *job)
{
    struct span action = SPAN_EMPTY;
    bool has_amount = false;
    const struct input_field fields[] = {
        { .name = "action", .kind = INPUT_TEXT, .is_required = true, .ret = &action },
        { .name = "amount", .kind = INPUT_MONEY, .ret_has = &has_amount, .ret = &job->amount_nusd },
    };

    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    if (!parse_action(action, &job->action))
        return api_fail(call, TG_INVALID, "/action", "action must be charge, release or amount");
    if (has_amount != (job->action == LEDGER_RECONCILE_AMOUNT))
        return api_fail(call, TG_INVALID, "/amount",
                        "amount must be given for the action amount, and for no other");
    if (job->amount_nusd < 0)
        return api_fail(call, TG_INVALID, "/amount", "amount must be 0 or more");
    return TG_OK;
}

enum tg_status calls_reconcile(struct api_call *call)
{
    struct ledger_reconcile_job job = { 0 };
    const struct api_parts *parts = call->parts;

    ledger_reconcile_job_init(&job, parts->ledger);
    TRY(read_id(call, &job.charge_id));
    TRY(read_reconcile(call, &job));
    job.adjustment_id = parts->next_id(parts->next_id_context);
    TRY(writer_call(parts->writer, &job.job, &call->err));
    return answer_receipt(call, job.charge_id);
}
