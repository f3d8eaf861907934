#include "pricing/match.h"

#include "base/try.h"
#include "pricing/csv.h"

#include <stdlib.h>

enum kind { KIND_EXACT, KIND_DATED, KIND_PREFIX, KIND_SUFFIX, KIND_CONTAINS, KIND_COUNT };

struct rule {
    struct span provider;
    enum kind kind;
    struct span pattern;
    struct span unless; /* empty: no exception */
    struct span model;
};

#define PROVIDERS_MAX 128

/* Where a provider's rules of each kind begin; the last one says where all end. */
struct shelf {
    struct span provider;
    size_t start[KIND_COUNT + 1];
};

/* Those of a provider stand together; of one kind the longest pattern first. */
struct match_table {
    struct rule *rules;
    size_t count;
    struct shelf shelves[PROVIDERS_MAX];
    size_t shelf_count;
    struct arena text; /* what the file does not hold as it is needed */
};

#define TEXT_FIRST_BYTES 4096
#define TEXT_CAP_BYTES   ((size_t)4 << 20)
#define FIELD_COUNT      5

const char *match_rule_name(enum match_rule rule)
{
    static const char *const names[MATCH_RULE_COUNT] = {
        [MATCH_NONE] = "none",         [MATCH_EXACT] = "exact",         [MATCH_ALIAS] = "alias",
        [MATCH_DATED] = "dated",       [MATCH_REGION] = "region",       [MATCH_VARIANT] = "variant",
        [MATCH_PREFIX] = "prefix",     [MATCH_FINE_TUNE] = "fine_tune", [MATCH_SUFFIX] = "suffix",
        [MATCH_CONTAINS] = "contains",
    };

    return names[rule];
}

/* --- names -------------------------------------------------------------------------------------
 */

/* Behind `publishers/NAME/models/`, or all of it. */
static struct span without_publisher(struct span model)
{
    const struct span prefix = SPAN("publishers/");
    const struct span models = SPAN("models/");
    struct span rest = model;
    struct span part;

    if (!span_starts_with_nocase(model, prefix))
        return model;
    rest = span_from_offset(rest, prefix.len);
    if (!span_cut(&rest, '/', &part) || !span_starts_with_nocase(rest, models))
        return model;
    return span_from_offset(rest, models.len);
}

