#ifndef PROVIDERS_GEMINI_ANSWER_H
#define PROVIDERS_GEMINI_ANSWER_H

#include "tollgate/provider.h"

/* The answers of Google's Gemini API. Usage comes with every event and is cumulative: of each count
 * the last value holds. Thoughts and what tools found stand beside candidates and prompt, cached
 * tokens inside the prompt; counts by modality may be short, and what they leave is text. Audio has
 * classes of its own, images and video those of the output and of what is embedded: elsewhere
 * Google prices them as text. A search is billed by the query, for models before Gemini 3 once a
 * prompt.
 *
 * A stream ends for the client with the event in which its last open candidate gets a finishReason,
 * with a prompt that was blocked, or with an error; whatever comes later is withheld as well. */

/* For the contracts, see struct tg_dialect. */
void gemini_read_answer(struct tg_span body, const struct tg_kind *kind, struct tg_answer *answer);
/* The same for embeddings: no token comes out. */
void gemini_read_embedding(struct tg_span body, const struct tg_kind *kind,
                           struct tg_answer *answer);

enum tg_event_action gemini_read_event(struct tg_span type, struct tg_span data,
                                       const struct tg_request *request, const struct tg_kind *kind,
                                       struct tg_answer *answer);

#endif
