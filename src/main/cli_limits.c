#include "main/ask.h"
#include "main/commands.h"

#include <stdio.h>

#define PATH_MAX_BYTES 4096

/* `scope` is taken apart for people and spreadsheets. */
static const char *const limit_members[] = { "id",          "scope",  "scope_id",  "each",
                                             "models",      "metric", "window",    "amount",
                                             "spent",       "held",   "remaining", "resets_at",
                                             "enforcement", NULL };
static const char *const event_members[] = { "at",           "threshold", "amount", "spent",
                                             "period_start", "key_id",    NULL };
static const char *const says_members[] = { "limit_id", "scope",       "metric", "window",
                                            "amount",   "spent",       "held",   "remaining",
                                            "estimate", "enforcement", "says",   NULL };

/* --- showing ---------------------------------------------------------------------------------- */

/* {"type": "team", "id": ..., "each": ...} becomes three members of its limit. */
static void flatten(cJSON *limit)
{
    cJSON *scope = cJSON_DetachItemFromObjectCaseSensitive(limit, "scope");

    if (!cJSON_IsObject(scope)) {
        cJSON_Delete(scope);
        return;
    }
    (void)cJSON_AddItemToObject(limit, "scope",
                                cJSON_DetachItemFromObjectCaseSensitive(scope, "type"));
    (void)cJSON_AddItemToObject(limit, "scope_id",
                                cJSON_DetachItemFromObjectCaseSensitive(scope, "id"));
    (void)cJSON_AddItemToObject(limit, "each",
                                cJSON_DetachItemFromObjectCaseSensitive(scope, "each"));
    cJSON_Delete(scope);
}

static void say_warnings(const cJSON *limit)
{
    const cJSON *warning;

    cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(limit, "warnings"))
    {
        if (cJSON_IsString(warning))
            (void)fprintf(stderr, "warning: %s\n", warning->valuestring);
    }
}

static enum cli_exit show_limit(struct cli *cli, cJSON *limit)
{
    say_warnings(limit);
    if (cli->format != SHOW_JSON) {
        cJSON_DeleteItemFromObjectCaseSensitive(limit, "warnings");
        flatten(limit);
    }
    return cli_show_made(cli, limit);
}

static enum cli_exit send(struct cli *cli, const char *method, const char *path,
                          struct ask_body *body)
{
    AUTO_JSON tree = NULL;

    return ask_send_quietly(cli, method, path, body, &tree) ? show_limit(cli, tree) : CLI_FAILED;
}

/* --- what is sent ----------------------------------------------------------------------------- */

/* Money as a string, all else as the number that it is; what is no number is sent as it was given,
 * for the server to say so. "" is null. */
static void put_amount(struct cli *cli, struct ask_body *body, const char *metric)
{
    const char *given = cli->value[CLI_AMOUNT];
    int64_t number;

    if (given == NULL)
        return;
    if (given[0] == '\0')
        json_null(&body->w, "amount");
    else if (strcmp(metric, "cost") != 0 && span_to_int64(span_from(given), INT64_MAX, &number))
        json_int(&body->w, "amount", number);
    else
        json_string(&body->w, "amount", given);
}

/* return  false: both were given, which is said */
static bool put_choice(struct cli *cli, struct ask_body *body, enum cli_option yes,
                       enum cli_option no)
{
    const bool is_manner = yes == CLI_HARD;

    if (cli->value[yes] != NULL && cli->value[no] != NULL) {
        (void)cli_wrong(cli, is_manner ? "--hard and --soft exclude each other"
                                       : "--clamp and --refuse exclude each other");
        return false;
    }
    if (cli->value[yes] != NULL)
        json_string(&body->w, is_manner ? "enforcement" : "when_short",
                    is_manner ? "hard" : "clamp");
    if (cli->value[no] != NULL)
        json_string(&body->w, is_manner ? "enforcement" : "when_short",
                    is_manner ? "soft" : "refuse");
    return true;
}

/* return  false: said */
static bool put_numbers(struct cli *cli, struct ask_body *body, const char *name,
                        enum cli_option option)
{
    struct span rest;
    struct span word;
    int64_t number;

    if (cli->value[option] == NULL)
        return true;
    rest = span_from(cli->value[option]);
    json_open_array(&body->w, name);
    while (span_cut(&rest, ',', &word)) {
        if (!span_to_int64(span_trim(word), INT32_MAX, &number)) {
            (void)cli_wrong(cli, "--thresholds must be numbers of percent, as in 50,80,100");
            return false;
        }
        json_int(&body->w, NULL, number);
    }
    json_close_array(&body->w);
    return true;
}