size_t match_normalise(struct span model, char *name)
{
    static const struct span prefixes[] = { { "models/", 7 }, { "deployments/", 12 } };

    model = without_publisher(model);
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (span_starts_with_nocase(model, prefixes[i]))
            model = span_from_offset(model, prefixes[i].len);
    if (model.len > MATCH_NAME_MAX)
        return 0;
    for (size_t i = 0; i < model.len; i++) {
        const char c = model.ptr[i];

        name[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    return model.len;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_separator(char c)
{
    return c == '-' || c == '.' || c == ':' || c == '@' || c == '/';
}

static size_t count_digits(struct span s)
{
    size_t count = 0;

    while (count < s.len && is_digit(s.ptr[count]))
        count++;
    return count;
}

static bool is_month_and_day(const char *month, const char *day)
{
    const int m = (month[0] - '0') * 10 + month[1] - '0';
    const int d = (day[0] - '0') * 10 + day[1] - '0';

    return m >= 1 && m <= 12 && d >= 1 && d <= 31;
}

/* Whether `s` ends in a date of the form: '9' stands for a digit, all else for itself, the first
 * byte for either of "-@". */
static bool ends_in(struct span s, const char *form)
{
    const size_t len = strlen(form);
    const char *tail = s.ptr + s.len - len;

    if (s.len <= len || (tail[0] != '-' && !(tail[0] == '@' && len == 9)))
        return false;
    for (size_t i = 1; i < len; i++)
        if (form[i] == '9' ? !is_digit(tail[i]) : tail[i] != form[i])
            return false;
    return is_month_and_day(tail + len - (len == 11 ? 5 : 4), tail + len - 2);
}

/* Without the date at its end. return  false: there is none */
static bool cut_date(struct span *name)
{
    static const char *const forms[] = { "-9999-99-99", "-99999999", "-999999" };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (!ends_in(*name, forms[i]))
            continue;
        name->len -= strlen(forms[i]);
        return true;
    }
    return false;
}

/* --- the file ----------------------------------------------------------------------------------
 */

static bool kind_from_name(struct span name, enum kind *ret_kind)
{
    static const struct {
        const char *name;
        enum kind kind;
    } kinds[] = {
        { "exact", KIND_EXACT },       { "dated8", KIND_DATED }, { "dated10", KIND_DATED },
        { "prefix", KIND_PREFIX },     { "regex", KIND_PREFIX }, { "suffix", KIND_SUFFIX },
        { "contains", KIND_CONTAINS },
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!span_equal(name, span_from(kinds[i].name)))
            continue;
        *ret_kind = kinds[i].kind;
        return true;
    }
    return false;
}

/* Of a regex `^literal\d`, the only form that the file may have, the literal: that a digit follows
 * is what a prefix that ends in a separator asks for anyway. */
static enum tg_status literal_of(struct match_table *table, struct span regex,
                                 struct span *ret_literal)
{
    char *text = arena_alloc(&table->text, regex.len);
    size_t len = 0;

    if (text == NULL)
        return TG_NO_MEMORY;
    if (!span_starts_with(regex, SPAN("^")) || !span_ends_with(regex, SPAN("\\d")))
        return TG_INVALID;
    for (size_t i = 1; i + 2 < regex.len; i++)
        if (regex.ptr[i] != '\\')
            text[len++] = regex.ptr[i];
    *ret_literal = span_of(text, len);
    return TG_OK;
}

static enum tg_status lower(struct match_table *table, struct span *name)
{
    char text[MATCH_NAME_MAX];
    const size_t len = match_normalise(*name, text);

    if (len == 0)
        return TG_INVALID;
    *name = arena_copy(&table->text, span_of(text, len));
    return name->ptr != NULL ? TG_OK : TG_NO_MEMORY;
}

static enum tg_status read_rule(struct match_table *table, struct csv *csv, struct err *err)
{
    struct span fields[FIELD_COUNT];
    struct rule *rule = &table->rules[table->count];
    enum tg_status status;

    TRY(csv_next(csv, FIELD_COUNT, fields, err));
    rule->provider = fields[0];
    rule->pattern = fields[2];
    rule->unless = fields[3];
    rule->model = fields[4];
    if (!kind_from_name(fields[1], &rule->kind))
        return csv_refuse(
            csv, "kind must be exact, dated8, dated10, prefix, suffix, contains or regex", err);
    status = span_equal(fields[1], SPAN("regex")) ? literal_of(table, rule->pattern, &rule->pattern)
                                                  : TG_OK;
    if (status == TG_OK)
        status = lower(table, &rule->pattern);
    if (status == TG_OK && rule->unless.len > 0)
        status = lower(table, &rule->unless);
    if (status == TG_INVALID || rule->provider.len == 0 || rule->model.len == 0)
        return csv_refuse(csv, "provider, pattern and model must be names", err);
    TRY(status);
    table->count++;
    return TG_OK;
}

static int compare_rule(const void *left, const void *right)
{
    const struct rule *a = left;
    const struct rule *b = right;
    const size_t shorter = a->provider.len < b->provider.len ? a->provider.len : b->provider.len;
    const int order = memcmp(a->provider.ptr, b->provider.ptr, shorter);

    if (order != 0)
        return order;
    if (a->provider.len != b->provider.len)
        return a->provider.len < b->provider.len ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->pattern.len != b->pattern.len)
        return a->pattern.len > b->pattern.len ? -1 : 1;
    return memcmp(a->pattern.ptr, b->pattern.ptr, a->pattern.len);
}

/* Note where the sorted rules of each provider and kind begin.
 *
 * return  false: there are more than PROVIDERS_MAX providers */
