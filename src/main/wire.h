#ifndef MAIN_WIRE_H
#define MAIN_WIRE_H

struct settings;

/* Build every object once, join them, serve until SIGTERM.
 *
 * return  the process's exit status */
int wire_serve(const struct settings *settings);

#endif
