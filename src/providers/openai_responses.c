#include "providers/openai_responses.h"

#include "providers/openai_error.h"
#include "providers/openai_responses_answer.h"
#include "providers/openai_responses_request.h"

const struct tg_dialect openai_responses_dialect = {
    .name = "openai-responses",
    .upstream_path = "/responses",
    .framings = TG_FRAMING_SSE,
    .read_request = openai_responses_read_request,
    .plan_edits = openai_responses_plan_edits,
    .read_answer = openai_responses_read_answer,
    .read_event = openai_responses_read_event,
    .write_error = openai_error_write,
};
