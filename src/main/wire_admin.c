#include "main/wire_admin.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/try.h"
#include "providers/catalogue.h"
#include "routing/provider.h"
#include "routing/refresh.h"
#include "sandbox/sandbox.h"
#include "store/reader.h"
#include "store/snapshot.h"
#include "web/assets.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Connections for reading: a few reports at once, and short look-ups beside them. */
#define READERS           8
#define ADMIN_CONNECTIONS 256
#define ENVIRONMENT_MAX   64
#define VARIABLE_SIZE     128

static int64_t next_adjustment_id(void *context)
{
    struct wire_admin *admin = context;
    int64_t id;

    pthread_mutex_lock(&admin->ids_lock);
    id = id_next(&admin->ids, clock_wall_ms());
    pthread_mutex_unlock(&admin->ids_lock);
    return id;
}

static enum tg_status open_gate(struct wire_admin *admin, const struct settings *settings,
                                struct err *err)
{
    TRY(token_gate_new(admin->parts.ring, &admin->gate));
    admin->parts.gate = admin->gate;
    if (settings->admin_token_file == NULL)
        return TG_OK;
    return token_gate_read_file(admin->gate, settings->admin_token_file, err);
}

static void on_provider_changed(void *context)
{
    const struct wire_admin *admin = context;

    refresh_tell(admin->refresh);
}

static enum tg_status start_refresh(struct wire_admin *admin, struct err *err)
{
    const struct refresh_options options = {
        .readers = admin->readers,
        .writer = admin->parts.writer,
        .targets = admin->parts.targets,
        .ring = admin->parts.ring,
        .ca_file = admin->parts.ca_file,
    };

    TRY(refresh_start(&options, &admin->refresh, err));
    admin->parts.provider_changed = on_provider_changed;
    admin->parts.provider_changed_context = admin;
    return TG_OK;
}

static enum tg_status listen_on(struct wire_admin *admin, const struct settings *settings,
                                bool is_local, struct err *err)
{
    const struct daemon_options options = {
        .name = "admin",
        .handle = api_handle,
        .context = &admin->parts,
        .body_max_bytes = API_BODY_MAX,
        .long_body_path = API_IMPORT_PATH,
        .long_body_max_bytes = API_IMPORT_MAX,
        .connections_max = ADMIN_CONNECTIONS,
    };
    char socket_path[SETTINGS_PATH_MAX + 16];
    int fd;

    if (!is_local) {
        TRY(daemon_listen_tcp(settings->admin_listen, &fd, &admin->port, err));
        TRY(daemon_start(fd, &options, &admin->tcp, err));
    }
    snprintf(socket_path, sizeof(socket_path), "%s/admin.sock", settings->data_dir);
    TRY(daemon_listen_unix(socket_path, &fd, err));
    return daemon_start(fd, &options, &admin->unix_socket, err);
}

enum tg_status wire_admin_start(struct wire_admin *admin, const struct settings *settings,
                                int64_t id_floor, bool is_local, struct err *err)
{
    static const struct assets assets = { .folder = NULL };

    pthread_mutex_init(&admin->ids_lock, NULL);
    id_source_init(&admin->ids, ID_SOURCE_MAX, id_floor);
    pthread_mutex_init(&admin->view.lock, NULL);
    TRY(snapshot_reader_add(admin->view.domain, &admin->view.reader));
    admin->parts.view = &admin->view;

    admin->parts.other = assets_handle;
    admin->parts.other_context = (void *)&assets;
    admin->parts.next_id = next_adjustment_id;
    admin->parts.next_id_context = admin;
    TRY(reader_pool_new(admin->parts.database_path, READERS, &admin->readers, err));
    admin->parts.readers = admin->readers;
    TRY(open_gate(admin, settings, err));
    if (!is_local)
        TRY(start_refresh(admin, err));
    return listen_on(admin, settings, is_local, err);
}

void wire_admin_stop(struct wire_admin *admin)
{
    daemon_stop(admin->tcp);
    daemon_stop(admin->unix_socket);
    refresh_stop(admin->refresh);
    sandbox_stop(admin->sandbox);
    reader_pool_free(admin->readers);
    token_gate_free(admin->gate);
    *admin = (struct wire_admin){ 0 };
}

