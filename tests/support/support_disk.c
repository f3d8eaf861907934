#include "support/support_disk.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

static _Atomic(int64_t) pretended = -1;

void support_disk_pretend_free(int64_t bytes)
{
    atomic_store(&pretended, bytes);
}

/* Stands before the C library's. */
int statvfs(const char *path, struct statvfs *ret)
{
    const int64_t bytes = atomic_load(&pretended);
    struct statfs real;

    if (statfs(path, &real) != 0)
        return -1;
    memset(ret, 0, sizeof(*ret));
    ret->f_frsize = bytes < 0 ? (unsigned long)real.f_bsize : 1;
    ret->f_bavail = bytes < 0 ? real.f_bavail : (fsblkcnt_t)bytes;
    return 0;
}
