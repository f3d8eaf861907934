#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "base/auto.h"
#include "base/err.h"

/* A provider on loopback, served by the process itself, for first steps without an account and for
 * tests. It speaks OpenAI's dialects: POST /v1/chat/completions, /v1/responses and /v1/completions,
 * plain and streamed, /v1/embeddings, /v1/moderations, and GET /v1/models; Anthropic's: POST
 * /v1/messages and /v1/messages/count_tokens; and Google's: POST
 * /v1beta/models/{model}:generateContent and its like.
 *
 *   echo       answers with the text of the last user message
 *   echo-slow  the same, a word each SANDBOX_WORD_MS when streamed
 *
 * Its usage is honest: a word is a token, of all messages for the prompt, of the answer for the
 * completion; max_tokens, max_completion_tokens, max_output_tokens and maxOutputTokens cut the
 * answer. It takes any key, or none. Threads of its own; it never blocks a worker loop. */

#define SANDBOX_WORD_MS         40
#define SANDBOX_BODY_MAX        ((size_t)32 << 20)
#define SANDBOX_CONNECTIONS_MAX 512
#define SANDBOX_URL_SIZE        64

struct sandbox;

/* port      0: a free one
 * ret_url   "http://127.0.0.1:PORT/v1", the base URL of a provider of kind sandbox
 * Errors    TG_CONFLICT: the port is in use; TG_IO, TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status sandbox_start(int port, struct sandbox **ret_sandbox,
                                           char ret_url[SANDBOX_URL_SIZE], struct err *err);
/* Accepts NULL. */
void sandbox_stop(struct sandbox *sandbox);
AUTO_PTR_DEFINE(sandbox, sandbox_stop)

#endif
