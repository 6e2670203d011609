#include "plugin/model/delta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"
#include "plugin/model/chunk.h"
#include "plugin/model/usage.h"

#define THINK_OPEN "<think>"
#define THINK_CLOSE "</think>"
#define BLANKS " \t\r\n"

/* Bytes appended beyond text_max before it is cut: no character is longer, so
 * what a cut through the input's last one leaves is cut off again. */
#define OVERHANG_BYTES 16U

#define HASH_START 0xCBF29CE484222325U /* FNV-1a */
#define HASH_PRIME 0x100000001B3U

enum lead {
    LEAD_HEAD,  /* nothing but blanks and a part of <think> so far: not shown yet */
    LEAD_THINK, /* inside a block that is dropped */
    LEAD_BODY,
};

void delta_init(struct delta *d, size_t text_max_bytes)
{
    *d = (struct delta){.text_max = text_max_bytes, .seen_hash = HASH_START, .finish = FINISH_STOP};
    /* U+FFFD is longer than the byte for which it stands. */
    buf_init(&d->piece, 3 * (text_max_bytes + OVERHANG_BYTES));
    buf_init(&d->text, text_max_bytes + d->piece.max);
    buf_init(&d->flat, COMPLETION_RESPONSE_BYTES_MAX);
    thought_init(&d->thought);
    buf_init(&d->usage_json, DELTA_USAGE_BYTES_MAX);
}

static void call_fini(struct tool_call *c)
{
    free(c->id);
    free(c->name);
    buf_free(&c->arguments);
    cJSON_Delete(c->extra);
}

static void drop_calls(struct delta *d)
{
    for (size_t i = 0; i < d->n_calls; i++)
        call_fini(&d->calls[i]);
    free(d->calls);
    d->calls = NULL;
    d->n_calls = 0;
    d->arguments_bytes = d->extra_bytes = 0;
}

void delta_fini(struct delta *d)
{
    buf_free(&d->text);
    buf_free(&d->piece);
    buf_free(&d->flat);
    thought_fini(&d->thought);
    buf_free(&d->usage_json);
    drop_calls(d);
}

/* --- text --- */

static bool is_blank(char c)
{
    return c && strchr(BLANKS, c);
}

static bool all_blank(const char *s, size_t len)
{
    while (len > 0 && is_blank(s[len - 1]))
        len--;
    return len == 0;
}

static void cut_when_full(struct delta *d)
{
    if (d->text.len <= d->text_max)
        return;
    size_t len = utf8_cut(d->text.data, d->text.len, d->text_max);
    buf_cut(&d->text, len > d->shown ? len : d->shown);
    if (d->scanned > d->text.len)
        d->scanned = d->text.len;
    d->full = d->finished = true;
    d->finish = FINISH_LENGTH;
}

static void append(struct delta *d, const char *wtf8, size_t len)
{
    size_t room = d->text_max - d->text.len;
    if (len == 0 || d->full)
        return;
    buf_reset(&d->piece);
    json_join(&d->piece, &d->pending, wtf8, len < room + OVERHANG_BYTES ? len : room + OVERHANG_BYTES);
    /* A CR at the end would become a line break, and its LF in the next piece another. */
    size_t n = d->piece.len;
    while (n > 0 && d->piece.data[n - 1] == '\r')
        n--;
    utf8_clean(&d->text, buf_str(&d->piece), n);
    cut_when_full(d);
}

/* Both tags have their first character nowhere else, so after a mismatch a
 * match can only begin at the character that did not fit. */
static size_t match_tag(const char *tag, size_t matched, char c)
{
    return c == tag[matched] ? matched + 1 : c == tag[0];
}

static size_t lead_head(struct delta *d, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (d->matched == 0 && is_blank(s[i])) {
            if (!d->stripped && !d->completing)
                append(d, s + i, 1);
        } else if (s[i] != THINK_OPEN[d->matched]) {
            d->lead = LEAD_BODY;
            append(d, THINK_OPEN, d->matched);
            return i;
        } else if (++d->matched == strlen(THINK_OPEN)) {
            d->lead = LEAD_THINK;
            d->matched = 0;
            d->stripped = true;
            buf_reset(&d->text);
            return i + 1;
        }
    }
    return len;
}

