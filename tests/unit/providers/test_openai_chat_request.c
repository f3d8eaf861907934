/* Goal: what is enforced is read as the provider will read it, or refused; the edits change what
 * they must and nothing else. Method: tables of bodies with the facts, or the field at fault, that
 * they must give; edited bodies are compared byte by byte and read again. */
#include "providers/openai_chat_request.h"

#include "base/span.h"
#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define BODY_MAX     2048

static const struct tg_path no_path;
static const struct tg_wish no_wish;

static struct tg_span public_span(struct span s)
{
    return (struct tg_span){ s.ptr, s.len };
}

static enum tg_status read_body(const char *body, struct tg_request *ret_request)
{
    return openai_chat_read_request(public_span(span_from(body)), &no_path, ret_request);
}

/* --- facts --------------------------------------------------------------------------------------
 */

#define S TG_REQUEST_STREAM
#define U TG_REQUEST_WANTS_USAGE
#define F TG_REQUEST_FETCHES
#define M TG_REQUEST_MAX_GIVEN

static const struct {
    const char *body;
    uint32_t flags;
    int64_t choices;
    int64_t max;
} facts[] = {
    { "{\"model\":\"m\"}", 0, 1, 0 },
    { " { \"model\" : \"m\" , \"messages\" : [ ] } ", 0, 1, 0 },
    { "{\"model\":\"m\",\"stream\":true}", S, 1, 0 },
    { "{\"model\":\"m\",\"stream\":false}", 0, 1, 0 },
    { "{\"model\":\"m\",\"stream\":null,\"n\":null,\"max_tokens\":null}", 0, 1, 0 },
    { "{\"str\\u0065am\":true,\"\\u006d\\u006f\\u0064\\u0065\\u006c\":\"m\"}", S, 1, 0 },
    { "{\"model\":\"m\",\"n\":1}", 0, 1, 0 },
    { "{\"model\":\"m\",\"n\":128}", 0, 128, 0 },
    { "{\"model\":\"m\",\"max_tokens\":1}", M, 1, 1 },
    { "{\"model\":\"m\",\"max_tokens\":2147483647}", M, 1, 2147483647 },
    { "{\"model\":\"m\",\"m\\u0061x_tokens\":5}", M, 1, 5 },
    { "{\"model\":\"m\",\"max_completion_tokens\":7}", M, 1, 7 },
    { "{\"model\":\"m\",\"max_tokens\":5,\"max_completion_tokens\":7}", M, 1, 7 },
    { "{\"model\":\"m\",\"max_tokens\":7,\"max_completion_tokens\":5}", M, 1, 7 },
    { "{\"model\":\"m\",\"max_tokens\":7,\"max_completion_tokens\":null}", M, 1, 7 },
    { "{\"model\":\"m\",\"best_of\":1}", 0, 1, 0 },
    { "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}", S | U, 1,
      0 },
    { "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":false}}", S, 1, 0 },
    { "{\"model\":\"m\",\"stream\":true,\"stream_options\":null}", S, 1, 0 },
    /* what is no top-level key is no key: in text, deeper, in another's name */
    { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\\"stream\\\":true\"}]}", 0,
      1, 0 },
    { "{\"model\":\"m\",\"metadata\":{\"stream\":true,\"n\":9,\"model\":1,\"max_tokens\":-1}}", 0,
      1, 0 },
    { "{\"model\":\"m\",\"streams\":true,\"nn\":9,\"max_token\":-1,\"\":0}", 0, 1, 0 },
    /* input that the provider fetches */
    { "{\"model\":\"m\",\"web_search_options\":{}}", F, 1, 0 },
    { "{\"model\":\"m\",\"web_search_options\":null}", 0, 1, 0 },
    { "{\"model\":\"m\",\"enable_search\":false}", 0, 1, 0 },
    { "{\"model\":\"m\",\"enable_search\":true}", F, 1, 0 },
    { "{\"model\":\"m\",\"plugins\":[{\"id\":\"web\"}]}", F, 1, 0 },
    { "{\"model\":\"m:online\"}", F, 1, 0 },
    { "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
      "\"parameters\":"
      "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\"}}}}}]}",
      0, 1, 0 },
    { "{\"model\":\"m\",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"f\"}}]}", 0, 1, 0 },
    { "{\"model\":\"m\",\"tools\":[{\"type\":\"function\"},{\"type\":\"web_search\"}]}", F, 1, 0 },
    { "{\"model\":\"m\",\"tools\":[{\"TYPE\":\"code_interpreter\"}]}", F, 1, 0 },
    { "{\"model\":\"m\",\"tools\":[{\"type\":[1]},7,null]}", 0, 1, 0 },
    { "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"tools\":[{\"type\":\"custom\"},7]}]}",
      0, 1, 0 },
    { "{\"model\":\"m\",\"tools\":[{\"tools\":[{\"type\":\"mcp\"}],\"type\":\"custom\"}]}", F, 1,
      0 },
    { "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"audio\":{\"id\":\"audio_1\"}}]}", F,
      1, 0 },
    { "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"audio\":null}]}", 0, 1, 0 },
};

