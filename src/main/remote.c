#include "main/remote.h"

#include "base/span.h"
#include "base/try.h"
#include "net/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX  ((size_t)256 << 20)
#define TOKEN_MAX   200
#define DEADLINE_MS 0 /* a verification takes as long as the book is */

static enum tg_status read_token(struct remote *remote, const char *path, struct err *err)
{
    char text[TOKEN_MAX + 64];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

    if (fd >= 0)
        (void)close(fd);
    if (len < 0)
        return err_set(err, TG_INVALID, "--token-file %s: %s", path, strerror(errno));
    while (len > 0 && (unsigned char)text[len - 1] <= ' ')
        len--;
    for (ssize_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            len = 0;
    }
    if (len == 0 || len > TOKEN_MAX)
        return err_set(err, TG_INVALID, "--token-file %s: it must hold one token and nothing else",
                       path);
    (void)snprintf(remote->header, sizeof(remote->header), "Authorization: Bearer %.*s", (int)len,
                   text);
    explicit_bzero(text, sizeof(text));
    return TG_OK;
}

enum tg_status remote_init(struct remote *remote, const char *url, const char *token_file,
                           const char *data_dir, struct err *err)
{
    const struct span given = url != NULL ? span_from(url) : SPAN("http://localhost");
    size_t len = given.len;

    *remote = (struct remote){ 0 };
    while (len > 0 && given.ptr[len - 1] == '/')
        len--;
    if (len >= sizeof(remote->url) ||
        !(span_starts_with(given, SPAN("http://")) || span_starts_with(given, SPAN("https://"))))
        return err_set(err, TG_INVALID,
                       "--url %s must be that of an admin listener, as in https://host:4001", url);
    memcpy(remote->url, given.ptr, len);
    (void)snprintf(remote->data_dir, sizeof(remote->data_dir), "%s", data_dir);
    if (url == NULL)
        (void)snprintf(remote->socket, sizeof(remote->socket), "%.4000s/admin.sock", data_dir);
    return token_file != NULL ? read_token(remote, token_file, err) : TG_OK;
}

void remote_fini(struct remote *remote)
{
    explicit_bzero(remote->header, sizeof(remote->header));
}

bool remote_is_there(const struct remote *remote)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;
    bool is_there;

    /* A path that is too long for a socket is reported when it is asked. */
    if (remote->socket[0] == '\0' || strlen(remote->socket) >= sizeof(address.sun_path))
        return true;
    memcpy(address.sun_path, remote->socket, strlen(remote->socket) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    is_there = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ||
               (errno != ENOENT && errno != ECONNREFUSED);
    close(fd);
    return is_there;
}

void remote_escape(struct buf *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if ((*at >= '0' && *at <= '9') || (*at >= 'A' && *at <= 'Z') ||
            (*at >= 'a' && *at <= 'z') || strchr("-._~", *at) != NULL)
            buf_put_byte(out, (char)*at);
        else
            buf_printf(out, "%%%02X", *at);
    }
}

static enum tg_status status_of_code(const char *code)
{
    for (int status = TG_OK + 1; code != NULL && status < TG_STATUS_COUNT; status++) {
        if (strcmp(tg_status_info((enum tg_status)status)->code, code) == 0)
            return (enum tg_status)status;
    }
    return TG_UPSTREAM_INVALID;
}

static enum tg_status read_problem(const struct fetch_answer *answer, const cJSON *tree,
                                   struct err *err)
{
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(tree, "code");
    const cJSON *detail = cJSON_GetObjectItemCaseSensitive(tree, "detail");

    if (!cJSON_IsString(code) || !cJSON_IsString(detail))
        return err_set(err, TG_UPSTREAM_INVALID,
                       "the server answers %d, but not as Tollgate does: is --url its admin "
                       "listener?",
                       answer->http);
    return err_set(err, status_of_code(code->valuestring), "%s", detail->valuestring);
}

static enum tg_status unreachable(const struct remote *remote, enum tg_status status,
                                  struct err *err)
{
    struct err why = *err;

    if (remote->socket[0] == '\0')
        return err_set(err, status, "%s: %s", remote->url, why.text);
    if (access(remote->socket, R_OK | W_OK) != 0 && errno == EACCES)
        return err_set(err, status,
                       "%s: this user may not use it: run as the server's user or root, or give "
                       "--url and --token-file",
                       remote->socket);
    return err_set(err, status,
                   "no server is running on %s: start it with `tollgate serve --data-dir %s`, or "
                   "name another by --data-dir or --url",
                   remote->data_dir, remote->data_dir);
}

enum tg_status remote_ask(const struct remote *remote, const struct remote_request *request,
                          cJSON **ret_tree, struct err *err)
{
    char url[8192];
    const struct fetch_request fetch_request = {
        .method = request->method,
        .url = url,
        .unix_socket = remote->socket[0] != '\0' ? remote->socket : NULL,
        .headers = { "Accept: application/json", "Content-Type: application/json",
                     remote->header[0] != '\0' ? remote->header : NULL },
        .body = request->body.len > 0 ? request->body : (struct span){ NULL, 0 },
        .deadline_ms = DEADLINE_MS,
        .answer_max_bytes = ANSWER_MAX,
        .is_loopback = strstr(remote->url, "://127.") != NULL ||
                       strstr(remote->url, "://localhost") != NULL ||
                       strstr(remote->url, "://[::1]") != NULL,
    };
    AUTO(fetch_answer) answer = { 0 };
    AUTO_JSON tree = NULL;
    enum tg_status status;

    (void)snprintf(url, sizeof(url), "%s%s", remote->url, request->path);
    status = fetch(&fetch_request, &answer, err);
    if (status == TG_UPSTREAM_UNREACHABLE)
        return unreachable(remote, status, err);
    TRY(status);
    if (buf_len(&answer.body) > 0 && json_parse(buf_span(&answer.body), &tree, NULL) != TG_OK)
        return read_problem(&answer, NULL, err);
    if (answer.http >= 400)
        return read_problem(&answer, tree, err);
    *ret_tree = tree;
    tree = NULL;
    return TG_OK;
}
