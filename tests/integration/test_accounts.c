/* Goal: teams, keys, providers and admin tokens are stored as they were given, say no as the API
 * must, and are in force for the worker loops before a change is answered; no secret reaches the
 * disk. Method: the real database and a started writer; the test owns the clock and is a reader of
 * the snapshots, and in one case several threads are. */

#include "base/buf.h"
#include "base/clock.h"
#include "policy/key.h"
#include "policy/key_admin.h"
#include "policy/team.h"
#include "policy/token.h"
#include "routing/provider.h"
#include "routing/target.h"
#include "store/migrate.h"
#include "store/stmt.h"
#include "support/suites.h"
#include "support/support_book.h"

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define START_MS INT64_C(1795478400000) /* 2026-11-24T00:00:00Z */
#define HOUR_MS  INT64_C(3600000)
#define PATIENCE 1000
#define SECRET_A "sk-provider-secret-aaaaaaaaaaaaaaaaaaaa"
#define SECRET_B "sk-provider-secret-bbbbbbbbbbbbbbbbbbbb"

static _Atomic(int64_t) now_ms;

static int64_t test_wall_ms(void)
{
    return atomic_load(&now_ms);
}

static int64_t real_monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct support_book place;
static struct secret_ring ring;
static struct snapshot_domain *domain;
static struct keyring *keyring;
static struct target_store *targets;
static struct token_gate *gate;
static struct writer *writer;
static struct db *reading;
static struct err err;
static int reader;

static void must(enum tg_status status)
{
    ck_assert_msg(status == TG_OK, "%s: %s", tg_status_info(status)->name, err.text);
}

static void open_all(void)
{
    static const struct clock_source source = { test_wall_ms, real_monotonic_us };
    char path[BOOK_PATH_MAX + 16];
    struct db *db;
    int applied;

    atomic_store(&now_ms, START_MS);
    clock_use(&source);
    err.text[0] = '\0';
    must(secret_start());
    support_book_place(&place);
    (void)snprintf(path, sizeof(path), "%s/master.key", place.folder);
    must(secret_ring_load(&ring, path, /* may_create= */ true, &err));
    must(db_open(place.path, DB_WRITE, &db, &err));
    must(migrate_run(db, tg_migrations, tg_migration_count, &applied, &err));
    must(snapshot_domain_new(&domain));
    must(snapshot_reader_add(domain, &reader));
    must(keyring_open(db, domain, &keyring, &err));
    must(target_store_open(db, &ring, domain, &targets, &err));
    must(token_gate_new(&ring, &gate));
    must(writer_start(db, place.path, &writer, &err));
    must(db_open(place.path, DB_READ, &reading, &err));
}

static void close_all(void)
{
    db_close(reading);
    writer_stop(writer, PATIENCE);
    keyring_close(keyring);
    target_store_close(targets);
    token_gate_free(gate);
    snapshot_domain_free(domain);
    secret_ring_fini(&ring);
    support_book_remove(&place);
    clock_use(NULL);
}

/* --- short forms --- */

static void make_team(const char *name, char public_id[ID_TEXT_SIZE])
{
    AUTO(team_job) job;

    team_job_init(&job, TEAM_CREATE, keyring);
    job.input = (struct team_input){ .has_name = true, .name = span_from(name) };
    must(account_call(writer, &job.account, &err));
    memcpy(public_id, job.after.public_id, ID_TEXT_SIZE);
}

static void make_key(const char *team, const char *name, char public_id[ID_TEXT_SIZE],
                     char secret[ID_TOKEN_SIZE])
{
    AUTO(key_job) job;

    key_job_init(&job, KEY_CREATE, &ring, keyring);
    job.input = (struct key_input){ .team_public_id = span_from(team), .name = span_from(name) };
    job.secret = secret;
    must(account_call(writer, &job.account, &err));
    memcpy(public_id, job.after.public_id, ID_TEXT_SIZE);
}

static enum tg_status rotate(const char *key, int64_t overlap_seconds, char secret[ID_TOKEN_SIZE])
{
    AUTO(key_job) job;

    key_job_init(&job, KEY_ROTATE, &ring, keyring);
    job.public_id = span_from(key);
    job.input.overlap_seconds = overlap_seconds;
    job.secret = secret;
    return account_call(writer, &job.account, &err);
}

static enum tg_status revoke(const char *key)
{
    AUTO(key_job) job;

    key_job_init(&job, KEY_REVOKE, &ring, keyring);
    job.public_id = span_from(key);
    return account_call(writer, &job.account, &err);
}

static bool is_accepted(const char *secret)
{
    unsigned char hash[SECRET_HASH_SIZE];
    bool is_found;

    secret_hash(&ring, span_from(secret), hash);
    snapshot_enter(domain, reader);
    is_found = keyring_find(keyring, hash, clock_wall_ms()) != NULL;
    snapshot_leave(domain, reader);
    return is_found;
}

static enum tg_status make_provider(const char *name, const char *secret, struct provider *row)
{
    struct provider_job job;
    enum tg_status status;

    provider_job_init(&job, PROVIDER_CREATE, &ring, targets);
    job.input = (struct provider_input){ .has_name = true,
                                         .has_secret = true,
                                         .name = span_from(name),
                                         .kind = SPAN("openai"),
                                         .secret = span_from(secret) };
    status = account_call(writer, &job.account, &err);
    if (row != NULL)
        *row = job.after;
    return status;
}

static const struct target *find_target(const char *name)
{
    const struct targets *list = target_store_get(targets);

    for (int i = 0; i < list->count; i++)
        if (strcmp(list->target[i]->name, name) == 0)
            return list->target[i];
    return NULL;
}

/* --- teams --- */

