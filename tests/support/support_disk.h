#ifndef SUPPORT_DISK_H
#define SUPPORT_DISK_H

#include <stdint.h>

/* What statvfs reports as free, for this process. -1: the truth. */
void support_disk_pretend_free(int64_t bytes);

#endif
