#ifndef SIM_PROVIDER_H
#define SIM_PROVIDER_H

#include "sim_answer.h"
#include "sim_http.h"

/* Which answer a request gets: completions, the model list, the bill, and the errors. */

/* The names in the model list, with commas between them; borrowed. Before the first request. */
void sim_provider_list(const char *names);

/* What the connection must know as soon as it has a head. */
struct sim_urgent {
    bool sends_continue; /* write an interim 100 now */
    bool answers_early;  /* do not wait for the body */
};

struct sim_urgent sim_provider_urgent(const struct sim_request *request);

/* The answer to `request`; `body` is empty for one that is answered early. ret: owned. */
struct sim_answer *sim_provider_answer(const struct sim_request *request, struct sim_span body);

/* The answer to bytes that are no usable request; closes the connection. ret: owned. */
struct sim_answer *sim_provider_refuse(int status);

#endif
