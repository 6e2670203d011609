#include "plugin/model/template.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define PLACE "{text}"
#define LABELS_MAX 16U     /* of one template */
#define BREAKS_MAX 3       /* blanks put into one label */
#define LABEL_BYTES_MIN 2U /* one character cannot be broken */

/* What stands around the text of one role. */
struct part {
    const char *before, *after;
};

struct template {
    const char *name;
    const char *begin;
    struct part system, user, assistant;
    bool system_inside; /* the system prompt stands inside the first message of a person */
    const char *stops[TEMPLATE_STOPS_MAX + 1];
    const char *labels[LABELS_MAX]; /* what tells roles apart, beside the tokens that all templates guard */
};

/* Tokens of all families: a server may well run another model than its
 * operator's template says. */
static const char *const tokens[] = {
    "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<s>", "</s>", "[INST]", "[/INST]",
    "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
    "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "<start_of_turn>", "<end_of_turn>", "<|user|>",
    "<|assistant|>", "<|system|>", "<|end|>", NULL,
};

/* The first token of all (<s>, <|begin_of_text|>) is put there by the server. */
static const struct template templates[] = {
    {
        .name = "plain",
        .system = {"", "\n\n"},
        .user = {"User: ", "\n"},
        .assistant = {"Assistant: ", "\n"},
        .stops = {"\nUser:"},
        .labels = {"\nUser:", "\nAssistant:", "\nSystem:"},
    },
    {
        .name = "chatml",
        .system = {"<|im_start|>system\n", "<|im_end|>\n"},
        .user = {"<|im_start|>user\n", "<|im_end|>\n"},
        .assistant = {"<|im_start|>assistant\n", "<|im_end|>\n"},
        .stops = {"<|im_end|>", "<|im_start|>"},
    },
    {
        .name = "llama2",
        .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
        .user = {"[INST] ", " [/INST]"},
        .assistant = {" ", " </s><s>"},
        .system_inside = true,
        .stops = {"</s>", "[INST]"},
    },
    {
        .name = "llama3",
        .system = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"},
        .user = {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
        .assistant = {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"},
        .stops = {"<|eot_id|>", "<|start_header_id|>"},
    },
    {
        .name = "mistral",
        .system = {"", "\n\n"},
        .user = {"[INST] ", " [/INST]"},
        .assistant = {" ", "</s>"},
        .system_inside = true,
        .stops = {"</s>", "[INST]"},
    },
    {
        .name = "alpaca",
        .system = {"", "\n\n"},
        .user = {"### Instruction:\n", "\n\n"},
        .assistant = {"### Response:\n", "\n\n"},
        .stops = {"### Instruction:", "### Response:"},
        .labels = {"### Instruction:", "### Response:", "### Input:"},
    },
    {
        .name = "vicuna",
        .system = {"", " "},
        .user = {"USER: ", " "},
        .assistant = {"ASSISTANT: ", "</s>"},
        .stops = {"</s>", "USER:"},
        .labels = {"USER:", "ASSISTANT:"},
    },
};

/* All of its parts come from the configuration. */
static const struct template custom = {.name = "custom"};

const struct template *template_of(const struct model_conf *conf)
{
    const char *name = conf->template ? conf->template : templates[0].name;
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        if (strcmp(templates[i].name, name) == 0)
            return &templates[i];
    return &custom;
}

/* --- labels --- */

/* Text as a span: parts of a custom template end at their {text}. */
struct span {
    const char *s;
    size_t len;
};

static struct span trimmed(const char *s, size_t len)
{
    while (len > 0 && strchr(" \t", s[len - 1]))
        len--;
    return (struct span){s, len};
}

/* Labels of one rendering. */
struct guard {
    struct span labels[sizeof tokens / sizeof *tokens + LABELS_MAX];
    size_t n;
};

static void guard_add(struct guard *g, struct span label)
{
    if (label.len >= LABEL_BYTES_MIN && g->n < sizeof g->labels / sizeof *g->labels)
        g->labels[g->n++] = label;
}

static struct span part_before(const char *text)
{
    const char *place = text ? strstr(text, PLACE) : NULL;
    return place ? (struct span){text, (size_t)(place - text)} : (struct span){"", 0};
}

static struct span part_after(const char *text)
{
    const char *place = text ? strstr(text, PLACE) : NULL;
    return place ? (struct span){place + strlen(PLACE), strlen(place + strlen(PLACE))} : (struct span){"", 0};
}

/* A part's own text, without the blanks and line breaks around it. */
static struct span core_of(struct span part)
{
    while (part.len > 0 && strchr(" \t\n", part.s[0])) {
        part.s++;
        part.len--;
    }
    while (part.len > 0 && strchr(" \t\n", part.s[part.len - 1]))
        part.len--;
    return part;
}

static void guard_custom(struct guard *g, const struct template_conf *c)
{
    const char *const parts[] = {c->system, c->user, c->assistant};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        guard_add(g, core_of(part_before(parts[i])));
        guard_add(g, core_of(part_after(parts[i])));
    }
}

static void guard_init(struct guard *g, const struct model_conf *conf)
{
    const struct template *t = template_of(conf);
    g->n = 0;
    for (const char *const *token = tokens; *token; token++)
        guard_add(g, (struct span){*token, strlen(*token)});
    for (const char *const *label = t->labels; *label; label++)
        guard_add(g, (struct span){*label, strlen(*label)});
    if (t == &custom)
        guard_custom(g, &conf->template_parts);
}

/* Would c complete a label at the end of out? `from`: where the content began;
 * the line break before it may belong to a label. */
static bool completes(const struct guard *g, const struct buf *out, size_t from, char c)
{
    for (size_t i = 0; i < g->n; i++) {
        struct span l = g->labels[i];
        if (out->len < l.len - 1 || out->len - (l.len - 1) < from)
            continue;
        bool same = strncasecmp(buf_str(out) + out->len - (l.len - 1), l.s, l.len - 1) == 0;
        if (same && strncasecmp(&c, l.s + l.len - 1, 1) == 0)
            return true;
    }
    return false;
}

/* Case does not count: a role in capitals is still read as one. */
static void add_guarded(struct buf *out, const struct guard *g, const char *text)
{
    size_t from = out->len;
    for (; *text && !out->failed; text++) {
        bool whole = ((unsigned char)*text & 0xC0) != 0x80; /* a blank goes between characters only */
        for (int i = 0; whole && i < BREAKS_MAX && completes(g, out, from, *text); i++)
            buf_addc(out, ' ');
        buf_addc(out, *text);
    }
}

/* --- rendering --- */

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT };

