#ifndef SIM_FAST_H
#define SIM_FAST_H

#include "sim_answer.h"
#include "sim_http.h"

/* Prebuilt answers for benchmarks, where the simulator stands beside the proxy and must cost next
 * to nothing: no script, no bill, no look at the body beyond "stream":true. */

/* Build the two answers.
 * gap_ms   wait before each event of the stream
 * is_burst the whole stream in one write */
void sim_fast_init(int64_t gap_ms, bool is_burst);

/* The answer to any request; shared, not to be freed by the caller. */
struct sim_answer *sim_fast_answer(const struct sim_request *request, struct sim_span body);

#endif
