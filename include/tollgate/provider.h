#ifndef TOLLGATE_PROVIDER_H
#define TOLLGATE_PROVIDER_H

#include "tollgate/status.h"
#include "tollgate/usage.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an adapter for a wire format (a dialect) and a catalogue row (a provider kind) fill in.
 * Pure: bytes in, facts out; no I/O, no allocation but in the caller's storage. Spans point into
 * the bytes that were handed in, unless said otherwise. */

struct tg_span {
    const char *ptr;
    size_t len;
};

/* --- the request --------------------------------------------------------------------------------
 */

#define TG_MODEL_MAX 256

enum tg_request_flags {
    TG_REQUEST_STREAM = 1u << 0,
    TG_REQUEST_WANTS_USAGE = 1u << 1, /* asked for the usage chunk itself */
    TG_REQUEST_FETCHES = 1u << 2,  /* the provider fetches input itself: references, server tools */
    TG_REQUEST_MAX_GIVEN = 1u << 3 /* max_output_tokens is the client's */
};

/* Where the body may be edited; offsets into the body, 0 = not there. */
struct tg_request_places {
    size_t root_start;             /* behind the '{' of the outermost object */
    size_t model_start, model_end; /* the string that names the model, with its quotes */
    size_t stream_options_open;    /* behind the '{' of stream_options */
    bool stream_options_is_empty;
    size_t include_usage_start, include_usage_end;   /* its value */
    size_t stream_options_start, stream_options_end; /* the whole value, where it is null */
    size_t max_output_start, max_output_end; /* the value of the field that bounds the output */
    size_t max_output_other_start,
        max_output_other_end; /* where two such fields are given: that of
                                 the smaller; who lowers one lowers both */
};

struct tg_request {
    uint32_t flags;               /* enum tg_request_flags */
    char model[TG_MODEL_MAX + 1]; /* unescaped, terminated; "" where the path has it */
    size_t model_len;
    int64_t choices; /* n, 1 where not given */
    int64_t
        max_output_tokens; /* per choice, the larger of all fields given; valid with MAX_GIVEN */
    int64_t media_parts;   /* images, audio, files given inline or by reference */
    int64_t
        media_bytes; /* bytes of the body that are inline media, counted at a bound of their own */
    struct tg_request_places places;
    const char *problem; /* static sentence on TG_INVALID: what is wrong and what to do */
    struct tg_span problem_field;
};

/* An edit of the body: bytes [start, end) give way to `text`. */
struct tg_edit {
    size_t start;
    size_t end;
    char text[64];
    size_t text_len;
};
#define TG_EDITS_MAX 4

/* --- the answer ---------------------------------------------------------------------------------
 */

enum tg_answer_flags {
    TG_ANSWER_HAS_USAGE = 1u << 0,
    TG_ANSWER_IS_ERROR = 1u << 1,    /* an error object, also after a 200 */
    TG_ANSWER_IS_COMPLETE = 1u << 2, /* the dialect's own end was seen */
    TG_ANSWER_DOUBTFUL = 1u << 3,    /* counts that contradict each other or are out of range */
    TG_ANSWER_UNREADABLE = 1u << 4,  /* could not be parsed; what follows is not metered */
    TG_ANSWER_HAS_COST = 1u << 5     /* provider_cost_nusd is the provider's own charge */
};

#define TG_SHORT_TEXT_MAX 128

struct tg_short_text {
    char text[TG_SHORT_TEXT_MAX];
    size_t len;
};

#define TG_CHOICES_MAX 128

#define TG_WIRE_COUNTS_MAX 16

#define TG_SHAPE_MAX       384
#define TG_SHAPE_HOLES_MAX 2

/* The bytes of an event around the strings that change from one event of a stream to the next. What
 * has the same bytes around its own strings says the same, and need not be read again. */
struct tg_event_shape {
    char bytes[TG_SHAPE_MAX];
    size_t len[TG_SHAPE_HOLES_MAX + 1]; /* of the pieces before, between and behind the strings */
    int holes;                          /* 0: no shape */
    int text_hole;                      /* the one that holds visible text */
};

