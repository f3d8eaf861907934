#include "support/support_vfs.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

struct file {
    sqlite3_file base; /* first */
    sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs layer;
static struct support_vfs_plan plan;
static atomic_long counted;

static struct file *of(sqlite3_file *base)
{
    return (struct file *)base;
}

static int failure_of(enum support_vfs_call call)
{
    switch (call) {
    case VFS_READ:
        return SQLITE_IOERR_READ;
    case VFS_WRITE:
        return plan.disk_full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    case VFS_SYNC:
        return SQLITE_IOERR_FSYNC;
    case VFS_TRUNCATE:
        return SQLITE_IOERR_TRUNCATE;
    case VFS_OPEN:
        return SQLITE_CANTOPEN;
    case VFS_DELETE:
        return SQLITE_IOERR_DELETE;
    case VFS_SHARE:
        return SQLITE_IOERR_SHMSIZE;
    case VFS_CHANGES:
    case VFS_ALL:
        break;
    }
    return SQLITE_IOERR;
}

static bool strikes(enum support_vfs_call call)
{
    long number;

    if ((plan.calls & call) == 0)
        return false;
    number = atomic_fetch_add(&counted, 1) + 1;
    return plan.from != 0 && (number == plan.from || (plan.for_good && number > plan.from));
}

/* SQLITE_OK, or how the call fails. */
static int meet(enum support_vfs_call call)
{
    if (!strikes(call))
        return SQLITE_OK;
    if (plan.exit_status > 0)
        _exit(plan.exit_status);
    return failure_of(call);
}

static int on_close(sqlite3_file *base)
{
    struct file *file = of(base);

    return file->real->pMethods == NULL ? SQLITE_OK : file->real->pMethods->xClose(file->real);
}

static int on_read(sqlite3_file *base, void *bytes, int len, sqlite3_int64 at)
{
    const int code = meet(VFS_READ);

    return code != SQLITE_OK ? code
                             : of(base)->real->pMethods->xRead(of(base)->real, bytes, len, at);
}

static int on_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 at)
{
    sqlite3_file *real = of(base)->real;

    if (strikes(VFS_WRITE)) {
        if (plan.exit_status > 0 && plan.exits_half_way)
            (void)real->pMethods->xWrite(real, bytes, len / 2, at);
        if (plan.exit_status > 0)
            _exit(plan.exit_status);
        return failure_of(VFS_WRITE);
    }
    return real->pMethods->xWrite(real, bytes, len, at);
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    const int code = meet(VFS_TRUNCATE);

    return code != SQLITE_OK ? code : of(base)->real->pMethods->xTruncate(of(base)->real, size);
}

static int on_sync(sqlite3_file *base, int flags)
{
    const int code = meet(VFS_SYNC);

    return code != SQLITE_OK ? code : of(base)->real->pMethods->xSync(of(base)->real, flags);
}

static int on_file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    return of(base)->real->pMethods->xFileSize(of(base)->real, size);
}

static int on_lock(sqlite3_file *base, int level)
{
    return of(base)->real->pMethods->xLock(of(base)->real, level);
}

static int on_unlock(sqlite3_file *base, int level)
{
    return of(base)->real->pMethods->xUnlock(of(base)->real, level);
}

static int on_check_reserved(sqlite3_file *base, int *is_reserved)
{
    return of(base)->real->pMethods->xCheckReservedLock(of(base)->real, is_reserved);
}

static int on_file_control(sqlite3_file *base, int op, void *argument)
{
    return of(base)->real->pMethods->xFileControl(of(base)->real, op, argument);
}

static int on_sector_size(sqlite3_file *base)
{
    return of(base)->real->pMethods->xSectorSize(of(base)->real);
}

static int on_characteristics(sqlite3_file *base)
{
    return of(base)->real->pMethods->xDeviceCharacteristics(of(base)->real);
}

static int on_shm_map(sqlite3_file *base, int region, int size, int may_extend, void volatile **at)
{
    const int code = may_extend != 0 ? meet(VFS_SHARE) : SQLITE_OK;
    sqlite3_file *real = of(base)->real;

    return code != SQLITE_OK ? code : real->pMethods->xShmMap(real, region, size, may_extend, at);
}

static int on_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
    return of(base)->real->pMethods->xShmLock(of(base)->real, offset, count, flags);
}

static void on_shm_barrier(sqlite3_file *base)
{
    of(base)->real->pMethods->xShmBarrier(of(base)->real);
}

static int on_shm_unmap(sqlite3_file *base, int must_delete)
{
    return of(base)->real->pMethods->xShmUnmap(of(base)->real, must_delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_file_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_reserved,
    .xFileControl = on_file_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                   int *ret_flags)
{
    struct file *file = of(base);
    int code = meet(VFS_OPEN);

    (void)vfs;
    file->base.pMethods = NULL;
    file->real = (sqlite3_file *)(file + 1);
    if (code == SQLITE_OK)
        code = real_vfs->xOpen(real_vfs, name, file->real, flags, ret_flags);
    if (code == SQLITE_OK)
        file->base.pMethods = &methods;
    return code;
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int must_sync)
{
    const int code = meet(VFS_DELETE);

    (void)vfs;
    return code != SQLITE_OK ? code : real_vfs->xDelete(real_vfs, name, must_sync);
}

void support_vfs_install(void)
{
    if (real_vfs != NULL)
        return;
    real_vfs = sqlite3_vfs_find(NULL);
    layer = *real_vfs;
    layer.zName = "faults";
    layer.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    layer.pNext = NULL;
    layer.xOpen = on_open;
    layer.xDelete = on_delete;
    (void)sqlite3_vfs_register(&layer, /* makeDflt= */ 1);
}

void support_vfs_use(const struct support_vfs_plan *next)
{
    plan = next != NULL ? *next : (struct support_vfs_plan){ .calls = VFS_ALL };
    atomic_store(&counted, 0);
}

int64_t support_vfs_count(void)
{
    return atomic_load(&counted);
}
