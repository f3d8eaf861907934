#include "net/connector.h"

#include "base/clock.h"
#include "base/map.h"
#include "net/address.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREADS_PER_SITE_MAX (CONNECTOR_THREADS_MAX / 2)
#define THREAD_STACK_BYTES   ((size_t)512 * 1024)
#define URL_SIZE             (CONNECTOR_HOST_MAX + 32)
#define WHY_SIZE             sizeof(((struct connector_request *)NULL)->why)

/* One endpoint identity while it is being connected to, or after it has failed. */
struct connector_site {
    uint64_t identity;
    struct list queue; /* requests */
    int queued;
    int busy;          /* threads */
    struct list ready; /* in connector.ready while a thread may take one of its requests */
    int failures;      /* in a row; CONNECTOR_FAILURES_MAX: the circuit is open */
    int64_t open_ms;   /* how long the circuit opens */
    int64_t open_until_us;
    bool is_probing; /* the one connect after the time is on its way */
    char why[WHY_SIZE];
};

struct connector {
    X509_STORE *authorities;
    CURLSH *share;
    pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
    char *proxy; /* NULL: none */
    char *no_proxy;

    pthread_mutex_t lock; /* guards what follows; taken before a loop's, never inside it */
    pthread_cond_t work;
    pthread_cond_t gone; /* a thread has ended */
    struct map sites;
    struct list ready; /* sites, served in turn */
    int queued;
    int threads;
    int busy;
    _Atomic bool is_closing; /* written under the lock; also read by connects under way */
    bool has_ended;
    pthread_t ended; /* the last thread that ended, not joined yet */
};

/* A connect in a thread's hands. A copy, so that the request can be withdrawn meanwhile. */
struct connector_job {
    struct connector *connector;
    struct connector_request *request; /* NULL: withdrawn */
    struct connector_site *site;
    char host[CONNECTOR_HOST_MAX + 1];
    int port;
    bool is_tls;
    bool is_probe;
    int64_t deadline_us;
    int kept_fd;             /* outlives its handle; -1: none */
    bool refused_an_address; /* of a range that is never dialled */
    enum tg_status status;
    char why[WHY_SIZE];
    struct connector_link link;
};

/* --- one connect, by libcurl --- */

static curl_socket_t on_open_socket(void *context, curlsocktype purpose,
                                    struct curl_sockaddr *address)
{
    struct connector_job *job = context;

