#ifndef SIM_BILL_H
#define SIM_BILL_H

#include <stdbool.h>
#include <stdint.h>

#include "sim_buf.h"
#include "sim_script.h"

/* The provider's own account of what it generated, one line a generation: the truth that a metering
 * proxy's ledger is compared with. A line is written before the last bytes of its answer leave, so
 * whoever has read an answer to its end also finds its line. */

struct sim_usage {
    int64_t prompt, completion, cached, reasoning, audio_in; /* tokens */
    int64_t cache_write;                                     /* tokens; SIM_UNSET leaves it out */
    int64_t cache_write_12h, cache_write_1h;                 /* of cache_write */
    int64_t compaction; /* tokens written to the cache by another turn, which puts out 1 % */
    int64_t advisor;    /* tokens read by SIM_ADVISOR_MODEL, which puts out a tenth */
    int64_t web_search, file_search, code_session; /* fees of tools */
    int64_t tool_use;             /* tokens that tools found: input beside the prompt */
    int64_t cached_audio;         /* of cached; the rest of the prompt's audio is audio_in */
    int64_t image_out, audio_out; /* of completion */
};

#define SIM_ADVISOR_MODEL "claude-opus-4-5"

/* Write `usage` as OpenAI's object, in the given form: with the names of chat completions, or with
 * those of responses. The residual form leaves reasoning out of the completion, not of the total.
 */
void sim_usage_write(struct sim_buf *out, const struct sim_usage *usage, enum sim_form form);
void sim_usage_write_input(struct sim_buf *out, const struct sim_usage *usage, enum sim_form form);
/* As Google's: reasoning and what tools found stand beside candidates and prompt. */
void sim_usage_write_google(struct sim_buf *out, const struct sim_usage *usage, enum sim_form form);

struct sim_generation {
    int64_t seq;
    const char *dialect;
    const char *prefix;   /* of its id, which ends with seq */
    char *model;          /* as asked, still JSON-escaped; owned */
    char *served_model;   /* JSON-escaped; owned */
    char *tag;            /* x-sim-tag or NULL; owned */
    char *client_request; /* x-request-id or NULL; owned */
    char tier[32];
    bool is_stream;
    bool asked_usage;
    bool is_begun;  /* the head is on its way, so reasoning has been done */
    bool is_billed; /* set once, by sim_bill_add */
    int64_t n;
    int64_t events;         /* content events in all; 0 for a plain answer */
    struct sim_usage usage; /* of the whole generation */
};

/* The usage after `events_sent` content events: the prompt, and the share of the output that they
 * carry, rounded down. A plain answer is generated in full before its head. */
struct sim_usage sim_generation_usage(const struct sim_generation *generation, int64_t events_sent);

void sim_generation_free(struct sim_generation *generation);

/* Open the file that lines are appended to; NULL keeps them in memory only. ret: false with errno.
 */
bool sim_bill_open(const char *path);

/* Write one line and mark the generation billed; a second call for it does nothing.
 * state  complete, client_gone, cut or error */
void sim_bill_add(struct sim_generation *generation, int64_t events_sent, const char *state);

/* All lines since the start or the last reset; borrowed until the next call of this module. */
struct sim_span sim_bill_lines(void);

/* Forget the lines in memory; the file keeps them. */
void sim_bill_reset(void);

#endif
