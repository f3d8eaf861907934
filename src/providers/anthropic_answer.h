#ifndef PROVIDERS_ANTHROPIC_ANSWER_H
#define PROVIDERS_ANTHROPIC_ANSWER_H

#include "tollgate/provider.h"

/* The answers of POST /v1/messages. Counts stand beside each other here: input_tokens leaves out
 * what was read from and written to the cache. In a stream message_start tells the input and
 * message_delta the output; each is cumulative, a field's last value that is not null holds, and
 * zeros behind real counts take nothing back.
 *
 * Where usage has `iterations`, each is billed by its own model and cache; the outer counts leave
 * some of them out. Only where a fallback model has answered, the outer counts are the answer's,
 * and the model is the fallback's. Iterations that add up to less than the outer counts are not
 * believed. More than TG_ITERATIONS_MAX are joined, the nearest prompts of one model first, at the
 * size of the larger prompt.
 *
 * A stream ends for the client with the message_delta that has a stop_reason, with message_stop,
 * or with an error; whatever comes later is withheld as well. A record of usage that text or an
 * error has followed is marked TG_ANSWER_SO_FAR. */

/* For the contracts, see struct tg_dialect. */
void anthropic_read_answer(struct tg_span body, const struct tg_kind *kind,
                           struct tg_answer *answer);
enum tg_event_action anthropic_read_event(struct tg_span type, struct tg_span data,
                                          const struct tg_request *request,
                                          const struct tg_kind *kind, struct tg_answer *answer);

#endif
