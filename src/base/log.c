#include "base/log.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* --- one line --- */

struct line {
    enum log_format format;
    char *text; /* LOG_LINE_MAX bytes */
    size_t len;
    size_t room; /* most bytes `len` may become now */
    bool is_cut; /* a put did not fit */
};

/* Kept free for what ends a line: the mark of a cut one, a bracket and the line end. */
#define LINE_END_MAX 32

static void put(struct line *line, struct span s)
{
    if (line->is_cut || s.len > line->room - line->len) {
        line->is_cut = true;
        return;
    }
    memcpy(line->text + line->len, s.ptr, s.len);
    line->len += s.len;
}

static void put_hex(struct line *line, const char *prefix, uint32_t value, int digits)
{
    char text[8];

    assert(digits <= (int)sizeof(text));
    for (int i = 0; i < digits; i++)
        text[i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 15];
    put(line, span_from(prefix));
    put(line, span_of(text, (size_t)digits));
}

/* Characters that would let a value move the cursor, break the line or reorder what a reader sees:
 * C0, DEL, C1, line and paragraph separators, and the controls of writing direction. */
static bool is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

static void put_quoted(struct line *line, struct span s)
{
    uint32_t code_point;

    put(line, SPAN("\""));
    while (s.len > 0) {
        const size_t len = span_utf8_at(s, &code_point);

        if (len == 0 && line->format == LOG_JSON)
            put(line, SPAN("\\ufffd"));
        else if (len == 0)
            put_hex(line, "\\x", (unsigned char)s.ptr[0], 2);
        else if (code_point == '\n')
            put(line, SPAN("\\n"));
        else if (is_unsafe(code_point))
            put_hex(line, "\\u", code_point, 4);
        else if (code_point == '"' || code_point == '\\')
            put(line, code_point == '"' ? SPAN("\\\"") : SPAN("\\\\"));
        else
            put(line, span_of(s.ptr, len));
        s = span_from_offset(s, len > 0 ? len : 1);
    }
    put(line, SPAN("\""));
}

/* Whether logfmt needs no quotes: printable ASCII but blank, quote, backslash and '='. */
static bool is_bare(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || strchr("\"\\=", s.ptr[i]) != NULL)
            return false;
    return s.len > 0;
}

static void put_name(struct line *line, const char *name)
{
    const bool is_json = line->format == LOG_JSON;

    if (line->len > 0)
        put(line, is_json ? SPAN(",") : SPAN(" "));
    if (is_json)
        put_quoted(line, span_from(name));
    else
        put(line, span_from(name));
    put(line, is_json ? SPAN(":") : SPAN("="));
}

static void put_text(struct line *line, const char *name, struct span value)
{
    put_name(line, name);
    if (line->format == LOG_LOGFMT && is_bare(value))
        put(line, value);
    else
        put_quoted(line, value);
}

static void put_int(struct line *line, const char *name, int64_t value)
{
    char digits[20]; /* "-9223372036854775808" */
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--at] = '-';
    put_name(line, name);
    put(line, span_of(digits + at, sizeof(digits) - at));
}

static void put_field(struct line *line, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_TEXT:
        put_text(line, field->name,
                 field->text.len <= LOG_FIELD_MAX
                     ? field->text
                     : span_of(field->text.ptr, span_utf8_cut(field->text, LOG_FIELD_MAX)));
        break;
    case LOG_INT:
        put_int(line, field->name, field->number);
        break;
    }
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    assert(!"a known level");
    return "";
}

/* Write time, level and event. */
static void put_head(struct line *line, enum log_level level, const char *event)
{
    const bool is_json = line->format == LOG_JSON;
    char time[CLOCK_RFC3339_SIZE];
    struct span event_text = span_from(event);

    clock_format_rfc3339(clock_wall_ms(), time);
    put(line, is_json ? SPAN("{\"ts\":\"") : SPAN("ts="));
    put(line, span_from(time));
    put(line, is_json ? SPAN("\"") : SPAN_EMPTY);
    put_text(line, "level", span_from(level_name(level)));
    put_name(line, "event");
    event_text.len = span_utf8_cut(event_text, LOG_FIELD_MAX);
    put_quoted(line, event_text);
}

