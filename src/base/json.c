#include "base/json.h"

#include "base/clock.h"
#include "base/money.h"
#include "base/try.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* --- reading ---
 * cJSON takes more than JSON is (any control byte as a blank, "01", raw line ends in strings) and
 * does not say whether it failed for the text or for memory. So the text is checked first, without
 * a tree; what cJSON then cannot do is a matter of memory. */

enum expect { EXPECT_VALUE, EXPECT_VALUE_OR_END, EXPECT_NAME, EXPECT_NAME_OR_END, EXPECT_MORE };

struct check {
    struct span text;
    size_t at;           /* next byte */
    const char *problem; /* what is wrong at `at`; NULL: nothing yet */
    int depth;
    bool is_object[JSON_DEPTH_MAX + 1]; /* what is open at this depth */
    enum expect expect;
};

static bool fail(struct check *c, const char *problem)
{
    c->problem = problem;
    return false;
}

/* The next byte, or NUL at the end, which no rule accepts either. */
static char peek(const struct check *c)
{
    if (c->at == c->text.len)
        return '\0';
    return c->text.ptr[c->at];
}

static bool take(struct check *c, char byte)
{
    if (peek(c) != byte)
        return false;
    c->at++;
    return true;
}

static void skip_blanks(struct check *c)
{
    while (peek(c) == ' ' || peek(c) == '\t' || peek(c) == '\n' || peek(c) == '\r')
        c->at++;
}

static size_t take_digits(struct check *c)
{
    const size_t start = c->at;

    while (peek(c) >= '0' && peek(c) <= '9')
        c->at++;
    return c->at - start;
}

static bool check_number(struct check *c)
{
    const size_t start = c->at;

    (void)take(c, '-'); /* may be there */
    if (!take(c, '0') && take_digits(c) == 0)
        return fail(c, "a digit was expected");
    if (take(c, '.') && take_digits(c) == 0)
        return fail(c, "a digit was expected");
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+'))
            (void)take(c, '-'); /* may be there */
        if (take_digits(c) == 0)
            return fail(c, "a digit was expected");
    }
    if (c->at - start > JSON_NUMBER_MAX)
        return fail(c, "the number before this is too long");
    return true;
}

/* Read the four hex digits of an escape. */
static bool take_hex4(struct check *c, uint32_t *ret_unit)
{
    uint32_t unit = 0;

    for (int i = 0; i < 4; i++) {
        const char digit = peek(c);

        if (digit >= '0' && digit <= '9')
            unit = unit << 4 | (uint32_t)(digit - '0');
        else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
            unit = unit << 4 | (uint32_t)((digit | 0x20) - 'a' + 10);
        else
            return fail(c, "four hexadecimal digits were expected");
        c->at++;
    }
    *ret_unit = unit;
    return true;
}

