#ifndef TOLLGATE_USAGE_H
#define TOLLGATE_USAGE_H

#include <stdbool.h>
#include <stdint.h>

/* What one attempt used, in disjoint classes: they never overlap and add up. The names are the
 * `component` column of the price book. Source: the providers' wire formats, whose overlapping
 * counts a dialect takes apart before it fills this in. */

/* clang-format off */
#define TG_CLASSES(X) \
    X(INPUT, "input") \
    X(CACHE_READ, "cache_read") \
    X(CACHE_WRITE, "cache_write") \
    X(CACHE_WRITE_1H, "cache_write_1h") \
    X(CACHE_WRITE_12H, "cache_write_12h") \
    X(INPUT_AUDIO, "input_audio") \
    X(CACHE_READ_AUDIO, "cache_read_audio") \
    X(CACHE_WRITE_AUDIO, "cache_write_audio") \
    X(INPUT_IMAGE, "input_image") \
    X(CACHE_READ_IMAGE, "cache_read_image") \
    X(INPUT_VIDEO, "input_video") \
    X(OUTPUT, "output") \
    X(REASONING, "reasoning") \
    X(OUTPUT_AUDIO, "output_audio") \
    X(OUTPUT_IMAGE, "output_image") \
    X(OUTPUT_VIDEO, "output_video") \
    X(IMAGE_IN, "image_in") \
    X(IMAGE_OUT, "image_out") \
    X(CHAR_IN, "char_in") \
    X(CHAR_OUT, "char_out") \
    X(AUDIO_IN, "audio_in") \
    X(AUDIO_OUT, "audio_out") \
    X(VIDEO_IN, "video_in") \
    X(VIDEO_OUT, "video_out") \
    X(PAGE, "page") \
    X(PAGE_ANNOTATED, "page_annotated") \
    X(SEARCH_UNIT, "search_unit") \
    X(REQUEST, "request") \
    X(WEB_SEARCH, "web_search") \
    X(FILE_SEARCH, "file_search") \
    X(CODE_SESSION, "code_session") \
    X(TEXT_MESSAGE, "text_message") \
    X(CITATION, "citation")
/* clang-format on */

enum tg_class {
#define TG_CLASS_NAME(name, text) TG_##name,
    TG_CLASSES(TG_CLASS_NAME)
#undef TG_CLASS_NAME
        TG_CLASS_COUNT
};

/* The first classes, up to and including TG_OUTPUT_VIDEO, are counted in tokens. */
#define TG_TOKEN_CLASS_COUNT (TG_OUTPUT_VIDEO + 1)

/* TG_AUDIO_IN to TG_VIDEO_OUT, priced by time, are counted in ms; the others in what they name. */

/* The largest count of one class. Anything above it on the wire is not believed. */
#define TG_COUNT_MAX INT64_C(1000000000)

struct tg_usage {
    int64_t count[TG_CLASS_COUNT]; /* 0..TG_COUNT_MAX each, in the unit of the class; TG_REASONING
                                      is filled only where it has a price of its own */
    int64_t reasoning_tokens;      /* part of TG_OUTPUT, for information; never added */
    int64_t prompt_tokens;         /* all tokens of the prompt, cached ones included: picks the
                                      context tier of the price */
};

/* Name of a class as the price book and the API write it. Static storage. */
const char *tg_class_name(enum tg_class class);

/* Find a class by name.
 *
 * ret     written only when found
 * return  whether there is such a class */
bool tg_class_from_name(const char *name, enum tg_class *ret_class);

/* Sum of what goes in: input, cache reads and writes, audio, image and video input. */
int64_t tg_usage_input_tokens(const struct tg_usage *usage);

/* Sum of what comes out: output with reasoning, audio, image and video output. */
int64_t tg_usage_output_tokens(const struct tg_usage *usage);

#endif