START_TEST(reads_the_facts)
{
    struct tg_request request;

    ck_assert_int_eq(read_body(facts[_i].body, &request), TG_OK);
    ck_assert_uint_eq(request.flags, facts[_i].flags);
    ck_assert_int_eq(request.choices, facts[_i].choices);
    ck_assert_int_eq(request.max_output_tokens, facts[_i].max);
    ck_assert_int_eq(request.model[0], 'm');
    ck_assert_ptr_null(request.problem);
}
END_TEST

/* --- whom it is for -----------------------------------------------------------------------------
 */

static const struct {
    const char *members;
    const char *user;
} users[] = {
    { "\"user\":\"u-1\"", "u-1" },
    { "\"user\":null", "" },
    { "\"user\":7", "" },
    { "\"user\":[\"u\"],\"n\":1", "" },
    { "\"user\":\"\"", "" },
    { "\"user\":\"a\\nb\"", "" },
    { "\"user\":\"\\u00e9\"", "\xC3\xA9" },
    { "\"safety_identifier\":\"s\"", "s" },
    { "\"metadata\":{\"user_id\":\"m\",\"x\":[1]}", "m" },
    { "\"metadata\":7", "" },
    { "\"metadata\":{\"user_id\":\"m\"},\"user\":\"u\",\"safety_identifier\":\"s\"", "u" },
    { "\"safety_identifier\":\"s\",\"metadata\":{\"user_id\":\"m\"}", "s" },
    { "\"User\":\"u\",\"user\":\"v\",\"USER\":\"w\"", "v" },
};

START_TEST(tells_whom_the_call_is_for)
{
    char body[BODY_MAX];
    struct tg_request request;

    snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", users[_i].members);
    ck_assert_int_eq(read_body(body, &request), TG_OK);
    ck_assert_str_eq(request.user, users[_i].user);
}
END_TEST

START_TEST(cuts_a_long_user)
{
    char body[BODY_MAX];
    struct tg_request request;

    snprintf(body, sizeof(body), "{\"model\":\"m\",\"user\":\"%0*d\"}", TG_USER_MAX + 9, 0);
    ck_assert_int_eq(read_body(body, &request), TG_OK);
    ck_assert_uint_eq(strlen(request.user), TG_USER_MAX);
}
END_TEST

/* --- media --------------------------------------------------------------------------------------
 */

