#include "plugin/model/practice.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"
#include "plugin/model/practice_text.h"
#include "plugin/model/tokens.h"

#define QUOTED_BYTES 180U  /* of the person's words, in an answer */
#define SAMPLE_BYTES 48U   /* of each message, for #history */
#define MODEL_NAME "practice"
#define TOKENS_PER_REQUEST 3

#define HASH_START 0xCBF29CE484222325U /* FNV-1a */
#define HASH_PRIME 0x100000001B3U

/* What the last user message orders; see practice.h. */
struct script {
    const char *echo; /* NULL: none */
    int status;       /* 0: as it goes */
    bool cut, once, history;
    int64_t sleep_ms, points; /* -1: not said */
};

/* What a request says. */
struct asked {
    cJSON *root;
    const cJSON *messages, *tools;
    const char *model;
    int64_t max_tokens; /* 0: no limit */
    bool stream, usage, chinese, first, tool_result;
    size_t count;
    int64_t prompt_tokens;
    struct buf last;    /* the last user message */
    struct buf words;   /* the same without its orders; or what the tool gave */
    struct script script;
};

void practice_init(struct practice *p, uint64_t seed)
{
    *p = (struct practice){.seed = seed};
}

/* --- reading the request --- */

/* A message's text; *joined keeps it if it comes in parts. */
static const char *text_of(const cJSON *message, struct buf *joined)
{
    const cJSON *content = json_get(message, "content"), *part;
    if (cJSON_IsString(content))
        return content->valuestring;
    buf_reset(joined);
    cJSON_ArrayForEach(part, content) {
        const char *text = json_str(part, "text");
        buf_adds(joined, text ? text : "");
    }
    return buf_str(joined);
}

static bool has_role(const cJSON *message, const char *role)
{
    const char *r = json_str(message, "role");
    return r && strcmp(r, role) == 0;
}

static bool is_chinese(const char *s)
{
    size_t len = strlen(s);
    bool han = false;
    for (size_t i = 0; i < len;) {
        uint32_t cp = utf8_next(s, len, &i);
        if (cp >= 0x3041 && cp < 0x3100) /* kana: Japanese, for which there is no text here */
            return false;
        han |= cp >= 0x3400 && cp < 0xA000;
    }
    return han;
}

static void read_messages(struct asked *a)
{
    const cJSON *m;
    struct buf joined;
    buf_init(&joined, PRACTICE_TEXT_BYTES_MAX);
    a->first = true;
    a->prompt_tokens = TOKENS_PER_REQUEST;
    cJSON_ArrayForEach(m, a->messages) {
        const char *text = text_of(m, &joined);
        size_t len = strlen(text);
        a->count++;
        a->prompt_tokens += (int64_t)tokens_estimate(text, len) + TOKENS_PER_MESSAGE;
        a->first &= !has_role(m, "assistant");
        a->tool_result = has_role(m, "tool");
        if (has_role(m, "user") || a->tool_result) {
            struct buf *to = a->tool_result ? &a->words : &a->last;
            buf_reset(to);
            buf_add(to, text, len);
        }
    }
    buf_free(&joined);
}

static bool order_begins(const char *text, const char *at)
{
    return at == text || !isalnum((unsigned char)at[-1]);
}

/* True if s begins with the word; *end_r is behind it. */
static bool word_at(const char *s, const char *word, const char **end_r)
{
    size_t len = strlen(word);
    if (strncmp(s, word, len) != 0 || isalnum((unsigned char)s[len]))
        return false;
    *end_r = s + len;
    return true;
}

static const char *skip_spaces(const char *s)
{
    while (*s == ' ')
        s++;
    return s;
}

static bool number_at(const char *s, int64_t *n_r, const char **end_r)
{
    char *end;
    long long n = strtoll(s, &end, 10);
    if (!isdigit((unsigned char)*s) || n > INT32_MAX)
        return false;
    *n_r = n;
    *end_r = end;
    return true;
}

