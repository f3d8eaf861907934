#ifndef SIM_JSON_H
#define SIM_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "sim_buf.h"

/* Reads one object's members without building a tree: just enough to see what a chat call asks for.
 * Written apart from the proxy's scanner on purpose, so that a mistake in one is not in both. */

struct sim_json {
    const char *at;
    const char *end;
    bool is_bad; /* the text is not an object; sticky */
    bool is_first;
};

/* Start on `text`, which should hold one object (blanks around it are fine). */
void sim_json_init(struct sim_json *json, struct sim_span text);

/* Step to the next member. The key comes without quotes and still escaped, the value as raw text,
 * strings with their quotes. ret: false at the end or when the text is bad (see is_bad). */
bool sim_json_next(struct sim_json *json, struct sim_span *ret_key, struct sim_span *ret_value);

/* What one call asks for. */
struct sim_ask {
    struct sim_span model; /* raw, between its quotes; borrowed from the body; NULL if absent */
    bool is_stream;
    bool is_array; /* a stream written as one array: Google's, where no events were asked for */
    bool asks_usage;
    bool wants_base64;    /* embeddings */
    int64_t n;            /* choices shown: n, times the prompts of a list; 1 if absent */
    int64_t billed_n;     /* choices generated: the same with best_of, where that is more */
    int64_t max_tokens;   /* 0 if absent; max_completion_tokens or max_output_tokens win */
    int64_t inputs;       /* of embeddings: members of the list, 1 for one text */
    int64_t input_tokens; /* of embeddings and prompts given as tokens; 0: they are text */
};

/* Read `body`. ret: false when it is not a JSON object. */
bool sim_ask_read(struct sim_span body, struct sim_ask *ret_ask);

#endif
