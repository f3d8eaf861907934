#ifndef ADMIN_PROBLEM_H
#define ADMIN_PROBLEM_H

#include "base/buf.h"

/* What an answer says that is an error: `application/problem+json` (RFC 9457), with a code for
 * programs, the request's id and, where one is at fault, the field. */

#define PROBLEM_TYPE "application/problem+json"

struct problem {
    enum tg_status status;
    const char *detail;   /* for people; "": the status's own sentence */
    struct span instance; /* the path */
    const char *request_id;
    const char *pointer; /* JSON pointer of the field, or "?name" of a parameter; "": none */
};

/* Append it. `type` is /problems/{code}, where the code is explained. */
void problem_write(const struct problem *problem, struct buf *out);

/* Append the explanation of a code.
 *
 * return  false: there is no such code; nothing is written */
bool problem_explain(struct span code, struct buf *out);

#endif
