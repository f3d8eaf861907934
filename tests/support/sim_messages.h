#ifndef SIM_MESSAGES_H
#define SIM_MESSAGES_H

#include "sim_call.h"

/* Anthropic's Messages, and the counting of their tokens, which is free. ret: owned by the caller.
 */
struct sim_answer *sim_messages_answer(const struct sim_call *call);
struct sim_answer *sim_count_tokens_answer(const struct sim_call *call);

#endif
