#include "routing/route.h"

#include "providers/catalogue.h"

#include <stdio.h>

/* A rule in the order of the list: the oldest target of those for which it holds. */
struct rule {
    int number;
    bool (*holds)(const struct target *target, const struct route_query *query);
};

static bool has_in_book(const struct target *target, const struct route_query *query)
{
    return query->book != NULL && target->kind->book != NULL &&
           book_find(query->book, span_from(target->kind->book), query->model) != NULL;
}

static bool owns_prefix(const struct target *target, const struct route_query *query)
{
    return catalogue_owns_model(target->kind, query->model);
}

static bool has_in_list(const struct target *target, const struct route_query *query)
{
    for (int i = 0; i < target->model_count; i++)
        if (span_equal(span_from(target->models[i]), query->model))
            return true;
    return false;
}

static bool is_default(const struct target *target, const struct route_query *query)
{
    (void)query;
    return target->is_default;
}

static bool speaks(const struct target *target, const struct route_query *query)
{
    return catalogue_speech(target->kind, query->dialect) != NULL;
}

static const struct target *
find_oldest(const struct targets *targets, const struct route_query *query,
            bool (*holds)(const struct target *, const struct route_query *))
{
    for (int i = 0; i < targets->count; i++)
        if (speaks(targets->target[i], query) && holds(targets->target[i], query))
            return targets->target[i];
    return NULL;
}

static const struct target *find_named(const struct targets *targets,
                                       const struct route_query *query, struct span name)
{
    for (int i = 0; i < targets->count; i++)
        if (span_equal(span_from(targets->target[i]->name), name))
            return speaks(targets->target[i], query) ? targets->target[i] : NULL;
    return NULL;
}

static const struct target *find_only(const struct targets *targets,
                                      const struct route_query *query)
{
    const struct target *only = NULL;

    for (int i = 0; i < targets->count; i++) {
        if (!speaks(targets->target[i], query))
            continue;
        if (only != NULL)
            return NULL;
        only = targets->target[i];
    }
    return only;
}

/* `name/model`. A provider may know a model under the whole of it ("openrouter/auto"). */
static bool find_by_model_prefix(const struct targets *targets, const struct route_query *query,
                                 struct route *ret_route)
{
    struct span rest = query->model;
    struct span name;
    size_t slash;
    const struct target *target;

    if (!span_find_byte(query->model, '/', &slash) || slash + 1 == query->model.len)
        return false;
    (void)span_cut(&rest, '/', &name); /* it is there */
    target = find_named(targets, query, name);
    if (target == NULL)
        return false;
    if (has_in_list(target, query) || has_in_book(target, query))
        rest = query->model;
    *ret_route = (struct route){ .target = target, .model = rest, .rule = 2 };
    return true;
}

/* Say which providers there are, and that one was meant that does not fit. */
static enum tg_status not_found(const struct targets *targets, const struct route_query *query,
                                struct err *err)
{
    char names[ERR_TEXT_MAX / 2] = "";
    size_t len = 0;

    for (int i = 0; i < targets->count; i++) {
        const struct target *target = targets->target[i];

        if (!speaks(target, query) || len + strlen(target->name) + 3 > sizeof(names))
            continue;
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len > 0 ? ", " : "",
                                target->name);
    }
    if (len == 0)
        return err_set(err, TG_MODEL_NOT_FOUND, "No provider here speaks %s.",
                       query->dialect->name);
    if (query->prefix.len > 0)
        return err_set(err, TG_MODEL_NOT_FOUND,
                       "There is no provider %.*s here that speaks %s. Those that do: %s.",
                       (int)(query->prefix.len < 64 ? query->prefix.len : 64), query->prefix.ptr,
                       query->dialect->name, names);
    return err_set(err, TG_MODEL_NOT_FOUND,
                   "No provider here serves the model %.*s. Write provider/model to choose one of: "
                   "%s.",
                   (int)(query->model.len < 64 ? query->model.len : 64), query->model.ptr, names);
}

enum tg_status route_find(const struct targets *targets, const struct route_query *query,
                          struct route *ret_route, struct err *err)
{
    static const struct rule rules[] = {
        { 3, has_in_book },
        { 4, owns_prefix },
        { 5, has_in_list },
    };
    struct route route = { .model = query->model };

    if (query->prefix.len > 0) {
        /* Who names a provider gets that one or none. */
        route.rule = 1;
        route.target = find_named(targets, query, query->prefix);
    } else if (find_by_model_prefix(targets, query, ret_route)) {
        return TG_OK;
    } else {
        for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && route.target == NULL; i++) {
            route.rule = rules[i].number;
            route.target = find_oldest(targets, query, rules[i].holds);
        }
        if (route.target == NULL) {
            route.rule = 6;
            route.target = find_only(targets, query);
        }
        if (route.target == NULL) {
            route.rule = 7;
            route.target = find_oldest(targets, query, is_default);
        }
    }
    if (route.target == NULL)
        return not_found(targets, query, err);
    *ret_route = route;
    return TG_OK;
}
