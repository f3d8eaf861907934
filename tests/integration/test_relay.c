/* Goal: before its charge is durable a client never has a complete answer, and after it exactly
 * what the provider sent but for events it did not ask for; an answer that broke off never looks
 * whole. Method: a relay over a real connection, answers cut at every offset, on a loop turned by
 * hand. */
#include "proxy/relay.h"
#include "proxy/upstream.h"

#include "providers/catalogue.h"
#include "support/suites.h"
#include "support/support_turns.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK(text) "data: {\"id\":\"c\",\"choices\":[" text "]}\n\n"
#define TEXT        CHUNK("{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":null}")
#define STOP        CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}")
#define USAGE                                                                                      \
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5,"   \
    "\"total_tokens\":14}}\n\n"
#define DONE "data: [DONE]\n\n"

/* Google's dialect, as events and as elements. */
#define G_TEXT "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a ]},\\\"{[\"}]}}]}"
#define G_STOP                                                                                     \
    "{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":9,"     \
    "\"candidatesTokenCount\":5}}"
#define G_ERROR "{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}"
#define G_BLOCK "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}"
#define SSE(x)  "data: " x "\n\n"

static struct server *server;
static struct server_budget budget;
static struct server_conn *conn;
static struct support_peer peer;
static struct relay relay;
static struct tg_answer answer;
static struct tg_request request;
static struct tg_kind kind;
static int gone;
static int drained;
static int port;

static void on_gone(void *user)
{
    (void)user;
    gone++;
    conn = NULL;
    relay.conn = NULL;
}

static void on_drained(void *user)
{
    (void)user;
    drained++;
}

static const struct server_user ops = { on_gone, on_drained };

static void on_request(void *context, struct server_conn *asked, const struct http_head *head)
{
    (void)context;
    (void)head;
    conn = asked;
    server_set_user(conn, &ops, &relay);
}

static enum tg_status check(void *context, const struct http_head *head, const char **ret_why)
{
    (void)context;
    (void)head;
    (void)ret_why;
    return TG_OK;
}

static void on_refuse(void *context, struct server_conn *asked, const struct http_head *head,
                      enum tg_status status, const char *why)
{
    (void)context;
    (void)asked;
    (void)head;
    (void)status;
    ck_abort_msg("%s", why);
}

static const struct server_handler handler = {
    .check = check,
    .on_request = on_request,
    .on_refuse = on_refuse,
};

static void relay_new(void)
{
    relay_init(&relay);
    answer = (struct tg_answer){ 0 };
    request = (struct tg_request){ .choices = 1, .flags = TG_REQUEST_STREAM };
    kind = (struct tg_kind){ .name = "openai", .flags = TG_KIND_ASKS_USAGE };
    relay.conn = conn;
    relay.budget = &budget;
    relay.dialect = catalogue_dialect(SPAN("openai-chat"));
    relay.kind = &kind;
    relay.request = &request;
    relay.answer = &answer;
}

static void ask(const char *version)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "GET / HTTP/%s\r\nHost: a\r\n\r\n", version);
    conn = NULL;
    buf_clear(&peer.in);
    support_peer_send(&peer, span_from(text));
    while (conn == NULL)
        support_turn();
    relay_new();
}

static void setup(void)
{
    const struct server_limits limits = { .head_ms = 10000,
                                          .body_ms = 10000,
                                          .idle_ms = 100000,
                                          .write_idle_ms = 100000,
                                          .body_max_bytes = 1000,
                                          .budget = &budget };

    support_turns_start();
    budget = (struct server_budget){ .max_bytes = INT64_C(512) << 20 };
    gone = drained = 0;
    ck_assert_int_eq(
        server_new(support_turns_loop(), support_listen(&port), &limits, &handler, &server), TG_OK);
    support_peer_open(&peer, port);
}

static void teardown(void)
{
    support_peer_close(&peer);
    server_free(server);
    support_turns_stop();
}