static const struct {
    const char *part;
    int64_t parts;
    int64_t bytes;
    bool fetches;
} media[] = {
    { "{\"type\":\"text\",\"text\":\"https://x data:a\"}", 0, 0, false },
    { "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}}", 1, 26,
      false },
    { "{\"type\":\"image_url\",\"image_url\":{\"url\":\"DATA:image/"
      "png;base64,AAAA\",\"detail\":\"high\"}}",
      1, 26, false },
    { "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image\\/png;base64,AAAA\"}}", 1, 27,
      false },
    { "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a/b.png\"}}", 1, 0, true },
    { "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https:\\/\\/a\\/b.png\"}}", 1, 0, true },
    { "{\"type\":\"image_url\",\"image_url\":{\"url\":\"gs://bucket/b.png\"}}", 1, 0, true },
    { "{\"type\":\"image_url\",\"image_url\":{\"url\":\"b.png\"}}", 1, 0, true },
    { "{\"type\":\"image_url\",\"image_url\":\"https://a/b.png\"}", 1, 0, true },
    { "{\"type\":\"image_url\",\"image_url\":\"data:,A\"}", 1, 7, false },
    { "{\"type\":\"image_url\",\"IMAGE_URL\":{\"URL\":\"https://a\"}}", 1, 0, true },
    { "{\"type\":\"image_url\",\"image\\u005furl\":{\"\\u0075rl\":\"https://a\"}}", 1, 0, true },
    { "{\"type\":\"image_url\",\"image_url\":{}}", 1, 0, false },
    { "{\"type\":\"image_url\",\"image_url\":null}", 0, 0, false },
    { "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAAAAAA\",\"format\":\"wav\"}}", 1, 8,
      false },
    { "{\"type\":\"input_audio\",\"input_audio\":\"AAAAAAAA\"}", 1, 8, false },
    { "{\"type\":\"input_audio\",\"input_audio\":\"https://a/b.wav\"}", 1, 0, true },
    { "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"data:application/"
      "pdf;base64,AA\"}}",
      1, 30, false },
    { "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"AA\"}}", 1, 2, false },
    { "{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}", 1, 0, true },
    { "{\"type\":\"file\",\"file_id\":\"file-1\"}", 1, 0, true },
    { "{\"type\":\"document_url\",\"document_url\":\"https://a/b.pdf\",\"document_name\":\"b\"}", 1,
      0, true },
    { "{\"type\":\"video_url\",\"video_url\":{\"url\":\"https://a\"}}", 1, 0, true },
    { "{\"type\":\"video\",\"video\":[\"https://a\",\"https://b\",\"data:,CC\"]}", 3, 8, true },
    { "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
      "png\",\"data\":\"AAAA\"}}",
      1, 4, false },
    { "{\"type\":\"x\",\"x\":{\"url\":\"https://a\"}}", 0, 0, false },
    { "[\"data:,A\"]", 0, 0, false },
    { "7", 0, 0, false },
};

START_TEST(counts_media_by_structure)
{
    char body[BODY_MAX];
    struct tg_request request;

    snprintf(
        body, sizeof(body),
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},%s]}],"
        "\"model\":\"m\"}",
        media[_i].part);
    ck_assert_int_eq(read_body(body, &request), TG_OK);
    ck_assert_int_eq(request.media_parts, media[_i].parts);
    ck_assert_int_eq(request.media_bytes, media[_i].bytes);
    ck_assert(((request.flags & TG_REQUEST_FETCHES) != 0) == media[_i].fetches);
    /* Nothing is media outside messages. */
    snprintf(body, sizeof(body), "{\"model\":\"m\",\"metadata\":[{\"content\":[%s]}]}",
             media[_i].part);
    ck_assert_int_eq(read_body(body, &request), TG_OK);
    ck_assert_int_eq(request.media_parts, 0);
}
END_TEST

START_TEST(adds_media_up_over_messages)
{
    struct tg_request request;

    ck_assert_int_eq(read_body("{\"model\":\"m\",\"messages\":["
                               "{\"content\":[{\"image_url\":{\"url\":\"data:,A\"}},{\"image_url\":"
                               "{\"url\":\"data:,B\"}}]},"
                               "{\"content\":\"data:,C\"},null,"
                               "{\"content\":[{\"input_audio\":{\"data\":\"DD\"}}]}]}",
                               &request),
                     TG_OK);
    ck_assert_int_eq(request.media_parts, 3);
    ck_assert_int_eq(request.media_bytes, 16);
    ck_assert_uint_eq(request.flags, 0);
}
END_TEST

