#include "admin/models.h"

#include "admin/input.h"
#include "base/money.h"
#include "base/try.h"
#include "metering/model_admin.h"
#include "store/reader.h"

#include <stdio.h>

/* A price of a token in pusd is one of a million tokens in this many nusd. */
#define NUSD_PER_MILLION 1000

static const struct {
    uint32_t bit;
    const char *name;
} owned_names[] = {
    { MODEL_OWN_CONTEXT, "context_tokens" },
    { MODEL_OWN_MAX_OUTPUT, "max_output_tokens" },
    { MODEL_OWN_OUTPUT_FIELD, "output_field" },
    { MODEL_OWN_FREE, "free" },
    { MODEL_OWN_CEILING_PRICE, "ceiling_price_usd_per_million_tokens" },
};
#define OWNED_COUNT (sizeof(owned_names) / sizeof(owned_names[0]))

/* --- writing ---------------------------------------------------------------------------------- */

static void put_count(struct json_writer *w, const char *name, int64_t count)
{
    if (count > 0)
        json_int(w, name, count);
    else
        json_null(w, name);
}

static void put_note(struct json_writer *w, const char *name, const char *text)
{
    json_string(w, name, text[0] != '\0' ? text : NULL);
}

static void put_owned(struct json_writer *w, uint32_t owned)
{
    json_string(w, "source", owned != 0 ? "owner" : "seed");
    json_open_array(w, "overrides");
    for (size_t i = 0; i < OWNED_COUNT; i++)
        if ((owned & owned_names[i].bit) != 0)
            json_string(w, NULL, owned_names[i].name);
    json_close_array(w);
}

static void put_model(struct json_writer *w, const struct model_entry *entry)
{
    const struct model *model = &entry->model;
    char id[sizeof(entry->provider) + sizeof(entry->name)];

    (void)snprintf(id, sizeof(id), "%s:%s", entry->provider, entry->name);
    json_open_object(w, NULL);
    json_string(w, "id", id);
    json_string(w, "provider", entry->provider);
    json_string(w, "model", entry->name);
    put_note(w, "kind", entry->kind);
    put_count(w, "context_tokens", model->context_tokens);
    put_count(w, "max_output_tokens", model->max_output_tokens);
    json_string(w, "output_field", model->output_field);
    put_count(w, "default_output_tokens", model->default_output_tokens);
    json_bool(w, "is_reasoning", model->is_reasoning);
    json_bool(w, "free", model->is_free);
    if (model->ceiling_price_pusd > 0)
        json_money(w, "ceiling_price_usd_per_million_tokens",
                   model->ceiling_price_pusd * NUSD_PER_MILLION);
    else
        json_null(w, "ceiling_price_usd_per_million_tokens");
    json_bool(w, "has_price", entry->has_price);
    put_owned(w, entry->owned);
    put_note(w, "context_sources", entry->context_sources);
    put_note(w, "output_sources", entry->output_sources);
    json_time(w, "changed_at", entry->changed_at_ms);
    json_close_object(w);
}

/* --- reading ---------------------------------------------------------------------------------- */

static enum tg_status on_model(void *context, const struct model_entry *entry)
{
    struct api_list *list = context;

    put_model(&list->w, entry);
    (void)snprintf(list->last, sizeof(list->last), "%lld", (long long)entry->id);
    return TG_OK;
}

enum tg_status models_list(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    struct model_query query = { .provider = SPAN_EMPTY, .text = SPAN_EMPTY };
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "provider", .kind = INPUT_TEXT, .ret = &query.provider },
        { .name = "q", .kind = INPUT_TEXT, .ret = &query.text },
    };
    AUTO(reader) reader = { 0 };
    struct api_list list;
    bool has_more = false;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    if (page.after.len > 0 && !span_to_int64(page.after, INT64_MAX, &query.after_id))
        return api_fail(call, TG_INVALID, "?after",
                        "after must be the next_cursor of an earlier answer");
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    query.limit = (int)page.limit;
    query.on_row = on_model;
    query.context = &list;
    api_list_begin(&list, call);
    TRY(model_entry_list(reader.db, &query, &has_more, &call->err));
    api_list_end(&list, has_more);
    return TG_OK;
}

