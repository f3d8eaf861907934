#include "admin/limits.h"

#include "admin/input.h"
#include "base/try.h"
#include "policy/key_admin.h"
#include "quota/admit.h"
#include "quota/event_log.h"
#include "quota/shadow.h"
#include "store/reader.h"

#include <stdio.h>

/* Keys that one answer shows of a limit for each key. */
#define KEYS_MAX 1000

static const char *const day_names[] = { "monday", "tuesday",  "wednesday", "thursday",
                                         "friday", "saturday", "sunday" };
#define DAY_COUNT ((int)(sizeof(day_names) / sizeof(day_names[0])))

/* --- writing ---------------------------------------------------------------------------------- */

/* An answer that limits are written into. */
struct answer {
    struct api_call *call;
    struct db *db;
    struct json_writer *w;
    bool with_keys; /* of a limit for each key */
};

struct counts {
    struct admit_count *count;
    int len;
    bool has_more;
};

static void put_scope(struct json_writer *w, const struct limit *limit)
{
    json_open_object(w, "scope");
    json_string(w, "type", limit_scope_name(limit->scope));
    json_string(w, "id", limit->scope != LIMIT_ORGANIZATION ? limit->scope_id : NULL);
    json_string(w, "each", limit->is_each_key ? "key" : NULL);
    json_close_object(w);
}

static void put_models(struct json_writer *w, const struct limit *limit)
{
    json_open_array(w, "models");
    for (int i = 0; i < limit->model_count; i++)
        json_string(w, NULL, limit->models[i]);
    json_close_array(w);
}

static void put_periods(struct json_writer *w, const struct limit *limit)
{
    const struct period_rule *rule = &limit->rule;

    json_string(w, "window", limit->has_window ? period_window_name(rule->window) : NULL);
    json_string(w, "timezone", limit->timezone);
    json_string(w, "week_start",
                rule->window == PERIOD_WEEK ? day_names[rule->week_start - 1] : NULL);
    if (rule->window == PERIOD_MONTH)
        json_int(w, "anchor_day", rule->anchor_day);
    else
        json_null(w, "anchor_day");
}

static void put_manner(struct json_writer *w, const struct limit *limit)
{
    json_string(w, "enforcement", limit->is_hard ? "hard" : "soft");
    json_string(w, "when_short", limit->may_clamp ? "clamp" : "refuse");
    json_bool(w, "strict", limit->is_strict);
    json_open_array(w, "thresholds");
    for (int i = 0; i < limit->threshold_count; i++)
        json_int(w, NULL, limit->thresholds[i]);
    json_close_array(w);
}

/* Numbers of one count; NULL: it has none of its own. */
static void put_count(struct json_writer *w, const struct limit *limit,
                      const struct admit_count *count)
{
    static const char *const names[] = { "spent", "held", "unreconciled", "remaining" };
    int64_t left = 0;

    if (count == NULL) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            json_null(w, names[i]);
        json_null(w, "period_start");
        json_null(w, "resets_at");
        return;
    }
    left = count->amount - count->spent - count->held;
    limit_put_amount(w, "spent", limit->metric, count->spent);
    limit_put_amount(w, "held", limit->metric, count->held);
    limit_put_amount(w, "unreconciled", limit->metric, count->unreconciled);
    limit_put_amount(w, "remaining", limit->metric, left > 0 ? left : 0);
    json_time(w, "period_start",
              limit->has_window && limit->rule.window != PERIOD_TOTAL ? count->period_start_ms : 0);
    json_time(w, "resets_at", count->resets_at_ms);
}

/* One that was for a period that is over is none any more. */
static void put_override(struct json_writer *w, const struct limit *limit,
                         const struct counts *counts)
{
    const bool is_over =
        counts->len > 0 && counts->count[0].period_start_ms != limit->override_start_ms;

    if (limit->override_amount == 0 || is_over) {
        json_null(w, "override");
        return;
    }
    json_open_object(w, "override");
    limit_put_amount(w, "amount", limit->metric, limit->override_amount);
    json_time(w, "period_start", limit->rule.window != PERIOD_TOTAL ? limit->override_start_ms : 0);
    json_close_object(w);
}

