#ifndef SUPPORT_VFS_H
#define SUPPORT_VFS_H

#include <stdbool.h>
#include <stdint.h>

/* A layer between SQLite and the disk that counts calls and lets one, or all from one on, fail or
 * end the process. One plan for the process; set it while no database is busy. */

enum support_vfs_call {
    VFS_READ = 1u << 0,
    VFS_WRITE = 1u << 1,
    VFS_SYNC = 1u << 2,
    VFS_TRUNCATE = 1u << 3,
    VFS_OPEN = 1u << 4,
    VFS_DELETE = 1u << 5,
    VFS_SHARE = 1u << 6, /* the index of the log, in shared memory */
    VFS_CHANGES = VFS_WRITE | VFS_SYNC | VFS_TRUNCATE | VFS_DELETE,
    VFS_ALL = 0x7f
};

struct support_vfs_plan {
    unsigned int calls;  /* enum support_vfs_call: which are counted and may fail */
    int64_t from;        /* the first that fails, from 1; 0: none */
    bool for_good;       /* all after it too */
    bool disk_full;      /* writes fail with SQLITE_FULL */
    int exit_status;     /* above 0: instead of failing, end the process... */
    bool exits_half_way; /* ...after half of the bytes of a write */
};

/* Put the layer in front of the default; may be called again. */
void support_vfs_install(void);
/* Start to count from 0 by this plan; NULL: nothing fails. */
void support_vfs_use(const struct support_vfs_plan *plan);
/* Calls counted since. */
int64_t support_vfs_count(void);

#endif
