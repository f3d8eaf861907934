#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "base/buf.h"
#include "net/http.h"
#include "quota/admit.h"
#include "routing/target.h"
#include "tollgate/provider.h"

/* The two heads that cross the proxy. Fields pass by a deny list (design 3.7): what names this hop,
 * who is billed, who asks, or what a cache in between would do with the answer stays here. Pure. */

/* What the head to a provider is made of. All borrowed. */
struct upstream_request {
    const struct http_head *head; /* the client's */
    const struct target *target;
    const struct tg_dialect *dialect;
    bool is_stream;              /* the call asks for a stream */
    struct span routed_model;    /* for a path that names the model */
    struct span query;           /* the client's; only known parameters go on */
    struct span installation_id; /* added to x-tollgate-hop */
};

/* What changes in the body on its way. */
struct upstream_edits {
    const struct tg_edit *edits; /* sorted by start */
    int count;
    struct {
        size_t start; /* of the model's string in the body, with its quotes */
        size_t end;
        struct span text; /* what takes its place, a JSON string; empty: it stays */
    } model;
};

/* Write the head of the request, but for its end, which tells how long the body is. It holds the
 * provider's secret: upstream_end_head lets go of it.
 *
 * ret_head  initialised here
 * Errors    TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status upstream_begin(const struct upstream_request *request,
                                            struct buf *ret_head);
/* Wipe and free a head. A zeroed one is fine. */
void upstream_end_head(struct buf *head);

/* Turn a client's body into a whole request to the provider: edits made, head put in front, in the
 * body's own head room where it fits.
 *
 * head    of upstream_begin; its end is appended
 * body    the client's body, as the server hands it out; becomes the request
 * Errors  TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status upstream_finish(struct buf *head, const struct upstream_edits *edits,
                                             struct buf *body);

/* What we say in an answer's head beside what passes. */
struct upstream_answer_extras {
    struct span request_id;
    const struct tg_dialect *dialect;
    const struct admit_rate *rates; /* of the admission; NULL: none */
    int64_t max_output_tokens;      /* that the output's maximum was lowered to; 0: it was not */
};

/* Append the status line and what passes of the provider's fields, with our request id; the
 * provider's own goes on as x-upstream-request-id, and as request-id as it came. In a dialect whose
 * clients look there, ours takes its place where the provider sent none. Where a minute's limit of
 * ours applies, its numbers stand in place of the provider's. */
void upstream_put_answer_fields(const struct http_head *head,
                                const struct upstream_answer_extras *extras, struct buf *out);

/* How the body that follows is framed, and what we say about the call. */
struct upstream_answer_end {
    int64_t content_length; /* -1: chunked, or until close for HTTP/1.0 */
    bool is_http10;         /* of the client */
    bool keeps_alive;
    bool is_stream;
    bool has_cost;
    int64_t cost_nusd;
};

/* Append the rest of the head, blank line included. */
void upstream_put_answer_end(const struct upstream_answer_end *end, struct buf *out);

#endif
