#include "pricing/seed.h"

#include "base/clock.h"
#include "base/try.h"
#include "pricing/csv.h"

#include <stdlib.h>

/* --- reading -----------------------------------------------------------------------------------
 */

static bool set_provider(struct price *price, struct span text)
{
    price->provider = text;
    return true;
}

static bool set_model(struct price *price, struct span text)
{
    price->model = text;
    return true;
}

static bool set_class(struct price *price, struct span text)
{
    return price_class_from_name(text, &price->class);
}

static bool set_unit(struct price *price, struct span text)
{
    return price_unit_from_name(text, &price->unit);
}

static bool set_unit_price(struct price *price, struct span text)
{
    return span_to_int64(text, COST_PRICE_MAX, &price->unit_price_pusd);
}

static bool set_tier(struct price *price, struct span text)
{
    return price_tier_from_name(text, &price->tier);
}

static bool set_ctx_min(struct price *price, struct span text)
{
    return span_to_int64(text, TG_COUNT_MAX, &price->ctx_min);
}

static bool set_variant(struct price *price, struct span text)
{
    price->variant = text;
    return true;
}

static bool set_utc_window(struct price *price, struct span text)
{
    price->utc_window = text;
    return true;
}

static bool is_date(struct span text, int64_t *ret_ms)
{
    return text.len == sizeof("YYYY-MM-DD") - 1 && clock_parse_rfc3339(text, ret_ms);
}

static bool set_from(struct price *price, struct span text)
{
    price->valid_from_ms = PRICE_ALWAYS;
    return text.len == 0 || is_date(text, &price->valid_from_ms);
}

static bool set_until(struct price *price, struct span text)
{
    price->valid_until_ms = PRICE_FOREVER;
    return text.len == 0 ||
           (is_date(text, &price->valid_until_ms) && price->valid_until_ms > price->valid_from_ms);
}

static bool set_as_of(struct price *price, struct span text)
{
    int64_t ms;

    price->as_of = text;
    return is_date(text, &ms);
}

static bool set_sources(struct price *price, struct span text)
{
    price->sources = text;
    return true;
}

static bool set_status(struct price *price, struct span text)
{
    price->status = text;
    return text.len > 0;
}

static bool set_dissent(struct price *price, struct span text)
{
    price->dissent = text;
    return true;
}

/* In the order of SEED_HEADER. */
static const struct column {
    bool (*set)(struct price *price, struct span text);
    const char *complaint; /* NULL: price_complaint has it */
} columns[] = {
    { set_provider, NULL },
    { set_model, NULL },
    { set_class, "component must be one of the price book's (input, output, cache_read, ...)" },
    { set_unit, "unit must be token, image, pixel, char, call, page, second or hour" },
    { set_unit_price, "pico_usd must be a whole number up to 5000000000000" },
    { set_tier, "tier must be batch, flex, standard, priority or fast" },
    { set_ctx_min, "ctx_min must be a whole number up to 1000000000" },
    { set_variant, NULL },
    { set_utc_window, NULL },
    { set_from, "from must be a date (YYYY-MM-DD) or empty" },
    { set_until, "until must be a date (YYYY-MM-DD) after from, or empty" },
    { set_as_of, "as_of must be a date (YYYY-MM-DD)" },
    { set_sources, NULL },
    { set_status, "status must not be empty" },
    { set_dissent, NULL },
};
#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

/* column_count: COLUMN_COUNT, or one more for the currency */
static enum tg_status read_row(struct csv *csv, size_t column_count, struct price *ret_price,
                               struct err *err)
{
    struct span fields[COLUMN_COUNT + 1];
    struct price price = { 0 };
    const char *complaint;

    TRY(csv_next(csv, column_count, fields, err));
    if (column_count > COLUMN_COUNT && !span_equal(fields[COLUMN_COUNT], SPAN("USD")))
        return csv_refuse(csv, "currency must be USD", err);
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        if (!columns[i].set(&price, fields[i]))
            return csv_refuse(csv, columns[i].complaint, err);
    complaint = price_complaint(&price);
    if (complaint != NULL)
        return csv_refuse(csv, complaint, err);
    price.id = csv->line;
    *ret_price = price;
    return TG_OK;
}