static void begin(const char *type, int64_t content_length, const char *coding)
{
    struct http_head head = { .status = 200, .content_length = content_length };

    head.fields[head.field_count++] = (struct http_field){ SPAN("content-type"), span_from(type) };
    if (coding != NULL)
        head.fields[head.field_count++] =
            (struct http_field){ SPAN("content-encoding"), span_from(coding) };
    relay_begin(
        &relay, &head,
        &(struct upstream_answer_extras){ .request_id = SPAN("call_1"), .dialect = relay.dialect });
}

static void feed(struct span bytes)
{
    ck_assert_int_eq(relay_content(&relay, bytes), TG_OK);
}

/* In pieces as large as a connection reads them, the client reading on. */
static void feed_long(struct span bytes)
{
    while (bytes.len > 0) {
        const size_t take = bytes.len < LOOP_SCRATCH_BYTES ? bytes.len : LOOP_SCRATCH_BYTES;

        feed(span_of(bytes.ptr, take));
        bytes = span_from_offset(bytes, take);
        while (relay_is_full(&relay)) {
            support_turn();
            support_peer_read(&peer);
        }
    }
}

static void settle_down(void)
{
    support_turns(3);
    support_peer_read(&peer);
}

/* What stands behind the client's head. */
static struct span body_so_far(void)
{
    size_t end;

    if (buf_len(&peer.in) == 0 || !span_find(buf_span(&peer.in), SPAN("\r\n\r\n"), &end))
        return SPAN_EMPTY;
    return span_from_offset(buf_span(&peer.in), end + 4);
}

static void release(void)
{
    relay_release(&relay, true, 1500);
    relay_fini(&relay);
    ck_assert_int_eq(budget.used_bytes, 0);
}

/* --- events --- */

struct stream_case {
    const char *sent;
    const char *passes; /* before the release */
    const char *whole;  /* after it */
    bool wants_usage;
    bool is_google;
    const char *type; /* NULL: an event stream */
};

#define JSON "application/json; charset=UTF-8"

static const struct stream_case streams[] = {
    { TEXT TEXT STOP USAGE DONE, TEXT TEXT, TEXT TEXT STOP DONE, false },
    { TEXT TEXT STOP USAGE DONE, TEXT TEXT, TEXT TEXT STOP USAGE DONE, true },
    { ": ping\n\n" TEXT ": x\n" STOP DONE, ": ping\n\n" TEXT, ": ping\n\n" TEXT ": x\n" STOP DONE,
      false },
    { TEXT STOP, TEXT, TEXT STOP, false },
    { TEXT DONE, TEXT, TEXT DONE, false },
    { TEXT, TEXT, TEXT, false },
    { TEXT "data: {\"error\":{\"message\":\"x\"}}\n\n" TEXT, TEXT,
      TEXT "data: {\"error\":{\"message\":\"x\"}}\n\n" TEXT, false },
    { TEXT STOP "data: [DO", TEXT, TEXT STOP "data: [DO", false },
    { TEXT "data: [DONE]", TEXT, TEXT "data: [DONE]", false },
    { TEXT "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}", TEXT,
      TEXT, false },
    { "", "", "", false },
    { SSE(G_TEXT) SSE(G_TEXT) SSE(G_STOP), SSE(G_TEXT) SSE(G_TEXT),
      SSE(G_TEXT) SSE(G_TEXT) SSE(G_STOP), false, true, NULL },
    { SSE(G_TEXT) SSE(G_BLOCK) SSE(G_TEXT), SSE(G_TEXT), SSE(G_TEXT) SSE(G_BLOCK) SSE(G_TEXT),
      false, true, NULL },
    { "[" G_TEXT ",\r\n" G_TEXT "\n,\n" G_STOP "\n]\n", "[" G_TEXT ",\r\n" G_TEXT,
      "[" G_TEXT ",\r\n" G_TEXT "\n,\n" G_STOP "\n]\n", false, true, JSON },
    { "[" G_TEXT "," G_STOP "," G_TEXT "]", "[" G_TEXT, "[" G_TEXT "," G_STOP "," G_TEXT "]", false,
      true, JSON },
    { " [" G_TEXT "," G_TEXT "]", " [" G_TEXT "," G_TEXT, " [" G_TEXT "," G_TEXT "]", false, true,
      JSON },
    { "[" G_TEXT "," G_ERROR "," G_TEXT "]", "[" G_TEXT, "[" G_TEXT "," G_ERROR "," G_TEXT "]",
      false, true, JSON },
    { "[" G_TEXT ",{\"candi", "[" G_TEXT, "[" G_TEXT ",{\"candi", false, true, JSON },
    { "[" G_BLOCK "]", "", "[" G_BLOCK "]", false, true, JSON },
    { "[" G_TEXT "]" G_TEXT "]", "[" G_TEXT, "[" G_TEXT "]" G_TEXT "]", false, true, JSON },
    { "[" G_TEXT ",oops," G_TEXT "]", "[" G_TEXT ",oops," G_TEXT, "[" G_TEXT ",oops," G_TEXT "]",
      false, true, JSON },
    { G_STOP "\n", "", G_STOP "\n", false, true, JSON },
    { "[]", "", "[]", false, true, JSON },
    { "", "", "", false, true, JSON },
};