static const char *read_fail(struct script *s, const char *at)
{
    int64_t status = 0;
    const char *end;
    if (word_at(at, "cut", &end))
        s->cut = true;
    else if (number_at(at, &status, &end) && (status == 429 || status == 500))
        s->status = (int)status;
    else
        return at;
    s->once = word_at(skip_spaces(end), "once", &end);
    return end;
}

/* Reads the order whose '#' stands at `at`. The end of it; `at` if it is none. */
static const char *read_order(struct script *s, const char *at)
{
    const char *end;
    if (word_at(at + 1, "echo", &end)) {
        s->echo = *end ? end + 1 : end;
        return end + strlen(end);
    }
    if (word_at(at + 1, "history", &end)) {
        s->history = true;
        return end;
    }
    if (word_at(at + 1, "fail", &end))
        return read_fail(s, skip_spaces(end));
    if (word_at(at + 1, "sleep", &end) && number_at(skip_spaces(end), &s->sleep_ms, &end))
        return end;
    if (word_at(at + 1, "len", &end) && number_at(skip_spaces(end), &s->points, &end))
        return end;
    return at;
}

static void read_script(struct asked *a)
{
    const char *text = buf_str(&a->last), *from = text, *at = text;
    a->script = (struct script){.sleep_ms = -1, .points = -1};
    while ((at = strchr(at, '#')) != NULL) {
        const char *end = order_begins(text, at) ? read_order(&a->script, at) : at;
        if (end != at && !a->tool_result)
            buf_add(&a->words, from, (size_t)(at - from));
        if (end != at)
            from = end;
        at = end != at ? end : at + 1;
    }
    if (!a->tool_result)
        buf_adds(&a->words, from);
}

static bool read_request(struct asked *a, const char *body, size_t len)
{
    *a = (struct asked){.root = json_parse(body, len)};
    buf_init(&a->last, PRACTICE_TEXT_BYTES_MAX);
    buf_init(&a->words, PRACTICE_TEXT_BYTES_MAX);
    a->messages = json_get(a->root, "messages");
    if (!cJSON_IsArray(a->messages) || !a->messages->child)
        return false;
    a->tools = json_get(a->root, "tools");
    a->model = json_str(a->root, "model");
    a->max_tokens = json_int(a->root, "max_completion_tokens", json_int(a->root, "max_tokens", 0));
    a->stream = json_bool(a->root, "stream", false);
    a->usage = json_bool(json_get(a->root, "stream_options"), "include_usage", false);
    read_messages(a);
    read_script(a);
    a->chinese = is_chinese(buf_str(&a->last));
    return true;
}

static void asked_fini(struct asked *a)
{
    cJSON_Delete(a->root);
    buf_free(&a->last);
    buf_free(&a->words);
}

/* --- what is answered --- */

/* The beginning of s as one line, cut at a character. */
static void add_line(struct buf *out, const char *s, size_t max)
{
    while (isspace((unsigned char)*s))
        s++;
    struct buf clean;
    buf_init(&clean, PRACTICE_TEXT_BYTES_MAX * 3);
    utf8_clean(&clean, s, strnlen(s, 4 * max));
    size_t len = utf8_cut(buf_str(&clean), clean.len, max);
    bool cut = len < clean.len || strlen(s) > 4 * max;
    while (len > 0 && isspace((unsigned char)clean.data[len - 1]))
        len--;
    for (size_t i = 0; i < len; i++)
        buf_addc(out, clean.data[i] == '\n' || clean.data[i] == '\t' ? ' ' : clean.data[i]);
    if (cut)
        buf_adds(out, "…");
    buf_free(&clean);
}