    (void)purpose;
    if (address_is_refused(&address->addr)) {
        job->refused_an_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int on_close_socket(void *context, curl_socket_t fd)
{
    const struct connector_job *job = context;

    return fd == job->kept_fd ? 0 : close(fd);
}

/* The authorities are loaded once for all connects: libcurl would parse the whole bundle for each,
 * which costs more than the rest of the handshake. Read-ahead saves a recv a TLS record. */
static CURLcode on_tls_context(CURL *handle, void *tls_context, void *context)
{
    const struct connector *connector = context;

    (void)handle;
    SSL_CTX_set1_cert_store(tls_context, connector->authorities);
    SSL_CTX_set_read_ahead(tls_context, 1);
    return CURLE_OK;
}

#define SET(handle, option, value) (curl_easy_setopt((handle), (option), (value)) == CURLE_OK)

static bool set_socket_options(CURL *handle, struct connector_job *job)
{
    /* Plain sockets are served without libcurl, so only they need to outlive their handle. */
    if (!job->is_tls && !(SET(handle, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket) &&
                          SET(handle, CURLOPT_CLOSESOCKETDATA, job)))
        return false;
    return SET(handle, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) &&
           SET(handle, CURLOPT_OPENSOCKETDATA, job) && SET(handle, CURLOPT_TCP_NODELAY, 1L) &&
           SET(handle, CURLOPT_TCP_KEEPALIVE, 1L) && SET(handle, CURLOPT_TCP_KEEPIDLE, 60L) &&
           SET(handle, CURLOPT_TCP_KEEPINTVL, 30L);
}

static bool set_tls_options(CURL *handle, const struct connector_job *job)
{
    const struct connector *connector = job->connector;

    return SET(handle, CURLOPT_SSL_VERIFYPEER, 1L) && SET(handle, CURLOPT_SSL_VERIFYHOST, 2L) &&
           SET(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(handle, CURLOPT_CAINFO, NULL) && SET(handle, CURLOPT_CAPATH, NULL) &&
           SET(handle, CURLOPT_SSL_CTX_FUNCTION, on_tls_context) &&
           SET(handle, CURLOPT_SSL_CTX_DATA, connector);
}

static bool set_proxy_options(CURL *handle, const struct connector_job *job)
{
    const struct connector *connector = job->connector;

    /* Never left unset: libcurl would look into the environment itself. */
    if (connector->proxy == NULL || !job->is_tls || address_is_loopback(job->host))
        return SET(handle, CURLOPT_PROXY, "") && SET(handle, CURLOPT_NOPROXY, "*");
    return SET(handle, CURLOPT_PROXY, connector->proxy) &&
           SET(handle, CURLOPT_NOPROXY, connector->no_proxy == NULL ? "" : connector->no_proxy);
}

/* libcurl asks at least once a second while it connects. Anything but 0 ends the connect. */
static int on_progress(void *context, curl_off_t download_total, curl_off_t downloaded,
                       curl_off_t upload_total, curl_off_t uploaded)
{
    const struct connector *connector = context;

    (void)download_total;
    (void)downloaded;
    (void)upload_total;
    (void)uploaded;
    return connector->is_closing ? 1 : 0;
}

static bool set_options(CURL *handle, struct connector_job *job, int64_t timeout_ms, char *errors)
{
    char url[URL_SIZE];

    (void)snprintf(url, sizeof url,
                   strchr(job->host, ':') != NULL ? "%s://[%s]:%d/" : "%s://%s:%d/",
                   job->is_tls ? "https" : "http", job->host, job->port);
    return SET(handle, CURLOPT_ERRORBUFFER, errors) && SET(handle, CURLOPT_URL, url) &&
           SET(handle, CURLOPT_PROTOCOLS_STR, job->is_tls ? "https" : "http") &&
           SET(handle, CURLOPT_CONNECT_ONLY, 1L) && SET(handle, CURLOPT_FRESH_CONNECT, 1L) &&
           SET(handle, CURLOPT_NOSIGNAL, 1L) && SET(handle, CURLOPT_QUICK_EXIT, 1L) &&
           SET(handle, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) &&
           SET(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(handle, CURLOPT_BUFFERSIZE, 1024L) && SET(handle, CURLOPT_NOPROGRESS, 0L) &&
           SET(handle, CURLOPT_XFERINFOFUNCTION, on_progress) &&
           SET(handle, CURLOPT_XFERINFODATA, job->connector) &&
           SET(handle, CURLOPT_SHARE, job->connector->share) &&
           SET(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms) &&
           SET(handle, CURLOPT_TIMEOUT_MS, (long)timeout_ms) && set_socket_options(handle, job) &&
           set_proxy_options(handle, job) && (!job->is_tls || set_tls_options(handle, job));
}

static void job_fail(struct connector_job *job, enum tg_status status, const char *why)
{
    job->status = status;
    (void)snprintf(job->why, sizeof job->why, "%.80s:%d: %s", job->host, job->port, why);
}

static void job_succeed(struct connector_job *job, CURL *handle)
{
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (curl_easy_getinfo(handle, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
        fd == CURL_SOCKET_BAD) {
        job_fail(job, TG_UPSTREAM_UNREACHABLE, "the connection was lost at once");
        curl_easy_cleanup(handle);
        return;
    }
    job->status = TG_OK;
    job->link = (struct connector_link){ .fd = fd, .is_tls = job->is_tls, .handle = handle };
    if (!job->is_tls) {
        job->kept_fd = fd;
        job->link.handle = NULL;
        curl_easy_cleanup(handle);
    }
}

/* The shortest true account: libcurl's own says "Couldn't connect" where the system says why. */
static const char *failure_text(const struct connector_job *job, CURL *handle, CURLcode code,
                                const char *errors)
{
    long system_error = 0;

    if (job->refused_an_address)
        return "its address is link-local or reserved: not dialled";
    if (code == CURLE_COULDNT_CONNECT &&
        curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &system_error) == CURLE_OK &&
        system_error != 0)
        return strerrordesc_np((int)system_error);
    return errors[0] != '\0' ? errors : curl_easy_strerror(code);
}

static void job_run(struct connector_job *job)
{
    const int64_t left_ms = (job->deadline_us - clock_monotonic_us()) / 1000;
    char errors[CURL_ERROR_SIZE] = "";
    CURL *handle;
    CURLcode code;

    if (left_ms <= 0) {
        job_fail(job, TG_OVERLOADED, "too many connections are being opened");
        return;
    }
    handle = curl_easy_init();
    if (handle == NULL || !set_options(handle, job, left_ms, errors)) {
        job_fail(job, TG_OVERLOADED, "no memory for a connection");
        curl_easy_cleanup(handle);
        return;
    }
    code = curl_easy_perform(handle);
    (void)SET(handle, CURLOPT_ERRORBUFFER, NULL); /* it is on this stack */
    if (code == CURLE_OK) {
        job_succeed(job, handle);
        return;
    }
    if (code == CURLE_OUT_OF_MEMORY)
        job_fail(job, TG_OVERLOADED, "no memory for a connection");
    else
        job_fail(job, TG_UPSTREAM_UNREACHABLE, failure_text(job, handle, code, errors));
    curl_easy_cleanup(handle);
}

/* --- sites and their circuits; all under connector.lock --- */

static bool has_identity(const void *value, const void *key)
{
    return ((const struct connector_site *)value)->identity == *(const uint64_t *)key;
}

static bool is_open(const struct connector_site *site)
{
    return site->failures >= CONNECTOR_FAILURES_MAX;
}

static void site_drop(struct connector *connector, struct connector_site *site)
{
    (void)map_remove(&connector->sites, map_hash_int(site->identity), has_identity,
                     &site->identity);
    free(site);
}

static bool site_is_unused(const struct connector_site *site)
{
    return site->busy == 0 && site->queued == 0;
}

/* Forget failures whose time is over, to make room. */
static void sweep_sites(struct connector *connector, int64_t now_us)
{
    struct connector_site *site;
    size_t cursor = 0;

    while ((site = map_next(&connector->sites, &cursor)) != NULL) {
        if (site_is_unused(site) && site->open_until_us <= now_us) {
            site_drop(connector, site);
            cursor = 0; /* the map has changed */
        }
    }
}

static struct connector_site *site_of(struct connector *connector, uint64_t identity)
{
    const uint64_t hash = map_hash_int(identity);
    struct connector_site *site = map_get(&connector->sites, hash, has_identity, &identity);

    if (site != NULL)
        return site;
    if (connector->sites.count >= CONNECTOR_SITES_MAX)
        sweep_sites(connector, clock_monotonic_us());
    site = calloc(1, sizeof *site);
    if (site == NULL)
        return NULL;
    site->identity = identity;
    list_init(&site->queue);
    list_init(&site->ready);
    if (map_add(&connector->sites, hash, site) != TG_OK) {
        free(site);
        return NULL;
    }
    return site;
}

/* A site stands in the ring while it has a request that one more thread may take. */
static void site_update_ready(struct connector *connector, struct connector_site *site)
{
    if (site->queued == 0 || site->busy >= THREADS_PER_SITE_MAX)
        list_remove(&site->ready);
    else if (list_is_empty(&site->ready))
        list_push_back(&connector->ready, &site->ready);
}

static void request_answer(struct connector_request *request, enum tg_status status,
                           const char *why)
{
    request->status = status;
    request->job = NULL;
    request->site = NULL;
    (void)snprintf(request->why, sizeof request->why, "%s", why);
    loop_post(request->loop, &request->done);
}

static void request_unqueue(struct connector *connector, struct connector_request *request)
{
    list_remove(&request->node);
    request->site->queued--;
    connector->queued--;
}

static void site_fail_queue(struct connector *connector, struct connector_site *site)
{
    while (!list_is_empty(&site->queue)) {
        struct connector_request *request =
            LIST_ENTRY(site->queue.next, struct connector_request, node);

        request_unqueue(connector, request);
        request_answer(request, TG_UPSTREAM_UNREACHABLE, site->why);
    }
    site_update_ready(connector, site);
}

static void site_open_circuit(struct connector *connector, struct connector_site *site)
{
    const int64_t next_ms = site->open_ms == 0 ? CONNECTOR_CIRCUIT_MIN_MS : site->open_ms * 2;

    site->open_ms = next_ms > CONNECTOR_CIRCUIT_MAX_MS ? CONNECTOR_CIRCUIT_MAX_MS : next_ms;
    site->open_until_us = clock_monotonic_us() + site->open_ms * 1000;
    site->is_probing = false;
    site_fail_queue(connector, site);
}

/* Connects that were under way when the circuit opened may still close it, but not prolong it. */
static void site_learn(struct connector *connector, const struct connector_job *job)
{
    struct connector_site *site = job->site;

    if (job->status == TG_OK) {
        site->failures = 0;
        site->open_ms = 0;
        site->is_probing = false;
        return;
    }
    if (job->is_probe)
        site->is_probing = false;
    if (job->status != TG_UPSTREAM_UNREACHABLE)
        return; /* not its fault */
    (void)snprintf(site->why, sizeof site->why, "%s", job->why);
    if (is_open(site)) {
        if (job->is_probe)
            site_open_circuit(connector, site);
        return;
    }
    site->failures++;
    if (is_open(site))
        site_open_circuit(connector, site);
}

/* --- threads --- */

static bool job_take(struct connector *connector, struct connector_job *job)
{
    struct list *node = list_pop_front(&connector->ready);
    struct connector_site *site;
    struct connector_request *request;

    if (node == NULL)
        return false;
    site = LIST_ENTRY(node, struct connector_site, ready);
    request = LIST_ENTRY(site->queue.next, struct connector_request, node);
    request_unqueue(connector, request);
    site->busy++;
    connector->busy++;
    site_update_ready(connector, site);
    *job = (struct connector_job){ .connector = connector,
                                   .request = request,
                                   .site = site,
                                   .port = request->endpoint->port,
                                   .is_tls = request->endpoint->is_tls,
                                   .is_probe = request->is_probe,
                                   .deadline_us = request->deadline_us,
                                   .kept_fd = -1,
                                   .link = { .fd = -1 } };
    (void)snprintf(job->host, sizeof job->host, "%s", request->endpoint->host);
    request->job = job;
    return true;
}

/* Answers under the lock, so that a request is either still to be withdrawn or in its mailbox. */
static void job_finish(struct connector *connector, struct connector_job *job)
{
    struct connector_site *site = job->site;

    site->busy--;
    connector->busy--;
    site_learn(connector, job);
    if (job->request == NULL) {
        connector_link_close(&job->link);
    } else {
        job->request->link = job->link;
        request_answer(job->request, job->status, job->why);
    }
    site_update_ready(connector, site);
    if (site_is_unused(site) && site->failures == 0)
        site_drop(connector, site);
}

/* return  false when there was nothing to do for so long that the thread is not needed */
static bool wait_for_work(struct connector *connector)
{
    struct timespec until;
    int result = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CONNECTOR_THREAD_IDLE_S;
    while (list_is_empty(&connector->ready) && !connector->is_closing && result == 0)
        result = pthread_cond_timedwait(&connector->work, &connector->lock, &until);
    return !connector->is_closing && !list_is_empty(&connector->ready);
}

static void *thread_main(void *context)
{
    struct connector *connector = context;
    struct connector_job job;
    bool has_previous;
    pthread_t previous;

    pthread_mutex_lock(&connector->lock);
    while (wait_for_work(connector)) {
        if (!job_take(connector, &job))
            continue;
        pthread_mutex_unlock(&connector->lock);
        job_run(&job);
        pthread_mutex_lock(&connector->lock);
        job_finish(connector, &job);
    }
    has_previous = connector->has_ended;
    previous = connector->ended;
    connector->has_ended = true;
    connector->ended = pthread_self();
    connector->threads--;
    pthread_cond_signal(&connector->gone);
    pthread_mutex_unlock(&connector->lock);
    /* Each joins the one before it, so that the last one stands for all. */
    if (has_previous)
        pthread_join(previous, NULL);
    return NULL;
}

static bool spawn(struct connector *connector)
{
    pthread_attr_t attributes;
    sigset_t all;
    pthread_t thread;
    bool done;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    sigfillset(&all); /* signals are the main thread's */
    done = pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES) == 0 &&
           pthread_attr_setsigmask_np(&attributes, &all) == 0 &&
           pthread_create(&thread, &attributes, thread_main, connector) == 0;
    (void)pthread_attr_destroy(&attributes);
    if (done)
        connector->threads++;
    return done;
}

/* Requests that a thread could take now, counted no further than `enough`. */
static int count_runnable(const struct connector *connector, int enough)
{
    int count = 0;

    for (const struct list *node = connector->ready.next;
         node != &connector->ready && count < enough; node = node->next) {
        const struct connector_site *site = LIST_ENTRY(node, struct connector_site, ready);
        const int room = THREADS_PER_SITE_MAX - site->busy;

        count += site->queued < room ? site->queued : room;
    }
    return count;
}

/* return  whether some thread will come to it */
static bool call_thread(struct connector *connector)
{
    const int unused = connector->threads - connector->busy;

    if (connector->threads < CONNECTOR_THREADS_MAX &&
        count_runnable(connector, unused + 1) > unused && spawn(connector))
        return true;
    pthread_cond_signal(&connector->work);
    return connector->threads > 0;
}

/* --- asking --- */

/* What could end the host in the URL is refused, so that nothing but a host can be said by it. */
static bool is_host(const char *host)
{
    const size_t len = strlen(host);

    return len > 0 && len <= CONNECTOR_HOST_MAX &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-") ==
               len;
}

static void submit_locked(struct connector *connector, struct connector_request *request)
{
    const int64_t now_us = clock_monotonic_us();
    struct connector_site *site;

    if (connector->is_closing || connector->queued >= CONNECTOR_QUEUE_MAX ||
        (site = site_of(connector, request->endpoint->identity)) == NULL) {
        request_answer(request, TG_OVERLOADED, "too many connections are being opened");
        return;
    }
    if (is_open(site)) {
        if (now_us < site->open_until_us || site->is_probing) {
            request_answer(request, TG_UPSTREAM_UNREACHABLE, site->why);
            return;
        }
        site->is_probing = true;
        request->is_probe = true;
    }
    request->deadline_us = now_us + request->timeout_ms * 1000;
    request->site = site;
    list_push_back(&site->queue, &request->node);
    site->queued++;
    connector->queued++;
    site_update_ready(connector, site);
    if (!call_thread(connector)) {
        site->is_probing = false;
        (void)snprintf(site->why, sizeof site->why, "no thread for a connection");
        site_fail_queue(connector, site);
    }
}

void connector_submit(struct connector *connector, struct connector_request *request)
{
    assert(request->timeout_ms > 0);
    list_init(&request->node);
    request->link = (struct connector_link){ .fd = -1 };
    request->job = NULL;
    request->site = NULL;
    request->is_probe = false;
    pthread_mutex_lock(&connector->lock);
    if (is_host(request->endpoint->host))
        submit_locked(connector, request);
    else
        request_answer(request, TG_UPSTREAM_UNREACHABLE, "not a host name or an address");
    pthread_mutex_unlock(&connector->lock);
}

void connector_withdraw(struct connector *connector, struct connector_request *request)
{
    pthread_mutex_lock(&connector->lock);
    if (request->job != NULL) {
        request->job->request = NULL;
        request->job = NULL;
    } else if (request->site != NULL) {
        if (request->is_probe)
            request->site->is_probing = false;
        request_unqueue(connector, request);
        site_update_ready(connector, request->site);
        request->site = NULL;
    } else {
        loop_post_cancel(request->loop, &request->done);
        connector_link_close(&request->link);
    }
    pthread_mutex_unlock(&connector->lock);
}

void connector_stats(struct connector *connector, struct connector_stats *ret_stats)
{
    const struct connector_site *site;
    size_t cursor = 0;

    pthread_mutex_lock(&connector->lock);
    *ret_stats = (struct connector_stats){ .threads = connector->threads,
                                           .busy = connector->busy,
                                           .queued = connector->queued };
    while ((site = map_next(&connector->sites, &cursor)) != NULL)
        ret_stats->circuits_open += is_open(site) ? 1 : 0;
    pthread_mutex_unlock(&connector->lock);
}

/* --- life cycle --- */

static void on_share_lock(CURL *handle, curl_lock_data data, curl_lock_access access, void *context)
{
    struct connector *connector = context;

    (void)handle;
    (void)access;
    pthread_mutex_lock(&connector->share_locks[data]);
}

static void on_share_unlock(CURL *handle, curl_lock_data data, void *context)
{
    struct connector *connector = context;

    (void)handle;
    pthread_mutex_unlock(&connector->share_locks[data]);
}

static bool share_start(struct connector *connector)
{
    connector->share = curl_share_init();
    return connector->share != NULL &&
           curl_share_setopt(connector->share, CURLSHOPT_LOCKFUNC, on_share_lock) == CURLSHE_OK &&
           curl_share_setopt(connector->share, CURLSHOPT_UNLOCKFUNC, on_share_unlock) ==
               CURLSHE_OK &&
           curl_share_setopt(connector->share, CURLSHOPT_USERDATA, connector) == CURLSHE_OK &&
           curl_share_setopt(connector->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
           curl_share_setopt(connector->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) ==
               CURLSHE_OK;
}

/* OpenSSL computes what it keeps of a certificate when that is first used; here once, before
 * threads share it. */
static void authorities_prepare(X509_STORE *authorities)
{
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(authorities);

    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));

        if (certificate != NULL)
            (void)X509_check_purpose(certificate, -1, 0);
    }
}

static enum tg_status authorities_load(struct connector *connector, const char *ca_file)
{
    connector->authorities = X509_STORE_new();
    if (connector->authorities == NULL)
        return TG_NO_MEMORY;
    (void)X509_STORE_set_flags(connector->authorities,
                               X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    if (ca_file != NULL ? X509_STORE_load_file(connector->authorities, ca_file) != 1
                        : X509_STORE_set_default_paths(connector->authorities) != 1)
        return TG_IO;
    authorities_prepare(connector->authorities);
    return TG_OK;
}

static bool copy_environment(const char *upper, const char *lower, char **ret_value)
{
    const char *value = getenv(lower);

    if (value == NULL || *value == '\0')
        value = getenv(upper);
    if (value == NULL || *value == '\0')
        return true;
    *ret_value = strdup(value);
    return *ret_value != NULL;
}

static bool has_openssl(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    return info->ssl_version != NULL &&
           span_starts_with(span_from(info->ssl_version), SPAN("OpenSSL"));
}

static enum tg_status connector_start(struct connector *connector, const char *ca_file)
{
    if (!has_openssl())
        return TG_INTERNAL;
    if (!share_start(connector) ||
        !copy_environment("HTTPS_PROXY", "https_proxy", &connector->proxy) ||
        !copy_environment("NO_PROXY", "no_proxy", &connector->no_proxy))
        return TG_NO_MEMORY;
    return authorities_load(connector, ca_file);
}

static void connector_destroy(struct connector *connector)
{
    struct connector_site *site;
    size_t cursor = 0;

    while ((site = map_next(&connector->sites, &cursor)) != NULL)
        free(site);
    map_fini(&connector->sites);
    if (connector->share != NULL) {
        const CURLSHcode code = curl_share_cleanup(connector->share);

        assert(code == CURLSHE_OK); /* else a link is still open */
    }
    X509_STORE_free(connector->authorities);
    free(connector->proxy);
    free(connector->no_proxy);
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_destroy(&connector->share_locks[i]);
    pthread_cond_destroy(&connector->gone);
    pthread_cond_destroy(&connector->work);
    pthread_mutex_destroy(&connector->lock);
    free(connector);
    curl_global_cleanup();
}

enum tg_status connector_new(const char *ca_file, struct connector **ret_connector)
{
    struct connector *connector = calloc(1, sizeof *connector);
    pthread_condattr_t monotonic;
    enum tg_status status;