struct writer {
    struct buf *out;
    const struct model_conf *conf;
    const struct template *t;
    struct guard guard;
    const char *inside; /* a system prompt that waits for the first message of a person */
};

static void add_span(struct buf *out, struct span s)
{
    buf_add(out, s.s, s.len);
}

static struct span around(const struct writer *w, enum role role, bool before)
{
    const struct template_conf *c = &w->conf->template_parts;
    const char *const own[] = {c->system, c->user, c->assistant};
    const struct part *const parts[] = {&w->t->system, &w->t->user, &w->t->assistant};
    if (w->t == &custom)
        return before ? part_before(own[role]) : part_after(own[role]);
    const char *s = before ? parts[role]->before : parts[role]->after;
    return (struct span){s, strlen(s)};
}

static void add_text(struct writer *w, enum role role, const char *text)
{
    add_span(w->out, around(w, role, true));
    if (role == ROLE_USER && w->inside) {
        const char *system = w->inside;
        w->inside = NULL;
        add_text(w, ROLE_SYSTEM, system);
    }
    add_guarded(w->out, &w->guard, text);
    add_span(w->out, around(w, role, false));
}

/* content: a text, or parts of which those with text count. */
static void add_content(struct writer *w, enum role role, const cJSON *content)
{
    struct buf text;
    const cJSON *part;
    buf_init(&text, w->out->max);
    if (cJSON_IsString(content))
        buf_adds(&text, content->valuestring);
    cJSON_ArrayForEach(part, content)
        buf_adds(&text, json_str(part, "text") ? json_str(part, "text") : "");
    add_text(w, role, buf_str(&text));
    buf_free(&text);
}