/* What looked like the beginning of the tag and was none is reasoning too. */
static size_t lead_think(struct delta *d, const char *s, size_t len)
{
    size_t i = 0, from = 0; /* s[from..i) is reasoning, but for the part of a tag at its end */
    while (i < len && d->matched < strlen(THINK_CLOSE)) {
        size_t before = d->matched, held = before < i ? before : i;
        d->matched = match_tag(THINK_CLOSE, before, s[i]);
        if (d->matched <= before && before > 0) {
            thought_add(&d->thought, s + from, i - held - from);
            thought_add(&d->thought, THINK_CLOSE, before);
            from = i;
        }
        i++;
    }
    size_t held = d->matched < i ? d->matched : i;
    if (i - held > from)
        thought_add(&d->thought, s + from, i - held - from);
    if (d->matched == strlen(THINK_CLOSE)) {
        d->lead = LEAD_HEAD;
        d->matched = 0;
    }
    return i;
}

static bool starts_line(const struct buf *text, size_t at)
{
    return at == 0 || text->data[at - 1] == '\n';
}

static bool ends_line(const struct buf *text, size_t at)
{
    return at == text->len || text->data[at] == '\n';
}

static bool in_code(const struct buf *text, size_t at)
{
    static const char fence[] = "```";
    bool inside = false;
    const char *s = text->data, *end = s + at;
    while ((s = memmem(s, (size_t)(end - s), fence, strlen(fence))) != NULL) {
        inside ^= starts_line(text, (size_t)(s - text->data));
        s += strlen(fence);
    }
    return inside;
}

/* The reasoning ended at `end`, though nothing said that it had begun. */
static void drop_reasoning(struct delta *d, size_t end)
{
    thought_add(&d->thought, d->text.data, end - strlen(THINK_CLOSE));
    while (end < d->text.len && is_blank(d->text.data[end]))
        end++;
    buf_drop(&d->text, end);
    d->stripped = true;
    d->lead = d->text.len ? LEAD_BODY : LEAD_HEAD;
    d->matched = 0;
    d->anew |= d->shown > 0;
    d->shown = 0;
}

/* Some servers put <think> into the prompt, so that only </think> is seen in the
 * answer. Taken for one: the first that has a line for itself, outside of code. */
static void find_unopened(struct delta *d, bool at_end)
{
    const char *tag;
    if (d->stripped || d->text.len == 0)
        return;
    while ((tag = memmem(d->text.data + d->scanned, d->text.len - d->scanned, THINK_CLOSE, strlen(THINK_CLOSE)))) {
        size_t at = (size_t)(tag - d->text.data), end = at + strlen(THINK_CLOSE);
        if (end == d->text.len && !at_end) {
            d->scanned = at;
            return;
        }
        if (starts_line(&d->text, at) && ends_line(&d->text, end) && !in_code(&d->text, at)) {
            drop_reasoning(d, end);
            return;
        }
        d->scanned = end;
    }
    size_t tail = strlen(THINK_CLOSE) - 1;
    if (d->text.len > d->scanned + tail)
        d->scanned = d->text.len - tail;
}

static uint64_t hash(uint64_t h, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * HASH_PRIME;
    return h;
}

static void add_text(struct delta *d, const char *s, size_t len)
{
    d->seen_hash = hash(d->seen_hash, s, len);
    d->seen_bytes += len;
    while (len > 0) {
        size_t n = len;
        if (d->lead == LEAD_HEAD)
            n = lead_head(d, s, len);
        else if (d->lead == LEAD_THINK)
            n = lead_think(d, s, len);
        else
            append(d, s, len);
        s += n;
        len -= n;
    }
    find_unopened(d, false);
}

static void forget_text(struct delta *d)
{
    buf_reset(&d->text);
    d->anew |= d->shown > 0;
    d->shown = d->scanned = d->seen_bytes = d->matched = 0;
    d->seen_hash = HASH_START;
    d->pending = 0;
    d->lead = LEAD_HEAD;
    d->stripped = false;
}

/* s is all of the text so far, not only what is new. */
static void take_text(struct delta *d, const char *s, size_t len)
{
    if (len < d->seen_bytes || hash(HASH_START, s, d->seen_bytes) != d->seen_hash)
        forget_text(d);
    add_text(d, s + d->seen_bytes, len - d->seen_bytes);
}

