#ifndef PROVIDERS_REQUEST_READER_H
#define PROVIDERS_REQUEST_READER_H

#include "providers/scanner.h"
#include "tollgate/provider.h"

/* What the dialects share in reading and editing a JSON request body. A dialect lists the members
 * of the outermost object that it knows; each is handed to it as it comes. What is enforced may
 * stand once only, however its key is escaped; a key that differs from a known one in case alone is
 * refused, because some providers' parsers (Go's) would take it for the known one. Members that are
 * not known pass unread.
 *
 * A reader that has refused goes on being handed nothing; the first refusal stands. Pure. */

/* Long enough for every known key with each of its letters in its longest form. */
#define REQUEST_KEY_MAX 64

#define REQUEST_OUTPUT_MAX INT32_MAX

/* A known member. */
struct request_field {
    struct span name;
    int number; /* 0..31; 0 names the model */
};

#define REQUEST_FIELD_MODEL 0

struct request_reader {
    struct scanner s;
    struct tg_request *request;
    uint32_t seen; /* fields, 1u << number */
    int user_rank; /* of the field that request->user is from */
    bool is_refused;
    int64_t media_found; /* strings of the current media member that are media */
    bool is_image;       /* the current media member takes still images alone */
};

struct request_shape {
    const struct request_field *fields;
    int field_count;
    int once_count;            /* fields of a lower number may stand once only */
    int strict_count;          /* fields of a lower number are refused in other letters */
    const char *default_model; /* where the body names none; NULL: it must */
    /* Read the value of a field; `name` is its key as it stands in the body. */
    void (*read)(struct request_reader *r, int number, struct span name);
};

/* Read a whole body.
 *
 * Errors  TG_INVALID, TG_OUT_OF_RANGE (too deep), with request->problem */
TG_MUST_CHECK enum tg_status request_read_body(struct request_reader *r, struct tg_span body,
                                               const struct request_shape *shape,
                                               struct tg_request *ret_request);

/* The same in steps, for a dialect whose members are found in another way: begin, read the members
 * of the outermost object while nothing is refused, finish.
 *
 * Errors  as request_read_body */
void request_begin(struct request_reader *r, struct tg_span body, struct tg_request *ret_request);
TG_MUST_CHECK enum tg_status request_finish(struct request_reader *r);

/* Turn the request down for one of its fields; the first time counts.
 *
 * field    as it stands in the body
 * problem  static sentence */
void request_refuse(struct request_reader *r, struct span field, const char *problem);

/* A key unescaped and in small letters, in `out` where it is not so already. One too long to be
 * known comes back empty.
 *
 * is_exact  whether only escapes had to be undone */
struct span request_key(const struct scanner_value *key, char out[REQUEST_KEY_MAX], bool *is_exact);

/* --- values -------------------------------------------------------------------------------------
 */

/* Whether a text has a control character: no name has. */
bool request_has_control(struct span text);
void request_read_model(struct request_reader *r, struct span field);
void request_read_stream(struct request_reader *r, struct span field);
/* true, false or null.
 *
 * return  whether it is true */
bool request_read_flag(struct request_reader *r, struct span field, const char *problem,
                       struct scanner_value *ret_value);
/* An integer of 1..max, written without fraction or exponent.
 *
 * return  false where there is none: null, or refused */
bool request_read_positive(struct request_reader *r, struct span field, int64_t max,
                           const char *problem, struct scanner_value *ret_value);
/* n: how many answers. */
void request_read_choices(struct request_reader *r, struct span field);
/* A field that bounds the output. Of two such fields the larger holds. */
void request_read_maximum(struct request_reader *r, struct span field);
/* stream_options, and in it whether the client asks for usage. */
void request_read_stream_options(struct request_reader *r, struct span field);
/* An option by which the provider finds input itself, unless it is null or false. */
void request_read_fetching_option(struct request_reader *r);
/* Tools: a list of objects, each with its type, or in groups with `tools` of their own. All but
 * those that run at the client are the provider's, which bills what they read as input.
 *
 * client_types  of tools that run at the client, ended by an empty one */
void request_read_tools(struct request_reader *r, const struct span *client_types);
/* A string that says whom the client acts for. Of several fields the one with the highest rank
 * holds.
 *
 * rank  1.. */
void request_read_user(struct request_reader *r, int rank);
/* An object whose member `user_id` says so, with rank 1. */
void request_read_metadata(struct request_reader *r);

/* --- media --------------------------------------------------------------------------------------

 * Inline data counts into media_bytes, what is named by reference sets TG_REQUEST_FETCHES. Images
 * inline under `image_url` count into image_parts. */

/* A member of a content part that carries an image, audio, a video or a file. */
bool request_is_media_key(struct span key);
/* Read the value of such a member. */
void request_read_media(struct request_reader *r, struct span key);
/* Text, or an array of parts. */
void request_read_content(struct request_reader *r);
/* All media in the object or array just entered, however deep; leaves it. */
void request_walk_media(struct request_reader *r);

/* --- edits --------------------------------------------------------------------------------------
 */

void request_put_edit(struct tg_edit *edit, size_t start, size_t end, const char *text);

/* Plan what a stream needs so that its usage comes, for a kind that wants to be asked.
 *
 * return  number of edits, 0 or 1 */
int request_ask_usage(const struct tg_request *request, const struct tg_kind *kind,
                      struct tg_edit *edits);

/* Lower the output's maximum in each field that the client gave, or put `field` in.
 *
 * return  number of edits, 1 or 2 */
int request_bound_output(const struct tg_request *request, const char *field, int64_t max_tokens,
                         struct tg_edit *edits);

void request_sort_edits(struct tg_edit *edits, int count);

#endif
