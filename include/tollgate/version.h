#ifndef TOLLGATE_VERSION_H
#define TOLLGATE_VERSION_H

/* The program's version, as `tollgate --version` and `/openapi.json` show it. */
#define TG_VERSION "0.1.0"

#endif
