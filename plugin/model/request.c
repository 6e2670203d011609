#include "plugin/model/request.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/secret.h"
#include "plugin/model/layout.h"
#include "plugin/model/structured.h"
#include "plugin/model/template.h"

#ifndef WARBLER_VERSION
#define WARBLER_VERSION "unknown"
#endif

#define OWN_HEADERS 4
#define CACHE_KEY_DIGITS 32
#define AZURE_CLASSIC_HOST_PATH "/openai"

/* --- body --- */

struct writer {
    struct buf *out;
    const struct model_conf *conf;
    const struct quirks *quirks;
    const struct request_parts *parts;
    const cJSON *extra;
    size_t begin; /* of the first member */
};

/* A part was too large: so is the whole. */
static void fail(struct writer *w)
{
    w->out->failed = true;
}

static bool listed(const struct strings *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->v[i], name) == 0)
            return true;
    return false;
}

static void separate(struct writer *w)
{
    if (w->out->len > w->begin)
        buf_addc(w->out, ',');
}

/* Begins a member, unless it is dropped, was refused, or the extra ones bring it. */
static bool member(struct writer *w, const char *name)
{
    if (listed(&w->conf->drop, name) || quirk_drops(w->quirks, name) ||
        cJSON_GetObjectItemCaseSensitive(w->extra, name))
        return false;
    separate(w);
    json_quote(w->out, name);
    buf_addc(w->out, ':');
    return true;
}

static void add_double(struct writer *w, const char *name, double value)
{
    if (!isnan(value) && member(w, name))
        json_double(w->out, value);
}

static void add_word(struct writer *w, const char *name, const char *value)
{
    if (value && member(w, name))
        json_quote(w->out, value);
}

/* An object of the configuration, as it was written: numbers keep all their digits. */
static void add_object(struct writer *w, const char *name, const char *text)
{
    if (text && member(w, name))
        buf_adds(w->out, text);
}

static void add_true(struct writer *w, const char *name, bool value)
{
    if (value && member(w, name))
        buf_adds(w->out, "true");
}

static double tuned(double configured, double wanted)
{
    return isnan(wanted) ? configured : wanted;
}

static void add_sampling(struct writer *w)
{
    static const struct request_tuning none = { NAN, NAN, NAN, NAN, 0, 0 };
    const struct model_conf *c = w->conf;
    const struct request_tuning *t = w->parts->tuning ? w->parts->tuning : &none;
    add_double(w, "temperature", tuned(c->temperature, t->temperature));
    add_double(w, "top_p", tuned(c->top_p, t->top_p));
    add_double(w, "frequency_penalty", tuned(c->frequency_penalty, t->frequency_penalty));
    add_double(w, "presence_penalty", tuned(c->presence_penalty, t->presence_penalty));
    if (c->seed != INT64_MIN && member(w, "seed"))
        buf_addi(w->out, c->seed);
    add_object(w, "logit_bias", c->logit_bias);
}

/* 0: no matter; fallback: what that means. */
static int64_t max_tokens(const struct writer *w, int64_t fallback)
{
    const struct request_tuning *t = w->parts->tuning;
    int64_t max = t && t->max_tokens > 0 ? t->max_tokens : w->conf->max_tokens > 0 ? w->conf->max_tokens : fallback;
    return t && t->most_tokens > 0 && (max == 0 || t->most_tokens < max) ? t->most_tokens : max;
}

static void add_max_tokens(struct writer *w)
{
    enum max_tokens_field field = quirk_max_tokens_field(w->quirks, w->conf);
    int64_t max = max_tokens(w, 0);
    if (max == 0 || field == MAX_TOKENS_NONE)
        return;
    if (member(w, field == MAX_TOKENS_COMPLETION ? "max_completion_tokens" : "max_tokens"))
        buf_addi(w->out, max);
}

static void add_stop(struct writer *w, const char *const *stops, size_t n)
{
    if (n == 0 || !member(w, "stop"))
        return;
    for (size_t i = 0; i < n; i++) {
        buf_addc(w->out, i ? ',' : '[');
        json_quote(w->out, stops[i]);
    }
    buf_addc(w->out, ']');
}

