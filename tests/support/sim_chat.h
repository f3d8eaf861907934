#ifndef SIM_CHAT_H
#define SIM_CHAT_H

#include "sim_answer.h"
#include "sim_http.h"
#include "sim_json.h"

/* Chat completions in OpenAI's shape. What is generated follows from the request's bytes and its
 * script alone, so a test can work the counts out for itself and two runs give the same bill. */

struct sim_call {
    const struct sim_request *request;
    struct sim_span body;
    struct sim_ask ask;
    struct sim_script script;
    int64_t seq;
    const char *more; /* the provider's header lines */
};

/* Lay out the completion that `call` gets. ret: owned by the caller. */
struct sim_answer *sim_chat_answer(const struct sim_call *call);

#endif
