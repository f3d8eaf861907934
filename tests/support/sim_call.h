#ifndef SIM_CALL_H
#define SIM_CALL_H

#include "sim_answer.h"
#include "sim_http.h"
#include "sim_json.h"

/* One call of a model, and what is generated for it. It follows from the request's bytes and its
 * script alone, so a test can work the counts out for itself and two runs give the same bill. */

struct sim_call {
    const struct sim_request *request;
    struct sim_span body;
    struct sim_ask ask;
    struct sim_script script;
    int64_t seq;
    bool is_anthropic; /* asked at Anthropic's doors: errors and header lines are theirs */
    const char *more;  /* the provider's header lines */
};

/* Decide the counts. A call that never gets as far as the provider's front door costs nothing.
 *
 * dialect  of the call, for the bill
 * prefix   of the answer's id: "chatcmpl-sim-"
 * ret      owned by the caller, or by the answer that is given it */
struct sim_generation *sim_generate(const struct sim_call *call, const char *dialect,
                                    const char *prefix);

/* A stream being laid out. */
struct sim_stream {
    struct sim_build build;
    const struct sim_call *call;
    const struct sim_generation *generation; /* owned by the answer */
    const char *eol;
    struct sim_buf event; /* scratch */
    int64_t created_s;
    int64_t events;   /* sent so far, where a dialect numbers them */
    bool nulls_usage; /* chunks carry "usage":null */
    bool echoes;      /* the next event carries what was received */
};

/* How a dialect writes the parts of a stream. */
struct sim_writer {
    void (*opening)(struct sim_stream *stream);
    void (*content)(struct sim_stream *stream, int64_t k);
    void (*error)(struct sim_stream *stream);
    void (*closing)(struct sim_stream *stream);
};

/* Send the scratch event as it stands. */
void sim_stream_flush(struct sim_stream *stream, int64_t wait_ms);

/* Lay out a whole stream, with the faults of its script. ret: owned by the caller. */
struct sim_answer *sim_stream_answer(const struct sim_call *call, struct sim_generation *made,
                                     const struct sim_writer *writer);

/* Lay out a plain answer, with the faults of its script. ret: owned by the caller. */
struct sim_answer *sim_plain_answer(const struct sim_call *call, struct sim_generation *made,
                                    struct sim_buf *body);

#endif