static bool put_manner(struct cli *cli, struct ask_body *body)
{
    if (cli->value[CLI_STRICT] != NULL)
        json_bool(&body->w, "strict", true);
    return put_choice(cli, body, CLI_HARD, CLI_SOFT) &&
           put_choice(cli, body, CLI_CLAMP, CLI_REFUSE) &&
           put_numbers(cli, body, "thresholds", CLI_THRESHOLDS);
}

/* One of --organization, --team and --key. */
static enum cli_exit put_scope(struct cli *cli, struct ask_body *body)
{
    const int given = (cli->value[CLI_ORGANIZATION] != NULL) + (cli->value[CLI_TEAM] != NULL) +
                      (cli->value[CLI_KEY] != NULL);
    char id[64];

    if (given != 1)
        return cli_wrong(cli, "one of --organization, --team and --key is needed");
    json_open_object(&body->w, "scope");
    if (cli->value[CLI_ORGANIZATION] != NULL) {
        json_string(&body->w, "type", "organization");
    } else if (cli->value[CLI_KEY] != NULL) {
        json_string(&body->w, "type", "key");
        json_string(&body->w, "id", cli->value[CLI_KEY]);
    } else {
        if (!cli_team_id(cli, cli->value[CLI_TEAM], id))
            return CLI_FAILED;
        json_string(&body->w, "type", "team");
        json_string(&body->w, "id", id);
    }
    if (cli->value[CLI_EACH_KEY] != NULL)
        json_string(&body->w, "each", "key");
    json_close_object(&body->w);
    return CLI_OK;
}

/* What is no number is sent as it was given, for the server to say so. */
static void put_anchor_day(struct cli *cli, struct ask_body *body)
{
    const char *given = cli->value[CLI_ANCHOR_DAY];
    int64_t day;

    if (given != NULL && span_to_int64(span_from(given), INT32_MAX, &day))
        json_int(&body->w, "anchor_day", day);
    else
        ask_put_option(cli, body, "anchor_day", CLI_ANCHOR_DAY);
}

static enum cli_exit put_limit(struct cli *cli, struct ask_body *body)
{
    const enum cli_exit result = put_scope(cli, body);

    if (result != CLI_OK)
        return result;
    ask_put_models(cli, body);
    ask_put_option(cli, body, "metric", CLI_METRIC);
    ask_put_option(cli, body, "window", CLI_WINDOW);
    ask_put_option(cli, body, "timezone", CLI_TIMEZONE);
    ask_put_option(cli, body, "week_start", CLI_WEEK_START);
    put_anchor_day(cli, body);
    put_amount(cli, body, cli->value[CLI_METRIC]);
    return put_manner(cli, body) ? CLI_OK : CLI_USAGE;
}

/* --- limits ----------------------------------------------------------------------------------- */

static enum cli_exit limit_set(struct cli *cli)
{
    struct ask_body body;
    enum cli_exit result;

    ask_begin(&body);
    result = put_limit(cli, &body);
    if (result == CLI_OK)
        return send(cli, "PUT", "/api/v1/limits", &body);
    buf_fini(&body.text);
    return result;
}

static enum cli_exit limit_list(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON rows = NULL;
    cJSON *row;
    char id[64];

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/limits");
    if (cli->value[CLI_TEAM] != NULL) {
        if (!cli_team_id(cli, cli->value[CLI_TEAM], id))
            return CLI_FAILED;
        cli_query_text(&path, "team_id", id);
    }
    cli_query(cli, &path, "key_id", CLI_KEY);
    buf_put_byte(&path, '\0');
    if (!cli_list(cli, buf_span(&path).ptr, &rows))
        return CLI_FAILED;
    if (cli->format != SHOW_JSON)
        cJSON_ArrayForEach(row, rows) flatten(row);
    return cli_show_rows(cli, rows, limit_members);
}

/* return  false: said */
static bool read_limit(struct cli *cli, cJSON **ret_limit)
{
    AUTO(buf) path = { 0 };

    ask_path(&path, "limits", cli->argument, "");
    return cli_ask(cli, "GET", buf_span(&path).ptr, NULL, ret_limit);
}

static enum cli_exit limit_get(struct cli *cli)
{
    AUTO_JSON limit = NULL;

    return read_limit(cli, &limit) ? show_limit(cli, limit) : CLI_FAILED;
}

/* Change it; its metric says how an amount is to be sent. */
static enum cli_exit change(struct cli *cli, const char *method, const char *verb)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON limit = NULL;
    const cJSON *metric;
    struct ask_body body;

    if (!read_limit(cli, &limit))
        return CLI_FAILED;
    metric = cJSON_GetObjectItemCaseSensitive(limit, "metric");
    ask_path(&path, "limits", cli->argument, verb);
    ask_begin(&body);
    put_amount(cli, &body, cJSON_IsString(metric) ? metric->valuestring : "");
    if (put_manner(cli, &body))
        return send(cli, method, buf_span(&path).ptr, &body);
    buf_fini(&body.text);
    return CLI_USAGE;
}

