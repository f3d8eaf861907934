#include "ledger/account.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/try.h"
#include "store/stmt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ZONE_FOLDER "/usr/share/zoneinfo/"

/* --- how a change runs --- */

/* Changes are few and made by people: one lock and one condition serve all who wait. */
static pthread_mutex_t answer_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answer_came = PTHREAD_COND_INITIALIZER;

static struct account_job *job_of(struct writer_job *writer_job)
{
    return LIST_ENTRY(writer_job, struct account_job, writer_job);
}

static enum tg_status run(struct writer_job *writer_job, struct db *db, struct err *err)
{
    struct account_job *job = job_of(writer_job);
    enum tg_status status;

    job->db = db;
    job->err = (struct err){ 0 };
    status = job->apply(job, db, &job->err);
    if (status == TG_OK && job->along != NULL)
        status = job->along(job, db, &job->err);
    if (status != TG_OK)
        err_set(err, status, "%s", job->err.text);
    return status;
}

static void answer(struct account_job *job, enum tg_status status)
{
    if (!job->is_waited_for) {
        if (job->answered != NULL)
            job->answered(job, status);
        return;
    }
    pthread_mutex_lock(&answer_lock);
    job->writer_job.status = status;
    job->is_answered = true;
    pthread_cond_broadcast(&answer_came);
    pthread_mutex_unlock(&answer_lock);
}

/* The writer answers a job after its commit; what it changed is published first. */
static void done(struct writer_job *writer_job, enum tg_status status)
{
    struct account_job *job = job_of(writer_job);

    if (status == TG_OK && job->publish != NULL) {
        struct err why = { 0 };

        status = job->publish(job, job->db, &why);
        if (status != TG_OK)
            err_set(&job->err, status,
                    "the change is stored, but calls are still handled as before (%s): repeat it",
                    why.text);
    }
    if (status != TG_OK && job->err.text[0] == '\0')
        err_set(&job->err, status, "%s", tg_status_info(status)->sentence);
    if (job->finish != NULL)
        job->finish(job, status);
    answer(job, status);
}

void account_job_init(struct account_job *job)
{
    *job = (struct account_job){
        .writer_job = { .class = WRITER_ADMIN, .run = run, .done = done },
    };
    list_init(&job->writer_job.node);
}

static enum tg_status submit(struct writer *writer, struct account_job *job, struct err *err)
{
    enum tg_status status;

    job->problem_pointer = NULL;
    job->err = (struct err){ 0 };
    if (job->check != NULL)
        TRY(job->check(job, err));
    status = writer_submit(writer, &job->writer_job);
    if (status == TG_OK)
        return TG_OK;
    if (job->finish != NULL)
        job->finish(job, status);
    return err_set(err, status, "%s", tg_status_info(status)->sentence);
}

enum tg_status account_submit(struct writer *writer, struct account_job *job, struct err *err)
{
    job->is_waited_for = false;
    return submit(writer, job, err);
}

enum tg_status account_call(struct writer *writer, struct account_job *job, struct err *err)
{
    enum tg_status status;

    job->is_waited_for = true;
    job->is_answered = false;
    TRY(submit(writer, job, err));
    pthread_mutex_lock(&answer_lock);
    while (!job->is_answered)
        pthread_cond_wait(&answer_came, &answer_lock);
    status = job->writer_job.status;
    pthread_mutex_unlock(&answer_lock);
    if (status != TG_OK)
        return err_set(err, status, "%s", job->err.text);
    return TG_OK;
}

enum tg_status account_fail(struct account_job *job, struct err *err, const char *pointer,
                            const char *why)
{
    job->problem_pointer = pointer;
    return err_set(err, TG_INVALID, "%s", why);
}

/* --- what fields may hold --- */

struct code_range {
    uint32_t first;
    uint32_t last;
};

/* Controls, and what reverses, hides or breaks the text around it: a name is shown in lists and
 * logs. */
static const struct code_range forbidden[] = {
    { 0x0000, 0x001f }, { 0x007f, 0x009f }, { 0x00ad, 0x00ad },   { 0x061c, 0x061c },
    { 0x180e, 0x180e }, { 0x200b, 0x200f }, { 0x2028, 0x202e },   { 0x2060, 0x2069 },
    { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe007f },
};

