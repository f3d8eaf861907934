#include "main/ask.h"
#include "main/commands.h"

#include <stdio.h>

#define BODY_MAX       4096
#define PATH_MAX_BYTES 4096

static const char *const call_members[] = {
    "id",      "created_at",   "team_id",       "key_id", "provider", "model",    "status",
    "outcome", "input_tokens", "output_tokens", "cost",   "source",   "total_ms", NULL
};
static const char *const hold_members[] = { "id",       "created_at", "age_ms", "team_id", "key_id",
                                            "provider", "model",      "amount", NULL };

static const char *const refusal_members[] = { "id",       "created_at", "team_id", "key_id",
                                               "model",    "reason",     "scope",   "metric",
                                               "window",   "amount",     "spent",   "held",
                                               "estimate", "limit_id",   NULL };

/* --from, --to, --since. return  false: said */
static bool put_range(struct cli *cli, struct buf *path)
{
    char text[32];

    if (cli->value[CLI_SINCE] != NULL && cli->value[CLI_FROM] != NULL) {
        (void)cli_wrong(cli, "--since and --from say the same");
        return false;
    }
    for (enum cli_option option = CLI_FROM; option <= CLI_SINCE; option++) {
        if (cli->value[option] == NULL)
            continue;
        if (!cli_time(cli->value[option], -1, text)) {
            (void)cli_wrong(cli,
                            "a time must be 2026-11-24, 2026-11-24T17:30:00Z, or a span as 30d");
            return false;
        }
        cli_query_text(path, option == CLI_TO ? "to" : "from", text);
    }
    return true;
}

static bool put_team(struct cli *cli, struct buf *path, const char *name)
{
    char id[64];

    if (cli->value[CLI_TEAM] == NULL)
        return true;
    if (!cli_team_id(cli, cli->value[CLI_TEAM], id))
        return false;
    cli_query_text(path, name, id);
    return true;
}

static enum cli_exit calls_list(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON rows = NULL;

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/calls");
    if (!put_range(cli, &path))
        return CLI_USAGE;
    if (!put_team(cli, &path, "team"))
        return CLI_FAILED;
    cli_query(cli, &path, "key", CLI_KEY);
    cli_query(cli, &path, "model", CLI_MODEL);
    cli_query(cli, &path, "provider", CLI_PROVIDER);
    cli_query(cli, &path, "outcome", CLI_OUTCOME);
    cli_query(cli, &path, "status", CLI_STATUS);
    buf_put_byte(&path, '\0');
    if (!cli_list(cli, buf_span(&path).ptr, &rows))
        return CLI_FAILED;
    return cli_show_rows(cli, rows, call_members);
}

static void put_call_path(struct cli *cli, struct buf *path, const char *verb)
{
    buf_init(path, PATH_MAX_BYTES);
    buf_put_text(path, "/api/v1/calls/");
    remote_escape(path, cli->argument);
    buf_put_text(path, verb);
    buf_put_byte(path, '\0');
}

static enum cli_exit calls_get(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;

    put_call_path(cli, &path, "");
    if (!cli_ask(cli, "GET", buf_span(&path).ptr, NULL, &tree))
        return CLI_FAILED;
    return cli_show_made(cli, tree);
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return text != NULL ? text : "";
}

/* A line of the bill: count x price [x factor] = product, and where the price comes from. */
static void print_product(const cJSON *product)
{
    const cJSON *price = cJSON_GetObjectItemCaseSensitive(product, "price");
    const char *factor = text_of(product, "factor");
    const char *from = text_of(price, "valid_from");
    const char *until = text_of(price, "valid_until");

    (void)printf("  %-18s %12d x %s%s%s = %s\n", text_of(product, "class"),
                 cJSON_GetObjectItemCaseSensitive(product, "count")->valueint,
                 text_of(product, "unit_price"), factor[0] != '\0' ? " x " : "", factor,
                 text_of(product, "product"));
    (void)printf("    price %d: %s %s, %s, by the rule %s; from %s until %s\n",
                 cJSON_GetObjectItemCaseSensitive(price, "id")->valueint,
                 text_of(price, "provider"), text_of(price, "model"), text_of(price, "tier"),
                 text_of(price, "rule"), from[0] != '\0' ? from : "always",
                 until[0] != '\0' ? until : "further notice");
}

