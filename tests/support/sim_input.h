#ifndef SIM_INPUT_H
#define SIM_INPUT_H

#include "sim_call.h"

/* OpenAI's calls that generate nothing: embeddings, billed by what is read, and moderations, which
 * are free and so leave no line. ret: owned by the caller. */
struct sim_answer *sim_embeddings_answer(const struct sim_call *call);
struct sim_answer *sim_moderations_answer(const struct sim_call *call);

#endif
