#include "providers/anthropic.h"

#include "providers/anthropic_answer.h"
#include "providers/anthropic_error.h"
#include "providers/anthropic_request.h"

/* It has no maximum to lower. */
static int plan_no_edits(const struct tg_request *request, const struct tg_kind *kind,
                         const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX])
{
    (void)request;
    (void)kind;
    (void)edits;
    return wish->max_output_tokens > 0 ? -1 : 0;
}

const struct tg_dialect anthropic_messages_dialect = {
    .name = "anthropic-messages",
    .upstream_path = "/v1/messages",
    .flags = TG_DIALECT_REQUEST_ID | TG_DIALECT_ANTHROPIC_RATES,
    .framings = TG_FRAMING_SSE,
    .read_request = anthropic_read_request,
    .plan_edits = anthropic_plan_edits,
    .read_answer = anthropic_read_answer,
    .read_event = anthropic_read_event,
    .write_error = anthropic_error_write,
};

const struct tg_dialect anthropic_count_tokens_dialect = {
    .name = "anthropic-count-tokens",
    .upstream_path = "/v1/messages/count_tokens",
    .flags = TG_DIALECT_REQUEST_ID | TG_DIALECT_ANTHROPIC_RATES | TG_DIALECT_IS_FREE |
             TG_DIALECT_NO_MAXIMUM,
    .read_request = anthropic_read_request,
    .plan_edits = plan_no_edits,
    .read_answer = anthropic_read_answer,
    .read_event = anthropic_read_event,
    .write_error = anthropic_error_write,
};
