#include "net/fetch.h"

#include "base/try.h"
#include "net/address.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONNECT_MS 10000L
#define TURN_MS    1000 /* libcurl's own timers end a wait earlier */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void start_library(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum tg_status fetch_stop_init(struct fetch_stop *stop)
{
    stop->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return stop->fd < 0 ? TG_NO_MEMORY : TG_OK;
}

void fetch_stop_fini(struct fetch_stop *stop)
{
    if (stop->fd >= 0)
        (void)close(stop->fd);
    stop->fd = -1;
}

/* It stays readable: nobody takes the number out. */
void fetch_stop_now(struct fetch_stop *stop)
{
    const int failed = eventfd_write(stop->fd, 1);

    assert(failed == 0);
}

void fetch_answer_fini(struct fetch_answer *answer)
{
    buf_fini(&answer->body);
}

/* Header lines may hold a secret, and libcurl's list is a copy of them. */
static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *each = headers; each != NULL; each = each->next)
        explicit_bzero(each->data, strlen(each->data));
    curl_slist_free_all(headers);
}

static bool copy_headers(const struct fetch_request *request, struct curl_slist **ret_headers)
{
    /* No wait for a "100 Continue". */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    bool is_whole = headers != NULL;

    for (int i = 0; is_whole && request->headers[i] != NULL; i++)
        is_whole = curl_slist_append(headers, request->headers[i]) != NULL;
    *ret_headers = headers;
    return is_whole;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct fetch_answer *answer = context;

    buf_put(&answer->body, bytes, size * count);
    return answer->body.failed ? 0 : size * count;
}

static curl_socket_t on_open_socket(void *context, curlsocktype purpose,
                                    struct curl_sockaddr *address)
{
    bool *refused_an_address = context;

    (void)purpose;
    if (address_is_refused(&address->addr)) {
        *refused_an_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

#define SET(option, value) (curl_easy_setopt(curl, (option), (value)) == CURLE_OK)

static bool set_route(CURL *curl, const struct fetch_request *request, bool *refused_an_address)
{
    const bool is_tls = span_starts_with_nocase(span_from(request->url), SPAN("https://"));

    if (request->unix_socket != NULL) {
        if (!SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket))
            return false;
    } else if (!SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket) ||
               !SET(CURLOPT_OPENSOCKETDATA, refused_an_address)) {
        return false;
    }
    if (request->unix_socket != NULL || request->is_loopback || !is_tls)
        return SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOPROXY, "*");
    return true;
}

static bool set_all(CURL *curl, const struct fetch_request *request, struct curl_slist *headers,
                    struct fetch_answer *answer)
{
    if (request->body.ptr != NULL &&
        !(SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) &&
          SET(CURLOPT_POSTFIELDS, request->body.ptr)))
        return false;
    if (request->ca_file != NULL &&
        !(SET(CURLOPT_CAINFO, request->ca_file) && SET(CURLOPT_CAPATH, NULL)))
        return false;
    return SET(CURLOPT_URL, request->url) && SET(CURLOPT_CUSTOMREQUEST, request->method) &&
           SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_QUICK_EXIT, 1L) &&
           SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) &&
           SET(CURLOPT_TIMEOUT_MS, (long)request->deadline_ms) &&
           SET(CURLOPT_HTTPHEADER, headers) && SET(CURLOPT_WRITEFUNCTION, on_body) &&
           SET(CURLOPT_WRITEDATA, answer);
}

/* What came of a transfer. */
struct outcome {
    CURLcode code;
    bool is_stopped;
    bool refused_an_address;
    char said[CURL_ERROR_SIZE];
};

static enum tg_status status_of(CURLcode code)
{
    if (code == CURLE_OPERATION_TIMEDOUT)
        return TG_UPSTREAM_TIMEOUT;
    if (code == CURLE_OUT_OF_MEMORY)
        return TG_NO_MEMORY;
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return TG_INVALID;
    if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_GOT_NOTHING || code == CURLE_HTTP2 ||
        code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR)
        return TG_UPSTREAM_INVALID;
    return TG_UPSTREAM_UNREACHABLE;
}

static enum tg_status judge(const struct outcome *outcome, const struct fetch_request *request,
                            const struct fetch_answer *answer, struct err *err)
{
    if (outcome->is_stopped)
        return err_set(err, TG_DRAINING, "stopped before the answer came");
    if (answer->body.failed)
        return err_set(err, TG_TOO_LARGE, "the answer is larger than %zu bytes",
                       request->answer_max_bytes);
    if (outcome->code != CURLE_OK && outcome->refused_an_address)
        return err_set(err, TG_UPSTREAM_UNREACHABLE,
                       "its address is link-local or reserved: not dialled");
    if (outcome->code != CURLE_OK)
        return err_set(err, status_of(outcome->code), "%s",
                       outcome->said[0] != '\0' ? outcome->said
                                                : curl_easy_strerror(outcome->code));
    return TG_OK;
}

/* By the multi interface, which waits for a descriptor of ours beside its own: curl_easy_perform
 * would ask whether to go on once a second. */
static void transfer(CURLM *multi, const struct fetch_stop *stop, struct outcome *outcome)
{
    struct curl_waitfd told = { .fd = stop != NULL ? stop->fd : -1, .events = CURL_WAIT_POLLIN };
    const CURLMsg *message;
    int running = 1;
    int left;

    outcome->code = CURLE_OUT_OF_MEMORY;
    while (running > 0) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return;
        if (running > 0 &&
            curl_multi_poll(multi, &told, stop != NULL ? 1 : 0, TURN_MS, NULL) != CURLM_OK)
            return;
        outcome->is_stopped = running > 0 && told.revents != 0;
        if (outcome->is_stopped)
            return;
    }
    message = curl_multi_info_read(multi, &left);
    if (message != NULL && message->msg == CURLMSG_DONE)
        outcome->code = message->data.result;
}

static void read_head(CURL *curl, struct fetch_answer *answer)
{
    const char *type = NULL;
    long http = 0;

    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    answer->http = (int)http;
    if (type != NULL)
        (void)snprintf(answer->type, sizeof(answer->type), "%.*s", (int)strcspn(type, "; "), type);
}

enum tg_status fetch(const struct fetch_request *request, struct fetch_answer *ret_answer,
                     struct err *err)
{
    struct curl_slist *headers = NULL;
    struct outcome outcome = { .code = CURLE_OK };
    enum tg_status status;
    CURLM *multi;
    CURL *curl;

    *ret_answer = (struct fetch_answer){ 0 };
    buf_init(&ret_answer->body, request->answer_max_bytes);
    (void)pthread_once(&library_once, start_library);
    curl = curl_easy_init();
    multi = curl_multi_init();
    if (curl == NULL || multi == NULL || !copy_headers(request, &headers) ||
        !set_all(curl, request, headers, ret_answer) ||
        !set_route(curl, request, &outcome.refused_an_address) ||
        !SET(CURLOPT_ERRORBUFFER, outcome.said) || curl_multi_add_handle(multi, curl) != CURLM_OK) {
        status = err_set(err, TG_NO_MEMORY, "out of memory for a request");
    } else {
        transfer(multi, request->stop, &outcome);
        read_head(curl, ret_answer);
        status = judge(&outcome, request, ret_answer, err);
        (void)curl_multi_remove_handle(multi, curl);
    }
    curl_easy_cleanup(curl);
    (void)curl_multi_cleanup(multi);
    free_headers(headers);
    return status;
}
