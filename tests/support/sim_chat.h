#ifndef SIM_CHAT_H
#define SIM_CHAT_H

#include "sim_call.h"

/* Chat completions in OpenAI's shape, and the legacy completions, which differ in where a choice
 * has its text. ret: owned by the caller. */
struct sim_answer *sim_chat_answer(const struct sim_call *call);
struct sim_answer *sim_completions_answer(const struct sim_call *call);

#endif
