#ifndef MAIN_SETTINGS_H
#define MAIN_SETTINGS_H

#include "base/err.h"
#include "base/log.h"

/* What `tollgate serve` is told by flags and environment; a flag wins. There is no file of
 * settings: all else lives in the database. */

#define SETTINGS_PATH_SIZE         4096
#define SETTINGS_ADDRESS_SIZE      72
#define SETTINGS_WORKERS_MAX       64
#define SETTINGS_DRAIN_SECONDS     60
#define SETTINGS_DRAIN_SECONDS_MAX 86400

struct settings {
    char data_dir[SETTINGS_PATH_SIZE];
    char listen[SETTINGS_ADDRESS_SIZE];
    char admin_listen[SETTINGS_ADDRESS_SIZE];
    char admin_token_file[SETTINGS_PATH_SIZE]; /* "": none */
    char master_key_file[SETTINGS_PATH_SIZE];
    int workers; /* 0: one a core */
    int drain_seconds;
    bool has_sandbox;
    enum log_format log;
};

/* Where values come from; tests bring their own. */
struct settings_source {
    int argc; /* argv[0] is the command's name, not looked at */
    char **argv;
    const char *(*environment)(const char *name); /* NULL: not set */
};

/* Errors  TG_INVALID: `err` names the flag or variable and says what it must be; TG_CLOSED: --help
 * was asked for */
TG_MUST_CHECK enum tg_status settings_read(const struct settings_source *source,
                                           struct settings *ret_settings, struct err *err);

/* The data directory by flag (NULL: not given) and environment alone. Errors  TG_INVALID */
TG_MUST_CHECK enum tg_status settings_data_dir(const char *flag,
                                               const char *(*environment)(const char *name),
                                               char data_dir[SETTINGS_PATH_SIZE], struct err *err);

/* What `tollgate serve --help` prints. Static storage. */
const char *settings_help(void);

#endif