static void add_stream_options(struct writer *w)
{
    const struct model_conf *c = w->conf;
    if ((!c->stream_usage && c->include_obfuscation) || !member(w, "stream_options"))
        return;
    buf_adds(w->out, c->stream_usage ? "{\"include_usage\":true" : "{");
    if (!c->include_obfuscation)
        buf_adds(w->out, c->stream_usage ? ",\"include_obfuscation\":false" : "\"include_obfuscation\":false");
    buf_addc(w->out, '}');
}

static void add_stream(struct writer *w)
{
    if (!w->conf->stream)
        return;
    add_true(w, "stream", true);
    add_stream_options(w);
}

static void add_person(struct writer *w)
{
    static const char *const names[] = {NULL, "user", "safety_identifier", "user_id"};
    const char *name = names[w->conf->user_field];
    if (name)
        add_word(w, name, w->parts->person);
}

static void add_cache(struct writer *w)
{
    const struct model_conf *c = w->conf;
    const char *flow = w->parts->flow;
    if (c->prompt_cache_key && flow && *flow) {
        char key[65];
        sha256_hex(key, flow, strlen(flow));
        key[CACHE_KEY_DIGITS] = '\0';
        add_word(w, "prompt_cache_key", key);
    }
    add_word(w, "prompt_cache_retention", c->prompt_cache_retention);
    add_object(w, "prompt_cache_options", c->prompt_cache_options);
}

/* The text between the braces, as it was written. */
static void add_extra(struct writer *w)
{
    if (!w->extra || !w->extra->child)
        return;
    const char *begin = strchr(w->conf->extra, '{'), *end = strrchr(w->conf->extra, '}');
    separate(w);
    buf_add(w->out, begin + 1, (size_t)(end - begin) - 1);
}

static void add_model(struct writer *w)
{
    const struct model_conf *c = w->conf;
    if (c->model && *c->model && !(c->api == MODEL_API_COMPLETIONS && strstr(c->base_url, "/engines/")))
        add_word(w, "model", c->model);
}

/* --- the form of the answer --- */

static enum quirk_format format_of(const struct writer *w)
{
    if (w->conf->api == MODEL_API_COMPLETIONS)
        return FORMAT_NONE;
    enum quirk_format learned = quirk_format(w->quirks);
    return learned > w->parts->format ? learned : w->parts->format;
}

static void add_format(struct writer *w)
{
    const char *conf = w->conf->response_format;
    if (!conf || format_of(w) == FORMAT_NONE)
        return;
    if (format_of(w) == FORMAT_JSON_OBJECT)
        conf = "json_object";
    if (!member(w, "response_format"))
        return;
    if (*conf == '{') {
        buf_adds(w->out, conf);
    } else {
        buf_adds(w->out, "{\"type\":");
        json_quote(w->out, conf);
        buf_addc(w->out, '}');
    }
}

/* --- messages --- */

static struct layout layout_of(const struct writer *w, const char *system)
{
    const struct model_conf *c = w->conf;
    return (struct layout){
        .role = quirk_system_role(w->quirks, c),
        .names = c->send_name && !quirk_no_names(w->quirks),
        .merge = c->merge_consecutive || quirk_alternate(w->quirks),
        .system = system,
        .messages = w->parts->messages,
        .messages_len = w->parts->messages_len,
        .more = w->parts->more,
    };
}

static void add_messages(struct writer *w, const char *system)
{
    struct layout layout = layout_of(w, system);
    if (member(w, "messages"))
        layout_write(w->out, &layout);
}

/* Text that stands escaped in s. */
static cJSON *unescaped(const char *s)
{
    struct buf quoted;
    buf_init(&quoted, REQUEST_BYTES_MAX + 2);
    buf_addc(&quoted, '"');
    buf_adds(&quoted, s);
    buf_addc(&quoted, '"');
    cJSON *text = json_parse(buf_str(&quoted), quoted.len);
    buf_free(&quoted);
    return text;
}

