#ifndef ROUTING_ROUTE_H
#define ROUTING_ROUTE_H

#include "pricing/book.h"
#include "routing/target.h"

/* Which provider gets a call, among those that speak its dialect: 1 the path's prefix is a
 * provider's name; 2 `name/model`; 3 the oldest whose kind's book has the model; 4 the oldest whose
 * kind owns the name's prefix; 5 a provider's own model list; 6 the only one; 7 the one marked
 * default. */

struct route_query {
    const struct tg_dialect *dialect;
    struct span
        prefix;        /* the path's first segment where it may be a provider's name; empty: none */
    struct span model; /* as asked */
    const struct book *book; /* NULL: rule 3 is skipped */
};

struct route {
    const struct target *target;
    struct span model; /* as the provider knows it: without `name/` where that chose the provider */
    int rule;          /* 1..7 */
};

/* Errors  TG_MODEL_NOT_FOUND: none; `err` names the providers there are */
TG_MUST_CHECK enum tg_status route_find(const struct targets *targets,
                                        const struct route_query *query, struct route *ret_route,
                                        struct err *err);

#endif
