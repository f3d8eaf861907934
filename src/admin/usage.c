#include "admin/usage.h"

#include "admin/input.h"
#include "base/clock.h"
#include "base/try.h"
#include "ledger/report.h"
#include "store/reader.h"

#define DEFAULT_RANGE_MS (INT64_C(30) * 86400000)
#define TOP_DEFAULT      100

struct wanted {
    struct report_query query;
    uint32_t metrics; /* 1u << enum report_metric */
};

/* "team,model" into a mask of names. */
static bool read_names(struct span list, int count, const char *(*name_of)(int), uint32_t *ret_mask)
{
    struct span name;

    *ret_mask = 0;
    while (span_cut(&list, ',', &name)) {
        int i = 0;

        while (i < count && !span_equal(name, span_from(name_of(i))))
            i++;
        if (i == count)
            return false;
        *ret_mask |= 1u << i;
    }
    return true;
}

static const char *group_name(int group)
{
    return report_group_name((enum report_group)group);
}

static const char *metric_name(int metric)
{
    return report_metric_name((enum report_metric)metric);
}

static const char *bucket_name(int bucket)
{
    return report_bucket_name((enum report_bucket)bucket);
}

static int lowest(uint32_t mask)
{
    return __builtin_ctz(mask);
}

struct texts {
    struct span bucket;
    struct span groups;
    struct span metrics;
    struct span tz;
};

static enum tg_status read_texts(struct api_call *call, const struct texts *texts,
                                 struct wanted *wanted)
{
    uint32_t bucket;

    if (!read_names(texts->bucket, REPORT_BUCKET_COUNT, bucket_name, &bucket) || bucket == 0 ||
        (bucket & (bucket - 1)) != 0)
        return api_fail(call, TG_INVALID, "?bucket", "bucket must be auto, 15m, 1h, 1d or 1mo");
    wanted->query.bucket = (enum report_bucket)lowest(bucket);
    if (!read_names(texts->groups, REPORT_GROUP_COUNT, group_name, &wanted->query.groups))
        return api_fail(call, TG_INVALID, "?group_by",
                        "group_by must be some of team, key, model, provider, with commas between");
    if (!read_names(texts->metrics, REPORT_METRIC_COUNT, metric_name, &wanted->metrics) ||
        wanted->metrics == 0)
        return api_fail(call, TG_INVALID, "?metric",
                        "metric must be some of cost, provider_cost, total_tokens, input_tokens, "
                        "output_tokens, requests, errors, estimated, unreconciled, unpriced, with "
                        "commas between");
    wanted->query.rank = (enum report_metric)lowest(wanted->metrics);
    if (!span_equal(texts->tz, SPAN("UTC")))
        return api_fail(call, TG_INVALID, "?tz",
                        "only UTC is served: leave tz out, or ask for tz=UTC");
    return TG_OK;
}

static enum tg_status read_wanted(struct api_call *call, struct wanted *wanted)
{
    struct report_query *query = &wanted->query;
    struct texts texts = { SPAN("auto"), SPAN_EMPTY,
                           SPAN("cost,total_tokens,input_tokens,output_tokens,requests,errors"),
                           SPAN("UTC") };
    int64_t top = TOP_DEFAULT;
    bool has_from = false;
    const struct input_field fields[] = {
        { .name = "from", .kind = INPUT_TIME, .ret_has = &has_from, .ret = &query->from_ms },
        { .name = "to", .kind = INPUT_TIME, .ret = &query->to_ms },
        { .name = "bucket", .kind = INPUT_TEXT, .ret = &texts.bucket },
        { .name = "group_by", .kind = INPUT_TEXT, .ret = &texts.groups },
        { .name = "metric", .kind = INPUT_TEXT, .ret = &texts.metrics },
        { .name = "tz", .kind = INPUT_TEXT, .ret = &texts.tz },
        { .name = "top", .kind = INPUT_INT, .ret = &top, .min = 1, .max = REPORT_TOP_MAX },
        { .name = "filter[team]", .kind = INPUT_TEXT, .ret = &query->filter[REPORT_BY_TEAM] },
        { .name = "filter[key]", .kind = INPUT_TEXT, .ret = &query->filter[REPORT_BY_KEY] },
        { .name = "filter[model]", .kind = INPUT_TEXT, .ret = &query->filter[REPORT_BY_MODEL] },
        { .name = "filter[provider]",
          .kind = INPUT_TEXT,
          .ret = &query->filter[REPORT_BY_PROVIDER] },
    };

