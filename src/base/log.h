#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/span.h"
#include "tollgate/status.h"

/* One event a line on stderr, as logfmt or JSON, through a ring and a thread of its own: a caller
 * never waits for a terminal. When the ring is full, lines are dropped and their number is logged.
 * Control and direction characters and invalid UTF-8 are escaped, fields cut at 2 KiB; fields that
 * would make a line longer than LOG_LINE_MAX are left out, which `cut` then says. Nothing secret
 * may be passed in. Any thread. */

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

#define LOG_FIELDS_MAX 24
#define LOG_FIELD_MAX  2048
#define LOG_LINE_MAX   16384
#define LOG_RING_LINES 1024

struct log_field {
    const char *name; /* NULL ends a list */
    enum { LOG_TEXT, LOG_INT } kind;
    struct span text;
    int64_t number;
};

#define LOG_F(field, value)                                                                        \
    ((struct log_field){ .name = (field), .kind = LOG_TEXT, .text = (value) })
#define LOG_FS(field, value) LOG_F(field, span_from(value))
#define LOG_FI(field, value)                                                                       \
    ((struct log_field){ .name = (field), .kind = LOG_INT, .number = (value) })
/* log_event(LOG_INFO, "listening", LOG_FS("address", text), LOG_FI("workers", 2)) */
#define log_event(level, event, ...)                                                               \
    log_write((level), (event), (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })

/* Start the thread. Before it and after log_stop lines are written at once by the caller to fd 2,
 * and until the first start as logfmt from LOG_INFO up.
 *
 * fd      where lines go, 2 in the program
 * Errors  TG_NO_MEMORY: no thread */
TG_MUST_CHECK enum tg_status log_start(enum log_format format, enum log_level least, int fd);
/* Write what is queued and stop the thread. */
void log_stop(void);

/* Write one event; see log_event. event: not NULL; fields: at most LOG_FIELDS_MAX and the end. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#endif
