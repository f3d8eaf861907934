#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "tollgate/status.h"

/* One line for an operator that names the object and the remedy. The caller owns it; a callee that
 * fails fills it once, lower layers first; success leaves it alone. Never holds a secret. */

#define ERR_TEXT_MAX 512

struct err {
    char text[ERR_TEXT_MAX]; /* "" when nothing was said */
};

/* Write the line and hand `status` back, so that `return err_set(err, TG_IO, ...)` reads as one
 * step. A text that is too long is cut. `err` may be NULL. */
enum tg_status err_set(struct err *err, enum tg_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
