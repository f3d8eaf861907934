#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif

#include "sim_fast.h"

#include <string.h>

#define FAST_EVENTS 50

static struct sim_answer *plain;
static struct sim_answer *stream;

static const char more_lines[] =
    "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nx-request-id: req_sim_fast\r\n"
    "openai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\n"
    "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n"
    "x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 1999000\r\n"
    "Server: cloudflare\r\nCF-RAY: 8f00000000000000-SIM\r\n";

static const char usage_text[] =
    "\"usage\":{\"prompt_tokens\":250,\"completion_tokens\":50,\"total_tokens\":300,"
    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
    "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
    "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}";

static void add_event(struct sim_build *build, const char *choices, const char *usage,
                      int64_t wait_ms)
{
    struct sim_buf event = { 0 };

    sim_buf_print(&event,
                  "data: {\"id\":\"chatcmpl-sim-fast\",\"object\":\"chat.completion.chunk\","
                  "\"created\":1767225600,\"model\":\"gpt-4o-mini-2024-07-18\","
                  "\"service_tier\":\"default\",\"choices\":[%s],%s}\n\n",
                  choices, usage);
    sim_build_piece(build, (struct sim_span){ event.ptr, event.len }, wait_ms);
    sim_buf_fini(&event);
}

static struct sim_answer *build_stream(const struct sim_script *script)
{
    const struct sim_head head = { 200, "text/event-stream; charset=utf-8", more_lines, SIM_UNSET,
                                   0 };
    struct sim_build build;

    sim_build_init(&build, script);
    sim_build_head(&build, &head);
    /* The stream is FAST_EVENTS events long, its finish, usage and [DONE] included. */
    for (int k = 0; k < FAST_EVENTS - 3; k++)
        add_event(&build, "{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}",
                  "\"usage\":null", script->gap_ms);
    add_event(&build, "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "\"usage\":null",
              script->gap_ms);
    add_event(&build, "", usage_text, script->gap_ms);
    sim_build_piece(&build, SIM_SPAN("data: [DONE]\n\n"), script->gap_ms);
    return sim_build_end(&build, /* is_stream= */ true);
}

static struct sim_answer *build_plain(const struct sim_script *script)
{
    const struct sim_head head = { 200, "application/json", more_lines, SIM_UNSET, 0 };
    struct sim_build build;
    struct sim_buf body = { 0 };

    sim_buf_text(&body, "{\"id\":\"chatcmpl-sim-fast\",\"object\":\"chat.completion\","
                        "\"created\":1767225600,\"model\":\"gpt-4o-mini-2024-07-18\","
                        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                        "\"content\":\"");
    for (int i = 0; i < 58; i++)
        sim_buf_text(&body, " answer");
    sim_buf_print(&body,
                  "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
                  "\"finish_reason\":\"stop\"}],%s,\"service_tier\":\"default\","
                  "\"system_fingerprint\":\"fp_sim\"}",
                  usage_text);
    sim_build_init(&build, script);
    sim_build_whole(&build, &head, (struct sim_span){ body.ptr, body.len });
    sim_buf_fini(&body);
    return sim_build_end(&build, /* is_stream= */ false);
}

void sim_fast_init(int64_t gap_ms, bool is_burst)
{
    struct sim_script script;

    sim_script_init(&script);
    plain = build_plain(&script);
    script.gap_ms = gap_ms;
    script.coalesce = is_burst ? 1 : 0;
    stream = build_stream(&script);
    plain->is_shared = true;
    stream->is_shared = true;
}

static bool wants_stream(struct sim_span body)
{
    static const char name[] = "\"stream\":";
    const char *at = memmem(body.ptr, body.len, name, sizeof(name) - 1);

    if (at == NULL)
        return false;
    at += sizeof(name) - 1;
    const char *end = body.ptr + body.len;

    while (at < end && *at == ' ')
        at++;
    return end - at >= 4 && memcmp(at, "true", 4) == 0;
}

struct sim_answer *sim_fast_answer(const struct sim_request *request, struct sim_span body)
{
    (void)request;
    return wants_stream(body) ? stream : plain;
}