static void add_prompt(struct writer *w, const char *system)
{
    struct layout layout = layout_of(w, "");
    struct buf messages, prompt;
    if (!member(w, "prompt"))
        return;
    buf_init(&messages, REQUEST_BYTES_MAX);
    buf_init(&prompt, REQUEST_BYTES_MAX);
    layout.names = false;
    layout_write(&messages, &layout);
    cJSON *list = json_parse(buf_str(&messages), messages.len), *text = unescaped(system);
    template_render(&prompt, w->conf, cJSON_GetStringValue(text), list);
    if (messages.failed || prompt.failed)
        fail(w);
    else
        json_quoten(w->out, buf_str(&prompt), prompt.len);
    cJSON_Delete(text);
    cJSON_Delete(list);
    buf_free(&prompt);
    buf_free(&messages);
}

/* --- the two kinds of bodies --- */

static void add_chat(struct writer *w, const char *system)
{
    const struct model_conf *c = w->conf;
    add_model(w);
    add_messages(w, system);
    add_sampling(w);
    add_max_tokens(w);
    add_stop(w, (const char *const *)c->stop.v, c->stop.n);
    add_format(w);
    add_word(w, "reasoning_effort", c->reasoning_effort);
    add_word(w, "verbosity", c->verbosity);
    add_word(w, "service_tier", c->service_tier);
    add_true(w, "store", c->store);
    add_object(w, "metadata", c->metadata);
    add_object(w, "prediction", c->prediction);
    add_object(w, "web_search_options", c->web_search_options);
    add_object(w, "moderation", c->moderation);
    add_person(w);
    add_cache(w);
    add_stream(w);
}

/* The older interface knows none of the later members, and its default length
 * is 16 tokens. */
static void add_completions(struct writer *w, const char *system)
{
    const struct model_conf *c = w->conf;
    char stops[TEMPLATE_STOPS_MAX][TEMPLATE_STOP_BYTES_MAX];
    const char *list[TEMPLATE_STOPS_MAX];
    size_t n = template_stops(c, stops);
    for (size_t i = 0; i < n; i++)
        list[i] = stops[i];
    add_model(w);
    add_prompt(w, system);
    add_sampling(w);
    if (member(w, "max_tokens"))
        buf_addi(w->out, max_tokens(w, REQUEST_COMPLETIONS_MAX_TOKENS));
    add_stop(w, list, n);
    if (c->user_field == USER_FIELD_USER)
        add_person(w);
    add_stream(w);
}

static void add_all(struct writer *w)
{
    struct buf system;
    buf_init(&system, REQUEST_BYTES_MAX);
    buf_adds(&system, w->parts->system ? w->parts->system : "");
    if (structured_wanted(w->conf))
        structured_instruct(&system, w->conf, format_of(w));
    if (w->conf->api == MODEL_API_COMPLETIONS)
        add_completions(w, buf_str(&system));
    else
        add_chat(w, buf_str(&system));
    add_extra(w);
    if (system.failed)
        fail(w);
    buf_free(&system);
}

enum err_code request_body(struct buf *out, const struct model_conf *conf, const struct quirks *quirks,
                           const struct request_parts *parts)
{
    cJSON *extra = conf->extra ? json_parse(conf->extra, strlen(conf->extra)) : NULL;
    buf_addc(out, '{');
    struct writer w = {out, conf, quirks, parts, cJSON_IsObject(extra) ? extra : NULL, out->len};
    add_all(&w);
    cJSON_Delete(extra);
    return buf_addc(out, '}');
}

/* --- URL --- */

static bool ends_with(const char *s, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && memcmp(s + len - n, end, n) == 0;
}

static size_t without_slash(const char *base)
{
    size_t len = strlen(base);
    return len > 0 && base[len - 1] == '/' ? len - 1 : len;
}

/* A name as one segment of a path. */
static void add_segment(struct buf *out, const char *name)
{
    for (; *name; name++)
        if (isalnum((unsigned char)*name) || strchr("-._~", *name))
            buf_addc(out, *name);
        else
            buf_addf(out, "%%%02X", (unsigned char)*name);
}

static bool is_azure_v1(const char *base, size_t len)
{
    return ends_with(base, len, "/openai/v1");
}

