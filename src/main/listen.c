#include "main/listen.h"

#include "base/try.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

struct place {
    struct sockaddr_storage address;
    socklen_t len;
    char text[300]; /* as given, for messages */
};

static enum tg_status resolve(struct span address, struct place *ret_place, struct err *err)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char *colon;
    char *host;

    snprintf(ret_place->text, sizeof(ret_place->text), "%.*s", SPAN_ARG(address));
    host = strdup(ret_place->text);
    if (host == NULL)
        return TG_NO_MEMORY;
    colon = strrchr(host, ':');
    if (colon != NULL) {
        const bool is_bracketed = host[0] == '[' && colon > host && colon[-1] == ']';

        *colon = '\0';
        if (is_bracketed)
            colon[-1] = '\0';
        if (getaddrinfo(is_bracketed ? host + 1 : host, colon + 1, &hints, &found) != 0)
            found = NULL;
    }
    free(host);
    if (found == NULL)
        return err_set(err, TG_INVALID,
                       "cannot listen on '%s': it must be ADDRESS:PORT, as in 127.0.0.1:4000",
                       ret_place->text);
    memcpy(&ret_place->address, found->ai_addr, found->ai_addrlen);
    ret_place->len = found->ai_addrlen;
    freeaddrinfo(found);
    return TG_OK;
}

static enum tg_status bind_one(const struct place *place, bool shares_port, int *ret_fd,
                               struct err *err)
{
    const int on = 1;
    const int fd = socket(place->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum tg_status status;

    if (fd < 0)
        return err_set(err, TG_IO, "cannot make a socket: %s", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (shares_port)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&place->address, place->len) == 0 &&
        listen(fd, BACKLOG) == 0) {
        *ret_fd = fd;
        return TG_OK;
    }
    status = errno == EADDRINUSE ? TG_CONFLICT : TG_IO;
    err_set(err, status, "cannot listen on %s: %s%s", place->text, strerror(errno),
            status == TG_CONFLICT ? "; stop the other server or choose another port" : "");
    close(fd);
    return status;
}

static int port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

enum tg_status listen_open(struct span address, int count, int fds[LISTEN_MAX], int *ret_port,
                           struct err *err)
{
    struct place place = { 0 };
    int probe = -1;

    TRY(resolve(address, &place, err));
    TRY(bind_one(&place, /* shares_port= */ false, &probe, err));
    place.len = sizeof(place.address);
    (void)getsockname(probe, (struct sockaddr *)&place.address, &place.len); /* the port picked */
    close(probe);
    for (int i = 0; i < count; i++) {
        const enum tg_status status = bind_one(&place, /* shares_port= */ true, &fds[i], err);

        if (status == TG_OK)
            continue;
        while (i > 0)
            close(fds[--i]);
        return status;
    }
    *ret_port = port_of(&place.address);
    return TG_OK;
}