static void add_text(struct buf *out, const struct asked *a, enum practice_kind kind)
{
    static const char words[] = "%words", count[] = "%count";
    const char *text = practice_text(kind, a->chinese), *mark;
    while ((mark = strchr(text, '%')) != NULL) {
        buf_add(out, text, (size_t)(mark - text));
        if (strncmp(mark, words, strlen(words)) == 0) {
            add_line(out, buf_str(&a->words), QUOTED_BYTES);
            text = mark + strlen(words);
        } else if (strncmp(mark, count, strlen(count)) == 0) {
            buf_addf(out, "%zu", a->count);
            text = mark + strlen(count);
        } else {
            buf_addc(out, '%');
            text = mark + 1;
        }
    }
    buf_adds(out, text);
}

static void add_history(struct buf *out, const struct asked *a)
{
    const cJSON *m;
    struct buf joined;
    size_t n = 0;
    buf_init(&joined, PRACTICE_TEXT_BYTES_MAX);
    buf_addf(out, "%zu messages", a->count);
    cJSON_ArrayForEach(m, a->messages) {
        const char *role = json_str(m, "role");
        buf_addf(out, "\n%zu. %s: ", ++n, role ? role : "?");
        add_line(out, text_of(m, &joined), SAMPLE_BYTES);
    }
    buf_free(&joined);
}

/* Cut or continued to that many code points, at the border of a grapheme. */
static void set_length(struct buf *text, int64_t points, bool chinese)
{
    size_t have = utf8_points(buf_str(text), text->len), want = (size_t)points;
    const char *filler = practice_text(PRACTICE_FILLER, chinese);
    size_t filler_points = utf8_points(filler, strlen(filler)), end = 0;
    for (; have < want && text->len + strlen(filler) < PRACTICE_TEXT_BYTES_MAX; have += filler_points)
        buf_adds(text, filler);
    for (; want > 0 && end < text->len; want--)
        utf8_next(text->data, text->len, &end);
    buf_cut(text, utf8_cut(buf_str(text), text->len, end));
}

/* Honours max_tokens, roughly: the share of the text that fits. */
static void limit_tokens(struct practice_reply *r, int64_t max_tokens)
{
    int64_t tokens = (int64_t)tokens_estimate(buf_str(&r->text), r->text.len);
    if (max_tokens <= 0 || tokens <= max_tokens)
        return;
    buf_cut(&r->text, utf8_cut(buf_str(&r->text), r->text.len, r->text.len * (size_t)max_tokens / (size_t)tokens));
    r->finish = FINISH_LENGTH;
}

static void compose(struct practice_reply *r, const struct asked *a, const struct practice_conf *knobs)
{
    const struct script *s = &a->script;
    int64_t points = s->points >= 0 ? s->points : knobs->length_chars;
    if (s->echo || s->history) {
        if (s->echo)
            buf_adds(&r->text, s->echo);
        else
            add_history(&r->text, a);
        return;
    }
    if (a->first)
        add_text(&r->text, a, PRACTICE_HONEST);
    add_text(&r->text, a, a->tool_result ? PRACTICE_TOOL : practice_kind_of(buf_str(&a->words)));
    if (points > 0)
        set_length(&r->text, points, a->chinese);
    limit_tokens(r, a->max_tokens);
}

/* --- tool calls --- */

/* Whether the person names the tool: "get_weather", or "weather". */
static bool is_named(const char *words, const char *tool)
{
    const char *part = tool;
    for (const char *end = tool;; end++) {
        if (*end && *end != '_' && *end != '-')
            continue;
        char name[65] = "";
        size_t len = (size_t)(end - part);
        if (len >= 4 && len < sizeof name) {
            memcpy(name, part, len);
            if (strcasestr(words, name))
                return true;
        }
        if (!*end)
            return false;
        part = end + 1;
    }
}

