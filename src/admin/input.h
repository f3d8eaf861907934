#ifndef ADMIN_INPUT_H
#define ADMIN_INPUT_H

#include "admin/api.h"

/* What a request brings: the members of its body and the parameters of its query, by a table of
 * what may be there. Anything else is refused by name. Results live as long as the call. */

enum input_kind {
    INPUT_TEXT,  /* struct span */
    INPUT_JSON,  /* struct span: an object or array, as JSON text */
    INPUT_INT,   /* int64_t */
    INPUT_BOOL,  /* bool */
    INPUT_TIME,  /* int64_t, ms since 1970; null is 0 */
    INPUT_MONEY, /* int64_t, nusd, from a decimal string */
};

struct input_field {
    const char *name;
    enum input_kind kind;
    bool is_required;
    bool may_be_null; /* a text or JSON is then empty, a time, number or amount 0, a bool false */
    bool *ret_has;    /* may be NULL */
    void *ret;        /* by kind; left alone where the field is not there */
    int64_t min;      /* of INPUT_INT */
    int64_t max;
};

/* Read call->body; without a body, every field is absent.
 *
 * Errors  TG_INVALID with the pointer of the field; TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status input_body(struct api_call *call, const struct input_field *fields,
                                        int count);
/* Read the object that is the body's member `name`, in the same way; without it, every field is
 * absent. Pointers are "/name/field". */
TG_MUST_CHECK enum tg_status input_object(struct api_call *call, const char *name,
                                          const struct input_field *fields, int count);
/* Read the query: INPUT_TEXT, INPUT_INT, INPUT_BOOL and INPUT_TIME. count 0: none may be there. */
TG_MUST_CHECK enum tg_status input_query(struct api_call *call, const struct input_field *fields,
                                         int count);

/* The parameters of every list, for a table of fields. */
struct input_page {
    int64_t limit; /* API_PAGE_DEFAULT unless given */
    struct span after;
};
#define INPUT_PAGE_FIELDS(page)                                                                    \
    { .name = "limit", .kind = INPUT_INT, .ret = &(page).limit, .min = 1, .max = 200 },            \
    {                                                                                              \
        .name = "after", .kind = INPUT_TEXT, .ret = &(page).after                                  \
    }
/* In the form of the accounts' lists. */
struct account_page input_account_page(struct api_call *call, const struct input_page *page);

/* Integers up to here are exact in JSON as everybody reads it. */
#define INPUT_INT_MAX INT64_C(9007199254740991)

#define INPUT_COUNT(fields) ((int)(sizeof(fields) / sizeof((fields)[0])))

#endif
