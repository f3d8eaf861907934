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
#define TG_USER_MAX  128

/* What the path and the query of a call say, where the wire format says it there and not in the
 * body. */
struct tg_path {
    struct tg_span model; /* decoded; empty: the body names it */
    bool asks_stream;     /* the path asks for a stream */
};

enum tg_request_flags {
    TG_REQUEST_STREAM = 1u << 0,
    TG_REQUEST_WANTS_USAGE = 1u << 1, /* asked for the usage chunk itself */
    TG_REQUEST_FETCHES = 1u << 2, /* the provider fetches input itself: references, server tools */
    TG_REQUEST_MAX_GIVEN = 1u << 3, /* max_output_tokens is the client's */
    TG_REQUEST_BACKGROUND = 1u << 4 /* the answer is made later and fetched by its id */
};

/* A field that is there and null. */
struct tg_null_place {
    size_t start, end; /* of the null; end 0: none */
    size_t name_len;   /* unescaped: tells the names of a dialect apart */
};
#define TG_NULL_MAXIMA_MAX 2

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
    struct tg_null_place null_maxima[TG_NULL_MAXIMA_MAX]; /* such fields that are null */
    size_t output_object_open; /* behind the '{' of the object that the field stands in, where that
                                  is not the outermost */
    bool output_object_is_empty;
    size_t output_object_start, output_object_end; /* the whole value, where it is null */
};

struct tg_request {
    uint32_t flags;               /* enum tg_request_flags */
    char model[TG_MODEL_MAX + 1]; /* unescaped, terminated; "" where the path has it */
    size_t model_len;
    int64_t choices; /* n, 1 where not given */
    int64_t
        max_output_tokens; /* per choice, the larger of all fields given; valid with MAX_GIVEN */
    int64_t thinking_budget_tokens; /* of the output, given to thinking by the client; 0: none */
    int64_t media_parts;            /* images, audio, files given inline or by reference */
    int64_t image_parts; /* of media_parts, those known to be still images, given inline */
    int64_t
        media_bytes; /* bytes of the body that are inline media, counted at a bound of their own */
    char user[TG_USER_MAX + 1]; /* whom the client says it acts for, cut, terminated; "": none */
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

/* What a body is to be changed to, beside what its kind needs. */
struct tg_wish {
    int64_t max_output_tokens; /* per choice, lower than what the client gave; 0: leave it */
    const char *output_field;  /* of a chat model, for a client that gave none: "max_tokens"; NULL:
                                  the kind's own */
};

/* --- the answer ---------------------------------------------------------------------------------
 */

enum tg_answer_flags {
    TG_ANSWER_HAS_USAGE = 1u << 0,
    TG_ANSWER_IS_ERROR = 1u << 1,    /* an error object, also after a 200 */
    TG_ANSWER_IS_COMPLETE = 1u << 2, /* the dialect's own end was seen */
    TG_ANSWER_DOUBTFUL = 1u << 3,    /* counts that contradict each other or are out of range */
    TG_ANSWER_UNREADABLE = 1u << 4,  /* could not be parsed; what follows is not metered */
    TG_ANSWER_HAS_COST = 1u << 5,    /* provider_cost_nusd is the provider's own charge */
    TG_ANSWER_PENDING = 1u << 6 /* begun in the background; its usage comes with a later fetch */
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

#define TG_ITERATIONS_MAX 8

/* A part of an answer that another model may have made, and that is billed as that model's. */
struct tg_iteration {
    struct tg_usage usage;
    struct tg_short_text model; /* empty: the answer's */
};

/* Gathered over one answer; zeroed at its start. Copies what it keeps. */
struct tg_answer {
    uint32_t flags;
    struct tg_usage usage;
    struct tg_short_text model;  /* as served */
    struct tg_short_text tier;   /* service tier: "standard" where empty */
    struct tg_short_text region; /* where it was served, where that has a price: "us" */
    struct tg_short_text speed;  /* "fast", where that has a price */
    struct tg_iteration iterations[TG_ITERATIONS_MAX];
    int iteration_count; /* 0: `usage` is all of it; else `usage` is their sum */
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

/* How a streamed answer may be cut into events; which of them one is tells its content type. */
enum tg_framing {
    TG_FRAMING_NONE = 0,
    TG_FRAMING_SSE = 1u << 0,  /* text/event-stream */
    TG_FRAMING_ARRAY = 1u << 1 /* application/json: the elements of one array, for a call that asked
                                  for a stream */
};

/* --- a refusal ----------------------------------------------------------------------------------
 */

enum tg_refusal_reason {
    TG_REFUSAL_TOO_LARGE, /* the estimate alone exceeds the amount */
    TG_REFUSAL_RATE,      /* a minute's limit, or calls open at once */
    TG_REFUSAL_SPENT,     /* spent + estimate exceeds the amount */
    TG_REFUSAL_HELD,      /* it would fit but for calls that are open */
    TG_REFUSAL_UNPRICED   /* the model has no price, and a limit in money applies */
};

/* "too_large", "rate", "spent", "held", "unpriced". Static storage. */
const char *tg_refusal_reason_name(enum tg_refusal_reason reason);

#define TG_AMOUNT_SIZE 32

/* Why a limit turned a call down: the numbers of that instant, as the API writes them. */
struct tg_refusal {
    enum tg_refusal_reason reason;
    char limit_id[TG_AMOUNT_SIZE]; /* "lim_..." */
    const char *scope;             /* "organization", "team", "key" */
    const char *metric;            /* "cost", "total_tokens", "requests", ... */
    const char *window;            /* "month", ...; "" for calls open at once */
    char amount[TG_AMOUNT_SIZE];   /* integers; of `cost` decimal USD */
    char spent[TG_AMOUNT_SIZE];
    char held[TG_AMOUNT_SIZE];
    char estimate[TG_AMOUNT_SIZE];
    char resets_at[TG_AMOUNT_SIZE]; /* RFC 3339; "": never, or not by time */
    int retry_after_s;              /* 1..60; 0: trying again soon does not help */
};

/* An error of our own. */
struct tg_error {
    enum tg_status status;
    struct tg_span message; /* for people; empty: the status's own sentence */
    struct tg_span request_id;
    const struct tg_refusal *refusal; /* of TG_LIMIT_REACHED and TG_RATE_LIMITED; NULL: none */
};

/* --- a dialect ----------------------------------------------------------------------------------
 */

struct tg_kind;

enum tg_dialect_flags {
    TG_DIALECT_IS_FREE = 1u << 0,        /* providers bill nothing for it: counting tokens */
    TG_DIALECT_INPUT_ONLY = 1u << 1,     /* no token comes out: embeddings */
    TG_DIALECT_NO_MAXIMUM = 1u << 2,     /* has no field that bounds the output */
    TG_DIALECT_ANTHROPIC_RATES = 1u << 3 /* its clients read anthropic-ratelimit-* */
};

struct tg_dialect {
    const char *name;          /* "openai-chat" */
    const char *upstream_path; /* behind the provider's base URL: "/chat/completions"; "{model}" in
                                  it stands for the model, escaped, "{resource}" for the model as
                                  Google names it: "models/x", "tunedModels/x" */
    const char
        *upstream_stream_path; /* the same for a call that asks for a stream; NULL: no other */
    uint32_t flags;            /* enum tg_dialect_flags */
    uint32_t framings;         /* enum tg_framing: of a streamed answer */

