#include "providers/openai_input.h"

#include "providers/openai_error.h"
#include "providers/openai_facts.h"
#include "providers/request_reader.h"
#include "providers/usage.h"

/* The provider's own, where the request names none. */
#define MODERATION_MODEL "omni-moderation-latest"

enum field {
    FIELD_MODEL = REQUEST_FIELD_MODEL,
    FIELD_ONCE_COUNT,
    FIELD_INPUT = FIELD_ONCE_COUNT,
    FIELD_FETCHES,
    FIELD_STRICT_COUNT,
    FIELD_USER = FIELD_STRICT_COUNT,
    FIELD_SAFETY_IDENTIFIER
};

static const struct request_field fields[] = {
    { SPAN("model"), FIELD_MODEL },      { SPAN("input"), FIELD_INPUT },
    { SPAN("messages"), FIELD_FETCHES }, /* vLLM's, which may name images */
    { SPAN("user"), FIELD_USER },        { SPAN("safety_identifier"), FIELD_SAFETY_IDENTIFIER },
};

static void read_field(struct request_reader *r, int number, struct span name)
{
    switch ((enum field)number) {
    case FIELD_MODEL:
        request_read_model(r, name);
        break;
    case FIELD_INPUT:
        request_read_content(r); /* text and tokens are bounded by their bytes */
        break;
    case FIELD_FETCHES:
        request_read_fetching_option(r);
        break;
    case FIELD_USER:
        request_read_user(r, /* rank= */ 3);
        break;
    case FIELD_SAFETY_IDENTIFIER:
        request_read_user(r, /* rank= */ 2);
        break;
    }
}

static enum tg_status read_request(struct tg_span body, const char *default_model,
                                   struct tg_request *ret_request)
{
    const struct request_shape shape = {
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .once_count = FIELD_ONCE_COUNT,
        .strict_count = FIELD_STRICT_COUNT,
        .default_model = default_model,
        .read = read_field,
    };
    struct request_reader r = { 0 };

    return request_read_body(&r, body, &shape, ret_request);
}

static enum tg_status read_embeddings(struct tg_span body, const struct tg_path *path,
                                      struct tg_request *ret_request)
{
    (void)path; /* says nothing that the body does not */
    return read_request(body, NULL, ret_request);
}

static enum tg_status read_moderations(struct tg_span body, const struct tg_path *path,
                                       struct tg_request *ret_request)
{
    (void)path; /* says nothing that the body does not */
    return read_request(body, MODERATION_MODEL, ret_request);
}

/* Nothing comes out, so there is no maximum to lower. */
static int plan_edits(const struct tg_request *request, const struct tg_kind *kind,
                      const struct tg_wish *wish, struct tg_edit edits[TG_EDITS_MAX])
{
    (void)request;
    (void)kind;
    (void)edits;
    return wish->max_output_tokens == 0 ? 0 : -1;
}

static void read_member(struct openai_facts *f, const struct scanner_value *key)
{
    if (scanner_is(key, SPAN("id")))
        answer_read_string(&f->s, &f->id);
    else if (scanner_is(key, SPAN("model")))
        answer_read_string(&f->s, &f->model);
    else if (scanner_is(key, SPAN("usage")))
        (void)openai_read_usage(f, OPENAI_NAMES_PROMPT);
    else if (scanner_is(key, SPAN("error")))
        openai_read_error(f);
    else
        openai_read_ignored(f);
}

static bool read_object(struct openai_facts *f)
{
    struct scanner_value key;

    if (!scanner_enter(&f->s, SCANNER_OBJECT))
        return false;
    while (scanner_member(&f->s, &key))
        read_member(f, &key);
    return scanner_finish(&f->s) == TG_OK;
}

static void read_answer(struct tg_span body, const struct tg_kind *kind, struct tg_answer *answer)
{
    struct openai_facts f;

    answer->raw_usage_start = answer->raw_usage_end = 0;
    openai_facts_init(&f, body);
    if (!read_object(&f)) {
        answer->flags |= TG_ANSWER_UNREADABLE;
        return;
    }
    if (f.counts[OPENAI_COMPLETION] == USAGE_UNKNOWN)
        f.counts[OPENAI_COMPLETION] = 0; /* not said, because there is none */
    openai_keep_facts(&f, kind->flags, answer);
    if (!f.is_error)
        answer->flags |= TG_ANSWER_IS_COMPLETE;
}

/* A stream that nobody asked for. */
static enum tg_event_action read_event(struct tg_span type, struct tg_span data,
                                       const struct tg_request *request, const struct tg_kind *kind,
                                       struct tg_answer *answer)
{
    (void)type;
    (void)data;
    (void)request;
    (void)kind;
    answer->events++;
    answer->flags |= TG_ANSWER_UNREADABLE;
    return TG_EVENT_TERMINAL;
}

const struct tg_dialect openai_embeddings_dialect = {
    .name = "openai-embeddings",
    .upstream_path = "/embeddings",
    .flags = TG_DIALECT_INPUT_ONLY | TG_DIALECT_NO_MAXIMUM,
    .read_request = read_embeddings,
    .plan_edits = plan_edits,
    .read_answer = read_answer,
    .read_event = read_event,
    .write_error = openai_error_write,
};

const struct tg_dialect openai_moderations_dialect = {
    .name = "openai-moderations",
    .upstream_path = "/moderations",
    .flags = TG_DIALECT_IS_FREE | TG_DIALECT_INPUT_ONLY | TG_DIALECT_NO_MAXIMUM,
    .read_request = read_moderations,
    .plan_edits = plan_edits,
    .read_answer = read_answer,
    .read_event = read_event,
    .write_error = openai_error_write,
};