static void run_stream(const struct stream_case *c, size_t cut)
{
    const struct span all = span_from(c->sent);
    struct buf content;

    ask("1.1");
    buf_init(&content, 1 << 20);
    if (c->wants_usage)
        request.flags |= TG_REQUEST_WANTS_USAGE;
    if (c->is_google)
        relay.dialect = catalogue_dialect(SPAN("gemini-generate"));
    begin(c->type != NULL ? c->type : "text/event-stream; charset=utf-8",
          cut % 2 == 0 ? -1 : (int64_t)all.len, NULL);
    if (cut > 0)
        feed(span_of(all.ptr, cut));
    if (cut < all.len)
        feed(span_from_offset(all, cut));
    relay_end(&relay, true);
    settle_down();
    ck_assert(!support_unchunk(body_so_far(), &content, NULL));
    ck_assert_msg(span_equal(buf_span(&content), span_from(c->passes)), "cut at %zu: early %.*s",
                  cut, SPAN_ARG(buf_span(&content)));
    release();
    settle_down();
    buf_clear(&content);
    ck_assert(support_unchunk(body_so_far(), &content, NULL));
    ck_assert_msg(span_equal(buf_span(&content), span_from(c->whole)), "cut at %zu: whole %.*s",
                  cut, SPAN_ARG(buf_span(&content)));
    ck_assert(support_peer_has(&peer, "X-Accel-Buffering: no\r\n"));
    buf_fini(&content);
}

START_TEST(a_stream_ends_for_its_client_when_it_is_charged)
{
    const size_t len = strlen(streams[_i].sent);

    for (size_t cut = 0; cut <= len; cut++)
        run_stream(&streams[_i], cut);
}
END_TEST

/* --- messages --- */

#define MESSAGE_EVENT(type, members) "event: " type "\ndata: {\"type\":\"" type "\"" members "}\n\n"
#define M_START                                                                                    \
    MESSAGE_EVENT("message_start", ",\"message\":{\"id\":\"m\",\"model\":\"c\",\"usage\":{"        \
                                   "\"input_tokens\":9,\"output_tokens\":1}}")
#define M_TEXT                                                                                     \
    MESSAGE_EVENT("content_block_delta",                                                           \
                  ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"}")
#define M_SO_FAR                                                                                   \
    MESSAGE_EVENT("message_delta",                                                                 \
                  ",\"delta\":{\"stop_reason\":null},\"usage\":{\"output_tokens\":3}")
#define M_DELTA                                                                                    \
    MESSAGE_EVENT("message_delta",                                                                 \
                  ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}")
#define M_STOP  MESSAGE_EVENT("message_stop", "")
#define M_PING  MESSAGE_EVENT("ping", "")
#define M_ERROR MESSAGE_EVENT("error", ",\"error\":{\"type\":\"overloaded_error\"}")

