#include "admin/input.h"

#include "base/clock.h"
#include "base/money.h"
#include "base/try.h"
#include "ledger/account.h"

#include <stdio.h>
#include <stdlib.h>

static enum tg_status fail_field(struct api_call *call, bool is_query, const char *name,
                                 const char *rule)
{
    char why[ERR_TEXT_MAX];
    char pointer[API_POINTER_SIZE];

    (void)snprintf(pointer, sizeof(pointer), "%c%.60s", is_query ? '?' : '/', name);
    (void)snprintf(why, sizeof(why), "%.60s %s", name, rule);
    return api_fail(call, TG_INVALID, pointer, why);
}

static const char *expected(const struct input_field *field, char text[96])
{
    switch (field->kind) {
    case INPUT_TEXT:
        return "must be a string";
    case INPUT_JSON:
        return "must be an object or an array";
    case INPUT_INT:
        (void)snprintf(text, 96, "must be a whole number from %lld to %lld", (long long)field->min,
                       (long long)field->max);
        return text;
    case INPUT_BOOL:
        return "must be true or false";
    case INPUT_TIME:
        return "must be a time as in RFC 3339 (2026-11-24T17:30:00Z) or a date (2026-11-24)";
    case INPUT_MONEY:
        return "must be an amount in USD as a string of up to 9 decimals (\"12.50\")";
    }
    return "is wrong";
}

static enum tg_status fail_kind(struct api_call *call, bool is_query,
                                const struct input_field *field)
{
    char text[96];

    return fail_field(call, is_query, field->name, expected(field, text));
}

/* --- the body --------------------------------------------------------------------------------- */

static bool take_null(const struct input_field *field)
{
    if (!field->may_be_null)
        return false;
    if (field->kind == INPUT_TEXT || field->kind == INPUT_JSON)
        *(struct span *)field->ret = SPAN_EMPTY;
    else if (field->kind == INPUT_BOOL)
        *(bool *)field->ret = false;
    else
        *(int64_t *)field->ret = 0;
    return true;
}

static bool take_int(const struct input_field *field, const cJSON *value)
{
    const double number = value->valuedouble;

    if (!cJSON_IsNumber(value) || !(number >= -(double)INPUT_INT_MAX) ||
        !(number <= (double)INPUT_INT_MAX) || (double)(int64_t)number != number)
        return false;
    if ((int64_t)number < field->min || (int64_t)number > field->max)
        return false;
    *(int64_t *)field->ret = (int64_t)number;
    return true;
}

static enum tg_status take_json(struct api_call *call, const struct input_field *field,
                                const cJSON *value)
{
    struct span copy;
    char *text;

    if (!cJSON_IsObject(value) && !cJSON_IsArray(value))
        return fail_kind(call, /* is_query= */ false, field);
    text = cJSON_PrintUnformatted(value);
    if (text == NULL)
        return TG_NO_MEMORY;
    copy = arena_copy(&call->arena, span_from(text));
    cJSON_free(text);
    if (copy.ptr == NULL)
        return TG_NO_MEMORY;
    *(struct span *)field->ret = copy;
    return TG_OK;
}

static bool take_value(const struct input_field *field, const cJSON *value)
{
    const bool is_text = cJSON_IsString(value);
    const struct span text = is_text ? span_from(value->valuestring) : SPAN_EMPTY;

    switch (field->kind) {
    case INPUT_TEXT:
        if (is_text)
            *(struct span *)field->ret = text;
        return is_text;
    case INPUT_INT:
        return take_int(field, value);
    case INPUT_BOOL:
        if (cJSON_IsBool(value))
            *(bool *)field->ret = cJSON_IsTrue(value);
        return cJSON_IsBool(value);
    case INPUT_TIME:
        return is_text && clock_parse_rfc3339(text, field->ret);
    case INPUT_MONEY:
        return is_text && money_parse(text, field->ret) == TG_OK;
    case INPUT_JSON:
        break;
    }
    return false;
}