START_TEST(a_team_is_stored_as_it_was_given)
{
    AUTO(team_job) job;
    AUTO(team) team = { 0 };

    team_job_init(&job, TEAM_CREATE, keyring);
    job.input = (struct team_input){ .has_name = true,
                                     .has_timezone = true,
                                     .has_metadata = true,
                                     .name = SPAN("Pl\xc3\xa4ttform"),
                                     .timezone = SPAN("Europe/Berlin"),
                                     .metadata = SPAN("{\"cost_centre\":7}") };
    must(account_call(writer, &job.account, &err));
    must(team_get(reading, ACCOUNT_ALL, span_from(job.after.public_id), &team, &err));
    ck_assert_str_eq(team.name, "Pl\xc3\xa4ttform");
    ck_assert_str_eq(team.timezone, "Europe/Berlin");
    ck_assert_str_eq(team.metadata, "{\"cost_centre\":7}");
    ck_assert_int_eq(team.created_at_ms, START_MS);
    ck_assert_int_eq(team.archived_at_ms, 0);
    ck_assert_int_eq(team.revision, 1);
}
END_TEST

START_TEST(a_team_name_is_given_once)
{
    char id[ID_TEXT_SIZE];
    AUTO(team_job) job;

    make_team("one", id);
    team_job_init(&job, TEAM_CREATE, keyring);
    job.input = (struct team_input){ .has_name = true, .name = SPAN("one") };
    ck_assert_int_eq(account_call(writer, &job.account, &err), TG_CONFLICT);
    ck_assert_str_eq(job.account.problem_pointer, "/name");
}
END_TEST

START_TEST(a_patch_changes_what_it_has_and_nothing_else)
{
    char id[ID_TEXT_SIZE];
    AUTO(team_job) job;
    AUTO(team_job) other;

    make_team("one", id);
    team_job_init(&job, TEAM_UPDATE, keyring);
    job.public_id = span_from(id);
    job.if_revision = 1;
    job.input = (struct team_input){ .has_timezone = true, .timezone = SPAN("Asia/Tokyo") };
    must(account_call(writer, &job.account, &err));
    ck_assert_str_eq(job.before.timezone, "");
    ck_assert_str_eq(job.after.timezone, "Asia/Tokyo");
    ck_assert_str_eq(job.after.name, "one");
    ck_assert_int_eq(job.after.revision, 2);

    team_job_init(&other, TEAM_UPDATE, keyring);
    other.public_id = span_from(id);
    other.if_revision = 1;
    other.input = (struct team_input){ .has_timezone = true };
    ck_assert_int_eq(account_call(writer, &other.account, &err), TG_STALE);
    other.if_revision = 2;
    must(account_call(writer, &other.account, &err));
    ck_assert_str_eq(other.after.timezone, ""); /* null is the default again */
}
END_TEST

