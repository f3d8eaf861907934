#ifndef QUOTA_OWN_H
#define QUOTA_OWN_H

#include "quota/admit.h"

/* What a key may learn of the limits that apply to it, for a thread that must not wait: a job of
 * the ledger writer, answered by its `done`. */

#define OWN_LIMITS_MAX 64

struct own_limit {
    struct limit limit; /* a copy */
    struct admit_count count;
};

struct own_job {
    struct writer_job job; /* first; `done` is the caller's to set */
    struct admit *admit;
    int32_t team_id;
    int32_t key_id;

    /* out, on TG_OK; in order of the limits' ids */
    struct own_limit own[OWN_LIMITS_MAX];
    int count;
    bool has_more; /* more apply than were written */

    /* the job's own */
    enum tg_status failure;
};

/* Fill in class, run and whose limits. `done` gets TG_NO_MEMORY, or what the writer says. */
void own_job_init(struct own_job *job, struct admit *admit, int32_t team_id, int32_t key_id);
/* When it is answered, or was never submitted. */
void own_job_fini(struct own_job *job);

#endif
