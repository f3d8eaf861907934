#include "main/cli.h"

#include "base/clock.h"
#include "base/try.h"
#include "main/commands.h"
#include "main/settings.h"
#include "main/wire.h"
#include "store/db.h"
#include "tollgate/version.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_BYTES_MAX 8192
#define LIMIT_DEFAULT  100
#define PAGE_MAX       200
#define LIMIT_MAX      1000000

_Static_assert(CLI_OPTION_COUNT <= 64, "an option is a bit of CLI_WITH");

static const struct cli_command *const tables[] = {
    commands_of_accounts, commands_of_limits, commands_of_providers, commands_of_models,
    commands_of_prices,   commands_of_usage,  commands_of_system,
};
#define TABLE_COUNT (sizeof(tables) / sizeof(tables[0]))

static const struct {
    const char *name;
    const char *value;
    const char *help;
} options[CLI_OPTION_COUNT] = {
#define CLI_OPTION_ROW(name, option, value, help) [CLI_##name] = { option, value, help },
    CLI_OPTIONS(CLI_OPTION_ROW)
#undef CLI_OPTION_ROW
};

/* --- help ------------------------------------------------------------------------------------- */

static void put_usage(FILE *out, const struct cli_command *command)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "tollgate %s%s%s%s%s%s%s", command->noun,
                   command->verb[0] != '\0' ? " " : "", command->verb,
                   command->argument != NULL ? " " : "", command->may_lack_argument ? "[" : "",
                   command->argument != NULL ? command->argument : "",
                   command->may_lack_argument ? "]" : "");
    (void)fprintf(out, "  %-44s %s\n", text, command->summary);
}

static void help_all(FILE *out)
{
    (void)fputs("Tollgate " TG_VERSION ": usage meter and billing accountant for LLM APIs\n\n"
                "  tollgate serve [options]                     serve clients and administrators\n",
                out);
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        for (const struct cli_command *command = tables[i]; command->noun != NULL; command++)
            put_usage(out, command);
    }
    (void)fputs(
        "\nEvery command takes --help, --output table|json|csv, --data-dir DIR, and --url URL\n"
        "with --token-file FILE for a server elsewhere.\n",
        out);
}

static bool help_noun(FILE *out, const char *noun)
{
    bool is_known = false;

    for (size_t i = 0; i < TABLE_COUNT; i++) {
        for (const struct cli_command *command = tables[i]; command->noun != NULL; command++) {
            if (strcmp(command->noun, noun) != 0)
                continue;
            put_usage(out, command);
            is_known = true;
        }
    }
    return is_known;
}

static void help_command(FILE *out, const struct cli_command *command)
{
    (void)fputs("usage:\n", out);
    put_usage(out, command);
    (void)fputc('\n', out);
    for (int i = 0; i < CLI_OPTION_COUNT; i++) {
        char left[64];

        if (((command->options | CLI_COMMON) & (UINT64_C(1) << i)) == 0)
            continue;
        (void)snprintf(left, sizeof(left), "--%s %s", options[i].name,
                       options[i].value != NULL ? options[i].value : "");
        (void)fprintf(out, "  %-24s %s%s\n", left, options[i].help,
                      (command->needed & (UINT64_C(1) << i)) != 0 ? "; needed" : "");
    }
}

/* --- what commands share ---------------------------------------------------------------------- */

enum cli_exit cli_fail(const struct cli *cli, const struct err *err)
{
    (void)fprintf(stderr, "tollgate %s%s%s: %s\n", cli->command->noun,
                  cli->command->verb[0] != '\0' ? " " : "", cli->command->verb, err->text);
    return CLI_FAILED;
}

enum cli_exit cli_wrong(const struct cli *cli, const char *why)
{
    (void)fprintf(stderr, "tollgate %s%s%s: %s; see --help\n", cli->command->noun,
                  cli->command->verb[0] != '\0' ? " " : "", cli->command->verb, why);
    return CLI_USAGE;
}

bool cli_ask(struct cli *cli, const char *method, const char *path, const struct buf *body,
             cJSON **ret_tree)
{
    const struct remote_request request = { .method = method,
                                            .path = path,
                                            .body = body != NULL ? buf_span(body) : SPAN_EMPTY };
    struct err err = { 0 };

    if (remote_ask(&cli->remote, &request, ret_tree, &err) == TG_OK)
        return true;
    (void)cli_fail(cli, &err);
    return false;
}

