/* Goal: what a server behind or before us might read otherwise than we do is refused, and what is
 * valid is read exactly. Method: tables of raw heads with the verdict each must get (RFC 9112, and
 * the list of what libmicrohttpd 0.9.75 was seen to accept); bodies cut at every offset must give
 * the same content as in one piece. */
#include "net/http.h"

#include "base/buf.h"
#include "support/suites.h"

#include <llhttp.h>
#include <stdlib.h>

#define HOST "Host: a\r\n"

struct verdict {
    const char *name;
    struct span head;
    enum tg_status status;
};

#define ROW(name, text, status)                                                                    \
    {                                                                                              \
        name, { text, sizeof(text) - 1 }, status                                                   \
    }

static const struct verdict verdicts[] = {
    ROW("plain get", "GET / HTTP/1.1\r\n" HOST "\r\n", TG_OK),
    ROW("1.0", "GET / HTTP/1.0\r\n" HOST "\r\n", TG_OK),
    ROW("length", "POST /v1 HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", TG_OK),
    ROW("chunked", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", TG_OK),
    ROW("tab in value", "GET / HTTP/1.1\r\n" HOST "X: a\tb\r\n\r\n", TG_OK),
    ROW("high bytes in value", "GET / HTTP/1.1\r\n" HOST "X: \xc3\xa9\r\n\r\n", TG_OK),
    ROW("empty value", "GET / HTTP/1.1\r\n" HOST "Cookie:\r\n\r\n", TG_OK),
    ROW("get with length 0", "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", TG_OK),
    ROW("ipv6 host", "GET / HTTP/1.1\r\nHost: [::1]:4000\r\n\r\n", TG_OK),
    ROW("host with underscore", "GET / HTTP/1.1\r\nHost: toll_gate:80\r\n\r\n", TG_OK),
    ROW("expect", "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        TG_OK),
    ROW("websocket", "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        TG_OK),

    ROW("length and coding",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        TG_INVALID),
    ROW("coding and length",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        TG_INVALID),
    ROW("two lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
        TG_INVALID),
    ROW("two equal lengths",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", TG_INVALID),
    ROW("length list", "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n", TG_INVALID),
    ROW("length with plus", "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n", TG_INVALID),
    ROW("negative length", "POST / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\n", TG_INVALID),
    ROW("hex length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n", TG_INVALID),
    ROW("length 2^64", "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n",
        TG_INVALID),
    ROW("empty length", "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", TG_INVALID),
    ROW("gzip, chunked", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
        TG_UNSUPPORTED_CODING),
    ROW("identity", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n",
        TG_UNSUPPORTED_CODING),
    ROW("xchunked", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n",
        TG_UNSUPPORTED_CODING),
    ROW("two codings",
        "POST / HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        TG_INVALID),
    ROW("coding in 1.0", "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
        TG_INVALID),
    ROW("blank before colon", "POST / HTTP/1.1\r\n" HOST "Content-Length : 5\r\n\r\n", TG_INVALID),
    ROW("tab before colon", "POST / HTTP/1.1\r\n" HOST "Content-Length\t: 5\r\n\r\n", TG_INVALID),
    ROW("blank in name", "GET / HTTP/1.1\r\n" HOST "X Y: 5\r\n\r\n", TG_INVALID),
    ROW("empty name", "GET / HTTP/1.1\r\n" HOST ": 5\r\n\r\n", TG_INVALID),
    ROW("no colon", "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", TG_INVALID),
    ROW("bare LF lines", "GET / HTTP/1.1\n" HOST "X: y\n\r\n\r\n", TG_INVALID),
    ROW("one bare LF", "GET / HTTP/1.1\r\n" HOST "X: y\nZ: 1\r\n\r\n", TG_INVALID),
    ROW("bare CR in value", "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", TG_INVALID),
    ROW("NUL in value", "GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n", TG_INVALID),
    ROW("NUL in name", "GET / HTTP/1.1\r\n" HOST "X\0: a\r\n\r\n", TG_INVALID),
    ROW("ESC in value", "GET / HTTP/1.1\r\n" HOST "X: a\x1b[0m\r\n\r\n", TG_INVALID),
    ROW("DEL in value", "GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n", TG_INVALID),
    ROW("folded", "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", TG_INVALID),
    ROW("folded by tab", "GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n", TG_INVALID),
    ROW("leading blank", "GET / HTTP/1.1\r\n " HOST "\r\n", TG_INVALID),
    ROW("no host", "GET / HTTP/1.1\r\n\r\n", TG_INVALID),
    ROW("no host in 1.0", "GET / HTTP/1.0\r\n\r\n", TG_INVALID),
    ROW("two hosts", "GET / HTTP/1.1\r\n" HOST "Host: b\r\n\r\n", TG_INVALID),
    ROW("empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", TG_INVALID),
    ROW("host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", TG_INVALID),
    ROW("host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", TG_INVALID),
    ROW("host with hash", "GET / HTTP/1.1\r\nHost: a:1/#@b\r\n\r\n", TG_INVALID),
    ROW("host with bad port", "GET / HTTP/1.1\r\nHost: a:70000\r\n\r\n", TG_INVALID),
    ROW("host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", TG_INVALID),
    ROW("absolute form", "GET http://evil/a HTTP/1.1\r\n" HOST "\r\n", TG_INVALID),
    ROW("asterisk form", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", TG_INVALID),
    ROW("authority form", "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n", TG_METHOD_NOT_ALLOWED),
    ROW("blank in target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", TG_INVALID),
    ROW("two blanks", "GET  / HTTP/1.1\r\n" HOST "\r\n", TG_INVALID),
    ROW("tab after method", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", TG_METHOD_NOT_ALLOWED),
    ROW("1.9", "GET / HTTP/1.9\r\n" HOST "\r\n", TG_UNSUPPORTED_VERSION),
    ROW("2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", TG_UNSUPPORTED_VERSION),
    ROW("0.9 line", "GET /\r\n" HOST "\r\n", TG_UNSUPPORTED_VERSION),
    ROW("lower case version", "GET / http/1.1\r\n" HOST "\r\n", TG_INVALID),
    ROW("odd method", "G@T / HTTP/1.1\r\n" HOST "\r\n", TG_METHOD_NOT_ALLOWED),
    ROW("lower case method", "get / HTTP/1.1\r\n" HOST "\r\n", TG_METHOD_NOT_ALLOWED),
    ROW("trace", "TRACE / HTTP/1.1\r\n" HOST "\r\n", TG_METHOD_NOT_ALLOWED),
    ROW("http2 preface", "PRI * HTTP/2.0\r\n\r\n", TG_INVALID),
    ROW("get with body", "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", TG_INVALID),
    ROW("delete with chunks", "DELETE / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
        TG_INVALID),
    ROW("other expectation", "POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n\r\n",
        TG_EXPECTATION_FAILED),
};

START_TEST(each_head_gets_its_verdict)
{
    const struct verdict *row = &verdicts[_i];
    struct http_head head;
    const char *why = NULL;
    const enum tg_status status = http_parse_request(row->head, &head, &why);

    ck_assert_msg(status == row->status, "%s: %s instead of %s (%s)", row->name,
                  tg_status_info(status)->name, tg_status_info(row->status)->name,
                  why != NULL ? why : "");
    ck_assert(status == TG_OK || why != NULL);
}
END_TEST

START_TEST(llhttp_is_strict)
{
    /* The build must define LLHTTP_STRICT_MODE; 8.x leaves it off. In strict mode a target may not
     * hold bytes above 0x7f. */
    struct http_head head;
    const char *why;

    ck_assert_int_ne(
        http_parse_request(SPAN("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"), &head, &why), TG_OK);
}
END_TEST

START_TEST(fields_are_read_in_order_and_trimmed)
{
    struct http_head head;
    const char *why;

    ck_assert_int_eq(
        http_parse_request(SPAN("POST /a?b=%41 HTTP/1.1\r\nHost: h:1\r\nX-One:  1 \t\r\n"
                                "Connection: close, TE\r\nContent-Length: 12\r\n\r\n"),
                           &head, &why),
        TG_OK);
    ck_assert_int_eq(head.method, METHOD_POST);
    ck_assert(span_equal(head.target, SPAN("/a?b=%41")));
    ck_assert_int_eq(head.field_count, 4);
    ck_assert(span_equal(head.fields[1].name, SPAN("X-One")));
    ck_assert(span_equal(head.fields[1].value, SPAN("1")));
    ck_assert_int_eq(head.content_length, 12);
    ck_assert(!head.keeps_alive);
    ck_assert(http_lists_token(&head, SPAN("connection"), SPAN("te")));
    ck_assert(!http_lists_token(&head, SPAN("connection"), SPAN("t")));
    ck_assert(span_equal(http_value(&head, SPAN("x-one")), SPAN("1")));
    ck_assert_int_eq((int)http_value(&head, SPAN("x-two")).len, 0);
}
END_TEST

START_TEST(keep_alive_follows_version_and_connection)
{
    static const struct {
        struct span head;
        bool keeps_alive;
    } rows[] = {
        { SPAN("GET / HTTP/1.1\r\n" HOST "\r\n"), true },
        { SPAN("GET / HTTP/1.1\r\n" HOST "Connection: Close\r\n\r\n"), false },
        { SPAN("GET / HTTP/1.0\r\n" HOST "\r\n"), false },
        { SPAN("GET / HTTP/1.0\r\n" HOST "Connection: keep-alive\r\n\r\n"), true },
    };
    struct http_head head;
    const char *why;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_int_eq(http_parse_request(rows[i].head, &head, &why), TG_OK);
        ck_assert_int_eq(head.keeps_alive, rows[i].keeps_alive);
    }
}
END_TEST

static enum tg_status parse_with_fields(int count, size_t value_len)
{
    AUTO(buf) text = { 0 };
    struct http_head head;
    const char *why;

    buf_init(&text, 1 << 20);
    buf_put_text(&text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 1; i < count; i++) {
        buf_printf(&text, "x-%d: ", i);
        for (size_t k = 0; k < value_len; k++)
            buf_put_byte(&text, 'v');
        buf_put_text(&text, "\r\n");
    }
    buf_put_text(&text, "\r\n");
    return http_parse_request(buf_span(&text), &head, &why);
}

START_TEST(a_head_has_at_most_100_fields_and_32_kib)
{
    ck_assert_int_eq(parse_with_fields(100, 1), TG_OK);
    ck_assert_int_eq(parse_with_fields(101, 1), TG_HEADERS_TOO_LARGE);
    ck_assert_int_eq(parse_with_fields(2, 32000), TG_OK);
    ck_assert_int_eq(parse_with_fields(2, 33000), TG_HEADERS_TOO_LARGE);
}
END_TEST

START_TEST(the_end_of_a_head_is_found_wherever_the_bytes_were_cut)
{
    const struct span head = SPAN("GET / HTTP/1.1\r\n" HOST "\r\nrest");
    const size_t end = head.len - 4;

    for (size_t first = 0; first < end; first++) {
        size_t at = 0;

        ck_assert(!http_find_head_end(span_of(head.ptr, first), 0, &at));
        ck_assert(http_find_head_end(head, first, &at));
        ck_assert_uint_eq(at, end);
    }
}
END_TEST

static const struct verdict answers[] = {
    ROW("plain", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", TG_OK),
    ROW("no reason", "HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n", TG_OK),
    ROW("until close", "HTTP/1.0 200 OK\r\n\r\n", TG_OK),
    ROW("equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        TG_UPSTREAM_INVALID),
    ROW("differing lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        TG_UPSTREAM_INVALID),
    ROW("length and coding",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        TG_UPSTREAM_INVALID),
    ROW("gzip coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", TG_UPSTREAM_INVALID),
    ROW("garbage", "\x16\x03\x01 hello\r\n\r\n", TG_UPSTREAM_INVALID),
    ROW("bare LF", "HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\n", TG_UPSTREAM_INVALID),
    ROW("status 999", "HTTP/1.1 999 OK\r\n\r\n", TG_UPSTREAM_INVALID),
    ROW("http 2", "HTTP/2.0 200 OK\r\n\r\n", TG_UPSTREAM_INVALID),
};

START_TEST(each_answer_gets_its_verdict)
{
    const struct verdict *row = &answers[_i];
    struct http_head head;
    const char *why = NULL;
    const enum tg_status status = http_parse_answer(row->head, &head, &why);

    ck_assert_msg(status == row->status, "%s: %s", row->name, tg_status_info(status)->name);
}
END_TEST

/* Feed `wire` in two pieces and gather the content. */
static enum tg_status read_in_two(const struct http_head *head, struct span wire, size_t cut,
                                  struct buf *content, size_t *ret_left)
{
    struct http_body body;
    struct span pieces[2] = { span_of(wire.ptr, cut), span_from_offset(wire, cut) };

    http_body_init_request(&body, head);
    for (int i = 0; i < 2; i++) {
        while (pieces[i].len > 0 && !body.is_done) {
            struct span piece;
            size_t used;
            const enum tg_status status = http_body_read(&body, pieces[i], &used, &piece);

            if (status != TG_OK)
                return status;
            buf_put_span(content, piece);
            pieces[i] = span_from_offset(pieces[i], used);
        }
    }
    *ret_left = pieces[0].len + pieces[1].len;
    return body.is_done ? TG_OK : TG_AGAIN;
}

static const struct {
    const char *name;
    struct span wire;
    const char *content;
    enum tg_status status;
} chunked[] = {
    { "two chunks", SPAN("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nNEXT"), "hello!", TG_OK },
    { "empty", SPAN("0\r\n\r\nNEXT"), "", TG_OK },
    { "extension", SPAN("5;a=b\r\nhello\r\n0\r\n\r\nNEXT"), "hello", TG_OK },
    { "trailer", SPAN("5\r\nhello\r\n0\r\nX-A: b\r\n\r\nNEXT"), "hello", TG_OK },
    { "upper case size", SPAN("A\r\n0123456789\r\n0\r\n\r\nNEXT"), "0123456789", TG_OK },
    { "bare LF after size", SPAN("5\nhello\r\n0\r\n\r\n"), NULL, TG_INVALID },
    { "bare LF after data", SPAN("5\r\nhello\n0\r\n\r\n"), NULL, TG_INVALID },
    { "bare LF at the end", SPAN("5\r\nhello\r\n0\n\n"), NULL, TG_INVALID },
    { "bare LF in extension", SPAN("5;a\nhello\r\n0\r\n\r\n"), NULL, TG_INVALID },
    { "bare LF in trailer", SPAN("5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n"), NULL, TG_INVALID },
    { "NUL in extension", SPAN("5;a=\0\r\nhello\r\n0\r\n\r\n"), NULL, TG_INVALID },
    { "hex prefix", SPAN("0x5\r\nhello\r\n0\r\n\r\n"), NULL, TG_INVALID },
    { "blank after size", SPAN("5 \r\nhello\r\n0\r\n\r\n"), NULL, TG_INVALID },
    { "sign", SPAN("+5\r\nhello\r\n0\r\n\r\n"), NULL, TG_INVALID },
    { "data overrun", SPAN("5\r\nhello!\r\n0\r\n\r\n"), NULL, TG_INVALID },
    { "no size", SPAN("\r\nhello\r\n0\r\n\r\n"), NULL, TG_INVALID },
    { "huge size", SPAN("FFFFFFFFFFFFFFFFF\r\nhello"), NULL, TG_INVALID },
};

START_TEST(a_chunked_body_reads_the_same_wherever_it_is_cut)
{
    const struct http_head head = { .is_chunked = true, .content_length = -1 };

    for (size_t cut = 0; cut <= chunked[_i].wire.len; cut++) {
        AUTO(buf) content = { 0 };
        size_t left = 0;
        enum tg_status status;

        buf_init(&content, 1 << 16);
        status = read_in_two(&head, chunked[_i].wire, cut, &content, &left);
        ck_assert_msg(status == chunked[_i].status, "%s cut at %zu: %s", chunked[_i].name, cut,
                      tg_status_info(status)->name);
        if (status != TG_OK)
            continue;
        ck_assert_msg(span_equal(buf_span(&content), span_from(chunked[_i].content)), "%s: '%.*s'",
                      chunked[_i].name, SPAN_ARG(buf_span(&content)));
        ck_assert_uint_eq(left, 4);
    }
}
END_TEST

START_TEST(an_endless_chunk_extension_is_refused)
{
    const struct http_head head = { .is_chunked = true, .content_length = -1 };
    struct http_body body;
    enum tg_status status = TG_OK;
    struct span content;
    size_t used;

    http_body_init_request(&body, &head);
    status = http_body_read(&body, SPAN("5;a="), &used, &content);
    for (int i = 0; i < 5000 && status == TG_OK; i++)
        status = http_body_read(&body, SPAN("x"), &used, &content);
    ck_assert_int_eq(status, TG_INVALID);
}
END_TEST

START_TEST(a_body_by_length_leaves_what_follows)
{
    const struct http_head head = { .content_length = 5 };
    AUTO(buf) content = { 0 };
    size_t left = 0;

    buf_init(&content, 1 << 16);
    ck_assert_int_eq(read_in_two(&head, SPAN("helloNEXT"), 2, &content, &left), TG_OK);
    ck_assert(span_equal(buf_span(&content), SPAN("hello")));
    ck_assert_uint_eq(left, 4);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("net/http");
    TCase *heads = tcase_create("heads");
    TCase *bodies = tcase_create("bodies");

    tcase_add_loop_test(heads, each_head_gets_its_verdict, 0,
                        (int)(sizeof(verdicts) / sizeof(verdicts[0])));
    tcase_add_loop_test(heads, each_answer_gets_its_verdict, 0,
                        (int)(sizeof(answers) / sizeof(answers[0])));
    tcase_add_test(heads, llhttp_is_strict);
    tcase_add_test(heads, fields_are_read_in_order_and_trimmed);
    tcase_add_test(heads, keep_alive_follows_version_and_connection);
    tcase_add_test(heads, a_head_has_at_most_100_fields_and_32_kib);
    tcase_add_test(heads, the_end_of_a_head_is_found_wherever_the_bytes_were_cut);
    suite_add_tcase(s, heads);
    tcase_add_loop_test(bodies, a_chunked_body_reads_the_same_wherever_it_is_cut, 0,
                        (int)(sizeof(chunked) / sizeof(chunked[0])));
    tcase_add_test(bodies, an_endless_chunk_extension_is_refused);
    tcase_add_test(bodies, a_body_by_length_leaves_what_follows);
    suite_add_tcase(s, bodies);
    return s;
}
