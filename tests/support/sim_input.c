#include "sim_input.h"

#include <inttypes.h>

#include "sim_text.h"

struct sim_answer *sim_embeddings_answer(const struct sim_call *call)
{
    struct sim_generation *made = sim_generate(call, "openai-embeddings", "embd-sim-");
    struct sim_buf body = { 0 };

    made->usage.completion = 0;
    made->usage.reasoning = 0;
    sim_buf_text(&body, "{\"object\":\"list\",\"data\":[");
    for (int64_t i = 0; i < call->ask.inputs; i++)
        sim_buf_print(&body, "%s{\"object\":\"embedding\",\"index\":%" PRId64 ",\"embedding\":%s}",
                      i == 0 ? "" : ",", i,
                      call->ask.wants_base64 ? "\"AAAAAAAAgD8=\"" : "[0.0,1.0]");
    sim_buf_print(&body, "],\"model\":\"%s\"", made->served_model);
    if (call->script.place != SIM_PLACE_NONE)
        sim_buf_print(&body,
                      ",\"usage\":{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}",
                      made->usage.prompt, made->usage.prompt);
    if (call->script.hop != 0)
        sim_write_echo(&body, call);
    sim_buf_text(&body, "}");
    return sim_plain_answer(call, made, &body);
}

struct sim_answer *sim_moderations_answer(const struct sim_call *call)
{
    struct sim_generation *made = sim_generate(call, "openai-moderations", "modr-sim-");
    struct sim_buf body = { 0 };

    made->is_billed = true; /* there is nothing to bill */
    sim_buf_print(&body,
                  "{\"id\":\"%s%" PRId64 "\",\"model\":\"omni-moderation-latest\",\"results\":[{"
                  "\"flagged\":false,\"categories\":{\"violence\":false},\"category_scores\":{"
                  "\"violence\":0.01},\"category_applied_input_types\":{\"violence\":[\"text\"]}}]",
                  made->prefix, made->seq);
    if (call->script.hop != 0)
        sim_write_echo(&body, call);
    sim_buf_text(&body, "}");
    return sim_plain_answer(call, made, &body);
}
