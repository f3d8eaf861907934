/* Goal: serve takes its settings from flags, else from the environment, else from defaults, and
 * each bad value is refused in words that name the flag or variable and what it must be. Method:
 * argument lists and an environment of the test's own. */
#include "main/settings.h"

#include "support/suites.h"

#include <string.h>

#define WORDS_MAX 8

static const char *const *environment; /* name, value, ..., NULL */

static const char *look_up(const char *name)
{
    for (int i = 0; environment != NULL && environment[i] != NULL; i += 2) {
        if (strcmp(environment[i], name) == 0)
            return environment[i + 1];
    }
    return NULL;
}

static enum tg_status read_words(const char *const *words, struct settings *settings,
                                 struct err *err)
{
    char *argv[WORDS_MAX + 2] = { (char *)"serve" };
    struct settings_source source = { .argc = 1, .argv = argv, .environment = look_up };

    while (words[source.argc - 1] != NULL) {
        argv[source.argc] = (char *)words[source.argc - 1];
        source.argc++;
    }
    return settings_read(&source, settings, err);
}

START_TEST(defaults_hold_where_nothing_is_said)
{
    const char *const words[] = { NULL };
    struct settings settings;
    struct err err = { 0 };

    environment = NULL;
    ck_assert_int_eq(read_words(words, &settings, &err), TG_OK);
    ck_assert_str_eq(settings.data_dir, "./var");
    ck_assert_str_eq(settings.listen, "127.0.0.1:4000");
    ck_assert_str_eq(settings.admin_listen, "127.0.0.1:4001");
    ck_assert_ptr_null(settings.admin_token_file);
    ck_assert_ptr_null(settings.master_key_file);
    ck_assert_int_ge(settings.workers, 1);
    ck_assert_int_eq(settings.drain_seconds, 60);
    ck_assert(!settings.is_sandbox);
    ck_assert_int_eq(settings.log_format, LOG_LOGFMT);
    ck_assert_int_eq(settings.body_max_bytes, 33554432);
    ck_assert_int_eq(settings.head_ms, 10000);
}
END_TEST

START_TEST(the_environment_is_read)
{
    static const char *const values[] = { "TOLLGATE_DATA_DIR",
                                          "/data",
                                          "TOLLGATE_LISTEN",
                                          "[::]:80",
                                          "TOLLGATE_ADMIN_LISTEN",
                                          "0.0.0.0:81",
                                          "TOLLGATE_ADMIN_TOKEN_FILE",
                                          "/t",
                                          "TOLLGATE_MASTER_KEY_FILE",
                                          "/k",
                                          "TOLLGATE_LOG",
                                          "json",
                                          NULL };
    const char *const words[] = { NULL };
    struct settings settings;
    struct err err = { 0 };

    environment = values;
    ck_assert_int_eq(read_words(words, &settings, &err), TG_OK);
    ck_assert_str_eq(settings.data_dir, "/data");
    ck_assert_str_eq(settings.listen, "[::]:80");
    ck_assert_str_eq(settings.admin_listen, "0.0.0.0:81");
    ck_assert_str_eq(settings.admin_token_file, "/t");
    ck_assert_str_eq(settings.master_key_file, "/k");
    ck_assert_int_eq(settings.log_format, LOG_JSON);
}
END_TEST

START_TEST(a_flag_wins)
{
    static const char *const values[] = { "TOLLGATE_LISTEN", "nonsense", "STATE_DIRECTORY", "/s",
                                          NULL };
    const char *const words[] = { "--listen=1.2.3.4:5", "--workers", "3", "--sandbox", NULL };
    struct settings settings;
    struct err err = { 0 };

    environment = values;
    ck_assert_int_eq(read_words(words, &settings, &err), TG_OK);
    ck_assert_str_eq(settings.listen, "1.2.3.4:5");
    ck_assert_str_eq(settings.data_dir, "/s");
    ck_assert_int_eq(settings.workers, 3);
    ck_assert(settings.is_sandbox);
}
END_TEST

START_TEST(help_is_no_failure)
{
    const char *const words[] = { "--workers", "3", "--help", NULL };
    struct settings settings;
    struct err err = { 0 };

    environment = NULL;
    ck_assert_int_eq(read_words(words, &settings, &err), TG_CLOSED);
    ck_assert_ptr_nonnull(strstr(settings_help(), "--drain-seconds"));
}
END_TEST

static const struct {
    const char *words[3];
    const char *variable;
    const char *value;
    const char *said; /* all of it must be in the message */
} wrong[] = {
    { { "--listen", "4000" }, NULL, NULL, "--listen" },
    { { "--listen", ":4000" }, NULL, NULL, "127.0.0.1:4000" },
    { { "--listen", "a:99999" }, NULL, NULL, "--listen" },
    { { "--admin-listen", "" }, NULL, NULL, "--admin-listen is empty" },
    { { "--workers", "0" }, NULL, NULL, "from 1 to 64" },
    { { "--workers", "65" }, NULL, NULL, "--workers" },
    { { "--workers", "two" }, NULL, NULL, "'two'" },
    { { "--workers" }, NULL, NULL, "needs a value" },
    { { "--drain-seconds", "-1" }, NULL, NULL, "--drain-seconds" },
    { { "--body-max-bytes", "1" }, NULL, NULL, "--body-max-bytes" },
    { { "--idle-ms", "0" }, NULL, NULL, "--idle-ms" },
    { { "--log", "xml" }, NULL, NULL, "logfmt or json" },
    { { "--bogus" }, NULL, NULL, "--bogus" },
    { { "extra" }, NULL, NULL, "'extra'" },
    { { NULL }, "TOLLGATE_LISTEN", "x", "TOLLGATE_LISTEN" },
    { { NULL }, "TOLLGATE_LOG", "xml", "TOLLGATE_LOG" },
    { { NULL }, "TOLLGATE_DATA_DIR", "", "TOLLGATE_DATA_DIR is empty" },
};

START_TEST(a_bad_value_is_named)
{
    const char *values[] = { wrong[_i].variable, wrong[_i].value, NULL };
    struct settings settings = { .workers = 42 };
    struct err err = { 0 };

    environment = values;
    ck_assert_int_eq(read_words(wrong[_i].words, &settings, &err), TG_INVALID);
    ck_assert_msg(strstr(err.text, wrong[_i].said) != NULL, "%s", err.text);
    ck_assert_int_eq(settings.workers, 42); /* a failure leaves the result alone */
}
END_TEST

Suite *suite(void)
{
    Suite *made = suite_create("main/settings");
    TCase *tests = tcase_create("settings");

    tcase_add_test(tests, defaults_hold_where_nothing_is_said);
    tcase_add_test(tests, the_environment_is_read);
    tcase_add_test(tests, a_flag_wins);
    tcase_add_test(tests, help_is_no_failure);
    tcase_add_loop_test(tests, a_bad_value_is_named, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
    suite_add_tcase(made, tests);
    return made;
}
