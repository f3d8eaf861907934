#include "admin/teams.h"

#include "admin/input.h"
#include "base/try.h"
#include "policy/team.h"
#include "store/reader.h"

#include <stdio.h>

static void put_team(struct json_writer *w, const struct team *team)
{
    json_open_object(w, NULL);
    json_string(w, "id", team->public_id);
    json_string(w, "name", team->name);
    json_string(w, "timezone", team->timezone[0] != '\0' ? team->timezone : NULL);
    json_raw(w, "metadata", span_from(team->metadata));
    json_time(w, "created_at", team->created_at_ms);
    json_time(w, "archived_at", team->archived_at_ms);
    json_close_object(w);
}

static enum tg_status on_team(void *context, const struct team *team)
{
    struct api_list *list = context;

    put_team(&list->w, team);
    memcpy(list->last, team->public_id, sizeof(list->last));
    return TG_OK;
}

static enum tg_status list_by_name(struct api_call *call, struct db *db, struct span name,
                                   struct api_list *list)
{
    AUTO(team) team = { 0 };
    const enum tg_status status = team_get_by_name(db, call->who.scope, name, &team, &call->err);

    if (status == TG_NOT_FOUND)
        return TG_OK;
    TRY(status);
    return on_team(list, &team);
}

enum tg_status teams_list(struct api_call *call)
{
    struct input_page page = { .limit = API_PAGE_DEFAULT };
    struct span name = SPAN_EMPTY;
    bool with_archived = false;
    const struct input_field fields[] = {
        INPUT_PAGE_FIELDS(page),
        { .name = "name", .kind = INPUT_TEXT, .ret = &name },
        { .name = "archived", .kind = INPUT_BOOL, .ret = &with_archived },
    };
    AUTO(reader) reader = { 0 };
    struct api_list list;
    bool has_more = false;

    TRY(input_query(call, fields, INPUT_COUNT(fields)));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    api_list_begin(&list, call);
    if (name.len > 0)
        TRY(list_by_name(call, reader.db, name, &list));
    else
        TRY(team_list(reader.db,
                      &(struct team_query){ .scope = call->who.scope,
                                            .page = input_account_page(call, &page),
                                            .with_archived = with_archived,
                                            .on_row = on_team,
                                            .context = &list },
                      &has_more, &call->err));
    api_list_end(&list, has_more);
    return TG_OK;
}

enum tg_status teams_get(struct api_call *call)
{
    AUTO(reader) reader = { 0 };
    AUTO(team) team = { 0 };
    struct json_writer w;

    TRY(input_query(call, NULL, 0));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    TRY(team_get(reader.db, call->who.scope, call->id, &team, &call->err));
    api_begin(call, &w);
    api_etag(call, team.revision);
    put_team(&w, &team);
    return TG_OK;
}

static enum tg_status read_input(struct api_call *call, bool is_new, struct team_input *input)
{
    const struct input_field fields[] = {
        { .name = "name",
          .kind = INPUT_TEXT,
          .is_required = is_new,
          .ret_has = &input->has_name,
          .ret = &input->name },
        { .name = "timezone",
          .kind = INPUT_TEXT,
          .may_be_null = true,
          .ret_has = &input->has_timezone,
          .ret = &input->timezone },
        { .name = "metadata",
          .kind = INPUT_JSON,
          .may_be_null = true,
          .ret_has = &input->has_metadata,
          .ret = &input->metadata },
    };

    return input_body(call, fields, INPUT_COUNT(fields));
}

static void answer(struct api_call *call, const struct team *team, bool is_new)
{
    char location[64];
    struct json_writer w;

    (void)snprintf(location, sizeof(location), "/api/v1/teams/%s", team->public_id);
    if (is_new)
        api_begin_created(call, &w, location);
    else
        api_begin(call, &w);
    api_etag(call, team->revision);
    put_team(&w, team);
}

static enum tg_status change(struct api_call *call, enum team_action action)
{
    AUTO(team_job) job;

    team_job_init(&job, action, call->parts->keyring);
    job.scope = call->who.scope;
    job.public_id = call->id;
    TRY(api_if_match(call, &job.if_revision));
    if (action == TEAM_ARCHIVE)
        TRY(input_body(call, NULL, 0));
    else
        TRY(read_input(call, action == TEAM_CREATE, &job.input));
    TRY(api_change(call, &job.account));
    answer(call, &job.after, action == TEAM_CREATE);
    return TG_OK;
}

enum tg_status teams_create(struct api_call *call)
{
    return change(call, TEAM_CREATE);
}

enum tg_status teams_update(struct api_call *call)
{
    return change(call, TEAM_UPDATE);
}

enum tg_status teams_archive(struct api_call *call)
{
    return change(call, TEAM_ARCHIVE);
}