static void add_api_version(struct buf *out, const struct model_conf *conf, bool v1)
{
    if (conf->api_version && *conf->api_version)
        buf_addf(out, "?api-version=%s", conf->api_version);
    else if (!v1)
        buf_adds(out, "?api-version=" REQUEST_AZURE_API_VERSION);
}

static enum err_code azure_url(struct buf *out, const struct model_conf *conf)
{
    const char *base = conf->base_url;
    size_t len = without_slash(base);
    bool v1 = is_azure_v1(base, len);
    buf_add(out, base, len);
    if (!v1 && !strstr(base, "/deployments/")) {
        buf_adds(out, ends_with(base, len, AZURE_CLASSIC_HOST_PATH) ? "" : AZURE_CLASSIC_HOST_PATH);
        buf_adds(out, "/deployments/");
        add_segment(out, conf->model ? conf->model : "");
    }
    buf_adds(out, "/chat/completions");
    add_api_version(out, conf, v1);
    return buf_error(out);
}

static enum err_code plain_url(struct buf *out, const char *base, size_t len, const char *path)
{
    buf_add(out, base, len);
    return buf_adds(out, path);
}

enum err_code request_url(struct buf *out, const struct model_conf *conf)
{
    const char *base = conf->base_url;
    if (conf->api == MODEL_API_AZURE)
        return azure_url(out, conf);
    return plain_url(out, base, without_slash(base),
                     conf->api == MODEL_API_COMPLETIONS ? "/completions" : "/chat/completions");
}

enum err_code request_models_url(struct buf *out, const struct model_conf *conf)
{
    const char *base = conf->base_url;
    size_t len = without_slash(base);
    const char *cut = strstr(base, conf->api == MODEL_API_AZURE ? "/deployments/" : "/engines/");
    if (cut && conf->api != MODEL_API_CHAT)
        len = (size_t)(cut - base);
    if (conf->api != MODEL_API_AZURE)
        return plain_url(out, base, len, "/models");
    bool v1 = is_azure_v1(base, len);
    buf_add(out, base, len);
    buf_adds(out, v1 || ends_with(base, len, AZURE_CLASSIC_HOST_PATH) ? "/models" : AZURE_CLASSIC_HOST_PATH "/models");
    add_api_version(out, conf, v1);
    return buf_error(out);
}

/* --- headers --- */

static bool same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, ":");
    return len == strcspn(b, ":") && strncasecmp(a, b, len) == 0;
}

static bool configured(const struct model_conf *conf, const char *line)
{
    for (size_t i = 0; i < conf->headers.n; i++)
        if (same_name(conf->headers.v[i], line))
            return true;
    return false;
}

static void add_header(struct request_headers *h, const struct model_conf *conf, const char *line)
{
    if (!configured(conf, line))
        h->lines[h->n++] = line;
}

void request_headers_init(struct request_headers *h, const struct model_conf *conf, const struct secret *key,
                          bool stream)
{
    *h = (struct request_headers){.lines = mem_array(OWN_HEADERS + conf->headers.n + 1, sizeof *h->lines)};
    buf_init(&h->text, REQUEST_HEADERS_BYTES_MAX);
    add_header(h, conf, "Content-Type: application/json");
    add_header(h, conf, stream ? "Accept: text/event-stream" : "Accept: application/json");
    add_header(h, conf, "User-Agent: warbler/" WARBLER_VERSION);
    if (key && !secret_empty(key)) {
        buf_adds(&h->text, conf->api == MODEL_API_AZURE ? "api-key: " : "Authorization: Bearer ");
        buf_adds(&h->text, secret_reveal(key));
        add_header(h, conf, buf_str(&h->text));
    }
    for (size_t i = 0; i < conf->headers.n; i++)
        h->lines[h->n++] = conf->headers.v[i];
}

void request_headers_fini(struct request_headers *h)
{
    if (h->text.data)
        explicit_bzero(h->text.data, h->text.cap);
    buf_free(&h->text);
    free(h->lines);
    *h = (struct request_headers){.n = 0};
}
