#include "admin/holds.h"

#include "admin/input.h"
#include "base/clock.h"
#include "base/try.h"
#include "ledger/call.h"
#include "store/reader.h"

static enum tg_status on_hold(void *context, const struct call_hold *hold)
{
    struct api_list *list = context;
    struct json_writer *w = &list->w;
    char call_id[ID_TEXT_SIZE];

    id_format_call(hold->id, list->last);
    id_format_call(hold->call_id != 0 ? hold->call_id : hold->id, call_id);
    json_open_object(w, NULL);
    json_string(w, "id", list->last);
    json_string(w, "request_id", call_id);
    json_time(w, "created_at", id_wall_ms(hold->id));
    json_int(w, "age_ms", clock_wall_ms() - id_wall_ms(hold->id));
    json_text(w, "team_id", hold->team_public_id);
    json_text(w, "key_id", hold->key_public_id);
    json_text(w, "provider", hold->provider);
    json_text(w, "dialect", hold->dialect);
    json_text(w, "model", hold->model);
    json_int(w, "input_bound_tokens", hold->input_bound_tokens);
    json_int(w, "output_bound_tokens", hold->output_bound_tokens);
    json_money(w, "amount", hold->amount_nusd);
    json_close_object(w);
    return TG_OK;
}

enum tg_status holds_list(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    struct span team = SPAN_EMPTY;
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "team", .kind = INPUT_TEXT, .ret = &team },
    };
    AUTO(reader) reader = { 0 };
    struct call_hold_query query = { .scope = call->who.scope, .on_hold = on_hold };
    struct api_list list;
    bool has_more;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    if (page.after.len > 0 && !id_parse_call(page.after, &query.after_id))
        return api_fail(call, TG_INVALID, "?after", "after must be the next_cursor of a list");
    query.limit = (int)page.limit;
    query.team_public_id = team;
    query.context = &list;
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    api_list_begin(&list, call);
    TRY(call_holds(reader.db, &query, &has_more, &call->err));
    api_list_end(&list, has_more);
    return TG_OK;
}
