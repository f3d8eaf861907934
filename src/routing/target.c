#include "routing/target.h"

#include "base/buf.h"
#include "base/try.h"
#include "ledger/account.h"
#include "providers/catalogue.h"
#include "routing/provider.h"
#include "store/stmt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static const char sql_enabled[] =
    "SELECT id, public_id, name, kind, is_default, base_url, secret, models FROM provider "
    "WHERE deleted_ms IS NULL AND disabled_ms IS NULL ORDER BY id LIMIT ?1 /* scan */";

struct target_store {
    const struct secret_ring *ring;
    struct snapshot_domain *domain;
    struct snapshot list;
};

/* --- addresses --- */

#define PORT_HTTP  80
#define PORT_HTTPS 443
#define PORT_MAX   65535

static const char url_rule[] = "base_url must be like https://api.example.com/v1";

static enum tg_status bad_url(struct err *err, const char *why)
{
    return err_set(err, TG_INVALID, "%s: %s", url_rule, why);
}

static bool is_host_byte(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_';
}

/* A name or an IPv4 address: labels of letters, digits, '-' and '_'. */
static bool is_host_name(struct span host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_byte(host.ptr[i]))
            return false;
        if (host.ptr[i] == '.' && (i == 0 || i + 1 == host.len || host.ptr[i + 1] == '.'))
            return false;
    }
    return host.len > 0 && host.ptr[0] != '-';
}

static bool is_ipv6(struct span host)
{
    size_t colon;

    for (size_t i = 0; i < host.len; i++)
        if (!isxdigit((unsigned char)host.ptr[i]) && host.ptr[i] != ':' && host.ptr[i] != '.')
            return false;
    return span_find_byte(host, ':', &colon);
}

static void put_host(struct span host, struct target_url *url)
{
    for (size_t i = 0; i < host.len; i++)
        url->host[i] = (char)tolower((unsigned char)host.ptr[i]);
    url->host[host.len] = '\0';
}

static int default_port(bool is_tls)
{
    return is_tls ? PORT_HTTPS : PORT_HTTP;
}

/* Cut "host", "host:port", "[address]:port" in two; what is no host's form has an empty host. */
static struct span cut_host(struct span authority, struct span *ret_rest)
{
    const bool is_bracketed = span_starts_with(authority, SPAN("["));
    size_t at;

    *ret_rest = SPAN_EMPTY;
    if (!span_find_byte(authority, is_bracketed ? ']' : ':', &at))
        return is_host_name(authority) ? authority : SPAN_EMPTY;
    *ret_rest = span_from_offset(authority, at + (is_bracketed ? 1 : 0));
    if (is_bracketed) {
        const struct span address = span_of(authority.ptr + 1, at - 1);

        return is_ipv6(address) ? address : SPAN_EMPTY;
    }
    authority.len = at;
    return is_host_name(authority) ? authority : SPAN_EMPTY;
}

/* What the Host field says: no port where it is the scheme's. */
static void put_authority(struct target_url *url)
{
    const bool is_bracketed = strchr(url->host, ':') != NULL;
    const int len =
        snprintf(url->authority, sizeof(url->authority), is_bracketed ? "[%s]" : "%s", url->host);

    if (url->port != default_port(url->is_tls))
        (void)snprintf(url->authority + len, sizeof(url->authority) - (size_t)len, ":%d",
                       url->port);
}

static enum tg_status parse_authority(struct span authority, struct target_url *url,
                                      struct err *err)
{
    int64_t port = default_port(url->is_tls);
    struct span host;
    struct span rest;
    size_t at;

    if (span_find_byte(authority, '@', &at))
        return bad_url(err, "it must have no user or password");
    host = cut_host(authority, &rest);
    if (host.len == 0 || host.len >= sizeof(url->host))
        return bad_url(err, "its host is missing or not a name or address");
    if (rest.len > 0 && (rest.ptr[0] != ':' ||
                         !span_to_int64(span_from_offset(rest, 1), PORT_MAX, &port) || port == 0))
        return bad_url(err, "its port must be 1 to 65535");
    put_host(host, url);
    url->port = (int)port;
    put_authority(url);
    return TG_OK;
}

static bool is_path_byte(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("/-._~:@!$&'()*+,;=", c) != NULL);
}

