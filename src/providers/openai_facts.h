#ifndef PROVIDERS_OPENAI_FACTS_H
#define PROVIDERS_OPENAI_FACTS_H

#include "providers/answer_reader.h"
#include "tollgate/provider.h"

/* What one body or event says in the words that OpenAI's dialects share: id, model, tier, usage,
 * the provider's own charge, errors. Facts are gathered while the text is walked, and go into the
 * answer when all of it has proved to be JSON. Pure. */

/* Counts as they stand on the wire. Several names of one thing have a place each, because they may
 * differ in which of them a provider fills. The first of tg_answer.wire_counts. */
enum openai_count {
    OPENAI_PROMPT,
    OPENAI_COMPLETION,
    OPENAI_TOTAL,
    OPENAI_CACHED,
    OPENAI_CACHED_BESIDE, /* usage.cached_tokens: Together, Moonshot */
    OPENAI_CACHED_NUM,    /* usage.num_cached_tokens: Mistral */
    OPENAI_CACHE_HIT,     /* usage.prompt_cache_hit_tokens: DeepSeek */
    OPENAI_CACHE_MISS,
    OPENAI_CACHE_WRITE,
    OPENAI_CACHE_WRITE_12H, /* part of OPENAI_CACHE_WRITE */
    OPENAI_AUDIO_IN,
    OPENAI_AUDIO_OUT,
    OPENAI_REASONING,
    OPENAI_COUNTS
};

/* How a dialect names what goes in and what comes out. */
enum openai_naming {
    OPENAI_NAMES_PROMPT, /* prompt_tokens, completion_tokens */
    OPENAI_NAMES_INPUT   /* input_tokens, output_tokens */
};

struct openai_facts {
    struct scanner s;
    struct scanner_value id, model, tier; /* strings, where there */
    struct scanner_value error_code;      /* string or number */
    bool is_error;
    bool has_counts;
    bool is_doubtful;
    bool is_byok;
    int64_t counts[OPENAI_COUNTS];    /* USAGE_UNKNOWN where not there */
    int64_t cost_nusd, upstream_nusd; /* USAGE_UNKNOWN where not there */
    size_t usage_start, usage_end;
    int64_t output_bytes; /* visible text */
};

/* Start on `text`. */
void openai_facts_init(struct openai_facts *f, struct tg_span text);

static inline void openai_read_ignored(struct openai_facts *f)
{
    struct scanner_value ignored;

    (void)answer_read_value(&f->s, &ignored); /* a fault sticks */
}

/* The value of `usage`.
 *
 * return  whether it is an object */
bool openai_read_usage(struct openai_facts *f, enum openai_naming named);

/* The value of `error`: null is none. */
void openai_read_error(struct openai_facts *f);
/* A member that names the error: `code` where there is one, else `type`. */
void openai_read_code(struct openai_facts *f, bool is_type);

/* Into the answer. Counts that were told before stand where these say nothing.
 *
 * kind_flags  enum tg_kind_flags, as far as they hold for the dialect */
void openai_keep_facts(const struct openai_facts *f, uint32_t kind_flags, struct tg_answer *answer);

/* What to do with an event: behind the end nothing is passed on before the settlement. */
enum tg_event_action openai_action_of(const struct tg_answer *answer);

/* An event's data that is not JSON: the end mark, an error in plain words, or what only the client
 * understands. */
enum tg_event_action openai_read_other_data(struct span type, struct span data,
                                            struct tg_answer *answer);

#endif
