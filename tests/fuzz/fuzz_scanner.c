/* Oracle: what the scanner accepts, cJSON accepts, with the same values; and a request reader that
 * walks the same text accepts no body that the plain walk refuses. */
#include "providers/openai_chat_request.h"
#include "providers/scanner.h"
#include "support/support_json_oracle.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span text = span_of((const char *)data, size);
    const bool is_json = oracle_scanner_accepts(text);
    struct tg_request request;
    const enum tg_status status = openai_chat_read_request((struct tg_span){ text.ptr, text.len },
                                                           &(struct tg_path){ 0 }, &request);

    if (is_json)
        assert(oracle_agrees(text));
    if (status != TG_OK) {
        assert(request.problem != NULL);
        return 0;
    }
    assert(is_json);
    assert(request.model_len > 0 && request.model_len <= TG_MODEL_MAX);
    assert(request.choices >= 1 && request.choices <= TG_CHOICES_MAX);
    assert(request.media_bytes >= 0 && (size_t)request.media_bytes <= size);
    return 0;
}
