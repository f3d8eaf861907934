#ifndef TOLLGATE_EMBEDDED_H
#define TOLLGATE_EMBEDDED_H

#include <stddef.h>
#include <string.h>

/* Files that the build puts into the program: migrations and the price book's rows, and the
 * dashboard. The arrays are written by src/tools/embed.c, sorted by name. Static storage
 * throughout. */

struct tg_embedded_file {
    const char *name;           /* without folders: "0001_create_accounts.sql" */
    const char *type;           /* MIME type */
    const char *sha256;         /* 64 hex digits */
    const unsigned char *bytes; /* `len` of them, with a terminator behind */
    size_t len;
};

extern const struct tg_embedded_file tg_migrations[];
extern const size_t tg_migration_count;

extern const struct tg_embedded_file tg_assets[];
extern const size_t tg_asset_count;

/* Find a file by its name.
 *
 * return  NULL when it is not among the `count` sorted `files` */
static inline const struct tg_embedded_file *tg_embedded_find(const struct tg_embedded_file *files,
                                                              size_t count, const char *name)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(files[middle].name, name);

        if (order == 0)
            return &files[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

#endif
