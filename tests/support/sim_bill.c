#include "sim_bill.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Above 2^53, where a reader that goes through a double loses the last digit. */
#define HUGE_TOKENS INT64_C(9007199254740993)

static struct sim_buf lines;
static int bill_fd = -1;

bool sim_bill_open(const char *path)
{
    if (path == NULL)
        return true;
    bill_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return bill_fd >= 0;
}

static void write_count(struct sim_buf *out, const char *name, int64_t count, enum sim_form form)
{
    const char *quote = form == SIM_FORM_STRING ? "\"" : "";

    sim_buf_print(out, "\"%s\":%s%" PRId64 "%s", name, quote, count, quote);
}

/* How the members of a usage object are called. */
struct names {
    const char *prompt, *completion, *prompt_details, *completion_details;
    bool has_audio;
};

/* Prompt and total as the form has them. */
static void shape_counts(const struct sim_usage *usage, enum sim_form form, int64_t *ret_prompt,
                         int64_t *ret_total)
{
    const int64_t rest = usage->completion + usage->tool_use;

    *ret_prompt = usage->prompt;
    if (form == SIM_FORM_NEGATIVE)
        *ret_prompt = -1 - usage->prompt;
    if (form == SIM_FORM_HUGE)
        *ret_prompt = HUGE_TOKENS;
    *ret_total = *ret_prompt + rest + (form == SIM_FORM_WRONG ? 7 : 0);
}

static void write_usage(struct sim_buf *out, const struct sim_usage *usage, enum sim_form form,
                        const struct names *names)
{
    const bool is_residual = form == SIM_FORM_RESIDUAL;
    int64_t prompt;
    int64_t total;

    shape_counts(usage, form, &prompt, &total);
    sim_buf_text(out, "{");
    write_count(out, names->prompt, prompt, form);
    sim_buf_text(out, ",");
    write_count(out, names->completion, usage->completion - (is_residual ? usage->reasoning : 0),
                form);
    sim_buf_text(out, ",");
    write_count(out, "total_tokens", total, form);
    sim_buf_print(out, ",\"%s\":{", names->prompt_details);
    write_count(out, "cached_tokens", usage->cached, form);
    if (usage->cache_write != SIM_UNSET) {
        sim_buf_text(out, ",");
        write_count(out, "cache_write_tokens", usage->cache_write, form);
        if (usage->cache_write_12h > 0)
            sim_buf_print(out,
                          ",\"cache_write_tokens_details\":{\"ttl_30m_tokens\":%" PRId64
                          ",\"ttl_12h_tokens\":%" PRId64 "}",
                          usage->cache_write - usage->cache_write_12h, usage->cache_write_12h);
    }
    if (names->has_audio) {
        sim_buf_text(out, ",");
        write_count(out, "audio_tokens", usage->audio_in, form);
    }
    sim_buf_print(out, "},\"%s\":{", names->completion_details);
    write_count(out, "reasoning_tokens", is_residual ? 0 : usage->reasoning, form);
    if (names->has_audio)
        sim_buf_text(out, ",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
                          "\"rejected_prediction_tokens\":0");
    sim_buf_text(out, "}}");
}

void sim_usage_write(struct sim_buf *out, const struct sim_usage *usage, enum sim_form form)
{
    static const struct names names = { "prompt_tokens", "completion_tokens",
                                        "prompt_tokens_details", "completion_tokens_details",
                                        true };

    write_usage(out, usage, form, &names);
}

void sim_usage_write_input(struct sim_buf *out, const struct sim_usage *usage, enum sim_form form)
{
    static const struct names names = { "input_tokens", "output_tokens", "input_tokens_details",
                                        "output_tokens_details", false };

    write_usage(out, usage, form, &names);
}

/* A list of counts by modality; what is left of `whole` is text. */
static void write_details(struct sim_buf *out, const char *name, int64_t whole, int64_t audio,
                          int64_t image)
{
    sim_buf_print(out, ",\"%s\":[{\"modality\":\"TEXT\",\"tokenCount\":%" PRId64 "}", name,
                  whole - audio - image);
    if (audio > 0)
        sim_buf_print(out, ",{\"modality\":\"AUDIO\",\"tokenCount\":%" PRId64 "}", audio);
    if (image > 0)
        sim_buf_print(out, ",{\"tokenCount\":%" PRId64 ",\"modality\":\"IMAGE\"}", image);
    sim_buf_text(out, "]");
}

/* A count that is written only where it is one, as Google does. */
static void write_count_if_any(struct sim_buf *out, const char *name, int64_t count,
                               enum sim_form form)
{
    if (count == 0)
        return;
    sim_buf_text(out, ",");
    write_count(out, name, count, form);
}

void sim_usage_write_google(struct sim_buf *out, const struct sim_usage *usage, enum sim_form form)
{
    const int64_t candidates = usage->completion - usage->reasoning;
    int64_t prompt;
    int64_t total;

    shape_counts(usage, form, &prompt, &total);
    sim_buf_text(out, "{");
    write_count(out, "promptTokenCount", prompt, form);
    write_count_if_any(out, "candidatesTokenCount", candidates, form);
    write_count_if_any(out, "totalTokenCount", total, form);
    write_count_if_any(out, "cachedContentTokenCount", usage->cached, form);
    write_details(out, "promptTokensDetails", usage->prompt, usage->audio_in + usage->cached_audio,
                  0);
    if (usage->cached > 0)
        write_details(out, "cacheTokensDetails", usage->cached, usage->cached_audio, 0);
    if (usage->audio_out > 0 || usage->image_out > 0)
        write_details(out, "candidatesTokensDetails", candidates, usage->audio_out,
                      usage->image_out);
    write_count_if_any(out, "toolUsePromptTokenCount", usage->tool_use, form);
    write_count_if_any(out, "thoughtsTokenCount", usage->reasoning, form);
    sim_buf_text(out, "}");
}