static bool fill_shelves(struct match_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct rule *rule = &table->rules[i];
        struct shelf *shelf =
            table->shelf_count > 0 ? &table->shelves[table->shelf_count - 1] : NULL;

        if (shelf == NULL || !span_equal(rule->provider, shelf->provider)) {
            if (table->shelf_count == PROVIDERS_MAX)
                return false;
            shelf = &table->shelves[table->shelf_count++];
            shelf->provider = rule->provider;
            for (int kind = 0; kind <= KIND_COUNT; kind++)
                shelf->start[kind] = i;
        }
        for (int kind = (int)rule->kind + 1; kind <= KIND_COUNT; kind++)
            shelf->start[kind] = i + 1;
    }
    return true;
}

static size_t count_lines(struct span text)
{
    size_t count = 1;

    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n' ? 1 : 0;
    return count;
}

static enum tg_status read_rules(struct match_table *table, const char *name, struct span text,
                                 struct err *err)
{
    struct span line;
    struct csv csv;

    csv_init(&csv, name, text, &table->text);
    if (!span_starts_with(text, SPAN(MATCH_HEADER)))
        return err_set(err, TG_INVALID, "%s line 1: must be %s", name, MATCH_HEADER);
    (void)span_cut(&csv.rest, '\n', &line); /* the header */
    csv.line = 1;
    while (!csv_is_at_end(&csv)) {
        if (table->count == MATCH_RULES_MAX)
            return err_set(err, TG_TOO_LARGE, "%s: more than %d rules", name, MATCH_RULES_MAX);
        TRY(read_rule(table, &csv, err));
    }
    if (table->count > 0)
        qsort(table->rules, table->count, sizeof(*table->rules), compare_rule);
    if (!fill_shelves(table))
        return err_set(err, TG_TOO_LARGE, "%s: more than %d providers", name, PROVIDERS_MAX);
    return TG_OK;
}

enum tg_status match_table_parse(const char *name, struct span csv, struct match_table **ret_table,
                                 struct err *err)
{
    AUTO_PTR(match_table) table = calloc(1, sizeof(*table));

    if (table == NULL)
        return TG_NO_MEMORY;
    arena_init(&table->text, TEXT_FIRST_BYTES, TEXT_CAP_BYTES);
    table->rules = calloc(count_lines(csv), sizeof(*table->rules));
    if (table->rules == NULL)
        return TG_NO_MEMORY;
    TRY(read_rules(table, name, csv, err));
    *ret_table = table;
    table = NULL;
    return TG_OK;
}

void match_table_free(struct match_table *table)
{
    if (table == NULL)
        return;
    free(table->rules);
    arena_fini(&table->text);
    free(table);
}

size_t match_table_bytes(const struct match_table *table)
{
    return sizeof(*table) + table->count * sizeof(*table->rules) + table->text.used_bytes;
}

/* --- searching ---------------------------------------------------------------------------------
 */

/* NULL: there are no rules for the search's provider. */
static const struct shelf *shelf_of(const struct match_search *search)
{
    for (size_t i = 0; search->table != NULL && i < search->table->shelf_count; i++)
        if (span_equal(search->table->shelves[i].provider, search->provider))
            return &search->table->shelves[i];
    return NULL;
}

static const void *lookup(const struct match_search *search, struct span name)
{
    return search->lookup(search->context, search->provider, name);
}

/* A part of a name that makes another model of it. A date or a build (-0613, -001, -05-20) does
 * not; a lone digit or two do: claude-opus-5-5. */
static bool is_other_model(struct span part, struct span rest)
{
    static const char *const words[] = {
        "mini",  "pro",    "lite",  "nano",       "max",   "turbo", "flash",   "fast",
        "large", "small",  "micro", "medium",     "ultra", "plus",  "audio",   "vision",
        "image", "search", "live",  "transcribe", "tts",   "codex", "code",    "coder",
        "embed", "deep",   "omni",  "realtime",   "high",  "low",   "distill",
    };
    const size_t digits = count_digits(part);

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_equal(part, span_from(words[i])))
            return true;
    if (digits == 0)
        return false;
    if (digits < part.len)
        return true; /* 5x, 27b */
    if (digits == 2 && rest.len >= 3 && is_separator(rest.ptr[0]) &&
        count_digits(span_from_offset(rest, 1)) == 2)
        return !is_month_and_day(part.ptr, rest.ptr + 1);
    return digits < 3;
}