static enum tg_status put_keys(struct answer *answer, const struct limit *limit,
                               const struct counts *counts)
{
    struct json_writer *w = answer->w;

    json_open_array(w, "keys");
    for (int i = 0; i < counts->len; i++) {
        char key_id[ID_TEXT_SIZE] = "";

        TRY(key_name(answer->db, counts->count[i].key_id, key_id, &answer->call->err));
        json_open_object(w, NULL);
        json_string(w, "key_id", key_id);
        put_count(w, limit, &counts->count[i]);
        json_close_object(w);
    }
    json_close_array(w);
    json_bool(w, "has_more_keys", counts->has_more);
    return TG_OK;
}

static void put_warning(void *context, const struct limit *by)
{
    struct answer *answer = context;
    char text[SHADOW_TEXT_SIZE];

    shadow_describe(by, text);
    json_string(answer->w, NULL, text);
}

/* What has been counted; nothing where the limit is gone meanwhile. */
static enum tg_status look(struct answer *answer, const struct limit *limit, struct counts *counts)
{
    struct api_call *call = answer->call;
    const int cap = limit->is_each_key ? KEYS_MAX + 1 : 1;
    struct admit_look_query query = { .limit_id = limit->id, .cap = cap };
    enum tg_status status;

    *counts = (struct counts){ 0 };
    if (limit->is_each_key && !answer->with_keys)
        return TG_OK;
    query.counts = arena_alloc(&call->arena, (size_t)cap * sizeof(*query.counts));
    if (query.counts == NULL)
        return TG_NO_MEMORY;
    status = admit_look(call->parts->admit, call->parts->writer, &query, &counts->len, &call->err);
    if (status != TG_OK && status != TG_NOT_FOUND)
        return status;
    counts->count = query.counts;
    counts->has_more = counts->len > KEYS_MAX;
    if (counts->has_more)
        counts->len = KEYS_MAX;
    return TG_OK;
}

static enum tg_status put_limit(struct answer *answer, const struct limit *limit)
{
    struct json_writer *w = answer->w;
    struct counts counts;

    TRY(look(answer, limit, &counts));
    json_open_object(w, NULL);
    json_string(w, "id", limit->public_id);
    put_scope(w, limit);
    put_models(w, limit);
    json_string(w, "metric", limit_metric_name(limit->metric));
    put_periods(w, limit);
    limit_put_amount(w, "amount", limit->metric, limit->amount);
    put_manner(w, limit);
    put_count(w, limit, !limit->is_each_key && counts.len > 0 ? &counts.count[0] : NULL);
    put_override(w, limit, &counts);
    if (limit->is_each_key && answer->with_keys)
        TRY(put_keys(answer, limit, &counts));
    json_open_array(w, "warnings");
    TRY(shadow_each(answer->db, limit, put_warning, answer, &answer->call->err));
    json_close_array(w);
    json_time(w, "created_at", limit->created_at_ms);
    json_close_object(w);
    return TG_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct listing {
    struct api_list list;
    struct answer answer;
};

static enum tg_status on_limit(void *context, const struct limit *limit)
{
    struct listing *listing = context;

    memcpy(listing->list.last, limit->public_id, sizeof(listing->list.last));
    return put_limit(&listing->answer, limit);
}

enum tg_status limits_list(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    struct limit_query query = { .scope = call->who.scope, .on_row = on_limit };
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "team_id", .kind = INPUT_TEXT, .ret = &query.team_id },
        { .name = "key_id", .kind = INPUT_TEXT, .ret = &query.key_id },
    };
    AUTO(reader) reader = { 0 };
    struct listing listing;
    bool has_more;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    api_list_begin(&listing.list, call);
    listing.answer = (struct answer){ .call = call, .db = reader.db, .w = &listing.list.w };
    query.page = input_account_page(call, &page);
    query.context = &listing;
    TRY(limit_list(reader.db, &query, &has_more, &call->err));
    api_list_end(&listing.list, has_more);
    return TG_OK;
}