/* All of it reaches the client; this much of it before the charge. */
static const struct {
    const char *passes;
    const char *waits;
    int64_t output;
} messages[] = {
    { M_START M_PING M_TEXT M_TEXT, M_DELTA M_STOP, 5 },
    { M_START M_TEXT, M_DELTA M_PING M_TEXT M_STOP, 5 },
    { M_START M_TEXT M_SO_FAR M_TEXT, M_DELTA M_STOP, 5 },
    { M_START M_TEXT, M_ERROR M_TEXT, 1 },
    { M_START M_TEXT, M_DELTA "event: mess", 5 },
    { M_START M_TEXT M_SO_FAR, "", 3 },
};

enum writing { LF, CRLF, COMMENTS, WRITINGS };

/* The stream as it may be written. */
static void write_stream(const char *stream, enum writing writing, struct buf *out)
{
    for (const char *at = stream; *at != '\0'; at++) {
        if (writing == COMMENTS && *at != '\n' && (at == stream || at[-1] == '\n'))
            buf_put_text(out, ": x\n");
        if (writing == CRLF && *at == '\n')
            buf_put_byte(out, '\r');
        buf_put_byte(out, *at);
    }
    ck_assert(!out->failed);
}

static void run_message(struct span all, size_t passes, size_t cut)
{
    /* The LF of a CRLF that comes apart from its CR is part of what comes next. */
    const bool is_split = passes > 0 && cut == passes - 1 && all.ptr[cut - 1] == '\r';
    struct buf content;

    ask("1.1");
    buf_init(&content, 1 << 20);
    relay.dialect = catalogue_dialect(SPAN("anthropic-messages"));
    begin("text/event-stream; charset=utf-8", -1, NULL);
    feed(span_of(all.ptr, cut));
    feed(span_from_offset(all, cut));
    relay_end(&relay, true);
    settle_down();
    ck_assert(!support_unchunk(body_so_far(), &content, NULL));
    ck_assert_msg(span_equal(buf_span(&content), span_of(all.ptr, passes - (is_split ? 1 : 0))),
                  "cut at %zu: early %.*s", cut, SPAN_ARG(buf_span(&content)));
    release();
    settle_down();
    buf_clear(&content);
    ck_assert(support_unchunk(body_so_far(), &content, NULL));
    ck_assert_msg(span_equal(buf_span(&content), all), "cut at %zu: whole %.*s", cut,
                  SPAN_ARG(buf_span(&content)));
    buf_fini(&content);
}

START_TEST(a_message_ends_for_its_client_when_it_is_charged_however_it_is_written)
{
    for (int writing = LF; writing < WRITINGS; writing++) {
        AUTO(buf) all = { 0 };
        size_t passes;

        buf_init(&all, 1 << 16);
        write_stream(messages[_i].passes, (enum writing)writing, &all);
        passes = buf_len(&all);
        write_stream(messages[_i].waits, (enum writing)writing, &all);
        for (size_t cut = 1; cut < buf_len(&all); cut++) {
            run_message(buf_span(&all), passes, cut);
            ck_assert_int_eq(answer.usage.count[TG_OUTPUT], messages[_i].output);
            ck_assert_int_eq(answer.usage.count[TG_INPUT], 9);
        }
    }
}
END_TEST

START_TEST(a_usage_record_without_its_blank_line_counts)
{
    ask("1.1");
    begin("text/event-stream", -1, NULL);
    feed(SPAN(TEXT STOP "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,"
                        "\"completion_tokens\":5}}\n"));
    relay_end(&relay, _i == 0);
    ck_assert_uint_eq(answer.flags & TG_ANSWER_HAS_USAGE, TG_ANSWER_HAS_USAGE);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], 5);
    release();
}
END_TEST