static void add_argument(struct buf *out, const cJSON *schema, const char *words)
{
    const cJSON *first = json_get(schema, "enum");
    const char *type = json_str(schema, "type");
    if (cJSON_IsArray(first) && cJSON_IsString(first->child)) {
        json_quote(out, first->child->valuestring);
    } else if (!type || strcmp(type, "string") == 0) {
        struct buf line;
        buf_init(&line, PRACTICE_TEXT_BYTES_MAX);
        add_line(&line, words, QUOTED_BYTES);
        json_quoten(out, buf_str(&line), line.len);
        buf_free(&line);
    } else if (strcmp(type, "boolean") == 0) {
        buf_adds(out, "true");
    } else {
        buf_adds(out, strcmp(type, "array") == 0 ? "[]" : strcmp(type, "object") == 0 ? "{}" : "1");
    }
}

/* A value for each required parameter. */
static void fill_arguments(struct buf *out, const cJSON *parameters, const char *words)
{
    const cJSON *name, *properties = json_get(parameters, "properties");
    buf_addc(out, '{');
    cJSON_ArrayForEach(name, json_get(parameters, "required")) {
        if (!cJSON_IsString(name))
            continue;
        if (out->len > 1)
            buf_addc(out, ',');
        json_quote(out, name->valuestring);
        buf_addc(out, ':');
        add_argument(out, json_get(properties, name->valuestring), words);
    }
    buf_addc(out, '}');
}

static void choose_tool(struct practice_reply *r, const struct asked *a)
{
    const cJSON *tool;
    const char *words = buf_str(&a->words);
    if (a->tool_result || a->script.echo || a->script.history)
        return;
    cJSON_ArrayForEach(tool, a->tools) {
        const cJSON *function = json_get(tool, "function");
        const char *name = json_str(function, "name");
        if (!name || !is_named(words, name))
            continue;
        r->tool = mem_dup(name);
        r->finish = FINISH_TOOL_CALLS;
        fill_arguments(&r->arguments, json_get(function, "parameters"), words);
        return;
    }
}

/* --- failing --- */

static uint64_t hash(const char *s, size_t len)
{
    uint64_t h = HASH_START;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * HASH_PRIME;
    return h;
}

/* True for a request with that hash that failed before; the next time it fails again. */
static bool failed_before(struct practice *p, uint64_t h)
{
    size_t n = p->n_failed < PRACTICE_ONCE_SLOTS ? p->n_failed : PRACTICE_ONCE_SLOTS;
    for (size_t i = 0; i < n; i++) {
        if (p->failed[i] == h) {
            p->failed[i] = 0;
            return true;
        }
    }
    p->failed[p->n_failed++ % PRACTICE_ONCE_SLOTS] = h;
    return false;
}

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
}

static void fail_by_chance(struct practice *p, struct script *s, double rate)
{
    uint64_t dice = mix(p->seed ^ mix(p->requests));
    if ((double)(dice >> 11) * 0x1p-53 >= rate)
        return;
    switch (mix(dice) % 3) {
    case 0:
        s->status = 429;
        break;
    case 1:
        s->status = 500;
        break;
    default:
        s->cut = true;
        break;
    }
}

static void decide_failure(struct practice *p, struct script *s, double rate, uint64_t request_hash)
{
    bool ordered = s->status || s->cut;
    if (!ordered) {
        fail_by_chance(p, s, rate);
    } else if (s->once && failed_before(p, request_hash)) {
        s->status = 0;
        s->cut = false;
    }
}

static void refuse(struct practice_reply *r, int status)
{
    static const struct {
        int status;
        const char *message, *type, *code;
    } kinds[] = {
        {429, "The practice model was told to be busy. Try again later.", "requests", "\"rate_limit_exceeded\""},
        {500, "The practice model was told to fail.", "server_error", "null"},
        {400, "This is not a chat completions request: 'messages' is required.", "invalid_request_error", "null"},
    };
    size_t i = 0;
    while (kinds[i].status != status)
        i++;
    r->status = status;
    r->retry_after_ms = status == 429 ? PRACTICE_RETRY_AFTER_MS : -1;
    r->stream = false;
    buf_reset(&r->text);
    buf_addf(&r->text, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":%s}}", kinds[i].message,
             kinds[i].type, kinds[i].code);
}