static void add_message(struct writer *w, const cJSON *message)
{
    static const char *const names[] = {"system", "user", "assistant"};
    const char *role = json_str(message, "role");
    for (int i = ROLE_SYSTEM; role && i <= ROLE_ASSISTANT; i++)
        if (strcmp(role, names[i]) == 0)
            add_content(w, (enum role)i, json_get(message, "content"));
}

enum err_code template_render(struct buf *out, const struct model_conf *conf, const char *system, const cJSON *messages)
{
    struct writer w = {.out = out, .conf = conf, .t = template_of(conf)};
    const cJSON *message;
    guard_init(&w.guard, conf);
    const char *begin = w.t == &custom ? conf->template_parts.begin : w.t->begin;
    buf_adds(out, begin ? begin : "");
    if (system && *system && w.t->system_inside)
        w.inside = system;
    else if (system && *system)
        add_text(&w, ROLE_SYSTEM, system);
    cJSON_ArrayForEach(message, messages)
        add_message(&w, message);
    if (w.inside)
        add_text(&w, ROLE_USER, "");
    /* The blank belongs to the first token of the answer. */
    struct span last = around(&w, ROLE_ASSISTANT, true);
    add_span(out, trimmed(last.s, last.len));
    return buf_error(out);
}

/* --- stops --- */

static size_t add_stop(char stops[TEMPLATE_STOPS_MAX][TEMPLATE_STOP_BYTES_MAX], size_t n, struct span stop)
{
    if (n == TEMPLATE_STOPS_MAX || stop.len == 0 || stop.len >= TEMPLATE_STOP_BYTES_MAX)
        return n;
    for (size_t i = 0; i < n; i++)
        if (strlen(stops[i]) == stop.len && memcmp(stops[i], stop.s, stop.len) == 0)
            return n;
    memcpy(stops[n], stop.s, stop.len);
    stops[n][stop.len] = '\0';
    return n + 1;
}

/* A word that names a role is one at the beginning of a line only; what looks
 * like a token may stand anywhere. */
static size_t add_custom_stops(char stops[TEMPLATE_STOPS_MAX][TEMPLATE_STOP_BYTES_MAX], size_t n,
                               const struct template_conf *c)
{
    struct span end = core_of(part_after(c->assistant)), user = core_of(part_before(c->user));
    char line[TEMPLATE_STOP_BYTES_MAX] = "\n";
    n = add_stop(stops, n, end);
    if (user.len == 0 || user.len + 1 >= sizeof line)
        return n;
    memcpy(line + 1, user.s, user.len);
    bool word = isalnum((unsigned char)*user.s);
    return add_stop(stops, n, word ? (struct span){line, user.len + 1} : user);
}

size_t template_stops(const struct model_conf *conf, char stops[TEMPLATE_STOPS_MAX][TEMPLATE_STOP_BYTES_MAX])
{
    const struct template *t = template_of(conf);
    size_t n = 0;
    for (size_t i = 0; i < conf->stop.n; i++)
        n = add_stop(stops, n, (struct span){conf->stop.v[i], strlen(conf->stop.v[i])});
    for (const char *const *stop = t->stops; *stop; stop++)
        n = add_stop(stops, n, (struct span){*stop, strlen(*stop)});
    return t == &custom ? add_custom_stops(stops, n, &conf->template_parts) : n;
}
