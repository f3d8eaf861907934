#ifndef PROVIDERS_OPENAI_RESPONSES_ANSWER_H
#define PROVIDERS_OPENAI_RESPONSES_ANSWER_H

#include "tollgate/provider.h"

/* The answers of POST /responses. A stream ends for the client with response.completed,
 * .incomplete, .failed or .cancelled, or with an error; the response in that event has the usage,
 * and names the tier that served. Reasoning is inside the output wherever this dialect is spoken.
 *
 * Tools of the provider are counted as fees: searches of the web as `tool_usage` says, else each
 * web_search_call that searched; each file_search_call; each container in which code ran. A
 * response that is queued or in progress is pending. */

/* For the contracts, see struct tg_dialect. */
void openai_responses_read_answer(struct tg_span body, const struct tg_kind *kind,
                                  struct tg_answer *answer);

enum tg_event_action openai_responses_read_event(struct tg_span type, struct tg_span data,
                                                 const struct tg_request *request,
                                                 const struct tg_kind *kind,
                                                 struct tg_answer *answer);

#endif
