#include "base/clock.h"

#include <assert.h>
#include <time.h>

#define DAY_MS      INT64_C(86400000)
#define WALL_MS_MAX INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static int64_t system_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_boot_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const struct clock_source system_clock = { system_wall_ms, system_monotonic_us,
                                                  system_boot_ms };
static struct clock_source current = { system_wall_ms, system_monotonic_us, system_boot_ms };

void clock_use(const struct clock_source *source)
{
    current = source == NULL ? system_clock : *source;
}

int64_t clock_wall_ms(void)
{
    return current.wall_ms();
}

int64_t clock_monotonic_us(void)
{
    return current.monotonic_us();
}

int64_t clock_boot_ms(void)
{
    return current.boot_ms != NULL ? current.boot_ms() : current.monotonic_us() / 1000;
}

/* The next two count years from March, so that the leap day is the last of its year, and in eras of
 * 400 years, all of which have 146,097 days. 719,468 days lie between 0000-03-01 and 1970-01-01. */
int64_t clock_days_from_civil(int year, int month, int day)
{
    assert(month >= 1 && month <= 12);
    assert(day >= 1 && day <= 31);

    const int64_t y = (int64_t)year - (month <= 2 ? 1 : 0);
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t year_of_era = y - era * 400;
    const int64_t month_from_march = (month + 9) % 12;
    const int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

void clock_civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    const int64_t shifted = days + 719468;
    const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    const int64_t day_of_era = shifted - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153;
    const int month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);

    *ret_day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = month;
    *ret_year = (int)(year_of_era + era * 400 + (month <= 2 ? 1 : 0));
}

/* Write `value` as exactly `digits` decimal digits and return what follows them. */
static char *put_digits(char *text, int64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        text[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return text + digits;
}

void clock_format_rfc3339(int64_t wall_ms, char text[CLOCK_RFC3339_SIZE])
{
    int year;
    int month;
    int day;

    assert(wall_ms >= 0 && wall_ms <= WALL_MS_MAX);

    const int64_t ms = wall_ms % DAY_MS;

    clock_civil_from_days(wall_ms / DAY_MS, &year, &month, &day);
    text = put_digits(text, year, 4);
    *text++ = '-';
    text = put_digits(text, month, 2);
    *text++ = '-';
    text = put_digits(text, day, 2);
    *text++ = 'T';
    text = put_digits(text, ms / 3600000, 2);
    *text++ = ':';
    text = put_digits(text, ms / 60000 % 60, 2);
    *text++ = ':';
    text = put_digits(text, ms / 1000 % 60, 2);
    *text++ = '.';
    text = put_digits(text, ms % 1000, 3);
    *text++ = 'Z';
    *text = '\0';
}

/* Take a number of exactly `digits` digits, low..high, off the front of `rest`. */
static bool take_number(struct span *rest, size_t digits, int low, int high, int *ret_value)
{
    int value = 0;

    if (rest->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (rest->ptr[i] < '0' || rest->ptr[i] > '9')
            return false;
        value = value * 10 + (rest->ptr[i] - '0');
    }
    if (value < low || value > high)
        return false;
    *rest = span_from_offset(*rest, digits);
    *ret_value = value;
    return true;
}

static bool take_byte(struct span *rest, char byte)
{
    if (rest->len == 0 || rest->ptr[0] != byte)
        return false;
    *rest = span_from_offset(*rest, 1);
    return true;
}

static int days_of_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

static bool take_date(struct span *rest, int64_t *ret_ms)
{
    int year;
    int month;
    int day;

    if (!take_number(rest, 4, 0, 9999, &year) || !take_byte(rest, '-') ||
        !take_number(rest, 2, 1, 12, &month) || !take_byte(rest, '-') ||
        !take_number(rest, 2, 1, days_of_month(year, month), &day))
        return false;
    *ret_ms = clock_days_from_civil(year, month, day) * DAY_MS;
    return true;
}

/* Take "hh:mm:ss" and what decimals follow. */
static bool take_time(struct span *rest, int64_t *ret_ms)
{
    int hour;
    int minute;
    int second;
    int ms = 0;
    size_t decimals = 0;

    if (!take_number(rest, 2, 0, 23, &hour) || !take_byte(rest, ':') ||
        !take_number(rest, 2, 0, 59, &minute) || !take_byte(rest, ':') ||
        !take_number(rest, 2, 0, 59, &second))
        return false;
    if (take_byte(rest, '.')) {
        static const int weight[] = { 100, 10, 1, 0, 0, 0, 0, 0, 0 };
        int digit;

        while (decimals < 9 && take_number(rest, 1, 0, 9, &digit))
            ms += digit * weight[decimals++];
        if (decimals == 0)
            return false;
    }
    *ret_ms = INT64_C(3600000) * hour + INT64_C(60000) * minute + INT64_C(1000) * second + ms;
    return true;
}

static bool take_offset(struct span *rest, int64_t *ret_ms)
{
    int sign = 1;
    int hour;
    int minute;

    if (take_byte(rest, 'Z') || take_byte(rest, 'z')) {
        *ret_ms = 0;
        return true;
    }
    if (take_byte(rest, '-'))
        sign = -1;
    else if (!take_byte(rest, '+'))
        return false;
    if (!take_number(rest, 2, 0, 23, &hour) || !take_byte(rest, ':') ||
        !take_number(rest, 2, 0, 59, &minute))
        return false;
    *ret_ms = sign * INT64_C(60000) * (hour * 60 + minute);
    return true;
}

bool clock_parse_rfc3339(struct span text, int64_t *ret_wall_ms)
{
    int64_t date_ms;
    int64_t time_ms = 0;
    int64_t offset_ms = 0;

    if (!take_date(&text, &date_ms))
        return false;
    if (text.len > 0) {
        if (!take_byte(&text, 'T') && !take_byte(&text, 't'))
            return false;
        if (!take_time(&text, &time_ms) || !take_offset(&text, &offset_ms) || text.len > 0)
            return false;
    }

    const int64_t wall_ms = date_ms + time_ms - offset_ms;

    if (wall_ms < 0 || wall_ms > WALL_MS_MAX)
        return false;
    *ret_wall_ms = wall_ms;
    return true;
}