const char *delta_show(struct delta *d, size_t *len_r, bool *anew_r)
{
    size_t from = d->shown;
    *anew_r = d->anew;
    *len_r = 0;
    d->anew = false;
    if (d->lead != LEAD_BODY)
        return "";
    *len_r = d->text.len - from;
    d->shown = d->text.len;
    return buf_str(&d->text) + from;
}

/* --- tool calls --- */

static bool is_object_text(const char *s, size_t len)
{
    cJSON *tree = json_parse(s, len);
    bool is = cJSON_IsObject(tree);
    cJSON_Delete(tree);
    return is;
}

static const char *filled(const cJSON *obj, const char *key)
{
    const char *s = json_str(obj, key);
    return s && *s ? s : NULL;
}

static struct tool_call *call_new(struct delta *d, int64_t index)
{
    if (d->n_calls == DELTA_TOOL_CALLS_MAX)
        return NULL;
    if (!d->calls)
        d->calls = mem_array(DELTA_TOOL_CALLS_MAX, sizeof *d->calls);
    struct tool_call *c = &d->calls[d->n_calls++];
    *c = (struct tool_call){.index = index};
    buf_init(&c->arguments, DELTA_ARGUMENTS_BYTES_MAX);
    return c;
}

static struct tool_call *call_by_id(struct delta *d, const char *id)
{
    for (size_t i = d->n_calls; i-- > 0;)
        if (d->calls[i].id && strcmp(d->calls[i].id, id) == 0)
            return &d->calls[i];
    return NULL;
}

static struct tool_call *call_by_index(struct delta *d, int64_t index)
{
    for (size_t i = d->n_calls; i-- > 0;)
        if (d->calls[i].index == index)
            return &d->calls[i];
    return NULL;
}

/* True if the fragment under c's index is the beginning of another call: some
 * servers give every call the index 0. */
static bool is_another(const struct tool_call *c, const char *id, const char *name, const char *arguments)
{
    if (id)
        return c->id && strcmp(c->id, id) != 0;
    return name && c->name && arguments && *arguments && strcmp(arguments, buf_str(&c->arguments)) != 0 &&
           is_object_text(buf_str(&c->arguments), c->arguments.len);
}

/* The call to which a fragment belongs; section 5.3. NULL: there are too many. */
static struct tool_call *call_of(struct delta *d, const cJSON *fragment, const char *arguments)
{
    const char *id = filled(fragment, "id"), *name = filled(json_get(fragment, "function"), "name");
    int64_t index = json_int(fragment, "index", -1);
    struct tool_call *c = id ? call_by_id(d, id) : NULL;
    if (c)
        return c;
    if (index >= 0) {
        c = call_by_index(d, index);
        return c && !is_another(c, id, name, arguments) ? c : call_new(d, index);
    }
    if (id || name || d->n_calls == 0)
        return call_new(d, -1);
    return &d->calls[d->n_calls - 1];
}

static void add_arguments(struct delta *d, struct tool_call *c, const char *s, bool with_id)
{
    size_t len = strlen(s);
    if (len == 0)
        return;
    bool repeated = !with_id && c->arguments.len == len && memcmp(c->arguments.data, s, len) == 0;
    if (repeated && is_object_text(s, len))
        return;
    d->arguments_bytes += len;
    if (d->arguments_bytes > DELTA_ARGUMENTS_BYTES_MAX || json_join(&c->arguments, &c->pending, s, len) != ERR_OK)
        c->over = true;
}

static bool is_known_member(const char *key)
{
    return !key || !strcmp(key, "index") || !strcmp(key, "id") || !strcmp(key, "type") || !strcmp(key, "function");
}

static void keep_extra(struct delta *d, struct tool_call *c, const cJSON *member)
{
    char *text = cJSON_PrintUnformatted(member);
    size_t bytes = text ? strlen(text) + strlen(member->string) : DELTA_EXTRA_BYTES_MAX;
    cJSON_free(text);
    d->extra_bytes += bytes;
    if (d->extra_bytes > DELTA_EXTRA_BYTES_MAX)
        return;
    if (!c->extra)
        c->extra = cJSON_CreateObject();
    cJSON_DeleteItemFromObjectCaseSensitive(c->extra, member->string);
    cJSON_AddItemToObject(c->extra, member->string, cJSON_Duplicate(member, true));
}

