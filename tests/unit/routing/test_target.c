/* Goal: an address is taken apart as an owner means it, and one that could mislead is refused.
 * Method: tables. */

#include "routing/target.h"
#include "support/suites.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

struct url_case {
    const char *url;
    bool is_tls;
    int port;
    const char *host;
    const char *authority;
    const char *path;
};

static const struct url_case good[] = {
    { "https://api.openai.com/v1", true, 443, "api.openai.com", "api.openai.com", "/v1" },
    { "https://api.openai.com/v1/", true, 443, "api.openai.com", "api.openai.com", "/v1" },
    { "https://api.openai.com/v1///", true, 443, "api.openai.com", "api.openai.com", "/v1" },
    { "https://api.openai.com/v1/v1", true, 443, "api.openai.com", "api.openai.com", "/v1" },
    { "https://api.openai.com/v1/v1/", true, 443, "api.openai.com", "api.openai.com", "/v1" },
    { "https://api.openai.com/v1/v2", true, 443, "api.openai.com", "api.openai.com", "/v1/v2" },
    { "https://g.example/v1beta/v1beta", true, 443, "g.example", "g.example", "/v1beta" },
    { "https://g.example/x/x", true, 443, "g.example", "g.example", "/x/x" },
    { "HTTPS://API.Example.COM", true, 443, "api.example.com", "api.example.com", "" },
    { "https://api.example.com:443/", true, 443, "api.example.com", "api.example.com", "" },
    { "https://api.example.com:8443", true, 8443, "api.example.com", "api.example.com:8443", "" },
    { "http://127.0.0.1:11434", false, 11434, "127.0.0.1", "127.0.0.1:11434", "" },
    { "http://[::1]:8080/v1", false, 8080, "::1", "[::1]:8080", "/v1" },
    { "http://[FE80::1]", false, 80, "fe80::1", "[fe80::1]", "" },
    { "http://ollama/openai/v1", false, 80, "ollama", "ollama", "/openai/v1" },
};

START_TEST(an_address_is_taken_apart)
{
    const struct url_case *one = &good[_i];
    struct target_url url;
    struct err err = { 0 };

    ck_assert_msg(target_parse_url(span_from(one->url), &url, &err) == TG_OK, "%s: %s", one->url,
                  err.text);
    ck_assert_int_eq(url.is_tls, one->is_tls);
    ck_assert_int_eq(url.port, one->port);
    ck_assert_str_eq(url.host, one->host);
    ck_assert_str_eq(url.authority, one->authority);
    ck_assert_str_eq(url.path, one->path);
}
END_TEST

static const char *const bad[] = {
    "",
    "api.openai.com/v1",
    "ftp://api.openai.com",
    "https:/api.openai.com",
    "https://",
    "https:///v1",
    "https://user@api.openai.com",
    "https://user:word@api.openai.com",
    "https://api.openai.com@evil.example",
    "https://api.openai.com/v1?key=1",
    "https://api.openai.com/v1#x",
    "https://api.openai.com?x",
    "https://api.openai.com\\evil.example",
    "https://api.openai.com/\\evil.example",
    "https://api.openai.com/%2e%2e",
    "https://api.openai.com/a/../b",
    "https://api.openai.com/./b",
    "https://api.openai.com/a//b",
    "https://api.openai.com/a b",
    "https://api openai.com",
    "https://api.openai.com\r\nx: y",
    "https://api..openai.com",
    "https://.openai.com",
    "https://openai.com.",
    "https://-openai.com",
    "https://api.openai.com:",
    "https://api.openai.com:0",
    "https://api.openai.com:65536",
    "https://api.openai.com:08",
    "https://api.openai.com:80:80",
    "https://::1",
    "https://[::1",
    "https://[]",
    "https://[abc]",
    "https://[::1]x",
    "https://\xc3\xa4.example",
};

START_TEST(an_address_that_could_mislead_is_refused)
{
    struct target_url url = { .port = 7 };
    struct err err = { 0 };

    ck_assert_msg(target_parse_url(span_from(bad[_i]), &url, &err) == TG_INVALID, "%s", bad[_i]);
    ck_assert_str_ne(err.text, "");
    ck_assert_int_eq(url.port, 7); /* a failure leaves the result alone */
}
END_TEST

START_TEST(an_address_is_bounded)
{
    char text[700];
    struct target_url url;

    memset(text, 'a', sizeof(text));
    memcpy(text, "https://", 8);
    ck_assert_int_eq(target_parse_url(span_of(text, 8 + 255), &url, NULL), TG_OK);
    ck_assert_int_eq(target_parse_url(span_of(text, 8 + 256), &url, NULL), TG_INVALID);
    text[12] = '/';
    ck_assert_int_eq(target_parse_url(span_of(text, 12 + 255), &url, NULL), TG_OK);
    ck_assert_int_eq(target_parse_url(span_of(text, 12 + 256), &url, NULL), TG_INVALID);
    ck_assert_int_eq(target_parse_url(span_of("https://a\0b", 11), &url, NULL), TG_INVALID);
}
END_TEST

Suite *suite(void)
{
    Suite *target = suite_create("routing/target");
    TCase *tcase = tcase_create("addresses");

    tcase_add_loop_test(tcase, an_address_is_taken_apart, 0, COUNT(good));
    tcase_add_loop_test(tcase, an_address_that_could_mislead_is_refused, 0, COUNT(bad));
    tcase_add_test(tcase, an_address_is_bounded);
    suite_add_tcase(target, tcase);
    return target;
}