START_TEST(unknown_and_foreign_ids_are_not_found)
{
    char one[ID_TEXT_SIZE];
    char two[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char secret[ID_TOKEN_SIZE];
    AUTO(team) team = { 0 };
    AUTO(team) seen = { 0 };
    AUTO(key) row = { 0 };
    AUTO(key_job) job;

    make_team("one", one);
    make_team("two", two);
    make_key(two, "k", key, secret);
    must(team_get(reading, ACCOUNT_ALL, span_from(one), &team, &err));
    ck_assert_int_eq(team_get(reading, ACCOUNT_ALL, SPAN("team_nobody"), &seen, &err),
                     TG_NOT_FOUND);
    ck_assert_int_eq(team_get(reading, team.id, span_from(two), &seen, &err), TG_NOT_FOUND);
    ck_assert_int_eq(team_get_by_name(reading, team.id, SPAN("two"), &seen, &err), TG_NOT_FOUND);
    ck_assert_int_eq(key_get(reading, team.id, span_from(key), &row, &err), TG_NOT_FOUND);

    key_job_init(&job, KEY_REVOKE, &ring, keyring);
    job.scope = team.id;
    job.public_id = span_from(key);
    ck_assert_int_eq(account_call(writer, &job.account, &err), TG_NOT_FOUND);
    ck_assert(is_accepted(secret));
}
END_TEST

static enum tg_status count_team(void *context, const struct team *team)
{
    char *last = context;

    memcpy(last, team->public_id, ID_TEXT_SIZE);
    last[ID_TEXT_SIZE]++;
    return TG_OK;
}

START_TEST(lists_are_paged_to_their_end)
{
    char id[ID_TEXT_SIZE];
    char after[ID_TEXT_SIZE];
    char last[ID_TEXT_SIZE + 1] = { 0 }; /* and a count behind */
    struct team_query query = { .page = { .limit = 2 }, .on_row = count_team, .context = last };
    bool has_more = false;

    for (int i = 0; i < 5; i++) {
        const char name[2] = { (char)('a' + i), '\0' };

        make_team(name, id);
    }
    for (int page = 0; page < 3; page++) {
        must(team_list(reading, &query, &has_more, &err));
        ck_assert_int_eq(has_more, page < 2);
        memcpy(after, last, sizeof(after));
        query.page.after = after;
    }
    ck_assert_int_eq(last[ID_TEXT_SIZE], 5);
    ck_assert_str_eq(last, id);
    must(team_list(reading, &query, &has_more, &err));
    ck_assert(!has_more);
    query.page.after = "team_nobody";
    ck_assert_int_eq(team_list(reading, &query, &has_more, &err), TG_INVALID);
    query.page = (struct account_page){ .limit = 0 };
    ck_assert_int_eq(team_list(reading, &query, &has_more, &err), TG_INVALID);
    query.page.limit = ACCOUNT_PAGE_MAX + 1;
    ck_assert_int_eq(team_list(reading, &query, &has_more, &err), TG_INVALID);
}
END_TEST

START_TEST(archiving_a_team_ends_its_keys_before_it_is_answered)
{
    char team[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char secret[2][ID_TOKEN_SIZE];
    AUTO(team_job) job;
    AUTO(team_job) change;

    make_team("one", team);
    make_key(team, "a", key, secret[0]);
    make_key(team, "b", key, secret[1]);
    team_job_init(&job, TEAM_ARCHIVE, keyring);
    job.public_id = span_from(team);
    must(account_call(writer, &job.account, &err));
    ck_assert(!is_accepted(secret[0]));
    ck_assert(!is_accepted(secret[1]));
    must(account_call(writer, &job.account, &err)); /* a repeat is no error */
    ck_assert_int_eq(job.after.revision, 2);

    team_job_init(&change, TEAM_UPDATE, keyring);
    change.public_id = span_from(team);
    change.input = (struct team_input){ .has_name = true, .name = SPAN("x") };
    ck_assert_int_eq(account_call(writer, &change.account, &err), TG_CONFLICT);
}
END_TEST

/* --- keys --- */

START_TEST(a_key_is_accepted_before_it_is_answered)
{
    char team[ID_TEXT_SIZE];
    char secret[ID_TOKEN_SIZE];
    AUTO(key_job) job;
    AUTO(key) row = { 0 };

    make_team("one", team);
    key_job_init(&job, KEY_CREATE, &ring, keyring);
    job.secret = secret;
    job.input = (struct key_input){ .team_public_id = span_from(team),
                                    .name = SPAN("ci"),
                                    .has_models = true,
                                    .models = SPAN("[\"gpt-5\",\"claude-*\"]"),
                                    .has_expires_at = true,
                                    .expires_at_ms = START_MS + HOUR_MS };
    must(account_call(writer, &job.account, &err));
    ck_assert(id_token_is_well_formed(span_from(secret)));
    ck_assert(is_accepted(secret));

    must(key_get(reading, ACCOUNT_ALL, span_from(job.after.public_id), &row, &err));
    ck_assert_str_eq(row.team_public_id, team);
    ck_assert_str_eq(row.models, "[\"gpt-5\",\"claude-*\"]");
    ck_assert_int_eq(row.expires_at_ms, START_MS + HOUR_MS);
    ck_assert(strncmp(row.prefix, secret, strlen(row.prefix)) == 0);
    ck_assert_str_eq(row.last4, secret + ID_TOKEN_LEN - 4);

    atomic_store(&now_ms, START_MS + HOUR_MS - 1);
    ck_assert(is_accepted(secret));
    atomic_store(&now_ms, START_MS + HOUR_MS);
    ck_assert(!is_accepted(secret));
}
END_TEST

START_TEST(a_key_name_is_free_again_once_revoked)
{
    char team[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char secret[ID_TOKEN_SIZE];
    char again[ID_TOKEN_SIZE] = "untouched";
    AUTO(key_job) job;

    make_team("one", team);
    make_key(team, "ci", key, secret);
    key_job_init(&job, KEY_CREATE, &ring, keyring);
    job.secret = again;
    job.input = (struct key_input){ .team_public_id = span_from(team), .name = SPAN("ci") };
    ck_assert_int_eq(account_call(writer, &job.account, &err), TG_CONFLICT);
    ck_assert_str_eq(job.account.problem_pointer, "/name");
    ck_assert_str_eq(again, ""); /* a secret that is not in force is not handed out */
    must(revoke(key));
    must(account_call(writer, &job.account, &err));
    ck_assert(is_accepted(again));
}
END_TEST

START_TEST(a_key_needs_a_team_that_is_there)
{
    char secret[ID_TOKEN_SIZE];
    AUTO(key_job) job;

    key_job_init(&job, KEY_CREATE, &ring, keyring);
    job.secret = secret;
    job.input = (struct key_input){ .team_public_id = SPAN("team_nobody"), .name = SPAN("ci") };
    ck_assert_int_eq(account_call(writer, &job.account, &err), TG_NOT_FOUND);
    ck_assert_str_eq(job.account.problem_pointer, "/team_id");
}
END_TEST

START_TEST(a_revoked_key_is_refused_and_stays_so)
{
    char team[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char secret[ID_TOKEN_SIZE];
    char next[ID_TOKEN_SIZE];

    make_team("one", team);
    make_key(team, "ci", key, secret);
    must(revoke(key));
    ck_assert(!is_accepted(secret));
    must(revoke(key));
    ck_assert_int_eq(rotate(key, 0, next), TG_CONFLICT);
    ck_assert(!is_accepted(secret));
}
END_TEST

START_TEST(a_rotation_overlaps_for_as_long_as_asked)
{
    char team[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char first[ID_TOKEN_SIZE];
    char second[ID_TOKEN_SIZE];
    char third[ID_TOKEN_SIZE];

    make_team("one", team);
    make_key(team, "ci", key, first);
    must(rotate(key, 60, second));
    ck_assert(memcmp(first, second, 4 + ID_TOKEN_ID) == 0);
    ck_assert(memcmp(first, second, ID_TOKEN_LEN) != 0);
    ck_assert(is_accepted(first) && is_accepted(second));
    atomic_store(&now_ms, START_MS + 59999);
    ck_assert(is_accepted(first) && is_accepted(second));
    atomic_store(&now_ms, START_MS + 60000);
    ck_assert(!is_accepted(first) && is_accepted(second));
    must(rotate(key, 0, third));
    ck_assert(!is_accepted(second) && is_accepted(third));
    ck_assert_int_eq(rotate(key, -1, third), TG_INVALID);
    ck_assert_int_eq(rotate(key, KEY_OVERLAP_SECONDS_MAX + 1, third), TG_INVALID);
}
END_TEST

START_TEST(overlapping_secrets_are_bounded_and_an_urgent_rotation_ends_them)
{
    char team[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char secret[KEY_SECRETS_MAX + 2][ID_TOKEN_SIZE];

    make_team("one", team);
    make_key(team, "ci", key, secret[0]);
    for (int i = 1; i < KEY_SECRETS_MAX; i++)
        must(rotate(key, 60, secret[i]));
    ck_assert_int_eq(rotate(key, 60, secret[KEY_SECRETS_MAX]), TG_CONFLICT);
    must(rotate(key, 0, secret[KEY_SECRETS_MAX + 1]));
    for (int i = 0; i < KEY_SECRETS_MAX; i++)
        ck_assert(!is_accepted(secret[i]));
    ck_assert(is_accepted(secret[KEY_SECRETS_MAX + 1]));
}
END_TEST

START_TEST(a_key_is_found_after_a_restart)
{
    char team[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char secret[ID_TOKEN_SIZE];
    char revoked[ID_TOKEN_SIZE];
    struct keyring *other;
    unsigned char hash[SECRET_HASH_SIZE];

    make_team("one", team);
    make_key(team, "b", key, revoked);
    must(revoke(key));
    make_key(team, "a", key, secret);
    must(keyring_open(reading, domain, &other, &err));
    secret_hash(&ring, span_from(secret), hash);
    ck_assert_ptr_nonnull(keyring_find(other, hash, START_MS));
    ck_assert_str_eq(keyring_find(other, hash, START_MS)->public_id, key);
    secret_hash(&ring, span_from(revoked), hash);
    ck_assert_ptr_null(keyring_find(other, hash, START_MS));
    keyring_close(other);
}
END_TEST

START_TEST(the_last_use_is_written_by_a_flush)
{
    char team[ID_TEXT_SIZE];
    char id[ID_TEXT_SIZE];
    char secret[ID_TOKEN_SIZE];
    unsigned char hash[SECRET_HASH_SIZE];
    AUTO(key) before = { 0 };
    AUTO(key) after = { 0 };
    struct keyring_flush_job job;

    make_team("one", team);
    make_key(team, "ci", id, secret);
    secret_hash(&ring, span_from(secret), hash);
    snapshot_enter(domain, reader);
    keyring_touch(keyring_find(keyring, hash, START_MS), START_MS + 5);
    snapshot_leave(domain, reader);
    must(key_get(reading, ACCOUNT_ALL, span_from(id), &before, &err));
    ck_assert_int_eq(before.last_used_at_ms, 0);
    ck_assert_int_eq(keyring_last_used_ms(keyring, before.id), START_MS + 5);

    keyring_flush_job_init(&job, keyring);
    must(account_call(writer, &job.account, &err));
    ck_assert_int_eq(job.written, 1);
    must(key_get(reading, ACCOUNT_ALL, span_from(id), &after, &err));
    ck_assert_int_eq(after.last_used_at_ms, START_MS + 5);
    ck_assert_int_eq(after.revision, before.revision);
    must(account_call(writer, &job.account, &err));
    ck_assert_int_eq(job.written, 0);
}
END_TEST

/* --- the way a change runs --- */

struct watched_job {
    struct key_job job; /* first */
    const char *secret;
    bool was_accepted;
    sem_t answered;
};

static void look_when_answered(struct account_job *account, enum tg_status status)
{
    struct watched_job *watched = (struct watched_job *)account;

    ck_assert_int_eq(status, TG_OK);
    watched->was_accepted = is_accepted(watched->secret);
    sem_post(&watched->answered);
}

START_TEST(a_submitted_revoke_is_answered_after_the_swap)
{
    char team[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char secret[ID_TOKEN_SIZE];
    struct watched_job watched = { .secret = secret, .was_accepted = true };

    make_team("one", team);
    make_key(team, "ci", key, secret);
    key_job_init(&watched.job, KEY_REVOKE, &ring, keyring);
    watched.job.public_id = span_from(key);
    watched.job.account.answered = look_when_answered;
    sem_init(&watched.answered, 0, 0);
    must(account_submit(writer, &watched.job.account, &err));
    sem_wait(&watched.answered);
    ck_assert(!watched.was_accepted);
    sem_destroy(&watched.answered);
    key_job_fini(&watched.job);
}
END_TEST

static enum tg_status refuse(struct account_job *job, struct db *db, struct err *why)
{
    const struct team_job *team = (struct team_job *)job;

    (void)db;
    ck_assert_str_eq(team->after.name, "one");
    return err_set(why, TG_TOO_LARGE, "no audit, no change");
}

START_TEST(what_runs_along_undoes_the_change_when_it_fails)
{
    AUTO(team_job) job;
    AUTO(team) team = { 0 };

    team_job_init(&job, TEAM_CREATE, keyring);
    job.account.along = refuse;
    job.input = (struct team_input){ .has_name = true, .name = SPAN("one") };
    ck_assert_int_eq(account_call(writer, &job.account, &err), TG_TOO_LARGE);
    ck_assert_str_eq(err.text, "no audit, no change");
    ck_assert_int_eq(team_get_by_name(reading, ACCOUNT_ALL, SPAN("one"), &team, &err),
                     TG_NOT_FOUND);
}
END_TEST

/* --- providers --- */

START_TEST(a_provider_is_in_the_list_with_its_secret_before_it_is_answered)
{
    struct provider row;
    const struct target *target;

    must(make_provider("main", SECRET_A, &row));
    ck_assert_str_eq(row.base_url, "https://api.openai.com/v1");
    ck_assert_str_eq(row.secret_last4, "aaaa");
    ck_assert(row.has_secret && row.is_enabled && !row.is_default);
    snapshot_enter(domain, reader);
    target = find_target("main");
    ck_assert_ptr_nonnull(target);
    ck_assert(span_equal(secret_span(&target->secret), SPAN(SECRET_A)));
    ck_assert_str_eq(target->base_path, "/v1");
    ck_assert_str_eq(target->endpoint.host, "api.openai.com");
    ck_assert(target->endpoint.is_tls && target->endpoint.port == 443);
    snapshot_leave(domain, reader);
    ck_assert_int_eq(make_provider("main", SECRET_B, NULL), TG_CONFLICT);
}
END_TEST

START_TEST(a_secret_is_not_sent_to_a_host_it_was_not_given_for)
{
    struct provider row;
    struct provider_job job;

    must(make_provider("main", SECRET_A, &row));
    provider_job_init(&job, PROVIDER_UPDATE, &ring, targets);
    job.public_id = span_from(row.public_id);
    job.input = (struct provider_input){ .has_base_url = true,
                                         .base_url = SPAN("https://evil.example/v1") };
    ck_assert_int_eq(account_call(writer, &job.account, &err), TG_INVALID);
    ck_assert_str_eq(job.account.problem_pointer, "/secret");
    job.input.base_url = SPAN("http://api.openai.com/v1");
    ck_assert_int_eq(account_call(writer, &job.account, &err), TG_INVALID);
    job.input.base_url = SPAN("https://api.openai.com/v2/");
    must(account_call(writer, &job.account, &err));
    ck_assert_str_eq(job.after.base_url, "https://api.openai.com/v2");
    job.input.base_url = SPAN("https://other.example/v1");
    job.input.has_secret = true;
    job.input.secret = SPAN(SECRET_B);
    must(account_call(writer, &job.account, &err));
    snapshot_enter(domain, reader);
    ck_assert(span_equal(secret_span(&find_target("main")->secret), SPAN(SECRET_B)));
    snapshot_leave(domain, reader);
}
END_TEST

static enum tg_status swap_secrets(struct db *db, void *context, struct err *why)
{
    (void)context;
    return stmt_run_script(db,
                           "UPDATE provider SET secret = "
                           "(SELECT p.secret FROM provider AS p WHERE p.id <> provider.id) "
                           "WHERE id = 1 /* scan */",
                           why);
}

START_TEST(the_secret_of_one_row_is_refused_in_another)
{
    struct support_book book = { .writer = writer };
    struct target_store *other;

    must(make_provider("main", SECRET_A, NULL));
    must(make_provider("spare", SECRET_B, NULL));
    must(support_run(&book, swap_secrets, NULL));
    ck_assert_int_eq(target_store_open(reading, &ring, domain, &other, &err), TG_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.text, "provider main"));
}
END_TEST

START_TEST(one_provider_is_the_default_and_a_deleted_one_is_gone)
{
    struct provider row[2];
    struct provider seen;
    struct provider_job job;

    must(make_provider("main", SECRET_A, &row[0]));
    must(make_provider("spare", SECRET_B, &row[1]));
    for (int i = 0; i < 2; i++) {
        provider_job_init(&job, PROVIDER_UPDATE, &ring, targets);
        job.public_id = span_from(row[i].public_id);
        job.input = (struct provider_input){ .has_is_default = true, .is_default = true };
        must(account_call(writer, &job.account, &err));
    }
    snapshot_enter(domain, reader);
    ck_assert(!find_target("main")->is_default && find_target("spare")->is_default);
    snapshot_leave(domain, reader);

    provider_job_init(&job, PROVIDER_DELETE, &ring, targets);
    job.public_id = span_from(row[1].public_id);
    must(account_call(writer, &job.account, &err));
    ck_assert_int_eq(account_call(writer, &job.account, &err), TG_NOT_FOUND);
    ck_assert_int_eq(provider_get_by_name(reading, SPAN("spare"), &seen, &err), TG_NOT_FOUND);
    snapshot_enter(domain, reader);
    ck_assert_ptr_null(find_target("spare"));
    snapshot_leave(domain, reader);
    must(make_provider("spare", SECRET_B, NULL)); /* its name is free again */
}
END_TEST

static enum tg_status upsert(const char *name, const char *base_url)
{
    struct provider_job job;

    provider_job_init(&job, PROVIDER_UPSERT, &ring, targets);
    job.input = (struct provider_input){ .has_name = true,
                                         .has_secret = true,
                                         .has_base_url = base_url != NULL,
                                         .name = span_from(name),
                                         .kind = SPAN("openai"),
                                         .base_url = span_from(base_url == NULL ? "" : base_url),
                                         .secret = SPAN(SECRET_B) };
    return account_call(writer, &job.account, &err);
}

START_TEST(the_environment_stands_behind_the_api)
{
    static const char *const none[] = { NULL };
    struct provider row;
    struct provider_job job;

    must(make_provider("main", SECRET_A, NULL));
    ck_assert_int_eq(upsert("main", NULL), TG_CONFLICT);
    must(upsert("openai", NULL));
    must(upsert("openai", "http://127.0.0.1:9000/v1/"));
    must(provider_get_by_name(reading, SPAN("openai"), &row, &err));
    ck_assert_int_eq(row.source, PROVIDER_FROM_ENVIRONMENT);
    ck_assert_str_eq(row.base_url, "http://127.0.0.1:9000/v1");

    provider_job_init(&job, PROVIDER_DISABLE_ABSENT, &ring, targets);
    job.input.present = none;
    must(account_call(writer, &job.account, &err));
    must(provider_get_by_name(reading, SPAN("openai"), &row, &err));
    ck_assert(!row.is_enabled);
    snapshot_enter(domain, reader);
    ck_assert_ptr_null(find_target("openai"));
    ck_assert_ptr_nonnull(find_target("main"));
    snapshot_leave(domain, reader);

    must(upsert("openai", NULL));
    must(provider_get_by_name(reading, SPAN("openai"), &row, &err));
    ck_assert(row.is_enabled);
}
END_TEST

struct upsert_case {
    const char *base_url; /* NULL: the kind's own */
    const char *secret;
    bool is_change;
};

/* One start after the other. */
static const struct upsert_case starts[] = {
    { NULL, SECRET_A, true },
    { NULL, SECRET_A, false },
    { "https://api.openai.com/v1/", SECRET_A, false }, /* the same, once mended */
    { NULL, SECRET_B, true },
    { NULL, SECRET_B, false },
    { "http://127.0.0.1:9000/v1", SECRET_B, true },
    { "http://127.0.0.1:9000/v1", SECRET_B, false },
    { "http://127.0.0.1:9000/v1", "", true },
    { "http://127.0.0.1:9000/v1", "", false },
    { "http://127.0.0.1:9000/v1", SECRET_B, true },
};

START_TEST(a_start_that_finds_nothing_new_changes_nothing)
{
    int64_t revision = 0;

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct provider_job job;
        struct provider row;

        provider_job_init(&job, PROVIDER_UPSERT, &ring, targets);
        job.input = (struct provider_input){ .has_name = true,
                                             .has_secret = true,
                                             .has_base_url = starts[i].base_url != NULL,
                                             .name = SPAN("openai"),
                                             .kind = SPAN("openai"),
                                             .secret = span_from(starts[i].secret) };
        if (starts[i].base_url != NULL)
            job.input.base_url = span_from(starts[i].base_url);
        must(account_call(writer, &job.account, &err));
        must(provider_get_by_name(reading, SPAN("openai"), &row, &err));
        revision += starts[i].is_change ? 1 : 0;
        ck_assert_msg(row.revision == revision, "start %zu: revision %d, not %d", i,
                      (int)row.revision, (int)revision);
        ck_assert_int_eq(job.after.revision, revision);
        snapshot_enter(domain, reader);
        ck_assert(
            span_equal(secret_span(&find_target("openai")->secret), span_from(starts[i].secret)));
        snapshot_leave(domain, reader);
    }
}
END_TEST

static enum tg_status store_models(const struct provider *row, int64_t if_revision)
{
    struct provider_job job;

    provider_job_init(&job, PROVIDER_SET_MODELS, &ring, targets);
    job.public_id = span_from(row->public_id);
    job.if_revision = if_revision;
    job.input.models = SPAN("[\"m-1\"]");
    return account_call(writer, &job.account, &err);
}

START_TEST(a_fetched_list_is_no_change_and_none_of_an_address_before)
{
    struct provider row;
    struct provider_job job;

    must(make_provider("main", SECRET_A, &row));
    must(store_models(&row, row.revision));
    must(store_models(&row, row.revision)); /* it is the same still */
    provider_job_init(&job, PROVIDER_UPDATE, &ring, targets);
    job.public_id = span_from(row.public_id);
    job.if_revision = row.revision;
    job.input = (struct provider_input){ .has_name = true, .name = SPAN("renamed") };
    must(account_call(writer, &job.account, &err));
    ck_assert_int_eq(job.after.models_at_ms, START_MS);
    ck_assert_int_eq(store_models(&row, row.revision), TG_STALE);
    job.if_revision = 0;
    job.input = (struct provider_input){ .has_base_url = true,
                                         .base_url = SPAN("https://api.openai.com/v2") };
    must(account_call(writer, &job.account, &err));
    ck_assert_int_eq(job.after.models_at_ms, 0);
    ck_assert_int_eq(job.after.model_count, 1);
    must(store_models(&row, job.after.revision));
    job.input = (struct provider_input){ .has_secret = true, .secret = SPAN(SECRET_B) };
    must(account_call(writer, &job.account, &err));
    ck_assert_int_eq(job.after.models_at_ms, 0);
}
END_TEST

START_TEST(a_fetched_list_of_models_is_in_force)
{
    struct provider row;
    struct provider_job job;

    must(make_provider("main", SECRET_A, &row));
    provider_job_init(&job, PROVIDER_SET_MODELS, &ring, targets);
    job.public_id = span_from(row.public_id);
    job.input.models = SPAN("[\"m-1\",\"m-2\"]");
    must(account_call(writer, &job.account, &err));
    ck_assert_int_eq(job.after.model_count, 2);
    ck_assert_int_eq(job.after.models_at_ms, START_MS);
    snapshot_enter(domain, reader);
    ck_assert_int_eq(find_target("main")->model_count, 2);
    ck_assert_str_eq(find_target("main")->models[1], "m-2");
    snapshot_leave(domain, reader);
}
END_TEST

/* --- admin tokens --- */

static enum tg_status make_token(const char *role, const char *team, const char *name,
                                 struct token *row, char secret[ID_TOKEN_SIZE])
{
    struct token_job job;
    enum tg_status status;

    token_job_init(&job, TOKEN_CREATE, gate);
    job.secret = secret;
    job.input = (struct token_input){ .name = span_from(name),
                                      .role = span_from(role),
                                      .team_public_id = span_from(team) };
    status = account_call(writer, &job.account, &err);
    *row = job.after;
    return status;
}

static enum tg_status present(const char *token, struct token_identity *identity)
{
    return token_authenticate(gate, reading, span_from(token), identity, &err);
}

START_TEST(a_token_says_who_holds_it_until_it_is_revoked)
{
    char secret[ID_TOKEN_SIZE];
    struct token row;
    struct token_identity who;
    struct token_job job;
    bool has_owner = true;

    must(token_has_owner(reading, START_MS, &has_owner, &err));
    ck_assert(!has_owner);
    must(make_token("owner", "", "me", &row, secret));
    must(token_has_owner(reading, START_MS, &has_owner, &err));
    ck_assert(has_owner);
    must(present(secret, &who));
    ck_assert_int_eq(who.role, TOKEN_OWNER);
    ck_assert_int_eq(who.scope, ACCOUNT_ALL);
    ck_assert_str_eq(who.public_id, row.public_id);
    ck_assert_int_eq(make_token("owner", "", "me", &row, secret), TG_CONFLICT);

    must(make_token("viewer", "", "eyes", &row, secret));
    token_job_init(&job, TOKEN_REVOKE, gate);
    job.public_id = span_from(row.public_id);
    must(account_call(writer, &job.account, &err));
    ck_assert_int_eq(present(secret, &who), TG_UNAUTHENTICATED);
    ck_assert_int_eq(present("tga_nonsense", &who), TG_UNAUTHENTICATED);
    ck_assert_int_eq(present("", &who), TG_UNAUTHENTICATED);
}
END_TEST

START_TEST(a_team_token_ends_with_its_team)
{
    char team[ID_TEXT_SIZE];
    char secret[ID_TOKEN_SIZE];
    struct token row;
    struct token_identity who;
    AUTO(team_job) job;

    make_team("one", team);
    ck_assert_int_eq(make_token("team", "", "t", &row, secret), TG_INVALID);
    ck_assert_int_eq(make_token("viewer", team, "t", &row, secret), TG_INVALID);
    ck_assert_int_eq(make_token("god", "", "t", &row, secret), TG_INVALID);
    must(make_token("team", team, "t", &row, secret));
    must(present(secret, &who));
    ck_assert_int_eq(who.role, TOKEN_TEAM);
    ck_assert_int_eq(who.scope, row.team_id);
    ck_assert_int_ne(who.scope, ACCOUNT_ALL);
    team_job_init(&job, TEAM_ARCHIVE, keyring);
    job.public_id = span_from(team);
    must(account_call(writer, &job.account, &err));
    ck_assert_int_eq(present(secret, &who), TG_UNAUTHENTICATED);
}
END_TEST

/* name: NULL for the one that it is given */
static enum tg_status trade_for(const char *setup, const char *name, char secret[ID_TOKEN_SIZE])
{
    struct token_job job;

    token_job_init(&job, TOKEN_SETUP, gate);
    job.secret = secret;
    job.input.setup = span_from(setup);
    job.input.has_name = name != NULL;
    if (name != NULL)
        job.input.name = span_from(name);
    return account_call(writer, &job.account, &err);
}

static enum tg_status trade(const char *setup, char secret[ID_TOKEN_SIZE])
{
    return trade_for(setup, NULL, secret);
}

START_TEST(the_setup_token_is_traded_once_and_within_an_hour)
{
    char setup[ID_TOKEN_SIZE];
    char secret[ID_TOKEN_SIZE];
    char again[ID_TOKEN_SIZE];
    struct token row;
    struct token_identity who;

    ck_assert_int_eq(trade("", secret), TG_UNAUTHENTICATED);
    token_gate_open_setup(gate, START_MS, setup);
    ck_assert_int_eq(present(setup, &who), TG_UNAUTHENTICATED);
    ck_assert_int_eq(trade("tga_wrong", secret), TG_UNAUTHENTICATED);
    atomic_store(&now_ms, START_MS + HOUR_MS);
    ck_assert_int_eq(trade(setup, secret), TG_UNAUTHENTICATED);
    atomic_store(&now_ms, START_MS + HOUR_MS - 1);
    must(trade(setup, secret));
    must(present(secret, &who));
    ck_assert_int_eq(who.role, TOKEN_OWNER);
    ck_assert_int_eq(trade(setup, again), TG_UNAUTHENTICATED);

    token_gate_open_setup(gate, START_MS, setup);
    must(make_token("viewer", "", "taken", &row, again));
    ck_assert_int_eq(trade_for(setup, "taken", again), TG_CONFLICT);
    ck_assert_int_eq(trade_for(setup, "", again), TG_INVALID);
    must(trade_for(setup, "free", again)); /* what failed has not used it up */
    ck_assert_int_eq(trade_for(setup, "next", again), TG_UNAUTHENTICATED);
}
END_TEST

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(the_file_token_is_an_owner)
{
    static const char *const refused[] = { "", "short\n", "has a blank in the middle of it\n",
                                           "control-\x01-characters-inside\n" };
    char path[BOOK_PATH_MAX + 16];
    struct token_identity who;

    (void)snprintf(path, sizeof(path), "%s/token", place.folder);
    ck_assert_int_eq(token_gate_read_file(gate, path, &err), TG_IO);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        write_file(path, refused[i]);
        ck_assert_int_eq(token_gate_read_file(gate, path, &err), TG_INVALID);
    }
    ck_assert_int_eq(present("0123456789abcdef0123", &who), TG_UNAUTHENTICATED);
    write_file(path, "0123456789abcdef0123 \n");
    must(token_gate_read_file(gate, path, &err));
    must(present("0123456789abcdef0123", &who));
    ck_assert_int_eq(who.role, TOKEN_OWNER);
    ck_assert_int_eq(who.token_id, 0);
    ck_assert_int_eq(present("0123456789abcdef012", &who), TG_UNAUTHENTICATED);
    ck_assert_int_eq(present("0123456789abcdef01234", &who), TG_UNAUTHENTICATED);
}
END_TEST

/* --- secrets and the disk --- */

/* Every file of the folder in one buffer. */
static void read_folder(struct buf *bytes)
{
    DIR *dir = opendir(place.folder);
    const struct dirent *entry;
    int files = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[BOOK_PATH_MAX * 2];
        FILE *file;
        int c;

        (void)snprintf(path, sizeof(path), "%s/%s", place.folder, entry->d_name);
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "master.key") == 0)
            continue;
        file = fopen(path, "r");
        ck_assert_ptr_nonnull(file);
        files++;
        while ((c = fgetc(file)) != EOF)
            buf_put_byte(bytes, (char)c);
        (void)fclose(file);
    }
    (void)closedir(dir);
    ck_assert_int_ge(files, 2); /* the database and its log */
    ck_assert(!bytes->failed);
}

/* Neither as it is, nor in base64 at any of its three phases. */
static void must_be_absent(const struct buf *bytes, const char *secret)
{
    const struct span whole = span_from(secret);
    size_t at;

    ck_assert(!span_find(buf_span(bytes), whole, &at));
    for (size_t phase = 0; phase < 3; phase++) {
        const size_t len = (whole.len - phase) / 3 * 3;
        char text[512];

        sodium_bin2base64(text, sizeof(text), (const unsigned char *)whole.ptr + phase, len,
                          sodium_base64_VARIANT_ORIGINAL);
        ck_assert(!span_find(buf_span(bytes), span_from(text), &at));
    }
}

#define SECRETS 12

START_TEST(no_secret_reaches_the_disk)
{
    static char secret[SECRETS][ID_TOKEN_SIZE];
    char team[ID_TEXT_SIZE];
    char key[ID_TEXT_SIZE];
    char setup[ID_TOKEN_SIZE];
    struct token row;
    AUTO(buf) bytes;
    size_t at;

    buf_init(&bytes, 64u << 20);
    make_team("one", team);
    for (int i = 0; i < SECRETS / 3; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "n%d", i);
        make_key(team, name, key, secret[i * 3]);
        must(rotate(key, 60, secret[i * 3 + 1]));
        must(make_token("admin", "", name, &row, secret[i * 3 + 2]));
    }
    token_gate_open_setup(gate, START_MS, setup);
    must(make_provider("main", SECRET_A, NULL));
    must(make_provider("spare", SECRET_B, NULL));
    read_folder(&bytes);
    ck_assert(span_find(buf_span(&bytes), span_from(key), &at)); /* it is the right file */
    for (int i = 0; i < SECRETS; i++)
        must_be_absent(&bytes, secret[i]);
    must_be_absent(&bytes, setup);
    must_be_absent(&bytes, SECRET_A);
    must_be_absent(&bytes, SECRET_B);
}
END_TEST

/* --- readers and changes at once --- */

#define READERS 2
#define CHANGES 60

struct reading_thread {
    pthread_t thread;
    int reader;
    unsigned char kept[SECRET_HASH_SIZE];    /* of a key that stays */
    unsigned char changed[SECRET_HASH_SIZE]; /* of one that is changed all the time */
    atomic_bool is_over;
    _Atomic(int64_t) turns;
};

/* A turn sees one state: what it has found stays as it was, whatever is published meanwhile. */
static void *read_on(void *context)
{
    struct reading_thread *self = context;

    while (!atomic_load(&self->is_over)) {
        const struct key_entry *kept;
        const struct key_entry *changed;
        const struct targets *list;

        snapshot_enter(domain, self->reader);
        kept = keyring_find(keyring, self->kept, START_MS);
        changed = keyring_find(keyring, self->changed, START_MS);
        list = target_store_get(targets);
        ck_assert_ptr_nonnull(kept);
        ck_assert_ptr_nonnull(changed);
        keyring_touch(changed, START_MS);
        ck_assert(key_allows_model(kept, SPAN("any")));
        ck_assert(key_allows_model(changed, SPAN("model-x")));
        ck_assert_int_ge(list->count, 1);
        ck_assert_int_eq(list->target[0]->secret.len, strlen(SECRET_A));
        ck_assert_int_eq(secret_span(&list->target[0]->secret).ptr[0], 's');
        snapshot_leave(domain, self->reader);
        atomic_fetch_add(&self->turns, 1);
    }
    return NULL;
}

static void change_key(const char *key, int number)
{
    AUTO(key_job) job;

    key_job_init(&job, KEY_UPDATE, &ring, keyring);
    job.public_id = span_from(key);
    job.input = (struct key_input){ .has_models = true,
                                    .models = number % 2 == 0 ? SPAN("[\"model-x\",\"b\"]")
                                                              : SPAN("[\"c\",\"model-*\"]") };
    must(account_call(writer, &job.account, &err));
}

START_TEST(readers_keep_the_state_of_their_turn)
{
    static struct reading_thread threads[READERS];
    char team[ID_TEXT_SIZE];
    char kept[ID_TEXT_SIZE];
    char changed[ID_TEXT_SIZE];
    char secret[2][ID_TOKEN_SIZE];
    struct provider row;

    make_team("one", team);
    make_key(team, "kept", kept, secret[0]);
    make_key(team, "changed", changed, secret[1]);
    must(make_provider("main", SECRET_A, &row));
    for (int i = 0; i < READERS; i++) {
        must(snapshot_reader_add(domain, &threads[i].reader));
        secret_hash(&ring, span_from(secret[0]), threads[i].kept);
        secret_hash(&ring, span_from(secret[1]), threads[i].changed);
        ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, read_on, &threads[i]), 0);
    }
    for (int i = 0; i < CHANGES; i++) {
        struct provider_job job;

        change_key(changed, i);
        provider_job_init(&job, PROVIDER_SET_MODELS, &ring, targets);
        job.public_id = span_from(row.public_id);
        job.input.models = i % 2 == 0 ? SPAN("[]") : SPAN("[\"m\"]");
        must(account_call(writer, &job.account, &err));
    }
    for (int i = 0; i < READERS; i++) {
        while (atomic_load(&threads[i].turns) < CHANGES)
            sched_yield();
        atomic_store(&threads[i].is_over, true);
        ck_assert_int_eq(pthread_join(threads[i].thread, NULL), 0);
    }
}
END_TEST