/* An element larger than may wait: all of it but its end goes on, and its end is what counts. */
START_TEST(the_end_of_an_element_that_flowed_is_withheld)
{
    static const char front[] =
        "[" G_TEXT ",{\"candidates\":[{\"finishReason\":\"STOP\",\"content\":{"
        "\"parts\":[{\"text\":\"";
    static const char back[] = "\"}]}}],\"usageMetadata\":{\"promptTokenCount\":9,"
                               "\"candidatesTokenCount\":5}}]";
    const size_t text_len = 300000;
    struct buf array;
    struct buf content;
    char *text = malloc(text_len);

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', text_len);
    buf_init(&array, 1 << 20);
    buf_init(&content, 1 << 20);
    buf_put(&array, front, sizeof(front) - 1);
    buf_put(&array, text, text_len);
    buf_put(&array, back, sizeof(back) - 1);
    ask("1.1");
    relay.dialect = catalogue_dialect(SPAN("gemini-generate"));
    begin(JSON, -1, NULL);
    feed_long(buf_span(&array));
    relay_end(&relay, true);
    settle_down();
    ck_assert(!support_unchunk(body_so_far(), &content, NULL));
    ck_assert_uint_gt(buf_len(&content), text_len / 2);
    ck_assert(!span_ends_with(buf_span(&content), SPAN("}")));
    ck_assert(relay.is_terminal);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], 5);
    release();
    settle_down();
    buf_clear(&content);
    ck_assert(support_unchunk(body_so_far(), &content, NULL));
    ck_assert(span_equal(buf_span(&content), buf_span(&array)));
    buf_fini(&array);
    buf_fini(&content);
    free(text);
}
END_TEST

/* JSON is a stream only where one was asked for and it is no error. */
START_TEST(an_array_is_plain_where_no_stream_is)
{
    static const char *const bodies[] = { "[" G_TEXT "," G_STOP "]", "[" G_ERROR "]" };
    struct http_head head = { .status = _i == 0 ? 200 : 503, .content_length = -1 };

    head.fields[head.field_count++] = (struct http_field){ SPAN("content-type"), SPAN(JSON) };
    ask("1.1");
    relay.dialect = catalogue_dialect(SPAN("gemini-generate"));
    if (_i == 0)
        request.flags = 0;
    relay_begin(
        &relay, &head,
        &(struct upstream_answer_extras){ .request_id = SPAN("call_1"), .dialect = relay.dialect });
    feed(span_from(bodies[_i]));
    relay_end(&relay, true);
    settle_down();
    ck_assert_uint_eq(buf_len(&peer.in), 0); /* not even its head */
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], _i == 0 ? 5 : 0);
    ck_assert_int_eq((answer.flags & TG_ANSWER_IS_ERROR) != 0, _i == 1);
    release();
    settle_down();
    ck_assert(span_equal(body_so_far(), span_from(bodies[_i])));
}
END_TEST

/* An event larger than may wait: all of it but its end goes on, and its end is what counts. */
START_TEST(the_end_of_an_event_that_flowed_is_withheld)
{
    static const char front[] = "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\","
                                "\"delta\":{\"content\":\"";
    static const char back[] = "\"}}]}\n\n";
    const size_t text_len = 300000;
    struct buf event;
    struct buf content;
    char *text = malloc(text_len);

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', text_len);
    buf_init(&event, 1 << 20);
    buf_init(&content, 1 << 20);
    buf_put(&event, front, sizeof(front) - 1);
    buf_put(&event, text, text_len);
    buf_put(&event, back, sizeof(back) - 1);
    ask("1.1");
    begin("text/event-stream", -1, NULL);
    feed(SPAN(TEXT));
    feed_long(buf_span(&event));
    feed(SPAN(DONE));
    relay_end(&relay, true);
    settle_down();
    ck_assert(!support_unchunk(body_so_far(), &content, NULL));
    ck_assert_uint_gt(buf_len(&content), text_len / 2);
    ck_assert(!span_ends_with(buf_span(&content), SPAN("\n\n")));
    ck_assert(relay.is_terminal);
    release();
    settle_down();
    buf_clear(&content);
    ck_assert(support_unchunk(body_so_far(), &content, NULL));
    ck_assert_uint_eq(buf_len(&content), strlen(TEXT DONE) + buf_len(&event));
    ck_assert(span_ends_with(buf_span(&content), SPAN("\"}}]}\n\n" DONE)));
    buf_fini(&event);
    buf_fini(&content);
    free(text);
}
END_TEST

