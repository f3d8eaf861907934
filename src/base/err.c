#include "base/err.h"

#include "base/span.h"
#include "tollgate/provider.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum tg_status err_set(struct err *err, enum tg_status status, const char *format, ...)
{
    va_list args;
    int len;

    assert(status != TG_OK);
    if (err == NULL)
        return status;
    va_start(args, format);
    len = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (len < 0)
        err->text[0] = '\0';
    if (len >= (int)sizeof(err->text)) /* cut: not in the middle of a character */
        err->text[span_utf8_cut(span_from(err->text), sizeof(err->text) - 1)] = '\0';
    return status;
}

static const struct tg_status_info infos[TG_STATUS_COUNT] = {
#define TG_STATUS_INFO(status, http_, code_, type_, retry_, sentence_)                             \
    [status] = { .name = #status,                                                                  \
                 .code = (code_),                                                                  \
                 .type = (type_),                                                                  \
                 .sentence = (sentence_),                                                          \
                 .http = (http_),                                                                  \
                 .may_retry = (retry_) },
    TG_STATUSES(TG_STATUS_INFO)
#undef TG_STATUS_INFO
};

const char *tg_refusal_reason_name(enum tg_refusal_reason reason)
{
    static const char *const names[] = {
        [TG_REFUSAL_TOO_LARGE] = "too_large", [TG_REFUSAL_RATE] = "rate",
        [TG_REFUSAL_SPENT] = "spent",         [TG_REFUSAL_HELD] = "held",
        [TG_REFUSAL_UNPRICED] = "unpriced",
    };

    return names[reason];
}

const struct tg_status_info *tg_status_info(enum tg_status status)
{
    assert((unsigned)status < TG_STATUS_COUNT);
    return &infos[status];
}
