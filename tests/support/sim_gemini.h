#ifndef SIM_GEMINI_H
#define SIM_GEMINI_H

#include "sim_call.h"

/* Google's dialect: contents, tokens to be counted, embeddings; streams as events or as an array.
 */

/* Whether a path is one of Google's calls: .../models/{model}:{verb}. */
bool sim_gemini_is_call(struct sim_span path);

/* Lay out the answer that `call` gets. ret: owned by the caller. */
struct sim_answer *sim_gemini_answer(struct sim_call *call);

/* Lay out a refusal in Google's envelope. ret: owned by the caller. */
struct sim_answer *sim_gemini_refuse(const struct sim_call *call, int status, const char *message);

/* Lay out the list of models. ret: owned by the caller. */
struct sim_answer *sim_gemini_models(const struct sim_call *call);

#endif
