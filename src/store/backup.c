#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 2000

static enum tg_status fail(struct err *err, const char *to_path, const char *why)
{
    return err_set(err, TG_IO, "cannot back up to %s: %s", to_path, why);
}

/* A read-only connection neither commits nor checkpoints, so the writer stays the only one that
 * does. */
static enum tg_status copy(const char *database_path, const char *to_path, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    enum tg_status status = TG_OK;

    if (sqlite3_open_v2(database_path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_text(stmt, 1, to_path, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_DONE)
        status = fail(err, to_path, db != NULL ? sqlite3_errmsg(db) : "out of memory");
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return status;
}

static enum tg_status sync_folder(const char *to_path, struct err *err)
{
    char folder[4096];
    const size_t len = (size_t)(strrchr(to_path, '/') - to_path);
    int fd;
    int result;

    memcpy(folder, to_path, len);
    folder[len] = '\0';
    fd = open(len == 0 ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, to_path, strerror(errno));
    result = fsync(fd);
    (void)close(fd);
    return result == 0 ? TG_OK : fail(err, to_path, strerror(errno));
}

static enum tg_status finish(int fd, const char *to_path, int64_t *ret_bytes, struct err *err)
{
    struct stat info;

    if (fsync(fd) != 0 || fstat(fd, &info) != 0)
        return fail(err, to_path, strerror(errno));
    *ret_bytes = info.st_size;
    return sync_folder(to_path, err);
}

enum tg_status backup_write(const char *database_path, const char *to_path, int64_t *ret_bytes,
                            struct err *err)
{
    enum tg_status status;
    int fd;

    if (to_path[0] != '/' || strlen(to_path) >= 4096)
        return err_set(err, TG_INVALID, "the path of a backup must be absolute");
    fd = open(to_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(err, TG_CONFLICT, "%s exists already: choose another name", to_path);
    if (fd < 0)
        return fail(err, to_path, strerror(errno));
    status = copy(database_path, to_path, err);
    if (status == TG_OK)
        status = finish(fd, to_path, ret_bytes, err);
    (void)close(fd);
    if (status != TG_OK)
        (void)unlink(to_path);
    return status;
}
