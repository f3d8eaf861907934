/* Goal: requests are read and answers written exactly, in order and within limits, whatever pieces
 * they come in and whatever a client does meanwhile. Method: a real server on a loop that the test
 * turns, real sockets, a clock of the test's own; a handler that says what it got, or waits. */
#include "net/server.h"

#include "support/suites.h"
#include "support/support_turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX (64 * 1024)
#define BUDGET   (256 * 1024)

static struct server *server;
static struct server_budget budget;
static struct support_peer peer;
static int port;

/* What the handler does, and what it has seen. */
static bool holds_requests; /* answer only when the test says */
static bool refuses_bodies; /* in check */
static struct server_conn *held;
static int served;
static int gone;
static int drained;

static void answer(struct server_conn *conn, const char *text)
{
    char head[128];

    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 \r\nContent-Length: %zu\r\n%s\r\n",
                   strlen(text), server_keeps_alive(conn) ? "" : "Connection: close\r\n");
    server_write(conn, span_from(head));
    server_write(conn, span_from(text));
    server_finish(conn, server_keeps_alive(conn));
}

static void on_gone(void *user)
{
    ck_assert_ptr_eq(user, &held);
    gone++;
    held = NULL;
}

static void on_drained(void *user)
{
    ck_assert_ptr_eq(user, &held);
    drained++;
}

static const struct server_user ops = { on_gone, on_drained };

static enum tg_status check(void *context, const struct http_head *head, const char **ret_why)
{
    (void)context;
    (void)head;
    *ret_why = "";
    return refuses_bodies ? TG_UNAUTHENTICATED : TG_OK;
}

static void on_request(void *context, struct server_conn *conn, const struct http_head *head)
{
    struct buf body;
    struct buf text;
    int64_t bytes;
    char *said;

    (void)context;
    served++;
    if (holds_requests) {
        held = conn;
        server_set_user(conn, &ops, &held);
        return;
    }
    bytes = server_take_body(conn, &body);
    buf_init(&text, 1 << 20);
    buf_printf(&text, "<%.*s %zu %08x>", SPAN_ARG(head->target), buf_len(&body),
               (unsigned)span_hash(buf_span(&body)));
    said = buf_take_string(&text);
    ck_assert_ptr_nonnull(said);
    answer(conn, said);
    free(said);
    buf_fini(&text);
    buf_fini(&body);
    server_budget_take(&budget, -bytes);
}

static void on_refuse(void *context, struct server_conn *conn, const struct http_head *head,
                      enum tg_status status, const char *why)
{
    char text[256];

    (void)context;
    (void)head;
    (void)snprintf(text, sizeof(text), "HTTP/1.1 %d \r\nContent-Length: %zu\r\n\r\n%s",
                   tg_status_info(status)->http, strlen(why), why);
    ck_assert(!server_keeps_alive(conn));
    server_write(conn, span_from(text));
    server_finish(conn, server_keeps_alive(conn));
}

static const struct server_handler handler = {
    .check = check,
    .on_request = on_request,
    .on_refuse = on_refuse,
};

static void setup(void)
{
    const struct server_limits limits = { .head_ms = 1000,
                                          .body_ms = 2000,
                                          .idle_ms = 5000,
                                          .write_idle_ms = 3000,
                                          .body_max_bytes = BODY_MAX,
                                          .budget = &budget };
    int fd;

    support_turns_start();
    budget = (struct server_budget){ .max_bytes = BUDGET };
    fd = support_listen(&port);
    ck_assert_int_eq(server_new(support_turns_loop(), fd, &limits, &handler, &server), TG_OK);
    support_peer_open(&peer, port);
}

static void teardown(void)
{
    support_peer_close(&peer);
    support_turns(3);
    server_free(server);
    ck_assert_int_eq(budget.used_bytes, 0);
    support_turns_stop();
}

static void send_text(const char *text)
{
    support_peer_send(&peer, span_from(text));
}

static void expect_end_of(const char *text)
{
    const struct span in = buf_span(&peer.in);

    ck_assert_msg(span_ends_with(in, span_from(text)), "got: %.*s", SPAN_ARG(in));
}

#define HASH_EMPTY ((unsigned)span_hash(SPAN_EMPTY))

/* --- requests --- */

