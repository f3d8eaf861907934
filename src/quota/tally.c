#include "quota/tally.h"

#include "base/id.h"
#include "base/try.h"
#include "ledger/rollup.h"
#include "store/stmt.h"

#include <assert.h>

/* Classes that have no column of their own in `charge`: those that go in, and those that come out.
 */
#define OTHER(name) "coalesce(json_extract(other_usage, '$." name "'), 0)"
#define OTHER_INPUT                                                                                \
    OTHER("cache_write_12h")                                                                       \
    " + " OTHER("cache_read_audio") " + " OTHER("cache_write_audio") " + " OTHER(                  \
        "input_image") " + " OTHER("cache_read_image") " + " OTHER("input_video")
#define OTHER_OUTPUT OTHER("reasoning") " + " OTHER("output_image") " + " OTHER("output_video")
#define INPUT_TOKENS                                                                               \
    "input + cache_read + cache_write + cache_write_1h + input_audio + "                           \
    "CASE WHEN other_usage IS NULL THEN 0 ELSE " OTHER_INPUT " END"
#define OUTPUT_TOKENS                                                                              \
    "output + output_audio + CASE WHEN other_usage IS NULL THEN 0 ELSE " OTHER_OUTPUT " END"
/* LEDGER_NOT_SENT; a later attempt of a call is no request of its own. */
#define REQUESTS "CASE WHEN kind = 0 AND call_id IS NULL AND flags & 8192 = 0 THEN 1 ELSE 0 END"
static_assert(LEDGER_NOT_SENT == 8192, "the bit in REQUESTS");

#define SUMS                                                                                       \
    "key_id, team_id, (SELECT name FROM dimension AS d WHERE d.id = model_id), "                   \
    "sum(" INPUT_TOKENS "), sum(" OUTPUT_TOKENS "), sum(" REQUESTS "), sum(cost_nusd) "            \
    "FROM charge "
#define GROUPS " GROUP BY key_id, team_id, model_id"

static const char rollup_sql[] =
    "SELECT key_id, coalesce((SELECT team_id FROM \"key\" AS k WHERE k.id = key_id), 0), "
    "(SELECT name FROM dimension AS d WHERE d.id = model_id), "
    "sum(input + cache_read + cache_write + media_in), sum(output + media_out), sum(requests), "
    "sum(cost_nusd) FROM rollup_day WHERE day >= ?1 GROUP BY key_id, model_id";
static const char attempts_sql[] = "SELECT " SUMS "WHERE id >= ?1 AND id < ?2 AND kind = 0" GROUPS;
static const char adjustments_sql[] =
    "SELECT " SUMS "WHERE adjusts_id >= ?1 AND adjusts_id < ?2" GROUPS;
static const char unreconciled_sql[] =
    "SELECT " SUMS "WHERE outcome = 3 AND kind = 0 AND id >= ?1 AND id < ?2 AND NOT EXISTS "
    "(SELECT 1 FROM charge AS a WHERE a.adjusts_id = charge.id AND a.outcome = 3)" GROUPS;

struct tally {
    struct db *db;
    enum tg_status (*on_row)(void *context, const struct tally_row *row);
    void *context;
    struct err *err;
};

struct range {
    int64_t from;
    int64_t until; /* the first behind it */
};

static enum tg_status hand_out(const struct tally *tally, const struct stmt *stmt,
                               bool is_unreconciled)
{
    const struct ledger_amounts amounts = {
        .input_tokens = stmt_int(stmt, 3),
        .output_tokens = stmt_int(stmt, 4),
        .requests = stmt_int(stmt, 5),
        .cost_nusd = stmt_int(stmt, 6),
    };
    struct tally_row row = {
        .key_id = (int32_t)stmt_int(stmt, 0),
        .team_id = (int32_t)stmt_int(stmt, 1),
        .model = stmt_text(stmt, 2),
    };

    if (is_unreconciled)
        row.unreconciled = amounts;
    else
        row.spent = amounts;
    return tally->on_row(tally->context, &row);
}

static enum tg_status add_up(const struct tally *tally, const char *sql, const struct range *range,
                             bool is_unreconciled)
{
    AUTO(stmt) stmt = { 0 };
    bool has_row = false;

    TRY(stmt_prepare(&stmt, tally->db, sql, tally->err));
    stmt_bind_int(&stmt, 1, range->from);
    if (range->until != 0)
        stmt_bind_int(&stmt, 2, range->until);
    for (;;) {
        TRY(stmt_step(&stmt, &has_row, tally->err));
        if (!has_row)
            return TG_OK;
        TRY(hand_out(tally, &stmt, is_unreconciled));
    }
}

enum tg_status tally_since(struct db *db, int64_t from_ms,
                           enum tg_status (*on_row)(void *context, const struct tally_row *row),
                           void *context, struct err *err)
{
    const struct tally tally = { db, on_row, context, err };
    const int64_t first_day = (from_ms + ROLLUP_MS_PER_DAY - 1) / ROLLUP_MS_PER_DAY;
    const struct range days = { .from = first_day };
    const struct range edge = { id_floor_of(from_ms), id_floor_of(first_day * ROLLUP_MS_PER_DAY) };
    const struct range all = { id_floor_of(from_ms), INT64_MAX };

    TRY(add_up(&tally, rollup_sql, &days, /* is_unreconciled= */ false));
    if (edge.from < edge.until) {
        TRY(add_up(&tally, attempts_sql, &edge, false));
        TRY(add_up(&tally, adjustments_sql, &edge, false));
    }
    return add_up(&tally, unreconciled_sql, &all, /* is_unreconciled= */ true);
}
