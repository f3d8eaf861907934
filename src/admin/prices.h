#ifndef ADMIN_PRICES_H
#define ADMIN_PRICES_H

#include "admin/api.h"

/* /api/v1/prices: the book with its history, an owner's own prices and markups, and what would be
 * charged for a name. A price is in USD a unit, of up to 12 decimals; `per_million` says the same
 * of a million. */

api_handler prices_list;
api_handler prices_get;
api_handler prices_create;
api_handler prices_close;
api_handler prices_match;
api_handler prices_import;
api_handler prices_list_markups;
api_handler prices_create_markup;
api_handler prices_close_markup;

#endif
