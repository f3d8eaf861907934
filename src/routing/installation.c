#include "routing/installation.h"

#include "base/try.h"
#include "store/stmt.h"

#include <string.h>

static const char insert_sql[] = "INSERT INTO installation (id, public_id, created_ms) "
                                 "VALUES (1, ?1, ?2) ON CONFLICT (id) DO NOTHING";
static const char get_sql[] = "SELECT public_id FROM installation WHERE id = 1";

enum tg_status installation_open(struct db *db, int64_t now_ms, char ret_id[ID_TEXT_SIZE],
                                 struct err *err)
{
    char fresh[ID_TEXT_SIZE];
    AUTO(stmt) insert = { 0 };
    AUTO(stmt) get = { 0 };
    struct span id;
    bool has_row;

    id_make_name("inst_", fresh);
    TRY(stmt_prepare(&insert, db, insert_sql, err));
    stmt_bind_text(&insert, 1, span_from(fresh));
    stmt_bind_int(&insert, 2, now_ms);
    TRY(stmt_run(&insert, err));
    TRY(stmt_prepare(&get, db, get_sql, err));
    TRY(stmt_step(&get, &has_row, err));
    id = has_row ? stmt_text(&get, 0) : SPAN_EMPTY;
    if (id.len == 0 || id.len >= ID_TEXT_SIZE)
        return err_set(err, TG_CORRUPT, "the row of the installation is damaged");
    memcpy(ret_id, id.ptr, id.len);
    ret_id[id.len] = '\0';
    return TG_OK;
}