void wire_admin_announce(struct wire_admin *admin, const struct settings *settings)
{
    const char *colon = strrchr(settings->admin_listen, ':');
    const int host_len = colon != NULL ? (int)(colon - settings->admin_listen) : 0;
    char setup[ID_TOKEN_SIZE];
    bool has_owner = true;
    AUTO(reader) reader = { 0 };

    printf("admin: http://%.*s:%d/\n", host_len, settings->admin_listen, admin->port);
    if (settings->admin_token_file == NULL &&
        reader_enter(&reader, admin->readers, NULL) == TG_OK &&
        token_has_owner(reader.db, clock_wall_ms(), &has_owner, NULL) == TG_OK && !has_owner) {
        token_gate_open_setup(admin->gate, clock_wall_ms(), setup);
        printf("set up, once and within an hour: http://%.*s:%d/#setup=%s\n", host_len,
               settings->admin_listen, admin->port, setup);
        explicit_bzero(setup, sizeof(setup));
    }
    fflush(stdout);
}

/* --- providers from the environment -------------------------------------------------------------
 */

/* TOLLGATE_<KIND>_BASE_URL, capitals, other characters '_'. */
static const char *base_url_of(const struct tg_kind *kind)
{
    char name[VARIABLE_SIZE];

    snprintf(name, sizeof(name), "TOLLGATE_%s_BASE_URL", kind->name);
    for (char *c = name; *c != '\0'; c++)
        *c = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c) : '_';
    return getenv(name);
}

/* Whether it is known where the kind's provider is. */
static bool has_address(const struct tg_kind *kind)
{
    if (kind->base_url != NULL || base_url_of(kind) != NULL)
        return true;
    log_event(LOG_WARN, "provider of the environment left aside", LOG_FS("name", kind->name),
              LOG_FS("variable", kind->env_key),
              LOG_FS("why", "its address is not known; set TOLLGATE_<KIND>_BASE_URL"));
    return false;
}

static enum tg_status upsert(const struct api_parts *parts, const struct tg_kind *kind,
                             const char *secret, const char *base_url, struct err *err)
{
    struct provider_job job;
    enum tg_status status;

    provider_job_init(&job, PROVIDER_UPSERT, parts->ring, parts->targets);
    job.input.has_name = true;
    job.input.name = span_from(kind->name);
    job.input.kind = span_from(kind->name);
    job.input.has_secret = true;
    job.input.secret = span_trim(span_from(secret));
    job.input.has_base_url = base_url != NULL;
    job.input.base_url = base_url != NULL ? span_from(base_url) : SPAN_EMPTY;
    status = account_call(parts->writer, &job.account, err);
    if (status != TG_CONFLICT)
        return status;
    log_event(LOG_WARN, "provider of the environment left aside", LOG_FS("name", kind->name),
              LOG_FS("variable", kind->env_key),
              LOG_FS("why", "one of that name was made by the API and wins"));
    return TG_OK;
}

static enum tg_status upsert_sandbox(struct wire_admin *admin, struct err *err)
{
    const struct tg_kind *kind = catalogue_kind(SPAN("sandbox"));
    char url[SANDBOX_URL_SIZE];

    assert(kind != NULL);
    TRY(sandbox_start(/* port= */ 0, &admin->sandbox, url, err));
    return upsert(&admin->parts, kind, "sandbox", url, err);
}

enum tg_status wire_providers(struct wire_admin *admin, const struct settings *settings,
                              struct err *err)
{
    const struct api_parts *parts = &admin->parts;
    const char *present[ENVIRONMENT_MAX + 2] = { NULL };
    const struct tg_kind *kind;
    struct provider_job job;
    int count = 0;

    for (int i = 0; (kind = catalogue_kind_at(i)) != NULL && count < ENVIRONMENT_MAX; i++) {
        const char *secret = kind->env_key != NULL ? getenv(kind->env_key) : NULL;

        if (secret == NULL || secret[0] == '\0' || !has_address(kind))
            continue;
        TRY(upsert(parts, kind, secret, base_url_of(kind), err));
        present[count++] = kind->name;
    }
    if (settings->is_sandbox) {
        TRY(upsert_sandbox(admin, err));
        present[count++] = "sandbox";
    }
    provider_job_init(&job, PROVIDER_DISABLE_ABSENT, parts->ring, parts->targets);
    job.input.present = present;
    return account_call(parts->writer, &job.account, err);
}
