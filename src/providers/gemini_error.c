#include "providers/gemini_error.h"

#include "providers/error_text.h"

#include <assert.h>
#include <stdio.h>

#define DETAILS_MAX 512
#define TYPE        "type.googleapis.com/google.rpc."

/* Google's word for a status of HTTP (google.rpc.Code). */
static const char *status_name(int http)
{
    switch (http) {
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "NOT_FOUND";
    case 409:
        return "ALREADY_EXISTS";
    case 412:
    case 426:
    case 508:
        return "FAILED_PRECONDITION";
    case 429:
        return "RESOURCE_EXHAUSTED";
    case 500:
        return "INTERNAL";
    case 405:
    case 501:
    case 505:
        return "UNIMPLEMENTED";
    case 502:
    case 503:
        return "UNAVAILABLE";
    case 408:
    case 504:
        return "DEADLINE_EXCEEDED";
    default:
        return "INVALID_ARGUMENT";
    }
}

static const char *quota_id(const struct tg_refusal *refusal)
{
    if (refusal != NULL && strcmp(refusal->scope, "organization") == 0)
        return "OrganizationBudgetPerDay";
    if (refusal != NULL && strcmp(refusal->scope, "key") == 0)
        return "KeyBudgetPerDay";
    return "TeamBudgetPerDay";
}

/* ret  bytes written, a comma in front; 0: none */
static int put_details(const struct tg_error *error, char out[DETAILS_MAX])
{
    const struct tg_refusal *const refusal = error->refusal;
    const int seconds = refusal != NULL && refusal->retry_after_s > 0 ? refusal->retry_after_s : 1;

    if (error->status == TG_RATE_LIMITED)
        return snprintf(out, DETAILS_MAX,
                        ",\"details\":[{\"@type\":\"" TYPE "RetryInfo\",\"retryDelay\":\"%ds\"}]",
                        seconds);
    if (error->status != TG_LIMIT_REACHED)
        return 0;
    if (refusal == NULL)
        return snprintf(out, DETAILS_MAX,
                        ",\"details\":[{\"@type\":\"" TYPE "QuotaFailure\",\"violations\":["
                        "{\"quotaId\":\"%s\"}]}]",
                        quota_id(NULL));
    return snprintf(out, DETAILS_MAX,
                    ",\"details\":[{\"@type\":\"" TYPE "QuotaFailure\",\"violations\":["
                    "{\"subject\":\"%s\",\"quotaMetric\":\"%s\",\"quotaId\":\"%s\","
                    "\"quotaValue\":\"%s\"}]}]",
                    refusal->limit_id, refusal->metric, quota_id(refusal), refusal->amount);
}

size_t gemini_error_write(const struct tg_error *error, char *out, size_t cap)
{
    const int http = tg_status_info(error->status)->http;
    char refusal[ERROR_TEXT_TAIL_MAX];
    char details[DETAILS_MAX];
    char head[64];
    char tail[ERROR_TEXT_TAIL_MAX + DETAILS_MAX + 64];
    const size_t refusal_len = error_text_refusal(error->refusal, refusal, sizeof(refusal));
    const int details_len = put_details(error, details);
    const int head_len =
        snprintf(head, sizeof(head), "{\"error\":{\"code\":%d,\"message\":\"", http);
    const int tail_len =
        snprintf(tail, sizeof(tail), "\",\"status\":\"%s\"%.*s%.*s}}", status_name(http),
                 details_len, details, (int)refusal_len, refusal);

    assert(details_len < DETAILS_MAX);
    assert(head_len > 0 && (size_t)head_len < sizeof(head));
    assert(tail_len > 0 && (size_t)tail_len < sizeof(tail));
    return error_text_join(span_of(head, (size_t)head_len), error, span_of(tail, (size_t)tail_len),
                           out, cap);
}
