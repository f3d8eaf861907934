#include "pricing/csv.h"

#include "base/try.h"

void csv_init(struct csv *csv, const char *name, struct span text, struct arena *texts)
{
    *csv = (struct csv){ .rest = text, .name = name, .texts = texts };
}

bool csv_is_at_end(const struct csv *csv)
{
    return csv->rest.len == 0;
}

enum tg_status csv_refuse(const struct csv *csv, const char *complaint, struct err *err)
{
    return err_set(err, TG_INVALID, "%s line %lld: %s", csv->name, (long long)csv->line, complaint);
}

/* Take the quoted field at the front of `record`, both quotes with it. */
static enum tg_status take_quoted(struct csv *csv, struct span *record, struct span *ret_field,
                                  struct err *err)
{
    char *text = arena_alloc(csv->texts, record->len);
    size_t len = 0;
    size_t at = 1;

    if (text == NULL)
        return TG_NO_MEMORY;
    for (; at < record->len; at++) {
        if (record->ptr[at] == '"') {
            at++;
            if (at == record->len || record->ptr[at] != '"')
                break;
        }
        text[len++] = record->ptr[at];
    }
    if (record->ptr[at - 1] != '"' || at == 1)
        return csv_refuse(csv, "a quoted field must end on its line", err);
    if (at < record->len && record->ptr[at] != ',')
        return csv_refuse(csv, "a closing quote must be followed by a comma", err);
    *ret_field = span_of(text, len);
    *record = span_from_offset(*record, at);
    return TG_OK;
}

static enum tg_status take_plain(struct csv *csv, struct span *record, struct span *ret_field,
                                 struct err *err)
{
    size_t len = record->len;
    size_t quote;

    (void)span_find_byte(*record, ',', &len); /* none: all that is left */
    *ret_field = span_of(record->ptr, len);
    if (span_find_byte(*ret_field, '"', &quote))
        return csv_refuse(csv, "a field with a quote in it must be quoted, the quote doubled", err);
    *record = span_from_offset(*record, len);
    return TG_OK;
}

static struct span take_line(struct csv *csv)
{
    struct span line = SPAN_EMPTY;

    (void)span_cut(&csv->rest, '\n', &line); /* there is one: the caller has asked */
    if (span_ends_with(line, SPAN("\r")))
        line.len--;
    csv->line++;
    return line;
}

enum tg_status csv_next(struct csv *csv, size_t count, struct span *fields, struct err *err)
{
    struct span record = take_line(csv);
    size_t found = 0;
    bool is_more = true;

    while (is_more) {
        struct span field;

        if (record.len > 0 && record.ptr[0] == '"')
            TRY(take_quoted(csv, &record, &field, err));
        else
            TRY(take_plain(csv, &record, &field, err));
        if (found < count)
            fields[found] = field;
        found++;
        is_more = record.len > 0; /* then it begins with a comma */
        record = span_from_offset(record, is_more ? 1 : 0);
    }
    if (found != count)
        return err_set(err, TG_INVALID, "%s line %lld: %zu fields, not %zu", csv->name,
                       (long long)csv->line, found, count);
    return TG_OK;
}