/* Too large to be read at all: it is passed on, unmetered, and loses nothing. */
START_TEST(an_event_too_large_to_read_loses_no_byte)
{
    const size_t len = RELAY_METERED_MAX + 3 * LOOP_SCRATCH_BYTES + 17;
    char *text = malloc(len);
    struct buf content;

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', len);
    memcpy(text, "data: ", 6);
    buf_init(&content, 64 << 20);
    ask("1.1");
    begin("text/event-stream", -1, NULL);
    feed_long(span_of(text, len));
    ck_assert(relay.is_unmetered);
    relay_end(&relay, true);
    relay_release(&relay, false, 0);
    while (!span_ends_with(buf_span(&peer.in), SPAN("\r\n0\r\n\r\n"))) {
        support_turn();
        support_peer_read(&peer);
    }
    ck_assert(support_unchunk(body_so_far(), &content, NULL));
    ck_assert(span_equal(buf_span(&content), span_of(text, len)));
    relay_fini(&relay);
    buf_fini(&content);
    free(text);
}
END_TEST

START_TEST(behind_the_end_nothing_passes_when_memory_is_short)
{
    char *text = malloc(RELAY_SPARE_BYTES + 1);
    enum tg_status status;

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', RELAY_SPARE_BYTES + 1);
    ask("1.1");
    begin("text/event-stream", -1, NULL);
    feed(SPAN(TEXT));
    budget.max_bytes = 0;
    feed(SPAN(STOP)); /* so little is always kept */
    status = relay_content(&relay, span_of(text, RELAY_SPARE_BYTES + 1));
    ck_assert_int_eq(status, TG_NO_MEMORY);
    settle_down();
    ck_assert(support_peer_has(&peer, "hello"));
    ck_assert(!support_peer_has(&peer, "xxxx"));
    ck_assert(!support_peer_has(&peer, "\"stop\""));
    relay_cut(&relay);
    relay_fini(&relay);
    support_peer_await_end(&peer);
    ck_assert(!support_peer_has(&peer, "\r\n0\r\n"));
    free(text);
}
END_TEST

START_TEST(a_stream_is_read_on_when_memory_is_short)
{
    budget.max_bytes = 0;
    ask("1.1");
    begin("text/event-stream", -1, NULL);
    for (size_t i = 0; i < strlen(TEXT STOP USAGE DONE); i++)
        feed(span_of(&TEXT STOP USAGE DONE[i], 1));
    relay_end(&relay, true);
    ck_assert(!relay.is_unmetered);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], 5);
    release();
}
END_TEST

/* --- plain --- */

static char *plain_body(size_t len)
{
    static const char front[] = "{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":"
                                "{\"content\":\"";
    static const char back[] = "\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}";
    char *text = malloc(len);

    ck_assert_ptr_nonnull(text);
    memset(text, 'y', len);
    memcpy(text, front, sizeof(front) - 1);
    memcpy(text + len - sizeof(back) + 1, back, sizeof(back) - 1);
    return text;
}

struct plain_case {
    size_t len;
    bool has_length;
    const char *version;
    const char *coding;
    size_t withheld; /* at least */
    bool is_unmetered;
};

static const struct plain_case plains[] = {
    { 200, true, "1.1", NULL, 200, false },
    { 200, false, "1.1", NULL, 200, false },
    { 200, false, "1.0", NULL, 200, false },
    { RELAY_PLAIN_MAX - 1, true, "1.1", NULL, RELAY_PLAIN_MAX - 1, false },
    { RELAY_PLAIN_MAX, false, "1.1", NULL, RELAY_PLAIN_MAX, false },
    { RELAY_PLAIN_MAX + 1, true, "1.1", NULL, RELAY_TAIL_BYTES, false },
    { RELAY_PLAIN_MAX + 1, false, "1.1", NULL, RELAY_TAIL_BYTES, false },
    { RELAY_PLAIN_MAX + 1, false, "1.0", NULL, RELAY_TAIL_BYTES, false },
    { RELAY_METERED_MAX, true, "1.1", NULL, RELAY_TAIL_BYTES, false },
    { RELAY_METERED_MAX + 1, true, "1.1", NULL, RELAY_TAIL_BYTES, true },
    { RELAY_METERED_MAX + 500000, false, "1.1", NULL, RELAY_TAIL_BYTES, true },
    { 200, true, "1.1", "gzip", 200, true },
    { RELAY_TAIL_BYTES, false, "1.1", "gzip", RELAY_TAIL_BYTES, true },
    { RELAY_TAIL_BYTES + 1, false, "1.1", "br", RELAY_TAIL_BYTES, true },
    { 500000, true, "1.1", "zstd", RELAY_TAIL_BYTES, true },
};

