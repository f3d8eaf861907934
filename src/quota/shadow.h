#ifndef QUOTA_SHADOW_H
#define QUOTA_SHADOW_H

#include "quota/limit.h"

/* Limits that can never bind, because another one that counts the same calls is always reached
 * first: a key's above its team's, or a month's above what its days let through. Said where it is
 * certain: overrides are left out, and soft limits stop nothing. */

/* Whether `by` is always reached before `limit`. Pure. */
bool shadow_falls(const struct limit *limit, const struct limit *by);

#define SHADOW_TEXT_SIZE 200

/* Say so, for people. */
void shadow_describe(const struct limit *by, char text[SHADOW_TEXT_SIZE]);

/* Each limit in force that is always reached before `limit`.
 *
 * Errors  those of on_shadow; TG_CORRUPT, TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status shadow_each(struct db *db, const struct limit *limit,
                                         void (*on_shadow)(void *context, const struct limit *by),
                                         void *context, struct err *err);

#endif