/* Whether a name that begins with a pattern may go on like that and be the pattern's model still.
 */
static bool may_go_on(struct span pattern, struct span rest)
{
    size_t len = 0;

    if (rest.len == 0)
        return true;
    if (!is_separator(pattern.ptr[pattern.len - 1])) {
        if (!is_separator(rest.ptr[0]))
            return false;
        rest = span_from_offset(rest, 1);
    }
    while (len < rest.len && !is_separator(rest.ptr[len]))
        len++;
    return !is_other_model(span_of(rest.ptr, len), span_from_offset(rest, len));
}

static bool holds_contained(const struct rule *rule, struct span name)
{
    size_t at;

    if (!span_find(name, rule->pattern, &at) || (at > 0 && !is_separator(name.ptr[at - 1])))
        return false;
    return may_go_on(rule->pattern, span_from_offset(name, at + rule->pattern.len));
}

static bool rule_holds(const struct rule *rule, struct span name)
{
    const size_t len = rule->pattern.len;
    size_t at;

    if (name.len < len || (rule->unless.len > 0 && span_find(name, rule->unless, &at)))
        return false;
    switch (rule->kind) {
    case KIND_EXACT:
    case KIND_DATED:
        return span_equal(name, rule->pattern);
    case KIND_PREFIX:
        return span_starts_with(name, rule->pattern) &&
               may_go_on(rule->pattern, span_from_offset(name, len));
    case KIND_SUFFIX:
        return span_ends_with(name, rule->pattern) &&
               (name.len == len || is_separator(name.ptr[name.len - len - 1]));
    case KIND_CONTAINS:
        return holds_contained(rule, name);
    case KIND_COUNT:
        break;
    }
    return false;
}

/* The model of the first rule of a kind that holds and whose model is in the book. */
static const void *by_rule(const struct match_search *search, enum kind kind, struct span name)
{
    const struct shelf *shelf = shelf_of(search);

    for (size_t i = shelf == NULL ? 0 : shelf->start[kind];
         shelf != NULL && i < shelf->start[kind + 1]; i++) {
        const struct rule *rule = &search->table->rules[i];
        const void *model = NULL;

        if (rule_holds(rule, name))
            model = lookup(search, rule->model);
        if (model != NULL)
            return model;
    }
    return NULL;
}

static struct match_found found(const void *model, enum match_rule rule)
{
    return (struct match_found){ model, model != NULL ? rule : MATCH_NONE, SPAN_EMPTY };
}

/* The cheap steps: exact, alias, dated. */
static struct match_found by_name(const struct match_search *search, struct span name)
{
    struct match_found result = found(lookup(search, name), MATCH_EXACT);

    if (result.model == NULL)
        result = found(by_rule(search, KIND_EXACT, name), MATCH_ALIAS);
    if (result.model != NULL || !cut_date(&name))
        return result;
    result = found(lookup(search, name), MATCH_DATED);
    if (result.model == NULL)
        result = found(by_rule(search, KIND_EXACT, name), MATCH_DATED);
    if (result.model == NULL)
        result = found(by_rule(search, KIND_DATED, name), MATCH_DATED);
    return result;
}

/* Without the `-v1:0` at its end. return  false: there is none */
static bool cut_version(struct span *name)
{
    size_t at = name->len;

    while (at > 0 && is_digit(name->ptr[at - 1]))
        at--;
    if (at > 0 && at < name->len && name->ptr[at - 1] == ':') {
        at--;
        while (at > 0 && is_digit(name->ptr[at - 1]))
            at--;
    }
    if (at < 3 || at == name->len || name->ptr[at - 1] != 'v' || name->ptr[at - 2] != '-')
        return false;
    name->len = at - 2;
    return true;
}