static void merge_call(struct delta *d, const cJSON *fragment)
{
    const cJSON *function = json_get(fragment, "function"), *arguments = json_get(function, "arguments"), *member;
    char *printed = cJSON_IsObject(arguments) ? cJSON_PrintUnformatted(arguments) : NULL;
    const char *text = printed ? printed : cJSON_GetStringValue(arguments);
    const char *id = filled(fragment, "id"), *name = filled(function, "name");
    struct tool_call *c = call_of(d, fragment, text);
    if (c) {
        if (!c->id)
            c->id = mem_dup(id);
        if (!c->name)
            c->name = mem_dup(name);
        add_arguments(d, c, text ? text : "", id != NULL);
        cJSON_ArrayForEach(member, fragment)
            if (!is_known_member(member->string))
                keep_extra(d, c, member);
    }
    cJSON_free(printed);
}

/* The legacy form: one call, which has neither id nor index. */
static void merge_function_call(struct delta *d, const cJSON *function)
{
    struct tool_call *c = d->n_calls ? &d->calls[d->n_calls - 1] : call_new(d, -1);
    const char *arguments = json_str(function, "arguments");
    if (!c->name)
        c->name = mem_dup(filled(function, "name"));
    add_arguments(d, c, arguments ? arguments : "", false);
}

static bool call_usable(struct tool_call *c)
{
    if (!c->arguments.failed && all_blank(buf_str(&c->arguments), c->arguments.len)) {
        buf_reset(&c->arguments);
        buf_adds(&c->arguments, "{}");
    }
    return c->name && !c->over && is_object_text(buf_str(&c->arguments), c->arguments.len);
}

/* What was cut in the middle cannot be run. */
static void keep_usable_calls(struct delta *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->n_calls; i++) {
        struct tool_call *c = &d->calls[i];
        json_join(&c->arguments, &c->pending, "", 0);
        if (call_usable(c))
            d->calls[kept++] = *c;
        else
            call_fini(c);
    }
    d->n_calls = kept;
}

static void name_calls(struct delta *d)
{
    for (size_t i = 0; i < d->n_calls; i++) {
        if (d->calls[i].id)
            continue;
        struct buf id;
        buf_init(&id, 32);
        buf_addf(&id, "call_%zu", i);
        d->calls[i].id = buf_take(&id);
    }
}

/* --- messages, choices, chunks --- */

static bool is_shown_part(const cJSON *part)
{
    const char *type = json_str(part, "type");
    return !type || strcmp(type, "text") == 0 || strcmp(type, "output_text") == 0;
}

/* content may be a string or a list of parts. */
static void flatten(struct buf *out, const cJSON *content)
{
    const cJSON *part;
    if (cJSON_IsString(content))
        buf_adds(out, content->valuestring);
    if (!cJSON_IsArray(content))
        return;
    cJSON_ArrayForEach(part, content) {
        const char *text = is_shown_part(part) ? json_str(part, "text") : json_str(part, "refusal");
        buf_adds(out, text ? text : "");
    }
}

/* message: a delta, or with whole a message that holds everything so far. */
static void merge_message(struct delta *d, const cJSON *message, bool whole)
{
    const cJSON *calls = json_get(message, "tool_calls"), *legacy = json_get(message, "function_call"), *call;
    const cJSON *content = json_get(message, "content"), *refusal = json_get(message, "refusal");
    thought_take(&d->thought, message, whole);
    buf_reset(&d->flat);
    flatten(&d->flat, content);
    size_t len = d->flat.len;
    flatten(&d->flat, refusal);
    d->refused |= d->flat.len > len;
    if (!whole)
        add_text(d, buf_str(&d->flat), d->flat.len);
    else if (content || refusal)
        take_text(d, buf_str(&d->flat), d->flat.len);
    if (whole && (calls || legacy))
        drop_calls(d);
    if (cJSON_IsArray(calls)) {
        cJSON_ArrayForEach(call, calls) {
            merge_call(d, call);
        }
    } else if (cJSON_IsObject(legacy)) {
        merge_function_call(d, legacy);
    }
}

