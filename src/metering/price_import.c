#include "metering/price_import.h"

#include "base/try.h"
#include "pricing/seed.h"
#include "pricing/table.h"

#include <stdlib.h>

void price_import_init(struct price_import *import)
{
    *import = (struct price_import){ 0 };
    price_list_init(&import->file);
    price_list_init(&import->current);
}

void price_import_fini(struct price_import *import)
{
    price_list_fini(&import->file);
    price_list_fini(&import->current);
    free(import->rows);
    free(import->differences);
    *import = (struct price_import){ 0 };
}

static int compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* By subject; of one, what precedes first. */
static int compare_row(const void *left, const void *right)
{
    const struct price *a = left;
    const struct price *b = right;
    int order = price_compare_subject(a, b);

    order = order != 0 ? order : compare_int(b->is_override, a->is_override);
    order = order != 0 ? order : compare_int(b->valid_from_ms, a->valid_from_ms);
    return order != 0 ? order : compare_int(b->id, a->id);
}

static void sort(struct price_list *list)
{
    if (list->count > 0)
        qsort(list->rows, list->count, sizeof(*list->rows), compare_row);
}

/* A map may name a model twice, once with its provider's name before it. */
static enum tg_status check_twice(const struct price_list *list, struct err *err)
{
    for (size_t i = 1; i < list->count; i++) {
        const struct price *before = &list->rows[i - 1];
        const struct price *row = &list->rows[i];

        if (price_compare_subject(before, row) == 0 &&
            before->unit_price_pusd != row->unit_price_pusd)
            return err_set(err, TG_INVALID, "model map: %.*s has two prices for %s",
                           SPAN_ARG(row->model), tg_class_name(row->class));
    }
    return TG_OK;
}

enum tg_status price_import_read(struct price_import *import, enum import_format format,
                                 struct span text, int64_t now_ms, struct err *err)
{
    struct price_list *file = &import->file;

    if (format == IMPORT_LITELLM) {
        TRY(litellm_parse(text, now_ms, file, &import->skipped, err));
        sort(file);
        return check_twice(file, err);
    }
    TRY(seed_parse("file", text, file, err));
    for (size_t i = 0; i < file->count; i++)
        file->rows[i].is_override = true;
    sort(file);
    return TG_OK;
}

static bool is_in_force(const struct price *price, int64_t now_ms)
{
    return price->team_id == 0 && price->valid_from_ms <= now_ms && now_ms < price->valid_until_ms;
}

/* The first that is in force of the rows of one subject that begin at `start`. NULL: none. */
static const struct price *in_force(const struct price_list *list, size_t start, int64_t now_ms)
{
    for (size_t i = start;
         i < list->count && price_compare_subject(&list->rows[i], &list->rows[start]) == 0; i++)
        if (is_in_force(&list->rows[i], now_ms))
            return &list->rows[i];
    return NULL;
}

static size_t run_length(const struct price_list *list, size_t start)
{
    size_t end = start;

    while (end < list->count && price_compare_subject(&list->rows[end], &list->rows[start]) == 0)
        end++;
    return end - start;
}

static void note(struct price_import *import, enum import_change change, const struct price *price,
                 const struct price *before)
{
    import->differences[import->difference_count++] = (struct import_difference){
        .change = change,
        .price = *price,
        .before_pusd = before != NULL ? before->unit_price_pusd : 0,
        .before_price_id = before != NULL ? before->id : 0,
    };
}

/* One that begins later changes nothing where that very row is known. */
static bool is_known(const struct price_list *current, size_t start, size_t count,
                     const struct price *row)
{
    for (size_t i = start; i < start + count; i++)
        if (current->rows[i].valid_from_ms == row->valid_from_ms &&
            current->rows[i].unit_price_pusd == row->unit_price_pusd)
            return true;
    return false;
}

static void take_row(struct price_import *import, const struct price *row,
                     const struct price *before, int64_t now_ms)
{
    struct price *set = &import->rows[import->row_count++];

    note(import, before == NULL ? IMPORT_NEW : IMPORT_CHANGED, row, before);
    *set = *row;
    /* What was charged up to now stays as it was charged. */
    if (set->valid_from_ms < now_ms)
        set->valid_from_ms = now_ms;
}

/* The file's rows of one subject against those that there are. */
static void compare_subject(struct price_import *import, size_t f, size_t c, size_t c_count,
                            int64_t now_ms)
{
    const struct price_list *current = &import->current;
    const struct price *before = c_count > 0 ? in_force(current, c, now_ms) : NULL;
    const size_t f_count = run_length(&import->file, f);

    for (size_t i = f; i < f + f_count; i++) {
        const struct price *row = &import->file.rows[i];
        const bool is_later = row->valid_from_ms > now_ms;

        if (row->valid_until_ms <= now_ms)
            continue;
        if (i > f && !is_later && import->file.rows[i - 1].valid_from_ms <= now_ms)
            continue; /* the same once more */
        if (is_later ? is_known(current, c, c_count, row)
                     : before != NULL && before->unit_price_pusd == row->unit_price_pusd)
            import->unchanged++;
        else
            take_row(import, row, before, now_ms);
    }
}

static bool has_provider(const struct price_list *list, struct span provider)
{
    for (size_t i = 0; i < list->count; i++)
        if (span_equal(list->rows[i].provider, provider))
            return true;
    return false;
}

static void compare_lists(struct price_import *import, int64_t now_ms)
{
    const struct price_list *file = &import->file;
    const struct price_list *current = &import->current;
    struct span provider = SPAN_EMPTY; /* the latest that was asked about */
    bool is_told_of = false;
    size_t f = 0;
    size_t c = 0;

    while (f < file->count || c < current->count) {
        const int order = f == file->count ? 1
                          : c == current->count
                              ? -1
                              : price_compare_subject(&file->rows[f], &current->rows[c]);
        const size_t c_count = order < 0 ? 0 : run_length(current, c);
        const struct price *before = order > 0 ? in_force(current, c, now_ms) : NULL;

        if (before != NULL && !span_equal(before->provider, provider)) {
            provider = before->provider;
            is_told_of = has_provider(file, provider);
        }
        if (before != NULL && is_told_of)
            note(import, IMPORT_VANISHED, before, before);
        if (order <= 0) {
            compare_subject(import, f, c, c_count, now_ms);
            f += run_length(file, f);
        }
        c += c_count;
    }
}

enum tg_status price_import_compare(struct price_import *import, struct db *db, int64_t now_ms,
                                    struct err *err)
{
    TRY(table_read(db, TABLE_ALL, &import->current, err));
    sort(&import->current);
    import->rows = calloc(import->file.count + 1, sizeof(*import->rows));
    import->differences =
        calloc(import->file.count + import->current.count + 1, sizeof(*import->differences));
    if (import->rows == NULL || import->differences == NULL)
        return TG_NO_MEMORY;
    compare_lists(import, now_ms);
    return TG_OK;
}

bool price_import_moved(const struct import_difference *difference, int64_t percent)
{
    const int64_t before = difference->before_pusd;
    const int64_t after = difference->price.unit_price_pusd;
    const __int128 moved = after > before ? after - before : before - after;

    return moved * 100 > (__int128)before * percent;
}
