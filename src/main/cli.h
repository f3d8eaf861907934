#ifndef MAIN_CLI_H
#define MAIN_CLI_H

#include "main/remote.h"
#include "main/show.h"

/* The command line: `tollgate NOUN VERB [options]`, over the REST API. What was asked for goes to
 * stdout, a secret alone; all that is said about it to stderr. Exit 0; 1 failed; 2 wrong usage. */

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* X(name, option, value's name or NULL, help) */
#define CLI_OPTIONS(X)                                                                             \
    X(OUTPUT, "output", "FORMAT", "table, json or csv")                                            \
    X(DATA_DIR, "data-dir", "DIR", "the server's; its socket needs no token  (./var)")             \
    X(URL, "url", "URL", "a server's admin listener  (TOLLGATE_URL)")                              \
    X(TOKEN_FILE, "token-file", "FILE", "holds the admin token to show  (TOLLGATE_TOKEN_FILE)")    \
    X(HELP, "help", NULL, "show this")                                                             \
    X(NAME, "name", "NAME", "its name")                                                            \
    X(TEAM, "team", "TEAM", "a team's name or id")                                                 \
    X(KEY, "key", "ID", "a key's id")                                                              \
    X(MODELS, "models", "LIST", "models, as in a,b* (\"\": any)")                                  \
    X(EXPIRES, "expires", "TIME", "when it ends: 2026-12-31, 30d (\"\": never)")                   \
    X(OVERLAP, "overlap", "SECONDS", "how long the old secret works on  (0)")                      \
    X(TIMEZONE, "timezone", "ZONE", "as in Europe/Berlin (\"\": the organization's)")              \
    X(KIND, "kind", "KIND", "kind of provider: openai, openai-compatible, ...")                    \
    X(BASE_URL, "base-url", "URL", "its address (\"\": the kind's own)")                           \
    X(SECRET_FILE, "secret-file", "FILE", "holds its secret; - for standard input")                \
    X(DEFAULT, "default", "BOOL", "takes the models that no other claims: true or false")          \
    X(ENABLED, "enabled", "BOOL", "true or false")                                                 \
    X(ROLE, "role", "ROLE", "owner, admin, finance, team or viewer")                               \
    X(FROM, "from", "TIME", "from then on: 2026-11-24, 2026-11-24T17:30:00Z")                      \
    X(TO, "to", "TIME", "until then")                                                              \
    X(SINCE, "since", "SPAN", "the time just past: 30d, 12h, 15m")                                 \
    X(BY, "by", "LIST", "of team, key, model, provider")                                           \
    X(METRIC, "metric", "LIST", "cost, total_tokens, input_tokens, requests, ...")                 \
    X(BUCKET, "bucket", "SPAN", "auto, 15m, 1h, 1d or 1mo")                                        \
    X(MODEL, "model", "MODEL", "only this model")                                                  \
    X(PROVIDER, "provider", "NAME", "only this provider")                                          \
    X(OUTCOME, "outcome", "OUTCOME", "ok, upstream_error, client_gone, unreconciled or refused")   \
    X(STATUS, "status", "CODE", "only this HTTP status")                                           \
    X(LIMIT, "limit", "N", "rows at most  (100)")                                                  \
    X(ALL, "all", NULL, "archived and revoked ones too")                                           \
    X(ACTION, "action", "ACTION", "charge, release or amount")                                     \
    X(AMOUNT, "amount", "AMOUNT", "USD, or a number of what is counted")                           \
    X(ORGANIZATION, "organization", NULL, "of the whole organization")                             \
    X(EACH_KEY, "each-key", NULL, "one for each key of the team")                                  \
    X(WINDOW, "window", "WINDOW", "minute, hour, day, week, month or total")                       \
    X(WEEK_START, "week-start", "DAY", "of its weeks  (monday)")                                   \
    X(ANCHOR_DAY, "anchor-day", "DAY", "of the month on which its months begin, 1 to 28  (1)")     \
    X(SOFT, "soft", NULL, "count and tell only")                                                   \
    X(HARD, "hard", NULL, "refuse what does not fit  (the default)")                               \
    X(CLAMP, "clamp", NULL, "lower the output maximum of a call that does not fit")                \
    X(REFUSE, "refuse", NULL, "refuse a call that does not fit")                                   \
    X(STRICT, "strict", NULL, "hold proven bounds only, never learned ones")                       \
    X(THRESHOLDS, "thresholds", "LIST", "percent to tell of  (50,80,90,100)")                      \
    X(DIALECT, "dialect", "DIALECT", "openai-chat, anthropic-messages, ...")                       \
    X(INPUT_TOKENS, "input-tokens", "N", "of the call")                                            \
    X(MAX_TOKENS, "max-tokens", "N", "output tokens that the call asks for at most")               \
    X(BODY_BYTES, "body-bytes", "N", "of the call's body")                                         \
    X(BEFORE, "before", "TIME", "admitted before then: 2026-11-24, 2h ago as 2h")                  \
    X(REASON, "reason", "REASON", "too_large, rate, spent, held or unpriced")                      \
    X(SEARCH, "search", "TEXT", "only names with that in them")                                    \
    X(CONTEXT, "context", "TOKENS", "prompt and answer, at most (\"\": as it came)")               \
    X(MAX_OUTPUT, "max-output", "TOKENS", "of one choice, at most (\"\": as it came)")             \
    X(OUTPUT_FIELD, "output-field", "NAME", "bounds the output (\"\": as it came)")                \
    X(FREE, "free", "BOOL", "it costs nothing: true or false")                                     \
    X(CEILING_PRICE, "ceiling-price", "USD", "of a million tokens without a price (\"\": none)")   \
    X(CLASS, "class", "CLASS", "of usage: input, output, cache_read, ...")                         \
    X(TIER, "tier", "TIER", "batch, flex, standard, priority or fast")                             \
    X(ORIGIN, "origin", "ORIGIN", "seed or override")                                              \
    X(AS_OF, "as-of", "TIME", "what held then: 2026-11-24")                                        \
    X(UNIT_PRICE, "unit-price", "USD", "of one unit: 0.000003")                                    \
    X(PER_MILLION, "per-million", "USD", "of a million units: 3.00")                               \
    X(DRY_RUN, "dry-run", NULL, "only say what would change")

enum cli_option {
#define CLI_OPTION_NAME(name, option, value, help) CLI_##name,
    CLI_OPTIONS(CLI_OPTION_NAME)
#undef CLI_OPTION_NAME
        CLI_OPTION_COUNT
};

#define CLI_WITH(option) (UINT64_C(1) << CLI_##option)
#define CLI_COMMON                                                                                 \
    (CLI_WITH(OUTPUT) | CLI_WITH(DATA_DIR) | CLI_WITH(URL) | CLI_WITH(TOKEN_FILE) | CLI_WITH(HELP))

struct cli;

struct cli_command {
    const char *noun;
    const char *verb;     /* "": the noun alone */
    const char *argument; /* what stands behind: "NAME"; NULL: nothing */
    bool may_lack_argument;
    uint64_t options; /* CLI_WITH(...) beside CLI_COMMON */
    uint64_t needed;
    const char *summary;
    enum cli_exit (*run)(struct cli *cli);
};

struct cli {
    const struct cli_command *command;
    const char *value[CLI_OPTION_COUNT]; /* NULL: not given; "" for one without a value */
    const char *argument;                /* NULL: not given */
    enum show_format format;
    struct remote remote;
};

/* Do what argv says.
 *
 * return  the process's exit status */
int cli_main(int argc, char **argv);

/* --- for commands ----------------------------------------------------------------------------- */

/* Say what went wrong on stderr. */
enum cli_exit cli_fail(const struct cli *cli, const struct err *err);
enum cli_exit cli_wrong(const struct cli *cli, const char *why);

/* Ask; on failure it is said.
 *
 * body      NULL: none
 * ret_tree  the caller's */
bool cli_ask(struct cli *cli, const char *method, const char *path, const struct buf *body,
             cJSON **ret_tree);

/* Ask for a list, page by page, until --limit.
 *
 * path      with or without a query
 * ret_rows  an array, the caller's */
bool cli_list(struct cli *cli, const char *path, cJSON **ret_rows);

/* The id of a team given by name or id. return  false: said */
bool cli_team_id(struct cli *cli, const char *given, char id[64]);

/* Append "?name=value", or "&name=value", where the option was given. */
void cli_query(const struct cli *cli, struct buf *path, const char *name, enum cli_option option);
void cli_query_text(struct buf *path, const char *name, const char *value);

/* "30d", "12h", "15m" ago or ahead, or a time, as RFC 3339. return  false: neither */
bool cli_time(const char *given, int direction, char text[32]);

/* Show one object; where it has a `secret` and people read, the secret alone is on stdout. */
enum cli_exit cli_show_made(struct cli *cli, const cJSON *object);
enum cli_exit cli_show_rows(struct cli *cli, const cJSON *rows, const char *const *members);

#endif
