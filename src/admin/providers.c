#include "admin/providers.h"

#include "admin/input.h"
#include "base/try.h"
#include "providers/catalogue.h"
#include "routing/probe.h"
#include "routing/provider.h"
#include "store/reader.h"

#include <stdio.h>

static void put_provider(struct json_writer *w, const struct provider *provider)
{
    json_open_object(w, NULL);
    json_string(w, "id", provider->public_id);
    json_string(w, "name", provider->name);
    json_string(w, "kind", provider->kind);
    json_string(w, "base_url", provider->base_url);
    json_string(w, "source", provider_source_name(provider->source));
    json_bool(w, "has_secret", provider->has_secret);
    json_string(w, "secret_last4",
                provider->secret_last4[0] != '\0' ? provider->secret_last4 : NULL);
    json_bool(w, "is_default", provider->is_default);
    json_bool(w, "is_enabled", provider->is_enabled);
    json_time(w, "created_at", provider->created_at_ms);
    json_int(w, "model_count", provider->model_count);
    json_time(w, "models_at", provider->models_at_ms);
    json_close_object(w);
}

static enum tg_status on_provider(void *context, const struct provider *provider)
{
    struct api_list *list = context;

    put_provider(&list->w, provider);
    memcpy(list->last, provider->public_id, sizeof(list->last));
    return TG_OK;
}

static enum tg_status list_by_name(struct api_call *call, struct db *db, struct span name,
                                   struct api_list *list)
{
    struct provider provider;
    const enum tg_status status = provider_get_by_name(db, name, &provider, &call->err);

    if (status == TG_NOT_FOUND)
        return TG_OK;
    TRY(status);
    return on_provider(list, &provider);
}

enum tg_status providers_list(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    struct span name = SPAN_EMPTY;
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "name", .kind = INPUT_TEXT, .ret = &name },
    };
    AUTO(reader) reader = { 0 };
    struct api_list list;
    bool has_more = false;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    api_list_begin(&list, call);
    if (name.len > 0)
        TRY(list_by_name(call, reader.db, name, &list));
    else
        TRY(provider_list(reader.db,
                          &(struct provider_query){ .page = input_account_page(call, &page),
                                                    .on_row = on_provider,
                                                    .context = &list },
                          &has_more, &call->err));
    api_list_end(&list, has_more);
    return TG_OK;
}

enum tg_status providers_get(struct api_call *call)
{
    AUTO(reader) reader = { 0 };
    struct provider provider;
    struct json_writer w;

    TRY(input_query(call, NULL, 0));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(provider_get(reader.db, call->id, &provider, &call->err));
    api_begin(call, &w);
    api_etag(call, provider.revision);
    put_provider(&w, &provider);
    return TG_OK;
}

/* --- kinds ------------------------------------------------------------------------------------ */

static const char *auth_name(enum tg_auth auth)
{
    switch (auth) {
    case TG_AUTH_BEARER:
        return "bearer";
    case TG_AUTH_X_API_KEY:
        return "x-api-key";
    case TG_AUTH_X_GOOG_API_KEY:
        return "x-goog-api-key";
    case TG_AUTH_API_KEY:
        return "api-key";
    case TG_AUTH_OF_KIND:
    case TG_AUTH_NONE:
        break;
    }
    return "none";
}

static void put_dialects(struct json_writer *w, const struct tg_kind *kind)
{
    json_open_array(w, "dialects");
    for (int i = 0; i < TG_KIND_DIALECTS_MAX && kind->speaks[i].dialect != NULL; i++)
        json_string(w, NULL, kind->speaks[i].dialect);
    json_close_array(w);
}

static void put_prefixes(struct json_writer *w, const struct tg_kind *kind)
{
    json_open_array(w, "model_prefixes");
    for (int i = 0; i < TG_KIND_PREFIXES_MAX && kind->prefixes[i] != NULL; i++)
        json_string(w, NULL, kind->prefixes[i]);
    json_close_array(w);
}

static void put_kind(struct json_writer *w, const struct tg_kind *kind)
{
    const uint32_t flags = kind->flags;

    json_open_object(w, NULL);
    json_string(w, "name", kind->name);
    json_string(w, "base_url", kind->base_url);
    json_string(w, "auth", auth_name(kind->auth));
    json_bool(w, "needs_secret",
              kind->auth != TG_AUTH_NONE && (flags & TG_KIND_MAY_LACK_SECRET) == 0);
    put_dialects(w, kind);
    put_prefixes(w, kind);
    json_string(w, "environment", kind->env_key);
    json_string(w, "price_book", kind->book);
    json_bool(w, "asks_usage", (flags & TG_KIND_ASKS_USAGE) != 0);
    json_bool(w, "stops_on_leave", (flags & TG_KIND_STOPS_ON_LEAVE) != 0);
    json_bool(w, "reasoning_is_outside", (flags & TG_KIND_REASONING_OUTSIDE) != 0);
    json_bool(w, "tells_cost", (flags & TG_KIND_TELLS_COST) != 0);
    json_string(w, "output_field", kind->output_field != NULL ? kind->output_field : "max_tokens");
    json_int(w, "added_tokens", kind->added_tokens);
    json_bool(w, "is_verified", (flags & TG_KIND_VERIFIED) != 0);
    json_close_object(w);
}

/* Where a page begins: behind the kind named `after`. */
static enum tg_status find_page(struct api_call *call, struct span after, int *ret_index)
{
    const struct tg_kind *kind;

