#ifndef MAIN_SETTINGS_H
#define MAIN_SETTINGS_H

#include "base/err.h"
#include "base/log.h"

#include <stdint.h>

/* What `serve` was told, by flags, else by environment, else by default (design 5.1). There is no
 * file of settings: all else lives in the database. */

#define SETTINGS_PATH_MAX          4000
#define SETTINGS_ADDRESS_MAX       71
#define SETTINGS_WORKERS_MAX       64
#define SETTINGS_DRAIN_SECONDS     60
#define SETTINGS_DRAIN_SECONDS_MAX 86400

/* Strings are borrowed from the flags and the environment. */
struct settings {
    const char *data_dir;
    const char *listen;
    const char *admin_listen;
    const char *admin_token_file; /* NULL: none */
    const char *master_key_file;  /* NULL: in the data directory, made at first start */
    const char *ca_file;          /* NULL: the system's certificates */
    int workers;                  /* 1..LISTEN_MAX */
    int drain_seconds;
    bool is_sandbox;
    enum log_format log_format;
    int64_t body_max_bytes;
    int64_t head_ms;
    int64_t body_ms;
    int64_t first_byte_ms;
    int64_t idle_ms;
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
                                               const char **ret_data_dir, struct err *err);

/* What `tollgate serve --help` prints. Static storage. */
const char *settings_help(void);

#endif
