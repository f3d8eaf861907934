#include "providers/anthropic_error.h"

#include "providers/error_text.h"

#include <assert.h>
#include <stdio.h>

#define REQUEST_ID_MAX 64

/* Of a status that has a type of its own; the others follow from their HTTP status. */
static const struct {
    enum tg_status status;
    const char *type;
} types[] = {
    { TG_UNAUTHENTICATED, "authentication_error" },
    { TG_FORBIDDEN, "permission_error" },
    { TG_NOT_FOUND, "not_found_error" },
    { TG_NO_ROUTE, "not_found_error" },
    { TG_MODEL_NOT_FOUND, "not_found_error" },
    { TG_TOO_LARGE, "request_too_large" },
    { TG_RATE_LIMITED, "rate_limit_error" },
    { TG_LIMIT_REACHED, "rate_limit_error" },
    { TG_UPSTREAM_TIMEOUT, "timeout_error" },
    { TG_OVERLOADED, "overloaded_error" },
    { TG_DRAINING, "overloaded_error" },
    { TG_NO_MEMORY, "overloaded_error" },
    { TG_LOOP, "invalid_request_error" },
};

static const char *type_of(enum tg_status status)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].status == status)
            return types[i].type;
    return tg_status_info(status)->http >= 500 ? "api_error" : "invalid_request_error";
}

size_t anthropic_error_write(const struct tg_error *error, char *out, size_t cap)
{
    const char *const details =
        error->status == TG_LIMIT_REACHED
            ? ",\"details\":{\"error_code\":\"enforced_spend_limit_reached\"}"
            : "";
    const size_t id_len =
        error->request_id.len < REQUEST_ID_MAX ? error->request_id.len : REQUEST_ID_MAX;
    char refusal[ERROR_TEXT_TAIL_MAX];
    char head[128];
    char tail[ERROR_TEXT_TAIL_MAX + 256];
    const size_t refusal_len = error_text_refusal(error->refusal, refusal, sizeof(refusal));
    const int head_len = snprintf(head, sizeof(head),
                                  "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"",
                                  type_of(error->status));
    const int tail_len = snprintf(tail, sizeof(tail), "\"%s%.*s},\"request_id\":\"%.*s\"}", details,
                                  (int)refusal_len, refusal, (int)id_len, error->request_id.ptr);

    assert(head_len > 0 && (size_t)head_len < sizeof(head));
    assert(tail_len > 0 && (size_t)tail_len < sizeof(tail));
    return error_text_join(span_of(head, (size_t)head_len), error, span_of(tail, (size_t)tail_len),
                           out, cap);
}