/* What has a maximum of tokens is told from what has none. */
START_TEST(knows_still_images_by_their_place_and_type)
{
    static const struct {
        const char *part;
        int64_t images;
    } parts[] = {
        { "{\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}}", 1 },
        { "{\"image_url\":{\"url\":\"DATA:image\\/webp;base64,AAAA\"}}", 1 },
        { "{\"image_url\":[\"data:image/png,A\",\"data:image/png,B\"]}", 2 },
        { "{\"image_url\":{\"url\":\"data:application/pdf;base64,AAAA\"}}", 0 },
        { "{\"image_url\":{\"url\":\"https://a/b.png\"}}", 0 },
        { "{\"video_url\":{\"url\":\"data:image/png;base64,AAAA\"}}", 0 },
        { "{\"file\":{\"file_data\":\"data:image/png;base64,AAAA\"}}", 0 },
        { "{\"input_audio\":{\"data\":\"AAAA\"}}", 0 },
    };

    for (size_t i = 0; i < COUNT(parts); i++) {
        char body[BODY_MAX];
        struct tg_request request;

        snprintf(body, sizeof(body), "{\"model\":\"m\",\"messages\":[{\"content\":[%s]}]}",
                 parts[i].part);
        ck_assert_int_eq(read_body(body, &request), TG_OK);
        ck_assert_msg(request.image_parts == parts[i].images, "%s", body);
        ck_assert_int_le(request.image_parts, request.media_parts);
    }
}
END_TEST

/* --- refusals -----------------------------------------------------------------------------------
 */

static const struct {
    const char *body;
    const char *field; /* as it stands in the body */
} refusals[] = {
    /* no JSON object */
    { "", "" },
    { "[]", "" },
    { "\"model\"", "" },
    { "{\"model\":\"m\"", "" },
    { "{\"model\":\"m\"}x", "" },
    { "{\"model\":\"m\"}{}", "" },
    { "\xEF\xBB\xBF{\"model\":\"m\"}", "" },
    { "{\"model\":\"m\",\"a\":\"\xFF\"}", "" },
    { "{\"model\":\"m\",\"messages\":[{\"content\":[{\"a\":1]}]}", "" },
    /* the model */
    { "{}", "model" },
    { "{\"models\":\"m\"}", "model" },
    { "{\"model\":null}", "model" },
    { "{\"model\":7}", "model" },
    { "{\"model\":[\"m\"]}", "model" },
    { "{\"model\":\"\"}", "model" },
    { "{\"model\":\"a\\nb\"}", "model" },
    { "{\"model\":\"a\\u0000\"}", "model" },
    { "{\"model\":\"a\x7F\"}", "model" },
    { "{\"model\":\"a\\ud800\"}", "model" },
    /* twice, whatever the escapes and the values */
    { "{\"model\":\"m\",\"model\":\"m\"}", "model" },
    { "{\"model\":\"m\",\"mod\\u0065l\":\"x\"}", "mod\\u0065l" },
    { "{\"model\":\"m\",\"max_tokens\":1,\"max_tokens\":100000}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":1,\"m\\u0061x_tokens\":100000}", "m\\u0061x_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":null,\"max_tokens\":1}", "max_tokens" },
    { "{\"model\":\"m\",\"max_completion_tokens\":1,\"max_completion_tokens\":1}",
      "max_completion_tokens" },
    { "{\"model\":\"m\",\"stream\":true,\"stream\":false}", "stream" },
    { "{\"model\":\"m\",\"n\":1,\"n\":1}", "n" },
    { "{\"model\":\"m\",\"n\":1,\"\\u006e\":9}", "\\u006e" },
    { "{\"model\":\"m\",\"stream_options\":null,\"stream_options\":{}}", "stream_options" },
    { "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true,\"include_usag\\u0065\":false}}",
      "include_usag\\u0065" },
    /* other letters for the same key, as Go reads it */
    { "{\"model\":\"m\",\"Model\":\"x\"}", "Model" },
    { "{\"model\":\"m\",\"max_tokens\":1,\"MAX_TOKENS\":9}", "MAX_TOKENS" },
    { "{\"model\":\"m\",\"max_to\xE2\x84\xAA"
      "ens\":9}",
      "max_to\xE2\x84\xAA"
      "ens" },
    { "{\"model\":\"m\",\"max_token\xC5\xBF\":9}", "max_token\xC5\xBF" },
    { "{\"model\":\"m\",\"max_to\\u212aens\":9}", "max_to\\u212aens" },
    { "{\"model\":\"m\",\"N\":9}", "N" },
    { "{\"model\":\"m\",\"Messages\":[]}", "Messages" },
    { "{\"model\":\"m\",\"stream_options\":{\"Include_Usage\":true}}", "Include_Usage" },
    /* wrong types and values */
    { "{\"model\":\"m\",\"stream\":1}", "stream" },
    { "{\"model\":\"m\",\"stream\":\"true\"}", "stream" },
    { "{\"model\":\"m\",\"stream\":{}}", "stream" },
    { "{\"model\":\"m\",\"n\":0}", "n" },
    { "{\"model\":\"m\",\"n\":129}", "n" },
    { "{\"model\":\"m\",\"n\":1.0}", "n" },
    { "{\"model\":\"m\",\"n\":\"1\"}", "n" },
    { "{\"model\":\"m\",\"n\":[1]}", "n" },
    { "{\"model\":\"m\",\"max_tokens\":0}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":-1}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":1.5}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":1e3}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":2147483648}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":18446744073709551617}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":\"5\"}", "max_tokens" },
    { "{\"model\":\"m\",\"max_tokens\":true}", "max_tokens" },
    { "{\"model\":\"m\",\"max_completion_tokens\":0}", "max_completion_tokens" },
    { "{\"model\":\"m\",\"best_of\":2}", "best_of" },
    { "{\"model\":\"m\",\"stream_options\":[]}", "stream_options" },
    { "{\"model\":\"m\",\"stream_options\":true}", "stream_options" },
    { "{\"model\":\"m\",\"stream_options\":{\"include_usage\":1}}", "include_usage" },
    { "{\"model\":\"m\",\"stream_options\":{\"include_usage\":{}}}", "include_usage" },
};