/* The truth in classes that do not overlap, as a price list has them. */
static void write_classes(struct sim_buf *out, const struct sim_usage *usage)
{
    const int64_t written = usage->cache_write == SIM_UNSET ? 0 : usage->cache_write;
    const struct {
        const char *name;
        int64_t count;
    } classes[] = {
        { "input", usage->prompt - usage->cached - written - usage->audio_in + usage->tool_use +
                       usage->advisor },
        { "cache_read", usage->cached - usage->cached_audio },
        { "cache_read_audio", usage->cached_audio },
        { "cache_write",
          written - usage->cache_write_12h - usage->cache_write_1h + usage->compaction },
        { "cache_write_1h", usage->cache_write_1h },
        { "cache_write_12h", usage->cache_write_12h },
        { "input_audio", usage->audio_in },
        { "output", usage->completion - usage->image_out - usage->audio_out +
                        usage->compaction / 100 + usage->advisor / 10 },
        { "output_image", usage->image_out },
        { "output_audio", usage->audio_out },
        { "web_search", usage->web_search },
        { "file_search", usage->file_search },
        { "code_session", usage->code_session },
    };
    const char *separator = "";

    sim_buf_text(out, "{");
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (classes[i].count == 0)
            continue;
        sim_buf_print(out, "%s\"%s\":%" PRId64, separator, classes[i].name, classes[i].count);
        separator = ",";
    }
    sim_buf_text(out, "}");
}

/* The same for each turn that has made part of an answer, where there were several. */
static void write_parts(struct sim_buf *out, const struct sim_usage *usage)
{
    const struct sim_usage compaction = { .compaction = usage->compaction };
    const struct sim_usage advisor = { .advisor = usage->advisor };
    struct sim_usage own = *usage;

    if (usage->compaction == 0 && usage->advisor == 0)
        return;
    own.compaction = own.advisor = 0;
    sim_buf_text(out, ",\"parts\":[{\"model\":null,\"classes\":");
    write_classes(out, &own);
    sim_buf_text(out, "},{\"model\":null,\"classes\":");
    write_classes(out, &compaction);
    sim_buf_text(out, "},{\"model\":\"" SIM_ADVISOR_MODEL "\",\"classes\":");
    write_classes(out, &advisor);
    sim_buf_text(out, "}]");
}

struct sim_usage sim_generation_usage(const struct sim_generation *generation, int64_t events_sent)
{
    struct sim_usage usage = generation->usage;
    const int64_t visible = usage.completion - usage.reasoning;

    if (!generation->is_begun) {
        usage.completion = 0;
        usage.reasoning = 0;
    } else if (events_sent < generation->events) {
        usage.completion =
            usage.reasoning + (int64_t)((__int128)visible * events_sent / generation->events);
        usage.image_out = usage.audio_out = 0; /* made at the end */
    }
    return usage;
}

void sim_generation_free(struct sim_generation *generation)
{
    if (generation == NULL)
        return;
    free(generation->model);
    free(generation->served_model);
    free(generation->tag);
    free(generation->client_request);
    free(generation);
}

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sim_bill_add(struct sim_generation *generation, int64_t events_sent, const char *state)
{
    if (generation->is_billed)
        return;
    generation->is_billed = true;
    const size_t start = lines.len;
    const struct sim_usage usage = sim_generation_usage(generation, events_sent);

    sim_buf_print(&lines,
                  "{\"seq\":%" PRId64 ",\"id\":\"%s%" PRId64
                  "\",\"dialect\":\"%s\",\"at_ms\":%" PRId64
                  ",\"model\":\"%s\",\"served_model\":\"%s\",\"tier\":\"%s\",\"stream\":%s,"
                  "\"n\":%" PRId64 ",\"tag\":",
                  generation->seq, generation->prefix, generation->seq, generation->dialect,
                  wall_ms(), generation->model, generation->served_model, generation->tier,
                  generation->is_stream ? "true" : "false", generation->n);
    sim_buf_quote_or_null(&lines, sim_span_of(generation->tag));
    sim_buf_text(&lines, ",\"usage\":");
    if (strncmp(generation->dialect, "gemini", 6) == 0)
        sim_usage_write_google(&lines, &usage, SIM_FORM_TRUE);
    else
        sim_usage_write(&lines, &usage, SIM_FORM_TRUE);
    sim_buf_text(&lines, ",\"classes\":");
    write_classes(&lines, &usage);
    write_parts(&lines, &usage);
    sim_buf_print(&lines, ",\"asked_usage\":%s,\"state\":\"%s\",\"events_sent\":%" PRId64,
                  generation->asked_usage ? "true" : "false", state, events_sent);
    sim_buf_text(&lines, ",\"client_request\":");
    sim_buf_quote_or_null(&lines, sim_span_of(generation->client_request));
    sim_buf_text(&lines, "}\n");
    if (bill_fd >= 0) {
        const ssize_t written = write(bill_fd, lines.ptr + start, lines.len - start);

        /* A bill with a missing line would accuse the proxy of charging for nothing. */
        if (written != (ssize_t)(lines.len - start))
            abort();
    }
}

struct sim_span sim_bill_lines(void)
{
    return (struct sim_span){ lines.ptr == NULL ? "" : lines.ptr, lines.len };
}

void sim_bill_reset(void)
{
    lines.len = 0;
}
