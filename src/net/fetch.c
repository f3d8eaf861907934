#include "net/fetch.h"

#include "base/try.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>

#define CONNECT_MS 10000L

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void start_library(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
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

#define SET(option, value) (curl_easy_setopt(curl, (option), (value)) == CURLE_OK)

static bool set_route(CURL *curl, const struct fetch_request *request)
{
    if (request->unix_socket != NULL && !SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket))
        return false;
    if (request->unix_socket != NULL || request->is_loopback)
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
    return SET(CURLOPT_URL, request->url) && SET(CURLOPT_CUSTOMREQUEST, request->method) &&
           SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) &&
           SET(CURLOPT_TIMEOUT_MS, (long)request->deadline_ms) &&
           SET(CURLOPT_HTTPHEADER, headers) && SET(CURLOPT_WRITEFUNCTION, on_body) &&
           SET(CURLOPT_WRITEDATA, answer) && set_route(curl, request);
}

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
    char said[CURL_ERROR_SIZE] = "";
    enum tg_status status = TG_OK;
    CURLcode code;
    CURL *curl;

    *ret_answer = (struct fetch_answer){ 0 };
    buf_init(&ret_answer->body, request->answer_max_bytes);
    (void)pthread_once(&library_once, start_library);
    curl = curl_easy_init();
    if (curl == NULL || !copy_headers(request, &headers) ||
        !set_all(curl, request, headers, ret_answer)) {
        status = err_set(err, TG_NO_MEMORY, "out of memory for a request");
    } else {
        (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, said);
        code = curl_easy_perform(curl);
        read_head(curl, ret_answer);
        if (ret_answer->body.failed)
            status = err_set(err, TG_TOO_LARGE, "the answer is larger than %zu bytes",
                             request->answer_max_bytes);
        else if (code != CURLE_OK)
            status = err_set(err, status_of(code), "%s",
                             said[0] != '\0' ? said : curl_easy_strerror(code));
    }
    curl_easy_cleanup(curl);
    free_headers(headers);
    return status;
}