/* --- the answer --- */

static void write_head(struct practice *p, struct practice_reply *r, const struct asked *a)
{
    buf_addf(&r->head, "{\"id\":\"chatcmpl-practice-%llu\",\"object\":\"chat.completion%s\",\"created\":",
             (unsigned long long)p->requests, r->stream ? ".chunk" : "");
    buf_addi(&r->head, clock_wall_ms() / 1000);
    buf_adds(&r->head, ",\"model\":");
    json_quote(&r->head, a->model && *a->model ? a->model : MODEL_NAME);
    buf_adds(&r->head, ",\"choices\":[");
}

static void count_tokens(struct practice_reply *r, const struct asked *a)
{
    int64_t completion = (int64_t)(tokens_estimate(buf_str(&r->text), r->text.len) +
                                   tokens_estimate(buf_str(&r->arguments), r->arguments.len));
    r->usage = (struct usage){
        .prompt_tokens = a->prompt_tokens,
        .completion_tokens = completion,
        .total_tokens = a->prompt_tokens + completion,
        .known = true,
    };
}

static void answer(struct practice *p, const struct practice_conf *knobs, struct practice_reply *r, struct asked *a)
{
    r->stream = a->stream;
    r->send_usage = a->usage || !a->stream;
    choose_tool(r, a);
    if (!r->tool)
        compose(r, a, knobs);
    count_tokens(r, a);
    write_head(p, r, a);
    r->cut = a->script.cut;
    r->cut_at = r->cut ? utf8_cut(buf_str(&r->text), r->text.len, r->text.len / 2) : SIZE_MAX;
}

void practice_answer(struct practice *p, const struct practice_conf *knobs, const char *body, size_t len,
                     struct practice_reply *r)
{
    struct asked a;
    *r = (struct practice_reply){.status = 200, .retry_after_ms = -1, .finish = FINISH_STOP};
    buf_init(&r->text, 2 * PRACTICE_TEXT_BYTES_MAX);
    buf_init(&r->arguments, PRACTICE_TEXT_BYTES_MAX);
    buf_init(&r->head, PRACTICE_TEXT_BYTES_MAX);
    r->chunk_ms = knobs->chunk_ms;
    r->chunk_points = knobs->chunk_chars;
    p->requests++;
    bool valid = read_request(&a, body, len);
    r->delay_ms = valid && a.script.sleep_ms >= 0 ? a.script.sleep_ms : knobs->delay_ms;
    if (valid)
        decide_failure(p, &a.script, knobs->fail_rate, hash(body, len));
    if (!valid || a.script.status)
        refuse(r, valid ? a.script.status : 400);
    else
        answer(p, knobs, r, &a);
    asked_fini(&a);
}

void practice_reply_fini(struct practice_reply *r)
{
    buf_free(&r->text);
    buf_free(&r->arguments);
    buf_free(&r->head);
    free(r->tool);
    r->tool = NULL;
}

/* --- its bytes --- */

static void add_usage(struct practice_reply *r, struct buf *out)
{
    buf_adds(out, ",\"usage\":{\"prompt_tokens\":");
    buf_addi(out, r->usage.prompt_tokens);
    buf_adds(out, ",\"completion_tokens\":");
    buf_addi(out, r->usage.completion_tokens);
    buf_adds(out, ",\"total_tokens\":");
    buf_addi(out, r->usage.total_tokens);
    buf_addc(out, '}');
}

static void add_call(struct practice_reply *r, struct buf *out, bool with_index)
{
    buf_adds(out, with_index ? "[{\"index\":0,\"id\":\"call_practice\"" : "[{\"id\":\"call_practice\"");
    buf_adds(out, ",\"type\":\"function\",\"function\":{\"name\":");
    json_quote(out, r->tool);
    buf_adds(out, ",\"arguments\":");
    json_quoten(out, buf_str(&r->arguments), r->arguments.len);
    buf_adds(out, "}}]");
}

