#ifndef PROVIDERS_GEMINI_REQUEST_H
#define PROVIDERS_GEMINI_REQUEST_H

#include "tollgate/provider.h"

/* The requests of Google's Gemini API, as far as routing and sizing need them. The model stands in
 * the path; a body that names it too must name the same, with "models/" before it or not. Google's
 * parser takes each name as it is written in the reference (`generationConfig`) and with
 * underscores (`generation_config`): both are one field here, and any other spelling of a known one
 * is refused. generationConfig, the output maximum, candidateCount and the thinking budget may
 * stand once only. Where a list is due, an object alone stands for a list of one.
 *
 * Inline data counts into media_bytes. A file by its address, cached content, and every tool but
 * functionDeclarations let the provider find input itself: TG_REQUEST_FETCHES. */

/* For the contracts, see struct tg_dialect. */
TG_MUST_CHECK enum tg_status gemini_read_generate(struct tg_span body, const struct tg_path *path,
                                                  struct tg_request *ret_request);
/* :countTokens, which bills nothing: only the model is read. */
TG_MUST_CHECK enum tg_status gemini_read_count(struct tg_span body, const struct tg_path *path,
                                               struct tg_request *ret_request);
/* :embedContent and :batchEmbedContents. */
TG_MUST_CHECK enum tg_status gemini_read_embed(struct tg_span body, const struct tg_path *path,
                                               struct tg_request *ret_request);

/* The output maximum goes into generationConfig, which is put in where there is none. */
int gemini_plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                      const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX]);
/* None: there is no output to bound. */
int gemini_plan_no_edits(const struct tg_request *request, const struct tg_kind *kind,
                         const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX]);

#endif