/* What a handler answers with; location NULL: 200. */
static enum tg_status answer_one(struct api_call *call, const struct limit *limit,
                                 const char *location)
{
    AUTO(reader) reader = { 0 };
    struct json_writer w;
    struct answer answer = { .call = call, .w = &w, .with_keys = true };

    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    answer.db = reader.db;
    if (location != NULL)
        api_begin_created(call, &w, location);
    else
        api_begin(call, &w);
    api_etag(call, limit->revision);
    return put_limit(&answer, limit);
}

static enum tg_status read_limit(struct api_call *call, struct limit *ret_limit)
{
    AUTO(reader) reader = { 0 };

    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    return limit_get(reader.db, call->who.scope, call->id, ret_limit, &call->err);
}

enum tg_status limits_get(struct api_call *call)
{
    AUTO(limit) limit = { 0 };

    TRY(input_query(call, NULL, 0));
    TRY(read_limit(call, &limit));
    return answer_one(call, &limit, NULL);
}

struct event_listing {
    struct api_list list;
    enum limit_metric metric;
};

static enum tg_status on_event(void *context, const struct event_entry *entry)
{
    struct event_listing *listing = context;
    struct json_writer *w = &listing->list.w;

    (void)snprintf(listing->list.last, sizeof(listing->list.last), "%lld", (long long)entry->id);
    json_open_object(w, NULL);
    json_time(w, "at", entry->at_ms);
    json_int(w, "threshold", entry->threshold);
    limit_put_amount(w, "amount", listing->metric, entry->amount);
    limit_put_amount(w, "spent", listing->metric, entry->spent);
    json_time(w, "period_start", entry->period_start_ms);
    json_string(w, "key_id", entry->key_public_id[0] != '\0' ? entry->key_public_id : NULL);
    json_close_object(w);
    return TG_OK;
}

enum tg_status limits_events(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    const struct input_field fields[] = { INPUT_PAGE_FIELDS(page) };
    struct event_query query = { .on_entry = on_event };
    AUTO(reader) reader = { 0 };
    AUTO(limit) limit = { 0 };
    struct event_listing listing;
    bool has_more;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    if (page.after.len > 0 && !span_to_int64(page.after, INT64_MAX, &query.after_id))
        return api_fail(call, TG_INVALID, "?after", "after must be the next_cursor of a list");
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(limit_get(reader.db, call->who.scope, call->id, &limit, &call->err));
    query.limit_id = limit.id;
    query.limit = (int)page.limit;
    query.context = &listing;
    listing.metric = limit.metric;
    api_list_begin(&listing.list, call);
    TRY(event_list(reader.db, &query, &has_more, &call->err));
    api_list_end(&listing.list, has_more);
    return TG_OK;
}

/* --- what is sent ----------------------------------------------------------------------------- */

/* The fields that are words, before they are read. */
struct words {
    struct span scope_type;
    struct span each;
    struct span metric;
    struct span window;
    struct span week_start;
    struct span enforcement;
    struct span when_short;
    int64_t anchor_day;
};

/* In the form of the metric: money as a string, all else as a whole number. */
static struct input_field amount_field(enum limit_metric metric, struct limit_input *input)
{
    return (struct input_field){ .name = "amount",
                                 .kind = metric == LIMIT_COST ? INPUT_MONEY : INPUT_INT,
                                 .ret_has = &input->has_amount,
                                 .ret = &input->amount,
                                 .min = 1,
                                 .max = INPUT_INT_MAX };
}

/* return  false: neither of the two */
static bool take_choice(struct span word, struct span yes, struct span no, bool *ret)
{
    *ret = span_equal(word, yes);
    return *ret || span_equal(word, no);
}

static enum tg_status take_manner(struct api_call *call, const struct words *words,
                                  struct limit_input *input)
{
    input->has_is_hard = words->enforcement.len > 0;
    if (input->has_is_hard &&
        !take_choice(words->enforcement, SPAN("hard"), SPAN("soft"), &input->is_hard))
        return api_fail(call, TG_INVALID, "/enforcement", "enforcement must be hard or soft");
    input->has_may_clamp = words->when_short.len > 0;
    if (input->has_may_clamp &&
        !take_choice(words->when_short, SPAN("clamp"), SPAN("refuse"), &input->may_clamp))
        return api_fail(call, TG_INVALID, "/when_short", "when_short must be clamp or refuse");
    return TG_OK;
}

