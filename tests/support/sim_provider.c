#include "sim_provider.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sim_chat.h"
#include "sim_input.h"
#include "sim_responses.h"

#define CHOICES_MAX 128

static int64_t last_seq;
static const char *model_names = "gpt-4o,gpt-4o-mini";

void sim_provider_list(const char *names)
{
    model_names = names;
}

static bool same(struct sim_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.ptr, text, span.len) == 0;
}

/* The path without its query. */
static struct sim_span route_of(const struct sim_request *request)
{
    const char *question = memchr(request->path.ptr, '?', request->path.len);
    const size_t len =
        question == NULL ? request->path.len : (size_t)(question - request->path.ptr);

    return (struct sim_span){ request->path.ptr, len };
}

static bool ends_with(struct sim_span span, const char *tail)
{
    const size_t len = strlen(tail);

    return span.len >= len && memcmp(span.ptr + span.len - len, tail, len) == 0;
}

struct sim_urgent sim_provider_urgent(const struct sim_request *request)
{
    const struct sim_span text = sim_request_header(request, "x-sim");
    struct sim_script script;
    size_t bad_len;

    sim_script_init(&script);
    if (text.ptr != NULL)
        (void)sim_script_read(&script, text, &bad_len); /* the answer reports it */
    return (struct sim_urgent){ request->expects_continue || script.hundred != 0,
                                script.early != 0 };
}

/* The header lines of the real thing, hop-by-hop and private ones included, so that a proxy's
 * filter has something to filter. */
static void write_head_lines(struct sim_buf *out, int64_t seq)
{
    char date[64];
    const time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    sim_buf_print(out,
                  "Date: %s\r\nx-request-id: req_sim_%" PRId64 "\r\nopenai-processing-ms: 12\r\n"
                  "openai-version: 2020-10-01\r\nopenai-organization: org-sim\r\n"
                  "openai-project: proj_sim\r\n"
                  "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n"
                  "x-ratelimit-remaining-requests: 9999\r\n"
                  "x-ratelimit-remaining-tokens: 1999000\r\n"
                  "x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 30ms\r\n"
                  "strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n"
                  "X-Content-Type-Options: nosniff\r\ncf-cache-status: DYNAMIC\r\n"
                  "Set-Cookie: __cf_bm=sim%" PRId64 "; path=/; HttpOnly; Secure\r\n"
                  "Server: cloudflare\r\nCF-RAY: 8f00000000000000-SIM\r\n"
                  "Alt-Svc: h3=\":443\"; ma=86400\r\n",
                  date, seq, seq);
    sim_buf_need(out, 1);
    out->ptr[out->len] = '\0';
}

static struct sim_answer *small_answer(const struct sim_script *script, const struct sim_head *head,
                                       struct sim_span payload)
{
    struct sim_build build;

    sim_build_init(&build, script);
    sim_build_whole(&build, head, payload);
    return sim_build_end(&build, /* is_stream= */ false);
}

struct refusal {
    int status;
    const char *type;
    const char *code; /* NULL for null */
    const char *message;
};

static struct sim_answer *refuse(const struct sim_script *script, const struct refusal *refusal,
                                 const char *more)
{
    struct sim_buf body = { 0 };
    const struct sim_head head = { refusal->status, "application/json", more, SIM_UNSET,
                                   script->first_ms };

    sim_buf_text(&body, "{\n    \"error\": {\n        \"message\": ");
    sim_buf_quote(&body, sim_span_of(refusal->message));
    sim_buf_print(&body,
                  ",\n        \"type\": \"%s\",\n        \"param\": null,\n        \"code\": ",
                  refusal->type);
    sim_buf_quote_or_null(&body, sim_span_of(refusal->code));
    sim_buf_text(&body, "\n    }\n}\n");
    struct sim_answer *answer =
        small_answer(script, &head, (struct sim_span){ body.ptr, body.len });

    sim_buf_fini(&body);
    return answer;
}

