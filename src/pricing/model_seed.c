#include "pricing/model_seed.h"

#include "base/try.h"
#include "pricing/csv.h"
#include "pricing/match.h"
#include "pricing/model.h"
#include "store/stmt.h"
#include "tollgate/usage.h"

#define FILE_NAME        "models.csv"
#define NOTE_MAX         64 /* kind, sources */
#define TEXT_FIRST_BYTES 4096

/* A program that was put back to an older version brings its older file: the latest one counts. */
static const char sql_is_latest[] =
    "SELECT sha256 = ?1 FROM model_seed ORDER BY loaded_ms DESC LIMIT 1 /* scan */";
static const char sql_note[] =
    "INSERT INTO model_seed (sha256, loaded_ms, row_count)"
    " VALUES (?1, max(?3, (SELECT coalesce(max(loaded_ms) + 1, 0) FROM model_seed)), ?2)"
    " ON CONFLICT (sha256) DO UPDATE SET loaded_ms = excluded.loaded_ms,"
    " row_count = excluded.row_count /* scan */";
/* Until the file is found to have them, all rows are an owner's. */
static const char sql_begin[] =
    "UPDATE model SET origin = 'owner', kind = NULL, context_tokens = NULL,"
    " max_output_tokens = NULL, is_reasoning = 0, output_field = NULL,"
    " default_output_tokens = NULL, context_sources = '', output_sources = ''"
    " WHERE origin = 'seed' /* scan */";
static const char sql_put[] =
    "INSERT INTO model (provider, name, match_name, origin, kind, context_tokens,"
    " max_output_tokens, is_reasoning, output_field, default_output_tokens, context_sources,"
    " output_sources) VALUES (?1, ?2, ?3, 'seed', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    " ON CONFLICT (provider, match_name) DO UPDATE SET name = excluded.name, origin = 'seed',"
    " kind = excluded.kind, context_tokens = excluded.context_tokens,"
    " max_output_tokens = excluded.max_output_tokens, is_reasoning = excluded.is_reasoning,"
    " output_field = excluded.output_field,"
    " default_output_tokens = excluded.default_output_tokens,"
    " context_sources = excluded.context_sources, output_sources = excluded.output_sources,"
    " revision = revision + 1 WHERE origin = 'owner'";
static const char sql_end[] =
    "DELETE FROM model WHERE origin = 'owner' AND own_context_tokens IS NULL"
    " AND own_max_output_tokens IS NULL AND own_output_field IS NULL AND own_is_free = 0"
    " AND own_ceiling_price_pusd IS NULL /* scan */";

/* In the order of MODEL_SEED_HEADER. */
enum column {
    PROVIDER,
    MODEL,
    KIND,
    CONTEXT_TOKENS,
    MAX_OUTPUT_TOKENS,
    REASONING,
    OUTPUT_FIELD,
    DEFAULT_OUTPUT,
    CONTEXT_SOURCES,
    OUTPUT_SOURCES,
    COLUMN_COUNT
};

/* --- reading ---------------------------------------------------------------------------------- */

static enum tg_status read_header(struct csv *csv, struct err *err)
{
    struct span fields[COLUMN_COUNT];
    struct span wanted = SPAN(MODEL_SEED_HEADER);
    struct span column;

    if (csv_is_at_end(csv) || csv_next(csv, COLUMN_COUNT, fields, NULL) != TG_OK)
        return err_set(err, TG_INVALID, FILE_NAME " line 1: must be %s", MODEL_SEED_HEADER);
    for (size_t i = 0; span_cut(&wanted, ',', &column); i++)
        if (!span_equal(fields[i], column))
            return err_set(err, TG_INVALID, FILE_NAME " line 1: must be %s", MODEL_SEED_HEADER);
    return TG_OK;
}

/* A count of 1 or more; 0 where the field is empty. */
static bool read_count(struct span text, int64_t *ret_count)
{
    *ret_count = 0;
    return text.len == 0 || (span_to_int64(text, TG_COUNT_MAX, ret_count) && *ret_count > 0);
}

static enum tg_status read_row(struct csv *csv, struct span fields[COLUMN_COUNT],
                               struct model_row *ret_row, struct err *err)
{
    struct model_row row = { 0 };
    const char *complaint;

    TRY(csv_next(csv, COLUMN_COUNT, fields, err));
    row.provider = fields[PROVIDER];
    row.name = fields[MODEL];
    complaint = model_row_complaint(&row);
    if (complaint != NULL)
        return csv_refuse(csv, complaint, err);
    if (!read_count(fields[CONTEXT_TOKENS], &row.seed.context_tokens) ||
        !read_count(fields[MAX_OUTPUT_TOKENS], &row.seed.max_output_tokens) ||
        !read_count(fields[DEFAULT_OUTPUT], &row.seed.default_output_tokens))
        return csv_refuse(csv,
                          "context_tokens, max_output_tokens and default_output must be whole "
                          "numbers from 1 to 1000000000, or empty",
                          err);
    row.seed.is_reasoning = span_equal(fields[REASONING], SPAN("1"));
    if (!row.seed.is_reasoning && !span_equal(fields[REASONING], SPAN("0")))
        return csv_refuse(csv, "reasoning must be 0 or 1", err);
    row.seed.output_field = model_output_field(fields[OUTPUT_FIELD]);
    if (row.seed.output_field == NULL && fields[OUTPUT_FIELD].len > 0)
        return csv_refuse(csv, "output_field must be one that providers have, or empty", err);
    if (fields[KIND].len > NOTE_MAX || fields[CONTEXT_SOURCES].len > NOTE_MAX ||
        fields[OUTPUT_SOURCES].len > NOTE_MAX)
        return csv_refuse(csv, "kind and sources must have at most 64 bytes each", err);
    *ret_row = row;
    return TG_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

static enum tg_status run(struct db *db, const char *sql, struct err *err)
{
    AUTO(stmt) stmt = { 0 };

