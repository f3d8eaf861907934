#include "support/support_vectors.h"

#include "base/json.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 8192

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static void check_buckets(const cJSON *vector, const struct tg_usage *usage)
{
    const cJSON *const buckets = cJSON_GetObjectItemCaseSensitive(vector, "buckets");

    for (int class = 0; class < TG_CLASS_COUNT; class ++) {
        const cJSON *const bucket =
            cJSON_GetObjectItemCaseSensitive(buckets, tg_class_name((enum tg_class) class));
        const int64_t expected = bucket == NULL ? 0 : (int64_t)bucket->valuedouble;

        ck_assert_msg(usage->count[class] == expected, "%s: %s is %lld", text_of(vector, "id"),
                      tg_class_name((enum tg_class) class), (long long)usage->count[class]);
    }
}

int support_check_vectors(const char *dialect, void (*read)(const char *dialect, const char *usage,
                                                            struct tg_answer *answer))
{
    FILE *const file = fopen("tests/support/cost_vectors.jsonl", "re");
    char line[LINE_BYTES];
    int checked = 0;

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        AUTO_JSON vector = cJSON_Parse(line);
        struct tg_answer answer = { 0 };
        char *usage;

        ck_assert_ptr_nonnull(vector);
        if (strcmp(text_of(vector, "dialect"), dialect) != 0)
            continue;
        usage = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(vector, "usage"));
        read(dialect, usage, &answer);
        cJSON_free(usage);
        check_buckets(vector, &answer.usage);
        checked++;
    }
    fclose(file);
    return checked;
}
