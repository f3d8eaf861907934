#include "policy/zone.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/try.h"
#include "ledger/account.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define DAY_S         86400
#define HEADER_BYTES  44
#define CHANGE_BYTES  8
#define TYPE_BYTES    6
#define LEAP_BYTES    12
#define TYPES_MAX     256
#define RULE_HOUR_MAX 167 /* version 3 lets a rule's time of day leave its day */
#define HOUR_MAX      24
/* Behind the magic, the version and what is reserved. */
#define HEADER_COUNTS_AT 20
/* Where the rule is first spelled out: two years before the first instant asked about, so that this
 * one has a change before it. */
#define RULE_YEAR_MIN    1968
#define CHANGES_PER_YEAR 2
#define RULE_CHANGES     (CHANGES_PER_YEAR * (ZONE_YEAR_MAX - RULE_YEAR_MIN + 1))

/* From at_s on, until the next one's at_s. */
struct change {
    int64_t at_s; /* seconds since 1970 */
    int32_t offset_s;
};

struct zone {
    int32_t first_offset_s; /* before all changes */
    size_t change_count;
    struct change changes[]; /* strictly increasing; those of the file, then those of its rule */
};

/* --- the rule at the end of a file: "CET-1CEST,M3.5.0,M10.5.0/3" --- */

enum rule_form {
    RULE_DAY_WITHOUT_LEAP, /* Jn: 1..365, the leap day is never counted */
    RULE_DAY,              /* n: 0..365 */
    RULE_WEEKDAY           /* Mm.w.d: weekday d of week w of month m, week 5 being the last */
};

struct rule_date {
    enum rule_form form;
    int month;
    int week;
    int day;    /* as the form counts it; of the week: 0 is Sunday */
    int time_s; /* after midnight, by the clock that holds before */
};

struct rule {
    bool has_dst;
    int32_t std_offset_s;
    int32_t dst_offset_s;
    struct rule_date start; /* of daylight saving time */
    struct rule_date end;
};

static bool take_byte(struct span *rest, char byte)
{
    if (rest->len == 0 || rest->ptr[0] != byte)
        return false;
    *rest = span_from_offset(*rest, 1);
    return true;
}

/* Take a number of one to three digits. */
static bool take_number(struct span *rest, int low, int high, int *ret_value)
{
    int value = 0;
    size_t digits = 0;

    while (digits < 3 && digits < rest->len && rest->ptr[digits] >= '0' && rest->ptr[digits] <= '9')
        value = value * 10 + (rest->ptr[digits++] - '0');
    if (digits == 0 || value < low || value > high)
        return false;
    *rest = span_from_offset(*rest, digits);
    *ret_value = value;
    return true;
}

/* Take "[+-]hh[:mm[:ss]]". */
static bool take_time(struct span *rest, int hour_max, int *ret_seconds)
{
    const bool is_negative = take_byte(rest, '-');
    int hour;
    int minute = 0;
    int second = 0;

    if (!is_negative)
        (void)take_byte(rest, '+'); /* may stand there */
    if (!take_number(rest, 0, hour_max, &hour))
        return false;
    if (take_byte(rest, ':')) {
        if (!take_number(rest, 0, 59, &minute))
            return false;
        if (take_byte(rest, ':') && !take_number(rest, 0, 59, &second))
            return false;
    }
    *ret_seconds = (is_negative ? -1 : 1) * (hour * 3600 + minute * 60 + second);
    return true;
}

