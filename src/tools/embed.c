/* Turn files into a C array on standard output: `embed migrations FILE...` or `embed assets
 * FILE...`. Runs on the build machine; include/tollgate/embedded.h declares what comes out. Bytes
 * are written as string literals, which compilers read many times faster than lists of numbers. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LITERAL_BYTES 4000 /* of one line of the output; compilers must take 4095 */
#define HASH_MAX      32

struct file {
    const char *path;
    const char *name;
    unsigned char *bytes;
    size_t len;
};

static const struct {
    const char *ending;
    const char *type;
} types[] = {
    { ".css", "text/css; charset=utf-8" },
    { ".csv", "text/csv; charset=utf-8" },
    { ".html", "text/html; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".json", "application/json" },
    { ".map", "application/json" },
    { ".sql", "application/sql; charset=utf-8" },
    { ".svg", "image/svg+xml" },
};

static _Noreturn void fail(const char *path, const char *what)
{
    (void)fprintf(stderr, "embed: %s: %s\n", path, what);
    exit(EXIT_FAILURE);
}

static const char *type_of(const char *name)
{
    const char *ending = strrchr(name, '.');

    for (size_t i = 0; ending != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(ending, types[i].ending) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

static void read_file(struct file *file)
{
    FILE *in = fopen(file->path, "rb");
    const char *slash = strrchr(file->path, '/');
    size_t size = 1 << 16;

    if (in == NULL)
        fail(file->path, strerror(errno));
    file->name = slash != NULL ? slash + 1 : file->path;
    file->len = 0;
    file->bytes = NULL;
    do {
        size *= 2;
        file->bytes = realloc(file->bytes, size);
        if (file->bytes == NULL)
            fail(file->path, "out of memory");
        file->len += fread(file->bytes + file->len, 1, size - file->len, in);
    } while (file->len == size);
    if (ferror(in))
        fail(file->path, "cannot be read");
    (void)fclose(in);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* Three octal digits always, so that a digit that follows cannot join the escape; '?' is escaped
 * because of trigraphs. */
static void put_byte(unsigned char byte)
{
    if (byte == '\n')
        (void)fputs("\\n", stdout);
    else if (byte == '"' || byte == '\\')
        (void)printf("\\%c", byte);
    else if (byte < ' ' || byte > '~' || byte == '?')
        (void)printf("\\%03o", byte);
    else
        (void)putchar(byte);
}

static void put_bytes(const struct file *file, size_t number)
{
    size_t in_literal = 0;

    (void)printf("/* %s */\nstatic const char bytes_%zu[] =\n    \"", file->name, number);
    for (size_t i = 0; i < file->len; i++) {
        put_byte(file->bytes[i]);
        in_literal++;
        if (file->bytes[i] == '\n' || in_literal == LITERAL_BYTES) {
            (void)fputs("\"\n    \"", stdout);
            in_literal = 0;
        }
    }
    (void)fputs("\";\n\n", stdout);
}

static void put_row(const struct file *file, size_t number)
{
    unsigned char hash[HASH_MAX];
    unsigned int hash_len = 0;

    if (EVP_Digest(file->bytes, file->len, hash, &hash_len, EVP_sha256(), NULL) != 1)
        fail(file->path, "cannot be hashed");
    (void)printf("    { \"%s\", \"%s\",\n      \"", file->name, type_of(file->name));
    for (unsigned int i = 0; i < hash_len; i++)
        (void)printf("%02x", hash[i]);
    (void)printf("\",\n      (const unsigned char *)bytes_%zu, %zu },\n", number, file->len);
}

int main(int argc, char **argv)
{
    const bool is_assets = argc >= 2 && strcmp(argv[1], "assets") == 0;
    const size_t count = argc >= 2 ? (size_t)argc - 2 : 0;
    struct file *files;

    if (!is_assets && (argc < 2 || strcmp(argv[1], "migrations") != 0)) {
        (void)fputs("usage: embed migrations|assets FILE...\n", stderr);
        return 2;
    }
    files = calloc(count + 1, sizeof(*files));
    if (files == NULL)
        fail(argv[0], "out of memory");
    for (size_t i = 0; i < count; i++) {
        files[i].path = argv[i + 2];
        read_file(&files[i]);
    }
    qsort(files, count, sizeof(*files), by_name);
    (void)fputs("/* Written by src/tools/embed.c. */\n#include \"tollgate/embedded.h\"\n\n",
                stdout);
    for (size_t i = 0; i < count; i++)
        put_bytes(&files[i], i);
    (void)printf("const struct tg_embedded_file tg_%s[] = {\n", argv[1]);
    for (size_t i = 0; i < count; i++)
        put_row(&files[i], i);
    (void)printf("    { NULL, NULL, NULL, NULL, 0 },\n};\n\nconst size_t tg_%s_count = %zu;\n",
                 is_assets ? "asset" : "migration", count);
    for (size_t i = 0; i < count; i++)
        free(files[i].bytes);
    free(files);
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
