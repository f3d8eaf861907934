#ifndef MAIN_WIRE_H
#define MAIN_WIRE_H

/* Build every object of the server once, join them, serve until told to stop, take them down in the
 * opposite order. Runs on the main thread.
 *
 * return  exit status: 0 after a clean stop, 1 when it could not start or settle */
struct settings;
int wire_serve(const struct settings *settings);

#endif
