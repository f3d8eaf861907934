#include "admin/system.h"

#include "admin/input.h"
#include "admin/problem.h"
#include "base/try.h"
#include "ledger/verify.h"
#include "store/backup.h"
#include "store/db.h"
#include "store/reader.h"
#include "store/stmt.h"
#include "tollgate/version.h"

#include <stdio.h>

/* --- is it there, is it ready ----------------------------------------------------------------- */

enum tg_status system_health(struct api_call *call)
{
    struct json_writer w;

    api_begin(call, &w);
    json_open_object(&w, NULL);
    json_string(&w, "status", "ok");
    json_string(&w, "version", TG_VERSION);
    json_close_object(&w);
    return TG_OK;
}

enum tg_status system_ready(struct api_call *call)
{
    const struct api_parts *parts = call->parts;
    const char *why = NULL;
    struct json_writer w;

    if (parts->is_writable != NULL && !parts->is_writable(parts->ready_context))
        why = "the ledger cannot be written";
    if (parts->is_draining != NULL && parts->is_draining(parts->ready_context))
        why = "shutting down";
    api_begin(call, &w);
    call->answer->http = why == NULL ? 200 : 503;
    json_open_object(&w, NULL);
    json_bool(&w, "ready", why == NULL);
    json_string(&w, "reason", why);
    json_close_object(&w);
    return TG_OK;
}

enum tg_status system_problem(struct api_call *call)
{
    struct json_writer w;

    api_begin(call, &w);
    return problem_explain(call->id, &call->answer->body) ? TG_OK : TG_NOT_FOUND;
}

/* --- who am I --------------------------------------------------------------------------------- */

static const char team_sql[] = "SELECT public_id FROM team WHERE id = ?1";

enum tg_status system_me(struct api_call *call)
{
    AUTO(reader) reader = { 0 };
    struct stmt *stmt;
    struct json_writer w;
    bool has_team = false;

    TRY(input_query(call, NULL, 0));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(stmt_use(reader.db, team_sql, &stmt, &call->err));
    stmt_bind_int(stmt, 1, call->who.scope);
    TRY(stmt_step(stmt, &has_team, &call->err));
    api_begin(call, &w);
    json_open_object(&w, NULL);
    json_string(&w, "id", call->who.public_id);
    json_string(&w, "role", token_role_name(call->who.role));
    if (has_team)
        json_text(&w, "team_id", stmt_text(stmt, 0));
    else
        json_null(&w, "team_id");
    json_close_object(&w);
    stmt_reset(stmt);
    return TG_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

static void put_verdict(struct json_writer *w, const struct ledger_verdict *verdict)
{
    const bool is_clean =
        verdict->differences == 0 && verdict->double_ended == 0 && verdict->out_of_range == 0;

    json_open_object(w, NULL);
    json_bool(w, "ok", is_clean);
    json_int(w, "charges", verdict->charges);
    json_int(w, "differences", verdict->differences);
    json_int(w, "double_ended", verdict->double_ended);
    json_int(w, "out_of_range", verdict->out_of_range);
    json_int(w, "open_holds", verdict->open_holds);
    json_close_object(w);
}

/* On a connection of its own: the readers' are inside one snapshot of at most 5 s, and a long book
 * is read day by day. */
enum tg_status system_verify(struct api_call *call)
{
    AUTO_PTR(db) db = NULL;
    struct ledger_verdict verdict = { 0 };
    struct json_writer w;

    TRY(input_query(call, NULL, 0));
    TRY(db_open(call->parts->database_path, DB_READ, &db, &call->err));
    TRY(ledger_verify(db, &verdict, &call->err));
    api_begin(call, &w);
    put_verdict(&w, &verdict);
    return TG_OK;
}

enum tg_status system_backup(struct api_call *call)
{
    struct span path = SPAN_EMPTY;
    const struct input_field fields[] = {
        { .name = "path", .kind = INPUT_TEXT, .is_required = true, .ret = &path },
    };
    struct json_writer w;
    int64_t bytes = 0;
    enum tg_status status;

    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    status = backup_write(call->parts->database_path, path.ptr, &bytes, &call->err);
    if (status == TG_INVALID || status == TG_CONFLICT)
        (void)snprintf(call->pointer, sizeof(call->pointer), "/path");
    TRY(status);
    api_begin(call, &w);
    call->answer->http = 201;
    json_open_object(&w, NULL);
    json_text(&w, "path", path);
    json_int(&w, "bytes", bytes);
    json_close_object(&w);
    return TG_OK;
}