START_TEST(a_plain_answer_is_withheld_and_then_whole)
{
    const struct plain_case *c = &plains[_i];
    char *text = plain_body(c->len);
    struct buf content;
    struct span got;

    buf_init(&content, 128 << 20);
    ask(c->version);
    begin("application/json", c->has_length ? (int64_t)c->len : -1, c->coding);
    feed_long(span_of(text, c->len));
    relay_end(&relay, true);
    settle_down();
    got = body_so_far();
    if (c->withheld == c->len)
        ck_assert_uint_eq(buf_len(&peer.in), 0); /* not even its head */
    else if (c->has_length || strcmp(c->version, "1.0") == 0)
        ck_assert_uint_le(got.len + c->withheld, c->len);
    else
        ck_assert(!support_unchunk(got, &content, NULL) &&
                  buf_len(&content) + c->withheld <= c->len);
    ck_assert_int_eq(relay.is_unmetered, c->is_unmetered);
    ck_assert_int_eq(answer.usage.count[TG_OUTPUT], c->is_unmetered ? 0 : 5);
    relay_release(&relay, true, 1500);
    for (int i = 0; i < 1000; i++)
        settle_down();
    got = body_so_far();
    buf_clear(&content);
    if (support_peer_has(&peer, "chunked\r\n")) {
        ck_assert(support_unchunk(got, &content, NULL));
        got = buf_span(&content);
    }
    ck_assert(span_equal(got, span_of(text, c->len)));
    ck_assert_int_eq(support_peer_has(&peer, "x-tollgate-cost-usd: 0.0000015\r\n"),
                     c->withheld == c->len);
    relay_fini(&relay);
    ck_assert_int_eq(budget.used_bytes, 0);
    buf_fini(&content);
    free(text);
}
END_TEST

START_TEST(a_plain_answer_flows_unread_when_memory_is_short)
{
    char *text = plain_body(600000);

    budget.max_bytes = 200000;
    ask("1.1");
    begin("application/json", 600000, NULL);
    feed_long(span_of(text, 600000));
    relay_end(&relay, true);
    ck_assert(relay.is_unmetered);
    settle_down();
    ck_assert_uint_le(body_so_far().len, 600000 - RELAY_TAIL_BYTES);
    ck_assert_int_le(budget.used_bytes, 200000);
    release();
    settle_down();
    ck_assert(span_equal(body_so_far(), span_of(text, 600000)));
    free(text);
}
END_TEST

/* --- what breaks off --- */

struct cut_case {
    const char *type;
    const char *version;
    bool has_length;
    size_t bytes;
};

static const struct cut_case cuts[] = {
    { "text/event-stream", "1.1", false, 0 },     { "text/event-stream", "1.1", true, 0 },
    { "text/event-stream", "1.0", false, 0 },     { "text/event-stream", "1.0", true, 0 },
    { "application/json", "1.1", true, 2000000 }, { "application/json", "1.1", false, 2000000 },
    { "application/json", "1.0", true, 2000000 }, { "application/json", "1.0", false, 2000000 },
};

START_TEST(an_answer_that_broke_off_does_not_look_whole)
{
    const struct cut_case *c = &cuts[_i];
    char *text = plain_body(2000000);
    size_t end;

    ask(c->version);
    begin(c->type, c->has_length ? 3000000 : -1, NULL);
    if (c->bytes > 0)
        feed_long(span_of(text, c->bytes));
    else
        feed(SPAN(TEXT "data: {\"choi"));
    relay_end(&relay, false);
    settle_down();
    ck_assert(relay_has_begun(&relay));
    relay_cut(&relay);
    relay_fini(&relay);
    support_peer_await_end(&peer);
    ck_assert(span_find(buf_span(&peer.in), SPAN("\r\n\r\n"), &end));
    if (support_peer_has(&peer, "chunked\r\n"))
        ck_assert(!span_ends_with(buf_span(&peer.in), SPAN("\r\n0\r\n\r\n")));
    else if (support_peer_has(&peer, "Content-Length: 3000000\r\n"))
        ck_assert_uint_lt(body_so_far().len, 3000000);
    else
        ck_assert(peer.was_reset);
    free(text);
}
END_TEST

