#include "main/show.h"

#include "base/span.h"

#include <stdlib.h>
#include <string.h>

#define CELL_MAX 64 /* characters of a table's cell */

bool show_format_parse(const char *name, enum show_format *ret_format)
{
    static const char *const names[] = { "table", "json", "csv" };

    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *ret_format = (enum show_format)i;
        return true;
    }
    return false;
}

/* A value as text; the caller frees it. */
static char *text_of(const cJSON *value)
{
    if (value == NULL || cJSON_IsNull(value))
        return strdup("");
    if (cJSON_IsString(value))
        return strdup(value->valuestring);
    return cJSON_PrintUnformatted(value);
}

static void put_json(FILE *out, const cJSON *value)
{
    char *text = cJSON_Print(value);

    (void)fprintf(out, "%s\n", text != NULL ? text : "");
    cJSON_free(text);
}

/* A cell that a spreadsheet would take for a formula gets an apostrophe in front. */
static void put_csv(FILE *out, const char *text, bool is_text)
{
    const bool is_formula = is_text && text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;

    if (!is_formula && strpbrk(text, "\",\r\n") == NULL) {
        (void)fputs(text, out);
        return;
    }
    (void)fputs(is_formula ? "\"'" : "\"", out);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"')
            (void)fputc('"', out);
        (void)fputc(*at, out);
    }
    (void)fputc('"', out);
}

/* Characters, as far as a terminal shows each in one place. */
static int width_of(const char *text)
{
    int width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void put_cell(FILE *out, const char *text, int width)
{
    (void)fputs(text, out);
    for (int i = width_of(text); i < width; i++)
        (void)fputc(' ', out);
}

static void cut(char *text)
{
    const size_t len = span_utf8_cut(span_from(text), CELL_MAX);

    if (len < strlen(text))
        (void)memcpy(text + len, "", 1);
}

static void put_csv_rows(FILE *out, const cJSON *rows, const char *const *members)
{
    const cJSON *row;

    for (int i = 0; members[i] != NULL; i++)
        (void)fprintf(out, "%s%s", i > 0 ? "," : "", members[i]);
    (void)fputs("\r\n", out);
    cJSON_ArrayForEach(row, rows)
    {
        for (int i = 0; members[i] != NULL; i++) {
            const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, members[i]);
            char *text = text_of(value);

            if (i > 0)
                (void)fputc(',', out);
            put_csv(out, text != NULL ? text : "", cJSON_IsString(value));
            free(text);
        }
        (void)fputs("\r\n", out);
    }
}

static char *cell_of(const cJSON *row, const char *member)
{
    char *text = text_of(cJSON_GetObjectItemCaseSensitive(row, member));

    if (text != NULL)
        cut(text);
    return text;
}

static void measure(const cJSON *rows, const char *const *members, int widths[SHOW_COLUMNS_MAX])
{
    const cJSON *row;

    for (int i = 0; members[i] != NULL; i++)
        widths[i] = width_of(members[i]);
    cJSON_ArrayForEach(row, rows)
    {
        for (int i = 0; members[i] != NULL; i++) {
            char *text = cell_of(row, members[i]);
            const int width = text != NULL ? width_of(text) : 0;

            widths[i] = width > widths[i] ? width : widths[i];
            free(text);
        }
    }
}

static void put_table(FILE *out, const cJSON *rows, const char *const *members)
{
    int widths[SHOW_COLUMNS_MAX] = { 0 };
    const cJSON *row;

    measure(rows, members, widths);
    for (int i = 0; members[i] != NULL; i++) {
        put_cell(out, members[i], members[i + 1] != NULL ? widths[i] + 2 : 0);
    }
    (void)fputc('\n', out);
    cJSON_ArrayForEach(row, rows)
    {
        for (int i = 0; members[i] != NULL; i++) {
            char *text = cell_of(row, members[i]);

            put_cell(out, text != NULL ? text : "", members[i + 1] != NULL ? widths[i] + 2 : 0);
            free(text);
        }
        (void)fputc('\n', out);
    }
}

void show_rows(FILE *out, enum show_format format, const cJSON *rows, const char *const *members)
{
    if (format == SHOW_JSON)
        put_json(out, rows);
    else if (format == SHOW_CSV)
        put_csv_rows(out, rows, members);
    else
        put_table(out, rows, members);
}

static void put_csv_object(FILE *out, const cJSON *object)
{
    const cJSON *member;

    (void)fputs("member,value\r\n", out);
    cJSON_ArrayForEach(member, object)
    {
        char *text = text_of(member);

        put_csv(out, member->string, /* is_text= */ true);
        (void)fputc(',', out);
        put_csv(out, text != NULL ? text : "", cJSON_IsString(member));
        (void)fputs("\r\n", out);
        free(text);
    }
}

void show_object(FILE *out, enum show_format format, const cJSON *object)
{
    const cJSON *member;
    int width = 0;

    if (format == SHOW_JSON) {
        put_json(out, object);
        return;
    }
    if (format == SHOW_CSV) {
        put_csv_object(out, object);
        return;
    }
    cJSON_ArrayForEach(member, object)
    {
        const int wide = width_of(member->string);

        width = wide > width ? wide : width;
    }
    cJSON_ArrayForEach(member, object)
    {
        char *text = text_of(member);

        put_cell(out, member->string, width + 2);
        (void)fprintf(out, "%s\n", text != NULL ? text : "");
        free(text);
    }
}