static enum tg_status take_member(struct api_call *call, const struct input_field *field,
                                  const cJSON *value)
{
    if (cJSON_IsNull(value)) {
        if (!take_null(field))
            return fail_kind(call, /* is_query= */ false, field);
    } else if (field->kind == INPUT_JSON) {
        TRY(take_json(call, field, value));
    } else if (!take_value(field, value)) {
        return fail_kind(call, /* is_query= */ false, field);
    }
    if (field->ret_has != NULL)
        *field->ret_has = true;
    return TG_OK;
}

static const struct input_field *find(const struct input_field *fields, int count, struct span name)
{
    for (int i = 0; i < count; i++) {
        if (span_equal(name, span_from(fields[i].name)))
            return &fields[i];
    }
    return NULL;
}

enum tg_status input_body(struct api_call *call, const struct input_field *fields, int count)
{
    const cJSON *member;

    cJSON_ArrayForEach(member, call->body)
    {
        const struct input_field *field = find(fields, count, span_from(member->string));

        if (field == NULL)
            return fail_field(call, false, member->string, "is not a field of this request");
        TRY(take_member(call, field, member));
    }
    for (int i = 0; i < count; i++) {
        if (fields[i].is_required &&
            cJSON_GetObjectItemCaseSensitive(call->body, fields[i].name) == NULL)
            return fail_field(call, false, fields[i].name, "must be given");
    }
    return TG_OK;
}

enum tg_status input_object(struct api_call *call, const char *name,
                            const struct input_field *fields, int count)
{
    cJSON *whole = call->body;
    cJSON *object = cJSON_GetObjectItemCaseSensitive(whole, name);
    char inner[API_POINTER_SIZE];
    enum tg_status status;

    if (object != NULL && !cJSON_IsObject(object))
        return fail_field(call, false, name, "must be an object");
    call->body = object;
    status = input_body(call, fields, count);
    call->body = whole;
    if (status == TG_OK || call->pointer[0] == '\0')
        return status;
    memcpy(inner, call->pointer, sizeof(inner));
    (void)snprintf(call->pointer, sizeof(call->pointer), "/%.20s%.40s", name, inner);
    return status;
}

/* --- the query -------------------------------------------------------------------------------- */

static bool take_param(const struct input_field *field, struct span value)
{
    int64_t number;

    switch (field->kind) {
    case INPUT_TEXT:
        *(struct span *)field->ret = value;
        return true;
    case INPUT_INT:
        if (!span_to_int64(value, field->max, &number) || number < field->min)
            return false;
        *(int64_t *)field->ret = number;
        return true;
    case INPUT_BOOL:
        *(bool *)field->ret = span_equal(value, SPAN("true"));
        return span_equal(value, SPAN("true")) || span_equal(value, SPAN("false"));
    case INPUT_TIME:
        return clock_parse_rfc3339(value, field->ret);
    case INPUT_JSON:
    case INPUT_MONEY:
        break;
    }
    return false;
}

enum tg_status input_query(struct api_call *call, const struct input_field *fields, int count)
{
    const struct daemon_param *params = call->request->params;

    for (int i = 0; i < call->request->param_count; i++) {
        const struct input_field *field = find(fields, count, params[i].name);
        struct span name = arena_copy(&call->arena, params[i].name);

        if (name.ptr == NULL)
            return TG_NO_MEMORY;
        if (field == NULL)
            return fail_field(call, true, name.ptr, "is not a parameter of this request");
        for (int k = 0; k < i; k++) {
            if (span_equal(params[k].name, params[i].name))
                return fail_field(call, true, name.ptr, "may be given once");
        }
        if (!take_param(field, params[i].value))
            return fail_kind(call, /* is_query= */ true, field);
        if (field->ret_has != NULL)
            *field->ret_has = true;
    }
    for (int i = 0; i < count; i++) {
        if (fields[i].is_required &&
            !daemon_param_get(call->request, fields[i].name, &(struct span){ 0 }))
            return fail_field(call, true, fields[i].name, "must be given");
    }
    return TG_OK;
}

struct account_page input_account_page(struct api_call *call, const struct input_page *page)
{
    struct account_page result = { .limit = (int)page->limit };

    if (page->after.len > 0)
        result.after = arena_copy(&call->arena, page->after).ptr;
    return result;
}