/* "v1", "v1beta", "v2alpha1": a version as providers write it. */
static bool is_version(struct span segment)
{
    return segment.len >= 2 && segment.ptr[0] == 'v' && isdigit((unsigned char)segment.ptr[1]);
}

/* Cut off the last segment, with the '/' before it. */
static struct span cut_last(struct span *path)
{
    size_t start = path->len;
    struct span segment;

    while (start > 0 && path->ptr[start - 1] != '/')
        start--;
    segment = span_from_offset(*path, start);
    path->len = start > 0 ? start - 1 : 0;
    return segment;
}

/* Without '/' at the end, and with a version that stands there twice only once. */
static struct span mend_path(struct span path)
{
    for (;;) {
        struct span shorter;
        struct span parent;
        struct span last;

        while (span_ends_with(path, SPAN("/")))
            path.len--;
        parent = path;
        last = cut_last(&parent);
        shorter = parent;
        if (!is_version(last) || !span_equal(cut_last(&parent), last))
            return path;
        path = shorter;
    }
}

static enum tg_status parse_path(struct span path, struct target_url *url, struct err *err)
{
    struct span rest;
    struct span segment;

    for (size_t i = 0; i < path.len; i++)
        if (!is_path_byte(path.ptr[i]))
            return bad_url(err, "it must have no query, fragment, blank, '%' or other character "
                                "than a plain path has");
    path = mend_path(path);
    if (path.len >= sizeof(url->path))
        return bad_url(err, "it is too long");
    rest = path.len > 0 ? span_from_offset(path, 1) : path;
    while (span_cut(&rest, '/', &segment))
        if (segment.len == 0 || span_equal(segment, SPAN(".")) || span_equal(segment, SPAN("..")))
            return bad_url(err, "its path must have no empty, '.' or '..' part");
    memcpy(url->path, path.ptr, path.len);
    url->path[path.len] = '\0';
    return TG_OK;
}

enum tg_status target_parse_url(struct span url, struct target_url *ret_url, struct err *err)
{
    struct target_url parsed = { .is_tls = span_starts_with_nocase(url, SPAN("https://")) };
    struct span rest;
    size_t end = 0;

    if (!parsed.is_tls && !span_starts_with_nocase(url, SPAN("http://")))
        return bad_url(err, "it must begin with https:// or http://");
    rest = span_from_offset(url, parsed.is_tls ? strlen("https://") : strlen("http://"));
    while (end < rest.len && strchr("/?#\\", rest.ptr[end]) == NULL)
        end++;
    if (memchr(rest.ptr, '\0', rest.len) != NULL)
        return bad_url(err, "it has a NUL");
    TRY(parse_authority(span_of(rest.ptr, end), &parsed, err));
    TRY(parse_path(span_from_offset(rest, end), &parsed, err));
    *ret_url = parsed;
    return TG_OK;
}

/* --- one target --- */

static void free_target(struct target *target)
{
    if (target == NULL)
        return;
    free((char *)target->endpoint.host);
    free((char *)target->endpoint.authority);
    free(target->base_path);
    free(target->models);
    secret_fini(&target->secret);
    free(target);
}

static void free_targets(void *object)
{
    struct targets *targets = object;

    if (targets == NULL)
        return;
    for (int i = 0; i < targets->count; i++)
        free_target(targets->target[i]);
    free(targets);
}

/* The same number for the same connections: all that was used to open one, and whose they are. */
static uint64_t identity_of(const struct target_url *url, int32_t provider_id)
{
    char text[sizeof(url->authority) + sizeof(url->host) + 64];
    const int len = snprintf(text, sizeof(text), "%d %s %d %s %d", (int)provider_id, url->host,
                             url->port, url->authority, url->is_tls ? 1 : 0);

    return span_hash(span_of(text, (size_t)len));
}

static enum tg_status read_address(struct span base_url, struct target *target, struct err *err)
{
    struct target_url url;
    struct err why = { 0 };

    if (target_parse_url(base_url, &url, &why) != TG_OK)
        return err_set(err, TG_CORRUPT, "provider %s: its address is damaged; set base_url again",
                       target->name);
    target->endpoint = (struct client_endpoint){
        .host = strdup(url.host),
        .port = url.port,
        .is_tls = url.is_tls,
        .authority = strdup(url.authority),
        .identity = identity_of(&url, target->id),
    };
    target->base_path = strdup(url.path);
    if (target->endpoint.host == NULL || target->endpoint.authority == NULL ||
        target->base_path == NULL)
        return TG_NO_MEMORY;
    return TG_OK;
}

