#ifndef SUPPORT_VECTORS_H
#define SUPPORT_VECTORS_H

#include "tollgate/provider.h"

/* The reference vectors (cost_vectors.jsonl): usage objects as providers send them, with the
 * classes that ref_cost.py makes of them. */

/* Compare what `read` makes of each vector of one dialect.
 *
 * dialect  as the vectors name it
 * return   vectors compared */
int support_check_vectors(const char *dialect, void (*read)(const char *dialect, const char *usage,
                                                            struct tg_answer *answer));

#endif
