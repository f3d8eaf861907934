#include "main/settings.h"

#include "base/span.h"
#include "base/try.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum flag {
    FLAG_DATA_DIR = 1,
    FLAG_LISTEN,
    FLAG_ADMIN_LISTEN,
    FLAG_WORKERS,
    FLAG_DRAIN_SECONDS,
    FLAG_SANDBOX,
    FLAG_ADMIN_TOKEN_FILE,
    FLAG_MASTER_KEY_FILE,
    FLAG_CA_FILE,
    FLAG_LOG,
    FLAG_BODY_MAX_BYTES,
    FLAG_HEAD_MS,
    FLAG_BODY_MS,
    FLAG_FIRST_BYTE_MS,
    FLAG_IDLE_MS,
    FLAG_HELP,
    FLAG_COUNT
};

static const struct option flags[] = {
    { "data-dir", required_argument, NULL, FLAG_DATA_DIR },
    { "listen", required_argument, NULL, FLAG_LISTEN },
    { "admin-listen", required_argument, NULL, FLAG_ADMIN_LISTEN },
    { "workers", required_argument, NULL, FLAG_WORKERS },
    { "drain-seconds", required_argument, NULL, FLAG_DRAIN_SECONDS },
    { "sandbox", no_argument, NULL, FLAG_SANDBOX },
    { "admin-token-file", required_argument, NULL, FLAG_ADMIN_TOKEN_FILE },
    { "master-key-file", required_argument, NULL, FLAG_MASTER_KEY_FILE },
    { "ca-file", required_argument, NULL, FLAG_CA_FILE },
    { "log", required_argument, NULL, FLAG_LOG },
    { "body-max-bytes", required_argument, NULL, FLAG_BODY_MAX_BYTES },
    { "head-ms", required_argument, NULL, FLAG_HEAD_MS },
    { "body-ms", required_argument, NULL, FLAG_BODY_MS },
    { "first-byte-ms", required_argument, NULL, FLAG_FIRST_BYTE_MS },
    { "idle-ms", required_argument, NULL, FLAG_IDLE_MS },
    { "help", no_argument, NULL, FLAG_HELP },
    { 0 },
};

static const char help[] =
    "usage: tollgate serve [options]\n"
    "\n"
    "Serve clients and administrators until SIGTERM.\n"
    "\n"
    "  --data-dir DIR           database, master key and admin socket\n"
    "                           (TOLLGATE_DATA_DIR, STATE_DIRECTORY; ./var)\n"
    "  --listen ADDR:PORT       for clients           (TOLLGATE_LISTEN; 127.0.0.1:4000)\n"
    "  --admin-listen ADDR:PORT for administrators    (TOLLGATE_ADMIN_LISTEN; 127.0.0.1:4001)\n"
    "  --workers N              event loops, 1 to 64  (one a core)\n"
    "  --drain-seconds N        how long streams may end after SIGTERM  (60)\n"
    "  --sandbox                register a provider served by the process itself\n"
    "  --admin-token-file FILE  its content is accepted as an owner's token\n"
    "                           (TOLLGATE_ADMIN_TOKEN_FILE; none: a one-time link is printed)\n"
    "  --master-key-file FILE   32 bytes in base64\n"
    "                           (TOLLGATE_MASTER_KEY_FILE; DIR/master.key, made at first start)\n"
    "  --ca-file FILE           certificates to check providers by  (the system's)\n"
    "  --log FORMAT             logfmt or json, on stderr  (TOLLGATE_LOG; logfmt)\n"
    "  --body-max-bytes N       of a client's request  (33554432)\n"
    "  --head-ms N              for a client's request head  (10000)\n"
    "  --body-ms N              for its body  (60000)\n"
    "  --first-byte-ms N        for a provider's first byte  (600000)\n"
    "  --idle-ms N              between a provider's bytes  (600000)\n"
    "  --help\n"
    "\n"
    "OPENAI_API_KEY and its like set up the provider of that name.\n";

const char *settings_help(void)
{
    return help;
}

/* A value and what named it, for messages. */
struct given {
    const char *name;  /* "--listen" or "TOLLGATE_LISTEN" */
    const char *value; /* NULL: not given */
};

struct reading {
    const struct settings_source *source;
    const char *flag[FLAG_COUNT]; /* values; "" for a flag without one; NULL: not given */
};