#define MANNER_FIELDS(words, input)                                                                \
    { .name = "enforcement", .kind = INPUT_TEXT, .ret = &(words).enforcement },                    \
        { .name = "when_short", .kind = INPUT_TEXT, .ret = &(words).when_short },                  \
        { .name = "strict",                                                                        \
          .kind = INPUT_BOOL,                                                                      \
          .ret_has = &(input)->has_is_strict,                                                      \
          .ret = &(input)->is_strict },                                                            \
    {                                                                                              \
        .name = "thresholds", .kind = INPUT_JSON, .may_be_null = true,                             \
        .ret_has = &(input)->has_thresholds, .ret = &(input)->thresholds                           \
    }

static enum tg_status take_scope(struct api_call *call, struct words *words,
                                 struct limit_input *input)
{
    const struct input_field fields[] = {
        { .name = "type", .kind = INPUT_TEXT, .is_required = true, .ret = &words->scope_type },
        { .name = "id", .kind = INPUT_TEXT, .may_be_null = true, .ret = &input->scope_id },
        { .name = "each", .kind = INPUT_TEXT, .may_be_null = true, .ret = &words->each },
    };

    TRY(input_object(call, "scope", fields, INPUT_COUNT(fields)));
    if (!limit_scope_from_name(words->scope_type, &input->scope))
        return api_fail(call, TG_INVALID, "/scope/type", "type must be organization, team or key");
    input->is_each_key = span_equal(words->each, SPAN("key"));
    if (words->each.len > 0 && !input->is_each_key)
        return api_fail(call, TG_INVALID, "/scope/each", "each must be key");
    return TG_OK;
}

static enum tg_status take_week_start(struct api_call *call, const struct words *words,
                                      struct limit_input *input)
{
    if (words->week_start.len == 0)
        return TG_OK;
    for (int day = 0; day < DAY_COUNT; day++)
        if (span_equal(words->week_start, span_from(day_names[day])))
            input->rule.week_start = day + 1;
    if (input->rule.week_start == 0)
        return api_fail(call, TG_INVALID, "/week_start",
                        "week_start must be monday, tuesday, ... or sunday");
    if (input->rule.window != PERIOD_WEEK)
        return api_fail(call, TG_INVALID, "/week_start", "week_start is for the window week alone");
    return TG_OK;
}

static enum tg_status take_window(struct api_call *call, const struct words *words,
                                  struct limit_input *input)
{
    input->rule.window = PERIOD_TOTAL;
    input->has_window = words->window.len > 0;
    if (input->has_window && !period_window_parse(words->window, &input->rule.window))
        return api_fail(call, TG_INVALID, "/window",
                        "window must be minute, hour, day, week, month or total");
    TRY(take_week_start(call, words, input));
    input->rule.anchor_day = (int)words->anchor_day;
    if (words->anchor_day != 0 && input->rule.window != PERIOD_MONTH)
        return api_fail(call, TG_INVALID, "/anchor_day",
                        "anchor_day is for the window month alone");
    return TG_OK;
}

/* The metric decides how the amount is to be read. */
static enum tg_status peek_metric(struct api_call *call, enum limit_metric *ret_metric)
{
    const cJSON *metric = cJSON_GetObjectItemCaseSensitive(call->body, "metric");

    if (cJSON_IsString(metric) &&
        limit_metric_from_name(span_from(metric->valuestring), ret_metric))
        return TG_OK;
    return api_fail(call, TG_INVALID, "/metric",
                    "metric must be cost, input_tokens, output_tokens, total_tokens, requests or "
                    "parallel");
}