static void print_receipt(const cJSON *tree)
{
    static const char *const lines[] = { "id",    "created_at",   "team_id", "key_id", "provider",
                                         "model", "served_model", "outcome", "source" };
    const cJSON *sum = cJSON_GetObjectItemCaseSensitive(tree, "sum");
    const cJSON *product;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        (void)printf("%-14s %s\n", lines[i], text_of(tree, lines[i]));
    (void)printf("\n");
    cJSON_ArrayForEach(product, cJSON_GetObjectItemCaseSensitive(sum, "products"))
        print_product(product);
    (void)printf("  %-18s %s USD%s\n", "sum", text_of(sum, "exact"),
                 cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(sum, "exact_is_cut"))
                     ? " and a fraction"
                     : "");
    (void)printf("  %-18s %s USD (rounded %s)\n", "charged", text_of(sum, "charged"),
                 text_of(sum, "rounding"));
    (void)printf("  %-18s %s USD\n", "provider's cost", text_of(tree, "provider_cost"));
}

static enum cli_exit calls_receipt(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;

    put_call_path(cli, &path, "");
    if (!cli_ask(cli, "GET", buf_span(&path).ptr, NULL, &tree))
        return CLI_FAILED;
    if (cli->value[CLI_OUTPUT] != NULL)
        return cli_show_made(cli, tree);
    print_receipt(tree);
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

static enum cli_exit calls_reconcile(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO(buf) body = { 0 };
    AUTO_JSON tree = NULL;
    struct json_writer w;

    put_call_path(cli, &path, "/reconcile");
    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_open_object(&w, NULL);
    json_string(&w, "action", cli->value[CLI_ACTION]);
    if (cli->value[CLI_AMOUNT] != NULL)
        json_string(&w, "amount", cli->value[CLI_AMOUNT]);
    json_close_object(&w);
    if (!cli_ask(cli, "POST", buf_span(&path).ptr, &body, &tree))
        return CLI_FAILED;
    return cli_show_made(cli, tree);
}

static enum cli_exit holds_list(struct cli *cli)
{
    AUTO(buf) path = { 0 };
    AUTO_JSON rows = NULL;

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/holds");
    if (!put_team(cli, &path, "team"))
        return CLI_FAILED;
    buf_put_byte(&path, '\0');
    if (!cli_list(cli, buf_span(&path).ptr, &rows))
        return CLI_FAILED;
    return cli_show_rows(cli, rows, hold_members);
}

static enum cli_exit refusals(struct cli *cli)
{
    AUTO(buf) path = { 0 };

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/refusals");
    if (!put_range(cli, &path))
        return CLI_USAGE;
    if (!put_team(cli, &path, "team"))
        return CLI_FAILED;
    cli_query(cli, &path, "key", CLI_KEY);
    cli_query(cli, &path, "model", CLI_MODEL);
    cli_query(cli, &path, "reason", CLI_REASON);
    buf_put_byte(&path, '\0');
    return ask_list(cli, buf_span(&path).ptr, refusal_members);
}

static enum cli_exit unreconciled_release(struct cli *cli)
{
    struct ask_body body;
    char before[32];
    char id[64];

    if (!cli_time(cli->value[CLI_BEFORE], -1, before))
        return cli_wrong(cli, "--before must be a date, a time or a span (2026-11-24, 2h)");
    if (cli->value[CLI_TEAM] != NULL && !cli_team_id(cli, cli->value[CLI_TEAM], id))
        return CLI_FAILED;
    ask_begin(&body);
    json_string(&body.w, "before", before);
    if (cli->value[CLI_TEAM] != NULL)
        json_string(&body.w, "team_id", id);
    return ask_send(cli, "POST", "/api/v1/unreconciled/release", &body);
}

/* --- usage ------------------------------------------------------------------------------------ */

/* People read names: `team` gets a `team_name` beside it. What cannot be looked up stays an id. */
static void add_team_name(struct cli *cli, cJSON *row)
{
    const cJSON *team = cJSON_GetObjectItemCaseSensitive(row, "team");
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;
    const cJSON *name;
    struct err err = { 0 };

    if (!cJSON_IsString(team) || team->valuestring[0] == '\0')
        return;
    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/teams/");
    remote_escape(&path, team->valuestring);
    buf_put_byte(&path, '\0');
    if (remote_ask(&cli->remote,
                   &(struct remote_request){ .method = "GET", .path = buf_span(&path).ptr }, &tree,
                   &err) != TG_OK)
        return;
    name = cJSON_GetObjectItemCaseSensitive(tree, "name");
    if (cJSON_IsString(name))
        (void)cJSON_AddStringToObject(row, "team_name", name->valuestring);
}

static void copy_members(cJSON *to, const cJSON *from, const char *names[SHOW_COLUMNS_MAX + 1])
{
    const cJSON *member;

    cJSON_ArrayForEach(member, from)
    {
        int i = 0;

        while (names[i] != NULL && strcmp(names[i], member->string) != 0)
            i++;
        if (names[i] == NULL && i < SHOW_COLUMNS_MAX)
            names[i] = member->string;
        (void)cJSON_AddItemToObject(to, member->string,
                                    cJSON_Duplicate(member, /* recurse= */ true));
    }
}

/* A row a series: its key and its totals. The names are borrowed from `tree`. */
static cJSON *rows_of(struct cli *cli, const cJSON *tree, const char *names[SHOW_COLUMNS_MAX + 1])
{
    cJSON *rows = cJSON_CreateArray();
    const cJSON *series;
    bool has_name = false;

    cJSON_ArrayForEach(series, cJSON_GetObjectItemCaseSensitive(tree, "series"))
    {
        cJSON *row = cJSON_CreateObject();

        copy_members(row, cJSON_GetObjectItemCaseSensitive(series, "key"), names);
        add_team_name(cli, row);
        if (!has_name && cJSON_HasObjectItem(row, "team_name")) {
            int end = 0;

            while (names[end] != NULL)
                end++;
            names[end] = "team_name";
            has_name = true;
        }
        copy_members(row, cJSON_GetObjectItemCaseSensitive(series, "totals"), names);
        (void)cJSON_AddItemToArray(rows, row);
    }
    return rows;
}

static enum cli_exit usage(struct cli *cli)
{
    const char *names[SHOW_COLUMNS_MAX + 1] = { NULL };
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;
    AUTO_JSON rows = NULL;

    buf_init(&path, PATH_MAX_BYTES);
    buf_put_text(&path, "/api/v1/usage");
    if (!put_range(cli, &path))
        return CLI_USAGE;
    if (!put_team(cli, &path, "filter[team]"))
        return CLI_FAILED;
    cli_query(cli, &path, "group_by", CLI_BY);
    cli_query(cli, &path, "metric", CLI_METRIC);
    cli_query(cli, &path, "bucket", CLI_BUCKET);
    cli_query(cli, &path, "filter[key]", CLI_KEY);
    cli_query(cli, &path, "filter[model]", CLI_MODEL);
    cli_query(cli, &path, "filter[provider]", CLI_PROVIDER);
    buf_put_byte(&path, '\0');
    if (!cli_ask(cli, "GET", buf_span(&path).ptr, NULL, &tree))
        return CLI_FAILED;
    if (cli->format == SHOW_JSON)
        return cli_show_made(cli, tree);
    rows = rows_of(cli, tree, names);
    if (cJSON_GetArraySize(rows) == 0) {
        (void)fputs("nothing was used in that time\n", stderr);
        return CLI_OK;
    }
    return cli_show_rows(cli, rows, names);
}

#define RANGE  (CLI_WITH(FROM) | CLI_WITH(TO) | CLI_WITH(SINCE))
#define FILTER (CLI_WITH(TEAM) | CLI_WITH(KEY) | CLI_WITH(MODEL) | CLI_WITH(PROVIDER))

const struct cli_command commands_of_usage[] = {
    { "calls", "list", NULL, false,
      RANGE | FILTER | CLI_WITH(OUTCOME) | CLI_WITH(STATUS) | CLI_WITH(LIMIT), 0,
      "the log, newest first", calls_list },
    { "calls", "get", "ID", false, 0, 0, "the receipt of one call", calls_get },
    { "calls", "receipt", "ID", false, 0, 0,
      "the same, as a bill: each product, the sum, the rounding", calls_receipt },
    { "calls", "reconcile", "ID", false, CLI_WITH(ACTION) | CLI_WITH(AMOUNT), CLI_WITH(ACTION),
      "end an unreconciled charge", calls_reconcile },
    { "holds", "list", NULL, false, CLI_WITH(TEAM) | CLI_WITH(LIMIT), 0,
      "what is set aside for open calls", holds_list },
    { "refusals", "", NULL, false,
      RANGE | CLI_WITH(TEAM) | CLI_WITH(KEY) | CLI_WITH(MODEL) | CLI_WITH(REASON) | CLI_WITH(LIMIT),
      0, "calls that a limit turned down, newest first", refusals },
    { "unreconciled", "release", NULL, false, CLI_WITH(BEFORE) | CLI_WITH(TEAM), CLI_WITH(BEFORE),
      "take back charges of calls whose end is not known", unreconciled_release },
    { "usage", "", NULL, false, RANGE | FILTER | CLI_WITH(BY) | CLI_WITH(METRIC) | CLI_WITH(BUCKET),
      0, "sums: usage --by team --since 30d", usage },
    { 0 },
};