static enum cli_exit limit_update(struct cli *cli)
{
    return change(cli, "PATCH", "");
}

static enum cli_exit limit_override(struct cli *cli)
{
    return change(cli, "PUT", "/override");
}

static enum cli_exit limit_delete(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;

    ask_path(&path, "limits", cli->argument, "");
    return cli_ask(cli, "DELETE", buf_span(&path).ptr, NULL, &tree) ? CLI_OK : CLI_FAILED;
}

static enum cli_exit limit_events(struct cli *cli)
{
    AUTO(buf) path = { 0 };

    ask_path(&path, "limits", cli->argument, "/events");
    return ask_list(cli, buf_span(&path).ptr, event_members);
}

/* --- why -------------------------------------------------------------------------------------- */

/* A line for each thing, then a row for each limit. */
static enum cli_exit show_explanation(struct cli *cli, cJSON *tree)
{
    AUTO_JSON limits = NULL;
    enum cli_exit result;

    if (cli->format == SHOW_JSON)
        return cli_show_made(cli, tree);
    limits = cJSON_DetachItemFromObjectCaseSensitive(tree, "limits");
    if (cli->format == SHOW_CSV)
        return cli_show_rows(cli, limits, says_members);
    result = cli_show_made(cli, tree);
    if (result != CLI_OK || cJSON_GetArraySize(limits) == 0)
        return result;
    (void)putchar('\n');
    return cli_show_rows(cli, limits, says_members);
}

static enum cli_exit explain(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/explain");
    cli_query(cli, &path, "key_id", CLI_KEY);
    cli_query(cli, &path, "model", CLI_MODEL);
    cli_query(cli, &path, "dialect", CLI_DIALECT);
    cli_query(cli, &path, "input_tokens", CLI_INPUT_TOKENS);
    cli_query(cli, &path, "max_tokens", CLI_MAX_TOKENS);
    cli_query(cli, &path, "body_bytes", CLI_BODY_BYTES);
    buf_put_byte(&path, '\0');
    if (!cli_ask(cli, "GET", buf_span(&path).ptr, NULL, &tree))
        return CLI_FAILED;
    return show_explanation(cli, tree);
}

/* --- the table -------------------------------------------------------------------------------- */

#define SCOPE (CLI_WITH(ORGANIZATION) | CLI_WITH(TEAM) | CLI_WITH(KEY) | CLI_WITH(EACH_KEY))
#define PERIODS                                                                                    \
    (CLI_WITH(WINDOW) | CLI_WITH(TIMEZONE) | CLI_WITH(WEEK_START) | CLI_WITH(ANCHOR_DAY))
#define MANNER                                                                                     \
    (CLI_WITH(HARD) | CLI_WITH(SOFT) | CLI_WITH(CLAMP) | CLI_WITH(REFUSE) | CLI_WITH(STRICT) |     \
     CLI_WITH(THRESHOLDS))

const struct cli_command commands_of_limits[] = {
    { "limit", "set", NULL, false,
      SCOPE | PERIODS | MANNER | CLI_WITH(METRIC) | CLI_WITH(AMOUNT) | CLI_WITH(MODELS),
      CLI_WITH(METRIC) | CLI_WITH(AMOUNT), "make one, or change the one that counts the same",
      limit_set },
    { "limit", "list", NULL, false, CLI_WITH(TEAM) | CLI_WITH(KEY) | CLI_WITH(LIMIT), 0,
      "show all, a team's, or those of a key", limit_list },
    { "limit", "get", "ID", false, 0, 0, "show one and what is left of it", limit_get },
    { "limit", "update", "ID", false, MANNER | CLI_WITH(AMOUNT), 0, "change it", limit_update },
    { "limit", "delete", "ID", false, 0, 0, "end it", limit_delete },
    { "limit", "override", "ID", false, CLI_WITH(AMOUNT), CLI_WITH(AMOUNT),
      "another amount for this period alone (\"\": none)", limit_override },
    { "limit", "events", "ID", false, CLI_WITH(LIMIT), 0, "thresholds that were reached",
      limit_events },
    { "explain", "", NULL, false,
      CLI_WITH(KEY) | CLI_WITH(MODEL) | CLI_WITH(DIALECT) | CLI_WITH(INPUT_TOKENS) |
          CLI_WITH(MAX_TOKENS) | CLI_WITH(BODY_BYTES),
      CLI_WITH(KEY) | CLI_WITH(MODEL), "whether a call would be admitted, and why", explain },
    { 0 },
};