static const struct {
    const char *name;
    enum finish_reason finish;
} finishes[] = {
    {"length", FINISH_LENGTH},
    {"max_tokens", FINISH_LENGTH},
    {"model_length", FINISH_LENGTH},
    {"tool_calls", FINISH_TOOL_CALLS},
    {"function_call", FINISH_TOOL_CALLS},
    {"content_filter", FINISH_CONTENT_FILTER},
    {"sensitive", FINISH_CONTENT_FILTER},
    {"SAFETY", FINISH_CONTENT_FILTER},
    {"PROHIBITED_CONTENT", FINISH_CONTENT_FILTER},
    {"error", FINISH_ERROR},
    {"network_error", FINISH_ERROR},
    {"insufficient_system_resource", FINISH_ERROR},
    {"abort", FINISH_ERROR},
    {"repetition", FINISH_ERROR},
};

const char *finish_name(enum finish_reason f)
{
    static const char *const names[] = {
        [FINISH_STOP] = "stop",
        [FINISH_LENGTH] = "length",
        [FINISH_CONTENT_FILTER] = "content_filter",
        [FINISH_TOOL_CALLS] = "tool_calls",
        [FINISH_CANCELLED] = "cancelled",
        [FINISH_ERROR] = "error",
    };
    return names[f];
}

/* The first reason counts: some servers repeat it. Unknown ones are a stop. */
static void take_finish(struct delta *d, const char *name)
{
    if (d->finished || !name || !*name)
        return;
    d->finished = true;
    d->finish = FINISH_STOP;
    for (size_t i = 0; i < sizeof finishes / sizeof finishes[0]; i++)
        if (strcasecmp(name, finishes[i].name) == 0)
            d->finish = finishes[i].finish;
    if (d->finish == FINISH_ERROR)
        snprintf(d->fault, sizeof d->fault, "%s", name);
}

/* The older interface: bare text, whose first blank only parts it from the prompt. */
static void merge_completion(struct delta *d, const char *text)
{
    d->completing = true;
    add_text(d, text, strlen(text));
}

static void merge_choice(struct delta *d, const cJSON *choice)
{
    const cJSON *delta = json_get(choice, "delta"), *message = json_get(choice, "message");
    if (json_int(choice, "index", 0) != 0)
        return;
    if (cJSON_IsObject(delta))
        merge_message(d, delta, false);
    else if (cJSON_IsObject(message))
        merge_message(d, message, true);
    else if (json_str(choice, "text"))
        merge_completion(d, json_str(choice, "text"));
    take_finish(d, json_str(choice, "finish_reason"));
}

/* Servers repeat and enlarge the usage; the last one stands. text: of the
 * object whose member it is. */
static void take_usage(struct delta *d, const cJSON *owner, const char *text, size_t len)
{
    const cJSON *usage = json_get(owner, "usage");
    const char *at;
    size_t n;
    if (!usage || !json_member(text, len, "usage", &at, &n) || !usage_read(&d->usage, usage, at, n))
        return;
    buf_reset(&d->usage_json);
    if (n <= DELTA_USAGE_BYTES_MAX && utf8_valid(at, n))
        buf_add(&d->usage_json, at, n);
}

static void take_word(char *out, size_t cap, const char *word)
{
    if (word)
        snprintf(out, cap, "%s", word);
}

static void merge_root(struct delta *d, const cJSON *root, const char *text, size_t len)
{
    const cJSON *choice, *choices = json_get(root, "choices");
    const char *groq;
    size_t n;
    if (!d->id[0])
        take_word(d->id, sizeof d->id, json_str(root, "id"));
    take_word(d->service_tier, sizeof d->service_tier, json_str(root, "service_tier"));
    if (cJSON_IsArray(choices)) {
        cJSON_ArrayForEach(choice, choices) {
            merge_choice(d, choice);
        }
    }
    if (json_get(root, "x_groq") && json_member(text, len, "x_groq", &groq, &n))
        take_usage(d, json_get(root, "x_groq"), groq, n);
    take_usage(d, root, text, len);
}

static enum err_code fail(struct failure *f, enum err_code code, const char *text)
{
    f->retry_after_ms = -1;
    return err_set(&f->err, code, "%s", text);
}