START_TEST(refuses_and_names_the_field)
{
    struct tg_request request;

    ck_assert_int_eq(read_body(refusals[_i].body, &request), TG_INVALID);
    ck_assert_ptr_nonnull(request.problem);
    ck_assert(span_equal(span_of(request.problem_field.ptr, request.problem_field.len),
                         span_from(refusals[_i].field)));
}
END_TEST

START_TEST(refuses_what_is_nested_too_deep)
{
    char body[BODY_MAX] = "{\"model\":\"m\",\"a\":";
    struct tg_request request;

    for (int i = 0; i < 63; i++)
        strcat(body, "[");
    for (int i = 0; i < 63; i++)
        strcat(body, "]");
    strcat(body, "}");
    ck_assert_int_eq(read_body(body, &request), TG_OK);
    strcpy(body, "{\"model\":\"m\",\"a\":");
    for (int i = 0; i < 64; i++)
        strcat(body, "[");
    ck_assert_int_eq(read_body(body, &request), TG_OUT_OF_RANGE);
    ck_assert_ptr_nonnull(request.problem);
}
END_TEST

START_TEST(takes_a_model_of_up_to_256_bytes)
{
    char body[BODY_MAX];
    struct tg_request request;

    for (int len = 255; len <= 257; len++) {
        sprintf(body, "{\"model\":\"%0*d\"}", len, 0);
        ck_assert_int_eq(read_body(body, &request), len <= 256 ? TG_OK : TG_INVALID);
    }
    ck_assert_int_eq(read_body("{\"model\":\"\\u0067pt\\/4\xC3\xB6\"}", &request), TG_OK);
    ck_assert_str_eq(request.model, "gpt/4\xC3\xB6");
    ck_assert_uint_eq(request.model_len, strlen("gpt/4\xC3\xB6"));
}
END_TEST

START_TEST(refuses_a_body_cut_anywhere)
{
    const struct span body =
        SPAN("{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
             "\"image_url\",\"image_url\":{\"url\":\"data:,A\"}}]}],\"max_tokens\":12,"
             "\"stream_options\":{\"include_usage\":false},\"tools\":[{\"type\":"
             "\"function\"}],\"model\":\"m\"}");

    for (size_t len = 0; len <= body.len; len++) {
        char *const copy = malloc(len + 1);
        struct tg_request request;

        ck_assert_ptr_nonnull(copy);
        memcpy(copy + 1, body.ptr, len);
        ck_assert_int_eq(
            openai_chat_read_request((struct tg_span){ copy + 1, len }, &no_path, &request),
            len == body.len ? TG_OK : TG_INVALID);
        free(copy);
    }
}
END_TEST