static void add_whole(struct practice_reply *r, struct buf *out)
{
    size_t begin = out->len;
    buf_add(out, r->head.data, r->head.len);
    buf_adds(out, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (r->tool) {
        buf_adds(out, "null,\"tool_calls\":");
        add_call(r, out, false);
    } else {
        json_quoten(out, buf_str(&r->text), r->text.len);
    }
    buf_addf(out, "},\"finish_reason\":\"%s\"}]", finish_name(r->finish));
    add_usage(r, out);
    buf_addc(out, '}');
    if (r->cut)
        buf_cut(out, begin + (out->len - begin) / 2);
}

/* The part of the text that the next event carries. */
static size_t slice(const struct practice_reply *r)
{
    size_t end = r->at, last = r->cut ? r->cut_at : r->text.len;
    if (r->chunk_points <= 0)
        return last;
    for (int64_t n = r->chunk_points; n > 0 && end < last; n--)
        utf8_next(r->text.data, r->text.len, &end);
    return end;
}

static void add_delta(struct practice_reply *r, struct buf *out)
{
    buf_adds(out, "{\"index\":0,\"delta\":{");
    if (r->step == PRACTICE_ROLE) {
        buf_adds(out, "\"role\":\"assistant\",\"content\":\"\"");
    } else if (r->step == PRACTICE_CONTENT) {
        size_t end = slice(r);
        buf_adds(out, "\"content\":");
        json_quoten(out, r->text.data + r->at, end - r->at);
        r->at = end;
    } else if (r->step == PRACTICE_CALL) {
        buf_adds(out, "\"tool_calls\":");
        add_call(r, out, true);
    }
    buf_adds(out, "},\"finish_reason\":");
    json_quote(out, r->step == PRACTICE_FINISH ? finish_name(r->finish) : NULL);
    buf_addc(out, '}');
}

/* The step after this one, over those that have nothing to say. */
static enum practice_step next_step(const struct practice_reply *r)
{
    switch (r->step) {
    case PRACTICE_ROLE:
    case PRACTICE_CONTENT:
        if (r->at >= r->cut_at)
            return PRACTICE_END;
        if (r->at < r->text.len)
            return PRACTICE_CONTENT;
        return r->tool ? PRACTICE_CALL : PRACTICE_FINISH;
    case PRACTICE_CALL:
        return PRACTICE_FINISH;
    case PRACTICE_FINISH:
        return r->send_usage ? PRACTICE_USAGE : PRACTICE_DONE;
    case PRACTICE_USAGE:
        return PRACTICE_DONE;
    default:
        return PRACTICE_END;
    }
}

static void add_event(struct practice_reply *r, struct buf *out)
{
    buf_adds(out, "data: ");
    if (r->step == PRACTICE_DONE) {
        buf_adds(out, "[DONE]");
    } else {
        buf_add(out, r->head.data, r->head.len);
        if (r->step != PRACTICE_USAGE)
            add_delta(r, out);
        buf_addc(out, ']');
        if (r->step == PRACTICE_USAGE)
            add_usage(r, out);
        buf_addc(out, '}');
    }
    buf_adds(out, "\n\n");
    r->step = next_step(r);
}

bool practice_next(struct practice_reply *r, struct buf *out)
{
    if (r->step == PRACTICE_END)
        return false;
    if (r->stream) {
        add_event(r, out);
        return true;
    }
    if (r->status == 200)
        add_whole(r, out);
    else
        buf_add(out, r->text.data, r->text.len);
    r->step = PRACTICE_END;
    return true;
}

void practice_models(struct buf *out)
{
    buf_adds(out, "{\"object\":\"list\",\"data\":[{\"id\":\"" MODEL_NAME
                  "\",\"object\":\"model\",\"created\":0,\"owned_by\":\"warbler\"}]}");
}