    TRY(stmt_prepare(&stmt, db, sql, err));
    return stmt_run(&stmt, err);
}

static enum tg_status put_row(struct stmt *stmt, struct csv *csv,
                              const struct span fields[COLUMN_COUNT], const struct model_row *row,
                              struct err *err)
{
    char name[MATCH_NAME_MAX];

    stmt_bind_text(stmt, 1, row->provider);
    stmt_bind_text(stmt, 2, row->name);
    stmt_bind_text(stmt, 3, span_of(name, match_normalise(row->name, name)));
    stmt_bind_optional_text(stmt, 4, fields[KIND]);
    stmt_bind_optional_int(stmt, 5, row->seed.context_tokens, 0);
    stmt_bind_optional_int(stmt, 6, row->seed.max_output_tokens, 0);
    stmt_bind_int(stmt, 7, row->seed.is_reasoning ? 1 : 0);
    stmt_bind_optional_text(stmt, 8, fields[OUTPUT_FIELD]);
    stmt_bind_optional_int(stmt, 9, row->seed.default_output_tokens, 0);
    stmt_bind_text(stmt, 10, fields[CONTEXT_SOURCES]);
    stmt_bind_text(stmt, 11, fields[OUTPUT_SOURCES]);
    TRY(stmt_run(stmt, err));
    if (stmt_changes(stmt) == 0)
        return csv_refuse(csv, "names a model that an earlier line has", err);
    return TG_OK;
}

static enum tg_status put_rows(struct db *db, struct csv *csv, int64_t *ret_count, struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    int64_t count = 0;

    TRY(stmt_prepare(&stmt, db, sql_put, err));
    while (!csv_is_at_end(csv)) {
        struct span fields[COLUMN_COUNT];
        struct model_row row = { 0 };

        if (count++ == MODEL_ROWS_MAX)
            return err_set(err, TG_TOO_LARGE, FILE_NAME ": more than %d rows", MODEL_ROWS_MAX);
        TRY(read_row(csv, fields, &row, err));
        TRY(put_row(&stmt, csv, fields, &row, err));
    }
    *ret_count = count;
    return TG_OK;
}

static enum tg_status is_latest(struct db *db, const char *sha256_hex, bool *ret_is_latest,
                                struct err *err)
{
    AUTO(stmt) stmt = { 0 };
    int64_t value = 0;

    TRY(stmt_prepare(&stmt, db, sql_is_latest, err));
    stmt_bind_text(&stmt, 1, span_from(sha256_hex));
    TRY(stmt_run_int(&stmt, &value, err));
    *ret_is_latest = value != 0;
    return TG_OK;
}

static enum tg_status note(struct db *db, const char *sha256_hex, int64_t count, int64_t now_ms,
                           struct err *err)
{
    AUTO(stmt) stmt = { 0 };

    TRY(stmt_prepare(&stmt, db, sql_note, err));
    stmt_bind_text(&stmt, 1, span_from(sha256_hex));
    stmt_bind_int(&stmt, 2, count);
    stmt_bind_int(&stmt, 3, now_ms);
    return stmt_run(&stmt, err);
}

static enum tg_status take_file(struct db *db, struct csv *csv, int64_t *ret_count, struct err *err)
{
    TRY(read_header(csv, err));
    TRY(run(db, sql_begin, err));
    TRY(put_rows(db, csv, ret_count, err));
    return run(db, sql_end, err);
}

enum tg_status model_seed(struct db *db, struct span csv, const char *sha256_hex, int64_t now_ms,
                          struct err *err)
{
    struct csv reader;
    struct arena texts;
    bool is_taken = false;
    int64_t count = 0;
    enum tg_status status;

    TRY(is_latest(db, sha256_hex, &is_taken, err));
    if (is_taken)
        return TG_OK;
    if (csv.len > MODEL_SEED_FILE_MAX)
        return err_set(err, TG_TOO_LARGE, FILE_NAME ": longer than %zu bytes", MODEL_SEED_FILE_MAX);
    arena_init(&texts, TEXT_FIRST_BYTES, MODEL_SEED_FILE_MAX);
    csv_init(&reader, FILE_NAME, csv, &texts);
    status = take_file(db, &reader, &count, err);
    arena_fini(&texts);
    TRY(status);
    return note(db, sha256_hex, count, now_ms, err);
}
