#include "proxy/rates.h"

#include "base/clock.h"

#define MS_PER_SECOND 1000

bool rates_are_there(const struct admit_rate *rates)
{
    return rates != NULL &&
           (rates[ADMIT_RATE_REQUESTS].is_there || rates[ADMIT_RATE_TOKENS].is_there);
}

/* One of the three fields of a limit, up to its value: x-ratelimit-limit-requests, or
 * anthropic-ratelimit-requests-limit. */
static void put_name(const char *what, const char *unit, bool is_anthropic, struct buf *out)
{
    buf_put_text(out, is_anthropic ? "anthropic-ratelimit-" : "x-ratelimit-");
    buf_put_text(out, is_anthropic ? unit : what);
    buf_put_text(out, "-");
    buf_put_text(out, is_anthropic ? what : unit);
    buf_put_text(out, ": ");
}

static void put_number(const char *what, const char *unit, int64_t value, bool is_anthropic,
                       struct buf *out)
{
    put_name(what, unit, is_anthropic, out);
    buf_put_int(out, value);
    buf_put(out, "\r\n", 2);
}

static void put_reset(const struct admit_rate *rate, const char *unit, bool is_anthropic,
                      struct buf *out)
{
    const int64_t left_ms = rate->resets_at_ms - clock_wall_ms();
    char text[CLOCK_RFC3339_SIZE];

    put_name("reset", unit, is_anthropic, out);
    if (is_anthropic) {
        clock_format_rfc3339(rate->resets_at_ms, text);
        buf_put_text(out, text);
    } else {
        buf_put_int(out, left_ms > 0 ? (left_ms + MS_PER_SECOND - 1) / MS_PER_SECOND : 0);
        buf_put_text(out, "s");
    }
    buf_put(out, "\r\n", 2);
}

static void put_rate(const struct admit_rate *rate, const char *unit, bool is_anthropic,
                     struct buf *out)
{
    if (!rate->is_there)
        return;
    put_number("limit", unit, rate->amount, is_anthropic, out);
    put_number("remaining", unit, rate->remaining, is_anthropic, out);
    put_reset(rate, unit, is_anthropic, out);
}

void rates_put(const struct admit_rate *rates, const struct tg_dialect *dialect, struct buf *out)
{
    const bool is_anthropic = (dialect->flags & TG_DIALECT_ANTHROPIC_RATES) != 0;

    put_rate(&rates[ADMIT_RATE_REQUESTS], "requests", is_anthropic, out);
    put_rate(&rates[ADMIT_RATE_TOKENS], "tokens", is_anthropic, out);
}