/* The flag's value, else the variable's; variable: NULL: there is none. */
static struct given pick(const struct reading *reading, enum flag flag, const char *variable)
{
    static const char *const names[FLAG_COUNT] = {
        [FLAG_DATA_DIR] = "--data-dir",
        [FLAG_LISTEN] = "--listen",
        [FLAG_ADMIN_LISTEN] = "--admin-listen",
        [FLAG_WORKERS] = "--workers",
        [FLAG_DRAIN_SECONDS] = "--drain-seconds",
        [FLAG_ADMIN_TOKEN_FILE] = "--admin-token-file",
        [FLAG_MASTER_KEY_FILE] = "--master-key-file",
        [FLAG_CA_FILE] = "--ca-file",
        [FLAG_LOG] = "--log",
        [FLAG_BODY_MAX_BYTES] = "--body-max-bytes",
        [FLAG_HEAD_MS] = "--head-ms",
        [FLAG_BODY_MS] = "--body-ms",
        [FLAG_FIRST_BYTE_MS] = "--first-byte-ms",
        [FLAG_IDLE_MS] = "--idle-ms",
    };

    if (reading->flag[flag] != NULL)
        return (struct given){ names[flag], reading->flag[flag] };
    return (struct given){ variable,
                           variable != NULL ? reading->source->environment(variable) : NULL };
}

static enum tg_status take_text(struct given given, size_t max, const char **to, struct err *err)
{
    if (given.value == NULL)
        return TG_OK;
    if (given.value[0] == '\0')
        return err_set(err, TG_INVALID, "%s is empty: give it a value or leave it out", given.name);
    if (strlen(given.value) > max)
        return err_set(err, TG_INVALID, "%s is too long: at most %zu bytes", given.name, max);
    *to = given.value;
    return TG_OK;
}

static enum tg_status take_address(struct given given, const char **to, struct err *err)
{
    const char *colon = given.value != NULL ? strrchr(given.value, ':') : NULL;
    int64_t port;

    TRY(take_text(given, SETTINGS_ADDRESS_MAX, to, err));
    if (given.value == NULL)
        return TG_OK;
    if (colon == NULL || colon == given.value || !span_to_int64(span_from(colon + 1), 65535, &port))
        return err_set(err, TG_INVALID,
                       "%s: '%s' must be an address and a port, as in 127.0.0.1:4000 or [::]:4000",
                       given.name, given.value);
    return TG_OK;
}

struct range {
    int64_t min;
    int64_t max;
};

static enum tg_status take_number(struct given given, struct range range, int64_t *to,
                                  struct err *err)
{
    int64_t number;

    if (given.value == NULL)
        return TG_OK;
    if (!span_to_int64(span_from(given.value), range.max, &number) || number < range.min)
        return err_set(err, TG_INVALID, "%s: '%s' must be a whole number from %lld to %lld",
                       given.name, given.value, (long long)range.min, (long long)range.max);
    *to = number;
    return TG_OK;
}

static enum tg_status take_int(struct given given, struct range range, int *to, struct err *err)
{
    int64_t number = *to;

    TRY(take_number(given, range, &number, err));
    *to = (int)number;
    return TG_OK;
}

static enum tg_status take_log(struct given given, enum log_format *to, struct err *err)
{
    if (given.value == NULL || strcmp(given.value, "logfmt") == 0)
        return TG_OK;
    if (strcmp(given.value, "json") != 0)
        return err_set(err, TG_INVALID, "%s: '%s' must be logfmt or json", given.name, given.value);
    *to = LOG_JSON;
    return TG_OK;
}

static enum tg_status read_flags(struct reading *reading, struct err *err)
{
    const struct settings_source *source = reading->source;
    int flag;

    optind = 0; /* begin anew, also in a process that has parsed before */
    opterr = 0;
    while ((flag = getopt_long(source->argc, source->argv, "+:h", flags, NULL)) != -1) {
        if (flag == 'h' || flag == FLAG_HELP)
            return TG_CLOSED;
        if (flag == '?')
            return err_set(err, TG_INVALID,
                           "%s is not an option of serve; see tollgate serve --help",
                           source->argv[optind - 1]);
        if (flag == ':')
            return err_set(err, TG_INVALID, "%s needs a value", source->argv[optind - 1]);
        reading->flag[flag] = optarg != NULL ? optarg : "";
    }
    if (optind < source->argc)
        return err_set(err, TG_INVALID, "serve takes options only, not '%s'", source->argv[optind]);
    return TG_OK;
}