static enum tg_status read_creation(struct api_call *call, struct limit_input *input)
{
    struct words words = { 0 };
    struct span scope;
    struct input_field fields[] = {
        { .name = "scope", .kind = INPUT_JSON, .is_required = true, .ret = &scope },
        { .name = "metric", .kind = INPUT_TEXT, .is_required = true, .ret = &words.metric },
        { .name = "models", .kind = INPUT_JSON, .may_be_null = true, .ret = &input->models },
        { .name = "window", .kind = INPUT_TEXT, .may_be_null = true, .ret = &words.window },
        { .name = "timezone", .kind = INPUT_TEXT, .may_be_null = true, .ret = &input->timezone },
        { .name = "week_start", .kind = INPUT_TEXT, .may_be_null = true, .ret = &words.week_start },
        { .name = "anchor_day",
          .kind = INPUT_INT,
          .may_be_null = true,
          .ret = &words.anchor_day,
          .min = 1,
          .max = PERIOD_ANCHOR_DAY_MAX },
        MANNER_FIELDS(words, input),
        { .name = "amount" },
    };
    const int last = INPUT_COUNT(fields) - 1;

    TRY(peek_metric(call, &input->metric));
    fields[last] = amount_field(input->metric, input);
    fields[last].is_required = true;
    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    TRY(take_scope(call, &words, input));
    TRY(take_window(call, &words, input));
    return take_manner(call, &words, input);
}

static enum tg_status read_change(struct api_call *call, enum limit_metric metric,
                                  struct limit_input *input)
{
    struct words words = { 0 };
    const struct input_field fields[] = { amount_field(metric, input),
                                          MANNER_FIELDS(words, input) };

    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    return take_manner(call, &words, input);
}

static enum tg_status read_override(struct api_call *call, enum limit_metric metric,
                                    struct limit_input *input)
{
    struct input_field field = amount_field(metric, input);

    field.is_required = true;
    field.may_be_null = true;
    TRY(input_body(call, &field, 1));
    if (input->amount == 0 && !cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(call->body, "amount")))
        return api_fail(call, TG_INVALID, "/amount",
                        "amount must be more than 0; null takes the override back");
    return TG_OK;
}

/* --- changing --------------------------------------------------------------------------------- */

static enum tg_status make(struct api_call *call, enum limit_action action)
{
    AUTO(limit_job) job;
    char location[64];

    limit_job_init(&job, action, call->parts->admit);
    job.scope = call->who.scope;
    TRY(api_if_match(call, &job.if_revision));
    TRY(read_creation(call, &job.input));
    TRY(api_change(call, &job.account));
    (void)snprintf(location, sizeof(location), "/api/v1/limits/%s", job.after.public_id);
    return answer_one(call, &job.after, job.was_created ? location : NULL);
}

enum tg_status limits_create(struct api_call *call)
{
    return make(call, LIMIT_CREATE);
}

enum tg_status limits_set(struct api_call *call)
{
    return make(call, LIMIT_SET);
}

/* Its metric, which never changes, says how an amount is to be read. */
static enum tg_status read_input(struct api_call *call, enum limit_action action,
                                 struct limit_input *input)
{
    AUTO(limit) limit = { 0 };

    if (action == LIMIT_DELETE)
        return TG_OK;
    TRY(read_limit(call, &limit));
    return action == LIMIT_UPDATE ? read_change(call, limit.metric, input)
                                  : read_override(call, limit.metric, input);
}

static enum tg_status change(struct api_call *call, enum limit_action action)
{
    AUTO(limit_job) job;

    limit_job_init(&job, action, call->parts->admit);
    job.scope = call->who.scope;
    job.public_id = call->id;
    TRY(api_if_match(call, &job.if_revision));
    TRY(read_input(call, action, &job.input));
    TRY(api_change(call, &job.account));
    if (action != LIMIT_DELETE)
        return answer_one(call, &job.after, NULL);
    api_no_content(call);
    return TG_OK;
}

enum tg_status limits_update(struct api_call *call)
{
    return change(call, LIMIT_UPDATE);
}

enum tg_status limits_override(struct api_call *call)
{
    return change(call, LIMIT_OVERRIDE);
}

enum tg_status limits_delete(struct api_call *call)
{
    return change(call, LIMIT_DELETE);
}
