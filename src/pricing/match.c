#include "pricing/match.h"

size_t match_normalise(struct span model, char *name)
{
    const struct span prefix = SPAN("models/");

    if (span_starts_with_nocase(model, prefix))
        model = span_from_offset(model, prefix.len);
    if (model.len > MATCH_NAME_MAX)
        return 0;
    for (size_t i = 0; i < model.len; i++) {
        const char c = model.ptr[i];

        name[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    return model.len;
}
