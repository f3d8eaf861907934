#include "providers/gemini.h"

#include "providers/gemini_answer.h"
#include "providers/gemini_error.h"
#include "providers/gemini_request.h"

const struct tg_dialect gemini_generate_dialect = {
    .name = "gemini-generate",
    .upstream_path = "/v1beta/{resource}:generateContent",
    .upstream_stream_path = "/v1beta/{resource}:streamGenerateContent",
    .framings = TG_FRAMING_SSE | TG_FRAMING_ARRAY,
    .read_request = gemini_read_generate,
    .plan_edits = gemini_plan_edits,
    .read_answer = gemini_read_answer,
    .read_event = gemini_read_event,
    .write_error = gemini_error_write,
};

const struct tg_dialect gemini_count_dialect = {
    .name = "gemini-count",
    .upstream_path = "/v1beta/{resource}:countTokens",
    .flags = TG_DIALECT_IS_FREE | TG_DIALECT_INPUT_ONLY | TG_DIALECT_NO_MAXIMUM,
    .read_request = gemini_read_count,
    .plan_edits = gemini_plan_no_edits,
    .read_answer = gemini_read_answer,
    .read_event = gemini_read_event,
    .write_error = gemini_error_write,
};

const struct tg_dialect gemini_embed_dialect = {
    .name = "gemini-embed",
    .upstream_path = "/v1beta/{resource}:embedContent",
    .flags = TG_DIALECT_INPUT_ONLY | TG_DIALECT_NO_MAXIMUM,
    .read_request = gemini_read_embed,
    .plan_edits = gemini_plan_no_edits,
    .read_answer = gemini_read_embedding,
    .read_event = gemini_read_event,
    .write_error = gemini_error_write,
};

const struct tg_dialect gemini_embed_batch_dialect = {
    .name = "gemini-embed-batch",
    .upstream_path = "/v1beta/{resource}:batchEmbedContents",
    .flags = TG_DIALECT_INPUT_ONLY | TG_DIALECT_NO_MAXIMUM,
    .read_request = gemini_read_embed,
    .plan_edits = gemini_plan_no_edits,
    .read_answer = gemini_read_embedding,
    .read_event = gemini_read_event,
    .write_error = gemini_error_write,
};