static bool next_page(struct cli *cli, const char *path, int64_t limit, cJSON *rows,
                      struct buf *cursor)
{
    AUTO(buf) full = { 0 };
    AUTO_JSON tree = NULL;
    const cJSON *next;
    cJSON *row;

    buf_init(&full, PATH_BYTES_MAX);
    buf_printf(&full, "%s%climit=%d", path, strchr(path, '?') != NULL ? '&' : '?',
               (int)(limit < PAGE_MAX ? limit : PAGE_MAX));
    if (buf_len(cursor) > 0)
        buf_printf(&full, "&after=%.*s", SPAN_ARG(buf_span(cursor)));
    buf_put_byte(&full, '\0');
    buf_clear(cursor);
    if (!cli_ask(cli, "GET", buf_span(&full).ptr, NULL, &tree))
        return false;
    next = cJSON_GetObjectItemCaseSensitive(tree, "next_cursor");
    if (cJSON_IsString(next))
        remote_escape(cursor, next->valuestring);
    while ((row = cJSON_DetachItemFromArray(cJSON_GetObjectItemCaseSensitive(tree, "data"), 0)) !=
           NULL)
        (void)cJSON_AddItemToArray(rows, row);
    return true;
}

bool cli_list(struct cli *cli, const char *path, cJSON **ret_rows)
{
    int64_t limit = LIMIT_DEFAULT;
    AUTO(buf) cursor = { 0 };
    AUTO_JSON rows = cJSON_CreateArray();

    if (cli->value[CLI_LIMIT] != NULL &&
        (!span_to_int64(span_from(cli->value[CLI_LIMIT]), LIMIT_MAX, &limit) || limit == 0)) {
        (void)cli_wrong(cli, "--limit must be a whole number from 1 to 1000000");
        return false;
    }
    buf_init(&cursor, 256);
    do {
        if (!next_page(cli, path, limit - cJSON_GetArraySize(rows), rows, &cursor))
            return false;
    } while (buf_len(&cursor) > 0 && cJSON_GetArraySize(rows) < limit);
    if (buf_len(&cursor) > 0)
        (void)fprintf(stderr, "there are more: ask with a larger --limit\n");
    *ret_rows = rows;
    rows = NULL;
    return true;
}

bool cli_team_id(struct cli *cli, const char *given, char id[64])
{
    AUTO(buf) path = { 0 };
    AUTO_JSON tree = NULL;
    const cJSON *found;
    struct err err = { 0 };

    if (strncmp(given, "team_", 5) == 0) {
        (void)snprintf(id, 64, "%s", given);
        return true;
    }
    buf_init(&path, PATH_BYTES_MAX);
    buf_put_text(&path, "/api/v1/teams");
    cli_query_text(&path, "name", given);
    buf_put_byte(&path, '\0');
    if (!cli_ask(cli, "GET", buf_span(&path).ptr, NULL, &tree))
        return false;
    found = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(tree, "data"), 0), "id");
    if (!cJSON_IsString(found)) {
        err_set(&err, TG_NOT_FOUND,
                "there is no team %s; `tollgate team list` shows those there are", given);
        (void)cli_fail(cli, &err);
        return false;
    }
    (void)snprintf(id, 64, "%s", found->valuestring);
    return true;
}

void cli_query_text(struct buf *path, const char *name, const char *value)
{
    size_t at;

    buf_put_byte(path, span_find_byte(buf_span(path), '?', &at) ? '&' : '?');
    remote_escape(path, name);
    buf_put_byte(path, '=');
    remote_escape(path, value);
}

void cli_query(const struct cli *cli, struct buf *path, const char *name, enum cli_option option)
{
    if (cli->value[option] != NULL)
        cli_query_text(path, name, cli->value[option]);
}

bool cli_time(const char *given, int direction, char text[32])
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = { { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 }, { 'w', 604800000 } };
    const struct span whole = span_from(given);
    int64_t number;
    int64_t wall_ms;

    for (size_t i = 0; whole.len > 1 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (given[whole.len - 1] != units[i].unit ||
            !span_to_int64(span_of(given, whole.len - 1), 100000, &number))
            continue;
        wall_ms = clock_wall_ms() + direction * number * units[i].ms;
        clock_format_rfc3339(wall_ms < 0 ? 0 : wall_ms, text);
        return true;
    }
    if (!clock_parse_rfc3339(whole, &wall_ms))
        return false;
    clock_format_rfc3339(wall_ms, text);
    return true;
}

