/* Goal: a request that somebody waits for ends when its time is up or when it is told to, whatever
 * the other side does, and never leads to an address that must not be dialled. Method: a listener
 * on loopback that takes a request and says nothing; the wait is measured, and bounded far above
 * what it takes and far below its deadline. */
#include "net/fetch.h"

#include "support/suites.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define AT_ONCE_MS  10000

static int listener;
static struct fetch_stop stop;
static char url[64];

static void start(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 16), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/models", ntohs(address.sin_port));
    ck_assert_int_eq(fetch_stop_init(&stop), TG_OK);
}

static void end(void)
{
    fetch_stop_fini(&stop);
    (void)close(listener);
}

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum tg_status ask(const char *where, int64_t deadline_ms, struct err *err)
{
    const struct fetch_request request = { .method = "GET",
                                           .url = where,
                                           .deadline_ms = deadline_ms,
                                           .answer_max_bytes = 1024,
                                           .is_loopback = true,
                                           .stop = &stop };
    AUTO(fetch_answer) answer = { 0 };
    const enum tg_status status = fetch(&request, &answer, err);

    if (status != TG_OK)
        ck_assert_str_ne(err->text, "");
    return status;
}

static void *ask_in_thread(void *ret_status)
{
    struct err err = { "" };

    *(enum tg_status *)ret_status = ask(url, PATIENCE_MS, &err);
    return NULL;
}

START_TEST(a_fetch_that_waits_comes_back_when_it_is_told)
{
    enum tg_status status = TG_OK;
    char request[1024];
    pthread_t thread;
    int64_t told_at_ms;
    int fd;

    ck_assert_int_eq(pthread_create(&thread, NULL, ask_in_thread, &status), 0);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_gt(recv(fd, request, sizeof request, 0), 0); /* now it waits */
    told_at_ms = now_ms();
    fetch_stop_now(&stop);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_lt(now_ms() - told_at_ms, AT_ONCE_MS);
    ck_assert_int_eq(status, TG_DRAINING);
    (void)close(fd);
}
END_TEST

START_TEST(a_fetch_that_begins_after_it_was_told_comes_back_too)
{
    const int64_t start_ms = now_ms();
    struct err err = { "" };

    fetch_stop_now(&stop);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(ask(url, PATIENCE_MS, &err), TG_DRAINING);
    ck_assert_int_lt(now_ms() - start_ms, AT_ONCE_MS);
}
END_TEST

START_TEST(silence_ends_at_the_deadline)
{
    const int64_t start_ms = now_ms();
    struct err err = { "" };

    ck_assert_int_eq(ask(url, 100, &err), TG_UPSTREAM_TIMEOUT);
    ck_assert_int_ge(now_ms() - start_ms, 100);
    ck_assert_int_lt(now_ms() - start_ms, AT_ONCE_MS);
}
END_TEST

static const char *const refused_urls[] = {
    "http://169.254.169.254/latest/meta-data", "http://0xa9fea9fe/", "http://[fe80::1]/",
    "http://[::ffff:169.254.169.254]/",        "http://0.0.0.0:1/",  "https://224.0.0.1/",
};

START_TEST(an_address_that_leads_to_metadata_or_nowhere_is_not_dialled)
{
    struct err err = { "" };

    ck_assert_int_eq(ask(refused_urls[_i], PATIENCE_MS, &err), TG_UPSTREAM_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(err.text, "not dialled"));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("net/fetch");
    TCase *cases = tcase_create("fetch");

    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, start, end);
    tcase_add_test(cases, a_fetch_that_waits_comes_back_when_it_is_told);
    tcase_add_test(cases, a_fetch_that_begins_after_it_was_told_comes_back_too);
    tcase_add_test(cases, silence_ends_at_the_deadline);
    tcase_add_loop_test(cases, an_address_that_leads_to_metadata_or_nowhere_is_not_dialled, 0,
                        (int)(sizeof refused_urls / sizeof refused_urls[0]));
    suite_add_tcase(all, cases);
    return all;
}
