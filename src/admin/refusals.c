#include "admin/refusals.h"

#include "admin/input.h"
#include "base/try.h"
#include "ledger/ledger.h"
#include "quota/refusal_log.h"
#include "store/reader.h"

/* The limit and its numbers; of a model without a price there are none. */
static void put_limit(struct json_writer *w, const struct refusal_entry *entry)
{
    const bool has_limit = entry->has_limit;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = { { "amount", entry->amount },
                    { "spent", entry->spent },
                    { "held", entry->held },
                    { "estimate", entry->estimate } };

    json_optional(w, "limit_id", entry->limit_public_id);
    json_string(w, "scope", has_limit ? limit_scope_name(entry->limit_scope) : NULL);
    json_string(w, "metric", has_limit ? limit_metric_name(entry->metric) : NULL);
    json_optional(w, "window", entry->window);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (has_limit)
            limit_put_amount(w, numbers[i].name, entry->metric, numbers[i].value);
        else
            json_null(w, numbers[i].name);
    }
}

static enum tg_status on_refusal(void *context, const struct refusal_entry *entry)
{
    struct api_list *list = context;
    struct json_writer *w = &list->w;

    id_format_call(entry->id, list->last);
    json_open_object(w, NULL);
    json_string(w, "id", list->last);
    json_time(w, "created_at", id_wall_ms(entry->id));
    json_text(w, "team_id", entry->team_public_id);
    json_text(w, "key_id", entry->key_public_id);
    json_text(w, "dialect", entry->dialect);
    json_text(w, "provider", entry->provider);
    json_text(w, "model", entry->model);
    json_bool(w, "stream", (entry->flags & LEDGER_STREAM) != 0);
    json_text(w, "reason", entry->reason);
    put_limit(w, entry);
    json_close_object(w);
    return TG_OK;
}

static enum tg_status read_query(struct api_call *call, struct refusal_query *query)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "from", .kind = INPUT_TIME, .ret = &query->from_ms },
        { .name = "to", .kind = INPUT_TIME, .ret = &query->to_ms },
        { .name = "team", .kind = INPUT_TEXT, .ret = &query->team_id },
        { .name = "key", .kind = INPUT_TEXT, .ret = &query->key_id },
        { .name = "limit_id", .kind = INPUT_TEXT, .ret = &query->limit_id },
        { .name = "model", .kind = INPUT_TEXT, .ret = &query->model },
        { .name = "reason", .kind = INPUT_TEXT, .ret = &query->reason },
    };

    *query = (struct refusal_query){ .scope = call->who.scope, .to_ms = INT64_MAX };
    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    if (query->reason.len > 0 && !refusal_reason_is_known(query->reason))
        return api_fail(call, TG_INVALID, "?reason",
                        "reason must be too_large, rate, spent, held or unpriced");
    if (page.after.len > 0 && !id_parse_call(page.after, &query->after_id))
        return api_fail(call, TG_INVALID, "?after", "after must be the next_cursor of a list");
    query->limit = (int)page.limit;
    return TG_OK;
}

enum tg_status refusals_list(struct api_call *call)
{
    AUTO(reader) reader = { 0 };
    struct refusal_query query;
    struct api_list list;
    bool has_more;

    TRY(read_query(call, &query));
    query.on_entry = on_refusal;
    query.context = &list;
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    api_list_begin(&list, call);
    TRY(refusal_list(reader.db, &query, &has_more, &call->err));
    api_list_end(&list, has_more);
    return TG_OK;
}