/* Build a line into `text`, LOG_LINE_MAX bytes; return its length. */
static size_t format_line(char *text, enum log_format format, enum log_level level,
                          const char *event, const struct log_field *fields)
{
    struct line line = { .format = format, .text = text, .room = LOG_LINE_MAX - LINE_END_MAX };
    size_t whole; /* length up to the last field that fitted */

    put_head(&line, level, event);
    assert(!line.is_cut);
    whole = line.len;
    for (int i = 0; fields[i].name != NULL && !line.is_cut; i++) {
        assert(i < LOG_FIELDS_MAX);
        put_field(&line, &fields[i]);
        if (!line.is_cut)
            whole = line.len;
    }
    line.len = whole;
    line.room = LOG_LINE_MAX;
    if (line.is_cut) {
        line.is_cut = false;
        put_int(&line, "cut", 1);
    }
    put(&line, format == LOG_JSON ? SPAN("}\n") : SPAN("\n"));
    assert(!line.is_cut);
    return line.len;
}

/* --- the queue ---
 * Two arrays: callers fill one while the thread writes the other, then they change places. So at
 * the change all lines that were dropped are known to follow those in the array. */

struct queue {
    struct span lines[LOG_RING_LINES]; /* malloc'ed */
    size_t count;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_due = PTHREAD_COND_INITIALIZER;
/* Under the mutex. */
static struct queue queues[2];
static int filled; /* which of them callers fill */
static int64_t dropped_lines;
static bool is_running;
static bool is_stopping;
/* Set by log_start while there is no thread. */
static int output = STDERR_FILENO;
static pthread_t thread;

static _Atomic enum log_level least_level = LOG_INFO;
static _Atomic enum log_format line_format = LOG_LOGFMT;

/* Write all of `s`. What cannot be written is lost: there is nowhere to say so. */
static void write_all(int fd, struct span s)
{
    while (s.len > 0) {
        const ssize_t written = write(fd, s.ptr, s.len);

        if (written >= 0) {
            s = span_from_offset(s, (size_t)written);
        } else if (errno == EAGAIN) {
            struct pollfd writable = { .fd = fd, .events = POLLOUT };

            (void)poll(&writable, 1, -1); /* write says what is wrong */
        } else if (errno != EINTR) {
            return;
        }
    }
}

static void write_dropped(int64_t lines)
{
    const struct log_field fields[] = { LOG_FI("lines", lines), { 0 } };
    char text[LOG_LINE_MAX];
    const size_t len = format_line(text, line_format, LOG_WARN, "log lines dropped", fields);

    write_all(output, span_of(text, len));
}

static void write_queue(struct queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        write_all(output, queue->lines[i]);
        free((char *)queue->lines[i].ptr);
    }
    queue->count = 0;
}

static void *run(void *unused)
{
    bool is_last = false;

    (void)unused;
    while (!is_last) {
        struct queue *full;
        int64_t dropped;

        pthread_mutex_lock(&mutex);
        while (queues[filled].count == 0 && dropped_lines == 0 && !is_stopping)
            pthread_cond_wait(&is_due, &mutex);
        is_last = is_stopping; /* no caller queues any more */
        full = &queues[filled];
        filled = 1 - filled;
        dropped = dropped_lines;
        dropped_lines = 0;
        pthread_mutex_unlock(&mutex);
        write_queue(full);
        if (dropped > 0)
            write_dropped(dropped);
    }
    return NULL;
}

enum tg_status log_start(enum log_format format, enum log_level least, int fd)
{
    sigset_t all;
    sigset_t before;
    int failure;

    assert(!is_running);
    line_format = format;
    least_level = least;
    output = fd;
    is_stopping = false;
    /* Signals are for other threads; a closed pipe is then EPIPE and no signal. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0)
        return TG_NO_MEMORY;
    pthread_mutex_lock(&mutex);
    is_running = true;
    pthread_mutex_unlock(&mutex);
    return TG_OK;
}

void log_stop(void)
{
    pthread_mutex_lock(&mutex);
    if (!is_running) {
        pthread_mutex_unlock(&mutex);
        return;
    }
    is_running = false; /* from here on callers write by themselves */
    is_stopping = true;
    pthread_cond_signal(&is_due);
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
}

/* Hand a line to the thread. */
static void enqueue(struct span line)
{
    char *copy = span_to_string(line);
    bool is_queued = false;

    pthread_mutex_lock(&mutex);
    if (is_running) {
        struct queue *queue = &queues[filled];

        if (copy != NULL && queue->count < LOG_RING_LINES) {
            queue->lines[queue->count++] = span_of(copy, line.len);
            is_queued = true;
        } else {
            dropped_lines++;
        }
        pthread_cond_signal(&is_due);
        pthread_mutex_unlock(&mutex);
    } else {
        pthread_mutex_unlock(&mutex);
        write_all(STDERR_FILENO, line);
    }
    if (!is_queued)
        free(copy);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    char text[LOG_LINE_MAX];

    if (level < least_level)
        return;
    enqueue(span_of(text, format_line(text, line_format, level, event, fields)));
}
