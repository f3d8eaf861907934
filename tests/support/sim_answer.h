#ifndef SIM_ANSWER_H
#define SIM_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "sim_bill.h"
#include "sim_buf.h"
#include "sim_script.h"

/* An answer as a little programme: steps of bytes with waits between them, ending in an ordinary
 * end or in a fault. It is laid out in full, faults included, when the request is complete; the
 * connection then only carries it out and needs to know nothing about HTTP, SSE or scripts. */

enum sim_then { SIM_THEN_NEXT, SIM_THEN_STALL, SIM_THEN_CLOSE, SIM_THEN_RESET };

struct sim_step {
    size_t offset; /* into sim_answer.bytes */
    size_t len;
    int64_t wait_ms;    /* before the first byte */
    int64_t events;     /* content events generated once this step has begun */
    bool bills;         /* the generation's line is written before the first byte */
    bool is_slow;       /* one byte every sim_answer.slow_ms */
    enum sim_then then; /* after the last byte */
};

struct sim_answer {
    struct sim_buf bytes;
    struct sim_step *steps;
    size_t step_count;
    size_t step_cap;
    int64_t slow_ms;
    size_t piece_bytes; /* each send carries at most so many; 0: no limit */
    bool closes;        /* the connection ends with this answer */
    bool has_fault;
    bool is_shared;                    /* prebuilt, owned elsewhere */
    const char *ending;                /* the bill's state if all steps are carried out */
    struct sim_generation *generation; /* owned; NULL when nothing is billed */
};

/* Release an answer unless it is shared. */
void sim_answer_free(struct sim_answer *answer);

/* What lays an answer out. */
struct sim_build {
    struct sim_answer *answer;
    const struct sim_script *script; /* borrowed while building */
    int64_t events;                  /* recorded in the steps to come */
    int64_t left;                    /* body bytes until the fault; SIM_UNSET: no fault */
    enum sim_then fault;
    bool is_chunked;
    bool is_over; /* a fault has ended it; all further calls do nothing */
    uint32_t gzip_crc;
    uint32_t gzip_bytes;
};

struct sim_head {
    int status;
    const char *content_type;
    const char *more; /* further header lines, each with its line end; may be "" */
    int64_t length;   /* body bytes; SIM_UNSET for a stream */
    int64_t wait_ms;
};

/* Start an answer under `script`. */
void sim_build_init(struct sim_build *build, const struct sim_script *script);

/* Lay out the head. The faults that strike the head end the answer here. */
void sim_build_head(struct sim_build *build, const struct sim_head *head);

/* Lay out one piece of a stream's body, as a step of its own. */
void sim_build_piece(struct sim_build *build, struct sim_span payload, int64_t wait_ms);

/* Lay out head and body of an answer that is known in full; head->length is filled in here. */
void sim_build_whole(struct sim_build *build, const struct sim_head *head, struct sim_span payload);

/* Stop sending for ever after the bytes laid out so far. */
void sim_build_stall(struct sim_build *build);

/* Close the framing and decide which step writes the bill. ret: owned by the caller. */
struct sim_answer *sim_build_end(struct sim_build *build, bool is_stream);

#endif