static enum tg_status open_secret(const struct secret_ring *ring, struct span sealed,
                                  struct target *target, struct err *err)
{
    char context[PROVIDER_CONTEXT_SIZE];
    enum tg_status status;

    provider_secret_context(target->public_id, context);
    status = secret_open(ring, span_from(context), sealed, &target->secret);
    if (status != TG_CORRUPT)
        return status;
    return err_set(err, status,
                   "provider %s: its secret cannot be opened with this master key; put the master "
                   "key back, or set the secret again",
                   target->name);
}

static enum tg_status read_target(const struct target_store *store, const struct stmt *stmt,
                                  struct target *target, struct err *err)
{
    target->id = (int32_t)stmt_int(stmt, 0);
    account_copy_text(stmt_text(stmt, 1), target->public_id, sizeof(target->public_id));
    account_copy_text(stmt_text(stmt, 2), target->name, sizeof(target->name));
    target->kind = catalogue_kind(stmt_text(stmt, 3));
    target->is_default = stmt_int(stmt, 4) != 0;
    if (target->kind == NULL)
        return err_set(err, TG_CORRUPT,
                       "provider %s: its kind %.*s is not known to this program; delete it or use "
                       "the program that made it",
                       target->name, SPAN_ARG(stmt_text(stmt, 3)));
    TRY(read_address(stmt_text(stmt, 5), target, err));
    if (!stmt_is_null(stmt, 6))
        TRY(open_secret(store->ring, stmt_blob(stmt, 6), target, err));
    if (stmt_is_null(stmt, 7))
        return TG_OK;
    if (account_read_models(stmt_text(stmt, 7), &target->models, &target->model_count) ==
        TG_CORRUPT)
        return err_set(err, TG_CORRUPT, "provider %s: its model list is damaged; fetch it again",
                       target->name);
    return target->models == NULL ? TG_NO_MEMORY : TG_OK;
}

/* --- the list --- */

static enum tg_status read_all(const struct target_store *store, struct stmt *stmt,
                               struct targets *targets, struct err *err)
{
    for (;;) {
        struct target *target;
        bool has_row;

        TRY(stmt_step(stmt, &has_row, err));
        if (!has_row)
            return TG_OK;
        target = calloc(1, sizeof(*target));
        if (target == NULL)
            return TG_NO_MEMORY;
        targets->target[targets->count++] = target;
        TRY(read_target(store, stmt, target, err));
    }
}

enum tg_status target_store_refresh(struct target_store *store, struct db *db, struct err *err)
{
    struct targets *targets = calloc(1, sizeof(*targets));
    struct stmt *stmt;
    enum tg_status status;

    if (targets == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for the providers");
    status = stmt_use(db, sql_enabled, &stmt, err);
    if (status == TG_OK) {
        stmt_bind_int(stmt, 1, TARGETS_MAX);
        status = read_all(store, stmt, targets, err);
        stmt_reset(stmt);
    }
    if (status != TG_OK) {
        free_targets(targets);
        if (status == TG_NO_MEMORY)
            err_set(err, status, "out of memory for the providers");
        return status;
    }
    snapshot_swap(store->domain, &store->list, targets, free_targets);
    return TG_OK;
}

enum tg_status target_store_open(struct db *db, const struct secret_ring *ring,
                                 struct snapshot_domain *domain, struct target_store **ret_store,
                                 struct err *err)
{
    struct target_store *store = calloc(1, sizeof(*store));
    enum tg_status status;

    if (store == NULL)
        return err_set(err, TG_NO_MEMORY, "out of memory for the providers");
    store->ring = ring;
    store->domain = domain;
    atomic_init(&store->list.current, NULL);
    status = target_store_refresh(store, db, err);
    if (status != TG_OK) {
        free(store);
        return status;
    }
    *ret_store = store;
    return TG_OK;
}

void target_store_close(struct target_store *store)
{
    if (store == NULL)
        return;
    snapshot_swap(store->domain, &store->list, NULL, free_targets);
    free(store);
}

const struct targets *target_store_get(const struct target_store *store)
{
    return snapshot_get(&store->list);
}
