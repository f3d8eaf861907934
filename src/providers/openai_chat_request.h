#ifndef PROVIDERS_OPENAI_CHAT_REQUEST_H
#define PROVIDERS_OPENAI_CHAT_REQUEST_H

#include "tollgate/provider.h"

/* The body of POST /chat/completions, as far as routing and sizing need it. What is enforced
 * (model, stream, n, the output maxima, stream_options, best_of) may stand once only, however its
 * key is escaped; a key that differs from a known one in case alone is refused, because some
 * providers' parsers (Go's) would take it for the known one. Members that are not known pass
 * unread.
 *
 * Media and references are found by structure: parts of messages[].content whose member is an
 * image, audio, video, document or file. Inline data counts into media_bytes, everything by
 * reference sets TG_REQUEST_FETCHES, as do tools other than functions and options that make the
 * provider search. */

/* For the contract, see read_request in struct tg_dialect. */
TG_MUST_CHECK enum tg_status openai_chat_read_request(struct tg_span body,
                                                      const struct tg_path *path,
                                                      struct tg_request *ret_request);

/* For the contract, see plan_edits in struct tg_dialect. */
int openai_chat_plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                           const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX]);

#endif
