#ifndef LEDGER_ACCOUNT_H
#define LEDGER_ACCOUNT_H

#include "base/auto.h"
#include "base/err.h"
#include "base/span.h"
#include "store/writer.h"

/* What teams, keys, admin tokens and providers have in common: what their fields may hold, how
 * their rows are paged, and how a change to them runs.
 *
 * A change is an `account_job`: checked on the caller's thread, applied inside the writer's
 * savepoint, and answered only when the snapshots of the worker loops show it. */

#define ACCOUNT_NAME_MAX      128 /* characters */
#define ACCOUNT_NAME_SIZE     (ACCOUNT_NAME_MAX * 4 + 1)
#define ACCOUNT_TIMEZONE_SIZE 64
#define ACCOUNT_METADATA_MAX  4096
#define ACCOUNT_MODELS_MAX    100 /* of a key: exact names or `prefix*` */
#define ACCOUNT_MODEL_MAX     256 /* bytes of one name */
#define ACCOUNT_PAGE_MAX      200
#define ACCOUNT_POINTER_SIZE  32

/* Whose rows may be seen or changed: 0 the whole organization, else the row id of the only team.
 * What lies outside is TG_NOT_FOUND, as if it were not there. */
typedef int32_t account_scope;
#define ACCOUNT_ALL 0

/* Which rows of a list, oldest first. */
struct account_page {
    const char *after; /* public id of the last row seen; NULL: from the start */
    int limit;         /* 1..ACCOUNT_PAGE_MAX */
};

struct account_job {
    struct writer_job writer_job; /* first; all of it is set by account_job_init */

    /* Set by the resource's own `_init`. */
    enum tg_status (*check)(struct account_job *job, struct err *err); /* caller's thread */
    enum tg_status (*apply)(struct account_job *job, struct db *db, struct err *err);
    enum tg_status (*publish)(struct account_job *job, struct db *db, struct err *err);
    /* After all of it, once, where check has succeeded. May be NULL. Thread: writer, or the
     * caller's where the writer took nothing. */
    void (*finish)(struct account_job *job, enum tg_status status);

    /* Set by the caller, each may be NULL. */
    /* Runs behind `apply` in the same savepoint, when that has succeeded: an audit row, a stored
     * reply. The resource's job then holds the row before and after. Thread: writer. */
    enum tg_status (*along)(struct account_job *job, struct db *db, struct err *err);
    void *along_context;
    /* For account_submit: the job is the caller's again. Thread: writer. */
    void (*answered)(struct account_job *job, enum tg_status status);

    /* Told by the job. */
    const char *problem_pointer; /* JSON pointer of the field at fault, "/name"; NULL: none */
    struct err err;              /* of a failure, for account_submit */

    /* The job's own. */
    struct db *db;
    char pointer[ACCOUNT_POINTER_SIZE];
    bool is_waited_for;
    bool is_answered;
};

/* Zero the job and set what the writer needs; then the resource fills in check to finish. */
void account_job_init(struct account_job *job);

/* Check, run and wait; for threads that may block. TG_OK: durable and published.
 *
 * Errors  TG_INVALID with problem_pointer; TG_CONFLICT: name taken; TG_NOT_FOUND: unknown or
 * outside the scope; TG_STALE; TG_OVERLOADED, TG_DRAINING, TG_IO; TG_NO_MEMORY, also where the
 * change is stored but could not be published, which `err` then says: repeat it */
TG_MUST_CHECK enum tg_status account_call(struct writer *writer, struct account_job *job,
                                          struct err *err);
/* The same without waiting. On a failure here nothing is called; else job->answered once. */
TG_MUST_CHECK enum tg_status account_submit(struct writer *writer, struct account_job *job,
                                            struct err *err);

/* Note the field at fault and say why: `return account_fail(job, err, "/name", "name ...");`. The
 * pointer has static storage.
 *
 * ret     TG_INVALID */
enum tg_status account_fail(struct account_job *job, struct err *err, const char *pointer,
                            const char *why);

/* --- what fields may hold; each names its field in `pointer` and says the rule in `err` ---
 * Errors  TG_INVALID, TG_NO_MEMORY */

/* 1..ACCOUNT_NAME_MAX characters of UTF-8: no control, no character that reverses or hides text
 * (U+200B-F, U+202A-E, U+2060, U+2066-9, U+FEFF), no blank at either end. */
TG_MUST_CHECK enum tg_status account_check_name(struct account_job *job, struct span name,
                                                struct err *err);
/* A zone that the system's zone files have, by its IANA name. */
TG_MUST_CHECK enum tg_status account_check_timezone(struct account_job *job, struct span timezone,
                                                    struct err *err);
/* Open the file that the system has of a zone, to read it. Only what has the shape of an IANA name
 * becomes a path: no "..", none that is absolute.
 *
 * ret_fd  the caller closes it; may be a folder
 * Errors  TG_NOT_FOUND: no such name; TG_IO */
TG_MUST_CHECK enum tg_status account_open_zone(struct span name, int *ret_fd);
/* A JSON object of at most ACCOUNT_METADATA_MAX bytes. */
TG_MUST_CHECK enum tg_status account_check_metadata(struct account_job *job, struct span json,
                                                    struct err *err);
/* A JSON array of at most `max` model names, 1..ACCOUNT_MODEL_MAX bytes each; a '*' only at the end
 * and only where `may_star`. The pointer names the element. */
struct account_models_rule {
    int max;
    bool may_star;
};
TG_MUST_CHECK enum tg_status account_check_models(struct account_job *job, struct span json,
                                                  const struct account_models_rule *rule,
                                                  struct err *err);
/* 0 (never) or later than now. */
TG_MUST_CHECK enum tg_status account_check_expiry(struct account_job *job, int64_t expires_at_ms,
                                                  struct err *err);

/* --- what reads and changes of all resources share --- */

/* Check a page's limit and find the row that it starts behind.
 *
 * sql        gives the row id of a public id
 * ret_after  row id; 0 for the start
 * Errors     TG_INVALID: limit, or `after` is unknown; TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status account_find_cursor(struct db *db, const char *sql,
                                                 const struct account_page *page,
                                                 int64_t *ret_after, struct err *err);

/* Errors  TG_STALE: `wanted` is not 0 and not the row's */
TG_MUST_CHECK enum tg_status account_check_revision(int64_t revision, int64_t wanted,
                                                    struct err *err);

/* A JSON array of strings, as stored, into one block that `free` releases; NULL-ended.
 *
 * Errors  TG_CORRUPT, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status account_read_models(struct span json, char ***ret_models,
                                                 int *ret_count);

/* Copy text with a terminator, cut to fit without splitting a character. size: 1 or more */
void account_copy_text(struct span from, char *to, size_t size);

#endif
