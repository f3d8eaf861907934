#include "providers/openai_chat.h"

#include "providers/openai_chat_answer.h"
#include "providers/openai_chat_request.h"
#include "providers/openai_error.h"

const struct tg_dialect openai_chat_dialect = {
    .name = "openai-chat",
    .upstream_path = "/chat/completions",
    .framings = TG_FRAMING_SSE,
    .read_request = openai_chat_read_request,
    .plan_edits = openai_chat_plan_edits,
    .read_answer = openai_chat_read_answer,
    .read_event = openai_chat_read_event,
    .write_error = openai_error_write,
};