static enum err_code failed_event(const cJSON *root, const char *data, size_t len, struct failure *f)
{
    if (!failure_find(f, root))
        failure_plain(f, data, len);
    return f->err.code;
}

static void take_string(char *out, size_t cap, struct chunk_string s)
{
    if (s.len > 0)
        snprintf(out, cap, "%.*s", (int)s.len, s.s);
}

/* What merge_root() makes of such a chunk. */
static void merge_chunk(struct delta *d, const struct chunk *c)
{
    char finish[64] = "";
    if (!d->id[0])
        take_string(d->id, sizeof d->id, c->id);
    take_string(d->service_tier, sizeof d->service_tier, c->service_tier);
    buf_reset(&d->flat);
    chunk_content(c, &d->flat);
    add_text(d, buf_str(&d->flat), d->flat.len);
    take_string(finish, sizeof finish, c->finish);
    take_finish(d, finish);
}

/* False: it is another kind of event. */
static bool take_chunk(struct delta *d, const char *data, size_t len)
{
    struct chunk chunk;
    if (!chunk_fits(&d->mold, data, len, &chunk)) {
        if (!chunk_read(&chunk, data, len))
            return false;
        chunk_cast(&d->mold, &chunk, data, len);
    }
    merge_chunk(d, &chunk);
    return true;
}

enum err_code delta_event(struct delta *d, const char *type, const char *data, size_t len, struct failure *f)
{
    bool error = strcmp(type, "error") == 0;
    for (; len > 0 && is_blank(*data); len--)
        data++;
    if (len >= strlen("[DONE]") && strncmp(data, "[DONE]", strlen("[DONE]")) == 0)
        d->done = true;
    bool json = len > 0 && (*data == '{' || *data == '[');
    if (d->done || d->full || (!json && !error))
        return ERR_OK;
    if (!error && take_chunk(d, data, len))
        return ERR_OK;
    cJSON *root = json_parse(data, len);
    enum err_code code = ERR_OK;
    if (error || (root && failure_find(f, root)))
        code = failed_event(root, data, len, f);
    else if (!root)
        code = fail(f, ERR_PROTO, "malformed JSON");
    else
        merge_root(d, root, data, len);
    cJSON_Delete(root);
    bool over = d->finished && d->finish != FINISH_ERROR;
    return over ? ERR_OK : code; /* what comes behind the end cannot spoil the answer */
}

enum err_code delta_whole(struct delta *d, const char *body, size_t len, struct failure *f)
{
    cJSON *root = json_parse(body, len);
    enum err_code code = ERR_OK;
    if (!root)
        return fail(f, ERR_PROTO, "malformed JSON");
    if (failure_find(f, root)) {
        code = f->err.code;
    } else if (!cJSON_HasObjectItem(root, "choices")) {
        code = fail(f, ERR_PROTO, "an answer without choices");
    } else {
        merge_root(d, root, body, len);
        d->done = true;
    }
    cJSON_Delete(root);
    return code;
}

/* --- the end --- */

static void release_text(struct delta *d)
{
    if (d->lead == LEAD_HEAD) {
        d->lead = LEAD_BODY;
        append(d, THINK_OPEN, d->matched);
    }
    if (d->pending && !d->full)
        json_join(&d->text, &d->pending, "", 0);
    cut_when_full(d);
    find_unopened(d, true);
}

enum err_code delta_end(struct delta *d, struct failure *f)
{
    release_text(d);
    keep_usable_calls(d);
    name_calls(d);
    if (d->finished && d->finish == FINISH_ERROR) {
        fail(f, ERR_SERVER, d->fault);
        return err_prefix(&f->err, "finish_reason");
    }
    if (!d->finished && !d->done)
        return fail(f, ERR_NET, "the answer broke off");
    if (all_blank(buf_str(&d->text), d->text.len) && d->n_calls == 0) {
        if (d->finish == FINISH_CONTENT_FILTER)
            return fail(f, ERR_CONTENT, "finish_reason: content_filter");
        return fail(f, ERR_EMPTY, d->finish == FINISH_LENGTH ? "no answer before the length limit" : "no answer");
    }
    if (d->n_calls > 0 && d->finish == FINISH_STOP)
        d->finish = FINISH_TOOL_CALLS;
    return ERR_OK;
}
