#include "net/http.h"

#include "base/try.h"

#include <assert.h>
#include <llhttp.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* A chunk line with its extensions, or all trailers, may take this much; nobody honest needs it. */
#define CHUNK_LINE_MAX 4096

_Static_assert(sizeof(llhttp_t) <= sizeof(((struct http_body *)0)->parser), "llhttp has grown");

bool http_find_head_end(struct span bytes, size_t from, size_t *ret_end)
{
    /* The blank line may have begun in what was searched before. */
    const size_t start = from > 3 ? from - 3 : 0;
    size_t at;

    if (bytes.len <= start)
        return false;
    if (!span_find(span_from_offset(bytes, start), SPAN("\r\n\r\n"), &at))
        return false;
    *ret_end = start + at + 4;
    return true;
}

const struct http_field *http_field(const struct http_head *head, struct span name)
{
    for (int i = 0; i < head->field_count; i++) {
        if (head->fields[i].name.len == name.len && span_equal_nocase(head->fields[i].name, name))
            return &head->fields[i];
    }
    return NULL;
}

struct span http_value(const struct http_head *head, struct span name)
{
    const struct http_field *field = http_field(head, name);

    return field != NULL ? field->value : SPAN_EMPTY;
}

static bool list_has(struct span list, struct span token)
{
    struct span item;

    while (span_cut(&list, ',', &item)) {
        if (span_equal_nocase(span_trim(item), token))
            return true;
    }
    return false;
}

bool http_lists_token(const struct http_head *head, struct span name, struct span token)
{
    for (int i = 0; i < head->field_count; i++) {
        if (span_equal_nocase(head->fields[i].name, name) && list_has(head->fields[i].value, token))
            return true;
    }
    return false;
}

static bool is_token_byte(unsigned char c)
{
    static const bool token[256] = {
        ['!'] = true,         ['#'] = true,         ['$'] = true, ['%'] = true,
        ['&'] = true,         ['\''] = true,        ['*'] = true, ['+'] = true,
        ['-'] = true,         ['.'] = true,         ['^'] = true, ['_'] = true,
        ['`'] = true,         ['|'] = true,         ['~'] = true, ['0' ... '9'] = true,
        ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
    };

    return token[c];
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_byte((unsigned char)s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

/* Whether the control byte at `at` is one that a head may have: TAB, or CR and LF as a pair that
 * does not fold the next line. */
static bool control_is_allowed(struct span bytes, size_t at)
{
    const char c = bytes.ptr[at];
    char next = '\0';

    if (at + 1 < bytes.len)
        next = bytes.ptr[at + 1];
    if (c == '\t')
        return true;
    if (c == '\r')
        return next == '\n';
    if (c != '\n' || at == 0 || bytes.ptr[at - 1] != '\r')
        return false;
    return next != ' ' && next != '\t';
}

/* llhttp takes bare LF, NUL in places and folded lines even in strict mode; a proxy that reads them
 * otherwise than we do is how requests are smuggled. So every byte is looked at first. */
static bool bytes_are_clean(struct span bytes)
{
    size_t i = 0;

#ifdef __SSE2__
    for (; i + 16 <= bytes.len; i += 16) {
        const __m128i block = _mm_loadu_si128((const __m128i *)(const void *)(bytes.ptr + i));
        const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
        const __m128i del = _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7f));
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(low, del));

        for (; mask != 0; mask &= mask - 1) {
            if (!control_is_allowed(bytes, i + (size_t)__builtin_ctz(mask)))
                return false;
        }
    }
#endif
    for (; i < bytes.len; i++) {
        const unsigned char c = (unsigned char)bytes.ptr[i];

        if ((c < 0x20 || c == 0x7f) && !control_is_allowed(bytes, i))
            return false;
    }
    return true;
}

/* What a parse gathers; llhttp hands it back as parser->data. */
struct gather {
    struct http_head *head;
    struct span name;
    bool is_full; /* more fields than there is room for */
    bool is_split;
};

