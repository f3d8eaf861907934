/* Goal: the command line says what was asked for on stdout and all else on stderr, gives secrets
 * alone, and ends with 0, 1 or 2 as it says. Method: the built program, run against the admin
 * socket of a real database in the test's own process, and against no server at all. */

#include "support/suites.h"
#include "support/support_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_MAX 16384

static struct support_admin admin;

static void start(void)
{
    support_admin_start(&admin);
}

static void stop(void)
{
    support_admin_stop(&admin);
}

static char out[SAID_MAX];

static void read_all(FILE *from, char *text)
{
    const size_t len = fread(text, 1, SAID_MAX - 1, from);

    text[len] = '\0';
}

/* Run `tollgate WORDS`, with its stderr instead of its stdout where `wants_errors`.
 *
 * return  the exit status */
static int run(const char *words, bool wants_errors)
{
    const char *folder = getenv("OUT");
    char command[2048];
    FILE *pipe;
    int status;

    (void)snprintf(command, sizeof(command), "TOLLGATE_DATA_DIR=%s %s/tollgate %s %s",
                   admin.book.folder, folder != NULL ? folder : "build/release", words,
                   wants_errors ? "2>&1 >/dev/null" : "2>/dev/null");
    pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    read_all(pipe, out);
    status = pclose(pipe);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void is_done(const char *words)
{
    const int status = run(words, /* wants_errors= */ false);

    ck_assert_msg(status == 0, "tollgate %s: %d: %s", words, status, out);
}

START_TEST(a_keys_secret_stands_alone_on_stdout)
{
    is_done("team create 'research & more'");
    is_done("key create --team 'research & more' --models 'gpt-*, echo'");
    ck_assert_uint_eq(strlen(out), ID_TOKEN_LEN + 1);
    ck_assert(strncmp(out, "tgk_", 4) == 0);
    ck_assert(id_token_is_well_formed(span_of(out, ID_TOKEN_LEN)));
    is_done("key list --team 'research & more' --output csv");
    ck_assert_ptr_nonnull(strstr(out, "id,team_id,name,prefix"));
    is_done("key create --team 'research & more' --name second --output json");
    ck_assert_ptr_nonnull(strstr(out, "\"secret\""));
}
END_TEST

START_TEST(a_team_lives_and_ends)
{
    is_done("team create alpha --timezone Europe/Berlin");
    is_done("team update alpha --name beta");
    is_done("team get beta");
    ck_assert_ptr_nonnull(strstr(out, "Europe/Berlin"));
    is_done("team archive beta");
    is_done("team list");
    ck_assert_ptr_null(strstr(out, "beta"));
    is_done("team list --all --output json");
    ck_assert_ptr_nonnull(strstr(out, "beta"));
}
END_TEST

START_TEST(a_provider_is_set_up_from_a_file)
{
    char words[512];
    FILE *file;

    (void)snprintf(words, sizeof(words), "%s/secret", admin.book.folder);
    file = fopen(words, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("sk-very-secret-indeed-0001\n", file);
    (void)fclose(file);
    (void)snprintf(words, sizeof(words), "provider add openai --secret-file %s/secret",
                   admin.book.folder);
    is_done(words);
    ck_assert_ptr_null(strstr(out, "very-secret"));
    is_done("provider list");
    ck_assert_ptr_nonnull(strstr(out, "https://api.openai.com/v1"));
    is_done("provider kinds");
    ck_assert_ptr_nonnull(strstr(out, "azure-openai"));
    ck_assert_ptr_nonnull(strstr(out, "FIREWORKS_API_KEY"));
    is_done("provider kinds --output csv --limit 3");
    ck_assert_ptr_nonnull(strstr(out, "name,base_url,auth"));
    ck_assert_ptr_null(strstr(out, "fireworks"));
    is_done("provider kinds --output json");
    ck_assert_ptr_nonnull(strstr(out, "\"openai-responses\""));
    is_done("provider update openai --default true");
    is_done("provider delete openai");
    ck_assert_int_eq(run("provider get openai", false), 1);
}
END_TEST

START_TEST(a_token_serves_elsewhere)
{
    char words[1024];
    FILE *file;

    is_done("token create --role viewer --name reader");
    (void)snprintf(words, sizeof(words), "%s/token", admin.book.folder);
    file = fopen(words, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs(out, file);
    (void)fclose(file);
    (void)snprintf(words, sizeof(words), "team list --url %s --token-file %s/token", admin.url,
                   admin.book.folder);
    is_done(words);
    (void)snprintf(words, sizeof(words), "team create x --url %s --token-file %s/token", admin.url,
                   admin.book.folder);
    ck_assert_int_eq(run(words, /* wants_errors= */ true), 1);
    ck_assert_ptr_nonnull(strstr(out, "role"));
    (void)snprintf(words, sizeof(words), "team list --url %s", admin.url);
    ck_assert_int_eq(run(words, /* wants_errors= */ true), 1);
}
END_TEST

START_TEST(the_books_are_shown)
{
    struct support_settle settle;
    char words[128];
    char id[ID_TEXT_SIZE];

    support_settle_init(&admin.book, &settle, 1);
    ck_assert_int_eq(support_settle_submit(&admin.book, &settle), TG_OK);
    ck_assert_int_eq(support_settle_wait(&settle), TG_OK);
    is_done("calls list --from 2026-11-20");
    id_format_call(support_attempt(1), id);
    ck_assert_ptr_nonnull(strstr(out, id));
    (void)snprintf(words, sizeof(words), "calls get %s --output json", id);
    is_done(words);
    is_done("usage --by model --from 2026-11-20 --to 2026-11-27 --output csv");
    ck_assert_ptr_nonnull(strstr(out, "model,cost"));
    is_done("holds list");
    is_done("verify");
    ck_assert_ptr_nonnull(strstr(out, "differences   0"));
}
END_TEST

static const struct {
    const char *words;
    int status;
    const char *said;
} wrong[] = {
    { "", 2, "" },
    { "bogus", 2, "no command bogus" },
    { "team bogus", 2, "team create NAME" },
    { "team create", 2, "NAME is needed" },
    { "team create a b", 2, "too many" },
    { "team create a --bogus", 2, "--help" },
    { "team create a --role owner", 2, "takes no --role" },
    { "team list --output xml", 2, "table, json or csv" },
    { "team list --limit 0", 1, "--limit" },
    { "key create", 2, "--team is needed" },
    { "key create --team", 2, "lacks its value" },
    { "key create --team nobody", 1, "there is no team nobody" },
    { "key revoke key_none", 1, "no such key" },
    { "team create --timezone Mars/Base x", 1, "timezone" },
    { "usage --since yesterday", 2, "30d" },
    { "usage --by user", 1, "group_by" },
    { "team list --url ftp://x", 2, "--url" },
    { "team list --url http://x --token-file /nonexistent", 2, "--token-file" },
    { "team list --data-dir /nonexistent", 1, "no server is running on /nonexistent" },
    { "serve --workers 0", 2, "--workers" },
};

START_TEST(what_is_wrong_is_said_on_stderr)
{
    const int status = run(wrong[_i].words, /* wants_errors= */ true);

    ck_assert_msg(status == wrong[_i].status, "%s: %d: %s", wrong[_i].words, status, out);
    ck_assert_msg(strstr(out, wrong[_i].said) != NULL, "%s: %s", wrong[_i].words, out);
    ck_assert_int_eq(run(wrong[_i].words, /* wants_errors= */ false), wrong[_i].status);
    ck_assert_str_eq(out, ""); /* and nothing on stdout */
}
END_TEST

static const char *const helps[] = {
    "--help",       "team --help",      "team create --help", "key create -h",
    "usage --help", "doctor --help",    "serve --help",       "provider --help",
    "--version",    "calls get --help", "backup --help",
};

START_TEST(help_is_everywhere)
{
    is_done(helps[_i]);
    ck_assert_ptr_nonnull(strstr(out, "tollgate"));
}
END_TEST

#define ROWS(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *suite(void)
{
    Suite *made = suite_create("cli");
    TCase *tests = tcase_create("commands");

    tcase_add_checked_fixture(tests, start, stop);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_keys_secret_stands_alone_on_stdout);
    tcase_add_test(tests, a_team_lives_and_ends);
    tcase_add_test(tests, a_provider_is_set_up_from_a_file);
    tcase_add_test(tests, a_token_serves_elsewhere);
    tcase_add_test(tests, the_books_are_shown);
    tcase_add_loop_test(tests, what_is_wrong_is_said_on_stderr, 0, ROWS(wrong));
    tcase_add_loop_test(tests, help_is_everywhere, 0, ROWS(helps));
    suite_add_tcase(made, tests);
    return made;
}
