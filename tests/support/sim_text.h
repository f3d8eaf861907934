#ifndef SIM_TEXT_H
#define SIM_TEXT_H

#include "sim_call.h"

/* What answers are filled with. */

/* Visible tokens carried by events 0..k-1 of `parts`: even shares, rounded down. */
int64_t sim_share(int64_t whole, int64_t k, int64_t parts);

/* Text of `count` words, as it stands inside a JSON string. */
void sim_write_words(struct sim_buf *out, int64_t first, int64_t count);
void sim_write_filler(struct sim_buf *out, int64_t bytes);

/* A member, behind others, with the request as it was received. */
void sim_write_echo(struct sim_buf *out, const struct sim_call *call);

#endif