START_TEST(pipelined_requests_are_answered_in_order_however_they_are_cut)
{
    static const char text[] = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                               "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                               "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n0\r\n\r\n"
                               "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n";
    char order[512];
    const struct span all = span_of(text, sizeof(text) - 1);

    (void)snprintf(order, sizeof(order), "</4 0 %08x>", HASH_EMPTY);
    for (size_t cut = 1; cut < all.len; cut++) {
        size_t at[4];

        buf_clear(&peer.in);
        served = 0;
        support_peer_send(&peer, span_of(all.ptr, cut));
        support_peer_send(&peer, span_from_offset(all, cut));
        while (served < 4)
            support_turn();
        support_turns(3);
        support_peer_read(&peer);
        expect_end_of(order);
        ck_assert(span_find(buf_span(&peer.in), SPAN("</1 0"), &at[0]));
        ck_assert(span_find(buf_span(&peer.in), SPAN("</2 5"), &at[1]));
        ck_assert(span_find(buf_span(&peer.in), SPAN("</3 3"), &at[2]));
        ck_assert(span_find(buf_span(&peer.in), SPAN("</4 0"), &at[3]));
        ck_assert(at[0] < at[1] && at[1] < at[2] && at[2] < at[3]);
        ck_assert_int_eq(served, 4);
    }
}
END_TEST

/* What came behind a request and what comes while that waits must not be taken for one request. */
START_TEST(what_came_early_is_read_before_what_comes_now)
{
    static const char early[] = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                                "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char late[] = "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n";

    ck_assert_int_eq(send(peer.fd, early, sizeof(early) - 1, 0), (int)sizeof(early) - 1);
    support_turn(); /* /1 is answered, /2 is kept for the next turn */
    ck_assert_int_eq(served, 1);
    ck_assert_int_eq(send(peer.fd, late, sizeof(late) - 1, 0), (int)sizeof(late) - 1);
    support_turns(8);
    support_peer_read(&peer);
    ck_assert_int_eq(served, 3);
    ck_assert(support_peer_has(&peer, "</2 0"));
    ck_assert(support_peer_has(&peer, "</3 0"));
    ck_assert(!support_peer_has(&peer, "HTTP/1.1 4"));
}
END_TEST

START_TEST(a_chunked_body_is_the_same_however_it_is_cut)
{
    static const char text[] = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "5;x=y\r\nhello\r\n1\r\n \r\nA\r\nwide world\r\n0\r\nT: v\r\n\r\n";
    const struct span all = span_of(text, sizeof(text) - 1);
    char expected[64];

    (void)snprintf(expected, sizeof(expected), "</c 16 %08x>",
                   (unsigned)span_hash(SPAN("hello wide world")));
    for (size_t cut = 1; cut < all.len; cut++) {
        buf_clear(&peer.in);
        served = 0;
        support_peer_send(&peer, span_of(all.ptr, cut));
        support_peer_send(&peer, span_from_offset(all, cut));
        while (served < 1)
            support_turn();
        support_turns(2);
        support_peer_read(&peer);
        expect_end_of(expected);
    }
}
END_TEST

