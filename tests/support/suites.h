#ifndef SUPPORT_SUITES_H
#define SUPPORT_SUITES_H

#include <check.h>

/* What a test file defines; the build renames each file's `suite` so that one runner links them
 * all. */
typedef Suite *suite_fn(void);
extern suite_fn *const suites[];

/* Of the including test file. */
Suite *suite(void);

#endif
