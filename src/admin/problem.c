#include "admin/problem.h"

#include "base/json.h"

#include <stdio.h>

#define TYPE_SIZE 64

static void write_type(struct json_writer *w, const struct tg_status_info *info)
{
    char type[TYPE_SIZE];

    (void)snprintf(type, sizeof(type), "/problems/%s", info->code);
    json_string(w, "type", type);
    json_string(w, "title", info->sentence);
    json_int(w, "status", info->http);
}

void problem_write(const struct problem *problem, struct buf *out)
{
    const struct tg_status_info *info = tg_status_info(problem->status);
    const char *detail = problem->detail[0] != '\0' ? problem->detail : info->sentence;
    struct json_writer w;

    json_begin(&w, out);
    json_open_object(&w, NULL);
    write_type(&w, info);
    json_string(&w, "detail", detail);
    json_text(&w, "instance", problem->instance);
    json_string(&w, "code", info->code);
    json_string(&w, "request_id", problem->request_id);
    json_open_array(&w, "errors");
    if (problem->pointer[0] != '\0') {
        json_open_object(&w, NULL);
        json_string(&w, "pointer", problem->pointer);
        json_string(&w, "detail", detail);
        json_close_object(&w);
    }
    json_close_array(&w);
    json_close_object(&w);
}

bool problem_explain(struct span code, struct buf *out)
{
    for (int status = TG_OK + 1; status < TG_STATUS_COUNT; status++) {
        const struct tg_status_info *info = tg_status_info((enum tg_status)status);
        struct json_writer w;

        if (!span_equal(code, span_from(info->code)))
            continue;
        json_begin(&w, out);
        json_open_object(&w, NULL);
        write_type(&w, info);
        json_string(&w, "code", info->code);
        json_bool(&w, "may_retry", info->may_retry);
        json_close_object(&w);
        return true;
    }
    return false;
}