    if (connector == NULL)
        return TG_NO_MEMORY;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(connector);
        return TG_INTERNAL;
    }
    map_init(&connector->sites, CONNECTOR_SITES_MAX);
    list_init(&connector->ready);
    pthread_mutex_init(&connector->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&connector->work, &monotonic);
    pthread_cond_init(&connector->gone, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_init(&connector->share_locks[i], NULL);
    status = connector_start(connector, ca_file);
    if (status != TG_OK) {
        connector_destroy(connector);
        return status;
    }
    *ret_connector = connector;
    return TG_OK;
}

void connector_free(struct connector *connector)
{
    if (connector == NULL)
        return;
    pthread_mutex_lock(&connector->lock);
    connector->is_closing = true;
    pthread_cond_broadcast(&connector->work);
    while (connector->threads > 0)
        pthread_cond_wait(&connector->gone, &connector->lock);
    assert(connector->queued == 0);
    pthread_mutex_unlock(&connector->lock);
    /* Joined, not only counted: what OpenSSL keeps a thread goes after our last word of it, and
     * must not meet the clean-up at exit. */
    if (connector->has_ended)
        pthread_join(connector->ended, NULL);
    connector_destroy(connector);
}

/* --- links --- */

static enum tg_status status_of_errno(void)
{
    return errno == EAGAIN || errno == EINTR ? TG_AGAIN : TG_IO;
}

static size_t plain_result(ssize_t moved, enum tg_status *ret_status)
{
    if (moved > 0)
        return (size_t)moved;
    *ret_status = moved == 0 ? TG_CLOSED : status_of_errno();
    return 0;
}

static size_t tls_result(CURLcode code, size_t moved, enum tg_status *ret_status)
{
    if (code == CURLE_OK && moved > 0)
        return moved;
    if (code == CURLE_OK)
        *ret_status = TG_CLOSED;
    else
        *ret_status = code == CURLE_AGAIN ? TG_AGAIN : TG_IO;
    return 0;
}

size_t connector_link_send(struct connector_link *link, struct span bytes,
                           enum tg_status *ret_status)
{
    size_t sent = 0;
    CURLcode code;