START_TEST(http10_closes_unless_asked_not_to)
{
    send_text("GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    support_turns(3);
    send_text("GET /b HTTP/1.0\r\nHost: a\r\n\r\n");
    support_peer_await_end(&peer);
    ck_assert_int_eq(served, 2);
    ck_assert(support_peer_has(&peer, "</b 0"));
    ck_assert(!peer.was_reset);
}
END_TEST

START_TEST(an_expecting_client_is_told_to_go_on)
{
    send_text("POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    support_peer_await(&peer, 25);
    ck_assert(span_equal(buf_span(&peer.in), SPAN("HTTP/1.1 100 Continue\r\n\r\n")));
    send_text("ok");
    support_turns(3);
    support_peer_read(&peer);
    ck_assert(support_peer_has(&peer, "</e 2"));
}
END_TEST

START_TEST(http10_knows_no_expectation)
{
    send_text("POST /e HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    support_turns(3);
    support_peer_read(&peer);
    ck_assert_uint_eq(buf_len(&peer.in), 0);
    send_text("ok");
    support_peer_await_end(&peer);
    ck_assert(support_peer_has(&peer, "</e 2"));
}
END_TEST

START_TEST(an_expecting_client_may_be_turned_down)
{
    refuses_bodies = true;
    send_text("POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    support_peer_await(&peer, 20);
    ck_assert(!support_peer_has(&peer, "100 Continue"));
    ck_assert(support_peer_has(&peer, "HTTP/1.1 401"));
}
END_TEST

START_TEST(an_unknown_client_takes_no_memory)
{
    refuses_bodies = true;
    budget.max_bytes = 10;
    send_text("POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\nx");
    support_peer_await(&peer, 20);
    ck_assert(support_peer_has(&peer, "HTTP/1.1 401"));
}
END_TEST

/* --- limits --- */

struct limit_case {
    const char *head;
    size_t then; /* bytes more */
    int64_t wait_ms;
    const char *status;
};

static const struct limit_case limits[] = {
    { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 65537, 0, "HTTP/1.1 413" },
    { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n", 4000000, 0, "HTTP/1.1 413" },
    { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n", 131072, 0,
      "HTTP/1.1 413" },
    { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, 0,
      "HTTP/1.1 400" },
    { "GET / HTTP/1.1\r\nHost: a\r\nX: ", 40000, 0, "HTTP/1.1 431" },
    { "GET / HTTP/1.1\r\nHost: a\r\n", 0, 1300, "HTTP/1.1 408" },
    { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", 0, 2300, "HTTP/1.1 408" },
    { "GET / HTTP/1.1\r\n\r\n", 0, 0, "HTTP/1.1 400" },
};

START_TEST(what_is_over_a_limit_is_answered_and_the_answer_arrives)
{
    const struct limit_case *c = &limits[_i];
    char *more = malloc(c->then + 1);

    ck_assert_ptr_nonnull(more);
    memset(more, 'x', c->then + 1);
    send_text(c->head);
    support_peer_send(&peer, span_of(more, c->then));
    free(more);
    if (c->wait_ms > 0)
        support_time_pass_ms(c->wait_ms);
    support_turns(5); /* who half-closes before the answer is gone */
    ck_assert_int_eq(shutdown(peer.fd, SHUT_WR), 0);
    support_peer_await_end(&peer);
    ck_assert_msg(span_starts_with(buf_span(&peer.in), span_from(c->status)), "got: %.*s",
                  SPAN_ARG(buf_span(&peer.in)));
    ck_assert(!peer.was_reset);
    ck_assert_int_eq(served, 0);
}
END_TEST

START_TEST(a_head_that_comes_byte_by_byte_has_one_deadline)
{
    send_text("GET / HT");
    for (int i = 0; i < 4; i++) {
        support_time_pass_ms(300);
        send_text("T");
    }
    support_peer_await(&peer, 12);
    ck_assert(support_peer_has(&peer, "HTTP/1.1 408"));
}
END_TEST

START_TEST(a_lingering_connection_ends_by_itself)
{
    send_text("GET / HTTP/1.1\r\n\r\n");
    support_peer_await_end(&peer); /* its half is closed */
    ck_assert_int_eq(server_connection_count(server), 1);
    support_time_pass_ms(2300);
    support_turns(2);
    ck_assert_int_eq(server_connection_count(server), 0);
}
END_TEST

START_TEST(an_idle_connection_is_closed)
{
    send_text("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    support_time_pass_ms(4000);
    ck_assert_int_eq(server_connection_count(server), 1);
    support_time_pass_ms(1500);
    support_turns(2);
    ck_assert_int_eq(server_connection_count(server), 0);
}
END_TEST

START_TEST(bodies_beyond_the_budget_are_turned_down)
{
    struct support_peer other;

    budget.max_bytes = 60000;
    send_text("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\nx");
    ck_assert_int_eq(budget.used_bytes, 50000);
    support_peer_open(&other, port);
    support_peer_send(&other,
                      SPAN("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\nx"));
    support_peer_await(&other, 12);
    ck_assert(support_peer_has(&other, "HTTP/1.1 503"));
    support_peer_close(&other);
    support_peer_close(&peer);
    support_turns(3);
    ck_assert_int_eq(budget.used_bytes, 0); /* the first has left */
    support_peer_open(&peer, port);
}
END_TEST

/* --- answers --- */

static void hold_one(void)
{
    holds_requests = true;
    send_text("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_nonnull(held);
}

START_TEST(a_client_that_leaves_or_half_closes_is_gone_at_once)
{
    hold_one();
    if (_i == 0)
        ck_assert_int_eq(shutdown(peer.fd, SHUT_WR), 0);
    else
        support_peer_close(&peer);
    support_turns(3);
    ck_assert_int_eq(gone, 1);
    ck_assert_int_eq(server_connection_count(server), 0);
    if (_i == 1)
        support_peer_open(&peer, port);
}
END_TEST

START_TEST(a_client_that_pipelines_and_leaves_is_gone_too)
{
    hold_one();
    send_text("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    support_turns(2);
    ck_assert_int_eq(gone, 0);
    ck_assert_int_eq(shutdown(peer.fd, SHUT_WR), 0);
    support_turns(2);
    ck_assert_int_eq(gone, 1);
    ck_assert_int_eq(served, 1);
}
END_TEST

START_TEST(a_finished_answer_is_no_longer_its_users)
{
    hold_one();
    answer(held, "done");
    support_peer_close(&peer);
    support_turns(3);
    ck_assert_int_eq(gone, 0);
    support_peer_open(&peer, port);
}
END_TEST

static void fill(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)('a' + (i * 31 + i / 256) % 26);
}

#define LONG_BYTES (6 * 1024 * 1024)

START_TEST(a_slow_reader_gets_every_byte_and_tells_when_it_has)
{
    char *bytes = malloc(LONG_BYTES);

    ck_assert_ptr_nonnull(bytes);
    fill(bytes, LONG_BYTES);
    hold_one();
    server_write(held, span_of(bytes, LONG_BYTES));
    support_turns(3);
    ck_assert_uint_gt(server_queued(held), 64 * 1024); /* more than the kernel takes */
    server_want_drained(held);
    support_turns(10);
    ck_assert_int_eq(drained, 0);
    while (drained == 0) {
        support_peer_read(&peer);
        support_turn();
    }
    ck_assert_uint_le(server_queued(held), 64 * 1024);
    support_turns(3);
    ck_assert_int_eq(drained, 1);
    server_finish(held, true);
    support_peer_await(&peer, LONG_BYTES);
    ck_assert(span_equal(buf_span(&peer.in), span_of(bytes, LONG_BYTES)));
    support_turn();
    ck_assert_int_eq(server_leaving_count(server), 0);
    free(bytes);
}
END_TEST

START_TEST(a_client_that_takes_no_byte_is_given_up)
{
    char *bytes = malloc(LONG_BYTES);

    ck_assert_ptr_nonnull(bytes);
    fill(bytes, LONG_BYTES);
    hold_one();
    server_write(held, span_of(bytes, LONG_BYTES));
    support_turns(5);
    support_time_pass_ms(2000);
    ck_assert_int_eq(gone, 0);
    support_time_pass_ms(1500);
    ck_assert_int_eq(gone, 1);
    free(bytes);
}
END_TEST

START_TEST(an_answer_on_its_way_is_counted_until_it_is_out)
{
    char *bytes = malloc(LONG_BYTES);

    ck_assert_ptr_nonnull(bytes);
    fill(bytes, LONG_BYTES);
    hold_one();
    server_write(held, span_of(bytes, LONG_BYTES));
    server_finish(held, true);
    support_turns(3);
    ck_assert_int_eq(server_leaving_count(server), 1);
    support_peer_await(&peer, LONG_BYTES);
    support_turns(2);
    ck_assert_int_eq(server_leaving_count(server), 0);
    free(bytes);
}
END_TEST

START_TEST(what_is_queued_beyond_the_cap_ends_the_connection)
{
    char *bytes = malloc(LONG_BYTES);

    ck_assert_ptr_nonnull(bytes);
    fill(bytes, LONG_BYTES);
    hold_one();
    server_write_chunk(held, span_of(bytes, LONG_BYTES));
    server_write_chunk(held, span_of(bytes, LONG_BYTES));
    support_turns(3);
    ck_assert_int_eq(gone, 1);
    free(bytes);
}
END_TEST

START_TEST(the_pieces_of_a_turn_become_one_chunk)
{
    static const size_t sizes[] = { 1, 15, 16, 255, 256, 4095, 4096, 65535, 65536, 1000000 };
    char *bytes = malloc(1000000);
    struct buf expected;
    struct buf got;
    int chunks;

    ck_assert_ptr_nonnull(bytes);
    fill(bytes, 1000000);
    buf_init(&expected, 1 << 24);
    buf_init(&got, 1 << 24);
    hold_one();
    for (int i = 0; i < 10; i++) {
        server_write_chunk(held, span_of(bytes, sizes[i]));
        server_write_chunk(held, SPAN("+"));
        buf_put(&expected, bytes, sizes[i]);
        buf_put(&expected, "+", 1);
        do {
            support_turn();
            support_peer_read(&peer);
        } while (server_queued(held) > 0);
    }
    server_end_chunks(held);
    server_finish(held, true);
    while (!support_peer_has(&peer, "\r\n0\r\n\r\n")) {
        support_turn();
        support_peer_read(&peer);
    }
    ck_assert(support_unchunk(buf_span(&peer.in), &got, &chunks));
    ck_assert(span_equal(buf_span(&got), buf_span(&expected)));
    ck_assert_int_eq(chunks, 10);
    buf_fini(&expected);
    buf_fini(&got);
    free(bytes);
}
END_TEST

START_TEST(an_abort_is_seen_as_one)
{
    hold_one();
    server_write(held, SPAN("HTTP/1.1 200 \r\n\r\nhalf"));
    support_turns(2);
    server_abort(held);
    support_peer_await_end(&peer);
    ck_assert(peer.was_reset);
    ck_assert_int_eq(gone, 0);
}
END_TEST

/* --- the end --- */

START_TEST(draining_ends_what_is_idle_and_lets_the_rest_finish)
{
    struct support_peer idle;

    support_peer_open(&idle, port);
    hold_one();
    server_drain(server);
    support_peer_await_end(&idle);
    ck_assert_int_eq(gone, 0);
    answer(held, "last");
    support_peer_await_end(&peer);
    ck_assert(support_peer_has(&peer, "Connection: close\r\n"));
    ck_assert(support_peer_has(&peer, "last"));
    ck_assert(!peer.was_reset);
    support_peer_close(&idle);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("server");
    TCase *requests = tcase_create("requests");
    TCase *answers = tcase_create("answers");

    tcase_add_checked_fixture(requests, setup, teardown);
    tcase_add_checked_fixture(answers, setup, teardown);
    tcase_set_timeout(requests, 60);
    tcase_set_timeout(answers, 60);
    tcase_add_test(requests, pipelined_requests_are_answered_in_order_however_they_are_cut);
    tcase_add_test(requests, what_came_early_is_read_before_what_comes_now);
    tcase_add_test(requests, a_chunked_body_is_the_same_however_it_is_cut);
    tcase_add_test(requests, http10_closes_unless_asked_not_to);
    tcase_add_test(requests, an_expecting_client_is_told_to_go_on);
    tcase_add_test(requests, http10_knows_no_expectation);
    tcase_add_test(requests, an_expecting_client_may_be_turned_down);
    tcase_add_test(requests, an_unknown_client_takes_no_memory);
    tcase_add_loop_test(requests, what_is_over_a_limit_is_answered_and_the_answer_arrives, 0,
                        sizeof(limits) / sizeof(limits[0]));
    tcase_add_test(requests, a_head_that_comes_byte_by_byte_has_one_deadline);
    tcase_add_test(requests, a_lingering_connection_ends_by_itself);
    tcase_add_test(requests, an_idle_connection_is_closed);
    tcase_add_test(requests, bodies_beyond_the_budget_are_turned_down);
    tcase_add_loop_test(answers, a_client_that_leaves_or_half_closes_is_gone_at_once, 0, 2);
    tcase_add_test(answers, a_client_that_pipelines_and_leaves_is_gone_too);
    tcase_add_test(answers, a_finished_answer_is_no_longer_its_users);
    tcase_add_test(answers, a_slow_reader_gets_every_byte_and_tells_when_it_has);
    tcase_add_test(answers, a_client_that_takes_no_byte_is_given_up);
    tcase_add_test(answers, an_answer_on_its_way_is_counted_until_it_is_out);
    tcase_add_test(answers, what_is_queued_beyond_the_cap_ends_the_connection);
    tcase_add_test(answers, the_pieces_of_a_turn_become_one_chunk);
    tcase_add_test(answers, an_abort_is_seen_as_one);
    tcase_add_test(answers, draining_ends_what_is_idle_and_lets_the_rest_finish);
    suite_add_tcase(all, requests);
    suite_add_tcase(all, answers);
    return all;
}
