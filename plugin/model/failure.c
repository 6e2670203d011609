#include "plugin/model/failure.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/secret.h"
#include "plugin/base/utf8.h"
#include "plugin/model/overflow.h"
#include "plugin/net/ratelimit.h"

#define PLAIN_BYTES_MAX 200U   /* shown of a body of unknown shape */
#define LINE_BYTES_MAX 2048U   /* of a message that is looked through for keys; more does not fit struct err */
#define KEY_RUN_MIN 24         /* letters and digits in one run that no word or model name has */
#define HIDE_MIN 4

/* What was found in a body. Borrowed from it. */
struct facts {
    const char *message, *type, *code;
    const char *param;
    char number[24]; /* what a numeric code points to */
    char path[FAILURE_PARAM_BYTES]; /* what a param in pieces points to */
    cJSON *raw;      /* what an error inside the error points to */
    long status;     /* HTTP's, or the one that an error inside a good answer claims */
    bool flagged;    /* by a moderation */
    const char *delay; /* as a duration */
    int64_t context_max, context_used;
};

/* --- classes --- */

static bool has(const char *text, const char *part)
{
    return text && strcasestr(text, part);
}

static bool has_any(const char *text, const char *const *parts)
{
    for (; *parts; parts++)
        if (has(text, *parts))
            return true;
    return false;
}

static bool is_any(const char *text, const char *const *names)
{
    for (; text && *names; names++)
        if (strcasecmp(text, *names) == 0)
            return true;
    return false;
}

/* Names that servers put into `code`, `type` or `status`, whatever the HTTP
 * status. The numbers are Zhipu's. */
static const char *const quota_names[] = {
    "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded", "organization_usage_limit_exceeded", "billing_hard_limit_reached",
    "exceeded_current_quota_error", "billing_not_active", "Arrearage", "AccountOverdueError", "QuotaExceeded", "1113",
    "1304", "1308", "1309", NULL,
};
static const char *const context_names[] = {
    "context_length_exceeded", "exceed_context_size_error", "1261", NULL,
};
static const char *const content_names[] = {
    "content_filter", "content_policy_violation", "sensitive", "DataInspectionFailed", "data_inspection_failed",
    "ResponsibleAIPolicyViolation", "moderation_blocked", "SensitiveContentDetected", "1301", NULL,
};
static const char *const model_names[] = {
    "model_not_found", "model_not_exist", "ModelNotFound", "ModelNotOpen", "not_found_error",
    "resource_not_found_error", "DeploymentNotFound", "1211", NULL,
};
static const char *const overload_names[] = {
    "engine_overloaded_error", "overloaded_error", "unavailable_error", "server_overloaded", "ServerOverloaded",
    "ModelNotReadyException", "1305", NULL,
};
static const char *const rate_names[] = {
    "rate_limit_exceeded", "rate_limit_error", "rate_limit_reached_error", "RESOURCE_EXHAUSTED", "limit_requests",
    "too_many_requests", "1302", "1303", NULL,
};
static const char *const auth_names[] = {
    "invalid_api_key", "InvalidApiKey", "authentication_error", "invalid_authentication_error", "UNAUTHENTICATED", NULL,
};

/* Words in messages, for servers that give no better sign. */
static const char *const context_words[] = {
    "context length", "context size", "context window", "maximum context", "too many tokens", "token limit",
    "tokens limit", "token length", "tokens length", "input length", "exceeded model token limit",
    "prompt is too long", "input is too long", "maximum model length", "context limit", "exceed_context_size", NULL,
};
/* A rate limit that one request alone is over: no wait helps, only less text. */
static const char too_large_words[] = "request too large";
static const char *const quota_words[] = {
    "credit balance is too low", "insufficient balance", "insufficient credits", "exceeded your current quota", NULL,
};
static const char *const content_words[] = {
    "content management policy", "Content Exists Risk", "flagged by moderation", "requires moderation", NULL,
};
static const char *const auth_words[] = {
    "incorrect api key", "invalid api key", "api key not valid", NULL,
};
static const char *const absence_words[] = {
    "does not exist", "not exist", "not found", "no such", "unknown model", NULL,
};

static bool named(const struct facts *f, const char *const *names)
{
    return is_any(f->code, names) || is_any(f->type, names);
}