START_TEST(tells_where_the_output_maxima_stand)
{
    const char *const body = "{\"max_tokens\": 5 ,\"model\":\"m\",\"max_completion_tokens\":70}";
    struct tg_request request;
    const struct tg_request_places *const places = &request.places;

    ck_assert_int_eq(read_body(body, &request), TG_OK);
    ck_assert(span_equal(
        span_of(body + places->max_output_start, places->max_output_end - places->max_output_start),
        SPAN("70")));
    ck_assert(span_equal(span_of(body + places->max_output_other_start,
                                 places->max_output_other_end - places->max_output_other_start),
                         SPAN("5")));
    ck_assert_int_eq(read_body("{\"model\":\"m\",\"max_tokens\":5}", &request), TG_OK);
    ck_assert_uint_eq(places->max_output_other_end, 0);
}
END_TEST

/* --- edits --------------------------------------------------------------------------------------
 */

static const struct tg_kind asking = { .name = "asking", .flags = TG_KIND_ASKS_USAGE };
static const struct tg_kind giving = { .name = "giving" };

static const struct {
    const char *body;
    const char *edited; /* NULL: left alone */
} edits_made[] = {
    { "{\"model\":\"m\",\"stream\":true}",
      "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\",\"stream\":true}" },
    { " {\n\"model\":\"m\",\"stream\":true}",
      " {\"stream_options\":{\"include_usage\":true},\n\"model\":\"m\",\"stream\":true}" },
    { "{\"model\":\"m\",\"stream\":true,\"stream_options\": null }",
      "{\"model\":\"m\",\"stream\":true,\"stream_options\": {\"include_usage\":true} }" },
    { "{\"model\":\"m\",\"stream\":true,\"stream_options\":{}}",
      "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}" },
    { "{\"model\":\"m\",\"stream\":true,\"stream_options\":{ }}",
      "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true }}" },
    { "{\"stream_options\":{\"include_obfuscation\":false},\"model\":\"m\",\"stream\":true}",
      "{\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false},\"model\":\"m\","
      "\"stream\":true}" },
    { "{\"stream_options\":{\"a\":1,\"include_usage\": false},\"model\":\"m\",\"stream\":true}",
      "{\"stream_options\":{\"a\":1,\"include_usage\": true},\"model\":\"m\",\"stream\":true}" },
    { "{\"stream_options\":{\"include_usage\":null},\"model\":\"m\",\"stream\":true}",
      "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\",\"stream\":true}" },
    { "{\"stream\\u005foptions\":{\"include\\u005fusage\":false},\"model\":\"m\",\"stream\":true}",
      "{\"stream\\u005foptions\":{\"include\\u005fusage\":true},\"model\":\"m\",\"stream\":true}" },
    { "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\",\"stream\":true}", NULL },
    { "{\"model\":\"m\",\"stream\":false}", NULL },
    { "{\"model\":\"m\"}", NULL },
    { "{\"model\":\"m\",\"stream_options\":{}}", NULL },
};

START_TEST(asks_for_usage_where_the_client_did_not)
{
    const char *const body = edits_made[_i].body;
    char edited[BODY_MAX];
    struct tg_request request;
    struct tg_edit edits[TG_EDITS_MAX];

    ck_assert_int_eq(read_body(body, &request), TG_OK);
    ck_assert_int_eq(openai_chat_plan_edits(&request, &giving, &no_wish, edits), 0);
    ck_assert_int_eq(openai_chat_plan_edits(&request, &asking, &no_wish, edits),
                     edits_made[_i].edited != NULL);
    if (edits_made[_i].edited == NULL)
        return;
    ck_assert_uint_eq(strlen(edits[0].text), edits[0].text_len);
    snprintf(edited, sizeof(edited), "%.*s%s%s", (int)edits[0].start, body, edits[0].text,
             body + edits[0].end);
    ck_assert_str_eq(edited, edits_made[_i].edited);
    ck_assert_int_eq(read_body(edited, &request), TG_OK);
    ck_assert_uint_eq(request.flags, TG_REQUEST_STREAM | TG_REQUEST_WANTS_USAGE);
    ck_assert_int_eq(openai_chat_plan_edits(&request, &asking, &no_wish, edits), 0);
}
END_TEST

