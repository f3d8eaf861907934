#ifndef MAIN_SHOW_H
#define MAIN_SHOW_H

#include "base/json.h"

#include <stdio.h>

/* What the command line prints: a table for people, JSON or CSV for programs. */

enum show_format { SHOW_TABLE, SHOW_JSON, SHOW_CSV };

/* return  whether it is a format's name */
bool show_format_parse(const char *name, enum show_format *ret_format);

#define SHOW_COLUMNS_MAX 24

/* members: names of the rows' members, NULL-ended; arrays and objects are shown as JSON. */
void show_rows(FILE *out, enum show_format format, const cJSON *rows, const char *const *members);
/* One object: as a table, a line a member. */
void show_object(FILE *out, enum show_format format, const cJSON *object);

#endif
