#ifndef PROVIDERS_ANTHROPIC_REQUEST_H
#define PROVIDERS_ANTHROPIC_REQUEST_H

#include "tollgate/provider.h"

/* The body of POST /v1/messages, and of /v1/messages/count_tokens, which takes the same but for
 * what bounds the output. What is enforced (model, stream, max_tokens, thinking with its
 * budget_tokens, fallbacks) may stand once only.
 *
 * Media are the `source` objects of content blocks, however deep: base64 data counts into
 * media_bytes, a URL or a file's id sets TG_REQUEST_FETCHES, text is text. What a tool was called
 * with (`input`) is the model's own and is not looked into. Tools that run at the provider, MCP
 * servers, containers, stored threads, compaction and fallback models set TG_REQUEST_FETCHES too:
 * there the provider reads more than was sent, or reads it more than once.
 *
 * A fallback with an output maximum of its own sets TG_REQUEST_MAX_FIXED. */

/* For the contracts, see struct tg_dialect. */
TG_MUST_CHECK enum tg_status anthropic_read_request(struct tg_span body, const struct tg_path *path,
                                                    struct tg_request *ret_request);
int anthropic_plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                         const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX]);

#endif