enum tg_status settings_data_dir(const char *flag, const char *(*environment)(const char *name),
                                 const char **ret_data_dir, struct err *err)
{
    const char *state = environment("STATE_DIRECTORY");
    struct given given = { "--data-dir", flag };

    if (given.value == NULL)
        given = (struct given){ "TOLLGATE_DATA_DIR", environment("TOLLGATE_DATA_DIR") };
    if (given.value == NULL && state != NULL && state[0] != '\0')
        given = (struct given){ "STATE_DIRECTORY", state };
    *ret_data_dir = "./var";
    return take_text(given, SETTINGS_PATH_MAX, ret_data_dir, err);
}

static int cores(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);

    if (count < 1)
        return 1;
    return count < SETTINGS_WORKERS_MAX ? (int)count : SETTINGS_WORKERS_MAX;
}

#define HOUR_MS  INT64_C(3600000)
#define BODY_MAX (INT64_C(256) << 20)

static enum tg_status read_limits(const struct reading *reading, struct settings *settings,
                                  struct err *err)
{
    const struct range ms = { 1, HOUR_MS };

    TRY(take_number(pick(reading, FLAG_BODY_MAX_BYTES, NULL), (struct range){ 1024, BODY_MAX },
                    &settings->body_max_bytes, err));
    TRY(take_number(pick(reading, FLAG_HEAD_MS, NULL), ms, &settings->head_ms, err));
    TRY(take_number(pick(reading, FLAG_BODY_MS, NULL), ms, &settings->body_ms, err));
    TRY(take_number(pick(reading, FLAG_FIRST_BYTE_MS, NULL), ms, &settings->first_byte_ms, err));
    return take_number(pick(reading, FLAG_IDLE_MS, NULL), ms, &settings->idle_ms, err);
}

static enum tg_status read_texts(const struct reading *reading, struct settings *settings,
                                 struct err *err)
{
    TRY(settings_data_dir(reading->flag[FLAG_DATA_DIR], reading->source->environment,
                          &settings->data_dir, err));
    TRY(take_address(pick(reading, FLAG_LISTEN, "TOLLGATE_LISTEN"), &settings->listen, err));
    TRY(take_address(pick(reading, FLAG_ADMIN_LISTEN, "TOLLGATE_ADMIN_LISTEN"),
                     &settings->admin_listen, err));
    TRY(take_text(pick(reading, FLAG_ADMIN_TOKEN_FILE, "TOLLGATE_ADMIN_TOKEN_FILE"),
                  SETTINGS_PATH_MAX, &settings->admin_token_file, err));
    TRY(take_text(pick(reading, FLAG_MASTER_KEY_FILE, "TOLLGATE_MASTER_KEY_FILE"),
                  SETTINGS_PATH_MAX, &settings->master_key_file, err));
    return take_text(pick(reading, FLAG_CA_FILE, NULL), SETTINGS_PATH_MAX, &settings->ca_file, err);
}

enum tg_status settings_read(const struct settings_source *source, struct settings *ret_settings,
                             struct err *err)
{
    struct reading reading = { .source = source };
    struct settings settings = {
        .listen = "127.0.0.1:4000",
        .admin_listen = "127.0.0.1:4001",
        .workers = cores(),
        .drain_seconds = SETTINGS_DRAIN_SECONDS,
        .log_format = LOG_LOGFMT,
        .body_max_bytes = INT64_C(32) << 20,
        .head_ms = 10000,
        .body_ms = 60000,
        .first_byte_ms = 600000,
        .idle_ms = 600000,
    };

    TRY(read_flags(&reading, err));
    TRY(read_texts(&reading, &settings, err));
    TRY(take_int(pick(&reading, FLAG_WORKERS, NULL), (struct range){ 1, SETTINGS_WORKERS_MAX },
                 &settings.workers, err));
    TRY(take_int(pick(&reading, FLAG_DRAIN_SECONDS, NULL),
                 (struct range){ 0, SETTINGS_DRAIN_SECONDS_MAX }, &settings.drain_seconds, err));
    TRY(take_log(pick(&reading, FLAG_LOG, "TOLLGATE_LOG"), &settings.log_format, err));
    TRY(read_limits(&reading, &settings, err));
    settings.is_sandbox = reading.flag[FLAG_SANDBOX] != NULL;
    *ret_settings = settings;
    return TG_OK;
}