/* --- the client --- */

START_TEST(without_a_client_all_is_read_and_nothing_kept)
{
    ask("1.1");
    begin("text/event-stream", -1, NULL);
    feed(SPAN(TEXT));
    support_peer_close(&peer);
    support_turns(3);
    ck_assert_int_eq(gone, 1);
    for (int i = 0; i < 1000; i++)
        feed(SPAN(TEXT));
    feed(SPAN(STOP USAGE DONE));
    relay_end(&relay, true);
    ck_assert_int_eq(answer.usage.count[TG_INPUT], 9);
    ck_assert_uint_eq(buf_len(&relay.withheld), 0);
    relay_fini(&relay);
    ck_assert_int_eq(budget.used_bytes, 0);
    support_peer_open(&peer, port);
}
END_TEST

START_TEST(a_slow_client_stops_the_provider_and_lets_it_go_on)
{
    char *text = malloc(LOOP_SCRATCH_BYTES);
    struct buf content;

    ck_assert_ptr_nonnull(text);
    memset(text, 'z', LOOP_SCRATCH_BYTES);
    buf_init(&content, 64 << 20);
    ask("1.1");
    begin("text/event-stream", -1, "gzip");
    for (int i = 0; i < 300 && !relay_is_full(&relay); i++) {
        feed(span_of(text, LOOP_SCRATCH_BYTES));
        support_turn();
    }
    ck_assert(relay_is_full(&relay));
    server_want_drained(conn);
    support_turns(5);
    ck_assert_int_eq(drained, 0);
    while (drained == 0) {
        support_peer_read(&peer);
        support_turn();
    }
    ck_assert(!relay_is_full(&relay));
    relay_end(&relay, true);
    release();
    settle_down();
    ck_assert(support_unchunk(body_so_far(), &content, NULL));
    ck_assert_int_eq(buf_len(&content) % LOOP_SCRATCH_BYTES, 0);
    buf_fini(&content);
    free(text);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("relay");
    TCase *tcase = tcase_create("relay");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, a_stream_ends_for_its_client_when_it_is_charged, 0,
                        sizeof(streams) / sizeof(streams[0]));
    tcase_add_loop_test(tcase,
                        a_message_ends_for_its_client_when_it_is_charged_however_it_is_written, 0,
                        sizeof(messages) / sizeof(messages[0]));
    tcase_add_loop_test(tcase, a_usage_record_without_its_blank_line_counts, 0, 2);
    tcase_add_test(tcase, the_end_of_an_event_that_flowed_is_withheld);
    tcase_add_test(tcase, the_end_of_an_element_that_flowed_is_withheld);
    tcase_add_loop_test(tcase, an_array_is_plain_where_no_stream_is, 0, 2);
    tcase_add_test(tcase, an_event_too_large_to_read_loses_no_byte);
    tcase_add_test(tcase, behind_the_end_nothing_passes_when_memory_is_short);
    tcase_add_test(tcase, a_stream_is_read_on_when_memory_is_short);
    tcase_add_loop_test(tcase, a_plain_answer_is_withheld_and_then_whole, 0,
                        sizeof(plains) / sizeof(plains[0]));
    tcase_add_test(tcase, a_plain_answer_flows_unread_when_memory_is_short);
    tcase_add_loop_test(tcase, an_answer_that_broke_off_does_not_look_whole, 0,
                        sizeof(cuts) / sizeof(cuts[0]));
    tcase_add_test(tcase, without_a_client_all_is_read_and_nothing_kept);
    tcase_add_test(tcase, a_slow_client_stops_the_provider_and_lets_it_go_on);
    suite_add_tcase(all, tcase);
    return all;
}