/* What each status looks like at the provider. */
static struct sim_answer *scripted_error(const struct sim_call *call)
{
    static const struct refusal refusals[] = {
        { 400, "invalid_request_error", NULL, "Invalid value, says the script." },
        { 401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-sim." },
        { 403, "invalid_request_error", "unsupported_country", "Not available here." },
        { 404, "invalid_request_error", "model_not_found", "The model does not exist." },
        { 429, "requests", "rate_limit_exceeded", "Rate limit reached for requests." },
        { 503, "server_error", NULL, "The engine is currently overloaded." },
        { 0, "server_error", NULL, "The server had an error while processing your request." },
    };
    const int status = (int)call->script.status;
    size_t i = 0;

    while (refusals[i].status != status && refusals[i].status != 0)
        i++;
    struct refusal refusal = refusals[i];
    struct sim_buf more = { 0 };

    refusal.status = status;
    sim_buf_text(&more, call->more);
    if (status == 429)
        sim_buf_print(&more, "retry-after: %" PRId64 "\r\nretry-after-ms: %" PRId64 "\r\n",
                      call->script.retry_after_s, call->script.retry_after_s * 1000);
    sim_buf_add(&more, "", 1);
    struct sim_answer *answer = refuse(&call->script, &refusal, more.ptr);

    sim_buf_fini(&more);
    return answer;
}

static struct sim_answer *redirect(const struct sim_call *call)
{
    struct sim_buf more = { 0 };
    const struct sim_span host = sim_request_header(call->request, "host");

    sim_buf_print(&more, "%sLocation: http://%.*s/elsewhere/chat/completions\r\n", call->more,
                  (int)host.len, host.ptr == NULL ? "" : host.ptr);
    sim_buf_add(&more, "", 1);
    const struct sim_head head = { 301, "text/html", more.ptr, SIM_UNSET, call->script.first_ms };
    struct sim_answer *answer = small_answer(&call->script, &head, SIM_SPAN("<p>Moved</p>\n"));

    sim_buf_fini(&more);
    return answer;
}

static struct sim_answer *answer_chat(struct sim_call *call)
{
    call->ask.input_tokens = 0;
    return sim_chat_answer(call);
}

/* Each prompt of a list has choices of its own. */
static struct sim_answer *answer_completions(struct sim_call *call)
{
    call->ask.n *= call->ask.inputs;
    call->ask.billed_n *= call->ask.inputs;
    return sim_completions_answer(call);
}

static struct sim_answer *answer_responses(struct sim_call *call)
{
    call->ask.input_tokens = 0;
    return sim_responses_answer(call);
}

static struct sim_answer *answer_embeddings(struct sim_call *call)
{
    call->ask.is_stream = false;
    return sim_embeddings_answer(call);
}

static struct sim_answer *answer_moderations(struct sim_call *call)
{
    call->ask.is_stream = false;
    return sim_moderations_answer(call);
}

/* The dialects, by the end of their path. */
static const struct door {
    const char *path;
    struct sim_answer *(*answer)(struct sim_call *call);
    bool needs_model;
} doors[] = {
    { "/chat/completions", answer_chat, true },    { "/completions", answer_completions, true },
    { "/responses", answer_responses, true },      { "/embeddings", answer_embeddings, true },
    { "/moderations", answer_moderations, false },
};

static const struct door *find_door(struct sim_span path)
{
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
        if (ends_with(path, doors[i].path))
            return &doors[i];
    }
    return NULL;
}

static struct sim_answer *generate(struct sim_call *call, const struct door *door)
{
    static const struct refusal no_json = { 400, "invalid_request_error", NULL,
                                            "We could not parse the JSON body of your request." };
    static const struct refusal no_model = { 400, "invalid_request_error", NULL,
                                             "you must provide a model parameter" };
    static const struct refusal too_many = { 400, "invalid_request_error", NULL,
                                             "n is greater than the maximum of 128" };

    if (call->script.status != 0)
        return scripted_error(call);
    if (call->script.redirect != 0)
        return redirect(call);
    if (call->script.early != 0)
        call->ask =
            (struct sim_ask){ .model = SIM_SPAN("unread"), .n = 1, .billed_n = 1, .inputs = 1 };
    else if (!sim_ask_read(call->body, &call->ask))
        return refuse(&call->script, &no_json, call->more);
    if (call->ask.model.ptr == NULL && !door->needs_model)
        call->ask.model = SIM_SPAN("omni-moderation-latest");
    if (call->ask.model.ptr == NULL)
        return refuse(&call->script, &no_model, call->more);
    if (call->ask.n > CHOICES_MAX)
        return refuse(&call->script, &too_many, call->more);
    return door->answer(call);
}