static int on_target(llhttp_t *parser, const char *at, size_t len)
{
    struct gather *gather = parser->data;

    gather->head->target = span_of(at, len);
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct gather *gather = parser->data;

    gather->name = span_of(at, len);
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct gather *gather = parser->data;
    struct http_head *head = gather->head;

    if (gather->name.len == 0) {
        gather->is_split = true;
        return -1;
    }
    if (head->field_count == HTTP_FIELDS_MAX) {
        gather->is_full = true;
        return -1;
    }
    head->fields[head->field_count].name = gather->name;
    head->fields[head->field_count].value = span_trim(span_of(at, len));
    head->field_count++;
    gather->name = SPAN_EMPTY;
    return 0;
}

/* The body is not llhttp's here: stop behind the blank line. */
static int on_head_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t *head_settings(void)
{
    static const llhttp_settings_t settings = {
        .on_url = on_target,
        .on_header_field = on_name,
        .on_header_value = on_value,
        .on_headers_complete = on_head_complete,
    };

    return &settings;
}

static enum tg_status refuse(enum tg_status status, const char *why, const char **ret_why)
{
    *ret_why = why;
    return status;
}

static enum tg_status run_llhttp(struct span bytes, llhttp_type_t type, llhttp_t *parser,
                                 struct gather *gather, const char **ret_why)
{
    llhttp_errno_t outcome;

    llhttp_init(parser, type, head_settings());
    parser->data = gather;
    outcome = llhttp_execute(parser, bytes.ptr, bytes.len);
    if (gather->is_full)
        return refuse(TG_HEADERS_TOO_LARGE, "There are more than 100 header fields.", ret_why);
    /* An upgrade pauses behind the head too; whoever asked for one decides what it means. */
    if (outcome == HPE_PAUSED || outcome == HPE_PAUSED_UPGRADE)
        return TG_OK;
    if (outcome == HPE_INVALID_METHOD)
        return refuse(TG_METHOD_NOT_ALLOWED, "The method is not one that is served here.", ret_why);
    if (outcome == HPE_INVALID_VERSION)
        return refuse(TG_UNSUPPORTED_VERSION, "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
                      ret_why);
    return refuse(TG_INVALID, "The request head is not valid HTTP/1.1.", ret_why);
}

/* Length, coding and Connection, seen once over all fields. */
struct framing {
    int hosts;
    int lengths;
    int codings;
    bool bad_name;
    bool bad_length;
    bool differing_length;
    bool bad_expectation;
    struct span host;
    struct span coding;
    bool close;
    bool keep_alive;
};

static void see_length(struct framing *framing, struct http_head *head, struct span value)
{
    int64_t length;

    framing->lengths++;
    if (!span_to_int64(value, INT64_MAX / 2, &length)) {
        framing->bad_length = true;
        return;
    }
    if (framing->lengths > 1 && length != head->content_length)
        framing->differing_length = true;
    head->content_length = length;
}

static void see_field(struct framing *framing, struct http_head *head,
                      const struct http_field *field)
{
    if (!is_token(field->name)) {
        framing->bad_name = true;
        return;
    }
    switch (field->name.len) {
    case 4:
        if (span_equal_nocase(field->name, SPAN("host"))) {
            framing->hosts++;
            framing->host = field->value;
        }
        break;
    case 6:
        if (span_equal_nocase(field->name, SPAN("expect"))) {
            head->expects_continue = span_equal_nocase(field->value, SPAN("100-continue"));
            framing->bad_expectation = !head->expects_continue;
        }
        break;
    case 7:
        if (span_equal_nocase(field->name, SPAN("upgrade")))
            head->wants_upgrade = true;
        break;
    case 10:
        if (span_equal_nocase(field->name, SPAN("connection"))) {
            framing->close = framing->close || list_has(field->value, SPAN("close"));
            framing->keep_alive = framing->keep_alive || list_has(field->value, SPAN("keep-alive"));
        }
        break;
    case 14:
        if (span_equal_nocase(field->name, SPAN("content-length")))
            see_length(framing, head, field->value);
        break;
    case 17:
        if (span_equal_nocase(field->name, SPAN("transfer-encoding"))) {
            framing->codings++;
            framing->coding = field->value;
        }
        break;
    default:
        break;
    }
}

