#ifndef SIM_RESPONSES_H
#define SIM_RESPONSES_H

#include "sim_call.h"

/* Responses in OpenAI's shape. ret: owned by the caller. */
struct sim_answer *sim_responses_answer(const struct sim_call *call);

#endif
