#ifndef PROVIDERS_OPENAI_CHAT_ANSWER_H
#define PROVIDERS_OPENAI_CHAT_ANSWER_H

#include "tollgate/provider.h"

/* The answers of POST /chat/completions, as OpenAI and its imitators write them: usage at the top,
 * in the last choice (Moonshot) or in x_groq; cumulative usage, of which each count's last value
 * holds; the provider's own charge in usage.cost or usage.cost_in_usd_ticks; errors after a 200.
 *
 * A stream ends for the client with the event in which its last open choice gets a finish_reason,
 * with
 * `[DONE]`, or with an error; whatever comes later is withheld as well. Facts are taken from JSON's
 * structure alone, and only from an event that is JSON to its end. */

/* For the contracts, see struct tg_dialect. */
void openai_chat_read_answer(struct tg_span body, const struct tg_kind *kind,
                             struct tg_answer *answer);

enum tg_event_action openai_chat_read_event(struct tg_span type, struct tg_span data,
                                            const struct tg_request *request,
                                            const struct tg_kind *kind, struct tg_answer *answer);

/* The same for POST /completions, where a choice holds its text itself. */
void openai_completions_read_answer(struct tg_span body, const struct tg_kind *kind,
                                    struct tg_answer *answer);

enum tg_event_action openai_completions_read_event(struct tg_span type, struct tg_span data,
                                                   const struct tg_request *request,
                                                   const struct tg_kind *kind,
                                                   struct tg_answer *answer);

#endif
