#ifndef MAIN_SETTINGS_H
#define MAIN_SETTINGS_H

#include "base/log.h"

/* What `serve` was told, by flags, else by environment, else by default (design 5.1). */

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

#endif
