#include "admin/keys.h"

#include "admin/input.h"
#include "base/try.h"
#include "policy/key.h"
#include "policy/key_admin.h"
#include "store/reader.h"

#include <stdio.h>

/* secret: NULL but in the answer that made it */
static void put_key(const struct api_call *call, struct json_writer *w, const struct key *key,
                    const char *secret)
{
    struct keyring *keyring = call->parts->keyring;
    const int64_t known_ms = keyring != NULL ? keyring_last_used_ms(keyring, key->id) : 0;

    json_open_object(w, NULL);
    json_string(w, "id", key->public_id);
    json_string(w, "team_id", key->team_public_id);
    json_string(w, "name", key->name);
    json_string(w, "prefix", key->prefix);
    json_string(w, "last4", key->last4);
    json_raw(w, "models", span_from(key->models));
    json_time(w, "created_at", key->created_at_ms);
    json_time(w, "expires_at", key->expires_at_ms);
    json_time(w, "revoked_at", key->revoked_at_ms);
    json_time(w, "last_used_at", known_ms > key->last_used_at_ms ? known_ms : key->last_used_at_ms);
    json_raw(w, "metadata", span_from(key->metadata));
    if (secret != NULL)
        json_string(w, "secret", secret);
    json_close_object(w);
}

static enum tg_status on_key(void *context, const struct key *key)
{
    struct api_list *list = context;

    put_key(list->call, &list->w, key, NULL);
    memcpy(list->last, key->public_id, sizeof(list->last));
    return TG_OK;
}

enum tg_status keys_list(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    struct span team = SPAN_EMPTY;
    bool with_revoked = false;
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "team", .kind = INPUT_TEXT, .ret = &team },
        { .name = "revoked", .kind = INPUT_BOOL, .ret = &with_revoked },
    };
    AUTO(reader) reader = { 0 };
    struct api_list list;
    bool has_more;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    api_list_begin(&list, call);
    TRY(key_list(reader.db,
                 &(struct key_query){ .scope = call->who.scope,
                                      .page = input_account_page(call, &page),
                                      .team_public_id = team,
                                      .with_revoked = with_revoked,
                                      .on_row = on_key,
                                      .context = &list },
                 &has_more, &call->err));
    api_list_end(&list, has_more);
    return TG_OK;
}

enum tg_status keys_get(struct api_call *call)
{
    AUTO(reader) reader = { 0 };
    AUTO(key) key = { 0 };
    struct json_writer w;

    TRY(input_query(call, NULL, 0));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(key_get(reader.db, call->who.scope, call->id, &key, &call->err));
    api_begin(call, &w);
    api_etag(call, key.revision);
    put_key(call, &w, &key, NULL);
    return TG_OK;
}

static enum tg_status read_fields(struct api_call *call, bool is_new, struct key_input *input)
{
    const struct input_field fields[] = {
        { .name = "name",
          .kind = INPUT_TEXT,
          .is_required = is_new,
          .ret_has = &input->has_name,
          .ret = &input->name },
        { .name = "models",
          .kind = INPUT_JSON,
          .may_be_null = true,
          .ret_has = &input->has_models,
          .ret = &input->models },
        { .name = "expires_at",
          .kind = INPUT_TIME,
          .may_be_null = true,
          .ret_has = &input->has_expires_at,
          .ret = &input->expires_at_ms },
        { .name = "metadata",
          .kind = INPUT_JSON,
          .may_be_null = true,
          .ret_has = &input->has_metadata,
          .ret = &input->metadata },
        /* Last, so that it can be left out: a key never changes its team. */
        { .name = "team_id",
          .kind = INPUT_TEXT,
          .is_required = true,
          .ret = &input->team_public_id },
    };

    return input_body(call, fields, is_new ? INPUT_COUNT(fields) : INPUT_COUNT(fields) - 1);
}

static enum tg_status read_input(struct api_call *call, enum key_action action,
                                 struct key_input *input)
{
    const struct input_field overlap = { .name = "overlap_seconds",
                                         .kind = INPUT_INT,
                                         .ret = &input->overlap_seconds,
                                         .max = KEY_OVERLAP_SECONDS_MAX };

    switch (action) {
    case KEY_CREATE:
    case KEY_UPDATE:
        return read_fields(call, action == KEY_CREATE, input);
    case KEY_ROTATE:
        return input_body(call, &overlap, 1);
    case KEY_REVOKE:
        break;
    }
    return input_body(call, NULL, 0);
}

static void answer(struct api_call *call, enum key_action action, const struct key_job *job)
{
    const bool has_secret = action == KEY_CREATE || action == KEY_ROTATE;
    char location[64];
    struct json_writer w;

    (void)snprintf(location, sizeof(location), "/api/v1/keys/%s", job->after.public_id);
    if (action == KEY_CREATE)
        api_begin_created(call, &w, location);
    else
        api_begin(call, &w);
    api_etag(call, job->after.revision);
    put_key(call, &w, &job->after, has_secret ? job->secret : NULL);
}

static enum tg_status run(struct api_call *call, enum key_action action, struct key_job *job)
{
    job->scope = call->who.scope;
    job->public_id = call->id;
    TRY(api_if_match(call, &job->if_revision));
    TRY(read_input(call, action, &job->input));
    TRY(api_change(call, &job->account));
    answer(call, action, job);
    return TG_OK;
}

static enum tg_status change(struct api_call *call, enum key_action action)
{
    AUTO(key_job) job;
    char secret[ID_TOKEN_SIZE] = "";
    enum tg_status status;

    key_job_init(&job, action, call->parts->ring, call->parts->keyring);
    job.secret = secret;
    status = run(call, action, &job);
    explicit_bzero(secret, sizeof(secret));
    return status;
}

enum tg_status keys_create(struct api_call *call)
{
    return change(call, KEY_CREATE);
}

enum tg_status keys_update(struct api_call *call)
{
    return change(call, KEY_UPDATE);
}

enum tg_status keys_rotate(struct api_call *call)
{
    return change(call, KEY_ROTATE);
}

enum tg_status keys_revoke(struct api_call *call)
{
    return change(call, KEY_REVOKE);
}