static enum cli_exit flushed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CLI_OK;
    (void)fputs("tollgate: the output cannot be written\n", stderr);
    return CLI_FAILED;
}

enum cli_exit cli_show_made(struct cli *cli, const cJSON *object)
{
    const cJSON *secret = cJSON_GetObjectItemCaseSensitive(object, "secret");
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(object, "id");

    if (cJSON_IsString(secret) && cli->value[CLI_OUTPUT] == NULL) {
        (void)fprintf(stderr, "%s: this is its secret, shown this once:\n",
                      cJSON_IsString(id) ? id->valuestring : "made");
        (void)printf("%s\n", secret->valuestring);
        return flushed();
    }
    show_object(stdout, cli->format, object);
    return flushed();
}

enum cli_exit cli_show_rows(struct cli *cli, const cJSON *rows, const char *const *members)
{
    show_rows(stdout, cli->format, rows, members);
    return flushed();
}

/* --- reading the arguments -------------------------------------------------------------------- */

static const struct cli_command *find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        for (const struct cli_command *command = tables[i]; command->noun != NULL; command++) {
            if (strcmp(command->noun, noun) == 0 &&
                (command->verb[0] == '\0' || strcmp(command->verb, verb) == 0))
                return command;
        }
    }
    return NULL;
}

#define FIRST_OPTION 256 /* past every character */
#define PLAIN_WORD   1   /* getopt's name for what is no option */

static bool take_option(struct cli *cli, int found)
{
    if (found == 'h')
        cli->value[CLI_HELP] = "";
    else if (found == PLAIN_WORD && cli->argument == NULL)
        cli->argument = optarg;
    else if (found >= FIRST_OPTION)
        cli->value[found - FIRST_OPTION] = optarg != NULL ? optarg : "";
    else
        return false;
    return true;
}

/* Options anywhere; one argument at most. argv[0] is the verb or the noun. */
static enum cli_exit read_arguments(struct cli *cli, int argc, char **argv)
{
    struct option longs[CLI_OPTION_COUNT + 1] = { 0 };
    int found;

    for (int i = 0; i < CLI_OPTION_COUNT; i++)
        longs[i] = (struct option){ options[i].name,
                                    options[i].value != NULL ? required_argument : no_argument,
                                    NULL, FIRST_OPTION + i };
    optind = 0;
    opterr = 0;
    while ((found = getopt_long(argc, argv, "-:h", longs, NULL)) != -1) {
        if (found == ':')
            return cli_wrong(cli, "an option lacks its value");
        if (!take_option(cli, found))
            return cli_wrong(cli, found == PLAIN_WORD ? "there is an argument too many"
                                                      : "there is an option that it does not know");
    }
    return CLI_OK;
}

static enum cli_exit check_arguments(struct cli *cli)
{
    const struct cli_command *command = cli->command;
    char why[128];

    for (int i = 0; i < CLI_OPTION_COUNT; i++) {
        const uint64_t bit = UINT64_C(1) << i;

        (void)snprintf(why, sizeof(why), "--%s is needed", options[i].name);
        if (cli->value[i] == NULL && (command->needed & bit) != 0)
            return cli_wrong(cli, why);
        (void)snprintf(why, sizeof(why), "it takes no --%s", options[i].name);
        if (cli->value[i] != NULL && ((command->options | CLI_COMMON) & bit) == 0)
            return cli_wrong(cli, why);
    }
    (void)snprintf(why, sizeof(why), "%s is needed",
                   command->argument != NULL ? command->argument : "");
    if (command->argument != NULL && cli->argument == NULL && !command->may_lack_argument)
        return cli_wrong(cli, why);
    if (command->argument == NULL && cli->argument != NULL)
        return cli_wrong(cli, "it takes options only");
    if (cli->value[CLI_OUTPUT] != NULL && !show_format_parse(cli->value[CLI_OUTPUT], &cli->format))
        return cli_wrong(cli, "--output must be table, json or csv");
    return CLI_OK;
}

static const char *from_environment(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): before threads */
}

static enum tg_status connect_remote(struct cli *cli, struct err *err)
{
    const char *data_dir;
    const char *url = cli->value[CLI_URL];
    const char *token_file = cli->value[CLI_TOKEN_FILE];