/* Gathered over one answer; zeroed at its start. Copies what it keeps. */
struct tg_answer {
    uint32_t flags;
    struct tg_usage usage;
    struct tg_short_text model; /* as served */
    struct tg_short_text tier;
    struct tg_short_text response_id;
    struct tg_short_text error_code;
    int64_t output_bytes; /* visible text seen (content, tool arguments), for an estimate */
    int64_t choices_seen; /* highest index + 1 */
    int64_t choices_finished;
    uint64_t finished_mask[TG_CHOICES_MAX / 64];
    int64_t events;
    int64_t provider_cost_nusd;
    size_t raw_usage_start,
        raw_usage_end; /* the usage object in the bytes of the latest call; equal: none */
    int64_t wire_counts[TG_WIRE_COUNTS_MAX]; /* the dialect's own: each count as last sent, plus 1;
                                                0: not yet */
    struct tg_event_shape shape; /* of the latest event that brought text and nothing else */
};

/* What to do with a whole event of a stream. */
enum tg_event_action {
    TG_EVENT_PASS = 0,
    TG_EVENT_DROP = 1, /* the usage chunk that the client did not ask for */
    TG_EVENT_TERMINAL =
        2 /* ends the answer for the client: withheld, with all after it, until settled */
};

enum tg_framing { TG_FRAMING_NONE, TG_FRAMING_SSE };

/* --- a dialect ----------------------------------------------------------------------------------
 */

struct tg_kind;

struct tg_dialect {
    const char *name;          /* "openai-chat" */
    const char *upstream_path; /* behind the provider's base URL: "/chat/completions" */
    enum tg_framing framing;   /* of a streamed answer */

    /* Read what routing and sizing need from a complete body.
     *
     * Errors  TG_INVALID (problem and problem_field say what), TG_OUT_OF_RANGE: too deep */
    enum tg_status (*read_request)(struct tg_span body, struct tg_request *ret_request);

    /* Which edits the body needs for this kind: usage asked for in a stream. Edits are sorted by
     * start.
     *
     * return  number of edits, 0..TG_EDITS_MAX */
    int (*plan_edits)(const struct tg_request *request, const struct tg_kind *kind,
                      struct tg_edit edits[TG_EDITS_MAX]);

    /* Read a complete plain answer. Never fails: what it cannot read it flags. */
    void (*read_answer)(struct tg_span body, const struct tg_kind *kind, struct tg_answer *answer);

    /* Read the data of one whole event; `type` is the SSE event name or empty. */
    enum tg_event_action (*read_event)(struct tg_span type, struct tg_span data,
                                       const struct tg_request *request, const struct tg_kind *kind,
                                       struct tg_answer *answer);

    /* Write an error of our own as this dialect's clients expect it, at most `cap` bytes.
     *
     * return  bytes written */
    size_t (*write_error)(enum tg_status status, struct tg_span message, struct tg_span request_id,
                          char *out, size_t cap);
};

/* --- a provider kind ----------------------------------------------------------------------------
 */

enum tg_auth {
    TG_AUTH_BEARER,
    TG_AUTH_X_API_KEY,
    TG_AUTH_X_GOOG_API_KEY,
    TG_AUTH_API_KEY,
    TG_AUTH_NONE
};

enum tg_kind_flags {
    TG_KIND_ASKS_USAGE = 1u << 0,         /* a stream carries usage only when asked */
    TG_KIND_STOPS_ON_LEAVE = 1u << 1,     /* a client that leaves ends generation and billing */
    TG_KIND_REASONING_OUTSIDE = 1u << 2,  /* completion_tokens leaves reasoning out */
    TG_KIND_OUTPUT_IS_RESIDUAL = 1u << 3, /* output = total - prompt (Gemini's OpenAI endpoint) */
    TG_KIND_VERIFIED = 1u << 4            /* checked against the real provider */
};

#define TG_KIND_DIALECTS_MAX 4
#define TG_KIND_PREFIXES_MAX 12

struct tg_kind {
    const char *name;     /* "openai" */
    const char *base_url; /* "https://api.openai.com/v1"; NULL: must be given */
    enum tg_auth auth;
    uint32_t flags;
    const char *dialects[TG_KIND_DIALECTS_MAX];
    const char *prefixes[TG_KIND_PREFIXES_MAX]; /* of its models' names, NULL-ended */
    const char *env_key;                        /* "OPENAI_API_KEY"; NULL: none */
    const char *book;                           /* provider name in the price book; NULL: none */
    int64_t added_tokens;                       /* the provider adds to every prompt, at most */
};

#endif