static bool is_throttling(const struct facts *f)
{
    static const char name[] = "Throttling";
    return (f->code && strncasecmp(f->code, name, strlen(name)) == 0) ||
           (f->type && strncasecmp(f->type, name, strlen(name)) == 0);
}

static enum err_code class_of_names(const struct facts *f)
{
    if (named(f, quota_names))
        return ERR_QUOTA;
    if (named(f, context_names))
        return ERR_CONTEXT;
    if (named(f, content_names) || f->flagged)
        return ERR_CONTENT;
    if (named(f, overload_names))
        return ERR_OVERLOAD;
    if (named(f, rate_names) || is_throttling(f))
        return f->status == 413 || has(f->message, too_large_words) ? ERR_CONTEXT : ERR_RATE;
    if (named(f, auth_names))
        return ERR_AUTH;
    if (named(f, model_names))
        return ERR_MODEL;
    return ERR_OK;
}

/* For the statuses that only say "your request is wrong". */
static enum err_code class_of_words(const char *message)
{
    if (has_any(message, context_words))
        return ERR_CONTEXT;
    if (has_any(message, quota_words))
        return ERR_QUOTA;
    if (has_any(message, content_words))
        return ERR_CONTENT;
    if (has_any(message, auth_words))
        return ERR_AUTH;
    if (has(message, "model") && has_any(message, absence_words))
        return ERR_MODEL;
    return ERR_PARAM;
}

static enum err_code class_of_403(const char *message)
{
    if (has(message, "balance") || has_any(message, quota_words))
        return ERR_QUOTA;
    return has(message, "moderation") || has(message, "flagged") ? ERR_CONTENT : ERR_AUTH;
}

static enum err_code class_of_status(const struct facts *f)
{
    switch (f->status) {
    case 401:
        return ERR_AUTH;
    case 402:
        return ERR_QUOTA;
    case 403:
        return class_of_403(f->message);
    case 404:
        return ERR_MODEL;
    case 408:
    case 504:
        return ERR_TIMEOUT;
    case 409: /* something else holds a lock: later is fine */
    case 503:
    case 529:
        return ERR_OVERLOAD;
    case 413:
        return ERR_CONTEXT;
    case 429:
        return ERR_RATE;
    case 501: /* not supported now, and not supported on the next try */
        return ERR_PARAM;
    default:
        break;
    }
    if (f->status >= 500)
        return ERR_SERVER;
    return f->status >= 300 ? class_of_words(f->message) : ERR_OK;
}

/* An error inside a good answer that gives neither a known name nor a number:
 * taken for a fault of the server unless it blames the request. */
static enum err_code class_of_message(const struct facts *f)
{
    if (has(f->message, "rate limit") || has(f->message, "too many requests"))
        return ERR_RATE;
    if (has(f->message, "overloaded"))
        return ERR_OVERLOAD;
    enum err_code code = class_of_words(f->message);
    bool blamed = f->type && strcmp(f->type, "invalid_request_error") == 0;
    return code == ERR_PARAM && !blamed ? ERR_SERVER : code;
}

static enum err_code class_of(const struct facts *f)
{
    enum err_code code = class_of_names(f);
    if (code == ERR_OK)
        code = class_of_status(f);
    return code == ERR_OK ? class_of_message(f) : code;
}

/* --- shapes --- */

/* The member as text, also if it is a number: code may be either. */
static const char *text_or_number(struct facts *f, const cJSON *obj, const char *key)
{
    const char *text = json_str(obj, key);
    if (text)
        return *text ? text : NULL;
    int64_t n = json_int(obj, key, -1);
    if (n < 0)
        return NULL;
    struct buf b;
    buf_init(&b, sizeof f->number - 1);
    buf_addi(&b, n);
    memcpy(f->number, buf_str(&b), b.len + 1);
    buf_free(&b);
    return f->number;
}

static bool is_error_status(int64_t n)
{
    return n >= 400 && n < 600;
}

/* Where the message is: under one of several names, as text, or in an object or
 * a list below (FastAPI's 422: [{loc, msg, type}]; Mistral wraps that again). */