static void see_fields(struct framing *framing, struct http_head *head)
{
    for (int i = 0; i < head->field_count; i++)
        see_field(framing, head, &head->fields[i]);
    head->keeps_alive = !framing->close && (head->minor_version == 1 || framing->keep_alive);
}

/* Where an IPv6 literal ends, behind its bracket; 0: not one. */
static size_t literal_end(struct span host)
{
    size_t end;

    if (!span_find_byte(host, ']', &end))
        return 0;
    for (size_t k = 1; k < end; k++) {
        if (strchr("0123456789abcdefABCDEF:.", host.ptr[k]) == NULL)
            return 0;
    }
    return end + 1;
}

/* Where a name or an IPv4 address ends; 0: not one. */
static size_t name_end(struct span host)
{
    size_t end = 0;

    while (end < host.len && host.ptr[end] != ':') {
        const unsigned char c = (unsigned char)host.ptr[end];

        if (!is_token_byte(c) || strchr("#^`|", c) != NULL)
            return 0;
        end++;
    }
    return end;
}

/* A name, an address, or an IPv6 literal, with an optional port (RFC 9110 7.2, RFC 3986 3.2). */
static bool host_is_valid(struct span host)
{
    size_t end;
    int64_t port;

    if (host.len == 0 || host.len > 255)
        return false;
    end = host.ptr[0] == '[' ? literal_end(host) : name_end(host);
    if (end == 0)
        return false;
    if (end == host.len)
        return true;
    return host.ptr[end] == ':' && span_to_int64(span_from_offset(host, end + 1), 65535, &port);
}

/* llhttp skips any number of blanks before the target (RFC 9112 3 has one). */
static bool line_has_single_blanks(struct span bytes, struct span target)
{
    const size_t start = (size_t)(target.ptr - bytes.ptr);

    return start >= 2 && target.ptr[-1] == ' ' && target.ptr[-2] != ' ' &&
           span_starts_with(span_from_offset(bytes, start + target.len), SPAN(" HTTP/1."));
}

static enum tg_status take_method(llhttp_t *parser, struct http_head *head, const char **ret_why)
{
    switch (parser->method) {
    case HTTP_GET:
        head->method = METHOD_GET;
        return TG_OK;
    case HTTP_HEAD:
        head->method = METHOD_HEAD;
        return TG_OK;
    case HTTP_POST:
        head->method = METHOD_POST;
        return TG_OK;
    case HTTP_PUT:
        head->method = METHOD_PUT;
        return TG_OK;
    case HTTP_DELETE:
        head->method = METHOD_DELETE;
        return TG_OK;
    case HTTP_PATCH:
        head->method = METHOD_PATCH;
        return TG_OK;
    case HTTP_OPTIONS:
        head->method = METHOD_OPTIONS;
        return TG_OK;
    default:
        return refuse(TG_METHOD_NOT_ALLOWED, "The method is not one that is served here.", ret_why);
    }
}

static enum tg_status check_framing(const struct framing *framing, const struct http_head *head,
                                    const char **ret_why)
{
    const bool has_body = head->content_length > 0 || framing->codings > 0;

    if (framing->bad_name)
        return refuse(TG_INVALID, "A header field's name is not valid.", ret_why);
    if (framing->hosts != 1 || !host_is_valid(framing->host))
        return refuse(TG_INVALID, "There must be exactly one valid Host field.", ret_why);
    if (framing->lengths > 1)
        return refuse(TG_INVALID, "Content-Length is given more than once.", ret_why);
    if (framing->bad_length)
        return refuse(TG_INVALID, "Content-Length is not a number.", ret_why);
    if (framing->codings > 0 && framing->lengths > 0)
        return refuse(TG_INVALID, "Content-Length and Transfer-Encoding are both given.", ret_why);
    if (framing->codings > 1)
        return refuse(TG_INVALID, "Transfer-Encoding is given more than once.", ret_why);
    if (framing->codings == 1 && head->minor_version == 0)
        return refuse(TG_INVALID, "HTTP/1.0 has no Transfer-Encoding.", ret_why);
    if (framing->codings == 1 && !span_equal_nocase(framing->coding, SPAN("chunked")))
        return refuse(TG_UNSUPPORTED_CODING, "Only 'Transfer-Encoding: chunked' is understood.",
                      ret_why);
    if (framing->bad_expectation)
        return refuse(TG_EXPECTATION_FAILED, "Only 'Expect: 100-continue' is understood.", ret_why);
    if (has_body && (head->method == METHOD_GET || head->method == METHOD_HEAD ||
                     head->method == METHOD_DELETE))
        return refuse(TG_INVALID, "A request with this method must not have a body.", ret_why);
    return TG_OK;
}