static bool is_low_surrogate(uint32_t unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* After a backslash. */
static bool check_escape(struct check *c)
{
    uint32_t unit;

    if (!take(c, 'u')) {
        if (peek(c) == '\0' || strchr("\"\\/bfnrt", peek(c)) == NULL)
            return fail(c, "there is no such escape");
        c->at++;
        return true;
    }
    if (!take_hex4(c, &unit))
        return false;
    if (unit == 0)
        return fail(c, "a string may not hold NUL");
    if (is_low_surrogate(unit))
        return fail(c, "the surrogate before this stands alone");
    if (unit < 0xD800 || unit > 0xDBFF)
        return true;
    if (!take(c, '\\') || !take(c, 'u'))
        return fail(c, "the surrogate before this stands alone");
    if (!take_hex4(c, &unit))
        return false;
    if (!is_low_surrogate(unit))
        return fail(c, "the surrogate before this stands alone");
    return true;
}

static bool check_string(struct check *c)
{
    uint32_t code_point;
    size_t len;

    if (!take(c, '"'))
        return fail(c, "a string was expected");
    while (!take(c, '"')) {
        if (take(c, '\\')) {
            if (!check_escape(c))
                return false;
            continue;
        }
        if (c->at == c->text.len)
            return fail(c, "the string does not end");
        if ((unsigned char)peek(c) < 0x20)
            return fail(c, "a control character must be escaped");
        len = span_utf8_at(span_from_offset(c->text, c->at), &code_point);
        if (len == 0)
            return fail(c, "this is not UTF-8");
        c->at += len;
    }
    return true;
}

static bool check_literal(struct check *c, struct span literal)
{
    if (!span_starts_with(span_from_offset(c->text, c->at), literal))
        return fail(c, "a value was expected");
    c->at += literal.len;
    return true;
}

static bool check_scalar(struct check *c)
{
    switch (peek(c)) {
    case '"':
        return check_string(c);
    case 't':
        return check_literal(c, SPAN("true"));
    case 'f':
        return check_literal(c, SPAN("false"));
    case 'n':
        return check_literal(c, SPAN("null"));
    default:
        if (peek(c) == '-' || (peek(c) >= '0' && peek(c) <= '9'))
            return check_number(c);
        return fail(c, "a value was expected");
    }
}

static bool check_open(struct check *c, bool is_object)
{
    if (c->depth == JSON_DEPTH_MAX)
        return fail(c, "this is nested too deeply");
    c->at++;
    c->is_object[++c->depth] = is_object;
    c->expect = is_object ? EXPECT_NAME_OR_END : EXPECT_VALUE_OR_END;
    return true;
}

/* Take the end of what is open, if it stands here. */
static bool take_close(struct check *c)
{
    if (!take(c, c->is_object[c->depth] ? '}' : ']'))
        return false;
    c->depth--;
    c->expect = EXPECT_MORE;
    return true;
}

static bool check_value(struct check *c)
{
    if (c->expect == EXPECT_VALUE_OR_END && take_close(c))
        return true;
    if (peek(c) == '{' || peek(c) == '[')
        return check_open(c, peek(c) == '{');
    c->expect = EXPECT_MORE;
    return check_scalar(c);
}

static bool check_name(struct check *c)
{
    if (c->expect == EXPECT_NAME_OR_END && take_close(c))
        return true;
    if (!check_string(c))
        return false;
    skip_blanks(c);
    if (!take(c, ':'))
        return fail(c, "a colon was expected");
    c->expect = EXPECT_VALUE;
    return true;
}

/* After a value inside of something. */
static bool check_more(struct check *c)
{
    if (take_close(c))
        return true;
    if (!take(c, ','))
        return fail(c, c->is_object[c->depth] ? "a comma or '}' was expected"
                                              : "a comma or ']' was expected");
    c->expect = c->is_object[c->depth] ? EXPECT_NAME : EXPECT_VALUE;
    return true;
}

static bool check_step(struct check *c)
{
    switch (c->expect) {
    case EXPECT_VALUE:
    case EXPECT_VALUE_OR_END:
        return check_value(c);
    case EXPECT_NAME:
    case EXPECT_NAME_OR_END:
        return check_name(c);
    case EXPECT_MORE:
        return check_more(c);
    }
    assert(!"a known expectation");
    return false;
}

static bool check_document(struct check *c)
{
    do {
        skip_blanks(c);
        if (!check_step(c))
            return false;
        skip_blanks(c);
    } while (c->depth > 0 || c->expect != EXPECT_MORE);
    if (c->at < c->text.len)
        return fail(c, "something follows the document");
    return true;
}

static enum tg_status say(const struct check *c, struct err *err)
{
    int line = 1;

    for (size_t i = 0; i < c->at; i++)
        line += c->text.ptr[i] == '\n';
    return err_set(err, TG_INVALID, "JSON line %d, byte %zu: %s", line, c->at, c->problem);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, not compared each with each: a caller must not be able to buy quadratic time. */
static enum tg_status refuse_duplicates(const cJSON *object, struct err *err)
{
    const size_t count = (size_t)cJSON_GetArraySize(object);
    const char **names;
    const char *twice = NULL;
    size_t at = 0;

    if (count < 2)
        return TG_OK;
    names = malloc(count * sizeof(*names));
    if (names == NULL)
        return TG_NO_MEMORY;
    for (const cJSON *member = object->child; member != NULL; member = member->next)
        names[at++] = member->string;
    assert(at == count);
    qsort(names, count, sizeof(*names), compare_names);
    for (size_t i = 1; i < count && twice == NULL; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            twice = names[i];
    free(names);
    if (twice == NULL)
        return TG_OK;
    return err_set(err, TG_INVALID, "JSON: member \"%.*s\" stands twice in one object",
                   (int)span_utf8_cut(span_from(twice), 64), twice);
}

static enum tg_status check_node(const cJSON *node, struct err *err)
{
    if (cJSON_IsNumber(node) && !isfinite(node->valuedouble))
        return err_set(err, TG_INVALID, "JSON: a number is too large");
    return cJSON_IsObject(node) ? refuse_duplicates(node, err) : TG_OK;
}

/* A walk over a tree, parents first; cJSON's nodes do not know theirs. */
struct walk {
    const cJSON *parents[JSON_DEPTH_MAX];
    int depth;
};

/* The node after `node`, or NULL. */
static const cJSON *next_node(struct walk *walk, const cJSON *node)
{
    if (node->child != NULL) {
        assert(walk->depth < JSON_DEPTH_MAX);
        walk->parents[walk->depth++] = node;
        return node->child;
    }
    while (node->next == NULL && walk->depth > 0)
        node = walk->parents[--walk->depth];
    return node->next;
}

static enum tg_status check_tree(const cJSON *tree, struct err *err)
{
    struct walk walk = { .depth = 0 };

    for (const cJSON *node = tree; node != NULL; node = next_node(&walk, node))
        TRY(check_node(node, err));
    return TG_OK;
}

enum tg_status json_parse(struct span text, cJSON **ret_tree, struct err *err)
{
    struct check check = { .text = text, .expect = EXPECT_VALUE };
    cJSON *tree;
    enum tg_status status;

    if (!check_document(&check))
        return say(&check, err);
    tree = cJSON_ParseWithLength(text.ptr, text.len);
    if (tree == NULL)
        return err_set(err, TG_NO_MEMORY, "JSON: out of memory");
    status = check_tree(tree, err);
    if (status == TG_OK)
        *ret_tree = tree;
    else
        cJSON_Delete(tree);
    return status;
}

/* --- writing --- */

void json_begin(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){ .out = out };
}

/* What stands before a value: comma and name. */
static void begin_value(struct json_writer *w, const char *name)
{
    if (w->has_member[w->depth]) {
        assert(w->depth > 0); /* one outermost value */
        buf_put_byte(w->out, ',');
    }
    w->has_member[w->depth] = true;
    if (name != NULL) {
        json_put_quoted(w->out, span_from(name));
        buf_put_byte(w->out, ':');
    }
}

static void open_with(struct json_writer *w, const char *name, char bracket)
{
    assert(w->depth < JSON_DEPTH_MAX);
    begin_value(w, name);
    buf_put_byte(w->out, bracket);
    w->has_member[++w->depth] = false;
}

static void close_with(struct json_writer *w, char bracket)
{
    assert(w->depth > 0);
    w->depth--;
    buf_put_byte(w->out, bracket);
}

void json_open_object(struct json_writer *w, const char *name)
{
    open_with(w, name, '{');
}

void json_open_array(struct json_writer *w, const char *name)
{
    open_with(w, name, '[');
}

void json_close_object(struct json_writer *w)
{
    close_with(w, '}');
}

void json_close_array(struct json_writer *w)
{
    close_with(w, ']');
}

void json_text(struct json_writer *w, const char *name, struct span value)
{
    begin_value(w, name);
    json_put_quoted(w->out, value);
}

void json_string(struct json_writer *w, const char *name, const char *value)
{
    if (value == NULL)
        json_null(w, name);
    else
        json_text(w, name, span_from(value));
}

void json_optional(struct json_writer *w, const char *name, struct span value)
{
    if (value.len > 0)
        json_text(w, name, value);
    else
        json_null(w, name);
}

void json_int(struct json_writer *w, const char *name, int64_t value)
{
    begin_value(w, name);
    buf_put_int(w->out, value);
}

void json_bool(struct json_writer *w, const char *name, bool value)
{
    json_raw(w, name, value ? SPAN("true") : SPAN("false"));
}

void json_null(struct json_writer *w, const char *name)
{
    json_raw(w, name, SPAN("null"));
}

void json_money(struct json_writer *w, const char *name, int64_t nusd)
{
    char text[MONEY_TEXT_SIZE];

    money_format(nusd, text);
    json_string(w, name, text);
}

void json_pusd(struct json_writer *w, const char *name, __int128 pusd)
{
    char text[MONEY_PUSD_TEXT_SIZE];

    money_format_pusd(pusd, text);
    json_string(w, name, text);
}

void json_time(struct json_writer *w, const char *name, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];

    if (wall_ms == 0) {
        json_null(w, name);
        return;
    }
    clock_format_rfc3339(wall_ms, text);
    json_string(w, name, text);
}

void json_raw(struct json_writer *w, const char *name, struct span json)
{
    begin_value(w, name);
    buf_put_span(w->out, json);
}

/* Write the escape of an ASCII character that may not stand in a string as it is. */
static void put_escape(struct buf *out, unsigned char c)
{
    static const char letters[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    char text[8];

    buf_put_byte(out, '\\');
    if (c >= 0x20) {
        buf_put_byte(out, (char)c);
    } else if (letters[c] != 0) {
        buf_put_byte(out, letters[c]);
    } else {
        text[0] = 'u';
        text[1] = '0';
        text[2] = '0';
        text[3] = (char)('0' + (c >> 4));
        text[4] = "0123456789abcdef"[c & 15];
        buf_put(out, text, 5);
    }
}

void json_put_quoted(struct buf *out, struct span s)
{
    size_t start = 0; /* of the bytes not yet written, which all stand for themselves */
    size_t at = 0;
    uint32_t code_point;

    buf_put_byte(out, '"');
    while (at < s.len) {
        const unsigned char c = (unsigned char)s.ptr[at];
        const size_t len = span_utf8_at(span_from_offset(s, at), &code_point);
        const bool is_plain = len > 0 && c >= 0x20 && c != '"' && c != '\\';

        if (!is_plain) {
            buf_put(out, s.ptr + start, at - start);
            if (len == 0)
                buf_put_text(out, "\xEF\xBF\xBD"); /* U+FFFD */
            else
                put_escape(out, c);
            start = at + 1;
        }
        at += len > 0 ? len : 1;
    }
    if (at > start)
        buf_put(out, s.ptr + start, at - start);
    buf_put_byte(out, '"');
}