static void add_all(TCase *tcase)
{
    tcase_add_test(tcase, a_team_is_stored_as_it_was_given);
    tcase_add_test(tcase, a_team_name_is_given_once);
    tcase_add_test(tcase, a_patch_changes_what_it_has_and_nothing_else);
    tcase_add_test(tcase, unknown_and_foreign_ids_are_not_found);
    tcase_add_test(tcase, lists_are_paged_to_their_end);
    tcase_add_test(tcase, archiving_a_team_ends_its_keys_before_it_is_answered);
    tcase_add_test(tcase, a_key_is_accepted_before_it_is_answered);
    tcase_add_test(tcase, a_key_name_is_free_again_once_revoked);
    tcase_add_test(tcase, a_key_needs_a_team_that_is_there);
    tcase_add_test(tcase, a_revoked_key_is_refused_and_stays_so);
    tcase_add_test(tcase, a_rotation_overlaps_for_as_long_as_asked);
    tcase_add_test(tcase, overlapping_secrets_are_bounded_and_an_urgent_rotation_ends_them);
    tcase_add_test(tcase, a_key_is_found_after_a_restart);
    tcase_add_test(tcase, the_last_use_is_written_by_a_flush);
    tcase_add_test(tcase, a_submitted_revoke_is_answered_after_the_swap);
    tcase_add_test(tcase, what_runs_along_undoes_the_change_when_it_fails);
    tcase_add_test(tcase, a_provider_is_in_the_list_with_its_secret_before_it_is_answered);
    tcase_add_test(tcase, a_secret_is_not_sent_to_a_host_it_was_not_given_for);
    tcase_add_test(tcase, the_secret_of_one_row_is_refused_in_another);
    tcase_add_test(tcase, one_provider_is_the_default_and_a_deleted_one_is_gone);
    tcase_add_test(tcase, the_environment_stands_behind_the_api);
    tcase_add_test(tcase, a_start_that_finds_nothing_new_changes_nothing);
    tcase_add_test(tcase, a_fetched_list_is_no_change_and_none_of_an_address_before);
    tcase_add_test(tcase, a_fetched_list_of_models_is_in_force);
    tcase_add_test(tcase, a_token_says_who_holds_it_until_it_is_revoked);
    tcase_add_test(tcase, a_team_token_ends_with_its_team);
    tcase_add_test(tcase, the_setup_token_is_traded_once_and_within_an_hour);
    tcase_add_test(tcase, the_file_token_is_an_owner);
    tcase_add_test(tcase, no_secret_reaches_the_disk);
    tcase_add_test(tcase, readers_keep_the_state_of_their_turn);
}

Suite *suite(void)
{
    Suite *accounts = suite_create("integration/accounts");
    TCase *tcase = tcase_create("accounts");

    tcase_add_checked_fixture(tcase, open_all, close_all);
    tcase_set_timeout(tcase, 60);
    add_all(tcase);
    suite_add_tcase(accounts, tcase);
    return accounts;
}