static struct match_found by_name_or_version(const struct match_search *search, struct span name)
{
    struct match_found result = by_name(search, name);

    return result.model != NULL || !cut_version(&name) ? result : by_name(search, name);
}

/* The book keeps the dearer price of regional profiles under this prefix. */
static struct match_found by_regional_row(const struct match_search *search, struct span name)
{
    const struct span prefix = SPAN("regional.");
    char text[MATCH_NAME_MAX];

    if (name.len + prefix.len > sizeof(text))
        return found(NULL, MATCH_NONE);
    memcpy(text, prefix.ptr, prefix.len);
    memcpy(text + prefix.len, name.ptr, name.len);
    return by_name_or_version(search, span_of(text, prefix.len + name.len));
}

/* A name of Bedrock: maybe an ARN, maybe of a profile of some region. */
static struct match_found by_region(const struct match_search *search, struct span name)
{
    static const struct span regions[] = { { "us-gov", 6 }, { "us", 2 }, { "eu", 2 },
                                           { "apac", 4 },   { "au", 2 }, { "jp", 2 },
                                           { "global", 6 } };
    struct match_found result;
    size_t at;

    while (span_starts_with(name, SPAN("arn:")) && span_find_byte(name, '/', &at))
        name = span_of(name.ptr + at + 1, name.len - at - 1);
    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
        const struct span region = regions[i];

        if (!span_starts_with(name, region) || name.len <= region.len ||
            name.ptr[region.len] != '.')
            continue;
        name = span_from_offset(name, region.len + 1);
        result = found(NULL, MATCH_NONE);
        if (!span_equal(region, SPAN("global")) && !span_equal(region, SPAN("us-gov")))
            result = by_regional_row(search, name);
        if (result.model == NULL) {
            result = by_name_or_version(search, name);
            result.region = region;
        }
        result.rule = result.model != NULL ? MATCH_REGION : MATCH_NONE;
        return result;
    }
    return found(by_name_or_version(search, name).model, MATCH_REGION);
}

/* vendor/model:free stands for itself, vendor/model:nitro for vendor/model. */
static struct match_found by_variant(const struct match_search *search, struct span name)
{
    size_t at;

    if (!span_find_byte(name, ':', &at) || span_ends_with(name, SPAN(":free")) ||
        span_ends_with(name, SPAN(":thinking")))
        return found(NULL, MATCH_NONE);
    return found(by_name(search, span_of(name.ptr, at)).model, MATCH_VARIANT);
}

static struct match_found by_fine_tune(const struct match_search *search, struct span name)
{
    const struct span prefix = SPAN("ft:");
    size_t at;

    if (!span_starts_with(name, prefix) ||
        !span_find_byte(span_from_offset(name, prefix.len), ':', &at))
        return found(NULL, MATCH_NONE);
    return found(by_name(search, span_of(name.ptr, prefix.len + at)).model, MATCH_FINE_TUNE);
}

static struct match_found by_taking_apart(const struct match_search *search, struct span name)
{
    if (span_equal(search->provider, SPAN("aws-bedrock")))
        return by_region(search, name);
    if (span_equal(search->provider, SPAN("openrouter")))
        return by_variant(search, name);
    return by_fine_tune(search, name);
}

struct match_found match_find(const struct match_search *search, struct span model)
{
    static const struct {
        enum kind kind;
        enum match_rule rule;
    } last[] = { { KIND_PREFIX, MATCH_PREFIX },
                 { KIND_SUFFIX, MATCH_SUFFIX },
                 { KIND_CONTAINS, MATCH_CONTAINS } };
    char text[MATCH_NAME_MAX];
    const struct span name = span_of(text, match_normalise(model, text));
    struct match_found result;

    if (name.len == 0)
        return found(NULL, MATCH_NONE);
    result = by_name(search, name);
    if (result.model == NULL)
        result = by_taking_apart(search, name);
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]) && result.model == NULL; i++)
        result = found(by_rule(search, last[i].kind, name), last[i].rule);
    return result;
}