    *ret_index = 0;
    if (after.len == 0)
        return TG_OK;
    for (int i = 0; (kind = catalogue_kind_at(i)) != NULL; i++) {
        *ret_index = i + 1;
        if (span_equal(after, span_from(kind->name)))
            return TG_OK;
    }
    return api_fail(call, TG_INVALID, "/after", "after is not a cursor of this list");
}

enum tg_status providers_kinds(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    const struct input_field fields[] = { INPUT_PAGE_FIELDS(page) };
    const struct tg_kind *kind;
    struct api_list list;
    int at = 0;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    TRY(find_page(call, page.after, &at));
    api_list_begin(&list, call);
    for (int64_t left = page.limit; left > 0 && (kind = catalogue_kind_at(at)) != NULL;
         left--, at++) {
        put_kind(&list.w, kind);
        (void)snprintf(list.last, sizeof(list.last), "%s", kind->name);
    }
    api_list_end(&list, catalogue_kind_at(at) != NULL);
    return TG_OK;
}

/* --- changes ---------------------------------------------------------------------------------- */

static enum tg_status read_input(struct api_call *call, bool is_new, struct provider_input *input)
{
    const struct input_field fields[] = {
        { .name = "name",
          .kind = INPUT_TEXT,
          .is_required = is_new,
          .ret_has = &input->has_name,
          .ret = &input->name },
        { .name = "base_url",
          .kind = INPUT_TEXT,
          .may_be_null = true,
          .ret_has = &input->has_base_url,
          .ret = &input->base_url },
        { .name = "secret",
          .kind = INPUT_TEXT,
          .may_be_null = true,
          .ret_has = &input->has_secret,
          .ret = &input->secret },
        { .name = "is_default",
          .kind = INPUT_BOOL,
          .ret_has = &input->has_is_default,
          .ret = &input->is_default },
        { .name = "is_enabled",
          .kind = INPUT_BOOL,
          .ret_has = &input->has_is_enabled,
          .ret = &input->is_enabled },
        /* Last, so that it can be left out: a provider never changes its kind. */
        { .name = "kind", .kind = INPUT_TEXT, .is_required = true, .ret = &input->kind },
    };

    return input_body(call, fields, is_new ? INPUT_COUNT(fields) : INPUT_COUNT(fields) - 1);
}

static enum tg_status change(struct api_call *call, enum provider_action action)
{
    const bool is_new = action == PROVIDER_CREATE;
    struct provider_job job;
    struct json_writer w;
    char location[64];

    provider_job_init(&job, action, call->parts->ring, call->parts->targets);
    job.public_id = call->id;
    TRY(api_if_match(call, &job.if_revision));
    if (action != PROVIDER_DELETE)
        TRY(read_input(call, is_new, &job.input));
    TRY(api_change(call, &job.account));
    if (call->parts->provider_changed != NULL)
        call->parts->provider_changed(call->parts->provider_changed_context);
    if (action == PROVIDER_DELETE) {
        api_no_content(call);
        return TG_OK;
    }
    (void)snprintf(location, sizeof(location), "/api/v1/providers/%s", job.after.public_id);
    if (is_new)
        api_begin_created(call, &w, location);
    else
        api_begin(call, &w);
    api_etag(call, job.after.revision);
    put_provider(&w, &job.after);
    return TG_OK;
}

enum tg_status providers_create(struct api_call *call)
{
    return change(call, PROVIDER_CREATE);
}

enum tg_status providers_update(struct api_call *call)
{
    return change(call, PROVIDER_UPDATE);
}

enum tg_status providers_delete(struct api_call *call)
{
    return change(call, PROVIDER_DELETE);
}

/* No connection to the database is kept while the provider is waited for. */
static enum tg_status prepare(struct api_call *call, struct probe *probe)
{
    AUTO(reader) reader = { 0 };

    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    return probe_prepare(reader.db, call->parts->ring, call->id, probe, &call->err);
}

static enum tg_status store_models(struct api_call *call, struct span models)
{
    struct provider_job job;

    provider_job_init(&job, PROVIDER_SET_MODELS, call->parts->ring, call->parts->targets);
    job.public_id = call->id;
    job.input.models = models;
    return api_change(call, &job.account);
}

/* That the provider does not answer is a result of the test, not a failure of the request. */
enum tg_status providers_test(struct api_call *call)
{
    AUTO(probe) probe = { 0 };
    AUTO(probe_result) result = { 0 };
    const struct probe_options options = { .deadline_ms = API_TEST_DEADLINE_MS,
                                           .ca_file = call->parts->ca_file };
    struct err why = { 0 };
    struct json_writer w;
    enum tg_status status;

    TRY(input_body(call, NULL, 0));
    TRY(prepare(call, &probe));
    status = probe_run(&probe, &options, &result, &why);
    if (status == TG_OK)
        TRY(store_models(call, buf_span(&result.models)));
    api_begin(call, &w);
    json_open_object(&w, NULL);
    json_bool(&w, "ok", status == TG_OK);
    if (result.http > 0)
        json_int(&w, "http_status", result.http);
    else
        json_null(&w, "http_status");
    json_int(&w, "took_ms", result.took_ms);
    json_string(&w, "code", status == TG_OK ? NULL : tg_status_info(status)->code);
    json_string(&w, "detail", status == TG_OK ? NULL : why.text);
    json_raw(&w, "models", status == TG_OK ? buf_span(&result.models) : SPAN("[]"));
    json_close_object(&w);
    return TG_OK;
}