static bool is_forbidden(uint32_t code_point)
{
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
        if (code_point >= forbidden[i].first && code_point <= forbidden[i].last)
            return true;
    return false;
}

/* Count the characters of clean text. return  false: not UTF-8, or a forbidden character */
static bool count_clean(struct span text, int *ret_characters)
{
    int characters = 0;

    while (text.len > 0) {
        uint32_t code_point;
        const size_t len = span_utf8_at(text, &code_point);

        if (len == 0 || is_forbidden(code_point))
            return false;
        text = span_from_offset(text, len);
        characters++;
    }
    *ret_characters = characters;
    return true;
}

enum tg_status account_check_name(struct account_job *job, struct span name, struct err *err)
{
    int characters;

    if (name.len == 0 || name.len >= ACCOUNT_NAME_SIZE || !count_clean(name, &characters) ||
        characters > ACCOUNT_NAME_MAX)
        return account_fail(job, err, "/name",
                            "name must have 1 to 128 characters of UTF-8, none of them a control, "
                            "zero-width or direction character");
    if (span_trim(name).len != name.len)
        return account_fail(job, err, "/name", "name must not begin or end with a blank");
    return TG_OK;
}

/* Whether it has the shape of a zone's name, so that it can be made a path. */
static bool is_zone_name(struct span name)
{
    /* The folder's other entries (localtime, posixrules, posix/, right/) begin with a small letter.
     */
    if (name.len == 0 || name.len >= ACCOUNT_TIMEZONE_SIZE || name.ptr[0] < 'A' ||
        name.ptr[0] > 'Z')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr("/_+-", c) != NULL)))
            return false;
    }
    return !span_equal(name, SPAN("Factory"));
}

enum tg_status account_open_zone(struct span name, int *ret_fd)
{
    char path[sizeof(ZONE_FOLDER) + ACCOUNT_TIMEZONE_SIZE];
    int fd;

    if (!is_zone_name(name))
        return TG_NOT_FOUND;
    (void)snprintf(path, sizeof(path), ZONE_FOLDER "%.*s", SPAN_ARG(name));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? TG_NOT_FOUND : TG_IO;
    *ret_fd = fd;
    return TG_OK;
}

static bool zone_file_exists(struct span name)
{
    char magic[4];
    ssize_t got;
    int fd;

    if (account_open_zone(name, &fd) != TG_OK)
        return false;
    got = read(fd, magic, sizeof(magic));
    (void)close(fd); /* only read from */
    return got == (ssize_t)sizeof(magic) && memcmp(magic, "TZif", sizeof(magic)) == 0;
}

enum tg_status account_check_timezone(struct account_job *job, struct span timezone,
                                      struct err *err)
{
    /* UTC needs no file, so that it works where the system has no zones. */
    if (span_equal(timezone, SPAN("UTC")) || zone_file_exists(timezone))
        return TG_OK;
    return account_fail(job, err, "/timezone",
                        "timezone must be an IANA name that this system knows, such as "
                        "Europe/Berlin");
}

enum tg_status account_check_metadata(struct account_job *job, struct span json, struct err *err)
{
    AUTO_JSON tree = NULL;
    struct err why = { 0 };
    enum tg_status status;

    if (json.len > ACCOUNT_METADATA_MAX)
        return account_fail(job, err, "/metadata", "metadata must have at most 4096 bytes");
    status = json_parse(json, &tree, &why);
    if (status == TG_NO_MEMORY)
        return err_set(err, status, "out of memory");
    if (status != TG_OK || !cJSON_IsObject(tree))
        return account_fail(job, err, "/metadata", "metadata must be a JSON object");
    return TG_OK;
}

static bool is_model_name(struct span name, const struct account_models_rule *rule)
{
    int characters;
    size_t star;

    if (name.len == 0 || name.len > ACCOUNT_MODEL_MAX || !count_clean(name, &characters))
        return false;
    if (!rule->may_star || !span_find_byte(name, '*', &star))
        return true;
    return star == name.len - 1;
}