/* Take the id apart; what is no id is not there. */
static enum tg_status read_id(struct api_call *call, struct span *ret_provider,
                              struct span *ret_name)
{
    const struct span copy = arena_copy(&call->arena, call->id);
    struct span rest;

    if (copy.ptr == NULL)
        return TG_NO_MEMORY;
    if (!daemon_decode((char *)copy.ptr, copy.len, &rest) || !span_cut(&rest, ':', ret_provider) ||
        ret_provider->len == 0 || rest.len == 0)
        return api_fail(call, TG_NOT_FOUND, "",
                        "the id of a model is provider:name, percent-encoded");
    *ret_name = rest;
    return TG_OK;
}

enum tg_status models_get(struct api_call *call)
{
    AUTO(reader) reader = { 0 };
    struct model_entry entry;
    struct span provider = SPAN_EMPTY;
    struct span name = SPAN_EMPTY;
    struct json_writer w;

    TRY(input_query(call, NULL, 0));
    TRY(read_id(call, &provider, &name));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(model_entry_get(reader.db, provider, name, &entry, &call->err));
    api_begin(call, &w);
    api_etag(call, entry.revision);
    put_model(&w, &entry);
    return TG_OK;
}

/* --- changing --------------------------------------------------------------------------------- */

/* From USD for a million tokens; empty is none. */
static enum tg_status read_price(struct api_call *call, struct span text, int64_t *ret_pusd)
{
    int64_t nusd;

    *ret_pusd = 0;
    if (text.len == 0)
        return TG_OK;
    if (money_parse(text, &nusd) == TG_OK && nusd > 0 && nusd % NUSD_PER_MILLION == 0 &&
        nusd / NUSD_PER_MILLION <= COST_PRICE_MAX) {
        *ret_pusd = nusd / NUSD_PER_MILLION;
        return TG_OK;
    }
    return api_fail(call, TG_INVALID, "/ceiling_price_usd_per_million_tokens",
                    "ceiling_price_usd_per_million_tokens must be an amount in USD above 0 as a "
                    "string of up to 6 decimals (\"12.50\"), or null; what costs nothing is free");
}

static enum tg_status read_input(struct api_call *call, struct model_input *input)
{
    struct span price = SPAN_EMPTY;
    const struct input_field fields[] = {
        { .name = "context_tokens",
          .kind = INPUT_INT,
          .may_be_null = true,
          .ret_has = &input->has_context,
          .ret = &input->context_tokens,
          .min = 1,
          .max = TG_COUNT_MAX },
        { .name = "max_output_tokens",
          .kind = INPUT_INT,
          .may_be_null = true,
          .ret_has = &input->has_max_output,
          .ret = &input->max_output_tokens,
          .min = 1,
          .max = TG_COUNT_MAX },
        { .name = "output_field",
          .kind = INPUT_TEXT,
          .may_be_null = true,
          .ret_has = &input->has_output_field,
          .ret = &input->output_field },
        { .name = "free",
          .kind = INPUT_BOOL,
          .may_be_null = true,
          .ret_has = &input->has_free,
          .ret = &input->is_free },
        { .name = "ceiling_price_usd_per_million_tokens",
          .kind = INPUT_TEXT,
          .may_be_null = true,
          .ret_has = &input->has_ceiling_price,
          .ret = &price },
    };

    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    return read_price(call, price, &input->ceiling_price_pusd);
}

enum tg_status models_update(struct api_call *call)
{
    struct model_job job;
    struct json_writer w;

    model_job_init(&job, call->parts->models);
    TRY(read_id(call, &job.provider, &job.name));
    TRY(api_if_match(call, &job.if_revision));
    TRY(read_input(call, &job.input));
    TRY(api_change(call, &job.account));
    api_begin(call, &w);
    api_etag(call, job.after.revision);
    put_model(&w, &job.after);
    return TG_OK;
}