static int compare_row(const void *left, const void *right)
{
    const struct price *a = left;
    const struct price *b = right;
    const int order = price_compare_subject(a, b);

    if (order != 0)
        return order;
    if (a->valid_from_ms != b->valid_from_ms)
        return a->valid_from_ms < b->valid_from_ms ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static void sort(struct price_list *list)
{
    if (list->count > 0)
        qsort(list->rows, list->count, sizeof(*list->rows), compare_row);
}

/* In a sorted list, rows of one subject that hold at one time stand side by side. */
static enum tg_status check_overlap(const char *name, const struct price_list *list,
                                    struct err *err)
{
    for (size_t i = 1; i < list->count; i++) {
        const struct price *before = &list->rows[i - 1];
        const struct price *row = &list->rows[i];

        if (price_compare_subject(before, row) == 0 && row->valid_from_ms < before->valid_until_ms)
            return err_set(err, TG_INVALID,
                           "%s line %lld: prices the same at the same time as line %lld", name,
                           (long long)row->id, (long long)before->id);
    }
    return TG_OK;
}

static enum tg_status read_header(struct csv *csv, size_t *ret_column_count, struct err *err)
{
    const struct span header = SPAN(SEED_HEADER);
    struct span line = SPAN_EMPTY;

    (void)span_cut(&csv->rest, '\n', &line); /* an empty file has an empty header */
    csv->line = 1;
    if (span_ends_with(line, SPAN("\r")))
        line.len--;
    *ret_column_count = COLUMN_COUNT;
    if (span_equal(line, header))
        return TG_OK;
    if (span_equal(line, SPAN(SEED_HEADER SEED_CURRENCY))) {
        *ret_column_count = COLUMN_COUNT + 1;
        return TG_OK;
    }
    return err_set(err, TG_INVALID, "%s line 1: must be %s", csv->name, SEED_HEADER);
}

enum tg_status seed_parse(const char *name, struct span csv, struct price_list *ret_list,
                          struct err *err)
{
    struct csv reader;
    size_t column_count;

    if (csv.len > SEED_FILE_MAX)
        return err_set(err, TG_TOO_LARGE, "%s: longer than %zu bytes", name, SEED_FILE_MAX);
    csv_init(&reader, name, csv, &ret_list->text);
    TRY(read_header(&reader, &column_count, err));
    while (!csv_is_at_end(&reader)) {
        struct price price;
        enum tg_status status;

        TRY(read_row(&reader, column_count, &price, err));
        status = price_list_add(ret_list, &price);
        if (status == TG_TOO_LARGE)
            return err_set(err, status, "%s: more than %d rows", name, PRICE_ROWS_MAX);
        TRY(status);
    }
    sort(ret_list);
    return check_overlap(name, ret_list, err);
}

/* --- comparing ---------------------------------------------------------------------------------
 */

/* The rows of one subject, as seed_compare meets them. */
struct subject {
    struct price *current;
    size_t current_count;
    struct price *file;
    size_t file_count;
    bool *is_matched; /* current rows, then the file's */
    int64_t now_ms;
};

void seed_plan_fini(struct seed_plan *plan)
{
    free(plan->closes);
    free(plan->inserts);
    *plan = (struct seed_plan){ 0 };
}

static int64_t latest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool is_live(const struct price *price, int64_t now_ms)
{
    return price->valid_until_ms > now_ms && price->valid_until_ms > price->valid_from_ms;
}

/* Whether they price alike from now on, but for their end. */
static bool is_same(const struct price *a, const struct price *b, int64_t now_ms)
{
    return a->unit_price_pusd == b->unit_price_pusd &&
           latest(a->valid_from_ms, now_ms) == latest(b->valid_from_ms, now_ms);
}

static void close_row(struct seed_plan *plan, struct price *row, int64_t until_ms)
{
    row->valid_until_ms = until_ms;
    plan->closes[plan->close_count++] = (struct seed_close){ row->id, until_ms };
}

/* Pair each live row of the file with a current one that ends with it or, in the second round, is
 * open; such a one is given the file's end. */
static void match(const struct subject *s, bool may_end, struct seed_plan *plan)
{
    bool *const is_file_matched = s->is_matched + s->current_count;

    for (size_t i = 0; i < s->file_count * s->current_count; i++) {
        const size_t f = i / s->current_count;
        const size_t c = i % s->current_count;
        const struct price *file = &s->file[f];
        struct price *current = &s->current[c];
        const int64_t until_ms = may_end ? PRICE_FOREVER : file->valid_until_ms;

        if (is_file_matched[f] || s->is_matched[c] || current->valid_until_ms != until_ms ||
            !is_live(file, s->now_ms) || !is_live(current, s->now_ms) ||
            !is_same(file, current, s->now_ms))
            continue;
        is_file_matched[f] = true;
        s->is_matched[c] = true;
        if (may_end)
            close_row(plan, current, file->valid_until_ms);
    }
}

/* When a new row begins: on its day, unless a current row that reaches into its time would precede
 * it. */
static int64_t begin_of(const struct subject *s, const struct price *file)
{
    bool is_open = file->valid_from_ms != PRICE_ALWAYS;

    for (size_t c = 0; c < s->current_count; c++)
        if (s->current[c].valid_from_ms >= file->valid_from_ms &&
            s->current[c].valid_until_ms > latest(s->current[c].valid_from_ms, file->valid_from_ms))
            is_open = false;
    return is_open ? file->valid_from_ms : latest(file->valid_from_ms, s->now_ms);
}

static void compare_subject(const struct subject *s, struct seed_plan *plan)
{
    match(s, /* may_end= */ false, plan);
    match(s, /* may_end= */ true, plan);
    for (size_t c = 0; c < s->current_count; c++)
        if (!s->is_matched[c] && is_live(&s->current[c], s->now_ms))
            close_row(plan, &s->current[c], latest(s->current[c].valid_from_ms, s->now_ms));
    for (size_t f = 0; f < s->file_count; f++) {
        const bool is_wanted = s->current_count == 0 || (is_live(&s->file[f], s->now_ms) &&
                                                         !s->is_matched[s->current_count + f]);
        struct price *insert = &plan->inserts[plan->insert_count];

        if (!is_wanted)
            continue;
        *insert = s->file[f];
        if (s->current_count > 0)
            insert->valid_from_ms = begin_of(s, insert);
        plan->insert_count++;
    }
}

/* How many rows from `start` on are of its subject. */
static size_t run_length(const struct price_list *list, size_t start, const struct price *subject)
{
    size_t end = start;

    while (end < list->count && price_compare_subject(&list->rows[end], subject) == 0)
        end++;
    return end - start;
}

static void compare_lists(struct price_list *current, struct price_list *file, bool *is_matched,
                          int64_t now_ms, struct seed_plan *plan)
{
    size_t c = 0;
    size_t f = 0;

    while (c < current->count || f < file->count) {
        const bool is_current_next =
            f == file->count ||
            (c < current->count && price_compare_subject(&current->rows[c], &file->rows[f]) <= 0);
        const struct price *next = is_current_next ? &current->rows[c] : &file->rows[f];
        const struct subject subject = {
            .current = current->rows + c,
            .current_count = run_length(current, c, next),
            .file = file->rows + f,
            .file_count = run_length(file, f, next),
            .is_matched = is_matched + c + f,
            .now_ms = now_ms,
        };

        compare_subject(&subject, plan);
        c += subject.current_count;
        f += subject.file_count;
    }
}

enum tg_status seed_compare(struct price_list *current, struct price_list *file, int64_t now_ms,
                            struct seed_plan *ret_plan)
{
    bool *is_matched = calloc(current->count + file->count + 1, sizeof(*is_matched));
    struct seed_plan plan = {
        .closes = calloc(current->count + 1, sizeof(*plan.closes)),
        .inserts = calloc(file->count + 1, sizeof(*plan.inserts)),
    };

    if (is_matched == NULL || plan.closes == NULL || plan.inserts == NULL) {
        free(is_matched);
        seed_plan_fini(&plan);
        return TG_NO_MEMORY;
    }
    sort(current);
    sort(file);
    compare_lists(current, file, is_matched, now_ms, &plan);
    free(is_matched);
    *ret_plan = plan;
    return TG_OK;
}
