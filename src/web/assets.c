#include "web/assets.h"

#include "tollgate/embedded.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME_MAX_BYTES 64
#define TAG_SIZE       80

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "
    "'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'";

static void put_headers(struct daemon_answer *answer)
{
    daemon_answer_header(answer, "Content-Security-Policy", policy);
    daemon_answer_header(answer, "X-Content-Type-Options", "nosniff");
    daemon_answer_header(answer, "Referrer-Policy", "no-referrer");
    daemon_answer_header(answer, "Cross-Origin-Opener-Policy", "same-origin");
    daemon_answer_header(answer, "Cross-Origin-Resource-Policy", "same-origin");
}

static void answer_text(struct daemon_answer *answer, int http, struct span text)
{
    answer->http = http;
    answer->type = "text/plain; charset=utf-8";
    answer->constant = text;
    daemon_answer_header(answer, "Cache-Control", "no-store");
}

/* A file's name: letters, digits, '.', '-', '_', no dot in front. So no path leads out. */
static bool read_name(struct span path, char name[NAME_MAX_BYTES + 1])
{
    path = span_from_offset(path, 1);
    if (path.len == 0)
        path = SPAN("index.html");
    if (path.len > NAME_MAX_BYTES || path.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < path.len; i++) {
        const char c = path.ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '.' || c == '-' || c == '_'))
            return false;
    }
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    return true;
}

static void answer_embedded(const struct daemon_request *request, struct daemon_answer *answer,
                            const struct tg_embedded_file *file)
{
    const struct span known = daemon_header(request, "If-None-Match");
    char tag[TAG_SIZE];

    (void)snprintf(tag, sizeof(tag), "\"%s\"", file->sha256);
    daemon_answer_header(answer, "ETag", tag);
    daemon_answer_header(answer, "Cache-Control", "no-cache");
    if (span_equal(known, span_from(tag))) {
        answer->http = 304;
        return;
    }
    answer->type = file->type;
    answer->constant = span_of((const char *)file->bytes, file->len);
}

/* While one is working on the page; never cached. `file` gives the type. */
static bool answer_from_folder(const struct assets *assets, const struct tg_embedded_file *file,
                               struct daemon_answer *answer)
{
    char path[4096];
    char *room;
    ssize_t len;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", assets->folder, file->name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    buf_init(&answer->body, ASSETS_FILE_MAX);
    do {
        room = buf_reserve(&answer->body, 65536);
        len = room != NULL ? read(fd, room, 65536) : -1;
        if (len > 0)
            buf_commit(&answer->body, (size_t)len);
    } while (len > 0);
    (void)close(fd);
    answer->type = file->type;
    daemon_answer_header(answer, "Cache-Control", "no-store");
    return len == 0;
}

void assets_handle(void *context, const struct daemon_request *request,
                   struct daemon_answer *answer)
{
    const struct assets *assets = context;
    const struct tg_embedded_file *file = NULL;
    char name[NAME_MAX_BYTES + 1];

    put_headers(answer);
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        daemon_answer_header(answer, "Allow", "GET, HEAD");
        answer_text(answer, 405, SPAN("Only GET and HEAD.\n"));
        return;
    }
    if (read_name(request->path, name))
        file = tg_embedded_find(tg_assets, tg_asset_count, name);
    if (file == NULL)
        answer_text(answer, 404, SPAN("There is no such page.\n"));
    else if (assets == NULL || assets->folder == NULL)
        answer_embedded(request, answer, file);
    else if (!answer_from_folder(assets, file, answer))
        answer_text(answer, 500, SPAN("The file cannot be read.\n"));
}
