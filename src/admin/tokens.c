#include "admin/tokens.h"

#include "admin/input.h"
#include "base/try.h"
#include "policy/token.h"
#include "store/reader.h"

#include <stdio.h>

/* secret: NULL but in the answer that made it */
static void put_token(struct json_writer *w, const struct token *token, const char *secret)
{
    json_open_object(w, NULL);
    json_string(w, "id", token->public_id);
    json_string(w, "name", token->name);
    json_string(w, "role", token_role_name(token->role));
    json_string(w, "team_id", token->team_public_id[0] != '\0' ? token->team_public_id : NULL);
    json_string(w, "prefix", token->prefix);
    json_string(w, "last4", token->last4);
    json_time(w, "created_at", token->created_at_ms);
    json_time(w, "expires_at", token->expires_at_ms);
    json_time(w, "revoked_at", token->revoked_at_ms);
    json_time(w, "last_used_at", token->last_used_at_ms);
    if (secret != NULL)
        json_string(w, "secret", secret);
    json_close_object(w);
}

static enum tg_status on_token(void *context, const struct token *token)
{
    struct api_list *list = context;

    put_token(&list->w, token, NULL);
    memcpy(list->last, token->public_id, sizeof(list->last));
    return TG_OK;
}

enum tg_status tokens_list(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    bool with_revoked = false;
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "revoked", .kind = INPUT_BOOL, .ret = &with_revoked },
    };
    AUTO(reader) reader = { 0 };
    struct api_list list;
    bool has_more;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    api_list_begin(&list, call);
    TRY(token_list(reader.db,
                   &(struct token_query){ .page = input_account_page(call, &page),
                                          .with_revoked = with_revoked,
                                          .on_row = on_token,
                                          .context = &list },
                   &has_more, &call->err));
    api_list_end(&list, has_more);
    return TG_OK;
}

static enum tg_status read_token(struct api_call *call, struct token *ret_token)
{
    AUTO(reader) reader = { 0 };

    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    return token_get(reader.db, call->id, ret_token, &call->err);
}

enum tg_status tokens_get(struct api_call *call)
{
    struct token token;
    struct json_writer w;

    TRY(input_query(call, NULL, 0));
    TRY(read_token(call, &token));
    api_begin(call, &w);
    api_etag(call, token.revision);
    put_token(&w, &token, NULL);
    return TG_OK;
}

static void answer(struct api_call *call, const struct token_job *job)
{
    const bool is_new = job->action == TOKEN_CREATE || job->action == TOKEN_SETUP;
    char location[64];
    struct json_writer w;

    (void)snprintf(location, sizeof(location), "/api/v1/tokens/%s", job->after.public_id);
    if (is_new)
        api_begin_created(call, &w, location);
    else
        api_begin(call, &w);
    api_etag(call, job->after.revision);
    put_token(&w, &job->after, is_new ? job->secret : NULL);
}

static enum tg_status run_new(struct api_call *call, struct token_job *job)
{
    char secret[ID_TOKEN_SIZE] = "";
    enum tg_status status;

    job->secret = secret;
    status = api_change(call, &job->account);
    if (status == TG_OK)
        answer(call, job);
    explicit_bzero(secret, sizeof(secret));
    job->secret = NULL;
    return status;
}

enum tg_status tokens_create(struct api_call *call)
{
    struct token_job job;
    enum token_role role;
    const struct input_field fields[] = {
        { .name = "name",
          .kind = INPUT_TEXT,
          .is_required = true,
          .ret_has = &job.input.has_name,
          .ret = &job.input.name },
        { .name = "role", .kind = INPUT_TEXT, .is_required = true, .ret = &job.input.role },
        { .name = "team_id",
          .kind = INPUT_TEXT,
          .may_be_null = true,
          .ret = &job.input.team_public_id },
        { .name = "expires_at",
          .kind = INPUT_TIME,
          .may_be_null = true,
          .ret_has = &job.input.has_expires_at,
          .ret = &job.input.expires_at_ms },
    };

    token_job_init(&job, TOKEN_CREATE, call->parts->gate);
    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    if (!token_role_parse(job.input.role, &role))
        return api_fail(call, TG_INVALID, "/role",
                        "role must be owner, admin, finance, team or viewer");
    if (!token_may_grant(call->who.role, role))
        return api_fail(call, TG_FORBIDDEN, "/role", "this token may not give that role");
    return run_new(call, &job);
}

enum tg_status tokens_revoke(struct api_call *call)
{
    struct token_job job;
    struct token token;

    TRY(input_body(call, NULL, 0));
    TRY(read_token(call, &token));
    if (!token_may_grant(call->who.role, token.role))
        return api_fail(call, TG_FORBIDDEN, "", "this token may not revoke one of that role");
    token_job_init(&job, TOKEN_REVOKE, call->parts->gate);
    job.public_id = call->id;
    TRY(api_if_match(call, &job.if_revision));
    TRY(api_change(call, &job.account));
    answer(call, &job);
    return TG_OK;
}

enum tg_status tokens_setup(struct api_call *call)
{
    struct token_job job;
    const struct input_field fields[] = {
        { .name = "token", .kind = INPUT_TEXT, .is_required = true, .ret = &job.input.setup },
    };

    token_job_init(&job, TOKEN_SETUP, call->parts->gate);
    TRY(input_body(call, fields, INPUT_COUNT(fields)));
    return run_new(call, &job);
}