static const cJSON *message_holder(const cJSON *obj, const char **text_r)
{
    static const char *const keys[] = {"message", "msg", "errorMsg", "html-message", "detail", NULL};
    for (const char *const *key = keys; *key; key++) {
        const cJSON *item = json_get(obj, *key);
        *text_r = cJSON_GetStringValue(item);
        if (*text_r)
            return obj;
        item = cJSON_IsArray(item) ? item->child : item;
        const cJSON *holder = cJSON_IsObject(item) ? message_holder(item, text_r) : NULL;
        if (holder)
            return holder;
    }
    *text_r = NULL;
    return NULL;
}

static const char *message_of(const cJSON *obj)
{
    const char *text;
    message_holder(obj, &text);
    return text;
}

/* FastAPI's loc: ["body", "messages", 0, "name"]. */
static void read_loc(struct facts *f, const cJSON *loc)
{
    struct buf path;
    const cJSON *part;
    buf_init(&path, sizeof f->path - 1);
    cJSON_ArrayForEach(part, loc) {
        const char *name = cJSON_GetStringValue(part);
        if (part == loc->child && name && strcmp(name, "body") == 0)
            continue;
        buf_adds(&path, path.len ? "." : "");
        if (name)
            buf_adds(&path, name);
        else if (cJSON_IsNumber(part))
            buf_addi(&path, part->valueint);
    }
    if (path.len > 0) {
        memcpy(f->path, path.data, path.len + 1);
        f->param = f->path;
    }
    buf_free(&path);
}

static void read_param(struct facts *f, const cJSON *obj)
{
    const char *text, *param = json_str(obj, "param");
    const cJSON *holder = message_holder(obj, &text);
    if (param && *param)
        f->param = param;
    else if (cJSON_IsArray(json_get(holder, "loc")))
        read_loc(f, json_get(holder, "loc"));
}

static bool read_json(struct facts *f, const cJSON *root);

/* OpenRouter's metadata.raw: what its provider said, as text, as JSON in a text, or as JSON. */
static void read_raw(struct facts *f, const cJSON *raw)
{
    const char *text = cJSON_GetStringValue(raw);
    if (f->raw)
        return; /* one level is real, more are a joke */
    f->raw = text ? json_parse(text, strlen(text)) : cJSON_Duplicate(raw, true);
    if (cJSON_IsObject(f->raw) && read_json(f, f->raw))
        return;
    f->message = text && *text ? text : f->message;
}

static void read_metadata(struct facts *f, const cJSON *error)
{
    const cJSON *meta = json_get(error, "metadata");
    if (json_get(meta, "flagged_input") || cJSON_GetArraySize(json_get(meta, "reasons")) > 0)
        f->flagged = true;
    if (json_get(meta, "raw") && (!f->message || strcmp(f->message, "Provider returned error") == 0))
        read_raw(f, json_get(meta, "raw"));
}

/* Gemini: details[].retryDelay. */
static void read_details(struct facts *f, const cJSON *error)
{
    const cJSON *d;
    cJSON_ArrayForEach(d, json_get(error, "details"))
        if (json_str(d, "retryDelay"))
            f->delay = json_str(d, "retryDelay");
}

static void read_members(struct facts *f, const cJSON *obj)
{
    f->message = message_of(obj);
    f->code = text_or_number(f, obj, "code");
    f->type = json_str(obj, "type");
    if (!f->type)
        f->type = json_str(obj, "status");
    int64_t claimed = json_int(obj, "code", json_int(obj, "status", 0));
    if (f->status < 300 && is_error_status(claimed))
        f->status = (long)claimed;
    f->context_max = json_int(obj, "n_ctx", -1);
    f->context_used = json_int(obj, "n_prompt_tokens", -1);
    read_param(f, obj);
    read_details(f, obj);
    const char *inner = json_str(json_get(obj, "innererror"), "code");
    if (is_any(inner, content_names))
        f->code = inner;
    read_metadata(f, obj);
}

/* True if root says that something went wrong. */
static bool read_json(struct facts *f, const cJSON *root)
{
    if (cJSON_IsArray(root))
        root = root->child;
    const cJSON *error = json_get(root, "error");
    if (cJSON_IsObject(error)) {
        read_members(f, error);
        return true;
    }
    const char *text = cJSON_GetStringValue(error);
    bool failed = text && *text;
    if (!failed && (json_get(root, "choices") || !message_of(root)))
        return false;
    read_members(f, root);
    if (failed)
        f->message = text;
    return true;
}

/* --- the line for the log --- */

static bool key_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("_-.*+/~", c));
}

