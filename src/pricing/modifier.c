#include "pricing/modifier.h"

#include "base/clock.h"
#include "base/try.h"
#include "pricing/csv.h"

#include <stdlib.h>

struct modifier {
    struct span provider;
    struct span models;
    enum modifier_condition condition;
    struct span values;
    bool is_uncached;
    struct cost_factor factor;
    int64_t from_ms;
    int64_t until_ms;
};

struct modifier_table {
    struct modifier rows[MODIFIERS_MAX];
    size_t count;
    struct arena text;
};

#define FIELD_COUNT      9
#define TERM_MAX         1000
#define TEXT_FIRST_BYTES 4096
#define TEXT_CAP_BYTES   ((size_t)1 << 20)

bool modifier_names(struct span list, struct span name)
{
    struct span item;

    while (span_cut(&list, '|', &item)) {
        if (span_ends_with(item, SPAN("*"))
                ? span_starts_with(name, span_of(item.ptr, item.len - 1))
                : span_equal(item, name))
            return true;
    }
    return false;
}

/* --- the file ----------------------------------------------------------------------------------
 */

static bool set_condition(struct modifier *row, struct span text)
{
    static const struct span names[] = {
        [MODIFIER_TIER] = { "tier=", 5 }, [MODIFIER_REGION] = { "region=", 7 }
    };

    for (int i = 0; i < 2; i++) {
        if (!span_starts_with(text, names[i]) || text.len == names[i].len)
            continue;
        row->condition = (enum modifier_condition)i;
        row->values = span_from_offset(text, names[i].len);
        return true;
    }
    return false;
}

static bool set_classes(struct modifier *row, struct span text)
{
    row->is_uncached = span_equal(text, SPAN("uncached"));
    return row->is_uncached || span_equal(text, SPAN("tokens"));
}

static bool set_factor(struct modifier *row, struct span num, struct span den)
{
    return span_to_int64(num, TERM_MAX, &row->factor.num) &&
           span_to_int64(den, TERM_MAX, &row->factor.den) && row->factor.num > 0 &&
           row->factor.den > 0;
}

static bool set_date(struct span text, int64_t *ret_ms)
{
    return text.len == 0 || (text.len == 10 && clock_parse_rfc3339(text, ret_ms));
}

static enum tg_status read_row(struct csv *csv, struct modifier *row, struct err *err)
{
    struct span fields[FIELD_COUNT];

    TRY(csv_next(csv, FIELD_COUNT, fields, err));
    *row = (struct modifier){ .provider = fields[0], .models = fields[1], .until_ms = INT64_MAX };
    if (row->provider.len == 0 || row->models.len == 0)
        return csv_refuse(csv, "provider and models must not be empty", err);
    if (!set_condition(row, fields[2]))
        return csv_refuse(csv, "condition must be tier=NAME or region=NAMES", err);
    if (!set_classes(row, fields[3]))
        return csv_refuse(csv, "classes must be tokens or uncached", err);
    if (!set_factor(row, fields[4], fields[5]))
        return csv_refuse(csv, "num and den must be 1 to 1000", err);
    if (!set_date(fields[6], &row->from_ms) || !set_date(fields[7], &row->until_ms))
        return csv_refuse(csv, "from and until must be dates (YYYY-MM-DD) or empty", err);
    return TG_OK;
}

static enum tg_status read_rows(struct modifier_table *table, const char *name, struct span text,
                                struct err *err)
{
    struct span line;
    struct csv csv;

    csv_init(&csv, name, text, &table->text);
    if (!span_starts_with(text, SPAN(MODIFIER_HEADER)))
        return err_set(err, TG_INVALID, "%s line 1: must be %s", name, MODIFIER_HEADER);
    (void)span_cut(&csv.rest, '\n', &line); /* the header */
    csv.line = 1;
    while (!csv_is_at_end(&csv)) {
        if (table->count == MODIFIERS_MAX)
            return err_set(err, TG_TOO_LARGE, "%s: more than %d rows", name, MODIFIERS_MAX);
        TRY(read_row(&csv, &table->rows[table->count], err));
        table->count++;
    }
    return TG_OK;
}

enum tg_status modifier_table_parse(const char *name, struct span csv,
                                    struct modifier_table **ret_table, struct err *err)
{
    AUTO_PTR(modifier_table) table = calloc(1, sizeof(*table));

    if (table == NULL)
        return TG_NO_MEMORY;
    arena_init(&table->text, TEXT_FIRST_BYTES, TEXT_CAP_BYTES);
    TRY(read_rows(table, name, csv, err));
    *ret_table = table;
    table = NULL;
    return TG_OK;
}

void modifier_table_free(struct modifier_table *table)
{
    if (table == NULL)
        return;
    arena_fini(&table->text);
    free(table);
}

size_t modifier_table_bytes(const struct modifier_table *table)
{
    return sizeof(*table) + table->text.used_bytes;
}

/* --- asking ------------------------------------------------------------------------------------
 */

const struct modifier *modifier_find(const struct modifier_table *table,
                                     const struct modifier_query *query)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct modifier *row = &table->rows[i];

        if (row->condition == query->condition && span_equal(row->provider, query->provider) &&
            row->from_ms <= query->at_ms && query->at_ms < row->until_ms &&
            modifier_names(row->values, query->value) && modifier_names(row->models, query->model))
            return row;
    }
    return NULL;
}

bool modifier_covers(const struct modifier *modifier, enum tg_class class)
{
    const bool is_cache_read =
        class == TG_CACHE_READ || class == TG_CACHE_READ_AUDIO || class == TG_CACHE_READ_IMAGE;

    return class < TG_TOKEN_CLASS_COUNT && !(modifier->is_uncached && is_cache_read);
}

struct cost_factor modifier_factor(const struct modifier *modifier)
{
    return modifier->factor;
}