static struct sim_answer *models(const struct sim_call *call)
{
    const struct sim_head head = { 200, "application/json", call->more, SIM_UNSET,
                                   call->script.first_ms };
    struct sim_buf list = { 0 };
    const char *name = model_names;
    struct sim_answer *answer;

    sim_buf_text(&list, "{\"object\":\"list\",\"data\":[");
    while (*name != '\0') {
        const size_t len = strcspn(name, ",");

        sim_buf_text(&list, name > model_names ? ",{\"id\":" : "{\"id\":");
        sim_buf_quote(&list, (struct sim_span){ name, len });
        sim_buf_text(&list,
                     ",\"object\":\"model\",\"created\":1715367049,\"owned_by\":\"system\"}");
        name += len + (name[len] == ',' ? 1 : 0);
    }
    sim_buf_text(&list, "]}\n");
    answer = small_answer(&call->script, &head, (struct sim_span){ list.ptr, list.len });
    sim_buf_fini(&list);
    return answer;
}

/* The simulator's own pages obey no script: a test must be able to read the bill. */
static struct sim_answer *own_page(const struct sim_request *request)
{
    struct sim_script script;
    struct sim_head head = { 200, "application/x-ndjson", "", SIM_UNSET, 0 };

    sim_script_init(&script);
    if (same(request->method, "GET") && same(route_of(request), "/sim/bill"))
        return small_answer(&script, &head, sim_bill_lines());
    if (same(request->method, "POST") && same(route_of(request), "/sim/reset")) {
        sim_bill_reset();
        return small_answer(&script, &head, SIM_SPAN(""));
    }
    return NULL;
}

static struct sim_answer *route(struct sim_call *call, const char *bad, size_t bad_len)
{
    static const struct refusal no_key = { 401, "invalid_request_error", NULL,
                                           "You didn't provide an API key. You need to provide "
                                           "your API key in an Authorization header." };
    static const struct refusal unknown = { 404, "invalid_request_error", "unknown_url",
                                            "Invalid URL" };
    const struct sim_span path = route_of(call->request);
    const struct door *door = same(call->request->method, "POST") ? find_door(path) : NULL;

    if (bad != NULL) {
        char message[160];

        snprintf(message, sizeof(message), "x-sim: not understood: %.*s",
                 (int)(bad_len > 100 ? 100 : bad_len), bad);
        const struct refusal bad_script = { 400, "invalid_request_error", "x_sim", message };

        return refuse(&call->script, &bad_script, call->more);
    }
    if (door == NULL && !(same(call->request->method, "GET") && ends_with(path, "/models")))
        return refuse(&call->script, &unknown, call->more);
    if (sim_request_header(call->request, "authorization").ptr == NULL)
        return refuse(&call->script, &no_key, call->more);
    return door != NULL ? generate(call, door) : models(call);
}

struct sim_answer *sim_provider_answer(const struct sim_request *request, struct sim_span body)
{
    struct sim_answer *answer = own_page(request);

    if (answer != NULL)
        return answer;
    struct sim_call call = { .request = request, .body = body, .seq = ++last_seq };
    const struct sim_span text = sim_request_header(request, "x-sim");
    struct sim_buf more = { 0 };
    const char *bad = NULL;
    size_t bad_len = 0;

    sim_script_init(&call.script);
    if (text.ptr != NULL)
        bad = sim_script_read(&call.script, text, &bad_len);
    if (request->wants_close)
        call.script.close = 1;
    write_head_lines(&more, call.seq);
    call.more = more.ptr;
    answer = route(&call, bad, bad_len);
    sim_buf_fini(&more);
    return answer;
}

struct sim_answer *sim_provider_refuse(int status)
{
    const struct refusal refusal = { status, "invalid_request_error", NULL,
                                     "The request could not be read." };
    struct sim_script script;

    sim_script_init(&script);
    script.close = 1;
    return refuse(&script, &refusal, "");
}
