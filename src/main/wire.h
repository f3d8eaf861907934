#ifndef MAIN_WIRE_H
#define MAIN_WIRE_H

#include "base/err.h"

/* Build every object of the server once, join them, serve until told to stop, take them down in the
 * opposite order. Runs on the main thread.
 *
 * return  exit status: 0 after a clean stop, 1 when it could not start or settle */
struct settings;
int wire_serve(const struct settings *settings);

/* The admin side alone, for a command while no server runs: takes the data directory's lock, makes
 * what is missing and serves on admin.sock until it is closed. No worker, no listener for others.
 *
 * settings  borrowed until wire_local_close
 * Errors    TG_CONFLICT: a server holds the lock; those of a start */
struct wiring;
TG_MUST_CHECK enum tg_status wire_local_open(const struct settings *settings,
                                             struct wiring **ret_wiring, struct err *err);
/* Accepts NULL. */
void wire_local_close(struct wiring *wiring);

#endif