    TRY(settings_data_dir(cli->value[CLI_DATA_DIR], from_environment, &data_dir, err));
    if (url == NULL && cli->value[CLI_DATA_DIR] == NULL)
        url = from_environment("TOLLGATE_URL");
    if (token_file == NULL)
        token_file = from_environment("TOLLGATE_TOKEN_FILE");
    return remote_init(&cli->remote, url, token_file, data_dir, err);
}

static bool has_database(const struct cli *cli)
{
    char path[sizeof(cli->remote.data_dir) + 16];

    (void)snprintf(path, sizeof(path), "%s/tollgate.db", cli->remote.data_dir);
    return access(path, F_OK) == 0;
}

/* Only what makes something may make the data directory too: a mistyped one is not filled in. */
static bool makes_something(const struct cli_command *command)
{
    return strcmp(command->verb, "create") == 0 || strcmp(command->verb, "add") == 0;
}

/* With no server running the command does the work itself, through the same API. */
static enum tg_status open_local(const struct cli *cli, struct settings *settings,
                                 struct wiring **ret_wiring, struct err *err)
{
    char name[] = "serve";
    char *argv[] = { name, NULL };
    const struct settings_source source = { 1, argv, from_environment };

    /* The command itself then says that no server runs there. */
    if (remote_is_there(&cli->remote) || (!has_database(cli) && !makes_something(cli->command)))
        return TG_OK;
    TRY(settings_read(&source, settings, err));
    settings->data_dir = cli->remote.data_dir;
    return wire_local_open(settings, ret_wiring, err);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct cli cli = { .command = command };
    struct settings settings;
    struct wiring *local = NULL;
    struct err err = { 0 };
    enum cli_exit result = read_arguments(&cli, argc, argv);

    if (result == CLI_OK && cli.value[CLI_HELP] != NULL) {
        help_command(stdout, command);
        return CLI_OK;
    }
    if (result == CLI_OK)
        result = check_arguments(&cli);
    if (result != CLI_OK)
        return result;
    if (connect_remote(&cli, &err) != TG_OK) {
        (void)cli_fail(&cli, &err);
        return CLI_USAGE;
    }
    if (open_local(&cli, &settings, &local, &err) == TG_OK)
        result = command->run(&cli);
    else
        result = cli_fail(&cli, &err);
    wire_local_close(local);
    remote_fini(&cli.remote);
    return result;
}

static int serve(int argc, char **argv)
{
    const struct settings_source source = { argc, argv, from_environment };
    struct settings settings;
    struct err err = { 0 };
    const enum tg_status status = settings_read(&source, &settings, &err);

    if (status == TG_CLOSED) {
        (void)fputs(settings_help(), stdout);
        return CLI_OK;
    }
    if (status != TG_OK) {
        (void)fprintf(stderr, "tollgate serve: %s\n", err.text);
        return CLI_USAGE;
    }
    return wire_serve(&settings);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static int version(void)
{
    (void)printf("tollgate " TG_VERSION " (SQLite %s)\n", db_library_version());
    return CLI_OK;
}

/* A noun whose verb is missing or unknown. */
static int wrong_verb(const char *noun, const char *verb)
{
    const bool wants_help = is_help(verb);

    if (wants_help)
        (void)printf("usage:\n");
    else
        (void)fprintf(stderr, "tollgate: there is no command %s %s; there are:\n", noun, verb);
    if (help_noun(wants_help ? stdout : stderr, noun))
        return wants_help ? CLI_OK : CLI_USAGE;
    (void)fprintf(stderr, "(none; see tollgate --help)\n");
    return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
    const char *noun = argc > 1 ? argv[1] : "";
    const char *verb = argc > 2 ? argv[2] : "";
    const struct cli_command *command;

    if (noun[0] == '\0' || is_help(noun)) {
        help_all(noun[0] == '\0' ? stderr : stdout);
        return noun[0] == '\0' ? CLI_USAGE : CLI_OK;
    }
    if (strcmp(noun, "--version") == 0 || strcmp(noun, "version") == 0)
        return version();
    if (strcmp(noun, "serve") == 0)
        return serve(argc - 1, argv + 1);
    command = find(noun, verb);
    if (command == NULL)
        return wrong_verb(noun, verb);
    if (command->verb[0] == '\0')
        return run(command, argc - 1, argv + 1);
    return run(command, argc - 2, argv + 2);
}