    *wanted = (struct wanted){ .query = { .scope = call->who.scope, .to_ms = clock_wall_ms() } };
    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    if (!has_from)
        query->from_ms = query->to_ms > DEFAULT_RANGE_MS ? query->to_ms - DEFAULT_RANGE_MS : 0;
    if (query->to_ms <= query->from_ms)
        return api_fail(call, TG_INVALID, "?to", "to must be later than from");
    query->top = (int)top;
    return read_texts(call, &texts, wanted);
}

static void put_value(struct json_writer *w, const char *name, enum report_metric metric,
                      const struct report_sums *sums)
{
    if (report_metric_is_money(metric))
        json_money(w, name, sums->value[metric]);
    else
        json_int(w, name, sums->value[metric]);
}

static void put_values(struct json_writer *w, uint32_t metrics, const struct report *report,
                       const struct report_series *series)
{
    json_open_object(w, "values");
    for (int metric = 0; metric < REPORT_METRIC_COUNT; metric++) {
        if ((metrics & (1u << metric)) == 0)
            continue;
        json_open_array(w, metric_name(metric));
        for (int i = 0; i < report->bucket_count; i++)
            put_value(w, NULL, (enum report_metric)metric, &series->bucket[i]);
        json_close_array(w);
    }
    json_close_object(w);
}

static void put_sums(struct json_writer *w, uint32_t metrics, const struct report_sums *sums)
{
    json_open_object(w, "totals");
    for (int metric = 0; metric < REPORT_METRIC_COUNT; metric++) {
        if ((metrics & (1u << metric)) != 0)
            put_value(w, metric_name(metric), (enum report_metric)metric, sums);
    }
    json_close_object(w);
}

static void put_series(struct json_writer *w, const struct wanted *wanted,
                       const struct report *report, const struct report_series *series)
{
    json_open_object(w, NULL);
    json_open_object(w, "key");
    for (int group = 0; group < REPORT_GROUP_COUNT; group++) {
        if ((wanted->query.groups & (1u << group)) != 0)
            json_string(w, group_name(group), series->key[group]);
    }
    json_close_object(w);
    put_values(w, wanted->metrics, report, series);
    put_sums(w, wanted->metrics, &series->total);
    json_close_object(w);
}

static void put_report(struct json_writer *w, const struct wanted *wanted,
                       const struct report *report)
{
    json_open_object(w, NULL);
    json_string(w, "bucket", report_bucket_name(report->bucket));
    json_open_array(w, "buckets");
    for (int i = 0; i < report->bucket_count; i++) {
        char start[CLOCK_RFC3339_SIZE];

        clock_format_rfc3339(report->start_ms[i], start); /* also where it is 0 */
        json_string(w, NULL, start);
    }
    json_close_array(w);
    json_open_array(w, "series");
    for (int i = 0; i < report->series_count; i++)
        put_series(w, wanted, report, &report->series[i]);
    json_close_array(w);
    if (report->has_other) {
        json_open_object(w, "other");
        put_values(w, wanted->metrics, report, &report->other);
        put_sums(w, wanted->metrics, &report->other.total);
        json_close_object(w);
    } else {
        json_null(w, "other");
    }
    put_sums(w, wanted->metrics, &report->total);
}

enum tg_status usage_get(struct api_call *call)
{
    AUTO(reader) reader = { 0 };
    AUTO(report) report = { 0 };
    struct wanted wanted;
    struct json_writer w;
    int64_t now_ms;

    TRY(read_wanted(call, &wanted));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    now_ms = clock_wall_ms(); /* every charge committed before it is in the snapshot */
    TRY(report_make(reader.db, &wanted.query, &report, &call->err));
    api_begin(call, &w);
    put_report(&w, &wanted, &report);
    json_time(&w, "data_through", now_ms);
    json_close_object(&w);
    return TG_OK;
}