static bool is_in_abbreviation(char c, bool is_quoted)
{
    const bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

    return is_letter || (is_quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
}

/* Take an abbreviation, three letters or more, or "<-03>". Nothing here needs it. */
static bool take_abbreviation(struct span *rest)
{
    const bool is_quoted = take_byte(rest, '<');
    size_t len = 0;

    while (len < rest->len && is_in_abbreviation(rest->ptr[len], is_quoted))
        len++;
    if (len < 3)
        return false;
    *rest = span_from_offset(*rest, len);
    return !is_quoted || take_byte(rest, '>');
}

/* The rule counts west of UTC. */
static bool take_offset(struct span *rest, int32_t *ret_offset_s)
{
    int west_s;

    if (!take_time(rest, HOUR_MAX, &west_s))
        return false;
    *ret_offset_s = -west_s;
    return *ret_offset_s >= ZONE_OFFSET_MIN_S && *ret_offset_s <= ZONE_OFFSET_MAX_S;
}

static bool take_date(struct span *rest, struct rule_date *ret_date)
{
    struct rule_date date = { .form = RULE_DAY, .time_s = 2 * 3600 };

    if (take_byte(rest, 'M')) {
        date.form = RULE_WEEKDAY;
        if (!take_number(rest, 1, 12, &date.month) || !take_byte(rest, '.') ||
            !take_number(rest, 1, 5, &date.week) || !take_byte(rest, '.') ||
            !take_number(rest, 0, 6, &date.day))
            return false;
    } else if (take_byte(rest, 'J')) {
        date.form = RULE_DAY_WITHOUT_LEAP;
        if (!take_number(rest, 1, 365, &date.day))
            return false;
    } else if (!take_number(rest, 0, 365, &date.day)) {
        return false;
    }
    if (take_byte(rest, '/') && !take_time(rest, RULE_HOUR_MAX, &date.time_s))
        return false;
    *ret_date = date;
    return true;
}

static bool parse_rule(struct span text, struct rule *ret_rule)
{
    struct rule rule = { 0 };

    if (!take_abbreviation(&text) || !take_offset(&text, &rule.std_offset_s))
        return false;
    if (text.len > 0) {
        rule.has_dst = true;
        if (!take_abbreviation(&text))
            return false;
        rule.dst_offset_s = rule.std_offset_s + 3600;
        if (text.len > 0 && text.ptr[0] != ',' && !take_offset(&text, &rule.dst_offset_s))
            return false;
        if (!take_byte(&text, ',') || !take_date(&text, &rule.start) || !take_byte(&text, ',') ||
            !take_date(&text, &rule.end) || text.len > 0)
            return false;
    }
    *ret_rule = rule;
    return rule.dst_offset_s <= ZONE_OFFSET_MAX_S;
}

static int64_t weekday_of_month(int year, const struct rule_date *date)
{
    const int64_t first = clock_days_from_civil(year, date->month, 1);
    const int64_t next =
        clock_days_from_civil(date->month == 12 ? year + 1 : year, date->month % 12 + 1, 1);
    /* 1970-01-01 was a Thursday, day 4; the years asked about begin less than 7,000 days before. */
    const int64_t weekday = (first + 4 + 7000) % 7;
    const int64_t day = first + (date->day - weekday + 7) % 7 + (int64_t)7 * (date->week - 1);

    return day < next ? day : day - 7;
}

/* When a clock there shows the date and time, in seconds since 1970 by that clock. */
static int64_t local_seconds_of(int year, const struct rule_date *date)
{
    int64_t day = 0;

    switch (date->form) {
    case RULE_DAY_WITHOUT_LEAP: /* of a year without one, then in this year */
        day = date->day <= 59 ? clock_days_from_civil(year, 1, 1) + date->day - 1
                              : clock_days_from_civil(year, 3, 1) + date->day - 60;
        break;
    case RULE_DAY:
        day = clock_days_from_civil(year, 1, 1) + date->day;
        break;
    case RULE_WEEKDAY:
        day = weekday_of_month(year, date);
        break;
    }
    return day * DAY_S + date->time_s;
}

/* The two changes of a year in their order. Where they are at once, standard time holds. */
static void changes_of_year(const struct rule *rule, int year, struct change pair[CHANGES_PER_YEAR])
{
    const struct change start = {
        .at_s = local_seconds_of(year, &rule->start) - rule->std_offset_s,
        .offset_s = rule->dst_offset_s,
    };
    const struct change end = {
        .at_s = local_seconds_of(year, &rule->end) - rule->dst_offset_s,
        .offset_s = rule->std_offset_s,
    };
    const bool starts_first = start.at_s <= end.at_s;

    pair[0] = starts_first ? start : end;
    pair[1] = starts_first ? end : start;
}

/* Add a change of the rule in its order. It comes after what the file lists; of two at once the
 * later one holds: all-year daylight saving time ends each year as it begins again. */
static void add_change(struct zone *zone, const struct change *change)
{
    size_t at = zone->change_count;

    while (at > 0 && zone->changes[at - 1].at_s > change->at_s)
        at--;
    if (at > 0 && zone->changes[at - 1].at_s == change->at_s) {
        zone->changes[at - 1].offset_s = change->offset_s;
        return;
    }
    memmove(&zone->changes[at + 1], &zone->changes[at],
            (zone->change_count - at) * sizeof(*zone->changes));
    zone->changes[at] = *change;
    zone->change_count++;
}

/* Spell the rule out behind the changes of the file; there is room for RULE_CHANGES.
 *
 * return  whether both say the same at the last change of the file, as they must */
static bool apply_rule(struct zone *zone, const struct rule *rule)
{
    const bool has_changes = zone->change_count > 0;
    const struct change last =
        has_changes ? zone->changes[zone->change_count - 1] : (struct change){ INT64_MIN, 0 };
    struct change before = { INT64_MIN, rule->std_offset_s };

    if (!has_changes) /* then the rule is for all times */
        zone->first_offset_s = rule->std_offset_s;
    for (int year = RULE_YEAR_MIN; rule->has_dst && year <= ZONE_YEAR_MAX; year++) {
        struct change pair[CHANGES_PER_YEAR];

        changes_of_year(rule, year, pair);
        for (int i = 0; i < CHANGES_PER_YEAR; i++) {
            if (pair[i].at_s > last.at_s)
                add_change(zone, &pair[i]);
            else if (pair[i].at_s >= before.at_s)
                before = pair[i];
        }
    }
    /* Before the years spelled out nothing can be compared. */
    return !has_changes || (rule->has_dst && before.at_s == INT64_MIN) ||
           before.offset_s == last.offset_s;
}

/* --- the file --- */

/* Counts of one block, in the header's order. */
struct header {
    uint32_t is_utc_count;
    uint32_t is_std_count;
    uint32_t leap_count;
    uint32_t change_count;
    uint32_t type_count;
    uint32_t text_bytes;
};

static uint32_t be32_at(const char *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return be32toh(value);
}

static int64_t be64_at(const char *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return (int64_t)be64toh(value);
}

/* Take a header; version 1, which has 32-bit times alone, is no longer made. */
static bool take_header(struct span *rest, struct header *ret_header)
{
    const char *counts;

    if (rest->len < HEADER_BYTES || !span_starts_with(*rest, SPAN("TZif")) || rest->ptr[4] < '2')
        return false;
    counts = rest->ptr + HEADER_COUNTS_AT;
    *ret_header = (struct header){
        .is_utc_count = be32_at(counts),
        .is_std_count = be32_at(counts + 4),
        .leap_count = be32_at(counts + 8),
        .change_count = be32_at(counts + 12),
        .type_count = be32_at(counts + 16),
        .text_bytes = be32_at(counts + 20),
    };
    *rest = span_from_offset(*rest, HEADER_BYTES);
    return true;
}

/* Bytes of the block behind a header.
 *
 * time_bytes  of one time: 4 in the first block, 8 in the second */
static uint64_t block_bytes(const struct header *header, uint64_t time_bytes)
{
    return header->change_count * (time_bytes + 1) + header->type_count * (uint64_t)TYPE_BYTES +
           header->text_bytes + header->leap_count * (time_bytes + 4) + header->is_std_count +
           header->is_utc_count;
}

static bool take_block(struct span *rest, const struct header *header, uint64_t time_bytes,
                       struct span *ret_block)
{
    const uint64_t bytes = block_bytes(header, time_bytes);

    if (bytes > rest->len)
        return false;
    *ret_block = span_of(rest->ptr, (size_t)bytes);
    *rest = span_from_offset(*rest, (size_t)bytes);
    return true;
}

static bool is_valid_header(const struct header *header)
{
    return header->type_count >= 1 && header->type_count <= TYPES_MAX && header->text_bytes >= 1 &&
           header->leap_count == 0 &&
           (header->is_std_count == 0 || header->is_std_count == header->type_count) &&
           (header->is_utc_count == 0 || header->is_utc_count == header->type_count);
}

/* Read one type of local time: its offset, whether it is daylight saving time, where its
 * abbreviation stands. */
static bool read_type(const char *types, uint32_t index, const struct header *header,
                      int32_t *ret_offset_s)
{
    const char *type = types + (size_t)index * TYPE_BYTES;
    const int32_t offset_s = (int32_t)be32_at(type);

    if (offset_s < ZONE_OFFSET_MIN_S || offset_s > ZONE_OFFSET_MAX_S)
        return false;
    if ((unsigned char)type[4] > 1 || (unsigned char)type[5] >= header->text_bytes)
        return false;
    *ret_offset_s = offset_s;
    return true;
}

static bool read_changes(struct zone *zone, const struct header *header, struct span block)
{
    const char *indexes = block.ptr + (size_t)header->change_count * CHANGE_BYTES;
    const char *types = indexes + header->change_count;
    int32_t offsets[TYPES_MAX];

    for (uint32_t i = 0; i < header->type_count; i++)
        if (!read_type(types, i, header, &offsets[i]))
            return false;
    zone->first_offset_s = offsets[0];
    for (uint32_t i = 0; i < header->change_count; i++) {
        const unsigned char type = (unsigned char)indexes[i];
        const int64_t at_s = be64_at(block.ptr + (size_t)i * CHANGE_BYTES);

        if (type >= header->type_count || (i > 0 && at_s <= zone->changes[i - 1].at_s))
            return false;
        zone->changes[i] = (struct change){ .at_s = at_s, .offset_s = offsets[type] };
    }
    zone->change_count = header->change_count;
    return true;
}

/* Take "\nRULE\n", the end of the file. */
static bool take_footer(struct span *rest, struct span *ret_rule)
{
    return take_byte(rest, '\n') && rest->len > 0 && rest->ptr[rest->len - 1] == '\n' &&
           span_cut(rest, '\n', ret_rule) && rest->len == 0;
}

static bool read_file(struct zone *zone, const struct header *header, struct span block,
                      struct span footer)
{
    struct rule rule;

    if (!read_changes(zone, header, block))
        return false;
    if (footer.len == 0) /* nobody knows what comes after; the last offset stays */
        return true;
    return parse_rule(footer, &rule) && apply_rule(zone, &rule);
}

static struct zone *zone_new(size_t changes_max)
{
    return calloc(1, sizeof(struct zone) + changes_max * sizeof(struct change));
}

void zone_free(struct zone *zone)
{
    free(zone);
}

enum tg_status zone_parse(struct span file, struct zone **ret_zone)
{
    struct zone *zone;
    struct header header;
    struct span block;
    struct span footer;

    if (file.len > ZONE_FILE_BYTES_MAX)
        return TG_CORRUPT;
    if (!take_header(&file, &header) || !take_block(&file, &header, 4, &block))
        return TG_CORRUPT;
    if (!take_header(&file, &header) || !take_block(&file, &header, 8, &block))
        return TG_CORRUPT;
    if (!is_valid_header(&header) || !take_footer(&file, &footer))
        return TG_CORRUPT;
    zone = zone_new(header.change_count + RULE_CHANGES);
    if (zone == NULL)
        return TG_NO_MEMORY;
    if (!read_file(zone, &header, block, footer)) {
        zone_free(zone);
        return TG_CORRUPT;
    }
    *ret_zone = zone;
    return TG_OK;
}

/* Read to the end, or to one byte more than a zone file may have.
 *
 * Errors  TG_NOT_FOUND: a folder; TG_IO, TG_NO_MEMORY */
static enum tg_status read_all(int fd, struct buf *bytes)
{
    for (;;) {
        char *room = buf_reserve(bytes, ZONE_FILE_BYTES_MAX + 1 - buf_len(bytes));
        ssize_t got;

        if (room == NULL)
            return TG_NO_MEMORY;
        got = read(fd, room, ZONE_FILE_BYTES_MAX + 1 - buf_len(bytes));
        if (got < 0)
            return errno == EISDIR ? TG_NOT_FOUND : TG_IO;
        buf_commit(bytes, (size_t)got);
        if (got == 0 || buf_len(bytes) > ZONE_FILE_BYTES_MAX)
            return TG_OK;
    }
}

static enum tg_status load_file(struct span name, struct zone **ret_zone)
{
    AUTO(buf) bytes;
    enum tg_status status;
    int fd;

    buf_init(&bytes, ZONE_FILE_BYTES_MAX + 1);
    TRY(account_open_zone(name, &fd));
    status = read_all(fd, &bytes);
    (void)close(fd); /* only read from */
    TRY(status);
    return zone_parse(buf_span(&bytes), ret_zone);
}

enum tg_status zone_load(struct span name, struct zone **ret_zone, struct err *err)
{
    enum tg_status status;

    if (span_equal(name, SPAN("UTC"))) {
        *ret_zone = zone_new(0);
        return *ret_zone != NULL ? TG_OK : err_set(err, TG_NO_MEMORY, "out of memory");
    }
    status = load_file(name, ret_zone);
    if (status == TG_NOT_FOUND)
        return err_set(err, status, "time zone %.*s: this system has no file of it; install tzdata",
                       SPAN_ARG(name));
    if (status == TG_CORRUPT)
        return err_set(err, status,
                       "time zone %.*s: its file is damaged or counts leap seconds; install tzdata "
                       "again",
                       SPAN_ARG(name));
    if (status != TG_OK)
        return err_set(err, status, "time zone %.*s: its file cannot be read: %s", SPAN_ARG(name),
                       tg_status_info(status)->sentence);
    return TG_OK;
}

/* --- questions --- */

/* Whole steps backwards too: -1 ms is in second -1. */
static int64_t floor_div(int64_t value, int64_t divisor)
{
    return value / divisor - (value % divisor < 0 ? 1 : 0);
}

/* How many changes are at or before an instant. */
static size_t count_until(const struct zone *zone, int64_t at_s)
{
    size_t low = 0;
    size_t high = zone->change_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (zone->changes[middle].at_s <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int32_t offset_after(const struct zone *zone, size_t changes)
{
    return changes == 0 ? zone->first_offset_s : zone->changes[changes - 1].offset_s;
}

int zone_offset_s(const struct zone *zone, int64_t wall_ms)
{
    return offset_after(zone, count_until(zone, floor_div(wall_ms, 1000)));
}

void zone_local_date(const struct zone *zone, int64_t wall_ms, int *ret_year, int *ret_month,
                     int *ret_day)
{
    const int64_t local_s = floor_div(wall_ms, 1000) + zone_offset_s(zone, wall_ms);

    clock_civil_from_days(floor_div(local_s, DAY_S), ret_year, ret_month, ret_day);
}

int64_t zone_day_start_ms(const struct zone *zone, int year, int month, int day)
{
    const int64_t midnight_s = clock_days_from_civil(year, month, day) * DAY_S;
    /* No clock shows it before this. */
    int64_t from_s = midnight_s - ZONE_OFFSET_MAX_S;
    size_t changes = count_until(zone, from_s);

    for (;;) {
        const int64_t shown_s = midnight_s - offset_after(zone, changes);
        const int64_t first_s = shown_s > from_s ? shown_s : from_s;

        if (changes == zone->change_count || first_s < zone->changes[changes].at_s)
            return first_s * 1000;
        from_s = zone->changes[changes].at_s;
        changes++;
    }
}