static bool key_prefix(const char *word, size_t len)
{
    static const char *const prefixes[] = {"sk-",  "pk-",  "rk-",  "sk_",    "gsk_", "AIza", "xai-", "hf_",
                                           "ghp_", "key-", "nvapi-", "eyJ", "pplx-", "r8_", NULL};
    for (const char *const *p = prefixes; *p; p++)
        if (len > strlen(*p) + 4 && strncmp(word, *p, strlen(*p)) == 0)
            return true;
    return false;
}

/* A long run of letters mixed with digits is random enough to be a key. Words
 * and names of models are broken by dashes or have no digits. */
static bool key_run(const char *word, size_t len)
{
    size_t run = 0;
    bool digit = false, letter = false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)word[i])) {
            run = 0;
            digit = letter = false;
            continue;
        }
        run++;
        *(isdigit((unsigned char)word[i]) ? &digit : &letter) = true;
        if (run >= KEY_RUN_MIN && digit && letter)
            return true;
    }
    return false;
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && strncasecmp(text + len - n, end, n) == 0;
}

/* Whether what stands before a word announces a secret. */
static bool announced(const char *text, size_t len)
{
    static const char *const words[] = {"key", "token", "secret", "password", "bearer", "provided", NULL};
    size_t end = len;
    while (end > 0 && text[end - 1] && strchr(" :=\"'", text[end - 1]))
        end--;
    if (end == len)
        return false;
    bool assigned = memchr(text + end, ':', len - end) || memchr(text + end, '=', len - end);
    for (const char *const *w = words; *w; w++)
        if (ends_with(text, end, *w) && (assigned || strcmp(*w, "bearer") == 0))
            return true;
    return false;
}

/* user:password@ of a URL, whose "//" stands right before s. */
static size_t userinfo(const char *s, size_t len)
{
    for (size_t i = 0; i < len && !strchr(" /\"'<>\n", s[i]); i++)
        if (s[i] == '@')
            return i;
    return 0;
}

static void add_printable(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t cp = utf8_next(s, len, &i);
        utf8_put(out, cp < ' ' || (cp >= 0x7F && cp < 0xA0) ? ' ' : cp);
    }
}

/* Bytes of the word at s: as far as characters of keys go, but not into the
 * part of a URL that userinfo() looks at. */
static size_t word(const char *s, size_t len)
{
    size_t n = 0;
    while (n < len && key_char(s[n]) && !(n >= 2 && s[n - 1] == '/' && s[n - 2] == '/'))
        n++;
    return n;
}

static bool secret_word(const char *text, size_t at, size_t n)
{
    return key_prefix(text + at, n) || key_run(text + at, n) || announced(text, at);
}

void failure_mask(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0, n; i < len; i += n) {
        bool after_slashes = i >= 2 && text[i - 1] == '/' && text[i - 2] == '/';
        if (after_slashes && (n = userinfo(text + i, len - i)) > 0) {
            buf_adds(out, SECRET_PRINTED);
        } else if ((n = word(text + i, len - i)) > 0) {
            if (secret_word(text, i, n))
                buf_adds(out, SECRET_PRINTED);
            else
                buf_add(out, text + i, n);
        } else {
            size_t end = i;
            utf8_next(text, len, &end);
            n = end - i;
            add_printable(out, text + i, n);
        }
    }
}

static char *find_secret(char *text, const char *secret)
{
    char *at = strstr(text, secret);
    if (at)
        return at;
    size_t len = strlen(text);
    for (size_t n = strlen(secret); n >= HIDE_MIN; n--)
        if (n <= len && strncmp(text + len - n, secret, n) == 0)
            return text + len - n;
    return NULL;
}

void failure_hide(struct err *e, const char *secret)
{
    size_t len = secret ? strlen(secret) : 0;
    if (len < HIDE_MIN)
        return;
    for (char *at; (at = find_secret(e->text, secret)) != NULL;) {
        size_t rest = strlen(at);
        size_t n = rest < len ? rest : len;
        memcpy(at, SECRET_PRINTED, strlen(SECRET_PRINTED));
        memmove(at + strlen(SECRET_PRINTED), at + n, rest - n + 1);
    }
}

static void add_masked(struct buf *line, const char *before, const char *text)
{
    buf_adds(line, line->len ? before : "");
    failure_mask(line, text, strnlen(text, LINE_BYTES_MAX));
}