static void head_clear(struct http_head *head)
{
    head->method = METHOD_GET;
    head->target = SPAN_EMPTY;
    head->status = 0;
    head->minor_version = 0;
    head->field_count = 0;
    head->content_length = -1;
    head->is_chunked = false;
    head->keeps_alive = false;
    head->expects_continue = false;
    head->wants_upgrade = false;
}

enum tg_status http_parse_request(struct span bytes, struct http_head *ret_head,
                                  const char **ret_why)
{
    struct gather gather = { .head = ret_head };
    struct framing framing = { 0 };
    llhttp_t parser;

    head_clear(ret_head);
    if (bytes.len > HTTP_HEAD_MAX)
        return refuse(TG_HEADERS_TOO_LARGE, "The request head is larger than 32 KiB.", ret_why);
    if (!bytes_are_clean(bytes))
        return refuse(TG_INVALID,
                      "The request head has a control character, a bare line end or a "
                      "folded line.",
                      ret_why);
    TRY(run_llhttp(bytes, HTTP_REQUEST, &parser, &gather, ret_why));
    TRY(take_method(&parser, ret_head, ret_why));
    if (parser.http_major != 1 || parser.http_minor > 1)
        return refuse(TG_UNSUPPORTED_VERSION, "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
                      ret_why);
    ret_head->minor_version = parser.http_minor;
    if (ret_head->target.len == 0 || ret_head->target.ptr[0] != '/')
        return refuse(TG_INVALID, "The request target must begin with '/'.", ret_why);
    if (!line_has_single_blanks(bytes, ret_head->target))
        return refuse(TG_INVALID, "The request line must have single blanks.", ret_why);
    see_fields(&framing, ret_head);
    TRY(check_framing(&framing, ret_head, ret_why));
    ret_head->is_chunked = framing.codings == 1;
    return TG_OK;
}

enum tg_status http_parse_answer(struct span bytes, struct http_head *ret_head,
                                 const char **ret_why)
{
    struct gather gather = { .head = ret_head };
    struct framing framing = { 0 };
    llhttp_t parser;

    head_clear(ret_head);
    if (bytes.len > HTTP_HEAD_MAX)
        return refuse(TG_UPSTREAM_INVALID, "The answer's head is larger than 32 KiB.", ret_why);
    if (!bytes_are_clean(bytes) ||
        run_llhttp(bytes, HTTP_RESPONSE, &parser, &gather, ret_why) != TG_OK)
        return refuse(TG_UPSTREAM_INVALID, "The answer's head is not valid HTTP/1.1.", ret_why);
    if (parser.http_major != 1 || parser.http_minor > 1)
        return refuse(TG_UPSTREAM_INVALID, "The answer is not HTTP/1.0 or HTTP/1.1.", ret_why);
    ret_head->minor_version = parser.http_minor;
    ret_head->status = parser.status_code;
    see_fields(&framing, ret_head);
    if (framing.bad_name || framing.bad_length || framing.differing_length ||
        (framing.lengths > 0 && framing.codings > 0) || framing.codings > 1)
        return refuse(TG_UPSTREAM_INVALID, "The answer's framing contradicts itself.", ret_why);
    if (framing.codings == 1 && !span_equal_nocase(framing.coding, SPAN("chunked")))
        return refuse(TG_UPSTREAM_INVALID, "The answer has an unknown Transfer-Encoding.", ret_why);
    if (ret_head->status < 100 || ret_head->status > 599)
        return refuse(TG_UPSTREAM_INVALID, "The answer's status is out of range.", ret_why);
    ret_head->is_chunked = framing.codings == 1;
    return TG_OK;
}

