#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include <stdint.h>

#include "sim_buf.h"

/* What one request's x-sim header asks the simulator to do. README.md beside this file lists every
 * name. A name or value the table does not know is refused, so that a typing mistake in a test is a
 * failure and not a case that silently tests nothing. */

#define SIM_UNSET    INT64_C(-1)
#define SIM_AT_HEAD  INT64_C(-2) /* cut and reset: in the middle of the head */
#define SIM_AT_START INT64_C(-3) /* cut and reset: before a single byte */

enum sim_place {
    SIM_PLACE_ASKED, /* as the provider documents: one extra chunk if include_usage was set */
    SIM_PLACE_NONE,
    SIM_PLACE_LAST,
    SIM_PLACE_EXTRA,
    SIM_PLACE_EVERY,
    SIM_PLACE_NULL_AFTER,
};

enum sim_form {
    SIM_FORM_TRUE,
    SIM_FORM_WRONG,
    SIM_FORM_STRING,
    SIM_FORM_NEGATIVE,
    SIM_FORM_HUGE,
    SIM_FORM_RESIDUAL
};

enum sim_spot { SIM_SPOT_NONE, SIM_SPOT_HEAD, SIM_SPOT_BODY, SIM_SPOT_END, SIM_SPOT_JSON };

/* Everything is int64_t so that one table can fill it; flags are 0 or 1. */
struct sim_script {
    int64_t out, prompt, cached, reasoning, audio_in, cache_write; /* tokens, SIM_UNSET if absent */
    int64_t cache_12h, web, files, code;                           /* tokens, and fees of tools */
    int64_t tool, cached_audio, image_out, audio_out;              /* tokens, of Google's */
    int64_t cache_1h, compaction, advisor;                         /* tokens */
    int64_t events, error_after, cut, reset;                       /* SIM_UNSET if absent */
    int64_t first_ms, gap_ms, slow_ms;
    int64_t split, big; /* bytes */
    int64_t status, retry_after_s;
    int64_t place, form, stall, garbage; /* the enums above */
    int64_t no_done, crlf, cr, comments, bom, coalesce, multiline, azure, obfuscation;
    int64_t close, eof, chunk_ext, trailers, gzip, hop, redirect, early, hundred;
    int64_t calls_tool, no_output, blocked;
    char model[128];
    char tier[32];
};

/* Fill the defaults: a well-behaved provider. */
void sim_script_init(struct sim_script *script);

/* Read `text`, a header value. ret: NULL, or the pair that was not understood (borrowed from
 * `text`, its length in *ret_len). */
const char *sim_script_read(struct sim_script *script, struct sim_span text, size_t *ret_len);

#endif