    assert(bytes.len > 0);
    if (!link->is_tls)
        return plain_result(send(link->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL), ret_status);
    code = curl_easy_send(link->handle, bytes.ptr, bytes.len, &sent);
    return tls_result(code, sent, ret_status);
}

size_t connector_link_recv(struct connector_link *link, char *out, size_t cap,
                           enum tg_status *ret_status)
{
    size_t got = 0;
    CURLcode code;

    if (!link->is_tls)
        return plain_result(recv(link->fd, out, cap, 0), ret_status);
    code = curl_easy_recv(link->handle, out, cap, &got);
    if (link->tls == NULL) {
        struct curl_tlssessioninfo *info = NULL;

        /* Before the first bytes have moved, the handle does not tell. */
        if (curl_easy_getinfo(link->handle, CURLINFO_TLS_SSL_PTR, &info) == CURLE_OK &&
            info != NULL)
            link->tls = info->internals;
    }
    return tls_result(code, got, ret_status);
}

bool connector_link_has_pending(const struct connector_link *link)
{
    return link->is_tls && link->tls != NULL && SSL_has_pending(link->tls) == 1;
}

void connector_link_close(struct connector_link *link)
{
    if (link->handle != NULL)
        curl_easy_cleanup(link->handle);
    else if (link->fd >= 0)
        close(link->fd);
    *link = (struct connector_link){ .fd = -1 };
}