/* "HTTP 429 rate_limit_exceeded: Too many requests". */
static void describe(struct err *e, const struct facts *facts, long status)
{
    struct buf line;
    buf_init(&line, LINE_BYTES_MAX * 8);
    if (status)
        buf_addf(&line, "HTTP %ld", status);
    const char *name = facts->code ? facts->code : facts->type;
    if (name && (!status || strtol(name, NULL, 10) != status))
        add_masked(&line, " ", name);
    if (facts->message)
        add_masked(&line, ": ", facts->message);
    err_set(e, e->code, "%s", line.len ? buf_str(&line) : "error without a reason");
    buf_free(&line);
}

/* "Please try again in 20s". */
static int64_t delay_of(const struct facts *facts)
{
    static const char *const hints[] = {"try again in ", "retry in ", "retry after ", NULL};
    if (facts->delay)
        return ratelimit_duration_ms(facts->delay);
    for (const char *const *hint = hints; facts->message && *hint; hint++) {
        const char *said = strcasestr(facts->message, *hint);
        if (said)
            return ratelimit_duration_ms(said + strlen(*hint));
    }
    return -1;
}

static void read_context(struct failure *f, const struct facts *facts)
{
    int64_t max, used;
    overflow_read(facts->message ? facts->message : "", &max, &used);
    f->context_max = facts->context_max > 0 ? facts->context_max : max;
    f->context_used = facts->context_used > 0 ? facts->context_used : used;
}

static void keep(char *to, size_t size, const char *text)
{
    struct buf clean;
    buf_init(&clean, 3 * size); /* each byte may become a U+FFFD */
    utf8_clean(&clean, text, strnlen(text, size));
    size_t len = utf8_cut(buf_str(&clean), clean.len, size - 1);
    memcpy(to, buf_str(&clean), len);
    to[len] = '\0';
    buf_free(&clean);
}

static void conclude(struct failure *f, const struct facts *facts, long status)
{
    *f = (struct failure)FAILURE_INIT;
    f->err.code = class_of(facts);
    f->status = facts->status;
    f->retry_after_ms = delay_of(facts);
    if (f->err.code == ERR_CONTEXT)
        read_context(f, facts);
    if (facts->param && strlen(facts->param) < sizeof f->param)
        keep(f->param, sizeof f->param, facts->param);
    if (facts->message)
        keep(f->message, sizeof f->message, facts->message);
    describe(&f->err, facts, status);
}

/* The title of an HTML page, else the beginning of the text. */
static void plain_message(struct facts *facts, struct buf *text, const char *body, size_t len)
{
    if (len > FAILURE_BODY_BYTES_MAX)
        len = FAILURE_BODY_BYTES_MAX;
    buf_init(text, FAILURE_BODY_BYTES_MAX * 3); /* each byte may become a U+FFFD */
    utf8_clean(text, body, len);
    const char *title = strcasestr(buf_str(text), "<title>");
    const char *end = title ? strcasestr(title, "</title>") : NULL;
    if (end) {
        buf_cut(text, (size_t)(end - text->data));
        buf_drop(text, (size_t)(title - text->data) + strlen("<title>"));
    }
    buf_cut(text, utf8_cut(buf_str(text), text->len, PLAIN_BYTES_MAX));
    facts->message = text->len ? text->data : NULL;
}

void failure_read(struct failure *f, long status, const char *body, size_t len)
{
    struct facts facts = {.status = status};
    struct buf plain = {.max = 0};
    cJSON *root = len <= FAILURE_BODY_BYTES_MAX ? json_parse(body, len) : NULL;
    if (!root || !read_json(&facts, root))
        plain_message(&facts, &plain, body, len);
    conclude(f, &facts, status);
    cJSON_Delete(facts.raw);
    cJSON_Delete(root);
    buf_free(&plain);
}

bool failure_find(struct failure *f, const cJSON *root)
{
    struct facts facts = {.status = 0};
    if (!read_json(&facts, root))
        return false;
    conclude(f, &facts, 0);
    cJSON_Delete(facts.raw);
    return true;
}

void failure_plain(struct failure *f, const char *text, size_t len)
{
    struct facts facts = {.status = 0};
    struct buf plain;
    plain_message(&facts, &plain, text, len);
    conclude(f, &facts, 0);
    buf_free(&plain);
}