static enum tg_status fail_element(struct account_job *job, int index, struct err *err,
                                   const struct account_models_rule *rule)
{
    (void)snprintf(job->pointer, sizeof(job->pointer), "/models/%d", index);
    return account_fail(job, err, job->pointer,
                        rule->may_star ? "each of models must be a model's name of 1 to 256 bytes, "
                                         "or the beginning of one and a '*'"
                                       : "each of models must be a name of 1 to 256 bytes");
}

enum tg_status account_check_models(struct account_job *job, struct span json,
                                    const struct account_models_rule *rule, struct err *err)
{
    AUTO_JSON tree = NULL;
    struct err why = { 0 };
    const cJSON *element;
    int index = 0;
    enum tg_status status = json_parse(json, &tree, &why);

    if (status == TG_NO_MEMORY)
        return err_set(err, status, "out of memory");
    if (status != TG_OK || !cJSON_IsArray(tree))
        return account_fail(job, err, "/models", "models must be a JSON array of names");
    if (cJSON_GetArraySize(tree) > rule->max) {
        job->problem_pointer = "/models";
        return err_set(err, TG_INVALID, "models must have at most %d names", rule->max);
    }
    cJSON_ArrayForEach(element, tree)
    {
        if (!cJSON_IsString(element) || !is_model_name(span_from(element->valuestring), rule))
            return fail_element(job, index, err, rule);
        index++;
    }
    return TG_OK;
}

enum tg_status account_check_expiry(struct account_job *job, int64_t expires_at_ms, struct err *err)
{
    if (expires_at_ms != 0 && expires_at_ms <= clock_wall_ms())
        return account_fail(job, err, "/expires_at", "expires_at must be in the future");
    return TG_OK;
}

/* --- what reads and changes of all resources share --- */

enum tg_status account_find_cursor(struct db *db, const char *sql, const struct account_page *page,
                                   int64_t *ret_after, struct err *err)
{
    struct stmt *stmt;
    int64_t after = 0;

    if (page->limit < 1 || page->limit > ACCOUNT_PAGE_MAX)
        return err_set(err, TG_INVALID, "limit must be 1 to %d", ACCOUNT_PAGE_MAX);
    if (page->after != NULL) {
        TRY(stmt_use(db, sql, &stmt, err));
        stmt_bind_text(stmt, 1, span_from(page->after));
        TRY(stmt_run_int(stmt, &after, err));
        if (after == 0)
            return err_set(err, TG_INVALID, "after must be the id of a row of this list");
    }
    *ret_after = after;
    return TG_OK;
}

enum tg_status account_check_revision(int64_t revision, int64_t wanted, struct err *err)
{
    if (wanted != 0 && wanted != revision)
        return err_set(err, TG_STALE, "%s", tg_status_info(TG_STALE)->sentence);
    return TG_OK;
}

enum tg_status account_read_models(struct span json, char ***ret_models, int *ret_count)
{
    AUTO_JSON tree = NULL;
    const cJSON *element;
    size_t bytes = sizeof(char *);
    int count = 0;
    char **models;
    char *at;

    TRY(json_parse(json, &tree, NULL) == TG_NO_MEMORY ? TG_NO_MEMORY : TG_OK);
    if (!cJSON_IsArray(tree))
        return TG_CORRUPT;
    cJSON_ArrayForEach(element, tree)
    {
        if (!cJSON_IsString(element))
            return TG_CORRUPT;
        bytes += sizeof(char *) + strlen(element->valuestring) + 1;
        count++;
    }
    models = malloc(bytes);
    if (models == NULL)
        return TG_NO_MEMORY;
    at = (char *)(models + count + 1);
    count = 0;
    cJSON_ArrayForEach(element, tree)
    {
        models[count++] = at;
        at = stpcpy(at, element->valuestring) + 1;
    }
    models[count] = NULL;
    *ret_models = models;
    *ret_count = count;
    return TG_OK;
}

void account_copy_text(struct span from, char *to, size_t size)
{
    const size_t len = span_utf8_cut(from, size - 1);

    memcpy(to, from.ptr, len);
    to[len] = '\0';
}
