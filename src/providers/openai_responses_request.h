#ifndef PROVIDERS_OPENAI_RESPONSES_REQUEST_H
#define PROVIDERS_OPENAI_RESPONSES_REQUEST_H

#include "tollgate/provider.h"

/* The body of POST /responses, as far as routing and sizing need it. Enforced, each once only:
 * model, stream, max_output_tokens, max_tool_calls, background, reasoning.
 *
 * What the provider finds by itself sets TG_REQUEST_FETCHES: an earlier response, a conversation, a
 * stored prompt, files and addresses, items that are named by their id alone, and every tool that
 * does not run at the client. Inline media count into media_bytes wherever they stand in `input`.
 */

/* For the contract, see read_request in struct tg_dialect. */
TG_MUST_CHECK enum tg_status openai_responses_read_request(struct tg_span body,
                                                           const struct tg_path *path,
                                                           struct tg_request *ret_request);

/* For the contract, see plan_edits in struct tg_dialect. */
int openai_responses_plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                                const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX]);

#endif