/* --- bodies -------------------------------------------------------------------------------------
 */

static int on_content(llhttp_t *parser, const char *at, size_t len)
{
    *(struct span *)parser->data = span_of(at, len);
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static llhttp_t *chunk_parser(struct http_body *body)
{
    return (llhttp_t *)(void *)body->parser;
}

/* The coding alone decides how a chunked body is read, so its parser begins behind a head of our
 * own. */
static void start_chunked(struct http_body *body)
{
    static const llhttp_settings_t settings = {
        .on_body = on_content,
        .on_message_complete = on_message_complete,
    };
    static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    llhttp_t *parser = chunk_parser(body);
    llhttp_errno_t outcome;

    llhttp_init(parser, HTTP_REQUEST, &settings);
    outcome = llhttp_execute(parser, head, sizeof(head) - 1);
    assert(outcome == HPE_OK);
}

static void body_init(struct http_body *body, enum http_framing framing, int64_t length)
{
    body->framing = framing;
    body->left = length;
    body->line_bytes = 0;
    body->is_done = framing == HTTP_NO_BODY || (framing == HTTP_LENGTH && length == 0);
    if (framing == HTTP_CHUNKED)
        start_chunked(body);
}

void http_body_init_request(struct http_body *body, const struct http_head *head)
{
    if (head->is_chunked)
        body_init(body, HTTP_CHUNKED, 0);
    else if (head->content_length > 0)
        body_init(body, HTTP_LENGTH, head->content_length);
    else
        body_init(body, HTTP_NO_BODY, 0);
}

void http_body_init_answer(struct http_body *body, const struct http_head *head,
                           bool to_head_request)
{
    if (to_head_request || head->status < 200 || head->status == 204 || head->status == 304)
        body_init(body, HTTP_NO_BODY, 0);
    else if (head->is_chunked)
        body_init(body, HTTP_CHUNKED, 0);
    else if (head->content_length >= 0)
        body_init(body, HTTP_LENGTH, head->content_length);
    else
        body_init(body, HTTP_UNTIL_CLOSE, 0);
}

static enum tg_status read_chunked(struct http_body *body, struct span bytes, size_t *ret_used,
                                   struct span *ret_content)
{
    llhttp_t *parser = chunk_parser(body);
    struct span content = SPAN_EMPTY;
    llhttp_errno_t outcome;
    size_t used = bytes.len;

    parser->data = &content;
    outcome = llhttp_execute(parser, bytes.ptr, bytes.len);
    parser->data = NULL;
    if (outcome == HPE_PAUSED) {
        used = (size_t)(llhttp_get_error_pos(parser) - bytes.ptr);
        llhttp_resume(parser);
        /* Content pauses inside the message, its end pauses without content. */
        body->is_done = content.len == 0;
    } else if (outcome != HPE_OK) {
        return TG_INVALID;
    }
    body->line_bytes = content.len > 0 ? 0 : body->line_bytes + (int)used;
    if (body->line_bytes > CHUNK_LINE_MAX)
        return TG_INVALID;
    *ret_used = used;
    *ret_content = content;
    return TG_OK;
}

enum tg_status http_body_read(struct http_body *body, struct span bytes, size_t *ret_used,
                              struct span *ret_content)
{
    size_t take = bytes.len;

    assert(!body->is_done);
    if (body->framing == HTTP_CHUNKED)
        return read_chunked(body, bytes, ret_used, ret_content);
    if (body->framing == HTTP_LENGTH) {
        if ((uint64_t)take > (uint64_t)body->left)
            take = (size_t)body->left;
        body->left -= (int64_t)take;
        body->is_done = body->left == 0;
    }
    *ret_used = take;
    *ret_content = span_of(bytes.ptr, take);
    return TG_OK;
}
