#ifndef TOLLGATE_STATUS_H
#define TOLLGATE_STATUS_H

#include <stdbool.h>

/* The outcome of everything that can fail: one code for each thing a caller would do differently.
 * One table, read by the listeners, the command line and the documents alike. */

#define TG_MUST_CHECK __attribute__((warn_unused_result))

/* X(name, HTTP status, code shown to programs, type in OpenAI's error envelope, may retry,
 * sentence) */
#define TG_STATUSES(X)                                                                             \
    X(TG_OK, 200, "ok", "", false, "Done.")                                                        \
    X(TG_INVALID, 400, "invalid_request", "invalid_request_error", false,                          \
      "The request is not valid.")                                                                 \
    X(TG_UNAUTHENTICATED, 401, "invalid_api_key", "invalid_request_error", false,                  \
      "Incorrect API key provided.")                                                               \
    X(TG_FORBIDDEN, 403, "forbidden", "invalid_request_error", false,                              \
      "This token may not do that.")                                                               \
    X(TG_NOT_FOUND, 404, "not_found", "invalid_request_error", false, "There is no such thing.")   \
    X(TG_NO_ROUTE, 404, "unknown_url", "invalid_request_error", false, "Unknown request URL.")     \
    X(TG_MODEL_NOT_FOUND, 404, "model_not_found", "invalid_request_error", false,                  \
      "No provider serves this model.")                                                            \
    X(TG_METHOD_NOT_ALLOWED, 405, "method_not_allowed", "invalid_request_error", false,            \
      "Not allowed to use this method on this URL.")                                               \
    X(TG_REQUEST_TIMEOUT, 408, "request_timeout", "invalid_request_error", true,                   \
      "The request did not arrive in time.")                                                       \
    X(TG_CONFLICT, 409, "conflict", "invalid_request_error", false, "It exists already.")          \
    X(TG_STALE, 412, "precondition_failed", "invalid_request_error", false,                        \
      "It has changed since it was read.")                                                         \
    X(TG_TOO_LARGE, 413, "request_too_large", "invalid_request_error", false,                      \
      "The request body is too large.")                                                            \
    X(TG_UNSUPPORTED_ENCODING, 415, "unsupported_content_encoding", "invalid_request_error",       \
      false, "Compressed request bodies are not accepted.")                                        \
    X(TG_EXPECTATION_FAILED, 417, "expectation_failed", "invalid_request_error", false,            \
      "Only 'Expect: 100-continue' is understood.")                                                \
    X(TG_UPGRADE_REQUIRED, 426, "upgrade_required", "invalid_request_error", false,                \
      "WebSocket is not served here; use HTTPS.")                                                  \
    X(TG_UNPRICED, 400, "model_not_priced", "invalid_request_error", false,                        \
      "This model has no price, and a limit in money applies.")                                    \
    X(TG_RATE_LIMITED, 429, "rate_limit_exceeded", "requests", true, "Too many requests.")         \
    X(TG_LIMIT_REACHED, 429, "project_spend_limit_exceeded", "insufficient_quota", false,          \
      "A limit of this key, its team or its organization is used up.")                             \
    X(TG_HEADERS_TOO_LARGE, 431, "headers_too_large", "invalid_request_error", false,              \
      "The request headers are too large.")                                                        \
    X(TG_INTERNAL, 500, "internal_error", "server_error", false, "Something went wrong here.")     \
    X(TG_NO_MEMORY, 503, "no_memory", "server_error", true, "Out of memory for this request.")     \
    X(TG_OUT_OF_RANGE, 400, "out_of_range", "invalid_request_error", false,                        \
      "A number is out of range.")                                                                 \
    X(TG_UNSUPPORTED_CODING, 501, "unsupported_transfer_encoding", "invalid_request_error", false, \
      "Only 'Transfer-Encoding: chunked' is understood.")                                          \
    X(TG_UPSTREAM_UNREACHABLE, 502, "provider_unreachable", "server_error", true,                  \
      "The provider could not be reached.")                                                        \
    X(TG_UPSTREAM_INVALID, 502, "provider_invalid_answer", "server_error", true,                   \
      "The provider's answer was not valid HTTP.")                                                 \
    X(TG_LEDGER_UNAVAILABLE, 503, "ledger_unavailable", "server_error", true,                      \
      "Usage cannot be recorded now, so nothing was sent.")                                        \
    X(TG_OVERLOADED, 503, "overloaded", "server_error", true, "Too busy; nothing was sent.")       \
    X(TG_DRAINING, 503, "shutting_down", "server_error", true, "Shutting down; nothing was sent.") \
    X(TG_UPSTREAM_TIMEOUT, 504, "provider_timeout", "server_error", true,                          \
      "The provider did not answer in time.")                                                      \
    X(TG_UNSUPPORTED_VERSION, 505, "http_version_not_supported", "invalid_request_error", false,   \
      "Only HTTP/1.0 and HTTP/1.1 are spoken here.")                                               \
    X(TG_LOOP, 508, "loop_detected", "invalid_request_error", false,                               \
      "This request has passed here before.")                                                      \
    X(TG_IO, 500, "io_error", "server_error", true, "Reading or writing failed.")                  \
    X(TG_CORRUPT, 500, "corrupt", "server_error", false, "Stored data is damaged.")                \
    X(TG_AGAIN, 500, "again", "server_error", true, "Not ready yet.")                              \
    X(TG_CLOSED, 500, "closed", "server_error", false, "The other side has closed.")

enum tg_status {
#define TG_STATUS_NAME(name, http, code, type, retry, sentence) name,
    TG_STATUSES(TG_STATUS_NAME)
#undef TG_STATUS_NAME
        TG_STATUS_COUNT
};

struct tg_status_info {
    const char *name;     /* "TG_INVALID" */
    const char *code;     /* stable word for programs */
    const char *type;     /* `error.type` in OpenAI's envelope */
    const char *sentence; /* for people; used where nothing more exact is known */
    int http;             /* HTTP status of an answer that carries it */
    bool may_retry;       /* the same request may succeed later */
};

/* Describe `status`. Never NULL; static storage. */
const struct tg_status_info *tg_status_info(enum tg_status status);

#endif