    /* Read what routing and sizing need from a complete body and its path.
     *
     * Errors  TG_INVALID (problem and problem_field say what), TG_OUT_OF_RANGE: too deep */
    enum tg_status (*read_request)(struct tg_span body, const struct tg_path *path,
                                   struct tg_request *ret_request);

    /* Which edits the body needs: usage asked for in a stream where the kind needs that, the output
     * maximum lowered in every field that the client gave, or put in where it gave none. Edits are
     * sorted by start.
     *
     * return  number of edits, 0..TG_EDITS_MAX; -1: the wish cannot be met */
    int (*plan_edits)(const struct tg_request *request, const struct tg_kind *kind,
                      const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX]);

    /* Read a complete plain answer. Never fails: what it cannot read it flags. */
    void (*read_answer)(struct tg_span body, const struct tg_kind *kind, struct tg_answer *answer);

    /* Read the data of one whole event, or element of an array; `type` is the SSE event name or
     * empty. */
    enum tg_event_action (*read_event)(struct tg_span type, struct tg_span data,
                                       const struct tg_request *request, const struct tg_kind *kind,
                                       struct tg_answer *answer);

    /* Write an error of our own as this dialect's clients expect it, at most `cap` bytes; a message
     * that does not fit is cut.
     *
     * return  bytes written; 0: not even an empty message fits */
    size_t (*write_error)(const struct tg_error *error, char *out, size_t cap);
};

/* --- a provider kind ----------------------------------------------------------------------------
 */

enum tg_auth {
    TG_AUTH_OF_KIND, /* in a tg_speech: as the kind says */
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
    TG_KIND_VERIFIED = 1u << 4,           /* checked against the real provider */
    TG_KIND_TELLS_COST = 1u << 5, /* usage carries the provider's own charge; its form tells whose
                                   */
    TG_KIND_MAY_LACK_SECRET = 1u << 6 /* a server of one's own, that asks for no credential */
};

#define TG_KIND_DIALECTS_MAX 12
#define TG_KIND_PREFIXES_MAX 16

/* A dialect that a kind speaks. */
struct tg_speech {
    const char *dialect; /* its name */
    const char *path;    /* before the dialect's own path, behind the base URL; NULL: nothing */
    enum tg_auth auth;
};

struct tg_kind {
    const char *name;     /* "openai" */
    const char *base_url; /* "https://api.openai.com/v1"; NULL: must be given */
    enum tg_auth auth;
    uint32_t flags;
    struct tg_speech speaks[TG_KIND_DIALECTS_MAX]; /* ended by one without a name, where there is
                                                      room */
    const char *prefixes[TG_KIND_PREFIXES_MAX];    /* of its models' names, NULL-ended */
    const char *env_key;                           /* "OPENAI_API_KEY"; NULL: none */
    const char *book;                              /* provider name in the price book; NULL: none */
    const char *output_field;                      /* that bounds a chat's output: "max_tokens" or
                                                      "max_completion_tokens"; NULL: the former */
    int64_t added_tokens;                          /* the provider adds to every prompt, at most */
    const char *models_path;  /* of its own list of models, behind base_url; NULL: "/models"; "": it
                                 has none */
    int64_t image_tokens_max; /* one image counts for, at most, with any of its
                                 models; 0: not known */
};

#endif
