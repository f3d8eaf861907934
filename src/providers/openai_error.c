#include "providers/openai_error.h"

#include "providers/error_text.h"

#include <assert.h>
#include <stdio.h>

static const char *type_of(const struct tg_error *error)
{
    if (error->status != TG_RATE_LIMITED || error->refusal == NULL)
        return tg_status_info(error->status)->type;
    return strstr(error->refusal->metric, "tokens") != NULL ? "tokens" : "requests";
}

static const char *code_of(const struct tg_error *error)
{
    if (error->status == TG_LIMIT_REACHED && error->refusal != NULL &&
        strcmp(error->refusal->scope, "organization") == 0)
        return "organization_spend_limit_exceeded";
    return tg_status_info(error->status)->code;
}

size_t openai_error_write(const struct tg_error *error, char *out, size_t cap)
{
    char refusal[ERROR_TEXT_TAIL_MAX];
    char tail[ERROR_TEXT_TAIL_MAX + 256];
    const size_t refusal_len = error_text_refusal(error->refusal, refusal, sizeof(refusal));
    const int len =
        snprintf(tail, sizeof(tail), "\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"%.*s}}",
                 type_of(error), code_of(error), (int)refusal_len, refusal);

    assert(len > 0 && (size_t)len < sizeof(tail));
    return error_text_join(SPAN("{\"error\":{\"message\":\""), error, span_of(tail, (size_t)len),
                           out, cap);
}