static const struct {
    const char *body;
    const char *field; /* of the model; NULL: the kind's */
    const char *edited;
} lowered[] = {
    { "{\"model\":\"m\"}", NULL, "{\"max_completion_tokens\":300,\"model\":\"m\"}" },
    { "{\"model\":\"m\"}", "max_tokens", "{\"max_tokens\":300,\"model\":\"m\"}" },
    { "{\"model\":\"m\",\"max_tokens\": 900 }", NULL, "{\"model\":\"m\",\"max_tokens\": 300 }" },
    { "{\"max_completion_tokens\":7000,\"max_tokens\":900,\"model\":\"m\"}", NULL,
      "{\"max_completion_tokens\":300,\"max_tokens\":300,\"model\":\"m\"}" },
    /* a null is no maximum, and must not stand behind ours */
    { "{\"max_completion_tokens\":null,\"model\":\"m\"}", NULL,
      "{\"max_completion_tokens\":300,\"model\":\"m\"}" },
    { "{\"max_tokens\":null,\"model\":\"m\"}", NULL,
      "{\"max_completion_tokens\":300,\"max_tokens\":null,\"model\":\"m\"}" },
    { "{\"max_tokens\":null,\"max_completion_tokens\":null,\"model\":\"m\"}", NULL,
      "{\"max_tokens\":null,\"max_completion_tokens\":300,\"model\":\"m\"}" },
    { "{\"max_tokens\":null,\"max_completion_tokens\":5000,\"model\":\"m\"}", NULL,
      "{\"max_tokens\":null,\"max_completion_tokens\":300,\"model\":\"m\"}" },
    { "{\"max_completion_tokens\":5000,\"max_tokens\":null,\"model\":\"m\"}", NULL,
      "{\"max_completion_tokens\":300,\"max_tokens\":null,\"model\":\"m\"}" },
    { "{\"stream\":true,\"model\":\"m\",\"max_tokens\":900}", NULL,
      "{\"stream_options\":{\"include_usage\":true},\"stream\":true,\"model\":\"m\","
      "\"max_tokens\":300}" },
};

START_TEST(lowers_every_maximum_that_holds)
{
    const struct tg_kind kind = { .name = "k",
                                  .flags = TG_KIND_ASKS_USAGE,
                                  .output_field = "max_completion_tokens" };
    const struct tg_wish wish = { .max_output_tokens = 300, .output_field = lowered[_i].field };
    const char *const body = lowered[_i].body;
    struct tg_edit edits[TG_EDITS_MAX];
    struct tg_request request;
    char edited[BODY_MAX] = "";
    size_t at = 0;
    int count;

    ck_assert_int_eq(read_body(body, &request), TG_OK);
    count = openai_chat_plan_edits(&request, &kind, &wish, edits);
    for (int i = 0; i < count; i++) {
        ck_assert_uint_ge(edits[i].start, at);
        strncat(edited, body + at, edits[i].start - at);
        strcat(edited, edits[i].text);
        at = edits[i].end;
    }
    strcat(edited, body + at);
    ck_assert_str_eq(edited, lowered[_i].edited);
    ck_assert_int_eq(read_body(edited, &request), TG_OK);
    ck_assert_int_eq(request.max_output_tokens, 300);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("providers/openai_chat_request");
    TCase *tc = tcase_create("openai_chat_request");

    tcase_add_loop_test(tc, reads_the_facts, 0, COUNT(facts));
    tcase_add_loop_test(tc, tells_whom_the_call_is_for, 0, COUNT(users));
    tcase_add_test(tc, cuts_a_long_user);
    tcase_add_loop_test(tc, counts_media_by_structure, 0, COUNT(media));
    tcase_add_test(tc, adds_media_up_over_messages);
    tcase_add_test(tc, knows_still_images_by_their_place_and_type);
    tcase_add_loop_test(tc, refuses_and_names_the_field, 0, COUNT(refusals));
    tcase_add_test(tc, refuses_what_is_nested_too_deep);
    tcase_add_test(tc, takes_a_model_of_up_to_256_bytes);
    tcase_add_test(tc, refuses_a_body_cut_anywhere);
    tcase_add_test(tc, tells_where_the_output_maxima_stand);
    tcase_add_loop_test(tc, asks_for_usage_where_the_client_did_not, 0, COUNT(edits_made));
    tcase_add_loop_test(tc, lowers_every_maximum_that_holds, 0, COUNT(lowered));
    suite_add_tcase(s, tc);
    return s;
}
