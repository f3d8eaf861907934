#ifndef METERING_PRICE_LITELLM_H
#define METERING_PRICE_LITELLM_H

#include "base/err.h"
#include "pricing/price.h"

/* LiteLLM's model map (model_prices_and_context_window.json) as price rows: an object of a member
 * a model, prices in USD a token as JSON numbers. Read as text, digit by digit; a number finer than
 * a pico-USD is rounded half to even and its row says so (status "+rounded"). Providers that the
 * book does not have are passed over, so are fields that are no price. */

struct litellm_count {
    int64_t models;  /* read */
    int64_t skipped; /* of providers that the book does not have */
};

/* now_ms    the rows hold from then on; they are overrides, their id is the model's number
 * ret_list  an initialised, empty list; on failure what it holds is unspecified
 * Errors    TG_INVALID: "model map line 12: gpt-x: input_cost_per_token must be ..."; TG_TOO_LARGE;
 *           TG_NO_MEMORY */
TG_MUST_CHECK enum tg_status litellm_parse(struct span json, int64_t now_ms,
                                           struct price_list *ret_list,
                                           struct litellm_count *ret_count, struct err *err);

/* Read a JSON number of USD as pico-USD: 3e-06 is 3000000.
 *
 * ret_is_rounded  whether it was finer than a pico-USD
 * return          false: negative, no number, or beyond COST_PRICE_MAX */
bool litellm_number(struct span text, int64_t *ret_pusd, bool *ret_is_rounded);

#endif
