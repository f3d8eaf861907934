#ifndef SUPPORT_TURNS_H
#define SUPPORT_TURNS_H

#include "base/buf.h"
#include "net/loop.h"

/* A loop that a test turns by hand, with a clock that stands still until the test moves it, and the
 * far end of a connection to it. */

void support_turns_start(void);
void support_turns_stop(void);
struct loop *support_turns_loop(void);

/* One turn: what has come is served, what is due runs; never waits. */
void support_turn(void);
void support_turns(int count);
/* Turn until it holds; the test fails when it never does. */
void support_turns_until(bool (*holds)(void *context), void *context);
void support_time_pass_ms(int64_t ms);

/* A listening, non-blocking socket on loopback. */
int support_listen(int *ret_port);

struct support_peer {
    int fd;
    struct buf in; /* what has come */
    bool has_ended;
    bool was_reset;
};

void support_peer_open(struct support_peer *peer, int port);
void support_peer_close(struct support_peer *peer);
/* Send all of it, turning the loop while the other side does not read. What a connection that is
 * gone does not take is left. */
void support_peer_send(struct support_peer *peer, struct span bytes);
/* Take what has come. */
void support_peer_read(struct support_peer *peer);
/* Turn and read until so many bytes have come, or the end. */
void support_peer_await(struct support_peer *peer, size_t bytes);
void support_peer_await_end(struct support_peer *peer);
bool support_peer_has(const struct support_peer *peer, const char *text);

/* Undo chunked coding from the front of `bytes`, appending the content to `out`.
 *
 * ret_chunks  may be NULL
 * return      whether the last chunk was there */
bool support_unchunk(struct span bytes, struct buf *out, int *ret_chunks);

#endif
