#include "quota/own.h"

static void forget(struct own_job *job)
{
    for (int i = 0; i < job->count; i++)
        limit_fini(&job->own[i].limit);
    job->count = 0;
    job->has_more = false;
    job->failure = TG_OK;
}

static void on_count(void *context, const struct limit *limit, const struct admit_count *count)
{
    struct own_job *job = context;
    struct own_limit *own;

    if (job->count == OWN_LIMITS_MAX) {
        job->has_more = true;
        return;
    }
    own = &job->own[job->count];
    if (limit_copy(limit, &own->limit) != TG_OK) {
        job->failure = TG_NO_MEMORY;
        return;
    }
    own->count = *count;
    job->count++;
}

static enum tg_status run(struct writer_job *writer_job, struct db *db, struct err *err)
{
    struct own_job *job = (struct own_job *)writer_job; /* its first member */

    (void)db;
    forget(job); /* of a run that was rolled back */
    admit_each_count(job->admit, job->team_id, job->key_id, on_count, job);
    if (job->failure != TG_OK)
        return err_set(err, job->failure, "out of memory for the limits of a key");
    return TG_OK;
}

void own_job_init(struct own_job *job, struct admit *admit, int32_t team_id, int32_t key_id)
{
    /* Not all of it is zeroed: the limits are many. */
    job->job = (struct writer_job){ .class = WRITER_ADMIN, .run = run };
    list_init(&job->job.node);
    job->admit = admit;
    job->team_id = team_id;
    job->key_id = key_id;
    job->count = 0;
    job->has_more = false;
    job->failure = TG_OK;
}

void own_job_fini(struct own_job *job)
{
    forget(job);
}
