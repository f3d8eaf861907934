#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H

#include "net/daemon.h"

/* The web page: files that are built in, or read from a folder while one is working on them. Names
 * are flat; "/" is index.html. Each has its SHA-256 as ETag. Nothing inline is run: see the policy.
 */

#define ASSETS_FILE_MAX ((size_t)8 << 20)

/* A folder to serve from in place of what is built in; NULL: built in. */
struct assets {
    const char *folder;
};

/* For api_parts.other. context: const struct assets */
daemon_handler assets_handle;

#endif
