#include "plugin/model/request.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"

#ifndef WARBLER_VERSION
#define WARBLER_VERSION "unknown"
#endif

#define OWN_HEADERS 4

/* --- body --- */

struct writer {
    struct buf *out;
    const struct model_conf *conf;
    const cJSON *extra;
    size_t begin; /* of the first member */
};

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

/* Begins a member, unless it is dropped or the extra ones bring it. */
static bool member(struct writer *w, const char *name)
{
    if (listed(&w->conf->drop, name) || cJSON_GetObjectItemCaseSensitive(w->extra, name))
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

static void add_sampling(struct writer *w)
{
    const struct model_conf *c = w->conf;
    add_double(w, "temperature", c->temperature);
    add_double(w, "top_p", c->top_p);
    add_double(w, "frequency_penalty", c->frequency_penalty);
    add_double(w, "presence_penalty", c->presence_penalty);
    if (c->seed != INT64_MIN && member(w, "seed"))
        buf_addi(w->out, c->seed);
}

static void add_max_tokens(struct writer *w)
{
    const struct model_conf *c = w->conf;
    if (c->max_tokens <= 0 || c->max_tokens_field == MAX_TOKENS_NONE)
        return;
    if (member(w, c->max_tokens_field == MAX_TOKENS_COMPLETION ? "max_completion_tokens" : "max_tokens"))
        buf_addi(w->out, c->max_tokens);
}

static void add_stop(struct writer *w)
{
    const struct strings *stop = &w->conf->stop;
    if (stop->n == 0 || !member(w, "stop"))
        return;
    for (size_t i = 0; i < stop->n; i++) {
        buf_addc(w->out, i ? ',' : '[');
        json_quote(w->out, stop->v[i]);
    }
    buf_addc(w->out, ']');
}

static void add_stream(struct writer *w)
{
    if (!w->conf->stream)
        return;
    if (member(w, "stream"))
        buf_adds(w->out, "true");
    if (w->conf->stream_usage && member(w, "stream_options"))
        buf_adds(w->out, "{\"include_usage\":true}");
}

/* The text between the braces, as it was written: numbers keep all their digits. */
static void add_extra(struct writer *w)
{
    if (!w->extra || !w->extra->child)
        return;
    const char *begin = strchr(w->conf->extra, '{'), *end = strrchr(w->conf->extra, '}');
    separate(w);
    buf_add(w->out, begin + 1, (size_t)(end - begin) - 1);
}

static const char *system_role(const struct model_conf *conf)
{
    static const char *const names[] = {"system", "developer", "user"};
    return names[conf->system_role];
}

static void add_messages(struct writer *w, const struct request_parts *parts)
{
    const char *rest = parts->messages;
    size_t len = parts->messages_len;
    if (!member(w, "messages"))
        return;
    if (parts->system && *parts->system) {
        buf_addf(w->out, "[{\"role\":\"%s\",\"content\":\"", system_role(w->conf));
        buf_adds(w->out, parts->system);
        buf_adds(w->out, len > strlen("[]") ? "\"}," : "\"}");
        rest++;
        len--;
    }
    buf_add(w->out, rest, len);
}

enum err_code request_body(struct buf *out, const struct model_conf *conf, const struct quirks *quirks,
                           const struct request_parts *parts)
{
    (void)quirks;
    const char *text = conf->extra;
    cJSON *extra = text ? json_parse(text, strlen(text)) : NULL;
    buf_addc(out, '{');
    struct writer w = {out, conf, cJSON_IsObject(extra) ? extra : NULL, out->len};
    if (conf->model && *conf->model && member(&w, "model"))
        json_quote(out, conf->model);
    add_messages(&w, parts);
    add_sampling(&w);
    add_max_tokens(&w);
    add_stop(&w);
    add_stream(&w);
    add_extra(&w);
    cJSON_Delete(extra);
    return buf_addc(out, '}');
}

/* --- URL --- */

enum err_code request_url(struct buf *out, const char *base_url, const char *path)
{
    size_t len = strcspn(base_url, "?");
    const char *query = base_url + len;
    if (len > 0 && base_url[len - 1] == '/')
        len--;
    buf_add(out, base_url, len);
    buf_adds(out, path);
    return buf_adds(out, query);
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
        buf_addf(&h->text, "Authorization: Bearer %s", secret_reveal(key));
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
